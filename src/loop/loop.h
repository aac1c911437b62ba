/* loop.h - one thread's event loop.
 *
 * Only loop/ knows libuv. A callback of libuv does one thing: it wakes the fiber that waits, or hands bytes to the
 * owner of a stream; then loop_run_ready() runs the fibers that became ready.
 */
#ifndef DASHBOX_LOOP_LOOP_H
#define DASHBOX_LOOP_LOOP_H

#include "base/defs.h"
#include "base/err.h"

struct loop;

struct loop *loop_new(void);
/* Runs until loop_stop() has been called and nothing is open any more. */
void loop_run(struct loop *l);
/* From any thread: the loop ends when its handles are closed. */
void loop_stop(struct loop *l);
void loop_free(struct loop *l);

/* One turn, for a loop that runs only inside its owner's calls: waits until something happens or loop_wake() is called. */
void loop_run_once(struct loop *l);
/* From any thread and from signal handlers: the turn under way, or else the next one, does not wait any longer. */
void loop_wake(struct loop *l);

/* The loop of this thread, NULL outside. */
struct loop *loop_here(void);

/* Monotonic microseconds, as of this turn of the loop: what deadlines and timers are in. Where single microseconds count,
 * ask clock_mono_us(). */
int64_t loop_now_us(struct loop *l);

/* Fibers alive, for metrics and drains. */
size_t loop_fiber_count(const struct loop *l);

/* From any thread: calls fn(arg) on the loop's thread soon. */
void loop_post(struct loop *l, void (*fn)(void *arg), void *arg);

/* fn(arg) whenever the loop is about to sleep: for work that is cheaper in batches. Set before loop_run(). */
void loop_on_idle(struct loop *l, void (*fn)(void *arg), void *arg);

/* Runs ready fibers until none is left. For loop/ alone. */
void loop_run_ready(struct loop *l);

#endif
