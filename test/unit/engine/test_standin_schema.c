/* test_standin_schema.c - instances of JSON schemas, checked by a validator of the test's own.
 *
 * The validator here is written from the drafts and shares nothing with schema_check.c: it asks keyword by keyword and
 * knows patterns (through POSIX regexes) and formats, which that one leaves to the generator.
 */
#include "engine/standin/schema.c"

#include <pthread.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;
static bool         formats_hold; /* a format is an annotation: an enum may contradict it */

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

/* --- The other validator ----------------------------------------------------------------------------------------- */

static bool holds(yyjson_val *root, yyjson_val *s, yyjson_val *v);

static bool same(yyjson_val *a, yyjson_val *b)
{
    size_t      i, max;
    yyjson_val *k, *x;

    if (yyjson_is_num(a) && yyjson_is_num(b))
        return yyjson_get_num(a) == yyjson_get_num(b);
    if (yyjson_get_type(a) != yyjson_get_type(b))
        return false;
    switch (yyjson_get_type(a)) {
    case YYJSON_TYPE_BOOL:
        return yyjson_get_bool(a) == yyjson_get_bool(b);
    case YYJSON_TYPE_STR:
        return str_eq(json_str(a), json_str(b));
    case YYJSON_TYPE_ARR:
        if (yyjson_arr_size(a) != yyjson_arr_size(b))
            return false;
        yyjson_arr_foreach(a, i, max, x)
        {
            if (!same(x, yyjson_arr_get(b, i)))
                return false;
        }
        return true;
    case YYJSON_TYPE_OBJ:
        if (yyjson_obj_size(a) != yyjson_obj_size(b))
            return false;
        yyjson_obj_foreach(a, i, max, k, x)
        {
            yyjson_val *y = yyjson_obj_getn(b, yyjson_get_str(k), yyjson_get_len(k));

            if (!y || !same(x, y))
                return false;
        }
        return true;
    default:
        return true;
    }
}

static bool regex_holds(const char *pattern, yyjson_val *v)
{
    regex_t re;
    bool    ok;

    assert_int_equal(0, regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB));
    ok = regexec(&re, yyjson_get_str(v), 0, NULL, 0) == 0;
    regfree(&re);
    return ok;
}

static bool has_type(const char *type, yyjson_val *v)
{
    if (!strcmp(type, "null"))
        return yyjson_is_null(v);
    if (!strcmp(type, "boolean"))
        return yyjson_is_bool(v);
    if (!strcmp(type, "string"))
        return yyjson_is_str(v);
    if (!strcmp(type, "array"))
        return yyjson_is_arr(v);
    if (!strcmp(type, "object"))
        return yyjson_is_obj(v);
    if (!strcmp(type, "number"))
        return yyjson_is_num(v);
    return yyjson_is_int(v) || (yyjson_is_real(v) && floor(yyjson_get_real(v)) == yyjson_get_real(v));
}

static bool type_holds(yyjson_val *type, yyjson_val *v)
{
    size_t      i, max;
    yyjson_val *one;

    if (yyjson_is_str(type))
        return has_type(yyjson_get_str(type), v);
    yyjson_arr_foreach(type, i, max, one)
    {
        if (has_type(yyjson_get_str(one), v))
            return true;
    }
    return false;
}

static bool number_holds(yyjson_val *s, yyjson_val *v)
{
    double      n = yyjson_get_num(v);
    yyjson_val *a;

    if ((a = yyjson_obj_get(s, "minimum")) && n < yyjson_get_num(a))
        return false;
    if ((a = yyjson_obj_get(s, "maximum")) && n > yyjson_get_num(a))
        return false;
    if ((a = yyjson_obj_get(s, "exclusiveMinimum")) && n <= yyjson_get_num(a))
        return false;
    if ((a = yyjson_obj_get(s, "exclusiveMaximum")) && n >= yyjson_get_num(a))
        return false;
    if ((a = yyjson_obj_get(s, "multipleOf"))) {
        double q = n / yyjson_get_num(a);

        return q == floor(q);
    }
    return true;
}

static bool format_holds(const char *format, yyjson_val *v)
{
    static const char *const table[][2] = {
        { "date-time", "^[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$" },
        { "date", "^[0-9]{4}-[01][0-9]-[0-3][0-9]$" },
        { "time", "^[0-2][0-9]:[0-5][0-9]:[0-5][0-9]Z$" },
        { "email", "^[a-z0-9]+@[a-z.]+$" },
        { "ipv4", "^([0-9]{1,3}\\.){3}[0-9]{1,3}$" },
        { "uri", "^https?://[^ ]+$" },
        { "uuid", "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$" },
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        if (!strcmp(table[i][0], format))
            return regex_holds(table[i][1], v);
    }
    return true;
}

