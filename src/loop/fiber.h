/* fiber.h - straight-line code that waits.
 *
 * A fiber is a function on a stack of its own. It runs on one loop for life, never at the same time as another fiber or
 * callback of that loop, and gives way only inside functions marked SUSPENDS: a reader sees every place where the world
 * can change under him. Stacks are small (FIBER_STACK bytes): no recursion by a peer's data, no big arrays, and large
 * libraries run on a lane (loop/lane.h).
 *
 *      fiber_start            fiber_wake / deadline / fiber_cancel
 *   NEW ---------> READY <---------------------------------------- WAITING
 *                    |                                               ^
 *                    +--> RUNNING ------ fiber_wait -----------------+
 *                            |
 *                            +--- function returns ---> gone, its stack back in the pool
 *
 * Waiting is by condition: `while (!done) { e = fiber_wait(deadline); if (e) return e; }`. Whoever makes the condition true
 * calls fiber_wake(). Waiting for several things at once is a mailbox: a set of bits that others raise.
 */
#ifndef DASHBOX_LOOP_FIBER_H
#define DASHBOX_LOOP_FIBER_H

#include "base/err.h"
#include "base/defs.h"

struct fiber;
struct loop;

/* Marks a function that may give way to other fibers. */
#define SUSPENDS
/* At the top of such a function: stops the process when it is not on a fiber. */
#define might_suspend() ASSERT(fiber_self())

#define FIBER_STACK   ((size_t)64 * 1024)
#define DEADLINE_NONE INT64_MAX /* loop time, microseconds */

/* Makes a fiber that runs fn(arg) soon, on this loop. Call from the loop's thread. */
struct fiber *fiber_start(struct loop *l, void (*fn)(void *arg), void *arg);

/* The running fiber; NULL in a callback of the loop. */
struct fiber *fiber_self(void);
struct loop  *fiber_loop(void);

/* Until somebody wakes this fiber. ERR_TIMEOUT when `deadline_us` (loop_now_us() + …) or the fiber's own deadline
 * passes first, ERR_CANCELLED when the fiber has been cancelled: then again and again, at once. A wake-up may be
 * spurious. */
SUSPENDS enum err fiber_wait(int64_t deadline_us);

/* Until somebody wakes this fiber, whatever its deadline and whether or not it is cancelled: for the few waits during
 * which somebody else uses the fiber's memory. */
SUSPENDS void fiber_wait_through(void);

SUSPENDS enum err fiber_sleep_until(int64_t deadline_us);

/* Makes a waiting fiber ready; nothing when it is not waiting. Call from the loop's thread. */
void fiber_wake(struct fiber *f);

/* Sets the flag and wakes. The fiber unwinds through its ordinary error path. */
void fiber_cancel(struct fiber *f);

/* An end for everything that the fiber waits for from now on; DEADLINE_NONE takes it off. */
void fiber_deadline_set(int64_t deadline_us);

/* The owner's pointer to what the fiber does, for a crash report; NULL at first. */
void  fiber_note_set(struct fiber *f, void *note);
void *fiber_note(const struct fiber *f);

/* A set of up to 32 flags that others raise and one fiber waits for. */
struct mailbox {
    struct fiber *owner;
    unsigned      bits;
};

void mailbox_init(struct mailbox *mb, struct fiber *owner);
void mailbox_raise(struct mailbox *mb, unsigned bits);
/* Until one of `mask` is raised: those are lowered and returned. */
SUSPENDS enum err mailbox_wait(struct mailbox *mb, unsigned mask, int64_t deadline_us, unsigned *ret);

#endif
