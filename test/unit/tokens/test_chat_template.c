/* test_chat_template.c - the sum of the parts is the count of the rendered prompt; the memo does not change it.
 *
 * The prompts are what the template in tokenizer_config.json renders; their counts are the npm package's. The table is
 * argv[1] or the environment's DASHBOX_TOKENIZER.
 */
#include "tokens/chat_template.c"
#include "tokens/count_memo.c"

#include "../loop/run.h"
#include "base/rand.h"
#include "rendered.h"

static struct tokenizer  *t;
static struct count_memo *m;

static void parts_are(size_t parts, size_t package, str prompt)
{
    assert_int_equal(rendered_encode(t, prompt, NULL, 0), package);
    assert_int_equal(parts, package);
}

static void a_conversation_counts_as_rendered(void **state)
{
    size_t who = chat_template_message(m, t, S("user"), S("你是谁？")) + CHAT_TEMPLATE_END;

    (void)state;
    parts_are(who, 11, S("<|im_start|>user\n你是谁？<|im_end|>\n<|im_start|>assistant\n"));
    assert_int_equal(who, tokenizer_count(t, S("你是谁？")) + 8);
    parts_are(chat_template_message(m, t, S("system"), S("You are a helpful assistant.")) + who, 22,
              S("<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n你是谁？<|im_end|>\n"
                "<|im_start|>assistant\n"));
    parts_are(chat_template_message(m, t, S("user"), S(" \n hi")) +
                  chat_template_message(m, t, S("assistant"), S("Hello!")) +
                  chat_template_message(m, t, S("user"), S("")) + CHAT_TEMPLATE_END,
              21,
              S("<|im_start|>user\n \n hi<|im_end|>\n<|im_start|>assistant\nHello!<|im_end|>\n<|im_start|>user\n"
                "<|im_end|>\n<|im_start|>assistant\n"));
    parts_are(chat_template_message(m, t, S("user"), S("q")) + CHAT_TEMPLATE_END + CHAT_TEMPLATE_NO_THINKING, 13,
              S("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"));
}

static void a_raw_prompt_counts_its_marks_as_one_each(void **state)
{
    str prompt = S("<|fim_prefix|>def f():<|fim_suffix|>  return 1<|fim_middle|>");

    (void)state;
    assert_int_equal(chat_template_raw(m, t, prompt), rendered_encode(t, prompt, NULL, 0));
    assert_int_equal(chat_template_raw(m, t, S("def f():")), tokenizer_count(t, S("def f():")));
    assert_int_equal(chat_template_raw(m, t, S("<|fim_middle|>")), 1);
}

#define TOOL_WEATHER                                                                                                     \
    "{\"type\": \"function\", \"function\": {\"name\": \"get_weather\", \"description\": \"Weather of a city. "          \
    "天气\", \"parameters\": {\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\"}}, \"required\":" \
    " [\"city\"]}}}"
#define TOOL_ADD                                                                                              \
    "{\"type\": \"function\", \"function\": {\"name\": \"add\", \"description\": \"Adds.\", \"parameters\": " \
    "{\"type\": \"object\", \"properties\": {}}}}"
