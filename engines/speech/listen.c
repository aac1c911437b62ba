/* listen.c - sound in, voice activity, an utterance's decoder: one state machine a stream.
 *
 *      QUIET -- somebody begins --> WANTED -- a decoder is free --> UNDER WAY -- silence, commit, end --> QUIET
 *
 * What has come waits in memory from where it is still needed: from shortly before the speech, or from the first frame that has not
 * been looked at.
 */
#include "listen.h"

#include "base/hash.h"
#include "base/num.h"
#include "contract/json.h"
#include "pronounce.h"
#include "recognise.h"
#include "sound_in.h"
#include "vad.h"

#include <math.h>
#include <stdlib.h>

enum {
    BEFORE_FRAMES = 25,    /* that an utterance begins before its speech */
    BLOCK_FRAMES = 10,     /* that the decoder gets at once */
    LONG_FRAMES = 2000,    /* of an utterance: then the next pause ends it, */
    PAUSE_FRAMES = 15,     /* so short */
    LONGEST_FRAMES = 3000, /* or none does */
};

enum state { QUIET, WANTED, UNDER_WAY };

struct listen {
    struct sound_in       *in;
    struct samples         pcm; /* from frame `base` on */
    int64_t                base;
    int64_t                frame; /* the next for the voice activity */
    int64_t                fed;   /* the next for the decoder */
    int64_t                first; /* of the utterance */
    int64_t                ended; /* where the last utterance ended */
    struct vad             vad;
    struct vocabulary      vocabulary;
    struct arena           arena; /* of the words */
    struct decoder        *decoder;
    struct decoder_channel channel;
    enum state             state;
    bool                   whole, partial, closing, broken, over;
    str                    shown; /* the last partial text, in memory of its own */
};

/* ---- what goes out ---- */

struct out {
    struct listen *l;
    struct arena  *a;
    struct buf    *b;
    size_t         count;
};

static int64_t ms(int64_t frames)
{
    return frames * VAD_FRAME_MS;
}

static void event(struct out *o, const char *kind)
{
    buf_addf(o->b, "%s{\"kind\":\"%s\"", o->count++ ? "," : "", kind);
}

static str text_of(struct arena *a, const struct decoded_word *words, size_t count)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&b, ' ');
        buf_add(&b, words[i].text);
    }
    return buf_str(&b);
}

static void add_words(struct out *o, const struct decoded_word *words, size_t count, str text)
{
    int64_t begin = o->l->first, end = o->l->frame;
    double  confidence = 1;

    if (count) {
        begin = o->l->first + words[0].begin;
        end = o->l->first + words[count - 1].end;
        confidence = 0;
    }
    for (size_t i = 0; i < count; i++)
        confidence += words[i].confidence / (double)count;
    buf_addf(o->b, ",\"begin\":%lld,\"end\":%lld,\"text\":", (long long)ms(begin), (long long)ms(end));
    json_add_str(o->b, text);
    buf_add(o->b, S(",\"confidence\":"));
    json_add_num(o->b, round(confidence * 1000) / 1000);
    buf_add(o->b, S(",\"words\":["));
    for (size_t i = 0; i < count; i++) {
        buf_add(o->b, i ? S(",[") : S("["));
        json_add_str(o->b, words[i].text);
        buf_addf(o->b, ",%lld,%lld,", (long long)ms(o->l->first + words[i].begin),
                 (long long)ms(o->l->first + words[i].end));
        json_add_num(o->b, round(words[i].confidence * 1000) / 1000);
        buf_add_char(o->b, ']');
    }
    buf_add(o->b, S("]}"));
}

static void remember(struct listen *l, str text)
{
    char *copy = realloc((char *)l->shown.ptr, text.len + 1);

    if (!copy)
        abort();
    if (text.len)
        memcpy(copy, text.ptr, text.len);
    l->shown = str_of(copy, text.len);
}

