/* messages.c - POST /apps/anthropic/v1/messages and …/messages/count_tokens.
 *
 * Spec: chat.md §7; wire-forms.md §4; access.md §2.3 (E194).
 */
#include "access/account.h"
#include "access/admission.h"
#include "api/anthropic/anthropic.h"
#include "api/body_model.h"
#include "api/pump.h"
#include "api/reply.h"
#include "contract/anthropic_body.h"
#include "net/http_server.h"
#include "service/chat.h"

/* ---- the request ---- */

/* REF: E194: what Claude Code is told with the key of another workspace. */
static enum err check_workspace(struct request *rq)
{
    return rq->key->plan || rq->key->workspace->is_default ? OK : fail_app_access_denied(&rq->fault);
}

static enum err read_messages(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    yyjson_val *messages = json_get(root, "messages");
    enum err    e;

    if (!messages)
        return fail_messages_missing_compat(&rq->fault);
    if (yyjson_is_arr(messages) && yyjson_arr_size(messages) == 0)
        return fail_messages_empty(&rq->fault); /* REF: E037 */
    e = anthropic_read_messages(rq, json_get(root, "system"), messages, in);
    return e ? e : chat_check_messages(rq, in);
}

static enum err read_parameters(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    enum model_max_tokens kind = in->model->max_tokens;
    enum err              e = params_read(rq, &chat_params_anthropic_top, root, in->model, in);

    /* What is as much as the model gives may have been more (chat_read_max_tokens()). */
    if (!e && (kind == MODEL_MAX_TOKENS_ALL || kind == MODEL_MAX_TOKENS_ABOVE) && in->thinking_budget.set &&
        in->max_tokens.set && in->thinking_budget.v >= in->max_tokens.v && in->max_tokens.v != in->model->output_max)
        return fail_budget_above_max_tokens(&rq->fault); /* REF: W401 */
    return e;
}

/* ---- what answers are made of ---- */

/* A block of a stream. Blocks follow each other, so what comes of one before those ahead of it are whole is held. */
struct block {
    struct block        *next;
    enum chat_event_kind kind; /* CHAT_EV_REASONING, CHAT_EV_TEXT, CHAT_EV_TOOL_CALL */
    struct buf           held;

    /* Of a call: the engine's number, and how far its arguments are read. */
    unsigned index;
    str      id, name;
    size_t   depth;
    bool     in_string, escaped, whole;
};

struct answer {
    struct request          *rq;
    const struct chat_input *in;
    struct chat_run         *run;
    char                     id[UUID_LEN + 1];

    /* Of a stream. */
    bool             begun;
    struct block    *first, *last; /* those that are not closed, as the engine began them */
    bool             is_open;      /* the first is; the others are held */
    int64_t          blocks;       /* so many have been begun */
    size_t           call_count;
    enum chat_finish finish;
    str              stop;
};

