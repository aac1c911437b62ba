/* lexical.c - vectors of texts: dense ones (dense.h), and sparse ones. */
#include "engine/lexical/lexical.h"

#include "base/num.h"
#include "engine/lexical/dense.h"
#include "engine/lexical/rarity.h"

void lexical_embed(const struct tokenizer *t, struct arena *a, const struct embed_input *in, struct embed_answer *ret)
{
    struct dense *d = dense_new(a, t);
    size_t        dimension = in->dimension.v > 0 ? (size_t)in->dimension.v : LEXICAL_DIMENSION;
    double       *all = arena_array(a, double, mul_size_or_die(in->text_count, dimension));

    ret->vectors = arena_array(a, struct embed_vector, in->text_count);
    ret->count = in->text_count;
    ret->dimension = dimension;
    ret->tokens = -1;
    for (size_t i = 0; i < in->text_count; i++) {
        ret->vectors[i].dense = all + i * dimension;
        dense_vector(d, in->texts[i], dimension, all + i * dimension);
    }
}
