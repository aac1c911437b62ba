/* test_price.c - what a request costs, against sums made by hand. */
#include "contract/price.c"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static const struct model *find(const char *id)
{
    const struct model *m = model_find(str_from_cstr(id));

    if (!m)
        fail_msg("%s is unknown", id);
    return m;
}

#define CN(id, ...)  price_chat(find(id), PRICE_CN, &(struct price_use){ __VA_ARGS__ })
#define USD(id, ...) price_chat(find(id), PRICE_INTL, &(struct price_use){ __VA_ARGS__ })

static void a_flat_price_is_input_and_output(void **state)
{
    (void)state;
    /* qwen2.5-32b-instruct 2/6: 1000 * 2 + 500 * 6 millionths */
    assert_int_equal(CN("qwen2.5-32b-instruct", .prompt = 1000, .completion = 500), 5000);
    /* ~0.7/2.8 USD */
    assert_int_equal(USD("qwen2.5-32b-instruct", .prompt = 1000, .completion = 500), 2100);
    assert_int_equal(CN("qwen2.5-32b-instruct"), 0);
}

static void the_tier_is_that_of_the_whole_input(void **state)
{
    (void)state;
    /* qwen3.6-plus 0<t<=256K: 2/12/12; 256K<t<=1M: 8/48/48 */
    assert_int_equal(CN("qwen3.6-plus", .prompt = 262144, .completion = 10), 262144 * 2 + 10 * 12);
    assert_int_equal(CN("qwen3.6-plus", .prompt = 262145, .completion = 10), 262145 * 8 + 10 * 48);
    assert_int_equal(CN("qwen3.6-plus", .prompt = 2000000, .completion = 10), 2000000 * 8 + 10 * 48);
    /* qwen-vl flash, in USD as "<=32K 0.05/0.4; <=128K 0.075/0.6; <=256K 0.12/0.96" */
    assert_int_equal(USD("qwen3-vl-flash", .prompt = 32768), 1638);   /* 1638.4 */
    assert_int_equal(USD("qwen3-vl-flash", .prompt = 32780), 2459);   /* 2458.5 */
    assert_int_equal(USD("qwen3-vl-flash", .prompt = 131073), 15729); /* 15728.76 */
}

static void thinking_has_a_price_of_its_own(void **state)
{
    (void)state;
    /* qwen3-14b hybrid: 1/4/10 */
    assert_int_equal(CN("qwen3-14b", .prompt = 100, .completion = 50), 300);
    assert_int_equal(CN("qwen3-14b", .prompt = 100, .completion = 50, .thinking = true), 600);
    /* qwen3.7-max 12/36 has one for both */
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .completion = 50, .thinking = true), 3000);
}

static void a_batch_costs_half_and_nothing_else_counts_then(void **state)
{
    (void)state;
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .completion = 50, .batch = true), 1500);
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .cached = 80, .cache_read = 10, .batch = true), 600);
}

static void what_a_cache_had_costs_less(void **state)
{
    (void)state;
    /* 20 uncached, 80 at 20 % of 12 */
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .cached = 80), 20 * 12 + 192);
    /* explicit: 40 taken at 125 %, 50 given at 10 %, 10 plain */
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .cache_created = 40, .cache_read = 50), 600 + 60 + 120);
    /* deepseek-v4-pro 12, 8.3 %: 1000 * 0.996 */
    assert_int_equal(CN("deepseek-v4-pro", .prompt = 1000, .cached = 1000), 996);
    /* a model without a cache has no hits, whatever its engine counts */
    assert_false(find("qwen2.5-32b-instruct")->can_cache);
    assert_int_equal(CN("qwen2.5-32b-instruct", .prompt = 100, .cached = 80), 200);
    /* more cached than sent */
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .cached = 800), 240);
}

static void the_free_quota_pays_the_prompt_first(void **state)
{
    (void)state;
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .completion = 50, .free = 60), 40 * 12 + 50 * 36);
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .completion = 50, .free = 120), 30 * 36);
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .completion = 50, .free = 150), 0);
    /* the tier stays that of the request */
    assert_int_equal(CN("qwen3.6-plus", .prompt = 262145, .completion = 10, .free = 262145), 10 * 48);
    /* never the explicit cache */
    assert_int_equal(CN("qwen3.7-max", .prompt = 100, .cache_read = 100, .free = 100), 120);
}

static void a_request_is_rounded_once_half_up(void **state)
{
    (void)state;
    /* qwen3-vl-flash 0.15/1.5 */
    assert_int_equal(CN("qwen3-vl-flash", .prompt = 3), 0);                  /* 0.45 */
    assert_int_equal(CN("qwen3-vl-flash", .prompt = 10), 2);                 /* 1.5 */
    assert_int_equal(CN("qwen3-vl-flash", .prompt = 3, .completion = 1), 2); /* 0.45 + 1.5 */
}

static void counts_of_an_engine_gone_wrong_do_no_harm(void **state)
{
    (void)state;
    assert_int_equal(CN("qwen3.7-max", .prompt = -5, .completion = -7, .cached = -1), 0);
    assert_true(CN("qwen3.7-max", .prompt = INT64_MAX, .completion = INT64_MAX, .thinking = true) == INT64_MAX);
}

