/* assistants.c - /api/v1/assistants… and /api/v1/threads….
 *
 * Spec: platform.md §4.12.
 */
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/assistants_params.gen.h"
#include "contract/errors.gen.h"
#include "loop/loop.h"
#include "net/http_server.h"
#include "service/assistant_feed.h"
#include "service/assistants.h"

#define PARTS_MAX 6

/* The path behind "/api/v1/", in its parts. */
struct path {
    str    parts[PARTS_MAX];
    size_t count;
};

static bool read_path(struct request *rq, struct path *ret)
{
    str rest = http_path(rq->x);

    *ret = (struct path){ 0 };
    for (int i = 0; i < 3; i++) /* "", "api", "v1" */
        (void)str_cut(&rest, '/');
    while (rest.len) {
        if (ret->count == PARTS_MAX)
            return false;
        ret->parts[ret->count++] = http_unescape(rq->arena, str_cut(&rest, '/'));
        if (!ret->parts[ret->count - 1].len)
            return false;
    }
    return ret->count > 0;
}

static bool is(const struct path *p, size_t at, const char *word)
{
    return at < p->count && str_eq(p->parts[at], str_from_cstr(word));
}

static bool method_is(struct request *rq, const char *name)
{
    return str_eq(http_request(rq->x)->method, str_from_cstr(name));
}

/* Every answer is flat, with the request's id. */
SUSPENDS static enum err reply_object(struct request *rq, str object)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, str_first(object, object.len - 1));
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

static enum err refuse_method(struct request *rq)
{
    return fail_method_unsupported(&rq->fault, http_request(rq->x)->method); /* REF: E017 */
}

/* ---- lists ---- */

static enum err read_page(struct request *rq, struct assistant_page *ret)
{
    str text;

    *ret = (struct assistant_page){ .limit = ASSISTANTS_PAGE_DEFAULT, .descending = true };
    (void)http_query_get(rq->x, S("after"), &ret->after);
    (void)http_query_get(rq->x, S("before"), &ret->before);
    if (http_query_get(rq->x, S("limit"), &text) &&
        (!str_to_i64(text, &ret->limit) || ret->limit < 1 || ret->limit > ASSISTANTS_PAGE_MAX))
        return fail_parameter_missing_named(&rq->fault, S("limit"));
    if (http_query_get(rq->x, S("order"), &text)) {
        ret->descending = str_eq(text, S("desc"));
        if (!ret->descending && !str_eq(text, S("asc")))
            return fail_parameter_missing_named(&rq->fault, S("order"));
    }
    return OK;
}

SUSPENDS static enum err reply_list(struct request *rq, str kind, str owner)
{
    struct assistant_page page;
    struct buf            b;
    enum err              e = read_page(rq, &page);

    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"object\":\"list\","));
    e = assistant_objects_list(rq, kind, owner, &page, &b);
    if (e)
        return e;
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

/* ---- one object ---- */

SUSPENDS static enum err reply_deleted(struct request *rq, str kind, str id)
{
    struct buf b;
    enum err   e = assistant_object_delete(rq, kind, id);

    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, id);
    buf_addf(&b, ",\"object\":\"%.*s.deleted\",\"deleted\":true", STR_ARG(kind));
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

/* GET reads it, POST changes it, DELETE of some takes it away. */
SUSPENDS static enum err manage(struct request *rq, str kind, str owner, str id, bool deletes)
{
    yyjson_val *body;
    str         object;
    enum err    e;

    if (method_is(rq, "GET")) {
        e = assistant_object_get(rq, kind, owner, id, &object);
        return e ? e : reply_object(rq, object);
    }
    if (method_is(rq, "DELETE") && deletes)
        return reply_deleted(rq, kind, id);
    if (!method_is(rq, "POST") || str_eq(kind, STEP_KIND))
        return refuse_method(rq);
    e = request_json(rq, &body);
    if (!e)
        e = assistant_object_change(rq, kind, owner, id, body, &object);
    return e ? e : reply_object(rq, object);
}

