/* scenario.c - reads the stand-in's YAML script, and finds the rule for a question.
 *
 * libyaml builds a tree in which an alias is the node it names, so nothing is expanded while loading; reading the tree
 * counts every node it looks at. Each mapping of the format is a table of its keys: map_read() refuses what is not in
 * it and calls the key's reader.
 */
#include "engine/standin/scenario.h"

#include "base/buf.h"
#include "base/num.h"
#include "base/utf8.h"
#include "contract/catalog.h"
#include "contract/json.h"

#include <errno.h>
#include <regex.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <yaml.h>

#define REGEX_LEN_MAX  1000
#define REGEX_NEST_MAX 32
#define REGEX_SIZE_MAX 10000 /* items, when all {n,m} and + are written out */
#define DURATION_MAX_S 3600.0

enum text_test { TEST_NONE, TEST_EXACT, TEST_CONTAINS, TEST_GLOB, TEST_REGEX };

struct text_match {
    enum text_test test;
    str            text;
    regex_t        regex; /* TEST_REGEX */
};

struct header_match {
    str name, glob;
};

struct match {
    str                 *models; /* globs */
    size_t               model_count;
    struct text_match    message, system, tool_result;
    bool                 tools_given;
    str                 *tools;
    size_t               tool_count;
    struct header_match *headers;
    size_t               header_count;
    int64_t              call_min, call_max;
    opt_bool             stream;
};

struct rule {
    str                     name;
    struct match            match;
    struct scenario_answer *answers;
    size_t                  answer_count;
    atomic_int_least64_t    calls; /* how often the match held but for its `call` */
};

struct scenario {
    struct rule *rules;
    size_t       rule_count;
};

/* --- Reading YAML ------------------------------------------------------------------------------------------------ */

struct reader {
    struct arena                  *arena;
    const struct scenario_options *options;
    str                            name; /* of the file */
    yaml_document_t                doc;
    size_t                         nodes, text_size;
    str                           *why;
};

/* A key of a mapping. `read` puts the value into the struct that the mapping stands for. */
struct key {
    str name;
    bool (*read)(struct reader *r, yaml_node_t *v, void *into);
};

#define KEY(text, fn)                     \
    {                                     \
        { "" text, sizeof(text) - 1 }, fn \
    }

static bool refuse(struct reader *r, const yaml_node_t *at, const char *fmt, ...) PRINTF_LIKE(3, 4);

static bool refuse(struct reader *r, const yaml_node_t *at, const char *fmt, ...)
{
    char    text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *r->why = arena_printf(r->arena, "%.*s:%zu: %s", STR_ARG(r->name), at ? at->start_mark.line + 1 : 1, text);
    return false;
}

/* Every look at a node comes through here. */
static yaml_node_t *node_get(struct reader *r, yaml_node_item_t index)
{
    if (++r->nodes > SCENARIO_NODES_MAX)
        return NULL;
    return yaml_document_get_node(&r->doc, index);
}

static bool refuse_nodes(struct reader *r, const yaml_node_t *at)
{
    return refuse(r, at, "too large: more than %d values, counting what aliases repeat", SCENARIO_NODES_MAX);
}

static bool is_text(const yaml_node_t *v)
{
    return v->type == YAML_SCALAR_NODE;
}

static bool is_plain(const yaml_node_t *v)
{
    return is_text(v) && v->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

static str text_of(const yaml_node_t *v)
{
    return str_of((const char *)v->data.scalar.value, v->data.scalar.length);
}

static size_t list_size(const yaml_node_t *v)
{
    return (size_t)(v->data.sequence.items.top - v->data.sequence.items.start);
}

static size_t pair_count(const yaml_node_t *v)
{
    return (size_t)(v->data.mapping.pairs.top - v->data.mapping.pairs.start);
}

/* How many letters must change to make one word of the other; at most `max` + 1. */
static size_t word_distance(str a, str b, size_t max)
{
    size_t row[33];

    if (a.len > 32 || b.len > 32)
        return max + 1;
    for (size_t i = 0; i <= b.len; i++)
        row[i] = i;
    for (size_t i = 1; i <= a.len; i++) {
        size_t left_above = row[0];

        row[0] = i;
        for (size_t k = 1; k <= b.len; k++) {
            size_t above = row[k];

            row[k] = min_size(min_size(above, row[k - 1]) + 1, left_above + (a.ptr[i - 1] != b.ptr[k - 1]));
            left_above = above;
        }
    }
    return min_size(row[b.len], max + 1);
}

static bool refuse_key(struct reader *r, const yaml_node_t *at, const struct key *keys, size_t count, const char *what)
{
    str        known = S("");
    struct buf list;
    size_t     best = 3;

    buf_init(&list, r->arena, 300);
    for (size_t i = 0; i < count; i++) {
        size_t distance = word_distance(text_of(at), keys[i].name, 2);

        if (distance < best) {
            best = distance;
            known = keys[i].name;
        }
        buf_addf(&list, "%s%.*s", i ? ", " : "", STR_ARG(keys[i].name));
    }
    if (known.len)
        return refuse(r, at, "unknown key \"%.*s\" in %s; did you mean \"%.*s\"?", STR_ARG(str_first(text_of(at), 60)),
                      what, STR_ARG(known));
    return refuse(r, at, "unknown key \"%.*s\" in %s; it can have %.*s", STR_ARG(str_first(text_of(at), 60)), what,
                  STR_ARG(buf_str(&list)));
}

/* Reads a mapping by its table of at most 32 keys. */
static bool map_read(struct reader *r, yaml_node_t *v, const struct key *keys, size_t count, const char *what,
                     void *into)
{
    unsigned seen = 0;

    if (v->type != YAML_MAPPING_NODE)
        return refuse(r, v, "%s must be a mapping of keys to values", what);
    for (yaml_node_pair_t *p = v->data.mapping.pairs.start; p < v->data.mapping.pairs.top; p++) {
        yaml_node_t *key = node_get(r, p->key), *value = node_get(r, p->value);
        size_t       i = 0;

        if (!key || !value)
            return refuse_nodes(r, v);
        if (!is_text(key))
            return refuse(r, key, "a key of %s must be a word", what);
        while (i < count && !str_eq(keys[i].name, text_of(key)))
            i++;
        if (i == count)
            return refuse_key(r, key, keys, count, what);
        if (seen & BIT(i))
            return refuse(r, key, "\"%.*s\" is given twice in %s", STR_ARG(keys[i].name), what);
        seen |= BIT(i);
        if (!keys[i].read(r, value, into))
            return false;
    }
    return true;
}

/* --- Values ------------------------------------------------------------------------------------------------------ */

/* Aliases of one long text are copies. */
static bool text_keep(struct reader *r, const yaml_node_t *v, size_t size)
{
    r->text_size += size;
    return r->text_size <= SCENARIO_TEXT_MAX ||
           refuse(r, v, "too large: the texts are more than %zu bytes together", SCENARIO_TEXT_MAX);
}

static bool text_read(struct reader *r, yaml_node_t *v, const char *what, str *ret)
{
    if (!is_text(v))
        return refuse(r, v, "%s must be text; put it in quotes when it begins with { or [", what);
    if (!text_keep(r, v, text_of(v).len))
        return false;
    *ret = arena_str(r->arena, text_of(v));
    return true;
}

/* One text, or a list of them. */
static bool texts_read(struct reader *r, yaml_node_t *v, const char *what, str **ret, size_t *ret_count)
{
    size_t n;

    if (v->type != YAML_SEQUENCE_NODE) {
        *ret = arena_new(r->arena, str);
        *ret_count = 1;
        return text_read(r, v, what, *ret);
    }
    n = list_size(v);
    *ret = arena_array(r->arena, str, n);
    *ret_count = n;
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *one = node_get(r, v->data.sequence.items.start[i]);

        if (!one)
            return refuse_nodes(r, v);
        if (!text_read(r, one, what, &(*ret)[i]))
            return false;
    }
    return true;
}

