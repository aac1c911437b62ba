/* chat_completions.c - POST /compatible-mode/v1/chat/completions.
 *
 * Spec: chat.md §6.1-6.3, §8; wire-forms.md §2.
 */
#include "access/admission.h"
#include "access/faults.h"
#include "api/body_model.h"
#include "api/logprobs.h"
#include "api/openai/openai.h"
#include "api/pump.h"
#include "api/reply.h"
#include "api/tool_calls.h"
#include "api/usage.h"
#include "base/clock.h"
#include "contract/chat_body.h"
#include "contract/chat_params.gen.h"
#include "net/http_server.h"
#include "service/batches.h"
#include "service/chat.h"

static enum err read_body(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    yyjson_val *messages = json_get(root, "messages");
    enum err    e;

    if (!messages)
        return fail_messages_missing_compat(&rq->fault);
    if (yyjson_is_arr(messages) && yyjson_arr_size(messages) == 0)
        return fail_messages_empty(&rq->fault); /* REF: E037 */
    e = chat_read_messages(rq, messages, CHAT_CONTENT_OPENAI, S("messages"), in);
    if (!e)
        e = chat_check_messages(rq, in);
    if (e)
        return e;
    return params_read(rq, &chat_params_openai_top, root, in->model, in);
}

/* ---- what answers are made of ---- */

/* What a stream has shown of one choice. */
struct shown {
    bool begun, reasoned;
};

struct answer {
    struct request          *rq;
    const struct chat_input *in;
    struct chat_run         *run;
    unsigned                 count;
    struct gathered         *choices; /* of an answer that is sent whole, or again with each chunk */
    struct shown            *shown;   /* of a stream */
    str                      tail;    /* of every body: ,"created":…,"id":"chatcmpl-…"} */
};

static void answer_init(struct answer *a, struct request *rq, const struct chat_input *in, struct chat_run *run)
{
    struct buf b;

    *a = (struct answer){ .rq = rq, .in = in, .run = run, .count = chat_choices(in) };
    if (in->stream)
        a->shown = arena_array(rq->arena, struct shown, a->count);
    if (!in->stream || !in->incremental.v)
        a->choices = gather_new(rq->arena, a->count);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S(",\"created\":"));
    buf_add_i64(&b, rq->arrived_ms / 1000);
    buf_add(&b, S(",\"system_fingerprint\":null,\"model\":"));
    json_add_str(&b, in->model_name);
    buf_add(&b, S(",\"id\":\"chatcmpl-"));
    buf_add(&b, str_of(rq->id, UUID_LEN));
    buf_add(&b, S("\"}"));
    a->tail = buf_str(&b);
}

static void add_usage(struct answer *a, struct buf *b)
{
    const struct chat_usage *u = &a->rq->usage;

    json_add_count(b, S("\"usage\":{\"prompt_tokens\":"), u->prompt_tokens);
    json_add_count(b, S(",\"completion_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"total_tokens\":"), u->prompt_tokens + u->completion_tokens);
    if (UNLIKELY(u->audio_out_tokens)) {
        buf_add(b, S(",\"completion_tokens_details\":{"));
        if (u->reasoning_tokens) {
            json_add_count(b, S("\"reasoning_tokens\":"), u->reasoning_tokens);
            buf_add_char(b, ',');
        }
        json_add_count(b, S("\"audio_tokens\":"), u->audio_out_tokens);
        json_add_count(b, S(",\"text_tokens\":"), u->completion_tokens - u->reasoning_tokens - u->audio_out_tokens);
        buf_add_char(b, '}');
    } else if (u->reasoning_tokens) {
        json_add_count(b, S(",\"completion_tokens_details\":{\"reasoning_tokens\":"), u->reasoning_tokens);
        buf_add_char(b, '}');
    }
    buf_add(b, S(",\"prompt_tokens_details\":{"));
    if (UNLIKELY(usage_add_media(b, u))) {
        json_add_count(b, S("\"text_tokens\":"), usage_text_tokens(u));
        buf_add_char(b, ',');
    }
    usage_add_cached(b, u);
    buf_add(b, S("}}"));
}