static void add_usage(struct answer *a, struct buf *b)
{
    const struct chat_usage *u = &a->rq->usage;

    json_add_count(b, S("\"usage\":{\"input_tokens\":"), u->prompt_tokens - u->cached_tokens - u->cache_created_tokens);
    json_add_count(b, S(",\"output_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"cache_creation_input_tokens\":"), u->cache_created_tokens);
    json_add_count(b, S(",\"cache_read_input_tokens\":"), u->cached_tokens);
    if (u->cache_created_tokens) {
        json_add_count(b, S(",\"cache_creation\":{\"ephemeral_5m_input_tokens\":"), u->cache_created_tokens);
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}

/* A call that max_tokens has cut is a call all the same (wire-forms.md §4). */
static void add_stop(struct buf *b, bool called, enum chat_finish finish, str stop)
{
    bool matched = !called && finish == CHAT_FINISH_STOP && stop.len;

    buf_add(b, S("\"stop_reason\":"));
    buf_add(b, called                         ? S("\"tool_use\"")
               : finish == CHAT_FINISH_LENGTH ? S("\"max_tokens\"")
               : matched                      ? S("\"stop_sequence\"")
                                              : S("\"end_turn\""));
    buf_add(b, S(",\"stop_sequence\":"));
    if (matched)
        json_add_str(b, stop);
    else
        buf_add(b, S("null"));
}

/* ---- whole ---- */

/* The arguments as an object; what is none (an engine's mistake, or cut off) in one member. */
static void add_input(struct answer *a, struct buf *b, str arguments)
{
    yyjson_val *v = json_parse_copy(a->rq->arena, arguments);

    if (yyjson_is_obj(v)) {
        buf_add(b, json_text(a->rq->arena, v));
    } else if (!arguments.len) {
        buf_add(b, S("{}"));
    } else {
        buf_add(b, S("{\"raw_arguments\":"));
        json_add_str(b, arguments);
        buf_add_char(b, '}');
    }
}

static void add_content(struct answer *a, struct buf *b, const struct gathered *g)
{
    bool first = true;

    if (g->reasoned) {
        buf_add(b, S("{\"type\":\"thinking\",\"thinking\":"));
        json_add_str(b, buf_str(&g->reasoning));
        buf_add(b, S(",\"signature\":\"\"}"));
        first = false;
    }
    if (g->text.len) {
        buf_add(b, first ? S("{\"type\":\"text\",\"text\":") : S(",{\"type\":\"text\",\"text\":"));
        json_add_str(b, buf_str(&g->text));
        buf_add_char(b, '}');
        first = false;
    }
    for (size_t i = 0; i < g->call_count; i++) {
        buf_add(b, first ? S("{\"type\":\"tool_use\",\"id\":") : S(",{\"type\":\"tool_use\",\"id\":"));
        json_add_str(b, g->calls[i].id);
        buf_add(b, S(",\"name\":"));
        json_add_str(b, g->calls[i].name);
        buf_add(b, S(",\"input\":"));
        add_input(a, b, buf_str(&g->calls[i].arguments));
        buf_add_char(b, '}');
        first = false;
    }
}

static enum err answer_whole(struct answer *a)
{
    struct gathered *g = gather_new(a->rq->arena, 1);
    struct buf       b;
    enum err         e = pump_whole(g, a->run);

    if (e)
        return e;
    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":\"msg_"));
    buf_add(&b, str_of(a->id, UUID_LEN));
    buf_add(&b, S("\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"));
    json_add_str(&b, a->in->model_name);
    buf_add(&b, S(",\"content\":["));
    add_content(a, &b, g);
    buf_add(&b, S("],"));
    add_stop(&b, g->call_count > 0, g->finish, g->stop);
    buf_add_char(&b, ',');
    add_usage(a, &b);
    buf_add_char(&b, '}');
    return reply_json(a->rq, buf_str(&b));
}

/* ---- stream ---- */

static struct buf *event_begin(struct answer *a, str name)
{
    struct buf *b = http_stream_buf(a->rq->x);

    reply_anthropic_event(a->rq, b, name);
    return b;
}

static void send_start(struct answer *a)
{
    const struct chat_usage *u = &a->rq->usage;
    struct buf              *b = event_begin(a, S("message_start"));

    a->begun = true;
    buf_add(b, S("{\"message\":{\"model\":"));
    json_add_str(b, a->in->model_name);
    buf_add(b, S(",\"id\":\"msg_"));
    buf_add(b, str_of(a->id, UUID_LEN));
    buf_add(
        b,
        S("\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,"));
    json_add_count(b, S("\"usage\":{\"input_tokens\":"), u->prompt_tokens - u->cached_tokens - u->cache_created_tokens);
    buf_add(b, S(",\"output_tokens\":0}},\"type\":\"message_start\"}\n\n"));
}

static struct buf *delta_begin(struct answer *a, str type_and_name)
{
    struct buf *b = event_begin(a, S("content_block_delta"));

    buf_add(b, S("{\"delta\":{\"type\":"));
    buf_add(b, type_and_name);
    return b;
}

static void delta_end(struct buf *b, int64_t block)
{
    buf_add(b, S("},\"type\":\"content_block_delta\",\"index\":"));
    buf_add_i64(b, block);
    buf_add(b, S("}\n\n"));
}

static void block_close(struct answer *a)
{
    struct buf *b;

    if (!a->is_open)
        return;
    if (a->first->kind == CHAT_EV_REASONING)
        delta_end(delta_begin(a, S("\"signature_delta\",\"signature\":\"\"")), a->blocks - 1);
    b = event_begin(a, S("content_block_stop"));
    buf_add(b, S("{\"type\":\"content_block_stop\",\"index\":"));
    buf_add_i64(b, a->blocks - 1);
    buf_add(b, S("}\n\n"));
    a->is_open = false;
    a->first = a->first->next;
    if (!a->first)
        a->last = NULL;
}

