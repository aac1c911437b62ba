/* admission.c - may it, is there room, what did it cost.
 *
 * Spec: access.md §5-§8, §11.
 */
#include "access/admission.h"

#include "access/account.h"
#include "access/faults.h"
#include "access/moderation_book.h"
#include "base/clock.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "loop/loop.h"
#include "net/http_server.h"

#define MINUTE_MS INT64_C(60000)
#define DAY_MS    (INT64_C(24) * 3600000)

/* ---- step 7 and 8: standing and free quota ---- */

static bool is_batch(const struct request *rq)
{
    str begin = rq->settings->batch_host;

    return begin.len && str_starts_nocase(request_header(rq, S("host")), begin);
}

static enum err check_standing(struct request *rq, const struct model *m)
{
    const struct workspace *w = rq->space;

    if (rq->key->plan) /* paid for apart; never falls back to pay-as-you-go */
        return OK;
    switch (quota_check(rq->access->quota, m, w->commodity, w->paid_until_ms, rq->admission->batch)) {
    case QUOTA_GOOD:
        return OK;
    case QUOTA_ARREARS:
        return fail_account_arrears(&rq->fault); /* REF: E099, E276 */
    case QUOTA_NOT_PURCHASED:
        return fail_commodity_not_purchased(&rq->fault); /* REF: E209 */
    case QUOTA_PREPAID_OVERDUE:
        return fail_prepaid_expired(&rq->fault); /* REF: E210 */
    case QUOTA_POSTPAID_OVERDUE:
        return fail_postpaid_overdue(&rq->fault); /* REF: E211 */
    case QUOTA_FREE_ONLY:
        return fail_free_tier_exhausted(&rq->fault); /* REF: E196 */
    case QUOTA_FREE_ENDED:
        return fail_free_quota_exhausted(&rq->fault); /* REF: E208 */
    case QUOTA_TRIAL_ENDED:
        return fail_access_denied(&rq->fault); /* REF: E191 */
    }
    return OK;
}

/* ---- step 9: tasks ---- */

static enum err check_async(struct request *rq, const struct model *m)
{
    bool async =
        rq->surface == SURFACE_NATIVE && str_eq_nocase(request_header(rq, S("x-dashscope-async")), S("enable"));

    if (async && !(m->calls & BIT(MODEL_CALL_ASYNC)))
        return fail_async_not_supported(&rq->fault); /* REF: E188 */
    return OK;
}

/* ---- step 10: rates ---- */

/* The row of a limit, in the words of the protocol (access.md §7.2). `own`: the workspace's, not the account's. The
 * compatible
 * protocol has two sentences for requests: they tell the two apart. */
static enum err refuse_rate(struct request *rq, enum rate_refusal why, bool own)
{
    bool native = rq->surface != SURFACE_OPENAI;

    switch (why) {
    case RATE_REQUESTS:
        return native ? fail_request_rate_native(&rq->fault)     /* REF: E204b, E283 */
               : own  ? fail_request_rate_openai_old(&rq->fault) /* REF: E204c, E284 */
                      : fail_request_rate_openai(&rq->fault);     /* REF: E204a, E284 */
    case RATE_BURST:
        return fail_request_burst_rate(&rq->fault); /* REF: E205 */
    case RATE_TOKENS:
        return native ? fail_token_rate_native(&rq->fault)  /* REF: E206a */
                      : fail_token_rate_openai(&rq->fault); /* REF: E206b */
    case RATE_CONCURRENCY:
    case RATE_ADMITTED:
        break;
    }
    return fail_throttled(&rq->fault); /* REF: E202 */
}

/* The server that counts is away, and the policy is closed. */
static enum err refuse_away(struct request *rq)
{
    (void)fail_throttled(&rq->fault); /* REF: E202 */
    return fault_detail(&rq->fault, S("the server of the rate limits cannot be reached"));
}

/* Until a burst is over, as long as the client allows: X-DashScope-Wait-Timeout, seconds (access.md §7.3). */
static int64_t burst_wait_ms(const struct request *rq)
{
    int64_t seconds;

    if (!str_to_i64(request_header(rq, S("x-dashscope-wait-timeout")), &seconds) || seconds <= 0)
        return 0;
    return seconds >= rq->settings->call_ms / 1000 ? 0 : seconds * 1000; /* at or above the longest call: ignored */
}

