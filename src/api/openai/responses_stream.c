/* responses_stream.c - the object of a response, and the events of its stream.
 *
 * The service writes all keys in the alphabet's order. Spec: chat.md §6.7.2, §6.7.3, §6.7.5.
 */
#include "api/openai/responses.h"
#include "api/reply.h"
#include "base/clock.h"
#include "contract/fault.h"
#include "net/http_server.h"

#define ITEM_MAX ((size_t)64 << 20) /* bytes of one item: beyond any model's output */

void response_init(struct response *r, struct request *rq, const struct chat_input *in,
                   const struct responses_body *body)
{
    *r = (struct response){ .rq = rq, .in = in, .body = body, .id = arena_printf(rq->arena, "resp_%s", rq->id) };
}

/* ---- the object ---- */

static void add_text(struct buf *b, const char *key, str text)
{
    buf_add(b, str_from_cstr(key));
    json_add_str(b, text);
}

static void add_sources(struct buf *b, const struct output_item *item)
{
    for (size_t i = 0; i < item->url_count; i++) {
        add_text(b, i ? ",{\"type\":\"url\",\"url\":" : "{\"type\":\"url\",\"url\":", item->urls[i]);
        buf_add_char(b, '}');
    }
}

/* What the web was asked; the user's last words, when the engine does not say it. */
static str query(const struct response *r, const struct output_item *item)
{
    if (item->text.len)
        return buf_str(&item->text);
    for (size_t i = r->in->message_count; i > 0; i--) {
        if (r->in->messages[i - 1].role == CHAT_USER)
            return r->in->messages[i - 1].content;
    }
    return S("");
}

static void add_text_part(struct buf *b, str text, bool streamed)
{
    buf_add(b, streamed ? S("{\"annotations\":[],\"logprobs\":null,") : S("{\"annotations\":[],"));
    add_text(b, "\"text\":", text);
    buf_add(b, S(",\"type\":\"output_text\"}"));
}

void response_add_item(struct response *r, struct buf *b, const struct output_item *item, bool done)
{
    str status = done ? S(",\"status\":\"completed\"") : S(",\"status\":\"in_progress\"");

    switch (item->kind) {
    case OUTPUT_REASONING:
        add_text(b, "{\"id\":", item->id);
        buf_add(b, S(",\"summary\":["));
        if (done) {
            add_text(b, "{\"text\":", buf_str(&item->text));
            buf_add(b, S(",\"type\":\"summary_text\"}"));
        }
        buf_add(b, S("],\"type\":\"reasoning\"}"));
        break;
    case OUTPUT_MESSAGE:
        buf_add(b, S("{\"content\":["));
        if (done)
            add_text_part(b, buf_str(&item->text), false);
        add_text(b, "],\"id\":", item->id);
        buf_add(b, S(",\"role\":\"assistant\""));
        buf_add(b, status);
        buf_add(b, S(",\"type\":\"message\"}"));
        break;
    case OUTPUT_CALL:
        add_text(b, "{\"arguments\":", done ? buf_str(&item->text) : S(""));
        add_text(b, ",\"call_id\":", item->call_id);
        add_text(b, ",\"id\":", item->id);
        add_text(b, ",\"name\":", item->name);
        buf_add(b, status);
        buf_add(b, S(",\"type\":\"function_call\"}"));
        break;
    case OUTPUT_SEARCH:
        add_text(b, "{\"action\":{\"query\":", query(r, item));
        buf_add(b, S(",\"sources\":["));
        if (done)
            add_sources(b, item);
        add_text(b, "],\"type\":\"search\"},\"id\":", item->id);
        buf_add(b, status);
        buf_add(b, S(",\"type\":\"web_search_call\"}"));
        break;
    case OUTPUT_CODE:
        add_text(b, "{\"code\":", buf_str(&item->text));
        add_text(b, ",\"container_id\":\"\",\"id\":", item->id);
        buf_add(b, S(",\"outputs\":["));
        if (done && item->output.len) {
            add_text(b, "{\"logs\":", item->output);
            buf_add(b, S(",\"type\":\"logs\"}"));
        }
        buf_add_char(b, ']');
        buf_add(b, status);
        buf_add(b, S(",\"type\":\"code_interpreter_call\"}"));
        break;
    }
}

