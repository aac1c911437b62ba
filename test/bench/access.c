/* access.c - what each step between the key and the journal costs a request.
 *
 *   access [ROUNDS]
 *
 * An account of 200 keys, three workspaces with limits that are never reached, and billing on. CPU time of the thread;
 * steps take turns in rounds of 1,000 calls, printed are medians. The text that is moderated has 2,048 bytes and none of
 * the words. The key's look-up is that of a key that was seen before, as is all but the first.
 */
#include "access/admission.h"
#include "access/faults.h"
#include "access/journal.h"
#include "access/keys.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "loop/loop.h"
#include "net/http_server.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS_MAX = 1000, CALLS = 1000, KEYS = 200, SPACES = 3, RULES = 10 };

static int64_t                rounds = 101;
static struct arena           arena;
static char                   folder[64];
static str                    secrets[KEYS];
static struct store          *store;
static struct account_source *accounts;
static struct account_view   *view;
static struct quota          *quota;
static struct ledger         *ledger;
static struct ledger_log     *charges;
static struct rates          *rates;
static struct rates_view     *limits;
static struct journal        *journal;
static struct faults         *no_rules, *ten_rules;
static struct moderation_set *words[3];
static const unsigned         word_counts[] = { 10, 1000, 10000 };
static struct request         rq;
static const struct model    *model;
static char                   text[2048];

static void die(const char *what)
{
    fprintf(stderr, "access: %s\n", what);
    exit(1);
}

/* ---- a head without a connection ---- */

static struct http_field fields[] = {
    { S("host"), S("127.0.0.1:8080") },
    { S("authorization"), S("Bearer sk-0123456789abcdef0123456789abcdef") },
    { S("content-type"), S("application/json") },
    { S("accept"), S("application/json") },
    { S("accept-encoding"), S("gzip, deflate") },
    { S("user-agent"), S("OpenAI/Python 2.8.0") },
    { S("x-stainless-lang"), S("python") },
    { S("content-length"), S("2048") },
};
static const struct http_head head = { .method = S("POST"), .fields = fields, .field_count = ARRAY_LEN(fields) };

const struct http_head *http_request(const struct http_exchange *x)
{
    (void)x;
    return &head;
}

str http_path(const struct http_exchange *x)
{
    (void)x;
    return S("/compatible-mode/v1/chat/completions");
}

bool http_begun(const struct http_exchange *x)
{
    (void)x;
    return false;
}

enum err http_stream_flush(struct http_exchange *x)
{
    (void)x;
    return OK;
}

enum err http_body(struct http_exchange *x, char **ret, size_t *ret_len)
{
    (void)x;
    (void)ret;
    (void)ret_len;
    return ERR_EOF;
}

/* ---- the steps ---- */

static void find_key(void)
{
    static unsigned next;

    if (!account_key(view, secrets[next++ % KEYS], 1))
        die("a key is not found");
}

static void hold(void)
{
    account_release(view, account_hold(view));
}

static void permission(void)
{
    rq.space = account_workspace(rq.account, S("ws-1"));
    if (account_permits(&rq, model))
        die("not permitted");
}

static void standing(void)
{
    if (quota_check(quota, model, COMMODITY_POSTPAID, 0, false) != QUOTA_GOOD)
        die("not in good standing");
}

static void admit_and_settle(size_t claim_count)
{
    static const struct rate_limits account = {
        .requests = { { 1000000000, 1000 }, { 60000000000, 60000 } },
        .tokens = { { 1000000000000, 60000 } },
        .request_windows = 2,
        .token_windows = 1,
    };
    static const struct rate_limits workspace = {
        .requests = { { 50000000000, 60000 } },
        .tokens = { { 1000000000000, 60000 } },
        .request_windows = 1,
        .token_windows = 1,
    };
    struct rate_claim  claims[] = { { S("account"), model->id, &account }, { S("ws-1"), model->id, &workspace } };
    struct rate_ticket ticket;
    struct rate_state  state;
    int64_t            now = clock_unix_ms();

    if (rates_admit(limits, claims, claim_count, now, &ticket, &state) ||
        rates_reserve(limits, &ticket, 100, now, &state))
        die("a limit was reached");
    rates_settle(limits, &ticket, 150, now);
}

