/* num.c - numbers as text. */
#include "base/num.h"

#include <string.h>

size_t num_format(char text[NUM_TEXT_MAX], int64_t v)
{
    char     digits[NUM_TEXT_MAX];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    size_t   n = sizeof(digits), len;

    while (u >= 100) {
        unsigned pair = (unsigned)(u % 100);

        u /= 100;
        digits[--n] = (char)('0' + pair % 10);
        digits[--n] = (char)('0' + pair / 10);
    }
    if (u >= 10)
        digits[--n] = (char)('0' + u % 10);
    digits[--n] = (char)('0' + (u >= 10 ? u / 10 : u));
    if (v < 0)
        digits[--n] = '-';
    len = sizeof(digits) - n;
    memcpy(text, digits + n, len);
    return len;
}

void num_hex(char *text, const void *bytes, size_t n)
{
    static const char    digits[] = "0123456789abcdef";
    const unsigned char *p = bytes;

    for (size_t i = 0; i < n; i++) {
        text[2 * i] = digits[p[i] >> 4];
        text[2 * i + 1] = digits[p[i] & 15];
    }
}
