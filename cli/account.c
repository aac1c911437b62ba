/* account.c - dashbox account: money and free quota, on the store itself, whether or not a server runs. */
#include "access/quota.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "contract/json.h"

#include <string.h>

static const char *note, *granted, *used, *expires, *free_only, *payable, *grace;

static const char usage[] =
    "usage: dashbox account show [--json]\n"
    "       dashbox account pay AMOUNT [--note TEXT]         below 0 is a correction\n"
    "       dashbox account credit AMOUNT [--grace SECONDS]  how far below zero the balance may go, and how\n"
    "                                                        long it may stay below that\n"
    "       dashbox account free-only on|off                 no model is used beyond its free quota\n"
    "       dashbox account quota [MODEL] [--json]           free quotas that were granted or used\n"
    "       dashbox account quota MODEL [--granted N] [--used N] [--expires WHEN|never]\n"
    "                                   [--free-only on|off] [--payable on|off]\n"
    "\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "Amounts are in the currency of the server's region. A running server knows of a change within half a\n"
    "second; it acts on all this only with `billing.enforce: true`.\n";

static str money(struct arena *a, int64_t millionths)
{
    char text[PRICE_TEXT_MAX];

    price_format(text, millionths);
    return arena_str(a, str_from_cstr(text));
}

/* `text` NULL: it is not set. */
static enum err read_switch(struct cli *c, const char *text, opt_bool *ret)
{
    *ret = (opt_bool){ .set = text != NULL, .v = text && strcmp(text, "on") == 0 };
    if (text && !ret->v && strcmp(text, "off"))
        return edit_refuse(&c->edit, ERR_INVALID, "\"%s\" is neither on nor off", text);
    return OK;
}

static enum err read_count(struct cli *c, const char *flag, const char *text, opt_int *ret)
{
    ret->set = text != NULL;
    return cli_number(c, flag, text, &ret->v);
}

static enum err read_amount(struct cli *c, int64_t *ret)
{
    str text = cli_word(c, 0);

    if (!price_parse(text, ret))
        return edit_refuse(&c->edit, ERR_INVALID, "\"%.*s\" is no amount of money", STR_ARG(text));
    return OK;
}

static enum err show(struct cli *c)
{
    struct arena      *a = c->edit.arena;
    struct quota_state st = { .arena = a };
    enum err           e = quota_state_job(c->edit.db, &st);
    str                currency, balance, paid, cost, credit;

    if (e)
        return e;
    currency = price_currency(st.region);
    balance = money(a, st.paid - st.cost);
    paid = money(a, st.paid);
    cost = money(a, st.cost);
    credit = money(a, st.credit);
    if (c->json) {
        printf("{\"currency\":\"%.*s\",\"balance\":\"%.*s\",\"paid\":\"%.*s\",\"cost\":\"%.*s\",\"credit\":\"%.*s\","
               "\"grace_ms\":%lld,\"overdue_since_ms\":%lld,\"free_only\":%s,\"activated_ms\":%lld}\n",
               STR_ARG(currency), STR_ARG(balance), STR_ARG(paid), STR_ARG(cost), STR_ARG(credit),
               (long long)st.grace_ms, (long long)st.overdue_since_ms, st.free_only ? "true" : "false",
               (long long)st.activated_ms);
        return OK;
    }
    printf("balance    %.*s %.*s (paid %.*s, used %.*s)\n", STR_ARG(balance), STR_ARG(currency), STR_ARG(paid),
           STR_ARG(cost));
    printf("credit     %.*s %.*s, then %lld s of grace\n", STR_ARG(credit), STR_ARG(currency),
           (long long)st.grace_ms / 1000);
    if (st.overdue_since_ms)
        printf("overdue    since %.*s\n", STR_ARG(cli_when(a, st.overdue_since_ms)));
    printf("free only  %s\n", st.free_only ? "on" : "off");
    return OK;
}

static enum err pay(struct cli *c)
{
    struct quota_payment p = { .note = str_from_cstr(note) };
    enum err             e = read_amount(c, &p.amount);

