/* apps.c - the tables of applications. */
#include "store/apps.h"

#include "store/secrets.h"

static enum err step_end(sqlite3 *db, sqlite3_stmt *st, int result)
{
    enum err e = store_err(db, result);

    sqlite3_finalize(st);
    return e;
}

/* ---- loading ---- */

static enum err load_app(sqlite3 *db, struct app_load *l)
{
    sqlite3_stmt *st;
    enum err e = store_prepare(db, "SELECT kind, published, version FROM apps WHERE id = ? AND workspace = ?", &st);
    int      r;

    if (e)
        return e;
    store_bind_str(st, 1, l->app);
    store_bind_str(st, 2, l->workspace);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        l->kind = arena_str(l->arena, store_column_str(st, 0));
        l->definition = arena_str(l->arena, store_column_str(st, 1));
        l->version = sqlite3_column_int64(st, 2);
    }
    e = step_end(db, st, r);
    return e ? e : r == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

static enum err find_session(sqlite3 *db, struct app_load *l)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "SELECT 1 FROM app_sessions WHERE id = ? AND app = ? AND used_ms > ?", &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, l->session);
    store_bind_str(st, 2, l->app);
    sqlite3_bind_int64(st, 3, l->used_after_ms);
    r = sqlite3_step(st);
    l->session_found = r == SQLITE_ROW;
    return step_end(db, st, r);
}

static enum err load_turns(sqlite3 *db, struct app_load *l)
{
    sqlite3_stmt *st;
    size_t        cap = 0;
    enum err e = store_prepare(db, "SELECT said, answered FROM app_turns WHERE session = ? ORDER BY position", &st);
    int      r;

    if (e)
        return e;
    store_bind_str(st, 1, l->session);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        if (l->turn_count == cap) {
            size_t now = cap ? 2 * cap : 8;

            l->turns = arena_realloc(l->arena, l->turns, cap * sizeof(*l->turns), now * sizeof(*l->turns));
            cap = now;
        }
        l->turns[l->turn_count++] = (struct app_turn){ .said = arena_str(l->arena, store_column_str(st, 0)),
                                                       .answered = arena_str(l->arena, store_column_str(st, 1)) };
    }
    return step_end(db, st, r);
}

enum err app_load_job(sqlite3 *db, void *arg)
{
    struct app_load *l = arg;
    enum err         e = load_app(db, l);

    if (!e && l->session.len)
        e = find_session(db, l);
    if (!e && l->session_found)
        e = load_turns(db, l);
    return e;
}

/* ---- keeping ---- */

static enum err run_sql(sqlite3 *db, const char *sql, const str *texts, size_t text_count, const int64_t *numbers,
                        size_t number_count)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, sql, &st);

    if (e)
        return e;
    for (size_t i = 0; i < text_count; i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    for (size_t i = 0; i < number_count; i++)
        sqlite3_bind_int64(st, 1 + (int)(text_count + i), numbers[i]);
    return step_end(db, st, sqlite3_step(st));
}

static enum err keep_turn(sqlite3 *db, const struct app_keep *k)
{
    const str     names[] = { k->session, k->app }, turn[] = { k->session, k->turn.said, k->turn.answered };
    const int64_t old[] = { k->used_after_ms }, now[] = { k->now_ms }, max[] = { k->turns_max };
    enum err      e = run_sql(db, "DELETE FROM app_sessions WHERE used_ms <= ?", NULL, 0, old, 1);

    if (!e)
        e = run_sql(db,
                    "INSERT INTO app_sessions (id, app, used_ms) VALUES (?1, ?2, ?3)"
                    " ON CONFLICT DO UPDATE SET used_ms = excluded.used_ms",
                    names, 2, now, 1);
    if (!e)
        e = run_sql(db,
                    "INSERT INTO app_turns (session, position, said, answered) SELECT ?1,"
                    " (SELECT COALESCE(MAX(position), 0) + 1 FROM app_turns WHERE session = ?1), ?2, ?3",
                    turn, 3, NULL, 0);
    if (!e)
        e = run_sql(db,
                    "DELETE FROM app_turns WHERE session = ?1 AND position <="
                    " (SELECT MAX(position) FROM app_turns WHERE session = ?1) - ?2",
                    names, 1, max, 1);
    return e;
}

static enum err keep_run(sqlite3 *db, const struct app_keep *k)
{
    const str     texts[] = { k->run, k->app, k->code, k->steps }, app[] = { k->app };
    const int64_t numbers[] = { k->version, k->started_ms, k->ms }, max[] = { k->runs_max };
    enum err      e = run_sql(db,
                              "INSERT INTO app_runs (id, app, code, steps, version, started_ms, ms)"
                                   " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE EXISTS (SELECT 1 FROM apps WHERE id = ?2)",
                              texts, 4, numbers, 3);

