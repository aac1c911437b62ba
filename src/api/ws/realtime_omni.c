/* realtime_omni.c - Qwen-Omni: who speaks is answered, in words and in a voice. LiveTranslate: in another language.
 *
 * An answer is asked of the model's engine when a turn has ended (or by response.create), and spoken sentence by sentence; speech that
 * begins meanwhile ends it (interrupt_response).
 *
 * Spec: speech.md §2.4, §2.5.
 */
#include "access/admission.h"
#include "api/ws/realtime_ear.h"
#include "api/ws/realtime_voice.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/params.h"
#include "engine/engine.h"
#include "service/guard.h"
#include "service/recognition.h"
#include "service/services.h"
#include "service/voices.h"
#include "tokens/count_memo.h"

#include <stdio.h>

enum { TURNS_MAX = 64, IMAGE_MAX = 700 * 1024 };

struct omni {
    struct realtime       s;
    struct realtime_ear   ear;
    struct realtime_voice voice;
    struct speech_text    text;   /* of the answer: what is still to be said */
    struct arena          memory; /* of the conversation */
    struct chat_message   turns[TURNS_MAX];
    size_t                turn_count;
    str                   instructions;        /* in memory */
    bool                  translates;          /* LiveTranslate */
    bool                  interrupts, answers; /* of turn_detection */
    bool                  wanted;              /* a response is to be made */
    bool                  images;              /* some have come: they are looked at by engines that can */
    char                  voice_name[64], target[16];
    int64_t               in_tokens;
};

static struct omni *self(const struct realtime *s)
{
    return CONTAINER_OF(s, struct omni, s);
}

/* ---- session ---- */

SUSPENDS static enum err omni_begin(struct realtime *s)
{
    struct omni *o = self(s);
    str          id = s->model->id;

    realtime_ear_begin(&o->ear);
    o->translates = str_find_str(id, S("livetranslate")) != STR_NONE;
    o->ear.delta = !o->translates;
    o->ear.threshold = o->translates ? 0.2 : 0.5;
    o->ear.silence_ms = o->translates ? 1000 : 800;
    o->interrupts = o->answers = true;
    arena_init(&o->memory, 0);
    o->voice.spoken = o->voice.transcript = true;
    o->voice.options =
        (struct speaker_options){ .format = SOUND_PCM, .sample_rate = 24000, .rate = 1, .pitch = 1, .volume = 50 };
    snprintf(o->voice_name, sizeof(o->voice_name), "%s",
             str_starts(id, S("qwen3.5")) ? "Tina"
             : str_starts(id, S("qwen3")) ? "Cherry"
                                          : "Chelsie");
    snprintf(o->target, sizeof(o->target), "en");
    return OK;
}

static void omni_add_session(struct realtime *s, struct buf *b)
{
    struct omni *o = self(s);

    buf_add(b, o->voice.spoken ? S(",\"modalities\":[\"text\",\"audio\"]") : S(",\"modalities\":[\"text\"]"));
    realtime_add_str(b, "voice", str_from_cstr(o->voice_name));
    realtime_ear_add_session(&o->ear, b);
    buf_add(
        b,
        S(",\"output_audio_format\":\"pcm\",\"input_audio_transcription\":{\"model\":\"qwen3-asr-flash-realtime\"}"));
    if (o->instructions.len)
        realtime_add_str(b, "instructions", o->instructions);
    if (o->translates) {
        buf_add(b, S(",\"translation\":{\"language\":"));
        json_add_str(b, str_from_cstr(o->target));
        buf_add_char(b, '}');
    } else {
        buf_add(b, S(",\"max_response_output_token\":\"inf\""));
    }
}

