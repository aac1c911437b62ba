/* background.h - work that goes on behind its call: a fiber of the same worker with a request of its own.
 *
 * It holds the newest setup and account while it runs. A worker that stops cancels what runs, and waits for it.
 *
 * Thread: a worker's loop.
 */
#ifndef DASHBOX_SERVER_BACKGROUND_H
#define DASHBOX_SERVER_BACKGROUND_H

#include "contract/request.h"

struct worker;
struct background_job;

struct background {
    struct background_job *jobs;
    size_t                 count;
    bool                   stopping;
    void (*then)(void *arg);
    void *arg;
};

/* A request like `rq`, of a caller that is still good, in memory of its own. ERR_LIMIT: there are `max` of them; ERR_CANCELLED: the worker
 * stops, or the key is gone. It ends with background_launch(). */
enum err background_prepare(struct worker *w, const struct request *rq, const struct request_hooks *hooks, size_t max,
                            struct request **ret);
/* `run` NULL: it is not wanted after all. */
void background_launch(struct worker *w, struct request *own, SUSPENDS void (*run)(struct request *own, void *arg),
                       void *arg);

/* Cancels what runs; then(arg) when nothing does any more. Once. */
void background_stop(struct worker *w, void (*then)(void *arg), void *arg);

#endif
