/* embed_body.h - from the JSON of embeddings to an embed_input, for every surface that has them. Form alone is checked: what
 * a model takes is service/embed.c's business. */
#ifndef DASHBOX_CONTRACT_EMBED_BODY_H
#define DASHBOX_CONTRACT_EMBED_BODY_H

#include "contract/embedding_params.gen.h"

/* A text, or a list of texts, none of them empty; refuses all else (E043), no list at all included. in->model is known. */
enum err embed_read_texts(struct request *rq, yyjson_val *texts, struct embed_input *in);

/* The contents of a multimodal embedding: texts, and objects of a text, an image, a video, images or audio. Refuses what is
 * none of these (E043, E057) and what is no URL (E041). Counts the media; the texts go where those of embed_read_texts() do.
 */
enum err embed_read_contents(struct request *rq, yyjson_val *contents, struct embed_input *in);

#endif
