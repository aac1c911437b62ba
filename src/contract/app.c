/* app.c - reads the definition of an application.
 *
 * Each object of the format is a table of its keys: object_read() refuses what is not in it, and calls the key's reader.
 */
#include "contract/app.h"

#include "base/num.h"
#include "contract/apps.h"
#include "contract/apps_params.gen.h"

#include <stdarg.h>
#include <stdio.h>

#define NODE_NAME(name, text, wire) [name] = S(text),
static const str node_names[] = { APP_NODES(NODE_NAME) };
#undef NODE_NAME
#define NODE_NAME(name, text, wire) [name] = S(wire),
static const str node_wire_names[] = { APP_NODES(NODE_NAME) };
#undef NODE_NAME

static const str param_types[] = { S("string"), S("number"), S("boolean"), S("list"), S("object") };

str app_node_wire_name(enum app_node_type t)
{
    return node_wire_names[t];
}

str app_kind_name(enum app_kind k)
{
    return k == APP_FLOW ? S("flow") : S("agent");
}

/* ---- reading objects ---- */

/* What may be named in texts: the nodes so far, and around them. */
struct scope {
    const struct scope *outer;
    const str          *names;
    size_t              count;
};

struct reader {
    struct arena       *arena;
    str                 where; /* what is being read, for people */
    str                *problem;
    size_t              nodes, depth;
    const struct scope *scope;
    struct app         *app;
};

/* A key of an object: how its value is read, into which member, within which bounds. */
struct key {
    str name;
    bool (*read)(struct reader *r, yyjson_val *v, const struct key *k, void *into);
    size_t offset;
    double min, max;
};

