/* media.c - dashbox image and dashbox video: pictures and videos of texts and of other files.
 *
 * What a call looks like is read from data/media by the model: where the text stands, what its size is called, which members are
 * files. Files of this machine are uploaded first. The result is downloaded, and a picture is shown where the terminal can.
 */
#include "cli/cli.h"
#include "cli/picture.h"
#include "cli/results.h"

#include "base/num.h"
#include "contract/media_service.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define NAMES_MAX 10000 /* that are tried for a file */

#define MEDIA_USAGE                                                                                      \
    "  --input [MEMBER=]FILE       a file or an address, again and again; MEMBER: which of the\n"        \
    "                              model's it is (first_frame, mask_image_url), if it is not the next\n" \
    "  --size SIZE                 1280*720, or what the model takes: 720P\n"                            \
    "  --ratio RATIO, --n N [1], --seed N, --negative TEXT\n"                                            \
    "  --parameters JSON           further parameters, as an object\n"                                   \
    "  --output FILE               - is standard output [a new file here]\n"                             \
    "  --json                      the server's answer; nothing is downloaded\n"

static const char image_usage[] =
    "usage: dashbox image PROMPT… [OPTIONS]\n"
    "\n"
    "Saves a picture and says its path. Terminals that can (kitty, iTerm2) show it.\n"
    "\n"
    "  --model MODEL               [wan2.2-t2i-flash; with --input qwen-image-edit-plus]\n" MEDIA_USAGE
        CLI_CLIENT_USAGE;

static const char video_usage[] = "usage: dashbox video PROMPT… [OPTIONS]\n"
                                  "\n"
                                  "Saves a video and says its path.\n"
                                  "\n"
                                  "  --model MODEL               [wan2.7-t2v; with --input wan2.7-i2v]\n"
                                  "  --duration SECONDS\n" MEDIA_USAGE CLI_CLIENT_USAGE;

struct media_command {
    struct cli_client           client;
    const char                 *model, *size, *ratio, *n, *seed, *negative, *duration, *parameters, *output;
    struct cli_many             inputs;
    bool                        json;
    const struct media_service *service;
    str                         urls[MEDIA_MEMBERS_MAX][CLI_MANY_MAX]; /* of each member */
    size_t                      url_counts[MEDIA_MEMBERS_MAX];
    bool                        uploaded;
};

/* ---- what the model takes ---- */

static const struct media_service *service_of(const char *model)
{
    for (int p = 0; p < MODEL_PATH_COUNT; p++) {
        const struct media_service *s = media_service_find(str_from_cstr(model), (enum model_path)p, NULL);

        if (s)
            return s;
    }
    return NULL;
}

static const struct media_member *member_with(const struct media_service *s, enum media_role role)
{
    for (unsigned i = 0; i < s->member_count; i++)
        if (s->members[i].role == role)
            return &s->members[i];
    return NULL;
}

/* By its name's end. */
static enum media_kind kind_of(str file)
{
    static const str videos[] = {
        S(".mp4"), S(".mov"), S(".avi"), S(".mkv"), S(".webm"), S(".flv"), S(".ts"), S(".mxf")
    };
    static const str sounds[] = { S(".wav"), S(".mp3"), S(".aac"), S(".m4a"), S(".ogg"), S(".flac") };

    file = str_first(file, str_find(file, '?'));
    for (size_t i = 0; i < ARRAY_LEN(videos); i++)
        if (str_ends(file, videos[i]))
            return MEDIA_VIDEO;
    for (size_t i = 0; i < ARRAY_LEN(sounds); i++)
        if (str_ends(file, sounds[i]))
            return MEDIA_AUDIO;
    return MEDIA_IMAGE;
}

/* Where the next file goes: to the member of that name, or the first that takes its kind and has room. */
static unsigned member_for(const struct media_command *m, str name, enum media_kind kind)
{
    const struct media_service *s = m->service;

    for (unsigned i = 0; i < s->member_count; i++) {
        const struct media_member *at = &s->members[i];
        bool                       fits = at->kind == kind || (!at->kind && kind != MEDIA_AUDIO);

        if (at->type == MEDIA_FILE && m->url_counts[i] < (size_t)at->count_max && !at->beside &&
            (name.len ? str_eq(at->name, name) : fits))
            return i;
    }
    return MEDIA_MEMBERS_MAX;
}

static bool is_address(str text)
{
    return str_find_str(text, S("://")) != STR_NONE || str_starts(text, S("data:"));
}

