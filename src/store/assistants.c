/* assistants.c - the table of assistants and what belongs to them. Spec: platform.md §4.12. */
#include "store/assistants.h"

#include "base/clock.h"

#define IS_OPEN "status IN ('queued', 'in_progress', 'cancelling', 'requires_action')"

/* ?1: the service's time, ?2: the machine's. The index is of those above 0; what stands before CASE is for it. */
#define IS_DUE                                                           \
    "kind = 'run' AND due_ms > 0 AND due_ms <= max(?1, ?2) AND " IS_OPEN \
    " AND due_ms <= CASE status WHEN 'requires_action' THEN ?1 ELSE ?2 END"
#define ITS_END "CASE status WHEN 'requires_action' THEN 'expired' WHEN 'cancelling' THEN 'cancelled' ELSE 'failed' END"

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

static enum err finish(sqlite3 *db, sqlite3_stmt *st)
{
    enum err e = store_err(db, sqlite3_step(st));

    sqlite3_finalize(st);
    return e;
}

enum err assistant_put_job(sqlite3 *db, void *arg)
{
    const struct assistant_row *r = arg;
    const str                   texts[] = { r->id, r->kind, r->owner, r->workspace, r->status, r->body, r->state };
    sqlite3_stmt               *st;
    enum err                    e = store_prepare(db,
                                                  "INSERT INTO assistant_objects (id, kind, owner, workspace, status, body, state, due_ms)"
                                                                     " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8 WHERE NOT ?9 OR NOT EXISTS"
                                                                     " (SELECT 1 FROM assistant_objects WHERE owner = ?3 AND kind = 'run' AND " IS_OPEN ")",
                                                  &st);

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 8, r->due_ms);
    sqlite3_bind_int(st, 9, r->idle);
    e = finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_EXISTS;
}

/* ---- runs that end by themselves ---- */

static enum err at_now(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
    enum err e = store_prepare(db, sql, ret);

    if (e)
        return e;
    sqlite3_bind_int64(*ret, 1, clock_unix_ms());
    sqlite3_bind_int64(*ret, 2, clock_machine_ms());
    return OK;
}

static enum err look_for_due(sqlite3 *db, bool *ret)
{
    sqlite3_stmt *st;
    enum err      e = at_now(db, "SELECT EXISTS (SELECT 1 FROM assistant_objects WHERE " IS_DUE ")", &st);
    int           r;

    if (e)
        return e;
    r = sqlite3_step(st);
    *ret = r == SQLITE_ROW && sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return store_err(db, r);
}

static enum err end_due(sqlite3 *db, const char *sql, str lost)
{
    sqlite3_stmt *st;
    enum err      e = at_now(db, sql, &st);

    if (e)
        return e;
    if (lost.len)
        store_bind_str(st, 3, lost);
    return finish(db, st);
}

static enum err end_all_due(sqlite3 *db, str lost)
{
    enum err e =
        end_due(db,
                "UPDATE assistant_objects AS o SET status = d.ends, body = json_set(o.body, '$.status', d.ends)"
                " FROM (SELECT id, " ITS_END " AS ends FROM assistant_objects WHERE " IS_DUE ") AS d"
                " WHERE o.owner = d.id AND o.kind = 'step' AND o.status = 'in_progress'",
                (str){ 0 });

    if (!e)
        e = end_due(
            db,
            "UPDATE assistant_objects SET status = 'incomplete', body = json_set(body, '$.status', 'incomplete')"
            " WHERE owner IN (SELECT owner FROM assistant_objects WHERE " IS_DUE ")"
            " AND kind = 'message' AND status = 'in_progress'",
            (str){ 0 });
    if (!e)
        e = end_due(db,
                    "UPDATE assistant_objects SET status = 'failed', due_ms = 0,"
                    " body = json_set(body, '$.status', 'failed', '$.last_error', json(?3))"
                    " WHERE " IS_DUE " AND status IN ('queued', 'in_progress')",
                    lost);
    return e ? e
             : end_due(db,
                       "UPDATE assistant_objects SET status = " ITS_END ", due_ms = 0,"
                       " body = json_set(body, '$.status', " ITS_END ", '$.required_action', NULL) WHERE " IS_DUE,
                       (str){ 0 });
}