static bool refuse(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool refuse(struct reader *r, const char *fmt, ...)
{
    char    text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *r->problem = arena_printf(r->arena, "%.*s: %s", STR_ARG(r->where), text);
    return false;
}

static bool refuse_key(struct reader *r, str name, const struct key *keys, size_t count)
{
    struct buf known;

    buf_init(&known, r->arena, 1000);
    for (size_t i = 0; i < count; i++)
        buf_addf(&known, "%s%.*s", i ? ", " : "", STR_ARG(keys[i].name));
    return refuse(r, "unknown key \"%.*s\"; there are %.*s", STR_ARG(str_first(name, 60)), STR_ARG(buf_str(&known)));
}

static bool object_read(struct reader *r, yyjson_val *v, const struct key *keys, size_t count, void *into)
{
    size_t      i, n, k;
    yyjson_val *name, *value;

    if (!yyjson_is_obj(v))
        return refuse(r, "this must be keys with values");
    yyjson_obj_foreach(v, i, n, name, value)
    {
        for (k = 0; k < count && !str_eq(keys[k].name, json_str(name)); k++) {
        }
        if (k == count)
            return refuse_key(r, json_str(name), keys, count);
        if (!yyjson_is_null(value) && !keys[k].read(r, value, &keys[k], (char *)into + keys[k].offset))
            return false;
    }
    return true;
}

#define WHAT(k) STR_ARG((k)->name)

static bool read_text(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    if (!yyjson_is_str(v))
        return refuse(r, "%.*s must be text", WHAT(k));
    *(str *)into = json_str(v);
    return true;
}

static bool id_is_good(str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return id.len > 0 && id.len <= 64;
}

static bool read_id(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    if (!yyjson_is_str(v) || !id_is_good(json_str(v)))
        return refuse(r, "%.*s must be 1 to 64 letters, digits, \"_\" or \"-\"", WHAT(k));
    *(str *)into = json_str(v);
    return true;
}

static bool read_num(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    opt_num *ret = into;

    if (!json_to_num(v, &ret->v) || ret->v < k->min || ret->v > k->max)
        return refuse(r, "%.*s must be a number from %g to %g", WHAT(k), k->min, k->max);
    ret->set = true;
    return true;
}

static bool read_int(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    opt_int *ret = into;

    if (!json_to_i64(v, &ret->v) || (double)ret->v < k->min || (double)ret->v > k->max)
        return refuse(r, "%.*s must be a whole number from %.0f to %.0f", WHAT(k), k->min, k->max);
    ret->set = true;
    return true;
}

static bool read_bool(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    if (!yyjson_is_bool(v))
        return refuse(r, "%.*s must be true or false", WHAT(k));
    *(bool *)into = yyjson_get_bool(v);
    return true;
}

static bool read_flag(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    opt_bool *ret = into;

    ret->set = true;
    return read_bool(r, v, k, &ret->v);
}

static bool read_any(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    (void)r;
    (void)k;
    *(yyjson_val **)into = v;
    return true;
}

struct texts {
    str   *at;
    size_t count;
};

static bool read_texts(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    struct texts *ret = into;
    size_t        i, n;
    yyjson_val   *one;

    if (!yyjson_is_arr(v) || (double)yyjson_arr_size(v) > k->max)
        return refuse(r, "%.*s must be a list of at most %.0f texts", WHAT(k), k->max);
    ret->at = arena_array(r->arena, str, yyjson_arr_size(v));
    yyjson_arr_foreach(v, i, n, one)
    {
        if (!yyjson_is_str(one) || !json_str(one).len)
            return refuse(r, "%.*s must be a list of texts", WHAT(k));
        ret->at[ret->count++] = json_str(one);
    }
    return true;
}

/* ---- texts with values in them ---- */

static bool is_known(const struct scope *s, str name)
{
    for (; s; s = s->outer) {
        for (size_t i = 0; i < s->count; i++) {
            if (str_eq(s->names[i], name))
                return true;
        }
    }
    return str_eq(name, S("sys"));
}

static bool read_template(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    struct app_text *ret = into;
    str              source = json_str(v), why = { 0 };

    if (yyjson_is_num(v) || yyjson_is_bool(v))
        source = json_text(r->arena, v);
    else if (!yyjson_is_str(v))
        return refuse(r, "%.*s must be text", WHAT(k));
    if (!app_text_read(r->arena, source, ret, &why))
        return refuse(r, "%.*s: %.*s", WHAT(k), STR_ARG(why));
    for (size_t i = 0; i < ret->count; i++) {
        if (ret->parts[i].node.len && !is_known(r->scope, ret->parts[i].node))
            return refuse(r, "%.*s: \"${%.*s}\" is of nothing that comes before it", WHAT(k),
                          STR_ARG(ret->parts[i].literal));
    }
    return true;
}

/* ---- nodes ---- */

/* What a node says before it is known what it goes on to. */
struct draft {
    struct app_node node;
    str             type, next, otherwise, *targets; /* targets: of its cases */
    yyjson_val     *params, *cases, *body, *until, *arguments;
    struct texts    bases;
};

/* clang-format off */
#define NODE(field)  offsetof(struct draft, node) + offsetof(struct app_node, field)
#define DRAFT(field) offsetof(struct draft, field)
#define NODE_KEYS                             \
    { S("id"), read_id, NODE(id) },           \
    { S("type"), read_text, DRAFT(type) },    \
    { S("name"), read_text, NODE(name) }
/* The keys of a model, which stands at `base`. */
#define MODEL_KEYS(base)                                                                    \
    { S("model"), read_text, (base) + offsetof(struct app_model, name) },                   \
    { S("temperature"), read_num, (base) + offsetof(struct app_model, temperature), 0, 1.999999 }, \
    { S("top_p"), read_num, (base) + offsetof(struct app_model, top_p), 0.000001, 1 },      \
    { S("top_k"), read_int, (base) + offsetof(struct app_model, top_k), 0, 1e9 },           \
    { S("seed"), read_int, (base) + offsetof(struct app_model, seed), 0, 9e15 },            \
    { S("max_tokens"), read_int, (base) + offsetof(struct app_model, max_tokens), 1, 1e9 }, \
    { S("rounds"), read_int, (base) + offsetof(struct app_model, rounds), 0, APPS_TURNS_MAX }, \
    { S("thinking"), read_flag, (base) + offsetof(struct app_model, thinking) },            \
    { S("search"), read_flag, (base) + offsetof(struct app_model, search) }
#define NEXT_KEY { S("next"), read_id, DRAFT(next) }

static const struct key start_keys[] = { NODE_KEYS, NEXT_KEY, { S("parameters"), read_any, DRAFT(params) } };
static const struct key model_keys[] = {
    NODE_KEYS, NEXT_KEY,
    { S("system"), read_template, NODE(system) },
    { S("prompt"), read_template, NODE(prompt) },
    MODEL_KEYS(NODE(model)),
};
static const struct key condition_keys[] = {
    NODE_KEYS, { S("cases"), read_any, DRAFT(cases) }, { S("else"), read_id, DRAFT(otherwise) },
};
static const struct key loop_keys[] = {
    NODE_KEYS, NEXT_KEY,
    { S("over"), read_template, NODE(over) },
    { S("times"), read_int, NODE(times), 0, APPS_LOOP_MAX },
    { S("nodes"), read_any, DRAFT(body) },
    { S("until"), read_any, DRAFT(until) },
    { S("output"), read_any, DRAFT(params) },
};
static const struct key plugin_keys[] = {
    NODE_KEYS, NEXT_KEY,
    { S("plugin"), read_id, NODE(plugin) }, { S("tool"), read_id, NODE(tool) }, { S("arguments"), read_any, DRAFT(arguments) },
};
static const struct key retrieval_keys[] = {
    NODE_KEYS, NEXT_KEY,
    { S("knowledge"), read_texts, DRAFT(bases), 0, APPS_BASES_MAX },
    { S("query"), read_template, NODE(text) },
    { S("top"), read_int, NODE(top), 1, APPS_TOP_MAX },
    { S("rewrite"), read_text, NODE(rewriter) },
};
static const struct key template_keys[] = { NODE_KEYS, NEXT_KEY, { S("text"), read_template, NODE(text) } };
static const struct key output_keys[] = {
    NODE_KEYS, NEXT_KEY, { S("text"), read_template, NODE(text) }, { S("stream"), read_bool, NODE(stream) },
};
static const struct key end_keys[] = {
    NODE_KEYS, { S("text"), read_template, NODE(text) }, { S("stream"), read_bool, NODE(stream) },
};

static const struct {
    const struct key *keys;
    size_t            count;
} node_tables[APP_NODE_TYPES] = {
    [APP_START] = { start_keys, ARRAY_LEN(start_keys) },
    [APP_MODEL] = { model_keys, ARRAY_LEN(model_keys) },
    [APP_CONDITION] = { condition_keys, ARRAY_LEN(condition_keys) },
    [APP_LOOP] = { loop_keys, ARRAY_LEN(loop_keys) },
    [APP_RETRIEVAL] = { retrieval_keys, ARRAY_LEN(retrieval_keys) },
    [APP_PLUGIN] = { plugin_keys, ARRAY_LEN(plugin_keys) },
    [APP_TEMPLATE] = { template_keys, ARRAY_LEN(template_keys) },
    [APP_OUTPUT] = { output_keys, ARRAY_LEN(output_keys) },
    [APP_END] = { end_keys, ARRAY_LEN(end_keys) },
};
/* clang-format on */

static bool read_list(struct reader *r, yyjson_val *root, struct app_nodes *ret);

/* ---- start ---- */

struct param_draft {
    struct app_param param;
    str              type;
};

static bool params_read_list(struct reader *r, yyjson_val *list, struct app_node *node)
{
    static const struct key keys[] = {
        { S("name"), read_id, offsetof(struct param_draft, param.name) },
        { S("type"), read_text, offsetof(struct param_draft, type) },
        { S("required"), read_bool, offsetof(struct param_draft, param.required) },
        { S("default"), read_any, offsetof(struct param_draft, param.fallback) },
    };
    size_t      i, n, t;
    yyjson_val *one;

    if (!list)
        return true;
    if (!yyjson_is_arr(list))
        return refuse(r, "parameters must be a list");
    node->params = arena_array(r->arena, struct app_param, yyjson_arr_size(list));
    yyjson_arr_foreach(list, i, n, one)
    {
        struct param_draft d = { .type = S("string") };

        if (!object_read(r, one, keys, ARRAY_LEN(keys), &d))
            return false;
        if (!d.param.name.len)
            return refuse(r, "each of the parameters needs a name");
        for (t = 0; t < ARRAY_LEN(param_types) && !str_eq(param_types[t], d.type); t++) {
        }
        if (t == ARRAY_LEN(param_types))
            return refuse(r, "the type of a parameter is string, number, boolean, list or object");
        for (size_t k = 0; k < node->param_count; k++) {
            if (str_eq(node->params[k].name, d.param.name))
                return refuse(r, "there are two parameters \"%.*s\"", STR_ARG(d.param.name));
        }
        d.param.type = (enum app_param_type)t;
        node->params[node->param_count++] = d.param;
    }
    return true;
}

/* ---- conditions ---- */

struct condition_draft {
    struct app_condition c;
    unsigned             tests; /* how many were named */
};

static bool add_test(struct reader *r, yyjson_val *v, const struct key *k, void *into)
{
    static const struct {
        str           name;
        enum app_test test;
        bool          negated;
    } tests[] = {
        { S("equals"), APP_EQUALS, false },      { S("not_equals"), APP_EQUALS, true },
        { S("contains"), APP_CONTAINS, false },  { S("not_contains"), APP_CONTAINS, true },
        { S("starts_with"), APP_STARTS, false }, { S("ends_with"), APP_ENDS, false },
        { S("less"), APP_LESS, false },          { S("at_least"), APP_LESS, true },
        { S("greater"), APP_GREATER, false },    { S("at_most"), APP_GREATER, true },
    };
    struct condition_draft *d = into;

    d->tests++;
    if (str_eq(k->name, S("empty"))) {
        bool empty = false;

        d->c.test = APP_EMPTY;
        if (!read_bool(r, v, k, &empty))
            return false;
        d->c.negated = !empty;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(tests); i++) {
        if (!str_eq(tests[i].name, k->name))
            continue;
        d->c.test = tests[i].test;
        d->c.negated = tests[i].negated;
    }
    return read_template(r, v, k, &d->c.other);
}

static bool condition_read(struct reader *r, yyjson_val *v, struct app_condition *ret)
{
    static const struct key keys[] = {
        { S("value"), read_template, offsetof(struct condition_draft, c.value) },
        { S("equals"), add_test },
        { S("not_equals"), add_test },
        { S("contains"), add_test },
        { S("not_contains"), add_test },
        { S("starts_with"), add_test },
        { S("ends_with"), add_test },
        { S("empty"), add_test },
        { S("less"), add_test },
        { S("at_least"), add_test },
        { S("greater"), add_test },
        { S("at_most"), add_test },
    };
    struct condition_draft d = { 0 };

    if (!object_read(r, v, keys, ARRAY_LEN(keys), &d))
        return false;
    if (!d.c.value.source.len || d.tests != 1)
        return refuse(r, "a condition has a value and one test: equals, contains, empty, less, …");
    *ret = d.c;
    return true;
}

struct case_draft {
    yyjson_val *when, *all, *any;
    str         next;
};

/* "when" is one condition; "all" and "any" are lists of them. */
static bool case_read(struct reader *r, yyjson_val *v, bool has_next, struct app_case *ret, str *ret_next)
{
    static const struct key keys[] = {
        { S("when"), read_any, offsetof(struct case_draft, when) },
        { S("all"), read_any, offsetof(struct case_draft, all) },
        { S("any"), read_any, offsetof(struct case_draft, any) },
        { S("next"), read_id, offsetof(struct case_draft, next) },
    };
    struct case_draft d = { 0 };
    yyjson_val       *list, *one;
    size_t            i, n;

    if (!object_read(r, v, keys, ARRAY_LEN(keys) - !has_next, &d))
        return false;
    list = d.all ? d.all : d.any;
    if ((d.when != NULL) + (d.all != NULL) + (d.any != NULL) != 1 || (list && !yyjson_arr_size(list)))
        return refuse(r, "a case has \"when\" (a condition), or \"all\" or \"any\" (a list of them)");
    if (has_next && !d.next.len)
        return refuse(r, "a case needs \"next\"");
    ret->any = d.any != NULL;
    *ret_next = d.next;
    ret->conditions = arena_array(r->arena, struct app_condition, list ? yyjson_arr_size(list) : 1);
    if (d.when) {
        ret->count = 1;
        return condition_read(r, d.when, &ret->conditions[0]);
    }
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!condition_read(r, one, &ret->conditions[ret->count++]))
            return false;
    }
    return true;
}

