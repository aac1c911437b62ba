/* test_scenario.c - the stand-in's script: what is refused and how, which rule matches, and the n-th call. */
#include "engine/standin/scenario.c"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

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

/* --- A catalogue of two rows ------------------------------------------------------------------------------------- */

static const struct error_row rows[] = {
    { .id = S("E901"), .name = S("BUSY"), .form = { { .status = 503 }, { .status = 503 } } },
    { .id = S("E902"),
      .name = S("RANGE"),
      .form = { { .status = 400 }, { .status = 400 } },
      .arg_count = 2,
      .args = { { S("name"), FAULT_ARG_STR }, { S("max"), FAULT_ARG_INT } } },
    { .id = S("E903"), .name = S("TASK_ONLY") },
};

static const struct error_row *find(str name)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (str_eq(rows[i].id, name) || str_eq(rows[i].name, name))
            return &rows[i];
    }
    return NULL;
}

static const struct scenario_options options = { .error_find = find };

static enum err parse(const char *yaml, struct scenario **ret, str *why)
{
    return scenario_parse(&arena, S("s.yaml"), str_from_cstr(yaml), &options, ret, why);
}

static struct scenario *scenario(const char *yaml)
{
    struct scenario *s = NULL;
    str              why = S("");

    if (parse(yaml, &s, &why))
        fail_msg("%.*s", STR_ARG(why));
    return s;
}

/* The answer's rule, or "-". */
static str rule_for(struct scenario *s, const struct scenario_question *q)
{
    struct scenario_hit hit;

    return scenario_match(s, q, &hit) ? hit.rule : S("-");
}

static void assert_str(str got, const char *want)
{
    if (!str_eq(got, str_from_cstr(want)))
        fail_msg("got \"%.*s\", wanted \"%s\"", STR_ARG(got), want);
}

static struct scenario_question question(const char *message)
{
    return (struct scenario_question){ .model = S("qwen-plus"), .message = str_from_cstr(message) };
}

/* --- Refusals ---------------------------------------------------------------------------------------------------- */

