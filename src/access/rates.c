/* rates.c - limits in this process, and what is common to both places.
 *
 * Every subject and model has a key: a log of its requests and one of its tokens, (millisecond, how many) in order of time,
 * and over each log its windows, which are a sum and the oldest entry that is still in it. A log reaches back as far as its
 * longest window: at most `span_ms` entries of 16 bytes.
 *
 * Memory: keys stay until the end; there are as many as workspaces and models.
 * Thread: keys are spread over shards with a lock each. A request locks those of all its claims, in their order.
 */
#include "access/rates.h"

#include "access/rates_redis.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/num.h"
#include "base/rand.h"
#include "loop/loop.h"
#include "loop/timer.h"

#include <pthread.h>
#include <stdlib.h>

#define SHARDS        64 /* a power of two */
#define LOG_MIN       16 /* entries, a power of two */
#define CLOCK_BACK_MS ((int64_t)60 * 1000)
#define SECOND_MS     ((int64_t)1000)
#define MINUTE_MS     ((int64_t)60 * 1000)
#define LEASE_MS      MINUTE_MS
#define RENEWALS      3 /* in the time of a lease */
#define TIMEOUT_MS    100

/* Windows of the requests that are no limits: what the burst is measured by. */
enum { BURST_SECOND = RATE_WINDOWS_MAX, BURST_MINUTE, SLIDES };

struct entry {
    int64_t ms, n;
};

struct slide {
    int64_t  span_ms; /* 0: not in use */
    int64_t  sum;
    uint64_t tail; /* the oldest entry that counts */
};

/* Entries have running numbers, head to end; number i lies at ring[i & (cap - 1)]. */
struct rate_log {
    struct entry *ring;
    size_t        cap;
    uint64_t      head, end;
    struct slide  slides[SLIDES];
};

struct rate_key {
    struct rate_key *next; /* in its bucket */
    uint64_t         hash;
    str              subject, model;

    /* under the shard's lock */
    int64_t last_ms, offset_ms; /* what times are counted in: the clock's and the offset, never less than the last */
    struct rate_log requests, tokens;
    int64_t         running;
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct rate_key **buckets;
    size_t            count, cap;
};

struct rates {
    struct shard        shards[SHARDS];
    uint64_t            seed;
    struct arena        arena;
    enum rates_away     away;
    int64_t             lease_ms;
    bool                remote;
    struct redis_server server;
};

/* A call under way that counts against a limit of calls at once, in the server. */
struct rate_lease {
    struct rate_lease *next, **prev;
    struct rate_ticket ticket;
    uint64_t           renewed; /* in that round last */
};

struct rates_view {
    struct rates      *rates;
    struct loop       *loop;
    struct redis      *redis; /* NULL: counted in this process */
    struct rate_lease *leases;
    uint64_t           rounds;
    struct timer       renew_timer;
    struct fiber      *renewer; /* while a round is under way */
    bool               closing;
};

/* ---- logs and windows ---- */

static struct entry *log_at(const struct rate_log *l, uint64_t number)
{
    return &l->ring[number & (l->cap - 1)];
}

static void log_clear(struct rate_log *l)
{
    free(l->ring);
    *l = (struct rate_log){ 0 };
}

static void log_grow(struct rate_log *l)
{
    size_t        cap = l->cap ? 2 * l->cap : LOG_MIN;
    struct entry *ring = xcalloc(cap, sizeof(*ring));

    for (uint64_t i = l->head; i < l->end; i++)
        ring[i & (cap - 1)] = *log_at(l, i);
    free(l->ring);
    l->ring = ring;
    l->cap = cap;
}

/* Brings a window to the time `now`; one of another span is counted anew from what the log still has. True: it begins at
 * another entry than before. */
static bool log_slide(struct rate_log *l, unsigned which, int64_t span_ms, int64_t now)
{
    struct slide *s = &l->slides[which];
    uint64_t      tail;

    if (UNLIKELY(s->span_ms != span_ms)) {
        *s = (struct slide){ .span_ms = span_ms, .tail = l->end };
        while (s->tail > l->head && log_at(l, s->tail - 1)->ms > now - span_ms)
            s->sum += log_at(l, --s->tail)->n;
        return true;
    }
    tail = s->tail;
    while (s->tail < l->end && log_at(l, s->tail)->ms <= now - span_ms)
        s->sum -= log_at(l, s->tail++)->n;
    return s->tail != tail;
}

