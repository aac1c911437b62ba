/* request.c - the way of one request:
 *
 *      route → authenticate → (handler: receive body → read → check → run → render) → log
 *
 * The handlers are the surfaces' (api/…). Whatever refuses on the way has recorded a fault; it becomes an answer here,
 * unless the surface has begun its own.
 *
 * Spec: chat.md §8.5, access.md §1.5, §11.
 */
#include "access/faults.h"
#include "access/journal.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/log.h"
#include "contract/catalog.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "engine/record/scrub.h"
#include "net/http_server.h"
#include "server/server.h"
#include "server/request_line.h"
#include "server/routes.gen.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>

static bool is_for_journal(const struct request *rq);
static void note_answered(void *request);

/* ---- route ---- */

static int64_t body_max(const struct worker *w, const struct route *r)
{
    if (!r)
        return 0;
    if (r->body_max_option < 0)
        return r->body_max;
    return *(const int64_t *)((const char *)&w->setup->shared->config->options + r->body_max_option);
}

struct http_body_plan request_plan(void *worker, struct http_exchange *x)
{
    const struct route *r = route_of_request(http_path(x), http_field(x, S("host")));

    http_tag_set(x, r);
    if (r && r->pieces)
        return (struct http_body_plan){ .max = SIZE_MAX, .pieces = true };
    return (struct http_body_plan){ .max = (size_t)body_max(worker, r) };
}

/* A browser asks whether a page of another origin may call. */
static enum err answer_preflight(struct request *rq)
{
    str origin = request_header(rq, S("origin")), wanted = request_header(rq, S("access-control-request-headers"));
    struct http_field fields[] = {
        { S("access-control-allow-origin"), origin.len ? origin : S("*") },
        { S("access-control-allow-methods"), S("GET,POST,PUT,PATCH,DELETE,OPTIONS") },
        { S("access-control-allow-headers"), wanted.len ? wanted : S("*") },
        { S("access-control-max-age"), S("86400") },
        { S("vary"), S("Origin,Access-Control-Request-Method,Access-Control-Request-Headers") },
        { S("x-request-id"), str_of(rq->id, UUID_LEN) },
    };

    return http_answer(rq->x, 204, fields, ARRAY_LEN(fields), S(""));
}

static enum err answer_empty(struct request *rq, int status)
{
    struct http_field fields[] = { { S("x-request-id"), str_of(rq->id, UUID_LEN) } };

    return http_answer(rq->x, status, fields, ARRAY_LEN(fields), S(""));
}

/* ---- authenticate ---- */

/* The key of "Authorization: Bearer sk-…", for Anthropic's clients also of x-api-key; empty when there is none. */
static str bearer(const struct request *rq)
{
    str value = request_header(rq, S("authorization"));

    if (!str_starts_nocase(value, S("bearer ")))
        return rq->surface == SURFACE_ANTHROPIC ? request_header(rq, S("x-api-key")) : (str){ 0 };
    return str_trim(str_from(value, 7));
}

static enum err refuse_key(struct request *rq, bool missing)
{
    if (rq->route->auth == ROUTE_AUTH_PLAN)
        return fail_plan_key_invalid(&rq->fault); /* REF: X096 */
    if (rq->surface == SURFACE_OPENAI)
        return fail_key_invalid_openai(&rq->fault);                                      /* REF: E186b */
    return missing ? fail_key_missing(&rq->fault) : fail_key_invalid_native(&rq->fault); /* REF: E186a, E292 */
}

/* Looks at the newest snapshot; what it held before is released. */
static void take_account(struct worker *w, struct request *rq)
{
    if (rq->account)
        account_release(w->accounts, rq->account);
    rq->account = account_hold(w->accounts);
}

/* Step 2 of access.md §11. */
static enum err check_key(struct worker *w, struct request *rq, str secret)
{
    const struct key *k;
    bool              for_plan = rq->route->auth == ROUTE_AUTH_PLAN;

