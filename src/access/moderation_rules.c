/* moderation_rules.c - reads moderation rules. */
#include "access/moderation_rules.h"

#include "base/buf.h"
#include "base/utf8.h"

#include <errno.h>

static void add(struct moderation_rules *r, const struct moderation_rule *rule, struct arena *a)
{
    if (r->len == r->cap) {
        size_t cap = r->cap ? 2 * r->cap : 16;

        r->ptr = arena_realloc(a, r->ptr, r->cap * sizeof(*rule), mul_size_or_die(cap, sizeof(*rule)));
        r->cap = cap;
    }
    r->ptr[r->len++] = *rule;
}

/* Takes "kind:" and "side:" off the beginning of *line. NULL, or what is wrong. */
static const char *read_prefixes(str *line, struct moderation_rule *rule)
{
    bool     kind_said = false;
    unsigned side = 0;

    for (;;) {
        str                  rest = *line;
        str                  word = str_find(rest, ':') == STR_NONE ? (str){ 0 } : str_trim(str_cut(&rest, ':'));
        enum moderation_kind kind;

        if (moderation_kind_read(word, &kind)) {
            if (kind_said)
                return "two kinds";
            kind_said = true;
            rule->kind = kind;
        } else if (str_eq(word, S("input")) || str_eq(word, S("output"))) {
            if (side)
                return "two sides; a rule with none is for both";
            side = str_eq(word, S("input")) ? MODERATION_INPUT : MODERATION_OUTPUT;
        } else {
            break;
        }
        *line = str_trim(rest);
    }
    if (rule->kind == MODERATION_IP && side == MODERATION_OUTPUT)
        return "ip rules look at input alone";
    rule->sides = rule->kind == MODERATION_IP ? MODERATION_INPUT : side ? side : MODERATION_BOTH;
    return NULL;
}

/* NULL, or what is wrong. *ret_is_rule: the line has one. */
static const char *read_line(str line, struct moderation_rule *rule, bool *ret_is_rule)
{
    const char *problem;

    *ret_is_rule = false;
    line = str_trim(line);
    if (line.len == 0 || line.ptr[0] == '#')
        return NULL;
    if (!utf8_valid(line))
        return "not UTF-8";
    problem = read_prefixes(&line, rule);
    if (problem)
        return problem;
    if (line.len == 0)
        return "no rule after the colon";
    rule->pattern = line;
    if (line.ptr[0] == '/') {
        if (line.len < 3 || !str_ends(line, S("/")))
            return "a regular expression is written /…/";
        rule->is_regex = true;
        rule->pattern = str_of(line.ptr + 1, line.len - 2);
    }
    *ret_is_rule = true;
    return NULL;
}

enum err moderation_rules_add(struct moderation_rules *r, str id, str line, struct arena *a, str *ret_problem)
{
    struct moderation_rule rule = { .id = id };
    bool                   is_rule;
    const char            *problem = read_line(line, &rule, &is_rule);

    if (problem) {
        *ret_problem = arena_printf(a, "%.*s: %s", STR_ARG(id), problem);
        return ERR_INVALID;
    }
    if (is_rule)
        add(r, &rule, a);
    return OK;
}

static enum err read_whole(FILE *file, struct arena *a, str *ret)
{
    struct buf b;
    char       piece[4096];
    size_t     n;

    buf_init(&b, a, MODERATION_FILE_MAX);
    while (!b.full && (n = fread(piece, 1, sizeof(piece), file)))
        buf_add_bytes(&b, piece, n);
    if (b.full)
        return ERR_LIMIT;
    *ret = buf_str(&b);
    return ferror(file) ? ERR_IO : OK;
}

enum err moderation_rules_read(struct moderation_rules *r, str path, struct arena *a, str *ret_problem)
{
    FILE    *file = fopen(str_to_cstr(a, path), "re");
    str      text = { 0 }, name = path;
    enum err e;

    if (!file) {
        *ret_problem = arena_printf(a, "%.*s: %s", STR_ARG(path), strerror(errno));
        return ERR_IO;
    }
    e = read_whole(file, a, &text);
    fclose(file);
    if (e) {
        *ret_problem =
            arena_printf(a, "%.*s: %s", STR_ARG(path), e == ERR_LIMIT ? "larger than 16 MiB" : "cannot be read");
        return e;
    }
    while (str_find(name, '/') != STR_NONE)
        str_cut(&name, '/');
    if (str_starts(text, S("\xEF\xBB\xBF")))
        text = str_from(text, 3);
    for (size_t number = 1; text.len; number++) {
        str line = str_cut(&text, '\n');

        e = moderation_rules_add(r, arena_printf(a, "%.*s:%zu", STR_ARG(name), number), line, a, ret_problem);
        if (e)
            return e;
    }
    return OK;
}
