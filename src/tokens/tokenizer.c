/* tokenizer.c - splits, matches, merges.
 *
 * The way of a text:
 *
 *   bytes --normalise--> NFC --pattern--> pieces (words, numbers, signs, blanks) --merge--> tokens
 *
 * Normalising is nearly always nothing: one pass over the text finds that it is valid UTF-8 and in NFC.
 *
 * Nearly every piece is itself a token, found by one walk down a trie. For the others, merging is not simulated.
 * Byte-pair encoding has this property: a row of tokens is the encoding of its text exactly when each two neighbours
 * are the encoding of theirs; and whether two are can be told by taking both apart in the reverse order of merging and
 * looking for a merge across the border. So we take the longest token that fits, check it against the one before, take
 * a shorter one when it is wrong there, and go back when all are. A place from which there is no way on is marked, so that
 * it is tried once: the time is linear. (The idea is from the crate `bpe` of github/rust-gems.)
 *
 * This needs a vocabulary in which ids are ranks (a token's id is above those of its two parts), every token is made
 * from one pair, and every token is the encoding of its own bytes. tools/tokenizer/compile.mjs checks all three.
 *
 * Thread: any; nothing of a tokenizer is written.
 * Memory: a malloc a call for text that is not in NFC, for a piece over TOKENIZER_PIECE_SHORT bytes, and for what a long
 *         run of signs remembers (pair_valid_again(): 32 KiB).
 * Limits: the caller's limit on the text.
 */
#include "tokens/tokenizer.h"

#include "base/arena.h"
#include "base/utf8.h"
#include "tokens/nfc.h"
#include "tokens/table.h"

#include <stdlib.h>

/* ---- the pattern -------------------------------------------------------------------------------------------------- */

#define EACH_BYTE(b) ((uint64_t)0x0101010101010101u * (b))

static inline enum class class_next(const struct tokenizer *t, const unsigned char **p) {
    if (LIKELY(**p < 0x80)) return (enum class)(t->class_ascii[*(*p)++] & 3);
    return (enum class)(class_of(t, next_cp(p)) & 3);
}

/* ASCII letters from `p` on, eight at a time: the sums reach the top bit of a byte from 'a' and from '{' on. */
static inline const unsigned char *skip_ascii_letters(const unsigned char *p, const unsigned char *end)
{
    while (end - p >= 8) {
        uint64_t word, lower, others;

        memcpy(&word, p, 8);
        lower = (word | EACH_BYTE(0x20)) & EACH_BYTE(0x7F);
        others = lower + EACH_BYTE(0x80 - 'a');
        others &= ~(lower + EACH_BYTE(0x80 - '{')) & ~word;
        others = ~others & EACH_BYTE(0x80);
        if (others)
            return p + __builtin_ctzll(others) / 8;
        p += 8;
    }
    while (p < end && (unsigned char)((*p | 0x20) - 'a') < 26)
        p++;
    return p;
}

static inline const unsigned char *skip_letters(const struct tokenizer *t, const unsigned char *p,
                                                const unsigned char *end)
{
    for (;;) {
        const unsigned char *next;

        p = skip_ascii_letters(p, end);
        if (p == end || *p < 0x80)
            return p;
        next = p;
        if ((class_of(t, next_cp(&next)) & 3) != CLASS_LETTER)
            return p;
        p = next;
        /* A text in another script goes on in it. */
        while (p < end && *p >= 0x80) {
            if ((class_of(t, next_cp(&next)) & 3) != CLASS_LETTER)
                return p;
            p = next;
        }
    }
}

/* Length of a contraction behind an apostrophe at `p`: s t re ve m ll d, in either case. */
static size_t contraction_len(const unsigned char *p, const unsigned char *end)
{
    if (p == end)
        return 0;
    switch (*p | 0x20) {
    case 's':
    case 't':
    case 'm':
    case 'd':
        return 1;
    case 'r':
    case 'v':
        return end - p > 1 && (p[1] | 0x20) == 'e' ? 2 : 0;
    case 'l':
        return end - p > 1 && (p[1] | 0x20) == 'l' ? 2 : 0;
    }
    return 0;
}