static bool slide_end(struct rate_log *l, unsigned which)
{
    bool was = l->slides[which].span_ms != 0;

    l->slides[which].span_ms = 0;
    return was;
}

/* Forgets what has left all windows. */
static void log_trim(struct rate_log *l)
{
    uint64_t head = l->end;

    for (unsigned i = 0; i < SLIDES; i++) {
        if (l->slides[i].span_ms && l->slides[i].tail < head)
            head = l->slides[i].tail;
    }
    l->head = head;
    if (head == l->end && l->cap > LOG_MIN) {
        free(l->ring);
        l->ring = NULL;
        l->cap = 0;
    }
}

static void log_slide_all(struct rate_log *l, const struct rate_window *windows, unsigned count, bool burst,
                          int64_t now)
{
    bool moved = false;

    for (unsigned i = 0; i < RATE_WINDOWS_MAX; i++)
        moved |= i < count ? log_slide(l, i, windows[i].span_ms, now) : slide_end(l, i);
    moved |= burst ? log_slide(l, BURST_SECOND, SECOND_MS, now) : slide_end(l, BURST_SECOND);
    moved |= burst ? log_slide(l, BURST_MINUTE, MINUTE_MS, now) : slide_end(l, BURST_MINUTE);
    if (moved)
        log_trim(l);
}

/* `now` is not before the newest entry. */
static void log_add(struct rate_log *l, int64_t now, int64_t n)
{
    if (l->end > l->head && log_at(l, l->end - 1)->ms == now) {
        log_at(l, l->end - 1)->n += n;
    } else {
        if (l->end - l->head == l->cap)
            log_grow(l);
        *log_at(l, l->end++) = (struct entry){ .ms = now, .n = n };
    }
    for (unsigned i = 0; i < SLIDES; i++) {
        if (l->slides[i].span_ms)
            l->slides[i].sum += n;
    }
}

/* Takes back what was added at `ms`, as far as it is still there. */
static void log_take(struct rate_log *l, int64_t ms, int64_t n)
{
    uint64_t low = l->head, high = l->end;

    while (low < high) {
        uint64_t middle = low + (high - low) / 2;

        if (log_at(l, middle)->ms < ms)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == l->end || log_at(l, low)->ms != ms)
        return;
    n = min_i64(n, log_at(l, low)->n);
    log_at(l, low)->n -= n;
    for (unsigned i = 0; i < SLIDES; i++) {
        if (l->slides[i].span_ms && l->slides[i].tail <= low)
            l->slides[i].sum -= n;
    }
}

/* Milliseconds until `n` more fit; 0: never. */
static int64_t log_wait_ms(const struct rate_log *l, unsigned which, int64_t limit, int64_t n, int64_t now)
{
    const struct slide *s = &l->slides[which];
    int64_t             excess = s->sum + n - limit;

    if (n > limit)
        return 0;
    for (uint64_t i = s->tail; i < l->end; i++) {
        excess -= log_at(l, i)->n;
        if (excess <= 0)
            return log_at(l, i)->ms + s->span_ms - now;
    }
    return 0;
}

/* Takes the window into `ret` when it is tighter. */
static void log_left(const struct rate_log *l, unsigned which, int64_t limit, int64_t now, struct rate_left *ret)
{
    const struct slide *s = &l->slides[which];
    struct rate_left    left = { .limit = limit, .remaining = max_i64(0, limit - s->sum) };
    uint64_t            newest = l->end;

    while (newest > s->tail && log_at(l, newest - 1)->n == 0)
        newest--;
    if (newest > s->tail)
        left.reset_ms = log_at(l, newest - 1)->ms + s->span_ms - now;
    if (ret->limit < 0 || left.remaining < ret->remaining ||
        (left.remaining == ret->remaining && left.reset_ms > ret->reset_ms))
        *ret = left;
}

/* ---- keys ---- */

static uint64_t hash_of(const struct rates *r, str subject, str model)
{
    return hash_bytes(model, hash_bytes(subject, r->seed));
}

static struct shard *shard_of(struct rates *r, uint64_t hash)
{
    return &r->shards[hash & (SHARDS - 1)];
}

