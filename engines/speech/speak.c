/* speak.c - flite and espeak-ng, one voice from both. Spec: speech.md §1.7.1, §1.8, §5. */
#include "speak.h"

#include "base/num.h"
#include "base/utf8.h"
#include "contract/json.h"
#include "sound_in.h"
#include "sound_out.h"
#include "speak_text.h"

#include <espeak-ng/speak_lib.h>
#include <flite/flite.h>
#include <libavutil/channel_layout.h>
#include <libswresample/swresample.h>
#include <math.h>
#include <stdlib.h>

cst_voice *register_cmu_us_rms(const char *dir);
cst_voice *register_cmu_us_awb(const char *dir);
cst_voice *register_cmu_us_slt(const char *dir);
cst_voice *register_cmu_us_kal16(const char *dir);

#undef srand /* not for our own chance: see say_flite() */

enum { ESPEAK_WORDS_A_MINUTE = 175, PHONEMES_MAX = 64 };

/* flite's voices, and how high they speak. */
static struct {
    cst_voice *voice;
    double     pitch_hz;
} flites[4] = { { NULL, 99 }, { NULL, 127 }, { NULL, 168 }, { NULL, 87 } };
enum { RMS, AWB, SLT, KAL };

static int espeak_rate;

bool speak_begin(void)
{
    espeak_rate = espeak_Initialize(AUDIO_OUTPUT_SYNCHRONOUS, 0, NULL,
                                    espeakINITIALIZE_PHONEME_EVENTS | espeakINITIALIZE_DONT_EXIT);
    flite_init();
    flites[RMS].voice = register_cmu_us_rms(NULL);
    flites[AWB].voice = register_cmu_us_awb(NULL);
    flites[SLT].voice = register_cmu_us_slt(NULL);
    flites[KAL].voice = register_cmu_us_kal16(NULL);
    return espeak_rate > 0;
}

const char *speak_data(void)
{
    const char *path;

    (void)espeak_Info(&path);
    return path;
}

/* ---- a voice ---- */

/* What distinguishes voices, from what is known of one and from its timbre. */
struct rendition {
    int    flite;
    double size;  /* of the throat: 1.1 is a tenth shorter, all formants higher */
    double pitch; /* of espeak-ng, times its ordinary; flite's goes with the size */
    double tempo;
    double brightness; /* −1 … 1 */
    char   variant[8]; /* espeak-ng's: "+f2" */
};

struct speak {
    struct speaker_options o;
    struct rendition       r;
    struct arena           arena;
    struct sound_out      *out;
    int64_t                samples; /* that were made, at o.sample_rate */
    double                 before;  /* the filter's: the sample before */
};

/* The i-th 4 bits of the timbre, −1 … 1. */
static double trait(uint32_t timbre, int i)
{
    return ((timbre >> 4 * i & 15) - 7.5) / 7.5;
}

static struct rendition rendition_of(const struct voice_sound *v)
{
    bool             male = v->gender == 'M', child = v->gender == 'C';
    struct rendition r = { .flite = child || v->gender == 'F' ? SLT
                                    : v->gender == 'N'        ? KAL
                                    : v->timbre & 1           ? AWB
                                                              : RMS };
    double           tempo = v->tempo > 0 ? v->tempo : 1;

    r.size = (child ? 1.2 : 1) * (1 + 0.05 * trait(v->timbre, 1));
    r.pitch = (child ? 1.25 : 1) * (1 + 0.12 * trait(v->timbre, 2));
    r.tempo = tempo * (1 + 0.06 * trait(v->timbre, 3));
    r.brightness = fmax(-1, fmin(1, v->brightness + 0.3 * trait(v->timbre, 4)));
    if (v->pitch_hz > 0) { /* it is somebody's */
        double k = fmax(0.7, fmin(1.6, v->pitch_hz / flites[r.flite].pitch_hz));

        r.size = k;
        r.pitch = k;
        r.tempo = tempo;
        r.brightness = fmax(-1, fmin(1, v->brightness));
    }
    snprintf(r.variant, sizeof(r.variant), "+%c%u", male || v->gender == 'N' ? 'm' : 'f',
             1 + (v->timbre >> 20) % (male || v->gender == 'N' ? 7 : 5));
    return r;
}

