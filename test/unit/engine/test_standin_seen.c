/* test_standin_seen.c - the words for what was looked at. */
#include "engine/standin/seen.c"

#include "../base/check.h"

static struct picture_line  written[] = { { S("Invoice No: 4711"), 40, 50, 300, 20 },
                                          { S("日期：今天"), 40, 90, 100, 21 } };
static const struct picture letter = { .kind = MEDIA_IMAGE,
                                       .format = S("png"),
                                       .width = 640,
                                       .height = 300,
                                       .colours = { { S("white"), 94 } },
                                       .colour_count = 1,
                                       .faces = 0,
                                       .read = true,
                                       .lines = { .at = written, .count = 2 } };

static void check_sentence(const struct picture *p, const char *want)
{
    struct arena a;
    struct buf   b;

    arena_init(&a, 0);
    buf_init(&b, &a, SIZE_MAX / 2);
    seen_add(&b, 2, p);
    assert_true(str_eq(buf_str(&b), str_from_cstr(want)));
    arena_free(&a);
}

static void sentences(void **state)
{
    static const struct picture blank = {
        .kind = MEDIA_IMAGE, .format = S("jpeg"), .width = 1, .height = 2, .faces = 1, .read = true
    };
    static const struct picture unseen = {
        .kind = MEDIA_IMAGE, .format = S("webp"), .width = 8, .height = 9, .faces = -1
    };
    static const struct picture film = {
        .kind = MEDIA_VIDEO, .format = S("mp4"), .width = 64, .height = 48, .duration_ms = 2050, .faces = -1
    };
    static const struct picture sound = { .kind = MEDIA_AUDIO, .format = S("wav"), .duration_ms = 999, .faces = -1 };

    (void)state;
    check_sentence(&letter,
                   " [picture 2: png, 640 x 300 pixels, white 94 %, 0 faces, text \"Invoice No: 4711 / 日期：今天\"]");
    check_sentence(&blank, " [picture 2: jpeg, 1 x 2 pixels, 1 face, no text]");
    check_sentence(&unseen, " [picture 2: webp, 8 x 9 pixels]");
    check_sentence(&film, " [video 2: mp4, 64 x 48 pixels, 2.0 s]");
    check_sentence(&sound, " [sound 2: wav, 0.9 s]");
}

static void much_text_is_cut_between_characters(void **state)
{
    static char         many[3 * 400];
    struct picture_line line = { .text = { many, sizeof(many) } };
    struct picture      p = {
             .kind = MEDIA_IMAGE, .format = S("png"), .faces = -1, .read = true, .lines = { .at = &line, .count = 1 }
    };
    struct arena a;
    struct buf   b;
    str          tail = S(" […]\"]");

    (void)state;
    for (size_t i = 0; i < sizeof(many); i += 3)
        memcpy(many + i, "字", 3);
    arena_init(&a, 0);
    buf_init(&b, &a, SIZE_MAX / 2);
    seen_add(&b, 1, &p);
    assert_true(str_ends(buf_str(&b), tail));
    assert_int_equal(b.len, S(" [picture 1: png, text \"").len + 999 + tail.len);
    arena_free(&a);
}

static void values_stand_behind_their_names(void **state)
{
    (void)state;
    assert_true(str_eq(seen_value(&letter, S("invoice no")), S("4711")));
    assert_true(str_eq(seen_value(&letter, S("日期")), S("今天")));
    assert_false(seen_value(&letter, S("Invoice")).len);
    assert_false(seen_value(&letter, S("")).len);
    assert_false(seen_value(&letter, S("Total")).len);
}

static void words_have_places(void **state)
{
    struct arena a;
    struct buf   b;

    (void)state;
    arena_init(&a, 0);
    buf_init(&b, &a, SIZE_MAX / 2);
    seen_add_words(&b, &letter);
    assert_true(
        str_starts(buf_str(&b),
                   S("[\n\t{\"rotate_rect\": [190, 60, 20, 300, 90], \"location\": [40, 50, 340, 50, 340, 70, 40, 70], "
                     "\"text\": \"Invoice No: 4711\"},\n\t{")));
    assert_true(str_eq(seen_text(&a, &letter), S("Invoice No: 4711\n日期：今天")));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(sentences),
                                        cmocka_unit_test(much_text_is_cut_between_characters),
                                        cmocka_unit_test(values_stand_behind_their_names),
                                        cmocka_unit_test(words_have_places) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
