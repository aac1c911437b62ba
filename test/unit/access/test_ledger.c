/* test_ledger.c - charges, from the log to the tables. */
#include "access/ledger.c"

#include "access/usage.h"

#include "../loop/run.h"

#define START_MS INT64_C(1780000000000) /* 2026-05-28T20:26:40Z */

static char               folder[64];
static struct store      *store;
static struct quota      *quota;
static struct ledger     *ledger;
static struct ledger_log *logs[2];
static struct arena       arena;

static int open_ledger(const struct ledger_options *o)
{
    struct quota_options billed = { .region = PRICE_CN, .billing = true, .grants = false };

    if (store_open(str_from_cstr(folder), &store) || quota_open(store, &billed, &quota) ||
        ledger_open(store, quota, o, &ledger) || ledger_log_open(ledger, &logs[0]) || ledger_log_open(ledger, &logs[1]))
        return -1;
    return store_start(store);
}

static void close_ledger(void)
{
    ledger_close(ledger);
    store_close(store);
    quota_close(quota);
    ledger = NULL;
    store = NULL;
    quota = NULL;
}

static int setup_with(void **state, bool strict, int64_t commit_ms)
{
    struct ledger_options o = { .strict = strict, .commit_ms = commit_ms };

    snprintf(folder, sizeof(folder), "/tmp/dashbox-ledger-XXXXXX");
    clock_fix(START_MS);
    arena_init(&arena, 0);
    if (!mkdtemp(folder) || open_ledger(&o))
        return -1;
    return loop_setup(state);
}

static int setup(void **state)
{
    return setup_with(state, false, 5);
}

static int setup_slow(void **state) /* nothing is booked but when it must */
{
    return setup_with(state, false, 3600000);
}

static int setup_strict(void **state)
{
    return setup_with(state, true, 3600000);
}

static int teardown(void **state)
{
    char rm[100];

    if (ledger)
        close_ledger();
    arena_free(&arena);
    clock_fix(0);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm) | loop_teardown(state);
}

/* 100 + 50 tokens of qwen3.7-max: 12/36. */
#define COST (100 * 12 + 50 * 36)

static struct charged charge(struct ledger_log *log, const char *key)
{
    const struct model *m = model_find(S("qwen3.7-max"));
    struct charge       c = {
              .model = m,
              .model_name = m->id,
              .workspace = S("default"),
              .key = str_from_cstr(key),
              .use = { .prompt = 100, .completion = 50, .cached = 0 },
              .reasoning = 20,
    };
    struct charged done;

    assert_int_equal(ledger_charge(log, &c, &done), OK);
    return done;
}

static struct usage_query query(enum usage_by by)
{
    struct usage_query q = { .arena = &arena, .by = by };

    assert_int_equal(store_run_here(store, usage_query_job, &q), OK);
    return q;
}

static int64_t requests(void)
{
    struct usage_query q = query(USAGE_BY_TOTAL);

    return q.row_count ? q.rows[0].requests : 0;
}

static void flush(void)
{
    assert_int_equal(ledger_flush(ledger), OK);
}

static void charge_and_flush(void *arg)
{
    struct charged done = charge(logs[0], "key-a");

    (void)arg;
    assert_int_equal(done.cost, COST);
    assert_int_equal(done.list_cost, COST);
    charge(logs[1], "key-b");
    clock_fix(START_MS + 86400000);
    charge(logs[0], "key-a");
    flush();
}

static void charges_come_into_the_tables(void **state)
{
    struct usage_query q;

    (void)state;
    run_fiber(charge_and_flush);
    q = query(USAGE_BY_KEY);
    assert_int_equal(q.row_count, 2);
    assert_true(str_eq(q.rows[0].group, S("key-a")));
    assert_int_equal(q.rows[0].requests, 2);
    assert_int_equal(q.rows[0].prompt_tokens, 200);
    assert_int_equal(q.rows[0].completion_tokens, 100);
    assert_int_equal(q.rows[0].reasoning_tokens, 40);
    assert_int_equal(q.rows[0].cost, 2 * COST);
    assert_int_equal(q.rows[1].requests, 1);

    q = query(USAGE_BY_DAY);
    assert_int_equal(q.row_count, 2);
    assert_true(str_eq(q.rows[0].group, S("2026-05-28")));
    assert_int_equal(q.rows[0].requests, 2);
    q = query(USAGE_BY_MONTH);
    assert_int_equal(q.row_count, 1);
    assert_true(str_eq(q.rows[0].group, S("2026-05")));

    q = (struct usage_query){ .arena = &arena, .by = USAGE_BY_TOTAL, .since_ms = START_MS + 86400000 };
    assert_int_equal(store_run_here(store, usage_query_job, &q), OK);
    assert_int_equal(q.rows[0].requests, 1);
    q = (struct usage_query){ .arena = &arena, .by = USAGE_BY_MODEL, .key = S("key-b") };
    assert_int_equal(store_run_here(store, usage_query_job, &q), OK);
    assert_true(str_eq(q.rows[0].group, S("qwen3.7-max")));
    assert_int_equal(q.rows[0].requests, 1);
}