/* Parts that there are none of are left out (chat.md §6.7.2). */
static void add_prompt_details(struct buf *b, const struct chat_usage *u)
{
    if (!u->cached_tokens && !u->cache_created_tokens)
        return;
    buf_add(b, S(",\"prompt_tokens_details\":{"));
    if (u->cache_created_tokens) {
        json_add_count(b, S("\"cache_creation\":{\"ephemeral_5m_input_tokens\":"), u->cache_created_tokens);
        json_add_count(b, S("},\"cache_creation_input_tokens\":"), u->cache_created_tokens);
        buf_add(b, S(",\"cache_type\":\"ephemeral\","));
    }
    json_add_count(b, S("\"cached_tokens\":"), u->cached_tokens);
    buf_add_char(b, '}');
}

static void add_tool_count(struct buf *b, bool *any, str name, int64_t count)
{
    if (!count)
        return;
    buf_add(b, *any ? S(",\"") : S(",\"x_tools\":{\""));
    buf_add(b, name);
    json_add_count(b, S("\":{\"count\":"), count);
    buf_add_char(b, '}');
    *any = true;
}

static void add_usage(struct response *r, struct buf *b)
{
    const struct chat_usage *u = &r->rq->usage;
    bool                     tools = false;

    json_add_count(b, S("{\"input_tokens\":"), u->prompt_tokens);
    json_add_count(b, S(",\"input_tokens_details\":{\"cached_tokens\":"), u->cached_tokens);
    json_add_count(b, S("},\"output_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"output_tokens_details\":{\"reasoning_tokens\":"), u->reasoning_tokens);
    json_add_count(b, S("},\"total_tokens\":"), u->prompt_tokens + u->completion_tokens);
    json_add_count(b, S(",\"x_details\":[{\"input_tokens\":"), u->prompt_tokens);
    json_add_count(b, S(",\"output_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"output_tokens_details\":{\"reasoning_tokens\":"), u->reasoning_tokens);
    buf_add_char(b, '}');
    add_prompt_details(b, u);
    json_add_count(b, S(",\"total_tokens\":"), u->prompt_tokens + u->completion_tokens);
    buf_add(b, S(",\"x_billing_type\":\"response_api\"}]"));
    add_tool_count(b, &tools, S("code_interpreter"), u->code_runs);
    add_tool_count(b, &tools, S("web_search"), u->searches);
    buf_add(b, tools ? S("}}") : S("}"));
}

static void add_value(struct buf *b, const char *key, yyjson_val *v, str otherwise)
{
    buf_add(b, str_from_cstr(key));
    buf_add(b, v ? json_text(b->arena, v) : otherwise);
}

static void add_tools(struct response *r, struct buf *b)
{
    add_value(b, ",\"tool_choice\":", r->body->tool_choice, S("\"auto\""));
    add_value(b, ",\"tools\":", r->body->tools, S("[]"));
}

/* As a stream begins: nothing is known yet, and all that is optional is null. */
static void add_begun(struct response *r, struct buf *b, str status)
{
    buf_add(b, S("{\"background\":null,\"completed_at\":null,\"conversation\":null"));
    json_add_count(b, S(",\"created_at\":"), r->rq->arrived_ms / 1000);
    add_text(b, ",\"error\":null,\"id\":", r->id);
    buf_add(b,
            S(",\"incomplete_details\":null,\"instructions\":null,\"max_output_tokens\":null,\"max_tool_calls\":null,"
              "\"metadata\":null,\"model\":\"\",\"object\":\"response\",\"output\":[],\"parallel_tool_calls\":false,"
              "\"previous_response_id\":null,\"prompt\":null,\"prompt_cache_key\":null,"
              "\"prompt_cache_retention\":null,\"reasoning\":null,\"safety_identifier\":null,\"service_tier\":null"));
    add_text(b, ",\"status\":", status);
    buf_add(b, S(",\"temperature\":null,\"text\":null"));
    add_tools(r, b);
    buf_add(b, S(",\"top_logprobs\":null,\"top_p\":null,\"truncation\":null,\"usage\":null,\"user\":null}"));
}

static str status_of(const struct response *r)
{
    if (fault_is_set(&r->rq->fault))
        return S("failed");
    return r->finish == CHAT_FINISH_LENGTH ? S("incomplete") : S("completed");
}

