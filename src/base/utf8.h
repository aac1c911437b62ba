/* utf8.h - the encoding of all text on the wire. */
#ifndef DASHBOX_BASE_UTF8_H
#define DASHBOX_BASE_UTF8_H

#include "base/str.h"

/* Decodes one code point at `p` (at least one byte before `end`). Returns its length in bytes, 0 when it is not valid
 * UTF-8 (overlong, surrogate, above U+10FFFF, cut short). */
size_t utf8_decode(const char *p, const char *end, uint32_t *ret_cp);

/* Writes 1 to 4 bytes; returns how many. `cp` is a valid code point. */
size_t utf8_encode(char out[4], uint32_t cp);

bool utf8_valid(str s);
bool utf8_is_ascii(str s);

/* Code points in valid text; a broken byte counts as one. */
size_t utf8_count(str s);

/* Length of the longest prefix of at most `len` bytes that does not cut a code point in two. */
size_t utf8_cut(str s, size_t len);

#endif
