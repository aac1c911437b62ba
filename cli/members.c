/* members.c - dashbox members create|list|show|delete|join|leave. */
#include "api/admin/objects.h"
#include "cli/cli.h"

static const char *name;

static const char usage[] =
    "usage: dashbox members create ID [--name NAME] [WORKSPACE]…\n"
    "       dashbox members list [--json]\n"
    "       dashbox members show ID [--json]\n"
    "       dashbox members delete ID\n"
    "       dashbox members join ID WORKSPACE…\n"
    "       dashbox members leave ID WORKSPACE…\n"
    "\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "A member's keys hold only in the workspaces that the member is in. Keys of the account itself,\n"
    "which have no member, hold in all.\n";

static enum err join(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 1; cli_word(c, i).len && !e; i++)
        e = member_join(&c->edit, cli_word(c, 0), cli_word(c, i));
    return e;
}

static enum err create(struct cli *c)
{
    enum err e = member_create(&c->edit, cli_word(c, 0), str_from_cstr(name));

    return e ? e : join(c);
}

static enum err delete (struct cli *c) { return member_delete(&c->edit, cli_word(c, 0)); }

static enum err leave(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 1; cli_word(c, i).len && !e; i++)
        e = member_leave(&c->edit, cli_word(c, 0), cli_word(c, i));
    return e;
}

static str workspaces_text(struct cli *c, const struct member_row *m)
{
    struct buf b;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < m->workspace_count; i++) {
        if (i)
            buf_add_char(&b, ' ');
        buf_add(&b, m->workspaces[i]);
    }
    return buf_str(&b);
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID", "NAME", "CREATED", "WORKSPACES" };
    struct member_row       *members;
    struct cli_table         t;
    size_t                   count;
    enum err                 e = member_list(&c->edit, cli_word(c, 0), &members, &count);

    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        struct buf b;

        if (c->json) {
            buf_init(&b, c->edit.arena, SIZE_MAX / 2);
            object_member(&b, &members[i]);
            cli_print(&b);
            continue;
        }
        cli_table_add(&t, members[i].id);
        cli_table_add(&t, members[i].name);
        cli_table_add(&t, cli_when(c->edit.arena, members[i].created_ms));
        cli_table_add(&t, workspaces_text(c, &members[i]));
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

int cli_members(int argc, char **argv)
{
    static const struct cli_flag   flags[] = { { "--name", &name } };
    static const struct cli_action actions[] = {
        { "create", 1, CLI_WORDS_MAX, true, create },
        { "list", 0, 0, false, list },
        { "show", 1, 1, false, list },
        { "delete", 1, 1, false, delete },
        { "join", 2, CLI_WORDS_MAX, false, join },
        { "leave", 2, CLI_WORDS_MAX, false, leave },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
