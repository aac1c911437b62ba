/* native.h - the handlers of the native (DashScope) protocol; data/routes names them. */
#ifndef DASHBOX_API_NATIVE_NATIVE_H
#define DASHBOX_API_NATIVE_NATIVE_H

#include "contract/request.h"
#include "loop/fiber.h"

SUSPENDS enum err handle_native_text_generation(struct request *rq);
SUSPENDS enum err handle_native_multimodal_generation(struct request *rq);
SUSPENDS enum err handle_native_text_embedding(struct request *rq);
SUSPENDS enum err handle_native_multimodal_embedding(struct request *rq);
SUSPENDS enum err handle_native_rerank(struct request *rq);
SUSPENDS enum err handle_native_tokens(struct request *rq);

#endif