static bool string_holds(yyjson_val *s, yyjson_val *v)
{
    size_t      length = 0;
    yyjson_val *a;

    for (const char *p = yyjson_get_str(v); *p; p++)
        length += ((unsigned char)*p & 0xC0) != 0x80;
    if ((a = yyjson_obj_get(s, "minLength")) && length < yyjson_get_uint(a))
        return false;
    if ((a = yyjson_obj_get(s, "maxLength")) && length > yyjson_get_uint(a))
        return false;
    if ((a = yyjson_obj_get(s, "pattern")) && !regex_holds(yyjson_get_str(a), v))
        return false;
    a = yyjson_obj_get(s, "format");
    return !a || !formats_hold || yyjson_obj_get(s, "pattern") || yyjson_obj_get(s, "minLength") ||
           yyjson_obj_get(s, "maxLength") || format_holds(yyjson_get_str(a), v);
}

static bool array_holds(yyjson_val *root, yyjson_val *s, yyjson_val *v)
{
    size_t      i, max, k, n = yyjson_arr_size(v), prefix = 0, contained = 0;
    yyjson_val *one, *a, *items = yyjson_obj_get(s, "items"), *tuple = yyjson_obj_get(s, "prefixItems");

    if ((a = yyjson_obj_get(s, "minItems")) && n < yyjson_get_uint(a))
        return false;
    if ((a = yyjson_obj_get(s, "maxItems")) && n > yyjson_get_uint(a))
        return false;
    prefix = yyjson_arr_size(tuple);
    yyjson_arr_foreach(v, i, max, one)
    {
        a = i < prefix ? yyjson_arr_get(tuple, i) : items;
        if (a && !holds(root, a, one))
            return false;
        if ((a = yyjson_obj_get(s, "contains")))
            contained += holds(root, a, one);
        for (k = 0; yyjson_get_bool(yyjson_obj_get(s, "uniqueItems")) && k < i; k++) {
            if (same(one, yyjson_arr_get(v, k)))
                return false;
        }
    }
    return !yyjson_obj_get(s, "contains") || contained > 0;
}

static bool object_holds(yyjson_val *root, yyjson_val *s, yyjson_val *v)
{
    size_t      i, max;
    yyjson_val *k, *x, *a, *properties = yyjson_obj_get(s, "properties"), *required = yyjson_obj_get(s, "required");
    yyjson_val *more = yyjson_obj_get(s, "additionalProperties"), *names = yyjson_obj_get(s, "propertyNames");

    if ((a = yyjson_obj_get(s, "minProperties")) && yyjson_obj_size(v) < yyjson_get_uint(a))
        return false;
    if ((a = yyjson_obj_get(s, "maxProperties")) && yyjson_obj_size(v) > yyjson_get_uint(a))
        return false;
    yyjson_arr_foreach(required, i, max, x)
    {
        if (!yyjson_obj_get(v, yyjson_get_str(x)))
            return false;
    }
    yyjson_obj_foreach(v, i, max, k, x)
    {
        size_t      j, jmax;
        yyjson_val *other, *unused;
        size_t      times = 0;

        a = yyjson_obj_get(properties, yyjson_get_str(k));
        if (!a)
            a = more;
        if (a && !holds(root, a, x))
            return false;
        if (names && !holds(root, names, k))
            return false;
        yyjson_obj_foreach(v, j, jmax, other, unused) times += same(k, other);
        assert_int_equal(1, times); /* no name twice */
    }
    return true;
}

static size_t how_many_hold(yyjson_val *root, yyjson_val *list, yyjson_val *v)
{
    size_t      i, max, n = 0;
    yyjson_val *one;

    yyjson_arr_foreach(list, i, max, one) n += holds(root, one, v);
    return n;
}

static bool unions_hold(yyjson_val *root, yyjson_val *s, yyjson_val *v)
{
    yyjson_val *a;

    if ((a = yyjson_obj_get(s, "allOf")) && how_many_hold(root, a, v) != yyjson_arr_size(a))
        return false;
    if ((a = yyjson_obj_get(s, "anyOf")) && how_many_hold(root, a, v) == 0)
        return false;
    if ((a = yyjson_obj_get(s, "oneOf")) && how_many_hold(root, a, v) != 1)
        return false;
    if ((a = yyjson_obj_get(s, "not")) && holds(root, a, v))
        return false;
    if ((a = yyjson_obj_get(s, "if"))) {
        a = yyjson_obj_get(s, holds(root, a, v) ? "then" : "else");
        return !a || holds(root, a, v);
    }
    return true;
}

