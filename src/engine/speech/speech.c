/* speech.c - pools of dashbox-speech, and how it is asked. */
#include "engine/speech/speech_private.h"

#include "base/log.h"
#include "base/num.h"
#include "engine/pool/program.h"
#include "loop/loop.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum err speech_program(struct arena *a, const char **ret)
{
    return pool_program(a, "speech", ret);
}

/* Its first message: whether its system let it lock itself in. */
static enum err hear_ready(void *arg, str message)
{
    struct speech *s = arg;
    struct arena   a;
    yyjson_val    *root;
    bool           ready, sandbox;

    arena_init(&a, 0);
    root = json_parse_copy(&a, message);
    ready = yyjson_is_true(json_get(root, "ready"));
    sandbox = yyjson_is_true(json_get(root, "sandbox"));
    if (ready && !s->told) {
        str lacks = json_str(json_get(root, "lacks"));

        s->told = true;
        if (sandbox)
            log_debug("speech engine: in its sandbox");
        else
            log_warn("speech engine: this system has no %.*s for it, so it is less confined",
                     STR_ARG(str_first(lacks, 16)));
    }
    arena_free(&a);
    return ready ? OK : ERR_PROTOCOL;
}

enum err speech_open(struct loop *l, const struct speech_options *o, struct speech **ret)
{
    struct speech      *s = xcalloc(1, sizeof(*s));
    struct pool_options po = { .name = "speech engine", .program = o->program, .ready = hear_ready, .arg = s };
    struct arena        a;
    enum err            e = OK;

    arena_init(&a, 0);
    s->loop = l;
    s->say_ms = o->say_ms ? o->say_ms : 20000;
    s->hear_ms = o->hear_ms ? o->hear_ms : 60000;
    po.process_max = o->speaker_max ? o->speaker_max : 2;
    po.queue_max = o->queue_max ? o->queue_max : 4096;
    po.start_ms = o->start_ms ? o->start_ms : 10000;
    po.backoff_ms = o->backoff_ms ? o->backoff_ms : 1000;
    po.idle_ms = o->idle_ms ? o->idle_ms : 300000;
    po.retire_cpu_ms = 1200000;
    if (!po.program)
        e = speech_program(&a, &po.program);
    if (!e)
        e = pool_open(l, &po, &s->speakers);
    po.process_max = o->listener_max ? o->listener_max : 2;
    if (!e)
        e = pool_open(l, &po, &s->listeners);
    arena_free(&a);
    if (e) {
        pool_close(s->speakers);
        free(s);
        return e;
    }
    *ret = s;
    return OK;
}

size_t speech_pids(const struct speech *s, int *ret, size_t max)
{
    size_t n = pool_pids(s->speakers, ret, max);

    return n + pool_pids(s->listeners, ret + n, max - n);
}

void speech_close(struct speech *s)
{
    if (!s)
        return;
    pool_close(s->speakers);
    pool_close(s->listeners);
    free(s);
}

/* ---- a question ---- */

static enum err write_work(int fd, str json, str sound)
{
    str parts[] = { json, sound };

    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        while (parts[i].len) {
            ssize_t n = write(fd, parts[i].ptr, parts[i].len);

            if (n <= 0)
                return ERR_IO;
            parts[i] = str_from(parts[i], (size_t)n);
        }
    }
    return OK;
}

/* "ok JSON-BYTES SOUND-BYTES CPU", and these in the file. */
static enum err read_answer(str text, int fd, struct arena *a, struct speech_answer *ret)
{
    str     word = str_cut(&text, ' '), first = str_cut(&text, ' '), second = str_cut(&text, ' ');
    int64_t json_len, sound_len;
    char   *bytes;

    ret->invalid = str_eq(word, S("invalid"));
    if ((!ret->invalid && !str_eq(word, S("ok"))) || !str_to_i64(first, &json_len) || !str_to_i64(second, &sound_len) ||
        !str_to_i64(text, &ret->cpu_us) || json_len < 0 || sound_len < 0)
        return ERR_PROTOCOL;
    if (ret->invalid)
        return OK;
    bytes = arena_bytes(a, (size_t)(json_len + sound_len));
    if (pread(fd, bytes, (size_t)(json_len + sound_len), 0) != json_len + sound_len)
        return ERR_PROTOCOL;
    ret->json = json_parse_copy(a, str_of(bytes, (size_t)json_len));
    ret->sound = str_of(bytes + json_len, (size_t)sound_len);
    return ret->json ? OK : ERR_PROTOCOL;
}

enum err speech_ask(struct speech *s, struct pool_child *c, const char *verb, str json, str sound, int64_t ms,
                    struct arena *a, struct speech_answer *ret)
{
    struct channel *channel = pool_child_channel(c);
    char            text[256];
    size_t          len = 0;
    int             n, fd = memfd_create("question", MFD_CLOEXEC);
    enum err        e;

