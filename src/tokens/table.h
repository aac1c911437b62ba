/* table.h - the compiled vocabulary as the files of the tokenizer read it; nobody else includes it.
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
 */
#ifndef DASHBOX_TOKENS_TABLE_H
#define DASHBOX_TOKENS_TABLE_H

#include "tokens/tokenizer.h"

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

#define ID_MASK     0x3FFFFu /* 18 bits */
#define PAIR_WAYS   8u
#define BORDER_BITS 18

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

/* ---- code points ---- */

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

#endif
