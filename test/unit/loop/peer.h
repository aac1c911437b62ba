/* peer.h - the other end of a connection, on a fiber of its own: sends, and waits for what it expects. */
#ifndef DASHBOX_TEST_PEER_H
#define DASHBOX_TEST_PEER_H

#include "run.h"

#include "loop/stream.h"

#include <uv.h>

struct peer {
    struct stream stream;
    struct fiber *waiter;
    char         *in; /* all that came and was not taken yet */
    size_t        len, cap;
    int64_t       received; /* in all */
    enum err      end;      /* how the reading ended; OK: it has not */
    bool          closed;
};

static inline void peer_on_read(struct stream *s, str bytes, enum err e)
{
    struct peer *p = CONTAINER_OF(s, struct peer, stream);

    CHECK(p->end == OK);
    p->end = e;
    if (p->len + bytes.len > p->cap) {
        p->cap = 2 * (p->len + bytes.len);
        p->in = xrealloc(p->in, p->cap);
    }
    if (bytes.len)
        memcpy(p->in + p->len, bytes.ptr, bytes.len);
    p->len += bytes.len;
    p->received += (int64_t)bytes.len;
    fiber_wake(p->waiter);
}

static inline void peer_on_closed(struct stream *s)
{
    struct peer *p = CONTAINER_OF(s, struct peer, stream);

    CHECK(!p->closed);
    p->closed = true;
    fiber_wake(p->waiter);
}

static const struct stream_events peer_events = { .on_read = peer_on_read, .on_closed = peer_on_closed };

/* Connected, but not reading yet. */
SUSPENDS static inline void peer_connect_quiet(struct peer *p, const struct address *to)
{
    *p = (struct peer){ 0 };
    CHECK(stream_connect(&p->stream, &peer_events, to, DEADLINE_NONE) == OK);
}

SUSPENDS static inline void peer_connect(struct peer *p, const struct address *to)
{
    peer_connect_quiet(p, to);
    stream_read_start(&p->stream);
}

static inline void peer_send(struct peer *p, str bytes)
{
    (void)stream_write(&p->stream, &bytes, 1); /* the other side may have gone: the test sees it otherwise */
}

static inline void peer_take(struct peer *p, size_t n)
{
    CHECK(n <= p->len);
    memmove(p->in, p->in + n, p->len - n);
    p->len -= n;
}

SUSPENDS static inline void peer_wait(struct peer *p)
{
    p->waiter = fiber_self();
    CHECK(fiber_wait(DEADLINE_NONE) == OK);
    p->waiter = NULL;
}

/* Until `text` has come; takes all up to its end. */
SUSPENDS static inline void peer_until(struct peer *p, const char *text)
{
    str    needle = str_from_cstr(text);
    size_t at;

    while ((at = str_find_str(str_of(p->in, p->len), needle)) == STR_NONE) {
        if (p->end) {
            fprintf(stderr, "the peer ended (%s) before \"%s\"; there is: %.*s\n", err_text(p->end), text,
                    (int)(p->len < 2000 ? p->len : 2000), p->in);
            abort();
        }
        peer_wait(p);
    }
    peer_take(p, at + needle.len);
}

/* Until exactly this has come, and takes it. */
SUSPENDS static inline void peer_expect(struct peer *p, str bytes)
{
    while (p->len < bytes.len && !p->end)
        peer_wait(p);
    CHECK(p->len >= bytes.len);
    CHECK(memcmp(p->in, bytes.ptr, bytes.len) == 0);
    peer_take(p, bytes.len);
}

/* Until the other side has closed. What has come is there. */
SUSPENDS static inline void peer_until_end(struct peer *p)
{
    while (!p->end)
        peer_wait(p);
}

SUSPENDS static inline void peer_close(struct peer *p)
{
    stream_close(&p->stream);
    while (!p->closed)
        peer_wait(p);
    free(p->in);
    p->in = NULL;
    p->len = p->cap = 0;
}

/* Closes hard: the other side sees a reset. */
SUSPENDS static inline void peer_reset(struct peer *p)
{
    struct linger hard = { .l_onoff = 1 };
    uv_os_fd_t    fd;

    CHECK(uv_fileno((uv_handle_t *)p->stream.handle, &fd) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
    peer_close(p);
}

static inline struct address loopback(void)
{
    struct address a;

    CHECK(address_parse(S("127.0.0.1:0"), &a));
    return a;
}

#endif