/* Signs from `p` on (which may be none) and the line ends behind them. */
static const unsigned char *skip_signs(const struct tokenizer *t, const unsigned char *p, const unsigned char *end)
{
    const unsigned char *next = p;

    while (next < end && class_next(t, &next) == CLASS_OTHER)
        p = next;
    while (p < end && (*p == '\r' || *p == '\n'))
        p++;
    return p;
}

/* White space at `start` that no word or sign takes: up to the last line end; else all but the last, which goes with
 * the next word, unless there is only one or nothing follows. */
static const unsigned char *skip_blanks(const struct tokenizer *t, const unsigned char *start, const unsigned char *end)
{
    const unsigned char *p = start, *next = start, *line_end = NULL, *last = start;

    while (next < end && class_next(t, &next) == CLASS_SPACE) {
        last = p;
        if (*p == '\r' || *p == '\n')
            line_end = next;
        p = next;
    }
    if (line_end)
        return line_end;
    return p == end || last == start ? p : last;
}

/* Where the first piece of the text ends. The pattern, alternatives in this order:
 *
 *   (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N} | ?[^\s\p{L}\p{N}]+[\r\n]* |
 *   \s*[\r\n]+ | \s+(?!\S) | \s+
 *
 * `p` is before `end`. The text is valid UTF-8. */
static inline const unsigned char *piece_end(const struct tokenizer *t, const unsigned char *p,
                                             const unsigned char *end)
{
    const unsigned char *second = p, *third;
    enum class first = class_next(t, &second), after;

    if (first == CLASS_LETTER)
        return skip_letters(t, second, end);
    if (first == CLASS_NUMBER || second == end)
        return second;
    if (*p == '\'') {
        size_t n = contraction_len(second, end);

        if (n)
            return second + n;
    }
    third = second;
    after = class_next(t, &third);
    if (after == CLASS_LETTER && *p != '\r' && *p != '\n')
        return skip_letters(t, third, end);
    if (first == CLASS_OTHER)
        return skip_signs(t, second, end);
    if (*p == ' ' && after == CLASS_OTHER)
        return skip_signs(t, third, end);
    return skip_blanks(t, p, end);
}

/* ---- tokens of a piece -------------------------------------------------------------------------------------------- */

#define UNIT_CHECK  0x1FFu
#define UNIT_LEAF   BIT(9)  /* of a letter's unit: only one token begins so; the unit has its id */
#define UNIT_MORE   BIT(10) /* of a leaf: the token has more bytes; of a node: a token ends here */
#define UNIT_SHIFT  11
#define LABEL_VALUE 0x7Fu /* the unit with the id of the token that ends at a node */

/* Where tokens go: only counted when `cap` is 0. And what merging remembers; sink_end() frees it. */
struct sink {
    uint32_t *ids;
    size_t    cap, count;
    uint64_t *answers; /* see pair_valid_again() */
    unsigned  asked;   /* by this piece */
};

static void sink_end(struct sink *s)
{
    free(s->answers);
    s->answers = NULL;
}

#define NO_TOKEN UINT32_MAX

/* Whether the token of a leaf, whose bytes before `p` are those of the text from `start` on, goes on as the text does,
 * to at most `end`. */
static inline bool leaf_matches(const struct tokenizer *t, uint32_t id, const unsigned char *start,
                                const unsigned char *p, const unsigned char *end)
{
    const unsigned char *bytes = (const unsigned char *)token_ptr(t, id);
    size_t               len = token_len(t, id);

    if (len > (size_t)(end - start))
        return false;
    for (size_t i = (size_t)(p - start); i < len; i++) {
        if (start[i] != bytes[i])
            return false;
    }
    return true;
}

