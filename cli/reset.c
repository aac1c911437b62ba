/* reset.c - dashbox reset: a running server forgets what calls have left behind. */
#include "cli/admin_client.h"

static const char usage[] =
    "usage: dashbox reset\n"
    "\n"
    "  --url URL                the server; DASHBOX_URL, or http://127.0.0.1:8420\n"
    "  --admin-key KEY          DASHBOX_ADMIN_KEY, or the file admin-key of the data folder\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "For a fresh start between two tests: counts of limits, usage and its cost, used free quota, tasks, batches, files,\n"
    "vocabularies, voices, fine-tuned models, stored responses and conversations, sessions and runs of applications,\n"
    "assistants, faults, the journal, the clock and the scenario's call numbers. Keys, workspaces, members,\n"
    "models, policies, applications and payments stay. Not under --production.\n";

static enum err reset(struct cli *c)
{
    yyjson_val *nothing;

    return admin_client_call(c, "POST", S("/admin/v1/reset"), (str){ 0 }, &nothing);
}

int cli_reset(int argc, char **argv)
{
    static const struct cli_action actions[] = { { "", 0, 0, .run = reset, .asks_server = true } };

    return cli_run(argc, argv, usage, NULL, 0, actions, ARRAY_LEN(actions));
}
