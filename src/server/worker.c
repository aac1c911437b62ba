/* worker.c - one loop thread. */
#include "server/worker.h"

#include "base/log.h"
#include "loop/loop.h"
#include "server/server.h"
#include "api/openai/openai.h"
#include "api/reply.h"
#include "service/batch_runner.h"
#include "service/documents.h"
#include "service/knowledge.h"
#include "service/tasks.h"
#include "service/tuning.h"

#include <signal.h>
#include <stdlib.h>

#define ACCOUNT_POLL_US INT64_C(500000) /* how late what another process has changed is noticed: keys, payments, … */

static void update_gauges(struct worker *w)
{
    const struct http_counters *h = http_server_counters(w->server);
    struct count_memo_stats     m = count_memo_stats(w->memo);
    const struct task_counts   *t = task_runner_counts(w->tasks);

    counter_set(&w->counters, COUNTER_CONNECTIONS_TOTAL, h->connections);
    counter_set(&w->counters, COUNTER_CONNECTIONS_REFUSED_TOTAL, h->connections_refused);
    counter_set(&w->counters, COUNTER_BAD_REQUESTS_TOTAL, h->bad_requests);
    counter_set(&w->counters, COUNTER_BYTES_IN_TOTAL, h->bytes_in);
    counter_set(&w->counters, COUNTER_BYTES_OUT_TOTAL, h->bytes_out);
    counter_set(&w->counters, COUNTER_CONNECTIONS, (int64_t)h->open);
    counter_set(&w->counters, COUNTER_REQUESTS_ACTIVE, (int64_t)h->active);
    counter_set(&w->counters, COUNTER_FIBERS, (int64_t)loop_fiber_count(w->loop));
    counter_set(&w->counters, COUNTER_TOKEN_MEMO_HITS_TOTAL, (int64_t)m.hits);
    counter_set(&w->counters, COUNTER_TOKEN_MEMO_MISSES_TOTAL, (int64_t)m.misses);
    counter_set(&w->counters, COUNTER_TASKS_CREATED_TOTAL, t->created);
    counter_set(&w->counters, COUNTER_TASKS_ENDED_TOTAL_SUCCEEDED, t->succeeded);
    counter_set(&w->counters, COUNTER_TASKS_ENDED_TOTAL_FAILED, t->failed);
    counter_set(&w->counters, COUNTER_TASKS_ENDED_TOTAL_CANCELED, t->canceled);
    counter_set(&w->counters, COUNTER_TASKS_PENDING, t->pending);
    counter_set(&w->counters, COUNTER_TASKS_RUNNING, t->running);
}

/* Before the loop sleeps: the lines of requests go out in one write. */
static void on_idle(void *arg)
{
    struct worker *w = arg;

    if (w->setup && w->server && w->tasks) {
        update_gauges(w);
        setup_publish(w->setup);
    }
    log_flush();
}

static void worker_over(struct worker *w);

/* What the configuration says of keys, moderation and billing is the process's. */
static void take_account(struct server *p, struct shared *s)
{
    (void)account_extra_set(p->accounts, s->config->api_keys, s->config->api_key_count);
    (void)account_rules_set(p->accounts, s->rules);
    quota_billing_set(p->quota, s->config->options.billing_enforce);
}

/* One worker sees to what the store says, and the configuration, of the account: on a fiber, since the store may take its
 * time. The loop does not end before this fiber. */
static void watch_account(void *arg)
{
    struct worker *w = arg;

    while (w->account_next || fiber_wait(loop_now_us(w->loop) + ACCOUNT_POLL_US) != ERR_CANCELLED) {
        struct shared *s = w->account_next;

        w->account_next = NULL;
        if (s)
            take_account(w->common, s);
        (void)account_refresh(w->common->accounts); /* a failure is in the log; the old snapshot stays */
        (void)quota_refresh(w->common->quota);
        shared_unref(s);
    }
    shared_unref(w->account_next); /* too late */
    w->account_next = NULL;
    w->account_watch = NULL;
    worker_over(w);
}

static struct http_server_options http_options(struct worker *w, struct shared *s)
{
    const struct options *o = &s->config->options;

    return (struct http_server_options){
        .head_time_ms = o->time_head_ms,
        .body_time_ms = o->time_body_ms,
        .idle_time_ms = o->time_idle_ms,
        .connection_max =
            (size_t)((o->connections + (int64_t)w->common->worker_count - 1) / (int64_t)w->common->worker_count),
        .tls = s->tls,
        .plan = request_plan,
        .handle = request_handle,
        .arg = w,
    };
}

enum err worker_open(struct server *p, unsigned index, struct shared *s, const struct address *at, struct worker **ret)
{
    struct worker             *w = xcalloc(1, sizeof(*w));
    struct http_server_options http;
    enum err                   e;

