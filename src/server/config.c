/* config.c - reads the configuration.
 *
 * The file is loaded as a tree (libyaml's document), which is then walked against data/options.txt and the few lists
 * below. Whatever is not known is refused with its line and the nearest name: a misspelt option must not be ignored.
 */
#include "server/config.h"

#include "base/num.h"
#include "contract/model.h"
#include "engine/process/process.h"
#include "engine/upstream/upstream.h"
#include "net/http_client.h"
#include "server/arguments.h"
#include "server/replay.h"
#include "service/task_events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <yaml.h>

#define DEPTH_MAX 4

struct reader {
    struct config  *c;
    yaml_document_t doc;
    const char     *path;
    str             problem;
};

struct config *config_new(void)
{
    struct config *c = xcalloc(1, sizeof(*c));

    arena_init(&c->arena, 0);
    c->options = options_default;
    return c;
}

void config_free(struct config *c)
{
    if (!c)
        return;
    arena_free(&c->arena);
    free(c);
}

/* ---- values ---- */

struct unit {
    str     name;
    int64_t factor;
};

static const struct unit times[] = {
    { S(""), 1 }, { S("ms"), 1 }, { S("s"), 1000 }, { S("m"), 60000 }, { S("h"), 3600000 },
};
static const struct unit sizes[] = {
    { S(""), 1 },          { S("k"), 1 << 10 }, { S("kib"), 1 << 10 }, { S("m"), 1 << 20 },
    { S("mib"), 1 << 20 }, { S("g"), 1 << 30 }, { S("gib"), 1 << 30 },
};

static bool number_with_unit(str text, const struct unit *units, size_t unit_count, int64_t *ret)
{
    size_t  digits = 0;
    int64_t v;

    while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
        digits++;
    if (!str_to_i64(str_first(text, digits), &v))
        return false;
    for (size_t i = 0; i < unit_count; i++) {
        if (str_eq_nocase(str_from(text, digits), units[i].name))
            return !__builtin_mul_overflow(v, units[i].factor, ret);
    }
    return false;
}

static bool parse_bool(str text, bool *ret)
{
    if (str_eq(text, S("true")) || str_eq(text, S("yes")) || str_eq(text, S("on"))) {
        *ret = true;
        return true;
    }
    if (str_eq(text, S("false")) || str_eq(text, S("no")) || str_eq(text, S("off"))) {
        *ret = false;
        return true;
    }
    return false;
}

static const char *text_of_choices(struct arena *a, const struct option *o)
{
    str text = S("is none of ");

    for (unsigned i = 0; i < o->choice_count; i++)
        text = arena_printf(a, "%.*s%s%.*s", STR_ARG(text), i ? ", " : "", STR_ARG(o->choices[i]));
    return str_to_cstr(a, text);
}

/* Writes the value where it belongs; the text of what is wrong, or NULL. */
static const char *option_set(struct config *c, const struct option *o, str value)
{
    void   *at = (char *)&c->options + o->offset;
    int64_t number = 0;
    bool    ok = true;

    switch (o->type) {
    case OPTION_TEXT:
    case OPTION_PATH:
        *(str *)at = arena_str(&c->arena, value);
        return NULL;
    case OPTION_BOOL:
        return parse_bool(value, at) ? NULL : "is not true or false";
    case OPTION_CHOICE:
        for (unsigned i = 0; i < o->choice_count; i++) {
            if (str_eq(o->choices[i], value)) {
                *(int *)at = (int)i;
                return NULL;
            }
        }
        return text_of_choices(&c->arena, o);
    case OPTION_INT:
        ok = str_to_i64(value, &number);
        break;
    case OPTION_MS:
        ok = number_with_unit(value, times, ARRAY_LEN(times), &number);
        break;
    case OPTION_BYTES:
        ok = number_with_unit(value, sizes, ARRAY_LEN(sizes), &number);
        break;
    }
    if (!ok)
        return "is not a number (with a unit, such as 10s or 6m, where that fits)";
    if (number < o->min || number > o->max)
        return arena_printf(&c->arena, "is not between %lld and %lld%s", (long long)o->min, (long long)o->max,
                            o->type == OPTION_MS      ? " ms"
                            : o->type == OPTION_BYTES ? " bytes"
                                                      : "")
            .ptr;
    *(int64_t *)at = number;
    return NULL;
}

static bool option_is_text(const struct option *o)
{
    return o->type == OPTION_TEXT || o->type == OPTION_PATH;
}

void options_copy(struct arena *a, struct options *to, const struct options *from)
{
    *to = *from;
    for (unsigned i = 0; i < option_count; i++) {
        str *text = (str *)((char *)to + option_rows[i].offset);

        if (option_is_text(&option_rows[i]))
            *text = arena_str(a, *text);
    }
}

