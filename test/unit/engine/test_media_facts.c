/* test_media_facts.c - the media engine's answer: what is taken, and what is not believed. */
#include "engine/media/facts.c"

#include "../base/check.h"

static const char good[] =
    "{\"kind\":\"video\",\"format\":\"mp4\",\"bytes\":10,\"width\":640,\"height\":360,\"frames\":50,\"fps\":29.97,"
    "\"duration_ms\":2000,\"video_codec\":\"h264\",\"audio_codec\":\"aac\",\"sample_rate\":48000,\"channels\":2,"
    "\"brightness\":118.5,\"alpha\":true,\"animated\":false,\"truncated\":true,\"error\":\"a \\\"text\\\"\",\"cpu_us\":7}";

/* `good` with one part replaced. */
static enum err read_with(const char *part, const char *by, struct media_facts *ret, struct arena *a)
{
    str    text = str_of(good, sizeof(good) - 1);
    size_t at = str_find_str(text, str_from_cstr(part));

    assert_true(at != STR_NONE);
    return media_facts_read(a, arena_printf(a, "%.*s%s%s", (int)at, good, by, good + at + strlen(part)), ret);
}

TEST(an_answer_is_read)
{
    struct arena       a;
    struct media_facts f = { .bytes = 99 };

    arena_init(&a, 0);
    assert_int_equal(read_with("{", "{", &f, &a), OK);
    assert_int_equal(f.kind, MEDIA_VIDEO);
    assert_str(f.format, "mp4");
    assert_int_equal(f.bytes, 10);
    assert_int_equal(f.width, 640);
    assert_int_equal(f.height, 360);
    assert_int_equal(f.frames, 50);
    assert_true(f.fps == 29.97);
    assert_int_equal(f.duration_ms, 2000);
    assert_str(f.video_codec, "h264");
    assert_str(f.audio_codec, "aac");
    assert_int_equal(f.sample_rate, 48000);
    assert_int_equal(f.channels, 2);
    assert_true(f.brightness == 118.5);
    assert_true(f.alpha && !f.animated && f.truncated);
    assert_str(f.error, "a \"text\"");
    assert_int_equal(f.cpu_us, 7);
    assert_int_equal(read_with("118.5", "null", &f, &a), OK);
    assert_true(f.brightness < 0);
    arena_free(&a);
}

TEST(what_makes_no_sense_is_refused_and_leaves_nothing)
{
    static const char *const wrong[][2] = {
        { "video\"", "film\"" },
        { "\"mp4\"", "\"<script>\"" },
        { "\"mp4\"", "4" },
        { ":640", ":-1" },
        { ":640", ":1.5" },
        { "29.97", "-1" },
        { "29.97", "1e9" },
        { "118.5", "255.5" },
        { "118.5", "\"x\"" },
        { "true", "1" },
        { "\"cpu_us\":7", "\"x\":7" },
        { "\"a \\\"text\\\"\"", "3" },
        { "\"h264\"", "\"H.264\"" },
        { "}", "" },
        { "{", "[{" },
        { "\"aac\"", "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"" },
    };
    struct arena a;

    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct media_facts f = { .bytes = 99 };

        assert_int_equal(read_with(wrong[i][0], wrong[i][1], &f, &a), ERR_PROTOCOL);
        assert_int_equal(f.bytes, 99);
    }
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_read),
        cmocka_unit_test(what_makes_no_sense_is_refused_and_leaves_nothing),
    };

    return cmocka_run_group_tests_name("media_facts", tests, NULL, NULL);
}
