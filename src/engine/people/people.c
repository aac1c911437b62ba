/* people.c - pictures go to the children of a pool through memory that both share: Node.js cannot take a descriptor with each. */
#include "engine/people/people.h"

#include "base/log.h"
#include "contract/json.h"
#include "engine/pool/pool.h"
#include "engine/pool/program.h"
#include "loop/loop.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define RETIRE_CPU_MS ((int64_t)300 * 1000) /* it ends itself at 900 s (launch.c) */

struct people {
    struct loop *loop;
    struct pool *pool;
    int64_t      detect_ms;
    int         *pixels; /* of each place in the pool: memory that we write and the child reads; -1: none yet */
    size_t       places;
    bool         told; /* the log knows of the sandbox */
};

/* ---- where it is ---- */

enum err people_program(struct arena *a, const char **ret)
{
    return pool_program(a, "people", ret);
}

/* ---- a child ---- */

static enum err pixels_open(int *ret)
{
    int fd = memfd_create("pixels", MFD_CLOEXEC);

    if (fd < 0)
        return ERR_IO;
    *ret = fd;
    return OK;
}

static enum err greet(void *arg, struct pool_child *c)
{
    struct people *p = arg;
    int           *pixels = &p->pixels[pool_child_place(c)];
    char           path[64];
    int            readable;
    enum err       e = *pixels < 0 ? pixels_open(pixels) : OK;

    if (e)
        return e;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", *pixels);
    readable = open(path, O_RDONLY | O_CLOEXEC); /* it cannot write to it */
    if (readable < 0)
        return ERR_IO;
    e = channel_send(pool_child_channel(c), S("pixels"), readable);
    close(readable);
    return e;
}

static enum err hear_ready(void *arg, str message)
{
    struct people *p = arg;
    struct arena   a;
    yyjson_val    *root;
    bool           ready;
    str            lacks;

    arena_init(&a, 0);
    root = json_parse_copy(&a, message);
    ready = yyjson_is_true(json_get(root, "ready"));
    lacks = json_str(json_get(root, "lacks"));
    if (!ready)
        log_warn("people engine: %.*s; are its npm packages installed? (./dev build, or npm ci in its folder)",
                 STR_ARG(json_str(json_get(root, "error"))));
    else if (lacks.len && !p->told)
        log_warn("people engine: this system has no %.*s for it", STR_ARG(lacks));
    p->told = p->told || ready;
    arena_free(&a);
    return ready ? OK : ERR_PROTOCOL;
}

enum err people_open(struct loop *l, const struct people_options *o, struct people **ret)
{
    struct people      *p = xcalloc(1, sizeof(*p));
    const char         *path = getenv("PATH"), *env[2] = { NULL };
    struct pool_options po = {
        .name = "people engine", .program = o->program, .env = env, .greet = greet, .ready = hear_ready
    };
    struct arena a;
    enum err     e = OK;

    arena_init(&a, 0);
    p->loop = l;
    p->places = o->process_max ? o->process_max : 1;
    p->detect_ms = o->detect_ms ? o->detect_ms : 30000;
    p->pixels = xcalloc(p->places, sizeof(*p->pixels));
    for (size_t i = 0; i < p->places; i++)
        p->pixels[i] = -1;
    po.arg = p;
    po.process_max = p->places;
    po.queue_max = o->queue_max ? o->queue_max : 64;
    po.start_ms = o->start_ms ? o->start_ms : 30000;
    po.backoff_ms = o->backoff_ms ? o->backoff_ms : 1000;
    po.idle_ms = o->idle_ms ? o->idle_ms : 300 * 1000;
    po.retire_cpu_ms = RETIRE_CPU_MS;
    if (path)
        env[0] = arena_printf(&a, "PATH=%s", path).ptr; /* where Node.js is looked for */
    if (!po.program)
        e = people_program(&a, &po.program);
    if (!e)
        e = pool_open(l, &po, &p->pool);
    arena_free(&a);
    if (e) {
        people_close(p);
        return e;
    }
    *ret = p;
    return OK;
}

/* ---- a picture ---- */

static enum err pixels_copy(int from, int to, int64_t bytes)
{
    off_t at = 0;

    if (ftruncate(to, bytes) || lseek(to, 0, SEEK_SET))
        return ERR_IO;
    while (at < bytes) {
        if (sendfile(to, from, &at, (size_t)(bytes - at)) <= 0)
            return ERR_IO;
    }
    return OK;
}

static SUSPENDS enum err child_ask(struct people *p, struct pool_child *c, int64_t width, int64_t height,
                                   struct arena *a, struct people_facts *ret)
{
    char     text[CHANNEL_MESSAGE_MAX];
    size_t   len;
    int64_t  deadline_us = loop_now_us(p->loop) + p->detect_ms * 1000;
    bool     done = false;
    enum err e = channel_send(pool_child_channel(c),
                              arena_printf(a, "detect %lld %lld", (long long)width, (long long)height), -1);

    while (!e && !done) {
        e = channel_receive(pool_child_channel(c), text, sizeof(text), deadline_us, &len);
        if (!e)
            e = people_facts_read(a, str_of(text, len), ret, &done);
    }
    return e == ERR_EOF ? ERR_IO : e == ERR_LIMIT ? ERR_PROTOCOL : e;
}

SUSPENDS enum err people_detect(struct people *p, int pixels_fd, int64_t width, int64_t height, struct arena *a,
                                struct people_facts *ret)
{
    struct pool_child *c;
    struct stat        st;
    enum err           e;

    might_suspend();
    *ret = (struct people_facts){ 0 };
    if (width <= 0 || height <= 0 || width > PEOPLE_SIDE_MAX || height > PEOPLE_SIDE_MAX || fstat(pixels_fd, &st) ||
        !S_ISREG(st.st_mode) || st.st_size < 3 * width * height)
        return ERR_INVALID;
    e = pool_take(p->pool, &c);
    if (e)
        return e;
    e = pixels_copy(pixels_fd, p->pixels[pool_child_place(c)], 3 * width * height);
    if (!e)
        e = child_ask(p, c, width, height, a, ret);
    pool_give_back(c, e, ret->cpu_us);
    return e;
}

size_t people_pids(const struct people *p, int *ret, size_t max)
{
    return pool_pids(p->pool, ret, max);
}

void people_close(struct people *p)
{
    if (!p)
        return;
    pool_close(p->pool);
    for (size_t i = 0; i < p->places; i++) {
        if (p->pixels[i] >= 0)
            close(p->pixels[i]);
    }
    free(p->pixels);
    free(p);
}
