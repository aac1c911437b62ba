/* process.c - an engine that dashbox starts itself: its supervisor, and the engine in front of it.
 *
 * The supervisor is one fiber for the child's whole life. The state is the only thing that other threads look at.
 */
#include "engine/process/process.h"

#include "base/log.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "loop/loop.h"
#include "loop/process.h"
#include "net/http_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define CHECK_FIRST_US ((int64_t)20 * 1000) /* between checks of one that starts: doubled up to the next */
#define CHECK_MOST_US  ((int64_t)500 * 1000)
#define CHECK_MS       5000                 /* a health check takes no longer */
#define CHECK_FAILURES 3                    /* in a row: it hangs */
#define POLL_US        ((int64_t)10 * 1000) /* how often a request that waits looks at the state */
#define LAST_LINE_MAX  200

struct child {
    struct loop         *loop;
    struct arena         arena;
    struct child_options o;
    char                *url, *socket; /* socket: its path, NULL when it listens on a port */
    const char         **argv, **env;
    struct http_pool    *health;
    struct fiber        *fiber; /* NULL when it has ended */
    struct process      *process;
    char                 last_line[LAST_LINE_MAX];
    size_t               last_line_len;
    bool                 closing, wanted;
    int64_t              backoff_ms;
    void (*on_closed)(void *arg);
    void *on_closed_arg;

    _Atomic int64_t wait_ms;

    atomic_int  state;
    atomic_bool missing; /* the last start found no program */
    atomic_bool asked;   /* child_ask() is on its way */
    atomic_uint refs;    /* the owner and the supervisor as one, engines, what is posted */
};

static void child_unref(struct child *c)
{
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    arena_free(&c->arena);
    free(c);
}

/* ---- the state ---- */

const char *child_state_name(enum child_state s)
{
    static const char *const names[] = {
        [CHILD_STOPPED] = "stopped", [CHILD_STARTING] = "starting", [CHILD_READY] = "ready",
        [CHILD_BROKEN] = "broken",   [CHILD_CLOSING] = "closing",   [CHILD_CLOSED] = "closed",
    };

    ASSERT((size_t)s < ARRAY_LEN(names));
    return names[s];
}

enum child_state child_state(const struct child *c)
{
    return (enum child_state)atomic_load(&c->state);
}

static void child_enter(struct child *c, enum child_state next)
{
    static const unsigned legal[] = {
        [CHILD_STOPPED] = BIT(CHILD_STARTING) | BIT(CHILD_CLOSING),
        [CHILD_STARTING] = BIT(CHILD_READY) | BIT(CHILD_BROKEN) | BIT(CHILD_CLOSING),
        [CHILD_READY] = BIT(CHILD_BROKEN) | BIT(CHILD_CLOSING),
        [CHILD_BROKEN] = BIT(CHILD_STARTING) | BIT(CHILD_CLOSING),
        [CHILD_CLOSING] = BIT(CHILD_CLOSED),
        [CHILD_CLOSED] = 0,
    };
    enum child_state now = child_state(c);

    ASSERT(legal[now] & BIT(next));
    log_debug("engine %.*s: its process is %s", STR_ARG(c->o.name), child_state_name(next));
    atomic_store(&c->state, (int)next);
}

/* ---- the supervisor ---- */

static void on_line(void *arg, str line)
{
    struct child *c = arg;

    c->last_line_len = min_size(line.len, sizeof(c->last_line));
    memcpy(c->last_line, line.ptr, c->last_line_len);
    log_debug("engine %.*s: %.*s", STR_ARG(c->o.name), STR_ARG(line));
}

static void on_ended(void *arg)
{
    fiber_wake(((struct child *)arg)->fiber);
}

static bool is_running(const struct child *c)
{
    return c->process && !process_ended(c->process);
}

/* Until the child ends, is to be closed, or the time has come. */
static SUSPENDS void child_sleep(struct child *c, int64_t us)
{
    int64_t until_us = loop_now_us(c->loop) + us;

    while (!c->closing && is_running(c) && !fiber_wait(until_us))
        ;
}

static SUSPENDS bool child_check(struct child *c)
{
    struct http_client_request rq = { .method = S("GET"), .target = c->o.health_path, .total_ms = CHECK_MS };
    struct arena               a;
    struct http_client        *call;
    bool                       good;

    arena_init(&a, 0);
    good = !http_client_open(c->health, &a, &rq, &call);
    if (good) {
        int status = http_client_head(call)->status;

        http_client_leave(call);
        good = status >= 200 && status <= 299;
    }
    arena_free(&a);
    return good;
}