static bool cases_read(struct reader *r, struct draft *d)
{
    size_t      i, n;
    yyjson_val *one;

    if (!yyjson_is_arr(d->cases) || !yyjson_arr_size(d->cases))
        return refuse(r, "a condition needs \"cases\", a list");
    d->node.cases = arena_array(r->arena, struct app_case, yyjson_arr_size(d->cases));
    d->targets = arena_array(r->arena, str, yyjson_arr_size(d->cases));
    yyjson_arr_foreach(d->cases, i, n, one)
    {
        if (!case_read(r, one, true, &d->node.cases[i], &d->targets[i]))
            return false;
        d->node.case_count++;
    }
    d->next = d->otherwise;
    return true;
}

/* ---- loops ---- */

static bool loop_read(struct reader *r, struct draft *d)
{
    str          own = d->node.id, *names, none;
    struct scope around = { r->scope, &own, 1 }, inside = { &around, NULL, 0 };
    str          where = r->where;
    bool         good;

    if ((d->node.over.source.len != 0) == d->node.times.set)
        return refuse(r, "a loop goes \"over\" a list, or a number of \"times\"");
    if (++r->depth > APPS_NEST_MAX)
        return refuse(r, "loops stand in each other %d deep at most", APPS_NEST_MAX);
    r->scope = &around;
    good = read_list(r, d->body, &d->node.body);
    r->where = where;
    names = arena_array(r->arena, str, d->node.body.count);
    for (size_t i = 0; good && i < d->node.body.count; i++)
        names[i] = d->node.body.at[i].id;
    inside.names = names;
    inside.count = d->node.body.count;
    r->scope = &inside; /* what a round has given, for its end */
    if (good && d->until)
        good = case_read(r, d->until, false, &d->node.until, &none);
    if (good && d->params) {
        const struct key output = { .name = S("output") };

        good = read_template(r, d->params, &output, &d->node.text);
    }
    r->scope = around.outer;
    r->depth--;
    return good;
}

