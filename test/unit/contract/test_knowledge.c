/* test_knowledge.c - the way of a question, and which documents count. */
#include "contract/knowledge.c"

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

static yyjson_val *json(const char *text)
{
    return json_parse_copy(&arena, str_from_cstr(text));
}

static bool holds(const char *conditions, const char *tags, const char *details)
{
    struct knowledge_filter f = { 0 };

    assert_true(knowledge_filter_add(&arena, &f, json(conditions)));
    return knowledge_filter_holds(&f, &arena, S("file-1"), str_from_cstr(tags), str_from_cstr(details));
}

TEST(all_conditions_must_hold_and_any_value_of_one_will_do)
{
    assert_true(holds("{}", "[]", "{}"));
    assert_true(holds("{\"year\":2026}", "[]", "{\"year\":2026}"));
    assert_true(holds("{\"year\":\"2026\"}", "[]", "{\"year\":2026.0}"));
    assert_false(holds("{\"year\":2025}", "[]", "{\"year\":2026}"));
    assert_true(holds("{\"year\":[2025,2026]}", "[]", "{\"year\":2026}"));
    assert_true(holds("{\"lang\":\"de\"}", "[]", "{\"lang\":[\"en\",\"de\"]}"));
    assert_false(holds("{\"lang\":\"de\",\"year\":2026}", "[]", "{\"lang\":\"de\"}"));
    assert_true(holds("{\"tags\":[\"a\",\"b\"],\"done\":true}", "[\"b\"]", "{\"done\":true}"));
    assert_false(holds("{\"tags\":\"a\"}", "[\"b\"]", "{\"tags\":\"a\"}"));
    assert_false(holds("{\"done\":true}", "[]", "{\"done\":1}"));
    assert_false(holds("{\"x\":\"y\"}", "broken", "broken"));
}

TEST(files_are_named_and_an_empty_list_asks_for_nothing)
{
    struct knowledge_filter f = { 0 };

    assert_true(knowledge_filter_add_list(&arena, &f, KNOWLEDGE_BY_FILE, json("[]")));
    assert_int_equal(f.count, 0);
    assert_true(knowledge_filter_add_list(&arena, &f, KNOWLEDGE_BY_FILE, json("[\"file-2\",\"file-1\"]")));
    assert_true(knowledge_filter_holds(&f, &arena, S("file-1"), S("[]"), S("{}")));
    assert_false(knowledge_filter_holds(&f, &arena, S("file-3"), S("[]"), S("{}")));
}

TEST(what_is_no_condition_is_refused)
{
    struct knowledge_filter f = { 0 };

    assert_false(knowledge_filter_add(&arena, &f, json("[]")));
    assert_false(knowledge_filter_add(&arena, &f, json("{\"a\":{}}")));
    assert_false(knowledge_filter_add(&arena, &f, json("{\"a\":[[]]}")));
    assert_false(knowledge_filter_add_list(&arena, &f, KNOWLEDGE_BY_TAG, json("[1]")));
    assert_false(knowledge_filter_add_list(&arena, &f, KNOWLEDGE_BY_TAG, json("\"a\"")));
    assert_false(knowledge_filter_add_all(&arena, &f, json("[{\"a\":1},2]")));
    assert_false(knowledge_filter_add_all(&arena, &f, json("{}")));
}

TEST(a_call_stands_above_the_base_and_that_above_the_defaults)
{
    struct knowledge_input in = { .top = { 2, true } };
    struct knowledge_way   way;

    knowledge_read_own(
        &arena,
        S("{\"rerank_top_n\":9,\"enable_reranking\":false,\"rerank_min_score\":0.5,\"dense_similarity_top_k\":-1,"
          "\"rerank\":[{\"model_name\":\"m\"}]}"),
        &in);
    knowledge_decide(&in, &way);
    assert_int_equal(way.top, 2);
    assert_false(way.rerank);
    assert_true(way.score_min == 0.5);
    assert_int_equal(way.dense_top, KNOWLEDGE_DENSE_TOP);
    assert_true(str_eq(way.reranker, S("m")));
    in = (struct knowledge_input){ 0 };
    knowledge_read_own(&arena, S("no JSON"), &in);
    knowledge_decide(&in, &way);
    assert_int_equal(way.top, 5);
    assert_true(way.rerank);
    assert_false(way.rewrite);
    assert_true(str_eq(way.rewriter, KNOWLEDGE_REWRITER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_conditions_must_hold_and_any_value_of_one_will_do),
        cmocka_unit_test(files_are_named_and_an_empty_list_asks_for_nothing),
        cmocka_unit_test(what_is_no_condition_is_refused),
        cmocka_unit_test(a_call_stands_above_the_base_and_that_above_the_defaults),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
