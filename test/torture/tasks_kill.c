/* tasks_kill.c - tasks under kill -9: every acknowledged task ends once, and is charged once.
 *
 *   tasks_kill [KILLS]
 *
 * A child makes tasks as fast as it can and runs them, on two workers with a runner each. When a task's creation has
 * returned, the child writes that into memory that it shares with us: its acknowledgement, as the reply with the task's id is
 * to a client. At a random moment the child is killed: in a creation, a claim, a run, an end. Every fourth time two
 * children share the folder, and one is killed while the other lives.
 *
 * The kind of these tasks counts its runs in the shared memory, too. Each task has a key of its own in the ledger and uses as
 * many tokens as its number says. When all the killing is over, a last process runs what is left. Then each acknowledged task
 * must have succeeded, have been run, and have exactly one charge of exactly its tokens; and there are no more charges than
 * tasks that ended. A run that was killed is done again: how often is told, and must not exceed what was under way at the
 * kills.
 *
 * At last a task that kills its own server, as one that meets a fault in it would: after five of these it must have failed.
 */
#include "access/usage.h"
#include "base/clock.h"
#include "base/log.h"
#include "loop/loop.h"
#include "service/tasks.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 2, MAKERS = 3, RUNNING = 4, TASKS_MAX = 1 << 18, LIFE_MAX_US = 60000, LEASE_MS = 2000, LOST_MAX = 5 };

/* While servers are killed at random the same task may well be hit more often than it may kill. */
static int64_t lost_max = INT64_MAX;

struct shared {
    _Atomic int64_t next;        /* number of the next task */
    _Atomic int     killed_runs; /* an upper bound: places of the killed */
    struct {
        _Atomic bool acknowledged;
        _Atomic int  runs;
        char         id[UUID_LEN + 1];
    } tasks[TASKS_MAX];
};

static struct shared *shared;
static char           folder[64];
static int64_t        lease_ms = LEASE_MS;

