/* tasks.c - /api/v1/tasks: query, list, cancel. Spec: media.md §1.3-§1.7. */
#include "service/tasks.h"

#include "access/admission.h"
#include "api/account_rate.h"
#include "api/list_time.h"
#include "api/native/native.h"
#include "api/native/task_reply.h"
#include "api/reply.h"
#include "base/clock.h"
#include "contract/errors.gen.h"
#include "contract/lists_params.gen.h"
#include "net/http_server.h"
#include "service/task_output.h"

#include <stdio.h>
#include <time.h>

#define DAY_MS (INT64_C(24) * 3600000)

/* ---- the reply to a call that made one ---- */

enum err task_reply_created(struct request *rq, const char *id)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_addf(&b, "{\"output\":{\"task_status\":\"PENDING\",\"task_id\":\"%s\"}", id);
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

/* ---- rates: each of the three functions of the account has its own (E204) ---- */

SUSPENDS static enum err admit_query(struct request *rq, str function)
{
    return account_rate_admit(rq, function, rq->settings->tasks.rate, 1000);
}

/* ---- query ---- */

SUSPENDS static enum err query(struct request *rq, str id)
{
    struct task_get g = { .arena = rq->arena, .terms = task_terms_now(rq->settings, rq->arena), .id = id };
    struct buf      b;
    enum err        e = admit_query(rq, S("tasks query"));

    if (!e)
        e = store_run(rq->services->store, task_get_job, &g);
    if (e && e != ERR_NOT_FOUND)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_addf(&b, "{\"request_id\":\"%s\",\"output\":", rq->id);
    if (e)
        g.row = (struct task_row){ .id = id, .status = S("UNKNOWN") };
    if (e && str_eq(http_request(rq->x)->method, S("POST"))) { /* as the SDK's transcription asks alone. REF: E262 */
        struct fault      f = { 0 };
        struct fault_view v;

        (void)fail_asr_task_expired(&f);
        fault_render(&f, &rq->settings->wording, rq->arena, &v);
        g.row.code = v.code;
        g.row.message = v.message;
    }
    task_output_add(&b, &g.row);
    if (g.row.usage.len) {
        buf_add(&b, S(",\"usage\":"));
        buf_add(&b, g.row.usage);
    }
    buf_add_char(&b, '}');
    return reply_json_managed(rq, buf_str(&b));
}

/* ---- list ---- */

/* "20260102150405" in UTC+8, or milliseconds since 1970, which have 13 digits. */
static bool read_time(str text, int64_t *ret)
{
    int64_t ms;

    if (text.len == 13 && str_to_i64(text, &ms) && ms > 0) {
        *ret = ms;
        return true;
    }
    return text.len == 14 && list_time_read(text, ret);
}

static bool is_status(str s)
{
    static const str all[] = { S("PENDING"), S("RUNNING"), S("SUCCEEDED"), S("FAILED"), S("CANCELED"), S("UNKNOWN") };

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (str_eq(s, all[i]))
            return true;
    }
    return false;
}

static bool read_positive(str text, int64_t max, int64_t *ret)
{
    return str_to_i64(text, ret) && *ret >= 1 && *ret <= max;
}

/* The window: a day, wherever one end of it is said; both ends at most a day apart. */
static bool read_window(struct task_list *l, int64_t now_ms)
{
    if (l->from_ms && l->to_ms)
        return l->from_ms <= l->to_ms && l->to_ms - l->from_ms <= DAY_MS;
    if (l->from_ms)
        l->to_ms = l->from_ms + DAY_MS;
    else if (l->to_ms)
        l->from_ms = l->to_ms - DAY_MS;
    else {
        l->to_ms = now_ms;
        l->from_ms = now_ms - DAY_MS;
    }
    return true;
}

static enum err read_filters(struct request *rq, struct task_list *l)
{
    str  rest = http_query(rq->x), wrong = { 0 };
    bool elsewhere = false;

