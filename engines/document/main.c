/* main.c - dashbox-document: reads the text of documents for the server, in a process that can do nothing else.
 *
 * It is started by src/engine/document with its end of a pair of sockets as descriptor 3 and speaks in whole messages:
 *
 *      engine: {"ready":true,"sandbox":true}                        once
 *      server: out                             and a file that is written: the text
 *      server: read 48213 67108864 15000 md    and the document: its bytes, the most bytes of text, the most pages, and
 *                                              what its name ends with ("-": nothing)
 *      engine: {"verdict":"ok","format":"markdown","pages":0,"text_bytes":47002,"error":"","cpu_us":311}
 *
 * one document at a time, until the other end is closed. The document is mapped, not read: where it is cut meanwhile, this process dies
 * of it. How long it may take is the server's business; memory and processor time are limited here (engines/sandbox). The only files that
 * it can open are poppler's tables of characters, where they are installed (poppler-data).
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/num.h"
#include "contract/json.h"
#include "engines/document/reading.h"
#include "engines/sandbox/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL    3
#define MEMORY_MAX ((uint64_t)1536 * 1024 * 1024)
#define CPU_MAX_S  600
#define FD_COUNT \
    (CHANNEL + 6) /* standard streams, the channel, a document and its text, and what libraries have open */
#define FILE_MAX    ((uint64_t)1024 * 1024 * 1024)
#define MESSAGE_MAX ((size_t)8192)
#define ERROR_MAX   ((size_t)400)
#define TABLES      "/usr/share/poppler"

static bool reply(struct buf *b)
{
    return send(CHANNEL, b->ptr, b->len, MSG_NOSIGNAL) == (ssize_t)b->len;
}

/* False when the other end is closed. *ret_fd is -1 when no file came. */
static bool receive(char *text, size_t cap, size_t *ret_len, int *ret_fd)
{
    union {
        struct cmsghdr align;
        char           bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec  part = { .iov_base = text, .iov_len = cap };
    struct msghdr m = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes)
    };
    struct cmsghdr *head;
    ssize_t         n;

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

/* ---- a document ---- */

struct request {
    int64_t bytes, text_max, page_max;
    str     extension;
};

static bool request_read(str text, struct request *ret)
{
    str verb = str_cut(&text, ' '), bytes = str_cut(&text, ' '), text_max = str_cut(&text, ' '),
        page_max = str_cut(&text, ' ');

    ret->extension = text;
    return str_eq(verb, S("read")) && str_to_i64(bytes, &ret->bytes) && ret->bytes >= 0 &&
           str_to_i64(text_max, &ret->text_max) && ret->text_max > 0 && str_to_i64(page_max, &ret->page_max) &&
           ret->page_max > 0;
}

/* NULL: it cannot be. Nothing is at a place of its own. */
static const char *map(int fd, size_t bytes)
{
    void *at = bytes ? mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0) : "";

    return at == MAP_FAILED ? NULL : at;
}

static enum document_verdict judge(struct reading *r)
{
    enum document_verdict v = reading_run(r);

    out_flush(r->out);
    if (r->out->failed)
        return reading_fails(r, DOCUMENT_LARGE, "the text cannot be written");
    if (v == DOCUMENT_OK && r->out->full)
        return reading_fails(r, DOCUMENT_LARGE, "the text is too long");
    return v == DOCUMENT_OK && !r->out->letters ? DOCUMENT_BLANK : v;
}

static void answer(struct buf *b, const struct reading *r, enum document_verdict v)
{
    buf_addf(b, "{\"verdict\":\"%s\",\"format\":\"%s\"", document_verdict_name(v), document_format_name(r->format));
    json_add_count(b, S(",\"pages\":"), r->pages);
    json_add_count(b, S(",\"text_bytes\":"), v == DOCUMENT_OK ? r->out->len : 0);
    buf_add(b, S(",\"error\":"));
    json_add_str(b, str_first(str_from_cstr(r->error), ERROR_MAX));
}

static bool serve_one(struct arena *a)
{
    static struct out out;
    char              text[64];
    size_t            len;
    int               fd, out_fd;
    int64_t           begun_us;
    struct request    q = { 0 };
    struct reading    r = { .arena = a, .out = &out };
    const char       *bytes = NULL;
    struct buf        b;

    if (!receive(text, sizeof(text), &len, &out_fd))
        return false;
    if (out_fd < 0 || !str_eq(str_of(text, len), S("out")) || !receive(text, sizeof(text), &len, &fd))
        return false;
    begun_us = cpu_us();
    if (fd >= 0 && request_read(str_of(text, len), &q))
        bytes = map(fd, (size_t)q.bytes);
    if (!bytes) {
        fprintf(stderr, "dashbox-document: not a request: %.*s\n", STR_ARG(str_of(text, len)));
        return false;
    }
    r.bytes = str_of(bytes, (size_t)q.bytes);
    r.extension = q.extension;
    r.page_max = q.page_max;
    out_init(&out, out_fd, q.text_max);
    buf_init(&b, a, MESSAGE_MAX);
    answer(&b, &r, judge(&r));
    if (q.bytes)
        munmap((void *)bytes, (size_t)q.bytes);
    close(fd);
    close(out_fd);
    json_add_count(&b, S(",\"cpu_us\":"), cpu_us() - begun_us);
    buf_add_char(&b, '}');
    return reply(&b);
}

int main(int argc, char **argv)
{
    static const char *const folders[] = { TABLES, NULL };
    struct sandbox_limits    limits = { "dashbox-document", MEMORY_MAX, CPU_MAX_S, FD_COUNT, FILE_MAX, NULL };
    struct arena             arena;
    struct buf               b;
    const char              *lacks;
    int                      type;
    socklen_t                len = sizeof(type);

    (void)argv;
    if (argc != 1 || getsockopt(CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET) {
        fputs("dashbox-document is started by dashbox, which reads documents with it\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    reading_begin();
    if (access(TABLES, R_OK) == 0)
        limits.folders = folders;
    lacks = sandbox_enter(&limits);
    arena_init(&arena, 0);
    buf_init(&b, &arena, MESSAGE_MAX);
    buf_addf(&b, "{\"ready\":true,\"sandbox\":%s}", lacks ? "false" : "true");
    if (!reply(&b))
        _exit(1);
    do {
        arena_reset(&arena);
    } while (serve_one(&arena));
    _exit(0); /* without what libraries do at their end */
}
