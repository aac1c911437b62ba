/* test_moderation_book.c - each workspace has its policies, and keeps its set while they stay. */
#include "access/moderation_book.c"

#include "../base/check.h"

#include <fcntl.h>

static struct arena arena;

static int setup(void **state)
{
    (void)state;
    log_open(open("/dev/null", O_WRONLY), LOG_ERROR, false);
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static struct moderation_set *global_set(const char *word)
{
    struct moderation_rule    rule = { .id = S("global"), .pattern = str_from_cstr(word), .sides = MODERATION_BOTH };
    struct moderation_set    *s = NULL;
    struct moderation_problem problem;

    assert_int_equal(moderation_compile(&rule, 1, NULL, &arena, &s, &problem), OK);
    return s;
}

static str found(const struct moderation_book *b, const char *workspace, unsigned side, const char *text)
{
    struct moderation_verdict v;

    if (!moderation_check(moderation_book_find(b, str_from_cstr(workspace)), side, str_from_cstr(text), &v))
        return S("");
    return arena_printf(&arena, "%.*s/%.*s", STR_ARG(moderation_kind_word(v.kind)), STR_ARG(v.rule));
}

/* S() is no constant. */
#define P(lit)               \
    {                        \
        lit, sizeof(lit) - 1 \
    }

static const struct moderation_policy table[] = {
    { S("one"), S("p1"), S("custom"), S("secret"), false },
    { S("two"), S("p2"), S("faq"), S("how (much|many)"), true },
    { S("one"), S("p3"), S("ip"), S("mouse"), false },
    { S("two"), S("p4"), S("block"), S("secret"), false },
};

TEST(each_workspace_has_its_own_policies_on_top_of_the_rules_for_all)
{
    struct moderation_set  *global = global_set("awful");
    struct moderation_book *b = moderation_book_make(global, table, ARRAY_LEN(table), NULL);

    moderation_release(global);
    assert_str(found(b, "one", MODERATION_INPUT, "a secret"), "custom/p1");
    assert_str(found(b, "two", MODERATION_INPUT, "a secret"), "block/p4");
    assert_str(found(b, "two", MODERATION_OUTPUT, "How Many"), "faq/p2");
    assert_str(found(b, "one", MODERATION_OUTPUT, "how many"), "");
    assert_str(found(b, "one", MODERATION_INPUT, "mouse"), "ip/p3");
    assert_str(found(b, "one", MODERATION_OUTPUT, "mouse"), "");
    assert_str(found(b, "one", MODERATION_OUTPUT, "awful"), "block/global");
    assert_str(found(b, "three", MODERATION_OUTPUT, "awful secret"), "block/global");
    moderation_book_release(b);
}

TEST(without_anything_there_is_no_set)
{
    struct moderation_book *b = moderation_book_make(NULL, table, 1, NULL);

    assert_null(moderation_book_find(b, S("two")));
    assert_null(moderation_book_find(NULL, S("one")));
    assert_str(found(b, "one", MODERATION_INPUT, "secret"), "custom/p1");
    moderation_book_release(b);
    moderation_book_release(NULL);
}

TEST(a_set_is_kept_while_its_policies_and_the_rules_below_stay)
{
    struct moderation_policy changed[ARRAY_LEN(table)];
    struct moderation_set   *global = global_set("awful"), *other = global_set("bad"), *one, *two;
    struct moderation_book  *a = moderation_book_make(global, table, ARRAY_LEN(table), NULL), *b, *c;

    one = moderation_book_find(a, S("one"));
    two = moderation_book_find(a, S("two"));
    memcpy(changed, table, sizeof(table));
    changed[3].pattern = S("secrets");
    b = moderation_book_make(global, changed, ARRAY_LEN(changed), a);
    assert_ptr_equal(moderation_book_find(b, S("one")), one);
    assert_ptr_not_equal(moderation_book_find(b, S("two")), two);
    moderation_book_release(a);
    assert_str(found(b, "one", MODERATION_INPUT, "secret"), "custom/p1");
    assert_str(found(b, "two", MODERATION_INPUT, "secret"), "");
    c = moderation_book_make(other, changed, ARRAY_LEN(changed), b);
    assert_ptr_not_equal(moderation_book_find(c, S("one")), one);
    assert_str(found(c, "one", MODERATION_INPUT, "bad"), "block/global");
    moderation_book_release(b);
    moderation_book_release(c);
    moderation_release(global);
    moderation_release(other);
}

TEST(a_policy_that_cannot_be_compiled_is_left_out_and_only_that_one)
{
    const struct moderation_policy bad[] = {
        { S("one"), S("p1"), S("custom"), S("("), true },    { S("one"), S("p2"), S("custom"), S("good"), false },
        { S("one"), S("p3"), S("nonsense"), S("x"), false }, { S("one"), S("p4"), S("block"), S(""), false },
        { S("one"), S("p5"), S("block"), S("last"), false },
    };
    struct moderation_book *b = moderation_book_make(NULL, bad, ARRAY_LEN(bad), NULL);

    assert_str(found(b, "one", MODERATION_INPUT, "good"), "custom/p2");
    assert_str(found(b, "one", MODERATION_INPUT, "last"), "block/p5");
    assert_str(found(b, "one", MODERATION_INPUT, "x ("), "");
    moderation_book_release(b);
}

TEST(a_policy_is_checked_before_it_is_stored)
{
    struct moderation_policy p = { S("one"), S("p1"), S("custom"), S("a|b"), true };
    str                      problem = { 0 };

    assert_int_equal(moderation_policy_check(&p, &arena, &problem), OK);
    p.pattern = S("a|");
    assert_int_equal(moderation_policy_check(&p, &arena, &problem), ERR_INVALID);
    assert_str(problem, "p1: would match the empty text");
    p.pattern = S("(.{999}){999}");
    assert_int_equal(moderation_policy_check(&p, &arena, &problem), ERR_LIMIT);
    p.kind = S("Block");
    assert_int_equal(moderation_policy_check(&p, &arena, &problem), ERR_INVALID);
    assert_str(problem, "no kind of policy: Block");
}

#define book_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        book_test(each_workspace_has_its_own_policies_on_top_of_the_rules_for_all),
        book_test(without_anything_there_is_no_set),
        book_test(a_set_is_kept_while_its_policies_and_the_rules_below_stay),
        book_test(a_policy_that_cannot_be_compiled_is_left_out_and_only_that_one),
        book_test(a_policy_is_checked_before_it_is_stored),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
