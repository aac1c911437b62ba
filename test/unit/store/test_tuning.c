/* test_tuning.c - jobs of fine-tuning: two processes, as two connections to one database. */
#include "store/tuning.c"

#include "../base/check.h"

static char          folder[64];
static struct store *store, *other;
static struct arena  arena;
static int64_t       now_ms;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-tuning-XXXXXX");
    arena_init(&arena, 0);
    now_ms = 1000000;
    return !mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || store_open(str_from_cstr(folder), &other)
               ? -1
               : 0;
}

static int teardown(void **state)
{
    char rm[128];

    (void)state;
    store_close(store);
    store_close(other);
    arena_free(&arena);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

static enum err create_within(const char *id, const char *output, int64_t unfinished_max, int64_t kept_max,
                              bool *ret_over)
{
    struct tuning_create c = { .row = { .id = str_from_cstr(id),
                                        .workspace = S("default"),
                                        .model = S("qwen-turbo"),
                                        .base = S("qwen-turbo"),
                                        .body = S("{}"),
                                        .output = str_from_cstr(output),
                                        .create_ms = now_ms++ },
                               .unfinished_max = unfinished_max,
                               .kept_max = kept_max };
    enum err             e = store_run_here(store, tuning_create_job, &c);

    if (ret_over)
        *ret_over = c.over_unfinished;
    return e;
}

static void create(const char *id)
{
    assert_int_equal(create_within(id, id, 0, 0, NULL), OK);
}

static struct tuning_job get(const char *id)
{
    struct tuning_get g = { .arena = &arena, .id = str_from_cstr(id), .workspace = S("default") };

    assert_int_equal(store_run_here(store, tuning_get_job, &g), OK);
    return g.row;
}

static size_t claim(struct store *s, const char *owner, int64_t machine_ms, size_t room, struct tuning_job **ret)
{
    struct tuning_claim c = { .arena = &arena,
                              .owner = str_from_cstr(owner),
                              .now_ms = now_ms,
                              .machine_ms = machine_ms,
                              .lease_ms = 100,
                              .room = room };

    assert_int_equal(store_run_here(s, tuning_claim_job, &c), OK);
    if (ret)
        *ret = c.rows;
    return c.count;
}

static struct tuning_held beat(struct store *s, const char *owner, const struct tuning_job *j, int64_t until_ms)
{
    struct tuning_held held = { .id = j->id, .claim = j->claim };
    struct tuning_beat b = { .owner = str_from_cstr(owner), .lease_until_ms = until_ms, .held = &held, .count = 1 };

    assert_int_equal(store_run_here(s, tuning_beat_job, &b), OK);
    return held;
}

static enum err end_as(struct store *s, const char *owner, const struct tuning_job *j, str status)
{
    struct tuning_line line = { now_ms, S("over") };
    struct tuning_end  n = {
         .row = { .id = j->id, .claim = j->claim, .status = status, .end_ms = now_ms, .usage = 7, .served = S("x") },
         .makes_model = true,
         .note = { .owner = str_from_cstr(owner), .id = j->id, .claim = j->claim, .lines = &line, .line_count = 1 }
    };

    return store_run_here(s, tuning_end_job, &n);
}

static enum err cancel(const char *id)
{
    struct tuning_cancel c = {
        .id = str_from_cstr(id), .workspace = S("default"), .now_ms = now_ms, .last = S("cancelled")
    };

    return store_run_here(store, tuning_cancel_job, &c);
}

static int64_t log_lines(const char *id, str *ret_last)
{
    struct tuning_logs l = { .arena = &arena, .id = str_from_cstr(id), .workspace = S("default"), .limit = 1000 };

    assert_int_equal(store_run_here(store, tuning_logs_job, &l), OK);
    if (ret_last && l.count)
        *ret_last = l.lines[l.count - 1].text;
    return l.total;
}

static enum err model(const char *name, struct tuning_model *ret)
{
    struct tuning_model_get g = { .arena = &arena, .name = str_from_cstr(name), .workspace = S("default") };
    enum err                e = store_run_here(store, tuning_model_job, &g);

    *ret = g.row;
    return e;
}

TEST(the_oldest_is_claimed_and_the_rest_queues)
{
    struct tuning_job *rows;

    create("a");
    create("b");
    assert_int_equal(claim(store, "one", 0, 1, &rows), 1);
    assert_str(rows[0].id, "a");
    assert_str(rows[0].status, "RUNNING");
    assert_int_equal(rows[0].claim, 1);
    assert_str(get("b").status, "QUEUING");
    assert_int_equal(claim(other, "two", 0, 2, &rows), 1);
    assert_str(rows[0].id, "b");
    assert_int_equal(claim(other, "two", 0, 2, NULL), 0);
}

TEST(a_lease_that_lapses_is_somebody_elses_who_alone_may_end_it)
{
    struct tuning_job  *mine, *theirs, kept;
    struct tuning_model m;

    create("a");
    assert_int_equal(claim(store, "one", 0, 1, &mine), 1);
    kept = mine[0];
    assert_false(beat(store, "one", &kept, 200).lost);
    assert_int_equal(claim(other, "two", 150, 1, NULL), 0);
    assert_int_equal(claim(other, "two", 200, 1, &theirs), 1);
    assert_int_equal(theirs[0].claim, 2);
    assert_true(beat(store, "one", &kept, 400).lost);
    assert_int_equal(end_as(store, "one", &kept, TUNING_SUCCEEDED), ERR_NOT_FOUND);
    assert_int_equal(log_lines("a", NULL), 0); /* nothing of a lost end stays */
    assert_int_equal(model("a", &m), ERR_NOT_FOUND);
    assert_int_equal(end_as(other, "two", &theirs[0], TUNING_SUCCEEDED), OK);
    assert_str(get("a").status, "SUCCEEDED");
    assert_int_equal(get("a").usage, 7);
    assert_int_equal(model("a", &m), OK);
    assert_str(m.served, "x");
    assert_int_equal(end_as(other, "two", &theirs[0], TUNING_FAILED), ERR_NOT_FOUND);
}

TEST(what_is_given_back_is_claimed_at_once_with_the_same_number)
{
    struct tuning_job    *rows;
    struct tuning_release t = { .owner = S("one"), .id = S("a"), .claim = 1 };

    create("a");
    assert_int_equal(claim(store, "one", 0, 1, NULL), 1);
    assert_int_equal(store_run_here(store, tuning_release_job, &t), OK);
    assert_int_equal(claim(other, "two", 1, 1, &rows), 1);
    assert_int_equal(rows[0].claim, 1);
}

TEST(a_job_that_nobody_runs_is_cancelled_at_once_and_another_by_who_runs_it)
{
    struct tuning_job *rows, kept;
    str                last = { 0 };

    create("a");
    assert_int_equal(claim(store, "one", 0, 1, &rows), 1);
    kept = rows[0];
    create("b");
    assert_int_equal(cancel("b"), OK);
    assert_str(get("b").status, "CANCELED");
    assert_int_equal(log_lines("b", &last), 1);
    assert_str(last, "cancelled");
    assert_int_equal(cancel("b"), ERR_INVALID);
    assert_int_equal(cancel("nobody"), ERR_NOT_FOUND);
    assert_int_equal(cancel("a"), OK);
    assert_str(get("a").status, "CANCELING");
    assert_true(beat(store, "one", &kept, 200).canceling);
    assert_int_equal(claim(other, "two", 300, 1, &rows), 1); /* its runner has died: the next one ends it */
    assert_str(rows[0].status, "CANCELING");
    assert_int_equal(end_as(other, "two", &rows[0], TUNING_CANCELED), OK);
    assert_str(get("a").status, "CANCELED");
}

TEST(limits_and_names_are_kept_in_one_transaction)
{
    struct tuning_job *rows;
    bool               over;

    create("a");
    assert_int_equal(create_within("b", "a", 0, 0, NULL), ERR_EXISTS);
    assert_int_equal(create_within("b", "b", 1, 0, &over), ERR_LIMIT);
    assert_true(over);
    assert_int_equal(create_within("b", "b", 0, 1, &over), ERR_LIMIT);
    assert_false(over);
    assert_int_equal(claim(store, "one", 0, 1, &rows), 1);
    assert_int_equal(end_as(store, "one", &rows[0], TUNING_FAILED), OK);
    assert_int_equal(create_within("b", "a", 1, 1, NULL), OK); /* what has failed makes no model and does not count */
}

TEST(a_job_goes_with_its_log_and_leaves_its_models)
{
    struct tuning_job       *rows;
    struct tuning_model      m;
    struct tuning_delete     d = { .id = S("a"), .workspace = S("default") };
    struct tuning_checkpoint point = { .name = S("checkpoint-1"), .served = S("y"), .create_ms = 5 };
    struct tuning_note       n = {
              .owner = S("one"), .id = S("a"), .claim = 1, .checkpoints = &point, .checkpoint_count = 1
    };
    struct tuning_export x = {
        .id = S("a"), .workspace = S("default"), .checkpoint = S("checkpoint-1"), .model = S("early")
    };

    create("a");
    assert_int_equal(claim(store, "one", 0, 1, &rows), 1);
    assert_int_equal(store_run_here(store, tuning_delete_job, &d), ERR_INVALID);
    assert_int_equal(store_run_here(store, tuning_note_job, &n), OK);
    assert_int_equal(store_run_here(store, tuning_note_job, &n), OK); /* told again by a second run */
    x.model = S("a");
    assert_int_equal(store_run_here(store, tuning_export_job, &x), ERR_EXISTS); /* the job's own */
    x.model = S("early");
    assert_int_equal(store_run_here(store, tuning_export_job, &x), OK);
    assert_int_equal(store_run_here(store, tuning_export_job, &x), ERR_EXISTS);
    assert_int_equal(end_as(store, "one", &rows[0], TUNING_SUCCEEDED), OK);
    assert_int_equal(store_run_here(store, tuning_delete_job, &d), OK);
    assert_int_equal(store_run_here(store, tuning_delete_job, &d), ERR_NOT_FOUND);
    assert_int_equal(model("early", &m), OK);
    assert_str(m.served, "y");
    assert_int_equal(model("a", &m), OK);
    assert_int_equal(store_run_here(store, tuning_reset_job, NULL), OK);
    assert_int_equal(model("early", &m), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_oldest_is_claimed_and_the_rest_queues, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lease_that_lapses_is_somebody_elses_who_alone_may_end_it, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_given_back_is_claimed_at_once_with_the_same_number, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_that_nobody_runs_is_cancelled_at_once_and_another_by_who_runs_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(limits_and_names_are_kept_in_one_transaction, setup, teardown),
        cmocka_unit_test_setup_teardown(a_job_goes_with_its_log_and_leaves_its_models, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
