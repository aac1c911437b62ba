/* tasks.c - dashbox tasks list|show|wait|cancel: the account's asynchronous work. */
#include "cli/cli.h"
#include "cli/results.h"

#include "base/num.h"

#include <string.h>

static const char usage[] =
    "usage: dashbox tasks list [OPTIONS]       the newest first\n"
    "       dashbox tasks show ID [--json]     how it is, and what it brought\n"
    "       dashbox tasks wait ID… [--json]    until each has ended; 0 when all succeeded\n"
    "       dashbox tasks cancel ID…           only while it is PENDING\n"
    "\n"
    "  --model MODEL, --status STATUS          only those (PENDING, RUNNING, SUCCEEDED, FAILED, CANCELED)\n"
    "  --from TIME, --to TIME      YYYYMMDDhhmmss, UTC+8, a day apart at most [the last day]\n"
    "  --page N, --size N          [1, 10]\n"
    "  --json                      the server's answer\n" CLI_CLIENT_USAGE;

struct tasks {
    struct cli_client           client;
    struct dashscope_task_query query;
    bool                        json;
};

static int list(struct tasks *t)
{
    static const char *const    heads[] = { "TASK", "MODEL", "STATUS", "CREATED", "ENDED" };
    struct arena               *a = &t->client.arena;
    struct dashscope_task_list *l;
    struct cli_table            table;

    if (dashscope_task_list(t->client.handle, &t->query, &l))
        return cli_client_failed(&t->client);
    if (t->json) {
        puts(l->json);
    } else {
        cli_table_begin(&table, a, heads, ARRAY_LEN(heads));
        for (size_t i = 0; i < l->count; i++) {
            cli_table_add(&table, str_from_cstr(l->tasks[i].id));
            cli_table_add(&table, str_from_cstr(l->tasks[i].model));
            cli_table_add(&table, str_from_cstr(l->tasks[i].status));
            cli_table_add(&table, cli_when(a, l->tasks[i].created));
            cli_table_add(&table, cli_when(a, l->tasks[i].ended));
        }
        cli_table_end(&table);
        if ((size_t)max_i64(l->total, 0) > l->count)
            printf("%zu of %lld; --page and --size show others\n", l->count, (long long)l->total);
    }
    dashscope_free(l);
    return CLI_DONE;
}

static void add_row(struct cli_table *table, const char *name, str value)
{
    if (!value.len)
        return;
    cli_table_add(table, str_from_cstr(name));
    cli_table_add(table, value);
}

static void print(struct tasks *t, const struct dashscope_task *task)
{
    static const char *const times[][2] = { { "submitted", "submit_time" },
                                            { "started", "scheduled_time" },
                                            { "ended", "end_time" } };
    struct arena            *a = &t->client.arena;
    yyjson_val              *answer = json_parse_copy(a, str_of(task->json, task->json_len));
    const char             **urls;
    size_t                   count = cli_result_urls(a, answer, &urls);
    struct cli_table         table;

    if (t->json) {
        puts(task->json);
        return;
    }
    cli_table_begin(&table, a, NULL, 2);
    add_row(&table, "task", str_from_cstr(task->id));
    add_row(&table, "status", str_from_cstr(task->status));
    for (size_t i = 0; i < ARRAY_LEN(times); i++)
        add_row(&table, times[i][0], json_str(json_get(json_get(answer, "output"), times[i][1])));
    add_row(&table, "code", str_from_cstr(task->code));
    add_row(&table, "message", str_from_cstr(task->message));
    for (size_t i = 0; i < count; i++)
        add_row(&table, "result", str_from_cstr(urls[i]));
    cli_table_end(&table);
}

static int show(struct tasks *t, const char *id)
{
    struct dashscope_task *task;

    if (dashscope_task_get(t->client.handle, id, &task))
        return cli_client_failed(&t->client);
    print(t, task);
    dashscope_free(task);
    return CLI_DONE;
}

static int wait(struct tasks *t, const char *id)
{
    struct dashscope_task *task;
    int                    status = cli_task_wait(&t->client, id, false, &task);

    if (status)
        return status;
    print(t, task);
    status = cli_task_status(&t->client, task);
    dashscope_free(task);
    return status;
}

static int cancel(struct tasks *t, const char *id)
{
    return dashscope_task_cancel(t->client.handle, id) ? cli_client_failed(&t->client) : CLI_DONE;
}

static const struct {
    const char *name;
    int (*run)(struct tasks *t, const char *id);
    size_t words_max;
} actions[] = { { "show", show, 1 }, { "wait", wait, SIZE_MAX }, { "cancel", cancel, SIZE_MAX } };

/* The highest of their statuses. */
static int each(struct tasks *t, int (*run)(struct tasks *t, const char *id))
{
    int status = CLI_DONE;

    for (size_t i = 1; i < t->client.word_count && status != CLI_INTERRUPTED; i++)
        status = (int)max_i64(status, run(t, t->client.words[i]));
    return status;
}

int cli_tasks(int argc, char **argv)
{
    struct tasks            t = { .json = false };
    const char             *page = NULL, *size = NULL, *action;
    int64_t                 page_n = 0, size_n = 0;
    const struct cli_option options[] = { { "--model", &t.query.model, NULL },
                                          { "--status", &t.query.status, NULL },
                                          { "--from", &t.query.start_time, NULL },
                                          { "--to", &t.query.end_time, NULL },
                                          { "--page", &page, NULL },
                                          { "--size", &size, NULL },
                                          { "--json", NULL, &t.json } };
    int                     status;

    if (!cli_client_begin(&t.client, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    if ((page && !cli_client_number(&t.client, "--page", page, &page_n)) ||
        (size && !cli_client_number(&t.client, "--size", size, &size_n)))
        return cli_client_end(&t.client, CLI_USAGE);
    t.query.page = (int)min_i64(page_n, INT32_MAX);
    t.query.page_size = (int)min_i64(size_n, INT32_MAX);
    cli_client_catch_interrupt(&t.client);
    action = t.client.word_count ? t.client.words[0] : "";
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
