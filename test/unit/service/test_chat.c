/* test_chat.c - what is decided of a chat before an engine is asked, and what becomes of an engine's errors. */
#include "service/chat.c"

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

static void assert_fault(enum err e, const char *id)
{
    assert_int_equal(e, ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("refused with %.*s, not %s", STR_ARG(rq.fault.row->id), id);
    rq.fault = (struct fault){ 0 };
}

static void every_call_needs_an_answer_of_its_own(void **state)
{
    struct chat_tool_call calls[] = { { .id = S("a"), .name = S("f") }, { .id = S("b"), .name = S("f") } };
    struct chat_message   m[] = {
          { .role = CHAT_USER, .content = S("hi") },
          { .role = CHAT_ASSISTANT, .tool_calls = calls, .tool_call_count = 2 },
          { .role = CHAT_TOOL, .tool_call_id = S("a") },
          { .role = CHAT_TOOL, .tool_call_id = S("a") },
    };

    (void)state;
    in.messages = m;
    in.message_count = ARRAY_LEN(m);
    assert_fault(check_tool_order(&rq, &in), "W002");
    m[3].tool_call_id = S("b");
    assert_int_equal(check_tool_order(&rq, &in), OK);
    m[2].tool_call_id = m[3].tool_call_id = S(""); /* without ids: in turn */
    assert_int_equal(check_tool_order(&rq, &in), OK);
    m[3].tool_call_id = S("c");
    assert_fault(check_tool_order(&rq, &in), "E018");
}

static void effort_is_the_models_word(void **state)
{
    (void)state;
    in.reasoning_effort = S("banana");
    assert_int_equal(decide_thinking(&rq, &in), OK); /* not this model's parameter */
    assert_false(in.thinking);
    in.model = model_find(S("qwen3.8-max"));
    assert_int_equal(decide_thinking(&rq, &in), ERR_FAULT);
    assert_true(
        str_eq(rq.fault.args[0].s, S("\"none\", \"minimal\", \"low\", \"medium\", \"high\", \"xhigh\", \"max\"")));
    in.reasoning_effort = S("none");
    assert_int_equal(decide_thinking(&rq, &in), OK);
    assert_false(in.thinking);
    in.enable_thinking.set = false;
    in.reasoning_effort = S("medium");
    assert_int_equal(decide_thinking(&rq, &in), OK);
    assert_true(in.thinking);
    assert_int_equal(in.thinking_max, 16384);
    in.reasoning_effort = S("");
    in.thinking_budget = (opt_int){ .v = 10, .set = true };
    assert_int_equal(decide_thinking(&rq, &in), OK);
    assert_int_equal(in.thinking_max, 10);
    in.thinking_budget.set = false;
    in.thinking_max = 0;
    assert_int_equal(decide_thinking(&rq, &in), OK);
    assert_int_equal(in.thinking_max, in.model->budget_max);
}

static void the_text_form_has_one_choice(void **state)
{
    (void)state;
    in.n = (opt_int){ .v = 4, .set = true };
    assert_int_equal(decide_form(&rq, &in), OK);
    assert_int_equal(in.result_format, CHAT_RESULT_TEXT);
    assert_int_equal(chat_choices(&in), 1);
    in.n.v = 4;
    in.result_format = CHAT_RESULT_MESSAGE;
    assert_int_equal(decide_form(&rq, &in), OK);
    assert_int_equal(chat_choices(&in), 4);
    in.tool_count = 1; /* with tools there is one, whatever is asked */
    assert_int_equal(decide_form(&rq, &in), OK);
    assert_int_equal(chat_choices(&in), 1);
}

static void the_larger_translators_never_send_increments(void **state)
{
    (void)state;
    in.model = model_find(S("qwen-mt-plus"));
    in.stream = true;
    in.incremental = (opt_bool){ .v = true, .set = true };
    assert_int_equal(decide_form(&rq, &in), OK);
    assert_false(in.incremental.v);
    rq.surface = SURFACE_OPENAI;
    assert_int_equal(decide_form(&rq, &in), OK);
    assert_false(in.incremental.v);
    in.model = model_find(S("qwen-mt-lite"));
    assert_int_equal(decide_form(&rq, &in), OK);
    assert_true(in.incremental.v);
}

static void an_engines_error_becomes_a_refusal_with_its_reason(void **state)
{
    (void)state;
    assert_int_equal(refuse_run(&rq, in.model, OK), OK);
    assert_int_equal(refuse_run(&rq, in.model, ERR_CANCELLED), ERR_CANCELLED);
    assert_fault(refuse_run(&rq, in.model, ERR_TIMEOUT), "E230a");
    assert_int_equal(refuse_run(&rq, in.model, ERR_IO), ERR_FAULT);
    assert_true(str_eq(rq.fault.detail, str_from_cstr(err_text(ERR_IO))));
    assert_fault(ERR_FAULT, "E213");

    (void)fail_algorithm_internal(&rq.fault);
    (void)fault_detail(&rq.fault, S("why"));
    assert_fault(refuse_run(&rq, in.model, ERR_FAULT), "E225a");
    (void)fail_algorithm_internal(&rq.fault);
    (void)fault_detail(&rq.fault, S("why"));
    assert_int_equal(refuse_run(&rq, model_find(S("deepseek-v3")), ERR_FAULT), ERR_FAULT);
    assert_true(str_eq(rq.fault.detail, S("why")));
    assert_fault(ERR_FAULT, "E225d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_call_needs_an_answer_of_its_own, setup, teardown),
        cmocka_unit_test_setup_teardown(effort_is_the_models_word, setup, teardown),
        cmocka_unit_test_setup_teardown(the_text_form_has_one_choice, setup, teardown),
        cmocka_unit_test_setup_teardown(the_larger_translators_never_send_increments, setup, teardown),
        cmocka_unit_test_setup_teardown(an_engines_error_becomes_a_refusal_with_its_reason, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
