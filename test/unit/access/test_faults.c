/* test_faults.c - failures on purpose: what is asked for, which rule acts, and when. */
#include "access/faults.c"

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

static struct fault_plan parsed(const char *text)
{
    struct fault_plan p;
    str               problem = { 0 };

    assert_int_equal(fault_plan_parse(str_from_cstr(text), &a, &p, &problem), OK);
    return p;
}

static void refused(const char *text, const char *word)
{
    struct fault_plan p;
    str               problem = { 0 };

    assert_int_equal(fault_plan_parse(str_from_cstr(text), &a, &p, &problem), ERR_INVALID);
    assert_true(str_find_str(problem, str_from_cstr(word)) != STR_NONE);
}

TEST(texts_are_understood)
{
    struct fault_plan p = parsed("E205");

    assert_int_equal(p.act, FAULT_ACT_ERROR);
    assert_true(str_eq(p.row->id, S("E205")));
    assert_int_equal(p.after, 0);
    p = parsed(" e100C@3 ");
    assert_true(str_eq(p.row->id, S("E100c")));
    assert_int_equal(p.after, 3);
    p = parsed("E198b args=my-model");
    assert_true(str_eq(p.args[0].s, S("my-model")));
    p = parsed("cut@2");
    assert_int_equal(p.act, FAULT_ACT_CUT);
    assert_int_equal(p.after, 2);
    p = parsed("stall for=2s");
    assert_int_equal(p.act, FAULT_ACT_STALL);
    assert_int_equal(p.for_ms, 2000);
    p = parsed("slow  first=500ms between=20ms-80ms");
    assert_int_equal(p.act, FAULT_ACT_SLOW);
    assert_int_equal(p.first.min_ms, 500);
    assert_int_equal(p.first.max_ms, 500);
    assert_int_equal(p.between.min_ms, 20);
    assert_int_equal(p.between.max_ms, 80);
}

TEST(nonsense_is_named)
{
    refused("", "\"\"");
    refused("E9999", "E9999");
    refused("cut@0", "@0");
    refused("cut@x", "@x");
    refused("slow first=fast", "first=fast");
    refused("slow between=80ms-20ms", "between=80ms-20ms");
    refused("slow first=2h", "first=2h");
    refused("stall for=-1s", "for=-1s");
    refused("stall for=1", "for=1");
    refused("slow", "slow needs first=");
    refused("slow first=0ms", "slow needs first=");
    refused("slow first=1s for=2s", "\"for=\" does nothing here");
    refused("stall first=1s", "\"first=\" does nothing here");
    refused("E205 between=1s", "\"between=\" does nothing here");
    refused("cut for=1s", "\"for=\" does nothing here");
    refused("cut args=x", "args=x");
    refused("E205 args=x", "args=x");
    refused("E205 why", "why");
}

TEST(every_row_can_be_asked_for)
{
    for (unsigned i = 0; i < error_row_count; i++) {
        struct fault_plan p;
        struct fault      f = { 0 };
        struct fault_view v;
        str               problem = { 0 };

        assert_int_equal(fault_plan_parse(error_rows[i].id, &a, &p, &problem), OK);
        assert_int_equal(fault_raise(&f, p.row, p.args, p.row->arg_count), ERR_FAULT);
        fault_render(&f, &(struct wording_options){ 0 }, &a, &v);
        assert_true(str_find(v.message, '{') == STR_NONE || str_find(p.row->form[0].text, '{') != STR_NONE);
    }
}

/* ---- rules ---- */

static struct rule *rule_of(struct faults *f, struct fault_rule r)
{
    char id[FAULT_ID_LEN + 1];
    str  problem = { 0 };

    r.fault = S("E205");
    assert_int_equal(faults_add(f, &r, &a, id, &problem), OK);
    return f->rules[f->count - 1];
}

TEST(rules_count_their_calls)
{
    struct faults *f = faults_open();
    struct rule   *twice = rule_of(f, (struct fault_rule){ .times = 2, .every = 1, .share = 1 });
    struct rule   *third = rule_of(f, (struct fault_rule){ .times = -1, .every = 3, .share = 1 });
    const char    *wanted = "..x..x..x";

    assert_true(rule_acts(twice));
    assert_true(rule_acts(twice));
    assert_false(rule_acts(twice));
    assert_int_equal(twice->pub.acted, 2);
    assert_int_equal(twice->pub.fitted, 3);
    for (size_t i = 0; wanted[i]; i++)
        assert_int_equal(rule_acts(third), wanted[i] == 'x');
    faults_close(f);
}

TEST(a_share_is_drawn_by_its_seed)
{
    struct faults *f = faults_open();
    struct rule   *one = rule_of(f, (struct fault_rule){ .times = -1, .every = 1, .share = 0.25, .seed = 7 });
    struct rule   *same = rule_of(f, (struct fault_rule){ .times = -1, .every = 1, .share = 0.25, .seed = 7 });
    struct rule   *other = rule_of(f, (struct fault_rule){ .times = -1, .every = 1, .share = 0.25, .seed = 8 });
    size_t         hits = 0, differ = 0;

    for (size_t i = 0; i < 4000; i++) {
        bool acts = rule_acts(one);

        hits += acts;
        assert_int_equal(rule_acts(same), acts);
        differ += rule_acts(other) != acts;
    }
    assert_in_range(hits, 900, 1100);
    assert_in_range(differ, 1000, 2000);
    faults_close(f);
}

TEST(rules_come_and_go)
{
    struct faults     *f = faults_open();
    struct fault_rule *all;
    size_t             count;
    char               id[FAULT_ID_LEN + 1];
    str                problem = { 0 };

    assert_int_equal(faults_add(f, &(struct fault_rule){ .fault = S("nothing") }, &a, id, &problem), ERR_INVALID);
    assert_true(problem.len > 0);
    for (size_t i = 0; i < RULES_MAX; i++)
        rule_of(f, (struct fault_rule){ .times = -1, .every = 1, .share = 1 });
    assert_int_equal(faults_add(f, &(struct fault_rule){ .fault = S("cut") }, &a, id, &problem), ERR_LIMIT);
    faults_list(f, &a, &all, &count);
    assert_int_equal(count, RULES_MAX);
    assert_int_equal(faults_remove(f, all[3].id), OK);
    assert_int_equal(faults_remove(f, all[3].id), ERR_NOT_FOUND);
    assert_true(str_eq(f->rules[3]->pub.id, all[4].id));
    assert_int_equal(f->any, RULES_MAX - 1);
    faults_clear(f);
    faults_list(f, &a, &all, &count);
    assert_int_equal(count, 0);
    faults_close(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(texts_are_understood, setup, teardown),
        cmocka_unit_test_setup_teardown(nonsense_is_named, setup, teardown),
        cmocka_unit_test_setup_teardown(every_row_can_be_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_count_their_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(a_share_is_drawn_by_its_seed, setup, teardown),
        cmocka_unit_test_setup_teardown(rules_come_and_go, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
