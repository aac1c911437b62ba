/* code_body.h - from the input of the code-generation path to a chat_input. Specification: chat.md §5.12. */
#ifndef DASHBOX_CONTRACT_CODE_BODY_H
#define DASHBOX_CONTRACT_CODE_BODY_H

#include "contract/request.h"

/* Reads {"scene", "message": [{"role": "user", "content"}, {"role": "attachment", "meta"}]}. The scene and what is attached
 * become a system message, so that any chat engine can do the work. Refuses what is missing or of the wrong type (E057,
 * W011, W034, W036), and what a database's schema must be (E171, E172). */
enum err code_read_input(struct request *rq, struct yyjson_val *input, struct chat_input *in);

#endif
