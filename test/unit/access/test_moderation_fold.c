/* test_moderation_fold.c - one spelling for what is the same: however wide, however large, however cut. */
#include "access/moderation_fold.c"

#include "../base/check.h"

#include <locale.h>
#include <wctype.h>

static str fold_pieces(str text, size_t cut, char *out)
{
    struct fold f = { 0 };
    str         pieces[2] = { str_first(text, cut), str_from(text, cut) };
    size_t      len = 0, n;

    for (size_t i = 0; i < 2; i++)
        while ((n = fold_run(&f, &pieces[i], out + len)))
            len += n;
    len += fold_end(&f, out + len);
    return str_of(out, len);
}

static str fold_whole(str text)
{
    static char out[8 * FOLD_RUN];

    return fold_pieces(text, text.len, out);
}

TEST(capitals_beyond_ascii_become_what_the_c_library_makes_of_them)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        bool is_width = ranges[i].first >= 0x3000;

        assert_true(i == 0 || ranges[i - 1].last < ranges[i].first);
        for (uint32_t cp = ranges[i].first; cp <= ranges[i].last && !is_width; cp++)
            if (fold_code_point(cp) != towlower(cp))
                fail_msg("U+%04X becomes U+%04X, not U+%04X", cp, fold_code_point(cp), towlower(cp));
    }
}

TEST(the_capitals_of_europe_are_all_there)
{
    static const uint32_t blocks[][2] = { { 0x80, 0x17F }, { 0x370, 0x3CE }, { 0x400, 0x58F }, { 0x1E00, 0x1EFF } };

    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        skip();
    for (size_t i = 0; i < ARRAY_LEN(blocks); i++)
        for (uint32_t cp = blocks[i][0]; cp <= blocks[i][1]; cp++) {
            /* the I with a dot and the capital ß have no simple small letter; two archaic Greek letters */
            if (cp == 0x130 || cp == 0x1E9E || cp == 0x370 || cp == 0x372 || cp == 0x376 || cp == 0x37F)
                continue;
            if (fold_code_point(cp) != towlower(cp))
                fail_msg("U+%04X becomes U+%04X, not U+%04X", cp, fold_code_point(cp), towlower(cp));
        }
}

TEST(ascii_folds_sixteen_at_a_time_as_it_does_one_at_a_time)
{
    char text[128], want[128], out[FOLD_RUN];

    for (size_t shift = 0; shift < 16; shift++) {
        struct fold f = { 0 };
        str         rest = str_of(text, sizeof(text));

        for (size_t i = 0; i < sizeof(text); i++) {
            uint32_t cp = (uint32_t)((i + shift) % 128);

            text[i] = (char)cp;
            want[i] = (char)(cp >= 'A' && cp <= 'Z' ? cp + 32 : cp);
            assert_int_equal(fold_code_point(cp), want[i]);
        }
        assert_int_equal(fold_run(&f, &rest, out), sizeof(text));
        assert_memory_equal(out, want, sizeof(text));
    }
}

TEST(the_next_one_that_folds_is_found)
{
    uint32_t next = UINT32_MAX;

    for (uint32_t cp = 0x10000; cp-- > 0;) {
        if (fold_code_point(cp) != cp)
            next = cp;
        assert_true(fold_next(cp) <= next && fold_next(cp) >= cp);
    }
    assert_int_equal(fold_next(0xFF5F), UINT32_MAX);
}

TEST(full_width_becomes_ascii)
{
    for (uint32_t cp = 0xFF01; cp <= 0xFF5E; cp++)
        assert_int_equal(fold_code_point(cp), fold_code_point(cp - 0xFF01 + '!'));
    assert_str(fold_whole(S("ＡＢｃ　１２！")), "abc 12!");
    assert_str(fold_whole(S("中文，かな カナ 한글 🙂 ÄÖ Жы")),
               "中文,かな カナ 한글 🙂 äö жы");
}

TEST(what_is_folded_stays_as_it_is)
{
    for (uint32_t cp = 0; cp < 0x110000; cp++)
        assert_int_equal(fold_code_point(fold_code_point(cp)), fold_code_point(cp));
}

TEST(broken_bytes_become_marks)
{
    assert_str(fold_whole(S("a\xFFz\xC3")), "a\xEF\xBF\xBDz\xEF\xBF\xBD");
    assert_str(fold_whole(S("\xE4\xB8")), "\xEF\xBF\xBD\xEF\xBF\xBD");
    assert_str(fold_whole(S("\xED\xA0\x80")), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(a_text_folds_to_the_same_wherever_it_is_cut)
{
    const str texts[] = {
        S("Ａé🙂中文Ж abcdefghijklmnop"),
        S("\xE4\xB8\xF0\x9F\x99z\xF0\x9F\x99\x82\xC3\xC3\xA9\xED\xA0\x80\xFF\xF5"),
    };
    char whole[8 * FOLD_RUN], cut[8 * FOLD_RUN];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        str want = fold_pieces(texts[i], texts[i].len, whole);

        assert_true(utf8_valid(want));
        for (size_t at = 0; at < texts[i].len; at++)
            assert_true(str_eq(fold_pieces(texts[i], at, cut), want));
    }
}

TEST(a_long_text_comes_in_runs)
{
    static char text[5 * FOLD_RUN], out[FOLD_RUN];
    struct fold f = { 0 };
    size_t      len = 0, runs = 0, n;
    str         rest;

    for (size_t i = 0; i + 3 <= sizeof(text); i += 3)
        memcpy(text + i, "\xFF\xFF\xFF", 3); /* each byte becomes three */
    rest = str_of(text, sizeof(text) / 3 * 3);
    while ((n = fold_run(&f, &rest, out))) {
        assert_true(n <= FOLD_RUN);
        len += n;
        runs++;
    }
    assert_int_equal(rest.len, 0);
    assert_int_equal(len, sizeof(text) / 3 * 9);
    assert_true(runs >= 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(capitals_beyond_ascii_become_what_the_c_library_makes_of_them),
        cmocka_unit_test(the_capitals_of_europe_are_all_there),
        cmocka_unit_test(ascii_folds_sixteen_at_a_time_as_it_does_one_at_a_time),
        cmocka_unit_test(the_next_one_that_folds_is_found),
        cmocka_unit_test(full_width_becomes_ascii),
        cmocka_unit_test(what_is_folded_stays_as_it_is),
        cmocka_unit_test(broken_bytes_become_marks),
        cmocka_unit_test(a_text_folds_to_the_same_wherever_it_is_cut),
        cmocka_unit_test(a_long_text_comes_in_runs),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
