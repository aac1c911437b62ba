/* stream.h - a connection of bytes: TCP or a Unix socket.
 *
 * Bytes that arrive are handed to the owner's on_read in the loop's shared buffer: they are gone when it returns. Reading
 * can be paused, which is the back-pressure on the peer. Writing never blocks: what the kernel does not take at once is
 * kept, and a fiber that writes much calls stream_flush(), which suspends until the peer has taken it.
 *
 *      OPEN -- stream_close() --> CLOSING -- on_closed() --> gone
 *
 * The owner holds the struct and may free it in on_closed. After stream_close() no other callback comes.
 * Thread: one loop for life.
 */
#ifndef DASHBOX_LOOP_STREAM_H
#define DASHBOX_LOOP_STREAM_H

#include "base/str.h"
#include "loop/fiber.h"

#include <netinet/in.h>
#include <stdalign.h>
#include <sys/socket.h>

struct stream;

struct stream_events {
    /* `e` is OK with bytes, ERR_EOF when the peer has closed its side, or another error: then no more comes. */
    void (*on_read)(struct stream *s, str bytes, enum err e);
    void (*on_closed)(struct stream *s);
};

#define STREAM_HANDLE_SIZE 320 /* what libuv needs, and some room for a later version */

struct stream {
    alignas(max_align_t) char handle[STREAM_HANDLE_SIZE]; /* libuv's; stream.c knows what it is */
    const struct stream_events *events;
    struct loop                *loop;
    struct fiber               *writer; /* waits in stream_flush() */
    size_t                      queued; /* bytes that the kernel has not taken yet */
    enum err                    broken; /* a write has failed */
    bool                        reading, closing, closed;
};

/* Where to connect or listen: "127.0.0.1:8420", "[::1]:8420", "unix:/run/x.sock". */
struct address {
    union {
        struct sockaddr         sa;
        struct sockaddr_in      in;
        struct sockaddr_in6     in6;
        struct sockaddr_storage storage;
    };
    char path[108]; /* "" unless a Unix socket */
};

/* Numeric addresses only. */
bool address_parse(str text, struct address *ret);
/* "127.0.0.1:8420" into `text`, NUL-terminated. */
#define ADDRESS_TEXT_MAX 128
void address_format(const struct address *a, char text[ADDRESS_TEXT_MAX]);

/* Names are looked up off the loop. All addresses of the name, at most `max`. */
SUSPENDS enum err address_resolve(str host, uint16_t port, int64_t deadline_us, struct address *ret, size_t max,
                                  size_t *ret_count);

/* Connects. On success `s` is open; on failure it is closed and may go at once. */
SUSPENDS enum err stream_connect(struct stream *s, const struct stream_events *events, const struct address *to,
                                 int64_t deadline_us);

void stream_read_start(struct stream *s);
void stream_read_stop(struct stream *s);

/* Sends the parts in order. They are copied when the kernel does not take them at once. */
enum err stream_write(struct stream *s, const str *parts, size_t count);

/* Until at most `left` bytes wait to be taken. ERR_EOF when the peer has gone, ERR_TIMEOUT at the deadline. */
SUSPENDS enum err stream_flush(struct stream *s, size_t left, int64_t deadline_us);

/* Bytes that wait to be taken, to the last one: falls also while a long write is under way. */
size_t stream_unsent(const struct stream *s);

/* Says that no more will be sent, once what waits has been taken. */
void stream_shutdown(struct stream *s);

void stream_close(struct stream *s);

/* ---- listening ---- */

struct listener;

/* Whether somebody listens there. Listeners of one process share their port (SO_REUSEPORT), and so would those of a second
 * process that was started by mistake. A Unix socket is taken when a server answers there. */
bool address_taken(const struct address *at);

/* ERR_EXISTS: the path of a Unix socket is something else. on_accept gets a connection that it takes with
 * stream_accept(), once, at once. */
enum err listener_open(struct loop *l, const struct address *at, int backlog,
                       void (*on_accept)(struct listener *ln, void *arg), void *arg, struct listener **ret);
enum err stream_accept(struct stream *s, const struct stream_events *events, struct listener *ln);
/* "127.0.0.1:51234" of the other side, "" for a Unix socket. */
void stream_peer(const struct stream *s, char text[ADDRESS_TEXT_MAX]);

/* The address really bound (a port 0 has become a number). */
void listener_address(const struct listener *ln, struct address *ret);
/* Stops listening and frees itself. */
void listener_close(struct listener *ln);

#endif