static void shard_grow(struct shard *s)
{
    size_t            cap = s->cap ? 2 * s->cap : 16;
    struct rate_key **buckets = xcalloc(cap, sizeof(struct rate_key *));

    for (size_t i = 0; i < s->cap; i++) {
        for (struct rate_key *k = s->buckets[i], *next; k; k = next) {
            struct rate_key **bucket = &buckets[k->hash / SHARDS & (cap - 1)];

            next = k->next;
            k->next = *bucket;
            *bucket = k;
        }
    }
    free(s->buckets);
    s->buckets = buckets;
    s->cap = cap;
}

/* With the shard locked. */
static struct rate_key *key_get(struct shard *s, uint64_t hash, str subject, str model)
{
    struct rate_key *k, **bucket;
    char            *text;

    if (s->cap) {
        for (k = s->buckets[hash / SHARDS & (s->cap - 1)]; k; k = k->next) {
            if (k->hash == hash && str_eq(k->subject, subject) && str_eq(k->model, model))
                return k;
        }
    }
    if (s->count == s->cap)
        shard_grow(s);
    k = xcalloc(1, sizeof(*k) + subject.len + model.len);
    text = (char *)(k + 1);
    if (subject.len)
        memcpy(text, subject.ptr, subject.len);
    if (model.len)
        memcpy(text + subject.len, model.ptr, model.len);
    k->hash = hash;
    k->subject = str_of(text, subject.len);
    k->model = str_of(text + subject.len, model.len);
    k->last_ms = INT64_MIN;
    bucket = &s->buckets[hash / SHARDS & (s->cap - 1)];
    k->next = *bucket;
    *bucket = k;
    s->count++;
    return k;
}

/* The shards of some keys, each once, in their order. */
struct locked {
    struct shard *shards[RATE_CLAIMS_MAX];
    unsigned      count;
};

static void locked_add(struct locked *l, struct shard *s)
{
    unsigned at = l->count;

    for (unsigned i = 0; i < l->count; i++) {
        if (l->shards[i] == s)
            return;
    }
    for (; at > 0 && l->shards[at - 1] > s; at--)
        l->shards[at] = l->shards[at - 1];
    l->shards[at] = s;
    l->count++;
}

static void lock(struct locked *l)
{
    for (unsigned i = 0; i < l->count; i++)
        pthread_mutex_lock(&l->shards[i]->lock);
}

static void unlock(struct locked *l)
{
    for (unsigned i = l->count; i-- > 0;)
        pthread_mutex_unlock(&l->shards[i]->lock);
}

static void lock_ticket(struct rates *r, const struct rate_ticket *t, struct locked *ret)
{
    *ret = (struct locked){ 0 };
    for (unsigned i = 0; i < t->count; i++)
        locked_add(ret, shard_of(r, t->claims[i].key->hash));
    lock(ret);
}

/* Looks the keys of all claims up, and leaves their shards locked. */
static void lock_claims(struct rates *r, const struct rate_claim *claims, size_t count, struct rate_ticket *t,
                        struct locked *ret)
{
    uint64_t hashes[RATE_CLAIMS_MAX];

    ASSERT(count <= RATE_CLAIMS_MAX);
    *ret = (struct locked){ 0 };
    for (size_t i = 0; i < count; i++) {
        hashes[i] = hash_of(r, claims[i].subject, claims[i].model);
        locked_add(ret, shard_of(r, hashes[i]));
    }
    lock(ret);
    t->count = (unsigned)count;
    t->reserved = 0;
    for (size_t i = 0; i < count; i++) {
        const struct rate_limits *limits = claims[i].limits;

        t->claims[i].key = key_get(shard_of(r, hashes[i]), hashes[i], claims[i].subject, claims[i].model);
        t->claims[i].token_windows = limits->token_windows;
        memcpy(t->claims[i].tokens, limits->tokens, limits->token_windows * sizeof(limits->tokens[0]));
        t->claims[i].counts_calls = limits->concurrency > 0;
    }
}

/* The time at a key, which never goes back: workers that overtook each other meet at the later time; after a clock was
 * really
 * moved back, time goes on from where it was. */