static void add_error(struct response *r, struct buf *b)
{
    struct fault_view v;

    fault_render(&r->rq->fault, &r->rq->settings->wording, r->rq->arena, &v);
    add_text(b, ",\"error\":{\"code\":", v.code);
    add_text(b, ",\"message\":", v.message);
    buf_add_char(b, '}');
}

static void add_num(struct buf *b, const char *key, opt_num v)
{
    buf_add(b, str_from_cstr(key));
    if (v.set)
        json_add_num(b, v.v);
    else
        buf_add(b, S("null"));
}

void response_add(struct response *r, struct buf *b, bool stored)
{
    const struct responses_body *body = r->body;

    buf_add_char(b, '{');
    if (stored) {
        buf_add(b, S("\"background\":false"));
        json_add_count(b, S(",\"completed_at\":"), clock_unix_ms() / 1000);
        buf_add_char(b, ',');
    }
    if (body->conversation.len) {
        add_text(b, "\"conversation\":{\"id\":", body->conversation);
        buf_add(b, S("},"));
    }
    json_add_count(b, S("\"created_at\":"), r->rq->arrived_ms / 1000);
    if (fault_is_set(&r->rq->fault))
        add_error(r, b);
    if (stored)
        buf_add(b, S(",\"frequency_penalty\":0"));
    add_text(b, ",\"id\":", r->id);
    if (r->finish == CHAT_FINISH_LENGTH && !fault_is_set(&r->rq->fault))
        buf_add(b, S(",\"incomplete_details\":{\"reason\":\"max_output_tokens\"}"));
    if (stored)
        add_value(b, ",\"metadata\":", body->metadata, S("{}"));
    add_text(b, ",\"model\":", r->in->model_name);
    buf_add(b, S(",\"object\":\"response\",\"output\":["));
    for (size_t i = 0; i < r->count; i++) {
        if (i)
            buf_add_char(b, ',');
        response_add_item(r, b, &r->items[i], true);
    }
    buf_add(b,
            r->in->parallel_tool_calls.v ? S("],\"parallel_tool_calls\":true") : S("],\"parallel_tool_calls\":false"));
    if (stored)
        buf_add(b, S(",\"presence_penalty\":0"));
    if (body->previous.len)
        add_text(b, ",\"previous_response_id\":", body->previous);
    if (stored)
        buf_add(b, S(",\"service_tier\":\"default\""));
    add_text(b, ",\"status\":", status_of(r));
    if (stored) {
        buf_add(b, body->store ? S(",\"store\":true") : S(",\"store\":false"));
        add_num(b, ",\"temperature\":", r->in->temperature);
    }
    add_tools(r, b);
    if (stored) {
        buf_add(b, S(",\"top_logprobs\":0"));
        add_num(b, ",\"top_p\":", r->in->top_p);
    }
    buf_add(b, S(",\"usage\":"));
    add_usage(r, b);
    buf_add_char(b, '}');
}

/* ---- events ---- */

/* An event's frame, up to its first member; its name is its type. */
static struct buf *frame(struct response *r, const char *type)
{
    struct buf *b = http_stream_buf(r->rq->x);

    reply_native_event(b, ++r->events, str_from_cstr(type), 200);
    return b;
}

/* The members that all events end with. `text`: one that comes between them, with its comma. */
static void frame_end(struct response *r, struct buf *b, str text, const char *type)
{
    json_add_count(b, S(",\"sequence_number\":"), r->events - 1);
    buf_add(b, text);
    add_text(b, ",\"type\":", str_from_cstr(type));
    buf_add(b, S("}\n\n"));
}

static void place(struct response *r, struct buf *b, const struct output_item *item)
{
    json_add_count(b, S(",\"output_index\":"), item - r->items);
}

/* {…,"item_id","output_index","sequence_number","type"}, the events that only say where something happens. */
static void mark(struct response *r, const struct output_item *item, const char *type)
{
    struct buf *b = frame(r, type);

    add_text(b, "{\"item_id\":", item->id);
    place(r, b, item);
    frame_end(r, b, S(""), type);
}

static void begin(struct response *r, const char *type, str status)
{
    struct buf *b = frame(r, type);

    buf_add(b, S("{\"response\":"));
    add_begun(r, b, status);
    frame_end(r, b, S(""), type);
}

