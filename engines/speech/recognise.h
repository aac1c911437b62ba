/* recognise.h - what is said, by PocketSphinx: decoders that are lent to one utterance at a time.
 *
 * A decoder needs about 100 MB and half a second to be made; making one opens the files of the model. Decoders with words
 * of somebody's vocabulary serve that vocabulary alone, until one without is wanted and none is free.
 * Sound is 16 kHz PCM. This file alone knows the library (0.8 + 5prealpha).
 */
#ifndef DASHBOX_SPEECH_RECOGNISE_H
#define DASHBOX_SPEECH_RECOGNISE_H

#include "base/arena.h"

#define DECODERS_MAX 4

struct decoder;

/* The model's folder: "/usr/share/pocketsphinx/model/en-us". False: it is not there. */
bool recognise_begin(const char *model);

/* One more word, or a known one that is likelier, by the sounds of the CMU dictionary ("D AE SH B AA K S"). */
struct decoder_word {
    const char *text, *sounds; /* sounds NULL: as the dictionary has it; unknown there: left out */
    double      weight;        /* how many times likelier than a rare word */
};

struct vocabulary {
    uint64_t                   id; /* 0: no words */
    const struct decoder_word *words;
    size_t                     count;
};

/* NULL: all are lent. */
struct decoder *decoder_take(const struct vocabulary *v);
void            decoder_give(struct decoder *d);

/* What a stream's decoder knows of its microphone: handed from one utterance to the next. */
struct decoder_channel {
    float mean[13];
    bool  known;
};

void decoder_begin(struct decoder *d, const struct decoder_channel *c);
void decoder_feed(struct decoder *d, const int16_t *samples, size_t count);
/* No more comes. */
void decoder_end(struct decoder *d, struct decoder_channel *c);

struct decoded_word {
    str    text;
    int    begin, end; /* frames of 10 ms since decoder_begin(); `end` is behind it */
    double confidence; /* 0 … 1; of an utterance under way 1 */
};

/* What it is by now, or at the end. */
void decoder_result(struct decoder *d, struct arena *a, struct decoded_word **ret, size_t *ret_count);

#endif
