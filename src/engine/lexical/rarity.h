/* rarity.h - how rare a word is, guessed from the tokenizer's vocabulary: tokens were made in the order of their frequency. */
#ifndef DASHBOX_ENGINE_LEXICAL_RARITY_H
#define DASHBOX_ENGINE_LEXICAL_RARITY_H

#include "engine/lexical/words.h"

struct tokenizer;

#define RARITY_ONE 256

/* 0 (the commonest) to RARITY_ONE of a token. */
unsigned rarity_of_id(uint32_t id, bool run);
/* Of one character of a run. */
unsigned rarity_of_sign(const struct tokenizer *t, uint32_t cp);
/* Of a word that is not a run. */
unsigned rarity_of_word(const struct tokenizer *t, const struct word *w);

#endif
