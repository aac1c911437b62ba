/* moderation_regex_read.c - reads regular expressions, by descent. */
#include "access/moderation_regex_read.h"

#include "access/moderation_fold.h"
#include "base/utf8.h"

#include <stdlib.h>

#define CP_MAX 0x10FFFFu

struct reader {
    struct arena *arena;
    const char   *p, *end;
    unsigned      nest;
    enum err      e;
    const char   *problem; /* NULL: none yet; reading ends at the first */
};

static void *reader_fail(struct reader *r, enum err e, const char *problem)
{
    if (!r->problem) {
        r->e = e;
        r->problem = problem;
    }
    r->p = r->end;
    return NULL;
}

static struct tree *tree_new(struct reader *r, enum tree_kind kind)
{
    struct tree *t = arena_new(r->arena, struct tree);

    t->kind = kind;
    return t;
}

static void ranges_add(struct ranges *s, uint32_t first, uint32_t last, struct arena *a)
{
    if (s->len && s->ptr[s->len - 1].last + 1 == first) {
        s->ptr[s->len - 1].last = last;
        return;
    }
    if (s->len == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 4;

        s->ptr = arena_realloc(a, s->ptr, s->cap * sizeof(*s->ptr), cap * sizeof(*s->ptr));
        s->cap = cap;
    }
    s->ptr[s->len++] = (struct range){ first, last };
}

/* The code points and what they fold to. */
static void ranges_add_folded(struct ranges *s, uint32_t first, uint32_t last, struct arena *a)
{
    ranges_add(s, first, last, a);
    for (uint32_t cp = fold_next(first); cp <= last; cp = fold_next(cp + 1))
        ranges_add(s, fold_code_point(cp), fold_code_point(cp), a);
}

static int compare_ranges(const void *a, const void *b)
{
    uint32_t x = ((const struct range *)a)->first, y = ((const struct range *)b)->first;

    return (x > y) - (x < y);
}

static void ranges_sort(struct ranges *s)
{
    size_t kept = 0;

    if (s->len == 0)
        return;
    qsort(s->ptr, s->len, sizeof(*s->ptr), compare_ranges);
    for (size_t i = 1; i < s->len; i++) {
        struct range *last = &s->ptr[kept], *r = &s->ptr[i];

        if (r->first > last->last + 1)
            s->ptr[++kept] = *r;
        else if (r->last > last->last)
            last->last = r->last;
    }
    s->len = kept + 1;
}

static void ranges_negate(struct ranges *s, struct arena *a)
{
    struct ranges others = { 0 };
    uint32_t      next = 0;

    ranges_sort(s);
    for (size_t i = 0; i < s->len; i++) {
        if (s->ptr[i].first > next)
            ranges_add(&others, next, s->ptr[i].first - 1, a);
        next = s->ptr[i].last + 1;
    }
    if (next <= CP_MAX)
        ranges_add(&others, next, CP_MAX, a);
    *s = others;
}

/* ---- reading ---- */

static uint32_t read_code_point(struct reader *r)
{
    uint32_t cp = 0;

    if (r->p < r->end)
        r->p += utf8_decode(r->p, r->end, &cp);
    return cp;
}

static bool take(struct reader *r, char c)
{
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

/* The named sets: of \d, \w, \s (in small letters) and of [:alpha:] and others. */
static bool add_named(struct ranges *s, str name, struct arena *a)
{
    static const struct {
        const char  *name;
        struct range ranges[4]; /* up to the first that ends at 0 */
    } sets[] = {
        { "d", { { '0', '9' } } },
        { "w", { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } } },
        { "s", { { '\t', '\r' }, { ' ', ' ' } } },
        { "alpha", { { 'A', 'Z' }, { 'a', 'z' } } },
        { "digit", { { '0', '9' } } },
        { "alnum", { { '0', '9' }, { 'A', 'Z' }, { 'a', 'z' } } },
        { "upper", { { 'A', 'Z' }, { 'a', 'z' } } },
        { "lower", { { 'A', 'Z' }, { 'a', 'z' } } },
        { "space", { { '\t', '\r' }, { ' ', ' ' } } },
        { "punct", { { '!', '/' }, { ':', '@' }, { '[', '`' }, { '{', '~' } } },
        { "xdigit", { { '0', '9' }, { 'A', 'F' }, { 'a', 'f' } } },
    };

    for (size_t i = 0; i < ARRAY_LEN(sets); i++) {
        if (!str_eq(name, str_from_cstr(sets[i].name)))
            continue;
        for (size_t j = 0; j < 4 && sets[i].ranges[j].last; j++)
            ranges_add(s, sets[i].ranges[j].first, sets[i].ranges[j].last, a);
        return true;
    }
    return false;
}