static bool count_read(struct reader *r, yaml_node_t *v, const char *what, int64_t max, int64_t *ret)
{
    int64_t n;

    if (!is_text(v) || !str_to_i64(text_of(v), &n) || n < 0 || n > max)
        return refuse(r, v, "%s must be a whole number from 0 to %lld", what, (long long)max);
    *ret = n;
    return true;
}

static bool flag_read(struct reader *r, yaml_node_t *v, const char *what, opt_bool *ret)
{
    if (!is_text(v) || !(str_eq(text_of(v), S("true")) || str_eq(text_of(v), S("false"))))
        return refuse(r, v, "%s must be true or false", what);
    *ret = (opt_bool){ .v = str_eq(text_of(v), S("true")), .set = true };
    return true;
}

/* "200ms", "1.5s", "2m", or 0. */
static bool duration_read(struct reader *r, yaml_node_t *v, const char *what, int64_t *ret_us)
{
    static const struct {
        str    unit;
        double seconds;
    } units[] = { { { "us", 2 }, 1e-6 }, { { "ms", 2 }, 1e-3 }, { { "s", 1 }, 1 }, { { "m", 1 }, 60 } };
    str    text = is_text(v) ? text_of(v) : S("");
    double n;

    if (str_eq(text, S("0"))) {
        *ret_us = 0;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!str_ends(text, units[i].unit) || text.len == units[i].unit.len)
            continue;
        if (!str_to_f64(str_first(text, text.len - units[i].unit.len), &n))
            continue;
        if (!(n >= 0) || n * units[i].seconds > DURATION_MAX_S)
            break;
        *ret_us = (int64_t)(n * units[i].seconds * 1e6);
        return true;
    }
    return refuse(r, v, "%s must be a time like 200ms, 1.5s or 2m, at most an hour", what);
}

/* REF: RFC 8259 §6. */
static bool is_json_number(str s)
{
    size_t i = s.len && s.ptr[0] == '-', start = i;

#define DIGITS(from)                                                       \
    for (from = i; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++) { \
    }
    DIGITS(start)
    if (i == start || (s.ptr[start] == '0' && i > start + 1))
        return false;
    if (i < s.len && s.ptr[i] == '.') {
        i++;
        DIGITS(start)
        if (i == start)
            return false;
    }
    if (i < s.len && (s.ptr[i] | 0x20) == 'e') {
        i++;
        if (i < s.len && (s.ptr[i] == '+' || s.ptr[i] == '-'))
            i++;
        DIGITS(start)
        if (i == start)
            return false;
    }
#undef DIGITS
    return i == s.len;
}

/* A value as JSON: plain words are null, true, false and numbers as JSON writes them, all else is text. */
static bool json_write(struct reader *r, yaml_node_t *v, struct buf *out, unsigned depth)
{
    str text;

    if (depth > SCENARIO_DEPTH_MAX)
        return refuse(r, v, "nested more than %d deep", SCENARIO_DEPTH_MAX);
    switch (v->type) {
    case YAML_MAPPING_NODE:
        buf_add_char(out, '{');
        for (size_t i = 0; i < pair_count(v); i++) {
            yaml_node_t *key = node_get(r, v->data.mapping.pairs.start[i].key);
            yaml_node_t *value = node_get(r, v->data.mapping.pairs.start[i].value);

            if (!key || !value)
                return refuse_nodes(r, v);
            if (!is_text(key))
                return refuse(r, key, "a key must be text; put {{…}} in quotes");
            if (i)
                buf_add(out, S(", "));
            json_add_str(out, text_of(key));
            buf_add(out, S(": "));
            if (!json_write(r, value, out, depth + 1))
                return false;
        }
        buf_add_char(out, '}');
        break;
    case YAML_SEQUENCE_NODE:
        buf_add_char(out, '[');
        for (size_t i = 0; i < list_size(v); i++) {
            yaml_node_t *one = node_get(r, v->data.sequence.items.start[i]);

            if (!one)
                return refuse_nodes(r, v);
            if (i)
                buf_add(out, S(", "));
            if (!json_write(r, one, out, depth + 1))
                return false;
        }
        buf_add_char(out, ']');
        break;
    case YAML_NO_NODE:
    case YAML_SCALAR_NODE:
        text = text_of(v);
        if (is_plain(v) && (text.len == 0 || str_eq(text, S("~")) || str_eq(text, S("null"))))
            buf_add(out, S("null"));
        else if (is_plain(v) && (str_eq(text, S("true")) || str_eq(text, S("false")) || is_json_number(text)))
            buf_add(out, text);
        else
            json_add_str(out, text);
        break;
    }
    return !out->full || refuse(r, v, "longer than %zu bytes", out->max);
}

