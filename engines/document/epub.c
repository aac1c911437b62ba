/* epub.c */
#include "engines/document/reading.h"

enum document_verdict epub_read(struct reading *r)
{
    return reading_fails(r, DOCUMENT_FORMAT, "EPUB");
}