    w->common = p;
    w->index = index;
    w->loop = loop_new();
    if (!w->loop) {
        free(w);
        return ERR_LIMIT;
    }
    counters_init(&w->counters);
    w->memo = count_memo_open(0);
    loop_on_idle(w->loop, on_idle, w);
    e = index == 0 ? children_start(&p->children, w->loop, s->config) : OK;
    if (!e)
        e = setup_open(w, s, &w->setup);
    http = http_options(w, s);
    if (!e)
        e = http_server_open(w->loop, at, &http, &w->server);
    if (e) {
        worker_free(w);
        return e;
    }
    *ret = w;
    return OK;
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    if (w->index == 0)
        w->account_watch = fiber_start(w->loop, watch_account, w);
    task_runner_start(w->tasks);
    batch_runner_start(w->batches);
    if (w->index == 0)
        tuning_runner_start(w->common->tuning);
    if (w->index == 0)
        document_reader_start(w->common->reader);
    if (w->index == 0)
        knowledge_index_start(w->common->indexing);
    loop_run(w->loop);
    log_flush();
    if (atomic_fetch_sub(&w->common->running, 1) == 1)
        pthread_kill(w->common->main, SIGUSR2);
    return NULL;
}

/* A task runs with the newest configuration. */
static struct services *hold_services(void *arg, const struct request_settings **ret_settings)
{
    struct worker *w = arg;

    setup_hold(w->setup);
    *ret_settings = &w->setup->shared->settings;
    return &w->setup->services;
}

static void release_services(void *arg, struct services *s)
{
    (void)arg;
    setup_release(CONTAINER_OF(s, struct setup, services));
}

static void open_tasks(struct worker *w)
{
    const struct options            *o = &w->setup->shared->config->options;
    size_t                           workers = w->common->worker_count;
    const struct task_runner_options t = {
        .store = w->common->store,
        .accounts = w->accounts,
        .access = &w->access,
        .running_max = (size_t)o->tasks_running / workers + (w->index < (size_t)o->tasks_running % workers),
        .lease_ms = o->tasks_lease_ms,
        .lost_max = o->tasks_lost,
        .kinds = task_kinds,
        .kind_count = task_kind_count,
        .sweeps = w->index == 0,
        .hold = hold_services,
        .release = release_services,
        .arg = w,
    };

    w->tasks = task_runner_open(w->loop, &t);
}

static void open_reader(struct worker *w)
{
    const struct document_reader_options o = {
        .store = w->common->store,
        .blobs = w->common->blobs,
        .at_once = (size_t)w->setup->shared->config->options.documents_processes,
        .hold = hold_services,
        .release = release_services,
        .arg = w,
    };

    w->common->reader = document_reader_open(w->loop, &o);
}

static void open_indexer(struct worker *w)
{
    const struct knowledge_index_options o = {
        .store = w->common->store, .hold = hold_services, .release = release_services, .arg = w
    };

    w->common->indexing = knowledge_index_open(w->loop, &o);
}

static void open_batches(struct worker *w)
{
    const struct options             *o = &w->setup->shared->config->options;
    const struct batch_runner_options b = {
        .store = w->common->store,
        .accounts = w->accounts,
        .access = &w->access,
        .running_max = (size_t)o->batches_running,
        .requests_max = (size_t)o->batches_requests,
        .lease_ms = o->batches_lease_ms,
        .answer = openai_batch_line,
        .refusal = reply_fault_body,
        .hold = hold_services,
        .release = release_services,
        .arg = w,
    };

    w->batches = batch_runner_open(w->loop, &b);
}

/* Jobs are few and long: one worker runs them all. */
static void open_tuning(struct worker *w)
{
    const struct options              *o = &w->setup->shared->config->options;
    const struct tuning_runner_options t = { .store = w->common->store,
                                             .running_max = (size_t)o->tuning_running,
                                             .lease_ms = o->tasks_lease_ms,
                                             .lost_max = o->tasks_lost,
                                             .hold = hold_services,
                                             .release = release_services,
                                             .arg = w };

    w->common->tuning = tuning_runner_open(w->loop, &t);
}

enum err worker_start(struct worker *w)
{
    struct server *p = w->common;
    enum err       e;

    w->accounts = account_view_open(p->accounts);
    w->access = (struct access){ .rates = rates_view_open(p->rates, w->loop),
                                 .quota = p->quota,
                                 .ledger = p->ledger,
                                 .batch_calls = &p->batch_calls };
    e = ledger_log_open(p->ledger, &w->access.log);
    if (e)
        return e;
    open_tasks(w);
    open_batches(w);
    if (w->index == 0)
        open_tuning(w);
    if (w->index == 0)
        open_reader(w);
    if (w->index == 0)
        open_indexer(w);
    setup_attach(w->setup);
    atomic_fetch_add(&w->common->running, 1);
    w->has_run = true;
    if (pthread_create(&w->thread, NULL, worker_main, w)) {
        atomic_fetch_sub(&w->common->running, 1);
        w->has_run = false;
        return ERR_LIMIT;
    }
    pthread_setname_np(w->thread, "worker");
    return OK;
}

/* Worker 0 goes first: the others' engines ask its children. */
static void reload_rest(struct worker *w, struct shared *s)
{
    for (size_t i = 1; i < w->common->worker_count; i++)
        worker_reload(w->common->workers[i], s);
    shared_unref(w->account_next);
    w->account_next = shared_ref(s);
    fiber_wake(w->account_watch);
}

