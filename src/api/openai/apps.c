/* apps.c - applications as OpenAI's Responses: /api/v2/apps/agent/{app_id}/compatible-mode/v1/responses.
 *
 * A response is stored when it has ended, and one of the background from its beginning; it can then be read and deleted, and while it
 * runs be cancelled. Spec: platform.md §4.7.
 */
#include "api/openai/openai.h"
#include "api/reply.h"
#include "base/clock.h"
#include "contract/app_body.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "net/http_server.h"
#include "service/app.h"
#include "service/app_responses.h"

#define ITEM_MAX ((size_t)64 << 20) /* bytes of one text */

/* ---- the object ---- */

struct item {
    bool       reasoning, closed;
    str        id;
    struct buf text;
};

struct reply {
    struct request *rq;
    str             id;
    int64_t         created_s, events;
    bool            streamed, behind;
    int64_t         watch_us; /* behind: when the store is asked next whether it goes on */
    struct item    *items;
    size_t          count;
};

static void add_text(struct buf *b, const char *before, str text)
{
    buf_add(b, str_from_cstr(before));
    json_add_str(b, text);
}

static void add_part(struct buf *b, const struct item *it, str text)
{
    if (it->reasoning) {
        add_text(b, "{\"text\":", text);
        buf_add(b, S(",\"type\":\"reasoning_text\"}"));
        return;
    }
    add_text(b, "{\"annotations\":[],\"text\":", text);
    buf_add(b, S(",\"type\":\"output_text\"}"));
}

static void add_item(struct buf *b, const struct item *it)
{
    buf_add(b, S("{\"content\":["));
    if (it->closed)
        add_part(b, it, buf_str(&it->text));
    add_text(b, "],\"id\":", it->id);
    buf_addf(b, ",\"role\":\"assistant\",\"status\":\"%s\",\"type\":\"%s\"}", it->closed ? "completed" : "in_progress",
             it->reasoning ? "reasoning" : "message");
}

/* What went wrong stands in the output, and where clients of OpenAI look for it. */
static void add_failure(struct reply *r, struct buf *b, bool as_item)
{
    struct fault_view v;

    fault_render(&r->rq->fault, &r->rq->settings->wording, r->rq->arena, &v);
    buf_add(b, as_item ? S("{\"type\":\"error\",\"code\":") : S("{\"code\":"));
    json_add_str(b, v.code);
    add_text(b, ",\"message\":", v.message);
    buf_add_char(b, '}');
}

static void add_object(struct reply *r, struct buf *b, const char *status)
{
    bool failed = fault_is_set(&r->rq->fault);

    json_add_count(b, S("{\"created_at\":"), r->created_s);
    if (failed) {
        buf_add(b, S(",\"error\":"));
        add_failure(r, b, false);
    }
    add_text(b, ",\"id\":", r->id);
    buf_add(b, S(",\"model\":\"\",\"object\":\"response\",\"output\":["));
    for (size_t i = 0; i < r->count; i++) {
        if (i)
            buf_add_char(b, ',');
        add_item(b, &r->items[i]);
    }
    if (failed) {
        if (r->count)
            buf_add_char(b, ',');
        add_failure(r, b, true);
    }
    buf_addf(b, "],\"parallel_tool_calls\":false,\"status\":\"%s\",\"tool_choice\":\"auto\",\"tools\":[]}", status);
}

static str object(struct reply *r, const char *status)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    add_object(r, &b, status);
    return buf_str(&b);
}

/* ---- events ---- */

static struct buf *begin_event(struct reply *r, const char *type)
{
    struct buf *b = http_stream_buf(r->rq->x);

    buf_addf(b, "id:%lld\nevent:%s\ndata:{\"type\":\"%s\",\"sequence_number\":%lld", (long long)r->events + 1, type,
             type, (long long)r->events);
    r->events++;
    return b;
}

static void response_event(struct reply *r, const char *type, const char *status)
{
    struct buf *b = begin_event(r, type);

    buf_add(b, S(",\"response\":"));
    add_object(r, b, status);
    buf_add(b, S("}\n\n"));
}

static void item_event(struct reply *r, size_t at, const char *type)
{
    struct buf *b = begin_event(r, type);

    buf_addf(b, ",\"output_index\":%zu,\"item\":", at);
    add_item(b, &r->items[at]);
    buf_add(b, S("}\n\n"));
}

static struct buf *content_event(struct reply *r, size_t at, const char *type)
{
    struct buf *b = begin_event(r, type);

    buf_addf(b, ",\"output_index\":%zu,\"content_index\":0,\"item_id\":", at);
    json_add_str(b, r->items[at].id);
    return b;
}

static void part_event(struct reply *r, size_t at, const char *type, str text)
{
    struct buf *b = content_event(r, at, type);

    buf_add(b, S(",\"part\":"));
    add_part(b, &r->items[at], text);
    buf_add(b, S("}\n\n"));
}

