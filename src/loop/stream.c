/* stream.c - connections of bytes on libuv. */
#include "loop/stream.h"

#include "base/arena.h"
#include "base/num.h"
#include "loop/loop_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PARTS_MAX   8
#define SOCKET_MODE 0660 /* of a Unix listener: its owner and group may connect */

/* What lies in stream.handle. */
union uv {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t    tcp;
    uv_pipe_t   pipe;
};
static_assert(sizeof(union uv) <= STREAM_HANDLE_SIZE, "stream.h has room for libuv's handle");

static union uv *uv_of(const struct stream *s)
{
    return (union uv *)(uintptr_t)s->handle;
}

/* ---- addresses ---- */

bool address_parse(str text, struct address *ret)
{
    struct address a = { 0 };
    char           host[64];
    size_t         colon = STR_NONE;
    uint64_t       port;
    str            h;

    if (str_starts(text, S("unix:"))) {
        str path = str_from(text, 5);

        if (path.len == 0 || path.len >= sizeof(a.path))
            return false;
        memcpy(a.path, path.ptr, path.len);
        *ret = a;
        return true;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == ':')
            colon = i;
    }
    if (colon == STR_NONE || !str_to_u64(str_from(text, colon + 1), &port) || port > 65535)
        return false;
    h = str_first(text, colon);
    if (h.len >= 2 && h.ptr[0] == '[' && h.ptr[h.len - 1] == ']')
        h = str_of(h.ptr + 1, h.len - 2);
    if (str_eq(h, S("localhost")))
        h = S("127.0.0.1");
    if (h.len >= sizeof(host))
        return false;
    memcpy(host, h.ptr, h.len);
    host[h.len] = 0;
    if (uv_ip4_addr(host, (int)port, &a.in) && uv_ip6_addr(host, (int)port, &a.in6))
        return false;
    *ret = a;
    return true;
}

void address_format(const struct address *a, char text[ADDRESS_TEXT_MAX])
{
    char host[64];

    if (a->path[0]) {
        snprintf(text, ADDRESS_TEXT_MAX, "unix:%s", a->path);
    } else if (a->sa.sa_family == AF_INET6) {
        uv_ip6_name(&a->in6, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "[%s]:%u", host, ntohs(a->in6.sin6_port));
    } else {
        uv_ip4_name(&a->in, host, sizeof(host));
        snprintf(text, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(a->in.sin_port));
    }
}

struct lookup {
    uv_getaddrinfo_t req;
    struct fiber    *waiter; /* NULL when it has given up */
    struct addrinfo *found;
    int              status;
    bool             done;
};

static void on_lookup(uv_getaddrinfo_t *req, int status, struct addrinfo *found)
{
    struct lookup *lk = CONTAINER_OF(req, struct lookup, req);
    struct loop   *l = req->loop->data;

    loop_turn(l);
    lk->done = true;
    lk->status = status;
    lk->found = found;
    if (lk->waiter) {
        fiber_wake(lk->waiter);
    } else {
        uv_freeaddrinfo(found);
        free(lk);
    }
    loop_run_ready(l);
}