/* The token that all of [start, end), which is not empty, is; NO_TOKEN for none. */
static inline uint32_t trie_whole(const struct tokenizer *t, const unsigned char *start, const unsigned char *end)
{
    const unsigned char *p = start;
    uint32_t             base = t->root, unit;

    do {
        unit = t->trie[base + *p];
        base = unit >> UNIT_SHIFT;
        if ((unit & (UNIT_CHECK | UNIT_LEAF)) != *p) {
            if ((unit & UNIT_CHECK) != *p)
                return NO_TOKEN;
            /* A leaf. */
            if (!(unit & UNIT_MORE))
                return p + 1 == end ? base : NO_TOKEN;
            if (token_len(t, base) != (size_t)(end - start))
                return NO_TOKEN;
            return leaf_matches(t, base, start, p + 1, end) ? base : NO_TOKEN;
        }
    } while (++p < end);
    return unit & UNIT_MORE ? t->trie[base + LABEL_VALUE] >> UNIT_SHIFT : NO_TOKEN;
}

/* The tokens that a text begins with, shortest first. compile.mjs checks that PREFIXES_MAX is enough. */
#define PREFIXES_MAX   128u
#define PREFIX_IS_LEAF BIT(31)
struct prefixes {
    uint32_t units[PREFIXES_MAX]; /* the id of a leaf, or the base of a node */
    uint8_t  lens[PREFIXES_MAX];
    unsigned count;
};

/* Every byte is a token, so that there is one unless start is end. */
static inline void prefixes_find(const struct tokenizer *t, const unsigned char *start, const unsigned char *end,
                                 struct prefixes *s)
{
    const unsigned char *p = start;
    uint32_t             base = t->root;
    unsigned             count = 0;

    while (p < end) {
        uint32_t unit = t->trie[base + *p];

        if ((unit & UNIT_CHECK) != *p)
            break;
        p++;
        base = unit >> UNIT_SHIFT;
        if (unit & UNIT_LEAF) {
            if (count < PREFIXES_MAX && (!(unit & UNIT_MORE) || leaf_matches(t, base, start, p, end))) {
                s->units[count] = base | PREFIX_IS_LEAF;
                s->lens[count++] = (uint8_t)token_len(t, base);
            }
            break;
        }
        if (unit & UNIT_MORE && count < PREFIXES_MAX) {
            s->units[count] = base;
            s->lens[count++] = (uint8_t)(p - start);
        }
    }
    s->count = count;
}

static inline uint32_t prefix_id(const struct tokenizer *t, uint32_t unit)
{
    return unit & PREFIX_IS_LEAF ? unit & ~PREFIX_IS_LEAF : t->trie[unit + LABEL_VALUE] >> UNIT_SHIFT;
}

#define PAIR_FREE    UINT32_MAX
#define MULTIPLIER_1 0x9E3779B97F4A7C15u
#define MULTIPLIER_2 0xD6E8FEB86659FD93u

typedef uint16_t marks_vector __attribute__((vector_size(16)));