static void add_logprobs(struct buf *b, const struct chat_logprob *all, size_t count)
{
    if (LIKELY(!count)) {
        buf_add(b, S(",\"logprobs\":null"));
        return;
    }
    buf_add(b, S(",\"logprobs\":"));
    logprobs_add_openai(b, all, count);
}

/* ---- whole ---- */

static void add_choice(struct answer *a, struct buf *b, unsigned index)
{
    const struct gathered *c = &a->choices[index];

    buf_add(b, S("{\"message\":{\"content\":"));
    json_add_str(b, buf_str(&c->text));
    if (c->reasoned) {
        buf_add(b, S(",\"reasoning_content\":"));
        json_add_str(b, buf_str(&c->reasoning));
    }
    buf_add(b, S(",\"role\":\"assistant\""));
    tool_calls_add_member(b, c);
    buf_add(b, S("},\"finish_reason\":\""));
    buf_add(b, chat_finish_name(c->finish));
    buf_add(b, S("\",\"index\":"));
    buf_add_i64(b, index);
    add_logprobs(b, c->logprobs, c->logprob_count);
    buf_add_char(b, '}');
}

static enum err answer_whole(struct answer *a)
{
    struct buf b;
    enum err   e = pump_whole(a->choices, a->run);

    if (e)
        return e;
    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    (void)buf_room(&b, a->choices[0].text.len + 640); /* an ordinary answer: one allocation */
    buf_add(&b, S("{\"choices\":["));
    for (unsigned i = 0; i < a->count; i++) {
        if (i)
            buf_add_char(&b, ',');
        add_choice(a, &b, i);
    }
    buf_add(&b, S("],\"object\":\"chat.completion\","));
    add_usage(a, &b);
    buf_add(&b, a->tail);
    return reply_json(a->rq, buf_str(&b));
}

/* ---- of a batch: the whole answer in the order that its files have (platform.md §2.6) ---- */

static void add_batch_choice(struct answer *a, struct buf *b, unsigned index)
{
    const struct gathered *c = &a->choices[index];

    buf_add(b, S("{\"finish_reason\":\""));
    buf_add(b, chat_finish_name(c->finish));
    json_add_count(b, S("\",\"index\":"), index);
    buf_add(b, S(",\"message\":{\"role\":\"assistant\",\"content\":"));
    json_add_str(b, buf_str(&c->text));
    if (c->reasoned) {
        buf_add(b, S(",\"reasoning_content\":"));
        json_add_str(b, buf_str(&c->reasoning));
    }
    tool_calls_add_member(b, c);
    buf_add_char(b, '}');
    if (c->logprob_count)
        add_logprobs(b, c->logprobs, c->logprob_count);
    buf_add_char(b, '}');
}

SUSPENDS static enum err answer_batch(struct answer *a, struct buf *b)
{
    const struct chat_usage *u = &a->rq->usage;
    enum err                 e = pump_whole(a->choices, a->run);

    if (e)
        return e;
    (void)buf_room(b, a->choices[0].text.len + 640);
    json_add_count(b, S("{\"created\":"), a->rq->arrived_ms / 1000);
    json_add_count(b, S(",\"usage\":{\"completion_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"prompt_tokens\":"), u->prompt_tokens);
    json_add_count(b, S(",\"total_tokens\":"), u->prompt_tokens + u->completion_tokens);
    if (u->reasoning_tokens) {
        json_add_count(b, S(",\"completion_tokens_details\":{\"reasoning_tokens\":"), u->reasoning_tokens);
        buf_add_char(b, '}');
    }
    buf_add(b, S("},\"model\":"));
    json_add_str(b, a->in->model_name);
    buf_add(b, S(",\"id\":\"chatcmpl-"));
    buf_add(b, str_of(a->rq->id, UUID_LEN));
    buf_add(b, S("\",\"choices\":["));
    for (unsigned i = 0; i < a->count; i++) {
        if (i)
            buf_add_char(b, ',');
        add_batch_choice(a, b, i);
    }
    buf_add(b, S("],\"object\":\"chat.completion\"}"));
    return OK;
}

