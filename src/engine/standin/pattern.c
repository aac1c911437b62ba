/* pattern.c - walks a regular expression and writes down what it would accept; and a matcher for the same dialect.
 *
 * The pattern is not compiled: each group is cut into its alternatives, one is chosen, and its items are written as
 * often as their quantifiers ask. Lengths are met by trying: each round repeats open-ended items a little more often.
 *
 * Limits: groups NEST_MAX deep, LEN_MAX, NODES_MAX; the rest is the caller's fuel, so that ((a{99}){99}){99} ends.
 */
#include "engine/standin/pattern.h"

#include "base/rand.h"
#include "base/utf8.h"

#define NEST_MAX   8
#define LEN_MAX    2000 /* bytes of a pattern */
#define STEP_COST  4    /* fuel that one character of a text takes */
#define BUILD_COST 200
#define ROUNDS_MAX 40
#define REPEAT_MAX 10000 /* also stands for "no end" */
#define RANGES_MAX 6     /* beyond ASCII, in one class */
#define NODES_MAX  2000  /* of the machine that pattern_match() builds */

struct walk {
    struct buf *out;
    uint64_t   *dice;
    size_t      extra; /* how often more than its minimum an open-ended item is repeated */
    int64_t    *fuel;
    bool        open_start, open_end; /* not anchored there: any text may stand before or after */
};

/* A set of the ASCII characters. */
struct set {
    uint64_t bits[2];
};

static void set_add(struct set *s, unsigned from, unsigned to)
{
    for (unsigned c = from; c <= to && c < 128; c++)
        s->bits[c / 64] |= UINT64_C(1) << c % 64;
}

static bool set_has(const struct set *s, unsigned c)
{
    return c < 128 && (s->bits[c / 64] >> c % 64 & 1);
}

/* What one item accepts: the ASCII set, and from the other characters the ranges, or all. */
struct chars {
    struct set ascii;
    bool       negative, all_others;
    unsigned   range_count;
    uint32_t   ranges[RANGES_MAX][2];
};

static void set_invert(struct set *s)
{
    s->bits[0] = ~s->bits[0];
    s->bits[1] = ~s->bits[1];
}

/* \d, \w, \s and their opposites. */
static bool set_add_class(struct set *s, char letter)
{
    struct set c = { 0 };

    switch (letter | 0x20) {
    case 'd':
        set_add(&c, '0', '9');
        break;
    case 'w':
        set_add(&c, '0', '9');
        set_add(&c, 'A', 'Z');
        set_add(&c, 'a', 'z');
        set_add(&c, '_', '_');
        break;
    case 's':
        set_add(&c, ' ', ' ');
        set_add(&c, '\t', '\r');
        break;
    default:
        return false;
    }
    if (letter < 'a')
        set_invert(&c);
    s->bits[0] |= c.bits[0];
    s->bits[1] |= c.bits[1];
    return true;
}

/* \p{L}, \p{Lu}, \p{Letter}, \p{N}, …: the ASCII part. `p` stands behind the p; returns the bytes read, 0 when unknown. */
static size_t set_add_property(struct set *s, str p)
{
    size_t close = str_find(p, '}');
    str    name;

    if (p.len < 3 || p.ptr[0] != '{' || close == STR_NONE)
        return 0;
    name = str_of(p.ptr + 1, close - 1);
    if (str_eq(name, S("Lu")) || str_eq(name, S("Uppercase_Letter")))
        set_add(s, 'A', 'Z');
    else if (str_eq(name, S("Ll")) || str_eq(name, S("Lowercase_Letter")))
        set_add(s, 'a', 'z');
    else if (str_starts(name, S("L"))) {
        set_add(s, 'A', 'Z');
        set_add(s, 'a', 'z');
    } else if (str_starts(name, S("N")))
        set_add(s, '0', '9');
    else
        return 0;
    return close + 1;
}

/* A member of the set, readable ones first; false when it has none. */
static bool set_pick(const struct set *s, uint64_t *dice, uint32_t *ret)
{
    static const struct {
        unsigned char from, to;
    } ranges[] = { { 'a', 'z' }, { '0', '9' }, { 'A', 'Z' }, { ' ', '~' }, { 1, 127 } };

    for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
        unsigned from = ranges[i].from, n = ranges[i].to - from + 1u;
        unsigned start = (unsigned)(rand_next(dice) % n);

        for (unsigned k = 0; k < n; k++) {
            unsigned c = from + (start + k) % n;

            if (set_has(s, c)) {
                *ret = c;
                return true;
            }
        }
    }
    return false;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* `n` hexadecimal digits at the start of p, a valid code point. */
