/* usage.c - dashbox usage: what was used and what it cost, read from the store, whether or not a server runs. */
#include "access/quota.h"
#include "access/usage.h"
#include "cli/cli.h"
#include "contract/json.h"

static const char *by, *since, *until, *workspace, *key, *model;

static const char usage[] =
    "usage: dashbox usage [--by day|month|model|key|workspace] [--since WHEN] [--until WHEN] [--json]\n"
    "                     [--workspace ID] [--key ID] [--model ID]\n"
    "\n"
    "  WHEN is 2026-11-24 or 2026-11-24T08:00:00Z; what begins with --until is not shown. Days are of UTC.\n"
    "  COST is what was billed, LIST what it would have cost in the cloud without free quota.\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "A running server writes down what it has answered ten times a second: its last tenth may be missing.\n";

static str money(struct arena *a, int64_t millionths)
{
    char text[PRICE_TEXT_MAX];

    price_format(text, millionths);
    return arena_str(a, str_from_cstr(text));
}

static void add_row(struct cli_table *t, const struct usage_row *r)
{
    cli_table_add(t, r->group);
    cli_table_add(t, cli_count(t->arena, r->requests));
    cli_table_add(t, cli_count(t->arena, r->prompt_tokens));
    cli_table_add(t, cli_count(t->arena, r->completion_tokens));
    cli_table_add(t, cli_count(t->arena, r->cached_tokens));
    cli_table_add(t, cli_count(t->arena, r->free_tokens));
    cli_table_add(t, money(t->arena, r->cost));
    cli_table_add(t, money(t->arena, r->list_cost));
}

/* "day" as the head of its column. */
static const char *head_of(struct arena *a, str group)
{
    char *head = arena_bytes(a, group.len + 1);

    for (size_t i = 0; i < group.len; i++)
        head[i] = (char)(group.ptr[i] - 'a' + 'A');
    head[group.len] = 0;
    return head;
}

static void print_table(const struct usage_query *q, const struct usage_row *total, str currency)
{
    const char      *heads[] = { head_of(q->arena, usage_by_name(q->by)),
                                 "REQUESTS",
                                 "INPUT",
                                 "OUTPUT",
                                 "CACHED",
                                 "FREE",
                                 arena_printf(q->arena, "COST %.*s", STR_ARG(currency)).ptr,
                                 arena_printf(q->arena, "LIST %.*s", STR_ARG(currency)).ptr };
    struct cli_table t;

    cli_table_begin(&t, q->arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < q->row_count; i++)
        add_row(&t, &q->rows[i]);
    if (q->row_count != 1)
        add_row(&t, total);
    cli_table_end(&t);
}

static void print_json(const struct usage_query *q, const struct usage_row *total, str currency)
{
    struct buf b;

    buf_init(&b, q->arena, SIZE_MAX / 2);
    buf_addf(&b, "{\"by\":\"%.*s\",\"currency\":\"%.*s\",\"rows\":[", STR_ARG(usage_by_name(q->by)), STR_ARG(currency));
    for (size_t i = 0; i < q->row_count; i++) {
        if (i)
            buf_add(&b, S(","));
        usage_add(&b, &q->rows[i]);
    }
    buf_add(&b, S("],\"total\":"));
    usage_add(&b, total);
    buf_add(&b, S("}"));
    cli_print(&b);
}

static enum err show(struct cli *c)
{
    struct arena      *a = c->edit.arena;
    struct usage_query q = {
        .arena = a,
        .by = USAGE_BY_DAY,
        .workspace = str_from_cstr(workspace),
        .key = str_from_cstr(key),
        .model = str_from_cstr(model),
    };
    struct usage_query all;
    struct usage_row   total = { .group = S("total") };
    struct quota_state state = { .arena = a };
    enum err           e = OK;

    if (by && !usage_by_parse(str_from_cstr(by), &q.by))
        e = edit_refuse(&c->edit, ERR_INVALID, "--by is day, month, model, key or workspace, not \"%s\"", by);

    if (!e)
        e = cli_time(c, "--since", since, &q.since_ms);
    if (!e)
        e = cli_time(c, "--until", until, &q.until_ms);
    all = q;
    all.by = USAGE_BY_TOTAL;
    if (!e)
        e = usage_query_job(c->edit.db, &q);
    if (!e)
        e = usage_query_job(c->edit.db, &all);
    if (!e)
        e = quota_state_job(c->edit.db, &state);
    if (e)
        return e;
    if (all.row_count)
        total = all.rows[0];
    if (c->json)
        print_json(&q, &total, price_currency(state.region));
    else
        print_table(&q, &total, price_currency(state.region));
    return OK;
}

int cli_usage(int argc, char **argv)
{
    static const struct cli_flag flags[] = {
        { "--by", &by },   { "--since", &since }, { "--until", &until }, { "--workspace", &workspace },
        { "--key", &key }, { "--model", &model },
    };
    static const struct cli_action actions[] = { { "", 0, 0, false, show, true } };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
