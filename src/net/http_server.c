/* http_server.c - serves HTTP/1.1 on one loop.
 *
 * A connection reads all the time except while a body's reader is behind or a pipelining client has sent ahead: so the
 * end of the connection is noticed while a request runs.
 *
 * Memory: a connection is malloc'd and small; the exchange, the head, the body and the answer are in the exchange's
 * arena, which lasts until the answer is out.
 * Spec:   RFC 9110, RFC 9112.
 */
#include "net/http_server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/tls.h"

#include <stdio.h>
#include <stdlib.h>

#define PLAIN_CHUNK    ((size_t)16 * 1024) /* of a TLS session, read at once */
#define PIECES_MAX     ((size_t)64 * 1024) /* of a body that its reader has not taken */
#define LINGER_BYTES   ((int64_t)16 << 20) /* of an unwanted body that is read and thrown away */
#define LINGER_MS      2000                /* for a client to take a last answer */
#define BODY_FIRST     ((size_t)64 * 1024) /* of a body, before any of it has come */
#define BACKLOG        4096
#define PLAIN_QUIET_US ((int64_t)60 * 1000 * 1000) /* between two warnings of plain HTTP */
#define CHUNK_LINE     18                          /* "ffffffffffffffff\r\n" */

struct http_exchange {
    struct arena     arena;
    struct conn     *conn;
    struct http_head head;
    struct fiber    *fiber;
    int64_t          arrived_us;
    const void      *tag;
    void (*on_last)(void *arg);
    void *on_last_arg;

    /* the request's body */
    struct http_body_plan plan;
    char                 *body; /* gathered, or the piece being gathered */
    size_t                body_len, body_cap;
    int64_t               body_seen; /* bytes that came in all */
    bool                  body_done, body_over, body_broken, continue_wanted;
    char                 *piece; /* handed out by http_body_next() */
    struct fiber         *reader;
    void (*on_bytes)(void *arg, str bytes); /* behind 101 */
    void *on_bytes_arg;

    /* the answer */
    int        status;
    bool       begun, ended, chunked, no_body;
    struct buf out_head;
    struct buf out;
    int64_t    bytes_out;
};

struct conn {
    struct stream         stream;
    struct http_server   *server;
    struct conn          *next, *prev;
    struct http1          parser;
    struct http_exchange *x;
    struct timer          timer;
    struct tls           *tls;
    char                 *ahead; /* what a pipelining client sent behind the running request */
    size_t                ahead_len;
    int64_t               linger_left;
    bool                  closing, lingering, peer_closed;
};

struct http_server {
    struct loop               *loop;
    struct http_server_options o;
    struct listener           *listener;
    struct conn                conns; /* ring */
    struct http_counters       counters;
    bool                       draining;
    void (*on_drained)(void *arg);
    void   *drained_arg;
    int64_t plain_quiet_us; /* loop time until which no client is reported that speaks no TLS */
    int64_t date_until_us;  /* loop time until which `date` is right */
    char    date[CLOCK_HTTP_LEN + 1];
};

static void conn_close(struct conn *c);
static void conn_feed(struct conn *c, str bytes);

/* ---- bytes out, with or without TLS ---- */

static enum err conn_write(struct conn *c, const str *parts, size_t count)
{
    enum err e = OK;
    str      pending;

    for (size_t i = 0; i < count; i++)
        c->server->counters.bytes_out += (int64_t)parts[i].len;
    if (!c->tls)
        return stream_write(&c->stream, parts, count);
    for (size_t i = 0; i < count && !e; i++)
        e = tls_write(c->tls, parts[i]);
    pending = tls_pending(c->tls);
    if (!e)
        e = stream_write(&c->stream, &pending, 1);
    tls_sent(c->tls);
    return e;
}

static int64_t deadline_ms(struct http_server *s, int64_t ms)
{
    return ms > 0 ? loop_now_us(s->loop) + ms * 1000 : DEADLINE_NONE;
}

