/* media.c - what is asked of a media engine, a child of a pool. */
#include "engine/media/media.h"

#include "base/log.h"
#include "contract/json.h"
#include "engine/media/memo.h"
#include "engine/pool/pool.h"
#include "engine/pool/program.h"
#include "loop/loop.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct media {
    struct pool      *pool;
    struct loop      *loop;
    int64_t           inspect_ms, render_ms;
    bool              told; /* the log knows of the sandbox */
    struct facts_memo memo;
};

/* ---- where it is ---- */

enum err media_program(struct arena *a, const char **ret)
{
    return pool_program(a, "media", ret);
}

/* Its first message: whether its system let it lock itself in. */
static enum err hear_ready(void *arg, str message)
{
    struct media *m = arg;
    struct arena  a;
    yyjson_val   *root;
    bool          ready, sandbox;

    arena_init(&a, 0);
    root = json_parse_copy(&a, message);
    ready = yyjson_is_true(json_get(root, "ready"));
    sandbox = yyjson_is_true(json_get(root, "sandbox"));
    if (ready && !m->told) {
        str version = json_str(json_get(root, "libavformat"));

        m->told = true;
        if (sandbox)
            log_debug("media engine: libavformat %.*s, in its sandbox", STR_ARG(str_first(version, 32)));
        else
            log_warn("media engine: this system has no seccomp for it, so it is confined by limits alone");
    }
    arena_free(&a);
    return ready ? OK : ERR_PROTOCOL;
}

enum err media_open(struct loop *l, const struct media_options *o, struct media **ret)
{
    struct media       *m = xcalloc(1, sizeof(*m));
    struct pool_options po = { .name = "media engine", .program = o->program, .ready = hear_ready, .arg = m };
    struct arena        a;
    enum err            e = OK;

    arena_init(&a, 0);
    m->loop = l;
    m->inspect_ms = o->inspect_ms ? o->inspect_ms : 20000;
    m->render_ms = o->render_ms ? o->render_ms : 120000;
    po.process_max = o->process_max ? o->process_max : 2;
    po.queue_max = o->queue_max ? o->queue_max : 256;
    po.start_ms = o->start_ms ? o->start_ms : 10000;
    po.backoff_ms = o->backoff_ms ? o->backoff_ms : 1000;
    po.retire_cpu_ms = o->retire_cpu_ms ? o->retire_cpu_ms : 20000;
    if (!po.program)
        e = media_program(&a, &po.program);
    if (!e)
        e = pool_open(l, &po, &m->pool);
    arena_free(&a);
    if (e) {
        free(m);
        return e;
    }
    *ret = m;
    return OK;
}

/* ---- an inspection ---- */

/* Read-only, whatever the caller's is. */
static enum err open_again(int fd, int *ret)
{
    char        path[64];
    struct stat st;
    int         flags = fcntl(fd, F_GETFL), again;

    if (flags < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || (flags & O_ACCMODE) == O_WRONLY)
        return ERR_INVALID;
    if ((flags & O_ACCMODE) == O_RDONLY) {
        again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    } else {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        again = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (again < 0)
        return ERR_IO;
    *ret = again;
    return OK;
}

static enum err heard(enum err e)
{
    return e == ERR_EOF ? ERR_IO : e == ERR_LIMIT ? ERR_PROTOCOL : e; /* LIMIT: an answer that is too long */
}

static SUSPENDS enum err child_inspect(struct media *m, struct pool_child *c, int fd, int64_t bytes, struct arena *a,
                                       struct media_facts *ret)
{
    struct channel *channel = pool_child_channel(c);
    char            text[CHANNEL_MESSAGE_MAX];
    size_t          len = 0;
    enum err        e;