static uint32_t read_hex(struct reader *r)
{
    bool     braced = take(r, '{');
    uint32_t v = 0;
    int      digits = 0;

    while (r->p < r->end && digits < (braced ? 6 : 2)) {
        char c = *r->p | 32;

        if (c >= '0' && c <= '9')
            v = v << 4 | (uint32_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            v = v << 4 | (uint32_t)(c - 'a' + 10);
        else
            break;
        digits++;
        r->p++;
    }
    if (digits == 0 || v > CP_MAX || (v >= 0xD800 && v <= 0xDFFF) || (braced && !take(r, '}')))
        reader_fail(r, ERR_INVALID, "\\x wants two hexadecimal digits, or a code point as in \\x{4E2D}");
    return v;
}

/* After the backslash. True: a set, which is added to `s`; false: one character, *ret. */
static bool read_escape(struct reader *r, struct ranges *s, uint32_t *ret)
{
    static const char plain[][2] = { { 't', '\t' }, { 'n', '\n' }, { 'r', '\r' }, { 'f', '\f' }, { 'v', '\v' } };
    uint32_t          cp;

    *ret = 0;
    if (r->p == r->end) {
        reader_fail(r, ERR_INVALID, "ends with a backslash");
        return false;
    }
    cp = read_code_point(r);
    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        if (cp == (uint32_t)plain[i][0]) {
            *ret = (uint32_t)plain[i][1];
            return false;
        }
    }
    if (cp == 'd' || cp == 'w' || cp == 's' || cp == 'D' || cp == 'W' || cp == 'S') {
        struct ranges set = { 0 };
        char          name = (char)(cp | 32);

        add_named(&set, str_of(&name, 1), r->arena);
        if (cp < 'a')
            ranges_negate(&set, r->arena);
        for (size_t i = 0; i < set.len; i++)
            ranges_add(s, set.ptr[i].first, set.ptr[i].last, r->arena);
        return true;
    }
    *ret = cp == 'x' ? read_hex(r) : cp;
    if (cp != 'x' && ((cp >= '0' && cp <= '9') || (cp >= 'A' && cp <= 'Z') || (cp >= 'a' && cp <= 'z')))
        reader_fail(r, ERR_INVALID,
                    cp >= '1' && cp <= '9' ? "looks back to what was found, which is not supported"
                                           : "an escape that is not supported");
    return false;
}

/* Inside of a class: [:name:]. False: it is no such thing. */
static bool read_class_name(struct reader *r, struct ranges *s)
{
    str    rest = str_of(r->p, (size_t)(r->end - r->p));
    size_t close = str_find_str(rest, S(":]"));

    if (!str_starts(rest, S("[:")) || close == STR_NONE || close < 2)
        return false;
    r->p += close + 2;
    if (!add_named(s, str_of(rest.ptr + 2, close - 2), r->arena))
        reader_fail(r, ERR_INVALID, "a [:name:] that is not supported");
    return true;
}

/* A character of a class. False: a set, which has been added. */
static bool read_class_char(struct reader *r, struct ranges *s, uint32_t *ret)
{
    if (take(r, '\\'))
        return !read_escape(r, s, ret);
    *ret = read_code_point(r);
    return true;
}

/* After the "[". The first character is one even if it is "]". */
static struct tree *read_class(struct reader *r)
{
    struct tree *t = tree_new(r, TREE_CLASS);
    bool         negated = take(r, '^');

    do {
        uint32_t low, high;

        if (r->p == r->end)
            return reader_fail(r, ERR_INVALID, "a [ without its ]");
        if (read_class_name(r, &t->ranges) || !read_class_char(r, &t->ranges, &low))
            continue;
        high = low;
        if (r->end - r->p >= 2 && r->p[0] == '-' && r->p[1] != ']') {
            r->p++;
            if (!read_class_char(r, &t->ranges, &high))
                return reader_fail(r, ERR_INVALID, "a range in [ ] that ends with a set");
        }
        if (high < low)
            return reader_fail(r, ERR_INVALID, "a range in [ ] whose end comes before its beginning");
        ranges_add_folded(&t->ranges, low, high, r->arena);
    } while (!take(r, ']'));
    if (negated)
        ranges_negate(&t->ranges, r->arena);
    else
        ranges_sort(&t->ranges);
    return t;
}

static struct tree *tree_check(struct reader *r, enum check check)
{
    struct tree *t = tree_new(r, TREE_CHECK);

    t->check = check;
    return t;
}

static struct tree *read_backslash(struct reader *r)
{
    static const struct {
        char       letter;
        enum check check;
    } checks[] = { { 'A', CHECK_BEGIN }, { 'z', CHECK_END }, { 'b', CHECK_BOUND }, { 'B', CHECK_NO_BOUND } };
    struct tree *t;
    uint32_t     cp;

    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        if (take(r, checks[i].letter))
            return tree_check(r, checks[i].check);
    t = tree_new(r, TREE_CLASS);
    if (read_escape(r, &t->ranges, &cp))
        ranges_sort(&t->ranges);
    else
        ranges_add(&t->ranges, fold_code_point(cp), fold_code_point(cp), r->arena);
    return t;
}

