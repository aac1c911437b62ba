/* test_str.c - views of text, and numbers read from them. */
#include "base/str.c"

#include "check.h"

#include <math.h>

TEST(equal_texts_are_equal_whatever_holds_them)
{
    char copy[] = "user";

    assert_true(str_eq(S("user"), str_of(copy, 4)));
    assert_false(str_eq(S("user"), S("uses")));
    assert_false(str_eq(S("user"), S("use")));
    assert_true(str_eq(S(""), (str){ 0 }));
    assert_true(str_eq((str){ 0 }, str_from_cstr(NULL)));
    assert_false(str_eq(str_of("a\0b", 3), str_of("a\0c", 3)));
}

TEST(only_ascii_letters_lose_their_case)
{
    assert_true(str_eq_nocase(S("Content-LENGTH"), S("content-length")));
    assert_false(str_eq_nocase(S("@"), S("`")));               /* 0x40 and 0x60 */
    assert_false(str_eq_nocase(S("["), S("{")));               /* 0x5B and 0x7B */
    assert_false(str_eq_nocase(S("\xC3\x84"), S("\xC3\xA4"))); /* Ä and ä */
    assert_false(str_eq_nocase(S("a"), S("ab")));
    for (int c = 0; c < 256; c++) {
        char a = (char)c, b = (char)(c ^ 0x20);
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');

        assert_int_equal(str_eq_nocase(str_of(&a, 1), str_of(&b, 1)), letter);
    }
}

TEST(a_cut_beyond_the_end_is_the_end)
{
    str s = S("abc");

    assert_str(str_from(s, 0), "abc");
    assert_str(str_from(s, 2), "c");
    assert_str(str_from(s, 3), "");
    assert_str(str_from(s, SIZE_MAX), "");
    assert_ptr_equal(str_from(s, 9).ptr, s.ptr + 3);
    assert_str(str_first(s, 2), "ab");
    assert_str(str_first(s, SIZE_MAX), "abc");
    assert_int_equal(str_from((str){ 0 }, 1).len, 0);
    assert_int_equal(str_first((str){ 0 }, 1).len, 0);
}

TEST(prefixes_and_suffixes_are_found)
{
    assert_true(str_starts(S("https://x"), S("https://")));
    assert_false(str_starts(S("http"), S("https")));
    assert_true(str_starts(S("x"), S("")));
    assert_true(str_starts((str){ 0 }, (str){ 0 }));
    assert_true(str_starts_nocase(S("BEARER sk"), S("bearer ")));
    assert_false(str_starts_nocase(S("Bear"), S("bearer ")));
    assert_true(str_ends(S("a.json"), S(".json")));
    assert_false(str_ends(S("json"), S(".json")));
    assert_true(str_ends(S("x"), S("")));
}

TEST(order_is_by_bytes_and_the_shorter_first)
{
    assert_true(str_cmp(S("a"), S("b")) < 0);
    assert_true(str_cmp(S("b"), S("a")) > 0);
    assert_true(str_cmp(S("a"), S("ab")) < 0);
    assert_true(str_cmp(S("ab"), S("a")) > 0);
    assert_true(str_cmp(S("\x7F"), S("\x80")) < 0); /* not by signed characters */
    assert_int_equal(str_cmp(S("x"), S("x")), 0);
    assert_int_equal(str_cmp((str){ 0 }, S("")), 0);
    assert_true(str_cmp((str){ 0 }, S("a")) < 0);
}

TEST(the_first_occurrence_is_found)
{
    assert_int_equal(str_find(S("a=b=c"), '='), 1);
    assert_true(str_find(S("abc"), '=') == STR_NONE);
    assert_true(str_find((str){ 0 }, 'x') == STR_NONE);
    assert_int_equal(str_find(str_of("a\0b", 3), 0), 1);
    assert_int_equal(str_find_str(S("aabaabaac"), S("aabaac")), 3);
    assert_int_equal(str_find_str(S("abc"), S("")), 0);
    assert_int_equal(str_find_str((str){ 0 }, S("")), 0);
    assert_true(str_find_str((str){ 0 }, S("a")) == STR_NONE);
    assert_true(str_find_str(S("ab"), S("abc")) == STR_NONE);
    assert_int_equal(str_find_str_nocase(S("Text/Event-Stream"), S("event")), 5);
    assert_int_equal(str_find_str_nocase(S("x"), S("")), 0);
    assert_true(str_find_str_nocase(S("ev"), S("event")) == STR_NONE);
    assert_true(str_find_str_nocase((str){ 0 }, S("e")) == STR_NONE);
}

TEST(blanks_at_both_ends_are_trimmed)
{
    assert_str(str_trim(S(" \t\r\n a b \r\n")), "a b");
    assert_str(str_trim(S(" \t ")), "");
    assert_str(str_trim(S("")), "");
    assert_str(str_trim((str){ 0 }), "");
    assert_str(str_trim(S("\va\f")), "\va\f");
}

TEST(cutting_at_a_separator_leaves_the_rest)
{
    str rest = S("a,,b,");

    assert_str(str_cut(&rest, ','), "a");
    assert_str(str_cut(&rest, ','), "");
    assert_str(str_cut(&rest, ','), "b");
    assert_str(rest, "");
    assert_str(str_cut(&rest, ','), "");
    assert_int_equal(rest.len, 0);
    rest = S("whole");
    assert_str(str_cut(&rest, ','), "whole");
    assert_int_equal(rest.len, 0);
    rest = (str){ 0 };
    assert_int_equal(str_cut(&rest, ',').len, 0);
}

