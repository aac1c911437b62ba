/* answer.c - what an upstream answers, as chat_events.
 *
 * Spec: chat.md §6.2, §6.3, §8.4; what vLLM, llama.cpp, SGLang and Ollama do otherwise is in test_upstream_answer.c.
 */
#include "engine/upstream/answer.h"

#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "engine/upstream/refusal.h"

#include <stdlib.h>

#define SCRATCH_MIN    ((size_t)2 * 1024)
#define SCRATCH_MAX    ((size_t)64 * 1024) /* kept for the next chunk */
#define QUEUE_MIN      8
#define CUMULATIVE_MAX ((size_t)1 << 20)
#define LIKE_MAX       ((size_t)4 * 1024) /* of an event that the next is compared with */
#define ID_HEX         24                 /* digits of a call's id, as the service makes them */

/* ---- memory for one parsed chunk ---- */

struct scratch_big {
    struct scratch_big *next;
    max_align_t         bytes[];
};

static void *scratch_malloc(void *ctx, size_t size)
{
    struct scratch     *s = ctx;
    struct scratch_big *big;

    size = (size + 15) & ~(size_t)15;
    s->wanted += size;
    if (size <= s->size - s->used) {
        s->used += size;
        return s->mem + s->used - size;
    }
    big = xmalloc(sizeof(*big) + size);
    big->next = s->big;
    s->big = big;
    return big->bytes;
}

static void *scratch_realloc(void *ctx, void *ptr, size_t old_size, size_t size)
{
    void *p = scratch_malloc(ctx, size);

    memcpy(p, ptr, min_size(old_size, size));
    return p;
}

static void scratch_free(void *ctx, void *ptr)
{
    (void)ctx, (void)ptr; /* all of it goes with the next chunk */
}

static void scratch_free_big(void *arg)
{
    struct scratch *s = arg;

    while (s->big) {
        struct scratch_big *next = s->big->next;

        free(s->big);
        s->big = next;
    }
}

static void scratch_reset(struct scratch *s)
{
    scratch_free_big(s);
    if (s->wanted > s->size && s->size < SCRATCH_MAX) {
        s->size = min_size(max_size(s->wanted + s->wanted / 2, SCRATCH_MIN), SCRATCH_MAX);
        s->mem = arena_alloc(s->arena, s->size);
    }
    s->used = s->wanted = 0;
}

static void scratch_init(struct scratch *s, struct arena *a)
{
    *s = (struct scratch){ .arena = a, .wanted = SCRATCH_MIN };
    arena_defer(a, scratch_free_big, s);
}

static yyjson_val *scratch_parse(struct scratch *s, str json, yyjson_read_err *ret_problem)
{
    yyjson_alc  alc = { .malloc = scratch_malloc, .realloc = scratch_realloc, .free = scratch_free, .ctx = s };
    yyjson_doc *doc;

    scratch_reset(s);
    /* Without YYJSON_READ_INSITU the text is copied and not written to. */
    doc = json.len ? yyjson_read_opts((char *)(uintptr_t)json.ptr, json.len, YYJSON_READ_NOFLAG, &alc, ret_problem)
                   : NULL;
    return doc ? yyjson_doc_get_root(doc) : NULL;
}

/* ---- the queue ---- */

void answer_init(struct answer *an, struct arena *a, struct fault *f, const struct chat_input *in, bool cloud)
{
    int64_t n = in->n.set ? in->n.v : 1;

    *an = (struct answer){ .arena = a, .fault = f, .cloud = cloud };
    an->input_max = in->model ? model_input_max(in->model, in->thinking) : 0;
    an->choice_count = (unsigned)max_i64(1, min_i64(n, ANSWER_CHOICES_MAX));
    an->choices = arena_array(a, struct answer_choice, an->choice_count);
    an->forced = in->tool_choice == CHAT_TOOLS_NAMED;
    an->logprobs = in->logprobs.v;
    an->cumulative = cloud && in->model && in->model->incremental == MODEL_INCREMENTAL_NEVER;
    for (unsigned i = 0; i < an->choice_count && an->cumulative; i++)
        buf_init(&an->choices[i].text, a, CUMULATIVE_MAX);
    scratch_init(&an->scratch[0], a);
    scratch_init(&an->scratch[1], a);
    buf_init(&an->like.raw, a, LIKE_MAX);
}

static struct chat_event *queue_add(struct answer *an, enum chat_event_kind kind, unsigned choice)
{
    struct chat_event *ev;

