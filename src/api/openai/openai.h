/* openai.h - the handlers of the OpenAI-compatible protocol; data/routes names them. */
#ifndef DASHBOX_API_OPENAI_OPENAI_H
#define DASHBOX_API_OPENAI_OPENAI_H

#include "contract/request.h"
#include "loop/fiber.h"

SUSPENDS enum err handle_openai_chat_completions(struct request *rq);
SUSPENDS enum err handle_openai_completions(struct request *rq);
SUSPENDS enum err handle_openai_responses(struct request *rq);
SUSPENDS enum err handle_openai_response(struct request *rq);
SUSPENDS enum err handle_openai_conversations(struct request *rq);
SUSPENDS enum err handle_openai_conversation(struct request *rq);
SUSPENDS enum err handle_openai_speech(struct request *rq);
SUSPENDS enum err handle_openai_transcriptions(struct request *rq);
/* A chat with a model that writes down what is said. */
struct yyjson_val;
SUSPENDS enum err openai_asr(struct request *rq, struct yyjson_val *root, const struct model *m);
SUSPENDS enum err handle_openai_embeddings(struct request *rq);
SUSPENDS enum err handle_openai_batches(struct request *rq);
SUSPENDS enum err handle_openai_batch(struct request *rq);
SUSPENDS enum err handle_openai_files(struct request *rq);
SUSPENDS enum err handle_openai_file(struct request *rq);
SUSPENDS enum err handle_openai_models(struct request *rq);
SUSPENDS enum err handle_openai_model(struct request *rq);
SUSPENDS enum err handle_openai_app(struct request *rq);
SUSPENDS enum err handle_openai_reranks(struct request *rq);

/* Lines of batches (service/batch_runner.h): the answer's body into *ret, its cost into *charge. */
struct buf;
struct charge;
SUSPENDS enum err openai_batch_line(struct request *rq, str url, struct yyjson_val *body, struct charge *charge,
                                    struct buf *ret);
SUSPENDS enum err openai_chat_line(struct request *rq, struct yyjson_val *body, struct charge *charge, struct buf *ret);
SUSPENDS enum err openai_embeddings_line(struct request *rq, struct yyjson_val *body, struct charge *charge,
                                         struct buf *ret);

#endif