static inline marks_vector marks_load(const uint16_t *p)
{
    marks_vector v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* The token that the two merge into, PAIR_FREE for none: a cuckoo table, whose two buckets are compared at once with
 * the mark of the pair. A mark that is there is nearly always the pair itself. */
static inline uint32_t pair_merge(const struct tokenizer *t, uint32_t left, uint32_t right)
{
    uint64_t     hash = ((uint64_t)left << 18 | right) * MULTIPLIER_1;
    uint64_t     any[2];
    size_t       buckets[2];
    uint16_t     mark;
    marks_vector equal;

    hash = (hash ^ hash >> 32) * MULTIPLIER_2;
    mark = (uint16_t)hash ? (uint16_t)hash : 1;
    buckets[0] = (size_t)((uint64_t)(uint32_t)hash * t->bucket_count >> 32) * PAIR_WAYS;
    buckets[1] = (size_t)((hash >> 32) * t->bucket_count >> 32) * PAIR_WAYS;
    equal = (marks_vector)(marks_load(t->marks + buckets[0]) == mark) |
            (marks_vector)(marks_load(t->marks + buckets[1]) == mark);
    memcpy(any, &equal, sizeof(any));
    if (LIKELY((any[0] | any[1]) == 0))
        return PAIR_FREE;
    for (size_t i = 0; i < 2 * PAIR_WAYS; i++) {
        size_t at = buckets[i / PAIR_WAYS] + i % PAIR_WAYS;

        if (t->marks[at] == mark && token_left(t, t->pairs[at]) == left && token_right(t, t->pairs[at]) == right)
            return t->pairs[at];
    }
    return PAIR_FREE;
}

/* Whether two tokens side by side are the encoding of their joint text: takes them apart, the later merge first, and
 * looks each time for a merge across the border that would have come before what was just undone. */
static bool pair_valid(const struct tokenizer *t, uint32_t left, uint32_t right)
{
    uint32_t limit = UINT32_MAX;

    for (;;) {
        bool               by_left = left > right;
        uint32_t           last = by_left ? left : right, part;
        struct token_entry e = t->tokens[last];

        if (pair_merge(t, left, right) < limit)
            return false;
        if ((left | right) < 256)
            return true;
        part = (by_left ? e.right : e.left) & ID_MASK;
        limit = last + !by_left;
        left = by_left ? part : left;
        right = by_left ? right : part;
    }
}

/* Answers of pair_valid(), remembered for the rest of a call once a piece asks much: a long run of one sign does, in
 * which many tokens fit, few are right, and the same pairs come again and again. */
#define MEMO_BITS  12
#define MEMO_AFTER 32

static bool pair_valid_again(const struct tokenizer *t, uint32_t left, uint32_t right, struct sink *s)
{
    uint64_t  key = (uint64_t)left << 18 | right; /* an answer has a bit more below: valid or not */
    uint64_t *answer;

    if (LIKELY(s->asked < MEMO_AFTER)) {
        s->asked++;
        return pair_valid(t, left, right);
    }
    if (!s->answers) {
        s->answers = xmalloc(sizeof(*s->answers) << MEMO_BITS);
        memset(s->answers, 0xFF, sizeof(*s->answers) << MEMO_BITS);
    }
    answer = &s->answers[key * MULTIPLIER_1 >> (64 - MEMO_BITS)];
    if (*answer >> 1 != key)
        *answer = key << 1 | pair_valid(t, left, right);
    return *answer & 1;
}

/* The same, asking first whether there is any merge across such a border. `p` is where the second token begins. */
static inline bool tokens_meet(const struct tokenizer *t, const unsigned char *p, uint32_t left, uint32_t right,
                               struct sink *s)
{
    size_t   bit = (size_t)p[-1] << 8 | p[0];
    uint64_t key;

    if (t->borders[bit / 32] >> (bit % 32) & 1)
        return pair_valid_again(t, left, right, s);
    if ((p[-1] & 0xC0) != 0x80 || p[0] < 0xE0 || token_len(t, right) < 3 || token_len(t, left) < 3)
        return true;
    key = (uint64_t)(p[-3] | p[-2] << 8 | p[-1] << 16) << 24 | (uint64_t)(p[0] | p[1] << 8 | p[2] << 16);
    bit = 65536 + (size_t)(key * MULTIPLIER_1 >> (64 - BORDER_BITS));
    if (LIKELY(!(t->borders[bit / 32] >> (bit % 32) & 1)))
        return true;
    return pair_valid_again(t, left, right, s);
}

/* Takes `id`, which ends at `stop`, when there may be a way on from there and it stands well behind the token before. */
static inline bool token_fits(const struct tokenizer *t, const unsigned char *p, size_t at, size_t stop, uint32_t id,
                              const uint32_t *ids, size_t count, const uint64_t *dead, struct sink *s)
{
    if (dead[stop / 64] >> (stop % 64) & 1)
        return false;
    return count == 0 || tokens_meet(t, p + at, ids[count - 1], id, s);
}

/* Merges the piece [p, p + len) into tokens. `ids` has room for `len` ids, `dead` has len / 64 + 1 words of zeros: a bit
 * for each place from which there is no way to the end. In what order tokens are tried is free: first the one before
 * once more, which in a long run of one sign is right where many longer ones fit for a while, then the longest. */
static size_t merge(const struct tokenizer *t, const unsigned char *p, size_t len, uint32_t *ids, uint64_t *dead,
                    struct sink *s)
{
    struct prefixes next;
    size_t          count = 0, at = 0, stop = len;
    uint32_t        id;

    s->asked = 0;
    for (;;) {
        prefixes_find(t, p + at, p + stop, &next);
        for (;;) {
            if (next.count == 0) {
                /* There is no way on from here: take the last token back and try the others. */
                ASSERT(count > 0);
                dead[at / 64] |= (uint64_t)1 << (at % 64);
                id = ids[--count];
                stop = count > 0 && ids[count - 1] == id ? len : at - 1;
                at -= token_len(t, id);
                break;
            }
            next.count--;
            stop = at + next.lens[next.count];
            id = prefix_id(t, next.units[next.count]);
            if (!token_fits(t, p, at, stop, id, ids, count, dead, s))
                continue;
            do {
                ids[count++] = id;
                at = stop;
                if (at == len)
                    return count;
                stop = at + token_len(t, id);
            } while (stop <= len && memcmp(p + at, token_ptr(t, id), stop - at) == 0 &&
                     token_fits(t, p, at, stop, id, ids, count, dead, s));
            stop = len;
            break;
        }
    }
}

static inline void sink_put(struct sink *s, const uint32_t *ids, size_t n)
{
    if (s->count < s->cap)
        memcpy(s->ids + s->count, ids, (n < s->cap - s->count ? n : s->cap - s->count) * sizeof(*ids));
    s->count += n;
}

static __attribute__((noinline)) void merge_short(const struct tokenizer *t, const unsigned char *p, size_t len,
                                                  struct sink *s)
{
    uint32_t ids[TOKENIZER_PIECE_SHORT];
    uint64_t dead[TOKENIZER_PIECE_SHORT / 64 + 1];

    memset(dead, 0, (len / 64 + 1) * sizeof(*dead));
    sink_put(s, ids, merge(t, p, len, ids, dead, s));
}

static __attribute__((noinline)) void merge_long(const struct tokenizer *t, const unsigned char *p, size_t len,
                                                 struct sink *s)
{
    uint32_t *ids = xmalloc(mul_size_or_die(len, sizeof(*ids)));
    uint64_t *dead = xcalloc(len / 64 + 1, sizeof(*dead));

    sink_put(s, ids, merge(t, p, len, ids, dead, s));
    free(dead);
    free(ids);
}

static inline void piece_tokens(const struct tokenizer *t, const unsigned char *p, size_t len, struct sink *s)
{
    uint32_t id = trie_whole(t, p, p + len);

    if (LIKELY(id != NO_TOKEN)) {
        if (s->count < s->cap)
            s->ids[s->count] = id;
        s->count++;
    } else if (len <= TOKENIZER_PIECE_SHORT) {
        merge_short(t, p, len, s);
    } else {
        merge_long(t, p, len, s);
    }
}

/* ---- texts -------------------------------------------------------------------------------------------------------- */

static void text_tokens(const struct tokenizer *t, str text, struct sink *s)
{
    char                 small[NFC_SMALL], *heap;
    str                  clean = nfc_text(t, text, small, &heap);
    const unsigned char *p = (const unsigned char *)clean.ptr, *end = p + clean.len;

    while (p < end) {
        const unsigned char *next = piece_end(t, p, end);

        piece_tokens(t, p, (size_t)(next - p), s);
        p = next;
    }
    free(heap);
}

size_t tokenizer_encode(const struct tokenizer *t, str text, uint32_t *ids, size_t cap)
{
    struct sink s = { .ids = ids, .cap = cap };

    if (text.len == 0)
        return 0;
    text_tokens(t, text, &s);
    sink_end(&s);
    return s.count;
}

size_t tokenizer_count(const struct tokenizer *t, str text)
{
    return tokenizer_encode(t, text, NULL, 0);
}

bool tokenizer_starts_blank(const struct tokenizer *t, str text)
{
    uint32_t cp;

    return text.len > 0 && utf8_decode(text.ptr, text.ptr + text.len, &cp) > 0 && (class_of(t, cp) & 3) == CLASS_SPACE;
}

/* ---- cutting ------------------------------------------------------------------------------------------------------ */

static inline bool at_boundary(const unsigned char *p, const unsigned char *end)
{
    return p == end || (*p & 0xC0) != 0x80;
}

/* Bytes of valid text at the beginning of `text`, at most `max` and a character. */
static size_t valid_len(str text, size_t max)
{
    size_t   at = 0;
    uint32_t cp;

    while (at < text.len && at < max) {
        size_t n = utf8_decode(text.ptr + at, text.ptr + text.len, &cp);

        if (n == 0)
            break;
        at += n;
    }
    return at;
}

#define CUT_WINDOW_FIRST 64
#define CUT_WINDOW_MAX   256 /* a longer piece is cut as if it ended here: a call must cost little */

str tokenizer_next(const struct tokenizer *t, str *rest)
{
    const unsigned char *p = (const unsigned char *)rest->ptr, *end, *stop, *cut;
    uint32_t             ids[CUT_WINDOW_MAX + 4];
    struct sink          s = { .ids = ids, .cap = ARRAY_LEN(ids) };
    size_t               window = CUT_WINDOW_FIRST, len;
    str                  piece;

    if (rest->len == 0)
        return str_of(rest->ptr, 0);
    for (;;) {
        len = valid_len(*rest, window);
        if (len == 0) {
            len = nfc_broken_len(p, p + rest->len);
            goto out;
        }
        end = p + len;
        stop = piece_end(t, p, end);
        /* The pattern looks at most two characters ahead. */
        if (end - stop >= 8 || len < window || window == CUT_WINDOW_MAX)
            break;
        window = CUT_WINDOW_MAX;
    }
    piece_tokens(t, p, (size_t)(stop - p), &s);
    sink_end(&s);
    cut = p;
    for (size_t i = 0; i < s.count; i++) {
        cut += token_len(t, ids[i]);
        if (cut == stop || (at_boundary(cut, end) && piece_end(t, cut, end) == stop))
            break;
    }
    len = (size_t)(cut - p);
out:
    piece = str_first(*rest, len);
    *rest = str_from(*rest, len);
    return piece;
}

/* Bytes of the longest beginning of clean text that is at most `max` of its tokens and ends with a character. */
static size_t clean_prefix(const struct tokenizer *t, str text, size_t max)
{
    const unsigned char *start = (const unsigned char *)text.ptr, *p = start, *end = p + text.len, *fits;
    struct sink          s = { 0 };
    uint32_t            *ids;
    size_t               count;

    while (p < end) {
        const unsigned char *next = piece_end(t, p, end);
        size_t               before = s.count;

        piece_tokens(t, p, (size_t)(next - p), &s);
        if (s.count > max) {
            end = next;
            s.count = before;
            break;
        }
        p = next;
    }
    if (p == end) {
        sink_end(&s);
        return text.len;
    }

    /* The piece that is too much, token by token. */
    count = max - s.count;
    ids = xmalloc(mul_size_or_die(count, sizeof(*ids)));
    s.ids = ids;
    s.cap = count;
    s.count = 0;
    piece_tokens(t, p, (size_t)(end - p), &s);
    sink_end(&s);
    fits = p;
    for (size_t i = 0; i < count; i++) {
        p += token_len(t, ids[i]);
        if (at_boundary(p, end))
            fits = p;
    }
    free(ids);
    return (size_t)(fits - start);
}

size_t tokenizer_prefix(const struct tokenizer *t, str text, size_t max_tokens)
{
    const unsigned char *start = (const unsigned char *)text.ptr;
    char                 small[NFC_SMALL], *heap;
    size_t               fits, take = max_tokens, step = 1;
    str                  clean;

    if (text.len == 0)
        return 0;
    clean = nfc_text(t, text, small, &heap);
    for (;;) {
        fits = clean_prefix(t, clean, take);
        if (clean.ptr != text.ptr && fits < clean.len) {
            char  *again = xmalloc(nfc_write_max(text.len));
            size_t len;

            fits = (size_t)(nfc_write(t, start, start + text.len, again, fits, &len) - start);
            free(again);
        } else if (fits == clean.len) {
            fits = text.len;
        }
        /* What is cut off may have held the end together: "a" of a longer token may be two. Seldom so. */
        if (fits == text.len || fits == 0 || tokenizer_count(t, str_first(text, fits)) <= max_tokens)
            break;
        take = take > step ? take - step : 0;
        step *= 2;
    }
    free(heap);
    return fits;
}