static void add_limit(struct rate_window *windows, unsigned *count, int64_t limit, int64_t span_ms)
{
    if (limit > 0 && *count < RATE_WINDOWS_MAX)
        windows[(*count)++] = (struct rate_window){ .limit = limit, .span_ms = span_ms };
}

/* What holds for the account and the model: the catalogue's numbers, if they are wanted, and the configuration's. */
static bool account_limits(const struct request *rq, const struct model *m, struct rate_limits *l)
{
    const struct request_limits *set = &rq->settings->limits;

    *l = (struct rate_limits){ 0 };
    if (set->catalog)
        rate_limits_of(m, set->region, l);
    l->burst_percent = set->burst_percent;
    l->concurrency = set->concurrency;
    return l->request_windows || l->token_windows || l->burst_percent || l->concurrency;
}

static bool workspace_limits(const struct request *rq, const struct model *m, struct rate_limits *l)
{
    const struct workspace_model *wm = workspace_model(rq->space, m->id);

    *l = (struct rate_limits){ 0 };
    if (!wm)
        return false;
    add_limit(l->requests, &l->request_windows, wm->rpm, MINUTE_MS);
    add_limit(l->tokens, &l->token_windows, wm->tpm, MINUTE_MS);
    l->concurrency = wm->concurrency;
    return l->request_windows || l->token_windows || l->concurrency;
}

static enum err check_rates(struct request *rq, const struct model *m)
{
    struct admission  *ad = rq->admission;
    struct rate_limits limits[2];
    struct rate_claim  claims[2];
    size_t             count = 0;
    int64_t            give_up_us = DEADLINE_NONE;
    enum err           e;

    if (account_limits(rq, m, &limits[0]))
        claims[count++] = (struct rate_claim){ .subject = S(":account"), .model = m->id, .limits = &limits[0] };
    if (workspace_limits(rq, m, &limits[1]))
        claims[count++] = (struct rate_claim){ .subject = rq->workspace, .model = m->id, .limits = &limits[1] };
    if (count == 0)
        return OK;
    for (;;) {
        e = rates_admit(rq->access->rates, claims, count, clock_unix_ms(), &ad->ticket, &ad->rates);
        if (e != ERR_LIMIT)
            break;
        if (ad->rates.refusal == RATE_BURST && give_up_us == DEADLINE_NONE)
            give_up_us = loop_now_us(fiber_loop()) + burst_wait_ms(rq) * 1000;
        if (ad->rates.refusal != RATE_BURST || loop_now_us(fiber_loop()) >= give_up_us)
            return refuse_rate(rq, ad->rates.refusal, str_eq(claims[ad->rates.claim].subject, rq->workspace));
        rq->action = "waiting for a burst to end";
        e = fiber_sleep_until(min_i64(give_up_us, loop_now_us(fiber_loop()) + max_i64(ad->rates.retry_ms, 10) * 1000));
        if (e)
            return e;
    }
    return e == ERR_UNREACHABLE ? refuse_away(rq) : e;
}

/* When a calendar's week or month began, in the plan's zone: a number that names it. */
static int64_t calendar_number(const struct plan *plan, str name, int64_t now_ms)
{
    int64_t   day = (now_ms + plan->zone_s * 1000) / DAY_MS;
    time_t    seconds = (time_t)(day * 86400);
    struct tm tm;

    if (str_eq(name, S("week")))
        return (day + 3) / 7; /* 1970-01-01 was a Thursday; weeks begin on Mondays */
    gmtime_r(&seconds, &tm);
    return (int64_t)tm.tm_year * 12 + tm.tm_mon;
}

/* A plan's windows, one claim each: its refusal names the window. */
static enum err check_plan(struct request *rq)
{
    const struct plan *plan = rq->key->plan;
    struct admission  *ad = rq->admission;
    struct rate_limits limits[RATE_CLAIMS_MAX];
    struct rate_claim  claims[RATE_CLAIMS_MAX];
    int64_t            now_ms = clock_unix_ms();
    enum err           e;