static bool holds(yyjson_val *root, yyjson_val *s, yyjson_val *v)
{
    size_t      i, max;
    yyjson_val *a, *one;

    if (yyjson_is_bool(s))
        return yyjson_get_bool(s);
    if ((a = yyjson_obj_get(s, "$ref"))) {
        a = strcmp(yyjson_get_str(a), "#") ? yyjson_ptr_get(root, yyjson_get_str(a) + 1) : root;
        if (!a || !holds(root, a, v))
            return false;
    }
    if ((a = yyjson_obj_get(s, "type")) && !type_holds(a, v))
        return false;
    if ((a = yyjson_obj_get(s, "const")) && !same(a, v))
        return false;
    if ((a = yyjson_obj_get(s, "enum"))) {
        bool found = false;

        yyjson_arr_foreach(a, i, max, one) found |= same(one, v);
        if (!found)
            return false;
    }
    if (yyjson_is_num(v) && !number_holds(s, v))
        return false;
    if (yyjson_is_str(v) && !string_holds(s, v))
        return false;
    if (yyjson_is_arr(v) && !array_holds(root, s, v))
        return false;
    if (yyjson_is_obj(v) && !object_holds(root, s, v))
        return false;
    return unions_hold(root, s, v);
}

/* --- Tables ------------------------------------------------------------------------------------------------------ */

/* An instance for the seed; NULL when none was found. */
static yyjson_val *instance(yyjson_val *schema, uint64_t seed, str *ret_text)
{
    const char *why = NULL;
    yyjson_val *v;

    if (schema_instance(&arena, schema, seed, ret_text, &why)) {
        assert_non_null(why);
        *ret_text = str_from_cstr(why);
        return NULL;
    }
    assert_true(ret_text->len <= SCHEMA_INSTANCE_MAX);
    v = json_parse_copy(&arena, *ret_text);
    if (!v)
        fail_msg("not JSON: %.*s", STR_ARG(*ret_text));
    return v;
}