/* ['text'] or ['audio', 'text'], in any order. */
SUSPENDS static bool read_modalities(struct omni *o, yyjson_val *v, enum err *e)
{
    size_t      i, n;
    yyjson_val *m;
    bool        text = false, audio = false, other = false;
    struct buf  b;

    if (!v)
        return true;
    buf_init(&b, &o->s.scratch, SIZE_MAX / 2);
    yyjson_arr_foreach(v, i, n, m)
    {
        text = text || str_eq(json_str(m), S("text"));
        audio = audio || str_eq(json_str(m), S("audio"));
        other = other || !(str_eq(json_str(m), S("text")) || str_eq(json_str(m), S("audio")));
        buf_addf(&b, "%s'%.*s'", i ? ", " : "", STR_ARG(json_str(m)));
    }
    if (text && !other) {
        o->voice.spoken = audio;
        return true;
    }
    *e = realtime_error(
        &o->s, "invalid_value",
        arena_printf(&o->s.scratch,
                     "Invalid modalities: [%.*s]. Supported combinations are: ['text'] and ['audio', 'text'].",
                     STR_ARG(buf_str(&b))),
        "session.modalities");
    return false;
}

SUSPENDS static enum err on_update(struct realtime *s, yyjson_val *event)
{
    struct omni *o = self(s);
    yyjson_val  *session = json_get(event, "session"), *turn = json_get(session, "turn_detection"), *v;
    str          voice = json_str(json_get(session, "voice")),
        language = json_str(json_get(json_get(session, "translation"), "language"));
    enum err e = OK;

    if (!read_modalities(o, json_get(session, "modalities"), &e) || !realtime_ear_update(s, &o->ear, session, true, &e))
        return e;
    if (voice.len) /* whether the model has it is seen at the first response: wire-forms.md §6 */
        snprintf(o->voice_name, sizeof(o->voice_name), "%.*s", STR_ARG(str_first(voice, sizeof(o->voice_name) - 1)));
    if (language.len)
        snprintf(o->target, sizeof(o->target), "%.*s", STR_ARG(str_first(language, sizeof(o->target) - 1)));
    v = json_get(session, "instructions");
    if (yyjson_is_str(v))
        o->instructions = arena_str(&o->memory, json_str(v));
    v = json_get(turn, "interrupt_response");
    if (v)
        o->interrupts = yyjson_is_true(v);
    v = json_get(turn, "create_response");
    if (v)
        o->answers = yyjson_is_true(v);
    return realtime_session(s, "session.updated");
}

/* ---- the conversation ---- */

/* The oldest exchange is forgotten when there are too many. */
static void add_turn(struct omni *o, enum chat_role role, str text)
{
    if (o->turn_count == TURNS_MAX) {
        memmove(o->turns, o->turns + 2, (TURNS_MAX - 2) * sizeof(o->turns[0]));
        o->turn_count -= 2;
    }
    o->turns[o->turn_count++] = (struct chat_message){ .role = role, .content = arena_str(&o->memory, text) };
}

/* What the model says. */
SUSPENDS static enum err ask(struct omni *o, struct buf *answer)
{
    struct request       *part = o->s.part;
    struct engine        *engine = o->s.rq->services->engine_for(o->s.rq->services->engine_arg, o->s.model->id);
    struct chat_message  *all = arena_array(part->arena, struct chat_message, o->turn_count + 1);
    struct chat_input     in = { .model = o->s.model, .model_name = o->s.model->id, .messages = all };
    struct engine_stream *stream;
    struct chat_event     ev;
    enum err              e;

    if (o->instructions.len)
        all[in.message_count++] = (struct chat_message){ .role = CHAT_SYSTEM, .content = o->instructions };
    for (size_t i = 0; i < o->turn_count; i++)
        all[in.message_count++] = o->turns[i];
    for (size_t i = 0; i < in.message_count; i++)
        o->in_tokens += (int64_t)count_memo_get(o->s.rq->services->memo, o->s.rq->services->tokenizer, all[i].content);
    e = guard_looks_at(part, MODERATION_INPUT) ? guard_input(part, &in) : OK;
    if (e)
        return e;
    part->engine = engine->name;
    part->action = "waiting for the engine";
    e = engine->ops->open(engine, part, &in, &stream);
    while (!e && !(e = stream->ops->next(stream, &ev))) {
        if (ev.kind == CHAT_EV_TEXT && ev.choice == 0)
            buf_add(answer, ev.text);
    }
    part->action = "speaking";
    if (e != ERR_EOF)
        return e;
    return guard_looks_at(part, MODERATION_OUTPUT) ? guard_output(part, &in, buf_str(answer)) : OK;
}

