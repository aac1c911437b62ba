/* realtime_asr.c - Qwen-ASR: speech becomes text. Spec: speech.md §2.3. */
#include "api/ws/realtime_ear.h"

struct asr {
    struct realtime     s;
    struct realtime_ear ear;
    char                language[16];
    int64_t             heard_ms; /* booked already */
};

static struct asr *self(const struct realtime *s)
{
    return CONTAINER_OF(s, struct asr, s);
}

SUSPENDS static enum err asr_begin(struct realtime *s)
{
    realtime_ear_begin(&self(s)->ear);
    return OK;
}

static void asr_add_session(struct realtime *s, struct buf *b)
{
    struct asr *a = self(s);

    buf_add(b, S(",\"modalities\":[\"text\"]"));
    realtime_ear_add_session(&a->ear, b);
    buf_addf(b, ",\"sample_rate\":%d,\"input_audio_transcription\":", a->ear.sample_rate);
    if (a->language[0]) {
        buf_add(b, S("{\"language\":"));
        json_add_str(b, str_from_cstr(a->language));
        buf_add_char(b, '}');
    } else {
        buf_add(b, S("null"));
    }
}

static bool is_text_alone(yyjson_val *modalities)
{
    return yyjson_arr_size(modalities) == 1 && str_eq(json_str(yyjson_arr_get_first(modalities)), S("text"));
}

SUSPENDS static enum err on_update(struct realtime *s, yyjson_val *event)
{
    struct asr *a = self(s);
    yyjson_val *session = json_get(event, "session"), *modalities = json_get(session, "modalities");
    str         language = json_str(json_get(json_get(session, "input_audio_transcription"), "language"));
    enum err    e = OK;

    if (modalities && !is_text_alone(modalities))
        return realtime_invalid(s, json_text(&s->scratch, modalities), "['text']", "session.modalities");
    if (!realtime_ear_update(s, &a->ear, session, false, &e))
        return e;
    if (language.len && language.len < sizeof(a->language)) {
        memcpy(a->language, language.ptr, language.len);
        a->language[language.len] = 0;
    }
    return realtime_session(s, "session.updated");
}

/* A sentence is booked when it has ended. */
SUSPENDS static enum err book(struct realtime *s, enum err e)
{
    struct asr *a = self(s);

    if (e || !a->ear.ended)
        return e;
    a->ear.ended = false;
    e = realtime_part_begin(s);
    if (e)
        return e;
    s->part->usage.play_ms = a->ear.audio_ms > a->heard_ms ? a->ear.audio_ms - a->heard_ms : 0;
    a->heard_ms = a->ear.audio_ms;
    e = realtime_part_last(s);
    return e ? e : realtime_part_end(s);
}

SUSPENDS static enum err on_append(struct realtime *s, yyjson_val *event)
{
    return book(s, realtime_ear_append(s, &self(s)->ear, event));
}

SUSPENDS static enum err on_commit(struct realtime *s, yyjson_val *event)
{
    (void)event;
    return book(s, realtime_ear_commit(s, &self(s)->ear));
}

SUSPENDS static enum err on_clear(struct realtime *s, yyjson_val *event)
{
    (void)event;
    return realtime_ear_clear(s, &self(s)->ear);
}

SUSPENDS static enum err on_finish(struct realtime *s, yyjson_val *event)
{
    struct asr *a = self(s);
    enum err    e = OK;

    (void)event;
    if (!(a->ear.manual && a->ear.fresh_ms == 0)) /* all of it has been committed */
        e = book(s, realtime_ear_end(s, &a->ear));
    return e ? e : realtime_say(s, "session.finished");
}

/* A sample of the SDK sends it; there is nothing to answer. */
static enum err on_nothing(struct realtime *s, yyjson_val *event)
{
    (void)s, (void)event;
    return OK;
}

static bool asr_busy(const struct realtime *s)
{
    (void)s;
    return false;
}

static enum err asr_step(struct realtime *s)
{
    (void)s;
    return OK;
}

static void asr_close(struct realtime *s)
{
    realtime_ear_close(&self(s)->ear);
    arena_free(&self(s)->ear.kept);
}

static const struct realtime_event events[] = {
    { S("session.update"), on_update },
    { S("input_audio_buffer.append"), on_append },
    { S("input_audio_buffer.commit"), on_commit },
    { S("input_audio_buffer.clear"), on_clear },
    { S("response.create"), on_nothing },
    { S("session.finish"), on_finish },
    { .run = NULL },
};

const struct realtime_kind realtime_asr = {
    .size = sizeof(struct asr),
    .begin = asr_begin,
    .add_session = asr_add_session,
    .events = events,
    .busy = asr_busy,
    .step = asr_step,
    .close = asr_close,
};