enum err address_resolve(str host, uint16_t port, int64_t deadline_us, struct address *ret, size_t max,
                         size_t *ret_count)
{
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC };
    struct lookup  *lk;
    char            name[256], service[8];
    size_t          count = 0;
    enum err        e = OK;

    might_suspend();
    if (host.len >= sizeof(name))
        return ERR_INVALID;
    memcpy(name, host.ptr, host.len);
    name[host.len] = 0;
    snprintf(service, sizeof(service), "%u", port);
    lk = xcalloc(1, sizeof(*lk));
    lk->waiter = fiber_self();
    if (uv_getaddrinfo(&fiber_loop()->uv, &lk->req, on_lookup, name, service, &hints)) {
        free(lk);
        return ERR_UNREACHABLE;
    }
    while (!lk->done && !e)
        e = fiber_wait(deadline_us);
    if (!lk->done) {
        lk->waiter = NULL;
        (void)uv_cancel((uv_req_t *)&lk->req); /* too late to cancel: on_lookup frees it all the same */
        return e;
    }
    if (lk->status == 0) {
        for (struct addrinfo *ai = lk->found; ai && count < max; ai = ai->ai_next) {
            ret[count] = (struct address){ 0 };
            if (ai->ai_addrlen <= sizeof(ret[count].storage))
                memcpy(&ret[count++].storage, ai->ai_addr, ai->ai_addrlen);
        }
    }
    e = lk->status ? loop_err(lk->status) : count ? OK : ERR_UNREACHABLE;
    uv_freeaddrinfo(lk->found);
    free(lk);
    if (!e)
        *ret_count = count;
    return e;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct stream *s = handle->data;

    (void)suggested;
    *buf = uv_buf_init(s->loop->read_buffer, READ_BUFFER);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct stream *s = stream->data;
    struct loop   *l = s->loop;

    if (n == 0)
        return;
    loop_turn(l);
    if (n > 0) {
        s->events->on_read(s, str_of(buf->base, (size_t)n), OK);
    } else {
        stream_read_stop(s);
        s->events->on_read(s, S(""), loop_err((int)n));
    }
    loop_run_ready(l);
}

void stream_read_start(struct stream *s)
{
    if (s->reading || s->closing)
        return;
    s->reading = true;
    uv_read_start(&uv_of(s)->stream, on_alloc, on_read);
}

void stream_read_stop(struct stream *s)
{
    if (!s->reading)
        return;
    s->reading = false;
    uv_read_stop(&uv_of(s)->stream);
}

/* ---- writing ---- */

struct write_rest {
    uv_write_t     req;
    struct stream *stream;
    size_t         len;
    char           bytes[];
};

static void on_written(uv_write_t *req, int status)
{
    struct write_rest *w = CONTAINER_OF(req, struct write_rest, req);
    struct stream     *s = w->stream;
    struct loop       *l = s->loop;

    loop_turn(l);
    s->queued -= w->len;
    if (status && !s->broken)
        s->broken = loop_err(status);
    free(w);
    fiber_wake(s->writer);
    loop_run_ready(l);
}

enum err stream_write(struct stream *s, const str *parts, size_t count)
{
    uv_buf_t           bufs[PARTS_MAX];
    size_t             total = 0, sent = 0;
    unsigned           n = 0;
    struct write_rest *w;
    char              *p;

    ASSERT(count <= PARTS_MAX);
    if (s->closing)
        return ERR_EOF;
    if (s->broken)
        return s->broken;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len) {
            bufs[n++] = uv_buf_init((char *)(uintptr_t)parts[i].ptr, (unsigned)parts[i].len);
            total += parts[i].len;
        }
    }
    if (total == 0)
        return OK;
    if (s->queued == 0) {
        int r = uv_try_write(&uv_of(s)->stream, bufs, n);

        if (r < 0 && r != UV_EAGAIN)
            return s->broken = loop_err(r);
        sent = r < 0 ? 0 : (size_t)r;
        if (sent == total)
            return OK;
    }
    w = xmalloc(sizeof(*w) + total - sent);
    w->stream = s;
    w->len = total - sent;
    p = w->bytes;
    for (unsigned i = 0; i < n; i++) {
        size_t skip = min_size(sent, bufs[i].len);

        memcpy(p, bufs[i].base + skip, bufs[i].len - skip);
        p += bufs[i].len - skip;
        sent -= skip;
    }
    bufs[0] = uv_buf_init(w->bytes, (unsigned)w->len);
    s->queued += w->len;
    uv_write(&w->req, &uv_of(s)->stream, bufs, 1, on_written);
    return OK;
}

enum err stream_flush(struct stream *s, size_t left, int64_t deadline_us)
{
    enum err e = OK;

    if (s->queued <= left)
        return s->broken;
    might_suspend();
    ASSERT(!s->writer);
    s->writer = fiber_self();
    while (s->queued > left && !s->broken && !s->closing && !e)
        e = fiber_wait(deadline_us);
    s->writer = NULL;
    if (s->broken)
        return s->broken;
    return s->closing ? ERR_EOF : e;
}

