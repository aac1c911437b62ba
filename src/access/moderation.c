/* moderation.c - sets of rules.
 *
 * A set is two machines, one of all its words and one of all its expressions (moderation_words.c, moderation_regex.c); a
 * text
 * is folded a run at a time, and each machine of the set and of those it stands on goes over the run. Of a workspace's set
 * and the one below it neither is compiled for the other.
 *
 * A conversation is sent again with every turn, so a set knows the texts again that it has lately looked at whole and found
 * nothing in: a table of their hashes, of secrets of the set, each in the one place that its own bits name.
 *
 * Thread: a set is shared. What the expressions learn on the way is kept in caches, which are taken from the set for a run
 * of text and given back.
 */
#include "access/moderation.h"

#include "access/moderation_fold.h"
#include "access/moderation_regex.h"
#include "access/moderation_words.h"
#include "base/hash.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "contract/json.h"

#include <stdatomic.h>

#define DEPTH_MAX 4    /* sets on top of each other */
#define SPARES    8    /* caches kept for the next text */
#define CLEAN     4096 /* texts known as clean, a power of two */
#define CLEAN_MIN 64   /* bytes: shorter ones are looked at sooner than they are looked up */

/* ---- sets ---- */

struct moderation_set {
    atomic_uint                   holders;
    struct arena                  arena;
    struct moderation_rule       *rules;
    size_t                        count;
    unsigned                      own_sides, sides; /* sides: with those of the base */
    struct moderation_set        *base;
    unsigned                      depth;   /* how many sets this one is, with its bases */
    struct words                 *words;   /* NULL: none */
    struct regexes               *regexes; /* NULL: none */
    _Atomic(struct regex_cache *) spares[SPARES];
    uint64_t                      secrets[3];
    _Atomic uint64_t              clean[CLEAN]; /* hashes; 0: none */
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

/* What is wrong with the rule whatever it is, NULL for nothing. */
static const char *rule_problem(const struct moderation_rule *r, enum err *ret)
{
    ASSERT(r->sides && (r->sides & ~MODERATION_BOTH) == 0);
    *ret = ERR_INVALID;
    if (r->pattern.len == 0)
        return "empty";
    if (!utf8_valid(r->pattern))
        return "not UTF-8";
    *ret = ERR_LIMIT;
    return r->pattern.len > MODERATION_PATTERN_MAX ? "longer than 1000 bytes" : NULL;
}

static str fold_word(str word, struct arena *a)
{
    struct fold f = { 0 };
    char        run[FOLD_RUN];

    static_assert(FOLD_RUN > 4 * MODERATION_PATTERN_MAX, "a word is one run");
    return arena_str(a, str_of(run, fold_run(&f, &word, run)));
}

/* Gathers the words, reads the expressions. */
static enum err compile_rules(struct moderation_set *s, struct arena *work, struct moderation_problem *ret_problem)
{
    struct word *words = arena_array(work, struct word, s->count);
    size_t       word_count = 0, word_bytes = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct moderation_rule *r = &s->rules[i];
        enum err                      e = OK;

        ret_problem->rule = i;
        ret_problem->text = str_from_cstr(rule_problem(r, &e));
        if (ret_problem->text.len)
            return e;
        s->own_sides |= r->sides;
        if (r->is_regex) {
            const char *problem;

            if (!s->regexes)
                s->regexes = regexes_new(&s->arena);
            e = regexes_add(s->regexes, r->pattern, (uint32_t)i, r->sides, &problem);
            if (e) {
                ret_problem->text = str_from_cstr(problem);
                return e;
            }
            continue;
        }
        words[word_count++] = (struct word){ fold_word(r->pattern, work), (uint32_t)i, r->sides };
        word_bytes += r->pattern.len;
        if (word_bytes > MODERATION_WORDS_MAX) {
            ret_problem->text = S("too many words: here they are over 4 MB");
            return ERR_LIMIT;
        }
    }
    if (word_count)
        s->words = words_new(words, word_count, &s->arena);
    if (s->regexes)
        regexes_finish(s->regexes);
    return OK;
}