static int64_t key_now(struct rate_key *k, int64_t now_ms)
{
    int64_t now = now_ms + k->offset_ms;

    if (UNLIKELY(now < k->last_ms)) {
        if (k->last_ms - now > CLOCK_BACK_MS)
            k->offset_ms += k->last_ms - now;
        now = k->last_ms;
    }
    return k->last_ms = now;
}

/* ---- refusals ---- */

static void state_init(struct rate_state *st)
{
    *st =
        (struct rate_state){ .requests = { .limit = -1, .remaining = -1 }, .tokens = { .limit = -1, .remaining = -1 } };
}

#define WAIT_UNKNOWN INT64_MAX

/* The first kind is what is told; but it has to wait for all. `wait_ms` 0: never, or nobody knows. */
static void refuse(struct rate_state *st, enum rate_refusal kind, int64_t wait_ms)
{
    if (!st->refusal || kind < st->refusal)
        st->refusal = kind;
    st->retry_ms = max_i64(st->retry_ms, wait_ms ? wait_ms : WAIT_UNKNOWN);
}

static void refuse_end(struct rate_state *st)
{
    if (st->retry_ms == WAIT_UNKNOWN)
        st->retry_ms = 0;
}

static void check(struct rate_state *st, enum rate_refusal kind, const struct rate_log *l, unsigned which,
                  int64_t limit, int64_t n, int64_t now)
{
    if (l->slides[which].sum + n > limit)
        refuse(st, kind, log_wait_ms(l, which, limit, n, now));
}

static void check_claim(const struct rate_key *k, const struct rate_limits *limits, int64_t now, struct rate_state *st)
{
    for (unsigned i = 0; i < limits->request_windows; i++)
        check(st, RATE_REQUESTS, &k->requests, i, limits->requests[i].limit, 1, now);
    if (limits->burst_percent) {
        int64_t in_minute = max_i64(k->requests.slides[BURST_MINUTE].sum + 1, MINUTE_MS / SECOND_MS);

        check(st, RATE_BURST, &k->requests, BURST_SECOND,
              limits->burst_percent * in_minute / (100 * MINUTE_MS / SECOND_MS), 1, now);
    }
    for (unsigned i = 0; i < limits->token_windows; i++)
        check(st, RATE_TOKENS, &k->tokens, i, limits->tokens[i].limit, 1, now);
    if (limits->concurrency && k->running >= limits->concurrency)
        refuse(st, RATE_CONCURRENCY, 0);
}

static void tokens_left(const struct rate_ticket *t, struct rate_state *st)
{
    for (unsigned i = 0; i < t->count; i++) {
        for (unsigned j = 0; j < t->claims[i].token_windows; j++)
            log_left(&t->claims[i].key->tokens, j, t->claims[i].tokens[j].limit, t->claims[i].key->last_ms,
                     &st->tokens);
    }
}

/* ---- in this process ---- */

static enum err admit_here(struct rates *r, const struct rate_claim *claims, size_t count, int64_t now_ms,
                           struct rate_ticket *t, struct rate_state *ret)
{
    struct rate_state st;
    struct locked     locked;

    state_init(&st);
    lock_claims(r, claims, count, t, &locked);
    for (size_t i = 0; i < count; i++) {
        const struct rate_limits *limits = claims[i].limits;
        struct rate_key          *k = t->claims[i].key;
        int64_t                   now = key_now(k, now_ms);
        enum rate_refusal         before = st.refusal;

        log_slide_all(&k->requests, limits->requests, limits->request_windows, limits->burst_percent != 0, now);
        log_slide_all(&k->tokens, limits->tokens, limits->token_windows, false, now);
        t->claims[i].admitted_ms = now;
        check_claim(k, limits, now, &st);
        if (st.refusal != before)
            st.claim = i;
    }
    for (size_t i = 0; i < count; i++) {
        const struct rate_limits *limits = claims[i].limits;
        struct rate_key          *k = t->claims[i].key;

        if (!st.refusal) {
            if (limits->request_windows || limits->burst_percent)
                log_add(&k->requests, k->last_ms, 1);
            k->running += t->claims[i].counts_calls;
        }
        for (unsigned j = 0; j < limits->request_windows; j++)
            log_left(&k->requests, j, limits->requests[j].limit, k->last_ms, &st.requests);
    }
    tokens_left(t, &st);
    unlock(&locked);
    refuse_end(&st);
    *ret = st;
    return st.refusal ? ERR_LIMIT : OK;
}

