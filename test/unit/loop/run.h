/* run.h - a loop for a test, and fibers that end it. */
#ifndef DASHBOX_TEST_RUN_H
#define DASHBOX_TEST_RUN_H

#include "../base/check.h"

#include "base/arena.h"
#include "loop/fiber.h"
#include "loop/loop.h"

static struct loop *loop;
static size_t       tasks_left;

static inline int loop_setup(void **state)
{
    (void)state;
    loop = loop_new();
    tasks_left = 0;
    return loop ? 0 : -1;
}

static inline int loop_teardown(void **state)
{
    (void)state;
    loop_free(loop);
    loop = NULL;
    return 0;
}

struct task {
    void (*fn)(void *arg);
    void *arg;
};

static inline void task_main(void *arg)
{
    struct task t = *(struct task *)arg;

    free(arg);
    t.fn(t.arg);
    if (--tasks_left == 0)
        loop_stop(loop);
}

/* A fiber. The loop is stopped when the last of them has ended. */
static inline struct fiber *spawn(void (*fn)(void *arg), void *arg)
{
    struct task *t = xmalloc(sizeof(*t));

    *t = (struct task){ .fn = fn, .arg = arg };
    tasks_left++;
    return fiber_start(loop, task_main, t);
}

static inline void wake_arg(void *arg)
{
    fiber_wake(arg);
}

/* Lets the fibers that are ready run. */
static inline void yield(void)
{
    fiber_start(loop, wake_arg, fiber_self());
    fiber_wait_through();
}

static inline void run(void)
{
    loop_run(loop);
    assert_int_equal(tasks_left, 0);
}

/* Starts the one fiber and runs it to its end. */
static inline void run_fiber(void (*fn)(void *arg))
{
    spawn(fn, NULL);
    run();
}

static inline int64_t after_ms(int64_t ms)
{
    return loop_now_us(loop) + ms * 1000;
}

#define loop_test(name) cmocka_unit_test_setup_teardown(name, loop_setup, loop_teardown)

#endif
