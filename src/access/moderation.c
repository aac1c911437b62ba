/* moderation.c - sets of rules, on Hyperscan (or Vectorscan, its twin for every processor).
 *
 * One database of the library holds all rules of a set and finds them in one pass, in streams: its state between two pieces
 * is some ten bytes, whatever the rules, and no rule can make it go back. It was chosen by measurement; ARCHITECTURE.md
 * has the figures. It does not name matches in order, so the first one is chosen here, from a run of folded text.
 *
 * The library is loaded when the first rule is compiled: who has no rules does not pay for its megabytes.
 *
 * Thread: a set is shared. What a scan needs to write to, the scratch, is taken from the set and given back.
 * Memory: a set has its own; the library's is malloc's.
 */
#include "access/moderation.h"

#include "access/moderation_fold.h"
#include "base/log.h"
#include "base/utf8.h"
#include "contract/json.h"

#include <dlfcn.h>
#include <hs.h>
#include <pthread.h>
#include <stdatomic.h>

#define LIBRARY   "libhs.so.5"
#define DEPTH_MAX 4  /* sets on top of each other */
#define SPARES    8  /* scratches kept for the next scan */
#define NEST_MAX  50 /* groups in groups of a regular expression */

/* ---- the library ---- */

#define LIBRARY_FUNCTIONS(X) \
    X(valid_platform)        \
    X(compile_multi)         \
    X(free_compile_error)    \
    X(free_database)         \
    X(alloc_scratch)         \
    X(clone_scratch)         \
    X(free_scratch)          \
    X(open_stream)           \
    X(scan_stream)           \
    X(close_stream)

static struct {
#define FUNCTION_POINTER(name) __typeof__(&hs_##name) name;
    LIBRARY_FUNCTIONS(FUNCTION_POINTER)
#undef FUNCTION_POINTER
} hs;

static const char *library_problem; /* NULL: it is there */

static void library_load(void)
{
    static char text[200];
    void       *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        snprintf(text, sizeof(text), "cannot load " LIBRARY " (Debian's libvectorscan5): %s", dlerror());
        library_problem = text;
        return;
    }
#define FUNCTION_FIND(name)                           \
    *(void **)&hs.name = dlsym(library, "hs_" #name); \
    if (!hs.name) {                                   \
        library_problem = LIBRARY " lacks hs_" #name; \
        return;                                       \
    }
    LIBRARY_FUNCTIONS(FUNCTION_FIND)
#undef FUNCTION_FIND
    if (hs.valid_platform() != HS_SUCCESS)
        library_problem = LIBRARY " does not run on this processor";
}

/* ---- sets ---- */

struct moderation_set {
    atomic_uint             holders;
    struct arena            arena;
    struct moderation_rule *rules;
    size_t                  count;
    unsigned                own_sides, sides; /* sides: with those of the base */
    struct moderation_set  *base;
    unsigned                depth;   /* how many sets this one is, with its bases */
    hs_database_t          *db;      /* NULL without rules of its own */
    hs_scratch_t           *scratch; /* the model of the others, never used itself */
    _Atomic(hs_scratch_t *) spares[SPARES];
};

static const str kind_words[] = {
    [MODERATION_BLOCK] = { "block", 5 },
    [MODERATION_CUSTOM] = { "custom", 6 },
    [MODERATION_FAQ] = { "faq", 3 },
    [MODERATION_IP] = { "ip", 2 },
};

bool moderation_kind_read(str word, enum moderation_kind *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_words); i++) {
        if (str_eq(word, kind_words[i])) {
            *ret = (enum moderation_kind)i;
            return true;
        }
    }
    return false;
}

str moderation_kind_word(enum moderation_kind kind)
{
    return kind_words[kind];
}

/* The word folded, and each byte of it as \xNN: nothing in it means anything to the library. */
static const char *word_expression(str word, struct arena *a)
{
    static const char digits[] = "0123456789abcdef";
    struct fold       f = { 0 };
    struct buf        b;
    char              run[FOLD_RUN];
    size_t            n;

    buf_init(&b, a, 8 * MODERATION_PATTERN_MAX + 1);
    while ((n = fold_run(&f, &word, run))) {
        for (size_t i = 0; i < n; i++) {
            unsigned char c = (unsigned char)run[i];

            buf_add_bytes(&b, (char[4]){ '\\', 'x', digits[c >> 4], digits[c & 15] }, 4);
        }
    }
    buf_add_char(&b, '\0');
    ASSERT(!b.full);
    return b.ptr;
}