static int take_input(struct media_command *m, const char *text)
{
    str      file = str_from_cstr(text), name = { 0 };
    size_t   equals = str_find(file, '=');
    unsigned i;
    char    *url;

    if (!is_address(str_first(file, equals)) && equals != STR_NONE && access(text, F_OK)) {
        name = str_first(file, equals);
        file = str_from(file, equals + 1);
    }
    i = member_for(m, name, kind_of(file));
    if (i == MEDIA_MEMBERS_MAX)
        return cli_client_complain(&m->client, CLI_USAGE, "%s takes no such input, or not one more: %s", m->model,
                                   text);
    if (!is_address(file)) {
        if (dashscope_upload(m->client.handle, m->model, str_to_cstr(&m->client.arena, file), &url))
            return cli_client_failed(&m->client);
        file = arena_str(&m->client.arena, str_from_cstr(url));
        dashscope_free(url);
    }
    m->uploaded = m->uploaded || str_starts(file, S("oss://"));
    m->urls[i][m->url_counts[i]++] = file;
    return CLI_DONE;
}

/* ---- the body ---- */

struct body {
    struct buf input, parameters, media; /* members, with a comma before each */
};

/* ,"prompt": where its value is to follow. */
static struct buf *add_key(struct body *b, str path)
{
    bool        parameter = str_starts(path, S("parameters."));
    struct buf *into = parameter ? &b->parameters : &b->input;

    buf_add_char(into, ',');
    json_add_str(into, str_from(path, parameter ? S("parameters.").len : S("input.").len));
    buf_add_char(into, ':');
    return into;
}

static void add_text(struct body *b, const struct media_member *m, const char *text)
{
    struct buf *into = add_key(b, m->path);

    if (m->type == MEDIA_INT || m->type == MEDIA_NUM || (m->role == MEDIA_ROLE_DURATION && m->type == MEDIA_CHOICE))
        buf_add(into, str_from_cstr(text));
    else
        json_add_str(into, str_from_cstr(text));
}

static void add_urls(struct body *b, const struct media_member *m, const str *urls, size_t count)
{
    struct buf *into;

    if (str_starts(m->path, S("media."))) {
        for (size_t i = 0; i < count; i++) {
            buf_add(&b->media, b->media.len ? S(",{\"type\":") : S("{\"type\":"));
            json_add_str(&b->media, m->name);
            buf_add(&b->media, S(",\"url\":"));
            json_add_str(&b->media, urls[i]);
            buf_add_char(&b->media, '}');
        }
        return;
    }
    if (!count || str_starts(m->path, S("message.")))
        return;
    into = add_key(b, m->path);
    buf_add(into, m->array ? S("[") : S(""));
    for (size_t i = 0; i < count; i++) {
        buf_add(into, i ? S(",") : S(""));
        json_add_str(into, urls[i]);
    }
    buf_add(into, m->array ? S("]") : S(""));
}

/* {"messages":[…]} of pictures and the text. */
static void add_message(const struct media_command *m, struct body *b, str prompt)
{
    buf_add(&b->input, S(",\"messages\":[{\"role\":\"user\",\"content\":["));
    for (unsigned i = 0; i < m->service->member_count; i++)
        for (size_t k = 0; k < m->url_counts[i] && str_starts(m->service->members[i].path, S("message.")); k++) {
            buf_add(&b->input, S("{\"image\":"));
            json_add_str(&b->input, m->urls[i][k]);
            buf_add(&b->input, S("},"));
        }
    buf_add(&b->input, S("{\"text\":"));
    json_add_str(&b->input, prompt);
    buf_add(&b->input, S("}]}]"));
}

/* An option that the model has no member for. */
static bool add_option(struct media_command *m, struct body *b, const char *name, const char *text,
                       enum media_role role, enum media_role other)
{
    const struct media_member *at = member_with(m->service, role);

    if (!at || (at->type == MEDIA_SIZE && other && str_find(str_from_cstr(text), '*') == STR_NONE &&
                member_with(m->service, other)))
        at = member_with(m->service, other);
    if (text && !at) {
        cli_client_complain(&m->client, CLI_USAGE, "%s takes no %s", m->model, name);
        return false;
    }
    if (text)
        add_text(b, at, text);
    return true;
}

