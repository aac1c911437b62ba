/* test_upstream_answer.c - what different servers answer, as events. The chunks are as those servers send them, shortened. */
#include "engine/upstream/answer.c"

#include "contract/catalog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena      arena;
static struct fault      fault;
static struct answer     answer;
static struct chat_input input;
static struct buf        got;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    rand_fix(1);
    fault = (struct fault){ 0 };
    input = (struct chat_input){ 0 };
    buf_init(&got, &arena, 1 << 20);
    answer_init(&answer, &arena, &fault, &input, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void again(bool cloud)
{
    fault = (struct fault){ 0 };
    buf_reset(&got);
    answer_init(&answer, &arena, &fault, &input, cloud);
}

/* Writes the events that are queued: T(text) R(reasoning) C<index>(id name) A<index>(arguments) S(speech) F(finish) or F(finish text)
 * U(numbers);
 * "<choice>:" stands before those of other choices than the first. */
static void drain(void)
{
    struct chat_event ev;

    while (answer_take(&answer, &ev)) {
        if (ev.choice)
            buf_addf(&got, "%u:", ev.choice);
        switch (ev.kind) {
        case CHAT_EV_REASONING:
            buf_addf(&got, "R(%.*s)", STR_ARG(ev.text));
            break;
        case CHAT_EV_TEXT:
            buf_addf(&got, "T(%.*s)", STR_ARG(ev.text));
            for (size_t i = 0; i < ev.logprob_count; i++) {
                const struct chat_logprob *p = &ev.logprobs[i];

                buf_addf(&got, "P(%.*s %.2f", STR_ARG(p->token), p->logprob);
                for (size_t k = 0; k < p->top_count; k++)
                    buf_addf(&got, " %.*s %.2f", STR_ARG(p->top[k].token), p->top[k].logprob);
                buf_add_char(&got, ')');
            }
            break;
        case CHAT_EV_TOOL_CALL:
            buf_addf(&got, "C%u(%.*s %.*s)", ev.tool_index, STR_ARG(ev.tool_id), STR_ARG(ev.tool_name));
            break;
        case CHAT_EV_TOOL_ARGS:
            buf_addf(&got, "A%u(%.*s)", ev.tool_index, STR_ARG(ev.text));
            break;
        case CHAT_EV_SEARCH:
        case CHAT_EV_CODE:
        case CHAT_EV_IMAGES:
        case CHAT_EV_STEP:
            break;
        case CHAT_EV_AUDIO:
            buf_addf(&got, "S(%.*s)", STR_ARG(ev.text));
            break;
        case CHAT_EV_FINISH:
            buf_addf(&got, "F(%d%s%.*s)", (int)ev.finish, ev.stop.len ? " " : "", STR_ARG(ev.stop));
            break;
        case CHAT_EV_USAGE:
            buf_addf(&got, "U(%d %d %d %d)", (int)ev.usage.prompt_tokens, (int)ev.usage.completion_tokens,
                     (int)ev.usage.reasoning_tokens, (int)ev.usage.cached_tokens);
            break;
        }
    }
}

#define STOP   "F(1)"
#define LENGTH "F(2)"
#define CALLS  "F(3)"

static enum err event(const char *data)
{
    struct sse_event ev = { .data = str_from_cstr(data) };
    enum err         e = answer_event(&answer, &ev);

    drain();
    return e;
}

static void stream(const char *const *chunks)
{
    for (; *chunks; chunks++) {
        if (event(*chunks))
            fail_msg("refused at %s: %.*s", *chunks, STR_ARG(fault.detail));
    }
}

static enum err whole(const char *json)
{
    size_t   len = strlen(json);
    char    *copy = arena_alloc_zero(&arena, len + 8);
    enum err e;

    memcpy(copy, json, len);
    e = answer_whole(&answer, copy, len);
    drain();
    return e;
}

static void expect(const char *want)
{
    if (!str_eq(buf_str(&got), str_from_cstr(want)))
        fail_msg("got    \"%.*s\"\nwanted \"%s\"", STR_ARG(buf_str(&got)), want);
}

static void expect_fault(const char *id)
{
    assert_non_null(fault.row);
    if (!str_eq(fault.row->id, str_from_cstr(id)))
        fail_msg("refused with %.*s, wanted %s", STR_ARG(fault.row->id), id);
}

/* ---- streams ---- */

static void vllm_text_and_usage(void **state)
{
    static const char *const chunks[] = {
        "{\"id\":\"chatcmpl-a\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"Qwen/Qwen3-8B\",\"choices\":[{"
        "\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,\"finish_reason\":null}]}",
        "{\"id\":\"chatcmpl-a\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning_content\":\"Hm.\"},\"finish_reason\":null}]}",
        "{\"id\":\"chatcmpl-a\",\"choices\":[{\"index\":0,\"delta\":{\"reasoning\":\" Well.\"},\"finish_reason\":null}]}",
        "{\"id\":\"chatcmpl-a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"},\"finish_reason\":null}]}",
        "{\"id\":\"chatcmpl-a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":\"stop\","
        "\"stop_reason\":null}]}",
        "{\"id\":\"chatcmpl-a\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"total_tokens\":14,\"completion_tokens\":5,"
        "\"prompt_tokens_details\":null}}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("R(Hm.)R( Well.)T(Hel)T(lo)" STOP "U(9 5 0 0)");
    assert_true(answer.over);
}

static void what_stopped_the_answer_is_told(void **state)
{
    static const char *const vllm[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\",\"stop_reason\":\"END\"}]}",
        "[DONE]",
        NULL,
    };
    static const char *const vllm_token[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\",\"stop_reason\":151645}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(vllm);
    expect("T(a)F(1 END)");
    again(false);
    stream(vllm_token);
    expect("T(a)" STOP);
    again(false);
    assert_int_equal(whole("{\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\","
                           "\"matched_stop\":\"###\"}]}"),
                     OK); /* SGLang */
    expect("T(a)F(1 ###)");
}

static void vllm_tool_calls(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"chatcmpl-tool-1\",\"type\":\"function\",\"index\":0,"
        "\"function\":{\"name\":\"get_weather\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"city\\\": \"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"Paris\\\"}\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":\"chatcmpl-tool-2\",\"type\":\"function\",\"index\":1,"
        "\"function\":{\"name\":\"get_time\",\"arguments\":\"{}\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"tool_calls\"}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("C0(chatcmpl-tool-1 get_weather)A0({\"city\": )A0(\"Paris\"})C1(chatcmpl-tool-2 get_time)A1({})" CALLS);
}

static void the_cloud_speaks(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"content\":\"\",\"role\":\"assistant\"},\"finish_reason\":null,\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"audio\":{\"transcript\":\"Hi\"}},\"finish_reason\":null,\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"audio\":{\"data\":\"AAAA\",\"id\":\"audio_1\"}},\"finish_reason\":null,\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"audio\":{\"data\":\"BBBB\",\"id\":\"audio_1\"}},\"finish_reason\":null,\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\",\"index\":0}]}",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("T(Hi)S(AAAA)S(BBBB)" STOP);
}

static void llama_cpp_text(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null}}],\"created\":1,"
        "\"id\":\"chatcmpl-b\",\"model\":\"gpt-3.5-turbo\",\"system_fingerprint\":\"b1\",\"object\":\"chat.completion.chunk\"}",
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}",
        "{\"choices\":[{\"finish_reason\":\"length\",\"index\":0,\"delta\":{}}],\"usage\":{\"completion_tokens\":1,"
        "\"prompt_tokens\":26,\"total_tokens\":27},\"timings\":{\"prompt_n\":26,\"cache_n\":4}}",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("T(Hi)" LENGTH);
    assert_false(answer.over);
    assert_int_equal(event("[DONE]"), OK);
    expect("T(Hi)" LENGTH "U(26 1 0 0)");
}

