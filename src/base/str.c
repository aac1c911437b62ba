/* str.c - views of text. */
#include "base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool bytes_eq_nocase(const char *a, const char *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (a[i] != b[i] && lower((unsigned char)a[i]) != lower((unsigned char)b[i]))
            return false;
    }
    return true;
}

bool str_starts(str s, str prefix)
{
    return s.len >= prefix.len && str_eq(str_first(s, prefix.len), prefix);
}

bool str_starts_nocase(str s, str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_first(s, prefix.len), prefix);
}

bool str_ends(str s, str suffix)
{
    return s.len >= suffix.len && str_eq(str_from(s, s.len - suffix.len), suffix);
}

int str_cmp(str a, str b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int    c = n ? memcmp(a.ptr, b.ptr, n) : 0;

    if (c)
        return c;
    return (a.len > b.len) - (a.len < b.len);
}

size_t str_find(str s, char c)
{
    const char *p = s.len ? memchr(s.ptr, c, s.len) : NULL;

    return p ? (size_t)(p - s.ptr) : STR_NONE;
}

size_t str_find_str(str s, str needle)
{
    const char *p;

    if (needle.len == 0)
        return 0;
    if (s.len == 0)
        return STR_NONE;
    p = memmem(s.ptr, s.len, needle.ptr, needle.len);
    return p ? (size_t)(p - s.ptr) : STR_NONE;
}

size_t str_find_str_nocase(str s, str needle)
{
    for (size_t i = 0; i + needle.len <= s.len; i++) {
        if (str_eq_nocase(str_of(s.ptr + i, needle.len), needle))
            return i;
    }
    return STR_NONE;
}

bool str_has_break(str s)
{
    return str_find(s, '\r') != STR_NONE || str_find(s, '\n') != STR_NONE || str_find(s, 0) != STR_NONE;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

str str_trim(str s)
{
    while (s.len && is_blank(s.ptr[0]))
        s = str_from(s, 1);
    while (s.len && is_blank(s.ptr[s.len - 1]))
        s.len--;
    return s;
}

str str_cut(str *rest, char sep)
{
    size_t at = str_find(*rest, sep);
    str    head;

    if (at == STR_NONE) {
        head = *rest;
        *rest = str_from(*rest, rest->len);
        return head;
    }
    head = str_first(*rest, at);
    *rest = str_from(*rest, at + 1);
    return head;
}

bool str_to_u64(str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned digit = (unsigned)(unsigned char)s.ptr[i] - '0';

        if (digit > 9 || __builtin_mul_overflow(v, 10u, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *ret = v;
    return true;
}

bool str_to_i64(str s, int64_t *ret)
{
    bool     negative = s.len && s.ptr[0] == '-';
    uint64_t v;

    if (s.len && (s.ptr[0] == '-' || s.ptr[0] == '+'))
        s = str_from(s, 1);
    if (!str_to_u64(s, &v) || v > (uint64_t)INT64_MAX + negative)
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_to_f64(str s, double *ret)
{
    char   text[64];
    char  *end;
    double v;

    if (s.len == 0 || s.len >= sizeof(text))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = 0;
    if (strspn(text, "0123456789+-.eE") != s.len) /* strtod() reads also blanks, inf, nan and hexadecimal */
        return false;
    v = strtod(text, &end);
    if (end != text + s.len || !isfinite(v))
        return false;
    *ret = v;
    return true;
}

bool str_glob(str pattern, str text)
{
    size_t p = 0, t = 0, star = STR_NONE, mark = 0;

    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            mark = t;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++;
            t++;
        } else if (star != STR_NONE) {
            p = star + 1;
            t = ++mark;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*')
        p++;
    return p == pattern.len;
}

bool str_is_listed(str word, str list)
{
    while (list.len) {
        if (str_eq(str_cut(&list, ' '), word))
            return true;
    }
    return false;
}
