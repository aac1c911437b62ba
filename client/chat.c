/* chat.c - chat of libdashscope: a question as a body of either protocol, an answer's frames as chunks.
 *
 * A stream is read on the caller's stack: only the waiting for its next bytes is done on a fiber, so that what a chunk brings is
 * parsed, and given out, outside of the loop.
 *
 * Memory: a stream's question and connection in its `arena`, a chunk in `chunk_arena`.
 * Limits: FRAME_MAX for one frame.
 * Spec:   chat.md §3, §4, §6.1 to §6.3, §8.4.
 */
#include "client/client.h"

#include "net/sse_parser.h"

#include <stdlib.h>

#define FRAME_MAX ((size_t)16 << 20)

struct dashscope_stream {
    struct arena           arena, chunk_arena;
    struct client_call     call;
    struct sse_parser      sse;
    str                    piece;
    struct dashscope_chunk chunk;
    bool                   is_cut; /* the connection ended in order: what is left in the parser is the last frame */
    enum dashscope_result  end;    /* how it ended; DASHSCOPE_OK: it goes on */
};

/* ---- the question ---- */

static void add_content(struct buf *b, const struct dashscope_chat_input *q, const char *content)
{
    bool parts = q->multimodal && q->protocol == DASHSCOPE_NATIVE;

    buf_add(b, parts ? S("[{\"text\":") : S(""));
    json_add_str(b, str_from_cstr(content));
    buf_add(b, parts ? S("}]") : S(""));
}

