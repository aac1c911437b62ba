/* files.c - the table of files. Spec: platform.md §1. */
#include "store/files.h"

#include "store/documents.h"

enum { COMING, THERE, DELETED };

/* ---- reservations ---- */

static enum err count_others(sqlite3 *db, struct file_reserve *r, bool native)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db,
             "SELECT COUNT(*), COALESCE(SUM(size), 0) FROM files WHERE (state = 1 OR state = 0 AND until_ms > ?1)"
                  " AND id <> ?2 AND native >= ?3",
             &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, r->now_ms);
    store_bind_str(st, 2, r->id);
    sqlite3_bind_int(st, 3, native);
    if (sqlite3_step(st) == SQLITE_ROW) {
        r->count = sqlite3_column_int64(st, 0);
        r->bytes = sqlite3_column_int64(st, 1);
    }
    sqlite3_finalize(st);
    return OK;
}

static enum err check_room(sqlite3 *db, struct file_reserve *r, bool native, int64_t count_max, int64_t capacity)
{
    enum err e = count_others(db, r, native);

    if (e)
        return e;
    r->full_native = native;
    r->full = r->count >= count_max           ? FILE_FULL_COUNT
              : r->size > capacity - r->bytes ? FILE_FULL_BYTES
                                              : FILE_FULL_NONE;
    return r->full ? ERR_LIMIT : OK;
}

static enum err reserve(sqlite3 *db, struct file_reserve *r)
{
    sqlite3_stmt *st;
    enum err      e = check_room(db, r, false, r->count_max, r->capacity);

    if (!e && r->native)
        e = check_room(db, r, true, r->native_count_max, r->native_capacity);
    if (e)
        return e;
    e = store_prepare(db,
                      "INSERT INTO files (id, native, size, until_ms, state) VALUES (?1, ?2, ?3, ?4, 0)"
                      " ON CONFLICT (id) DO UPDATE SET size = ?3",
                      &st);
    if (e)
        return e;
    store_bind_str(st, 1, r->id);
    sqlite3_bind_int(st, 2, r->native);
    sqlite3_bind_int64(st, 3, r->size);
    sqlite3_bind_int64(st, 4, r->until_ms);
    return store_finish(db, st);
}

enum err file_reserve_job(sqlite3 *db, void *arg)
{
    enum err e = store_exec(db, "BEGIN IMMEDIATE"); /* the count and what follows from it are one */

    return e ? e : store_commit(db, reserve(db, arg));
}

static enum err drop(sqlite3 *db, str reservation)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "DELETE FROM files WHERE id = ? AND state = 0", &st);

    if (e)
        return e;
    store_bind_str(st, 1, reservation);
    e = store_finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

enum err file_drop_job(sqlite3 *db, void *reservation)
{
    return drop(db, *(const str *)reservation);
}

/* ---- keeping ---- */

static enum err insert(sqlite3 *db, struct file_row *f)
{
    const str     texts[] = { f->id, f->workspace, f->key, f->purpose, f->name, f->description, f->hash, f->md5 };
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "INSERT INTO files (id, workspace, key, purpose, name, description, hash, md5, size,"
                                         " created_ms, native, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
                                    &st);

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 9, f->size);
    sqlite3_bind_int64(st, 10, f->created_ms);
    sqlite3_bind_int(st, 11, f->native);
    e = store_finish(db, st);
    f->number = sqlite3_last_insert_rowid(db);
    return e;
}

enum err file_keep_within(sqlite3 *db, struct file_keep *k)
{
    enum err e = k->reservation.len ? drop(db, k->reservation) : OK;

    if (e)
        return e;
    k->row.hash = str_of(k->content->hash, BLOB_HASH_LEN);
    k->row.md5 = str_of(k->content->md5_text, BLOB_MD5_LEN);
    k->row.size = k->content->size;
    e = insert(db, &k->row);
    if (!e && k->document)
        e = document_want_within(db, k->row.hash, k->row.name);
    return e ? e : blob_place(k->blobs, k->content); /* without its row it is an orphan, and swept */
}

enum err file_keep_job(sqlite3 *db, void *arg)
{
    enum err e = store_exec(db, "BEGIN IMMEDIATE");

    return e ? e : store_commit(db, file_keep_within(db, arg));
}

/* ---- reading ---- */

#define COLUMNS "number, id, workspace, key, purpose, name, description, hash, md5, size, created_ms, native, state"

static void read_row(sqlite3_stmt *st, struct arena *a, struct file_row *ret)
{
    str *const texts[] = { &ret->id,   &ret->workspace,   &ret->key,  &ret->purpose,
                           &ret->name, &ret->description, &ret->hash, &ret->md5 };

    *ret = (struct file_row){ .number = sqlite3_column_int64(st, 0),
                              .size = sqlite3_column_int64(st, 9),
                              .created_ms = sqlite3_column_int64(st, 10),
                              .native = sqlite3_column_int(st, 11),
                              .deleted = sqlite3_column_int(st, 12) == DELETED };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(a, store_column_str(st, 1 + (int)i));
}

enum err file_get_job(sqlite3 *db, void *arg)
{
    struct file_get *g = arg;
    sqlite3_stmt    *st;
    enum err         e = store_prepare(
                db, "SELECT " COLUMNS " FROM files WHERE id = ?1 AND state > 0 AND (?2 = '' OR workspace = ?2)", &st);
    int r;