/* Until at most `left` bytes wait. A client that takes an answer slowly has time; one that takes nothing has not. */
SUSPENDS static enum err conn_flush(struct conn *c, size_t left)
{
    enum err e;
    size_t   before;

    do {
        before = stream_unsent(&c->stream);
        e = stream_flush(&c->stream, left, deadline_ms(c->server, c->server->o.body_time_ms));
    } while (e == ERR_TIMEOUT && stream_unsent(&c->stream) < before);
    return e;
}

/* ---- the life of a connection ---- */

static void conn_timer_set(struct conn *c, int64_t ms)
{
    timer_set(c->server->loop, &c->timer, deadline_ms(c->server, ms));
}

static void server_check_drained(struct http_server *s)
{
    if (s->draining && s->counters.open == 0 && s->on_drained) {
        void (*fn)(void *) = s->on_drained;

        s->on_drained = NULL;
        fn(s->drained_arg);
    }
}

static void on_closed(struct stream *stream)
{
    struct conn        *c = CONTAINER_OF(stream, struct conn, stream);
    struct http_server *s = c->server;

    /* An exchange whose fiber still runs keeps the connection's memory; exchange_end() comes back here. */
    if (c->x) {
        c->closing = true;
        return;
    }
    timer_remove(s->loop, &c->timer);
    tls_free(c->tls);
    free(c->ahead);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    s->counters.open--;
    free(c);
    server_check_drained(s);
}

static void exchange_free(struct http_exchange *x)
{
    struct arena a;

    arena_run_deferred(&x->arena);
    a = x->arena;
    arena_free(&a);
}

static void conn_close(struct conn *c)
{
    struct http_exchange *x = c->x;

    if (c->stream.closing)
        return;
    if (x && x->fiber)
        fiber_cancel(x->fiber);
    else if (x) { /* its head never became complete */
        c->x = NULL;
        exchange_free(x);
    }
    timer_stop(&c->timer);
    if (c->tls && tls_ready(c->tls)) {
        str pending;

        tls_shutdown(c->tls);
        pending = tls_pending(c->tls);
        (void)stream_write(&c->stream, &pending, 1); /* a courtesy */
        tls_sent(c->tls);
    }
    stream_close(&c->stream);
}

/* The answer is out but the client may still be sending: closing now could destroy what it has not read yet. */
static void conn_linger(struct conn *c)
{
    if (c->peer_closed || c->lingering) {
        conn_close(c);
        return;
    }
    c->lingering = true;
    c->linger_left = LINGER_BYTES;
    stream_shutdown(&c->stream);
    stream_read_start(&c->stream);
    conn_timer_set(c, LINGER_MS);
}

/* Refuses what cannot be read as a request. */
static void conn_refuse(struct conn *c, int status, const char *why)
{
    char text[256];
    int  n;

    c->server->counters.bad_requests++;
    if (c->x && c->x->fiber) { /* broken in the middle of a body: the handler answers */
        c->x->body_broken = true;
        c->x->head.keep_alive = false;
        stream_read_stop(&c->stream);
        fiber_wake(c->x->reader);
        return;
    }
    n = snprintf(text, sizeof(text),
                 "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: %zu\r\n"
                 "Connection: close\r\n\r\n%s\n",
                 status, http_reason(status).ptr, strlen(why) + 1, why);
    if (n > 0) {
        str part = str_of(text, min_size((size_t)n, sizeof(text) - 1));

        (void)conn_write(c, &part, 1); /* closing anyway */
    }
    conn_linger(c);
}

static void on_timer(void *arg)
{
    struct conn *c = arg;

    if (c->x && !c->x->fiber && !c->lingering) {
        conn_refuse(c, 408, "the request's head did not arrive in time");
        return;
    }
    conn_close(c);
}

/* ---- a request comes in ---- */

static struct conn *conn_of(struct http1 *p)
{
    return CONTAINER_OF(p, struct conn, parser);
}

static struct arena *on_begin(struct http1 *p)
{
    struct conn          *c = conn_of(p);
    struct http_exchange *x;
    struct arena          a;

