/* test_standin.c - the stand-in's answers, event by event. Tokens are four bytes here, time stands still, there is no
 * lane: what is made up is made in place. */
#include "engine/standin/standin.c"

#include "contract/catalog.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* --- What stands around it --------------------------------------------------------------------------------------- */

#define NOW INT64_C(1000000)

static int64_t slept_until;
static int     fiber_here, token_calls;

struct fiber *fiber_self(void)
{
    return (struct fiber *)&fiber_here;
}

struct loop *fiber_loop(void)
{
    return (struct loop *)&fiber_here;
}

int64_t loop_now_us(struct loop *l)
{
    (void)l;
    return NOW;
}

enum err fiber_sleep_until(int64_t deadline_us)
{
    slept_until = deadline_us;
    return OK;
}

struct lane *lane_open(const char *name)
{
    (void)name;
    return NULL;
}

void lane_close(struct lane *l)
{
    (void)l;
}

void lane_run(struct lane *l, void (*fn)(void *arg), void *arg)
{
    (void)l;
    fn(arg);
}

str tokenizer_next(const struct tokenizer *t, str *rest)
{
    str token = str_first(*rest, utf8_cut(*rest, 4));

    (void)t;
    *rest = str_from(*rest, token.len);
    return token;
}

size_t tokenizer_count(const struct tokenizer *t, str text)
{
    size_t n = 0;

    token_calls++;
    while (text.len) {
        tokenizer_next(t, &text);
        n++;
    }
    return n;
}

size_t tokenizer_prefix(const struct tokenizer *t, str text, size_t max_tokens)
{
    str rest = text;

    for (; max_tokens && rest.len; max_tokens--)
        tokenizer_next(t, &rest);
    return text.len - rest.len;
}

/* An id is the first byte of its token; decode() only has to know the length. */
size_t tokenizer_encode(const struct tokenizer *t, str text, uint32_t *ids, size_t cap)
{
    size_t n = 0;

    while (text.len) {
        str token = tokenizer_next(t, &text);

        if (n < cap)
            ids[n] = (unsigned char)token.ptr[0];
        n++;
    }
    return n;
}

str tokenizer_decode(const struct tokenizer *t, uint32_t id)
{
    (void)t, (void)id;
    return S("1234");
}

/* --- A request --------------------------------------------------------------------------------------------------- */

static struct arena        arena, process;
static struct request      rq;
static struct chat_message messages[8];
static struct chat_input   in;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    arena_init(&process, 0);
    rq = (struct request){ .arena = &arena };
    messages[0] = (struct chat_message){ .role = CHAT_USER, .content = S("hello") };
    in = (struct chat_input){ .model_name = S("qwen-plus"), .messages = messages, .message_count = 1 };
    slept_until = 0;
    token_calls = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    arena_free(&process);
    return 0;
}

static str header_of(void *arg, str name)
{
    assert_ptr_equal(&rq, arg);
    return str_eq(name, S("x-case")) ? S("seven") : S("");
}

static struct engine *engine_with(const char *yaml)
{
    char                   path[] = "/tmp/dashbox-test-XXXXXX";
    struct standin_options o = { .name = S("standin"),
                                 .tokenizer = (const struct tokenizer *)&fiber_here,
                                 .seed = 42,
                                 .error_find = error_find,
                                 .header = header_of };
    str                    why = S("");
    struct engine         *e;
    int                    fd;

    if (!yaml)
        return standin_new(&process, &o, &why);
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(strlen(yaml), write(fd, yaml, strlen(yaml)));
    close(fd);
    o.scenario_path = path;
    e = standin_new(&process, &o, &why);
    unlink(path);
    if (!e)
        fail_msg("%.*s", STR_ARG(why));
    return e;
}

static void add_escaped(struct buf *b, str s)
{
    for (size_t i = 0; i < s.len; i++)
        buf_add_char(b, s.ptr[i] == '|' ? '!' : s.ptr[i]);
}

/* The whole answer as text: "0:text(3)hello|0:stop|". Tokens in brackets, choice in front; what it ended with at the
 * end when that was not the end. Ids of calls are left out. */
