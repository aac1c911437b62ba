/* main.c - dashbox-speech: speaks and listens for the server, in a process that can do nothing else.
 *
 * It is started by src/engine/speech with its end of a pair of sockets as descriptor 3 and speaks in whole messages:
 *
 *      engine: {"ready":true,"sandbox":true}                     once
 *      server: file 48213        and a file of that many bytes that is read     before `decode` and `measure`
 *      server: out               and a file that is written                     before `decode`
 *      server: say 120 0         and a file: JSON of 120 bytes, and so many bytes of sound behind it
 *      engine: ok 300 44100 5210       the same file has the answer: JSON, sound; microseconds of processor time
 *              invalid 0 0 120         it could not be done with what was sent
 *      server: close 17                and nothing else: the stream is gone, there is no answer
 *
 * one thing at a time, until the other end is closed. Streams are told apart by numbers that the server gives.
 *
 *      verb          JSON of the question                                      of the answer
 *      speak         {"id":1,"format":1,"sample_rate":22050,…}: opens          {}
 *      say           {"id":1,"text":"…"}                                       speak.h, and the sound
 *      say_end       {"id":1}                                                  the same
 *      listen        {"id":2,"format":0,"sample_rate":16000,…}: opens          {}
 *      hear          {"id":2}, and sound                                       listen.h
 *      commit, hear_end   {"id":2}                                             the same
 *      decode        {"channel":0}                                             {"duration_ms":…}
 *      measure       {}                                                        sound_file.h
 */
#include "contract/json.h"
#include "engines/sandbox/sandbox.h"
#include "listen.h"
#include "recognise.h"
#include "sound_file.h"
#include "speak.h"

#include <errno.h>
#include <libavutil/log.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL     3
#define MESSAGE_MAX ((size_t)256)
#define MEMORY_MAX  ((uint64_t)3 * 1024 * 1024 * 1024)
#define CPU_MAX_S   7200
#define FILE_MAX    ((uint64_t)2 * 1024 * 1024 * 1024) /* PCM of 12 hours is 1.3 GiB */
#define WORK_MAX    ((int64_t)64 * 1024 * 1024)
#define FD_COUNT    32

#define STREAMS 8192 /* of one child: a power of two */

/* ---- streams ---- */

struct stream {
    uint64_t       id; /* 0: nobody's */
    struct speak  *speak;
    struct listen *listen;
};

static struct stream streams[STREAMS];

static struct stream *stream_find(uint64_t id, bool make)
{
    for (size_t i = 0; i < STREAMS; i++) {
        struct stream *s = &streams[(id + i) & (STREAMS - 1)];

        if (s->id == id || (!s->id && make))
            return s;
        if (!s->id && !s->speak)
            break;
    }
    return NULL;
}

/* Those behind it that belong before it move up, so that a search may end at a free place. */
static void stream_close(uint64_t id)
{
    struct stream *s = id ? stream_find(id, false) : NULL;
    size_t         hole;

    if (!s)
        return;
    if (s->speak)
        speak_close(s->speak);
    if (s->listen)
        listen_close(s->listen);
    *s = (struct stream){ 0 };
    hole = (size_t)(s - streams);
    for (size_t i = (hole + 1) & (STREAMS - 1); streams[i].id; i = (i + 1) & (STREAMS - 1)) {
        size_t home = streams[i].id & (STREAMS - 1);

        if (((i - home) & (STREAMS - 1)) >= ((i - hole) & (STREAMS - 1))) {
            streams[hole] = streams[i];
            streams[i] = (struct stream){ 0 };
            hole = i;
        }
    }
}

/* ---- questions ---- */

/* One question with what came before it. */
struct question {
    struct arena  *a;
    yyjson_val    *json;
    str            sound;
    struct stream *stream;
    int            file, out; /* −1: none came */
    int64_t        file_bytes;
    struct buf     answer, made;
};

static int64_t number(yyjson_val *object, const char *name)
{
    int64_t v;

    return json_to_i64(json_get(object, name), &v) ? v : 0;
}

static double real(yyjson_val *object, const char *name)
{
    double v;

    return json_to_num(json_get(object, name), &v) ? v : 0;
}

static bool is_true(yyjson_val *object, const char *name)
{
    return yyjson_is_true(json_get(object, name));
}

