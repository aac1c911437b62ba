/* lane.c - a thread with a queue. */
#include "loop/lane.h"

#include "base/arena.h"
#include "base/log.h"
#include "loop/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void         *arg;
    struct fiber *waiter; /* NULL for lane_post() */
    struct loop  *loop;   /* of the waiter */
    bool          done;   /* the waiter's loop alone reads and writes this */
};

struct lane {
    pthread_t       thread;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t  more;
    struct job     *first, *last;
    bool            closing;
    bool            behind; /* set before the thread starts */
};

#define BEHIND 10 /* of 19, as nice(1) counts */

/* On the waiter's loop. */
static void finish(void *arg)
{
    struct job *j = arg;

    j->done = true;
    fiber_wake(j->waiter);
}

static void *lane_main(void *arg)
{
    struct lane *l = arg;

    if (l->behind) /* of this thread alone, on Linux; where it is not allowed all are equal */
        (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BEHIND);

    pthread_mutex_lock(&l->lock);
    for (;;) {
        struct job *j = l->first;

        if (!j) {
            if (l->closing)
                break;
            pthread_cond_wait(&l->more, &l->lock);
            continue;
        }
        l->first = j->next;
        if (!l->first)
            l->last = NULL;
        pthread_mutex_unlock(&l->lock);
        j->fn(j->arg);
        if (j->waiter)
            loop_post(j->loop, finish, j);
        else
            free(j);
        pthread_mutex_lock(&l->lock);
    }
    pthread_mutex_unlock(&l->lock);
    log_flush();
    return NULL;
}

static struct lane *open_lane(const char *name, bool behind)
{
    struct lane *l = xcalloc(1, sizeof(*l));

    l->behind = behind;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->more, NULL);
    if (pthread_create(&l->thread, NULL, lane_main, l)) {
        free(l);
        return NULL;
    }
    pthread_setname_np(l->thread, name);
    return l;
}

struct lane *lane_open(const char *name)
{
    return open_lane(name, false);
}

struct lane *lane_open_behind(const char *name)
{
    return open_lane(name, true);
}

void lane_close(struct lane *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->closing = true;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->more);
    free(l);
}

static void add(struct lane *l, struct job *j)
{
    pthread_mutex_lock(&l->lock);
    ASSERT(!l->closing);
    if (l->last)
        l->last->next = j;
    else
        l->first = j;
    l->last = j;
    pthread_cond_signal(&l->more);
    pthread_mutex_unlock(&l->lock);
}

void lane_run(struct lane *l, void (*fn)(void *arg), void *arg)
{
    struct job j = { .fn = fn, .arg = arg, .waiter = fiber_self() };

    might_suspend();
    j.loop = fiber_loop();
    add(l, &j);
    while (!j.done)
        fiber_wait_through(); /* the job uses this stack */
}

void lane_post(struct lane *l, void (*fn)(void *arg), void *arg)
{
    struct job *j = xcalloc(1, sizeof(*j));

    j->fn = fn;
    j->arg = arg;
    add(l, j);
}
