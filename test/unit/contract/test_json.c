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

/* The slow way alone: the first precision that reads back the same. */
static str shortest(double v, char text[32])
{
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, 32, "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    return str_from_cstr(text);
}

static void check_num(double v)
{
    struct buf b;
    char       text[32];

    buf_init(&b, &arena, 64);
    json_add_num(&b, v);
    if (!str_eq(buf_str(&b), shortest(v, text)))
        fail_msg("%.17g became %.*s, not %s", v, STR_ARG(buf_str(&b)), text);
}

static void numbers_are_the_shortest_that_read_back_the_same(void **state)
{
    static const double some[] = {
        0.7,  1.99, 0.1 + 0.2, 1.0 / 3, 0.0001, 0.00012,  0.00009,   0.000001, 123456.789,
        0.05, 1e-7, 999999.5,  1e300,   0.95,   1.000001, 1.0000001, 2.5,      99999.999999
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(some); i++) {
        check_num(some[i]);
        check_num(-some[i]);
    }
    for (int i = 1; i < 20000; i++) {
        if (i % 10000)
            check_num(i / 10000.0);
        check_num(i / 7.0 + 0.001);
        arena_free(&arena);
        arena_init(&arena, 0);
    }
}

/* Each byte at each place of two blocks. */
static void every_byte_is_escaped_wherever_it_stands(void **state)
{
    char text[2 * BLOCK + 3];

    (void)state;
    for (unsigned c = 0; c < 256; c++) {
        bool plain = c >= 0x20 && c != '"' && c != '\\';

        for (size_t at = 0; at < sizeof(text); at++) {
            str        s = str_of(text, sizeof(text)), back;
            struct buf b;

            memset(text, 'x', sizeof(text));
            text[at] = (char)c;
            assert_int_equal(json_plain_len(s), plain ? sizeof(text) : at);
            if (c >= 0x80)
                continue; /* alone it is no UTF-8, and cannot be read back */
            buf_init(&b, &arena, SIZE_MAX / 2);
            json_add_str(&b, s);
            assert_int_equal(b.len == sizeof(text) + 2, plain);
            back = json_str(json_parse_copy(&arena, buf_str(&b)));
            assert_true(str_eq(back, s));
        }
        arena_free(&arena);
        arena_init(&arena, 0);
    }
}

static void lists_of_numbers_read_back_the_same(void **state)
{
    static const double numbers[] = { 0, -0.06951998919248581, 1e-7, 1, -1, 0.1, 3.4028234663852886e38 };
    struct buf          b;
    yyjson_val         *list;

    (void)state;
    buf_init(&b, &arena, SIZE_MAX / 2);
    json_add_nums(&b, numbers, ARRAY_LEN(numbers));
    list = json_parse_copy(&arena, buf_str(&b));
    assert_int_equal(yyjson_arr_size(list), ARRAY_LEN(numbers));
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        assert_true(yyjson_get_num(yyjson_arr_get(list, i)) == numbers[i]);
    buf_reset(&b);
    json_add_nums(&b, numbers, 0);
    assert_true(str_eq(buf_str(&b), S("[]")));
}

static void what_is_cut_inside_a_character_is_written_all_the_same(void **state)
{
    struct arena a;
    struct buf   b;

    (void)state;
    arena_init(&a, 0);
    buf_init(&b, &a, SIZE_MAX / 2);
    json_add_lossy(&b, S("a\"\xe4\xbb\xa3"));
    json_add_lossy(&b, S("\xe4\xbb"));
    json_add_lossy(&b, S(""));
    assert_true(str_eq(buf_str(&b), S("\"a\\\"\xe4\xbb\xa3\"\"\xef\xbf\xbd\xef\xbf\xbd\"\"\"")));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_no_json_is_null),
        cmocka_unit_test(lists_of_numbers_read_back_the_same),
        cmocka_unit_test(null_and_what_is_not_there_are_the_same),
        cmocka_unit_test(whole_numbers),
        cmocka_unit_test(texts_are_escaped_where_they_must_be),
        cmocka_unit_test(numbers_are_as_short_as_can_be),
        cmocka_unit_test(numbers_are_the_shortest_that_read_back_the_same),
        cmocka_unit_test(every_byte_is_escaped_wherever_it_stands),
        cmocka_unit_test(what_is_cut_inside_a_character_is_written_all_the_same),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
