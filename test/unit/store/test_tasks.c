/* test_tasks.c - the table of tasks: two processes, as two connections to one database. */
#include "store/tasks.c"

#include "base/clock.h"

#include "../base/check.h"

#include <dirent.h>
#include <sys/stat.h>

#define RUN_MS  10000
#define KEEP_MS 50000

static char          folder[64];
static struct store *store, *other;
static struct arena  arena;
static int64_t       now_ms;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-tasks-XXXXXX");
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

static struct task_terms terms(void)
{
    return (struct task_terms){ now_ms, RUN_MS, KEEP_MS, true, S("InternalError.Timeout"), S("too long") };
}

static enum err create(const char *id, const char *model, int64_t queued_max)
{
    struct task_create c = { .row = { .id = str_from_cstr(id),
                                      .request_id = S("r"),
                                      .kind = S("k"),
                                      .function = S("a:b:c"),
                                      .model = str_from_cstr(model),
                                      .workspace = S("default"),
                                      .key = S("key-1"),
                                      .base = S("http://x"),
                                      .body = S("{\"n\":1}"),
                                      .submit_ms = now_ms++ },
                             .queued_max = queued_max };

    return store_run_here(store, task_create_job, &c);
}

static enum err get(const char *id, struct task_row *ret)
{
    struct task_get g = { .arena = &arena, .terms = terms(), .id = str_from_cstr(id) };
    enum err        e = store_run_here(store, task_get_job, &g);

    *ret = g.row;
    return e;
}

static void assert_status(const char *id, const char *want)
{
    struct task_row row;

    assert_int_equal(get(id, &row), OK);
    assert_str(row.status, want);
}

static int64_t two_of_a(str model)
{
    return str_eq(model, S("a")) ? 2 : 0;
}

static struct task_claim claim(struct store *s, const char *owner, int64_t machine_ms, size_t room)
{
    struct task_claim c = { .arena = &arena,
                            .terms = terms(),
                            .owner = str_from_cstr(owner),
                            .machine_ms = machine_ms,
                            .lease_ms = 100,
                            .room = room,
                            .running_max = two_of_a };

    assert_int_equal(store_run_here(s, task_claim_job, &c), OK);
    return c;
}

static enum err end(struct store *s, const char *owner, const struct task_row *row, const char *status)
{
    struct task_end t = { .row = { .id = row->id,
                                   .claim = row->claim,
                                   .status = str_from_cstr(status),
                                   .end_ms = now_ms,
                                   .output = S(",\"url\":\"u\""),
                                   .total = 2,
                                   .succeeded = 1,
                                   .failed = 1 },
                          .owner = str_from_cstr(owner),
                          .tells = true };

    return store_run_here(s, task_end_job, &t);
}

TEST(a_task_goes_its_way_once)
{
    struct task_claim c;
    struct task_row   row;

    assert_int_equal(create("one", "m", 0), OK);
    assert_status("one", "PENDING");
    c = claim(store, "A", 0, 5);
    assert_int_equal(c.count, 1);
    assert_str(c.rows[0].id, "one");
    assert_str(c.rows[0].body, "{\"n\":1}");
    assert_status("one", "RUNNING");
    assert_int_equal(claim(other, "B", 50, 5).count, 0); /* the lease holds */
    assert_int_equal(end(store, "A", &c.rows[0], "SUCCEEDED"), OK);
    assert_int_equal(end(store, "A", &c.rows[0], "FAILED"), ERR_NOT_FOUND); /* once */
    assert_int_equal(get("one", &row), OK);
    assert_str(row.status, "SUCCEEDED");
    assert_str(row.output, ",\"url\":\"u\"");
    assert_int_equal(row.total, 2);
    assert_int_equal(claim(other, "B", 5000, 5).count, 0);
}

TEST(a_lapsed_lease_is_somebody_elses_and_the_first_owner_can_end_nothing)
{
    struct task_claim c, d;
    struct task_held  held = { .id = "one", .claim = 1 };
    struct task_beat  b = { .owner = S("A"), .lease_until_ms = 200, .held = &held, .count = 1 };

    assert_int_equal(create("one", "m", 0), OK);
    c = claim(store, "A", 0, 1);
    assert_int_equal(store_run_here(store, task_beat_job, &b), OK);
    assert_false(held.lost);
    assert_int_equal(claim(other, "B", 150, 1).count, 0); /* the beat has renewed it */
    d = claim(other, "B", 201, 1);
    assert_int_equal(d.count, 1);
    assert_int_equal(d.rows[0].claim, 2);
    assert_int_equal(d.rows[0].scheduled_ms, c.rows[0].scheduled_ms); /* its three hours began with the first */
    assert_int_equal(store_run_here(store, task_beat_job, &b), OK);
    assert_true(held.lost);
    assert_int_equal(end(store, "A", &c.rows[0], "SUCCEEDED"), ERR_NOT_FOUND);
    assert_int_equal(end(other, "B", &d.rows[0], "SUCCEEDED"), OK);
}

