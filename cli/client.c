/* client.c - what the commands share that call the service: arguments, input, Ctrl-C, complaints. */
#include "cli/client.h"

#include "base/num.h"
#include "server/arguments.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTIONS_MAX 24
#define INPUT_MAX   ((size_t)256 << 20)

/* ---- arguments ---- */

static const struct cli_option *option_at(const struct cli_option *own, size_t own_count,
                                          const struct cli_option *common, size_t at)
{
    return at < own_count ? &own[at] : &common[at - own_count];
}

static bool parse(struct cli_client *c, int argc, char **argv, const char *usage, const struct cli_option *own,
                  size_t own_count, const struct cli_option *common, size_t common_count, int *ret_status)
{
    struct argument  known[OPTIONS_MAX + 2];
    size_t           count = own_count + common_count;
    struct arguments a = { .known = known, .known_count = count + 2, .words = argv + 1 };
    int              which;

    ASSERT(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *o = option_at(own, own_count, common, i);

        known[i] = (struct argument){ str_from_cstr(o->name), o->text || o->many };
    }
    known[count] = (struct argument){ S("--help"), false };
    known[count + 1] = (struct argument){ S("-h"), false };
    a.command = arena_printf(&c->arena, "dashbox %s", c->command).ptr;
    c->words = arena_array(&c->arena, const char *, (size_t)argc + 1);
    while ((which = arguments_next(&a)) != ARGUMENT_END) {
        const struct cli_option *o;

        *ret_status = CLI_USAGE;
        if (which == ARGUMENT_WRONG)
            return false;
        if (which == ARGUMENT_WORD) {
            c->words[c->word_count++] = a.value;
            continue;
        }
        if ((size_t)which >= count) {
            fputs(usage, stdout);
            *ret_status = CLI_DONE;
            return false;
        }
        o = option_at(own, own_count, common, (size_t)which);
        if (o->many && o->many->count == CLI_MANY_MAX) {
            cli_client_complain(c, CLI_USAGE, "%s more than %d times", o->name, CLI_MANY_MAX);
            return false;
        }
        if (o->text)
            *o->text = a.value;
        else if (o->many)
            o->many->at[o->many->count++] = a.value;
        else
            *o->on = true;
    }
    return true;
}

bool cli_client_begin(struct cli_client *c, int argc, char **argv, const char *usage, const struct cli_option *options,
                      size_t option_count, int *ret_status)
{
    struct dashscope_options o = { .user_agent = "dashbox/" DASHBOX_VERSION };
    const char              *timeout = NULL;
    int64_t                  seconds = 0;
    const struct cli_option  common[] = {
         { "--api-key", &o.api_key, NULL }, { "--base-url", &o.base_url, NULL }, { "--workspace", &o.workspace, NULL },
         { "--ca-file", &o.ca_file, NULL }, { "--timeout", &timeout, NULL },
    };

    *c = (struct cli_client){ .command = argv[0] };
    arena_init(&c->arena, 0);
    if (parse(c, argc, argv, usage, options, option_count, common, ARRAY_LEN(common), ret_status)) {
        *ret_status = CLI_USAGE;
        if (!timeout || cli_client_number(c, "--timeout", timeout, &seconds)) {
            o.time_ms = min_i64(seconds, INT32_MAX) * 1000;
            c->handle = dashscope_open(&o);
            if (c->handle)
                return true;
            *ret_status = cli_client_complain(c, CLI_FAILED, "no more files can be opened");
        }
    }
    arena_free(&c->arena);
    return false;
}

int cli_client_end(struct cli_client *c, int status)
{
    signal(SIGINT, SIG_DFL);
    dashscope_close(c->handle);
    arena_free(&c->arena);
    return status;
}

/* ---- Ctrl-C ---- */

static struct dashscope     *interrupt_handle;
static volatile sig_atomic_t interrupts;

static void on_interrupt(int number)
{
    int kept = errno;

    (void)number;
    interrupts = 1;
    dashscope_cancel(interrupt_handle);
    errno = kept;
}

void cli_client_catch_interrupt(struct cli_client *c)
{
    struct sigaction action = { .sa_handler = on_interrupt }; /* no SA_RESTART: what waits is to notice it */

    interrupt_handle = c->handle;
    sigaction(SIGINT, &action, NULL);
}

