/* app_model.c - a step of an application that asks a model. */
#include "access/admission.h"
#include "contract/catalog.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "service/app_run.h"
#include "service/chat.h"

#define SAID_MAX  ((size_t)16 << 20) /* bytes of an answer */
#define CALLS_MAX 32                 /* of one answer; what is said of further ones is dropped */

/* ---- the question ---- */

struct chat_message *app_messages(struct app_run *r, const struct app_model *m, size_t head, size_t *ret_count)
{
    const struct apps_input *in = r->in;
    int64_t                  rounds = in->rounds.set ? in->rounds.v : m->rounds.set ? m->rounds.v : APPS_ROUNDS_DEFAULT;
    size_t                   turns = (size_t)rounds < r->turn_count ? (size_t)rounds : r->turn_count, n = head;
    struct chat_message *all = arena_array(r->rq->arena, struct chat_message, head + 2 * turns + in->message_count + 1);

    for (size_t i = r->turn_count - turns; i < r->turn_count; i++) {
        all[n++] = (struct chat_message){ .role = CHAT_USER, .content = r->turns[i].said };
        all[n++] = (struct chat_message){ .role = CHAT_ASSISTANT, .content = r->turns[i].answered };
    }
    for (size_t i = 0; i < in->message_count; i++)
        all[n++] = in->messages[i];
    if (!in->message_count) {
        struct chat_message *m_now = &all[n++];

        *m_now = (struct chat_message){ .role = CHAT_USER, .content = in->prompt };
        if (in->image_count) {
            m_now->content_is_array = true;
            m_now->parts = arena_array(r->rq->arena, struct chat_part, in->image_count + 1);
            for (size_t i = 0; i < in->image_count; i++)
                m_now->parts[m_now->part_count++] =
                    (struct chat_part){ .kind = CHAT_PART_IMAGE, .text = in->images[i] };
            m_now->parts[m_now->part_count++] = (struct chat_part){ .kind = CHAT_PART_TEXT, .text = in->prompt };
        }
    }
    *ret_count = n;
    return all;
}

/* What the call says of its model stands above what the application says. */
static enum err prepare(const struct apps_input *call, struct request *part, const struct app_model *m,
                        struct chat_input *in)
{
    in->model_name = part->model_name;
    in->model = request_model(part, in->model_name);
    if (!in->model)
        return fail_model_not_found_native(&part->fault);
    in->multimodal = !model_on_path(in->model, MODEL_PATH_TEXT);
    if (in->multimodal && !model_on_path(in->model, MODEL_PATH_MULTIMODAL))
        return fail_url_model_mismatch(&part->fault);
    part->multimodal = in->multimodal;
    in->temperature = call->temperature.set ? call->temperature : m->temperature;
    in->top_p = call->top_p.set ? call->top_p : m->top_p;
    in->top_k = call->top_k.set ? call->top_k : m->top_k;
    in->seed = call->seed.set ? call->seed : m->seed;
    in->max_tokens = m->max_tokens;
    in->enable_thinking = call->thinking.set ? call->thinking : m->thinking;
    in->enable_search = call->search.set ? call->search : m->search;
    in->stream = true;
    in->incremental = (opt_bool){ .v = true, .set = true };
    in->result_format = CHAT_RESULT_MESSAGE;
    return admit(part, in->model);
}

/* ---- the answer ---- */

static struct app_call *call_at(struct app_run *r, struct app_said *said, const struct chat_event *ev)
{
    if (ev->tool_index >= CALLS_MAX)
        return NULL;
    if (!said->calls)
        said->calls = arena_array(r->rq->arena, struct app_call, CALLS_MAX);
    while (said->call_count <= ev->tool_index)
        buf_init(&said->calls[said->call_count++].arguments, r->rq->arena, SAID_MAX);
    return &said->calls[ev->tool_index];
}

SUSPENDS static enum err take(struct app_run *r, const struct chat_event *ev, const struct app_listener *to,
                              struct app_said *said)
{
    struct app_call *call;

