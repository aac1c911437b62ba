/* responses_body.h - a body of the OpenAI Responses API as a chat_input.
 *
 * Its items become the messages of chat completions, as JSON, and are read by contract/chat_body.h: so that what is refused
 * there is refused here, in the same words. Spec: chat.md §6.7.1.
 */
#ifndef DASHBOX_CONTRACT_RESPONSES_BODY_H
#define DASHBOX_CONTRACT_RESPONSES_BODY_H

#include "contract/responses_params.gen.h"

/* What a body says beside the chat_input. */
struct responses_body {
    str         instructions, previous, conversation; /* empty: not given */
    bool        store;
    yyjson_val *metadata;            /* object or NULL */
    yyjson_val *tools, *tool_choice; /* as sent, or NULL */
    yyjson_val *items;               /* array: `input`, a text as the user's one message */
};

/* Reads what is above and the parameters. Refuses background, and previous_response_id with conversation. */
enum err responses_read(struct request *rq, yyjson_val *root, struct chat_input *in, struct responses_body *ret);

/* The object of texts that a conversation or response is marked with; `metadata` may be NULL. */
enum err responses_check_metadata(struct request *rq, yyjson_val *metadata);

/* Reads the messages that the instructions and the items (an array of what went before and what is new) come to. */
enum err responses_read_items(struct request *rq, str instructions, yyjson_val *items, struct chat_input *in);

/* An item as it is stored and listed: keys in the alphabet's order, with an id, a type, and content as parts. */
str responses_item_text(struct arena *a, yyjson_val *item, str *ret_id);

/* "msg_" and a UUID: the id of every item (chat.md §6.7.2). */
str responses_item_id(struct arena *a);

#endif
