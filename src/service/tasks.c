/* tasks.c - making tasks, and running them. Spec: media.md §1; access.md §7.4. */
#include "service/tasks.h"

#include "access/faults.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "net/http_server.h"
#include "service/task_events.h"
#include "service/files.h"
#include "service/uploads.h"
#include "store/results.h"

#include <stdlib.h>

#define POLL_US     INT64_C(1000000)   /* how late a task is found that another process or worker left */
#define ORPHANS_US  INT64_C(600000000) /* files without an owner are looked for at the start, and then this often */
#define ORPHANS_MAX 1000               /* at once */

/* ---- making ---- */

bool task_wanted(const struct request *rq)
{
    return str_eq_nocase(request_header(rq, S("x-dashscope-async")), S("enable"));
}

/* "/api/v1/services/aigc/image2video/video-synthesis/" → "aigc:image2video:video-synthesis". */
static str function_of(struct request *rq)
{
    str        path = http_path(rq->x);
    size_t     at = str_find_str(path, S("/services/"));
    struct buf b;

    buf_init(&b, rq->arena, 1024);
    path = at == STR_NONE ? (str){ 0 } : str_from(path, at + 10);
    while (path.len) {
        str part = str_cut(&path, '/');

        if (b.len && part.len)
            buf_add_char(&b, ':');
        buf_add(&b, part);
    }
    return buf_str(&b);
}

struct task_terms task_terms_now(const struct request_settings *s, struct arena *a)
{
    struct fault      f = { 0 };
    struct fault_view v;

    (void)fail_task_timeout(&f); /* REF: E227, E288 */
    fault_render(&f, &s->wording, a, &v);
    return (struct task_terms){ .now_ms = clock_unix_ms(),
                                .run_ms = s->tasks.run_ms,
                                .keep_ms = s->tasks.keep_ms,
                                .tells = s->tasks.events.len > 0,
                                .timeout_code = v.code,
                                .timeout_message = v.message };
}

static void runner_wake(struct task_runner *r);
static void count_canceled(struct task_runner *r);

enum err task_create(struct request *rq, str kind, yyjson_val *body, char ret_id[UUID_LEN + 1])
{
    const struct model *m = rq->admission->model;
    struct task_create  c = { .queued_max = rq->settings->tasks.queued_max };
    enum err            e;

    might_suspend();
    rand_uuid(ret_id, '4');
    if (rq->settings->limits.catalog && m->tasks_queued_max > 0)
        c.queued_max = m->tasks_queued_max;
    c.row = (struct task_row){
        .id = str_of(ret_id, UUID_LEN),
        .request_id = str_of(rq->id, UUID_LEN),
        .kind = kind,
        .function = function_of(rq),
        .model = rq->model_name,
        .workspace = rq->workspace,
        .key = rq->key_id,
        .base = request_base(rq),
        .body = json_text(rq->arena, body),
        .fault = faults_hand_over(rq),
        .submit_ms = clock_unix_ms(),
    };
    rq->action = "making a task";
    e = store_run_together(rq->services->store, task_create_job, NULL, &c);
    if (e == ERR_LIMIT)
        return fail_throttled(&rq->fault); /* REF: E202 */
    if (e)
        return e;
    rq->admission->made_task = true;
    runner_wake(rq->services->tasks);
    return OK;
}

enum err task_cancel(struct request *rq, str id)
{
    struct task_cancel c = { .id = id, .now_ms = clock_unix_ms(), .tells = rq->settings->tasks.events.len > 0 };
    enum err           e = store_run_together(rq->services->store, task_cancel_job, NULL, &c);

    if (e == ERR_NOT_FOUND)
        return fail_task_not_pending(&rq->fault); /* REF: X106 */
    if (!e)
        count_canceled(rq->services->tasks);
    return e;
}

str task_result_url(const struct task *t, str name)
{
    const struct request *rq = t->rq;

    return results_url(rq->services->results, t->row->base, t->row->id, name,
                       (clock_unix_ms() + rq->settings->tasks.keep_ms) / 1000, rq->arena);
}

/* ---- running ---- */

struct run {
    struct run         *next;
    struct task_runner *runner;
    struct fiber       *fiber;
    struct arena        arena;
    struct task_row     row;  /* in the arena */
    bool                lost; /* somebody else has it */
    bool                over;
};

