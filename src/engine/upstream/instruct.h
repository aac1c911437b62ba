/* instruct.h - special models' options said in words, for an engine that has none: translation_options, ocr_options. */
#ifndef DASHBOX_ENGINE_UPSTREAM_INSTRUCT_H
#define DASHBOX_ENGINE_UPSTREAM_INSTRUCT_H

#include "base/arena.h"
#include "contract/chat.h"

/* The same input with messages that say what to do; `in` itself when there is nothing to say. */
const struct chat_input *instruct(struct arena *a, const struct chat_input *in);

#endif