static bool child_start(struct child *c)
{
    struct process_options o = {
        .argv = c->argv,
        .env = c->env,
        .dir = c->o.dir.len ? c->o.dir.ptr : NULL,
        .on_line = on_line,
        .on_exit = on_ended,
        .arg = c,
    };
    enum err e;

    if (c->socket)
        (void)unlink(c->socket); /* left by one that was killed */
    c->last_line_len = 0;
    e = process_start(c->loop, &o, &c->process);
    atomic_store(&c->missing, e == ERR_NOT_FOUND);
    return e == OK;
}

/* Why it is broken, for the log; one that hangs is stopped. */
static SUSPENDS const char *child_end(struct child *c, const char *why, char text[PROCESS_END_TEXT_MAX])
{
    if (!c->process)
        return atomic_load(&c->missing) ? "the program is not there" : "it could not be started";
    if (is_running(c)) {
        process_stop(c->process, c->o.grace_ms);
        while (is_running(c)) {
            if (process_wait(c->process, DEADLINE_NONE))
                break;
        }
        return why;
    }
    process_end_text(c->process, text);
    atomic_store(&c->missing, process_was_missing(c->process));
    return text;
}

/* Until it is ready, or is not going to be. */
static SUSPENDS bool child_wait_ready(struct child *c)
{
    int64_t until_us = loop_now_us(c->loop) + c->o.ready_ms * 1000;
    int64_t pause_us = CHECK_FIRST_US;

    while (!c->closing && is_running(c) && loop_now_us(c->loop) < until_us) {
        if (child_check(c))
            return is_running(c);
        child_sleep(c, pause_us);
        pause_us = min_i64(2 * pause_us, CHECK_MOST_US);
    }
    return false;
}

/* As long as it is there and answers its health checks. */
static SUSPENDS void child_watch(struct child *c)
{
    unsigned failures = 0;

    while (!c->closing && is_running(c) && failures < CHECK_FAILURES) {
        child_sleep(c, c->o.health_ms * 1000);
        if (c->closing || !is_running(c))
            return;
        failures = child_check(c) ? 0 : failures + 1;
    }
}

/* One life of the child, from its start until it is broken or closed. */
static SUSPENDS void child_live(struct child *c)
{
    char        text[PROCESS_END_TEXT_MAX];
    const char *why = "it was not ready in time";
    int64_t     ready_us = 0;

    child_enter(c, CHILD_STARTING);
    if (child_start(c) && child_wait_ready(c)) {
        child_enter(c, CHILD_READY);
        log_info("engine %.*s: its process %d is ready", STR_ARG(c->o.name), process_pid(c->process));
        ready_us = loop_now_us(c->loop);
        child_watch(c);
        why = "it did not answer its health checks";
    }
    if (c->closing)
        return;
    if (ready_us && loop_now_us(c->loop) - ready_us >= c->o.up_ms * 1000)
        c->backoff_ms = 0;
    c->backoff_ms = min_i64(max_i64(2 * c->backoff_ms, c->o.backoff_ms), c->o.backoff_max_ms);
    child_enter(c, CHILD_BROKEN);
    why = child_end(c, why, text);
    if (!c->closing)
        log_warn("engine %.*s: its process has failed (%s: %s), starting it again in %lld ms%s%.*s", STR_ARG(c->o.name),
                 c->argv[0], why, (long long)c->backoff_ms, c->last_line_len ? "; its last line: " : "",
                 (int)c->last_line_len, c->last_line);
}

static void supervisor_main(void *arg)
{
    struct child *c = arg;

    while (!c->closing) {
        int64_t until_us;

        while (!c->wanted && !c->closing)
            (void)fiber_wait(DEADLINE_NONE);
        if (c->closing)
            break;
        child_live(c);
        if (c->closing)
            break;
        process_free(c->process);
        c->process = NULL;
        until_us = loop_now_us(c->loop) + c->backoff_ms * 1000;
        while (!c->closing && !fiber_wait(until_us))
            ;
    }
    child_enter(c, CHILD_CLOSING);
    if (is_running(c))
        process_stop(c->process, c->o.grace_ms);
    while (is_running(c))
        (void)process_wait(c->process, DEADLINE_NONE);
    process_free(c->process);
    if (c->socket)
        (void)unlink(c->socket);
    http_pool_close(c->health);
    child_enter(c, CHILD_CLOSED);
    c->fiber = NULL;
    if (c->on_closed)
        c->on_closed(c->on_closed_arg);
    child_unref(c);
}

