/* test_http_server.c - the server over loopback sockets, with clients that behave and clients that do not. */
#include "loop/stream.h"

/* The server's flushes go through the test, which can let their time be over early. */
SUSPENDS static enum err flush_with(struct stream *s, size_t left, int64_t deadline_us);
#define stream_flush flush_with
#include "net/http_server.c"
#undef stream_flush

#include "../loop/peer.h"
#include "record.h"

#include <signal.h>

#define UNTIL(cond)                                      \
    do {                                                 \
        while (!(cond))                                  \
            CHECK(fiber_sleep_until(after_ms(1)) == OK); \
    } while (0)

#define ECHO_MAX        ((size_t)1000)
#define READ_BUFFER_MAX ((size_t)64 * 1024) /* what the loop reads at once */
#define PIECES_BODY_MAX ((size_t)32 << 20)

/* ---- the server under test ---- */

static struct http_server_options options;
static struct http_server        *server;
static struct address             address;
static bool                       drained;

/* What the handlers did, for the tests to look at. */
static enum err last_err; /* of the last body or wait */
static unsigned handlers_begun, handlers_ended, deferred_ran;
static bool     gate; /* /wait and /pieces/slow go on when it is open */
static size_t   taken, held_most;
static bool     impatient; /* the time of a flush is over as soon as a part has been taken */
static unsigned times_over;

static enum err flush_with(struct stream *s, size_t left, int64_t deadline_us)
{
    size_t   before = stream_unsent(s);
    enum err e = OK;

    if (!impatient)
        return stream_flush(s, left, deadline_us);
    while (s->queued > left && stream_unsent(s) == before && !s->broken && !e)
        e = fiber_sleep_until(after_ms(1));
    if (e || s->broken)
        return e ? e : s->broken;
    if (s->queued <= left)
        return OK;
    times_over++;
    return ERR_TIMEOUT;
}

static void mark_deferred(void *arg)
{
    (void)arg;
    deferred_ran++;
}

static void defer_again(void *arg)
{
    struct arena *a = arg;

    memset(arena_alloc(a, 100000), 1, 100000);
    memset(arena_alloc(a, 100), 1, 100);
    arena_defer(a, mark_deferred, NULL);
    deferred_ran++;
}

static struct http_body_plan plan(void *arg, struct http_exchange *x)
{
    CHECK(arg == &server);
    http_tag_set(x, "tagged");
    if (str_starts(http_path(x), S("/pieces")))
        return (struct http_body_plan){ .max = PIECES_BODY_MAX, .pieces = true };
    if (str_starts(http_path(x), S("/few-pieces")))
        return (struct http_body_plan){ .max = ECHO_MAX, .pieces = true };
    return (struct http_body_plan){ .max = ECHO_MAX };
}

static void answer_text(struct http_exchange *x, int status, str body)
{
    struct http_field type = { S("content-type"), S("text/plain") };

    last_err = http_answer(x, status, &type, 1, body);
}

static void handle_echo(struct http_exchange *x)
{
    char    *body;
    size_t   len;
    enum err e = http_body(x, &body, &len);

    last_err = e;
    if (e == ERR_LIMIT)
        answer_text(x, 413, S("too large"));
    else if (e == ERR_PROTOCOL)
        answer_text(x, 400, S("broken"));
    else if (e == ERR_TIMEOUT)
        answer_text(x, 408, S("too slow"));
    else if (!e) {
        for (size_t i = 0; i < HTTP_BODY_PADDING; i++)
            CHECK(body[len + i] == 0);
        memset(body + len, 'p', HTTP_BODY_PADDING); /* it may be written to */
        answer_text(x, 200, str_of(body, len));
    }
    if (e)
        last_err = e;
}

static void handle_pieces(struct http_exchange *x)
{
    bool slow = str_ends(http_path(x), S("/slow"));
    str  piece = { 0 };

    taken = held_most = 0;
    do {
        while (slow && !gate) {
            held_most = max_size(held_most, x->body_len);
            if ((last_err = fiber_sleep_until(after_ms(1))))
                return;
        }
        last_err = http_body_next(x, &piece);
        if (last_err) {
            enum err e = last_err;

            answer_text(x, e == ERR_LIMIT ? 413 : 400, S("refused"));
            last_err = e;
            return;
        }
        held_most = max_size(held_most, piece.len);
        taken += piece.len;
    } while (piece.len);
    answer_text(x, 200, arena_printf(http_arena(x), "%zu", taken));
}

static void handle_wait(struct http_exchange *x)
{
    arena_defer(http_arena(x), mark_deferred, NULL);
    last_err = OK;
    while (!gate && !last_err)
        last_err = fiber_sleep_until(after_ms(1));
    if (!last_err)
        answer_text(x, 200, S("waited"));
}

enum { STREAM_PIECE = 10000, STREAM_PIECES = 1200 };

static size_t stream_sent;

static void handle_stream(struct http_exchange *x)
{
    char *piece = arena_bytes(http_arena(x), STREAM_PIECE);

    memset(piece, 's', STREAM_PIECE);
    held_most = 0;
    http_stream_begin(x, 200, NULL, 0);
    for (stream_sent = 0; stream_sent < STREAM_PIECES; stream_sent++) {
        buf_add_bytes(http_stream_buf(x), piece, STREAM_PIECE);
        last_err = http_stream_flush(x);
        if (last_err)
            return;
        held_most = max_size(held_most, x->conn->stream.queued);
    }
    last_err = http_stream_end(x);
}

