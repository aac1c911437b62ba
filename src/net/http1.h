/* http1.h - HTTP/1.1 messages (RFC 9112): bytes in, events out, no sockets.
 *
 * The same code reads requests for the server, answers for the client, and a fuzzer's input. Framing is strict: what
 * two readers could understand differently (conflicting or doubled Content-Length and Transfer-Encoding, bare LF, folded
 * fields, bad chunk sizes) is refused. One message at a time: http1_feed() stops behind its end.
 *
 * Memory: the head is gathered in the arena of the message, which the owner gives when the message begins.
 * Limits: HTTP_HEAD_MAX bytes and HTTP_FIELDS_MAX fields a head; bodies are the owner's business.
 */
#ifndef DASHBOX_NET_HTTP1_H
#define DASHBOX_NET_HTTP1_H

#include "base/buf.h"
#include "base/err.h"

#include <llhttp.h>

#define HTTP_HEAD_MAX   ((size_t)32 * 1024)
#define HTTP_FIELDS_MAX 100

struct http_field {
    str name, value;
};

/* The head of a request or an answer. All views live as long as the message's arena. */
struct http_head {
    str                method; /* requests */
    str                target; /* requests: as sent, "/a/b?c=d" */
    int                status; /* answers */
    unsigned           minor;  /* HTTP/1.minor */
    struct http_field *fields;
    size_t             field_count;
    int64_t            content_length; /* -1: not stated */
    bool               chunked, keep_alive, upgrade;
};

/* The first field of that name, whatever its case; the empty view when there is none. */
str http_head_field(const struct http_head *h, str name);

struct http1;

struct http1_events {
    /* The first byte of a message: returns the arena for its head. */
    struct arena *(*on_begin)(struct http1 *p);
    /* The head is complete. Returns true when the message has no body whatever it says (an answer to HEAD). */
    bool (*on_head)(struct http1 *p);
    void (*on_body)(struct http1 *p, str piece);
    void (*on_end)(struct http1 *p);
};

enum http1_kind { HTTP1_REQUESTS, HTTP1_ANSWERS };

struct http1 {
    llhttp_t                   ll;
    const struct http1_events *events;
    struct arena              *arena;
    struct http_head           head;
    /* while the head comes in */
    struct buf text; /* all names and values one behind another */
    struct {
        uint32_t name, name_len, value, value_len;
    } * at; /* where each field is in it */
    size_t      at_cap;
    uint32_t    target_len, method_len;
    bool        in_value, ended, too_large;
    const char *problem; /* why http1_feed() refused */
};

void http1_init(struct http1 *p, enum http1_kind kind, const struct http1_events *events);

/* Takes bytes until a message has ended or they are used up; *ret_used says how many. OK, or ERR_PROTOCOL (p->problem says
 * why), or ERR_LIMIT (the head is too large). After an error the connection can only be closed. */
enum err http1_feed(struct http1 *p, str bytes, size_t *ret_used);

/* The peer has closed: ends an answer whose body lasts until then. ERR_EOF when that was too early. */
enum err http1_eof(struct http1 *p);

/* A part of a target with its %41 escapes undone; what is no escape stays as it is. */
str http_unescape(struct arena *a, str part);

/* The standard words for a status, "OK" for 200. */
str http_reason(int status);

#endif
