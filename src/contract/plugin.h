/* plugin.h - a plug-in: an HTTP service by its OpenAPI 3 description, of which each operation is a tool.
 *
 *      servers[0].url          where it is
 *      paths.*.*               operations, each with an operationId: the tool's name; parameters in path, query and header; a JSON body
 *      security, components.securitySchemes    how it is told who asks: an apiKey in a header or the query, http bearer or basic. With
 *                              "x-user-token: true" the secret comes with each call (biz_params.user_defined_tokens)
 *
 * "$ref" into the document is followed. Spec: platform.md §4.11; the OpenAPI Specification 3.
 */
#ifndef DASHBOX_CONTRACT_PLUGIN_H
#define DASHBOX_CONTRACT_PLUGIN_H

#include "base/err.h"
#include "contract/json.h"
#include "net/http1.h"

enum plugin_place { PLUGIN_PATH, PLUGIN_QUERY, PLUGIN_HEADER };
enum plugin_auth { PLUGIN_AUTH_NONE, PLUGIN_AUTH_HEADER, PLUGIN_AUTH_QUERY, PLUGIN_AUTH_BEARER, PLUGIN_AUTH_BASIC };

struct plugin_param {
    str               name;
    enum plugin_place place;
    bool              required;
};

struct plugin_tool {
    str                  id, description, method, path;
    struct plugin_param *params;
    size_t               param_count;
    bool                 has_body;
    bool                 body_open; /* the body's members are not listed: all that is no parameter belongs to it */
    yyjson_val          *body;      /* the properties of the body's schema, or NULL */
    str                  schema;    /* of its arguments, as JSON */
};

struct plugin {
    str                 name, description, server; /* server: without a final "/" */
    enum plugin_auth    auth;
    str                 auth_name; /* of the header or of the query's parameter */
    bool                user_token;
    struct plugin_tool *tools;
    size_t              tool_count;
};

#define PLUGIN_TOOLS_MAX 50

/* ERR_INVALID: *ret_problem says for people what is wrong. What it gives is in the arena and points into `root`. */
enum err plugin_read(struct arena *a, yyjson_val *root, struct plugin *ret, str *ret_problem);

const struct plugin_tool *plugin_tool_find(const struct plugin *p, str id);

/* A call, as it goes out. */
#define PLUGIN_FIELDS_MAX 40
struct plugin_request {
    str               method, url, body;
    bool              has_body;
    struct http_field fields[PLUGIN_FIELDS_MAX];
    size_t            field_count;
};

/* `arguments` is an object. ERR_INVALID: *ret_problem says what is missing or does not fit. */
enum err plugin_request(struct arena *a, const struct plugin *p, const struct plugin_tool *t, yyjson_val *arguments,
                        str secret, struct plugin_request *ret, str *ret_problem);

#endif
