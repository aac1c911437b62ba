/* test_request.c - the small common parts of a request. */
#include "contract/request.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void the_users_own_models_come_first_and_retired_ones_are_unknown(void **state)
{
    struct model            own = { .id = S("qwen-plus"), .status = MODEL_ACTIVE };
    struct request_settings settings = { .models = &own, .model_count = 1 };
    struct request          rq = { .settings = &settings };

    (void)state;
    assert_ptr_equal(request_model(&rq, S("qwen-plus")), &own);
    assert_ptr_equal(request_model(&rq, S("qwen-flash")), model_find(S("qwen-flash")));
    assert_non_null(model_find(S("qwen-7b-chat")));
    assert_null(request_model(&rq, S("qwen-7b-chat")));
    assert_null(request_model(&rq, S("nobody")));
}

static void time_goes_to_the_phase_that_ends(void **state)
{
    int64_t        start = clock_mono_us() - 1000000;
    struct request rq = { .phase = PHASE_ADMIT, .phase_started_us = start };

    (void)state;
    request_phase(&rq, PHASE_BODY);
    assert_int_equal(rq.phase, PHASE_BODY);
    assert_true(rq.phase_us[PHASE_ADMIT] >= 1000000);
    assert_int_equal(rq.phase_us[PHASE_BODY], 0);
    assert_int_equal(rq.phase_started_us, start + rq.phase_us[PHASE_ADMIT]);
    assert_true(str_eq(phase_name(PHASE_FIRST), S("first")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_users_own_models_come_first_and_retired_ones_are_unknown),
        cmocka_unit_test(time_goes_to_the_phase_that_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
