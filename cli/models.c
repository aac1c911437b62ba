/* models.c - dashbox models list|show|served|activate|deactivate|invite|uninvite. */
#include "api/admin/objects.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "contract/json.h"
#include "contract/model.h"
#include "server/config.h"

#include <string.h>

static const char usage[] =
    "usage: dashbox models [list [PATTERN]] [--json]\n"
    "       dashbox models show MODEL [--json]\n"
    "       dashbox models served [PATTERN] [--json] [OPTIONS]\n"
    "       dashbox models activate|deactivate MODEL…\n"
    "       dashbox models invite|uninvite MODEL…\n"
    "\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "PATTERN is an id in which * stands for anything: \"qwen3-*\". A model that is not activated is\n"
    "refused with AccessDenied.Unpurchased, one that the account is not invited to with AccessDenied.\n"
    "activate and deactivate take \"*\" too: the service as a whole. What workspaces may call is said by\n"
    "dashbox workspaces.\n"
    "\n"
    "served asks a server what it serves, dashbox or the cloud; the others are on this machine. Its options:\n"
    "\n" CLI_CLIENT_USAGE;

static bool is_known(const struct cli *c, str id)
{
    for (size_t i = 0; i < c->config->model_count; i++) {
        if (str_eq(c->config->models[i].id, id))
            return true;
    }
    return model_find(id) != NULL;
}

static enum err refuse_unknown(struct cli *c, str id)
{
    return edit_refuse(&c->edit, ERR_NOT_FOUND, "there is no model \"%.*s\"", STR_ARG(id));
}

static str words_of(struct arena *a, const struct model *m)
{
    str        abilities[MODEL_ABILITIES_MAX];
    size_t     count = model_abilities(m, abilities);
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&b, ' ');
        buf_add(&b, abilities[i]);
    }
    return buf_str(&b);
}

static str state_of(const struct model *m, const struct account_model *s)
{
    return !model_is_served(m) ? S("retired")
           : !s->activated     ? S("not activated")
           : !s->invited       ? S("not invited")
                               : S("good");
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "MODEL", "TASK", "CONTEXT", "OUTPUT", "RPM", "TPM", "STATE", "ABILITIES" };
    str                      pattern = c->word_count > 1 ? cli_word(c, 0) : S("*");
    struct cli_table         t;
    struct arena            *a = c->edit.arena;
    size_t                   found = 0;

    cli_table_begin(&t, a, heads, ARRAY_LEN(heads));
    for (unsigned i = 0; i < model_count; i++) {
        const struct model  *m = &models[i];
        struct account_model state;
        struct buf           b;
        enum err             e;

        if (!str_glob(pattern, m->id))
            continue;
        found++;
        e = account_model_get(&c->edit, m->id, &state);
        if (e)
            return e;
        if (c->json) {
            buf_init(&b, a, SIZE_MAX / 2);
            object_model(&b, m, &state);
            cli_print(&b);
            continue;
        }
        cli_table_add(&t, m->id);
        cli_table_add(&t, model_task_name(m->task));
        cli_table_add(&t, cli_count(a, m->context));
        cli_table_add(&t, cli_count(a, m->output_max));
        cli_table_add(&t, cli_count(a, m->rpm));
        cli_table_add(&t, cli_count(a, m->tpm));
        cli_table_add(&t, state_of(m, &state));
        cli_table_add(&t, words_of(a, m));
    }
    if (!found)
        return refuse_unknown(c, pattern);
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static void line(struct cli_table *t, str name, str value)
{
    cli_table_add(t, name);
    cli_table_add(t, value);
}

/* models.md §4. */
static const char prices[] =
    "\n"
    "price: cn and eu, intl, global, us are regions in CNY, usd is intl in USD (~: converted). For each 1M tokens,\n"
    "  input/output, or input/output/output of a call that thinks; t are the input tokens of one call, all of which\n"
    "  it pays at its tier. Other units and tuples: data/models/paths.txt. Billed are cn or usd, by the option region.\n";

static enum err show(struct cli *c)
{
    const struct model  *m = model_find(cli_word(c, 0));
    struct arena        *a = c->edit.arena;
    struct account_model s;
    struct cli_table     t;
    str                  facts;
    struct buf           b;
    bool                 has_price = false;
    enum err             e;