    if (an->queue_count == an->queue_cap) {
        unsigned cap = an->queue_cap ? 2 * an->queue_cap : QUEUE_MIN;

        an->queue = arena_realloc(an->arena, an->queue, an->queue_cap * sizeof(*an->queue), cap * sizeof(*an->queue));
        an->queue_cap = cap;
    }
    ev = &an->queue[an->queue_count++];
    *ev = (struct chat_event){ .kind = kind, .choice = choice, .tokens = -1 };
    return ev;
}

bool answer_take(struct answer *an, struct chat_event *ret)
{
    if (!answer_has_event(an))
        return false;
    *ret = an->queue[an->queue_next++];
    if (an->queue_next == an->queue_count)
        an->queue_next = an->queue_count = 0;
    return true;
}

static void text_add(struct answer *an, enum chat_event_kind kind, unsigned choice, str text)
{
    if (text.len)
        queue_add(an, kind, choice)->text = text;
}

/* ---- one message, or a piece of it ---- */

/* What the piece adds to a cumulative answer. A piece that does not begin with the text so far is new as a whole. */
static str text_new(struct answer *an, unsigned choice, str text)
{
    struct buf *all = &an->choices[choice].text;

    if (!an->cumulative || !an->streamed)
        return text;
    if (str_starts(text, buf_str(all)))
        text = str_from(text, all->len);
    buf_add(all, text);
    return text;
}

/* Text, or an array of parts with text in them. */
static void content_read(struct answer *an, unsigned choice, yyjson_val *content)
{
    yyjson_val *part;
    size_t      i, max;

    if (yyjson_is_str(content)) {
        text_add(an, CHAT_EV_TEXT, choice, text_new(an, choice, json_str(content)));
        return;
    }
    if (!yyjson_is_arr(content))
        return;
    yyjson_arr_foreach(content, i, max, part)
    {
        text_add(an, CHAT_EV_TEXT, choice, json_str(json_get(part, "text")));
    }
}

/* Speech: Base64 of PCM, and what is said in it where the text has no place of its own. */
static void audio_read(struct answer *an, unsigned choice, yyjson_val *audio)
{
    text_add(an, CHAT_EV_TEXT, choice, json_str(json_get(audio, "transcript")));
    text_add(an, CHAT_EV_AUDIO, choice, json_str(json_get(audio, "data")));
}

/* One of "content", or of the "top_logprobs" of one. Without bytes the text is what there is. */
static struct chat_logprob logprob_read(struct arena *a, yyjson_val *v)
{
    struct chat_logprob p = { .token = arena_str(a, json_str(json_get(v, "token"))),
                              .logprob = yyjson_get_num(json_get(v, "logprob")) };
    yyjson_val         *bytes = json_get(v, "bytes"), *byte;
    size_t              i, max;

    if (yyjson_arr_size(bytes)) {
        char *raw = arena_bytes(a, yyjson_arr_size(bytes));

        yyjson_arr_foreach(bytes, i, max, byte)
        {
            raw[i] = (char)yyjson_get_uint(byte);
        }
        p.token = str_of(raw, yyjson_arr_size(bytes));
    }
    return p;
}

static const struct chat_logprob *logprobs_read(struct arena *a, yyjson_val *list, size_t *ret_count)
{
    struct chat_logprob *all = arena_array(a, struct chat_logprob, yyjson_arr_size(list));
    yyjson_val          *v, *other;
    size_t               i, max, k, others;

    yyjson_arr_foreach(list, i, max, v)
    {
        yyjson_val          *top = json_get(v, "top_logprobs");
        struct chat_logprob *named = arena_array(a, struct chat_logprob, yyjson_arr_size(top));

        yyjson_arr_foreach(top, k, others, other)
        {
            named[k] = logprob_read(a, other);
        }
        all[i] = logprob_read(a, v);
        all[i].top = named;
        all[i].top_count = yyjson_arr_size(top);
    }
    *ret_count = yyjson_arr_size(list);
    return all;
}

/* The probabilities belong to the text that the same choice has just queued from `first` on, if there is any. */
static void logprobs_attach(struct answer *an, unsigned first, yyjson_val *list)
{
    if (!yyjson_arr_size(list))
        return;
    for (unsigned i = first; i < an->queue_count; i++) {
        struct chat_event *ev = &an->queue[i];

        if (ev->kind != CHAT_EV_TEXT)
            continue;
        ev->logprobs = logprobs_read(an->arena, list, &ev->logprob_count);
        return;
    }
}

