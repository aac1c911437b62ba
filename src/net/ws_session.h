/* ws_session.h - one WebSocket connection of the server: messages in and out, on the fiber of its exchange.
 *
 *      ws_session_begin(&s, x, …)              101
 *      while (!(e = ws_session_receive(&s, deadline, &m)))
 *          ws_session_send(&s, WS_TEXT, …)
 *      ws_session_end(&s, code, reason)        the closing handshake, if the client has not begun it
 *
 *   OPEN -- the client's close: answered, ERR_EOF --> OVER
 *     |  -- broken frames: our close, ERR_PROTOCOL --> OVER
 *     +---- ws_session_end(): our close, then what comes is thrown away until the client's, or CLOSE_TIME_MS --> OVER
 *
 * Pings are answered here, and pongs are nobody's business. A client that goes away without a word cancels the fiber.
 * Several messages may be gathered with ws_session_add() and leave in one write; a slow client holds the sender up.
 *
 * Memory: buffers in the exchange's arena.
 * Limits: `message_max` bytes a message; pings are answered one at a time, so a flood of them holds up only its sender.
 */
#ifndef DASHBOX_NET_WS_SESSION_H
#define DASHBOX_NET_WS_SESSION_H

#include "net/http_server.h"
#include "net/ws.h"

struct ws_session {
    struct http_exchange *x;
    struct ws             in;
    struct ws_message     got;  /* fed, not handed out yet, when `state` says so */
    struct buf            rest; /* came behind it */
    size_t                rest_at;
    enum { WS_WANTED, WS_READY, WS_TAKEN } state; /* of `got` */
    enum err        broken;                       /* by its frames */
    bool            paused, over;                 /* over: a close frame has been sent */
    struct fiber   *reader;
    struct mailbox *box;
    unsigned        box_bits;
    struct buf      out;
};

/* Answers the handshake, which has been found in order (ws_handshake_problem()). `fields` go into the 101 beside its own. */
SUSPENDS enum err ws_session_begin(struct ws_session *s, struct http_exchange *x, size_t message_max,
                                   const struct http_field *fields, size_t field_count);

/* The next text or binary message; valid until the next call. ERR_TIMEOUT at the deadline (loop time; a past one only looks).
 * ERR_EOF: the client has closed; ret->code and payload are its code and reason. ERR_PROTOCOL: it has broken the rules, and
 * been told. */
SUSPENDS enum err ws_session_receive(struct ws_session *s, int64_t deadline_us, struct ws_message *ret);

/* Raises these bits whenever there may be something to receive, for a fiber that waits for other things too. */
void ws_session_notify(struct ws_session *s, struct mailbox *mb, unsigned bits);

static inline void ws_session_add(struct ws_session *s, enum ws_opcode opcode, str payload)
{
    ws_add(&s->out, WS_SERVER, opcode, payload);
}
SUSPENDS enum err ws_session_flush(struct ws_session *s);
/* The same at once; a large payload is not copied. */
SUSPENDS enum err ws_session_send(struct ws_session *s, enum ws_opcode opcode, str payload);

/* Sends what is gathered and closes. Once; nothing when the connection is over already. */
SUSPENDS void ws_session_end(struct ws_session *s, int code, str reason);

#endif
