/* rerank.h - rerank: what is asked is checked against the model, counted, and ranked by an engine. */
#ifndef DASHBOX_SERVICE_RERANK_H
#define DASHBOX_SERVICE_RERANK_H

#include "contract/request.h"
#include "contract/rerank.h"
#include "loop/fiber.h"

/* A client's call that has been admitted: how many documents, how long (W206, W204, E008), its limits, moderation, the engine,
 * and its charge. At most in->top_n results. */
SUSPENDS enum err rerank_run(struct request *rq, struct rerank_input *in, struct rerank_answer *ret);

/* The same for who has texts of his own, a knowledge base: nothing is admitted, moderated or charged. Of the request it needs what
 * embed_texts() does. */
SUSPENDS enum err rerank_texts(struct request *rq, struct rerank_input *in, struct rerank_answer *ret);

#endif