static void show_partial(struct out *o)
{
    struct listen       *l = o->l;
    struct decoded_word *words;
    size_t               count;
    str                  text;

    if (!l->partial || l->state != UNDER_WAY)
        return;
    decoder_result(l->decoder, o->a, &words, &count);
    text = text_of(o->a, words, count);
    if (!count || str_eq(text, l->shown))
        return;
    remember(l, text);
    event(o, "partial");
    add_words(o, words, count, text);
}

/* ---- an utterance ---- */

static const int16_t *at_frame(struct listen *l, int64_t frame)
{
    return l->pcm.at + (frame - l->base) * VAD_FRAME;
}

static void feed_decoder(struct listen *l, int64_t upto)
{
    if (upto > l->fed)
        decoder_feed(l->decoder, at_frame(l, l->fed), (size_t)(upto - l->fed) * VAD_FRAME);
    l->fed = max_i64(upto, l->fed);
}

static bool begin_utterance(struct listen *l)
{
    l->decoder = decoder_take(&l->vocabulary);
    if (!l->decoder)
        return false;
    decoder_begin(l->decoder, &l->channel);
    l->fed = l->first;
    l->state = UNDER_WAY;
    return true;
}

static void end_utterance(struct out *o)
{
    struct listen       *l = o->l;
    struct decoded_word *words;
    size_t               count;

    feed_decoder(l, l->frame);
    decoder_end(l->decoder, &l->channel);
    decoder_result(l->decoder, o->a, &words, &count);
    event(o, "sentence");
    add_words(o, words, count, text_of(o->a, words, count));
    decoder_give(l->decoder);
    l->decoder = NULL;
    l->state = QUIET;
    l->ended = l->frame;
    remember(l, (str){ 0 });
}

/* Speech has begun, or with `whole` sound. */
static void want_utterance(struct listen *l, int64_t first)
{
    l->first = max_i64(max_i64(first, l->ended), l->base);
    l->state = WANTED;
}

/* It goes on for so long that a short pause must do. */
static bool is_too_long(const struct listen *l)
{
    int64_t n = l->frame - l->first;

    return n >= LONGEST_FRAMES || (n >= LONG_FRAMES && l->frame - 1 - l->vad.loud >= PAUSE_FRAMES);
}

static void one_frame(struct out *o)
{
    struct listen *l = o->l;
    enum vad_event e = vad_feed(&l->vad, at_frame(l, l->frame));

    l->frame++;
    if (l->whole) {
        if (l->state == QUIET)
            want_utterance(l, l->frame - 1);
    } else if (e == VAD_BEGIN) {
        event(o, "begin");
        buf_addf(o->b, ",\"begin\":%lld}", (long long)ms(l->vad.begin));
        want_utterance(l, l->vad.begin - BEFORE_FRAMES);
    } else if (e == VAD_END) {
        l->closing = true;
    } else if (l->state == UNDER_WAY && is_too_long(l)) {
        l->closing = true;
        l->vad.speaking = false;
    }
}

static void close_utterance(struct out *o)
{
    struct listen *l = o->l;

    l->closing = false;
    if (!l->whole) {
        event(o, "stop");
        buf_addf(o->b, ",\"end\":%lld}", (long long)ms(l->vad.loud + 1));
    }
    end_utterance(o);
}

/* As far as sound and decoders go. False: a decoder is wanted, and none is free. */
static bool run(struct out *o)
{
    struct listen *l = o->l;

    for (;;) {
        if (l->state == WANTED && !begin_utterance(l))
            return false;
        if (l->state == UNDER_WAY && l->closing)
            close_utterance(o);
        l->closing = false;
        if (l->base + (int64_t)(l->pcm.count / VAD_FRAME) <= l->frame)
            break;
        one_frame(o);
        if (l->state == UNDER_WAY && l->frame - l->fed >= BLOCK_FRAMES)
            feed_decoder(l, l->frame);
    }
    if (l->state == UNDER_WAY)
        feed_decoder(l, l->frame);
    return true;
}

