/* synthesis_task.c - text comes, sound goes: CosyVoice and Qwen-Audio-TTS (duplex), Sambert (all at once).
 *
 * Each step speaks one sentence: sentence-begin, then each piece of sound behind its sentence-synthesis, sentence-end.
 *
 * Spec: speech.md §1.6, §1.7, §1.8.
 */
#include "access/admission.h"
#include "api/ws/task.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/params.h"
#include "contract/speech_text.h"
#include "contract/synthesis_params.gen.h"
#include "engine/speech/speech.h"
#include "service/services.h"
#include "service/synthesis.h"

struct synthesis_task {
    struct task            task;
    struct synthesis_input in;
    struct synthesis_plan  plan;
    struct speaker        *speaker; /* NULL: nothing has been said yet */
    struct speech_text     text;
    int64_t                characters; /* that came */
    unsigned               texts;      /* instructions that had some */
    int64_t                index;      /* of the next sentence */
    str                    last_words; /* of the sentence before, as JSON */
    bool                   flush;      /* what is there is said, sentence or not */
    bool                   audible;
};

static struct synthesis_task *self(struct task *t)
{
    return CONTAINER_OF(t, struct synthesis_task, task);
}

static bool is_sambert(const struct task *t)
{
    return str_eq(t->model->family, S("sambert"));
}

/* ---- text ---- */

/* REF: E094, E093, E272. */
static enum err take_text(struct synthesis_task *s, str text)
{
    struct request *rq = s->task.rq;
    int64_t         n = speech_text_count(text, s->plan.count, s->plan.ssml);

    if (speech_text_is_marked_up(text) && !s->plan.marked_up)
        return fail_tts_ssml_unsupported(&rq->fault);
    if (s->in.enable_ssml.v && ++s->texts > 1)
        return fail_tts_ssml_one_text(&rq->fault);
    s->characters += n;
    if (n > (is_sambert(&s->task) ? SYNTHESIS_SAMBERT_TEXT_MAX : SYNTHESIS_TEXT_MAX) ||
        s->characters > SYNTHESIS_TASK_TEXT_MAX)
        return fail_task_parameter_invalid(&rq->fault, S("text"));
    speech_text_add(&s->text, text);
    s->audible = s->audible || speech_text_audible(text, s->plan.ssml);
    return OK;
}

/* Markup is one document, whatever sentences it has. */
static bool next_text(struct synthesis_task *s, str *ret)
{
    bool whole = s->task.finishing || s->flush;

    if (s->plan.ssml && !whole)
        return false;
    if (s->plan.ssml && speech_text_is_marked_up(buf_str(&s->text.text))) {
        *ret = str_trim(str_from(buf_str(&s->text.text), s->text.at));
        s->text.at = s->text.text.len;
        return ret->len > 0;
    }
    return whole ? speech_text_flush(&s->text, ret) : speech_text_next(&s->text, ret);
}

/* ---- events ---- */

