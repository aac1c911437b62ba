/* test_yaml.c - YAML becomes JSON values, and nothing is expanded without limit. */
#include "contract/yaml.c"

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

static void assert_reads(const char *text, const char *json)
{
    yyjson_val *v = NULL;
    str         problem = { 0 };

    if (yaml_read(&arena, str_from_cstr(text), &v, &problem))
        fail_msg("%s: %.*s", text, STR_ARG(problem));
    assert_str(json_text(&arena, v), json);
}

static void assert_refused(const char *text, const char *why)
{
    yyjson_val *v = NULL;
    str         problem = { 0 };

    assert_int_equal(yaml_read(&arena, str_from_cstr(text), &v, &problem), ERR_INVALID);
    assert_str(problem, why);
}

TEST(plain_scalars_have_types)
{
    assert_reads("a: 1\nb: 1.5\nc: true\nd: null\ne: ~\nf:\n",
                 "{\"a\":1,\"b\":1.5,\"c\":true,\"d\":null,\"e\":null,\"f\":null}");
    assert_reads("a: '1'\nb: \"true\"\nc: yes\nd: 1.2.3\ne: 01\nf: [~]\n",
                 "{\"a\":\"1\",\"b\":\"true\",\"c\":\"yes\",\"d\":\"1.2.3\",\"e\":\"01\",\"f\":[null]}");
    assert_reads("- 5\n- -5\n- 1e3\n- .5\n- 0x10\n", "[5,-5,1000.0,\".5\",\"0x10\"]");
    assert_reads("a: |\n  two\n  lines\nb: >\n  one\n  line\n", "{\"a\":\"two\\nlines\\n\",\"b\":\"one line\\n\"}");
}

TEST(json_is_read_as_json)
{
    assert_reads("{\"a\":\"\\ud83d\\ude00\",\"b\":[1,{\"c\":null}]}",
                 "{\"a\":\"\xf0\x9f\x98\x80\",\"b\":[1,{\"c\":null}]}");
}

TEST(aliases_are_what_they_name)
{
    assert_reads("a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}");
}

TEST(what_is_wrong_is_told_with_its_line)
{
    assert_refused("a: 1\na: 2\n", "line 2: a key is given twice");
    assert_refused("a: [1\n", "line 2: did not find expected ',' or ']'");
    assert_refused("? [a]\n: b\n", "line 1: a key must be a word");
    assert_refused("", "there is nothing in it");
    assert_refused("# only this\n", "line 1: there is nothing in it");
    assert_refused("a: \xff\n", "it is no UTF-8 text");
}

TEST(aliases_cannot_grow_beyond_the_limits)
{
    struct buf  b;
    yyjson_val *v = NULL;
    str         problem = { 0 };

    buf_init(&b, &arena, SIZE_MAX / 2);
    buf_add(&b, S("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n"));
    for (int i = 1; i < 9; i++)
        buf_addf(&b, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                 i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_int_equal(yaml_read(&arena, buf_str(&b), &v, &problem), ERR_INVALID);
    assert_true(str_find_str(problem, S("it is too large, or nested too deep")) != STR_NONE);
    problem = (str){ 0 };
    assert_int_equal(yaml_read(&arena, S("a: &a [*a]\n"), &v, &problem), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_scalars_have_types, setup, teardown),
        cmocka_unit_test_setup_teardown(json_is_read_as_json, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_are_what_they_name, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_wrong_is_told_with_its_line, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_cannot_grow_beyond_the_limits, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
