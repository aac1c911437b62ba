/* media.c - the pool of media engines. The fiber that inspects does all the work with its child: there is no other fiber. */
#include "engine/media/media.h"

#include "base/log.h"
#include "base/num.h"
#include "contract/json.h"
#include "loop/channel.h"
#include "loop/loop.h"
#include "loop/process.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKOFF_MAX_MS ((int64_t)60000)

struct engine {
    struct media   *media;
    struct process *process; /* NULL: none */
    struct channel *channel;
    int64_t         cpu_us; /* used by this child */
    bool            busy;   /* somebody starts it or asks it */
};

/* An inspection that waits for a child, in the order of arrival. */
struct waiter {
    struct waiter *next;
    struct fiber  *fiber;
};

struct media {
    struct loop         *loop;
    struct media_options o;
    struct arena         arena;
    struct engine       *engines;
    struct waiter       *first, **last;
    size_t               waiting;
    int64_t              backoff_ms, not_before_us;
    bool                 told; /* the log knows of the sandbox */
};

/* ---- where it is ---- */

enum err media_program(struct arena *a, const char **ret)
{
    static const char *const below[] = { "dashbox-media", "engines/media/dashbox-media" };
    char                     self[PATH_MAX];
    ssize_t                  n = readlink("/proc/self/exe", self, sizeof(self) - 1);

    while (n > 0 && self[n - 1] != '/')
        n--;
    for (size_t i = 0; n > 0 && i < ARRAY_LEN(below); i++) {
        str path = arena_printf(a, "%.*s%s", (int)n, self, below[i]);

        if (access(path.ptr, X_OK) == 0) {
            *ret = path.ptr;
            return OK;
        }
    }
    if (access(DASHBOX_LIBEXECDIR "/dashbox-media", X_OK))
        return ERR_NOT_FOUND;
    *ret = DASHBOX_LIBEXECDIR "/dashbox-media";
    return OK;
}

enum err media_open(struct loop *l, const struct media_options *o, struct media **ret)
{
    struct media *m = xcalloc(1, sizeof(*m));
    enum err      e = OK;

    m->loop = l;
    m->o = *o;
    m->last = &m->first;
    arena_init(&m->arena, 0);
    if (!m->o.program)
        e = media_program(&m->arena, &m->o.program);
    else if (access(m->o.program, X_OK))
        e = ERR_NOT_FOUND;
    if (e) {
        arena_free(&m->arena);
        free(m);
        return e;
    }
    m->o.program = str_to_cstr(&m->arena, str_from_cstr(m->o.program));
    m->o.process_max = o->process_max ? o->process_max : 2;
    m->o.queue_max = o->queue_max ? o->queue_max : 256;
    m->o.inspect_ms = o->inspect_ms ? o->inspect_ms : 20000;
    m->o.start_ms = o->start_ms ? o->start_ms : 10000;
    m->o.backoff_ms = o->backoff_ms ? o->backoff_ms : 1000;
    m->o.retire_cpu_ms = o->retire_cpu_ms ? o->retire_cpu_ms : 20000;
    m->engines = arena_array(&m->arena, struct engine, m->o.process_max);
    for (size_t i = 0; i < m->o.process_max; i++)
        m->engines[i].media = m;
    *ret = m;
    return OK;
}

/* ---- a child ---- */

static void on_line(void *arg, str line)
{
    (void)arg;
    log_debug("media engine: %.*s", STR_ARG(line));
}

static void engine_drop(struct engine *en)
{
    channel_close(en->channel);
    process_free(en->process);
    en->channel = NULL;
    en->process = NULL;
    en->cpu_us = 0;
}

/* Its first message: whether its system let it lock itself in. */
static enum err engine_hear_ready(struct engine *en, str text)
{
    struct media *m = en->media;
    struct arena  a;
    yyjson_val   *root;
    bool          ready, sandbox;

    arena_init(&a, 0);
    root = json_parse_copy(&a, text);
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

static SUSPENDS enum err engine_wait_ready(struct engine *en)
{
    char     text[CHANNEL_MESSAGE_MAX];
    size_t   len;
    enum err e = channel_receive(en->channel, text, sizeof(text),
                                 loop_now_us(en->media->loop) + en->media->o.start_ms * 1000, &len);

    return e ? e : engine_hear_ready(en, str_of(text, len));
}

static SUSPENDS enum err engine_start(struct engine *en)
{
    struct media *m = en->media;
    /* Nothing of ours but what sanitizers are told; no secret of the server is in its memory. */
    const char            *asan = getenv("ASAN_OPTIONS"), *ubsan = getenv("UBSAN_OPTIONS");
    const char *const      argv[] = { m->o.program, NULL };
    struct arena           a;
    const char            *env[3] = { NULL };
    struct process_options o = { .argv = argv, .env = env, .bare = true, .dir = "/", .on_line = on_line };
    size_t                 n = 0;
    int                    other;
    enum err               e;

    if (loop_now_us(m->loop) < m->not_before_us)
        return ERR_IO; /* the log has said why */
    e = channel_open(m->loop, &en->channel, &other);
    if (e)
        return ERR_IO;
    arena_init(&a, 0);
    if (asan)
        env[n++] = arena_printf(&a, "ASAN_OPTIONS=%s", asan).ptr;
    if (ubsan)
        env[n++] = arena_printf(&a, "UBSAN_OPTIONS=%s", ubsan).ptr;
    o.channel = other;
    e = process_start(m->loop, &o, &en->process);
    close(other);
    arena_free(&a);
    if (!e)
        e = engine_wait_ready(en);
    if (!e) {
        m->backoff_ms = 0;
        return OK;
    }
    engine_drop(en);
    if (e == ERR_CANCELLED)
        return e;
    m->backoff_ms = min_i64(max_i64(2 * m->backoff_ms, m->o.backoff_ms), BACKOFF_MAX_MS);
    m->not_before_us = loop_now_us(m->loop) + m->backoff_ms * 1000;
    log_warn("media engine: %s does not become ready (%s), trying again in %lld ms", m->o.program, err_text(e),
             (long long)m->backoff_ms);
    return ERR_IO;
}

/* ---- whose turn it is ---- */

/* One that runs and is free, else a free place for one. */
static struct engine *engine_free(struct media *m)
{
    struct engine *place = NULL;