#define TOOLS                                                                                                         \
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function " \
    "signatures within <tools></tools> XML tags:\n<tools>\n" TOOL_WEATHER "\n" TOOL_ADD "\n</tools>\n\nFor each "     \
    "function call, return a json object with function name and arguments within <tool_call></tool_call> XML "        \
    "tags:\n<tool_call>\n{\"name\": <function-name>, \"arguments\": <args-json-object>}\n</tool_call><|im_end|>\n"

static void tools_count_as_rendered(void **state)
{
    const str                       tools[] = { S(TOOL_WEATHER), S(TOOL_ADD) };
    const struct chat_template_call calls[] = { { S("get_weather"), S("{\"city\": \"Paris\"}") },
                                                { S("add"), S("{}") } };
    const struct chat_template_turn turn = { .content = S("Let me see."), .calls = calls, .call_count = 2 };
    size_t                          question = chat_template_message(m, t, S("user"), S("Weather?"));
    size_t                          n = chat_template_tools(m, t, false, (str){ 0 }, tools, 2) + question;

    (void)state;
    parts_are(chat_template_tools(m, t, true, S("You are a helpful assistant."), tools, 2) + question +
                  CHAT_TEMPLATE_END,
              193,
              S("<|im_start|>system\nYou are a helpful assistant.\n\n" TOOLS
                "<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n"));
    parts_are(n + CHAT_TEMPLATE_END, 187,
              S("<|im_start|>system\n" TOOLS "<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\n"));
    n += chat_template_assistant(m, t, &turn);
    n += chat_template_tool_result(m, t, S("{\"t\":20}"), true, false);
    n += chat_template_tool_result(m, t, S("3\n"), false, true);
    parts_are(n + CHAT_TEMPLATE_END, 250,
              S("<|im_start|>system\n" TOOLS
                "<|im_start|>user\nWeather?<|im_end|>\n<|im_start|>assistant\nLet me see.\n<tool_call>\n{\"name\": "
                "\"get_weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>\n<tool_call>\n{\"name\": "
                "\"add\", \"arguments\": {}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n{\"t\":20}\n"
                "</tool_response>\n<tool_response>\n3\n\n</tool_response><|im_end|>\n<|im_start|>assistant\n"));
}

static void a_call_that_has_begun_counts_as_rendered(void **state)
{
    const struct chat_template_call call = { S("get_weather"), S("{\"city\": \"Paris\"}") };
    const struct chat_template_turn turn = { .calls = &call, .call_count = 1 };
    size_t                          begun = chat_template_call_begin(m, t, call.name);

    (void)state;
    assert_int_equal(begun, rendered_encode(t, S("<tool_call>\n{\"name\": \"get_weather\", \"arguments\":"), NULL, 0));
    assert_true(begun + tokenizer_count(t, call.arguments) < chat_template_answer(m, t, &turn));
}

static void reasoning_counts_as_rendered(void **state)
{
    const struct chat_template_call call = { S("add"), S("{}") };
    const struct chat_template_turn thought = { .content = S("\nThe answer."),
                                                .has_reasoning = true,
                                                .reasoning = S("Hmm.\n") };
    const struct chat_template_turn empty = { .has_reasoning = true, .calls = &call, .call_count = 1 };
    size_t                          question = chat_template_message(m, t, S("user"), S("q"));

    (void)state;
    parts_are(question + chat_template_assistant(m, t, &thought), 20,
              S("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\nHmm.\n</think>\n\nThe answer."
                "<|im_end|>\n"));
    parts_are(question + chat_template_assistant(m, t, &empty), 29,
              S("<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n<tool_call>\n{\"name\": "
                "\"add\", \"arguments\": {}}\n</tool_call><|im_end|>\n"));
    assert_int_equal(chat_template_answer(m, t, &thought) + 5, chat_template_assistant(m, t, &thought));
}

/* ---- the memo ----------------------------------------------------------------------------------------------------- */

static size_t random_text(uint64_t *seed, char *text, size_t max)
{
    static const char *const parts[] = { " ",        "\n", " \n ", ".",         "the",    " model", "你好", "。",
                                         "{\"a\": ", "}",  "'s",   "e\xCC\x81", "\u3000", "\xFF",   "12" };
    size_t                   len = 0, want = rand_next(seed) % max;

    while (len < want) {
        const char *part = parts[rand_next(seed) % ARRAY_LEN(parts)];
        size_t      n = strlen(part);

        if (len + n > max)
            break;
        memcpy(text + len, part, n);
        len += n;
    }
    return len;
}

static void remembered_counts_are_right(void **state)
{
    struct count_memo *few = count_memo_open(64);
    uint64_t           seed = 5;
    char              *texts = xmalloc(200 * 2000);
    size_t             lens[200];

    (void)state;
    for (size_t i = 0; i < 200; i++)
        lens[i] = random_text(&seed, texts + i * 2000, i % 4 ? 300 : 2000);
    for (unsigned round = 0; round < 20000; round++) {
        size_t i = rand_next(&seed) % (round % 2 ? 20 : 200);
        str    text = str_of(texts + i * 2000, lens[i]), before = S("\n"), after = S("\n\n");
        char   joined[2100];

        assert_int_equal(count_memo_get(few, t, text), tokenizer_count(t, text));
        memcpy(joined, "\n", 1);
        memcpy(joined + 1, text.ptr, text.len);
        memcpy(joined + 1 + text.len, "\n\n", 2);
        assert_int_equal(count_memo_get_joined(few, t, before, text, after),
                         tokenizer_count(t, str_of(joined, text.len + 3)));
        assert_int_equal(count_memo_get_joined(few, t, before, text, (str){ 0 }),
                         tokenizer_count(t, str_of(joined, text.len + 1)));
        assert_int_equal(count_memo_get_joined(few, t, (str){ 0 }, text, after),
                         tokenizer_count(t, str_of(joined + 1, text.len + 2)));
    }
    assert_true(count_memo_stats(few).hits > 10000);
    assert_true(count_memo_stats(few).misses > 10000);
    count_memo_close(few);
    free(texts);
}

static void a_text_asked_for_again_stays(void **state)
{
    struct count_memo *one_set = count_memo_open(1);
    str                often = S("a text of some length that is asked for again and again");
    uint64_t           hits;

    (void)state;
    count_memo_get(one_set, t, often);
    count_memo_get(one_set, t, often);
    hits = count_memo_stats(one_set).hits;
    for (unsigned i = 0; i < 1000; i++) {
        char other[64];
        int  n = snprintf(other, sizeof(other), "a text of some length that is asked for once: %u", i);

        count_memo_get(one_set, t, str_of(other, (size_t)n));
        count_memo_get(one_set, t, often);
    }
    assert_int_equal(count_memo_stats(one_set).hits - hits, 1000);
    count_memo_close(one_set);
}

static void without_a_memo_all_is_counted(void **state)
{
    (void)state;
    assert_int_equal(count_memo_get(NULL, t, S("one two three")), 3);
    assert_int_equal(chat_template_message(NULL, t, S("user"), S("one two three")), 8);
    count_memo_close(NULL);
}

/* ---- on a fiber ---- */

enum { LONG = 200 * 1000, SHORT = 5 * 1000 };

static char   long_text[LONG], trace[16];
static size_t long_count;

static void note(char c)
{
    trace[strlen(trace)] = c;
}

static void count_long(void *arg)
{
    (void)arg;
    long_count = count_memo_get(m, t, str_of(long_text, LONG));
    note('l');
}

/* Some hundred thousand bytes in pieces that are short each. */
static void count_many(void *arg)
{
    (void)arg;
    for (size_t at = 0; at < LONG; at += SHORT) {
        long_text[at] = (char)('A' + at / SHORT % 26); /* not one that is remembered */
        long_text[at + 1] = (char)('A' + at / SHORT / 26);
        (void)count_memo_get(m, t, str_of(long_text + at, SHORT));
    }
    note('m');
}

static void another(void *arg)
{
    (void)arg;
    note('a');
}

TEST(others_are_served_while_a_long_text_is_counted)
{
    memset(long_text, '-', LONG);
    memset(trace, 0, sizeof(trace));
    loop_setup(state);
    spawn(count_long, NULL);
    spawn(another, NULL);
    run();
    loop_teardown(state);
    assert_string_equal(trace, "al");
    assert_int_equal(long_count, tokenizer_count(t, str_of(long_text, LONG)));
}

TEST(others_are_served_while_many_texts_are_counted)
{
    memset(long_text, '-', LONG);
    memset(trace, 0, sizeof(trace));
    loop_setup(state);
    spawn(count_many, NULL);
    spawn(another, NULL);
    run();
    loop_teardown(state);
    assert_string_equal(trace, "am");
}

/* Any split of a conversation into parts must add up: rendered here by concatenation. */
static void random_conversations_add_up(void **state)
{
    enum { TEXT = 120, PROMPT = 16 * (TEXT + 200) };
    uint64_t seed = 9;

    (void)state;
    for (unsigned round = 0; round < 5000; round++) {
        static char prompt[PROMPT];
        size_t      len = 0, parts = 0, turns = 1 + rand_next(&seed) % 4;

#define ADD(s)                                        \
    do {                                              \
        str add = (s);                                \
        assert_true(len + add.len <= sizeof(prompt)); \
        if (add.len)                                  \
            memcpy(prompt + len, add.ptr, add.len);   \
        len += add.len;                               \
    } while (0)
        for (size_t i = 0; i < turns; i++) {
            char                      buf[3][TEXT];
            str                       text[3];
            struct chat_template_call call;
            struct chat_template_turn turn;

            for (size_t k = 0; k < 3; k++)
                text[k] = str_of(buf[k], random_text(&seed, buf[k], TEXT));
            call = (struct chat_template_call){ S("get_weather"), text[2] };
            turn = (struct chat_template_turn){ .content = text[0], .calls = &call, .call_count = 1 };
            switch (rand_next(&seed) % 4) {
            case 0:
                parts += chat_template_message(m, t, S("user"), text[0]);
                ADD(S("<|im_start|>user\n"));
                ADD(text[0]);
                ADD(S("<|im_end|>\n"));
                break;
            case 1:
                buf[1][0] = '{'; /* a tool is JSON text */
                text[1].len = text[1].len ? text[1].len : 1;
                parts += chat_template_tools(m, t, true, text[0], &text[1], 1);
                ADD(S("<|im_start|>system\n"));
                ADD(text[0]);
                ADD(S("\n\n" TOOLS_INTRO));
                ADD(text[1]);
                ADD(S("\n" TOOLS_OUTRO "<tool_call></tool_call>" TOOLS_HOW "<tool_call>" TOOLS_FORM "</tool_call>"
                      "<|im_end|>\n"));
                break;
            case 2:
                turn.has_reasoning = rand_next(&seed) % 2;
                turn.reasoning = text[1];
                parts += chat_template_assistant(m, t, &turn);
                ADD(S("<|im_start|>assistant\n"));
                if (turn.has_reasoning) {
                    ADD(S("<think>\n"));
                    ADD(trim_line_ends(text[1], true));
                    ADD(S("\n</think>\n\n"));
                    ADD(trim_line_ends(text[0], false));
                } else {
                    ADD(text[0]);
                }
                if (text[0].len)
                    ADD(S("\n"));
                ADD(S("<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "));
                ADD(text[2]);
                ADD(S("}\n</tool_call><|im_end|>\n"));
                break;
            case 3:
                parts += chat_template_tool_result(m, t, text[0], true, true);
                ADD(S("<|im_start|>user\n<tool_response>\n"));
                ADD(text[0]);
                ADD(S("\n</tool_response><|im_end|>\n"));
                break;
            }
        }
        assert_int_equal(parts, rendered_encode(t, str_of(prompt, len), NULL, 0));
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_conversation_counts_as_rendered),
        cmocka_unit_test(a_raw_prompt_counts_its_marks_as_one_each),
        cmocka_unit_test(tools_count_as_rendered),
        cmocka_unit_test(a_call_that_has_begun_counts_as_rendered),
        cmocka_unit_test(reasoning_counts_as_rendered),
        cmocka_unit_test(random_conversations_add_up),
        cmocka_unit_test(remembered_counts_are_right),
        cmocka_unit_test(a_text_asked_for_again_stays),
        cmocka_unit_test(without_a_memo_all_is_counted),
        cmocka_unit_test(others_are_served_while_a_long_text_is_counted),
        cmocka_unit_test(others_are_served_while_many_texts_are_counted),
    };
    const char *table = argc > 1 ? argv[1] : getenv("DASHBOX_TOKENIZER");
    int         failed;

    if (!table || tokenizer_open(table, &t) != OK) {
        fprintf(stderr, "test_chat_template: no table at %s\n", table ? table : "$DASHBOX_TOKENIZER");
        return 1;
    }
    m = count_memo_open(0);
    failed = cmocka_run_group_tests_name("chat_template", tests, NULL, NULL);
    count_memo_close(m);
    tokenizer_close(t);
    return failed;
}
