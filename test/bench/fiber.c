/* fiber.c - what fibers cost: one small server, once with callbacks and once with a fiber a request that suspends twice.
 *
 *   fiber [ROUNDS [REQUESTS]]
 *
 * Both read a head, look for its end, and send its first line back; both run on the same loop and the same streams. A
 * thread of clients on loopback keeps CLIENTS connections busy. What is compared is the CPU time of the server's thread a
 * request, so that neither the clients nor a busy machine count; rounds alternate, and medians are printed.
 */
#include "base/arena.h"
#include "base/num.h"
#include "loop/loop.h"
#include "loop/stream.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 64, ROUNDS_MAX = 100, SUSPENSIONS = 2 };

#define REQUEST                                                                                  \
    "POST /api/v1/services/aigc/text-generation/generation HTTP/1.1\r\nHost: 127.0.0.1:8420\r\n" \
    "Authorization: Bearer sk-00000000000000000000000000000000\r\nContent-Type: application/json\r\n\r\n"
#define BODY "POST /api/v1/services/aigc/text-generation/generation HTTP/1.1"

static void die(const char *what)
{
    fprintf(stderr, "fiber: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- the server ---- */

struct conn {
    struct stream stream;
    size_t        len;
    char          in[1024];
};

struct server {
    struct loop     *loop;
    struct listener *listener;
    struct address   address;
    void (*request)(struct conn *c);
    int64_t           cpu_ns;
    pthread_barrier_t ready;
};

static struct server server;

static void answer(struct conn *c)
{
    str  head = str_of(c->in, c->len), line = str_cut(&head, '\r');
    char fields[128];
    int  n = snprintf(fields, sizeof(fields),
                      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n", line.len);
    str  parts[] = { str_of(fields, (size_t)n), line };

    (void)stream_write(&c->stream, parts, 2); /* a client that has gone shows at the next read */
    c->len = 0;
}

static void on_read(struct stream *s, str bytes, enum err e)
{
    struct conn *c = CONTAINER_OF(s, struct conn, stream);

    if (e || bytes.len > sizeof(c->in) - c->len) {
        stream_close(s);
        return;
    }
    memcpy(c->in + c->len, bytes.ptr, bytes.len);
    c->len += bytes.len;
    if (str_find_str(str_of(c->in, c->len), S("\r\n\r\n")) != STR_NONE)
        server.request(c);
}

static void on_closed(struct stream *s)
{
    free(CONTAINER_OF(s, struct conn, stream));
}

static const struct stream_events events = { .on_read = on_read, .on_closed = on_closed };

static void on_accept(struct listener *ln, void *arg)
{
    struct conn *c = xcalloc(1, sizeof(*c));

    (void)arg;
    if (stream_accept(&c->stream, &events, ln))
        die("accept");
    stream_read_start(&c->stream);
}

/* A client has one request under way at a time, and stays until all are answered: `c` lives as long as the fiber. */
static void handle(void *arg)
{
    for (int i = 0; i < SUSPENSIONS; i++)
        (void)fiber_wait(DEADLINE_NONE); /* nobody cancels it */
    answer(arg);
}

/* As callbacks do: something has come, the fiber that waits for it is woken, and goes on. */
static void request_by_fiber(struct conn *c)
{
    struct fiber *f = fiber_start(server.loop, handle, c);

    for (int i = 0; i < SUSPENSIONS; i++) {
        loop_run_ready(server.loop);
        fiber_wake(f);
    }
}

static void finish(void *arg)
{
    (void)arg;
    listener_close(server.listener);
    loop_stop(server.loop);
}

static int64_t thread_cpu_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void *server_main(void *arg)
{
    struct address at;
    int64_t        begun;

    (void)arg;
    server.loop = loop_new();
    if (!address_parse(S("127.0.0.1:0"), &at) ||
        listener_open(server.loop, &at, CLIENTS, on_accept, NULL, &server.listener))
        die("listen");
    listener_address(server.listener, &server.address);
    pthread_barrier_wait(&server.ready);
    begun = thread_cpu_ns();
    loop_run(server.loop);
    server.cpu_ns = thread_cpu_ns() - begun;
    loop_free(server.loop);
    return NULL;
}

/* ---- the clients ---- */

static void send_request(int fd)
{
    if (send(fd, REQUEST, sizeof(REQUEST) - 1, MSG_NOSIGNAL) != sizeof(REQUEST) - 1)
        die("send");
}

static int client_open(int epoll)
{
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };

    if (fd < 0 || connect(fd, &server.address.sa, sizeof(server.address.in)) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
        die("connect");
    return fd;
}

/* An answer is small and comes in one piece. */
static void read_answer(int fd)
{
    char    text[512];
    ssize_t n = recv(fd, text, sizeof(text), 0);

    if (n <= 0 || !str_ends(str_of(text, (size_t)n), S(BODY)))
        die("answer");
}

static void run_clients(long requests)
{
    int  epoll = epoll_create1(EPOLL_CLOEXEC), fds[CLIENTS];
    long sent = 0, answered = 0;

    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = client_open(epoll);
        send_request(fds[i]);
        sent++;
    }
    while (answered < sent) {
        struct epoll_event ready[CLIENTS];
        int                n = epoll_wait(epoll, ready, CLIENTS, -1);

        for (int i = 0; i < n; i++) {
            read_answer(ready[i].data.fd);
            answered++;
            if (sent < requests) {
                send_request(ready[i].data.fd);
                sent++;
            }
        }
    }
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    close(epoll);
}

/* ---- rounds ---- */

/* Nanoseconds of the server's CPU a request. */
static double round_of(void (*request)(struct conn *c), long requests)
{
    pthread_t thread;

    server = (struct server){ .request = request };
    pthread_barrier_init(&server.ready, NULL, 2);
    if (pthread_create(&thread, NULL, server_main, NULL))
        die("thread");
    pthread_barrier_wait(&server.ready);
    run_clients(requests);
    loop_post(server.loop, finish, NULL);
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&server.ready);
    return (double)server.cpu_ns / (double)requests;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
    qsort(v, n, sizeof(*v), by_size);
    return (v[n / 2] + v[(n - 1) / 2]) / 2;
}

int main(int argc, char **argv)
{
    int64_t rounds = 61, requests = 8000; /* many short ones: a busy machine disturbs some of them */
    double  callbacks[ROUNDS_MAX], fibers[ROUNDS_MAX], ratios[ROUNDS_MAX], a, b;

    if ((argc > 1 && !str_to_i64(str_from_cstr(argv[1]), &rounds)) ||
        (argc > 2 && !str_to_i64(str_from_cstr(argv[2]), &requests)) || rounds < 1 || rounds > ROUNDS_MAX ||
        requests < CLIENTS) {
        fprintf(stderr, "usage: fiber [ROUNDS [REQUESTS]]\n");
        return 2;
    }
    (void)round_of(answer, requests / 4); /* to warm up */
    (void)round_of(request_by_fiber, requests / 4);
    for (int64_t i = 0; i < rounds; i++) {
        bool swapped = i & 1;

        a = round_of(swapped ? request_by_fiber : answer, requests);
        b = round_of(swapped ? answer : request_by_fiber, requests);
        callbacks[i] = swapped ? b : a;
        fibers[i] = swapped ? a : b;
        ratios[i] = fibers[i] / callbacks[i];
    }
    printf("CPU a request, %d connections, %lld rounds of %lld requests each\n", CLIENTS, (long long)rounds,
           (long long)requests);
    printf("  callbacks                        %6.0f ns\n", median(callbacks, (size_t)rounds));
    printf("  fibers, %d suspensions more       %6.0f ns\n", SUSPENSIONS, median(fibers, (size_t)rounds));
    a = median(ratios, (size_t)rounds);
    printf("  fibers / callbacks                 %.3f   goal 0.95 to 1.05: %s (rounds %.3f to %.3f)\n", a,
           a <= 1.05 ? "reached" : "missed", ratios[0], ratios[rounds - 1]);
    return 0;
}
