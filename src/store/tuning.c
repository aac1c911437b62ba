/* tuning.c - the tables of fine-tuning. Spec: platform.md §6.1, §6.2. */
#include "store/tuning.h"

#define UNFINISHED "status NOT IN ('SUCCEEDED', 'FAILED', 'CANCELED')"
#define MINE       "id = ?1 AND owner = ?2 AND claim = ?3 AND status IN ('RUNNING', 'CANCELING')"

#define COLUMNS                                                                                                      \
    "id, workspace, key, name, model, base, type, body, output, served, status, code, message, create_ms, start_ms," \
    " end_ms, usage, claim"

/* Binds the texts from ?1 on. */
static void bind(sqlite3_stmt *st, const str *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
}

/* Runs a statement that gives no rows, and lets go of it. ERR_NOT_FOUND: it has changed nothing. */
static enum err finish(sqlite3 *db, sqlite3_stmt *st)
{
    enum err e = store_err(db, sqlite3_step(st));

    sqlite3_finalize(st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

/* The one number that a statement gives, and lets go of it. */
static enum err finish_number(sqlite3 *db, sqlite3_stmt *st, int64_t *ret)
{
    int r = sqlite3_step(st);

    *ret = r == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* Jobs of several statements stand in a savepoint: all of it or nothing, alone or with others. */
static enum err begin(sqlite3 *db)
{
    return store_exec(db, "SAVEPOINT tuning");
}

static enum err end(sqlite3 *db, enum err e)
{
    if (!e)
        e = store_exec(db, "RELEASE tuning");
    if (e && !sqlite3_get_autocommit(db))
        (void)store_exec(db, "ROLLBACK TO tuning; RELEASE tuning"); /* the first error is the one to tell */
    return e;
}

static void read_job(sqlite3_stmt *st, struct arena *a, struct tuning_job *ret)
{
    str *const     texts[] = { &ret->id,     &ret->workspace, &ret->key,    &ret->name,   &ret->model,
                               &ret->base,   &ret->type,      &ret->body,   &ret->output, &ret->served,
                               &ret->status, &ret->code,      &ret->message };
    int64_t *const numbers[] = { &ret->create_ms, &ret->start_ms, &ret->end_ms, &ret->usage, &ret->claim };
    int            at = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(a, store_column_str(st, at++));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = sqlite3_column_int64(st, at++);
}

/* Room for one more of an array that grows by doubling. */
static void *grow(struct arena *a, void *rows, size_t count, size_t size)
{
    if (count & (count - 1) || count == 1)
        return rows;
    return arena_realloc(a, rows, count * size, (count ? 2 * count : 2) * size);
}

bool tuning_has_ended(str status)
{
    return str_eq(status, TUNING_SUCCEEDED) || str_eq(status, TUNING_FAILED) || str_eq(status, TUNING_CANCELED);
}

/* ---- made, and looked at ---- */

static enum err count(sqlite3 *db, const char *sql, const str *texts, size_t text_count, int64_t *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, sql, &st);

    if (e)
        return e;
    bind(st, texts, text_count);
    return finish_number(db, st, ret);
}

static enum err check_room(sqlite3 *db, struct tuning_create *c)
{
    const str names[] = { c->row.workspace, c->row.output };
    int64_t   unfinished = 0, kept = 0, taken = 0;
    enum err  e =
        count(db, "SELECT COUNT(*) FROM tuning_jobs WHERE workspace = ? AND " UNFINISHED, names, 1, &unfinished);

    if (!e)
        e = count(db, "SELECT COUNT(*) FROM tuning_jobs WHERE workspace = ? AND status NOT IN ('FAILED', 'CANCELED')",
                  names, 1, &kept);
    if (!e)
        e = count(db,
                  "SELECT EXISTS (SELECT 1 FROM tuning_models WHERE workspace = ?1 AND name = ?2) OR EXISTS"
                  " (SELECT 1 FROM tuning_jobs WHERE workspace = ?1 AND output = ?2 AND " UNFINISHED ")",
                  names, 2, &taken);
    if (e)
        return e;
    if (taken)
        return ERR_EXISTS;
    c->over_unfinished = c->unfinished_max && unfinished >= c->unfinished_max;
    return c->over_unfinished || (c->kept_max && kept >= c->kept_max) ? ERR_LIMIT : OK;
}

static enum err insert_job(sqlite3 *db, const struct tuning_job *j)
{
    const str     texts[] = { j->id,   j->workspace, j->key,  j->name,   j->model,
                              j->base, j->type,      j->body, j->output, j->served };
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db,
             "INSERT INTO tuning_jobs (id, workspace, key, name, model, base, type, body, output, served, status,"
                  " create_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'PENDING', ?)",
             &st);

    if (e)
        return e;
    bind(st, texts, ARRAY_LEN(texts));
    sqlite3_bind_int64(st, ARRAY_LEN(texts) + 1, j->create_ms);
    return finish(db, st);
}

enum err tuning_create_job(sqlite3 *db, void *arg)
{
    struct tuning_create *c = arg;
    enum err              e = begin(db);

