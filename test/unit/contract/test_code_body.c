/* test_code_body.c - a scene and what is attached become a conversation. */
#include "contract/code_body.c"

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
    in = (struct chat_input){ .model = model_find(S("tongyi-lingma-v1")) };
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
    rq.fault = (struct fault){ 0 };
    return code_read_input(&rq, json_parse_copy(&arena, str_from_cstr(json)), &in);
}

static void assert_refused(const char *json, const char *id)
{
    assert_int_equal(read_text(json), ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("%s is refused with %.*s, not %s", json, STR_ARG(rq.fault.row->id), id);
}

static void the_engine_is_told_the_scene_and_what_is_attached(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"scene\":\"codeqa\",\"message\":[{\"role\":\"user\",\"content\":\"why?\"},"
                               "{\"role\":\"attachment\",\"meta\":{\"code\":\"x\"}}]}"),
                     OK);
    assert_int_equal(in.message_count, 2);
    assert_true(str_eq(in.messages[0].content, S("Answer the question about the code.\n{\"code\":\"x\"}")));
    assert_true(str_eq(in.messages[1].content, S("why?")));
    assert_int_equal(
        read_text("{\"scene\":\"unittest\",\"message\":[{\"role\":\"attachment\",\"meta\":{\"code\":\"x\"}}]}"), OK);
    assert_true(str_eq(in.messages[1].content, S("{\"code\":\"x\"}")));
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    assert_refused("{}", "E057");
    assert_refused("{\"scene\":7,\"message\":[]}", "W034");
    assert_refused("{\"scene\":\"custom\"}", "E057");
    assert_refused("{\"scene\":\"custom\",\"message\":{}}", "W036");
    assert_refused("{\"scene\":\"custom\",\"message\":[]}", "E021");
    assert_refused("{\"scene\":\"custom\",\"message\":[7]}", "W034");
    assert_refused("{\"scene\":\"custom\",\"message\":[{\"role\":\"user\"}]}", "E021");
    assert_refused("{\"scene\":\"custom\",\"message\":[{\"role\":\"user\",\"content\":[]}]}", "W011");
    assert_refused("{\"scene\":\"custom\",\"message\":[{\"role\":\"attachment\",\"meta\":7}]}", "E057");
}

static void a_database_needs_its_tables(void **state)
{
    (void)state;
    assert_refused("{\"scene\":\"nl2sql\",\"message\":[{\"role\":\"user\",\"content\":\"x\"}]}", "E171");
    assert_refused("{\"scene\":\"nl2sql\",\"message\":[{\"role\":\"attachment\",\"meta\":{\"schema_infos\":[]}}]}",
                   "E171");
    assert_refused("{\"scene\":\"nl2sql\",\"message\":[{\"role\":\"attachment\",\"meta\":{\"schema_infos\":7}}]}",
                   "E172");
    assert_refused(
        "{\"scene\":\"nl2sql\",\"message\":[{\"role\":\"attachment\",\"meta\":{\"schema_infos\":[{\"table_id\":"
        "\"t\",\"columns\":[{}]}]}}]}",
        "E172");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_engine_is_told_the_scene_and_what_is_attached, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_missing_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(a_database_needs_its_tables, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
