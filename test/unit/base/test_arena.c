/* test_arena.c - lifetimes: what is handed out, what stays, and what runs at the end. */
#include "base/arena.c"

#include "check.h"

#include <sys/wait.h>

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

static bool is_aligned(const void *p)
{
    return (uintptr_t)p % ALIGNMENT == 0;
}

TEST(nothing_is_allocated_until_something_is_asked_for)
{
    assert_null(arena.blocks);
    assert_int_equal(arena_size(&arena), 0);
    arena_reset(&arena);
    assert_null(arena.blocks);
}

TEST(memory_is_aligned_also_behind_unaligned_text)
{
    for (size_t i = 1; i < 64; i++) {
        memset(arena_bytes(&arena, i), 'x', i);
        assert_true(is_aligned(arena_alloc(&arena, 1)));
        assert_true(is_aligned(arena_alloc(&arena, i)));
    }
}

TEST(pieces_do_not_overlap_and_keep_their_content)
{
    enum { COUNT = 3000 };
    static unsigned char *at[COUNT];
    static size_t         len[COUNT];
    uint64_t              dice = 1;

    for (size_t i = 0; i < COUNT; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        len[i] = dice >> 33 & 255;
        if (i % 97 == 0)
            len[i] = 9000;
        at[i] = i & 1 ? (unsigned char *)arena_bytes(&arena, len[i]) : arena_alloc(&arena, len[i]);
        memset(at[i], (int)(i & 255), len[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < len[i]; k++)
            assert_int_equal(at[i][k], i & 255);
    }
}

TEST(arrays_and_structs_come_cleared)
{
    int *n;

    arena_init(&arena, ARENA_REQUEST);
    memset(arena_alloc(&arena, 2000), 0xFF, 2000);
    arena_reset(&arena); /* the block comes back from the cache as it was */
    n = arena_array(&arena, int, 400);
    for (size_t i = 0; i < 400; i++)
        assert_int_equal(n[i], 0);
    assert_int_equal(*arena_new(&arena, int64_t), 0);
}

TEST(a_big_piece_does_not_waste_the_rest_of_the_block)
{
    char *before = arena_bytes(&arena, 16);
    char *big = arena_alloc(&arena, 1 << 20);
    char *after = arena_bytes(&arena, 16);

    assert_true(is_aligned(big));
    memset(big, 1, 1 << 20);
    assert_ptr_equal(after, before + 16);
    assert_int_equal(arena_size(&arena), 32 + (1 << 20));
}

TEST(a_big_piece_may_be_the_first)
{
    char *big = arena_alloc(&arena, 100000);

    memset(big, 1, 100000);
    assert_int_equal(arena_size(&arena), 100000);
    memset(arena_alloc(&arena, 1), 1, 1);
}

TEST(the_newest_piece_grows_in_place)
{
    char *p = arena_realloc(&arena, NULL, 0, 100), *q;

    memset(p, 'a', 100);
    q = arena_realloc(&arena, p, 100, 1000);
    assert_ptr_equal(q, p);
    q = arena_realloc(&arena, p, 1000, 10);
    assert_ptr_equal(q, p);
    assert_ptr_equal(arena_bytes(&arena, 1), p + 10); /* what was given back is used again */
}

TEST(an_older_piece_moves_when_it_grows_and_stays_when_it_shrinks)
{
    char *p = arena_bytes(&arena, 100), *q;

    memcpy(p, "hello", 6);
    (void)arena_bytes(&arena, 1);
    assert_ptr_equal(arena_realloc(&arena, p, 100, 50), p);
    q = arena_realloc(&arena, p, 100, 200);
    assert_ptr_not_equal(q, p);
    assert_string_equal(q, "hello");
    p = arena_realloc(&arena, q, 200, 300000); /* into a block of its own */
    assert_string_equal(p, "hello");
    p = arena_realloc(&arena, p, 300000, 600000);
    assert_string_equal(p, "hello");
    memset(p, 1, 600000);
}

TEST(texts_are_copied_with_a_nul_behind_them)
{
    char source[] = "abc";
    str  copy = arena_str(&arena, str_of(source, 2));

    source[0] = 'x';
    assert_str(copy, "ab");
    assert_int_equal(copy.ptr[2], 0);
    assert_string_equal(str_to_cstr(&arena, (str){ 0 }), "");
    assert_int_equal(arena_str(&arena, S("")).len, 0);
}

TEST(formatted_text_may_be_of_any_length)
{
    char *wide = arena_bytes(&arena, 10001);
    str   s;

    memset(wide, 'w', 10000);
    wide[10000] = 0;
    s = arena_printf(&arena, "%s-%d", wide, 42);
    assert_int_equal(s.len, 10003);
    assert_str(str_from(s, 9998), "ww-42");
    assert_int_equal(s.ptr[s.len], 0);
    assert_int_equal(arena_printf(&arena, "%s", "").len, 0);
}

static char order[16];

static void note(void *arg)
{
    size_t n = strlen(order);

    order[n] = *(char *)arg;
    order[n + 1] = 0;
}

static void note_and_defer(void *arg)
{
    static char late = 'L';

    note(arg);
    memset(arena_alloc(&arena, 5000), 1, 5000); /* a closer may use its arena */
    arena_defer(&arena, note, &late);
}

TEST(deferred_functions_run_once_newest_first)
{
    char a = 'a', b = 'b', c = 'c';

    order[0] = 0;
    arena_defer(&arena, note, &a);
    (void)arena_alloc(&arena, 100000);
    arena_defer(&arena, note, &b);
    arena_defer(&arena, note, &c);
    assert_string_equal(order, "");
    arena_reset(&arena);
    assert_string_equal(order, "cba");
    arena_reset(&arena);
    assert_string_equal(order, "cba");
    arena_defer(&arena, note, &a);
    arena_free(&arena);
    assert_string_equal(order, "cbaa");
}

TEST(a_deferred_function_may_defer_again)
{
    char a = 'a', b = 'b';

    order[0] = 0;
    arena_defer(&arena, note, &a);
    arena_defer(&arena, note_and_defer, &b);
    arena_reset(&arena);
    assert_string_equal(order, "bLa");
    assert_null(arena.blocks);
    assert_int_equal(arena_size(&arena), 0);
}

static void use_and_defer(void *arg)
{
    static char late = 'L';

    memset(arena_alloc(arg, 5000), 1, 5000);
    arena_defer(arg, note, &late);
}

TEST(an_arena_may_lie_in_its_own_memory)
{
    struct arena  outside, copy;
    struct arena *inside;

    order[0] = 0;
    arena_init(&outside, 0);
    inside = arena_new(&outside, struct arena);
    *inside = outside;
    arena_defer(inside, use_and_defer, inside);
    arena_run_deferred(inside);
    assert_string_equal(order, "L");
    copy = *inside;
    arena_free(&copy); /* a sanitizer sees what is not given back */
    assert_string_equal(order, "L");
}

static void read_text(void *arg)
{
    note(*(char **)arg);
}

TEST(memory_is_still_there_while_deferred_functions_run)
{
    char **slot = arena_new(&arena, char *);

    order[0] = 0;
    *slot = arena_bytes(&arena, 1);
    **slot = 'z';
    arena_defer(&arena, read_text, slot);
    arena_reset(&arena);
    assert_string_equal(order, "z");
}

TEST(an_arena_is_used_again_after_its_reset)
{
    for (size_t round = 0; round < 200; round++) {
        for (size_t i = 0; i < 20; i++)
            memset(arena_alloc(&arena, 1000), (int)round, 1000);
        assert_int_equal(arena_size(&arena) / 1000, 20);
        arena_reset(&arena);
        assert_int_equal(arena_size(&arena), 0);
    }
}

TEST(blocks_double_up_to_a_bound)
{
    size_t largest = 0;

    for (size_t i = 0; i < 3000; i++)
        (void)arena_alloc(&arena, 1024);
    for (struct arena_block *b = arena.blocks; b; b = b->older) {
        if (b->size > largest)
            largest = b->size;
    }
    assert_int_equal(largest, BLOCK_SIZE_MAX);
}

TEST(a_small_first_block_is_kept_small)
{
    struct arena small;

    arena_init(&small, 128);
    (void)arena_alloc(&small, 1);
    assert_int_equal(small.blocks->size, 128);
    (void)arena_alloc(&small, 500); /* more than a quarter of the next: of its own */
    (void)arena_alloc(&small, 60);
    arena_free(&small);
}

TEST(the_cache_of_blocks_has_an_end)
{
#if CACHE_MAX > 0
    enum { COUNT = CACHE_MAX + 20 };
    struct arena many[COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        arena_init(&many[i], ARENA_REQUEST);
        (void)arena_alloc(&many[i], 1);
    }
    for (size_t i = 0; i < COUNT; i++)
        arena_free(&many[i]);
    assert_int_equal(cache_count, CACHE_MAX);
    for (size_t i = 0; i < COUNT; i++) {
        arena_init(&many[i], ARENA_REQUEST);
        memset(arena_alloc(&many[i], ARENA_REQUEST / 2), 1, ARENA_REQUEST / 2);
    }
    assert_int_equal(cache_count, 0);
    for (size_t i = 0; i < COUNT; i++)
        arena_free(&many[i]);
#else
    skip();
#endif
}

/* In a child: the process is to stop with a message. */
static void assert_stops(void (*fn)(void))
{
    pid_t child = fork();
    int   status;

    assert_true(child >= 0);
    if (child == 0) {
        (void)!freopen("/dev/null", "w", stderr);
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

static volatile size_t too_many = SIZE_MAX / 4;

static void ask_for_too_much(void)
{
    (void)arena_array(&arena, int64_t, too_many);
}

static void ask_for_half_of_all(void)
{
    memset(arena_bytes(&arena, too_many * 3), 0, 1);
}

TEST(a_size_that_overflows_stops_the_process)
{
    assert_stops(ask_for_too_much);
    assert_stops(ask_for_half_of_all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_allocated_until_something_is_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_aligned_also_behind_unaligned_text, setup, teardown),
        cmocka_unit_test_setup_teardown(pieces_do_not_overlap_and_keep_their_content, setup, teardown),
        cmocka_unit_test_setup_teardown(arrays_and_structs_come_cleared, setup, teardown),
        cmocka_unit_test_setup_teardown(a_big_piece_does_not_waste_the_rest_of_the_block, setup, teardown),
        cmocka_unit_test_setup_teardown(a_big_piece_may_be_the_first, setup, teardown),
        cmocka_unit_test_setup_teardown(the_newest_piece_grows_in_place, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_piece_moves_when_it_grows_and_stays_when_it_shrinks, setup, teardown),
        cmocka_unit_test_setup_teardown(texts_are_copied_with_a_nul_behind_them, setup, teardown),
        cmocka_unit_test_setup_teardown(formatted_text_may_be_of_any_length, setup, teardown),
        cmocka_unit_test_setup_teardown(deferred_functions_run_once_newest_first, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deferred_function_may_defer_again, setup, teardown),
        cmocka_unit_test_setup_teardown(an_arena_may_lie_in_its_own_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_still_there_while_deferred_functions_run, setup, teardown),
        cmocka_unit_test_setup_teardown(an_arena_is_used_again_after_its_reset, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_double_up_to_a_bound, setup, teardown),
        cmocka_unit_test_setup_teardown(a_small_first_block_is_kept_small, setup, teardown),
        cmocka_unit_test_setup_teardown(the_cache_of_blocks_has_an_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_size_that_overflows_stops_the_process, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
