/* deployments.c - the table of deployments. Spec: platform.md §6.4. */
#include "store/deployments.h"

#include "base/num.h"

#define COLUMNS                                                                                                             \
    "name, workspace, model, base, served, plan, title, spec, capacity, capacity_before, rpm, tpm, create_ms, modified_ms," \
    " ready_ms, gone_ms"

str deployment_status(const struct deployment *d, int64_t now_ms)
{
    if (d->gone_ms)
        return S("DELETING");
    if (now_ms < d->ready_ms)
        return d->capacity_before < 0 ? S("PENDING") : S("UPDATING");
    return d->capacity ? S("RUNNING") : S("STOPPED");
}

int64_t deployment_ready_capacity(const struct deployment *d, int64_t now_ms)
{
    return d->gone_ms ? 0 : now_ms < d->ready_ms ? max_i64(d->capacity_before, 0) : d->capacity;
}

static void read_row(sqlite3_stmt *st, struct arena *a, struct deployment *ret)
{
    str *const     texts[] = { &ret->name,   &ret->workspace, &ret->model, &ret->base,
                               &ret->served, &ret->plan,      &ret->title, &ret->spec };
    int64_t *const numbers[] = { &ret->capacity,  &ret->capacity_before, &ret->rpm,      &ret->tpm,
                                 &ret->create_ms, &ret->modified_ms,     &ret->ready_ms, &ret->gone_ms };
    int            at = 0;

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(a, store_column_str(st, at++));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        *numbers[i] = sqlite3_column_int64(st, at++);
}

/* One that is gone makes room for another of its name. */
enum err deployment_create_job(sqlite3 *db, void *arg)
{
    const struct deployment *d = &((struct deployment_create *)arg)->row;
    const str     texts[] = { d->name, d->workspace, d->model, d->base, d->served, d->plan, d->title, d->spec };
    const int64_t numbers[] = { d->capacity,  d->capacity_before, d->rpm,      d->tpm,
                                d->create_ms, d->modified_ms,     d->ready_ms, d->gone_ms };
    sqlite3_stmt *st;
    enum err      e = store_prepare(
             db,
             "INSERT INTO deployments (" COLUMNS
             ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"
                  " ON CONFLICT DO UPDATE SET model = ?3, base = ?4, served = ?5, plan = ?6, title = ?7, spec = ?8, capacity = ?9,"
                  " capacity_before = ?10, rpm = ?11, tpm = ?12, create_ms = ?13, modified_ms = ?14, ready_ms = ?15, gone_ms = ?16"
                  " WHERE gone_ms > 0 AND gone_ms <= ?13",
             &st);

    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        store_bind_str(st, 1 + (int)i, texts[i]);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        sqlite3_bind_int64(st, 9 + (int)i, numbers[i]);
    e = store_finish(db, st);
    return e ? e : sqlite3_changes64(db) ? OK : ERR_EXISTS;
}

static enum err find(sqlite3 *db, struct arena *a, str name, str workspace, int64_t now_ms, struct deployment *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "SELECT " COLUMNS " FROM deployments WHERE workspace = ?1 AND name = ?2"
                                         " AND (gone_ms = 0 OR gone_ms > ?3)",
                                    &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, workspace);
    store_bind_str(st, 2, name);
    sqlite3_bind_int64(st, 3, now_ms);
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        read_row(st, a, ret);
    sqlite3_finalize(st);
    return r == SQLITE_DONE ? ERR_NOT_FOUND : store_err(db, r);
}

enum err deployment_get_job(sqlite3 *db, void *arg)
{
    struct deployment_get *g = arg;

    return find(db, g->arena, g->name, g->workspace, g->now_ms, &g->row);
}

enum err deployment_list_job(sqlite3 *db, void *arg)
{
    struct deployment_list *l = arg;
    sqlite3_stmt           *st;
    enum err                e = store_prepare(db,
                                              "SELECT " COLUMNS " FROM deployments WHERE workspace = ?1 AND (gone_ms = 0"
                                                             " OR gone_ms > ?2) ORDER BY create_ms DESC, name",
                                              &st);
    int                     r;

    if (e)
        return e;
    store_bind_str(st, 1, l->workspace);
    sqlite3_bind_int64(st, 2, l->now_ms);
    l->rows = arena_array(l->arena, struct deployment, (size_t)l->limit);
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        if (l->total >= l->offset && l->count < (size_t)l->limit)
            read_row(st, l->arena, &l->rows[l->count++]);
        l->total++;
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

enum err deployment_change_job(sqlite3 *db, void *arg)
{
    struct deployment_change *c = arg;
    struct deployment        *d = &c->row;
    sqlite3_stmt             *st;
    enum err                  e = find(db, c->arena, c->name, c->workspace, c->now_ms, d);

    if (e || d->gone_ms)
        return e ? e : ERR_INVALID;
    if (c->capacity >= 0) {
        d->capacity_before = deployment_ready_capacity(d, c->now_ms);
        d->capacity = c->capacity;
        d->ready_ms = c->ready_ms;
    }
    d->rpm = c->rpm >= 0 ? c->rpm : d->rpm;
    d->tpm = c->tpm >= 0 ? c->tpm : d->tpm;
    d->gone_ms = c->deletes ? c->ready_ms : 0;
    d->modified_ms = c->now_ms;
    e = store_prepare(
        db,
        "UPDATE deployments SET capacity = ?3, capacity_before = ?4, rpm = ?5, tpm = ?6, modified_ms = ?7, ready_ms ="
        " ?8, gone_ms = ?9 WHERE workspace = ?1 AND name = ?2",
        &st);
    if (e)
        return e;
    store_bind_str(st, 1, c->workspace);
    store_bind_str(st, 2, c->name);
    sqlite3_bind_int64(st, 3, d->capacity);
    sqlite3_bind_int64(st, 4, d->capacity_before);
    sqlite3_bind_int64(st, 5, d->rpm);
    sqlite3_bind_int64(st, 6, d->tpm);
    sqlite3_bind_int64(st, 7, d->modified_ms);
    sqlite3_bind_int64(st, 8, d->ready_ms);
    sqlite3_bind_int64(st, 9, d->gone_ms);
    return store_finish(db, st);
}
