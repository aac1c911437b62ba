/* faults.c - dashbox faults add|list|remove|clear: failures on purpose, in a running server. */
#include "cli/admin_client.h"

static const char *model, *key, *path, *times, *every, *share, *seed;

static const char usage[] =
    "usage: dashbox faults add FAULT [--model PATTERN] [--key PATTERN] [--path PATTERN]\n"
    "                          [--times N] [--every N] [--share PERCENT] [--seed N] [--json]\n"
    "       dashbox faults list [--json]\n"
    "       dashbox faults remove ID…\n"
    "       dashbox faults clear\n"
    "\n"
    "FAULT is one of\n"
    "  E205                 that error of the reference, by number or name; args=a,b fill its sentence\n"
    "  E100c@3              the same in an answer: after three events, or at its end when it has fewer\n"
    "  cut, cut@3           the connection is closed, before the answer or in it\n"
    "  stall, stall@3       nothing more comes, or not for=10s\n"
    "  slow first=500ms between=20ms-80ms\n"
    "\n"
    "  --model, --key, --path   which calls: patterns with *, of the model, the key's id, the path\n"
    "  --times N                so often, then never again\n"
    "  --every N                every Nth of those calls\n"
    "  --share PERCENT          so many in a hundred, drawn from --seed: the same seed, the same calls\n"
    "  --url URL                the server; DASHBOX_URL, or http://127.0.0.1:8420\n"
    "  --admin-key KEY          DASHBOX_ADMIN_KEY, or the file admin-key of the data folder\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "The two next calls of qwen-plus are too fast:\n"
    "  dashbox faults add E205 --model qwen-plus --times 2\n";

/* All words behind "add". */
static str fault_text(struct cli *c)
{
    struct buf b;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    for (size_t i = 0; cli_word(c, i).len; i++) {
        if (i)
            buf_add_char(&b, ' ');
        buf_add(&b, cli_word(c, i));
    }
    return buf_str(&b);
}

static enum err add(struct cli *c)
{
    const char *const numbers[][2] = {
        { "--times", times }, { "--every", every }, { "--share", share }, { "--seed", seed }
    };
    struct buf  b;
    yyjson_val *rule;
    str         shown;
    enum err    e = OK;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    admin_client_text(&b, "fault", str_to_cstr(c->edit.arena, fault_text(c)));
    admin_client_text(&b, "model", model);
    admin_client_text(&b, "key", key);
    admin_client_text(&b, "path", path);
    for (size_t i = 0; i < ARRAY_LEN(numbers) && !e; i++)
        e = admin_client_number(c, &b, numbers[i][0], numbers[i][1]);
    buf_add_char(&b, '}');
    if (!e)
        e = admin_client_call(c, "POST", S("/admin/v1/faults"), buf_str(&b), &rule);
    if (e)
        return e;
    shown = c->json ? json_text(c->edit.arena, rule) : admin_client_cell(c, rule, "id");
    printf("%.*s\n", STR_ARG(shown));
    return OK;
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID",    "FAULT", "MODEL", "KEY",    "PATH",
                                         "TIMES", "EVERY", "SHARE", "FITTED", "ACTED" };
    struct cli_table         t;
    yyjson_val              *answer, *one;
    size_t                   at, max;
    enum err                 e = admin_client_call(c, "GET", S("/admin/v1/faults"), (str){ 0 }, &answer);

    if (e)
        return e;
    if (c->json) {
        admin_client_print_data(c, answer);
        return OK;
    }
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    yyjson_arr_foreach(json_get(answer, "data"), at, max, one)
    {
        static const char *const texts[] = { "id", "fault", "model", "key", "path" };

        for (size_t i = 0; i < ARRAY_LEN(texts); i++)
            cli_table_add(&t, admin_client_cell(c, one, texts[i]));
        cli_table_add(&t, json_get(one, "times") ? admin_client_cell(c, one, "times") : S("always"));
        cli_table_add(&t, admin_client_cell(c, one, "every"));
        cli_table_add(&t, arena_printf(c->edit.arena, "%lld%%", (long long)admin_client_int(one, "share")));
        cli_table_add(&t, admin_client_cell(c, one, "fitted"));
        cli_table_add(&t, admin_client_cell(c, one, "acted"));
    }
    cli_table_end(&t);
    return OK;
}

static enum err remove_each(struct cli *c)
{
    yyjson_val *nothing;
    enum err    e = OK;

    for (size_t i = 0; cli_word(c, i).len && !e; i++)
        e = admin_client_call(c, "DELETE",
                              arena_printf(c->edit.arena, "/admin/v1/faults/%.*s", STR_ARG(cli_word(c, i))), (str){ 0 },
                              &nothing);
    return e;
}

static enum err clear(struct cli *c)
{
    yyjson_val *nothing;

    return admin_client_call(c, "DELETE", S("/admin/v1/faults"), (str){ 0 }, &nothing);
}

int cli_faults(int argc, char **argv)
{
    static const struct cli_flag flags[] = {
        { "--model", &model }, { "--key", &key },     { "--path", &path }, { "--times", &times },
        { "--every", &every }, { "--share", &share }, { "--seed", &seed },
    };
    static const struct cli_action actions[] = {
        { "add", 1, CLI_WORDS_MAX, .run = add, .asks_server = true },
        { "list", 0, 0, .run = list, .asks_server = true },
        { "remove", 1, CLI_WORDS_MAX, .run = remove_each, .asks_server = true },
        { "clear", 0, 0, .run = clear, .asks_server = true },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
