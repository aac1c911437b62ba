/* test_map.c - the table from text to pointer. */
#include "base/map.c"

#include "check.h"

enum { MANY = 20000 };
static char names[MANY][16];

static str name_of(size_t i)
{
    snprintf(names[i], sizeof(names[i]), "n%zu", i);
    return str_from_cstr(names[i]);
}

TEST(an_empty_table_has_nothing)
{
    struct map m;

    map_init(&m);
    assert_null(map_get(&m, S("x")));
    assert_null(map_get(&m, (str){ 0 }));
    assert_null(map_next(&m, NULL));
    map_free(&m);
    assert_null(map_get(&m, S("x")));
}

TEST(it_grows_and_finds_everything_again)
{
    struct map m;

    map_init(&m);
    for (size_t i = 0; i < MANY; i++) {
        map_put(&m, name_of(i), names[i]);
        assert_int_equal(m.count, i + 1);
        assert_true(m.cap > m.count); /* a search always ends at a free entry */
    }
    for (size_t i = 0; i < MANY; i++) {
        char copy[16];

        memcpy(copy, names[i], sizeof(copy));
        assert_ptr_equal(map_get(&m, str_from_cstr(copy)), names[i]);
    }
    assert_null(map_get(&m, S("n20000")));
    assert_null(map_get(&m, S("")));
    map_free(&m);
}

TEST(the_later_value_replaces_the_earlier)
{
    struct map m;
    int        a, b;

    map_init(&m);
    map_put(&m, S("k"), &a);
    map_put(&m, S("k"), &b);
    assert_int_equal(m.count, 1);
    assert_ptr_equal(map_get(&m, S("k")), &b);
    map_free(&m);
}

TEST(the_empty_text_and_binary_ones_are_keys_too)
{
    struct map m;
    int        a, b, c;

    map_init(&m);
    map_put(&m, S(""), &a);
    map_put(&m, str_of("\0", 1), &b);
    map_put(&m, str_of("\0\0", 2), &c);
    assert_ptr_equal(map_get(&m, (str){ 0 }), &a);
    assert_ptr_equal(map_get(&m, str_of("\0", 1)), &b);
    assert_ptr_equal(map_get(&m, str_of("\0\0", 2)), &c);
    map_free(&m);
}

TEST(a_walk_meets_every_entry_once)
{
    struct map m;
    size_t     seen = 0;

    map_init(&m);
    for (size_t i = 0; i < 1000; i++)
        map_put(&m, name_of(i), names[i]);
    for (struct map_entry *e = NULL; (e = map_next(&m, e));) {
        assert_ptr_equal(e->key.ptr, e->value);
        ((char *)e->value)[0] = 'S';
        seen++;
    }
    assert_int_equal(seen, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(names[i][0], 'S');
    map_free(&m);
}

TEST(two_tables_do_not_share_a_seed)
{
    struct map a, b;

    map_init(&a);
    map_init(&b);
    assert_true(a.seed != b.seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_has_nothing),
        cmocka_unit_test(it_grows_and_finds_everything_again),
        cmocka_unit_test(the_later_value_replaces_the_earlier),
        cmocka_unit_test(the_empty_text_and_binary_ones_are_keys_too),
        cmocka_unit_test(a_walk_meets_every_entry_once),
        cmocka_unit_test(two_tables_do_not_share_a_seed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
