/* http_client.c - calls HTTP/1.1 servers from fibers.
 *
 * A connection reads all the time except while the body's reader is behind: so the end of an idle one is noticed at
 * once, and a call rarely meets a dead connection. When it does, and nothing of an answer has come, the call is repeated
 * once on a new connection.
 *
 * Memory: a connection is malloc'd; the head of an answer is in an arena of its own, so that a message whose caller has
 * gone can still be read to its end.
 * Spec:   RFC 9110, RFC 9112.
 */
#include "net/http_client.h"

#include "base/num.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "net/tls.h"

#include <stdlib.h>

#define UNSENT_MAX      ((size_t)256 * 1024) /* of a body that is made while it is sent */
#define PIECES_MAX      ((size_t)64 * 1024)  /* of a body that its reader has not taken */
#define PLAIN_CHUNK     ((size_t)16 * 1024)  /* of a TLS session, read at once */
#define BUFFER_MIN      ((size_t)1024)       /* so that many open streams of small events stay small */
#define BUFFER_KEEP     ((size_t)4 * 1024)   /* of an idle connection's memory */
#define DRAIN_BYTES     ((size_t)16 * 1024)
#define DRAIN_MS        500
#define INTERIM_MAX     8 /* answers of status 1xx before the real one */
#define ADDRESS_MAX     4
#define ADDRESS_LIFE_US ((int64_t)60 * 1000 * 1000)

enum conn_state { CONN_OPENING, CONN_BUSY, CONN_DRAINING, CONN_IDLE, CONN_CLOSED };

struct conn {
    struct stream     stream;
    struct http_pool *pool;
    struct conn      *next, *prev; /* among the idle ones */
    enum conn_state   state;
    struct timer      timer;
    struct tls       *tls;
    struct fiber     *waiter; /* of the call that has this connection */
    struct http1      parser;
    bool              in_use; /* a call holds this memory */
    bool              gone;   /* libuv has closed it */

    /* the answer */
    struct arena     arena;
    struct http_head head;
    enum err         broken;
    bool             answered, head_done, ended, surplus, no_body, interim;
    unsigned         interims;
    size_t           drained;
    char            *in; /* what has come and was not taken */
    size_t           in_len, in_cap;
    char            *out; /* what http_client_next() has handed out */
    size_t           out_cap;
};

struct waiting {
    struct waiting *next;
    struct fiber   *fiber;
};

struct http_pool {
    struct loop              *loop;
    struct http_pool_options  o;
    char                      host_field[300]; /* "host: name:port\r\n" */
    size_t                    host_field_len;
    char                      tls_host[256]; /* without the brackets of an IPv6 address */
    struct conn               idle;          /* ring, newest first */
    struct waiting           *waiting_first, *waiting_last;
    struct http_pool_counters counters;
    size_t                    clients; /* calls whose arena has not ended */
    bool                      closing;
    struct address            addresses[ADDRESS_MAX];
    size_t                    address_count;
    int64_t                   addresses_until_us;
};

struct http_client {
    struct http_pool *pool;
    struct arena     *arena;
    struct conn      *conn; /* NULL when given back */
    int64_t           first_us, between_us, total_deadline_us;
};

/* ---- origins ---- */

static str path_base(str path)
{
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

static bool unix_parse(str url, struct http_origin *ret, str *ret_path)
{
    size_t colon = str_find_str(str_from(url, 5), S(":/"));
    str    base = { 0 };

    if (colon != STR_NONE) {
        base = path_base(str_from(url, 5 + colon + 1));
        url = str_first(url, 5 + colon);
    }
    *ret = (struct http_origin){ .host = "localhost", .fixed = true };
    if (!address_parse(url, &ret->address))
        return false;
    *ret_path = base;
    return true;
}

static bool is_authority_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_' || c == ':' || c == '[' || c == ']';
}

