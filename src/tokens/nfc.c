/* nfc.c - normalises segment by segment: decomposes, sorts the marks, composes (Unicode, annex 15).
 *
 * A segment is a code point and those behind it that may join it. Clean segments, nearly all there are, are copied.
 *
 * Thread: any. Memory: a malloc for a segment of more than SEGMENT_SHORT code points; the time is linear for any text.
 */
#include "tokens/nfc.h"

#include "base/arena.h"
#include "base/utf8.h"

#include <stdlib.h>

#define SYLLABLE_FIRST 0xAC00u /* Hangul: leading × vowel × trailing */
#define SYLLABLE_LAST  0xD7A3u
#define LEADING_FIRST  0x1100u
#define LEADING_COUNT  19u
#define VOWEL_FIRST    0x1161u
#define VOWEL_COUNT    21u
#define TRAILING_FIRST 0x11A7u /* one before the first: no trailing consonant */
#define TRAILING_COUNT 28u

#define REPLACEMENT 0xFFFDu
#define CP_MASK     0x1FFFFFu
#define ORDER_SHIFT 24

size_t nfc_broken_len(const unsigned char *p, const unsigned char *end)
{
    unsigned char lo = 0x80, hi = 0xBF;
    size_t        full, n = 1;

    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 1;
    full = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        lo = 0xA0;
    else if (p[0] == 0xED)
        hi = 0x9F;
    else if (p[0] == 0xF0)
        lo = 0x90;
    else if (p[0] == 0xF4)
        hi = 0x8F;
    while (n < full && p + n < end && p[n] >= lo && p[n] <= hi) {
        lo = 0x80;
        hi = 0xBF;
        n++;
    }
    return n;
}

size_t nfc_clean_len(const struct tokenizer *t, const unsigned char *p, const unsigned char *end)
{
    const unsigned char *start = p, *segment = p;
    unsigned             order = 0; /* of the mark before, 0 when it is none */

    while (p < end) {
        uint32_t cp;
        size_t   n;
        unsigned form;

        if (*p < 0x80) {
            uint64_t a, b;

            while (end - p >= 16) {
                memcpy(&a, p, 8);
                memcpy(&b, p + 8, 8);
                if ((a | b) & 0x8080808080808080u)
                    break;
                p += 16;
            }
            while (p < end && *p < 0x80)
                p++;
            segment = p - 1;
            order = 0;
            continue;
        }
        n = utf8_decode((const char *)p, (const char *)end, &cp);
        if (UNLIKELY(n == 0))
            return (size_t)(p - start);
        form = class_of(t, cp) >> FORM_SHIFT;
        if (form == FORM_CLEAN) {
            segment = p;
            order = 0;
        } else {
            if (form == FORM_CHANGE || form - 1 < order)
                return (size_t)(segment - start);
            order = form - 1;
        }
        p += n;
    }
    return (size_t)(end - start);
}