/* The expression with its texts folded. What becomes an ASCII character means that character: "（" is no group. */
static const char *regex_expression(str regex, struct arena *a)
{
    const char *p = regex.ptr, *end = str_end(regex);
    struct buf  b;
    bool        escaped = false;

    buf_init(&b, a, 8 * MODERATION_PATTERN_MAX + 1);
    while (p < end) {
        uint32_t cp = 0, folded;
        size_t   n = utf8_decode(p, end, &cp);
        char     bytes[4];

        ASSERT(n);
        p += n;
        folded = fold_code_point(cp);
        if (cp >= 0x80 && folded < 0x80) {
            if (escaped)
                b.len--; /* the backslash before it */
            buf_addf(&b, "\\x%02x", (unsigned)folded);
        } else {
            buf_add_bytes(&b, bytes, utf8_encode(bytes, folded));
        }
        escaped = cp == '\\' && !escaped;
    }
    buf_add_char(&b, '\0');
    ASSERT(!b.full);
    return b.ptr;
}

/* Past the class that begins at `p` with "[". */
static const char *class_end(const char *p, const char *end)
{
    p++;
    if (p < end && *p == '^')
        p++;
    if (p < end && *p == ']')
        p++;
    while (p < end && *p != ']') {
        if (*p == '[' && end - p > 1 && p[1] == ':') { /* [:alpha:] */
            p += 2;
            while (p < end && *p != ']')
                p++;
        } else if (*p == '\\' && end - p > 1) {
            p++;
        }
        if (p < end)
            p++;
    }
    return p < end ? p + 1 : end;
}

/* Reads "{m}", "{m,}", "{m,n}" at `p`; its length, 0 when it is no such thing. */
static size_t repeat_read(str s, size_t *ret_times)
{
    size_t  close = str_find(s, '}');
    str     least, most;
    int64_t m = 0, n = 0;

    if (close == STR_NONE || close < 2)
        return 0;
    most = str_of(s.ptr + 1, close - 1);
    least = str_cut(&most, ',');
    if (!str_to_i64(least, &m) || (most.len && !str_to_i64(most, &n)))
        return 0;
    *ret_times = (size_t)(m > n ? m : n);
    return close + 1;
}

/* How many places the expression has when its repeats are written out, which is what it costs to compile: (a.{1,1000}){10}
 * would take the library half a minute. Rough, never less than it is by much, and bounded by `most` + 1. SIZE_MAX: nested
 * too deep. That it is a good expression is for the library to say. */
static size_t regex_size(str regex, size_t most)
{
    size_t      outer[NEST_MAX], depth = 0; /* what the groups around this one have so far */
    size_t      sum = 0, atom = 0;
    const char *p = regex.ptr, *end = str_end(regex);

    while (p < end) {
        size_t times = 1, n;

        switch (*p) {
        case '(':
            if (depth == NEST_MAX)
                return SIZE_MAX;
            outer[depth++] = sum + atom;
            sum = atom = 0;
            p++;
            break;
        case ')':
            atom += sum;
            sum = depth ? outer[--depth] : 0;
            p++;
            break;
        case '[':
            sum += atom;
            atom = 1;
            p = class_end(p, end);
            break;
        case '{':
            n = repeat_read(str_of(p, (size_t)(end - p)), &times);
            if (n) {
                atom = times && atom > most / times ? most + 1 : atom * times;
                p += n;
                break;
            }
            sum += atom;
            atom = 1;
            p++;
            break;
        case '*':
        case '+':
        case '?':
        case '|':
        case '^':
        case '$':
            p++;
            break;
        case '\\':
            sum += atom;
            atom = 1;
            p += end - p > 1 ? 2 : 1;
            if (p < end && *p == '{') { /* \p{…}, \x{…} */
                while (p < end && *p != '}')
                    p++;
            }
            break;
        default:
            sum += atom;
            atom = 1;
            p++;
        }
        if (sum + atom > most)
            return most + 1;
    }
    return sum + atom;
}