bool http_origin_parse(str url, struct http_origin *ret, str *ret_path)
{
    struct http_origin o = { .port = 80 };
    str                authority, host, port = { 0 };
    size_t             slash;

    if (str_starts_nocase(url, S("unix:")))
        return unix_parse(url, ret, ret_path);
    if (str_starts_nocase(url, S("https://"))) {
        o.tls = true;
        o.port = 443;
        url = str_from(url, 8);
    } else if (str_starts_nocase(url, S("http://"))) {
        url = str_from(url, 7);
    } else {
        return false;
    }
    slash = str_find(url, '/');
    authority = str_first(url, slash);
    for (size_t i = 0; i < authority.len; i++) {
        if (!is_authority_char(authority.ptr[i]))
            return false;
    }
    host = authority;
    if (authority.len && authority.ptr[0] == '[') {
        size_t end = str_find(authority, ']');

        if (end == STR_NONE)
            return false;
        host = str_first(authority, end + 1);
        port = str_from(authority, end + 1);
    } else if (str_find(authority, ':') != STR_NONE) {
        host = str_first(authority, str_find(authority, ':'));
        port = str_from(authority, host.len);
    }
    if (port.len) {
        uint64_t number;

        if (port.ptr[0] != ':' || !str_to_u64(str_from(port, 1), &number) || number == 0 || number > 65535)
            return false;
        o.port = (uint16_t)number;
    }
    if (host.len == 0 || host.len >= sizeof(o.host))
        return false;
    memcpy(o.host, host.ptr, host.len);
    {
        char text[sizeof(o.host) + 8];
        int  n = snprintf(text, sizeof(text), "%s:%u", o.host, o.port);

        o.fixed = n > 0 && address_parse(str_of(text, (size_t)n), &o.address);
    }
    for (size_t i = 0; slash != STR_NONE && i < url.len; i++) {
        if ((unsigned char)url.ptr[i] <= ' ' || url.ptr[i] == '?' || url.ptr[i] == '#')
            return false;
    }
    *ret_path = slash == STR_NONE ? (str){ 0 } : path_base(str_from(url, slash));
    *ret = o;
    return true;
}

/* ---- the life of a connection ---- */

static void pool_free_when_over(struct http_pool *p)
{
    if (!p->closing || p->counters.open || p->clients)
        return;
    tls_context_free(p->o.tls);
    free(p);
}

static bool pool_has_room(const struct http_pool *p)
{
    return p->counters.idle || p->counters.open < p->o.connection_max;
}

static void pool_wake(struct http_pool *p)
{
    if (p->waiting_first && (p->closing || pool_has_room(p)))
        fiber_wake(p->waiting_first->fiber);
}

static void idle_remove(struct conn *c)
{
    c->prev->next = c->next;
    c->next->prev = c->prev;
    c->pool->counters.idle--;
}

/* The memory goes when libuv has done with it and no call looks at it any more. */
static void conn_free_when_over(struct conn *c)
{
    struct http_pool *p = c->pool;

    if (!c->gone || c->in_use)
        return;
    timer_remove(p->loop, &c->timer);
    tls_free(c->tls);
    arena_free(&c->arena);
    free(c->in);
    free(c->out);
    free(c);
    p->counters.open--;
    pool_wake(p);
    pool_free_when_over(p);
}

static void on_closed(struct stream *stream)
{
    struct conn *c = CONTAINER_OF(stream, struct conn, stream);

    c->gone = true;
    conn_free_when_over(c);
}

static enum err conn_send_tls(struct conn *c)
{
    str      pending = tls_pending(c->tls);
    enum err e = stream_write(&c->stream, &pending, 1);

    tls_sent(c->tls);
    return e;
}

static void conn_close(struct conn *c)
{
    if (c->state == CONN_CLOSED)
        return;
    if (c->state == CONN_IDLE)
        idle_remove(c);
    c->state = CONN_CLOSED;
    timer_stop(&c->timer);
    if (c->tls && tls_ready(c->tls)) {
        tls_shutdown(c->tls);
        (void)conn_send_tls(c); /* a courtesy */
    }
    stream_close(&c->stream);
}

static void buffer_trim(char **buffer, size_t *cap)
{
    if (*cap <= BUFFER_KEEP)
        return;
    free(*buffer);
    *buffer = NULL;
    *cap = 0;
}

/* Behind a message: into the pool when another may follow on it, else closed. */
static void conn_settle(struct conn *c)
{
    struct http_pool *p = c->pool;

    if (!c->ended || !c->head.keep_alive || c->surplus || c->broken || c->stream.queued || p->closing ||
        p->counters.idle >= p->o.idle_max) {
        conn_close(c);
        return;
    }
    arena_free(&c->arena);
    buffer_trim(&c->in, &c->in_cap);
    buffer_trim(&c->out, &c->out_cap);
    c->in_len = 0;
    c->state = CONN_IDLE;
    c->prev = &p->idle;
    c->next = p->idle.next;
    c->next->prev = c;
    p->idle.next = c;
    p->counters.idle++;
    timer_set(p->loop, &c->timer, loop_now_us(p->loop) + p->o.idle_time_ms * 1000);
    stream_read_start(&c->stream); /* the end of an idle connection is to be noticed */
    pool_wake(p);
}

