/* knowledge_chunks.h - a text as the chunks of a knowledge base, and the words that a chunk is found by.
 *
 * A chunk is sentences that follow each other, as many as its size has room for; it begins with the last ones of the chunk before, as many as
 * the overlap has room for. A longer sentence is cut at blanks, else between characters. A heading ("# …") begins a chunk, unless
 * little stands before it, and is the title of those behind it. Sizes are in tokens.
 *
 * Thread: any; the texts are the caller's, the rest is in the arena.
 */
#ifndef DASHBOX_SERVICE_KNOWLEDGE_CHUNKS_H
#define DASHBOX_SERVICE_KNOWLEDGE_CHUNKS_H

#include "base/arena.h"

struct tokenizer;

struct chunk {
    str title, text; /* views of the text */
};

struct chunk_rule {
    size_t     size, overlap;
    const str *separators; /* behind which a sentence ends; none: the usual ones */
    size_t     separator_count;
};

/* ERR_LIMIT: more than `most`. */
enum err chunks_cut(const struct tokenizer *t, struct arena *a, str text, const struct chunk_rule *rule, size_t most,
                    struct chunk **ret, size_t *ret_count);

/* The words of a text as an index has them (engine/lexical/words.h: stems, and of scripts without blanks each two characters), each as
 * twelve digits, parted by blanks, all of them in their order; of a question (`once`) each once, at most KNOWLEDGE_TERMS_MAX. */
str chunk_words(struct arena *a, str text, bool once);

#endif
