/* ledger.c - what a check and a charge cost a worker.
 *
 *   ledger [ROUNDS]
 *
 * CPU time of the charging thread, with billing on and off; the booking, on its own thread, is shown beside it. Rounds
 * of half a log, emptied before the next begins; medians are printed.
 */
#include "access/ledger.h"
#include "base/clock.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS_MAX = 1000, CHARGES = 2000 };

static char               folder[64];
static struct store      *store;
static struct quota      *quota;
static struct ledger     *ledger;
static struct ledger_log *worker_log;
static struct loop       *loop;
static int64_t            rounds = 200;

static void die(const char *what)
{
    fprintf(stderr, "ledger: %s\n", what);
    exit(1);
}

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v)
{
    qsort(v, (size_t)rounds, sizeof(*v), by_size);
    return v[rounds / 2];
}

static void measure(const char *name)
{
    static double       checks[ROUNDS_MAX], charges[ROUNDS_MAX], bookings[ROUNDS_MAX];
    const struct model *m = model_find(S("qwen-plus"));
    struct charge       c = {
              .model = m,
              .model_name = m->id,
              .workspace = S("llm-3f9a01c23f9a01c2"),
              .key = S("key-3f9a01c2"),
              .use = { .prompt = 1200, .completion = 300, .cached = 1000 },
    };

    for (int64_t i = 0; i < rounds; i++) {
        int64_t        begun = thread_cpu_ns(), now;
        struct charged done;

        for (int k = 0; k < CHARGES; k++) {
            if (quota_check(quota, m, COMMODITY_POSTPAID, 0, false) != QUOTA_GOOD)
                die("the account is not in good standing");
        }
        now = thread_cpu_ns();
        checks[i] = (double)(now - begun) / CHARGES;
        begun = now;
        for (int k = 0; k < CHARGES; k++) {
            if (ledger_charge(worker_log, &c, &done))
                die("charge");
        }
        charges[i] = (double)(thread_cpu_ns() - begun) / CHARGES;
        begun = clock_mono_us();
        if (ledger_flush(ledger))
            die("flush");
        bookings[i] = (double)(clock_mono_us() - begun) * 1000 / CHARGES;
    }
    printf("%s\n  check of the standing  %7.0f ns\n", name, median(checks));
    printf("  charge                 %7.0f ns   goal 200: %s\n", median(charges),
           median(charges) <= 200 ? "reached" : "missed");
    printf("  booking, to disk       %7.0f ns a charge, of %d at once\n", median(bookings), CHARGES);
}

static void run(void *arg)
{
    struct quota_account rich = { .quota = quota, .credit = { INT64_MAX / 2, true } };

    (void)arg;
    if (store_run(store, quota_account_job, &rich))
        die("credit");
    quota_billing_set(quota, false);
    measure("billing off");
    quota_billing_set(quota, true);
    measure("billing on");
    loop_stop(loop);
}

int main(int argc, char **argv)
{
    struct quota_options  o = { .region = PRICE_CN, .grants = true };
    struct ledger_options slow = { .commit_ms = 60000 };
    char                  rm[128];

    if ((argc > 1 && !str_to_i64(str_from_cstr(argv[1]), &rounds)) || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: ledger [ROUNDS]\n");
        return 2;
    }
    snprintf(folder, sizeof(folder), "/tmp/dashbox-bench-XXXXXX");
    if (!mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || quota_open(store, &o, &quota) ||
        ledger_open(store, quota, &slow, &ledger) || ledger_log_open(ledger, &worker_log) || store_start(store))
        die("open");
    loop = loop_new();
    fiber_start(loop, run, NULL);
    loop_run(loop);
    loop_free(loop);
    ledger_close(ledger);
    store_close(store);
    quota_close(quota);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm) ? 1 : 0;
}
