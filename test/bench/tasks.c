/* tasks.c - tasks made, asked after and run a second, beside plain inserts into SQLite.
 *
 *   tasks [SECONDS]
 *
 * All on one disk (the folder of TMPDIR, else /var/tmp), with the same durability: WAL, a commit is on the disk. The plain inserts
 * have the same table and rows, one statement that is prepared once, and no thread to hand anything to: one a commit, and 64 a
 * commit. The others are what the server does, by as many fibers of one loop as are said; a run does nothing but end.
 */
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "loop/loop.h"
#include "service/tasks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIBERS_MAX = 64, GROUP = 64, RUNNING = 64 };

static char            folder[256];
static struct store   *store;
static struct loop    *loop;
static int64_t         duration_us = 2000000;
static struct arena    process;
static struct services services;
static struct access   used;
static const char      body[] =
    "{\"model\":\"wan2.2-t2i-flash\",\"input\":{\"prompt\":\"a cat that sits on the roof of a red house\"},"
    "\"parameters\":{\"size\":\"1024*1024\",\"n\":1}}";

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "tasks: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void print_rate(const char *name, int64_t count, int64_t took_us)
{
    printf("  %-44s %10.0f a second\n", name, (double)count * 1e6 / (double)took_us);
}

/* ---- plain ---- */

static enum err keep_db(sqlite3 *db, void *arg)
{
    *(sqlite3 **)arg = db;
    return OK;
}

static void plain(sqlite3 *db, const char *name, int group)
{
    sqlite3_stmt *st;
    int64_t       began_us = clock_mono_us(), count = 0;

    if (store_prepare(
            db,
            "INSERT INTO tasks (id, request_id, kind, function, model, workspace, key, base, body, submit_ms, status)"
            " VALUES (?1, ?1, 'none', 'a:b:c', 'm', 'default', 'k', 'http://127.0.0.1:8420', ?2, ?3, 'PENDING')",
            &st))
        die("prepare");
    while (clock_mono_us() - began_us < duration_us) {
        if (group > 1 && store_exec(db, "BEGIN IMMEDIATE"))
            die("begin");
        for (int i = 0; i < group; i++) {
            char id[UUID_LEN + 1];

            rand_uuid(id, '4');
            store_bind_str(st, 1, str_from_cstr(id));
            store_bind_str(st, 2, str_from_cstr(body));
            sqlite3_bind_int64(st, 3, clock_unix_ms());
            if (sqlite3_step(st) != SQLITE_DONE)
                die("insert");
            sqlite3_reset(st);
        }
        if (group > 1 && store_exec(db, "COMMIT"))
            die("commit");
        count += group;
    }
    print_rate(name, count, clock_mono_us() - began_us);
    sqlite3_finalize(st);
    if (store_exec(db, "DELETE FROM tasks"))
        die("delete");
}

/* ---- ours ---- */

struct worker {
    int64_t count;
    bool    queries;
};

static int64_t       end_us;
static size_t        left;
static char          known[UUID_LEN + 1];
static struct worker workers[FIBERS_MAX];

static void make(char id[UUID_LEN + 1])
{
    struct task_create c = { .row = { .id = str_of(id, UUID_LEN),
                                      .request_id = str_of(id, UUID_LEN),
                                      .kind = S("none"),
                                      .function = S("a:b:c"),
                                      .model = S("m"),
                                      .workspace = S("default"),
                                      .key = S("k"),
                                      .base = S("http://127.0.0.1:8420"),
                                      .body = str_from_cstr(body),
                                      .submit_ms = clock_unix_ms() } };

    rand_uuid(id, '4');
    if (store_run_together(store, task_create_job, NULL, &c))
        die("create");
}

static void ask(const char *id)
{
    struct arena    a;
    struct task_get g = { .arena = &a,
                          .terms = { .now_ms = clock_unix_ms(), .run_ms = 3600000, .keep_ms = 3600000 },
                          .id = str_from_cstr(id) };

    arena_init(&a, 0);
    if (store_run(store, task_get_job, &g))
        die("get");
    arena_free(&a);
}

static void work(void *arg)
{
    struct worker *w = arg;
    char           id[UUID_LEN + 1];

    for (w->count = 0; loop_now_us(loop) < end_us; w->count++) {
        if (w->queries)
            ask(known);
        else
            make(id);
    }
    if (--left == 0)
        loop_stop(loop);
}