static void send_piece(struct answer *a, enum chat_event_kind kind, str text)
{
    struct buf *b = delta_begin(a, kind == CHAT_EV_REASONING ? S("\"thinking_delta\",\"thinking\":")
                                   : kind == CHAT_EV_TEXT    ? S("\"text_delta\",\"text\":")
                                                             : S("\"input_json_delta\",\"partial_json\":"));

    json_add_str(b, text);
    delta_end(b, a->blocks - 1);
}

/* The first piece of a call's arguments is empty (wire-forms.md §4). */
static void block_open(struct answer *a)
{
    const struct block *k = a->first;
    struct buf         *b = event_begin(a, S("content_block_start"));

    buf_add(b, S("{\"content_block\":{\"type\":"));
    if (k->kind == CHAT_EV_TOOL_CALL) {
        buf_add(b, S("\"tool_use\",\"id\":"));
        json_add_str(b, k->id);
        buf_add(b, S(",\"name\":"));
        json_add_str(b, k->name);
        buf_add(b, S(",\"input\":{}"));
    } else {
        buf_add(b, k->kind == CHAT_EV_REASONING ? S("\"thinking\",\"thinking\":\"\",\"signature\":\"\"")
                                                : S("\"text\",\"text\":\"\""));
    }
    buf_add(b, S("},\"type\":\"content_block_start\",\"index\":"));
    buf_add_i64(b, a->blocks++);
    buf_add(b, S("}\n\n"));
    a->is_open = true;
    if (k->kind == CHAT_EV_TOOL_CALL)
        send_piece(a, k->kind, S(""));
    if (k->held.len)
        send_piece(a, k->kind, buf_str(&k->held));
}

/* Begins the blocks that wait for no other: a call is whole with its arguments, another block when something follows it.
 * `all`: none waits any more. The last one stays open. */
static void blocks_go_on(struct answer *a, bool all)
{
    while (a->first) {
        if (!a->is_open)
            block_open(a);
        if (!a->first->next || (!all && a->first->kind == CHAT_EV_TOOL_CALL && !a->first->whole))
            return;
        block_close(a);
    }
}

static struct block *block_add(struct answer *a, enum chat_event_kind kind)
{
    struct block *k = arena_new(a->rq->arena, struct block);

    k->kind = kind;
    buf_init(&k->held, a->rq->arena, GATHER_MAX);
    if (a->last)
        a->last->next = k;
    else
        a->first = k;
    return a->last = k;
}

static void add_piece(struct answer *a, struct block *k, str text)
{
    if (k == a->first && a->is_open)
        send_piece(a, k->kind, text);
    else
        buf_add(&k->held, text);
}

/* Whether the arguments' outermost value has ended, by its brackets alone. */
static void call_scan(struct block *c, str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char ch = text.ptr[i];

        if (c->in_string) {
            c->in_string = c->escaped || ch != '"';
            c->escaped = !c->escaped && ch == '\\';
        } else if (ch == '"') {
            c->in_string = true;
        } else if (ch == '{' || ch == '[') {
            c->depth++;
        } else if ((ch == '}' || ch == ']') && c->depth) {
            c->whole = --c->depth == 0;
        }
    }
}

static void begin_call(struct answer *a, const struct chat_event *ev)
{
    struct block *c;

    if (a->call_count == GATHER_CALLS_MAX)
        return;
    a->call_count++;
    c = block_add(a, CHAT_EV_TOOL_CALL);
    c->index = ev->tool_index;
    c->id = arena_str(a->rq->arena, ev->tool_id);
    c->name = arena_str(a->rq->arena, ev->tool_name);
    blocks_go_on(a, false);
}

static void add_arguments(struct answer *a, const struct chat_event *ev)
{
    struct block *c = NULL;

    for (struct block *k = a->first; k; k = k->next) {
        if (k->kind == CHAT_EV_TOOL_CALL && k->index == ev->tool_index)
            c = k;
    }
    if (!c || !ev->text.len)
        return;
    call_scan(c, ev->text);
    add_piece(a, c, ev->text);
    blocks_go_on(a, false);
}

static void add_text(struct answer *a, const struct chat_event *ev)
{
    struct block *k = a->last;

    if (!ev->text.len)
        return;
    if (!k || k->kind != ev->kind)
        k = block_add(a, ev->kind);
    blocks_go_on(a, false);
    add_piece(a, k, ev->text);
}