    if (!plan)
        return OK;
    ASSERT(plan->window_count <= RATE_CLAIMS_MAX);
    for (unsigned i = 0; i < plan->window_count; i++) {
        const struct plan_window *w = &plan->windows[i];

        limits[i] = (struct rate_limits){ 0 };
        add_limit(limits[i].requests, &limits[i].request_windows,
                  max_i64(1, w->requests * rq->settings->limits.plan_percent / 100),
                  w->seconds ? w->seconds * 1000 : 31 * DAY_MS);
        claims[i] = (struct rate_claim){ .subject = rq->key_id, .limits = &limits[i] };
        claims[i].model = w->seconds ? arena_printf(rq->arena, "plan %.*s", STR_ARG(w->name))
                                     : arena_printf(rq->arena, "plan %.*s %lld", STR_ARG(w->name),
                                                    (long long)calendar_number(plan, w->name, now_ms));
    }
    limits[0].concurrency =
        rq->settings->limits.plan_calls; /* the first window slides: its claim is always of the same name */
    e = rates_admit(rq->access->rates, claims, plan->window_count, now_ms, &ad->plan, &ad->rates);
    if (e == ERR_LIMIT && ad->rates.refusal == RATE_CONCURRENCY)
        return fail_plan_concurrency(&rq->fault); /* REF: X101 */
    if (e == ERR_LIMIT)
        return fail_plan_window_spent(&rq->fault, plan->windows[ad->rates.claim].name); /* REF: X100 */
    return e == ERR_UNREACHABLE ? refuse_away(rq) : e;
}

/* One of `max` places, unless all are taken. */
static bool take_place(_Atomic int64_t *taken, int64_t max)
{
    int64_t n = atomic_load(taken);

    do {
        if (n >= max)
            return false;
    } while (!atomic_compare_exchange_weak(taken, &n, n + 1));
    return true;
}

/* Back-pressure of the gateway: calls under way on one route, and of Batch Chat. */
static enum err check_pressure(struct request *rq)
{
    const struct request_limits *set = &rq->settings->limits;
    struct admission            *ad = rq->admission;

    if (set->route_calls > 0) {
        ad->on_route = take_place(rq->route_calls, set->route_calls);
        if (!ad->on_route)
            return fail_route_overloaded(&rq->fault); /* REF: E203 */
    }
    if (set->batch_calls > 0 && ad->batch) {
        ad->in_batch = take_place(rq->access->batch_calls, set->batch_calls);
        if (!ad->in_batch)
            return fail_batch_capacity(&rq->fault); /* REF: E207 */
    }
    return OK;
}

enum err admit(struct request *rq, const struct model *m)
{
    enum err e;

    might_suspend();
    rq->action = "admitting";
    rq->admission = arena_new(rq->arena, struct admission);
    rq->admission->model = m;
    rq->admission->batch = is_batch(rq);
    e = account_permits(rq, m);
    if (!e)
        e = check_standing(rq, m);
    if (!e)
        e = check_async(rq, m);
    if (!e)
        e = faults_strike(rq);
    if (!e)
        e = check_pressure(rq);
    if (!e)
        e = check_plan(rq);
    if (!e)
        e = check_rates(rq, m);
    return e;
}

enum err admit_line(struct request *rq, const struct model *m, struct charge *deferred)
{
    enum err e;

    might_suspend();
    rq->admission = arena_new(rq->arena, struct admission);
    rq->admission->model = m;
    rq->admission->batch = true;
    rq->admission->deferred = deferred;
    e = account_permits(rq, m);
    return e ? e : check_standing(rq, m);
}

enum err admit_prompt(struct request *rq)
{
    struct admission *ad = rq->admission;
    enum err          e;

    might_suspend();
    if (!ad->ticket.count)
        return OK; /* nothing is limited */
    e = rates_reserve(rq->access->rates, &ad->ticket, rq->usage.prompt_tokens, clock_unix_ms(), &ad->rates);
    if (e == ERR_LIMIT)
        return refuse_rate(rq, RATE_TOKENS, false);
    return e == ERR_UNREACHABLE ? refuse_away(rq) : e;
}

/* ---- steps 12 and 14: moderation ---- */

struct moderation_set *admit_rules(const struct request *rq)
{
    return moderation_book_find(rq->account->moderation, rq->workspace);
}