/* What is wrong with the rule by itself, NULL for nothing. */
static const char *rule_problem(const struct moderation_rule *r, struct arena *a, enum err *ret)
{
    size_t size;

    ASSERT(r->sides && (r->sides & ~MODERATION_BOTH) == 0);
    *ret = ERR_INVALID;
    if (r->pattern.len == 0)
        return "empty";
    if (!utf8_valid(r->pattern))
        return "not UTF-8";
    if (str_find(r->pattern, '\0') != STR_NONE)
        return "has a NUL in it";
    *ret = ERR_LIMIT;
    if (r->pattern.len > MODERATION_PATTERN_MAX)
        return arena_printf(a, "longer than %d bytes", MODERATION_PATTERN_MAX).ptr;
    if (!r->is_regex)
        return NULL;
    size = regex_size(r->pattern, MODERATION_REGEX_MAX);
    if (size == SIZE_MAX)
        return arena_printf(a, "groups nested more than %d deep", NEST_MAX).ptr;
    if (size > MODERATION_REGEX_MAX)
        return arena_printf(a, "more than %d places when its repeats are written out", MODERATION_REGEX_MAX).ptr;
    return NULL;
}

static enum err check_rules(const struct moderation_rule *rules, size_t count, struct arena *a,
                            struct moderation_problem *ret_problem)
{
    size_t   words = 0, places = 0;
    enum err e = OK;

    if (count > MODERATION_RULES_MAX) {
        ret_problem->rule = SIZE_MAX;
        ret_problem->text = arena_printf(a, "%zu rules, and %d are the limit", count, MODERATION_RULES_MAX);
        return ERR_LIMIT;
    }
    for (size_t i = 0; i < count; i++) {
        const char *problem = rule_problem(&rules[i], a, &e);

        if (!problem) {
            *(rules[i].is_regex ? &places : &words) +=
                rules[i].is_regex ? regex_size(rules[i].pattern, MODERATION_REGEX_MAX) : rules[i].pattern.len;
            e = ERR_LIMIT;
            if (words > MODERATION_WORDS_MAX)
                problem = "too many words: from here on they are over 4 MB";
            else if (places > MODERATION_REGEXES_MAX)
                problem = arena_printf(a, "too many regular expressions: from here on they have over %d places",
                                       MODERATION_REGEXES_MAX)
                              .ptr;
        }
        if (problem) {
            ret_problem->rule = i;
            ret_problem->text = arena_printf(a, "%.*s: %s", STR_ARG(rules[i].id), problem);
            return e;
        }
    }
    return OK;
}

static enum err compile_failed(const hs_compile_error_t *error, const struct moderation_rule *rules, struct arena *a,
                               struct moderation_problem *ret_problem)
{
    if (error->expression < 0) {
        ret_problem->rule = SIZE_MAX;
        ret_problem->text = arena_str(a, str_from_cstr(error->message));
        return ERR_LIMIT;
    }
    ret_problem->rule = (size_t)error->expression;
    ret_problem->text = arena_printf(a, "%.*s: %s", STR_ARG(rules[error->expression].id), error->message);
    return ERR_INVALID;
}

static enum err compile_database(const struct moderation_rule *rules, size_t count, struct arena *a,
                                 hs_database_t **ret, struct moderation_problem *ret_problem)
{
    struct arena        work;
    hs_compile_error_t *error = NULL;
    const char        **expressions;
    unsigned           *flags, *ids;
    enum err            e = OK;

    arena_init(&work, 0);
    expressions = arena_array(&work, const char *, count);
    flags = arena_array(&work, unsigned, count);
    ids = arena_array(&work, unsigned, count);
    for (size_t i = 0; i < count; i++) {
        expressions[i] =
            rules[i].is_regex ? regex_expression(rules[i].pattern, &work) : word_expression(rules[i].pattern, &work);
        /* A word is bytes: no code point has the bytes of another one in it. */
        flags[i] = HS_FLAG_CASELESS | (rules[i].is_regex ? HS_FLAG_UTF8 : 0);
        ids[i] = (unsigned)i;
    }
    if (hs.compile_multi(expressions, flags, ids, (unsigned)count, HS_MODE_STREAM, NULL, ret, &error) != HS_SUCCESS) {
        e = compile_failed(error, rules, a, ret_problem);
        hs.free_compile_error(error);
    }
    arena_free(&work);
    return e;
}

enum err moderation_compile(const struct moderation_rule *rules, size_t count, struct moderation_set *base,
                            struct arena *a, struct moderation_set **ret, struct moderation_problem *ret_problem)
{
    static pthread_once_t  once = PTHREAD_ONCE_INIT;
    struct moderation_set *s;
    hs_database_t         *db = NULL;
    enum err               e = check_rules(rules, count, a, ret_problem);

