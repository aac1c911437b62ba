/* http_server.h - serves HTTP/1.1 on one loop.
 *
 * A connection has no fiber and no buffers while it is idle. When the head of a request is complete a fiber runs the
 * handler with an exchange: it asks for the body, and answers whole or piece by piece. When the client goes away the
 * fiber is cancelled.
 *
 *      first byte          head complete            answered, body read
 * IDLE ---------> HEAD ----------------> EXCHANGE ----------------------> IDLE
 *   | idle time      | head time            | client gone: fiber cancelled
 *   v                v                      v
 *  CLOSING <--------------------------------+
 *
 * Limits: connections, head and body sizes, the times below. What a pipelining client sends ahead waits in the kernel
 * and in at most one read's worth of memory.
 */
#ifndef DASHBOX_NET_HTTP_SERVER_H
#define DASHBOX_NET_HTTP_SERVER_H

#include "loop/fiber.h"
#include "loop/stream.h"
#include "net/http1.h"

struct http_server;
struct http_exchange;
struct tls_context;

struct http_body_plan {
    size_t max;    /* bytes; more is http_body()'s ERR_LIMIT */
    bool   pieces; /* the handler takes the body with http_body_next(): it is not gathered in memory */
};

struct http_server_options {
    int64_t head_time_ms; /* from the first byte of a head to its last */
    int64_t body_time_ms; /* between two pieces of a body, and for a client that takes nothing of an answer */
    int64_t idle_time_ms; /* between two requests */
    size_t  connection_max;
    struct tls_context *tls; /* NULL: plain */

    /* Synchronous, when the head is complete: how the body is to be received. */
    struct http_body_plan (*plan)(void *arg, struct http_exchange *x);
    /* On a fiber of its own. Answers, or leaves the client without one (the connection is closed then). */
    SUSPENDS void (*handle)(void *arg, struct http_exchange *x);
    void *arg;
};

struct http_counters {
    int64_t connections, connections_refused, requests, bad_requests, bytes_in, bytes_out;
    size_t  open, active; /* now */
};

enum err http_server_open(struct loop *l, const struct address *at, const struct http_server_options *o,
                          struct http_server **ret);
void     http_server_address(const struct http_server *s, struct address *ret);
/* No new connections; idle ones are closed, busy ones after their answer. on_drained(arg) when the last is gone, and then
 * the server may be closed. */
void http_server_drain(struct http_server *s, void (*on_drained)(void *arg), void *arg);
/* Cancels what still runs. on_drained comes soon after. */
void                        http_server_cancel(struct http_server *s);
void                        http_server_free(struct http_server *s);
const struct http_counters *http_server_counters(const struct http_server *s);
/* Other times, ceiling and certificate for what comes from now on. */
void http_server_options_set(struct http_server *s, const struct http_server_options *o);

/* ---- an exchange: one request and its answer ---- */

const struct http_head *http_request(const struct http_exchange *x);
str                     http_path(const struct http_exchange *x);  /* the target without its query */
str                     http_query(const struct http_exchange *x); /* behind the "?", undecoded */

/* One parameter of the query, unescaped; false when it is not there. */
bool              http_query_get(struct http_exchange *x, str name, str *ret);
static inline str http_field(const struct http_exchange *x, str name)
{
    return http_head_field(http_request(x), name);
}
/* False: the client expects something that nobody knows, which is answered 417 (RFC 9110 §10.1.1). */
bool http_expectation_known(const struct http_exchange *x);
/* A pointer of the owner's own, set in plan() and read in handle(). */
void        http_tag_set(struct http_exchange *x, const void *tag);
const void *http_tag(const struct http_exchange *x);
/* Calls fn(arg) once, right before the answer's last bytes are sent: whoever has the whole answer finds done what it
 * did. Not
 * for an answer that breaks off. It runs on the exchange's fiber and may suspend. */
void http_on_last(struct http_exchange *x, void (*fn)(void *arg), void *arg);
/* Lives until the answer is out. */
struct arena *http_arena(struct http_exchange *x);
/* When its last byte of head came, monotonic microseconds. */
int64_t http_arrived_us(const struct http_exchange *x);
/* "127.0.0.1:51234"; "" over a Unix socket. */
void http_client_address(const struct http_exchange *x, char text[ADDRESS_TEXT_MAX]);

/* Room behind a gathered body, so that a parser may write a sentinel there. */
#define HTTP_BODY_PADDING 8

/* The whole body; it may be changed in place. ERR_LIMIT when it is longer than planned (nothing of it is kept),
 * ERR_TIMEOUT when it stops coming, ERR_PROTOCOL when its framing is broken, ERR_CANCELLED when the client has gone. */
SUSPENDS enum err http_body(struct http_exchange *x, char **ret, size_t *ret_len);

/* The next piece, empty at the end; valid until the next call. */
SUSPENDS enum err http_body_next(struct http_exchange *x, str *ret);

/* Answers whole: head and body in one write. Content-Length, Date and Connection are added. */
SUSPENDS enum err http_answer(struct http_exchange *x, int status, const struct http_field *fields, size_t field_count,
                              str body);

/* Answers piece by piece. The head goes out with the first flush, in the same write as the first pieces. */
void http_stream_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t field_count);
/* The same with a Content-Length: exactly so many bytes are then added. */
void http_stream_begin_sized(struct http_exchange *x, int status, const struct http_field *fields, size_t field_count,
                             int64_t length);
/* Where to append: what is there at the next flush goes out as one chunk. */
struct buf *http_stream_buf(struct http_exchange *x);
/* Until the client can take more. Nothing happens when nothing has been added. */
SUSPENDS enum err http_stream_flush(struct http_exchange *x);
SUSPENDS enum err http_stream_end(struct http_exchange *x);

/* ---- another protocol ---- */

/* Answers 101: from now on the connection is bytes both ways, until the handler returns; then it is closed. A client that goes
 * away cancels the fiber, as ever. Only where no body is to come. `fields` hold Upgrade and what belongs to it. */
SUSPENDS enum err http_upgrade(struct http_exchange *x, const struct http_field *fields, size_t field_count);
/* Bytes go to on_bytes(arg) as they come, in a callback of the loop, which are gone when it returns; those that came with the
 * request's head at once. */
void http_upgraded_start(struct http_exchange *x, void (*on_bytes)(void *arg, str bytes), void *arg);
/* No more for now, or again: the back-pressure on the client. What has been read already comes in the callback that is under way. */
void http_upgraded_pause(struct http_exchange *x, bool pause);
/* Sends the parts in order, and waits while a slow client has more than HTTP_STREAM_MARK of them to take. */
SUSPENDS enum err http_upgraded_write(struct http_exchange *x, const str *parts, size_t count);

/* Bytes gathered for the next flush beyond which a writer should not go on without one. */
#define HTTP_STREAM_MARK ((size_t)16 * 1024)

int     http_status(const struct http_exchange *x);    /* answered with; 0: not yet */
int64_t http_bytes_out(const struct http_exchange *x); /* of the body */
bool    http_begun(const struct http_exchange *x);     /* the head is out, or on its way */

#endif