enum err openai_chat_line(struct request *rq, yyjson_val *body, struct charge *charge, struct buf *ret)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    struct chat_run   *run;
    struct answer      a;
    enum err           e = body_model_openai(rq, body, MODEL_PATH_OPENAI, &in->model);

    might_suspend();
    in->model_name = rq->model_name;
    if (!e)
        e = admit_line(rq, in->model, charge);
    if (!e)
        e = read_body(rq, body, in);
    in->stream = false; /* nobody reads along */
    if (!e)
        e = chat_open(rq, in, &run);
    if (e)
        return e;
    answer_init(&a, rq, in, run);
    return answer_batch(&a, ret);
}

/* ---- stream ---- */

static struct buf *chunk_begin(struct answer *a)
{
    struct buf *b = http_stream_buf(a->rq->x);

    buf_add(b, S("data: {\"choices\":[{\"delta\":{"));
    return b;
}

/* `said`: the text that the chunk shows, for its logprobs; or NULL. */
static void chunk_end_text(struct answer *a, struct buf *b, unsigned index, enum chat_finish finish,
                           const struct chat_event *said)
{
    buf_add(b, S("},\"finish_reason\":"));
    if (finish == CHAT_FINISH_NONE) {
        buf_add(b, S("null"));
    } else {
        buf_add_char(b, '"');
        buf_add(b, chat_finish_name(finish));
        buf_add_char(b, '"');
    }
    buf_add(b, S(",\"index\":"));
    buf_add_i64(b, index);
    add_logprobs(b, said ? said->logprobs : NULL, said ? said->logprob_count : 0);
    buf_add(b, S("}],\"object\":\"chat.completion.chunk\",\"usage\":null"));
    buf_add(b, a->tail);
    buf_add(b, S("\n\n"));
}

static void chunk_end(struct answer *a, struct buf *b, unsigned index, enum chat_finish finish)
{
    chunk_end_text(a, b, index, finish, NULL);
}

/* The first chunk of a choice says the role, and what kind of answer begins. */
static void send_first(struct answer *a, const struct chat_event *ev)
{
    struct buf *b = chunk_begin(a);

    if (ev->kind == CHAT_EV_REASONING)
        buf_add(b, S("\"content\":null,\"role\":\"assistant\",\"reasoning_content\":\"\""));
    else
        buf_add(b, S("\"content\":\"\",\"role\":\"assistant\""));
    chunk_end(a, b, ev->choice, CHAT_FINISH_NONE);
}

/* `first`: of its choice; it is the chunk that says the role. */
static void send_call(struct answer *a, const struct chat_event *ev, bool first)
{
    struct buf *b = chunk_begin(a);

    if (first)
        buf_add(b, S("\"content\":null,\"role\":\"assistant\","));
    buf_add(b, S("\"tool_calls\":["));
    if (ev->kind == CHAT_EV_TOOL_CALL)
        tool_call_add_piece(b, ev->tool_index, ev->tool_id, ev->tool_name, S(""));
    else
        tool_call_add_piece(b, ev->tool_index, S(""), S(""), ev->text);
    buf_add_char(b, ']');
    chunk_end(a, b, ev->choice, CHAT_FINISH_NONE);
}

/* A piece of speech (chat.md §6.3): Base64 of PCM, without a header. */
static void send_audio(struct answer *a, const struct chat_event *ev)
{
    struct buf *b = chunk_begin(a);

    buf_add(b, S("\"audio\":{\"data\":"));
    json_add_str(b, ev->text);
    json_add_count(b, S(",\"expires_at\":"), a->rq->arrived_ms / 1000 + CHAT_SPEECH_LIFE_S);
    buf_add(b, S(",\"id\":\"audio_"));
    buf_add(b, str_of(a->rq->id, UUID_LEN));
    buf_add(b, S("\"}"));
    chunk_end(a, b, ev->choice, CHAT_FINISH_NONE);
}

