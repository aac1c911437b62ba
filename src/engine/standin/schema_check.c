/* schema_check.c - a validator for what schema.c generates and for the constants a schema offers. */
#include "engine/standin/schema_check.h"

#include "base/utf8.h"
#include "contract/json.h"
#include "engine/standin/pattern.h"

#include <math.h>

/* A step down in the schema (allOf, $ref) counts like one down in the value. */
#define CHECK_DEPTH_MAX (SCHEMA_DEPTH_MAX + 16)

bool schema_burn(struct schema_doc *d, size_t steps)
{
    if (d->fuel < 0)
        return false;
    d->fuel -= steps < (size_t)INT32_MAX ? (int64_t)steps : INT32_MAX;
    if (d->fuel >= 0)
        return true;
    d->why = "the schema is too large or too hard to satisfy";
    return false;
}

enum schema_word schema_word(str key)
{
#define WORD_TEXT(name, text) [name] = { "" text, sizeof(text) - 1 },
    static const str words[] = { SCHEMA_WORDS(WORD_TEXT) };
#undef WORD_TEXT

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (str_eq(words[i], key))
            return (enum schema_word)i;
    }
    return WORD_OTHER;
}

static unsigned type_named(yyjson_val *name)
{
    static const struct {
        str      name;
        unsigned types;
    } table[] = {
        { { "null", 4 }, TYPE_NULL },       { { "boolean", 7 }, TYPE_BOOLEAN },
        { { "integer", 7 }, TYPE_INTEGER }, { { "number", 6 }, TYPE_INTEGER | TYPE_NUMBER },
        { { "string", 6 }, TYPE_STRING },   { { "array", 5 }, TYPE_ARRAY },
        { { "object", 6 }, TYPE_OBJECT },
    };

    if (!yyjson_is_str(name) || str_eq(json_str(name), S("any")))
        return TYPE_ANY;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (str_eq(json_str(name), table[i].name))
            return table[i].types;
    }
    return 0; /* nothing is of a type that there is not */
}

unsigned schema_types(yyjson_val *type)
{
    unsigned        types = 0;
    yyjson_arr_iter it;
    yyjson_val     *one;

    if (!yyjson_is_arr(type))
        return type_named(type);
    it = yyjson_arr_iter_with(type);
    while ((one = yyjson_arr_iter_next(&it)))
        types |= type_named(one);
    return types;
}

long double schema_number(yyjson_val *number)
{
    if (yyjson_is_uint(number))
        return (long double)yyjson_get_uint(number);
    if (yyjson_is_sint(number))
        return (long double)yyjson_get_sint(number);
    return (long double)yyjson_get_real(number);
}

unsigned schema_type_of(yyjson_val *value)
{
    switch (yyjson_get_type(value)) {
    case YYJSON_TYPE_NULL:
        return TYPE_NULL;
    case YYJSON_TYPE_BOOL:
        return TYPE_BOOLEAN;
    case YYJSON_TYPE_NUM:
        return rintl(schema_number(value)) == schema_number(value) ? TYPE_INTEGER : TYPE_NUMBER;
    case YYJSON_TYPE_STR:
        return TYPE_STRING;
    case YYJSON_TYPE_ARR:
        return TYPE_ARRAY;
    case YYJSON_TYPE_OBJ:
        return TYPE_OBJECT;
    default:
        return 0;
    }
}

