/* pattern.c - walks a regular expression and writes down what it would accept.
 *
 * The pattern is not compiled: each group is cut into its alternatives, one is chosen, and its items are written as
 * often as their quantifiers ask. Lengths are met by trying: each round repeats open-ended items a little more often.
 *
 * Limits: groups NEST_MAX deep; STEPS_MAX items a text, so that ((a{99}){99}){99} ends.
 */
#include "engine/standin/pattern.h"

#include "base/rand.h"
#include "base/utf8.h"

#define NEST_MAX 8
#define STEPS_MAX 20000
#define ROUNDS_MAX 40
#define REPEAT_MAX 10000

struct walk {
    struct buf *out;
    uint64_t   *dice;
    size_t      extra; /* how often more than its minimum an open-ended item is repeated */
    size_t      steps;
    bool        open_start, open_end; /* not anchored there: any text may stand before or after */
};

/* A set of the ASCII characters. Others take part in classes only as single literals. */
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

/* `p` is the whole class with its brackets. */
static bool class_write(struct walk *w, str p)
{
    struct set set = { 0 };
    uint32_t   other = 0, cp;
    bool       negative = p.ptr[1] == '^';

    p = str_of(p.ptr + 1 + negative, p.len - 2 - negative);
    while (p.len) {
        uint32_t from, to;
        size_t   n = class_char(p, &from);

        if (n == 0) {
            if (p.len < 2 || p.ptr[0] != '\\')
                return false;
            n = set_add_class(&set, p.ptr[1]) ? 2 : 0;
            if (n == 0 && p.ptr[1] == 'p')
                n = set_add_property(&set, str_from(p, 2));
            if (n == 0)
                return false;
            p = str_from(p, p.ptr[1] == 'p' ? n + 2 : n);
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
            if (to < from)
                return false;
        }
        if (from < 128)
            set_add(&set, from, to);
        else
            other = from;
    }
    if (negative)
        set_invert(&set);
    if (set_pick(&set, w->dice, &cp))
        put(w, cp);
    else if (other && !negative)
        put(w, other);
    else
        return false;
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

/* What is in the brackets of a group: its name or kind is cut off. */
static bool group_write(struct walk *w, str p, unsigned depth)
{
    if (str_starts(p, S("?:"))) {
        p = str_from(p, 2);
    } else if (str_starts(p, S("?<")) && p.len > 2 && p.ptr[2] != '=' && p.ptr[2] != '!') {
        size_t close = str_find(p, '>');

        if (close == STR_NONE)
            return false;
        p = str_from(p, close + 1);
    } else if (str_starts(p, S("?"))) {
        return false; /* look-around, flags */
    }
    return alternatives_write(w, p, depth + 1);
}

static bool escape_write(struct walk *w, str atom)
{
    struct set set = { 0 };
    uint32_t   cp;

    if (escape_read(str_from(atom, 1), &cp)) {
        put(w, cp);
        return true;
    }
    if (atom.len < 2)
        return false;
    if (atom.ptr[1] == 'b' || atom.ptr[1] == 'B')
        return true;
    if (!set_add_class(&set, atom.ptr[1]) &&
        !(atom.ptr[1] == 'p' && set_add_property(&set, str_from(atom, 2))))
        return false;
    if (!set_pick(&set, w->dice, &cp))
        return false;
    put(w, cp);
    return true;
}

static bool atom_write(struct walk *w, str atom, unsigned depth)
{
    static const struct set any = { { ~UINT64_C(0), ~UINT64_C(0) } };
    uint32_t                cp;

    if (++w->steps > STEPS_MAX)
        return false;
    switch (atom.ptr[0]) {
    case '^':
        if (w->out->len == 0)
            w->open_start = false;
        return true;
    case '$':
        w->open_end = false;
        return true;
    case '.':
        if (!set_pick(&any, w->dice, &cp))
            return false;
        put(w, cp);
        return true;
    case '[':
        return class_write(w, atom);
    case '(':
        return group_write(w, str_of(atom.ptr + 1, atom.len - 2), depth);
    case '\\':
        return escape_write(w, atom);
    default:
        buf_add(w->out, atom);
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
        if (times == 0)
            w->steps++;
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

bool pattern_text(str pattern, size_t min, size_t max, uint64_t *dice, struct buf *out)
{
    struct arena scratch;
    struct buf   text;
    bool         found = false;

    arena_init(&scratch, 0);
    buf_init(&text, &scratch, out->max - out->len);
    for (size_t round = 0; round < ROUNDS_MAX && !found; round++) {
        /* 0, 1, 2, … and at last as many as the length could ask for. */
        size_t      extra = round + 1 < ROUNDS_MAX ? round : min;
        struct walk w = { .out = &text, .dice = dice, .extra = extra, .open_start = true, .open_end = true };
        size_t      length;

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