/* With the shards locked. */
static void undo_locked(struct rate_ticket *t)
{
    for (unsigned i = 0; i < t->count; i++) {
        struct rate_key *k = t->claims[i].key;

        log_take(&k->requests, t->claims[i].admitted_ms, 1);
        log_take(&k->tokens, t->claims[i].reserved_ms, t->reserved);
        k->running -= t->claims[i].counts_calls;
    }
}

static enum err reserve_here(struct rates *r, struct rate_ticket *t, int64_t tokens, int64_t now_ms,
                             struct rate_state *ret)
{
    struct rate_state st;
    struct locked     locked;

    state_init(&st);
    lock_ticket(r, t, &locked);
    for (unsigned i = 0; i < t->count; i++) {
        struct rate_key *k = t->claims[i].key;
        int64_t          now = key_now(k, now_ms);

        log_slide_all(&k->tokens, t->claims[i].tokens, t->claims[i].token_windows, false, now);
        t->claims[i].reserved_ms = now;
        for (unsigned j = 0; j < t->claims[i].token_windows; j++)
            check(&st, RATE_TOKENS, &k->tokens, j, t->claims[i].tokens[j].limit, tokens, now);
    }
    if (st.refusal) {
        undo_locked(t);
    } else {
        for (unsigned i = 0; i < t->count; i++) {
            if (t->claims[i].token_windows)
                log_add(&t->claims[i].key->tokens, t->claims[i].reserved_ms, tokens);
        }
        t->reserved = tokens;
    }
    tokens_left(t, &st);
    unlock(&locked);
    refuse_end(&st);
    st.requests = ret->requests;
    *ret = st;
    return st.refusal ? ERR_LIMIT : OK;
}

static void settle_here(struct rates *r, struct rate_ticket *t, int64_t tokens, int64_t now_ms)
{
    struct locked locked;

    lock_ticket(r, t, &locked);
    for (unsigned i = 0; i < t->count; i++) {
        struct rate_key *k = t->claims[i].key;
        int64_t          now = key_now(k, now_ms);

        k->running -= t->claims[i].counts_calls;
        if (!t->claims[i].token_windows)
            continue;
        log_slide_all(&k->tokens, t->claims[i].tokens, t->claims[i].token_windows, false, now);
        if (tokens > t->reserved)
            log_add(&k->tokens, now, tokens - t->reserved);
        else
            log_take(&k->tokens, t->claims[i].reserved_ms, t->reserved - tokens);
    }
    unlock(&locked);
}

static void undo_here(struct rates *r, struct rate_ticket *t, int64_t now_ms)
{
    struct locked locked;

    lock_ticket(r, t, &locked);
    for (unsigned i = 0; i < t->count; i++)
        (void)key_now(t->claims[i].key, now_ms); /* time goes on with every operation, as in the server */
    undo_locked(t);
    unlock(&locked);
}