yyjson_val *schema_member(struct schema_doc *d, yyjson_val *object, str key)
{
    if (!yyjson_is_obj(object) || !schema_burn(d, 1 + yyjson_obj_size(object) / 8))
        return NULL;
    return yyjson_obj_getn(object, key.ptr, key.len);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One step of a JSON pointer in a URI fragment: %XX, then ~1 and ~0. Returns its length, SIZE_MAX when too long. */
static size_t pointer_token(str token, char *text, size_t room)
{
    size_t n = 0;

    for (size_t i = 0; i < token.len; i++) {
        char c = token.ptr[i];

        if (n == room)
            return SIZE_MAX;
        if (c == '%' && i + 2 < token.len && hex_digit(token.ptr[i + 1]) >= 0 && hex_digit(token.ptr[i + 2]) >= 0) {
            c = (char)(hex_digit(token.ptr[i + 1]) << 4 | hex_digit(token.ptr[i + 2]));
            i += 2;
        } else if (c == '~' && i + 1 < token.len && (token.ptr[i + 1] == '0' || token.ptr[i + 1] == '1')) {
            c = token.ptr[i + 1] == '0' ? '~' : '/';
            i++;
        }
        text[n++] = c;
    }
    return n;
}

static yyjson_val *resolve_pointer(struct schema_doc *d, str path)
{
    yyjson_val *at = d->root;

    while (path.len && at) {
        char     text[256];
        str      token;
        size_t   n;
        uint64_t index;

        if (path.ptr[0] != '/')
            return NULL;
        path = str_from(path, 1);
        n = str_find(path, '/');
        token = str_first(path, n);
        path = n == STR_NONE ? (str){ 0 } : str_from(path, n);
        n = pointer_token(token, text, sizeof(text));
        if (n == SIZE_MAX)
            return NULL;
        if (yyjson_is_arr(at))
            at = str_to_u64(str_of(text, n), &index) && schema_burn(d, yyjson_arr_size(at))
                     ? yyjson_arr_get(at, (size_t)index)
                     : NULL;
        else
            at = schema_member(d, at, str_of(text, n));
    }
    return at;
}

static yyjson_val *resolve_anchor(struct schema_doc *d, str anchor)
{
    static const str homes[] = { { "$defs", 5 }, { "definitions", 11 } };

    for (size_t i = 0; i < ARRAY_LEN(homes); i++) {
        yyjson_val     *defs = schema_member(d, d->root, homes[i]), *key;
        yyjson_obj_iter it;

        if (!yyjson_is_obj(defs))
            continue;
        it = yyjson_obj_iter_with(defs);
        while ((key = yyjson_obj_iter_next(&it))) {
            yyjson_val *def = yyjson_obj_iter_get_val(key);
            yyjson_val *name = schema_member(d, def, S("$anchor"));

            if (yyjson_is_str(name) && str_eq(json_str(name), anchor))
                return def;
        }
    }
    return NULL;
}

yyjson_val *schema_resolve(struct schema_doc *d, yyjson_val *ref)
{
    yyjson_val *found = NULL;
    str         text = json_str(ref);

    if (yyjson_is_str(ref) && str_starts(text, S("#"))) {
        text = str_from(text, 1);
        found = text.len && text.ptr[0] != '/' ? resolve_anchor(d, text) : resolve_pointer(d, text);
    }
    if (!found)
        d->why = "a $ref of the schema points to nothing in it";
    return found;
}

bool schema_multiple(double v, double step)
{
    double q;

    if (step <= 0)
        return true; /* not a schema; ask nothing of it */
    if (fabs(v) < 0x1p53 && step < 0x1p53 && rint(v) == v && rint(step) == step)
        return (int64_t)v % (int64_t)step == 0;
    q = v / step;
    return isfinite(q) && rint(q) == q;
}

bool schema_count(yyjson_val *v, size_t *ret)
{
    long double n;

    if (!yyjson_is_num(v))
        return false;
    n = schema_number(v);
    if (!(n >= 0))
        return false;
    *ret = n > 1e9L ? (size_t)1000000000 : (size_t)n;
    return true;
}

static bool equal(struct schema_doc *d, yyjson_val *a, yyjson_val *b, unsigned depth)
{
    if (depth > SCHEMA_DEPTH_MAX || !schema_burn(d, 1) || yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    if (yyjson_is_num(a))
        return schema_number(a) == schema_number(b);
    if (yyjson_is_bool(a))
        return yyjson_get_bool(a) == yyjson_get_bool(b);
    if (yyjson_is_str(a))
        return str_eq(json_str(a), json_str(b));
    if (yyjson_is_arr(a)) {
        yyjson_arr_iter ia = yyjson_arr_iter_with(a), ib = yyjson_arr_iter_with(b);
        yyjson_val     *one;

        if (yyjson_arr_size(a) != yyjson_arr_size(b))
            return false;
        while ((one = yyjson_arr_iter_next(&ia))) {
            if (!equal(d, one, yyjson_arr_iter_next(&ib), depth + 1))
                return false;
        }
        return true;
    }
    if (yyjson_is_obj(a)) {
        yyjson_obj_iter it = yyjson_obj_iter_with(a);
        yyjson_val     *key;

        if (yyjson_obj_size(a) != yyjson_obj_size(b))
            return false;
        while ((key = yyjson_obj_iter_next(&it))) {
            yyjson_val *other = schema_member(d, b, json_str(key));

            if (!other || !equal(d, yyjson_obj_iter_get_val(key), other, depth + 1))
                return false;
        }
    }
    return true;
}

bool schema_equal(struct schema_doc *d, yyjson_val *a, yyjson_val *b)
{
    return equal(d, a, b, 0);
}

static bool check(struct schema_doc *d, yyjson_val *schema, yyjson_val *value, unsigned depth);

/* How many of the schemas in the array hold, counted up to `enough`. */
static size_t check_some(struct schema_doc *d, yyjson_val *schemas, yyjson_val *value, unsigned depth, size_t enough)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(schemas);
    yyjson_val     *one;
    size_t          n = 0;

    while (n < enough && (one = yyjson_arr_iter_next(&it)))
        n += check(d, one, value, depth + 1);
    return n;
}

static bool check_enum(struct schema_doc *d, yyjson_val *list, yyjson_val *value)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    yyjson_val     *one;

    while ((one = yyjson_arr_iter_next(&it))) {
        if (schema_equal(d, one, value))
            return true;
    }
    return false;
}

