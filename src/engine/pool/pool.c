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

/* A question that waits for a child, in the order of arrival. */
struct waiter {
    struct waiter     *next;
    struct fiber      *fiber;
    uint64_t           number; /* of its arrival */
    struct pool_child *got;    /* it is the waiter's now */
    bool               gone;   /* the one that it waits for is */
};

struct queue {
    struct waiter *first, **last;
};

struct pool_child {
    struct pool    *pool;
    struct process *process; /* NULL: none */
    struct channel *channel;
    struct queue    queue;   /* of those who want this very one */
    uint64_t        life;    /* another number for each process in this place */
    size_t          pins;    /* on this life */
    int64_t         cpu_us;  /* used by this life */
    int64_t         used_us; /* when it was given back */
    bool            busy;    /* somebody starts it or asks it */
};

struct pool {
    struct loop        *loop;
    struct pool_options o;
    struct arena        arena;
    struct pool_child  *children;
    struct queue        queue; /* of those to whom any child is good: none is free while somebody waits here */
    size_t              waiting;
    uint64_t            arrivals;
    struct timer        idle;
    int64_t             backoff_ms, not_before_us;
};

static void on_idle(void *arg);
static void idle_watch(struct pool_child *c);

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
    p->queue.last = &p->queue.first;
    arena_init(&p->arena, 0);
    p->o.name = str_to_cstr(&p->arena, str_from_cstr(o->name));
    p->o.program = str_to_cstr(&p->arena, str_from_cstr(o->program));
    p->o.env = env_make(&p->arena, o->env);
    p->children = arena_array(&p->arena, struct pool_child, o->process_max);
    for (size_t i = 0; i < o->process_max; i++) {
        p->children[i].pool = p;
        p->children[i].queue.last = &p->children[i].queue.first;
    }
    timer_init(&p->idle, on_idle, p);
    *ret = p;
    return OK;
}

/* ---- queues ---- */

static void queue_add(struct queue *q, struct waiter *w)
{
    *q->last = w;
    q->last = &w->next;
}

/* Nothing when it is no longer in it. */
static void queue_remove(struct queue *q, const struct waiter *w)
{
    struct waiter **at = &q->first;

    while (*at && *at != w)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = w->next;
    if (!w->next)
        q->last = at;
}

/* ---- a child ---- */

static void on_line(void *arg, str line)
{
    struct pool *p = arg;

    log_debug("%s: %.*s", p->o.name, STR_ARG(line));
}

/* Those who want this very one need not wait any more. */
static void child_drop(struct pool_child *c)
{
    channel_close(c->channel);
    process_free(c->process);
    c->channel = NULL;
    c->process = NULL;
    c->cpu_us = 0;
    c->pins = 0;
    c->life++;
    for (struct waiter *w = c->queue.first; w; w = w->next) {
        w->gone = true;
        fiber_wake(w->fiber);
    }
    c->queue.first = NULL;
    c->queue.last = &c->queue.first;
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

static bool is_worn(const struct pool_child *c)
{
    return c->cpu_us >= c->pool->o.retire_cpu_ms * 1000;
}

/* Of those that run and are free the one with the fewest pins, else a free place for one, else one that is kept for its
 * pins alone. */
static struct pool_child *child_free(struct pool *p)
{
    struct pool_child *runs = NULL, *place = NULL, *worn = NULL;

    for (size_t i = 0; i < p->o.process_max; i++) {
        struct pool_child *c = &p->children[i];

        if (c->busy)
            continue;
        if (!c->process || process_ended(c->process))
            place = place ? place : c;
        else if (is_worn(c))
            worn = worn ? worn : c;
        else if (!runs || c->pins < runs->pins)
            runs = c;
    }
    return runs ? runs : place ? place : worn;
}

/* To the one who waits longest of those who can use it. */
static void child_leave(struct pool_child *c)
{
    struct queue  *any = &c->pool->queue, *own = &c->queue, *q = own;
    struct waiter *w;

    if (!own->first || (any->first && any->first->number < own->first->number))
        q = any;
    w = q->first;
    if (!w) {
        c->busy = false;
        return;
    }
    queue_remove(q, w);
    w->got = c;
    fiber_wake(w->fiber);
}

static SUSPENDS enum err child_wait(struct pool *p, struct queue *q, struct pool_child **ret)
{
    struct waiter w = { .fiber = fiber_self() };
    enum err      e = OK;

    if (p->waiting >= p->o.queue_max)
        return ERR_LIMIT;
    w.number = p->arrivals++;
    queue_add(q, &w);
    p->waiting++;
    while (!e && !w.got && !w.gone)
        e = fiber_wait(DEADLINE_NONE);
    p->waiting--;
    if (!e && w.gone)
        return ERR_IO;
    if (!e)
        *ret = w.got;
    else if (w.got)
        child_leave(w.got);
    else
        queue_remove(q, &w);
    return e;
}

SUSPENDS enum err pool_take(struct pool *p, struct pool_child **ret)
{
    struct pool_child *c;
    enum err           e = OK;

    might_suspend();
    c = child_free(p);
    if (c)
        c->busy = true;
    else
        e = child_wait(p, &p->queue, &c);
    if (e)
        return e;
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

/* ---- pins ---- */

struct pool_pin pool_pin(struct pool_child *c)
{
    ASSERT(c->busy && c->process);
    c->pins++;
    return (struct pool_pin){ c, c->life };
}

SUSPENDS enum err pool_take_pinned(struct pool_pin pin, struct pool_child **ret)
{
    struct pool_child *c = pin.child;
    enum err           e = OK;

    might_suspend();
    if (c->life != pin.life)
        return ERR_IO;
    if (c->busy)
        e = child_wait(c->pool, &c->queue, &c);
    if (e)
        return e;
    c->busy = true;
    if (process_ended(c->process)) {
        log_warn("%s: process %d has ended by itself", c->pool->o.name, process_pid(c->process));
        child_drop(c);
        child_leave(c);
        return ERR_IO;
    }
    *ret = c;
    return OK;
}

bool pool_pin_holds(struct pool_pin pin)
{
    return pin.child->life == pin.life && !process_ended(pin.child->process);
}

void pool_unpin(struct pool_pin pin)
{
    struct pool_child *c = pin.child;

    if (c->life != pin.life)
        return;
    ASSERT(c->pins > 0);
    c->pins--;
    if (c->busy || c->pins)
        return;
    if (is_worn(c))
        child_drop(c);
    else
        idle_watch(c);
}

/* ---- afterwards ---- */

static void idle_watch(struct pool_child *c)
{
    struct pool *p = c->pool;

    c->used_us = loop_now_us(p->loop);
    if (p->o.idle_ms && p->idle.due_us == INT64_MAX)
        timer_set(p->loop, &p->idle, c->used_us + p->o.idle_ms * 1000);
}

void pool_give_back(struct pool_child *c, enum err e, int64_t cpu_us)
{
    struct pool *p = c->pool;

    ASSERT(c->busy);
    if (e && e != ERR_CANCELLED)
        log_warn("%s: process %d has failed (%s), the next question starts another", p->o.name, process_pid(c->process),
                 err_text(e));
    c->cpu_us += cpu_us;
    if (e || (is_worn(c) && !c->pins))
        child_drop(c);
    else
        idle_watch(c);
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

        if (c->busy || c->pins || !c->process)
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
    ASSERT(!p->waiting);
    for (size_t i = 0; i < p->o.process_max; i++) {
        ASSERT(!p->children[i].busy);
        child_drop(&p->children[i]);
    }
    timer_remove(p->loop, &p->idle);
    arena_free(&p->arena);
    free(p);
}