static str run(struct engine *e)
{
    static const char *const kinds[] = {
        [CHAT_EV_REASONING] = "think", [CHAT_EV_TEXT] = "text", [CHAT_EV_TOOL_ARGS] = "args"
    };
    static const char *const finishes[] = { "null", "stop", "length", "tool_calls" };
    struct engine_stream    *st;
    struct chat_event        ev;
    struct buf               out;
    enum err                 err;

    buf_init(&out, &arena, 1 << 20);
    rq.fault = (struct fault){ 0 };
    err = e->ops->open(e, &rq, &in, &st);
    while (err == OK && (err = e->ops->next(st, &ev)) == OK) {
        buf_addf(&out, "%u:", ev.choice);
        switch (ev.kind) {
        case CHAT_EV_REASONING:
        case CHAT_EV_TEXT:
        case CHAT_EV_TOOL_ARGS:
            buf_addf(&out, "%s(%d)", kinds[ev.kind], (int)ev.tokens);
            add_escaped(&out, ev.text);
            if (ev.logprob_count)
                buf_addf(&out, "{%zu}", ev.logprob_count);
            break;
        case CHAT_EV_TOOL_CALL:
            assert_true(ev.tool_id.len > 0);
            buf_addf(&out, "call%u(%.*s)", ev.tool_index, STR_ARG(ev.tool_name));
            break;
        case CHAT_EV_SEARCH:
            buf_addf(&out, "search(%zu,%zu)", ev.source_count, ev.found_count);
            break;
        case CHAT_EV_IMAGES:
            buf_add(&out, S("images"));
            break;
        case CHAT_EV_CODE:
            buf_addf(&out, "code(%.*s)", STR_ARG(ev.text));
            break;
        case CHAT_EV_AUDIO:
        case CHAT_EV_STEP:
            fail();
            break;
        case CHAT_EV_FINISH:
            buf_addf(&out, "%s", finishes[ev.finish]);
            break;
        case CHAT_EV_USAGE:
            buf_addf(&out, "usage(%d,%d,%d,%d)", (int)ev.usage.prompt_tokens, (int)ev.usage.completion_tokens,
                     (int)ev.usage.reasoning_tokens, (int)ev.usage.cached_tokens);
            break;
        }
        buf_add_char(&out, '|');
    }
    if (err == ERR_FAULT)
        buf_addf(&out, "fault %.*s", STR_ARG(rq.fault.row ? rq.fault.row->id : rq.fault.foreign.code));
    else
        assert_int_equal(ERR_EOF, err);
    return buf_str(&out);
}

static void assert_run(struct engine *e, const char *want)
{
    str got = run(e);

    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("\ngot    %.*s\nwanted %s", STR_ARG(got), want);
}

static yyjson_val *json(const char *text)
{
    yyjson_val *v = json_parse_copy(&arena, str_from_cstr(text));

    assert_non_null(v);
    return v;
}

/* --- Fixed rules ------------------------------------------------------------------------------------------------- */

static void the_last_user_message_comes_back(void **state)
{
    struct engine *e = engine_with(NULL);

    (void)state;
    assert_run(e, "0:text(-1)dashbox stand-in: hello|0:stop|");
    assert_int_equal(0, token_calls); /* nobody needs them */
    messages[0].content = S("");
    assert_run(e, "0:text(-1)dashbox stand-in: (no text)|0:stop|");
    messages[0].role = CHAT_SYSTEM;
    assert_run(e, "0:text(-1)dashbox stand-in: (no text)|0:stop|");
}

static void a_long_message_is_cut_between_characters(void **state)
{
    static char long_text[1201];
    str         got;

    (void)state;
    for (size_t i = 0; i < 400; i++)
        memcpy(long_text + 3 * i, "猫", 3);
    messages[0].content = str_of(long_text, 1200);
    got = run(engine_with(NULL));
    assert_true(utf8_valid(got));
    assert_true(str_find_str(got, S("猫 […]|0:stop|")) != STR_NONE);
    assert_true(got.len < STANDIN_ECHO_MAX + 60);
}

static void a_tools_result_comes_back(void **state)
{
    (void)state;
    messages[1] = (struct chat_message){ .role = CHAT_ASSISTANT };
    messages[2] = (struct chat_message){ .role = CHAT_TOOL, .content = S("21 degrees") };
    in.message_count = 3;
    assert_run(engine_with(NULL), "0:text(-1)dashbox stand-in: tool result: 21 degrees|0:stop|");
}