bool option_equal(const struct option *o, const struct options *a, const struct options *b)
{
    const void *x = (const char *)a + o->offset, *y = (const char *)b + o->offset;

    switch (o->type) {
    case OPTION_TEXT:
    case OPTION_PATH:
        return str_eq(*(const str *)x, *(const str *)y);
    case OPTION_BOOL:
        return *(const bool *)x == *(const bool *)y;
    case OPTION_CHOICE:
        return *(const int *)x == *(const int *)y;
    case OPTION_INT:
    case OPTION_MS:
    case OPTION_BYTES:
        break;
    }
    return *(const int64_t *)x == *(const int64_t *)y;
}

static const struct option *option_find(str name)
{
    for (unsigned i = 0; i < option_count; i++) {
        if (str_eq(option_rows[i].name, name))
            return &option_rows[i];
    }
    return NULL;
}

static str nearest_option(str name)
{
    str *names = xcalloc(option_count, sizeof(*names)), near;

    for (unsigned i = 0; i < option_count; i++)
        names[i] = option_rows[i].name;
    near = name_nearest(name, names, option_count);
    free(names);
    return near;
}

static str unknown_name(struct arena *a, str name)
{
    str near = nearest_option(name);

    return near.len
               ? arena_printf(a, "there is no option \"%.*s\"; did you mean \"%.*s\"?", STR_ARG(name), STR_ARG(near))
               : arena_printf(a, "there is no option \"%.*s\"", STR_ARG(name));
}

enum err config_set(struct config *c, str name, str value, str *ret_problem)
{
    const struct option *o = option_find(name);
    const char          *why = o ? option_set(c, o, value) : "is no option";

    if (!why)
        return OK;
    *ret_problem = o ? arena_printf(&c->arena, "%.*s: \"%.*s\" %s", STR_ARG(name), STR_ARG(value), why)
                     : unknown_name(&c->arena, name);
    return ERR_INVALID;
}

void config_add_key(struct config *c, str key)
{
    size_t n = c->api_key_count;

    c->api_keys = arena_realloc(&c->arena, c->api_keys, n * sizeof(str), (n + 1) * sizeof(str));
    c->api_keys[n] = arena_str(&c->arena, key);
    c->api_key_count = n + 1;
}

/* ---- the tree ---- */

static enum err bad_line(struct reader *r, size_t line, str text)
{
    r->problem = arena_printf(&r->c->arena, "%s:%zu: %.*s", r->path, line, STR_ARG(text));
    return ERR_INVALID;
}

static size_t line_of(const yaml_node_t *n)
{
    return n->start_mark.line + 1;
}

static enum err bad(struct reader *r, const yaml_node_t *at, const char *fmt, str what, str more)
{
    return bad_line(r, line_of(at), arena_printf(&r->c->arena, fmt, STR_ARG(what), STR_ARG(more)));
}

static yaml_node_t *node(struct reader *r, int id)
{
    return yaml_document_get_node(&r->doc, id);
}

static str text_of(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE ? str_of((char *)n->data.scalar.value, n->data.scalar.length) : (str){ 0 };
}

static bool is_null(const yaml_node_t *n)
{
    str s = text_of(n);

    return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (s.len == 0 || str_eq(s, S("null")) || str_eq(s, S("~")));
}

/* A name that is given twice in one mapping: one of the two would be ignored. */
static enum err check_twins(struct reader *r, yaml_node_t *mapping)
{
    yaml_node_pair_t *first = mapping->data.mapping.pairs.start, *end = mapping->data.mapping.pairs.top;

    for (yaml_node_pair_t *p = first; p < end; p++) {
        for (yaml_node_pair_t *q = first; q < p; q++) {
            yaml_node_t *key = node(r, p->key), *before = node(r, q->key);

            if (key->type == YAML_SCALAR_NODE && before->type == YAML_SCALAR_NODE &&
                str_eq(text_of(key), text_of(before)))
                return bad(r, key, "\"%.*s\" stands here a second time%.*s", text_of(key), S(""));
        }
    }
    return OK;
}

static str expand_home(struct arena *a, str path)
{
    const char *home = getenv("HOME");

    if (!str_starts(path, S("~/")))
        return arena_str(a, path);
    return arena_printf(a, "%s%.*s", home ? home : "", STR_ARG(str_from(path, 1)));
}

/* What a list entry (engine, model, route …) may hold: a text, number, time or bool at an offset, or a function
 * that reads it (a text). */
struct field {
    str name;
    enum { FIELD_TEXT, FIELD_INT, FIELD_MS, FIELD_BOOL, FIELD_READ_TEXT, FIELD_READ } type;
    size_t  offset;
    int64_t min, max; /* of a FIELD_INT */
    enum err (*read)(struct reader *r, yaml_node_t *n, void *into);
};