static struct answer_call *call_add(struct answer *an, struct answer_choice *ch, int64_t wire_index)
{
    struct answer_call *call;

    if (ch->call_count == ANSWER_CALLS_MAX)
        return NULL;
    if (ch->call_count == ch->call_cap) {
        unsigned cap = ch->call_cap ? 2 * ch->call_cap : 4;

        ch->calls = arena_realloc(an->arena, ch->calls, ch->call_cap * sizeof(*call), cap * sizeof(*call));
        ch->call_cap = cap;
    }
    call = &ch->calls[ch->call_count++];
    *call = (struct answer_call){ .wire_index = wire_index };
    return call;
}

/* Which call a piece belongs to. In a whole answer each is a call of its own. With an index: the newest of that index,
 * unless the piece names a function under another id (Ollama numbered all calls 0). Without one: the newest, unless the
 * piece names a function and does not repeat its id. */
static struct answer_call *call_find(struct answer *an, struct answer_choice *ch, int64_t wire_index, str id, str name)
{
    struct answer_call *call = NULL;

    for (unsigned i = ch->call_count; an->streamed && i > 0 && !call; i--) {
        if (wire_index < 0 || ch->calls[i - 1].wire_index == wire_index)
            call = &ch->calls[i - 1];
    }
    if (call && call->begun && name.len) {
        bool other_id = id.len && call->id.len && !str_eq(id, call->id);

        if (other_id || (wire_index < 0 && !id.len))
            call = NULL;
    }
    return call ? call : call_add(an, ch, wire_index);
}

static void call_begin(struct answer *an, struct answer_choice *ch, struct answer_call *call)
{
    unsigned           index = (unsigned)(call - ch->calls);
    struct chat_event *ev = queue_add(an, CHAT_EV_TOOL_CALL, (unsigned)(ch - an->choices));

    if (!call->id.len) {
        char *id = arena_bytes(an->arena, 5 + ID_HEX);

        memcpy(id, "call_", 5);
        rand_hex(id + 5, ID_HEX);
        call->id = str_of(id, 5 + ID_HEX);
    }
    call->begun = true;
    ev->tool_index = index;
    ev->tool_id = call->id;
    ev->tool_name = call->name;
}

static enum err call_read(struct answer *an, struct answer_choice *ch, yyjson_val *v)
{
    yyjson_val         *function = json_get(v, "function");
    yyjson_val         *arguments = json_get(function, "arguments");
    str                 id = json_str(json_get(v, "id")), name = json_str(json_get(function, "name"));
    int64_t             wire_index = -1;
    struct answer_call *call;
    str                 text;

    if (!yyjson_is_obj(v))
        return refusal_of_protocol(an->fault, an->arena, "a tool call is no object", S(""));
    if (!json_to_i64(json_get(v, "index"), &wire_index) || wire_index < 0)
        wire_index = -1;
    call = call_find(an, ch, wire_index, id, name);
    if (!call)
        return refusal_of_protocol(an->fault, an->arena, "too many tool calls", S(""));
    text = yyjson_is_obj(arguments) ? json_text(an->arena, arguments) : json_str(arguments);
    if (!call->begun) {
        if (id.len)
            call->id = arena_str(an->arena, id);
        if (name.len)
            call->name = arena_str(an->arena, name);
        if (call->name.len || text.len)
            call_begin(an, ch, call);
    }
    if (text.len) {
        struct chat_event *ev = queue_add(an, CHAT_EV_TOOL_ARGS, (unsigned)(ch - an->choices));

        ev->tool_index = (unsigned)(call - ch->calls);
        ev->text = text;
    }
    return OK;
}

static enum err calls_read(struct answer *an, struct answer_choice *ch, yyjson_val *calls)
{
    yyjson_val *v;
    size_t      i, max;

    yyjson_arr_foreach(calls, i, max, v)
    {
        enum err e = call_read(an, ch, v);

        if (e)
            return e;
    }
    return OK;
}

/* `stop`: what the engine says of the text that ended the choice, or empty. */
static enum err finish_read(struct answer *an, struct answer_choice *ch, str reason, str stop)
{
    enum chat_finish   finish = CHAT_FINISH_STOP;
    struct chat_event *ev;

