/* quota.c - the account's standing.
 *
 * The tables change in three ways: by our ledger, by an administrator through this process, and by other processes. The
 * numbers in memory already hold what our ledger will book, so a reload must not take the tables' word for them. It adds
 * the difference to what the tables said last (`known_…`, to which our own bookings are added as they are committed):
 *
 *      balance in memory  +=  balance in the tables now  -  known balance
 *
 * Thread: `known_…` and all else that reloads touch belong to the store's lane; the rest is atomic.
 * Spec: access.md §5, §6.
 */
#include "access/quota.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)

struct model_quota {
    _Atomic int64_t left;       /* granted - used; may be below 0 */
    _Atomic int64_t expires_ms; /* 0: never */
    _Atomic bool    free_only, payable;
    int64_t         known_left, granted;
};

struct quota {
    struct store       *store;
    enum price_region   region;
    bool                grants;
    _Atomic bool        billing;
    _Atomic int64_t     balance, credit, grace_ms;
    _Atomic int64_t     overdue_since_ms; /* 0: it is not */
    _Atomic bool        free_only;
    struct model_quota *models; /* as models[] */

    int64_t known_balance, known_overdue_ms, activated_ms, data_version, month_end_ms;
};

/* ---- the tables ---- */

/* A setting of the account as a number; 0 when it has none. */
static enum err account_get(sqlite3 *db, const char *name, int64_t *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "SELECT value FROM account WHERE name = ?", &st);
    int           r;

    if (e)
        return e;
    store_bind_str(st, 1, str_from_cstr(name));
    r = sqlite3_step(st);
    *ret = r == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;
    sqlite3_finalize(st);
    return store_err(db, r);
}

static enum err account_set(sqlite3 *db, const char *name, int64_t value)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "INSERT INTO account VALUES (?1, ?2)"
                                         " ON CONFLICT (name) DO UPDATE SET value = ?2 WHERE value <> ?2",
                                    &st);

    if (e)
        return e;
    store_bind_str(st, 1, str_from_cstr(name));
    sqlite3_bind_int64(st, 2, value);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e;
}

static enum err sum_get(sqlite3 *db, const char *sql, int64_t *ret)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, sql, &st);
    int           r;

    if (e)
        return e;
    r = sqlite3_step(st);
    if (r == SQLITE_ROW)
        *ret = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return store_err(db, r);
}

#define PAID_SQL "SELECT coalesce(sum(amount), 0) FROM payments"
/* The sum of usage.cost, kept beside it: usage grows by the minute. */
#define COST_SQL "SELECT coalesce(sum(CAST(value AS INTEGER)), 0) FROM account WHERE name = 'cost'"

static enum err balance_get(sqlite3 *db, int64_t *ret)
{
    int64_t  paid = 0, cost = 0;
    enum err e = sum_get(db, PAID_SQL, &paid);

    if (!e)
        e = sum_get(db, COST_SQL, &cost);
    *ret = paid - cost;
    return e;
}

/* When the month ends that is now, in UTC as the days of usage. */
static int64_t month_end_ms(void)
{
    time_t    now_s = (time_t)(clock_unix_ms() / 1000);
    struct tm tm;

    gmtime_r(&now_s, &tm);
    tm = (struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1 };
    return (int64_t)timegm(&tm) * 1000;
}

/* What the catalogue grants, in ret->granted and ret->expires_ms; before the first server as if from now on. What is renewed
 * by the month expires with it. */
static void grant_of(const struct model *m, int64_t activated_ms, struct quota_model_state *ret)
{
    ret->granted = m->free.amount;
    ret->expires_ms = m->free.monthly ? month_end_ms()
                                      : (activated_ms ? activated_ms : clock_unix_ms()) + m->free.valid_days * DAY_MS;
}

/* A row of a month that is over stands for the new one. */
static void renew(struct quota_model_state *s)
{
    if (!s->model->free.monthly || !s->expires_ms || s->expires_ms > clock_unix_ms())
        return;
    s->used = 0;
    s->expires_ms = month_end_ms();
}

/* All models, from the catalogue and from the tables. */
static enum err models_read(sqlite3 *db, bool grants, int64_t activated_ms, struct quota_model_state *all)
{
    sqlite3_stmt *st;
    enum err      e;
    int           r;

