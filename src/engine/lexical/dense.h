/* dense.h - the dense vector of a text (lexical.h). */
#ifndef DASHBOX_ENGINE_LEXICAL_DENSE_H
#define DASHBOX_ENGINE_LEXICAL_DENSE_H

#include "base/arena.h"

struct dense;
struct tokenizer;

/* What one vector after the other is made with, of texts of at most `longest` bytes. */
struct dense *dense_new(struct arena *a, const struct tokenizer *t, size_t longest);
/* Writes `dimension` numbers, of unit length and each one that a float holds. */
void dense_vector(struct dense *d, str text, size_t dimension, double *ret);

#endif
