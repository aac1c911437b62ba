/* batch.c - dashbox batch run|list|show|wait|cancel: many requests as one file.
 *
 * `run` is one that can be left and taken up again: what has been answered stands in FILE's output, by its custom_id, and is not sent a
 * second time. Ctrl-C pauses: the batch is cancelled, and what it has brought so far is fetched.
 */
#include "cli/cli.h"
#include "cli/files.h"
#include "cli/progress.h"

#include "base/clock.h"
#include "base/map.h"
#include "base/num.h"
#include "service/line_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES ((size_t)64 << 20) /* of an output */
#define FIRST_MS       200                /* between two questions, at least, */
#define PAUSE_MS       10000              /* and at most */
#define AWAY_MS        1000
#define AWAY_MAX       300 /* times that a server is asked again that is not there, a second apart */

static const char usage[] =
    "usage: dashbox batch run FILE [OPTIONS]         uploads it, waits, and fetches what came of it\n"
    "       dashbox batch list [--status STATUS] [--limit N]\n"
    "       dashbox batch show ID\n"
    "       dashbox batch wait ID [--output FILE]    until it has ended; its answers go to FILE\n"
    "       dashbox batch cancel ID\n"
    "\n"
    "  --output FILE, --errors FILE   of run: [FILE.output.jsonl, FILE.errors.jsonl]\n"
    "  --window WINDOW             how long it may take: 24h to 336h, 1d to 14d [24h]\n"
    "  --name NAME                 shown in lists\n"
    "  --json                      the server's answer\n"
    "\n"
    "Ctrl-C pauses a run; the same command goes on with it: lines whose answer is in the output are not sent\n"
    "again. So it does with what has failed.\n" CLI_CLIENT_USAGE;

struct batch {
    struct cli_client client;
    const char       *output, *errors, *window, *name, *status, *limit;
    bool              json;
};

static yyjson_val *parse(struct batch *b, str answer)
{
    return json_parse_copy(&b->client.arena, answer);
}

static int64_t count_of(yyjson_val *batch, const char *name)
{
    int64_t n = 0;

    (void)json_to_i64(json_get(json_get(batch, "request_counts"), name), &n);
    return n;
}

static bool has_ended(str status)
{
    return str_eq(status, S("completed")) || str_eq(status, S("failed")) || str_eq(status, S("expired")) ||
           str_eq(status, S("cancelled"));
}

/* ---- waiting ---- */

static int get(struct batch *b, const char *id, str *ret)
{
    return cli_file_ask(&b->client, "GET", arena_printf(&b->client.arena, "/batches/%s", id), NULL, ret);
}

static int cancel(struct batch *b, const char *id)
{
    str answer = { 0 };
    int status =
        cli_file_ask(&b->client, "POST", arena_printf(&b->client.arena, "/batches/%s/cancel", id), "{}", &answer);

    if (!status && b->json)
        printf("%.*s\n", STR_ARG(answer));
    return status;
}

/* A server that is away for a while, since it is started again, has its batches still. */
static int ask_patiently(struct batch *b, const char *id, str *ret, int *away)
{
    struct dashscope_request q = { .method = "GET",
                                   .path = arena_printf(&b->client.arena, "/batches/%s", id).ptr,
                                   .protocol = DASHSCOPE_COMPATIBLE };
    struct dashscope_answer *answer;
    enum dashscope_result    r = dashscope_call(b->client.handle, &q, &answer);

    if ((r == DASHSCOPE_NO_CONNECTION || r == DASHSCOPE_TIMEOUT) && *away < AWAY_MAX) {
        if (!(*away)++)
            cli_client_complain(&b->client, 0, "%s; it is asked again",
                                dashscope_last_error(b->client.handle)->message);
        *ret = (str){ 0 };
        (void)poll(NULL, 0, AWAY_MS);
        return CLI_DONE;
    }
    if (r)
        return cli_client_failed(&b->client);
    *away = 0;
    *ret = cli_file_answer(&b->client, answer);
    return CLI_DONE;
}