    for (unsigned i = 0; i < model_count; i++) {
        all[i] = (struct quota_model_state){ .model = &models[i], .payable = true };
        if (grants)
            grant_of(&models[i], activated_ms, &all[i]);
    }
    e = store_prepare(db, "SELECT model, granted, used, expires_ms FROM free_quota", &st);
    if (e)
        return e;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        const struct model *m = model_find(store_column_str(st, 0));

        if (!m)
            continue; /* of another version of the catalogue */
        all[m - models].granted = sqlite3_column_int64(st, 1);
        all[m - models].used = sqlite3_column_int64(st, 2);
        all[m - models].expires_ms = sqlite3_column_int64(st, 3);
        renew(&all[m - models]);
    }
    sqlite3_finalize(st);
    if (r != SQLITE_DONE)
        return store_err(db, r);
    e = store_prepare(db, "SELECT model, payable, free_only FROM account_models", &st);
    if (e)
        return e;
    while ((r = sqlite3_step(st)) == SQLITE_ROW) {
        const struct model *m = model_find(store_column_str(st, 0));

        if (!m)
            continue;
        all[m - models].payable = sqlite3_column_int(st, 1);
        all[m - models].free_only = sqlite3_column_int(st, 2);
    }
    sqlite3_finalize(st);
    return store_err(db, r);
}

/* ---- in memory ---- */

static bool below_credit(int64_t balance, int64_t credit)
{
    return balance + credit < 0;
}

/* Notes when the account became overdue, or that it is no more. */
static void overdue_note(struct quota *q)
{
    int64_t none = 0;

    if (!below_credit(atomic_load(&q->balance), atomic_load(&q->credit)))
        atomic_store(&q->overdue_since_ms, 0);
    else if (!atomic_load(&q->overdue_since_ms))
        atomic_compare_exchange_strong(&q->overdue_since_ms, &none, clock_unix_ms());
}

enum err quota_reload(struct quota *q, sqlite3 *db)
{
    struct quota_model_state *all = xcalloc(model_count, sizeof(*all));
    int64_t                   balance = 0, credit = 0, grace_ms = 0, overdue_ms = 0, free_only = 0;
    enum err                  e = balance_get(db, &balance);

    if (!e)
        e = account_get(db, "credit", &credit);
    if (!e)
        e = account_get(db, "grace_ms", &grace_ms);
    if (!e)
        e = account_get(db, "overdue_since_ms", &overdue_ms);
    if (!e)
        e = account_get(db, "free_only", &free_only);
    if (!e)
        e = account_get(db, "activated_ms", &q->activated_ms);
    if (!e)
        e = models_read(db, q->grants, q->activated_ms, all);
    if (!e) {
        q->month_end_ms = month_end_ms();
        atomic_fetch_add(&q->balance, balance - q->known_balance);
        q->known_balance = balance;
        atomic_store(&q->credit, credit);
        atomic_store(&q->grace_ms, grace_ms);
        atomic_store(&q->free_only, free_only != 0);
        q->known_overdue_ms = overdue_ms;
        if (overdue_ms)
            atomic_store(&q->overdue_since_ms, overdue_ms);
        overdue_note(q);
        for (unsigned i = 0; i < model_count; i++) {
            struct model_quota *m = &q->models[i];
            int64_t             left = all[i].granted - all[i].used;

            atomic_fetch_add(&m->left, left - m->known_left);
            m->known_left = left;
            m->granted = all[i].granted;
            atomic_store(&m->expires_ms, all[i].expires_ms);
            atomic_store(&m->free_only, all[i].free_only);
            atomic_store(&m->payable, all[i].payable);
        }
    }
    free(all);
    return e;
}

static enum err refresh_job(sqlite3 *db, void *arg)
{
    struct quota *q = arg;
    int64_t       version = 0;
    enum err      e = sum_get(db, "PRAGMA data_version", &version);

    if (e)
        return e;
    if (version == q->data_version && q->month_end_ms == month_end_ms())
        return ERR_NOT_FOUND;
    e = quota_reload(q, db);
    if (!e)
        q->data_version = version;
    return e;
}

static enum err open_job(sqlite3 *db, void *arg)
{
    struct quota *q = arg;
    int64_t       activated_ms = 0;
    enum err      e = account_get(db, "activated_ms", &activated_ms);

    if (!e && !activated_ms)
        e = account_set(db, "activated_ms", clock_unix_ms());
    if (!e)
        e = account_set(db, "region", q->region);
    return e ? e : refresh_job(db, q);
}

