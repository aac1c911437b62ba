/* pattern.h - texts that match a regular expression.
 *
 * For "pattern" in a JSON schema: ECMA-262 with literals, classes, groups, alternation, quantifiers, anchors, escapes and
 * the common \p{…}. What needs more than reading from left to right (look-around, back references) is not understood.
 */
#ifndef DASHBOX_ENGINE_STANDIN_PATTERN_H
#define DASHBOX_ENGINE_STANDIN_PATTERN_H

#include "base/buf.h"

/* Adds a text of `min` to `max` characters to *out; *dice decides where the pattern leaves a choice. False, and *out as
 * it was, when the pattern is not understood or no text of that length was found. The work is taken off *fuel, and ends
 * when that is below zero. */
bool pattern_text(str pattern, size_t min, size_t max, uint64_t *dice, int64_t *fuel, struct buf *out);

enum pattern_answer { PATTERN_DIFFERS, PATTERN_MATCHES, PATTERN_UNKNOWN };

/* Whether the pattern is found in the text; unknown when it is not understood or the fuel does not suffice. */
enum pattern_answer pattern_match(str pattern, str text, int64_t *fuel);

#endif