/* --- Placeholders ------------------------------------------------------------------------------------------------ */

#define HOLES(X)               \
    X(HOLE_MESSAGE, "message") \
    X(HOLE_MODEL, "model")     \
    X(HOLE_CALL, "call")       \
    X(HOLE_TOOL_RESULT, "tool_result")

#define HOLE_ENUM(name, text) name,
enum hole { HOLES(HOLE_ENUM) HOLE_NONE };
#undef HOLE_ENUM

static enum hole hole_parse(str name)
{
#define HOLE_NAME(name, text) [name] = { "" text, sizeof(text) - 1 },
    static const str names[] = { HOLES(HOLE_NAME) };
#undef HOLE_NAME

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq(names[i], name))
            return (enum hole)i;
    }
    return HOLE_NONE;
}

/* Cuts the text before the next {{word}} off *rest, and the word; false when there is no further one. Other braces are
 * text. */
static bool hole_next(str *rest, str *ret_before, str *ret_name)
{
    for (size_t i = 0; i + 4 < rest->len; i++) {
        size_t end = i + 2;

        if (rest->ptr[i] != '{' || rest->ptr[i + 1] != '{')
            continue;
        while (end < rest->len && ((rest->ptr[end] >= 'a' && rest->ptr[end] <= 'z') || rest->ptr[end] == '_'))
            end++;
        if (end == i + 2 || !str_starts(str_from(*rest, end), S("}}")))
            continue;
        *ret_before = str_first(*rest, i);
        *ret_name = str_of(rest->ptr + i + 2, end - i - 2);
        *rest = str_from(*rest, end + 2);
        return true;
    }
    return false;
}

static bool holes_check(struct reader *r, yaml_node_t *v, struct scenario_text *t)
{
    str rest = t->raw, before, name;

    t->given = true;
    while (hole_next(&rest, &before, &name)) {
        if (hole_parse(name) == HOLE_NONE)
            return refuse(r, v, "unknown placeholder {{%.*s}}; there are message, model, call and tool_result",
                          STR_ARG(str_first(name, 60)));
        t->has_holes = true;
    }
    return true;
}

static bool filled_text_read(struct reader *r, yaml_node_t *v, const char *what, struct scenario_text *ret)
{
    return text_read(r, v, what, &ret->raw) && holes_check(r, v, ret);
}

str scenario_fill(struct arena *a, const struct scenario_text *t, bool is_json, const struct scenario_question *q,
                  int64_t call)
{
    str        rest = t->raw, before, name;
    struct buf out;

    if (!t->has_holes)
        return t->raw;
    buf_init(&out, a, SCENARIO_FILLED_MAX);
    while (hole_next(&rest, &before, &name)) {
        str value = S("");

        buf_add(&out, before);
        switch (hole_parse(name)) {
        case HOLE_MESSAGE:
            value = q->message;
            break;
        case HOLE_MODEL:
            value = q->model;
            break;
        case HOLE_TOOL_RESULT:
            value = q->tool_result;
            break;
        case HOLE_CALL:
            buf_add_i64(&out, call);
            break;
        case HOLE_NONE:
            break;
        }
        if (is_json)
            json_add_escaped(&out, value);
        else
            buf_add(&out, value);
    }
    buf_add(&out, rest);
    return buf_str(&out);
}

/* --- Matches ----------------------------------------------------------------------------------------------------- */

/* Index behind the bracket expression at s[at] == '['. */
static size_t bracket_end(str s, size_t at)
{
    size_t i = at + 1;

    if (i < s.len && s.ptr[i] == '^')
        i++;
    for (i += i < s.len && s.ptr[i] == ']'; i < s.len && s.ptr[i] != ']'; i++) {
        if (s.ptr[i] == '[' && i + 1 < s.len && s.ptr[i + 1] == ':') /* [:alpha:] */
            while (i + 1 < s.len && s.ptr[i + 1] != ']')
                i++;
    }
    return i + 1;
}

/* How many copies of an item the quantifier at s[*at] makes; *at is moved to its last character. */
static uint64_t copies(str s, size_t *at)
{
    uint64_t n = 0, most = 1;

    if (s.ptr[*at] == '+')
        return 2;
    if (s.ptr[*at] != '{')
        return 1;
    for (++*at; *at < s.len && s.ptr[*at] != '}'; ++*at) {
        n = s.ptr[*at] >= '0' && s.ptr[*at] <= '9' ? n * 10 + (uint64_t)(s.ptr[*at] - '0') : 0;
        n = n < REGEX_SIZE_MAX ? n : REGEX_SIZE_MAX;
        most = n > most ? n : most;
    }
    return most + 1;
}

/* regcomp() writes what a quantifier repeats out, so that nested ones grow without bound, and back references can need
 * any amount of stack. */
static const char *regex_excess(str s)
{
    uint64_t sizes[REGEX_NEST_MAX + 1] = { 0 }, last = 0; /* of the open groups so far; of the last item */
    size_t   depth = 0;

    if (s.len > REGEX_LEN_MAX)
        return "is too long";
    if (str_find(s, 0) != STR_NONE)
        return "has a zero byte";
    for (size_t i = 0; i < s.len; i++) {
        switch (s.ptr[i]) {
        case '(':
            if (depth == REGEX_NEST_MAX)
                return "has too many brackets in brackets";
            sizes[++depth] = 0;
            last = 0;
            break;
        case ')':
            if (depth) {
                last = sizes[depth--] + 1;
                sizes[depth] += last;
            }
            break;
        case '*':
        case '+':
        case '?':
        case '{':
            sizes[depth] -= last;
            last *= copies(s, &i);
            sizes[depth] += last;
            break;
        case '\\':
            i++;
            if (i < s.len && s.ptr[i] >= '1' && s.ptr[i] <= '9')
                return "has a back reference, which is not supported";
            sizes[depth] += last = 1;
            break;
        case '[':
            i = bracket_end(s, i) - 1;
            sizes[depth] += last = 1;
            break;
        default:
            sizes[depth] += last = 1;
            break;
        }
        if (sizes[depth] > REGEX_SIZE_MAX || last > REGEX_SIZE_MAX)
            return "repeats too much";
    }
    return NULL;
}