static void on_asked(void *arg)
{
    struct child *c = arg;

    c->wanted = true;
    fiber_wake(c->fiber);
    child_unref(c);
}

void child_ask(struct child *c)
{
    if (child_state(c) != CHILD_STOPPED || atomic_exchange(&c->asked, true))
        return;
    atomic_fetch_add(&c->refs, 1);
    loop_post(c->loop, on_asked, c);
}

void child_close(struct child *c, void (*on_closed)(void *arg), void *arg)
{
    ASSERT(!c->closing);
    c->closing = true;
    c->on_closed = on_closed;
    c->on_closed_arg = arg;
    if (is_running(c))
        process_stop(c->process, c->o.grace_ms); /* now: the supervisor may be in the middle of a check */
    fiber_wake(c->fiber);
}

const char *child_url(const struct child *c)
{
    return c->url;
}

/* ---- setting a child up ---- */

struct place {
    str name, value;
};

/* Replaces all places in a word. */
static const char *word_fill(struct arena *a, str word, const struct place *places, size_t count)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    while (word.len) {
        bool found = false;

        for (size_t i = 0; i < count && !found; i++) {
            found = str_starts(word, places[i].name);
            if (found) {
                buf_add(&b, places[i].value);
                word = str_from(word, places[i].name.len);
            }
        }
        if (!found) {
            buf_add_char(&b, word.ptr[0]);
            word = str_from(word, 1);
        }
    }
    buf_add_char(&b, 0);
    return b.ptr;
}

static bool is_named(const str *words, size_t count, str place)
{
    for (size_t i = 0; i < count; i++) {
        if (str_find_str(words[i], place) != STR_NONE)
            return true;
    }
    return false;
}

bool child_command_ok(const str *words, size_t count)
{
    return is_named(words, count, S("{port}")) != is_named(words, count, S("{socket}"));
}

static void on_accept(struct listener *ln, void *arg)
{
    (void)ln, (void)arg; /* it is closed before anybody could come */
}

/* A port that is free now. Somebody else may take it before the child does; then the child fails, says so, and is
 * started again. A socket has no such race. */
static enum err port_find(struct loop *l, uint16_t *ret)
{
    struct listener *ln;
    struct address   at;
    enum err         e;

    ASSERT(address_parse(S("127.0.0.1:0"), &at));
    e = listener_open(l, &at, 1, on_accept, NULL, &ln);
    if (e)
        return e;
    listener_address(ln, &at);
    *ret = ntohs(at.in.sin_port);
    listener_close(ln);
    return OK;
}

static void options_fill(struct child_options *o)
{
    o->socket_dir = o->socket_dir.len ? o->socket_dir : S("/tmp");
    o->base = o->base.len ? o->base : S("/v1");
    o->health_path = o->health_path.len ? o->health_path : S("/health");
    o->ready_ms = o->ready_ms ? o->ready_ms : 120 * 1000;
    o->health_ms = o->health_ms ? o->health_ms : 10 * 1000;
    o->wait_ms = o->wait_ms ? o->wait_ms : 30 * 1000;
    o->backoff_ms = o->backoff_ms ? o->backoff_ms : 1000;
    o->backoff_max_ms = o->backoff_max_ms ? o->backoff_max_ms : 60 * 1000;
    o->up_ms = o->up_ms ? o->up_ms : 60 * 1000;
    o->grace_ms = o->grace_ms ? o->grace_ms : 10 * 1000;
}

static atomic_uint socket_number;

static enum err child_setup(struct child *c)
{
    struct child_options    *o = &c->o;
    struct http_pool_options po = { .connection_max = 1, .connect_ms = CHECK_MS };
    struct place             places[3];
    uint16_t                 port = 0;
    str                      base, socket = { 0 };
    enum err                 e = OK;

