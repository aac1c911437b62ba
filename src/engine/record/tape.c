/* tape.c - one exchange with an upstream as the text of a file. */
#include "engine/record/tape.h"

#include "base/num.h"
#include "base/utf8.h"

#include <openssl/evp.h>
#include <yaml.h>

#define BASE64_LINE 48 /* bytes: 64 characters */

static const str end_names[] = {
    [TAPE_DONE] = S("done"),
    [TAPE_CUT] = S("cut"),
    [TAPE_STALLED] = S("stalled"),
    [TAPE_BROKEN] = S("broken"),
};

/* ---- writing ---- */

/* Code points that YAML lets stand as they are, and does not take for a line break of its own. */
static bool is_plain(uint32_t cp)
{
    return cp == '\n' || cp == '\t' || (cp >= 0x20 && cp <= 0x7E) ||
           (cp >= 0xA0 && cp != 0x2028 && cp != 0x2029 && cp != 0xFEFF && cp != 0xFFFE && cp != 0xFFFF);
}

/* Whether a literal block can hold it; false for what is not UTF-8, too. */
static bool is_literal(str s)
{
    const char *end = str_end(s);

    for (const char *p = s.ptr; p < end;) {
        uint32_t cp;
        size_t   len = utf8_decode(p, end, &cp);

        if (!len || !is_plain(cp))
            return false;
        p += len;
    }
    return s.len > 0;
}

static void add_indent(struct buf *b, unsigned level)
{
    for (unsigned i = 0; i < level; i++)
        buf_add(b, S("  "));
}

/* "|", and how many line breaks the text ends with; with the indentation where a reader could not tell it. */
static void add_literal(struct buf *b, str s, unsigned level)
{
    buf_add_char(b, '|');
    if (s.ptr[0] == ' ' || s.ptr[0] == '\t' || s.ptr[0] == '\n')
        buf_add_char(b, '2');
    if (!str_ends(s, S("\n")))
        buf_add_char(b, '-');
    else if (str_ends(s, S("\n\n")) || s.len == 1)
        buf_add_char(b, '+');
    buf_add_char(b, '\n');
    while (s.len) {
        str line = str_cut(&s, '\n');

        if (line.len)
            add_indent(b, level + 1);
        buf_add(b, line);
        buf_add_char(b, '\n');
    }
}

static void add_quoted(struct buf *b, str s)
{
    const char *end = str_end(s);

    buf_add_char(b, '"');
    for (const char *p = s.ptr; p < end;) {
        uint32_t cp;
        size_t   len = utf8_decode(p, end, &cp);

        ASSERT(len);
        if (cp == '"' || cp == '\\')
            buf_addf(b, "\\%c", (char)cp);
        else if (cp == '\n')
            buf_add(b, S("\\n"));
        else if (cp == '\r')
            buf_add(b, S("\\r"));
        else if (!is_plain(cp) || cp == '\t')
            buf_addf(b, "\\u%04x", (unsigned)cp); /* all of these are in the first plane */
        else
            buf_add(b, str_of(p, len));
        p += len;
    }
    buf_add(b, S("\"\n"));
}

