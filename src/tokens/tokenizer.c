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
 * a shorter one when it does not, and go back when none does. A place from which there is no way on is marked, so that
 * it is tried once: the time is linear. (The idea is from the crate `bpe` of github/rust-gems.)
 *
 * This needs a vocabulary in which ids are ranks (a token's id is above those of its two parts), every token is made
 * from one pair, and every token is the encoding of its own bytes. tools/tokenizer/compile.mjs checks all three.
 *
 * The file, little-endian words, written by compile.mjs:
 *
 *   header      "QwenTok\n", version, size, checksum, plain tokens, all tokens, base of the root; sections at 32
 *   tokens      two words each:  left part 18 | length 8 | offset's upper 6;  right part 18 | offset's lower 14
 *   trie        double array:    check 9 | flag 1 | flag 1 | base or id 21; see trie_whole()
 *   marks       two bytes a pair that merges, eight a bucket; see pair_merge()
 *   pairs       the merged token, in the same places
 *   borders     bits: where a merge may join two texts; see tokens_meet()
 *   classes     a byte a code point, in blocks of 128; see enum class
 *   orders, decompositions, compositions, code points: for NFC
 *   blob        the bytes of all tokens, one inside the other
 *
 * Thread: any; nothing is written after tokenizer_open().
 * Memory: the mapping (4 MB, clean pages). A malloc a call for text that is not in NFC, for a piece over
 *         TOKENIZER_PIECE_SHORT bytes, and for what a long run of signs remembers (pair_valid_again(): 32 KiB).
 * Limits: the caller's limit on the text.
 */
#include "tokens/tokenizer.h"

#include "base/arena.h"
#include "base/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TABLE_VERSION  2
#define TABLE_SIZE_MAX ((size_t)64 * 1024 * 1024)

enum section {
    SECTION_TOKENS,
    SECTION_TRIE,
    SECTION_MARKS,
    SECTION_PAIRS,
    SECTION_BORDERS,
    SECTION_CLASS_INDEX,
    SECTION_CLASS_BLOCKS,
    SECTION_ORDERS,
    SECTION_DECOMPOSITIONS,
    SECTION_COMPOSITIONS,
    SECTION_CODE_POINTS,
    SECTION_BLOB,
    SECTION_COUNT
};

struct table_header {
    char     magic[8];
    uint32_t version, size, checksum;
    uint32_t plain_count, token_count;
    uint32_t root;
    struct {
        uint32_t offset, size;
    } sections[SECTION_COUNT];
    uint32_t unused[16];
};
static_assert(sizeof(struct table_header) == 192, "the header is what compile.mjs writes");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the table is read as it lies in the file");

struct token_entry {
    uint32_t left, right;
};
struct mark_range {
    uint32_t first, last_order; /* last << 8 | order */
};
struct decomposition {
    uint32_t cp, parts; /* count << 24 | place in code_points */
};
struct composition {
    uint32_t first, second, made;
};

struct tokenizer {
    const struct token_entry   *tokens;
    const uint32_t             *trie;
    const uint16_t             *marks;
    const uint32_t             *pairs;
    const uint32_t             *borders;
    uint32_t                    bucket_count;
    const uint8_t              *class_index;
    const uint8_t              *class_blocks;
    const uint8_t              *class_ascii; /* the block of U+0000 */
    const char                 *blob;
    uint32_t                    root;
    uint32_t                    plain_count, token_count;
    const struct mark_range    *orders;
    const struct decomposition *decompositions;
    const struct composition   *compositions;
    const uint32_t             *code_points;
    size_t                      order_count, decomposition_count, composition_count;
    void                       *map;
    size_t                      map_size;
};

/* ---- the table ---------------------------------------------------------------------------------------------------- */

#define ID_MASK      0x3FFFFu /* 18 bits */
#define PAIR_WAYS    8u
#define BORDER_BITS  18
#define MULTIPLIER_1 0x9E3779B97F4A7C15u
#define MULTIPLIER_2 0xD6E8FEB86659FD93u

static inline uint32_t token_left(const struct tokenizer *t, uint32_t id)
{
    return t->tokens[id].left & ID_MASK;
}

static inline uint32_t token_right(const struct tokenizer *t, uint32_t id)
{
    return t->tokens[id].right & ID_MASK;
}

static inline size_t token_len(const struct tokenizer *t, uint32_t id)
{
    return t->tokens[id].left >> 18 & 0xFF;
}

static inline const char *token_ptr(const struct tokenizer *t, uint32_t id)
{
    struct token_entry e = t->tokens[id];

    return t->blob + ((e.left >> 26) << 14 | e.right >> 18);
}

/* Four FNV-1a sums over every fourth word, the checksum itself taken for 0, as compile.mjs makes them. The file is read,
 * not touched through the mapping, so that only the pages that texts need become resident. */
static enum err table_check(int fd, const struct table_header *header)
{
    enum { CHUNK = 64 * 1024 };
    uint32_t  sums[4] = { 0x811C9DC5u, 0x811C9DC6u, 0x811C9DC7u, 0x811C9DC8u };
    uint32_t  sum = 0;
    uint32_t *words = xmalloc(CHUNK);
    enum err  e = OK;

    for (size_t at = 0; at < header->size;) {
        size_t  want = header->size - at < CHUNK ? header->size - at : CHUNK;
        ssize_t got = pread(fd, words, want, (off_t)at);

        if (got != (ssize_t)want) {
            e = got < 0 ? ERR_IO : ERR_INVALID;
            goto out;
        }
        if (at == 0)
            words[offsetof(struct table_header, checksum) / 4] = 0;
        for (size_t i = 0; i < want / 4; i += 4) {
            for (size_t lane = 0; lane < 4; lane++)
                sums[lane] = (sums[lane] ^ words[i + lane]) * 0x01000193u;
        }
        at += want;
    }
    for (size_t lane = 0; lane < 4; lane++)
        sum = (sum ^ sums[lane]) * 0x01000193u;
    if (sum != header->checksum)
        e = ERR_INVALID;
out:
    free(words);
    return e;
}

static bool header_valid(const struct table_header *h, size_t file_size)
{
    if (memcmp(h->magic, "QwenTok\n", 8) != 0 || h->version != TABLE_VERSION)
        return false;
    if (h->size != file_size || h->size % 64 != 0)
        return false;
    for (size_t i = 0; i < SECTION_COUNT; i++) {
        if (h->sections[i].offset % 64 != 0 || h->sections[i].offset < sizeof(*h))
            return false;
        if (h->sections[i].offset > h->size || h->sections[i].size > h->size - h->sections[i].offset)
            return false;
    }
    if (h->plain_count < 256 || h->plain_count > h->token_count || h->token_count > ID_MASK)
        return false;
    if (h->sections[SECTION_TOKENS].size != h->token_count * sizeof(struct token_entry))
        return false;
    if (h->sections[SECTION_TRIE].size / 4 <= (size_t)h->root + 256)
        return false;
    if (h->sections[SECTION_MARKS].size == 0 || h->sections[SECTION_MARKS].size % (2 * PAIR_WAYS) != 0)
        return false;
    if (h->sections[SECTION_PAIRS].size / 2 != h->sections[SECTION_MARKS].size)
        return false;
    if (h->sections[SECTION_BORDERS].size != (65536 + (1 << BORDER_BITS)) / 8)
        return false;
    return h->sections[SECTION_CLASS_INDEX].size == 0x110000 / 128;
}

static const void *section(const struct tokenizer *t, enum section which)
{
    const struct table_header *h = t->map;

    return (const char *)t->map + h->sections[which].offset;
}

static struct tokenizer *tokenizer_new(void *map)
{
    const struct table_header *h = map;
    struct tokenizer          *t = xcalloc(1, sizeof(*t));

    t->map = map;
    t->map_size = h->size;
    t->root = h->root;
    t->plain_count = h->plain_count;
    t->token_count = h->token_count;
    t->tokens = section(t, SECTION_TOKENS);
    t->trie = section(t, SECTION_TRIE);
    t->marks = section(t, SECTION_MARKS);
    t->bucket_count = h->sections[SECTION_MARKS].size / (2 * PAIR_WAYS);
    t->pairs = section(t, SECTION_PAIRS);
    t->borders = section(t, SECTION_BORDERS);
    t->class_index = section(t, SECTION_CLASS_INDEX);
    t->class_blocks = section(t, SECTION_CLASS_BLOCKS);
    t->class_ascii = t->class_blocks + t->class_index[0] * 128;
    t->orders = section(t, SECTION_ORDERS);
    t->order_count = h->sections[SECTION_ORDERS].size / sizeof(*t->orders);
    t->decompositions = section(t, SECTION_DECOMPOSITIONS);
    t->decomposition_count = h->sections[SECTION_DECOMPOSITIONS].size / sizeof(*t->decompositions);
    t->compositions = section(t, SECTION_COMPOSITIONS);
    t->composition_count = h->sections[SECTION_COMPOSITIONS].size / sizeof(*t->compositions);
    t->code_points = section(t, SECTION_CODE_POINTS);
    t->blob = section(t, SECTION_BLOB);
    return t;
}

enum err tokenizer_open(const char *path, struct tokenizer **ret)
{
    int                 fd = open(path, O_RDONLY | O_CLOEXEC);
    struct table_header header;
    struct stat         st;
    enum err            e;
    void               *map;
    ssize_t             got;

    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    e = ERR_IO;
    if (fstat(fd, &st) != 0)
        goto out;
    got = pread(fd, &header, sizeof(header), 0);
    if (got < 0)
        goto out;
    e = ERR_INVALID;
    if ((size_t)got != sizeof(header) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > TABLE_SIZE_MAX)
        goto out;
    if (!header_valid(&header, (size_t)st.st_size))
        goto out;
    e = table_check(fd, &header);
    if (e)
        goto out;
    map = mmap(NULL, header.size, PROT_READ, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED) {
        e = ERR_IO;
        goto out;
    }
    *ret = tokenizer_new(map);
    /* What the checks and tables above have touched is given back: texts bring in what they need. */
    (void)madvise(map, header.size, MADV_DONTNEED); /* a hint */
out:
    close(fd);
    return e;
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    (void)munmap(t->map, t->map_size); /* cannot fail for what mmap() gave */
    free(t);
}

size_t tokenizer_size(const struct tokenizer *t)
{
    return t->token_count;
}

str tokenizer_decode(const struct tokenizer *t, uint32_t id)
{
    if (id >= t->token_count)
        return (str){ 0 };
    return str_of(token_ptr(t, id), token_len(t, id));
}

/* ---- code points -------------------------------------------------------------------------------------------------- */

/* The lower two bits of a code point's byte. */
enum class { CLASS_OTHER, CLASS_LETTER, CLASS_NUMBER, CLASS_SPACE };

/* The bits above: what normalising has to know. */
#define FORM_SHIFT  2
#define FORM_CLEAN  0 /* begins a new segment; nothing can change it */
#define FORM_CHANGE 1 /* may change, alone or with what stands before it */
                      /* else a mark that never changes: its place in the order of marks, plus 1 */

static inline uint8_t class_of(const struct tokenizer *t, uint32_t cp)
{
    return t->class_blocks[(size_t)t->class_index[cp >> 7] * 128 + (cp & 127)];
}

/* The code point at `p` of valid text; moves *p behind it. */
static inline uint32_t next_cp(const unsigned char **p)
{
    const unsigned char *s = *p;

    if (s[0] < 0x80) {
        *p += 1;
        return s[0];
    }
    if (s[0] < 0xE0) {
        *p += 2;
        return (uint32_t)(s[0] & 0x1F) << 6 | (s[1] & 0x3F);
    }
    if (s[0] < 0xF0) {
        *p += 3;
        return (uint32_t)(s[0] & 0x0F) << 12 | (uint32_t)(s[1] & 0x3F) << 6 | (s[2] & 0x3F);
    }
    *p += 4;
    return (uint32_t)(s[0] & 0x07) << 18 | (uint32_t)(s[1] & 0x3F) << 12 | (uint32_t)(s[2] & 0x3F) << 6 | (s[3] & 0x3F);
}

static inline enum class class_next(const struct tokenizer *t, const unsigned char **p) {
    if (LIKELY(**p < 0x80)) return (enum class)(t->class_ascii[*(*p)++] & 3);
    return (enum class)(class_of(t, next_cp(p)) & 3);
}

/* ---- NFC ---------------------------------------------------------------------------------------------------------- */

#define SYLLABLE_FIRST 0xAC00u /* Hangul: leading × vowel × trailing */
#define SYLLABLE_LAST  0xD7A3u
#define LEADING_FIRST  0x1100u
#define LEADING_COUNT  19u
#define VOWEL_FIRST    0x1161u
#define VOWEL_COUNT    21u
#define TRAILING_FIRST 0x11A7u /* one before the first: no trailing consonant */
#define TRAILING_COUNT 28u

#define REPLACEMENT 0xFFFDu
#define CP_MASK     0x1FFFFFu
#define ORDER_SHIFT 24

/* Length of the broken piece at `p` that one U+FFFD stands for: the longest beginning of a character, or one byte
 * (Unicode 3.9, "maximal subpart"). */
static size_t broken_len(const unsigned char *p, const unsigned char *end)
{
    unsigned char lo = 0x80, hi = 0xBF;
    size_t        full, n = 1;

    if (p[0] < 0xC2 || p[0] > 0xF4)
        return 1;
    full = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (p[0] == 0xE0)
        lo = 0xA0;
    else if (p[0] == 0xED)
        hi = 0x9F;
    else if (p[0] == 0xF0)
        lo = 0x90;
    else if (p[0] == 0xF4)
        hi = 0x8F;
    while (n < full && p + n < end && p[n] >= lo && p[n] <= hi) {
        lo = 0x80;
        hi = 0xBF;
        n++;
    }
    return n;
}

/* How many bytes from `p` are surely valid and in NFC, ending where a segment ends: before a code point that neither
 * joins what is before it nor is changed by it. */
static size_t clean_span(const struct tokenizer *t, const unsigned char *p, const unsigned char *end)
{
    const unsigned char *start = p, *segment = p;
    unsigned             order = 0; /* of the mark before, 0 when it is none */

    while (p < end) {
        uint32_t cp;
        size_t   n;
        unsigned form;

        if (*p < 0x80) {
            uint64_t a, b;

            while (end - p >= 16) {
                memcpy(&a, p, 8);
                memcpy(&b, p + 8, 8);
                if ((a | b) & 0x8080808080808080u)
                    break;
                p += 16;
            }
            while (p < end && *p < 0x80)
                p++;
            segment = p - 1;
            order = 0;
            continue;
        }
        n = utf8_decode((const char *)p, (const char *)end, &cp);
        if (UNLIKELY(n == 0))
            return (size_t)(p - start);
        form = class_of(t, cp) >> FORM_SHIFT;
        if (form == FORM_CLEAN) {
            segment = p;
            order = 0;
        } else {
            if (form == FORM_CHANGE || form - 1 < order)
                return (size_t)(segment - start);
            order = form - 1;
        }
        p += n;
    }
    return (size_t)(end - start);
}

static unsigned mark_order(const struct tokenizer *t, uint32_t cp)
{
    unsigned form = class_of(t, cp) >> FORM_SHIFT;
    size_t   lo = 0, hi = t->order_count;

    if (form != FORM_CHANGE)
        return form == FORM_CLEAN ? 0 : form - 1;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (t->orders[mid].last_order >> 8 < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->order_count && t->orders[lo].first <= cp ? t->orders[lo].last_order & 0xFF : 0;
}

/* Writes the canonical decomposition, at most 4 code points, each with its order above ORDER_SHIFT. */
static size_t decompose(const struct tokenizer *t, uint32_t cp, uint32_t out[4])
{
    size_t lo = 0, hi = t->decomposition_count;

    if (cp >= SYLLABLE_FIRST && cp <= SYLLABLE_LAST) {
        uint32_t i = cp - SYLLABLE_FIRST;

        out[0] = LEADING_FIRST + i / (VOWEL_COUNT * TRAILING_COUNT);
        out[1] = VOWEL_FIRST + i / TRAILING_COUNT % VOWEL_COUNT;
        out[2] = TRAILING_FIRST + i % TRAILING_COUNT;
        return i % TRAILING_COUNT ? 3 : 2;
    }
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;

        if (t->decompositions[mid].cp < cp)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < t->decomposition_count && t->decompositions[lo].cp == cp) {
        size_t          count = t->decompositions[lo].parts >> 24;
        const uint32_t *parts = t->code_points + (t->decompositions[lo].parts & 0xFFFFFF);

        for (size_t i = 0; i < count; i++)
            out[i] = parts[i] | mark_order(t, parts[i]) << ORDER_SHIFT;
        return count;
    }
    out[0] = cp | mark_order(t, cp) << ORDER_SHIFT;
    return 1;
}

/* The code point that the two make together, 0 for none. */
static uint32_t compose(const struct tokenizer *t, uint32_t first, uint32_t second)
{
    size_t lo = 0, hi = t->composition_count;

    if (first - LEADING_FIRST < LEADING_COUNT && second - VOWEL_FIRST < VOWEL_COUNT)
        return SYLLABLE_FIRST + ((first - LEADING_FIRST) * VOWEL_COUNT + second - VOWEL_FIRST) * TRAILING_COUNT;
    if (first >= SYLLABLE_FIRST && first <= SYLLABLE_LAST && (first - SYLLABLE_FIRST) % TRAILING_COUNT == 0 &&
        second - TRAILING_FIRST - 1 < TRAILING_COUNT - 1)
        return first + second - TRAILING_FIRST;
    while (lo < hi) {
        size_t                    mid = (lo + hi) / 2;
        const struct composition *c = &t->compositions[mid];

        if (c->first < first || (c->first == first && c->second < second))
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < t->composition_count && t->compositions[lo].first == first && t->compositions[lo].second == second)
        return t->compositions[lo].made;
    return 0;
}

#define SORT_INSERTION_MAX 32

/* Sorts a run of marks by their order; marks of one order keep theirs. A peer may send a run of any length, so that
 * long ones are counted out. */
static void sort_marks(uint32_t *marks, size_t n)
{
    size_t    starts[257] = { 0 };
    uint32_t *sorted;

    if (n <= SORT_INSERTION_MAX) {
        for (size_t i = 1; i < n; i++) {
            uint32_t mark = marks[i];
            size_t   at = i;

            while (at > 0 && marks[at - 1] >> ORDER_SHIFT > mark >> ORDER_SHIFT) {
                marks[at] = marks[at - 1];
                at--;
            }
            marks[at] = mark;
        }
        return;
    }
    sorted = xmalloc(mul_size_or_die(n, sizeof(*sorted)));
    for (size_t i = 0; i < n; i++)
        starts[(marks[i] >> ORDER_SHIFT) + 1]++;
    for (size_t i = 1; i < ARRAY_LEN(starts); i++)
        starts[i] += starts[i - 1];
    for (size_t i = 0; i < n; i++)
        sorted[starts[marks[i] >> ORDER_SHIFT]++] = marks[i];
    memcpy(marks, sorted, n * sizeof(*sorted));
    free(sorted);
}

/* Sorts and composes the decomposed code points of a segment in place; returns how many are left. */
static size_t segment_compose(const struct tokenizer *t, uint32_t *cps, size_t n)
{
    size_t   starter = SIZE_MAX, made = 0;
    unsigned between = 0; /* order of the last mark kept since the starter, 0 when there is none */

    for (size_t i = 0; i < n;) {
        size_t first = i;

        while (i < n && cps[i] >> ORDER_SHIFT)
            i++;
        if (i - first > 1)
            sort_marks(cps + first, i - first);
        if (i == first)
            i++;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t cp = cps[i] & CP_MASK;
        unsigned order = cps[i] >> ORDER_SHIFT;

        /* A mark reaches the starter unless one of its own order is in between, another starter only from beside. */
        if (starter != SIZE_MAX && (between == 0 || between < order)) {
            uint32_t both = compose(t, cps[starter] & CP_MASK, cp);

            if (both) {
                cps[starter] = both;
                continue;
            }
        }
        if (order == 0) {
            starter = made;
            between = 0;
        } else {
            between = order;
        }
        cps[made++] = cps[i];
    }
    return made;
}

/* Normalises the segment at `*p`: one code point and those behind it that may join it. Returns the bytes written. */
#define SEGMENT_SHORT 16 /* code points */
static size_t segment_normalise(const struct tokenizer *t, const unsigned char **p, const unsigned char *end, char *out)
{
    const unsigned char *q = *p, *next = q;
    uint32_t             few[4 * SEGMENT_SHORT], *cps = few;
    size_t               count = 0, n = 0, len = 0;
    uint32_t             cp;

    while (next < end) {
        size_t step = utf8_decode((const char *)next, (const char *)end, &cp);

        if (count > 0 && (step == 0 || class_of(t, cp) >> FORM_SHIFT == FORM_CLEAN))
            break;
        count++;
        if (step == 0) {
            next += broken_len(next, end);
            *p = next;
            return utf8_encode(out, REPLACEMENT);
        }
        next += step;
    }
    if (count > SEGMENT_SHORT)
        cps = xmalloc(mul_size_or_die(count, 4 * sizeof(*cps)));
    while (q < next)
        n += decompose(t, next_cp(&q), cps + n);
    n = segment_compose(t, cps, n);
    for (size_t i = 0; i < n; i++)
        len += utf8_encode(out + len, cps[i] & CP_MASK);
    if (cps != few)
        free(cps);
    *p = next;
    return len;
}

/* Room for any normalised text: a code point in NFC, and U+FFFD for a byte, is at most three times as long. */
static size_t normalised_max(size_t len)
{
    return mul_size_or_die(len, 3);
}

/* Writes the text from `p` on in NFC until what was written reaches `stop` bytes; returns where in the text that is and
 * sets *ret_len. Stops before a segment that would go beyond. */
static const unsigned char *normalise(const struct tokenizer *t, const unsigned char *p, const unsigned char *end,
                                      char *out, size_t stop, size_t *ret_len)
{
    size_t len = 0;

    while (p < end && len < stop) {
        size_t               span = clean_span(t, p, end);
        const unsigned char *next = p;
        size_t               n;

        if (span > stop - len)
            span = stop - len;
        if (span) {
            memcpy(out + len, p, span);
            p += span;
            len += span;
            continue;
        }
        n = segment_normalise(t, &next, end, out + len);
        if (n > stop - len)
            break;
        p = next;
        len += n;
    }
    *ret_len = len;
    return p;
}

/* The text in NFC: itself, or made in `small`, or in *ret_heap, to be freed by the caller. */
#define NORMALISED_SMALL 1024
static str normalised(const struct tokenizer *t, str text, char small[NORMALISED_SMALL], char **ret_heap)
{
    const unsigned char *p = (const unsigned char *)text.ptr, *end = p + text.len;
    char                *out = small;
    size_t               len, max;

    *ret_heap = NULL;
    if (LIKELY(clean_span(t, p, end) == text.len))
        return text;
    max = normalised_max(text.len);
    if (max > NORMALISED_SMALL)
        out = *ret_heap = xmalloc(max);
    normalise(t, p, end, out, SIZE_MAX, &len);
    return str_of(out, len);
}

/* ---- the pattern -------------------------------------------------------------------------------------------------- */

#define EACH_BYTE(b) ((uint64_t)0x0101010101010101u * (b))

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

#define PAIR_FREE UINT32_MAX

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
    char                 small[NORMALISED_SMALL], *heap;
    str                  clean = normalised(t, text, small, &heap);
    const unsigned char *p = (const unsigned char *)clean.ptr, *end = p + clean.len;

    while (p < end) {
        const unsigned char *next = piece_end(t, p, end);

        piece_tokens(t, p, (size_t)(next - p), s);
        p = next;
    }
    free(heap);
}