static enum err read_fields(struct reader *r, yaml_node_t *n, const struct field *fields, size_t count, void *into)
{
    str names[32];

    ASSERT(count <= ARRAY_LEN(names));
    for (size_t i = 0; i < count; i++)
        names[i] = fields[i].name;
    if (n->type != YAML_MAPPING_NODE)
        return bad(r, n, "expected names with values%.*s%.*s", S(""), S(""));
    if (check_twins(r, n))
        return ERR_INVALID;
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        yaml_node_t        *key = node(r, p->key), *value = node(r, p->value);
        str                 name = text_of(key);
        const struct field *f = NULL;
        void               *at;
        enum err            e = OK;

        for (size_t i = 0; i < count; i++) {
            if (str_eq(fields[i].name, name))
                f = &fields[i];
        }
        if (!f) {
            str near = name_nearest(name, names, count);

            return near.len ? bad(r, key, "unknown name \"%.*s\"; did you mean \"%.*s\"?", name, near)
                            : bad(r, key, "unknown name \"%.*s\"%.*s", name, S(""));
        }
        at = (char *)into + f->offset;
        if (f->type != FIELD_READ && value->type != YAML_SCALAR_NODE)
            return bad(r, value, "\"%.*s\" takes one value%.*s", name, S(""));
        switch (f->type) {
        case FIELD_TEXT:
            *(str *)at = arena_str(&r->c->arena, text_of(value));
            break;
        case FIELD_INT:
            if (!str_to_i64(text_of(value), at))
                e = bad(r, value, "\"%.*s\" is not a whole number%.*s", name, S(""));
            else if (*(int64_t *)at < f->min || *(int64_t *)at > f->max)
                e = bad(r, value, "\"%.*s\" is not between %.*s", name,
                        arena_printf(&r->c->arena, "%lld and %lld", (long long)f->min, (long long)f->max));
            break;
        case FIELD_MS:
            if (!number_with_unit(text_of(value), times, ARRAY_LEN(times), at))
                e = bad(r, value, "\"%.*s\" is not a time such as 500ms or 10s%.*s", name, S(""));
            break;
        case FIELD_BOOL:
            if (!parse_bool(text_of(value), at))
                e = bad(r, value, "\"%.*s\" is not true or false%.*s", name, S(""));
            break;
        case FIELD_READ_TEXT:
        case FIELD_READ:
            e = f->read(r, value, at);
            break;
        }
        if (e)
            return e;
    }
    return OK;
}

/* A mapping as pairs of texts. `into` is the pointer, its count follows directly behind it. */
struct pairs {
    struct config_pair *pairs;
    size_t              count;
};

static enum err read_pairs(struct reader *r, yaml_node_t *n, void *into)
{
    struct pairs *out = into;
    size_t        i = 0;

    if (n->type != YAML_MAPPING_NODE)
        return bad(r, n, "expected names with values%.*s%.*s", S(""), S(""));
    if (check_twins(r, n))
        return ERR_INVALID;
    out->count = (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start);
    out->pairs = arena_array(&r->c->arena, struct config_pair, out->count);
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++, i++) {
        yaml_node_t *value = node(r, p->value);

        if (value->type != YAML_SCALAR_NODE)
            return bad(r, value, "expected one value%.*s%.*s", S(""), S(""));
        out->pairs[i].from = arena_str(&r->c->arena, text_of(node(r, p->key)));
        out->pairs[i].to = arena_str(&r->c->arena, text_of(value));
        out->pairs[i].line = line_of(value);
    }
    return OK;
}

/* A key; ${NAME} is taken from the environment. */
static enum err read_key(struct reader *r, yaml_node_t *n, void *into)
{
    str key = text_of(n);

    if (str_starts(key, S("${")) && str_ends(key, S("}"))) {
        str         name = str_of(key.ptr + 2, key.len - 3);
        const char *value = getenv(str_to_cstr(&r->c->arena, name));

        if (!value) {
            (void)bad(r, n, "the environment has no %.*s%.*s", name, S(""));
            if (!r->c->key_problem.len)
                r->c->key_problem = r->problem; /* config_finish() knows whether it is needed */
            return OK;
        }
        key = str_from_cstr(value);
    }
    *(str *)into = arena_str(&r->c->arena, key);
    return OK;
}

static enum err read_url(struct reader *r, yaml_node_t *n, void *into)
{
    struct http_origin origin;
    str                url = text_of(n), base;

