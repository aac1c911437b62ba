/* dense.c - hashed features.
 *
 *   text --> words --> features, each distinct one once, with its count --> numbers --> turned --> unit length
 *
 * A feature's hash says, for every 64 numbers of the vector, which of them it changes and by which sign. So few features
 * leave most numbers 0, each 64 are turned in the end: a vector that is rounded to bits or bytes still says something.
 */
#include "engine/lexical/dense.h"

#include "base/num.h"
#include "engine/lexical/lexical.h"
#include "engine/lexical/rarity.h"

#include <math.h>

#define BLOCK         64
#define BITS          7    /* of a hash for a block: the place and the sign */
#define STRETCH       2048 /* code points: longer texts are taken in stretches, whose vectors are added */
#define FEATURES_EACH 3    /* at most, of a code point */
#define REPEATS_KNOWN 16
#define RARITY_LEAST  24 /* the commonest words count a little, too */

enum seed { STEM = 1, WORD, PAIR, PIECE, SIGN, NEIGHBOURS, THREE, WHOLE };

/* What a feature counts, in 256ths, beside its rarity. */
enum {
    WEIGHT_STEM = 256,
    WEIGHT_WORD = 64,
    WEIGHT_PAIR = 64,
    WEIGHT_PIECE = 80,
    WEIGHT_SIGN = 160,
    WEIGHT_NEIGHBOURS = 256,
    WEIGHT_THREE = 96,
};

struct feature {
    uint64_t hash; /* 0: free */
    uint32_t count, weight;
};

struct dense {
    struct arena           *arena;
    const struct tokenizer *tokenizer;
    struct feature         *slots;
    size_t                  slot_count; /* a power of two, at least twice as many as there can be features */
    uint32_t               *used;       /* the slots that are taken */
    size_t                  used_count, used_max;
    size_t                  blocks;
    int64_t                 sums[LEXICAL_DIMENSION_MAX];
};

struct dense *dense_new(struct arena *a, const struct tokenizer *t, size_t longest)
{
    struct dense *d = arena_new(a, struct dense);

    d->arena = a;
    d->tokenizer = t;
    d->used_max = FEATURES_EACH * min_size(longest, STRETCH);
    for (d->slot_count = 16; d->slot_count < 2 * d->used_max;)
        d->slot_count *= 2;
    d->slots = arena_array(a, struct feature, d->slot_count);
    d->used = arena_array(a, uint32_t, d->used_max);
    return d;
}

static void add(struct dense *d, uint64_t hash, unsigned weight)
{
    size_t slot;

    hash |= !hash;
    for (slot = hash & (d->slot_count - 1); d->slots[slot].hash; slot = (slot + 1) & (d->slot_count - 1)) {
        if (d->slots[slot].hash == hash) {
            d->slots[slot].count++;
            return;
        }
    }
    ASSERT(d->used_count < d->used_max);
    d->used[d->used_count++] = (uint32_t)slot;
    d->slots[slot] = (struct feature){ .hash = hash, .count = 1, .weight = weight };
}

/* ---- features ---- */

