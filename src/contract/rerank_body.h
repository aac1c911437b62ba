/* rerank_body.h - from the JSON of rerank to a rerank_input, for every surface that has it. Form alone is checked. */
#ifndef DASHBOX_CONTRACT_RERANK_BODY_H
#define DASHBOX_CONTRACT_RERANK_BODY_H

#include "contract/rerank_params.gen.h"

/* The query is a text, or {"text": …}; the documents are a list of such. Refuses what is missing or of another kind (E039),
 * empty documents (W205), and media, which no engine here sees (E223). in->model is known. */
enum err rerank_read(struct request *rq, yyjson_val *query, yyjson_val *documents, struct rerank_input *in);

#endif
