/* assistants.c - the table of assistants and what belongs to them. Spec: platform.md §4.12. */
#include "store/assistants.h"

static enum err run(sqlite3 *db, const char *sql, const str *texts, size_t count, int64_t *ret_changed)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, sql, &st);

    if (e)
        return e;
    for (size_t i = 0; i < count; i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    if (ret_changed)
        *ret_changed = sqlite3_changes64(db);
    return e;
}

enum err assistant_put_job(sqlite3 *db, void *arg)
{
    const struct assistant_row *r = arg;
    const str                   texts[] = { r->id, r->kind, r->owner, r->workspace, r->status, r->body, r->state };

    return run(
        db,
        "INSERT INTO assistant_objects (id, kind, owner, workspace, status, body, state) VALUES (?, ?, ?, ?, ?, ?, ?)",
        texts, ARRAY_LEN(texts), NULL);
}

enum err assistant_get_job(sqlite3 *db, void *arg)
{
    struct assistant_get *g = arg;
    const str             texts[] = { g->id, g->kind, g->owner, g->workspace };
    sqlite3_stmt         *st;
    enum err              e = store_prepare(db,
                                            "SELECT status, body, state FROM assistant_objects"
                                                         " WHERE id = ? AND kind = ? AND owner = ? AND workspace = ?",
                                            &st);
    int                   r;

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        g->status = arena_str(g->arena, store_column_str(st, 0));
        g->body = arena_str(g->arena, store_column_str(st, 1));
        g->state = arena_str(g->arena, store_column_str(st, 2));
    }
    sqlite3_finalize(st);
    e = store_err(db, r);
    return e ? e : r == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

enum err assistant_update_job(sqlite3 *db, void *arg)
{
    const struct assistant_update *u = arg;
    const str texts[] = { u->id, u->kind, u->owner, u->workspace, u->from, u->status, u->body, u->state };
    int64_t   changed = 0;
    enum err  e =
        run(db,
            "UPDATE assistant_objects SET status = ?6, body = ?7, state = ?8 WHERE id = ?1 AND kind = ?2"
            " AND owner = ?3 AND workspace = ?4 AND (?5 = '' OR instr(' ' || ?5 || ' ', ' ' || status || ' '))",
            texts, ARRAY_LEN(texts), &changed);

    return e ? e : changed ? OK : ERR_NOT_FOUND;
}

enum err assistant_delete_job(sqlite3 *db, void *arg)
{
    const struct assistant_delete *d = arg;
    const str                      texts[] = { d->id, d->kind, d->workspace };
    int64_t                        changed = 0;
    enum err                       e =
        run(db, "DELETE FROM assistant_objects WHERE id = ? AND kind = ? AND workspace = ?", texts, 3, &changed);

    if (e || !changed)
        return e ? e : ERR_NOT_FOUND;
    /* Steps of its runs, then runs and messages: what is left when this fails belongs to nothing, and nobody finds it. */
    e = run(db, "DELETE FROM assistant_objects WHERE owner IN (SELECT id FROM assistant_objects WHERE owner = ?)",
            texts, 1, NULL);
    return e ? e : run(db, "DELETE FROM assistant_objects WHERE owner = ?", texts, 1, NULL);
}

enum err assistant_list_job(sqlite3 *db, void *arg)
{
    struct assistant_list *l = arg;
    const str              texts[] = { l->kind, l->owner, l->workspace, l->after, l->before };
    const char            *sql = l->descending
                                     ? "SELECT id, body FROM assistant_objects WHERE kind = ?1 AND owner = ?2 AND workspace = ?3"
                                       " AND (?4 = '' OR number < (SELECT number FROM assistant_objects WHERE id = ?4))"
                                       " AND (?5 = '' OR number > (SELECT number FROM assistant_objects WHERE id = ?5))"
                                       " ORDER BY number DESC LIMIT ?6"
                                     : "SELECT id, body FROM assistant_objects WHERE kind = ?1 AND owner = ?2 AND workspace = ?3"
                                       " AND (?4 = '' OR number > (SELECT number FROM assistant_objects WHERE id = ?4))"
                                       " AND (?5 = '' OR number < (SELECT number FROM assistant_objects WHERE id = ?5))"
                                       " ORDER BY number LIMIT ?6";
    sqlite3_stmt          *st;
    enum err               e = store_prepare(db, sql, &st);
    int                    r;

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 6, l->limit + 1);
    l->ids = arena_array(l->arena, str, (size_t)l->limit);
    l->bodies = arena_array(l->arena, str, (size_t)l->limit);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        if (l->count == (size_t)l->limit) {
            l->more = true;
            r = SQLITE_DONE;
            break;
        }
        l->ids[l->count] = arena_str(l->arena, store_column_str(st, 0));
        l->bodies[l->count++] = arena_str(l->arena, store_column_str(st, 1));
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err assistant_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return store_exec(db, "DELETE FROM assistant_objects");
}
