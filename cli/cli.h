/* cli.h - dashbox's subcommands for people: one file each, and what they share.
 *
 * Each is called with the arguments from its own name on (argv[0] is "explain") and returns the exit status: 0 done,
 * 1 not, 2 wrong usage.
 */
#ifndef DASHBOX_CLI_CLI_H
#define DASHBOX_CLI_CLI_H

#include "access/edit.h"

#include <stdio.h>

/* Finds an error by its text, code, id or reply body, and says what it means and what to do. */
int cli_explain(int argc, char **argv);

/* Who may call: on the store itself, whether or not a server runs. */
int cli_keys(int argc, char **argv);
int cli_members(int argc, char **argv);
int cli_models(int argc, char **argv);
int cli_workspaces(int argc, char **argv);

/* Rules of what may be said: they ask a running server's admin API. */
int cli_moderation(int argc, char **argv);

/* What was used and what it cost; balance, payments, free quota. */
int cli_usage(int argc, char **argv);
int cli_account(int argc, char **argv);

/* For tests: they ask a running server's admin API. */
int cli_faults(int argc, char **argv);
int cli_journal(int argc, char **argv);
int cli_clock(int argc, char **argv);
int cli_reset(int argc, char **argv);

/* Call the service with libdashscope (cli/client.h), but for the last one, which counts by itself. */
int cli_chat(int argc, char **argv);
int cli_embed(int argc, char **argv);
int cli_rerank(int argc, char **argv);
int cli_tasks(int argc, char **argv);
int cli_files(int argc, char **argv);
int cli_batch(int argc, char **argv);
int cli_tune(int argc, char **argv);
int cli_deployments(int argc, char **argv);
int cli_image(int argc, char **argv);
int cli_video(int argc, char **argv);
int cli_say(int argc, char **argv);
int cli_listen(int argc, char **argv);
int cli_voices(int argc, char **argv);
int cli_tokens(int argc, char **argv);

/* Applications: their definitions and runs, on the store itself; and calls of them. */
int cli_apps(int argc, char **argv);
int cli_plugins(int argc, char **argv);
/* Knowledge bases: on the store itself, and questions to a running server. */
int cli_knowledge(int argc, char **argv);

/* What is in images, videos and audio, told by the media engine. */
int cli_inspect(int argc, char **argv);

/* ---- what commands share ---- */

#define CLI_WORDS_MAX 64

struct config;

/* "--name VALUE". */
struct cli_flag {
    const char  *name;
    const char **into;
};

struct cli {
    const char    *command;              /* "keys" */
    const char    *words[CLI_WORDS_MAX]; /* the action and what follows it */
    size_t         word_count;
    bool           json;
    const char    *url, *admin_key; /* --url, --admin-key; NULL: not given */
    struct config *config;
    struct edit    edit; /* without a database in actions that ask a server */
};

struct cli_action {
    const char *name;                 /* "": of a command without words */
    size_t      words_min, words_max; /* behind the action */
    bool        makes_data;           /* it may be the first to use the folder */
    enum err (*run)(struct cli *c);   /* in a transaction; ERR_INVALID without a problem is wrong usage */
    bool settles;                     /* what servers that were killed have left in their ledgers is booked first */
    bool
        asks_server; /* outside the store; when the first of a command does, they all take cli/admin_client.h's flags */
    bool by_clock; /* what it says depends on the date: that of the running server, when there is one. The same flags */
};

/* Reads the arguments, opens the store that they name if it is needed, and runs the action. `usage` is printed for --help and for what is not
 * understood. */
int cli_run(int argc, char **argv, const char *usage, const struct cli_flag *flags, size_t flag_count,
            const struct cli_action *actions, size_t action_count);

/* The word behind the action; empty when there is none. */
str cli_word(const struct cli *c, size_t at);

/* A flag's value as a whole number or a date. ERR_INVALID with its problem; `text` NULL: *ret stays. */
enum err cli_number(struct cli *c, const char *flag, const char *text, int64_t *ret);
enum err cli_time(struct cli *c, const char *flag, const char *text, int64_t *ret);

/* Prints what has been added as a line of JSON. */
void cli_print(const struct buf *b);

/* A table whose columns are as wide as what is in them. On a terminal the last one is broken at blanks, so that it fits. */
#define CLI_COLUMNS_MAX 10

struct cli_table {
    struct arena *arena;
    str          *cells;
    size_t        columns, count, cap;
};

/* `heads` NULL: none. */
void cli_table_begin(struct cli_table *t, struct arena *a, const char *const *heads, size_t columns);
void cli_table_add(struct cli_table *t, str cell);
void cli_table_end(const struct cli_table *t);

/* "2026-12-01 08:30", or "-" for 0; "1,000,000", or "-" for 0. */
str cli_when(struct arena *a, int64_t unix_ms);
str cli_count(struct arena *a, int64_t n);

#endif
