/* channel.c - messages to a child, on libuv's look at a descriptor. */
#include "loop/channel.h"

#include "base/arena.h"
#include "loop/loop_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct channel {
    uv_poll_t     uv;
    struct loop  *loop;
    struct fiber *waiter;
    int           fd;
    bool          woken; /* something has come, or the other side has gone */
};

static void on_closed(uv_handle_t *handle)
{
    free(CONTAINER_OF((uv_poll_t *)handle, struct channel, uv));
}

static void on_readable(uv_poll_t *uv, int status, int events)
{
    struct channel *c = CONTAINER_OF(uv, struct channel, uv);

    (void)status, (void)events; /* recvmsg() says what it is */
    loop_turn(c->loop);
    c->woken = true;
    uv_poll_stop(uv);
    fiber_wake(c->waiter);
    loop_run_ready(c->loop);
}

enum err channel_open(struct loop *l, struct channel **ret, int *ret_other)
{
    struct channel *c;
    int             pair[2];
    int             r;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return ERR_IO;
    c = xcalloc(1, sizeof(*c));
    c->loop = l;
    c->fd = pair[0];
    r = uv_poll_init(&l->uv, &c->uv, c->fd); /* makes it non-blocking: the child's end stays as it is */
    if (r) {
        close(pair[0]);
        close(pair[1]);
        free(c);
        return loop_err(r);
    }
    *ret = c;
    *ret_other = pair[1];
    return OK;
}

enum err channel_send(struct channel *c, str message, int fd)
{
    union {
        struct cmsghdr align;
        char           bytes[CMSG_SPACE(sizeof(int))];
    } control = { .bytes = { 0 } };
    struct iovec  part = { .iov_base = (void *)(uintptr_t)message.ptr, .iov_len = message.len };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    ssize_t       n;

    ASSERT(message.len > 0 && message.len <= CHANNEL_MESSAGE_MAX);
    if (fd >= 0) {
        struct cmsghdr *head;

        m.msg_control = control.bytes;
        m.msg_controllen = sizeof(control.bytes);
        head = CMSG_FIRSTHDR(&m);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(head), &fd, sizeof(fd));
    }
    do {
        n = sendmsg(c->fd, &m, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    if (n >= 0)
        return OK;
    if (errno == EPIPE || errno == ECONNRESET)
        return ERR_EOF;
    return errno == EAGAIN ? ERR_LIMIT : ERR_IO;
}

/* ERR_NOT_FOUND: nothing is there yet. Descriptors that the other side sends are not taken. */
static enum err take(struct channel *c, char *into, size_t cap, size_t *ret_len)
{
    struct iovec  part = { .iov_base = into, .iov_len = cap };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    ssize_t       n;

    do {
        n = recvmsg(c->fd, &m, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return ERR_NOT_FOUND;
    if (n < 0)
        return errno == ECONNRESET ? ERR_EOF : ERR_IO;
    if (n == 0)
        return ERR_EOF;
    if (m.msg_flags & MSG_TRUNC)
        return ERR_LIMIT;
    *ret_len = (size_t)n;
    return OK;
}

enum err channel_receive(struct channel *c, char *into, size_t cap, int64_t deadline_us, size_t *ret_len)
{
    enum err e;

    might_suspend();
    ASSERT(!c->waiter);
    while ((e = take(c, into, cap, ret_len)) == ERR_NOT_FOUND) {
        c->woken = false;
        c->waiter = fiber_self();
        if (uv_poll_start(&c->uv, UV_READABLE | UV_DISCONNECT, on_readable)) {
            c->waiter = NULL;
            return ERR_IO;
        }
        e = OK;
        while (!c->woken && !e)
            e = fiber_wait(deadline_us);
        c->waiter = NULL;
        uv_poll_stop(&c->uv);
        if (e && !c->woken)
            return e;
    }
    return e;
}

void channel_close(struct channel *c)
{
    if (!c)
        return;
    ASSERT(!c->waiter);
    uv_close((uv_handle_t *)&c->uv, on_closed); /* looks at the descriptor no more */
    close(c->fd);
}
