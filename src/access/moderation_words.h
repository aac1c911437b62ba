/* moderation_words.h - finds any of many words in a text, in one pass (Aho and Corasick's automaton).
 *
 * Words and texts are bytes here, folded before. An automaton is never changed once it is made; how far a text has got
 * is one
 * number, so a text can come in pieces.
 *
 * Memory: about 20 bytes for each byte of the words that is not the beginning of another word's, and at most 2 MB besides.
 */
#ifndef DASHBOX_ACCESS_MODERATION_WORDS_H
#define DASHBOX_ACCESS_MODERATION_WORDS_H

#include "access/moderation.h"

struct words;

struct word {
    str      text; /* at least a byte */
    uint32_t rule;
    unsigned sides;
};

/* Sorts `list`, which is needed no longer afterwards, and makes the automaton in the arena. */
struct words *words_new(struct word *list, size_t count, struct arena *a);

/* Goes on in a text: *state is 0 at its beginning. True as soon as a word of a rule for `side` has ended, after *ret_end
 * bytes of `run`; of several the one of the lowest rule. */
bool words_scan(const struct words *w, uint32_t *state, str run, unsigned side, size_t *ret_end, uint32_t *ret_rule);

#endif
