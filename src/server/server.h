/* server.h - what all workers share for the life of the process, from its start to its end.
 *
 * Thread: the main one. Signals are its alone: SIGTERM and SIGINT drain and end (a second one cuts off), SIGHUP reads the
 * configuration again, SIGUSR2 comes from the last worker that has ended.
 */
#ifndef DASHBOX_SERVER_SERVER_H
#define DASHBOX_SERVER_SERVER_H

#include "server/children.h"
#include "server/worker.h"

struct server {
    struct arena            arena;
    struct store           *store;
    struct account_source  *accounts;
    str                     admin_key; /* empty: the admin API refuses everybody */
    struct rates           *rates;
    struct quota           *quota;
    struct ledger          *ledger;
    struct faults          *faults; /* NULL under --production, as the journal */
    struct journal         *journal;
    struct results         *results;     /* of tasks */
    struct results         *uploads;     /* temporary ones */
    struct blobs           *blobs;       /* the content of the account's files */
    struct tuning_runner   *tuning;      /* worker 0's */
    struct document_reader *reader;      /* of documents; on worker 0's loop */
    struct knowledge       *knowledge;   /* bases */
    struct knowledge_index *indexing;    /* of knowledge bases; on worker 0's loop */
    struct lane            *files;       /* reads and writes what clients name and what is made for them */
    struct lane            *sql;         /* builds databases of schemas, and prepares statements */
    _Atomic int64_t        *route_calls; /* under way, as in route_rows */
    _Atomic int64_t         batch_calls;
    struct tokenizer       *tokenizer;
    struct shared          *shared; /* of the newest configuration; the main thread's */
    struct children         children;
    struct worker         **workers;
    size_t                  worker_count;
    struct options          started; /* what holds until the next start */
    int64_t                 drain_ms;
    pthread_t               main; /* gets SIGUSR2 when the last worker has ended */
    atomic_size_t           running;
    size_t                  thread_count; /* workers that have been started: the first ones */
    size_t                  drained;      /* of them, that have no requests any more; on worker 0's loop */
};

/* The table at `path`; when that is empty, beside the program, else where it was installed. */
enum err server_tokenizer_open(str path, struct arena *a, struct tokenizer **ret);

/* Opens everything, from the tokenizer to the listeners; `ret_at` is where they listen and `ret_key` the key to show (in
 * the
 * process's arena). No data folder is made before the rest is there. The configuration is the process's from here on; the
 * reason of a failure is in the log. Before any thread exists. */
enum err server_open(struct server *p, struct config *c, struct address *ret_at, str *ret_key);
/* A failure leaves no worker running. */
enum err server_start(struct server *p);

/* Until a signal has ended the workers. `load` reads the configuration again; NULL: it is not good, and the log says so. */
void server_run(struct server *p, struct config *(*load)(void *arg), void *arg);
void server_close(struct server *p);

#endif
