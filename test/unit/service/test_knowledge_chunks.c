/* test_knowledge_chunks.c - sentences, packed; and the words of a text. */
#include "service/knowledge_chunks.c"

#include "../base/check.h"

#include <stdlib.h>

static struct arena      arena;
static struct tokenizer *tokenizer;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return (int)tokenizer_open(getenv("DASHBOX_TOKENIZER"), &tokenizer);
}

static int teardown(void **state)
{
    (void)state;
    tokenizer_close(tokenizer);
    arena_free(&arena);
    return 0;
}

static size_t cut(str text, struct chunk_rule rule, struct chunk **ret)
{
    size_t count;

    assert_int_equal(chunks_cut(tokenizer, &arena, text, &rule, 10000, ret, &count), OK);
    return count;
}

static str many_sentences(size_t n)
{
    struct buf b;

    buf_init(&b, &arena, SIZE_MAX / 2);
    for (size_t i = 0; i < n; i++)
        buf_addf(&b, "This is sentence number %zu of the text. ", i);
    return buf_str(&b);
}

TEST(chunks_are_whole_sentences_that_overlap_and_leave_nothing_out)
{
    str           text = many_sentences(200);
    struct chunk *c;
    size_t        count = cut(text, (struct chunk_rule){ .size = 100, .overlap = 20 }, &c);
    const char   *end = text.ptr;

    assert_true(count > 15);
    for (size_t i = 0; i < count; i++) {
        assert_true(tokenizer_count(tokenizer, c[i].text) <= 100);
        assert_true(str_starts(c[i].text, S("This is")));
        assert_true(str_ends(c[i].text, S("text.")));
        assert_true(i == 0 ? c[i].text.ptr == text.ptr : c[i].text.ptr < end); /* it repeats something */
        assert_true(c[i].text.ptr + c[i].text.len > end);                      /* and goes on */
        end = c[i].text.ptr + c[i].text.len;
    }
    assert_true(end >= text.ptr + text.len - 1);
}

TEST(without_an_overlap_nothing_is_said_twice)
{
    str           text = many_sentences(50);
    struct chunk *c;
    size_t        count = cut(text, (struct chunk_rule){ .size = 60 }, &c);

    for (size_t i = 1; i < count; i++)
        assert_true(c[i].text.ptr >= c[i - 1].text.ptr + c[i - 1].text.len);
}

TEST(what_has_no_sentences_is_cut_between_words_or_characters)
{
    char          text[9000];
    struct chunk *c;
    size_t        count, bytes = 0;

    for (size_t i = 0; i < sizeof(text); i += 3)
        memcpy(text + i, "灯", 3);
    count = cut(str_of(text, sizeof(text)), (struct chunk_rule){ .size = 50 }, &c);
    for (size_t i = 0; i < count; i++) {
        assert_true(tokenizer_count(tokenizer, c[i].text) <= 50);
        assert_int_equal(c[i].text.len % 3, 0);
        bytes += c[i].text.len;
    }
    assert_int_equal(bytes, sizeof(text));
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = i % 7 == 6 ? ' ' : 'a' + (char)(i % 5);
    count = cut(str_of(text, sizeof(text)), (struct chunk_rule){ .size = 50 }, &c);
    assert_true(count > 10);
    for (size_t i = 0; i + 1 < count; i++)
        assert_int_equal(c[i].text.len % 7, 6);
}

TEST(a_heading_begins_a_chunk_and_is_its_title)
{
    struct chunk *c;
    str    text = S("# Pumps\nPrime the pump first. Never run it dry, since that burns the seal within a minute.\n\n"
                       "## Filters\nClean them weekly.\n");
    size_t count = cut(text, (struct chunk_rule){ .size = 40, .overlap = 10 }, &c);

    assert_int_equal(count, 2);
    assert_true(str_eq(c[0].title, S("Pumps")));
    assert_true(str_eq(c[1].title, S("Filters")));
    assert_true(str_starts(c[1].text, S("## Filters")));
}

TEST(separators_of_ones_own_and_texts_without_words)
{
    const str         bar[] = { S("|") };
    struct chunk     *c;
    struct chunk_rule rule = { .size = 5, .separators = bar, .separator_count = 1 };

    assert_int_equal(cut(S("one two. three|four five. six|"), rule, &c), 2);
    assert_true(str_eq(c[1].text, S("four five. six|")));
    assert_int_equal(cut(S(""), rule, &c), 0);
    assert_int_equal(cut(S(" \n \n"), rule, &c), 0);
}

TEST(more_chunks_than_may_be_are_refused)
{
    struct chunk     *c;
    size_t            count;
    struct chunk_rule rule = { .size = 20 };

    assert_int_equal(chunks_cut(tokenizer, &arena, many_sentences(50), &rule, 3, &c, &count), ERR_LIMIT);
}

TEST(words_are_stems_and_neighbours_and_a_question_has_each_once)
{
    str one = chunk_words(&arena, S("baking"), false), twice = chunk_words(&arena, S("Bakes bake"), false);

    assert_int_equal(one.len, WORD_DIGITS);
    assert_int_equal(twice.len, 2 * WORD_DIGITS + 1);
    assert_true(str_starts(twice, one));
    assert_true(str_eq(chunk_words(&arena, S("Bakes bake"), true), one));
    assert_true(str_find_str(chunk_words(&arena, S("每周清洗"), false), chunk_words(&arena, S("清洗"), false)) !=
                STR_NONE);
    assert_int_equal(chunk_words(&arena, S("!?"), true).len, 0);
    assert_int_equal(chunk_words(&arena, many_sentences(400), true).len, KNOWLEDGE_TERMS_MAX * (WORD_DIGITS + 1) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_are_whole_sentences_that_overlap_and_leave_nothing_out),
        cmocka_unit_test(without_an_overlap_nothing_is_said_twice),
        cmocka_unit_test(what_has_no_sentences_is_cut_between_words_or_characters),
        cmocka_unit_test(a_heading_begins_a_chunk_and_is_its_title),
        cmocka_unit_test(separators_of_ones_own_and_texts_without_words),
        cmocka_unit_test(more_chunks_than_may_be_are_refused),
        cmocka_unit_test(words_are_stems_and_neighbours_and_a_question_has_each_once),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
