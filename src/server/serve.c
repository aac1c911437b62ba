/* serve.c - the life of the server process.
 *
 * The main thread reads the configuration, opens what all share, starts the workers, and then waits for signals:
 * SIGTERM and SIGINT drain and end (a second one cuts off), SIGHUP reads the configuration again.
 */
#include "server/serve.h"

#include "base/log.h"
#include "access/keys.h"
#include "base/num.h"
#include "base/rand.h"
#include "server/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS_MAX_DEFAULT 4
#define DESCRIPTORS_SPARE 64 /* beyond the clients' connections: upstreams, files */

struct command_line {
    const char *config;
    str         sets[32][2]; /* option name, value */
    size_t      set_count;
    const char *keys[64];
    size_t      key_count;
    bool        production;
};

static int usage(FILE *to)
{
    fputs("usage: dashbox serve [--config FILE] [--listen HOST:PORT] [--data DIR] [--api-key KEY]…\n"
          "                     [--workers N] [--production] [--set OPTION=VALUE]…\n"
          "\n"
          "Serves the Qwen Cloud API. --workers 0, the default, is one a core. Every option of the\n"
          "configuration file can be set with --set; ./dev doc writes the list, and\n"
          "doc/configuration.md tells of engines, routes and models.\n",
          to);
    return to == stdout ? 0 : 2;
}

static bool parse(int argc, char **argv, struct command_line *c)
{
    static const struct {
        const char *flag;
        str         option;
    } values[] = {
        { "--listen", S("listen") },
        { "--data", S("data") },
        { "--workers", S("workers") },
        { "--scenario", S("scenario") },
        { "--wording", S("wording") },
        { "--edition", S("edition") },
    };

    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        str         pair;
        bool        known = false;

        if (strcmp(flag, "--production") == 0) {
            c->production = true;
            continue;
        }
        for (size_t k = 0; k < ARRAY_LEN(values) && value && c->set_count < ARRAY_LEN(c->sets); k++) {
            if (strcmp(flag, values[k].flag) == 0) {
                c->sets[c->set_count][0] = values[k].option;
                c->sets[c->set_count++][1] = str_from_cstr(value);
                known = true;
            }
        }
        if (!known && value && strcmp(flag, "--config") == 0) {
            c->config = value;
        } else if (!known && value && strcmp(flag, "--api-key") == 0 && c->key_count < ARRAY_LEN(c->keys)) {
            c->keys[c->key_count++] = value;
        } else if (!known && value && strcmp(flag, "--set") == 0 && c->set_count < ARRAY_LEN(c->sets)) {
            pair = str_from_cstr(value);
            c->sets[c->set_count][0] = str_cut(&pair, '=');
            c->sets[c->set_count++][1] = pair;
        } else if (!known) {
            fprintf(stderr, "dashbox serve: %s %s\n", flag,
                    flag[0] == '-' && !value ? "needs a value, or is unknown" : "is unknown");
            return false;
        }
        i++;
    }
    return true;
}

/* A new configuration from the file and the command line. */
static struct config *load(const struct command_line *cl)
{
    struct config *c = config_new();
    str            problem = { 0 };
    enum err       e = OK;

    if (cl->config)
        e = config_read(c, cl->config, &problem);
    for (size_t i = 0; i < cl->set_count && !e; i++)
        e = config_set(c, cl->sets[i][0], cl->sets[i][1], &problem);
    for (size_t i = 0; i < cl->key_count; i++)
        config_add_key(c, str_from_cstr(cl->keys[i]));
    if (cl->production)
        c->options.production = true;
    if (!e)
        e = config_finish(c, &problem);
    if (!e)
        return c;
    log_error("%.*s", STR_ARG(problem));
    config_free(c);
    return NULL;
}

static void open_log(const struct config *c)
{
    const struct options *o = &c->options;
    int                   fd = STDERR_FILENO;
    bool                  terminal;

    if (o->log_file.len) {
        fd = open(o->log_file.ptr, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0) {
            log_error("%s: %s; writing to standard error", o->log_file.ptr, strerror(errno));
            fd = STDERR_FILENO;
        }
    }
    terminal = isatty(fd);
    log_open(fd, (enum log_level)o->log_level, o->log_format == 2 || (o->log_format == 0 && !terminal));
}

