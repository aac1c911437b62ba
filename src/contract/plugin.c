/* plugin.c - reads the OpenAPI description of a plug-in, and makes calls of its operations. */
#include "contract/plugin.h"

#include "contract/base64.h"

#include <stdarg.h>
#include <stdio.h>

#define REFS_MAX  16 /* "$ref" after "$ref" */
#define DEPTH_MAX 24
#define TEXT_MAX  ((size_t)1 << 20) /* bytes of a schema, with what its references bring in */
#define ID_MAX    64

struct reader {
    struct arena *arena;
    yyjson_val   *root;
    str          *problem;
};

static bool refuse(struct reader *r, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool refuse(struct reader *r, const char *fmt, ...)
{
    char    text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *r->problem = arena_str(r->arena, str_from_cstr(text));
    return false;
}

/* ---- references ---- */

/* "#/components/schemas/City" (RFC 6901). */
static yyjson_val *pointed(struct reader *r, str ref)
{
    yyjson_val *at = r->root;

    if (!str_starts(ref, S("#/")))
        return NULL;
    ref = str_from(ref, 2);
    while (ref.len && at) {
        str    token = str_cut(&ref, '/');
        char  *name = arena_bytes(r->arena, token.len + 1);
        size_t n = 0;

        for (size_t i = 0; i < token.len; i++) {
            bool escaped = token.ptr[i] == '~' && i + 1 < token.len;

            name[n++] = escaped ? (token.ptr[++i] == '1' ? '/' : '~') : token.ptr[i];
        }
        at = yyjson_obj_getn(at, name, n);
    }
    return at;
}

/* What is meant; NULL after a refusal. */
static yyjson_val *resolve(struct reader *r, yyjson_val *v)
{
    for (int i = 0; v && i < REFS_MAX; i++) {
        str ref = json_str(json_get(v, "$ref"));

        if (!ref.len)
            return v;
        v = pointed(r, ref);
        if (!v) {
            (void)refuse(r, "\"$ref\": \"%.*s\" leads nowhere in the document", STR_ARG(str_first(ref, 200)));
            return NULL;
        }
    }
    if (v)
        (void)refuse(r, "\"$ref\" leads round and round");
    return NULL;
}

/* The value with what its references name in their place. */
static bool add_whole(struct reader *r, struct buf *b, yyjson_val *v, unsigned depth)
{
    size_t      i, n;
    yyjson_val *name, *one;

    if (depth > DEPTH_MAX || b->full)
        return refuse(r, "a schema is nested too deep, or names itself");
    v = yyjson_is_obj(v) ? resolve(r, v) : v;
    if (!v)
        return false;
    if (yyjson_is_obj(v)) {
        buf_add_char(b, '{');
        yyjson_obj_foreach(v, i, n, name, one)
        {
            if (i)
                buf_add_char(b, ',');
            json_add_str(b, json_str(name));
            buf_add_char(b, ':');
            if (!add_whole(r, b, one, depth + 1))
                return false;
        }
        buf_add_char(b, '}');
        return true;
    }
    if (yyjson_is_arr(v)) {
        buf_add_char(b, '[');
        yyjson_arr_foreach(v, i, n, one)
        {
            if (i)
                buf_add_char(b, ',');
            if (!add_whole(r, b, one, depth + 1))
                return false;
        }
        buf_add_char(b, ']');
        return true;
    }
    buf_add(b, json_text(r->arena, v));
    return true;
}

/* ---- operations ---- */

struct schema {
    struct buf properties, required;
};

static bool has_property(const struct plugin_tool *t, str name)
{
    for (size_t i = 0; i < t->param_count; i++) {
        if (str_eq(t->params[i].name, name))
            return true;
    }
    return yyjson_obj_getn(t->body, name.ptr, name.len) != NULL;
}

static bool add_property(struct reader *r, struct schema *s, str name, yyjson_val *schema, str description,
                         bool required)
{
    size_t      i, n;
    yyjson_val *key, *one;

    if (schema) {
        schema = resolve(r, schema);
        if (!schema)
            return false;
    }
    if (s->properties.len)
        buf_add_char(&s->properties, ',');
    json_add_str(&s->properties, name);
    buf_add(&s->properties, S(":{"));
    if (description.len) {
        buf_add(&s->properties, S("\"description\":"));
        json_add_str(&s->properties, description);
    }
    if (schema)
        yyjson_obj_foreach(schema, i, n, key, one)
        {
            if (description.len && str_eq(json_str(key), S("description")))
                continue;
            if (i || description.len)
                buf_add_char(&s->properties, ',');
            json_add_str(&s->properties, json_str(key));
            buf_add_char(&s->properties, ':');
            if (!add_whole(r, &s->properties, one, 0))
                return false;
        }
    buf_add_char(&s->properties, '}');
    if (required) {
        if (s->required.len)
            buf_add_char(&s->required, ',');
        json_add_str(&s->required, name);
    }
    return true;
}

static bool param_read(struct reader *r, struct plugin_tool *t, struct schema *s, yyjson_val *v)
{
    static const struct {
        str               name;
        enum plugin_place place;
    } places[] = { { S("path"), PLUGIN_PATH }, { S("query"), PLUGIN_QUERY }, { S("header"), PLUGIN_HEADER } };
    struct plugin_param p = { 0 };
    size_t              i = 0;

    v = resolve(r, v);
    if (!v)
        return false;
    p.name = json_str(json_get(v, "name"));
    while (i < ARRAY_LEN(places) && !str_eq(places[i].name, json_str(json_get(v, "in"))))
        i++;
    if (!p.name.len || i == ARRAY_LEN(places))
        return refuse(r, "%.*s: a parameter has a name, and is in path, query or header", STR_ARG(t->id));
    if (has_property(t, p.name))
        return refuse(r, "%.*s: there are two parameters \"%.*s\"", STR_ARG(t->id), STR_ARG(p.name));
    p.place = places[i].place;
    p.required = p.place == PLUGIN_PATH || yyjson_is_true(json_get(v, "required"));
    t->params[t->param_count++] = p;
    return add_property(r, s, p.name, json_get(v, "schema"), json_str(json_get(v, "description")), p.required);
}

static bool is_listed(yyjson_val *list, str name)
{
    size_t      i, n;
    yyjson_val *one;

    yyjson_arr_foreach(list, i, n, one)
    {
        if (str_eq(json_str(one), name))
            return true;
    }
    return false;
}

static bool body_read(struct reader *r, struct plugin_tool *t, struct schema *s, yyjson_val *v)
{
    yyjson_val *schema, *content, *properties, *name, *one;
    size_t      i, n;

    v = resolve(r, v);
    if (!v)
        return false;
    content = json_get(json_get(v, "content"), "application/json");
    if (!content)
        return refuse(r, "%.*s: a body is application/json", STR_ARG(t->id));
    schema = json_get(content, "schema");
    if (schema) {
        schema = resolve(r, schema);
        if (!schema)
            return false;
    }
    if (!schema || (json_get(schema, "type") && !str_eq(json_str(json_get(schema, "type")), S("object"))))
        return refuse(r, "%.*s: the schema of a body is an object", STR_ARG(t->id));
    t->has_body = true;
    properties = json_get(schema, "properties");
    t->body_open = !yyjson_obj_size(properties);
    if (t->body_open)
        return true;
    yyjson_obj_foreach(properties, i, n, name, one)
    {
        if (has_property(t, json_str(name)))
            return refuse(r, "%.*s: \"%.*s\" is both a parameter and in the body", STR_ARG(t->id),
                          STR_ARG(json_str(name)));
        if (!add_property(r, s, json_str(name), one, (str){ 0 },
                          is_listed(json_get(schema, "required"), json_str(name))))
            return false;
    }
    t->body = properties;
    return true;
}

static bool id_is_good(str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.ptr[i];

        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return id.len > 0 && id.len <= ID_MAX;
}

static bool params_read_all(struct reader *r, struct plugin_tool *t, struct schema *s, yyjson_val *list)
{
    size_t      i, n;
    yyjson_val *one;

    yyjson_arr_foreach(list, i, n, one)
    {
        if (!param_read(r, t, s, one))
            return false;
    }
    return true;
}

/* Every {name} of the path is one of its parameters. */
static bool path_check(struct reader *r, const struct plugin_tool *t)
{
    str rest = t->path;

    while (str_find(rest, '{') != STR_NONE) {
        str  name;
        bool found = false;

        (void)str_cut(&rest, '{');
        name = str_cut(&rest, '}');
        for (size_t i = 0; i < t->param_count; i++)
            found = found || (t->params[i].place == PLUGIN_PATH && str_eq(t->params[i].name, name));
        if (!found)
            return refuse(r, "%.*s: the path's \"{%.*s}\" is no parameter", STR_ARG(t->id),
                          STR_ARG(str_first(name, 64)));
    }
    return true;
}

static bool operation_read(struct reader *r, struct plugin *p, str path, yyjson_val *shared, str method, yyjson_val *v)
{
    struct plugin_tool *t = &p->tools[p->tool_count];
    yyjson_val         *own = json_get(v, "parameters");
    struct schema       s;
    str                 summary = json_str(json_get(v, "summary")), more = json_str(json_get(v, "description"));
    char               *upper = arena_bytes(r->arena, method.len);

    if (p->tool_count == PLUGIN_TOOLS_MAX)
        return refuse(r, "a plug-in has %d operations at most", PLUGIN_TOOLS_MAX);
    for (size_t i = 0; i < method.len; i++)
        upper[i] = (char)(method.ptr[i] - 'a' + 'A');
    *t = (struct plugin_tool){ .id = json_str(json_get(v, "operationId")),
                               .method = str_of(upper, method.len),
                               .path = path,
                               .description = more.len ? more : summary };
    if (!id_is_good(t->id))
        return refuse(r, "%.*s %.*s needs an operationId of 1 to %d letters, digits, \"_\" or \"-\"",
                      STR_ARG(t->method), STR_ARG(str_first(path, 200)), ID_MAX);
    if (plugin_tool_find(p, t->id))
        return refuse(r, "there are two operations \"%.*s\"", STR_ARG(t->id));
    t->params = arena_array(r->arena, struct plugin_param, yyjson_arr_size(shared) + yyjson_arr_size(own));
    buf_init(&s.properties, r->arena, TEXT_MAX);
    buf_init(&s.required, r->arena, TEXT_MAX);
    if (!params_read_all(r, t, &s, shared) || !params_read_all(r, t, &s, own) || !path_check(r, t))
        return false;
    if (json_get(v, "requestBody") && !body_read(r, t, &s, json_get(v, "requestBody")))
        return false;
    if (t->param_count > PLUGIN_FIELDS_MAX / 2 || s.properties.full)
        return refuse(r, "%.*s: it has too many parameters", STR_ARG(t->id));
    t->schema = arena_printf(r->arena, "{\"type\":\"object\",\"properties\":{%.*s},\"required\":[%.*s]}",
                             STR_ARG(buf_str(&s.properties)), STR_ARG(buf_str(&s.required)));
    p->tool_count++;
    return true;
}

static bool paths_read(struct reader *r, struct plugin *p)
{
    static const str methods[] = { S("get"), S("post"), S("put"), S("patch"), S("delete") };
    yyjson_val      *paths = json_get(r->root, "paths"), *path, *item;
    size_t           i, n;

    p->tools = arena_array(r->arena, struct plugin_tool, PLUGIN_TOOLS_MAX);
    if (!yyjson_obj_size(paths))
        return refuse(r, "\"paths\" has no operation");
    yyjson_obj_foreach(paths, i, n, path, item)
    {
        if (!str_starts(json_str(path), S("/")))
            return refuse(r, "the path \"%.*s\" does not begin with \"/\"", STR_ARG(str_first(json_str(path), 200)));
        for (size_t k = 0; k < ARRAY_LEN(methods); k++) {
            yyjson_val *v = yyjson_obj_getn(item, methods[k].ptr, methods[k].len);

            if (v && !operation_read(r, p, json_str(path), json_get(item, "parameters"), methods[k], v))
                return false;
        }
    }
    return p->tool_count || refuse(r, "\"paths\" has no operation");
}

/* ---- who asks ---- */

static bool auth_read(struct reader *r, struct plugin *p)
{
    yyjson_val     *security = yyjson_arr_get_first(json_get(r->root, "security")), *name, *scheme;
    yyjson_obj_iter iter;
    str             type, kind, in;

    if (!yyjson_obj_size(security))
        return true;
    iter = yyjson_obj_iter_with(security);
    name = yyjson_obj_iter_next(&iter);
    scheme = json_get(json_get(r->root, "components"), "securitySchemes");
    scheme = yyjson_obj_getn(scheme, json_str(name).ptr, json_str(name).len);
    scheme = scheme ? resolve(r, scheme) : NULL;
    type = json_str(json_get(scheme, "type"));
    kind = json_str(json_get(scheme, "scheme"));
    in = json_str(json_get(scheme, "in"));
    p->auth_name = json_str(json_get(scheme, "name"));
    p->user_token = yyjson_is_true(json_get(scheme, "x-user-token"));
    if (str_eq(type, S("apiKey")) && p->auth_name.len && (str_eq(in, S("header")) || str_eq(in, S("query"))))
        p->auth = str_eq(in, S("header")) ? PLUGIN_AUTH_HEADER : PLUGIN_AUTH_QUERY;
    else if (str_eq(type, S("http")) && str_eq_nocase(kind, S("bearer")))
        p->auth = PLUGIN_AUTH_BEARER;
    else if (str_eq(type, S("http")) && str_eq_nocase(kind, S("basic")))
        p->auth = PLUGIN_AUTH_BASIC;
    else
        return refuse(r, "the security scheme \"%.*s\" is none of apiKey (in header or query), http bearer, http basic",
                      STR_ARG(str_first(json_str(name), 64)));
    return true;
}

/* ---- all of it ---- */

static bool read_root(struct reader *r, struct plugin *p)
{
    yyjson_val *info = json_get(r->root, "info");

    if (!str_starts(json_str(json_get(r->root, "openapi")), S("3.")))
        return refuse(r, "it is no OpenAPI 3 description: \"openapi\" must be \"3.…\"");
    p->name = json_str(json_get(info, "title"));
    p->description = json_str(json_get(info, "description"));
    if (!p->name.len || p->name.len > 200)
        return refuse(r, "info needs a \"title\" of at most 200 bytes");
    p->server = json_str(json_get(yyjson_arr_get_first(json_get(r->root, "servers")), "url"));
    while (str_ends(p->server, S("/")))
        p->server.len--;
    if (!(str_starts_nocase(p->server, S("http://")) || str_starts_nocase(p->server, S("https://"))) ||
        str_find(p->server, '{') != STR_NONE || str_find(p->server, '?') != STR_NONE)
        return refuse(r, "servers needs a \"url\" that begins with http:// or https://, without variables");
    return auth_read(r, p) && paths_read(r, p);
}

enum err plugin_read(struct arena *a, yyjson_val *root, struct plugin *ret, str *ret_problem)
{
    struct reader r = { .arena = a, .root = root, .problem = ret_problem };

    *ret = (struct plugin){ 0 };
    *ret_problem = S("");
    return read_root(&r, ret) ? OK : ERR_INVALID;
}

const struct plugin_tool *plugin_tool_find(const struct plugin *p, str id)
{
    for (size_t i = 0; i < p->tool_count; i++) {
        if (str_eq(p->tools[i].id, id))
            return &p->tools[i];
    }
    return NULL;
}

/* ---- calls ---- */

/* REF: RFC 3986 §2.3: all but unreserved characters. */
static void add_escaped(struct buf *b, str text)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
            c == '_' || c == '~') {
            buf_add_char(b, (char)c);
            continue;
        }
        buf_add_char(b, '%');
        buf_add_char(b, digits[c >> 4]);
        buf_add_char(b, digits[c & 15]);
    }
}