    if (!url.len)
        return bad(r, n, "an upstream's URL is empty%.*s%.*s", S(""), S(""));
    if (str_has_break(url) || !http_origin_parse(url, &origin, &base))
        return bad(r, n, "\"%.*s\" is no URL such as http://127.0.0.1:8000/v1 or unix:/run/x.sock:/v1%.*s", url, S(""));
    *(str *)into = arena_str(&r->c->arena, url);
    return OK;
}

static const struct field endpoint_fields[] = {
    { .name = S("url"), .type = FIELD_READ_TEXT, .read = read_url, .offset = offsetof(struct config_endpoint, url) },
    { .name = S("api_key"), .type = FIELD_READ, .read = read_key, .offset = offsetof(struct config_endpoint, api_key) },
    { .name = S("weight"),
      .type = FIELD_INT,
      .min = 1,
      .max = 1000,
      .offset = offsetof(struct config_endpoint, weight) },
};

/* One URL, or a list of URLs or of {url, api_key, weight}. */
static enum err read_upstream(struct reader *r, yaml_node_t *n, void *into)
{
    struct config_engine *e = into;

    if (n->type == YAML_SCALAR_NODE) {
        e->endpoint_count = 1;
        e->endpoints = arena_new(&r->c->arena, struct config_endpoint);
        return read_url(r, n, &e->endpoints->url);
    }
    if (n->type != YAML_SEQUENCE_NODE)
        return bad(r, n, "upstream is a URL or a list of them%.*s%.*s", S(""), S(""));
    if (n->data.sequence.items.top == n->data.sequence.items.start)
        return bad(r, n, "upstream is empty%.*s%.*s", S(""), S(""));
    e->endpoint_count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    e->endpoints = arena_array(&r->c->arena, struct config_endpoint, e->endpoint_count);
    for (size_t i = 0; i < e->endpoint_count; i++) {
        yaml_node_t *item = node(r, n->data.sequence.items.start[i]);
        enum err     err;

        if (item->type == YAML_SCALAR_NODE)
            err = read_url(r, item, &e->endpoints[i].url);
        else
            err = read_fields(r, item, endpoint_fields, ARRAY_LEN(endpoint_fields), &e->endpoints[i]);
        if (err)
            return err;
        if (!e->endpoints[i].url.len)
            return bad(r, item, "an endpoint needs a url%.*s%.*s", S(""), S(""));
    }
    return OK;
}

static enum err read_command(struct reader *r, yaml_node_t *n, void *into)
{
    if (!str_trim(text_of(n)).len)
        return bad(r, n, "command is empty%.*s%.*s", S(""), S(""));
    *(str *)into = arena_str(&r->c->arena, text_of(n));
    return OK;
}

/* The paths of the file are relative to its folder. */
static str path_here(struct reader *r, str path)
{
    size_t folder = strlen(r->path);

    while (folder && r->path[folder - 1] != '/')
        folder--;
    if (!path.len || path.ptr[0] == '/' || str_starts(path, S("~/")))
        return arena_str(&r->c->arena, path);
    return arena_printf(&r->c->arena, "%.*s%.*s", (int)folder, r->path, STR_ARG(path));
}

static enum err read_model_file(struct reader *r, yaml_node_t *n, void *into)
{
    *(str *)into = expand_home(&r->c->arena, path_here(r, text_of(n)));
    return OK;
}

static enum err read_fallback(struct reader *r, yaml_node_t *n, void *into)
{
    struct config_engine *e = into;

    e->fallback = arena_str(&r->c->arena, text_of(n));
    e->fallback_line = line_of(n);
    return OK;
}

#define ENGINE_TEXT(n, m)                                                             \
    {                                                                                 \
        .name = S(n), .type = FIELD_TEXT, .offset = offsetof(struct config_engine, m) \
    }
#define ENGINE_MS(n, m)                                                             \
    {                                                                               \
        .name = S(n), .type = FIELD_MS, .offset = offsetof(struct config_engine, m) \
    }