static void text_event(struct reply *r, size_t at, bool done, str text)
{
    static const char *const types[2][2] = { { "response.output_text.delta", "response.output_text.done" },
                                             { "response.reasoning_text.delta", "response.reasoning_text.done" } };
    struct buf              *b = content_event(r, at, types[r->items[at].reasoning][done]);

    add_text(b, done ? ",\"text\":" : ",\"delta\":", text);
    buf_add(b, S("}\n\n"));
}

/* ---- items ---- */

static void close_item(struct reply *r, size_t at)
{
    struct item *it = &r->items[at];

    if (it->closed)
        return;
    it->closed = true;
    if (!r->streamed)
        return;
    text_event(r, at, true, buf_str(&it->text));
    part_event(r, at, "response.content_part.done", buf_str(&it->text));
    item_event(r, at, "response.output_item.done");
}

/* The item that a text of the kind goes to: the message is one, reasoning is ended by anything else. */
static size_t item_for(struct reply *r, bool reasoning)
{
    char         uuid[UUID_LEN + 1];
    struct item *it;

    for (size_t i = 0; i < r->count; i++) {
        if (!r->items[i].closed && r->items[i].reasoning == reasoning)
            return i;
        if (r->items[i].reasoning)
            close_item(r, i);
    }
    r->items = arena_realloc(r->rq->arena, r->items, r->count * sizeof(*it), (r->count + 1) * sizeof(*it));
    it = &r->items[r->count];
    rand_uuid(uuid, '4');
    *it =
        (struct item){ .reasoning = reasoning, .id = arena_printf(r->rq->arena, reasoning ? "rs_%s" : "msg_%s", uuid) };
    buf_init(&it->text, r->rq->arena, ITEM_MAX);
    if (r->streamed) {
        item_event(r, r->count, "response.output_item.added");
        part_event(r, r->count, "response.content_part.added", S(""));
    }
    return r->count++;
}

static void take(struct reply *r, bool reasoning, str text)
{
    size_t at = item_for(r, reasoning);

    buf_add(&r->items[at].text, text);
    if (r->streamed)
        text_event(r, at, false, text);
}

static void begin_stream(struct reply *r)
{
    if (http_begun(r->rq->x))
        return;
    reply_stream_begin(r->rq, 200);
    request_phase(r->rq, PHASE_STREAM);
    response_event(r, "response.created", "queued");
    response_event(r, "response.in_progress", "running");
}

struct running {
    struct reply   *reply;
    struct app_run *run;
};

SUSPENDS static enum err on_event(void *arg, const struct app_event *ev)
{
    struct running          *n = arg;
    struct reply            *r = n->reply;
    const struct app_answer *a = app_run_answer(n->run);
    enum err                 e;

    if (r->streamed)
        begin_stream(r);
    if (ev->kind == APP_EV_TEXT)
        take(r, false, ev->text);
    else if (ev->kind == APP_EV_THOUGHT && a->thoughts[a->thought_count - 1].piece.len)
        take(r, true, a->thoughts[a->thought_count - 1].piece);
    else if (ev->kind == APP_EV_FINISH)
        for (size_t i = 0; i < r->count; i++)
            close_item(r, i);
    if (!r->streamed)
        return r->behind ? app_response_watch(r->rq, r->id, &r->watch_us) : OK;
    e = http_stream_flush(r->rq->x);
    return e == ERR_EOF ? ERR_CANCELLED : e; /* the client's end is not the answer's */
}

/* Runs it; an answer without any text still has its message. */
SUSPENDS static enum err run_it(struct reply *r, struct app_run *run)
{
    struct running        n = { r, run };
    const struct app_sink sink = { on_event, &n };
    enum err              e = app_run(run, &sink);

    if (!e && !app_run_answer(run)->text.len)
        close_item(r, item_for(r, false));
    return e;
}

static void reply_init(struct reply *r, struct request *rq)
{
    *r = (struct reply){ .rq = rq, .id = str_of(rq->id, UUID_LEN), .created_s = rq->arrived_ms / 1000 };
}

/* ---- foreground ---- */

SUSPENDS static enum err keep(struct reply *r, str app, const char *status)
{
    struct app_response kept = { .id = r->id, .app = app, .status = str_from_cstr(status) };

    kept.body = object(r, status);
    return app_response_put(r->rq, &kept);
}

SUSPENDS static enum err answer_whole(struct reply *r, str app, struct app_run *run)
{
    enum err e = run_it(r, run);

    if (!e)
        e = keep(r, app, "completed");
    return e ? e : reply_json(r->rq, object(r, "completed"));
}

SUSPENDS static enum err answer_stream(struct reply *r, str app, struct app_run *run)
{
    enum err e;

    r->streamed = true;
    e = run_it(r, run);
    if (!e)
        e = keep(r, app, "completed");
    if (!http_begun(r->rq->x) || (e && e != ERR_FAULT))
        return e;
    response_event(r, e ? "response.failed" : "response.completed", e ? "failed" : "completed");
    return http_stream_end(r->rq->x);
}

