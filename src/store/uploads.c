/* uploads.c - the table of temporary uploads. Spec: media.md §2. */
#include "store/uploads.h"

/* What is too old counts no more, swept or not. */
enum err upload_begin_job(sqlite3 *db, void *arg)
{
    struct upload_begin *u = arg;
    const str            texts[] = { u->id, u->key, u->workspace, u->model, u->type };
    sqlite3_stmt        *st;
    enum err             e = store_prepare(db,
                                           "INSERT INTO uploads (id, key, workspace, model, type, size, expires_ms)"
                                                       " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE ?6 <= ?8 -"
                                                       " (SELECT COALESCE(SUM(size), 0) FROM uploads WHERE workspace = ?3 AND expires_ms > ?9)",
                                           &st);

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 6, u->size);
    sqlite3_bind_int64(st, 7, u->expires_ms);
    sqlite3_bind_int64(st, 8, u->capacity);
    sqlite3_bind_int64(st, 9, u->now_ms);
    e = store_finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_LIMIT;
}

enum err upload_end_job(sqlite3 *db, void *arg)
{
    struct upload_end *u = arg;
    sqlite3_stmt      *st;
    enum err           e =
        store_prepare(db, "UPDATE uploads SET there = 1, size = ?2, expires_ms = ?3 WHERE id = ?1 AND there = 0", &st);

    if (e)
        return e;
    store_bind_str(st, 1, u->id);
    sqlite3_bind_int64(st, 2, u->size);
    sqlite3_bind_int64(st, 3, u->expires_ms);
    e = store_finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

enum err upload_drop_job(sqlite3 *db, void *id)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "DELETE FROM uploads WHERE id = ?", &st);

    if (e)
        return e;
    store_bind_str(st, 1, *(const str *)id);
    return store_finish(db, st);
}

enum err upload_find_job(sqlite3 *db, void *arg)
{
    struct upload_find *u = arg;
    sqlite3_stmt       *st;
    enum err            e = store_prepare(db,
                                          "SELECT id, type FROM uploads WHERE key = ? AND workspace = ? AND model = ?"
                                                     " AND there = 1 AND expires_ms > ?",
                                          &st);
    int                 r;

    if (e)
        return e;
    store_bind_str(st, 1, u->key);
    store_bind_str(st, 2, u->workspace);
    store_bind_str(st, 3, u->model);
    sqlite3_bind_int64(st, 4, u->now_ms);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        u->id = arena_str(u->arena, store_column_str(st, 0));
        u->type = arena_str(u->arena, store_column_str(st, 1));
    }
    sqlite3_finalize(st);
    e = store_err(db, r);
    return e ? e : r == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

/* Most sweeps find none: they only read. */
static enum err any_old(sqlite3 *db, int64_t now_ms, bool *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "SELECT 1 FROM uploads WHERE expires_ms <= ? LIMIT 1", &st);
    int           r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, now_ms);
    r = sqlite3_step(st);
    *ret = r == SQLITE_ROW;
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err upload_sweep_job(sqlite3 *db, void *arg)
{
    struct upload_sweep *s = arg;
    sqlite3_stmt        *st;
    bool                 any = false;
    enum err             e = any_old(db, s->now_ms, &any);
    int                  r;

    if (e || !any)
        return e;
    e = store_prepare(
        db, "DELETE FROM uploads WHERE id IN (SELECT id FROM uploads WHERE expires_ms <= ? LIMIT ?) RETURNING id", &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, s->now_ms);
    sqlite3_bind_int(st, 2, UPLOAD_SWEEP_MAX);
    s->gone = arena_array(s->arena, str, UPLOAD_SWEEP_MAX);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        s->gone[s->gone_count++] = arena_str(s->arena, store_column_str(st, 0));
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err upload_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return store_exec(db, "DELETE FROM uploads");
}
