/* apps.c - POST /api/v1/apps/{app_id}/completion.
 *
 * Spec: platform.md §4.1, §4.4, §4.5.
 */
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/app_body.h"
#include "contract/errors.gen.h"
#include "net/http_server.h"
#include "service/app.h"

/* ---- what all answers have ---- */

static void add_member(struct buf *b, bool *first, const char *name, str value)
{
    if (!value.len)
        return;
    buf_addf(b, "%s\"%s\":", *first ? "" : ",", name);
    json_add_str(b, value);
    *first = false;
}

/* `piece`: of a thought that grows only its last piece. */
static void add_thought(struct request *rq, struct buf *b, const struct app_thought *t, bool piece)
{
    bool        first = true;
    yyjson_val *arguments = t->arguments.len ? json_parse_copy(rq->arena, t->arguments) : NULL;

    buf_add_char(b, '{');
    add_member(b, &first, "thought", piece ? t->piece : buf_str(&t->thought));
    add_member(b, &first, "action_type", t->action_type);
    add_member(b, &first, "response", t->response);
    add_member(b, &first, "action_name", t->action_name);
    add_member(b, &first, "action", t->action);
    add_member(b, &first, "action_input_stream", t->arguments);
    if (yyjson_is_obj(arguments)) {
        buf_add(b, first ? S("\"action_input\":") : S(",\"action_input\":"));
        buf_add(b, json_text(rq->arena, arguments));
        first = false;
    }
    add_member(b, &first, "arguments", t->arguments);
    add_member(b, &first, "observation", t->observation);
    buf_add_char(b, '}');
}

/* The thoughts from `from` on. */
static void add_thoughts(struct request *rq, struct buf *b, const struct app_answer *a, size_t from, bool piece)
{
    buf_add(b, S("\"thoughts\":["));
    for (size_t i = from; i < a->thought_count; i++) {
        if (i > from)
            buf_add_char(b, ',');
        add_thought(rq, b, &a->thoughts[i], piece && i + 1 == a->thought_count);
    }
    buf_add(b, S("],"));
}

/* The sources (platform.md §4.1). */
static void add_references(struct buf *b, const struct app_answer *a)
{
    buf_add(b, S("\"doc_references\":["));
    for (size_t i = 0; i < a->reference_count; i++) {
        const struct app_reference *r = &a->references[i];

        buf_addf(b, "%s{\"index_id\":\"%zu\",\"title\":", i ? "," : "", i + 1);
        json_add_str(b, r->title);
        buf_add(b, S(",\"doc_id\":"));
        json_add_str(b, r->document);
        buf_add(b, S(",\"doc_name\":"));
        json_add_str(b, r->name);
        buf_add(b, S(",\"text\":"));
        json_add_str(b, r->text);
        buf_add(b, S(",\"images\":[],\"page_number\":[]}"));
    }
    buf_add(b, S("],"));
}

static bool has_references(const struct app_answer *a)
{
    return a->shows_references && a->reference_count;
}

/* What stands behind the output: {} until a model has answered. */
static void add_end(struct request *rq, struct buf *b, const struct app_answer *a)
{
    buf_add(b, S(",\"usage\":{"));
    for (size_t i = 0; i < a->use_count; i++) {
        buf_add(b, i ? S(",") : S("\"models\":["));
        json_add_count(b, S("{\"output_tokens\":"), a->uses[i].output_tokens);
        buf_add(b, S(",\"model_id\":"));
        json_add_str(b, a->uses[i].model);
        json_add_count(b, S(",\"input_tokens\":"), a->uses[i].input_tokens);
        buf_add_char(b, '}');
    }
    buf_add(b, a->use_count ? S("]}") : S("}"));
    reply_add_request_id(b, rq);
}

/* ---- whole ---- */

SUSPENDS static enum err ignore(void *arg, const struct app_event *ev)
{
    (void)arg; /* the answer has it all */
    (void)ev;
    return OK;
}

SUSPENDS static enum err answer_whole(struct request *rq, const struct apps_input *in, struct app_run *run)
{
    const struct app_answer *a = app_run_answer(run);
    const struct app_sink    sink = { ignore, NULL };
    struct buf               b;
    enum err                 e = app_run(run, &sink);

    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"output\":{"));
    if (in->has_thoughts.v && a->thought_count)
        add_thoughts(rq, &b, a, 0, false);
    if (has_references(a))
        add_references(&b, a);
    buf_add(&b, S("\"finish_reason\":\"stop\",\"session_id\":"));
    json_add_str(&b, a->session);
    buf_add(&b, S(",\"text\":"));
    json_add_str(&b, buf_str(&a->text));
    buf_add_char(&b, '}');
    add_end(rq, &b, a);
    return reply_json(rq, buf_str(&b));
}

/* ---- stream ---- */

struct frames {
    struct request          *rq;
    const struct apps_input *in;
    const struct app_answer *answer;
    bool                     flow;
    enum app_stream_mode     mode;
    int64_t                  event_id;
    size_t                   references; /* that an incremental frame has shown */
};

/* The message of a flow's node (platform.md §4.5). */
static void add_node(struct buf *b, const struct app_event *ev)
{
    buf_addf(b, "\"workflow_message\":{\"node_status\":\"%s\",\"node_type\":\"", ev->ended ? "success" : "executing");
    buf_add(b, app_node_wire_name(ev->node->type));
    json_add_count(b, S("\",\"node_msg_seq_id\":"), ev->sequence);
    buf_add(b, S(",\"node_name\":"));
    json_add_str(b, ev->node->name);
    buf_add(b, S(",\"message\":{\"content\":"));
    json_add_str(b, ev->text);
    buf_addf(b, ",\"role\":\"assistant\"},\"node_is_completed\":%s,\"node_id\":", ev->ended ? "true" : "false");
    json_add_str(b, ev->node->id);
    if (ev->parent) {
        buf_add(b, S(",\"parent_node_id\":"));
        json_add_str(b, ev->parent->id);
    }
    buf_add(b, S("},"));
}

