/* scratch.c - builds tables from a schema and prepares statements against them. */
#include "store/scratch.h"

#include "base/arena.h"

#include <limits.h>
#include <sqlite3.h>

#define STEPS_BETWEEN 10000
#define STEPS_MAX     INT64_C(20000000) /* of SQLite's machine, for all tables: some seconds at most */
#define TEXT_MAX      1000000           /* bytes that a value may have while a statement is prepared */

struct scratch {
    sqlite3               *db;
    const struct text2sql *q;
    int64_t                steps;
};

static int count_steps(void *arg)
{
    struct scratch *s = arg;

    s->steps += STEPS_BETWEEN;
    return s->steps > STEPS_MAX;
}

static bool is_ours(const struct scratch *s, str table)
{
    for (size_t i = 0; i < s->q->table_count; i++) {
        if (str_eq_nocase(s->q->tables[i].name, table))
            return true;
    }
    return false;
}

/* SQLite's own tables and the functions that show its settings are not the client's. */
static int may_read(const struct scratch *s, str table)
{
    bool own = str_starts_nocase(table, S("sqlite_")) || str_starts_nocase(table, S("pragma_"));

    return own && !is_ours(s, table) ? SQLITE_DENY : SQLITE_OK;
}

static int authorize(void *arg, int action, const char *first, const char *second, const char *database,
                     const char *trigger)
{
    (void)database;
    (void)trigger;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        return may_read(arg, str_from_cstr(first));
    case SQLITE_FUNCTION:
        return second && sqlite3_stricmp(second, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

static void scratch_close(void *arg)
{
    struct scratch *s = arg;

    sqlite3_close(s->db);
}

/* What the database says, without a byte that is no text. */
static enum err refused(struct arena *a, struct scratch *s, str *ret_why)
{
    *ret_why = arena_str(a, str_from_cstr(sqlite3_errmsg(s->db)));
    return ERR_INVALID;
}

static int prepare(struct scratch *s, str sql, sqlite3_stmt **ret)
{
    if (sql.len > INT_MAX)
        return SQLITE_TOOBIG;
    return sqlite3_prepare_v2(s->db, sql.ptr, (int)sql.len, ret, NULL);
}

static bool has_long_name(const struct sql_table *t)
{
    for (size_t i = 0; i < t->column_count; i++) {
        if (t->columns[i].name.len > SQL_NAME_MAX)
            return true;
    }
    return t->name.len > SQL_NAME_MAX;
}

static enum err build(struct arena *a, struct scratch *s, str *ret_why)
{
    for (size_t i = 0; i < s->q->table_count; i++) {
        if (has_long_name(&s->q->tables[i])) {
            *ret_why = S("a name is too long");
            return ERR_INVALID;
        }
    }
    for (size_t i = 0; i < s->q->table_count; i++) {
        str           sql = sql_create(a, &s->q->tables[i]);
        sqlite3_stmt *st = NULL;
        int           rc = prepare(s, sql, &st);

        if (rc == SQLITE_OK)
            rc = st ? sqlite3_step(st) : SQLITE_MISUSE;
        if (rc != SQLITE_DONE) {
            enum err e = refused(a, s, ret_why);

            sqlite3_finalize(st);
            return e;
        }
        sqlite3_finalize(st);
    }
    return OK;
}

/* After the tables are there: what a statement of an engine may cost, and that it can only read. */
static void restrict_to_reading(struct scratch *s)
{
    s->steps = 0; /* SQLite 3.41 and later count while they prepare, too */
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(s->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* "no such column" is no text */
    sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, TEXT_MAX);
    sqlite3_limit(s->db, SQLITE_LIMIT_SQL_LENGTH, SQL_STATEMENT_MAX);
    sqlite3_limit(s->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(s->db, SQLITE_LIMIT_WORKER_THREADS, 0);
    sqlite3_set_authorizer(s->db, authorize, s);
}

enum err scratch_open(struct arena *a, const struct text2sql *q, struct scratch **ret, str *ret_why)
{
    struct scratch *s = arena_new(a, struct scratch);
    enum err        e;

    s->q = q;
    if (sqlite3_open_v2(":memory:", &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_MEMORY, NULL)) {
        sqlite3_close(s->db);
        return ERR_IO;
    }
    arena_defer(a, scratch_close, s);
    sqlite3_progress_handler(s->db, STEPS_BETWEEN, count_steps, s);
    e = build(a, s, ret_why);
    if (e)
        return e;
    restrict_to_reading(s);
    *ret = s;
    return OK;
}

enum err scratch_prepare(struct arena *a, struct scratch *s, str statement, str *ret_why)
{
    sqlite3_stmt *st = NULL;
    enum err      e = prepare(s, statement, &st) ? refused(a, s, ret_why) : OK;

    if (!e && (!st || !sqlite3_stmt_readonly(st) || sqlite3_stmt_isexplain(st))) {
        *ret_why = S("it does not read");
        e = ERR_INVALID;
    }
    sqlite3_finalize(st);
    return e;
}
