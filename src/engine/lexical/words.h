/* words.h - a text as the words that it is searched by.
 *
 * Letters are folded in case and width. A word is a run of letters and digits; what is written without blanks (Chinese,
 * Japanese, Korean) is one run until a sign or another script. Works on whole numbers alone: the same on every machine.
 */
#ifndef DASHBOX_ENGINE_LEXICAL_WORDS_H
#define DASHBOX_ENGINE_LEXICAL_WORDS_H

#include "base/arena.h"

struct word {
    const uint32_t *cps; /* folded code points, alive as long as the arena */
    uint32_t        len;
    bool            run; /* of a script that parts no words */
};

struct words {
    struct word *all;
    size_t       count;
};

/* The text is UTF-8; a broken byte parts words. */
void words_read(struct arena *a, str text, struct words *ret);

/* A hash of code points, the same in every process; `seed` tells kinds apart. */
uint64_t word_hash(const uint32_t *cps, size_t len, uint64_t seed);

/* The hash of a word without the commonest English endings: "baking" has that of "bake" and "bakes". */
uint64_t word_stem(const struct word *w);

/* Calls fn with what an index would have of the text: the stems of words; of runs each two neighbours, and what stands
 * alone. */
void words_terms(const struct words *ws, void (*fn)(void *arg, uint64_t term), void *arg);

#endif