    for (size_t i = 0; i < m->o.process_max; i++) {
        struct engine *en = &m->engines[i];

        if (!en->busy && en->process && !process_ended(en->process))
            return en;
        if (!en->busy && !place)
            place = en;
    }
    return place;
}

/* The first of those who wait looks whether a child is free. */
static void call_next(struct media *m)
{
    if (m->first)
        fiber_wake(m->first->fiber);
}

static SUSPENDS enum err engine_wait(struct media *m, struct engine **ret)
{
    struct waiter   w = { .fiber = fiber_self() };
    struct waiter **at = &m->first;
    struct engine  *en = NULL;
    enum err        e = OK;

    if (m->waiting >= m->o.queue_max)
        return ERR_LIMIT;
    *m->last = &w;
    m->last = &w.next;
    m->waiting++;
    while (!e && !(m->first == &w && (en = engine_free(m))))
        e = fiber_wait(DEADLINE_NONE);
    while (*at != &w)
        at = &(*at)->next;
    *at = w.next;
    if (!w.next)
        m->last = at;
    m->waiting--;
    if (e)
        call_next(m); /* we may have been the first */
    else
        *ret = en;
    return e;
}

static SUSPENDS enum err engine_take(struct media *m, struct engine **ret)
{
    struct engine *en = m->first ? NULL : engine_free(m); /* nobody passes those who wait */
    enum err       e = en ? OK : engine_wait(m, &en);

    if (e)
        return e;
    en->busy = true;
    if (engine_free(m))
        call_next(m);
    *ret = en;
    return OK;
}

static void engine_give_back(struct engine *en)
{
    if (en->cpu_us >= en->media->o.retire_cpu_ms * 1000)
        engine_drop(en);
    en->busy = false;
    call_next(en->media);
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

static SUSPENDS enum err engine_ask(struct engine *en, int fd, int64_t bytes, struct arena *a, struct media_facts *ret)
{
    struct media *m = en->media;
    char          text[CHANNEL_MESSAGE_MAX];
    size_t        len = 0;
    enum err      e;

    e = channel_send(en->channel, arena_printf(a, "inspect %lld", (long long)bytes), fd);
    if (!e)
        e = channel_receive(en->channel, text, sizeof(text), loop_now_us(m->loop) + m->o.inspect_ms * 1000, &len);
    if (!e)
        e = media_facts_read(a, str_of(text, len), ret);
    if (!e && ret->bytes != bytes)
        e = ERR_PROTOCOL;
    if (e == ERR_LIMIT)
        e = ERR_PROTOCOL; /* an answer that is too long */
    return e;
}

/* Lets go of a child that has failed: it may be in the middle of anything. */
static enum err engine_fail(struct engine *en, enum err e)
{
    if (e != ERR_CANCELLED)
        log_warn("media engine: process %d has failed over a file (%s), the next one starts another",
                 process_pid(en->process), err_text(e));
    engine_drop(en);
    return e == ERR_EOF ? ERR_IO : e;
}

SUSPENDS enum err media_inspect(struct media *m, int fd, struct arena *a, struct media_facts *ret)
{
    struct engine *en;
    struct stat    st;
    int            file;
    enum err       e;

    might_suspend();
    e = open_again(fd, &file);
    if (e)
        return e;
    e = fstat(file, &st) ? ERR_IO : engine_take(m, &en);
    if (e) {
        close(file);
        return e;
    }
    if (en->process && process_ended(en->process))
        engine_drop(en); /* by itself, since the last time */
    if (!en->process)
        e = engine_start(en);
    if (!e) {
        e = engine_ask(en, file, st.st_size, a, ret);
        if (e)
            e = engine_fail(en, e);
        else
            en->cpu_us += ret->cpu_us;
    }
    engine_give_back(en);
    close(file);
    return e;
}

size_t media_pids(const struct media *m, int *ret, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < m->o.process_max && n < max; i++) {
        if (m->engines[i].process && !process_ended(m->engines[i].process))
            ret[n++] = process_pid(m->engines[i].process);
    }
    return n;
}

void media_close(struct media *m)
{
    if (!m)
        return;
    ASSERT(!m->first);
    for (size_t i = 0; i < m->o.process_max; i++) {
        ASSERT(!m->engines[i].busy);
        engine_drop(&m->engines[i]);
    }
    arena_free(&m->arena);
    free(m);
}
