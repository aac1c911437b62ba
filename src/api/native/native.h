/* native.h - the handlers of the native (DashScope) protocol; data/routes names them. */
#ifndef DASHBOX_API_NATIVE_NATIVE_H
#define DASHBOX_API_NATIVE_NATIVE_H

#include "contract/json.h"
#include "contract/model.h"
#include "contract/request.h"
#include "loop/fiber.h"

struct chat_run;

SUSPENDS enum err handle_native_text_generation(struct request *rq);
SUSPENDS enum err handle_native_multimodal_generation(struct request *rq);
SUSPENDS enum err handle_native_code_generation(struct request *rq);
SUSPENDS enum err handle_native_media(struct request *rq);
SUSPENDS enum err handle_native_app(struct request *rq);
SUSPENDS enum err handle_native_assistants(struct request *rq);
SUSPENDS enum err handle_native_threads(struct request *rq);
SUSPENDS enum err handle_native_transcription(struct request *rq);
SUSPENDS enum err handle_native_vocabularies(struct request *rq);
SUSPENDS enum err handle_native_voices(struct request *rq);
SUSPENDS enum err handle_native_speech_synthesizer(struct request *rq);
/* A text to be read aloud, for a model of that. */
SUSPENDS enum err native_tts(struct request *rq, struct yyjson_val *root, const struct model *m);
/* A sound to be written down, likewise. */
SUSPENDS enum err native_asr(struct request *rq, struct yyjson_val *root, const struct model *m);
SUSPENDS enum err handle_native_text_embedding(struct request *rq);
SUSPENDS enum err handle_native_multimodal_embedding(struct request *rq);
SUSPENDS enum err handle_native_rerank(struct request *rq);
SUSPENDS enum err handle_native_models(struct request *rq);
SUSPENDS enum err handle_native_model(struct request *rq);
SUSPENDS enum err handle_native_tokenizer(struct request *rq);
SUSPENDS enum err handle_native_tokens(struct request *rq);
SUSPENDS enum err handle_native_tasks(struct request *rq);
SUSPENDS enum err handle_native_task(struct request *rq);
SUSPENDS enum err handle_native_fine_tunes(struct request *rq);
SUSPENDS enum err handle_native_fine_tune(struct request *rq);
SUSPENDS enum err handle_native_deployments(struct request *rq);
SUSPENDS enum err handle_native_deployment(struct request *rq);
SUSPENDS enum err handle_native_model_imports(struct request *rq);
SUSPENDS enum err handle_native_model_import(struct request *rq);
SUSPENDS enum err handle_result_file(struct request *rq);
SUSPENDS enum err handle_native_files(struct request *rq);
SUSPENDS enum err handle_native_file(struct request *rq);
SUSPENDS enum err handle_native_indices(struct request *rq);
SUSPENDS enum err handle_native_datacenter(struct request *rq);
SUSPENDS enum err handle_datacenter_upload(struct request *rq);
SUSPENDS enum err handle_datacenter_download(struct request *rq);
SUSPENDS enum err handle_native_uploads(struct request *rq);
SUSPENDS enum err handle_upload_form(struct request *rq);

/* The input of a body of chat: messages, or a prompt with its history. in->model and in->multimodal are set. */
enum err native_read_input(struct request *rq, yyjson_val *root, struct chat_input *in);

/* Whether the client wants events: X-DashScope-SSE decides; Accept alone does too (chat.md §2.1). */
bool native_wants_stream(const struct request *rq);

/* A call of an image, video or people service on that path, whose model is known. */
SUSPENDS enum err native_media(struct request *rq, yyjson_val *root, const struct model *m, enum model_path path);

/* The answer of a research, as a stream. */
SUSPENDS enum err deep_research_answer(struct request *rq, struct chat_run *run);

#endif
