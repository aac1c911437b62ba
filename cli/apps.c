/* apps.c - dashbox apps create|set|publish|list|show|delete|runs|trace|run. */
#include "access/app_edit.h"
#include "api/admin/objects_apps.h"
#include "base/num.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "contract/apps_params.gen.h"
#include "contract/json.h"

#define RUNS_DEFAULT 20

static const char *workspace, *limit;

#define STORE_USAGE                                                               \
    "usage: dashbox apps create FILE [--workspace ID]\n"                          \
    "       dashbox apps set APP FILE\n"                                          \
    "       dashbox apps publish APP…\n"                                        \
    "       dashbox apps list [--workspace ID] [--json]\n"                        \
    "       dashbox apps show APP [--json]\n"                                     \
    "       dashbox apps delete APP…\n"                                         \
    "       dashbox apps runs APP [--limit N] [--json]\n"                         \
    "       dashbox apps trace RUN [--json]\n"                                    \
    "       dashbox apps run APP [PROMPT] [--session ID] [--biz JSON] [--json]\n" \
    "\n"

static const char usage[] = STORE_USAGE
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "FILE is a definition in YAML or JSON (doc/apps.md), - for standard input. create prints the application's id. Calls run\n"
    "what was published; publish again after set. trace shows a run step by step, RUN is the request id of its call; run\n"
    "calls an application (dashbox apps run --help).\n";

static const char run_usage[] =
    "usage: dashbox apps run APP [PROMPT] [OPTIONS]      PROMPT from standard input when it is absent\n"
    "\n"
    "Prints what the application answers; its session and run (for dashbox apps trace) on standard error.\n"
    "\n"
    "  --session ID                goes on with that session\n"
    "  --biz JSON                  biz_params: values for a flow's start, for prompts and plug-ins\n"
    "  --json                      the whole answer, with thoughts\n" CLI_CLIENT_USAGE;

/* ---- definitions ---- */

static enum err read_definition(struct cli *c, str name, str *ret)
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
        return edit_refuse(&c->edit, ERR_INVALID, "%s: a definition has %zu KiB at most", path,
                           (size_t)APPS_DEFINITION_MAX / 1024);
    *ret = buf_str(&b);
    return OK;
}

static enum err create(struct cli *c)
{
    str      text, id;
    enum err e = read_definition(c, cli_word(c, 0), &text);

    if (!e)
        e = app_create(&c->edit, workspace ? str_from_cstr(workspace) : WORKSPACE_DEFAULT, text, &id);
    if (!e)
        printf("%.*s\n", STR_ARG(id));
    return e;
}

static enum err set(struct cli *c)
{
    str      text;
    enum err e = read_definition(c, cli_word(c, 1), &text);

    return e ? e : app_set(&c->edit, cli_word(c, 0), text);
}

static enum err publish(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 0; cli_word(c, i).len && !e; i++)
        e = app_publish(&c->edit, cli_word(c, i));
    return e;
}

static enum err delete_each(struct cli *c)
{
    enum err e = OK;

    for (size_t i = 0; cli_word(c, i).len && !e; i++)
        e = app_delete(&c->edit, cli_word(c, i));
    return e;
}