static bool do_speak(struct question *q)
{
    str                    gender = json_str(json_get(q->json, "gender"));
    struct speaker_options o = {
        .voice = { .languages = json_str(json_get(q->json, "languages")),
                   .gender = gender.len ? gender.ptr[0] : 'N',
                   .timbre = (uint32_t)number(q->json, "timbre"),
                   .pitch_hz = real(q->json, "pitch_hz"),
                   .tempo = real(q->json, "tempo"),
                   .brightness = real(q->json, "brightness") },
        .format = (enum sound_format)number(q->json, "format"),
        .sample_rate = (int)number(q->json, "sample_rate"),
        .bit_rate = (int)number(q->json, "bit_rate"),
        .rate = real(q->json, "rate"),
        .pitch = real(q->json, "pitch"),
        .volume = (int)number(q->json, "volume"),
        .ssml = is_true(q->json, "ssml"),
        .words = is_true(q->json, "words"),
        .phonemes = is_true(q->json, "phonemes"),
        .language = json_str(json_get(q->json, "language")),
    };

    q->stream->speak = speak_open(&o);
    buf_add_char(&q->answer, '{');
    return q->stream->speak;
}

static bool do_say(struct question *q)
{
    return q->stream->speak &&
           speak_say(q->stream->speak, json_str(json_get(q->json, "text")), q->a, &q->made, &q->answer);
}

static bool do_say_end(struct question *q)
{
    if (!q->stream->speak)
        return false;
    speak_end(q->stream->speak, &q->made, &q->answer);
    return true;
}

static bool do_listen(struct question *q)
{
    yyjson_val               *words = json_get(q->json, "words"), *v;
    struct boosted_word      *list = arena_array(q->a, struct boosted_word, yyjson_arr_size(words));
    struct recogniser_options o = {
        .format = (enum sound_format)number(q->json, "format"),
        .sample_rate = (int)number(q->json, "sample_rate"),
        .whole = is_true(q->json, "whole"),
        .silence_ms = (int)number(q->json, "silence_ms"),
        .threshold = real(q->json, "threshold"),
        .partial = is_true(q->json, "partial"),
        .words = list,
    };
    size_t i, n;

    yyjson_arr_foreach(words, i, n, v)
    {
        list[o.word_count++] =
            (struct boosted_word){ json_str(yyjson_arr_get_first(v)), (int)yyjson_get_sint(yyjson_arr_get_last(v)) };
    }
    q->stream->listen = listen_open(&o);
    buf_add_char(&q->answer, '{');
    return q->stream->listen;
}

static bool do_hear(struct question *q)
{
    if (!q->stream->listen)
        return false;
    listen_hear(q->stream->listen, q->sound, q->a, &q->answer);
    return true;
}

static bool do_commit(struct question *q)
{
    if (!q->stream->listen)
        return false;
    listen_commit(q->stream->listen, q->a, &q->answer);
    return true;
}

static bool do_hear_end(struct question *q)
{
    if (!q->stream->listen)
        return false;
    listen_end(q->stream->listen, q->a, &q->answer);
    return true;
}

static bool do_decode(struct question *q)
{
    int64_t ms;
    bool    ok = q->file >= 0 && q->out >= 0 &&
              sound_file_decode(q->file, q->file_bytes, (int)number(q->json, "channel"), q->out, &ms);

    if (ok)
        buf_addf(&q->answer, "{\"duration_ms\":%lld", (long long)ms);
    return ok;
}

static bool do_measure(struct question *q)
{
    return q->file >= 0 && sound_file_measure(q->file, q->file_bytes, &q->answer);
}

static const struct {
    const char *verb;
    bool (*answer)(struct question *q); /* false: it could not be done with what was sent */
    enum { NO_STREAM, OPENS, OF_STREAM } stream;
} verbs[] = {
    { "speak", do_speak, OPENS },           { "say", do_say, OF_STREAM },       { "say_end", do_say_end, OF_STREAM },
    { "listen", do_listen, OPENS },         { "hear", do_hear, OF_STREAM },     { "commit", do_commit, OF_STREAM },
    { "hear_end", do_hear_end, OF_STREAM }, { "decode", do_decode, NO_STREAM }, { "measure", do_measure, NO_STREAM },
};

/* ---- the channel ---- */

/* False when the other end is closed. *ret_fd is −1 when no file came. */
static bool receive(char *text, size_t cap, size_t *ret_len, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char           bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec    part = { .iov_base = text, .iov_len = cap };
    struct msghdr   m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes };
    struct cmsghdr *head;
    ssize_t         n;

    m.msg_controllen = sizeof(control.bytes);
    do {
        n = recvmsg(CHANNEL, &m, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    *ret_len = (size_t)n;
    *ret_fd = -1;
    head = CMSG_FIRSTHDR(&m);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(head), sizeof(*ret_fd));
    return true;
}

