/* speech.c - OpenAI's POST /v1/audio/speech and /v1/audio/transcriptions, with the models of the catalogue: the service has neither, and
 * its users' programs do.
 */
#include "access/admission.h"
#include "access/faults.h"
#include "api/openai/openai.h"
#include "api/body_model.h"
#include "api/reply.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "contract/synthesis_params.gen.h"
#include "net/http_server.h"
#include "net/multipart.h"
#include "service/hearing.h"
#include "service/reading.h"
#include "service/services.h"
#include "service/voices.h"
#include "tokens/count_memo.h"

#include <sys/mman.h>
#include <unistd.h>

/* The body names a model of synthesis that speaks when it is asked by whole texts. */
static enum err read_model(struct request *rq, yyjson_val *root, const struct model **ret)
{
    str      name = json_str(json_get(root, "model"));
    enum err e;

    if (!name.len)
        return fail_model_missing_compat(&rq->fault);
    e = faults_suffix(rq, "the model", &name);
    if (e)
        return e;
    rq->model_name = name;
    *ret = request_model(rq, name);
    if (!*ret || !((*ret)->out & BIT(MODEL_AUDIO)) ||
        ((*ret)->task != MODEL_TASK_TTS && (*ret)->task != MODEL_TASK_TTS_REALTIME))
        return fail_model_not_found_or_no_access(&rq->fault, name);
    return OK;
}

struct format {
    str               name, type;
    enum sound_format format;
    int               rate;
};

static const struct format *format_find(str name)
{
    static const struct format formats[] = {
        { S("mp3"), S("audio/mpeg"), SOUND_MP3, 24000 }, { S("opus"), S("audio/ogg"), SOUND_OPUS, 48000 },
        { S("aac"), S("audio/aac"), SOUND_AAC, 24000 },  { S("flac"), S("audio/flac"), SOUND_FLAC, 24000 },
        { S("wav"), S("audio/wav"), SOUND_WAV, 24000 },  { S("pcm"), S("audio/pcm"), SOUND_PCM, 24000 },
    };

    for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
        if (!name.len || str_eq(formats[i].name, name))
            return &formats[i];
    }
    return NULL;
}

SUSPENDS static enum err send_all(struct request *rq, struct reading *r, const struct format *f)
{
    struct http_field fields[] = { { S("content-type"), f->type }, { S("x-request-id"), str_of(rq->id, UUID_LEN) } };
    str               sentence;
    struct spoken     spoken;
    enum err          e = reading_next(r, &sentence, &spoken);

    if (e)
        return e;
    request_phase(rq, PHASE_STREAM);
    http_stream_begin(rq->x, 200, fields, ARRAY_LEN(fields));
    while (!e) {
        e = faults_step(rq);
        if (!e) {
            buf_add(http_stream_buf(rq->x), spoken.sound);
            e = http_stream_flush(rq->x);
        }
        if (!e)
            e = reading_next(r, &sentence, &spoken);
    }
    if (e != ERR_EOF)
        return e; /* broken off: there is no place for words in sound */
    e = faults_last(rq);
    if (e)
        return e;
    rq->usage.characters = r->characters;
    e = admit_charge(rq);
    return e ? e : http_stream_end(rq->x);
}

/* REF: E096, E198c, E098. */
enum err handle_openai_speech(struct request *rq)
{
    struct synthesis_plan plan = { .count = SPEECH_COUNT_HAN_2, .speaker = { .rate = 1, .pitch = 1, .volume = 50 } };
    struct reading       *r = arena_new(rq->arena, struct reading);
    const struct format  *f;
    const struct model   *m = NULL;
    yyjson_val           *root;
    double                speed = 1;
    str                   voice;
    enum err              e = request_json(rq, &root);

