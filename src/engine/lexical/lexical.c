/* lexical.c - vectors of texts: what is asked for of the two kinds. */
#include "engine/lexical/lexical.h"

#include "base/num.h"
#include "engine/lexical/dense.h"
#include "engine/lexical/sparse.h"

static size_t longest_of(const struct embed_input *in)
{
    size_t longest = 0;

    for (size_t i = 0; i < in->text_count; i++)
        longest = max_size(longest, in->texts[i].len);
    return longest;
}

void lexical_embed(const struct tokenizer *t, struct arena *a, const struct embed_input *in, struct embed_answer *ret)
{
    struct dense *d = in->output == EMBED_SPARSE ? NULL : dense_new(a, t, longest_of(in));
    size_t        dimension = in->dimension.v > 0 ? (size_t)in->dimension.v : LEXICAL_DIMENSION;
    double       *all = d ? arena_array(a, double, mul_size_or_die(in->text_count, dimension)) : NULL;

    *ret = (struct embed_answer){ .count = in->text_count, .dimension = dimension, .tokens = -1 };
    ret->vectors = arena_array(a, struct embed_vector, in->text_count);
    for (size_t i = 0; i < in->text_count; i++) {
        if (d) {
            ret->vectors[i].dense = all + i * dimension;
            dense_vector(d, in->texts[i], dimension, all + i * dimension);
        }
        if (in->output != EMBED_DENSE)
            sparse_vector(t, a, in->texts[i], &ret->vectors[i]);
    }
}