static void reset_here(struct rates *r)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &r->shards[i];

        pthread_mutex_lock(&s->lock);
        for (size_t j = 0; j < s->cap; j++) {
            for (struct rate_key *k = s->buckets[j]; k; k = k->next) {
                log_clear(&k->requests);
                log_clear(&k->tokens);
                k->last_ms = INT64_MIN;
                k->offset_ms = 0;
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
}

/* ---- in a server ---- */

#define KEY_PREFIX "{dashbox}:rates:" /* the braces keep all keys on one node of a cluster */
#define ARGS_MAX   (1 + 4 * RATE_CLAIMS_MAX + 6 + RATE_CLAIMS_MAX * (4 + 4 * RATE_WINDOWS_MAX))
#define ANSWER_LEN 9

static_assert(ARGS_MAX <= REDIS_ARGS_MAX, "all claims in one question");

/* Arguments for rates.lua. */
struct question {
    struct arena arena;
    str          args[ARGS_MAX];
    size_t       count;
};

static void ask_str(struct question *q, str s)
{
    ASSERT(q->count < ARGS_MAX);
    q->args[q->count++] = s;
}

static void ask_i64(struct question *q, int64_t v)
{
    ask_str(q, arena_printf(&q->arena, "%lld", (long long)v));
}

static void ask_windows(struct question *q, const struct rate_window *windows, unsigned count)
{
    ask_i64(q, count);
    for (unsigned i = 0; i < count; i++) {
        ask_i64(q, windows[i].limit);
        ask_i64(q, windows[i].span_ms);
    }
}

/* `claims` NULL: the operation asks for no limits but those of tokens, which the ticket has. */
static enum err ask(struct rates_view *v, const char *operation, const struct rate_claim *claims,
                    const struct rate_ticket *t, int64_t tokens, int64_t now_ms, struct rate_state *ret)
{
    static const char parts[] = { 'r', 't', 'c', 's' };
    struct question   q = { 0 };
    int64_t           answer[ANSWER_LEN];
    enum err          e;

    arena_init(&q.arena, 0);
    ask_i64(&q, 4 * t->count);
    for (unsigned i = 0; i < t->count; i++) {
        const struct rate_key *k = t->claims[i].key;

        for (size_t j = 0; j < ARRAY_LEN(parts); j++)
            ask_str(&q, arena_printf(&q.arena, KEY_PREFIX "%zu:%.*s:%.*s:%c", k->model.len, STR_ARG(k->model),
                                     STR_ARG(k->subject), parts[j]));
    }
    ask_str(&q, str_from_cstr(operation));
    ask_i64(&q, now_ms);
    ask_str(&q, str_from_cstr(t->id));
    ask_i64(&q, v->rates->lease_ms);
    ask_i64(&q, tokens);
    ask_i64(&q, t->reserved);
    for (unsigned i = 0; i < t->count; i++) {
        const struct rate_limits *limits = claims ? claims[i].limits : &(struct rate_limits){ 0 };

        ask_i64(&q, limits->burst_percent);
        ask_i64(&q, limits->concurrency);
        ask_windows(&q, limits->requests, limits->request_windows);
        ask_windows(&q, t->claims[i].tokens, t->claims[i].token_windows);
    }
    e = redis_run(v->redis, q.args, q.count, answer, ANSWER_LEN);
    arena_free(&q.arena);
    if (e)
        return e;
    if (answer[0] < RATE_ADMITTED || answer[0] > RATE_CONCURRENCY || answer[1] < 0 || answer[1] >= t->count)
        return ERR_UNREACHABLE; /* not our script's */
    *ret = (struct rate_state){
        .refusal = (enum rate_refusal)answer[0],
        .claim = (size_t)answer[1],
        .retry_ms = answer[2],
        .requests = { .limit = answer[3], .remaining = answer[4], .reset_ms = answer[5] },
        .tokens = { .limit = answer[6], .remaining = answer[7], .reset_ms = answer[8] },
    };
    return OK;
}

/* A ticket that the server has perhaps not heard of stays one under the open policy: it may have counted it all the same
 * before it went away, and settling it puts that right. */
static enum err server_away(const struct rates *r, struct rate_ticket *t, struct rate_state *ret)
{
    if (r->away == RATES_CLOSED) {
        t->count = 0;
        return ERR_UNREACHABLE;
    }
    state_init(ret);
    return OK;
}

static void lease_begin(struct rates_view *v, struct rate_ticket *t)
{
    struct rate_lease *l;
    bool               counts_calls = false;

    for (unsigned i = 0; i < t->count; i++)
        counts_calls = counts_calls || t->claims[i].counts_calls;
    if (!counts_calls)
        return;
    l = xcalloc(1, sizeof(*l));
    l->ticket = *t;
    l->renewed = v->rounds;
    l->next = v->leases;
    l->prev = &v->leases;
    if (l->next)
        l->next->prev = &l->next;
    v->leases = t->lease = l;
}

/* Before the server is told that the call has ended, so that no renewal comes behind that. */
static void lease_end(struct rate_ticket *t)
{
    struct rate_lease *l = t->lease;

    if (!l)
        return;
    *l->prev = l->next;
    if (l->next)
        l->next->prev = l->prev;
    free(l);
    t->lease = NULL;
}

static struct rate_lease *lease_due(const struct rates_view *v)
{
    struct rate_lease *l = v->leases;

    while (l && l->renewed == v->rounds)
        l = l->next;
    return l;
}

static void renew_timer_set(struct rates_view *v, struct loop *l)
{
    timer_set(l, &v->renew_timer, loop_now_us(l) + v->rates->lease_ms * 1000 / RENEWALS);
}

/* A round over all leases. While the server is away none is renewed: what it then still has of them it keeps, and what it lost
 * is not made up. */
static void renew_main(void *arg)
{
    struct rates_view *v = arg;
    struct rate_lease *l;

    v->rounds++;
    while (!v->closing && redis_is_ready(v->redis) && (l = lease_due(v))) {
        struct rate_ticket copy = l->ticket; /* the call may end meanwhile */
        struct rate_state  unused;

        l->renewed = v->rounds;
        (void)ask(v, "renew", NULL, &copy, 0, clock_unix_ms(), &unused);
    }
    v->renewer = NULL;
    if (v->closing)
        free(v);
    else
        renew_timer_set(v, fiber_loop());
}

static void on_renew_timer(void *arg)
{
    struct rates_view *v = arg;

    if (v->leases)
        v->renewer = fiber_start(v->loop, renew_main, v);
    else
        renew_timer_set(v, v->loop);
}

static enum err admit_there(struct rates_view *v, const struct rate_claim *claims, size_t count, int64_t now_ms,
                            struct rate_ticket *t, struct rate_state *ret)
{
    struct locked locked;

    lock_claims(v->rates, claims, count, t, &locked);
    unlock(&locked);
    rand_hex(t->id, sizeof(t->id) - 1);
    t->id[sizeof(t->id) - 1] = 0;
    if (ask(v, "admit", claims, t, 0, now_ms, ret))
        return server_away(v->rates, t, ret);
    return ret->refusal ? ERR_LIMIT : OK;
}

static enum err reserve_there(struct rates_view *v, struct rate_ticket *t, int64_t tokens, int64_t now_ms,
                              struct rate_state *ret)
{
    struct rate_left requests = ret->requests;
    enum err         e;

    if (ask(v, "reserve", NULL, t, tokens, now_ms, ret)) {
        e = server_away(v->rates, t, ret);
    } else {
        e = ret->refusal ? ERR_LIMIT : OK;
        if (!e)
            t->reserved = tokens;
    }
    ret->requests = requests;
    return e;
}

/* ---- operations ---- */

enum err rates_admit(struct rates_view *v, const struct rate_claim *claims, size_t count, int64_t now_ms,
                     struct rate_ticket *ticket, struct rate_state *ret)
{
    enum err e;

    might_suspend();
    ticket->lease = NULL;
    e = v->redis ? admit_there(v, claims, count, now_ms, ticket, ret)
                 : admit_here(v->rates, claims, count, now_ms, ticket, ret);
    if (e)
        ticket->count = 0;
    else if (v->redis)
        lease_begin(v, ticket);
    return e;
}

enum err rates_reserve(struct rates_view *v, struct rate_ticket *ticket, int64_t tokens, int64_t now_ms,
                       struct rate_state *ret)
{
    enum err e;

    might_suspend();
    ASSERT(!ticket->count || ticket->reserved == 0);
    ASSERT(tokens >= 0);
    e = v->redis ? reserve_there(v, ticket, tokens, now_ms, ret) : reserve_here(v->rates, ticket, tokens, now_ms, ret);
    if (e) {
        lease_end(ticket);
        ticket->count = 0;
    }
    return e;
}

void rates_settle(struct rates_view *v, struct rate_ticket *ticket, int64_t tokens, int64_t now_ms)
{
    struct rate_state unused;

    might_suspend();
    ASSERT(tokens >= 0);
    lease_end(ticket);
    if (ticket->count && v->redis)
        (void)ask(v, "settle", NULL, ticket, tokens, now_ms, &unused); /* away: then it is not booked */
    else if (ticket->count)
        settle_here(v->rates, ticket, tokens, now_ms);
    ticket->count = 0;
}

void rates_undo(struct rates_view *v, struct rate_ticket *ticket, int64_t now_ms)
{
    struct rate_state unused;

    might_suspend();
    lease_end(ticket);
    if (ticket->count && v->redis)
        (void)ask(v, "undo", NULL, ticket, 0, now_ms,
                  &unused); /* away: it stays counted until its windows have passed */
    else if (ticket->count)
        undo_here(v->rates, ticket, now_ms);
    ticket->count = 0;
}

void rates_reset(struct rates_view *v)
{
    might_suspend();
    if (v->redis) {
        str     args[] = { S("1"), S(KEY_PREFIX), S("reset"), S("0"), S(""), S("0"), S("0"), S("0") };
        int64_t answer;

        (void)redis_run(v->redis, args, ARRAY_LEN(args), &answer, 1); /* away: its keys expire */
    } else {
        reset_here(v->rates);
    }
}

/* ---- life ---- */

enum err rates_open(const struct rates_options *o, struct rates **ret)
{
    struct rates *r;

    if (posix_memalign((void **)&r, _Alignof(struct rates), sizeof(*r)))
        abort();
    memset(r, 0, sizeof(*r));
    arena_init(&r->arena, 0);
    r->away = o->away;
    r->lease_ms = o->lease_ms ? o->lease_ms : LEASE_MS;
    r->seed = rand_u64();
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&r->shards[i].lock, NULL);
    if (o->url.len) {
        r->remote = true;
        if (!redis_server_parse(&r->arena, o->url, &r->server)) {
            rates_close(r);
            return ERR_INVALID;
        }
        r->server.timeout_us = (o->timeout_ms ? o->timeout_ms : TIMEOUT_MS) * 1000;
        r->server.away = o->away == RATES_OPEN ? "admitting uncounted" : "refusing all requests";
    }
    *ret = r;
    return OK;
}