static const struct field engine_fields[] = {
    ENGINE_TEXT("name", name),
    { .name = S("upstream"), .type = FIELD_READ, .read = read_upstream },
    { .name = S("api_key"), .type = FIELD_READ, .read = read_key, .offset = offsetof(struct config_engine, api_key) },
    { .name = S("command"),
      .type = FIELD_READ_TEXT,
      .read = read_command,
      .offset = offsetof(struct config_engine, command) },
    { .name = S("model_file"),
      .type = FIELD_READ_TEXT,
      .read = read_model_file,
      .offset = offsetof(struct config_engine, model_file) },
    { .name = S("models"), .type = FIELD_READ, .read = read_pairs, .offset = offsetof(struct config_engine, models) },
    { .name = S("headers"), .type = FIELD_READ, .read = read_pairs, .offset = offsetof(struct config_engine, headers) },
    { .name = S("cloud"), .type = FIELD_BOOL, .offset = offsetof(struct config_engine, cloud) },
    { .name = S("images"), .type = FIELD_BOOL, .offset = offsetof(struct config_engine, images) },
    ENGINE_TEXT("health_path", health_path),
    ENGINE_MS("health_interval", health_ms),
    ENGINE_MS("connect_timeout", connect_ms),
    ENGINE_MS("first_timeout", first_ms),
    ENGINE_MS("between_timeout", between_ms),
    ENGINE_MS("ready_timeout", ready_ms),
    ENGINE_MS("wait_timeout", wait_ms),
    { .name = S("retries"),
      .type = FIELD_INT,
      .max = UPSTREAM_ENDPOINTS_MAX - 1,
      .offset = offsetof(struct config_engine, retries) },
    { .name = S("fallback"), .type = FIELD_READ_TEXT, .read = read_fallback },
    { .name = S("lazy"), .type = FIELD_BOOL, .offset = offsetof(struct config_engine, lazy) },
};

static_assert(offsetof(struct config_engine, model_count) ==
                  offsetof(struct config_engine, models) + offsetof(struct pairs, count),
              "read_pairs() fills a pointer and the count behind it");
static_assert(offsetof(struct config_engine, header_count) ==
                  offsetof(struct config_engine, headers) + offsetof(struct pairs, count),
              "read_pairs() fills a pointer and the count behind it");

/* The words of a command: cut at blanks, but for what stands in single or double quotes. False: a quote is open. */
static bool split_words(struct arena *a, str command, str **ret, size_t *ret_count)
{
    char *text = arena_bytes(a, command.len + 1), *at = text, *word = text;
    char  quote = 0;
    bool  open = false;

    *ret = arena_array(a, str, command.len / 2 + 1);
    *ret_count = 0;
    for (size_t i = 0; i <= command.len; i++) {
        char c = i < command.len ? command.ptr[i] : ' ';

        if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
            open = true;
        } else if (c != ' ' || quote) {
            *at++ = c;
            open = true;
        } else if (open) {
            (*ret)[(*ret_count)++] = str_of(word, (size_t)(at - word));
            word = at;
            open = false;
        }
    }
    return !quote;
}

/* What an engine could not be opened with: a configuration that is accepted can be taken by all workers. */
static enum err check_asking(struct reader *r, yaml_node_t *n, const struct config_engine *e)
{
    bool broken = str_has_break(e->health_path);

    if (e->endpoint_count > UPSTREAM_ENDPOINTS_MAX || e->header_count > HTTP_FIELDS_MAX)
        return bad(r, n, "engine %.*s has too many %.*s", e->name,
                   e->header_count > HTTP_FIELDS_MAX ? S("headers") : S("upstreams"));
    for (size_t i = 0; i < e->endpoint_count; i++)
        broken = broken || str_has_break(e->endpoints[i].url) || str_has_break(e->endpoints[i].api_key);
    for (size_t i = 0; i < e->header_count; i++)
        broken = broken || str_has_break(e->headers[i].from) || str_has_break(e->headers[i].to);
    return broken ? bad(r, n, "engine %.*s: headers, keys and paths have no line breaks%.*s", e->name, S("")) : OK;
}

static enum err check_engine(struct reader *r, yaml_node_t *n, struct config_engine *e)
{
    enum err err;

    if (!e->name.len || str_eq(e->name, S("standin")))
        return bad(r, n, "an engine needs a name, and \"standin\" is taken%.*s%.*s", S(""), S(""));
    if (!e->endpoint_count && !e->command.len)
        return bad(r, n, "engine %.*s needs an upstream (a server's URL) or a command (a child to start)%.*s", e->name,
                   S(""));
    if (e->endpoint_count && e->command.len)
        return bad(r, n, "engine %.*s has both an upstream and a command; one of them is to go%.*s", e->name, S(""));
    if (e->endpoint_count && (e->lazy || e->model_file.len || e->ready_ms || e->wait_ms))
        return bad(r, n, "engine %.*s: lazy, model_file, ready_timeout and wait_timeout are of a command%.*s", e->name,
                   S(""));
    if (e->command.len && (e->model_file.len > 0) != (str_find_str(e->command, S("{model}")) != STR_NONE))
        return bad(r, n, "engine %.*s: {model} in its command and model_file go together%.*s", e->name, S(""));
    for (size_t i = 0; i < e->endpoint_count; i++) { /* now that all is read, in whatever order it stood */
        if (!e->endpoints[i].api_key.len)
            e->endpoints[i].api_key = e->api_key;
    }
    err = check_asking(r, n, e);
    if (err)
        return err;
    for (const struct config_engine *other = r->c->engines; other < e; other++) {
        if (str_eq(other->name, e->name))
            return bad(r, n, "there is another engine %.*s%.*s", e->name, S(""));
    }
    if (!split_words(&r->c->arena, e->command, &e->words, &e->word_count))
        return bad(r, n, "engine %.*s: a quote in its command has no end%.*s", e->name, S(""));
    if (e->command.len && !child_command_ok(e->words, e->word_count))
        return bad(r, n, "engine %.*s: its command must say where it listens, with {port} or with {socket}%.*s",
                   e->name, S(""));
    return OK;
}