struct task_runner {
    struct loop               *loop;
    struct task_runner_options o;
    char                       owner[16]; /* of its claims */
    struct fiber              *fiber;     /* NULL: not started, or at its end */
    struct run                *runs;
    size_t                     run_count;
    struct task_counts         counts;
    int64_t                    beat_us, sweep_us, orphans_us;
    struct fiber              *teller; /* of ends; NULL: not at it */
    bool                       news, stopping, stopped;
    void (*then)(void *arg);
    void *then_arg;
};

static void runner_wake(struct task_runner *r)
{
    r->counts.created++;
    r->news = true;
    if (r->fiber)
        fiber_wake(r->fiber);
}

static void count_canceled(struct task_runner *r)
{
    r->counts.canceled++;
}

/* The request that a kind's function works with. */
static struct request *make_request(struct run *run, struct services *s, const struct request_settings *settings)
{
    struct request *rq = arena_new(&run->arena, struct request);

    rq->arena = &run->arena;
    rq->services = s;
    rq->settings = settings;
    rq->access = run->runner->o.access;
    rq->account = account_hold(run->runner->o.accounts);
    rq->surface = SURFACE_NATIVE;
    rq->workspace = run->row.workspace;
    rq->key_id = run->row.key;
    rq->model_name = run->row.model;
    rq->action = "running a task";
    memcpy(rq->id, run->row.request_id.ptr, min_size(run->row.request_id.len, UUID_LEN));
    return rq;
}

static const struct task_kind *kind_find(const struct task_runner *r, str name)
{
    for (size_t i = 0; i < r->o.kind_count; i++) {
        if (str_eq(r->o.kinds[i].name, name))
            return &r->o.kinds[i];
    }
    return NULL;
}

SUSPENDS static enum err run_kind(struct run *run, struct task *t)
{
    const struct task_kind *kind = kind_find(run->runner, run->row.kind);
    enum err                e;

    if (run->row.claim > run->runner->o.lost_max) {
        (void)fail_internal_error(&t->rq->fault);
        return fault_detail(&t->rq->fault, S("its runs were lost with the server, again and again"));
    }
    t->body = json_parse_copy(&run->arena, run->row.body);
    if (!kind || !t->body) {
        (void)fail_internal_error(&t->rq->fault);
        return fault_detail(&t->rq->fault, S("the store has a task of a newer dashbox, or a broken one"));
    }
    e = faults_task(t->rq, run->row.fault);
    return e ? e : kind->run(t);
}

/* The charge of a task that has succeeded, in the transaction of its end. */
struct charging {
    struct ledger *ledger;
    struct charge  charge;
    struct charged done;
    bool           tried;
};

static enum err charge_job(sqlite3 *db, void *arg)
{
    struct charging *c = arg;

    c->tried = true;
    return ledger_book(c->ledger, db, &c->charge, &c->done);
}

struct ending {
    struct task_end end;
    struct charging charging;
};

static enum err end_job(sqlite3 *db, void *arg)
{
    struct ending *n = arg;

    return task_end_job(db, &n->end);
}

static void end_booked(sqlite3 *db, void *arg, enum err e)
{
    struct ending *n = arg;

    if (n->charging.tried)
        ledger_booked(n->charging.ledger, db, &n->charging.charge, &n->charging.done, !e);
}

static void fill_failure(struct run *run, struct task *t, enum err e, struct task_row *r)
{
    struct request   *rq = t->rq;
    struct fault_view v;

    if (e != ERR_FAULT) {
        (void)fail_internal_error(&rq->fault);
        (void)fault_detail(&rq->fault, str_from_cstr(err_text(e)));
    }
    fault_render(&rq->fault, &rq->settings->wording, &run->arena, &v);
    r->status = TASK_FAILED;
    r->code = v.code;
    r->message = v.message;
    r->failed = t->total;
    r->succeeded = 0;
}

static void say_ended(const struct run *run, const struct task *t, const struct task_row *r)
{
    str detail = t->rq->fault.detail;

    log_info("task %.*s: %.*s%s%.*s%s%.*s%s, model %.*s, %lld ms", STR_ARG(r->id), STR_ARG(r->status),
             r->code.len ? " " : "", STR_ARG(r->code), detail.len ? " (" : "", STR_ARG(detail), detail.len ? ")" : "",
             STR_ARG(run->row.model), (long long)(r->end_ms - run->row.scheduled_ms));
}

