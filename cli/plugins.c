/* plugins.c - dashbox plugins create|set|secret|list|show|delete. */
#include "access/plugin_edit.h"
#include "api/admin/objects_apps.h"
#include "cli/cli.h"
#include "contract/apps_params.gen.h"

static const char *workspace, *id, *secret_file;

static const char usage[] =
    "usage: dashbox plugins create FILE [--id ID] [--workspace ID] [--secret-file FILE]\n"
    "       dashbox plugins set PLUGIN FILE\n"
    "       dashbox plugins secret PLUGIN [--secret-file FILE]\n"
    "       dashbox plugins list [--workspace ID] [--json]\n"
    "       dashbox plugins show PLUGIN [--json]\n"
    "       dashbox plugins delete PLUGIN…\n"
    "\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "FILE is an OpenAPI 3 description in YAML or JSON (doc/apps.md), - for standard input. The secret is what the service\n"
    "wants to be told (an API key, a bearer token, \"user:password\"); it is stored encrypted and never shown. secret\n"
    "without a file takes it away.\n";

static enum err read_file(struct cli *c, str name, str *ret)
{
    const char *path = str_to_cstr(c->edit.arena, name);
    FILE       *f = str_eq(name, S("-")) ? stdin : fopen(path, "rbe");
    struct buf  b;
    char        piece[4096];
    size_t      n;

    if (!f)
        return edit_refuse(&c->edit, ERR_INVALID, "%s: it cannot be opened", path);
    buf_init(&b, c->edit.arena, APPS_DEFINITION_MAX);
    while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_add_bytes(&b, piece, n);
    if (f != stdin)
        fclose(f);
    if (b.full)
        return edit_refuse(&c->edit, ERR_INVALID, "%s: it has %zu KiB at most", path,
                           (size_t)APPS_DEFINITION_MAX / 1024);
    *ret = buf_str(&b);
    return OK;
}

static enum err read_secret(struct cli *c, str *ret)
{
    enum err e = secret_file ? read_file(c, str_from_cstr(secret_file), ret) : OK;

    *ret = !e && secret_file ? str_trim(*ret) : (str){ 0 };
    return e;
}

static enum err create(struct cli *c)
{
    str      text, secret, made;
    enum err e = read_file(c, cli_word(c, 0), &text);

    if (!e)
        e = read_secret(c, &secret);
    if (!e)
        e = plugin_create(&c->edit, workspace ? str_from_cstr(workspace) : WORKSPACE_DEFAULT, str_from_cstr(id), text,
                          secret, &made);
    if (!e)
        printf("%.*s\n", STR_ARG(made));
    return e;
}

static enum err set(struct cli *c)
{
    str      text;
    enum err e = read_file(c, cli_word(c, 1), &text);

    return e ? e : plugin_set(&c->edit, cli_word(c, 0), text);
}

static enum err set_secret(struct cli *c)
{
    str      secret;
    enum err e = read_secret(c, &secret);

    return e ? e : plugin_secret(&c->edit, cli_word(c, 0), secret);
}

static enum err delete_each(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 0; cli_word(c, i).len && !e; i++)
        e = plugin_delete(&c->edit, cli_word(c, i));
    return e;
}

static void print_plugin(struct cli *c, const struct plugin_row *p)
{
    struct buf b;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    object_plugin(&b, p);
    cli_print(&b);
}

static str tools_of(struct cli *c, const struct plugin_row *p)
{
    struct buf b;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < p->tool_count; i++) {
        if (i)
            buf_add_char(&b, ' ');
        buf_add(&b, p->tools[i]);
    }
    return buf_str(&b);
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID", "WORKSPACE", "NAME", "SECRET", "CREATED", "OPERATIONS" };
    struct plugin_row       *all;
    struct cli_table         t;
    size_t                   count;
    enum err                 e = plugin_list(&c->edit, str_from_cstr(workspace), (str){ 0 }, &all, &count);

    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        if (c->json) {
            print_plugin(c, &all[i]);
            continue;
        }
        cli_table_add(&t, all[i].id);
        cli_table_add(&t, all[i].workspace);
        cli_table_add(&t, all[i].name);
        cli_table_add(&t, all[i].has_secret ? S("yes") : S("-"));
        cli_table_add(&t, cli_when(c->edit.arena, all[i].created_ms));
        cli_table_add(&t, tools_of(c, &all[i]));
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err show(struct cli *c)
{
    struct plugin_row *p;
    size_t             count;
    enum err           e = plugin_list(&c->edit, (str){ 0 }, cli_word(c, 0), &p, &count);

    if (e)
        return e;
    if (c->json)
        print_plugin(c, p);
    else
        printf("%.*s%s", STR_ARG(p->source), str_ends(p->source, S("\n")) ? "" : "\n");
    return OK;
}

int cli_plugins(int argc, char **argv)
{
    static const struct cli_flag   flags[] = { { "--workspace", &workspace },
                                               { "--id", &id },
                                               { "--secret-file", &secret_file } };
    static const struct cli_action actions[] = {
        { "create", 1, 1, true, create },      { "set", 2, 2, false, set },
        { "secret", 1, 1, false, set_secret }, { "list", 0, 0, false, list },
        { "show", 1, 1, false, show },         { "delete", 1, CLI_WORDS_MAX, false, delete_each },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
