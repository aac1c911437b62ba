/* words.c - folds and cuts. */
#include "engine/lexical/words.h"

#include "base/utf8.h"

#define SEED_TERM 1

enum script { SIGN, LETTER, RUN };

static bool within(uint32_t c, uint32_t first, uint32_t last)
{
    return c - first <= last - first;
}

/* Case of Latin, Greek and Cyrillic; the full-width forms of ASCII. */
static uint32_t fold(uint32_t c)
{
    if (within(c, 0xFF01, 0xFF5E))
        c -= 0xFEE0;
    if (within(c, 'A', 'Z') || (within(c, 0xC0, 0xDE) && c != 0xD7) || within(c, 0x391, 0x3A9) ||
        within(c, 0x410, 0x42F))
        return c + 0x20;
    if (within(c, 0x400, 0x40F))
        return c + 0x50;
    if (within(c, 0x100, 0x137) || within(c, 0x14A, 0x177) || within(c, 0x460, 0x481) || within(c, 0x48A, 0x4BF))
        return c | 1; /* pairs: the even one is the capital */
    if (within(c, 0x139, 0x148) || within(c, 0x179, 0x17E))
        return c + (c & 1); /* … and the odd one */
    return c;
}

static enum script script_of(uint32_t c)
{
    if (c < 0x80)
        return within(c, 'a', 'z') || within(c, '0', '9') ? LETTER : SIGN;
    if (within(c, 0x3041, 0x30FF) || within(c, 0x3400, 0x4DBF) || within(c, 0x4E00, 0x9FFF) ||
        within(c, 0xAC00, 0xD7A3) || within(c, 0xF900, 0xFAFF) || within(c, 0x20000, 0x3FFFF))
        return c == 0x30FB ? SIGN : RUN;
    if (within(c, 0x80, 0xA9) || within(c, 0xAB, 0xB4) || within(c, 0xB6, 0xB9) || within(c, 0xBB, 0xBF) || c == 0xD7 ||
        c == 0xF7 || within(c, 0x2000, 0x2BFF) || within(c, 0x2E00, 0x2E7F) || within(c, 0x3000, 0x3040) ||
        within(c, 0xFE30, 0xFE6F) || within(c, 0xFF00, 0xFF65))
        return SIGN;
    return LETTER;
}

void words_read(struct arena *a, str text, struct words *ret)
{
    uint32_t   *cps = arena_alloc(a, mul_size_or_die(text.len + 1, sizeof(*cps)));
    const char *p = text.ptr, *end = str_end(text);
    enum script last = SIGN;
    size_t      count = 0, n = 0;

    while (p < end) { /* signs become 0, and so part what they stand between */
        uint32_t    c = 0;
        size_t      len = utf8_decode(p, end, &c);
        enum script k;

        c = len ? fold(c) : ' ';
        k = script_of(c);
        count += k != SIGN && k != last;
        cps[n++] = k == SIGN ? 0 : c;
        last = k;
        p += len ? len : 1;
    }
    ret->all = arena_array(a, struct word, count);
    ret->count = 0;
    last = SIGN;
    for (size_t i = 0; i < n; i++) {
        enum script k = cps[i] ? script_of(cps[i]) : SIGN;

        if (k != SIGN && k != last)
            ret->all[ret->count++] = (struct word){ .cps = cps + i, .run = k == RUN };
        if (k != SIGN)
            ret->all[ret->count - 1].len++;
        last = k;
    }
}

/* FNV-1a over code points, and the last steps of splitmix64, which spread it over all bits. */
static uint64_t spread(uint64_t h)
{
    h = (h ^ h >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    h = (h ^ h >> 27) * UINT64_C(0x94D049BB133111EB);
    return h ^ h >> 31;
}

static uint64_t step(uint64_t h, uint32_t c)
{
    return (h ^ c) * UINT64_C(0x100000001B3);
}

static uint64_t begin(uint64_t seed)
{
    return step(UINT64_C(0xCBF29CE484222325), (uint32_t)seed);
}

uint64_t word_hash(const uint32_t *cps, size_t len, uint64_t seed)
{
    uint64_t h = begin(seed);

    for (size_t i = 0; i < len; i++)
        h = step(h, cps[i]);
    return spread(h);
}

static bool ends(const uint32_t *cps, size_t len, const char *ending)
{
    size_t n = strlen(ending);

    if (len < n + 3) /* something must be left of a word */
        return false;
    for (size_t i = 0; i < n; i++) {
        if (cps[len - n + i] != (unsigned char)ending[i])
            return false;
    }
    return true;
}

/* "str" of "string" is no word. */
static bool has_vowel(const uint32_t *cps, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (within(cps[i], 'a', 'z') && strchr("aeiouy", (int)cps[i]))
            return true;
    }
    return false;
}

uint64_t word_stem(const struct word *w)
{
    const uint32_t *cps = w->cps;
    size_t          len = w->len;
    uint64_t        h = begin(SEED_TERM);
    bool            y = false;

    if (ends(cps, len, "ies")) {
        len -= 3;
        y = true;
    } else if (ends(cps, len, "sses") || ends(cps, len, "shes") || ends(cps, len, "ches") || ends(cps, len, "xes")) {
        len -= 2;
    } else if (ends(cps, len, "s") && cps[len - 2] != 's' && cps[len - 2] != 'u') {
        len--;
    }
    if (ends(cps, len, "ing") && has_vowel(cps, len - 3))
        len -= 3;
    else if (ends(cps, len, "ed") && has_vowel(cps, len - 2))
        len -= 2;
    if (ends(cps, len, "y")) {
        len--;
        y = true;
    } else if (ends(cps, len, "e")) {
        len--;
    }
    if (len > 3 && cps[len - 1] == cps[len - 2] && within(cps[len - 1], 'a', 'z') && cps[len - 1] != 's')
        len--; /* running, run */
    for (size_t i = 0; i < len; i++)
        h = step(h, cps[i]);
    return spread(y ? step(h, 'y') : h);
}

void words_terms(const struct words *ws, void (*fn)(void *arg, uint64_t term), void *arg)
{
    for (size_t i = 0; i < ws->count; i++) {
        const struct word *w = &ws->all[i];

        if (!w->run || w->len == 1)
            fn(arg, word_stem(w));
        for (uint32_t k = 0; w->run && k + 1 < w->len; k++)
            fn(arg, word_hash(w->cps + k, 2, SEED_TERM));
    }
}
