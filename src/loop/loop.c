/* loop.c - one thread's event loop: libuv, the ready fibers, the timers, and work posted from other threads.
 *
 * Thread: everything but loop_post(), loop_wake() and loop_stop() belongs to the thread that runs the loop.
 */
#include "loop/loop.h"

#include "base/arena.h"
#include "base/clock.h"
#include "loop/loop_private.h"

#include <stdlib.h>

static _Thread_local struct loop *here;

struct loop *loop_here(void)
{
    return here;
}

int64_t loop_now_us(struct loop *l)
{
    return l->now_us;
}

void loop_turn(struct loop *l)
{
    l->now_us = clock_mono_us();
}

size_t loop_fiber_count(const struct loop *l)
{
    return l->fiber_count;
}

enum err loop_err(int uv_error)
{
    switch (uv_error) {
    case 0:
        return OK;
    case UV_EOF:
    case UV_ECONNRESET:
    case UV_EPIPE:
        return ERR_EOF;
    case UV_ETIMEDOUT:
        return ERR_TIMEOUT;
    case UV_ECANCELED:
        return ERR_CANCELLED;
    case UV_ECONNREFUSED:
    case UV_ENOENT: /* a Unix socket that is not there yet */
        return ERR_REFUSED;
    case UV_EHOSTUNREACH:
    case UV_ENETUNREACH:
    case UV_EADDRNOTAVAIL: /* to listen at: no address of this machine */
    case UV_EAI_NONAME:
    case UV_EAI_AGAIN:
        return ERR_UNREACHABLE;
    case UV_EMFILE:
    case UV_ENFILE:
        return ERR_LIMIT;
    case UV_EADDRINUSE:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

static void on_timer(uv_timer_t *handle)
{
    struct loop *l = handle->data;

    l->timer_us = INT64_MAX;
    loop_turn(l);
    timer_heap_run(&l->timers, loop_now_us(l));
    loop_timer_moved(l);
    loop_run_ready(l);
}

void loop_timer_moved(struct loop *l)
{
    int64_t due = l->timers.count ? l->timers.at[1]->heap_us : INT64_MAX;
    int64_t in_us;

    if (due == l->timer_us || (l->timer_us < due && l->timer_us != INT64_MAX))
        return; /* it fires early, finds nothing due, and is set anew */
    l->timer_us = due;
    if (due == INT64_MAX) {
        uv_timer_stop(&l->timer);
        return;
    }
    in_us = due - loop_now_us(l);
    uv_update_time(&l->uv);
    uv_timer_start(&l->timer, on_timer, in_us <= 0 ? 0 : (uint64_t)((in_us + 999) / 1000), 0);
}

static void close_own(struct loop *l)
{
    uv_close((uv_handle_t *)&l->timer, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
}

static void on_wake(uv_async_t *handle)
{
    struct loop   *l = handle->data;
    struct posted *p;
    bool           stopping;

    pthread_mutex_lock(&l->posted_lock);
    p = l->posted_first;
    l->posted_first = l->posted_last = NULL;
    stopping = l->stopping;
    pthread_mutex_unlock(&l->posted_lock);

    loop_turn(l);
    while (p) {
        struct posted *next = p->next;

        p->fn(p->arg);
        free(p);
        p = next;
    }
    loop_run_ready(l);
    if (stopping && !uv_is_closing((uv_handle_t *)&l->wake))
        close_own(l);
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *l = handle->data;

    loop_turn(l);
    if (l->idle_fn)
        l->idle_fn(l->idle_arg);
    loop_run_ready(l);
}

struct loop *loop_new(void)
{
    struct loop *l = xcalloc(1, sizeof(*l));

    if (uv_loop_init(&l->uv) || uv_timer_init(&l->uv, &l->timer) || uv_async_init(&l->uv, &l->wake, on_wake) ||
        uv_prepare_init(&l->uv, &l->prepare)) {
        free(l);
        return NULL;
    }
    l->uv.data = l->timer.data = l->wake.data = l->prepare.data = l;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_unref((uv_handle_t *)&l->prepare);
    uv_unref((uv_handle_t *)&l->timer);
    l->timer_us = INT64_MAX;
    loop_turn(l);
    pthread_mutex_init(&l->posted_lock, NULL);
    return l;
}

void loop_run(struct loop *l)
{
    here = l;
    loop_turn(l);
    loop_run_ready(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    here = NULL;
}

void loop_run_once(struct loop *l)
{
    struct loop *outer = here;

    here = l;
    loop_turn(l);
    loop_run_ready(l);
    uv_run(&l->uv, UV_RUN_ONCE);
    here = outer;
}

void loop_wake(struct loop *l)
{
    uv_async_send(&l->wake);
}

void loop_free(struct loop *l)
{
    if (!l)
        return;
    here = l;
    loop_run_ready(l); /* what has never run */
    if (!uv_is_closing((uv_handle_t *)&l->wake))
        close_own(l);
    uv_run(&l->uv, UV_RUN_NOWAIT);
    here = NULL;
    uv_loop_close(&l->uv);
    while (l->posted_first) { /* came when nobody ran the loop any more */
        struct posted *p = l->posted_first;

        l->posted_first = p->next;
        free(p);
    }
    fiber_pool_free(l);
    timer_heap_free(&l->timers);
    pthread_mutex_destroy(&l->posted_lock);
    free(l);
}

static void post(struct loop *l, struct posted *p)
{
    pthread_mutex_lock(&l->posted_lock);
    if (p) {
        if (l->posted_last)
            l->posted_last->next = p;
        else
            l->posted_first = p;
        l->posted_last = p;
    } else {
        l->stopping = true;
    }
    /* Inside the lock: after the last wake-up of a stopped loop the handle may be gone. */
    uv_async_send(&l->wake);
    pthread_mutex_unlock(&l->posted_lock);
}

void loop_post(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct posted *p = xmalloc(sizeof(*p));

    *p = (struct posted){ .fn = fn, .arg = arg };
    post(l, p);
}

void loop_stop(struct loop *l)
{
    post(l, NULL);
}

void loop_on_idle(struct loop *l, void (*fn)(void *arg), void *arg)
{
    l->idle_fn = fn;
    l->idle_arg = arg;
}