static void regex_free(void *regex)
{
    regfree(regex);
}

static bool regex_read(struct reader *r, yaml_node_t *v, str pattern, int flags, struct text_match *into)
{
    const char *excess = regex_excess(pattern);
    char        text[200];
    int         e;

    if (excess)
        return refuse(r, v, "the regex %s", excess);
    e = regcomp(&into->regex, str_to_cstr(r->arena, pattern), REG_EXTENDED | REG_NOSUB | flags);
    if (e) {
        regerror(e, &into->regex, text, sizeof(text));
        return refuse(r, v, "the regex does not compile: %s", text);
    }
    arena_defer(r->arena, regex_free, &into->regex);
    into->test = TEST_REGEX;
    into->text = pattern;
    return true;
}

static bool test_read(struct reader *r, yaml_node_t *v, enum text_test test, struct text_match *into)
{
    if (into->test != TEST_NONE)
        return refuse(r, v, "give one of exact, contains, glob and regex, not several");
    into->test = test;
    return text_read(r, v, "the text to match", &into->text);
}

static bool read_exact(struct reader *r, yaml_node_t *v, void *into)
{
    return test_read(r, v, TEST_EXACT, into);
}

static bool read_contains(struct reader *r, yaml_node_t *v, void *into)
{
    return test_read(r, v, TEST_CONTAINS, into);
}

static bool read_glob(struct reader *r, yaml_node_t *v, void *into)
{
    return test_read(r, v, TEST_GLOB, into);
}

static bool read_regex(struct reader *r, yaml_node_t *v, void *into)
{
    struct text_match *m = into;

    return test_read(r, v, TEST_REGEX, m) && regex_read(r, v, m->text, 0, m);
}

/* "text", "~ regex", "~* regex", or a mapping that names the test. */
static bool text_match_read(struct reader *r, yaml_node_t *v, const char *what, struct text_match *into)
{
    static const struct key keys[] = { KEY("exact", read_exact), KEY("contains", read_contains), KEY("glob", read_glob),
                                       KEY("regex", read_regex) };
    str                     text;

    if (v->type == YAML_MAPPING_NODE) {
        if (!map_read(r, v, keys, ARRAY_LEN(keys), what, into))
            return false;
        return into->test != TEST_NONE || refuse(r, v, "%s must say exact, contains, glob or regex", what);
    }
    if (!text_read(r, v, what, &text))
        return false;
    if (str_starts(text, S("~*")))
        return regex_read(r, v, str_trim(str_from(text, 2)), REG_ICASE, into);
    if (str_starts(text, S("~")))
        return regex_read(r, v, str_trim(str_from(text, 1)), 0, into);
    into->test = TEST_EXACT;
    into->text = text;
    return true;
}

static bool read_model(struct reader *r, yaml_node_t *v, void *into)
{
    struct match *m = into;

    return texts_read(r, v, "model", &m->models, &m->model_count);
}

static bool read_message(struct reader *r, yaml_node_t *v, void *into)
{
    return text_match_read(r, v, "message", &((struct match *)into)->message);
}

static bool read_system(struct reader *r, yaml_node_t *v, void *into)
{
    return text_match_read(r, v, "system", &((struct match *)into)->system);
}

static bool read_tool_result(struct reader *r, yaml_node_t *v, void *into)
{
    return text_match_read(r, v, "tool_result", &((struct match *)into)->tool_result);
}

static bool read_tools(struct reader *r, yaml_node_t *v, void *into)
{
    struct match *m = into;

    m->tools_given = true;
    return texts_read(r, v, "tools", &m->tools, &m->tool_count);
}

static bool read_headers(struct reader *r, yaml_node_t *v, void *into)
{
    struct match *m = into;

    if (v->type != YAML_MAPPING_NODE)
        return refuse(r, v, "headers must be a mapping of names to patterns");
    m->header_count = pair_count(v);
    m->headers = arena_array(r->arena, struct header_match, m->header_count);
    for (size_t i = 0; i < m->header_count; i++) {
        yaml_node_t *key = node_get(r, v->data.mapping.pairs.start[i].key);
        yaml_node_t *value = node_get(r, v->data.mapping.pairs.start[i].value);

        if (!key || !value)
            return refuse_nodes(r, v);
        if (!text_read(r, key, "the name of a header", &m->headers[i].name) ||
            !text_read(r, value, "the pattern of a header", &m->headers[i].glob))
            return false;
    }
    return true;
}

/* "2", "2-4" or "2-". */
static bool read_call(struct reader *r, yaml_node_t *v, void *into)
{
    struct match *m = into;
    str           rest = is_text(v) ? text_of(v) : S("");
    bool          range = str_find(rest, '-') != STR_NONE;
    str           first = str_cut(&rest, '-');
    int64_t       from, to = INT64_MAX;

    if (!str_to_i64(first, &from) || from < 1 || (rest.len && !str_to_i64(rest, &to)) || to < from)
        return refuse(r, v, "call must be a number from 1, or a range like 2-4 or 3-");
    m->call_min = from;
    m->call_max = range ? to : from;
    return true;
}

static bool read_stream(struct reader *r, yaml_node_t *v, void *into)
{
    return flag_read(r, v, "stream", &((struct match *)into)->stream);
}

/* --- Answers ----------------------------------------------------------------------------------------------------- */

static bool read_text(struct reader *r, yaml_node_t *v, void *into)
{
    return filled_text_read(r, v, "text", &((struct scenario_answer *)into)->text);
}

static bool read_audio(struct reader *r, yaml_node_t *v, void *into)
{
    return filled_text_read(r, v, "audio", &((struct scenario_answer *)into)->audio);
}

static bool read_query(struct reader *r, yaml_node_t *v, void *into)
{
    return filled_text_read(r, v, "query", &((struct scenario_answer *)into)->query);
}

static bool read_reasoning(struct reader *r, yaml_node_t *v, void *into)
{
    return filled_text_read(r, v, "reasoning", &((struct scenario_answer *)into)->reasoning);
}