static void every_schema_of_the_table_gets_valid_instances(void **state)
{
    static const char *const schemas[] = {
        "true",
        "{}",
        "{\"type\":\"string\"}",
        "{\"type\":\"string\",\"minLength\":40}",
        "{\"type\":\"string\",\"maxLength\":3}",
        "{\"type\":\"string\",\"maxLength\":0}",
        "{\"type\":\"string\",\"minLength\":5,\"maxLength\":5}",
        "{\"type\":\"string\",\"minLength\":9,\"maxLength\":9}",
        "{\"type\":\"string\",\"pattern\":\"^[A-Z]{2}-[0-9]{3,5}$\"}",
        "{\"type\":\"string\",\"pattern\":\"^(red|green|blue)$\"}",
        "{\"type\":\"string\",\"pattern\":\"[a-z]+@[a-z]+[.](com|org)\",\"minLength\":30}",
        "{\"type\":\"string\",\"pattern\":\"^a*b?c+$\",\"minLength\":20,\"maxLength\":20}",
        "{\"type\":\"string\",\"pattern\":\"^[^a-z]x.y$\"}",
        "{\"type\":\"string\",\"pattern\":\"^((ab){2}|[x-z]{3}){2,3}$\"}",
        "{\"type\":\"string\",\"pattern\":\"^\\\\+[0-9]+$\"}",
        "{\"type\":\"string\",\"format\":\"date-time\"}",
        "{\"type\":\"string\",\"format\":\"date\"}",
        "{\"type\":\"string\",\"format\":\"time\"}",
        "{\"type\":\"string\",\"format\":\"email\"}",
        "{\"type\":\"string\",\"format\":\"ipv4\"}",
        "{\"type\":\"string\",\"format\":\"uri\"}",
        "{\"type\":\"string\",\"format\":\"uuid\"}",
        "{\"type\":\"string\",\"format\":\"uuid\",\"maxLength\":10}",
        "{\"type\":\"integer\"}",
        "{\"type\":\"integer\",\"minimum\":-3,\"maximum\":-3}",
        "{\"type\":\"integer\",\"exclusiveMinimum\":4,\"exclusiveMaximum\":6}",
        "{\"type\":\"integer\",\"multipleOf\":7,\"minimum\":1,\"maximum\":7}",
        "{\"type\":\"integer\",\"multipleOf\":1.5,\"minimum\":1}",
        "{\"type\":\"integer\",\"minimum\":9223372036854775807}",
        "{\"type\":\"integer\",\"maximum\":-1e300}",
        "{\"type\":\"number\",\"minimum\":0.1,\"maximum\":0.2}",
        "{\"type\":\"number\",\"exclusiveMinimum\":0,\"exclusiveMaximum\":1e-7}",
        "{\"type\":\"number\",\"multipleOf\":0.01,\"exclusiveMinimum\":0,\"maximum\":1}",
        "{\"type\":\"number\",\"multipleOf\":0.1,\"minimum\":2.25}",
        "{\"minimum\":5}",
        "{\"type\":\"boolean\"}",
        "{\"type\":\"null\"}",
        "{\"type\":[\"string\",\"null\"]}",
        "{\"type\":[\"integer\",\"array\"],\"items\":{\"type\":\"boolean\"}}",
        "{\"enum\":[1,\"two\",[3],{\"four\":[null,true]}]}",
        "{\"type\":\"string\",\"enum\":[1,2,\"three\"]}",
        "{\"const\":{\"a\":[1,2.5,-3,\"\\u0001\\\"\\\\\"]}}",
        "{\"type\":\"array\"}",
        "{\"type\":\"array\",\"minItems\":5,\"items\":{\"type\":\"integer\"}}",
        "{\"type\":\"array\",\"maxItems\":0}",
        "{\"type\":\"array\",\"minItems\":3,\"uniqueItems\":true,\"items\":{\"enum\":[1,2,3]}}",
        "{\"type\":\"array\",\"uniqueItems\":true,\"items\":{\"type\":\"boolean\"}}",
        "{\"type\":\"array\",\"minItems\":20,\"uniqueItems\":true,\"items\":{\"type\":\"string\",\"maxLength\":4}}",
        "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"},{\"const\":\"x\"}],\"items\":false}",
        "{\"type\":\"array\",\"prefixItems\":[{\"type\":\"integer\"}],\"items\":{\"type\":\"null\"},\"minItems\":4}",
        "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"contains\":{\"minimum\":500}}",
        "{\"type\":\"object\"}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":false},\"required\":[\"a\",\"c\"]}",
        "{\"type\":\"object\",\"properties\":{\"a\\\"\\u00e9\":{\"type\":\"string\"}},\"required\":[\"a\\\"\\u00e9\"]}",
        "{\"type\":\"object\",\"properties\":{\"a\":{}},\"additionalProperties\":false,\"minProperties\":1}",
        "{\"type\":\"object\",\"additionalProperties\":{\"type\":\"integer\"},\"minProperties\":3,\"maxProperties\":3}",
        "{\"type\":\"object\",\"propertyNames\":{\"enum\":[\"x\",\"y\"]},\"minProperties\":2}",
        "{\"type\":\"object\",\"propertyNames\":{\"pattern\":\"^k[0-9]+$\"},\"minProperties\":4}",
        "{\"type\":\"object\",\"required\":[\"a\",\"a\",\"b\"],\"additionalProperties\":{\"type\":\"null\"}}",
        "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\"}]}",
        "{\"type\":\"string\",\"anyOf\":[{\"type\":\"integer\"},{\"minLength\":30}]}",
        "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}",
        "{\"oneOf\":[false,{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"a\"}},\"required\":[\"kind\"]},"
        "{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"b\"}},\"required\":[\"kind\"]}]}",
        "{\"allOf\":[{\"type\":\"integer\",\"multipleOf\":6},{\"multipleOf\":4,\"minimum\":1}]}",
        "{\"allOf\":[{\"properties\":{\"a\":{\"type\":\"integer\"}}},{\"properties\":{\"a\":{\"minimum\":7}},"
        "\"required\":[\"a\"]}]}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"enum\":[1,2]}},\"required\":[\"a\"],"
        "\"if\":{\"properties\":{\"a\":{\"const\":1}}},\"then\":{\"required\":[\"b\"]},\"else\":{\"required\":[\"c\"]}}",
        "{\"type\":\"string\",\"oneOf\":[{\"pattern\":\"^a[0-9]\"},{\"pattern\":\"^b+$\"}]}",
        "{\"enum\":[\"abc\",\"x1\",\"yx\"],\"pattern\":\"^x\"}",
        "{\"type\":\"string\",\"not\":{\"pattern\":\"text [1-4]\"}}",
        "{\"not\":{\"type\":\"string\"}}",
        "{\"type\":\"integer\",\"minimum\":0,\"maximum\":9,\"not\":{\"multipleOf\":2}}",
        "{\"$ref\":\"#/$defs/a~1b\",\"$defs\":{\"a/b\":{\"type\":\"integer\"}}}",
        "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"next\":{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},"
        "{\"type\":\"null\"}]}},\"required\":[\"next\"]}},\"$ref\":\"#/$defs/n\"}",
        "{\"type\":\"object\",\"properties\":{\"kids\":{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}},"
        "\"required\":[\"kids\"]}",
        "{\"type\":\"object\",\"properties\":{\"l\":{\"$ref\":\"#\"},\"r\":{\"$ref\":\"#\"}}}",
    };

    (void)state;
    formats_hold = true;
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        yyjson_val *schema = json_parse_copy(&arena, str_from_cstr(schemas[i]));

        if (!schema)
            fail_msg("not JSON: %s", schemas[i]);
        for (uint64_t seed = 0; seed < 50; seed++) {
            str         text;
            yyjson_val *v = instance(schema, seed * 977, &text);

            if (!v || !holds(schema, schema, v))
                fail_msg("seed %d of %s: %.*s", (int)seed, schemas[i], STR_ARG(text));
        }
    }
}