static void on_timer(void *arg)
{
    conn_close(arg);
}

static void conn_break(struct conn *c, enum err e)
{
    if (!c->broken)
        c->broken = e;
    stream_read_stop(&c->stream);
    if (c->state == CONN_IDLE || c->state == CONN_DRAINING)
        conn_close(c);
    else
        fiber_wake(c->waiter);
}

/* ---- an answer comes in ---- */

static struct conn *conn_of(struct http1 *p)
{
    return CONTAINER_OF(p, struct conn, parser);
}

static struct arena *on_begin(struct http1 *p)
{
    return &conn_of(p)->arena;
}

static bool on_head(struct http1 *p)
{
    struct conn *c = conn_of(p);

    c->interim = p->head.status < 200 && p->head.status != 101;
    if (c->interim)
        return true;
    c->head = p->head;
    c->head_done = true;
    c->surplus = p->head.upgrade; /* not asked for: what follows is another protocol */
    fiber_wake(c->waiter);
    return c->no_body;
}

static void on_body(struct http1 *p, str piece)
{
    struct conn *c = conn_of(p);

    if (c->state == CONN_DRAINING) {
        c->drained += piece.len;
        return;
    }
    if (piece.len > c->in_cap - c->in_len) {
        c->in_cap = max_size(c->in_len + piece.len, max_size(c->in_cap * 2, BUFFER_MIN));
        c->in = xrealloc(c->in, c->in_cap);
    }
    memcpy(c->in + c->in_len, piece.ptr, piece.len);
    c->in_len += piece.len;
    if (c->in_len > PIECES_MAX)
        stream_read_stop(&c->stream);
    fiber_wake(c->waiter);
}

static void on_end(struct http1 *p)
{
    struct conn *c = conn_of(p);

    if (c->interim) {
        c->interims++;
        return;
    }
    c->ended = true;
    fiber_wake(c->waiter);
}

static const struct http1_events parser_events = {
    .on_begin = on_begin,
    .on_head = on_head,
    .on_body = on_body,
    .on_end = on_end,
};

static void conn_feed(struct conn *c, str bytes)
{
    while (bytes.len && !c->stream.closing) {
        size_t   used = 0;
        enum err e;

        if (c->state == CONN_IDLE || c->state == CONN_OPENING || c->ended) {
            c->surplus = true; /* nobody asked for this */
            if (c->state == CONN_IDLE)
                conn_close(c);
            return;
        }
        if (c->broken)
            return;
        c->answered = true;
        e = http1_feed(&c->parser, bytes, &used);
        if (!e && (c->interims > INTERIM_MAX || c->drained > DRAIN_BYTES))
            e = ERR_PROTOCOL;
        if (e) {
            conn_break(c, e);
            return;
        }
        bytes = str_from(bytes, used);
    }
    if (c->state == CONN_DRAINING && c->ended)
        conn_settle(c);
}

static void conn_eof(struct conn *c)
{
    /* An answer without a length ends here, and well. */
    if (c->state == CONN_BUSY && c->head_done && !c->ended && !c->broken)
        (void)http1_eof(&c->parser); /* `ended` says whether it was one */
    if (c->ended && c->state == CONN_BUSY) {
        c->surplus = true;
        stream_read_stop(&c->stream);
        fiber_wake(c->waiter);
        return;
    }
    conn_break(c, ERR_EOF);
}

static void conn_feed_tls(struct conn *c, str bytes)
{
    char     plain[PLAIN_CHUNK];
    size_t   n;
    enum err e = tls_feed(c->tls, bytes);

    while (!e && !c->stream.closing) {
        e = tls_read(c->tls, plain, sizeof(plain), &n);
        (void)conn_send_tls(c); /* a failure shows at the next read */
        if (e || n == 0)
            break;
        conn_feed(c, str_of(plain, n));
    }
    if (c->stream.closing)
        return;
    if (e == ERR_EOF)
        conn_eof(c);
    else if (e)
        conn_break(c, e);
    else if (c->state == CONN_OPENING)
        fiber_wake(c->waiter);
}