/* An unknown voice fails now (wire-forms.md §6). */
SUSPENDS static enum err use_voice(struct omni *o)
{
    enum err e = voices_find(o->s.rq, o->s.model->id, str_from_cstr(o->voice_name), &o->voice.options.voice);
    str      why;

    o->voice.voice = str_from_cstr(o->voice_name);
    if (e != ERR_NOT_FOUND)
        return e;
    why = arena_printf(&o->s.scratch, "<400> InternalError.Algo.InvalidParameter: Voice '%s' is not supported.",
                       o->voice_name);
    e = realtime_error(&o->s, "COMMON_ERROR", why, NULL);
    ws_session_end(&o->s.ws, WS_CLOSE_INVALID, why);
    o->s.over = true;
    return e;
}

SUSPENDS static enum err begin_response(struct omni *o)
{
    struct recognition_plan plan = { .target = str_from_cstr(o->target) };
    struct moderation_set  *rules;
    struct buf              answer;
    str                     said = o->ear.sentence, text;
    enum err                e = use_voice(o);

    o->wanted = false;
    if (e || o->s.over)
        return e;
    e = realtime_voice_begin(&o->s, &o->voice);
    if (e)
        return e;
    rules = admit_rules(o->s.part);
    buf_init(&answer, o->s.part->arena, SIZE_MAX / 2);
    o->in_tokens = 0;
    e = admit_text(o->s.part, rules, o->instructions);
    if (!e)
        e = admit_text(o->s.part, rules, said); /* earlier turns were the last one in their time */
    if (e)
        return e;
    if (o->translates) {
        e = recognition_translate(o->s.part, &plan, said, &text);
        o->in_tokens = (int64_t)count_memo_get(o->s.rq->services->memo, o->s.rq->services->tokenizer, said);
        o->voice.options.language = str_from_cstr(o->target);
    } else {
        e = ask(o, &answer);
        text = buf_str(&answer);
    }
    if (!e)
        e = admit_answer(o->s.part, rules, text);
    if (e)
        return e;
    speech_text_init(&o->text, o->s.part->arena);
    speech_text_add(&o->text, text);
    return OK;
}

static str usage(struct omni *o)
{
    struct request *part = o->s.part;
    int64_t         text =
        (int64_t)count_memo_get(o->s.rq->services->memo, o->s.rq->services->tokenizer, buf_str(&o->voice.text));
    int64_t heard = (o->ear.audio_ms + 999) / 1000 * 25, sound = (o->voice.sound_ms + 999) / 1000 * 50;

    part->usage.prompt_tokens = o->in_tokens + heard;
    part->usage.completion_tokens = text + sound;
    part->usage.audio_tokens = heard;
    part->usage.audio_out_tokens = sound;
    return arena_printf(
        &o->s.scratch,
        "{\"total_tokens\":%lld,\"input_tokens\":%lld,\"output_tokens\":%lld,\"input_tokens_details\":{\"text_tokens\":%lld,"
        "\"audio_tokens\":%lld},\"output_tokens_details\":{\"text_tokens\":%lld,\"audio_tokens\":%lld}}",
        (long long)(o->in_tokens + heard + text + sound), (long long)(o->in_tokens + heard), (long long)(text + sound),
        (long long)o->in_tokens, (long long)heard, (long long)text, (long long)sound);
}

SUSPENDS static enum err end_response(struct omni *o, const char *status)
{
    if (o->voice.text.len && !o->translates)
        add_turn(o, CHAT_ASSISTANT, buf_str(&o->voice.text));
    return realtime_voice_end(&o->s, &o->voice, status, usage(o));
}

/* What was heard: a turn has ended, or somebody speaks while we do. */
SUSPENDS static enum err heard(struct omni *o, enum err e)
{
    if (e || o->s.over)
        return e;
    if (o->ear.started && o->voice.open && o->interrupts)
        e = end_response(o, "incomplete");
    o->ear.started = false;
    if (!o->ear.ended)
        return e;
    o->ear.ended = false;
    if (!o->translates)
        add_turn(o, CHAT_USER, o->ear.sentence);
    if (o->translates || (!o->ear.manual && o->answers))
        o->wanted = true;
    return e;
}

/* ---- events ---- */

SUSPENDS static enum err on_append(struct realtime *s, yyjson_val *event)
{
    return heard(self(s), realtime_ear_append(s, &self(s)->ear, event));
}

