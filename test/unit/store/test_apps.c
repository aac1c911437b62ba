/* test_apps.c - sessions, traces and responses of applications. */
#include "store/apps.c"

#include "../base/check.h"

static char          folder[64];
static struct store *store;
static sqlite3      *database;
static struct arena  arena;

#define LIFE_MS 1000

static enum err insert_app(sqlite3 *db, void *unused)
{
    (void)unused;
    database = db;
    return store_exec(db,
                      "INSERT INTO apps (id, workspace, kind, name, draft, published, version, created_ms, modified_ms)"
                      " VALUES ('a', 'default', 'agent', 'A', '', '{}', 3, 0, 0)");
}

static int setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-apps-XXXXXX");
    arena_init(&arena, 0);
    return !mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || store_run_here(store, insert_app, NULL) ? -1
                                                                                                                    : 0;
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

static struct app_load load(const char *app, const char *workspace, const char *session, int64_t now_ms, enum err want)
{
    struct app_load l = { .arena = &arena,
                          .app = str_from_cstr(app),
                          .workspace = str_from_cstr(workspace),
                          .session = str_from_cstr(session),
                          .used_after_ms = now_ms - LIFE_MS };

    assert_int_equal(store_run_here(store, app_load_job, &l), want);
    return l;
}

static void keep(const char *app, const char *session, const char *said, const char *run, int64_t now_ms)
{
    struct app_keep k = { .app = str_from_cstr(app),
                          .session = str_from_cstr(session),
                          .turn = { str_from_cstr(said), S("yes") },
                          .now_ms = now_ms,
                          .used_after_ms = now_ms - LIFE_MS,
                          .turns_max = 3,
                          .runs_max = 2,
                          .run = str_from_cstr(run),
                          .steps = S("[]") };

    assert_int_equal(store_run_here(store, app_keep_job, &k), OK);
}

static int64_t count(const char *sql)
{
    sqlite3_stmt *st;
    int64_t       n;

    assert_int_equal(store_prepare(database, sql, &st), OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

TEST(an_application_is_one_workspaces)
{
    struct app_load l = load("a", "default", "", 0, OK);

    assert_str(l.kind, "agent");
    assert_int_equal(l.version, 3);
    (void)load("a", "other", "", 0, ERR_NOT_FOUND);
    (void)load("b", "default", "", 0, ERR_NOT_FOUND);
}

TEST(a_session_remembers_so_many_turns_so_long)
{
    struct app_load l;

    for (int i = 0; i < 5; i++)
        keep("a", "s", arena_printf(&arena, "%d", i).ptr, arena_printf(&arena, "r%d", i).ptr, 5000 + i);
    l = load("a", "default", "s", 5004 + LIFE_MS - 1, OK);
    assert_true(l.session_found);
    assert_int_equal(l.turn_count, 3);
    assert_str(l.turns[0].said, "2");
    assert_str(l.turns[2].said, "4");
    l = load("a", "default", "s", 5004 + LIFE_MS, OK);
    assert_false(l.session_found);
    assert_int_equal(l.turn_count, 0);
    keep("a", "other", "x", "r9", 5004 + LIFE_MS); /* forgets the old one */
    assert_int_equal(count("SELECT COUNT(*) FROM app_sessions"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM app_turns"), 1);
}

TEST(the_last_runs_are_kept)
{
    for (int i = 0; i < 5; i++)
        keep("a", "", "x", arena_printf(&arena, "r%d", i).ptr, 1);
    assert_int_equal(count("SELECT COUNT(*) FROM app_runs"), 2);
    assert_int_equal(count("SELECT COUNT(*) FROM app_runs WHERE id IN ('r3', 'r4')"), 2);
    assert_int_equal(count("SELECT COUNT(*) FROM app_sessions"), 0);
}

TEST(an_application_that_is_gone_keeps_nothing)
{
    keep("gone", "s", "x", "r", 1);
    assert_int_equal(count("SELECT COUNT(*) FROM app_runs"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM app_sessions"), 0);
    keep("a", "s", "x", "r", 1);
    assert_int_equal(store_exec(database, "DELETE FROM apps"), OK);
    assert_int_equal(count("SELECT COUNT(*) FROM app_runs"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM app_turns"), 0);
}

TEST(a_response_ends_once)
{
    struct app_response_job j = { .arena = &arena,
                                  .id = S("x"),
                                  .app = S("a"),
                                  .workspace = S("default"),
                                  .status = S("queued"),
                                  .body = S("{}"),
                                  .now_ms = 7,
                                  .life_ms = LIFE_MS };

    assert_int_equal(store_run_here(store, app_response_put_job, &j), OK);
    j.status = S("cancelled");
    assert_int_equal(store_run_here(store, app_response_update_job, &j), OK);
    j.status = S("completed");
    assert_int_equal(store_run_here(store, app_response_update_job, &j), ERR_NOT_FOUND);
    assert_int_equal(store_run_here(store, app_response_get_job, &j), OK);
    assert_str(j.status, "cancelled");
    assert_int_equal(j.created_ms, 7);
    j.app = S("b");
    assert_int_equal(store_run_here(store, app_response_get_job, &j), ERR_NOT_FOUND);
    j.app = S("a");
    j.id = S("y");
    j.now_ms = 7 + LIFE_MS; /* the first is too old */
    assert_int_equal(store_run_here(store, app_response_put_job, &j), OK);
    assert_int_equal(count("SELECT COUNT(*) FROM app_responses"), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_application_is_one_workspaces, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_remembers_so_many_turns_so_long, setup, teardown),
        cmocka_unit_test_setup_teardown(the_last_runs_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(an_application_that_is_gone_keeps_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_response_ends_once, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