static bool read_call_name(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "the name of a tool call", &((struct scenario_call *)into)->name);
}

static bool read_call_id(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "the id of a tool call", &((struct scenario_call *)into)->id);
}

static bool arguments_once(struct reader *r, yaml_node_t *v, const struct scenario_call *call)
{
    return !call->arguments.given || refuse(r, v, "give arguments or arguments_text, not both");
}

/* The arguments must be an object whatever is filled in: tried with the least harmless text. */
static bool arguments_check(struct reader *r, yaml_node_t *v, const struct scenario_call *call)
{
    static const struct scenario_question sample = { .message = { "\"x\n", 3 },
                                                     .model = { "\"x\n", 3 },
                                                     .tool_result = { "\"x\n", 3 } };
    struct arena                          scratch;
    bool                                  ok;

    arena_init(&scratch, 0);
    ok = yyjson_is_obj(json_parse_copy(&scratch, scenario_fill(&scratch, &call->arguments, true, &sample, 1)));
    arena_free(&scratch);
    return ok ||
           refuse(r, v, "arguments must be a mapping or the text of a JSON object; arguments_text takes any text");
}

static bool read_call_arguments(struct reader *r, yaml_node_t *v, void *into)
{
    struct scenario_call *call = into;
    struct buf            out;

    if (!arguments_once(r, v, call))
        return false;
    call->is_json = true;
    if (v->type == YAML_MAPPING_NODE) {
        buf_init(&out, r->arena, SCENARIO_FILLED_MAX);
        if (!json_write(r, v, &out, 0) || !text_keep(r, v, out.len))
            return false;
        call->arguments.raw = buf_str(&out);
    } else if (!text_read(r, v, "arguments", &call->arguments.raw)) {
        return false;
    }
    return holes_check(r, v, &call->arguments) && arguments_check(r, v, call);
}

static bool read_call_arguments_text(struct reader *r, yaml_node_t *v, void *into)
{
    struct scenario_call *call = into;

    return arguments_once(r, v, call) && filled_text_read(r, v, "arguments_text", &call->arguments);
}

static bool read_tool_calls(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("name", read_call_name), KEY("id", read_call_id),
                                       KEY("arguments", read_call_arguments),
                                       KEY("arguments_text", read_call_arguments_text) };
    struct scenario_answer *answer = into;

    if (v->type != YAML_SEQUENCE_NODE)
        return refuse(r, v, "tool_calls must be a list");
    answer->call_count = list_size(v);
    answer->calls = arena_array(r->arena, struct scenario_call, answer->call_count);
    for (size_t i = 0; i < answer->call_count; i++) {
        yaml_node_t *one = node_get(r, v->data.sequence.items.start[i]);

        if (!one)
            return refuse_nodes(r, v);
        if (!map_read(r, one, keys, ARRAY_LEN(keys), "a tool call", &answer->calls[i]))
            return false;
        if (answer->calls[i].name.len == 0)
            return refuse(r, one, "a tool call needs a name");
    }
    return true;
}

static bool read_finish_reason(struct reader *r, yaml_node_t *v, void *into)
{
    struct scenario_answer *answer = into;

    if (!is_text(v) || !chat_finish_parse(text_of(v), &answer->finish) || answer->finish == CHAT_FINISH_NONE)
        return refuse(r, v, "finish_reason must be stop, length or tool_calls");
    return true;
}

#define USAGE_MAX INT64_C(1000000000000)

/* Each count by its name on the OpenAI-compatible protocol, or by ours where that has none. */
#define USAGE_COUNTS(X)                                                                                     \
    X(prompt_tokens)                                                                                        \
    X(completion_tokens)                                                                                    \
    X(reasoning_tokens)                                                                                     \
    X(cached_tokens)                                                                                        \
    X(cache_created_tokens) X(image_tokens) X(video_tokens) X(audio_tokens) X(audio_out_tokens) X(searches) \
        X(image_searches) X(code_runs)

#define READ_COUNT(name)                                                               \
    static bool read_##name(struct reader *r, yaml_node_t *v, void *into)              \
    {                                                                                  \
        return count_read(r, v, #name, USAGE_MAX, &((struct chat_usage *)into)->name); \
    }
USAGE_COUNTS(READ_COUNT)
#undef READ_COUNT

static bool read_usage(struct reader *r, yaml_node_t *v, void *into)
{
#define KEY_COUNT(name) KEY(#name, read_##name),
    static const struct key keys[] = { USAGE_COUNTS(KEY_COUNT) };
#undef KEY_COUNT
    struct scenario_answer *answer = into;

    answer->has_usage = true;
    return map_read(r, v, keys, ARRAY_LEN(keys), "usage", &answer->usage);
}

static bool read_source_title(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "title", &((struct chat_source *)into)->title);
}

static bool read_source_url(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "url", &((struct chat_source *)into)->url);
}

static bool read_source_site_name(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "site_name", &((struct chat_source *)into)->site_name);
}

static bool read_source_icon(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "icon", &((struct chat_source *)into)->icon);
}

/* The next item of a list; NULL and refused when the file repeats too much. */
static yaml_node_t *list_item(struct reader *r, yaml_node_t *v, size_t i)
{
    yaml_node_t *one = node_get(r, v->data.sequence.items.start[i]);

    if (!one)
        (void)refuse_nodes(r, v);
    return one;
}

static bool read_search(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("title", read_source_title), KEY("url", read_source_url),
                                       KEY("site_name", read_source_site_name), KEY("icon", read_source_icon) };
    struct scenario_answer *answer = into;

    if (v->type != YAML_SEQUENCE_NODE)
        return refuse(r, v, "search must be a list of pages");
    answer->source_count = list_size(v);
    answer->sources = arena_array(r->arena, struct chat_source, answer->source_count);
    for (size_t i = 0; i < answer->source_count; i++) {
        yaml_node_t *one = list_item(r, v, i);

        if (!one || !map_read(r, one, keys, ARRAY_LEN(keys), "a page", &answer->sources[i]))
            return false;
        if (!answer->sources[i].title.len || !answer->sources[i].url.len)
            return refuse(r, one, "a page needs a title and a url");
        answer->sources[i].index = (int64_t)i + 1;
    }
    return true;
}