static void die(const char *what)
{
    fprintf(stderr, "tasks_kill: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- a process ---- */

struct worker {
    struct loop            *loop;
    struct access           access;
    struct services         services;
    struct request_settings settings;
    struct account_view    *accounts;
    struct task_runner     *runner;
    pthread_t               thread;
    bool                    makes;
};

static enum err run_task(struct task *t)
{
    int64_t n;

    if (!json_to_i64(json_get(t->body, "n"), &n))
        return ERR_INVALID;
    if (json_get(t->body, "kills"))
        raise(SIGKILL);
    atomic_fetch_add(&shared->tasks[n].runs, 1);
    if (fiber_sleep_until(loop_now_us(fiber_loop()) + n % 8 * 500) == ERR_CANCELLED)
        return ERR_CANCELLED;
    t->rq->usage.prompt_tokens = n + 1;
    return OK;
}

static const struct task_kind kind = { S("torture"), run_task };

static struct services *hold(void *arg, const struct request_settings **ret_settings)
{
    struct worker *w = arg;

    *ret_settings = &w->settings;
    return &w->services;
}

static void release(void *arg, struct services *s)
{
    (void)arg, (void)s;
}

static void make_one(struct worker *w)
{
    struct arena a;
    int64_t      n = atomic_fetch_add(&shared->next, 1);
    char        *id = shared->tasks[n].id;

    if (n >= TASKS_MAX)
        die("too many tasks");
    arena_init(&a, 0);
    rand_uuid(id, '4');
    {
        str                key = arena_printf(&a, "k%lld", (long long)n);
        struct task_create c = { .row = { .id = str_of(id, UUID_LEN),
                                          .request_id = S("r"),
                                          .kind = kind.name,
                                          .function = S("a:b:c"),
                                          .model = S("qwen-plus"),
                                          .workspace = S("default"),
                                          .key = key,
                                          .body = arena_printf(&a, "{\"n\":%lld}", (long long)n),
                                          .submit_ms = clock_unix_ms() } };

        if (store_run_together(w->services.store, task_create_job, NULL, &c))
            die("create");
    }
    atomic_store_explicit(&shared->tasks[n].acknowledged, true, memory_order_release);
    arena_free(&a);
}

static void make_tasks(void *arg)
{
    for (;;)
        make_one(arg);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    task_runner_start(w->runner);
    for (int i = 0; w->makes && i < MAKERS; i++)
        fiber_start(w->loop, make_tasks, w);
    loop_run(w->loop);
    return NULL;
}

struct process {
    struct store          *store;
    struct quota          *quota;
    struct ledger         *ledger;
    struct account_source *accounts;
    struct worker          workers[WORKERS];
};

static void process_start(struct process *p, bool makes)
{
    struct quota_options  billed = { .region = PRICE_CN, .billing = true, .grants = true };
    struct ledger_options ledger = { 0 };

    if (store_open(str_from_cstr(folder), &p->store) || account_open(p->store, NULL, 0, NULL, &p->accounts) ||
        quota_open(p->store, &billed, &p->quota) || ledger_open(p->store, p->quota, &ledger, &p->ledger) ||
        store_start(p->store))
        die("open");
    for (unsigned i = 0; i < WORKERS; i++) {
        struct worker             *w = &p->workers[i];
        struct task_runner_options o = { .store = p->store,
                                         .access = &w->access,
                                         .running_max = RUNNING,
                                         .lease_ms = lease_ms,
                                         .lost_max = lost_max,
                                         .kinds = &kind,
                                         .kind_count = 1,
                                         .hold = hold,
                                         .release = release,
                                         .arg = w };

        *w = (struct worker){ .loop = loop_new(), .makes = makes && i == 0 };
        w->access.ledger = p->ledger;
        w->services.store = p->store;
        w->settings.tasks = (struct request_tasks){ .run_ms = 3600000, .keep_ms = 3600000 };
        o.accounts = w->accounts = account_view_open(p->accounts);
        w->runner = task_runner_open(w->loop, &o);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_create(&p->workers[i].thread, NULL, worker_main, &p->workers[i]);
}

static pid_t child_start(bool makes)
{
    static struct process p;
    pid_t                 pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a parent that was killed leaves none behind */
        log_open(2, LOG_WARN, false);
        process_start(&p, makes);
        for (;;)
            pause();
    }
    return pid;
}

static void child_kill(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "tasks_kill: a child ended by itself\n");
        exit(1);
    }
    atomic_fetch_add(&shared->killed_runs, WORKERS * RUNNING);
}

/* ---- what must be true ---- */

static enum err keep_db(sqlite3 *db, void *arg)
{
    *(sqlite3 **)arg = db;
    return OK;
}

static int64_t number_of(struct store *s, const char *sql)
{
    sqlite3      *db;
    sqlite3_stmt *st = NULL;
    int64_t       n;

    if (store_run_here(s, keep_db, &db) || store_prepare(db, sql, &st) || sqlite3_step(st) != SQLITE_ROW)
        die(sql);
    n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

/* Until nothing waits or runs. */
static void run_the_rest(void)
{
    pid_t         pid = child_start(false);
    struct store *store;

    if (store_open(str_from_cstr(folder), &store))
        die("open");
    while (number_of(store, "SELECT COUNT(*) FROM tasks WHERE end_ms IS NULL"))
        usleep(20000);
    store_close(store);
    child_kill(pid);
}

/* The row of a task's key; requests 0: it has none. */
static const struct usage_row *booked(const struct usage_query *q, int64_t n)
{
    static const struct usage_row none;
    char                          key[32];
    str                           want = str_of(key, (size_t)snprintf(key, sizeof(key), "k%lld", (long long)n));
    size_t                        low = 0, high = q->row_count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int    order = str_cmp(q->rows[middle].group, want);

        if (order == 0)
            return &q->rows[middle];
        *(order < 0 ? &low : &high) = order < 0 ? middle + 1 : middle;
    }
    return &none;
}