TEST(the_same_owner_cannot_end_an_earlier_claim_of_its_own)
{
    struct task_claim c, d;

    assert_int_equal(create("one", "m", 0), OK);
    c = claim(store, "A", 0, 1);
    d = claim(store, "A", 500, 1);
    assert_int_equal(d.count, 1);
    assert_int_equal(end(store, "A", &c.rows[0], "SUCCEEDED"), ERR_NOT_FOUND);
    assert_int_equal(end(store, "A", &d.rows[0], "SUCCEEDED"), OK);
}

TEST(what_is_given_back_is_taken_at_once)
{
    struct task_claim c;
    struct task_end   t = { .owner = S("A") };

    assert_int_equal(create("one", "m", 0), OK);
    c = claim(store, "A", 1000, 1);
    t.row = c.rows[0];
    assert_int_equal(store_run_here(store, task_release_job, &t), OK);
    assert_status("one", "RUNNING"); /* nobody sees it go back */
    c = claim(other, "B", 1001, 1);
    assert_int_equal(c.count, 1);
    assert_int_equal(c.rows[0].claim, 1); /* that run was not lost */
}

static enum err refuse(sqlite3 *db, void *arg)
{
    (void)db, (void)arg;
    return ERR_IO;
}

TEST(an_end_and_what_belongs_to_it_are_there_together_or_not_at_all)
{
    struct task_claim c;
    struct task_end   t = { .owner = S("A"), .also = refuse };

    assert_int_equal(create("one", "m", 0), OK);
    c = claim(store, "A", 0, 1);
    t.row = c.rows[0];
    t.row.status = TASK_SUCCEEDED;
    assert_int_equal(store_run_here(store, task_end_job, &t), ERR_IO);
    assert_status("one", "RUNNING");
}

TEST(only_what_waits_can_be_cancelled)
{
    struct task_cancel c = { .id = S("one"), .now_ms = now_ms };

    assert_int_equal(store_run_here(store, task_cancel_job, &c), ERR_NOT_FOUND);
    assert_int_equal(create("one", "m", 0), OK);
    assert_int_equal(store_run_here(store, task_cancel_job, &c), OK);
    assert_status("one", "CANCELED");
    assert_int_equal(store_run_here(store, task_cancel_job, &c), ERR_NOT_FOUND);
    assert_int_equal(claim(store, "A", 0, 1).count, 0);
    assert_int_equal(create("two", "m", 0), OK);
    assert_int_equal(claim(store, "A", 0, 1).count, 1);
    c.id = S("two");
    assert_int_equal(store_run_here(store, task_cancel_job, &c), ERR_NOT_FOUND);
}

TEST(a_model_has_a_queue_and_places)
{
    struct task_claim c;

    assert_int_equal(create("a1", "a", 3), OK);
    assert_int_equal(create("a2", "a", 3), OK);
    assert_int_equal(create("a3", "a", 3), OK);
    assert_int_equal(create("a4", "a", 3), ERR_LIMIT);
    assert_int_equal(create("b1", "b", 3), OK);
    c = claim(store, "A", 0, 9);
    assert_int_equal(c.count, 3); /* two of a, and b passes the third of a */
    assert_str(c.rows[0].id, "a1");
    assert_str(c.rows[1].id, "a2");
    assert_str(c.rows[2].id, "b1");
    assert_int_equal(create("a4", "a", 3), ERR_LIMIT); /* what runs counts, too */
    assert_int_equal(claim(other, "B", 0, 9).count, 0);
    assert_int_equal(end(store, "A", &c.rows[0], "FAILED"), OK);
    assert_int_equal(create("a4", "a", 3), OK);
    c = claim(other, "B", 0, 9);
    assert_int_equal(c.count, 1);
    assert_str(c.rows[0].id, "a3");
}

