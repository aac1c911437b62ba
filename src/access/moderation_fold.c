/* moderation_fold.c - full width and capitals.
 *
 * Code point by code point, without looking at neighbours, so that a text folds to the same however it is cut. That leaves
 * out what needs neighbours or makes several of one: composed and decomposed accents, katakana of half width, ß.
 */
#include "access/moderation_fold.h"

#include "base/utf8.h"

/* Of `first`, `first` + `step` … `last` each becomes itself + `delta`. Sorted. */
static const struct fold_range {
    uint32_t first, last;
    uint32_t step;
    int32_t  delta;
} ranges[] = {
    /* Latin */
    { 'A', 'Z', 1, 32 },
    { 0x00C0, 0x00D6, 1, 32 },
    { 0x00D8, 0x00DE, 1, 32 },
    { 0x0100, 0x012E, 2, 1 },
    { 0x0132, 0x0136, 2, 1 },
    { 0x0139, 0x0147, 2, 1 },
    { 0x014A, 0x0176, 2, 1 },
    { 0x0178, 0x0178, 1, -121 },
    { 0x0179, 0x017D, 2, 1 },
    { 0x01CD, 0x01DB, 2, 1 },
    { 0x01DE, 0x01EE, 2, 1 },
    { 0x01F8, 0x021E, 2, 1 },
    { 0x0222, 0x0232, 2, 1 },
    /* Greek */
    { 0x0386, 0x0386, 1, 38 },
    { 0x0388, 0x038A, 1, 37 },
    { 0x038C, 0x038C, 1, 64 },
    { 0x038E, 0x038F, 1, 63 },
    { 0x0391, 0x03A1, 1, 32 },
    { 0x03A3, 0x03AB, 1, 32 },
    /* Cyrillic */
    { 0x0400, 0x040F, 1, 80 },
    { 0x0410, 0x042F, 1, 32 },
    { 0x0460, 0x0480, 2, 1 },
    { 0x048A, 0x04BE, 2, 1 },
    { 0x04C0, 0x04C0, 1, 15 },
    { 0x04C1, 0x04CD, 2, 1 },
    { 0x04D0, 0x052E, 2, 1 },
    /* Armenian */
    { 0x0531, 0x0556, 1, 48 },
    /* Latin again, as Vietnamese has it */
    { 0x1E00, 0x1E94, 2, 1 },
    { 0x1EA0, 0x1EFE, 2, 1 },
    /* numerals; letters in circles */
    { 0x2160, 0x216F, 1, 16 },
    { 0x24B6, 0x24CF, 1, 26 },
    /* full width */
    { 0x3000, 0x3000, 1, ' ' - 0x3000 },
    { 0xFF01, 0xFF20, 1, '!' - 0xFF01 },
    { 0xFF21, 0xFF3A, 1, 'a' - 0xFF21 },
    { 0xFF3B, 0xFF5E, 1, '[' - 0xFF3B },
};

uint32_t fold_code_point(uint32_t cp)
{
    size_t low = 0, high = ARRAY_LEN(ranges);

    if (cp < 'A' || (cp > 0x3000 && cp < 0xFF01) || cp > 0xFF5E)
        return cp;
    while (low < high) {
        size_t                   mid = (low + high) / 2;
        const struct fold_range *r = &ranges[mid];

        if (cp < r->first)
            high = mid;
        else if (cp > r->last)
            low = mid + 1;
        else
            return (cp - r->first) % r->step ? cp : (uint32_t)((int32_t)cp + r->delta);
    }
    return cp;
}

uint32_t fold_next(uint32_t cp)
{
    for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
        if (cp <= ranges[i].last)
            return cp > ranges[i].first ? cp : ranges[i].first;
    return UINT32_MAX;
}

/* Sixteen ASCII characters at once: adds 32 to those from A to Z. False, and nothing is written: they are not all ASCII. */
static inline bool fold_sixteen(const char *p, char *to)
{
    typedef unsigned char sixteen __attribute__((vector_size(16)));
    sixteen               v, is_capital;
    uint64_t              halves[2];

    memcpy(halves, p, 16);
    if ((halves[0] | halves[1]) & 0x8080808080808080u)
        return false;
    memcpy(&v, p, 16);
    is_capital = (sixteen)(v - 'A' < (unsigned char)26);
    v += is_capital & 32;
    memcpy(to, &v, 16);
    return true;
}

/* Whether more bytes could make a code point of these, which are none yet. */
static bool is_begun(const unsigned char *p, size_t len)
{
    size_t need = p[0] < 0xC2 || p[0] > 0xF4 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;

    if (len >= need)
        return false;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return false;
    return true;
}

static void drop_waiting(struct fold *f, size_t n)
{
    f->waiting_count = (unsigned char)(f->waiting_count - n);
    memmove(f->waiting, f->waiting + n, f->waiting_count);
}

/* Writes what of the waiting bytes is decided; at `end` all is. */
static char *settle(struct fold *f, bool end, char *out)
{
    while (f->waiting_count) {
        const char *p = (const char *)f->waiting;
        uint32_t    cp = 0;
        size_t      n = utf8_decode(p, p + f->waiting_count, &cp);

        if (n == 0 && !end && is_begun(f->waiting, f->waiting_count))
            break;
        out += utf8_encode(out, n ? fold_code_point(cp) : 0xFFFD);
        drop_waiting(f, n ? n : 1);
    }
    return out;
}

/* The code points from U+4000 to U+CFFF, most hanzi and hangul: valid as they stand, and none of them folds. */
static inline bool is_plain_three(const char *p)
{
    const unsigned char *u = (const unsigned char *)p;

    return u[0] >= 0xE4 && u[0] <= 0xEC && (u[1] & 0xC0) == 0x80 && (u[2] & 0xC0) == 0x80;
}

size_t fold_run(struct fold *f, str *rest, char out[FOLD_RUN])
{
    const char *p = rest->ptr, *end = str_end(*rest);
    char       *to = out, *full = out + FOLD_RUN - 16; /* so much is written at most at a time */

    while (p < end && to <= full) {
        uint32_t cp;
        size_t   n;

        if (UNLIKELY(f->waiting_count)) {
            f->waiting[f->waiting_count++] = (unsigned char)*p++;
            to = settle(f, false, to);
            continue;
        }
        if (end - p >= 16 && fold_sixteen(p, to)) {
            p += 16;
            to += 16;
            continue;
        }
        if ((unsigned char)*p < 0x80) {
            *to++ = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
            p++;
            continue;
        }
        if (end - p >= 3 && is_plain_three(p)) {
            memcpy(to, p, 3);
            p += 3;
            to += 3;
            continue;
        }
        n = utf8_decode(p, end, &cp);
        if (UNLIKELY(n == 0)) {
            f->waiting[f->waiting_count++] = (unsigned char)*p++;
            to = settle(f, false, to);
            continue;
        }
        to += utf8_encode(to, fold_code_point(cp));
        p += n;
    }
    *rest = str_of(p, (size_t)(end - p));
    return (size_t)(to - out);
}

size_t fold_end(struct fold *f, char out[FOLD_RUN])
{
    return (size_t)(settle(f, true, out) - out);
}
