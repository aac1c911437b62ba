/* realtime_tts.c - Qwen-TTS: text comes in events, sound goes in events.
 *
 * In the mode server_commit sentences are spoken as they are whole, in one response that ends with a commit or the session; in the mode
 * commit each commit is a response of its own.
 *
 * Spec: speech.md §2.2, §4.5.
 */
#include "api/ws/realtime_voice.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/params.h"
#include "contract/voice.h"
#include "service/services.h"
#include "service/voices.h"
#include "tokens/count_memo.h"

#include <stdio.h>

struct tts {
    struct realtime       s;
    struct realtime_voice voice;
    struct speech_text    text;
    bool                  by_commit; /* mode */
    bool                  begun;     /* text has come: the session can no more be changed */
    bool                  committed; /* what is there is spoken to its end, and the response ends */
    bool                  finishing;
    char                  voice_name[128], language[32], format[8];
};

static struct tts *self(const struct realtime *s)
{
    return CONTAINER_OF(s, struct tts, s);
}

/* ---- session ---- */

static bool takes_clones_alone(const struct model *m)
{
    return str_find_str(m->id, S("-vc-")) != STR_NONE || str_find_str(m->id, S("-vd-")) != STR_NONE;
}

SUSPENDS static enum err tts_begin(struct realtime *s)
{
    struct tts *t = self(s);

    t->voice.spoken = true;
    t->voice.options =
        (struct speaker_options){ .format = SOUND_PCM, .sample_rate = 24000, .rate = 1, .pitch = 1, .volume = 50 };
    snprintf(t->voice_name, sizeof(t->voice_name), "%s", takes_clones_alone(s->model) ? "" : "Cherry");
    snprintf(t->language, sizeof(t->language), "Auto");
    snprintf(t->format, sizeof(t->format), "pcm");
    speech_text_init(&t->text, s->rq->arena);
    return OK;
}

static void tts_add_session(struct realtime *s, struct buf *b)
{
    struct tts *t = self(s);

    buf_addf(b, ",\"mode\":\"%s\"", t->by_commit ? "commit" : "server_commit");
    realtime_add_str(b, "voice", str_from_cstr(t->voice_name));
    buf_addf(b, ",\"response_format\":\"%s\",\"sample_rate\":%d,\"language_type\":\"%s\",\"speech_rate\":", t->format,
             t->voice.options.sample_rate, t->language);
    json_add_num(b, t->voice.options.rate);
    buf_add(b, S(",\"pitch_rate\":"));
    json_add_num(b, t->voice.options.pitch);
    buf_addf(b, ",\"volume\":%d", t->voice.options.volume);
}

/* REF: E098, E270. */
SUSPENDS static enum err set_voice(struct tts *t, str name)
{
    struct realtime *s = &t->s;
    enum err         e;

    if (takes_clones_alone(s->model) && voice_find(S("qwen3-tts-flash"), name))
        return str_eq(s->model->id, S("qwen-tts-vc-realtime-2025-08-20"))
                   ? realtime_fatal(s, "CLIENT_ERROR", S("[qwen-tts:]Engine return error code: 411"))
                   : realtime_error(
                         s, "invalid_value",
                         arena_printf(&s->scratch, "The requested voice '%.*s' is not supported.", STR_ARG(name)),
                         "session.voice");
    e = voices_find(s->rq, s->model->id, name, &t->voice.options.voice);
    if (e == ERR_NOT_FOUND || name.len >= sizeof(t->voice_name))
        return realtime_error(s, "invalid_value",
                              arena_printf(&s->scratch, "The requested voice '%.*s' is not supported.", STR_ARG(name)),
                              "session.voice");
    if (!e)
        snprintf(t->voice_name, sizeof(t->voice_name), "%.*s", STR_ARG(name));
    return e;
}

/* As this event of one session goes: false when it has been told what is wrong, *e is how that went. */
static bool number(struct tts *t, yyjson_val *session, const char *name, double low, double high, double *ret,
                   enum err *e)
{
    yyjson_val *v = json_get(session, name);
    double      n;

    if (!v)
        return true;
    if (json_to_num(v, &n) && n >= low && n <= high) {
        *ret = n;
        return true;
    }
    *e = realtime_error(&t->s, "invalid_value",
                        arena_printf(&t->s.scratch, "Invalid value: '%.*s'. It must be between %g and %g.",
                                     STR_ARG(json_text(&t->s.scratch, v)), low, high),
                        arena_printf(&t->s.scratch, "session.%s", name).ptr);
    return false;
}

static bool choice(struct tts *t, yyjson_val *session, const char *name, str choices, const char *printed, str *ret,
                   enum err *e)
{
    yyjson_val *v = json_get(session, name);