static bool read_images(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("title", read_source_title), KEY("url", read_source_url) };
    struct scenario_answer *answer = into;

    if (v->type != YAML_SEQUENCE_NODE)
        return refuse(r, v, "images must be a list of pictures");
    answer->image_count = list_size(v);
    answer->images = arena_array(r->arena, struct chat_source, answer->image_count);
    for (size_t i = 0; i < answer->image_count; i++) {
        yaml_node_t *one = list_item(r, v, i);

        if (!one || !map_read(r, one, keys, ARRAY_LEN(keys), "a picture", &answer->images[i]))
            return false;
        if (!answer->images[i].url.len)
            return refuse(r, one, "a picture needs a url");
    }
    return true;
}

static bool read_found_tool(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "tool", &((struct chat_found *)into)->tool);
}

static bool read_found_result(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "result", &((struct chat_found *)into)->result);
}

static bool read_found(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("tool", read_found_tool), KEY("result", read_found_result) };
    struct scenario_answer *answer = into;

    if (v->type != YAML_SEQUENCE_NODE)
        return refuse(r, v, "found must be a list of tools and their results");
    answer->found_count = list_size(v);
    answer->found = arena_array(r->arena, struct chat_found, answer->found_count);
    for (size_t i = 0; i < answer->found_count; i++) {
        yaml_node_t *one = list_item(r, v, i);

        if (!one || !map_read(r, one, keys, ARRAY_LEN(keys), "what was found", &answer->found[i]))
            return false;
    }
    return true;
}

static bool read_code_code(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "code", &((struct chat_code *)into)->code);
}

static bool read_code_output(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "output", &((struct chat_code *)into)->output);
}

static bool read_code(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("code", read_code_code), KEY("output", read_code_output) };
    struct scenario_answer *answer = into;
    bool                    list = v->type == YAML_SEQUENCE_NODE;

    answer->code_count = list ? list_size(v) : 1;
    answer->code = arena_array(r->arena, struct chat_code, answer->code_count);
    for (size_t i = 0; i < answer->code_count; i++) {
        yaml_node_t *one = list ? list_item(r, v, i) : v;

        if (!one || !(one->type == YAML_MAPPING_NODE ? map_read(r, one, keys, ARRAY_LEN(keys), "code", &answer->code[i])
                                                     : text_read(r, one, "code", &answer->code[i].code)))
            return false;
    }
    return true;
}

static bool read_error_name(struct reader *r, yaml_node_t *v, void *into)
{
    struct scenario_error *error = into;

    if (!is_text(v))
        return refuse(r, v, "error must be the name or the number of a documented error, like E219");
    error->row = r->options->error_find ? r->options->error_find(text_of(v)) : NULL;
    return error->row || refuse(r, v, "no documented error is called \"%.*s\"", STR_ARG(str_first(text_of(v), 60)));
}

static bool read_error_args(struct reader *r, yaml_node_t *v, void *into)
{
    struct scenario_error *error = into;

    if (v->type != YAML_SEQUENCE_NODE || list_size(v) > FAULT_ARGS_MAX)
        return refuse(r, v, "args must be a list of at most %d texts or numbers", FAULT_ARGS_MAX);
    for (size_t i = 0; i < list_size(v); i++) {
        yaml_node_t *one = node_get(r, v->data.sequence.items.start[i]);

        if (!one)
            return refuse_nodes(r, v);
        if (!text_read(r, one, "an argument of an error", &error->args[i].s))
            return false;
        error->arg_count++;
    }
    return true;
}

/* Brings the arguments, read as text, into the kinds that the row has; those not given are called by their names. */
static bool error_args_fit(struct reader *r, yaml_node_t *v, struct scenario_error *error)
{
    const struct error_row *row = error->row;

    if (!row->form[WORDING_REFERENCE].status)
        return refuse(r, v, "%.*s is never the answer to a request", STR_ARG(row->id));
    if (error->arg_count > row->arg_count)
        return refuse(r, v, "the sentence of %.*s has %u arguments, not %u", STR_ARG(row->id), row->arg_count,
                      error->arg_count);
    for (unsigned i = 0; i < row->arg_count; i++) {
        struct fault_arg *arg = &error->args[i];
        str               text = arg->s;
        bool              given = i < error->arg_count, ok = true;

        arg->kind = row->args[i].kind;
        switch (arg->kind) {
        case FAULT_ARG_STR:
            arg->s = given ? text : row->args[i].name;
            break;
        case FAULT_ARG_INT:
            arg->i = 0;
            ok = !given || str_to_i64(text, &arg->i);
            break;
        case FAULT_ARG_NUM:
            arg->n = 0;
            ok = !given || (is_json_number(text) && str_to_f64(text, &arg->n));
            break;
        }
        if (!ok)
            return refuse(r, v, "argument {%.*s} of %.*s is a number", STR_ARG(row->args[i].name), STR_ARG(row->id));
    }
    error->arg_count = row->arg_count;
    return true;
}

static bool read_error_status(struct reader *r, yaml_node_t *v, void *into)
{
    int64_t status = 0;

    if (!count_read(r, v, "status", 599, &status) || status < 400)
        return refuse(r, v, "status must be from 400 to 599");
    ((struct scenario_error *)into)->foreign.status = (int)status;
    return true;
}

static bool read_error_code(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "code", &((struct scenario_error *)into)->foreign.code);
}

static bool read_error_type(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "type", &((struct scenario_error *)into)->foreign.type);
}

static bool read_error_message(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "message", &((struct scenario_error *)into)->foreign.message);
}

static bool read_error_after(struct reader *r, yaml_node_t *v, void *into)
{
    return count_read(r, v, "after_tokens", 1000000, &((struct scenario_error *)into)->after_tokens);
}

static bool read_error(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("name", read_error_name),         KEY("args", read_error_args),
                                       KEY("status", read_error_status),     KEY("code", read_error_code),
                                       KEY("type", read_error_type),         KEY("message", read_error_message),
                                       KEY("after_tokens", read_error_after) };
    struct scenario_error  *error = &((struct scenario_answer *)into)->error;

    error->given = true;
    if (v->type != YAML_MAPPING_NODE)
        return read_error_name(r, v, error) && error_args_fit(r, v, error);
    if (!map_read(r, v, keys, ARRAY_LEN(keys), "error", error))
        return false;
    if (error->row && error->foreign.status)
        return refuse(r, v, "a documented error has its own status: give name or status, not both");
    if (error->row)
        return error_args_fit(r, v, error);
    if (error->foreign.status == 0 || error->foreign.code.len == 0)
        return refuse(r, v, "error needs the name of a documented error, or a status and a code");
    return true;
}

