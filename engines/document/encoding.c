/* encoding.c - detection by counting, conversion by iconv. */
#include "engines/document/encoding.h"

#include "base/num.h"
#include "base/utf8.h"

#include <errno.h>
#include <iconv.h>

#define SAMPLE_MAX   ((size_t)1024 * 1024) /* bytes that are counted */
#define COMMON_MIN   70                    /* of 100 characters beyond ASCII */
#define CONTROLS_MAX 50                    /* one control character in so many bytes is still text */

/* Rows of a double-byte encoding in which the common characters are: first bytes, and second bytes. */
struct rows {
    unsigned char first_min, first_max, second_min, second_max;
};

enum encoding { UTF8, UTF16LE, UTF16BE, UTF32LE, UTF32BE, EUC_KR, EUC_JP, SHIFT_JIS, BIG5, GB18030, WINDOWS_1252 };

/* Of equals the first wins: the one with fewer rows. */
static const struct {
    const char *name;
    struct rows common[3];
} encodings[] = {
    [UTF8] = { "UTF-8" },
    [UTF16LE] = { "UTF-16LE" },
    [UTF16BE] = { "UTF-16BE" },
    [UTF32LE] = { "UTF-32LE" },
    [UTF32BE] = { "UTF-32BE" },
    [EUC_KR] = { "CP949", { { 0xb0, 0xc8, 0xa1, 0xfe } } }, /* hangul */
    [EUC_JP] = { "EUC-JP", { { 0xa1, 0xa1, 0xa1, 0xfe }, { 0xa4, 0xa5, 0xa1, 0xfe }, { 0xb0, 0xcf, 0xa1, 0xfe } } },
    [SHIFT_JIS] = { "CP932", { { 0x81, 0x81, 0x40, 0xfc }, { 0x82, 0x83, 0x40, 0xfc }, { 0x88, 0x97, 0x40, 0xfc } } },
    [BIG5] = { "BIG5-HKSCS", { { 0xa1, 0xa3, 0x40, 0xfe }, { 0xa4, 0xc6, 0x40, 0xfe } } },
    [GB18030] = { "GB18030", { { 0xa1, 0xa3, 0xa1, 0xfe }, { 0xb0, 0xd7, 0xa1, 0xfe } } },
    [WINDOWS_1252] = { "CP1252" },
};

static iconv_t converters[ARRAY_LEN(encodings)];

void encoding_begin(void)
{
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        converters[i] = iconv_open("UTF-8", encodings[i].name);
        if (converters[i] == (iconv_t)-1)
            fprintf(stderr, "dashbox-document: no converter from %s\n", encodings[i].name);
    }
}

/* ---- which one ---- */

static bool bom_find(str s, enum encoding *ret, size_t *ret_len)
{
    static const struct {
        str           mark;
        enum encoding encoding;
    } marks[] = { { { "\xef\xbb\xbf", 3 }, UTF8 },
                  { { "\xff\xfe\0\0", 4 }, UTF32LE },
                  { { "\0\0\xfe\xff", 4 }, UTF32BE },
                  { { "\xff\xfe", 2 }, UTF16LE },
                  { { "\xfe\xff", 2 }, UTF16BE } };

    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        if (str_starts(s, marks[i].mark)) {
            *ret = marks[i].encoding;
            *ret_len = marks[i].mark.len;
            return true;
        }
    }
    return false;
}

/* UTF-8 in which at most one of twenty characters beyond ASCII is broken. */
static bool is_utf8(str s)
{
    const char *p = s.ptr, *end = str_end(s);
    size_t      good = 0, broken = 0;

    while (p < end) {
        uint32_t cp;
        size_t   n = utf8_decode(p, end, &cp);

        good += n > 1;
        broken += n == 0 && end - p >= 4; /* the sample may cut the last one */
        p += n ? n : 1;
    }
    return broken * 20 <= good;
}

/* ASCII letters have their zero at the odd places of UTF-16LE. 0: no UTF-16. */
static enum encoding utf16_find(str s)
{
    size_t zeros[2] = { 0 };

    for (size_t i = 0; i < s.len; i++)
        zeros[i % 2] += s.ptr[i] == 0;
    if (zeros[1] > 10 * zeros[0] && 20 * zeros[1] >= s.len)
        return UTF16LE;
    if (zeros[0] > 10 * zeros[1] && 20 * zeros[0] >= s.len)
        return UTF16BE;
    return UTF8;
}

static bool has_controls(str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];

        if (c == 0)
            return true;
        n += c < ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f' && c != 0x1b;
    }
    return n * CONTROLS_MAX > s.len;
}

static bool is_common(const struct rows *rows, unsigned char first, unsigned char second)
{
    for (size_t i = 0; i < 3; i++) {
        if (rows[i].first_min && first >= rows[i].first_min && first <= rows[i].first_max &&
            second >= rows[i].second_min && second <= rows[i].second_max && second != 0x7f)
            return true;
    }
    return false;
}

/* Of 100 characters beyond ASCII so many are common ones. One that stands alone between ASCII is a Western letter, not a
 * word of East Asia. */
static size_t common_count(str s, const struct rows *rows)
{
    size_t all = 0, common = 0, run = 0, run_common = 0;

    for (size_t i = 0; i < s.len;) {
        unsigned char first = (unsigned char)s.ptr[i], second = i + 1 < s.len ? (unsigned char)s.ptr[i + 1] : 0;

        if (first < 0x80) {
            common += run > 1 ? run_common : 0;
            run = run_common = 0;
            i++;
            continue;
        }
        all++;
        run++;
        run_common += is_common(rows, first, second);
        i += second >= 0x40 && first != 0x80 && first != 0xff ? 2 : 1;
    }
    common += run > 1 ? run_common : 0;
    return all ? common * 100 / all : 0;
}

static enum encoding asian_find(str s)
{
    enum encoding best = WINDOWS_1252;
    size_t        best_count = COMMON_MIN - 1;

    for (enum encoding e = EUC_KR; e <= GB18030; e++) {
        size_t n = common_count(s, encodings[e].common);

        if (n > best_count) {
            best = e;
            best_count = n;
        }
    }
    return best;
}

/* ---- conversion ---- */

static void convert(iconv_t c, str bytes, struct buf *b)
{
    char  *in = (char *)bytes.ptr; /* iconv's interface; it is not written to */
    size_t left = bytes.len;

    (void)iconv(c, NULL, NULL, NULL, NULL);
    while (left) {
        char   piece[4096], *to = piece;
        size_t room = sizeof(piece);
        bool   bad = iconv(c, &in, &left, &to, &room) == (size_t)-1 && errno != E2BIG;

        buf_add_bytes(b, piece, sizeof(piece) - room);
        if (bad) {
            buf_add(b, S("\xef\xbf\xbd"));
            in++;
            left--;
        }
    }
}

bool encoding_to_utf8(str bytes, struct buf *b, str *ret)
{
    str           sample = str_first(bytes, SAMPLE_MAX);
    enum encoding e = UTF8;
    size_t        mark = 0;

    if (!bom_find(bytes, &e, &mark)) {
        e = utf16_find(sample);
        if (e == UTF8 && has_controls(sample))
            return false;
        if (e == UTF8 && !is_utf8(sample))
            e = asian_find(sample);
    }
    bytes = str_from(bytes, mark);
    if (e != UTF8 && converters[e] == (iconv_t)-1)
        return false;
    if (e != UTF8)
        convert(converters[e], bytes, b);
    *ret = e == UTF8 ? bytes : buf_str(b);
    return true;
}