TEST(the_oldest_is_first_and_room_is_all_that_is_taken)
{
    struct task_claim c;

    for (int i = 0; i < 5; i++)
        assert_int_equal(create((const char *[]){ "1", "2", "3", "4", "5" }[i], "m", 0), OK);
    c = claim(store, "A", 0, 2);
    assert_int_equal(c.count, 2);
    assert_str(c.rows[0].id, "1");
    assert_str(c.rows[1].id, "2");
    c = claim(store, "A", 1, 2);
    assert_str(c.rows[0].id, "3");
}

TEST(what_runs_too_long_has_failed)
{
    struct task_claim c;
    struct task_row   row;

    assert_int_equal(create("one", "m", 0), OK);
    c = claim(store, "A", 0, 1);
    now_ms += RUN_MS - 10;
    assert_status("one", "RUNNING");
    now_ms += 20;
    assert_int_equal(get("one", &row), OK);
    assert_str(row.status, "FAILED");
    assert_str(row.code, "InternalError.Timeout");
    assert_str(row.message, "too long");
    assert_int_equal(row.end_ms, now_ms);
    assert_int_equal(end(store, "A", &c.rows[0], "SUCCEEDED"), ERR_NOT_FOUND);
    assert_int_equal(claim(store, "A", 100000, 1).count, 0);
}

TEST(what_was_kept_long_enough_is_gone)
{
    struct task_claim c;
    struct task_row   row;
    struct task_sweep s = { .arena = &arena };

    assert_int_equal(create("one", "m", 0), OK);
    assert_int_equal(create("two", "m", 0), OK);
    c = claim(store, "A", 0, 1);
    assert_int_equal(end(store, "A", &c.rows[0], "SUCCEEDED"), OK);
    now_ms += KEEP_MS - 1;
    assert_status("one", "SUCCEEDED");
    now_ms += 1;
    assert_int_equal(get("one", &row), ERR_NOT_FOUND);
    s.terms = terms();
    assert_int_equal(store_run_here(store, task_sweep_job, &s), OK);
    assert_int_equal(s.gone_count, 1);
    assert_str(s.gone[0], "one");
    assert_int_equal(s.pending, 1);
    assert_int_equal(s.running, 0);
    assert_status("two", "PENDING"); /* what waits is not forgotten */
}

static struct task_list list(const char *model, const char *status, int64_t page, int64_t size)
{
    struct task_list l = { .arena = &arena,
                           .terms = terms(),
                           .model = str_from_cstr(model),
                           .status = str_from_cstr(status),
                           .from_ms = 0,
                           .to_ms = INT64_MAX,
                           .page = page,
                           .size = size };

    assert_int_equal(store_run_here(store, task_list_job, &l), OK);
    return l;
}

TEST(a_list_is_filtered_newest_first_page_by_page)
{
    struct task_list l;

    for (int i = 0; i < 5; i++)
        assert_int_equal(create((const char *[]){ "1", "2", "3", "4", "5" }[i], i % 2 ? "odd" : "even", 0), OK);
    (void)claim(store, "A", 0, 1);
    l = list("", "", 1, 2);
    assert_int_equal(l.total, 5);
    assert_int_equal(l.count, 2);
    assert_str(l.rows[0].id, "5");
    l = list("", "", 3, 2);
    assert_int_equal(l.count, 1);
    assert_str(l.rows[0].id, "1");
    assert_int_equal(list("", "", 4, 2).count, 0);
    assert_int_equal(list("odd", "", 1, 10).total, 2);
    assert_int_equal(list("", "RUNNING", 1, 10).total, 1);
    assert_int_equal(list("", "UNKNOWN", 1, 10).total, 0);
    assert_int_equal(list("' OR 1=1 --", "", 1, 10).total, 0);
}

static struct task_events events(struct store *s, int64_t machine_ms)
{
    struct task_events ev = { .arena = &arena, .machine_ms = machine_ms, .until_ms = machine_ms + 100 };

    assert_int_equal(store_run_here(s, task_events_job, &ev), OK);
    return ev;
}

static void told(const char *id, int64_t again_ms)
{
    struct task_told t = { str_from_cstr(id), again_ms };

    assert_int_equal(store_run_here(store, task_told_job, &t), OK);
}

