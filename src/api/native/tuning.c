/* tuning.c - /api/v1/fine-tunes: jobs, their logs, events and checkpoints. Spec: platform.md §6.1–6.3.
 *
 * The lists of phrases of old SDKs (training_type compile_asr_phrase, /fine-tunes/outputs) are not served: vocabularies have taken their
 * place (api/native/customization.c).
 */
#include "service/tuning.h"

#include "api/native/native.h"
#include "api/native/pages.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/params.h"
#include "contract/tuning_params.gen.h"
#include "loop/loop.h"
#include "net/http_server.h"
#include "service/task_output.h"

#define EVENTS_POLL_US INT64_C(300000)

static enum err not_found(struct request *rq, enum err e)
{
    return e == ERR_NOT_FOUND ? fail_resource_not_found(&rq->fault) : e; /* REF: E201 */
}

/* ---- one job ---- */

static void add_text(struct buf *b, const char *name, str value)
{
    buf_addf(b, ",\"%s\":", name);
    json_add_str(b, value);
}

static void add_time(struct buf *b, const char *name, int64_t unix_ms)
{
    buf_addf(b, ",\"%s\":", name);
    task_time_add(b, unix_ms, false);
}

static bool is_portrait(const struct tuning_job *j)
{
    const struct model *m = model_find(j->base);

    return m && tuning_is_portrait(m);
}

static void add_job(struct buf *b, const struct tuning_job *j)
{
    buf_add(b, S("{\"job_id\":"));
    json_add_str(b, j->id);
    add_text(b, "job_name", j->name);
    add_text(b, "status", j->status);
    if (str_eq(j->status, TUNING_SUCCEEDED) || is_portrait(j))
        add_text(b, "finetuned_output", j->output);
    add_text(b, "model", j->model);
    add_text(b, "base_model", j->base);
    buf_add_char(b, ',');
    buf_add(b, str_from(str_first(j->body, j->body.len - 1), 1)); /* the files and the parameters, without the braces */
    if (j->type.len)
        add_text(b, "training_type", j->type);
    add_time(b, "create_time", j->create_ms);
    add_text(b, "workspace_id", j->workspace);
    buf_add(
        b,
        S(",\"user_identity\":\"1\",\"modifier\":\"1\",\"creator\":\"1\",\"group\":\"llm\"")); /* one account a server */
    if (j->end_ms)
        add_time(b, "end_time", j->end_ms);
    if (str_eq(j->status, TUNING_SUCCEEDED) && !is_portrait(j))
        json_add_count(b, S(",\"usage\":"), j->usage);
    if (j->code.len) {
        add_text(b, "code", j->code);
        add_text(b, "message", j->message);
    }
    buf_add_char(b, '}');
}

static struct buf *begin(struct request *rq)
{
    struct buf *b = arena_new(rq->arena, struct buf);

    buf_init(b, rq->arena, SIZE_MAX / 2);
    buf_addf(b, "{\"request_id\":\"%s\",\"output\":", rq->id);
    return b;
}

SUSPENDS static enum err end(struct request *rq, struct buf *b)
{
    buf_add_char(b, '}');
    return reply_json_managed(rq, buf_str(b));
}

SUSPENDS static enum err answer_text(struct request *rq, str json)
{
    struct buf *b = begin(rq);

    buf_add(b, json);
    return end(rq, b);
}

SUSPENDS static enum err find(struct request *rq, str id, struct tuning_job *ret)
{
    struct tuning_get g = { .arena = rq->arena, .id = id, .workspace = rq->workspace };
    enum err          e = not_found(rq, store_run(rq->services->store, tuning_get_job, &g));

    *ret = g.row;
    return e;
}

SUSPENDS static enum err show(struct request *rq, str id)
{
    struct tuning_job j;
    enum err          e = find(rq, id, &j);
    struct buf       *b;

    if (e)
        return e;
    b = begin(rq);
    add_job(b, &j);
    return end(rq, b);
}

/* ---- all of them ---- */