static void send_event(void *arg, const struct chat_event *ev)
{
    struct answer *a = arg;
    struct shown  *c = &a->shown[ev->choice];
    bool           first = !c->begun;
    struct buf    *b;

    if (ev->kind == CHAT_EV_SEARCH || ev->kind == CHAT_EV_IMAGES || ev->kind == CHAT_EV_CODE)
        return; /* this protocol does not show them (chat.md §3.10) */
    c->begun = true;
    if (first && ev->kind != CHAT_EV_TOOL_CALL)
        send_first(a, ev);
    if (a->choices)
        gather_event(a->choices, ev);
    switch (ev->kind) {
    case CHAT_EV_REASONING:
        c->reasoned = true;
        b = chunk_begin(a);
        buf_add(b, S("\"content\":null,\"reasoning_content\":"));
        json_add_str(b, ev->text);
        chunk_end(a, b, ev->choice, CHAT_FINISH_NONE);
        break;
    case CHAT_EV_TEXT:
        b = chunk_begin(a);
        buf_add(b, S("\"content\":"));
        json_add_str(b, a->choices ? buf_str(&a->choices[ev->choice].text) : ev->text);
        if (c->reasoned)
            buf_add(b, S(",\"reasoning_content\":null"));
        chunk_end_text(a, b, ev->choice, CHAT_FINISH_NONE, ev);
        break;
    case CHAT_EV_TOOL_CALL:
    case CHAT_EV_TOOL_ARGS:
        send_call(a, ev, first && ev->kind == CHAT_EV_TOOL_CALL);
        break;
    case CHAT_EV_FINISH:
        b = chunk_begin(a);
        if (ev->finish != CHAT_FINISH_TOOL_CALLS)
            buf_add(b, S("\"content\":\"\""));
        chunk_end(a, b, ev->choice, ev->finish);
        break;
    case CHAT_EV_AUDIO:
        send_audio(a, ev);
        break;
    case CHAT_EV_SEARCH:
    case CHAT_EV_CODE:
    case CHAT_EV_IMAGES:
    case CHAT_EV_STEP:
    case CHAT_EV_USAGE:
        break;
    }
}

/* The last chunk when the client asked for it: no choices, the usage. */
static void send_usage(struct answer *a)
{
    struct buf *b = http_stream_buf(a->rq->x);

    buf_add(b, S("data: {\"choices\":[],\"object\":\"chat.completion.chunk\","));
    add_usage(a, b);
    buf_add(b, a->tail);
    buf_add(b, S("\n\n"));
}

/* A failure in the middle of a stream is a data line with the error object; no [DONE] follows (wire-forms.md R14). */
static void send_fault(struct answer *a)
{
    struct buf       *b = http_stream_buf(a->rq->x);
    struct fault_view v;

    fault_render(&a->rq->fault, &a->rq->settings->wording, a->rq->arena, &v);
    v.engine = true; /* a model has been reached: the body has its id */
    buf_add(b, S("data: "));
    buf_add(b, reply_fault_body(a->rq, &v));
    buf_add(b, S("\n\n"));
}

static enum err answer_stream(struct answer *a)
{
    struct request *rq = a->rq;
    enum err        e = pump_stream(rq, a->run, send_event, a);

    if (!http_begun(rq->x) || (e != ERR_FAULT && e != ERR_EOF))
        return e;
    if (e == ERR_FAULT) {
        send_fault(a);
        return http_stream_end(rq->x);
    }
    if (a->in->include_usage)
        send_usage(a);
    buf_add(http_stream_buf(rq->x), S("data: [DONE]\n\n"));
    return http_stream_end(rq->x);
}

/* Batch Chat (platform.md §2.8). */
SUSPENDS static enum err answer_batch_chat(struct answer *a)
{
    struct buf b;
    enum err   e;

    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    e = answer_batch(a, &b);
    return e ? e : reply_json(a->rq, buf_str(&b));
}

/* ---- the handler ---- */

enum err handle_openai_chat_completions(struct request *rq)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    struct chat_run   *run;
    struct answer      a;
    yyjson_val        *root;
    enum err           e = request_json(rq, &root);

    if (e)
        return e;
    e = body_model_openai(rq, root, MODEL_PATH_OPENAI, &in->model);
    in->model_name = rq->model_name;
    if (!e && in->model->task == MODEL_TASK_ASR_SYNC)
        return openai_asr(rq, root, in->model);
    if (!e)
        e = admit(rq, in->model);
    if (!e && rq->admission->batch)
        e = batch_check_chat(rq, in->model);
    if (!e)
        e = read_body(rq, root, in);
    rq->stream = in->stream;
    if (!e)
        e = chat_open(rq, in, &run);
    if (e)
        return e;
    answer_init(&a, rq, in, run);
    if (rq->admission->batch && !in->stream)
        return answer_batch_chat(&a);
    return in->stream ? answer_stream(&a) : answer_whole(&a);
}
