/* tasks.c - the table of tasks. Spec: media.md §1. */
#include "store/tasks.h"

/* When the end is to be told: at once, or never. */
static void bind_event(sqlite3_stmt *st, int at, bool tells)
{
    if (tells)
        sqlite3_bind_int64(st, at, 0); /* what is not bound is NULL */
}

/* All but the body and the fault. */
#define COLUMNS                                                                                                     \
    "id, request_id, kind, function, model, workspace, key, base, status, submit_ms, scheduled_ms, end_ms, output," \
    " usage, code, message, total, succeeded, failed, claim"

static int64_t changes(sqlite3 *db)
{
    return sqlite3_changes64(db);
}

/* The one number that a statement gives, and lets go of it. */
static enum err finish_number(sqlite3 *db, sqlite3_stmt *st, int64_t *ret)
{
    int r = sqlite3_step(st);

    *ret = r == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* Jobs of several statements: all of it or nothing. */
static enum err commit(sqlite3 *db, enum err e)
{
    if (!e)
        e = store_exec(db, "COMMIT");
    if (e && !sqlite3_get_autocommit(db))
        (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

static void read_row(sqlite3_stmt *st, struct arena *a, struct task_row *ret)
{
    str *const     texts[] = { &ret->id,        &ret->request_id, &ret->kind, &ret->function, &ret->model,
                               &ret->workspace, &ret->key,        &ret->base, &ret->status };
    int64_t *const times[] = { &ret->submit_ms, &ret->scheduled_ms, &ret->end_ms };
    str *const     ends[] = { &ret->output, &ret->usage, &ret->code, &ret->message };
    int64_t *const numbers[] = { &ret->total, &ret->succeeded, &ret->failed, &ret->claim };
    int            at = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(a, store_column_str(st, at++));
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        *times[i] = sqlite3_column_int64(st, at++);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        *ends[i] = arena_str(a, store_column_str(st, at++));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = sqlite3_column_int64(st, at++);
}

/* ---- made, and looked at ---- */

enum err task_create_job(sqlite3 *db, void *arg)
{
    struct task_create    *c = arg;
    const struct task_row *t = &c->row;
    const str              texts[] = { t->id,        t->request_id, t->kind, t->function, t->model,
                                       t->workspace, t->key,        t->base, t->body,     t->fault };
    sqlite3_stmt          *st;
    enum err               e = store_prepare(
                      db,
                      "INSERT INTO tasks (id, request_id, kind, function, model, workspace, key, base, body, fault, submit_ms,"
                                    " status) SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'PENDING' WHERE ?12 = 0 OR ?12 >"
                                    " (SELECT COUNT(*) FROM tasks WHERE status IN ('PENDING', 'RUNNING') AND model = ?5)",
                      &st);

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 11, t->submit_ms);
    sqlite3_bind_int64(st, 12, c->queued_max);
    e = store_finish(db, st);
    return e ? e : changes(db) ? OK : ERR_LIMIT;
}

/* Ends what has run too long, if there is any: most calls only read. */
static enum err time_out(sqlite3 *db, const struct task_terms *t)
{
    sqlite3_stmt *st;
    int64_t       late = 0;
    enum err e = store_prepare(db, "SELECT COUNT(*) FROM tasks WHERE status = 'RUNNING' AND scheduled_ms <= ?", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, t->now_ms - t->run_ms);
    e = finish_number(db, st, &late);
    if (e || !late)
        return e;
    e = store_prepare(
        db,
        "UPDATE tasks SET status = 'FAILED', end_ms = ?2, code = ?3, message = ?4, failed = total, event_ms = ?5"
        " WHERE status = 'RUNNING' AND scheduled_ms <= ?1",
        &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, t->now_ms - t->run_ms);
    sqlite3_bind_int64(st, 2, t->now_ms);
    store_bind_str(st, 3, t->timeout_code);
    store_bind_str(st, 4, t->timeout_message);
    bind_event(st, 5, t->tells);
    return store_finish(db, st);
}

enum err task_get_job(sqlite3 *db, void *arg)
{
    struct task_get *g = arg;
    sqlite3_stmt    *st;
    enum err         e = time_out(db, &g->terms);
    int              r;