static bool send_text(const char *text, size_t len)
{
    return send(CHANNEL, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* Of the one thread: under RLIMIT_CPU the clock of the process moves in ticks. */
static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static bool write_all(int fd, str bytes, int64_t at)
{
    while (bytes.len) {
        ssize_t n = pwrite(fd, bytes.ptr, bytes.len, at);

        if (n <= 0)
            return false;
        bytes = str_from(bytes, (size_t)n);
        at += n;
    }
    return true;
}

/* The question's parts, out of its file; false: that is none. */
static bool read_work(int fd, int64_t json_len, int64_t sound_len, struct question *q)
{
    char *text;

    if (fd < 0 || json_len <= 0 || sound_len < 0 || json_len > WORK_MAX || sound_len > WORK_MAX)
        return false;
    text = arena_bytes(q->a, (size_t)(json_len + sound_len));
    if (pread(fd, text, (size_t)(json_len + sound_len), 0) != json_len + sound_len)
        return false;
    q->json = json_parse_copy(q->a, str_of(text, (size_t)json_len));
    q->sound = str_of(text + json_len, (size_t)sound_len);
    return q->json;
}

static bool run_verb(str verb, struct question *q)
{
    uint64_t id = (uint64_t)number(q->json, "id");

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        bool ok;

        if (!str_eq(verb, str_from_cstr(verbs[i].verb)))
            continue;
        if (verbs[i].stream) {
            q->stream = id ? stream_find(id, verbs[i].stream == OPENS) : NULL;
            if (!q->stream)
                return false;
            q->stream->id = id;
        }
        ok = verbs[i].answer(q);
        if (!ok && verbs[i].stream == OPENS)
            stream_close(id);
        return ok;
    }
    return false;
}

static bool reply(struct question *q, int work, bool ok, int64_t us)
{
    char text[MESSAGE_MAX];
    int  n;

    if (ok)
        buf_add_char(&q->answer, '}');
    if (ok && !(write_all(work, buf_str(&q->answer), 0) && write_all(work, buf_str(&q->made), (int64_t)q->answer.len)))
        return false;
    n = snprintf(text, sizeof(text), "%s %zu %zu %lld", ok ? "ok" : "invalid", ok ? q->answer.len : 0,
                 ok ? q->made.len : 0, (long long)us);
    return send_text(text, (size_t)n);
}

static void drop(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static bool serve_one(struct arena *a)
{
    static int     file = -1, out = -1;
    static int64_t file_bytes;
    char           text[MESSAGE_MAX];
    size_t         len;
    int            fd;
    int64_t        first = 0, second = 0, begun = cpu_us();
    str            rest, verb, word;
    bool           ok;

    if (!receive(text, sizeof(text), &len, &fd))
        return false;
    rest = str_of(text, len);
    verb = str_cut(&rest, ' ');
    word = str_cut(&rest, ' ');
    (void)str_to_i64(word, &first);
    (void)str_to_i64(rest, &second);
    if (str_eq(verb, S("close"))) {
        stream_close((uint64_t)first);
        return true;
    }
    if (str_eq(verb, S("file"))) {
        drop(&file);
        file = fd;
        file_bytes = first;
        return true;
    }
    if (str_eq(verb, S("out"))) {
        drop(&out);
        out = fd;
        return true;
    }
    {
        struct question q = { .a = a, .file = file, .file_bytes = file_bytes, .out = out };

        buf_init(&q.answer, a, SIZE_MAX / 2);
        buf_init(&q.made, a, SIZE_MAX / 2);
        if (!read_work(fd, first, second, &q)) {
            fprintf(stderr, "dashbox-speech: not a question: %.*s\n", STR_ARG(str_of(text, len)));
            return false;
        }
        ok = reply(&q, fd, run_verb(verb, &q), cpu_us() - begun);
    }
    drop(&fd);
    drop(&file);
    drop(&out);
    return ok;
}

int main(int argc, char **argv)
{
    const char           *folders[] = { NULL, NULL, NULL };
    struct sandbox_limits limits = { "dashbox-speech", MEMORY_MAX, CPU_MAX_S, FD_COUNT, FILE_MAX, folders };
    struct arena          arena;
    const char           *lacks;
    char                  text[128];
    size_t                n = 0;
    int                   type;
    socklen_t             len = sizeof(type);

    (void)argv;
    if (argc != 1 || getsockopt(CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET) {
        fputs("dashbox-speech is started by dashbox, which speaks and listens with it: see dashbox say\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    av_log_set_level(AV_LOG_QUIET);
    if (speak_begin())
        folders[n++] = speak_data();
    if (recognise_begin(POCKETSPHINX_MODEL))
        folders[n++] = POCKETSPHINX_MODEL;
    lacks = sandbox_enter(&limits);
    arena_init(&arena, 0);
    n = (size_t)snprintf(text, sizeof(text), "{\"ready\":true,\"sandbox\":%s,\"lacks\":\"%s\"}",
                         lacks ? "false" : "true", lacks ? lacks : "");
    if (!send_text(text, n))
        _exit(1);
    do {
        arena_reset(&arena);
    } while (serve_one(&arena));
    _exit(0); /* without what libraries do at their end */
}
