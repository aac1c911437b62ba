/* test_plan.c - subscription plans, as access.md §4.1 has them. */
#include "contract/plan.c"

#include "../base/check.h"

TEST(the_coding_plan_has_its_published_windows)
{
    const struct plan *p = plan_find(S("coding-plan"));

    assert_non_null(p);
    assert_int_equal(p->window_count, 3);
    assert_int_equal(p->windows[0].requests, 6000);
    assert_int_equal(p->windows[0].seconds, 5 * 3600);
    assert_int_equal(p->windows[1].requests, 45000);
    assert_int_equal(p->windows[1].seconds, 0); /* of the calendar */
    assert_int_equal(p->windows[2].requests, 90000);
    assert_true(plan_has_model(p, S("glm-4.7")));
    assert_false(plan_has_model(p, S("qwen-plus")));
}

TEST(a_plan_is_found_by_its_hosts)
{
    assert_non_null(plan_of_host(S("coding.dashscope.aliyuncs.com")));
    assert_non_null(plan_of_host(S("coding-intl.dashscope.aliyuncs.com:443")));
    assert_null(plan_of_host(S("dashscope.aliyuncs.com")));
    assert_null(plan_of_host(S("codings.example.com")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_coding_plan_has_its_published_windows),
        cmocka_unit_test(a_plan_is_found_by_its_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
