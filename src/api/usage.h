/* usage.h - what both protocols of chat say alike of what an answer has used. Spec: chat.md §4.2, §6.2, §10.6. */
#ifndef DASHBOX_API_USAGE_H
#define DASHBOX_API_USAGE_H

#include "base/buf.h"
#include "contract/chat.h"

/* "cached_tokens":N, and what a prompt with cache_control adds. */
void usage_add_cached(struct buf *b, const struct chat_usage *u);

/* "image_tokens":N, with the comma behind each, of the kinds that the prompt has; false when it is text alone. */
bool usage_add_media(struct buf *b, const struct chat_usage *u);

/* Of the prompt, what is text. */
int64_t usage_text_tokens(const struct chat_usage *u);

/* ,"plugins":{…} when the answer has used any. */
void usage_add_plugins(struct buf *b, const struct chat_input *in, const struct chat_usage *u);

#endif
