/* batch_runner.c - which batches run, and who is told of their ends. Spec: platform.md §2.3. */
#include "service/batch_runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "fetch/fetch.h"
#include "loop/loop.h"
#include "service/batch_run.h"
#include "service/batches.h"

#include <stdlib.h>

#define CALLBACK_MS INT64_C(10000) /* for one call */
#define TRIES_MAX   12             /* then a callback is given up: an hour or so */

/* ---- callbacks ---- */

/* The URL is a client's, so it is guarded as a download is. */
SUSPENDS static bool call_back(struct services *s, struct arena *a, const struct batch_row *row)
{
    static const struct http_field fields[] = { { S("content-type"), S("application/json;charset=utf-8") },
                                                { S("user-agent"), S("dashbox") } };
    struct fetch_call              call = { .method = S("POST"),
                                            .url = row->callback,
                                            .fields = fields,
                                            .field_count = ARRAY_LEN(fields),
                                            .has_body = true,
                                            .time_ms = CALLBACK_MS,
                                            .answer_max = 65536 };
    struct fetch_answer            answer;
    struct buf                     b;
    enum fetch_error               fe;

    buf_init(&b, a, SIZE_MAX / 2);
    batch_add_object(&b, row);
    call.body = buf_str(&b);
    fe = fetch_call(s->fetcher, a, &call, &answer);
    if (!fe && answer.status >= 200 && answer.status < 300)
        return true;
    if (fe)
        log_warn("batch %.*s: its callback: %.*s", STR_ARG(row->id), STR_ARG(fetch_error_text(fe)));
    else
        log_warn("batch %.*s: its callback answered %d", STR_ARG(row->id), answer.status);
    return false;
}

/* Those that are due; what fails is tried again after 1 s, 2 s, 4 s, …, also by another server. */
static void teller_main(void *arg)
{
    struct batch_runner           *r = arg;
    const struct request_settings *settings;
    struct services               *s = r->o.hold(r->o.arg, &settings);
    struct arena                   a;
    struct batch_events           *ev;
    int64_t                        now_ms = clock_machine_ms();

    arena_init(&a, 0);
    ev = arena_new(&a, struct batch_events);
    *ev = (struct batch_events){ .arena = &a,
                                 .machine_ms = now_ms,
                                 .until_ms = now_ms + 2 * BATCH_EVENTS_MAX * CALLBACK_MS };
    if (store_run(r->o.store, batch_events_job, ev))
        ev->count = 0;
    for (size_t i = 0; i < ev->count && !r->stopping; i++) {
        struct batch_told told = { .number = ev->rows[i].number };

        if (!call_back(s, &a, &ev->rows[i]) && ev->tries[i] < TRIES_MAX)
            told.again_ms = clock_machine_ms() + (INT64_C(1000) << (ev->tries[i] - 1));
        (void)store_run(r->o.store, batch_told_job, &told); /* else it is told again */
    }
    arena_free(&a);
    r->o.release(r->o.arg, s);
    r->teller = NULL;
    if (r->fiber)
        fiber_wake(r->fiber);
}

/* ---- the runner ---- */

static void start_run(struct batch_runner *r, const struct batch_row *row)
{
    struct batch_run *run = xcalloc(1, sizeof(*run));
    struct batch_row *c = &run->row;
    str *const        texts[] = { &c->id,         &c->workspace, &c->key,         &c->endpoint,  &c->input_file,
                                  &c->input_hash, &c->window,    &c->metadata,    &c->name,      &c->status,
                                  &c->model,      &c->errors,    &c->output_file, &c->error_file };

    run->runner = r;
    run->fd = -1;
    run->todo.last = &run->todo.first;
    run->ended.last = &run->ended.first;
    arena_init(&run->arena, 0);
    *c = *row;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(&run->arena, *texts[i]);
    run->next = r->runs;
    r->runs = run;
    r->run_count++;
    run->fiber = fiber_start(r->loop, batch_run_main, run);
}

SUSPENDS static void claim(struct batch_runner *r)
{
    struct batch_claim c = { .owner = str_of(r->owner, sizeof(r->owner)),
                             .machine_ms = clock_machine_ms(),
                             .lease_ms = r->o.lease_ms,
                             .room = r->o.running_max - r->run_count };
    struct arena       a;

    if (!c.room)
        return;
    arena_init(&a, 0);
    c.arena = &a;
    if (store_run(r->o.store, batch_claim_job, &c) == OK) { /* a failure is in the log, and tried again */
        for (size_t i = 0; i < c.count; i++)
            start_run(r, &c.rows[i]);
    }
    arena_free(&a);
}

static void bury(struct batch_runner *r)
{
    struct batch_run **at = &r->runs;

    while (*at) {
        struct batch_run *run = *at;

        if (!run->over) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        r->run_count--;
        arena_free(&run->arena);
        free(run);
    }
}

static void runner_main(void *arg)
{
    struct batch_runner *r = arg;
    bool                 cancelled = false;

    while (!r->stopping || r->run_count || r->teller) {
        r->news = false;
        if (!r->stopping && !r->teller && loop_now_us(r->loop) >= r->tell_us) {
            r->tell_us = loop_now_us(r->loop) + BATCH_POLL_US;
            r->teller = fiber_start(r->loop, teller_main, r);
        }
        if (r->stopping && !cancelled && r->teller)
            fiber_cancel(r->teller);
        for (struct batch_run *run = r->runs; run && r->stopping && !cancelled; run = run->next) {
            if (run->fiber)
                fiber_cancel(run->fiber);
        }
        cancelled = r->stopping;
        if (!r->stopping)
            claim(r);
        bury(r);
        if (!r->news && (!r->stopping || r->run_count || r->teller))
            (void)fiber_wait(loop_now_us(r->loop) + BATCH_POLL_US);
        bury(r);
    }
    r->fiber = NULL;
    if (r->then)
        r->then(r->then_arg);
}

struct batch_runner *batch_runner_open(struct loop *l, const struct batch_runner_options *o)
{
    struct batch_runner *r = xcalloc(1, sizeof(*r));

    r->loop = l;
    r->o = *o;
    rand_hex(r->owner, sizeof(r->owner));
    return r;
}

void batch_runner_start(struct batch_runner *r)
{
    r->fiber = fiber_start(r->loop, runner_main, r);
}

void batch_runner_wake(struct batch_runner *r)
{
    r->news = true;
    for (struct batch_run *run = r->runs; run; run = run->next) {
        run->news = true;
        if (run->fiber)
            fiber_wake(run->fiber);
    }
    if (r->fiber)
        fiber_wake(r->fiber);
}

int64_t batch_runner_lines(const struct batch_runner *r)
{
    return r->lines;
}

void batch_runner_stop(struct batch_runner *r, void (*then)(void *arg), void *arg)
{
    r->stopping = true;
    r->then = then;
    r->then_arg = arg;
    if (r->fiber)
        fiber_wake(r->fiber);
    else
        then(arg);
}

void batch_runner_free(struct batch_runner *r)
{
    free(r);
}