/* Until it has ended. With `pauses` Ctrl-C cancels the batch and its end is waited for; then the status is CLI_INTERRUPTED, and *ret there. */
static int wait_for(struct batch *b, const char *id, bool pauses, str *ret)
{
    struct cli_progress p;
    bool                paused = false;
    int                 status = CLI_DONE, pause_ms = FIRST_MS, away = 0;

    cli_progress_begin(&p, id, false);
    for (;;) {
        yyjson_val *batch;
        str         state;

        status = ask_patiently(b, id, ret, &away);
        if (status == CLI_INTERRUPTED && pauses && !paused)
            status = CLI_DONE, *ret = (str){ 0 };
        if (status)
            break;
        if (ret->len) {
            batch = parse(b, *ret);
            state = json_str(json_get(batch, "status"));
            cli_progress_show(&p, count_of(batch, "completed") + count_of(batch, "failed"), count_of(batch, "total"),
                              count_of(batch, "failed")
                                  ? arena_printf(&b->client.arena, "%.*s, %lld failed", STR_ARG(state),
                                                 (long long)count_of(batch, "failed"))
                                  : state);
            if (has_ended(state))
                break;
            (void)poll(NULL, 0, pause_ms); /* Ctrl-C ends it */
            pause_ms = (int)max_i64(
                FIRST_MS, min_i64(PAUSE_MS, (clock_mono_us() - p.begun_us) / 10000)); /* a tenth of what it has taken */
        }
        if (!paused && cli_client_interrupted()) {
            cli_progress_end(&p);
            if (!pauses) {
                status =
                    cli_client_complain(&b->client, CLI_INTERRUPTED, "the batch goes on: dashbox batch wait %s", id);
                return status;
            }
            cli_client_complain(&b->client, 0, "pausing: what is under way is given up");
            paused = cancel(b, id) == CLI_DONE;
            if (!paused)
                break;
            pause_ms = FIRST_MS;
        }
    }
    cli_progress_end(&p);
    if (status && status != CLI_INTERRUPTED)
        cli_client_complain(&b->client, 0, "the batch goes on: dashbox batch wait %s --output FILE", id);
    return status ? status : paused ? CLI_INTERRUPTED : CLI_DONE;
}

static void say_errors(struct batch *b, yyjson_val *batch)
{
    size_t      i, n;
    yyjson_val *one;

    yyjson_arr_foreach(json_get(json_get(batch, "errors"), "data"), i, n, one)
    {
        int64_t line = 0;

        (void)json_to_i64(json_get(one, "line"), &line);
        if (line)
            cli_client_complain(&b->client, 0, "line %lld: %.*s: %.*s", (long long)line,
                                STR_ARG(json_str(json_get(one, "code"))), STR_ARG(json_str(json_get(one, "message"))));
        else
            cli_client_complain(&b->client, 0, "%.*s: %.*s", STR_ARG(json_str(json_get(one, "code"))),
                                STR_ARG(json_str(json_get(one, "message"))));
    }
}

/* Fetches what came of it. The status is CLI_DONE when all of it is good. */
static int fetch(struct batch *b, yyjson_val *batch, const char *output, const char *errors, bool append)
{
    struct arena *a = &b->client.arena;
    str           out = json_str(json_get(batch, "output_file_id")), err = json_str(json_get(batch, "error_file_id")),
        state = json_str(json_get(batch, "status"));
    int status = CLI_DONE;

    say_errors(b, batch);
    if (out.len)
        status = cli_file_save(&b->client, str_to_cstr(a, out), output, append);
    if (!status && err.len)
        status = cli_file_save(&b->client, str_to_cstr(a, err), errors, false);
    else if (!status)
        (void)unlink(errors); /* of an earlier run: nothing of it is true any more */
    if (status)
        return status;
    if (!b->json)
        fprintf(stderr, "%.*s: %lld requests, %lld answered, %lld not\n", STR_ARG(state),
                (long long)count_of(batch, "total"), (long long)count_of(batch, "completed"),
                (long long)count_of(batch, "failed"));
    return str_eq(state, S("completed")) && !count_of(batch, "failed") ? CLI_DONE : CLI_FAILED;
}

/* ---- run ---- */

/* The custom_ids that have their answer. */
struct answered {
    struct map   ids;
    struct arena arena, line;
    int64_t      count;
};

static str custom_id(struct arena *a, str line)
{
    return arena_str(a, json_str(json_get(json_parse(a, (char *)line.ptr, line.len), "custom_id")));
}

/* What a download that broke off has left behind the last whole line. */
static void cut_torn(int fd)
{
    off_t at = lseek(fd, 0, SEEK_END);
    char  c;

    while (at > 0 && pread(fd, &c, 1, at - 1) == 1 && c != '\n')
        at--;
    (void)!ftruncate(fd, at); /* else it is no answer, and asked for again */
    (void)lseek(fd, 0, SEEK_SET);
}

static void read_answered(struct answered *d, const char *output)
{
    int              fd = open(output, O_RDWR | O_CLOEXEC);
    struct line_file lines;
    str              line;

    map_init(&d->ids);
    arena_init(&d->arena, 0);
    if (fd < 0)
        return;
    cut_torn(fd);
    line_file_init(&lines, fd, LINE_MAX_BYTES, &d->arena);
    arena_init(&d->line, 0);
    while (line_file_next(&lines, &d->line, &line) == OK) {
        str id = arena_str(&d->arena, custom_id(&d->line, line));

        if (id.len && !map_get(&d->ids, id)) {
            map_put(&d->ids, id, d);
            d->count++;
        }
        arena_reset(&d->line);
    }
    arena_free(&d->line);
    close(fd);
}

