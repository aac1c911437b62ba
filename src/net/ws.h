/* ws.h - WebSocket (RFC 6455): bytes in, messages out, bytes out, no sockets.
 *
 *      while (bytes.len) {
 *          e = ws_feed(&w, bytes, &used, &got);        e: the connection ends, ws_add_close(&out, &w, w.problem, …)
 *          bytes = str_from(bytes, used);
 *          if (got.opcode != WS_NONE) ...
 *      }
 *
 * Both ends: a server takes masked frames and sends unmasked ones, a client the other way round. Fragments are put
 * together; control frames between them are handed out as they come, and answering a ping or a close is the owner's business.
 * Framing is strict, and so is the text: a broken sequence is noticed at most three bytes late, not at the end of a message.
 * No extensions: what a client offers is not taken up, so a reserved bit is a protocol error.
 *
 * Memory: a message is gathered in a buffer of the arena, which is kept for the next.
 * Limits: `message_max` bytes a message, refused when the frame announces it; control frames have 125 at most.
 */
#ifndef DASHBOX_NET_WS_H
#define DASHBOX_NET_WS_H

#include "base/buf.h"
#include "base/err.h"
#include "net/http1.h"

enum ws_role { WS_SERVER, WS_CLIENT };

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
    WS_NONE = 16, /* of no frame: more bytes are needed */
};

/* Why a connection ends (RFC 6455 §7.4.1). */
enum ws_close {
    WS_CLOSE_NORMAL = 1000,
    WS_CLOSE_GOING_AWAY = 1001,
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_UNSUPPORTED = 1003,
    WS_CLOSE_NO_CODE = 1005, /* never sent: a close frame without a code */
    WS_CLOSE_INVALID = 1007,
    WS_CLOSE_POLICY = 1008,
    WS_CLOSE_TOO_LARGE = 1009,
    WS_CLOSE_INTERNAL = 1011,
};

/* A whole message, or a control frame. The payload is valid until the next call of ws_feed(). */
struct ws_message {
    enum ws_opcode opcode;
    str            payload; /* of a close frame: its reason */
    int            code;    /* of a close frame */
};

#define WS_CONTROL_MAX 125
#define WS_HEAD_MAX    14

struct ws {
    enum ws_role role;
    size_t       message_max;
    struct buf   message;
    /* the frame that comes in */
    unsigned char head[WS_HEAD_MAX];
    size_t        head_len, head_need;
    uint64_t      left; /* of its payload */
    size_t        at;   /* bytes of it that came: where in the mask the next one is */
    unsigned char control[WS_CONTROL_MAX];
    size_t        control_len;
    /* the message that comes in */
    enum ws_opcode opcode;  /* WS_NONE: between two */
    size_t         checked; /* of its text, as UTF-8 */
    bool           over;    /* it has been handed out */
    bool           closed;  /* a close frame has come: nothing may follow */
    /* why ws_feed() refused */
    enum ws_close problem;
    const char   *reason;
};

void ws_init(struct ws *w, enum ws_role role, struct arena *a, size_t message_max);

/* Takes bytes until a message or control frame is whole, or they are used up. ERR_PROTOCOL: w->problem and w->reason say
 * why, and the connection can only be closed. */
enum err ws_feed(struct ws *w, str bytes, size_t *ret_used, struct ws_message *ret);

/* The head of a server's frame into `to`, WS_HEAD_MAX bytes; returns its length. */
size_t ws_head(char *to, enum ws_opcode opcode, bool fin, size_t len);

/* Appends one frame; `fin`: it ends its message. A client's is masked by a number of its own. */
void               ws_add_frame(struct buf *out, enum ws_role role, enum ws_opcode opcode, bool fin, str payload);
static inline void ws_add(struct buf *out, enum ws_role role, enum ws_opcode opcode, str payload)
{
    ws_add_frame(out, role, opcode, true, payload);
}
/* A close frame; a reason too long is cut. WS_CLOSE_NO_CODE: an empty one. */
void ws_add_close(struct buf *out, enum ws_role role, int code, str reason);

/* ---- the handshake ---- */

#define WS_KEY_LEN    24
#define WS_ACCEPT_LEN 28

/* Whether the request asks for another protocol by that name at all. */
bool ws_wanted(const struct http_head *h);
/* What is wrong with such a request's handshake (§4.2.1); NULL: nothing. */
const char *ws_handshake_problem(const struct http_head *h);
/* Sec-WebSocket-Accept for a Sec-WebSocket-Key. */
void ws_accept_key(str key, char ret[WS_ACCEPT_LEN]);

#endif
