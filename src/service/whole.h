/* whole.h - what the services have in common whose answers are whole: embeddings and rerank.
 *
 *      whole_begin() ---------------> the engine ---------------> whole_end()
 *        its tokens fit the limits,                                 failures become the catalogue's,
 *        its texts are allowed                                      faults on purpose, the charge
 */
#ifndef DASHBOX_SERVICE_WHOLE_H
#define DASHBOX_SERVICE_WHOLE_H

#include "contract/request.h"
#include "loop/fiber.h"

/* The request has been admitted and rq->usage.prompt_tokens is known. */
SUSPENDS enum err whole_begin(struct request *rq, const str *texts, size_t count);

/* `e` is what the engine gave. What whole_begin() let in ends here, answered or not. */
SUSPENDS enum err whole_end(struct request *rq, enum err e);

/* Whether the rules and the guard model allow the texts: as whole_begin() asks, where there is no admitted request. */
SUSPENDS enum err whole_moderate(struct request *rq, const str *texts, size_t count);

/* The engine for the request's model; the log says that it is asked. */
struct engine *whole_engine(struct request *rq);

#endif