static void what_cannot_be_is_refused(void **state)
{
    static const char *const schemas[] = {
        "false",
        "{\"type\":\"integer\",\"minimum\":2,\"maximum\":1}",
        "{\"type\":\"integer\",\"exclusiveMinimum\":1,\"exclusiveMaximum\":2}",
        "{\"type\":\"string\",\"enum\":[1,2]}",
        "{\"type\":\"string\",\"const\":1}",
        "{\"allOf\":[{\"type\":\"string\"},{\"type\":\"array\"}]}",
        "{\"type\":\"object\",\"properties\":{\"a\":false},\"required\":[\"a\"]}",
        "{\"type\":\"object\",\"required\":[\"a\"],\"additionalProperties\":false}",
        "{\"type\":\"array\",\"minItems\":3,\"uniqueItems\":true,\"items\":{\"type\":\"boolean\"}}",
        "{\"$ref\":\"#/$defs/none\"}",
        "{\"$ref\":\"https://example.com/other.json\"}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"},\"b\":{\"$ref\":\"#\"}},\"required\":[\"a\",\"b\"]}",
        "{\"type\":\"string\",\"minLength\":100000}",
        "{\"type\":\"array\",\"minItems\":1000000000000}",
        "{\"type\":\"array\",\"minItems\":9000,\"items\":{\"type\":\"string\",\"minLength\":30}}",
        "{\"type\":\"object\",\"minProperties\":1000000}",
        "{\"type\":\"wat\"}",
        "{\"type\":[\"wat\"]}",
        "{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"wat\"}},\"required\":[\"a\"]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        yyjson_val *schema = json_parse_copy(&arena, str_from_cstr(schemas[i]));
        str         text;

        assert_non_null(schema);
        if (instance(schema, 1, &text))
            fail_msg("%s became %.*s", schemas[i], STR_ARG(text));
    }
}

static void the_seed_decides(void **state)
{
    yyjson_val *schema =
        json_parse_copy(&arena, S("{\"properties\":{\"a\":{\"type\":\"integer\"},\"b\":{\"format\":\"uuid\"}},"
                                  "\"required\":[\"a\",\"b\"]}"));
    str one, same_seed, other;

    (void)state;
    assert_non_null(instance(schema, 5, &one));
    assert_non_null(instance(schema, 5, &same_seed));
    assert_non_null(instance(schema, 6, &other));
    assert_true(str_eq(one, same_seed));
    assert_false(str_eq(one, other));
}

static void no_schema_is_an_empty_object(void **state)
{
    str         text;
    const char *why;

    (void)state;
    assert_int_equal(OK, schema_instance(&arena, NULL, 1, &text, &why));
    assert_true(str_eq(text, S("{}")));
}

static void an_unknown_pattern_is_passed_over(void **state)
{
    yyjson_val *schema =
        json_parse_copy(&arena, S("{\"type\":\"string\",\"pattern\":\"(?=x)(y)\\\\1\",\"minLength\":4}"));
    str         text;
    yyjson_val *v = instance(schema, 1, &text);

    (void)state;
    assert_true(yyjson_is_str(v));
    assert_true(yyjson_get_len(v) >= 4);
}

static void patterns_match_as_posix_does(void **state)
{
    static const char *const patterns[] = { "",
                                            "a",
                                            "^a",
                                            "a$",
                                            "^a$",
                                            "^(a|b)*$",
                                            "^a{2,3}$",
                                            "^a+b?c*$",
                                            "[^ab]",
                                            "^[a-c]+$",
                                            "^(ab|a)(bc)?$",
                                            "^.{2}$",
                                            "(a|)b",
                                            "x|^b",
                                            "^((a|b)c){2}$",
                                            "^(a*)*$",
                                            "[]a]",
                                            "^[-a]$",
                                            "a{0}b",
                                            "^a{2}|c",
                                            "b{2,}" };
    static const char *const texts[] = { "",   "a", "b",    "ab", "ba", "aa", "aaa", "aaaa", "abc", "abbc",
                                         "cc", "x", "acbc", "ac", "-",  "]",  "bb",  "abb",  "aab", "axb" };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++) {
        regex_t re;

        assert_int_equal(0, regcomp(&re, patterns[i], REG_EXTENDED | REG_NOSUB));
        for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
            int64_t             fuel = 100000;
            enum pattern_answer want = regexec(&re, texts[k], 0, NULL, 0) ? PATTERN_DIFFERS : PATTERN_MATCHES;

            if (pattern_match(str_from_cstr(patterns[i]), str_from_cstr(texts[k]), &fuel) != want)
                fail_msg("pattern \"%s\", text \"%s\"", patterns[i], texts[k]);
        }
        regfree(&re);
    }
}