    if (!e)
        e = read_model(rq, root, &m);
    if (!e)
        e = admit(rq, m);
    if (e)
        return e;
    voice = json_str(json_get(root, "voice"));
    f = format_find(json_str(json_get(root, "response_format")));
    if (!f)
        return fail_parameter_missing_named(&rq->fault, S("response_format"));
    if (json_get(root, "speed") && (!json_to_num(json_get(root, "speed"), &speed) || speed < 0.25 || speed > 4))
        return fail_parameter_missing_named(&rq->fault, S("speed"));
    e = voices_find(rq, m->id, voice, &plan.speaker.voice);
    if (e == ERR_NOT_FOUND)
        return fail_voice_unsupported(&rq->fault, voice);
    plan.speaker.format = f->format;
    plan.speaker.sample_rate = f->rate;
    plan.speaker.rate = speed;
    if (!e)
        e = reading_begin(rq, &plan, json_str(json_get(root, "input")), r);
    return e ? e : send_all(rq, r, f);
}

/* ---- Qwen-ASR as chat ---- */

/* {"type":"input_audio","input_audio":{"data":"URL or data URI"}} */
static str sound_of(yyjson_val *messages)
{
    size_t      i, n, k, m;
    yyjson_val *message, *part;
    str         url = { 0 };

    yyjson_arr_foreach(messages, i, n, message)
    {
        yyjson_arr_foreach(json_get(message, "content"), k, m, part)
        {
            yyjson_val *data = json_get(json_get(part, "input_audio"), "data");

            if (yyjson_is_str(data))
                url = json_str(data);
        }
    }
    return url;
}

static void add_usage(struct buf *b, const struct hearing *h, int64_t tokens)
{
    int64_t seconds = (h->audio_ms + 999) / 1000, heard = seconds * 25;

    buf_addf(
        b,
        "\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,\"total_tokens\":%lld,\"prompt_tokens_details\":{\"audio_tokens\":%lld,"
        "\"text_tokens\":0},\"completion_tokens_details\":{\"text_tokens\":%lld},\"seconds\":%lld}",
        (long long)heard, (long long)tokens, (long long)(heard + tokens), (long long)heard, (long long)tokens,
        (long long)seconds);
}

static void add_head(struct request *rq, struct buf *b, const char *object)
{
    buf_addf(b,
             "\"object\":\"%s\",\"created\":%lld,\"id\":\"chatcmpl-%s\",\"system_fingerprint\":null,\"model\":", object,
             (long long)(rq->arrived_ms / 1000), rq->id);
    json_add_str(b, rq->model_name);
}

static void add_annotations(struct buf *b)
{
    buf_add(b, S("\"annotations\":[{\"type\":\"audio_info\",\"language\":\"en\",\"emotion\":\"neutral\"}]"));
}

SUSPENDS static enum err stream_heard(struct request *rq, const struct hearing *h, bool usage, int64_t tokens)
{
    request_phase(rq, PHASE_STREAM);
    reply_stream_begin(rq, 200);
    for (size_t i = 0; i <= h->count; i++) {
        struct buf *b = http_stream_buf(rq->x);
        bool        last = i == h->count;
        enum err    e;

        buf_add(b, S("data: {\"choices\":[{\"delta\":{"));
        if (i == 0)
            buf_add(b, S("\"role\":\"assistant\","));
        buf_add(b, S("\"content\":"));
        json_add_str(b, last ? S("")
                        : i  ? arena_printf(rq->arena, " %.*s", STR_ARG(h->sentences[i].text))
                             : h->sentences[i].text);
        buf_add_char(b, ',');
        add_annotations(b);
        buf_addf(b, "},\"finish_reason\":%s,\"index\":0,\"logprobs\":null}],", last ? "\"stop\"" : "null");
        add_head(rq, b, "chat.completion.chunk");
        buf_add(b, S(",\"usage\":null}\n\n"));
        e = http_stream_flush(rq->x);
        if (e)
            return e;
    }
    if (usage) {
        buf_add(http_stream_buf(rq->x), S("data: {\"choices\":[],"));
        add_head(rq, http_stream_buf(rq->x), "chat.completion.chunk");
        buf_add_char(http_stream_buf(rq->x), ',');
        add_usage(http_stream_buf(rq->x), h, tokens);
        buf_add(http_stream_buf(rq->x), S("}\n\n"));
    }
    buf_add(http_stream_buf(rq->x), S("data: [DONE]\n\n"));
    return http_stream_end(rq->x);
}