    if (!e)
        e = quota_pay(c->edit.db, &p);
    if (!e)
        printf("%s\n", p.id);
    return e;
}

static enum err credit(struct cli *c)
{
    struct quota_account account = { .credit.set = true };
    enum err             e = read_amount(c, &account.credit.v);

    if (!e)
        e = read_count(c, "--grace", grace, &account.grace_ms);
    if (!e && __builtin_mul_overflow(account.grace_ms.v, 1000, &account.grace_ms.v))
        e = edit_refuse(&c->edit, ERR_INVALID, "--grace %s is too long", grace);
    return e ? e : quota_account_set(c->edit.db, &account);
}

static enum err set_free_only(struct cli *c)
{
    struct quota_account account = { 0 };
    enum err             e = read_switch(c, cli_word(c, 0).ptr, &account.free_only);

    return e ? e : quota_account_set(c->edit.db, &account);
}

/* What the flags say of the model. */
static enum err set_quota(struct cli *c, const struct model *m)
{
    struct quota_setting set = { .model = m };
    enum err             e = read_count(c, "--granted", granted, &set.granted);

    if (!e)
        e = read_count(c, "--used", used, &set.used);
    set.expires_ms.set = expires != NULL;
    if (!e && expires && strcmp(expires, "never"))
        e = cli_time(c, "--expires", expires, &set.expires_ms.v);
    if (!e)
        e = read_switch(c, free_only, &set.free_only);
    if (!e)
        e = read_switch(c, payable, &set.payable);
    return e ? e : quota_set(c->edit.db, &set);
}

static void print_json(struct arena *a, const struct quota_model_state *m)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, m->model->id);
    buf_addf(&b, ",\"granted\":%lld,\"used\":%lld,\"expires_ms\":%lld,\"free_only\":%s,\"payable\":%s}",
             (long long)m->granted, (long long)m->used, (long long)m->expires_ms, m->free_only ? "true" : "false",
             m->payable ? "true" : "false");
    cli_print(&b);
}

static enum err list_quota(struct cli *c, const struct model *only)
{
    static const char *const heads[] = { "MODEL", "GRANTED", "USED", "EXPIRES", "FREE-ONLY", "PAYABLE" };
    struct arena            *a = c->edit.arena;
    struct quota_state       st = { .arena = a, .grants = true };
    struct cli_table         t;
    enum err                 e = quota_state_job(c->edit.db, &st);

    if (e)
        return e;
    cli_table_begin(&t, a, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < st.model_count; i++) {
        const struct quota_model_state *m = &st.models[i];

        if (only ? m->model != only : !m->granted && !m->used && !m->free_only && m->payable)
            continue;
        if (c->json) {
            print_json(a, m);
            continue;
        }
        cli_table_add(&t, m->model->id);
        cli_table_add(&t, cli_count(a, m->granted));
        cli_table_add(&t, cli_count(a, m->used));
        cli_table_add(&t, cli_when(a, m->expires_ms));
        cli_table_add(&t, m->free_only ? S("on") : S("off"));
        cli_table_add(&t, m->payable ? S("yes") : S("no"));
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err quota(struct cli *c)
{
    str                 id = cli_word(c, 0);
    const struct model *m = model_find(id);
    bool                sets = granted || used || expires || free_only || payable;

    if (id.len && !m)
        return edit_refuse(&c->edit, ERR_NOT_FOUND, "there is no model \"%.*s\" in the catalogue", STR_ARG(id));
    if (sets && !m)
        return ERR_INVALID;
    return sets ? set_quota(c, m) : list_quota(c, m);
}

int cli_account(int argc, char **argv)
{
    static const struct cli_flag flags[] = {
        { "--note", &note },       { "--granted", &granted },     { "--used", &used },   { "--expires", &expires },
        { "--payable", &payable }, { "--free-only", &free_only }, { "--grace", &grace },
    };
    static const struct cli_action actions[] = {
        { "show", 0, 0, false, show, true },     { "pay", 1, 1, false, pay, true },
        { "credit", 1, 1, false, credit, true }, { "free-only", 1, 1, false, set_free_only, true },
        { "quota", 0, 1, false, quota, true },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
