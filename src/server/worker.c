/* worker.c - one loop thread. */
#include "server/worker.h"

#include "base/log.h"
#include "contract/catalog.h"
#include "contract/model.h"
#include "engine/process/process.h"
#include "engine/standin/standin.h"
#include "engine/upstream/upstream.h"
#include "loop/loop.h"
#include "net/tls.h"

#include <signal.h>
#include <stdlib.h>

#define KEYS_POLL_US INT64_C(500000) /* how late a key made or revoked by another process is noticed */

/* ---- children ---- */

#define WORDS_MAX 64 /* of a command */

/* The words of a command: cut at blanks, but for what stands in single or double quotes. */
static size_t split_words(struct arena *a, str command, str words[WORDS_MAX])
{
    size_t count = 0;
    char  *text = arena_bytes(a, command.len + 1), *at = text, *word = text;
    char   quote = 0;
    bool   open = false;

    for (size_t i = 0; i <= command.len; i++) {
        char c = i < command.len ? command.ptr[i] : ' ';

        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
            open = true;
        } else if (c != ' ' || quote) {
            *at++ = c;
            open = true;
        } else if (open && count < WORDS_MAX) {
            words[count++] = str_of(word, (size_t)(at - word));
            word = at;
            open = false;
        }
    }
    return count;
}

static struct child_slot *child_slot(struct process *p, const struct config_engine *ce)
{
    for (size_t i = 0; i < p->child_count; i++) {
        struct child_slot *slot = &p->children[i];

        if (slot->child && str_eq(slot->name, ce->name) && str_eq(slot->command, ce->command) &&
            str_eq(slot->model_file, ce->model_file))
            return slot;
    }
    return NULL;
}

static enum err child_start(struct worker *w, const struct config_engine *ce)
{
    struct process      *p = w->process;
    struct child_slot    slot = { 0 };
    str                  words[WORDS_MAX];
    struct child_options o = {
        .name = ce->name,
        .command = words,
        .model = ce->model_file,
        .health_path = ce->health_path,
        .health_ms = ce->health_ms,
        .at_boot = !ce->lazy,
        .ready_ms = ce->ready_ms,
        .wait_ms = ce->wait_ms,
    };
    enum err e;

    arena_init(&slot.texts, 512);
    slot.name = arena_str(&slot.texts, ce->name);
    slot.command = arena_str(&slot.texts, ce->command);
    slot.model_file = arena_str(&slot.texts, ce->model_file);
    o.command_count = split_words(&slot.texts, ce->command, words);
    e = child_open(w->loop, &o, &slot.child);
    if (e) {
        arena_free(&slot.texts);
        return e;
    }
    p->children = xrealloc(p->children, (p->child_count + 1) * sizeof(slot));
    p->children[p->child_count++] = slot;
    return OK;
}

enum err worker_children(struct worker *w, const struct config *c)
{
    struct process *p = w->process;
    enum err        e = OK;

    pthread_mutex_lock(&p->children_lock);
    for (size_t i = 0; i < c->engine_count && !e; i++) {
        if (c->engines[i].command.len && !child_slot(p, &c->engines[i]))
            e = child_start(w, &c->engines[i]);
    }
    for (size_t i = 0; i < p->child_count && !e; i++) {
        struct child_slot *slot = &p->children[i];
        bool               named = false;

        for (size_t k = 0; k < c->engine_count && slot->child; k++)
            named = named || child_slot(p, &c->engines[k]) == slot;
        if (!slot->child || named)
            continue;
        child_close(slot->child, NULL, NULL); /* its memory goes with the last engine that asks it */
        slot->child = NULL;
    }
    pthread_mutex_unlock(&p->children_lock);
    return e;
}

/* ---- configurations ---- */

void shared_unref(struct shared *s)
{
    if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
        return;
    tls_context_free(s->tls);
    arena_free(&s->arena);
    config_free(s->config);
    free(s);
}

static str header_of(void *arg, str name)
{
    return request_header(arg, name);
}

/* The user's own models: copies of known ones with other ids and limits. */
static enum err open_models(struct shared *s, str *ret_problem)
{
    static const struct {
        str    name;
        size_t offset, offset_thinking;
    } limits[] = {
        { S("context"), offsetof(struct model, context), offsetof(struct model, context) },
        { S("input"), offsetof(struct model, input_max), offsetof(struct model, input_max_thinking) },
        { S("output"), offsetof(struct model, output_max), offsetof(struct model, output_max_thinking) },
        { S("budget"), offsetof(struct model, budget_max), offsetof(struct model, budget_max) },
    };
    struct config *c = s->config;
    struct model  *own = arena_array(&c->arena, struct model, c->model_count);