    if (!v)
        return true;
    if (yyjson_is_str(v) && words_have(choices, json_str(v))) {
        *ret = json_str(v);
        return true;
    }
    *e = realtime_invalid(&t->s, yyjson_is_str(v) ? json_str(v) : json_text(&t->s.scratch, v), printed,
                          arena_printf(&t->s.scratch, "session.%s", name).ptr);
    return false;
}

static enum sound_format format_named(str name)
{
    return str_eq(name, S("wav"))    ? SOUND_WAV
           : str_eq(name, S("mp3"))  ? SOUND_MP3
           : str_eq(name, S("opus")) ? SOUND_OPUS
                                     : SOUND_PCM;
}

static str language_code(str type)
{
    static const struct {
        str name, code;
    } all[] = { { S("Chinese"), S("zh") },   { S("English"), S("en") }, { S("German"), S("de") },
                { S("Italian"), S("it") },   { S("Spanish"), S("es") }, { S("Japanese"), S("ja") },
                { S("Korean"), S("ko") },    { S("French"), S("fr") },  { S("Russian"), S("ru") },
                { S("Portuguese"), S("pt") } };

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (str_eq(all[i].name, type) || str_eq(all[i].code, type))
            return all[i].code;
    }
    return (str){ 0 };
}

SUSPENDS static enum err on_update(struct realtime *s, yyjson_val *event)
{
    struct tts            *t = self(s);
    yyjson_val            *session = json_get(event, "session"), *voice = json_get(session, "voice");
    struct speaker_options o = t->voice.options;
    str                    mode = t->by_commit ? S("commit") : S("server_commit"), format = str_from_cstr(t->format);
    str                    language = str_from_cstr(t->language);
    double                 rate = o.sample_rate, volume = o.volume, bits = 0;
    bool                   basic = str_starts(s->model->id, S("qwen-tts-realtime"));
    enum err               e = OK;

    if (t->begun) { /* and the server closes: wire-forms.md §6 */
        e = realtime_error(s, "invalid_value",
                           S("Session update error: session already started or finished or failed."), NULL);
        ws_session_end(&s->ws, WS_CLOSE_NORMAL, S(""));
        s->over = true;
        return e;
    }
    if (!choice(t, session, "mode", S("server_commit commit"), "'server_commit', 'commit'", &mode, &e) ||
        !choice(t, session, "response_format", basic ? S("pcm") : S("pcm wav mp3 opus"),
                basic ? "'pcm'" : "'pcm', 'wav', 'mp3', 'opus'", &format, &e) ||
        !choice(
            t, session, "language_type",
            S("Auto Chinese English German Italian Portuguese Spanish Japanese Korean French Russian zh en de it pt es ja ko fr ru"),
            "'Auto', 'Chinese', 'English', 'German', 'Italian', 'Portuguese', 'Spanish', 'Japanese', 'Korean', 'French', 'Russian'",
            &language, &e) ||
        !number(t, session, "sample_rate", 8000, 48000, &rate, &e) ||
        !number(t, session, "speech_rate", 0.5, 2, &o.rate, &e) ||
        !number(t, session, "pitch_rate", 0.5, 2, &o.pitch, &e) || !number(t, session, "volume", 0, 100, &volume, &e) ||
        !number(t, session, "bit_rate", 6, 510, &bits, &e))
        return e;
    if (voice) {
        size_t before = s->ws.out.len;

        e = set_voice(t, json_str(voice));
        if (e || s->over || s->ws.out.len != before) /* it has been told */
            return e;
    }
    o.voice = t->voice.options.voice;
    o.sample_rate = (int)rate;
    o.volume = (int)volume;
    o.bit_rate = (int)bits * 1000;
    o.format = format_named(format);
    t->by_commit = str_eq(mode, S("commit"));
    snprintf(t->format, sizeof(t->format), "%.*s", STR_ARG(format));
    snprintf(t->language, sizeof(t->language), "%.*s", STR_ARG(language));
    o.language = language_code(str_from_cstr(t->language));
    t->voice.options = o;
    return realtime_session(s, "session.updated");
}

/* ---- text ---- */

/* A session that named no voice. REF: E270. */
SUSPENDS static enum err default_voice(struct tts *t)
{
    if (t->voice.options.voice.languages.len)
        return OK;
    if (!t->voice_name[0])
        return realtime_fatal(&t->s, "CLIENT_ERROR", S("[qwen-tts:]Engine return error code: 411"));
    return set_voice(t, str_from_cstr(t->voice_name));
}