    if (str_eq(reason, S("error")) || str_eq(reason, S("abort"))) {
        (void)fail_algorithm_runtime(an->fault); /* REF: E220 */
        return fault_detail(an->fault,
                            arena_printf(an->arena, "the upstream ended with finish_reason %.*s", STR_ARG(reason)));
    }
    if (str_eq(reason, S("content_filter"))) {
        (void)fail_moderation_any(an->fault); /* REF: E100a: which side it was, it does not say */
        return fault_detail(an->fault, S("the upstream's own moderation ended the answer"));
    }
    if (str_eq(reason, S("function_call")))
        finish = CHAT_FINISH_TOOL_CALLS;
    else if (!chat_finish_parse(reason, &finish) || finish == CHAT_FINISH_NONE)
        finish = CHAT_FINISH_STOP; /* "eos", "end_turn": it came to its end */
    if (finish == CHAT_FINISH_STOP && ch->call_count && !an->forced)
        finish = CHAT_FINISH_TOOL_CALLS;
    for (unsigned i = 0; i < ch->call_count; i++) {
        if (!ch->calls[i].begun)
            call_begin(an, ch, &ch->calls[i]);
    }
    ch->finished = true;
    ev = queue_add(an, CHAT_EV_FINISH, (unsigned)(ch - an->choices));
    ev->finish = finish;
    ev->stop = stop;
    return OK;
}

/* vLLM's and SGLang's names for the text of `stop` that ended the choice; a number there is a token, and none of ours. */
static str stop_read(yyjson_val *choice)
{
    str matched = json_str(json_get(choice, "stop_reason"));

    return matched.len ? matched : json_str(json_get(choice, "matched_stop"));
}

static enum err choice_read(struct answer *an, yyjson_val *v)
{
    yyjson_val           *message = json_get(v, an->streamed ? "delta" : "message");
    yyjson_val           *reason, *reasoning;
    struct answer_choice *ch;
    int64_t               index = 0;
    unsigned              queued;
    enum err              e;

    if (!yyjson_is_obj(v))
        return refusal_of_protocol(an->fault, an->arena, "a choice is no object", S(""));
    (void)json_to_i64(json_get(v, "index"), &index); /* left out: there is one */
    if (index < 0 || index >= an->choice_count)
        return OK; /* nobody asked for it */
    ch = &an->choices[index];
    if (ch->finished)
        return OK;
    ch->begun = true;
    if (!message)
        message = json_get(v, an->streamed ? "message" : "delta");
    reasoning = json_get(message, "reasoning_content");
    if (!reasoning)
        reasoning = json_get(message, "reasoning");
    text_add(an, CHAT_EV_REASONING, (unsigned)index, json_str(reasoning));
    queued = an->queue_count;
    content_read(an, (unsigned)index,
                 message ? json_get(message, "content") : json_get(v, "text")); /* completions: text */
    if (UNLIKELY(an->logprobs))
        logprobs_attach(an, queued, json_get(json_get(v, "logprobs"), "content"));
    audio_read(an, (unsigned)index, json_get(message, "audio"));
    e = calls_read(an, ch, json_get(message, "tool_calls"));
    if (e)
        return e;
    reason = json_get(v, "finish_reason");
    if (yyjson_is_str(reason) && yyjson_get_len(reason))
        return finish_read(an, ch, json_str(reason), stop_read(v));
    return OK;
}

/* ---- usage and the end ---- */

#define COUNT_MAX INT64_C(1000000000) /* tokens of one answer: what says more is wrong, and is not to be summed up */

static int64_t count_read(yyjson_val *v)
{
    int64_t n = 0;

    (void)json_to_i64(v, &n); /* left out, null: none */
    return min_i64(max_i64(n, 0), COUNT_MAX);
}

static void usage_read(struct answer *an, yyjson_val *v)
{
    yyjson_val *prompt = json_get(v, "prompt_tokens_details"), *completion = json_get(v, "completion_tokens_details");

    if (!yyjson_is_obj(v) || !json_get(v, "prompt_tokens"))
        return;
    an->usage.prompt_tokens = count_read(json_get(v, "prompt_tokens"));
    an->usage.completion_tokens = count_read(json_get(v, "completion_tokens"));
    an->usage.reasoning_tokens = count_read(json_get(completion ? completion : v, "reasoning_tokens"));
    an->usage.cached_tokens = count_read(json_get(prompt, "cached_tokens"));
    an->usage.cache_created_tokens = count_read(json_get(prompt, "cache_creation_input_tokens"));
    an->usage.image_tokens = count_read(json_get(prompt, "image_tokens"));
    an->usage.video_tokens = count_read(json_get(prompt, "video_tokens"));
    an->usage.audio_tokens = count_read(json_get(prompt, "audio_tokens"));
    an->usage.audio_out_tokens = count_read(json_get(completion, "audio_tokens"));
    an->usage.searches = count_read(json_get(json_get(json_get(v, "plugins"), "search"), "count"));
    an->usage.image_searches = count_read(json_get(json_get(json_get(v, "plugins"), "image_search"), "count"));
    an->usage.code_runs = count_read(json_get(json_get(json_get(v, "plugins"), "code_interpreter"), "count"));
    an->has_usage = true;
}

