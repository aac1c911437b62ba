/* worker.h - one loop thread with all its own things: listener, connections, fibers, engines, caches. */
#ifndef DASHBOX_SERVER_WORKER_H
#define DASHBOX_SERVER_WORKER_H

#include "access/account.h"
#include "access/admission.h"
#include "net/http_server.h"
#include "server/background.h"
#include "server/setup.h"

#include <pthread.h>

struct server;

struct worker {
    struct server       *common; /* what all workers share */
    struct loop         *loop;
    struct http_server  *server;
    struct setup        *setup;
    struct account_view *accounts;
    struct access        access;
    struct task_runner  *tasks;
    struct background    background; /* what goes on behind calls */
    struct batch_runner *batches;
    struct count_memo   *memo;
    struct counters      counters;
    pthread_t            thread;
    unsigned             index;
    bool                 has_run;
    struct fiber        *account_watch; /* of worker 0 */
    struct shared       *account_next;  /* whose keys it is to take; NULL: none are new */
    struct fiber        *drain_watch;
    bool                 draining;
    bool                 cut_off; /* the rest of the requests has been ended */

    /* Put there by other threads. What comes when the loop has ended stays. */
    _Atomic(struct shared *) next; /* the configuration to take */
    _Atomic int64_t          drain_ms;
};

/* Opens the loop, the engines and the listener. */
enum err worker_open(struct server *p, unsigned index, struct shared *s, const struct address *at, struct worker **ret);
/* Starts its thread: from here on the process's store is there, with the account and the ledger. ERR_LIMIT: there is
 * none. */
enum err worker_start(struct worker *w);
/* From any thread: takes another configuration. */
void worker_reload(struct worker *w, struct shared *s);
/* From any thread: stops accepting, lets requests end for `drain_ms`, cancels the rest, and ends the loop. */
void worker_stop(struct worker *w, int64_t drain_ms);
void worker_join(struct worker *w);
/* When it has been joined, or has never been started. Worker 0 is the last. */
void worker_free(struct worker *w);

/* request.c: how a request's body is taken, and its whole way. */
struct http_body_plan request_plan(void *worker, struct http_exchange *x);
SUSPENDS void         request_handle(void *worker, struct http_exchange *x);
/* For panic_note_set(): what the running fiber was doing. */
void request_panic_note(void);

#endif
