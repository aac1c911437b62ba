/* cli.c - what the commands share: arguments, the store, tables. */
#include "cli/cli.h"

#include "access/ledger.h"
#include "base/clock.h"
#include "cli/admin_client.h"
#include "server/arguments.h"
#include "server/config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- words and values ---- */

str cli_word(const struct cli *c, size_t at)
{
    return at + 1 < c->word_count ? str_from_cstr(c->words[at + 1]) : (str){ 0 };
}

enum err cli_number(struct cli *c, const char *flag, const char *text, int64_t *ret)
{
    int64_t n;

    if (!text)
        return OK;
    if (!str_to_i64(str_from_cstr(text), &n) || n < 0)
        return edit_refuse(&c->edit, ERR_INVALID, "%s takes a whole number, not \"%s\"", flag, text);
    *ret = n;
    return OK;
}

enum err cli_time(struct cli *c, const char *flag, const char *text, int64_t *ret)
{
    if (!text || edit_time(str_from_cstr(text), ret))
        return OK;
    return edit_refuse(&c->edit, ERR_INVALID, "%s takes a date such as 2026-12-31 or 2026-12-31T08:00:00Z, not \"%s\"",
                       flag, text);
}

/* ---- running ---- */

static enum err run_here(sqlite3 *db, const struct cli_action *action, struct cli *c)
{
    enum err e = store_exec(db, "BEGIN IMMEDIATE");

