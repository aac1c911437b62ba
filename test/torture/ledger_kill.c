/* ledger_kill.c - the ledger under kill -9: nothing acknowledged is lost, nothing is booked twice.
 *
 *   ledger_kill [KILLS]
 *
 * A child charges from several workers as fast as it can. After each charge a worker writes into memory that it shares
 * with us how many it has made: that is its acknowledgement, as a reply's last byte is to a client. At a random moment
 * the child is killed: in a charge, in a booking, while it starts and books what the one before it left. Every fourth time
 * two children share the folder, and one is killed while the other lives.
 *
 * The n-th charge of a worker has n prompt and n² completion tokens and a key of the worker's own. At the end the table of
 * usage must hold, of each key, exactly the charges 1 … N with N what was acknowledged, or one more: the one between its
 * charge and its acknowledgement. Count, sum and sum of squares tell a lost one from one that was booked twice.
 */
#include "access/ledger.h"
#include "access/usage.h"
#include "base/rand.h"
#include "loop/loop.h"

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

enum { WORKERS = 3, CHILDREN_MAX = 4096, LIFE_MAX_US = 60000 };

/* Charges acknowledged, by child and worker. */
struct shared {
    _Atomic int64_t acknowledged[CHILDREN_MAX][WORKERS];
};

static struct shared *shared;
static char           folder[64];

static void die(const char *what)
{
    fprintf(stderr, "ledger_kill: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the child ---- */

/* The prompts of a worker are 1, 2, … and begin again behind so many: so the sums, and their prices, stay within 64 bits however late
 * the kill comes. */
#define ROUND 1000

struct worker {
    struct ledger_log *log;
    struct loop       *loop;
    pthread_t          thread;
    unsigned           child, index;
};

static void charge_on(void *arg)
{
    struct worker      *w = arg;
    char                key[32];
    const struct model *model = model_find(S("qwen-plus"));
    struct charge       c = { .model = model, .model_name = model->id, .workspace = S("default") };

    c.key = str_of(key, (size_t)snprintf(key, sizeof(key), "%u-%u", w->child, w->index));
    for (int64_t n = 1;; n++) {
        struct charged done;

        c.use = (struct price_use){ .prompt = n % ROUND, .completion = (n % ROUND) * (n % ROUND) };
        if (ledger_charge(w->log, &c, &done) || ledger_wait(w->log, done.ticket))
            die("charge");
        atomic_store_explicit(&shared->acknowledged[w->child][w->index], n, memory_order_release);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    w->loop = loop_new();
    fiber_start(w->loop, charge_on, w);
    loop_run(w->loop);
    return NULL;
}

static void child_main(unsigned child)
{
    struct worker         workers[WORKERS];
    struct store         *store;
    struct quota         *quota;
    struct ledger        *ledger;
    struct quota_options  billed = { .region = PRICE_CN, .billing = true, .grants = true };
    struct ledger_options often = { .strict = child % 8 == 7, .commit_ms = 3 };

    if (store_open(str_from_cstr(folder), &store) || quota_open(store, &billed, &quota) ||
        ledger_open(store, quota, &often, &ledger) || store_start(store))
        die("open");
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){ .child = child, .index = i };
        if (ledger_log_open(ledger, &workers[i].log))
            die("log");
    }
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]);
    for (;;)
        pause();
}

/* ---- the parent ---- */

static pid_t child_start(unsigned child)
{
    pid_t pid = fork();

    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a parent that was killed leaves none behind */
        child_main(child);
    }
    return pid;
}

static void child_kill(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        fprintf(stderr, "ledger_kill: a child ended by itself\n");
        exit(1);
    }
}

static void live_a_while(void)
{
    usleep((useconds_t)(rand_u64() % LIFE_MAX_US));
}

/* Of the first n charges: their prompts, and the squares of these. */
static int64_t sum_to(int64_t n)
{
    return n * (n + 1) / 2;
}

static int64_t squares_to(int64_t n)
{
    return n * (n + 1) * (2 * n + 1) / 6;
}

static int64_t sum_of(int64_t (*to)(int64_t n), int64_t n)
{
    return n / ROUND * to(ROUND - 1) + to(n % ROUND);
}

/* The row of a key; zeros when it has none. */
static struct usage_row booked(const struct usage_query *q, const char *key)
{
    for (size_t i = 0; i < q->row_count; i++) {
        if (str_eq(q->rows[i].group, str_from_cstr(key)))
            return q->rows[i];
    }
    return (struct usage_row){ 0 };
}

static int check(struct store *store, unsigned children)
{
    struct arena       arena;
    struct usage_query q = { .arena = &arena, .by = USAGE_BY_KEY };
    struct quota_state state = { .arena = &arena };
    int64_t            charges = 0, in_flight = 0, cost = 0, free = 0, used = 0;
    int                wrong = 0;

    arena_init(&arena, 0);
    if (store_run_here(store, usage_query_job, &q) || store_run_here(store, quota_state_job, &state))
        die("query");
    for (unsigned child = 0; child < children; child++) {
        for (unsigned i = 0; i < WORKERS; i++) {
            int64_t          n = atomic_load(&shared->acknowledged[child][i]);
            char             key[32];
            struct usage_row r;

            snprintf(key, sizeof(key), "%u-%u", child, i);
            r = booked(&q, key);
            charges += n;
            in_flight += r.requests - n;
            if (r.requests < n || r.requests > n + 1 || r.prompt_tokens != sum_of(sum_to, r.requests) ||
                r.completion_tokens != sum_of(squares_to, r.requests)) {
                fprintf(stderr, "ledger_kill: %s: %lld acknowledged, %lld booked with %lld + %lld tokens\n", key,
                        (long long)n, (long long)r.requests, (long long)r.prompt_tokens,
                        (long long)r.completion_tokens);
                wrong++;
            }
        }
    }
    for (size_t i = 0; i < q.row_count; i++) {
        cost += q.rows[i].cost;
        free += q.rows[i].free_tokens;
    }
    for (size_t i = 0; i < state.model_count; i++)
        used += state.models[i].used;
    if (cost != state.cost || free != used) {
        fprintf(stderr, "ledger_kill: the account owes %lld, the usage costs %lld; free quota used %lld, booked %lld\n",
                (long long)state.cost, (long long)cost, (long long)used, (long long)free);
        wrong++;
    }
    printf("%u children, %lld charges acknowledged, %lld more booked (at most one a worker), %d wrong\n", children,
           (long long)charges, (long long)in_flight, wrong);
    arena_free(&arena);
    return wrong || !charges;
}

int main(int argc, char **argv)
{
    unsigned      kills = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200, child = 0;
    struct store *store;
    char          rm[128];
    int           status;

    snprintf(folder, sizeof(folder), "/tmp/dashbox-kill-XXXXXX");
    if (!mkdtemp(folder))
        die(folder);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || kills + 1 > CHILDREN_MAX)
        die("memory");
    while (child < kills) {
        pid_t first = child_start(child++);

        if (child % 4 == 0) {
            pid_t second = child_start(child++);

            live_a_while();
            child_kill(first);
            first = second;
        }
        live_a_while();
        child_kill(first);
    }
    if (store_open(str_from_cstr(folder), &store) || ledger_recover(store))
        die("recover");
    status = check(store, child);
    store_close(store);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    if (status == 0 && system(rm))
        die(rm);
    return status;
}
