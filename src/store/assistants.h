/* assistants.h - assistants, threads, messages, runs and steps as rows: an id of the wire, a kind, what it belongs to, and the object as it
 * is answered, JSON, without its request_id. Jobs for store_run() and store_run_together(); each is one statement, or deletes.
 */
#ifndef DASHBOX_STORE_ASSISTANTS_H
#define DASHBOX_STORE_ASSISTANTS_H

#include "base/arena.h"
#include "store/store.h"

struct assistant_row {
    str id, kind; /* "assistant", "thread", "message", "run", "step" */
    str owner;    /* a message's and a run's thread, a step's run; else empty */
    str workspace;
    str status; /* of a run */
    str body;   /* JSON */
    str state;  /* of a run that waits: what was said in it, JSON */
};

enum err assistant_put_job(sqlite3 *db, void *assistant_row);

/* ERR_NOT_FOUND: the workspace has none of that id, kind and owner. */
struct assistant_get {
    struct arena *arena;
    str           id, kind, owner, workspace;
    str           status, body, state; /* out */
};
enum err assistant_get_job(sqlite3 *db, void *assistant_get);

/* A new body, status and state. `from`: only when the status is one of these, parted by blanks; empty: whatever it is. ERR_NOT_FOUND. */
struct assistant_update {
    str id, kind, owner, workspace, from, status, body, state;
};
enum err assistant_update_job(sqlite3 *db, void *assistant_update);

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