    if (!e)
        e = store_prepare(db, "SELECT " COLUMNS " FROM tasks WHERE id = ? AND (end_ms IS NULL OR end_ms > ?)", &st);
    if (e)
        return e;
    store_bind_str(st, 1, g->id);
    sqlite3_bind_int64(st, 2, g->terms.now_ms - g->terms.keep_ms);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_row(st, g->arena, &g->row);
    sqlite3_finalize(st);
    return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
}

#define LIST_WHERE                                                                                    \
    " FROM tasks WHERE (?1 = '' OR id = ?1) AND (?2 = '' OR model = ?2) AND (?3 = '' OR status = ?3)" \
    " AND (?4 = '' OR key = ?4) AND submit_ms BETWEEN ?5 AND ?6 AND (end_ms IS NULL OR end_ms > ?7)"

static void bind_list(sqlite3_stmt *st, const struct task_list *l)
{
    store_bind_str(st, 1, l->id);
    store_bind_str(st, 2, l->model);
    store_bind_str(st, 3, l->status);
    store_bind_str(st, 4, l->key);
    sqlite3_bind_int64(st, 5, l->from_ms);
    sqlite3_bind_int64(st, 6, l->to_ms);
    sqlite3_bind_int64(st, 7, l->terms.now_ms - l->terms.keep_ms);
}

enum err task_list_job(sqlite3 *db, void *arg)
{
    struct task_list *l = arg;
    sqlite3_stmt     *st;
    enum err          e = time_out(db, &l->terms);
    int               r;

    if (!e)
        e = store_prepare(db, "SELECT COUNT(*)" LIST_WHERE, &st);
    if (e)
        return e;
    bind_list(st, l);
    e = finish_number(db, st, &l->total);
    if (!e)
        e = store_prepare(db, "SELECT " COLUMNS LIST_WHERE " ORDER BY number DESC LIMIT ?8 OFFSET ?9", &st);
    if (e)
        return e;
    bind_list(st, l);
    sqlite3_bind_int64(st, 8, l->size);
    sqlite3_bind_int64(st, 9, (l->page - 1) * l->size);
    l->rows = arena_array(l->arena, struct task_row, (size_t)l->size);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        read_row(st, l->arena, &l->rows[l->count++]);
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err task_cancel_job(sqlite3 *db, void *arg)
{
    struct task_cancel *c = arg;
    sqlite3_stmt       *st;
    enum err            e = store_prepare(
                   db, "UPDATE tasks SET status = 'CANCELED', end_ms = ?2, event_ms = ?3 WHERE id = ?1 AND status = 'PENDING'",
                   &st);

    if (e)
        return e;
    store_bind_str(st, 1, c->id);
    sqlite3_bind_int64(st, 2, c->now_ms);
    bind_event(st, 3, c->tells);
    e = store_finish(db, st);
    return e ? e : changes(db) ? OK : ERR_NOT_FOUND;
}

/* ---- claimed ---- */

/* How many of a model are running, in this claim's transaction. */
static enum err running_of(sqlite3 *db, str model, int64_t *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "SELECT COUNT(*) FROM tasks WHERE status = 'RUNNING' AND model = ?", &st);

    if (e)
        return e;
    store_bind_str(st, 1, model);
    return finish_number(db, st, ret);
}

/* The numbers of the tasks that a statement gives, at most `room`; `limited`: those of full models are passed over. */
static enum err choose(struct task_claim *c, sqlite3 *db, const char *sql, bool limited, int64_t *numbers,
                       size_t *count)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, sql, &st);
    str           model = { 0 };
    size_t        first = *count;
    int64_t       left = 0;
    int           r = SQLITE_DONE;

    if (e)
        return e;
    if (!limited)
        sqlite3_bind_int64(st, 1, c->machine_ms);
    while (!e && *count < c->room && (r = sqlite3_step(st)) == SQLITE_ROW) {
        str     name = store_column_str(st, 1);
        int64_t max = limited ? c->running_max(name) : 0, running = 0;

        if (max && !str_eq(name, model)) {
            model = arena_str(c->arena, name);
            e = running_of(db, name, &running);
            left = max - running;
            for (size_t i = first; i < *count; i++) /* chosen above, and not yet written */
                left -= str_eq(c->rows[i].model, name);
        }
        if (e || (max && left <= 0))
            continue;
        left--;
        c->rows[*count].model = arena_str(c->arena, name);
        numbers[(*count)++] = sqlite3_column_int64(st, 0);
    }
    sqlite3_finalize(st);
    return e ? e : store_err(db, r);
}

