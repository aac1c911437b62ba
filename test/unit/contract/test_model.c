/* test_model.c - the table of models and its index. */
#include "contract/model.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct model *find(const char *id)
{
    const struct model *m = model_find(str_from_cstr(id));

    if (!m)
        fail_msg("%s is unknown", id);
    return m;
}

static void every_model_is_found_by_its_id(void **state)
{
    (void)state;
    assert_int_equal(model_count, 698); /* the catalogue, two for embeddings, one for code */
    for (unsigned i = 0; i < model_count; i++) {
        assert_ptr_equal(model_find(models[i].id), &models[i]);
        if (i)
            assert_true(str_cmp(models[i - 1].id, models[i].id) < 0);
    }
}

static void lookup_is_exact(void **state)
{
    char long_id[5000];

    (void)state;
    memset(long_id, 'q', sizeof(long_id));
    assert_null(model_find(S("Qwen-Plus")));
    assert_null(model_find(S(" qwen-plus")));
    assert_null(model_find(S("qwen-plus ")));
    assert_null(model_find(S("qwen-plu")));
    assert_null(model_find(S("")));
    assert_null(model_find((str){ 0 }));
    assert_null(model_find(str_of(long_id, sizeof(long_id))));
}

static void limits_and_abilities_are_those_of_the_catalogue(void **state)
{
    const struct model *m = find("qwen-plus");

    (void)state;
    assert_int_equal(m->input_max, 997952);
    assert_int_equal(model_input_max(m, true), 995904);
    assert_int_equal(m->output_max, 32768);
    assert_int_equal(m->output_max_thinking, 32768);
    assert_int_equal(m->budget_max, 81920);
    assert_int_equal(m->thinking, MODEL_THINKING_HYBRID);
    assert_false(m->thinking_default);
    assert_true(m->can_tools);
    assert_true(m->can_search);
    assert_false(m->can_logprobs);
    assert_true(m->openai);
    assert_true(model_on_path(m, MODEL_PATH_TEXT));
    assert_false(model_on_path(m, MODEL_PATH_MULTIMODAL));
    assert_int_equal(m->content, MODEL_CONTENT_STRING);
    assert_int_equal(m->result, MODEL_RESULT_TEXT);
    assert_int_equal(m->incremental, MODEL_INCREMENTAL_OFF);
    assert_int_equal(m->rpm, 30000);

    assert_int_equal(find("qwq-plus")->stream_only, MODEL_STREAM_ONLY);
    assert_int_equal(find("qwq-plus")->incremental, MODEL_INCREMENTAL_ONLY);
    assert_int_equal(find("qwen3-32b")->stream_only, MODEL_STREAM_THINKING);
    assert_true(find("qwen3-32b")->thinking_default);
    assert_int_equal(find("deepseek-r1")->content, MODEL_CONTENT_PREPROCESS);
    assert_int_equal(find("qwen3-max")->result, MODEL_RESULT_MESSAGE);
    assert_int_equal(find("qwen3-next-80b-a3b-instruct")->result, MODEL_RESULT_TEXT);
    assert_true(model_on_path(find("qwen3.6-plus"), MODEL_PATH_TEXT));
    assert_true(model_on_path(find("qwen3.6-plus"), MODEL_PATH_MULTIMODAL));
    assert_false(find("farui-plus")->openai);
    assert_int_equal(find("wan2.6-image")->calls & BIT(MODEL_CALL_ASYNC), BIT(MODEL_CALL_ASYNC));
}

static bool is_chat(const struct model *m)
{
    return model_on_path(m, MODEL_PATH_OPENAI) && (m->task == MODEL_TASK_CHAT || m->task == MODEL_TASK_VISION_CHAT);
}

/* What a check can rely on, for each chat model that is served. */
static void chat_models_are_consistent(void **state)
{
    (void)state;
    for (unsigned i = 0; i < model_count; i++) {
        const struct model *m = &models[i];

        if (!model_is_served(m) || !is_chat(m) || str_eq(m->id, S("batch-test-model")))
            continue;
        assert_true(m->input_max > 0);
        assert_true(m->input_max_thinking > 0);
        assert_true(m->output_max > 0);
        assert_true(m->output_max_thinking > 0);
        if (m->thinking == MODEL_THINKING_NONE) {
            assert_false(m->thinking_default);
            assert_int_equal(m->budget_max, 0);
            assert_int_not_equal(m->stream_only, MODEL_STREAM_THINKING);
        }
        if (m->thinking == MODEL_THINKING_ONLY) {
            assert_true(m->thinking_default);
            assert_int_not_equal(m->incremental, MODEL_INCREMENTAL_OFF);
            assert_int_not_equal(m->result, MODEL_RESULT_TEXT);
        }
        assert_true(m->calls & BIT(MODEL_CALL_SSE));
    }
}