/* ---- plug-ins ---- */

static bool arguments_read(struct reader *r, struct draft *d)
{
    size_t           i, n;
    yyjson_val      *name, *value;
    const struct key key = { .name = S("an argument") };

    if (!d->node.plugin.len || !d->node.tool.len)
        return refuse(r, "a plug-in node needs \"plugin\", an id, and \"tool\"");
    if (d->arguments && !yyjson_is_obj(d->arguments))
        return refuse(r, "arguments must be names with values");
    d->node.arguments = arena_array(r->arena, struct app_argument, yyjson_obj_size(d->arguments));
    if (d->arguments)
        yyjson_obj_foreach(d->arguments, i, n, name, value)
        {
            d->node.arguments[i].name = json_str(name);
            d->node.argument_count++;
            if (!read_template(r, value, &key, &d->node.arguments[i].value))
                return false;
        }
    for (i = 0; i < r->app->plugin_count; i++) {
        if (str_eq(r->app->plugins[i], d->node.plugin))
            return true;
    }
    if (r->app->plugin_count == APPS_PLUGINS_MAX)
        return refuse(r, "an application has %d plug-ins at most", APPS_PLUGINS_MAX);
    if (!r->app->plugins)
        r->app->plugins = arena_array(r->arena, str, APPS_PLUGINS_MAX);
    r->app->plugins[r->app->plugin_count++] = d->node.plugin;
    return true;
}