static void choices_say_which_they_are(void **state)
{
    (void)state;
    in.n = (opt_int){ .v = 3, .set = true };
    assert_run(engine_with(NULL), "0:text(-1)dashbox stand-in: hello|0:stop|"
                                  "1:text(-1)dashbox stand-in (answer 2): hello|1:stop|"
                                  "2:text(-1)dashbox stand-in (answer 3): hello|2:stop|");
}

static void a_stream_comes_in_single_tokens_then_in_eights(void **state)
{
    (void)state;
    messages[0].content = S("0123456789012345678901234567890123456789");
    in.stream = true;
    assert_run(engine_with(NULL), "0:text(1)dash|0:text(1)box |0:text(1)stan|0:text(8)d-in: 01234567890123456789012345|"
                                  "0:text(4)67890123456789|0:stop|");
}

static void limits_end_the_answer_with_length(void **state)
{
    struct engine *e = engine_with(NULL);

    (void)state;
    in.max_tokens = (opt_int){ .v = 3, .set = true };
    assert_run(e, "0:text(-1)dashbox stan|0:length|");
    in.max_tokens.v = 6; /* "dashbox stand-in: hello" is six of four bytes: it just fits */
    assert_run(e, "0:text(-1)dashbox stand-in: hello|0:stop|");
    in.max_completion_tokens = (opt_int){ .v = 5, .set = true };
    assert_run(e, "0:text(-1)dashbox stand-in: he|0:length|");
    in.max_completion_tokens.v = 0;
    assert_run(e, "0:length|");
}

static void thinking_comes_first_and_within_its_budget(void **state)
{
    struct engine *e = engine_with(NULL);

    (void)state;
    in.thinking = true;
    assert_run(e, "0:think(-1)" STANDIN_REASONING "|0:text(-1)dashbox stand-in: hello|0:stop|");
    in.thinking_max = 2;
    assert_run(e, "0:think(-1)This is |0:text(-1)dashbox stand-in: hello|0:stop|");
    in.max_tokens = (opt_int){ .v = 2, .set = true }; /* of the answer alone */
    assert_run(e, "0:think(-1)This is |0:text(-1)dashbox |0:length|");
    in.max_tokens.set = false;
    in.max_completion_tokens = (opt_int){ .v = 3, .set = true }; /* of both */
    assert_run(e, "0:think(-1)This is |0:text(-1)dash|0:length|");
    in.max_completion_tokens.v = 1;
    assert_run(e, "0:think(-1)This|0:length|");
}

static void stop_texts_end_the_answer_and_are_not_in_it(void **state)
{
    str            stops[] = { S("lo"), S("stand"), S("") };
    struct engine *e = engine_with(NULL);

    (void)state;
    in.stop = stops;
    in.stop_count = 1;
    assert_run(e, "0:text(-1)dashbox stand-in: hel|0:stop|");
    in.stop_count = 3;
    assert_run(e, "0:text(-1)dashbox |0:stop|");
    in.stop_count = 1;
    in.max_tokens = (opt_int){ .v = 2, .set = true };
    assert_run(e, "0:text(-1)dashbox |0:length|");
}

static void stop_ids_end_the_answer(void **state)
{
    struct engine *e = engine_with(NULL);

    (void)state;
    static const uint32_t      first[] = { 100 }, other[] = { 1 }, row[] = { 98, 115 }, wrong[] = { 115, 98 };
    const struct chat_stop_ids ids[] = { { other, 1 }, { first, 1 } }, rows[] = { { wrong, 2 }, { row, 2 } };

    in.stop_ids = (struct chat_stop_ids *)ids; /* 'd' begins the first token */
    in.stop_ids_count = 2;
    assert_run(e, "0:stop|");
    in.stop_ids = (struct chat_stop_ids *)rows; /* "box ", "stan" */
    assert_run(e, "0:text(-1)dash|0:stop|");
    in.stop_ids_count = 1;
    assert_run(e, "0:text(-1)dashbox stand-in: hello|0:stop|");
}

static void only_what_follows_the_prefix_is_given(void **state)
{
    struct engine *e = engine_with(NULL);

    (void)state;
    messages[1] = (struct chat_message){ .role = CHAT_ASSISTANT, .content = S("dashbox stand-"), .partial = true };
    in.message_count = 2;
    assert_run(e, "0:text(-1)in: hello|0:stop|");
    messages[1].content = S("Once upon a time");
    assert_run(e, "0:text(-1)dashbox stand-in: hello|0:stop|");
}