enum err openai_asr(struct request *rq, yyjson_val *root, const struct model *m)
{
    struct hearing h;
    struct buf     b;
    int64_t        tokens;
    str            url = sound_of(json_get(root, "messages"));
    enum err       e = admit(rq, m);

    might_suspend();
    rq->stream = yyjson_is_true(json_get(root, "stream"));
    if (!e)
        e = url.len ? hearing_fetch(rq, m, url, &h) : fail_audio_empty(&rq->fault);
    if (e)
        return e;
    tokens = (int64_t)count_memo_get(rq->services->memo, rq->services->tokenizer, h.text);
    rq->usage.play_ms = h.audio_ms;
    e = faults_whole(rq);
    if (!e)
        e = admit_charge(rq);
    if (e)
        return e;
    if (rq->stream)
        return stream_heard(rq, &h, yyjson_is_true(json_get(json_get(root, "stream_options"), "include_usage")),
                            tokens);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":"));
    json_add_str(&b, h.text);
    buf_add_char(&b, ',');
    add_annotations(&b);
    buf_add(&b, S("},\"finish_reason\":\"stop\",\"index\":0,\"logprobs\":null}],"));
    add_head(rq, &b, "chat.completion");
    buf_add_char(&b, ',');
    add_usage(&b, &h, tokens);
    buf_add_char(&b, '}');
    return reply_json(rq, buf_str(&b));
}

/* ---- audio/transcriptions ---- */

struct form {
    str model, format, language;
    str file;
};

/* The fields of a form that has come whole; false: it is none. */
static bool read_form(struct request *rq, str body, struct form *ret)
{
    struct multipart form;
    struct buf       value;
    str             *place = NULL, what;

    if (!multipart_init(&form, request_header(rq, S("content-type")), rq->arena))
        return false;
    buf_init(&value, rq->arena, SIZE_MAX / 2);
    for (;;) {
        enum multipart_event ev = multipart_next(&form, &body, &what);

        if (ev == MULTIPART_DATA) {
            buf_add(&value, what);
            continue;
        }
        if (ev == MULTIPART_MORE || ev == MULTIPART_BAD)
            return false;
        if (place)
            *place = arena_str(rq->arena, buf_str(&value));
        buf_reset(&value);
        if (ev == MULTIPART_END)
            return true;
        place = str_eq(what, S("model"))             ? &ret->model
                : str_eq(what, S("file"))            ? &ret->file
                : str_eq(what, S("response_format")) ? &ret->format
                : str_eq(what, S("language"))        ? &ret->language
                                                     : NULL;
    }
}

static void add_clock(struct buf *b, int64_t ms, char point)
{
    buf_addf(b, "%02d:%02d:%02d%c%03d", (int)(ms / 3600000), (int)(ms / 60000 % 60), (int)(ms / 1000 % 60), point,
             (int)(ms % 1000));
}

static void add_subtitles(struct buf *b, const struct hearing *h, bool vtt)
{
    if (vtt)
        buf_add(b, S("WEBVTT\n\n"));
    for (size_t i = 0; i < h->count; i++) {
        if (!vtt)
            buf_addf(b, "%zu\n", i + 1);
        add_clock(b, h->sentences[i].begin_ms, vtt ? '.' : ',');
        buf_add(b, S(" --> "));
        add_clock(b, h->sentences[i].end_ms, vtt ? '.' : ',');
        buf_add_char(b, '\n');
        buf_add(b, h->sentences[i].text);
        buf_add(b, S("\n\n"));
    }
}