    if (!e)
        e = check_room(db, c);
    if (!e)
        e = insert_job(db, &c->row);
    return end(db, e);
}

enum err tuning_get_job(sqlite3 *db, void *arg)
{
    struct tuning_get *g = arg;
    const str          names[] = { g->id, g->workspace };
    sqlite3_stmt      *st;
    enum err           e = store_prepare(db, "SELECT " COLUMNS " FROM tuning_jobs WHERE id = ? AND workspace = ?", &st);
    int                r;

    if (e)
        return e;
    bind(st, names, 2);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_job(st, g->arena, &g->row);
    sqlite3_finalize(st);
    return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
}

enum err tuning_list_job(sqlite3 *db, void *arg)
{
    struct tuning_list *l = arg;
    const str           names[] = { l->workspace, l->model };
    sqlite3_stmt       *st;
    enum err e = count(db, "SELECT COUNT(*) FROM tuning_jobs WHERE workspace = ?1 AND (?2 = '' OR model = ?2)", names,
                       2, &l->total);
    int      r;

    if (!e)
        e = store_prepare(db,
                          "SELECT " COLUMNS " FROM tuning_jobs WHERE workspace = ?1 AND (?2 = '' OR model = ?2)"
                          " ORDER BY number DESC LIMIT ?3 OFFSET ?4",
                          &st);
    if (e)
        return e;
    bind(st, names, 2);
    sqlite3_bind_int64(st, 3, l->limit);
    sqlite3_bind_int64(st, 4, l->offset);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        l->rows = grow(l->arena, l->rows, l->count, sizeof(*l->rows));
        l->rows[l->count] = (struct tuning_job){ 0 };
        read_job(st, l->arena, &l->rows[l->count++]);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* How it is with a job: ERR_NOT_FOUND, or OK and whether it has ended. */
static enum err look(sqlite3 *db, str id, str workspace, bool *ret_ended)
{
    const str names[] = { id, workspace };
    int64_t   all = 0, open = 0;
    enum err  e = count(db, "SELECT COUNT(*) FROM tuning_jobs WHERE id = ? AND workspace = ?", names, 2, &all);

    if (!e)
        e = count(db, "SELECT COUNT(*) FROM tuning_jobs WHERE id = ? AND workspace = ? AND " UNFINISHED, names, 2,
                  &open);
    *ret_ended = !open;
    return e ? e : all ? OK : ERR_NOT_FOUND;
}

static enum err add_lines(sqlite3 *db, const struct tuning_note *n);

enum err tuning_cancel_job(sqlite3 *db, void *arg)
{
    struct tuning_cancel    *c = arg;
    const struct tuning_line last = { c->now_ms, c->last };
    const struct tuning_note n = { .id = c->id, .lines = &last, .line_count = 1 };
    sqlite3_stmt            *st;
    bool                     ended = false;
    enum err                 e = look(db, c->id, c->workspace, &ended);

    if (!e && ended)
        e = ERR_INVALID;
    if (!e)
        e = begin(db);
    if (e)
        return e;
    e = store_prepare(db, "UPDATE tuning_jobs SET end_ms = ?2, status = 'CANCELED' WHERE id = ?1 AND owner IS NULL",
                      &st);
    if (e)
        return end(db, e);
    store_bind_str(st, 1, c->id);
    sqlite3_bind_int64(st, 2, c->now_ms);
    e = finish(db, st);
    if (!e)
        e = add_lines(db, &n);
    if (e != ERR_NOT_FOUND)
        return end(db, e);
    e = store_prepare(db, "UPDATE tuning_jobs SET status = 'CANCELING' WHERE id = ?", &st);
    if (e)
        return end(db, e);
    store_bind_str(st, 1, c->id);
    return end(db, finish(db, st));
}

enum err tuning_delete_job(sqlite3 *db, void *arg)
{
    struct tuning_delete *d = arg;
    sqlite3_stmt         *st;
    bool                  ended = false;
    enum err              e = look(db, d->id, d->workspace, &ended);

