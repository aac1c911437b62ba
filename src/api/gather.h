/* gather.h - the events of an answer put together, choice by choice: for answers that are sent whole, and for frames that
 * repeat all there is so far.
 */
#ifndef DASHBOX_API_GATHER_H
#define DASHBOX_API_GATHER_H

#include "base/buf.h"
#include "contract/chat.h"

struct gathered_call {
    str        id, name;
    struct buf arguments; /* JSON text */
};

/* One choice. */
struct gathered {
    struct arena         *arena;
    struct buf            text, reasoning;
    bool                  reasoned; /* has had reasoning */
    struct gathered_call *calls;
    size_t                call_count, call_cap;
    enum chat_finish      finish;
};

struct gathered *gather_new(struct arena *a, unsigned choices);

/* Adds the event to its choice; `all` is what gather_new() gave. */
void gather_event(struct gathered *all, const struct chat_event *ev);

/* One call in the wire's order: {"function":{"name","arguments"},"index","id","type"}. Without a name it is a continuation. */
void gather_add_call(struct buf *b, size_t index, str id, str name, str arguments);

/* All calls so far, separated by commas. */
void gather_add_calls(struct buf *b, const struct gathered *g);

#endif
