/* test_document_recall.c - sentences, and which of them are near to a question. */
#include "service/document_recall.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void a_sentence_ends_at_a_stop_or_a_line_or_where_it_is_too_long(void **state)
{
    char long_one[1000];

    (void)state;
    assert_int_equal(sentence_end(S("One. Two.")), 5);
    assert_int_equal(sentence_end(S("Version 1.5 of it\nTwo")), 18);
    assert_int_equal(sentence_end(S("你好。再见")), 9);
    assert_int_equal(sentence_end(S("the rest")), 8);
    memset(long_one, 'x', sizeof(long_one));
    assert_int_equal(sentence_end(str_of(long_one, sizeof(long_one))), SENTENCE_MAX);
    for (size_t i = 0; i + 3 <= sizeof(long_one); i += 3)
        memcpy(long_one + i, "灯", 3);
    assert_int_equal(sentence_end(str_of(long_one, 999)), SENTENCE_MAX / 3 * 3);
    memset(long_one, '\x80', sizeof(long_one)); /* no text */
    assert_true(sentence_end(str_of(long_one, sizeof(long_one))) > 0);
}

static void the_nearest_come_first_and_strangers_not_at_all(void **state)
{
    static const str sentences[] = { S("The sky is blue."), S("The warranty lasts two years."), S("Nothing."),
                                     S("The warranty lasts two years."),
                                     S("Who wants a warranty that lasts has to register.") };
    size_t           best[CHAT_PASSAGES_MAX];
    struct arena     a;

    (void)state;
    arena_init(&a, 0);
    assert_int_equal(best_of(&a, S("What warranty lasts?"), sentences, 5, best), 2);
    assert_int_equal(best[0], 1);
    assert_int_equal(best[1], 4);
    assert_int_equal(best_of(&a, S("zebra"), sentences, 5, best), 0);
    assert_int_equal(best_of(&a, S(""), sentences, 5, best), 0);
    assert_int_equal(best_of(&a, S("x"), sentences, 0, best), 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sentence_ends_at_a_stop_or_a_line_or_where_it_is_too_long),
        cmocka_unit_test(the_nearest_come_first_and_strangers_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