/* Bounds of numbers. Draft 4 has the exclusive ones as flags beside the others. */
static bool check_bound(struct schema_doc *d, yyjson_val *schema, enum schema_word word, yyjson_val *arg,
                        yyjson_val *value)
{
    long double v, bound;
    bool        upper = word == WORD_MAX || word == WORD_EXCLUSIVE_MAX, exclusive;

    if (!yyjson_is_num(arg) || !yyjson_is_num(value))
        return true;
    v = schema_number(value);
    bound = schema_number(arg);
    exclusive = word == WORD_EXCLUSIVE_MAX || word == WORD_EXCLUSIVE_MIN ||
                yyjson_is_true(schema_member(d, schema, upper ? S("exclusiveMaximum") : S("exclusiveMinimum")));
    if (exclusive && v == bound)
        return false;
    return upper ? v <= bound : v >= bound;
}

static bool check_required(struct schema_doc *d, yyjson_val *names, yyjson_val *value)
{
    yyjson_arr_iter it;
    yyjson_val     *name;

    if (!yyjson_is_arr(names))
        return true; /* draft 3's flag */
    it = yyjson_arr_iter_with(names);
    while ((name = yyjson_arr_iter_next(&it))) {
        if (yyjson_is_str(name) && !schema_member(d, value, json_str(name)))
            return false;
    }
    return true;
}

static bool check_dependent(struct schema_doc *d, yyjson_val *arg, yyjson_val *value)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(arg);
    yyjson_val     *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        if (schema_member(d, value, json_str(key)) && !check_required(d, yyjson_obj_iter_get_val(key), value))
            return false;
    }
    return true;
}

static bool check_properties(struct schema_doc *d, yyjson_val *properties, yyjson_val *value, unsigned depth)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(value);
    yyjson_val     *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *schema = schema_member(d, properties, json_str(key));

        if (schema && !check(d, schema, yyjson_obj_iter_get_val(key), depth + 1))
            return false;
    }
    return true;
}

static bool check_additional(struct schema_doc *d, yyjson_val *schema, yyjson_val *arg, yyjson_val *value,
                             unsigned depth)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(value);
    yyjson_val     *properties = schema_member(d, schema, S("properties")), *key;

    if (schema_member(d, schema, S("patternProperties")))
        return true; /* which names it speaks of would take the patterns */
    while ((key = yyjson_obj_iter_next(&it))) {
        if (!schema_member(d, properties, json_str(key)) && !check(d, arg, yyjson_obj_iter_get_val(key), depth + 1))
            return false;
    }
    return true;
}

static bool check_names(struct schema_doc *d, yyjson_val *arg, yyjson_val *value, unsigned depth)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(value);
    yyjson_val     *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        if (!check(d, arg, key, depth + 1))
            return false;
    }
    return true;
}

