/* test_media_memo.c - facts are found by the content that they were found in. */
#include "engine/media/memo.c"

#include "../base/check.h"

static str hash_of(struct arena *a, int n)
{
    return arena_printf(a, "%064d", n);
}

TEST(facts_are_found_by_their_content_and_the_oldest_go)
{
    static struct facts_memo memo;
    struct arena             a;
    struct media_facts       f = { .kind = MEDIA_IMAGE, .format = S("png"), .width = 3, .cpu_us = 9 }, got;

    arena_init(&a, 0);
    assert_false(facts_memo_find(&memo, hash_of(&a, 0), &a, &got));
    facts_memo_add(&memo, (str){ 0 }, &f); /* of a file whose content nobody knows */
    assert_false(facts_memo_find(&memo, (str){ 0 }, &a, &got));
    for (int i = 0; i < MEMO_ENTRIES; i++) {
        f.width = i;
        facts_memo_add(&memo, hash_of(&a, i), &f);
    }
    assert_true(facts_memo_find(&memo, hash_of(&a, 0), &a, &got));
    assert_str(got.format, "png");
    assert_int_equal(got.width, 0);
    assert_int_equal(got.cpu_us, 0);
    facts_memo_add(&memo, hash_of(&a, MEMO_ENTRIES), &f);
    assert_false(facts_memo_find(&memo, hash_of(&a, 0), &a, &got));
    assert_true(facts_memo_find(&memo, hash_of(&a, 1), &a, &got));
    assert_int_equal(got.width, 1);
    facts_memo_clear(&memo);
    assert_false(facts_memo_find(&memo, hash_of(&a, 1), &a, &got));
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_are_found_by_their_content_and_the_oldest_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
