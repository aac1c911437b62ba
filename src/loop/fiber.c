/* fiber.c - fibers: stacks, the ready queue, waiting.
 *
 *   one mapping:  [ guard page ] [ stack, grows down ... ] [ struct fiber ]
 *
 * Thread: a fiber belongs to the loop that started it.
 * Limits: none here; whoever starts fibers for peers has a ceiling (connections, requests).
 */
#include "loop/fiber.h"

#include "base/arena.h"
#include "loop/fiber_switch.h"
#include "loop/loop_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

#ifdef HAS_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef HAS_TSAN
#include <sanitizer/tsan_interface.h>
#endif

#define POOL_MAX 512 /* finished stacks that a loop keeps */

enum fiber_state { FIBER_READY, FIBER_RUNNING, FIBER_WAITING, FIBER_DONE };

struct fiber {
    struct loop     *loop;
    struct fiber    *next; /* in the ready queue or the pool */
    void            *context;
    enum fiber_state state;
    bool             cancelled, timed_out;
    void (*fn)(void *arg);
    void        *arg;
    int64_t      deadline_us; /* of the fiber as a whole */
    struct timer timer;
    void        *note;
    char        *stack; /* its low end, behind the guard page */
    size_t       guard; /* bytes of that page */
    void        *asan_fake_stack;
    void        *tsan_fiber;
};

static size_t stack_size(const struct fiber *f)
{
    return (size_t)((const char *)f - f->stack);
}

/* ---- the sanitizers' view of a switch ---- */

static void before_switch(struct loop *l, struct fiber *to, bool from_ends)
{
#ifdef HAS_ASAN
    struct fiber *from = l->running;

    if (to)
        __sanitizer_start_switch_fiber(&l->asan_fake_stack, to->stack, stack_size(to));
    else
        __sanitizer_start_switch_fiber(from_ends ? NULL : &from->asan_fake_stack, l->asan_stack_low,
                                       l->asan_stack_size);
#endif
#ifdef HAS_TSAN
    if (to) {
        l->tsan_fiber = __tsan_get_current_fiber();
        __tsan_switch_to_fiber(to->tsan_fiber, 0);
    } else {
        __tsan_switch_to_fiber(l->tsan_fiber, 0);
    }
#endif
    (void)l, (void)to, (void)from_ends;
}

static void after_switch_to_fiber(struct loop *l, struct fiber *f)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(f->asan_fake_stack, &l->asan_stack_low, &l->asan_stack_size);
#endif
    (void)l, (void)f;
}

static void after_switch_to_loop(struct loop *l)
{
#ifdef HAS_ASAN
    __sanitizer_finish_switch_fiber(l->asan_fake_stack, NULL, NULL);
#endif
    (void)l;
}

/* ---- stacks ---- */

static struct fiber *stack_new(struct loop *l)
{
    size_t        page, size;
    char         *map;
    struct fiber *f;

    if (l->stacks) {
        f = l->stacks;
        l->stacks = f->next;
        l->stack_count--;
        return f;
    }
    page = (size_t)sysconf(_SC_PAGESIZE);
    size = page + FIBER_STACK;
    map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED || mprotect(map, page, PROT_NONE)) {
        perror("dashbox: fiber stack");
        abort();
    }
    f = (struct fiber *)(map + size - sizeof(*f));
    f->stack = map + page;
    f->guard = page;
#ifdef HAS_TSAN
    f->tsan_fiber = __tsan_create_fiber(0);
#endif
    return f;
}

static void stack_free(struct fiber *f)
{
#ifdef HAS_TSAN
    __tsan_destroy_fiber(f->tsan_fiber);
#endif
    munmap(f->stack - f->guard, f->guard + FIBER_STACK);
}

static void stack_put(struct loop *l, struct fiber *f)
{
    if (l->stack_count >= POOL_MAX) {
        stack_free(f);
        return;
    }
    f->next = l->stacks;
    l->stacks = f;
    l->stack_count++;
}

void fiber_pool_free(struct loop *l)
{
    while (l->stacks) {
        struct fiber *f = l->stacks;

        l->stacks = f->next;
        stack_free(f);
    }
}

/* ---- running ---- */

static void make_ready(struct fiber *f)
{
    struct loop *l = f->loop;

    f->state = FIBER_READY;
    f->next = NULL;
    if (l->ready_last)
        l->ready_last->next = f;
    else
        l->ready_first = f;
    l->ready_last = f;
}

