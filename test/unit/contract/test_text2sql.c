/* test_text2sql.c - schemas are read and told, names and types become SQL, statements are taken out of answers. */
#include "contract/text2sql.c"

#include "../base/check.h"

static struct arena      arena;
static struct request    rq;
static struct chat_input in;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    rq = (struct request){ .arena = &arena, .surface = SURFACE_NATIVE };
    in = (struct chat_input){ 0 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static enum err read_text(const char *json)
{
    return text2sql_read(&rq, json_parse_copy(&arena, str_from_cstr(json)), S("how many?"), &in);
}

static void assert_refused(const char *json, const char *id)
{
    rq.fault = (struct fault){ 0 };
    assert_int_equal(read_text(json), ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("%s is refused with %.*s, not %s", json, STR_ARG(rq.fault.row->id), id);
}

static void tables_are_there_and_have_their_form(void **state)
{
    (void)state;
    assert_int_equal(text2sql_read(&rq, NULL, S("x"), &in), ERR_FAULT);
    assert_true(str_eq(rq.fault.row->id, S("E171")));
    assert_refused("{}", "E171");
    assert_refused("7", "E171");
    assert_refused("{\"schema_infos\":null}", "E171");
    assert_refused("{\"schema_infos\":[]}", "E171");
    assert_refused("{\"schema_infos\":{}}", "E172");
    assert_refused("{\"schema_infos\":[null]}", "E172");
    assert_refused("{\"schema_infos\":[{\"columns\":[{\"col_name\":\"a\"}]}]}", "E172");
    assert_refused("{\"schema_infos\":[{\"table_id\":\"t\"}]}", "E172");
    assert_refused("{\"schema_infos\":[{\"table_id\":\"t\",\"columns\":[]}]}", "E172");
    assert_refused("{\"schema_infos\":[{\"table_id\":\"t\",\"columns\":[{\"col_name\":\"a\"},{}]}]}", "E172");
    assert_null(in.sql);
}

static void hints_are_read_in_both_spellings(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"schema_infos\":[{\"table_id\":\"t\",\"columns\":[{\"col_name\":\"a\"}]}],"
                               "\"synonym_infos\":\"{\\\"a\\\":\\\"b|c\\\"}\",\"recall_infos\":[{\"content\":\"a=1\","
                               "\"score\":\"0.5\"},{\"content\":\"a=2\",\"score\":0.25},{\"score\":1},7]}"),
                     OK);
    assert_int_equal(in.sql->synonym_count, 1);
    assert_true(str_eq(in.sql->synonyms[0].aliases, S("b|c")));
    assert_int_equal(in.sql->recall_count, 2);
    assert_true(in.sql->recalls[0].score == 0.5 && in.sql->recalls[1].score == 0.25);
    assert_int_equal(in.message_count, 2);
    assert_true(str_eq(in.messages[1].content, S("how many?")));
}

static void an_engine_is_told_the_tables(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(
            "{\"schema_infos\":[{\"table_id\":\"my t\",\"table_desc\":\"one\\ntwo\",\"columns\":[{\"col_name\":\"a\","
            "\"col_caption\":\"A\",\"col_desc\":\"e.g. 1\",\"col_type\":\"bigint\"},{\"col_name\":\"order\"}]}],"
            "\"synonym_infos\":{\"a\":\"b|c\"},\"recall_infos\":[{\"content\":\"a=1\"}]}"),
        OK);
    assert_true(str_ends(in.messages[0].content,
                         S("\nCREATE TABLE \"my t\" ( -- one two\n  a INTEGER, -- A; e.g. 1; bigint\n  \"order\"\n);\n"
                           "\nOther words for names:\na: b|c\nValues that may be meant:\na=1")));
}

static void check_name(const char *name, const char *want)
{
    struct buf b;

    buf_init(&b, &arena, 1000);
    sql_add_name(&b, str_from_cstr(name));
    if (!str_eq(buf_str(&b), str_from_cstr(want)))
        fail_msg("%s becomes %.*s, not %s", name, STR_ARG(buf_str(&b)), want);
}

static void names_are_quoted_where_they_must_be(void **state)
{
    (void)state;
    check_name("a_1", "a_1");
    check_name("名称", "名称");
    check_name("1a", "\"1a\"");
    check_name("Group", "\"Group\"");
    check_name("a b", "\"a b\"");
    check_name("a\"\"b\"", "\"a\"\"\"\"b\"\"\"");
    check_name("a$", "\"a$\"");
}

