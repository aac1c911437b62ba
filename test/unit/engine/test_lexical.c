/* test_lexical.c - vectors without a model: what they are, that they find things, and that they are the same everywhere. */
#include "engine/lexical/lexical.c"

#include "../base/check.h"
#include "retrieval.h"

#include <math.h>
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

static const double *vector(const char *text, size_t dimension)
{
    str                texts[] = { str_from_cstr(text) };
    struct embed_input in = {
        .texts = texts, .text_count = 1, .output = EMBED_DENSE, .dimension = { (int64_t)dimension, true }
    };
    struct embed_answer answer;

    lexical_embed(tokenizer, &arena, &in, &answer);
    assert_int_equal(answer.dimension, dimension);
    return answer.vectors[0].dense;
}

static double near(const char *one, const char *other)
{
    return dot(vector(one, 1024), vector(other, 1024), 1024);
}

static const char *const any_texts[] = { "wind",
                                         "The cat sat on the mat.",
                                         "怎么样",
                                         "a",
                                         "!!! ???",
                                         "\xff\xfe",
                                         " ",
                                         "word word word word",
                                         "x1 y2 z3",
                                         "Ünïcödé Ärger",
                                         "日本語のテキスト",
                                         "한국어" };

static void vectors_have_unit_length_and_hold_floats(void **state)
{
    static const size_t dimensions[] = { 1, 64, 100, 768, 1024, 1152, 2560 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(any_texts); i++) {
        for (size_t k = 0; k < ARRAY_LEN(dimensions); k++) {
            const double *v = vector(any_texts[i], dimensions[k]);

            assert_true(fabs(dot(v, v, dimensions[k]) - 1) < 1e-5);
            for (size_t n = 0; n < dimensions[k]; n++)
                assert_true((double)(float)v[n] == v[n]);
        }
    }
}

/* Whoever cuts a vector himself has what he would have been given. */
static void the_first_numbers_are_the_shorter_vector(void **state)
{
    static const size_t dimensions[] = { 64, 128, 256, 512, 768, 1024, 1536, 2048 };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(any_texts); i++) {
        const double *all = vector(any_texts[i], 2560);

        for (size_t k = 0; k < ARRAY_LEN(dimensions); k++) {
            const double *v = vector(any_texts[i], dimensions[k]);
            double        length = sqrt(dot(all, all, dimensions[k]));

            for (size_t n = 0; n < dimensions[k]; n++)
                assert_true(fabs(all[n] / length - v[n]) < 1e-5);
        }
    }
}