    if (!child_command_ok(o->command, o->command_count)) {
        log_error("engine %.*s: its command must say where it listens, with {port} or with {socket}", STR_ARG(o->name));
        return ERR_INVALID;
    }
    if (is_named(o->command, o->command_count, S("{port}"))) {
        e = port_find(c->loop, &port);
        if (e)
            return e;
        c->url = (char *)(uintptr_t)arena_printf(&c->arena, "http://127.0.0.1:%u%.*s", port, STR_ARG(o->base)).ptr;
    } else {
        /* A child of the same name may be on its way out, and takes its socket with it. */
        socket = arena_printf(&c->arena, "%.*s/dashbox-%d-%u-%.*s.sock", STR_ARG(o->socket_dir), (int)getpid(),
                              atomic_fetch_add(&socket_number, 1), STR_ARG(o->name));
        c->socket = (char *)(uintptr_t)socket.ptr;
        c->url = (char *)(uintptr_t)arena_printf(&c->arena, "unix:%s:%.*s", c->socket, STR_ARG(o->base)).ptr;
    }
    if (!http_origin_parse(str_from_cstr(c->url), &po.origin, &base)) {
        log_error("engine %.*s: it cannot listen at %s", STR_ARG(o->name), c->url);
        return ERR_INVALID;
    }
    places[0] = (struct place){ S("{port}"), arena_printf(&c->arena, "%u", port) };
    places[1] = (struct place){ S("{socket}"), socket };
    places[2] = (struct place){ S("{model}"), o->model };
    c->argv = arena_array(&c->arena, const char *, o->command_count + 1);
    for (size_t i = 0; i < o->command_count; i++)
        c->argv[i] = word_fill(&c->arena, o->command[i], places, ARRAY_LEN(places));
    c->env = arena_array(&c->arena, const char *, o->environment_count + 1);
    for (size_t i = 0; i < o->environment_count; i++)
        c->env[i] = str_to_cstr(&c->arena, o->environment[i]);
    c->health = http_pool_open(c->loop, &po);
    return OK;
}

enum err child_open(struct loop *l, const struct child_options *o, struct child **ret)
{
    struct child *c = xcalloc(1, sizeof(*c));
    enum err      e;

    c->loop = l;
    c->o = *o;
    arena_init(&c->arena, 0);
    options_fill(&c->o);
    c->o.name = arena_str(&c->arena, c->o.name);
    c->o.dir = arena_str(&c->arena, c->o.dir);
    c->o.health_path = arena_str(&c->arena, c->o.health_path);
    atomic_init(&c->state, CHILD_STOPPED);
    atomic_init(&c->missing, false);
    atomic_init(&c->refs, 1);
    atomic_init(&c->wait_ms, c->o.wait_ms);
    e = child_setup(c);
    /* Used up, and the caller's. */
    c->o.command = c->o.environment = NULL;
    c->o.model = c->o.socket_dir = c->o.base = (str){ 0 };
    if (e) {
        child_unref(c);
        return e;
    }
    c->wanted = o->at_boot;
    c->fiber = fiber_start(l, supervisor_main, c);
    *ret = c;
    return OK;
}

void child_adjust(struct child *c, const struct child_options *o)
{
    struct child_options now = *o;

    options_fill(&now);
    c->o.health_ms = now.health_ms;
    c->o.ready_ms = now.ready_ms;
    atomic_store(&c->wait_ms, now.wait_ms);
    if (!str_eq(c->o.health_path, now.health_path))
        c->o.health_path = arena_str(&c->arena, now.health_path);
    if (now.at_boot)
        child_ask(c);
}

/* ---- the engine ---- */

#define OPEN_TRIES 3 /* of one request, when the child dies before it has answered */

struct process_engine {
    struct engine  engine;
    struct child  *child;
    struct engine *upstream;
    struct engine *fallback;
    bool           images;
};

/* Until the child is ready. Its state belongs to another thread: looking again is all that is needed, and only while it
 * is not ready. */
static SUSPENDS enum err child_wait(struct child *c)
{
    int64_t until_us = loop_now_us(fiber_loop()) + atomic_load(&c->wait_ms) * 1000;

    for (;;) {
        enum child_state s = child_state(c);
        enum err         e;

        if (s == CHILD_READY)
            return OK;
        if (s == CHILD_CLOSING || s == CHILD_CLOSED || atomic_load(&c->missing))
            return ERR_UNREACHABLE; /* waiting does not help */
        child_ask(c);
        if (loop_now_us(fiber_loop()) >= until_us)
            return ERR_TIMEOUT;
        e = fiber_sleep_until(min_i64(until_us, loop_now_us(fiber_loop()) + POLL_US));
        if (e)
            return e;
    }
}

static void say_not_ready(struct request *rq, struct child *c)
{
    (void)fail_model_unavailable(&rq->fault);
    if (atomic_load(&c->missing))
        (void)fault_detail(&rq->fault, arena_printf(rq->arena, "%s cannot be run", c->argv[0]));
    else
        (void)fault_detail(&rq->fault,
                           arena_printf(rq->arena, "the engine's process is %s", child_state_name(child_state(c))));
}

