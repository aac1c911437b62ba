/* files.c - dashbox files upload|list|show|content|delete: the account's files. */
#include "cli/files.h"

#include "cli/cli.h"
#include "cli/managed.h"
#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const char usage[] = "usage: dashbox files upload FILE… [--purpose PURPOSE]   prints their ids\n"
                            "       dashbox files list [--purpose PURPOSE] [--after ID] [--limit N]\n"
                            "       dashbox files show ID\n"
                            "       dashbox files content ID [--output FILE]         of what a batch has made\n"
                            "       dashbox files delete ID…\n"
                            "\n"
                            "  --purpose PURPOSE           file-extract: documents to talk about; batch; fine-tune\n"
                            "                              [batch for .jsonl, else file-extract]\n"
                            "  --output FILE               - is standard output [-]\n"
                            "  --json                      the server's answer\n" CLI_CLIENT_USAGE;

struct files {
    struct cli_client client;
    const char       *purpose, *after, *limit, *output;
    bool              json;
};

/* ---- shared ---- */

static int on_progress(int64_t done, int64_t total, void *arg)
{
    cli_progress_show(arg, done, total, (str){ 0 });
    return 0;
}

str cli_file_answer(struct cli_client *c, struct dashscope_answer *answer)
{
    str text = arena_str(&c->arena, str_of(answer->body, answer->len));

    dashscope_free(answer);
    return text;
}

int cli_file_upload(struct cli_client *c, const char *file, const char *purpose, const char *what, str *ret)
{
    struct dashscope_answer *answer;
    struct cli_progress      p;
    enum dashscope_result    r;

    cli_progress_begin(&p, what, true);
    r = dashscope_file_create(c->handle, file, purpose, on_progress, &p, &answer);
    cli_progress_end(&p);
    if (r)
        return cli_client_failed(c);
    *ret = cli_file_answer(c, answer);
    return CLI_DONE;
}

int cli_file_ask(struct cli_client *c, const char *method, str path, const char *body, str *ret)
{
    struct dashscope_answer *answer;
    struct dashscope_request q = {
        .method = method, .path = str_to_cstr(&c->arena, path), .body = body, .protocol = DASHSCOPE_COMPATIBLE
    };

    if (dashscope_call(c->handle, &q, &answer))
        return cli_client_failed(c);
    *ret = cli_file_answer(c, answer);
    return CLI_DONE;
}

int cli_file_save(struct cli_client *c, const char *id, const char *file, bool append)
{
    bool standard = strcmp(file, "-") == 0;
    int  fd =
        standard ? STDOUT_FILENO : open(file, O_WRONLY | O_CREAT | O_CLOEXEC | (append ? O_APPEND : O_TRUNC), 0644);
    int status;

    if (fd < 0)
        return cli_client_complain(c, CLI_FAILED, "%s: %s", file, strerror(errno));
    status = dashscope_file_content(c->handle, id, fd) ? cli_client_failed(c) : CLI_DONE;
    if (!standard && close(fd) && !status)
        status = cli_client_complain(c, CLI_FAILED, "%s: %s", file, strerror(errno));
    return status;
}

/* ---- the command ---- */

static str path_of(struct files *f, const char *id)
{
    struct buf b;

    buf_init(&b, &f->client.arena, SIZE_MAX / 2);
    buf_add(&b, S("/files/"));
    cli_path_add(&b, str_from_cstr(id));
    return buf_str(&b);
}

static const char *purpose_of(const struct files *f, const char *file)
{
    return f->purpose ? f->purpose : str_ends(str_from_cstr(file), S(".jsonl")) ? "batch" : "file-extract";
}

static int upload(struct files *f, const char *file)
{
    str answer = { 0 };
    int status = cli_file_upload(&f->client, file, purpose_of(f, file),
                                 arena_printf(&f->client.arena, "uploading %s", file).ptr, &answer);

    if (status)
        return status;
    if (f->json)
        printf("%.*s\n", STR_ARG(answer));
    else
        printf("%.*s\n", STR_ARG(json_str(json_get(json_parse_copy(&f->client.arena, answer), "id"))));
    return CLI_DONE;
}

