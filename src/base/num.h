/* num.h - the smaller and the larger, and numbers as text. */
#ifndef DASHBOX_BASE_NUM_H
#define DASHBOX_BASE_NUM_H

#include "base/defs.h"

static inline size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static inline int min_int(int a, int b)
{
    return a < b ? a : b;
}

static inline int max_int(int a, int b)
{
    return a > b ? a : b;
}

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Decimal text of `v`; returns its length. `text` has NUM_TEXT_MAX bytes, no NUL is written. */
#define NUM_TEXT_MAX 20
size_t num_format(char text[NUM_TEXT_MAX], int64_t v);

/* Lower-case hexadecimal digits of n bytes: 2 * n characters, no NUL. */
void num_hex(char *text, const void *bytes, size_t n);

#endif
