/* completions.c - POST /compatible-mode/v1/completions: code that goes on, or is filled in between two pieces (FIM).
 *
 * The prompt is the model's own template, which the client writes: <|fim_prefix|>P<|fim_suffix|>S<|fim_middle|>.
 * Spec: chat.md §6.4, §8.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/openai/openai.h"
#include "api/pump.h"
#include "api/reply.h"
#include "contract/chat_body.h"
#include "contract/completions_params.gen.h"
#include "net/http_server.h"

/* <|fim_suffix|> with nothing before it to go on from, which the models do not do. */
static bool is_suffix_alone(str prompt)
{
    static const str prefix = S("<|fim_prefix|>"), suffix = S("<|fim_suffix|>");
    size_t           end = str_find_str(prompt, suffix);
    str              before;

    if (end == STR_NONE)
        return false;
    before = str_of(prompt.ptr, end);
    return str_find_str(before, prefix) == STR_NONE || str_ends(before, prefix);
}

static enum err read_body(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    yyjson_val *prompt = json_get(root, "prompt");
    enum err    e;

    if (!yyjson_is_str(prompt) || !yyjson_get_len(prompt) || is_suffix_alone(json_str(prompt)))
        return fail_parameter_missing_named(&rq->fault, S("prompt"));
    e = chat_read_prompt(rq, prompt, NULL, in);
    in->raw_prompt = json_str(prompt);
    return e ? e : params_read(rq, &chat_params_openai_completions, root, in->model, in);
}

struct answer {
    struct request          *rq;
    const struct chat_input *in;
    struct buf               text;
};

/* An object up to its choices. */
static void begin_object(struct answer *a, struct buf *b)
{
    buf_addf(b, "{\"id\":\"cmpl-%s\",\"object\":\"text_completion\"", a->rq->id);
    json_add_count(b, S(",\"created\":"), a->rq->arrived_ms / 1000);
    buf_add(b, S(",\"model\":"));
    json_add_str(b, a->in->model_name);
    buf_add(b, S(",\"choices\":["));
}

static void add_choice(struct buf *b, str text, enum chat_finish finish)
{
    buf_add(b, S("{\"text\":"));
    json_add_str(b, text);
    buf_add(b, S(",\"finish_reason\":"));
    if (finish == CHAT_FINISH_NONE)
        buf_add(b, S("null"));
    else
        json_add_str(b, chat_finish_name(finish));
    buf_add(b, S(",\"index\":0,\"logprobs\":null}"));
}

static void add_usage(struct answer *a, struct buf *b)
{
    const struct chat_usage *u = &a->rq->usage;

    json_add_count(b, S("],\"usage\":{\"prompt_tokens\":"), u->prompt_tokens);
    json_add_count(b, S(",\"completion_tokens\":"), u->completion_tokens);
    json_add_count(b, S(",\"total_tokens\":"), u->prompt_tokens + u->completion_tokens);
    buf_add(b, S("}}"));
}

static enum err answer_whole(struct answer *a, struct chat_run *run)
{
    struct gathered *all = gather_new(a->rq->arena, 1);
    struct buf       b;
    enum err         e = pump_whole(all, run);

    if (e)
        return e;
    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    begin_object(a, &b);
    add_choice(&b, buf_str(&all->text), all->finish);
    add_usage(a, &b);
    return reply_json(a->rq, buf_str(&b));
}

static void send_event(void *arg, const struct chat_event *ev)
{
    struct answer *a = arg;
    struct buf    *b = http_stream_buf(a->rq->x);

    if (ev->kind != CHAT_EV_TEXT && ev->kind != CHAT_EV_FINISH)
        return;
    buf_add(b, S("data: "));
    begin_object(a, b);
    add_choice(b, ev->kind == CHAT_EV_TEXT ? ev->text : S(""),
               ev->kind == CHAT_EV_FINISH ? ev->finish : CHAT_FINISH_NONE);
    buf_add(b, S("],\"usage\":null}\n\n"));
}

/* A chunk of its own, behind the last: only then the engine has said its count. */
static void send_usage(struct answer *a)
{
    struct buf *b = http_stream_buf(a->rq->x);

    buf_add(b, S("data: "));
    begin_object(a, b);
    add_usage(a, b);
    buf_add(b, S("\n\n"));
}

static enum err answer_stream(struct answer *a, struct chat_run *run)
{
    struct request   *rq = a->rq;
    struct fault_view v;
    enum err          e = pump_stream(rq, run, send_event, a);

    if (!http_begun(rq->x) || (e != ERR_FAULT && e != ERR_EOF))
        return e;
    if (e == ERR_EOF) {
        if (a->in->include_usage)
            send_usage(a);
        buf_add(http_stream_buf(rq->x), S("data: [DONE]\n\n"));
        return http_stream_end(rq->x);
    }
    fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
    buf_add(http_stream_buf(rq->x), S("data: "));
    buf_add(http_stream_buf(rq->x), reply_fault_body(rq, &v));
    buf_add(http_stream_buf(rq->x), S("\n\n"));
    return http_stream_end(rq->x);
}

enum err handle_openai_completions(struct request *rq)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    struct answer      a = { .rq = rq, .in = in };
    struct chat_run   *run;
    yyjson_val        *root;
    enum err           e = request_json(rq, &root);

    if (e)
        return e;
    e = body_model_openai(rq, root, MODEL_PATH_OPENAI_COMPLETIONS, &in->model);
    in->model_name = rq->model_name;
    if (!e)
        e = admit(rq, in->model);
    if (!e)
        e = read_body(rq, root, in);
    rq->stream = in->stream;
    if (!e)
        e = chat_open(rq, in, &run);
    if (e)
        return e;
    return in->stream ? answer_stream(&a, run) : answer_whole(&a, run);
}
