/* tool_calls.h - the tool calls of an answer as JSON, as both protocols have them. */
#ifndef DASHBOX_API_TOOL_CALLS_H
#define DASHBOX_API_TOOL_CALLS_H

#include "api/gather.h"

/* A piece of a call in a stream: {"index","id","type","function":{"name","arguments"}}. A continuation has no id and no
 * name. */
void tool_call_add_piece(struct buf *b, size_t index, str id, str name, str arguments);

/* All calls so far, separated by commas: {"function":{"name","arguments"},"index","id","type"}. */
void tool_calls_add(struct buf *b, const struct gathered *g);

/* The same as the member that a whole message has: nothing when there are no calls. */
void tool_calls_add_member(struct buf *b, const struct gathered *g);

#endif
