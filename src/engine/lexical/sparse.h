/* sparse.h - the sparse vector of a text (lexical.h). */
#ifndef DASHBOX_ENGINE_LEXICAL_SPARSE_H
#define DASHBOX_ENGINE_LEXICAL_SPARSE_H

#include "base/arena.h"
#include "contract/embed.h"

struct tokenizer;

/* One member for each distinct token of the text's words, in the order of the vocabulary; values in 0 … 1. */
void sparse_vector(const struct tokenizer *t, struct arena *a, str text, struct embed_vector *ret);

#endif