static const char *body_of(struct media_command *m, str prompt)
{
    const struct media_service *s = m->service;
    const struct media_member  *text = member_with(s, MEDIA_ROLE_PROMPT);
    struct arena               *a = &m->client.arena;
    struct body                 b;
    struct buf                  all;
    int64_t                     number;
    str                         more = str_trim(str_from_cstr(m->parameters));

    buf_init(&b.input, a, SIZE_MAX / 2);
    buf_init(&b.parameters, a, SIZE_MAX / 2);
    buf_init(&b.media, a, SIZE_MAX / 2);
    buf_init(&all, a, SIZE_MAX / 2);
    if ((m->n && !cli_client_number(&m->client, "--n", m->n, &number)) ||
        (m->duration && !cli_client_number(&m->client, "--duration", m->duration, &number)))
        return NULL;
    if (m->seed && !str_to_i64(str_from_cstr(m->seed), &number)) {
        cli_client_complain(&m->client, CLI_USAGE, "--seed takes a whole number, not \"%s\"", m->seed);
        return NULL;
    }
    if (more.len && !yyjson_is_obj(json_parse_copy(a, more))) {
        cli_client_complain(&m->client, CLI_USAGE, "the parameters are no JSON object");
        return NULL;
    }
    if (!add_option(m, &b, "--size", m->size, MEDIA_ROLE_SIZE, MEDIA_ROLE_TIER) ||
        !add_option(m, &b, "--ratio", m->ratio, MEDIA_ROLE_RATIO, MEDIA_ROLE_NONE) ||
        !add_option(m, &b, "--n", m->n, MEDIA_ROLE_COUNT, MEDIA_ROLE_NONE) ||
        !add_option(m, &b, "--seed", m->seed, MEDIA_ROLE_SEED, MEDIA_ROLE_NONE) ||
        !add_option(m, &b, "--negative", m->negative, MEDIA_ROLE_NEGATIVE, MEDIA_ROLE_NONE) ||
        !add_option(m, &b, "--duration", m->duration, MEDIA_ROLE_DURATION, MEDIA_ROLE_NONE))
        return NULL;
    if (s->body == MEDIA_BODY_MESSAGES)
        add_message(m, &b, prompt);
    else if (prompt.len && text)
        add_text(&b, text, str_to_cstr(a, prompt));
    for (unsigned i = 0; i < s->member_count; i++)
        add_urls(&b, &s->members[i], m->urls[i], m->url_counts[i]);
    more = more.len > 2 ? str_of(more.ptr + 1, more.len - 2) : (str){ 0 };
    buf_add(&all, S("{\"model\":"));
    json_add_str(&all, str_from_cstr(m->model));
    buf_add(&all, S(",\"input\":{"));
    buf_add(&all, str_from(buf_str(&b.input), 1));
    if (b.media.len)
        buf_addf(&all, "%s\"media\":[%.*s]", b.input.len ? "," : "", STR_ARG(buf_str(&b.media)));
    buf_add(&all, S("},\"parameters\":{"));
    buf_add(&all, str_from(buf_str(&b.parameters), 1));
    buf_add(&all, str_trim(more).len && b.parameters.len ? S(",") : S(""));
    buf_add(&all, more);
    buf_add(&all, S("}}"));
    return str_to_cstr(a, buf_str(&all));
}

/* ---- the results ---- */

/* "image.png", "image-2.png": where there is none yet, but for a name that was asked for. */
static int open_output(struct media_command *m, size_t at, const char **ret)
{
    struct arena *a = &m->client.arena;
    str           base = str_from_cstr(m->output), ending;
    size_t        dot;
    int           fd = -1;

    if (!m->output)
        base = arena_printf(a, "%s.%.*s", m->client.command, STR_ARG(m->service->file));
    for (dot = base.len; dot && base.ptr[dot - 1] != '.' && base.ptr[dot - 1] != '/'; dot--)
        ;
    dot = dot && base.ptr[dot - 1] == '.' ? dot - 1 : base.len;
    ending = str_from(base, dot);
    for (size_t n = at; fd < 0 && n < at + NAMES_MAX; n++) {
        *ret =
            n ? arena_printf(a, "%.*s-%zu%.*s", (int)dot, base.ptr, n + 1, STR_ARG(ending)).ptr : str_to_cstr(a, base);
        fd = open(*ret, O_WRONLY | O_CREAT | O_CLOEXEC | (m->output ? O_TRUNC : O_EXCL), 0666);
        if (fd < 0 && (m->output || errno != EEXIST))
            break;
    }
    if (fd < 0)
        cli_client_complain(&m->client, CLI_FAILED, "%s: %s", *ret, strerror(errno));
    return fd;
}

static int save(struct media_command *m, enum picture_protocol show, const char *url, size_t at)
{
    bool        to_stdout = m->output && strcmp(m->output, "-") == 0;
    const char *name = "-";
    int         fd = to_stdout ? STDOUT_FILENO : open_output(m, at, &name), failed;
    str         picture;

    if (fd < 0)
        return CLI_FAILED;
    failed = dashscope_download(m->client.handle, url, fd);
    if (!to_stdout && close(fd) && !failed) {
        (void)unlink(name);
        return cli_client_complain(&m->client, CLI_FAILED, "%s: %s", name, strerror(errno));
    }
    if (failed) {
        if (!to_stdout)
            (void)unlink(name); /* the beginning of a file is none */
        return cli_client_failed(&m->client);
    }
    if (to_stdout)
        return CLI_DONE;
    if (show != PICTURE_NONE && !cli_client_read(&m->client, name, &picture))
        return CLI_FAILED;
    if (show != PICTURE_NONE)
        (void)picture_show(&m->client, show, picture); /* its path is said in any case */
    puts(name);
    return CLI_DONE;
}