static void item_event(struct response *r, const struct output_item *item, const char *type, bool done)
{
    struct buf *b = frame(r, type);

    buf_add(b, S("{\"item\":"));
    response_add_item(r, b, item, done);
    place(r, b, item);
    frame_end(r, b, S(""), type);
}

static void part_event(struct response *r, const struct output_item *item, const char *type, str text)
{
    struct buf *b = frame(r, type);

    add_text(b, "{\"content_index\":0,\"item_id\":", item->id);
    place(r, b, item);
    buf_add(b, S(",\"part\":"));
    add_text_part(b, text, true);
    frame_end(r, b, S(""), type);
}

/* A piece of text, reasoning or arguments. */
static void delta_event(struct response *r, const struct output_item *item, str delta)
{
    static const char *const types[] = { [OUTPUT_REASONING] = "response.reasoning_text.delta",
                                         [OUTPUT_MESSAGE] = "response.output_text.delta",
                                         [OUTPUT_CALL] = "response.function_call_arguments.delta" };
    struct buf              *b = frame(r, types[item->kind]);

    buf_add(b, item->kind == OUTPUT_CALL ? S("{") : S("{\"content_index\":0,"));
    add_text(b, "\"delta\":", delta);
    add_text(b, ",\"item_id\":", item->id);
    if (item->kind == OUTPUT_MESSAGE)
        buf_add(b, S(",\"logprobs\":[]"));
    place(r, b, item);
    frame_end(r, b, S(""), types[item->kind]);
}

/* … and all of it, at its end. */
static void text_done(struct response *r, const struct output_item *item, const char *type)
{
    struct buf *b = frame(r, type), text;

    buf_init(&text, r->rq->arena, SIZE_MAX / 2);
    add_text(&text, ",\"text\":", buf_str(&item->text));
    add_text(b, "{\"content_index\":0,\"item_id\":", item->id);
    if (item->kind == OUTPUT_MESSAGE)
        buf_add(b, S(",\"logprobs\":[]"));
    place(r, b, item);
    frame_end(r, b, buf_str(&text), type);
}

static void arguments_done(struct response *r, const struct output_item *item)
{
    static const char type[] = "response.function_call_arguments.done";
    struct buf       *b = frame(r, type);

    add_text(b, "{\"arguments\":", buf_str(&item->text));
    add_text(b, ",\"item_id\":", item->id);
    add_text(b, ",\"name\":", item->name);
    place(r, b, item);
    frame_end(r, b, S(""), type);
}

static void item_open(struct response *r, const struct output_item *item)
{
    if (!r->in->stream)
        return;
    item_event(r, item, "response.output_item.added", false);
    switch (item->kind) {
    case OUTPUT_MESSAGE:
        part_event(r, item, "response.content_part.added", S(""));
        break;
    case OUTPUT_SEARCH:
        mark(r, item, "response.web_search_call.in_progress");
        mark(r, item, "response.web_search_call.searching");
        break;
    case OUTPUT_CODE:
        mark(r, item, "response.code_interpreter_call.in_progress");
        mark(r, item, "response.code_interpreter_call.interpreting");
        break;
    case OUTPUT_REASONING:
    case OUTPUT_CALL:
        break;
    }
}

static void item_close(struct response *r, struct output_item *item)
{
    if (item->closed)
        return;
    item->closed = true;
    if (!r->in->stream)
        return;
    switch (item->kind) {
    case OUTPUT_REASONING:
        text_done(r, item, "response.reasoning_text.done");
        break;
    case OUTPUT_MESSAGE:
        text_done(r, item, "response.output_text.done");
        part_event(r, item, "response.content_part.done", buf_str(&item->text));
        break;
    case OUTPUT_CALL:
        arguments_done(r, item);
        break;
    case OUTPUT_SEARCH:
        mark(r, item, "response.web_search_call.completed");
        break;
    case OUTPUT_CODE:
        mark(r, item, "response.code_interpreter_call.completed");
        break;
    }
    item_event(r, item, "response.output_item.done", true);
}

/* ---- from the engine's events ---- */

static struct output_item *item_new(struct response *r, enum output_kind kind)
{
    struct output_item *item;