static bool logs_requests(const struct config *c)
{
    return c->options.log_requests && (c->options.log_format == 2 || c->options.log_file.len || !isatty(STDERR_FILENO));
}

/* ---- the laptop key: made once, kept beside the database, shown at every start ---- */

static str laptop_key(struct store *s, struct arena *a)
{
    str        path = arena_printf(a, "%.*s/key", STR_ARG(store_folder(s)));
    char       secret[KEY_LEN + 1];
    int        fd = open(path.ptr, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t n = read(fd, secret, KEY_LEN);

        close(fd);
        if (n == KEY_LEN) {
            str kept = arena_str(a, str_of(secret, KEY_LEN));
            enum err e = keys_add(s, kept, S("laptop"), a);

            if (e == OK || (e == ERR_EXISTS && keys_is_good(s, kept)))
                return kept; /* one that has been revoked is replaced */
        }
    }
    if (keys_create(s, S("laptop"), secret, a))
        return (str){ 0 };
    fd = open(path.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, secret, KEY_LEN) != KEY_LEN)
        log_warn("%s: %s; the key holds all the same", path.ptr, strerror(errno));
    if (fd >= 0)
        close(fd);
    return arena_str(a, str_of(secret, KEY_LEN));
}

/* ---- the admin API's key: an option, or a file that only its owner reads ---- */

#define ADMIN_KEY_MAX 128

static str admin_key(const struct config *c, struct store *s, struct arena *a)
{
    str           path = arena_printf(a, "%.*s/admin-key", STR_ARG(store_folder(s)));
    char          text[ADMIN_KEY_MAX];
    unsigned char bits[16];
    ssize_t       n;
    int           fd;

    if (c->options.admin_key.len)
        return arena_str(a, c->options.admin_key);
    fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        n = read(fd, text, sizeof(text));
        close(fd);
        return n > 0 ? arena_str(a, str_trim(str_of(text, (size_t)n))) : (str){ 0 };
    }
    if (c->options.production)
        return (str){ 0 };
    rand_secret(bits, sizeof(bits));
    memcpy(text, "admin-", 6);
    num_hex(text + 6, bits, sizeof(bits));
    n = 6 + 2 * sizeof(bits);
    fd = open(path.ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)n) != n) {
        log_warn("%s: %s; the admin API is closed", path.ptr, strerror(errno));
        n = 0;
    }
    if (fd >= 0)
        close(fd);
    return arena_str(a, str_of(text, (size_t)n));
}

/* ---- where the tokenizer's table is ---- */

#ifndef DASHBOX_DATADIR
#define DASHBOX_DATADIR "/usr/local/share/dashbox"
#endif

static enum err open_tokenizer(const struct config *c, struct arena *a, struct tokenizer **ret)
{
    char    self[1024];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    str     beside = { 0 };

    if (c->options.tokenizer.len)
        return tokenizer_open(str_to_cstr(a, c->options.tokenizer), ret);
    while (n > 0 && self[n - 1] != '/')
        n--;
    if (n > 0) {
        beside = arena_printf(a, "%.*sqwen.tok", (int)n, self);
        if (access(beside.ptr, R_OK) == 0)
            return tokenizer_open(beside.ptr, ret);
    }
    return tokenizer_open(DASHBOX_DATADIR "/qwen.tok", ret);
}

/* As many descriptors as connections are allowed, as far as the system lets us. */
static void raise_descriptors(int64_t connections)
{
    struct rlimit r;
    rlim_t        want = (rlim_t)connections + DESCRIPTORS_SPARE;

    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur >= want)
        return;
    r.rlim_cur = want < r.rlim_max ? want : r.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &r); /* the connection ceiling then bites earlier, at accept() */
}