static void on_read(struct stream *stream, str bytes, enum err e)
{
    struct conn *c = CONTAINER_OF(stream, struct conn, stream);

    if (e)
        conn_eof(c);
    else if (c->tls)
        conn_feed_tls(c, bytes);
    else
        conn_feed(c, bytes);
}

static const struct stream_events conn_events = { .on_read = on_read, .on_closed = on_closed };

/* ---- opening a connection ---- */

static SUSPENDS enum err addresses_find(struct http_pool *p, int64_t deadline_us)
{
    struct address found[ADDRESS_MAX];
    size_t         count;
    enum err       e;

    if (p->o.origin.fixed) {
        p->addresses[0] = p->o.origin.address;
        p->address_count = 1;
        return OK;
    }
    if (p->address_count && loop_now_us(p->loop) < p->addresses_until_us)
        return OK;
    e = address_resolve(str_from_cstr(p->o.origin.host), p->o.origin.port, deadline_us, found, ADDRESS_MAX, &count);
    if (e)
        return e;
    memcpy(p->addresses, found, count * sizeof(found[0]));
    p->address_count = count;
    p->addresses_until_us = loop_now_us(p->loop) + ADDRESS_LIFE_US;
    return OK;
}

static SUSPENDS enum err conn_connect(struct conn *c, int64_t deadline_us)
{
    struct http_pool *p = c->pool;
    enum err          e = addresses_find(p, deadline_us);

    if (e)
        return e;
    e = ERR_UNREACHABLE;
    for (size_t i = 0; i < p->address_count; i++) {
        struct address at = p->addresses[i];

        e = stream_connect(&c->stream, &conn_events, &at, deadline_us);
        if (!e || e == ERR_CANCELLED || e == ERR_TIMEOUT)
            return e;
    }
    p->address_count = 0; /* the name may mean another address by now */
    return e;
}

/* The handshake is driven by on_read; only its first flight is made here. */
static SUSPENDS enum err conn_secure(struct conn *c, int64_t deadline_us)
{
    char     none[16];
    size_t   n;
    enum err e;

    c->tls = tls_new_client(c->pool->o.tls, c->pool->tls_host);
    e = tls_read(c->tls, none, sizeof(none), &n);
    if (!e)
        e = conn_send_tls(c);
    c->waiter = fiber_self();
    while (!e && !tls_ready(c->tls) && !c->broken)
        e = fiber_wait(deadline_us);
    c->waiter = NULL;
    if (e == ERR_TIMEOUT || e == ERR_CANCELLED)
        return e;
    return e || c->broken ? ERR_UNREACHABLE : OK;
}

static SUSPENDS enum err conn_open(struct http_pool *p, int64_t deadline_us, struct conn **ret)
{
    struct conn *c = xcalloc(1, sizeof(*c));
    enum err     e;

    c->pool = p;
    c->in_use = true;
    arena_init(&c->arena, 0);
    timer_init(&c->timer, on_timer, c);
    p->counters.open++;
    p->counters.connects++;
    e = conn_connect(c, deadline_us);
    if (e) {
        c->gone = true; /* a stream that did not connect has been closed already */
    } else {
        stream_read_start(&c->stream);
        if (p->o.tls)
            e = conn_secure(c, deadline_us);
        if (e)
            conn_close(c);
    }
    if (!e) {
        *ret = c;
        return OK;
    }
    c->in_use = false;
    conn_free_when_over(c);
    if (e == ERR_TIMEOUT && loop_now_us(fiber_loop()) >= deadline_us)
        return ERR_UNREACHABLE;
    return e == ERR_CANCELLED || e == ERR_TIMEOUT || e == ERR_REFUSED || e == ERR_LIMIT ? e : ERR_UNREACHABLE;
}

/* ---- the pool ---- */