static void rates_1(void)
{
    admit_and_settle(1);
}

static void rates_2(void)
{
    admit_and_settle(2);
}

/* As a stream: a whole text would be known again. */
static void moderate(unsigned which)
{
    struct moderation_verdict v;
    struct arena              a;

    arena_init(&a, 0);
    if (moderation_stream_feed(moderation_stream_open(words[which], MODERATION_INPUT, &a), str_of(text, sizeof(text)),
                               &v))
        die("a word was found");
    arena_free(&a);
}

static void moderate_known(void)
{
    struct moderation_verdict v;

    if (moderation_check(words[1], MODERATION_INPUT, str_of(text, sizeof(text)), &v))
        die("a word was found");
}

static void moderate_10(void)
{
    moderate(0);
}

static void moderate_1000(void)
{
    moderate(1);
}

static void moderate_10000(void)
{
    moderate(2);
}

static void charge(void)
{
    struct charge  c = { .model = model,
                         .model_name = model->id,
                         .workspace = S("ws-1"),
                         .key = S("key-3f9a01c2"),
                         .use = { .prompt = 1200, .completion = 300, .cached = 1000 } };
    struct charged done;

    if (ledger_charge(charges, &c, &done))
        die("a charge failed");
}

static void note(void)
{
    char                      *body = xmalloc(sizeof(text));
    const struct journal_entry e = {
        .request_id = S("93a1c7e2-5f61-4f0e-9d5a-0a8de0c77f43"),
        .method = S("POST"),
        .path = http_path(NULL),
        .headers = S("host: 127.0.0.1:8080\ncontent-type: application/json\naccept: application/json\n"
                     "user-agent: OpenAI/Python 2.8.0\ncontent-length: 2048\n"),
        .body = str_of(memcpy(body, text, sizeof(text)), sizeof(text)),
        .status = 200,
        .model = model->id,
        .key = S("key-3f9a01c2"),
        .workspace = S("ws-1"),
    };

    journal_add(journal, &e);
}

/* Once when the key is known, once when the model is. */
static void strike(struct faults *f)
{
    rq.faults = f;
    rq.model_name = (str){ 0 };
    if (faults_strike(&rq))
        die("a fault acted");
    rq.model_name = model->id;
    if (faults_strike(&rq))
        die("a fault acted");
}

static void fault_check(void)
{
    strike(no_rules);
}

static void fault_check_10(void)
{
    strike(ten_rules);
}

static struct {
    const char *name;
    void (*run)(void);
    double ns[ROUNDS_MAX];
} steps[] = {
    { "the account is held and released", hold },
    { "key", find_key },
    { "workspace by name, permission", permission },
    { "standing and free quota", standing },
    { "rates: admit, reserve, settle, 1 claim", rates_1 },
    { "rates: admit, reserve, settle, 2 claims", rates_2 },
    { "faults, no rules", fault_check },
    { "faults, 10 rules that do not fit", fault_check_10 },
    { "moderation of 2 KiB known as clean", moderate_known },
    { "moderation of 2 KiB, 10 words", moderate_10 },
    { "moderation of 2 KiB, 1,000 words", moderate_1000 },
    { "moderation of 2 KiB, 10,000 words", moderate_10000 },
    { "charge", charge },
    { "journal, 2 KiB", note },
};

/* ---- what they work on ---- */

static enum err fill(sqlite3 *db, void *arg)
{
    struct edit e = { .db = db, .arena = &arena };

    (void)arg;
    for (unsigned i = 1; i < SPACES; i++) {
        struct workspace_model line = { .model = S("*"), .allowed = true, .rpm = 1000000000, .tpm = 1000000000000 };
        str                    id = arena_printf(&arena, "ws-%u", i);

        if (workspace_create(&e, id, id, &id) || workspace_model_set(&e, id, &line))
            return ERR_IO;
    }
    for (unsigned i = 0; i < KEYS; i++) {
        struct key_row want = { 0 }, made;

        if (key_create(&e, &want, 0, &secrets[i], &made))
            return ERR_IO;
    }
    return OK;
}

/* "qzkvbx17": the beginnings differ. */
static str word(uint64_t number)
{
    uint64_t draw = number;
    char     letters[6];

    for (size_t i = 0; i < sizeof(letters); i++)
        letters[i] = (char)('a' + rand_next(&draw) % 26);
    return arena_printf(&arena, "%.6s%llu", letters, (unsigned long long)number);
}

