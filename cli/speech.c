/* speech.c - dashbox say, dashbox listen, dashbox voices: texts read aloud, sounds written down, who can read. */
#include "cli/cli.h"
#include "cli/results.h"

#include "contract/voice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- say ---- */

static const char say_usage[] =
    "usage: dashbox say TEXT… [OPTIONS]\n"
    "\n"
    "Reads a text aloud, where there is a player (paplay, aplay, ffplay, play), or into a file. Without words it reads standard\n"
    "input.\n"
    "\n"
    "  --output FILE               its ending says the format: wav, mp3, opus, pcm; - is standard output, as WAV\n"
    "  --model MODEL               [cosyvoice-v3-flash]\n"
    "  --voice VOICE               [the model's first: dashbox voices]\n"
    "  --rate N, --pitch N         0.5 to 2 [1]\n"
    "  --volume N                  0 to 100 [50]\n" CLI_CLIENT_USAGE;

struct say {
    struct cli_client client;
    const char       *output, *model, *voice, *rate, *pitch, *volume;
};

/* By the ending of the file's name; NULL: none of ours. */
static const char *format_of(const char *output)
{
    static const char *const formats[] = { "wav", "mp3", "opus", "pcm" };
    str                      name = str_from_cstr(output);

    if (!output || strcmp(output, "-") == 0)
        return "wav";
    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        str end = str_from_cstr(formats[i]);

        if (str_ends(name, end) && name.len > end.len && name.ptr[name.len - end.len - 1] == '.')
            return formats[i];
    }
    return NULL;
}

static void add_number(struct buf *b, const char *name, const char *text)
{
    if (text)
        buf_addf(b, ",\"%s\":%s", name, text);
}

static bool is_number(const char *text)
{
    double v;

    return !text || str_to_f64(str_from_cstr(text), &v);
}

/* Asks the players one after the other; they know a file by its content. */
static int play(struct say *s, const char *path)
{
    static const char *const players[][5] = {
        { "paplay", NULL }, { "aplay", "-q", NULL }, { "ffplay", "-v", "quiet", "-nodisp" }, { "play", "-q", NULL }
    };

    for (size_t i = 0; i < ARRAY_LEN(players); i++) {
        const char *argv[8];
        size_t      n = 0;
        int         status;
        pid_t       pid;

        while (n < 5 && players[i][n]) {
            argv[n] = players[i][n];
            n++;
        }
        if (strcmp(players[i][0], "ffplay") == 0)
            argv[n++] = "-autoexit";
        argv[n++] = path;
        argv[n] = NULL;
        pid = fork();
        if (pid == 0) {
            execvp(argv[0], (char *const *)argv);
            _exit(127);
        }
        if (pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0)
            return CLI_DONE;
    }
    return cli_client_complain(&s->client, CLI_FAILED,
                               "no player is here (paplay, aplay, ffplay, play); --output FILE saves it");
}

static int save(struct say *s, const char *url)
{
    bool to_stdout = s->output && strcmp(s->output, "-") == 0;
    char temporary[] = "/tmp/dashbox-say-XXXXXX.wav";
    int  fd = to_stdout   ? STDOUT_FILENO
              : s->output ? open(s->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)
                          : mkstemps(temporary, 4);
    int  status = CLI_DONE;

    if (fd < 0)
        return cli_client_complain(&s->client, CLI_FAILED, "%s: %s", s->output ? s->output : temporary,
                                   strerror(errno));
    if (dashscope_download(s->client.handle, url, fd))
        status = cli_client_failed(&s->client);
    if (to_stdout)
        return status;
    close(fd);
    if (s->output) {
        if (status)
            (void)unlink(s->output);
        return status;
    }
    if (!status)
        status = play(s, temporary);
    (void)unlink(temporary);
    return status;
}

static int say(struct say *s, str text)
{
    struct arena            *a = &s->client.arena;
    const struct voice      *first = voice_next(str_from_cstr(s->model), NULL);
    struct dashscope_request q = { .method = "POST", .path = "/services/audio/tts/SpeechSynthesizer" };
    struct dashscope_answer *answer;
    const char             **urls, *format = format_of(s->output);
    struct buf               b;
    size_t                   count;

    if (!format)
        return cli_client_complain(&s->client, CLI_USAGE, "%s: its ending is no format: wav, mp3, opus or pcm",
                                   s->output);
    if (!is_number(s->rate) || !is_number(s->pitch) || !is_number(s->volume))
        return cli_client_complain(&s->client, CLI_USAGE, "--rate, --pitch and --volume take numbers");
    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, str_from_cstr(s->model));
    buf_add(&b, S(",\"input\":{\"text\":"));
    json_add_str(&b, text);
    buf_add(&b, S(",\"voice\":"));
    json_add_str(&b, s->voice ? str_from_cstr(s->voice) : first ? first->name : S(""));
    buf_addf(&b, ",\"format\":\"%s\",\"sample_rate\":%d", format, strcmp(format, "opus") == 0 ? 48000 : 24000);
    add_number(&b, "rate", s->rate);
    add_number(&b, "pitch", s->pitch);
    add_number(&b, "volume", s->volume);
    buf_add(&b, S("}}"));
    q.body = str_to_cstr(a, buf_str(&b));
    if (dashscope_call(s->client.handle, &q, &answer))
        return cli_client_failed(&s->client);
    count = cli_result_urls(a, json_parse_copy(a, str_from_cstr(answer->body)), &urls);
    dashscope_free(answer);
    return count ? save(s, urls[0]) : cli_client_complain(&s->client, CLI_FAILED, "the answer names no file");
}

