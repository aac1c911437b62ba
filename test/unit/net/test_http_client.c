/* test_http_client.c - the client against servers in the same loop: net/http_server, and bare sockets that misbehave. */
#include "net/http_client.c"

#include "net/http_server.h"

#include "../base/check.h"

#include <signal.h>

/* ---- a loop, a server that answers well, and one that plays a script ---- */

static struct loop        *loop;
static struct http_server *good;
static struct listener    *bare;
static struct http_origin  good_origin, bare_origin;

/* What the bare server does with its connections: it says one of these to each bytes that arrive, in turn; after the last
 * it closes. A NULL closes at once. */
static const char *const *script;
static unsigned           script_at, accepted;

struct bare_conn {
    struct stream stream;
};

static void bare_closed(struct stream *s)
{
    free(CONTAINER_OF(s, struct bare_conn, stream));
}

static void bare_read(struct stream *s, str bytes, enum err e)
{
    const char *say;
    str         part;

    (void)bytes;
    if (e) {
        stream_close(s);
        return;
    }
    say = script[script_at];
    if (say)
        script_at++;
    part = str_from_cstr(say);
    (void)stream_write(s, &part, 1);
    if (!script[script_at]) {
        if (say)
            script_at++; /* over the NULL: the next connection goes on behind it */
        stream_close(s);
    }
}

static const struct stream_events bare_events = { .on_read = bare_read, .on_closed = bare_closed };

static void bare_accept(struct listener *ln, void *arg)
{
    struct bare_conn *c = xcalloc(1, sizeof(*c));

    (void)arg;
    accepted++;
    CHECK(stream_accept(&c->stream, &bare_events, ln) == OK);
    stream_read_start(&c->stream);
}

static struct http_body_plan plan(void *arg, struct http_exchange *x)
{
    (void)arg, (void)x;
    return (struct http_body_plan){ .max = 1 << 20 };
}

/* "/echo" sends the body back, "/chunks" sends 64 pieces, "/big" a megabyte, "/wait" never answers. */
static void handle(void *arg, struct http_exchange *x)
{
    char  *body;
    size_t len;
    str    path = http_path(x);

    (void)arg;
    if (http_body(x, &body, &len))
        return;
    if (str_eq(path, S("/chunks"))) {
        http_stream_begin(x, 200, NULL, 0);
        for (int i = 0; i < 64; i++) {
            buf_addf(http_stream_buf(x), "piece %d\n", i);
            if (http_stream_flush(x))
                return;
            if (i % 8 == 0)
                (void)fiber_sleep_until(loop_now_us(fiber_loop()) + 1000);
        }
        (void)http_stream_end(x);
        return;
    }
    if (str_eq(path, S("/big"))) {
        static char big[1 << 20];

        memset(big, 'x', sizeof(big));
        (void)http_answer(x, 200, NULL, 0, str_of(big, sizeof(big)));
        return;
    }
    if (str_eq(path, S("/wait"))) {
        while (!fiber_wait(DEADLINE_NONE))
            ;
        return;
    }
    (void)http_answer(x, 200, NULL, 0, str_of(body, len));
}

static void serve_open(void)
{
    static const struct http_server_options o = {
        .head_time_ms = 5000,
        .body_time_ms = 5000,
        .idle_time_ms = 5000,
        .connection_max = 100,
        .plan = plan,
        .handle = handle,
    };
    struct address at;
    char           text[ADDRESS_TEXT_MAX], url[ADDRESS_TEXT_MAX + 8];
    str            path;

    CHECK(address_parse(S("127.0.0.1:0"), &at));
    CHECK(http_server_open(loop, &at, &o, &good) == OK);
    http_server_address(good, &at);
    address_format(&at, text);
    snprintf(url, sizeof(url), "http://%s", text);
    CHECK(http_origin_parse(str_from_cstr(url), &good_origin, &path));
    CHECK(address_parse(S("127.0.0.1:0"), &at));
    CHECK(listener_open(loop, &at, 16, bare_accept, NULL, &bare) == OK);
    listener_address(bare, &at);
    address_format(&at, text);
    snprintf(url, sizeof(url), "http://%s", text);
    CHECK(http_origin_parse(str_from_cstr(url), &bare_origin, &path));
}

static void on_drained(void *arg)
{
    (void)arg;
}

static void serve_close(void)
{
    http_server_drain(good, on_drained, NULL);
    http_server_cancel(good);
    listener_close(bare);
}

/* Runs `test` on a fiber of a loop with both servers. */
static void run(void (*test)(void *arg))
{
    loop = loop_new();
    accepted = script_at = 0;
    serve_open();
    fiber_start(loop, test, NULL);
    loop_run(loop);
    http_server_free(good);
    loop_free(loop);
}