/* In the order of coming, until there is an idle connection or room for one. */
static SUSPENDS enum err pool_wait(struct http_pool *p, int64_t deadline_us)
{
    struct waiting me = { .fiber = fiber_self() }, **at;
    enum err       e = OK;

    if (!p->waiting_first && pool_has_room(p))
        return OK;
    if (p->counters.waiting >= p->o.waiting_max)
        return ERR_LIMIT;
    if (p->waiting_last)
        p->waiting_last->next = &me;
    else
        p->waiting_first = &me;
    p->waiting_last = &me;
    p->counters.waiting++;
    while (!e && !p->closing && (p->waiting_first != &me || !pool_has_room(p)))
        e = fiber_wait(deadline_us);
    p->counters.waiting--;
    p->waiting_last = NULL;
    for (at = &p->waiting_first; *at;) {
        if (*at == &me) {
            *at = me.next;
        } else {
            p->waiting_last = *at;
            at = &(*at)->next;
        }
    }
    if (e == ERR_TIMEOUT)
        return ERR_LIMIT;
    return e;
}

static SUSPENDS enum err pool_take(struct http_client *cl, bool fresh, bool *ret_reused)
{
    struct http_pool *p = cl->pool;
    int64_t           deadline_us = loop_now_us(p->loop) + p->o.connect_ms * 1000;
    struct conn      *c = NULL;
    enum err          e;

    deadline_us = min_i64(deadline_us, cl->total_deadline_us);
    e = pool_wait(p, deadline_us);
    if (!e && p->closing)
        e = ERR_CANCELLED;
    if (e) {
        pool_wake(p);
        return e;
    }
    if (p->counters.idle && (!fresh || p->counters.open >= p->o.connection_max)) {
        c = p->idle.next;
        if (!fresh) {
            idle_remove(c);
            timer_stop(&c->timer);
            c->in_use = true;
            p->counters.reused++;
            *ret_reused = true;
            cl->conn = c;
            pool_wake(p);
            return OK;
        }
        conn_close(c); /* makes room; for a moment there is one more than the limit */
    }
    *ret_reused = false;
    e = conn_open(p, deadline_us, &c);
    if (!e)
        cl->conn = c;
    pool_wake(p);
    return e;
}

struct http_pool *http_pool_open(struct loop *l, const struct http_pool_options *o)
{
    struct http_pool *p = xcalloc(1, sizeof(*p));
    unsigned          port = o->origin.port;
    int               n;

    p->loop = l;
    p->o = *o;
    if (!p->o.connection_max)
        p->o.connection_max = 256;
    if (!p->o.waiting_max)
        p->o.waiting_max = 1024;
    if (!p->o.idle_max)
        p->o.idle_max = 64;
    if (!p->o.idle_time_ms)
        p->o.idle_time_ms = 30 * 1000;
    if (!p->o.connect_ms)
        p->o.connect_ms = 5 * 1000;
    ASSERT(!o->origin.tls || o->tls);
    p->o.tls = o->origin.tls ? tls_context_ref(o->tls) : NULL;
    p->idle.next = p->idle.prev = &p->idle;
    if (port == 0 || port == (o->origin.tls ? 443 : 80))
        n = snprintf(p->host_field, sizeof(p->host_field), "host: %s\r\n", o->origin.host);
    else
        n = snprintf(p->host_field, sizeof(p->host_field), "host: %s:%u\r\n", o->origin.host, port);
    p->host_field_len = (size_t)n;
    snprintf(p->tls_host, sizeof(p->tls_host), "%s", o->origin.host);
    if (o->origin.host[0] == '[')
        snprintf(p->tls_host, sizeof(p->tls_host), "%.*s", (int)strlen(o->origin.host) - 2, o->origin.host + 1);
    return p;
}

void http_pool_close(struct http_pool *p)
{
    if (!p)
        return;
    p->closing = true;
    while (p->counters.idle)
        conn_close(p->idle.next);
    pool_wake(p);
    pool_free_when_over(p);
}

const struct http_pool_counters *http_pool_counters(const struct http_pool *p)
{
    return &p->counters;
}

/* ---- a call ---- */

static size_t count_char(str s, char c)
{
    size_t count = 0, at;

    for (; (at = str_find(s, c)) != STR_NONE; count++)
        s = str_from(s, at + 1);
    return count;
}

/* Neither a name nor a value may bring a line of its own: as many breaks as we have written, and no NUL. */
static bool has_lines(str head, size_t lines)
{
    return count_char(head, '\r') == lines && count_char(head, '\n') == lines && str_find(head, 0) == STR_NONE;
}

static enum err head_build(struct http_pool *p, const struct http_client_request *rq, struct buf *b)
{
    size_t lines = 3 + rq->field_count; /* the request, the host, the empty one */