static void json_objects_are_json(void **state)
{
    struct engine *e = engine_with(NULL);

    (void)state;
    in.format = CHAT_FORMAT_JSON_OBJECT;
    messages[0].content = S("say \"json\"\n");
    assert_run(e, "0:text(-1){\"engine\": \"dashbox stand-in\", \"message\": \"say \\\"json\\\"\\n\"}|0:stop|");
    in.n = (opt_int){ .v = 2, .set = true };
    assert_true(str_find_str(run(e), S("\", \"answer\": 2}|1:stop|")) != STR_NONE);
    in.format = CHAT_FORMAT_JSON_SCHEMA; /* without a schema */
    assert_true(str_find_str(run(e), S("\", \"answer\": 2}|1:stop|")) != STR_NONE);
}

static void schemas_get_instances_that_follow_the_seed(void **state)
{
    struct engine *e = engine_with(NULL);
    str            first, other;

    (void)state;
    in.format = CHAT_FORMAT_JSON_SCHEMA;
    in.format_schema = json("{\"properties\":{\"a\":{\"type\":\"integer\",\"maximum\":1000000}},\"required\":[\"a\"]}");
    first = run(e);
    assert_true(str_starts(first, S("0:text(-1){\"a\":")));
    assert_true(str_eq(first, run(e)));
    in.seed = (opt_int){ .v = 7, .set = true };
    other = run(e);
    assert_false(str_eq(first, other));
    assert_true(str_eq(other, run(e)));
    in.n = (opt_int){ .v = 2, .set = true };
    first = run(e);
    assert_true(str_starts(first, other));
    in.format_schema = json("{\"const\":\"c\"}");
    assert_run(e, "0:text(-1)\"c\"|0:stop|1:text(-1)\"c\"|1:stop|");
}

static void a_schema_without_instance_is_refused(void **state)
{
    (void)state;
    in.format = CHAT_FORMAT_JSON_SCHEMA;
    in.format_schema = json("{\"type\":\"string\",\"const\":1}");
    assert_run(engine_with(NULL), "fault E219");
    assert_true(rq.fault.detail.len > 0);
}

static void a_forced_call_ends_with_stop(void **state)
{
    struct chat_tool tools[] = { { .name = S("a"),
                                   .parameters = json("{\"properties\":{\"x\":{\"const\":1}},"
                                                      "\"required\":[\"x\"]}") },
                                 { .name = S("b") } };
    struct engine   *e = engine_with(NULL);

    (void)state;
    in.tools = tools;
    in.tool_count = 2;
    assert_run(e, "0:text(-1)dashbox stand-in: hello|0:stop|");
    in.tool_choice = CHAT_TOOLS_REQUIRED;
    assert_run(e, "0:call0(a)|0:args(-1){\"x\":1}|0:stop|");
    in.tool_choice = CHAT_TOOLS_NAMED;
    in.tool_choice_name = S("b");
    assert_run(e, "0:call0(b)|0:args(-1){}|0:stop|");
    in.stream = true;
    in.tool_choice_name = S("a");
    assert_run(e, "0:call0(a)|0:args(1){\"x\"|0:args(1):1}|0:stop|");
    in.max_tokens = (opt_int){ .v = 11, .set = true }; /* ten of them are what a call is beside its arguments */
    assert_run(e, "0:call0(a)|0:args(1){\"x\"|0:length|");
    in.max_tokens.v = 9;
    assert_run(e, "0:length|");
}

/* The id of the first call of an answer. */
static str call_id(struct engine *e)
{
    struct engine_stream *st;
    struct chat_event     ev;

    assert_int_equal(OK, e->ops->open(e, &rq, &in, &st));
    assert_int_equal(OK, e->ops->next(st, &ev));
    assert_int_equal(CHAT_EV_TOOL_CALL, ev.kind);
    assert_int_equal(29, ev.tool_id.len); /* not native: wire-forms.md §2.3 */
    assert_true(str_starts(ev.tool_id, S("call_")));
    for (size_t i = 5; i < ev.tool_id.len; i++)
        assert_true(strchr("0123456789abcdef", ev.tool_id.ptr[i]) != NULL);
    return ev.tool_id;
}