static void charge_with_quota(void *arg)
{
    struct quota_setting s = { .quota = quota, .model = model_find(S("qwen3.7-max")), .granted = { 120, true } };
    struct charged       done;

    (void)arg;
    assert_int_equal(store_run(store, quota_set_job, &s), OK);
    done = charge(logs[0], "key-a");
    assert_int_equal(done.free, 120); /* the prompt and 20 of the answer */
    assert_int_equal(done.cost, 30 * 36);
    assert_int_equal(done.list_cost, COST);
    assert_int_equal(quota_check(quota, s.model, COMMODITY_POSTPAID, 0, false), QUOTA_ARREARS); /* seen at once */
    flush();
}

static void the_free_quota_pays_first(void **state)
{
    struct quota_state s = { .arena = &arena };

    (void)state;
    run_fiber(charge_with_quota);
    assert_int_equal(query(USAGE_BY_TOTAL).rows[0].free_tokens, 120);
    assert_int_equal(store_run_here(store, quota_state_job, &s), OK);
    assert_int_equal(s.models[model_find(S("qwen3.7-max")) - models].used, 120);
    assert_int_equal(s.cost, 30 * 36);
}

static void charge_and_reset(void *arg)
{
    struct quota_payment p = { .quota = quota, .amount = 1 };

    (void)arg;
    assert_int_equal(store_run(store, quota_pay_job, &p), OK);
    charge_with_quota(NULL);
    charge(logs[1], "key-b"); /* not booked yet */
    assert_int_equal(ledger_reset(ledger), OK);
    assert_int_equal(quota_check(quota, model_find(S("qwen3.7-max")), COMMODITY_POSTPAID, 0, false), QUOTA_GOOD);
    assert_int_equal(charge(logs[0], "key-a").free, 120); /* all of it again */
    flush();
}

static void a_reset_forgets_what_was_used(void **state)
{
    struct quota_state s = { .arena = &arena };

    (void)state;
    run_fiber(charge_and_reset);
    assert_int_equal(requests(), 1);
    assert_int_equal(store_run_here(store, quota_state_job, &s), OK);
    assert_int_equal(s.cost, 30 * 36);
    assert_int_equal(s.paid, 1);
    assert_int_equal(s.models[model_find(S("qwen3.7-max")) - models].used, 120);
}

static void charge_twice_and_leave(void *arg)
{
    (void)arg;
    charge(logs[0], "key-a");
    charge(logs[1], "key-a");
}

static void closing_books_the_rest_and_leaves_no_logs(void **state)
{
    DIR           *dir;
    struct dirent *d;
    char           path[100];

    (void)state;
    run_fiber(charge_twice_and_leave);
    assert_int_equal(requests(), 0);
    close_ledger();
    snprintf(path, sizeof(path), "%s/ledger", folder);
    dir = opendir(path);
    assert_non_null(dir);
    while ((d = readdir(dir)))
        assert_false(str_ends(str_from_cstr(d->d_name), S(".log")));
    closedir(dir);
    assert_int_equal(open_ledger(&(struct ledger_options){ 0 }), 0);
    assert_int_equal(requests(), 2);
    assert_int_equal(atomic_load(&logs[0]->booked), 0);
}

static void charge_many(void *arg)
{
    const int n = *(int *)arg;

    for (int i = 0; i < n; i++)
        charge(logs[0], "key-a");
}

static void a_full_log_waits_and_drops_nothing(void **state)
{
    int n = 3 * RECORDS + 17;

    (void)state;
    spawn(charge_many, &n);
    run();
    close_ledger();
    assert_int_equal(open_ledger(&(struct ledger_options){ 0 }), 0);
    assert_int_equal(requests(), n);
    assert_int_equal(query(USAGE_BY_TOTAL).rows[0].cost, (int64_t)n * COST);
}

static enum err orphan_twice(sqlite3 *db, void *arg)
{
    (void)arg;
    /* The process dies between the commit and the removal. */
    assert_int_equal(orphan_book(db, logs[0]->fd, logs[0]->name, "/nowhere/x.log"), ERR_IO);
    assert_int_equal(orphan_book(db, logs[0]->fd, logs[0]->name, "/nowhere/x.log"), ERR_IO);
    return OK;
}