    (void)buf_room(b, 768); /* an ordinary head: one allocation */
    buf_add(b, rq->method);
    buf_add_char(b, ' ');
    buf_add(b, rq->target);
    buf_add(b, S(" HTTP/1.1\r\n"));
    buf_add_bytes(b, p->host_field, p->host_field_len);
    for (size_t i = 0; i < rq->field_count; i++) {
        buf_add(b, rq->fields[i].name);
        buf_add(b, S(": "));
        buf_add(b, rq->fields[i].value);
        buf_add(b, S("\r\n"));
    }
    if (rq->has_body || rq->body.len || rq->body_next) {
        buf_add(b, S("content-length: "));
        buf_add_i64(b, rq->body_next ? rq->body_len : (int64_t)rq->body.len);
        buf_add(b, S("\r\n"));
        lines++;
    }
    buf_add(b, S("\r\n"));
    return b->full || !has_lines(buf_str(b), lines) ? ERR_INVALID : OK;
}

/* A body in pieces, as the server takes them. */
static SUSPENDS enum err send_pieces(struct http_client *cl, const struct http_client_request *rq)
{
    struct conn *c = cl->conn;
    int64_t      left = rq->body_len;
    enum err     e = OK;
    str          piece;

    while (!e && left > 0 && !c->head_done && !c->broken) {
        e = rq->body_next(rq->body_arg, &piece);
        if (e)
            return e;
        piece = str_first(piece, (size_t)left);
        if (!piece.len)
            return ERR_INVALID; /* it is shorter than was said */
        left -= (int64_t)piece.len;
        if (c->tls) {
            e = tls_write(c->tls, piece);
            if (!e)
                e = conn_send_tls(c);
        } else {
            e = stream_write(&c->stream, &piece, 1);
        }
        if (!e)
            e = stream_flush(&c->stream, UNSENT_MAX, cl->total_deadline_us);
    }
    c->surplus = c->surplus || left > 0; /* the connection is of no more use */
    /* Who has closed may have answered before: that is read next. */
    return c->head_done || c->broken || e == ERR_EOF ? OK : e;
}

/* Sends the request and waits for the head of its answer. */
static SUSPENDS enum err exchange(struct http_client *cl, str head, const struct http_client_request *rq)
{
    struct conn *c = cl->conn;
    int64_t      deadline_us = cl->total_deadline_us;
    enum err     e;

    c->state = CONN_BUSY;
    c->broken = OK;
    c->answered = c->head_done = c->ended = c->surplus = c->interim = false;
    c->interims = 0;
    c->drained = c->in_len = 0;
    c->no_body = str_eq(rq->method, S("HEAD"));
    http1_init(&c->parser, HTTP1_ANSWERS, &parser_events);
    if (c->tls) {
        e = tls_write(c->tls, head);
        if (!e && rq->body.len)
            e = tls_write(c->tls, rq->body);
        if (!e)
            e = conn_send_tls(c);
    } else {
        e = stream_write(&c->stream, (str[]){ head, rq->body }, 2);
    }
    if (e)
        return ERR_EOF;
    e = rq->body_next ? send_pieces(cl, rq) : OK;
    if (e)
        return e;
    if (cl->first_us)
        deadline_us = min_i64(deadline_us, loop_now_us(cl->pool->loop) + cl->first_us);
    c->waiter = fiber_self();
    while (!e && !c->head_done && !c->broken)
        e = fiber_wait(deadline_us);
    c->waiter = NULL;
    if (c->head_done)
        return OK;
    if (e)
        return e;
    if (c->broken == ERR_EOF && c->answered)
        return ERR_PROTOCOL;
    return c->broken == ERR_PROTOCOL || c->broken == ERR_LIMIT ? c->broken : ERR_EOF;
}

static void client_give_back(struct http_client *cl, bool drain)
{
    struct conn *c = cl->conn;

    if (!c)
        return;
    cl->conn = NULL;
    c->in_use = false;
    c->waiter = NULL;
    if (c->gone) {
        conn_free_when_over(c);
        return;
    }
    if (drain && c->state == CONN_BUSY && c->head_done && !c->ended && !c->broken && c->head.keep_alive) {
        c->state = CONN_DRAINING;
        timer_set(c->pool->loop, &c->timer, loop_now_us(c->pool->loop) + (int64_t)DRAIN_MS * 1000);
        stream_read_start(&c->stream);
        return;
    }
    conn_settle(c);
}