static bool check_unique(struct schema_doc *d, yyjson_val *value)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(value);
    yyjson_val     *one;

    while ((one = yyjson_arr_iter_next(&it))) {
        yyjson_arr_iter rest = it;
        yyjson_val     *other;

        while ((other = yyjson_arr_iter_next(&rest))) {
            if (schema_equal(d, one, other))
                return false;
        }
    }
    return true;
}

static bool check_contains(struct schema_doc *d, yyjson_val *schema, yyjson_val *arg, yyjson_val *value, unsigned depth)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(value);
    yyjson_val     *one;
    size_t          n = 0, min = 1, max = SIZE_MAX;

    (void)schema_count(schema_member(d, schema, S("minContains")), &min); /* absent: as they are */
    (void)schema_count(schema_member(d, schema, S("maxContains")), &max);
    while ((one = yyjson_arr_iter_next(&it)))
        n += check(d, arg, one, depth + 1);
    return n >= min && n <= max;
}

/* The items behind the first `from`, or the first ones against a list of schemas. */
static bool check_items(struct schema_doc *d, yyjson_val *arg, yyjson_val *value, size_t from, unsigned depth)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(value), schemas = { 0 };
    yyjson_val     *one;
    bool            tuple = yyjson_is_arr(arg);

    if (tuple)
        schemas = yyjson_arr_iter_with(arg);
    for (size_t i = 0; (one = yyjson_arr_iter_next(&it)); i++) {
        yyjson_val *schema = tuple ? yyjson_arr_iter_next(&schemas) : arg;

        if (tuple && !schema)
            return true;
        if (i >= from && !check(d, schema, one, depth + 1))
            return false;
    }
    return true;
}

static bool check_array(struct schema_doc *d, yyjson_val *schema, enum schema_word word, yyjson_val *arg,
                        yyjson_val *value, unsigned depth)
{
    yyjson_val *list;

    switch ((int)word) {
    case WORD_ITEMS:
        list = schema_member(d, schema, S("prefixItems"));
        return check_items(d, arg, value, yyjson_is_arr(arg) ? 0 : yyjson_arr_size(list), depth);
    case WORD_PREFIX_ITEMS:
        return check_items(d, arg, value, 0, depth);
    case WORD_ADDITIONAL_ITEMS:
        list = schema_member(d, schema, S("items"));
        return !yyjson_is_arr(list) || check_items(d, arg, value, yyjson_arr_size(list), depth);
    case WORD_CONTAINS:
        return check_contains(d, schema, arg, value, depth);
    case WORD_UNIQUE_ITEMS:
        return !yyjson_is_true(arg) || check_unique(d, value);
    default:
        return true;
    }
}

static bool check_object(struct schema_doc *d, yyjson_val *schema, enum schema_word word, yyjson_val *arg,
                         yyjson_val *value, unsigned depth)
{
    switch ((int)word) {
    case WORD_PROPERTIES:
        return check_properties(d, arg, value, depth);
    case WORD_ADDITIONAL:
        return check_additional(d, schema, arg, value, depth);
    case WORD_PROPERTY_NAMES:
        return check_names(d, arg, value, depth);
    case WORD_REQUIRED:
        return check_required(d, arg, value);
    case WORD_DEPENDENT:
        return check_dependent(d, arg, value);
    default:
        return true;
    }
}

static bool check_size(enum schema_word word, yyjson_val *arg, yyjson_val *value)
{
    size_t bound, size;
    bool   upper = false;

    switch ((int)word) {
    case WORD_MAX_LENGTH:
        upper = true;
        /* fall through */
    case WORD_MIN_LENGTH:
        if (!yyjson_is_str(value))
            return true;
        size = utf8_count(json_str(value));
        break;
    case WORD_MAX_ITEMS:
        upper = true;
        /* fall through */
    case WORD_MIN_ITEMS:
        if (!yyjson_is_arr(value))
            return true;
        size = yyjson_arr_size(value);
        break;
    case WORD_MAX_PROPERTIES:
        upper = true;
        /* fall through */
    default:
        if (!yyjson_is_obj(value))
            return true;
        size = yyjson_obj_size(value);
        break;
    }
    if (!schema_count(arg, &bound))
        return true;
    return upper ? size <= bound : size >= bound;
}

