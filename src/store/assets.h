/* assets.h - what clients make once and name later: vocabularies, phrases, voices. Jobs for store_run().
 *
 * An asset is a row with an id of the wire, its owner (a workspace), a kind of ours and a body of JSON, which only its service reads.
 */
#ifndef DASHBOX_STORE_ASSETS_H
#define DASHBOX_STORE_ASSETS_H

#include "base/arena.h"
#include "store/store.h"

struct asset {
    str     id, kind, workspace, prefix, target_model, body;
    int64_t created_ms, modified_ms;
};

/* ERR_LIMIT: the workspace has `max` of that kind. */
struct asset_create {
    struct asset row;
    int64_t      max;
};
enum err asset_create_job(sqlite3 *db, void *asset_create);

/* ERR_NOT_FOUND: there is none of that kind and workspace. The three differ in what they do with it: read all of it into `row`; a new
 * body; take it away. */
struct asset_get {
    struct arena *arena;
    str           id, kind, workspace;
    struct asset  row; /* out */
};
enum err asset_get_job(sqlite3 *db, void *asset_get);

struct asset_update {
    str     id, kind, workspace, body;
    int64_t now_ms;
};
enum err asset_update_job(sqlite3 *db, void *asset_update);

struct asset_delete {
    str id, kind, workspace;
};
enum err asset_delete_job(sqlite3 *db, void *asset_delete);

/* A page, the newest first. */
struct asset_list {
    struct arena *arena;
    str           kind, workspace, prefix; /* prefix: of that one alone; empty: of any */
    int64_t       offset, limit;
    struct asset *rows; /* out */
    size_t        count;
    int64_t       total;
};
enum err asset_list_job(sqlite3 *db, void *asset_list);

/* All of them. */
enum err asset_reset_job(sqlite3 *db, void *unused);

#endif
