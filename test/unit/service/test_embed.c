/* test_embed.c - what is decided of embeddings before a text is looked at. */
#include "service/embed.c"

#include "contract/catalog.h"

#include "../base/check.h"

static struct arena       arena;
static struct request     rq;
static struct embed_input in;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    rq = (struct request){ .arena = &arena };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void of_model(const char *id, size_t texts)
{
    in = (struct embed_input){ .model = model_find(str_from_cstr(id)), .text_count = texts };
    assert_non_null(in.model);
}

static void assert_fault(enum err e, const char *id)
{
    assert_int_equal(e, ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("refused with %.*s, not %s", STR_ARG(rq.fault.row->id), id);
    rq.fault = (struct fault){ 0 };
}

TEST(what_is_left_out_is_the_models)
{
    static const struct {
        const char *id;
        int64_t     dimension;
    } defaults[] = { { "text-embedding-v1", 1536 },      { "text-embedding-v2", 1536 },
                     { "text-embedding-v3", 1024 },      { "text-embedding-v4", 1024 },
                     { "qwen3.7-text-embedding", 1024 }, { "text-embedding-async-v2", 1536 },
                     { "qwen3-vl-embedding", 2560 },     { "qwen2.5-vl-embedding", 1024 },
                     { "multimodal-embedding-v1", 1024 } };

    for (size_t i = 0; i < ARRAY_LEN(defaults); i++) {
        of_model(defaults[i].id, 1);
        assert_int_equal(embed_check(&rq, &in), OK);
        assert_int_equal(in.dimension.v, defaults[i].dimension);
        assert_false(in.dimension.set); /* an engine is not told what nobody has asked for */
        assert_int_equal(in.output, EMBED_DENSE);
        assert_int_equal(in.text_type, EMBED_DOCUMENT);
    }
}

TEST(a_dimension_is_one_of_the_models)
{
    of_model("text-embedding-v4", 1);
    in.dimension = (opt_int){ 2048, true };
    assert_int_equal(embed_check(&rq, &in), OK);
    assert_int_equal(in.dimension.v, 2048);
    assert_true(in.dimension.set);
    of_model("text-embedding-v3", 1);
    in.dimension = (opt_int){ 2048, true };
    assert_fault(embed_check(&rq, &in), "W203");
    of_model("text-embedding-v1", 1); /* it has but one */
    in.dimension = (opt_int){ 64, true };
    assert_int_equal(embed_check(&rq, &in), OK);
    assert_int_equal(in.dimension.v, 1536);
}

TEST(only_some_models_have_sparse_vectors)
{
    of_model("text-embedding-v4", 1);
    in.output = EMBED_SPARSE;
    assert_int_equal(embed_check(&rq, &in), OK);
    assert_int_equal(in.output, EMBED_SPARSE);
    of_model("text-embedding-v2", 1);
    in.output = EMBED_SPARSE;
    assert_int_equal(embed_check(&rq, &in), OK);
    assert_int_equal(in.output, EMBED_DENSE);
}

TEST(each_model_has_its_number_of_texts)
{
    of_model("text-embedding-v4", 10);
    assert_int_equal(embed_check(&rq, &in), OK);
    of_model("text-embedding-v4", 11);
    assert_fault(embed_check(&rq, &in), "E036");
    of_model("text-embedding-v1", 26);
    assert_fault(embed_check(&rq, &in), "W201");
    of_model("text-embedding-async-v1", 100000);
    assert_int_equal(embed_check(&rq, &in), OK);
}

TEST(media_are_counted_by_kind_before_they_are_refused)
{
    of_model("qwen3-vl-embedding", 1);
    in.images = 5;
    assert_fault(check_media(&rq, &in), "E223");
    in.images = 6;
    assert_fault(check_media(&rq, &in), "E036");
    in.images = 0;
    in.videos = 2;
    assert_fault(check_media(&rq, &in), "E036");
    of_model("qwen2.5-vl-embedding", 2);
    assert_fault(check_media(&rq, &in), "E036");
    of_model("multimodal-embedding-v1", 20);
    assert_int_equal(check_media(&rq, &in), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_left_out_is_the_models),
        cmocka_unit_test(a_dimension_is_one_of_the_models),
        cmocka_unit_test(only_some_models_have_sparse_vectors),
        cmocka_unit_test(each_model_has_its_number_of_texts),
        cmocka_unit_test(media_are_counted_by_kind_before_they_are_refused),
    };

    return cmocka_run_group_tests_name("embed", tests, setup, teardown);
}
