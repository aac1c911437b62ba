/* engine.h - what answers: takes a chat_input, gives chat_events; takes texts, gives vectors or a ranking.
 *
 * An engine knows no surface. Its stream belongs to the request: whatever it holds (a connection, a child's slot) is
 * tied to rq->arena with arena_defer and so given back however the request ends.
 */
#ifndef DASHBOX_ENGINE_ENGINE_H
#define DASHBOX_ENGINE_ENGINE_H

#include "contract/embed.h"
#include "contract/image.h"
#include "contract/request.h"
#include "contract/rerank.h"
#include "loop/fiber.h"

struct engine;
struct engine_stream;

struct engine_ops {
    const char *kind;      /* "standin", "upstream" */
    bool        here;      /* a part of this process: it is handed oss:// addresses as they are */
    bool        remembers; /* has a prefix cache of its own, and wants in->prompt_ends for it */

    /* Until the answer begins (its first event can be had) or is refused. The refusal is in rq->fault. */
    SUSPENDS enum err (*open)(struct engine *e, struct request *rq, const struct chat_input *in,
                              struct engine_stream **ret);
    /* Until the next event. ERR_EOF after the last one; ERR_FAULT when it broke off (rq->fault says why). */
    SUSPENDS enum err (*next)(struct engine_stream *st, struct chat_event *ret);
    /* True when next() would not suspend: the surface sends what it has gathered when this is false. */
    bool (*ready)(const struct engine_stream *st);

    /* The whole answer, or its refusal in rq->fault. */
    SUSPENDS enum err (*embed)(struct engine *e, struct request *rq, const struct embed_input *in,
                               struct embed_answer *ret);
    SUSPENDS enum err (*rerank)(struct engine *e, struct request *rq, const struct rerank_input *in,
                                struct rerank_answer *ret);
    /* One picture, or its refusal. ERR_NOT_FOUND: this engine makes none, or is not there, and somebody else may. NULL: likewise. */
    SUSPENDS enum err (*image)(struct engine *e, struct request *rq, const struct image_input *in,
                               struct image_answer *ret);
};

/* Both begin with this, so that one pointer does for all kinds. */
struct engine {
    const struct engine_ops *ops;
    str                      name;  /* of the configuration: "standin", "local-llama" */
    bool                     cloud; /* the service itself, which has files of its own */
};

struct engine_stream {
    const struct engine_ops *ops;
    /* Of the prompt: what the prefix cache had, and what this call put into the explicit one. Known once it is open; an
     * engine that counts says it in its usage instead. */
    int64_t cached_tokens, cache_created_tokens;
};

#endif
