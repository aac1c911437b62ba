/* guard.c - asks the guard model. */
#include "service/guard.h"

#include "access/admission.h"
#include "access/moderation_guard.h"
#include "base/log.h"
#include "contract/errors.gen.h"
#include "service/services.h"

#define ANSWER_MAX ((size_t)64 * 1024)

bool guard_looks_at(const struct request *rq, unsigned side)
{
    const struct request_guard *g = &rq->settings->guard;

    if (LIKELY(!g->model.len))
        return false;
    return !g->when_asked || (moderation_header_sides(request_header(rq, S("x-dashscope-datainspection"))) & side);
}

/* A guard of Qwen3Guard's form gets the conversation as it is; any other model a question about it. */
static bool is_guard_model(str model)
{
    return str_find_str_nocase(model, S("guard")) != STR_NONE;
}

/* The guard's own request: it shares the client's connection and time, and nothing of its account. */
static struct request *guard_request(struct request *rq)
{
    struct request *own = arena_new(rq->arena, struct request);

    *own = *rq;
    own->fault = (struct fault){ 0 };
    own->usage = (struct chat_usage){ 0 };
    own->model_name = rq->settings->guard.model;
    own->admission = NULL;
    own->plan = NULL;
    own->stream = false;
    return own;
}

static enum err ask(struct request *rq, struct chat_message *messages, size_t count, str *ret)
{
    struct request       *own = guard_request(rq);
    const struct model   *model = rq->admission ? rq->admission->model : request_model(rq, rq->model_name);
    const struct model   *known = request_model(rq, own->model_name);
    struct engine        *engine = rq->services->engine_for(rq->services->engine_arg, own->model_name);
    struct engine_stream *stream;
    struct chat_event     ev;
    struct buf            answer;
    struct chat_input     in = {
            .model = known ? known : model, /* of a name that only its engine knows */
            .model_name = own->model_name,
            .messages = messages,
            .message_count = count,
    };
    enum err e;

    rq->action = "asking the guard model";
    buf_init(&answer, rq->arena, ANSWER_MAX);
    e = engine->ops->open(engine, own, &in, &stream);
    while (!e && !(e = stream->ops->next(stream, &ev))) {
        if (ev.kind == CHAT_EV_TEXT && ev.choice == 0)
            buf_add(&answer, ev.text);
    }
    *ret = buf_str(&answer);
    if (e == ERR_EOF)
        return OK;
    return e == ERR_FAULT ? ERR_UNREACHABLE : e;
}

static enum err refuse_away(struct request *rq)
{
    (void)fail_model_unavailable(&rq->fault); /* REF: E236 */
    return fault_detail(&rq->fault, S("the guard model cannot be asked, or gave no answer that is known"));
}

/* The conversation is judged; what is unsafe is refused for `side`. */
static enum err judge(struct request *rq, unsigned side, struct chat_message *messages, size_t count)
{
    const struct request_guard *g = &rq->settings->guard;
    struct moderation_verdict   v;
    struct guard_answer         said;
    str                         answer = { 0 };
    enum err                    e = ask(rq, messages, count, &answer);

    if (e == ERR_CANCELLED || e == ERR_TIMEOUT)
        return e;
    if (!e)
        e = guard_read(answer, rq->arena, &said);
    if (e && g->away_closed)
        return refuse_away(rq);
    if (e) {
        log_warn("the guard model %.*s gave no verdict; the text is let through", STR_ARG(g->model));
        return OK;
    }
    if (!guard_verdict(&said, side, g->strict, &v))
        return OK;
    if (side == MODERATION_INPUT)
        (void)admit_refuse_text(rq, &v);
    else
        (void)fail_moderation_any(&rq->fault); /* REF: E100a */
    return fault_detail(&rq->fault, arena_printf(rq->arena, "the guard model: %.*s", STR_ARG(said.categories)));
}

/* As one text, for a model that is asked in words. */
static str as_text(struct arena *a, const struct chat_message *messages, size_t count)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        buf_add(&b, chat_role_name(messages[i].role));
        buf_add(&b, S(": "));
        buf_add(&b, messages[i].content);
        buf_add_char(&b, '\n');
    }
    return buf_str(&b);
}

static enum err judge_conversation(struct request *rq, unsigned side, struct chat_message *messages, size_t count)
{
    struct chat_message question = { .role = CHAT_USER };

    if (is_guard_model(rq->settings->guard.model))
        return judge(rq, side, messages, count);
    question.content = guard_prompt(side, as_text(rq->arena, messages, count), rq->arena);
    return judge(rq, side, &question, 1);
}

enum err guard_input(struct request *rq, const struct chat_input *in)
{
    might_suspend();
    return judge_conversation(rq, MODERATION_INPUT, in->messages, in->message_count);
}

enum err guard_output(struct request *rq, const struct chat_input *in, str answer)
{
    struct chat_message *all = arena_array(rq->arena, struct chat_message, in->message_count + 1);

    might_suspend();
    for (size_t i = 0; i < in->message_count; i++)
        all[i] = in->messages[i];
    all[in->message_count] = (struct chat_message){ .role = CHAT_ASSISTANT, .content = answer };
    return judge_conversation(rq, MODERATION_OUTPUT, all, in->message_count + 1);
}
