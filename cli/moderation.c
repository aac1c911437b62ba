/* moderation.c - dashbox moderation add|list|remove: rules of a workspace (doc/moderation.md), by the admin API of a server. */
#include "cli/admin_client.h"

static const char *workspace, *kind;

static const char usage[] =
    "usage: dashbox moderation add PATTERN [--workspace W] [--kind KIND] [--json]\n"
    "       dashbox moderation list [--workspace W] [--json]\n"
    "       dashbox moderation remove ID…\n"
    "\n"
    "  PATTERN            a word, found anywhere in any case and width; or an expression between slashes: '/\\bsecret \\w+/'\n"
    "  --workspace W      whose calls it looks at; \"default\" when absent; with list: all\n"
    "  --kind KIND        how it refuses: block (E100b, E100c), custom (E179), faq (E174), ip (E177, of questions alone);\n"
    "                     custom when absent\n"
    "  --url URL          the server; DASHBOX_URL, or http://127.0.0.1:8420\n"
    "  --admin-key KEY    DASHBOX_ADMIN_KEY, or the file admin-key of the data folder\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "A rule holds for the next call. Many rules are better a file: the option moderation.rules.\n";

static enum err add(struct cli *c)
{
    struct arena *a = c->edit.arena;
    str           pattern = cli_word(c, 0);
    bool          is_regex = pattern.len > 2 && pattern.ptr[0] == '/' && str_ends(pattern, S("/"));
    struct buf    b;
    yyjson_val   *made;
    str           shown;
    enum err      e;

    if (is_regex)
        pattern = str_of(pattern.ptr + 1, pattern.len - 2);
    buf_init(&b, a, SIZE_MAX / 2);
    admin_client_text(&b, "workspace", workspace ? workspace : "default");
    admin_client_text(&b, "kind", kind ? kind : "custom");
    admin_client_text(&b, "pattern", str_to_cstr(a, pattern));
    buf_add(&b, is_regex ? S(",\"is_regex\":true}") : S("}"));
    e = admin_client_call(c, "POST", S("/admin/v1/policies"), buf_str(&b), &made);
    if (e)
        return e;
    shown = c->json ? json_text(a, made) : admin_client_cell(c, made, "id");
    printf("%.*s\n", STR_ARG(shown));
    return OK;
}

/* Page after page. */
static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID", "WORKSPACE", "KIND", "PATTERN", "CREATED" };
    struct arena            *a = c->edit.arena;
    struct cli_table         t;
    str                      after = { 0 };

    cli_table_begin(&t, a, heads, ARRAY_LEN(heads));
    do {
        yyjson_val *answer, *one;
        size_t      at, max;
        struct buf  b;
        enum err    e;

        buf_init(&b, a, SIZE_MAX / 2);
        buf_add(&b, S("/admin/v1/policies"));
        admin_client_query(&b, "limit", "1000");
        admin_client_query(&b, "workspace", workspace);
        if (after.len)
            admin_client_query(&b, "after", str_to_cstr(a, after));
        e = admin_client_call(c, "GET", buf_str(&b), (str){ 0 }, &answer);
        if (e)
            return e;
        if (c->json)
            admin_client_print_data(c, answer);
        yyjson_arr_foreach(json_get(answer, "data"), at, max, one)
        {
            str pattern = admin_client_cell(c, one, "pattern");

            cli_table_add(&t, admin_client_cell(c, one, "id"));
            cli_table_add(&t, admin_client_cell(c, one, "workspace"));
            cli_table_add(&t, admin_client_cell(c, one, "kind"));
            cli_table_add(&t, yyjson_is_true(json_get(one, "is_regex")) ? arena_printf(a, "/%.*s/", STR_ARG(pattern))
                                                                        : pattern);
            cli_table_add(&t, admin_client_cell(c, one, "created"));
        }
        after = json_str(json_get(answer, "next"));
    } while (after.len);
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err remove_each(struct cli *c)
{
    yyjson_val *nothing;
    enum err    e = OK;

    for (size_t i = 0; cli_word(c, i).len && !e; i++)
        e = admin_client_call(c, "DELETE",
                              arena_printf(c->edit.arena, "/admin/v1/policies/%.*s", STR_ARG(cli_word(c, i))),
                              (str){ 0 }, &nothing);
    return e;
}

int cli_moderation(int argc, char **argv)
{
    static const struct cli_flag   flags[] = { { "--workspace", &workspace }, { "--kind", &kind } };
    static const struct cli_action actions[] = {
        { "add", 1, 1, .run = add, .asks_server = true },
        { "list", 0, 0, .run = list, .asks_server = true },
        { "remove", 1, CLI_WORDS_MAX, .run = remove_each, .asks_server = true },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
