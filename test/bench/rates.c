/* rates.c - what the check of the limits costs a request, in this process.
 *
 *   rates [ROUNDS [REQUESTS]]
 *
 * "admit" is what stands in front of every request: two claims (the account's windows of qwen-plus, and a workspace's own of
 * a minute), each with room. "a request" is admit, reserve and settle. Time stands still for 20 requests and then goes on by
 * a millisecond, so that windows fill and slide. Nanoseconds are CPU time of the thread; medians of the rounds.
 */
#include "access/rates.h"
#include "base/num.h"
#include "loop/loop.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS_MAX = 100, A_MILLISECOND = 20 };

static const struct rate_limits account = {
    .requests = { { 1000000, 1000 }, { 60000000, 60000 } },
    .tokens = { { 1000000000000, 60000 } },
    .request_windows = 2,
    .token_windows = 1,
};
static const struct rate_limits workspace = {
    .requests = { { 50000000, 60000 } },
    .tokens = { { 1000000000000, 60000 } },
    .request_windows = 1,
    .token_windows = 1,
    .concurrency = 1000000000,
};

struct bench {
    struct rates *rates;
    struct loop  *loop;
    str           model;
    int64_t       requests;
    bool          admit_only;
    double        ns;
};

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void requests(void *arg)
{
    struct bench      *b = arg;
    struct rates_view *v = rates_view_open(b->rates, b->loop);
    struct rate_claim  claims[] = { { S("account"), b->model, &account }, { S("default"), b->model, &workspace } };
    struct rate_ticket ticket;
    struct rate_state  state;
    int64_t            begun = thread_cpu_ns(), refused = 0;

    for (int64_t i = 0; i < b->requests; i++) {
        int64_t now = 1700000000000 + i / A_MILLISECOND;

        refused += rates_admit(v, claims, 2, now, &ticket, &state) != OK;
        if (!b->admit_only) {
            refused += rates_reserve(v, &ticket, 100, now, &state) != OK;
            rates_settle(v, &ticket, 150, now);
        }
    }
    b->ns = (double)(thread_cpu_ns() - begun) / (double)b->requests;
    if (refused) {
        fprintf(stderr, "rates: %lld refused\n", (long long)refused);
        exit(1);
    }
    rates_view_close(v);
    loop_stop(b->loop);
}

static void *thread_main(void *arg)
{
    struct bench *b = arg;

    b->loop = loop_new();
    fiber_start(b->loop, requests, b);
    loop_run(b->loop);
    loop_free(b->loop);
    return NULL;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Nanoseconds a request on each of one or two threads. */
static double measure(int64_t rounds, int64_t count, unsigned threads, bool same_model, bool admit_only)
{
    static const struct rates_options options = { 0 };
    static const str                  models[] = { { "qwen-plus", 9 }, { "qwen-max", 8 } };
    double                            ns[ROUNDS_MAX];

    for (int64_t i = -1; i < rounds; i++) { /* one to warm up */
        struct bench  b[2];
        pthread_t     thread[2];
        struct rates *rates;

        if (rates_open(&options, &rates))
            exit(1);
        for (unsigned t = 0; t < threads; t++) {
            b[t] = (struct bench){
                .rates = rates, .model = models[same_model ? 0 : t], .requests = count, .admit_only = admit_only
            };
            if (pthread_create(&thread[t], NULL, thread_main, &b[t]))
                exit(1);
        }
        for (unsigned t = 0; t < threads; t++)
            pthread_join(thread[t], NULL);
        if (i >= 0)
            ns[i] = threads == 1 ? b[0].ns : (b[0].ns + b[1].ns) / 2;
        rates_close(rates);
    }
    qsort(ns, (size_t)rounds, sizeof(*ns), by_size);
    return ns[rounds / 2];
}

int main(int argc, char **argv)
{
    int64_t rounds = 9, count = 200000;
    double  one;

    if ((argc > 1 && !str_to_i64(str_from_cstr(argv[1]), &rounds)) ||
        (argc > 2 && !str_to_i64(str_from_cstr(argv[2]), &count)) || rounds < 1 || rounds > ROUNDS_MAX || count < 1) {
        fprintf(stderr, "usage: rates [ROUNDS [REQUESTS]]\n");
        return 2;
    }
    one = measure(rounds, count, 1, true, true);
    printf("limits in this process, two claims, CPU, %lld rounds of %lld requests\n", (long long)rounds,
           (long long)count);
    printf("  admit, one thread                  %6.0f ns   goal below 300: %s\n", one,
           one < 300 ? "reached" : "missed");
    printf("  a request, one thread              %6.0f ns\n", measure(rounds, count, 1, true, false));
    printf("  a request, two threads, two models %6.0f ns\n", measure(rounds, count, 2, false, false));
    printf("  a request, two threads, one model  %6.0f ns\n", measure(rounds, count, 2, true, false));
    return 0;
}