/* The lines that have no answer yet, as a file beside; *ret_left: how many. */
static int write_rest(struct batch *b, struct answered *d, const char *file, const char *rest, int64_t *ret_left)
{
    int              fd = open(file, O_RDONLY | O_CLOEXEC);
    FILE            *out = fd >= 0 ? fopen(rest, "we") : NULL;
    struct line_file lines;
    str              line;
    bool             good = true;

    if (!out) {
        int status = cli_client_complain(&b->client, CLI_FAILED, "%s: %s", fd < 0 ? file : rest, strerror(errno));

        if (fd >= 0)
            close(fd);
        return status;
    }
    line_file_init(&lines, fd, LINE_MAX_BYTES, &d->arena);
    arena_init(&d->line, 0);
    for (*ret_left = 0; line_file_next(&lines, &d->line, &line) == OK; arena_reset(&d->line)) {
        str copy = arena_printf(&d->line, "%.*s        ", STR_ARG(line)); /* it is parsed in place */
        str id = custom_id(&d->line, str_first(copy, line.len));

        if (id.len && map_get(&d->ids, id))
            continue;
        good = good && fwrite(line.ptr, 1, line.len, out) == line.len && fputc('\n', out) == '\n';
        ++*ret_left;
    }
    arena_free(&d->line);
    close(fd);
    good = fclose(out) == 0 && good;
    return good ? CLI_DONE : cli_client_complain(&b->client, CLI_FAILED, "%s: %s", rest, strerror(errno));
}

/* The url of the first line is the endpoint. */
static str endpoint_of(struct batch *b, const char *file)
{
    struct arena    *a = &b->client.arena;
    int              fd = open(file, O_RDONLY | O_CLOEXEC);
    struct line_file lines;
    str              line, url = { 0 };

    if (fd < 0)
        return url;
    line_file_init(&lines, fd, LINE_MAX_BYTES, a);
    if (line_file_next(&lines, a, &line) == OK)
        url = json_str(json_get(json_parse(a, (char *)line.ptr, line.len), "url"));
    close(fd);
    return url.len ? url : S("/v1/chat/completions");
}

static int create(struct batch *b, str file_id, str endpoint, str *ret)
{
    struct buf body;

    buf_init(&body, &b->client.arena, SIZE_MAX / 2);
    buf_add(&body, S("{\"input_file_id\":"));
    json_add_str(&body, file_id);
    buf_add(&body, S(",\"endpoint\":"));
    json_add_str(&body, endpoint);
    buf_add(&body, S(",\"completion_window\":"));
    json_add_str(&body, str_from_cstr(b->window ? b->window : "24h"));
    if (b->name) {
        buf_add(&body, S(",\"metadata\":{\"ds_name\":"));
        json_add_str(&body, str_from_cstr(b->name));
        buf_add_char(&body, '}');
    }
    buf_add_char(&body, '}');
    return cli_file_ask(&b->client, "POST", S("/batches"), str_to_cstr(&b->client.arena, buf_str(&body)), ret);
}

/* Uploads `file`, and waits for what comes of it. */
static int run_file(struct batch *b, const char *file, const char *output, const char *errors)
{
    struct arena *a = &b->client.arena;
    str           answer = { 0 };
    const char   *id;
    int           status = cli_file_upload(&b->client, file, "batch", "uploading", &answer), fetched;

    if (status)
        return status;
    status = create(b, json_str(json_get(parse(b, answer), "id")), endpoint_of(b, file), &answer);
    if (status)
        return status;
    id = str_to_cstr(a, json_str(json_get(parse(b, answer), "id")));
    cli_client_complain(&b->client, 0, "runs as %s", id);
    status = wait_for(b, id, true, &answer);
    if ((status && status != CLI_INTERRUPTED) || !answer.len)
        return status;
    if (b->json)
        printf("%.*s\n", STR_ARG(answer));
    fetched = fetch(b, parse(b, answer), output, errors, true);
    if (status == CLI_INTERRUPTED)
        cli_client_complain(&b->client, 0, "paused; the same command goes on with what is left");
    return status ? status : fetched;
}

