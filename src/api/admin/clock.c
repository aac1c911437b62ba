/* clock.c - the admin API's clock, and the reset of everything that calls have left behind. */
#include "access/admission.h"
#include "access/faults.h"
#include "access/journal.h"
#include "api/admin/admin.gen.h"
#include "base/clock.h"
#include "service/batches.h"
#include "service/conversation.h"
#include "service/tasks.h"
#include "service/files.h"
#include "service/tuning.h"
#include "service/uploads.h"
#include "store/apps.h"
#include "store/assets.h"
#include "store/assistants.h"
#include "store/knowledge.h"

static enum err answer_clock(struct admin_call *c)
{
    struct clock_state s = clock_state_now();

    buf_add_char(&c->out, '{');
    object_time(&c->out, "now", s.now_ms);
    object_int(&c->out, "offset_ms", s.offset_ms);
    object_bool(&c->out, "stopped", s.stopped);
    buf_add_char(&c->out, '}');
    return OK;
}

enum err admin_handle_clock(struct admin_call *c)
{
    return answer_clock(c);
}

enum err admin_handle_clock_set(struct admin_call *c)
{
    if (admin_has(c, "stopped"))
        clock_stop(admin_bool(c, "stopped", false));
    if (admin_has(c, "now"))
        clock_set(admin_int(c, "now", 0));
    clock_advance(admin_int(c, "advance_ms", 0));
    (void)quota_refresh(c->rq->access->quota); /* of a new month, for the very next call; a failure is in the log */
    return answer_clock(c);
}

enum err admin_handle_clock_reset(struct admin_call *c)
{
    clock_reset();
    (void)quota_refresh(c->rq->access->quota);
    return answer_clock(c);
}

enum err admin_handle_reset(struct admin_call *c)
{
    struct request *rq = c->rq;
    enum err        e;

    faults_clear(rq->faults);
    if (rq->journal)
        journal_clear(rq->journal);
    clock_reset();
    rates_reset(rq->access->rates);
    rq->services->reset(rq->services->engine_arg);
    e = tasks_forget(rq);
    if (!e)
        e = store_run(rq->services->store, asset_reset_job, NULL);
    if (!e)
        e = uploads_forget(rq->services);
    if (!e)
        e = batches_forget(rq->services);
    if (!e)
        e = files_forget(rq->services);
    if (!e)
        e = conversation_reset(rq->services->store);
    if (!e)
        e = store_run(rq->services->store, app_reset_job, NULL);
    if (!e)
        e = store_run(rq->services->store, assistant_reset_job, NULL);
    if (!e)
        e = store_run(rq->services->store, knowledge_reset_job, NULL);
    if (!e)
        e = tuning_forget(rq);
    return e ? e : ledger_reset(rq->access->ledger);
}