static void add_words(struct buf *b, const struct spoken *spoken, bool phonemes)
{
    buf_add_char(b, '[');
    for (size_t i = 0; i < spoken->word_count; i++) {
        const struct spoken_word *w = &spoken->words[i];

        buf_add(b, i ? S(",{\"text\":") : S("{\"text\":"));
        json_add_str(b, w->text);
        if (!phonemes)
            buf_addf(b, ",\"begin_index\":%lld,\"end_index\":%lld", (long long)w->begin_index, (long long)w->end_index);
        buf_addf(b, ",\"begin_time\":%lld,\"end_time\":%lld", (long long)w->begin_ms, (long long)w->end_ms);
        for (size_t k = 0; phonemes && k < w->phoneme_count; k++) {
            const struct spoken_phoneme *p = &w->phonemes[k];

            buf_addf(b, "%s{\"begin_time\":%lld,\"end_time\":%lld,\"text\":", k ? "," : ",\"phonemes\":[",
                     (long long)p->begin_ms, (long long)p->end_ms);
            json_add_str(b, p->text);
            buf_addf(b, ",\"tone\":%d}", p->tone);
        }
        if (phonemes && w->phoneme_count)
            buf_add_char(b, ']');
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

static str words_of(struct synthesis_task *s, struct arena *a, const struct spoken *spoken)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    add_words(&b, spoken, is_sambert(&s->task));
    return buf_str(&b);
}

/* One of the three events of a CosyVoice sentence. */
SUSPENDS static enum err sentence_event(struct synthesis_task *s, str type, str words, str original, bool end)
{
    struct buf b;

    buf_init(&b, &s->task.scratch, SIZE_MAX / 2);
    buf_addf(&b, "{\"output\":{\"sentence\":{\"index\":%lld,\"words\":", (long long)s->index);
    buf_add(&b, words);
    buf_add(&b, S("},\"type\":\""));
    buf_add(&b, type);
    buf_add_char(&b, '"');
    if (original.len) {
        buf_add(&b, S(",\"original_text\":"));
        json_add_str(&b, original);
    }
    buf_add_char(&b, '}');
    if (end)
        buf_addf(&b, ",\"usage\":{\"characters\":%lld}", (long long)s->task.rq->usage.characters);
    buf_add_char(&b, '}');
    return task_result(&s->task, buf_str(&b));
}

/* In frames as large as the service's; CosyVoice announces each. */
SUSPENDS static enum err send_sound(struct synthesis_task *s, str sound)
{
    enum err e = OK;

    while (!e && sound.len) {
        str frame = str_first(sound, SYNTHESIS_FRAME_MAX);

        if (!is_sambert(&s->task))
            e = sentence_event(s, S("sentence-synthesis"), S("[]"), (str){ 0 }, false);
        if (!e)
            e = task_sound(&s->task, frame);
        sound = str_from(sound, frame.len);
    }
    return e;
}

/* Sambert: the sentence and its words, after its sound. */
SUSPENDS static enum err sambert_sentence(struct synthesis_task *s, const struct spoken *spoken)
{
    struct buf b;

    buf_init(&b, &s->task.scratch, SIZE_MAX / 2);
    buf_addf(&b,
             "{\"output\":{\"sentence\":{\"begin_time\":%lld,\"end_time\":%lld,\"words\":", (long long)spoken->begin_ms,
             (long long)spoken->end_ms);
    add_words(&b, spoken, true);
    buf_add(&b, S("}},\"usage\":null}"));
    return task_result(&s->task, buf_str(&b));
}

/* ---- a step ---- */

SUSPENDS static enum err open_speaker(struct synthesis_task *s)
{
    if (s->speaker)
        return OK;
    if (!s->task.rq->services->speech)
        return fail_speech_not_here(&s->task.rq->fault);
    s->task.rq->action = "speaking";
    s->task.rq->engine = S("speech");
    return speaker_open(s->task.rq->services->speech, &s->plan.speaker, &s->task.arena, &s->speaker);
}

SUSPENDS static enum err say_sentence(struct synthesis_task *s, str text)
{
    struct spoken spoken;
    str           words, none = S("[]");
    enum err      e;

    if (!is_sambert(&s->task)) {
        e = sentence_event(s, S("sentence-begin"), none, text, false);
        if (e)
            return e;
    }
    e = speaker_say(s->speaker, text, &s->task.scratch, &spoken);
    if (e == ERR_INVALID)
        return fail_tts_ssml_unsupported(&s->task.rq->fault); /* markup that nobody can read. REF: E094 */
    if (!e)
        e = send_sound(s, spoken.sound);
    if (e)
        return e;
    s->task.rq->usage.characters += speech_text_count(text, s->plan.count, s->plan.ssml);
    words = words_of(s, &s->task.scratch, &spoken);
    if (is_sambert(&s->task)) {
        e = s->plan.speaker.words ? sambert_sentence(s, &spoken) : OK;
    } else {
        words = s->plan.speaker.words ? words : none;
        e = sentence_event(s, S("sentence-end"), words, text, true);
        s->last_words = arena_str(&s->task.arena, words);
        s->index++;
    }
    return e ? e : ws_session_flush(s->task.ws);
}

SUSPENDS static enum err say_finished(struct synthesis_task *s)
{
    struct buf b;

    buf_init(&b, &s->task.scratch, SIZE_MAX / 2);
    if (is_sambert(&s->task)) {
        buf_add(&b, S("{\"output\":null"));
    } else {
        buf_add(&b, S("{\"output\":{\"sentence\":{"));
        if (s->plan.speaker.words)
            buf_addf(&b, "\"index\":%lld,", (long long)s->index);
        buf_add(&b, S("\"words\":"));
        buf_add(&b, s->last_words.len ? s->last_words : S("[]"));
        buf_add(&b, S("}}"));
    }
    buf_addf(&b, ",\"usage\":{\"characters\":%lld}}", (long long)s->task.rq->usage.characters);
    return task_finished(&s->task, buf_str(&b));
}

/* What the encoder still has, and that it is over. */
SUSPENDS static enum err end_speech(struct synthesis_task *s)
{
    struct spoken spoken;
    enum err      e = speaker_end(s->speaker, &s->task.scratch, &spoken);

    if (!e && s->index)
        s->index--; /* it is still the last sentence's */
    if (!e)
        e = send_sound(s, spoken.sound);
    return e ? e : say_finished(s);
}

/* ---- what a task does ---- */

static enum err synthesis_begin(struct task *t, const struct task_instruction *in)
{
    struct synthesis_task *s = self(t);
    enum err e = params_read(t->rq, &synthesis_params_native_parameters, in->parameters, t->model, &s->in);

    if (!e)
        e = synthesis_plan_make(t->rq, t->model, &s->in, &s->plan);
    speech_text_init(&s->text, &t->arena);
    if (e || !is_sambert(t))
        return e;
    t->finishing = true; /* all of it is here */
    e = take_text(s, json_str(json_get(in->input, "text")));
    return e || s->audible ? e : fail_tts_text_empty(&t->rq->fault);
}

/* REF: E272. */
static enum err synthesis_text(struct task *t, const struct task_instruction *in)
{
    struct synthesis_task *s = self(t);
    str                    text = json_str(json_get(in->input, "text"));
    bool                   flush = yyjson_is_true(json_get(in->input, "flush"));

    if (t->finishing)
        return fail_task_id_unknown(&t->rq->fault, t->id);
    if (!text.len && !flush)
        return fail_ws_task_input_missing(&t->rq->fault);
    s->flush = s->flush || flush;
    return text.len ? take_text(s, text) : OK;
}

/* Not for a voice. */
static enum err synthesis_sound(struct task *t, str bytes)
{
    (void)t, (void)bytes;
    return OK;
}

/* REF: E084. */
SUSPENDS static enum err synthesis_finish(struct task *t, const struct task_instruction *in)
{
    struct synthesis_task *s = self(t);

    if (str_eq(json_str(json_get(in->input, "directive")), S("cancel")))
        return say_finished(s);
    return s->audible ? OK : fail_tts_text_empty(&t->rq->fault);
}

static bool synthesis_busy(const struct task *t)
{
    const struct synthesis_task *s = (const struct synthesis_task *)t;
    struct speech_text           look = s->text;
    str                          sentence;

    return t->finishing || s->flush || (!s->plan.ssml && speech_text_next(&look, &sentence));
}

SUSPENDS static enum err synthesis_step(struct task *t)
{
    struct synthesis_task *s = self(t);
    str                    text;
    enum err               e;

    arena_reset(&t->scratch);
    if (!next_text(s, &text)) {
        s->flush = false;
        return t->finishing ? end_speech(s) : OK;
    }
    if (!speech_text_audible(text, s->plan.ssml))
        return OK;
    e = admit_text(t->rq, admit_rules(t->rq), text);
    if (!e)
        e = open_speaker(s);
    return e ? e : say_sentence(s, text);
}

static void synthesis_close(struct task *t)
{
    struct synthesis_task *s = self(t);

    if (s->speaker)
        speaker_close(s->speaker);
}

const struct task_ops synthesis_task_ops = {
    .size = sizeof(struct synthesis_task),
    .begin = synthesis_begin,
    .text = synthesis_text,
    .sound = synthesis_sound,
    .finish = synthesis_finish,
    .busy = synthesis_busy,
    .step = synthesis_step,
    .close = synthesis_close,
};
