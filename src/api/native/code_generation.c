/* code_generation.c - POST /api/v1/services/aigc/code-generation/generation, and without "services".
 *
 * Spec: chat.md §5.12, §4.3.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/native/native.h"
#include "api/pump.h"
#include "api/reply.h"
#include "base/clock.h"
#include "contract/chat_params.gen.h"
#include "contract/code_body.h"
#include "net/http_server.h"
#include "service/chat.h"

struct answer {
    struct request          *rq;
    const struct chat_input *in;
    struct gathered         *choices;
    int64_t                  event_id;
};

static void add_choice(struct buf *b, unsigned index, int64_t frame, str text, enum chat_finish finish)
{
    buf_add(b, S("{\"finish_reason\":\""));
    buf_add(b, chat_finish_name(finish));
    buf_add(b, S("\",\"frame_timestamp\":"));
    json_add_num(b, (double)clock_unix_ms() / 1000);
    json_add_count(b, S(",\"index\":"), index);
    buf_add(b, S(",\"content\":"));
    json_add_str(b, text);
    json_add_count(b, S(",\"frame_id\":"), frame);
    buf_add_char(b, '}');
}

static void add_end(struct answer *a, struct buf *b)
{
    json_add_count(b, S("]},\"usage\":{\"input_tokens\":"), a->rq->usage.prompt_tokens);
    json_add_count(b, S(",\"output_tokens\":"), a->rq->usage.completion_tokens);
    buf_add_char(b, '}');
    reply_add_request_id(b, a->rq);
}

static enum err answer_whole(struct answer *a, struct chat_run *run)
{
    struct buf b;
    enum err   e = pump_whole(a->choices, run);

    if (e)
        return e;
    buf_init(&b, a->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"output\":{\"choices\":["));
    for (unsigned i = 0; i < chat_choices(a->in); i++) {
        if (i)
            buf_add_char(&b, ',');
        add_choice(&b, i, 1, buf_str(&a->choices[i].text), a->choices[i].finish);
    }
    add_end(a, &b);
    return reply_json(a->rq, buf_str(&b));
}

static void send_event(void *arg, const struct chat_event *ev)
{
    struct answer *a = arg;
    struct buf    *b = http_stream_buf(a->rq->x);
    str            text = a->in->incremental.v && ev->kind == CHAT_EV_TEXT ? ev->text : S("");

    if (ev->kind != CHAT_EV_TEXT && ev->kind != CHAT_EV_FINISH)
        return;
    gather_event(a->choices, ev);
    if (!a->in->incremental.v)
        text = buf_str(&a->choices[ev->choice].text);
    reply_native_event(b, ++a->event_id, S("result"), 200);
    buf_add(b, S("{\"output\":{\"choices\":["));
    add_choice(b, ev->choice, a->event_id, text, ev->kind == CHAT_EV_FINISH ? ev->finish : CHAT_FINISH_NONE);
    add_end(a, b);
    buf_add(b, S("\n\n"));
}

static enum err answer_stream(struct answer *a, struct chat_run *run)
{
    enum err          e = pump_stream(a->rq, run, send_event, a);
    struct fault_view v;

    if (!http_begun(a->rq->x) || (e != ERR_FAULT && e != ERR_EOF))
        return e;
    if (e == ERR_FAULT) {
        fault_render(&a->rq->fault, &a->rq->settings->wording, a->rq->arena, &v);
        reply_native_fault(a->rq, http_stream_buf(a->rq->x), ++a->event_id, &v);
    }
    return http_stream_end(a->rq->x);
}

static enum err run(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    yyjson_val      *input = json_get(root, "input");
    struct answer    a = { .rq = rq, .in = in };
    struct chat_run *run;
    enum err         e;

    if (!input)
        return fail_input_missing(&rq->fault);
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault);
    e = code_read_input(rq, input, in);
    if (!e)
        e = params_read(rq, &chat_params_native_parameters, json_get(root, "parameters"), in->model, in);
    if (!e)
        e = chat_open(rq, in, &run);
    if (e)
        return e;
    a.choices = gather_new(rq->arena, chat_choices(in));
    return in->stream ? answer_stream(&a, run) : answer_whole(&a, run);
}

enum err handle_native_code_generation(struct request *rq)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    yyjson_val        *root;
    enum err           e = request_json(rq, &root);

    if (e)
        return e;
    rq->stream = in->stream = native_wants_stream(rq);
    e = body_model_native(rq, root, MODEL_PATH_CODE_GENERATION, &in->model);
    in->model_name = rq->model_name;
    if (!e)
        e = admit(rq, in->model);
    if (e)
        return e;
    in->result_format = CHAT_RESULT_MESSAGE;
    e = run(rq, root, in);
    if (e == ERR_FAULT && in->stream && !http_begun(rq->x))
        return reply_fault(rq, true);
    return e;
}
