/* document.c - documents go to the children of a pool, each with a file for its text. */
#include "engine/document/document.h"

#include "base/log.h"
#include "contract/json.h"
#include "engine/pool/pool.h"
#include "engine/pool/program.h"
#include "loop/loop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXTENSION_MAX 8 /* letters; a longer one is none that says anything */

struct documents {
    struct loop *loop;
    struct pool *pool;
    int64_t      read_ms, text_max, page_max;
    bool         told; /* the log knows of the sandbox */
};

/* Its first message: whether its system let it lock itself in. */
static enum err hear_ready(void *arg, str message)
{
    struct documents *d = arg;
    struct arena      a;
    yyjson_val       *root;
    bool              ready;

    arena_init(&a, 0);
    root = json_parse_copy(&a, message);
    ready = yyjson_is_true(json_get(root, "ready"));
    if (ready && !d->told && !yyjson_is_true(json_get(root, "sandbox")))
        log_warn("document engine: this system has no seccomp or no Landlock for it");
    d->told = d->told || ready;
    arena_free(&a);
    return ready ? OK : ERR_PROTOCOL;
}

enum err document_open(struct loop *l, const struct document_options *o, struct documents **ret)
{
    struct documents   *d = xcalloc(1, sizeof(*d));
    struct pool_options p = {
        .name = "document engine",
        .program = o->program,
        .process_max = o->process_max ? o->process_max : 1,
        .queue_max = o->queue_max ? o->queue_max : 64,
        .start_ms = o->start_ms ? o->start_ms : 10000,
        .backoff_ms = o->backoff_ms ? o->backoff_ms : 1000,
        .retire_cpu_ms = o->retire_cpu_ms ? o->retire_cpu_ms : 60000,
        .idle_ms = o->idle_ms ? o->idle_ms : 300 * 1000,
        .ready = hear_ready,
        .arg = d,
    };
    struct arena a;
    enum err     e = OK;

    arena_init(&a, 0);
    d->loop = l;
    d->read_ms = o->read_ms ? o->read_ms : 120000;
    d->text_max = o->text_max ? o->text_max : INT64_C(64) * 1024 * 1024;
    d->page_max = o->page_max ? o->page_max : 15000;
    if (!p.program)
        e = pool_program(&a, "document", &p.program);
    if (!e)
        e = pool_open(l, &p, &d->pool);
    arena_free(&a);
    if (e) {
        free(d);
        return e;
    }
    *ret = d;
    return OK;
}

/* ---- a document ---- */

/* What stands behind the last dot, in small letters: nothing else of a name reaches the engine. "-" when there is nothing of the kind. */
static str extension(struct arena *a, str filename)
{
    str   word = filename;
    char *small;

    while (str_find(word, '.') != STR_NONE)
        (void)str_cut(&word, '.');
    if (word.len == filename.len || !word.len || word.len > EXTENSION_MAX)
        return S("-");
    small = arena_bytes(a, word.len);
    for (size_t i = 0; i < word.len; i++) {
        char c = word.ptr[i];

        small[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
        if (!((small[i] >= 'a' && small[i] <= 'z') || (small[i] >= '0' && small[i] <= '9')))
            return S("-");
    }
    return str_of(small, word.len);
}

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

static bool is_empty_file(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size == 0;
}

static SUSPENDS enum err child_read(struct documents *d, struct pool_child *c, int fd, str request, int text_fd,
                                    struct arena *a, struct document_facts *ret)
{
    struct channel *channel = pool_child_channel(c);
    char            text[CHANNEL_MESSAGE_MAX];
    size_t          len = 0;
    struct stat     st;
    enum err        e = channel_send(channel, S("out"), text_fd);

    if (!e)
        e = channel_send(channel, request, fd);
    if (!e)
        e = channel_receive(channel, text, sizeof(text), loop_now_us(d->loop) + d->read_ms * 1000, &len);
    if (!e)
        e = document_facts_read(a, str_of(text, len), ret);
    if (!e && ret->verdict == DOCUMENT_OK &&
        (ret->text_bytes > d->text_max || fstat(text_fd, &st) || st.st_size != ret->text_bytes))
        e = ERR_PROTOCOL;
    return e == ERR_EOF ? ERR_IO : e == ERR_LIMIT ? ERR_PROTOCOL : e;
}

SUSPENDS enum err document_read(struct documents *d, int fd, str filename, int text_fd, struct arena *a,
                                struct document_facts *ret)
{
    struct pool_child *c;
    struct stat        st;
    int                file;
    enum err           e;

    might_suspend();
    *ret = (struct document_facts){ 0 };
    if (!is_empty_file(text_fd))
        return ERR_INVALID;
    e = open_again(fd, &file);
    if (e)
        return e;
    e = fstat(file, &st) ? ERR_INVALID : pool_take(d->pool, &c);
    if (e == ERR_IO) {
        e = ERR_UNREACHABLE;
    } else if (!e) {
        e = child_read(d, c, file,
                       arena_printf(a, "read %lld %lld %lld %.*s", (long long)st.st_size, (long long)d->text_max,
                                    (long long)d->page_max, STR_ARG(extension(a, filename))),
                       text_fd, a, ret);
        pool_give_back(c, e, e ? 0 : ret->cpu_us);
        if (!e && ret->error.len)
            log_debug("document engine: %s %s: %.*s", document_format_name(ret->format),
                      document_verdict_name(ret->verdict), STR_ARG(ret->error));
    }
    close(file);
    return e;
}

size_t document_pids(const struct documents *d, int *ret, size_t max)
{
    return pool_pids(d->pool, ret, max);
}

void document_close(struct documents *d)
{
    if (!d)
        return;
    pool_close(d->pool);
    free(d);
}