/* To the last bit: on each machine, with each compiler. */
static void vectors_are_the_same_everywhere(void **state)
{
    static const struct {
        const char *text;
        uint64_t    bits;
    } known[] = {
        { "The night train to Vienna leaves at nine.", 0xf60faa2d239b1f51 },
        { "从北京到上海的高铁最快四个半小时。", 0x8e01040d35dfa6e1 },
        { "!", 0xf3c98f2200000000 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        const double *v = vector(known[i].text, 1024);
        uint64_t      h = 0;

        for (size_t n = 0; n < 1024; n++) {
            float    f = (float)v[n];
            uint32_t bits;

            memcpy(&bits, &f, sizeof(bits));
            h = (h ^ bits) * UINT64_C(0x100000001B3);
        }
        if (h != known[i].bits)
            fail_msg("%s: %#llx", known[i].text, (unsigned long long)h);
    }
}

static void what_says_the_same_is_near(void **state)
{
    (void)state;
    assert_true(near("How do I bake bread?", "Baking breads") > 0.4);
    assert_true(near("How do I bake bread?", "Baking breads") >
                3 * near("How do I bake bread?", "How do I mend a tyre?"));
    assert_true(near("THE CAT", "the cat") > 0.9999);
    assert_true(near("ＡＢＣ１２３", "abc123") > 0.9999); /* full width */
    assert_true(near("colour", "colours") > 0.6);
    assert_true(near("胰岛素与血糖", "血糖和胰岛素的关系") > 0.5);
    assert_true(fabs(near("silk road", "数据库备份")) < 0.15);
    assert_true(near("word", "word word word") > 0.9); /* … and repeating changes little */
}

static void texts_may_be_long(void **state)
{
    size_t len = 3u << 20;
    char  *text = arena_bytes(&arena, len + 1), *run = arena_bytes(&arena, len + 1);

    (void)state;
    for (size_t i = 0; i < len; i++)
        text[i] = i % 7 ? (char)('a' + i * i % 26) : ' ';
    memset(run, 'x', len); /* one word */
    text[len] = run[len] = '\0';
    (void)vector(text, 64);
    (void)vector(run, 64);
}

/* ---- sparse ---- */

static struct embed_vector sparse(const char *text)
{
    str                 texts[] = { str_from_cstr(text) };
    struct embed_input  in = { .texts = texts, .text_count = 1, .output = EMBED_SPARSE };
    struct embed_answer answer;

    lexical_embed(tokenizer, &arena, &in, &answer);
    assert_null(answer.vectors[0].dense);
    return answer.vectors[0];
}

static void sparse_vectors_hold_each_token_once(void **state)
{
    struct embed_vector v = sparse("The wind, the WIND and 风");

    (void)state;
    assert_int_equal(v.sparse_count, 4);
    for (size_t i = 0; i < v.sparse_count; i++) {
        assert_true(v.sparse[i].value > 0 && v.sparse[i].value <= 1);
        assert_true(i == 0 || v.sparse[i - 1].index < v.sparse[i].index);
        assert_true(str_eq(v.sparse[i].token, S("the")) || str_eq(v.sparse[i].token, S("wind")) ||
                    str_eq(v.sparse[i].token, S("and")) || str_eq(v.sparse[i].token, S("风")));
    }
    assert_true(v.sparse[0].value < v.sparse[v.sparse_count - 1].value); /* "the" is no news */
}

/* A character that is several tokens has a number of its own, behind the vocabulary. */
static void sparse_tokens_are_whole_characters(void **state)
{
    struct embed_vector v = sparse("𠀀𪚥");

    (void)state;
    assert_int_equal(v.sparse_count, 2);
    assert_true(v.sparse[0].index >= 1 << 18);
    assert_true(v.sparse[0].index != v.sparse[1].index);
    assert_int_equal(v.sparse[0].token.len, 4);
    assert_int_equal(sparse("...").sparse_count, 0);
}

/* ---- rerank ---- */

static void rerank(const char *query, const str *documents, size_t count, struct rerank_answer *ret)
{
    struct rerank_input in = { .query = str_from_cstr(query), .documents = documents, .document_count = count };

    lexical_rerank(&arena, &in, ret);
    assert_int_equal(ret->count, count);
}

static void rerank_puts_the_best_first(void **state)
{
    str documents[] = { S("nothing of it"), S("bread, and much else that is not asked for here"), S("bread"),
                        S("bread from the oven"), S("nothing at all") };
    struct rerank_answer a;

    (void)state;
    rerank("oven breads", documents, ARRAY_LEN(documents), &a);
    assert_int_equal(a.results[0].index, 3);
    assert_int_equal(a.results[1].index, 2); /* shorter than … */
    assert_int_equal(a.results[2].index, 1);
    assert_int_equal(a.results[3].index, 0); /* equals in their order */
    assert_int_equal(a.results[4].index, 4);
    assert_true(a.results[3].score == 0);
    for (size_t i = 0; i < a.count; i++)
        assert_true(a.results[i].score >= 0 && a.results[i].score <= 1);
    rerank("???", documents, ARRAY_LEN(documents), &a);
    assert_true(a.results[0].score == 0);
    rerank("bread", documents, 1, &a);
    assert_true(a.results[0].score == 0);
}

/* By hand: two documents of two and one terms, one with the query's only term once: idf = ln(1 + 1.5 / 1.5) = ln 2, and the
 * share is tf / (tf + k1 (1 - b + b |d| / mean)) = 1 / (1 + 1.2 (0.25 + 0.75 * 1 / 1.5)). */
static void rerank_is_okapi(void **state)
{
    str                  documents[] = { S("cold rain"), S("wind") };
    struct rerank_answer a;

    (void)state;
    rerank("wind", documents, 2, &a);
    assert_int_equal(a.results[0].index, 1);
    assert_true(fabs(a.results[0].score - 1 / (1 + 1.2 * (0.25 + 0.75 / 1.5))) < 1e-9);
}

/* ---- retrieval ---- */

static void vectors_find_what_bm25_finds(void **state)
{
    struct retrieval r;
    struct found     bm25, vectors;
    str              path = arena_printf(&arena, "%s/test/unit/engine/retrieval.txt", getenv("DASHBOX_SOURCE"));

    (void)state;
    assert_true(retrieval_read(&arena, str_to_cstr(&arena, path), &r));
    assert_int_equal(r.question_count, 60);
    bm25 = found_by_bm25(&arena, &r);
    assert_true(bm25.first >= 0.9 && bm25.reciprocal >= 0.93);
    vectors = found_by_vectors(tokenizer, &arena, &r, 1024);
    assert_true(vectors.first >= bm25.first);
    assert_true(vectors.reciprocal >= bm25.reciprocal);
    assert_true(vectors.three >= 0.98);
    assert_true(found_by_vectors(tokenizer, &arena, &r, 256).reciprocal >= 0.9);
    assert_true(found_by_vectors(tokenizer, &arena, &r, 64).reciprocal >= 0.65);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(vectors_have_unit_length_and_hold_floats),
        cmocka_unit_test(the_first_numbers_are_the_shorter_vector),
        cmocka_unit_test(vectors_are_the_same_everywhere),
        cmocka_unit_test(what_says_the_same_is_near),
        cmocka_unit_test(texts_may_be_long),
        cmocka_unit_test(sparse_vectors_hold_each_token_once),
        cmocka_unit_test(sparse_tokens_are_whole_characters),
        cmocka_unit_test(rerank_puts_the_best_first),
        cmocka_unit_test(rerank_is_okapi),
        cmocka_unit_test(vectors_find_what_bm25_finds),
    };

    return cmocka_run_group_tests_name("lexical", tests, setup, teardown);
}
