/* pool.c - the fiber that asks does all the work with its child: there is no other fiber. */
#include "engine/pool/pool.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "loop/loop.h"
#include "loop/process.h"
#include "loop/timer.h"

#include <stdlib.h>
#include <unistd.h>

#define BACKOFF_MAX_MS ((int64_t)60000)

struct pool_child {
    struct pool    *pool;
    struct process *process; /* NULL: none */
    struct channel *channel;
    int64_t         cpu_us;  /* used by this child */
    int64_t         used_us; /* when it was given back */
    bool            busy;    /* somebody starts it or asks it */
};

/* A question that waits for a child, in the order of arrival. */
struct waiter {
    struct waiter *next;
    struct fiber  *fiber;
};

struct pool {
    struct loop        *loop;
    struct pool_options o;
    struct arena        arena;
    struct pool_child  *children;
    struct waiter      *first, **last;
    size_t              waiting;
    struct timer        idle;
    int64_t             backoff_ms, not_before_us;
};

static void on_idle(void *arg);

/* Nothing of ours but what sanitizers are told. */
static const char *const *env_make(struct arena *a, const char *const *own)
{
    static const char *const told[] = { "ASAN_OPTIONS", "UBSAN_OPTIONS" };
    size_t                   n = 0;
    const char             **env;

    while (own && own[n])
        n++;
    env = arena_array(a, const char *, n + ARRAY_LEN(told) + 1);
    for (size_t i = 0; i < n; i++)
        env[i] = str_to_cstr(a, str_from_cstr(own[i]));
    for (size_t i = 0; i < ARRAY_LEN(told); i++) {
        const char *value = getenv(told[i]);

        if (value)
            env[n++] = arena_printf(a, "%s=%s", told[i], value).ptr;
    }
    return env;
}

enum err pool_open(struct loop *l, const struct pool_options *o, struct pool **ret)
{
    struct pool *p;

    ASSERT(o->process_max > 0);
    if (access(o->program, X_OK))
        return ERR_NOT_FOUND;
    p = xcalloc(1, sizeof(*p));
    p->loop = l;
    p->o = *o;
    p->last = &p->first;
    arena_init(&p->arena, 0);
    p->o.name = str_to_cstr(&p->arena, str_from_cstr(o->name));
    p->o.program = str_to_cstr(&p->arena, str_from_cstr(o->program));
    p->o.env = env_make(&p->arena, o->env);
    p->children = arena_array(&p->arena, struct pool_child, o->process_max);
    for (size_t i = 0; i < o->process_max; i++)
        p->children[i].pool = p;
    timer_init(&p->idle, on_idle, p);
    *ret = p;
    return OK;
}

/* ---- a child ---- */

static void on_line(void *arg, str line)
{
    struct pool *p = arg;

    log_debug("%s: %.*s", p->o.name, STR_ARG(line));
}

static void child_drop(struct pool_child *c)
{
    channel_close(c->channel);
    process_free(c->process);
    c->channel = NULL;
    c->process = NULL;
    c->cpu_us = 0;
}

static SUSPENDS enum err child_wait_ready(struct pool_child *c)
{
    struct pool *p = c->pool;
    char         text[CHANNEL_MESSAGE_MAX];
    size_t       len;
    enum err     e = p->o.greet ? p->o.greet(p->o.arg, c) : OK;

    if (!e)
        e = channel_receive(c->channel, text, sizeof(text), loop_now_us(p->loop) + p->o.start_ms * 1000, &len);
    return e ? e : p->o.ready(p->o.arg, str_of(text, len));
}

static SUSPENDS enum err child_start(struct pool_child *c)
{
    struct pool           *p = c->pool;
    const char *const      argv[] = { p->o.program, NULL };
    struct process_options o = {
        .argv = argv, .env = p->o.env, .bare = true, .dir = "/", .on_line = on_line, .arg = p
    };
    int      other;
    enum err e;

    if (loop_now_us(p->loop) < p->not_before_us)
        return ERR_IO; /* the log has said why */
    if (channel_open(p->loop, &c->channel, &other))
        return ERR_IO;
    o.channel = other;
    e = process_start(p->loop, &o, &c->process);
    close(other);
    if (!e)
        e = child_wait_ready(c);
    if (!e) {
        p->backoff_ms = 0;
        return OK;
    }
    child_drop(c);
    if (e == ERR_CANCELLED)
        return e;
    p->backoff_ms = min_i64(max_i64(2 * p->backoff_ms, p->o.backoff_ms), BACKOFF_MAX_MS);
    p->not_before_us = loop_now_us(p->loop) + p->backoff_ms * 1000;
    log_warn("%s: %s does not become ready (%s), trying again in %lld ms", p->o.name, p->o.program, err_text(e),
             (long long)p->backoff_ms);
    return ERR_IO;
}

