/* recognise.c - PocketSphinx. */
#include "recognise.h"

#include <math.h>
#include <pocketsphinx/pocketsphinx.h>
#include <sphinxbase/cmn.h>
#include <sphinxbase/err.h>
#include <sphinxbase/ngram_model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A vocabulary's words stand in the dictionary under names of their own, so that they can be likelier than the same words of
 * everybody. */
#define OWN "+"

struct decoder {
    ps_decoder_t *ps; /* NULL: not made yet */
    uint64_t      vocabulary;
    bool          lent;
    uint64_t      used;     /* the turn in which it was given back */
    mfcc_t        mean[13]; /* as the model has it */
};

static struct decoder decoders[DECODERS_MAX];
static uint64_t       turn;
static char           folder[256];

bool recognise_begin(const char *model)
{
    char  path[300];
    FILE *f;

    snprintf(path, sizeof(path), "%s/en-us/mdef", model);
    f = fopen(path, "re");
    if (!f)
        return false;
    fclose(f);
    snprintf(folder, sizeof(folder), "%s", model);
    err_set_logfp(NULL);
    return true;
}

/* Ends the process when it cannot be: the server hears of it, and starts another. */
static void make(struct decoder *d)
{
    char      hmm[300], lm[300], dict[300];
    cmd_ln_t *config;

    snprintf(hmm, sizeof(hmm), "%s/en-us", folder);
    snprintf(lm, sizeof(lm), "%s/en-us.lm.bin", folder);
    snprintf(dict, sizeof(dict), "%s/cmudict-en-us.dict", folder);
    config = cmd_ln_init(NULL, ps_args(), TRUE, "-hmm", hmm, "-lm", lm, "-dict", dict, "-remove_silence",
                         "no", /* so that frames are time: vad.h has found the speech */
                         NULL);
    err_set_logfp(NULL);
    d->ps = config ? ps_init(config) : NULL;
    if (!d->ps) {
        fprintf(stderr, "dashbox-speech: the model in %s cannot be used\n", folder);
        exit(1);
    }
    cmd_ln_free_r(config);
    d->vocabulary = 0;
    cmn_live_get(ps_get_feat(d->ps)->cmn_struct, d->mean);
}

/* The dictionary's own sounds of a text: several words one after the other. NULL: one is not there. */
static char *known_sounds(struct decoder *d, const char *text)
{
    char   word[128], *all = NULL;
    size_t at = 0, len = 0;

    while (text[at]) {
        size_t n = strcspn(text + at, " ");
        char  *sounds;

        snprintf(word, sizeof(word), "%.*s", (int)n, text + at);
        at += n;
        at += strspn(text + at, " ");
        sounds = ps_lookup_word(d->ps, word);
        if (!sounds) {
            free(all);
            return NULL;
        }
        all = realloc(all, len + strlen(sounds) + 2);
        if (len)
            all[len++] = ' ';
        memcpy(all + len, sounds, strlen(sounds) + 1);
        len += strlen(sounds);
        free(sounds);
    }
    return all;
}

static void add_words(struct decoder *d, const struct vocabulary *v)
{
    ngram_model_t *lm = ps_get_lm(d->ps, ps_get_search(d->ps));
    size_t         last = v->count;
    char         **names = calloc(v->count, sizeof(*names)), **sounds = calloc(v->count, sizeof(*sounds));

    for (size_t i = 0; i < v->count; i++) {
        const struct decoder_word *w = &v->words[i];
        char                      *own = known_sounds(d, w->text);

        sounds[i] = own ? own : w->sounds ? strdup(w->sounds) : NULL;
        if (!sounds[i])
            continue;
        if (asprintf(&names[i], OWN "%s", w->text) < 0)
            abort();
        for (char *c = names[i]; *c; c++)
            *c = *c == ' ' ? '_' : *c;
        ngram_model_add_word(lm, names[i], (float32)w->weight);
        last = i;
    }
    /* The search is built anew with the last of them. */
    for (size_t i = 0; i < v->count; i++) {
        if (names[i])
            ps_add_word(d->ps, names[i], sounds[i], i == last);
        free(names[i]);
        free(sounds[i]);
    }
    free(names);
    free(sounds);
    d->vocabulary = v->id;
}