static unsigned mark_order(const struct tokenizer *t, uint32_t cp)
{
    unsigned form = class_of(t, cp) >> FORM_SHIFT;
    size_t   lo = 0, hi = t->order_count;

    if (form != FORM_CHANGE)
        return form == FORM_CLEAN ? 0 : form - 1;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (t->orders[mid].last_order >> 8 < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->order_count && t->orders[lo].first <= cp ? t->orders[lo].last_order & 0xFF : 0;
}

/* Writes the canonical decomposition, at most 4 code points, each with its order above ORDER_SHIFT. */
static size_t decompose(const struct tokenizer *t, uint32_t cp, uint32_t out[4])
{
    size_t lo = 0, hi = t->decomposition_count;

    if (cp >= SYLLABLE_FIRST && cp <= SYLLABLE_LAST) {
        uint32_t i = cp - SYLLABLE_FIRST;

        out[0] = LEADING_FIRST + i / (VOWEL_COUNT * TRAILING_COUNT);
        out[1] = VOWEL_FIRST + i / TRAILING_COUNT % VOWEL_COUNT;
        out[2] = TRAILING_FIRST + i % TRAILING_COUNT;
        return i % TRAILING_COUNT ? 3 : 2;
    }
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (t->decompositions[mid].cp < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < t->decomposition_count && t->decompositions[lo].cp == cp) {
        size_t          count = t->decompositions[lo].parts >> 24;
        const uint32_t *parts = t->code_points + (t->decompositions[lo].parts & 0xFFFFFF);

        for (size_t i = 0; i < count; i++)
            out[i] = parts[i] | mark_order(t, parts[i]) << ORDER_SHIFT;
        return count;
    }
    out[0] = cp | mark_order(t, cp) << ORDER_SHIFT;
    return 1;
}

/* The code point that the two make together, 0 for none. */
static uint32_t compose(const struct tokenizer *t, uint32_t first, uint32_t second)
{
    size_t lo = 0, hi = t->composition_count;

    if (first - LEADING_FIRST < LEADING_COUNT && second - VOWEL_FIRST < VOWEL_COUNT)
        return SYLLABLE_FIRST + ((first - LEADING_FIRST) * VOWEL_COUNT + second - VOWEL_FIRST) * TRAILING_COUNT;
    if (first >= SYLLABLE_FIRST && first <= SYLLABLE_LAST && (first - SYLLABLE_FIRST) % TRAILING_COUNT == 0 &&
        second - TRAILING_FIRST - 1 < TRAILING_COUNT - 1)
        return first + second - TRAILING_FIRST;
    while (lo < hi) {
        size_t                    mid = (lo + hi) / 2;
        const struct composition *c = &t->compositions[mid];

        if (c->first < first || (c->first == first && c->second < second))
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < t->composition_count && t->compositions[lo].first == first && t->compositions[lo].second == second)
        return t->compositions[lo].made;
    return 0;
}

#define SORT_INSERTION_MAX 32

/* Sorts a run of marks by their order; marks of one order keep theirs. A peer may send a run of any length, so that
 * long ones are counted out. */
static void sort_marks(uint32_t *marks, size_t n)
{
    size_t    starts[257] = { 0 };
    uint32_t *sorted;

    if (n <= SORT_INSERTION_MAX) {
        for (size_t i = 1; i < n; i++) {
            uint32_t mark = marks[i];
            size_t   at = i;

            while (at > 0 && marks[at - 1] >> ORDER_SHIFT > mark >> ORDER_SHIFT) {
                marks[at] = marks[at - 1];
                at--;
            }
            marks[at] = mark;
        }
        return;
    }
    sorted = xmalloc(mul_size_or_die(n, sizeof(*sorted)));
    for (size_t i = 0; i < n; i++)
        starts[(marks[i] >> ORDER_SHIFT) + 1]++;
    for (size_t i = 1; i < ARRAY_LEN(starts); i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < n; i++)
        sorted[starts[marks[i] >> ORDER_SHIFT]++] = marks[i];
    memcpy(marks, sorted, n * sizeof(*sorted));
    free(sorted);
}

/* Sorts and composes the decomposed code points of a segment in place; returns how many are left. */
static size_t segment_compose(const struct tokenizer *t, uint32_t *cps, size_t n)
{
    size_t   starter = SIZE_MAX, made = 0;
    unsigned between = 0; /* order of the last mark kept since the starter, 0 when there is none */

    for (size_t i = 0; i < n;) {
        size_t first = i;

        while (i < n && cps[i] >> ORDER_SHIFT)
            i++;
        if (i - first > 1)
            sort_marks(cps + first, i - first);
        if (i == first)
            i++;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t cp = cps[i] & CP_MASK;
        unsigned order = cps[i] >> ORDER_SHIFT;

        /* A mark reaches the starter unless one of its own order is in between, another starter only from beside. */
        if (starter != SIZE_MAX && (between == 0 || between < order)) {
            uint32_t both = compose(t, cps[starter] & CP_MASK, cp);

            if (both) {
                cps[starter] = both;
                continue;
            }
        }
        if (order == 0) {
            starter = made;
            between = 0;
        } else {
            between = order;
        }
        cps[made++] = cps[i];
    }
    return made;
}

/* Normalises the segment at `*p`: one code point and those behind it that may join it. Returns the bytes written. */
#define SEGMENT_SHORT 16 /* code points */
static size_t segment_normalise(const struct tokenizer *t, const unsigned char **p, const unsigned char *end, char *out)
{
    const unsigned char *q = *p, *next = q;
    uint32_t             few[4 * SEGMENT_SHORT], *cps = few;
    size_t               count = 0, n = 0, len = 0;
    uint32_t             cp;

    while (next < end) {
        size_t step = utf8_decode((const char *)next, (const char *)end, &cp);

        if (count > 0 && (step == 0 || class_of(t, cp) >> FORM_SHIFT == FORM_CLEAN))
            break;
        count++;
        if (step == 0) {
            next += nfc_broken_len(next, end);
            *p = next;
            return utf8_encode(out, REPLACEMENT);
        }
        next += step;
    }
    if (count > SEGMENT_SHORT)
        cps = xmalloc(mul_size_or_die(count, 4 * sizeof(*cps)));
    while (q < next)
        n += decompose(t, next_cp(&q), cps + n);
    n = segment_compose(t, cps, n);
    for (size_t i = 0; i < n; i++)
        len += utf8_encode(out + len, cps[i] & CP_MASK);
    if (cps != few)
        free(cps);
    *p = next;
    return len;
}

size_t nfc_write_max(size_t len)
{
    return mul_size_or_die(len, 3);
}

const unsigned char *nfc_write(const struct tokenizer *t, const unsigned char *p, const unsigned char *end, char *out,
                               size_t stop, size_t *ret_len)
{
    size_t len = 0;

    while (p < end && len < stop) {
        size_t               span = nfc_clean_len(t, p, end);
        const unsigned char *next = p;
        size_t               n;

        if (span > stop - len)
            span = stop - len;
        if (span) {
            memcpy(out + len, p, span);
            p += span;
            len += span;
            continue;
        }
        n = segment_normalise(t, &next, end, out + len);
        if (n > stop - len)
            break;
        p = next;
        len += n;
    }
    *ret_len = len;
    return p;
}

str nfc_text(const struct tokenizer *t, str text, char small[NFC_SMALL], char **ret_heap)
{
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    char                *out = small;
    size_t               len, max;

    *ret_heap = NULL;
    if (LIKELY(nfc_clean_len(t, p, end) == text.len))
        return text;
    max = nfc_write_max(text.len);
    if (max > NFC_SMALL)
        out = *ret_heap = xmalloc(max);
    nfc_write(t, p, end, out, SIZE_MAX, &len);
    return str_of(out, len);
}