    if (e || !ended)
        return e ? e : ERR_INVALID;
    e = store_prepare(db, "DELETE FROM tuning_jobs WHERE id = ?", &st); /* logs and checkpoints go with it */
    if (e)
        return e;
    store_bind_str(st, 1, d->id);
    return finish(db, st);
}

enum err tuning_logs_job(sqlite3 *db, void *arg)
{
    struct tuning_logs *l = arg;
    sqlite3_stmt       *st;
    enum err            e = look(db, l->id, l->workspace, &l->ended);
    int                 r;

    if (!e)
        e = count(db, "SELECT COUNT(*) FROM tuning_logs WHERE job = ?", &l->id, 1, &l->total);
    if (!e)
        e = store_prepare(db, "SELECT at_ms, text FROM tuning_logs WHERE job = ? ORDER BY line LIMIT ? OFFSET ?", &st);
    if (e)
        return e;
    store_bind_str(st, 1, l->id);
    sqlite3_bind_int64(st, 2, l->limit);
    sqlite3_bind_int64(st, 3, l->offset);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        l->lines = grow(l->arena, l->lines, l->count, sizeof(*l->lines));
        l->lines[l->count++] =
            (struct tuning_line){ sqlite3_column_int64(st, 0), arena_str(l->arena, store_column_str(st, 1)) };
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* ---- checkpoints, and models ---- */

enum err tuning_checkpoints_job(sqlite3 *db, void *arg)
{
    struct tuning_checkpoints *c = arg;
    sqlite3_stmt              *st;
    bool                       ended;
    enum err                   e = look(db, c->id, c->workspace, &ended);
    int                        r;

    if (!e)
        e = store_prepare(
            db, "SELECT name, model, served, create_ms FROM tuning_checkpoints WHERE job = ? ORDER BY create_ms, rowid",
            &st);
    if (e)
        return e;
    store_bind_str(st, 1, c->id);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        c->rows = grow(c->arena, c->rows, c->count, sizeof(*c->rows));
        c->rows[c->count++] =
            (struct tuning_checkpoint){ arena_str(c->arena, store_column_str(st, 0)),
                                        arena_str(c->arena, store_column_str(st, 1)),
                                        arena_str(c->arena, store_column_str(st, 2)), sqlite3_column_int64(st, 3) };
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err tuning_export_job(sqlite3 *db, void *arg)
{
    struct tuning_export *x = arg;
    const str             texts[] = { x->id, x->workspace, x->checkpoint, x->model };
    const str             names[] = { x->workspace, x->model };
    sqlite3_stmt         *st;
    int64_t               promised = 0;
    enum err e = count(db, "SELECT COUNT(*) FROM tuning_jobs WHERE workspace = ? AND output = ? AND " UNFINISHED, names,
                       2, &promised);

    if (!e && promised)
        e = ERR_EXISTS;
    if (!e)
        e = begin(db);
    if (e)
        return e;
    e = store_prepare(db,
                      "INSERT INTO tuning_models (name, workspace, base, served, job, create_ms)"
                      " SELECT ?4, j.workspace, j.base, c.served, j.id, ?5 FROM tuning_jobs j JOIN tuning_checkpoints c"
                      " ON c.job = j.id WHERE j.id = ?1 AND j.workspace = ?2 AND c.name = ?3",
                      &st);
    if (e)
        return end(db, e);
    bind(st, texts, ARRAY_LEN(texts));
    sqlite3_bind_int64(st, 5, x->now_ms);
    e = finish(db, st);
    if (!e)
        e = store_prepare(db, "UPDATE tuning_checkpoints SET model = ?3 WHERE job = ?1 AND name = ?2", &st);
    if (e)
        return end(db, e);
    store_bind_str(st, 1, x->id);
    store_bind_str(st, 2, x->checkpoint);
    store_bind_str(st, 3, x->model);
    return end(db, finish(db, st));
}

#define MODEL_COLUMNS "name, workspace, base, served, job, create_ms"

static void read_model(sqlite3_stmt *st, struct arena *a, struct tuning_model *ret)
{
    str *const texts[] = { &ret->name, &ret->workspace, &ret->base, &ret->served, &ret->job };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(a, store_column_str(st, (int)i));
    ret->create_ms = sqlite3_column_int64(st, 5);
}

enum err tuning_model_job(sqlite3 *db, void *arg)
{
    struct tuning_model_get *g = arg;
    const str                names[] = { g->workspace, g->name };
    sqlite3_stmt            *st;
    enum err e = store_prepare(db, "SELECT " MODEL_COLUMNS " FROM tuning_models WHERE workspace = ? AND name = ?", &st);
    int      r;

