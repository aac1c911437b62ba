/* sse_parser.h - reads Server-Sent Events (HTML living standard, 9.2.6): bytes in, events out, no sockets.
 *
 *     sse_feed(&p, piece);
 *     while (sse_next(&p, &ev))
 *         ...
 *     if (p.problem) ...            then the next piece; sse_end() when there is none
 *
 * Lines may end in LF, CR or CRLF and be cut anywhere. What lies whole in a piece is not copied. Comments are no events,
 * but the last one of an event's lines is kept with it: the native protocol says ":HTTP_STATUS/400" there.
 *
 * Memory: the arena keeps what is cut by the end of a piece.
 * Limits: `max` bytes a line and for the data of an event; beyond, `problem` is ERR_LIMIT and nothing more comes.
 */
#ifndef DASHBOX_NET_SSE_PARSER_H
#define DASHBOX_NET_SSE_PARSER_H

#include "base/buf.h"
#include "base/err.h"

struct sse_event {
    str event;   /* empty: "message" */
    str data;    /* its lines joined with LF */
    str id;      /* of this event's own lines */
    str comment; /* behind the colon, without the first blank */
};

/* A field of the event that is coming in: a view of the piece, or in `kept` once that has gone. */
struct sse_field {
    str        text;
    struct buf kept;
    bool       is_kept;
};

enum sse_field_name { SSE_EVENT, SSE_DATA, SSE_ID, SSE_COMMENT, SSE_FIELD_COUNT };

struct sse_parser {
    str              in;   /* of the piece: not read yet */
    struct buf       line; /* begun in an earlier piece */
    struct sse_field fields[SSE_FIELD_COUNT];
    size_t           max;
    enum err         problem;
    bool             has_data;
    bool             over;    /* the event has been handed out: the next one begins */
    bool             skip_lf; /* the last line ended in CR: an LF belongs to it */
    bool             begun;   /* the first line has been read: no byte order mark any more */
};

void sse_init(struct sse_parser *p, struct arena *a, size_t max);

/* The piece must stay where it is until sse_next() has returned false. */
void sse_feed(struct sse_parser *p, str piece);

/* The texts are valid until the next call. False: more bytes are needed, or p->problem says what is wrong. */
bool sse_next(struct sse_parser *p, struct sse_event *ret);

/* At the end of all bytes: an event whose last line or empty line is missing. The standard drops it; some servers end in
 * this way all the same. */
bool sse_end(struct sse_parser *p, struct sse_event *ret);

#endif