static void print_welcome(const struct config *c, const struct address *at, str key)
{
    char        text[ADDRESS_TEXT_MAX];
    const char *scheme = c->options.tls_certificate.len ? "https" : "http";
    str         shown = key.len ? key : S("YOUR_KEY");

    address_format(at, text);
    if (at->path[0]) {
        printf("dashbox: listening on %s\n", text);
        fflush(stdout);
        return;
    }
    printf("dashbox: listening on %s://%s\n", scheme, text);
    if (key.len)
        printf("dashbox: key          %.*s\n", STR_ARG(key));
    else
        printf("dashbox: a key is made with: dashbox keys create --data %.*s\n", STR_ARG(c->options.data));
    if (!c->options.admin_key.len && !c->options.production)
        printf("dashbox: admin key    %.*s/admin-key\n", STR_ARG(c->options.data));
    printf("\n"
           "  export DASHSCOPE_API_KEY=%.*s DASHSCOPE_HTTP_BASE_URL=%s://%s/api/v1\n"
           "  export OPENAI_API_KEY=%.*s OPENAI_BASE_URL=%s://%s/compatible-mode/v1\n"
           "  curl %s://%s/compatible-mode/v1/chat/completions -H 'Authorization: Bearer %.*s' \\\n"
           "    -d '{\"model\":\"qwen-plus\",\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n\n",
           STR_ARG(shown), scheme, text, STR_ARG(shown), scheme, text, scheme, text, STR_ARG(shown));
    fflush(stdout);
}

static size_t worker_count(const struct config *c)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (str_starts(c->options.listen, S("unix:")))
        return 1; /* a path, unlike a port, has one listener */
    if (c->options.workers > 0)
        return (size_t)c->options.workers;
    return cores < 1 ? 1 : cores > WORKERS_MAX_DEFAULT ? WORKERS_MAX_DEFAULT : (size_t)cores;
}

/* ---- signals ---- */

static void reload(struct process *p, const struct command_line *cl)
{
    struct config *c = load(cl);
    struct shared *s;
    struct arena   a;
    str            problem = { 0 };
    enum err       e;

    if (!c) {
        log_error("reload: the configuration is not used, keeping the old one");
        return;
    }
    arena_init(&a, 256);
    e = shared_open(c, p->tokenizer, &a, &s, &problem);
    if (e)
        log_error("reload: %.*s, keeping the old configuration", STR_ARG(problem));
    arena_free(&a);
    if (e)
        return;
    s->log_requests = logs_requests(c);
    if (!str_eq(c->options.listen, p->started.listen) || !str_eq(c->options.data, p->started.data) ||
        c->options.workers != p->started.workers)
        log_warn("reload: listen, data and workers hold until the next start");
    worker_reload(p->workers[0], s); /* which tells the others */
    shared_unref(s);
    log_info("configuration read again");
}

static void wait_for_end(struct process *p, const struct command_line *cl, sigset_t *signals, int64_t drain_ms)
{
    bool draining = false;

    for (;;) {
        int sig = 0;

        if (sigwait(signals, &sig))
            continue;
        if (sig == SIGHUP && !draining) {
            reload(p, cl);
            continue;
        }
        if (sig == SIGUSR2) {
            if (atomic_load(&p->running) == 0)
                return; /* the last worker has ended */
            continue;   /* somebody else's */
        }
        if (sig != SIGTERM && sig != SIGINT)
            continue;
        if (!draining)
            log_info("stopping: open requests have %lld ms to end", (long long)drain_ms);
        draining = true;
        for (size_t i = 0; i < p->worker_count; i++)
            worker_stop(p->workers[i], drain_ms);
    }
}

/* ---- the whole ---- */

static enum err open_workers(struct process *p, struct shared *s, size_t count, struct address *at)
{
    enum err e = address_taken(at) ? ERR_EXISTS : OK;

    p->workers = xcalloc(count, sizeof(*p->workers));
    p->worker_count = count; /* worker_free() takes what could not be opened */
    for (size_t i = 0; i < count && !e; i++) {
        e = worker_open(p, (unsigned)i, s, at, &p->workers[i]);
        if (!e && i == 0 && !at->path[0])
            http_server_address(p->workers[0]->server, at); /* a port 0 has become a number: the others share it */
    }
    return e;
}