SUSPENDS static enum err on_append(struct realtime *s, yyjson_val *event)
{
    struct tts *t = self(s);
    enum err    e = default_voice(t);

    t->voice.voice = str_from_cstr(t->voice_name);
    t->begun = true;
    speech_text_add(&t->text, json_str(json_get(event, "text")));
    return e;
}

SUSPENDS static enum err on_commit(struct realtime *s, yyjson_val *event)
{
    struct tts *t = self(s);
    struct buf  b;

    (void)event;
    if (t->text.at == t->text.text.len && !t->voice.open)
        return realtime_error(s, "invalid_value", S("Error committing input buffer: buffer is empty."), NULL);
    t->committed = true;
    b = realtime_begin(s, "input_text_buffer.committed");
    buf_add(&b, S(",\"item_id\":\"\""));
    return realtime_send(s, &b);
}

SUSPENDS static enum err on_clear(struct realtime *s, yyjson_val *event)
{
    struct tts *t = self(s);

    (void)event;
    if (!t->by_commit)
        return realtime_error(s, "invalid_value", S("only client commit mode supports clear operation"), NULL);
    t->text.at = t->text.text.len;
    return realtime_say(s, "input_text_buffer.cleared");
}

static str usage(struct tts *t)
{
    struct request *part = t->s.part;
    int64_t         sound = (t->voice.sound_ms + 999) / 1000 * 50; /* tokens: speech.md §1.6 */

    if (!str_starts(t->s.model->id, S("qwen-tts-"))) {
        part->usage.characters = speech_text_count(buf_str(&t->voice.text), SPEECH_COUNT_HAN_2, false);
        return arena_printf(&t->s.scratch, "{\"characters\":%lld}", (long long)part->usage.characters);
    }
    part->usage.prompt_tokens =
        (int64_t)count_memo_get(t->s.rq->services->memo, t->s.rq->services->tokenizer, buf_str(&t->voice.text));
    part->usage.completion_tokens = part->usage.audio_out_tokens = sound;
    return arena_printf(
        &t->s.scratch,
        "{\"total_tokens\":%lld,\"input_tokens\":%lld,\"output_tokens\":%lld,\"input_tokens_details\":{\"text_tokens\":%lld},"
        "\"output_tokens_details\":{\"text_tokens\":0,\"audio_tokens\":%lld}}",
        (long long)(part->usage.prompt_tokens + sound), (long long)part->usage.prompt_tokens, (long long)sound,
        (long long)part->usage.prompt_tokens, (long long)sound);
}

SUSPENDS static enum err on_cancel(struct realtime *s, yyjson_val *event)
{
    struct tts *t = self(s);

    (void)event;
    if (!t->voice.open)
        return realtime_error(s, "invalid_value", S("No active response to cancel."), NULL);
    t->text.at = t->text.text.len;
    t->committed = false;
    return realtime_voice_end(s, &t->voice, "incomplete", usage(t));
}

SUSPENDS static enum err on_finish(struct realtime *s, yyjson_val *event)
{
    (void)event;
    self(s)->finishing = true;
    return OK;
}

static bool tts_busy(const struct realtime *s)
{
    const struct tts  *t = self(s);
    struct speech_text look = t->text;
    str                sentence;

    return t->committed || t->finishing || (!t->by_commit && speech_text_next(&look, &sentence));
}

SUSPENDS static enum err tts_step(struct realtime *s)
{
    struct tts *t = self(s);
    str         sentence;
    bool        whole = t->committed || t->finishing;
    enum err    e = OK;

    if (whole ? speech_text_flush(&t->text, &sentence) : speech_text_next(&t->text, &sentence)) {
        e = realtime_voice_begin(s, &t->voice);
        return e ? e : realtime_voice_say(s, &t->voice, sentence);
    }
    t->committed = false;
    if (t->voice.open)
        e = realtime_voice_end(s, &t->voice, "completed", usage(t));
    if (!e && t->finishing) {
        e = realtime_say(s, "session.finished");
        t->finishing = false;
        t->begun = true;
    }
    return e;
}

static void tts_close(struct realtime *s)
{
    realtime_voice_close(&self(s)->voice);
}

static const struct realtime_event events[] = {
    { S("session.update"), on_update },
    { S("input_text_buffer.append"), on_append },
    { S("input_text_buffer.commit"), on_commit },
    { S("input_text_buffer.clear"), on_clear },
    { S("response.cancel"), on_cancel },
    { S("session.finish"), on_finish },
    { .run = NULL },
};

const struct realtime_kind realtime_tts = {
    .size = sizeof(struct tts),
    .begin = tts_begin,
    .add_session = tts_add_session,
    .events = events,
    .busy = tts_busy,
    .step = tts_step,
    .close = tts_close,
};
