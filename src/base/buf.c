/* buf.c - growing bytes with a ceiling. */
#include "base/buf.h"

#include "base/num.h"

#include <stdarg.h>
#include <stdio.h>

void buf_init(struct buf *b, struct arena *a, size_t max)
{
    *b = (struct buf){ .arena = a, .max = max };
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->full = false;
}

char *buf_room(struct buf *b, size_t n)
{
    size_t cap;

    if (b->full || n > b->max - b->len) {
        b->full = true;
        return NULL;
    }
    if (n <= b->cap - b->len)
        return b->ptr + b->len;
    cap = b->cap * 2 > b->len + n ? b->cap * 2 : b->len + n;
    if (cap < 256)
        cap = 256;
    if (cap > b->max)
        cap = b->max;
    b->ptr = arena_realloc(b->arena, b->ptr, b->cap, cap);
    b->cap = cap;
    return b->ptr + b->len;
}

void buf_add_slow(struct buf *b, const void *ptr, size_t len)
{
    char *at = buf_room(b, len);

    if (!at)
        return;
    memcpy(at, ptr, len);
    b->len += len;
}

void buf_add_i64(struct buf *b, int64_t v)
{
    char text[NUM_TEXT_MAX];

    buf_add_bytes(b, text, num_format(text, v));
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    char    text[256];
    char   *longer;
    int     len;

    va_start(ap, fmt);
    len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    ASSERT(len >= 0);
    if ((size_t)len < sizeof(text)) {
        buf_add_bytes(b, text, (size_t)len);
        return;
    }
    if (!buf_room(b, (size_t)len))
        return;
    longer = arena_bytes(b->arena, (size_t)len + 1); /* the final NUL may not fit below the ceiling */
    va_start(ap, fmt);
    vsnprintf(longer, (size_t)len + 1, fmt, ap);
    va_end(ap);
    buf_add_bytes(b, longer, (size_t)len);
}
