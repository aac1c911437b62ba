/* uploads.h - files that clients have put into the temporary store, as rows. Jobs for store_run().
 *
 *      begin -----> coming -----> there ---- 48 hours ----> gone
 *                     |  an hour, or the client has left
 *                     '--------------------------------------^
 *
 * The bytes are a file of their own in a folder of results (store/results.h): DATA/uploads/ID/file, which is whole before the
 * row says that it is there. A key is the name under which its owner, the workspace that asked for the policy, reads it, for
 * the model that it was asked for. The sizes of those that are coming count, so that the ceiling of a workspace holds.
 */
#ifndef DASHBOX_STORE_UPLOADS_H
#define DASHBOX_STORE_UPLOADS_H

#include "base/arena.h"
#include "base/rand.h"
#include "store/store.h"

#define UPLOAD_FILE S("file")

/* ERR_EXISTS: the key is taken. ERR_LIMIT: the workspace has as much as it may. */
struct upload_begin {
    str     id, key, workspace, model;
    str     type; /* Content-Type, as the client says */
    int64_t size; /* bytes that it may have */
    int64_t capacity;
    int64_t now_ms, expires_ms;
};
enum err upload_begin_job(sqlite3 *db, void *upload_begin);

/* It is there, of this size. ERR_NOT_FOUND: it has been forgotten meanwhile. */
struct upload_end {
    str     id;
    int64_t size, expires_ms;
};
enum err upload_end_job(sqlite3 *db, void *upload_end);

/* It will not be: its row goes. */
enum err upload_drop_job(sqlite3 *db, void *id /* str */);

/* ERR_NOT_FOUND: there is none (any more) that this workspace may read for this model. */
struct upload_find {
    struct arena *arena;
    str           key, workspace, model;
    int64_t       now_ms;
    str           id, type; /* out */
};
enum err upload_find_job(sqlite3 *db, void *upload_find);

/* Forgets up to UPLOAD_SWEEP_MAX that are too old; their files are the caller's to remove. */
#define UPLOAD_SWEEP_MAX 100
struct upload_sweep {
    struct arena *arena;
    int64_t       now_ms;
    str          *gone; /* out: ids */
    size_t        gone_count;
};
enum err upload_sweep_job(sqlite3 *db, void *upload_sweep);

/* All of them. */
enum err upload_reset_job(sqlite3 *db, void *unused);

#endif