static void over(struct http_pool *p)
{
    http_pool_close(p);
    serve_close();
    loop_stop(loop);
}

static struct http_pool *pool(const struct http_origin *origin, size_t connection_max)
{
    struct http_pool_options o = { .origin = *origin, .connection_max = connection_max };

    return http_pool_open(loop, &o);
}

static struct http_client_request ask(const char *target)
{
    return (struct http_client_request){
        .method = S("POST"), .target = str_from_cstr(target), .has_body = true, .first_ms = 2000, .between_ms = 2000
    };
}

/* One call whose whole body is read; its text, or what failed. */
static enum err call(struct http_pool *p, const struct http_client_request *rq, char *text, size_t size)
{
    struct arena        a;
    struct http_client *c;
    char               *body;
    size_t              len;
    enum err            e;

    arena_init(&a, 0);
    text[0] = 0;
    e = http_client_open(p, &a, rq, &c);
    if (!e)
        e = http_client_body(c, size - 1, &body, &len);
    if (!e) {
        memcpy(text, body, len);
        text[len] = 0;
    }
    arena_free(&a);
    return e;
}

/* ---- cases ---- */

static void origins_are_read(void **state)
{
    struct http_origin o;
    str                path;

    (void)state;
    assert_true(http_origin_parse(S("http://example.com"), &o, &path));
    assert_string_equal(o.host, "example.com");
    assert_int_equal(o.port, 80);
    assert_false(o.fixed);
    assert_int_equal(path.len, 0);
    assert_true(http_origin_parse(S("https://example.com:8443/compatible-mode/v1/"), &o, &path));
    assert_true(o.tls);
    assert_int_equal(o.port, 8443);
    assert_true(str_eq(path, S("/compatible-mode/v1")));
    assert_true(http_origin_parse(S("http://127.0.0.1:8000/v1"), &o, &path));
    assert_true(o.fixed);
    assert_true(http_origin_parse(S("http://[::1]:8000/v1"), &o, &path));
    assert_true(o.fixed);
    assert_string_equal(o.host, "[::1]");
    assert_true(http_origin_parse(S("unix:/run/llama.sock:/v1"), &o, &path));
    assert_string_equal(o.address.path, "/run/llama.sock");
    assert_true(str_eq(path, S("/v1")));
    assert_true(http_origin_parse(S("unix:/run/llama.sock"), &o, &path));
    assert_int_equal(path.len, 0);
    assert_false(http_origin_parse(S("ftp://example.com"), &o, &path));
    assert_false(http_origin_parse(S("http://"), &o, &path));
    assert_false(http_origin_parse(S("http://a:0"), &o, &path));
    assert_false(http_origin_parse(S("http://a:70000"), &o, &path));
    assert_false(http_origin_parse(S("http://user@a/"), &o, &path));
    assert_false(http_origin_parse(S("http://a/b?c"), &o, &path));
    assert_false(http_origin_parse(S("http://a\r\nb/"), &o, &path));
}

static void test_reuse(void *arg)
{
    struct http_pool          *p = pool(&good_origin, 0);
    struct http_client_request rq = ask("/echo");
    char                       text[64];

    (void)arg;
    rq.body = S("hello");
    for (int i = 0; i < 10; i++) {
        CHECK(call(p, &rq, text, sizeof(text)) == OK);
        CHECK_STR(str_from_cstr(text), "hello");
    }
    CHECK(http_pool_counters(p)->connects == 1);
    CHECK(http_pool_counters(p)->reused == 9);
    CHECK(http_pool_counters(p)->idle == 1);
    over(p);
}

static void calls_share_a_connection(void **state)
{
    (void)state;
    run(test_reuse);
}

static void test_chunks(void *arg)
{
    struct http_pool          *p = pool(&good_origin, 0);
    struct http_client_request rq = ask("/chunks");
    char                       text[4096], want[4096] = "";
    struct buf                 b;
    struct arena               a;

    (void)arg;
    arena_init(&a, 0);
    buf_init(&b, &a, sizeof(want));
    for (int i = 0; i < 64; i++)
        buf_addf(&b, "piece %d\n", i);
    CHECK(call(p, &rq, text, sizeof(text)) == OK);
    CHECK(str_eq(str_from_cstr(text), buf_str(&b)));
    CHECK(call(p, &rq, text, sizeof(text)) == OK);
    CHECK(http_pool_counters(p)->connects == 1);
    arena_free(&a);
    over(p);
}

static void chunks_come_in_order(void **state)
{
    (void)state;
    run(test_chunks);
}