    return e ? e
             : run_sql(db,
                       "DELETE FROM app_runs WHERE app = ?1 AND number <="
                       " (SELECT number FROM app_runs WHERE app = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
                       app, 1, max, 1);
}

enum err app_keep_job(sqlite3 *db, void *arg)
{
    const struct app_keep *k = arg;
    enum err               e = store_exec(db, "SAVEPOINT app_keep"), rolled;

    if (e)
        return e;
    if (k->session.len)
        e = keep_turn(db, k);
    if (!e)
        e = keep_run(db, k);
    if (e && !sqlite3_get_autocommit(db)) {
        rolled = store_exec(db, "ROLLBACK TO app_keep");
        (void)rolled; /* the first error is the one to tell */
    }
    if (!sqlite3_get_autocommit(db)) {
        rolled = store_exec(db, "RELEASE app_keep");
        e = e ? e : rolled;
    }
    return e == ERR_EXISTS ? OK : e; /* the application has been deleted meanwhile: there is nothing to keep it for */
}

/* ---- responses ---- */

enum err app_response_put_job(sqlite3 *db, void *arg)
{
    const struct app_response_job *j = arg;
    const str                      texts[] = { j->id, j->app, j->workspace, j->status, j->body };
    const int64_t                  old[] = { j->now_ms - j->life_ms }, now[] = { j->now_ms };
    enum err                       e = run_sql(db, "DELETE FROM app_responses WHERE created_ms <= ?", NULL, 0, old, 1);

    return e ? e
             : run_sql(
                   db,
                   "INSERT INTO app_responses (id, app, workspace, status, body, created_ms) VALUES (?, ?, ?, ?, ?, ?)",
                   texts, 5, now, 1);
}

enum err app_response_get_job(sqlite3 *db, void *arg)
{
    struct app_response_job *j = arg;
    sqlite3_stmt            *st;
    enum err                 e = store_prepare(db,
                                               "SELECT status, body, created_ms FROM app_responses"
                                                               " WHERE id = ?1 AND workspace = ?2 AND (?3 = '' OR app = ?3)",
                                               &st);
    int                      r;

    if (e)
        return e;
    store_bind_str(st, 1, j->id);
    store_bind_str(st, 2, j->workspace);
    store_bind_str(st, 3, j->app);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        j->status = arena_str(j->arena, store_column_str(st, 0));
        j->body = arena_str(j->arena, store_column_str(st, 1));
        j->created_ms = sqlite3_column_int64(st, 2);
    }
    e = step_end(db, st, r);
    return e ? e : r == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

enum err app_response_update_job(sqlite3 *db, void *arg)
{
    const struct app_response_job *j = arg;
    const str                      texts[] = { j->id, j->workspace, j->status, j->body };
    enum err                       e = run_sql(db,
                                               "UPDATE app_responses SET status = ?3, body = ?4"
                                                                     " WHERE id = ?1 AND workspace = ?2 AND status IN ('queued', 'running')",
                                               texts, 4, NULL, 0);

    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

enum err app_response_delete_job(sqlite3 *db, void *arg)
{
    const struct app_response_job *j = arg;
    const str                      texts[] = { j->id, j->workspace };
    enum err e = run_sql(db, "DELETE FROM app_responses WHERE id = ?1 AND workspace = ?2", texts, 2, NULL, 0);

    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

enum err app_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return store_exec(db, "BEGIN IMMEDIATE; DELETE FROM app_turns; DELETE FROM app_sessions; DELETE FROM app_runs;"
                          "DELETE FROM app_responses; COMMIT");
}

/* ---- plug-ins ---- */

enum err plugin_load_job(sqlite3 *db, void *arg)
{
    struct plugin_load *l = arg;
    sqlite3_stmt       *st;
    enum err e = store_prepare(db, "SELECT name, definition, secret FROM plugins WHERE id = ? AND workspace = ?", &st);
    int      r;

    if (e)
        return e;
    store_bind_str(st, 1, l->plugin);
    store_bind_str(st, 2, l->workspace);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        l->name = arena_str(l->arena, store_column_str(st, 0));
        l->definition = arena_str(l->arena, store_column_str(st, 1));
        l->secret = arena_str(l->arena, str_of(sqlite3_column_blob(st, 2), (size_t)sqlite3_column_bytes(st, 2)));
    }
    e = step_end(db, st, r);
    if (e || r != SQLITE_ROW)
        return e ? e : ERR_NOT_FOUND;
    return secret_open(db, l->arena, l->plugin, l->secret, &l->secret);
}