struct speak *speak_open(const struct speaker_options *o)
{
    struct sound_out *out = sound_out_open(o->format, o->sample_rate, o->bit_rate);
    struct speak     *s;

    if (!out)
        return NULL;
    s = calloc(1, sizeof(*s));
    if (!s)
        abort();
    s->o = *o;
    s->out = out;
    arena_init(&s->arena, 0);
    s->o.voice.languages = arena_str(&s->arena, o->voice.languages);
    s->o.language = arena_str(&s->arena, o->language);
    s->r = rendition_of(&o->voice);
    return s;
}

/* ---- what an engine makes of a run ---- */

struct made_phoneme {
    char    text[16];
    int     tone;
    int64_t begin, end; /* samples */
};

struct made_word {
    size_t              index, length; /* characters of the run */
    int64_t             begin, end;    /* samples */
    struct made_phoneme phonemes[PHONEMES_MAX];
    size_t              phoneme_count;
};

struct made {
    struct arena     *a;
    struct samples    pcm;
    int               rate;
    struct made_word *words;
    size_t            count, cap;
    bool              phonemes;
};

static struct made_word *add_word(struct made *m, size_t index, size_t length, int64_t begin)
{
    struct made_word *w;

    if (m->count == m->cap) {
        size_t cap = m->cap ? 2 * m->cap : 16;

        m->words = arena_realloc(m->a, m->words, m->cap * sizeof(*w), cap * sizeof(*w));
        m->cap = cap;
    }
    w = &m->words[m->count++];
    w->index = index;
    w->length = length;
    w->begin = w->end = begin;
    w->phoneme_count = 0;
    return w;
}

static void add_phoneme(struct made_word *w, const char *text, int tone, int64_t begin, int64_t end)
{
    struct made_phoneme *p;

    if (w->phoneme_count == PHONEMES_MAX)
        return;
    p = &w->phonemes[w->phoneme_count++];
    *p = (struct made_phoneme){ .tone = tone, .begin = begin, .end = end };
    snprintf(p->text, sizeof(p->text), "%s", text);
}

/* ---- flite ---- */

static int64_t flite_samples(const struct made *m, double seconds)
{
    return (int64_t)(seconds * m->rate);
}

static double end_of_segment(const cst_item *segment)
{
    return segment ? item_feat_float(segment, "end") : 0;
}

/* The segments of a word of the relation "Word", by way of its syllables. */
static void flite_segments(struct made *m, struct made_word *w, const cst_item *word)
{
    for (const cst_item *syllable = item_daughter(item_as(word, "SylStructure")); syllable;
         syllable = item_next(syllable)) {
        int stress = item_feat_present(syllable, "stress") ? item_feat_int(syllable, "stress") : 0;

        for (const cst_item *segment = item_daughter(syllable); segment; segment = item_next(segment)) {
            const cst_item *in_order = item_as(segment, "Segment");
            double          begin = end_of_segment(item_prev(in_order)), end = end_of_segment(in_order);

            if (w->begin == w->end)
                w->begin = flite_samples(m, begin);
            w->end = flite_samples(m, end);
            if (m->phonemes)
                add_phoneme(w, item_feat_string(segment, "name"), stress, flite_samples(m, begin),
                            flite_samples(m, end));
        }
    }
}

/* Tokens stand in the text in their order: "3.14" is one, whatever words it is read as. */
static void flite_words(struct made *m, cst_utterance *u, str text)
{
    size_t at = 0;

    for (const cst_item *token = relation_head(utt_relation(u, "Token")); token; token = item_next(token)) {
        str               name = str_from_cstr(item_feat_string(token, "name"));
        size_t            found = str_find_str(str_from(text, at), name);
        struct made_word *w;

        if (found == STR_NONE)
            continue;
        w = add_word(m, utf8_count(str_first(text, at + found)), utf8_count(name), 0);
        at += found + name.len;
        for (const cst_item *word = item_daughter(token); word; word = item_next(word))
            flite_segments(m, w, word);
        if (w->begin == w->end)
            m->count--;
    }
}

