/* rates_redis.c - a connection to a Valkey or Redis server, for running one script.
 *
 *              answered                      broken, late
 *   OPENING ------------> READY ------------------------------> AWAY
 *      ^  \------------------------ not ------------------------^ |
 *      +--------------------------- after a pause ----------------+
 *
 * Only in the very first OPENING do questions wait, so that a server that is there is asked from the first request on.
 *
 * Memory: a link (a connection and its reader) is malloc'd and goes when libuv has closed it. A call belongs to the fiber
 * that waits for it, which is why that waits until it is answered or the link breaks, cancelled or not.
 * Limits: an answer that takes `timeout_us` breaks the link; so no more questions wait than come in that time.
 */
#include "access/rates_redis.h"

#include "access/rates_lua.gen.h"
#include "base/buf.h"
#include "base/log.h"
#include "loop/loop.h"
#include "loop/timer.h"

#include <hiredis/hiredis.h>
#include <stdlib.h>

#define PORT         6379
#define CONNECT_US   ((int64_t)1000 * 1000)
#define PAUSE_MIN_US ((int64_t)20 * 1000)
#define PAUSE_MAX_US ((int64_t)1000 * 1000)
#define COMMAND_MAX  ((size_t)64 * 1024)
#define ADDRESS_MAX  4
#define SHA_LEN      40

struct call {
    struct call  *next;
    struct fiber *fiber;
    int64_t       due_us;
    bool          done;
    redisReply   *reply; /* NULL when the link has broken */
};

struct link {
    struct stream stream;
    struct redis *redis; /* NULL when it has been given up */
    redisReader  *reader;
    struct call  *first, *last; /* in the order of their answers */
};

struct waiter {
    struct waiter *next;
    struct fiber  *fiber;
};

enum redis_state { REDIS_OPENING, REDIS_READY, REDIS_AWAY };

struct redis {
    const struct redis_server *server;
    struct loop               *loop;
    enum redis_state           state;
    struct link               *link;
    struct fiber              *opener;     /* NULL when none is opening */
    struct waiter             *waiters;    /* for the first connection */
    unsigned                   failures;   /* since the server last answered */
    bool                       told;       /* that it is away, in the log */
    bool                       told_error; /* that it answers with an error */
    bool                       overdue;    /* the oldest call was late when the timer last looked */
    bool                       closing;
    struct timer               answer_timer, pause_timer;
    char                       sha[SHA_LEN];
};