/* ---- whose turn it is ---- */

/* One that runs and is free, else a free place for one. */
static struct pool_child *child_free(struct pool *p)
{
    struct pool_child *place = NULL;

    for (size_t i = 0; i < p->o.process_max; i++) {
        struct pool_child *c = &p->children[i];

        if (!c->busy && c->process && !process_ended(c->process))
            return c;
        if (!c->busy && !place)
            place = c;
    }
    return place;
}

/* The first of those who wait looks whether a child is free. */
static void call_next(struct pool *p)
{
    if (p->first)
        fiber_wake(p->first->fiber);
}

static SUSPENDS enum err child_wait(struct pool *p, struct pool_child **ret)
{
    struct waiter      w = { .fiber = fiber_self() };
    struct waiter    **at = &p->first;
    struct pool_child *c = NULL;
    enum err           e = OK;

    if (p->waiting >= p->o.queue_max)
        return ERR_LIMIT;
    *p->last = &w;
    p->last = &w.next;
    p->waiting++;
    while (!e && !(p->first == &w && (c = child_free(p))))
        e = fiber_wait(DEADLINE_NONE);
    while (*at != &w)
        at = &(*at)->next;
    *at = w.next;
    if (!w.next)
        p->last = at;
    p->waiting--;
    if (e)
        call_next(p); /* we may have been the first */
    else
        *ret = c;
    return e;
}

static void child_leave(struct pool_child *c)
{
    c->busy = false;
    call_next(c->pool);
}

SUSPENDS enum err pool_take(struct pool *p, struct pool_child **ret)
{
    struct pool_child *c;
    enum err           e = OK;

    might_suspend();
    c = p->first ? NULL : child_free(p); /* nobody passes those who wait */
    if (!c)
        e = child_wait(p, &c);
    if (e)
        return e;
    c->busy = true;
    if (child_free(p))
        call_next(p);
    if (c->process && process_ended(c->process))
        child_drop(c); /* by itself, since the last time */
    if (!c->process)
        e = child_start(c);
    if (e)
        child_leave(c);
    else
        *ret = c;
    return e;
}

void pool_give_back(struct pool_child *c, enum err e, int64_t cpu_us)
{
    struct pool *p = c->pool;

    ASSERT(c->busy);
    if (e && e != ERR_CANCELLED)
        log_warn("%s: process %d has failed (%s), the next question starts another", p->o.name, process_pid(c->process),
                 err_text(e));
    c->cpu_us += cpu_us;
    c->used_us = loop_now_us(p->loop);
    if (e || c->cpu_us >= p->o.retire_cpu_ms * 1000)
        child_drop(c);
    else if (p->o.idle_ms && p->idle.due_us == INT64_MAX)
        timer_set(p->loop, &p->idle, c->used_us + p->o.idle_ms * 1000);
    child_leave(c);
}

/* Looks again when the one that was used next is due. */
static void on_idle(void *arg)
{
    struct pool *p = arg;
    int64_t      now_us = loop_now_us(p->loop), next_us = INT64_MAX;

    for (size_t i = 0; i < p->o.process_max; i++) {
        struct pool_child *c = &p->children[i];
        int64_t            due_us = c->used_us + p->o.idle_ms * 1000;

        if (c->busy || !c->process)
            continue;
        if (due_us <= now_us)
            child_drop(c);
        else
            next_us = min_i64(next_us, due_us);
    }
    if (next_us < INT64_MAX)
        timer_set(p->loop, &p->idle, next_us);
}

struct channel *pool_child_channel(const struct pool_child *c)
{
    return c->channel;
}

size_t pool_child_place(const struct pool_child *c)
{
    return (size_t)(c - c->pool->children);
}

size_t pool_pids(const struct pool *p, int *ret, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < p->o.process_max && n < max; i++) {
        if (p->children[i].process && !process_ended(p->children[i].process))
            ret[n++] = process_pid(p->children[i].process);
    }
    return n;
}

void pool_close(struct pool *p)
{
    if (!p)
        return;
    ASSERT(!p->first);
    for (size_t i = 0; i < p->o.process_max; i++) {
        ASSERT(!p->children[i].busy);
        child_drop(&p->children[i]);
    }
    timer_remove(p->loop, &p->idle);
    arena_free(&p->arena);
    free(p);
}