enum err admit_refuse_text(struct request *rq, const struct moderation_verdict *v)
{
    switch (v->kind) {
    case MODERATION_CUSTOM:
        (void)fail_custom_policy_blocked(&rq->fault); /* REF: E179 */
        break;
    case MODERATION_FAQ:
        (void)fail_app_faq_rule_blocked(&rq->fault); /* REF: E174 */
        break;
    case MODERATION_IP:
        (void)fail_ip_infringement_suspect(&rq->fault); /* REF: E177 */
        break;
    case MODERATION_BLOCK:
        if (v->side == MODERATION_OUTPUT)
            (void)fail_moderation_output(&rq->fault); /* REF: E100c */
        else if (rq->multimodal)
            (void)fail_moderation_input_modality(&rq->fault, S("text")); /* REF: E101 */
        else
            (void)fail_moderation_input(&rq->fault); /* REF: E100b */
        break;
    }
    return fault_detail(&rq->fault, arena_printf(rq->arena, "rule %.*s", STR_ARG(v->rule)));
}

enum err admit_text(struct request *rq, struct moderation_set *rules, str text)
{
    struct moderation_verdict v;

    return moderation_check(rules, MODERATION_INPUT, text, &v) ? admit_refuse_text(rq, &v) : OK;
}

enum err admit_picture_text(struct request *rq, struct moderation_set *rules, unsigned side, str text)
{
    struct moderation_verdict v;

    if (!moderation_check(rules, side, text, &v))
        return OK;
    if (v.kind != MODERATION_BLOCK || side == MODERATION_OUTPUT)
        return admit_refuse_text(rq, &v);
    (void)fail_moderation_input_modality(&rq->fault, S("image")); /* REF: E101 */
    return fault_detail(&rq->fault, arena_printf(rq->arena, "rule %.*s", STR_ARG(v.rule)));
}

/* ---- the end ---- */

enum err admit_charge(struct request *rq)
{
    struct admission *ad = rq->admission;
    struct charged    charged;
    struct charge     charge = {
            .model = ad->model,
            .model_name = ad->model->id,
            .workspace = rq->workspace,
            .key = rq->key_id,
            .use = { .prompt = rq->usage.prompt_tokens,
                     .cached = rq->usage.cache_explicit ? 0 : rq->usage.cached_tokens,
                     .cache_created = rq->usage.cache_created_tokens,
                     .cache_read = rq->usage.cache_explicit ? rq->usage.cached_tokens : 0,
                     .completion = rq->usage.completion_tokens,
                     .thinking = rq->usage.reasoning_tokens > 0,
                     .batch = ad->batch,
                     .images = rq->usage.images,
                     .play_ms = rq->usage.play_ms,
                     .characters = rq->usage.characters,
                     .when = rq->usage.size },
            .reasoning = rq->usage.reasoning_tokens,
            .by_plan = rq->key->plan != NULL,
    };
    enum err e;

    might_suspend();
    if (ad->charged)
        return OK;
    ad->charged = true;
    if (ad->deferred) {
        *ad->deferred = charge;
        return OK;
    }
    e = ledger_charge(rq->access->log, &charge, &charged);
    return e ? e : ledger_wait(rq->access->log, charged.ticket);
}

/* What was refused before an engine was asked counts nowhere (access.md §7.4). */
SUSPENDS static void give_back(struct request *rq, struct rate_ticket *ticket, int64_t tokens)
{
    if (rq->engine.len || rq->admission->made_task)
        rates_settle(rq->access->rates, ticket, tokens, clock_unix_ms());
    else
        rates_undo(rq->access->rates, ticket, clock_unix_ms());
}

void admit_end(struct request *rq)
{
    struct admission *ad = rq->admission;

    if (!ad)
        return;
    /* A client that leaves in the middle of an answer has had what was made for it; what fails is free (access.md §5). */
    if (!ad->charged && rq->stream && !fault_is_set(&rq->fault) && rq->usage.completion_tokens > 0)
        (void)admit_charge(rq);
    give_back(rq, &ad->ticket, rq->usage.prompt_tokens + rq->usage.completion_tokens);
    give_back(rq, &ad->plan, 0);
    if (ad->on_route)
        atomic_fetch_sub(rq->route_calls, 1);
    if (ad->in_batch)
        atomic_fetch_sub(rq->access->batch_calls, 1);
    rq->admission = NULL; /* once */
}
