/* test_speech_text.c - sentences come out of text however it is cut, and characters count as documented. */
#include "contract/speech_text.c"

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

/* The sentences of `text`, fed in pieces of `step` bytes, parted by "|"; those of the flush behind a "#". */
static const char *cut(const char *text, size_t step)
{
    struct speech_text t;
    struct buf         b;
    str                rest = str_from_cstr(text), s;

    speech_text_init(&t, &arena);
    buf_init(&b, &arena, SIZE_MAX / 2);
    while (rest.len) {
        str piece = str_first(rest, step);

        rest = str_from(rest, piece.len);
        speech_text_add(&t, piece);
        while (speech_text_next(&t, &s)) {
            buf_add(&b, s);
            buf_add_char(&b, '|');
        }
    }
    while (speech_text_flush(&t, &s)) {
        buf_add_char(&b, '#');
        buf_add(&b, s);
    }
    buf_add_char(&b, 0);
    return b.len ? buf_str(&b).ptr : "";
}

static void test_sentences(void **state)
{
    (void)state;
    assert_string_equal(cut("One. Two! Three? Four", 1000), "One.|Two!|Three?|#Four");
    assert_string_equal(cut("It costs 3.14 dollars. Mr. Smith, e.g., and J. Bach said \"Yes.\" Then left.", 1000),
                        "It costs 3.14 dollars.|Mr. Smith, e.g., and J. Bach said \"Yes.\"|#Then left.");
    assert_string_equal(cut("\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82\xe5\xa5\xbd\xef\xbc\x81\xe5\x97\xa8", 1000),
                        "\xe4\xbd\xa0\xe5\xa5\xbd\xe3\x80\x82|\xe5\xa5\xbd\xef\xbc\x81|#\xe5\x97\xa8");
    assert_string_equal(cut("line one\nline two\n\n  \n", 1000), "line one|line two|");
    assert_string_equal(cut("   ", 1000), "");
    assert_string_equal(cut("...", 1000), "#...");
}

/* The same sentences whatever the pieces are, as long as these are whole characters. */
static void test_pieces(void **state)
{
    const char *text = "One two. Three! Is it? Yes; it is, at 3.5 of it. Mr. X.";

    (void)state;
    for (size_t step = 1; step < strlen(text); step++)
        assert_string_equal(cut(text, step), "One two.|Three!|Is it?|Yes;|it is, at 3.5 of it.|#Mr. X.");
}

static void test_long(void **state)
{
    struct speech_text t;
    char               text[1000];
    str                s;
    size_t             n = 0, bytes = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 7 == 6 ? ' ' : 'a';
    speech_text_init(&t, &arena);
    speech_text_add(&t, str_of(text, sizeof(text)));
    while (speech_text_flush(&t, &s)) {
        assert_true(utf8_count(s) <= SPEECH_SENTENCE_MAX);
        assert_true(s.len % 7 == 6); /* whole words */
        n++;
        bytes += s.len;
    }
    assert_int_equal(n, 6);
    assert_true(bytes > 900);
}

/* speech.md §1.6. */
static void test_count(void **state)
{
    (void)state;
    assert_int_equal(speech_text_count(S("\xe5\xba\x8a\xe5\x89\x8d\xe6\x98\x8e\xe6\x9c\x88\xe5\x85\x89\xef\xbc\x8c"),
                                       SPEECH_COUNT_EACH_1, false),
                     6);
    assert_int_equal(speech_text_count(S("\xe5\xba\x8a\xe5\x89\x8d\xe6\x98\x8e\xe6\x9c\x88\xe5\x85\x89\xef\xbc\x8c"),
                                       SPEECH_COUNT_HAN_2, false),
                     11);
    assert_int_equal(speech_text_count(S("ab 1."), SPEECH_COUNT_HAN_2, false), 5);
    assert_int_equal(speech_text_count(S("\xe3\x81\x82\xed\x95\x9c"), SPEECH_COUNT_HAN_2, false), 2); /* kana, hangul */
    assert_int_equal(speech_text_count(S("<speak>ab<break time=\"1s\"/>c</speak>"), SPEECH_COUNT_HAN_2, true), 3);
    assert_int_equal(speech_text_count(S("a < b"), SPEECH_COUNT_HAN_2, true), 5); /* no tag */
}

static void test_audible(void **state)
{
    (void)state;
    assert_true(speech_text_audible(S("a"), false));
    assert_true(speech_text_audible(S("\xe5\xba\x8a"), false));
    assert_true(speech_text_audible(S("7"), false));
    assert_false(speech_text_audible(S(" .,!\xe3\x80\x82\xef\xbc\x8c\xe2\x80\xa6 "), false));
    assert_false(speech_text_audible(S("<speak><break/></speak>"), true));
    assert_true(speech_text_is_marked_up(S("<speak>x</speak>")));
    assert_true(speech_text_is_marked_up(S("x <break time='1s'/>")));
    assert_false(speech_text_is_marked_up(S("1 < 2 > 0, I <3 you")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_sentences, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_count, setup, teardown),
        cmocka_unit_test_setup_teardown(test_audible, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