static void compile(unsigned which)
{
    unsigned                  count = word_counts[which];
    struct moderation_rule   *rules = arena_array(&arena, struct moderation_rule, count);
    struct moderation_problem problem;

    for (unsigned i = 0; i < count; i++) {
        rules[i] = (struct moderation_rule){
            .id = S("word"),
            .pattern = word(i),
            .sides = MODERATION_BOTH,
        };
    }
    if (moderation_compile(rules, count, NULL, &arena, &words[which], &problem))
        die("the words cannot be compiled");
}

static void add_rules(void)
{
    struct fault_rule r = { .fault = S("E205"), .model = S("qwen3-*-thinking"), .times = -1, .every = 1, .share = 1 };
    char              id[FAULT_ID_LEN + 1];
    str               problem;

    for (unsigned i = 0; i < RULES; i++) {
        if (faults_add(ten_rules, &r, &arena, id, &problem))
            die("a rule is refused");
    }
}

static void open_all(void)
{
    static const struct rates_options  in_process = { 0 };
    static const struct quota_options  billed = { .region = PRICE_CN, .billing = true, .grants = true };
    static const struct ledger_options slow = { .commit_ms = 60000 };
    static const char sentence[] = "The water follows the moon, and the far side lags behind by half a day. ";

    snprintf(folder, sizeof(folder), "/tmp/dashbox-bench-XXXXXX");
    if (!mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || store_run_here(store, fill, NULL) ||
        account_open(store, NULL, 0, NULL, &accounts) || quota_open(store, &billed, &quota) ||
        ledger_open(store, quota, &slow, &ledger) || ledger_log_open(ledger, &charges) || store_start(store) ||
        rates_open(&in_process, &rates))
        die("open");
    journal = journal_open(1000);
    no_rules = faults_open();
    ten_rules = faults_open();
    add_rules();
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        compile(i);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = sentence[i % (sizeof(sentence) - 1)];
    model = model_find(S("qwen-plus"));
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

static void run(void *arg)
{
    struct request_settings settings = { 0 };
    struct quota_account    rich = { .quota = quota, .credit = { INT64_MAX / 2, true } };

    (void)arg;
    if (store_run(store, quota_account_job, &rich))
        die("credit");
    view = account_view_open(accounts);
    limits = rates_view_open(rates, fiber_loop());
    rq = (struct request){ .arena = &arena, .settings = &settings, .surface = SURFACE_OPENAI };
    rq.account = account_hold(view);
    rq.key = account_key(view, secrets[0], 1);
    for (int64_t round = 0; round < rounds; round++) {
        for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
            int64_t begun = thread_cpu_ns();

            for (int k = 0; k < CALLS; k++)
                steps[i].run();
            steps[i].ns[round] = (double)(thread_cpu_ns() - begun) / CALLS;
        }
        if (ledger_flush(ledger))
            die("flush");
    }
    account_release(view, rq.account);
    account_view_close(view);
    rates_view_close(limits);
    loop_stop(fiber_loop());
}

int main(int argc, char **argv)
{
    struct loop *loop;
    char         rm[128];

    if ((argc > 1 && !str_to_i64(str_from_cstr(argv[1]), &rounds)) || rounds < 1 || rounds > ROUNDS_MAX) {
        fprintf(stderr, "usage: access [ROUNDS]\n");
        return 2;
    }
    arena_init(&arena, 0);
    open_all();
    loop = loop_new();
    fiber_start(loop, run, NULL);
    loop_run(loop);
    loop_free(loop);
    printf("the steps of a request, CPU, %lld rounds\n", (long long)rounds);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        qsort(steps[i].ns, (size_t)rounds, sizeof(double), by_size);
        printf("  %-40s %7.0f ns\n", steps[i].name, steps[i].ns[rounds / 2]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(words); i++)
        moderation_release(words[i]);
    faults_close(no_rules);
    faults_close(ten_rules);
    journal_close(journal);
    rates_close(rates);
    ledger_close(ledger);
    account_close(accounts);
    store_close(store);
    quota_close(quota);
    arena_free(&arena);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm) ? 1 : 0;
}
