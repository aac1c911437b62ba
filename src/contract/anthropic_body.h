/* anthropic_body.h - from the body of an Anthropic Messages call to a chat_input.
 *
 *      {"role":"user","content":[tool_result, image, text]}      one message for each result, then one with the rest
 *      {"role":"assistant","content":[thinking, text, tool_use]}  one message: reasoning, content, tool calls
 *
 * The middle form has results of tools as texts: their images stand in the user message behind them. Only form is checked.
 * Texts are views into the body; what is put together (data URIs, tools in the form of engines) is in the request's arena.
 * Spec: chat.md §7.2; wire-forms.md §4.
 */
#ifndef DASHBOX_CONTRACT_ANTHROPIC_BODY_H
#define DASHBOX_CONTRACT_ANTHROPIC_BODY_H

#include "contract/chat_params.gen.h"

/* `system` may be NULL. */
enum err anthropic_read_messages(struct request *rq, yyjson_val *system, yyjson_val *messages, struct chat_input *in);

#endif
