/* tune.c - dashbox tune create|list|show|logs|wait|cancel|delete: jobs of fine-tuning. */
#include "cli/managed.h"

#include "base/clock.h"
#include "base/num.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAUSE_US  500000
#define LINES_MAX 1000 /* of a log, of one answer: platform.md §6.1 */

static const char usage[] =
    "usage: dashbox tune create --model MODEL [OPTIONS] FILE-ID…   train it on files that were uploaded for it\n"
    "       dashbox tune list [--model MODEL] [--page N] [--size N]\n"
    "       dashbox tune show JOB\n"
    "       dashbox tune logs JOB [--follow]       what it says; with --follow until it has ended\n"
    "       dashbox tune wait JOB…                 until each has ended; 0 when all succeeded\n"
    "       dashbox tune cancel JOB…\n"
    "       dashbox tune delete JOB…               one that has ended; the model that came of it stays\n"
    "\n"
    "  --type TYPE                 sft, efficient_sft, dpo_full, dpo_lora, cpt [sft]\n"
    "  --validation FILE-ID        to validate with; may be given again\n"
    "  --parameters JSON           hyper_parameters, as {\"n_epochs\":3,\"learning_rate\":\"1.6e-5\"}\n"
    "  --name NAME                 of the job\n"
    "  --model-name NAME, --suffix SUFFIX   of the model that comes of it\n"
    "  --wait                      create: waits for its end\n"
    "  --json                      the server's answer\n" CLI_CLIENT_USAGE;

struct tune {
    struct cli_client client;
    const char       *model, *type, *parameters, *name, *model_name, *suffix, *page, *size;
    struct cli_many   validation;
    bool              json, waits, follows;
};

static struct buf path_of(struct tune *t, const char *job, const char *behind)
{
    struct buf b;

    buf_init(&b, &t->client.arena, SIZE_MAX / 2);
    buf_add(&b, S("/fine-tunes"));
    if (job) {
        buf_add_char(&b, '/');
        cli_path_add(&b, str_from_cstr(job));
    }
    buf_add(&b, str_from_cstr(behind));
    return b;
}

static bool has_ended(str status)
{
    return str_eq(status, S("SUCCEEDED")) || str_eq(status, S("FAILED")) || str_eq(status, S("CANCELED"));
}

static void print(struct tune *t, yyjson_val *job, str text)
{
    static const char *const members[] = { "job_id",
                                           "job_name",
                                           "status",
                                           "model",
                                           "finetuned_output",
                                           "create_time",
                                           "end_time",
                                           "training_type",
                                           "training_file_ids",
                                           "hyper_parameters",
                                           "usage",
                                           "code",
                                           "message" };
    struct cli_table         table;

    if (t->json) {
        printf("%.*s\n", STR_ARG(text));
        return;
    }
    cli_table_begin(&table, &t->client.arena, NULL, 2);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        cli_managed_row(&t->client, &table, job, members[i]);
    cli_table_end(&table);
}

static int ask_job(struct tune *t, const char *job, yyjson_val **ret, str *ret_text)
{
    struct buf path = path_of(t, job, "");

    return cli_managed_ask(&t->client, "GET", &path, NULL, ret, ret_text);
}

static int show(struct tune *t, const char *job)
{
    yyjson_val *v;
    str         text;
    int         status = ask_job(t, job, &v, &text);

    if (!status)
        print(t, v, text);
    return status;
}

/* ---- waiting ---- */

/* The lines behind the first *at; each is printed, or only the last is kept in *ret_last. */
static int read_lines(struct tune *t, const char *job, int64_t *at, bool prints, str *ret_last)
{
    yyjson_val *output, *line;
    size_t      i, n, count;

    do {
        struct buf path = path_of(t, job, "/logs");
        int        status;

        buf_addf(&path, "?offset=%lld&line=%d", (long long)*at, LINES_MAX);
        status = cli_managed_ask(&t->client, "GET", &path, NULL, &output, NULL);
        if (status)
            return status;
        yyjson_arr_foreach(json_get(output, "logs"), i, n, line)
        {
            *ret_last = json_str(line);
            if (prints)
                printf("%.*s\n", STR_ARG(*ret_last));
        }
        count = yyjson_arr_size(json_get(output, "logs"));
        *at += (int64_t)count;
    } while (count == LINES_MAX);
    return CLI_DONE;
}

