/* yaml.c - writes a YAML document as JSON text, which yyjson then reads. */
#include "contract/yaml.h"

#include "base/utf8.h"

#include <yaml.h>

#define TEXT_MAX ((size_t)4 << 20) /* bytes of all that aliases repeat */

struct reader {
    struct arena   *arena;
    yaml_document_t doc;
    struct buf      out;
    size_t          values;
    str            *problem;
};

static bool refuse(struct reader *r, const yaml_node_t *at, const char *why)
{
    *r->problem = arena_printf(r->arena, "line %zu: %s", at ? at->start_mark.line + 1 : 1, why);
    return false;
}

/* REF: RFC 8259 §6: what stands in JSON as it is. */
static bool is_number(str text)
{
    yyjson_read_err why;
    yyjson_val      v;
    char            word[64];
    const char     *end;

    if (!text.len || text.len >= sizeof(word) || !(text.ptr[0] == '-' || (text.ptr[0] >= '0' && text.ptr[0] <= '9')))
        return false;
    memcpy(word, text.ptr, text.len);
    word[text.len] = 0;
    end = yyjson_read_number(word, &v, 0, NULL, &why);
    return end == word + text.len;
}

static void add_scalar(struct reader *r, const yaml_node_t *v)
{
    static const struct {
        str yaml, json;
    } words[] = { { S("true"), S("true") },
                  { S("false"), S("false") },
                  { S("null"), S("null") },
                  { S("~"), S("null") },
                  { { "", 0 }, S("null") } };
    str text = str_of((const char *)v->data.scalar.value, v->data.scalar.length);

    for (size_t i = 0; v->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && i < ARRAY_LEN(words); i++) {
        if (str_eq(text, words[i].yaml)) {
            buf_add(&r->out, words[i].json);
            return;
        }
    }
    if (v->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && is_number(text))
        buf_add(&r->out, text);
    else
        json_add_str(&r->out, text);
}

static bool add_value(struct reader *r, yaml_node_item_t index, unsigned depth);

static bool add_mapping(struct reader *r, const yaml_node_t *v, unsigned depth)
{
    buf_add_char(&r->out, '{');
    for (yaml_node_pair_t *p = v->data.mapping.pairs.start; p < v->data.mapping.pairs.top; p++) {
        const yaml_node_t *key = yaml_document_get_node(&r->doc, p->key);

        if (!key || key->type != YAML_SCALAR_NODE)
            return refuse(r, v, "a key must be a word");
        for (yaml_node_pair_t *q = v->data.mapping.pairs.start; q < p; q++) {
            const yaml_node_t *other = yaml_document_get_node(&r->doc, q->key);

            if (str_eq(str_of((const char *)key->data.scalar.value, key->data.scalar.length),
                       str_of((const char *)other->data.scalar.value, other->data.scalar.length)))
                return refuse(r, key, "a key is given twice");
        }
        if (p != v->data.mapping.pairs.start)
            buf_add_char(&r->out, ',');
        json_add_str(&r->out, str_of((const char *)key->data.scalar.value, key->data.scalar.length));
        buf_add_char(&r->out, ':');
        if (!add_value(r, p->value, depth + 1))
            return false;
    }
    buf_add_char(&r->out, '}');
    return true;
}

static bool add_value(struct reader *r, yaml_node_item_t index, unsigned depth)
{
    const yaml_node_t *v = yaml_document_get_node(&r->doc, index);

    if (!v || depth > YAML_DEPTH_MAX || ++r->values > YAML_VALUES_MAX || r->out.full)
        return refuse(r, v, "it is too large, or nested too deep");
    switch (v->type) {
    case YAML_SCALAR_NODE:
        add_scalar(r, v);
        return true;
    case YAML_SEQUENCE_NODE:
        buf_add_char(&r->out, '[');
        for (yaml_node_item_t *i = v->data.sequence.items.start; i < v->data.sequence.items.top; i++) {
            if (i != v->data.sequence.items.start)
                buf_add_char(&r->out, ',');
            if (!add_value(r, *i, depth + 1))
                return false;
        }
        buf_add_char(&r->out, ']');
        return true;
    case YAML_MAPPING_NODE:
        return add_mapping(r, v, depth);
    case YAML_NO_NODE:
        break;
    }
    return refuse(r, v, "there is nothing");
}

static bool read_document(struct reader *r)
{
    yaml_node_t *root = yaml_document_get_root_node(&r->doc);

    if (!root)
        return refuse(r, NULL, "there is nothing in it");
    return add_value(r, 1, 0); /* the root is the first node */
}

enum err yaml_read(struct arena *a, str text, yyjson_val **ret, str *ret_problem)
{
    struct reader r = { .arena = a, .problem = ret_problem };
    yaml_parser_t parser;
    bool          good;

    /* Escapes of JSON that YAML reads otherwise (halves of characters) are JSON's. */
    *ret = json_parse_copy(a, text);
    if (*ret)
        return OK;
    if (!text.len) {
        *ret_problem = S("there is nothing in it");
        return ERR_INVALID;
    }
    if (!utf8_valid(text)) {
        *ret_problem = S("it is no UTF-8 text");
        return ERR_INVALID;
    }
    buf_init(&r.out, a, TEXT_MAX);
    if (!yaml_parser_initialize(&parser))
        return ERR_LIMIT;
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.ptr, text.len);
    if (!yaml_parser_load(&parser, &r.doc)) {
        *ret_problem = arena_printf(a, "line %zu: %s", parser.problem_mark.line + 1,
                                    parser.problem ? parser.problem : "this is no YAML");
        yaml_parser_delete(&parser);
        return ERR_INVALID;
    }
    good = read_document(&r);
    yaml_document_delete(&r.doc);
    yaml_parser_delete(&parser);
    if (good)
        *ret = json_parse_copy(a, buf_str(&r.out));
    if (good && !*ret) {
        *ret_problem = S("it is too large");
        return ERR_INVALID;
    }
    return good ? OK : ERR_INVALID;
}
