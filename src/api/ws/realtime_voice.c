/* realtime_voice.c - the events of a response. */
#include "api/ws/realtime_voice.h"

#include "access/admission.h"
#include "contract/base64.h"
#include "service/services.h"

enum { DELTA = 24000 }; /* bytes of sound in one event: half a second of 24 kHz */

static void add_place(struct realtime_voice *v, struct buf *b, bool content)
{
    buf_addf(b, ",\"response_id\":\"resp_%s\"", v->response);
    if (content)
        buf_addf(b, ",\"item_id\":\"item_%s\"", v->item);
    buf_add(b, S(",\"output_index\":0"));
    if (content)
        buf_add(b, S(",\"content_index\":0"));
}

static const char *part_type(const struct realtime_voice *v)
{
    return v->spoken ? "audio" : "text";
}

static void add_item(struct realtime_voice *v, struct buf *b, const char *status, bool content)
{
    buf_addf(
        b,
        "{\"id\":\"item_%s\",\"object\":\"realtime.item\",\"type\":\"message\",\"status\":\"%s\",\"role\":\"assistant\",\"content\":[",
        v->item, status);
    if (content) {
        buf_addf(b, "{\"type\":\"%s\",\"%s\":", part_type(v), v->spoken && v->transcript ? "transcript" : "text");
        json_add_str(b, v->transcript ? buf_str(&v->text) : S(""));
        buf_add_char(b, '}');
    }
    buf_add(b, S("]}"));
}

static void add_response(struct realtime_voice *v, struct buf *b, const char *status, str usage)
{
    buf_addf(
        b,
        ",\"response\":{\"id\":\"resp_%s\",\"object\":\"realtime.response\",\"conversation_id\":\"\",\"status\":\"%s\"",
        v->response, status);
    buf_add(b, v->spoken ? S(",\"modalities\":[\"text\",\"audio\"]") : S(",\"modalities\":[\"text\"]"));
    realtime_add_str(b, "voice", v->voice);
    if (v->transcript)
        buf_add(b, S(",\"output_audio_format\":\"pcm\""));
    buf_add(b, S(",\"output\":["));
    if (usage.len)
        add_item(v, b, status, true);
    buf_add_char(b, ']');
    if (usage.len) {
        buf_add(b, S(",\"usage\":"));
        buf_add(b, usage);
    }
    buf_add_char(b, '}');
}

SUSPENDS static enum err part_event(struct realtime *s, struct realtime_voice *v, const char *type, bool done)
{
    struct buf b = realtime_begin(s, type);

    add_place(v, &b, true);
    buf_addf(&b, ",\"part\":{\"type\":\"%s\",\"text\":", part_type(v));
    json_add_str(&b, done && v->transcript ? buf_str(&v->text) : S(""));
    buf_add_char(&b, '}');
    return realtime_send(s, &b);
}

SUSPENDS static enum err item_event(struct realtime *s, struct realtime_voice *v, const char *type, const char *status,
                                    bool done)
{
    struct buf b = realtime_begin(s, type);

    add_place(v, &b, false);
    buf_add(&b, S(",\"item\":"));
    add_item(v, &b, status, done);
    return realtime_send(s, &b);
}

enum err realtime_voice_begin(struct realtime *s, struct realtime_voice *v)
{
    struct buf b;
    enum err   e;

    might_suspend();
    if (v->open)
        return OK;
    e = realtime_part_begin(s);
    if (e)
        return e;
    arena_init(&v->arena, 0);
    v->open = true;
    v->sound_ms = 0;
    realtime_id(v->response);
    realtime_id(v->item);
    buf_init(&v->text, s->part->arena, SIZE_MAX / 2);
    b = realtime_begin(s, "response.created");
    add_response(v, &b, "in_progress", (str){ 0 });
    e = realtime_send(s, &b);
    if (!e)
        e = item_event(s, v, "response.output_item.added", "in_progress", false);
    if (!e && v->transcript) {
        b = realtime_begin(s, "conversation.item.created");
        buf_add(&b, S(",\"item\":"));
        add_item(v, &b, "in_progress", false);
        e = realtime_send(s, &b);
    }
    return e ? e : part_event(s, v, "response.content_part.added", false);
}

SUSPENDS static enum err delta(struct realtime *s, struct realtime_voice *v, const char *type, str text, bool sound)
{
    struct buf b = realtime_begin(s, type);

    add_place(v, &b, true);
    if (sound) {
        buf_add(&b, S(",\"delta\":\""));
        base64_add(&b, text);
        buf_add_char(&b, '"');
    } else {
        realtime_add_str(&b, "delta", text);
    }
    return realtime_send(s, &b);
}

SUSPENDS static enum err send_sound(struct realtime *s, struct realtime_voice *v, str sound)
{
    enum err e = OK;

    while (!e && sound.len) {
        str piece = str_first(sound, DELTA);

        e = delta(s, v, "response.audio.delta", piece, true);
        sound = str_from(sound, piece.len);
    }
    return e;
}

enum err realtime_voice_say(struct realtime *s, struct realtime_voice *v, str sentence)
{
    struct spoken spoken = { 0 };
    enum err      e =
        v->transcript ? OK : admit_text(s->part, admit_rules(s->part), sentence); /* an answer has been looked at */

    might_suspend();
    if (v->text.len)
        buf_add_char(&v->text, ' ');
    buf_add(&v->text, sentence);
    if (!e && v->transcript)
        e = delta(s, v, v->spoken ? "response.audio_transcript.delta" : "response.text.delta",
                  v->text.len > sentence.len ? arena_printf(&s->scratch, " %.*s", STR_ARG(sentence)) : sentence, false);
    if (e || !v->spoken || !speech_text_audible(sentence, false))
        return e;
    if (!v->speaker)
        e = speaker_open(s->rq->services->speech, &v->options, &v->arena, &v->speaker);
    if (!e)
        e = speaker_say(v->speaker, str_first(sentence, SPEAKER_TEXT_MAX), &s->scratch, &spoken);
    v->sound_ms = spoken.end_ms;
    return e ? e : send_sound(s, v, spoken.sound);
}

enum err realtime_voice_end(struct realtime *s, struct realtime_voice *v, const char *status, str usage)
{
    struct spoken spoken = { 0 };
    struct buf    b;
    enum err      e = v->speaker ? speaker_end(v->speaker, &s->scratch, &spoken) : OK;

    might_suspend();
    if (!e)
        e = send_sound(s, v, spoken.sound);
    if (!e && v->transcript) {
        b = realtime_begin(s, v->spoken ? "response.audio_transcript.done" : "response.text.done");
        add_place(v, &b, true);
        realtime_add_str(&b, v->spoken ? "transcript" : "text", buf_str(&v->text));
        e = realtime_send(s, &b);
    }
    if (!e && v->spoken) {
        b = realtime_begin(s, "response.audio.done");
        add_place(v, &b, true);
        e = realtime_send(s, &b);
    }
    if (!e)
        e = part_event(s, v, "response.content_part.done", true);
    if (!e)
        e = item_event(s, v, "response.output_item.done", status, true);
    if (!e)
        e = realtime_part_last(s);
    if (!e) {
        b = realtime_begin(s, "response.done");
        add_response(v, &b, status, usage);
        e = realtime_send(s, &b);
    }
    realtime_voice_close(v);
    return e ? e : realtime_part_end(s);
}

void realtime_voice_close(struct realtime_voice *v)
{
    if (!v->open)
        return;
    if (v->speaker)
        speaker_close(v->speaker);
    v->speaker = NULL;
    v->open = false;
    arena_free(&v->arena);
}
