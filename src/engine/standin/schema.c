/* schema.c - makes up instances of JSON schemas.
 *
 * A value must satisfy a set of schemas at once: the one asked for, and whatever its $ref, allOf and a chosen branch of
 * its anyOf or oneOf add. want_gather() flattens that set without recursion and sums it up as a `struct want`; the
 * writers then make a value that fits the sum. Where there is a choice the dice decide. What the sum cannot express
 * ("exactly one of", "not") is left to the check of the finished instance; when that fails, the next attempt throws
 * other dice.
 *
 *   schema --> want_gather --> want --> object_write --> child schemas --> want_gather --> …
 *                                   \-> array_write, string_write, number_write
 *
 * Memory: a scratch arena an attempt.
 * Limits: SCHEMA_DEPTH_MAX levels, FUEL steps, SCHEMA_INSTANCE_MAX bytes.
 */
#include "engine/standin/schema.h"

#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "contract/json.h"
#include "engine/standin/pattern.h"
#include "engine/standin/schema_check.h"

#include <math.h>

#define FUEL           600000 /* over all attempts: some 10 ms */
#define FUEL_ATTEMPT   200000 /* so that one attempt that gets lost does not take the others' */
#define ATTEMPTS       10
#define BRANCHES_MAX   16 /* ways through the unions of one value that are tried */
#define SCHEMAS_MAX    48 /* that one value must satisfy at once */
#define DEPTH_PLENTY   4  /* down to here optional things are often given, below rarely */
#define DEPTH_SCARCE   8  /* from here on only what must be */
#define NAME_SHOWN_MAX 24 /* characters of a property's name that its string repeats */

struct maker {
    struct schema_doc doc;
    struct arena     *scratch;
    struct buf        out;
    uint64_t          dice;
    unsigned          attempt;
    str               name; /* of the property being written */
};

/* A set of schemas. */
struct all {
    yyjson_val *schemas[SCHEMAS_MAX];
    size_t      count;
};

/* What they come to. */
struct want {
    struct all  all;
    unsigned    types;
    unsigned    hints; /* types that the other words speak of */
    bool        impossible, has_union, unique, closed;
    bool        has_min, has_max, min_open, max_open;
    long double min, max;
    double      step; /* multipleOf, 0 when none */
    size_t      length_min, length_max, items_min, items_max, props_min, props_max, contains_min;
    yyjson_val *constant, *list, *pattern, *format, *contains, *names;
};

static bool value_write(struct maker *m, const struct all *all, unsigned depth);

static uint64_t roll(struct maker *m, uint64_t sides)
{
    return rand_next(&m->dice) % sides;
}

static bool give_up(struct maker *m, const char *why)
{
    if (!m->doc.why)
        m->doc.why = why;
    return false;
}

/* --- Gathering what must hold ------------------------------------------------------------------------------------ */

static void all_add(struct want *w, yyjson_val *schema)
{
    if (!schema || yyjson_is_false(schema) || w->all.count == SCHEMAS_MAX) {
        w->impossible = true;
        return;
    }
    if (!yyjson_is_obj(schema))
        return;
    for (size_t i = 0; i < w->all.count; i++) {
        if (w->all.schemas[i] == schema)
            return; /* also ends circles of $ref */
    }
    w->all.schemas[w->all.count++] = schema;
}

/* How much a branch is likely to need: what has no parts of its own is the way out of a recursion. */
static unsigned branch_weight(struct maker *m, yyjson_val *schema)
{
    yyjson_val *type = schema_member(&m->doc, schema, S("type"));
    unsigned    types = schema_types(type);

    if (yyjson_is_false(schema))
        return 9;
    if (schema_member(&m->doc, schema, S("const")) || schema_member(&m->doc, schema, S("enum")))
        return 0;
    if (type && types & ~(unsigned)(TYPE_ARRAY | TYPE_OBJECT))
        return 0;
    if (type && types & TYPE_ARRAY)
        return 1;
    return schema_member(&m->doc, schema, S("$ref")) ? 3 : 2;
}

/* One branch of an anyOf or oneOf: the lightest deep down, else the dice's; `turn` walks on through the others. */
static yyjson_val *branch_choose(struct maker *m, yyjson_val *branches, unsigned depth, size_t turn)
{
    size_t          n = yyjson_arr_size(branches), start = 0;
    unsigned        least = UINT32_MAX;
    yyjson_arr_iter it;
    yyjson_val     *one;

    if (n == 0 || !schema_burn(&m->doc, n))
        return NULL;
    if (depth < DEPTH_PLENTY)
        return yyjson_arr_get(branches, (roll(m, n) + turn) % n);
    it = yyjson_arr_iter_with(branches);
    for (size_t i = 0; (one = yyjson_arr_iter_next(&it)); i++) {
        unsigned weight = branch_weight(m, one);

        if (weight < least) {
            least = weight;
            start = i;
        }
    }
    return yyjson_arr_get(branches, (start + turn) % n);
}