SUSPENDS static enum err on_commit(struct realtime *s, yyjson_val *event)
{
    (void)event;
    return heard(self(s), realtime_ear_commit(s, &self(s)->ear));
}

SUSPENDS static enum err on_clear(struct realtime *s, yyjson_val *event)
{
    (void)event;
    return realtime_ear_clear(s, &self(s)->ear);
}

SUSPENDS static enum err on_image(struct realtime *s, yyjson_val *event)
{
    struct omni *o = self(s);
    str          image = json_str(json_get(event, "image"));

    if (!o->ear.audio_ms)
        return realtime_error(s, "invalid_value", S("Error appending image: append audio before the first image."),
                              "image");
    if (!image.len || image.len > IMAGE_MAX)
        return realtime_error(s, "invalid_value", S("Invalid value: the image is empty or too large."), "image");
    o->images = true;
    return OK;
}

SUSPENDS static enum err on_create(struct realtime *s, yyjson_val *event)
{
    struct omni *o = self(s);
    yyjson_val  *instructions = json_get(json_get(event, "response"), "instructions");

    if (o->voice.open || o->wanted) /* wire-forms.md §6 */
        return realtime_error(s, "InternalError", S("Internal service error: null"), NULL);
    if (yyjson_is_str(instructions))
        o->instructions = arena_str(&o->memory, json_str(instructions));
    o->wanted = true;
    return OK;
}

SUSPENDS static enum err on_cancel(struct realtime *s, yyjson_val *event)
{
    struct omni *o = self(s);

    (void)event;
    if (!o->voice.open)
        return realtime_error(s, "invalid_value", S("No active response to cancel."), NULL);
    return end_response(o, "incomplete");
}

/* The result of a tool: it becomes a turn. */
SUSPENDS static enum err on_item(struct realtime *s, yyjson_val *event)
{
    struct omni *o = self(s);
    yyjson_val  *item = json_get(event, "item");

    if (!str_eq(json_str(json_get(item, "type")), S("function_call_output")))
        return realtime_invalid(s, json_str(json_get(item, "type")), "'function_call_output'", "item.type");
    add_turn(o, CHAT_USER, json_str(json_get(item, "output")));
    return OK;
}

SUSPENDS static enum err on_finish(struct realtime *s, yyjson_val *event)
{
    struct omni *o = self(s);
    enum err     e = OK;

    (void)event;
    if (!o->ear.manual)
        e = heard(o, realtime_ear_end(s, &o->ear));
    o->wanted = o->wanted && o->translates;
    while (!e && !s->over && (o->wanted || o->voice.open))
        e = s->kind->step(s);
    return e || s->over ? e : realtime_say(s, "session.finished");
}

static bool omni_busy(const struct realtime *s)
{
    const struct omni *o = self(s);

    return o->wanted || o->voice.open;
}

SUSPENDS static enum err omni_step(struct realtime *s)
{
    struct omni *o = self(s);
    str          sentence;

    if (!o->voice.open)
        return begin_response(o);
    if (speech_text_flush(&o->text, &sentence))
        return realtime_voice_say(s, &o->voice, sentence);
    return end_response(o, "completed");
}

static void omni_close(struct realtime *s)
{
    struct omni *o = self(s);

    realtime_voice_close(&o->voice);
    realtime_ear_close(&o->ear);
    arena_free(&o->ear.kept);
    arena_free(&o->memory);
}

static const struct realtime_event events[] = {
    { S("session.update"), on_update },
    { S("input_audio_buffer.append"), on_append },
    { S("input_audio_buffer.commit"), on_commit },
    { S("input_audio_buffer.clear"), on_clear },
    { S("input_image_buffer.append"), on_image },
    { S("response.create"), on_create },
    { S("response.cancel"), on_cancel },
    { S("conversation.item.create"), on_item },
    { S("session.finish"), on_finish },
    { .run = NULL },
};

const struct realtime_kind realtime_omni = {
    .size = sizeof(struct omni),
    .begin = omni_begin,
    .add_session = omni_add_session,
    .events = events,
    .busy = omni_busy,
    .step = omni_step,
    .close = omni_close,
};