static void ids_of_calls_are_new_unless_there_is_a_seed(void **state)
{
    struct engine *e = engine_with(NULL);
    str            id;

    (void)state;
    in.tool_choice = CHAT_TOOLS_NAMED;
    in.tool_choice_name = S("a");
    assert_false(str_eq(call_id(e), call_id(e)));
    in.seed = (opt_int){ .v = 7, .set = true };
    id = call_id(e);
    assert_true(str_eq(id, call_id(e)));
    messages[1] = (struct chat_message){ .role = CHAT_USER };
    in.message_count = 2; /* another turn */
    assert_false(str_eq(id, call_id(e)));
}

/* --- With a scenario --------------------------------------------------------------------------------------------- */

static void the_scenario_answers_first(void **state)
{
    struct engine *e = engine_with("rules:\n"
                                   "- {match: {message: hi}, answer: {text: 'Hi, {{model}}, {{call}}.'}}\n"
                                   "- {match: {headers: {x-case: eight}}, answer: {text: never}}\n"
                                   "- {match: {message: slow}, answer: {first_token: 1s, between_tokens: 10ms}}\n");

    (void)state;
    assert_run(e, "0:text(-1)dashbox stand-in: hello|0:stop|");
    messages[0].content = S("hi");
    assert_run(e, "0:text(-1)Hi, qwen-plus, 1.|0:stop|");
    assert_run(e, "0:text(-1)Hi, qwen-plus, 2.|0:stop|");
    in.max_tokens = (opt_int){ .v = 1, .set = true };
    assert_run(e, "0:text(-1)Hi, |0:length|");
    in.max_tokens.set = false;
    assert_int_equal(0, slept_until);
    messages[0].content = S("slow"); /* six tokens: the first after a second, the others 10 ms apart */
    assert_run(e, "0:text(1)dash|0:text(1)box |0:text(1)stan|0:text(3)d-in: slow|0:stop|");
    assert_int_equal(NOW + 1000000 + 50000, slept_until);
    in.stream = true;
    run(e);
    assert_int_equal(NOW + 1000000 + 50000, slept_until);
}

static void the_scenarios_calls_and_reasoning(void **state)
{
    struct chat_tool tool = { .name = S("f"), .parameters = json("{\"const\":{\"made\":\"up\"}}") };
    struct engine   *e = engine_with("rules:\n"
                                       "- answer:\n"
                                       "    text: Let me look.\n"
                                       "    reasoning: I need f.\n"
                                       "    tool_calls:\n"
                                       "    - {name: f, id: call_me, arguments: {q: '{{message}}'}}\n"
                                       "    - {name: f}\n"
                                       "    - {name: unknown}\n"
                                       "    - {name: f, arguments_text: ''}\n");

    (void)state;
    in.tools = &tool;
    in.tool_count = 1;
    assert_run(e,
               "0:text(-1)Let me look.|0:call0(f)|0:args(-1){\"q\": \"hello\"}|0:call1(f)|0:args(-1){\"made\":\"up\"}|"
               "0:call2(unknown)|0:args(-1){}|0:call3(f)|0:tool_calls|");
    in.thinking = true;
    assert_true(str_starts(run(e), S("0:think(-1)I need f.|0:text(-1)Let me look.|")));
    in.tool_choice = CHAT_TOOLS_NAMED;
    in.tool_choice_name = S("f");
    assert_true(str_ends(run(e), S("|0:stop|")));
}

static void the_scenarios_usage_and_finish(void **state)
{
    struct engine *e = engine_with("rules:\n"
                                   "- match: {call: 1}\n"
                                   "  answer: {text: abcdefgh, finish_reason: length, usage: {cached_tokens: 5}}\n"
                                   "- answer: {text: a, usage: {prompt_tokens: 9, completion_tokens: 8, "
                                   "reasoning_tokens: 7}}\n");

    (void)state;
    in.prompt_tokens = 11;
    in.thinking = true;
    in.thinking_max = 1;
    assert_run(e, "0:think(-1)This|0:text(-1)abcdefgh|0:usage(11,3,1,5)|0:length|");
    in.n = (opt_int){ .v = 2, .set = true };
    assert_run(e, "0:think(-1)This|0:text(-1)a|0:stop|1:think(-1)This|1:text(-1)a|1:usage(9,8,7,0)|1:stop|");
}

