/* test_journal.c - the requests received lately. */
#include "access/journal.c"

#include "../base/check.h"

static struct arena a;

static int setup(void **state)
{
    (void)state;
    arena_init(&a, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&a);
    return 0;
}

static void add(struct journal *j, const char *model, int status)
{
    char path[] = "/v1/x", *body = xmalloc(64);

    snprintf(body, 64, "{\"model\":\"%s\"}", model);
    journal_add(j, &(struct journal_entry){ .model = str_from_cstr(model),
                                            .status = status,
                                            .path = str_from_cstr(path),
                                            .body = str_from_cstr(body) });
    memset(path, 'x', sizeof(path)); /* it is kept as a copy */
}

TEST(the_oldest_go_first)
{
    struct journal       *j = journal_open(3);
    struct journal_entry *all;
    size_t                count;

    journal_list(j, &(struct journal_filter){ .status = -1, .limit = 10 }, &a, &all, &count);
    assert_int_equal(count, 0);
    add(j, "a", 200);
    add(j, "b", 200);
    add(j, "c", 429);
    add(j, "d", 200);
    journal_list(j, &(struct journal_filter){ .status = -1, .limit = 10 }, &a, &all, &count);
    assert_int_equal(count, 3);
    assert_int_equal(all[0].number, 2);
    assert_true(str_eq(all[0].model, S("b")));
    assert_true(str_eq(all[2].body, S("{\"model\":\"d\"}")));
    journal_clear(j);
    assert_true(str_eq(all[2].model, S("d"))); /* the list is the arena's */
    journal_list(j, &(struct journal_filter){ .status = -1, .limit = 10 }, &a, &all, &count);
    assert_int_equal(count, 0);
    add(j, "e", 200);
    journal_list(j, &(struct journal_filter){ .status = -1, .limit = 10 }, &a, &all, &count);
    assert_int_equal(count, 1);
    assert_int_equal(all[0].number, 1);
    journal_close(j);
}

static size_t found(struct journal *j, struct journal_filter f)
{
    struct journal_entry *all;
    size_t                count;

    f.limit = f.limit ? f.limit : 100;
    f.status = f.status ? f.status : -1;
    journal_list(j, &f, &a, &all, &count);
    return count;
}

TEST(filters_choose)
{
    struct journal *j = journal_open(10);

    add(j, "qwen-plus", 200);
    add(j, "qwen-max", 429);
    add(j, "qwen-plus", 429);
    assert_int_equal(found(j, (struct journal_filter){ .model = S("qwen-*") }), 3);
    assert_int_equal(found(j, (struct journal_filter){ .model = S("qwen-plus") }), 2);
    assert_int_equal(found(j, (struct journal_filter){ .status = 429 }), 2);
    assert_int_equal(found(j, (struct journal_filter){ .status = 429, .model = S("*max") }), 1);
    assert_int_equal(found(j, (struct journal_filter){ .path = S("/v2/*") }), 0);
    assert_int_equal(found(j, (struct journal_filter){ .after = 2 }), 1);
    assert_int_equal(found(j, (struct journal_filter){ .limit = 2 }), 2);
    journal_close(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_go_first, setup, teardown),
        cmocka_unit_test_setup_teardown(filters_choose, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