    if (e)
        return e;
    bind(st, names, 2);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_model(st, g->arena, &g->row);
    sqlite3_finalize(st);
    return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
}

enum err tuning_models_job(sqlite3 *db, void *arg)
{
    struct tuning_models *l = arg;
    sqlite3_stmt         *st;
    enum err e = count(db, "SELECT COUNT(*) FROM tuning_models WHERE workspace = ?", &l->workspace, 1, &l->total);
    int      r;

    if (!e)
        e = store_prepare(db,
                          "SELECT " MODEL_COLUMNS
                          " FROM tuning_models WHERE workspace = ? ORDER BY create_ms DESC, name LIMIT ? OFFSET ?",
                          &st);
    if (e)
        return e;
    store_bind_str(st, 1, l->workspace);
    sqlite3_bind_int64(st, 2, l->limit);
    sqlite3_bind_int64(st, 3, l->offset);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        l->rows = grow(l->arena, l->rows, l->count, sizeof(*l->rows));
        read_model(st, l->arena, &l->rows[l->count++]);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* ---- running ---- */

static enum err claim_rows(sqlite3 *db, struct tuning_claim *c)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db,
             "UPDATE tuning_jobs SET status = CASE WHEN status = 'CANCELING' THEN status ELSE 'RUNNING' END, owner = ?1, claim = claim"
                  " + 1, lease_ms = ?2, start_ms = CASE WHEN start_ms = 0 THEN ?3 ELSE start_ms END WHERE number IN (SELECT number FROM"
                  " tuning_jobs WHERE status IN ('PENDING', 'QUEUING') OR (status IN ('RUNNING', 'CANCELING') AND lease_ms <= ?4)"
                  " ORDER BY status IN ('RUNNING', 'CANCELING') DESC, number LIMIT ?5) RETURNING " COLUMNS,
             &st);
    int r;

    if (e)
        return e;
    store_bind_str(st, 1, c->owner);
    sqlite3_bind_int64(st, 2, c->machine_ms + c->lease_ms);
    sqlite3_bind_int64(st, 3, c->now_ms);
    sqlite3_bind_int64(st, 4, c->machine_ms);
    sqlite3_bind_int64(st, 5, (int64_t)c->room);
    c->rows = arena_array(c->arena, struct tuning_job, c->room);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        read_job(st, c->arena, &c->rows[c->count++]);
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* Most of the time there is nothing: then nothing is written. */
enum err tuning_claim_job(sqlite3 *db, void *arg)
{
    struct tuning_claim *c = arg;
    sqlite3_stmt        *st;
    int64_t              waiting = 0, pending = 0;
    enum err             e = store_prepare(db,
                                           "SELECT COUNT(*) FROM tuning_jobs WHERE status IN ('PENDING', 'QUEUING') OR"
                                                       " (status IN ('RUNNING', 'CANCELING') AND lease_ms <= ?)",
                                           &st);

    c->count = 0;
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, c->machine_ms);
    e = finish_number(db, st, &waiting);
    if (!e && waiting && c->room)
        e = claim_rows(db, c);
    if (!e && waiting)
        e = count(db, "SELECT COUNT(*) FROM tuning_jobs WHERE status = 'PENDING'", NULL, 0, &pending);
    if (!e && pending)
        e = store_exec(db, "UPDATE tuning_jobs SET status = 'QUEUING' WHERE status = 'PENDING'");
    return e;
}

static enum err beat_one(sqlite3 *db, const struct tuning_beat *b, struct tuning_held *h)
{
    const str     names[] = { h->id, b->owner };
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db, "UPDATE tuning_jobs SET lease_ms = ?4 WHERE " MINE " RETURNING status = 'CANCELING'", &st);
    int r;

    if (e)
        return e;
    bind(st, names, 2);
    sqlite3_bind_int64(st, 3, h->claim);
    sqlite3_bind_int64(st, 4, b->lease_until_ms);
    r = sqlite3_step(st);
    h->lost = r == SQLITE_DONE;
    h->canceling = r == SQLITE_ROW && sqlite3_column_int(st, 0);
    while (r == SQLITE_ROW)
        r = sqlite3_step(st);
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err tuning_beat_job(sqlite3 *db, void *arg)
{
    struct tuning_beat *b = arg;
    enum err            e = begin(db);

    for (size_t i = 0; i < b->count && !e; i++)
        e = beat_one(db, b, &b->held[i]);
    return end(db, e);
}

static enum err add_lines(sqlite3 *db, const struct tuning_note *n)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db,
                      "INSERT INTO tuning_logs (job, line, at_ms, text) SELECT ?1, COALESCE(MAX(line) + 1, 0), ?2, ?3"
                      " FROM tuning_logs WHERE job = ?1",
                      &st);