static int show_answer(struct media_command *m, const char *json)
{
    enum picture_protocol show = PICTURE_NONE;
    const char          **urls;
    size_t count = cli_result_urls(&m->client.arena, json_parse_copy(&m->client.arena, str_from_cstr(json)), &urls);
    int    status = CLI_DONE;

    if (m->json) {
        puts(json);
        return CLI_DONE;
    }
    if (!count)
        return cli_client_complain(&m->client, CLI_FAILED, "the answer names no file: %.200s", json);
    if (!str_eq(m->service->file, S("mp4")))
        show = picture_protocol();
    for (size_t i = 0; i < count && !status; i++)
        status = save(m, show, urls[i], i);
    return status;
}

static int run_task(struct media_command *m, const struct dashscope_request *q)
{
    struct dashscope_task *made, *done;
    int                    status;

    if (dashscope_task_create(m->client.handle, q, &made))
        return cli_client_failed(&m->client);
    status = cli_task_wait(&m->client, made->id, true, &done);
    dashscope_free(made);
    if (status)
        return status;
    status = cli_task_status(&m->client, done);
    if (!status)
        status = show_answer(m, done->json);
    dashscope_free(done);
    return status;
}

static int run(struct media_command *m)
{
    struct dashscope_request q = { .method = "POST", .oss = false };
    struct dashscope_answer *answer;
    struct buf               prompt;
    int                      status;

    for (size_t i = 0; i < m->inputs.count; i++) {
        status = take_input(m, m->inputs.at[i]);
        if (status)
            return status;
    }
    buf_init(&prompt, &m->client.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < m->client.word_count; i++) {
        buf_add(&prompt, i ? S(" ") : S(""));
        buf_add(&prompt, str_from_cstr(m->client.words[i]));
    }
    q.body = body_of(m, buf_str(&prompt));
    if (!q.body)
        return CLI_USAGE;
    q.path = str_to_cstr(&m->client.arena, str_from(model_path_urls[m->service->path], S("/api/v1").len));
    q.oss = m->uploaded;
    if (m->service->mode != MEDIA_SYNC)
        return run_task(m, &q);
    if (dashscope_call(m->client.handle, &q, &answer))
        return cli_client_failed(&m->client);
    status = show_answer(m, answer->body);
    dashscope_free(answer);
    return status;
}

static int media_main(int argc, char **argv, const char *usage, const char *of_text, const char *of_files)
{
    struct media_command    m = { .json = false };
    const struct cli_option options[] = {
        { "--model", &m.model, NULL, NULL },       { "--size", &m.size, NULL, NULL },
        { "--ratio", &m.ratio, NULL, NULL },       { "--n", &m.n, NULL, NULL },
        { "--seed", &m.seed, NULL, NULL },         { "--negative", &m.negative, NULL, NULL },
        { "--duration", &m.duration, NULL, NULL }, { "--parameters", &m.parameters, NULL, NULL },
        { "--output", &m.output, NULL, NULL },     { "--input", NULL, NULL, &m.inputs },
        { "--json", NULL, &m.json, NULL },
    };
    int status;

    if (!cli_client_begin(&m.client, argc, argv, usage, options, ARRAY_LEN(options), &status))
        return status;
    if (!m.client.word_count && !m.inputs.count) {
        fputs(usage, stderr);
        return cli_client_end(&m.client, CLI_USAGE);
    }
    if (!m.model)
        m.model = m.inputs.count ? of_files : of_text;
    m.service = service_of(m.model);
    if (!m.service)
        return cli_client_end(
            &m.client, cli_client_complain(&m.client, CLI_USAGE, "%s is not known to make images or videos", m.model));
    if (!m.n && member_with(m.service, MEDIA_ROLE_COUNT))
        m.n = "1"; /* some models would make four */
    cli_client_catch_interrupt(&m.client);
    return cli_client_end(&m.client, run(&m));
}

int cli_image(int argc, char **argv)
{
    return media_main(argc, argv, image_usage, "wan2.2-t2i-flash", "qwen-image-edit-plus");
}

int cli_video(int argc, char **argv)
{
    return media_main(argc, argv, video_usage, "wan2.7-t2v", "wan2.7-i2v");
}
