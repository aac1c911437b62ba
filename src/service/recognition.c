/* recognition.c - what the models of recognition differ in. Spec: speech.md §1.9.1, §1.10, §4.2. */
#include "service/recognition.h"

#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/params.h"
#include "contract/recognition_params.gen.h"
#include "contract/translation.h"
#include "engine/engine.h"
#include "service/services.h"
#include "service/vocabularies.h"

static const enum sound_format formats[] = {
    [RECOGNITION_PCM] = SOUND_PCM,   [RECOGNITION_WAV] = SOUND_WAV,     [RECOGNITION_MP3] = SOUND_MP3,
    [RECOGNITION_OPUS] = SOUND_OPUS, [RECOGNITION_SPEEX] = SOUND_SPEEX, [RECOGNITION_AAC] = SOUND_AAC,
    [RECOGNITION_AMR] = SOUND_AMR,
};

/* An object of words and their weights (speech.md §1.9.1). */
static void inline_words(struct request *rq, yyjson_val *object, struct recogniser_options *o)
{
    struct boosted_word *words = arena_array(rq->arena, struct boosted_word, yyjson_obj_size(object));
    size_t               i, n;
    yyjson_val          *key, *v;

    yyjson_obj_foreach(object, i, n, key, v)
    {
        int64_t weight;

        if (json_to_i64(v, &weight))
            words[o->word_count++] = (struct boosted_word){ json_str(key), (int)weight };
    }
    o->words = words;
}

yyjson_val *recognition_filter(struct request *rq, yyjson_val *v)
{
    if (yyjson_is_str(v))
        v = json_parse_copy(rq->arena, json_str(v));
    return yyjson_is_obj(v) ? v : NULL;
}

enum err recognition_words(struct request *rq, const struct model *m, str vocabulary_id, yyjson_val *resources,
                           struct recogniser_options *o)
{
    (void)m; /* of whatever model: the words are words */
    size_t      i, n;
    yyjson_val *v;

    yyjson_arr_foreach(resources, i, n, v)
    {
        if (str_eq(json_str(json_get(v, "resource_type")), S("asr_phrase")))
            vocabulary_id = json_str(json_get(v, "resource_id"));
    }
    return vocabulary_words(rq, vocabulary_id, o);
}

/* REF: W440, E271: the narrow-band models and the first generation hear one rate alone. */
static enum err check_rate(struct request *rq, const struct model *m, const struct recognition_input *in)
{
    int64_t only = str_find_str(m->id, S("8k")) != STR_NONE     ? 8000
                   : str_eq(m->id, S("paraformer-realtime-v1")) ? 16000
                                                                : 0;

    if (!in->sample_rate.set)
        return fail_task_parameter_invalid(&rq->fault, S("sample_rate"));
    if (only && in->sample_rate.v != only)
        return fail_asr_no_valid_audio(&rq->fault);
    return OK;
}

enum err recognition_plan_make(struct request *rq, const struct model *m, const struct recognition_input *in,
                               yyjson_val *resources, struct recognition_plan *ret)
{
    struct recogniser_options *o = &ret->listener;
    enum err                   e;

    *ret = (struct recognition_plan){ .gummy = str_starts(m->id, S("gummy")), .transcribed = true };
    ret->one_sentence = str_starts(m->id, S("gummy-chat"));
    ret->needs_speech = str_starts(m->id, S("paraformer"));
    if (!in->format)
        return fail_asr_format_unsupported(&rq->fault);
    e = check_rate(rq, m, in);
    if (e)
        return e;
    o->format = formats[in->format];
    o->sample_rate = (int)in->sample_rate.v;
    o->partial = true;
    o->threshold = in->speech_noise_threshold.v;
    o->language = json_str(yyjson_arr_get_first(in->language_hints));
    o->silence_ms = in->max_sentence_silence.set ? (int)in->max_sentence_silence.v : RECOGNITION_SILENCE_DEFAULT;
    if (ret->gummy)
        o->silence_ms = in->max_end_silence.set ? (int)in->max_end_silence.v : RECOGNITION_SILENCE_DEFAULT_GUMMY;
    if (in->semantic_punctuation_enabled.v)
        o->silence_ms = RECOGNITION_SILENCE_SEMANTIC;
    e = recognition_words(rq, m, in->vocabulary_id, resources, o);
    if (e)
        return e;
    if (yyjson_is_obj(in->vocabulary))
        inline_words(rq, in->vocabulary, o);
    ret->filter = recognition_filter(rq, in->special_word_filter);
    if (in->transcription_enabled.set)
        ret->transcribed = in->transcription_enabled.v;
    if (in->translation_enabled.v)
        ret->target = json_str(yyjson_arr_get_first(in->translation_target_languages));
    return OK;
}

/* The translator's own request: it shares the client's connection and time, and nothing of its account. */
static struct request *translator_request(struct request *rq)
{
    struct request *own = request_part(rq, rq->arena);

    own->model_name = RECOGNITION_TRANSLATOR;
    own->stream = false;
    own->journal = NULL;
    return own;
}

enum err recognition_translate(struct request *rq, const struct recognition_plan *plan, str text, str *ret)
{
    struct request     *own = translator_request(rq);
    struct engine      *engine = rq->services->engine_for(rq->services->engine_arg, own->model_name);
    struct chat_message message = { .role = CHAT_USER, .content = text };
    struct chat_input   in = {
          .model = model_find(own->model_name), .model_name = own->model_name, .messages = &message, .message_count = 1
    };
    struct engine_stream *stream;
    struct chat_event     ev;
    struct buf            b, answer;
    enum err              e;

    might_suspend();
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"source_lang\":\"auto\",\"target_lang\":"));
    json_add_str(&b, plan->target);
    buf_add_char(&b, '}');
    in.translation = json_parse_copy(rq->arena, buf_str(&b));
    e = translation_read(own, &in);
    buf_init(&answer, rq->arena, SIZE_MAX / 2);
    rq->action = "waiting for the translator";
    if (!e)
        e = engine->ops->open(engine, own, &in, &stream);
    while (!e && !(e = stream->ops->next(stream, &ev))) {
        if (ev.kind == CHAT_EV_TEXT && ev.choice == 0)
            buf_add(&answer, ev.text);
    }
    rq->action = "listening";
    *ret = buf_str(&answer);
    if (e == ERR_FAULT)
        rq->fault = own->fault;
    return e == ERR_EOF ? OK : e;
}