size_t stream_unsent(const struct stream *s)
{
    return uv_stream_get_write_queue_size(&uv_of(s)->stream);
}

/* ---- opening and closing ---- */

static void stream_init(struct stream *s, struct loop *l, const struct stream_events *events, bool is_pipe)
{
    *s = (struct stream){ .events = events, .loop = l };
    if (is_pipe)
        uv_pipe_init(&l->uv, &uv_of(s)->pipe, 0);
    else
        uv_tcp_init(&l->uv, &uv_of(s)->tcp);
    uv_of(s)->handle.data = s;
    l->uv.data = l;
}

static void on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;
    struct loop   *l = s->loop;

    loop_turn(l);
    fiber_wake(s->writer);
    if (s->events->on_closed)
        s->events->on_closed(s);
    loop_run_ready(l);
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    (void)status; /* the peer has gone: there is nobody to tell */
    free(req);
}

void stream_shutdown(struct stream *s)
{
    uv_shutdown_t *req;

    if (s->closing)
        return;
    req = xmalloc(sizeof(*req));
    if (uv_shutdown(req, &uv_of(s)->stream, on_shutdown))
        free(req);
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    s->closing = true;
    s->reading = false;
    fiber_wake(s->writer);
    uv_close(&uv_of(s)->handle, on_closed);
}

struct connecting {
    uv_connect_t  req;
    struct fiber *waiter;
    int           status;
    bool          done;
};

static void on_connect(uv_connect_t *req, int status)
{
    struct connecting *c = CONTAINER_OF(req, struct connecting, req);
    struct stream     *s = req->handle->data;

    loop_turn(s->loop);
    c->status = status;
    c->done = true;
    fiber_wake(c->waiter);
    loop_run_ready(s->loop);
}

/* Ends stream_connect()'s wait after a failure. */
static void on_connect_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    loop_turn(s->loop);
    s->closed = true;
    fiber_wake(s->writer);
    loop_run_ready(s->loop);
}

enum err stream_connect(struct stream *s, const struct stream_events *events, const struct address *to,
                        int64_t deadline_us)
{
    struct connecting c = { .waiter = fiber_self() };
    enum err          e = OK;
    int               r = 0;

    might_suspend();
    stream_init(s, fiber_loop(), events, to->path[0] != 0);
    if (to->path[0])
        uv_pipe_connect(&c.req, &uv_of(s)->pipe, to->path, on_connect);
    else
        r = uv_tcp_connect(&c.req, &uv_of(s)->tcp, &to->sa, on_connect);
    if (r) {
        c.done = true;
        c.status = r;
    }
    while (!c.done && !e)
        e = fiber_wait(deadline_us);
    if (c.done && c.status == 0 && !e) {
        if (!to->path[0])
            uv_tcp_nodelay(&uv_of(s)->tcp, 1);
        return OK;
    }
    if (!e)
        e = loop_err(c.status);
    /* The request is on this stack and the stream is the caller's: both must be done with before we return. */
    s->closing = true;
    s->writer = fiber_self();
    uv_close(&uv_of(s)->handle, on_connect_closed);
    while (!s->closed)
        fiber_wait_through();
    return e;
}

/* ---- listening ---- */

struct listener {
    struct stream stream; /* never reads */
    void (*on_accept)(struct listener *ln, void *arg);
    void *arg;
};

static void on_connection(uv_stream_t *stream, int status)
{
    struct listener *ln = CONTAINER_OF((struct stream *)stream->data, struct listener, stream);

    loop_turn(ln->stream.loop);
    if (status == 0)
        ln->on_accept(ln, ln->arg);
    loop_run_ready(ln->stream.loop);
}

static void on_listener_closed(struct stream *s)
{
    free(CONTAINER_OF(s, struct listener, stream));
}

static const struct stream_events listener_events = { .on_closed = on_listener_closed };

