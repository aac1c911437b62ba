/* process.c - child processes on libuv. */
#include "loop/process.h"

#include "base/arena.h"
#include "loop/loop_private.h"

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIPES     2
#define DRAIN_MAX ((size_t)256 * 1024) /* of its last words: somebody who has left its group may go on for ever */

extern char **environ;

struct pipe {
    uv_pipe_t       uv;
    struct process *process;
    size_t          len;
    char            line[PROCESS_LINE_MAX];
};

struct process {
    uv_process_t           uv;
    struct loop           *loop;
    struct process_options o; /* the callbacks alone are used after the start */
    struct pipe            pipes[PIPES];
    struct timer           grace;
    struct fiber          *waiter;
    unsigned               handles; /* that libuv has not closed yet */
    int                    pid;
    int64_t                status;
    int                    signal;
    bool                   ended, freed;
};

/* ---- lines ---- */

static void line_out(struct pipe *p)
{
    str line = str_of(p->line, p->len);

    p->len = 0;
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    if (p->process->o.on_line && !p->process->freed && line.len)
        p->process->o.on_line(p->process->o.arg, line);
}

static void lines_feed(struct pipe *p, str bytes)
{
    while (bytes.len) {
        size_t end = str_find(bytes, '\n');
        size_t room = sizeof(p->line) - p->len;
        size_t n = end == STR_NONE ? bytes.len : end;
        bool   whole = end != STR_NONE && n <= room;

        if (n > room)
            n = room;
        memcpy(p->line + p->len, bytes.ptr, n);
        p->len += n;
        bytes = str_from(bytes, whole ? n + 1 : n);
        if (whole || p->len == sizeof(p->line))
            line_out(p);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct pipe *p = handle->data;

    (void)suggested;
    *buf = uv_buf_init(p->process->loop->read_buffer, READ_BUFFER);
}

static void on_handle_closed(uv_handle_t *handle);

static void pipe_close(struct pipe *p)
{
    if (!uv_is_closing((uv_handle_t *)&p->uv))
        uv_close((uv_handle_t *)&p->uv, on_handle_closed);
}

static void on_pipe_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct pipe *p = stream->data;
    struct loop *l = p->process->loop;

    loop_turn(l);
    if (n > 0) {
        lines_feed(p, str_of(buf->base, (size_t)n));
    } else if (n < 0) {
        line_out(p); /* what stands without a line end */
        pipe_close(p);
    }
    loop_run_ready(l);
}

/* Its last words, which may be in the pipe still: whoever hears that it has ended has heard them. */
static void pipe_drain(struct pipe *p)
{
    struct loop *l = p->process->loop;
    uv_os_fd_t   fd;
    ssize_t      n;
    size_t       heard = 0;

    if (uv_is_closing((uv_handle_t *)&p->uv) || uv_fileno((uv_handle_t *)&p->uv, &fd))
        return;
    while (heard < DRAIN_MAX && (n = read(fd, l->read_buffer, READ_BUFFER)) > 0) {
        lines_feed(p, str_of(l->read_buffer, (size_t)n));
        heard += (size_t)n;
    }
    line_out(p);
    pipe_close(p);
}

/* ---- the end ---- */

static void free_when_over(struct process *p)
{
    if (p->handles || !p->freed)
        return;
    timer_remove(p->loop, &p->grace);
    free(p);
}

static struct process *process_of(uv_handle_t *handle)
{
    if (handle->type == UV_PROCESS)
        return CONTAINER_OF((uv_process_t *)handle, struct process, uv);
    return ((struct pipe *)handle->data)->process;
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct process *p = process_of(handle);

    loop_turn(p->loop);
    p->handles--;
    free_when_over(p);
}

