/* worker.h - one loop thread with all its own things: listener, connections, fibers, engines, caches.
 *
 * What the configuration says is held in a `setup`, one a worker and configuration. A request keeps the setup it began
 * with; after a reload the old one goes when its last request has ended.
 */
#ifndef DASHBOX_SERVER_WORKER_H
#define DASHBOX_SERVER_WORKER_H

#include "access/account.h"
#include "net/http_server.h"
#include "server/config.h"
#include "server/metrics.h"
#include "service/services.h"

#include <pthread.h>

struct worker;
struct tls_context;

/* What all workers share of one configuration. Counted; freed with the last worker's setup. */
struct shared {
    struct config         *config;
    struct engine         *standin; /* has no state of a loop: one for all */
    struct arena           arena;   /* the stand-in's */
    struct tls_context    *tls;
    struct request_settings settings;
    bool                   log_requests;
    atomic_uint            refs;
};

/* Reads scenario and certificate. ERR_INVALID: *ret_problem is a line for the operator, in `a`. The configuration belongs to
 * it from here on, and is freed on failure. */
enum err shared_open(struct config *c, const struct tokenizer *t, struct arena *a, struct shared **ret,
                     str *ret_problem);
void     shared_unref(struct shared *s);

/* An engine's child process, kept over reloads while its command stays the same. */
struct child_slot {
    str           name, command, model_file; /* in malloc'd memory: `texts` */
    struct arena  texts;
    struct child *child;
};

/* What all workers share for the life of the process. */
struct process {
    struct store           *store;
    struct account_source  *accounts;
    str                     admin_key; /* empty: the admin API refuses everybody */
    const struct tokenizer *tokenizer;
    struct tokenizer       *own_tokenizer; /* the same, to be closed */
    struct worker         **workers;
    size_t                  worker_count;
    struct options          started; /* what holds from the start to the end: listen, data, workers */
    pthread_t               main;    /* gets SIGUSR2 when the last worker has ended */
    atomic_size_t           running;

    /* On worker 0's loop, which is the children's and therefore ends last. */
    pthread_mutex_t         children_lock; /* guards the two below: the others' engines are opened from them */
    struct child_slot      *children;
    size_t                  child_count;
    size_t                  drained;  /* workers that have no requests any more */
    size_t                  closing;  /* children that have not ended yet */
};

struct setup {
    struct worker   *worker;
    struct shared   *shared;
    struct services  services;
    struct engine  **engines; /* as in config->engines */
    size_t           requests; /* that hold it */
    bool             retired;
};

struct worker {
    struct process     *process;
    struct loop        *loop;
    struct http_server *server;
    struct setup       *setup;
    struct account_view *accounts;
    struct count_memo  *memo;
    struct counters     counters;
    pthread_t           thread;
    unsigned            index;
    struct fiber       *key_watch;   /* of worker 0 */
    struct fiber       *drain_watch;
    int64_t             drain_ms;
    bool                draining;
};

/* Starts the children that the configuration names and ends those that it does not. On worker 0's loop, or before it
 * runs. */
enum err worker_children(struct worker *w, const struct config *c);

/* Opens the loop and the listener; the address is in the configuration. */
enum err worker_open(struct process *p, unsigned index, struct shared *s, const struct address *at, struct worker **ret);
/* Starts its thread. */
enum err worker_start(struct worker *w);
/* From any thread: takes another configuration. */
void worker_reload(struct worker *w, struct shared *s);
/* From any thread: stops accepting, lets requests end for `drain_ms`, cancels the rest, and ends the loop. */
void worker_stop(struct worker *w, int64_t drain_ms);
void worker_join(struct worker *w);
void worker_free(struct worker *w);

/* ---- for request.c ---- */

struct setup *setup_hold(struct worker *w);
void          setup_release(struct setup *s);

/* request.c: how a request's body is taken, and its whole way. */
struct http_body_plan request_plan(void *worker, struct http_exchange *x);
SUSPENDS void         request_handle(void *worker, struct http_exchange *x);
/* For panic_note_set(): what the running fiber was doing. */
void request_panic_note(void);

#endif