static enum err take(struct task_claim *c, sqlite3 *db, int64_t number, struct task_row *ret)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db,
                      "UPDATE tasks SET status = 'RUNNING', scheduled_ms = COALESCE(scheduled_ms, ?2), owner = ?3,"
                      " lease_ms = ?4, claim = claim + 1 WHERE number = ?1 RETURNING " COLUMNS ", body, fault",
                      &st);
    int r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, number);
    sqlite3_bind_int64(st, 2, c->terms.now_ms);
    store_bind_str(st, 3, c->owner);
    sqlite3_bind_int64(st, 4, c->machine_ms + c->lease_ms);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW) {
        read_row(st, c->arena, ret);
        ret->body = arena_str(c->arena, store_column_str(st, 20));
        ret->fault = arena_str(c->arena, store_column_str(st, 21));
        r = sqlite3_step(st);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err task_claim_job(sqlite3 *db, void *arg)
{
    static const char *const lapsed = "SELECT number, model FROM tasks WHERE status = 'RUNNING' AND lease_ms < ?";
    static const char *const waiting = "SELECT number, model FROM tasks WHERE status = 'PENDING' ORDER BY number";
    struct task_claim       *c = arg;
    int64_t                 *numbers = arena_array(c->arena, int64_t, c->room), open = 0;
    size_t                   count = 0;
    sqlite3_stmt            *st;
    enum err                 e;

    c->rows = arena_array(c->arena, struct task_row, c->room);
    c->count = 0;
    /* Most times there is nothing: a look takes no lock that others wait for. */
    e = store_prepare(db,
                      "SELECT EXISTS (SELECT 1 FROM tasks WHERE status = 'PENDING')"
                      " OR EXISTS (SELECT 1 FROM tasks WHERE status = 'RUNNING' AND lease_ms < ?)",
                      &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, c->machine_ms);
    e = finish_number(db, st, &open);
    if (e || !open)
        return e;
    e = store_exec(db, "BEGIN IMMEDIATE");
    if (!e)
        e = time_out(db, &c->terms);
    if (!e)
        e = choose(c, db, lapsed, false, numbers, &count);
    if (!e)
        e = choose(c, db, waiting, true, numbers, &count);
    for (size_t i = 0; !e && i < count; i++)
        e = take(c, db, numbers[i], &c->rows[i]);
    e = commit(db, e);
    c->count = e ? 0 : count;
    return e;
}

/* ---- kept, ended, given back ---- */

enum err task_beat_job(sqlite3 *db, void *arg)
{
    struct task_beat *b = arg;
    enum err          e = store_exec(db, "BEGIN IMMEDIATE");

    for (size_t i = 0; !e && i < b->count; i++) {
        sqlite3_stmt *st;

        e = store_prepare(
            db, "UPDATE tasks SET lease_ms = ?4 WHERE id = ?1 AND owner = ?2 AND claim = ?3 AND status = 'RUNNING'",
            &st);
        if (e)
            break;
        store_bind_str(st, 1, str_from_cstr(b->held[i].id));
        store_bind_str(st, 2, b->owner);
        sqlite3_bind_int64(st, 3, b->held[i].claim);
        sqlite3_bind_int64(st, 4, b->lease_until_ms);
        e = store_finish(db, st);
        b->held[i].lost = !e && changes(db) == 0;
    }
    return commit(db, e);
}

static enum err write_end(sqlite3 *db, const struct task_end *t)
{
    const struct task_row *r = &t->row;
    sqlite3_stmt          *st;
    enum err               e = store_prepare(
                      db,
                      "UPDATE tasks SET status = ?4, end_ms = ?5, output = ?6, usage = ?7, code = ?8, message = ?9, total = ?10,"
                                    " succeeded = ?11, failed = ?12, owner = NULL, lease_ms = NULL, event_ms = ?13"
                                    " WHERE id = ?1 AND owner = ?2 AND claim = ?3 AND status = 'RUNNING'",
                      &st);
    const str     texts[] = { r->output, r->usage, r->code, r->message };
    const int64_t numbers[] = { r->total, r->succeeded, r->failed };

    if (e)
        return e;
    store_bind_str(st, 1, r->id);
    store_bind_str(st, 2, t->owner);
    sqlite3_bind_int64(st, 3, r->claim);
    store_bind_str(st, 4, r->status);
    sqlite3_bind_int64(st, 5, r->end_ms);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 6 + (int)i, texts[i]);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sqlite3_bind_int64(st, 10 + (int)i, numbers[i]);
    bind_event(st, 13, t->tells);
    e = store_finish(db, st);
    return e ? e : changes(db) ? OK : ERR_NOT_FOUND;
}