    for (size_t i = 0; i < c->model_count; i++) {
        const struct config_model *cm = &c->models[i];
        const struct model        *like = model_find(cm->like);

        if (!like) {
            *ret_problem = arena_printf(&c->arena, "models: %.*s is like \"%.*s\", which is unknown", STR_ARG(cm->id),
                                        STR_ARG(cm->like));
            return ERR_INVALID;
        }
        own[i] = *like;
        own[i].id = cm->id;
        own[i].status = MODEL_ACTIVE;
        own[i].workspace = cm->workspace;
        for (size_t k = 0; k < cm->limit_count; k++) {
            int64_t v;
            bool    known = false;

            for (size_t n = 0; n < ARRAY_LEN(limits); n++) {
                if (!str_eq(limits[n].name, cm->limits[k].from) || !str_to_i64(cm->limits[k].to, &v) || v < 1)
                    continue;
                *(int64_t *)((char *)&own[i] + limits[n].offset) = v;
                *(int64_t *)((char *)&own[i] + limits[n].offset_thinking) = v;
                known = true;
            }
            if (!known) {
                *ret_problem = arena_printf(&c->arena, "models: %.*s: limits are context, input, output, budget, with numbers",
                                            STR_ARG(cm->id));
                return ERR_INVALID;
            }
        }
    }
    s->settings.models = own;
    s->settings.model_count = c->model_count;
    return OK;
}

static enum err shared_fill(struct shared *s, const struct tokenizer *t, str *ret_problem)
{
    struct config         *c = s->config;
    const struct options  *o = &c->options;
    struct standin_options standin = {
        .name = S("standin"),
        .tokenizer = t,
        .error_find = error_find,
        .header = header_of,
    };
    enum err e = open_models(s, ret_problem);

    if (e)
        return e;
    if (o->scenario.len)
        standin.scenario_path = str_to_cstr(&c->arena, o->scenario);
    s->standin = standin_new(&s->arena, &standin, ret_problem);
    if (!s->standin)
        return ERR_INVALID;
    if (!o->tls_certificate.len)
        return OK;
    *ret_problem = S("TLS cannot be set up");
    return tls_context_server(str_to_cstr(&c->arena, o->tls_certificate), str_to_cstr(&c->arena, o->tls_key), &s->tls);
}

enum err shared_open(struct config *c, const struct tokenizer *t, struct arena *a, struct shared **ret,
                     str *ret_problem)
{
    struct shared        *s = xcalloc(1, sizeof(*s));
    const struct options *o = &c->options;
    enum err              e;

    s->config = c;
    s->refs = 1;
    arena_init(&s->arena, 0);
    s->settings = (struct request_settings){
        .wording = c->wording,
        .sse_error_status_200 = o->sse_error_status_200,
        .cors = o->cors,
        .call_ms = o->time_call_ms,
        .key_max = o->keys_max,
    };
    e = shared_fill(s, t, ret_problem);
    if (e) {
        *ret_problem = arena_str(a, *ret_problem);
        shared_unref(s);
        return e;
    }
    *ret = s;
    return OK;
}

static struct engine *engine_named(const struct setup *s, str name)
{
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->engine_count; i++) {
        if (str_eq(c->engines[i].name, name))
            return s->engines[i];
    }
    return s->shared->standin;
}

static struct engine *engine_for(void *arg, str model)
{
    const struct setup  *s = arg;
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->route_count; i++) {
        if (str_glob(c->routes[i].model, model))
            return engine_named(s, c->routes[i].engine);
    }
    return s->shared->standin;
}

static void setup_free(struct setup *s)
{
    const struct config *c = s->shared->config;

    for (size_t i = 0; i < c->engine_count; i++) {
        if (!s->engines[i])
            continue;
        if (c->engines[i].command.len)
            process_engine_close(s->engines[i]);
        else
            upstream_close(s->engines[i]);
    }
    free(s->engines);
    shared_unref(s->shared);
    free(s);
}

static enum err engine_open(struct worker *w, struct setup *s, const struct config_engine *ce, struct engine **ret)
{
    struct arena            a;
    struct upstream_options o = { 0 };
    struct upstream_endpoint *endpoints;
    struct upstream_model   *models;
    struct http_field       *fields;
    enum err                 e;

