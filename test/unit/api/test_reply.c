/* test_reply.c - one refusal in the forms of all protocols. */
#include "api/reply.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define ID "7f3e0a52-4c1d-9b66-a0d7-2e85c9417b30"

static struct arena            arena;
static struct request_settings settings;
static struct request          rq;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    rq = (struct request){ .arena = &arena, .settings = &settings, .id = ID };
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void assert_body(enum surface surface, const char *want)
{
    struct fault_view v;
    str               body;

    rq.surface = surface;
    fault_render(&rq.fault, &settings.wording, &arena, &v);
    body = reply_fault_body(&rq, &v);
    if (!str_eq(body, str_from_cstr(want)))
        fail_msg("got %.*s", STR_ARG(body));
}

static void a_refusal_of_the_engine(void **state)
{
    (void)state;
    (void)fail_temperature_range(&rq.fault);
    assert_body(SURFACE_NATIVE, "{\"code\":\"InvalidParameter\",\"message\":\"Temperature should be in [0.0, 2.0)\","
                                "\"request_id\":\"" ID "\"}");
    assert_body(SURFACE_OPENAI, "{\"error\":{\"message\":\"Temperature should be in [0.0, 2.0)\",\"type\":"
                                "\"invalid_request_error\",\"param\":null,\"code\":\"invalid_parameter_error\"},\"id\":"
                                "\"chatcmpl-" ID "\",\"request_id\":\"" ID "\"}");
}

static void a_refusal_of_the_gateway_reached_no_model(void **state)
{
    (void)state;
    (void)fail_messages_empty(&rq.fault);
    assert_body(SURFACE_OPENAI,
                "{\"error\":{\"message\":\"[] is too short\",\"type\":\"invalid_request_error\",\"param\":"
                "null,\"code\":\"invalid_parameter_error\"},\"request_id\":\"" ID "\"}");
}

static void a_body_that_is_no_json_gets_the_shortest_form(void **state)
{
    (void)state;
    (void)fail_body_invalid(&rq.fault);
    assert_body(SURFACE_OPENAI, "{\"error\":{\"message\":\"Required body invalid, check the request body format.\","
                                "\"type\":\"invalid_request_error\"}}");
}

static void anthropic_bodies_are_for_two_readers_or_flat(void **state)
{
    (void)state;
    (void)fail_temperature_range(&rq.fault);
    settings.anthropic_flat = false;
    assert_body(SURFACE_ANTHROPIC, "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
                                   "\"Temperature should be in [0.0, 2.0)\"},\"code\":\"InvalidParameter\",\"message\":"
                                   "\"Temperature should be in [0.0, 2.0)\",\"request_id\":\"" ID "\"}");
    settings.anthropic_flat = true;
    assert_body(SURFACE_ANTHROPIC,
                "{\"request_id\":\"" ID "\",\"code\":\"InvalidParameter\",\"type\":\"InvalidParameter\","
                "\"message\":\"Temperature should be in [0.0, 2.0)\"}");
}

static void anthropic_types_follow_the_status_and_some_codes(void **state)
{
    static const struct {
        int status;
        str code, want;
    } rows[] = {
        { 400, S("InvalidParameter"), S("invalid_request_error") },
        { 401, S("InvalidApiKey"), S("authentication_error") },
        { 403, S("AllocationQuota.FreeTierOnly"), S("permission_error") },
        { 404, S("ModelNotFound"), S("not_found_error") },
        { 405, S("Unheard"), S("invalid_request_error") },
        { 413, S("BadRequest.TooLarge"), S("request_too_large") },
        { 429, S("Throttling.RateQuota"), S("rate_limit_error") },
        { 429, S("Throttling.AllocationQuota"), S("billing_error") },
        { 429, S("PostpaidBillOverdue"), S("billing_error") },
        { 501, S("NotServedByDashbox"), S("api_error") },
        { 503, S("ModelUnavailable"), S("overloaded_error") },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(str_eq(error_anthropic_type(rows[i].status, rows[i].code), rows[i].want));
}

static void an_event_of_anthropic_has_a_blank_for_who_needs_it(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, &arena, 4096);
    settings.anthropic_space = true;
    reply_anthropic_event(&rq, &b, S("ping"));
    settings.anthropic_space = false;
    reply_anthropic_event(&rq, &b, S("ping"));
    assert_true(str_eq(buf_str(&b), S("event: ping\ndata: event:ping\ndata:")));
}

static void an_event_says_its_number_and_status(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, &arena, 4096);
    reply_native_event(&b, 3, S("error"), 429);
    assert_true(str_eq(buf_str(&b), S("id:3\nevent:error\n:HTTP_STATUS/429\ndata:")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_refusal_of_the_engine, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_of_the_gateway_reached_no_model, setup, teardown),
        cmocka_unit_test_setup_teardown(a_body_that_is_no_json_gets_the_shortest_form, setup, teardown),
        cmocka_unit_test_setup_teardown(anthropic_bodies_are_for_two_readers_or_flat, setup, teardown),
        cmocka_unit_test_setup_teardown(anthropic_types_follow_the_status_and_some_codes, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_of_anthropic_has_a_blank_for_who_needs_it, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_says_its_number_and_status, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
