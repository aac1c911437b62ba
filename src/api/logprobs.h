/* logprobs.h - the probabilities of an answer's tokens as JSON. */
#ifndef DASHBOX_API_LOGPROBS_H
#define DASHBOX_API_LOGPROBS_H

#include "base/buf.h"
#include "contract/chat.h"

/* {"content":[…]}, one member a token, with its members in the order of the native protocol or of OpenAI's. A token that is
 * a part of a character is U+FFFD in "token"; "bytes" has what it is. Spec: chat.md §4.8, §6.2. */
void logprobs_add_native(struct buf *b, const struct chat_logprob *all, size_t count);
void logprobs_add_openai(struct buf *b, const struct chat_logprob *all, size_t count);

#endif