/* ---- knowledge bases ---- */

static bool bases_keep(struct reader *r, struct draft *d)
{
    struct app *app = r->app;

    if (!d->bases.count || !d->node.text.source.len)
        return refuse(r, "a retrieval node needs \"knowledge\", a list of ids, and \"query\"");
    d->node.bases = d->bases.at;
    d->node.base_count = d->bases.count;
    app->bases = arena_realloc(r->arena, app->bases, app->base_count * sizeof(*app->bases),
                               (app->base_count + d->bases.count) * sizeof(*app->bases));
    for (size_t i = 0; i < d->bases.count; i++)
        app->bases[app->base_count++] = d->bases.at[i];
    return true;
}

/* ---- a list of nodes ---- */

static bool type_read(struct reader *r, yyjson_val *v, struct draft *d)
{
    str type = json_str(json_get(v, "type"));

    for (size_t t = 0; t < ARRAY_LEN(node_names); t++) {
        if (!str_eq(type, node_names[t]))
            continue;
        d->node.type = (enum app_node_type)t;
        return true;
    }
    return refuse(r, "the type of a node is start, model, condition, loop, retrieval, plugin, template, output or end");
}

/* What it goes on to; `where` as the index of a node behind `at`. */
static bool target_find(struct reader *r, const struct draft *all, size_t count, size_t at, str name, size_t *ret)
{
    *ret = at + 1;
    if (!name.len)
        return true;
    for (size_t i = 0; i < count; i++) {
        if (!str_eq(all[i].node.id, name))
            continue;
        *ret = i;
        return i > at || refuse(r, "next names \"%.*s\", which stands before it; a loop goes round", STR_ARG(name));
    }
    return refuse(r, "there is no node \"%.*s\" here to go on to", STR_ARG(name));
}

