/* files.h - the files of the account, as rows. Jobs for store_run(). Spec: platform.md §1.
 *
 *     reserve ---> COMING ---- keep ----> THERE ---- delete ----> DELETED ---- a month ----> gone
 *                    |  its client has left, or an hour
 *                    '------------------------------------> gone
 *
 * The bytes are a blob (store/blobs.h), which equal files share, and which goes with the last of them. A file counts for the limits of
 * the account from its reservation on, with the size that it is said to have, so that several that come at once keep them together.
 * What is deleted is still known for a while, since chats that name it are told so.
 */
#ifndef DASHBOX_STORE_FILES_H
#define DASHBOX_STORE_FILES_H

#include "base/arena.h"
#include "store/blobs.h"
#include "store/store.h"

/* Texts are in the arena of whoever asked. */
struct file_row {
    int64_t number; /* in the order of their keeping */
    str     id, workspace, key, purpose, name, description;
    str     hash, md5; /* of the content: hexadecimal, and base64 */
    int64_t size, created_ms;
    bool    native; /* made by the native API, which has limits of its own */
    bool    deleted;
};

/* Which files are meant: those of a workspace, or of any when it is empty. */

/* Reserves for a new file, or for more of one that is coming. ERR_LIMIT: `full` says of what. */
enum file_full { FILE_FULL_NONE, FILE_FULL_COUNT, FILE_FULL_BYTES };
struct file_reserve {
    str            id; /* of the reservation */
    int64_t        size;
    bool           native;              /* counts among those, too, for limits of their own */
    int64_t        count_max, capacity; /* of the account: files, bytes */
    int64_t        native_count_max, native_capacity;
    int64_t        now_ms, until_ms; /* it does not count longer */
    enum file_full full;             /* out; what there is, without this one: */
    bool           full_native;      /* of the native ones */
    int64_t        count, bytes;
};
enum err file_reserve_job(sqlite3 *db, void *file_reserve);

/* The reservation becomes a file, and its content a blob, in one transaction. Without a reservation where `reservation` is empty: what
 * the server itself has made. ERR_NOT_FOUND: the reservation has lapsed. */
struct file_keep {
    const struct blobs *blobs;
    struct blob_writer *content;
    str                 reservation;
    bool                document; /* its text is to be read (store/documents.h) */
    struct file_row     row;      /* number, hash, md5, size: out */
};
enum err file_keep_job(sqlite3 *db, void *file_keep);

/* Without a transaction of its own, for others' (of batches). */
enum err file_keep_within(sqlite3 *db, struct file_keep *k);

/* Gives up a reservation. */
enum err file_drop_job(sqlite3 *db, void *reservation);

/* ERR_NOT_FOUND: never was, or is forgotten. A deleted one is found. */
struct file_get {
    struct arena   *arena;
    str             id, workspace;
    struct file_row row; /* out */
};
enum err file_get_job(sqlite3 *db, void *file_get);

/* The newest first; empty filters are none. ERR_NOT_FOUND: `after` is none. */
struct file_list {
    struct arena    *arena;
    str              workspace, purpose, after;
    int64_t          from_ms, to_ms; /* of the creation; 0: open */
    int64_t          offset, limit;
    struct file_row *rows; /* out */
    size_t           count;
    int64_t          total; /* out: without offset and limit */
    bool             more;
};
enum err file_list_job(sqlite3 *db, void *file_list);

/* ERR_NOT_FOUND. */
struct file_delete {
    const struct blobs *blobs;
    str                 id, workspace;
    int64_t             until_ms; /* is known that long */
};
enum err file_delete_job(sqlite3 *db, void *file_delete);

/* Forgets reservations and deleted files whose time is over. */
struct file_sweep {
    int64_t now_ms;
};
enum err file_sweep_job(sqlite3 *db, void *file_sweep);

/* Of a blob's hash: a row that has it. A batch does as long as it reads it, also when its file has been deleted. */
#define FILE_BLOB_OWNER_SQL                                             \
    "SELECT 1 FROM files WHERE hash = ?1 AND state = 1 UNION ALL"       \
    " SELECT 1 FROM documents WHERE text = ?1 AND text <> '' UNION ALL" \
    " SELECT 1 FROM batches WHERE input_hash = ?1 AND NOT status IN"    \
    " ('failed', 'completed', 'expired', 'cancelled')"

/* Removes the blob unless a row has it. */
struct file_orphan {
    const struct blobs *blobs;
    str                 hash;
};
enum err file_orphan_job(sqlite3 *db, void *file_orphan);

/* All of them, with their content. */
enum err file_reset_job(sqlite3 *db, void *blobs);

#endif
