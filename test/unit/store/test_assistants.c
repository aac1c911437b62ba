/* test_assistants.c - the table of assistants and what belongs to them. */
#include "store/assistants.c"

#include "../base/check.h"
#include "base/buf.h"

static char          folder[64];
static struct store *store;
static struct arena  arena;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-assistants-XXXXXX");
    arena_init(&arena, 0);
    return !mkdtemp(folder) || store_open(str_from_cstr(folder), &store) ? -1 : 0;
}

static int teardown(void **state)
{
    char rm[128];

    (void)state;
    store_close(store);
    arena_free(&arena);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

static void put(const char *kind, const char *owner, const char *id, const char *status)
{
    struct assistant_row r = { .id = str_from_cstr(id),
                               .kind = str_from_cstr(kind),
                               .owner = str_from_cstr(owner),
                               .workspace = S("w"),
                               .status = str_from_cstr(status),
                               .body = S("{}") };

    assert_int_equal(store_run_here(store, assistant_put_job, &r), OK);
}

static enum err get(const char *kind, const char *owner, const char *id, const char *workspace)
{
    struct assistant_get g = { .arena = &arena,
                               .id = str_from_cstr(id),
                               .kind = str_from_cstr(kind),
                               .owner = str_from_cstr(owner),
                               .workspace = str_from_cstr(workspace) };

    return store_run_here(store, assistant_get_job, &g);
}

TEST(an_object_is_found_by_all_that_it_is)
{
    put("message", "t", "m", "");
    assert_int_equal(get("message", "t", "m", "w"), OK);
    assert_int_equal(get("message", "u", "m", "w"), ERR_NOT_FOUND);
    assert_int_equal(get("run", "t", "m", "w"), ERR_NOT_FOUND);
    assert_int_equal(get("message", "t", "m", "x"), ERR_NOT_FOUND);
}

TEST(a_status_is_left_only_from_where_it_may_be)
{
    struct assistant_update u = { .id = S("r"),
                                  .kind = S("run"),
                                  .owner = S("t"),
                                  .workspace = S("w"),
                                  .from = S("queued in_progress"),
                                  .status = S("cancelled"),
                                  .body = S("{}") };

    put("run", "t", "r", "queued");
    assert_int_equal(store_run_here(store, assistant_update_job, &u), OK);
    assert_int_equal(store_run_here(store, assistant_update_job, &u), ERR_NOT_FOUND);
    u.from = S("cancel"); /* no word of it */
    assert_int_equal(store_run_here(store, assistant_update_job, &u), ERR_NOT_FOUND);
    u.from = S("");
    assert_int_equal(store_run_here(store, assistant_update_job, &u), OK);
}

static str body_of(const char *kind, const char *owner, const char *id)
{
    struct assistant_get g = { .arena = &arena,
                               .id = str_from_cstr(id),
                               .kind = str_from_cstr(kind),
                               .owner = str_from_cstr(owner),
                               .workspace = S("w") };

    assert_int_equal(store_run_here(store, assistant_get_job, &g), OK);
    return g.body;
}

static enum err put_run(const char *thread, const char *id, const char *status, int64_t due_ms)
{
    struct assistant_row r = { .id = str_from_cstr(id),
                               .kind = S("run"),
                               .owner = str_from_cstr(thread),
                               .workspace = S("w"),
                               .status = str_from_cstr(status),
                               .body = S("{\"status\":\"?\",\"required_action\":{},\"last_error\":null}"),
                               .idle = true,
                               .due_ms = due_ms };

    return store_run_here(store, assistant_put_job, &r);
}

static bool is_due(void)
{
    struct assistant_get g = { .arena = &arena, .id = S("none"), .kind = S("run"), .workspace = S("w") };

    assert_int_equal(store_run_here(store, assistant_get_job, &g), ERR_NOT_FOUND);
    return g.due;
}

TEST(a_thread_has_one_run_that_is_open)
{
    static const char *const open[] = { "queued", "in_progress", "cancelling", "requires_action" };

    assert_int_equal(put_run("t", "ended", "failed", 0), OK);
    for (size_t i = 0; i < ARRAY_LEN(open); i++) {
        char thread[2] = { (char)('a' + i), 0 }, id[2] = { (char)('A' + i), 0 };

        assert_int_equal(put_run(thread, id, open[i], INT64_MAX), OK);
        assert_int_equal(put_run(thread, "more", "queued", INT64_MAX), ERR_EXISTS);
    }
    assert_int_equal(put_run("t", "more", "queued", INT64_MAX), OK);
}

TEST(a_run_whose_lease_has_lapsed_ends_with_its_parts)
{
    struct assistant_sweep s = { .lost = S("{\"code\":\"X\"}") };

    (void)put_run("t", "r", "in_progress", clock_machine_ms() - 1);
    put("step", "r", "s", "in_progress");
    put("step", "r", "s0", "completed");
    put("message", "t", "m", "in_progress");
    put("message", "t", "m0", "");
    (void)put_run("u", "goes-on", "in_progress", clock_machine_ms() + 60000);
    put("step", "goes-on", "s1", "in_progress");
    (void)put_run("v", "c", "cancelling", clock_machine_ms() - 1);
    assert_true(is_due());
    assert_int_equal(store_run_here(store, assistant_sweep_job, &s), OK);
    assert_false(is_due());
    assert_str(body_of("run", "t", "r"),
               "{\"status\":\"failed\",\"required_action\":{},\"last_error\":{\"code\":\"X\"}}");
    assert_str(body_of("step", "r", "s"), "{\"status\":\"failed\"}");
    assert_str(body_of("step", "r", "s0"), "{}");
    assert_str(body_of("message", "t", "m"), "{\"status\":\"incomplete\"}");
    assert_str(body_of("message", "t", "m0"), "{}");
    assert_str(body_of("step", "goes-on", "s1"), "{}");
    assert_str(body_of("run", "v", "c"), "{\"status\":\"cancelled\",\"required_action\":null,\"last_error\":null}");
}

TEST(a_run_that_waits_goes_by_the_clock_that_can_be_set)
{
    struct assistant_sweep s = { .lost = S("{}") };

    (void)put_run("t", "r", "requires_action", clock_unix_ms() + 600000);
    put("step", "r", "s", "in_progress");
    assert_false(is_due());
    clock_advance(600000);
    assert_true(is_due());
    assert_int_equal(store_run_here(store, assistant_sweep_job, &s), OK);
    clock_reset();
    assert_str(body_of("run", "t", "r"), "{\"status\":\"expired\",\"required_action\":null,\"last_error\":null}");
    assert_str(body_of("step", "r", "s"), "{\"status\":\"expired\"}");
}

TEST(a_lease_is_renewed_only_while_the_run_is_to_go_on)
{
    struct assistant_beat   b = { .id = S("r"), .due_ms = clock_machine_ms() + 60000 };
    struct assistant_update u = { .id = S("r"),
                                  .kind = S("run"),
                                  .owner = S("t"),
                                  .workspace = S("w"),
                                  .status = S("cancelling"),
                                  .body = S("{}"),
                                  .due_ms = ASSISTANT_DUE_KEEP };

    (void)put_run("t", "r", "in_progress", clock_machine_ms() - 1);
    assert_int_equal(store_run_here(store, assistant_beat_job, &b), OK);
    assert_false(is_due());
    assert_int_equal(store_run_here(store, assistant_update_job, &u), OK);
    assert_int_equal(store_run_here(store, assistant_beat_job, &b), ERR_NOT_FOUND);
    b.id = S("none");
    assert_int_equal(store_run_here(store, assistant_beat_job, &b), ERR_NOT_FOUND);
}

TEST(a_run_that_is_ended_takes_its_parts_along)
{
    struct assistant_update u = {
        .id = S("r"), .kind = S("run"), .owner = S("t"), .workspace = S("w"), .status = S("cancelled"), .body = S("{}")
    };

    (void)put_run("t", "r", "requires_action", INT64_MAX);
    put("step", "r", "s", "in_progress");
    assert_int_equal(store_run_here(store, assistant_update_job, &u), OK);
    assert_str(body_of("step", "r", "s"), "{\"status\":\"cancelled\"}");
}

TEST(a_thread_goes_with_all_that_belongs_to_it)
{
    struct assistant_delete d = { .id = S("t"), .kind = S("thread"), .workspace = S("w") };

    put("thread", "", "t", "");
    put("message", "t", "m", "");
    put("run", "t", "r", "completed");
    put("step", "r", "s", "");
    put("message", "other", "n", "");
    assert_int_equal(store_run_here(store, assistant_delete_job, &d), OK);
    assert_int_equal(get("message", "t", "m", "w"), ERR_NOT_FOUND);
    assert_int_equal(get("run", "t", "r", "w"), ERR_NOT_FOUND);
    assert_int_equal(get("step", "r", "s", "w"), ERR_NOT_FOUND);
    assert_int_equal(get("message", "other", "n", "w"), OK);
    assert_int_equal(store_run_here(store, assistant_delete_job, &d), ERR_NOT_FOUND);
}

static void assert_page(struct assistant_list l, const char *ids, bool more)
{
    struct buf b;

    l.arena = &arena;
    l.kind = S("message");
    l.owner = S("t");
    l.workspace = S("w");
    assert_int_equal(store_run_here(store, assistant_list_job, &l), OK);
    buf_init(&b, &arena, 100);
    for (size_t i = 0; i < l.count; i++)
        buf_add(&b, l.ids[i]);
    assert_str(buf_str(&b), ids);
    assert_int_equal(l.more, more);
}

TEST(pages_go_both_ways)
{
    static const char *const ids[] = { "a", "b", "c", "d", "e" };

    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        put("message", "t", ids[i], "");
    assert_page((struct assistant_list){ .limit = 2, .descending = true }, "ed", true);
    assert_page((struct assistant_list){ .limit = 2, .descending = true, .after = S("d") }, "cb", true);
    assert_page((struct assistant_list){ .limit = 5, .descending = true, .before = S("c") }, "ed", false);
    assert_page((struct assistant_list){ .limit = 5 }, "abcde", false);
    assert_page((struct assistant_list){ .limit = 5, .after = S("a"), .before = S("d") }, "bc", false);
    assert_page((struct assistant_list){ .limit = 5, .after = S("none") }, "", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_object_is_found_by_all_that_it_is, setup, teardown),
        cmocka_unit_test_setup_teardown(a_status_is_left_only_from_where_it_may_be, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thread_has_one_run_that_is_open, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_whose_lease_has_lapsed_ends_with_its_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_that_waits_goes_by_the_clock_that_can_be_set, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lease_is_renewed_only_while_the_run_is_to_go_on, setup, teardown),
        cmocka_unit_test_setup_teardown(a_run_that_is_ended_takes_its_parts_along, setup, teardown),
        cmocka_unit_test_setup_teardown(a_thread_goes_with_all_that_belongs_to_it, setup, teardown),
        cmocka_unit_test_setup_teardown(pages_go_both_ways, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