TEST(each_end_is_told_until_it_has_been_heard)
{
    struct task_claim  c;
    struct task_cancel canceled = { .id = S("canceled"), .tells = true };
    struct task_events ev;

    assert_int_equal(create("ended", "m", 0), OK);
    assert_int_equal(create("late", "m", 0), OK);
    assert_int_equal(create("canceled", "m", 0), OK);
    c = claim(store, "A", 0, 2);
    assert_int_equal(events(store, 1000).count, 0); /* nothing has ended */
    assert_int_equal(end(store, "A", &c.rows[0], "SUCCEEDED"), OK);
    canceled.now_ms = now_ms;
    assert_int_equal(store_run_here(store, task_cancel_job, &canceled), OK);
    now_ms += RUN_MS + 1;
    assert_status("late", "FAILED");
    ev = events(store, 1000);
    assert_int_equal(ev.count, 3);
    assert_int_equal(ev.tries[0], 1);
    assert_int_equal(events(other, 1050).count, 0); /* the first server is at it */
    told("canceled", 0);
    told("late", 1200);
    ev = events(other, 1150); /* of one the first server has said nothing: it was killed */
    assert_int_equal(ev.count, 1);
    assert_str(ev.rows[0].id, "ended");
    assert_str(ev.rows[0].status, "SUCCEEDED");
    assert_str(ev.rows[0].output, ",\"url\":\"u\"");
    assert_int_equal(ev.tries[0], 2);
    told("ended", 0);
    ev = events(store, 1200);
    assert_int_equal(ev.count, 1);
    assert_str(ev.rows[0].id, "late");
    assert_str(ev.rows[0].code, "InternalError.Timeout");
    told("late", 0);
    assert_int_equal(events(store, 100000).count, 0);
}

TEST(an_end_that_nobody_wants_to_hear_is_not_kept)
{
    struct task_cancel c = { .id = S("one") };

    assert_int_equal(create("one", "m", 0), OK);
    assert_int_equal(store_run_here(store, task_cancel_job, &c), OK);
    assert_int_equal(events(store, 100000).count, 0);
}

static enum err keep_db(sqlite3 *db, void *arg)
{
    *(sqlite3 **)arg = db;
    return OK;
}

/* What a statement reads, in SQLite's words. */
static void assert_searched(const char *sql)
{
    char          plan[200];
    sqlite3_stmt *st;
    sqlite3      *db;

    snprintf(plan, sizeof(plan), "EXPLAIN QUERY PLAN %s", sql);
    assert_int_equal(store_run_here(store, keep_db, &db), OK);
    assert_int_equal(store_prepare(db, plan, &st), OK);
    while (sqlite3_step(st) == SQLITE_ROW) {
        const char *step = (const char *)sqlite3_column_text(st, 3);

        if (strstr(step, " tasks"))
            assert_non_null(strstr(step, "INDEX tasks_"));
    }
    sqlite3_finalize(st);
}

TEST(what_has_ended_is_not_read_for_what_is_open)
{
    assert_searched("SELECT COUNT(*) FROM tasks WHERE status = 'RUNNING' AND scheduled_ms <= 1");
    assert_searched("SELECT number, model FROM tasks WHERE status = 'PENDING' ORDER BY number");
    assert_searched("SELECT number, model FROM tasks WHERE status = 'RUNNING' AND lease_ms < 1");
    assert_searched("SELECT COUNT(*) FROM tasks WHERE status = 'RUNNING' AND model = 'm'");
    assert_searched("SELECT COUNT(*) FROM tasks WHERE status IN ('PENDING', 'RUNNING') AND model = 'm'");
    assert_searched("SELECT 1 FROM tasks WHERE event_ms <= 1");
}

int main(void)
{
#define EACH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        EACH(a_task_goes_its_way_once),
        EACH(a_lapsed_lease_is_somebody_elses_and_the_first_owner_can_end_nothing),
        EACH(the_same_owner_cannot_end_an_earlier_claim_of_its_own),
        EACH(what_is_given_back_is_taken_at_once),
        EACH(an_end_and_what_belongs_to_it_are_there_together_or_not_at_all),
        EACH(only_what_waits_can_be_cancelled),
        EACH(a_model_has_a_queue_and_places),
        EACH(the_oldest_is_first_and_room_is_all_that_is_taken),
        EACH(what_runs_too_long_has_failed),
        EACH(what_was_kept_long_enough_is_gone),
        EACH(a_list_is_filtered_newest_first_page_by_page),
        EACH(each_end_is_told_until_it_has_been_heard),
        EACH(an_end_that_nobody_wants_to_hear_is_not_kept),
        EACH(what_has_ended_is_not_read_for_what_is_open),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