enum err quota_open(struct store *s, const struct quota_options *o, struct quota **ret)
{
    struct quota *q = xcalloc(1, sizeof(*q));
    enum err      e;

    q->store = s;
    q->region = o->region;
    q->grants = o->grants;
    q->billing = o->billing;
    q->data_version = -1;
    q->models = xcalloc(model_count, sizeof(*q->models));
    e = store_run_here(s, open_job, q);
    if (e) {
        quota_close(q);
        return e;
    }
    *ret = q;
    return OK;
}

void quota_close(struct quota *q)
{
    if (!q)
        return;
    free(q->models);
    free(q);
}

void quota_billing_set(struct quota *q, bool on)
{
    atomic_store(&q->billing, on);
}

bool quota_billing(const struct quota *q)
{
    return atomic_load_explicit(&q->billing, memory_order_relaxed);
}

enum price_region quota_region(const struct quota *q)
{
    return q->region;
}

bool quota_grants(const struct quota *q)
{
    return q->grants;
}

enum err quota_refresh(struct quota *q)
{
    return store_run(q->store, refresh_job, q);
}

/* NULL for a model that is not of the catalogue: it has no free quota. */
static struct model_quota *quota_of(struct quota *q, const struct model *m)
{
    uintptr_t at = (uintptr_t)m, first = (uintptr_t)models, end = (uintptr_t)(models + model_count);

    return at >= first && at < end ? &q->models[m - models] : NULL;
}

static bool in_arrears(struct quota *q, int64_t now_ms)
{
    int64_t since_ms;

    if (LIKELY(!below_credit(atomic_load(&q->balance), atomic_load(&q->credit))))
        return false;
    overdue_note(q);
    since_ms = atomic_load(&q->overdue_since_ms);
    return since_ms && now_ms >= since_ms + atomic_load(&q->grace_ms);
}

static bool has_expired(const struct model_quota *mq, int64_t now_ms)
{
    int64_t expires_ms = atomic_load(&mq->expires_ms);

    return expires_ms && now_ms >= expires_ms;
}

/* Some models are there to be tried, and have no price. */
static bool is_sold(const struct model *m)
{
    return m->prices[PRICE_CN] || m->prices[PRICE_INTL] || !m->free.amount;
}

enum quota_standing quota_check(struct quota *q, const struct model *m, enum commodity c, int64_t paid_until_ms,
                                bool batch)
{
    struct model_quota *mq = quota_of(q, m);
    int64_t             now_ms;

    if (!quota_billing(q))
        return QUOTA_GOOD;
    now_ms = clock_unix_ms();
    if (in_arrears(q, now_ms))
        return QUOTA_ARREARS;
    if (c == COMMODITY_NONE)
        return QUOTA_NOT_PURCHASED;
    if (paid_until_ms && now_ms >= paid_until_ms)
        return c == COMMODITY_PREPAID ? QUOTA_PREPAID_OVERDUE : QUOTA_POSTPAID_OVERDUE;
    if (!mq || (!batch && atomic_load(&mq->left) > 0 && !has_expired(mq, now_ms)))
        return QUOTA_GOOD;
    if (!is_sold(m))
        return QUOTA_TRIAL_ENDED;
    if (!atomic_load(&mq->payable))
        return QUOTA_FREE_ENDED;
    if (atomic_load(&mq->free_only) || atomic_load(&q->free_only))
        return QUOTA_FREE_ONLY;
    return QUOTA_GOOD;
}

int64_t quota_take(struct quota *q, const struct model *m, int64_t amount)
{
    struct model_quota *mq = quota_billing(q) ? quota_of(q, m) : NULL;
    int64_t             left, taken;

    if (!mq || amount <= 0)
        return 0;
    left = atomic_load(&mq->left);
    if (left <= 0 || has_expired(mq, clock_unix_ms()))
        return 0;
    do {
        taken = min_i64(left, amount);
        if (taken <= 0)
            return 0;
    } while (!atomic_compare_exchange_weak(&mq->left, &left, left - taken));
    return taken;
}

void quota_spend(struct quota *q, int64_t cost)
{
    if (!cost)
        return;
    if (UNLIKELY(below_credit(atomic_fetch_sub(&q->balance, cost) - cost, atomic_load(&q->credit))))
        overdue_note(q);
}

/* ---- for the ledger ---- */