/* ---- background ---- */

struct behind {
    struct apps_input in;
    yyjson_val       *root;
};

/* On a fiber and with a request of its own. */
SUSPENDS static void run_behind(struct request *rq, void *arg)
{
    struct behind  *h = arg;
    struct app_run *run;
    struct reply    r;
    enum err        e;

    reply_init(&r, rq);
    r.behind = true;
    e = app_response_begin(rq, r.id, object(&r, "running"));
    if (!e)
        e = app_open(rq, &h->in, &run);
    if (!e)
        e = run_it(&r, run);
    if (e && !fault_is_set(&rq->fault)) {
        (void)fail_internal_server_error(&rq->fault); /* REF: E213: the server stops; a cancelled one stays so */
        (void)fault_detail(&rq->fault, str_from_cstr(err_text(e)));
    }
    (void)app_response_end(rq, r.id, e ? S("failed") : S("completed"), object(&r, e ? "failed" : "completed"));
}

/* It begins behind this call; what is wrong with the body has been said. */
SUSPENDS static enum err answer_behind(struct request *rq, str app, yyjson_val *root)
{
    struct request     *own;
    struct reply        r;
    struct app_response kept;
    struct behind      *h;
    enum err            e = rq->hooks->prepare(rq, &own);

    if (e)
        return e;
    h = arena_new(own->arena, struct behind);
    memcpy(own->id, rq->id, sizeof(own->id));
    reply_init(&r, rq);
    h->root = json_parse_copy(own->arena, json_text(rq->arena, root));
    e = app_read_response(own, h->root, &h->in, NULL);
    h->in.app = arena_str(own->arena, app);
    kept = (struct app_response){ .id = r.id, .app = app, .status = S("queued"), .body = object(&r, "queued") };
    if (!e)
        e = app_response_put(rq, &kept);
    rq->hooks->launch(own, e ? NULL : run_behind, h);
    return e ? e : reply_json(rq, kept.body);
}

/* ---- the handler ---- */

SUSPENDS static enum err create(struct request *rq, str app)
{
    struct apps_input *in = arena_new(rq->arena, struct apps_input);
    struct app_run    *run;
    struct reply       r;
    yyjson_val        *root;
    bool               background = false;
    enum err           e = request_json(rq, &root);

    if (!e)
        e = app_read_response(rq, root, in, &background);
    if (e)
        return e;
    rq->stream = yyjson_is_true(json_get(root, "stream"));
    in->app = app;
    if (background) {
        e = app_check(rq, in);
        return e ? e : answer_behind(rq, app, root);
    }
    reply_init(&r, rq);
    e = app_open(rq, in, &run);
    if (e)
        return e;
    return rq->stream ? answer_stream(&r, app, run) : answer_whole(&r, app, run);
}

SUSPENDS static enum err reply_deleted(struct request *rq, str id)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    add_text(&b, "{\"deleted\":true,\"id\":", id);
    buf_add(&b, S(",\"object\":\"response\"}"));
    return reply_json(rq, buf_str(&b));
}

/* GET, DELETE responses/{id}; POST responses/{id}/cancel. */
SUSPENDS static enum err manage(struct request *rq, str app, str id, bool cancel)
{
    str                 method = http_request(rq->x)->method;
    struct app_response kept = { .id = id, .app = app };
    enum err            e;

    if (str_eq(method, S("GET")) && !cancel) {
        e = app_response_get(rq, &kept);
        return e ? e : reply_json(rq, kept.body);
    }
    if (str_eq(method, S("DELETE")) && !cancel) {
        e = app_response_delete(rq, &kept);
        return e ? e : reply_deleted(rq, id);
    }
    if (!str_eq(method, S("POST")) || !cancel)
        return fail_method_unsupported(&rq->fault, method);
    e = app_response_cancel(rq, &kept);
    return e ? e : reply_json(rq, kept.body);
}

enum err handle_openai_app(struct request *rq)
{
    str  rest = http_path(rq->x), app, part;
    bool good = true;

    might_suspend();
    for (int i = 0; i < 5; i++) /* "", "api", "v2", "apps", "agent" */
        (void)str_cut(&rest, '/');
    app = str_cut(&rest, '/');
    good = str_eq(str_cut(&rest, '/'), S("compatible-mode")) && str_eq(str_cut(&rest, '/'), S("v1")) &&
           str_eq(str_cut(&rest, '/'), S("responses"));
    part = str_cut(&rest, '/');
    if (!good || !app.len || (rest.len && !str_eq(rest, S("cancel"))))
        return fail_path_not_found(&rq->fault);
    rq->call_ms = rq->settings->apps.time_ms;
    if (part.len)
        return manage(rq, app, part, rest.len > 0);
    if (!str_eq(http_request(rq->x)->method, S("POST")))
        return fail_method_unsupported(&rq->fault, http_request(rq->x)->method); /* REF: E017 */
    return create(rq, app);
}