SUSPENDS static enum err list(struct request *rq)
{
    struct page        p = { 1, TUNING_PAGE };
    struct tuning_list l = { .arena = rq->arena, .workspace = rq->workspace };
    enum err           e = page_read(rq, TUNING_PAGE_MAX, &p);
    struct buf        *b;

    (void)http_query_get(rq->x, S("model"), &l.model);
    l.offset = (p.number - 1) * p.size;
    l.limit = p.size;
    if (!e)
        e = store_run(rq->services->store, tuning_list_job, &l);
    if (e)
        return e;
    b = begin(rq);
    page_add(b, &p, l.total);
    buf_add(b, S(",\"jobs\":["));
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(b, ',');
        add_job(b, &l.rows[i]);
    }
    buf_add(b, S("]}"));
    return end(rq, b);
}

SUSPENDS static enum err create(struct request *rq)
{
    yyjson_val       *body;
    struct tuning_job j;
    struct buf       *b;
    enum err          e = request_json(rq, &body);

    if (!e)
        e = tuning_create(rq, body, &j);
    if (e)
        return e;
    b = begin(rq);
    add_job(b, &j);
    return end(rq, b);
}

enum err handle_native_fine_tunes(struct request *rq)
{
    return str_eq(http_request(rq->x)->method, S("POST")) ? create(rq) : list(rq);
}

/* ---- the log ---- */

/* "2025-11-30 18:42:45 reading a.jsonl …"; a trainer may write what is no text. */
static void add_line(struct buf *b, struct arena *a, const struct tuning_line *l)
{
    struct buf time, text;

    buf_init(&time, a, 64);
    task_time_add(&time, l->at_ms, false);
    buf_add(b, str_first(buf_str(&time), time.len - 1)); /* its closing quote is behind the text */
    buf_add_char(b, ' ');
    buf_init(&text, a, SIZE_MAX / 2);
    json_add_lossy(&text, l->text);
    buf_add(b, str_from(buf_str(&text), 1)); /* its opening quote is before the time */
}

SUSPENDS static enum err logs(struct request *rq, str id)
{
    struct tuning_logs l = { .arena = rq->arena, .id = id, .workspace = rq->workspace, .limit = TUNING_LOG_LINES };
    str                text;
    struct buf        *b;
    enum err           e;

    if (http_query_get(rq->x, S("offset"), &text) && (!str_to_i64(text, &l.offset) || l.offset < 0))
        return fail_parameter_missing_named(&rq->fault, S("offset")); /* REF: E039 */
    if (http_query_get(rq->x, S("line"), &text) &&
        (!str_to_i64(text, &l.limit) || l.limit < 1 || l.limit > TUNING_LOG_LINES_MAX))
        return fail_parameter_missing_named(&rq->fault, S("line"));
    e = not_found(rq, store_run(rq->services->store, tuning_logs_job, &l));
    if (e)
        return e;
    b = begin(rq);
    json_add_count(b, S("{\"total\":"), l.total);
    buf_add(b, S(",\"logs\":["));
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(b, ',');
        add_line(b, rq->arena, &l.lines[i]);
    }
    buf_add(b, S("]}"));
    return end(rq, b);
}

/* The lines that there are by now, as events; *at counts them. *ret_ended: there will be no more. */
SUSPENDS static enum err send_lines(struct request *rq, str id, int64_t *at, bool *ret_ended)
{
    struct arena       a;
    struct tuning_logs l = {
        .arena = &a, .id = id, .workspace = rq->workspace, .offset = *at, .limit = TUNING_LOG_LINES_MAX
    };
    struct buf *b;
    enum err    e;

    arena_init(&a, 0);
    e = store_run(rq->services->store, tuning_logs_job, &l);
    if (e && e != ERR_NOT_FOUND) {
        arena_free(&a);
        return e;
    }
    b = http_stream_buf(rq->x);
    for (size_t i = 0; i < l.count; i++) {
        reply_native_event(b, ++*at, S("result"), 200);
        buf_add(b, S("{\"output\":"));
        add_line(b, &a, &l.lines[i]);
        buf_addf(b, ",\"request_id\":\"%s\"}\n\n", rq->id);
    }
    *ret_ended = e == ERR_NOT_FOUND || (l.ended && *at >= l.total); /* it may have been deleted meanwhile */
    arena_free(&a);
    return http_stream_flush(rq->x);
}

