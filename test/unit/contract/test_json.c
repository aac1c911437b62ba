/* test_json.c - JSON in and out. */
#include "contract/json.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

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

static yyjson_val *parse(const char *text)
{
    return json_parse_copy(&arena, str_from_cstr(text));
}

static void assert_written(const struct buf *b, const char *want)
{
    if (!str_eq(buf_str(b), str_from_cstr(want)))
        fail_msg("got %.*s, wanted %s", STR_ARG(buf_str(b)), want);
}

static void what_is_no_json_is_null(void **state)
{
    (void)state;
    assert_null(parse(""));
    assert_null(parse("{"));
    assert_null(parse("{\"a\":1,}"));
    assert_null(parse("\"\xff\""));
    assert_non_null(parse("[]"));
}

static void null_and_what_is_not_there_are_the_same(void **state)
{
    yyjson_val *v = parse("{\"a\":null,\"b\":\"x\",\"c\":[1,2]}");

    (void)state;
    assert_null(json_get(v, "a"));
    assert_null(json_get(v, "z"));
    assert_null(json_get(json_get(v, "b"), "b"));
    assert_true(str_eq(json_str(json_get(v, "b")), S("x")));
    assert_int_equal(json_str(json_get(v, "c")).len, 0); /* not the number of its members */
}

static void whole_numbers(void **state)
{
    static const struct {
        const char *text;
        bool        whole;
        int64_t     value;
    } cases[] = {
        { "7", true, 7 },
        { "-7", true, -7 },
        { "7.0", true, 7 },
        { "7.5", false, 0 },
        { "9223372036854775807", true, INT64_MAX },
        { "9223372036854775808", false, 0 },
        { "1e300", false, 0 },
        { "\"7\"", false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        int64_t got = 0;

        assert_int_equal(json_to_i64(parse(cases[i].text), &got), cases[i].whole);
        assert_true(got == cases[i].value);
    }
}

static void texts_are_escaped_where_they_must_be(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, &arena, 4096);
    json_add_str(&b, S("plain text of some length, \xe4\xbd\xa0\xe5\xa5\xbd"));
    json_add_str(&b, S("eight by\"e\\ght\n\t\x01"));
    assert_written(&b, "\"plain text of some length, \xe4\xbd\xa0\xe5\xa5\xbd\"\"eight by\\\"e\\\\ght\\n\\t\\u0001\"");
}

static void numbers_are_as_short_as_can_be(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, &arena, 4096);
    json_add_num(&b, 0.1);
    buf_add_char(&b, ' ');
    json_add_num(&b, -3);
    buf_add_char(&b, ' ');
    json_add_num(&b, 1e300);
    buf_add_char(&b, ' ');
    json_add_num(&b, NAN);
    assert_written(&b, "0.1 -3 1e+300 null");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_is_null),
        cmocka_unit_test(null_and_what_is_not_there_are_the_same),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(texts_are_escaped_where_they_must_be),
        cmocka_unit_test(numbers_are_as_short_as_can_be),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