    ASSERT(!c->x);
    /* the exchange lies in its own arena: exchange_free() */
    arena_init(&a, ARENA_REQUEST);
    x = arena_new(&a, struct http_exchange);
    x->arena = a;
    x->conn = c;
    c->x = x;
    conn_timer_set(c, c->server->o.head_time_ms);
    return &x->arena;
}

static void exchange_main(void *arg);

static bool on_head(struct http1 *p)
{
    struct conn          *c = conn_of(p);
    struct http_exchange *x = c->x;
    struct http_server   *s = c->server;

    x->head = p->head;
    x->arrived_us = clock_mono_us();
    x->continue_wanted = x->head.minor == 1 && str_eq_nocase(http_head_field(&x->head, S("expect")), S("100-continue"));
    x->plan = s->o.plan(s->o.arg, x);
    if (x->head.content_length > 0 && !x->plan.pieces) {
        if ((uint64_t)x->head.content_length > x->plan.max) {
            x->body_over = true;
        } else {
            /* what is announced need not come: a long one grows as it arrives */
            x->body_cap = min_size((size_t)x->head.content_length, BODY_FIRST) + HTTP_BODY_PADDING;
            x->body = arena_bytes(&x->arena, x->body_cap);
        }
    }
    timer_stop(&c->timer);
    s->counters.requests++;
    s->counters.active++;
    x->fiber = fiber_start(s->loop, exchange_main, x);
    return false;
}

static void on_body(struct http1 *p, str piece)
{
    struct conn          *c = conn_of(p);
    struct http_exchange *x = c->x;
    size_t                need;

    x->body_seen += (int64_t)piece.len;
    if (x->body_over)
        return;
    if ((uint64_t)x->body_seen > x->plan.max) {
        x->body_over = true;
        if (x->plan.pieces)
            free(x->body);
        x->body = NULL;
        x->body_len = x->body_cap = 0;
        fiber_wake(x->reader);
        return;
    }
    need = x->body_len + piece.len + HTTP_BODY_PADDING;
    if (need > x->body_cap) {
        size_t cap = max_size(need, x->body_cap * 2);

        if (x->plan.pieces)
            x->body = xrealloc(x->body, cap);
        else
            x->body = arena_realloc(&x->arena, x->body, x->body_cap, cap);
        x->body_cap = cap;
    }
    memcpy(x->body + x->body_len, piece.ptr, piece.len);
    x->body_len += piece.len;
    if (x->plan.pieces) {
        if (x->body_len >= PIECES_MAX)
            stream_read_stop(&c->stream);
        fiber_wake(x->reader);
    }
}

static void on_end(struct http1 *p)
{
    struct http_exchange *x = conn_of(p)->x;

    x->body_done = true;
    fiber_wake(x->reader);
}

static const struct http1_events parser_events = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
};

/* Keeps what came behind the running request, and reads no more until that is answered. */
static void conn_keep_ahead(struct conn *c, str bytes)
{
    c->ahead = xrealloc(c->ahead, c->ahead_len + bytes.len);
    memcpy(c->ahead + c->ahead_len, bytes.ptr, bytes.len);
    c->ahead_len += bytes.len;
    stream_read_stop(&c->stream);
}

static void conn_feed(struct conn *c, str bytes)
{
    while (bytes.len && !c->stream.closing) {
        size_t   used = 0;
        enum err e;

        if (c->lingering) {
            c->linger_left -= (int64_t)bytes.len;
            if (c->linger_left <= 0)
                conn_close(c);
            return;
        }
        if (c->peer_closed)
            return;
        if (c->x && c->x->on_bytes) {
            c->x->on_bytes(c->x->on_bytes_arg, bytes);
            return;
        }
        if (c->x && c->x->body_done) {
            conn_keep_ahead(c, bytes);
            return;
        }
        e = http1_feed(&c->parser, bytes, &used);
        if (e) {
            conn_refuse(c, e == ERR_LIMIT ? 431 : 400, c->parser.problem ? c->parser.problem : "malformed request");
            return;
        }
        bytes = str_from(bytes, used);
    }
}