static enum err read_engines(struct reader *r, yaml_node_t *n)
{
    struct config *c = r->c;

    if (n->type != YAML_SEQUENCE_NODE)
        return bad(r, n, "engines is a list%.*s%.*s", S(""), S(""));
    c->engine_count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    c->engines = arena_array(&c->arena, struct config_engine, c->engine_count);
    for (size_t i = 0; i < c->engine_count; i++) {
        yaml_node_t *item = node(r, n->data.sequence.items.start[i]);
        enum err     e;

        c->engines[i].retries = 1;
        e = read_fields(r, item, engine_fields, ARRAY_LEN(engine_fields), &c->engines[i]);
        if (!e)
            e = check_engine(r, item, &c->engines[i]);
        if (e)
            return e;
    }
    return OK;
}

/* "route: { qwen-plus: local, qwen3-*: llama, '*': standin }", in order. */
static enum err read_routes(struct reader *r, yaml_node_t *n)
{
    struct pairs p = { 0 };
    enum err     e = read_pairs(r, n, &p);

    if (e)
        return e;
    r->c->route_count = p.count;
    r->c->routes = arena_array(&r->c->arena, struct config_route, p.count);
    for (size_t i = 0; i < p.count; i++)
        r->c->routes[i] =
            (struct config_route){ .model = p.pairs[i].from, .engine = p.pairs[i].to, .line = p.pairs[i].line };
    return OK;
}

#define LIMIT(n)                                                                                                 \
    {                                                                                                            \
        .name = S(#n), .type = FIELD_INT, .min = 1, .max = INT32_MAX, .offset = offsetof(struct config_model, n) \
    }
static const struct field limit_fields[] = { LIMIT(context), LIMIT(input), LIMIT(output), LIMIT(budget) };

static enum err read_limits(struct reader *r, yaml_node_t *n, void *into)
{
    return read_fields(r, n, limit_fields, ARRAY_LEN(limit_fields), into);
}

/* An id that a header, a path and a line of the log can carry. */
static enum err read_id(struct reader *r, yaml_node_t *n, void *into)
{
    str id = text_of(n);

    for (size_t i = 0; i < id.len; i++) {
        if ((unsigned char)id.ptr[i] <= ' ' || id.ptr[i] == 0x7f)
            return bad(r, n, "the id of a model has no blanks: \"%.*s\"%.*s", id, S(""));
    }
    *(str *)into = arena_str(&r->c->arena, id);
    return OK;
}

static enum err read_like(struct reader *r, yaml_node_t *n, void *into)
{
    str like = text_of(n), near, *ids;

    if (like.len && !model_find(like)) {
        ids = arena_array(&r->c->arena, str, model_count);
        for (unsigned i = 0; i < model_count; i++)
            ids[i] = models[i].id;
        near = name_nearest(like, ids, model_count);
        return near.len ? bad(r, n, "there is no model \"%.*s\"; did you mean \"%.*s\"?", like, near)
                        : bad(r, n, "there is no model \"%.*s\"%.*s", like, S(""));
    }
    *(str *)into = arena_str(&r->c->arena, like);
    return OK;
}

static const struct field model_fields[] = {
    { .name = S("id"), .type = FIELD_READ_TEXT, .read = read_id, .offset = offsetof(struct config_model, id) },
    { .name = S("like"), .type = FIELD_READ_TEXT, .read = read_like, .offset = offsetof(struct config_model, like) },
    { .name = S("limits"), .type = FIELD_READ, .read = read_limits },
    { .name = S("workspace"), .type = FIELD_TEXT, .offset = offsetof(struct config_model, workspace) },
};

static enum err read_models(struct reader *r, yaml_node_t *n)
{
    struct config *c = r->c;

    if (n->type != YAML_SEQUENCE_NODE)
        return bad(r, n, "models is a list%.*s%.*s", S(""), S(""));
    c->model_count = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
    c->models = arena_array(&c->arena, struct config_model, c->model_count);
    for (size_t i = 0; i < c->model_count; i++) {
        yaml_node_t *item = node(r, n->data.sequence.items.start[i]);
        enum err     e = read_fields(r, item, model_fields, ARRAY_LEN(model_fields), &c->models[i]);

        if (e)
            return e;
        if (!c->models[i].id.len || !c->models[i].like.len)
            return bad(r, item, "a model needs an id and a known model that it is like%.*s%.*s", S(""), S(""));
    }
    return OK;
}

#define KEY_RULE "an API key is printable ASCII without blanks, and not empty"

static bool key_is_good(str key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (key.ptr[i] <= ' ' || key.ptr[i] > '~')
            return false;
    }
    return key.len > 0;
}