static void on_ended(uv_process_t *uv, int64_t status, int signal)
{
    struct process *p = CONTAINER_OF(uv, struct process, uv);
    struct loop    *l = p->loop;

    loop_turn(l);
    (void)kill(-p->pid, SIGKILL); /* what it has left behind; mostly nothing */
    for (int i = 0; i < PIPES; i++)
        pipe_drain(&p->pipes[i]);
    p->ended = true;
    p->status = status;
    p->signal = signal;
    timer_stop(&p->grace);
    uv_close((uv_handle_t *)uv, on_handle_closed);
    fiber_wake(p->waiter);
    if (p->o.on_exit && !p->freed)
        p->o.on_exit(p->o.arg);
    loop_run_ready(l);
}

static void on_grace(void *arg)
{
    process_kill(arg, SIGKILL);
}

/* ---- the start ---- */

/* Words that are put before the command so that the child does not outlive our thread: prctl(PR_SET_PDEATHSIG) must be
 * called behind the fork, where libuv lets nobody in. */
static size_t guard_words(const char **ret)
{
    static const char *const places[] = { "/usr/bin/setpriv", "/bin/setpriv" };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (access(places[i], X_OK) == 0) {
            ret[0] = places[i];
            ret[1] = "--pdeathsig";
            ret[2] = "KILL";
            ret[3] = "--";
            return 4;
        }
    }
    return 0;
}

static size_t words_count(const char *const *words)
{
    size_t n = 0;

    while (words && words[n])
        n++;
    return n;
}

static enum err start_err(int r)
{
    return r == UV_ENOENT || r == UV_EACCES ? ERR_NOT_FOUND : loop_err(r);
}

static bool same_name(const char *a, const char *b)
{
    size_t len = str_find(str_from_cstr(a), '=');

    return len != STR_NONE && strncmp(a, b, len + 1) == 0;
}

/* Our environment without what `more` says otherwise, and `more`; `bare`: `more` alone. */
static void env_make(const char *const *more, bool bare, const char **ret)
{
    size_t n = 0;

    for (char **own = environ; *own && !bare; own++) {
        bool replaced = false;

        for (const char *const *m = more; m && *m && !replaced; m++)
            replaced = same_name(*m, *own);
        if (!replaced)
            ret[n++] = *own;
    }
    for (const char *const *m = more; m && *m; m++)
        ret[n++] = *m;
}