static int check(struct store *store, unsigned kills)
{
    struct arena       arena;
    struct usage_query q = { .arena = &arena, .by = USAGE_BY_KEY };
    struct quota_state state = { .arena = &arena };
    int64_t            count = atomic_load(&shared->next), acknowledged = 0, runs = 0, cost = 0;
    int64_t            ended = number_of(store, "SELECT COUNT(*) FROM tasks WHERE status = 'SUCCEEDED'");
    int                wrong = number_of(store, "SELECT COUNT(*) FROM tasks WHERE status <> 'SUCCEEDED'") != 0;

    arena_init(&arena, 0);
    if (store_run_here(store, usage_query_job, &q) || store_run_here(store, quota_state_job, &state))
        die("query");
    for (int64_t n = 0; n < count; n++) {
        const struct usage_row *r = booked(&q, n);
        bool                    known = atomic_load(&shared->tasks[n].acknowledged);
        int                     ran = atomic_load(&shared->tasks[n].runs);

        acknowledged += known;
        runs += ran;
        /* One that was not acknowledged may be there all the same: its client was killed with the server. */
        if (r->requests > 1 || (r->requests && (r->prompt_tokens != n + 1 || !ran)) || (known && !r->requests)) {
            fprintf(stderr, "tasks_kill: task %lld: %s, %d runs, %lld charges, %lld tokens\n", (long long)n,
                    known ? "acknowledged" : "not acknowledged", ran, (long long)r->requests,
                    (long long)r->prompt_tokens);
            wrong++;
        }
    }
    for (size_t i = 0; i < q.row_count; i++)
        cost += q.rows[i].cost;
    if ((int64_t)q.row_count != ended || cost != state.cost || runs - ended > atomic_load(&shared->killed_runs)) {
        fprintf(stderr, "tasks_kill: %lld ended, %zu charged for %lld, the account owes %lld; %lld runs\n",
                (long long)ended, q.row_count, (long long)cost, (long long)state.cost, (long long)runs);
        wrong++;
    }
    printf("%u kills, %lld tasks acknowledged, %lld ended, %lld runs (%lld again after a kill), %d wrong\n", kills,
           (long long)acknowledged, (long long)ended, (long long)runs, (long long)(runs - ended), wrong);
    arena_free(&arena);
    return wrong || !acknowledged;
}

/* A task that takes its server with it, until it is given up. */
static int check_given_up(struct store *store)
{
    struct task_create c = { .row = { .id = S("deadly"),
                                      .request_id = S("r"),
                                      .kind = kind.name,
                                      .model = S("qwen-plus"),
                                      .workspace = S("default"),
                                      .body = S("{\"n\":0,\"kills\":true}"),
                                      .submit_ms = clock_unix_ms() } };
    int                deaths = 0;
    bool               over = false;

    if (store_run_here(store, task_create_job, &c))
        die("create");
    lease_ms = 100;
    lost_max = LOST_MAX;
    while (!over) {
        pid_t pid = child_start(false);

        while (waitpid(pid, NULL, WNOHANG) == 0 && !over) {
            over = number_of(store, "SELECT COUNT(*) FROM tasks WHERE id = 'deadly' AND end_ms > 0") > 0;
            usleep(5000);
        }
        if (over)
            child_kill(pid);
        else
            deaths++;
    }
    printf("a task that kills its server was given up after %d times\n", deaths);
    return deaths != LOST_MAX || number_of(store, "SELECT COUNT(*) FROM tasks WHERE id = 'deadly' AND status = 'FAILED'"
                                                  " AND code = 'InternalError'") != 1;
}

static void live_a_while(void)
{
    usleep((useconds_t)(rand_u64() % LIFE_MAX_US));
}

int main(int argc, char **argv)
{
    unsigned      kills = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200, done = 0;
    struct store *store;
    char          rm[128];
    int           status;

    /* A kill takes nothing that the kernel has: memory does for a disk, and lets more happen between two kills. */
    snprintf(folder, sizeof(folder), "%s/dashbox-tasks-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(folder))
        die(folder);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        die("memory");
    while (done < kills) {
        pid_t first = child_start(true);

        if (done % 4 == 0) {
            pid_t second = child_start(true);

            live_a_while();
            child_kill(first);
            done++;
            first = second;
        }
        live_a_while();
        child_kill(first);
        done++;
    }
    run_the_rest();
    if (store_open(str_from_cstr(folder), &store) || ledger_recover(store))
        die("recover");
    status = check(store, done);
    status |= check_given_up(store);
    store_close(store);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    if (status == 0 && system(rm))
        die(rm);
    return status;
}