static str value_text(struct arena *a, yyjson_val *v)
{
    return yyjson_is_str(v) ? json_str(v) : json_text(a, v);
}

static bool fail(struct arena *a, str *ret_problem, const char *what, str name)
{
    *ret_problem = arena_printf(a, "%s \"%.*s\"", what, STR_ARG(str_first(name, 100)));
    return false;
}

static void add_query(struct buf *b, bool *first, str name, str value)
{
    buf_add_char(b, *first ? '?' : '&');
    *first = false;
    add_escaped(b, name);
    buf_add_char(b, '=');
    add_escaped(b, value);
}

/* "/cities/{city}" with its values: none of them can be another path. */
static bool add_path(struct arena *a, struct buf *b, const struct plugin_tool *t, yyjson_val *arguments,
                     str *ret_problem)
{
    str rest = t->path;

    while (rest.len) {
        size_t      at = str_find(rest, '{');
        str         name, value;
        yyjson_val *v;

        buf_add(b, str_first(rest, at));
        if (at == STR_NONE)
            break;
        (void)str_cut(&rest, '{');
        name = str_cut(&rest, '}');
        v = yyjson_obj_getn(arguments, name.ptr, name.len);
        if (!v || yyjson_is_null(v))
            return fail(a, ret_problem, "the call has no", name);
        value = value_text(a, v);
        if (!value.len || str_eq(value, S(".")) || str_eq(value, S("..")))
            return fail(a, ret_problem, "this cannot stand in a path:", name);
        add_escaped(b, value);
    }
    return true;
}