static void mistakes_are_told_with_their_line(void **state)
{
    static const struct {
        const char *yaml, *why;
    } table[] = {
        { "", "s.yaml:1: the file is empty; it needs \"rules:\"" },
        { "# nothing\n", "s.yaml:1: the file is empty; it needs \"rules:\"" },
        { "{}", "s.yaml:1: the file has no \"rules:\"" },
        { "[]", "s.yaml:1: the scenario must be a mapping of keys to values" },
        { "rule: []", "s.yaml:1: unknown key \"rule\" in the scenario; did you mean \"rules\"?" },
        { "rules: 1", "s.yaml:1: rules must be a list" },
        { "rules:\n- match: {}\n", "s.yaml:2: the rule has no answer" },
        { "rules:\n- match:\n    mesage: hi\n  answer: {}\n",
          "s.yaml:3: unknown key \"mesage\" in match; did you mean \"message\"?" },
        { "rules:\n- answer:\n    blah: hi\n",
          "s.yaml:3: unknown key \"blah\" in answer; it can have text, reasoning, search, query, found, images, code, audio, tool_calls, finish_reason, usage, error, "
          "first_token, between_tokens" },
        { "rules:\n- answer:\n    text: a\n    text: b\n", "s.yaml:4: \"text\" is given twice in answer" },
        { "rules:\n- answer: {}\n  answers: [{}]\n", "s.yaml:3: give answer or answers, not both" },
        { "rules:\n- answers: []\n", "s.yaml:2: answers must be a list of at least one answer" },
        { "rules:\n- answer:\n    text: [a]\n",
          "s.yaml:3: text must be text; put it in quotes when it begins with { or [" },
        { "rules:\n- answer:\n    text: {{message}}\n",
          "s.yaml:3: text must be text; put it in quotes when it begins with { or [" },
        { "rules:\n- answer:\n    text: 'a {{mesage}}'\n",
          "s.yaml:3: unknown placeholder {{mesage}}; there are message, model, call and tool_result" },
        { "rules:\n- match:\n    message: '~ a('\n  answer: {}\n",
          "s.yaml:3: the regex does not compile: Unmatched ( or \\(" },
        { "rules:\n- match:\n    message: '~ (a)\\1'\n  answer: {}\n",
          "s.yaml:3: the regex has a back reference, which is not supported" },
        { "rules:\n- match:\n    message: '~ ((a{200}){200})'\n  answer: {}\n",
          "s.yaml:3: the regex repeats too much" },
        { "rules:\n- match:\n    message: {exact: a, glob: b}\n  answer: {}\n",
          "s.yaml:3: give one of exact, contains, glob and regex, not several" },
        { "rules:\n- match:\n    message: {}\n  answer: {}\n",
          "s.yaml:3: message must say exact, contains, glob or regex" },
        { "rules:\n- match: {call: 0}\n  answer: {}\n",
          "s.yaml:2: call must be a number from 1, or a range like 2-4 or 3-" },
        { "rules:\n- match: {call: 4-2}\n  answer: {}\n",
          "s.yaml:2: call must be a number from 1, or a range like 2-4 or 3-" },
        { "rules:\n- match: {stream: maybe}\n  answer: {}\n", "s.yaml:2: stream must be true or false" },
        { "rules:\n- match: {headers: x}\n  answer: {}\n", "s.yaml:2: headers must be a mapping of names to patterns" },
        { "rules:\n- answer: {first_token: 5}\n",
          "s.yaml:2: first_token must be a time like 200ms, 1.5s or 2m, at most an hour" },
        { "rules:\n- answer: {between_tokens: 2h}\n",
          "s.yaml:2: between_tokens must be a time like 200ms, 1.5s or 2m, at most an hour" },
        { "rules:\n- answer: {first_token: 3601s}\n",
          "s.yaml:2: first_token must be a time like 200ms, 1.5s or 2m, at most an hour" },
        { "rules:\n- answer: {first_token: nans}\n",
          "s.yaml:2: first_token must be a time like 200ms, 1.5s or 2m, at most an hour" },
        { "rules:\n- answer: {finish_reason: done}\n", "s.yaml:2: finish_reason must be stop, length or tool_calls" },
        { "rules:\n- answer: {finish_reason: 'null'}\n", "s.yaml:2: finish_reason must be stop, length or tool_calls" },
        { "rules:\n- answer: {usage: {prompt_tokens: -1}}\n",
          "s.yaml:2: prompt_tokens must be a whole number from 0 to 1000000000000" },
        { "rules:\n- answer: {error: E999}\n", "s.yaml:2: no documented error is called \"E999\"" },
        { "rules:\n- answer: {error: E903}\n", "s.yaml:2: E903 is never the answer to a request" },
        { "rules:\n- answer: {error: {name: E901, args: [1]}}\n",
          "s.yaml:2: the sentence of E901 has 0 arguments, not 1" },
        { "rules:\n- answer: {error: {name: E902, args: [n, many]}}\n",
          "s.yaml:2: argument {max} of E902 is a number" },
        { "rules:\n- answer: {error: {name: E901, status: 500}}\n",
          "s.yaml:2: a documented error has its own status: give name or status, not both" },
        { "rules:\n- answer: {error: {message: x}}\n",
          "s.yaml:2: error needs the name of a documented error, or a status and a code" },
        { "rules:\n- answer: {error: {status: 200, code: x}}\n", "s.yaml:2: status must be from 400 to 599" },
        { "rules:\n- answer: {error: E901, text: x}\n",
          "s.yaml:2: an error at the start leaves nothing to say: give it after_tokens, or drop the rest" },
        { "rules:\n- answer: {tool_calls: [{arguments: {}}]}\n", "s.yaml:2: a tool call needs a name" },
        { "rules:\n- answer: {tool_calls: [{name: f, arguments: '[1]'}]}\n",
          "s.yaml:2: arguments must be a mapping or the text of a JSON object; arguments_text takes any text" },
        { "rules:\n- answer: {tool_calls: [{name: f, arguments: '{\"a\":', arguments_text: x}]}\n",
          "s.yaml:2: arguments must be a mapping or the text of a JSON object; arguments_text takes any text" },
        { "rules:\n- answer: {tool_calls: [{name: f, arguments: {}, arguments_text: x}]}\n",
          "s.yaml:2: give arguments or arguments_text, not both" },
        { "rules:\n- answer: {tool_calls: [{name: f, arguments: {a: {{call}}}}]}\n",
          "s.yaml:2: a key must be text; put {{…}} in quotes" },
        { "rules:\n- a: [\n",
          "s.yaml:3: not valid YAML: did not find expected node content, while parsing a flow node" },
        { "rules: []\n---\nrules: []\n", "s.yaml:3: a second document; a scenario is one" },
        { "rules: *none\n", "s.yaml:1: not valid YAML: found undefined alias" },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct scenario *s = NULL;
        str              why = S("");

        if (parse(table[i].yaml, &s, &why) != ERR_INVALID)
            fail_msg("not refused: %s", table[i].yaml);
        if (!str_starts(why, str_from_cstr(table[i].why)))
            fail_msg("%s\ngot    %.*s\nwanted %s", table[i].yaml, STR_ARG(why), table[i].why);
        assert_null(s);
    }
}