static void add_messages(struct buf *b, const struct dashscope_chat_input *q)
{
    buf_add(b, S("\"messages\":"));
    if (q->messages_json) {
        buf_add(b, str_from_cstr(q->messages_json));
        return;
    }
    for (size_t i = 0; i < q->message_count; i++) {
        buf_add(b, i ? S(",{\"role\":") : S("[{\"role\":"));
        json_add_str(b, str_from_cstr(q->messages[i].role));
        buf_add(b, S(",\"content\":"));
        add_content(b, q, q->messages[i].content);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

static void add_question(struct buf *b, struct arena *a, const struct dashscope_chat_input *q, yyjson_val *parameters)
{
    buf_add(b, S("{\"model\":"));
    json_add_str(b, str_from_cstr(q->model));
    if (q->protocol == DASHSCOPE_COMPATIBLE) {
        buf_add_char(b, ',');
        add_messages(b, q);
        if (!q->whole) {
            client_add(b, parameters, "stream", S("true"));
            client_add(b, parameters, "stream_options", S("{\"include_usage\":true}"));
        }
        client_add_parameters(b, a, parameters);
    } else {
        buf_add(b, S(",\"input\":{"));
        add_messages(b, q);
        buf_add(b, S("},\"parameters\":{"));
        client_add(b, parameters, "result_format", S("\"message\""));
        if (!q->whole)
            client_add(b, parameters, "incremental_output", S("true"));
        client_add_parameters(b, a, parameters);
        buf_add_char(b, '}');
    }
    buf_add_char(b, '}');
}

static enum dashscope_result check(struct dashscope *c, const struct dashscope_chat_input *q)
{
    if (!q->model || !*q->model)
        return client_fail_missing(c, "model");
    if (!q->messages_json && !q->message_count)
        return client_fail_missing(c, "text");
    for (size_t i = 0; !q->messages_json && i < q->message_count; i++) {
        if (!q->messages[i].role)
            return client_fail_missing(c, "role");
        if (!q->messages[i].content)
            return client_fail_missing(c, "text");
    }
    return DASHSCOPE_OK;
}

static const char *path_of(const struct dashscope_chat_input *q)
{
    return q->protocol == DASHSCOPE_COMPATIBLE ? "/chat/completions"
           : q->multimodal                     ? "/services/aigc/multimodal-generation/generation"
                                               : "/services/aigc/text-generation/generation";
}

enum dashscope_result dashscope_chat_open(struct dashscope *c, const struct dashscope_chat_input *q,
                                          struct dashscope_stream **ret)
{
    struct dashscope_stream *s;
    struct buf               body;
    yyjson_val              *parameters;
    enum dashscope_result    r;

    client_begin(c);
    r = check(c, q);
    if (r)
        return r;
    s = xcalloc(1, sizeof(*s));
    arena_init(&s->arena, 0);
    arena_init(&s->chunk_arena, 0);
    buf_init(&body, &s->arena, SIZE_MAX / 2);
    r = client_parameters(c, &s->arena, q->parameters, &parameters);
    if (!r) {
        add_question(&body, &s->arena, q, parameters);
        s->call = (struct client_call){ .client = c,
                                        .protocol = q->protocol,
                                        .method = "POST",
                                        .path = path_of(q),
                                        .body = buf_str(&body),
                                        .stream = !q->whole,
                                        .arena = &s->arena };
        sse_init(&s->sse, &s->arena, FRAME_MAX);
        r = client_open(&s->call);
    }
    if (r)
        dashscope_chat_close(s);
    else
        *ret = s;
    return r;
}

/* ---- the answer ---- */

/* A text, or an array of items of which those with text count. */
static str read_content(struct arena *a, yyjson_val *content)
{
    yyjson_val *item;
    size_t      i, n;
    struct buf  b;

    if (!yyjson_is_arr(content))
        return json_str(content);
    buf_init(&b, a, SIZE_MAX / 2);
    yyjson_arr_foreach(content, i, n, item)
    {
        buf_add(&b, json_str(json_get(item, "text")));
    }
    return buf_str(&b);
}

static struct dashscope_usage read_usage(yyjson_val *usage)
{
    bool compatible = json_get(usage, "prompt_tokens") != NULL;

    return (struct dashscope_usage){
        .input_tokens = client_count(usage, compatible ? "prompt_tokens" : "input_tokens"),
        .output_tokens = client_count(usage, compatible ? "completion_tokens" : "output_tokens"),
        .total_tokens = client_count(usage, "total_tokens"),
        .reasoning_tokens = client_count(
            json_get(usage, compatible ? "completion_tokens_details" : "output_tokens_details"), "reasoning_tokens"),
        .cached_tokens = client_count(json_get(usage, "prompt_tokens_details"), "cached_tokens"),
    };
}

/* NULL in a frame of a further choice (`n`). */
static yyjson_val *first_choice(yyjson_val *choices)
{
    yyjson_val *choice = yyjson_arr_get_first(choices);

    return client_count(choice, "index") > 0 ? NULL : choice;
}

static void read_chunk(struct dashscope_stream *s, yyjson_val *root, str json)
{
    struct arena *a = &s->chunk_arena;
    yyjson_val   *output = json_get(root, "output");
    yyjson_val   *choice = first_choice(json_get(output ? output : root, "choices"));
    yyjson_val   *message = json_get(choice, "delta") ? json_get(choice, "delta") : json_get(choice, "message");
    str           text, reasoning, finish, id = json_str(json_get(root, "request_id"));

    if (!message) /* the text form, and deep research's */
        message = json_get(output, "message");
    text = arena_str(a, message ? read_content(a, json_get(message, "content")) : json_str(json_get(output, "text")));
    reasoning = arena_str(a, read_content(a, json_get(message, "reasoning_content")));
    finish = json_str(json_get(choice ? choice : output, "finish_reason"));
    s->chunk = (struct dashscope_chunk){
        .text = text.ptr,
        .text_len = text.len,
        .reasoning = reasoning.ptr,
        .reasoning_len = reasoning.len,
        .finish_reason = finish.len && !str_eq(finish, S("null")) ? str_to_cstr(a, finish) : NULL,
        .usage = read_usage(json_get(root, "usage")),
        .request_id = str_to_cstr(a, id.len ? id : s->call.request_id),
        .json = str_to_cstr(a, json),
        .json_len = json.len,
    };
}

/* An answer's JSON: a chunk, or a refusal in the middle of it. `status` is what the frame says, 0 when it says none. */
static enum dashscope_result read_json(struct dashscope_stream *s, str json, int64_t status)
{
    struct dashscope *c = s->call.client;
    yyjson_val       *root = json_parse_copy(&s->chunk_arena, json);

    if (!yyjson_is_obj(root))
        return client_fail_unreadable(c, json);
    if (json_get(root, "error") || (json_str(json_get(root, "code")).len && !json_get(root, "output")))
        return client_fail_refused(c, (int)status, json, s->call.request_id);
    read_chunk(s, root, json);
    return DASHSCOPE_OK;
}

static enum dashscope_result read_frame(struct dashscope_stream *s, const struct sse_event *ev)
{
    int64_t status = 0;

    if (str_eq(ev->data, S("[DONE]")))
        return DASHSCOPE_END;
    if (str_starts(ev->comment, S("HTTP_STATUS/")))
        (void)str_to_i64(str_from(ev->comment, sizeof("HTTP_STATUS/") - 1), &status); /* else the frame says none */
    return read_json(s, ev->data, status);
}

SUSPENDS static void next_on_fiber(void *arg)
{
    struct dashscope_stream *s = arg;

    s->call.e = http_client_next(s->call.http, &s->piece);
}

/* Until a frame is there. */
static enum dashscope_result next_frame(struct dashscope_stream *s)
{
    struct dashscope *c = s->call.client;
    struct sse_event  ev;

    for (;;) {
        if (sse_next(&s->sse, &ev))
            return read_frame(s, &ev);
        if (s->sse.problem)
            return client_fail(c, DASHSCOPE_UNREADABLE, "", "a frame is too large");
        if (s->is_cut)
            return sse_end(&s->sse, &ev) ? read_frame(s, &ev) : DASHSCOPE_END;
        client_run(c, next_on_fiber, s);
        if (s->call.e == ERR_EOF || s->call.e == ERR_PROTOCOL)
            return client_fail(c, DASHSCOPE_UNREADABLE, "", "the answer of %s broke off", c->host.ptr);
        if (s->call.e)
            return client_fail_net(c, s->call.protocol, s->call.e);
        if (s->piece.len)
            sse_feed(&s->sse, s->piece);
        else
            s->is_cut = true;
    }
}

static enum dashscope_result next_whole(struct dashscope_stream *s)
{
    str                   body;
    enum dashscope_result r = client_body(&s->call, &body);

    return r ? r : read_json(s, body, 0);
}

enum dashscope_result dashscope_chat_next(struct dashscope_stream *s, const struct dashscope_chunk **ret)
{
    struct dashscope     *c = s->call.client;
    enum dashscope_result r;

    if (s->end)
        return s->end;
    client_forget(c); /* another call may have failed since; who cancelled is heard */
    arena_reset(&s->chunk_arena);
    if (atomic_load(&c->cancelled))
        r = client_fail_net(c, s->call.protocol, ERR_CANCELLED);
    else if (!s->call.http)
        r = DASHSCOPE_END; /* behind the one chunk of a whole answer */
    else
        r = s->call.is_events ? next_frame(s) : next_whole(s);
    s->end = r;
    if (!r)
        *ret = &s->chunk;
    else if (r == DASHSCOPE_END && s->call.http)
        http_client_leave(s->call.http); /* the connection may be used again */
    return r;
}

void dashscope_chat_close(struct dashscope_stream *s)
{
    if (!s)
        return;
    arena_free(&s->chunk_arena);
    arena_free(&s->arena); /* hangs up when the answer is not over */
    free(s);
}

enum dashscope_result dashscope_chat(struct dashscope *c, const struct dashscope_chat_input *q,
                                     dashscope_on_chunk *on_chunk, void *arg)
{
    struct dashscope_stream      *s;
    const struct dashscope_chunk *chunk;
    enum dashscope_result         r = dashscope_chat_open(c, q, &s);

    if (r)
        return r;
    while ((r = dashscope_chat_next(s, &chunk)) == DASHSCOPE_OK) {
        if (on_chunk(chunk, arg)) {
            client_begin(c);
            r = client_fail_net(c, q->protocol, ERR_CANCELLED);
            break;
        }
    }
    dashscope_chat_close(s);
    return r == DASHSCOPE_END ? DASHSCOPE_OK : r;
}
