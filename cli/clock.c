/* clock.c - dashbox clock show|set|advance|stop|run|reset: a running server's time. */
#include "cli/admin_client.h"

static const char usage[] =
    "usage: dashbox clock show [--json]\n"
    "       dashbox clock set TIME        2026-12-31 or 2026-12-31T08:00:00Z\n"
    "       dashbox clock advance TIME    90s, 5m, 2h, 30d; -1h is back\n"
    "       dashbox clock stop            it stands still; set and advance still move it\n"
    "       dashbox clock run\n"
    "       dashbox clock reset           the machine's time, running\n"
    "\n"
    "  --url URL                the server; DASHBOX_URL, or http://127.0.0.1:8420\n"
    "  --admin-key KEY          DASHBOX_ADMIN_KEY, or the file admin-key of the data folder\n"
    "  --data DIR, --config FILE   the server's; the same default\n"
    "\n"
    "Windows of limits, expiries, free quota, grace and the days of usage go by this clock; time-outs and\n"
    "pauses do not. Not under --production.\n";

/* To the second, in the two largest units: "1 d 2 h". */
static str offset_text(struct cli *c, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t     ms;
    } units[] = { { "d", 86400000 }, { "h", 3600000 }, { "min", 60000 }, { "s", 1000 } };
    int64_t left = (ms < 0 ? -ms : ms) + 500;

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int64_t n = left / units[i].ms, rest = i + 1 < ARRAY_LEN(units) ? left % units[i].ms / units[i + 1].ms : 0;

        if (n && rest)
            return arena_printf(c->edit.arena, "%lld %s %lld %s", (long long)n, units[i].name, (long long)rest,
                                units[i + 1].name);
        if (n)
            return arena_printf(c->edit.arena, "%lld %s", (long long)n, units[i].name);
    }
    return (str){ 0 };
}

static enum err call(struct cli *c, const char *method, str body)
{
    yyjson_val *answer;
    str         now;
    int64_t     offset_ms;
    enum err    e = admin_client_call(c, method, S("/admin/v1/clock"), body, &answer);

    if (e)
        return e;
    if (c->json) {
        now = json_text(c->edit.arena, answer);
        printf("%.*s\n", STR_ARG(now));
        return OK;
    }
    now = admin_client_cell(c, answer, "now");
    offset_ms = admin_client_int(answer, "offset_ms");
    printf("%.*s  %s", STR_ARG(now), yyjson_is_true(json_get(answer, "stopped")) ? "stopped" : "running");
    if (offset_ms <= -500 || offset_ms >= 500)
        printf(", %.*s %s the machine's clock", STR_ARG(offset_text(c, offset_ms)),
               offset_ms < 0 ? "behind" : "ahead of");
    putchar('\n');
    return OK;
}

static enum err show(struct cli *c)
{
    return call(c, "GET", (str){ 0 });
}

static enum err set(struct cli *c)
{
    int64_t ms = 0;

    if (!edit_time(cli_word(c, 0), &ms))
        return edit_refuse(&c->edit, ERR_INVALID, "\"%.*s\" is no time such as 2026-12-31 or 2026-12-31T08:00:00Z",
                           STR_ARG(cli_word(c, 0)));
    return call(c, "PUT", arena_printf(c->edit.arena, "{\"now\":%lld}", (long long)ms));
}

/* "90s", "-1h". */
static bool read_span(str text, int64_t *ret)
{
    static const struct {
        str     name;
        int64_t ms;
    } units[] = { { S("ms"), 1 }, { S("s"), 1000 }, { S("m"), 60000 }, { S("h"), 3600000 }, { S("d"), 86400000 } };

    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        int64_t n;

        if (str_ends(text, units[i].name) && str_to_i64(str_first(text, text.len - units[i].name.len), &n))
            return !__builtin_mul_overflow(n, units[i].ms, ret);
    }
    return false;
}

static enum err advance(struct cli *c)
{
    int64_t ms;

    if (!read_span(cli_word(c, 0), &ms))
        return edit_refuse(&c->edit, ERR_INVALID, "\"%.*s\" is no time such as 90s, 5m, 2h or 30d",
                           STR_ARG(cli_word(c, 0)));
    return call(c, "PUT", arena_printf(c->edit.arena, "{\"advance_ms\":%lld}", (long long)ms));
}

static enum err stop(struct cli *c)
{
    return call(c, "PUT", S("{\"stopped\":true}"));
}

static enum err run(struct cli *c)
{
    return call(c, "PUT", S("{\"stopped\":false}"));
}

static enum err reset(struct cli *c)
{
    return call(c, "DELETE", (str){ 0 });
}

int cli_clock(int argc, char **argv)
{
    static const struct cli_action actions[] = {
        { "show", 0, 0, .run = show, .asks_server = true },       { "set", 1, 1, .run = set, .asks_server = true },
        { "advance", 1, 1, .run = advance, .asks_server = true }, { "stop", 0, 0, .run = stop, .asks_server = true },
        { "run", 0, 0, .run = run, .asks_server = true },         { "reset", 0, 0, .run = reset, .asks_server = true },
    };

    return cli_run(argc, argv, usage, NULL, 0, actions, ARRAY_LEN(actions));
}
