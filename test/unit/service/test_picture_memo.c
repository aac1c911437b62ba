/* test_picture_memo.c - what was seen is found by the content that it was seen in. */
#include "service/picture_memo.c"

#include "../base/check.h"

static str hash_of(struct arena *a, int n)
{
    return arena_printf(a, "%064d", n);
}

TEST(text_and_looks_are_kept_apart_and_the_oldest_go)
{
    struct picture_memo *m = picture_memo_open();
    struct arena         a;
    char                 text[] = "Hello";
    struct picture_line  line = { .text = { text, 5 }, .x = 7 };
    struct picture_lines lines = { .at = &line, .count = 1 }, got;
    struct picture       p = { .colours = { { S("red"), 90 } }, .colour_count = 1, .faces = 2 },
                   seen = { .width = 3, .faces = -1 };

    arena_init(&a, 0);
    assert_false(picture_memo_lines(m, hash_of(&a, 0), &a, &got) || picture_memo_looks(m, hash_of(&a, 0), &seen));
    picture_memo_lines_add(m, hash_of(&a, 0), &lines);
    text[0] = 'J'; /* it has a copy */
    assert_true(picture_memo_lines(m, hash_of(&a, 0), &a, &got));
    assert_true(got.count == 1 && got.at[0].x == 7 && str_eq(got.at[0].text, S("Hello")));
    assert_false(picture_memo_looks(m, hash_of(&a, 0), &seen));
    picture_memo_looks_add(m, hash_of(&a, 0), &p);
    assert_true(picture_memo_looks(m, hash_of(&a, 0), &seen));
    assert_true(seen.faces == 2 && seen.colour_count == 1 && seen.colours[0].percent == 90 && seen.width == 3);
    picture_memo_lines_add(m, (str){ 0 }, &lines); /* of a file whose content nobody knows */
    assert_false(picture_memo_lines(m, (str){ 0 }, &a, &got));
    lines.count = 0;
    for (int i = 1; i < PICTURE_MEMO_ENTRIES; i++)
        picture_memo_lines_add(m, hash_of(&a, i), &lines);
    assert_true(picture_memo_lines(m, hash_of(&a, 0), &a, &got));
    picture_memo_lines_add(m, hash_of(&a, PICTURE_MEMO_ENTRIES), &lines);
    assert_false(picture_memo_lines(m, hash_of(&a, 0), &a, &got));
    assert_true(picture_memo_lines(m, hash_of(&a, 1), &a, &got) && got.count == 0);
    arena_free(&a);
    picture_memo_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(text_and_looks_are_kept_apart_and_the_oldest_go) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