static unsigned max_u(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

/* Its pieces of three and four letters. */
static void add_pieces(struct dense *d, const struct word *w, unsigned rarity)
{
    for (uint32_t len = 3; len <= 4; len++) {
        for (uint32_t at = 0; at + len <= w->len; at++)
            add(d, word_hash(w->cps + at, len, PIECE), WEIGHT_PIECE * rarity / RARITY_ONE);
    }
}

static void add_word(struct dense *d, const struct word *w, const struct word *before)
{
    unsigned rarity = RARITY_LEAST + rarity_of_word(d->tokenizer, w) * (RARITY_ONE - RARITY_LEAST) / RARITY_ONE;
    uint64_t stem = word_stem(w);

    add(d, stem, WEIGHT_STEM * rarity / RARITY_ONE);
    add(d, word_hash(w->cps, w->len, WORD), WEIGHT_WORD * rarity / RARITY_ONE);
    add_pieces(d, w, rarity);
    if (before && !before->run) {
        uint32_t both[2] = { (uint32_t)word_stem(before), (uint32_t)stem };

        add(d, word_hash(both, 2, PAIR), WEIGHT_PAIR * rarity / RARITY_ONE);
    }
}

/* The characters, each two neighbours, each three: as rare as the rarest of them. */
static void add_run(struct dense *d, const struct word *w)
{
    unsigned before = 0, last = 0;

    for (uint32_t i = 0; i < w->len; i++) {
        unsigned rarity = rarity_of_sign(d->tokenizer, w->cps[i]), two = max_u(rarity, last),
                 three = max_u(two, before);

        add(d, word_hash(w->cps + i, 1, SIGN), WEIGHT_SIGN * rarity / RARITY_ONE);
        if (i >= 1)
            add(d, word_hash(w->cps + i - 1, 2, NEIGHBOURS), WEIGHT_NEIGHBOURS * two / RARITY_ONE);
        if (i >= 2)
            add(d, word_hash(w->cps + i - 2, 3, THREE), WEIGHT_THREE * three / RARITY_ONE);
        before = last;
        last = rarity;
    }
}

/* ---- numbers ---- */

/* 1 + log2 of the count, in 256ths. */
static int64_t damped(uint32_t count)
{
    static const uint16_t known[REPEATS_KNOWN + 1] = { 0,    256,  512,  662,  768,  850,  918,  975, 1024,
                                                       1067, 1106, 1142, 1174, 1203, 1231, 1256, 1280 };

    return known[min_size(count, REPEATS_KNOWN)];
}

/* Adds the features to the sums, and forgets them. */
static void flush(struct dense *d)
{
    for (size_t i = 0; i < d->used_count; i++) {
        struct feature *f = &d->slots[d->used[i]];
        int64_t         by = f->weight * damped(f->count);
        uint64_t        h = f->hash;

        for (size_t b = 0; b < d->blocks; b++) {
            if (b % (64 / BITS) == 0) { /* the bits are used up */
                uint32_t more[3] = { (uint32_t)f->hash, (uint32_t)(f->hash >> 32), (uint32_t)b };

                h = word_hash(more, 3, WHOLE);
            }
            d->sums[b * BLOCK + (h >> 1 & (BLOCK - 1))] += h & 1 ? by : -by;
            h >>= BITS;
        }
        *f = (struct feature){ 0 };
    }
    d->used_count = 0;
}

/* A turn of 64 numbers that spreads each over all of them and changes no distance (Walsh and Hadamard's). */
static void turn(int64_t *v)
{
    for (size_t step = 1; step < BLOCK; step *= 2) {
        for (size_t i = 0; i < BLOCK; i++) {
            int64_t a = v[i], b = v[i | step];

            if (i & step)
                continue;
            v[i] = a + b;
            v[i | step] = a - b;
        }
    }
}

/* Every float is a double, so that both forms of the wire say the same. */
static void to_unit(const struct dense *d, size_t dimension, double *ret)
{
    double squares = 0, length;

    for (size_t i = 0; i < dimension; i++)
        squares += (double)d->sums[i] * (double)d->sums[i];
    length = sqrt(squares);
    for (size_t i = 0; i < dimension; i++)
        ret[i] = length > 0 ? (double)(float)((double)d->sums[i] / length) : i == 0;
}

void dense_vector(struct dense *d, str text, size_t dimension, double *ret)
{
    struct words words;
    size_t       stretch = 0;

    ASSERT(dimension <= LEXICAL_DIMENSION_MAX);
    words_read(d->arena, text, &words);
    d->blocks = (dimension + BLOCK - 1) / BLOCK;
    memset(d->sums, 0, d->blocks * BLOCK * sizeof(d->sums[0]));
    for (size_t i = 0; i < words.count; i++) {
        struct word *w = &words.all[i];

        while (w->len) { /* a word can be longer than a stretch */
            struct word part = { .cps = w->cps, .len = (uint32_t)min_size(w->len, STRETCH / 2), .run = w->run };

            if (stretch + part.len > STRETCH) {
                flush(d);
                stretch = 0;
            }
            if (part.run)
                add_run(d, &part);
            else
                add_word(d, &part, i ? &words.all[i - 1] : NULL);
            stretch += part.len;
            w->cps += part.len;
            w->len -= part.len;
        }
    }
    if (words.count == 0) { /* signs alone */
        for (size_t i = 0; i < text.len; i++) {
            uint32_t c = (unsigned char)text.ptr[i];

            if (i == STRETCH)
                break;
            add(d, word_hash(&c, 1, WHOLE), WEIGHT_WORD);
        }
    }
    flush(d);
    for (size_t b = 0; b < d->blocks; b++)
        turn(d->sums + b * BLOCK);
    to_unit(d, dimension, ret);
}
