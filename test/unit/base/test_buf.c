/* test_buf.c - growing bytes that end at a ceiling. */
#include "base/buf.c"

#include "check.h"

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

TEST(pieces_of_all_kinds_are_joined)
{
    struct buf b;

    buf_init(&b, &arena, 1000);
    assert_int_equal(buf_str(&b).len, 0);
    buf_add(&b, S("a"));
    buf_add(&b, (str){ 0 });
    buf_add_char(&b, '=');
    buf_add_i64(&b, INT64_MIN);
    buf_addf(&b, " %s %05.1f", "x", 2.25);
    buf_add_bytes(&b, "\0z", 2);
    assert_true(str_eq(buf_str(&b), S("a=-9223372036854775808 x 002.2\0z")));
    assert_false(b.full);
}

TEST(it_grows_and_keeps_what_was_there)
{
    struct buf b;

    buf_init(&b, &arena, 1 << 20);
    for (int i = 0; i < 100000; i++) {
        buf_add_char(&b, (char)('a' + i % 26));
        if (i % 1000 == 0)
            (void)arena_alloc(&arena, 8); /* so that it must move */
    }
    assert_int_equal(b.len, 100000);
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.ptr[i], 'a' + i % 26);
}

TEST(exactly_the_maximum_fits)
{
    struct buf b;

    buf_init(&b, &arena, 4);
    buf_add(&b, S("abc"));
    buf_add(&b, S("d"));
    assert_false(b.full);
    assert_str(buf_str(&b), "abcd");
    buf_add(&b, S(""));
    assert_false(b.full);
    buf_add(&b, S("e"));
    assert_true(b.full);
    assert_str(buf_str(&b), "abcd");
}

TEST(a_piece_beyond_the_ceiling_is_left_out_whole_and_so_is_all_that_follows)
{
    struct buf b;

    buf_init(&b, &arena, 10);
    buf_add(&b, S("12345"));
    buf_add(&b, S("678901"));
    assert_true(b.full);
    buf_add(&b, S("6"));
    buf_add_char(&b, '6');
    buf_add_i64(&b, 6);
    buf_addf(&b, "%d", 6);
    assert_null(buf_room(&b, 1));
    assert_str(buf_str(&b), "12345");
    buf_reset(&b);
    assert_false(b.full);
    buf_add(&b, S("abc"));
    assert_str(buf_str(&b), "abc");
}

TEST(a_reset_keeps_the_memory)
{
    struct buf  b;
    const char *ptr;

    buf_init(&b, &arena, 1000);
    buf_add(&b, S("abc"));
    ptr = b.ptr;
    buf_reset(&b);
    buf_add(&b, S("xyz"));
    assert_ptr_equal(b.ptr, ptr);
    assert_str(buf_str(&b), "xyz");
}

TEST(a_ceiling_of_nothing_takes_nothing)
{
    struct buf b;

    buf_init(&b, &arena, 0);
    buf_add(&b, S(""));
    assert_false(b.full);
    buf_add(&b, S("x"));
    assert_true(b.full);
    assert_int_equal(b.len, 0);
}

TEST(room_is_the_end_of_the_text)
{
    struct buf b;
    char      *at;

    buf_init(&b, &arena, 300);
    at = buf_room(&b, 300);
    assert_non_null(at);
    memset(at, 'r', 300);
    buf_add(&b, S("abcde"));
    assert_memory_equal(at, "abcde", 5); /* room that is there stays where it is */
    assert_null(buf_room(&b, 296));
    assert_true(b.full);
}

TEST(a_size_near_the_largest_does_not_wrap_around)
{
    struct buf b;

    buf_init(&b, &arena, SIZE_MAX / 2);
    buf_add(&b, S("x"));
    assert_null(buf_room(&b, SIZE_MAX - 1));
    assert_true(b.full);
    assert_int_equal(b.len, 1);
}

TEST(long_formatted_text_is_written_up_to_the_ceiling)
{
    struct buf b;
    char       wide[401];

    memset(wide, 'w', 400);
    wide[400] = 0;
    buf_init(&b, &arena, 1000);
    buf_addf(&b, "<%s>", wide);
    buf_addf(&b, "<%s>", wide);
    assert_int_equal(b.len, 804);
    assert_str(str_from(buf_str(&b), 798), "wwwww>");
    buf_addf(&b, "%s", wide);
    assert_true(b.full);
    assert_int_equal(b.len, 804);
    buf_init(&b, &arena, 400);
    buf_addf(&b, "%s", wide); /* fits to the byte */
    assert_false(b.full);
    assert_str(buf_str(&b), wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pieces_of_all_kinds_are_joined, setup, teardown),
        cmocka_unit_test_setup_teardown(it_grows_and_keeps_what_was_there, setup, teardown),
        cmocka_unit_test_setup_teardown(exactly_the_maximum_fits, setup, teardown),
        cmocka_unit_test_setup_teardown(a_piece_beyond_the_ceiling_is_left_out_whole_and_so_is_all_that_follows, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_reset_keeps_the_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(a_ceiling_of_nothing_takes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(room_is_the_end_of_the_text, setup, teardown),
        cmocka_unit_test_setup_teardown(a_size_near_the_largest_does_not_wrap_around, setup, teardown),
        cmocka_unit_test_setup_teardown(long_formatted_text_is_written_up_to_the_ceiling, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
