/* body.h - a chat_input as the body of POST …/chat/completions. */
#ifndef DASHBOX_ENGINE_UPSTREAM_BODY_H
#define DASHBOX_ENGINE_UPSTREAM_BODY_H

#include "base/arena.h"
#include "contract/chat.h"

/* Who reads it. By default an inference engine (llama-server, vLLM, SGLang, Ollama): these take the usual extensions of
 * OpenAI's reference and pass over what they do not know. */
struct body_reader {
    bool cloud;  /* the whole contract */
    bool strict; /* only what OpenAI's reference has */
};

str body_write(struct arena *a, const struct chat_input *in, str model, const struct body_reader *to);

#endif
