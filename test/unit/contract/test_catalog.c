/* test_catalog.c - rows, codes, and the search behind `dashbox explain`. */
#include "contract/catalog.c"
#include "contract/catalog_search.c"

#include "contract/errors.gen.h"
#include "reference.h"

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

/* What is found first: "E010a exact", "- near". */
static const char *first(const char *query, struct error_hit *ret_hit)
{
    static char              text[64];
    static const char *const hows[] = { "id", "exact", "numbers", "inside", "code", "words", "near" };
    struct error_hit         hits[8] = { 0 };
    size_t                   n = error_search(&arena, str_from_cstr(query), hits, ARRAY_LEN(hits));

    if (n == 0)
        return "nothing";
    if (ret_hit)
        *ret_hit = hits[0];
    snprintf(text, sizeof(text), "%.*s %s", STR_ARG(hits[0].row->id), hows[hits[0].how]);
    return text;
}

static void assert_str(str got, const char *want)
{
    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("got \"%.*s\", wanted \"%s\"", STR_ARG(got), want);
}

static void rows_are_found_by_id_and_name(void **state)
{
    (void)state;
    assert_ptr_equal(error_find(S("E010a")), &error_rows[ERROR_TEMPERATURE_RANGE]);
    assert_ptr_equal(error_find(S("e010A")), &error_rows[ERROR_TEMPERATURE_RANGE]);
    assert_ptr_equal(error_find(S("temperature_range")), &error_rows[ERROR_TEMPERATURE_RANGE]);
    assert_null(error_find(S("E999")));
    assert_null(error_find(S("")));
    assert_int_equal(error_row_count, ERROR_COUNT);
}

static void rows_are_in_order_and_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < error_row_count; i++) {
        const struct error_row *row = &error_rows[i];

        assert_true(row->cause.len > 0);
        assert_true(row->fix.len > 0);
        assert_true(row->cause_zh.len > 0);
        assert_true(row->fix_zh.len > 0);
        assert_true(row->older < (int)error_row_count);
        if (i && error_rows[i - 1].id.ptr[0] == row->id.ptr[0])
            assert_true(str_cmp(error_rows[i - 1].id, row->id) < 0);
    }
}

static void codes_are_mapped_both_ways(void **state)
{
    const enum wording ref = WORDING_REFERENCE;

    (void)state;
    assert_str(error_code_by_native(S("InvalidParameter"))->compat[ref].code, "invalid_parameter_error");
    assert_str(error_code_by_native(S("BadRequest.TooLarge"))->compat[ref].type, "invalid_request_error");
    assert_null(error_code_by_native(S("BadRequest")));
    assert_null(error_code_by_native(S("Arrearage")));
    assert_str(error_code_by_compat(S("invalid_parameter_error"))->native, "InvalidParameter");
    assert_str(error_code_by_compat(S("limit_requests"))->native, "Throttling.RateQuota");
    assert_str(error_code_by_compat(S("insufficient_quota"))->native, "Throttling.AllocationQuota");
    assert_null(error_code_by_compat(S("nonsense")));
}

static void every_sentence_of_the_reference_finds_its_row(void **state)
{
    struct reference *rows = arena_array(&arena, struct reference, REFERENCE_MAX);
    size_t            n = reference_read(&arena, rows);

    (void)state;
    assert_int_equal(n, 316);
    for (size_t i = 0; i < n; i++) {
        struct arena     a;
        struct error_hit hits[8] = { 0 };
        size_t           count;
        bool             met = rows[i].message.len == 0;

        arena_init(&a, 0);
        count = error_search(&a, rows[i].message, hits, ARRAY_LEN(hits));
        for (size_t k = 0; k < count && !met; k++)
            met = str_eq(hits[k].row->id, rows[i].id) && hits[k].how == ERROR_HOW_EXACT;
        if (!met)
            fail_msg("%.*s is not found by its sentence", STR_ARG(rows[i].id));
        arena_free(&a);
    }
}

static void sentences_are_found_in_any_dress(void **state)
{
    struct error_hit hit;

    (void)state;
    assert_string_equal(first("Range of max_tokens should be [1, 8192]", &hit), "E009 exact");
    assert_str(hit.args[0], "8192");
    assert_string_equal(first("<400> InternalError.Algo.InvalidParameter: Temperature should be in [0.0, 2.0)", NULL),
                        "E010a exact");
    assert_string_equal(first("InternalError.Algo: list index out of range", NULL), "E226 exact");
    assert_string_equal(first("Access denied, please make sure your account is in good standing. For details, see: "
                              "https://help.aliyun.com/zh/model-studio/error-code#overdue-payment",
                              NULL),
                        "E099 exact");
    assert_string_equal(first("access denied,  make sure your account\nis in good standing", NULL), "E099 exact");
    assert_string_equal(first("The model `qwen-x` does not exist or you do not have access to it.", &hit),
                        "E198c exact");
    assert_str(hit.args[0], "qwen-x");
    assert_string_equal(first("url error, please check url！", NULL), "E052 exact");
    assert_string_equal(first("request timeout after 60 seconds.", NULL), "E083 numbers");
    assert_string_equal(
        first("openai.BadRequestError: Error code: 400 - {'error': {'message': '<400> "
              "InternalError.Algo.InvalidParameter: Range of input length should be [1, 30720]', 'type': "
              "'invalid_request_error', 'param': None, 'code': 'invalid_parameter_error'}}",
              NULL),
        "E008 inside");
    assert_string_equal(first("Missing required parameter 'payload.model'! Please follow the protocol!", &hit),
                        "E085 exact");
    assert_str(hit.args[0], "payload.model");
}

