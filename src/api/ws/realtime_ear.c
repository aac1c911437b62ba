/* realtime_ear.c - the recogniser's events as the wire's. */
#include "api/ws/realtime_ear.h"

#include "contract/base64.h"
#include "contract/params.h"
#include "service/services.h"
#include "service/transcript.h"

enum { LEAST_MS = 100, HEAR_MAX = 32 * 1024 };
static const double ORDINARY = 0.2; /* the wire's threshold that is the recogniser's 0 */

void realtime_ear_begin(struct realtime_ear *r)
{
    *r = (struct realtime_ear){
        .reports = true, .format = SOUND_PCM, .sample_rate = 16000, .silence_ms = 800, .threshold = ORDINARY
    };
    arena_init(&r->kept, 0);
}

/* ---- session ---- */

bool realtime_ear_update(struct realtime *s, struct realtime_ear *r, yyjson_val *session, bool any_pcm, enum err *ret)
{
    yyjson_val *turn = yyjson_obj_get(session, "turn_detection"), *format = json_get(session, "input_audio_format"), *v;
    str         name = json_str(format);
    double      n;

    if (format && !(str_eq(name, S("pcm")) || str_eq(name, S("opus")) || (any_pcm && str_starts(name, S("pcm"))))) {
        *ret = realtime_invalid(s, name, "'pcm', 'opus'", "session.input_audio_format");
        return false;
    }
    v = json_get(session, "sample_rate");
    if (v && (!json_to_num(v, &n) || (n != 8000 && n != 16000))) {
        *ret = realtime_invalid(s, json_text(&s->scratch, v), "8000, 16000", "session.sample_rate");
        return false;
    }
    if (v)
        r->sample_rate = (int)n;
    if (format)
        r->format = str_eq(name, S("opus")) ? SOUND_OPUS : SOUND_PCM;
    if (turn) /* null: by hand; absent: as it was */
        r->manual = yyjson_is_null(turn);
    v = json_get(turn, "silence_duration_ms");
    if (v && (!json_to_num(v, &n) || n < 200 || n > 6000)) {
        *ret = realtime_error(s, "invalid_value", S("Invalid value: silence_duration_ms must be between 200 and 6000."),
                              "session.turn_detection.silence_duration_ms");
        return false;
    }
    if (v)
        r->silence_ms = (int)n;
    v = json_get(turn, "threshold");
    if (v && (!json_to_num(v, &n) || n < -1 || n > 1)) {
        *ret = realtime_error(s, "invalid_value", S("Invalid value: threshold must be between -1 and 1."),
                              "session.turn_detection.threshold");
        return false;
    }
    if (v)
        r->threshold = n;
    return true;
}

void realtime_ear_add_session(struct realtime_ear *r, struct buf *b)
{
    buf_addf(b, ",\"input_audio_format\":\"%s\",\"turn_detection\":", r->format == SOUND_OPUS ? "opus" : "pcm");
    if (r->manual) {
        buf_add(b, S("null"));
        return;
    }
    buf_add(b, S("{\"type\":\"server_vad\",\"threshold\":"));
    json_add_num(b, r->threshold);
    buf_addf(b, ",\"silence_duration_ms\":%d}", r->silence_ms);
}

/* ---- what is heard ---- */

static void add_item(struct realtime_ear *r, struct buf *b)
{
    buf_addf(b, ",\"item_id\":\"item_%s\"", r->item);
}

static void new_item(struct realtime_ear *r)
{
    if (r->in_item)
        return;
    memcpy(r->before, r->item, sizeof(r->before));
    realtime_id(r->item);
    r->in_item = true;
}

SUSPENDS static enum err place_event(struct realtime *s, struct realtime_ear *r, const char *type, const char *member,
                                     int64_t ms)
{
    struct buf b = realtime_begin(s, type);

    buf_addf(&b, ",\"%s\":%lld", member, (long long)ms);
    add_item(r, &b);
    return realtime_send(s, &b);
}

SUSPENDS static enum err committed(struct realtime *s, struct realtime_ear *r)
{
    struct buf b = realtime_begin(s, "input_audio_buffer.committed");
    enum err   e;

    buf_addf(&b, r->before[0] ? ",\"previous_item_id\":\"item_%s\"" : ",\"previous_item_id\":null", r->before);
    add_item(r, &b);
    e = realtime_send(s, &b);
    if (e)
        return e;
    b = realtime_begin(s, "conversation.item.created");
    buf_addf(&b, r->before[0] ? ",\"previous_item_id\":\"item_%s\"" : ",\"previous_item_id\":null", r->before);
    buf_addf(
        &b,
        ",\"item\":{\"id\":\"item_%s\",\"object\":\"realtime.item\",\"type\":\"message\",\"status\":\"in_progress\",\"role\":\"user\","
        "\"content\":[{\"type\":\"input_audio\",\"transcript\":null}]}",
        r->item);
    return realtime_send(s, &b);
}

SUSPENDS static enum err transcription(struct realtime *s, struct realtime_ear *r, const char *type, const char *member,
                                       str text, bool stash)
{
    struct buf b = realtime_begin(s, type);

    add_item(r, &b);
    buf_add(&b, S(",\"content_index\":0,\"language\":\"en\",\"emotion\":\"neutral\""));
    if (stash)
        buf_add(&b, S(",\"text\":\"\""));
    realtime_add_str(&b, member, text);
    return realtime_send(s, &b);
}

