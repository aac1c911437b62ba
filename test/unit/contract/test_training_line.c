/* test_training_line.c - what a line of a training file must be, and how it is said what it is not. */
#include "contract/training_line.c"

#include "../base/check.h"

#define USER   "{\"role\":\"user\",\"content\":\"hi\"}"
#define ANSWER "{\"role\":\"assistant\",\"content\":\"hello\"}"

static struct arena arena;

static void check(enum training_kind kind, const char *line, const char *reason)
{
    struct training_line got;

    training_line_read(&arena, kind, str_from_cstr(line), &got);
    if (!str_eq(got.reason, str_from_cstr(reason)))
        fail_msg("%s: got \"%.*s\", wanted \"%s\"", line, STR_ARG(got.reason), reason);
}

TEST(a_conversation_ends_with_an_answer)
{
    arena_init(&arena, 0);
    check(TRAINING_SFT, "{\"messages\":[" USER "," ANSWER "]}", "");
    check(TRAINING_SFT,
          "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"}," USER "," ANSWER "," USER "," ANSWER "]}", "");
    check(TRAINING_SFT, "{\"messages\":[" USER "]}", "the last message is not the assistant's");
    check(TRAINING_SFT, "{\"messages\":[" ANSWER "]}",
          "messages[0] is the first message to the model, and not the user's");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"system\",\"content\":\"s\"}," ANSWER "]}",
          "messages[1] is a system message, and not the first");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"robot\",\"content\":\"s\"}]}",
          "messages[1].role \"robot\" is none of: system user assistant tool");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"content\":\"s\"}]}", "messages[1] has no role");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"assistant\"}]}", "messages[1] has no content");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"\"}]}",
          "messages[1].content is empty");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":7}]}",
          "messages[1].content is neither a text nor a list of parts");
    check(TRAINING_SFT, "{\"messages\":[]}", "messages is no list of messages");
    check(TRAINING_SFT, "{}", "messages is missing");
    check(TRAINING_SFT, "[1]", "it is no JSON object");
    check(TRAINING_SFT, "{\"messages\":", "it is no JSON in UTF-8");
    check(TRAINING_SFT, "{\"messages\":[{\"role\":\"user\",\"content\":\"\xff\"}]}", "it is no JSON in UTF-8");
    arena_free(&arena);
}

TEST(thinking_and_weights_are_an_answers)
{
    arena_init(&arena, 0);
    check(TRAINING_SFT,
          "{\"messages\":[" USER
          ",{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":\"r\",\"loss_weight\":0.5}]}",
          "");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"a\",\"reasoning_content\":7}]}",
          "messages[1].reasoning_content is no text");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"assistant\",\"content\":\"a\",\"loss_weight\":2}]}",
          "messages[1].loss_weight is no number from 0 to 1");
    arena_free(&arena);
}

#define CALL(id, arguments)                                                  \
    "{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"" id \
    "\",\"type\":\"function\",\"function\":{\"name\":\"f\","                 \
    "\"arguments\":" arguments "}}]}"

TEST(a_tools_result_answers_a_call)
{
    arena_init(&arena, 0);
    check(TRAINING_SFT,
          "{\"messages\":[" USER
          "," CALL("c1", "\"{\\\"a\\\":1}\"") ",{\"role\":\"tool\",\"content\":\"21\",\"tool_call_id\":\"c1\"}," ANSWER
                                              "],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"f\"}}]}",
          "");
    check(TRAINING_SFT,
          "{\"messages\":[" USER
          "," CALL("c1", "\"{}\"") ",{\"role\":\"tool\",\"content\":\"21\",\"tool_call_id\":\"c2\"}," ANSWER "]}",
          "messages[2].tool_call_id \"c2\" is of no call before it");
    check(TRAINING_SFT, "{\"messages\":[" USER "," CALL("c1", "\"{a\"") "]}",
          "messages[1].tool_calls[0].function.arguments is no JSON object");
    check(TRAINING_SFT, "{\"messages\":[" USER ",{\"role\":\"tool\",\"content\":\"21\"}," ANSWER "]}",
          "messages[1] is a tool's result, and no call stands before it");
    check(TRAINING_SFT, "{\"messages\":[" USER "," ANSWER "],\"tools\":[{\"function\":{}}]}",
          "tools[0].function.name is missing");
    arena_free(&arena);
}

TEST(parts_are_texts_and_files)
{
    struct training_line got;

    arena_init(&arena, 0);
    training_line_read(
        &arena, TRAINING_SFT,
        S("{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":\"a.png\"},{\"text\":\"what\"}]}," ANSWER "]}"),
        &got);
    assert_str(got.reason, "");
    assert_int_equal(got.file_count, 1);
    assert_str(got.files[0], "a.png");
    assert_int_equal(got.text_count, 2);
    assert_str(got.texts[1], "hello");
    assert_int_equal(got.message_count, 2);
    check(TRAINING_SFT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"picture\":\"a.png\"}]}," ANSWER "]}",
          "messages[0].content[0] has neither a text nor a file");
    check(TRAINING_SFT, "{\"messages\":[{\"role\":\"user\",\"content\":[{\"image\":\"\"}]}," ANSWER "]}",
          "messages[0].content[0].image names no file");
    arena_free(&arena);
}

TEST(a_preference_has_two_different_answers)
{
    arena_init(&arena, 0);
    check(TRAINING_DPO,
          "{\"messages\":[" USER "],\"chosen\":" ANSWER ",\"rejected\":{\"role\":\"assistant\",\"content\":\"no\"}}",
          "");
    check(TRAINING_DPO, "{\"messages\":[" USER "],\"chosen\":" ANSWER "}", "rejected is missing");
    check(TRAINING_DPO, "{\"messages\":[" USER "],\"chosen\":\"a\",\"rejected\":" ANSWER "}", "chosen is no message");
    check(TRAINING_DPO, "{\"messages\":[" USER "],\"chosen\":" USER ",\"rejected\":" ANSWER "}",
          "chosen.role is not the assistant's");
    check(TRAINING_DPO, "{\"messages\":[" USER "],\"chosen\":" ANSWER ",\"rejected\":" ANSWER "}",
          "chosen and rejected are the same");
    check(TRAINING_DPO, "{\"messages\":[" USER "," ANSWER "],\"chosen\":" ANSWER ",\"rejected\":" ANSWER "}",
          "the last message is not one to be answered");
    arena_free(&arena);
}

TEST(pre_training_has_texts)
{
    arena_init(&arena, 0);
    check(TRAINING_CPT, "{\"text\":\"once\"}", "");
    check(TRAINING_CPT, "{\"text\":\" \"}", "text is empty");
    check(TRAINING_CPT, "{\"text\":7}", "text is no text");
    check(TRAINING_CPT, "{\"messages\":[]}", "text is missing");
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_ends_with_an_answer),     cmocka_unit_test(thinking_and_weights_are_an_answers),
        cmocka_unit_test(a_tools_result_answers_a_call),          cmocka_unit_test(parts_are_texts_and_files),
        cmocka_unit_test(a_preference_has_two_different_answers), cmocka_unit_test(pre_training_has_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