/* ---- URLs ---- */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static str percent_decode(struct arena *a, str s)
{
    char  *out = arena_bytes(a, s.len + 1);
    size_t len = 0;

    for (size_t i = 0; i < s.len; i++) {
        int high = s.ptr[i] == '%' && i + 2 < s.len ? hex_digit(s.ptr[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s.ptr[i + 2]) : -1;

        if (low >= 0)
            i += 2;
        out[len++] = low >= 0 ? (char)(high * 16 + low) : s.ptr[i];
    }
    return str_of(out, len);
}

static bool db_parse(str text, int64_t *ret)
{
    return str_to_i64(text, ret) && *ret >= 0 && *ret <= INT32_MAX;
}

static bool unix_parse(struct arena *a, str rest, struct redis_server *ret)
{
    size_t query = str_find(rest, '?');

    if (query != STR_NONE) {
        str text = str_from(rest, query + 1);

        if (!str_starts(text, S("db=")) || !db_parse(str_from(text, 3), &ret->db))
            return false;
        rest = str_first(rest, query);
    }
    if (str_starts(rest, S("//")))
        rest = str_from(rest, 2);
    ret->fixed = true;
    return address_parse(arena_printf(a, "unix:%.*s", STR_ARG(rest)), &ret->address);
}

bool redis_server_parse(struct arena *a, str url, struct redis_server *ret)
{
    struct redis_server s = { .port = PORT };
    size_t              at = STR_NONE, colon;
    str                 authority;

    if (str_starts(url, S("unix:"))) {
        if (!unix_parse(a, str_from(url, 5), &s))
            return false;
        *ret = s;
        return true;
    }
    if (!str_starts(url, S("redis://")))
        return false;
    url = str_from(url, 8);
    authority = str_cut(&url, '/');
    if (url.len && !db_parse(url, &s.db))
        return false;
    for (size_t i = 0; i < authority.len; i++) { /* a password may have one */
        if (authority.ptr[i] == '@')
            at = i;
    }
    if (at != STR_NONE) {
        str credentials = str_first(authority, at);

        colon = str_find(credentials, ':');
        if (colon == STR_NONE)
            return false;
        s.user = percent_decode(a, str_first(credentials, colon));
        s.password = percent_decode(a, str_from(credentials, colon + 1));
        authority = str_from(authority, at + 1);
    }
    s.fixed = address_parse(authority, &s.address) ||
              address_parse(arena_printf(a, "%.*s:%u", STR_ARG(authority), PORT), &s.address);
    colon = str_find(authority, ':');
    s.host = arena_str(a, str_first(authority, colon));
    if (!s.fixed && colon != STR_NONE) {
        uint64_t port;

        if (!str_to_u64(str_from(authority, colon + 1), &port) || port == 0 || port > 65535)
            return false;
        s.port = (uint16_t)port;
    }
    if (s.host.len == 0 && !s.fixed)
        return false;
    *ret = s;
    return true;
}

/* ---- questions and answers ---- */

static void answer_timer_set(struct redis *r)
{
    r->overdue = false;
    if (r->link && r->link->first)
        timer_set(r->loop, &r->answer_timer, r->link->first->due_us);
    else
        timer_stop(&r->answer_timer);
}

static void call_end(struct link *l, redisReply *reply)
{
    struct call *c = l->first;

    l->first = c->next;
    c->done = true;
    c->reply = reply;
    fiber_wake(c->fiber);
}

static void pause_begin(struct redis *r)
{
    int64_t pause_us = PAUSE_MIN_US;

    for (unsigned i = 0; i < r->failures && pause_us < PAUSE_MAX_US; i++)
        pause_us *= 2;
    r->state = REDIS_AWAY;
    timer_set(r->loop, &r->pause_timer, loop_now_us(r->loop) + (pause_us < PAUSE_MAX_US ? pause_us : PAUSE_MAX_US));
}

static void waiters_wake(struct redis *r)
{
    for (struct waiter *w = r->waiters; w; w = w->next)
        fiber_wake(w->fiber);
}

static void tell(struct redis *r, const char *what)
{
    if (!r->told && !r->closing)
        log_warn("rates: the server of the limits is away (%s), %s until it is back", what, r->server->away);
    r->told = true;
}

/* Ends a connection: everybody who waits for an answer of it gets none. */
static void link_break(struct link *l, const char *why)
{
    struct redis *r = l->redis;

    if (!r)
        return;
    l->redis = NULL;
    r->link = NULL;
    while (l->first)
        call_end(l, NULL);
    stream_close(&l->stream);
    answer_timer_set(r);
    if (r->state == REDIS_READY && !r->closing) {
        tell(r, why);
        pause_begin(r);
    }
}

static void on_read(struct stream *s, str bytes, enum err e)
{
    struct link *l = CONTAINER_OF(s, struct link, stream);
    void        *reply = NULL;

    if (!l->redis)
        return;
    if (e) {
        link_break(l, err_text(e));
        return;
    }
    if (redisReaderFeed(l->reader, bytes.ptr, bytes.len) != REDIS_OK) {
        link_break(l, l->reader->errstr);
        return;
    }
    for (;;) {
        if (redisReaderGetReply(l->reader, &reply) != REDIS_OK) {
            link_break(l, l->reader->errstr);
            return;
        }
        if (!reply)
            break;
        if (!l->first) {
            freeReplyObject(reply);
            link_break(l, "it answers what nobody asked");
            return;
        }
        call_end(l, reply);
    }
    answer_timer_set(l->redis);
}

static void on_closed(struct stream *s)
{
    struct link *l = CONTAINER_OF(s, struct link, stream);

    redisReaderFree(l->reader);
    free(l);
}

static const struct stream_events events = { .on_read = on_read, .on_closed = on_closed };

/* An answer that lies in the socket because this loop was busy is not late: before a link breaks, the loop reads once. */
static void on_answer_timer(void *arg)
{
    struct redis *r = arg;

    if (!r->link || !r->link->first)
        return;
    if (r->overdue) {
        link_break(r->link, "no answer in time");
        return;
    }
    r->overdue = true;
    timer_set(r->loop, &r->answer_timer, loop_now_us(r->loop) + 1000);
}

/* Sends a command and waits for its answer: NULL when the link has broken, else the caller's to free. */
static SUSPENDS redisReply *link_ask(struct link *l, const str *args, size_t count)
{
    struct redis *r = l->redis;
    redisReply   *reply = NULL;
    struct call  *c;
    struct arena  arena;
    struct buf    command;
    str           text;
    enum err      e;

    might_suspend();
    arena_init(&arena, 0);
    buf_init(&command, &arena, COMMAND_MAX);
    buf_addf(&command, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        buf_addf(&command, "$%zu\r\n", args[i].len);
        buf_add(&command, args[i]);
        buf_add(&command, S("\r\n"));
    }
    text = buf_str(&command);
    e = command.full ? ERR_LIMIT : stream_write(&l->stream, &text, 1);
    if (e) {
        link_break(l, err_text(e));
    } else {
        c = arena_new(&arena, struct call);
        c->fiber = fiber_self();
        c->due_us = loop_now_us(r->loop) + r->server->timeout_us;
        if (l->first)
            l->last->next = c;
        else
            l->first = c;
        l->last = c;
        if (l->first == c)
            answer_timer_set(r);
        while (!c->done)
            fiber_wait_through();
        reply = c->reply;
    }
    arena_free(&arena);
    return reply;
}

/* ---- opening ---- */

/* Whether the answer is there and no error, which is told. */
static bool handshake_step(struct redis *r, const str *args, size_t count, char *ret_sha)
{
    redisReply *reply = r->link ? link_ask(r->link, args, count) : NULL;
    bool        good = reply && reply->type != REDIS_REPLY_ERROR;

    if (good && ret_sha) {
        good = reply->type == REDIS_REPLY_STRING && strlen(reply->str) == SHA_LEN;
        if (good)
            memcpy(ret_sha, reply->str, SHA_LEN);
    }
    if (!good)
        tell(r, reply && reply->str ? reply->str : "no answer");
    if (reply)
        freeReplyObject(reply);
    return good;
}

static bool handshake(struct redis *r)
{
    const struct redis_server *s = r->server;
    str                        load[] = { S("SCRIPT"), S("LOAD"), str_of(rates_lua, rates_lua_len) };

    if (s->password.len) {
        str  args[] = { S("AUTH"), s->user, s->password };
        str  old[] = { S("AUTH"), s->password };
        bool named = s->user.len != 0;

        if (!handshake_step(r, named ? args : old, named ? 3 : 2, NULL))
            return false;
    }
    if (s->db) {
        char text[24];
        int  n = snprintf(text, sizeof(text), "%lld", (long long)s->db);
        str  args[] = { S("SELECT"), str_of(text, (size_t)n) };

        if (!handshake_step(r, args, 2, NULL))
            return false;
    }
    return handshake_step(r, load, 3, r->sha);
}

static enum err connect_link(struct redis *r)
{
    int64_t        deadline_us = loop_now_us(r->loop) + CONNECT_US;
    struct address to[ADDRESS_MAX] = { r->server->address };
    struct link   *l;
    size_t         count = 1;
    enum err       e = OK;

    if (!r->server->fixed)
        e = address_resolve(r->server->host, r->server->port, deadline_us, to, ADDRESS_MAX, &count);
    if (e)
        return e;
    l = xcalloc(1, sizeof(*l));
    for (size_t i = 0; i == 0 || (e && i < count); i++)
        e = stream_connect(&l->stream, &events, &to[i], deadline_us);
    if (e) {
        free(l);
        return e;
    }
    l->redis = r;
    l->reader = redisReaderCreate();
    r->link = l;
    stream_read_start(&l->stream);
    return OK;
}

static void free_when_over(struct redis *r)
{
    if (r->closing && !r->opener)
        free(r);
}

static void open_main(void *arg)
{
    struct redis *r = arg;
    enum err      e = connect_link(r);

    if (e)
        tell(r, err_text(e));
    if (!e && !r->closing && handshake(r)) {
        if (r->told)
            log_info("rates: the server of the limits is back");
        r->told = false;
        r->failures = 0;
        r->state = REDIS_READY;
    } else {
        r->failures++;
        if (r->link)
            link_break(r->link, "");
        if (!r->closing)
            pause_begin(r);
    }
    r->opener = NULL;
    if (r->closing && r->link)
        link_break(r->link, "");
    waiters_wake(r);
    free_when_over(r);
}

static void on_pause_over(void *arg)
{
    struct redis *r = arg;

    r->state = REDIS_OPENING;
    r->opener = fiber_start(r->loop, open_main, r);
}

struct redis *redis_open(const struct redis_server *server, struct loop *l)
{
    struct redis *r = xcalloc(1, sizeof(*r));

    r->server = server;
    r->loop = l;
    timer_init(&r->answer_timer, on_answer_timer, r);
    timer_init(&r->pause_timer, on_pause_over, r);
    r->opener = fiber_start(l, open_main, r);
    return r;
}

void redis_close(struct redis *r)
{
    if (!r)
        return;
    r->closing = true;
    if (r->link)
        link_break(r->link, "");
    timer_remove(r->loop, &r->answer_timer);
    timer_remove(r->loop, &r->pause_timer);
    if (r->opener)
        fiber_cancel(r->opener);
    free_when_over(r);
}

/* ---- asking ---- */

/* Until the first connection has come about or not. */
static SUSPENDS void wait_first(struct redis *r)
{
    struct waiter   w = { .next = r->waiters, .fiber = fiber_self() };
    int64_t         deadline_us = loop_now_us(r->loop) + r->server->timeout_us;
    enum err        e = OK;
    struct waiter **at;

    r->waiters = &w;
    while (r->state == REDIS_OPENING && r->failures == 0 && !r->told && !e)
        e = fiber_wait(deadline_us);
    for (at = &r->waiters; *at != &w; at = &(*at)->next)
        ;
    *at = w.next;
}

static bool is_noscript(const redisReply *reply)
{
    return reply && reply->type == REDIS_REPLY_ERROR && str_starts(str_from_cstr(reply->str), S("NOSCRIPT"));
}

static redisReply *eval(struct redis *r, str command, str script, const str *args, size_t count)
{
    str all[2 + REDIS_ARGS_MAX];

    ASSERT(count <= REDIS_ARGS_MAX);
    all[0] = command;
    all[1] = script;
    memcpy(all + 2, args, count * sizeof(*args));
    return link_ask(r->link, all, 2 + count);
}

bool redis_is_ready(const struct redis *r)
{
    return r->state == REDIS_READY;
}

/* Once when its answers begin to be errors, and once when they are good again (`what` NULL). */
static void tell_error(struct redis *r, const char *what)
{
    if (what && !r->told_error)
        log_warn("rates: the server of the limits answers: %s, %s until that ends", what, r->server->away);
    if (!what && r->told_error)
        log_info("rates: the server of the limits answers well again");
    r->told_error = what != NULL;
}

enum err redis_run(struct redis *r, const str *args, size_t count, int64_t *ret, size_t max)
{
    redisReply *reply;
    enum err    e = ERR_UNREACHABLE;

    might_suspend();
    if (r->state == REDIS_OPENING && r->failures == 0 && !r->told)
        wait_first(r);
    if (r->state != REDIS_READY)
        return ERR_UNREACHABLE;
    reply = eval(r, S("EVALSHA"), str_of(r->sha, SHA_LEN), args, count);
    if (is_noscript(reply) && r->state == REDIS_READY) { /* it was restarted or told to forget */
        freeReplyObject(reply);
        reply = eval(r, S("EVAL"), str_of(rates_lua, rates_lua_len), args, count);
    }
    if (reply)
        tell_error(r, reply->type == REDIS_REPLY_ERROR ? reply->str : NULL);
    if (reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == max) {
        e = OK;
        for (size_t i = 0; i < max; i++) {
            if (reply->element[i]->type != REDIS_REPLY_INTEGER)
                e = ERR_UNREACHABLE;
            else
                ret[i] = reply->element[i]->integer;
        }
    }
    if (reply)
        freeReplyObject(reply);
    return e;
}
