/* test_num.c - the smaller and the larger, and numbers as text. */
#include "base/num.c"

#include "check.h"

TEST(the_smaller_and_the_larger_are_chosen)
{
    assert_int_equal(min_size(1, SIZE_MAX), 1);
    assert_true(max_size(1, SIZE_MAX) == SIZE_MAX);
    assert_true(min_i64(INT64_MIN, INT64_MAX) == INT64_MIN);
    assert_true(max_i64(-1, -2) == -1);
}

TEST(decimal_text_is_what_printf_writes)
{
    static const int64_t edges[] = { 0, 1, -1, 9, 10, -10, 99, 100, 4294967296, INT64_MAX, INT64_MIN, INT64_MIN + 1 };

    for (size_t i = 0; i < ARRAY_LEN(edges); i++) {
        char text[NUM_TEXT_MAX], want[32];

        snprintf(want, sizeof(want), "%lld", (long long)edges[i]);
        assert_str(str_of(text, num_format(text, edges[i])), want);
    }
    for (int64_t v = 1; v < INT64_MAX / 10; v *= 10) {
        for (int64_t d = -1; d <= 1; d++) {
            char text[NUM_TEXT_MAX], want[32];

            snprintf(want, sizeof(want), "%lld", (long long)(v + d));
            assert_str(str_of(text, num_format(text, v + d)), want);
        }
    }
}

TEST(hexadecimal_digits_are_lower_case_and_two_a_byte)
{
    const unsigned char bytes[] = { 0x00, 0x0F, 0xA0, 0xFF, 0x7f };
    char                text[11] = "..........";

    num_hex(text, bytes, sizeof(bytes));
    assert_string_equal(text, "000fa0ff7f");
    num_hex(text, bytes, 0);
    assert_string_equal(text, "000fa0ff7f");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_smaller_and_the_larger_are_chosen),
        cmocka_unit_test(decimal_text_is_what_printf_writes),
        cmocka_unit_test(hexadecimal_digits_are_lower_case_and_two_a_byte),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