static void patterns_of_more_than_posix_match(void **state)
{
    static const struct {
        const char         *pattern, *text;
        enum pattern_answer answer;
    } table[] = {
        { "^\\d{3}-\\w+\\s?$", "123-ab_9 ", PATTERN_MATCHES },
        { "^\\D+$", "ab\xC3\xA9", PATTERN_MATCHES },
        { "^\\D+$", "ab1", PATTERN_DIFFERS },
        { "^[\\u00e0-\\u00ff]$", "\xC3\xA9", PATTERN_MATCHES },
        { "^[^\\u00e0-\\u00ff]$", "\xC3\xA9", PATTERN_DIFFERS },
        { "^(?:a|(?<n>b))+?$", "abab", PATTERN_MATCHES },
        { "^\\p{Lu}\\p{L}*$", "Ab", PATTERN_MATCHES },
        { "^\\.\\/\\x41\\t$", "./A\t", PATTERN_MATCHES },
        { "^.$", "\n", PATTERN_DIFFERS },
        { "(?=a)", "a", PATTERN_UNKNOWN },
        { "(a)\\1", "aa", PATTERN_UNKNOWN },
        { "\\bword\\b", "word", PATTERN_UNKNOWN },
        { "(a", "a", PATTERN_UNKNOWN },
        { "a{9999}", "a", PATTERN_UNKNOWN },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t fuel = 100000;

        if (pattern_match(str_from_cstr(table[i].pattern), str_from_cstr(table[i].text), &fuel) != table[i].answer)
            fail_msg("pattern \"%s\", text \"%s\"", table[i].pattern, table[i].text);
    }
}

/* --- Random schemas ---------------------------------------------------------------------------------------------- */

struct random {
    struct buf out;
    uint64_t   dice;
    bool       doubtful; /* it may be that no instance exists */
};

static unsigned pick(struct random *r, unsigned n)
{
    return (unsigned)(rand_next(&r->dice) % n);
}

static void random_schema(struct random *r, unsigned depth);

static void random_list(struct random *r, const char *word, unsigned n, unsigned depth)
{
    buf_addf(&r->out, "\"%s\":[", word);
    for (unsigned i = 0; i < n; i++) {
        if (i)
            buf_add_char(&r->out, ',');
        random_schema(r, depth + 1);
    }
    buf_add_char(&r->out, ']');
}

static void random_number(struct random *r)
{
    static const char *const steps[] = { "0.01", "0.1", "0.5", "2", "3", "7.5" };
    int                      low = (int)pick(r, 200) - 100;

    buf_addf(&r->out, "\"type\":\"%s\"", pick(r, 2) ? "integer" : "number");
    if (pick(r, 2))
        buf_addf(&r->out, ",\"%s\":%d", pick(r, 2) ? "minimum" : "exclusiveMinimum", low);
    if (pick(r, 2))
        buf_addf(&r->out, ",\"%s\":%d", pick(r, 2) ? "maximum" : "exclusiveMaximum", low + 16 + (int)pick(r, 50));
    if (pick(r, 3) == 0)
        buf_addf(&r->out, ",\"multipleOf\":%s", steps[pick(r, ARRAY_LEN(steps))]);
}

static void random_string(struct random *r)
{
    static const char *const rest[] = { "\"pattern\":\"^[a-f0-9]{4}(-[A-Z]{2})*$\"",
                                        "\"pattern\":\"^(one|two|three)$\"",
                                        "\"pattern\":\"[xyz]+\",\"minLength\":12",
                                        "\"format\":\"date-time\"",
                                        "\"format\":\"email\"",
                                        "\"format\":\"uuid\"",
                                        "\"minLength\":3,\"maxLength\":5",
                                        "\"maxLength\":2",
                                        "\"minLength\":50" };

    buf_add(&r->out, S("\"type\":\"string\""));
    if (pick(r, 4))
        buf_addf(&r->out, ",%s", rest[pick(r, ARRAY_LEN(rest))]);
}

static void random_array(struct random *r, unsigned depth)
{
    unsigned min = pick(r, 3);

    buf_add(&r->out, S("\"type\":\"array\""));
    if (pick(r, 4) == 0) {
        buf_add_char(&r->out, ',');
        random_list(r, "prefixItems", 1 + pick(r, 2), depth);
    }
    if (pick(r, 4)) {
        buf_add(&r->out, S(",\"items\":"));
        random_schema(r, depth + 1);
    }
    if (pick(r, 2))
        buf_addf(&r->out, ",\"minItems\":%u", min);
    if (pick(r, 2))
        buf_addf(&r->out, ",\"maxItems\":%u", min + pick(r, 3));
    if (pick(r, 4) == 0) {
        buf_add(&r->out, S(",\"uniqueItems\":true"));
        r->doubtful = true;
    }
}