static void fiber_main(void)
{
    struct loop  *l = loop_here();
    struct fiber *f = l->running;

    f->asan_fake_stack = NULL;
    after_switch_to_fiber(l, f);
    f->fn(f->arg);
    f->state = FIBER_DONE;
    before_switch(l, NULL, true);
    fiber_switch(&f->context, l->context);
    panic(__FILE__, __LINE__, __func__, "a finished fiber runs");
}

static void on_deadline(void *arg)
{
    struct fiber *f = arg;

    f->timed_out = true;
    fiber_wake(f);
}

struct fiber *fiber_start(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct fiber *f = stack_new(l);

    f->loop = l;
    f->cancelled = f->timed_out = false;
    f->fn = fn;
    f->arg = arg;
    f->deadline_us = DEADLINE_NONE;
    f->note = NULL;
    timer_init(&f->timer, on_deadline, f);
    f->context = fiber_context_make(f->stack, stack_size(f), fiber_main);
    l->fiber_count++;
    make_ready(f);
    return f;
}

/* Runs `f` until it waits or ends. */
static void fiber_resume(struct loop *l, struct fiber *f)
{
    ASSERT(f->state == FIBER_READY);
    ASSERT(!l->running);
    f->state = FIBER_RUNNING;
    l->running = f;
    before_switch(l, f, false);
    fiber_switch(&l->context, f->context);
    after_switch_to_loop(l);
    l->running = NULL;
    if (f->state == FIBER_DONE) {
        timer_remove(l, &f->timer);
        l->fiber_count--;
        stack_put(l, f);
    }
}

void loop_run_ready(struct loop *l)
{
    if (l->running)
        return; /* called below a fiber: its loop goes on with the queue */
    while (l->ready_first) {
        struct fiber *f = l->ready_first;

        l->ready_first = f->next;
        if (!l->ready_first)
            l->ready_last = NULL;
        fiber_resume(l, f);
    }
}

struct fiber *fiber_self(void)
{
    struct loop *l = loop_here();

    return l ? l->running : NULL;
}

struct loop *fiber_loop(void)
{
    struct fiber *f = fiber_self();

    ASSERT(f);
    return f->loop;
}

static void give_way(struct fiber *f)
{
    struct loop *l = f->loop;

    before_switch(l, NULL, false);
    fiber_switch(&f->context, l->context);
    after_switch_to_fiber(l, f);
}

enum err fiber_wait(int64_t deadline_us)
{
    struct fiber *f = fiber_self();

    ASSERT(f);
    if (f->cancelled)
        return ERR_CANCELLED;
    if (deadline_us > f->deadline_us)
        deadline_us = f->deadline_us;
    f->timed_out = false;
    f->state = FIBER_WAITING;
    timer_set(f->loop, &f->timer, deadline_us);
    give_way(f);
    timer_stop(&f->timer);
    if (f->cancelled)
        return ERR_CANCELLED;
    return f->timed_out ? ERR_TIMEOUT : OK;
}

void fiber_wait_through(void)
{
    struct fiber *f = fiber_self();

    ASSERT(f);
    f->state = FIBER_WAITING;
    give_way(f);
}

enum err fiber_sleep_until(int64_t deadline_us)
{
    might_suspend();
    for (;;) {
        enum err e;

        if (loop_now_us(fiber_loop()) >= deadline_us)
            return OK;
        e = fiber_wait(deadline_us);
        if (e == ERR_TIMEOUT && loop_now_us(fiber_loop()) >= deadline_us)
            return OK;
        if (e)
            return e;
    }
}

void fiber_wake(struct fiber *f)
{
    if (f && f->state == FIBER_WAITING)
        make_ready(f);
}

void fiber_cancel(struct fiber *f)
{
    f->cancelled = true;
    fiber_wake(f);
}

void fiber_deadline_set(int64_t deadline_us)
{
    struct fiber *f = fiber_self();

    ASSERT(f);
    f->deadline_us = deadline_us;
}

void fiber_note_set(struct fiber *f, void *note)
{
    f->note = note;
}

void *fiber_note(const struct fiber *f)
{
    return f->note;
}

/* ---- mailbox ---- */

void mailbox_init(struct mailbox *mb, struct fiber *owner)
{
    *mb = (struct mailbox){ .owner = owner };
}

void mailbox_raise(struct mailbox *mb, unsigned bits)
{
    mb->bits |= bits;
    fiber_wake(mb->owner);
}

enum err mailbox_wait(struct mailbox *mb, unsigned mask, int64_t deadline_us, unsigned *ret)
{
    unsigned got;

    might_suspend();
    while (!(mb->bits & mask)) {
        enum err e = fiber_wait(deadline_us);

        if (e)
            return e;
    }
    got = mb->bits & mask;
    mb->bits &= ~got;
    *ret = got;
    return OK;
}
