/* test_translation.c - translation_options are read, and said in words. */
#include "contract/translation.c"

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
    in = (struct chat_input){ .model = model_find(S("qwen-mt-plus")) };
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
    in.translate = (struct translation_input){ 0 };
    in.translation = json_parse_copy(&arena, str_from_cstr(json));
    return translation_read(&rq, &in);
}

static void assert_refused(const char *json, const char *id)
{
    assert_int_equal(read_text(json), ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("%s is refused with %.*s, not %s", json, STR_ARG(rq.fault.row->id), id);
}

static void a_language_is_a_name_or_a_code(void **state)
{
    (void)state;
    assert_int_equal(read_text("{\"source_lang\":\"AUTO\",\"target_lang\":\"english\"}"), OK);
    assert_int_equal(read_text("{\"source_lang\":\"Chinese\",\"target_lang\":\"war\"}"), OK);
    assert_refused("{\"source_lang\":\"auto\",\"target_lang\":\"auto\"}", "E005");
    assert_refused("{\"source_lang\":\"auto\",\"target_lang\":\"Klingon\"}", "E005");
    assert_refused("{\"target_lang\":\"English\"}", "E005");
    assert_refused("[]", "E057");
    in.model = model_find(S("qwen-mt-lite"));
    assert_refused("{\"source_lang\":\"auto\",\"target_lang\":\"Waray\"}", "E005");
    in.model = model_find(S("qwen-plus"));
    assert_int_equal(read_text("7"), OK); /* not a translator: nobody looks */
}

static void terms_are_pairs(void **state)
{
    (void)state;
    assert_refused("{\"source_lang\":\"auto\",\"target_lang\":\"en\",\"terms\":{}}", "W036");
    assert_refused("{\"source_lang\":\"auto\",\"target_lang\":\"en\",\"tm_list\":[7]}", "E057");
    assert_refused("{\"source_lang\":\"auto\",\"target_lang\":\"en\",\"terms\":[{\"source\":\"a\",\"target\":1}]}",
                   "W011");
    assert_refused("{\"source_lang\":\"auto\",\"target_lang\":\"en\",\"domains\":1}", "W011");
}

static void instructions_say_all_that_was_asked_for(void **state)
{
    static const char json[] =
        "{\"source_lang\":\"zh\",\"target_lang\":\"EN\",\"terms\":[{\"source\":\"a\",\"target\":\"b\"}],"
        "\"tm_list\":[{\"source\":\"c\",\"target\":\"d\"}],\"domains\":\"law\"}";
    str text;

    (void)state;
    assert_int_equal(read_text(json), OK);
    text = translation_instruction(&arena, &in.translate);
    assert_true(str_starts(text, S("Translate the user's message from Chinese into English.")));
    assert_true(str_find_str(text, S("- a => b\n")) < str_find_str(text, S("- c => d\n")));
    assert_true(str_ends(text, S("Domain and style: law")));
    in.model = model_find(S("qwen-mt-lite"));
    assert_int_equal(read_text(json), OK);
    assert_int_equal(str_find_str(translation_instruction(&arena, &in.translate), S("a => b")), STR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_language_is_a_name_or_a_code, setup, teardown),
        cmocka_unit_test_setup_teardown(terms_are_pairs, setup, teardown),
        cmocka_unit_test_setup_teardown(instructions_say_all_that_was_asked_for, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
