/* main.c - dashbox and its subcommands. */
#include "base/str.h"
#include "cli/cli.h"
#include "server/arguments.h"
#include "server/serve.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#ifndef DASHBOX_VERSION
#define DASHBOX_VERSION "unknown"
#endif

static int cli_version(int argc, char **argv);
static int cli_help(int argc, char **argv);

enum group { GROUP_SERVER, GROUP_CALLS, GROUP_ACCESS, GROUP_MONEY, GROUP_TESTS, GROUP_HELP, GROUPS };

static const char *const group_titles[GROUPS] = {
    [GROUP_SERVER] = "The server",
    [GROUP_CALLS] = "Calls, to dashbox or to the cloud",
    [GROUP_ACCESS] = "Who may call what, and how much",
    [GROUP_MONEY] = "What was used",
    [GROUP_TESTS] = "For tests, in a running server",
    [GROUP_HELP] = "Help",
};

static const struct {
    str        name;
    enum group group;
    int (*run)(int argc, char **argv); /* argv[0] is the subcommand */
    const char *help;
    bool        has_help; /* takes --help */
} commands[] = {
    { S("serve"), GROUP_SERVER, serve_main, "run the server", true },
    { S("chat"), GROUP_CALLS, cli_chat, "talk with a model, or ask it one thing", true },
    { S("embed"), GROUP_CALLS, cli_embed, "texts as vectors, and how near two are", true },
    { S("rerank"), GROUP_CALLS, cli_rerank, "which texts answer a question", true },
    { S("image"), GROUP_CALLS, cli_image, "a picture of a text, or of other pictures", true },
    { S("video"), GROUP_CALLS, cli_video, "a video of a text, of pictures or clips", true },
    { S("say"), GROUP_CALLS, cli_say, "a text, read aloud", true },
    { S("listen"), GROUP_CALLS, cli_listen, "what is said in sounds and videos; subtitles too", true },
    { S("voices"), GROUP_CALLS, cli_voices, "who can read", true },
    { S("tasks"), GROUP_CALLS, cli_tasks, "asynchronous work: list, show, wait, cancel", true },
    { S("files"), GROUP_CALLS, cli_files, "the account's files: upload, list, download, delete", true },
    { S("batch"), GROUP_CALLS, cli_batch, "many requests as one file; can be paused", true },
    { S("tune"), GROUP_CALLS, cli_tune, "fine-tuning: create, follow, cancel jobs", true },
    { S("deployments"), GROUP_CALLS, cli_deployments, "models that calls can name", true },
    { S("tokens"), GROUP_CALLS, cli_tokens, "how many tokens a text is; counted here", true },
    { S("inspect"), GROUP_CALLS, cli_inspect, "what is in images, videos and audio; looked at here", true },
    { S("keys"), GROUP_ACCESS, cli_keys, "create, list and revoke API keys", true },
    { S("workspaces"), GROUP_ACCESS, cli_workspaces, "the account's workspaces, their models and limits", true },
    { S("members"), GROUP_ACCESS, cli_members, "who works in which workspace", true },
    { S("models"), GROUP_ACCESS, cli_models, "what the models can do, and which of them the account has", true },
    { S("moderation"), GROUP_ACCESS, cli_moderation, "words and expressions that are refused", true },
    { S("apps"), GROUP_ACCESS, cli_apps, "applications: agents and flows, and how they ran", true },
    { S("plugins"), GROUP_ACCESS, cli_plugins, "HTTP services that applications call", true },
    { S("knowledge"), GROUP_ACCESS, cli_knowledge, "knowledge bases: files that applications answer from", true },
    { S("usage"), GROUP_MONEY, cli_usage, "what was used and what it cost", true },
    { S("account"), GROUP_MONEY, cli_account, "balance, payments, free quota", true },
    { S("faults"), GROUP_TESTS, cli_faults, "let calls fail on purpose", true },
    { S("journal"), GROUP_TESTS, cli_journal, "the requests received lately", true },
    { S("clock"), GROUP_TESTS, cli_clock, "set, move or stop the server's time", true },
    { S("reset"), GROUP_TESTS, cli_reset, "forget what calls have left behind", true },
    { S("explain"), GROUP_HELP, cli_explain, "what an error means and what to do about it", true },
    { S("version"), GROUP_HELP, cli_version, "print the version", false },
    { S("help"), GROUP_HELP, cli_help, "this, or more of a command: dashbox help keys", false },
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
    puts("dashbox: Qwen Cloud in a box\n\nusage: dashbox COMMAND [ARGUMENTS]");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (i == 0 || commands[i].group != commands[i - 1].group)
            printf("\n%s\n", group_titles[commands[i].group]);
        printf("  %-11.*s %s\n", STR_ARG(commands[i].name), commands[i].help);
    }
    puts("\n\"dashbox COMMAND --help\" says more of each.");
    return 0;
}

/* A standard descriptor that is closed would be given to a socket or a file, and then written to. */
static void open_standard(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        close(fd);
}

static int unknown(str name)
{
    str names[ARRAY_LEN(commands)], near;

    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        names[i] = commands[i].name;
    near = name_nearest(name, names, ARRAY_LEN(commands));
    fprintf(stderr, "dashbox: there is no command \"%.*s\"; ", STR_ARG(name));
    if (near.len)
        fprintf(stderr, "did you mean %.*s? ", STR_ARG(near));
    fputs("See dashbox help\n", stderr);
    return 2;
}

/* What a command has printed is its work; the server's greeting is not. */
static int finish(enum group group, int status)
{
    if (group == GROUP_SERVER || (!fflush(stdout) && !ferror(stdout)))
        return status;
    fputs("dashbox: standard output could not be written\n", stderr);
    return status ? status : 1;
}

int main(int argc, char **argv)
{
    str name = argc > 1 ? str_from_cstr(argv[1]) : (str){ 0 };

    open_standard();
    if (argc < 2)
        return cli_help(argc, argv), 2;
    if (str_eq(name, S("--help")) || str_eq(name, S("-h")))
        name = S("help");
    if (str_eq(name, S("--version")) || str_eq(name, S("-v")))
        name = S("version");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (str_eq(commands[i].name, name))
            return finish(commands[i].group, commands[i].run(argc - 1, argv + 1));
    }
    return unknown(name);
}