static bool node_read(struct reader *r, yyjson_val *v, size_t at, struct draft *d)
{
    if (++r->nodes > APPS_NODES_MAX)
        return refuse(r, "there are more than %d nodes", APPS_NODES_MAX);
    if (!yyjson_is_obj(v))
        return refuse(r, "each node must be keys with values");
    r->where = json_str(json_get(v, "id")).len
                   ? arena_printf(r->arena, "node %.*s", STR_ARG(str_first(json_str(json_get(v, "id")), 64)))
                   : arena_printf(r->arena, "node %zu", at + 1);
    d->node.stream = true;
    if (!type_read(r, v, d))
        return false;
    if (!object_read(r, v, node_tables[d->node.type].keys, node_tables[d->node.type].count, d))
        return false;
    if (!d->node.id.len)
        return refuse(r, "a node needs an id");
    if (str_eq(d->node.id, S("sys")) || is_known(r->scope, d->node.id))
        return refuse(r, "the id is taken");
    if (!d->node.name.len)
        d->node.name = d->node.id;
    switch (d->node.type) {
    case APP_START:
        return params_read_list(r, d->params, &d->node);
    case APP_MODEL:
        if (!d->node.model.name.len || !d->node.prompt.source.len)
            return refuse(r, "a model node needs \"model\" and \"prompt\"");
        return true;
    case APP_CONDITION:
        return cases_read(r, d);
    case APP_LOOP:
        return loop_read(r, d);
    case APP_PLUGIN:
        return arguments_read(r, d);
    case APP_TEMPLATE:
    case APP_OUTPUT:
    case APP_END:
        return d->node.text.source.len || refuse(r, "the node needs \"text\"");
    case APP_RETRIEVAL:
        return bases_keep(r, d);
    case APP_NODE_TYPES:
        break;
    }
    return false;
}

static bool read_list(struct reader *r, yyjson_val *root, struct app_nodes *ret)
{
    size_t        count = yyjson_arr_size(root), i, n;
    struct draft *all;
    str          *names;
    struct scope  here = { .outer = r->scope };
    yyjson_val   *one;

    if (!yyjson_is_arr(root) || !count || count > APPS_NODES_MAX)
        return refuse(r, "\"nodes\" must be a list of 1 to %d nodes", APPS_NODES_MAX);
    all = arena_array(r->arena, struct draft, count);
    names = arena_array(r->arena, str, count);
    here.names = names;
    r->scope = &here;
    yyjson_arr_foreach(root, i, n, one)
    {
        if (!node_read(r, one, i, &all[i]))
            return false;
        names[here.count++] = all[i].node.id;
    }
    r->scope = here.outer;
    ret->at = arena_array(r->arena, struct app_node, count);
    ret->count = count;
    for (i = 0; i < count; i++) {
        r->where = arena_printf(r->arena, "node %.*s", STR_ARG(all[i].node.id));
        if (!target_find(r, all, count, i, all[i].next, &all[i].node.next))
            return false;
        for (size_t k = 0; k < all[i].node.case_count; k++) {
            if (!target_find(r, all, count, i, all[i].targets[k], &all[i].node.cases[k].next))
                return false;
        }
        ret->at[i] = all[i].node;
    }
    return true;
}

/* A flow begins with its one start and ends with an end; loops have neither. */
static bool check_ends(struct reader *r, const struct app_nodes *list, bool top)
{
    r->where = S("nodes");
    for (size_t i = 0; i < list->count; i++) {
        enum app_node_type t = list->at[i].type;

        if (t == APP_START && (!top || i))
            return refuse(r, "a flow has one start, its first node");
        if (t == APP_END && !top)
            return refuse(r, "an end cannot stand in a loop");
        if (t == APP_LOOP && !check_ends(r, &list->at[i].body, false))
            return false;
    }
    if (top && list->at[0].type != APP_START)
        return refuse(r, "the first node must be of type start");
    return !top || list->at[list->count - 1].type == APP_END || refuse(r, "the last node must be of type end");
}