static void reload_here(void *arg)
{
    struct worker   *w = arg;
    struct children *children = &w->common->children;
    struct shared   *shared = atomic_exchange(&w->next, NULL);
    struct setup    *s;
    enum err         e;

    if (!shared || w->draining) { /* an earlier call has taken it; too late */
        shared_unref(shared);
        return;
    }
    e = w->index == 0 ? children_start(children, w->loop, shared->config) : OK;
    if (!e)
        e = setup_open(w, shared, &s);
    if (!e) {
        struct http_server_options http = http_options(w, shared);

        setup_retire(w->setup);
        w->setup = s;
        http_server_options_set(w->server, &http);
    } else {
        log_error("reload: worker %u cannot use the configuration, keeping the old one", w->index);
    }
    if (w->index == 0) {
        children_keep(children, w->setup->shared->config); /* whichever it is now */
        if (!e)
            reload_rest(w, shared);
    }
    shared_unref(shared);
}

void worker_reload(struct worker *w, struct shared *s)
{
    shared_unref(atomic_exchange(&w->next, shared_ref(s))); /* one that was never taken is out of date */
    loop_post(w->loop, reload_here, w);
}

static void on_children_closed(void *arg)
{
    struct server *p = arg;

    loop_stop(p->workers[0]->loop);
}

/* On worker 0's loop: when no worker has requests any more, the children go, and then this loop. */
static void peer_drained(void *arg)
{
    struct server *p = arg;

    if (++p->drained == p->thread_count)
        children_close(&p->children, on_children_closed, p);
}

/* It has neither requests nor a fiber of its own. */
static void worker_over(struct worker *w)
{
    loop_post(w->common->workers[0]->loop, peer_drained, w->common);
    if (w->index != 0)
        loop_stop(w->loop);
}

static void on_runners_stopped(void *arg)
{
    struct worker *w = arg;

    setup_retire(w->setup);
    w->setup = NULL;
    rates_view_close(w->access.rates);
    if (w->account_watch)
        fiber_cancel(w->account_watch);
    else
        worker_over(w);
}

static void on_indexer_stopped(void *arg)
{
    struct worker *w = arg;

    document_reader_stop(w->common->reader, on_runners_stopped, w);
}

static void on_readers_stopped(void *arg)
{
    struct worker *w = arg;

    if (w->index == 0)
        knowledge_index_stop(w->common->indexing, on_indexer_stopped, w);
    else
        on_runners_stopped(w);
}

static void on_tasks_stopped(void *arg)
{
    struct worker *w = arg;

    if (w->index == 0)
        tuning_runner_stop(w->common->tuning, on_readers_stopped, w);
    else
        on_readers_stopped(w);
}

static void on_batches_stopped(void *arg)
{
    struct worker *w = arg;

    task_runner_stop(w->tasks, on_tasks_stopped, w);
}

static void on_background_stopped(void *arg)
{
    struct worker *w = arg;

    batch_runner_stop(w->batches, on_batches_stopped, w);
}

static void on_drained(void *arg)
{
    struct worker *w = arg;

    if (w->drain_watch)
        fiber_cancel(w->drain_watch);
    w->drain_watch = NULL;
    http_server_free(w->server);
    w->server = NULL;
    background_stop(w, on_background_stopped, w);
}

static void cut_off(struct worker *w)
{
    w->cut_off = true;
    http_server_cancel(w->server);
}

static void watch_drain(void *arg)
{
    struct worker *w = arg;

    if (fiber_sleep_until(loop_now_us(w->loop) + w->drain_ms * 1000) == OK && w->server)
        cut_off(w);
    w->drain_watch = NULL;
}

static void stop_here(void *arg)
{
    struct worker *w = arg;

    if (!w->draining) {
        w->draining = true;
        w->drain_watch = fiber_start(w->loop, watch_drain, w);
        http_server_drain(w->server, on_drained, w);
    } else if (w->server) {
        cut_off(w); /* asked twice */
    }
}

void worker_stop(struct worker *w, int64_t drain_ms)
{
    atomic_store(&w->drain_ms, drain_ms);
    loop_post(w->loop, stop_here, w);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

/* What has been opened and has never run ends as if it had: a loop runs until its fibers have noticed. */
static void close_unused(struct worker *w)
{
    if (w->setup)
        setup_retire(w->setup);
    w->setup = NULL;
    if (w->server)
        http_server_drain(w->server, NULL, NULL);
    rates_view_close(w->access.rates);
    if (w->index == 0)
        children_close(&w->common->children, NULL, NULL);
    loop_stop(w->loop);
    loop_run(w->loop);
    http_server_free(w->server);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (!w->has_run)
        close_unused(w);
    shared_unref(w->next);
    task_runner_free(w->tasks);
    batch_runner_free(w->batches);
    if (w->index == 0)
        tuning_runner_free(w->common->tuning);
    if (w->index == 0)
        document_reader_free(w->common->reader);
    if (w->index == 0)
        knowledge_index_free(w->common->indexing);
    account_view_close(w->accounts);
    count_memo_close(w->memo);
    loop_free(w->loop);
    counters_free(&w->counters);
    free(w);
}
