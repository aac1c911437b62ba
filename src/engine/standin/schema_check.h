/* schema_check.h - whether a JSON value satisfies a JSON schema, and the words of schemas.
 *
 * The part of drafts 4 to 2020-12 that schemas for models use. "format" is an annotation and not checked, nor are
 * "patternProperties" and a "pattern" that pattern.h does not understand. The client wrote the schema: recursion is
 * bounded by SCHEMA_DEPTH_MAX and work by a fuel that every step and every look-up burns.
 */
#ifndef DASHBOX_ENGINE_STANDIN_SCHEMA_CHECK_H
#define DASHBOX_ENGINE_STANDIN_SCHEMA_CHECK_H

#include "base/str.h"

#include <yyjson.h>

#define SCHEMA_DEPTH_MAX 32

#define SCHEMA_WORDS(X)                             \
    X(WORD_ADDITIONAL_ITEMS, "additionalItems")     \
    X(WORD_ADDITIONAL, "additionalProperties")      \
    X(WORD_ALL_OF, "allOf")                         \
    X(WORD_ANY_OF, "anyOf")                         \
    X(WORD_CONST, "const")                          \
    X(WORD_CONTAINS, "contains")                    \
    X(WORD_DEPENDENT, "dependentRequired")          \
    X(WORD_ELSE, "else")                            \
    X(WORD_ENUM, "enum")                            \
    X(WORD_EXCLUSIVE_MAX, "exclusiveMaximum")       \
    X(WORD_EXCLUSIVE_MIN, "exclusiveMinimum")       \
    X(WORD_FORMAT, "format")                        \
    X(WORD_IF, "if")                                \
    X(WORD_ITEMS, "items")                          \
    X(WORD_MAX_CONTAINS, "maxContains")             \
    X(WORD_MAX_ITEMS, "maxItems")                   \
    X(WORD_MAX_LENGTH, "maxLength")                 \
    X(WORD_MAX_PROPERTIES, "maxProperties")         \
    X(WORD_MAX, "maximum")                          \
    X(WORD_MIN_CONTAINS, "minContains")             \
    X(WORD_MIN_ITEMS, "minItems")                   \
    X(WORD_MIN_LENGTH, "minLength")                 \
    X(WORD_MIN_PROPERTIES, "minProperties")         \
    X(WORD_MIN, "minimum")                          \
    X(WORD_MULTIPLE_OF, "multipleOf")               \
    X(WORD_NOT, "not")                              \
    X(WORD_NULLABLE, "nullable")                    \
    X(WORD_ONE_OF, "oneOf")                         \
    X(WORD_PATTERN, "pattern")                      \
    X(WORD_PATTERN_PROPERTIES, "patternProperties") \
    X(WORD_PREFIX_ITEMS, "prefixItems")             \
    X(WORD_PROPERTIES, "properties")                \
    X(WORD_PROPERTY_NAMES, "propertyNames")         \
    X(WORD_REF, "$ref")                             \
    X(WORD_REQUIRED, "required")                    \
    X(WORD_THEN, "then")                            \
    X(WORD_TYPE, "type")                            \
    X(WORD_UNEVALUATED, "unevaluatedProperties")    \
    X(WORD_UNIQUE_ITEMS, "uniqueItems")

#define SCHEMA_WORD_ENUM(name, text) name,
enum schema_word { SCHEMA_WORDS(SCHEMA_WORD_ENUM) WORD_OTHER };
#undef SCHEMA_WORD_ENUM

enum schema_type {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_NUMBER = 8, /* one with a fraction; "number" in a schema is both */
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPE_ANY = 127,
};

struct schema_doc {
    yyjson_val *root;
    int64_t     fuel;
    const char *why; /* what could not be had, for the log */
};

/* Burns fuel; false when there is none left. */
bool schema_burn(struct schema_doc *d, size_t steps);

enum schema_word schema_word(str key);

/* A set of enum schema_type: of the value of "type", and of a value. */
unsigned schema_types(yyjson_val *type);
unsigned schema_type_of(yyjson_val *value);

/* A member of an object, NULL when it has none. */
yyjson_val *schema_member(struct schema_doc *d, yyjson_val *object, str key);

/* What a "$ref" points to: "#", "#/…" or an "$anchor" among the definitions. NULL, and why, when nothing. */
yyjson_val *schema_resolve(struct schema_doc *d, yyjson_val *ref);

/* Whether `v` is a multiple as validators compute it: the quotient of the two doubles is whole. */
bool schema_multiple(double v, double step);

/* The numeric value of a number. */
long double schema_number(yyjson_val *number);

/* Counts and lengths: false when it is no number from 0 up. Larger ones than any instance of ours are cut. */
bool schema_count(yyjson_val *v, size_t *ret);

/* Equal as JSON: 1 is 1.0, members in any order. Values nested deeper than SCHEMA_DEPTH_MAX are equal to nothing. */
bool schema_equal(struct schema_doc *d, yyjson_val *a, yyjson_val *b);

bool schema_check(struct schema_doc *d, yyjson_val *schema, yyjson_val *value);

#endif