static bool can_run(str folder, const char *file, const char *dir)
{
    char        path[PATH_MAX];
    struct stat st;
    bool        below = dir && (folder.len ? folder.ptr[0] : file[0]) != '/';
    int         n = snprintf(path, sizeof(path), "%s%s%.*s%s%s", below ? dir : "", below ? "/" : "", STR_ARG(folder),
                     folder.len ? "/" : "", file);

    return n > 0 && (size_t)n < sizeof(path) && access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Whether the child finds its program, as execvp() looks for it there. Behind setpriv nobody else could tell us: that is
 * always found. */
static bool program_found(const char *file, const char *const *env, const char *dir)
{
    str path = S("/bin:/usr/bin");

    if (strchr(file, '/'))
        return can_run(S(""), file, dir);
    for (; *env; env++) {
        if (same_name(*env, "PATH="))
            path = str_from_cstr(*env + 5);
    }
    for (;;) {
        size_t colon = str_find(path, ':');
        str    folder = str_first(path, colon);

        if (can_run(folder.len ? folder : S("."), file, dir))
            return true;
        if (colon == STR_NONE)
            return false;
        path = str_from(path, colon + 1);
    }
}

enum err process_start(struct loop *l, const struct process_options *o, struct process **ret)
{
    struct process      *p = xcalloc(1, sizeof(*p));
    size_t               argc = words_count(o->argv), envc = words_count((const char *const *)environ);
    size_t               more = words_count(o->env), guard;
    const char         **argv = xcalloc(argc + 5, sizeof(*argv));
    const char         **env = xcalloc(envc + more + 1, sizeof(*env));
    uv_stdio_container_t stdio[PROCESS_CHANNEL + 1] = { { .flags = UV_IGNORE } };
    uv_process_options_t uo = { .exit_cb = on_ended, .flags = UV_PROCESS_DETACHED, .stdio = stdio };
    int                  r;

    ASSERT(argc > 0);
    p->loop = l;
    p->o = *o;
    timer_init(&p->grace, on_grace, p);
    guard = guard_words(argv);
    memcpy(argv + guard, o->argv, argc * sizeof(*argv));
    env_make(o->env, o->bare, env);
    if (!program_found(o->argv[0], env, o->dir)) {
        free(argv);
        free(env);
        free(p);
        return ERR_NOT_FOUND;
    }
    uo.file = argv[0];
    uo.args = (char **)(uintptr_t)argv;
    uo.env = (char **)(uintptr_t)env;
    uo.cwd = o->dir;
    for (int i = 0; i < PIPES; i++) {
        struct pipe *pipe = &p->pipes[i];

        pipe->process = p;
        uv_pipe_init(&l->uv, &pipe->uv, 0);
        pipe->uv.data = pipe;
        stdio[i + 1].flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE;
        stdio[i + 1].data.stream = (uv_stream_t *)&pipe->uv;
    }
    uo.stdio_count = PROCESS_CHANNEL;
    if (o->input) {
        stdio[0].flags = UV_INHERIT_FD;
        stdio[0].data.fd = o->input;
    }
    if (o->channel) {
        stdio[PROCESS_CHANNEL].flags = UV_INHERIT_FD;
        stdio[PROCESS_CHANNEL].data.fd = o->channel;
        uo.stdio_count++;
    }
    p->handles = PIPES + 1;
    r = uv_spawn(&l->uv, &p->uv, &uo);
    free(argv);
    free(env);
    if (r) {
        p->ended = true;
        uv_close((uv_handle_t *)&p->uv, on_handle_closed);
        process_free(p);
        return start_err(r);
    }
    p->pid = uv_process_get_pid(&p->uv);
    for (int i = 0; i < PIPES; i++)
        uv_read_start((uv_stream_t *)&p->pipes[i].uv, on_alloc, on_pipe_read);
    *ret = p;
    return OK;
}

/* ---- what its owner does ---- */

int process_pid(const struct process *p)
{
    return p->pid;
}

bool process_ended(const struct process *p)
{
    return p->ended;
}

bool process_was_missing(const struct process *p)
{
    return p->ended && !p->signal && (p->status == 126 || p->status == 127);
}

void process_end_text(const struct process *p, char text[PROCESS_END_TEXT_MAX])
{
    text[0] = 0;
    if (p->ended && p->signal)
        snprintf(text, PROCESS_END_TEXT_MAX, "signal %d", p->signal);
    else if (p->ended)
        snprintf(text, PROCESS_END_TEXT_MAX, "status %d", (int)p->status);
}

void process_kill(struct process *p, int signal)
{
    if (p->ended)
        return;
    /* The group is there from before the program runs: libuv calls setsid() first. */
    if (kill(-p->pid, signal))
        (void)uv_process_kill(&p->uv, signal); /* it is about to end: on_ended comes */
}

void process_stop(struct process *p, int64_t grace_ms)
{
    if (p->ended)
        return;
    process_kill(p, SIGTERM);
    timer_set(p->loop, &p->grace, loop_now_us(p->loop) + grace_ms * 1000);
}

enum err process_wait(struct process *p, int64_t deadline_us)
{
    enum err e = OK;

    might_suspend();
    ASSERT(!p->waiter);
    p->waiter = fiber_self();
    while (!p->ended && !e)
        e = fiber_wait(deadline_us);
    p->waiter = NULL;
    return p->ended ? OK : e;
}

void process_free(struct process *p)
{
    if (!p)
        return;
    ASSERT(!p->freed);
    p->freed = true;
    process_kill(p, SIGKILL);
    for (int i = 0; i < PIPES; i++)
        pipe_close(&p->pipes[i]);
    free_when_over(p);
}
