/* batches.h - batches as rows, and what their lines have come to. Jobs for store_run(). Spec: platform.md §2.
 *
 *     create ---> validating ---> in_progress ---> finalizing ---> completed | expired
 *                     |  \             |
 *                     |   '-> failed   |
 *                     '---- cancel ----+---> cancelling ---> cancelled
 *
 * Who claims a batch has it for the time of a lease, which he renews, as with tasks (store/tasks.h): the claim's number is in the condition
 * of all that he writes. The end of a line is a row, in one transaction with its charge and with the counts of its batch: what has been
 * committed is never run again, and the counts always add up.
 */
#ifndef DASHBOX_STORE_BATCHES_H
#define DASHBOX_STORE_BATCHES_H

#include "base/arena.h"
#include "store/blobs.h"
#include "store/files.h"
#include "store/store.h"

/* The words of the wire. */
#define BATCH_VALIDATING  S("validating")
#define BATCH_FAILED      S("failed")
#define BATCH_IN_PROGRESS S("in_progress")
#define BATCH_FINALIZING  S("finalizing")
#define BATCH_COMPLETED   S("completed")
#define BATCH_EXPIRED     S("expired")
#define BATCH_CANCELLING  S("cancelling")
#define BATCH_CANCELLED   S("cancelled")

/* Texts are in the arena of whoever asked. Times are clock_unix_ms(), 0: not yet. */
struct batch_row {
    int64_t number; /* in the order of their creation */
    str     id, workspace, key, endpoint, input_file, input_hash, window, metadata, name, status;
    str     model;  /* of its lines, once they have been looked at */
    str     errors; /* a JSON object; empty: none */
    str     output_file, error_file;
    str     callback;             /* a URL that is told of its end; empty: none */
    int64_t created_ms, until_ms; /* until: the end of its window */
    int64_t in_progress_ms, finalizing_ms, completed_ms, failed_ms, expired_ms, cancelled_ms;
    int64_t total, completed, failed;
    int64_t claim;
};

/* Committed when it returns. `row.number`: out. */
struct batch_create {
    struct batch_row row;
};
enum err batch_create_job(sqlite3 *db, void *batch_create);

/* Which of them: of a workspace, or of any when it is empty; created since. ERR_NOT_FOUND. */
struct batch_get {
    struct arena    *arena;
    str              id, workspace;
    int64_t          since_ms;
    struct batch_row row; /* out */
};
enum err batch_get_job(sqlite3 *db, void *batch_get);

/* The newest first; empty filters are none. ERR_NOT_FOUND: `after` is none. */
struct batch_list {
    struct arena     *arena;
    str               workspace, after, name;
    str               statuses, input_files; /* parted by commas */
    int64_t           from_ms, to_ms, limit;
    struct batch_row *rows; /* out */
    size_t            count;
    bool              more;
};
enum err batch_list_job(sqlite3 *db, void *batch_list);

/* Asks for its end, which whoever has it brings about. ERR_NOT_FOUND; ERR_INVALID: it is too late. `get.row`: as it is then. */
struct batch_cancel {
    struct batch_get get;
};
enum err batch_cancel_job(sqlite3 *db, void *batch_cancel);

/* ---- for who runs them ---- */

/* As many as there is room for that nobody has, the oldest first. */
struct batch_claim {
    struct arena     *arena;
    str               owner;
    int64_t           machine_ms, lease_ms;
    size_t            room;
    struct batch_row *rows; /* out */
    size_t            count;
};
enum err batch_claim_job(sqlite3 *db, void *batch_claim);

/* Renews a lease, and says how the batch stands. ERR_NOT_FOUND: somebody else has it, or it is gone. */
struct batch_beat {
    int64_t number, claim, lease_until_ms;
    bool    cancelling; /* out */
};
enum err batch_beat_job(sqlite3 *db, void *batch_beat);

/* Gives it back: the next claim takes it at once. */
enum err batch_release_job(sqlite3 *db, void *batch_beat);

/* How many other unfinished ones of the account (of that model, unless it is empty) were created before. */
struct batch_ahead {
    int64_t number;
    str     model;
    int64_t count; /* out */
};
enum err batch_ahead_job(sqlite3 *db, void *batch_ahead);

/* Its lines are good: they are so many, of one model. Nothing changes in one that runs already. ERR_NOT_FOUND. */
struct batch_begin {
    int64_t number, claim, total, now_ms;
    str     model;
};
enum err batch_begin_job(sqlite3 *db, void *batch_begin);

/* Calls done(arg, line) for each line that has its end. */
struct batch_done {
    int64_t number;
    void (*done)(void *arg, int64_t line);
    void *arg;
};
enum err batch_done_job(sqlite3 *db, void *batch_done);

/* Ends of lines, in one transaction with what also(db, arg) writes: their charges. ERR_NOT_FOUND. */
struct batch_line {
    int64_t line; /* from 1 */
    bool    good;
    str     text; /* of the output's line, without its end */
};
struct batch_lines {
    int64_t                  number, claim;
    const struct batch_line *lines;
    size_t                   count;
    enum err (*also)(sqlite3 *db, void *arg);
    void *arg;
};
enum err batch_lines_job(sqlite3 *db, void *batch_lines);

/* In the order of their ends: the next of those that are good, or of those that are not, behind `after`. */
struct batch_texts {
    struct arena *arena;
    int64_t       number, after; /* after: in and out */
    bool          good;
    size_t        max;
    str          *texts; /* out */
    size_t        count;
};
enum err batch_texts_job(sqlite3 *db, void *batch_texts);

/* All lines have their ends, or never will: the files are being written. ERR_NOT_FOUND. */
struct batch_finalize {
    int64_t number, claim, now_ms;
};
enum err batch_finalize_job(sqlite3 *db, void *batch_finalize);

/* Its end: the files, where there are any, become files of the account; `unrun` lines are counted as failed. ERR_NOT_FOUND. */
struct batch_end {
    int64_t           number, claim, now_ms, unrun;
    str               status, errors;
    struct file_keep *output, *error; /* NULL: none */
};
enum err batch_end_job(sqlite3 *db, void *batch_end);

/* Ends whose callback is to be told and is due, nobody else's until `until_ms`. Times are the machine's. */
#define BATCH_EVENTS_MAX 8
struct batch_events {
    struct arena    *arena;
    int64_t          machine_ms, until_ms;
    struct batch_row rows[BATCH_EVENTS_MAX];  /* out */
    int64_t          tries[BATCH_EVENTS_MAX]; /* out; with this one */
    size_t           count;
};
enum err batch_events_job(sqlite3 *db, void *batch_events);

/* It has been told, or given up; with `again_ms`, it is to be told again then. */
struct batch_told {
    int64_t number, again_ms;
};
enum err batch_told_job(sqlite3 *db, void *batch_told);

/* All of them. */
enum err batch_reset_job(sqlite3 *db, void *unused);

#endif
