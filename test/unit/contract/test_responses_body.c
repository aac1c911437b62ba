/* test_responses_body.c - items become messages; items as they are stored. */
#include "contract/responses_body.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena      arena;
static struct request    rq;
static struct chat_input in;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    rq = (struct request){ .arena = &arena, .surface = SURFACE_OPENAI };
    in = (struct chat_input){ .model = model_find(S("qwen-plus")) };
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
    yyjson_val *v = json_parse_copy(&arena, str_from_cstr(text));

    assert_non_null(v);
    return v;
}

static void assert_text(str got, const char *want)
{
    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("%.*s is not %s", STR_ARG(got), want);
}

static void a_turn_takes_its_reasoning_and_its_calls_together(void **state)
{
    (void)state;
    assert_int_equal(
        responses_read_items(
            &rq, S("be kind"),
            json(
                "[{\"role\":\"user\",\"content\":\"hi\"},{\"type\":\"reasoning\",\"summary\":[{\"text\":\"h\"},{\"text\":\"m\"}]},"
                "{\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":\"output_text\",\"text\":\"wait\"}]},"
                "{\"type\":\"function_call\",\"call_id\":\"1\",\"name\":\"f\",\"arguments\":\"{}\"},"
                "{\"type\":\"function_call\",\"call_id\":\"2\",\"name\":\"g\",\"arguments\":\"{}\"},"
                "{\"type\":\"function_call_output\",\"call_id\":\"1\",\"output\":\"one\"},"
                "{\"type\":\"function_call_output\",\"call_id\":\"2\",\"output\":[{\"type\":\"input_text\",\"text\":\"two\"}]},"
                "{\"type\":\"web_search_call\",\"id\":\"x\"}]"),
            &in),
        OK);
    assert_int_equal(in.message_count, 5);
    assert_int_equal(in.messages[0].role, CHAT_SYSTEM);
    assert_text(in.messages[0].content, "be kind");
    assert_int_equal(in.messages[2].role, CHAT_ASSISTANT);
    assert_text(in.messages[2].content, "wait");
    assert_text(in.messages[2].reasoning, "hm");
    assert_int_equal(in.messages[2].tool_call_count, 2);
    assert_text(in.messages[2].tool_calls[1].name, "g");
    assert_text(in.messages[3].tool_call_id, "1");
    assert_text(in.messages[4].content, "two");
}

static void tools_are_those_that_are_allowed(void **state)
{
    struct responses_body body;

    (void)state;
    assert_int_equal(
        responses_read(
            &rq,
            json("{\"input\":\"hi\",\"tools\":[{\"type\":\"function\",\"name\":\"f\"},{\"type\":\"function\",\"name\":"
                 "\"g\"}],\"tool_choice\":{\"type\":\"allowed_tools\",\"mode\":\"required\",\"tools\":[{\"type\":"
                 "\"function\",\"name\":\"g\"}]}}"),
            &in, &body),
        OK);
    assert_int_equal(in.tool_count, 1);
    assert_text(in.tools[0].name, "g");
    assert_text(in.tools[0].text, "{\"type\":\"function\",\"function\":{\"name\":\"g\"}}");
    assert_int_equal(in.tool_choice, CHAT_TOOLS_REQUIRED);
    assert_true(body.store);
}

static void stored_items_are_in_order_and_have_an_id(void **state)
{
    str id;

    (void)state;
    assert_text(responses_item_text(&arena, json("{\"role\":\"user\",\"id\":\"msg_1\",\"content\":\"a\\\"b\"}"), &id),
                "{\"content\":[{\"text\":\"a\\\"b\",\"type\":\"input_text\"}],\"id\":\"msg_1\",\"role\":\"user\","
                "\"status\":\"completed\",\"type\":\"message\"}");
    assert_text(id, "msg_1");
    responses_item_text(&arena, json("{\"type\":\"function_call_output\",\"output\":\"x\",\"call_id\":\"1\"}"), &id);
    assert_int_equal(id.len, 4 + UUID_LEN);
    assert_true(str_starts(id, S("msg_")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_turn_takes_its_reasoning_and_its_calls_together),
        TEST(tools_are_those_that_are_allowed),
        TEST(stored_items_are_in_order_and_have_an_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