SUSPENDS static enum err failed(struct realtime *s, struct realtime_ear *r)
{
    struct buf b = realtime_begin(s, "conversation.item.input_audio_transcription.failed");

    add_item(r, &b);
    buf_add(
        &b,
        S(",\"content_index\":0,\"error\":{\"code\":\"audio_unintelligible\",\"message\":\"The audio could not be transcribed.\",\"param\":null}"));
    return realtime_send(s, &b);
}

SUSPENDS static enum err sentence(struct realtime *s, struct realtime_ear *r, const struct heard *h)
{
    struct transcript_options o = { .punctuation = true };
    struct transcript         t;
    enum err                  e = OK;

    new_item(r);
    transcript_make(&s->scratch, h, &o, true, &t);
    e = committed(s, r);
    if (!e && r->reports)
        e = t.count ? transcription(s, r, "conversation.item.input_audio_transcription.completed", "transcript", t.text,
                                    false)
                    : failed(s, r);
    r->in_item = false;
    r->fresh_ms = 0;
    if (t.count) {
        arena_reset(&r->kept);
        r->sentence = arena_str(&r->kept, t.text);
        r->ended = true;
    }
    return e;
}

SUSPENDS static enum err take(struct realtime *s, struct realtime_ear *r, const struct heard_piece *p)
{
    struct transcript_options o = { .punctuation = true };
    enum err                  e = OK;

    r->fresh_ms += p->audio_ms - r->audio_ms;
    r->audio_ms = p->audio_ms;
    for (size_t i = 0; !e && i < p->count; i++) {
        const struct heard *h = &p->events[i];
        struct transcript   t;

        switch (h->kind) {
        case HEARD_BEGIN:
            new_item(r);
            r->started = true;
            e = place_event(s, r, "input_audio_buffer.speech_started", "audio_start_ms", h->begin_ms);
            break;
        case HEARD_PARTIAL:
            new_item(r);
            transcript_make(&s->scratch, h, &o, false, &t);
            if (r->reports && t.count)
                e = transcription(s, r,
                                  r->delta ? "conversation.item.input_audio_transcription.delta"
                                           : "conversation.item.input_audio_transcription.text",
                                  "stash", t.text, true);
            break;
        case HEARD_STOP:
            e = place_event(s, r, "input_audio_buffer.speech_stopped", "audio_end_ms", h->end_ms);
            break;
        case HEARD_SENTENCE:
            e = sentence(s, r, h);
            break;
        }
    }
    if (!e && p->undecodable)
        e = realtime_fatal(s, "invalid_value", S("The audio cannot be decoded."));
    return e;
}

SUSPENDS static enum err open_ear(struct realtime *s, struct realtime_ear *r)
{
    struct recogniser_options o = { .format = r->format,
                                    .sample_rate = r->sample_rate,
                                    .whole = r->manual,
                                    .silence_ms = r->silence_ms,
                                    .threshold = r->threshold - ORDINARY,
                                    .partial = r->reports };

    if (r->ear)
        return OK;
    if (!s->rq->services->speech)
        return realtime_fatal(s, "NotServedByDashbox",
                              S("This dashbox can neither speak nor listen: its speech engine is not installed."));
    arena_init(&r->arena, 0);
    r->audio_ms = 0;
    return recogniser_open(s->rq->services->speech, &o, &r->arena, &r->ear);
}

enum err realtime_ear_append(struct realtime *s, struct realtime_ear *r, yyjson_val *event)
{
    str      bytes;
    enum err e;

    might_suspend();
    if (base64_read(&s->scratch, json_str(json_get(event, "audio")), &bytes))
        return realtime_error(s, "invalid_value", S("Invalid value: audio is not base64."), "audio");
    e = open_ear(s, r);
    while (!e && !s->over && bytes.len) {
        str                piece = str_first(bytes, HEAR_MAX);
        struct heard_piece heard;

        e = recogniser_hear(r->ear, piece, &s->scratch, &heard);
        if (!e)
            e = take(s, r, &heard);
        bytes = str_from(bytes, piece.len);
        if (!e)
            e = ws_session_flush(&s->ws);
    }
    return e;
}

enum err realtime_ear_commit(struct realtime *s, struct realtime_ear *r)
{
    struct heard_piece heard;
    enum err           e;

    might_suspend();
    if (!r->manual)
        return realtime_error(
            s, "invalid_value",
            S("Error committing input audio buffer: it is committed by the server's voice activity detection."), NULL);
    if (!r->ear || r->fresh_ms < LEAST_MS) /* wire-forms.md §6 */
        return realtime_error(s, NULL, S("Error committing input audio buffer: buffer too small, or have no audio."),
                              NULL);
    e = recogniser_commit(r->ear, &s->scratch, &heard);
    return e ? e : take(s, r, &heard);
}

enum err realtime_ear_clear(struct realtime *s, struct realtime_ear *r)
{
    realtime_ear_close(r);
    r->fresh_ms = 0;
    r->in_item = false;
    return realtime_say(s, "input_audio_buffer.cleared");
}

enum err realtime_ear_end(struct realtime *s, struct realtime_ear *r)
{
    struct heard_piece heard;
    enum err           e;

    might_suspend();
    if (!r->ear)
        return OK;
    e = recogniser_end(r->ear, &s->scratch, &heard);
    if (!e)
        e = take(s, r, &heard);
    realtime_ear_close(r);
    return e;
}

void realtime_ear_close(struct realtime_ear *r)
{
    if (!r->ear)
        return;
    recogniser_close(r->ear);
    r->ear = NULL;
    arena_free(&r->arena);
}