static void want_bound(struct want *w, bool upper, long double v, bool open)
{
    if (upper && (!w->has_max || v < w->max || (v == w->max && open))) {
        w->has_max = true;
        w->max = v;
        w->max_open = open;
    }
    if (!upper && (!w->has_min || v > w->min || (v == w->min && open))) {
        w->has_min = true;
        w->min = v;
        w->min_open = open;
    }
}

/* The least common multiple, as far as a small search finds it. */
static void want_step(struct want *w, double step)
{
    if (step <= 0)
        return;
    if (w->step == 0) {
        w->step = step;
        return;
    }
    for (int k = 1; k <= 1000; k++) {
        if (schema_multiple(k * w->step, step)) {
            w->step *= k;
            return;
        }
    }
    w->impossible = true;
}

static void want_min(size_t *bound, yyjson_val *v)
{
    size_t n;

    if (schema_count(v, &n) && n > *bound)
        *bound = n;
}

static void want_max(size_t *bound, yyjson_val *v)
{
    size_t n;

    if (schema_count(v, &n) && n < *bound)
        *bound = n;
}

static void want_all_of(struct want *w, yyjson_val *list)
{
    yyjson_arr_iter it = { 0 };
    yyjson_val     *one;

    if (yyjson_is_arr(list))
        it = yyjson_arr_iter_with(list);
    while ((one = yyjson_arr_iter_next(&it)))
        all_add(w, one);
}

/* Half of the attempts go the "then" way, half the "else" way. */
static void want_condition(struct maker *m, struct want *w, yyjson_val *schema, yyjson_val *condition)
{
    bool        then = roll(m, 2) == 0;
    yyjson_val *next = schema_member(&m->doc, schema, then ? S("then") : S("else"));

    w->has_union = true;
    if (then)
        all_add(w, condition);
    if (next)
        all_add(w, next);
}

static void want_word(struct maker *m, struct want *w, yyjson_val *schema, enum schema_word word, yyjson_val *arg,
                      unsigned depth, size_t turn)
{
    switch (word) {
    case WORD_TYPE:
        w->types &= schema_types(arg);
        if (!schema_types(arg))
            (void)give_up(m, "the schema names a type that there is not");
        break;
    case WORD_CONST:
        w->constant = arg;
        break;
    case WORD_ENUM:
        w->list = yyjson_is_arr(arg) ? arg : w->list;
        break;
    case WORD_REF:
        all_add(w, schema_resolve(&m->doc, arg));
        break;
    case WORD_ALL_OF:
        want_all_of(w, arg);
        break;
    case WORD_ANY_OF:
    case WORD_ONE_OF:
        w->has_union = true;
        if (yyjson_is_arr(arg))
            all_add(w, branch_choose(m, arg, depth, turn));
        break;
    case WORD_IF:
        want_condition(m, w, schema, arg);
        break;
    case WORD_MIN:
    case WORD_MAX:
    case WORD_EXCLUSIVE_MIN:
    case WORD_EXCLUSIVE_MAX:
        w->hints |= TYPE_INTEGER | TYPE_NUMBER;
        if (yyjson_is_num(arg)) {
            bool upper = word == WORD_MAX || word == WORD_EXCLUSIVE_MAX;
            bool open =
                word == WORD_EXCLUSIVE_MIN || word == WORD_EXCLUSIVE_MAX ||
                yyjson_is_true(schema_member(&m->doc, schema, upper ? S("exclusiveMaximum") : S("exclusiveMinimum")));

            want_bound(w, upper, schema_number(arg), open);
        }
        break;
    case WORD_MULTIPLE_OF:
        w->hints |= TYPE_INTEGER | TYPE_NUMBER;
        if (yyjson_is_num(arg))
            want_step(w, (double)schema_number(arg));
        break;
    case WORD_MIN_LENGTH:
        w->hints |= TYPE_STRING;
        want_min(&w->length_min, arg);
        break;
    case WORD_MAX_LENGTH:
        w->hints |= TYPE_STRING;
        want_max(&w->length_max, arg);
        break;
    case WORD_PATTERN:
        w->hints |= TYPE_STRING;
        w->pattern = yyjson_is_str(arg) ? arg : w->pattern;
        break;
    case WORD_FORMAT:
        w->hints |= TYPE_STRING;
        w->format = yyjson_is_str(arg) ? arg : w->format;
        break;
    case WORD_MIN_ITEMS:
        w->hints |= TYPE_ARRAY;
        want_min(&w->items_min, arg);
        break;
    case WORD_MAX_ITEMS:
        w->hints |= TYPE_ARRAY;
        want_max(&w->items_max, arg);
        break;
    case WORD_UNIQUE_ITEMS:
        w->unique |= yyjson_is_true(arg);
        break;
    case WORD_CONTAINS:
        w->hints |= TYPE_ARRAY;
        w->contains = arg;
        w->contains_min = max_size(w->contains_min, 1);
        if (schema_count(schema_member(&m->doc, schema, S("minContains")), &w->contains_min))
            w->contains_min = min_size(w->contains_min, SCHEMA_INSTANCE_MAX);
        break;
    case WORD_ITEMS:
    case WORD_PREFIX_ITEMS:
        w->hints |= TYPE_ARRAY;
        break;
    case WORD_PROPERTIES:
    case WORD_REQUIRED:
        w->hints |= TYPE_OBJECT;
        break;
    case WORD_ADDITIONAL:
    case WORD_UNEVALUATED:
        w->hints |= TYPE_OBJECT;
        w->closed |= yyjson_is_false(arg);
        break;
    case WORD_PROPERTY_NAMES:
        w->hints |= TYPE_OBJECT;
        w->names = arg;
        break;
    case WORD_MIN_PROPERTIES:
        w->hints |= TYPE_OBJECT;
        want_min(&w->props_min, arg);
        break;
    case WORD_MAX_PROPERTIES:
        w->hints |= TYPE_OBJECT;
        want_max(&w->props_max, arg);
        break;
    case WORD_ADDITIONAL_ITEMS:
    case WORD_DEPENDENT:
    case WORD_ELSE:
    case WORD_MAX_CONTAINS:
    case WORD_MIN_CONTAINS:
    case WORD_NOT:
    case WORD_NULLABLE:
    case WORD_PATTERN_PROPERTIES:
    case WORD_THEN:
    case WORD_OTHER:
        break;
    }
}

