/* app.h - the definition of an application: an agent, or a flow of nodes. It is written in YAML or JSON (doc/apps.md).
 *
 * A node goes on to the next one of its list, or to one that it names, which stands behind it: so a flow always ends. Texts name the
 * values of nodes before them: "${ask.result}"; app_read() knows all names, and refuses others.
 */
#ifndef DASHBOX_CONTRACT_APP_H
#define DASHBOX_CONTRACT_APP_H

#include "base/err.h"
#include "contract/json.h"
#include "contract/optional.h"

/* ---- texts with values in them ---- */

/* Either text, or the value at a path ("a.b.0") of what a node gave. */
struct app_part {
    str literal;
    str node, path; /* node empty: a literal */
};

struct app_text {
    str              source;
    struct app_part *parts;
    size_t           count;
};

/* ---- nodes ---- */

/* Our name, and the node_type of the wire (platform.md §4.5). */
#define APP_NODES(X)                           \
    X(APP_START, "start", "Start")             \
    X(APP_MODEL, "model", "LLM")               \
    X(APP_CONDITION, "condition", "Judge")     \
    X(APP_LOOP, "loop", "Iterator")            \
    X(APP_RETRIEVAL, "retrieval", "Retrieval") \
    X(APP_PLUGIN, "plugin", "Plugin")          \
    X(APP_TEMPLATE, "template", "Text")        \
    X(APP_OUTPUT, "output", "Output")          \
    X(APP_END, "end", "End")

#define APP_NODE_ENUM(name, text, wire) name,
enum app_node_type { APP_NODES(APP_NODE_ENUM) APP_NODE_TYPES };
#undef APP_NODE_ENUM

str app_node_wire_name(enum app_node_type t);

enum app_param_type { APP_PARAM_STRING, APP_PARAM_NUMBER, APP_PARAM_BOOLEAN, APP_PARAM_LIST, APP_PARAM_OBJECT };

struct app_param {
    str                 name;
    enum app_param_type type;
    bool                required;
    yyjson_val         *fallback; /* its default, or NULL */
};

struct app_model {
    str      name;
    opt_num  temperature, top_p;
    opt_int  top_k, seed, max_tokens, rounds; /* rounds: turns of the session that it sees */
    opt_bool thinking, search;
};

enum app_test { APP_EQUALS, APP_CONTAINS, APP_STARTS, APP_ENDS, APP_EMPTY, APP_LESS, APP_GREATER };

struct app_condition {
    struct app_text value, other;
    enum app_test   test;
    bool            negated;
};

/* Holds when all of its conditions do, or `any` of them. */
struct app_case {
    struct app_condition *conditions;
    size_t                count;
    bool                  any;
    size_t                next;
};

struct app_argument {
    str             name;
    struct app_text value;
};

struct app_nodes {
    struct app_node *at;
    size_t           count;
};

struct app_node {
    str                id, name;
    enum app_node_type type;
    size_t             next; /* place in its list; the list's length: its end */

    struct app_param *params; /* start */
    size_t            param_count;

    struct app_model model; /* model */
    struct app_text  system, prompt;

    struct app_case *cases; /* condition; none holds: `next` */
    size_t           case_count;

    struct app_text  over; /* loop: a list, or `times` */
    opt_int          times;
    struct app_nodes body;
    struct app_case  until; /* no conditions: none */

    struct app_text text;   /* template, output, end; loop: what a round gives; retrieval: what is asked */
    bool            stream; /* output, end: piece by piece */

    str    *bases; /* retrieval: ids of knowledge bases */
    size_t  base_count;
    opt_int top;      /* so many pieces of text at most */
    str     rewriter; /* the model that rewrites what is asked; empty: as the base says */

    str                  plugin, tool; /* plugin */
    struct app_argument *arguments;
    size_t               argument_count;
};

/* ---- the application ---- */

enum app_kind { APP_AGENT, APP_FLOW };

struct app {
    enum app_kind    kind;
    str              name, description;
    str             *faq; /* what is said with one of these in it is refused (E174) */
    size_t           faq_count;
    struct app_model model; /* agent */
    struct app_text  instructions;
    str             *variables; /* of the instructions: ${name} */
    size_t           variable_count;
    str             *plugins; /* ids: of an agent, or named by the nodes of a flow */
    size_t           plugin_count;
    str             *bases; /* ids of knowledge bases: of an agent, or named by the nodes of a flow */
    size_t           base_count;
    opt_int          top;        /* agent: as of a retrieval node */
    str              rewriter;   /* agent: likewise */
    int              references; /* enum app_references, when a call does not say */
    struct app_nodes nodes;      /* flow */
};

str app_kind_name(enum app_kind k);

/* Reads a definition (contract/yaml.h has read its text). ERR_INVALID: *ret_problem says for people what is wrong, and where. What it
 * gives is in the arena and points into `root`. */
enum err app_read(struct arena *a, yyjson_val *root, struct app *ret, str *ret_problem);

/* ---- contract/app_text.c ---- */

/* Cuts the source into its parts; "$${" is "${". False: *ret_problem says why. */
bool app_text_read(struct arena *a, str source, struct app_text *ret, str *ret_problem);

/* Where values come from: what the node gave, or NULL. */
struct app_values {
    yyjson_val *(*find)(void *arg, str node);
    void *arg;
};

/* The value of a part that is no literal; NULL: there is none. */
yyjson_val *app_part_value(const struct app_values *v, const struct app_part *p);

/* Adds the part: a text as it is, any other value as JSON. ERR_NOT_FOUND: it has no value. */
enum err app_part_add(struct buf *b, const struct app_values *v, const struct app_part *p);

/* All of it, in at most `max` bytes (ERR_LIMIT). ERR_NOT_FOUND: *ret_missing is the source of what has no value. */
enum err app_text_fill(struct arena *a, const struct app_text *t, const struct app_values *v, size_t max, str *ret,
                       str *ret_missing);

/* The value when the text is one reference and nothing else; otherwise NULL. */
yyjson_val *app_text_value(const struct app_text *t, const struct app_values *v);

/* Whether the case holds. Numbers are compared as numbers when both sides are. */
enum err app_case_holds(struct arena *a, const struct app_case *c, const struct app_values *v, bool *ret,
                        str *ret_missing);

#endif