/* A short text: without quotes when it is a word for every reader of YAML. */
static void add_word(struct buf *b, str s)
{
    static const str taken[] = {
        S("true"), S("false"), S("yes"), S("no"), S("on"), S("off"), S("null"), S("y"), S("n")
    };
    bool plain = s.len > 0;

    for (size_t i = 0; i < s.len && plain; i++) {
        char c = s.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/';

        plain = letter || (i > 0 && ((c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'));
    }
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        plain = plain && !str_eq_nocase(s, taken[i]);
    if (!plain) {
        add_quoted(b, s);
        return;
    }
    buf_add(b, s);
    buf_add_char(b, '\n');
}

/* Bytes of any kind, under the name that says how they stand there. */
static void add_bytes(struct buf *b, str text_name, str s, unsigned level)
{
    char line[BASE64_LINE / 3 * 4 + 1];

    if (is_literal(s)) {
        buf_add(b, text_name);
        add_literal(b, s, level);
        return;
    }
    if (utf8_valid(s)) {
        buf_add(b, text_name);
        add_quoted(b, s);
        return;
    }
    buf_add(b, S("base64: |\n"));
    for (size_t at = 0; at < s.len; at += BASE64_LINE) {
        size_t n = min_size(BASE64_LINE, s.len - at);
        int    len = EVP_EncodeBlock((unsigned char *)line, (const unsigned char *)s.ptr + at, (int)n);

        add_indent(b, level + 1);
        buf_add(b, str_of(line, (size_t)len));
        buf_add_char(b, '\n');
    }
}

static void add_fields(struct buf *b, const struct http_field *fields, size_t count)
{
    if (!count)
        return;
    buf_add(b, S("  headers:\n"));
    for (size_t i = 0; i < count; i++) {
        buf_addf(b, "    %.*s: ", STR_ARG(fields[i].name));
        add_word(b, fields[i].value);
    }
}

str tape_write(struct arena *a, const struct tape *t)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_addf(&b, "version: %d\nengine: ", TAPE_VERSION);
    add_word(&b, t->engine);
    if (t->cloud)
        buf_add(&b, S("cloud: true\n"));
    buf_add(&b, S("model: "));
    add_word(&b, t->model);
    buf_addf(&b, "request:\n  method: %.*s\n  path: ", STR_ARG(t->method));
    add_word(&b, t->path);
    add_fields(&b, t->asked, t->asked_count);
    buf_add(&b, S("  "));
    add_bytes(&b, S("body: "), t->body, 1);
    buf_addf(&b, "answer:\n  status: %d\n  at: %lld\n", t->status, (long long)t->head_ms);
    add_fields(&b, t->fields, t->field_count);
    buf_add(&b, t->piece_count ? S("  body:\n") : S("  body: []\n"));
    for (size_t i = 0; i < t->piece_count; i++) {
        buf_addf(&b, "    - at: %lld\n      ", (long long)t->pieces[i].at_ms);
        add_bytes(&b, S("text: "), t->pieces[i].bytes, 3);
    }
    buf_addf(&b, "  end: %.*s\n", STR_ARG(end_names[t->end]));
    return buf_str(&b);
}

/* ---- reading ---- */

struct reader {
    yaml_document_t doc;
    struct arena   *arena;
    str             problem;
};

static enum err bad(struct reader *r, const yaml_node_t *n, const char *what, str name)
{
    r->problem =
        arena_printf(r->arena, "%zu: %s%s%.*s", n->start_mark.line + 1, what, name.len ? " " : "", STR_ARG(name));
    return ERR_INVALID;
}

static str text_of(const yaml_node_t *n)
{
    return n->type == YAML_SCALAR_NODE ? str_of((char *)n->data.scalar.value, n->data.scalar.length) : (str){ 0 };
}

/* A member of a mapping: where it goes, or who reads it. */
struct member {
    const char *name;
    str        *text;
    int64_t    *number;
    enum err (*read)(struct reader *r, yaml_node_t *n, void *into);
    void *into;
};

static enum err read_members(struct reader *r, yaml_node_t *n, const struct member *members, size_t count)
{
    if (n->type != YAML_MAPPING_NODE)
        return bad(r, n, "expected names with values", S(""));
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        yaml_node_t         *key = yaml_document_get_node(&r->doc, p->key);
        yaml_node_t         *value = yaml_document_get_node(&r->doc, p->value);
        const struct member *m = NULL;
        enum err             e = OK;

        for (size_t i = 0; i < count; i++) {
            if (str_eq(text_of(key), str_from_cstr(members[i].name)))
                m = &members[i];
        }
        if (!m)
            return bad(r, key, "unknown name", text_of(key));
        for (yaml_node_pair_t *q = n->data.mapping.pairs.start; q < p; q++) {
            if (str_eq(text_of(yaml_document_get_node(&r->doc, q->key)), text_of(key)))
                return bad(r, key, "it is there twice:", text_of(key));
        }
        if (!m->read && value->type != YAML_SCALAR_NODE)
            return bad(r, value, "one value belongs here:", text_of(key));
        if (m->text)
            *m->text = arena_str(r->arena, text_of(value));
        else if (m->number && (!str_to_i64(text_of(value), m->number) || *m->number < 0))
            e = bad(r, value, "not a number:", text_of(key));
        else if (m->read)
            e = m->read(r, value, m->into);
        if (e)
            return e;
    }
    return OK;
}

static enum err read_bool(struct reader *r, yaml_node_t *n, void *into)
{
    bool *ret = into;

    if (!str_eq(text_of(n), S("true")) && !str_eq(text_of(n), S("false")))
        return bad(r, n, "not true or false", S(""));
    *ret = str_eq(text_of(n), S("true"));
    return OK;
}

struct fields {
    struct http_field *fields;
    size_t             count;
};

static enum err read_fields(struct reader *r, yaml_node_t *n, void *into)
{
    struct fields *ret = into;

    if (n->type != YAML_MAPPING_NODE)
        return bad(r, n, "expected headers with values", S(""));
    ret->fields =
        arena_array(r->arena, struct http_field, (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start));
    for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
        yaml_node_t *key = yaml_document_get_node(&r->doc, p->key), *value = yaml_document_get_node(&r->doc, p->value);

        ret->fields[ret->count++] =
            (struct http_field){ arena_str(r->arena, text_of(key)), arena_str(r->arena, text_of(value)) };
    }
    return OK;
}

static enum err read_base64(struct reader *r, yaml_node_t *n, void *into)
{
    str           *ret = into, text = text_of(n), line;
    char          *out = arena_bytes(r->arena, text.len + 3);
    size_t         len = 0;
    unsigned char *at;

    while (text.len) {
        int got;

        line = str_trim(str_cut(&text, '\n'));
        if (!line.len)
            continue;
        at = (unsigned char *)out + len;
        got = EVP_DecodeBlock(at, (const unsigned char *)line.ptr, (int)line.len);
        if (got < 0)
            return bad(r, n, "not Base64", S(""));
        len += (size_t)got - str_ends(line, S("=")) - str_ends(line, S("=="));
    }
    *ret = str_of(out, len);
    return OK;
}