/* `turn` numbers the ways through the unions. False when the schemas contradict each other this way. */
static bool want_gather(struct maker *m, struct want *w, const struct all *all, unsigned depth, size_t turn)
{
    *w = (struct want){ .types = TYPE_ANY, .length_max = SIZE_MAX, .items_max = SIZE_MAX, .props_max = SIZE_MAX };
    for (size_t i = 0; i < all->count; i++)
        all_add(w, all->schemas[i]);
    for (size_t i = 0; i < w->all.count && !w->impossible; i++) {
        yyjson_obj_iter it = yyjson_obj_iter_with(w->all.schemas[i]);
        yyjson_val     *key;

        while ((key = yyjson_obj_iter_next(&it)) && schema_burn(&m->doc, 1))
            want_word(m, w, w->all.schemas[i], schema_word(json_str(key)), yyjson_obj_iter_get_val(key), depth, turn);
    }
    return !w->impossible && w->types && m->doc.fuel >= 0;
}

/* --- Writing ----------------------------------------------------------------------------------------------------- */

static void number_add(struct buf *out, long double v)
{
    if (rintl(v) == v && fabsl(v) < 0x1p63L)
        buf_add_i64(out, (int64_t)v);
    else
        json_add_num(out, (double)v);
}

/* A constant of the schema. False when it is nested too deep. */
static bool constant_add(struct maker *m, yyjson_val *v, unsigned depth)
{
    struct buf *out = &m->out;

    if (depth > SCHEMA_DEPTH_MAX || !schema_burn(&m->doc, 1))
        return false;
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_BOOL:
        buf_add(out, yyjson_get_bool(v) ? S("true") : S("false"));
        return true;
    case YYJSON_TYPE_NUM:
        if (yyjson_is_uint(v))
            buf_addf(out, "%llu", (unsigned long long)yyjson_get_uint(v));
        else
            number_add(out, schema_number(v));
        return true;
    case YYJSON_TYPE_STR:
        json_add_str(out, json_str(v));
        return true;
    case YYJSON_TYPE_ARR: {
        yyjson_arr_iter it = yyjson_arr_iter_with(v);

        for (char c = '['; (v = yyjson_arr_iter_next(&it)); c = ',') {
            buf_add_char(out, c);
            if (!constant_add(m, v, depth + 1))
                return false;
        }
        buf_add(out, it.max ? S("]") : S("[]"));
        return true;
    }
    case YYJSON_TYPE_OBJ: {
        yyjson_obj_iter it = yyjson_obj_iter_with(v);

        for (char c = '{'; (v = yyjson_obj_iter_next(&it)); c = ',') {
            buf_add_char(out, c);
            json_add_str(out, json_str(v));
            buf_add_char(out, ':');
            if (!constant_add(m, yyjson_obj_iter_get_val(v), depth + 1))
                return false;
        }
        buf_add(out, it.max ? S("}") : S("{}"));
        return true;
    }
    default:
        buf_add(out, S("null"));
        return true;
    }
}

static bool constant_fits(struct maker *m, const struct want *w, yyjson_val *v)
{
    for (size_t i = 0; i < w->all.count; i++) {
        if (!schema_check(&m->doc, w->all.schemas[i], v))
            return false;
    }
    return true;
}