static int run(struct batch *b, const char *file)
{
    struct arena   *a = &b->client.arena;
    const char     *output = b->output ? b->output : arena_printf(a, "%s.output.jsonl", file).ptr;
    const char     *errors = b->errors ? b->errors : arena_printf(a, "%s.errors.jsonl", file).ptr;
    const char     *rest = arena_printf(a, "%s.rest.jsonl", file).ptr;
    struct answered d = { .count = 0 };
    int64_t         left = 0;
    int             status = CLI_DONE;

    read_answered(&d, output);
    if (d.count)
        status = write_rest(b, &d, file, rest, &left);
    if (!status && d.count && left)
        cli_client_complain(&b->client, 0, "%lld requests have their answers in %s; %lld are left", (long long)d.count,
                            output, (long long)left);
    if (!status && d.count && !left)
        fprintf(stderr, "all %lld requests have their answers in %s\n", (long long)d.count, output);
    else if (!status)
        status = run_file(b, d.count ? rest : file, output, errors);
    if (d.count)
        (void)unlink(rest);
    map_free(&d.ids);
    arena_free(&d.arena);
    if (!status && !b->json)
        printf("%s\n", output);
    return status;
}

/* ---- the others ---- */

static void add_row(struct batch *b, struct cli_table *t, yyjson_val *batch)
{
    struct arena *a = &b->client.arena;
    int64_t       created = 0;

    (void)json_to_i64(json_get(batch, "created_at"), &created);
    cli_table_add(t, json_str(json_get(batch, "id")));
    cli_table_add(t, json_str(json_get(batch, "status")));
    cli_table_add(t, arena_printf(a, "%lld", (long long)count_of(batch, "total")));
    cli_table_add(t, arena_printf(a, "%lld", (long long)count_of(batch, "completed")));
    cli_table_add(t, arena_printf(a, "%lld", (long long)count_of(batch, "failed")));
    cli_table_add(t, cli_when(a, created * 1000));
    cli_table_add(t, json_str(json_get(json_get(batch, "metadata"), "ds_name")));
}

static const char *const heads[] = { "BATCH", "STATUS", "REQUESTS", "ANSWERED", "FAILED", "CREATED", "NAME" };

static int list(struct batch *b)
{
    struct arena    *a = &b->client.arena;
    str              answer = { 0 };
    struct cli_table table;
    yyjson_val      *batch;
    size_t           i, n;
    int              status = cli_file_ask(
                     &b->client, "GET",
                     arena_printf(a, "/batches?status=%s&limit=%s", b->status ? b->status : "", b->limit ? b->limit : "20"), NULL,
                     &answer);

    if (status)
        return status;
    if (b->json) {
        printf("%.*s\n", STR_ARG(answer));
    } else {
        cli_table_begin(&table, a, heads, ARRAY_LEN(heads));
        yyjson_arr_foreach(json_get(parse(b, answer), "data"), i, n, batch) add_row(b, &table, batch);
        cli_table_end(&table);
    }
    return CLI_DONE;
}

static int show(struct batch *b, const char *id)
{
    str              answer = { 0 };
    struct cli_table table;
    int              status = get(b, id, &answer);

    if (status)
        return status;
    if (b->json) {
        printf("%.*s\n", STR_ARG(answer));
    } else {
        cli_table_begin(&table, &b->client.arena, heads, ARRAY_LEN(heads));
        add_row(b, &table, parse(b, answer));
        cli_table_end(&table);
        say_errors(b, parse(b, answer));
    }
    return CLI_DONE;
}

static int wait(struct batch *b, const char *id)
{
    str answer = { 0 };
    int status = wait_for(b, id, false, &answer);

    if (status)
        return status;
    if (b->json)
        printf("%.*s\n", STR_ARG(answer));
    return fetch(b, parse(b, answer), b->output ? b->output : arena_printf(&b->client.arena, "%s.output.jsonl", id).ptr,
                 b->errors ? b->errors : arena_printf(&b->client.arena, "%s.errors.jsonl", id).ptr, false);
}

static const struct {
    const char *name;
    int (*run)(struct batch *b, const char *word);
} actions[] = { { "run", run }, { "show", show }, { "wait", wait }, { "cancel", cancel } };

int cli_batch(int argc, char **argv)
{
    struct batch            b = { .json = false };
    const struct cli_option options[] = { { "--output", &b.output, NULL }, { "--errors", &b.errors, NULL },
                                          { "--window", &b.window, NULL }, { "--name", &b.name, NULL },
                                          { "--status", &b.status, NULL }, { "--limit", &b.limit, NULL },
                                          { "--json", NULL, &b.json } };
    const char             *action;
    int                     status;

    if (!cli_client_begin(&b.client, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    cli_client_catch_interrupt(&b.client);
    action = b.client.word_count ? b.client.words[0] : "";
    if (strcmp(action, "list") == 0 && b.client.word_count == 1)
        return cli_client_end(&b.client, list(&b));
    for (size_t i = 0; i < ARRAY_LEN(actions); i++) {
        if (strcmp(action, actions[i].name) == 0 && b.client.word_count == 2)
            return cli_client_end(&b.client, actions[i].run(&b, b.client.words[1]));
    }
    fputs(usage, stderr);
    return cli_client_end(&b.client, CLI_USAGE);
}
