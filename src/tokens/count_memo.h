/* count_memo.h - token counts of texts seen before.
 *
 * A conversation is sent again with every turn; its old messages need not be counted again. The memo is a table of
 * fixed size: what is new takes the place of what was not asked for lately. The text itself is not kept: an entry is
 * recognised by two independent keyed hashes (128 bits together) and the length.
 *
 * One a worker thread, no locks. Texts under COUNT_MEMO_MIN bytes are counted directly. On a fiber, once COUNT_AT_ONCE
 * bytes
 * have been counted in one turn of the loop, the fiber suspends while the next text is counted on a lane: whatever a client
 * sends, the others are served meanwhile.
 */
#ifndef DASHBOX_TOKENS_COUNT_MEMO_H
#define DASHBOX_TOKENS_COUNT_MEMO_H

#include "loop/fiber.h"
#include "tokens/tokenizer.h"

struct count_memo;

#define COUNT_MEMO_MIN 32
#define COUNT_AT_ONCE  ((size_t)64 * 1024)

/* `entries` is rounded up to a power of two; 0 means 8192 (192 KiB, touched as it fills). */
struct count_memo *count_memo_open(size_t entries);
void               count_memo_close(struct count_memo *m); /* accepts NULL */

/* tokenizer_count(t, text), remembered. The text stays as it is until the call returns. All calls on one memo are made
 * with the same tokenizer. `m` may be NULL: then
 * nothing is remembered. */
SUSPENDS size_t count_memo_get(struct count_memo *m, const struct tokenizer *t, str text);

/* tokenizer_count() of the three texts in a row, remembered under all three. Text that follows directly on text cannot
 * be counted in parts: ".\n" may be one token. */
SUSPENDS size_t count_memo_get_joined(struct count_memo *m, const struct tokenizer *t, str before, str text, str after);

/* fn(arg), which reads so many bytes or tokens: on the lane where a text of that length would be counted there. */
SUSPENDS void count_memo_run(struct count_memo *m, size_t len, void (*fn)(void *arg), void *arg);

/* For metrics. */
struct count_memo_stats {
    uint64_t hits, misses;
};
struct count_memo_stats count_memo_stats(const struct count_memo *m);

#endif
