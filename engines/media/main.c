/* main.c - dashbox-media: looks into images, videos and audio for the server, in a process that can do nothing else.
 *
 * It is started by src/engine/media with its end of a pair of sockets as descriptor 3 and speaks in whole messages:
 *
 *      engine: {"ready":true,"sandbox":true,"libavformat":"59.27.100"}      once
 *      server: inspect 48213        and the file of that many bytes as a descriptor
 *      engine: {"kind":"image","format":"png",…}                            inspect.h
 *
 *      server: in 48213             and a file that is read; none, or up to RENDER_FILES_MAX
 *      server: out                  and the file that is written
 *      server: render 61            and a file of that many bytes that is the request
 *      engine: {"kind":"image","format":"png",…} or {"failed":"…"}          render.h
 *
 * one thing at a time, until the other end is closed. A file is only read at places (pread): its offset is the server's.
 * How long it may take is the server's business as well; memory and processor time are limited here (engines/sandbox).
 */
#include "draw.h"
#include "engines/sandbox/sandbox.h"
#include "inspect.h"
#include "render.h"

#include <errno.h>
#include <libavformat/version.h>
#include <libavutil/log.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL     3
#define MESSAGE_MAX ((size_t)8192)
#define MEMORY_MAX  ((uint64_t)1536 * 1024 * 1024)
#define CPU_MAX_S   600

#define FILE_MAX    ((uint64_t)512 * 1024 * 1024) /* of what it writes */
#define REQUEST_MAX ((int64_t)1024 * 1024)

/* Standard streams, the channel, and the files of one request: there is no number left for another. */
#define FD_COUNT (CHANNEL + 1 + RENDER_FILES_MAX + 2)

static bool reply(struct buf *b)
{
    str text = buf_str(b);

    return send(CHANNEL, text.ptr, text.len, MSG_NOSIGNAL) == (ssize_t)text.len;
}

/* False when the other end is closed. *ret_fd is −1 when no file came. */
static bool receive(char *text, size_t cap, size_t *ret_len, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char           bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec    part = { .iov_base = text, .iov_len = cap };
    struct msghdr   m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes };
    struct cmsghdr *head;
    ssize_t         n;

    m.msg_controllen = sizeof(control.bytes);
    do {
        n = recvmsg(CHANNEL, &m, 0);
    } while (n < 0 && errno == EINTR);
    if (n <= 0)
        return false;
    *ret_len = (size_t)n;
    *ret_fd = -1;
    head = CMSG_FIRSTHDR(&m);
    if (head && head->cmsg_level == SOL_SOCKET && head->cmsg_type == SCM_RIGHTS)
        memcpy(ret_fd, CMSG_DATA(head), sizeof(*ret_fd));
    return true;
}

/* Of the one thread: under RLIMIT_CPU the clock of the process moves in ticks. */
static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* What has come of a request that is not whole yet. */
static struct {
    struct render_file in[RENDER_FILES_MAX];
    size_t             in_count;
    int                out; /* −1: none yet */
} job = { .out = -1 };

static void job_end(void)
{
    for (size_t i = 0; i < job.in_count; i++)
        close(job.in[i].fd);
    if (job.out >= 0)
        close(job.out);
    job.in_count = 0;
    job.out = -1;
}

static bool render_one(int fd, int64_t bytes, struct arena *a, struct buf *b)
{
    char *text;

    if (job.out < 0 || bytes > REQUEST_MAX)
        return false;
    text = arena_bytes(a, (size_t)bytes);
    if (pread(fd, text, (size_t)bytes, 0) != bytes)
        return false;
    render(str_of(text, (size_t)bytes), job.in, job.in_count, job.out, a, b);
    job_end();
    return true;
}

static bool serve_one(struct arena *a)
{
    char       text[64];
    size_t     len;
    int        fd;
    int64_t    bytes = 0, begun_us;
    str        rest, verb;
    struct buf b;

    if (!receive(text, sizeof(text), &len, &fd))
        return false;
    begun_us = cpu_us();
    rest = str_of(text, len);
    verb = str_cut(&rest, ' ');
    buf_init(&b, a, MESSAGE_MAX);
    if (fd < 0 || (rest.len && (!str_to_i64(rest, &bytes) || bytes < 0))) {
        fprintf(stderr, "dashbox-media: not a request: %.*s\n", STR_ARG(str_of(text, len)));
        return false;
    }
    if (str_eq(verb, S("in")) && job.in_count < RENDER_FILES_MAX) {
        job.in[job.in_count++] = (struct render_file){ fd, bytes };
        return true;
    }
    if (str_eq(verb, S("out")) && job.out < 0) {
        job.out = fd;
        return true;
    }
    if (str_eq(verb, S("inspect")))
        inspect(fd, bytes, &b);
    else if (!str_eq(verb, S("render")) || !render_one(fd, bytes, a, &b))
        return false;
    close(fd);
    json_add_count(&b, S(",\"cpu_us\":"), cpu_us() - begun_us);
    buf_add_char(&b, '}');
    return reply(&b);
}

int main(int argc, char **argv)
{
    static const struct sandbox_limits limits = { "dashbox-media", MEMORY_MAX, CPU_MAX_S, FD_COUNT, FILE_MAX };
    struct arena                       arena;
    struct buf                         b;
    const char                        *lacks;
    int                                type;
    socklen_t                          len = sizeof(type);

    (void)argv;
    if (argc != 1 || getsockopt(CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET) {
        fputs("dashbox-media is started by dashbox, which looks into files with it: see dashbox inspect\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    inspect_begin();
    (void)draw_begin(); /* without a font texts are left out */
    lacks = sandbox_enter(&limits);
    arena_init(&arena, 0);
    buf_init(&b, &arena, MESSAGE_MAX);
    buf_addf(&b, "{\"ready\":true,\"sandbox\":%s,\"libavformat\":\"%s\"}", lacks ? "false" : "true",
             AV_STRINGIFY(LIBAVFORMAT_VERSION));
    if (!reply(&b))
        _exit(1);
    do {
        arena_reset(&arena);
    } while (serve_one(&arena));
    _exit(0); /* without what libraries do at their end */
}