/* Signals are the main thread's: the workers inherit the mask. */
static void take_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    sigaddset(signals, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* What all workers share for the life of the process; `ret_key` is the key to show. The reason of a failure is in the log. */
static enum err open_process(struct process *p, const struct config *c, struct arena *a, str *ret_key)
{
    struct tokenizer *tokenizer;
    enum err          e = open_tokenizer(c, a, &tokenizer);

    if (e) {
        log_error("the tokenizer's table qwen.tok cannot be read; see the option `tokenizer`");
        return e;
    }
    p->tokenizer = p->own_tokenizer = tokenizer;
    e = store_open(c->options.data, &p->store);
    if (e)
        return e;
    if (c->api_key_count)
        *ret_key = arena_str(a, c->api_keys[0]);
    else if (!c->options.production)
        *ret_key = laptop_key(p->store, a);
    p->admin_key = admin_key(c, p->store, a);
    e = account_open(p->store, c->api_keys, c->api_key_count, &p->accounts);
    return e ? e : store_start(p->store);
}

static void close_process(struct process *p)
{
    /* First the store: a job of its lane may still report to a worker's loop. */
    store_close(p->store);
    for (size_t i = 0; i < p->worker_count; i++)
        worker_free(p->workers[i]);
    free(p->workers);
    for (size_t i = 0; i < p->child_count; i++)
        arena_free(&p->children[i].texts);
    free(p->children);
    account_close(p->accounts);
    tokenizer_close(p->own_tokenizer);
    log_flush();
}

static int run(struct config *c, const struct command_line *cl, struct address *at, struct arena *a)
{
    struct process p = { .main = pthread_self(), .started = c->options, .children_lock = PTHREAD_MUTEX_INITIALIZER };
    struct shared *s;
    str            problem = { 0 }, key = { 0 };
    int64_t        drain_ms = c->options.time_drain_ms;
    sigset_t       signals;
    enum err       e;

    p.started.listen = arena_str(a, c->options.listen); /* the configuration goes at the first reload */
    p.started.data = arena_str(a, c->options.data);
    panic_note_set(request_panic_note);
    take_signals(&signals); /* before any thread exists: a signal that another thread could take would end the process */
    e = open_process(&p, c, a, &key);
    if (e) {
        config_free(c);
        close_process(&p);
        return 1;
    }
    raise_descriptors(c->options.connections);
    e = shared_open(c, p.tokenizer, a, &s, &problem);
    if (e) {
        log_error("%.*s", STR_ARG(problem));
        close_process(&p);
        return 1;
    }
    s->log_requests = logs_requests(c);
    e = open_workers(&p, s, worker_count(c), at);
    if (e && e != ERR_INVALID) /* that is an engine's, and in the log already */
        log_error("%.*s: %s", STR_ARG(c->options.listen),
                  e == ERR_EXISTS        ? "the address is in use"
                  : e == ERR_UNREACHABLE ? "no address of this machine"
                                         : err_text(e));
    for (size_t i = 0; i < p.worker_count && !e; i++)
        e = worker_start(p.workers[i]);
    if (!e)
        print_welcome(c, at, key);
    shared_unref(s);
    if (!e) {
        wait_for_end(&p, cl, &signals, drain_ms);
        for (size_t i = 0; i < p.worker_count; i++)
            worker_join(p.workers[i]);
    }
    close_process(&p);
    return e ? 1 : 0;
}

int serve_main(int argc, char **argv)
{
    struct command_line cl = { 0 };
    struct config      *c;
    struct address      at;
    struct arena        a;
    int                 status;

    if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0))
        return usage(stdout);
    if (!parse(argc, argv, &cl))
        return usage(stderr);
    c = load(&cl);
    if (!c)
        return 2;
    open_log(c);
    if (!address_parse(c->options.listen, &at)) {
        log_error("listen: \"%.*s\" is no address such as 127.0.0.1:8420", STR_ARG(c->options.listen));
        return 2;
    }
    arena_init(&a, 0);
    status = run(c, &cl, &at, &a);
    arena_free(&a);
    return status;
}