static void conn_eof(struct conn *c)
{
    c->peer_closed = true;
    if (c->lingering || !c->x || !c->x->fiber) {
        conn_close(c);
        return;
    }
    /* The client has gone, or has closed its sending side, which we treat alike while the answer is being made. */
    fiber_cancel(c->x->fiber);
}

/* Once a minute at most: a misled client tries again and again. */
static void warn_of_plain(struct http_server *s)
{
    if (loop_now_us(s->loop) < s->plain_quiet_us)
        return;
    s->plain_quiet_us = loop_now_us(s->loop) + PLAIN_QUIET_US;
    log_warn("a client spoke plain HTTP to the TLS port: its URL needs https://");
}

/* Decrypts what has come and hands it on. */
static void conn_feed_tls(struct conn *c, str bytes)
{
    char     plain[PLAIN_CHUNK];
    size_t   n;
    bool     first = tls_pending(c->tls).len == 0 && !tls_ready(c->tls);
    enum err e = tls_feed(c->tls, bytes);

    while (!e && !c->stream.closing) {
        str pending;

        e = tls_read(c->tls, plain, sizeof(plain), &n);
        pending = tls_pending(c->tls);
        if (pending.len)
            (void)stream_write(&c->stream, &pending, 1); /* a failure shows at the next read */
        tls_sent(c->tls);
        if (e || n == 0)
            break;
        conn_feed(c, str_of(plain, n));
    }
    if (e && first && bytes.ptr[0] >= 'A' && bytes.ptr[0] <= 'Z') /* a method: no record of TLS begins so */
        warn_of_plain(c->server);
    if (e == ERR_EOF)
        conn_eof(c);
    else if (e)
        conn_close(c);
}

static void on_read(struct stream *stream, str bytes, enum err e)
{
    struct conn *c = CONTAINER_OF(stream, struct conn, stream);

    if (e) {
        conn_eof(c);
        return;
    }
    c->server->counters.bytes_in += (int64_t)bytes.len;
    if (c->tls)
        conn_feed_tls(c, bytes);
    else
        conn_feed(c, bytes);
}

static const struct stream_events conn_events = { .on_read = on_read, .on_closed = on_closed };

/* ---- the exchange ---- */

static void exchange_end(struct http_exchange *x)
{
    struct conn        *c = x->conn;
    struct http_server *s = c->server;
    bool                keep, unread = !x->body_done && !c->peer_closed;

    /* A small rest of an unread body is read and thrown away; behind a large one the connection ends. */
    keep = x->ended && x->head.keep_alive && !c->stream.closing && !c->peer_closed && !s->draining && !unread;
    s->counters.active--;
    if (x->plan.pieces)
        free(x->body);
    free(x->piece);
    exchange_free(x);
    c->x = NULL;
    if (c->closing) {
        on_closed(&c->stream);
        return;
    }
    if (!keep) {
        if (c->stream.closing)
            return;
        conn_linger(c);
        return;
    }
    conn_timer_set(c, s->o.idle_time_ms);
    if (c->ahead_len) {
        char  *ahead = c->ahead;
        size_t len = c->ahead_len;

        c->ahead = NULL;
        c->ahead_len = 0;
        conn_feed(c, str_of(ahead, len));
        free(ahead);
        if (c->stream.closing)
            return;
    }
    if (!c->ahead_len)
        stream_read_start(&c->stream);
}

/* Whether the rest of the body can be read and thrown away. Of a client that waits for 100 nobody knows whether it
 * sends. */
static bool body_skippable(const struct http_exchange *x)
{
    return x->body_done || (!x->continue_wanted && x->head.content_length - x->body_seen <= LINGER_BYTES);
}