    if (e)
        return e;
    if (count) {
        pthread_once(&once, library_load);
        if (library_problem) {
            *ret_problem = (struct moderation_problem){ SIZE_MAX, str_from_cstr(library_problem) };
            return ERR_IO;
        }
        e = compile_database(rules, count, a, &db, ret_problem);
        if (e)
            return e;
    }
    s = xcalloc(1, sizeof(*s));
    atomic_init(&s->holders, 1);
    arena_init(&s->arena, 0);
    s->rules = arena_array(&s->arena, struct moderation_rule, count);
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        s->rules[i] = rules[i];
        s->rules[i].id = arena_str(&s->arena, rules[i].id);
        s->rules[i].pattern = arena_str(&s->arena, rules[i].pattern);
        s->own_sides |= rules[i].sides;
    }
    s->base = moderation_hold(base);
    s->sides = s->own_sides | (base ? base->sides : 0);
    s->depth = base ? base->depth + 1 : 1;
    ASSERT(s->depth <= DEPTH_MAX);
    s->db = db;
    if (db && hs.alloc_scratch(db, &s->scratch) != HS_SUCCESS)
        panic(__FILE__, __LINE__, __func__, "out of memory");
    *ret = s;
    return OK;
}

struct moderation_set *moderation_hold(struct moderation_set *s)
{
    if (s)
        atomic_fetch_add_explicit(&s->holders, 1, memory_order_relaxed);
    return s;
}

void moderation_release(struct moderation_set *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->holders, 1, memory_order_acq_rel) != 1)
        return;
    if (s->db) {
        for (size_t i = 0; i < SPARES; i++)
            hs.free_scratch(atomic_load(&s->spares[i]));
        hs.free_scratch(s->scratch);
        hs.free_database(s->db);
    }
    moderation_release(s->base);
    arena_free(&s->arena);
    free(s);
}

bool moderation_looks_at(const struct moderation_set *s, unsigned side)
{
    return s && (s->sides & side);
}

/* ---- scanning ---- */

static hs_scratch_t *scratch_take(struct moderation_set *s)
{
    hs_scratch_t *scratch = NULL;

    for (size_t i = 0; i < SPARES; i++)
        if ((scratch = atomic_exchange_explicit(&s->spares[i], NULL, memory_order_acquire)))
            return scratch;
    if (hs.clone_scratch(s->scratch, &scratch) != HS_SUCCESS)
        panic(__FILE__, __LINE__, __func__, "out of memory");
    return scratch;
}