/* The markup that begins at `p`, 0 for none; the longest where one begins another. */
static uint32_t markup_at(const struct tokenizer *t, str text)
{
    uint32_t best = 0;
    size_t   best_len = 0;

    for (uint32_t id = t->plain_count; id < t->token_count; id++) {
        size_t len = token_len(t, id);

        if (len > best_len && len <= text.len && memcmp(text.ptr, token_ptr(t, id), len) == 0) {
            best = id;
            best_len = len;
        }
    }
    return best;
}

static void rendered_tokens(const struct tokenizer *t, str text, struct sink *s)
{
    size_t at = 0;

    while (at < text.len) {
        const char *found = memchr(text.ptr + at, '<', text.len - at);
        uint32_t    id;

        if (!found)
            break;
        at = (size_t)(found - text.ptr);
        id = markup_at(t, str_from(text, at));
        if (id == 0) {
            at++;
            continue;
        }
        text_tokens(t, str_first(text, at), s);
        sink_put(s, &id, 1);
        text = str_from(text, at + token_len(t, id));
        at = 0;
    }
    text_tokens(t, text, s);
}

size_t tokenizer_encode_as(const struct tokenizer *t, str text, enum tokenizer_mode mode, uint32_t *ids, size_t cap)
{
    struct sink s = { .ids = ids, .cap = cap };

    if (text.len == 0)
        return 0;
    switch (mode) {
    case TOKENIZER_TEXT:
        text_tokens(t, text, &s);
        break;
    case TOKENIZER_RENDERED:
        rendered_tokens(t, text, &s);
        break;
    }
    sink_end(&s);
    return s.count;
}

size_t tokenizer_encode(const struct tokenizer *t, str text, uint32_t *ids, size_t cap)
{
    return tokenizer_encode_as(t, text, TOKENIZER_TEXT, ids, cap);
}

size_t tokenizer_count_as(const struct tokenizer *t, str text, enum tokenizer_mode mode)
{
    return tokenizer_encode_as(t, text, mode, NULL, 0);
}

size_t tokenizer_count(const struct tokenizer *t, str text)
{
    return tokenizer_encode_as(t, text, TOKENIZER_TEXT, NULL, 0);
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
            len = broken_len(p, p + rest->len);
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
    char                 small[NORMALISED_SMALL], *heap;
    size_t               fits, take = max_tokens, step = 1;
    str                  clean;

    if (text.len == 0)
        return 0;
    clean = normalised(t, text, small, &heap);
    for (;;) {
        fits = clean_prefix(t, clean, take);
        if (clean.ptr != text.ptr && fits < clean.len) {
            char  *again = xmalloc(normalised_max(text.len));
            size_t len;

            fits = (size_t)(normalise(t, start, start + text.len, again, fits, &len) - start);
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
