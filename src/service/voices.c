/* voices.c - measures and words that become a sound. */
#include "service/voices.h"

#include "base/num.h"
#include "base/utf8.h"
#include "contract/customization_params.gen.h"
#include "contract/errors.gen.h"
#include "contract/voice.h"
#include "service/hearing.h"
#include "service/media.h"
#include "service/services.h"

const str voice_kinds[VOICE_FAMILIES] = { S("voice-cosyvoice"), S("voice-qwen-clone"), S("voice-qwen-design") };

/* Hertz: below it a voice is taken for a man's, above for a child's. */
enum { PITCH_FEMALE = 155, PITCH_CHILD = 280 };

/* ---- sounds ---- */

static double number(yyjson_val *body, const char *name)
{
    double v = 0;

    (void)json_to_num(json_get(body, name), &v);
    return v;
}

void voices_sound(yyjson_val *body, str id, struct voice_sound *ret)
{
    str gender = json_str(json_get(body, "gender"));

    *ret = (struct voice_sound){ .languages = json_str(json_get(body, "languages")),
                                 .gender = gender.len ? gender.ptr[0] : 'F',
                                 .timbre = voice_timbre(id),
                                 .pitch_hz = number(body, "pitch_hz"),
                                 .tempo = number(body, "tempo"),
                                 .brightness = number(body, "brightness") };
}

enum err voices_find(struct request *rq, str model, str name, struct voice_sound *ret)
{
    const struct voice *v = voice_find(model, name);
    struct asset_get    g = { .arena = rq->arena, .id = name, .workspace = rq->workspace };
    enum err            e = ERR_NOT_FOUND;

    might_suspend();
    if (v) {
        *ret = (struct voice_sound){ .languages = v->languages,
                                     .gender = voice_gender(v),
                                     .timbre = voice_timbre(v->name) };
        return OK;
    }
    for (size_t i = 0; i < VOICE_FAMILIES && e == ERR_NOT_FOUND; i++) {
        g.kind = voice_kinds[i];
        e = store_run(rq->services->store, asset_get_job, &g);
    }
    if (e)
        return e;
    if (!str_eq(g.row.target_model, model))
        return ERR_NOT_FOUND;
    voices_sound(json_parse_copy(rq->arena, g.row.body), name, ret);
    return OK;
}

/* ---- a description ---- */

static bool says(str prompt, str words)
{
    while (words.len) {
        str word = str_cut(&words, ' ');

        for (size_t at = 0, found; (found = str_find_str_nocase(str_from(prompt, at), word)) != STR_NONE;) {
            size_t begin = at + found, end = begin + word.len;
            bool   ascii = utf8_is_ascii(word); /* "man" is not in "woman" */

#define LETTER(c) (((c) | 0x20) >= 'a' && ((c) | 0x20) <= 'z')
            if (!ascii ||
                ((begin == 0 || !LETTER(prompt.ptr[begin - 1])) && (end >= prompt.len || !LETTER(prompt.ptr[end]))))
                return true;
#undef LETTER
            at = end;
        }
    }
    return false;
}

void voices_design(str prompt, struct buf *body)
{
    bool   child = says(prompt, CUSTOMIZATION_DESIGN_CHILD), old = says(prompt, CUSTOMIZATION_DESIGN_OLD);
    bool   male = says(prompt, CUSTOMIZATION_DESIGN_MALE), female = says(prompt, CUSTOMIZATION_DESIGN_FEMALE);
    double pitch, tempo = 1, brightness = 0;

    if (male == female) /* it does not say */
        male = voice_timbre(prompt) & 1;
    pitch = male ? 105 : 175;
    if (child)
        pitch *= 1.35;
    if (says(prompt, CUSTOMIZATION_DESIGN_DEEP))
        pitch *= 0.85;
    if (says(prompt, CUSTOMIZATION_DESIGN_HIGH))
        pitch *= 1.15;
    if (says(prompt, CUSTOMIZATION_DESIGN_BRIGHT))
        brightness += 0.5;
    if (says(prompt, CUSTOMIZATION_DESIGN_DARK))
        brightness -= 0.4;
    if (says(prompt, CUSTOMIZATION_DESIGN_SLOW) || old)
        tempo *= 0.85;
    if (says(prompt, CUSTOMIZATION_DESIGN_FAST))
        tempo *= 1.15;
    buf_addf(body, ",\"gender\":\"%c\",\"pitch_hz\":%.0f,\"tempo\":%.2f,\"brightness\":%.1f",
             child  ? 'C'
             : male ? 'M'
                    : 'F',
             pitch, tempo, brightness);
}

/* ---- a sample ---- */

