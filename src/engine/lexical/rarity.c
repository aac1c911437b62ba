/* rarity.c - how rare a word is, from the numbers of its tokens. */
#include "engine/lexical/rarity.h"

#include "base/utf8.h"
#include "tokens/tokenizer.h"

#define WORD_MAX 24 /* code points; what is longer is rare */

/* The vocabulary is that of English text and code first; the words of Chinese were added behind it. What Chinese the first
 * part has is the commonest. */
#define ADDED       99000
#define ADDED_RANK  1000
#define COMMON_STEP 90

/* Logarithms to base 2, in 256ths: from the rank at which words begin to say something to the rarest. */
#define WORD_LOW  (8 * 256)
#define WORD_HIGH (17 * 256)
#define RUN_LOW   (13 * 128)
#define RUN_HIGH  (15 * 256)

/* By straight lines between the powers of 2. */
static unsigned log2_256(uint32_t v)
{
    unsigned whole = 31 - (unsigned)__builtin_clz(v | 1);

    return whole * 256 + (unsigned)(((uint64_t)v << 8 >> whole) & 255);
}

static unsigned between(unsigned v, unsigned low, unsigned high)
{
    if (v <= low)
        return 0;
    return v >= high ? RARITY_ONE : (v - low) * RARITY_ONE / (high - low);
}

unsigned rarity_of_id(uint32_t id, bool run)
{
    if (!run)
        return between(log2_256(id), WORD_LOW, WORD_HIGH);
    return between(log2_256(id < ADDED ? 1 + id / COMMON_STEP : id - ADDED + ADDED_RANK), RUN_LOW, RUN_HIGH);
}

unsigned rarity_of_sign(const struct tokenizer *t, uint32_t cp)
{
    char     text[4];
    uint32_t id;

    return tokenizer_encode(t, str_of(text, utf8_encode(text, cp)), &id, 1) == 1 ? rarity_of_id(id, true) : RARITY_ONE;
}

unsigned rarity_of_word(const struct tokenizer *t, const struct word *w)
{
    char     text[1 + 4 * WORD_MAX] = " "; /* as it stands inside a sentence */
    size_t   len = 1;
    uint32_t id;

    if (w->len > WORD_MAX)
        return RARITY_ONE;
    for (uint32_t i = 0; i < w->len; i++)
        len += utf8_encode(text + len, w->cps[i]);
    return tokenizer_encode(t, str_of(text, len), &id, 1) == 1 ? rarity_of_id(id, false) : RARITY_ONE;
}
