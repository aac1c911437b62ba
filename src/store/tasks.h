/* tasks.h - asynchronous tasks as rows: made, claimed, kept alive, ended, forgotten. Jobs for store_run().
 *
 *   PENDING --- claim ---> RUNNING --- end ---> SUCCEEDED | FAILED ---+
 *      |                      |  \                                    | keep_ms later
 *      | cancel               |   '- run_ms without an end: FAILED ---+---> gone (UNKNOWN)
 *      '-----> CANCELED ------|---------------------------------------+
 *                             '-- the lease lapses: claimed again, still RUNNING
 *
 * Several processes may work on one store. Whoever claims a task has it for the time of a lease, and renews that while he
 * works. What he then writes counts only if the task is still his: the claim's number is in the condition. So a task ends
 * once, whatever is killed when; a run that was lost with its process is done again by the next to claim it.
 *
 * Times of the wire are the service's clock (clock_unix_ms()), which tests move; leases are the machine's (clock_machine_ms()),
 * which they do not.
 */
#ifndef DASHBOX_STORE_TASKS_H
#define DASHBOX_STORE_TASKS_H

#include "base/arena.h"
#include "base/rand.h"
#include "store/store.h"

/* The words of the wire. UNKNOWN is no row. */
#define TASK_PENDING   S("PENDING")
#define TASK_RUNNING   S("RUNNING")
#define TASK_SUCCEEDED S("SUCCEEDED")
#define TASK_FAILED    S("FAILED")
#define TASK_CANCELED  S("CANCELED")

/* How long things last, and what a task is told that ran too long. The `now_ms` of a job is clock_unix_ms(). */
struct task_terms {
    int64_t now_ms, run_ms, keep_ms;
    bool    tells; /* of ends: somebody wants to hear (task_events_job) */
    str     timeout_code, timeout_message;
};

/* A row; texts are in the arena of whoever asked. */
struct task_row {
    str     id, request_id; /* that of the creating call */
    str     kind;           /* who runs it: service/tasks.c */
    str     function;       /* "embeddings:text-embedding:text-embedding": the path that it was made on */
    str     model, workspace, key;
    str     base;  /* "http://127.0.0.1:8420": where the client found us, for the URLs of results */
    str     body;  /* of the creating call, JSON */
    str     fault; /* how it fails on purpose; mostly empty */
    str     status;
    int64_t submit_ms, scheduled_ms, end_ms; /* 0: not yet */
    str     output;                          /* members of the output, JSON without the braces; empty: none */
    str     usage;                           /* a JSON object; empty: none */
    str     code, message;
    int64_t total, succeeded, failed; /* task_metrics; total 0: it has none */
    int64_t claim;                    /* number of its claims that were not given back */
};

/* ERR_LIMIT: so many tasks of the model are waiting or running already. Committed when it returns. */
struct task_create {
    struct task_row row;
    int64_t         queued_max; /* 0: any number */
};
enum err task_create_job(sqlite3 *db, void *task_create);

/* ERR_NOT_FOUND: never was, or is gone. */
struct task_get {
    struct arena     *arena;
    struct task_terms terms;
    str               id;
    struct task_row   row; /* out; without the body */
};
enum err task_get_job(sqlite3 *db, void *task_get);

/* Newest first; empty filters are none. */
struct task_list {
    struct arena     *arena;
    struct task_terms terms;
    str               id, model, status, key;
    int64_t           from_ms, to_ms; /* of the submission, both included */
    int64_t           page, size;     /* from 1 */
    struct task_row  *rows;           /* out; likewise */
    size_t            count;
    int64_t           total;
};
enum err task_list_job(sqlite3 *db, void *task_list);

/* ERR_NOT_FOUND: it is not PENDING. */
struct task_cancel {
    str     id;
    int64_t now_ms;
    bool    tells;
};
enum err task_cancel_job(sqlite3 *db, void *task_cancel);

/* As many as there is room for: those whose lease has lapsed, then those that wait, oldest first; of a model never more at
 * once than `running_max` says (0: any number). */
struct task_claim {
    struct arena     *arena;
    struct task_terms terms;
    str               owner;
    int64_t           machine_ms, lease_ms;
    size_t            room;
    int64_t (*running_max)(str model);
    struct task_row *rows; /* out */
    size_t           count;
};
enum err task_claim_job(sqlite3 *db, void *task_claim);

/* Renews leases. `lost` of a task that is not the owner's any more. */
struct task_beat {
    str     owner;
    int64_t lease_until_ms;
    struct task_held {
        char    id[UUID_LEN + 1];
        int64_t claim;
        bool    lost;
    } * held;
    size_t count;
};
enum err task_beat_job(sqlite3 *db, void *task_beat);

/* Ends it, unless it is not the owner's any more: ERR_NOT_FOUND. What `also` writes is in the same transaction: a charge. */
struct task_end {
    struct task_row row; /* id, claim, status, end_ms, output, usage, code, message, metrics */
    str             owner;
    bool            tells;
    enum err (*also)(sqlite3 *db, void *arg);
    void *arg;
};
enum err task_end_job(sqlite3 *db, void *task_end);

/* Gives it back, still RUNNING: the next claim takes it at once, and has the same number. Only by who writes no more. */
enum err task_release_job(sqlite3 *db, void *task_end);

/* Ends what ran too long; forgets up to SWEEP_MAX tasks that were kept long enough, and counts the rest. */
#define TASK_SWEEP_MAX 100
struct task_sweep {
    struct arena     *arena;
    struct task_terms terms;
    str              *gone; /* out: ids, whose results may go */
    size_t            gone_count;
    int64_t           pending, running;
};
enum err task_sweep_job(sqlite3 *db, void *task_sweep);

/* Ends that are to be told and are due, nobody else's until `until_ms`. Times are the machine's. */
#define TASK_EVENTS_MAX 16
struct task_events {
    struct arena   *arena;
    int64_t         machine_ms, until_ms;
    struct task_row rows[TASK_EVENTS_MAX];  /* out; without the body */
    int64_t         tries[TASK_EVENTS_MAX]; /* out; with this one */
    size_t          count;
};
enum err task_events_job(sqlite3 *db, void *task_events);

/* It has been told; with `again_ms`, it is to be told again then. */
struct task_told {
    str     id;
    int64_t again_ms;
};
enum err task_told_job(sqlite3 *db, void *task_told);

/* Forgets all. */
enum err task_reset_job(sqlite3 *db, void *unused);

#endif
