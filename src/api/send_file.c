/* send_file.c - files are read on the lane `files`, never by a loop. */
#include "api/send_file.h"

#include "base/num.h"
#include "loop/lane.h"
#include "net/http_server.h"
#include "service/services.h"

#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

struct reading {
    int     fd;
    char   *buffer;
    size_t  want;
    ssize_t got;
};

static void read_job(void *arg)
{
    struct reading *r = arg;

    r->got = read(r->fd, r->buffer, r->want);
}

static void close_reading(void *arg)
{
    close(((struct reading *)arg)->fd);
}

enum err send_file(struct request *rq, int fd, int64_t size, str type)
{
    struct http_field fields[] = { { S("content-type"), type }, { S("x-request-id"), str_of(rq->id, UUID_LEN) } };
    struct reading   *r = arena_new(rq->arena, struct reading);
    struct buf       *out;
    enum err          e = OK;

    might_suspend();
    *r = (struct reading){ .fd = fd, .buffer = arena_bytes(rq->arena, PIECE) };
    arena_defer(rq->arena, close_reading, r);
    request_phase(rq, PHASE_REPLY);
    http_stream_begin_sized(rq->x, 200, fields, ARRAY_LEN(fields), size);
    if (str_eq(http_request(rq->x)->method, S("HEAD")))
        return http_stream_end(rq->x);
    out = http_stream_buf(rq->x);
    while (!e && size > 0) {
        r->want = min_size(PIECE, (size_t)size);
        lane_run(rq->services->files, read_job, r);
        if (r->got <= 0)
            return ERR_EOF;
        buf_add_bytes(out, r->buffer, (size_t)r->got);
        size -= r->got;
        if (size > 0)
            e = http_stream_flush(rq->x);
    }
    return e ? e : http_stream_end(rq->x);
}
