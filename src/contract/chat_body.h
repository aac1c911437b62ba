/* chat_body.h - from a chat body's JSON to a chat_input, for every surface that has one.
 *
 * Both spellings of messages are read here: the native multimodal items ({"image": url}) and OpenAI's parts ({"type":
 * "image_url", …}). Only form is checked: what a model can do is service/chat.c's business. Nothing is copied.
 */
#ifndef DASHBOX_CONTRACT_CHAT_BODY_H
#define DASHBOX_CONTRACT_CHAT_BODY_H

#include "contract/chat_params.gen.h"

/* Which rules a message's content follows. */
enum chat_content_form {
    CHAT_CONTENT_TEXT,       /* native text-generation: a string */
    CHAT_CONTENT_MULTIMODAL, /* native multimodal-generation: a string or items with one modality key */
    CHAT_CONTENT_OPENAI,     /* a string or typed parts */
};

/* Reads the array of messages; `where` names it in refusals ("input.messages" or "messages"). */
enum err chat_read_messages(struct request *rq, yyjson_val *messages, enum chat_content_form form, str where,
                            struct chat_input *in);

/* The old single-turn form: `prompt`, with `history` of {"user", "bot"} turns before it; both may be NULL. */
enum err chat_read_prompt(struct request *rq, yyjson_val *prompt, yyjson_val *history, struct chat_input *in);

/* ---- what other bodies of chat have in common with these ---- */

/* E026 and its like: a tool's name, which stands at `where` of the body, and its schema, which may be NULL. */
enum err chat_check_tool(struct request *rq, str name, str where, yyjson_val *schema);

#endif
