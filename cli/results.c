/* results.c - tasks that are waited for, and the files that answers name. */
#include "cli/results.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 16

/* ---- waiting ---- */

struct progress {
    int64_t begun_us;
    bool    terminal;
};

static int on_task(const struct dashscope_task *t, void *arg)
{
    struct progress *p = arg;

    if (p->terminal && !t->ended)
        fprintf(stderr, "\r\033[K%s %s, %lld s", t->id, t->status,
                (long long)((clock_mono_us() - p->begun_us) / 1000000));
    return 0;
}

int cli_task_wait(struct cli_client *c, const char *id, bool cancels, struct dashscope_task **ret)
{
    struct progress       p = { .begun_us = clock_mono_us(), .terminal = isatty(STDERR_FILENO) };
    enum dashscope_result r = dashscope_task_wait(c->handle, id, on_task, &p, ret);
    int                   status;

    if (p.terminal)
        fputs("\r\033[K", stderr);
    if (!r)
        return CLI_DONE;
    status = cli_client_failed(c);
    if (r == DASHSCOPE_CANCELLED && cancels && !dashscope_task_cancel(c->handle, id))
        cli_client_complain(c, 0, "task %s is cancelled", id);
    else
        cli_client_complain(c, 0, "task %s goes on; dashbox tasks wait %s", id, id);
    return status;
}

int cli_task_status(struct cli_client *c, const struct dashscope_task *t)
{
    if (strcmp(t->status, "SUCCEEDED") == 0)
        return CLI_DONE;
    if (*t->code)
        return cli_client_complain(c, CLI_FAILED, "%s: %s (task %s)", t->code, t->message, t->id);
    return cli_client_complain(c, CLI_FAILED, "task %s is %s", t->id, t->status);
}

/* ---- files ---- */

struct urls {
    struct arena *arena;
    const char  **at;
    size_t        count, cap;
};

static bool is_file(str key, str value)
{
    return (str_starts(value, S("http://")) || str_starts(value, S("https://"))) &&
           (str_ends(key, S("url")) || str_ends(key, S("urls")) || str_eq(key, S("image")) || str_eq(key, S("video")) ||
            str_eq(key, S("audio")));
}

static void find(struct urls *u, str key, yyjson_val *v, int depth)
{
    yyjson_val *name, *item;
    size_t      i, n;

    if (depth > DEPTH_MAX)
        return;
    if (is_file(key, json_str(v))) {
        if (u->count == u->cap) {
            size_t cap = u->cap ? 2 * u->cap : 8;

            u->at = arena_realloc(u->arena, (void *)(uintptr_t)u->at, u->cap * sizeof(char *), cap * sizeof(char *));
            u->cap = cap;
        }
        u->at[u->count++] = str_to_cstr(u->arena, json_str(v));
    }
    yyjson_arr_foreach(v, i, n, item)
    {
        find(u, key, item, depth + 1);
    }
    yyjson_obj_foreach(v, i, n, name, item)
    {
        find(u, json_str(name), item, depth + 1);
    }
}

size_t cli_result_urls(struct arena *a, yyjson_val *answer, const char ***ret)
{
    struct urls u = { .arena = a };

    find(&u, (str){ 0 }, json_get(answer, "output"), 0);
    *ret = u.at;
    return u.count;
}