/* Throws the rest of a small body away, so that the connection can be used again. */
static void exchange_skip_body(struct http_exchange *x)
{
    struct conn *c = x->conn;
    int64_t      deadline = deadline_ms(c->server, LINGER_MS);

    if (x->body_done || c->peer_closed || c->stream.closing || !x->head.keep_alive || !body_skippable(x))
        return;
    x->body_over = true; /* keeps nothing */
    x->reader = fiber_self();
    stream_read_start(&c->stream);
    while (!x->body_done && !x->body_broken && x->body_seen < LINGER_BYTES + x->head.content_length) {
        if (fiber_wait(deadline))
            break;
    }
    x->reader = NULL;
}

static void exchange_main(void *arg)
{
    struct http_exchange *x = arg;
    struct http_server   *s = x->conn->server;

    s->o.handle(s->o.arg, x);
    exchange_skip_body(x);
    exchange_end(x);
}

/* Tells a client that waits for it to send its body. */
static enum err invite_body(struct http_exchange *x)
{
    str line = S("HTTP/1.1 100 Continue\r\n\r\n");

    if (!x->continue_wanted || x->body_over || x->body_done)
        return OK;
    x->continue_wanted = false;
    return conn_write(x->conn, &line, 1);
}

enum err http_body(struct http_exchange *x, char **ret, size_t *ret_len)
{
    struct conn *c = x->conn;
    enum err     e = OK;

    ASSERT(!x->plan.pieces);
    might_suspend();
    e = invite_body(x);
    x->reader = fiber_self();
    while (!e && !x->body_done && !x->body_over && !x->body_broken) {
        int64_t seen = x->body_seen;

        e = fiber_wait(deadline_ms(c->server, c->server->o.body_time_ms));
        if (e == ERR_TIMEOUT && x->body_seen != seen)
            e = OK;
    }
    x->reader = NULL;
    if (e)
        return e;
    if (x->body_broken)
        return ERR_PROTOCOL;
    if (x->body_over)
        return ERR_LIMIT;
    if (!x->body)
        x->body = arena_bytes(&x->arena, HTTP_BODY_PADDING);
    memset(x->body + x->body_len, 0, HTTP_BODY_PADDING);
    *ret = x->body;
    *ret_len = x->body_len;
    return OK;
}

enum err http_body_next(struct http_exchange *x, str *ret)
{
    struct conn *c = x->conn;
    enum err     e = OK;

    ASSERT(x->plan.pieces);
    might_suspend();
    e = invite_body(x);
    x->reader = fiber_self();
    while (!e && x->body_len == 0 && !x->body_done && !x->body_over && !x->body_broken) {
        stream_read_start(&c->stream);
        e = fiber_wait(deadline_ms(c->server, c->server->o.body_time_ms));
    }
    x->reader = NULL;
    if (e)
        return e;
    if (x->body_broken)
        return ERR_PROTOCOL;
    if (x->body_over)
        return ERR_LIMIT;
    free(x->piece);
    x->piece = x->body;
    *ret = str_of(x->piece, x->body_len);
    x->body = NULL;
    x->body_len = x->body_cap = 0;
    return OK;
}

/* ---- the answer ---- */

static void update_date(struct http_server *s)
{
    int64_t now_ms;

    if (loop_now_us(s->loop) < s->date_until_us)
        return;
    now_ms = clock_unix_ms();
    clock_http(s->date, now_ms / 1000);
    s->date_until_us = loop_now_us(s->loop) + (1000 - now_ms % 1000) * 1000;
}

