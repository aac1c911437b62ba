/* err.c - texts of the error type. */
#include "base/err.h"

#include "base/defs.h"

const char *err_text(enum err e)
{
#define ERR_TEXT(name, text) [name] = text,
    static const char *const texts[] = { ERRS(ERR_TEXT) };
#undef ERR_TEXT

    ASSERT((size_t)e < ARRAY_LEN(texts));
    return texts[e];
}