    arena_init(&a, 0);
    endpoints = arena_array(&a, struct upstream_endpoint, ce->endpoint_count);
    models = arena_array(&a, struct upstream_model, ce->model_count);
    fields = arena_array(&a, struct http_field, ce->header_count);
    for (size_t i = 0; i < ce->endpoint_count; i++)
        endpoints[i] = (struct upstream_endpoint){ .url = ce->endpoints[i].url,
                                                   .api_key = ce->endpoints[i].api_key,
                                                   .weight = (unsigned)ce->endpoints[i].weight };
    o.endpoints = endpoints;
    o.endpoint_count = ce->endpoint_count;
    o.models = models;
    for (size_t i = 0; i < ce->model_count; i++) {
        if (str_eq(ce->models[i].from, S("*")))
            o.model_default = ce->models[i].to;
        else
            models[o.model_count++] = (struct upstream_model){ ce->models[i].from, ce->models[i].to };
    }
    for (size_t i = 0; i < ce->header_count; i++)
        fields[i] = (struct http_field){ ce->headers[i].from, ce->headers[i].to };
    o.name = ce->name;
    o.fields = fields;
    o.field_count = ce->header_count;
    o.connect_ms = ce->connect_ms;
    o.first_ms = ce->first_ms;
    o.between_ms = ce->between_ms;
    o.total_ms = s->shared->config->options.time_call_ms;
    o.retries = ce->retries == 0 ? UPSTREAM_RETRIES_NONE : (unsigned)ce->retries;
    o.health_path = ce->health_path;
    o.health_interval_ms = ce->health_ms;
    o.cloud = ce->cloud;
    if (ce->fallback.len)
        o.fallback = engine_named(s, ce->fallback);
    if (!ce->command.len) {
        e = upstream_open(w->loop, &o, ret);
    } else {
        struct child_slot *slot;

        pthread_mutex_lock(&w->process->children_lock);
        slot = child_slot(w->process, ce);
        e = slot ? process_engine_open(w->loop, slot->child, &o, ret) : ERR_NOT_FOUND;
        pthread_mutex_unlock(&w->process->children_lock);
    }
    arena_free(&a);
    return e;
}

static enum err setup_open(struct worker *w, struct shared *shared, struct setup **ret)
{
    struct setup        *s = xcalloc(1, sizeof(*s));
    const struct config *c = shared->config;
    enum err             e = OK;

    atomic_fetch_add(&shared->refs, 1);
    s->worker = w;
    s->shared = shared;
    s->engines = xcalloc(c->engine_count, sizeof(*s->engines));
    s->services = (struct services){
        .store = w->process->store,
        .accounts = w->process->accounts,
        .tokenizer = w->process->tokenizer,
        .memo = w->memo,
        .engine_for = engine_for,
        .engine_arg = s,
    };
    /* From the last to the first: a fallback stands behind what falls back to it. */
    for (size_t i = c->engine_count; i > 0 && !e; i--)
        e = engine_open(w, s, &c->engines[i - 1], &s->engines[i - 1]);
    if (e) {
        setup_free(s);
        return e;
    }
    *ret = s;
    return OK;
}

struct setup *setup_hold(struct worker *w)
{
    w->setup->requests++;
    return w->setup;
}

void setup_release(struct setup *s)
{
    if (--s->requests == 0 && s->retired)
        setup_free(s);
}

static void setup_retire(struct setup *s)
{
    s->retired = true;
    if (s->requests == 0)
        setup_free(s);
}

/* ---- the loop ---- */

static void update_gauges(struct worker *w)
{
    const struct http_counters *h = http_server_counters(w->server);
    struct count_memo_stats     m = count_memo_stats(w->memo);

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
}

/* Before the loop sleeps: the lines of requests go out in one write. */
static void on_idle(void *arg)
{
    struct worker *w = arg;

    if (w->server)
        update_gauges(w);
    log_flush();
}

static void watch_keys(void *arg)
{
    struct worker *w = arg;

    while (fiber_sleep_until(loop_now_us(w->loop) + KEYS_POLL_US) == OK)
        (void)account_refresh(w->process->accounts); /* a failure is in the log; the old snapshot stays */
}

enum err worker_open(struct process *p, unsigned index, struct shared *s, const struct address *at, struct worker **ret)
{
    struct worker             *w = xcalloc(1, sizeof(*w));
    const struct options      *o = &s->config->options;
    struct http_server_options http = {
        .head_time_ms = o->time_head_ms,
        .body_time_ms = o->time_body_ms,
        .idle_time_ms = o->time_idle_ms,
        .connection_max = (size_t)((o->connections + (int64_t)p->worker_count - 1) / (int64_t)p->worker_count),
        .tls = s->tls,
        .plan = request_plan,
        .handle = request_handle,
        .arg = w,
    };
    enum err e;

    w->process = p;
    w->index = index;
    w->loop = loop_new();
    if (!w->loop) {
        free(w);
        return ERR_LIMIT;
    }
    w->memo = count_memo_open(0);
    w->accounts = account_view_open(p->accounts);
    loop_on_idle(w->loop, on_idle, w);
    e = index == 0 ? worker_children(w, s->config) : OK;
    if (!e)
        e = setup_open(w, s, &w->setup);
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
        w->key_watch = fiber_start(w->loop, watch_keys, w);
    loop_run(w->loop);
    log_flush();
    if (atomic_fetch_sub(&w->process->running, 1) == 1)
        pthread_kill(w->process->main, SIGUSR2);
    return NULL;
}