static void add_head(struct http_exchange *x, struct buf *b, int status, const struct http_field *fields,
                     size_t field_count)
{
    struct conn        *c = x->conn;
    struct http_server *s = c->server;

    if (status == 200) {
        buf_add(b, S("HTTP/1.1 200 OK\r\n"));
    } else {
        buf_add(b, S("HTTP/1.1 "));
        buf_add_i64(b, status);
        buf_add_char(b, ' ');
        buf_add(b, http_reason(status));
        buf_add(b, S("\r\n"));
    }
    for (size_t i = 0; i < field_count; i++) {
        buf_add(b, fields[i].name);
        buf_add(b, S(": "));
        buf_add(b, fields[i].value);
        buf_add(b, S("\r\n"));
    }
    update_date(s);
    buf_add(b, S("date: "));
    buf_add(b, str_of(s->date, CLOCK_HTTP_LEN));
    if (s->draining || !x->head.keep_alive || !body_skippable(x)) {
        buf_add(b, S("\r\nconnection: close\r\n"));
        x->head.keep_alive = false;
    } else if (x->head.minor == 0) {
        buf_add(b, S("\r\nconnection: keep-alive\r\n"));
    } else {
        buf_add(b, S("\r\n"));
    }
}

static bool status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static void before_last(struct http_exchange *x)
{
    if (x->on_last)
        x->on_last(x->on_last_arg);
}

enum err http_answer(struct http_exchange *x, int status, const struct http_field *fields, size_t field_count, str body)
{
    struct conn *c = x->conn;
    struct buf   head;
    enum err     e;

    ASSERT(!x->begun);
    might_suspend();
    x->status = status;
    x->begun = x->ended = true;
    buf_init(&head, &x->arena, HTTP_HEAD_MAX);
    (void)buf_room(&head, 768); /* an ordinary head: one allocation */
    add_head(x, &head, status, fields, field_count);
    if (status_has_body(status)) {
        buf_add(&head, S("content-length: "));
        buf_add_i64(&head, (int64_t)body.len);
        buf_add(&head, S("\r\n\r\n"));
    } else {
        buf_add(&head, S("\r\n"));
    }
    ASSERT(!head.full);
    if (str_eq(x->head.method, S("HEAD")) || !status_has_body(status))
        body.len = 0;
    x->bytes_out = (int64_t)body.len;
    before_last(x);
    e = conn_write(c, (str[]){ buf_str(&head), body }, 2);
    if (!e)
        e = conn_flush(c, 0);
    if (e)
        x->ended = false;
    return e;
}

/* `length` -1: the body is chunked, or for HTTP/1.0 lasts until the end. */
static void stream_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t field_count,
                         int64_t length)
{
    ASSERT(!x->begun);
    x->status = status;
    x->begun = true;
    x->chunked = length < 0 && x->head.minor == 1;
    x->no_body = str_eq(x->head.method, S("HEAD"));
    if (length < 0 && !x->chunked)
        x->head.keep_alive = false;
    buf_init(&x->out_head, &x->arena, HTTP_HEAD_MAX);
    (void)buf_room(&x->out_head, 768);
    add_head(x, &x->out_head, status, fields, field_count);
    if (length >= 0) {
        buf_add(&x->out_head, S("content-length: "));
        buf_add_i64(&x->out_head, length);
        buf_add(&x->out_head, S("\r\n"));
    }
    buf_add(&x->out_head, x->chunked ? S("transfer-encoding: chunked\r\n\r\n") : S("\r\n"));
    buf_init(&x->out, &x->arena, SIZE_MAX / 2);
}

void http_stream_begin(struct http_exchange *x, int status, const struct http_field *fields, size_t field_count)
{
    stream_begin(x, status, fields, field_count, -1);
}

void http_stream_begin_sized(struct http_exchange *x, int status, const struct http_field *fields, size_t field_count,
                             int64_t length)
{
    ASSERT(length >= 0);
    stream_begin(x, status, fields, field_count, length);
}

struct buf *http_stream_buf(struct http_exchange *x)
{
    ASSERT(x->begun);
    return &x->out;
}

static enum err stream_send(struct http_exchange *x, bool last)
{
    struct conn *c = x->conn;
    char         line[CHUNK_LINE + 1];
    str          parts[4] = { buf_str(&x->out_head) };
    size_t       count = 1;
    enum err     e;