    e = channel_send(channel, arena_printf(a, "inspect %lld", (long long)bytes), fd);
    if (!e)
        e = channel_receive(channel, text, sizeof(text), loop_now_us(m->loop) + m->inspect_ms * 1000, &len);
    if (!e)
        e = media_facts_read(a, str_of(text, len), ret);
    if (!e && ret->bytes != bytes)
        e = ERR_PROTOCOL;
    return heard(e);
}

SUSPENDS enum err media_inspect(struct media *m, int fd, struct arena *a, struct media_facts *ret)
{
    struct pool_child *c;
    struct stat        st;
    int                file;
    enum err           e;

    might_suspend();
    e = open_again(fd, &file);
    if (e)
        return e;
    e = fstat(file, &st) ? ERR_IO : pool_take(m->pool, &c);
    if (!e) {
        e = child_inspect(m, c, file, st.st_size, a, ret);
        pool_give_back(c, e, e ? 0 : ret->cpu_us);
    }
    close(file);
    return e;
}

SUSPENDS enum err media_inspect_hashed(struct media *m, int fd, str hash, struct arena *a, struct media_facts *ret)
{
    enum err e;

    might_suspend();
    if (facts_memo_find(&m->memo, hash, a, ret))
        return OK;
    e = media_inspect(m, fd, a, ret);
    if (!e)
        facts_memo_add(&m->memo, hash, ret);
    return e;
}

/* ---- a file that is made ---- */

static enum err send_file(struct channel *channel, const char *verb, int fd, struct arena *a)
{
    struct stat st;
    int         file;
    enum err    e = open_again(fd, &file);

    if (e)
        return e;
    e = fstat(file, &st) ? ERR_IO
                         : channel_send(channel, arena_printf(a, "%s %lld", verb, (long long)st.st_size), file);
    close(file);
    return e;
}

static enum err send_request(struct channel *channel, str request, struct arena *a)
{
    int      fd = memfd_create("request", MFD_CLOEXEC);
    enum err e = ERR_IO;

    if (fd < 0)
        return ERR_IO;
    if (write(fd, request.ptr, request.len) == (ssize_t)request.len)
        e = send_file(channel, "render", fd, a);
    close(fd);
    return e;
}

/* The answer, or that it could not be done, which is no failure of the child: *ret_failed. */
static enum err read_rendered(struct arena *a, str text, struct media_facts *ret, bool *ret_failed)
{
    yyjson_val *failed = json_get(json_parse_copy(a, text), "failed");

    *ret_failed = failed;
    if (!failed)
        return media_facts_read(a, text, ret);
    log_warn("media engine: not made: %.*s", STR_ARG(str_first(json_str(failed), 512)));
    return OK;
}

static SUSPENDS enum err child_render(struct media *m, struct pool_child *c, str request, const int *in,
                                      size_t in_count, int out, struct arena *a, struct media_facts *ret,
                                      bool *ret_failed)
{
    struct channel *channel = pool_child_channel(c);
    char            text[CHANNEL_MESSAGE_MAX];
    size_t          len = 0;
    enum err        e = OK;

    for (size_t i = 0; !e && i < in_count; i++)
        e = send_file(channel, "in", in[i], a);
    if (!e)
        e = channel_send(channel, S("out"), out);
    if (!e)
        e = send_request(channel, request, a);
    if (!e)
        e = channel_receive(channel, text, sizeof(text), loop_now_us(m->loop) + m->render_ms * 1000, &len);
    if (!e)
        e = read_rendered(a, str_of(text, len), ret, ret_failed);
    return heard(e);
}

static bool is_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

SUSPENDS enum err media_render(struct media *m, str request, const int *in, size_t in_count, int out, struct arena *a,
                               struct media_facts *ret)
{
    struct pool_child *c;
    bool               failed = false;
    enum err           e;

    might_suspend();
    ASSERT(in_count <= MEDIA_RENDER_FILES);
    *ret = (struct media_facts){ 0 };
    for (size_t i = 0; i < in_count; i++) {
        if (!is_file(in[i]))
            return ERR_INVALID;
    }
    if (!is_file(out))
        return ERR_INVALID;
    e = pool_take(m->pool, &c);
    if (e)
        return e;
    e = child_render(m, c, request, in, in_count, out, a, ret, &failed);
    pool_give_back(c, e, ret->cpu_us);
    return !e && failed ? ERR_INVALID : e;
}

size_t media_pids(const struct media *m, int *ret, size_t max)
{
    return pool_pids(m->pool, ret, max);
}

void media_close(struct media *m)
{
    if (!m)
        return;
    pool_close(m->pool);
    facts_memo_clear(&m->memo);
    free(m);
}