bool cli_client_interrupted(void)
{
    bool was = interrupts != 0;

    interrupts = 0;
    return was;
}

/* ---- complaints ---- */

int cli_client_complain(struct cli_client *c, int status, const char *fmt, ...)
{
    va_list ap;

    (void)fflush(stdout); /* what has been said comes first */
    fprintf(stderr, "dashbox %s: ", c->command);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return status;
}

static int status_of(enum dashscope_result r)
{
    switch (r) {
    case DASHSCOPE_OK:
    case DASHSCOPE_END:
        return CLI_DONE;
    case DASHSCOPE_INPUT:
        return CLI_USAGE;
    case DASHSCOPE_NO_KEY:
        return CLI_NO_KEY;
    case DASHSCOPE_NO_CONNECTION:
        return CLI_NO_CONNECTION;
    case DASHSCOPE_TIMEOUT:
        return CLI_TIMEOUT;
    case DASHSCOPE_CANCELLED:
        return CLI_INTERRUPTED;
    case DASHSCOPE_UNREADABLE:
    case DASHSCOPE_REFUSED:
        return CLI_FAILED;
    }
    return CLI_FAILED;
}

/* What to do about it, for those of our own that the error reference does not explain well enough. */
static void hint(const struct dashscope_error *e)
{
    if (e->result == DASHSCOPE_NO_KEY)
        fputs("  Set DASHSCOPE_API_KEY, or give --api-key KEY.\n", stderr);
    else if (e->result == DASHSCOPE_NO_CONNECTION)
        fputs("  Is the server up, and its certificate good? Set DASHSCOPE_HTTP_BASE_URL, or give --base-url URL.\n",
              stderr);
}

int cli_client_failed(struct cli_client *c)
{
    const struct dashscope_error *e = dashscope_last_error(c->handle);

    if (e->result == DASHSCOPE_CANCELLED)
        return CLI_INTERRUPTED; /* who pressed Ctrl-C knows */
    if (e->result != DASHSCOPE_REFUSED)
        cli_client_complain(c, 0, "%s", e->message);
    else if (*e->request_id)
        cli_client_complain(c, 0, "%s: %s (request %s)", e->code, e->message, e->request_id);
    else
        cli_client_complain(c, 0, "%s: %s", e->code, e->message);
    hint(e);
    return status_of(e->result);
}

bool cli_client_number(struct cli_client *c, const char *option, const char *text, int64_t *ret)
{
    if (str_to_i64(str_from_cstr(text), ret) && *ret >= 1)
        return true;
    cli_client_complain(c, CLI_USAGE, "%s takes a whole number from 1, not \"%s\"", option, text);
    return false;
}

/* ---- input ---- */

bool cli_client_read(struct cli_client *c, const char *file, str *ret)
{
    FILE      *f = strcmp(file, "-") == 0 ? stdin : fopen(file, "r");
    struct buf b;
    size_t     n = 0;
    bool       good;

    buf_init(&b, &c->arena, INPUT_MAX);
    while (f) {
        char *room = buf_room(&b, 64 * 1024);

        n = room ? fread(room, 1, 64 * 1024, f) : 0;
        b.len += n;
        if (!n)
            break;
    }
    good = f && !ferror(f) && !b.full;
    if (!good)
        cli_client_complain(c, CLI_FAILED, "%s: %s", file, b.full ? "too large" : strerror(errno));
    if (f && f != stdin)
        (void)fclose(f); /* it was only read */
    *ret = buf_str(&b);
    return good;
}

bool cli_client_texts(struct cli_client *c, size_t skip, const char ***ret, size_t *ret_count)
{
    const char **all;
    str          text;
    size_t       count = 0;

    if (c->word_count > skip) {
        *ret = c->words + skip;
        *ret_count = c->word_count - skip;
        return true;
    }
    if (!cli_client_read(c, "-", &text))
        return false;
    all = arena_array(&c->arena, const char *, text.len / 2 + 1); /* a line is a byte and its end */
    while (text.len) {
        str line = str_trim(str_cut(&text, '\n'));

        if (line.len)
            all[count++] = str_to_cstr(&c->arena, line);
    }
    *ret = all;
    *ret_count = count;
    return true;
}