/* Until it has ended. On a terminal a line says how it is; with `prints` its log is printed instead. */
static int follow(struct tune *t, const char *job, bool prints, yyjson_val **ret, str *ret_text)
{
    int64_t begun_us = clock_mono_us(), at = 0;
    bool    terminal = !prints && isatty(STDERR_FILENO);
    str     last = { 0 };
    int     status;

    for (;;) {
        bool over;

        status = ask_job(t, job, ret, ret_text);
        over = !status && has_ended(json_str(json_get(*ret, "status")));
        if (!status && (prints || terminal))
            status = read_lines(t, job, &at, prints, &last);
        if (prints)
            (void)fflush(stdout); /* a failure is seen at the end */
        if (!status && terminal && !over)
            fprintf(stderr, "\r\033[K%s %.*s, %lld s  %.*s", job, STR_ARG(json_str(json_get(*ret, "status"))),
                    (long long)((clock_mono_us() - begun_us) / 1000000), (int)min_size(last.len, 60),
                    last.ptr ? last.ptr : "");
        if (status || over)
            break;
        usleep(PAUSE_US);
        if (cli_client_interrupted()) {
            status = CLI_INTERRUPTED;
            break;
        }
    }
    if (terminal)
        fputs("\r\033[K", stderr);
    if (status == CLI_INTERRUPTED)
        cli_client_complain(&t->client, 0, "job %s goes on; dashbox tune wait %s", job, job);
    return status;
}

static int status_of(struct tune *t, yyjson_val *job)
{
    str status = json_str(json_get(job, "status")), message = json_str(json_get(job, "message"));

    if (str_eq(status, S("SUCCEEDED")))
        return CLI_DONE;
    return cli_client_complain(&t->client, CLI_FAILED, "job %.*s is %.*s%s%.*s",
                               STR_ARG(json_str(json_get(job, "job_id"))), STR_ARG(status), message.len ? ": " : "",
                               STR_ARG(message));
}

static int wait(struct tune *t, const char *job)
{
    yyjson_val *v;
    str         text;
    int         status = follow(t, job, false, &v, &text);

    if (status)
        return status;
    print(t, v, text);
    return status_of(t, v);
}

static int logs(struct tune *t, const char *job)
{
    yyjson_val *v;
    str         last;
    int64_t     at = 0;

    return t->follows ? follow(t, job, true, &v, &last) : read_lines(t, job, &at, true, &last);
}

/* ---- making, and the rest ---- */

static void add_text(struct buf *b, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(b, ",\"%s\":", name);
    json_add_str(b, str_from_cstr(value));
}

static void add_list(struct buf *b, const char *name, const char *const *values, size_t count)
{
    buf_addf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(b, ',');
        json_add_str(b, str_from_cstr(values[i]));
    }
    buf_add_char(b, ']');
}

static int create(struct tune *t)
{
    struct cli_client *c = &t->client;
    struct buf         path = path_of(t, NULL, ""), body;
    yyjson_val *job, *parameters = t->parameters ? json_parse_copy(&c->arena, str_from_cstr(t->parameters)) : NULL;
    str         text;
    int         status;

    if (!t->model || c->word_count < 2) {
        fputs(usage, stderr);
        return CLI_USAGE;
    }
    if (t->parameters && !yyjson_is_obj(parameters))
        return cli_client_complain(c, CLI_USAGE, "--parameters is no JSON object");
    buf_init(&body, &c->arena, SIZE_MAX / 2);
    buf_add(&body, S("{\"model\":"));
    json_add_str(&body, str_from_cstr(t->model));
    add_list(&body, "training_file_ids", c->words + 1, c->word_count - 1);
    if (t->validation.count)
        add_list(&body, "validation_file_ids", t->validation.at, t->validation.count);
    if (parameters) {
        buf_add(&body, S(",\"hyper_parameters\":"));
        buf_add(&body, json_text(&c->arena, parameters));
    }
    add_text(&body, "training_type", t->type);
    add_text(&body, "job_name", t->name);
    add_text(&body, "model_name", t->model_name);
    add_text(&body, "finetuned_output_suffix", t->suffix);
    buf_add_char(&body, '}');
    status = cli_managed_ask(c, "POST", &path, &body, &job, &text);
    if (status)
        return status;
    if (t->waits)
        return wait(t, str_to_cstr(&c->arena, json_str(json_get(job, "job_id"))));
    if (t->json)
        printf("%.*s\n", STR_ARG(text));
    else
        printf("%.*s\n", STR_ARG(json_str(json_get(job, "job_id"))));
    return CLI_DONE;
}