static void a_file_that_is_not_there_is_told(void **state)
{
    struct scenario *s;
    str              why;

    (void)state;
    assert_int_equal(ERR_IO, scenario_load(&arena, "/nonexistent/s.yaml", &options, &s, &why));
    assert_str(why, "/nonexistent/s.yaml: No such file or directory");
    assert_int_equal(ERR_IO, scenario_load(&arena, "/", &options, &s, &why));
}

static void aliases_cannot_grow_a_file_without_bound(void **state)
{
    static const char *const bombs[] = {
        /* values */
        "x: &a [1,1,1,1,1,1,1,1]\n",
        "rules:\n- answer: {tool_calls: [{name: f, arguments: {v: &a [*a]}}]}\n",
        "rules: &r\n- answers: *r\n",
        "rules:\n- answer: &a {tool_calls: [*a]}\n",
    };
    struct scenario *s = NULL;
    struct buf       b;
    str              why = S("");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bombs); i++)
        assert_int_equal(ERR_INVALID, parse(bombs[i], &s, &why));

    /* a billion laughs, in arguments */
    buf_init(&b, &arena, 1 << 20);
    buf_add(&b, S("rules:\n- answer:\n    tool_calls:\n    - name: f\n      arguments:\n        l0: &l0 [lol]\n"));
    for (int i = 1; i < 12; i++)
        buf_addf(&b, "        l%d: &l%d [*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d,*l%d]\n", i, i, i - 1, i - 1, i - 1, i - 1,
                 i - 1, i - 1, i - 1, i - 1);
    assert_int_equal(ERR_INVALID, scenario_parse(&arena, S("s.yaml"), buf_str(&b), &options, &s, &why));

    /* one long text, many times */
    buf_reset(&b);
    buf_add(&b, S("rules:\n- answer: {text: &t \""));
    for (int i = 0; i < 100000; i++)
        buf_add(&b, S("long"));
    buf_add(&b, S("\"}\n"));
    for (int i = 0; i < 100; i++)
        buf_add(&b, S("- answer: {text: *t}\n"));
    assert_int_equal(ERR_INVALID, scenario_parse(&arena, S("s.yaml"), buf_str(&b), &options, &s, &why));
    assert_true(str_find_str(why, S("too large")) != STR_NONE);
    assert_null(s);
}

static void aliases_are_good_for_repeating(void **state)
{
    struct scenario         *s = scenario("rules:\n- name: a\n  match: {message: a}\n  answer: &say {text: same}\n"
                                                  "- name: b\n  answer: *say\n");
    struct scenario_question a = question("a"), b = question("b");
    struct scenario_hit      hit;

    (void)state;
    assert_true(scenario_match(s, &a, &hit));
    assert_str(hit.answer->text.raw, "same");
    assert_true(scenario_match(s, &b, &hit));
    assert_str(hit.rule, "b");
    assert_str(hit.answer->text.raw, "same");
}

/* --- Matching ---------------------------------------------------------------------------------------------------- */

static void texts_match_in_their_five_ways(void **state)
{
    static const struct {
        const char *rule, *message;
        bool        matches;
    } table[] = {
        { "hello", "hello", true },
        { "hello", "hello ", false },
        { "hello", "Hello", false },
        { "''", "", true },
        { "''", "x", false },
        { "42", "42", true },
        { "'~ ^[0-9]+$'", "123", true },
        { "'~ ^[0-9]+$'", "12a", false },
        { "'~ hello'", "say hello", true },
        { "'~ hello'", "say HELLO", false },
        { "'~* hello'", "say HELLO", true },
        { "'~'", "anything", true },
        { "{contains: ell}", "hello", true },
        { "{contains: ''}", "", true },
        { "{contains: elx}", "hello", false },
        { "{exact: '~ x'}", "~ x", true },
        { "{glob: 'h*o'}", "hello", true },
        { "{glob: 'h?llo*'}", "hello", true },
        { "{glob: '*l*l*'}", "hello", true },
        { "{glob: 'h*x'}", "hello", false },
        { "{glob: ''}", "", true },
        { "{regex: 'h.l+o'}", "hello", true },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct scenario_question q = question(table[i].message);
        struct scenario_hit      hit;
        str yaml = arena_printf(&arena, "rules:\n- match: {message: %s}\n  answer: {}\n", table[i].rule);

        if (scenario_match(scenario(yaml.ptr), &q, &hit) != table[i].matches)
            fail_msg("%s and \"%s\"", table[i].rule, table[i].message);
    }
}

