/* app_responses.c - answers of applications that can be read again. */
#include "service/app_responses.h"

#include "base/clock.h"
#include "contract/apps_params.gen.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "loop/loop.h"
#include "service/services.h"
#include "store/apps.h"

#define WATCH_US  INT64_C(500000) /* between two looks of a run in the background */
#define LATE_MS   INT64_C(10000)  /* behind the time that a run may take */
#define QUEUED    S("queued")
#define RUNNING   S("running")
#define FAILED    S("failed")
#define CANCELLED S("cancelled")

SUSPENDS static enum err run(struct request *rq, store_job job, struct app_response_job *j)
{
    enum err e;

    j->arena = rq->arena;
    j->workspace = rq->workspace;
    j->now_ms = clock_unix_ms();
    e = store_run_together(rq->services->store, job, NULL, j);
    if (e == OK || e == ERR_NOT_FOUND || e == ERR_CANCELLED)
        return e;
    (void)fail_internal_server_error(&rq->fault); /* REF: E213 */
    return fault_detail(&rq->fault, S("the response cannot be stored or read"));
}

enum err app_response_put(struct request *rq, const struct app_response *r)
{
    struct app_response_job j = {
        .id = r->id, .app = r->app, .status = r->status, .body = r->body, .life_ms = APPS_RESPONSE_LIFE_MS
    };

    might_suspend();
    return run(rq, app_response_put_job, &j);
}

static bool has_ended(str status)
{
    return !str_eq(status, QUEUED) && !str_eq(status, RUNNING);
}

/* The object with another status. */
static str with_status(struct request *rq, str body, str status)
{
    yyjson_val *root = json_parse_copy(rq->arena, body), *name, *v;
    size_t      i, n;
    struct buf  b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    yyjson_obj_foreach(root, i, n, name, v)
    {
        if (i)
            buf_add_char(&b, ',');
        json_add_str(&b, json_str(name));
        buf_add_char(&b, ':');
        if (str_eq(json_str(name), S("status")))
            json_add_str(&b, status);
        else
            buf_add(&b, json_text(rq->arena, v));
    }
    buf_add_char(&b, '}');
    return buf_str(&b);
}

enum err app_response_get(struct request *rq, struct app_response *r)
{
    struct app_response_job j = { .id = r->id, .app = r->app };
    enum err                e = run(rq, app_response_get_job, &j);

    might_suspend();
    if (e == ERR_NOT_FOUND)
        return fail_stored_not_found(&rq->fault, r->id); /* REF: W301 */
    if (e)
        return e;
    *r = (struct app_response){
        .id = r->id, .app = r->app, .status = j.status, .body = j.body, .created_ms = j.created_ms
    };
    if (!has_ended(r->status) && j.now_ms - j.created_ms > rq->settings->apps.time_ms + LATE_MS) {
        r->status = FAILED; /* its server was killed */
        r->body = with_status(rq, r->body, FAILED);
    }
    return OK;
}

SUSPENDS static enum err update(struct request *rq, str id, str status, str body)
{
    struct app_response_job j = { .id = id, .status = status, .body = body };

    return run(rq, app_response_update_job, &j);
}

enum err app_response_cancel(struct request *rq, struct app_response *r)
{
    enum err e = app_response_get(rq, r);

    might_suspend();
    if (e)
        return e;
    e = has_ended(r->status) ? ERR_NOT_FOUND : update(rq, r->id, CANCELLED, with_status(rq, r->body, CANCELLED));
    if (e && e != ERR_NOT_FOUND)
        return e;
    r->status = e ? FAILED : CANCELLED; /* that it cannot be cancelled any more (platform.md §4.7) */
    r->body = with_status(rq, r->body, r->status);
    return OK;
}

enum err app_response_delete(struct request *rq, struct app_response *r)
{
    struct app_response_job j = { .id = r->id, .app = r->app };
    enum err                e = app_response_get(rq, r);

    might_suspend();
    if (!e && !has_ended(r->status))
        return fail_task_not_pending(&rq->fault);
    if (!e)
        e = run(rq, app_response_delete_job, &j);
    return e == ERR_NOT_FOUND ? fail_stored_not_found(&rq->fault, r->id) : e;
}

/* ---- in the background ---- */

static enum err gone(enum err e)
{
    return e == ERR_NOT_FOUND ? ERR_CANCELLED : e;
}

enum err app_response_begin(struct request *rq, str id, str body)
{
    might_suspend();
    return gone(update(rq, id, RUNNING, body));
}

enum err app_response_end(struct request *rq, str id, str status, str body)
{
    might_suspend();
    return gone(update(rq, id, status, body));
}

enum err app_response_watch(struct request *rq, str id, int64_t *next_us)
{
    struct app_response_job j = { .id = id };
    int64_t                 now_us = loop_now_us(fiber_loop());
    enum err                e;

    might_suspend();
    if (now_us < *next_us)
        return OK;
    *next_us = now_us + WATCH_US;
    e = run(rq, app_response_get_job, &j);
    return e ? gone(e) : has_ended(j.status) ? ERR_CANCELLED : OK;
}
