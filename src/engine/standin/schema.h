/* schema.h - an instance of a JSON schema.
 *
 * What the stand-in answers to response_format json_schema and as the arguments of a forced tool call. The instance is
 * made up, follows from the seed, and is valid: it is checked before it is given out. Understood are type (lists too),
 * enum, const, $ref into the schema (recursive ones end), allOf, anyOf, oneOf, not, if/then/else; objects with
 * properties, required, additionalProperties, propertyNames, min/maxProperties, dependentRequired; arrays with items,
 * prefixItems, contains, uniqueItems, min/maxItems; strings with min/maxLength, format and pattern (pattern.h); bounds
 * and multipleOf. Other words are ignored, as is a pattern that pattern.h does not understand.
 *
 * The schema is a client's: nesting, work (tens of ms) and the size of the result are bounded. Needs up to 128 KiB of
 * stack: not for a fiber.
 */
#ifndef DASHBOX_ENGINE_STANDIN_SCHEMA_H
#define DASHBOX_ENGINE_STANDIN_SCHEMA_H

#include "base/arena.h"
#include "base/err.h"

struct yyjson_val;

#define SCHEMA_INSTANCE_MAX ((size_t)64 * 1024) /* bytes */

/* Writes an instance as JSON text. `schema` NULL means any object. ERR_INVALID when none was found: *ret_why then says
 * what stood in the way, for the log (static text). */
enum err schema_instance(struct arena *a, struct yyjson_val *schema, uint64_t seed, str *ret, const char **ret_why);

#endif
