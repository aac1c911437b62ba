/* files.c - GET /files/TASK/NAME?Expires=…&Signature=…: what a task has made. Spec: media.md §1.4.
 *
 * As an object store answers: 403 without a good signature, whatever is asked for.
 */
#include "api/native/native.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/num.h"
#include "loop/lane.h"
#include "net/http_server.h"
#include "service/services.h"
#include "store/results.h"

#include <unistd.h>

#define PIECE ((size_t)64 * 1024)

struct reading {
    struct results *results;
    str             task, name;
    int             fd;
    int64_t         size;
    char           *buffer;
    size_t          want;
    ssize_t         got;
    enum err        e;
};

static void open_job(void *arg)
{
    struct reading *r = arg;

    r->e = results_read(r->results, r->task, r->name, &r->fd, &r->size);
}

static void read_job(void *arg)
{
    struct reading *r = arg;

    r->got = read(r->fd, r->buffer, r->want);
}

static void close_reading(void *arg)
{
    close(((struct reading *)arg)->fd);
}

/* Names are ours. */
static str type_of(str name)
{
    static const struct {
        str end, type;
    } types[] = {
        { S(".gz"), S("application/gzip") }, { S(".jpg"), S("image/jpeg") },  { S(".jpeg"), S("image/jpeg") },
        { S(".png"), S("image/png") },       { S(".webp"), S("image/webp") }, { S(".svg"), S("image/svg+xml") },
        { S(".mp4"), S("video/mp4") },
    };

    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (str_ends(name, types[i].end))
            return types[i].type;
    }
    return S("application/octet-stream");
}

SUSPENDS static enum err send_file(struct request *rq, struct reading *r)
{
    struct http_field fields[] = { { S("content-type"), type_of(r->name) },
                                   { S("x-request-id"), str_of(rq->id, UUID_LEN) } };
    struct buf       *out;
    enum err          e = OK;

    request_phase(rq, PHASE_REPLY);
    http_stream_begin_sized(rq->x, 200, fields, ARRAY_LEN(fields), r->size);
    if (str_eq(http_request(rq->x)->method, S("HEAD")))
        return http_stream_end(rq->x);
    out = http_stream_buf(rq->x);
    while (!e && r->size > 0) {
        r->want = min_size(PIECE, (size_t)r->size);
        lane_run(rq->services->files, read_job, r);
        if (r->got <= 0)
            return ERR_EOF; /* it has been cut meanwhile: the connection says so */
        buf_add_bytes(out, r->buffer, (size_t)r->got);
        r->size -= r->got;
        if (r->size > 0)
            e = http_stream_flush(rq->x);
    }
    return e ? e : http_stream_end(rq->x);
}

enum err handle_result_file(struct request *rq)
{
    struct reading *r = arena_new(rq->arena, struct reading);
    str             path = str_from(http_path(rq->x), S("/files/").len);

    r->results = rq->services->results;
    if (!results_url_read(r->results, path, http_query(rq->x), clock_unix_ms() / 1000, &r->task, &r->name))
        return reply_empty(rq, 403);
    lane_run(rq->services->files, open_job, r);
    if (r->e)
        return reply_empty(rq, 404);
    arena_defer(rq->arena, close_reading, r);
    r->buffer = arena_bytes(rq->arena, PIECE);
    return send_file(rq, r);
}
