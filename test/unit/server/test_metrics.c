/* test_metrics.c - counters of several workers, together. */
#include "server/metrics.c"

#include "../base/check.h"

static struct counters one, two;
static struct arena    arena;

static int setup(void **state)
{
    (void)state;
    counters_init(&one);
    counters_init(&two);
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    counters_free(&one);
    counters_free(&two);
    arena_free(&arena);
    return 0;
}

static const char *written(void)
{
    struct counters *all[] = { &one, &two };
    struct buf       b;

    buf_init(&b, &arena, SIZE_MAX / 2);
    metrics_write(&b, all, 2, &arena);
    return str_to_cstr(&arena, buf_str(&b));
}

static void assert_line(const char *line)
{
    const char *text = written(), *at = strstr(text, line);

    if (!at || (at != text && at[-1] != '\n') || at[strlen(line)] != '\n')
        fail_msg("no line \"%s\" in\n%s", line, text);
}

TEST(counters_of_all_workers_add_up)
{
    counter_add(&one, COUNTER_STREAMS_TOTAL, 3);
    counter_add(&two, COUNTER_STREAMS_TOTAL, 4);
    counter_set(&one, COUNTER_CONNECTIONS, 5);
    assert_line("dashbox_streams_total 7");
    assert_line("dashbox_connections 5");
    assert_line("dashbox_requests_total{surface=\"native\"} 0");
}

TEST(series_of_all_workers_add_up_by_name)
{
    series_add(series_of_engine(&one, S("local")), SERIES_ENGINE_REQUESTS, 2);
    series_add(series_of_engine(&two, S("local")), SERIES_ENGINE_REQUESTS, 1);
    series_add(series_of_model(&two, S("qwen-plus")), SERIES_MODEL_PROMPT_TOKENS, 9);
    series_add(series_of_model(&two, S("qwen-plus")), SERIES_MODEL_PROMPT_TOKENS, 1);
    assert_line("dashbox_engine_requests_total{engine=\"local\"} 3");
    assert_line("dashbox_engine_failures_total{engine=\"local\"} 0");
    assert_line("dashbox_model_prompt_tokens_total{model=\"qwen-plus\"} 10");
    assert_null(strstr(written(), "dashbox_model_requests_total{engine"));
}

TEST(an_upstream_is_up_when_it_is_so_for_every_worker)
{
    series_set(series_of_upstream(&one, S("e"), S("http://a")), SERIES_UPSTREAM_UP, 1);
    series_set(series_of_upstream(&two, S("e"), S("http://a")), SERIES_UPSTREAM_UP, 0);
    series_set(series_of_upstream(&one, S("e"), S("http://b")), SERIES_UPSTREAM_UP, 1);
    series_set(series_of_upstream(&two, S("e"), S("http://b")), SERIES_UPSTREAM_UP, 1);
    assert_line("dashbox_upstream_up{engine=\"e\",upstream=\"http://a\"} 0");
    assert_line("dashbox_upstream_up{engine=\"e\",upstream=\"http://b\"} 1");
}

TEST(an_upstream_that_has_gone_is_not_shown)
{
    (void)series_of_upstream(&one, S("e"), S("http://old"));
    series_hide(&one, BY_UPSTREAM);
    (void)series_of_upstream(&one, S("e"), S("http://new"));
    assert_null(strstr(written(), "http://old"));
    assert_non_null(strstr(written(), "http://new"));
}

TEST(models_beyond_the_ceiling_are_counted_together)
{
    char id[16];

    for (int i = 0; i < SERIES_MODELS_MAX + 10; i++) {
        snprintf(id, sizeof(id), "m%d", i);
        series_add(series_of_model(&one, str_from_cstr(id)), SERIES_MODEL_REQUESTS, 1);
    }
    assert_line("dashbox_model_requests_total{model=\"m255\"} 1");
    assert_line("dashbox_model_requests_total{model=\"other\"} 10");
    assert_null(strstr(written(), "m256"));
}

TEST(a_name_cannot_break_out_of_its_label)
{
    (void)series_of_engine(&one, S("a\"b\\c\nd"));
    assert_line("dashbox_engine_requests_total{engine=\"a\\\"b\\\\c\\nd\"} 0");
}

#define metrics_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        metrics_test(counters_of_all_workers_add_up),
        metrics_test(series_of_all_workers_add_up_by_name),
        metrics_test(an_upstream_is_up_when_it_is_so_for_every_worker),
        metrics_test(an_upstream_that_has_gone_is_not_shown),
        metrics_test(models_beyond_the_ceiling_are_counted_together),
        metrics_test(a_name_cannot_break_out_of_its_label),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
