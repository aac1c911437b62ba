/* recognition_task.c - sound comes, sentences go: Paraformer, Fun-ASR and Qwen-Audio-ASR, and Gummy.
 *
 * Spec: speech.md §1.9, §1.10, §1.5, §4.2.
 */
#include "api/ws/task.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/params.h"
#include "contract/recognition_params.gen.h"
#include "service/recognition.h"
#include "service/services.h"
#include "service/transcript.h"

#define HEAR_MAX ((size_t)32 * 1024) /* bytes for one question: results come between two */

struct recognition_task {
    struct task               task;
    struct recognition_input  in;
    struct recognition_plan   plan;
    struct transcript_options written;
    struct recogniser        *recogniser; /* NULL: nothing has been heard yet */
    int64_t                   audio_ms, speech_ms;
    int64_t                   loud_ms;  /* of the sound: when speech was last heard */
    int64_t                   shown_ms; /* likewise, when a result last went out */
    int64_t                   sentence; /* the id of the one that is open or comes next */
    bool                      gummy;
};

static struct recognition_task *self(struct task *t)
{
    return CONTAINER_OF(t, struct recognition_task, task);
}

/* ---- results ---- */

static void add_words(struct buf *b, const struct transcript *t, bool fixed, bool gummy)
{
    buf_add(b, S(",\"words\":["));
    for (size_t i = 0; i < t->count; i++) {
        const struct transcript_word *w = &t->words[i];

        buf_addf(b, "%s{\"begin_time\":%lld,\"end_time\":%lld,\"text\":", i ? "," : "", (long long)w->begin_ms,
                 (long long)w->end_ms);
        json_add_str(b, w->text);
        buf_add(b, S(",\"punctuation\":"));
        json_add_str(b, w->punctuation);
        if (gummy)
            buf_addf(b, ",\"fixed\":%s", fixed ? "true" : "false");
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
}

/* The members of a sentence, without braces. Gummy's have an end while they are open, too (speech.md §1.10). */
static void add_sentence(struct recognition_task *s, struct buf *b, const struct heard *h, const struct transcript *t,
                         bool closed)
{
    buf_addf(b, "\"sentence_id\":%lld,\"begin_time\":%lld,\"end_time\":",
             (long long)(s->gummy ? s->sentence - 1 : s->sentence), (long long)h->begin_ms);
    if (closed || s->gummy)
        buf_add_i64(b, max_i64(h->end_ms, h->begin_ms));
    else
        buf_add(b, S("null"));
    buf_add(b, S(",\"text\":"));
    json_add_str(b, t->text);
    if (!s->gummy)
        buf_add(b, S(",\"heartbeat\":false"));
    buf_addf(b, ",\"sentence_end\":%s", closed ? "true" : "false");
    add_words(b, t, closed, s->gummy);
}

static void add_usage(struct recognition_task *s, struct buf *b, bool closed)
{
    if (closed)
        buf_addf(b, ",\"usage\":{\"duration\":%lld}}", (long long)((s->audio_ms + 999) / 1000));
    else
        buf_add(b, S(",\"usage\":null}"));
}

SUSPENDS static enum err show_gummy(struct recognition_task *s, struct buf *b, const struct heard *h, bool closed)
{
    struct transcript t;
    bool              translated = false;
    str               translation;
    enum err          e = OK;

    transcript_make(&s->task.scratch, h, &s->written, closed, &t);
    buf_add(b, S("{\"output\":{"));
    if (s->plan.transcribed) {
        buf_add(b, S("\"transcription\":{"));
        add_sentence(s, b, h, &t, closed);
        buf_add_char(b, '}');
    }
    if (closed && s->plan.target.len) {
        e = recognition_translate(s->task.rq, &s->plan, t.text, &translation);
        translated = !e;
    }
    if (translated) {
        struct transcript_word whole = { translation, { 0 }, h->begin_ms, h->end_ms };
        struct transcript      as = { translation, &whole, 1 };

        buf_add(b, s->plan.transcribed ? S(",\"translations\":[{\"lang\":") : S("\"translations\":[{\"lang\":"));
        json_add_str(b, s->plan.target);
        buf_add_char(b, ',');
        add_sentence(s, b, h, &as, closed);
        buf_add(b, S("}]"));
    }
    buf_add_char(b, '}');
    add_usage(s, b, closed);
    return e;
}

SUSPENDS static enum err show(struct recognition_task *s, const struct heard *h, bool closed)
{
    struct transcript t;
    struct buf        b;
    enum err          e = OK;

    buf_init(&b, &s->task.scratch, SIZE_MAX / 2);
    if (s->gummy) {
        e = show_gummy(s, &b, h, closed);
    } else {
        transcript_make(&s->task.scratch, h, &s->written, closed, &t);
        buf_add(&b, S("{\"output\":{\"sentence\":{"));
        add_sentence(s, &b, h, &t, closed);
        buf_add(&b, S("}}"));
        add_usage(s, &b, closed);
    }
    s->shown_ms = s->audio_ms;
    return e ? e : task_result(&s->task, buf_str(&b));
}

/* speech.md §1.9.3. */
SUSPENDS static enum err show_heartbeat(struct recognition_task *s)
{
    s->shown_ms = s->audio_ms;
    return task_result(
        &s->task, S("{\"output\":{\"sentence\":{\"sentence_id\":0,\"begin_time\":0,\"end_time\":null,\"text\":\"\","
                    "\"heartbeat\":true,\"sentence_end\":false,\"words\":[]}},\"usage\":null}"));
}

/* ---- hearing ---- */

/* REF: E253. Paraformer tells that nothing was said; the others end with nothing. */
SUSPENDS static enum err end_task(struct recognition_task *s)
{
    s->task.rq->usage.play_ms = s->audio_ms;
    if (!s->speech_ms && s->plan.needs_speech)
        return fail_asr_no_input_audio(&s->task.rq->fault);
    return task_finished(&s->task, S("{\"output\":{},\"usage\":null}"));
}

/* Gummy's short model hears one sentence (speech.md §1.10). */
SUSPENDS static enum err take_events(struct recognition_task *s, const struct heard_piece *p)
{
    enum err e = OK;

    if (p->speech_ms > s->speech_ms)
        s->loud_ms = p->audio_ms;
    s->audio_ms = p->audio_ms;
    s->speech_ms = p->speech_ms;
    for (size_t i = 0; !e && i < p->count && !s->task.over; i++) {
        const struct heard *h = &p->events[i];

        if ((h->kind != HEARD_PARTIAL && h->kind != HEARD_SENTENCE) || !h->word_count)
            continue;
        e = show(s, h, h->kind == HEARD_SENTENCE);
        if (!e && h->kind == HEARD_SENTENCE) {
            s->sentence++;
            if (s->plan.one_sentence)
                e = end_task(s);
        }
    }
    return e;
}

/* What is wrong with the sound as a whole. REF: E271, W444, E230b, E268. */
SUSPENDS static enum err check_sound(struct recognition_task *s, const struct heard_piece *p)
{
    struct fault *f = &s->task.rq->fault;

    if (p->undecodable)
        return s->plan.needs_speech ? fail_asr_no_valid_audio(f) : fail_asr_audio_undecodable(f);
    if (s->plan.one_sentence && s->audio_ms > RECOGNITION_CHAT_MAX_MS)
        return fail_asr_audio_too_long(f);
    if (s->in.heartbeat.v)
        return s->audio_ms - max_i64(s->shown_ms, s->loud_ms) >= RECOGNITION_HEARTBEAT_MS ? show_heartbeat(s) : OK;
    return s->audio_ms - s->loud_ms >= RECOGNITION_SILENT_MAX_MS ? fail_stream_response_timeout(f) : OK;
}

SUSPENDS static enum err took(struct recognition_task *s, enum err e, const struct heard_piece *p)
{
    if (!e)
        e = take_events(s, p);
    if (!e && !s->task.over)
        e = check_sound(s, p);
    return e ? e : ws_session_flush(s->task.ws);
}

SUSPENDS static enum err open_recogniser(struct recognition_task *s)
{
    struct request *rq = s->task.rq;

    if (s->recogniser)
        return OK;
    if (!rq->services->speech)
        return fail_speech_not_here(&rq->fault); /* REF: D021 */
    rq->action = "listening";
    rq->engine = S("speech");
    return recogniser_open(rq->services->speech, &s->plan.listener, &s->task.arena, &s->recogniser);
}

/* ---- what a task does ---- */

static enum err recognition_begin(struct task *t, const struct task_instruction *in)
{
    struct recognition_task *s = self(t);
    enum err e = params_read(t->rq, &recognition_params_native_parameters, in->parameters, t->model, &s->in);

    if (!e)
        e = recognition_plan_make(t->rq, t->model, &s->in, json_get(in->payload, "resources"), &s->plan);
    s->gummy = s->plan.gummy;
    s->sentence = 1;
    s->written = (struct transcript_options){ .punctuation = s->in.punctuation_prediction_enabled.set
                                                                 ? s->in.punctuation_prediction_enabled.v
                                                                 : true,
                                              .no_fillers = s->in.disfluency_removal_enabled.v,
                                              .filter = s->plan.filter };
    return e;
}

/* A context may come at any time (speech.md §1.9.1); this recogniser has no use for it. */
static enum err recognition_text(struct task *t, const struct task_instruction *in)
{
    return in->input ? OK : fail_ws_task_input_missing(&t->rq->fault);
}

SUSPENDS static enum err recognition_sound(struct task *t, str bytes)
{
    struct recognition_task *s = self(t);
    enum err                 e = t->finishing ? OK : open_recogniser(s);

    while (!e && bytes.len && !t->finishing && !t->over) {
        str                piece = str_first(bytes, HEAR_MAX);
        struct heard_piece heard;

        arena_reset(&t->scratch);
        e = recogniser_hear(s->recogniser, piece, &t->scratch, &heard);
        e = took(s, e, &heard);
        bytes = str_from(bytes, piece.len);
    }
    return e;
}

/* Gummy closes on what is none of its instructions (speech.md §4.2). */
SUSPENDS static enum err recognition_finish(struct task *t, const struct task_instruction *in)
{
    struct recognition_task *s = self(t);
    struct heard_piece       heard;
    enum err                 e;

    if (s->gummy && yyjson_obj_size(in->input) > (json_get(in->input, "directive") ? 1 : 0))
        return task_close_invalid(t);
    if (!s->recogniser)
        return end_task(s);
    arena_reset(&t->scratch);
    e = recogniser_end(s->recogniser, &t->scratch, &heard);
    e = took(s, e, &heard);
    return e || t->over ? e : end_task(s);
}

static bool recognition_busy(const struct task *t)
{
    (void)t;
    return false;
}

static enum err recognition_step(struct task *t)
{
    (void)t;
    return OK;
}

static void recognition_close(struct task *t)
{
    struct recognition_task *s = self(t);

    if (s->recogniser)
        recogniser_close(s->recogniser);
}

const struct task_ops recognition_task_ops = {
    .size = sizeof(struct recognition_task),
    .begin = recognition_begin,
    .text = recognition_text,
    .sound = recognition_sound,
    .finish = recognition_finish,
    .busy = recognition_busy,
    .step = recognition_step,
    .close = recognition_close,
};