static void handle_three(struct http_exchange *x)
{
    static const char *const events[] = { "one", "two", "three" };

    http_stream_begin(x, 200, (struct http_field[]){ { S("content-type"), S("text/event-stream") } }, 1);
    CHECK(http_begun(x));
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        buf_addf(http_stream_buf(x), "data: %s\n\n", events[i]);
        CHECK(http_stream_flush(x) == OK);
        CHECK(http_stream_flush(x) == OK); /* nothing has been added: nothing goes out */
    }
    buf_add(http_stream_buf(x), S("data: [DONE]\n\n"));
    CHECK(http_stream_end(x) == OK);
}

static void handle_about(struct http_exchange *x)
{
    CHECK(strcmp(http_tag(x), "tagged") == 0);
    CHECK(http_arrived_us(x) > 0);
    CHECK(http_status(x) == 0 && !http_begun(x));
    answer_text(x, 200,
                arena_printf(http_arena(x), "%.*s|%.*s|%.*s", STR_ARG(http_path(x)), STR_ARG(http_query(x)),
                             STR_ARG(http_field(x, S("x-given")))));
    CHECK(http_status(x) == 200 && http_begun(x) && http_bytes_out(x) > 0);
}

static void handle_large(struct http_exchange *x)
{
    size_t len = (size_t)STREAM_PIECE * STREAM_PIECES;
    char  *body = arena_bytes(http_arena(x), len);

    memset(body, 'L', len);
    answer_text(x, 200, str_of(body, len));
}

static void handle(void *arg, struct http_exchange *x)
{
    str path = http_path(x);

    CHECK(arg == &server);
    handlers_begun++;
    if (!http_expectation_known(x))
        answer_text(x, 417, S(""));
    else if (str_eq(path, S("/hello")))
        answer_text(x, 200, S("hello"));
    else if (str_eq(path, S("/echo")))
        handle_echo(x);
    else if (str_find_str(path, S("pieces")) != STR_NONE)
        handle_pieces(x);
    else if (str_eq(path, S("/wait")))
        handle_wait(x);
    else if (str_eq(path, S("/stream")))
        handle_stream(x);
    else if (str_eq(path, S("/three")))
        handle_three(x);
    else if (str_eq(path, S("/about")))
        handle_about(x);
    else if (str_eq(path, S("/large")))
        handle_large(x);
    else if (str_eq(path, S("/204")))
        last_err = http_answer(x, 204, NULL, 0, S(""));
    else if (str_eq(path, S("/defer"))) {
        arena_defer(http_arena(x), defer_again, http_arena(x));
        answer_text(x, 200, S("deferred"));
    } else if (str_eq(path, S("/silent")))
        (void)0;
    else
        answer_text(x, 404, S("nothing here"));
    handlers_ended++;
}

static int setup(void **state)
{
    options = (struct http_server_options){
        .head_time_ms = 60000,
        .body_time_ms = 60000,
        .idle_time_ms = 60000,
        .connection_max = 100,
        .plan = plan,
        .handle = handle,
        .arg = &server,
    };
    server = NULL;
    drained = gate = impatient = false;
    times_over = 0;
    last_err = OK;
    handlers_begun = handlers_ended = deferred_ran = 0;
    taken = held_most = 0;
    clock_fix(1795550457123);
    return loop_setup(state);
}

static int teardown(void **state)
{
    clock_fix(0);
    return loop_teardown(state);
}

static void serve(void)
{
    struct address at = loopback();

    CHECK(http_server_open(loop, &at, &options, &server) == OK);
    http_server_address(server, &address);
}

static void on_drained(void *arg)
{
    drained = true;
    fiber_wake(arg);
}

/* Ends the server, when nobody is connected or all are idle. */
static void end(void)
{
    http_server_drain(server, on_drained, fiber_self());
    while (!drained)
        CHECK(fiber_wait(DEADLINE_NONE) == OK);
    CHECK(http_server_counters(server)->open == 0);
    CHECK(http_server_counters(server)->active == 0);
    http_server_free(server);
}

#define HOST "Host: h\r\n"
#define HEAD_200(len)                                                                                            \
    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: Tue, 24 Nov 2026 20:00:57 GMT\r\ncontent-length: " len \
    "\r\n\r\n"

static void expect_text(struct peer *p, const char *text)
{
    peer_expect(p, str_from_cstr(text));
}

/* ---- keep-alive and pipelining ---- */

static void two_requests(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"));
    expect_text(&p, HEAD_200("3") "abc");
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"));
    expect_text(&p, HEAD_200("3") "abc");
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"));
    expect_text(&p, HEAD_200("0"));
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("0"));
    CHECK(http_server_counters(server)->connections == 1);
    CHECK(http_server_counters(server)->requests == 5);
    CHECK(http_server_counters(server)->open == 1);
    peer_close(&p);
    end();
}

TEST(a_connection_is_used_again)
{
    run_fiber(two_requests);
}

static void cut_everywhere(void *arg)
{
    str         request = S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\n0123456789");
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    for (size_t cut = 1; cut < request.len; cut++) {
        int64_t in = http_server_counters(server)->bytes_in;

        peer_send(&p, str_first(request, cut));
        UNTIL(http_server_counters(server)->bytes_in == in + (int64_t)cut); /* it has come as one piece */
        peer_send(&p, str_from(request, cut));
        expect_text(&p, HEAD_200("10") "0123456789");
    }
    peer_close(&p);
    end();
}

TEST(a_request_may_come_in_two_parts_cut_anywhere)
{
    run_fiber(cut_everywhere);
}