TEST(a_word_is_listed_as_a_whole)
{
    assert_true(str_is_listed(S("b"), S("a b cd")));
    assert_true(str_is_listed(S("cd"), S("a b cd")));
    assert_false(str_is_listed(S("c"), S("a b cd")));
    assert_false(str_is_listed(S("a b"), S("a b cd")));
    assert_false(str_is_listed(S(""), S("")));
}

TEST(whole_numbers_are_read_to_their_very_bounds)
{
    int64_t  i;
    uint64_t u;

    assert_true(str_to_u64(S("0"), &u) && u == 0);
    assert_true(str_to_u64(S("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_to_u64(S("00000000000000000000000018446744073709551615"), &u) && u == UINT64_MAX);
    assert_true(str_to_i64(S("9223372036854775807"), &i) && i == INT64_MAX);
    assert_true(str_to_i64(S("-9223372036854775808"), &i) && i == INT64_MIN);
    assert_true(str_to_i64(S("+12"), &i) && i == 12);
    assert_true(str_to_i64(S("-0"), &i) && i == 0);
    assert_true(str_to_i64(S("-1"), &i) && i == -1);
}

TEST(a_number_that_does_not_fit_is_none_and_leaves_the_output_alone)
{
    static const char *const too_big[] = { "18446744073709551616", "18446744073709551620", "99999999999999999999",
                                           "184467440737095516150", "340282366920938463463374607431768211456" };
    static const char *const not_i64[] = { "9223372036854775808", "-9223372036854775809", "18446744073709551615",
                                           "-18446744073709551615" };
    uint64_t                 u = 7;
    int64_t                  i = 7;

    for (size_t k = 0; k < ARRAY_LEN(too_big); k++) {
        assert_false(str_to_u64(str_from_cstr(too_big[k]), &u));
        assert_false(str_to_i64(str_from_cstr(too_big[k]), &i));
    }
    for (size_t k = 0; k < ARRAY_LEN(not_i64); k++)
        assert_false(str_to_i64(str_from_cstr(not_i64[k]), &i));
    assert_int_equal(u, 7);
    assert_int_equal(i, 7);
}

TEST(text_that_is_not_wholly_a_number_is_none)
{
    static const char *const texts[] = { "",   "-",   "+",   "--1",  "+-1",   " 1",
                                         "1 ", "1.0", "1e3", "0x10", "1_000", "\xD9\xA1" };
    uint64_t                 u = 7;
    int64_t                  i = 7;

    for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
        assert_false(str_to_u64(str_from_cstr(texts[k]), &u));
        assert_false(str_to_i64(str_from_cstr(texts[k]), &i));
    }
    assert_false(str_to_u64(S("+1"), &u)); /* Content-Length: +1 is no length */
    assert_false(str_to_u64(S("-1"), &u));
    assert_false(str_to_u64(str_of("1\0", 2), &u));
    assert_int_equal(u, 7);
    assert_int_equal(i, 7);
}

TEST(fractions_are_read_whole_or_not_at_all)
{
    static const char *const bad[] = { "",    " 1",        "1 ",  "1.5x",   ".",     "e5",    "--1",
                                       "inf", "-Infinity", "nan", "nan(1)", "0x1p3", "1e999", "-1e999" };
    char                     exact[] = "1.5|";
    char                     digits[64];
    double                   d = 7;

    assert_true(str_to_f64(S("1.5"), &d) && d == 1.5);
    assert_true(str_to_f64(S("-0.25e2"), &d) && d == -25);
    assert_true(str_to_f64(str_of(exact, 3), &d) && d == 1.5); /* not beyond the view */
    d = 7;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_false(str_to_f64(str_from_cstr(bad[k]), &d));
    memset(digits, '1', sizeof(digits));
    assert_true(str_to_f64(str_of(digits, 63), &d));
    d = 7;
    assert_false(str_to_f64(str_of(digits, 64), &d)); /* longer than any number that means something */
    assert_false(str_to_f64(str_of("1\0", 2), &d));
    assert_true(d == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_texts_are_equal_whatever_holds_them),
        cmocka_unit_test(only_ascii_letters_lose_their_case),
        cmocka_unit_test(a_cut_beyond_the_end_is_the_end),
        cmocka_unit_test(prefixes_and_suffixes_are_found),
        cmocka_unit_test(order_is_by_bytes_and_the_shorter_first),
        cmocka_unit_test(the_first_occurrence_is_found),
        cmocka_unit_test(blanks_at_both_ends_are_trimmed),
        cmocka_unit_test(cutting_at_a_separator_leaves_the_rest),
        cmocka_unit_test(a_word_is_listed_as_a_whole),
        cmocka_unit_test(whole_numbers_are_read_to_their_very_bounds),
        cmocka_unit_test(a_number_that_does_not_fit_is_none_and_leaves_the_output_alone),
        cmocka_unit_test(text_that_is_not_wholly_a_number_is_none),
        cmocka_unit_test(fractions_are_read_whole_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
