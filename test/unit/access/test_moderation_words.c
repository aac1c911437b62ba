/* test_moderation_words.c - thousands of words at once, beside a matcher that tries every place. */
#include "access/moderation_words.c"

#include "../base/check.h"

static struct arena arena;

static int setup(void **s)
{
    (void)s;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **s)
{
    (void)s;
    arena_free(&arena);
    return 0;
}

static uint64_t dice = 11;

static size_t roll(size_t sides)
{
    dice ^= dice << 13;
    dice ^= dice >> 7;
    dice ^= dice << 17;
    return (size_t)(dice % sides);
}

static str random_bytes(size_t len, size_t letters)
{
    char *p = arena_bytes(&arena, len);

    for (size_t i = 0; i < len; i++)
        p[i] = (char)(roll(20) ? 'a' + roll(letters) : 0xE0 + roll(3));
    return str_of(p, len);
}

/* Where the first match ends, 0 for none. */
static size_t found_slowly(const struct word *list, size_t count, str text, unsigned side, uint32_t *ret_rule)
{
    for (size_t end = 1; end <= text.len; end++) {
        *ret_rule = NONE;
        for (size_t i = 0; i < count; i++)
            if ((list[i].sides & side) && list[i].rule < *ret_rule && str_ends(str_first(text, end), list[i].text))
                *ret_rule = list[i].rule;
        if (*ret_rule != NONE)
            return end;
    }
    return 0;
}

static size_t found_cut(const struct words *w, str text, size_t piece, unsigned side, uint32_t *ret_rule)
{
    uint32_t state = 0;
    size_t   end;

    for (size_t at = 0; at < text.len; at += piece)
        if (words_scan(w, &state, str_first(str_from(text, at), piece), side, &end, ret_rule))
            return at + end;
    return 0;
}

static size_t all_hits, all_rounds;

/* Texts with a word and texts without one have both been looked at. */
static void both_occurred(void)
{
    assert_in_range(all_hits, all_rounds / 20, all_rounds - all_rounds / 20);
    all_hits = all_rounds = 0;
}

/* The same for short words, which have no filter, for words of three bytes and of more, and for more of them than have rows
 * or fit in the filter. */
static void compare(size_t count, size_t least, size_t most, size_t letters, size_t text_len, size_t rounds)
{
    struct word  *list = arena_array(&arena, struct word, count), *sorted = arena_array(&arena, struct word, count);
    struct words *w;
    size_t        hits = 0;

    rounds = HAS_TSAN_HERE ? rounds / 4 : rounds;
    for (size_t i = 0; i < count; i++)
        list[i] =
            (struct word){ random_bytes(least + roll(most - least + 1), letters), (uint32_t)i, 1 + (unsigned)roll(3) };
    memcpy(sorted, list, count * sizeof(*list));
    w = words_new(sorted, count, &arena);
    for (size_t i = 0; i < rounds; i++) {
        str      text = random_bytes(roll(text_len), letters);
        unsigned side = 1 + (unsigned)roll(2);
        uint32_t want_rule = NONE, rule = NONE;
        size_t   want = found_slowly(list, count, text, side, &want_rule);

        hits += want > 0;
        for (size_t piece = 1; piece <= text.len; piece += 1 + roll(piece)) {
            assert_int_equal(found_cut(w, text, piece, side, &rule), want);
            assert_true(want == 0 || rule == want_rule);
        }
        assert_int_equal(found_cut(w, text, text.len + 1, side, &rule), want);
    }
    all_hits += hits;
    all_rounds += rounds;
}

TEST(few_words_are_found_as_by_trying_every_place)
{
    compare(5, 3, 6, 3, 60, 4000);
    compare(5, 4, 8, 3, 300, 4000);
    compare(5, 1, 3, 12, 30, 4000);
    compare(5, 5, 6, 3, 120, 4000);
    compare(3, 6, 8, 3, 200, 4000);
    compare(5, 7, 9, 2, 60, 2000);
    compare(5, 10, 16, 2, 400, 2000);
    compare(1, 4, 4, 3, 90, 1000);
    both_occurred();
}

TEST(thousands_of_words_are_found_as_by_trying_every_place)
{
    compare(3000, 4, 12, 8, 30, 600);
    compare(3000, 6, 14, 5, 40, 600);
    compare(12000, 6, 9, 7, 60, 150);
    both_occurred();
}

TEST(the_filter_is_there_for_few_words_of_some_length)
{
    struct word   list[] = { { S("abcd"), 0, 3 }, { S("xyz"), 1, 3 } }, small = { S("ab"), 0, 3 };
    struct word  *many = arena_array(&arena, struct word, 20000);
    struct words *w = words_new(list, 2, &arena);

    assert_int_equal(w->filter_bytes, 3);
    assert_int_equal(w->shallow, 5); /* root, a, x, ab, xy */
    assert_int_equal(words_new(&small, 1, &arena)->shallow, 0);
    for (size_t i = 0; i < 20000; i++)
        many[i] = (struct word){ arena_printf(&arena, "%04zx", i), (uint32_t)i, 3 };
    assert_int_equal(words_new(many, 20000, &arena)->shallow, 0);
    assert_true(words_new(many, 16000, &arena)->shallow > 0);
    assert_int_equal(words_new(many, 16000, &arena)->filter_places, 1);
    for (size_t i = 0; i < 2000; i++)
        many[i].text = arena_printf(&arena, "wordword%04zu", i);
    assert_int_equal(words_new(many, 100, &arena)->filter_places, 8);
    assert_int_equal(words_new(many, 2000, &arena)->filter_places, 5);
    for (size_t i = 0; i < 9000; i++)
        many[i].text = arena_printf(&arena, "%04zx%02zu", i, i * 7 % 100);
    assert_int_equal(words_new(many, 9000, &arena)->filter_places, 1); /* there is no room for more */
}

TEST(the_same_word_for_two_sides_has_two_rules)
{
    struct word   list[] = { { S("word"), 3, 1 }, { S("word"), 2, 2 }, { S("ord"), 1, 2 }, { S("word"), 4, 3 } };
    struct words *w = words_new(list, ARRAY_LEN(list), &arena);
    uint32_t      at = 0, rule;
    size_t        end;

    assert_true(words_scan(w, &at, S("a word"), 1, &end, &rule));
    assert_int_equal(rule, 3);
    assert_int_equal(end, 6);
    at = 0;
    assert_true(words_scan(w, &at, S("a word"), 2, &end, &rule));
    assert_int_equal(rule, 1);
}

#define words_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        words_test(few_words_are_found_as_by_trying_every_place),
        words_test(thousands_of_words_are_found_as_by_trying_every_place),
        words_test(the_filter_is_there_for_few_words_of_some_length),
        words_test(the_same_word_for_two_sides_has_two_rules),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
