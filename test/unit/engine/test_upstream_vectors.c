/* test_upstream_vectors.c - what servers of the OpenAI form are asked for vectors and rankings, and what they answer. */
#include "engine/upstream/vectors.c"

#include "../base/check.h"

static struct arena arena;
static const str    texts[] = { S("a \"b\""), S("c") };

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

TEST(an_engine_is_asked_in_openais_words_and_the_cloud_in_its_own)
{
    struct embed_input in = {
        .texts = texts, .text_count = 2, .text_type = EMBED_QUERY, .instruct = S("find"), .dimension = { 1024, false }
    };

    CHECK_STR(vectors_embed_body(&arena, &in, S("m"), false),
              "{\"model\":\"m\",\"input\":[\"a \\\"b\\\"\",\"c\"],\"encoding_format\":\"float\"}");
    in.dimension.set = true;
    CHECK_STR(vectors_embed_body(&arena, &in, S("m"), true),
              "{\"model\":\"m\",\"input\":[\"a \\\"b\\\"\",\"c\"],\"dimensions\":1024,\"encoding_format\":\"float\","
              "\"text_type\":\"query\",\"instruct\":\"find\"}");
}

TEST(rerank_is_asked_flat)
{
    struct rerank_input in = { .query = S("q"), .documents = texts, .document_count = 2, .instruct = S("find") };

    CHECK_STR(vectors_rerank_body(&arena, &in, S("m"), false),
              "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a \\\"b\\\"\",\"c\"]}");
    in.top_n = (opt_int){ 1, true };
    CHECK_STR(
        vectors_rerank_body(&arena, &in, S("m"), true),
        "{\"model\":\"m\",\"query\":\"q\",\"documents\":[\"a \\\"b\\\"\",\"c\"],\"top_n\":1,\"instruct\":\"find\"}");
}

static const char *read_embeddings(const char *json, struct embed_answer *ret)
{
    struct embed_input in = { .texts = texts, .text_count = 2 };

    return vectors_embed_read(&arena, json_parse_copy(&arena, str_from_cstr(json)), &in, ret);
}

TEST(embeddings_are_read_in_the_order_of_their_texts)
{
    static const char *const good[] = {
        "{\"data\":[{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]}],\"usage\":{\"prompt_tokens\":7}}",
        "{\"data\":[{\"index\":1,\"embedding\":[3,4]},{\"index\":0,\"embedding\":[1,2]}],\"usage\":{\"total_tokens\":7}}",
        "{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[3,4]}],\"usage\":{\"prompt_tokens\":7}}",
        "{\"data\":[{\"embedding\":\"AACAPwAAAEA=\"},{\"embedding\":\"AABAQAAAgEA=\"}],\"usage\":{\"prompt_tokens\":7}}",
    };

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct embed_answer a;

        assert_null(read_embeddings(good[i], &a));
        assert_int_equal(a.count, 2);
        assert_int_equal(a.dimension, 2);
        assert_int_equal(a.tokens, 7);
        assert_true(a.vectors[0].dense[0] == 1 && a.vectors[0].dense[1] == 2);
        assert_true(a.vectors[1].dense[0] == 3 && a.vectors[1].dense[1] == 4);
    }
}

TEST(embeddings_that_make_no_sense_are_said_so)
{
    static const char *const bad[] = {
        "{}",
        "[]",
        "{\"data\":{}}",
        "{\"data\":[{\"embedding\":[1]}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":[]}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":[1,2]}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":[\"1\"]}]}",
        "{\"data\":[{\"embedding\":[1]},{\"embedding\":null}]}",
        "{\"data\":[{\"embedding\":[1]},7]}",
        "{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":2,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
        "{\"data\":[{\"index\":-1,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}",
        "{\"data\":[{\"embedding\":\"AACAPw=\"},{\"embedding\":\"AACAPw==\"}]}",
        "{\"data\":[{\"embedding\":\"!!!!\"},{\"embedding\":\"AACAPw==\"}]}",
        "{\"data\":[{\"embedding\":\"AACA\"},{\"embedding\":\"AACAPw==\"}]}",
        "{\"data\":[{\"embedding\":\"AADAfw==\"},{\"embedding\":\"AACAPw==\"}]}", /* NaN */
        "{\"data\":[{\"embedding\":\"\"},{\"embedding\":\"AACAPw==\"}]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct embed_answer a;

        if (!read_embeddings(bad[i], &a))
            fail_msg("was read: %s", bad[i]);
    }
}

TEST(no_usage_is_no_count)
{
    struct embed_answer a;

    assert_null(
        read_embeddings("{\"data\":[{\"embedding\":[1]},{\"embedding\":[2]}],\"usage\":{\"prompt_tokens\":0}}", &a));
    assert_int_equal(a.tokens, -1);
}

static const char *read_ranking(const char *json, struct rerank_answer *ret)
{
    struct rerank_input in = { .documents = texts, .document_count = 2 };

    return vectors_rerank_read(&arena, json_parse_copy(&arena, str_from_cstr(json)), &in, ret);
}

TEST(rankings_are_read_in_all_their_forms)
{
    static const char *const good[] = {
        "{\"results\":[{\"index\":0,\"relevance_score\":0.25},{\"index\":1,\"relevance_score\":0.5,\"document\":{\"text\":\"c\"}}]}",
        "{\"data\":[{\"index\":0,\"score\":0.25},{\"index\":1,\"score\":0.5}]}",
        "[{\"index\":1,\"score\":0.5},{\"index\":0,\"score\":0.25}]",
    };
    struct rerank_answer a;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_null(read_ranking(good[i], &a));
        assert_int_equal(a.count, 2);
        assert_int_equal(a.results[0].index, 1);
        assert_true(a.results[0].score == 0.5 && a.results[1].score == 0.25);
    }
    assert_null(
        read_ranking("{\"results\":[{\"index\":1,\"relevance_score\":-4},{\"index\":0,\"relevance_score\":0}]}", &a));
    assert_int_equal(a.results[0].index, 0);
    assert_true(a.results[0].score == 0.5 && a.results[1].score > 0 && a.results[1].score < 0.02);
    assert_null(read_ranking("{\"results\":[]}", &a)); /* top_n was there */
    assert_int_equal(a.count, 0);
}

TEST(rankings_that_make_no_sense_are_said_so)
{
    static const char *const bad[] = {
        "{}",
        "{\"results\":{}}",
        "{\"results\":[{\"index\":2,\"relevance_score\":1}]}",
        "{\"results\":[{\"index\":0}]}",
        "{\"results\":[{\"relevance_score\":1}]}",
        "{\"results\":[{\"index\":0,\"relevance_score\":1},{\"index\":0,\"relevance_score\":1}]}",
        "{\"results\":[{\"index\":0,\"score\":1},{\"index\":1,\"score\":1},{\"index\":0,\"score\":1}]}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct rerank_answer a;

        if (!read_ranking(bad[i], &a))
            fail_msg("was read: %s", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_is_asked_in_openais_words_and_the_cloud_in_its_own),
        cmocka_unit_test(rerank_is_asked_flat),
        cmocka_unit_test(embeddings_are_read_in_the_order_of_their_texts),
        cmocka_unit_test(embeddings_that_make_no_sense_are_said_so),
        cmocka_unit_test(no_usage_is_no_count),
        cmocka_unit_test(rankings_are_read_in_all_their_forms),
        cmocka_unit_test(rankings_that_make_no_sense_are_said_so),
    };

    return cmocka_run_group_tests_name("upstream_vectors", tests, setup, teardown);
}
