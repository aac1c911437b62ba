/* main.c - dashbox and its subcommands. */
#include "base/str.h"
#include "cli/cli.h"
#include "server/serve.h"

#include <stdio.h>

#ifndef DASHBOX_VERSION
#define DASHBOX_VERSION "unknown"
#endif

static int cli_version(int argc, char **argv);
static int cli_help(int argc, char **argv);

static const struct {
    str name;
    int (*run)(int argc, char **argv); /* argv[0] is the subcommand */
    const char *help;
    bool        has_help; /* takes --help */
} commands[] = {
    { S("serve"), serve_main, "run the server", true },
    { S("keys"), cli_keys, "create, list and revoke API keys", true },
    { S("workspaces"), cli_workspaces, "the account's workspaces, and which models they may call", true },
    { S("members"), cli_members, "who works in which workspace", true },
    { S("models"), cli_models, "the models, and which of them the account has", true },
    { S("usage"), cli_usage, "what was used and what it cost", true },
    { S("account"), cli_account, "balance, payments, free quota", true },
    { S("explain"), cli_explain, "what an error means and what to do about it", true },
    { S("version"), cli_version, "print the version", false },
    { S("help"), cli_help, "this", false },
};

static int cli_version(int argc, char **argv)
{
    (void)argc, (void)argv;
    puts("dashbox " DASHBOX_VERSION);
    return 0;
}

static int cli_help(int argc, char **argv)
{
    for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++) {
        char *words[] = { argv[1], (char[]){ "--help" }, NULL };

        if (str_eq(commands[i].name, str_from_cstr(argv[1])) && commands[i].has_help)
            return commands[i].run(2, words);
    }
    puts("dashbox: Qwen Cloud in a box\n\nusage: dashbox COMMAND [ARGUMENTS]\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-10.*s %s\n", STR_ARG(commands[i].name), commands[i].help);
    puts("\n\"dashbox COMMAND --help\" says more of each.");
    return 0;
}

int main(int argc, char **argv)
{
    str name = argc > 1 ? str_from_cstr(argv[1]) : (str){ 0 };

    if (argc < 2)
        return cli_help(argc, argv), 2;
    if (str_eq(name, S("--help")) || str_eq(name, S("-h")))
        name = S("help");
    if (str_eq(name, S("--version")) || str_eq(name, S("-v")))
        name = S("version");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (str_eq(commands[i].name, name))
            return commands[i].run(argc - 1, argv + 1);
    }
    fprintf(stderr, "dashbox: there is no command \"%.*s\"; see dashbox help\n", STR_ARG(name));
    return 2;
}
