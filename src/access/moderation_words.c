/* moderation_words.c - the automaton of the words.
 *
 * States are numbered breadth first, so the children of a state lie side by side, and the states that texts are mostly
 * in come
 * first. Those have a row with the next state for each class of bytes; the others have their children and the state to
 * fall back to.
 *
 * Most places of a text begin no word. They are passed over without the automaton: a bit for the first bytes of each word,
 * FILTER_BYTES of them or as many as the shortest has, says where one may begin, and where it does a second one is asked. The
 * automaton goes on from there until it stands on fewer bytes than that. When all words are longer, the bytes behind the
 * first ones have their bits as well, and one look is for several places. There are no more bits than are needed, as between
 * two requests they leave the nearest cache.
 */
#include "access/moderation_words.h"

#include "base/buf.h"
#include "base/num.h"

#include <stdlib.h>

#define ROWS_MAX      4096       /* states that have rows */
#define ROW_CELLS     (1u << 19) /* in all rows together */
#define FILTER_BYTES  4
#define FILTER_LEAST  3     /* a word shorter than that, and there is no filter */
#define FILTER_PLACES 8     /* that one look is for, at most */
#define FILTER_BITS   14    /* of a hash, at least */
#define FILTER_SPREAD 16    /* bits for one that is set, at least */
#define FILTER_FULL   16384 /* with more set it would cost more than it saves */
#define FILTER_ROOM   8192  /* with fewer, other places may have theirs */

#define FACTOR        UINT64_C(0x9E3779B97F4A7C15)
#define FACTOR_SECOND UINT64_C(0xD6E8FEB86659FD93)

#define NONE UINT32_MAX
#define HIT  0x80000000u /* in a row: a word ends in that state */

struct word_state {
    uint32_t      fall;     /* the longest other beginning that the text now ends in */
    uint32_t      child;    /* the first */
    uint32_t      rules[2]; /* that end here, by side; NONE */
    uint16_t      child_count;
    uint16_t      depth;
    unsigned char byte; /* that leads here */
};

struct words {
    struct word_state *states;
    uint32_t           count;
    uint32_t           row_count;
    uint32_t           class_count;
    uint32_t           row_shift; /* a row has that power of two cells: class_count of them are used */
    uint32_t          *rows;
    uint32_t           filter_bytes;
    uint32_t           filter_mask;
    uint32_t           filter_places;
    uint32_t           shallow; /* the states before this one stand on fewer bytes than filter_bytes; 0: no filter */
    unsigned char      classes[256]; /* 0: in no word */
    uint64_t          *filter, *filter_second;
    uint32_t           filter_shift; /* of a product of 64 bits, to the number of its bit */
};

static int compare_words(const void *a, const void *b)
{
    return str_cmp(((const struct word *)a)->text, ((const struct word *)b)->text);
}

/* The number of the bit of FILTER_BYTES bytes, in the filter that multiplies by `factor`. */
static inline uint32_t filter_number(const struct words *w, const char *ptr, uint64_t factor)
{
    const unsigned char *p = (const unsigned char *)ptr;
    uint32_t             v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;

    return (uint32_t)((v & w->filter_mask) * factor >> w->filter_shift);
}

static inline uint32_t filter_bit(const uint64_t *filter, uint32_t number)
{
    return filter[number / 64] >> (number % 64) & 1;
}

/* 1: a word may have these bytes there, 0: none has. */
static inline uint32_t filter_look(const struct words *w, const char *ptr)
{
    return filter_bit(w->filter, filter_number(w, ptr, FACTOR));
}

/* Where the first look saw one: the same with less doubt. */
static bool filter_look_second(const struct words *w, const char *ptr)
{
    return filter_bit(w->filter_second, filter_number(w, ptr, FACTOR_SECOND));
}

/* The bits of the words' bytes from `at` on. */
static void filter_add(struct words *w, const struct word *list, size_t count, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        char     bytes[FILTER_BYTES] = { 0 };
        uint32_t first, second;

        memcpy(bytes, list[i].text.ptr + at, w->filter_bytes);
        first = filter_number(w, bytes, FACTOR);
        second = filter_number(w, bytes, FACTOR_SECOND);
        w->filter[first / 64] |= UINT64_C(1) << (first % 64);
        w->filter_second[second / 64] |= UINT64_C(1) << (second % 64);
    }
}

