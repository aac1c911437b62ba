/* workspaces.c - dashbox workspaces create|list|show|delete|allow|deny|limit|forget|billing. */
#include "api/admin/objects.h"
#include "cli/cli.h"
#include "contract/model.h"
#include "server/config.h"

static const char *name, *rpm, *tpm, *concurrency, *until;

static const char usage[] =
    "usage: dashbox workspaces create [ID] [--name NAME]\n"
    "       dashbox workspaces list [--json]\n"
    "       dashbox workspaces show ID [--json]\n"
    "       dashbox workspaces delete ID\n"
    "       dashbox workspaces allow ID MODEL… [--rpm N] [--tpm N] [--concurrency N]\n"
    "       dashbox workspaces deny ID MODEL…\n"
    "       dashbox workspaces limit ID MODEL… [--rpm N] [--tpm N] [--concurrency N]\n"
    "       dashbox workspaces forget ID MODEL…\n"
    "       dashbox workspaces billing ID postpaid|prepaid|none [--until DATE]\n"
    "\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "The default workspace may call every model; any other only those that it is allowed. MODEL \"*\"\n"
    "is all models that have no line of their own. limit sets the limits that are named, 0 takes one\n"
    "away; forget takes away what was said of a model. Deleting a workspace deletes its keys.\n";

static enum err create(struct cli *c)
{
    str      id;
    enum err e = workspace_create(&c->edit, cli_word(c, 0), str_from_cstr(name), &id);

    if (!e)
        printf("%.*s\n", STR_ARG(id));
    return e;
}

static enum err delete (struct cli *c) { return workspace_delete(&c->edit, cli_word(c, 0)); }

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID", "NAME", "PAYS", "UNTIL", "MODELS", "CREATED" };
    struct workspace        *all;
    struct cli_table         t;
    size_t                   count;
    enum err                 e = workspace_list(&c->edit, (str){ 0 }, &all, &count);

    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        const struct workspace *w = &all[i];
        struct buf              b;

        if (c->json) {
            buf_init(&b, c->edit.arena, SIZE_MAX / 2);
            object_workspace(&b, w);
            cli_print(&b);
            continue;
        }
        cli_table_add(&t, w->id);
        cli_table_add(&t, w->name);
        cli_table_add(&t, commodity_name(w->commodity));
        cli_table_add(&t, cli_when(c->edit.arena, w->paid_until_ms));
        cli_table_add(&t, w->is_default ? S("all") : arena_printf(c->edit.arena, "%zu", w->model_count));
        cli_table_add(&t, cli_when(c->edit.arena, w->created_ms));
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err show(struct cli *c)
{
    static const char *const heads[] = { "MODEL", "MAY CALL", "RPM", "TPM", "CONCURRENCY" };
    struct arena            *a = c->edit.arena;
    struct workspace        *w;
    struct cli_table         t;
    struct buf               b;
    size_t                   count;
    enum err                 e = workspace_list(&c->edit, cli_word(c, 0), &w, &count);

    if (e)
        return e;
    if (c->json) {
        buf_init(&b, a, SIZE_MAX / 2);
        object_workspace(&b, w);
        cli_print(&b);
        return OK;
    }
    printf("workspace  %.*s\nname       %.*s\npays       %.*s\nuntil      %.*s\n\n", STR_ARG(w->id), STR_ARG(w->name),
           STR_ARG(commodity_name(w->commodity)), STR_ARG(cli_when(a, w->paid_until_ms)));
    if (w->is_default) {
        puts("The default workspace may call every model.");
        return OK;
    }
    cli_table_begin(&t, a, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < w->model_count; i++) {
        cli_table_add(&t, w->models[i].model);
        cli_table_add(&t, w->models[i].allowed ? S("yes") : S("no"));
        cli_table_add(&t, cli_count(a, w->models[i].rpm));
        cli_table_add(&t, cli_count(a, w->models[i].tpm));
        cli_table_add(&t, cli_count(a, w->models[i].concurrency));
    }
    cli_table_end(&t);
    return OK;
}

static enum err read_limits(struct cli *c, struct workspace_model *line)
{
    enum err e = cli_number(c, "--rpm", rpm, &line->rpm);

    if (!e)
        e = cli_number(c, "--tpm", tpm, &line->tpm);
    return e ? e : cli_number(c, "--concurrency", concurrency, &line->concurrency);
}

static enum err check_model(struct cli *c, str id)
{
    if (str_eq(id, S("*")) || model_find(id))
        return OK;
    for (size_t i = 0; i < c->config->model_count; i++) {
        if (str_eq(c->config->models[i].id, id))
            return OK;
    }
    return edit_refuse(&c->edit, ERR_NOT_FOUND, "there is no model \"%.*s\"", STR_ARG(id));
}

/* Changes the line of each MODEL, or makes it: `change` gets what is there. */
static enum err each_model(struct cli *c, void (*change)(struct workspace_model *line))
{
    struct workspace *w;
    size_t            count;
    enum err          e = workspace_list(&c->edit, cli_word(c, 0), &w, &count);

    for (size_t i = 1; cli_word(c, i).len && !e; i++) {
        struct workspace_model        line = { .model = cli_word(c, i) };
        const struct workspace_model *now = workspace_model(w, line.model);

        if (now && str_eq(now->model, line.model))
            line = *now;
        else if (now)
            line.allowed = now->allowed; /* "*" held for it so far */
        change(&line);
        e = check_model(c, line.model);
        if (!e)
            e = read_limits(c, &line);
        if (!e)
            e = workspace_model_set(&c->edit, w->id, &line);
    }
    return e;
}

static void change_allow(struct workspace_model *line)
{
    line->allowed = true;
}

static void change_deny(struct workspace_model *line)
{
    line->allowed = false;
}

static void change_nothing(struct workspace_model *line)
{
    (void)line;
}

static enum err allow(struct cli *c)
{
    return each_model(c, change_allow);
}

static enum err deny(struct cli *c)
{
    return each_model(c, change_deny);
}

static enum err limit(struct cli *c)
{
    if (!rpm && !tpm && !concurrency)
        return edit_refuse(&c->edit, ERR_INVALID, "limit takes --rpm, --tpm or --concurrency");
    return each_model(c, change_nothing);
}

static enum err forget(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 1; cli_word(c, i).len && !e; i++)
        e = workspace_model_unset(&c->edit, cli_word(c, 0), cli_word(c, i));
    return e;
}

static enum err billing(struct cli *c)
{
    enum commodity commodity;
    int64_t        until_ms = 0;
    enum err       e = cli_time(c, "--until", until, &until_ms);

    if (e)
        return e;
    if (!commodity_of(cli_word(c, 1), &commodity))
        return edit_refuse(&c->edit, ERR_INVALID, "a workspace pays postpaid, prepaid or none");
    return workspace_billing(&c->edit, cli_word(c, 0), commodity, until_ms);
}

int cli_workspaces(int argc, char **argv)
{
    static const struct cli_flag flags[] = {
        { "--name", &name },   { "--rpm", &rpm }, { "--tpm", &tpm }, { "--concurrency", &concurrency },
        { "--until", &until },
    };
    static const struct cli_action actions[] = {
        { "create", 0, 1, true, create },
        { "list", 0, 0, false, list },
        { "show", 1, 1, false, show },
        { "delete", 1, 1, false, delete },
        { "allow", 2, CLI_WORDS_MAX, false, allow },
        { "deny", 2, CLI_WORDS_MAX, false, deny },
        { "limit", 2, CLI_WORDS_MAX, false, limit },
        { "forget", 2, CLI_WORDS_MAX, false, forget },
        { "billing", 2, 2, false, billing },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