static void send_event(void *arg, const struct chat_event *ev)
{
    struct answer *a = arg;

    if (!a->begun)
        send_start(a);
    switch (ev->kind) {
    case CHAT_EV_REASONING:
    case CHAT_EV_TEXT:
        add_text(a, ev);
        break;
    case CHAT_EV_TOOL_CALL:
        begin_call(a, ev);
        break;
    case CHAT_EV_TOOL_ARGS:
        add_arguments(a, ev);
        break;
    case CHAT_EV_FINISH:
        a->finish = ev->finish;
        a->stop = arena_str(a->rq->arena, ev->stop);
        break;
    case CHAT_EV_SEARCH:
    case CHAT_EV_CODE:
    case CHAT_EV_AUDIO:
    case CHAT_EV_IMAGES:
    case CHAT_EV_STEP:
    case CHAT_EV_USAGE:
        break;
    }
}

static void send_end(struct answer *a)
{
    struct buf *b;

    blocks_go_on(a, true);
    block_close(a);
    b = event_begin(a, S("message_delta"));
    buf_add(b, S("{\"delta\":{"));
    add_stop(b, a->call_count > 0, a->finish, a->stop);
    buf_add(b, S("},"));
    add_usage(a, b);
    buf_add(b, S(",\"type\":\"message_delta\"}\n\n"));
    b = event_begin(a, S("message_stop"));
    buf_add(b, S("{\"type\":\"message_stop\"}\n\n"));
}

static enum err answer_stream(struct answer *a)
{
    struct request *rq = a->rq;
    enum err        e = pump_stream(rq, a->run, send_event, a);

    if (!http_begun(rq->x) || (e != ERR_FAULT && e != ERR_EOF))
        return e;
    if (e == ERR_EOF) {
        send_end(a);
    } else {
        blocks_go_on(a, true); /* what was held came before the fault */
        reply_anthropic_fault(rq, http_stream_buf(rq->x));
    }
    return http_stream_end(rq->x);
}

/* ---- the handlers ---- */

static enum err answer(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    struct answer *a = arena_new(rq->arena, struct answer);
    enum err       e;

    if (json_get(root, "thread"))
        return fail_threads_unsupported(&rq->fault); /* REF: D012: else its second turn would lack the first */
    e = read_messages(rq, root, in);
    if (!e && !json_get(root, "max_tokens"))
        e = fail_parameter_missing_named(&rq->fault, S("max_tokens")); /* REF: E039 */
    if (!e)
        e = read_parameters(rq, root, in);
    if (!e)
        e = chat_open(rq, in, &a->run);
    if (e)
        return e;
    a->rq = rq;
    a->in = in;
    rand_uuid(a->id, '4');
    return in->stream ? answer_stream(a) : answer_whole(a);
}

enum err handle_anthropic_messages(struct request *rq)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    yyjson_val        *root;
    enum err           e = check_workspace(rq);

    if (!e)
        e = request_json(rq, &root);
    if (e)
        return e;
    rq->stream = yyjson_is_true(json_get(root, "stream"));
    e = body_model_anthropic(rq, root, &in->model);
    in->model_name = rq->model_name;
    if (!e)
        e = admit(rq, in->model);
    if (!e)
        e = answer(rq, root, in);
    /* The service's flat refusal of a stream is an event (wire-forms.md §4). */
    if (e == ERR_FAULT && rq->stream && rq->settings->anthropic_flat && !http_begun(rq->x))
        return reply_fault(rq, true);
    return e;
}

enum err handle_anthropic_count_tokens(struct request *rq)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    yyjson_val        *root;
    struct buf         b;
    enum err           e = check_workspace(rq);

    if (!e)
        e = request_json(rq, &root);
    if (e)
        return e;
    e = body_model_anthropic(rq, root, &in->model);
    if (!e)
        e = account_permits(rq, in->model);
    in->model_name = rq->model_name;
    if (!e)
        e = read_messages(rq, root, in);
    if (!e)
        e = read_parameters(rq, root, in);
    if (!e)
        e = chat_count(rq, in);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    json_add_count(&b, S("{\"input_tokens\":"), in->prompt_tokens);
    buf_add_char(&b, '}');
    return reply_json(rq, buf_str(&b));
}