static bool hex_read(str p, size_t n, uint32_t *ret)
{
    uint32_t v = 0;

    if (p.len < n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int d = hex_digit(p.ptr[i]);

        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    if (v >= 0xD800 && v <= 0xDFFF)
        return false;
    *ret = v;
    return true;
}

/* An escape that stands for one character; `p` begins behind the backslash. Returns the bytes read, 0 when it is none. */
static size_t escape_read(str p, uint32_t *ret)
{
    static const char from[] = "nrtfv0", to[] = "\n\r\t\f\v\0";
    const char       *at;

    if (p.len == 0)
        return 0;
    if (p.ptr[0] == 'x')
        return hex_read(str_from(p, 1), 2, ret) ? 3 : 0;
    if (p.ptr[0] == 'u')
        return hex_read(str_from(p, 1), 4, ret) ? 5 : 0;
    at = memchr(from, p.ptr[0], sizeof(from) - 1);
    if (at) {
        *ret = (unsigned char)to[at - from];
        return 1;
    }
    if ((p.ptr[0] >= '0' && p.ptr[0] <= '9') || ((p.ptr[0] | 0x20) >= 'a' && (p.ptr[0] | 0x20) <= 'z'))
        return 0; /* a back reference, a class, or what we do not know */
    return utf8_decode(p.ptr, p.ptr + p.len, ret);
}

static void put(struct walk *w, uint32_t cp)
{
    char text[4];

    buf_add_bytes(w->out, text, utf8_encode(text, cp));
}

/* The index behind the class that begins at p[0] == '['; 0 when it does not end. */
static size_t class_end(str p)
{
    size_t i = 1;

    if (i < p.len && p.ptr[i] == '^')
        i++;
    if (i < p.len && p.ptr[i] == ']')
        i++; /* ECMA-262 takes [] as "nothing"; everybody else means the bracket */
    for (; i < p.len; i++) {
        if (p.ptr[i] == '\\')
            i++;
        else if (p.ptr[i] == ']')
            return i + 1;
    }
    return 0;
}

/* The index behind the group that begins at p[0] == '('. */
static size_t group_end(str p)
{
    size_t depth = 0;

    for (size_t i = 0; i < p.len; i++) {
        if (p.ptr[i] == '\\') {
            i++;
        } else if (p.ptr[i] == '[') {
            size_t n = class_end(str_from(p, i));

            if (n == 0)
                return 0;
            i += n - 1;
        } else if (p.ptr[i] == '(') {
            depth++;
        } else if (p.ptr[i] == ')' && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* One character of a class, as a bound of a range or alone. Returns the bytes read; 0 when it is not one character. */
static size_t class_char(str p, uint32_t *ret)
{
    size_t n;

    if (p.ptr[0] != '\\')
        return utf8_decode(p.ptr, p.ptr + p.len, ret);
    if (p.len > 1 && p.ptr[1] == 'b') {
        *ret = '\b';
        return 2;
    }
    n = escape_read(str_from(p, 1), ret);
    return n ? n + 1 : 0;
}

/* \d, \p{L} and the like, from the backslash on. Returns the bytes read; 0 when it is none of them. */
static size_t chars_add_class(struct chars *c, str p)
{
    size_t n;

    if (p.len < 2 || p.ptr[0] != '\\')
        return 0;
    if (set_add_class(&c->ascii, p.ptr[1])) {
        c->all_others |= p.ptr[1] < 'a';
        return 2;
    }
    n = p.ptr[1] == 'p' ? set_add_property(&c->ascii, str_from(p, 2)) : 0;
    c->all_others |= n > 0; /* we do not know which, and do not say no */
    return n ? n + 2 : 0;
}

static bool chars_add_range(struct chars *c, uint32_t from, uint32_t to)
{
    if (to < from)
        return false;
    set_add(&c->ascii, from, to);
    if (to < 128)
        return true;
    if (c->range_count == RANGES_MAX)
        return false;
    c->ranges[c->range_count][0] = from;
    c->ranges[c->range_count++][1] = to;
    return true;
}

/* `p` is a whole class with its brackets. */
static bool class_read(str p, struct chars *c)
{
    c->negative = p.ptr[1] == '^';
    p = str_of(p.ptr + 1 + c->negative, p.len - 2 - c->negative);
    while (p.len) {
        uint32_t from, to;
        size_t   n = class_char(p, &from);

        if (n == 0) {
            n = chars_add_class(c, p);
            if (n == 0)
                return false;
            p = str_from(p, n);
            continue;
        }
        p = str_from(p, n);
        to = from;
        if (p.len > 1 && p.ptr[0] == '-') {
            n = class_char(str_from(p, 1), &to);
            if (n)
                p = str_from(p, n + 1);
            else
                to = from;
        }
        if (!chars_add_range(c, from, to))
            return false;
    }
    return true;
}

/* What an item that is one character accepts. False when we do not know. */
static bool chars_read(str atom, struct chars *ret)
{
    uint32_t cp;

    *ret = (struct chars){ 0 };
    switch (atom.ptr[0]) {
    case '.':
        ret->negative = true;
        set_add(&ret->ascii, '\n', '\n');
        set_add(&ret->ascii, '\r', '\r');
        return true;
    case '[':
        return class_read(atom, ret);
    case '\\':
        if (escape_read(str_from(atom, 1), &cp))
            return chars_add_range(ret, cp, cp);
        return chars_add_class(ret, atom) > 0;
    default:
        return utf8_decode(atom.ptr, atom.ptr + atom.len, &cp) && chars_add_range(ret, cp, cp);
    }
}

static bool chars_have(const struct chars *c, uint32_t cp)
{
    bool in = cp < 128 ? set_has(&c->ascii, cp) : c->all_others;

    for (size_t i = 0; i < c->range_count && !in; i++)
        in = cp >= c->ranges[i][0] && cp <= c->ranges[i][1];
    return in != c->negative;
}

/* One of them, readable ones first; false when there is none that we would think of. */
static bool chars_pick(const struct chars *c, uint64_t *dice, uint32_t *ret)
{
    struct set set = c->ascii;

    if (c->negative)
        set_invert(&set);
    if (set_pick(&set, dice, ret))
        return true;
    if (c->range_count == 0 || c->negative)
        return false;
    *ret = c->ranges[0][0];
    return true;
}

/* Reads the quantifier at the start of p, if one is there. Returns its bytes. */
static size_t quantifier_read(str p, size_t *min, size_t *max)
{
    size_t close, n = 1;
    str    inside, first;

    *min = *max = 1;
    if (p.len == 0)
        return 0;
    switch (p.ptr[0]) {
    case '?':
        *min = 0;
        break;
    case '*':
        *min = 0;
        *max = REPEAT_MAX;
        break;
    case '+':
        *max = REPEAT_MAX;
        break;
    case '{': {
        uint64_t a, b = REPEAT_MAX;

        close = str_find(p, '}');
        if (close == STR_NONE)
            return 0;
        inside = str_of(p.ptr + 1, close - 1);
        n = close + 1;
        if (str_find(inside, ',') == STR_NONE) {
            if (!str_to_u64(inside, &a))
                return 0; /* a literal brace */
            b = a;
        } else {
            first = str_cut(&inside, ',');
            if (!str_to_u64(first, &a) || (inside.len && !str_to_u64(inside, &b)))
                return 0;
        }
        *min = a > REPEAT_MAX ? REPEAT_MAX : (size_t)a;
        *max = b > REPEAT_MAX ? REPEAT_MAX : (size_t)b;
        break;
    }
    default:
        return 0;
    }
    if (n < p.len && p.ptr[n] == '?')
        n++; /* lazy: the same texts match */
    return n;
}

static bool alternatives_write(struct walk *w, str p, unsigned depth);

/* Cuts the brackets and the name or kind of a group off. False for look-around and flags. */
static bool group_inside(str *p)
{
    *p = str_of(p->ptr + 1, p->len - 2);
    if (str_starts(*p, S("?:"))) {
        *p = str_from(*p, 2);
    } else if (str_starts(*p, S("?<")) && p->len > 2 && p->ptr[2] != '=' && p->ptr[2] != '!') {
        size_t close = str_find(*p, '>');

        if (close == STR_NONE)
            return false;
        *p = str_from(*p, close + 1);
    }
    return !str_starts(*p, S("?"));
}

static bool is_boundary(str atom)
{
    return atom.len == 2 && atom.ptr[0] == '\\' && (atom.ptr[1] | 0x20) == 'b';
}

static bool atom_write(struct walk *w, str atom, unsigned depth)
{
    struct chars chars;
    uint32_t     cp;

    *w->fuel -= STEP_COST;
    if (*w->fuel < 0)
        return false;
    switch (atom.ptr[0]) {
    case '^':
        if (w->out->len == 0)
            w->open_start = false;
        return true;
    case '$':
        w->open_end = false;
        return true;
    case '(':
        return group_inside(&atom) && alternatives_write(w, atom, depth + 1);
    default:
        if (is_boundary(atom))
            return true;
        if (!chars_read(atom, &chars) || !chars_pick(&chars, w->dice, &cp))
            return false;
        put(w, cp);
        return true;
    }
}

/* The bytes of the item at the start of p, without its quantifier; 0 when it is malformed. */
static size_t atom_length(str p)
{
    uint32_t cp;

    switch (p.ptr[0]) {
    case '[':
        return class_end(p);
    case '(':
        return group_end(p);
    case ')':
    case '*':
    case '+':
    case '?':
        return 0;
    case '\\': {
        size_t n = escape_read(str_from(p, 1), &cp);

        if (n)
            return n + 1;
        if (p.len > 2 && p.ptr[1] == 'p') {
            size_t close = str_find(p, '}');

            return close == STR_NONE ? 0 : close + 1;
        }
        return p.len > 1 ? 2 : 0;
    }
    default:
        return utf8_decode(p.ptr, p.ptr + p.len, &cp);
    }
}

static bool sequence_write(struct walk *w, str p, unsigned depth)
{
    while (p.len) {
        size_t min, max, times, n = atom_length(p);
        str    atom = str_first(p, n);

        if (n == 0)
            return false;
        p = str_from(p, n);
        p = str_from(p, quantifier_read(p, &min, &max));
        if (max < min)
            return false;
        times = max - min > w->extra ? min + w->extra : max;
        for (size_t i = 0; i < times; i++) {
            if (!atom_write(w, atom, depth))
                return false;
        }
    }
    return true;
}

/* Cuts the first alternative off; false when there is no further one. */
static bool alternative_next(str *rest, str *ret)
{
    if (!rest->ptr)
        return false;
    for (size_t i = 0; i < rest->len;) {
        size_t n = 1;

        if (rest->ptr[i] == '|') {
            *ret = str_first(*rest, i);
            *rest = str_from(*rest, i + 1);
            return true;
        }
        if (rest->ptr[i] == '\\')
            n = 2;
        else if (rest->ptr[i] == '[')
            n = class_end(str_from(*rest, i));
        else if (rest->ptr[i] == '(')
            n = group_end(str_from(*rest, i));
        i = n ? i + n : rest->len;
    }
    *ret = *rest;
    *rest = (str){ 0 };
    return true;
}

static bool alternatives_write(struct walk *w, str p, unsigned depth)
{
    size_t count = 0, chosen;
    str    rest = p.ptr ? p : S(""), one = S("");

    *w->fuel -= (int64_t)p.len / 8; /* it is read twice each time */
    if (depth > NEST_MAX)
        return false;
    while (alternative_next(&rest, &one))
        count++;
    chosen = (size_t)(rand_next(w->dice) % count);
    rest = p.ptr ? p : S("");
    for (size_t i = 0; i <= chosen; i++)
        alternative_next(&rest, &one);
    return sequence_write(w, one, depth);
}

bool pattern_text(str pattern, size_t min, size_t max, uint64_t *dice, int64_t *fuel, struct buf *out)
{
    struct arena scratch;
    struct buf   text;
    bool         found = false;

    if (pattern.len > LEN_MAX)
        return false;
    arena_init(&scratch, 0);
    buf_init(&text, &scratch, out->max - out->len);
    for (size_t round = 0; round < ROUNDS_MAX && !found && *fuel >= 0; round++) {
        /* 0, 1, 2, … and at last as many as the length could ask for. */
        size_t      extra = round + 1 < ROUNDS_MAX ? round : min;
        struct walk w = {
            .out = &text, .dice = dice, .extra = extra, .fuel = fuel, .open_start = true, .open_end = true
        };
        size_t length;

        buf_reset(&text);
        if (!alternatives_write(&w, pattern, 0))
            continue;
        length = utf8_count(buf_str(&text));
        while (length < min && w.open_end && !text.full) {
            buf_add_char(&text, 'a');
            length++;
        }
        found = !text.full && length >= min && length <= max;
        if (length < min && w.open_start) {
            for (size_t i = length; i < min; i++)
                buf_add_char(out, 'a');
            found = !text.full && min <= max;
        }
    }
    if (found)
        buf_add(out, buf_str(&text));
    arena_free(&scratch);
    return found && !out->full;
}

/* --- Matching ---------------------------------------------------------------------------------------------------- */

/* A machine that is in many states at once: its work grows with the text, never beyond nodes times characters. */
enum node_kind { NODE_CHARS, NODE_SPLIT, NODE_START, NODE_END, NODE_MATCH };

struct node {
    enum node_kind kind;
    uint32_t       next, other; /* NODE_SPLIT goes both ways; next == other: one way */
    str            atom;
};

struct machine {
    struct node *nodes;
    uint32_t     count;
};

/* NODES_MAX when there is no room. */
static uint32_t node_add(struct machine *m, enum node_kind kind)
{
    if (m->count == NODES_MAX)
        return NODES_MAX;
    m->nodes[m->count] = (struct node){ .kind = kind };
    return m->count++;
}

static bool alternatives_build(struct machine *m, str p, unsigned depth, uint32_t from, uint32_t *ret_end);

static void node_link(struct machine *m, uint32_t from, uint32_t to)
{
    m->nodes[from].next = m->nodes[from].other = to;
}

/* Appends one item behind the node `from`; *ret_end is a node whose `next` is to be set. */
static bool atom_build(struct machine *m, str atom, unsigned depth, uint32_t from, uint32_t *ret_end)
{
    struct chars   chars;
    enum node_kind kind = atom.ptr[0] == '^' ? NODE_START : atom.ptr[0] == '$' ? NODE_END : NODE_CHARS;
    uint32_t       node;

    if (atom.ptr[0] == '(')
        return group_inside(&atom) && alternatives_build(m, atom, depth + 1, from, ret_end);
    if (kind == NODE_CHARS && (is_boundary(atom) || !chars_read(atom, &chars)))
        return false;
    node = node_add(m, kind);
    if (node == NODES_MAX)
        return false;
    m->nodes[node].atom = atom;
    node_link(m, from, node);
    *ret_end = node;
    return true;
}

/* An item that may be passed over, once or (`again`) any number of times. */
static bool optional_build(struct machine *m, str atom, bool again, unsigned depth, uint32_t from, uint32_t *ret_end)
{
    uint32_t split = node_add(m, NODE_SPLIT), first = node_add(m, NODE_SPLIT), end = node_add(m, NODE_SPLIT), last;

    if (end == NODES_MAX || !atom_build(m, atom, depth, first, &last))
        return false;
    node_link(m, from, split);
    m->nodes[split].next = first;
    m->nodes[split].other = end;
    node_link(m, last, again ? split : end);
    *ret_end = end;
    return true;
}

static bool sequence_build(struct machine *m, str p, unsigned depth, uint32_t from, uint32_t *ret_end)
{
    while (p.len) {
        size_t min, max, n = atom_length(p);
        str    atom = str_first(p, n);

        if (n == 0)
            return false;
        p = str_from(p, n);
        p = str_from(p, quantifier_read(p, &min, &max));
        if (max < min || min > NODES_MAX || (max != REPEAT_MAX && max > NODES_MAX))
            return false;
        for (size_t i = 0; i < min; i++) {
            if (!atom_build(m, atom, depth, from, &from))
                return false;
        }
        if (max == REPEAT_MAX && !optional_build(m, atom, true, depth, from, &from))
            return false;
        for (size_t i = min; max != REPEAT_MAX && i < max; i++) {
            if (!optional_build(m, atom, false, depth, from, &from))
                return false;
        }
    }
    *ret_end = from;
    return true;
}

static bool alternatives_build(struct machine *m, str p, unsigned depth, uint32_t from, uint32_t *ret_end)
{
    str      rest = p.ptr ? p : S(""), one = S("");
    uint32_t end = node_add(m, NODE_SPLIT), split = node_add(m, NODE_SPLIT), last;

    if (depth > NEST_MAX || split == NODES_MAX)
        return false;
    node_link(m, from, split);
    while (alternative_next(&rest, &one)) {
        uint32_t begin = node_add(m, NODE_SPLIT), next_split = node_add(m, NODE_SPLIT);

        if (next_split == NODES_MAX || !sequence_build(m, one, depth, begin, &last))
            return false;
        node_link(m, last, end);
        m->nodes[split].next = begin;
        m->nodes[split].other = rest.ptr ? next_split : begin;
        split = next_split;
    }
    *ret_end = end;
    return true;
}

struct states {
    uint32_t *list;
    uint32_t  count;
};

/* Adds a node and all that is reached without a character. True when that is the end. */
static bool states_add(const struct machine *m, struct states *s, uint32_t *seen, uint32_t turn, uint32_t *stack,
                       uint32_t node, bool at_start, bool at_end)
{
    uint32_t depth = 0;
    bool     matched = false;

    stack[depth++] = node;
    while (depth) {
        const struct node *n = &m->nodes[node = stack[--depth]];

        if (seen[node] == turn)
            continue;
        seen[node] = turn;
        if (n->kind == NODE_CHARS)
            s->list[s->count++] = node;
        else if (n->kind == NODE_MATCH)
            matched = true;
        else if (n->kind == NODE_SPLIT || (n->kind == NODE_START ? at_start : at_end)) {
            stack[depth++] = n->next;
            if (n->kind == NODE_SPLIT)
                stack[depth++] = n->other;
        }
    }
    return matched;
}

static bool machine_run(struct arena *scratch, const struct machine *m, str text)
{
    uint32_t     *seen = arena_array(scratch, uint32_t, m->count), *stack;
    struct states now = { arena_array(scratch, uint32_t, m->count), 0 };
    struct states then = { arena_array(scratch, uint32_t, m->count), 0 };
    bool          matched;

    stack = arena_array(scratch, uint32_t, (size_t)m->count * 2 + 2);
    matched = states_add(m, &now, seen, 1, stack, 0, true, text.len == 0);
    for (size_t at = 0, turn = 2; at < text.len && !matched; turn++) {
        struct states old = now;
        uint32_t      cp;
        size_t        n = utf8_decode(text.ptr + at, text.ptr + text.len, &cp);

        at += n ? n : 1;
        then.count = 0;
        for (uint32_t i = 0; i < now.count; i++) {
            const struct node *node = &m->nodes[now.list[i]];
            struct chars       chars;

            if (chars_read(node->atom, &chars) && chars_have(&chars, cp))
                matched |= states_add(m, &then, seen, (uint32_t)turn, stack, node->next, false, at == text.len);
        }
        matched |= states_add(m, &then, seen, (uint32_t)turn, stack, 0, false, at == text.len);
        now = then;
        then = old;
    }
    return matched;
}

enum pattern_answer pattern_match(str pattern, str text, int64_t *fuel)
{
    struct arena        scratch;
    struct machine      m = { 0 };
    enum pattern_answer answer = PATTERN_UNKNOWN;
    uint32_t            end, last;

    *fuel -= BUILD_COST;
    if (pattern.len > LEN_MAX || *fuel < 0)
        return PATTERN_UNKNOWN;
    arena_init(&scratch, 0);
    m.nodes = arena_array(&scratch, struct node, NODES_MAX);
    node_add(&m, NODE_SPLIT);
    if (alternatives_build(&m, pattern, 0, 0, &end)) {
        last = node_add(&m, NODE_MATCH);
        *fuel -= (int64_t)(m.count * (text.len + 1) / 4);
        if (last != NODES_MAX && *fuel >= 0) {
            node_link(&m, end, last);
            answer = machine_run(&scratch, &m, text) ? PATTERN_MATCHES : PATTERN_DIFFERS;
        }
    }
    arena_free(&scratch);
    return answer;
}