static bool check_word(struct schema_doc *d, yyjson_val *schema, enum schema_word word, yyjson_val *arg,
                       yyjson_val *value, unsigned depth)
{
    switch (word) {
    case WORD_TYPE:
        return (schema_types(arg) & schema_type_of(value)) ||
               (yyjson_is_null(value) && yyjson_is_true(schema_member(d, schema, S("nullable"))));
    case WORD_CONST:
        return schema_equal(d, arg, value);
    case WORD_ENUM:
        return !yyjson_is_arr(arg) || check_enum(d, arg, value);
    case WORD_REF:
        arg = schema_resolve(d, arg);
        return arg && check(d, arg, value, depth + 1);
    case WORD_ALL_OF:
        return check_some(d, arg, value, depth, SIZE_MAX) == yyjson_arr_size(arg);
    case WORD_ANY_OF:
        return !yyjson_is_arr(arg) || check_some(d, arg, value, depth, 1) == 1;
    case WORD_ONE_OF:
        return !yyjson_is_arr(arg) || check_some(d, arg, value, depth, 2) == 1;
    case WORD_NOT:
        return !check(d, arg, value, depth + 1);
    case WORD_IF:
        arg =
            check(d, arg, value, depth + 1) ? schema_member(d, schema, S("then")) : schema_member(d, schema, S("else"));
        return !arg || check(d, arg, value, depth + 1);
    case WORD_MULTIPLE_OF:
        return !yyjson_is_num(value) || !yyjson_is_num(arg) ||
               schema_multiple((double)schema_number(value), (double)schema_number(arg));
    case WORD_MAX:
    case WORD_MIN:
    case WORD_EXCLUSIVE_MAX:
    case WORD_EXCLUSIVE_MIN:
        return check_bound(d, schema, word, arg, value);
    case WORD_PATTERN:
        return !yyjson_is_str(value) || !yyjson_is_str(arg) ||
               pattern_match(json_str(arg), json_str(value), &d->fuel) != PATTERN_DIFFERS;
    case WORD_MAX_LENGTH:
    case WORD_MIN_LENGTH:
    case WORD_MAX_ITEMS:
    case WORD_MIN_ITEMS:
    case WORD_MAX_PROPERTIES:
    case WORD_MIN_PROPERTIES:
        return check_size(word, arg, value);
    case WORD_ITEMS:
    case WORD_PREFIX_ITEMS:
    case WORD_ADDITIONAL_ITEMS:
    case WORD_CONTAINS:
    case WORD_UNIQUE_ITEMS:
        return !yyjson_is_arr(value) || check_array(d, schema, word, arg, value, depth);
    case WORD_PROPERTIES:
    case WORD_ADDITIONAL:
    case WORD_PROPERTY_NAMES:
    case WORD_REQUIRED:
    case WORD_DEPENDENT:
        return !yyjson_is_obj(value) || check_object(d, schema, word, arg, value, depth);
    case WORD_ELSE:
    case WORD_THEN:
    case WORD_MIN_CONTAINS:
    case WORD_MAX_CONTAINS:
    case WORD_NULLABLE:
    case WORD_FORMAT:
    case WORD_PATTERN_PROPERTIES:
    case WORD_UNEVALUATED:
    case WORD_OTHER:
        break;
    }
    return true;
}

static bool check(struct schema_doc *d, yyjson_val *schema, yyjson_val *value, unsigned depth)
{
    yyjson_obj_iter it;
    yyjson_val     *key;

    if (depth > CHECK_DEPTH_MAX || !schema_burn(d, 1))
        return false;
    if (yyjson_is_bool(schema))
        return yyjson_get_bool(schema);
    if (!yyjson_is_obj(schema))
        return true; /* not a schema; ask nothing of it */
    it = yyjson_obj_iter_with(schema);
    while ((key = yyjson_obj_iter_next(&it))) {
        if (!schema_burn(d, 1) ||
            !check_word(d, schema, schema_word(json_str(key)), yyjson_obj_iter_get_val(key), value, depth))
            return false;
    }
    return true;
}

bool schema_check(struct schema_doc *d, yyjson_val *schema, yyjson_val *value)
{
    return check(d, schema, value, 0);
}