/* The same characters, with the punctuation marks that flite knows; NUL-terminated. */
static str plain_marks(struct arena *a, str text)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (const char *p = text.ptr, *end = str_end(text); p < end;) {
        uint32_t c;
        size_t   n = utf8_decode(p, end, &c);

        if (c == 0xff0c || c == 0x3001)
            buf_add_char(&b, ',');
        else if (c == 0x3002)
            buf_add_char(&b, '.');
        else if (c > 0xff00 && c < 0xff5f)
            buf_add_char(&b, (char)(c - 0xff00 + 0x20));
        else if (c >= 0x3000)
            buf_add_char(&b, ' ');
        else
            buf_add(&b, str_of(p, n));
        p += n;
    }
    buf_add_char(&b, 0);
    return str_first(buf_str(&b), b.len - 1);
}

static void say_flite(const struct speak *s, const struct speak_piece *piece, str text, struct made *m)
{
    const struct rendition *r = &s->r;
    cst_voice              *voice = flites[r->flite].voice;
    double                  rate = r->tempo * s->o.rate * piece->rate, played = r->size * s->o.pitch * piece->pitch;
    cst_utterance          *u;
    cst_wave               *wave;

    /* Its voices know one pitch: the sound will be played so many times as fast, and is made longer before. */
    played = fmax(0.5, fmin(2.5, played));
    feat_set_float(voice->features, "duration_stretch", (float)(played / fmax(0.3, fmin(3, rate))));
    text = plain_marks(m->a, text);
    srand(1); /* its breath is made of chance: of the same each time */
    u = flite_synth_text(text.ptr, voice);
    wave = u ? utt_wave(u) : NULL;
    if (wave) {
        m->rate = wave->sample_rate;
        samples_add(&m->pcm, wave->samples, (size_t)wave->num_samples);
        flite_words(m, u, text);
        m->rate = (int)lround(wave->sample_rate * played);
    }
    delete_utterance(u);
}

/* ---- espeak-ng ---- */

/* The name of a phoneme without its tone, which Mandarin has behind a vowel. */
static int tone_of(const char *name)
{
    for (; *name; name++) {
        if (*name >= '1' && *name <= '5')
            return *name - '0';
    }
    return 0;
}

static void espeak_phoneme(struct made *m, const espeak_EVENT *e, int64_t at)
{
    struct made_word *w = m->count ? &m->words[m->count - 1] : NULL;
    char              name[sizeof(e->id.string) + 1] = "", text[16];

    memcpy(name, e->id.string, sizeof(e->id.string));
    if (!w || !m->phonemes || !name[0] || name[0] == '_')
        return;
    if (w->phoneme_count)
        w->phonemes[w->phoneme_count - 1].end = at;
    snprintf(text, sizeof(text), "%s_c", name);
    add_phoneme(w, text, tone_of(name), at, at);
}

static int on_sound(short *wav, int count, espeak_EVENT *events)
{
    struct made *m = events->user_data;

    for (espeak_EVENT *e = events; e->type != espeakEVENT_LIST_TERMINATED; e++) {
        int64_t at = (int64_t)e->audio_position * m->rate / 1000;

        if (e->type == espeakEVENT_WORD && e->length > 0) {
            if (m->count)
                m->words[m->count - 1].end = at;
            (void)add_word(m, (size_t)max_i64(e->text_position - 1, 0), (size_t)e->length, at);
        } else if (e->type == espeakEVENT_PHONEME) {
            espeak_phoneme(m, e, at);
        }
    }
    if (wav && count > 0)
        samples_add(&m->pcm, wav, (size_t)count);
    return 0;
}