/* A const, or the first member of the enum that fits the rest, from where the dice point. */
static bool constant_write(struct maker *m, const struct want *w)
{
    size_t n = yyjson_arr_size(w->list), start;

    if (w->constant)
        return constant_fits(m, w, w->constant) ? constant_add(m, w->constant, 0)
                                                : give_up(m, "a const contradicts the rest of the schema");
    start = n ? (size_t)roll(m, n) : 0;
    for (size_t i = 0; i < n && schema_burn(&m->doc, n); i++) {
        yyjson_val *v = yyjson_arr_get(w->list, (start + i) % n);

        if (constant_fits(m, w, v))
            return constant_add(m, v, 0);
    }
    return give_up(m, "no member of an enum fits the rest of the schema");
}

static bool in_bounds(const struct want *w, long double v)
{
    if (w->has_min && (w->min_open ? v <= w->min : v < w->min))
        return false;
    return !w->has_max || (w->max_open ? v < w->max : v <= w->max);
}

/* A multiple of `base` between lo and hi. */
static bool multiple_write(struct maker *m, const struct want *w, double base, long double lo, long double hi)
{
    long double first = ceill(lo / base), last = floorl(hi / base), span;
    uint64_t    n, start;

    if (w->min_open && first * base <= lo)
        first++;
    if (w->max_open && last * base >= hi)
        last--;
    if (!(first <= last))
        return give_up(m, "no number is within the bounds");
    span = last - first + 1;
    n = span < 1e6L ? (uint64_t)span : 1000000;
    start = roll(m, n);
    /* Validators divide doubles, and 0.57 / 0.01 is not 57 to them: look for one that all agree on. */
    for (uint64_t i = 0; i < min_size(n, 200); i++) {
        long double v = (first + (long double)((start + i) % n)) * base;

        if (base != rint(base))
            v = (double)v;
        if (in_bounds(w, v) && schema_multiple((double)v, w->step)) {
            number_add(&m->out, v);
            return true;
        }
    }
    return give_up(m, "no multiple is within the bounds");
}

/* The smallest whole multiple of `step`. */
static double whole_step(double step)
{
    for (int k = 1; k <= 1000; k++) {
        if (rint(k * step) == k * step)
            return k * step;
    }
    return 0;
}

static bool number_write(struct maker *m, const struct want *w, bool whole)
{
    long double lo = w->min, hi = w->max, v;
    double      base = w->step;

    if (!w->has_min)
        lo = w->has_max && hi <= 0 ? hi - 100 - fabsl(hi) : 0;
    if (!w->has_max)
        hi = lo + 100 + fabsl(lo);
    if (whole && base == 0)
        base = 1;
    else if (whole && rint(base) != base)
        base = whole_step(base);
    if (base != 0)
        return multiple_write(m, w, base, lo, hi);
    if (whole)
        return give_up(m, "no whole number is a multiple");
    if (lo > hi)
        return give_up(m, "no number is within the bounds");
    /* Something with a half, else with two digits, else whatever lies between. */
    v = lo + (hi - lo) * (long double)(1 + roll(m, 7)) / 8;
    for (double unit = 2; unit <= 1e6; unit = unit == 2 ? 100 : unit * 100) {
        double rounded =
            (double)((floorl(v * unit) + (unit == 2 && rintl(floorl(v * 2) / 2) * 2 == floorl(v * 2))) / unit);

        if (in_bounds(w, rounded)) {
            json_add_num(&m->out, rounded);
            return true;
        }
    }
    if (!in_bounds(w, (double)v))
        v = w->min_open ? hi : lo;
    json_add_num(&m->out, (double)v);
    return true;
}

/* A text of the format; 0 when we do not know it. */
static size_t format_text(struct maker *m, str format, char *text, size_t room)
{
    uint64_t r = rand_next(&m->dice);
    unsigned a = (unsigned)(r & 0xFF), b = (unsigned)(r >> 8 & 0xFF), c = (unsigned)(r >> 16 & 0xFF);
    char     date[16], clock[16];
    int      n = 0;

    snprintf(date, sizeof(date), "2026-%02u-%02u", a % 12 + 1, b % 28 + 1);
    snprintf(clock, sizeof(clock), "%02u:%02u:%02uZ", c % 24, a % 60, b % 60);
    if (str_eq(format, S("date-time")))
        n = snprintf(text, room, "%sT%s", date, clock);
    else if (str_eq(format, S("date")))
        n = snprintf(text, room, "%s", date);
    else if (str_eq(format, S("time")))
        n = snprintf(text, room, "%s", clock);
    else if (str_eq(format, S("duration")))
        n = snprintf(text, room, "PT%uM", a % 59 + 1);
    else if (str_eq(format, S("email")) || str_eq(format, S("idn-email")))
        n = snprintf(text, room, "standin%u@example.com", a);
    else if (str_eq(format, S("hostname")) || str_eq(format, S("idn-hostname")))
        n = snprintf(text, room, "host%u.example.com", a);
    else if (str_eq(format, S("ipv4")))
        n = snprintf(text, room, "192.0.2.%u", a);
    else if (str_eq(format, S("ipv6")))
        n = snprintf(text, room, "2001:db8::%x", a + 1);
    else if (str_eq(format, S("uri")) || str_eq(format, S("iri")) || str_eq(format, S("url")))
        n = snprintf(text, room, "https://example.com/%u", a);
    else if (str_eq(format, S("uri-reference")) || str_eq(format, S("iri-reference")) ||
             str_eq(format, S("uri-template")) || str_eq(format, S("json-pointer")))
        n = snprintf(text, room, "/standin/%u", a);
    else if (str_eq(format, S("relative-json-pointer")))
        n = snprintf(text, room, "0/standin%u", a);
    else if (str_eq(format, S("regex")))
        n = snprintf(text, room, "^a{%u}$", a % 9 + 1);
    else if (str_eq(format, S("uuid")))
        n = snprintf(text, room, "%08x-%04x-4%03x-8%03x-%012llx", (unsigned)(r >> 32), b << 8 | c, a, b,
                     (unsigned long long)(rand_next(&m->dice) & 0xFFFFFFFFFFFFu));
    return n > 0 && (size_t)n < room ? (size_t)n : 0;
}

