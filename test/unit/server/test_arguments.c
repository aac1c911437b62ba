/* test_arguments.c - the words of a command line. */
#include "server/arguments.c"

#include "../base/check.h"

static const struct argument known[] = { { S("--listen"), true }, { S("--json"), false }, { S("-h"), false } };

static struct arguments reader(char **words)
{
    return (struct arguments){ "test", known, ARRAY_LEN(known), words, NULL, false };
}

TEST(values_stand_behind_a_blank_or_an_equals_sign)
{
    char            *words[] = { "--listen", "a=b", "--listen=c=d", "--listen=", "--json", NULL };
    struct arguments a = reader(words);

    assert_int_equal(arguments_next(&a), 0);
    assert_string_equal(a.value, "a=b");
    assert_int_equal(arguments_next(&a), 0);
    assert_string_equal(a.value, "c=d");
    assert_int_equal(arguments_next(&a), 0);
    assert_string_equal(a.value, "");
    assert_int_equal(arguments_next(&a), 1);
    assert_int_equal(arguments_next(&a), ARGUMENT_END);
    assert_int_equal(arguments_next(&a), ARGUMENT_END);
}

TEST(other_words_are_given_as_they_are)
{
    char            *words[] = { "list", "-", "", "-0.50", NULL };
    struct arguments a = reader(words);

    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(arguments_next(&a), ARGUMENT_WORD);
        assert_string_equal(a.value, words[i]);
    }
}

TEST(behind_two_dashes_all_are_words)
{
    char            *words[] = { "--json", "--", "--json", "--", "-x", NULL };
    struct arguments a = reader(words);

    assert_int_equal(arguments_next(&a), 1);
    for (size_t i = 2; i < 5; i++) {
        assert_int_equal(arguments_next(&a), ARGUMENT_WORD);
        assert_string_equal(a.value, words[i]);
    }
    assert_int_equal(arguments_next(&a), ARGUMENT_END);
}

TEST(mistakes_are_told_apart)
{
    char *cases[][2] = { { "--listen", NULL }, { "--json=1", NULL }, { "--listn", NULL }, { "-x", NULL } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct arguments a = reader(cases[i]);

        assert_int_equal(arguments_next(&a), ARGUMENT_WRONG);
    }
}

TEST(a_misspelt_name_finds_the_one_that_was_meant)
{
    const str names[] = { S("wording"), S("workers"), S("cors") };

    assert_str(name_nearest(S("wordng"), names, 3), "wording");
    assert_str(name_nearest(S("worker"), names, 3), "workers");
    assert_str(name_nearest(S("foo"), names, 3), "");
    assert_str(name_nearest(S(""), names, 3), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_stand_behind_a_blank_or_an_equals_sign),
        cmocka_unit_test(other_words_are_given_as_they_are),
        cmocka_unit_test(behind_two_dashes_all_are_words),
        cmocka_unit_test(mistakes_are_told_apart),
        cmocka_unit_test(a_misspelt_name_finds_the_one_that_was_meant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
