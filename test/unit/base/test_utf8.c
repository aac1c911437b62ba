/* test_utf8.c - UTF-8, exhaustively. */
#include "base/utf8.c"

#include "check.h"

/* Written from RFC 3629, section 4, and not from the code under test. */
static size_t by_the_rfc(const unsigned char *p, size_t n)
{
#define IN(i, low, high) (n > (i) && p[i] >= (low) && p[i] <= (high))
#define TAIL(i)          IN(i, 0x80, 0xBF)
    if (p[0] <= 0x7F)
        return 1;
    if (p[0] >= 0xC2 && p[0] <= 0xDF)
        return TAIL(1) ? 2 : 0;
    if ((p[0] == 0xE0 && IN(1, 0xA0, 0xBF) && TAIL(2)) || (p[0] >= 0xE1 && p[0] <= 0xEC && TAIL(1) && TAIL(2)) ||
        (p[0] == 0xED && IN(1, 0x80, 0x9F) && TAIL(2)) || (p[0] >= 0xEE && p[0] <= 0xEF && TAIL(1) && TAIL(2)))
        return 3;
    if ((p[0] == 0xF0 && IN(1, 0x90, 0xBF) && TAIL(2) && TAIL(3)) ||
        (p[0] >= 0xF1 && p[0] <= 0xF3 && TAIL(1) && TAIL(2) && TAIL(3)) ||
        (p[0] == 0xF4 && IN(1, 0x80, 0x8F) && TAIL(2) && TAIL(3)))
        return 4;
    return 0;
#undef IN
#undef TAIL
}

TEST(every_code_point_comes_back_as_it_went)
{
    for (uint32_t cp = 0; cp <= 0x10FFFF; cp++) {
        char     text[4];
        uint32_t back = 0xFFFFFFFF;
        size_t   n;

        if (cp == 0xD800)
            cp = 0xE000;
        n = utf8_encode(text, cp);
        if (utf8_decode(text, text + n, &back) != n || back != cp)
            fail_msg("U+%04X", cp);
    }
}

TEST(the_length_changes_at_the_edges)
{
    static const struct {
        uint32_t cp;
        str      text;
    } edges[] = {
        { 0, { "\0", 1 } },
        { 0x7F, S("\x7F") },
        { 0x80, S("\xC2\x80") },
        { 0x7FF, S("\xDF\xBF") },
        { 0x800, S("\xE0\xA0\x80") },
        { 0xD7FF, S("\xED\x9F\xBF") },
        { 0xE000, S("\xEE\x80\x80") },
        { 0xFFFD, S("\xEF\xBF\xBD") },
        { 0xFFFF, S("\xEF\xBF\xBF") },
        { 0x10000, S("\xF0\x90\x80\x80") },
        { 0x1F600, S("\xF0\x9F\x98\x80") },
        { 0x10FFFF, S("\xF4\x8F\xBF\xBF") },
    };

    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        char text[4];

        assert_true(str_eq(str_of(text, utf8_encode(text, edges[i].cp)), edges[i].text));
    }
}

TEST(what_the_rfc_refuses_is_refused)
{
    /* All first and second bytes, with edges of the tail bytes behind them, cut at every length. */
    static const unsigned char tails[] = { 0x00, 0x7F, 0x80, 0xBF, 0xC0, 0xFF };

    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t k = 0; k < ARRAY_LEN(tails) * ARRAY_LEN(tails); k++) {
                unsigned char bytes[4] = { (unsigned char)first, (unsigned char)second, tails[k % ARRAY_LEN(tails)],
                                           tails[k / ARRAY_LEN(tails)] };

                for (size_t n = 1; n <= 4; n++) {
                    uint32_t cp;
                    size_t   got = utf8_decode((char *)bytes, (char *)bytes + n, &cp);

                    if (got != by_the_rfc(bytes, n))
                        fail_msg("%02x %02x %02x %02x, %zu bytes: %zu", bytes[0], bytes[1], bytes[2], bytes[3], n, got);
                }
            }
        }
    }
}

TEST(a_broken_sequence_leaves_the_output_alone)
{
    static const char overlong[] = "\xC0\x80";
    uint32_t          cp = 7;

    assert_int_equal(utf8_decode(overlong, overlong + 2, &cp), 0);
    assert_int_equal(cp, 7);
}

TEST(text_is_valid_only_as_a_whole)
{
    assert_true(utf8_valid(S("")));
    assert_true(utf8_valid((str){ 0 }));
    assert_true(utf8_valid(S("a\xC3\xA4\xE6\xBC\xA2\xF0\x9F\x98\x80")));
    assert_false(utf8_valid(S("a\xC3")));
    assert_false(utf8_valid(S("\xED\xA0\xBD\xED\xB8\x80"))); /* surrogates, as CESU-8 has them */
    assert_false(utf8_valid(S("\xC0\xAF")));                 /* an overlong slash */
    assert_false(utf8_valid(S("\xF4\x90\x80\x80")));
    assert_false(utf8_valid(S("ok\xFE")));
}

TEST(ascii_is_what_has_no_high_bit)
{
    char text[40];

    assert_true(utf8_is_ascii((str){ 0 }));
    memset(text, 0x7F, sizeof(text));
    text[3] = 0;
    assert_true(utf8_is_ascii(str_of(text, sizeof(text))));
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = (char)0x80;
        assert_false(utf8_is_ascii(str_of(text, sizeof(text))));
        text[i] = ' ';
    }
}

TEST(code_points_are_counted_and_broken_bytes_are_one_each)
{
    assert_int_equal(utf8_count((str){ 0 }), 0);
    assert_int_equal(utf8_count(S("a\xC3\xA4\xE6\xBC\xA2\xF0\x9F\x98\x80")), 4);
    assert_int_equal(utf8_count(S("\xFF\xFE"
                                  "a")),
                     3);
    assert_int_equal(utf8_count(S("\xE6\xBC")), 2);
}

TEST(a_cut_never_divides_a_code_point)
{
    str text = S("a\xC3\xA4\xE6\xBC\xA2\xF0\x9F\x98\x80z");

    for (size_t len = 0; len <= text.len + 2; len++) {
        size_t cut = utf8_cut(text, len);

        assert_true(cut <= len && cut <= text.len);
        assert_true(utf8_valid(str_first(text, cut)));
        /* and it is the longest such prefix */
        for (size_t longer = cut + 1; longer <= len && longer <= text.len; longer++)
            assert_false(utf8_valid(str_first(text, longer)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_comes_back_as_it_went),
        cmocka_unit_test(the_length_changes_at_the_edges),
        cmocka_unit_test(what_the_rfc_refuses_is_refused),
        cmocka_unit_test(a_broken_sequence_leaves_the_output_alone),
        cmocka_unit_test(text_is_valid_only_as_a_whole),
        cmocka_unit_test(ascii_is_what_has_no_high_bit),
        cmocka_unit_test(code_points_are_counted_and_broken_bytes_are_one_each),
        cmocka_unit_test(a_cut_never_divides_a_code_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