static void print_app(struct cli *c, const struct app_row *a)
{
    struct buf b;

    buf_init(&b, c->edit.arena, SIZE_MAX / 2);
    object_app(&b, a);
    cli_print(&b);
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID", "WORKSPACE", "TYPE", "VERSION", "PUBLISHED", "CHANGED", "NAME" };
    struct app_row          *all;
    struct cli_table         t;
    size_t                   count;
    enum err                 e = app_list(&c->edit, str_from_cstr(workspace), (str){ 0 }, &all, &count);

    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        const struct app_row *a = &all[i];

        if (c->json) {
            print_app(c, a);
            continue;
        }
        cli_table_add(&t, a->id);
        cli_table_add(&t, a->workspace);
        cli_table_add(&t, a->kind);
        cli_table_add(&t, cli_count(c->edit.arena, a->version));
        cli_table_add(&t, cli_when(c->edit.arena, a->published_ms));
        cli_table_add(&t, a->changed ? S("yes") : S("-"));
        cli_table_add(&t, a->name);
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err show(struct cli *c)
{
    struct app_row *a;
    size_t          count;
    enum err        e = app_list(&c->edit, (str){ 0 }, cli_word(c, 0), &a, &count);

    if (e)
        return e;
    if (c->json)
        print_app(c, a);
    else
        printf("%.*s%s", STR_ARG(a->draft), str_ends(a->draft, S("\n")) ? "" : "\n");
    return OK;
}

/* ---- runs ---- */

static enum err runs(struct cli *c)
{
    static const char *const heads[] = { "RUN", "VERSION", "STARTED", "MS", "ERROR" };
    struct app_run_row      *all;
    struct cli_table         t;
    size_t                   count;
    int64_t                  most = RUNS_DEFAULT;
    enum err                 e = cli_number(c, "--limit", limit, &most);

    if (!e)
        e = app_run_list(&c->edit, cli_word(c, 0), most, &all, &count);
    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        struct buf b;

        if (c->json) {
            buf_init(&b, c->edit.arena, SIZE_MAX / 2);
            object_app_run(&b, &all[i], false);
            cli_print(&b);
            continue;
        }
        cli_table_add(&t, all[i].id);
        cli_table_add(&t, cli_count(c->edit.arena, all[i].version));
        cli_table_add(&t, cli_when(c->edit.arena, all[i].started_ms));
        cli_table_add(&t, arena_printf(c->edit.arena, "%lld", (long long)all[i].ms));
        cli_table_add(&t, all[i].code.len ? all[i].code : S("-"));
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

#define CELL_MAX 200 /* bytes of a value in the table; --json has all */

static str cell(struct cli *c, yyjson_val *v)
{
    str text = v ? json_text(c->edit.arena, v) : S("-");

    return text.len > CELL_MAX ? arena_printf(c->edit.arena, "%.*s…", CELL_MAX, text.ptr) : text;
}

static str number_text(struct cli *c, yyjson_val *v)
{
    return arena_printf(c->edit.arena, "%lld", (long long)yyjson_get_sint(v));
}

static enum err trace(struct cli *c)
{
    static const char *const heads[] = { "NODE", "TYPE", "AT", "MS", "STATUS", "OUTPUT" };
    struct app_run_row       run;
    struct cli_table         t;
    struct buf               b;
    size_t                   at, max;
    yyjson_val              *one;
    enum err                 e = app_run_get(&c->edit, cli_word(c, 0), &run);

    if (e)
        return e;
    if (c->json) {
        buf_init(&b, c->edit.arena, SIZE_MAX / 2);
        object_app_run(&b, &run, true);
        cli_print(&b);
        return OK;
    }
    printf("application %.*s, version %lld: %s in %lld ms\n\n", STR_ARG(run.app), (long long)run.version,
           run.code.len ? "failed" : "went well", (long long)run.ms);
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    yyjson_arr_foreach(json_parse_copy(c->edit.arena, run.steps), at, max, one)
    {
        str node = json_str(json_get(one, "node")), loop = json_str(json_get(one, "loop")),
            error = json_str(json_get(one, "error"));

        cli_table_add(&t, loop.len ? arena_printf(c->edit.arena, "%.*s[%lld].%.*s", STR_ARG(loop),
                                                  (long long)yyjson_get_sint(json_get(one, "round")), STR_ARG(node))
                                   : node);
        cli_table_add(&t, json_str(json_get(one, "type")));
        cli_table_add(&t, number_text(c, json_get(one, "start_ms")));
        cli_table_add(&t, number_text(c, json_get(one, "ms")));
        cli_table_add(&t, error.len ? error : json_str(json_get(one, "status")));
        cli_table_add(&t, error.len ? json_str(json_get(one, "detail")) : cell(c, json_get(one, "output")));
    }
    cli_table_end(&t);
    return OK;
}

/* ---- calling ---- */

static int print_answer(struct cli_client *c, const struct dashscope_answer *answer, bool json)
{
    yyjson_val *root = json_parse_copy(&c->arena, str_of(answer->body, answer->len)),
               *output = json_get(root, "output");
    str text = json_str(json_get(output, "text")), session = json_str(json_get(output, "session_id"));

    if (!output)
        return cli_client_complain(c, CLI_FAILED, "the answer has no output");
    if (json) {
        printf("%.*s\n", (int)answer->len, answer->body);
        return CLI_DONE;
    }
    printf("%.*s\n", STR_ARG(text));
    fprintf(stderr, "session %.*s, run %s\n", STR_ARG(session), answer->request_id);
    return CLI_DONE;
}

static int run_app(int argc, char **argv)
{
    const char              *session = NULL, *biz = NULL;
    bool                     json = false;
    const struct cli_option  options[] = { { "--session", &session, NULL },
                                           { "--biz", &biz, NULL },
                                           { "--json", NULL, &json } };
    struct cli_client        c;
    struct dashscope_request q = { .method = "POST" };
    struct dashscope_answer *answer;
    struct buf               b;
    str                      prompt;
    int                      status;

    if (!cli_client_begin(&c, argc, argv, run_usage, options, ARRAY_LEN(options), &status))
        return status;
    if (!c.word_count || c.word_count > 2) {
        fputs(run_usage, stderr);
        return cli_client_end(&c, CLI_USAGE);
    }
    prompt = str_from_cstr(c.words[1]);
    if (c.word_count == 1 && !cli_client_read(&c, "-", &prompt))
        return cli_client_end(&c, CLI_FAILED);
    if (biz && !yyjson_is_obj(json_parse_copy(&c.arena, str_from_cstr(biz))))
        return cli_client_end(&c, cli_client_complain(&c, CLI_USAGE, "--biz takes a JSON object"));
    cli_client_catch_interrupt(&c);
    buf_init(&b, &c.arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"input\":{\"prompt\":"));
    json_add_str(&b, str_trim(prompt));
    if (session) {
        buf_add(&b, S(",\"session_id\":"));
        json_add_str(&b, str_from_cstr(session));
    }
    if (biz) {
        buf_add(&b, S(",\"biz_params\":"));
        buf_add(&b, str_from_cstr(biz));
    }
    buf_addf(&b, "},\"parameters\":{\"has_thoughts\":%s}}", json ? "true" : "false");
    q.path = arena_printf(&c.arena, "/apps/%s/completion", c.words[0]).ptr;
    q.body = str_to_cstr(&c.arena, buf_str(&b));
    if (dashscope_call(c.handle, &q, &answer))
        return cli_client_end(&c, cli_client_failed(&c));
    status = print_answer(&c, answer, json);
    dashscope_free(answer);
    return cli_client_end(&c, status);
}

int cli_apps(int argc, char **argv)
{
    static const struct cli_flag   flags[] = { { "--workspace", &workspace }, { "--limit", &limit } };
    static const struct cli_action actions[] = {
        { "create", 1, 1, true, create },
        { "set", 2, 2, false, set },
        { "publish", 1, CLI_WORDS_MAX, false, publish },
        { "list", 0, 0, false, list },
        { "show", 1, 1, false, show },
        { "delete", 1, CLI_WORDS_MAX, false, delete_each },
        { "runs", 1, 1, false, runs },
        { "trace", 1, 1, false, trace },
    };

    if (argc > 1 && str_eq(str_from_cstr(argv[1]), S("run")))
        return run_app(argc - 1, argv + 1);
    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
