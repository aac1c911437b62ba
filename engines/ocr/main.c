/* main.c - dashbox-ocr: reads the text in pictures for the server, in a process that can do nothing else.
 *
 * It is started by src/engine/ocr with its end of a pair of sockets as descriptor 3 and speaks in whole messages:
 *
 *      engine: {"ready":true,"sandbox":true,"languages":"eng+chi_sim"}     once
 *      server: read 640 480         and as a descriptor a file that has rows of RGB, a byte each, from its beginning
 *      engine: {"text":"Hello","box":[12,40,210,32],"confidence":96}       each line of text, from the top
 *      engine: {"done":true,"cpu_us":213000}
 *
 * one picture at a time, until the other end is closed. Pixels only: the media engine has decoded them. Tesseract reads its models
 * before the sandbox is entered (engines/sandbox), and opens nothing afterwards. Its OpenMP has one thread, which the
 * environment that the server gives must say (OMP_THREAD_LIMIT=1): the sandbox makes none.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/num.h"
#include "base/utf8.h"
#include "contract/json.h"
#include "engines/sandbox/sandbox.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <tesseract/capi.h>
#include <time.h>
#include <unistd.h>

#define CHANNEL     3
#define MEMORY_MAX  ((uint64_t)1536 * 1024 * 1024)
#define CPU_MAX_S   600
#define FD_COUNT    (CHANNEL + 6) /* standard streams, the channel, a picture, and what libraries have open */
#define SIDE_MAX    INT64_C(4096)
#define SIDE_SMALL  1024 /* a picture below it is doubled: letters of less than 20 pixels are read badly */
#define MESSAGE_MAX ((size_t)8192)
#define LINES_MAX   1000
#define TEXT_MAX    ((size_t)1200) /* bytes: escaped, it still fits into a message */
#define RESOLUTION  150            /* pixels an inch, when nobody knows: else each picture's is guessed aloud */
#define CONFIDENT   50             /* of 100: below it nothing is read out of leaves and bricks */

static TessBaseAPI *tesseract;

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

static int64_t cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* ---- a picture ---- */

struct picture {
    unsigned char *rgb;
    int            width, height, scale; /* `scale` times the sides of the file */
};

/* Each pixel four times. */
static unsigned char *doubled(const unsigned char *rgb, int width, int height)
{
    unsigned char *big = xcalloc(4 * (size_t)width * (size_t)height, 3);

    for (int y = 0; y < 2 * height; y++)
        for (int x = 0; x < 2 * width; x++)
            memcpy(big + 3 * ((size_t)y * 2 * (size_t)width + (size_t)x),
                   rgb + 3 * ((size_t)(y / 2) * (size_t)width + (size_t)(x / 2)), 3);
    return big;
}

static bool picture_read(int fd, int64_t width, int64_t height, struct picture *ret)
{
    size_t         bytes = 3 * (size_t)width * (size_t)height;
    unsigned char *rgb = xcalloc(bytes, 1);

    if (pread(fd, rgb, bytes, 0) != (ssize_t)bytes) {
        free(rgb);
        return false;
    }
    *ret = (struct picture){ .rgb = rgb, .width = (int)width, .height = (int)height, .scale = 1 };
    if (width <= SIDE_SMALL && height <= SIDE_SMALL) {
        ret->rgb = doubled(rgb, ret->width, ret->height);
        free(rgb);
        ret->width *= 2;
        ret->height *= 2;
        ret->scale = 2;
    }
    return true;
}

/* Specks are read as punctuation: a line has a letter or a digit, or a character beyond ASCII. */
static bool says_something(str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c >= 0x80)
            return true;
    }
    return false;
}

static bool tell_line(struct arena *a, TessResultIterator *at, int scale)
{
    char      *text = TessResultIteratorGetUTF8Text(at, RIL_TEXTLINE);
    double     confidence = (double)TessResultIteratorConfidence(at, RIL_TEXTLINE);
    str        line = text ? str_trim(str_from_cstr(text)) : (str){ 0 };
    int        left, top, right, bottom;
    struct buf b;
    bool       told = true;

    line = str_first(line, utf8_cut(line, min_size(line.len, TEXT_MAX)));
    if (confidence >= CONFIDENT && says_something(line) &&
        TessPageIteratorBoundingBox(TessResultIteratorGetPageIteratorConst(at), RIL_TEXTLINE, &left, &top, &right,
                                    &bottom)) {
        buf_init(&b, a, MESSAGE_MAX);
        buf_add(&b, S("{\"text\":"));
        json_add_str(&b, line);
        buf_addf(&b, ",\"box\":[%d,%d,%d,%d],\"confidence\":%d}", left / scale, top / scale, (right - left) / scale,
                 (bottom - top) / scale, (int)confidence);
        told = reply(&b);
    }
    TessDeleteText(text);
    return told;
}