static void add_row(struct files *f, struct cli_table *t, yyjson_val *file)
{
    struct arena *a = &f->client.arena;
    int64_t       bytes = 0, created = 0;

    (void)json_to_i64(json_get(file, "bytes"), &bytes);
    (void)json_to_i64(json_get(file, "created_at"), &created);
    cli_table_add(t, json_str(json_get(file, "id")));
    cli_table_add(t, json_str(json_get(file, "purpose")));
    cli_table_add(t, cli_count(a, bytes));
    cli_table_add(t, cli_when(a, created * 1000));
    cli_table_add(t, json_str(json_get(file, "filename")));
}

static const char *const heads[] = { "FILE", "PURPOSE", "BYTES", "CREATED", "NAME" };

static int list(struct files *f)
{
    struct arena    *a = &f->client.arena;
    str              answer = { 0 };
    struct cli_table table;
    yyjson_val      *root, *file;
    size_t           i, n;
    int              status = cli_file_ask(&f->client, "GET",
                                           arena_printf(a, "/files?purpose=%s&after=%s&limit=%s", f->purpose ? f->purpose : "",
                                           f->after ? f->after : "", f->limit ? f->limit : "100"),
                                           NULL, &answer);

    if (status)
        return status;
    root = json_parse_copy(a, answer);
    if (f->json) {
        printf("%.*s\n", STR_ARG(answer));
    } else {
        cli_table_begin(&table, a, heads, ARRAY_LEN(heads));
        yyjson_arr_foreach(json_get(root, "data"), i, n, file) add_row(f, &table, file);
        cli_table_end(&table);
        if (yyjson_get_bool(json_get(root, "has_more")))
            puts("there are more; --after with the last id shows them");
    }
    return CLI_DONE;
}

static int show(struct files *f, const char *id)
{
    str              answer = { 0 };
    struct cli_table table;
    int              status = cli_file_ask(&f->client, "GET", path_of(f, id), NULL, &answer);

    if (status)
        return status;
    if (f->json) {
        printf("%.*s\n", STR_ARG(answer));
    } else {
        cli_table_begin(&table, &f->client.arena, heads, ARRAY_LEN(heads));
        add_row(f, &table, json_parse_copy(&f->client.arena, answer));
        cli_table_end(&table);
    }
    return CLI_DONE;
}

static int content(struct files *f, const char *id)
{
    return cli_file_save(&f->client, id, f->output ? f->output : "-", false);
}

static int delete (struct files *f, const char *id)
{
    str answer = { 0 };
    int status = cli_file_ask(&f->client, "DELETE", path_of(f, id), NULL, &answer);

    if (status)
        return status;
    if (f->json)
        printf("%.*s\n", STR_ARG(answer));
    return CLI_DONE;
}

static const struct {
    const char *name;
    int (*run)(struct files *f, const char *word);
    size_t words_max;
} actions[] = {
    { "upload", upload, SIZE_MAX }, { "show", show, 1 }, { "content", content, 1 }, { "delete", delete, SIZE_MAX }
};

/* The highest of their statuses. */
static int each(struct files *f, int (*run)(struct files *f, const char *word))
{
    int status = CLI_DONE;

    for (size_t i = 1; i < f->client.word_count && status != CLI_INTERRUPTED; i++) {
        int one = run(f, f->client.words[i]);

        status = one > status ? one : status;
    }
    return status;
}

int cli_files(int argc, char **argv)
{
    struct files            f = { .json = false };
    const struct cli_option options[] = { { "--purpose", &f.purpose, NULL },
                                          { "--after", &f.after, NULL },
                                          { "--limit", &f.limit, NULL },
                                          { "--output", &f.output, NULL },
                                          { "--json", NULL, &f.json } };
    const char             *action;
    int                     status;

    if (!cli_client_begin(&f.client, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    cli_client_catch_interrupt(&f.client);
    action = f.client.word_count ? f.client.words[0] : "";
    if (strcmp(action, "list") == 0 && f.client.word_count == 1)
        return cli_client_end(&f.client, list(&f));
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(action, actions[i].name) == 0 && f.client.word_count > 1 &&
            f.client.word_count - 1 <= actions[i].words_max)
            return cli_client_end(&f.client, each(&f, actions[i].run));
    }
    fputs(usage, stderr);
    return cli_client_end(&f.client, CLI_USAGE);
}
