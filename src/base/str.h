/* str.h - a view of text: pointer and length, passed by value.
 *
 * A str never owns and promises no final NUL. It is valid as long as what it points into. The empty str may have a NULL
 * pointer.
 */
#ifndef DASHBOX_BASE_STR_H
#define DASHBOX_BASE_STR_H

#include "base/defs.h"

#include <string.h>

typedef struct {
    const char *ptr;
    size_t      len;
} str;

#define S(lit) ((str){ "" lit, sizeof(lit) - 1 })
/* For printf: "%.*s", STR_ARG(s). */
#define STR_ARG(s) (int)(s).len, (s).ptr

static inline str str_of(const char *ptr, size_t len)
{
    return (str){ ptr, len };
}

static inline str str_from_cstr(const char *cstr)
{
    return cstr ? (str){ cstr, strlen(cstr) } : (str){ 0 };
}

static inline bool str_eq(str a, str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* One past the last byte; NULL where ptr is (to which C17 does not let even 0 be added). */
static inline const char *str_end(str s)
{
    return s.len ? s.ptr + s.len : s.ptr;
}

static inline str str_from(str s, size_t start)
{
    return start < s.len ? (str){ s.ptr + start, s.len - start } : (str){ str_end(s), 0 };
}

static inline str str_first(str s, size_t len)
{
    return (str){ s.ptr, len < s.len ? len : s.len };
}

/* ASCII letters compare equal in both cases; other bytes as they are. */
bool               bytes_eq_nocase(const char *a, const char *b, size_t n);
static inline bool str_eq_nocase(str a, str b)
{
    return a.len == b.len && bytes_eq_nocase(a.ptr, b.ptr, a.len);
}
bool str_starts(str s, str prefix);
bool str_starts_nocase(str s, str prefix);
bool str_ends(str s, str suffix);
/* Byte order, shorter first on a tie: for qsort and bsearch. */
int str_cmp(str a, str b);

/* Index of the first `c` or of the first occurrence of `needle`; STR_NONE when there is none. */
#define STR_NONE SIZE_MAX
size_t str_find(str s, char c);
/* Whether the word stands in a list of words parted by single blanks. */
bool   str_is_listed(str word, str list);
size_t str_find_str(str s, str needle);
size_t str_find_str_nocase(str s, str needle);

/* A CR, LF or NUL is in it: bytes that some readers of lines cut at and others do not. */
bool str_has_break(str s);

/* Without leading and trailing blanks, tabs, CR and LF. */
str str_trim(str s);

/* Cuts the text before the first `sep` off *rest and returns it; *rest is left after the separator. Without a
 * separator all of it is returned and *rest becomes empty. */
str str_cut(str *rest, char sep);

/* Whether all of `text` fits a pattern in which * stands for any run of characters. */
bool str_glob(str pattern, str text);

/* All of `s` must be the number; leading zeros and a sign are accepted for i64. False on overflow or other text. A
 * fraction is
 * decimal, with or without an exponent. */
bool str_to_i64(str s, int64_t *ret);
bool str_to_u64(str s, uint64_t *ret);
bool str_to_f64(str s, double *ret);

#endif