    while (rest.len && !wrong.len) {
        str  pair = str_cut(&rest, '&'), name = str_cut(&pair, '='), v = http_unescape(rq->arena, pair);
        bool good = true;

        if (!v.len)
            continue;
        if (str_eq(name, S("task_id")))
            l->id = v;
        else if (str_eq(name, S("model_name")))
            l->model = v;
        else if (str_eq(name, S("api_key_id")))
            l->key = v;
        else if (str_eq(name, S("region")))
            elsewhere = !str_eq(v, task_region(rq->settings));
        else if (str_eq(name, S("status")))
            good = is_status(l->status = v);
        else if (str_eq(name, S("start_time")))
            good = read_time(v, &l->from_ms);
        else if (str_eq(name, S("end_time")))
            good = read_time(v, &l->to_ms);
        else if (str_eq(name, S("page_no")))
            good = read_positive(v, INT32_MAX, &l->page);
        else if (str_eq(name, S("page_size")))
            good = read_positive(v, LISTS_PAGE_MAX, &l->size);
        if (!good)
            wrong = name;
    }
    if (elsewhere)
        l->status = S("UNKNOWN"); /* there are none */
    if (!wrong.len && !read_window(l, rq->arrived_ms))
        wrong = S("end_time");
    return wrong.len ? fail_parameter_missing_named(&rq->fault, wrong) : OK;
}

static void add_element(struct request *rq, struct buf *b, const struct task_row *t)
{
    buf_add(b, S("{\"api_key_id\":"));
    json_add_str(b, t->key);
    buf_add(b, S(",\"caller_parent_id\":\"1\",\"caller_uid\":\"1\"")); /* one account a server */
    if (t->end_ms)
        json_add_count(b, S(",\"end_time\":"), t->end_ms);
    json_add_count(b, S(",\"gmt_create\":"), t->submit_ms);
    buf_add(b, S(",\"model_name\":"));
    json_add_str(b, t->model);
    buf_add(b, S(",\"region\":"));
    json_add_str(b, task_region(rq->settings));
    buf_add(b, S(",\"request_id\":"));
    json_add_str(b, t->request_id);
    if (t->scheduled_ms)
        json_add_count(b, S(",\"start_time\":"), t->scheduled_ms);
    buf_add(b, S(",\"status\":"));
    json_add_str(b, t->status);
    buf_add(b, S(",\"task_id\":"));
    json_add_str(b, t->id);
    buf_add(b, S(",\"user_api_unique_key\":"));
    task_unique_key_add(b, t);
    buf_add_char(b, '}');
}

enum err handle_native_tasks(struct request *rq)
{
    struct task_list l = { .arena = rq->arena, .page = 1, .size = LISTS_PAGE };
    struct buf       b;
    enum err         e = admit_query(rq, S("tasks list"));

    if (!e)
        e = read_filters(rq, &l);
    l.terms = task_terms_now(rq->settings, rq->arena);
    if (!e)
        e = store_run(rq->services->store, task_list_job, &l);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_addf(
        &b, "{\"request_id\":\"%s\",\"total\":%lld,\"total_page\":%lld,\"page_no\":%lld,\"page_size\":%lld,\"data\":[",
        rq->id, (long long)l.total, (long long)((l.total + l.size - 1) / l.size), (long long)l.page, (long long)l.size);
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(&b, ',');
        add_element(rq, &b, &l.rows[i]);
    }
    buf_add(&b, S("]}"));
    return reply_json_managed(rq, buf_str(&b));
}

/* ---- cancel ---- */

SUSPENDS static enum err cancel(struct request *rq, str id)
{
    enum err e = admit_query(rq, S("tasks cancel"));

    if (!e)
        e = task_cancel(rq, id);
    return e ? e : reply_json_managed(rq, arena_printf(rq->arena, "{\"request_id\":\"%s\"}", rq->id));
}

/* ---- which of them ---- */

enum err handle_native_task(struct request *rq)
{
    str  path = http_path(rq->x), id = str_from(path, str_find_str(path, S("/tasks/")) + 7), verb;
    bool posts = str_eq(http_request(rq->x)->method, S("POST"));

    verb = id;
    id = http_unescape(rq->arena, str_cut(&verb, '/'));
    if (str_ends(verb, S("/")))
        verb.len--;
    if (posts && id.len && str_eq(verb, S("cancel")))
        return cancel(rq, id);
    if (posts && id.len && verb.len)
        return fail_operation_unsupported(&rq->fault); /* REF: E178: it cannot be paused, retried, … */
    if ((posts && !id.len) || verb.len) /* the Python SDK's transcription asks by POST (speech.md §3.1) */
        return fail_method_unsupported(&rq->fault, http_request(rq->x)->method); /* REF: E017 */
    return query(rq, id);
}