static str header_of(void *arg, str name)
{
    return str_eq_nocase(name, S("X-Test")) ? str_from_cstr(arg) : S("");
}

static void everything_given_must_hold(void **state)
{
    static char              abc[] = "abc", xyz[] = "xyz";
    const struct chat_tool   tools[] = { { .name = S("get_time") }, { .name = S("get_weather") } };
    struct scenario         *s = scenario("rules:\n"
                                                  "- {name: model, match: {model: [deepseek-*, 'qwen-ma?']}, answer: {}}\n"
                                                  "- {name: header, match: {headers: {x-test: 'a*'}}, answer: {}}\n"
                                                  "- {name: no header, match: {headers: {x-test: ''}, system: none}, answer: {}}\n"
                                                  "- {name: result, match: {tool_result: '~ ok'}, answer: {}}\n"
                                                  "- {name: tools, match: {tools: [get_weather, get_time]}, answer: {}}\n"
                                                  "- {name: tool, match: {tools: get_weather}, answer: {}}\n"
                                                  "- {name: no tools, match: {tools: [], system: {contains: bare}}, answer: {}}\n"
                                                  "- {name: stream, match: {stream: true}, answer: {}}\n"
                                                  "- {match: {stream: false, system: last}, answer: {}}\n");
    struct scenario_question q = question("hi");

    (void)state;
    assert_str(rule_for(s, &q), "-");
    q.model = S("qwen-max");
    assert_str(rule_for(s, &q), "model");
    q.model = S("deepseek-v4");
    assert_str(rule_for(s, &q), "model");
    q.model = S("qwen-plus");
    q.header = header_of;
    q.header_arg = abc;
    assert_str(rule_for(s, &q), "header");
    q.header_arg = xyz;
    q.system = S("none");
    assert_str(rule_for(s, &q), "-");
    q.header = NULL;
    assert_str(rule_for(s, &q), "no header");
    q.system = S("");
    q.tool_result = S("ok");
    assert_str(rule_for(s, &q), "-");
    q.has_tool_result = true;
    assert_str(rule_for(s, &q), "result");
    q.has_tool_result = false;
    q.tools = tools;
    q.tool_count = 2;
    assert_str(rule_for(s, &q), "tools");
    q.tools = tools + 1;
    q.tool_count = 1;
    assert_str(rule_for(s, &q), "tool");
    q.tool_count = 0;
    q.system = S("a bare one");
    assert_str(rule_for(s, &q), "no tools");
    q.system = S("");
    q.stream = true;
    assert_str(rule_for(s, &q), "stream");
    q.stream = false;
    q.system = S("last");
    assert_str(rule_for(s, &q), "rule 9");
}

static void calls_are_counted_a_rule(void **state)
{
    struct scenario         *s = scenario("rules:\n"
                                                  "- {name: first, match: {message: a, call: 1}, answer: {}}\n"
                                                  "- {name: range, match: {message: a, call: 2-3}, answer: {}}\n"
                                                  "- {name: rest, match: {message: a, call: 2-}, answer: {}}\n"
                                                  "- {name: other, answer: {}}\n");
    struct scenario_question a = question("a"), b = question("b");

    (void)state;
    assert_str(rule_for(s, &a), "first");
    assert_str(rule_for(s, &b), "other");
    /* "range" has not been reached before: this is its first time */
    assert_str(rule_for(s, &a), "other");
    assert_str(rule_for(s, &a), "range");
    assert_str(rule_for(s, &a), "range");
    assert_str(rule_for(s, &a), "rest");
    assert_str(rule_for(s, &a), "rest");
}

static void answers_take_turns(void **state)
{
    struct scenario         *s = scenario("rules:\n- {match: {call: 1}, answer: {text: zero}}\n"
                                                  "- answers: [{text: one}, {text: two}, {text: three}]\n");
    static const char *const want[] = { "zero", "one", "two", "three", "one" };
    struct scenario_question q = question("a");

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct scenario_hit hit;

        assert_true(scenario_match(s, &q, &hit));
        assert_str(hit.answer->text.raw, want[i]);
    }
}

