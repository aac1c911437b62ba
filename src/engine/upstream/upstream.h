/* upstream.h - an engine that asks other servers: any that speak the OpenAI protocol (llama.cpp, vLLM, SGLang, Ollama, …),
 * another dashbox, or the cloud itself. Chat goes to …/chat/completions (body.h, answer.h), embeddings to …/embeddings, rerank
 * to …/rerank, or to …/reranks of the cloud (vectors.h).
 *
 * An upstream is a pool of endpoints that answer alike. Each request goes to the one with the fewest under way (by weight).
 * It is tried on another one only while nothing of an answer has come, and only when the endpoint could not be connected
 * to,
 * closed without an answer, or answered 502, 503 or 504. Three such failures in a row, or one connection that cannot be
 * made, mark an endpoint down for a second, doubled each time up to 30; then one request may find out. Active checks
 * (health_path) do both sooner: the first is made at once, and one that is not answered well marks the endpoint down, but
 * for a time-out, which may be a busy server. When no endpoint is left, the request goes on to the fallback engine.
 *
 * What happens                                                           What the client is told
 * ---------------------------------------------------------------------  ---------------------------------------------
 * no endpoint is up; none can be connected to (refused, unreachable,     E236 MODEL_UNAVAILABLE     → fallback
 *   TLS, connect_ms); status 502, 503
 * status 404: the engine does not have the model                         E236 MODEL_UNAVAILABLE
 * status 429; no connection free and too many requests wait for one      E235 MODEL_SERVING_BUSY    → fallback
 * closed before the first byte of an answer                              E224 BACKEND_NO_RESPONSE   → fallback
 * status 504                                                             E230a REQUEST_TIMEOUT      → fallback
 * no head within first_ms, a whole answer not within total_ms or         E230a REQUEST_TIMEOUT
 *   stalled for between_ms; status 408
 * head cut off or malformed; redirects; a 200 that is not the protocol   E224 BACKEND_NO_RESPONSE
 *   (no JSON, HTML, no choices, too large); a whole answer cut off;
 *   a stream cut off before its finish
 * the prompt exceeds its context, as it says itself (refusal.c)          E008 INPUT_LENGTH_RANGE
 * prompt and max_tokens together do                                      E009 MAX_TOKENS_RANGE
 * status 400, 409, 413, 422: it will not do this request for another     E219 ENGINE_REJECTED
 *   reason; what was at fault only the log can tell
 * status 401, 403, other 4xx: dashbox is set up wrongly for it           E228 SYSTEM_ERROR
 * status 500 and up with an error object: it broke off computing;        E216 INFERENCE_INTERNAL
 *   finish_reason "error" or "abort"
 * status 500 and up with anything else                                   E225a ALGORITHM_INTERNAL
 * an error object in a 200: by the status it names, without one          as above; E216
 * a stream that stalls for between_ms                                    X092 RESPONSE_STREAM_TIMEOUT
 * arguments of a tool call in a whole answer that are not JSON           E217 TOOL_CALL_BAD_JSON
 *   (unless the answer was cut by its length limit)
 * sparse vectors are asked for: the protocol has none                    E219 ENGINE_REJECTED
 * it is replayed, and there is no recording of the request               D010 REPLAY_MISSING
 *
 * With `cloud`, a refusal in the contract's own form is passed on word for word instead, but for 401: that is about
 * dashbox's key, not the client's (E228). The log has the truth of each in the fault's detail.
 *
 * Thread: one loop. Memory: a stream is the request's.
 */
#ifndef DASHBOX_ENGINE_UPSTREAM_UPSTREAM_H
#define DASHBOX_ENGINE_UPSTREAM_UPSTREAM_H

#include "engine/engine.h"
#include "net/http1.h"

struct tapes;
struct tls_context;