static void test_slow_reader(void *arg)
{
    struct http_pool          *p = pool(&good_origin, 0);
    struct http_client_request rq = ask("/big");
    struct http_client        *c;
    struct arena               a;
    size_t                     total = 0, most = 0;
    str                        piece;

    (void)arg;
    arena_init(&a, 0);
    CHECK(http_client_open(p, &a, &rq, &c) == OK);
    for (;;) {
        CHECK(fiber_sleep_until(loop_now_us(loop) + 2000) == OK);
        CHECK(http_client_next(c, &piece) == OK);
        if (!piece.len)
            break;
        total += piece.len;
        most = max_size(most, piece.len);
    }
    CHECK(total == 1 << 20);
    CHECK(most <= PIECES_MAX + (size_t)64 * 1024);
    arena_free(&a);
    CHECK(http_pool_counters(p)->idle == 1);
    over(p);
}

static void a_slow_reader_stops_the_sender(void **state)
{
    (void)state;
    run(test_slow_reader);
}

static void test_limit(void *arg)
{
    struct http_pool          *p = pool(&good_origin, 0);
    struct http_client_request rq = ask("/big");
    char                       text[1000];

    (void)arg;
    CHECK(call(p, &rq, text, sizeof(text)) == ERR_LIMIT);
    CHECK(http_pool_counters(p)->idle == 0); /* what was not read to its end is closed */
    rq.method = S("GET\r\n");
    rq.fields = &(struct http_field){ S("a"), S("b\nc") };
    rq.field_count = 1;
    CHECK(call(p, &rq, text, sizeof(text)) == ERR_INVALID);
    over(p);
}

static void a_long_body_is_refused(void **state)
{
    (void)state;
    run(test_limit);
}

/* Each line is one answer; NULL closes the connection behind it. */
static enum err bare_call(struct http_pool *p, const char *const *lines, char *text, size_t size)
{
    struct http_client_request rq = ask("/");

    script = lines;
    script_at = 0;
    return call(p, &rq, text, size);
}

#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void test_stale(void *arg)
{
    static const char *const lines[] = { ANSWER, "", NULL, ANSWER, NULL, NULL };
    struct http_pool        *p = pool(&bare_origin, 0);
    char                     text[64];

    (void)arg;
    /* The second request on the first connection is read, and the connection closed without a word. */
    CHECK(bare_call(p, lines, text, sizeof(text)) == OK);
    CHECK(http_pool_counters(p)->connects == 1);
    {
        struct http_client_request rq = ask("/");

        CHECK(call(p, &rq, text, sizeof(text)) == OK);
    }
    CHECK_STR(str_from_cstr(text), "ok");
    CHECK(accepted == 2);
    CHECK(http_pool_counters(p)->stale == 1);
    over(p);
}

static void a_closed_connection_is_tried_again(void **state)
{
    (void)state;
    run(test_stale);
}