    rq->key = NULL; /* what an earlier snapshot said of it goes with that */
    rq->key_id = (str){ 0 };
    take_account(w, rq);
    k = account_key(w->accounts, secret, rq->arrived_ms);
    if (!k) {
        /* It may have been made a moment ago by another process. Whoever reads the tables first, all look again. */
        (void)account_refresh(w->common->accounts);
        take_account(w, rq);
        k = account_key(w->accounts, secret, rq->arrived_ms);
    }
    if (!k)
        return refuse_key(rq, false);
    rq->key_id = k->id;
    if (for_plan && (!k->plan || !str_starts(rq->route->path, k->plan->base)))
        return refuse_key(rq, false);
    if (!for_plan && k->plan)
        return rq->settings->wording.wording == WORDING_WIRE ? fail_plan_key_on_general_url(&rq->fault) /* REF: X097 */
                                                             : refuse_key(rq, false);
    if (k->network_count) {
        char address[ADDRESS_TEXT_MAX];

        http_client_address(rq->x, address);
        if (!network_has(k->networks, k->network_count, str_from_cstr(address)))
            return fail_access_denied(&rq->fault); /* REF: E191 */
    }
    rq->key = k;
    rq->key_is_temporary = key_text_is_temporary(secret);
    return OK;
}

/* Step 3: the key's own workspace, or the one that the header names. */
static enum err check_workspace(struct worker *w, struct request *rq, str secret)
{
    str                     id = request_header(rq, S("x-dashscope-workspace"));
    const struct workspace *ws = id.len ? account_workspace(rq->account, id) : rq->key->workspace;

    if (!ws) {
        enum err e;

        (void)account_refresh(w->common->accounts);
        e = check_key(w, rq, secret); /* in the newest snapshot: it may have been revoked at this very moment */
        if (e)
            return e;
        ws = account_workspace(rq->account, id);
    }
    if (!ws)
        return rq->route->manages ? fail_workspace_not_authorized(&rq->fault) /* REF: E187 */
                                  : fail_workspace_not_found(&rq->fault);     /* REF: E200 */
    if (rq->key->member && ws != rq->key->workspace && !member_is_in(rq->key->member, ws))
        return rq->route->manages ? fail_workspace_not_authorized(&rq->fault) /* REF: E187 */
                                  : fail_workspace_access_denied(&rq->fault); /* REF: E195 */
    rq->space = ws;
    rq->workspace = ws->id;
    return OK;
}

static enum err authenticate_admin(struct worker *w, struct request *rq)
{
    str key = w->common->admin_key, got = bearer(rq);

    if (!key.len || got.len != key.len || CRYPTO_memcmp(got.ptr, key.ptr, key.len) != 0)
        return fail_admin_key_invalid(&rq->fault); /* REF: D101 */
    return OK;
}

static enum err authenticate(struct worker *w, struct request *rq)
{
    str      secret = bearer(rq);
    enum err e;

    rq->action = "checking the key";
    if (rq->route->auth == ROUTE_AUTH_ADMIN)
        return authenticate_admin(w, rq);
    if (!secret.len)
        return refuse_key(rq, true);
    e = faults_suffix(rq, "the key", &secret);
    if (!e)
        e = check_key(w, rq, secret);
    if (!e)
        e = check_workspace(w, rq, secret);
    return e ? e : faults_strike(rq);
}

/* ---- all of it ---- */

static enum err answer(struct worker *w, struct request *rq)
{
    const struct route *r = rq->route;
    unsigned            method = route_method(http_request(rq->x)->method);
    enum err            e;

    if (!http_expectation_known(rq->x))
        return answer_empty(rq, 417);
    if (!r) {
        r = route_of_malformed(rq->arena, http_path(rq->x));
        if (!r || r->auth != ROUTE_AUTH_KEY)
            return answer_empty(rq, 404); /* as at the service's front (chat.md §1.2) */
        rq->surface = r->surface;
        return fail_workspace_url_malformed(&rq->fault); /* REF: E273 */
    }
    if (method == ROUTE_OPTIONS && rq->settings->cors)
        return answer_preflight(rq);
    if (!(r->methods & method))
        return fail_method_unsupported(&rq->fault, http_request(rq->x)->method); /* REF: E017 */
    if (r->auth != ROUTE_AUTH_NONE) {
        e = authenticate(w, rq);
        if (e == ERR_FAULT && !r->pieces && is_for_journal(rq))
            request_body_for_journal(rq);
        if (e)
            return e;
    }
    return r->handler(rq);
}