static void what_a_dead_process_left_is_booked_once(void **state)
{
    (void)state;
    run_fiber(charge_twice_and_leave);
    assert_int_equal(store_run_here(store, orphan_twice, NULL), OK);
    assert_int_equal(requests(), 1);
    assert_int_equal(ledger_recover(store), OK); /* all logs are a living process's */
    assert_int_equal(requests(), 1);
}

static int committed;

static void charge_and_wait(void *arg)
{
    struct ledger_log *log = logs[*(int *)arg];
    struct charged     done = charge(log, "key-a");

    assert_true(atomic_load(&log->booked) <= done.ticket);
    assert_int_equal(ledger_wait(log, done.ticket), OK);
    assert_true(atomic_load(&log->booked) > done.ticket);
    committed++;
}

static void strict_waits_for_the_commit(void **state)
{
    int place[2] = { 0, 1 };

    (void)state;
    committed = 0;
    for (int i = 0; i < 100; i++)
        spawn(charge_and_wait, &place[i % 2]);
    run();
    assert_int_equal(committed, 100);
    assert_int_equal(requests(), 100);
}

static enum err drop_usage(sqlite3 *db, void *arg)
{
    (void)arg;
    return store_exec(db, "ALTER TABLE usage RENAME TO hidden");
}

static enum err restore_usage(sqlite3 *db, void *arg)
{
    (void)arg;
    return store_exec(db, "ALTER TABLE hidden RENAME TO usage");
}

static void charge_without_table(void *arg)
{
    struct charged done;

    (void)arg;
    assert_int_equal(store_run(store, drop_usage, NULL), OK);
    done = charge(logs[0], "key-a");
    assert_int_equal(ledger_wait(logs[0], done.ticket), ERR_IO);
    assert_int_equal(store_run(store, restore_usage, NULL), OK);
    assert_int_equal(ledger_wait(logs[0], done.ticket), OK);
    flush();
}

static void a_failed_booking_is_tried_again(void **state)
{
    (void)state;
    run_fiber(charge_without_table);
    assert_int_equal(requests(), 1);
    assert_int_equal(query(USAGE_BY_TOTAL).rows[0].cost, COST);
}

static void charge_long_names(void *arg)
{
    static char    name[300];
    struct charge  c = { .workspace = S("ws"), .key = S("key"), .model_name = { name, sizeof(name) } };
    struct charged done;

    (void)arg;
    memset(name, 'm', sizeof(name));
    assert_int_equal(ledger_charge(logs[0], &c, &done), OK);
    assert_int_equal(done.cost, 0);
    flush();
}

static void long_names_are_cut(void **state)
{
    (void)state;
    run_fiber(charge_long_names);
    assert_int_equal(query(USAGE_BY_MODEL).rows[0].group.len, LEDGER_NAMES_MAX - 5);
}

/* A log as a power cut may leave it: some of its pages have not come to the disk. */
static void what_is_no_record_ends_a_log(void **state)
{
    struct booking  *b = xcalloc(1, sizeof(*b));
    struct log_file *file = xcalloc(1, sizeof(*file));
    uint64_t         position = 0;

    (void)state;
    for (uint64_t n = 0; n < 5; n++) {
        if (n != 3)
            file->records[n].mark = n + 1;
    }
    file->records[2].model_len = 255; /* not sound */
    assert_int_equal(file_book(b, file, 0, &position), OK);
    assert_int_equal(position, 2);
    file->records[2].model_len = 1;
    assert_int_equal(file_book(b, file, position, &position), OK);
    assert_int_equal(position, 3);
    assert_int_equal(b->count, 2); /* names "" and "\0" */
    free(file);
    free(b);
}

#define ledger_test(name, with) cmocka_unit_test_setup_teardown(name, with, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ledger_test(charges_come_into_the_tables, setup),
        ledger_test(the_free_quota_pays_first, setup),
        ledger_test(a_reset_forgets_what_was_used, setup),
        ledger_test(closing_books_the_rest_and_leaves_no_logs, setup_slow),
        ledger_test(what_a_dead_process_left_is_booked_once, setup_slow),
        ledger_test(a_full_log_waits_and_drops_nothing, setup_slow),
        ledger_test(strict_waits_for_the_commit, setup_strict),
        ledger_test(a_failed_booking_is_tried_again, setup_strict),
        ledger_test(long_names_are_cut, setup),
        ledger_test(what_is_no_record_ends_a_log, setup_slow),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
