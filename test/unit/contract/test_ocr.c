/* test_ocr.c - ocr_options are read, and results are found in answers. */
#include "contract/ocr.c"

#include "contract/catalog.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena        arena;
static struct request      rq;
static struct chat_input   in;
static struct chat_message message;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    rq = (struct request){ .arena = &arena, .surface = SURFACE_NATIVE };
    message = (struct chat_message){ .role = CHAT_USER };
    in = (struct chat_input){ .model = model_find(S("qwen-vl-ocr")), .messages = &message, .message_count = 1 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static enum err read_text(const char *json)
{
    rq.fault = (struct fault){ 0 };
    in.ocr = (struct ocr_input){ 0 };
    in.ocr_options = json_parse_copy(&arena, str_from_cstr(json));
    return ocr_read(&rq, &in);
}

static void assert_refused(const char *json, const char *id)
{
    assert_int_equal(read_text(json), ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("%s is refused with %.*s, not %s", json, STR_ARG(rq.fault.row->id), id);
}

static void a_silent_question_is_completed(void **state)
{
    (void)state;
    assert_int_equal(read_text(""), OK);
    assert_int_equal(message.part_count, 1);
    assert_true(str_eq(message.content, OCR_PROMPT));
    assert_int_equal(in.max_tokens.v, in.model->output_max);
    assert_int_equal(read_text(""), OK);
    assert_int_equal(message.part_count, 1); /* it says something now */
}

static void a_task_is_the_question(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"task\":\"table_parsing\"}"), OK);
    assert_int_equal(in.ocr.task, OCR_TABLE_PARSING);
    assert_int_equal(message.part_count, 0);
    assert_true(ocr_instruction(&arena, &in.ocr).len > 0);
    assert_refused("{\"task\":\"table\"}", "W034");
    assert_refused("{}", "E057");
    assert_refused("7", "E057");
    assert_refused("{\"task\":\"key_information_extraction\",\"task_config\":7}", "W035");
}

static void a_template_has_three_levels(void **state)
{
    static const char deep[] = "{\"task\":\"key_information_extraction\",\"task_config\":{\"result_schema\":"
                               "{\"a\":{\"b\":{\"c\":{}}}}}}";

    (void)state;
    assert_int_equal(read_text("{\"task\":\"key_information_extraction\",\"task_config\":{\"result_schema\":"
                               "{\"a\":{\"b\":{\"c\":[{\"d\":1}]}}}}}"),
                     OK);
    assert_true(ocr_schema(&in) != NULL);
    assert_refused(deep, "W035");
}

static str result_of(enum ocr_task task, str text)
{
    struct buf b;

    in.ocr.task = task;
    buf_init(&b, &arena, 4096);
    ocr_add_result(&b, &in, text);
    return buf_str(&b);
}

static void results_are_found_with_or_without_a_fence(void **state)
{
    str kv = S("\"ocr_result\":{\"kv_result\":{\"a\":\"b\"}},"),
        words = S("\"ocr_result\":{\"words_info\":[{\"text\":\"x\"}]},");

    (void)state;
    assert_true(str_eq(result_of(OCR_KEY_INFORMATION_EXTRACTION, S("```json\n{\"a\": \"b\"}\n```")), kv));
    assert_true(str_eq(result_of(OCR_KEY_INFORMATION_EXTRACTION, S(" {\"a\": \"b\"} ")), kv));
    assert_true(str_eq(result_of(OCR_ADVANCED_RECOGNITION, S("[{\"text\":\"x\"}]")), words));
    assert_true(str_eq(result_of(OCR_ADVANCED_RECOGNITION, S("{\"words_info\":[{\"text\":\"x\"}]}")), words));
    assert_int_equal(result_of(OCR_KEY_INFORMATION_EXTRACTION, S("[1]")).len, 0);
    assert_int_equal(result_of(OCR_ADVANCED_RECOGNITION, S("```")).len, 0);
    assert_int_equal(result_of(OCR_KEY_INFORMATION_EXTRACTION, S("")).len, 0);
    assert_int_equal(result_of(OCR_TEXT_RECOGNITION, S("{\"a\":\"b\"}")).len, 0);
    assert_int_equal(result_of(OCR_NONE, S("{\"a\":\"b\"}")).len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_silent_question_is_completed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_task_is_the_question, setup, teardown),
        cmocka_unit_test_setup_teardown(a_template_has_three_levels, setup, teardown),
        cmocka_unit_test_setup_teardown(results_are_found_with_or_without_a_fence, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