static void test_bad(void *arg)
{
    static const struct {
        const char *lines[4];
        enum err    want;
        const char *text;
    } cases[] = {
        { { NULL }, ERR_EOF, "" },
        { { "HTTP/1.1 200 OK\r\nContent-Le", NULL }, ERR_PROTOCOL, "" },
        { { "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", NULL }, ERR_EOF, "" },
        { { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", NULL }, ERR_EOF, "" },
        { { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n", NULL }, ERR_PROTOCOL, "" },
        { { "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok", NULL }, ERR_PROTOCOL, "" },
        { { "SSH-2.0-OpenSSH_9.2\r\n", NULL }, ERR_PROTOCOL, "" },
        { { "HTTP/1.1 200 OK\r\n\r\nuntil the end", NULL }, OK, "until the end" },
        { { "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", NULL }, OK, "ok" },
        { { "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: a\r\n\r\n" ANSWER, NULL }, OK, "ok" },
        { { "HTTP/1.1 204 No Content\r\n\r\n", NULL }, OK, "" },
        { { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\n", NULL },
          OK,
          "ok" },
        { { ANSWER ANSWER, NULL }, OK, "ok" }, /* more than was asked for: not used again */
    };
    struct http_pool *p = pool(&bare_origin, 0);
    char              text[64];

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum err e = bare_call(p, cases[i].lines, text, sizeof(text));

        if (e != cases[i].want || strcmp(text, cases[i].text)) {
            fprintf(stderr, "case %zu: %s, \"%s\"\n", i, err_text(e), text);
            abort();
        }
        while (http_pool_counters(p)->open) /* until the end of the connection has been seen */
            CHECK(fiber_sleep_until(loop_now_us(loop) + 500) == OK);
    }
    over(p);
}

static void bad_answers_are_told_apart(void **state)
{
    (void)state;
    run(test_bad);
}

static void test_times(void *arg)
{
    struct http_pool          *p = pool(&good_origin, 0);
    struct http_client_request rq = ask("/wait");
    struct http_origin         nobody = good_origin;
    char                       text[64];

    (void)arg;
    rq.first_ms = 20;
    CHECK(call(p, &rq, text, sizeof(text)) == ERR_TIMEOUT);
    rq.first_ms = 0;
    rq.total_ms = 20;
    CHECK(call(p, &rq, text, sizeof(text)) == ERR_TIMEOUT);
    http_pool_close(p);

    nobody.address.in.sin_port = htons(1); /* nobody listens there */
    p = pool(&nobody, 0);
    CHECK(call(p, &rq, text, sizeof(text)) == ERR_REFUSED);
    CHECK(http_pool_counters(p)->open == 0);
    http_pool_close(p);

    snprintf(nobody.host, sizeof(nobody.host), "no-such-host.invalid");
    nobody.fixed = false;
    p = pool(&nobody, 0);
    CHECK(call(p, &rq, text, sizeof(text)) != OK);
    over(p);
}

static void waiting_has_an_end(void **state)
{
    (void)state;
    run(test_times);
}

/* ---- more calls than connections, and calls that are given up ---- */

static struct http_pool *shared_pool;
static unsigned          calls_left, calls_ok, calls_cancelled;

static void one_of_many(void *arg)
{
    struct http_client_request rq = ask(arg);
    char                       text[8192];
    enum err                   e = call(shared_pool, &rq, text, sizeof(text));

    calls_ok += e == OK;
    calls_cancelled += e == ERR_CANCELLED;
    calls_left--;
}

static void test_queue(void *arg)
{
    (void)arg;
    shared_pool = pool(&good_origin, 3);
    calls_ok = 0;
    calls_left = 40;
    for (int i = 0; i < 40; i++)
        fiber_start(loop, one_of_many, (void *)(uintptr_t) "/chunks");
    while (calls_left) {
        CHECK(http_pool_counters(shared_pool)->open <= 3);
        CHECK(fiber_sleep_until(loop_now_us(loop) + 1000) == OK);
    }
    CHECK(calls_ok == 40);
    CHECK(http_pool_counters(shared_pool)->connects <= 3);
    CHECK(http_pool_counters(shared_pool)->waiting == 0);
    over(shared_pool);
}

static void calls_wait_for_a_connection(void **state)
{
    (void)state;
    run(test_queue);
}

static void test_cancel(void *arg)
{
    struct fiber *f[6];

    (void)arg;
    shared_pool = pool(&good_origin, 2);
    calls_cancelled = 0;
    calls_left = ARRAY_LEN(f);
    for (size_t i = 0; i < ARRAY_LEN(f); i++)
        f[i] = fiber_start(loop, one_of_many, (void *)(uintptr_t) "/wait");
    CHECK(fiber_sleep_until(loop_now_us(loop) + 20000) == OK);
    CHECK(http_pool_counters(shared_pool)->open == 2);
    CHECK(http_pool_counters(shared_pool)->waiting == 4);
    for (size_t i = ARRAY_LEN(f); i > 0; i--) /* those that wait for a connection first */
        fiber_cancel(f[i - 1]);
    while (calls_left || http_pool_counters(shared_pool)->open)
        CHECK(fiber_sleep_until(loop_now_us(loop) + 1000) == OK);
    CHECK(calls_cancelled == 6);
    while (http_server_counters(good)->active) /* the server has noticed that nobody waits any more */
        CHECK(fiber_sleep_until(loop_now_us(loop) + 1000) == OK);
    over(shared_pool);
}

static void cancelled_calls_close_their_connection(void **state)
{
    (void)state;
    run(test_cancel);
}

static void test_leave(void *arg)
{
    struct http_pool          *p = pool(&good_origin, 0);
    struct http_client_request rq = ask("/chunks");
    struct http_client        *c;
    struct arena               a;
    str                        piece;

    (void)arg;
    for (int i = 0; i < 2; i++) {
        arena_init(&a, 0);
        CHECK(http_client_open(p, &a, &rq, &c) == OK);
        CHECK(http_client_next(c, &piece) == OK);
        http_client_leave(c);
        arena_free(&a);
        while (http_pool_counters(p)->idle == 0)
            CHECK(fiber_sleep_until(loop_now_us(loop) + 1000) == OK);
    }
    CHECK(http_pool_counters(p)->connects == 1);
    arena_init(&a, 0);
    CHECK(http_client_open(p, &a, &rq, &c) == OK);
    http_pool_close(p); /* the pool goes with its last call */
    CHECK(http_client_next(c, &piece) == OK);
    arena_free(&a);
    over(NULL);
}

static void an_answer_that_was_left_is_read_to_its_end(void **state)
{
    (void)state;
    run(test_leave);
}

/* ---- TLS ---- */

static char folder[] = "/tmp/dashbox-client-XXXXXX", cert[64], key[64];

static bool make_certificate(void)
{
    char command[512];

    CHECK(mkdtemp(folder));
    snprintf(cert, sizeof(cert), "%s/a.crt", folder);
    snprintf(key, sizeof(key), "%s/a.key", folder);
    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
             "-addext subjectAltName=DNS:localhost -keyout %s -out %s >/dev/null 2>&1",
             key, cert);
    return system(command) == 0;
}

static void test_tls(void *arg)
{
    struct http_server_options so = { .body_time_ms = 5000,
                                      .idle_time_ms = 5000,
                                      .head_time_ms = 5000,
                                      .connection_max = 10,
                                      .plan = plan,
                                      .handle = handle };
    struct http_pool_options   po = { .connect_ms = 5000 };
    struct http_client_request rq = ask("/echo");
    struct http_server        *server;
    struct tls_context        *theirs, *ours, *strangers;
    struct address             at;
    char                       text[4096], url[ADDRESS_TEXT_MAX + 16];
    str                        path;

    (void)arg;
    CHECK(tls_context_server(cert, key, &theirs) == OK);
    CHECK(tls_context_client(cert, true, &ours) == OK);
    CHECK(tls_context_client(NULL, true, &strangers) == OK);
    so.tls = theirs;
    CHECK(address_parse(S("127.0.0.1:0"), &at));
    CHECK(http_server_open(loop, &at, &so, &server) == OK);
    http_server_address(server, &at);
    snprintf(url, sizeof(url), "https://localhost:%u/", ntohs(at.in.sin_port));
    CHECK(http_origin_parse(str_from_cstr(url), &po.origin, &path));
    po.tls = ours;
    shared_pool = http_pool_open(loop, &po);
    rq.body = S("over TLS");
    for (int i = 0; i < 5; i++) {
        CHECK(call(shared_pool, &rq, text, sizeof(text)) == OK);
        CHECK_STR(str_from_cstr(text), "over TLS");
    }
    rq = ask("/chunks");
    CHECK(call(shared_pool, &rq, text, sizeof(text)) == OK);
    CHECK(str_ends(str_from_cstr(text), S("piece 63\n")));
    CHECK(http_pool_counters(shared_pool)->connects == 1);
    http_pool_close(shared_pool);

    po.tls = strangers; /* who do not know this certificate */
    shared_pool = http_pool_open(loop, &po);
    CHECK(call(shared_pool, &rq, text, sizeof(text)) == ERR_UNREACHABLE);
    http_pool_close(shared_pool);

    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", ntohs(at.in.sin_port));
    CHECK(http_origin_parse(str_from_cstr(url), &po.origin, &path));
    po.tls = ours; /* but it is for another name */
    shared_pool = http_pool_open(loop, &po);
    CHECK(call(shared_pool, &rq, text, sizeof(text)) == ERR_UNREACHABLE);
    http_pool_close(shared_pool);

    http_server_drain(server, on_drained, NULL);
    http_server_cancel(server);
    while (http_server_counters(server)->open)
        CHECK(fiber_sleep_until(loop_now_us(loop) + 1000) == OK);
    http_server_free(server);
    tls_context_free(theirs);
    tls_context_free(ours);
    tls_context_free(strangers);
    over(NULL);
}

static void tls_is_spoken_and_verified(void **state)
{
    (void)state;
    if (make_certificate())
        run(test_tls);
    else
        print_message("no openssl(1), or not one that makes certificates: nothing to test\n");
    unlink(cert);
    unlink(key);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_are_read),
        cmocka_unit_test(calls_share_a_connection),
        cmocka_unit_test(chunks_come_in_order),
        cmocka_unit_test(a_slow_reader_stops_the_sender),
        cmocka_unit_test(a_long_body_is_refused),
        cmocka_unit_test(a_closed_connection_is_tried_again),
        cmocka_unit_test(bad_answers_are_told_apart),
        cmocka_unit_test(waiting_has_an_end),
        cmocka_unit_test(calls_wait_for_a_connection),
        cmocka_unit_test(cancelled_calls_close_their_connection),
        cmocka_unit_test(an_answer_that_was_left_is_read_to_its_end),
        cmocka_unit_test(tls_is_spoken_and_verified),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