static bool add_params(struct arena *a, struct buf *url, bool *first, const struct plugin_tool *t,
                       yyjson_val *arguments, struct plugin_request *ret, str *ret_problem)
{
    for (size_t i = 0; i < t->param_count; i++) {
        const struct plugin_param *p = &t->params[i];
        yyjson_val                *v = yyjson_obj_getn(arguments, p->name.ptr, p->name.len), *one;
        size_t                     k, n;

        if (!v || yyjson_is_null(v)) {
            if (p->required)
                return fail(a, ret_problem, "the call has no", p->name);
            continue;
        }
        switch (p->place) {
        case PLUGIN_PATH:
            break;
        case PLUGIN_HEADER:
            if (str_has_break(value_text(a, v)))
                return fail(a, ret_problem, "this cannot stand in a header:", p->name);
            ret->fields[ret->field_count++] = (struct http_field){ p->name, value_text(a, v) };
            break;
        case PLUGIN_QUERY:
            if (!yyjson_is_arr(v))
                add_query(url, first, p->name, value_text(a, v));
            yyjson_arr_foreach(v, k, n, one)
            {
                add_query(url, first, p->name, value_text(a, one));
            }
            break;
        }
    }
    return true;
}

static void add_body(struct arena *a, const struct plugin_tool *t, yyjson_val *arguments, struct plugin_request *ret)
{
    struct buf  b;
    size_t      i, n;
    yyjson_val *name, *v;
    bool        first = true;

    if (!t->has_body)
        return;
    buf_init(&b, a, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    yyjson_obj_foreach(arguments, i, n, name, v)
    {
        str  key = json_str(name);
        bool ours = yyjson_obj_getn(t->body, key.ptr, key.len) != NULL || (t->body_open && !has_property(t, key));

        if (!ours)
            continue;
        if (!first)
            buf_add_char(&b, ',');
        first = false;
        json_add_str(&b, key);
        buf_add_char(&b, ':');
        buf_add(&b, json_text(a, v));
    }
    buf_add_char(&b, '}');
    ret->has_body = true;
    ret->body = buf_str(&b);
    ret->fields[ret->field_count++] = (struct http_field){ S("content-type"), S("application/json") };
}

static bool add_auth(struct arena *a, struct buf *url, bool *first, const struct plugin *p, str secret,
                     struct plugin_request *ret, str *ret_problem)
{
    struct http_field *f = &ret->fields[ret->field_count];
    struct buf         b;

    if (p->auth == PLUGIN_AUTH_NONE)
        return true;
    if (!secret.len || str_has_break(secret)) {
        *ret_problem = p->user_token ? S("the call has no user_token for it") : S("it has no secret");
        return false;
    }
    buf_init(&b, a, SIZE_MAX / 2);
    switch (p->auth) {
    case PLUGIN_AUTH_NONE:
        break;
    case PLUGIN_AUTH_QUERY:
        add_query(url, first, p->auth_name, secret);
        return true;
    case PLUGIN_AUTH_HEADER:
        *f = (struct http_field){ p->auth_name, secret };
        break;
    case PLUGIN_AUTH_BEARER:
        *f = (struct http_field){ S("authorization"), arena_printf(a, "Bearer %.*s", STR_ARG(secret)) };
        break;
    case PLUGIN_AUTH_BASIC:
        buf_add(&b, S("Basic "));
        base64_add(&b, secret);
        *f = (struct http_field){ S("authorization"), buf_str(&b) };
        break;
    }
    ret->field_count++;
    return true;
}

enum err plugin_request(struct arena *a, const struct plugin *p, const struct plugin_tool *t, yyjson_val *arguments,
                        str secret, struct plugin_request *ret, str *ret_problem)
{
    struct buf url;
    bool       first = true;

    *ret = (struct plugin_request){ .method = t->method };
    ret->fields[ret->field_count++] = (struct http_field){ S("accept"), S("application/json, */*;q=0.5") };
    ret->fields[ret->field_count++] = (struct http_field){ S("accept-encoding"), S("identity") };
    ret->fields[ret->field_count++] = (struct http_field){ S("user-agent"), S("dashbox") };
    buf_init(&url, a, SIZE_MAX / 2);
    buf_add(&url, p->server);
    if (!add_path(a, &url, t, arguments, ret_problem) || !add_params(a, &url, &first, t, arguments, ret, ret_problem))
        return ERR_INVALID;
    add_body(a, t, arguments, ret);
    if (!add_auth(a, &url, &first, p, secret, ret, ret_problem))
        return ERR_INVALID;
    ret->url = buf_str(&url);
    return OK;
}
