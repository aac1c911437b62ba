/* assistants.h - assistants, threads, messages, runs and steps as rows: an id of the wire, a kind, what it belongs to, and the object as it
 * is answered, JSON, without its request_id. Jobs for store_run() and store_run_together().
 *
 * A run is open in the states queued, in_progress, cancelling and requires_action. One that is open has a time at which it ends by itself,
 * "due": a lease by the machine's clock, which whoever runs it renews; one that waits for its client, a time of the service's clock. When a
 * run ends, its steps and its message that are in progress end with it.
 */
#ifndef DASHBOX_STORE_ASSISTANTS_H
#define DASHBOX_STORE_ASSISTANTS_H

#include "base/arena.h"
#include "store/store.h"

struct assistant_row {
    str     id, kind; /* "assistant", "thread", "message", "run", "step" */
    str     owner;    /* a message's and a run's thread, a step's run; else empty */
    str     workspace;
    str     status; /* of a run; of a step, and of the message of a run */
    str     body;   /* JSON */
    str     state;  /* of a run that waits: what was said in it, JSON */
    bool    idle;   /* only while its owner has no open run */
    int64_t due_ms;
};

/* ERR_EXISTS: the owner has an open run. */
enum err assistant_put_job(sqlite3 *db, void *assistant_row);

/* ERR_NOT_FOUND: the workspace has none of that id, kind and owner. */
struct assistant_get {
    struct arena *arena;
    str           id, kind, owner, workspace;
    str           status, body, state; /* out */
    bool          due;                 /* out: there are runs that have to be ended first, of whomever */
};
enum err assistant_get_job(sqlite3 *db, void *assistant_get);

#define ASSISTANT_DUE_KEEP INT64_C(-1)

/* A new body, status and state. `from`: only when the status is one of these, parted by blanks; empty: whatever it is. ERR_NOT_FOUND. */
struct assistant_update {
    str     id, kind, owner, workspace, from, status, body, state;
    int64_t due_ms; /* of a run; 0: it has ended */
};
enum err assistant_update_job(sqlite3 *db, void *assistant_update);

/* Ends all runs whose time has come: one that waited has expired, one that was being cancelled is, any other has failed. */
struct assistant_sweep {
    str lost; /* last_error of one that has failed, JSON */
};
enum err assistant_sweep_job(sqlite3 *db, void *assistant_sweep);

/* For whoever runs the run. ERR_NOT_FOUND: it is not to be run any more. */
struct assistant_beat {
    str     id;
    int64_t due_ms; /* the new end of its lease; 0: as it was */
};
enum err assistant_beat_job(sqlite3 *db, void *assistant_beat);

/* With all that belongs to it. ERR_NOT_FOUND. */
struct assistant_delete {
    str id, kind, workspace;
};
enum err assistant_delete_job(sqlite3 *db, void *assistant_delete);

struct assistant_list {
    struct arena *arena;
    str           kind, owner, workspace;
    str           after, before; /* ids; empty: none */
    bool          descending;    /* the newest first */
    int64_t       limit;
    str          *ids, *bodies; /* out */
    size_t        count;
    bool          more;
};
enum err assistant_list_job(sqlite3 *db, void *assistant_list);

/* All of them. */
enum err assistant_reset_job(sqlite3 *db, void *unused);

#endif
