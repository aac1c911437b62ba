/* apps.h - applications as calls see them: the published definition, sessions and their turns, traces of runs; and plug-ins. Jobs for
 * store_run(). What an administrator changes is access/app_edit.h.
 *
 * A session is a conversation with one application. It is forgotten when it has not been used for APPS_SESSION_LIFE_MS.
 */
#ifndef DASHBOX_STORE_APPS_H
#define DASHBOX_STORE_APPS_H

#include "base/arena.h"
#include "store/store.h"

struct app_turn {
    str said, answered;
};

/* ERR_NOT_FOUND: the workspace has no such application. `definition` is empty when it was never published. */
struct app_load {
    struct arena    *arena;
    str              app, workspace;
    str              session;          /* whose turns are wanted; empty: none */
    int64_t          used_after_ms;    /* an older session is none */
    str              kind, definition; /* out */
    int64_t          version;
    bool             session_found;
    struct app_turn *turns; /* oldest first */
    size_t           turn_count;
};
enum err app_load_job(sqlite3 *db, void *app_load);

/* Keeps what a run has left, all or nothing: for store_run_together(). */
struct app_keep {
    str             app;
    str             session;               /* empty: none */
    struct app_turn turn;                  /* what it adds to the session */
    int64_t         now_ms, used_after_ms; /* sessions not used since then are forgotten */
    int64_t         turns_max, runs_max;
    str     run, code, steps; /* run: the request's id; code: of its refusal, empty when it went well; steps: JSON */
    int64_t version, started_ms, ms;
};
enum err app_keep_job(sqlite3 *db, void *app_keep);

/* Answers that can be read again (service/app_responses.h). Put also forgets those that are older than life_ms; get and delete are for
 * `app`, or any when it is empty; update is of one that is queued or running, delete of one that is not. ERR_NOT_FOUND: there is none. */
struct app_response_job {
    struct arena *arena;
    str           id, app, workspace;
    str           status, body; /* out of get */
    int64_t       now_ms, life_ms;
    int64_t       created_ms; /* out of get */
};
enum err app_response_put_job(sqlite3 *db, void *app_response_job);
enum err app_response_get_job(sqlite3 *db, void *app_response_job);
enum err app_response_update_job(sqlite3 *db, void *app_response_job);
enum err app_response_delete_job(sqlite3 *db, void *app_response_job);

/* All sessions, runs and responses; the applications stay. */
enum err app_reset_job(sqlite3 *db, void *unused);

/* ERR_NOT_FOUND: the workspace has no such plug-in. ERR_INVALID: its secret cannot be opened. */
struct plugin_load {
    struct arena *arena;
    str           plugin, workspace;
    str           name, definition, secret; /* out */
};
enum err plugin_load_job(sqlite3 *db, void *plugin_load);

#endif
