/* buf.h - a growing run of bytes with a ceiling.
 *
 * Born with an arena and a maximum. Adding past the maximum keeps nothing of that piece and sets `full`, which the
 * owner turns into an answer to the client; further adds do nothing. The text is not NUL-terminated.
 */
#ifndef DASHBOX_BASE_BUF_H
#define DASHBOX_BASE_BUF_H

#include "base/arena.h"

struct buf {
    char         *ptr;
    size_t        len, cap, max;
    struct arena *arena;
    bool          full;
};

void buf_init(struct buf *b, struct arena *a, size_t max);
void buf_reset(struct buf *b); /* keeps the memory */

static inline str buf_str(const struct buf *b)
{
    return str_of(b->ptr, b->len);
}

/* Room for `n` more bytes at the returned address, the end of the text; NULL when the ceiling is in the way. */
char *buf_room(struct buf *b, size_t n);

void buf_add_slow(struct buf *b, const void *ptr, size_t len);

static inline void buf_add_bytes(struct buf *b, const void *ptr, size_t len)
{
    if (LIKELY(len <= b->cap - b->len && !b->full)) {
        if (len)
            memcpy(b->ptr + b->len, ptr, len);
        b->len += len;
        return;
    }
    buf_add_slow(b, ptr, len);
}

static inline void buf_add(struct buf *b, str s)
{
    buf_add_bytes(b, s.ptr, s.len);
}

static inline void buf_add_char(struct buf *b, char c)
{
    buf_add_bytes(b, &c, 1);
}

void buf_add_i64(struct buf *b, int64_t v);
void buf_addf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
