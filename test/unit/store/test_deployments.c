/* test_deployments.c - deployments follow the clock. */
#include "store/deployments.c"

#include "../base/check.h"

static char          folder[64];
static struct store *store;
static struct arena  arena;

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-deployments-XXXXXX");
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

static enum err create(const char *name, int64_t now_ms, int64_t capacity)
{
    struct deployment_create c = { .row = { .name = str_from_cstr(name),
                                            .workspace = S("default"),
                                            .capacity = capacity,
                                            .capacity_before = -1,
                                            .create_ms = now_ms,
                                            .modified_ms = now_ms,
                                            .ready_ms = now_ms + 100 } };

    return store_run_here(store, deployment_create_job, &c);
}

static enum err change(const char *name, int64_t now_ms, int64_t capacity, bool deletes)
{
    struct deployment_change c = { .arena = &arena,
                                   .name = str_from_cstr(name),
                                   .workspace = S("default"),
                                   .now_ms = now_ms,
                                   .ready_ms = now_ms + 100,
                                   .capacity = capacity,
                                   .rpm = -1,
                                   .tpm = -1,
                                   .deletes = deletes };

    return store_run_here(store, deployment_change_job, &c);
}

/* "RUNNING 2" */
static str state_at(const char *name, int64_t now_ms)
{
    struct deployment_get g = {
        .arena = &arena, .name = str_from_cstr(name), .workspace = S("default"), .now_ms = now_ms
    };

    if (store_run_here(store, deployment_get_job, &g))
        return S("gone");
    return arena_printf(&arena, "%.*s %d", STR_ARG(deployment_status(&g.row, now_ms)),
                        (int)deployment_ready_capacity(&g.row, now_ms));
}

TEST(a_deployment_follows_the_clock)
{
    assert_int_equal(create("d", 1000, 2), OK);
    assert_str(state_at("d", 1000), "PENDING 0");
    assert_str(state_at("d", 1099), "PENDING 0");
    assert_str(state_at("d", 1100), "RUNNING 2");
    assert_int_equal(change("d", 1200, 5, false), OK);
    assert_str(state_at("d", 1299), "UPDATING 2");
    assert_str(state_at("d", 1300), "RUNNING 5");
    assert_int_equal(change("d", 1300, 0, false), OK);
    assert_int_equal(change("d", 1350, 1, false), OK); /* before that was ready: it still has what it had */
    assert_str(state_at("d", 1400), "UPDATING 5");
    assert_str(state_at("d", 1450), "RUNNING 1");
    assert_int_equal(change("d", 1500, 0, false), OK);
    assert_str(state_at("d", 1600), "STOPPED 0");
    assert_int_equal(change("d", 1700, -1, true), OK);
    assert_str(state_at("d", 1700), "DELETING 0");
    assert_int_equal(change("d", 1750, 1, false), ERR_INVALID);
    assert_str(state_at("d", 1800), "gone");
    assert_int_equal(change("d", 1800, 1, false), ERR_NOT_FOUND);
}

TEST(a_name_is_free_again_when_its_deployment_is_gone)
{
    struct deployment_list l = { .arena = &arena, .workspace = S("default"), .now_ms = 1150, .offset = 1, .limit = 1 };

    assert_int_equal(create("d", 1000, 1), OK);
    assert_int_equal(create("d", 1001, 1), ERR_EXISTS);
    assert_int_equal(create("e", 1002, 1), OK);
    assert_int_equal(store_run_here(store, deployment_list_job, &l), OK);
    assert_int_equal(l.total, 2);
    assert_int_equal(l.count, 1);
    assert_str(l.rows[0].name, "d");
    assert_int_equal(change("d", 1200, -1, true), OK);
    assert_int_equal(create("d", 1299, 1), ERR_EXISTS);
    assert_int_equal(create("d", 1300, 3), OK);
    assert_str(state_at("d", 1400), "RUNNING 3");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_deployment_follows_the_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_is_free_again_when_its_deployment_is_gone, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
