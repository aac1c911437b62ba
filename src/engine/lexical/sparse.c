/* sparse.c - the tokens of a text's words, and what each weighs. */
#include "engine/lexical/sparse.h"

#include "base/num.h"
#include "base/utf8.h"
#include "engine/lexical/rarity.h"
#include "tokens/tokenizer.h"

#include <stdlib.h>

/* What is no single token, a rare character, has a number behind the vocabulary. */
#define BEHIND      (1 << 18)
#define BEHIND_MASK ((1 << 20) - 1)
#define LEAST       0.05  /* of the rarity of the commonest token */
#define ONCE        0.2   /* the damping of repeats: one is 1 / 1.2 of the rarity */
#define STEPS       10000 /* four decimals */

struct member {
    int64_t  index;
    str      token;
    unsigned rarity;
    size_t   count;
};

static int by_index(const void *a, const void *b)
{
    const struct member *x = a, *y = b;

    return x->index < y->index ? -1 : x->index > y->index;
}

/* The word as it stands inside a sentence; a run as it is. */
static str word_text(struct arena *a, const struct word *w)
{
    char  *text = arena_bytes(a, 1 + 4 * (size_t)w->len);
    size_t len = 0;

    if (!w->run)
        text[len++] = ' ';
    for (uint32_t i = 0; i < w->len; i++)
        len += utf8_encode(text + len, w->cps[i]);
    return str_of(text, len);
}

static struct member member_of(const struct tokenizer *t, str piece, bool run)
{
    uint32_t      id = 0;
    bool          is_token = tokenizer_encode(t, piece, &id, 1) == 1;
    struct member m = { .token = str_trim(piece), .count = 1 };

    m.rarity = is_token ? rarity_of_id(id, run) : RARITY_ONE;
    m.index = id;
    if (!is_token) {
        uint64_t h = 0;

        for (size_t i = 0; i < piece.len; i++) {
            uint32_t c[2] = { (uint32_t)h, (unsigned char)piece.ptr[i] };

            h = word_hash(c, 2, 0);
        }
        m.index = BEHIND + (int64_t)(h & BEHIND_MASK);
    }
    return m;
}

/* Twice weighs more than once, and nothing more than its rarity. */
static double weight(const struct member *m)
{
    double value = LEAST + (1 - LEAST) * m->rarity / RARITY_ONE;

    return (double)(int64_t)(value * (double)m->count / ((double)m->count + ONCE) * STEPS + 0.5) / STEPS;
}

void sparse_vector(const struct tokenizer *t, struct arena *a, str text, struct embed_vector *ret)
{
    struct words         words;
    struct member       *all;
    struct embed_weight *out;
    size_t               count = 0, kept = 0, max = 0;

    words_read(a, text, &words);
    for (size_t i = 0; i < words.count; i++)
        max += words.all[i].len + 1;
    all = arena_array(a, struct member, max);
    for (size_t i = 0; i < words.count; i++) {
        str rest = word_text(a, &words.all[i]);

        while (rest.len) {
            all[count] = member_of(t, tokenizer_next(t, &rest), words.all[i].run);
            count += all[count].token.len > 0; /* a blank alone is none */
        }
    }
    if (count)
        qsort(all, count, sizeof(*all), by_index);
    for (size_t i = 0; i < count; i++) {
        if (kept && all[kept - 1].index == all[i].index)
            all[kept - 1].count++;
        else
            all[kept++] = all[i];
    }
    out = arena_array(a, struct embed_weight, kept);
    for (size_t i = 0; i < kept; i++)
        out[i] = (struct embed_weight){ .index = all[i].index, .value = weight(&all[i]), .token = all[i].token };
    ret->sparse = out;
    ret->sparse_count = kept;
}
