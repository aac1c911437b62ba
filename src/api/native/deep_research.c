/* deep_research.c - the answer of Qwen-Deep-Research: events of text-generation whose message has a phase.
 *
 * An engine that researches gives steps. Of another one the reasoning is the plan and the text is the answer. Two keys are
 * misspelt on the wire. Spec: chat.md §5.9.
 */
#include "api/native/native.h"
#include "api/pump.h"
#include "api/reply.h"
#include "contract/json.h"
#include "net/http_server.h"

struct research {
    struct request *rq;
    int64_t         event_id;
};

static void add_frame(struct research *r, const struct chat_step *step, str text, enum chat_finish finish)
{
    struct buf              *b = http_stream_buf(r->rq->x);
    const struct chat_usage *u = &r->rq->usage;

    reply_native_event(b, ++r->event_id, S("result"), 200);
    buf_add(b, S("{\"output\":{\"message\":{\"phase\":"));
    json_add_str(b, step->phase);
    buf_add(b, S(",\"role\":\"assistant\",\"content\":"));
    json_add_str(b, text);
    buf_add(b, S(",\"extra\":{\"deep_research\":{"));
    buf_add(b, step->extra);
    buf_add(b, S("}},\"status\":"));
    json_add_str(b, step->status);
    buf_add(b, finish == CHAT_FINISH_NONE ? S("},\"fininshed\":false") : S("},\"fininshed\":true"));
    buf_add(b, S(",\"fininshed_reason\":\""));
    buf_add(b, chat_finish_name(finish));
    json_add_count(b, S("\"},\"usage\":{\"input_tokens\":"), u->prompt_tokens);
    json_add_count(b, S(",\"output_tokens\":"), u->completion_tokens);
    buf_add_char(b, '}');
    reply_add_request_id(b, r->rq);
    buf_add(b, S("\n\n"));
}

static void send_event(void *arg, const struct chat_event *ev)
{
    static const struct chat_step planning = { .phase = S("ResearchPlanning"), .status = S("typing") };
    static const struct chat_step answering = { .phase = S("answer"), .status = S("typing") };
    static const struct chat_step finished = { .phase = S("answer"), .status = S("finished") };
    struct research              *r = arg;

    if (ev->kind == CHAT_EV_STEP)
        add_frame(r, ev->step, ev->text, CHAT_FINISH_NONE);
    else if (ev->kind == CHAT_EV_REASONING)
        add_frame(r, &planning, ev->text, CHAT_FINISH_NONE);
    else if (ev->kind == CHAT_EV_TEXT)
        add_frame(r, &answering, ev->text, CHAT_FINISH_NONE);
    else if (ev->kind == CHAT_EV_FINISH)
        add_frame(r, &finished, S(""), ev->finish);
}

enum err deep_research_answer(struct request *rq, struct chat_run *run)
{
    struct research   r = { .rq = rq };
    enum err          e = pump_stream(rq, run, send_event, &r);
    struct fault_view v;

    if (!http_begun(rq->x) || (e != ERR_FAULT && e != ERR_EOF))
        return e;
    if (e == ERR_FAULT) {
        fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
        reply_native_fault(rq, http_stream_buf(rq->x), ++r.event_id, &v);
    }
    return http_stream_end(rq->x);
}
