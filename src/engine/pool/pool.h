/* pool.h - child processes that answer one question at a time over a channel.
 *
 * They are started when they are wanted and stay until they have had nothing to do for a while. One that crashes, hangs or answers
 * nonsense is killed and the next question starts another, after a pause when it had not even become ready. One that has
 * used much processor time is replaced by a fresh one.
 *
 * What a child keeps between questions (an open stream) is a pin on it: its further questions go to that very process, which
 * stays as long as it lives and somebody has a pin on it.
 *
 *                 pool_take, all others busy            its first message
 *      NONE ----------------------------------> STARTING ---------------> IDLE <------> BUSY
 *       ^                                          |                        |             |
 *       +----- crash, time-out, retirement --------+---- nothing to do -----+-------------+
 *
 * Thread: one loop for life.
 * Limits: `queue_max` questions wait for a child.
 */
#ifndef DASHBOX_ENGINE_POOL_POOL_H
#define DASHBOX_ENGINE_POOL_POOL_H

#include "base/str.h"
#include "loop/channel.h"

struct pool;
struct pool_child;

struct pool_options {
    const char        *name;    /* in the log: "people engine" */
    const char        *program; /* its path */
    const char *const *env;     /* all of its environment but what sanitizers are told; ends with NULL. NULL: nothing */
    size_t             process_max;
    size_t             queue_max;
    int64_t            start_ms;      /* until a child is ready */
    int64_t            backoff_ms;    /* after one that was not, doubled each time up to a minute */
    int64_t            retire_cpu_ms; /* processor time after which a child is replaced */
    int64_t            idle_ms;       /* after which it is ended; 0: never */
    /* Sends a child, which has just been started, what it must have first; may be NULL. */
    enum err (*greet)(void *arg, struct pool_child *c);
    /* Its first message: OK when it is ready. */
    enum err (*ready)(void *arg, str message);
    void *arg;
};

/* ERR_NOT_FOUND: there is no such program. Nothing is started yet. The options' texts are copied. */
enum err pool_open(struct loop *l, const struct pool_options *o, struct pool **ret);

/* A child that is ready and nobody else's until pool_give_back().
 * ERR_IO           none can be started
 * ERR_LIMIT        too many wait already
 * ERR_CANCELLED    the fiber was
 * The reason is in the log. */
SUSPENDS enum err pool_take(struct pool *p, struct pool_child **ret);

/* To talk to it. */
struct channel *pool_child_channel(const struct pool_child *c);
/* Below process_max, the same for a child that takes the place of another. */
size_t pool_child_place(const struct pool_child *c);

/* It has used so much processor time for the answer; or it has failed with `e`, and is ended: it may be in the middle of
 * anything. */
void pool_give_back(struct pool_child *c, enum err e, int64_t cpu_us);

/* The child as it is now, which the caller has, for pool_take_pinned(). Given back with pool_unpin(). */
struct pool_pin {
    struct pool_child *child;
    uint64_t           life;
};
struct pool_pin pool_pin(struct pool_child *c);
/* As pool_take(). ERR_IO: that process has ended. */
SUSPENDS enum err pool_take_pinned(struct pool_pin pin, struct pool_child **ret);
/* Whether that process is still there. */
bool pool_pin_holds(struct pool_pin pin);
void pool_unpin(struct pool_pin pin);

/* Process ids of the children that are there, at most `max`. Returns how many. */
size_t pool_pids(const struct pool *p, int *ret, size_t max);

/* Nobody has a child or waits for one. Ends the children. */
void pool_close(struct pool *p);

#endif