/* How the run ended becomes the task's end, if it is still ours. */
SUSPENDS static void end_run(struct run *run, struct task *t, enum err e)
{
    struct task_runner *r = run->runner;
    struct request     *rq = t->rq;
    const struct model *m = request_model(rq, run->row.model);
    struct ending       n = { .end = { .owner = str_of(r->owner, sizeof(r->owner)),
                                       .tells = rq->settings->tasks.events.len > 0 } };
    struct task_row    *row = &n.end.row;

    *row = (struct task_row){ .id = run->row.id,
                              .claim = run->row.claim,
                              .end_ms = clock_unix_ms(),
                              .status = TASK_SUCCEEDED,
                              .total = t->total,
                              .succeeded = t->succeeded,
                              .failed = t->failed };
    if (e) {
        fill_failure(run, t, e, row);
        if (e == ERR_FAULT)
            row->output = buf_str(&t->output); /* results of parts, each with its failure */
    } else {
        row->output = buf_str(&t->output);
        row->usage = t->usage;
        n.charging = (struct charging){ .ledger = r->o.access->ledger,
                                        .charge = { .model = m,
                                                    .model_name = m ? m->id : run->row.model,
                                                    .workspace = run->row.workspace,
                                                    .key = run->row.key,
                                                    .use = { .prompt = rq->usage.prompt_tokens,
                                                             .completion = rq->usage.completion_tokens,
                                                             .images = rq->usage.images,
                                                             .play_ms = rq->usage.play_ms,
                                                             .characters = rq->usage.characters,
                                                             .when = rq->usage.size } } };
        n.end.also = charge_job;
        n.end.arg = &n.charging;
    }
    e = store_run_together(r->o.store, end_job, end_booked, &n);
    if (e == ERR_NOT_FOUND)
        return; /* it ran too long, or somebody else has it: that is its end */
    if (e) {
        log_error("task %.*s: its end cannot be written; it is run again when its lease has lapsed",
                  STR_ARG(run->row.id));
        return;
    }
    r->counts.succeeded += !row->code.len;
    r->counts.failed += row->code.len > 0;
    say_ended(run, t, row);
}

SUSPENDS static void give_back(struct run *run)
{
    struct task_end end = { .row = run->row, .owner = str_of(run->runner->owner, sizeof(run->runner->owner)) };

    (void)store_run(run->runner->o.store, task_release_job, &end); /* else its lease lapses */
}

static void run_main(void *arg)
{
    struct run                    *run = arg;
    struct task_runner            *r = run->runner;
    const struct request_settings *settings;
    struct services               *s = r->o.hold(r->o.arg, &settings);
    struct task                    t = { .row = &run->row, .rq = make_request(run, s, settings) };
    const struct account          *account = t.rq->account;
    enum err                       e;

    fiber_note_set(fiber_self(), t.rq);
    buf_init(&t.output, &run->arena, SIZE_MAX / 2);
    e = run->lost || r->stopping ? ERR_CANCELLED : run_kind(run, &t);
    if (e == ERR_CANCELLED && !run->lost)
        give_back(run);
    else if (!run->lost)
        end_run(run, &t, e);
    fiber_note_set(fiber_self(), NULL);
    arena_free(&run->arena); /* what was deferred there may need the services */
    account_release(r->o.accounts, account);
    r->o.release(r->o.arg, s);
    run->over = true;
    if (r->fiber)
        fiber_wake(r->fiber);
}

/* ---- the runner ---- */

static int64_t running_max_published(str model)
{
    const struct model *m = model_find(model);

    return m ? m->tasks_running_max : 0;
}

static int64_t running_max_any(str model)
{
    (void)model;
    return 0;
}

static str copy(struct arena *a, str s)
{
    return arena_str(a, s);
}

static void start_run(struct task_runner *r, const struct task_row *row)
{
    struct run      *run = xcalloc(1, sizeof(*run));
    struct task_row *c = &run->row;

    run->runner = r;
    arena_init(&run->arena, 0);
    *c = *row;
    c->id = copy(&run->arena, row->id);
    c->request_id = copy(&run->arena, row->request_id);
    c->kind = copy(&run->arena, row->kind);
    c->function = copy(&run->arena, row->function);
    c->model = copy(&run->arena, row->model);
    c->workspace = copy(&run->arena, row->workspace);
    c->key = copy(&run->arena, row->key);
    c->base = copy(&run->arena, row->base);
    c->body = copy(&run->arena, row->body);
    c->fault = copy(&run->arena, row->fault);
    run->next = r->runs;
    r->runs = run;
    r->run_count++;
    run->fiber = fiber_start(r->loop, run_main, run);
}

