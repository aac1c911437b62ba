/* normal.c - what of a request says that it is the same one. */
#include "engine/record/normal.h"

#include "base/map.h"
#include "base/num.h"
#include "contract/json.h"
#include "engine/record/scrub.h"

#include <openssl/sha.h>
#include <stdlib.h>

#define DEPTH_MAX   64   /* what is deeper stays as it came */
#define URI_MIN     256  /* bytes of a data: URI that is kept as its hash */
#define BASE64_MIN  1024 /* of a text that looks like Base64 */
#define HASH_DIGITS 16
#define NAME_DIGITS 8
#define MODEL_MAX   48 /* of its name, in a file's */

static void hash_hex(char *text, size_t digits, str s)
{
    unsigned char hash[SHA256_DIGEST_LENGTH];

    SHA256((const unsigned char *)s.ptr, s.len, hash);
    num_hex(text, hash, digits / 2);
}

/* ---- texts ---- */

static bool is_base64(str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
              c == '='))
            return false;
    }
    return true;
}

struct writer {
    struct buf   *b;
    struct arena *arena;
    struct map    ids; /* of tool calls → their number */
    size_t        level;
};

static void add_media(struct writer *w, str s, size_t prefix)
{
    char hash[HASH_DIGITS];

    hash_hex(hash, sizeof(hash), s);
    json_add_str(w->b,
                 arena_printf(w->arena, "%.*s(sha256 %.*s, %zu bytes)", (int)prefix, s.ptr, HASH_DIGITS, hash, s.len));
}

static void add_text(struct writer *w, str s)
{
    struct buf clean;

    if (s.len >= URI_MIN && str_starts(s, S("data:"))) {
        size_t comma = str_find(str_first(s, URI_MIN), ',');

        add_media(w, s, comma == STR_NONE ? 5 : comma + 1);
    } else if (s.len >= BASE64_MIN && is_base64(s)) {
        add_media(w, s, 0);
    } else {
        buf_init(&clean, w->arena, SIZE_MAX / 2);
        scrub(&clean, s, NULL);
        json_add_str(w->b, buf_str(&clean));
    }
}

static void add_call_id(struct writer *w, str id)
{
    uintptr_t number = (uintptr_t)map_get(&w->ids, id);

    if (!number) {
        number = w->ids.count + 1;
        map_put(&w->ids, id, (void *)number);
    }
    json_add_str(w->b, arena_printf(w->arena, "call_%zu", (size_t)number));
}

/* ---- values ---- */

struct member {
    str         key;
    yyjson_val *value;
};

static int member_cmp(const void *a, const void *b)
{
    return str_cmp(((const struct member *)a)->key, ((const struct member *)b)->key);
}

static bool is_volatile(const struct writer *w, str key)
{
    static const str names[] = { S("user"),  S("request_id"),        S("metadata"),
                                 S("store"), S("safety_identifier"), S("prompt_cache_key") };

    for (size_t i = 0; i < ARRAY_LEN(names) && w->level == 0; i++) {
        if (str_eq(names[i], key))
            return true;
    }
    return false;
}

static void add_line(struct writer *w)
{
    buf_add_char(w->b, '\n');
    for (size_t i = 0; i < w->level; i++)
        buf_add(w->b, S("  "));
}

static void add_value(struct writer *w, yyjson_val *v, bool in_calls);

static void add_member(struct writer *w, const struct member *m, bool in_calls)
{
    str text = json_str(m->value);

    json_add_str(w->b, m->key);
    buf_add(w->b, S(": "));
    if (text.len && (str_eq(m->key, S("tool_call_id")) || (in_calls && str_eq(m->key, S("id")))))
        add_call_id(w, text);
    else if (text.len && scrub_is_secret_name(m->key))
        json_add_str(w->b, S("REMOVED"));
    else
        add_value(w, m->value, str_eq(m->key, S("tool_calls")));
}

static void add_object(struct writer *w, yyjson_val *v, bool in_calls)
{
    struct member *members = arena_array(w->arena, struct member, yyjson_obj_size(v));
    size_t         count = 0, i, max;
    yyjson_val    *key, *value;

    yyjson_obj_foreach(v, i, max, key, value)
    {
        if (!is_volatile(w, json_str(key)))
            members[count++] = (struct member){ json_str(key), value };
    }
    if (count)
        qsort(members, count, sizeof(*members), member_cmp);
    buf_add_char(w->b, '{');
    w->level++;
    for (i = 0; i < count; i++) {
        if (i)
            buf_add_char(w->b, ',');
        add_line(w);
        add_member(w, &members[i], in_calls);
    }
    w->level--;
    if (count)
        add_line(w);
    buf_add_char(w->b, '}');
}

static void add_array(struct writer *w, yyjson_val *v, bool in_calls)
{
    size_t      i, max;
    yyjson_val *item;

    buf_add_char(w->b, '[');
    w->level++;
    yyjson_arr_foreach(v, i, max, item)
    {
        if (i)
            buf_add_char(w->b, ',');
        add_line(w);
        add_value(w, item, in_calls);
    }
    w->level--;
    if (yyjson_arr_size(v))
        add_line(w);
    buf_add_char(w->b, ']');
}

/* `in_calls`: the value is that of "tool_calls", or in its list. */
static void add_value(struct writer *w, yyjson_val *v, bool in_calls)
{
    if (yyjson_is_str(v))
        add_text(w, json_str(v));
    else if (yyjson_is_obj(v) && w->level < DEPTH_MAX)
        add_object(w, v, in_calls);
    else if (yyjson_is_arr(v) && w->level < DEPTH_MAX)
        add_array(w, v, in_calls);
    else
        buf_add(w->b, json_text(w->arena, v));
}

