/* anthropic.h - the handlers of the Anthropic-compatible protocol; data/routes names them. */
#ifndef DASHBOX_API_ANTHROPIC_ANTHROPIC_H
#define DASHBOX_API_ANTHROPIC_ANTHROPIC_H

#include "contract/request.h"
#include "loop/fiber.h"

SUSPENDS enum err handle_anthropic_messages(struct request *rq);
SUSPENDS enum err handle_anthropic_count_tokens(struct request *rq);

#endif
