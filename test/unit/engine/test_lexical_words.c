/* test_lexical_words.c - how texts are cut, folded and stemmed. */
#include "engine/lexical/words.c"

#include "../base/check.h"

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

/* "the|cat|天气": a run stands in brackets. */
static str cut(str text)
{
    struct words w;
    char        *out = arena_bytes(&arena, 4 * text.len + 64);
    size_t       len = 0;

    words_read(&arena, text, &w);
    for (size_t i = 0; i < w.count; i++) {
        if (i)
            out[len++] = '|';
        if (w.all[i].run)
            out[len++] = '[';
        for (uint32_t k = 0; k < w.all[i].len; k++)
            len += utf8_encode(out + len, w.all[i].cps[k]);
        if (w.all[i].run)
            out[len++] = ']';
    }
    return str_of(out, len);
}

TEST(texts_are_cut_at_signs_and_where_scripts_change)
{
    CHECK_STR(cut(S("The cat's 2nd mat.")), "the|cat|s|2nd|mat");
    CHECK_STR(cut(S("用Python写的API接口")), "[用]|python|[写的]|api|[接口]");
    CHECK_STR(cut(S("北京，上海。")), "[北京]|[上海]");
    CHECK_STR(cut(S("カタカナ・ひらがな 한국어")), "[カタカナ]|[ひらがな]|[한국어]");
    CHECK_STR(cut(S("")), "");
    CHECK_STR(cut(S("… — “ ” 😀 ! \xff")), "😀"); /* a picture is a word */
}

TEST(case_and_width_are_folded)
{
    CHECK_STR(cut(S("ÄRGER ΣΟΦΙΑ МОСКВА ЁЖ ŁÓDŹ ＡＢＣ１２")), "ärger|σοφια|москва|ёж|łódź|abc12");
    CHECK_STR(cut(S("a×b ÷ c")), "a|b|c");
}

static uint64_t stem(const char *word)
{
    struct words w;

    words_read(&arena, str_from_cstr(word), &w);
    assert_int_equal(w.count, 1);
    return word_stem(&w.all[0]);
}

TEST(words_of_one_stem_are_one_term)
{
    static const char *const same[][2] = { { "bake", "baking" },   { "bakes", "baked" },       { "run", "running" },
                                           { "party", "parties" }, { "box", "boxes" },         { "class", "classes" },
                                           { "bush", "bushes" },   { "stretch", "stretches" }, { "prune", "pruned" },
                                           { "glass", "glasses" }, { "cat", "cats" } };
    static const char *const other[][2] = { { "bus", "bu" },     { "is", "i" },   { "ring", "r" },    { "red", "r" },
                                            { "party", "part" }, { "was", "wa" }, { "string", "str" } };

    for (size_t i = 0; i < ARRAY_LEN(same); i++) {
        if (stem(same[i][0]) != stem(same[i][1]))
            fail_msg("%s, %s", same[i][0], same[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(other); i++) {
        if (stem(other[i][0]) == stem(other[i][1]))
            fail_msg("%s, %s", other[i][0], other[i][1]);
    }
}

static void count(void *arg, uint64_t term)
{
    (void)term;
    ++*(size_t *)arg;
}

TEST(runs_are_terms_of_two_signs)
{
    struct words w;
    size_t       n = 0;

    words_read(&arena, S("the 天气预报 好"), &w);
    words_terms(&w, count, &n);
    assert_int_equal(n, 1 + 3 + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_cut_at_signs_and_where_scripts_change),
        cmocka_unit_test(case_and_width_are_folded),
        cmocka_unit_test(words_of_one_stem_are_one_term),
        cmocka_unit_test(runs_are_terms_of_two_signs),
    };

    return cmocka_run_group_tests_name("lexical_words", tests, setup, teardown);
}