    if (!m)
        return refuse_unknown(c, cli_word(c, 0));
    e = account_model_get(&c->edit, m->id, &s);
    if (e)
        return e;
    if (c->json) {
        buf_init(&b, a, SIZE_MAX / 2);
        object_model(&b, m, &s);
        cli_print(&b);
        return OK;
    }
    cli_table_begin(&t, a, NULL, 2);
    line(&t, S("model"), m->id);
    line(&t, S("task"), model_task_name(m->task));
    line(&t, S("status"), model_status_name(m));
    line(&t, S("stands for"), m->equals);
    line(&t, S("state"), state_of(m, &s));
    line(&t, S("abilities"), words_of(a, m));
    line(&t, S("context"), cli_count(a, m->context));
    line(&t, S("input"), cli_count(a, m->input_max));
    line(&t, S("output"), cli_count(a, m->output_max));
    line(&t, S("rpm"), cli_count(a, m->rpm));
    line(&t, S("tpm"), cli_count(a, m->tpm));
    for (facts = m->facts; facts.len;) {
        str value = str_cut(&facts, '\n'), key = str_cut(&value, ' ');

        has_price = has_price || str_starts(key, S("price."));
        line(&t, key, str_trim(value));
    }
    cli_table_end(&t);
    if (has_price)
        fputs(prices, stdout);
    return OK;
}

/* For each MODEL: sets what the action says. */
static enum err set_all(struct cli *c, void (*set)(struct account_model *m))
{
    for (size_t i = 0; cli_word(c, i).len; i++) {
        str                  id = cli_word(c, i);
        struct account_model m;
        enum err             e = is_known(c, id) ? account_model_get(&c->edit, id, &m) : refuse_unknown(c, id);

        if (e)
            return e;
        set(&m);
        e = account_model_set(&c->edit, &m);
        if (e)
            return e;
    }
    return OK;
}

static void set_activated(struct account_model *m)
{
    m->activated = true;
}

static void set_deactivated(struct account_model *m)
{
    m->activated = false;
}

static void set_invited(struct account_model *m)
{
    m->invited = true;
}

static void set_uninvited(struct account_model *m)
{
    m->invited = false;
}

static bool is_whole(const struct cli *c)
{
    return c->word_count == 2 && str_eq(cli_word(c, 0), S("*"));
}

static enum err activate(struct cli *c)
{
    return is_whole(c) ? setting_set(&c->edit, S("activated"), S("1")) : set_all(c, set_activated);
}

static enum err deactivate(struct cli *c)
{
    return is_whole(c) ? setting_set(&c->edit, S("activated"), S("0")) : set_all(c, set_deactivated);
}

static enum err invite(struct cli *c)
{
    return set_all(c, set_invited);
}

static enum err uninvite(struct cli *c)
{
    return set_all(c, set_uninvited);
}

/* ---- what a server serves ---- */

static void print_served(struct cli_client *c, str id, struct cli_table *t, bool json)
{
    const struct model *m = model_find(id);
    struct buf          b;

    if (json) {
        buf_init(&b, &c->arena, SIZE_MAX / 2);
        buf_add(&b, S("{\"id\":"));
        json_add_str(&b, id);
        buf_add_char(&b, '}');
        cli_print(&b);
        return;
    }
    cli_table_add(t, id);
    cli_table_add(t, m ? model_task_name(m->task) : S("-"));
    cli_table_add(t, cli_count(&c->arena, m ? m->context : 0));
    cli_table_add(t, cli_count(&c->arena, m ? m->output_max : 0));
    cli_table_add(t, m ? words_of(&c->arena, m) : S("-"));
}

/* What it says that it serves, beside what is known here of each. */
static int served(int argc, char **argv)
{
    static const char *const     heads[] = { "MODEL", "TASK", "CONTEXT", "OUTPUT", "ABILITIES" };
    bool                         json = false;
    const struct cli_option      options[] = { { "--json", NULL, &json } };
    struct dashscope_model_list *all;
    struct cli_client            c;
    struct cli_table             t;
    str                          pattern;
    int                          status;

    if (!cli_client_begin(&c, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    if (c.word_count > 2) {
        fputs(usage, stderr);
        return cli_client_end(&c, CLI_USAGE);
    }
    cli_client_catch_interrupt(&c);
    if (dashscope_models(c.handle, &all))
        return cli_client_end(&c, cli_client_failed(&c));
    pattern = c.word_count > 1 ? str_from_cstr(c.words[1]) : S("*");
    cli_table_begin(&t, &c.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < all->count; i++) {
        if (str_glob(pattern, str_from_cstr(all->ids[i])))
            print_served(&c, str_from_cstr(all->ids[i]), &t, json);
    }
    if (!json)
        cli_table_end(&t);
    dashscope_free(all);
    return cli_client_end(&c, CLI_DONE);
}

int cli_models(int argc, char **argv)
{
    static const struct cli_action actions[] = {
        { "", 0, 0, true, list },
        { "list", 0, 1, true, list },
        { "show", 1, 1, true, show },
        { "activate", 1, CLI_WORDS_MAX, true, activate },
        { "deactivate", 1, CLI_WORDS_MAX, true, deactivate },
        { "invite", 1, CLI_WORDS_MAX, true, invite },
        { "uninvite", 1, CLI_WORDS_MAX, true, uninvite },
    };

    if (argc > 1 && strcmp(argv[1], "served") == 0)
        return served(argc, argv);
    return cli_run(argc, argv, usage, NULL, 0, actions, ARRAY_LEN(actions));
}
