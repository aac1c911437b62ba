/* vectors.h - embeddings and rerank as servers of the OpenAI form speak them: bodies out, answers in, no sockets.
 *
 * POST …/embeddings is OpenAI's. POST …/rerank is that of Jina and Cohere, which vLLM, SGLang, llama-server and Infinity
 * follow; answers with "results", with "data" or as a bare list are understood, scores as "relevance_score" or "score". Where
 * scores are no shares but any numbers, as llama-server's are, the logistic function makes shares of them.
 */
#ifndef DASHBOX_ENGINE_UPSTREAM_VECTORS_H
#define DASHBOX_ENGINE_UPSTREAM_VECTORS_H

#include "base/arena.h"
#include "contract/embed.h"
#include "contract/rerank.h"

struct yyjson_val;

/* `cloud`: the whole contract is known there; else what OpenAI's form does not have is left out. */
str vectors_embed_body(struct arena *a, const struct embed_input *in, str model, bool cloud);
str vectors_rerank_body(struct arena *a, const struct rerank_input *in, str model, bool cloud);

/* NULL, or what is wrong with the answer. */
const char *vectors_embed_read(struct arena *a, struct yyjson_val *root, const struct embed_input *in,
                               struct embed_answer *ret);
const char *vectors_rerank_read(struct arena *a, struct yyjson_val *root, const struct rerank_input *in,
                                struct rerank_answer *ret);

#endif
