/* deployments.c - dashbox deployments create|list|show|scale|delete|models: models that calls can name. */
#include "cli/managed.h"

#include "base/num.h"

#include <stdio.h>
#include <string.h>

static const char usage[] =
    "usage: dashbox deployments create MODEL [OPTIONS]   prints the name that calls use\n"
    "       dashbox deployments list [--page N] [--size N]\n"
    "       dashbox deployments show NAME\n"
    "       dashbox deployments scale NAME CAPACITY\n"
    "       dashbox deployments delete NAME…\n"
    "       dashbox deployments models [--page N] [--size N]   what can be deployed\n"
    "\n"
    "  --capacity N                [1]\n"
    "  --plan PLAN                 lora, mu, ptu, cu\n"
    "  --spec SPEC                 of the plan mu: MU1, …\n"
    "  --suffix SUFFIX             at most 8 characters, where the model is deployed more than once\n"
    "  --name NAME                 for people\n"
    "  --json                      the server's answer\n" CLI_CLIENT_USAGE;

struct deployments {
    struct cli_client client;
    const char       *capacity, *plan, *spec, *suffix, *name, *page, *size;
    bool              json;
};

static struct buf path_of(struct deployments *d, const char *name, const char *behind)
{
    struct buf b;

    buf_init(&b, &d->client.arena, SIZE_MAX / 2);
    buf_add(&b, S("/deployments"));
    if (name) {
        buf_add_char(&b, '/');
        cli_path_add(&b, str_from_cstr(name));
    }
    buf_add(&b, str_from_cstr(behind));
    return b;
}

static void print(struct deployments *d, yyjson_val *v, str text)
{
    static const char *const members[] = { "deployed_model", "name",      "status",     "model_name",
                                           "base_model",     "plan",      "capacity",   "ready_capacity",
                                           "rpm_limit",      "tpm_limit", "gmt_create", "gmt_modified",
                                           "model_unit_spec" };
    struct cli_table         table;

    if (d->json) {
        printf("%.*s\n", STR_ARG(text));
        return;
    }
    cli_table_begin(&table, &d->client.arena, NULL, 2);
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        cli_managed_row(&d->client, &table, v, members[i]);
    cli_table_end(&table);
}

static void add_text(struct buf *b, const char *name, const char *value)
{
    if (!value)
        return;
    buf_addf(b, ",\"%s\":", name);
    json_add_str(b, str_from_cstr(value));
}

static int create(struct deployments *d)
{
    struct cli_client *c = &d->client;
    struct buf         path = path_of(d, NULL, ""), body;
    int64_t            capacity = 1;
    yyjson_val        *v;
    str                text;
    int                status;

    if (d->capacity && !cli_client_number(c, "--capacity", d->capacity, &capacity))
        return CLI_USAGE;
    buf_init(&body, &c->arena, SIZE_MAX / 2);
    json_add_count(&body, S("{\"capacity\":"), capacity);
    add_text(&body, "model_name", c->words[1]);
    add_text(&body, "plan", d->plan);
    add_text(&body, "deploy_spec", d->spec);
    add_text(&body, "suffix", d->suffix);
    add_text(&body, "name", d->name);
    buf_add_char(&body, '}');
    status = cli_managed_ask(c, "POST", &path, &body, &v, &text);
    if (status)
        return status;
    if (d->json)
        printf("%.*s\n", STR_ARG(text));
    else
        printf("%.*s\n", STR_ARG(json_str(json_get(v, "deployed_model"))));
    return CLI_DONE;
}