int cli_say(int argc, char **argv)
{
    struct say              s = { .model = "cosyvoice-v3-flash" };
    const struct cli_option options[] = {
        { "--output", &s.output, NULL, NULL }, { "-o", &s.output, NULL, NULL },   { "--model", &s.model, NULL, NULL },
        { "--voice", &s.voice, NULL, NULL },   { "--rate", &s.rate, NULL, NULL }, { "--pitch", &s.pitch, NULL, NULL },
        { "--volume", &s.volume, NULL, NULL },
    };
    struct buf text;
    int        status;
    str        all;

    if (!cli_client_begin(&s.client, argc, argv, say_usage, options, ARRAY_LEN(options), &status))
        return status;
    buf_init(&text, &s.client.arena, SIZE_MAX / 2);
    for (size_t i = 0; i < s.client.word_count; i++) {
        buf_add(&text, i ? S(" ") : S(""));
        buf_add(&text, str_from_cstr(s.client.words[i]));
    }
    if (!text.len && cli_client_read(&s.client, "-", &all))
        buf_add(&text, all);
    status = str_trim(buf_str(&text)).len ? say(&s, buf_str(&text))
                                          : cli_client_complain(&s.client, CLI_USAGE, "there is nothing to say");
    return cli_client_end(&s.client, status);
}

/* ---- listen ---- */

static const char listen_usage[] =
    "usage: dashbox listen FILE… [OPTIONS]\n"
    "\n"
    "Writes down what is said in sounds and videos: files of this machine, or addresses.\n"
    "\n"
    "  --format FORMAT             text, json, srt, vtt [text]\n"
    "  --model MODEL               [paraformer-v2]\n"
    "  --language LANGUAGE         a hint: en, zh\n"
    "  --vocabulary ID             words that are listened for\n" CLI_CLIENT_USAGE;

struct listen {
    struct cli_client client;
    const char       *format, *model, *language, *vocabulary;
};

static void print_clock(int64_t ms, char point)
{
    printf("%02d:%02d:%02d%c%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), point,
           (int)(ms % 1000));
}

static void print_subtitles(yyjson_val *sentences, bool vtt)
{
    size_t      i, n;
    yyjson_val *s;

    if (vtt)
        puts("WEBVTT\n");
    yyjson_arr_foreach(sentences, i, n, s)
    {
        str text = json_str(json_get(s, "text"));

        if (!vtt)
            printf("%zu\n", i + 1);
        print_clock(yyjson_get_sint(json_get(s, "begin_time")), vtt ? '.' : ',');
        fputs(" --> ", stdout);
        print_clock(yyjson_get_sint(json_get(s, "end_time")), vtt ? '.' : ',');
        printf("\n%.*s\n\n", STR_ARG(text));
    }
}

/* What the file at the URL says, read through a file without a name. */
static int show_result(struct listen *l, const char *url)
{
    struct arena *a = &l->client.arena;
    char          name[] = "/tmp/dashbox-listen-XXXXXX";
    int           fd = mkstemp(name), failed;
    yyjson_val   *transcript;
    str           text;

    if (fd < 0)
        return cli_client_complain(&l->client, CLI_FAILED, "%s: %s", name, strerror(errno));
    failed = dashscope_download(l->client.handle, url, fd);
    close(fd);
    if (!failed && !cli_client_read(&l->client, name, &text))
        failed = CLI_FAILED;
    (void)unlink(name);
    if (failed)
        return cli_client_failed(&l->client);
    if (strcmp(l->format, "json") == 0) {
        printf("%.*s\n", STR_ARG(text));
        return CLI_DONE;
    }
    transcript = yyjson_arr_get_first(json_get(json_parse_copy(a, text), "transcripts"));
    if (strcmp(l->format, "text") == 0)
        printf("%.*s\n", STR_ARG(json_str(json_get(transcript, "text"))));
    else
        print_subtitles(json_get(transcript, "sentences"), strcmp(l->format, "vtt") == 0);
    return CLI_DONE;
}

/* One after the other, in the order of the words; a file that fails has its code on standard error. */
static int show_results(struct listen *l, const char *json)
{
    struct arena *a = &l->client.arena;
    yyjson_val   *results = json_get(json_get(json_parse_copy(a, str_from_cstr(json)), "output"), "results"), *r;
    size_t        i, n;
    int           status = CLI_DONE, one;

    yyjson_arr_foreach(results, i, n, r)
    {
        str url = json_str(json_get(r, "transcription_url")), code = json_str(json_get(r, "code"));

        if (url.len)
            one = show_result(l, str_to_cstr(a, url));
        else
            one = cli_client_complain(&l->client, CLI_FAILED, "%s: %.*s",
                                      i < l->client.word_count ? l->client.words[i] : "a file", STR_ARG(code));
        status = status ? status : one;
    }
    return status;
}

