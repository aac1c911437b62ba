/* store.h - what must survive the process: SQLite in WAL mode, on a lane of its own.
 *
 * All statements run on the store's lane: a fiber calls a function of store/ or access/, which runs a job there with
 * store_run() and suspends. The command line, which has no loop, calls the same jobs directly with store_run_here().
 */
#ifndef DASHBOX_STORE_STORE_H
#define DASHBOX_STORE_STORE_H

#include "base/err.h"
#include "base/str.h"
#include "loop/fiber.h"

#include <sqlite3.h>

struct store;

/* Makes the folder (mode 0700) and the database where they are missing, and brings the tables up to date. On failure the
 * reason goes to the log. */
enum err store_open(str folder, struct store **ret);
void     store_close(struct store *s);
str      store_folder(const struct store *s);

/* Another connection, that only reads, for a lane of its own: it sees what has been committed when its transaction began. The caller
 * closes it (sqlite3_close()). */
enum err store_reader_open(const struct store *s, sqlite3 **ret);

/* From here on jobs run on the lane: before the loops start. */
enum err store_start(struct store *s);

typedef enum err (*store_job)(sqlite3 *db, void *arg);

/* Until the job has run on the lane; gives what it returned. */
SUSPENDS enum err store_run(struct store *s, store_job job, void *arg);
/* The same, in one transaction with all others that wait when the lane comes to it: many wait for one commit. Committed when it
 * returns OK. A job must leave nothing behind when it fails: one statement does not, several stand in a savepoint. then(db, arg, e),
 * where there is one, is called on the lane after the end of the transaction, for those that have succeeded first. */
SUSPENDS enum err store_run_together(struct store *s, store_job job, void (*then)(sqlite3 *db, void *arg, enum err e),
                                     void *arg);
/* Without waiting, from any thread, once store_start() has been called: then(arg) is called on the lane with what the job
 * gave. */
void store_post(struct store *s, store_job job, void (*then)(void *arg, enum err e), void *arg);
/* store_run() on the calling thread, before the loops start or without any. */
enum err store_run_here(struct store *s, store_job job, void *arg);

/* ---- for jobs ---- */

/* Runs statements without parameters. */
enum err store_exec(sqlite3 *db, const char *sql);
/* A statement; ERR_IO is logged. */
enum err store_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret);
/* Runs it to its end, which is its first step, and frees it; ERR_EXISTS: a row of that key is there. */
enum err store_finish(sqlite3 *db, sqlite3_stmt *st);
/* The same of one that changes a row. ERR_NOT_FOUND: it has found none. */
enum err store_finish_one(sqlite3 *db, sqlite3_stmt *st);
/* The end of a job's own transaction, by what came of it: commits, or rolls back and gives `e`. */
enum err store_commit(sqlite3 *db, enum err e);
void     store_bind_str(sqlite3_stmt *st, int at, str s);
str      store_column_str(sqlite3_stmt *st, int at); /* valid until the next step */
/* Of the names only those stay for which the statement, a SELECT with one parameter, has no row. */
struct store_absent {
    const char *sql;
    str        *names;
    size_t      count;
};
enum err store_absent_job(sqlite3 *db, void *store_absent);
/* SQLite's error → ours, logged. */
enum err store_err(sqlite3 *db, int result);

#endif