static void a_regex_sees_a_bounded_text_on_a_small_stack(void **state)
{
    struct scenario         *s = scenario("rules:\n- {match: {message: '~ (x+x+)+y|[ab]*c$'}, answer: {}}\n");
    size_t                   n = 4 << 20;
    char                    *text = arena_bytes(&arena, n);
    struct scenario_question q = { .message = { text, n } };

    (void)state;
    memset(text, 'x', n);
    assert_str(rule_for(s, &q), "-");
    text[SCENARIO_REGEX_TEXT_MAX - 1] = 'y';
    assert_str(rule_for(s, &q), "rule 1");
}

/* --- Answers ----------------------------------------------------------------------------------------------------- */

static const struct scenario_answer *answer(const char *yaml)
{
    struct scenario         *s = scenario(arena_printf(&arena, "rules:\n- answer: %s\n", yaml).ptr);
    struct scenario_question q = { 0 };
    struct scenario_hit      hit;

    assert_true(scenario_match(s, &q, &hit));
    return hit.answer;
}

static void answers_say_all_they_can(void **state)
{
    const struct scenario_answer *a = answer("{text: hi, reasoning: why, finish_reason: length, first_token: 200ms, "
                                             "between_tokens: 1.5s, usage: {prompt_tokens: 3, cached_tokens: 1}}");

    (void)state;
    assert_str(a->text.raw, "hi");
    assert_str(a->reasoning.raw, "why");
    assert_int_equal(CHAT_FINISH_LENGTH, a->finish);
    assert_int_equal(200000, a->first_token_us);
    assert_int_equal(1500000, a->between_tokens_us);
    assert_int_equal(3, a->usage.prompt_tokens);
    assert_int_equal(-1, a->usage.completion_tokens);
    assert_int_equal(1, a->usage.cached_tokens);
    assert_false(answer("{}")->text.given);
    assert_true(answer("{text: ''}")->text.given);
    assert_int_equal(0, answer("{first_token: 0}")->first_token_us);
    assert_int_equal(120000000, answer("{first_token: 2m}")->first_token_us);
}

static void arguments_are_yaml_or_json_or_any_text(void **state)
{
    static const struct {
        const char *yaml, *json;
    } table[] = {
        { "{arguments: {city: Paris, n: 3, x: 1.5e3, y: true, z: null, e: , s: '3', l: [1, a]}}",
          "{\"city\": \"Paris\", \"n\": 3, \"x\": 1.5e3, \"y\": true, \"z\": null, \"e\": null, \"s\": \"3\", "
          "\"l\": [1, \"a\"]}" },
        { "{arguments: {a: 012, b: +1, c: .5, d: 1., e: 0x1F, f: -0, g: yes}}",
          "{\"a\": \"012\", \"b\": \"+1\", \"c\": \".5\", \"d\": \"1.\", \"e\": \"0x1F\", \"f\": -0, \"g\": \"yes\"}" },
        { "{arguments: {q: \"a\\\"b\\n\"}}", "{\"q\": \"a\\\"b\\n\"}" },
        { "{arguments: {}}", "{}" },
        { "{arguments: '{\"a\":  1}'}", "{\"a\":  1}" },
        { "{arguments_text: '{\"a\": '}", "{\"a\": " },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        str                           rest = str_from_cstr(table[i].yaml + 1);
        str                           yaml = arena_printf(&arena, "{tool_calls: [{name: f, %.*s]}", STR_ARG(rest));
        const struct scenario_answer *a = answer(yaml.ptr);

        assert_int_equal(1, a->call_count);
        assert_str(a->calls[0].name, "f");
        assert_str(a->calls[0].arguments.raw, table[i].json);
    }
    assert_false(answer("{tool_calls: [{name: f, id: call_1}]}")->calls[0].arguments.given);
}