/* "city 42 stand-in stand-in …": the property's name, a number, and as much more as the length asks for. */
static void plain_text(struct maker *m, const struct want *w, struct buf *text)
{
    str    shown = m->name.len ? m->name : S("text");
    size_t length, n;

    if (w->length_max < 8) {
        length = w->length_max > 1 ? max_size(w->length_min, 1) + roll(m, 2) : w->length_max;
        for (length = min_size(length, w->length_max); length; length--)
            buf_add_char(text, (char)('a' + roll(m, 26)));
        return;
    }
    n = utf8_cut(shown, NAME_SHOWN_MAX * 2);
    while (utf8_count(str_first(shown, n)) > min_size(NAME_SHOWN_MAX, w->length_max - 3))
        n = utf8_cut(shown, n - 1);
    buf_add(text, str_first(shown, n));
    buf_addf(text, " %u", (unsigned)roll(m, 99) + 1);
    length = utf8_count(buf_str(text));
    for (n = 0; length + n < w->length_min; n++)
        buf_add_char(text, " stand-in"[n % 9]);
}

static bool string_write(struct maker *m, const struct want *w)
{
    struct buf text;
    char       known[64];
    size_t     n;

    if (w->length_min > w->length_max || w->length_min > SCHEMA_INSTANCE_MAX)
        return give_up(m, "no string is within the bounds");
    buf_init(&text, m->scratch, SCHEMA_INSTANCE_MAX);
    if (w->pattern && pattern_text(json_str(w->pattern), w->length_min, w->length_max, &m->dice, &m->doc.fuel, &text)) {
        json_add_str(&m->out, text.len ? buf_str(&text) : S(""));
        return true;
    }
    n = w->format ? format_text(m, json_str(w->format), known, sizeof(known)) : 0;
    if (n && n >= w->length_min && n <= w->length_max)
        buf_add_bytes(&text, known, n);
    else
        plain_text(m, w, &text);
    json_add_str(&m->out, text.len ? buf_str(&text) : S(""));
    return !text.full;
}

/* The schemas for item `i`. False when none can be there. */
static bool item_schemas(struct maker *m, const struct want *w, size_t i, struct all *ret)
{
    ret->count = 0;
    for (size_t k = 0; k < w->all.count; k++) {
        yyjson_val *schema = w->all.schemas[k], *prefix = schema_member(&m->doc, schema, S("prefixItems"));
        yyjson_val *items = schema_member(&m->doc, schema, S("items")), *one;

        if (!prefix && yyjson_is_arr(items)) {
            prefix = items;
            items = schema_member(&m->doc, schema, S("additionalItems"));
        }
        one = i < yyjson_arr_size(prefix) && schema_burn(&m->doc, i) ? yyjson_arr_get(prefix, i) : items;
        if (yyjson_is_false(one))
            return false;
        if (one && ret->count < SCHEMAS_MAX)
            ret->schemas[ret->count++] = one;
    }
    if (i < w->contains_min && w->contains && ret->count < SCHEMAS_MAX)
        ret->schemas[ret->count++] = w->contains;
    return true;
}

static size_t tuple_size(struct maker *m, const struct want *w)
{
    size_t n = 0;

    for (size_t k = 0; k < w->all.count; k++) {
        yyjson_val *prefix = schema_member(&m->doc, w->all.schemas[k], S("prefixItems"));

        if (!prefix)
            prefix = schema_member(&m->doc, w->all.schemas[k], S("items"));
        if (yyjson_is_arr(prefix))
            n = max_size(n, yyjson_arr_size(prefix));
    }
    return n;
}

/* The places of earlier items in the output. */
struct span {
    size_t start, end;
};

/* Writes an item that is none of the earlier ones. */
static bool item_write_unique(struct maker *m, const struct all *all, unsigned depth, struct span *spans, size_t count)
{
    size_t start = m->out.len;

    for (unsigned turn = 0; turn < 64; turn++) {
        bool seen = false;

        if (!value_write(m, all, depth))
            return false;
        for (size_t k = 0; k < count && !seen && schema_burn(&m->doc, 1); k++)
            seen = str_eq(str_of(m->out.ptr + spans[k].start, spans[k].end - spans[k].start),
                          str_of(m->out.ptr + start, m->out.len - start));
        if (!seen) {
            spans[count] = (struct span){ start, m->out.len };
            return m->doc.fuel >= 0;
        }
        m->out.len = start;
    }
    return give_up(m, "too few different items");
}