static void begin(struct worker *w, struct setup *s, struct request *rq, struct http_exchange *x)
{
    const struct route *r = http_tag(x);

    rq->arena = http_arena(x);
    rq->x = x;
    rq->services = &s->services;
    rq->settings = &s->shared->settings;
    rq->access = &w->access;
    rq->faults = w->common->faults;
    rq->journal = w->common->journal;
    rq->route_calls = r ? &w->common->route_calls[r - route_rows] : NULL;
    rq->route = r;
    rq->surface = r ? r->surface : SURFACE_PLAIN;
    rq->body_max = body_max(w, r);
    rq->action = "routing";
    rq->started_us = rq->phase_started_us = http_arrived_us(x);
    rq->arrived_ms = clock_unix_ms(); /* this fiber starts in the turn in which the head came */
    rand_uuid(rq->id, '9');
    http_on_last(x, note_answered, rq);
}

/* ---- account and log ---- */

static void count(struct worker *w, const struct request *rq, int status)
{
    static const enum counter by_surface[] = {
        [SURFACE_PLAIN] = COUNTER_REQUESTS_TOTAL_PLAIN,   [SURFACE_NATIVE] = COUNTER_REQUESTS_TOTAL_NATIVE,
        [SURFACE_OPENAI] = COUNTER_REQUESTS_TOTAL_OPENAI, [SURFACE_ANTHROPIC] = COUNTER_REQUESTS_TOTAL_ANTHROPIC,
        [SURFACE_ADMIN] = COUNTER_REQUESTS_TOTAL_ADMIN,
    };
    struct counters *c = &w->counters;

    counter_add(c, by_surface[rq->surface], 1);
    counter_add(c,
                status == 0    ? COUNTER_ANSWERS_TOTAL_GONE
                : status < 400 ? COUNTER_ANSWERS_TOTAL_2XX
                : status < 500 ? COUNTER_ANSWERS_TOTAL_4XX
                               : COUNTER_ANSWERS_TOTAL_5XX,
                1);
    if (rq->stream)
        counter_add(c, COUNTER_STREAMS_TOTAL, 1);
    counter_add(c, COUNTER_PROMPT_TOKENS_TOTAL, rq->usage.prompt_tokens);
    counter_add(c, COUNTER_COMPLETION_TOKENS_TOTAL, rq->usage.completion_tokens);
}

/* An engine has failed when its answer is the server's fault, or broke off; or when it would not have the request now. */
static bool engine_failed(const struct fault *f)
{
    int status = f->row ? f->row->form[WORDING_REFERENCE].status : f->foreign.status;

    return fault_is_set(f) && (status >= 500 || status == 429);
}

/* By engine and by model. */
static void count_engine(struct worker *w, const struct setup *s, const struct request *rq)
{
    struct series *engine = setup_series(s, rq->engine);

    series_add(engine, SERIES_ENGINE_REQUESTS, 1);
    series_add(engine, SERIES_ENGINE_FAILURES, engine_failed(&rq->fault));
    if (rq->fallback_from.len) {
        struct series *first = setup_series(s, rq->fallback_from);

        series_add(first, SERIES_ENGINE_REQUESTS, 1);
        series_add(first, SERIES_ENGINE_FAILURES, 1);
        series_add(first, SERIES_ENGINE_FALLBACKS, 1);
    }
    if (request_model(rq, rq->model_name)) {
        struct series *model = series_of_model(&w->counters, rq->model_name);

        series_add(model, SERIES_MODEL_REQUESTS, 1);
        series_add(model, SERIES_MODEL_PROMPT_TOKENS, rq->usage.prompt_tokens);
        series_add(model, SERIES_MODEL_COMPLETION_TOKENS, rq->usage.completion_tokens);
    }
}

void request_panic_note(void)
{
    struct fiber         *f = fiber_self();
    const struct request *rq = f ? fiber_note(f) : NULL;

    if (rq)
        fprintf(stderr, "dashbox: while %s, request %s, model %.*s\n", rq->action, rq->id, STR_ARG(rq->model_name));
}