static void build_filter(struct words *w, const struct word *list, size_t count, struct arena *a)
{
    uint32_t least, shallow = 0, beginnings = 0, bits = FILTER_BITS;
    size_t   shortest = SIZE_MAX, set;

    for (size_t i = 0; i < count; i++)
        shortest = min_size(shortest, list[i].text.len);
    least = (uint32_t)min_size(shortest, FILTER_BYTES);
    while (shallow < w->count && w->states[shallow].depth < least)
        shallow++;
    while (shallow + beginnings < w->count && w->states[shallow + beginnings].depth == least)
        beginnings++;
    if (least < FILTER_LEAST || beginnings > FILTER_FULL)
        return;
    w->filter_bytes = least;
    w->filter_mask = least == FILTER_BYTES ? UINT32_MAX : 0xFFFFFF;
    w->shallow = shallow;
    w->filter_places = (uint32_t)min_size(FILTER_PLACES, shortest - least + 1);
    w->filter_places = (uint32_t)min_size(w->filter_places, 1 + FILTER_ROOM / count);
    set = beginnings + (w->filter_places - 1) * count;
    while ((size_t)1 << bits < set * FILTER_SPREAD)
        bits++;
    w->filter_shift = 64 - bits;
    w->filter = arena_array(a, uint64_t, ((size_t)1 << bits) / 64);
    w->filter_second = arena_array(a, uint64_t, ((size_t)1 << bits) / 64);
    for (size_t place = 0; place < w->filter_places; place++)
        filter_add(w, list, count, place);
}

static void read_bytes(struct words *w, const struct word *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        str text = list[i].text;

        ASSERT(text.len > 0 && text.len <= UINT16_MAX);
        for (size_t j = 0; j < text.len; j++) {
            unsigned char c = (unsigned char)text.ptr[j];

            if (!w->classes[c])
                w->classes[c] = (unsigned char)++w->class_count;
        }
    }
    ASSERT(w->class_count < 256); /* some bytes are in no UTF-8 */
    w->class_count++;
}

static uint32_t rule_least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The words that begin as a state does; they are one stretch of the sorted list. */
struct stretch {
    uint32_t from, to;
};

/* Takes the words that end in the state off the beginning of its stretch. */
static void take_ending(struct word_state *s, const struct word *list, struct stretch *of)
{
    while (of->from < of->to && list[of->from].text.len == s->depth) {
        const struct word *word = &list[of->from++];

        for (unsigned side = 0; side < 2; side++)
            if (word->sides & BIT(side))
                s->rules[side] = rule_least(s->rules[side], word->rule);
    }
}

/* All states, in the order in which a walk by levels meets them. */
static void build_states(struct words *w, const struct word *list, size_t count, size_t most)
{
    struct arena    work;
    struct stretch *stretches;

    arena_init(&work, 0);
    stretches = arena_array(&work, struct stretch, most);
    stretches[0] = (struct stretch){ 0, (uint32_t)count };
    w->states[0] = (struct word_state){ .rules = { NONE, NONE } };
    w->count = 1;
    for (uint32_t i = 0; i < w->count; i++) {
        struct word_state *s = &w->states[i];
        struct stretch     rest = stretches[i];

        take_ending(s, list, &rest);
        s->child = w->count;
        while (rest.from < rest.to) {
            char     c = list[rest.from].text.ptr[s->depth];
            uint32_t to = rest.from;

            while (to < rest.to && list[to].text.ptr[s->depth] == c)
                to++;
            stretches[w->count] = (struct stretch){ rest.from, to };
            w->states[w->count++] = (struct word_state){
                .rules = { NONE, NONE },
                .depth = (uint16_t)(s->depth + 1),
                .byte = (unsigned char)c,
            };
            s->child_count++;
            rest.from = to;
        }
    }
    arena_free(&work);
}

static uint32_t child_find(const struct words *w, const struct word_state *s, unsigned char c)
{
    for (uint32_t i = s->child, end = s->child + s->child_count; i < end; i++)
        if (w->states[i].byte == c)
            return i;
    return 0;
}

static inline uint32_t step(const struct words *w, uint32_t state, unsigned char c)
{
    while (state >= w->row_count) {
        uint32_t next = child_find(w, &w->states[state], c);

        if (next)
            return next;
        state = w->states[state].fall;
    }
    return w->rows[(state << w->row_shift) + w->classes[c]] & ~HIT;
}

/* Where each state falls back to, and the rules that end there too. While this runs no state has a row. */
static void link_states(struct words *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        const struct word_state *s = &w->states[i];

        for (uint32_t j = s->child; j < s->child + s->child_count; j++) {
            struct word_state *child = &w->states[j];
            uint32_t           fall = i, next = 0;

            while (fall && !next) {
                fall = w->states[fall].fall;
                next = child_find(w, &w->states[fall], child->byte);
            }
            child->fall = next;
            for (unsigned side = 0; side < 2; side++)
                child->rules[side] = rule_least(child->rules[side], w->states[next].rules[side]);
        }
    }
}

