/* json.h - JSON on the wire: yyjson reads, this writes.
 *
 * Reading happens in place: the texts of a document are views into the bytes it was parsed from, which must live as long.
 * yyjson checks UTF-8 and does not recurse, so depth cannot break a fiber's stack.
 */
#ifndef DASHBOX_CONTRACT_JSON_H
#define DASHBOX_CONTRACT_JSON_H

#include "base/buf.h"

#include <yyjson.h>

/* Parses in place; `text` has at least YYJSON_PADDING_SIZE writable bytes behind it (HTTP_BODY_PADDING does). Memory for
 * the values comes from the arena. NULL when it is not JSON. */
yyjson_val *json_parse(struct arena *a, char *text, size_t len);

/* The same for text that is not ours to change. */
yyjson_val *json_parse_copy(struct arena *a, str text);

/* The member, NULL when `obj` is no object, has none of that name, or has null there. */
static inline yyjson_val *json_get(yyjson_val *obj, const char *name)
{
    yyjson_val *v = yyjson_obj_getn(obj, name, strlen(name));

    return yyjson_is_null(v) ? NULL : v;
}

/* Empty when `v` is NULL or no string. */
static inline str json_str(yyjson_val *v)
{
    /* yyjson_get_len() of an array or object is the number of its members */
    return yyjson_is_str(v) ? str_of(unsafe_yyjson_get_str(v), unsafe_yyjson_get_len(v)) : (str){ 0 };
}

/* A whole number: integers, and floats without a fraction that an int64 holds. */
bool json_to_i64(yyjson_val *v, int64_t *ret);
bool json_to_num(yyjson_val *v, double *ret);

/* The value as minified JSON text, in the arena. */
str json_text(struct arena *a, yyjson_val *v);

/* ---- writing ---- */

/* The text as a JSON string with its quotes. */
void json_add_str(struct buf *b, str s);
/* The inside of a JSON string, for texts that are written in pieces. */
void json_add_escaped(struct buf *b, str s);
/* A text that may be cut inside of a character, such as a token: U+FFFD for each byte that is no UTF-8. */
void json_add_lossy(struct buf *b, str s);
/* A member whose key, with its punctuation, is `before`. */
void json_add_count(struct buf *b, str before, int64_t count);
/* How much of the text, from its start, stands in a JSON string as it is. */
size_t json_plain_len(str s);
/* Shortest decimal that reads back the same. */
void json_add_num(struct buf *b, double v);
/* Many, as an array. None of them is infinite or no number. */
void json_add_nums(struct buf *b, const double *v, size_t count);

#endif