    if (x->no_body) {
        /* only the head */
    } else if (!x->chunked) {
        parts[count++] = buf_str(&x->out);
    } else {
        if (x->out.len) {
            int n = snprintf(line, sizeof(line), "%zx\r\n", x->out.len);

            parts[count++] = str_of(line, (size_t)n);
            parts[count++] = buf_str(&x->out);
        }
        if (x->out.len && last)
            parts[count++] = S("\r\n0\r\n\r\n");
        else if (x->out.len)
            parts[count++] = S("\r\n");
        else if (last)
            parts[count++] = S("0\r\n\r\n");
    }
    x->bytes_out += (int64_t)x->out.len;
    e = conn_write(c, parts, count);
    buf_reset(&x->out_head);
    buf_reset(&x->out);
    if (!e)
        e = conn_flush(c, last ? 0 : HTTP_STREAM_MARK);
    return e;
}

enum err http_stream_flush(struct http_exchange *x)
{
    might_suspend();
    if (x->out.len == 0 && x->out_head.len == 0)
        return OK;
    return stream_send(x, false);
}

enum err http_stream_end(struct http_exchange *x)
{
    enum err e;

    might_suspend();
    before_last(x);
    e = stream_send(x, true);
    x->ended = !e;
    return e;
}

/* ---- another protocol ---- */

enum err http_upgrade(struct http_exchange *x, const struct http_field *fields, size_t field_count)
{
    struct buf head;
    str        part;

    ASSERT(!x->begun && x->body_done);
    might_suspend();
    x->status = 101;
    x->begun = true; /* and never ended: the connection is closed behind it */
    buf_init(&head, &x->arena, HTTP_HEAD_MAX);
    buf_add(&head, S("HTTP/1.1 101 Switching Protocols\r\n"));
    for (size_t i = 0; i < field_count; i++) {
        buf_add(&head, fields[i].name);
        buf_add(&head, S(": "));
        buf_add(&head, fields[i].value);
        buf_add(&head, S("\r\n"));
    }
    buf_add(&head, S("connection: Upgrade\r\n\r\n"));
    part = buf_str(&head);
    return conn_write(x->conn, &part, 1);
}

void http_upgraded_start(struct http_exchange *x, void (*on_bytes)(void *arg, str bytes), void *arg)
{
    struct conn *c = x->conn;
    char        *ahead = c->ahead;
    size_t       len = c->ahead_len;

    ASSERT(x->status == 101);
    x->on_bytes = on_bytes;
    x->on_bytes_arg = arg;
    c->ahead = NULL;
    c->ahead_len = 0;
    stream_read_start(&c->stream);
    if (len)
        on_bytes(arg, str_of(ahead, len));
    free(ahead);
}

void http_upgraded_pause(struct http_exchange *x, bool pause)
{
    if (pause)
        stream_read_stop(&x->conn->stream);
    else if (!x->conn->stream.closing && !x->conn->peer_closed)
        stream_read_start(&x->conn->stream);
}

enum err http_upgraded_write(struct http_exchange *x, const str *parts, size_t count)
{
    enum err e;

    might_suspend();
    for (size_t i = 0; i < count; i++)
        x->bytes_out += (int64_t)parts[i].len;
    e = conn_write(x->conn, parts, count);
    return e ? e : conn_flush(x->conn, HTTP_STREAM_MARK);
}

/* ---- what the handler asks ---- */

const struct http_head *http_request(const struct http_exchange *x)
{
    return &x->head;
}

str http_path(const struct http_exchange *x)
{
    return str_first(x->head.target, str_find(x->head.target, '?'));
}

str http_query(const struct http_exchange *x)
{
    size_t at = str_find(x->head.target, '?');

    return at == STR_NONE ? (str){ 0 } : str_from(x->head.target, at + 1);
}

bool http_query_get(struct http_exchange *x, str name, str *ret)
{
    str rest = http_query(x);

    while (rest.len) {
        str pair = str_cut(&rest, '&'), key = str_cut(&pair, '=');

        if (str_eq(key, name)) {
            *ret = http_unescape(http_arena(x), pair);
            return true;
        }
    }
    return false;
}