static bool read_first_token(struct reader *r, yaml_node_t *v, void *into)
{
    return duration_read(r, v, "first_token", &((struct scenario_answer *)into)->first_token_us);
}

static bool read_between_tokens(struct reader *r, yaml_node_t *v, void *into)
{
    return duration_read(r, v, "between_tokens", &((struct scenario_answer *)into)->between_tokens_us);
}

static bool answer_read(struct reader *r, yaml_node_t *v, struct scenario_answer *answer)
{
    static const struct key keys[] = { KEY("text", read_text),
                                       KEY("reasoning", read_reasoning),
                                       KEY("search", read_search),
                                       KEY("query", read_query),
                                       KEY("found", read_found),
                                       KEY("images", read_images),
                                       KEY("code", read_code),
                                       KEY("audio", read_audio),
                                       KEY("tool_calls", read_tool_calls),
                                       KEY("finish_reason", read_finish_reason),
                                       KEY("usage", read_usage),
                                       KEY("error", read_error),
                                       KEY("first_token", read_first_token),
                                       KEY("between_tokens", read_between_tokens) };

#define NOT_GIVEN(name) .name = -1,
    answer->usage = (struct chat_usage){ USAGE_COUNTS(NOT_GIVEN) };
#undef NOT_GIVEN
    if (!map_read(r, v, keys, ARRAY_LEN(keys), "answer", answer))
        return false;
    if (answer->error.given && answer->error.after_tokens == 0 &&
        (answer->text.given || answer->reasoning.given || answer->call_count))
        return refuse(r, v, "an error at the start leaves nothing to say: give it after_tokens, or drop the rest");
    return true;
}

/* --- Rules ------------------------------------------------------------------------------------------------------- */

static bool read_rule_name(struct reader *r, yaml_node_t *v, void *into)
{
    return text_read(r, v, "name", &((struct rule *)into)->name);
}

static bool read_match(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("model", read_model),   KEY("message", read_message),
                                       KEY("system", read_system), KEY("tool_result", read_tool_result),
                                       KEY("tools", read_tools),   KEY("headers", read_headers),
                                       KEY("call", read_call),     KEY("stream", read_stream) };

    return map_read(r, v, keys, ARRAY_LEN(keys), "match", &((struct rule *)into)->match);
}

static bool answers_begin(struct reader *r, yaml_node_t *v, struct rule *rule, size_t count)
{
    if (rule->answers)
        return refuse(r, v, "give answer or answers, not both");
    if (count == 0)
        return refuse(r, v, "answers must be a list of at least one answer");
    rule->answers = arena_array(r->arena, struct scenario_answer, count);
    rule->answer_count = count;
    return true;
}

static bool read_answer(struct reader *r, yaml_node_t *v, void *into)
{
    struct rule *rule = into;

    return answers_begin(r, v, rule, 1) && answer_read(r, v, &rule->answers[0]);
}

static bool read_answers(struct reader *r, yaml_node_t *v, void *into)
{
    struct rule *rule = into;

    if (!answers_begin(r, v, rule, v->type == YAML_SEQUENCE_NODE ? list_size(v) : 0))
        return false;
    for (size_t i = 0; i < rule->answer_count; i++) {
        yaml_node_t *one = node_get(r, v->data.sequence.items.start[i]);

        if (!one)
            return refuse_nodes(r, v);
        if (!answer_read(r, one, &rule->answers[i]))
            return false;
    }
    return true;
}

static bool read_rules(struct reader *r, yaml_node_t *v, void *into)
{
    static const struct key keys[] = { KEY("name", read_rule_name), KEY("match", read_match),
                                       KEY("answer", read_answer), KEY("answers", read_answers) };
    struct scenario        *s = into;
    size_t                  n;

    if (v->type != YAML_SEQUENCE_NODE)
        return refuse(r, v, "rules must be a list");
    n = list_size(v);
    s->rules = arena_array(r->arena, struct rule, n);
    for (size_t i = 0; i < n; i++) {
        yaml_node_t *one = node_get(r, v->data.sequence.items.start[i]);
        struct rule *rule = &s->rules[i];

        if (!one)
            return refuse_nodes(r, v);
        rule->match.call_min = 1;
        rule->match.call_max = INT64_MAX;
        if (!map_read(r, one, keys, ARRAY_LEN(keys), "a rule", rule))
            return false;
        if (!rule->answers)
            return refuse(r, one, "the rule has no answer");
        if (rule->name.len == 0)
            rule->name = arena_printf(r->arena, "rule %zu", i + 1);
        s->rule_count++;
    }
    return true;
}

static bool scenario_read(struct reader *r, yaml_node_t *root, struct scenario *s)
{
    static const struct key keys[] = { KEY("rules", read_rules) };

    if (!root)
        return refuse(r, NULL, "the file is empty; it needs \"rules:\"");
    if (!map_read(r, root, keys, ARRAY_LEN(keys), "the scenario", s))
        return false;
    return s->rules || refuse(r, root, "the file has no \"rules:\"");
}

/* What libyaml found wrong. */
static void parser_refuse(struct reader *r, const yaml_parser_t *parser)
{
    size_t line = parser->problem_mark.line + 1;

    *r->why = arena_printf(r->arena, "%.*s:%zu: not valid YAML: %s%s%s", STR_ARG(r->name), line,
                           parser->problem ? parser->problem : "unknown problem", parser->context ? ", " : "",
                           parser->context ? parser->context : "");
}

static enum err documents_read(struct reader *r, yaml_parser_t *parser, struct scenario *s)
{
    yaml_document_t second;
    bool            ok;