    if (r->count == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 4;

        r->items = arena_realloc(r->rq->arena, r->items, r->cap * sizeof(*r->items), cap * sizeof(*r->items));
        r->cap = cap;
    }
    item = &r->items[r->count++];
    *item = (struct output_item){ .kind = kind, .id = responses_item_id(r->rq->arena) };
    buf_init(&item->text, r->rq->arena, ITEM_MAX);
    return item;
}

/* All are closed but calls, whose pieces may come in turn. */
static void close_texts(struct response *r)
{
    struct output_item *last = r->count ? &r->items[r->count - 1] : NULL;

    if (last && last->kind != OUTPUT_CALL)
        item_close(r, last);
}

static void close_all(struct response *r)
{
    for (size_t i = 0; i < r->count; i++)
        item_close(r, &r->items[i]);
}

/* Text goes on in the last item when it is of its kind. */
static void take_text(struct response *r, enum output_kind kind, str text)
{
    struct output_item *item = r->count ? &r->items[r->count - 1] : NULL;

    if (!item || item->kind != kind) {
        close_texts(r);
        item = item_new(r, kind);
        item_open(r, item);
    }
    buf_add(&item->text, text);
    if (r->in->stream)
        delta_event(r, item, text);
}

static void take_call(struct response *r, const struct chat_event *ev)
{
    struct output_item *item;

    close_texts(r);
    item = item_new(r, OUTPUT_CALL);
    item->tool_index = ev->tool_index;
    item->call_id = arena_str(r->rq->arena, ev->tool_id);
    item->name = arena_str(r->rq->arena, ev->tool_name);
    item_open(r, item);
}

static void take_arguments(struct response *r, const struct chat_event *ev)
{
    for (size_t i = r->count; i > 0; i--) {
        struct output_item *item = &r->items[i - 1];

        if (item->kind != OUTPUT_CALL || item->tool_index != ev->tool_index)
            continue;
        buf_add(&item->text, ev->text);
        if (r->in->stream)
            delta_event(r, item, ev->text);
        return;
    }
}

static void take_search(struct response *r, const struct chat_event *ev)
{
    struct output_item *item;

    close_texts(r);
    item = item_new(r, OUTPUT_SEARCH);
    buf_add(&item->text, ev->text);
    item->urls = arena_array(r->rq->arena, str, ev->source_count);
    item->url_count = ev->source_count;
    for (size_t i = 0; i < ev->source_count; i++)
        item->urls[i] = arena_str(r->rq->arena, ev->sources[i].url);
    item_open(r, item);
    item_close(r, item);
}

static void take_code(struct response *r, const struct chat_event *ev)
{
    struct output_item *item;

    close_texts(r);
    item = item_new(r, OUTPUT_CODE);
    buf_add(&item->text, ev->text);
    item->output = arena_str(r->rq->arena, ev->output);
    item_open(r, item);
    item_close(r, item);
}

void response_event(struct response *r, const struct chat_event *ev)
{
    if (r->in->stream && r->events == 0) {
        begin(r, "response.created", S("queued"));
        begin(r, "response.in_progress", S("in_progress"));
    }
    switch (ev->kind) {
    case CHAT_EV_REASONING:
        take_text(r, OUTPUT_REASONING, ev->text);
        break;
    case CHAT_EV_TEXT:
        take_text(r, OUTPUT_MESSAGE, ev->text);
        break;
    case CHAT_EV_TOOL_CALL:
        take_call(r, ev);
        break;
    case CHAT_EV_TOOL_ARGS:
        take_arguments(r, ev);
        break;
    case CHAT_EV_SEARCH:
        take_search(r, ev);
        break;
    case CHAT_EV_CODE:
        take_code(r, ev);
        break;
    case CHAT_EV_FINISH:
        r->finish = ev->finish;
        close_all(r);
        break;
    case CHAT_EV_AUDIO:
    case CHAT_EV_IMAGES:
    case CHAT_EV_STEP:
    case CHAT_EV_USAGE:
        break;
    }
}

void response_end(struct response *r)
{
    bool        failed = fault_is_set(&r->rq->fault);
    const char *type = failed                            ? "response.failed"
                       : r->finish == CHAT_FINISH_LENGTH ? "response.incomplete"
                                                         : "response.completed";
    struct buf *b = frame(r, type);

    buf_add(b, S("{\"response\":"));
    response_add(r, b, false);
    frame_end(r, b, S(""), type);
}