bool http_expectation_known(const struct http_exchange *x)
{
    str expect = http_head_field(&x->head, S("expect"));

    return !expect.len || str_eq_nocase(expect, S("100-continue"));
}

void http_on_last(struct http_exchange *x, void (*fn)(void *arg), void *arg)
{
    x->on_last = fn;
    x->on_last_arg = arg;
}

void http_tag_set(struct http_exchange *x, const void *tag)
{
    x->tag = tag;
}

const void *http_tag(const struct http_exchange *x)
{
    return x->tag;
}

struct arena *http_arena(struct http_exchange *x)
{
    return &x->arena;
}

void http_client_address(const struct http_exchange *x, char text[ADDRESS_TEXT_MAX])
{
    stream_peer(&x->conn->stream, text);
}

int64_t http_arrived_us(const struct http_exchange *x)
{
    return x->arrived_us;
}

int http_status(const struct http_exchange *x)
{
    return x->status;
}

int64_t http_bytes_out(const struct http_exchange *x)
{
    return x->bytes_out;
}

bool http_begun(const struct http_exchange *x)
{
    return x->begun;
}

/* ---- the server ---- */

static void on_accept(struct listener *ln, void *arg)
{
    struct http_server *s = arg;
    struct conn        *c = xcalloc(1, sizeof(*c));

    c->server = s;
    timer_init(&c->timer, on_timer, c);
    http1_init(&c->parser, HTTP1_REQUESTS, &parser_events);
    c->next = &s->conns;
    c->prev = s->conns.prev;
    c->prev->next = c;
    s->conns.prev = c;
    s->counters.open++;
    s->counters.connections++;
    if (stream_accept(&c->stream, &conn_events, ln)) {
        stream_close(&c->stream);
        return;
    }
    if (s->counters.open > s->o.connection_max) {
        s->counters.connections_refused++;
        conn_refuse(c, 503, "too many connections");
        return;
    }
    if (s->o.tls)
        c->tls = tls_new_server(s->o.tls);
    conn_timer_set(c, s->o.tls ? s->o.head_time_ms : s->o.idle_time_ms);
    stream_read_start(&c->stream);
}

enum err http_server_open(struct loop *l, const struct address *at, const struct http_server_options *o,
                          struct http_server **ret)
{
    struct http_server *s = xcalloc(1, sizeof(*s));
    enum err            e;

    s->loop = l;
    s->o = *o;
    s->conns.next = s->conns.prev = &s->conns;
    if (s->o.tls)
        tls_context_ref(s->o.tls);
    e = listener_open(l, at, BACKLOG, on_accept, s, &s->listener);
    if (e) {
        http_server_free(s);
        return e;
    }
    *ret = s;
    return OK;
}

void http_server_address(const struct http_server *s, struct address *ret)
{
    listener_address(s->listener, ret);
}

void http_server_drain(struct http_server *s, void (*on_drained)(void *arg), void *arg)
{
    struct conn *next;

    if (!s->draining)
        listener_close(s->listener);
    s->draining = true;
    s->on_drained = on_drained;
    s->drained_arg = arg;
    for (struct conn *c = s->conns.next; c != &s->conns; c = next) {
        next = c->next;
        if (!c->x)
            conn_close(c);
    }
    server_check_drained(s);
}

void http_server_cancel(struct http_server *s)
{
    struct conn *next;

    for (struct conn *c = s->conns.next; c != &s->conns; c = next) {
        next = c->next;
        conn_close(c);
    }
}

void http_server_free(struct http_server *s)
{
    if (!s)
        return;
    ASSERT(s->counters.open == 0);
    tls_context_free(s->o.tls);
    free(s);
}

const struct http_counters *http_server_counters(const struct http_server *s)
{
    return &s->counters;
}

void http_server_options_set(struct http_server *s, const struct http_server_options *o)
{
    struct tls_context *old = s->o.tls;

    s->o = *o;
    if (s->o.tls)
        tls_context_ref(s->o.tls);
    tls_context_free(old);
}
