/* synthesis.c - defaults of each family, and the voice that a name means. Spec: speech.md §1.7.1, §1.8, §4.2, §5. */
#include "service/synthesis.h"

#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/params.h"
#include "contract/synthesis_params.gen.h"
#include "contract/voice.h"
#include "service/voices.h"

static bool is_family(const struct model *m, str family)
{
    return str_eq(m->family, family);
}

/* REF: E087, E086, W446. */
SUSPENDS static enum err find_voice(struct request *rq, const struct model *m, str name, struct voice_sound *ret)
{
    enum err e;

    if (!is_family(m, S("sambert")) && !name.len)
        return fail_tts_voice_missing(&rq->fault);
    e = voices_find(rq, m->id, name, ret);
    if (e == ERR_NOT_FOUND)
        return is_family(m, S("cosyvoice")) ? fail_tts_voice_mismatch(&rq->fault) : fail_tts_speak_failed(&rq->fault);
    return e;
}

static enum sound_format format_of(int format, enum sound_format otherwise)
{
    static const enum sound_format formats[] = { [SYNTHESIS_PCM] = SOUND_PCM,
                                                 [SYNTHESIS_WAV] = SOUND_WAV,
                                                 [SYNTHESIS_MP3] = SOUND_MP3,
                                                 [SYNTHESIS_OPUS] = SOUND_OPUS };

    return format == SYNTHESIS_FORMAT_UNSET || format == SYNTHESIS_FORMAT_DEFAULT ? otherwise : formats[format];
}

/* Kilobits a second, as sent; what is out of range is as if it had not been (speech.md §1.7.1). */
static int bit_rate(const struct synthesis_input *in)
{
    return in->bit_rate.set && in->bit_rate.v >= 6 && in->bit_rate.v <= 510 ? (int)in->bit_rate.v * 1000 : 0;
}

/* The first of the hints. */
static str language(const struct synthesis_input *in)
{
    return json_str(yyjson_arr_get_first(in->language_hints));
}

enum err synthesis_plan_make(struct request *rq, const struct model *m, const struct synthesis_input *in,
                             struct synthesis_plan *ret)
{
    bool                    sambert = is_family(m, S("sambert"));
    struct speaker_options *o = &ret->speaker;
    enum err                e;

    *ret = (struct synthesis_plan){ .count = sambert ? SPEECH_COUNT_EACH_1 : SPEECH_COUNT_HAN_2 };
    e = find_voice(rq, m, in->voice, &o->voice);
    if (e)
        return e;
    if (speech_text_count(in->instruction, SPEECH_COUNT_HAN_2, false) > SYNTHESIS_INSTRUCTION_MAX)
        return fail_tts_instruction_refused(&rq->fault); /* REF: X070 */
    o->format = format_of(in->format, sambert ? SOUND_WAV : SOUND_MP3);
    o->sample_rate = in->sample_rate.set ? (int)in->sample_rate.v
                     : sambert           ? voice_next(m->id, NULL)->rate
                                         : SYNTHESIS_SAMPLE_RATE;
    o->bit_rate = bit_rate(in);
    o->volume = in->volume.set ? (int)in->volume.v : 50;
    o->rate = in->rate.set ? in->rate.v : 1;
    o->pitch = in->pitch.set ? in->pitch.v : 1;
    o->words = in->word_timestamp_enabled.v;
    o->phonemes = o->words && in->phoneme_timestamp_enabled.v;
    o->language = language(in);
    ret->marked_up =
        sambert ? in->text_type == SYNTHESIS_SSML
                : words_have(SYNTHESIS_SSML_MODELS, m->id) && (in->enable_ssml.v || in->text_type == SYNTHESIS_SSML);
    ret->ssml = ret->marked_up;
    o->ssml = ret->ssml;
    return OK;
}