static void random_object(struct random *r, unsigned depth)
{
    unsigned n = pick(r, 4);
    bool     closed = false;

    buf_add(&r->out, S("\"type\":\"object\",\"properties\":{"));
    for (unsigned i = 0; i < n; i++) {
        buf_addf(&r->out, "%s\"p%u\":", i ? "," : "", i);
        random_schema(r, depth + 1);
    }
    if (pick(r, 6) == 0)
        buf_addf(&r->out, "%s\"again\":{\"$ref\":\"#\"}", n ? "," : "");
    buf_add_char(&r->out, '}');
    switch (pick(r, 4)) {
    case 0:
        buf_add(&r->out, S(",\"additionalProperties\":false"));
        closed = true;
        break;
    case 1:
        buf_add(&r->out, S(",\"additionalProperties\":"));
        random_schema(r, depth + 1);
        break;
    default:
        break;
    }
    buf_add(&r->out, S(",\"required\":["));
    for (unsigned i = 0, first = 1; i < n + !closed; i++) {
        if (pick(r, 2))
            continue;
        buf_addf(&r->out, "%s\"p%u\"", first ? "" : ",", i);
        first = 0;
    }
    buf_add_char(&r->out, ']');
    if (!closed && pick(r, 6) == 0)
        buf_add(&r->out, S(",\"minProperties\":6"));
}

static void random_conditions(struct random *r, unsigned depth)
{
    r->doubtful = true;
    switch (pick(r, 4)) {
    case 0:
        random_list(r, "oneOf", 1 + pick(r, 3), depth);
        break;
    case 1:
        random_list(r, "allOf", 1 + pick(r, 2), depth);
        break;
    case 2:
        buf_add(&r->out, S("\"not\":"));
        random_schema(r, depth + 1);
        break;
    default:
        buf_add(&r->out, S("\"if\":"));
        random_schema(r, depth + 1);
        buf_add(&r->out, S(",\"then\":"));
        random_schema(r, depth + 1);
        buf_add(&r->out, S(",\"else\":"));
        random_schema(r, depth + 1);
        break;
    }
}

static void random_schema(struct random *r, unsigned depth)
{
    static const char *const leaves[] = {
        "\"type\":\"boolean\"",
        "\"type\":\"null\"",
        "\"enum\":[1,\"a\",null,[1,2],{\"x\":\"y\"}]",
        "\"type\":\"string\",\"enum\":[1,\"a\",\"b\"]",
        "\"const\":\"only\"",
        "\"const\":{\"deep\":[{\"er\":-1.5e-3}]}",
        "\"type\":[\"string\",\"null\"],\"maxLength\":9",
        "\"type\":[\"integer\",\"boolean\",\"array\"],\"maxItems\":1",
        "\"allOf\":[{\"type\":\"integer\"},{\"minimum\":3},{\"maximum\":8}]",
        "\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"string\"},{\"type\":\"null\"}]",
        "\"$ref\":\"#/$defs/leaf\"",
        ""
    };

    buf_add_char(&r->out, '{');
    switch (depth < 4 ? pick(r, 10) : pick(r, 5)) {
    case 0:
    case 1:
        random_number(r);
        break;
    case 2:
    case 3:
        random_string(r);
        break;
    case 4:
        buf_add(&r->out, str_from_cstr(leaves[pick(r, ARRAY_LEN(leaves))]));
        break;
    case 5:
        random_array(r, depth);
        break;
    case 6:
    case 7:
        random_object(r, depth);
        break;
    case 8:
        random_list(r, "anyOf", 1 + pick(r, 3), depth);
        break;
    default:
        random_conditions(r, depth);
        break;
    }
    if (depth == 0)
        buf_addf(&r->out, "%s\"$defs\":{\"leaf\":{\"type\":\"integer\",\"minimum\":41}}",
                 r->out.ptr[r->out.len - 1] == '{' ? "" : ",");
    buf_add_char(&r->out, '}');
}

static void random_schemas_get_valid_instances(void **state)
{
    unsigned doubtful = 0, refused = 0;

    (void)state;
    formats_hold = false;
    for (uint64_t i = 0; i < 3000; i++) {
        struct random r = { .dice = i * 7919 };
        yyjson_val   *schema, *v;
        str           text;

        buf_init(&r.out, &arena, 1 << 20);
        random_schema(&r, 0);
        schema = json_parse_copy(&arena, buf_str(&r.out));
        if (!schema)
            fail_msg("not JSON: %.*s", STR_ARG(buf_str(&r.out)));
        doubtful += r.doubtful;
        v = instance(schema, i, &text);
        if (!v && !r.doubtful)
            fail_msg("%d: %.*s has no instance: %.*s", (int)i, STR_ARG(buf_str(&r.out)), STR_ARG(text));
        if (v && !holds(schema, schema, v))
            fail_msg("%d: %.*s became %.*s", (int)i, STR_ARG(buf_str(&r.out)), STR_ARG(text));
        refused += !v;
        arena_reset(&arena);
    }
    print_message("           %u of %u doubtful schemas had no instance\n", refused, doubtful);
    assert_true(refused * 3 < doubtful);
}

/* --- Hostile schemas --------------------------------------------------------------------------------------------- */