/* One that has what is wanted; else one that can be made so: nobody's yet, or the one that has rested longest. */
struct decoder *decoder_take(const struct vocabulary *v)
{
    struct decoder *best = NULL;

    for (size_t i = 0; i < DECODERS_MAX; i++) {
        struct decoder *d = &decoders[i];

        if (d->lent)
            continue;
        if (d->ps && d->vocabulary == v->id) {
            best = d;
            break;
        }
        if (!best || (best->ps && (!d->ps || d->used < best->used)))
            best = d;
    }
    if (!best)
        return NULL;
    if (best->ps && best->vocabulary != v->id && best->vocabulary) {
        ps_free(best->ps);
        best->ps = NULL;
    }
    if (!best->ps)
        make(best);
    if (best->vocabulary != v->id)
        add_words(best, v);
    best->lent = true;
    return best;
}

void decoder_give(struct decoder *d)
{
    d->lent = false;
    d->used = ++turn;
}

void decoder_begin(struct decoder *d, const struct decoder_channel *c)
{
    mfcc_t mean[13];

    for (size_t i = 0; i < ARRAY_LEN(mean); i++)
        mean[i] = c->known ? c->mean[i] : d->mean[i];
    cmn_live_set(ps_get_feat(d->ps)->cmn_struct, mean);
    ps_start_stream(d->ps);
    ps_start_utt(d->ps);
}

void decoder_feed(struct decoder *d, const int16_t *samples, size_t count)
{
    ps_process_raw(d->ps, samples, count, FALSE, FALSE);
}

void decoder_end(struct decoder *d, struct decoder_channel *c)
{
    mfcc_t mean[13];

    ps_end_utt(d->ps);
    cmn_live_get(ps_get_feat(d->ps)->cmn_struct, mean);
    for (size_t i = 0; i < ARRAY_LEN(mean); i++)
        c->mean[i] = mean[i];
    c->known = true;
}

/* "hello(2)" is hello, "+dash_box" is dash box; silence and noises are no words. */
static str spelling(struct arena *a, const char *word)
{
    size_t len = strcspn(word, "(");
    char  *text;

    if (word[0] == '<' || word[0] == '[' || (word[0] == '+' && word[1] == '+'))
        return (str){ 0 };
    if (word[0] == OWN[0]) {
        word++;
        len--;
    }
    text = arena_bytes(a, len);
    for (size_t i = 0; i < len; i++)
        text[i] = word[i] == '_' ? ' ' : word[i];
    return str_of(text, len);
}

void decoder_result(struct decoder *d, struct arena *a, struct decoded_word **ret, size_t *ret_count)
{
    logmath_t *lmath = ps_get_logmath(d->ps);
    size_t     cap = 0;

    *ret = NULL;
    *ret_count = 0;
    for (ps_seg_t *seg = ps_seg_iter(d->ps); seg; seg = ps_seg_next(seg)) {
        struct decoded_word w = { .text = spelling(a, ps_seg_word(seg)) };
        int                 begin, end;

        if (!w.text.len)
            continue;
        ps_seg_frames(seg, &begin, &end);
        w.begin = begin;
        w.end = end + 1;
        w.confidence = fmin(1, logmath_exp(lmath, ps_seg_prob(seg, NULL, NULL, NULL)));
        if (*ret_count == cap) {
            size_t more = cap ? 2 * cap : 16;

            *ret = arena_realloc(a, *ret, cap * sizeof(**ret), more * sizeof(**ret));
            cap = more;
        }
        (*ret)[(*ret_count)++] = w;
    }
}
