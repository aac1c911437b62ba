/* assets.c - the table of assets. Spec: speech.md §3.6–3.9. */
#include "store/assets.h"

#define COLUMNS "id, kind, workspace, prefix, target_model, body, created_ms, modified_ms"

static void bind(sqlite3_stmt *st, const str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
}

static void read_row(sqlite3_stmt *st, struct arena *a, struct asset *ret)
{
    str *const texts[] = { &ret->id, &ret->kind, &ret->workspace, &ret->prefix, &ret->target_model, &ret->body };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(a, store_column_str(st, (int)i));
    ret->created_ms = sqlite3_column_int64(st, 6);
    ret->modified_ms = sqlite3_column_int64(st, 7);
}

enum err asset_create_job(sqlite3 *db, void *arg)
{
    struct asset_create *c = arg;
    const struct asset  *r = &c->row;
    const str            texts[] = { r->id, r->kind, r->workspace, r->prefix, r->target_model, r->body };
    sqlite3_stmt        *st;
    enum err             e = store_prepare(db,
                                           "INSERT INTO assets (" COLUMNS ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7 WHERE"
                                                       " (SELECT COUNT(*) FROM assets WHERE kind = ?2 AND workspace = ?3) < ?8",
                                           &st);

    if (e)
        return e;
    bind(st, texts, ARRAY_LEN(texts));
    sqlite3_bind_int64(st, 7, r->created_ms);
    sqlite3_bind_int64(st, 8, c->max);
    e = store_finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_LIMIT;
}

enum err asset_get_job(sqlite3 *db, void *arg)
{
    struct asset_get *g = arg;
    const str         texts[] = { g->id, g->kind, g->workspace };
    sqlite3_stmt     *st;
    enum err e = store_prepare(db, "SELECT " COLUMNS " FROM assets WHERE id = ? AND kind = ? AND workspace = ?", &st);
    int      r;

    if (e)
        return e;
    bind(st, texts, ARRAY_LEN(texts));
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_row(st, g->arena, &g->row);
    sqlite3_finalize(st);
    e = store_err(db, r);
    return e ? e : r == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

enum err asset_update_job(sqlite3 *db, void *arg)
{
    struct asset_update *u = arg;
    const str            texts[] = { u->id, u->kind, u->workspace, u->body };
    sqlite3_stmt        *st;
    enum err             e = store_prepare(
                    db, "UPDATE assets SET body = ?4, modified_ms = ?5 WHERE id = ?1 AND kind = ?2 AND workspace = ?3", &st);

    if (e)
        return e;
    bind(st, texts, ARRAY_LEN(texts));
    sqlite3_bind_int64(st, 5, u->now_ms);
    e = store_finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

enum err asset_delete_job(sqlite3 *db, void *arg)
{
    struct asset_delete *d = arg;
    const str            texts[] = { d->id, d->kind, d->workspace };
    sqlite3_stmt        *st;
    enum err             e = store_prepare(db, "DELETE FROM assets WHERE id = ? AND kind = ? AND workspace = ?", &st);

    if (e)
        return e;
    bind(st, texts, ARRAY_LEN(texts));
    e = store_finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

static enum err count_rows(sqlite3 *db, struct asset_list *l)
{
    const str     texts[] = { l->kind, l->workspace, l->prefix };
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db, "SELECT COUNT(*) FROM assets WHERE kind = ? AND workspace = ? AND (?3 = '' OR prefix = ?3)", &st);
    int r;

    if (e)
        return e;
    bind(st, texts, ARRAY_LEN(texts));
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        l->total = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err asset_list_job(sqlite3 *db, void *arg)
{
    struct asset_list *l = arg;
    const str          texts[] = { l->kind, l->workspace, l->prefix };
    sqlite3_stmt      *st;
    enum err           e = count_rows(db, l);
    int                r;

    if (!e)
        e = store_prepare(db,
                          "SELECT " COLUMNS " FROM assets WHERE kind = ? AND workspace = ? AND (?3 = '' OR prefix = ?3)"
                          " ORDER BY created_ms DESC, id LIMIT ?4 OFFSET ?5",
                          &st);
    if (e)
        return e;
    bind(st, texts, ARRAY_LEN(texts));
    sqlite3_bind_int64(st, 4, l->limit);
    sqlite3_bind_int64(st, 5, l->offset);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        if (l->count % 16 == 0)
            l->rows = arena_realloc(l->arena, l->rows, l->count * sizeof(*l->rows), (l->count + 16) * sizeof(*l->rows));
        read_row(st, l->arena, &l->rows[l->count++]);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err asset_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return store_exec(db, "DELETE FROM assets");
}