    might_suspend();
    *ret = (struct speech_answer){ 0 };
    if (fd < 0)
        return ERR_IO;
    n = snprintf(text, sizeof(text), "%s %zu %zu", verb, json.len, sound.len);
    e = write_work(fd, json, sound);
    if (!e)
        e = channel_send(channel, str_of(text, (size_t)n), fd);
    if (!e)
        e = channel_receive(channel, text, sizeof(text), loop_now_us(s->loop) + ms * 1000, &len);
    if (!e)
        e = read_answer(str_of(text, len), fd, a, ret);
    close(fd);
    return e == ERR_EOF ? ERR_IO : e == ERR_LIMIT ? ERR_PROTOCOL : e; /* LIMIT: an answer that is too long */
}

/* ---- streams ---- */

enum err speech_stream_open(struct speech *s, struct pool *p, const char *verb, struct buf *json, struct arena *a,
                            struct speech_stream *ret)
{
    struct pool_child   *c;
    struct speech_answer answer;
    enum err             e = pool_take(p, &c);

    might_suspend();
    if (e)
        return e;
    *ret = (struct speech_stream){ .speech = s, .id = ++s->streams };
    buf_addf(json, ",\"id\":%llu}", (unsigned long long)ret->id);
    e = speech_ask(s, c, verb, buf_str(json), (str){ 0 }, s->say_ms, a, &answer);
    if (!e && !answer.invalid)
        ret->pin = pool_pin(c);
    pool_give_back(c, e, answer.cpu_us);
    return e ? e : answer.invalid ? ERR_INVALID : OK;
}

enum err speech_stream_ask(struct speech_stream *st, const char *verb, struct buf *json, str sound, int64_t ms,
                           struct arena *a, struct speech_answer *ret)
{
    struct pool_child *c;
    enum err           e = pool_take_pinned(st->pin, &c);

    might_suspend();
    *ret = (struct speech_answer){ 0 };
    if (e)
        return e;
    buf_addf(json, "%s\"id\":%llu}", json->len > 1 ? "," : "", (unsigned long long)st->id);
    e = speech_ask(st->speech, c, verb, buf_str(json), sound, ms, a, ret);
    pool_give_back(c, e, ret->cpu_us);
    return e ? e : ret->invalid ? ERR_INVALID : OK;
}

void speech_stream_close(struct speech_stream *st)
{
    char text[64];
    int  n;

    if (!pool_pin_holds(st->pin))
        return;
    n = snprintf(text, sizeof(text), "close %llu", (unsigned long long)st->id);
    (void)channel_send(pool_child_channel(st->pin.child), str_of(text, (size_t)n),
                       -1); /* it may stand behind a question */
    pool_unpin(st->pin);
}

/* ---- files ---- */

static enum err send_file(struct pool_child *c, const char *verb, int fd, struct arena *a)
{
    off_t bytes = lseek(fd, 0, SEEK_END);

    return bytes < 0 ? ERR_INVALID
                     : channel_send(pool_child_channel(c), arena_printf(a, "%s %lld", verb, (long long)bytes), fd);
}

static SUSPENDS enum err ask_of_file(struct speech *s, int fd, int out, const char *verb, str json, int64_t ms,
                                     struct arena *a, struct speech_answer *ret)
{
    struct pool_child *c;
    enum err           e = pool_take(s->listeners, &c);

    *ret = (struct speech_answer){ 0 };
    if (e)
        return e;
    e = send_file(c, "file", fd, a);
    if (!e && out >= 0)
        e = channel_send(pool_child_channel(c), S("out"), out);
    if (!e)
        e = speech_ask(s, c, verb, json, (str){ 0 }, ms, a, ret);
    pool_give_back(c, e, ret->cpu_us);
    return e ? e : ret->invalid ? ERR_INVALID : OK;
}

#define DECODE_MS ((int64_t)600000) /* twelve hours of sound are decoded in a few minutes */

enum err speech_decode(struct speech *s, int fd, int channel, int out, struct arena *a, int64_t *ret_ms)
{
    struct speech_answer answer;
    enum err e = ask_of_file(s, fd, out, "decode", arena_printf(a, "{\"channel\":%d}", channel), DECODE_MS, a, &answer);

    might_suspend();
    if (!e && !json_to_i64(json_get(answer.json, "duration_ms"), ret_ms))
        e = ERR_PROTOCOL;
    return e;
}

static double number(yyjson_val *object, const char *name)
{
    double v = 0;

    (void)json_to_num(json_get(object, name), &v);
    return v;
}

enum err speech_measure(struct speech *s, int fd, struct arena *a, struct voice_measure *ret)
{
    struct speech_answer answer;
    enum err             e = ask_of_file(s, fd, -1, "measure", S("{}"), s->hear_ms, a, &answer);

    might_suspend();
    if (e)
        return e;
    *ret = (struct voice_measure){
        .duration_ms = (int64_t)number(answer.json, "duration_ms"),
        .speech_ms = (int64_t)number(answer.json, "speech_ms"),
        .longest_ms = (int64_t)number(answer.json, "longest_ms"),
        .sample_rate = (int)number(answer.json, "sample_rate"),
        .channels = (int)number(answer.json, "channels"),
        .level_db = number(answer.json, "level_db"),
        .pitch_hz = number(answer.json, "pitch_hz"),
        .syllables_s = number(answer.json, "syllables_s"),
        .brightness_hz = number(answer.json, "brightness_hz"),
    };
    return OK;
}