static void max_tokens_is_of_all_where_the_model_says_so(void **state)
{
    struct model all = { .max_tokens = MODEL_MAX_TOKENS_ALL },
                 unbudgeted = { .max_tokens = MODEL_MAX_TOKENS_UNBUDGETED };
    struct engine *e = engine_with(NULL);

    (void)state;
    in.model = &all;
    in.thinking = true;
    in.max_tokens = (opt_int){ .v = 2, .set = true };
    assert_run(e, "0:think(-1)This is |0:length|");
    in.thinking_max = 1;
    assert_run(e, "0:think(-1)This|0:text(-1)dash|0:length|");
    in.model = &unbudgeted;
    in.thinking_budget = (opt_int){ .v = 1, .set = true };
    assert_run(e, "0:think(-1)This|0:text(-1)dashbox |0:length|");
}

static void arguments_are_whole_until_they_may_be_streamed(void **state)
{
    struct model     m = { .can_tool_stream = true };
    struct chat_tool tool = { .name = S("a"), .parameters = json("{\"const\":{\"abcdefgh\":1}}") };
    struct engine   *e = engine_with(NULL);

    (void)state;
    in.tools = &tool;
    in.tool_count = 1;
    in.tool_choice = CHAT_TOOLS_NAMED;
    in.tool_choice_name = S("a");
    in.model = &m;
    in.stream = true;
    assert_run(e, "0:call0(a)|0:args(-1){\"abcdefgh\":1}|0:stop|");
    in.tool_stream = (opt_bool){ .v = true, .set = true };
    assert_run(e, "0:call0(a)|0:args(1){\"ab|0:args(1)cdef|0:args(1)gh\":|0:args(1)1}|0:stop|");
}

static void banned_tokens_are_not_said(void **state)
{
    struct engine *e = engine_with(NULL);

    (void)state;
    in.logit_bias = json("{\"98\":-100,\"115\":-99.9}"); /* "box "; "stan" is only unlikely */
    assert_run(e, "0:text(-1)dashstand-in: hello|0:stop|");
}

static void each_token_of_a_text_has_its_probability(void **state)
{
    struct engine        *e = engine_with(NULL);
    struct engine_stream *st;
    struct chat_event     ev;
    double                first;

    (void)state;
    in.logprobs = (opt_bool){ .v = true, .set = true };
    in.top_logprobs = (opt_int){ .v = 3, .set = true };
    assert_run(e, "0:text(-1)dashbox stand-in: hello{6}|0:stop|");
    in.stream = true;
    assert_run(e, "0:text(1)dash{1}|0:text(1)box {1}|0:text(1)stan{1}|0:text(3)d-in: hello{3}|0:stop|");
    in.stream = false;
    assert_int_equal(OK, e->ops->open(e, &rq, &in, &st));
    assert_int_equal(OK, e->ops->next(st, &ev));
    for (size_t i = 0; i < ev.logprob_count; i++) {
        const struct chat_logprob *p = &ev.logprobs[i];
        double                     sum = 0;

        assert_int_equal(3, p->top_count);
        assert_true(p->logprob <= 0 && p->logprob >= log(0.5));
        assert_true(p->top[0].logprob == p->logprob);
        for (size_t k = 0; k < 3; k++) {
            sum += exp(p->top[k].logprob);
            assert_true(k == 0 || p->top[k].logprob < p->top[k - 1].logprob);
        }
        assert_true(sum <= 1);
    }
    first = ev.logprobs[0].logprob;
    assert_int_equal(OK, e->ops->open(e, &rq, &in, &st));
    assert_int_equal(OK, e->ops->next(st, &ev));
    assert_true(first == ev.logprobs[0].logprob);
    in.seed = (opt_int){ .v = 9, .set = true };
    assert_int_equal(OK, e->ops->open(e, &rq, &in, &st));
    assert_int_equal(OK, e->ops->next(st, &ev));
    assert_false(first == ev.logprobs[0].logprob);
}

