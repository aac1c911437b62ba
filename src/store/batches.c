/* batches.c - the tables of batches. Spec: platform.md §2. */
#include "store/batches.h"

#define ENDED "status IN ('failed', 'completed', 'expired', 'cancelled')"

static enum err finish(sqlite3 *db, sqlite3_stmt *st)
{
    enum err e = store_err(db, sqlite3_step(st));

    sqlite3_finalize(st);
    return e;
}

/* Of a statement that changes the one batch that is meant. */
static enum err finish_one(sqlite3 *db, sqlite3_stmt *st)
{
    enum err e = finish(db, st);

    return e ? e : sqlite3_changes64(db) ? OK : ERR_NOT_FOUND;
}

static enum err end_transaction(sqlite3 *db, enum err e)
{
    if (!e)
        return store_exec(db, "COMMIT");
    (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

enum err batch_create_job(sqlite3 *db, void *arg)
{
    struct batch_row *b = &((struct batch_create *)arg)->row;
    const str         texts[] = { b->id,     b->workspace, b->key,  b->endpoint,      b->input_file, b->input_hash,
                                  b->window, b->metadata,  b->name, BATCH_VALIDATING, b->callback };
    sqlite3_stmt     *st;
    enum err          e =
        store_prepare(db,
                      "INSERT INTO batches (id, workspace, key, endpoint, input_file, input_hash, window, metadata,"
                      " name, status, callback, created_ms, until_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                      &st);

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    sqlite3_bind_int64(st, 12, b->created_ms);
    sqlite3_bind_int64(st, 13, b->until_ms);
    e = finish(db, st);
    b->number = sqlite3_last_insert_rowid(db);
    return e;
}

/* ---- reading ---- */

#define COLUMNS                                                                                                                \
    "id, workspace, key, endpoint, input_file, input_hash, window, metadata, name, status, model, errors, output_file,"        \
    " error_file, callback, number, created_ms, until_ms, in_progress_ms, finalizing_ms, completed_ms, failed_ms, expired_ms," \
    " cancelled_ms, total, completed, failed, claim"

static void read_row(sqlite3_stmt *st, struct arena *a, struct batch_row *ret)
{
    str *const     texts[] = { &ret->id,         &ret->workspace, &ret->key,         &ret->endpoint,   &ret->input_file,
                               &ret->input_hash, &ret->window,    &ret->metadata,    &ret->name,       &ret->status,
                               &ret->model,      &ret->errors,    &ret->output_file, &ret->error_file, &ret->callback };
    int64_t *const numbers[] = { &ret->number,        &ret->created_ms,   &ret->until_ms,  &ret->in_progress_ms,
                                 &ret->finalizing_ms, &ret->completed_ms, &ret->failed_ms, &ret->expired_ms,
                                 &ret->cancelled_ms,  &ret->total,        &ret->completed, &ret->failed,
                                 &ret->claim };
    int            at = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(a, store_column_str(st, at++));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = sqlite3_column_int64(st, at++);
}

enum err batch_get_job(sqlite3 *db, void *arg)
{
    struct batch_get *g = arg;
    sqlite3_stmt     *st;
    enum err          e = store_prepare(
                 db, "SELECT " COLUMNS " FROM batches WHERE id = ?1 AND (?2 = '' OR workspace = ?2) AND created_ms >= ?3", &st);
    int r;

    if (e)
        return e;
    store_bind_str(st, 1, g->id);
    store_bind_str(st, 2, g->workspace);
    sqlite3_bind_int64(st, 3, g->since_ms);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_row(st, g->arena, &g->row);
    sqlite3_finalize(st);
    e = store_err(db, r);
    return e ? e : r == SQLITE_ROW ? OK : ERR_NOT_FOUND;
}

enum err batch_list_job(sqlite3 *db, void *arg)
{
    struct batch_list *l = arg;
    struct batch_get   after = { .arena = l->arena, .id = l->after, .workspace = l->workspace };
    sqlite3_stmt      *st;
    enum err           e = l->after.len ? batch_get_job(db, &after) : OK;
    int                r = SQLITE_DONE;

    if (!e)
        e = store_prepare(
            db,
            "SELECT " COLUMNS " FROM batches WHERE number < ?1 AND (?2 = '' OR workspace = ?2)"
            " AND (?3 = '' OR instr(name, ?3) > 0) AND (?4 = '' OR instr(',' || ?4 || ',', ',' || status || ',') > 0)"
            " AND (?5 = '' OR instr(',' || ?5 || ',', ',' || input_file || ',') > 0)"
            " AND created_ms >= ?6 AND (?7 = 0 OR created_ms <= ?7) ORDER BY number DESC LIMIT ?8",
            &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, l->after.len ? after.row.number : INT64_MAX);
    store_bind_str(st, 2, l->workspace);
    store_bind_str(st, 3, l->name);
    store_bind_str(st, 4, l->statuses);
    store_bind_str(st, 5, l->input_files);
    sqlite3_bind_int64(st, 6, l->from_ms);
    sqlite3_bind_int64(st, 7, l->to_ms);
    sqlite3_bind_int64(st, 8, l->limit + 1);
    l->rows = arena_array(l->arena, struct batch_row, (size_t)l->limit);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        l->more = l->count == (size_t)l->limit;
        if (!l->more)
            read_row(st, l->arena, &l->rows[l->count++]);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err batch_cancel_job(sqlite3 *db, void *arg)
{
    struct batch_cancel *c = arg;
    sqlite3_stmt        *st;
    enum err             e = batch_get_job(db, &c->get);

    if (!e)
        e = store_prepare(
            db, "UPDATE batches SET status = 'cancelling' WHERE number = ? AND status IN ('validating', 'in_progress')",
            &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, c->get.row.number);
    e = finish_one(db, st);
    if (!e)
        c->get.row.status = BATCH_CANCELLING;
    return e == ERR_NOT_FOUND ? ERR_INVALID : e;
}

/* ---- running ---- */

enum err batch_claim_job(sqlite3 *db, void *arg)
{
    struct batch_claim *c = arg;
    sqlite3_stmt       *st;
    enum err            e =
        store_prepare(db,
                      "UPDATE batches SET owner = ?1, lease_ms = ?3, claim = claim + 1 WHERE number IN (SELECT number"
                      " FROM batches WHERE NOT " ENDED " AND lease_ms < ?2 ORDER BY number LIMIT ?4)"
                      " RETURNING " COLUMNS,
                      &st);
    int r;

    if (e)
        return e;
    store_bind_str(st, 1, c->owner);
    sqlite3_bind_int64(st, 2, c->machine_ms);
    sqlite3_bind_int64(st, 3, c->machine_ms + c->lease_ms);
    sqlite3_bind_int64(st, 4, (int64_t)c->room);
    c->rows = arena_array(c->arena, struct batch_row, c->room);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        read_row(st, c->arena, &c->rows[c->count++]);
    sqlite3_finalize(st);
    return store_err(db, r);
}

static enum err set_lease(sqlite3 *db, const struct batch_beat *b, int64_t lease_ms)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(db, "UPDATE batches SET lease_ms = ?3 WHERE number = ?1 AND claim = ?2 AND NOT " ENDED, &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, b->number);
    sqlite3_bind_int64(st, 2, b->claim);
    sqlite3_bind_int64(st, 3, lease_ms);
    return finish_one(db, st);
}

enum err batch_beat_job(sqlite3 *db, void *arg)
{
    struct batch_beat *b = arg;
    sqlite3_stmt      *st;
    enum err           e = set_lease(db, b, b->lease_until_ms);

    if (!e)
        e = store_prepare(db, "SELECT status = 'cancelling' FROM batches WHERE number = ?", &st);
    if (e)
        return e;
    sqlite3_bind_int64(st, 1, b->number);
    if (sqlite3_step(st) == SQLITE_ROW)
        b->cancelling = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return OK;
}

enum err batch_release_job(sqlite3 *db, void *batch_beat)
{
    return set_lease(db, batch_beat, 0);
}

enum err batch_ahead_job(sqlite3 *db, void *arg)
{
    struct batch_ahead *a = arg;
    sqlite3_stmt       *st;
    enum err            e = store_prepare(
                   db, "SELECT COUNT(*) FROM batches WHERE number < ?1 AND NOT " ENDED " AND (?2 = '' OR model = ?2)", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, a->number);
    store_bind_str(st, 2, a->model);
    if (sqlite3_step(st) == SQLITE_ROW)
        a->count = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return OK;
}

enum err batch_begin_job(sqlite3 *db, void *arg)
{
    struct batch_begin *b = arg;
    sqlite3_stmt       *st;
    enum err            e = store_prepare(db,
                                          "UPDATE batches SET total = ?3, model = ?4, status = CASE status WHEN 'validating' THEN"
                                                     " 'in_progress' ELSE status END, in_progress_ms = CASE status WHEN 'validating' THEN ?5"
                                                     " ELSE in_progress_ms END WHERE number = ?1 AND claim = ?2 AND NOT " ENDED,
                                          &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, b->number);
    sqlite3_bind_int64(st, 2, b->claim);
    sqlite3_bind_int64(st, 3, b->total);
    store_bind_str(st, 4, b->model);
    sqlite3_bind_int64(st, 5, b->now_ms);
    return finish_one(db, st);
}

enum err batch_done_job(sqlite3 *db, void *arg)
{
    struct batch_done *d = arg;
    sqlite3_stmt      *st;
    enum err           e = store_prepare(db, "SELECT line FROM batch_lines WHERE batch = ?", &st);
    int                r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, d->number);
    while ((r = sqlite3_step(st)) == SQLITE_ROW)
        d->done(d->arg, sqlite3_column_int64(st, 0));
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* ---- ends of lines ---- */

static enum err insert_lines(sqlite3 *db, const struct batch_lines *l)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "INSERT INTO batch_lines (batch, line, good, text) VALUES (?, ?, ?, ?)", &st);

    for (size_t i = 0; i < l->count && !e; i++) {
        const struct batch_line *one = &l->lines[i];

        sqlite3_bind_int64(st, 1, l->number);
        sqlite3_bind_int64(st, 2, one->line);
        sqlite3_bind_int(st, 3, one->good);
        sqlite3_bind_text64(st, 4, one->text.ptr, one->text.len, SQLITE_STATIC, SQLITE_UTF8);
        e = store_err(db, sqlite3_step(st)); /* a second end of a line would be ERR_EXISTS */
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return e;
}

static enum err count_lines(sqlite3 *db, const struct batch_lines *l)
{
    sqlite3_stmt *st;
    int64_t       good = 0;
    enum err      e = store_prepare(db,
                                    "UPDATE batches SET completed = completed + ?3, failed = failed + ?4"
                                         " WHERE number = ?1 AND claim = ?2 AND NOT " ENDED,
                                    &st);

    if (e)
        return e;
    for (size_t i = 0; i < l->count; i++)
        good += l->lines[i].good;
    sqlite3_bind_int64(st, 1, l->number);
    sqlite3_bind_int64(st, 2, l->claim);
    sqlite3_bind_int64(st, 3, good);
    sqlite3_bind_int64(st, 4, (int64_t)l->count - good);
    return finish_one(db, st);
}

enum err batch_lines_job(sqlite3 *db, void *arg)
{
    struct batch_lines *l = arg;
    enum err            e = store_exec(db, "BEGIN IMMEDIATE");

    if (e)
        return e;
    e = count_lines(db, l);
    if (!e)
        e = insert_lines(db, l);
    if (!e && l->also)
        e = l->also(db, l->arg);
    return end_transaction(db, e);
}

/* By the number, which is their order; not by the index of batch and line, which would sort all of them each time. */
enum err batch_texts_job(sqlite3 *db, void *arg)
{
    struct batch_texts *t = arg;
    sqlite3_stmt       *st;
    enum err            e = store_prepare(
                   db, "SELECT number, text FROM batch_lines WHERE +batch = ? AND good = ? AND number > ? ORDER BY number LIMIT ?",
                   &st);
    int r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, t->number);
    sqlite3_bind_int(st, 2, t->good);
    sqlite3_bind_int64(st, 3, t->after);
    sqlite3_bind_int64(st, 4, (int64_t)t->max);
    t->count = 0;
    t->texts = arena_array(t->arena, str, t->max);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        t->after = sqlite3_column_int64(st, 0);
        t->texts[t->count++] = arena_str(t->arena, store_column_str(st, 1));
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* ---- the end ---- */

enum err batch_finalize_job(sqlite3 *db, void *arg)
{
    struct batch_finalize *f = arg;
    sqlite3_stmt          *st;
    enum err               e =
        store_prepare(db,
                      "UPDATE batches SET status = CASE status WHEN 'in_progress' THEN 'finalizing' ELSE status END,"
                      " finalizing_ms = CASE status WHEN 'in_progress' THEN ?3 ELSE finalizing_ms END"
                      " WHERE number = ?1 AND claim = ?2 AND NOT " ENDED,
                      &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, f->number);
    sqlite3_bind_int64(st, 2, f->claim);
    sqlite3_bind_int64(st, 3, f->now_ms);
    return finish_one(db, st);
}

static enum err set_end(sqlite3 *db, const struct batch_end *n)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db,
             "UPDATE batches SET status = ?3, errors = ?4, output_file = ?5, error_file = ?6, failed = failed + ?7,"
                  " completed_ms = CASE ?3 WHEN 'completed' THEN ?8 ELSE 0 END,"
                  " failed_ms = CASE ?3 WHEN 'failed' THEN ?8 ELSE 0 END,"
                  " expired_ms = CASE ?3 WHEN 'expired' THEN ?8 ELSE 0 END,"
                  " cancelled_ms = CASE ?3 WHEN 'cancelled' THEN ?8 ELSE 0 END, event_ms = callback <> ''"
                  " WHERE number = ?1 AND claim = ?2 AND NOT " ENDED,
             &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, n->number);
    sqlite3_bind_int64(st, 2, n->claim);
    store_bind_str(st, 3, n->status);
    store_bind_str(st, 4, n->errors);
    store_bind_str(st, 5, n->output ? n->output->row.id : (str){ 0 });
    store_bind_str(st, 6, n->error ? n->error->row.id : (str){ 0 });
    sqlite3_bind_int64(st, 7, n->unrun);
    sqlite3_bind_int64(st, 8, n->now_ms);
    return finish_one(db, st);
}

