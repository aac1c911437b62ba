/* guard.h - a model that judges what goes in and what comes out (access.md §8; the option moderation.guard).
 *
 * It is asked like any other model, through the engine that its name is routed to; its calls are neither limited nor
 * charged.
 * A text that it finds unsafe is refused: what goes in as the rules' finds are (E100b, E101); an answer with E100a, since
 * it is judged together with its question. When the guard cannot be asked, or says what nobody understands, the option
 * moderation.guard_away decides.
 */
#ifndef DASHBOX_SERVICE_GUARD_H
#define DASHBOX_SERVICE_GUARD_H

#include "contract/request.h"

/* Whether the guard looks at that side of this request. */
bool guard_looks_at(const struct request *rq, unsigned side);

/* All of the input. */
SUSPENDS enum err guard_input(struct request *rq, const struct chat_input *in);

/* A whole answer to it. */
SUSPENDS enum err guard_output(struct request *rq, const struct chat_input *in, str answer);

#endif
