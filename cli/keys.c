/* keys.c - dashbox keys create|list|revoke: on the store itself, whether or not a server runs. */
#include "access/keys.h"
#include "base/clock.h"
#include "cli/cli.h"
#include "contract/json.h"
#include "server/arguments.h"
#include "server/config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct arguments_of_keys {
    const char *action, *subject, *name, *data, *config;
    bool        json, help;
};

static int usage(FILE *to)
{
    fputs("usage: dashbox keys create [--name NAME] [--json]\n"
          "       dashbox keys list [--json]\n"
          "       dashbox keys revoke ID|KEY\n"
          "\n"
          "  --data DIR, --config FILE   the server's; the same default\n"
          "\n"
          "A new key is shown once and cannot be shown again: only its hash is kept. A running server\n"
          "takes a new key at once and forgets a revoked one within half a second.\n",
          to);
    return to == stdout ? 0 : 2;
}

static const struct argument known[] = {
    { S("--name"), true },  { S("--data"), true },  { S("--config"), true },
    { S("--json"), false }, { S("--help"), false }, { S("-h"), false },
};
enum { NAME, DATA, CONFIG, JSON };

static bool wrong(const char *what, const char *word)
{
    fprintf(stderr, "dashbox keys: %s%s%s%s\n", what, word ? " \"" : "", word ? word : "", word ? "\"" : "");
    return false;
}

/* False: something is wrong, and has been said. */
static bool parse(char **argv, struct arguments_of_keys *k)
{
    struct arguments a = { "dashbox keys", known, ARRAY_LEN(known), argv + 1, NULL };
    int              which;
    bool             revoke;

    while ((which = arguments_next(&a)) != ARGUMENT_END) {
        if (which == ARGUMENT_WRONG)
            return false;
        if (which == ARGUMENT_WORD && k->subject)
            return wrong("too many words, from", a.value);
        if (which == ARGUMENT_WORD)
            *(k->action ? &k->subject : &k->action) = a.value;
        else if (which == NAME)
            k->name = a.value;
        else if (which == DATA)
            k->data = a.value;
        else if (which == CONFIG)
            k->config = a.value;
        else if (which == JSON)
            k->json = true;
        else
            k->help = true;
    }
    if (k->help)
        return true;
    if (!k->action)
        return wrong("create, list or revoke?", NULL);
    revoke = strcmp(k->action, "revoke") == 0;
    if (!revoke && strcmp(k->action, "create") != 0 && strcmp(k->action, "list") != 0)
        return wrong("there is no", k->action);
    if (k->name && !key_name_ok(str_from_cstr(k->name)))
        return wrong("a name is one line of at most 200 characters", NULL);
    if (revoke && !k->subject)
        return wrong("revoke which key? (its id, or itself)", NULL);
    if (!revoke && k->subject)
        return wrong("too many words, from", k->subject);
    return true;
}

static void print_json(struct arena *arena, const struct key *k, str secret)
{
    struct buf b;

    buf_init(&b, arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, k->id);
    if (secret.len) {
        buf_add(&b, S(",\"key\":"));
        json_add_str(&b, secret);
    }
    buf_add(&b, S(",\"hint\":"));
    json_add_str(&b, k->hint);
    buf_add(&b, S(",\"name\":"));
    json_add_str(&b, k->name);
    buf_add(&b, S(",\"workspace\":"));
    json_add_str(&b, k->workspace);
    buf_addf(&b, ",\"created_ms\":%lld,\"revoked_ms\":", (long long)k->created_ms);
    if (k->revoked_ms)
        buf_add_i64(&b, k->revoked_ms);
    else
        buf_add(&b, S("null"));
    printf("%.*s}\n", STR_ARG(buf_str(&b)));
}

static int create(struct store *s, struct arena *arena, const struct arguments_of_keys *a)
{
    char       secret[KEY_LEN + 1];
    struct key k;
    enum err   e = keys_create(s, str_from_cstr(a->name), S("default"), secret, arena, &k);

    if (e)
        return 1;
    if (a->json)
        print_json(arena, &k, str_of(secret, KEY_LEN));
    else
        printf("%s\n", secret);
    if (!a->json) { /* beside the key, which $(…) takes */
        fflush(stdout);
        fprintf(stderr, "%.*s%s%.*s\n", STR_ARG(k.id), k.name.len ? ", " : "", STR_ARG(k.name));
    }
    return 0;
}

static int list(struct store *s, struct arena *arena, const struct arguments_of_keys *a)
{
    struct key *keys;
    size_t      count;

    if (keys_list(s, arena, &keys, &count))
        return 1;
    if (!a->json)
        printf("%-14s %-12s %-16s %-12s %-20s %s\n", "ID", "KEY", "NAME", "WORKSPACE", "CREATED", "STATE");
    for (size_t i = 0; i < count; i++) {
        char when[CLOCK_ISO_LEN + 1];

        if (a->json) {
            print_json(arena, &keys[i], (str){ 0 });
            continue;
        }
        clock_iso(when, keys[i].created_ms);
        /* the hint's … is one column and three bytes */
        printf("%-14.*s %-14.*s %-16.*s %-12.*s %-20.19s %s\n", STR_ARG(keys[i].id), STR_ARG(keys[i].hint),
               STR_ARG(keys[i].name), STR_ARG(keys[i].workspace), when, keys[i].revoked_ms ? "revoked" : "good");
    }
    return 0;
}

static int revoke_key(struct store *s, struct arena *arena, const struct arguments_of_keys *a)
{
    str      key = str_from_cstr(a->subject);
    enum err e = keys_revoke(s, key);

    if (e == ERR_NOT_FOUND) {
        if (!str_starts(key, S("key-"))) /* not its id: a secret, which is not to be seen */
            key = key_hint(arena, key);
        fprintf(stderr, "dashbox keys: there is no good key \"%.*s\"; dashbox keys list shows all\n", STR_ARG(key));
    } else if (!e)
        printf("revoked\n");
    return e ? 1 : 0;
}

int cli_keys(int argc, char **argv)
{
    struct arguments_of_keys a = { 0 };
    struct config           *c = config_new();
    struct store            *s = NULL;
    struct arena             arena;
    str                      problem = { 0 };
    int                      status = 1;
    enum err                 e = OK;

    (void)argc;
    if (!parse(argv, &a) || a.help) {
        config_free(c);
        return usage(a.help ? stdout : stderr);
    }
    if (a.config)
        e = config_read(c, a.config, &problem);
    if (!e && a.data)
        e = config_set(c, S("data"), str_from_cstr(a.data), &problem);
    if (!e)
        e = config_finish(c, &problem);
    if (e) {
        fprintf(stderr, "dashbox keys: %.*s\n", STR_ARG(problem));
        config_free(c);
        return 2;
    }
    arena_init(&arena, 0);
    /* Only create makes a new folder: a mistyped --data must not look like a server without keys. */
    if (strcmp(a.action, "create") != 0 &&
        access(arena_printf(&arena, "%.*s/dashbox.db", STR_ARG(c->options.data)).ptr, F_OK)) {
        fprintf(stderr, "dashbox keys: there is no dashbox data in %.*s\n", STR_ARG(c->options.data));
    } else if (store_open(c->options.data, &s) == OK) {
        if (strcmp(a.action, "create") == 0)
            status = create(s, &arena, &a);
        else if (strcmp(a.action, "list") == 0)
            status = list(s, &arena, &a);
        else
            status = revoke_key(s, &arena, &a);
    }
    store_close(s);
    arena_free(&arena);
    config_free(c);
    return status;
}
