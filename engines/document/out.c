/* out.c - one character after the other, through a buffer. */
#include "engines/document/out.h"

#include "base/num.h"
#include "base/utf8.h"

#include <errno.h>
#include <unistd.h>

#define REPLACEMENT 0xfffd

void out_init(struct out *o, int fd, int64_t max)
{
    o->fd = fd;
    o->max = max;
    o->len = o->letters = 0;
    o->full = o->failed = o->cr = false;
    o->breaks = 2;
    o->pending = 0;
}

void out_flush(struct out *o)
{
    size_t done = 0;

    while (done < o->pending && !o->failed) {
        ssize_t n = pwrite(o->fd, o->buffer + done, o->pending - done, o->len - (int64_t)(o->pending - done));

        if (n < 0 && errno == EINTR)
            continue;
        o->failed = n <= 0;
        done += n > 0 ? (size_t)n : 0;
    }
    o->pending = 0;
}

static bool is_blank(uint32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == '\n' || cp == 0xa0 || cp == 0x3000 || (cp >= 0x2000 && cp <= 0x200f);
}

static void put(struct out *o, uint32_t cp)
{
    char   bytes[4];
    size_t n = utf8_encode(bytes, cp);

    o->full = o->full || o->len + (int64_t)n > o->max;
    if (o->full)
        return;
    if (o->pending + n > sizeof(o->buffer))
        out_flush(o);
    memcpy(o->buffer + o->pending, bytes, n);
    o->pending += n;
    o->len += (int64_t)n;
    o->letters += !is_blank(cp);
    o->breaks = cp == '\n' ? min_int(o->breaks + 1, 2) : 0;
}

void out_add_char(struct out *o, uint32_t cp)
{
    bool after_cr = o->cr;

    o->cr = cp == '\r';
    if (cp == '\r' || cp == '\f' || cp == 0x0b)
        put(o, '\n');
    else if (cp == '\n' && after_cr)
        return;
    else if (cp == '\n' || cp == '\t' || (cp >= ' ' && cp != 0x7f && !(cp >= 0x80 && cp < 0xa0) && cp != 0xfeff))
        put(o, cp);
}

void out_add(struct out *o, str text)
{
    const char *p = text.ptr, *end = str_end(text);

    while (p < end && !o->full && !o->failed) {
        uint32_t cp;
        size_t   n = utf8_decode(p, end, &cp);

        out_add_char(o, n ? cp : REPLACEMENT);
        p += n ? n : 1;
    }
}

void out_line(struct out *o)
{
    if (!o->breaks)
        out_add_char(o, '\n');
}

void out_gap(struct out *o)
{
    while (o->len && o->breaks < 2 && !o->full)
        out_add_char(o, '\n');
}
