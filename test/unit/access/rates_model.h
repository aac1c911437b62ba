/* rates_model.h - the limits by brute force: every event is kept, and every window is counted anew. Clients come and go at
 * random, and each answer of access/rates is compared with what the list says. */
#ifndef DASHBOX_TEST_RATES_MODEL_H
#define DASHBOX_TEST_RATES_MODEL_H

#include "../loop/run.h"

#include "access/rates.h"
#include "base/num.h"
#include "base/rand.h"

enum { MODEL_KEYS = 4, MODEL_CLIENTS = 64, MODEL_EVENTS = 30000 };

struct model_event {
    unsigned key, client; /* client MODEL_CLIENTS: its call has ended */
    bool     is_tokens;
    int64_t  ms, n;
};

struct model_client {
    struct rate_ticket ticket;
    unsigned           keys[2], count; /* 0: has no call */
    bool               has_reserved;
    int64_t            reserved;
    struct rate_state  state;
};

struct limits_model {
    uint64_t            seed;
    struct rate_limits  limits[MODEL_KEYS];
    int64_t             last_ms[MODEL_KEYS], offset_ms[MODEL_KEYS], running[MODEL_KEYS];
    bool                seen[MODEL_KEYS];
    struct model_event  events[MODEL_EVENTS];
    size_t              event_count;
    struct model_client clients[MODEL_CLIENTS];
    size_t              answers[RATE_CONCURRENCY + 1];
};

/* How often each answer came, in all runs: a test in which one never does tests nothing. */
static size_t model_answers[RATE_CONCURRENCY + 1];

static const str model_subjects[MODEL_KEYS] = { { "account", 7 }, { "account", 7 }, { "default", 7 }, { "a b:c", 5 } };
static const str model_models[MODEL_KEYS] = {
    { "qwen-plus", 9 }, { "qwen-max", 8 }, { "qwen-plus", 9 }, { "qwen-max", 8 }
};

static inline int64_t dice(struct limits_model *m, int64_t below)
{
    return (int64_t)(rand_next(&m->seed) % (uint64_t)below);
}

static inline int64_t model_now(struct limits_model *m, unsigned key, int64_t now)
{
    int64_t t = now + m->offset_ms[key];

    if (m->seen[key] && t < m->last_ms[key]) {
        if (m->last_ms[key] - t > 60000)
            m->offset_ms[key] += m->last_ms[key] - t;
        t = m->last_ms[key];
    }
    m->seen[key] = true;
    return m->last_ms[key] = t;
}

static inline int64_t model_sum(const struct limits_model *m, unsigned key, bool is_tokens, int64_t span, int64_t now)
{
    int64_t sum = 0;

    for (size_t i = 0; i < m->event_count; i++) {
        const struct model_event *ev = &m->events[i];

        if (ev->key == key && ev->is_tokens == is_tokens && ev->ms > now - span && ev->ms <= now)
            sum += ev->n;
    }
    return sum;
}

/* The first moment at which it fits, tried at every moment at which something leaves the window; -1: never. */
static inline int64_t model_wait(const struct limits_model *m, unsigned key, bool is_tokens, struct rate_window w,
                                 int64_t n, int64_t now)
{
    int64_t best = -1;

    for (size_t i = 0; i < m->event_count; i++) {
        const struct model_event *ev = &m->events[i];
        int64_t                   at = ev->ms + w.span_ms;
        int64_t                   sum = 0;

        if (ev->key != key || ev->is_tokens != is_tokens || at <= now || ev->n == 0 || (best >= 0 && at - now >= best))
            continue;
        for (size_t j = 0; j < m->event_count; j++) {
            const struct model_event *other = &m->events[j];

            if (other->key == key && other->is_tokens == is_tokens && other->ms > at - w.span_ms)
                sum += other->n;
        }
        if (sum + n <= w.limit)
            best = at - now;
    }
    return best;
}

static inline void model_refuse(struct rate_state *st, enum rate_refusal kind, int64_t wait)
{
    if (!st->refusal || kind < st->refusal)
        st->refusal = kind;
    st->retry_ms = max_i64(st->retry_ms, wait < 0 ? INT64_MAX : wait);
}

static inline void model_check(const struct limits_model *m, unsigned key, enum rate_refusal kind, struct rate_window w,
                               int64_t n, struct rate_state *st)
{
    bool is_tokens = kind == RATE_TOKENS;

    if (model_sum(m, key, is_tokens, w.span_ms, m->last_ms[key]) + n > w.limit)
        model_refuse(st, kind, model_wait(m, key, is_tokens, w, n, m->last_ms[key]));
}

static inline void model_left(const struct limits_model *m, unsigned key, bool is_tokens, struct rate_window w,
                              struct rate_left *ret)
{
    int64_t          now = m->last_ms[key];
    struct rate_left left = { .limit = w.limit };

