/* app_text.c - texts of applications with values in them, and conditions over them. */
#include "contract/app.h"

#include "base/num.h"

/* ---- reading ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
}

static void add(struct arena *a, struct app_text *t, struct app_part part)
{
    t->parts = arena_realloc(a, t->parts, t->count * sizeof(*t->parts), (t->count + 1) * sizeof(*t->parts));
    t->parts[t->count++] = part;
}

static bool add_reference(struct arena *a, struct app_text *t, str name, str *ret_problem)
{
    struct app_part p = { .literal = name };

    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.ptr[i])) {
            *ret_problem = arena_printf(a, "\"${%.*s}\" is no name; \"$${\" writes \"${\" itself", STR_ARG(name));
            return false;
        }
    }
    p.path = name;
    p.node = str_cut(&p.path, '.');
    if (!p.node.len) {
        *ret_problem = S("\"${}\" names nothing");
        return false;
    }
    add(a, t, p);
    return true;
}

bool app_text_read(struct arena *a, str source, struct app_text *ret, str *ret_problem)
{
    str rest = source;

    *ret = (struct app_text){ .source = source };
    while (rest.len) {
        size_t at = str_find_str(rest, S("${")), end;

        if (at == STR_NONE) {
            add(a, ret, (struct app_part){ .literal = rest });
            return true;
        }
        if (at > 0 && rest.ptr[at - 1] == '$') { /* "$${" */
            add(a, ret, (struct app_part){ .literal = str_first(rest, at) });
            add(a, ret, (struct app_part){ .literal = S("{") });
            rest = str_from(rest, at + 2);
            continue;
        }
        if (at)
            add(a, ret, (struct app_part){ .literal = str_first(rest, at) });
        rest = str_from(rest, at + 2);
        end = str_find(rest, '}');
        if (end == STR_NONE) {
            *ret_problem = S("\"${\" has no \"}\"; \"$${\" writes \"${\" itself");
            return false;
        }
        if (!add_reference(a, ret, str_first(rest, end), ret_problem))
            return false;
        rest = str_from(rest, end + 1);
    }
    return true;
}

/* ---- values ---- */

/* The result is what a node is named for without a path. */
static yyjson_val *whole(yyjson_val *v)
{
    yyjson_val *result = yyjson_is_obj(v) ? json_get(v, "result") : NULL;

    return result ? result : v;
}

yyjson_val *app_part_value(const struct app_values *v, const struct app_part *p)
{
    yyjson_val *at = v->find(v->arg, p->node);
    str         path = p->path;

    if (!path.len)
        return whole(at);
    while (path.len && at) {
        str     name = str_cut(&path, '.');
        int64_t index;

        if (yyjson_is_arr(at))
            at = str_to_i64(name, &index) && index >= 0 ? yyjson_arr_get(at, (size_t)index) : NULL;
        else
            at = yyjson_obj_getn(at, name.ptr, name.len);
    }
    return at;
}

static void add_value(struct buf *b, yyjson_val *v)
{
    if (yyjson_is_str(v))
        buf_add(b, json_str(v));
    else if (!yyjson_is_null(v))
        buf_add(b, json_text(b->arena, v));
}

enum err app_part_add(struct buf *b, const struct app_values *v, const struct app_part *p)
{
    yyjson_val *value;

    if (!p->node.len) {
        buf_add(b, p->literal);
        return OK;
    }
    value = app_part_value(v, p);
    if (!value)
        return ERR_NOT_FOUND;
    add_value(b, value);
    return OK;
}

enum err app_text_fill(struct arena *a, const struct app_text *t, const struct app_values *v, size_t max, str *ret,
                       str *ret_missing)
{
    struct buf b;

    buf_init(&b, a, max);
    for (size_t i = 0; i < t->count; i++) {
        enum err e = app_part_add(&b, v, &t->parts[i]);

        if (e) {
            *ret_missing = t->parts[i].literal;
            return e;
        }
    }
    if (b.full)
        return ERR_LIMIT;
    *ret = buf_str(&b);
    return OK;
}

yyjson_val *app_text_value(const struct app_text *t, const struct app_values *v)
{
    return t->count == 1 && t->parts[0].node.len ? app_part_value(v, &t->parts[0]) : NULL;
}

/* ---- conditions ---- */

#define SIDE_MAX ((size_t)1 << 20) /* bytes of a side of a comparison */

/* What is not there is empty: a condition may ask for that. */
static enum err side(struct arena *a, const struct app_text *t, const struct app_values *v, bool may_miss, str *ret,
                     str *ret_missing)
{
    enum err e = app_text_fill(a, t, v, SIDE_MAX, ret, ret_missing);

    if (e == ERR_NOT_FOUND && may_miss) {
        *ret = (str){ 0 };
        return OK;
    }
    return e;
}

static bool compare(enum app_test test, str value, str other)
{
    double x, y;
    bool   numbers = str_to_f64(value, &x) && str_to_f64(other, &y);

    switch (test) {
    case APP_EQUALS:
        return numbers ? x == y : str_eq(value, other);
    case APP_CONTAINS:
        return str_find_str(value, other) != STR_NONE;
    case APP_STARTS:
        return str_starts(value, other);
    case APP_ENDS:
        return str_ends(value, other);
    case APP_EMPTY:
        return str_trim(value).len == 0 || str_eq(value, S("[]")) || str_eq(value, S("{}"));
    case APP_LESS:
        return numbers ? x < y : str_cmp(value, other) < 0;
    case APP_GREATER:
        return numbers ? x > y : str_cmp(value, other) > 0;
    }
    return false;
}

enum err app_case_holds(struct arena *a, const struct app_case *c, const struct app_values *v, bool *ret,
                        str *ret_missing)
{
    *ret = !c->any;
    for (size_t i = 0; i < c->count; i++) {
        const struct app_condition *k = &c->conditions[i];
        str                         value = { 0 }, other = { 0 };
        enum err                    e = side(a, &k->value, v, k->test == APP_EMPTY, &value, ret_missing);

        if (!e)
            e = side(a, &k->other, v, false, &other, ret_missing);
        if (e)
            return e;
        if (compare(k->test, value, other) == k->negated)
            *ret = c->any ? *ret : false;
        else
            *ret = c->any ? true : *ret;
    }
    return OK;
}