static void pipelined(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /wait HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"
                    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhiGET /none HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_begun == 1);
    for (int i = 0; i < 3; i++)
        yield();
    CHECK(handlers_begun == 1); /* one at a time */
    CHECK(p.len == 0);
    gate = true;
    expect_text(&p, HEAD_200("6") "waited");
    expect_text(&p, HEAD_200("5") "hello");
    expect_text(&p, HEAD_200("2") "hi");
    peer_until(&p, "nothing here");
    peer_close(&p);
    end();
}

TEST(requests_sent_ahead_are_answered_in_order)
{
    run_fiber(pipelined);
}

static void many_ahead(void *arg)
{
    enum { MANY = 3000 };
    struct buf   all;
    struct arena a;
    struct peer  p;

    (void)arg;
    serve();
    arena_init(&a, 0);
    buf_init(&all, &a, (size_t)4 << 20);
    for (int i = 0; i < MANY; i++)
        buf_addf(&all, "GET /about?%d HTTP/1.1\r\nHost: h\r\nX-Given: g%d\r\n\r\n", i, i);
    CHECK(!all.full && all.len > 2 * PIECES_MAX);
    peer_connect(&p, &address);
    peer_send(&p, buf_str(&all));
    for (int i = 0; i < MANY; i++) {
        char want[64];

        snprintf(want, sizeof(want), "\r\n\r\n/about|%d|g%d", i, i);
        peer_until(&p, want);
    }
    CHECK(http_server_counters(server)->connections == 1);
    peer_close(&p);
    end();
    arena_free(&a);
}

TEST(thousands_of_requests_sent_ahead_are_all_answered)
{
    run_fiber(many_ahead);
}

static void half_ahead(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    /* Behind the first stands half a head, and then half a body. */
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\nPOST /echo HTTP/1.1\r\nHo"));
    expect_text(&p, HEAD_200("5") "hello");
    peer_send(&p, S("st: h\r\nContent-Length: 4\r\n\r\nfoGET"));
    UNTIL(handlers_begun == 2);
    peer_send(&p, S(" "));
    expect_text(&p, HEAD_200("4") "foGE");
    peer_send(&p, S("/hello HTTP/1.1\r\n" HOST "\r\n")); /* the T was the next request's first byte: no such method */
    peer_until(&p, "HTTP/1.1 400 Bad Request\r\n");
    peer_until_end(&p);
    peer_close(&p);
    end();
}

TEST(what_came_ahead_in_part_is_put_together_with_the_rest)
{
    run_fiber(half_ahead);
}

/* ---- the forms of an answer ---- */

