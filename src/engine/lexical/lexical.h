/* lexical.h - embeddings and rerank without a model: what texts have in common is their words.
 *
 * Dense vectors are hashed features: words and their stems, pairs of words, pieces of words, and of Chinese, Japanese and
 * Korean the characters and their neighbours. A feature that is rare in the tokenizer's vocabulary, which is ordered by frequency,
 * counts more; one that is repeated counts less than twice. Each feature adds to or takes from one number of every 64, so
 * that the first numbers of a vector are, brought to unit length, the shorter vector of the same text.
 *
 * Sparse vectors hold the tokens of the words and how rare they are. Rerank is Okapi BM25 over the documents given, as a
 * share of what the query could reach: 0 for a document that has none of its words.
 *
 * The same text has the same vector on every machine, to the last bit: whole numbers, then one square root and divisions of
 * IEEE 754. Texts are not understood: instruct and text_type change nothing.
 *
 * Thread: any. Memory: the arena; none for a feature.
 */
#ifndef DASHBOX_ENGINE_LEXICAL_LEXICAL_H
#define DASHBOX_ENGINE_LEXICAL_LEXICAL_H

#include "base/arena.h"
#include "contract/embed.h"
#include "contract/rerank.h"

struct tokenizer;

#define LEXICAL_DIMENSION_MAX 4096
#define LEXICAL_DIMENSION     1024 /* of a model whose dimension nobody tells */

void lexical_embed(const struct tokenizer *t, struct arena *a, const struct embed_input *in, struct embed_answer *ret);
void lexical_rerank(struct arena *a, const struct rerank_input *in, struct rerank_answer *ret);

#endif
