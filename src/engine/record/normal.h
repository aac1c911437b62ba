/* normal.h - what of a request says that it is the same one: its normalised body, and the name of its file.
 *
 * A JSON body is written anew: members sorted, two blanks a level, without what differs from run to run or must not be
 * kept.
 * - Left out at the top: user, request_id, metadata, safety_identifier, prompt_cache_key, store.
 * - Ids of tool calls (tool_calls[].id, tool_call_id) become call_1, call_2, … in the order in which they first stand
 * there.
 * - data: URIs and long texts in Base64 become their SHA-256 and size.
 * - Secrets are taken out (scrub.h).
 * A body that is not JSON is only scrubbed.
 *
 * The name is MODEL-FAMILY-REST: eight hexadecimal digits of the SHA-256 of method, path, model and what is asked (messages;
 * input; query and documents), and eight of all.
 *
 * Recurses up to 64 levels, so it belongs on a lane. Memory: the arena.
 */
#ifndef DASHBOX_ENGINE_RECORD_NORMAL_H
#define DASHBOX_ENGINE_RECORD_NORMAL_H

#include "base/arena.h"

struct normal {
    str body;   /* ends with a line break */
    str name;   /* "qwen-plus-3f9a01c2-9d2e44b1" */
    str family; /* "qwen-plus-3f9a01c2-": the same for other parameters */
};

void normal_of(struct arena *a, str method, str path, str body, struct normal *ret);

/* The first place where two normalised bodies differ, such as "messages[1].content"; "" when they do not. */
str normal_difference(struct arena *a, str one, str other);

/* How alike two texts are: the bytes that they begin and end with in common, of 1000. */
unsigned normal_likeness(str one, str other);

#endif