static void usage_say(struct answer *an)
{
    if (!an->has_usage || an->usage_said)
        return;
    an->usage_said = true;
    queue_add(an, CHAT_EV_USAGE, 0)->usage = an->usage;
}

static bool all_finished(const struct answer *an)
{
    bool any = false;

    for (unsigned i = 0; i < an->choice_count; i++) {
        if (an->choices[i].begun && !an->choices[i].finished)
            return false;
        any = any || an->choices[i].finished;
    }
    return any;
}

static enum err choices_read(struct answer *an, yyjson_val *choices)
{
    yyjson_val *v;
    size_t      i, max;

    yyjson_arr_foreach(choices, i, max, v)
    {
        enum err e = choice_read(an, v);

        if (e)
            return e;
    }
    return OK;
}

/* ---- a stream ---- */

/* The status that the native protocol gives in a comment, ":HTTP_STATUS/429". */
static int status_of_comment(str comment)
{
    int64_t v;

    if (!str_starts(comment, S("HTTP_STATUS/")) || !str_to_i64(str_from(comment, 12), &v))
        return 0;
    return v >= 400 && v <= 599 ? (int)v : 0;
}

static enum err refused(struct answer *an, struct refusal *r, str comment)
{
    if (!r->status)
        r->status = status_of_comment(comment);
    return refusal_in_answer(an->fault, an->arena, an->cloud, an->input_max, r);
}

/* Remembers an event that gave one piece of text and nothing else, at `first` in the queue. Without a backslash all of its
 * strings stand as they are, so that the text is where it is found, if that is one place. */
static void like_set(struct answer *an, unsigned first, str data, yyjson_val *root)
{
    struct answer_like      *like = &an->like;
    const struct chat_event *ev;
    size_t                   at;
    str                      quoted;

    like->before = 0;
    if (UNLIKELY(an->logprobs || an->cumulative))
        return;                       /* there is more in such an event than its text */
    if (an->queue_count != first + 1) /* nothing is there at all, perhaps not even a queue */
        return;
    ev = &an->queue[first];
    if ((ev->kind != CHAT_EV_TEXT && ev->kind != CHAT_EV_REASONING) || data.len > LIKE_MAX ||
        str_find(data, '\\') != STR_NONE || json_get(root, "usage"))
        return;
    buf_reset(&like->raw);
    buf_add_char(&like->raw, '"');
    buf_add(&like->raw, ev->text);
    buf_add_char(&like->raw, '"');
    quoted = buf_str(&like->raw);
    at = str_find_str(data, quoted);
    if (at == STR_NONE || str_find_str(str_from(data, at + 1), quoted) != STR_NONE)
        return;
    like->before = at + 1;
    like->after = data.len - like->before - ev->text.len;
    like->choice = ev->choice;
    like->kind = ev->kind;
    buf_reset(&like->raw);
    buf_add(&like->raw, data);
}

/* Whether the event is like that one but for its text, which is queued then. */
static bool like_read(struct answer *an, str data)
{
    const struct answer_like *like = &an->like;
    str                       raw = buf_str(&like->raw), text;
    char                     *kept;

    if (!like->before || data.len <= like->before + like->after || an->choices[like->choice].finished)
        return false;
    text = str_of(data.ptr + like->before, data.len - like->before - like->after);
    if (memcmp(data.ptr, raw.ptr, like->before) != 0 ||
        memcmp(str_end(text), str_end(raw) - like->after, like->after) != 0 || json_plain_len(text) != text.len ||
        !utf8_valid(text))
        return false;
    scratch_reset(&an->scratch[an->turn]);
    kept = scratch_malloc(&an->scratch[an->turn], text.len);
    memcpy(kept, text.ptr, text.len);
    text_add(an, like->kind, like->choice, str_of(kept, text.len));
    return true;
}