static void say_espeak(const struct speak *s, const struct speak_piece *piece, str text, const char *language,
                       struct made *m)
{
    const struct rendition *r = &s->r;
    char                    name[32];
    double                  rate = ESPEAK_WORDS_A_MINUTE * r->tempo * s->o.rate * piece->rate / r->size;
    double                  pitch = 50 * r->pitch / r->size * s->o.pitch * piece->pitch;
    const char             *cstr = str_to_cstr(m->a, text);

    snprintf(name, sizeof(name), "%s%s", language, r->variant);
    if (espeak_SetVoiceByName(name) != EE_OK && espeak_SetVoiceByName(language) != EE_OK)
        return;
    m->rate = espeak_rate;
    espeak_SetParameter(espeakRATE, (int)fmax(espeakRATE_MINIMUM, fmin(espeakRATE_MAXIMUM, rate)), 0);
    espeak_SetParameter(espeakPITCH, (int)fmax(0, fmin(99, pitch)), 0);
    espeak_SetSynthCallback(on_sound);
    (void)espeak_Synth(cstr, text.len + 1, 0, POS_CHARACTER, 0, espeakCHARS_UTF8, NULL, m);
    (void)espeak_Synchronize();
    if (m->count)
        m->words[m->count - 1].end = (int64_t)m->pcm.count;
    for (size_t i = 0; i < m->count; i++) {
        struct made_word *w = &m->words[i];

        if (w->phoneme_count)
            w->phonemes[w->phoneme_count - 1].end = w->end;
    }
    m->rate = (int)lround(espeak_rate * r->size);
}

/* ---- what comes out ---- */

/* Louder, brighter or darker. */
static void finish_sound(struct speak *s, int16_t *at, size_t count, double volume)
{
    double b = s->r.brightness, gain = volume / (1 + 0.5 * fabs(b));

    for (size_t i = 0; i < count; i++) {
        double x = at[i], y = b >= 0 ? x + b * (x - s->before) : x + -b * 0.8 * (s->before - x);

        s->before = x;
        y *= gain;
        at[i] = (int16_t)lrint(fmax(-32768, fmin(32767, y)));
    }
}

static void resample(const struct made *m, int rate, struct samples *out)
{
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    SwrContext     *swr = NULL;
    const uint8_t  *in = (const uint8_t *)m->pcm.at;
    int             room, n;
    uint8_t        *to;

    if (swr_alloc_set_opts2(&swr, &mono, AV_SAMPLE_FMT_S16, rate, &mono, AV_SAMPLE_FMT_S16, m->rate, 0, NULL) < 0 ||
        swr_init(swr) < 0)
        abort();
    room = swr_get_out_samples(swr, (int)m->pcm.count) + 256;
    out->at = malloc((size_t)room * sizeof(*out->at));
    if (!out->at)
        abort();
    to = (uint8_t *)out->at;
    n = swr_convert(swr, &to, room, &in, (int)m->pcm.count);
    to += n * (int)sizeof(int16_t);
    n += swr_convert(swr, &to, room - n, NULL, 0);
    out->count = (size_t)n;
    out->cap = (size_t)room;
    swr_free(&swr);
}

static int64_t ms(const struct speak *s, int64_t samples)
{
    return samples * 1000 / s->o.sample_rate;
}

/* The text that the word is of, by its characters. */
static str word_text(str run, size_t index, size_t length)
{
    const char *p = run.ptr, *end = str_end(run), *from;
    uint32_t    c;

    while (index-- && p < end)
        p += utf8_decode(p, end, &c);
    from = p;
    while (length-- && p < end)
        p += utf8_decode(p, end, &c);
    return str_of(from, (size_t)(p - from));
}

/* Where a sample of the engine's comes to lie. */
static int64_t placed(const struct speak *s, const struct made *m, int64_t sample)
{
    return ms(s, s->samples + sample * s->o.sample_rate / m->rate);
}