    if (e)
        return e;
    store_bind_str(st, 1, g->id);
    store_bind_str(st, 2, g->workspace);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_row(st, g->arena, &g->row);
    sqlite3_finalize(st);
    e = store_err(db, r);
    return e ? e : r == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

#define FILTERS                                                                                 \
    " FROM files WHERE state = 1 AND (?1 = '' OR workspace = ?1) AND (?2 = '' OR purpose = ?2)" \
    " AND (?3 = 0 OR created_ms >= ?3) AND (?4 = 0 OR created_ms <= ?4) AND number < ?5"

static enum err prepare_list(sqlite3 *db, const char *sql, const struct file_list *l, int64_t below, sqlite3_stmt **ret)
{
    enum err e = store_prepare(db, sql, ret);

    if (e)
        return e;
    store_bind_str(*ret, 1, l->workspace);
    store_bind_str(*ret, 2, l->purpose);
    sqlite3_bind_int64(*ret, 3, l->from_ms);
    sqlite3_bind_int64(*ret, 4, l->to_ms);
    sqlite3_bind_int64(*ret, 5, below);
    return OK;
}

static enum err count_list(sqlite3 *db, struct file_list *l, int64_t below)
{
    sqlite3_stmt *st;
    enum err      e = prepare_list(db, "SELECT COUNT(*)" FILTERS, l, below, &st);

    if (e)
        return e;
    if (sqlite3_step(st) == SQLITE_ROW)
        l->total = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return OK;
}

enum err file_list_job(sqlite3 *db, void *arg)
{
    struct file_list *l = arg;
    struct file_get   after = { .arena = l->arena, .id = l->after, .workspace = l->workspace };
    sqlite3_stmt     *st;
    int64_t           below = INT64_MAX;
    enum err          e = l->after.len ? file_get_job(db, &after) : OK;
    int               r = SQLITE_DONE;

    if (e)
        return e;
    if (l->after.len)
        below = after.row.number;
    e = count_list(db, l, below);
    if (!e)
        e = prepare_list(db, "SELECT " COLUMNS FILTERS " ORDER BY number DESC LIMIT ?6 OFFSET ?7", l, below, &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 6, l->limit);
    sqlite3_bind_int64(st, 7, l->offset);
    l->more = l->total - l->offset > l->limit;
    l->rows = arena_array(l->arena, struct file_row,
                          (size_t)(l->total > l->offset ? l->more ? l->limit : l->total - l->offset : 0));
    while ((l->count < (size_t)l->limit) && (r = sqlite3_step(st)) == SQLITE_ROW)
        read_row(st, l->arena, &l->rows[l->count++]);
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* ---- removing ---- */

/* One statement has taken the row away and is durable: should this be cut off, the blob is an orphan, and swept. */
static enum err remove_orphan(sqlite3 *db, const struct blobs *blobs, str hash)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, FILE_BLOB_OWNER_SQL " LIMIT 1", &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, hash);
    r = sqlite3_step(st);
    sqlite3_finalize(st);
    if (r == SQLITE_DONE)
        blob_remove(blobs, hash);
    return store_err(db, r);
}

enum err file_orphan_job(sqlite3 *db, void *arg)
{
    struct file_orphan *o = arg;
    enum err            e = store_exec(db, "BEGIN IMMEDIATE"); /* nobody else places it meanwhile */

    return e ? e : store_commit(db, remove_orphan(db, o->blobs, o->hash));
}

/* *ret_hash, *ret_text: of blobs that nobody may have any more. */
static enum err delete_row(sqlite3 *db, const struct file_delete *d, struct arena *a, str *ret_hash, str *ret_text)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "UPDATE files SET state = 2, until_ms = ?3 WHERE id = ?1 AND state = 1"
                                         " AND (?2 = '' OR workspace = ?2) RETURNING hash",
                                    &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, d->id);
    store_bind_str(st, 2, d->workspace);
    sqlite3_bind_int64(st, 3, d->until_ms);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        *ret_hash = arena_str(a, store_column_str(st, 0));
    e = r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
    if (!e)
        e = store_err(db, sqlite3_step(st)); /* to its end */
    sqlite3_finalize(st);
    return e ? e : document_forget_within(db, a, *ret_hash, ret_text);
}

enum err file_delete_job(sqlite3 *db, void *arg)
{
    struct file_delete *d = arg;
    struct arena        a;
    str                 hash, text;
    enum err            e = store_exec(db, "BEGIN IMMEDIATE");

    if (e)
        return e;
    arena_init(&a, 0);
    e = store_commit(db, delete_row(db, d, &a, &hash, &text));
    if (!e) {
        struct file_orphan content = { d->blobs, hash }, words = { d->blobs, text };

        e = file_orphan_job(db, &content);
        if (!e && text.len)
            e = file_orphan_job(db, &words);
    }
    arena_free(&a);
    return e;
}

enum err file_sweep_job(sqlite3 *db, void *arg)
{
    struct file_sweep *s = arg;
    sqlite3_stmt      *st;
    enum err           e = store_prepare(db, "DELETE FROM files WHERE state <> 1 AND until_ms <= ?", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, s->now_ms);
    return store_finish(db, st);
}

static enum err reset(sqlite3 *db, const struct blobs *blobs, const char *sql)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, sql, &st);
    int           r;

    if (e)
        return e;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        if (sqlite3_column_bytes(st, 0) == BLOB_HASH_LEN)
            blob_remove(blobs, store_column_str(st, 0));
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err file_reset_job(sqlite3 *db, void *blobs)
{
    enum err e = store_exec(db, "BEGIN IMMEDIATE");

    if (e)
        return e;
    e = reset(db, blobs, "DELETE FROM files RETURNING hash");
    return store_commit(db, e ? e : reset(db, blobs, "DELETE FROM documents RETURNING text"));
}
