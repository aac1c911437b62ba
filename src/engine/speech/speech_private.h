/* speech_private.h - what speakers and recognisers have in common: questions to a child. */
#ifndef DASHBOX_ENGINE_SPEECH_SPEECH_PRIVATE_H
#define DASHBOX_ENGINE_SPEECH_SPEECH_PRIVATE_H

#include "contract/json.h"
#include "engine/pool/pool.h"
#include "engine/speech/speech.h"

struct speech {
    struct loop *loop;
    struct pool *speakers, *listeners;
    uint64_t     streams; /* that were opened: the number of the last one */
    int64_t      say_ms, hear_ms;
    bool         told; /* the log knows of the sandbox */
};

/* A stream that lives in a child. */
struct speech_stream {
    struct speech  *speech;
    struct pool_pin pin;
    uint64_t        id;
};

struct speech_answer {
    yyjson_val *json;
    str         sound;
    int64_t     cpu_us;
    bool        invalid; /* it could not be done with what was sent */
};

/* Asks the child, which the caller has: engines/speech/main.c has the verbs. */
SUSPENDS enum err speech_ask(struct speech *s, struct pool_child *c, const char *verb, str json, str sound, int64_t ms,
                             struct arena *a, struct speech_answer *ret);

/* Opens a stream with that question, the number of which is added to `json` (an object without its end). ERR_INVALID: it cannot be. */
SUSPENDS enum err speech_stream_open(struct speech *s, struct pool *p, const char *verb, struct buf *json,
                                     struct arena *a, struct speech_stream *ret);
/* The same for one that is open. */
SUSPENDS enum err speech_stream_ask(struct speech_stream *st, const char *verb, struct buf *json, str sound, int64_t ms,
                                    struct arena *a, struct speech_answer *ret);
void              speech_stream_close(struct speech_stream *st);

#endif