static enum err read_keys(struct reader *r, yaml_node_t *n)
{
    if (n->type != YAML_SEQUENCE_NODE)
        return bad(r, n, "api_keys is a list%.*s%.*s", S(""), S(""));
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        yaml_node_t *item = node(r, *i);

        if (!text_of(item).len)
            return bad(r, item, "a key is a text%.*s%.*s", S(""), S(""));
        if (!key_is_good(text_of(item)))
            return bad(r, item, KEY_RULE "%.*s%.*s", S(""), S(""));
        config_add_key(r->c, text_of(item));
    }
    return OK;
}

static const struct {
    str name;
    enum err (*read)(struct reader *r, yaml_node_t *n);
} lists[] = {
    { S("engines"), read_engines },
    { S("route"), read_routes },
    { S("models"), read_models },
    { S("api_keys"), read_keys },
};

static enum err unknown_option(struct reader *r, yaml_node_t *key, str name)
{
    str *names = arena_array(&r->c->arena, str, option_count + ARRAY_LEN(lists));
    str  near;

    for (unsigned i = 0; i < option_count; i++)
        names[i] = option_rows[i].name;
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        names[option_count + i] = lists[i].name;
    near = name_nearest(name, names, option_count + ARRAY_LEN(lists));
    return near.len ? bad(r, key, "unknown option \"%.*s\"; did you mean \"%.*s\"?", name, near)
                    : bad(r, key, "unknown option \"%.*s\"%.*s", name, S(""));
}

static enum err read_options(struct reader *r, yaml_node_t *n, str prefix, unsigned depth)
{
    if (n->type != YAML_MAPPING_NODE || depth > DEPTH_MAX)
        return bad(r, n, "expected options with values%.*s%.*s", S(""), S(""));
    if (check_twins(r, n))
        return ERR_INVALID;
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        yaml_node_t *key = node(r, p->key), *value = node(r, p->value);
        str          name =
            prefix.len ? arena_printf(&r->c->arena, "%.*s.%.*s", STR_ARG(prefix), STR_ARG(text_of(key))) : text_of(key);
        const struct option *o = option_find(name);
        enum err             e = OK;
        size_t               list = prefix.len ? ARRAY_LEN(lists) : 0;

        while (list < ARRAY_LEN(lists) && !str_eq(lists[list].name, name))
            list++;
        if (list < ARRAY_LEN(lists)) {
            e = is_null(value) ? OK : lists[list].read(r, value);
        } else if (o && value->type == YAML_SCALAR_NODE) {
            str         text = text_of(value);
            const char *why = option_set(r->c, o, o->type == OPTION_PATH ? path_here(r, text) : text);

            if (why)
                e = bad(r, value, "%.*s %.*s", name, str_from_cstr(why));
        } else if (!o && value->type == YAML_MAPPING_NODE) {
            e = read_options(r, value, name, depth + 1);
        } else {
            e = o ? bad(r, value, "%.*s takes one value%.*s", name, S("")) : unknown_option(r, key, name);
        }
        if (e)
            return e;
    }
    return OK;
}

/* An engine is named: the stand-in, or one of the list from `first` on. */
static enum err check_engine_name(struct reader *r, size_t line, str who, str name, size_t first)
{
    const struct config *c = r->c;
    struct arena        *a = &r->c->arena;
    size_t               count = 0;
    str                 *names = arena_array(a, str, c->engine_count + 1), near, text;

    names[count++] = S("standin");
    for (size_t i = first; i < c->engine_count; i++)
        names[count++] = c->engines[i].name;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(names[i], name))
            return OK;
    }
    near = name_nearest(name, names, count);
    text = arena_printf(a, "%.*s: there is no engine \"%.*s\"%s", STR_ARG(who), STR_ARG(name),
                        first ? " behind it to fall back to" : "");
    if (near.len)
        text = arena_printf(a, "%.*s; did you mean \"%.*s\"?", STR_ARG(text), STR_ARG(near));
    return bad_line(r, line, text);
}

/* Names of engines, when all are known. A fallback is a later one: so there is no circle, and it is open before what falls
 * back to it. */
static enum err check_engine_names(struct reader *r)
{
    const struct config *c = r->c;
    enum err             e = OK;