static void scratch_give(struct moderation_set *s, hs_scratch_t *scratch)
{
    for (size_t i = 0; i < SPARES; i++) {
        hs_scratch_t *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&s->spares[i], &none, scratch, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    hs.free_scratch(scratch);
}

struct moderation_stream {
    struct moderation_set    *set;
    unsigned                  side;
    struct fold               fold;
    bool                      found, ended;
    struct moderation_verdict verdict;
    /* One for each set that looks at this side, the lowest base first. */
    size_t count;
    struct {
        struct moderation_set *set;
        hs_stream_t           *stream;
        hs_scratch_t          *scratch; /* while a piece is scanned */
    } parts[DEPTH_MAX];
};

/* The first of what is found. */
struct match {
    const struct moderation_set  *set; /* the one that is scanned */
    unsigned                      side;
    const struct moderation_rule *rule; /* NULL: nothing yet */
    const struct moderation_set  *rule_set;
    unsigned long long            end;
};

static int on_match(unsigned id, unsigned long long from, unsigned long long to, unsigned flags, void *arg)
{
    struct match                 *m = arg;
    const struct moderation_rule *r = &m->set->rules[id];

    (void)from;
    (void)flags;
    if (!(r->sides & m->side))
        return 0;
    if (!m->rule || to < m->end || (to == m->end && m->set == m->rule_set && r < m->rule)) {
        m->rule = r;
        m->rule_set = m->set;
        m->end = to;
    }
    return 0;
}

static void parts_open(struct moderation_stream *st, struct moderation_set *s)
{
    hs_stream_t *stream = NULL;

    if (!s)
        return;
    parts_open(st, s->base);
    if (!(s->own_sides & st->side))
        return;
    if (hs.open_stream(s->db, 0, &stream) != HS_SUCCESS)
        panic(__FILE__, __LINE__, __func__, "out of memory");
    st->parts[st->count].set = s;
    st->parts[st->count++].stream = stream;
}

static void stream_init(struct moderation_stream *st, struct moderation_set *s, unsigned side)
{
    *st = (struct moderation_stream){ .set = s, .side = side };
    parts_open(st, s);
}

static bool stream_verdict(struct moderation_stream *st, const struct match *m, struct moderation_verdict *ret)
{
    if (m && m->rule) {
        st->found = true;
        st->verdict = (struct moderation_verdict){ .kind = m->rule->kind, .side = st->side, .rule = m->rule->id };
    }
    if (st->found)
        *ret = st->verdict;
    return st->found;
}

static void parts_scratch_take(struct moderation_stream *st)
{
    for (size_t i = 0; i < st->count; i++)
        st->parts[i].scratch = scratch_take(st->parts[i].set);
}

static void parts_scratch_give(struct moderation_stream *st)
{
    for (size_t i = 0; i < st->count; i++)
        scratch_give(st->parts[i].set, st->parts[i].scratch);
}

static void parts_scan(struct moderation_stream *st, const char *run, size_t len, struct match *m)
{
    for (size_t i = 0; i < st->count; i++) {
        hs_error_t e;

        m->set = st->parts[i].set;
        e = hs.scan_stream(st->parts[i].stream, run, (unsigned)len, 0, st->parts[i].scratch, on_match, m);
        ASSERT(e == HS_SUCCESS);
    }
}

bool moderation_stream_feed(struct moderation_stream *st, str piece, struct moderation_verdict *ret)
{
    struct match m = { .side = st->side };
    char         run[FOLD_RUN];
    size_t       n;

    ASSERT(!st->ended);
    if (st->found || st->count == 0 || piece.len == 0)
        return stream_verdict(st, NULL, ret);
    parts_scratch_take(st);
    while (!m.rule && (n = fold_run(&st->fold, &piece, run)))
        parts_scan(st, run, n, &m);
    parts_scratch_give(st);
    return stream_verdict(st, &m, ret);
}

static void parts_close(struct moderation_stream *st, struct match *m)
{
    for (size_t i = 0; i < st->count; i++) {
        hs_error_t e;

        m->set = st->parts[i].set;
        e = hs.close_stream(st->parts[i].stream, st->parts[i].scratch, on_match, m);
        ASSERT(e == HS_SUCCESS);
    }
}

bool moderation_stream_end(struct moderation_stream *st, struct moderation_verdict *ret)
{
    struct match m = { .side = st->side };
    char         run[FOLD_RUN];
    size_t       n;

    if (!st->ended) {
        st->ended = true;
        parts_scratch_take(st);
        n = fold_end(&st->fold, run);
        if (n)
            parts_scan(st, run, n, &m);
        parts_close(st, &m);
        parts_scratch_give(st);
    }
    return stream_verdict(st, st->found ? NULL : &m, ret);
}

static void stream_release(void *arg)
{
    struct moderation_stream *st = arg;

    if (!st->ended)
        for (size_t i = 0; i < st->count; i++)
            hs.close_stream(st->parts[i].stream, NULL, NULL, NULL);
    moderation_release(st->set);
}

struct moderation_stream *moderation_stream_open(struct moderation_set *s, unsigned side, struct arena *a)
{
    struct moderation_stream *st = arena_new(a, struct moderation_stream);

    stream_init(st, moderation_hold(s), side);
    arena_defer(a, stream_release, st);
    return st;
}

bool moderation_check(struct moderation_set *s, unsigned side, str text, struct moderation_verdict *ret)
{
    struct moderation_stream  st;
    struct moderation_verdict v;
    bool                      found;

    if (!moderation_looks_at(s, side))
        return false;
    stream_init(&st, s, side);
    moderation_stream_feed(&st, text, &v);
    found = moderation_stream_end(&st, &v);
    if (found)
        *ret = v;
    return found;
}

/* ---- the header ---- */

unsigned moderation_header_sides(str value)
{
    struct arena a;
    yyjson_val  *v;
    unsigned     sides = 0;

    value = str_trim(value);
    if (str_eq_nocase(value, S("enable")))
        return MODERATION_BOTH;
    if (!str_starts(value, S("{")))
        return 0;
    arena_init(&a, 0);
    v = json_parse_copy(&a, value);
    if (str_eq(json_str(json_get(v, "input")), S("cip")))
        sides |= MODERATION_INPUT;
    if (str_eq(json_str(json_get(v, "output")), S("cip")))
        sides |= MODERATION_OUTPUT;
    arena_free(&a);
    return sides;
}