/* So that people's assertions need not know how their client spells it. */
static void add_lower(struct buf *b, str name)
{
    char *at = buf_room(b, name.len);

    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];

        at[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    b->len += name.len;
}

static str headers_shown(struct request *rq)
{
    const struct http_head *head = http_request(rq->x);
    struct buf              b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    (void)buf_room(&b, 512); /* ordinary headers: one allocation */
    for (size_t i = 0; i < head->field_count; i++) {
        if (scrub_is_secret_name(head->fields[i].name))
            continue;
        add_lower(&b, head->fields[i].name);
        buf_add_char(&b, ':');
        buf_add(&b, head->fields[i].value);
        buf_add_char(&b, '\n');
    }
    return buf_str(&b);
}

static void note_in_journal(struct request *rq, int status)
{
    const struct journal_entry e = {
        .time_ms = rq->arrived_ms,
        .request_id = str_of(rq->id, UUID_LEN),
        .method = http_request(rq->x)->method,
        .path = http_path(rq->x),
        .query = http_query(rq->x),
        .headers = headers_shown(rq),
        .body = rq->body,
        .status = status,
        .error = rq->fault.row ? rq->fault.row->id : (str){ 0 },
        .model = rq->model_name,
        .key = rq->key_id,
        .workspace = rq->workspace,
        .fault = rq->fault_by,
        .stream = rq->stream,
        .prompt_tokens = rq->usage.prompt_tokens,
        .completion_tokens = rq->usage.completion_tokens,
    };

    journal_add(rq->journal, &e);
    rq->body = (str){ 0 };
    rq->journal = NULL; /* once */
}

/* Before the answer's last byte is out: whoever has it finds the request in the journal, on any worker. */
/* Whoever has the whole answer finds its place free, and the call in the journal. */
SUSPENDS static void note_answered(void *request)
{
    struct request *rq = request;

    admit_end(rq);
    if (is_for_journal(rq))
        note_in_journal(rq, http_status(rq->x));
}

static bool is_for_journal(const struct request *rq)
{
    return rq->journal &&
           (rq->surface == SURFACE_NATIVE || rq->surface == SURFACE_OPENAI || rq->surface == SURFACE_ANTHROPIC);
}

/* ---- a task of a connection that has many ---- */

static struct worker *worker_of(const struct request *rq)
{
    return CONTAINER_OF(rq->services, struct setup, services)->worker;
}

SUSPENDS static enum err part_renew(struct request *rq)
{
    return authenticate(worker_of(rq), rq);
}

SUSPENDS static void part_ended(struct request *part, int status, enum err e)
{
    const struct setup *s = CONTAINER_OF(part->services, struct setup, services);

    request_phase(part, part->phase);
    count(s->worker, part, status);
    if (part->engine.len)
        count_engine(s->worker, s, part);
    request_line(part, &s->shared->logging, status, e);
    admit_end(part);
    if (is_for_journal(part))
        note_in_journal(part, status);
    free((char *)part->body.ptr);
    part->body = (str){ 0 };
}

/* Of work behind a call, which has neither a line nor a place in the journal. */
SUSPENDS static void behind_ended(struct request *part, int status, enum err e)
{
    const struct setup *s = CONTAINER_OF(part->services, struct setup, services);

    (void)e;
    request_phase(part, part->phase);
    count(s->worker, part, status);
    if (part->engine.len)
        count_engine(s->worker, s, part);
    admit_end(part);
}

static const struct request_hooks behind_hooks = { .ended = behind_ended };

static struct request *behind_prepare(struct request *rq)
{
    return background_prepare(worker_of(rq), rq, &behind_hooks);
}

static void behind_launch(struct request *own, void (*run)(struct request *own, void *arg), void *arg)
{
    background_launch(worker_of(own), own, run, arg);
}

static const struct request_hooks hooks = {
    .renew = part_renew, .ended = part_ended, .prepare = behind_prepare, .launch = behind_launch
};