/* ---- runs ---- */

/* A run runs behind its call, on a place that is taken before it is made; its events come back through the feed. */
struct start {
    struct request        *own;
    struct assistant_feed *feed; /* NULL: not streamed */
};

struct behind {
    str                    thread, run;
    struct assistant_feed *feed;
};

SUSPENDS static void run_behind(struct request *rq, void *arg)
{
    struct behind *h = arg;

    run_go(rq, h->thread, h->run, h->feed);
}

static enum err start_prepare(struct request *rq, yyjson_val *body, struct start *ret)
{
    enum err e;

    *ret = (struct start){ 0 };
    e = rq->hooks->prepare(rq, &ret->own);
    if (e || !yyjson_is_true(json_get(body, "stream")))
        return e;
    ret->feed = assistant_feed_open();
    arena_defer(rq->arena, assistant_feed_close, ret->feed);
    arena_defer(ret->own->arena, assistant_feed_close, assistant_feed_hold(ret->feed));
    return OK;
}

/* The client's end is not the run's. */
SUSPENDS static enum err stream_run(struct request *rq, struct assistant_feed *feed)
{
    enum err e;

    rq->stream = true;
    fiber_deadline_set(DEADLINE_NONE); /* the run has one */
    reply_stream_begin(rq, 200);
    request_phase(rq, PHASE_STREAM);
    while (!(e = assistant_feed_take(feed, http_stream_buf(rq->x)))) {
        e = http_stream_flush(rq->x);
        if (e)
            return e == ERR_EOF ? ERR_CANCELLED : e;
    }
    return e == ERR_EOF ? http_stream_end(rq->x) : e;
}

/* `e`: how making the run, or its outputs, went. */
SUSPENDS static enum err start(struct request *rq, const struct start *st, enum err e, str thread, str run, str object)
{
    struct behind *h;

    if (e) {
        rq->hooks->launch(st->own, NULL, NULL);
        return e;
    }
    h = arena_new(st->own->arena, struct behind);
    *h = (struct behind){ arena_str(st->own->arena, thread), arena_str(st->own->arena, run), st->feed };
    rq->hooks->launch(st->own, run_behind, h);
    return st->feed ? stream_run(rq, st->feed) : reply_object(rq, object);
}

SUSPENDS static enum err create_run(struct request *rq, str thread, yyjson_val *body)
{
    struct start st;
    str          id = { 0 }, object = { 0 };
    enum err     e = start_prepare(rq, body, &st);

    if (e)
        return e;
    e = run_create(rq, thread, body, &id, &object);
    return start(rq, &st, e, thread, id, object);
}

SUSPENDS static enum err create_thread_and_run(struct request *rq)
{
    struct start st;
    yyjson_val  *body;
    str          thread = { 0 }, id = { 0 }, object = { 0 };
    enum err     e = request_json(rq, &body);

    if (!e)
        e = start_prepare(rq, body, &st);
    if (e)
        return e;
    e = thread_create(rq, json_get(body, "thread"), &thread, &object);
    if (!e)
        assistant_feed_add(st.feed, "thread.created", object);
    if (!e)
        e = run_create(rq, thread, body, &id, &object);
    return start(rq, &st, e, thread, id, object);
}

SUSPENDS static enum err submit(struct request *rq, str thread, str run)
{
    struct start st;
    yyjson_val  *body;
    str          object = { 0 };
    enum err     e = request_json(rq, &body);

    if (!e)
        e = start_prepare(rq, body, &st);
    if (e)
        return e;
    e = run_submit(rq, thread, run, json_get(body, "tool_outputs"), st.feed, &object);
    return start(rq, &st, e, thread, run, object);
}