    for (size_t i = 0; i < c->route_count && !e; i++) {
        str who = arena_printf(&r->c->arena, "route %.*s", STR_ARG(c->routes[i].model));

        e = check_engine_name(r, c->routes[i].line, who, c->routes[i].engine, 0);
    }
    for (size_t i = 0; i < c->engine_count && !e; i++) {
        str who = arena_printf(&r->c->arena, "engine %.*s", STR_ARG(c->engines[i].name));

        if (c->engines[i].fallback.len)
            e = check_engine_name(r, c->engines[i].fallback_line, who, c->engines[i].fallback, i + 1);
    }
    return e;
}

/* The line of what libyaml stumbled over; of bytes that are no UTF-8 it tells the offset alone. */
static size_t line_of_problem(const yaml_parser_t *parser, FILE *file)
{
    size_t line = 1;

    if (parser->error != YAML_READER_ERROR)
        return parser->problem_mark.line + 1;
    rewind(file);
    for (size_t i = 0; i < parser->problem_offset; i++)
        line += getc(file) == '\n';
    return line;
}

enum err config_read(struct config *c, const char *path, str *ret_problem)
{
    struct reader r = { .c = c, .path = path };
    yaml_parser_t parser;
    FILE         *file = fopen(path, "r");
    struct stat   is;
    yaml_node_t  *root;
    enum err      e = OK;

    if (!file) {
        *ret_problem = arena_printf(&c->arena, "%s: %s", path, strerror(errno));
        return ERR_NOT_FOUND;
    }
    if (fstat(fileno(file), &is) == 0 && S_ISDIR(is.st_mode)) {
        (void)fclose(file);
        *ret_problem = arena_printf(&c->arena, "%s: %s", path, strerror(EISDIR));
        return ERR_INVALID;
    }
    c->file = arena_str(&c->arena, str_from_cstr(path));
    yaml_parser_initialize(&parser);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_file(&parser, file);
    if (!yaml_parser_load(&parser, &r.doc)) {
        *ret_problem = arena_printf(&c->arena, "%s:%zu: %s", path, line_of_problem(&parser, file),
                                    parser.problem ? parser.problem : "not YAML");
        e = ERR_INVALID;
    } else {
        root = yaml_document_get_root_node(&r.doc);
        if (root && !is_null(root))
            e = read_options(&r, root, S(""), 0);
        if (!e)
            e = check_engine_names(&r);
        if (e)
            *ret_problem = r.problem;
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    (void)fclose(file); /* only read from */
    return e;
}

enum err config_finish(struct config *c, str *ret_problem)
{
    struct options    *o = &c->options;
    struct http_origin events;
    str                target;

    for (unsigned i = 0; i < option_count; i++) {
        str *path = (str *)((char *)o + option_rows[i].offset);

        if (option_rows[i].type == OPTION_PATH)
            *path = expand_home(&c->arena, *path);
    }
    c->wording = (struct wording_options){
        .wording = (enum wording)o->wording,
        .edition = (enum edition)o->edition,
        .help_links = o->help_links,
        .help_base = o->help_base,
    };
    if ((o->tls_certificate.len == 0) != (o->tls_key.len == 0)) {
        *ret_problem = S("tls.certificate and tls.key go together");
        return ERR_INVALID;
    }
    if (o->tasks_events.len && !task_events_url_read(o->tasks_events, &c->arena, &events, &target)) {
        *ret_problem = arena_printf(&c->arena, "tasks.events: \"%.*s\" is no URL", STR_ARG(o->tasks_events));
        return ERR_INVALID;
    }
    if (!split_words(&c->arena, o->tuning_trainer, &c->trainer, &c->trainer_count)) {
        *ret_problem = S("tuning.trainer: a quote has no end");
        return ERR_INVALID;
    }
    if (o->production && o->scenario.len) {
        *ret_problem = S("a scenario file is refused with --production");
        return ERR_INVALID;
    }
    if (o->production && o->replay.len) {
        *ret_problem = S("replay is refused with --production: its clients expect answers, not recordings");
        return ERR_INVALID;
    }
    if (o->record.len && o->replay.len) {
        *ret_problem = S("record and replay exclude each other");
        return ERR_INVALID;
    }
    if (o->replay.len) {
        enum err e = replay_engines(c, ret_problem);

        if (e)
            return e;
    } else if (c->key_problem.len) {
        *ret_problem = c->key_problem;
        return ERR_INVALID;
    }
    for (size_t i = 0; i < c->api_key_count; i++) {
        if (key_is_good(c->api_keys[i]))
            continue;
        *ret_problem = S(KEY_RULE);
        return ERR_INVALID;
    }
    return OK;
}