/* ---- the application ---- */

struct app_draft {
    str          type;
    yyjson_val  *nodes, *instructions;
    struct app   app;
    str          references;
    struct texts faq, variables, plugins, bases;
};

/* clang-format off */
#define APP(field)   offsetof(struct app_draft, app) + offsetof(struct app, field)
#define APP_KEYS                                                       \
    { S("name"), read_text, APP(name) },                               \
    { S("description"), read_text, APP(description) },                 \
    { S("type"), read_text, offsetof(struct app_draft, type) },        \
    { S("references"), read_text, offsetof(struct app_draft, references) }, \
    { S("faq"), read_texts, offsetof(struct app_draft, faq), 0, APPS_FAQ_MAX }

static const struct key agent_keys[] = {
    APP_KEYS,
    { S("instructions"), read_any, offsetof(struct app_draft, instructions) },
    { S("variables"), read_texts, offsetof(struct app_draft, variables), 0, APPS_PROMPT_VARIABLES_MAX },
    { S("plugins"), read_texts, offsetof(struct app_draft, plugins), 0, APPS_PLUGINS_MAX },
    { S("knowledge"), read_texts, offsetof(struct app_draft, bases), 0, APPS_BASES_MAX },
    { S("top"), read_int, APP(top), 1, APPS_TOP_MAX },
    { S("rewrite"), read_text, APP(rewriter) },
    MODEL_KEYS(APP(model)),
};
static const struct key flow_keys[] = { APP_KEYS, { S("nodes"), read_any, offsetof(struct app_draft, nodes) } };
/* clang-format on */

static bool agent_read(struct reader *r, struct app_draft *d)
{
    const struct key key = { .name = S("instructions") };
    struct scope     scope = { NULL, d->variables.at, d->variables.count };

    if (!d->app.model.name.len)
        return refuse(r, "an agent needs a \"model\"");
    d->app.variables = d->variables.at;
    d->app.variable_count = d->variables.count;
    d->app.plugins = d->plugins.at;
    d->app.plugin_count = d->plugins.count;
    d->app.bases = d->bases.at;
    d->app.base_count = d->bases.count;
    r->scope = &scope;
    return !d->instructions || read_template(r, d->instructions, &key, &d->app.instructions);
}

static bool app_read_root(struct reader *r, yyjson_val *root, struct app_draft *d)
{
    str type = json_str(json_get(root, "type"));

    d->app.kind = str_eq(type, S("flow")) ? APP_FLOW : APP_AGENT;
    if (!yyjson_is_obj(root) || (d->app.kind == APP_AGENT && !str_eq(type, S("agent"))))
        return refuse(r, "\"type\" must be agent or flow");
    if (!(d->app.kind == APP_FLOW ? object_read(r, root, flow_keys, ARRAY_LEN(flow_keys), d)
                                  : object_read(r, root, agent_keys, ARRAY_LEN(agent_keys), d)))
        return false;
    if (!d->app.name.len || d->app.name.len > 200)
        return refuse(r, "it needs a \"name\" of at most 200 bytes");
    if (d->references.len && !str_eq(d->references, S("simple")) && !str_eq(d->references, S("indexed")))
        return refuse(r, "\"references\" must be simple or indexed");
    d->app.references = str_eq(d->references, S("indexed"))  ? APP_REFERENCES_INDEXED
                        : str_eq(d->references, S("simple")) ? APP_REFERENCES_SIMPLE
                                                             : APP_REFERENCES_NONE;
    d->app.faq = d->faq.at;
    d->app.faq_count = d->faq.count;
    if (d->app.kind == APP_AGENT)
        return agent_read(r, d);
    return read_list(r, d->nodes, &d->app.nodes) && check_ends(r, &d->app.nodes, true);
}

enum err app_read(struct arena *a, yyjson_val *root, struct app *ret, str *ret_problem)
{
    struct app_draft d = { 0 };
    struct reader    r = { .arena = a, .where = S("the application"), .problem = ret_problem, .app = &d.app };

    if (!app_read_root(&r, root, &d))
        return ERR_INVALID;
    *ret = d.app;
    return OK;
}