static void llama_cpp_tool_call(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
        "\"index\":0,\"id\":\"\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}",
        "{\"choices\":[{\"finish_reason\":null,\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{"
        "\"arguments\":\"}\"}}]}}]}",
        "{\"choices\":[{\"finish_reason\":\"tool_calls\",\"index\":0,\"delta\":{}}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    assert_true(str_starts(buf_str(&got), S("C0(call_")));
    assert_int_equal(str_find(buf_str(&got), ' '), 3 + 5 + ID_HEX);
    assert_true(str_ends(buf_str(&got), S(" f)A0({)A0(})" CALLS)));
}

static void sglang_nulls_and_usage(void **state)
{
    static const char *const chunks[] = {
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"reasoning_content\":null,"
        "\"tool_calls\":null},\"logprobs\":null,\"finish_reason\":null,\"matched_stop\":null}],\"usage\":null}",
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":null,\"content\":null,\"tool_calls\":[{\"id\":\"call_1\","
        "\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}],\"usage\":null}",
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"id\":null,\"index\":0,\"type\":\"function\","
        "\"function\":{\"name\":null,\"arguments\":\"{\\\"a\\\":1}\"}}]}}]}",
        "{\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"matched_stop\":151645}]}",
        "{\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"reasoning_tokens\":2,"
        "\"prompt_tokens_details\":{\"cached_tokens\":1}}}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("C0(call_1 f)A0({\"a\":1})" CALLS "U(3 4 2 1)");
}

static void ollama_calls_in_one_piece(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{\"id\":\"call_a\","
        "\"index\":0,\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}},{\"id\":\"call_b\",\"index\":0,"
        "\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{\"x\":[1]}}}]},\"finish_reason\":null}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"stop\"}]}",
        NULL,
    };

    (void)state;
    stream(chunks);
    assert_int_equal(answer_end(&answer), OK); /* without [DONE] */
    expect("C0(call_a f)A0({})C1(call_b f)A1({\"x\":[1]})" CALLS);
}

static void calls_without_an_index(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"}\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"2\",\"function\":{\"name\":\"g\",\"arguments\":\"\"}}]}}]}",
        "{\"choices\":[{\"delta\":{},\"finish_reason\":\"function_call\"}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("C0(1 f)A0({)A0(})C1(2 g)" CALLS);
}

/* Some versions of vLLM made up a new id for each piece. */
static void a_new_id_alone_is_no_new_call(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"1\",\"index\":0,\"function\":{\"name\":\"f\"}}]}}]}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"2\",\"index\":0,\"function\":{\"arguments\":\"{}\"}}]}}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("C0(1 f)A0({})" CALLS);
}

static void the_cloud_with_two_choices(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"content\":\"\",\"role\":\"assistant\"},\"index\":0,\"logprobs\":null,\"finish_reason\":null}],"
        "\"object\":\"chat.completion.chunk\",\"usage\":null,\"created\":1,\"system_fingerprint\":null,\"model\":\"qwen-plus\","
        "\"id\":\"chatcmpl-d\"}",
        "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"index\":0},{\"delta\":{\"content\":\"b\"},\"index\":1}]}",
        "{\"choices\":[{\"finish_reason\":\"stop\",\"delta\":{\"content\":\"\"},\"index\":1}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"ignored\"},\"index\":2}]}",
        "{\"choices\":[{\"finish_reason\":\"length\",\"delta\":{\"content\":\"c\"},\"index\":0}]}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":22,\"completion_tokens\":17,\"total_tokens\":39,"
        "\"completion_tokens_details\":{\"reasoning_tokens\":5},\"prompt_tokens_details\":{\"cached_tokens\":16}}}",
        "[DONE]",
        NULL,
    };

    (void)state;
    input.n = (opt_int){ 2, true };
    again(true);
    stream(chunks);
    expect("T(a)1:T(b)1:" STOP "T(c)" LENGTH "U(22 17 5 16)");
}

/* Qwen-MT in the cloud: each piece is the text so far (chat.md §5.6). */
static void a_cumulative_stream_is_given_in_pieces(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"content\":\"\",\"role\":\"assistant\"},\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"I\"},\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"I have\"},\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"I have it\"},\"index\":0}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"I have it\"},\"index\":0,\"finish_reason\":\"stop\"}]}",
        "[DONE]",
        NULL,
    };
    struct model mt = { .incremental = MODEL_INCREMENTAL_NEVER };

    (void)state;
    input.model = &mt;
    again(true);
    stream(chunks);
    expect("T(I)T( have)T( it)" STOP);
    again(false); /* an engine of the user's own is not the cloud */
    stream(chunks);
    expect("T(I)T(I have)T(I have it)T(I have it)" STOP);
}

static void logprobs_come_with_their_text(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"content\":\"a\"},\"index\":0,\"logprobs\":{\"content\":[{\"token\":\"a\",\"bytes\":[97],"
        "\"logprob\":-0.5,\"top_logprobs\":[{\"token\":\"a\",\"bytes\":[97],\"logprob\":-0.5},{\"token\":\"b\",\"logprob\":-2}]}]}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"b\"},\"index\":0,\"logprobs\":{\"content\":[{\"token\":\"b\",\"bytes\":null,"
        "\"logprob\":-1,\"top_logprobs\":[]}]}}]}",
        "{\"choices\":[{\"delta\":{\"content\":\"c\"},\"index\":0,\"logprobs\":null}]}",
        "{\"choices\":[{\"delta\":{},\"index\":0,\"finish_reason\":\"stop\"}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("T(a)T(b)T(c)" STOP);
    input.logprobs = (opt_bool){ true, true };
    again(true);
    stream(chunks);
    expect("T(a)P(a -0.50 a -0.50 b -2.00)T(b)P(b -1.00)T(c)" STOP);
}

static void all_counts_of_the_cloud_are_read(void **state)
{
    (void)state;
    again(true);
    (void)whole(
        "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\",\"index\":0}],\"usage\":{"
        "\"prompt_tokens\":9,\"completion_tokens\":5,\"completion_tokens_details\":{\"audio_tokens\":2},"
        "\"prompt_tokens_details\":{\"cached_tokens\":1,\"image_tokens\":3,\"video_tokens\":4,\"audio_tokens\":2,"
        "\"cache_creation_input_tokens\":6},\"plugins\":{\"search\":{\"count\":7},\"code_interpreter\":{\"count\":8}}}}");
    assert_int_equal(6, answer.usage.cache_created_tokens);
    assert_int_equal(3, answer.usage.image_tokens);
    assert_int_equal(4, answer.usage.video_tokens);
    assert_int_equal(2, answer.usage.audio_tokens);
    assert_int_equal(2, answer.usage.audio_out_tokens);
    assert_int_equal(7, answer.usage.searches);
    assert_int_equal(8, answer.usage.code_runs);
}

static void a_forced_function_ends_with_stop(void **state)
{
    static const char *const chunks[] = {
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"id\":\"1\",\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}}]}",
        "{\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    input.tool_choice = CHAT_TOOLS_NAMED;
    again(false);
    stream(chunks);
    expect("C0(1 f)A0({})" STOP);
}

static void done_without_a_reason_is_an_end(void **state)
{
    (void)state;
    assert_int_equal(event("{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"x\"}]}}]}"), OK);
    assert_int_equal(event("[DONE]"), OK);
    expect("T(x)" STOP);
}

/* The texts of one chunk's events must outlive the reading of the next chunk. */
static void texts_last_for_one_chunk_more(void **state)
{
    struct chat_event first = { 0 };
    struct sse_event  a = { .data = S("{\"choices\":[{\"delta\":{\"content\":\"first\"}}]}") };
    struct sse_event  b = { .data = S("{\"choices\":[{\"delta\":{\"content\":\"other\"}}]}") };

    (void)state;
    assert_int_equal(answer_event(&answer, &a), OK);
    assert_true(answer_take(&answer, &first));
    assert_int_equal(answer_event(&answer, &b), OK);
    assert_true(str_eq(first.text, S("first")));
}

/* A chunk larger than the scratch, and then many more: nothing is lost and nothing leaks. */
static void large_chunks(void **state)
{
    static char json[300000];
    size_t      n = sizeof(json) - 100;

    (void)state;
    for (int i = 0; i < 10; i++) {
        int at = snprintf(json, sizeof(json), "{\"choices\":[{\"delta\":{\"content\":\"");

        memset(json + at, 'x', n);
        memcpy(json + at + n, "\"}}]}", 6);
        assert_int_equal(event(json), OK);
        assert_int_equal(got.len, n + 3);
        buf_reset(&got);
        n /= 3;
    }
    assert_true(arena_size(&arena) < (1 << 20) + 400000);
}

/* ---- refusals in a stream ---- */

static void errors_in_a_stream(void **state)
{
    static const struct {
        const char *data, *id;
    } cases[] = {
        { "{\"error\":{\"object\":\"error\",\"message\":\"boom\",\"type\":\"InternalServerError\",\"code\":500}}",
          "E216" },
        { "{\"object\":\"error\",\"message\":\"too long\",\"type\":\"BadRequestError\",\"param\":null,\"code\":400}",
          "E219" },
        { "{\"error\":{\"code\":503,\"message\":\"Loading model\",\"type\":\"unavailable_error\"}}", "E236" },
        { "{\"error\":{\"message\":\"slow down\",\"type\":\"rate_limit_error\"}}", "E235" },
        { "{\"error\":\"llama runner process has terminated\"}", "E216" },
        { "{\"code\":\"Throttling.AllocationQuota\",\"message\":\"Allocated quota exceeded\",\"request_id\":\"1\"}",
          "E235" },
        { "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"abort\"}]}", "E220" },
        { "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}", "E100a" },
        { "<html>", "E224" },
        { "", "E224" },
        { "[1]", "E224" },
        { "{\"choices\":[1]}", "E224" },
        { "{\"choices\":[{\"delta\":{\"tool_calls\":[1]}}]}", "E224" },
        { "{\"choices\":[{\"delta\":{\"content\":\"\\ud800\"}}]}", "E224" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        again(false);
        assert_int_equal(event("{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}"), OK);
        assert_int_equal(event(cases[i].data), ERR_FAULT);
        expect_fault(cases[i].id);
        expect("T(x)");
    }
}

static void the_cloud_is_passed_on(void **state)
{
    struct sse_event ev = {
        .event = S("error"),
        .comment = S("HTTP_STATUS/429"),
        .data = S(
            "{\"request_id\":\"1\",\"code\":\"Throttling.AllocationQuota\",\"message\":\"Allocated quota exceeded\"}"),
    };

    (void)state;
    again(true);
    assert_int_equal(answer_event(&answer, &ev), ERR_FAULT);
    assert_null(fault.row);
    assert_int_equal(fault.foreign.status, 429);
    assert_true(str_eq(fault.foreign.code, S("Throttling.AllocationQuota")));
    assert_true(str_eq(fault.foreign.message, S("Allocated quota exceeded")));
    again(true);
    assert_int_equal(
        event("{\"error\":{\"code\":\"data_inspection_failed\",\"param\":null,\"message\":\"Output data may "
              "contain inappropriate content.\",\"type\":\"data_inspection_failed\"},\"id\":\"chatcmpl-1\"}"),
        ERR_FAULT);
    assert_int_equal(fault.foreign.status, 400);
}

static void a_stream_that_breaks_off(void **state)
{
    (void)state;
    assert_int_equal(event("{\"choices\":[{\"delta\":{\"content\":\"x\"}}]}"), OK);
    assert_int_equal(answer_end(&answer), ERR_FAULT);
    expect_fault("E224");
    again(false);
    assert_int_equal(answer_end(&answer), ERR_FAULT);
    expect_fault("E224");
    again(false);
    assert_int_equal(event("[DONE]"), ERR_FAULT); /* and nothing before it */
    expect_fault("E224");
}

/* ---- whole answers ---- */

static void whole_answers(void **state)
{
    (void)state;
    assert_int_equal(
        whole(
            "{\"choices\":[{\"message\":{\"content\":\"Hi\",\"role\":\"assistant\",\"reasoning_content\":\"hm\"},"
            "\"finish_reason\":\"stop\",\"index\":0,\"logprobs\":null}],\"object\":\"chat.completion\",\"usage\":{"
            "\"prompt_tokens\":22,\"completion_tokens\":2,\"total_tokens\":24,\"prompt_tokens_details\":{\"cached_tokens\":0}},"
            "\"created\":1,\"system_fingerprint\":null,\"model\":\"qwen-plus\",\"id\":\"chatcmpl-1\"}"),
        OK);
    expect("R(hm)T(Hi)" STOP "U(22 2 0 0)");
    assert_true(answer.over);
    again(false);
    assert_int_equal(
        whole("{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{"
              "\"id\":\"1\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"}},{"
              "\"id\":\"2\",\"index\":0,\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]},"
              "\"finish_reason\":\"tool_calls\"}]}"),
        OK);
    expect("C0(1 f)A0({\"a\":1})C1(2 f)" CALLS);
    again(false);
    assert_int_equal(whole("{\"choices\":[{\"message\":{\"content\":\"x\"}}]}"), OK);
    expect("T(x)" STOP);
    again(false); /* legacy completions */
    assert_int_equal(whole("{\"choices\":[{\"text\":\"x\",\"finish_reason\":\"length\",\"index\":0}]}"), OK);
    expect("T(x)" LENGTH);
}

static void counts_that_cannot_be_have_a_ceiling(void **state)
{
    (void)state;
    again(false);
    assert_int_equal(whole("{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}],\"usage\":{"
                           "\"prompt_tokens\":9223372036854775807,\"completion_tokens\":-5,\"total_tokens\":1}}"),
                     OK);
    expect("T(x)" STOP "U(1000000000 0 0 0)");
}

static void whole_answers_that_are_none(void **state)
{
    static const struct {
        const char *json, *id;
    } cases[] = {
        { "", "E224" },
        { "<html></html>", "E224" },
        { "{\"choices\":[{\"mess", "E224" },
        { "[]", "E224" },
        { "{}", "E224" },
        { "{\"choices\":[]}", "E224" },
        { "{\"choices\":[null]}", "E224" },
        { "{\"error\":{\"message\":\"out of memory\",\"type\":\"server_error\"}}", "E216" },
        { "{\"error\":{\"message\":\"no\",\"code\":400}}", "E219" },
        { "{\"choices\":[{\"message\":{\"content\":\"x\"},\"finish_reason\":\"error\"}]}", "E220" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        again(false);
        assert_int_equal(whole(cases[i].json), ERR_FAULT);
        expect_fault(cases[i].id);
    }
}

/* REF: errors E217 */
static void arguments_that_are_not_json(void **state)
{
    static const struct {
        const char *arguments;
        int         line, column, offset;
    } cases[] = {
        { "{\\\"a\\\":1 \\\"b\\\":2}", 1, 8, 7 },
        { "{\\\"a\\\": \\\"\xe4\xbd\xa0\xe5\xa5\xbd\\\" x}", 1, 12, 11 }, /* counted in characters */
        { "{\\n  \\\"a\\\": 1\\n  \\\"b\\\": 2\\n}", 3, 3, 13 },
        { "{\\\"a\\\":1", 1, 7, 6 },
    };
    char json[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        again(false);
        snprintf(
            json, sizeof(json),
            "{\"choices\":[{\"message\":{\"content\":\"\",\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\","
            "\"arguments\":\"%s\"}}]},\"finish_reason\":\"tool_calls\"}]}",
            cases[i].arguments);
        assert_int_equal(whole(json), ERR_FAULT);
        expect_fault("E217");
        assert_int_equal(fault.args[0].i, cases[i].line);
        assert_int_equal(fault.args[1].i, cases[i].column);
        assert_int_equal(fault.args[2].i, cases[i].offset);
        expect("");
    }
    again(false); /* cut by its limit, which the client sees */
    assert_int_equal(whole("{\"choices\":[{\"message\":{\"tool_calls\":[{\"id\":\"1\",\"function\":{\"name\":\"f\","
                           "\"arguments\":\"{\"}}]},\"finish_reason\":\"length\"}]}"),
                     OK);
    expect("C0(1 f)A0({)" LENGTH);
}

/* ---- refusals with a status ---- */

static void statuses(void **state)
{
    static const struct {
        int         status;
        const char *body, *id;
    } cases[] = {
        { 400, "{\"error\":{\"message\":\"no\",\"type\":\"invalid_request_error\"}}", "E219" },
        { 400, "", "E219" },
        { 401, "{\"error\":{\"message\":\"key\"}}", "E228" },
        { 404, "{\"error\":{\"message\":\"model not found\"}}", "E236" },
        { 404, "<html>nginx", "E236" },
        { 405, "", "E228" },
        { 408, "", "E230a" },
        { 413, "", "E219" },
        { 422, "{\"detail\":\"Field required\"}", "E219" },
        { 429, "", "E235" },
        { 500, "{\"error\":{\"message\":\"boom\",\"type\":\"server_error\",\"code\":500}}", "E216" },
        { 500, "Internal Server Error", "E225a" },
        { 500, "", "E225a" },
        { 501, "", "E225a" },
        { 502, "<html>", "E236" },
        { 503, "{\"error\":{\"message\":\"Loading model\",\"code\":503}}", "E236" },
        { 504, "", "E230a" },
        { 301, "", "E224" },
        { 204, "", "E224" },
        { 999, "", "E225a" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fault = (struct fault){ 0 };
        assert_int_equal(refusal_of_answer(&fault, &arena, false, 0, cases[i].status, str_from_cstr(cases[i].body)),
                         ERR_FAULT);
        expect_fault(cases[i].id);
        assert_true(fault.detail.len > 0);
    }
}

/* As the servers say it; the limit is that of the row E008 or E009. */
static void prompts_that_are_too_long(void **state)
{
    static const struct {
        int         status;
        const char *message, *more, *id;
        int64_t     limit;
    } cases[] = {
        { 400, "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it",
          "\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":5000,\"n_ctx\":2048", "E008", 2048 },
        { 400, "request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it", "", "E008",
          4096 },
        { 400, "the request exceeds the available context size, try increasing it", "", "E008", 1000 },
        { 400,
          "This model's maximum context length is 4096 tokens. However, you requested 5100 tokens (5000 in the "
          "messages, 100 in the completion). Please reduce the length of the messages or completion.",
          "\"type\":\"BadRequestError\",\"code\":400", "E008", 4096 },
        { 400,
          "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens (1000 in the "
          "messages, 4000 in the completion). Please reduce the length of the messages or completion.",
          "", "E009", 3096 },
        { 400,
          "'max_tokens' or 'max_completion_tokens' is too large: 4000. This model's maximum context length is 4096 "
          "tokens and your request has 1000 input tokens (4000 > 4096 - 1000).",
          "", "E009", 3096 },
        { 400, "The decoder prompt (length 5000) is longer than the maximum model length of 4096.", "", "E008", 4096 },
        { 400, "The input (5000 tokens) is longer than the model's context length (4096 tokens).", "", "E008", 4096 },
        { 400,
          "Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of "
          "5000 tokens: 1000 tokens from the input messages and 4000 tokens for the completion.",
          "", "E009", 3096 },
        { 400, "the input length exceeds the context length", "", "E008", 1000 },
        { 400, "too much", "\"code\":\"context_length_exceeded\"", "E008", 1000 },
        { 400, "Range of input length should be [1, 30720]", "", "E008", 30720 },
        { 400, "maximum context length is unknown to me", "", "E219", 0 },
        { 400, "The context of the image is missing.", "", "E219", 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        str body = arena_printf(&arena, "{\"error\":{\"message\":\"%s\"%s%s}}", cases[i].message,
                                *cases[i].more ? "," : "", cases[i].more);

        fault = (struct fault){ 0 };
        assert_int_equal(refusal_of_answer(&fault, &arena, false, 1000, cases[i].status, body), ERR_FAULT);
        expect_fault(cases[i].id);
        if (cases[i].limit)
            assert_int_equal(fault.args[0].i, cases[i].limit);
    }
    /* Nobody knows the limit: there is no sentence without one. */
    assert_int_equal(refusal_of_answer(&fault, &arena, false, 0, 400,
                                       S("{\"error\":{\"message\":\"the input length exceeds the context length\"}}")),
                     ERR_FAULT);
    expect_fault("E219");
}

static void statuses_of_the_cloud(void **state)
{
    str body = S(
        "{\"error\":{\"message\":\"<400> InternalError.Algo.InvalidParameter: Range of top_p should be (0.0, 1.0]\","
        "\"type\":\"invalid_request_error\",\"param\":null,\"code\":\"invalid_parameter_error\"},\"id\":\"chatcmpl-1\","
        "\"request_id\":\"1\"}");

    (void)state;
    assert_int_equal(refusal_of_answer(&fault, &arena, true, 0, 400, body), ERR_FAULT);
    assert_null(fault.row);
    assert_int_equal(fault.foreign.status, 400);
    assert_true(str_eq(fault.foreign.code, S("invalid_parameter_error")));
    assert_true(str_ends(fault.foreign.message, S("(0.0, 1.0]")));
    assert_int_equal(refusal_of_answer(&fault, &arena, true, 0, 401, body), ERR_FAULT);
    expect_fault("E228");
    assert_int_equal(refusal_of_answer(&fault, &arena, true, 0, 502, S("<html>")), ERR_FAULT);
    expect_fault("E236");
}

/* ---- events that differ in their text alone ---- */

#define PIECE(text) \
    "{\"id\":\"a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"},\"finish_reason\":null}]}"

/* As if each were parsed: what the text alone cannot be, must be noticed. */
static void pieces_are_read_as_if_parsed(void **state)
{
    static const char *const chunks[] = {
        PIECE("one"),
        PIECE(" two"),
        PIECE("\\n\\u00e9"),
        PIECE("\xe4\xbd\xa0"),
        PIECE("\xe4\xbd\xa0 four"),
        PIECE(""),
        PIECE("one"),
        PIECE("x\"},\"finish_reason\":\"stop\",\"y\":{\"z\":\""),
        PIECE("after"),
        "[DONE]",
        NULL,
    };

    static const bool read_alike[] = { false, true, false, false, true, false, false, false, false, false };

    (void)state;
    for (size_t i = 0; chunks[i]; i++) {
        if (event(chunks[i]))
            fail_msg("refused at %s: %.*s", chunks[i], STR_ARG(fault.detail));
        /* What is parsed needs more memory than the one text that is kept of it. */
        if ((answer.scratch[answer.turn].wanted <= 16) != read_alike[i] && strcmp(chunks[i], "[DONE]") != 0)
            fail_msg("%s: %s", chunks[i], read_alike[i] ? "parsed" : "not parsed");
    }
    expect("T(one)T( two)T(\n\xc3\xa9)T(\xe4\xbd\xa0)T(\xe4\xbd\xa0 four)T(one)T(x)" STOP);
}

static void an_event_of_nothing_is_not_remembered(void **state)
{
    (void)state;
    assert_int_equal(event("{\"choices\":[]}"), OK); /* before anything has been queued */
    assert_int_equal(answer.like.before, 0);
    expect("");
}

static void a_piece_that_is_no_text_is_refused(void **state)
{
    static const char *const broken[] = { PIECE("\xff"), PIECE("\xe4\xbd"), PIECE("a\nb"), PIECE("a\tb") };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        again(false);
        assert_int_equal(event(PIECE("good")), OK);
        assert_true(answer.like.before > 0);
        assert_int_equal(event(broken[i]), ERR_FAULT);
        expect("T(good)");
        expect_fault("E224");
    }
}

static void a_text_that_stands_in_two_places_is_not_remembered(void **state)
{
    (void)state;
    assert_int_equal(event(PIECE("a")), OK); /* its id is the same */
    assert_int_equal(answer.like.before, 0);
    assert_int_equal(event(PIECE("b")), OK);
    assert_true(answer.like.before > 0);
    assert_int_equal(event(PIECE("a")), OK);
    expect("T(a)T(b)T(a)");
}

static void the_text_before_stays_while_the_next_piece_is_read(void **state)
{
    struct sse_event  next = { .data = S(PIECE("second")) };
    struct chat_event ev;

    (void)state;
    assert_int_equal(event(PIECE("zero")), OK);
    assert_int_equal(answer_event(&answer, &(struct sse_event){ .data = S(PIECE("first")) }), OK);
    assert_true(answer_take(&answer, &ev));
    assert_int_equal(answer_event(&answer, &next), OK);
    assert_true(str_eq(ev.text, S("first")));
    assert_true(answer_take(&answer, &ev));
    assert_true(str_eq(ev.text, S("second")));
}

/* ---- calls ---- */

#define CALL_PIECE(calls) "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[" calls "]},\"finish_reason\":null}]}"
#define CALL_BEGIN(index, id, name)                                                               \
    "{\"index\":" index ",\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" name \
    "\",\"arguments\":\"\"}}"
#define CALL_ARGS(index, text) "{\"index\":" index ",\"function\":{\"arguments\":\"" text "\"}}"

static void pieces_of_two_calls_in_turn(void **state)
{
    static const char *const chunks[] = {
        CALL_PIECE(CALL_BEGIN("0", "c0", "f")),
        CALL_PIECE(CALL_BEGIN("1", "c1", "g")),
        CALL_PIECE(CALL_ARGS("0", "{\\\"a\\\":")),
        CALL_PIECE(CALL_ARGS("1", "{\\\"b\\\":2}")),
        CALL_PIECE(CALL_ARGS("0", "1}")),
        "{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}",
        "[DONE]",
        NULL,
    };

    (void)state;
    stream(chunks);
    expect("C0(c0 f)C1(c1 g)A0({\"a\":)A1({\"b\":2})A0(1})" CALLS);
}

static void a_fault_in_the_middle_of_arguments(void **state)
{
    (void)state;
    assert_int_equal(event(CALL_PIECE(CALL_BEGIN("0", "c0", "f"))), OK);
    assert_int_equal(event(CALL_PIECE(CALL_ARGS("0", "{\\\"a\\\":"))), OK);
    assert_int_equal(event("{\"error\":{\"message\":\"out of memory\",\"code\":500}}"), ERR_FAULT);
    expect("C0(c0 f)A0({\"a\":)");
    expect_fault("E216");

    again(false);
    assert_int_equal(event(CALL_PIECE(CALL_BEGIN("0", "c0", "f"))), OK);
    assert_int_equal(event(CALL_PIECE(CALL_ARGS("0", "{\\\"a\\\":"))), OK);
    assert_int_equal(answer_end(&answer), ERR_FAULT); /* it breaks off */
    expect_fault("E224");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(pieces_are_read_as_if_parsed),
        TEST(an_event_of_nothing_is_not_remembered),
        TEST(a_piece_that_is_no_text_is_refused),
        TEST(a_text_that_stands_in_two_places_is_not_remembered),
        TEST(the_text_before_stays_while_the_next_piece_is_read),
        TEST(pieces_of_two_calls_in_turn),
        TEST(a_fault_in_the_middle_of_arguments),
        TEST(a_cumulative_stream_is_given_in_pieces),
        TEST(logprobs_come_with_their_text),
        TEST(all_counts_of_the_cloud_are_read),
        TEST(vllm_text_and_usage),
        TEST(what_stopped_the_answer_is_told),
        TEST(vllm_tool_calls),
        TEST(the_cloud_speaks),
        TEST(llama_cpp_text),
        TEST(llama_cpp_tool_call),
        TEST(sglang_nulls_and_usage),
        TEST(ollama_calls_in_one_piece),
        TEST(calls_without_an_index),
        TEST(a_new_id_alone_is_no_new_call),
        TEST(the_cloud_with_two_choices),
        TEST(a_forced_function_ends_with_stop),
        TEST(done_without_a_reason_is_an_end),
        TEST(texts_last_for_one_chunk_more),
        TEST(large_chunks),
        TEST(errors_in_a_stream),
        TEST(the_cloud_is_passed_on),
        TEST(a_stream_that_breaks_off),
        TEST(whole_answers),
        TEST(counts_that_cannot_be_have_a_ceiling),
        TEST(whole_answers_that_are_none),
        TEST(arguments_that_are_not_json),
        TEST(statuses),
        TEST(prompts_that_are_too_long),
        TEST(prompts_that_are_too_long),
        TEST(statuses_of_the_cloud),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