enum err task_end_job(sqlite3 *db, void *arg)
{
    struct task_end *t = arg;
    enum err         e = store_exec(db, "SAVEPOINT task_end");

    if (e)
        return e;
    e = write_end(db, t);
    if (!e && t->also)
        e = t->also(db, t->arg);
    if (!e)
        e = store_exec(db, "RELEASE task_end");
    if (e && !sqlite3_get_autocommit(db))
        (void)store_exec(db, "ROLLBACK TO task_end; RELEASE task_end"); /* the first error is the one to tell */
    return e;
}

enum err task_release_job(sqlite3 *db, void *arg)
{
    struct task_end *t = arg;
    sqlite3_stmt    *st;
    enum err         e = store_prepare(db,
                                       "UPDATE tasks SET lease_ms = 0, claim = claim - 1"
                                               " WHERE id = ?1 AND owner = ?2 AND claim = ?3 AND status = 'RUNNING'",
                                       &st);

    if (e)
        return e;
    store_bind_str(st, 1, t->row.id);
    store_bind_str(st, 2, t->owner);
    sqlite3_bind_int64(st, 3, t->row.claim);
    return store_finish(db, st);
}

/* ---- told ---- */

enum err task_events_job(sqlite3 *db, void *arg)
{
    struct task_events *t = arg;
    sqlite3_stmt       *st;
    int64_t             due = 0;
    enum err            e;
    int                 r;

    t->count = 0;
    e = store_prepare(db, "SELECT EXISTS (SELECT 1 FROM tasks WHERE event_ms <= ?)", &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, t->machine_ms);
    e = finish_number(db, st, &due);
    if (e || !due)
        return e;
    e = store_prepare(db,
                      "UPDATE tasks SET event_ms = ?2, event_tries = event_tries + 1 WHERE number IN"
                      " (SELECT number FROM tasks WHERE event_ms <= ?1 ORDER BY event_ms, number LIMIT ?3)"
                      " RETURNING " COLUMNS ", event_tries",
                      &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, t->machine_ms);
    sqlite3_bind_int64(st, 2, t->until_ms);
    sqlite3_bind_int(st, 3, TASK_EVENTS_MAX);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        read_row(st, t->arena, &t->rows[t->count]);
        t->tries[t->count++] = sqlite3_column_int64(st, 20);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err task_told_job(sqlite3 *db, void *arg)
{
    struct task_told *t = arg;
    sqlite3_stmt     *st;
    enum err          e = store_prepare(db, "UPDATE tasks SET event_ms = ?2 WHERE id = ?1", &st);

    if (e)
        return e;
    store_bind_str(st, 1, t->id);
    if (t->again_ms)
        sqlite3_bind_int64(st, 2, t->again_ms);
    return store_finish(db, st);
}

/* ---- forgotten ---- */

static enum err forget(sqlite3 *db, struct task_sweep *s)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "DELETE FROM tasks WHERE number IN (SELECT number FROM tasks WHERE end_ms <= ? LIMIT ?)"
                                         " RETURNING id",
                                    &st);
    int           r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, s->terms.now_ms - s->terms.keep_ms);
    sqlite3_bind_int(st, 2, TASK_SWEEP_MAX);
    s->gone = arena_array(s->arena, str, TASK_SWEEP_MAX);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        s->gone[s->gone_count++] = arena_str(s->arena, store_column_str(st, 0));
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err task_sweep_job(sqlite3 *db, void *arg)
{
    struct task_sweep *s = arg;
    sqlite3_stmt      *st;
    int64_t            old = 0;
    enum err           e = time_out(db, &s->terms);

    if (!e)
        e = store_prepare(db, "SELECT EXISTS (SELECT 1 FROM tasks WHERE end_ms <= ?)", &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, s->terms.now_ms - s->terms.keep_ms);
    e = finish_number(db, st, &old);
    if (!e && old)
        e = forget(db, s);
    if (!e)
        e = store_prepare(db, "SELECT COUNT(*) FROM tasks WHERE status = 'PENDING'", &st);
    if (!e)
        e = finish_number(db, st, &s->pending);
    if (!e)
        e = store_prepare(db, "SELECT COUNT(*) FROM tasks WHERE status = 'RUNNING'", &st);
    return e ? e : finish_number(db, st, &s->running);
}

enum err task_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return store_exec(db, "DELETE FROM tasks");
}
