/* translation.h - what a translation is asked for: translation_options of Qwen-MT. Specification: chat.md §5.6. */
#ifndef DASHBOX_CONTRACT_TRANSLATION_H
#define DASHBOX_CONTRACT_TRANSLATION_H

#include "contract/request.h"

/* Reads in->translation into in->translate when the model translates. Refuses what is missing, misspelt or of the wrong
 * type (E005, E057, W011, W036). What the model does not take is left out. */
enum err translation_read(struct request *rq, struct chat_input *in);

/* The same said in words, for an engine that knows no translation_options. */
str translation_instruction(struct arena *a, const struct translation_input *t);

#endif