static struct moderation_set *set_new(const struct moderation_rule *rules, size_t count, struct moderation_set *base)
{
    struct moderation_set *s = xcalloc(1, sizeof(*s));

    atomic_init(&s->holders, 1);
    arena_init(&s->arena, 0);
    rand_secret(s->secrets, sizeof(s->secrets));
    s->rules = arena_array(&s->arena, struct moderation_rule, count);
    s->count = count;
    for (size_t i = 0; i < count; i++) {
        s->rules[i] = rules[i];
        s->rules[i].id = arena_str(&s->arena, rules[i].id);
        s->rules[i].pattern = arena_str(&s->arena, rules[i].pattern);
    }
    s->base = moderation_hold(base);
    s->depth = base ? base->depth + 1 : 1;
    ASSERT(s->depth <= DEPTH_MAX);
    return s;
}

enum err moderation_compile(const struct moderation_rule *rules, size_t count, struct moderation_set *base,
                            struct arena *a, struct moderation_set **ret, struct moderation_problem *ret_problem)
{
    struct moderation_set    *s;
    struct moderation_problem problem;
    struct arena              work;
    enum err                  e;

    if (count > MODERATION_RULES_MAX) {
        ret_problem->rule = SIZE_MAX;
        ret_problem->text = arena_printf(a, "%zu rules, and %d are the limit", count, MODERATION_RULES_MAX);
        return ERR_LIMIT;
    }
    s = set_new(rules, count, base);
    arena_init(&work, 0);
    e = compile_rules(s, &work, &problem);
    arena_free(&work);
    if (e) {
        ret_problem->rule = problem.rule;
        ret_problem->text = arena_printf(a, "%.*s: %.*s", STR_ARG(rules[problem.rule].id), STR_ARG(problem.text));
        moderation_release(s);
        return e;
    }
    s->sides = s->own_sides | (base ? base->sides : 0);
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
    for (size_t i = 0; i < SPARES; i++)
        regex_cache_close(atomic_load(&s->spares[i]));
    moderation_release(s->base);
    arena_free(&s->arena);
    free(s);
}

bool moderation_looks_at(const struct moderation_set *s, unsigned side)
{
    return s && (s->sides & side);
}

/* ---- scanning ---- */

static struct regex_cache *cache_take(struct moderation_set *s)
{
    for (size_t i = 0; i < SPARES; i++) {
        struct regex_cache *c = atomic_exchange_explicit(&s->spares[i], NULL, memory_order_acquire);

        if (c)
            return c;
    }
    return regex_cache_open(s->regexes);
}