void request_handle(void *worker, struct http_exchange *x)
{
    struct worker  *w = worker;
    struct setup   *s = w->setup;
    struct request *rq = arena_new(http_arena(x), struct request);
    enum err        e;
    int             status;

    setup_hold(s);
    begin(w, s, rq, x);
    rq->hooks = &hooks;
    fiber_note_set(fiber_self(), rq);
    e = answer(w, rq);
    if (e)
        request_phase(rq, PHASE_REPLY);
    if (e == ERR_FAULT && !http_begun(x))
        e = reply_fault(rq, false);
    else if (e && e != ERR_FAULT && e != ERR_CANCELLED && e != ERR_EOF && !http_begun(x)) {
        (void)fail_internal_error(&rq->fault);
        (void)fault_detail(&rq->fault, str_from_cstr(err_text(e)));
        e = reply_fault(rq, false);
    }
    request_phase(rq, rq->phase);
    status = e == ERR_CANCELLED || e == ERR_EOF ? 0 : http_status(x);
    count(w, rq, status);
    if (rq->engine.len)
        count_engine(w, s, rq);
    rq->cut_off = !status && w->cut_off;
    if (log_wants(LOG_DEBUG) || !rq->route || rq->route->auth != ROUTE_AUTH_NONE || status >= 400)
        request_line(rq, &s->shared->logging, status, e);
    admit_end(rq);
    if (is_for_journal(rq))
        note_in_journal(rq, status);
    free((char *)rq->body.ptr); /* if the journal has not taken it */
    if (rq->account)
        account_release(w->accounts, rq->account);
    setup_release(s);
}

/* ---- the handlers that belong to no surface ---- */

/* Somebody has typed the address into a browser; anything else is answered as at the service's front (chat.md §1.2). */
enum err handle_root(struct request *rq)
{
    struct http_field fields[] = { { S("content-type"), S("text/plain; charset=utf-8") } };

    if (route_method(http_request(rq->x)->method) != ROUTE_GET)
        return answer_empty(rq, 404);
    return http_answer(
        rq->x, 200, fields, ARRAY_LEN(fields),
        S("dashbox: Qwen Cloud in a box. Clients of OpenAI take /compatible-mode/v1, clients of DashScope "
          "/api/v1. README.md and the folder doc/ beside its sources tell more, as does dashbox help.\n"));
}

/* That the server lives; and how its engines are, as this worker sees them. */
enum err handle_health(struct request *rq)
{
    const struct setup  *s = CONTAINER_OF(rq->services, struct setup, services);
    const struct config *c = s->shared->config;
    struct buf           b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"status\":\"ok\""));
    for (size_t i = 0; i < c->engine_count; i++) {
        const struct config_engine *ce = &c->engines[i];
        struct upstream_state       state;

        buf_add(&b, i ? S(",") : S(",\"engines\":{"));
        json_add_str(&b, ce->name);
        setup_engine_state(s, i, &state);
        if (ce->command.len)
            buf_addf(&b, ":{\"process\":\"%s\"}", children_state(&s->worker->common->children, ce));
        else
            buf_addf(&b, ":{\"upstreams\":%zu,\"up\":%zu}", state.endpoints, state.up);
    }
    buf_add(&b, c->engine_count ? S("}}") : S("}"));
    return reply_json(rq, buf_str(&b));
}

enum err handle_metrics(struct request *rq)
{
    struct setup     *s = CONTAINER_OF(rq->services, struct setup, services);
    struct server    *p = s->worker->common;
    struct counters **all = arena_array(rq->arena, struct counters *, p->worker_count);
    struct http_field fields[] = { { S("content-type"), S("text/plain; version=0.0.4; charset=utf-8") } };
    struct buf        b;

    for (size_t i = 0; i < p->worker_count; i++)
        all[i] = &p->workers[i]->counters;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    metrics_write(&b, all, p->worker_count, rq->arena);
    return http_answer(rq->x, 200, fields, ARRAY_LEN(fields), buf_str(&b));
}

/* A route that a later version serves: told apart from the cloud's own refusals by its code. */
enum err handle_later(struct request *rq)
{
    return fail_not_served_yet(&rq->fault, http_request(rq->x)->method, http_path(rq->x));
}
