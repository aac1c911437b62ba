/* server.c - the life of the server process. */
#include "server/server.h"

#include "access/faults.h"
#include "access/journal.h"
#include "base/log.h"
#include "base/num.h"
#include "loop/lane.h"
#include "server/admin_key.h"
#include "server/laptop_key.h"
#include "server/route.h"
#include "service/knowledge.h"
#include "store/blobs.h"
#include "store/results.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define WORKERS_MAX_DEFAULT 4
#define DESCRIPTORS_SPARE   64 /* beyond the clients' connections: upstreams, files */

/* ---- where the tokenizer's table is ---- */

#ifndef DASHBOX_DATADIR
#define DASHBOX_DATADIR "/usr/local/share/dashbox"
#endif

enum err server_tokenizer_open(str path, struct arena *a, struct tokenizer **ret)
{
    char    self[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    str     beside = { 0 };

    if (path.len)
        return tokenizer_open(str_to_cstr(a, path), ret);
    while (n > 0 && self[n - 1] != '/')
        n--;
    if (n > 0) {
        beside = arena_printf(a, "%.*sqwen.tok", (int)n, self);
        if (access(beside.ptr, R_OK) == 0)
            return tokenizer_open(beside.ptr, ret);
    }
    return tokenizer_open(DASHBOX_DATADIR "/qwen.tok", ret);
}

/* As many descriptors as connections are allowed, as far as the system lets us. */
static void raise_descriptors(int64_t connections)
{
    struct rlimit r;
    rlim_t        want = (rlim_t)connections + DESCRIPTORS_SPARE;

    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= want)
        return;
    r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r); /* the connection ceiling then bites earlier, at accept() */
}

static size_t worker_count(const struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (str_starts(c->options.listen, S("unix:")))
        return 1; /* a path, unlike a port, has one listener */
    if (c->options.workers > 0)
        return (size_t)c->options.workers;
    return cores < 1 ? 1 : cores > WORKERS_MAX_DEFAULT ? WORKERS_MAX_DEFAULT : (size_t)cores;
}

/* ---- opening ---- */

static sigset_t signals_of_ours(void)
{
    sigset_t signals;

    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR2);
    return signals;
}