    switch (ev->kind) {
    case CHAT_EV_TEXT:
        buf_add(&said->text, ev->text);
        return said->text.full ? ERR_LIMIT : to->piece(to->arg, false, ev->text);
    case CHAT_EV_REASONING:
        buf_add(&said->reasoning, ev->text);
        return said->reasoning.full ? ERR_LIMIT : to->piece(to->arg, true, ev->text);
    case CHAT_EV_TOOL_CALL:
    case CHAT_EV_TOOL_ARGS:
        call = call_at(r, said, ev);
        if (call && ev->kind == CHAT_EV_TOOL_CALL) {
            call->id = arena_str(r->rq->arena, ev->tool_id);
            call->name = arena_str(r->rq->arena, ev->tool_name);
        }
        if (call)
            buf_add(&call->arguments, ev->text);
        return OK;
    case CHAT_EV_SEARCH: /* what a search found stands in the text; the rest is not of applications */
    case CHAT_EV_IMAGES:
    case CHAT_EV_CODE:
    case CHAT_EV_AUDIO:
    case CHAT_EV_STEP:
    case CHAT_EV_FINISH:
    case CHAT_EV_USAGE:
        break;
    }
    return OK;
}

static void add_usage(struct app_run *r, const struct request *part)
{
    struct app_answer *a = &r->answer;
    size_t             i = 0;

    while (i < a->use_count && !str_eq(a->uses[i].model, part->model_name))
        i++;
    if (i == a->use_count) {
        a->uses = arena_realloc(r->rq->arena, a->uses, a->use_count * sizeof(*a->uses),
                                (a->use_count + 1) * sizeof(*a->uses));
        a->uses[a->use_count++] = (struct app_use){ .model = part->model_name };
    }
    a->uses[i].input_tokens += part->usage.prompt_tokens;
    a->uses[i].output_tokens += part->usage.completion_tokens;
}

/* REF: E229: what the model's own refusal was, is for the log and the trace. */
static enum err refuse(struct app_run *r, const struct request *part)
{
    struct fault_view v;

    if (part->fault.row && words_have(APPS_PASSED_ON, part->fault.row->id)) {
        r->rq->fault = part->fault;
        return ERR_FAULT;
    }
    fault_render(&part->fault, &part->settings->wording, r->rq->arena, &v);
    (void)fail_app_model_failed(&r->rq->fault);
    return fault_detail(&r->rq->fault,
                        arena_printf(r->rq->arena, "%.*s: %.*s %d %.*s: %.*s%s%.*s", STR_ARG(part->model_name),
                                     STR_ARG(v.id), v.status, STR_ARG(v.code), STR_ARG(v.message),
                                     part->fault.detail.len ? "; " : "", STR_ARG(part->fault.detail)));
}

SUSPENDS static enum err ask(struct app_run *r, struct request *part, struct chat_input *in,
                             const struct app_listener *to, struct app_said *ret)
{
    struct chat_run  *run;
    struct chat_event ev;
    enum err          e = chat_check_messages(part, in);

    if (!e)
        e = chat_open(part, in, &run);
    app_rearm(r);
    while (!e && !(e = chat_next(run, &ev)))
        e = take(r, &ev, to, ret);
    return e == ERR_EOF ? OK : e;
}

SUSPENDS static enum err do_step(struct app_run *r, const struct apps_input *call, const struct app_model *m,
                                 struct chat_input *in, const struct app_listener *to, struct app_said *ret)
{
    struct request *part = request_part(r->rq, r->rq->arena);
    bool            agent = r->app.kind == APP_AGENT;
    enum err        e;

    *ret = (struct app_said){ 0 };
    buf_init(&ret->text, r->rq->arena, SAID_MAX);
    buf_init(&ret->reasoning, r->rq->arena, SAID_MAX);
    part->journal = NULL; /* it has the application's own request */
    part->model_name = agent && call->model_id.len ? call->model_id : m->name;
    e = prepare(call, part, m, in);
    if (!e)
        e = ask(r, part, in, to, ret);
    app_rearm(r);
    if (!e)
        add_usage(r, part);
    if (e == ERR_FAULT) {
        struct fault_view v;

        if (!fault_is_set(&part->fault)) { /* the application's own, of what was said */
            part->hooks->ended(part, 0, ERR_CANCELLED);
            return e;
        }
        e = refuse(r, part);
        fault_render(&part->fault, &part->settings->wording, r->rq->arena, &v);
        part->hooks->ended(part, v.status, ERR_FAULT);
        return e;
    }
    part->hooks->ended(part, e ? 0 : 200, e);
    return e;
}

enum err app_model_step(struct app_run *r, const struct app_model *m, struct chat_input *in,
                        const struct app_listener *to, struct app_said *ret)
{
    might_suspend();
    return do_step(r, r->in, m, in, to, ret);
}

enum err app_model_ask(struct app_run *r, const struct app_model *m, struct chat_input *in,
                       const struct app_listener *to, struct app_said *ret)
{
    static const struct apps_input nothing;

    might_suspend();
    return do_step(r, &nothing, m, in, to, ret);
}
