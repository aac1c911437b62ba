/* tool_calls.h - the tool calls of an answer as JSON, as both protocols have them. */
#ifndef DASHBOX_API_TOOL_CALLS_H
#define DASHBOX_API_TOOL_CALLS_H

#include "api/gather.h"

/* One call in the wire's order: {"function":{"name","arguments"},"index","id","type"}. Without a name it is a
 * continuation. */
void tool_call_add(struct buf *b, size_t index, str id, str name, str arguments);

/* All calls so far, separated by commas. */
void tool_calls_add(struct buf *b, const struct gathered *g);

/* The same as the member that a whole message has: nothing when there are no calls. */
void tool_calls_add_member(struct buf *b, const struct gathered *g);

#endif