/* /threads/{id}/runs… */
SUSPENDS static enum err handle_runs(struct request *rq, const struct path *p)
{
    str         thread = p->parts[1], object;
    yyjson_val *body;
    enum err    e;

    if (p->count == 3 && method_is(rq, "GET"))
        return reply_list(rq, RUN_KIND, thread);
    if (p->count == 3) {
        e = method_is(rq, "POST") ? request_json(rq, &body) : refuse_method(rq);
        return e ? e : create_run(rq, thread, body);
    }
    if (p->count == 4)
        return manage(rq, RUN_KIND, thread, p->parts[3], false);
    if (is(p, 4, "submit_tool_outputs") && p->count == 5)
        return method_is(rq, "POST") ? submit(rq, thread, p->parts[3]) : refuse_method(rq);
    if (is(p, 4, "cancel") && p->count == 5) {
        e = method_is(rq, "POST") ? run_cancel(rq, thread, p->parts[3], &object) : refuse_method(rq);
        return e ? e : reply_object(rq, object);
    }
    if (!is(p, 4, "steps"))
        return fail_path_not_found(&rq->fault);
    e = assistant_object_get(rq, RUN_KIND, thread, p->parts[3], &object); /* the run must be the thread's */
    if (e)
        return e;
    if (p->count == 5)
        return method_is(rq, "GET") ? reply_list(rq, STEP_KIND, p->parts[3]) : refuse_method(rq);
    return manage(rq, STEP_KIND, p->parts[3], p->parts[5], false);
}

/* ---- the handlers ---- */

enum err handle_native_threads(struct request *rq)
{
    struct path p;
    yyjson_val *body = NULL;
    str         id, object;
    enum err    e;

    might_suspend();
    if (!read_path(rq, &p))
        return fail_path_not_found(&rq->fault);
    if (p.count == 1) {
        e = method_is(rq, "POST") ? request_json(rq, &body) : refuse_method(rq);
        if (!e)
            e = thread_create(rq, body, &id, &object);
        return e ? e : reply_object(rq, object);
    }
    if (p.count == 2 && is(&p, 1, "runs"))
        return method_is(rq, "POST") ? create_thread_and_run(rq) : refuse_method(rq);
    if (p.count == 2)
        return manage(rq, THREAD_KIND, (str){ 0 }, p.parts[1], true);
    if (is(&p, 2, "runs"))
        return handle_runs(rq, &p);
    if (!is(&p, 2, "messages"))
        return fail_path_not_found(&rq->fault);
    if (p.count == 3 && method_is(rq, "GET"))
        return reply_list(rq, MESSAGE_KIND, p.parts[1]);
    if (p.count == 3) {
        e = method_is(rq, "POST") ? request_json(rq, &body) : refuse_method(rq);
        if (!e)
            e = message_create(rq, p.parts[1], body, &object);
        return e ? e : reply_object(rq, object);
    }
    if (p.count == 4)
        return manage(rq, MESSAGE_KIND, p.parts[1], p.parts[3], false);
    return fail_not_served_yet(&rq->fault, http_request(rq->x)->method, http_path(rq->x)); /* files. REF: D001 */
}

enum err handle_native_assistants(struct request *rq)
{
    struct path p;
    yyjson_val *body;
    str         object;
    enum err    e;

    might_suspend();
    if (!read_path(rq, &p))
        return fail_path_not_found(&rq->fault);
    if (p.count == 1 && method_is(rq, "GET"))
        return reply_list(rq, ASSISTANT_KIND, (str){ 0 });
    if (p.count == 1) {
        e = method_is(rq, "POST") ? request_json(rq, &body) : refuse_method(rq);
        if (!e)
            e = assistant_create(rq, body, &object);
        return e ? e : reply_object(rq, object);
    }
    if (p.count == 2)
        return manage(rq, ASSISTANT_KIND, (str){ 0 }, p.parts[1], true);
    return fail_not_served_yet(&rq->fault, http_request(rq->x)->method, http_path(rq->x)); /* files. REF: D001 */
}
