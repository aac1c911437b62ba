/* ws_load.c - keeps WebSocket connections of an echo server busy: each has DEPTH messages under way.
 *
 *   ws_load PORT CONNECTIONS DEPTH MESSAGE-BYTES SECONDS      prints {"messages":N,"us":N}; a wrong echo is a failure
 */
#include "base/clock.h"
#include "base/num.h"
#include "net/ws.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, READ = 256 * 1024 };

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "ws_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

struct conn {
    int       fd;
    struct ws in;
};

static struct conn  conns[CONNECTIONS_MAX];
static struct arena arena;
static struct buf   frame, frames; /* DEPTH of it */
static size_t       size;

/* So many messages in one write. The same bytes each time: what is measured is the server. */
static void send_messages(struct conn *c, int64_t count)
{
    size_t len = (size_t)count * frame.len;

    for (size_t at = 0; at < len;) {
        ssize_t n = write(c->fd, frames.ptr + at, len - at);

        if (n <= 0)
            die("write");
        at += (size_t)n;
    }
}

static void connect_to(struct conn *c, uint16_t port)
{
    struct sockaddr_in at = { .sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    static const char  head[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    char               got[1024];
    size_t             len = 0;
    int                one = 1;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof(at)) ||
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)))
        die("connect");
    if (write(c->fd, head, sizeof(head) - 1) != (ssize_t)sizeof(head) - 1)
        die("write");
    while (str_find_str(str_of(got, len), S("\r\n\r\n")) == STR_NONE) {
        ssize_t n = len < sizeof(got) ? read(c->fd, got + len, 1) : 0;

        if (n <= 0)
            die("handshake");
        len += (size_t)n;
    }
    if (!str_starts(str_of(got, len), S("HTTP/1.1 101")))
        die("handshake");
    ws_init(&c->in, WS_CLIENT, &arena, size);
}

/* How many messages came back. */
static int64_t take(struct conn *c)
{
    static char       bytes[READ];
    ssize_t           n = read(c->fd, bytes, sizeof(bytes));
    str               rest = str_of(bytes, n > 0 ? (size_t)n : 0);
    struct ws_message m;
    size_t            used;
    int64_t           count = 0;

    if (n <= 0)
        die("read");
    while (rest.len) {
        if (ws_feed(&c->in, rest, &used, &m) ||
            (m.opcode != WS_NONE && (m.opcode != WS_BINARY || m.payload.len != size)))
            die("a wrong answer");
        rest = str_from(rest, used);
        if (m.opcode == WS_NONE)
            continue;
        count++;
    }
    send_messages(c, count);
    return count;
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    int64_t            numbers[5], messages = 0, begun, end;
    int                poll = epoll_create1(EPOLL_CLOEXEC);

    if (argc != 6)
        return 2;
    for (int i = 0; i < 5; i++)
        if (!str_to_i64(str_from_cstr(argv[i + 1]), &numbers[i]) || numbers[i] <= 0)
            return 2;
    if (numbers[1] > CONNECTIONS_MAX)
        return 2;
    size = (size_t)numbers[3];
    arena_init(&arena, 0);
    buf_init(&frame, &arena, SIZE_MAX / 2);
    ws_add(&frame, WS_CLIENT, WS_BINARY, str_of(arena_bytes(&arena, size), size));
    buf_init(&frames, &arena, SIZE_MAX / 2);
    for (int64_t i = 0; i < numbers[2]; i++)
        buf_add(&frames, buf_str(&frame));
    for (int64_t i = 0; i < numbers[1]; i++) {
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = &conns[i] };

        connect_to(&conns[i], (uint16_t)numbers[0]);
        if (epoll_ctl(poll, EPOLL_CTL_ADD, conns[i].fd, &e))
            die("epoll_ctl");
        send_messages(&conns[i], numbers[2]);
    }
    begun = clock_mono_us();
    end = begun + numbers[4] * 1000000;
    while (clock_mono_us() < end) {
        int n = epoll_wait(poll, events, ARRAY_LEN(events), 100);

        for (int i = 0; i < n; i++)
            messages += take(events[i].data.ptr);
    }
    printf("{\"messages\":%lld,\"us\":%lld}\n", (long long)messages, (long long)(clock_mono_us() - begun));
    return 0;
}