/* In order: what a state falls back to has its row before. */
static void build_rows(struct words *w, struct arena *a)
{
    uint32_t rows;

    while (w->class_count > 1u << w->row_shift)
        w->row_shift++;
    rows = ROW_CELLS >> w->row_shift;
    w->row_count = rows < ROWS_MAX ? rows : ROWS_MAX;
    if (w->row_count > w->count)
        w->row_count = w->count;
    w->rows = arena_array(a, uint32_t, (size_t)w->row_count << w->row_shift);
    for (uint32_t i = 0; i < w->row_count; i++) {
        const struct word_state *s = &w->states[i];
        uint32_t                *row = w->rows + ((size_t)i << w->row_shift);

        if (i)
            memcpy(row, w->rows + ((size_t)s->fall << w->row_shift), w->class_count * sizeof(*row));
        for (uint32_t j = s->child; j < s->child + s->child_count; j++) {
            const struct word_state *child = &w->states[j];

            row[w->classes[child->byte]] = j | (child->rules[0] != NONE || child->rules[1] != NONE ? HIT : 0);
        }
    }
}

struct words *words_new(struct word *list, size_t count, struct arena *a)
{
    struct words *w = arena_new(a, struct words);
    size_t        most = 1;

    ASSERT(count < HIT);
    qsort(list, count, sizeof(*list), compare_words);
    for (size_t i = 0; i < count; i++)
        most += list[i].text.len;
    ASSERT(most < HIT);
    read_bytes(w, list, count);
    w->states = arena_array(a, struct word_state, most);
    build_states(w, list, count, most);
    w->states = arena_realloc(a, w->states, most * sizeof(*w->states), w->count * sizeof(*w->states));
    link_states(w);
    build_rows(w, a);
    build_filter(w, list, count, a);
    return w;
}

/* The next place at or after `p` where a word may begin, or the first for which there are too few bytes to tell. */
static const char *filter_next(const struct words *w, const char *p, const char *end)
{
    uint32_t step = w->filter_places, before = step - 1; /* what the look at p is for as well */

    p += before;
    while (end - p >= FILTER_BYTES + 3 * (ptrdiff_t)step) {
        uint32_t seen = filter_look(w, p) | filter_look(w, p + step) << 1 | filter_look(w, p + 2 * step) << 2 |
                        filter_look(w, p + 3 * step) << 3;

        for (; seen; seen &= seen - 1) {
            const char *place = p + (size_t)__builtin_ctz(seen) * step;

            if (filter_look_second(w, place))
                return place - before;
        }
        p += 4 * step;
    }
    while (end - p >= FILTER_BYTES && !(filter_look(w, p) && filter_look_second(w, p)))
        p += step;
    return p - before;
}

/* Whether the automaton can leave the rest to the filter: it stands on few bytes, all of them of this run. */
static inline bool filter_is_due(const struct words *w, uint32_t state, const char *p, const char *begin)
{
    return state < w->shallow && p - begin >= w->states[state].depth;
}

bool words_scan(const struct words *w, uint32_t *state, str run, unsigned side, size_t *ret_end, uint32_t *ret_rule)
{
    const char *p = run.ptr, *end = str_end(run), *filter_end = end - p >= FILTER_BYTES ? end - FILTER_BYTES : p;
    uint32_t    s = *state;

    while (p < end) {
        const struct word_state *now;

        if (p < filter_end && filter_is_due(w, s, p, run.ptr)) {
            p = filter_next(w, p - w->states[s].depth, end);
            s = 0;
            /* At least that far, so that it is not due again for the same place. */
            for (const char *due = p + w->filter_bytes - 1; p < due && p < end; p++)
                s = step(w, s, (unsigned char)*p);
            if (p == end)
                break;
        }
        if (LIKELY(s < w->row_count)) {
            s = w->rows[(s << w->row_shift) + w->classes[(unsigned char)*p++]];
            if (LIKELY(!(s & HIT)))
                continue;
            s &= ~HIT;
        } else {
            s = step(w, s, (unsigned char)*p++);
        }
        now = &w->states[s];
        if (now->rules[side >> 1] != NONE) {
            *state = s;
            *ret_end = (size_t)(p - run.ptr);
            *ret_rule = now->rules[side >> 1];
            return true;
        }
    }
    *state = s;
    return false;
}