static size_t array_length(struct maker *m, const struct want *w, unsigned depth)
{
    size_t n = max_size(max_size(w->items_min, w->contains_min), tuple_size(m, w));

    if (depth < DEPTH_PLENTY)
        n = n ? n + roll(m, 2) : 1 + roll(m, 2);
    else if (depth < DEPTH_SCARCE && n == 0)
        n = roll(m, 2);
    return max_size(min_size(n, w->items_max), w->items_min);
}

static bool array_write(struct maker *m, const struct want *w, unsigned depth)
{
    size_t       n, start;
    struct all  *item;
    struct span *spans = NULL;

    if (w->items_min > w->items_max || w->items_min > SCHEMA_INSTANCE_MAX / 2)
        return give_up(m, "no array is within the bounds");
    n = array_length(m, w, depth);
    item = arena_new(m->scratch, struct all);
    if (w->unique)
        spans = arena_array(m->scratch, struct span, n + 1);
    buf_add_char(&m->out, '[');
    for (size_t i = 0; i < n; i++) {
        start = m->out.len;
        if (i)
            buf_add_char(&m->out, ',');
        if (!item_schemas(m, w, i, item) ||
            !(w->unique ? item_write_unique(m, item, depth + 1, spans, i) : value_write(m, item, depth + 1))) {
            m->out.len = start;
            if (i < w->items_min || i < w->contains_min || m->doc.fuel < 0)
                return false;
            break; /* what is there will do */
        }
    }
    buf_add_char(&m->out, ']');
    return !m->out.full;
}

static bool is_required(struct maker *m, const struct want *w, str name)
{
    for (size_t k = 0; k < w->all.count; k++) {
        yyjson_val     *list = schema_member(&m->doc, w->all.schemas[k], S("required")), *one;
        yyjson_arr_iter it;

        if (!yyjson_is_arr(list) || !schema_burn(&m->doc, 1 + yyjson_arr_size(list) / 8))
            continue;
        it = yyjson_arr_iter_with(list);
        while ((one = yyjson_arr_iter_next(&it))) {
            if (yyjson_is_str(one) && str_eq(json_str(one), name))
                return true;
        }
    }
    return false;
}

/* The schemas for a property. False when it must not be there. */
static bool property_schemas(struct maker *m, const struct want *w, str name, struct all *ret)
{
    ret->count = 0;
    for (size_t k = 0; k < w->all.count; k++) {
        yyjson_val *schema = w->all.schemas[k];
        yyjson_val *one = schema_member(&m->doc, schema_member(&m->doc, schema, S("properties")), name);

        if (!one && !schema_member(&m->doc, schema, S("patternProperties")))
            one = schema_member(&m->doc, schema, S("additionalProperties"));
        if (yyjson_is_false(one))
            return false;
        if (one && ret->count < SCHEMAS_MAX)
            ret->schemas[ret->count++] = one;
    }
    return true;
}

/* Adds ,"name":value; leaves *out as it was when that cannot be. */
static bool property_write(struct maker *m, const struct want *w, str name, unsigned depth)
{
    struct all *all = arena_new(m->scratch, struct all);
    size_t      start = m->out.len;
    str         outer = m->name;
    bool        ok;

    if (!property_schemas(m, w, name, all))
        return give_up(m, "a required property is not allowed");
    if (m->out.ptr[start - 1] != '{')
        buf_add_char(&m->out, ',');
    json_add_str(&m->out, name);
    buf_add_char(&m->out, ':');
    m->name = name;
    ok = value_write(m, all, depth + 1);
    m->name = outer;
    if (!ok)
        m->out.len = start;
    return ok;
}

/* Whether one of the first `count` schemas lists the property. */
static bool is_listed(struct maker *m, const struct want *w, size_t count, str name)
{
    for (size_t k = 0; k < count; k++) {
        if (schema_member(&m->doc, schema_member(&m->doc, w->all.schemas[k], S("properties")), name))
            return true;
    }
    return false;
}

static bool is_required_before(struct maker *m, const struct want *w, size_t k, yyjson_val *list, size_t i, str name)
{
    for (size_t before = 0; before <= k; before++) {
        yyjson_val     *earlier = before == k ? list : schema_member(&m->doc, w->all.schemas[before], S("required"));
        size_t          left = before == k ? i : yyjson_arr_size(earlier);
        yyjson_arr_iter it = { 0 };

        if (!yyjson_is_arr(earlier) || !schema_burn(&m->doc, 1 + left / 8))
            continue;
        it = yyjson_arr_iter_with(earlier);
        for (; left; left--) {
            yyjson_val *one = yyjson_arr_iter_next(&it);

            if (yyjson_is_str(one) && str_eq(json_str(one), name))
                return true;
        }
    }
    return false;
}