static void what_has_no_price_by_tokens_costs_nothing(void **state)
{
    const struct price_use use = { .prompt = 1000 };

    (void)state;
    assert_null(find("qwen2.5-72b-instruct-1m")->prices[PRICE_CN]);
    assert_int_equal(CN("qwen2.5-72b-instruct-1m", .prompt = 1000), 0);
    assert_int_equal(CN("wan2.2-t2i-flash", .prompt = 1000), 0);
    assert_int_equal(price_chat(NULL, PRICE_CN, &use), 0);
}

static void other_units_are_in_the_table_too(void **state)
{
    const struct price *p = find("wan2.2-t2i-flash")->prices[PRICE_CN];

    (void)state;
    assert_non_null(p);
    assert_int_equal(p->unit, PRICE_IMAGES);
    p = find("qwen-voice-design")->prices[PRICE_CN];
    assert_int_equal(p->unit, PRICE_CALLS);
    assert_int_equal(p->rows[0].amount[PRICE_IN], 200000);
    p = find("multimodal-embedding-v1")->prices[PRICE_CN]; /* 0.7/0.9: text, image */
    assert_int_equal(p->rows[0].amount[PRICE_IN_IMAGE], 900000);
    assert_int_equal(p->rows[0].amount[PRICE_OUT], 0);
    for (unsigned i = 0; i < model_count; i++) {
        for (int r = 0; r < PRICE_REGION_COUNT; r++)
            assert_true(!models[i].prices[r] || models[i].prices[r]->row_count);
    }
}

static void what_is_spoken_costs_by_its_characters(void **state)
{
    struct price_use use = { .characters = 7 };

    (void)state;
    /* cosyvoice-v2: 2 for 10,000 characters */
    assert_int_equal(price_made(find("cosyvoice-v2"), PRICE_CN, &use), 1400);
    assert_int_equal(price_units(find("cosyvoice-v2"), PRICE_CN, &use), 7);
    use.free = 5;
    assert_int_equal(price_made(find("cosyvoice-v2"), PRICE_CN, &use), 400);
    /* fun-asr-realtime: 0.00033 a second, a free second at a time */
    use = (struct price_use){ .play_ms = 1500 };
    assert_int_equal(price_made(find("fun-asr-realtime"), PRICE_CN, &use), 495);
    assert_int_equal(price_units(find("fun-asr-realtime"), PRICE_CN, &use), 2);
}

static void grants_are_those_of_the_catalogue(void **state)
{
    const struct model *m = find("qwen-plus");

    (void)state;
    assert_int_equal(m->free.amount, 1000000);
    assert_int_equal(m->free.valid_days, 90);
    assert_int_equal(m->free.unit, PRICE_TOKENS);
    m = find("paraformer-v2");
    assert_int_equal(m->free.amount, 36000);
    assert_true(m->free.monthly);
}

static void amounts_are_written_and_read(void **state)
{
    static const struct {
        int64_t     v;
        const char *text;
    } cases[] = { { 0, "0.00" },        { 1, "0.000001" },   { 12345678, "12.345678" }, { 12500000, "12.50" },
                  { -500000, "-0.50" }, { 1000000, "1.00" }, { 1230000, "1.23" },       { 1234000, "1.234" } };
    char    text[PRICE_TEXT_MAX];
    int64_t v;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        price_format(text, cases[i].v);
        assert_string_equal(text, cases[i].text);
        assert_true(price_parse(str_from_cstr(text), &v));
        assert_true(v == cases[i].v);
    }
    price_format(text, INT64_MIN);
    assert_string_equal(text, "-9223372036854.775808");
    assert_true(price_parse(S("100"), &v) && v == 100000000);
    assert_false(price_parse(S(""), &v));
    assert_false(price_parse(S("-"), &v));
    assert_false(price_parse(S("."), &v));
    assert_false(price_parse(S("1.2.3"), &v));
    assert_false(price_parse(S("1.1234567"), &v));
    assert_false(price_parse(S("12x"), &v));
    assert_false(price_parse(S("99999999999999"), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flat_price_is_input_and_output),
        cmocka_unit_test(the_tier_is_that_of_the_whole_input),
        cmocka_unit_test(thinking_has_a_price_of_its_own),
        cmocka_unit_test(a_batch_costs_half_and_nothing_else_counts_then),
        cmocka_unit_test(what_a_cache_had_costs_less),
        cmocka_unit_test(the_free_quota_pays_the_prompt_first),
        cmocka_unit_test(a_request_is_rounded_once_half_up),
        cmocka_unit_test(counts_of_an_engine_gone_wrong_do_no_harm),
        cmocka_unit_test(what_has_no_price_by_tokens_costs_nothing),
        cmocka_unit_test(other_units_are_in_the_table_too),
        cmocka_unit_test(what_is_spoken_costs_by_its_characters),
        cmocka_unit_test(grants_are_those_of_the_catalogue),
        cmocka_unit_test(amounts_are_written_and_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
