/* serve.c - dashbox serve.
 *
 * Reads the command line and the configuration, and hands over to the process.
 */
#include "server/serve.h"

#include "base/log.h"
#include "server/arguments.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>

struct command_line {
    const char *config;
    str         sets[32][2]; /* option name, value */
    size_t      set_count;
    const char *keys[64];
    size_t      key_count;
    bool        production, help;
};

static int usage(FILE *to)
{
    fputs("usage: dashbox serve [--config FILE] [--listen HOST:PORT] [--data DIR] [--api-key KEY]…\n"
          "                     [--scenario FILE] [--wording reference|wire] [--edition current|2024]\n"
          "                     [--workers N] [--production] [--record DIR | --replay DIR]\n"
          "                     [--set OPTION=VALUE]…\n"
          "\n"
          "Serves the Qwen Cloud API. --workers 0, the default, is one a core. Every option of the\n"
          "configuration file can be set with --set; ./dev doc writes the list, and\n"
          "doc/configuration.md tells of engines, routes and models.\n",
          to);
    return to == stdout ? 0 : 2;
}

/* Up to REPLAY: options of the configuration that have a flag of their own, named alike. */
enum {
    LISTEN,
    DATA,
    WORKERS,
    SCENARIO,
    WORDING,
    EDITION,
    RECORD,
    REPLAY,
    CONFIG,
    API_KEY,
    SET,
    HELP,
    PRODUCTION,
    HELP_SHORT
};
static const struct argument known[] = {
    [LISTEN] = { S("--listen"), true },
    [DATA] = { S("--data"), true },
    [WORKERS] = { S("--workers"), true },
    [SCENARIO] = { S("--scenario"), true },
    [WORDING] = { S("--wording"), true },
    [EDITION] = { S("--edition"), true },
    [RECORD] = { S("--record"), true },
    [REPLAY] = { S("--replay"), true },
    [CONFIG] = { S("--config"), true },
    [API_KEY] = { S("--api-key"), true },
    [SET] = { S("--set"), true },
    [HELP] = { S("--help"), false },
    [PRODUCTION] = { S("--production"), false },
    [HELP_SHORT] = { S("-h"), false },
};

static bool too_many(const char *what)
{
    fprintf(stderr, "dashbox serve: too many %s\n", what);
    return false;
}

static bool parse(char **argv, struct command_line *c)
{
    struct arguments a = { "dashbox serve", known, ARRAY_LEN(known), argv + 1, NULL };
    int              which;

    while ((which = arguments_next(&a)) != ARGUMENT_END) {
        str value = str_from_cstr(a.value);

        if (which == ARGUMENT_WRONG)
            return false;
        if (which == ARGUMENT_WORD) {
            fprintf(stderr, "dashbox serve: \"%s\" is too much\n", a.value);
            return false;
        }
        if (which == HELP || which == HELP_SHORT) {
            c->help = true;
        } else if (which == PRODUCTION) {
            c->production = true;
        } else if (which == CONFIG) {
            c->config = a.value;
        } else if (which == API_KEY) {
            if (c->key_count == ARRAY_LEN(c->keys))
                return too_many("keys");
            c->keys[c->key_count++] = a.value;
        } else {
            if (c->set_count == ARRAY_LEN(c->sets))
                return too_many("options");
            c->sets[c->set_count][0] = which == SET ? str_cut(&value, '=') : str_from(known[which].name, 2);
            c->sets[c->set_count++][1] = value;
        }
    }
    return true;
}

/* A new configuration from the file and the command line. */
static struct config *load(const struct command_line *cl)
{
    struct config *c = config_new();
    str            problem = { 0 };
    enum err       e = OK;

    if (cl->config)
        e = config_read(c, cl->config, &problem);
    for (size_t i = 0; i < cl->set_count && !e; i++)
        e = config_set(c, cl->sets[i][0], cl->sets[i][1], &problem);
    for (size_t i = 0; i < cl->key_count; i++)
        config_add_key(c, str_from_cstr(cl->keys[i]));
    if (cl->production)
        c->options.production = true;
    if (!e)
        e = config_finish(c, &problem);
    if (!e)
        return c;
    log_error("%.*s", STR_ARG(problem));
    config_free(c);
    return NULL;
}

/* 0.0.0.0 or [::]. */
static bool is_any(const struct address *at)
{
    if (at->sa.sa_family == AF_INET6)
        return IN6_IS_ADDR_UNSPECIFIED(&at->in6.sin6_addr);
    return at->sa.sa_family == AF_INET && at->in.sin_addr.s_addr == htonl(INADDR_ANY);
}

static void print_welcome(const struct config *c, const struct address *at, str key)
{
    char        text[ADDRESS_TEXT_MAX];
    bool        local = at->path[0];
    const char *scheme = c->options.tls_certificate.len ? "https" : "http";
    const char *host = local ? "localhost" : text;
    str         shown = key.len ? key : S("YOUR_KEY");

    address_format(at, text);
    printf("dashbox: listening on %s%s%s\n", local ? "" : scheme, local ? "" : "://", text);
    if (is_any(at))
        printf("dashbox: open to every network of this machine; --listen 127.0.0.1:PORT keeps it to itself\n");
    if (key.len)
        printf("dashbox: key          %.*s\n", STR_ARG(key));
    else
        printf("dashbox: a key is made with: dashbox keys create --data %.*s\n", STR_ARG(c->options.data));
    if (!c->options.admin_key.len && !c->options.production)
        printf("dashbox: admin key    %.*s/admin-key\n", STR_ARG(c->options.data));
    printf("\n");
    if (!local)
        printf("  export DASHSCOPE_API_KEY=%.*s DASHSCOPE_HTTP_BASE_URL=%s://%s/api/v1\n"
               "  export OPENAI_API_KEY=%.*s OPENAI_BASE_URL=%s://%s/compatible-mode/v1\n"
               "  export ANTHROPIC_API_KEY=%.*s ANTHROPIC_BASE_URL=%s://%s/apps/anthropic\n",
               STR_ARG(shown), scheme, text, STR_ARG(shown), scheme, text, STR_ARG(shown), scheme, text);
    printf("  curl %s%s%s%s://%s/compatible-mode/v1/chat/completions -H 'Authorization: Bearer %.*s' \\\n"
           "    -d '{\"model\":\"qwen-plus\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n\n",
           local ? "--unix-socket '" : "", local ? at->path : "", local ? "' " : "", scheme, host, STR_ARG(shown));
    fflush(stdout);
}

static struct config *load_again(void *command_line)
{
    return load(command_line);
}

static int run(struct config *c, struct command_line *cl, struct address *at)
{
    struct server p;
    str           key = { 0 };
    enum err      e;

    panic_note_set(request_panic_note);
    e = server_open(&p, c, at, &key);
    if (!e)
        e = server_start(&p);
    if (!e) {
        print_welcome(c, at, key);
        server_run(&p, load_again, cl);
    }
    server_close(&p);
    return e ? 1 : 0;
}

int serve_main(int argc, char **argv)
{
    struct command_line cl = { 0 };
    struct config      *c;
    struct address      at;

    (void)argc;
    if (!parse(argv, &cl))
        return usage(stderr);
    if (cl.help)
        return usage(stdout);
    c = load(&cl);
    if (!c)
        return 2;
    if (!address_parse(c->options.listen, &at)) {
        log_error("listen: \"%.*s\" is no address such as 127.0.0.1:8420", STR_ARG(c->options.listen));
        config_free(c);
        return 2;
    }
    return run(c, &cl, &at);
}