    if (e)
        return e;
    c->edit.db = db;
    e = action->run(c);
    if (!e)
        e = store_exec(db, "COMMIT");
    if (e)
        (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

struct job {
    const struct cli_action *action;
    struct cli              *cli;
};

static enum err job(sqlite3 *db, void *arg)
{
    struct job *j = arg;

    return run_here(db, j->action, j->cli);
}

static enum err run_on_store(struct cli *c, const struct cli_action *action)
{
    str           folder = c->config->options.data;
    struct store *s = NULL;
    struct job    j = { action, c };
    enum err      e;

    /* Only what makes something makes a new folder: a mistyped --data must not look like an empty server. */
    if (!action->makes_data && access(arena_printf(c->edit.arena, "%.*s/dashbox.db", STR_ARG(folder)).ptr, F_OK))
        return edit_refuse(&c->edit, ERR_NOT_FOUND, "there is no dashbox data in %.*s", STR_ARG(folder));
    e = store_open(folder, &s);
    if (!e && action->settles)
        e = ledger_recover(s);
    if (!e)
        e = store_run_here(s, job, &j);
    store_close(s);
    return e;
}

/* The service's date is in its server, which can be told another (cli/clock.c). Without a server, the machine's stays. */
static void take_clock(struct cli *c)
{
    yyjson_val *answer;

    if (!admin_client_call(c, "GET", S("/admin/v1/clock"), (str){ 0 }, &answer))
        clock_advance(admin_client_int(answer, "offset_ms"));
    c->edit.problem = (str){ 0 };
}

static int run_action(struct cli *c, const struct cli_action *action, const char *usage)
{
    enum err e;

    if (action->by_clock)
        take_clock(c);
    e = action->asks_server ? action->run(c) : run_on_store(c, action);

    if (!e)
        return 0;
    if (c->edit.problem.len)
        fprintf(stderr, "dashbox %s: %.*s\n", c->command, STR_ARG(c->edit.problem));
    else if (e == ERR_INVALID)
        fputs(usage, stderr);
    return e == ERR_INVALID ? 2 : 1;
}

static enum err read_config(struct cli *c, const char *file, const char *data, str *ret_problem)
{
    enum err e = file ? config_read(c->config, file, ret_problem) : OK;

    if (!e && data)
        e = config_set(c->config, S("data"), str_from_cstr(data), ret_problem);
    return e ? e : config_finish(c->config, ret_problem);
}

/* ---- the command line ---- */

#define FLAGS_MAX 32

/* The words, and the values of `flags`. False, with the exit status, when there is nothing to run. */
static bool parse(struct cli *c, char **argv, const char *usage, const struct cli_flag *flags, size_t count,
                  int *ret_status)
{
    struct argument  known[FLAGS_MAX + 3];
    struct arguments a = { .known = known, .known_count = count + 3, .words = argv + 1 };
    int              which;

    ASSERT(count <= FLAGS_MAX);
    for (size_t i = 0; i < count; i++)
        known[i] = (struct argument){ str_from_cstr(flags[i].name), true };
    known[count] = (struct argument){ S("--json"), false };
    known[count + 1] = (struct argument){ S("--help"), false };
    known[count + 2] = (struct argument){ S("-h"), false };
    a.command = arena_printf(c->edit.arena, "dashbox %s", c->command).ptr;
    while ((which = arguments_next(&a)) != ARGUMENT_END) {
        *ret_status = 2;
        if (which == ARGUMENT_WRONG)
            return false;
        if (which == ARGUMENT_WORD && c->word_count == CLI_WORDS_MAX) {
            fprintf(stderr, "%s: too many words\n", a.command);
            return false;
        }
        if (which == ARGUMENT_WORD) {
            c->words[c->word_count++] = a.value;
        } else if ((size_t)which < count) {
            *flags[which].into = a.value;
        } else if ((size_t)which == count) {
            c->json = true;
        } else {
            fputs(usage, stdout);
            *ret_status = 0;
            return false;
        }
    }
    return true;
}

static const struct cli_action *find_action(const struct cli *c, const struct cli_action *actions, size_t count)
{
    const char *name = c->word_count ? c->words[0] : "";
    size_t      behind = c->word_count ? c->word_count - 1 : 0;

    for (size_t i = 0; i < count; i++) {
        if (strcmp(actions[i].name, name) == 0 && behind >= actions[i].words_min && behind <= actions[i].words_max)
            return &actions[i];
    }
    return NULL;
}

int cli_run(int argc, char **argv, const char *usage, const struct cli_flag *flags, size_t flag_count,
            const struct cli_action *actions, size_t action_count)
{
    struct cli               c = { .command = argv[0] };
    const struct cli_action *action = NULL;
    struct arena             arena;
    const char              *data = NULL, *file = NULL;
    const struct cli_flag    common[] = {
           { "--data", &data }, { "--config", &file }, { "--url", &c.url }, { "--admin-key", &c.admin_key }
    };
    struct cli_flag all[FLAGS_MAX];
    size_t          common_count = actions[0].asks_server || actions[0].by_clock ? 4 : 2;
    str             problem = { 0 };
    int             status = 2;

    (void)argc;
    ASSERT(flag_count + common_count <= FLAGS_MAX);
    for (size_t i = 0; i < flag_count + common_count; i++)
        all[i] = i < flag_count ? flags[i] : common[i - flag_count];
    arena_init(&arena, 0);
    c.config = config_new();
    c.edit.arena = &arena;
    if (parse(&c, argv, usage, all, flag_count + common_count, &status)) {
        action = find_action(&c, actions, action_count);
        if (!action)
            fputs(usage, stderr);
        else if (read_config(&c, file, data, &problem))
            fprintf(stderr, "dashbox %s: %.*s\n", c.command, STR_ARG(problem));
        else
            status = run_action(&c, action, usage);
    }
    config_free(c.config);
    arena_free(&arena);
    return status;
}

/* ---- printing ---- */

void cli_print(const struct buf *b)
{
    str s = buf_str(b);

    printf("%.*s\n", STR_ARG(s));
}

void cli_table_begin(struct cli_table *t, struct arena *a, const char *const *heads, size_t columns)
{
    ASSERT(columns <= CLI_COLUMNS_MAX);
    *t = (struct cli_table){ .arena = a, .columns = columns };
    for (size_t i = 0; heads && i < columns; i++)
        cli_table_add(t, str_from_cstr(heads[i]));
}

void cli_table_add(struct cli_table *t, str cell)
{
    if (t->count == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 64;

        t->cells = arena_realloc(t->arena, t->cells, t->cap * sizeof(str), cap * sizeof(str));
        t->cap = cap;
    }
    t->cells[t->count++] = cell.len ? cell : S("-");
}

/* Columns: one a character, two for the scripts of East Asia (U+3000 to U+DFFF). */
static size_t width(str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        n += (c & 0xc0) == 0x80 ? 0 : c >= 0xe3 && c <= 0xed ? 2 : 1;
    }
    return n;
}

/* Columns of the terminal; 0: standard output is none. */
static size_t terminal_width(void)
{
    struct winsize size;

    return isatty(STDOUT_FILENO) && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* A cell in lines of at most `room` columns, those behind the first `indent` to the right. */
static void print_broken(str cell, size_t indent, size_t room)
{
    size_t at = 0;

    while (cell.len) {
        str    word = str_cut(&cell, ' ');
        size_t w = width(word);

        if (at && at + 1 + w > room) {
            printf("\n%*s", (int)indent, "");
            at = 0;
        }
        printf("%s%.*s", at ? " " : "", STR_ARG(word));
        at += w + (at ? 1 : 0);
    }
    putchar('\n');
}

void cli_table_end(const struct cli_table *t)
{
    enum { ROOM_MIN = 16 };
    size_t widths[CLI_COLUMNS_MAX] = { 0 };
    size_t indent = 0, columns = terminal_width();

    for (size_t i = 0; i < t->count; i++) {
        size_t w = width(t->cells[i]);

        if (w > widths[i % t->columns])
            widths[i % t->columns] = w;
    }
    for (size_t i = 0; i + 1 < t->columns; i++)
        indent += widths[i] + 2;
    for (size_t i = 0; i < t->count; i++) {
        if (i % t->columns == t->columns - 1)
            print_broken(t->cells[i], indent, columns >= indent + ROOM_MIN ? columns - indent : SIZE_MAX);
        else
            printf("%.*s%*s", STR_ARG(t->cells[i]), (int)(widths[i % t->columns] - width(t->cells[i]) + 2), "");
    }
}

str cli_when(struct arena *a, int64_t unix_ms)
{
    char when[CLOCK_ISO_LEN + 1];

    if (!unix_ms)
        return S("-");
    clock_iso(when, unix_ms);
    return arena_printf(a, "%.10s %.5s", when, when + 11);
}

str cli_count(struct arena *a, int64_t n)
{
    str    digits = arena_printf(a, "%lld", (long long)n);
    char  *out = arena_bytes(a, 2 * digits.len);
    size_t len = 0;

    if (!n)
        return S("-");
    for (size_t i = 0; i < digits.len; i++) {
        if (i && (digits.len - i) % 3 == 0)
            out[len++] = ',';
        out[len++] = digits.ptr[i];
    }
    return str_of(out, len);
}
