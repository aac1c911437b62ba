/* transcript.h - what was heard, as it is written: punctuation, words that are left out or starred.
 *
 * Spec: speech.md §1.9.1 (disfluency_removal_enabled, punctuation_prediction_enabled, special_word_filter), §1.9.2.
 */
#ifndef DASHBOX_SERVICE_TRANSCRIPT_H
#define DASHBOX_SERVICE_TRANSCRIPT_H

#include "contract/json.h"
#include "engine/speech/speech.h"

struct transcript_options {
    bool        punctuation;
    bool        no_fillers; /* "uh", "um" are left out */
    yyjson_val *filter;     /* special_word_filter, an object; NULL: none */
};

struct transcript_word {
    str     text, punctuation; /* "" mostly */
    int64_t begin_ms, end_ms;
};

struct transcript {
    str                     text; /* "Hello world." */
    struct transcript_word *words;
    size_t                  count;
};

/* `closed`: the sentence has ended, so that it gets its full stop. */
void transcript_make(struct arena *a, const struct heard *h, const struct transcript_options *o, bool closed,
                     struct transcript *ret);

#endif
