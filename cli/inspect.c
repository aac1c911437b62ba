/* inspect.c - dashbox inspect: what files really are, as the server sees them. */
#include "cli/cli.h"
#include "cli/client.h"

#include "base/log.h"
#include "contract/json.h"
#include "engine/media/media.h"
#include "loop/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static const char usage[] =
    "usage: dashbox inspect FILE... [--json]\n"
    "\n"
    "Says what is in images, videos and audio, by their content: format, size as displayed, frames, length, codecs, and\n"
    "how bright the picture is (0 to 255). The media engine decodes them, a program without access to files or network.\n"
    "\n"
    "  --json         an object a line\n"
    "  --time MS      for each file [20000]\n"
    "\n"
    "Exit status: 0 all were looked at, 1 some could not be, 2 wrong usage. A file that is no media is \"unknown\".\n";

struct job {
    struct cli_client *c;
    struct media      *media;
    struct loop       *loop;
    struct cli_table   table;
    bool               json;
    int                status;
};

static void add_text(struct buf *b, str before, str text)
{
    buf_add(b, before);
    json_add_lossy(b, text);
}

static void add_bool(struct buf *b, str before, bool v)
{
    buf_add(b, before);
    buf_add(b, v ? S("true") : S("false"));
}

static void print_json(struct arena *a, const char *file, const struct media_facts *f)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    add_text(&b, S("{\"file\":"), str_from_cstr(file));
    add_text(&b, S(",\"kind\":"), str_from_cstr(media_kind_name(f->kind)));
    add_text(&b, S(",\"format\":"), f->format);
    json_add_count(&b, S(",\"bytes\":"), f->bytes);
    json_add_count(&b, S(",\"width\":"), f->width);
    json_add_count(&b, S(",\"height\":"), f->height);
    json_add_count(&b, S(",\"frames\":"), f->frames);
    buf_add(&b, S(",\"fps\":"));
    json_add_num(&b, f->fps);
    json_add_count(&b, S(",\"duration_ms\":"), f->duration_ms);
    add_text(&b, S(",\"video_codec\":"), f->video_codec);
    add_text(&b, S(",\"audio_codec\":"), f->audio_codec);
    json_add_count(&b, S(",\"sample_rate\":"), f->sample_rate);
    json_add_count(&b, S(",\"channels\":"), f->channels);
    buf_add(&b, S(",\"brightness\":"));
    if (f->brightness < 0)
        buf_add(&b, S("null"));
    else
        json_add_num(&b, f->brightness);
    add_bool(&b, S(",\"alpha\":"), f->alpha);
    add_bool(&b, S(",\"animated\":"), f->animated);
    add_bool(&b, S(",\"truncated\":"), f->truncated);
    add_text(&b, S(",\"error\":"), f->error);
    json_add_count(&b, S(",\"cpu_us\":"), f->cpu_us);
    buf_add_char(&b, '}');
    cli_print(&b);
}

static str sound(struct arena *a, const struct media_facts *f)
{
    return f->sample_rate ? arena_printf(a, "%.*s %lld Hz %lld ch", STR_ARG(f->audio_codec), (long long)f->sample_rate,
                                         (long long)f->channels)
                          : S("");
}

static str note(struct arena *a, const struct media_facts *f)
{
    return arena_printf(a, "%s%s%s%.*s", f->alpha ? "alpha " : "", f->animated ? "animated " : "",
                        f->truncated ? "truncated " : "", STR_ARG(f->error));
}

static void add_row(struct cli_table *t, struct arena *a, const char *file, const struct media_facts *f)
{
    cli_table_add(t, str_from_cstr(file));
    cli_table_add(t, str_from_cstr(media_kind_name(f->kind)));
    cli_table_add(t, f->format);
    cli_table_add(t, f->width ? arena_printf(a, "%lldx%lld", (long long)f->width, (long long)f->height) : S(""));
    cli_table_add(t, f->frames ? arena_printf(a, "%lld", (long long)f->frames) : S(""));
    cli_table_add(t, f->duration_ms ? arena_printf(a, "%.3f s", (double)f->duration_ms / 1000) : S(""));
    cli_table_add(t, f->video_codec.len ? arena_printf(a, "%.*s %.6g fps", STR_ARG(f->video_codec), f->fps) : S(""));
    cli_table_add(t, sound(a, f));
    cli_table_add(t, f->brightness < 0 ? S("") : arena_printf(a, "%.1f", f->brightness));
    cli_table_add(t, str_trim(note(a, f)));
}

static SUSPENDS void inspect_file(struct job *j, const char *file)
{
    struct media_facts f;
    int                fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    enum err           e;

    if (fd < 0) {
        j->status = cli_client_complain(j->c, CLI_FAILED, "%s: %s", file, strerror(errno));
        return;
    }
    e = media_inspect(j->media, fd, &j->c->arena, &f);
    close(fd);
    if (e)
        j->status =
            cli_client_complain(j->c, CLI_FAILED, "%s: %s", file, e == ERR_INVALID ? "no regular file" : err_text(e));
    else if (j->json)
        print_json(&j->c->arena, file, &f);
    else
        add_row(&j->table, &j->c->arena, file, &f);
}

static void job_main(void *arg)
{
    struct job *j = arg;

    for (size_t i = 0; i < j->c->word_count; i++)
        inspect_file(j, j->c->words[i]);
    media_close(j->media);
    loop_stop(j->loop);
}

int cli_inspect(int argc, char **argv)
{
    static const char *const heads[] = { "FILE",   "KIND",  "FORMAT", "SIZE",   "FRAMES",
                                         "LENGTH", "VIDEO", "AUDIO",  "BRIGHT", "" };
    const char              *time = NULL;
    bool                     json = false;
    const struct cli_option  options[] = { { "--json", NULL, &json }, { "--time", &time, NULL } };
    struct cli_client        c;
    struct media_options     o = { .process_max = 1 };
    struct job               j = { .c = &c, .status = CLI_DONE };
    int                      status;

    if (!cli_client_begin(&c, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    if (!c.word_count) {
        fputs(usage, stderr);
        return cli_client_end(&c, CLI_USAGE);
    }
    if (time && !cli_client_number(&c, "--time", time, &o.inspect_ms))
        return cli_client_end(&c, CLI_USAGE);
    log_open(STDERR_FILENO, LOG_WARN, false);
    j.json = json;
    j.loop = loop_new();
    if (!j.loop)
        return cli_client_end(&c, cli_client_complain(&c, CLI_FAILED, "no more files can be opened"));
    if (media_open(j.loop, &o, &j.media)) {
        j.status = cli_client_complain(&c, CLI_FAILED,
                                       "there is no dashbox-media: this dashbox was built without FFmpeg's libraries");
    } else {
        cli_table_begin(&j.table, &c.arena, heads, ARRAY_LEN(heads));
        fiber_start(j.loop, job_main, &j);
        loop_run(j.loop);
        if (!json && j.table.count > ARRAY_LEN(heads))
            cli_table_end(&j.table);
    }
    loop_free(j.loop);
    return cli_client_end(&c, j.status);
}