static bool wants_optional(struct maker *m, unsigned depth)
{
    if (m->attempt == 3 || m->attempt == 5)
        return true;
    if (m->attempt == 4 || m->attempt == 6 || depth >= DEPTH_SCARCE)
        return false;
    return depth < DEPTH_PLENTY ? roll(m, 4) != 0 : roll(m, 4) == 0;
}

/* The properties that schema `k` lists and no earlier one did. */
static bool listed_write(struct maker *m, const struct want *w, size_t k, unsigned depth, size_t *count)
{
    yyjson_val     *properties = schema_member(&m->doc, w->all.schemas[k], S("properties")), *key;
    yyjson_obj_iter it;

    if (!yyjson_is_obj(properties))
        return true;
    it = yyjson_obj_iter_with(properties);
    while ((key = yyjson_obj_iter_next(&it)) && schema_burn(&m->doc, 1)) {
        str  name = json_str(key);
        bool required = is_required(m, w, name);
        bool needed = required || (w->closed && *count < w->props_min);

        if (is_listed(m, w, k, name) || (!needed && (*count >= w->props_max || !wants_optional(m, depth))))
            continue;
        if (property_write(m, w, name, depth))
            ++*count;
        else if (required || m->doc.fuel < 0)
            return false;
    }
    return m->doc.fuel >= 0;
}

/* Names that are required but nowhere described. */
static bool unlisted_write(struct maker *m, const struct want *w, size_t k, unsigned depth, size_t *count)
{
    yyjson_val     *list = schema_member(&m->doc, w->all.schemas[k], S("required")), *one;
    yyjson_arr_iter it;

    if (!yyjson_is_arr(list))
        return true;
    it = yyjson_arr_iter_with(list);
    for (size_t i = 0; (one = yyjson_arr_iter_next(&it)) && schema_burn(&m->doc, 1); i++) {
        str name = json_str(one);

        if (!yyjson_is_str(one) || is_listed(m, w, w->all.count, name) || is_required_before(m, w, k, list, i, name))
            continue;
        if (!property_write(m, w, name, depth))
            return false;
        ++*count;
    }
    return m->doc.fuel >= 0;
}

/* A name that propertyNames allows, else "key1", "key2", …; a view into the scratch arena. */
static bool name_make(struct maker *m, const struct want *w, size_t i, unsigned depth, str *ret)
{
    struct all *all;
    size_t      start = m->out.len;
    yyjson_val *name;

    if (!w->names) {
        *ret = arena_printf(m->scratch, "key%zu", i + 1);
        return true;
    }
    all = arena_new(m->scratch, struct all);
    all->schemas[all->count++] = w->names;
    if (!value_write(m, all, depth + 1))
        return false;
    name = json_parse_copy(m->scratch, str_of(m->out.ptr + start, m->out.len - start));
    m->out.len = start;
    *ret = json_str(name);
    return yyjson_is_str(name);
}

/* Free names, when the object is a dictionary or must have more properties than are described. */
static bool extra_write(struct maker *m, const struct want *w, unsigned depth, size_t count)
{
    bool   dictionary = false;
    size_t want = w->props_min, made = 0;
    str   *names;

    for (size_t k = 0; k < w->all.count; k++)
        dictionary |= yyjson_is_obj(schema_member(&m->doc, w->all.schemas[k], S("additionalProperties")));
    if (dictionary && count == 0 && depth < DEPTH_PLENTY)
        want = max_size(want, 1);
    want = min_size(want, w->props_max);
    if (count >= want)
        return true;
    if (w->closed || want > SCHEMA_INSTANCE_MAX / 4)
        return count >= w->props_min || give_up(m, "too few properties are allowed");
    names = arena_array(m->scratch, str, want - count);
    for (unsigned turn = 0; made < want - count && turn < 4 * (want - count) + 16; turn++) {
        str  name;
        bool seen = false;

        if (!name_make(m, w, turn, depth, &name))
            return count + made >= w->props_min;
        for (size_t i = 0; i < made && !seen; i++)
            seen = str_eq(names[i], name);
        if (seen || is_listed(m, w, w->all.count, name) || is_required(m, w, name))
            continue;
        if (!property_write(m, w, name, depth))
            return count + made >= w->props_min;
        names[made++] = name;
        if (!schema_burn(&m->doc, made))
            return false;
    }
    return count + made >= w->props_min;
}

static bool object_write(struct maker *m, const struct want *w, unsigned depth)
{
    size_t count = 0;

    buf_add_char(&m->out, '{');
    for (size_t k = 0; k < w->all.count && !m->out.full; k++) {
        if (!listed_write(m, w, k, depth, &count))
            return false;
    }
    for (size_t k = 0; k < w->all.count && !m->out.full; k++) {
        if (!unlisted_write(m, w, k, depth, &count))
            return false;
    }
    if (m->out.full || !extra_write(m, w, depth, count))
        return false;
    buf_add_char(&m->out, '}');
    return !m->out.full;
}

