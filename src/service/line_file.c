/* line_file.c - reads lines. */
#include "service/line_file.h"

#include <errno.h>
#include <unistd.h>

#define ROOM 8 /* behind a line, for who parses it in place */

void line_file_init(struct line_file *f, int fd, size_t line_max, struct arena *a)
{
    *f = (struct line_file){ .fd = fd, .line_max = line_max, .buffer = arena_bytes(a, LINE_FILE_BUFFER) };
}

/* False: there is no more. */
static bool fill(struct line_file *f, enum err *e)
{
    ssize_t n;

    do {
        n = read(f->fd, f->buffer, LINE_FILE_BUFFER);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        *e = ERR_IO;
    f->at = 0;
    f->len = n > 0 ? (size_t)n : 0;
    return n > 0;
}

enum err line_file_next(struct line_file *f, struct arena *a, str *ret)
{
    struct buf line;
    bool       some = false, ended = false;
    enum err   e = OK;

    buf_init(&line, a, f->line_max + LINE_FILE_BUFFER + ROOM);
    while (!ended && (f->at < f->len || fill(f, &e))) {
        const char *from = f->buffer + f->at, *end = memchr(from, '\n', f->len - f->at);
        size_t      n = end ? (size_t)(end - from) : f->len - f->at;

        some = true;
        ended = end != NULL;
        if (line.len <= f->line_max)
            buf_add_bytes(&line, from, n);
        f->at += n + ended;
    }
    if (e || !some)
        return e ? e : ERR_EOF;
    f->number++;
    (void)buf_room(&line, ROOM);
    *ret = buf_str(&line);
    if (str_ends(*ret, S("\r")))
        ret->len--;
    if (f->number == 1 && str_starts(*ret, S("\xef\xbb\xbf")))
        *ret = str_from(*ret, 3);
    return OK;
}
