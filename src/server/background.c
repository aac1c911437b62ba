/* background.c - work that goes on behind its call. */
#include "server/background.h"

#include "access/account.h"
#include "loop/loop.h"
#include "server/worker.h"

#include <stdlib.h>

struct background_job {
    struct background_job *next;
    struct arena           arena;
    struct worker         *worker;
    struct setup          *setup;
    struct request        *rq;
    struct fiber          *fiber; /* NULL: not launched yet */
    void (*run)(struct request *own, void *arg);
    void *arg;
};

static void job_free(struct background_job *j)
{
    struct worker          *w = j->worker;
    struct background      *b = &w->background;
    struct background_job **at = &b->jobs;
    const struct account   *account = j->rq->account;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    b->count--;
    arena_free(&j->arena); /* what was deferred there may need the setup */
    account_release(w->accounts, account);
    setup_release(j->setup);
    free(j);
    if (b->stopping && !b->jobs)
        b->then(b->arg);
}

enum err background_prepare(struct worker *w, const struct request *rq, const struct request_hooks *hooks, size_t max,
                            struct request **ret)
{
    struct background_job *j;
    struct request        *own;

    if (w->background.stopping || w->draining)
        return ERR_CANCELLED;
    if (w->background.count >= max)
        return ERR_LIMIT;
    j = xcalloc(1, sizeof(*j));
    j->worker = w;
    j->setup = w->setup;
    setup_hold(j->setup);
    arena_init(&j->arena, 0);
    j->rq = own = request_part(rq, &j->arena);
    own->x = NULL;
    own->faults = NULL;
    own->journal = NULL;
    own->hooks = hooks;
    own->services = &j->setup->services;
    own->settings = &j->setup->shared->settings;
    own->stream = false;
    own->account = account_hold(w->accounts);
    own->key_id = arena_str(&j->arena, rq->key_id);
    own->key = account_key_by_id(own->account, own->key_id);
    own->space = account_workspace(own->account, rq->workspace);
    own->workspace = own->space ? own->space->id : (str){ 0 };
    j->next = w->background.jobs;
    w->background.jobs = j;
    w->background.count++;
    if (own->key && own->space) {
        *ret = own;
        return OK;
    }
    job_free(j);
    return ERR_CANCELLED;
}

static struct background_job *job_of(struct worker *w, const struct request *own)
{
    struct background_job *j = w->background.jobs;

    while (j->rq != own)
        j = j->next;
    return j;
}

static void job_main(void *arg)
{
    struct background_job *j = arg;

    fiber_note_set(fiber_self(), j->rq);
    j->run(j->rq, j->arg);
    fiber_note_set(fiber_self(), NULL);
    job_free(j);
}

void background_launch(struct worker *w, struct request *own, void (*run)(struct request *own, void *arg), void *arg)
{
    struct background_job *j = job_of(w, own);

    if (!run) {
        job_free(j);
        return;
    }
    j->run = run;
    j->arg = arg;
    j->fiber = fiber_start(w->loop, job_main, j);
}

void background_stop(struct worker *w, void (*then)(void *arg), void *arg)
{
    struct background *b = &w->background;

    b->stopping = true;
    b->then = then;
    b->arg = arg;
    for (struct background_job *j = b->jobs; j; j = j->next) {
        if (j->fiber)
            fiber_cancel(j->fiber);
    }
    if (!b->jobs)
        then(arg);
}
