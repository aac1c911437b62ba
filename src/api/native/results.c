/* results.c - GET /files/TASK/NAME?Expires=…&Signature=…: what a task has made; /files/account/ID?…: a file of the account. Spec: media.md
 * §1.4; platform.md §1.6.
 *
 * As an object store answers: 403 without a good signature, whatever is asked for.
 */
#include "api/native/native.h"
#include "api/reply.h"
#include "api/send_file.h"
#include "base/clock.h"
#include "loop/lane.h"
#include "net/http_server.h"
#include "service/files.h"
#include "store/results.h"

struct opening {
    struct results *results;
    str             task, name;
    int             fd;
    int64_t         size;
    enum err        e;
};

static void open_job(void *arg)
{
    struct opening *o = arg;

    o->e = results_read(o->results, o->task, o->name, &o->fd, &o->size);
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

SUSPENDS static enum err open_account_file(struct request *rq, struct opening *o)
{
    struct file_get g = { .arena = rq->arena, .id = o->name };
    enum err        e = store_run(rq->services->store, file_get_job, &g);

    if (e || g.row.deleted)
        return ERR_NOT_FOUND;
    return file_open(rq->services, g.row.hash, &o->fd, &o->size);
}

enum err handle_result_file(struct request *rq)
{
    struct opening o = { .results = rq->services->results };
    str            path = str_from(http_path(rq->x), S("/files/").len);

    if (!results_url_read(o.results, path, http_query(rq->x), clock_unix_ms() / 1000, &o.task, &o.name))
        return reply_empty(rq, 403);
    if (str_eq(o.task, RESULTS_ACCOUNT)) {
        o.e = open_account_file(rq, &o);
        o.name = (str){ 0 }; /* a client's: what it is nobody knows */
    } else {
        lane_run(rq->services->files, open_job, &o);
    }
    return o.e ? reply_empty(rq, 404) : send_file(rq, o.fd, o.size, type_of(o.name));
}