static bool is_address(str text)
{
    return str_find_str(text, S("://")) != STR_NONE;
}

static int add_file(struct listen *l, struct buf *b, const char *word, bool *uploaded)
{
    char *url;

    if (is_address(str_from_cstr(word))) {
        json_add_str(b, str_from_cstr(word));
        return CLI_DONE;
    }
    if (dashscope_upload(l->client.handle, l->model, word, &url))
        return cli_client_failed(&l->client);
    json_add_str(b, str_from_cstr(url));
    dashscope_free(url);
    *uploaded = true;
    return CLI_DONE;
}

static int listen_to(struct listen *l)
{
    struct dashscope_request q = { .method = "POST", .path = "/services/audio/asr/transcription" };
    struct dashscope_task   *made, *done;
    struct buf               b;
    int                      status;

    buf_init(&b, &l->client.arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, str_from_cstr(l->model));
    buf_add(&b, S(",\"input\":{\"file_urls\":["));
    for (size_t i = 0; i < l->client.word_count; i++) {
        buf_add(&b, i ? S(",") : S(""));
        status = add_file(l, &b, l->client.words[i], &q.oss);
        if (status)
            return status;
    }
    buf_add(&b, S("]},\"parameters\":{\"language_hints\":["));
    if (l->language)
        json_add_str(&b, str_from_cstr(l->language));
    buf_add_char(&b, ']');
    if (l->vocabulary) {
        buf_add(&b, S(",\"vocabulary_id\":"));
        json_add_str(&b, str_from_cstr(l->vocabulary));
    }
    buf_add(&b, S("}}"));
    q.body = str_to_cstr(&l->client.arena, buf_str(&b));
    if (dashscope_task_create(l->client.handle, &q, &made))
        return cli_client_failed(&l->client);
    status = cli_task_wait(&l->client, made->id, true, &done);
    dashscope_free(made);
    if (status)
        return status;
    status = show_results(l, done->json);
    if (!status)
        status = cli_task_status(&l->client, done);
    dashscope_free(done);
    return status;
}

int cli_listen(int argc, char **argv)
{
    static const char *const formats[] = { "text", "json", "srt", "vtt" };
    struct listen            l = { .format = "text", .model = "paraformer-v2" };
    const struct cli_option  options[] = {
         { "--format", &l.format, NULL, NULL },
         { "--model", &l.model, NULL, NULL },
         { "--language", &l.language, NULL, NULL },
         { "--vocabulary", &l.vocabulary, NULL, NULL },
    };
    bool known = false;
    int  status;

    if (!cli_client_begin(&l.client, argc, argv, listen_usage, options, ARRAY_LEN(options), &status))
        return status;
    for (size_t i = 0; i < ARRAY_LEN(formats); i++)
        known = known || strcmp(l.format, formats[i]) == 0;
    if (!known)
        status = cli_client_complain(&l.client, CLI_USAGE, "--format is text, json, srt or vtt, not \"%s\"", l.format);
    else
        status = l.client.word_count ? listen_to(&l) : cli_client_complain(&l.client, CLI_USAGE, "which file?");
    return cli_client_end(&l.client, status);
}

/* ---- voices ---- */

static const char voices_usage[] =
    "usage: dashbox voices [MODEL]\n"
    "\n"
    "The stock voices of a model, or of all; those that you have made are lists of the API.\n";

static const char *gender_word(char gender)
{
    return gender == 'F'   ? "female"
           : gender == 'M' ? "male"
           : gender == 'C' ? "child"
           : gender == 'N' ? "neutral"
                           : "-";
}

int cli_voices(int argc, char **argv)
{
    static const char *const heads[] = { "VOICE", "GENDER", "LANGUAGES", "MODELS" };
    const struct voice      *v;
    str                      model = argc == 2 ? str_from_cstr(argv[1]) : (str){ 0 };
    struct cli_table         table;
    struct arena             a;

    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        bool help = argc == 2 && strcmp(argv[1], "--help") == 0;

        fputs(voices_usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    if (argc == 2 && !voice_next(model, NULL)) {
        fprintf(stderr, "dashbox voices: %s has no stock voices\n", argv[1]);
        return 1;
    }
    arena_init(&a, 0);
    cli_table_begin(&table, &a, heads, ARRAY_LEN(heads));
    for (v = model.len ? voice_next(model, NULL) : voice_rows; v && v < voice_rows + voice_count;
         v = model.len ? voice_next(model, v) : v + 1) {
        cli_table_add(&table, v->name);
        cli_table_add(&table, str_from_cstr(gender_word(v->gender)));
        cli_table_add(&table, v->languages);
        cli_table_add(&table, model.len ? model : v->models);
    }
    cli_table_end(&table);
    arena_free(&a);
    return 0;
}