/* Which of the allowed types it shall be: what the schema speaks of, seldom null; deep down what ends soonest. */
static enum schema_type type_choose(struct maker *m, const struct want *w, unsigned depth)
{
    static const enum schema_type types[] = { TYPE_STRING, TYPE_OBJECT,  TYPE_NUMBER, TYPE_INTEGER,
                                              TYPE_ARRAY,  TYPE_BOOLEAN, TYPE_NULL };
    unsigned                      set = w->types;
    size_t                        start;

    if (set & w->hints && (w->types == TYPE_ANY || roll(m, 8)))
        set &= w->hints;
    else if (w->types == TYPE_ANY && m->attempt < 2)
        set = TYPE_STRING;
    if (set & ~(unsigned)TYPE_NULL && depth < DEPTH_SCARCE && roll(m, 8))
        set &= ~(unsigned)TYPE_NULL;
    if (depth >= DEPTH_PLENTY && set & ~(unsigned)(TYPE_ARRAY | TYPE_OBJECT))
        set &= ~(unsigned)(TYPE_ARRAY | TYPE_OBJECT);
    if (set & TYPE_NUMBER)
        set &= ~(unsigned)TYPE_INTEGER;
    start = (size_t)roll(m, ARRAY_LEN(types));
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        enum schema_type type = types[(start + i) % ARRAY_LEN(types)];

        if (set & type)
            return type;
    }
    return TYPE_NULL;
}

static bool want_write(struct maker *m, const struct want *w, unsigned depth)
{
    if (w->constant || w->list)
        return constant_write(m, w);
    switch (type_choose(m, w, depth)) {
    case TYPE_NULL:
        buf_add(&m->out, S("null"));
        break;
    case TYPE_BOOLEAN:
        buf_add(&m->out, roll(m, 2) ? S("true") : S("false"));
        break;
    case TYPE_INTEGER:
        return number_write(m, w, true);
    case TYPE_NUMBER:
    case TYPE_ANY:
        return number_write(m, w, false);
    case TYPE_STRING:
        return string_write(m, w);
    case TYPE_ARRAY:
        return array_write(m, w, depth);
    case TYPE_OBJECT:
        return object_write(m, w, depth);
    }
    return !m->out.full;
}

static bool value_write(struct maker *m, const struct all *all, unsigned depth)
{
    struct want *w;
    size_t       start = m->out.len;

    if (depth > SCHEMA_DEPTH_MAX)
        return give_up(m, "the schema asks for values nested too deep");
    w = arena_new(m->scratch, struct want);
    for (size_t turn = 0; turn < BRANCHES_MAX && schema_burn(&m->doc, 10); turn++) {
        if (want_gather(m, w, all, depth, turn) && want_write(m, w, depth))
            return !m->out.full;
        if (m->out.full)
            break;
        m->out.len = start;
        if (!w->has_union)
            break;
    }
    return give_up(m, "the schema contradicts itself");
}

/* --- Attempts ---------------------------------------------------------------------------------------------------- */

static bool attempt_ok(struct maker *m, yyjson_val *schema)
{
    struct all *all = arena_new(m->scratch, struct all);
    yyjson_val *made;
    bool        ok;

    if (yyjson_is_obj(schema))
        all->schemas[all->count++] = schema;
    if (!value_write(m, all, 0)) {
        if (m->out.full)
            m->doc.why = "an instance would be too large";
        return false;
    }
    made = json_parse_copy(m->scratch, buf_str(&m->out));
    ok = made && schema_check(&m->doc, schema, made);
    if (!ok && !m->doc.why)
        m->doc.why = "what was made is not valid";
    return ok;
}

enum err schema_instance(struct arena *a, struct yyjson_val *schema, uint64_t seed, str *ret, const char **ret_why)
{
    struct arena scratch;
    struct maker m = { .doc = { .root = schema }, .scratch = &scratch };
    int64_t      fuel = FUEL;
    bool         ok = false;

    if (!schema) {
        *ret = S("{}");
        return OK;
    }
    if (yyjson_is_false(schema)) {
        *ret_why = "the schema is false";
        return ERR_INVALID;
    }
    arena_init(&scratch, 0);
    for (m.attempt = 0; m.attempt < ATTEMPTS && !ok && fuel > 0; m.attempt++) {
        arena_reset(&scratch);
        buf_init(&m.out, &scratch, SCHEMA_INSTANCE_MAX);
        m.dice = seed + m.attempt;
        m.name = (str){ 0 };
        m.doc.why = NULL;
        m.doc.fuel = FUEL_ATTEMPT;
        ok = attempt_ok(&m, schema);
        fuel -= FUEL_ATTEMPT - m.doc.fuel;
    }
    if (ok)
        *ret = arena_str(a, buf_str(&m.out));
    else
        *ret_why = m.doc.why;
    arena_free(&scratch);
    return ok ? OK : ERR_INVALID;
}
