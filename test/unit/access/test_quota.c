/* test_quota.c - good standing and the ways to lose it. */
#include "access/quota.c"

#include "../loop/run.h"

#define START_MS INT64_C(1780000000000)

static char                folder[64];
static struct store       *store, *other; /* two connections, as two processes have them */
static struct quota       *quota;
static const struct model *plus;

static int open_with(bool billing)
{
    struct quota_options o = { .region = PRICE_CN, .billing = billing, .grants = true };

    snprintf(folder, sizeof(folder), "/tmp/dashbox-quota-XXXXXX");
    store = other = NULL;
    quota = NULL;
    clock_fix(START_MS);
    plus = model_find(S("qwen-plus"));
    return !mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || store_open(str_from_cstr(folder), &other) ||
                   quota_open(store, &o, &quota)
               ? -1
               : 0;
}

static int setup(void **state)
{
    (void)state;
    return open_with(true);
}

static int setup_free(void **state)
{
    (void)state;
    return open_with(false);
}

static int teardown(void **state)
{
    char rm[100];

    (void)state;
    quota_close(quota);
    store_close(store);
    store_close(other);
    clock_fix(0);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

static enum quota_standing check(void)
{
    return quota_check(quota, plus, COMMODITY_POSTPAID, 0, false);
}

static void pay(int64_t amount)
{
    struct quota_payment p = { .quota = quota, .amount = amount, .note = S("test") };

    assert_int_equal(store_run_here(store, quota_pay_job, &p), OK);
    assert_int_equal(strlen(p.id), 12);
}

static void set(struct quota_setting s)
{
    s.quota = quota;
    s.model = plus;
    assert_int_equal(store_run_here(store, quota_set_job, &s), OK);
}

static void set_account(struct quota_account a)
{
    a.quota = quota;
    assert_int_equal(store_run_here(store, quota_account_job, &a), OK);
}

static void the_free_quota_is_the_catalogues_and_ends(void **state)
{
    (void)state;
    assert_int_equal(quota_take(quota, plus, 999999), 999999);
    assert_int_equal(check(), QUOTA_GOOD);
    assert_int_equal(quota_take(quota, plus, 10), 1); /* a call is not cut: the rest is billed */
    assert_int_equal(quota_take(quota, plus, 10), 0);
    assert_int_equal(check(), QUOTA_GOOD);                                /* it is payable */
    assert_int_equal(quota_take(quota, model_find(S("qwen-max")), 5), 5); /* each model has its own */
}

static void the_free_quota_expires_after_ninety_days(void **state)
{
    (void)state;
    set((struct quota_setting){ .free_only = { true, true } });
    clock_fix(START_MS + 90 * DAY_MS - 1);
    assert_int_equal(quota_take(quota, plus, 1), 1);
    assert_int_equal(check(), QUOTA_GOOD);
    clock_fix(START_MS + 90 * DAY_MS);
    assert_int_equal(quota_take(quota, plus, 1), 0);
    assert_int_equal(check(), QUOTA_FREE_ONLY);
}

static void a_used_up_quota_refuses_in_the_words_of_its_mode(void **state)
{
    (void)state;
    set((struct quota_setting){ .granted = { 10, true } });
    assert_int_equal(quota_take(quota, plus, 100), 10);
    set((struct quota_setting){ .free_only = { true, true } });
    assert_int_equal(check(), QUOTA_FREE_ONLY);
    set((struct quota_setting){ .payable = { false, true } }); /* whatever the mode */
    assert_int_equal(check(), QUOTA_FREE_ENDED);
    set((struct quota_setting){ .free_only = { false, true } });
    assert_int_equal(check(), QUOTA_FREE_ENDED);
    set((struct quota_setting){ .payable = { true, true } });
    assert_int_equal(check(), QUOTA_GOOD);
    set_account((struct quota_account){ .free_only = { true, true } });
    assert_int_equal(check(), QUOTA_FREE_ONLY);
    assert_int_equal(quota_check(quota, model_find(S("qwen-max")), COMMODITY_POSTPAID, 0, false), QUOTA_GOOD);
    assert_int_equal(quota_check(quota, model_find(S("qwen-max")), COMMODITY_POSTPAID, 0, true), QUOTA_FREE_ONLY);
}

static void arrears_come_first_and_end_with_a_payment(void **state)
{
    (void)state;
    pay(100);
    quota_spend(quota, 100);
    assert_int_equal(check(), QUOTA_GOOD); /* zero is not overdue */
    quota_spend(quota, 1);
    assert_int_equal(check(), QUOTA_ARREARS); /* with free quota left */
    assert_int_equal(quota_check(quota, plus, COMMODITY_NONE, 0, false), QUOTA_ARREARS);
    pay(1);
    assert_int_equal(check(), QUOTA_GOOD);
    pay(-50); /* a correction */
    assert_int_equal(check(), QUOTA_ARREARS);
    set_account((struct quota_account){ .credit = { 50, true } });
    assert_int_equal(check(), QUOTA_GOOD);
    quota_spend(quota, 1);
    assert_int_equal(check(), QUOTA_ARREARS);
}

static void grace_is_a_time_from_when_it_became_overdue(void **state)
{
    (void)state;
    set_account((struct quota_account){ .grace_ms = { 1000, true } });
    quota_spend(quota, 5);
    assert_int_equal(check(), QUOTA_GOOD);
    clock_fix(START_MS + 999);
    quota_spend(quota, 5); /* does not begin anew */
    assert_int_equal(check(), QUOTA_GOOD);
    clock_fix(START_MS + 1000);
    assert_int_equal(check(), QUOTA_ARREARS);
    pay(10);
    assert_int_equal(check(), QUOTA_GOOD);
    quota_spend(quota, 1);
    assert_int_equal(check(), QUOTA_GOOD); /* a new time */
    clock_fix(START_MS + 2000);
    assert_int_equal(check(), QUOTA_ARREARS);
}

static void a_workspace_has_what_it_is_subscribed_to(void **state)
{
    (void)state;
    assert_int_equal(quota_check(quota, plus, COMMODITY_NONE, 0, false), QUOTA_NOT_PURCHASED);
    assert_int_equal(quota_check(quota, plus, COMMODITY_PREPAID, START_MS + 1, false), QUOTA_GOOD);
    assert_int_equal(quota_check(quota, plus, COMMODITY_PREPAID, START_MS, false), QUOTA_PREPAID_OVERDUE);
    assert_int_equal(quota_check(quota, plus, COMMODITY_POSTPAID, START_MS, false), QUOTA_POSTPAID_OVERDUE);
}

static void without_billing_all_are_in_good_standing(void **state)
{
    (void)state;
    set((struct quota_setting){ .granted = { 0, true }, .payable = { false, true } });
    pay(-5);
    assert_int_equal(quota_check(quota, plus, COMMODITY_NONE, 1, false), QUOTA_GOOD);
    assert_int_equal(quota_take(quota, model_find(S("qwen-max")), 5), 0);
    quota_billing_set(quota, true);
    assert_int_equal(check(), QUOTA_ARREARS);
}

/* As the ledger does, in another process when `db` is its. */
static enum err book_some(sqlite3 *db, void *arg)
{
    struct quota *q = arg;
    enum err      e = quota_book_free(q, db, plus, 7);

    if (!e)
        e = quota_book_cost(q, db, 30);
    if (!e && q) {
        quota_booked_free(q, plus, 7);
        quota_booked(q, 30);
    }
    return e;
}

static void refresh(void)
{
    assert_int_equal(store_run_here(store, refresh_job, quota), OK);
}

static void what_others_book_is_added_to_what_is_not_booked_yet(void **state)
{
    struct model_quota *mq = quota_of(quota, plus);

    (void)state;
    assert_int_equal(store_run_here(store, refresh_job, quota), ERR_NOT_FOUND);
    assert_int_equal(quota_take(quota, plus, 100), 100); /* ours, not booked */
    quota_spend(quota, 1000);
    assert_int_equal(store_run_here(other, book_some, NULL), OK);
    refresh();
    assert_int_equal(atomic_load(&mq->left), 1000000 - 100 - 7);
    assert_int_equal(atomic_load(&quota->balance), -1030);
    assert_int_equal(store_run_here(store, book_some, quota), OK); /* a part of ours is */
    assert_int_equal(store_run_here(store, refresh_job, quota), ERR_NOT_FOUND);
    assert_int_equal(atomic_load(&mq->left), 1000000 - 100 - 7);
    assert_int_equal(store_run_here(other, book_some, NULL), OK);
    refresh();
    assert_int_equal(atomic_load(&mq->left), 1000000 - 100 - 14);
    assert_int_equal(atomic_load(&quota->balance), -1060);
}

static const struct model *renewed;

static enum err book_heard(sqlite3 *db, void *arg)
{
    struct quota *q = arg;
    enum err      e = quota_book_free(q, db, renewed, 60);

    if (!e && q)
        quota_booked_free(q, renewed, 60);
    return e;
}

static struct quota_model_state renewed_state(void)
{
    struct arena             a;
    struct quota_state       s = { .arena = &a, .grants = true };
    struct quota_model_state row;

    arena_init(&a, 0);
    assert_int_equal(store_run_here(store, quota_state_job, &s), OK);
    row = s.models[renewed - models];
    arena_free(&a);
    return row;
}

/* START_MS is in May. What is not booked yet when the month ends is booked in the next one, and not given twice. */
static void a_quota_of_the_month_is_renewed_with_it(void **state)
{
    const int64_t       june_ms = INT64_C(1780272000000), july_ms = june_ms + 30 * DAY_MS;
    struct model_quota *mq;

    (void)state;
    renewed = model_find(S("paraformer-v2"));
    mq = quota_of(quota, renewed);
    assert_int_equal(quota_take(quota, renewed, 100), 100);
    assert_int_equal(store_run_here(store, book_heard, quota), OK);
    assert_true(renewed_state().expires_ms == june_ms);
    assert_int_equal(renewed_state().used, 60);
    clock_fix(june_ms - 1);
    assert_int_equal(store_run_here(store, refresh_job, quota), ERR_NOT_FOUND);
    assert_int_equal(quota_take(quota, renewed, 40000), 35900);
    clock_fix(june_ms);
    refresh();
    assert_int_equal(atomic_load(&mq->left), 36000 - 40 - 35900);
    assert_int_equal(quota_take(quota, renewed, 10), 10);
    assert_int_equal(renewed_state().used, 0);
    assert_int_equal(store_run_here(store, book_heard, quota), OK);
    assert_int_equal(renewed_state().used, 60);
    assert_true(renewed_state().expires_ms == july_ms);
    assert_int_equal(store_run_here(other, book_heard, NULL), OK); /* another process knows the month by itself */
    assert_int_equal(renewed_state().used, 120);
    clock_fix(july_ms);
    refresh();
    assert_int_equal(
        store_run_here(other, quota_set_job, &(struct quota_setting){ .model = renewed, .granted = { 500, true } }),
        OK);
    assert_int_equal(renewed_state().used, 0);
    assert_true(renewed_state().expires_ms == july_ms + 31 * DAY_MS);
    assert_int_equal(quota_take(quota, plus, 1), 1); /* the ninety days of others go on */
}

static void an_administrators_change_elsewhere_is_noticed(void **state)
{
    struct quota_payment p = { .amount = 5000, .note = S("") };
    struct quota_setting s = { .model = plus, .granted = { 20, true }, .expires_ms = { 0, true } };

    (void)state;
    quota_spend(quota, 1);
    assert_int_equal(check(), QUOTA_ARREARS);
    assert_int_equal(store_run_here(other, quota_pay_job, &p), OK);
    assert_int_equal(store_run_here(other, quota_set_job, &s), OK);
    refresh();
    assert_int_equal(check(), QUOTA_GOOD);
    clock_fix(START_MS + 1000 * DAY_MS); /* never expires */
    assert_int_equal(quota_take(quota, plus, 100), 20);
}

static void the_overdue_time_outlives_the_process(void **state)
{
    struct quota_options o = { .billing = true };

    (void)state;
    set_account((struct quota_account){ .grace_ms = { 1000, true } });
    quota_spend(quota, 30);
    assert_int_equal(store_run_here(store, book_some, quota), OK);
    quota_close(quota);
    quota = NULL;
    clock_fix(START_MS + 1000);
    assert_int_equal(quota_open(store, &o, &quota), OK);
    assert_int_equal(check(), QUOTA_ARREARS);
}

static void the_state_is_as_the_tables_have_it(void **state)
{
    struct arena       a;
    struct quota_state s = { .arena = &a, .grants = true };

    (void)state;
    arena_init(&a, 0);
    pay(100);
    assert_int_equal(store_run_here(store, book_some, quota), OK);
    set((struct quota_setting){ .used = { 9, true } });
    assert_int_equal(store_run_here(store, quota_state_job, &s), OK);
    assert_int_equal(s.paid, 100);
    assert_int_equal(s.cost, 30);
    assert_true(s.activated_ms == START_MS);
    assert_int_equal(s.models[plus - models].granted, 1000000);
    assert_int_equal(s.models[plus - models].used, 9);
    assert_true(s.models[plus - models].expires_ms == START_MS + 90 * DAY_MS);
    arena_free(&a);
}

#define quota_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        quota_test(the_free_quota_is_the_catalogues_and_ends),
        quota_test(the_free_quota_expires_after_ninety_days),
        quota_test(a_used_up_quota_refuses_in_the_words_of_its_mode),
        quota_test(arrears_come_first_and_end_with_a_payment),
        quota_test(grace_is_a_time_from_when_it_became_overdue),
        quota_test(a_workspace_has_what_it_is_subscribed_to),
        cmocka_unit_test_setup_teardown(without_billing_all_are_in_good_standing, setup_free, teardown),
        quota_test(what_others_book_is_added_to_what_is_not_booked_yet),
        quota_test(a_quota_of_the_month_is_renewed_with_it),
        quota_test(an_administrators_change_elsewhere_is_noticed),
        quota_test(the_overdue_time_outlives_the_process),
        quota_test(the_state_is_as_the_tables_have_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