    if (!yaml_parser_load(parser, &r->doc)) {
        parser_refuse(r, parser);
        return ERR_INVALID;
    }
    ok = scenario_read(r, yaml_document_get_root_node(&r->doc), s);
    yaml_document_delete(&r->doc);
    if (!ok)
        return ERR_INVALID;
    if (!yaml_parser_load(parser, &second)) {
        parser_refuse(r, parser);
        return ERR_INVALID;
    }
    if (yaml_document_get_root_node(&second))
        ok = refuse(r, yaml_document_get_root_node(&second), "a second document; a scenario is one");
    yaml_document_delete(&second);
    return ok ? OK : ERR_INVALID;
}

enum err scenario_parse(struct arena *a, str name, str yaml, const struct scenario_options *o, struct scenario **ret,
                        str *why)
{
    struct scenario *s = arena_new(a, struct scenario);
    struct reader    r = { .arena = a, .options = o, .name = name, .why = why };
    yaml_parser_t    parser;
    enum err         e;

    if (yaml.len > SCENARIO_SIZE_MAX) {
        *why = arena_printf(a, "%.*s: larger than %zu bytes", STR_ARG(name), SCENARIO_SIZE_MAX);
        return ERR_LIMIT;
    }
    if (!yaml_parser_initialize(&parser)) {
        *why = S("out of memory");
        return ERR_LIMIT;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)(yaml.ptr ? yaml.ptr : ""), yaml.len);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    e = documents_read(&r, &parser, s);
    yaml_parser_delete(&parser);
    if (e)
        return e;
    *ret = s;
    return OK;
}

enum err scenario_load(struct arena *a, const char *path, const struct scenario_options *o, struct scenario **ret,
                       str *why)
{
    FILE    *file = fopen(path, "re");
    char    *text;
    size_t   n;
    enum err e;

    if (!file) {
        *why = arena_printf(a, "%s: %s", path, strerror(errno));
        return ERR_IO;
    }
    text = xmalloc(SCENARIO_SIZE_MAX + 1);
    n = fread(text, 1, SCENARIO_SIZE_MAX + 1, file);
    if (ferror(file)) {
        *why = arena_printf(a, "%s: %s", path, strerror(errno));
        e = ERR_IO;
    } else {
        e = scenario_parse(a, str_from_cstr(path), str_of(text, n), o, ret, why);
    }
    free(text);
    fclose(file);
    return e;
}

/* --- Matching ---------------------------------------------------------------------------------------------------- */

/* `*` is any text, `?` any one byte. */
static bool glob_match(str glob, str text)
{
    size_t g = 0, t = 0, star = STR_NONE, star_text = 0;

    while (t < text.len) {
        if (g < glob.len && glob.ptr[g] == '*') {
            star = g++;
            star_text = t;
        } else if (g < glob.len && (glob.ptr[g] == '?' || glob.ptr[g] == text.ptr[t])) {
            g++;
            t++;
        } else if (star != STR_NONE) {
            g = star + 1;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (g < glob.len && glob.ptr[g] == '*')
        g++;
    return g == glob.len;
}

/* The copy is for the zero at its end: not every regexec() takes a length. */
static bool regex_match(const regex_t *regex, str text)
{
    size_t len = text.len > SCENARIO_REGEX_TEXT_MAX ? utf8_cut(text, SCENARIO_REGEX_TEXT_MAX) : text.len;
    char  *copy = xmalloc(len + 1);
    bool   matches;

    if (len)
        memcpy(copy, text.ptr, len);
    copy[len] = 0;
    matches = regexec(regex, copy, 0, NULL, 0) == 0;
    free(copy);
    return matches;
}

static bool text_match(const struct text_match *m, str text)
{
    switch (m->test) {
    case TEST_NONE:
        return true;
    case TEST_EXACT:
        return str_eq(m->text, text);
    case TEST_CONTAINS:
        return m->text.len == 0 || str_find_str(text, m->text) != STR_NONE;
    case TEST_GLOB:
        return glob_match(m->text, text);
    case TEST_REGEX:
        return regex_match(&m->regex, text);
    }
    return false;
}

static bool models_match(const struct match *m, str model)
{
    for (size_t i = 0; i < m->model_count; i++) {
        if (glob_match(m->models[i], model))
            return true;
    }
    return m->models == NULL;
}

static bool tools_match(const struct match *m, const struct scenario_question *q)
{
    if (m->tools_given && m->tool_count == 0)
        return q->tool_count == 0;
    for (size_t i = 0; i < m->tool_count; i++) {
        size_t k = 0;

        while (k < q->tool_count && !str_eq(q->tools[k].name, m->tools[i]))
            k++;
        if (k == q->tool_count)
            return false;
    }
    return true;
}

static bool headers_match(const struct match *m, const struct scenario_question *q)
{
    for (size_t i = 0; i < m->header_count; i++) {
        str value = q->header ? q->header(q->header_arg, m->headers[i].name) : S("");

        if (!glob_match(m->headers[i].glob, value))
            return false;
    }
    return true;
}

/* All but `call`; what is cheap first. */
static bool match_holds(const struct match *m, const struct scenario_question *q)
{
    if (m->stream.set && m->stream.v != q->stream)
        return false;
    if (m->tool_result.test != TEST_NONE && !q->has_tool_result)
        return false;
    return models_match(m, q->model) && tools_match(m, q) && headers_match(m, q) &&
           text_match(&m->message, q->message) && text_match(&m->system, q->system) &&
           text_match(&m->tool_result, q->tool_result);
}

void scenario_reset(struct scenario *s)
{
    for (size_t i = 0; i < s->rule_count; i++)
        atomic_store_explicit(&s->rules[i].calls, 0, memory_order_relaxed);
}

bool scenario_match(struct scenario *s, const struct scenario_question *q, struct scenario_hit *ret)
{
    for (size_t i = 0; i < s->rule_count; i++) {
        struct rule *rule = &s->rules[i];
        int64_t      call;

        if (!match_holds(&rule->match, q))
            continue;
        call = atomic_fetch_add_explicit(&rule->calls, 1, memory_order_relaxed) + 1;
        if (call < rule->match.call_min || call > rule->match.call_max)
            continue;
        *ret = (struct scenario_hit){
            .answer = &rule->answers[(uint64_t)(call - rule->match.call_min) % rule->answer_count],
            .rule = rule->name,
            .call = call,
        };
        return true;
    }
    return false;
}