SUSPENDS static void claim(struct task_runner *r)
{
    const struct request_settings *settings;
    struct services               *s;
    struct task_claim              c = { .owner = str_of(r->owner, sizeof(r->owner)),
                                         .machine_ms = clock_machine_ms(),
                                         .lease_ms = r->o.lease_ms,
                                         .room = r->o.running_max - r->run_count };
    struct arena                   a;

    r->news = false;
    if (!c.room)
        return;
    s = r->o.hold(r->o.arg, &settings);
    arena_init(&a, 0);
    c.arena = &a;
    c.terms = task_terms_now(settings, &a);
    c.running_max = settings->limits.catalog ? running_max_published : running_max_any;
    if (store_run(r->o.store, task_claim_job, &c) == OK) { /* a failure is in the log, and tried again */
        for (size_t i = 0; i < c.count; i++)
            start_run(r, &c.rows[i]);
    }
    arena_free(&a);
    r->o.release(r->o.arg, s);
}

/* Renews the leases. Who has lost his stops. */
SUSPENDS static void beat(struct task_runner *r)
{
    struct arena     a;
    struct task_beat b = { .owner = str_of(r->owner, sizeof(r->owner)) };

    r->beat_us = loop_now_us(r->loop) + r->o.lease_ms * 1000 / 3;
    if (!r->run_count)
        return;
    arena_init(&a, 0);
    b.held = arena_array(&a, struct task_held, r->run_count);
    b.lease_until_ms = clock_machine_ms() + r->o.lease_ms;
    for (struct run *run = r->runs; run; run = run->next) {
        if (run->over)
            continue;
        memcpy(b.held[b.count].id, run->row.id.ptr, UUID_LEN);
        b.held[b.count++].claim = run->row.claim;
    }
    if (store_run(r->o.store, task_beat_job, &b) == OK) {
        for (size_t i = 0; i < b.count; i++) {
            for (struct run *run = r->runs; run && b.held[i].lost; run = run->next) {
                if (run->over || !str_eq(run->row.id, str_from_cstr(b.held[i].id)) || run->row.claim != b.held[i].claim)
                    continue;
                run->lost = true;
                fiber_cancel(run->fiber);
            }
        }
    }
    arena_free(&a);
}

struct removal {
    struct results *results;
    str             task;
};

static void removal_job(void *arg)
{
    struct removal *m = arg;

    results_remove(m->results, m->task);
}

struct old_files {
    struct results *results;
    struct arena   *arena;
    int64_t         before_s;
    str             names[ORPHANS_MAX];
    size_t          count;
};

static void old_files_job(void *arg)
{
    struct old_files *o = arg;

    o->count = results_old(o->results, o->before_s, o->arena, o->names, ORPHANS_MAX);
}

/* Files that are as old as they are kept, and that the store does not know: what a process that was killed between two steps has
 * left, and the results of synchronous calls. */
SUSPENDS static void sweep_orphans(struct services *s, struct results *results, const char *sql, int64_t keep_ms)
{
    struct arena        a;
    struct old_files   *o;
    struct store_absent absent = { .sql = sql };

    arena_init(&a, 0);
    o = arena_new(&a, struct old_files);
    o->results = results;
    o->arena = &a;
    o->before_s = (clock_unix_ms() - keep_ms) / 1000;
    lane_run(s->files, old_files_job, o);
    absent.names = o->names;
    absent.count = o->count;
    if (o->count && store_run(s->store, store_absent_job, &absent) == OK) {
        for (size_t i = 0; i < absent.count; i++) {
            struct removal m = { results, absent.names[i] };

            lane_run(s->files, removal_job, &m);
        }
    }
    arena_free(&a);
}

/* Tells of ends until none is due. */
static void teller_main(void *arg)
{
    struct task_runner            *r = arg;
    const struct request_settings *settings;
    struct services               *s = r->o.hold(r->o.arg, &settings);

    if (settings->tasks.events.len)
        task_events_tell(s, settings);
    r->o.release(r->o.arg, s);
    r->teller = NULL;
    if (r->fiber)
        fiber_wake(r->fiber);
}

