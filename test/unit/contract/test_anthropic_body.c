/* test_anthropic_body.c - blocks of Anthropic's messages become a chat_input. */
#include "contract/anthropic_body.c"

#include "contract/catalog.h"

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
    rq = (struct request){ .arena = &arena, .surface = SURFACE_ANTHROPIC };
    in = (struct chat_input){ .model = model_find(S("qwen3-vl-plus")) };
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
    yyjson_val *root = json_parse_copy(&arena, str_from_cstr(json));
    enum err    e;

    assert_non_null(root);
    rq.fault = (struct fault){ 0 };
    e = anthropic_read_messages(&rq, json_get(root, "system"), json_get(root, "messages"), &in);
    return e ? e : params_read(&rq, &chat_params_anthropic_top, root, in.model, &in);
}

static void assert_text(str got, const char *want)
{
    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("got \"%.*s\", not \"%s\"", STR_ARG(got), want);
}

static void a_turn_with_results_becomes_several_messages(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(
            "{\"system\":\"be brief\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},"
            "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"so\"},"
            "{\"type\":\"text\",\"text\":\"I look\"},{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"w\",\"input\":{\"x\": 1}},"
            "{\"type\":\"tool_use\",\"id\":\"b\",\"name\":\"w\",\"input\":{}}]},"
            "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"and \"},"
            "{\"type\":\"tool_result\",\"tool_use_id\":\"b\",\"content\":[{\"type\":\"text\",\"text\":\"2\"},"
            "{\"type\":\"image\",\"source\":{\"type\":\"base64\",\"media_type\":\"image/png\",\"data\":\"aGk=\"}}]},"
            "{\"type\":\"tool_result\",\"tool_use_id\":\"a\",\"content\":\"1\",\"cache_control\":{\"type\":\"ephemeral\"}},"
            "{\"type\":\"text\",\"text\":\"then?\",\"cache_control\":{\"type\":\"ephemeral\"}}]}]}"),
        OK);
    assert_int_equal(in.message_count, 6);
    assert_int_equal(in.messages[0].role, CHAT_SYSTEM);
    assert_text(in.messages[0].content, "be brief");
    assert_text(in.messages[2].reasoning, "so");
    assert_text(in.messages[2].content, "I look");
    assert_int_equal(in.messages[2].tool_call_count, 2);
    assert_text(in.messages[2].tool_calls[0].arguments, "{\"x\":1}");
    assert_int_equal(in.messages[3].role, CHAT_TOOL);
    assert_text(in.messages[3].tool_call_id, "b");
    assert_text(in.messages[3].content, "2");
    assert_false(in.messages[3].cache);
    assert_text(in.messages[4].content, "1");
    assert_true(in.messages[4].cache);
    assert_int_equal(in.messages[5].role, CHAT_USER);
    assert_text(in.messages[5].content, "and then?");
    assert_int_equal(in.messages[5].part_count, 3);
    assert_int_equal(in.messages[5].parts[1].kind, CHAT_PART_IMAGE);
    assert_text(in.messages[5].parts[1].text, "data:image/png;base64,aGk=");
    assert_true(in.messages[5].parts[2].cache);
    assert_false(in.messages[5].partial);
}

static void results_alone_leave_no_message_of_the_user(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"tool_result\",\"tool_use_id\":\"a\","
                  "\"is_error\":true}]},{\"role\":\"user\",\"content\":[]}]}"),
        OK);
    assert_int_equal(in.message_count, 2);
    assert_int_equal(in.messages[0].role, CHAT_TOOL);
    assert_text(in.messages[0].content, "error");
    assert_int_equal(in.messages[1].role, CHAT_USER);
}

static void the_last_turn_of_the_assistant_is_to_be_continued(void **state)
{
    (void)state;
    assert_int_equal(
        read_text(
            "{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"assistant\",\"content\":\"so\"}]}"),
        OK);
    assert_true(in.messages[1].partial);
}

static void tools_have_the_form_of_engines_and_servers_tools_are_left_out(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"messages\":[],\"tools\":[{\"type\":\"bash_20250124\",\"name\":\"bash\"},"
                  "{\"name\":\"w\",\"description\":\"says \\\"x\\\"\",\"input_schema\":{\"type\":\"object\"},"
                  "\"cache_control\":{\"type\":\"ephemeral\"}}],\"tool_choice\":{\"type\":\"tool\",\"name\":\"w\"}}"),
        OK);
    assert_int_equal(in.tool_count, 1);
    assert_text(in.tools[0].text,
                "{\"type\":\"function\",\"function\":{\"name\":\"w\",\"description\":\"says \\\"x\\\"\","
                "\"parameters\":{\"type\":\"object\"}}}");
    assert_null(in.tools[0].raw);
    assert_true(in.tools[0].cache);
    assert_int_equal(in.tool_choice, CHAT_TOOLS_NAMED);
}

static void thinking_effort_and_format(void **state)
{
    (void)state;
    assert_int_equal(
        read_text("{\"messages\":[],\"max_tokens\":1000000,\"thinking\":{\"type\":\"enabled\",\"budget_tokens\":100},"
                  "\"output_config\":{\"effort\":\"high\",\"format\":{\"type\":\"json_schema\",\"schema\":{}}},"
                  "\"stop_sequences\":[\"a\",\"\",\"b\"]}"),
        OK);
    assert_true(in.enable_thinking.set && in.enable_thinking.v);
    assert_int_equal(in.thinking_budget.v, 100);
    assert_text(in.reasoning_effort, "high");
    assert_int_equal(in.format, CHAT_FORMAT_JSON_SCHEMA);
    assert_non_null(in.format_schema);
    assert_int_equal(in.max_tokens.v, in.model->output_max); /* more than the model's is the model's */
    assert_int_equal(in.stop_count, 2);
    assert_text(in.stop[1], "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_turn_with_results_becomes_several_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(results_alone_leave_no_message_of_the_user, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_turn_of_the_assistant_is_to_be_continued, setup, teardown),
        cmocka_unit_test_setup_teardown(tools_have_the_form_of_engines_and_servers_tools_are_left_out, setup, teardown),
        cmocka_unit_test_setup_teardown(thinking_effort_and_format, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