static void cache_give(struct moderation_set *s, struct regex_cache *c)
{
    for (size_t i = 0; i < SPARES; i++) {
        struct regex_cache *none = NULL;

        if (atomic_compare_exchange_strong_explicit(&s->spares[i], &none, c, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    regex_cache_close(c);
}

struct moderation_stream {
    struct moderation_set    *set;
    unsigned                  side;
    struct fold               fold;
    bool                      found, ended;
    struct moderation_verdict verdict;
    /* One for each set that looks at this side, the lowest base first. */
    size_t count;
    struct part {
        struct moderation_set *set;
        uint32_t               words;
        struct regex_place     place;
        struct regex_cache    *cache; /* while a piece is scanned */
    } parts[DEPTH_MAX];
};

static void parts_open(struct moderation_stream *st, struct moderation_set *s)
{
    if (!s)
        return;
    parts_open(st, s->base);
    if (s->own_sides & st->side)
        st->parts[st->count++].set = s;
}

static void stream_init(struct moderation_stream *st, struct moderation_set *s, unsigned side)
{
    ASSERT(side == MODERATION_INPUT || side == MODERATION_OUTPUT);
    *st = (struct moderation_stream){ .set = s, .side = side };
    parts_open(st, s);
}

static void stream_close(struct moderation_stream *st)
{
    for (size_t i = 0; i < st->count; i++)
        regex_place_free(&st->parts[i].place);
}

static void caches_take(struct moderation_stream *st)
{
    for (size_t i = 0; i < st->count; i++)
        if (st->parts[i].set->regexes)
            st->parts[i].cache = cache_take(st->parts[i].set);
}

static void caches_give(struct moderation_stream *st)
{
    for (size_t i = 0; i < st->count; i++)
        if (st->parts[i].set->regexes)
            cache_give(st->parts[i].set, st->parts[i].cache);
}

/* Looks at a run. Returns the rule of the match that is known first, NULL for none. */
static const struct moderation_rule *parts_scan(struct moderation_stream *st, str run)
{
    const struct moderation_rule *found = NULL;
    size_t                        end;
    uint32_t                      rule;

    for (size_t i = 0; i < st->count; i++) {
        struct part                  *part = &st->parts[i];
        const struct moderation_rule *rules = part->set->rules, *own = NULL;
        size_t                        own_end = run.len + 1;

        if (part->set->words && words_scan(part->set->words, &part->words, run, st->side, &end, &rule)) {
            own = &rules[rule];
            own_end = end;
        }
        if (part->set->regexes &&
            regexes_scan(part->cache, &part->place, str_first(run, own_end), st->side, &end, &rule) &&
            (end < own_end || &rules[rule] < own)) {
            own = &rules[rule];
            own_end = end;
        }
        if (own) {
            found = own;
            /* The next set has to be earlier than that. */
            run = str_first(run, own_end - 1);
        }
    }
    return found;
}

static bool stream_found(struct moderation_stream *st, const struct moderation_rule *r, struct moderation_verdict *ret)
{
    if (r && !st->found) {
        st->found = true;
        st->verdict = (struct moderation_verdict){ .kind = r->kind, .side = st->side, .rule = r->id };
    }
    if (st->found)
        *ret = st->verdict;
    return st->found;
}

bool moderation_stream_feed(struct moderation_stream *st, str piece, struct moderation_verdict *ret)
{
    const struct moderation_rule *r = NULL;
    char                          run[FOLD_RUN];
    size_t                        n;

    ASSERT(!st->ended);
    if (!st->found && st->count) {
        caches_take(st);
        while (!r && (n = fold_run(&st->fold, &piece, run)))
            r = parts_scan(st, str_of(run, n));
        caches_give(st);
    }
    return stream_found(st, r, ret);
}

/* The rest of what was cut short, and what waits for the end. */
static const struct moderation_rule *parts_end(struct moderation_stream *st)
{
    char                          run[FOLD_RUN];
    size_t                        n = fold_end(&st->fold, run);
    const struct moderation_rule *r = n ? parts_scan(st, str_of(run, n)) : NULL;
    uint32_t                      rule;

    for (size_t i = 0; i < st->count && !r; i++) {
        struct part *part = &st->parts[i];

        if (part->set->regexes && regexes_end(part->cache, &part->place, st->side, &rule))
            r = &part->set->rules[rule];
    }
    return r;
}

bool moderation_stream_end(struct moderation_stream *st, struct moderation_verdict *ret)
{
    const struct moderation_rule *r = NULL;

    if (!st->found && !st->ended && st->count) {
        caches_take(st);
        r = parts_end(st);
        caches_give(st);
    }
    st->ended = true;
    return stream_found(st, r, ret);
}

static void stream_release(void *arg)
{
    struct moderation_stream *st = arg;

    stream_close(st);
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
    bool                      found, remember = text.len >= CLEAN_MIN;
    uint64_t                  hash = 0;

    if (!moderation_looks_at(s, side))
        return false;
    if (remember) {
        hash = hash_secret(s->secrets, text, side);
        if (atomic_load_explicit(&s->clean[hash % CLEAN], memory_order_relaxed) == hash && hash)
            return false;
    }
    stream_init(&st, s, side);
    moderation_stream_feed(&st, text, &v);
    found = moderation_stream_end(&st, &v);
    stream_close(&st);
    if (found)
        *ret = v;
    else if (remember)
        atomic_store_explicit(&s->clean[hash % CLEAN], hash, memory_order_relaxed);
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
