/* gather.h - the events of a chat answer put together, choice by choice. */
#ifndef DASHBOX_API_GATHER_H
#define DASHBOX_API_GATHER_H

#include "base/buf.h"
#include "contract/chat.h"

#define GATHER_MAX       ((size_t)64 << 20) /* bytes of a text */
#define GATHER_CALLS_MAX 128                /* of one choice; what an engine says of further ones is dropped */

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
    str                   stop; /* the text that ended it, if the engine told */

    struct chat_logprob *logprobs; /* of the text */
    size_t               logprob_count, logprob_cap;
    bool                 searched; /* the web: what follows is what was found */
    struct chat_source  *sources;
    size_t               source_count;
    struct chat_found   *found;
    size_t               found_count;
    str                 *code; /* that was run */
    size_t               code_count;
};

struct gathered *gather_new(struct arena *a, unsigned choices);

/* Adds the event to its choice; `all` is what gather_new() gave. */
void gather_event(struct gathered *all, const struct chat_event *ev);

#endif
