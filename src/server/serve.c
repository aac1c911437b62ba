/* serve.c - dashbox serve.
 *
 * Reads the command line and the configuration, and hands over to the process.
 */
#include "server/serve.h"

#include "base/log.h"
#include "server/server.h"

#include <stdio.h>
#include <stdlib.h>

struct command_line {
    const char *config;
    str         sets[32][2]; /* option name, value */
    size_t      set_count;
    const char *keys[64];
    size_t      key_count;
    bool        production;
};

static int usage(FILE *to)
{
    fputs("usage: dashbox serve [--config FILE] [--listen HOST:PORT] [--data DIR] [--api-key KEY]…\n"
          "                     [--workers N] [--production] [--set OPTION=VALUE]…\n"
          "\n"
          "Serves the Qwen Cloud API. --workers 0, the default, is one a core. Every option of the\n"
          "configuration file can be set with --set; ./dev doc writes the list, and\n"
          "doc/configuration.md tells of engines, routes and models.\n",
          to);
    return to == stdout ? 0 : 2;
}

static bool parse(int argc, char **argv, struct command_line *c)
{
    static const struct {
        const char *flag;
        str         option;
    } values[] = {
        { "--listen", S("listen") },
        { "--data", S("data") },
        { "--workers", S("workers") },
        { "--scenario", S("scenario") },
        { "--wording", S("wording") },
        { "--edition", S("edition") },
    };

    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        str         pair;
        bool        known = false;

        if (strcmp(flag, "--production") == 0) {
            c->production = true;
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(values) && value && c->set_count < ARRAY_LEN(c->sets); k++) {
            if (strcmp(flag, values[k].flag) == 0) {
                c->sets[c->set_count][0] = values[k].option;
                c->sets[c->set_count++][1] = str_from_cstr(value);
                known = true;
            }
        }
        if (!known && value && strcmp(flag, "--config") == 0) {
            c->config = value;
        } else if (!known && value && strcmp(flag, "--api-key") == 0 && c->key_count < ARRAY_LEN(c->keys)) {
            c->keys[c->key_count++] = value;
        } else if (!known && value && strcmp(flag, "--set") == 0 && c->set_count < ARRAY_LEN(c->sets)) {
            pair = str_from_cstr(value);
            c->sets[c->set_count][0] = str_cut(&pair, '=');
            c->sets[c->set_count++][1] = pair;
        } else if (!known) {
            fprintf(stderr, "dashbox serve: %s %s\n", flag,
                    flag[0] == '-' && !value ? "needs a value, or is unknown" : "is unknown");
            return false;
        }
        i++;
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

static void print_welcome(const struct config *c, const struct address *at, str key)
{
    char        text[ADDRESS_TEXT_MAX];
    const char *scheme = c->options.tls_certificate.len ? "https" : "http";
    str         shown = key.len ? key : S("YOUR_KEY");

    address_format(at, text);
    if (at->path[0]) {
        printf("dashbox: listening on %s\n", text);
        fflush(stdout);
        return;
    }
    printf("dashbox: listening on %s://%s\n", scheme, text);
    if (key.len)
        printf("dashbox: key          %.*s\n", STR_ARG(key));
    else
        printf("dashbox: a key is made with: dashbox keys create --data %.*s\n", STR_ARG(c->options.data));
    printf("\n"
           "  export DASHSCOPE_API_KEY=%.*s DASHSCOPE_HTTP_BASE_URL=%s://%s/api/v1\n"
           "  export OPENAI_API_KEY=%.*s OPENAI_BASE_URL=%s://%s/compatible-mode/v1\n"
           "  curl %s://%s/compatible-mode/v1/chat/completions -H 'Authorization: Bearer %.*s' \\\n"
           "    -d '{\"model\":\"qwen-plus\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n\n",
           STR_ARG(shown), scheme, text, STR_ARG(shown), scheme, text, scheme, text, STR_ARG(shown));
    fflush(stdout);
}

static struct config *load_again(void *command_line)
{
    return load(command_line);
}

static int run(struct config *c, struct command_line *cl, struct address *at)
{
    struct server p;
    str            key = { 0 };
    enum err       e;

    panic_note_set(request_panic_note);
    e = server_open(&p, c, at, &key);
    if (!e) {
        print_welcome(c, at, key);
        e = server_start(&p);
    }
    if (!e)
        server_run(&p, load_again, cl);
    server_close(&p);
    return e ? 1 : 0;
}

int serve_main(int argc, char **argv)
{
    struct command_line cl = { 0 };
    struct config      *c;
    struct address      at;

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(stdout);
    if (!parse(argc, argv, &cl))
        return usage(stderr);
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
