/* test_scratch.c - tables of any schema are built or refused, and statements can do nothing but read them. */
#include "store/scratch.c"

#include "../base/check.h"

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* `tables` tables of `columns` columns each: t0 (c0, c1, …), … */
static struct text2sql *schema(size_t tables, size_t columns)
{
    struct text2sql *q = arena_new(&arena, struct text2sql);

    q->table_count = tables;
    q->tables = arena_array(&arena, struct sql_table, tables);
    for (size_t i = 0; i < tables; i++) {
        q->tables[i] = (struct sql_table){ .name = arena_printf(&arena, "t%zu", i), .column_count = columns };
        q->tables[i].columns = arena_array(&arena, struct sql_column, columns);
        for (size_t k = 0; k < columns; k++)
            q->tables[i].columns[k].name = arena_printf(&arena, "c%zu", k);
    }
    return q;
}

static struct scratch *open(const struct text2sql *q)
{
    struct scratch *s = NULL;
    str             why = { 0 };

    if (scratch_open(&arena, q, &s, &why))
        fail_msg("%.*s", STR_ARG(why));
    return s;
}

static void assert_unusable(const struct text2sql *q, const char *reason)
{
    struct scratch *s;
    str             why = { 0 };

    assert_int_equal(scratch_open(&arena, q, &s, &why), ERR_INVALID);
    if (str_find_str(why, str_from_cstr(reason)) == STR_NONE)
        fail_msg("%.*s, not %s", STR_ARG(why), reason);
}

static void fits(struct scratch *s, const char *statement)
{
    str why = { 0 };

    if (scratch_prepare(&arena, s, str_from_cstr(statement), &why))
        fail_msg("%s: %.*s", statement, STR_ARG(why));
}

static void does_not_fit(struct scratch *s, const char *statement, const char *reason)
{
    str why = { 0 };

    assert_int_equal(scratch_prepare(&arena, s, str_from_cstr(statement), &why), ERR_INVALID);
    if (str_find_str(why, str_from_cstr(reason)) == STR_NONE)
        fail_msg("%s: %.*s, not %s", statement, STR_ARG(why), reason);
}

static void only_what_is_in_the_tables_fits(void **state)
{
    struct scratch *s = open(schema(2, 2));

    (void)state;
    fits(s, "SELECT t0.c0, T1.C1 FROM t0 JOIN t1 USING (c1) WHERE t0.c0 = 'x' ORDER BY 1 LIMIT 5");
    fits(s, "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n) SELECT sum(i) FROM n");
    fits(s, "SELECT count(*), strftime('%Y', c0), rank() OVER (ORDER BY c1) FROM t0");
    does_not_fit(s, "SELECT c2 FROM t0", "no such column: c2");
    does_not_fit(s, "SELECT c0 FROM t2", "no such table: t2");
    does_not_fit(s, "SELECT \"x\" FROM t0", "no such column: x"); /* not the text 'x' */
    does_not_fit(s, "SELECT c0 FROM", "incomplete input");
    does_not_fit(s, "SELECT", "incomplete input");
    does_not_fit(s, "-- nothing", "does not read");
}

static void nothing_but_reading_is_allowed(void **state)
{
    static const char *const others[] = {
        "DELETE FROM t0",
        "INSERT INTO t0 VALUES (1, 2)",
        "UPDATE t0 SET c0 = 1",
        "WITH x AS (SELECT 1) DELETE FROM t0",
        "DROP TABLE t0",
        "CREATE TABLE x (a)",
        "CREATE TEMP TABLE x AS SELECT 1",
        "ATTACH '/tmp/x.db' AS x",
        "DETACH main",
        "PRAGMA table_info(t0)",
        "PRAGMA writable_schema = 1",
        "VACUUM INTO '/tmp/x.db'",
        "BEGIN",
        "SAVEPOINT x",
        "ANALYZE",
        "SELECT load_extension('x')",
        "SELECT * FROM sqlite_master",
        "SELECT * FROM sqlite_schema",
        "SELECT * FROM pragma_table_info('t0')",
        "SELECT * FROM pragma_database_list",
    };
    struct scratch *s = open(schema(1, 2));

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        str why = { 0 };

        if (scratch_prepare(&arena, s, str_from_cstr(others[i]), &why) != ERR_INVALID)
            fail_msg("%s is allowed", others[i]);
        if (str_find_str(why, S("not authorized")) == STR_NONE && str_find_str(why, S("prohibited")) == STR_NONE &&
            !str_eq(why, S("it does not read")))
            fail_msg("%s: %.*s", others[i], STR_ARG(why));
    }
    does_not_fit(s, "EXPLAIN SELECT c0 FROM t0", "does not read");
    fits(s, "SELECT c0 FROM t0");
}

static void a_name_can_be_anything(void **state)
{
    static const char *const names[] = {
        "a\"b", "it's", "select", "x); DROP TABLE y; --", "", "main.t", "[v]", "`", "😀"
    };
    struct text2sql *q = schema(ARRAY_LEN(names), 1);
    struct scratch  *s;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        q->tables[i].name = q->tables[i].columns[0].name = str_from_cstr(names[i]);
    s = open(q);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct buf b;

        buf_init(&b, &arena, 1000);
        buf_add(&b, S("SELECT "));
        sql_add_name(&b, str_from_cstr(names[i]));
        buf_add(&b, S(" FROM "));
        sql_add_name(&b, str_from_cstr(names[i]));
        fits(s, str_to_cstr(&arena, buf_str(&b)));
    }
    q = schema(1, 1);
    q->tables[0].name = S("pragma_x");
    fits(open(q), "SELECT c0 FROM pragma_x");
}

static void what_no_database_could_have_is_unusable(void **state)
{
    struct text2sql *q = schema(2, 2);

    (void)state;
    q->tables[0].columns[1].name = S("C0");
    assert_unusable(q, "duplicate column name: C0");
    q = schema(2, 1);
    q->tables[1].name = S("T0");
    assert_unusable(q, "already exists");
    q->tables[1].name = S("sqlite_x");
    assert_unusable(q, "reserved");
    q->tables[1].name = S("a\0b");
    assert_unusable(q, "unrecognized token");
    assert_unusable(schema(1, 10000), "too many columns");
    q = schema(1, 1);
    q->tables[0].columns[0].name =
        str_of(memset(arena_bytes(&arena, SQL_NAME_MAX + 1), 'x', SQL_NAME_MAX + 1), SQL_NAME_MAX + 1);
    assert_unusable(q, "too long");
    q->tables[0].columns[0].name.len--;
    (void)open(q);
}

static void large_schemas_are_built_or_refused_in_bounded_time(void **state)
{
    struct scratch *s = open(schema(100, 1000));

    (void)state;
    fits(s, "SELECT c999 FROM t99");
    does_not_fit(s, "SELECT * FROM t0, t1, t2", "too many columns");
    assert_unusable(schema(100000, 1), "interrupted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_what_is_in_the_tables_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_but_reading_is_allowed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_can_be_anything, setup, teardown),
        cmocka_unit_test_setup_teardown(what_no_database_could_have_is_unusable, setup, teardown),
        cmocka_unit_test_setup_teardown(large_schemas_are_built_or_refused_in_bounded_time, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
