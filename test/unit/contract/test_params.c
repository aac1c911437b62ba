/* test_params.c - the walker, with the table of native chat parameters. */
#include "contract/params.c"

#include "contract/chat_params.gen.h"

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
    rq = (struct request){ .arena = &arena, .surface = SURFACE_NATIVE };
    in = (struct chat_input){ .model = model_find(S("qwen-plus")) };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static enum err read_text(const struct param_table *t, const char *json)
{
    return params_read(&rq, t, json_parse_copy(&arena, str_from_cstr(json)), in.model, &in);
}

static void assert_refused(const char *json, const char *id)
{
    rq.fault = (struct fault){ 0 };
    assert_int_equal(read_text(&chat_params_native_parameters, json), ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("%s is refused with %.*s, not %s", json, STR_ARG(rq.fault.row->id), id);
}

static void values_go_where_they_belong(void **state)
{
    (void)state;
    assert_int_equal(read_text(&chat_params_native_parameters,
                               "{\"temperature\":1.5,\"top_k\":3,\"enable_thinking\":true,\"seed\":null,"
                               "\"unknown\":[],\"result_format\":\"message\"}"),
                     OK);
    assert_true(in.temperature.set && in.temperature.v == 1.5);
    assert_true(in.top_k.set && in.top_k.v == 3);
    assert_true(in.enable_thinking.set && in.enable_thinking.v);
    assert_false(in.seed.set);
    assert_int_equal(in.result_format, CHAT_RESULT_MESSAGE);
}

static void bounds_are_open_or_closed(void **state)
{
    (void)state;
    assert_refused("{\"temperature\":2}", "E010a");
    assert_refused("{\"temperature\":-0.1}", "E010a");
    assert_refused("{\"temperature\":\"1\"}", "E010b");
    assert_refused("{\"top_p\":0}", "E011a");
    assert_int_equal(read_text(&chat_params_native_parameters, "{\"temperature\":0,\"top_p\":1}"), OK);
    in.top_p.v = 2;
    assert_int_equal(read_text(&chat_params_openai_top, "{\"top_p\":0}"), OK); /* a range of its own */
    assert_true(in.top_p.v == 0);
}

static void a_bound_may_be_the_models(void **state)
{
    (void)state;
    assert_refused("{\"max_tokens\":32769}", "E009");
    assert_int_equal(rq.fault.args[0].i, 32768);
    assert_refused("{\"max_tokens\":0}", "E009");
    assert_int_equal(read_text(&chat_params_native_parameters, "{\"max_tokens\":32768}"), OK);
}

static void the_tables_order_decides_which_refusal_comes(void **state)
{
    (void)state;
    assert_refused("{\"n\":9,\"top_p\":7,\"temperature\":7}", "E010a");
    assert_refused("{\"temperature\":7,\"temperature\":\"x\"}", "E010b"); /* the last of two counts */
}

static void names_have_a_rule(void **state)
{
    char long_name[65];

    (void)state;
    memset(long_name, 'a', sizeof(long_name));
    assert_true(param_name_ok(&chat_tool_name, S("get_weather-2")));
    assert_true(param_name_ok(&chat_tool_name, str_of(long_name, 64)));
    assert_false(param_name_ok(&chat_tool_name, str_of(long_name, 65)));
    assert_false(param_name_ok(&chat_tool_name, S("")));
    assert_false(param_name_ok(&chat_tool_name, S("a.b")));
    assert_true(param_name_reserved(&chat_tool_name, S("search")));
    assert_false(param_name_reserved(&chat_tool_name, S("searches")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(values_go_where_they_belong, setup, teardown),
        cmocka_unit_test_setup_teardown(bounds_are_open_or_closed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_bound_may_be_the_models, setup, teardown),
        cmocka_unit_test_setup_teardown(the_tables_order_decides_which_refusal_comes, setup, teardown),
        cmocka_unit_test_setup_teardown(names_have_a_rule, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
