/* test_store.c - jobs that share a transaction. */
#include "store/store.c"

#include "../loop/run.h"

#include <semaphore.h>

enum { FIBERS = 10 };

static char          folder[] = "/tmp/dashbox-store-XXXXXX";
static struct store *store;
static sem_t         gate;
static int           commits;

struct insert {
    int      n;
    bool     fails;
    enum err e, then;
    int      commits_then;
};

static enum err wait_job(sqlite3 *db, void *arg)
{
    (void)db, (void)arg;
    sem_wait(&gate);
    return OK;
}

static void ignore(void *arg, enum err e)
{
    (void)arg, (void)e;
}

static int on_commit(void *arg)
{
    (void)arg;
    commits++;
    return 0;
}

static enum err hook_job(sqlite3 *db, void *arg)
{
    (void)arg;
    sqlite3_commit_hook(db, on_commit, NULL);
    return store_exec(db, "CREATE TABLE t (n INTEGER PRIMARY KEY)");
}

static enum err insert_job(sqlite3 *db, void *arg)
{
    struct insert *i = arg;
    sqlite3_stmt  *st;
    enum err       e = store_prepare(db, "INSERT INTO t VALUES (?)", &st);
    int            r;

    if (e)
        return e;
    sqlite3_bind_int(st, 1, i->fails ? 0 : i->n); /* of two alike the second is refused */
    r = sqlite3_step(st);
    sqlite3_finalize(st);
    return store_err(db, r);
}

static void insert_then(sqlite3 *db, void *arg, enum err e)
{
    struct insert *i = arg;

    assert_true(sqlite3_get_autocommit(db)); /* the transaction is over */
    i->then = e;
    i->commits_then = commits;
}

static void insert(void *arg)
{
    struct insert *i = arg;

    i->e = store_run_together(store, insert_job, insert_then, i);
}

static void open_gate(void *arg)
{
    (void)arg;
    sem_post(&gate);
}

static enum err count_job(sqlite3 *db, void *arg)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "SELECT COUNT(*) FROM t", &st);

    if (e)
        return e;
    if (sqlite3_step(st) == SQLITE_ROW)
        *(int *)arg = sqlite3_column_int(st, 0);
    sqlite3_finalize(st);
    return OK;
}

TEST(jobs_that_wait_share_a_commit_and_one_that_fails_fails_alone)
{
    struct insert all[FIBERS] = { 0 };
    int           rows = 0;

    assert_int_equal(store_run_here(store, hook_job, NULL), OK);
    commits = 0;
    assert_int_equal(store_start(store), OK);
    store_post(store, wait_job, ignore, NULL); /* the lane is busy until all wait */
    for (int i = 0; i < FIBERS; i++) {
        all[i].n = i;
        all[i].fails = i == 4;
        spawn(insert, &all[i]);
    }
    spawn(open_gate, NULL);
    loop_run(loop);
    assert_int_equal(commits, 1);
    for (int i = 0; i < FIBERS; i++) {
        assert_int_equal(all[i].e, i == 4 ? ERR_EXISTS : OK);
        assert_int_equal(all[i].then, all[i].e);
        assert_int_equal(all[i].commits_then, 1);
    }
    assert_int_equal(store_run_here(store, count_job, &rows), OK);
    assert_int_equal(rows, FIBERS - 1);
}

static int setup(void **state)
{
    sem_init(&gate, 0, 0);
    return loop_setup(state) || !mkdtemp(folder) || store_open(str_from_cstr(folder), &store);
}

static int teardown(void **state)
{
    char rm[64];

    store_close(store);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return loop_teardown(state) || system(rm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_that_wait_share_a_commit_and_one_that_fails_fails_alone, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
