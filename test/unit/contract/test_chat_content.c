/* test_chat_content.c - the items of messages, in both spellings. */
#include "contract/chat_content.c"

#include "contract/catalog.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena        arena;
static struct request      rq;
static struct chat_input   in;
static struct chat_message m;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    rq = (struct request){ .arena = &arena, .surface = SURFACE_NATIVE };
    in = (struct chat_input){ .model = model_find(S("qwen3-vl-plus")), .messages = &m, .message_count = 1 };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static enum err read_as(enum chat_role role, enum chat_content_form form, const char *json)
{
    rq.fault = (struct fault){ 0 };
    m = (struct chat_message){ .role = role };
    return chat_read_content(&rq, json_parse_copy(&arena, str_from_cstr(json)), form, S("messages"), 0, &in, &m);
}

static void assert_refused(enum chat_role role, enum chat_content_form form, const char *json, const char *id)
{
    assert_int_equal(read_as(role, form, json), ERR_FAULT);
    if (!str_eq(rq.fault.row->id, str_from_cstr(id)))
        fail_msg("%s is refused with %.*s, not %s", json, STR_ARG(rq.fault.row->id), id);
}

static void urls_have_a_scheme_and_a_host(void **state)
{
    static const char *const bad[] = { "",
                                       "a.png",
                                       "http://",
                                       "https:///a",
                                       "http://a b",
                                       "ftp://a/b",
                                       "file:///a",
                                       "data:image/png;base64,",
                                       "data:image/png,AA",
                                       "data:",
                                       "//a/b" };
    static const char *const good[] = { "http://a", "HTTPS://a/b?c", "data:;base64,AA", "Data:image/png;base64,AA" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        rq.fault = (struct fault){ 0 };
        if (chat_check_media_url(&rq, str_from_cstr(bad[i])) != ERR_FAULT)
            fail_msg("%s is taken for a URL", bad[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_int_equal(chat_check_media_url(&rq, str_from_cstr(good[i])), OK);
}

static void options_go_where_they_belong(void **state)
{
    (void)state;
    assert_int_equal(read_as(CHAT_USER, CHAT_CONTENT_OPENAI,
                             "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://a/b\",\"detail\":\"low\"},"
                             "\"min_pixels\":4096},{\"type\":\"video\",\"video\":[\"http://a/1\"],\"fps\":0.5}]"),
                     OK);
    assert_int_equal(m.part_count, 2);
    assert_int_equal(m.parts[0].options.detail, MEDIA_DETAIL_LOW);
    assert_int_equal(m.parts[0].options.min_pixels.v, 4096);
    assert_true(m.parts[1].options.fps.v == 0.5);
    assert_int_equal(yyjson_arr_size(m.parts[1].urls), 1);
    assert_refused(CHAT_USER, CHAT_CONTENT_MULTIMODAL, "[{\"image\":\"http://a/b\",\"max_pixels\":99999999}]", "W030");
    assert_refused(CHAT_USER, CHAT_CONTENT_MULTIMODAL, "[{\"video\":\"http://a/b\",\"fps\":0}]", "W037");
    in.model = model_find(S("kimi-k2.5")); /* nobody tells its ranges */
    assert_int_equal(
        read_as(CHAT_USER, CHAT_CONTENT_MULTIMODAL, "[{\"image\":\"http://a/b\",\"max_pixels\":99999999}]"), OK);
}

static void an_item_is_one_medium_that_the_model_takes_of_one_who_may(void **state)
{
    (void)state;
    assert_refused(CHAT_USER, CHAT_CONTENT_MULTIMODAL, "[{\"image\":\"http://a/b\",\"text\":\"x\"}]", "E054");
    assert_refused(CHAT_USER, CHAT_CONTENT_MULTIMODAL, "[{\"audio\":\"http://a/b\"}]", "E054");
    assert_refused(CHAT_USER, CHAT_CONTENT_MULTIMODAL, "[7]", "E054");
    assert_refused(CHAT_SYSTEM, CHAT_CONTENT_MULTIMODAL, "[{\"image\":\"http://a/b\"}]", "E054");
    assert_refused(CHAT_ASSISTANT, CHAT_CONTENT_OPENAI,
                   "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"http://a/b\"}}]", "E054");
    assert_int_equal(read_as(CHAT_TOOL, CHAT_CONTENT_MULTIMODAL, "[{\"image\":\"http://a/b\"}]"), OK);
    assert_int_equal(read_as(CHAT_USER, CHAT_CONTENT_MULTIMODAL, "[{\"type\":\"image\",\"image\":\"http://a/b\"}]"),
                     OK);
}

static void documents_are_for_models_that_read_them(void **state)
{
    static const char item[] =
        "[{\"type\":\"doc_url\",\"doc_url\":[\"http://a/b\"],\"file_parsing_strategy\":\"auto\"}]";

    (void)state;
    assert_refused(CHAT_USER, CHAT_CONTENT_MULTIMODAL, item, "E054");
    in.model = model_find(S("qwen-doc-turbo"));
    assert_int_equal(read_as(CHAT_USER, CHAT_CONTENT_TEXT, item), OK);
    assert_true(str_eq(m.parts[0].file_parsing_strategy, S("auto")));
    assert_refused(CHAT_USER, CHAT_CONTENT_TEXT, "[{\"doc_url\":[]}]", "E041");
    assert_refused(CHAT_USER, CHAT_CONTENT_OPENAI, "[{\"type\":\"doc_url\",\"doc_url\":[7]}]", "E041");
    assert_refused(CHAT_USER, CHAT_CONTENT_TEXT, "[{\"doc_url\":[\"http://a\"],\"file_parsing_strategy\":7}]", "W011");
}

static void file_ids_are_names(void **state)
{
    str id;

    (void)state;
    in.model = model_find(S("qwen-long"));
    m = (struct chat_message){ .role = CHAT_SYSTEM, .content = S(" fileid://file-fe-1, fileid://file-fe-2 ") };
    assert_int_equal(chat_check_content(&rq, &in), OK);
    assert_true(chat_file_id(&in, &id) && str_eq(id, S("file-fe-1")));
    m.content = S("fileid://a,");
    assert_int_equal(chat_check_content(&rq, &in), OK);
    m.content = S("fileid://a,,b");
    assert_int_equal(chat_check_content(&rq, &in), ERR_FAULT);
    m.content = S("see fileid://a b");
    assert_int_equal(chat_check_content(&rq, &in), OK);
    assert_false(chat_file_id(&in, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(urls_have_a_scheme_and_a_host, setup, teardown),
        cmocka_unit_test_setup_teardown(options_go_where_they_belong, setup, teardown),
        cmocka_unit_test_setup_teardown(an_item_is_one_medium_that_the_model_takes_of_one_who_may, setup, teardown),
        cmocka_unit_test_setup_teardown(documents_are_for_models_that_read_them, setup, teardown),
        cmocka_unit_test_setup_teardown(file_ids_are_names, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