static void add_words(struct speak *s, const struct made *m, str run, size_t index, struct buf *json, size_t *count)
{
    for (size_t i = 0; i < m->count; i++) {
        const struct made_word *w = &m->words[i];

        buf_add(json, (*count)++ ? S(",[") : S("["));
        json_add_str(json, word_text(run, w->index, w->length));
        buf_addf(json, ",%zu,%zu,%lld,%lld,[", index + w->index, index + w->index + w->length,
                 (long long)placed(s, m, w->begin), (long long)placed(s, m, w->end));
        for (size_t k = 0; k < w->phoneme_count; k++) {
            const struct made_phoneme *p = &w->phonemes[k];

            buf_add(json, k ? S(",[") : S("["));
            json_add_lossy(json, str_from_cstr(p->text));
            buf_addf(json, ",%lld,%lld,%d]", (long long)placed(s, m, p->begin), (long long)placed(s, m, p->end),
                     p->tone);
        }
        buf_add(json, S("]]"));
    }
}

static void pause_for(struct speak *s, int pause_ms, struct buf *sound)
{
    size_t   n = (size_t)s->o.sample_rate * (size_t)pause_ms / 1000;
    int16_t *silence = calloc(n + 1, sizeof(*silence));

    if (!silence)
        abort();
    sound_out_add(s->out, silence, n, sound);
    s->samples += (int64_t)n;
    free(silence);
}

static bool is_english(const char *language)
{
    return strncmp(language, "en", 2) == 0;
}

/* A text with a blank behind each character. */
static str spelled(struct arena *a, str text)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (const char *p = text.ptr, *end = str_end(text); p < end;) {
        uint32_t c;
        size_t   n = utf8_decode(p, end, &c);

        buf_add(&b, str_of(p, n));
        buf_add_char(&b, ' ');
        p += n;
    }
    return buf_str(&b);
}

static void say_piece(struct speak *s, const struct speak_piece *piece, struct arena *a, struct buf *sound,
                      struct buf *json, size_t *words)
{
    str    rest = piece->spelled ? spelled(a, piece->text) : piece->text;
    size_t index = piece->index;

    if (piece->pause_ms)
        pause_for(s, piece->pause_ms, sound);
    while (rest.len) {
        const char    *language;
        str            run = speak_run(&rest, s->o.voice.languages, s->o.language, &language);
        struct made    m = { .a = a, .phonemes = s->o.phonemes };
        struct samples out = { 0 };

        if (is_english(language))
            say_flite(s, piece, run, &m);
        else
            say_espeak(s, piece, run, language, &m);
        if (m.pcm.count) {
            resample(&m, s->o.sample_rate, &out);
            finish_sound(s, out.at, out.count, s->o.volume / 50.0 * piece->volume);
            if (s->o.words)
                add_words(s, &m, run, index, json, words);
            sound_out_add(s->out, out.at, out.count, sound);
            s->samples += (int64_t)out.count;
        }
        index += utf8_count(run);
        free(m.pcm.at);
        free(out.at);
    }
}

bool speak_say(struct speak *s, str text, struct arena *a, struct buf *sound, struct buf *json)
{
    struct speak_piece *pieces;
    size_t              count, words = 0;

    if (!speak_pieces(a, text, s->o.ssml, &pieces, &count))
        return false;
    buf_addf(json, "{\"begin\":%lld,\"words\":[", (long long)ms(s, s->samples));
    for (size_t i = 0; i < count; i++)
        say_piece(s, &pieces[i], a, sound, json, &words);
    buf_addf(json, "],\"end\":%lld", (long long)ms(s, s->samples));
    return true;
}

void speak_end(struct speak *s, struct buf *sound, struct buf *json)
{
    sound_out_end(s->out, sound);
    buf_addf(json, "{\"begin\":%lld,\"words\":[],\"end\":%lld", (long long)ms(s, s->samples),
             (long long)ms(s, s->samples));
}

void speak_close(struct speak *s)
{
    sound_out_close(s->out);
    arena_free(&s->arena);
    free(s);
}