void http_client_close(struct http_client *c)
{
    client_give_back(c, false);
}

void http_client_leave(struct http_client *c)
{
    client_give_back(c, true);
}

static void client_over(void *arg)
{
    struct http_client *c = arg;

    http_client_close(c);
    c->pool->clients--;
    pool_free_when_over(c->pool);
}

enum err http_client_open(struct http_pool *p, struct arena *a, const struct http_client_request *rq,
                          struct http_client **ret)
{
    struct http_client *cl = arena_new(a, struct http_client);
    struct buf          head;
    bool                reused = false, again = false;
    enum err            e;

    might_suspend();
    if (p->closing)
        return ERR_CANCELLED;
    cl->pool = p;
    cl->arena = a;
    cl->first_us = rq->first_ms * 1000;
    cl->between_us = rq->between_ms * 1000;
    cl->total_deadline_us = rq->total_ms ? loop_now_us(p->loop) + rq->total_ms * 1000 : DEADLINE_NONE;
    buf_init(&head, a, HTTP_HEAD_MAX);
    e = head_build(p, rq, &head);
    if (e)
        return e;
    p->counters.calls++;
    p->clients++;
    arena_defer(a, client_over, cl);
    for (;;) {
        e = pool_take(cl, again || rq->body_next, &reused); /* pieces are not had twice */
        if (e)
            return e;
        e = exchange(cl, buf_str(&head), rq);
        if (!e) {
            *ret = cl;
            return OK;
        }
        again = e == ERR_EOF && reused && !again;
        http_client_close(cl);
        if (!again)
            return e;
        p->counters.stale++;
    }
}

const struct http_head *http_client_head(const struct http_client *c)
{
    ASSERT(c->conn);
    return &c->conn->head;
}

bool http_client_ready(const struct http_client *c)
{
    return !c->conn || c->conn->in_len || c->conn->ended || c->conn->broken;
}

enum err http_client_next(struct http_client *cl, str *ret)
{
    struct conn *c = cl->conn;
    int64_t      deadline_us = cl->total_deadline_us;
    char        *taken;
    size_t       cap;
    enum err     e = OK;

    might_suspend();
    ASSERT(c);
    if (c->in_len == 0 && !c->ended && !c->broken) {
        if (cl->between_us)
            deadline_us = min_i64(deadline_us, loop_now_us(cl->pool->loop) + cl->between_us);
        c->waiter = fiber_self();
        stream_read_start(&c->stream);
        while (!e && c->in_len == 0 && !c->ended && !c->broken)
            e = fiber_wait(deadline_us);
        c->waiter = NULL;
    }
    if (c->in_len == 0) {
        if (!c->ended)
            return c->broken ? c->broken : e;
        *ret = S("");
        return OK;
    }
    *ret = str_of(c->in, c->in_len);
    taken = c->in;
    cap = c->in_cap;
    c->in = c->out;
    c->in_cap = c->out_cap;
    c->in_len = 0;
    c->out = taken;
    c->out_cap = cap;
    if (!c->ended && !c->broken)
        stream_read_start(&c->stream);
    return OK;
}

enum err http_client_body(struct http_client *c, size_t max, char **ret, size_t *ret_len)
{
    struct buf b;
    int64_t    length = http_client_head(c)->content_length;
    str        piece = { 0 };
    enum err   e;
    char      *end;

    might_suspend();
    if (length > 0 && (uint64_t)length > max)
        return ERR_LIMIT;
    buf_init(&b, c->arena, max + HTTP_CLIENT_PADDING);
    (void)buf_room(&b, (size_t)max_i64(length, 0) + HTTP_CLIENT_PADDING); /* the common case: one allocation */
    for (;;) {
        e = http_client_next(c, &piece);
        if (e)
            return e;
        if (piece.len == 0)
            break;
        buf_add(&b, piece);
        if (b.full || b.len > max)
            return ERR_LIMIT;
    }
    end = buf_room(&b, HTTP_CLIENT_PADDING);
    ASSERT(end);
    memset(end, 0, HTTP_CLIENT_PADDING);
    *ret = b.ptr;
    *ret_len = b.len;
    return OK;
}