static struct tree *read_or(struct reader *r);

/* After the "(". */
static struct tree *read_group(struct reader *r)
{
    struct tree *t;

    if (take(r, '?') && !take(r, ':'))
        return reader_fail(r, ERR_INVALID, "(?…) is not supported, but for (?:…)");
    if (++r->nest > REGEX_NEST_MAX)
        return reader_fail(r, ERR_LIMIT, "groups are nested too deep");
    t = read_or(r);
    r->nest--;
    return take(r, ')') ? t : reader_fail(r, ERR_INVALID, "a ( without its )");
}

static struct tree *read_atom(struct reader *r)
{
    struct tree *t;
    uint32_t     cp = read_code_point(r);

    switch (cp) {
    case '(':
        return read_group(r);
    case '[':
        return read_class(r);
    case '\\':
        return read_backslash(r);
    case '^':
        return tree_check(r, CHECK_BEGIN);
    case '$':
        return tree_check(r, CHECK_END);
    case ')':
        return reader_fail(r, ERR_INVALID, "a ) without its (");
    case '*':
    case '+':
    case '?':
        return reader_fail(r, ERR_INVALID, "a repeat of nothing");
    }
    t = tree_new(r, TREE_CLASS);
    if (cp == '.') {
        ranges_add(&t->ranges, '\n', '\n', r->arena);
        ranges_negate(&t->ranges, r->arena);
    } else {
        ranges_add(&t->ranges, fold_code_point(cp), fold_code_point(cp), r->arena);
    }
    return t;
}

static bool read_number(struct reader *r, unsigned *ret)
{
    const char *begin = r->p;

    *ret = 0;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9') {
        *ret = *ret * 10 + (unsigned)(*r->p++ - '0');
        if (*ret > REGEX_REPEAT_MAX)
            *ret = REGEX_REPEAT_MAX + 1;
    }
    return r->p > begin;
}

/* {m}, {m,}, {m,n}. False, and nothing taken: it is no such thing but the character. */
static bool read_braces(struct reader *r, unsigned *least, unsigned *most)
{
    const char *begin = r->p;
    bool        open = false;

    if (take(r, '{') && read_number(r, least)) {
        *most = *least;
        if (take(r, ','))
            open = !read_number(r, most);
        if (take(r, '}')) {
            if (*least > REGEX_REPEAT_MAX || (!open && *most > REGEX_REPEAT_MAX))
                reader_fail(r, ERR_LIMIT, "repeats more than 1000 times");
            else if (!open && *most < *least)
                reader_fail(r, ERR_INVALID, "a repeat whose end comes before its beginning");
            if (open)
                *most = REGEX_REPEAT_OPEN;
            return true;
        }
    }
    r->p = begin;
    return false;
}

static bool read_repeat(struct reader *r, unsigned *least, unsigned *most)
{
    *least = 0;
    *most = REGEX_REPEAT_OPEN;
    if (take(r, '*'))
        return true;
    if (take(r, '+')) {
        *least = 1;
        return true;
    }
    if (take(r, '?')) {
        *most = 1;
        return true;
    }
    return read_braces(r, least, most);
}

static struct tree *read_item(struct reader *r)
{
    struct tree *t = read_atom(r);
    unsigned     least, most;

    if (!t || !read_repeat(r, &least, &most))
        return t;
    take(r, '?'); /* as few as possible: the same texts */
    if (r->p < r->end && (*r->p == '*' || *r->p == '+' || *r->p == '?'))
        return reader_fail(r, ERR_INVALID, "a repeat of a repeat");
    struct tree *repeat = tree_new(r, TREE_REPEAT);

    repeat->kids = t;
    repeat->least = least;
    repeat->most = most;
    return repeat;
}

static struct tree *read_cat(struct reader *r)
{
    struct tree *t = tree_new(r, TREE_CAT);

    while (r->p < r->end && *r->p != '|' && *r->p != ')') {
        struct tree *item = read_item(r);

        if (!item)
            return NULL;
        item->next = t->kids;
        t->kids = item;
    }
    return t;
}

static struct tree *read_or(struct reader *r)
{
    struct tree *t = tree_new(r, TREE_OR);

    do {
        struct tree *cat = read_cat(r);

        if (!cat)
            return NULL;
        cat->next = t->kids;
        t->kids = cat;
    } while (take(r, '|'));
    return t;
}

enum err regex_read(str pattern, struct arena *a, struct tree **ret, const char **ret_problem)
{
    struct reader r = { .arena = a, .p = pattern.ptr, .end = str_end(pattern) };
    struct tree  *t = read_or(&r);

    if (r.p != r.end)
        reader_fail(&r, ERR_INVALID, "a ) without its (");
    if (r.problem) {
        *ret_problem = r.problem;
        return r.e;
    }
    *ret = t;
    return OK;
}