static void only_who_asks_for_a_search_or_code_gets_them(void **state)
{
    struct model   m = { .can_code = true };
    struct engine *e = engine_with("rules:\n"
                                   "- match: {message: find}\n"
                                   "  answer: {text: ok, search: [{title: A, url: 'http://a/'}, {title: B, url: "
                                   "'http://b/'}], found: [{tool: weather, result: fine}]}\n"
                                   "- match: {message: count}\n"
                                   "  answer: {text: ok, reasoning: hm, code: [1+1, print(2)]}\n");

    (void)state;
    in.model = &m;
    messages[0].content = S("find");
    assert_run(e, "0:text(-1)ok|0:stop|");
    in.enable_search = (opt_bool){ .v = true, .set = true };
    assert_run(e, "0:search(2,0)|0:text(-1)ok|0:stop|");
    in.search.extension = in.search.source = in.search.citation = true;
    assert_run(e, "0:search(2,1)|0:text(-1)ok[1][2]|0:stop|");
    in.search.citation_ref = true;
    assert_run(e, "0:search(2,1)|0:text(-1)ok[ref_1][ref_2]|0:stop|");
    messages[0].content = S("else");
    assert_run(e, "0:text(-1)dashbox stand-in: else|0:stop|");
    in.search.forced = true;
    assert_run(e, "0:search(0,0)|0:text(-1)dashbox stand-in: else|0:stop|");
    in.enable_search.v = false;
    messages[0].content = S("count");
    in.thinking = true;
    assert_run(e, "0:think(-1)hm|0:text(-1)ok|0:stop|");
    in.code_interpreter = (opt_bool){ .v = true, .set = true };
    assert_run(e, "0:think(-1)hm|0:code(1+1)|0:code(print(2))|0:text(-1)ok|0:stop|");
}

static void the_scenarios_errors(void **state)
{
    struct engine *e =
        engine_with("rules:\n"
                    "- {match: {message: start}, answer: {error: E219, first_token: 20ms}}\n"
                    "- {match: {message: made up}, answer: {error: {status: 418, code: Teapot}}}\n"
                    "- {match: {message: middle}, answer: {text: 0123456789012345678901234567890123456789,"
                    " error: {name: ENGINE_REJECTED, after_tokens: 5}}}\n"
                    "- {match: {message: end}, answer: {text: abc, error: {name: E219, after_tokens: 9}}}\n");

    (void)state;
    messages[0].content = S("start");
    assert_run(e, "fault E219");
    assert_int_equal(NOW + 20000, slept_until);
    messages[0].content = S("made up");
    assert_run(e, "fault Teapot");
    assert_int_equal(418, rq.fault.foreign.status);
    messages[0].content = S("middle");
    assert_run(e, "fault E219");
    in.stream = true;
    assert_run(e, "0:text(1)0123|0:text(1)4567|0:text(1)8901|0:text(2)23456789|fault E219");
    messages[0].content = S("end");
    assert_run(e, "0:text(1)abc|fault E219");
}

static void a_bad_scenario_is_told(void **state)
{
    struct standin_options o = { .tokenizer = (const struct tokenizer *)&fiber_here, .scenario_path = "/nonexistent" };
    str                    why = S("");

    (void)state;
    assert_null(standin_new(&process, &o, &why));
    assert_true(str_starts(why, S("/nonexistent: ")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_last_user_message_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_message_is_cut_between_characters, setup, teardown),
        cmocka_unit_test_setup_teardown(a_tools_result_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(choices_say_which_they_are, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_comes_in_single_tokens_then_in_eights, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_end_the_answer_with_length, setup, teardown),
        cmocka_unit_test_setup_teardown(thinking_comes_first_and_within_its_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(stop_texts_end_the_answer_and_are_not_in_it, setup, teardown),
        cmocka_unit_test_setup_teardown(stop_ids_end_the_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(only_what_follows_the_prefix_is_given, setup, teardown),
        cmocka_unit_test_setup_teardown(json_objects_are_json, setup, teardown),
        cmocka_unit_test_setup_teardown(schemas_get_instances_that_follow_the_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_schema_without_instance_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_forced_call_ends_with_stop, setup, teardown),
        cmocka_unit_test_setup_teardown(ids_of_calls_are_new_unless_there_is_a_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(the_scenario_answers_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_scenarios_calls_and_reasoning, setup, teardown),
        cmocka_unit_test_setup_teardown(the_scenarios_usage_and_finish, setup, teardown),
        cmocka_unit_test_setup_teardown(max_tokens_is_of_all_where_the_model_says_so, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments_are_whole_until_they_may_be_streamed, setup, teardown),
        cmocka_unit_test_setup_teardown(banned_tokens_are_not_said, setup, teardown),
        cmocka_unit_test_setup_teardown(each_token_of_a_text_has_its_probability, setup, teardown),
        cmocka_unit_test_setup_teardown(only_who_asks_for_a_search_or_code_gets_them, setup, teardown),
        cmocka_unit_test_setup_teardown(the_scenarios_errors, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bad_scenario_is_told, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
