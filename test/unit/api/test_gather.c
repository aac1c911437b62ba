/* test_gather.c - events put together, and the calls among them as JSON. */
#include "api/gather.c"

#include "api/logprobs.h"
#include "api/tool_calls.h"

#include <setjmp.h>
#include <stdarg.h>

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

static void add(struct gathered *all, struct chat_event ev)
{
    gather_event(all, &ev);
}

static void choices_do_not_mix(void **state)
{
    struct gathered *all = gather_new(&arena, 2);

    (void)state;
    add(all, (struct chat_event){ .kind = CHAT_EV_TEXT, .choice = 1, .text = S("b") });
    add(all, (struct chat_event){ .kind = CHAT_EV_REASONING, .text = S("hm") });
    add(all, (struct chat_event){ .kind = CHAT_EV_TEXT, .text = S("a") });
    add(all, (struct chat_event){ .kind = CHAT_EV_TEXT, .choice = 1, .text = S("c") });
    add(all, (struct chat_event){ .kind = CHAT_EV_FINISH, .choice = 1, .finish = CHAT_FINISH_LENGTH });
    assert_true(str_eq(buf_str(&all[0].text), S("a")));
    assert_true(str_eq(buf_str(&all[0].reasoning), S("hm")));
    assert_true(all[0].reasoned);
    assert_int_equal(all[0].finish, CHAT_FINISH_NONE);
    assert_true(str_eq(buf_str(&all[1].text), S("bc")));
    assert_false(all[1].reasoned);
    assert_int_equal(all[1].finish, CHAT_FINISH_LENGTH);
}

static void pieces_of_calls_may_come_in_turn(void **state)
{
    struct gathered *g = gather_new(&arena, 1);
    struct buf       b;

    (void)state;
    add(g, (struct chat_event){ .kind = CHAT_EV_TOOL_CALL, .tool_id = S("x"), .tool_name = S("f") });
    add(g, (struct chat_event){ .kind = CHAT_EV_TOOL_CALL, .tool_index = 1, .tool_id = S("y"), .tool_name = S("g") });
    add(g, (struct chat_event){ .kind = CHAT_EV_TOOL_ARGS, .text = S("{\"a\"") });
    add(g, (struct chat_event){ .kind = CHAT_EV_TOOL_ARGS, .tool_index = 1, .text = S("{}") });
    add(g, (struct chat_event){ .kind = CHAT_EV_TOOL_ARGS, .text = S(":1}") });
    buf_init(&b, &arena, 4096);
    tool_calls_add(&b, g);
    assert_true(
        str_eq(buf_str(&b), S("{\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"a\\\":1}\"},\"index\":0,\"id\":\"x\","
                              "\"type\":\"function\"},{\"function\":{\"name\":\"g\",\"arguments\":\"{}\"},\"index\":1,"
                              "\"id\":\"y\",\"type\":\"function\"}")));
    buf_reset(&b);
    tool_call_add_piece(&b, 1, S(""), S(""), S("more"));
    assert_true(str_eq(buf_str(&b),
                       S("{\"index\":1,\"id\":\"\",\"type\":\"function\",\"function\":{\"arguments\":\"more\"}}")));
}

/* What an event points at is gone with the next one. */
static void what_an_event_holds_is_copied(void **state)
{
    struct gathered    *g = gather_new(&arena, 1);
    char                token[] = "tok", title[] = "page", result[] = "fine", code[] = "1+1";
    struct chat_logprob top = { .token = str_of(token, 3), .logprob = -2 };
    struct chat_logprob p = { .token = str_of(token, 3), .logprob = -1, .top = &top, .top_count = 1 };
    struct chat_source  page = { .index = 1, .title = str_of(title, 4) };
    struct chat_found   found = { .tool = S("t"), .result = str_of(result, 4) };

    (void)state;
    for (int i = 0; i < 100; i++)
        add(g, (struct chat_event){ .kind = CHAT_EV_TEXT, .text = S("x"), .logprobs = &p, .logprob_count = 1 });
    add(g, (struct chat_event){
               .kind = CHAT_EV_SEARCH, .sources = &page, .source_count = 1, .found = &found, .found_count = 1 });
    add(g, (struct chat_event){ .kind = CHAT_EV_CODE, .text = str_of(code, 3) });
    token[0] = title[0] = result[0] = code[0] = '?';
    top.logprob = 0;
    assert_int_equal(100, g->logprob_count);
    assert_true(str_eq(g->logprobs[99].token, S("tok")));
    assert_true(str_eq(g->logprobs[99].top[0].token, S("tok")));
    assert_true(g->logprobs[0].top[0].logprob == -2);
    assert_true(g->searched);
    assert_true(str_eq(g->sources[0].title, S("page")));
    assert_true(str_eq(g->found[0].result, S("fine")));
    assert_int_equal(1, g->code_count);
    assert_true(str_eq(g->code[0], S("1+1")));
}

static void a_part_of_a_character_is_no_text(void **state)
{
    struct chat_logprob p = { .token = S("\xE4\xBD"), .logprob = -0.25 };
    struct buf          b;

    (void)state;
    buf_init(&b, &arena, 4096);
    logprobs_add_openai(&b, &p, 1);
    assert_true(str_eq(buf_str(&b), S("{\"content\":[{\"token\":\"\xEF\xBF\xBD\",\"bytes\":[228,189],\"logprob\":-0.25,"
                                      "\"top_logprobs\":[]}]}")));
}

static void calls_beyond_all_bounds_are_dropped(void **state)
{
    struct gathered *g = gather_new(&arena, 1);

    (void)state;
    add(g, (struct chat_event){ .kind = CHAT_EV_TOOL_CALL, .tool_index = GATHER_CALLS_MAX, .tool_id = S("x") });
    assert_int_equal(g->call_count, 0);
    add(g, (struct chat_event){ .kind = CHAT_EV_TOOL_CALL, .tool_index = GATHER_CALLS_MAX - 1, .tool_id = S("x") });
    assert_int_equal(g->call_count, GATHER_CALLS_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(choices_do_not_mix, setup, teardown),
        cmocka_unit_test_setup_teardown(what_an_event_holds_is_copied, setup, teardown),
        cmocka_unit_test_setup_teardown(a_part_of_a_character_is_no_text, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_of_calls_may_come_in_turn, setup, teardown),
        cmocka_unit_test_setup_teardown(calls_beyond_all_bounds_are_dropped, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