    for (size_t i = 0; i < n->line_count && !e; i++) {
        store_bind_str(st, 1, n->id);
        sqlite3_bind_int64(st, 2, n->lines[i].at_ms);
        store_bind_str(st, 3, n->lines[i].text);
        e = store_err(db, sqlite3_step(st));
        sqlite3_reset(st);
    }
    if (st)
        sqlite3_finalize(st);
    return e;
}

/* One that is told again, by a run after one that was lost, stays as it was. */
static enum err add_checkpoints(sqlite3 *db, const struct tuning_note *n)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db, "INSERT OR IGNORE INTO tuning_checkpoints (job, name, served, create_ms) VALUES (?, ?, ?, ?)", &st);

    for (size_t i = 0; i < n->checkpoint_count && !e; i++) {
        store_bind_str(st, 1, n->id);
        store_bind_str(st, 2, n->checkpoints[i].name);
        store_bind_str(st, 3, n->checkpoints[i].served);
        sqlite3_bind_int64(st, 4, n->checkpoints[i].create_ms);
        e = store_err(db, sqlite3_step(st));
        sqlite3_reset(st);
    }
    if (st)
        sqlite3_finalize(st);
    return e;
}

static enum err check_mine(sqlite3 *db, const struct tuning_note *n)
{
    const str     names[] = { n->id, n->owner };
    sqlite3_stmt *st;
    int64_t       mine = 0;
    enum err      e = store_prepare(db, "SELECT COUNT(*) FROM tuning_jobs WHERE " MINE, &st);

    if (e)
        return e;
    bind(st, names, 2);
    sqlite3_bind_int64(st, 3, n->claim);
    e = finish_number(db, st, &mine);
    return e ? e : mine ? OK : ERR_NOT_FOUND;
}

static enum err note(sqlite3 *db, const struct tuning_note *n)
{
    enum err e = check_mine(db, n);

    if (!e && n->line_count)
        e = add_lines(db, n);
    return e || !n->checkpoint_count ? e : add_checkpoints(db, n);
}

enum err tuning_note_job(sqlite3 *db, void *arg)
{
    enum err e = begin(db);

    return end(db, e ? e : note(db, arg));
}

static enum err write_end(sqlite3 *db, const struct tuning_end *t)
{
    const struct tuning_job *r = &t->row;
    const str                names[] = { r->id, t->note.owner };
    const str                texts[] = { r->status, r->code, r->message, r->served };
    sqlite3_stmt            *st;
    enum err                 e = store_prepare(
                        db,
                        "UPDATE tuning_jobs SET status = ?4, code = ?5, message = ?6, served = ?7, end_ms = ?8, usage = ?9, owner = NULL,"
                                        " lease_ms = NULL WHERE " MINE,
                        &st);

    if (e)
        return e;
    bind(st, names, 2);
    sqlite3_bind_int64(st, 3, r->claim);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 4 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 8, r->end_ms);
    sqlite3_bind_int64(st, 9, r->usage);
    e = finish(db, st);
    if (e || !t->makes_model || !str_eq(r->status, TUNING_SUCCEEDED))
        return e;
    e = store_prepare(db,
                      "INSERT INTO tuning_models (name, workspace, base, served, job, create_ms)"
                      " SELECT output, workspace, base, served, id, end_ms FROM tuning_jobs WHERE id = ?",
                      &st);
    if (e)
        return e;
    store_bind_str(st, 1, r->id);
    return finish(db, st);
}

enum err tuning_end_job(sqlite3 *db, void *arg)
{
    struct tuning_end *t = arg;
    enum err           e = begin(db);

    if (!e)
        e = note(db, &t->note);
    return end(db, e ? e : write_end(db, t));
}

enum err tuning_release_job(sqlite3 *db, void *arg)
{
    struct tuning_release *t = arg;
    const str              names[] = { t->id, t->owner };
    sqlite3_stmt          *st;
    enum err e = store_prepare(db, "UPDATE tuning_jobs SET lease_ms = 0, claim = claim - 1 WHERE " MINE, &st);

    if (e)
        return e;
    bind(st, names, 2);
    sqlite3_bind_int64(st, 3, t->claim);
    return finish(db, st);
}

enum err tuning_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return store_exec(db, "DELETE FROM deployments; DELETE FROM tuning_models; DELETE FROM tuning_jobs");
}