static enum err forget_lines(sqlite3 *db, int64_t number)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "DELETE FROM batch_lines WHERE batch = ?", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, number);
    return finish(db, st);
}

enum err batch_end_job(sqlite3 *db, void *arg)
{
    struct batch_end *n = arg;
    enum err          e = store_exec(db, "BEGIN IMMEDIATE");

    if (e)
        return e;
    e = set_end(db, n);
    if (!e && n->output)
        e = file_keep_within(db, n->output);
    if (!e && n->error)
        e = file_keep_within(db, n->error);
    if (!e)
        e = forget_lines(db, n->number);
    return end_transaction(db, e);
}

enum err batch_events_job(sqlite3 *db, void *arg)
{
    struct batch_events *ev = arg;
    sqlite3_stmt        *st;
    enum err             e = store_prepare(db,
                                           "UPDATE batches SET event_ms = ?2, event_tries = event_tries + 1 WHERE number IN"
                                                       " (SELECT number FROM batches WHERE event_ms > 0 AND event_ms <= ?1 LIMIT ?3)"
                                                       " RETURNING " COLUMNS ", event_tries",
                                           &st);
    int                  r;

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, ev->machine_ms);
    sqlite3_bind_int64(st, 2, ev->until_ms);
    sqlite3_bind_int(st, 3, BATCH_EVENTS_MAX);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        read_row(st, ev->arena, &ev->rows[ev->count]);
        ev->tries[ev->count++] = sqlite3_column_int64(st, sqlite3_column_count(st) - 1);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err batch_told_job(sqlite3 *db, void *arg)
{
    struct batch_told *t = arg;
    sqlite3_stmt      *st;
    enum err           e = store_prepare(db, "UPDATE batches SET event_ms = ?2 WHERE number = ?1", &st);

    if (e)
        return e;
    sqlite3_bind_int64(st, 1, t->number);
    sqlite3_bind_int64(st, 2, t->again_ms);
    return finish(db, st);
}

enum err batch_reset_job(sqlite3 *db, void *unused)
{
    (void)unused;
    return end_transaction(db, store_exec(db, "BEGIN IMMEDIATE; DELETE FROM batch_lines; DELETE FROM batches;"));
}