static SUSPENDS enum err process_ask(struct engine *e, struct request *rq, const struct engine_question *q)
{
    struct process_engine *pe = CONTAINER_OF(e, struct process_engine, engine);
    bool                   elsewhere = false;
    enum err               err;

    might_suspend();
    rq->engine = pe->engine.name;
    rq->action = "waiting for the engine's process";
    for (unsigned tries = 1; !(err = child_wait(pe->child)); tries++) {
        /* The stream is the upstream's, and so are its functions. */
        err = upstream_ask(pe->upstream, rq, q, &elsewhere);
        if (!elsewhere)
            return err;
        if (rq->fault.row != &error_rows[ERROR_MODEL_UNAVAILABLE] || tries == OPEN_TRIES)
            break;
        /* It has died, and its supervisor is about to notice: that is waited for as its start is. */
        elsewhere = false;
        err = fiber_sleep_until(loop_now_us(fiber_loop()) + POLL_US);
        if (err)
            break;
    }
    if (err == ERR_CANCELLED)
        return err;
    if (!elsewhere)
        say_not_ready(rq, pe->child);
    return pe->fallback ? engine_fall_back(&pe->engine, pe->fallback, rq, q) : ERR_FAULT;
}

static SUSPENDS enum err process_open(struct engine *e, struct request *rq, const struct chat_input *in,
                                      struct engine_stream **ret)
{
    return process_ask(e, rq, &(struct engine_question){ .chat = in, .stream = ret });
}

static SUSPENDS enum err process_embed(struct engine *e, struct request *rq, const struct embed_input *in,
                                       struct embed_answer *ret)
{
    return process_ask(e, rq, &(struct engine_question){ .embed = in, .vectors = ret });
}

static SUSPENDS enum err process_rerank(struct engine *e, struct request *rq, const struct rerank_input *in,
                                        struct rerank_answer *ret)
{
    return process_ask(e, rq, &(struct engine_question){ .rerank = in, .ranking = ret });
}

static SUSPENDS enum err process_image(struct engine *e, struct request *rq, const struct image_input *in,
                                       struct image_answer *ret)
{
    if (!CONTAINER_OF(e, struct process_engine, engine)->images)
        return ERR_NOT_FOUND;
    return process_ask(e, rq, &(struct engine_question){ .image = in, .picture = ret });
}

const struct child *process_engine_child(const struct engine *e)
{
    return CONTAINER_OF(e, const struct process_engine, engine)->child;
}

static SUSPENDS enum err process_next(struct engine_stream *st, struct chat_event *ret)
{
    return st->ops->next(st, ret);
}

static bool process_ready(const struct engine_stream *st)
{
    return st->ops->ready(st);
}

static const struct engine_ops process_ops = {
    .kind = "process",
    .open = process_open,
    .next = process_next,
    .ready = process_ready,
    .embed = process_embed,
    .rerank = process_rerank,
    .image = process_image,
};

enum err process_engine_open(struct loop *l, struct child *c, const struct upstream_options *o, struct engine **ret)
{
    struct process_engine   *pe;
    struct upstream_endpoint at = { .url = str_from_cstr(c->url) };
    struct upstream_options  uo = *o;
    struct engine           *upstream;
    enum err                 e;

    uo.name = c->o.name;
    uo.endpoints = &at;
    uo.endpoint_count = 1;
    uo.health_path = (str){ 0 }; /* the supervisor's business */
    uo.supervised = true;
    uo.fallback = NULL;       /* ours: the child may be back soon */
    if (!uo.backoff_max_ms) { /* a child that has come back is to be asked at once */
        uo.backoff_ms = 100;
        uo.backoff_max_ms = 500;
    }
    e = upstream_open(l, &uo, &upstream);
    if (e)
        return e;
    atomic_fetch_add(&c->refs, 1);
    pe = xcalloc(1, sizeof(*pe));
    pe->engine.ops = &process_ops;
    pe->engine.name = c->o.name;
    pe->engine.cloud = o->cloud;
    pe->child = c;
    pe->upstream = upstream;
    pe->fallback = o->fallback;
    pe->images = o->images;
    *ret = &pe->engine;
    return OK;
}

void process_engine_close(struct engine *e)
{
    struct process_engine *pe;

    if (!e)
        return;
    pe = CONTAINER_OF(e, struct process_engine, engine);
    upstream_close(pe->upstream);
    child_unref(pe->child);
    free(pe);
}

void process_engine_state(const struct engine *e, struct upstream_state *ret)
{
    upstream_state(CONTAINER_OF(e, const struct process_engine, engine)->upstream, ret);
}
