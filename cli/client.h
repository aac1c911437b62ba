/* client.h - what the commands share that call the service with libdashscope: dashbox or the cloud, whichever the
 * environment or --base-url names.
 *
 * They end with one of these statuses; what was wrong is on standard error.
 */
#ifndef DASHBOX_CLI_CLIENT_H
#define DASHBOX_CLI_CLIENT_H

#include "base/buf.h"
#include "client/dashscope.h"

enum cli_status {
    CLI_DONE = 0,
    CLI_FAILED = 1, /* the server refused, its answer cannot be read, or a file cannot */
    CLI_USAGE = 2,  /* also: an input is missing */
    CLI_NO_KEY = 3,
    CLI_NO_CONNECTION = 4,
    CLI_TIMEOUT = 5,
    CLI_INTERRUPTED = 130, /* by Ctrl-C */
};

#define CLI_MANY_MAX 16

struct cli_many {
    const char *at[CLI_MANY_MAX];
    size_t      count;
};

/* "--name VALUE" into `text`, or each time it is given into `many`; "--name" into `on`. */
struct cli_option {
    const char      *name;
    const char     **text;
    bool            *on;
    struct cli_many *many;
};

#define CLI_CLIENT_USAGE                                                                                    \
    "  --api-key KEY               [DASHSCOPE_API_KEY]\n"                                                   \
    "  --base-url URL              [DASHSCOPE_HTTP_BASE_URL, else " DASHSCOPE_BASE_URL "]\n"                \
    "  --workspace ID, --ca-file FILE, --timeout SECONDS\n"                                                 \
    "\n"                                                                                                    \
    "Exit status: 0 done, 1 refused or unreadable, 2 wrong usage or no input, 3 no key, 4 no connection,\n" \
    "5 time-out, 130 Ctrl-C.\n"

struct cli_client {
    const char       *command; /* "chat" */
    struct arena      arena;
    struct dashscope *handle;
    const char      **words;
    size_t            word_count;
};

/* Reads the arguments and opens the handle. False, with the status, when there is nothing to run; cli_client_end() is then
 * not to be called. */
bool cli_client_begin(struct cli_client *c, int argc, char **argv, const char *usage, const struct cli_option *options,
                      size_t option_count, int *ret_status);
/* Gives `status` back. */
int cli_client_end(struct cli_client *c, int status);

/* Ctrl-C ends the call under way, and no more the program: behind the reading of input, which it shall end. */
void cli_client_catch_interrupt(struct cli_client *c);
/* Since the last time it was asked. */
bool cli_client_interrupted(void);

/* Says on standard error how the last call failed, and returns the status for it. */
int cli_client_failed(struct cli_client *c);
int cli_client_complain(struct cli_client *c, int status, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* A whole number, at least 1. False after a complaint. */
bool cli_client_number(struct cli_client *c, const char *option, const char *text, int64_t *ret);

/* All of a file, "-" for standard input. False after a complaint. */
bool cli_client_read(struct cli_client *c, const char *file, str *ret);
/* The words behind the first `skip`; when there are none, the lines of standard input that are not empty. */
bool cli_client_texts(struct cli_client *c, size_t skip, const char ***ret, size_t *ret_count);

#endif