struct pieces {
    struct tape_piece *pieces;
    size_t             count;
};

static enum err read_pieces(struct reader *r, yaml_node_t *n, void *into)
{
    struct pieces *ret = into;
    int64_t        last_ms = 0;

    if (n->type != YAML_SEQUENCE_NODE)
        return bad(r, n, "expected a list of pieces", S(""));
    ret->pieces =
        arena_array(r->arena, struct tape_piece, (size_t)(n->data.sequence.items.top - n->data.sequence.items.start));
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        yaml_node_t        *item = yaml_document_get_node(&r->doc, *i);
        struct tape_piece  *piece = &ret->pieces[ret->count];
        const struct member members[] = {
            { .name = "at", .number = &piece->at_ms },
            { .name = "text", .text = &piece->bytes },
            { .name = "base64", .read = read_base64, .into = &piece->bytes },
        };
        enum err e = read_members(r, item, members, ARRAY_LEN(members));

        if (e)
            return e;
        if (piece->at_ms < last_ms)
            return bad(r, item, "a piece before the one above it", S(""));
        last_ms = piece->at_ms;
        if (piece->bytes.len)
            ret->count++; /* nothing cannot come */
    }
    return OK;
}

static enum err read_end(struct reader *r, yaml_node_t *n, void *into)
{
    for (size_t i = 0; i < ARRAY_LEN(end_names); i++) {
        if (str_eq(text_of(n), end_names[i])) {
            *(enum tape_end *)into = (enum tape_end)i;
            return OK;
        }
    }
    return bad(r, n, "no end of an answer:", text_of(n));
}

static enum err read_request(struct reader *r, yaml_node_t *n, void *into)
{
    struct tape        *t = into;
    struct fields       fields = { 0 };
    const struct member members[] = {
        { .name = "method", .text = &t->method },
        { .name = "path", .text = &t->path },
        { .name = "headers", .read = read_fields, .into = &fields },
        { .name = "body", .text = &t->body },
        { .name = "base64", .read = read_base64, .into = &t->body },
    };
    enum err e = read_members(r, n, members, ARRAY_LEN(members));

    t->asked = fields.fields;
    t->asked_count = fields.count;
    return e;
}

static enum err read_answer(struct reader *r, yaml_node_t *n, void *into)
{
    struct tape        *t = into;
    struct fields       fields = { 0 };
    struct pieces       pieces = { 0 };
    int64_t             status = 0;
    const struct member members[] = {
        { .name = "status", .number = &status },
        { .name = "at", .number = &t->head_ms },
        { .name = "headers", .read = read_fields, .into = &fields },
        { .name = "body", .read = read_pieces, .into = &pieces },
        { .name = "end", .read = read_end, .into = &t->end },
    };
    enum err e = read_members(r, n, members, ARRAY_LEN(members));

    if (!e && (status < 200 || status > 599))
        e = bad(r, n, "an answer needs a status from 200 to 599", S(""));
    t->status = (int)status;
    t->fields = fields.fields;
    t->field_count = fields.count;
    t->pieces = pieces.pieces;
    t->piece_count = pieces.count;
    return e;
}

static enum err read_tape(struct reader *r, yaml_node_t *root, struct tape *t)
{
    int64_t             version = 0;
    const struct member members[] = {
        { .name = "version", .number = &version },
        { .name = "engine", .text = &t->engine },
        { .name = "cloud", .read = read_bool, .into = &t->cloud },
        { .name = "model", .text = &t->model },
        { .name = "request", .read = read_request, .into = t },
        { .name = "answer", .read = read_answer, .into = t },
    };
    enum err e = read_members(r, root, members, ARRAY_LEN(members));

    if (e)
        return e;
    if (version != TAPE_VERSION)
        return bad(r, root, "not version 1 of the format", S(""));
    return t->status ? OK : bad(r, root, "it has no answer", S(""));
}

enum err tape_read(struct arena *a, str yaml, struct tape *ret, str *ret_problem)
{
    struct reader r = { .arena = a };
    yaml_parser_t parser;
    yaml_node_t  *root;
    enum err      e = OK;

    *ret = (struct tape){ 0 };
    yaml_parser_initialize(&parser);
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml.ptr, yaml.len);
    if (!yaml_parser_load(&parser, &r.doc)) {
        r.problem =
            arena_printf(a, "%zu: %s", parser.problem_mark.line + 1, parser.problem ? parser.problem : "not YAML");
        e = ERR_INVALID;
    } else {
        root = yaml_document_get_root_node(&r.doc);
        if (root) {
            e = read_tape(&r, root, ret);
        } else {
            r.problem = S("1: it is empty");
            e = ERR_INVALID;
        }
        yaml_document_delete(&r.doc);
    }
    yaml_parser_delete(&parser);
    *ret_problem = r.problem;
    return e;
}
