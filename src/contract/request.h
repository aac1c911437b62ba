/* request.h - what every layer between the socket and the engine knows of one request.
 *
 * Made by server/request.c when a head has arrived, and gone with its arena when the answer has been sent.
 */
#ifndef DASHBOX_CONTRACT_REQUEST_H
#define DASHBOX_CONTRACT_REQUEST_H

#include "base/rand.h"
#include "contract/chat.h"
#include "contract/fault.h"

struct http_exchange;
struct model;
struct route;
struct worker;

/* Which protocol the client speaks: decides the form of answers and of refusals. */
enum surface { SURFACE_PLAIN, SURFACE_NATIVE, SURFACE_OPENAI };

/* The phases whose times the log line shows, in order. */
#define PHASES(X)        \
    X(PHASE_AUTH, "auth") \
    X(PHASE_BODY, "body") \
    X(PHASE_READ, "read") \
    X(PHASE_CHECK, "check") \
    X(PHASE_FIRST, "first") \
    X(PHASE_RUN, "run")

#define PHASE_ENUM(name, text) name,
enum phase { PHASES(PHASE_ENUM) PHASE_COUNT };
#undef PHASE_ENUM

struct request {
    struct arena         *arena;
    struct http_exchange *x;
    struct worker        *worker; /* the loop thread's own things: engines, caches */
    const struct route   *route;
    enum surface          surface;
    char                  id[UUID_LEN + 1]; /* x-request-id, request_id */

    struct fault fault;
    str          key_id;    /* short name of the key, for the log; never the key */
    str          workspace;
    str          model_name; /* as sent */
    bool         stream;

    const char *action; /* what is being done, for the log and a crash: "waiting for the upstream" */
    str         engine; /* which engine ran it */

    struct chat_usage usage;
    int64_t           started_us;             /* monotonic */
    int64_t           arrived_ms;             /* since 1970 */
    int64_t           phase_us[PHASE_COUNT];  /* time spent in each */
    int64_t           phase_started_us;
    enum phase        phase;
};

/* Ends the phase that was running and begins this one. */
void request_phase(struct request *rq, enum phase next);

str phase_name(enum phase p);

#endif