static void heads(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("HEAD /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("5"));
    peer_send(&p, S("HEAD /three HTTP/1.1\r\n" HOST "\r\nGET /204 HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST
                    "\r\n"));
    expect_text(&p, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ndate: Tue, 24 Nov 2026 20:00:57 GMT\r\n"
                    "transfer-encoding: chunked\r\n\r\n");
    expect_text(&p, "HTTP/1.1 204 No Content\r\ndate: Tue, 24 Nov 2026 20:00:57 GMT\r\n\r\n");
    expect_text(&p, HEAD_200("5") "hello");
    peer_close(&p);
    end();
}

TEST(answers_to_head_and_204_have_no_body)
{
    run_fiber(heads);
}

static void old_clients(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    expect_text(&p, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: Tue, 24 Nov 2026 20:00:57 GMT\r\n"
                    "connection: keep-alive\r\ncontent-length: 5\r\n\r\nhello");
    peer_send(&p, S("GET /hello HTTP/1.0\r\n\r\n"));
    expect_text(&p, "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ndate: Tue, 24 Nov 2026 20:00:57 GMT\r\n"
                    "connection: close\r\ncontent-length: 5\r\n\r\nhello");
    peer_until_end(&p);
    peer_close(&p);
    /* A stream has no chunks: it ends with the connection, whatever the client would like. */
    peer_connect(&p, &address);
    peer_send(&p, S("GET /three HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
    expect_text(&p, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ndate: Tue, 24 Nov 2026 20:00:57 GMT\r\n"
                    "connection: close\r\n\r\ndata: one\n\ndata: two\n\ndata: three\n\ndata: [DONE]\n\n");
    peer_until_end(&p);
    CHECK(p.len == 0);
    peer_close(&p);
    end();
}

TEST(clients_of_http_1_0_are_served)
{
    run_fiber(old_clients);
}

static void asks_to_close(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"));
    peer_until(&p, "\r\nconnection: close\r\n");
    peer_until(&p, "hello");
    peer_until_end(&p);
    CHECK(p.len == 0); /* what came behind is not answered */
    CHECK(handlers_begun == 1);
    peer_close(&p);
    end();
}

TEST(a_client_may_ask_to_close)
{
    run_fiber(asks_to_close);
}

static void streamed(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    for (int i = 0; i < 2; i++) {
        peer_send(&p, S("GET /three HTTP/1.1\r\n" HOST "\r\n"));
        expect_text(
            &p,
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ndate: Tue, 24 Nov 2026 20:00:57 GMT\r\n"
            "transfer-encoding: chunked\r\n\r\n"
            "b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\nd\r\ndata: three\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
    }
    peer_close(&p);
    end();
}

TEST(a_stream_is_one_chunk_a_flush)
{
    run_fiber(streamed);
}

static void asked_about(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /about?a=1&b=2?3 HTTP/1.1\r\n" HOST "X-GIVEN: it\r\n\r\n"));
    peer_until(&p, "\r\n\r\n/about|a=1&b=2?3|it");
    peer_send(&p, S("GET /about HTTP/1.1\r\n" HOST "\r\n"));
    peer_until(&p, "\r\n\r\n/about||");
    peer_close(&p);
    end();
}

TEST(a_handler_sees_path_query_and_fields)
{
    run_fiber(asked_about);
}

static void deferring(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /defer HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("8") "deferred");
    UNTIL(deferred_ran == 2);
    peer_close(&p);
    end();
}

TEST(closers_of_an_exchange_may_use_its_arena_and_defer_again)
{
    run_fiber(deferring);
}

static void no_answer(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /silent HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"));
    peer_until_end(&p);
    CHECK(p.received == 0);
    CHECK(handlers_begun == 1);
    peer_close(&p);
    end();
}

TEST(a_handler_that_does_not_answer_ends_the_connection)
{
    run_fiber(no_answer);
}

/* ---- bodies ---- */

static void expecting(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 3\r\n\r\n"));
    expect_text(&p, "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(p.len == 0);
    peer_send(&p, S("abc"));
    expect_text(&p, HEAD_200("3") "abc");
    /* The body is there already: no need to ask for it. */
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\nabc"));
    expect_text(&p, HEAD_200("3") "abc");
    /* A client of HTTP/1.0 does not know it. */
    peer_send(&p,
              S("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    UNTIL(handlers_begun == 3);
    peer_send(&p, S("abc"));
    peer_until(&p, "HTTP/1.1 200 OK\r\n");
    peer_until(&p, "abc");
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Expect: a miracle\r\nContent-Length: 3\r\n\r\nabc"));
    peer_until(&p, "HTTP/1.1 417 Expectation Failed\r\n");
    peer_until(&p, "\r\n\r\n");
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    peer_close(&p);
    end();
}

TEST(a_client_that_waits_for_100_gets_it_when_the_body_is_wanted)
{
    run_fiber(expecting);
}

static void expecting_in_vain(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 1001\r\n\r\n"));
    peer_until(&p, "HTTP/1.1 413 ");
    peer_until(&p, "\r\nconnection: close\r\n"); /* nobody knows whether the body comes: it ends here, and says so */
    peer_until(&p, "too large");
    peer_until_end(&p);
    CHECK(p.len == 0);
    peer_close(&p);
    end();
}

TEST(a_body_that_is_not_wanted_is_not_asked_for)
{
    run_fiber(expecting_in_vain);
}

static char zeros[1 << 16];

static void send_zeros(struct peer *p, size_t n)
{
    while (n) {
        size_t step = min_size(n, sizeof(zeros));

        peer_send(p, str_of(zeros, step));
        if (stream_flush(&p->stream, sizeof(zeros), DEADLINE_NONE))
            return; /* the other side has gone */
        n -= step;
    }
}

static void too_large(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n"));
    send_zeros(&p, 1000);
    peer_until(&p, "HTTP/1.1 200 OK\r\n"); /* exactly the maximum */
    peer_until(&p, "\r\n\r\n");
    peer_expect(&p, str_of(zeros, 1000));
    /* one more: refused, and the connection is good for the next */
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n"));
    peer_until(&p, "HTTP/1.1 413 "); /* before the body */
    peer_until(&p, "too large");
    CHECK(last_err == ERR_LIMIT);
    send_zeros(&p, 1001);
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    /* in chunks, where it is not known before */
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3e8\r\n"));
    send_zeros(&p, 1000);
    peer_send(&p, S("\r\n1\r\nx\r\n"));
    peer_until(&p, "HTTP/1.1 413 ");
    peer_until(&p, "too large");
    CHECK(last_err == ERR_LIMIT);
    peer_send(&p, S("5\r\nhello\r\n0\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    CHECK(http_server_counters(server)->connections == 1);
    peer_close(&p);
    end();
}

TEST(a_body_beyond_its_maximum_is_refused_and_the_connection_stays_usable)
{
    run_fiber(too_large);
}

static void much_too_large(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000000000\r\n\r\n"));
    peer_until(&p, "HTTP/1.1 413 ");
    peer_until(&p, "\r\nconnection: close\r\n");
    peer_until(&p, "too large"); /* that much is not read: the answer arrives all the same */
    peer_until_end(&p);
    peer_close(&p);
    /* Nor is it when the handler does not even ask. */
    peer_connect(&p, &address);
    peer_send(&p, S("POST /hello HTTP/1.1\r\n" HOST "Content-Length: 1000000000\r\n\r\n"));
    peer_until(&p, "\r\nconnection: close\r\n");
    peer_until(&p, "hello");
    peer_until_end(&p);
    peer_close(&p);
    end();
}

TEST(behind_a_body_that_is_too_large_to_skip_the_connection_ends)
{
    run_fiber(much_too_large);
}

static void not_asked_for(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("POST /hello HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    send_zeros(&p, 300000);
    peer_send(&p, S("POST /hello HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    peer_send(&p, S("POST /pieces-not HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"));
    expect_text(&p, HEAD_200("1") "3");
    CHECK(http_server_counters(server)->connections == 1);
    peer_close(&p);
    end();
}

TEST(a_body_that_the_handler_did_not_read_is_skipped)
{
    run_fiber(not_asked_for);
}

static void taken_in_pieces(void *arg)
{
    enum { BODY = 8 << 20 };
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("POST /pieces HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n\r\n"));
    send_zeros(&p, BODY);
    expect_text(&p, HEAD_200("7") "8388608");
    CHECK(held_most < PIECES_MAX + READ_BUFFER_MAX);
    peer_send(&p, S("POST /pieces HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n100000\r\n"));
    send_zeros(&p, 0x100000);
    peer_send(&p, S("\r\n0\r\n\r\n"));
    expect_text(&p, HEAD_200("7") "1048576");
    peer_send(&p, S("POST /pieces HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n"));
    expect_text(&p, HEAD_200("1") "0");
    CHECK(http_server_counters(server)->connections == 1);
    peer_close(&p);
    end();
}

TEST(a_body_is_taken_in_pieces)
{
    run_fiber(taken_in_pieces);
}

static bool sender_done;

static void send_eight_megabytes(void *arg)
{
    send_zeros(arg, (size_t)8 << 20);
    sender_done = true;
}

static void slow_handler(void *arg)
{
    struct peer p;
    int64_t     in = -1;

    (void)arg;
    serve();
    sender_done = false;
    peer_connect(&p, &address);
    peer_send(&p, S("POST /pieces/slow HTTP/1.1\r\n" HOST "Content-Length: 8388608\r\n\r\n"));
    spawn(send_eight_megabytes, &p);
    /* Nobody takes anything: what comes in must come to a stop. */
    while (in != http_server_counters(server)->bytes_in) {
        in = http_server_counters(server)->bytes_in;
        for (int i = 0; i < 5; i++)
            CHECK(fiber_sleep_until(after_ms(1)) == OK);
    }
    UNTIL(handlers_begun == 1);
    CHECK(http_server_counters(server)->bytes_in < (int64_t)(PIECES_MAX + 2 * READ_BUFFER_MAX));
    CHECK(!sender_done);
    gate = true;
    expect_text(&p, HEAD_200("7") "8388608");
    CHECK(held_most < PIECES_MAX + READ_BUFFER_MAX);
    UNTIL(sender_done);
    peer_close(&p);
    end();
}

TEST(a_client_waits_for_a_handler_that_reads_slowly_and_little_is_kept)
{
    run_fiber(slow_handler);
}

static void pieces_too_many(void *arg)
{
    struct peer p;
    int64_t     in;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    for (int i = 0; i < 3; i++) {
        gate = false;
        peer_send(&p, S("POST /few-pieces/slow HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3e0\r\n"));
        send_zeros(&p, 0x3e0);
        peer_send(&p, S("\r\n"));
        UNTIL(handlers_begun == (unsigned)i + 1 && held_most > 0);
        in = http_server_counters(server)->bytes_in;
        peer_send(&p, S("ff\r\n"));
        send_zeros(&p, 0xff);
        peer_send(&p, S("\r\n0\r\n\r\n"));
        UNTIL(http_server_counters(server)->bytes_in == in + 4 + 0xff + 7); /* while a piece is held */
        gate = true;
        peer_until(&p, "HTTP/1.1 413 ");
        peer_until(&p, "refused");
        CHECK(last_err == ERR_LIMIT);
        held_most = 0;
    }
    CHECK(http_server_counters(server)->connections == 1);
    peer_close(&p);
    end();
}

TEST(a_body_in_pieces_has_a_maximum_too)
{
    run_fiber(pieces_too_many);
}

static void broken_body(void *arg)
{
    static const char *const paths[] = { "/echo", "/pieces" };
    struct peer              p;

    (void)arg;
    serve();
    for (size_t i = 0; i < 2; i++) {
        char request[200];

        snprintf(request, sizeof(request),
                 "POST %s HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", paths[i]);
        peer_connect(&p, &address);
        peer_send(&p, str_from_cstr(request));
        UNTIL(handlers_begun == i + 1);
        peer_send(&p, S("zzz\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"));
        peer_until(&p, "HTTP/1.1 400 Bad Request\r\n"); /* the handler's answer */
        peer_until(&p, "\r\nconnection: close\r\n");
        CHECK(last_err == ERR_PROTOCOL);
        peer_until_end(&p);
        peer_close(&p);
    }
    CHECK(handlers_begun == 2);
    CHECK(http_server_counters(server)->bad_requests == 2);
    end();
}

TEST(a_body_whose_framing_breaks_is_the_handlers_to_refuse)
{
    run_fiber(broken_body);
}

/* ---- requests that are none ---- */

static void refused(const char *request, const char *status)
{
    struct peer p;

    peer_connect(&p, &address);
    peer_send(&p, str_from_cstr(request));
    peer_until(&p, status);
    peer_until(&p, "\r\nConnection: close\r\n");
    peer_until_end(&p);
    peer_close(&p);
}

static void malformed(void *arg)
{
    struct peer  p;
    struct arena a;
    struct buf   large;

    (void)arg;
    serve();
    refused("GET /hello HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n");
    refused("nonsense\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n");
    refused("\x16\x03\x01\x02", "HTTP/1.1 400 Bad Request\r\n"); /* TLS to a plain port */
    refused("GET /hello HTTP/1.1\nHost: h\n\n", "HTTP/1.1 400 Bad Request\r\n");
    refused("POST /hello HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "HTTP/1.1 400 ");
    CHECK(handlers_begun == 0);
    arena_init(&a, 0);
    buf_init(&large, &a, (size_t)1 << 20);
    buf_add(&large, S("GET /hello HTTP/1.1\r\nHost: h\r\n"));
    while (large.len < HTTP_HEAD_MAX + 1000)
        buf_add(&large, S("x-filler: 0123456789012345678901234567890123456789012345678901234567890123456789"
                          "0123456789012345678901234567890123456789012345678901234567890123456789"
                          "0123456789012345678901234567890123456789012345678901234567890123456789"
                          "0123456789012345678901234567890123456789012345678901234567890123456789"
                          "0123456789012345678901234567890123456789012345678901234567890123456789\r\n"));
    buf_add(&large, str_of("\r\n", 3));
    refused(large.ptr, "HTTP/1.1 431 Request Header Fields Too Large\r\n");
    CHECK(handlers_begun == 0);
    /* A good one before it is answered first. */
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\nnonsense\r\n\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    peer_until(&p, "HTTP/1.1 400 Bad Request\r\n");
    peer_until_end(&p);
    peer_close(&p);
    CHECK(handlers_begun == 1);
    end();
    arena_free(&a);
}

TEST(what_is_no_request_is_refused_and_the_connection_ends)
{
    run_fiber(malformed);
}

/* ---- clients that go ---- */

static void gone(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_begun == 1);
    peer_close(&p);
    UNTIL(handlers_ended == 1);
    CHECK(last_err == ERR_CANCELLED);
    UNTIL(deferred_ran == 1);
    /* with a reset */
    peer_connect(&p, &address);
    peer_send(&p, S("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_begun == 2);
    peer_reset(&p);
    UNTIL(handlers_ended == 2);
    CHECK(last_err == ERR_CANCELLED);
    /* in the middle of a body, gathered or in pieces */
    peer_connect(&p, &address);
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"));
    UNTIL(handlers_begun == 3);
    peer_close(&p);
    UNTIL(handlers_ended == 3);
    CHECK(last_err == ERR_CANCELLED);
    peer_connect(&p, &address);
    peer_send(&p, S("POST /pieces HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"));
    UNTIL(handlers_begun == 4 && taken == 3);
    peer_close(&p);
    UNTIL(handlers_ended == 4);
    UNTIL(http_server_counters(server)->open == 0);
    /* in the middle of a head: no handler */
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hel"));
    UNTIL(http_server_counters(server)->open == 1 && http_server_counters(server)->bytes_in > 0);
    peer_close(&p);
    UNTIL(http_server_counters(server)->open == 0);
    CHECK(handlers_begun == 4);
    end();
}

TEST(a_client_that_goes_away_cancels_what_was_done_for_it)
{
    run_fiber(gone);
}

static void half_closing(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_begun == 1);
    stream_shutdown(&p.stream); /* treated as gone while the answer is being made */
    UNTIL(handlers_ended == 1);
    CHECK(last_err == ERR_CANCELLED);
    peer_until_end(&p);
    peer_close(&p);
    end();
}

TEST(a_client_that_closes_its_half_has_gone)
{
    run_fiber(half_closing);
}

static void gone_while_streaming(void *arg)
{
    struct peer p;

    (void)arg;
    serve();
    peer_connect_quiet(&p, &address);
    peer_send(&p, S("GET /stream HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_begun == 1 && held_most > 0);
    peer_reset(&p);
    UNTIL(handlers_ended == 1);
    CHECK(last_err == ERR_CANCELLED || last_err == ERR_EOF);
    UNTIL(http_server_counters(server)->open == 0);
    end();
}

TEST(a_client_that_goes_away_ends_its_stream)
{
    run_fiber(gone_while_streaming);
}

/* ---- clients that are slow ---- */

/* Takes what has come through the parser of answers. */
static void digest(struct peer *p, struct record *r)
{
    record_feed(r, str_of(p->in, p->len));
    CHECK(r->e == OK);
    peer_take(p, p->len);
}

static void slow_client(void *arg)
{
    struct peer   p;
    struct record r;
    size_t        before = SIZE_MAX;

    (void)arg;
    serve();
    record_init(&r, HTTP1_ANSWERS);
    peer_connect_quiet(&p, &address);
    peer_send(&p, S("GET /stream HTTP/1.1\r\n" HOST "\r\n"));
    while (stream_sent != before || !held_most) { /* until the handler has come to a stop */
        before = stream_sent;
        for (int i = 0; i < 5; i++)
            CHECK(fiber_sleep_until(after_ms(1)) == OK);
    }
    CHECK(stream_sent < STREAM_PIECES);
    while (r.messages == 0) {
        stream_read_start(&p.stream);
        peer_wait(&p);
        stream_read_stop(&p.stream);
        digest(&p, &r);
    }
    CHECK(r.body_len == (size_t)STREAM_PIECE * STREAM_PIECES);
    CHECK(held_most <= HTTP_STREAM_MARK);
    UNTIL(handlers_ended == 1);
    CHECK(last_err == OK);
    stream_read_start(&p.stream);
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    peer_until(&p, "hello");
    peer_close(&p);
    record_free(&r);
    end();
}

TEST(a_stream_goes_at_its_clients_pace_and_little_is_kept)
{
    run_fiber(slow_client);
}

static void takes_nothing(void *arg)
{
    struct peer p;

    (void)arg;
    options.body_time_ms = 20;
    serve();
    peer_connect_quiet(&p, &address);
    peer_send(&p, S("GET /stream HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_ended == 1);
    CHECK(last_err == ERR_TIMEOUT);
    peer_close(&p);
    peer_connect_quiet(&p, &address);
    peer_send(&p, S("GET /large HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_ended == 2);
    CHECK(last_err == ERR_TIMEOUT);
    peer_close(&p);
    UNTIL(http_server_counters(server)->open == 0);
    end();
}

TEST(a_client_that_takes_nothing_is_given_up)
{
    run_fiber(takes_nothing);
}

static void takes_its_time(void *arg)
{
    struct peer   p;
    struct record r;

    (void)arg;
    impatient = true;
    serve();
    record_init(&r, HTTP1_ANSWERS);
    peer_connect(&p, &address);
    peer_send(&p, S("GET /large HTTP/1.1\r\n" HOST "\r\n"));
    while (r.messages == 0) { /* a little at a time: the server sees many of these */
        peer_wait(&p);
        stream_read_stop(&p.stream);
        digest(&p, &r);
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
        stream_read_start(&p.stream);
    }
    CHECK(r.body_len == (size_t)STREAM_PIECE * STREAM_PIECES);
    UNTIL(handlers_ended == 1);
    CHECK(last_err == OK);
    CHECK(times_over > 1); /* slower in all than the server's patience, but never for so long between two pieces */
    peer_close(&p);
    record_free(&r);
    end();
}

TEST(a_client_that_takes_an_answer_slowly_gets_all_of_it)
{
    run_fiber(takes_its_time);
}

static void slow_head(void *arg)
{
    struct peer p;

    (void)arg;
    options.head_time_ms = 10;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hello HTTP/1.1\r\nHo"));
    peer_until(&p, "HTTP/1.1 408 Request Timeout\r\n");
    peer_until_end(&p);
    peer_close(&p);
    CHECK(handlers_begun == 0);
    /* the second request of a connection has the same time */
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\nG"));
    expect_text(&p, HEAD_200("5") "hello");
    peer_until(&p, "HTTP/1.1 408 Request Timeout\r\n");
    peer_until_end(&p);
    peer_close(&p);
    end();
}

TEST(a_head_that_does_not_arrive_is_answered_408)
{
    run_fiber(slow_head);
}

static void slow_body(void *arg)
{
    struct peer p;

    (void)arg;
    options.body_time_ms = 10;
    serve();
    peer_connect(&p, &address);
    peer_send(&p, S("POST /echo HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"));
    peer_until(&p, "HTTP/1.1 408 Request Timeout\r\n");
    CHECK(handlers_begun == 1);
    peer_until(&p, "too slow");
    CHECK(last_err == ERR_TIMEOUT);
    peer_close(&p);
    peer_connect(&p, &address);
    peer_send(&p, S("POST /pieces HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc"));
    peer_until(&p, "refused");
    CHECK(last_err == ERR_TIMEOUT);
    peer_close(&p);
    UNTIL(http_server_counters(server)->open == 0);
    end();
}

TEST(a_body_that_stops_coming_is_given_up)
{
    run_fiber(slow_body);
}

/* A connection that has all its time until it says something. */
static void connect_unhurried(struct peer *p)
{
    server->o.idle_time_ms = 60000;
    peer_connect(p, &address);
    UNTIL(http_server_counters(server)->open == 1);
    server->o.idle_time_ms = 10;
}

static void idle(void *arg)
{
    struct peer p;

    (void)arg;
    options.idle_time_ms = 10;
    serve();
    peer_connect(&p, &address); /* says nothing */
    peer_until_end(&p);
    CHECK(p.received == 0);
    peer_close(&p);
    UNTIL(http_server_counters(server)->open == 0);
    connect_unhurried(&p);
    peer_send(&p, S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p, HEAD_200("5") "hello");
    peer_until_end(&p); /* says no more */
    CHECK(p.len == 0);
    peer_close(&p);
    UNTIL(http_server_counters(server)->open == 0);
    /* a request that takes longer than that is not idleness */
    connect_unhurried(&p);
    peer_send(&p, S("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_begun == 2);
    CHECK(fiber_sleep_until(after_ms(25)) == OK);
    gate = true;
    expect_text(&p, HEAD_200("6") "waited");
    peer_close(&p);
    end();
}

TEST(an_idle_connection_is_closed)
{
    run_fiber(idle);
}

/* ---- many connections, and the end ---- */

static void ceiling(void *arg)
{
    struct peer p[3];

    (void)arg;
    options.connection_max = 2;
    serve();
    peer_connect(&p[0], &address);
    peer_connect(&p[1], &address);
    UNTIL(http_server_counters(server)->open == 2);
    peer_connect(&p[2], &address);
    peer_send(&p[2], S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    peer_until(&p[2], "HTTP/1.1 503 Service Unavailable\r\n");
    peer_until_end(&p[2]);
    peer_close(&p[2]);
    CHECK(http_server_counters(server)->connections_refused == 1);
    CHECK(handlers_begun == 0);
    /* those that are in are served; and when one goes there is room */
    peer_send(&p[1], S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p[1], HEAD_200("5") "hello");
    peer_close(&p[0]);
    UNTIL(http_server_counters(server)->open == 1);
    peer_connect(&p[2], &address);
    peer_send(&p[2], S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&p[2], HEAD_200("5") "hello");
    peer_close(&p[1]);
    peer_close(&p[2]);
    end();
}

TEST(beyond_the_ceiling_of_connections_there_is_a_503)
{
    run_fiber(ceiling);
}

static void draining(void *arg)
{
    struct peer lazy, busy, begun, late;

    (void)arg;
    serve();
    peer_connect(&lazy, &address);
    peer_send(&lazy, S("GET /hello HTTP/1.1\r\n" HOST "\r\n"));
    expect_text(&lazy, HEAD_200("5") "hello");
    peer_connect(&busy, &address);
    peer_send(&busy, S("GET /wait HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n"));
    peer_connect(&begun, &address);
    peer_send(&begun, S("GET /hello HTTP/1.1\r\n"));
    UNTIL(handlers_begun == 2 && http_server_counters(server)->open == 3);
    UNTIL(http_server_counters(server)->bytes_in == 116); /* all of the three */
    http_server_drain(server, on_drained, fiber_self());
    CHECK(!drained);
    peer_until_end(&lazy); /* closed at once */
    CHECK(lazy.len == 0);
    CHECK(stream_connect(&late.stream, &peer_events, &address, DEADLINE_NONE) == ERR_REFUSED);
    for (int i = 0; i < 3; i++)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(!drained);
    gate = true;
    peer_until(&busy, "\r\nconnection: close\r\n"); /* ends as it would have, and says that it was the last */
    peer_until(&busy, "waited");
    peer_until_end(&busy);
    CHECK(busy.len == 0);
    peer_send(&begun, S(HOST "\r\n")); /* a request under way is answered */
    peer_until(&begun, "\r\nconnection: close\r\n");
    peer_until(&begun, "hello");
    peer_until_end(&begun);
    peer_close(&lazy);
    peer_close(&busy);
    peer_close(&begun);
    UNTIL(drained);
    http_server_free(server);
}

TEST(draining_closes_the_idle_and_lets_the_busy_end)
{
    run_fiber(draining);
}

static void cancelling(void *arg)
{
    struct peer busy, streaming;

    (void)arg;
    serve();
    peer_connect(&busy, &address);
    peer_send(&busy, S("GET /wait HTTP/1.1\r\n" HOST "\r\n"));
    peer_connect_quiet(&streaming, &address);
    peer_send(&streaming, S("GET /stream HTTP/1.1\r\n" HOST "\r\n"));
    UNTIL(handlers_begun == 2 && held_most > 0);
    http_server_drain(server, on_drained, fiber_self());
    http_server_cancel(server);
    UNTIL(drained);
    CHECK(handlers_ended == 2);
    CHECK(deferred_ran == 1);
    peer_until_end(&busy);
    CHECK(busy.received == 0);
    peer_close(&busy);
    peer_close(&streaming);
    http_server_free(server);
}

TEST(cancelling_ends_what_still_runs)
{
    run_fiber(cancelling);
}

static void nothing_to_drain(void *arg)
{
    (void)arg;
    serve();
    http_server_drain(server, on_drained, NULL);
    CHECK(drained); /* at once */
    http_server_free(server);
    http_server_free(NULL);
}

TEST(a_server_without_connections_is_drained_at_once)
{
    run_fiber(nothing_to_drain);
}

enum { CROWD = 60 };

static unsigned crowd_left;

static void one_of_the_crowd(void *arg)
{
    struct peer p;
    int         me = (int)(size_t)arg;

    peer_connect(&p, &address);
    for (int i = 0; i < 10; i++) {
        char request[200], want[64];

        snprintf(request, sizeof(request), "GET /about?%d.%d HTTP/1.1\r\nHost: h\r\nX-Given: g\r\n\r\n", me, i);
        snprintf(want, sizeof(want), "\r\n\r\n/about|%d.%d|g", me, i);
        peer_send(&p, str_from_cstr(request));
        peer_until(&p, want);
        CHECK(p.len == 0);
    }
    peer_close(&p);
    crowd_left--;
}

static void crowded(void *arg)
{
    (void)arg;
    serve();
    crowd_left = CROWD;
    for (size_t i = 0; i < CROWD; i++)
        spawn(one_of_the_crowd, (void *)i);
    UNTIL(crowd_left == 0);
    CHECK(http_server_counters(server)->requests == CROWD * 10);
    end();
}

TEST(many_connections_are_served_side_by_side)
{
    run_fiber(crowded);
}

#define server_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        server_test(a_connection_is_used_again),
        server_test(a_request_may_come_in_two_parts_cut_anywhere),
        server_test(requests_sent_ahead_are_answered_in_order),
        server_test(thousands_of_requests_sent_ahead_are_all_answered),
        server_test(what_came_ahead_in_part_is_put_together_with_the_rest),
        server_test(answers_to_head_and_204_have_no_body),
        server_test(clients_of_http_1_0_are_served),
        server_test(a_client_may_ask_to_close),
        server_test(a_stream_is_one_chunk_a_flush),
        server_test(a_handler_sees_path_query_and_fields),
        server_test(closers_of_an_exchange_may_use_its_arena_and_defer_again),
        server_test(a_handler_that_does_not_answer_ends_the_connection),
        server_test(a_client_that_waits_for_100_gets_it_when_the_body_is_wanted),
        server_test(a_body_that_is_not_wanted_is_not_asked_for),
        server_test(a_body_beyond_its_maximum_is_refused_and_the_connection_stays_usable),
        server_test(behind_a_body_that_is_too_large_to_skip_the_connection_ends),
        server_test(a_body_that_the_handler_did_not_read_is_skipped),
        server_test(a_body_is_taken_in_pieces),
        server_test(a_client_waits_for_a_handler_that_reads_slowly_and_little_is_kept),
        server_test(a_body_in_pieces_has_a_maximum_too),
        server_test(a_body_whose_framing_breaks_is_the_handlers_to_refuse),
        server_test(what_is_no_request_is_refused_and_the_connection_ends),
        server_test(a_client_that_goes_away_cancels_what_was_done_for_it),
        server_test(a_client_that_closes_its_half_has_gone),
        server_test(a_client_that_goes_away_ends_its_stream),
        server_test(a_stream_goes_at_its_clients_pace_and_little_is_kept),
        server_test(a_client_that_takes_nothing_is_given_up),
        server_test(a_client_that_takes_an_answer_slowly_gets_all_of_it),
        server_test(a_head_that_does_not_arrive_is_answered_408),
        server_test(a_body_that_stops_coming_is_given_up),
        server_test(an_idle_connection_is_closed),
        server_test(beyond_the_ceiling_of_connections_there_is_a_503),
        server_test(draining_closes_the_idle_and_lets_the_busy_end),
        server_test(cancelling_ends_what_still_runs),
        server_test(a_server_without_connections_is_drained_at_once),
        server_test(many_connections_are_served_side_by_side),
    };

    signal(SIGPIPE, SIG_IGN);
    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