    left.remaining = max_i64(0, w.limit - model_sum(m, key, is_tokens, w.span_ms, now));
    for (size_t i = 0; i < m->event_count; i++) {
        const struct model_event *ev = &m->events[i];

        if (ev->key == key && ev->is_tokens == is_tokens && ev->n)
            left.reset_ms = max_i64(left.reset_ms, ev->ms + w.span_ms - now);
    }
    if (ret->limit < 0 || left.remaining < ret->remaining ||
        (left.remaining == ret->remaining && left.reset_ms > ret->reset_ms))
        *ret = left;
}

static inline void model_add(struct limits_model *m, unsigned key, unsigned client, bool is_tokens, int64_t n)
{
    CHECK(m->event_count < MODEL_EVENTS);
    m->events[m->event_count++] =
        (struct model_event){ .key = key, .client = client, .is_tokens = is_tokens, .ms = m->last_ms[key], .n = n };
}

/* Old events only make the model slow. */
static inline void model_prune(struct limits_model *m)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->event_count; i++) {
        if (m->events[i].ms > m->last_ms[m->events[i].key] - 61000 || m->events[i].client < MODEL_CLIENTS)
            m->events[kept++] = m->events[i];
    }
    m->event_count = kept;
}

static inline void model_compare(const char *what, size_t step, enum err e, const struct rate_state *got,
                                 struct rate_state *want)
{
    if (want->retry_ms == INT64_MAX)
        want->retry_ms = 0;
    if (e == (want->refusal ? ERR_LIMIT : OK) && got->refusal == want->refusal && got->retry_ms == want->retry_ms &&
        memcmp(&got->requests, &want->requests, sizeof(got->requests)) == 0 &&
        memcmp(&got->tokens, &want->tokens, sizeof(got->tokens)) == 0)
        return;
    for (int i = 0; i < 2; i++) {
        const struct rate_state *st = i ? want : got;

        fprintf(stderr, "%s, step %zu: %s refusal %d retry %lld, requests %lld %lld %lld, tokens %lld %lld %lld\n",
                what, step, i ? "wanted" : "got", st->refusal, (long long)st->retry_ms, (long long)st->requests.limit,
                (long long)st->requests.remaining, (long long)st->requests.reset_ms, (long long)st->tokens.limit,
                (long long)st->tokens.remaining, (long long)st->tokens.reset_ms);
    }
    abort();
}

static inline void model_admit(struct limits_model *m, struct rates_view *v, unsigned id, size_t step, int64_t now)
{
    static const struct rate_left none = { .limit = -1, .remaining = -1 };
    struct model_client          *c = &m->clients[id];
    struct rate_state             want = { .requests = none, .tokens = none };
    struct rate_claim             claims[2];
    unsigned                      on = (unsigned)dice(m, 2); /* which model */
    enum err                      e;

    c->count = 0;
    if (dice(m, 8))
        c->keys[c->count++] = on;
    if (dice(m, 4) || !c->count)
        c->keys[c->count++] = 2 + on;
    for (unsigned i = 0; i < c->count; i++) {
        unsigned k = c->keys[i];

        claims[i] = (struct rate_claim){ model_subjects[k], model_models[k], &m->limits[k] };
        (void)model_now(m, k, now);
        for (unsigned j = 0; j < m->limits[k].request_windows; j++)
            model_check(m, k, RATE_REQUESTS, m->limits[k].requests[j], 1, &want);
        if (m->limits[k].burst_percent) {
            int64_t minute = max_i64(60, model_sum(m, k, false, 60000, m->last_ms[k]) + 1);

            model_check(m, k, RATE_BURST, (struct rate_window){ m->limits[k].burst_percent * minute / 6000, 1000 }, 1,
                        &want);
        }
        for (unsigned j = 0; j < m->limits[k].token_windows; j++)
            model_check(m, k, RATE_TOKENS, m->limits[k].tokens[j], 1, &want);
        if (m->limits[k].concurrency && m->running[k] >= m->limits[k].concurrency)
            model_refuse(&want, RATE_CONCURRENCY, -1);
    }
    for (unsigned i = 0; i < c->count; i++) {
        unsigned k = c->keys[i];

        if (!want.refusal) {
            model_add(m, k, id, false, 1);
            m->running[k]++;
        }
        for (unsigned j = 0; j < m->limits[k].request_windows; j++)
            model_left(m, k, false, m->limits[k].requests[j], &want.requests);
        for (unsigned j = 0; j < m->limits[k].token_windows; j++)
            model_left(m, k, true, m->limits[k].tokens[j], &want.tokens);
    }
    e = rates_admit(v, claims, c->count, now, &c->ticket, &c->state);
    model_compare("admit", step, e, &c->state, &want);
    m->answers[want.refusal]++;
    c->has_reserved = false;
    c->reserved = 0;
    if (want.refusal)
        c->count = 0;
}

/* A call has ended: takes its events back, or makes them everybody's. */
static inline void model_forget(struct limits_model *m, unsigned id, bool undo)
{
    size_t kept = 0;

    for (size_t i = 0; i < m->event_count; i++) {
        struct model_event *ev = &m->events[i];

        if (ev->client == id && undo)
            continue;
        if (ev->client == id)
            ev->client = MODEL_CLIENTS;
        m->events[kept++] = *ev;
    }
    m->event_count = kept;
    for (unsigned i = 0; i < m->clients[id].count; i++)
        m->running[m->clients[id].keys[i]]--;
    m->clients[id].count = 0;
}