static str repeated(const char *before, const char *middle, const char *after, size_t times)
{
    struct buf b;

    buf_init(&b, &arena, 64 << 20);
    for (size_t i = 0; i < times; i++)
        buf_add(&b, str_from_cstr(before));
    buf_add(&b, str_from_cstr(middle));
    for (size_t i = 0; i < times; i++)
        buf_add(&b, str_from_cstr(after));
    return buf_str(&b);
}

/* All of these end, in little time and on a small stack; whether there is an instance does not matter. */
static void *hostile_run(void *unused)
{
    str texts[] = {
        repeated("{\"allOf\":[", "{}", "]}", 20000),
        repeated("{\"anyOf\":[{\"type\":\"integer\"},", "{}", "]}", 20000),
        repeated("{\"oneOf\":[{\"type\":\"integer\"},", "{}", "]}", 20000),
        repeated("{\"not\":", "{}", "}", 20000),
        repeated("{\"if\":", "{}", ",\"then\":{\"type\":\"string\"}}", 20000),
        repeated("{\"type\":\"array\",\"minItems\":1,\"items\":", "{}", "}", 20000),
        repeated("{\"type\":\"array\",\"contains\":", "{}", "}", 20000),
        repeated("{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":", "{}", "}}", 20000),
        repeated("{\"type\":\"object\",\"minProperties\":1,\"propertyNames\":", "{}", "}", 20000),
        repeated("[", "", "]", 20000),
        S("{\"$ref\":\"#/a\",\"a\":{\"$ref\":\"#/b\"},\"b\":{\"$ref\":\"#/a\"}}"),
        S("{\"allOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}],\"anyOf\":[{\"$ref\":\"#\"},{\"$ref\":\"#\"}]}"),
        S("{\"type\":\"object\",\"additionalProperties\":{\"$ref\":\"#\"},\"minProperties\":9}"),
        S("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"minItems\":9}"),
        S("{\"type\":\"string\",\"pattern\":\"((((a{99}){99}){99}){99}){99}\"}"),
        S("{\"type\":\"string\",\"pattern\":\"((((((((((((((((((((a))))))))))))))))))))\"}"),
        S("{\"type\":\"string\",\"pattern\":\"(a|b|(c|\"}"),
        S("{\"type\":\"string\",\"pattern\":\"[\"}"),
        S("{\"type\":\"string\",\"pattern\":\"\\\\\"}"),
        S("{\"type\":\"string\",\"pattern\":\"a{2,1}*|+\"}"),
        S("{\"type\":\"array\",\"uniqueItems\":true,\"minItems\":30000,\"items\":{\"type\":\"integer\"}}"),
        arena_printf(&arena, "{\"const\":%.*s}", STR_ARG(repeated("[", "", "]", 20000))),
        arena_printf(&arena, "{\"enum\":[%.*s,%.*s]}", STR_ARG(repeated("[", "", "]", 20000)),
                     STR_ARG(repeated("{\"a\":", "1", "}", 20000))),
        arena_printf(&arena, "{\"required\":[%.*s\"b\"]}", STR_ARG(repeated("\"a\",", "", "", 50000))),
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        yyjson_val *schema = json_parse_copy(&arena, texts[i]);
        const char *why = NULL;
        str         text;
        clock_t     began = clock();

        if (schema && schema_instance(&arena, schema, i, &text, &why) == OK && text.len > SCHEMA_INSTANCE_MAX)
            return unused;
        if ((clock() - began) / (CLOCKS_PER_SEC / 1000) > 1000)
            return unused;
    }
    return NULL;
}

static void hostile_schemas_end_on_a_small_stack(void **state)
{
    pthread_attr_t attr;
    pthread_t      thread;
    void          *failed = NULL;

    (void)state;
    pthread_attr_init(&attr);
#ifdef __SANITIZE_THREAD__
#define HOSTILE_STACK ((size_t)2 * 1024 * 1024) /* its run time takes most of that */
#else
#define HOSTILE_STACK ((size_t)192 * 1024)
#endif
    pthread_attr_setstacksize(&attr, HOSTILE_STACK);
    assert_int_equal(0, pthread_create(&thread, &attr, hostile_run, &arena));
    pthread_join(thread, &failed);
    pthread_attr_destroy(&attr);
    assert_null(failed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_schema_of_the_table_gets_valid_instances, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(the_seed_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(no_schema_is_an_empty_object, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_pattern_is_passed_over, setup, teardown),
        cmocka_unit_test_setup_teardown(patterns_match_as_posix_does, setup, teardown),
        cmocka_unit_test_setup_teardown(patterns_of_more_than_posix_match, setup, teardown),
        cmocka_unit_test_setup_teardown(random_schemas_get_valid_instances, setup, teardown),
        cmocka_unit_test_setup_teardown(hostile_schemas_end_on_a_small_stack, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