/* The log from its beginning, until the job has ended. */
SUSPENDS static enum err events(struct request *rq, str id)
{
    struct tuning_job j;
    int64_t           at = 0;
    bool              ended = false;
    enum err          e = find(rq, id, &j);

    if (e)
        return e;
    rq->stream = true;
    reply_stream_begin(rq, 200);
    for (;;) {
        e = send_lines(rq, id, &at, &ended);
        if (e || ended)
            break;
        e = fiber_sleep_until(loop_now_us(fiber_loop()) + EVENTS_POLL_US);
        if (e)
            break;
    }
    return e ? e : http_stream_end(rq->x);
}

/* ---- checkpoints ---- */

SUSPENDS static enum err checkpoints(struct request *rq, str id)
{
    struct tuning_checkpoints c = { .arena = rq->arena, .id = id, .workspace = rq->workspace };
    enum err                  e = not_found(rq, store_run(rq->services->store, tuning_checkpoints_job, &c));
    struct buf               *b;

    if (e)
        return e;
    b = begin(rq);
    buf_add_char(b, '[');
    for (size_t i = 0; i < c.count; i++) {
        const struct tuning_checkpoint *k = &c.rows[i];

        buf_add(b, i ? S(",{\"create_time\":") : S("{\"create_time\":"));
        task_time_add(b, k->create_ms, false);
        add_text(b, "full_name", arena_printf(rq->arena, "%.*s-%.*s", STR_ARG(id), STR_ARG(k->name)));
        add_text(b, "job_id", id);
        add_text(b, "checkpoint", k->name);
        add_text(b, "model_name", k->model);
        add_text(b, "status", k->model.len ? TUNING_SUCCEEDED : TUNING_PENDING);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
    return end(rq, b);
}

/* REF: E039, E201, W621. */
SUSPENDS static enum err export_checkpoint(struct request *rq, str id, str checkpoint)
{
    struct tuning_export x = {
        .id = id, .workspace = rq->workspace, .checkpoint = checkpoint, .now_ms = clock_unix_ms()
    };
    enum err e;

    (void)http_query_get(rq->x, S("model_name"), &x.model);
    if (!param_name_ok(&tuning_output, x.model))
        return fail_parameter_missing_named(&rq->fault, S("model_name"));
    e = request_model(rq, x.model) ? ERR_EXISTS : store_run_together(rq->services->store, tuning_export_job, NULL, &x);
    if (e == ERR_EXISTS)
        return fail_tuning_model_exists(&rq->fault, x.model);
    e = not_found(rq, e);
    return e ? e : answer_text(rq, S("true"));
}

/* ---- which of them ---- */

/* Of videos alone, which nothing here is trained on. */
SUSPENDS static enum err no_results(struct request *rq, str id)
{
    struct tuning_job j;
    enum err          e = find(rq, id, &j);

    return e ? e : answer_text(rq, S("[]"));
}

SUSPENDS static enum err get(struct request *rq, str id, str verb, str rest)
{
    if (!verb.len)
        return show(rq, id);
    if (str_eq(verb, S("export")) && rest.len)
        return export_checkpoint(rq, id, rest);
    if (str_eq(verb, S("validation-details")) && rest.len)
        return no_results(rq, id);
    if (!rest.len && str_eq(verb, S("logs")))
        return logs(rq, id);
    if (!rest.len && str_eq(verb, S("stream")))
        return events(rq, id);
    if (!rest.len && str_eq(verb, S("checkpoints")))
        return checkpoints(rq, id);
    if (!rest.len && str_eq(verb, S("validation-results")))
        return no_results(rq, id);
    return fail_path_not_found(&rq->fault); /* REF: X078 */
}

SUSPENDS static enum err done(struct request *rq, enum err e)
{
    return e ? e : answer_text(rq, S("{\"status\":\"success\"}"));
}

enum err handle_native_fine_tune(struct request *rq)
{
    str path = http_path(rq->x), rest = str_from(path, str_find_str(path, S("/fine-tunes/")) + 12);
    str method = http_request(rq->x)->method, id = http_unescape(rq->arena, str_cut(&rest, '/')),
        verb = str_cut(&rest, '/');

    rest = http_unescape(rq->arena, rest);
    if (str_eq(method, S("GET")))
        return get(rq, id, verb, rest);
    if (str_eq(method, S("DELETE")) && !verb.len)
        return done(rq, tuning_delete(rq, id));
    if (str_eq(method, S("POST")) && str_eq(verb, S("cancel")) && !rest.len)
        return done(rq, tuning_cancel(rq, id));
    return fail_method_unsupported(&rq->fault, method); /* REF: E017 */
}
