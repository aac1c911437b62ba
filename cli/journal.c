/* journal.c - dashbox journal list|clear: what a running server has received lately. */
#include "cli/admin_client.h"

#define ENTRIES "1000" /* as many as the API gives at once */

static const char *model, *path, *key, *error, *status, *after, *limit = ENTRIES;

static const char usage[] =
    "usage: dashbox journal list [--model PATTERN] [--path PATTERN] [--key PATTERN] [--error PATTERN]\n"
    "                            [--status N] [--after NUMBER] [--limit N] [--json]\n"
    "       dashbox journal clear\n"
    "\n"
    "  PATTERN                  * stands for anything: --model 'qwen3-*', --error 'E20*'\n"
    "  --status N               of the answer; 0 in a line: it was cut off, or the client had gone\n"
    "  --after NUMBER           only what came behind that one\n"
    "  --json                   a line each, with header fields and bodies\n"
    "  --url URL                the server; DASHBOX_URL, or http://127.0.0.1:8420\n"
    "  --admin-key KEY          DASHBOX_ADMIN_KEY, or the file admin-key of the data folder\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "Oldest first; the server keeps the last 1,000 (option journal), none under --production.\n";

static void add_row(struct cli *c, struct cli_table *t, yyjson_val *one)
{
    str when = admin_client_cell(c, one, "time");

    cli_table_add(t, admin_client_cell(c, one, "number"));
    cli_table_add(t, str_first(str_from(when, sizeof("2026-11-24T") - 1), sizeof("20:00:57.123") - 1));
    cli_table_add(t, admin_client_cell(c, one, "status"));
    cli_table_add(t, admin_client_cell(c, one, "error"));
    cli_table_add(t, admin_client_cell(c, one, "model"));
    cli_table_add(t, admin_client_cell(c, one, "key"));
    cli_table_add(t, cli_count(c->edit.arena, admin_client_int(one, "prompt_tokens")));
    cli_table_add(t, cli_count(c->edit.arena, admin_client_int(one, "completion_tokens")));
    cli_table_add(t, admin_client_cell(c, one, "fault"));
    cli_table_add(t, admin_client_cell(c, one, "path"));
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = {
        "NO", "TIME", "STATUS", "ERROR", "MODEL", "KEY", "IN", "OUT", "FAULT", "PATH"
    };
    struct cli_table t;
    struct buf       target;
    yyjson_val      *answer, *one;
    size_t           at, max;
    enum err         e;

    buf_init(&target, c->edit.arena, SIZE_MAX / 2);
    buf_add(&target, S("/admin/v1/journal"));
    admin_client_query(&target, "model", model);
    admin_client_query(&target, "path", path);
    admin_client_query(&target, "key", key);
    admin_client_query(&target, "error", error);
    admin_client_query(&target, "status", status);
    admin_client_query(&target, "after", after);
    admin_client_query(&target, "limit", limit);
    e = admin_client_call(c, "GET", buf_str(&target), (str){ 0 }, &answer);
    if (e)
        return e;
    if (c->json) {
        admin_client_print_data(c, answer);
        return OK;
    }
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    yyjson_arr_foreach(json_get(answer, "data"), at, max, one) add_row(c, &t, one);
    cli_table_end(&t);
    return OK;
}

static enum err clear(struct cli *c)
{
    yyjson_val *nothing;

    return admin_client_call(c, "DELETE", S("/admin/v1/journal"), (str){ 0 }, &nothing);
}

int cli_journal(int argc, char **argv)
{
    static const struct cli_flag flags[] = {
        { "--model", &model },   { "--path", &path },   { "--key", &key },     { "--error", &error },
        { "--status", &status }, { "--after", &after }, { "--limit", &limit },
    };
    static const struct cli_action actions[] = {
        { "list", 0, 0, .run = list, .asks_server = true },
        { "clear", 0, 0, .run = clear, .asks_server = true },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