/* Each measurement has a loop of its own. */
static void run_loop(void)
{
    loop_run(loop);
    loop_free(loop);
    loop = NULL;
}

static void begin_loop(void)
{
    loop = loop_new();
    if (!loop)
        die("loop");
}

static void make_known(void *arg)
{
    (void)arg;
    make(known);
    loop_stop(loop);
}

static void measure(const char *name, bool queries, size_t fibers)
{
    int64_t began_us = clock_mono_us(), count = 0;

    begin_loop();
    end_us = loop_now_us(loop) + duration_us;
    left = fibers;
    for (size_t i = 0; i < fibers; i++) {
        workers[i].queries = queries;
        fiber_start(loop, work, &workers[i]);
    }
    run_loop();
    for (size_t i = 0; i < fibers; i++)
        count += workers[i].count;
    print_rate(name, count, clock_mono_us() - began_us);
}

/* ---- and run ---- */

static struct request_settings settings;
static enum err                run_none(struct task *t)
{
    (void)t;
    return OK;
}

static const struct task_kind kind = { S("none"), run_none };

static struct services *hold(void *arg, const struct request_settings **ret_settings)
{
    (void)arg;
    *ret_settings = &settings;
    return &services;
}

static void release(void *arg, struct services *s)
{
    (void)arg, (void)s;
}

static void on_stopped(void *arg)
{
    (void)arg;
    loop_stop(loop);
}

static void stop_later(void *arg)
{
    (void)fiber_sleep_until(loop_now_us(loop) + duration_us);
    task_runner_stop(arg, on_stopped, NULL);
}

static void measure_runs(const char *name, struct account_source *accounts)
{
    struct task_runner_options o = { .store = store,
                                     .accounts = account_view_open(accounts),
                                     .access = &used,
                                     .running_max = RUNNING,
                                     .lease_ms = 60000,
                                     .lost_max = 5,
                                     .kinds = &kind,
                                     .kind_count = 1,
                                     .hold = hold,
                                     .release = release };
    struct task_runner        *r;
    int64_t                    began_us = clock_mono_us();

    begin_loop();
    r = task_runner_open(loop, &o);
    task_runner_start(r);
    fiber_start(loop, stop_later, r);
    run_loop();
    print_rate(name, task_runner_counts(r)->succeeded, clock_mono_us() - began_us);
    task_runner_free(r);
    account_view_close(o.accounts);
}

int main(int argc, char **argv)
{
    const char            *tmp = getenv("TMPDIR");
    struct quota_options   billed = { .region = PRICE_CN };
    struct ledger_options  lo = { 0 };
    struct account_source *accounts;
    struct quota          *quota;
    sqlite3               *db;
    char                   rm[300];

    if (argc > 1)
        duration_us = strtoll(argv[1], NULL, 10) * 1000000;
    setvbuf(stdout, NULL, _IOLBF, 0);
    log_open(2, LOG_WARN, false);
    arena_init(&process, 0);
    snprintf(folder, sizeof(folder), "%s/dashbox-bench-tasks-XXXXXX", tmp ? tmp : "/var/tmp");
    if (!mkdtemp(folder) || store_open(str_from_cstr(folder), &store) ||
        account_open(store, NULL, 0, NULL, &accounts) || quota_open(store, &billed, &quota) ||
        ledger_open(store, quota, &lo, &used.ledger) || store_run_here(store, keep_db, &db))
        die(folder);
    settings.tasks = (struct request_tasks){ .run_ms = 3600000, .keep_ms = 3600000 };
    printf("tasks in %s\n", folder);
    plain(db, "plain SQLite, an insert a commit", 1);
    plain(db, "plain SQLite, 64 inserts a commit", GROUP);
    if (store_start(store))
        die("start");
    measure("made, one after the other", false, 1);
    measure("made, 64 at once", false, FIBERS_MAX);
    begin_loop();
    fiber_start(loop, make_known, NULL);
    run_loop();
    measure("asked after, one after the other", true, 1);
    measure("asked after, 64 at once", true, FIBERS_MAX);
    measure_runs("claimed, run and ended", accounts);
    ledger_close(used.ledger);
    quota_close(quota);
    account_close(accounts);
    store_close(store);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm) != 0;
}