void rates_close(struct rates *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &r->shards[i];

        for (size_t j = 0; j < s->cap; j++) {
            for (struct rate_key *k = s->buckets[j], *next; k; k = next) {
                next = k->next;
                log_clear(&k->requests);
                log_clear(&k->tokens);
                free(k);
            }
        }
        free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
    arena_free(&r->arena);
    free(r);
}

struct rates_view *rates_view_open(struct rates *r, struct loop *l)
{
    struct rates_view *v = xcalloc(1, sizeof(*v));

    v->rates = r;
    v->loop = l;
    timer_init(&v->renew_timer, on_renew_timer, v);
    if (r->remote) {
        v->redis = redis_open(&r->server, l);
        renew_timer_set(v, l);
    }
    return v;
}

void rates_view_close(struct rates_view *v)
{
    if (!v)
        return;
    v->closing = true;
    timer_remove(v->loop, &v->renew_timer);
    redis_close(v->redis); /* the renewer's question gets no answer then */
    for (struct rate_lease *l = v->leases, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    v->leases = NULL;
    if (!v->renewer)
        free(v);
}

/* ---- the catalogue ---- */

static void add_window(struct rate_window windows[RATE_WINDOWS_MAX], unsigned *count, int64_t limit, int64_t span_ms)
{
    ASSERT(*count < RATE_WINDOWS_MAX);
    windows[(*count)++] = (struct rate_window){ .limit = limit, .span_ms = span_ms };
}

void rate_limits_of(const struct model *m, enum model_region region, struct rate_limits *ret)
{
    struct rate_limits l = { 0 };
    bool               has_cn = m->rpm || m->tpm || m->rps || m->window_requests.span_ms || m->window_tokens.span_ms;
    bool               has_intl = m->rpm_intl || m->tpm_intl || m->rps_intl;
    bool               intl = has_intl && (region == MODEL_INTL || !has_cn);
    int64_t rpm = intl ? m->rpm_intl : m->rpm, tpm = intl ? m->tpm_intl : m->tpm, rps = intl ? m->rps_intl : m->rps;
    int64_t prompt_max = m->input_max ? m->input_max : m->context;

    if (!intl && m->window_requests.span_ms) {
        add_window(l.requests, &l.request_windows, m->window_requests.limit, m->window_requests.span_ms);
    } else {
        if (rpm)
            add_window(l.requests, &l.request_windows, rpm, MINUTE_MS);
        if (rps || rpm >= 60)
            add_window(l.requests, &l.request_windows, rps ? rps : rpm / 60, SECOND_MS);
    }
    if (!intl && m->window_tokens.span_ms) {
        add_window(l.tokens, &l.token_windows, m->window_tokens.limit, m->window_tokens.span_ms);
    } else if (tpm) {
        add_window(l.tokens, &l.token_windows, tpm, MINUTE_MS);
        if (prompt_max && tpm / 60 >= prompt_max)
            add_window(l.tokens, &l.token_windows, tpm / 60, SECOND_MS);
    }
    *ret = l;
}
