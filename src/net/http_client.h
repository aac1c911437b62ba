/* http_client.h - calls HTTP/1.1 servers from fibers: the hot path to the engines.
 *
 * A pool holds the connections of one loop to one origin. A call takes one, sends head and body in one write, and
 * returns when the answer's head is there; the body is then taken piece by piece as it comes. Ended cleanly, the
 * connection goes back to the pool, newest first out again; otherwise it is closed, which is also how an engine learns
 * that nobody waits for its answer any more.
 *
 *            sent                 message over, all framing in order
 *   OPENING -----> BUSY ---------------------------------------------> IDLE ---> next call
 *      |            |  \ http_client_leave()                            ^  |
 *      |            |   ----------> DRAINING ---------------------------+  | idle time, or the peer closes
 *      v            v                  | time                              v
 *    CLOSED <----------------------------------------------------------- CLOSED
 *
 * It knows no policy: whoever names the origins is the operator (nothing here guards against addresses that a client
 * chose), and what to repeat elsewhere is the caller's decision.
 *
 * Limits: connections and waiting calls a pool; heads as in http1.h; a body's reader that is behind stops the reading
 * (64 KiB), so that the peer stops sending.
 */
#ifndef DASHBOX_NET_HTTP_CLIENT_H
#define DASHBOX_NET_HTTP_CLIENT_H

#include "loop/fiber.h"
#include "loop/stream.h"
#include "net/http1.h"

struct http_client;
struct http_pool;
struct tls_context;

struct http_origin {
    char           host[256]; /* for Host, SNI and the look-up; "localhost" for a Unix socket */
    uint16_t       port;
    bool           tls;
    bool           fixed; /* `address` is where to connect: nothing to look up */
    struct address address;
};

/* "http://host:port/base", "https://…", "unix:/run/x.sock" and "unix:/run/x.sock:/base". *ret_path is a view of the base
 * path without a final "/", empty when there is none. False when it is none of these. */
bool http_origin_parse(str url, struct http_origin *ret, str *ret_path);

/* Zero stands for the value in brackets. */
struct http_pool_options {
    struct http_origin  origin;
    struct tls_context *tls;            /* for https; the pool holds it */
    size_t              connection_max; /* [256] */
    size_t              waiting_max;    /* calls that wait for a connection [1024] */
    size_t              idle_max;       /* [64] */
    int64_t             idle_time_ms;   /* [30 s] */
    int64_t             connect_ms;     /* look-up, connecting, TLS, and waiting for a connection to be free [5 s] */
};

struct http_pool_counters {
    int64_t calls, connects, reused, stale; /* stale: found closed at reuse, repeated on a new one */
    size_t  open, idle, waiting;            /* now */
};

struct http_pool *http_pool_open(struct loop *l, const struct http_pool_options *o);
/* Closes what is idle; calls under way end as they end, and the last one takes the pool with it. */
void                             http_pool_close(struct http_pool *p);
const struct http_pool_counters *http_pool_counters(const struct http_pool *p);

struct http_client_request {
    str                      method, target;
    const struct http_field *fields; /* Host and Content-Length are added */
    size_t                   field_count;
    str                      body;
    bool                     has_body; /* Content-Length also for an empty one */
    /* In place of `body`, for one that is made or read while it is sent: its next piece, valid until the next call; body_len bytes in
     * all. What it returns other than OK ends the call with that. A server that answers before it has all is heard, and gets no more. */
    SUSPENDS enum err (*body_next)(void *arg, str *ret);
    void   *body_arg;
    int64_t body_len;
    int64_t first_ms;   /* from sending to the end of the answer's head; 0: no limit */
    int64_t between_ms; /* between two pieces of the body; 0: no limit */
    int64_t total_ms;   /* for all of it; 0: no limit */
};

/* Until the answer's head is there. The call belongs to `a`: however that ends, the connection is given back or closed.
 * ERR_REFUSED, ERR_UNREACHABLE  no connection (also: not within connect_ms, TLS failed): the request was not sent
 * ERR_LIMIT                     no connection free, or the answer's head is too large
 * ERR_EOF                       closed before the first byte of an answer (after one try on a new connection, when it was
 *                               an old one that was found closed)
 * ERR_TIMEOUT                   no head in time
 * ERR_PROTOCOL                  the head is malformed or cut off
 * ERR_INVALID                   a field of the request has a line break
 * ERR_CANCELLED                 the fiber was cancelled, or the pool is closing */
SUSPENDS enum err http_client_open(struct http_pool *p, struct arena *a, const struct http_client_request *rq,
                                   struct http_client **ret);

/* Valid until http_client_close(). */
const struct http_head *http_client_head(const struct http_client *c);

/* The next piece of the body, empty at its end; valid until the next call. ERR_EOF when it was cut off, ERR_PROTOCOL when
 * its framing is broken, ERR_TIMEOUT, ERR_CANCELLED. */
SUSPENDS enum err http_client_next(struct http_client *c, str *ret);
/* http_client_next() would not suspend. */
bool http_client_ready(const struct http_client *c);

/* The whole body, in the arena, with HTTP_CLIENT_PADDING zero bytes behind it; it may be changed in place. ERR_LIMIT when
 * it is longer than `max`. */
#define HTTP_CLIENT_PADDING 8
SUSPENDS enum err http_client_body(struct http_client *c, size_t max, char **ret, size_t *ret_len);

/* Gives the connection back, or closes it when the message is not over. Again and again is allowed. */
void http_client_close(struct http_client *c);
/* The same for a reader that has all that matters (an event stream's last event): the framing's end, which may be under
 * way, is waited for in the background so that the connection can be used again. */
void http_client_leave(struct http_client *c);

#endif
