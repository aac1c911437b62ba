/* keys.c - dashbox keys create|list|revoke. */
#include "access/keys.h"

#include "api/admin/objects.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "server/config.h"

static const char *name, *workspace, *kind, *member, *networks, *expires;

static const char usage[] =
    "usage: dashbox keys create [--name NAME] [--workspace W] [--kind KIND] [--member M]\n"
    "                           [--networks LIST] [--expires DATE] [--json]\n"
    "       dashbox keys list [--workspace W] [--json]\n"
    "       dashbox keys revoke ID|KEY\n"
    "\n"
    "  --workspace W      whose key it is; \"default\" when absent\n"
    "  --kind KIND        general (sk-…), or coding-plan (sk-sp-…) for addresses below /coding\n"
    "  --member M         of somebody who is in the workspace: the key holds as long as that is so\n"
    "  --networks LIST    from which it may be used: \"10.0.0.0/8 ::1\"\n"
    "  --expires DATE     2026-12-31 or 2026-12-31T08:00:00Z\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "  --url URL, --admin-key KEY  of the server whose clock says what has expired; found as by dashbox clock\n"
    "\n"
    "A new key is shown once and cannot be shown again: only its hash is kept. A running server\n"
    "takes a new key at once and forgets a revoked one within half a second.\n";

static enum err create(struct cli *c)
{
    struct key_row k, want = {
        .name = str_from_cstr(name),
        .workspace = str_from_cstr(workspace),
        .kind = str_from_cstr(kind),
        .member = str_from_cstr(member),
        .networks = str_from_cstr(networks),
    };
    struct buf b;
    str        secret;
    enum err   e = cli_time(c, "--expires", expires, &want.expires_ms);

    if (!e)
        e = key_create(&c->edit, &want, c->config->options.keys_max, &secret, &k);
    if (e)
        return e;
    if (c->json) {
        buf_init(&b, c->edit.arena, SIZE_MAX / 2);
        object_key(&b, &k, secret);
        cli_print(&b);
    } else {
        printf("%.*s\n", STR_ARG(secret));
        fflush(stdout);
        fprintf(stderr, "%.*s%s%.*s\n", STR_ARG(k.id), k.name.len ? ", " : "",
                STR_ARG(k.name)); /* beside the key, which $(…) takes */
    }
    return OK;
}

static str state(const struct key_row *k)
{
    return k->revoked_ms ? S("revoked") : k->expires_ms && k->expires_ms <= clock_unix_ms() ? S("expired") : S("good");
}

static enum err list(struct cli *c)
{
    static const char *const heads[] = { "ID",     "KEY",      "NAME",    "WORKSPACE", "KIND",
                                         "MEMBER", "NETWORKS", "CREATED", "EXPIRES",   "STATE" };
    struct key_row          *keys;
    struct cli_table         t;
    size_t                   count;
    enum err                 e = key_list(&c->edit, str_from_cstr(workspace), &keys, &count);

    if (e)
        return e;
    cli_table_begin(&t, c->edit.arena, heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < count; i++) {
        const struct key_row *k = &keys[i];
        struct buf            b;

        if (c->json) {
            buf_init(&b, c->edit.arena, SIZE_MAX / 2);
            object_key(&b, k, (str){ 0 });
            cli_print(&b);
            continue;
        }
        cli_table_add(&t, k->id);
        cli_table_add(&t, k->hint);
        cli_table_add(&t, k->name);
        cli_table_add(&t, k->workspace);
        cli_table_add(&t, k->kind);
        cli_table_add(&t, k->member);
        cli_table_add(&t, k->networks);
        cli_table_add(&t, cli_when(c->edit.arena, k->created_ms));
        cli_table_add(&t, cli_when(c->edit.arena, k->expires_ms));
        cli_table_add(&t, state(k));
    }
    if (!c->json)
        cli_table_end(&t);
    return OK;
}

static enum err revoke_key(struct cli *c)
{
    enum err e = key_revoke(&c->edit, cli_word(c, 0));

    if (!e)
        puts("revoked");
    return e;
}

int cli_keys(int argc, char **argv)
{
    static const struct cli_flag flags[] = {
        { "--name", &name },     { "--workspace", &workspace }, { "--kind", &kind },
        { "--member", &member }, { "--networks", &networks },   { "--expires", &expires },
    };
    static const struct cli_action actions[] = {
        { "create", 0, 0, true, create, .by_clock = true },
        { "list", 0, 0, false, list, .by_clock = true },
        { "revoke", 1, 1, false, revoke_key, .by_clock = true },
    };

    return cli_run(argc, argv, usage, flags, ARRAY_LEN(flags), actions, ARRAY_LEN(actions));
}
