/* test_chat_body.c - messages and tools become a chat_input. */
#include "contract/chat_body.c"

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

static enum err read_text(const char *json, enum chat_content_form form)
{
    rq.fault = (struct fault){ 0 };
    return chat_read_messages(&rq, json_parse_copy(&arena, str_from_cstr(json)), form, S("messages"), &in);
}

static void assert_refused(const char *json, enum chat_content_form form, const char *id)
{
    assert_int_equal(read_text(json, form), ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("%s is refused with %.*s, not %s", json, STR_ARG(rq.fault.row->id), id);
}

static void texts_of_an_array_are_joined(void **state)
{
    (void)state;
    assert_int_equal(read_text("[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
                               "[{\"type\":\"text\",\"text\":\"one \"},{\"type\":\"text\",\"text\":\"two\"}]}]",
                               CHAT_CONTENT_OPENAI),
                     OK);
    assert_int_equal(in.message_count, 2);
    assert_int_equal(in.messages[0].role, CHAT_SYSTEM);
    assert_true(str_eq(in.messages[1].content, S("one two")));
    assert_true(in.messages[1].content_is_array);
}

static void a_text_model_takes_no_images_and_natively_no_array(void **state)
{
    (void)state;
    assert_refused(
        "[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://a/b\"}}]}]",
        CHAT_CONTENT_OPENAI, "E020");
    assert_refused("[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]", CHAT_CONTENT_TEXT, "E020");
    in.model = model_find(S("deepseek-r1"));
    assert_refused("[{\"role\":\"user\",\"content\":[{\"text\":\"x\"}]}]", CHAT_CONTENT_TEXT, "E090");
}

static void frames_are_kept_as_a_list(void **state)
{
    (void)state;
    in.model = model_find(S("qwen-vl-plus"));
    assert_int_equal(read_text("[{\"role\":\"user\",\"content\":[{\"video\":[\"http://a/1\",\"https://a/2\"]}]}]",
                               CHAT_CONTENT_MULTIMODAL),
                     OK);
    assert_int_equal(in.messages[0].parts[0].kind, CHAT_PART_VIDEO);
    assert_int_equal(yyjson_arr_size(in.messages[0].parts[0].urls), 2);
    assert_refused("[{\"role\":\"user\",\"content\":[{\"video\":[\"http://a/1\",7]}]}]", CHAT_CONTENT_MULTIMODAL,
                   "E041");
    assert_refused("[{\"role\":\"user\",\"content\":[{\"image\":\"file:///a\"}]}]", CHAT_CONTENT_MULTIMODAL, "E041");
    assert_refused("[{\"role\":\"user\",\"content\":[{\"picture\":\"http://a/1\"}]}]", CHAT_CONTENT_MULTIMODAL, "E054");
}

static void calls_carry_json(void **state)
{
    (void)state;
    assert_int_equal(read_text("[{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"function\":"
                               "{\"name\":\"f\",\"arguments\":\"{}\"}}]}]",
                               CHAT_CONTENT_OPENAI),
                     OK);
    assert_int_equal(in.messages[0].tool_call_count, 1);
    assert_true(str_eq(in.messages[0].tool_calls[0].id, S("c")));
    assert_int_equal(read_text("[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":"
                               "\"{'a'}\"}}]}]",
                               CHAT_CONTENT_OPENAI),
                     ERR_FAULT);
    assert_refused("[{\"role\":\"user\"}]", CHAT_CONTENT_OPENAI, "E021");
    assert_refused("[7]", CHAT_CONTENT_OPENAI, "E042");
}

static void a_prompt_and_its_history_are_turns(void **state)
{
    yyjson_val *body = json_parse_copy(&arena, S("{\"prompt\":\"now\",\"history\":[{\"user\":\"a\",\"bot\":\"b\"}]}"));

    (void)state;
    assert_int_equal(chat_read_prompt(&rq, json_get(body, "prompt"), json_get(body, "history"), &in), OK);
    assert_int_equal(in.message_count, 3);
    assert_int_equal(in.messages[1].role, CHAT_ASSISTANT);
    assert_true(str_eq(in.messages[2].content, S("now")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_of_an_array_are_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(a_text_model_takes_no_images_and_natively_no_array, setup, teardown),
        cmocka_unit_test_setup_teardown(frames_are_kept_as_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_carry_json, setup, teardown),
        cmocka_unit_test_setup_teardown(a_prompt_and_its_history_are_turns, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
