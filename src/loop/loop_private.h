/* loop_private.h - what the files of loop/ share; nobody else includes it. */
#ifndef DASHBOX_LOOP_LOOP_PRIVATE_H
#define DASHBOX_LOOP_LOOP_PRIVATE_H

#include "loop/fiber.h"
#include "loop/loop.h"
#include "loop/timer.h"

#include <pthread.h>
#include <uv.h>

#define READ_BUFFER ((size_t)64 * 1024)

struct posted {
    struct posted *next;
    void (*fn)(void *arg);
    void *arg;
};

struct loop {
    uv_loop_t uv;
    int64_t   now_us; /* as of this turn */

    /* fibers */
    struct fiber *ready_first, *ready_last;
    struct fiber *running;
    void         *context;     /* of the loop itself, while a fiber runs */
    struct fiber *stacks;      /* finished fibers whose stacks wait for the next */
    size_t        stack_count; /* in that pool */
    size_t        fiber_count; /* alive */
    void         *asan_fake_stack;
    const void   *asan_stack_low;
    size_t        asan_stack_size;
    void         *tsan_fiber;

    struct timer_heap timers;
    uv_timer_t        timer;
    int64_t           timer_us; /* when `timer` fires; INT64_MAX: it is stopped */

    uv_async_t      wake;
    pthread_mutex_t posted_lock; /* guards the two below */
    struct posted  *posted_first, *posted_last;
    bool            stopping;

    uv_prepare_t prepare;
    void (*idle_fn)(void *arg);
    void *idle_arg;

    /* One read buffer for all streams: bytes are handed on before the next read. */
    char read_buffer[READ_BUFFER];
};

/* At the top of every callback of libuv but those that only lend or free memory: looks at the clock. */
void loop_turn(struct loop *l);

/* The earliest timer has changed. */
void loop_timer_moved(struct loop *l);

void fiber_pool_free(struct loop *l);

/* libuv's error → ours. */
enum err loop_err(int uv_error);

#endif