static void retired_ids_are_known_and_marked(void **state)
{
    unsigned retired = 0;

    (void)state;
    for (unsigned i = 0; i < model_count; i++)
        retired += !model_is_served(&models[i]);
    assert_int_equal(retired, 105);
    assert_int_equal(find("qwen-7b-chat")->status, MODEL_RETIRED);
    assert_true(str_eq(find("qwen-7b-chat")->offline, S("2025-05-08")));
    assert_int_equal(find("qwen-turbo")->status, MODEL_RETIRING);
}

static void reasoning_effort_has_words_of_its_own(void **state)
{
    (void)state;
    assert_true(model_takes_effort(find("qwen3.8-max"), S("none")));
    assert_false(model_takes_effort(find("qwen3.8-max"), S("banana")));
    assert_true(model_takes_effort(find("glm-5.3"), S("low")));
    assert_false(model_takes_effort(find("glm-5.3"), S("medium")));
    assert_true(model_takes_effort(find("deepseek-v4-pro"), S("xhigh"))); /* seen on the wire */
    assert_int_equal(find("qwen-plus")->effort.len, 0);
    assert_int_equal(4096, model_effort_budget(find("qwen3.8-max"), S("minimal")));
    assert_int_equal(16384, model_effort_budget(find("qwen3.8-max"), S("medium")));
    assert_int_equal(262144, model_effort_budget(find("qwen3.8-max"), S("xhigh")));
    assert_int_equal(0, model_effort_budget(find("qwen3.8-max"), S("none")));
    assert_int_equal(0, model_effort_budget(find("glm-5.3"), S("low"))); /* nobody tells */
    assert_false(words_have(S("low high"), S("")));
    assert_false(words_have(S("low high"), S("hig")));
}

static void who_takes_what(void **state)
{
    (void)state;
    assert_true(find("deepseek-v3")->can_required);
    assert_false(find("qwen-plus")->can_required);
    assert_false(find("qwen-plus-2025-07-28")->can_required); /* has no provider in the catalogue */
    assert_true(find("qwen3-vl-plus")->can_partial);
    assert_false(find("deepseek-v3")->can_partial);
    assert_int_equal(find("qwen3.5-plus")->frames_max, 8000);
    assert_int_equal(find("qwen2.5-vl-72b-instruct")->frames_min, 4);
    assert_int_equal(find("qwen2.5-vl-72b-instruct")->frames_max, 512);
    assert_int_equal(find("qwen-mt-plus")->incremental, MODEL_INCREMENTAL_NEVER);
    assert_int_equal(find("qwen-mt-lite-us")->languages, MODEL_LANGUAGES_LITE);
    assert_int_equal(find("qwen3-32b")->failure, MODEL_FAILURE_COMPUTATION);
    assert_int_equal(find("qwen-plus")->failure, MODEL_FAILURE_EXECUTION);
    assert_int_equal(find("deepseek-v4-pro")->max_tokens, MODEL_MAX_TOKENS_ALL);
    assert_int_equal(find("glm-5.2")->max_tokens, MODEL_MAX_TOKENS_UNBUDGETED);
    assert_int_equal(find("qwen-plus")->max_tokens, MODEL_MAX_TOKENS_ANSWER);
    assert_int_equal(find("qwen-vl-max-2024-11-19")->usage, MODEL_USAGE_FLAT);
    assert_true(find("qwen-plus-character")->can_logit_bias);
    assert_true(find("qwen3-max")->can_code);
    assert_false(find("qwen-plus")->can_code);
    assert_true(find("glm-5")->can_tool_stream);
    assert_true(find("qwen-plus")->partial_answer);
    assert_false(find("qwen-vl-max")->partial_answer);
    assert_false(find("deepseek-v3")->partial_answer);
}

static void sampling_parameters_have_known_defaults(void **state)
{
    (void)state;
    assert_true(str_starts(model_fact(find("qwen-plus"), S("sampling")), S("temperature 0.7, top_p 0.8,")));
    assert_true(str_starts(model_fact(find("qwen-plus"), S("sampling.thinking")), S("temperature 0.6, top_p 0.95,")));
    assert_int_equal(0, model_fact(find("qwq-plus"), S("sampling")).len); /* it always thinks */
    assert_true(str_starts(model_fact(find("qwen-math-plus"), S("sampling")), S("temperature 0, top_p 1.0,")));
    assert_int_equal(0, model_fact(find("text-embedding-v4"), S("sampling")).len);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_found_by_its_id),
        cmocka_unit_test(lookup_is_exact),
        cmocka_unit_test(limits_and_abilities_are_those_of_the_catalogue),
        cmocka_unit_test(chat_models_are_consistent),
        cmocka_unit_test(retired_ids_are_known_and_marked),
        cmocka_unit_test(reasoning_effort_has_words_of_its_own),
        cmocka_unit_test(who_takes_what),
        cmocka_unit_test(sampling_parameters_have_known_defaults),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
