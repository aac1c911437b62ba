/* embed.h - embeddings: what is asked is checked against the model, counted, and made into vectors by an engine.
 *
 * A surface reads the texts and parameters (contract/embed_body.h), then calls embed_run(). Who has texts of his own, a
 * task, calls embed_check() once and embed_texts() as often as he likes.
 */
#ifndef DASHBOX_SERVICE_EMBED_H
#define DASHBOX_SERVICE_EMBED_H

#include "contract/embed.h"
#include "contract/request.h"
#include "loop/fiber.h"

/* How many texts, which dimension (E036, W203). Fills in what the client has left out. */
enum err embed_check(struct request *rq, struct embed_input *in);

/* Counts the texts (E008: one is empty, or too long) and has them made into vectors, of the text_count texts at once, however
 * many. Sets in->tokens and rq->usage; nothing is admitted or charged. Of the request it needs arena, services, model_name,
 * fault and id. */
SUSPENDS enum err embed_texts(struct request *rq, struct embed_input *in, struct embed_answer *ret);

/* A client's call that has been admitted (access/admission.h): all of the above, its limits, moderation, and its charge. */
SUSPENDS enum err embed_run(struct request *rq, struct embed_input *in, struct embed_answer *ret);

/* The same for the contents of a multimodal embedding: how many of each kind (E036), and no media, which no engine sees yet
 * (E223). *ret_fused: one vector stands for all contents. */
SUSPENDS enum err embed_run_multimodal(struct request *rq, struct embed_input *in, struct embed_answer *ret,
                                       bool *ret_fused);

#endif