static void add_verbose(struct buf *b, const struct hearing *h)
{
    buf_addf(
        b, "{\"task\":\"transcribe\",\"language\":\"english\",\"duration\":%.2f,\"text\":", (double)h->audio_ms / 1000);
    json_add_str(b, h->text);
    buf_add(b, S(",\"segments\":["));
    for (size_t i = 0; i < h->count; i++) {
        buf_addf(b, "%s{\"id\":%zu,\"start\":%.2f,\"end\":%.2f,\"text\":", i ? "," : "", i,
                 (double)h->sentences[i].begin_ms / 1000, (double)h->sentences[i].end_ms / 1000);
        json_add_str(b, h->sentences[i].text);
        buf_add_char(b, '}');
    }
    buf_add(b, S("],\"words\":["));
    for (size_t i = 0, n = 0; i < h->count; i++) {
        for (size_t k = 0; k < h->sentences[i].word_count; k++) {
            const struct transcript_word *w = &h->sentences[i].words[k];

            buf_add(b, n++ ? S(",{\"word\":") : S("{\"word\":"));
            json_add_str(b, w->text);
            buf_addf(b, ",\"start\":%.2f,\"end\":%.2f}", (double)w->begin_ms / 1000, (double)w->end_ms / 1000);
        }
    }
    buf_add(b, S("]}"));
}

SUSPENDS static enum err reply_heard(struct request *rq, const struct hearing *h, str format)
{
    struct http_field fields[] = { { S("content-type"), S("text/plain; charset=utf-8") },
                                   { S("x-request-id"), str_of(rq->id, UUID_LEN) } };
    struct buf        b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    if (str_eq(format, S("srt")) || str_eq(format, S("vtt"))) {
        add_subtitles(&b, h, str_eq(format, S("vtt")));
    } else if (str_eq(format, S("text"))) {
        buf_add(&b, h->text);
        buf_add_char(&b, '\n');
    } else if (str_eq(format, S("verbose_json"))) {
        add_verbose(&b, h);
        return reply_json(rq, buf_str(&b));
    } else if (!format.len || str_eq(format, S("json"))) {
        buf_add(&b, S("{\"text\":"));
        json_add_str(&b, h->text);
        buf_add_char(&b, '}');
        return reply_json(rq, buf_str(&b));
    } else {
        return fail_parameter_missing_named(&rq->fault, S("response_format"));
    }
    return http_answer(rq->x, 200, fields, ARRAY_LEN(fields), buf_str(&b));
}

/* The file in memory of its own, as the engine wants one. */
SUSPENDS static enum err listen_to(struct request *rq, str file, struct hearing *h)
{
    int      fd = memfd_create("sound", MFD_CLOEXEC);
    enum err e = fd >= 0 && write(fd, file.ptr, file.len) == (ssize_t)file.len ? OK : ERR_IO;

    rq->action = "listening";
    rq->engine = S("speech");
    if (!e)
        e = hearing_listen(rq, fd, h);
    if (fd >= 0)
        close(fd);
    if (e == ERR_INVALID)
        return fail_audio_file_illegal(&rq->fault);
    return e;
}

/* REF: E096, E198c. */
enum err handle_openai_transcriptions(struct request *rq)
{
    struct form         form = { 0 };
    struct hearing      h;
    const struct model *m;
    char               *text;
    size_t              len;
    enum err            e;

    rq->action = "receiving the body";
    e = http_body(rq->x, &text, &len);
    if (e == ERR_LIMIT)
        return fail_body_too_large_gateway(&rq->fault); /* REF: E280 */
    if (e || !read_form(rq, str_of(text, len), &form))
        return e == ERR_CANCELLED ? e : fail_body_invalid(&rq->fault);
    if (!form.model.len)
        return fail_model_missing_compat(&rq->fault);
    e = faults_suffix(rq, "the model", &form.model);
    if (e)
        return e;
    rq->model_name = form.model;
    m = request_model(rq, form.model);
    if (!m || !(m->in & BIT(MODEL_AUDIO)) || !(m->task == MODEL_TASK_ASR_SYNC || m->task == MODEL_TASK_ASR_FILE_ASYNC))
        return fail_model_not_found_or_no_access(&rq->fault, form.model);
    e = admit(rq, m);
    if (!e && !form.file.len)
        e = fail_audio_empty(&rq->fault);
    if (!e && !rq->services->speech)
        e = fail_speech_not_here(&rq->fault);
    if (!e)
        e = listen_to(rq, form.file, &h);
    if (e)
        return e;
    rq->usage.play_ms = h.audio_ms;
    e = faults_whole(rq);
    if (!e)
        e = admit_charge(rq);
    return e ? e : reply_heard(rq, &h, form.format);
}