static void bodies_of_both_protocols_are_read(void **state)
{
    struct error_hit hit;

    (void)state;
    assert_string_equal(
        first("{\"code\":\"InvalidApiKey\",\"message\":\"Invalid API-key provided.\",\"request_id\":\"x\"}", NULL),
        "E186a exact");
    assert_string_equal(
        first(
            "{\"error\":{\"message\":\"Unsupported model `gpt-4` for OpenAI compatibility mode.\",\"type\":\"invalid_request_"
            "error\",\"param\":null,\"code\":\"model_not_supported\"},\"request_id\":\"x\"}",
            &hit),
        "E199 exact");
    assert_str(hit.args[0], "gpt-4");
    assert_string_equal(
        first("id:1\nevent:error\n:HTTP_STATUS/400\ndata:{\"code\":\"InvalidParameter\",\"message\":\"<400> "
              "InternalError.Algo.InvalidParameter: Range of n should be [1, 4]\",\"request_id\":\"x\"}\n",
              NULL),
        "E015 exact");
    assert_string_equal(
        first("{\"output\":{\"task_status\":\"FAILED\",\"code\":\"InternalError.Timeout\",\"message\":\"An "
              "internal timeout error has occured during execution, please try again later or contact service "
              "support.\"}}",
              NULL),
        "E227 exact");
    assert_string_equal(
        first("{\"header\":{\"event\":\"task-failed\",\"error_code\":\"InvalidParameter\",\"error_message\":\""
              "[tts:]Engine return error code: 418\"},\"payload\":{}}",
              NULL),
        "E086 exact");
    assert_string_equal(first("{\"error\":\"Coding Plan is currently only available for Coding Agents\"}", NULL),
                        "X099 exact");
    assert_string_equal(first("{\"code\":\"Arrearage\"}", NULL), "E099 code");
    assert_string_equal(first("{\"error\":{\"code\":\"Arrearage\",\"message\":\"in other words\"}}", NULL),
                        "E099 code");
}

static void codes_words_and_guesses(void **state)
{
    struct error_hit hits[8];

    (void)state;
    assert_string_equal(first("TEMPERATURE_TYPE", NULL), "E010b id");
    assert_string_equal(first("E010", NULL), "E010a id");
    assert_string_equal(first("AllocationQuota.FreeTierOnly", NULL), "E196 code");
    assert_string_equal(first("400-Arrearage", NULL), "E099 code");
    assert_string_equal(first("429-Throttling.RateQuota/LimitRequests/limit_requests", NULL), "E204a code");
    assert_string_equal(first("413", NULL), "E280 code");
    assert_string_equal(first("json thinking", NULL), "E025 words");
    assert_string_equal(first("欠费", NULL), "E099 words");
    assert_string_equal(first("温度", NULL), "E010a words");
    assert_string_equal(first("限流", NULL), "E202 words");
    assert_string_equal(first("模型不存在", NULL), "E031 words");
    assert_string_equal(first("Temprature shuold be in", NULL), "E010a near");
    assert_string_equal(first("qqqq zzzz", NULL), "nothing");
    assert_string_equal(first("", NULL), "nothing");
    assert_int_equal(error_search(&arena, S("InvalidParameter"), hits, 3), 3);
}

static void odd_queries_do_no_harm(void **state)
{
    char *text = arena_bytes(&arena, 200000);

    (void)state;
    memset(text, '{', 200000);
    (void)error_search(&arena, str_of(text, 200000), &(struct error_hit){ 0 }, 1);
    memset(text, '\1', 200000);
    (void)error_search(&arena, str_of(text, 200000), &(struct error_hit){ 0 }, 1);
    memset(text, 0xff, 200000);
    (void)error_search(&arena, str_of(text, 200000), &(struct error_hit){ 0 }, 1);
    for (size_t i = 0; i < 200000; i++)
        text[i] = "Field required: "[i % 16];
    (void)error_search(&arena, str_of(text, 200000), &(struct error_hit){ 0 }, 1);
    (void)error_search(&arena, S("{\"error\":{\"message\":{\"message\":[[[[[[[[[[1]]]]]]]]]]}}}"),
                       &(struct error_hit){ 0 }, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(rows_are_found_by_id_and_name, setup, teardown),
        cmocka_unit_test_setup_teardown(rows_are_in_order_and_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(codes_are_mapped_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(every_sentence_of_the_reference_finds_its_row, setup, teardown),
        cmocka_unit_test_setup_teardown(sentences_are_found_in_any_dress, setup, teardown),
        cmocka_unit_test_setup_teardown(bodies_of_both_protocols_are_read, setup, teardown),
        cmocka_unit_test_setup_teardown(codes_words_and_guesses, setup, teardown),
        cmocka_unit_test_setup_teardown(odd_queries_do_no_harm, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