enum err worker_start(struct worker *w)
{
    atomic_fetch_add(&w->process->running, 1);
    if (pthread_create(&w->thread, NULL, worker_main, w))
        return ERR_LIMIT;
    pthread_setname_np(w->thread, "worker");
    return OK;
}

struct reload {
    struct worker *worker;
    struct shared *shared;
};

/* The keys of the configuration are the process's: one worker sees to them, on a fiber, since the store may take its
 * time. */
static void reload_keys(void *arg)
{
    struct reload *r = arg;

    (void)account_extra_set(r->worker->process->accounts, r->shared->config->api_keys,
                            r->shared->config->api_key_count);
    shared_unref(r->shared);
    free(r);
}

static void reload_here(void *arg)
{
    struct reload *r = arg;
    struct worker *w = r->worker;
    struct setup  *s;

    if (w->draining) { /* too late */
        shared_unref(r->shared);
        free(r);
        return;
    }
    /* Worker 0 goes first: the others' engines ask its children. */
    if (w->index == 0) {
        if (worker_children(w, r->shared->config))
            log_error("reload: an engine's command cannot be used");
        for (size_t i = 1; i < w->process->worker_count; i++)
            worker_reload(w->process->workers[i], r->shared);
    }
    if (setup_open(w, r->shared, &s) == OK) {
        setup_retire(w->setup);
        w->setup = s;
        http_server_tls_set(w->server, r->shared->tls);
    } else {
        log_error("reload: worker %u cannot use the configuration, keeping the old one", w->index);
    }
    if (w->index == 0) {
        (void)fiber_start(w->loop, reload_keys, r);
        return;
    }
    shared_unref(r->shared);
    free(r);
}

void worker_reload(struct worker *w, struct shared *s)
{
    struct reload *r = xmalloc(sizeof(*r));

    atomic_fetch_add(&s->refs, 1);
    *r = (struct reload){ .worker = w, .shared = s };
    loop_post(w->loop, reload_here, r);
}

struct stop {
    struct worker *worker;
    int64_t        drain_ms;
};

static void on_child_closed(void *arg)
{
    struct process *p = arg;

    if (--p->closing == 0)
        loop_stop(p->workers[0]->loop);
}

/* On worker 0's loop: when no worker has requests any more, the children go, and then this loop. */
static void peer_drained(void *arg)
{
    struct process *p = arg;

    if (++p->drained < p->worker_count)
        return;
    p->closing = 1;
    for (size_t i = 0; i < p->child_count; i++) {
        if (!p->children[i].child)
            continue;
        p->closing++;
        child_close(p->children[i].child, on_child_closed, p);
        p->children[i].child = NULL;
    }
    on_child_closed(p);
}

static void on_drained(void *arg)
{
    struct worker *w = arg;

    if (w->drain_watch)
        fiber_cancel(w->drain_watch);
    w->drain_watch = NULL;
    if (w->key_watch)
        fiber_cancel(w->key_watch);
    w->key_watch = NULL;
    http_server_free(w->server);
    w->server = NULL;
    setup_retire(w->setup);
    w->setup = NULL;
    loop_post(w->process->workers[0]->loop, peer_drained, w->process);
    if (w->index != 0)
        loop_stop(w->loop);
}

static void watch_drain(void *arg)
{
    struct worker *w = arg;

    if (fiber_sleep_until(loop_now_us(w->loop) + w->drain_ms * 1000) == OK && w->server)
        http_server_cancel(w->server);
    w->drain_watch = NULL;
}

static void stop_here(void *arg)
{
    struct stop   *s = arg;
    struct worker *w = s->worker;

    if (!w->draining) {
        w->draining = true;
        w->drain_ms = s->drain_ms;
        w->drain_watch = fiber_start(w->loop, watch_drain, w);
        http_server_drain(w->server, on_drained, w);
    } else if (w->server) {
        http_server_cancel(w->server); /* asked twice */
    }
    free(s);
}

void worker_stop(struct worker *w, int64_t drain_ms)
{
    struct stop *s = xmalloc(sizeof(*s));

    *s = (struct stop){ .worker = w, .drain_ms = drain_ms };
    loop_post(w->loop, stop_here, s);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

void worker_free(struct worker *w)
{
    if (!w)
        return;
    if (w->setup)
        setup_free(w->setup);
    if (w->server)
        http_server_drain(w->server, NULL, NULL); /* it has never served */
    account_view_close(w->accounts);
    count_memo_close(w->memo);
    loop_free(w->loop);
    free(w);
}