/* Signals are the main thread's: the workers inherit the mask. */
static void take_signals(void)
{
    sigset_t signals = signals_of_ours();

    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void say_why(const struct config *c, const struct address *at, enum err e)
{
    if (e == ERR_INVALID)
        return; /* that is an engine's, and said already */
    log_error("%.*s: %s", STR_ARG(c->options.listen),
              e == ERR_EXISTS && at->path[0] ? "something is there that is no socket"
              : e == ERR_EXISTS              ? "the address is in use"
              : e == ERR_REFUSED             ? "there is no such folder"
              : e == ERR_UNREACHABLE         ? "this is no address of this machine"
                                             : err_text(e));
}

static enum err open_workers(struct server *p, struct shared *s, struct address *at)
{
    size_t   count = worker_count(s->config);
    enum err e = OK;

    if (address_taken(at)) {
        log_error("%.*s: a server listens there already", STR_ARG(s->config->options.listen));
        return ERR_EXISTS;
    }
    p->workers = xcalloc(count, sizeof(*p->workers));
    p->worker_count = count; /* worker_free() takes what could not be opened */
    for (size_t i = 0; i < count && !e; i++) {
        e = worker_open(p, (unsigned)i, s, at, &p->workers[i]);
        if (!e && i == 0 && !at->path[0])
            http_server_address(p->workers[0]->server, at); /* a port 0 has become a number: the others share it */
    }
    if (e)
        say_why(s->config, at, e);
    return e;
}

/* Who may call, how often, and what it costs. */
static enum err open_access(struct server *p, const struct shared *s)
{
    const struct config        *c = s->config;
    const struct options       *o = &c->options;
    const struct rates_options  rates = { .url = o->rates_url,
                                          .away = o->rates_away == 0 ? RATES_OPEN : RATES_CLOSED,
                                          .timeout_ms = o->rates_timeout_ms,
                                          .lease_ms = o->rates_lease_ms };
    const struct quota_options  quota = { .region = o->region == 0 ? PRICE_CN : PRICE_INTL,
                                          .billing = o->billing_enforce,
                                          .grants = o->billing_free_quota };
    const struct ledger_options ledger = { .strict = o->billing_strict };
    enum err                    e = account_open(p->store, c->api_keys, c->api_key_count, s->rules, &p->accounts);

    if (!e)
        e = quota_open(p->store, &quota, &p->quota);
    if (!e)
        e = ledger_open(p->store, p->quota, &ledger, &p->ledger);
    if (!e)
        e = rates_open(&rates, &p->rates);
    if (e == ERR_INVALID)
        log_error("rates.url: this is no redis:// or unix: URL");
    p->route_calls = arena_array(&p->arena, _Atomic int64_t, route_count);
    if (!o->production) {
        p->faults = faults_open();
        p->journal = o->journal ? journal_open((size_t)o->journal) : NULL;
    }
    if (!e)
        e = results_open(p->store, S("results"), &p->results);
    if (!e)
        e = results_open(p->store, S("uploads"), &p->uploads);
    if (!e)
        e = blobs_open(store_folder(p->store), &p->blobs);
    if (!e)
        e = knowledge_open(p->store, (size_t)o->knowledge_memory, &p->knowledge);
    return e ? e : store_start(p->store);
}

static enum err open_store(struct server *p, const struct shared *s, str *ret_key)
{
    const struct config *c = s->config;
    enum err             e = store_open(c->options.data, &p->store);

    if (e)
        return e;
    if (c->options.production)
        e = laptop_key_end(p->store, &p->arena); /* and no key is shown */
    else if (c->api_key_count)
        *ret_key = arena_str(&p->arena, c->api_keys[0]);
    else
        *ret_key = laptop_key(p->store, &p->arena);
    if (e)
        return e;
    p->admin_key = admin_key(c, p->store, &p->arena);
    return open_access(p, s);
}

enum err server_open(struct server *p, struct config *c, struct address *ret_at, str *ret_key)
{
    struct shared *s = NULL;
    str            problem = { 0 };
    enum err       e;

    *p = (struct server){ .main = pthread_self(), .drain_ms = c->options.time_drain_ms };
    arena_init(&p->arena, 0);
    children_init(&p->children);
    options_copy(&p->arena, &p->started, &c->options);
    take_signals(); /* before any thread exists: a signal that another thread could take would end the process */
    raise_descriptors(c->options.connections);
    p->files = lane_open_behind("files");
    p->sql = lane_open_behind("sql");
    e = p->files && p->sql ? server_tokenizer_open(c->options.tokenizer, &p->arena, &p->tokenizer) : ERR_LIMIT;
    if (e) {
        log_error("the tokenizer's table qwen.tok cannot be read; see the option `tokenizer`");
        config_free(c);
        return e;
    }
    e = shared_open(c, p->tokenizer, NULL, &p->arena, &s, &problem);
    if (e) {
        log_error("%.*s", STR_ARG(problem));
        return e;
    }
    e = open_workers(p, s, ret_at);
    if (!e)
        e = open_store(p, s, ret_key);
    p->shared = s;
    return e;
}

static void stop_workers(struct server *p)
{
    for (size_t i = 0; i < p->thread_count; i++)
        worker_stop(p->workers[i], p->drain_ms);
}

static void join_workers(struct server *p)
{
    for (size_t i = 0; i < p->thread_count; i++)
        worker_join(p->workers[i]);
}

enum err server_start(struct server *p)
{
    struct shared *s = p->workers[0]->setup->shared;
    enum err       e = OK;

    s->logging = logging_open(&s->config->options); /* until here everything was said as text on standard error */
    for (size_t i = 0; i < p->worker_count && !e; i++) {
        e = worker_start(p->workers[i]);
        p->thread_count += !e;
    }
    if (e) {
        log_error("no thread for worker %zu: %s", p->thread_count, err_text(e));
        stop_workers(p);
        join_workers(p);
    }
    return e;
}

void server_close(struct server *p)
{
    /* First the ledger, whose last bookings the store takes, then the store: its lane may still report to a worker's loop. */
    ledger_close(p->ledger);
    store_close(p->store);
    knowledge_close(p->knowledge);
    lane_close(p->files);
    lane_close(p->sql);
    for (size_t i = p->worker_count; i > 0; i--)
        worker_free(p->workers[i - 1]);
    free(p->workers);
    shared_unref(p->shared);
    children_free(&p->children);
    rates_close(p->rates);
    quota_close(p->quota);
    account_close(p->accounts);
    faults_close(p->faults);
    journal_close(p->journal);
    results_close(p->results);
    results_close(p->uploads);
    blobs_close(p->blobs);
    tokenizer_close(p->tokenizer);
    arena_free(&p->arena);
    log_flush();
}

/* ---- running ---- */

/* What has changed and cannot be taken over. */
static void warn_of_changes(const struct options *started, const struct options *now)
{
    for (unsigned i = 0; i < option_count; i++) {
        if (option_rows[i].until_restart && !option_equal(&option_rows[i], started, now))
            log_warn("reload: %.*s has changed, which holds from the next start on", STR_ARG(option_rows[i].name));
    }
}

static void reload(struct server *p, struct config *c)
{
    struct shared *s;
    struct arena   a;
    str            problem = { 0 };
    enum err       e;

    arena_init(&a, 256);
    e = shared_open(c, p->tokenizer, p->shared, &a, &s, &problem);
    if (e)
        log_error("reload: %.*s, keeping the old configuration", STR_ARG(problem));
    arena_free(&a);
    if (e)
        return;
    s->logging = logging_open(&c->options);
    warn_of_changes(&p->started, &c->options);
    raise_descriptors(c->options.connections);
    p->drain_ms = c->options.time_drain_ms;
    log_info("configuration read again");
    worker_reload(p->workers[0], s); /* which tells the others */
    shared_unref(p->shared);
    p->shared = s;
}

static void say_stopping(const struct server *p)
{
    long long open = 0;

    for (size_t i = 0; i < p->worker_count; i++)
        open += atomic_load_explicit(&p->workers[i]->counters.at[COUNTER_REQUESTS_ACTIVE], memory_order_relaxed);
    if (open)
        log_info("stopping: %lld open %s %g s to end", open, open == 1 ? "request has" : "requests have",
                 (double)p->drain_ms / 1000);
    else
        log_info("stopping");
}

void server_run(struct server *p, struct config *(*load)(void *arg), void *arg)
{
    sigset_t signals = signals_of_ours();
    bool     draining = false;

    while (atomic_load(&p->running)) {
        int sig = 0;

        if (sigwait(&signals, &sig))
            continue;
        if (sig == SIGHUP && !draining) {
            struct config *c = load(arg);

            if (c)
                reload(p, c);
            else
                log_error("reload: the configuration is not used, keeping the old one");
        } else if (sig == SIGTERM || sig == SIGINT) {
            if (!draining)
                say_stopping(p);
            draining = true;
            stop_workers(p);
        }
    }
    join_workers(p);
    log_info("stopped");
}