static str value_text(struct writer *w, yyjson_val *v, size_t level)
{
    struct buf b;

    buf_init(&b, w->arena, SIZE_MAX / 2); /* the request had its ceiling */
    w->b = &b;
    w->level = level;
    if (v)
        add_value(w, v, false);
    return buf_str(&b);
}

/* ---- names ---- */

/* The model's name with the characters of file names alone. */
static str model_slug(struct arena *a, str model)
{
    str   s = str_first(model, MODEL_MAX);
    char *text = arena_bytes(a, MODEL_MAX);

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                     (c == '.' && i > 0);

        text[i] = plain ? c : '-';
    }
    return s.len ? str_of(text, s.len) : S("request");
}

/* What is asked: the messages of chat; the texts of embeddings, the query and documents of rerank. */
static str asked_text(struct writer *w, yyjson_val *root)
{
    static const char *const members[] = { "messages", "input", "query", "documents" };
    str                      all = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        yyjson_val *v = json_get(root, members[i]);

        if (v)
            all = arena_printf(w->arena, "%.*s%.*s", STR_ARG(all), STR_ARG(value_text(w, v, 1)));
    }
    return all;
}

void normal_of(struct arena *a, str method, str path, str body, struct normal *ret)
{
    yyjson_val   *root = json_parse_copy(a, body);
    struct writer w = { .arena = a };
    str           model = json_str(json_get(root, "model")), messages, text;
    char          family[NAME_DIGITS], rest[NAME_DIGITS];
    struct buf    clean;

    map_init(&w.ids);
    messages = asked_text(&w, root);
    if (root) {
        text = value_text(&w, root, 0);
    } else {
        buf_init(&clean, a, SIZE_MAX / 2);
        scrub(&clean, body, NULL);
        text = buf_str(&clean);
    }
    map_free(&w.ids);
    ret->body = arena_printf(a, "%.*s\n", STR_ARG(text));
    hash_hex(
        family, sizeof(family),
        arena_printf(a, "%.*s %.*s\n%.*s\n%.*s", STR_ARG(method), STR_ARG(path), STR_ARG(model), STR_ARG(messages)));
    hash_hex(rest, sizeof(rest),
             arena_printf(a, "%.*s %.*s\n%.*s", STR_ARG(method), STR_ARG(path), STR_ARG(ret->body)));
    ret->family = arena_printf(a, "%.*s-%.*s-", STR_ARG(model_slug(a, model)), NAME_DIGITS, family);
    ret->name = arena_printf(a, "%.*s%.*s", STR_ARG(ret->family), NAME_DIGITS, rest);
}

/* ---- differences ---- */

static str member_path(struct arena *a, str path, yyjson_val *key)
{
    return arena_printf(a, "%.*s%s%s", STR_ARG(path), path.len ? "." : "", unsafe_yyjson_get_str(key));
}

static str difference(struct arena *a, yyjson_val *x, yyjson_val *y, str path, unsigned depth)
{
    size_t      i, max;
    yyjson_val *key, *value;
    str         at;

    if (depth < DEPTH_MAX && yyjson_is_obj(x) && yyjson_is_obj(y)) {
        yyjson_obj_foreach(x, i, max, key, value)
        {
            yyjson_val *other = yyjson_obj_getn(y, yyjson_get_str(key), yyjson_get_len(key));

            at = member_path(a, path, key);
            at = other ? difference(a, value, other, at, depth + 1) : at;
            if (at.len)
                return at;
        }
        yyjson_obj_foreach(y, i, max, key, value)
        {
            if (!yyjson_obj_getn(x, yyjson_get_str(key), yyjson_get_len(key)))
                return member_path(a, path, key);
        }
        return (str){ 0 };
    }
    if (depth < DEPTH_MAX && yyjson_is_arr(x) && yyjson_is_arr(y)) {
        for (i = 0; i < yyjson_arr_size(x) && i < yyjson_arr_size(y); i++) {
            at = arena_printf(a, "%.*s[%zu]", STR_ARG(path), i);
            at = difference(a, yyjson_arr_get(x, i), yyjson_arr_get(y, i), at, depth + 1);
            if (at.len)
                return at;
        }
        return yyjson_arr_size(x) == yyjson_arr_size(y) ? (str){ 0 } : arena_printf(a, "%.*s[%zu]", STR_ARG(path), i);
    }
    return str_eq(json_text(a, x), json_text(a, y)) ? (str){ 0 } : path.len ? path : S("body");
}

str normal_difference(struct arena *a, str one, str other)
{
    yyjson_val *x = json_parse_copy(a, one), *y = json_parse_copy(a, other);

    if (!x || !y)
        return str_eq(one, other) ? (str){ 0 } : S("body");
    return difference(a, x, y, S(""), 0);
}

unsigned normal_likeness(str one, str other)
{
    size_t shorter = min_size(one.len, other.len), longer = max_size(one.len, other.len), front = 0, back = 0;

    while (front < shorter && one.ptr[front] == other.ptr[front])
        front++;
    while (back < shorter - front && one.ptr[one.len - 1 - back] == other.ptr[other.len - 1 - back])
        back++;
    return longer ? (unsigned)((front + back) * 1000 / longer) : 1000;
}
