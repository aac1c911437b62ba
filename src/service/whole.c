/* whole.c - on both sides of an engine whose answer is whole. Spec: access.md §11. */
#include "service/whole.h"

#include "access/admission.h"
#include "access/faults.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "loop/loop.h"
#include "service/guard.h"
#include "service/services.h"

/* All texts as the one message that a guard model judges. */
static struct chat_message message_of(struct request *rq, const str *texts, size_t count)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&b, '\n');
        buf_add(&b, texts[i]);
    }
    return (struct chat_message){ .role = CHAT_USER, .content = buf_str(&b) };
}

/* REF: E100b, E101, E179. */
enum err whole_moderate(struct request *rq, const str *texts, size_t count)
{
    struct moderation_set *rules = admit_rules(rq);
    struct chat_message    message;
    struct chat_input      in = { .messages = &message, .message_count = 1 };
    enum err               e = OK;

    if (moderation_looks_at(rules, MODERATION_INPUT)) {
        for (size_t i = 0; i < count && !e; i++)
            e = admit_text(rq, rules, texts[i]);
    }
    if (e || !guard_looks_at(rq, MODERATION_INPUT))
        return e;
    message = message_of(rq, texts, count);
    return guard_input(rq, &in);
}

/* Time-outs and lost connections become the catalogue's. */
static enum err outcome(struct request *rq, enum err e)
{
    if (e == ERR_TIMEOUT)
        return fail_request_timeout(&rq->fault); /* REF: E230a */
    if (e == ERR_FAULT || e == ERR_CANCELLED || e == OK)
        return e;
    (void)fail_internal_server_error(&rq->fault); /* REF: E213 */
    return fault_detail(&rq->fault, str_from_cstr(err_text(e)));
}

enum err whole_begin(struct request *rq, const str *texts, size_t count)
{
    enum err e;

    might_suspend();
    e = admit_prompt(rq);
    if (e)
        return e;
    if (rq->settings->call_ms > 0)
        fiber_deadline_set(loop_now_us(fiber_loop()) + rq->settings->call_ms * 1000);
    e = outcome(rq, whole_moderate(rq, texts, count));
    if (e)
        fiber_deadline_set(DEADLINE_NONE);
    else
        request_phase(rq, PHASE_FIRST);
    return e;
}

enum err whole_end(struct request *rq, enum err e)
{
    might_suspend();
    if (!e)
        e = faults_step(rq);
    e = outcome(rq, e);
    fiber_deadline_set(DEADLINE_NONE); /* the call's time is the engine's: a slow client has its own */
    if (!e)
        e = faults_last(rq);
    if (!e)
        e = outcome(rq, admit_charge(rq));
    return e;
}

struct engine *whole_engine(struct request *rq)
{
    struct engine *engine = rq->services->engine_for(rq->services->engine_arg, rq->model_name);

    rq->engine = engine->name;
    rq->action = "waiting for the engine";
    return engine;
}