static inline void model_reserve(struct limits_model *m, struct rates_view *v, unsigned id, size_t step, int64_t now)
{
    static const struct rate_left none = { .limit = -1, .remaining = -1 };
    struct model_client          *c = &m->clients[id];
    struct rate_state             want = { .requests = c->state.requests, .tokens = none };
    int64_t                       tokens = dice(m, 20) ? dice(m, 60) : dice(m, 2000);
    unsigned                      count = c->count;
    enum err                      e;

    for (unsigned i = 0; i < count; i++) {
        unsigned k = c->keys[i];

        (void)model_now(m, k, now);
        for (unsigned j = 0; j < m->limits[k].token_windows; j++)
            model_check(m, k, RATE_TOKENS, m->limits[k].tokens[j], tokens, &want);
    }
    if (want.refusal) {
        model_forget(m, id, true);
    } else {
        for (unsigned i = 0; i < count; i++)
            model_add(m, c->keys[i], id, true, tokens);
    }
    for (unsigned i = 0; i < count; i++) {
        unsigned k = c->keys[i];

        for (unsigned j = 0; j < m->limits[k].token_windows; j++)
            model_left(m, k, true, m->limits[k].tokens[j], &want.tokens);
    }
    e = rates_reserve(v, &c->ticket, tokens, now, &c->state);
    model_compare("reserve", step, e, &c->state, &want);
    c->has_reserved = true;
    c->reserved = tokens;
}

static inline void model_end(struct limits_model *m, struct rates_view *v, unsigned id, int64_t now)
{
    struct model_client *c = &m->clients[id];
    int64_t              used = dice(m, 5) ? c->reserved + dice(m, 40) : dice(m, c->reserved + 1);

    if (dice(m, 6) == 0) {
        for (unsigned i = 0; i < c->count; i++)
            (void)model_now(m, c->keys[i], now);
        model_forget(m, id, true);
        rates_undo(v, &c->ticket, now);
        return;
    }
    for (unsigned i = 0; i < c->count; i++) {
        (void)model_now(m, c->keys[i], now);
        if (used > c->reserved)
            model_add(m, c->keys[i], id, true, used - c->reserved);
        for (size_t j = 0; used < c->reserved && j < m->event_count; j++) {
            struct model_event *ev = &m->events[j];

            if (ev->client == id && ev->is_tokens && ev->key == c->keys[i])
                ev->n = used;
        }
    }
    model_forget(m, id, false);
    rates_settle(v, &c->ticket, used, now);
}

static inline void model_windows(struct limits_model *m, struct rate_window *windows, unsigned *count, int64_t weight)
{
    static const int64_t spans[] = { 1000, 6000, 10000, 60000 };

    *count = (unsigned)dice(m, 4);
    for (unsigned i = 0; i < *count; i++)
        windows[i] = (struct rate_window){ weight * (1 + dice(m, 20)) * (1 + i), spans[dice(m, 4)] };
}

/* Some thousands of steps of 64 clients, at random. Ends with all calls ended. */
static inline void model_run(struct rates_view *v, uint64_t seed, size_t steps)
{
    struct limits_model *m = xcalloc(1, sizeof(*m));
    int64_t              now = 1700000000000;

    m->seed = seed;
    for (unsigned k = 0; k < MODEL_KEYS; k++) {
        struct rate_limits *l = &m->limits[k];

        model_windows(m, l->requests, &l->request_windows, 1);
        model_windows(m, l->tokens, &l->token_windows, 50);
        l->burst_percent = dice(m, 2) ? 100 + dice(m, 500) : 0;
        l->concurrency = 5 + dice(m, 30);
    }
    for (size_t step = 0; step < steps; step++) {
        unsigned             id = (unsigned)dice(m, MODEL_CLIENTS);
        struct model_client *c = &m->clients[id];

        now += dice(m, 3) ? dice(m, 3) : dice(m, 200);
        if (dice(m, 400) == 0)
            now += dice(m, 50000);
        if (dice(m, 300) == 0)
            now -= dice(m, 40000);
        if (dice(m, 1000) == 0)
            now += (dice(m, 3) - 1) * 86400000;
        if (dice(m, 500) == 0) { /* an administrator changes his mind */
            struct rate_limits *l = &m->limits[dice(m, MODEL_KEYS)];

            if (l->request_windows)
                l->requests[0].limit = dice(m, 40);
        }
        if (!c->count)
            model_admit(m, v, id, step, now);
        else if (!c->has_reserved && dice(m, 3))
            model_reserve(m, v, id, step, now);
        else
            model_end(m, v, id, now);
        if (step % 64 == 0)
            model_prune(m);
    }
    for (unsigned id = 0; id < MODEL_CLIENTS; id++) {
        if (m->clients[id].count)
            model_end(m, v, id, now);
    }
    for (int i = RATE_ADMITTED; i <= RATE_CONCURRENCY; i++)
        model_answers[i] += m->answers[i];
    free(m);
}

#endif