/* What is in progress of a run that has ended. */
static enum err end_parts(sqlite3 *db, const struct assistant_update *u)
{
    const str texts[] = { u->id, u->owner, u->status };
    enum err  e = run(db,
                      "UPDATE assistant_objects SET status = ?3, body = json_set(body, '$.status', ?3)"
                       " WHERE owner = ?1 AND kind = 'step' AND status = 'in_progress'",
                      texts, ARRAY_LEN(texts), NULL);

    return e ? e
             : run(db,
                   "UPDATE assistant_objects SET status = 'incomplete', body = json_set(body, '$.status', 'incomplete')"
                   " WHERE owner = ?2 AND kind = 'message' AND status = 'in_progress'",
                   texts, 2, NULL);
}

/* All of it or nothing. */
static enum err whole(sqlite3 *db, enum err (*work)(sqlite3 *db, void *arg), void *arg)
{
    enum err e = store_exec(db, "SAVEPOINT assistants"), ended;

    if (e)
        return e;
    e = work(db, arg);
    if (e && !sqlite3_get_autocommit(db))
        (void)store_exec(db, "ROLLBACK TO assistants"); /* the first error is the one to tell */
    if (sqlite3_get_autocommit(db))
        return e ? e : ERR_IO;
    ended = store_exec(db, "RELEASE assistants");
    return e ? e : ended;
}

static enum err sweep(sqlite3 *db, void *arg)
{
    const struct assistant_sweep *s = arg;

    return end_all_due(db, s->lost);
}

enum err assistant_sweep_job(sqlite3 *db, void *arg)
{
    return whole(db, sweep, arg);
}

enum err assistant_beat_job(sqlite3 *db, void *arg)
{
    const struct assistant_beat *b = arg;
    sqlite3_stmt                *st;
    int                          r;
    enum err                     e = store_prepare(
                            db, "SELECT 1 FROM assistant_objects WHERE id = ? AND kind = 'run' AND status = 'in_progress'", &st);

    if (e)
        return e;
    store_bind_str(st, 1, b->id);
    r = sqlite3_step(st);
    sqlite3_finalize(st);
    if (r != SQLITE_ROW)
        return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
    if (!b->due_ms)
        return OK;
    e = store_prepare(db, "UPDATE assistant_objects SET due_ms = ?2 WHERE id = ?1", &st);
    if (e)
        return e;
    store_bind_str(st, 1, b->id);
    sqlite3_bind_int64(st, 2, b->due_ms);
    return finish(db, st);
}

/* ---- objects ---- */

enum err assistant_get_job(sqlite3 *db, void *arg)
{
    struct assistant_get *g = arg;
    const str             texts[] = { g->id, g->kind, g->owner, g->workspace };
    sqlite3_stmt         *st;
    enum err              e = look_for_due(db, &g->due);
    int                   r;

    if (!e)
        e = store_prepare(db,
                          "SELECT status, body, state FROM assistant_objects"
                          " WHERE id = ? AND kind = ? AND owner = ? AND workspace = ?",
                          &st);
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

static enum err update(sqlite3 *db, void *arg)
{
    const struct assistant_update *u = arg;
    const str     texts[] = { u->id, u->kind, u->owner, u->workspace, u->from, u->status, u->body, u->state };
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db,
             "UPDATE assistant_objects SET status = ?6, body = ?7, state = ?8, due_ms = CASE WHEN ?9 < 0 THEN due_ms ELSE ?9 END"
                  " WHERE id = ?1 AND kind = ?2 AND owner = ?3 AND workspace = ?4"
                  " AND (?5 = '' OR instr(' ' || ?5 || ' ', ' ' || status || ' '))",
             &st);

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 9, u->due_ms);
    e = finish(db, st);
    if (!e && !sqlite3_changes64(db))
        e = ERR_NOT_FOUND;
    return e || u->due_ms || !str_eq(u->kind, S("run")) ? e : end_parts(db, u);
}

enum err assistant_update_job(sqlite3 *db, void *arg)
{
    return whole(db, update, arg);
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