enum err quota_book_cost(struct quota *q, sqlite3 *db, int64_t cost)
{
    int64_t  before = 0, since_ms = q ? atomic_load(&q->overdue_since_ms) : 0;
    enum err e = cost ? sum_get(db, COST_SQL, &before) : OK;

    if (!e && cost)
        e = account_set(db, "cost", before + cost);
    if (e || !q || since_ms == q->known_overdue_ms)
        return e;
    /* When the account became overdue, for the process after this one. */
    e = account_set(db, "overdue_since_ms", since_ms);
    if (!e)
        q->known_overdue_ms = since_ms;
    return e;
}

enum err quota_book_free(struct quota *q, sqlite3 *db, const struct model *m, int64_t free)
{
    struct quota_model_state state = { 0 };
    sqlite3_stmt            *st;
    enum err                 e = OK;

    if (!free || !m)
        return OK;
    /* The first use of a grant writes it down, with its end. */
    if (q) {
        struct model_quota *mq = quota_of(q, m);

        state.granted = mq->granted;
        state.expires_ms = atomic_load(&mq->expires_ms);
    } else {
        int64_t activated_ms = 0;

        e = account_get(db, "activated_ms", &activated_ms);
        if (e)
            return e;
        grant_of(m, activated_ms, &state);
    }
    e = store_prepare(db,
                      "INSERT INTO free_quota VALUES (?1, ?2, ?3, ?4) ON CONFLICT (model) DO UPDATE SET"
                      " used = excluded.used + CASE WHEN ?5 AND expires_ms < ?4 THEN 0 ELSE used END,"
                      " expires_ms = CASE WHEN ?5 THEN max(expires_ms, ?4) ELSE expires_ms END",
                      &st);
    if (e)
        return e;
    store_bind_str(st, 1, m->id);
    sqlite3_bind_int64(st, 2, state.granted);
    sqlite3_bind_int64(st, 3, free);
    if (state.expires_ms)
        sqlite3_bind_int64(st, 4, state.expires_ms);
    sqlite3_bind_int(st, 5, m->free.monthly);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e;
}

void quota_booked(struct quota *q, int64_t cost)
{
    q->known_balance -= cost;
}

void quota_booked_free(struct quota *q, const struct model *m, int64_t free)
{
    struct model_quota *mq = quota_of(q, m);

    if (mq)
        mq->known_left -= free;
}

enum err quota_forget(sqlite3 *db)
{
    enum err e = store_exec(db, "UPDATE free_quota SET used = 0");

    if (!e)
        e = account_set(db, "cost", 0);
    return e ? e : account_set(db, "overdue_since_ms", 0);
}

/* ---- what an administrator changes ---- */

/* Behind a change: the account that may no more be overdue is not. */
static enum err overdue_sweep(sqlite3 *db)
{
    int64_t  balance = 0, credit = 0;
    enum err e = balance_get(db, &balance);

    if (!e)
        e = account_get(db, "credit", &credit);
    return e || below_credit(balance, credit) ? e : account_set(db, "overdue_since_ms", 0);
}

enum err quota_pay(sqlite3 *db, struct quota_payment *p)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db, "INSERT INTO payments VALUES (?, ?, ?, ?)", &st);

    if (e)
        return e;
    memcpy(p->id, "pay-", 4);
    rand_hex(p->id + 4, 8);
    p->id[12] = 0;
    store_bind_str(st, 1, str_from_cstr(p->id));
    sqlite3_bind_int64(st, 2, clock_unix_ms());
    sqlite3_bind_int64(st, 3, p->amount);
    store_bind_str(st, 4, p->note);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e ? e : overdue_sweep(db);
}

static void bind_opt(sqlite3_stmt *st, int at, opt_int v)
{
    if (v.set)
        sqlite3_bind_int64(st, at, v.v);
}

static enum err set_grant(sqlite3 *db, const struct quota_setting *s)
{
    struct quota_model_state grant = { 0 };
    int64_t                  activated_ms = 0;
    sqlite3_stmt            *st;
    enum err                 e = account_get(db, "activated_ms", &activated_ms);