struct upstream_endpoint {
    str      url;     /* "http://127.0.0.1:8000/v1", "unix:/run/llama.sock:/v1"; paths are added */
    str      api_key; /* sent as "Authorization: Bearer …"; empty: none */
    unsigned weight;  /* 0 means 1 */
};

/* Which name the upstream knows a model by; `from` may end in "*". */
struct upstream_model {
    str from, to;
};

/* Zero stands for the value in brackets. All texts are copied. */
struct upstream_options {
    str                             name;
    const struct upstream_endpoint *endpoints;
    size_t                          endpoint_count; /* at most UPSTREAM_ENDPOINTS_MAX */
    const struct upstream_model    *models;
    size_t                          model_count;
    str                             model_default; /* for names that are not in `models` [the client's] */
    const struct http_field        *fields;        /* sent with each request */
    size_t                          field_count;

    int64_t connect_ms;     /* [5 s] */
    int64_t first_ms;       /* to the head of the answer [300 s] */
    int64_t between_ms;     /* between two pieces of it [120 s] */
    int64_t total_ms;       /* for an answer that is not streamed [300 s] */
    size_t  answer_max;     /* bytes of such an answer, and of one event of a stream [32 MiB] */
    size_t  connection_max; /* an endpoint [1024] */

    unsigned retries;                    /* on other endpoints [2]; UPSTREAM_RETRIES_NONE: none */
    unsigned failures_max;               /* in a row, until an endpoint is marked down [3] */
    int64_t  backoff_ms, backoff_max_ms; /* how long it is [1 s, 30 s] */
    str      health_path;                /* "/health"; empty: no checks of its own */
    int64_t  health_interval_ms;         /* [10 s] */

    bool supervised; /* a child of ours, started again when it ends: that it is not there for a moment is one failure */
    bool cloud;      /* speaks the whole contract: its own parameters are sent, its refusals passed on */
    bool images;     /* serves the images API: else it is asked for no pictures */
    bool strict;     /* refuses what OpenAI's reference does not have: such parameters are left out */

    struct tls_context *tls;      /* for https; held [the system's authorities, verified] */
    struct engine      *fallback; /* not closed by this one */
    struct tapes *tapes; /* where its exchanges are kept, or what answers instead of it (record/); NULL: neither */

    /* The owner's count of requests under way, those too that outlive upstream_close(); NULL: none. */
    _Atomic int64_t *active;
};

#define UPSTREAM_ENDPOINTS_MAX 64
#define UPSTREAM_RETRIES_NONE  UINT32_MAX

/* ERR_INVALID, and the reason in the log, when a URL or a field is malformed. Does not connect. */
enum err upstream_open(struct loop *l, const struct upstream_options *o, struct engine **ret);
/* Streams under way end as they end. */
void upstream_close(struct engine *e);

/* What an engine is asked for, one of the four, and where its answer goes. */
struct engine_question {
    const struct chat_input   *chat;
    struct engine_stream     **stream;
    const struct embed_input  *embed;
    struct embed_answer       *vectors;
    const struct rerank_input *rerank;
    struct rerank_answer      *ranking;
    const struct image_input  *image;
    struct image_answer       *picture;
};

/* Asks such an engine, without its fallback. *ret_elsewhere: it could not be asked (ERR_FAULT says why), and another engine
 * may do it. */
SUSPENDS enum err upstream_ask(struct engine *e, struct request *rq, const struct engine_question *q,
                               bool *ret_elsewhere);
/* Asks `to` because `from` could not be asked: the fault in the request becomes what the log says of it. */
SUSPENDS enum err engine_fall_back(struct engine *from, struct engine *to, struct request *rq,
                                   const struct engine_question *q);

/* Now, for metrics. */
struct upstream_state {
    size_t  endpoints, up, outstanding;
    int64_t requests, retries, failures, fallbacks;
};
void upstream_state(const struct engine *e, struct upstream_state *ret);
/* Whether the endpoint of that place in the options is not marked down. */
bool upstream_is_up(const struct engine *e, size_t endpoint);

#endif