/* Gives back what nobody needs any more. */
static void forget(struct listen *l)
{
    int64_t needed = l->state == UNDER_WAY ? l->fed
                     : l->state == WANTED  ? l->first
                                           : l->frame - BEFORE_FRAMES - VAD_WINDOW;
    size_t  n = needed > l->base ? (size_t)(needed - l->base) * VAD_FRAME : 0;

    if (n < 8 * VAD_FRAME * BLOCK_FRAMES)
        return;
    l->pcm.count -= n;
    memmove(l->pcm.at, l->pcm.at + n, l->pcm.count * sizeof(*l->pcm.at));
    l->base = needed;
}

static void begin_answer(struct out *o)
{
    buf_add(o->b, S("{\"events\":["));
}

static void end_answer(struct out *o, bool busy)
{
    struct listen *l = o->l;

    if (!busy)
        show_partial(o);
    buf_addf(o->b, "],\"audio_ms\":%lld,\"speech_ms\":%lld,\"undecodable\":%s,\"busy\":%s",
             (long long)ms(l->base + (int64_t)(l->pcm.count / VAD_FRAME)), (long long)ms(l->vad.speech_frames),
             l->broken ? "true" : "false", busy ? "true" : "false");
    forget(l);
}

/* ---- the stream ---- */

static struct vocabulary vocabulary_of(struct arena *a, const struct recogniser_options *o)
{
    static const double  weights[] = { 1, 10, 100, 1000, 10000 };
    struct decoder_word *words = arena_array(a, struct decoder_word, o->word_count);
    struct vocabulary    v = { .words = words };

    for (size_t i = 0; i < o->word_count; i++) {
        const struct boosted_word *w = &o->words[i];
        char                      *text = arena_bytes(a, w->text.len + 1);

        if (w->weight < 1)
            continue;
        for (size_t k = 0; k < w->text.len; k++)
            text[k] =
                w->text.ptr[k] >= 'A' && w->text.ptr[k] <= 'Z' ? (char)(w->text.ptr[k] - 'A' + 'a') : w->text.ptr[k];
        text[w->text.len] = 0;
        words[v.count++] = (struct decoder_word){ text, pronounce(a, w->text), weights[min_i64(w->weight, 5) - 1] };
        v.id = hash_u64(hash_bytes(w->text, v.id), (uint64_t)w->weight);
    }
    return v;
}

struct listen *listen_open(const struct recogniser_options *o)
{
    struct sound_in *in = sound_in_open(o->format, o->sample_rate);
    struct listen   *l;

    if (!in)
        return NULL;
    l = calloc(1, sizeof(*l));
    if (!l)
        abort();
    l->in = in;
    l->whole = o->whole;
    l->partial = o->partial;
    arena_init(&l->arena, 0);
    l->vocabulary = vocabulary_of(&l->arena, o);
    vad_init(&l->vad, o->threshold, o->silence_ms ? o->silence_ms : 800);
    return l;
}

void listen_hear(struct listen *l, str bytes, struct arena *a, struct buf *b)
{
    struct out o = { l, a, b, 0 };

    begin_answer(&o);
    if (!sound_in_feed(l->in, bytes.ptr, bytes.len, &l->pcm))
        l->broken = true;
    end_answer(&o, !run(&o));
}

void listen_commit(struct listen *l, struct arena *a, struct buf *b)
{
    struct out o = { l, a, b, 0 };
    bool       done;

    begin_answer(&o);
    done = run(&o);
    if (done && l->state == UNDER_WAY) {
        l->vad.speaking = false;
        close_utterance(&o);
    }
    end_answer(&o, !done);
}

void listen_end(struct listen *l, struct arena *a, struct buf *b)
{
    struct out o = { l, a, b, 0 };
    bool       done;

    begin_answer(&o);
    if (!l->over && !l->broken && !sound_in_end(l->in, &l->pcm))
        l->broken = true;
    l->over = true;
    done = run(&o);
    if (done && l->state == UNDER_WAY)
        close_utterance(&o);
    end_answer(&o, !done);
}

void listen_close(struct listen *l)
{
    struct decoder_channel c;

    if (l->decoder) {
        decoder_end(l->decoder, &c);
        decoder_give(l->decoder);
    }
    sound_in_close(l->in);
    free(l->pcm.at);
    free((char *)l->shown.ptr);
    arena_free(&l->arena);
    free(l);
}