/* REF: E164, E183, E250, E184, E185. */
static enum err check_sample(struct request *rq, enum voice_family family, const struct media_file *f)
{
    bool                      qwen = family != VOICE_COSYVOICE;
    const struct media_facts *is = &f->facts;
    bool taken = str_eq(is->format, S("mp3")) || str_eq(is->format, S("m4a")) || str_eq(is->format, S("mp4")) ||
                 (str_eq(is->format, S("wav")) && str_eq(is->audio_codec, S("pcm_s16le")));

    if (f->fetch) {
        (void)fail_voice_audio_download(&rq->fault);
        return fault_detail(&rq->fault, fetch_error_text(f->fetch));
    }
    if (f->inspected || is->kind == MEDIA_UNKNOWN)
        return fail_voice_audio_decode(&rq->fault);
    if (!taken || !is->audio_codec.len)
        return qwen ? fail_voice_audio_decode(&rq->fault) : fail_voice_audio_format(&rq->fault, is->format);
    if (is->sample_rate < (qwen ? CUSTOMIZATION_SAMPLE_RATE_QWEN : CUSTOMIZATION_SAMPLE_RATE_COSYVOICE))
        return fail_voice_sample_rate(&rq->fault);
    return is->duration_ms > CUSTOMIZATION_SAMPLE_MS_MAX ? fail_voice_audio_too_long(&rq->fault) : OK;
}

/* The words of a text, lower case: how many of them were heard in their order. */
static size_t words_heard(str text, str heard, size_t *ret_words)
{
    size_t n = 0;

    *ret_words = 0;
    while (text.len) {
        str    word = str_cut(&text, ' ');
        size_t found;

        while (word.len && !((word.ptr[word.len - 1] | 0x20) >= 'a' && (word.ptr[word.len - 1] | 0x20) <= 'z'))
            word.len--;
        if (!word.len)
            continue;
        ++*ret_words;
        found = str_find_str_nocase(heard, word);
        if (found == STR_NONE)
            continue;
        n++;
        heard = str_from(heard, found + word.len);
    }
    return n;
}

/* A text in English can be compared with what is heard. REF: E180. */
SUSPENDS static enum err check_text(struct request *rq, int fd, str text)
{
    struct hearing heard;
    size_t         words, found;
    enum err       e;

    if (!text.len || !utf8_is_ascii(text))
        return OK;
    e = hearing_listen(rq, fd, &heard);
    if (e)
        return e;
    found = words_heard(text, heard.text, &words);
    return words && found * 3 < words ? fail_voice_audio_preprocess(&rq->fault) : OK;
}

/* REF: E180, E181, E251, E183. */
SUSPENDS static enum err check_voice(struct request *rq, enum voice_family family, int fd, struct voice_measure *m)
{
    enum err e = speech_measure(rq->services->speech, fd, rq->arena, m);

    if (e == ERR_INVALID)
        return fail_voice_audio_decode(&rq->fault);
    if (e)
        return e;
    if (!m->speech_ms)
        return fail_voice_audio_preprocess(&rq->fault);
    if (m->speech_ms < (family == VOICE_COSYVOICE ? CUSTOMIZATION_SPEECH_MS_COSYVOICE : CUSTOMIZATION_SPEECH_MS_QWEN))
        return fail_voice_speech_too_short(&rq->fault);
    /* Sound that comes and goes like speech, and nobody's. */
    if (m->pitch_hz <= 0)
        return family == VOICE_COSYVOICE ? fail_voice_audio_unknown_error(&rq->fault)
                                         : fail_voice_audio_preprocess(&rq->fault);
    return OK;
}

static double within(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

enum err voices_measure(struct request *rq, enum voice_family family, str url, str text, struct buf *body)
{
    struct fetch_request want = { .url = url,
                                  .size_max = CUSTOMIZATION_SAMPLE_BYTES_MAX,
                                  .time_ms = rq->settings->tasks.fetch_ms };
    struct media_file    f;
    struct voice_measure m;
    enum err             e = media_get(rq, &want, &f);

    might_suspend();
    if (!e)
        e = check_sample(rq, family, &f);
    if (!e && !rq->services->speech)
        e = fail_speech_not_here(&rq->fault);
    if (!e)
        e = check_voice(rq, family, f.file.fd, &m);
    if (!e)
        e = check_text(rq, f.file.fd, text);
    if (e)
        return e;
    buf_addf(body, ",\"gender\":\"%c\",\"pitch_hz\":%.1f,\"tempo\":%.2f,\"brightness\":%.2f",
             m.pitch_hz < PITCH_FEMALE  ? 'M'
             : m.pitch_hz < PITCH_CHILD ? 'F'
                                        : 'C',
             m.pitch_hz, within(m.syllables_s / 5, 0.75, 1.35), within((m.brightness_hz - 1200) / 1500, -1, 1));
    return OK;
}