/* A bound TCP socket that shares its port with those of the other workers (libuv before 1.49 cannot say so itself). */
static int tcp_socket(const struct address *at)
{
    int fd = socket(at->sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;

    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) ||
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) ||
        /* inherited by what is accepted: one system call less a connection */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) ||
        bind(fd, &at->sa, at->sa.sa_family == AF_INET6 ? sizeof(at->in6) : sizeof(at->in))) {
        int e = errno;

        close(fd);
        return -e;
    }
    return fd;
}

static bool unix_taken(const char *path)
{
    struct sockaddr_un to = { .sun_family = AF_UNIX };
    int                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool               taken;

    if (fd < 0)
        return false;
    memcpy(to.sun_path, path, strnlen(path, sizeof(to.sun_path) - 1));
    taken = connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EAGAIN; /* its queue is full */
    close(fd);
    return taken;
}

/* A socket left by a process that was killed goes; anything else stays. Its mode is set before anyone can connect. */
static int unix_bind(uv_pipe_t *pipe, const char *path)
{
    struct stat is;
    int         r;

    if (lstat(path, &is) == 0) {
        if (!S_ISSOCK(is.st_mode))
            return UV_EADDRINUSE;
        (void)unlink(path); /* bind() says what is wrong */
    }
    r = uv_pipe_bind(pipe, path);
    return !r && chmod(path, SOCKET_MODE) ? -errno : r;
}

bool address_taken(const struct address *at)
{
    int  fd = at->path[0] || !at->sa.sa_family ? -1 : socket(at->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int  on = 1;
    bool taken;

    if (at->path[0])
        return unix_taken(at->path);
    if (fd < 0)
        return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* connections that are ending do not count */
    taken = bind(fd, &at->sa, at->sa.sa_family == AF_INET6 ? sizeof(at->in6) : sizeof(at->in)) && errno == EADDRINUSE;
    close(fd);
    return taken;
}

enum err listener_open(struct loop *l, const struct address *at, int backlog,
                       void (*on_accept)(struct listener *ln, void *arg), void *arg, struct listener **ret)
{
    struct listener *ln = xcalloc(1, sizeof(*ln));
    int              r;

    stream_init(&ln->stream, l, &listener_events, at->path[0] != 0);
    ln->on_accept = on_accept;
    ln->arg = arg;
    if (at->path[0]) {
        r = unix_bind(&uv_of(&ln->stream)->pipe, at->path);
    } else {
        r = tcp_socket(at);
        if (r >= 0)
            r = uv_tcp_open(&uv_of(&ln->stream)->tcp, r);
    }
    if (!r)
        r = uv_listen(&uv_of(&ln->stream)->stream, backlog, on_connection);
    if (r) {
        stream_close(&ln->stream);
        return loop_err(r);
    }
    *ret = ln;
    return OK;
}

enum err stream_accept(struct stream *s, const struct stream_events *events, struct listener *ln)
{
    int r;

    stream_init(s, ln->stream.loop, events, uv_of(&ln->stream)->handle.type == UV_NAMED_PIPE);
    r = uv_accept(&uv_of(&ln->stream)->stream, &uv_of(s)->stream);
    return loop_err(r);
}

static struct address address_get(const struct stream *s, bool peer)
{
    struct address a = { 0 };
    int            len = sizeof(a.storage);

    if (uv_of(s)->handle.type == UV_TCP) {
        if (peer)
            uv_tcp_getpeername(&uv_of(s)->tcp, &a.sa, &len);
        else
            uv_tcp_getsockname(&uv_of(s)->tcp, &a.sa, &len);
    }
    return a;
}

void stream_peer(const struct stream *s, char text[ADDRESS_TEXT_MAX])
{
    struct address a = address_get(s, true);

    text[0] = 0;
    if (a.sa.sa_family)
        address_format(&a, text);
}

void listener_address(const struct listener *ln, struct address *ret)
{
    *ret = address_get(&ln->stream, false);
}

void listener_close(struct listener *ln)
{
    stream_close(&ln->stream);
}
