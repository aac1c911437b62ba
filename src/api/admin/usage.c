/* usage.c - the admin API's usage, balance and free quota. */
#include "access/usage.h"

#include "access/admission.h"
#include "api/admin/admin.gen.h"
#include "contract/price.h"
#include "service/services.h"

/* What has been charged so far stands in the tables before they are asked. */
static enum err ask(struct admin_call *c, store_job job, void *arg)
{
    enum err e = ledger_flush(c->rq->access->ledger);

    return e ? e : store_run(c->rq->services->store, job, arg);
}

/* ---- usage ---- */

static void add_row(struct buf *b, const struct usage_row *r)
{
    buf_add_char(b, '{');
    object_text(b, "group", r->group);
    object_int(b, "requests", r->requests);
    object_int(b, "prompt_tokens", r->prompt_tokens);
    object_int(b, "completion_tokens", r->completion_tokens);
    object_int(b, "reasoning_tokens", r->reasoning_tokens);
    object_int(b, "cached_tokens", r->cached_tokens);
    object_int(b, "free_tokens", r->free_tokens);
    object_int(b, "cost", r->cost);
    object_int(b, "list_cost", r->list_cost);
    buf_add_char(b, '}');
}

enum err admin_handle_usage(struct admin_call *c)
{
    struct usage_query q = {
        .arena = c->rq->arena,
        .since_ms = admin_int(c, "since", 0),
        .until_ms = admin_int(c, "until", 0),
        .workspace = admin_text(c, "workspace"),
        .key = admin_text(c, "key"),
        .model = admin_text(c, "model"),
    };
    enum err e;

    (void)usage_by_parse(admin_text(c, "by"), &q.by); /* absent: by day */
    e = ask(c, usage_query_job, &q);
    if (e)
        return e;
    buf_add_char(&c->out, '{');
    object_text(&c->out, "currency", price_currency(quota_region(c->rq->access->quota)));
    buf_add(&c->out, S(",\"data\":["));
    for (size_t i = 0; i < q.row_count; i++) {
        if (i)
            buf_add_char(&c->out, ',');
        add_row(&c->out, &q.rows[i]);
    }
    buf_add(&c->out, S("]}"));
    return OK;
}

/* ---- money ---- */

static enum err answer_balance(struct admin_call *c)
{
    struct quota_state s = { .arena = c->rq->arena };
    enum err           e = ask(c, quota_state_job, &s);
    struct buf        *b = &c->out;

    if (e)
        return e;
    buf_add_char(b, '{');
    object_text(b, "currency", price_currency(quota_region(c->rq->access->quota)));
    object_int(b, "balance", s.paid - s.cost);
    object_int(b, "paid", s.paid);
    object_int(b, "cost", s.cost);
    object_int(b, "credit", s.credit);
    object_int(b, "grace_ms", s.grace_ms);
    object_time(b, "overdue_since", s.overdue_since_ms);
    object_bool(b, "free_only", s.free_only);
    buf_add_char(b, '}');
    return OK;
}

enum err admin_handle_balance(struct admin_call *c)
{
    return answer_balance(c);
}

static opt_int given_int(struct admin_call *c, const char *name)
{
    return (opt_int){ .set = admin_has(c, name), .v = admin_int(c, name, 0) };
}

static opt_bool given_bool(struct admin_call *c, const char *name)
{
    return (opt_bool){ .set = admin_has(c, name), .v = admin_bool(c, name, false) };
}

enum err admin_handle_balance_set(struct admin_call *c)
{
    struct quota_account a = {
        .quota = c->rq->access->quota,
        .credit = given_int(c, "credit"),
        .grace_ms = given_int(c, "grace_ms"),
    };
    enum err e = store_run(c->rq->services->store, quota_account_job, &a);

    return e ? e : answer_balance(c);
}

enum err admin_handle_payment(struct admin_call *c)
{
    struct quota_payment p = {
        .quota = c->rq->access->quota,
        .amount = admin_int(c, "amount", 0),
        .note = admin_text(c, "note"),
    };
    enum err e = store_run(c->rq->services->store, quota_pay_job, &p);

    return e ? e : answer_balance(c);
}

/* ---- free quota ---- */

static void add_free(struct buf *b, const struct quota_model_state *m)
{
    buf_add_char(b, '{');
    object_text(b, "model", m->model->id);
    object_int(b, "free_granted", m->granted);
    object_int(b, "free_used", m->used);
    object_time(b, "free_expires", m->expires_ms);
    object_bool(b, "free_only", m->free_only);
    object_bool(b, "payable", m->payable);
    buf_add_char(b, '}');
}

static enum err read_free(struct admin_call *c, struct quota_state *s)
{
    *s = (struct quota_state){ .arena = c->rq->arena, .grants = quota_grants(c->rq->access->quota) };
    return ask(c, quota_state_job, s);
}

enum err admin_handle_free_quota(struct admin_call *c)
{
    struct quota_state s;
    bool               first = true;
    enum err           e = read_free(c, &s);

    if (e)
        return e;
    buf_add(&c->out, S("{\"data\":["));
    for (size_t i = 0; i < s.model_count; i++) {
        const struct quota_model_state *m = &s.models[i];

        if (!m->granted && m->payable && !m->free_only)
            continue;
        if (!first)
            buf_add_char(&c->out, ',');
        first = false;
        add_free(&c->out, m);
    }
    buf_add(&c->out, S("]}"));
    return OK;
}

enum err admin_handle_free_quota_set(struct admin_call *c)
{
    str                  id = admin_path(c, S("model"));
    struct quota_state   s;
    struct quota_setting q = {
        .quota = c->rq->access->quota,
        .model = model_find(id),
        .granted = given_int(c, "free_granted"),
        .used = given_int(c, "free_used"),
        .expires_ms = given_int(c, "free_expires"),
        .free_only = given_bool(c, "free_only"),
        .payable = given_bool(c, "payable"),
    };
    enum err e;

    if (!q.model)
        return admin_refuse(c, ERR_NOT_FOUND, "there is no model \"%.*s\"", STR_ARG(id));
    if (admin_names(c, "free_expires")) /* null: never */
        q.expires_ms.set = true;
    e = store_run(c->rq->services->store, quota_set_job, &q);
    if (!e)
        e = read_free(c, &s);
    for (size_t i = 0; !e && i < s.model_count; i++) {
        if (s.models[i].model == q.model)
            add_free(&c->out, &s.models[i]);
    }
    return e;
}
