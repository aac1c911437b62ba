/* utf8.c - UTF-8 by RFC 3629. */
#include "base/utf8.h"

size_t utf8_decode(const char *ptr, const char *end, uint32_t *ret_cp)
{
    const unsigned char *p = (const unsigned char *)ptr;
    size_t               room = (size_t)(end - ptr);
    uint32_t             cp;

    if (p[0] < 0x80) {
        *ret_cp = p[0];
        return 1;
    }
    if (p[0] < 0xC2)
        return 0;
    if (p[0] < 0xE0) {
        if (room < 2 || (p[1] & 0xC0) != 0x80)
            return 0;
        *ret_cp = (uint32_t)(p[0] & 0x1F) << 6 | (p[1] & 0x3F);
        return 2;
    }
    if (p[0] < 0xF0) {
        if (room < 3 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80)
            return 0;
        cp = (uint32_t)(p[0] & 0x0F) << 12 | (uint32_t)(p[1] & 0x3F) << 6 | (p[2] & 0x3F);
        if (cp < 0x800 || (cp >= 0xD800 && cp <= 0xDFFF))
            return 0;
        *ret_cp = cp;
        return 3;
    }
    if (p[0] > 0xF4 || room < 4 || (p[1] & 0xC0) != 0x80 || (p[2] & 0xC0) != 0x80 || (p[3] & 0xC0) != 0x80)
        return 0;
    cp = (uint32_t)(p[0] & 0x07) << 18 | (uint32_t)(p[1] & 0x3F) << 12 | (uint32_t)(p[2] & 0x3F) << 6 | (p[3] & 0x3F);
    if (cp < 0x10000 || cp > 0x10FFFF)
        return 0;
    *ret_cp = cp;
    return 4;
}

size_t utf8_encode(char out[4], uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xC0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3F));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xE0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3F));
        out[2] = (char)(0x80 | (cp & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3F));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3F));
    out[3] = (char)(0x80 | (cp & 0x3F));
    return 4;
}

bool utf8_valid(str s)
{
    const char *p = s.ptr, *end = str_end(s);

    if (utf8_is_ascii(s)) /* of many bytes at a time */
        return true;
    while (p < end) {
        uint32_t cp;
        size_t   n = utf8_decode(p, end, &cp);

        if (n == 0)
            return false;
        p += n;
    }
    return true;
}

bool utf8_is_ascii(str s)
{
    unsigned char all = 0;

    for (size_t i = 0; i < s.len; i++)
        all |= (unsigned char)s.ptr[i];
    return all < 0x80;
}

size_t utf8_count(str s)
{
    const char *p = s.ptr, *end = str_end(s);
    size_t      count = 0;

    while (p < end) {
        uint32_t cp;
        size_t   n = utf8_decode(p, end, &cp);

        p += n ? n : 1;
        count++;
    }
    return count;
}

size_t utf8_cut(str s, size_t len)
{
    if (len >= s.len)
        return s.len;
    while (len > 0 && ((unsigned char)s.ptr[len] & 0xC0) == 0x80)
        len--;
    return len;
}
