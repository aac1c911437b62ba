/* nfc.h - texts in Unicode form NFC, with U+FFFD for every broken piece of UTF-8. For the tokenizer alone: the properties
 * of code points are in its table.
 */
#ifndef DASHBOX_TOKENS_NFC_H
#define DASHBOX_TOKENS_NFC_H

#include "tokens/table.h"

/* The text in NFC: itself, or made in `small`, or in *ret_heap, to be freed by the caller. */
#define NFC_SMALL 1024
str nfc_text(const struct tokenizer *t, str text, char small[NFC_SMALL], char **ret_heap);

/* How many bytes from `p` are surely valid and in NFC, ending where a segment ends: before a code point that neither
 * joins what is before it nor is changed by it. */
size_t nfc_clean_len(const struct tokenizer *t, const unsigned char *p, const unsigned char *end);

/* Writes the text from `p` on in NFC until what was written reaches `stop` bytes; returns where in the text that is and
 * sets *ret_len. Stops before a segment that would go beyond. */
const unsigned char *nfc_write(const struct tokenizer *t, const unsigned char *p, const unsigned char *end, char *out,
                               size_t stop, size_t *ret_len);
/* Room for any normalised text: a code point in NFC, and U+FFFD for a byte, is at most three times as long. */
size_t nfc_write_max(size_t len);

/* Length of the broken piece at `p` that one U+FFFD stands for: the longest beginning of a character, or one byte
 * (Unicode 3.9, "maximal subpart"). */
size_t nfc_broken_len(const unsigned char *p, const unsigned char *end);

#endif