SUSPENDS static void sweep(struct task_runner *r)
{
    const struct request_settings *settings;
    struct services               *s = r->o.hold(r->o.arg, &settings);
    struct arena                   a;
    struct task_sweep              sw = { .arena = &a };

    r->sweep_us = loop_now_us(r->loop) + POLL_US;
    arena_init(&a, 0);
    sw.terms = task_terms_now(settings, &a);
    if (store_run(r->o.store, task_sweep_job, &sw) == OK) {
        r->counts.pending = sw.pending;
        r->counts.running = sw.running;
        for (size_t i = 0; i < sw.gone_count; i++) {
            struct removal m = { s->results, sw.gone[i] };

            lane_run(s->files, removal_job, &m);
        }
    }
    arena_free(&a);
    uploads_sweep(s);
    if (s->results && loop_now_us(r->loop) >= r->orphans_us) {
        r->orphans_us = loop_now_us(r->loop) + ORPHANS_US;
        sweep_orphans(s, s->results, "SELECT 1 FROM tasks WHERE id = ?", settings->tasks.keep_ms);
        sweep_orphans(s, s->uploads, "SELECT 1 FROM uploads WHERE id = ?", settings->uploads.keep_ms);
        files_sweep(s);
    }
    r->o.release(r->o.arg, s);
    if (!r->teller && !r->stopping)
        r->teller = fiber_start(r->loop, teller_main, r);
}

static void bury(struct task_runner *r)
{
    struct run **at = &r->runs;

    while (*at) {
        struct run *run = *at;

        if (!run->over) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        r->run_count--;
        r->news = true; /* there is room */
        free(run);
    }
}

static void cancel_all(struct task_runner *r)
{
    for (struct run *run = r->runs; run; run = run->next) {
        if (!run->over)
            fiber_cancel(run->fiber);
    }
    if (r->teller)
        fiber_cancel(r->teller);
}

static void runner_over(struct task_runner *r)
{
    r->stopped = true;
    if (r->then)
        r->then(r->then_arg);
}

static void runner_main(void *arg)
{
    struct task_runner *r = arg;
    bool                cancelled = false;

    while (!r->stopping || r->run_count || r->teller) {
        int64_t now_us = loop_now_us(r->loop), until_us;

        if (r->stopping && !cancelled) {
            cancelled = true;
            cancel_all(r);
        }
        if (!r->stopping)
            claim(r);
        if (now_us >= r->beat_us)
            beat(r);
        if (r->o.sweeps && !r->stopping && now_us >= r->sweep_us)
            sweep(r);
        bury(r);
        until_us = min_i64(loop_now_us(r->loop) + POLL_US, r->beat_us);
        if (r->stopping ? cancelled && (r->run_count || r->teller) : !r->news)
            (void)fiber_wait(until_us);
        bury(r);
    }
    r->fiber = NULL;
    runner_over(r);
}

struct task_runner *task_runner_open(struct loop *l, const struct task_runner_options *o)
{
    struct task_runner *r = xcalloc(1, sizeof(*r));

    r->loop = l;
    r->o = *o;
    rand_hex(r->owner, sizeof(r->owner));
    return r;
}

void task_runner_start(struct task_runner *r)
{
    r->fiber = fiber_start(r->loop, runner_main, r);
}

const struct task_counts *task_runner_counts(const struct task_runner *r)
{
    return &r->counts;
}

void task_runner_stop(struct task_runner *r, void (*then)(void *arg), void *arg)
{
    r->stopping = true;
    r->then = then;
    r->then_arg = arg;
    if (r->fiber)
        fiber_wake(r->fiber);
    else
        runner_over(r);
}

void task_runner_free(struct task_runner *r)
{
    free(r);
}

/* ---- forgetting ---- */

enum err tasks_forget(struct request *rq)
{
    struct removal m = { rq->services->results, (str){ 0 } };
    enum err       e;

    might_suspend();
    e = store_run(rq->services->store, task_reset_job, NULL);
    if (e)
        return e;
    lane_run(rq->services->files, removal_job, &m);
    rq->services->tasks->beat_us = 0; /* what runs here has lost its task */
    rq->services->tasks->news = true;
    if (rq->services->tasks->fiber)
        fiber_wake(rq->services->tasks->fiber);
    return OK;
}