static bool shows_nodes(const struct frames *s)
{
    return s->flow && (s->mode == APP_STREAM_MESSAGES || s->mode == APP_STREAM_MESSAGES_PLUS);
}

/* Whether the event makes a frame in the mode. */
static bool is_shown(const struct frames *s, const struct app_event *ev)
{
    enum app_node_type type;

    switch (ev->kind) {
    case APP_EV_TEXT:
        return !shows_nodes(s); /* there the node says it */
    case APP_EV_THOUGHT:
        return s->in->has_thoughts.v && (!s->flow || s->mode == APP_STREAM_THOUGHTS);
    case APP_EV_NODE:
        type = ev->node->type;
        return s->flow && (s->mode == APP_STREAM_MESSAGES_PLUS ||
                           (s->mode == APP_STREAM_MESSAGES && (type == APP_OUTPUT || type == APP_END)));
    case APP_EV_FINISH:
        break;
    }
    return true;
}

static void add_frame(struct frames *s, const struct app_event *ev)
{
    struct buf              *b = http_stream_buf(s->rq->x);
    const struct app_answer *a = s->answer;
    bool                     last = ev->kind == APP_EV_FINISH, pieces = s->in->incremental.v;

    reply_native_event(b, ++s->event_id, S("result"), 200);
    buf_add(b, S("{\"output\":{"));
    if (s->in->has_thoughts.v && a->thought_count && !shows_nodes(s) && s->mode != APP_STREAM_AGENT) {
        if (!pieces || s->flow) /* a flow's list is always of all nodes so far (§4.1) */
            add_thoughts(s->rq, b, a, 0, false);
        else if (ev->kind == APP_EV_THOUGHT)
            add_thoughts(s->rq, b, a, a->thought_count - 1, true);
    }
    if (has_references(a) && (!pieces || s->references < a->reference_count))
        add_references(b, a);
    s->references = a->reference_count;
    if (ev->kind == APP_EV_NODE)
        add_node(b, ev);
    buf_addf(b, "\"finish_reason\":\"%s\",\"session_id\":", last ? "stop" : "null");
    json_add_str(b, a->session);
    if (ev->kind != APP_EV_NODE) {
        str text = !pieces || (last && shows_nodes(s)) ? buf_str(&a->text) : ev->kind == APP_EV_TEXT ? ev->text : S("");

        buf_add(b, S(",\"text\":"));
        json_add_str(b, text);
    }
    buf_add_char(b, '}');
    add_end(s->rq, b, a);
    buf_add(b, S("\n\n"));
}

/* Each frame goes out at once: a step may take its time until the next. */
SUSPENDS static enum err send_event(void *arg, const struct app_event *ev)
{
    struct frames *s = arg;
    enum err       e;

    if (!is_shown(s, ev))
        return OK;
    if (!http_begun(s->rq->x)) {
        reply_stream_begin(s->rq, 200);
        request_phase(s->rq, PHASE_STREAM);
    }
    add_frame(s, ev);
    e = http_stream_flush(s->rq->x);
    return e == ERR_EOF ? ERR_CANCELLED : e; /* the client's end is not the answer's */
}

SUSPENDS static enum err answer_stream(struct request *rq, const struct apps_input *in, struct app_run *run)
{
    struct frames         s = { .rq = rq, .in = in, .answer = app_run_answer(run) };
    const struct app_sink sink = { send_event, &s };
    struct fault_view     v;
    enum err              e;

    s.flow = app_run_kind(run) == APP_FLOW;
    s.mode = in->stream_mode ? (enum app_stream_mode)in->stream_mode : APP_STREAM_THOUGHTS;
    e = app_run(run, &sink);
    if (!http_begun(rq->x) || (e && e != ERR_FAULT))
        return e;
    if (e) {
        fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
        reply_native_fault(rq, http_stream_buf(rq->x), ++s.event_id, &v);
    }
    return http_stream_end(rq->x);
}

/* ---- the handler ---- */

/* "/api/v1/apps/{app_id}/completion"; false for another path. */
static bool read_path(str path, str *ret_app)
{
    str rest = path, app;

    for (int i = 0; i < 4; i++) /* "", "api", "v1", "apps" */
        (void)str_cut(&rest, '/');
    app = str_cut(&rest, '/');
    *ret_app = app;
    return app.len && (str_eq(rest, S("completion")) || str_eq(rest, S("completion/")));
}

SUSPENDS static enum err complete(struct request *rq, struct apps_input *in, yyjson_val *root)
{
    struct app_run *run;
    enum err        e = app_read_body(rq, root, in);

    if (!e)
        e = app_open(rq, in, &run);
    if (e)
        return e;
    return rq->stream ? answer_stream(rq, in, run) : answer_whole(rq, in, run);
}

enum err handle_native_app(struct request *rq)
{
    struct apps_input *in = arena_new(rq->arena, struct apps_input);
    yyjson_val        *root;
    enum err           e;

    might_suspend();
    if (!read_path(http_path(rq->x), &in->app))
        return fail_path_not_found(&rq->fault);
    rq->call_ms = rq->settings->apps.time_ms;
    e = request_json(rq, &root);
    if (e)
        return e;
    rq->stream = native_wants_stream(rq);
    e = complete(rq, in, root);
    /* From the input on a refusal of a streaming call is an event (platform.md §4.4). */
    if (e == ERR_FAULT && rq->stream && !http_begun(rq->x))
        return reply_fault(rq, true);
    return e;
}