/* False when the other end is gone. */
static bool tell_lines(struct arena *a, const struct picture *p)
{
    TessResultIterator *at;
    bool                told = true;

    TessBaseAPISetImage(tesseract, p->rgb, p->width, p->height, 3, 3 * p->width);
    TessBaseAPISetSourceResolution(tesseract, RESOLUTION);
    if (TessBaseAPIRecognize(tesseract, NULL) == 0) {
        at = TessBaseAPIGetIterator(tesseract);
        for (int n = 0; at && told && n < LINES_MAX; n++) {
            told = tell_line(a, at, p->scale);
            if (!TessResultIteratorNext(at, RIL_TEXTLINE))
                break;
        }
        TessResultIteratorDelete(at);
    }
    TessBaseAPIClear(tesseract);
    return told;
}

static bool serve_one(struct arena *a)
{
    char           text[64];
    size_t         len;
    int            fd;
    int64_t        width = 0, height = 0, begun_us;
    struct picture p = { 0 };
    str            rest, verb, number;
    struct buf     b;
    bool           told;

    if (!receive(text, sizeof(text), &len, &fd))
        return false;
    begun_us = cpu_us();
    rest = str_of(text, len);
    verb = str_cut(&rest, ' ');
    number = str_cut(&rest, ' ');
    if (fd < 0 || !str_eq(verb, S("read")) || !str_to_i64(number, &width) || !str_to_i64(rest, &height) || width <= 0 ||
        height <= 0 || width > SIDE_MAX || height > SIDE_MAX || !picture_read(fd, width, height, &p)) {
        fprintf(stderr, "dashbox-ocr: not a request: %.*s\n", STR_ARG(str_of(text, len)));
        return false;
    }
    close(fd);
    told = tell_lines(a, &p);
    free(p.rgb);
    buf_init(&b, a, MESSAGE_MAX);
    json_add_count(&b, S("{\"done\":true,\"cpu_us\":"), cpu_us() - begun_us);
    buf_add_char(&b, '}');
    return told && reply(&b);
}

/* The models that are installed, of those that are looked for; what loads late is loaded with a picture of nothing. */
static const char *begin(void)
{
    static const char *const languages[] = { "eng+chi_sim", "eng", "chi_sim" };
    static unsigned char     nothing[3 * 64 * 64];

    memset(nothing, 255, sizeof(nothing));
    for (size_t i = 0; i < ARRAY_LEN(languages); i++) {
        tesseract = TessBaseAPICreate();
        (void)TessBaseAPISetVariable(tesseract, "debug_file", "/dev/null");
        if (TessBaseAPIInit3(tesseract, NULL, languages[i]) == 0) {
            TessBaseAPISetPageSegMode(tesseract, PSM_AUTO);
            (void)TessBaseAPISetVariable(tesseract, "preserve_interword_spaces",
                                         "1"); /* else there are some between Chinese characters */
            TessBaseAPISetImage(tesseract, nothing, 64, 64, 3, 3 * 64);
            TessBaseAPISetSourceResolution(tesseract, RESOLUTION);
            (void)TessBaseAPIRecognize(tesseract, NULL);
            TessBaseAPIClear(tesseract);
            return languages[i];
        }
        TessBaseAPIDelete(tesseract);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct sandbox_limits limits = {
        .program = "dashbox-ocr", .memory_bytes = MEMORY_MAX, .cpu_s = CPU_MAX_S, .fd_count = FD_COUNT
    };
    struct arena arena;
    struct buf   b;
    const char  *languages, *lacks;
    int          type;
    socklen_t    len = sizeof(type);

    (void)argv;
    if (argc != 1 || getsockopt(CHANNEL, SOL_SOCKET, SO_TYPE, &type, &len) || type != SOCK_SEQPACKET) {
        fputs("dashbox-ocr is started by dashbox, which reads the text in pictures with it\n", stderr);
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    arena_init(&arena, 0);
    buf_init(&b, &arena, MESSAGE_MAX);
    languages = begin();
    if (!languages) {
        buf_add(&b, S("{\"ready\":false}"));
        (void)reply(&b);
        return 1;
    }
    lacks = sandbox_enter(&limits);
    buf_addf(&b, "{\"ready\":true,\"sandbox\":%s,\"languages\":\"%s\"}", lacks ? "false" : "true", languages);
    if (!reply(&b))
        _exit(1);
    do {
        arena_reset(&arena);
    } while (serve_one(&arena));
    _exit(0); /* without what libraries do at their end */
}