static int list(struct tune *t)
{
    static const char *const heads[] = { "JOB", "MODEL", "STATUS", "CREATED", "ENDED", "MODEL MADE" };
    static const char *const members[] = { "job_id", "model", "status", "create_time", "end_time", "finetuned_output" };
    struct buf               path = path_of(t, NULL, "");
    struct cli_table         table;
    yyjson_val              *output, *job;
    size_t                   i, n = 0;
    str                      text;
    int                      status;

    if (!cli_managed_page(&t->client, &path, t->page, t->size))
        return CLI_USAGE;
    if (t->model) {
        buf_add(&path, S("&model="));
        cli_path_add(&path, str_from_cstr(t->model));
    }
    status = cli_managed_ask(&t->client, "GET", &path, NULL, &output, &text);
    if (status)
        return status;
    if (t->json) {
        printf("%.*s\n", STR_ARG(text));
        return CLI_DONE;
    }
    cli_table_begin(&table, &t->client.arena, heads, ARRAY_LEN(heads));
    yyjson_arr_foreach(json_get(output, "jobs"), i, n, job)
    {
        for (size_t k = 0; k < ARRAY_LEN(members); k++)
            cli_table_add(&table, cli_managed_text(&t->client, job, members[k]));
    }
    cli_table_end(&table);
    cli_managed_more(output, n);
    return CLI_DONE;
}

static int cancel(struct tune *t, const char *job)
{
    struct buf  path = path_of(t, job, "/cancel");
    yyjson_val *output;

    return cli_managed_ask(&t->client, "POST", &path, NULL, &output, NULL);
}

static int delete (struct tune *t, const char *job)
{
    struct buf  path = path_of(t, job, "");
    yyjson_val *output;

    return cli_managed_ask(&t->client, "DELETE", &path, NULL, &output, NULL);
}

static const struct {
    const char *name;
    int (*run)(struct tune *t, const char *job);
    size_t words_max;
} actions[] = {
    { "show", show, 1 },
    { "logs", logs, 1 },
    { "wait", wait, SIZE_MAX },
    { "cancel", cancel, SIZE_MAX },
    { "delete", delete, SIZE_MAX },
};

/* The highest of their statuses. */
static int each(struct tune *t, int (*run)(struct tune *t, const char *job))
{
    int status = CLI_DONE;

    for (size_t i = 1; i < t->client.word_count && status != CLI_INTERRUPTED; i++)
        status = max_int(status, run(t, t->client.words[i]));
    return status;
}

int cli_tune(int argc, char **argv)
{
    struct tune             t = { .json = false };
    const char             *action;
    const struct cli_option options[] = { { "--model", &t.model, NULL },
                                          { "--type", &t.type, NULL },
                                          { "--validation", .many = &t.validation },
                                          { "--parameters", &t.parameters, NULL },
                                          { "--name", &t.name, NULL },
                                          { "--model-name", &t.model_name, NULL },
                                          { "--suffix", &t.suffix, NULL },
                                          { "--page", &t.page, NULL },
                                          { "--size", &t.size, NULL },
                                          { "--wait", NULL, &t.waits },
                                          { "--follow", NULL, &t.follows },
                                          { "--json", NULL, &t.json } };
    int                     status;

    if (!cli_client_begin(&t.client, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    cli_client_catch_interrupt(&t.client);
    action = t.client.word_count ? t.client.words[0] : "";
    if (strcmp(action, "create") == 0)
        return cli_client_end(&t.client, create(&t));
    if (strcmp(action, "list") == 0 && t.client.word_count == 1)
        return cli_client_end(&t.client, list(&t));
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(action, actions[i].name) == 0 && t.client.word_count > 1 &&
            t.client.word_count - 1 <= actions[i].words_max)
            return cli_client_end(&t.client, each(&t, actions[i].run));
    }
    fputs(usage, stderr);
    return cli_client_end(&t.client, CLI_USAGE);
}