enum err answer_event(struct answer *an, const struct sse_event *ev)
{
    yyjson_val     *root, *choices;
    struct refusal  r;
    yyjson_read_err problem = { .msg = "empty" };
    unsigned        queued = an->queue_count;
    enum err        e = OK;

    an->streamed = true;
    if (an->over)
        return OK;
    if (str_eq(ev->data, S("[DONE]"))) {
        an->over = true;
        /* It says that all is well: some leave the reason out. */
        for (unsigned i = 0; i < an->choice_count && !e; i++) {
            if (an->choices[i].begun && !an->choices[i].finished)
                e = finish_read(an, &an->choices[i], S("stop"), S(""));
        }
        return e ? e : answer_end(an);
    }
    an->turn ^= 1;
    if (!ev->event.len && like_read(an, ev->data))
        return OK;
    root = scratch_parse(&an->scratch[an->turn], ev->data, &problem);
    if (!root)
        return refusal_of_protocol(an->fault, an->arena, "an event is not JSON", str_from_cstr(problem.msg));
    choices = json_get(root, "choices");
    if (!choices || str_eq(ev->event, S("error"))) {
        if (refusal_read(root, &r))
            return refused(an, &r, ev->comment);
        if (!yyjson_is_obj(root))
            return refusal_of_protocol(an->fault, an->arena, "an event is no object", S(""));
    }
    usage_read(an, json_get(root, "usage"));
    e = choices_read(an, choices);
    if (!e && all_finished(an) && yyjson_arr_size(choices) == 0)
        usage_say(an); /* the chunk behind the last choice has the final numbers */
    if (!e)
        like_set(an, queued, ev->data, root);
    return e;
}

enum err answer_end(struct answer *an)
{
    if (!all_finished(an))
        return refusal_of_protocol(an->fault, an->arena, "the stream broke off before it finished", S(""));
    usage_say(an);
    an->over = true;
    return OK;
}

/* ---- a whole answer ---- */

/* As Python's json module counts, which is what the row's sentence comes from: characters, lines and columns from 1. */
static enum err bad_arguments(struct answer *an, str text, size_t at, const char *why)
{
    int64_t line = 1, column = 1, offset = 0;

    for (size_t i = 0; i < at && i < text.len; i++) {
        if ((text.ptr[i] & 0xC0) == 0x80)
            continue; /* inside a character */
        offset++;
        column++;
        if (text.ptr[i] == '\n') {
            line++;
            column = 1;
        }
    }
    (void)fail_tool_call_bad_json(an->fault, line, column, offset);
    return fault_detail(an->fault,
                        arena_printf(an->arena, "the model's tool call has arguments that are not JSON: %s", why));
}

/* REF: errors E217: what a model has written must be JSON before a client gets it as arguments. A stream cannot be checked:
 * its pieces are out by then. */
static enum err calls_check(struct answer *an, yyjson_val *choice)
{
    yyjson_val *calls = json_get(json_get(choice, "message"), "tool_calls"), *v;
    size_t      i, max;

    if (str_eq(json_str(json_get(choice, "finish_reason")), S("length")))
        return OK;
    yyjson_arr_foreach(calls, i, max, v)
    {
        str             text = json_str(json_get(json_get(v, "function"), "arguments"));
        yyjson_read_err problem = { .msg = "" };

        if (text.len && !scratch_parse(&an->scratch[0], text, &problem))
            return bad_arguments(an, text, problem.pos, problem.msg);
    }
    return OK;
}

enum err answer_whole(struct answer *an, char *json, size_t len)
{
    yyjson_val    *root = json_parse(an->arena, json, len), *choices = json_get(root, "choices"), *v;
    struct refusal r;
    size_t         i, max;
    enum err       e;

    if (!root)
        return refusal_of_protocol(an->fault, an->arena, "not JSON", S(""));
    if (!yyjson_is_arr(choices) && refusal_read(root, &r))
        return refused(an, &r, S(""));
    if (yyjson_arr_size(choices) == 0)
        return refusal_of_protocol(an->fault, an->arena, "no choices", S(""));
    usage_read(an, json_get(root, "usage"));
    yyjson_arr_foreach(choices, i, max, v)
    {
        e = calls_check(an, v);
        if (e)
            return e;
    }
    e = choices_read(an, choices);
    for (i = 0; !e && i < an->choice_count; i++) { /* without a reason: it is all there is */
        if (an->choices[i].begun && !an->choices[i].finished)
            e = finish_read(an, &an->choices[i], S("stop"), S(""));
    }
    return e ? e : answer_end(an);
}