static int table_of(struct deployments *d, const char *where, const char *member, const char *const *heads,
                    const char *const *members, size_t columns)
{
    struct buf       path = path_of(d, where, "");
    struct cli_table table;
    yyjson_val      *output, *v;
    size_t           i, n = 0;
    str              text;
    int              status;

    if (!cli_managed_page(&d->client, &path, d->page, d->size))
        return CLI_USAGE;
    status = cli_managed_ask(&d->client, "GET", &path, NULL, &output, &text);
    if (status)
        return status;
    if (d->json) {
        printf("%.*s\n", STR_ARG(text));
        return CLI_DONE;
    }
    cli_table_begin(&table, &d->client.arena, heads, columns);
    yyjson_arr_foreach(json_get(output, member), i, n, v)
    {
        for (size_t k = 0; k < columns; k++)
            cli_table_add(&table, cli_managed_text(&d->client, v, members[k]));
    }
    cli_table_end(&table);
    cli_managed_more(output, n);
    return CLI_DONE;
}

static int list(struct deployments *d)
{
    static const char *const heads[] = { "DEPLOYMENT", "MODEL", "STATUS", "CAPACITY", "CREATED" };
    static const char *const members[] = { "deployed_model", "model_name", "status", "capacity", "gmt_create" };

    return table_of(d, NULL, "deployments", heads, members, ARRAY_LEN(heads));
}

static int models(struct deployments *d)
{
    static const char *const heads[] = { "MODEL", "BASE CAPACITY" };
    static const char *const members[] = { "model_name", "base_capacity" };

    return table_of(d, "models", "models", heads, members, ARRAY_LEN(heads));
}

static int show(struct deployments *d)
{
    struct buf  path = path_of(d, d->client.words[1], "");
    yyjson_val *v;
    str         text;
    int         status = cli_managed_ask(&d->client, "GET", &path, NULL, &v, &text);

    if (!status)
        print(d, v, text);
    return status;
}

static int scale(struct deployments *d)
{
    struct buf  path = path_of(d, d->client.words[1], "/scale"), body;
    int64_t     capacity;
    yyjson_val *v;
    str         text;
    int         status;

    if (!str_to_i64(str_from_cstr(d->client.words[2]), &capacity))
        return cli_client_complain(&d->client, CLI_USAGE, "%s is no number", d->client.words[2]);
    buf_init(&body, &d->client.arena, SIZE_MAX / 2);
    json_add_count(&body, S("{\"capacity\":"), capacity);
    buf_add_char(&body, '}');
    status = cli_managed_ask(&d->client, "PUT", &path, &body, &v, &text);
    if (!status)
        print(d, v, text);
    return status;
}

/* The highest of their statuses. */
static int delete (struct deployments *d)
{
    int status = CLI_DONE;

    for (size_t i = 1; i < d->client.word_count && status != CLI_INTERRUPTED; i++) {
        struct buf  path = path_of(d, d->client.words[i], "");
        yyjson_val *v;

        status = max_int(status, cli_managed_ask(&d->client, "DELETE", &path, NULL, &v, NULL));
    }
    return status;
}

static const struct {
    const char *name;
    int (*run)(struct deployments *d);
    size_t words_min, words_max;
} actions[] = {
    { "create", create, 1, 1 },        { "list", list, 0, 0 },     { "show", show, 1, 1 }, { "scale", scale, 2, 2 },
    { "delete", delete, 1, SIZE_MAX }, { "models", models, 0, 0 },
};

int cli_deployments(int argc, char **argv)
{
    struct deployments      d = { .json = false };
    const struct cli_option options[] = { { "--capacity", &d.capacity, NULL }, { "--plan", &d.plan, NULL },
                                          { "--spec", &d.spec, NULL },         { "--suffix", &d.suffix, NULL },
                                          { "--name", &d.name, NULL },         { "--page", &d.page, NULL },
                                          { "--size", &d.size, NULL },         { "--json", NULL, &d.json } };
    int                     status;

    if (!cli_client_begin(&d.client, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    cli_client_catch_interrupt(&d.client);
    for (size_t i = 0; i < ARRAY_LEN(actions) && d.client.word_count; i++) {
        size_t words = d.client.word_count - 1;

        if (strcmp(d.client.words[0], actions[i].name) == 0 && words >= actions[i].words_min &&
            words <= actions[i].words_max)
            return cli_client_end(&d.client, actions[i].run(&d));
    }
    fputs(usage, stderr);
    return cli_client_end(&d.client, CLI_USAGE);
}