    if (e)
        return e;
    if (!s->quota || s->quota->grants)
        grant_of(s->model, activated_ms, &grant); /* what a new row has besides */
    e = store_prepare(
        db,
        "INSERT INTO free_quota VALUES (?1, coalesce(?2, ?5), coalesce(?3, 0), nullif(coalesce(?4, ?6), 0))"
        " ON CONFLICT (model) DO UPDATE SET granted = coalesce(?2, granted),"
        " used = coalesce(?3, CASE WHEN expires_ms <= ?7 THEN 0 ELSE used END),"
        " expires_ms = nullif(coalesce(?4, CASE WHEN expires_ms <= ?7 THEN ?6 ELSE expires_ms END), 0)",
        &st);
    if (e)
        return e;
    store_bind_str(st, 1, s->model->id);
    bind_opt(st, 2, s->granted);
    bind_opt(st, 3, s->used);
    bind_opt(st, 4, s->expires_ms);
    sqlite3_bind_int64(st, 5, grant.granted);
    sqlite3_bind_int64(st, 6, grant.expires_ms);
    sqlite3_bind_int64(st, 7,
                       s->model->free.monthly ? clock_unix_ms() : -1); /* a row of a month that is over: renew() */
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e;
}

static enum err set_mode(sqlite3 *db, const struct quota_setting *s)
{
    sqlite3_stmt *st;
    enum err      e = store_prepare(db,
                                    "INSERT INTO account_models (model, free_only, payable)"
                                         " VALUES (?1, coalesce(?2, 0), coalesce(?3, 1)) ON CONFLICT (model) DO UPDATE"
                                         " SET free_only = coalesce(?2, free_only), payable = coalesce(?3, payable)",
                                    &st);

    if (e)
        return e;
    store_bind_str(st, 1, s->model->id);
    bind_opt(st, 2, (opt_int){ s->free_only.v, s->free_only.set });
    bind_opt(st, 3, (opt_int){ s->payable.v, s->payable.set });
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    return e;
}

enum err quota_set(sqlite3 *db, const struct quota_setting *s)
{
    enum err e = s->granted.set || s->used.set || s->expires_ms.set ? set_grant(db, s) : OK;

    return !e && (s->free_only.set || s->payable.set) ? set_mode(db, s) : e;
}

enum err quota_account_set(sqlite3 *db, const struct quota_account *a)
{
    enum err e = a->credit.set ? account_set(db, "credit", a->credit.v) : OK;

    if (!e && a->grace_ms.set)
        e = account_set(db, "grace_ms", a->grace_ms.v);
    if (!e && a->free_only.set)
        e = account_set(db, "free_only", a->free_only.v);
    return e ? e : overdue_sweep(db);
}

/* Ends the transaction of a job. */
static enum err finish(struct quota *q, sqlite3 *db, enum err e)
{
    if (!e)
        e = store_exec(db, "COMMIT");
    if (!e)
        return q ? quota_reload(q, db) : OK;
    (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

enum err quota_pay_job(sqlite3 *db, void *quota_payment)
{
    struct quota_payment *p = quota_payment;
    enum err              e = store_exec(db, "BEGIN IMMEDIATE");

    return e ? e : finish(p->quota, db, quota_pay(db, p));
}

enum err quota_set_job(sqlite3 *db, void *quota_setting)
{
    struct quota_setting *s = quota_setting;
    enum err              e = store_exec(db, "BEGIN IMMEDIATE");

    return e ? e : finish(s->quota, db, quota_set(db, s));
}

enum err quota_account_job(sqlite3 *db, void *quota_account)
{
    struct quota_account *a = quota_account;
    enum err              e = store_exec(db, "BEGIN IMMEDIATE");

    return e ? e : finish(a->quota, db, quota_account_set(db, a));
}

enum err quota_state_job(sqlite3 *db, void *quota_state)
{
    struct quota_state *s = quota_state;
    int64_t             region = 0, free_only = 0;
    const struct {
        const char *name;
        int64_t    *into;
    } numbers[] = {
        { "activated_ms", &s->activated_ms },         { "credit", &s->credit }, { "grace_ms", &s->grace_ms },
        { "overdue_since_ms", &s->overdue_since_ms }, { "region", &region },    { "free_only", &free_only },
    };
    enum err e = sum_get(db, PAID_SQL, &s->paid);

    if (!e)
        e = sum_get(db, COST_SQL, &s->cost);
    for (size_t i = 0; !e && i < ARRAY_LEN(numbers); i++)
        e = account_get(db, numbers[i].name, numbers[i].into);
    if (e)
        return e;
    s->region = region == PRICE_INTL ? PRICE_INTL : PRICE_CN;
    s->free_only = free_only;
    s->models = arena_array(s->arena, struct quota_model_state, model_count);
    s->model_count = model_count;
    return models_read(db, s->grants, s->activated_ms, s->models);
}