static void placeholders_are_filled_in(void **state)
{
    const struct scenario_question q = { .model = S("qwen-plus"),
                                         .message = S("say \"hi\"\n"),
                                         .tool_result = S("42") };
    const struct scenario_answer *a = answer("{text: '{{message}}|{{model}} {{call}}{{tool_result}} {{ x }} {{}} {{'}");

    (void)state;
    assert_str(scenario_fill(&arena, &a->text, false, &q, 7), "say \"hi\"\n|qwen-plus 742 {{ x }} {{}} {{");
    a = answer("{tool_calls: [{name: f, arguments: {q: '{{message}}', n: '{{call}}'}}]}");
    assert_str(scenario_fill(&arena, &a->calls[0].arguments, a->calls[0].is_json, &q, 7),
               "{\"q\": \"say \\\"hi\\\"\\n\", \"n\": \"7\"}");
    a = answer("{text: 'plain'}");
    assert_ptr_equal(a->text.raw.ptr, scenario_fill(&arena, &a->text, false, &q, 7).ptr);
}

static void what_is_filled_in_is_bounded(void **state)
{
    size_t                        n = 900 * 1024;
    char                         *text = arena_bytes(&arena, n);
    const struct scenario_answer *a = answer("{text: '{{message}}{{message}}{{message}}'}");
    struct scenario_question      q = { .message = { text, n } };

    (void)state;
    memset(text, 'x', n);
    assert_true(scenario_fill(&arena, &a->text, false, &q, 1).len <= SCENARIO_FILLED_MAX);
}

static void errors_are_rows_or_made_up(void **state)
{
    const struct scenario_error *e = &answer("{error: BUSY}")->error;

    (void)state;
    assert_ptr_equal(&rows[0], e->row);
    assert_int_equal(0, e->after_tokens);
    e = &answer("{error: {args: [size, 10], name: E902, after_tokens: 5}, text: so far}")->error;
    assert_ptr_equal(&rows[1], e->row);
    assert_int_equal(5, e->after_tokens);
    assert_int_equal(2, e->arg_count);
    assert_str(e->args[0].s, "size");
    assert_int_equal(FAULT_ARG_INT, e->args[1].kind);
    assert_int_equal(10, e->args[1].i);
    e = &answer("{error: RANGE}")->error; /* arguments not given are called by their names */
    assert_int_equal(2, e->arg_count);
    assert_str(e->args[0].s, "name");
    e = &answer("{error: {status: 503, code: Busy, type: busy_error, message: Later.}}")->error;
    assert_null(e->row);
    assert_int_equal(503, e->foreign.status);
    assert_str(e->foreign.message, "Later.");
}

/* --- The manual -------------------------------------------------------------------------------------------------- */

static const struct error_row *find_any(str name)
{
    const struct error_row *row = find(name);

    return row ? row : &rows[0];
}

static void the_examples_of_the_manual_load(void **state)
{
    static const struct scenario_options any = { .error_find = find_any };
    const char                          *source = getenv("DASHBOX_SOURCE");
    char                                *manual = arena_bytes(&arena, 1 << 16);
    FILE                                *file;
    str                                  rest;
    size_t                               at, count = 0;

    (void)state;
    if (!source)
        skip();
    file = fopen(arena_printf(&arena, "%s/doc/scenarios.md", source).ptr, "re");
    assert_non_null(file);
    rest = str_of(manual, fread(manual, 1, 1 << 16, file));
    fclose(file);
    while ((at = str_find_str(rest, S("```yaml\n"))) != STR_NONE) {
        struct scenario *s;
        str              why = S(""), example;

        rest = str_from(rest, at + 8);
        at = str_find_str(rest, S("```"));
        assert_true(at != STR_NONE);
        example = str_first(rest, at);
        rest = str_from(rest, at + 3);
        if (str_find_str(example, S("rules:")) == STR_NONE)
            continue; /* a part of one */
        if (scenario_parse(&arena, S("manual"), example, &any, &s, &why))
            fail_msg("%.*s\n%.*s", STR_ARG(why), STR_ARG(example));
        count++;
    }
    assert_true(count >= 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(mistakes_are_told_with_their_line, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_there_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_cannot_grow_a_file_without_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(aliases_are_good_for_repeating, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_match_in_their_five_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(everything_given_must_hold, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_are_counted_a_rule, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(a_regex_sees_a_bounded_text_on_a_small_stack, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_say_all_they_can, setup, teardown),
        cmocka_unit_test_setup_teardown(arguments_are_yaml_or_json_or_any_text, setup, teardown),
        cmocka_unit_test_setup_teardown(placeholders_are_filled_in, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_filled_in_is_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(errors_are_rows_or_made_up, setup, teardown),
        cmocka_unit_test_setup_teardown(the_examples_of_the_manual_load, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
