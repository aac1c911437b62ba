/* test_upstream_images.c - what servers of the images API are asked, and what they answer. */
#include "engine/upstream/images.c"

#include "../base/check.h"

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

TEST(a_picture_is_asked_for_and_what_openai_does_not_have_is_left_out_for_who_is_strict)
{
    struct image_input in = {
        .prompt = S("a \"kite\""), .negative_prompt = S("rain"), .width = 640, .height = 480, .seed = 7
    };

    CHECK_STR(
        images_body(&arena, &in, S("sd"), true),
        "{\"model\":\"sd\",\"prompt\":\"a \\\"kite\\\"\",\"n\":1,\"size\":\"640x480\",\"response_format\":\"b64_json\"}");
    CHECK_STR(
        images_body(&arena, &in, S("sd"), false),
        "{\"model\":\"sd\",\"prompt\":\"a \\\"kite\\\"\",\"n\":1,\"size\":\"640x480\",\"response_format\":\"b64_json\",\"seed\":7,"
        "\"negative_prompt\":\"rain\"}");
}

static const char *read_text(const char *json, struct image_answer *ret)
{
    *ret = (struct image_answer){ 0 };
    return images_read(&arena, json_parse_copy(&arena, str_from_cstr(json)), ret);
}

TEST(a_picture_is_read)
{
    struct image_answer made;

    assert_null(read_text("{\"data\":[{\"b64_json\":\"YWJj\"}]}", &made));
    CHECK_STR(made.bytes, "abc");
    assert_null(read_text("{\"data\":[{\"b64_json\":\"YWI=\"},{}]}", &made));
    CHECK_STR(made.bytes, "ab");
    assert_null(read_text("{\"data\":[{\"b64_json\":\"YQ==\"}]}", &made));
    CHECK_STR(made.bytes, "a");
}

TEST(what_is_no_picture_is_said_so)
{
    static const char *const bad[] = { "{}",
                                       "[]",
                                       "{\"data\":{}}",
                                       "{\"data\":[]}",
                                       "{\"data\":[{\"url\":\"http://a/b.png\"}]}",
                                       "{\"data\":[{\"b64_json\":\"\"}]}",
                                       "{\"data\":[{\"b64_json\":\"YWI\"}]}",
                                       "{\"data\":[{\"b64_json\":\"Y WJ\"}]}",
                                       "{\"data\":[{\"b64_json\":5}]}" };
    struct image_answer      made;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (!read_text(bad[i], &made))
            fail_msg("\"%s\" has a picture", bad[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_is_asked_for_and_what_openai_does_not_have_is_left_out_for_who_is_strict),
        cmocka_unit_test(a_picture_is_read),
        cmocka_unit_test(what_is_no_picture_is_said_so),
    };

    return cmocka_run_group_tests_name("upstream_images", tests, setup, teardown);
}
