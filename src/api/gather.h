/* gather.h - the events of a chat answer on their way to any surface: put together, choice by choice, or passed on as they
 * come.
 */
#ifndef DASHBOX_API_GATHER_H
#define DASHBOX_API_GATHER_H

#include "base/buf.h"
#include "contract/chat.h"
#include "service/chat.h"

#define GATHER_CALLS_MAX 128 /* of one choice; what an engine says of further ones is dropped */

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

/* Until all events have been gathered: OK, or why they ended too early. */
SUSPENDS enum err gather_whole(struct gathered *all, struct chat_run *run);

/* Begins a stream with the first event, then calls send(arg, event) for each and flushes when the engine has no more at
 * hand. ERR_EOF after the last, ERR_FAULT when the engine broke off: the surface adds its last frame and ends the stream.
 * When the answer was refused before its first event nothing has begun (http_begun()). */
SUSPENDS enum err gather_stream(struct request *rq, struct chat_run *run,
                                void (*send)(void *arg, const struct chat_event *ev), void *arg);

/* One call in the wire's order: {"function":{"name","arguments"},"index","id","type"}. Without a name it is a continuation. */
void gather_add_call(struct buf *b, size_t index, str id, str name, str arguments);

/* All calls so far, separated by commas. */
void gather_add_calls(struct buf *b, const struct gathered *g);

#endif