static void types_by_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(sql_type(S("VARCHAR(20)")), SQL_TEXT);
    assert_int_equal(sql_type(S("bigint unsigned")), SQL_INTEGER);
    assert_int_equal(sql_type(S("double precision")), SQL_REAL);
    assert_int_equal(sql_type(S("Decimal(10, 2)")), SQL_NUMBER);
    assert_int_equal(sql_type(S("timestamp")), SQL_TEXT);
    assert_int_equal(sql_type(S("point")), SQL_ANY);
    assert_int_equal(sql_type(S("")), SQL_ANY);
}

/* `want` NULL: there is none. */
static void check_statement(const char *answer, const char *want)
{
    str  got, why;
    bool found = sql_statement(str_from_cstr(answer), &got, &why);

    if (found != (want != NULL))
        fail_msg("in %s: %s", answer, found ? "a statement" : "no statement");
    if (want && !str_eq(got, str_from_cstr(want)))
        fail_msg("in %s: %.*s, not %s", answer, STR_ARG(got), want);
}

static void statements_are_found_in_answers(void **state)
{
    (void)state;
    check_statement("SELECT 1", "SELECT 1");
    check_statement("  select 1 ;", "select 1");
    check_statement("Sure:\nSELECT ';' -- ;\n, 2; and that is all", "SELECT ';' -- ;\n, 2");
    check_statement("```sql\nSELECT 1;\n```\nselects", "SELECT 1");
    check_statement("```\nno\n```\n```SQLite\nSELECT 2\n```", "SELECT 2");
    check_statement("```\nWITH a AS (SELECT 1) SELECT * FROM a", "WITH a AS (SELECT 1) SELECT * FROM a");
    check_statement("SELECT * FROM \"```\"", "SELECT * FROM \"```\"");
    check_statement("  ```sql\n  SELECT '```'\n  ``` ", "SELECT '```'");
    check_statement("<think>SELECT 0;</think>SELECT 1", "SELECT 1");
    check_statement("```sql\n/* x */ VALUES (1) -- end\n```", "VALUES (1) -- end");
    check_statement("", NULL);
    check_statement("selection", NULL);
    check_statement("```sql\nPRAGMA x\n```", NULL);
    check_statement("EXPLAIN SELECT 1", NULL);
    check_statement("```sql\nSELECT 1; SELECT 2\n```", NULL);
}

/* Each of a chain of common table expressions names the one before `times` times. */
static bool chain(unsigned links, unsigned times, const char *quotes)
{
    struct buf b;
    str        got, why;

    buf_init(&b, &arena, SIZE_MAX / 2);
    buf_add(&b, S("WITH "));
    for (unsigned i = 0; i <= links; i++) {
        buf_addf(&b, i == links ? "SELECT 1 FROM " : "%cc%u%c (x) AS (SELECT 1 FROM ", quotes[0], i, quotes[1]);
        for (unsigned k = 0; i && k < times; k++)
            buf_addf(&b, "%sC%u", k ? ", " : "", i - 1);
        if (i == 0)
            buf_add(&b, S("t"));
        if (i < links)
            buf_add(&b, i + 1 < links ? S("), ") : S(") "));
    }
    return sql_statement(buf_str(&b), &got, &why);
}

static void what_would_grow_without_end_is_none(void **state)
{
    str got, why;

    (void)state;
    assert_true(chain(60, 1, "  "));
    assert_true(chain(9, 2, "\"\""));
    assert_false(chain(10, 2, "\"\""));
    assert_false(chain(30, 2, "[]"));
    assert_false(chain(65, 1, "  "));
    assert_false(sql_statement(S("WITH \"a\"\"b\" AS (SELECT 1) SELECT * FROM [a\"b]"), &got, &why));
    /* columns that are called like it are not it */
    assert_true(sql_statement(
        S("WITH a AS (SELECT 1 x), b AS (SELECT a.x, a.x, a.x, a.x FROM a) SELECT b.x, b.x FROM b"), &got, &why));
    /* the same name in each of nested ones */
    assert_false(
        sql_statement(S("WITH a AS (WITH a AS (WITH a AS (WITH a AS (SELECT 1) SELECT 1 FROM a,a,a,a) SELECT 1 FROM "
                        "a,a,a,a) SELECT 1 FROM a,a,a,a) SELECT 1 FROM a,a,a,a"),
                      &got, &why));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(tables_are_there_and_have_their_form, setup, teardown),
        cmocka_unit_test_setup_teardown(hints_are_read_in_both_spellings, setup, teardown),
        cmocka_unit_test_setup_teardown(an_engine_is_told_the_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(names_are_quoted_where_they_must_be, setup, teardown),
        cmocka_unit_test_setup_teardown(types_by_what_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(statements_are_found_in_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(what_would_grow_without_end_is_none, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
