/* test_tls.c - TLS sessions in memory, and the server behind one. */
#include "net/tls.c"

#include "../loop/peer.h"
#include "base/num.h"
#include "net/http_server.h"

#include <signal.h>

/* ---- certificates, made by openssl(1) once for all tests ---- */

static char folder[] = "/tmp/dashbox-tls-XXXXXX";
static bool made;
static char cert[64], key[64], other_cert[64], other_key[64];

static int make_certificates(void **state)
{
    char command[1024];

    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(cert, sizeof(cert), "%s/a.crt", folder);
    snprintf(key, sizeof(key), "%s/a.key", folder);
    snprintf(other_cert, sizeof(other_cert), "%s/b.crt", folder);
    snprintf(other_key, sizeof(other_key), "%s/b.key", folder);
    snprintf(
        command, sizeof(command),
        "cd %s && for n in a b; do openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=$n.example -addext subjectAltName=DNS:$n.example,DNS:localhost -keyout $n.key -out $n.crt"
        " >/dev/null 2>&1 || exit 1; done",
        folder);
    made = system(command) == 0;
    if (!made)
        print_message("no openssl(1), or not one that makes certificates: nothing to test\n");
    return 0;
}

static int remove_certificates(void **state)
{
    (void)state;
    unlink(cert), unlink(key), unlink(other_cert), unlink(other_key);
    return rmdir(folder);
}

#define NEEDS_CERTIFICATES \
    do {                   \
        if (!made)         \
            skip();        \
    } while (0)

/* ---- in memory ---- */

struct pair {
    struct tls_context *server_context, *client_context;
    struct tls         *server, *client;
};

static void pair_open(struct pair *p, const char *ca, bool verify, const char *host)
{
    CHECK(tls_context_server(cert, key, &p->server_context) == OK);
    CHECK(tls_context_client(ca, verify, &p->client_context) == OK);
    p->server = tls_new_server(p->server_context);
    p->client = tls_new_client(p->client_context, host);
}

static void pair_close(struct pair *p)
{
    tls_free(p->server);
    tls_free(p->client);
    tls_context_free(p->server_context);
    tls_context_free(p->client_context);
}

/* Carries what waits over to the other side, `step` bytes at a time, and reads there what has become plain. */
static enum err carry(struct tls *from, struct tls *to, size_t step, struct buf *plain)
{
    str      wire = tls_pending(from);
    char     piece[1000];
    size_t   n;
    enum err e = OK;

    while (wire.len && !e) {
        CHECK(tls_feed(to, str_first(wire, step)) == OK);
        wire = str_from(wire, step);
        do {
            e = tls_read(to, piece, sizeof(piece), &n);
            if (plain)
                buf_add_bytes(plain, piece, n);
        } while (!e && n);
    }
    tls_sent(from);
    return e;
}

/* Until both are ready, or something has failed. */
static enum err shake_hands(struct pair *p, size_t step)
{
    char     nothing[1];
    size_t   n;
    enum err e = tls_read(p->client, nothing, 1, &n); /* the client begins */

    while (!e && (tls_pending(p->client).len || tls_pending(p->server).len)) {
        e = carry(p->client, p->server, step, NULL);
        if (!e)
            e = carry(p->server, p->client, step, NULL);
    }
    return e;
}

TEST(two_sides_shake_hands_and_talk)
{
    struct arena arena;
    struct buf   got;
    struct pair  p;
    char        *large;

    NEEDS_CERTIFICATES;
    arena_init(&arena, 0);
    buf_init(&got, &arena, (size_t)1 << 20);
    pair_open(&p, cert, true, "localhost");
    assert_false(tls_ready(p.client));
    assert_int_equal(shake_hands(&p, SIZE_MAX), OK);
    assert_true(tls_ready(p.client) && tls_ready(p.server));

    assert_int_equal(tls_write(p.client, S("GET /")), OK);
    assert_int_equal(tls_write(p.client, S(" HTTP/1.1")), OK);
    assert_int_equal(tls_write(p.client, S("")), OK);
    assert_true(str_find_str(tls_pending(p.client), S("GET")) == STR_NONE); /* it is a secret */
    assert_int_equal(carry(p.client, p.server, 7, &got), OK);
    assert_str(buf_str(&got), "GET / HTTP/1.1");

    large = arena_bytes(&arena, 300000); /* many records */
    for (size_t i = 0; i < 300000; i++)
        large[i] = (char)(i * 7 + i / 1000);
    buf_reset(&got);
    assert_int_equal(tls_write(p.server, str_of(large, 300000)), OK);
    assert_int_equal(carry(p.server, p.client, 5000, &got), OK);
    assert_true(str_eq(buf_str(&got), str_of(large, 300000)));
    pair_close(&p);
    arena_free(&arena);
}

TEST(a_handshake_may_come_byte_by_byte)
{
    struct pair p;

    NEEDS_CERTIFICATES;
    pair_open(&p, cert, true, "a.example");
    assert_int_equal(shake_hands(&p, 1), OK);
    assert_true(tls_ready(p.client) && tls_ready(p.server));
    pair_close(&p);
}

TEST(a_goodbye_is_the_end)
{
    struct pair p;

    NEEDS_CERTIFICATES;
    pair_open(&p, cert, true, "localhost");
    assert_int_equal(shake_hands(&p, SIZE_MAX), OK);
    assert_int_equal(tls_write(p.client, S("last words")), OK);
    tls_shutdown(p.client);
    assert_int_equal(carry(p.client, p.server, SIZE_MAX, NULL), ERR_EOF);
    pair_close(&p);
}

TEST(bytes_that_are_not_tls_break_the_session)
{
    struct pair p;
    char        piece[100];
    size_t      n;

    NEEDS_CERTIFICATES;
    pair_open(&p, cert, true, "localhost");
    assert_int_equal(tls_feed(p.server, S("GET / HTTP/1.1\r\nHost: h\r\n\r\n")), OK);
    assert_int_equal(tls_read(p.server, piece, sizeof(piece), &n), ERR_PROTOCOL);
    assert_int_equal(n, 0);
    pair_close(&p);
}

TEST(a_record_that_was_changed_on_its_way_breaks_the_session)
{
    struct pair p;
    char        wire[200], piece[100];
    size_t      len, n;

    NEEDS_CERTIFICATES;
    pair_open(&p, cert, true, "localhost");
    assert_int_equal(shake_hands(&p, SIZE_MAX), OK);
    assert_int_equal(tls_write(p.client, S("pay 10")), OK);
    len = tls_pending(p.client).len;
    assert_in_range(len, 10, sizeof(wire));
    memcpy(wire, tls_pending(p.client).ptr, len);
    wire[len - 1] ^= 1;
    assert_int_equal(tls_feed(p.server, str_of(wire, len)), OK);
    assert_int_equal(tls_read(p.server, piece, sizeof(piece), &n), ERR_PROTOCOL);
    assert_int_equal(n, 0);
    pair_close(&p);
}

TEST(a_certificate_for_another_name_is_refused)
{
    struct pair p;

    NEEDS_CERTIFICATES;
    pair_open(&p, cert, true, "b.example");
    assert_int_equal(shake_hands(&p, SIZE_MAX), ERR_PROTOCOL);
    pair_close(&p);
}

TEST(a_certificate_of_unknown_origin_is_refused_unless_nobody_asks)
{
    struct pair p;

    NEEDS_CERTIFICATES;
    pair_open(&p, other_cert, true, "localhost");
    assert_int_equal(shake_hands(&p, SIZE_MAX), ERR_PROTOCOL);
    pair_close(&p);
    pair_open(&p, NULL, true, "localhost"); /* the system's authorities do not know it either */
    assert_int_equal(shake_hands(&p, SIZE_MAX), ERR_PROTOCOL);
    pair_close(&p);
    pair_open(&p, NULL, false, "localhost");
    assert_int_equal(shake_hands(&p, SIZE_MAX), OK);
    pair_close(&p);
}

TEST(files_that_do_not_fit_are_refused)
{
    struct tls_context *c = NULL;

    NEEDS_CERTIFICATES;
    assert_int_equal(tls_context_server("/nonexistent", key, &c), ERR_INVALID);
    assert_int_equal(tls_context_server(cert, "/nonexistent", &c), ERR_INVALID);
    assert_int_equal(tls_context_server(cert, other_key, &c), ERR_INVALID);
    assert_int_equal(tls_context_server(key, cert, &c), ERR_INVALID);
    assert_int_equal(tls_context_client("/nonexistent", true, &c), ERR_INVALID);
    assert_null(c);
}

TEST(a_session_holds_its_context)
{
    struct tls_context *c;
    struct tls         *t;
    char                nothing[1];
    size_t              n;

    NEEDS_CERTIFICATES;
    assert_int_equal(tls_context_server(cert, key, &c), OK);
    t = tls_new_server(c);
    tls_context_free(c);
    assert_int_equal(tls_read(t, nothing, 1, &n), OK);
    tls_free(t);
    tls_free(NULL);
    tls_context_free(NULL);
}

/* ---- the server over TLS ---- */

static struct http_server *server;
static struct address      address;
static bool                drained;
static enum err            last_err;
static unsigned            handled;

static struct http_body_plan plan(void *arg, struct http_exchange *x)
{
    (void)arg;
    return (struct http_body_plan){ .max = (size_t)32 << 20, .pieces = str_eq(http_path(x), S("/count")) };
}

static void handle(void *arg, struct http_exchange *x)
{
    (void)arg;
    handled++;
    if (str_eq(http_path(x), S("/count"))) {
        size_t total = 0;
        str    piece;

        do {
            CHECK(http_body_next(x, &piece) == OK);
            total += piece.len;
        } while (piece.len);
        last_err = http_answer(x, 200, NULL, 0, arena_printf(http_arena(x), "%zu", total));
    } else if (str_eq(http_path(x), S("/large"))) {
        char *body = arena_bytes(http_arena(x), 2000000);

        for (size_t i = 0; i < 2000000; i++)
            body[i] = (char)('a' + i % 26);
        last_err = http_answer(x, 200, NULL, 0, str_of(body, 2000000));
    } else if (str_eq(http_path(x), S("/wait"))) {
        last_err = fiber_wait(DEADLINE_NONE);
    } else {
        last_err = http_answer(x, 200, NULL, 0, S("hello"));
    }
}

static struct http_server_options options_of(struct tls_context *c)
{
    return (struct http_server_options){
        .head_time_ms = 60000,
        .body_time_ms = 60000,
        .idle_time_ms = 60000,
        .connection_max = 100,
        .tls = c,
        .plan = plan,
        .handle = handle,
    };
}

static void serve(struct tls_context *c)
{
    struct address             at = loopback();
    struct http_server_options o = options_of(c);

    CHECK(http_server_open(loop, &at, &o, &server) == OK);
    http_server_address(server, &address);
    drained = false;
    handled = 0;
}

static void on_drained(void *arg)
{
    drained = true;
    fiber_wake(arg);
}

static void end(void)
{
    http_server_drain(server, on_drained, fiber_self());
    while (!drained)
        CHECK(fiber_wait(DEADLINE_NONE) == OK);
    http_server_free(server);
}

struct secure {
    struct peer  peer;
    struct tls  *tls;
    struct arena arena;
    struct buf   plain;
    size_t       at; /* what of it has been looked at */
    enum err     e;
};

static void secure_out(struct secure *s)
{
    peer_send(&s->peer, tls_pending(s->tls));
    tls_sent(s->tls);
}

/* Reads what has come; waits for more when that is nothing. */
static void secure_more(struct secure *s)
{
    char   piece[4000];
    size_t n;

    while (s->peer.len == 0 && !s->peer.end)
        peer_wait(&s->peer);
    CHECK(tls_feed(s->tls, str_of(s->peer.in, s->peer.len)) == OK);
    peer_take(&s->peer, s->peer.len);
    do {
        s->e = tls_read(s->tls, piece, sizeof(piece), &n);
        buf_add_bytes(&s->plain, piece, n);
        secure_out(s);
    } while (!s->e && n);
}

static void secure_connect(struct secure *s, struct tls_context *c)
{
    char   nothing[1];
    size_t n;

    s->e = OK;
    s->at = 0;
    arena_init(&s->arena, 0);
    buf_init(&s->plain, &s->arena, (size_t)16 << 20);
    peer_connect(&s->peer, &address);
    s->tls = tls_new_client(c, "localhost");
    CHECK(tls_read(s->tls, nothing, 1, &n) == OK);
    secure_out(s);
    while (!s->e && !tls_ready(s->tls))
        secure_more(s);
}

static void secure_send(struct secure *s, str bytes)
{
    CHECK(tls_write(s->tls, bytes) == OK);
    secure_out(s);
    (void)stream_flush(&s->peer.stream, 0, DEADLINE_NONE); /* the test sees what comes of it */
}

static void secure_until(struct secure *s, const char *text)
{
    for (;;) {
        size_t at = str_find_str(str_from(buf_str(&s->plain), s->at), str_from_cstr(text));

        if (at != STR_NONE) {
            s->at += at + strlen(text);
            return;
        }
        CHECK(!s->e && !s->peer.end);
        secure_more(s);
    }
}

static void secure_close(struct secure *s)
{
    peer_close(&s->peer);
    tls_free(s->tls);
    arena_free(&s->arena);
}

static void over_tls(void *arg)
{
    struct tls_context *server_context, *client_context;
    struct secure       s;
    char               *body = xcalloc(1, 3000000);
    const char         *large;

    (void)arg;
    CHECK(tls_context_server(cert, key, &server_context) == OK);
    CHECK(tls_context_client(cert, true, &client_context) == OK);
    serve(server_context);
    tls_context_free(server_context); /* the server holds it */
    secure_connect(&s, client_context);
    CHECK(tls_ready(s.tls));
    secure_send(&s, S("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    secure_until(&s, "\r\n\r\nhello");
    /* ahead, and in one record with the next's first half */
    secure_send(&s, S("GET /1 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /2 HTTP/1.1\r\nHost: localhost\r\n\r\nGET /3 HT"));
    secure_until(&s, "\r\n\r\nhello");
    secure_until(&s, "\r\n\r\nhello");
    secure_send(&s, S("TP/1.1\r\nHost: localhost\r\n\r\n"));
    secure_until(&s, "\r\n\r\nhello");
    CHECK(handled == 4);
    /* much in, much out */
    secure_send(&s, S("POST /count HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3000000\r\n\r\n"));
    secure_send(&s, str_of(body, 3000000));
    secure_until(&s, "\r\n\r\n3000000");
    secure_send(&s, S("GET /large HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    secure_until(&s, "\r\n\r\n");
    while (s.plain.len - s.at < 2000000)
        secure_more(&s);
    large = s.plain.ptr + s.at;
    for (size_t i = 0; i < 2000000; i++)
        CHECK(large[i] == (char)('a' + i % 26));
    CHECK(http_server_counters(server)->connections == 1);
    /* the client says goodbye */
    tls_shutdown(s.tls);
    secure_out(&s);
    while (!s.e && !s.peer.end)
        secure_more(&s);
    secure_close(&s);
    tls_context_free(client_context);
    free(body);
    end();
}

TEST(the_server_answers_over_tls)
{
    NEEDS_CERTIFICATES;
    run_fiber(over_tls);
}

static void server_closes(void *arg)
{
    struct tls_context *server_context, *client_context;
    struct secure       s;

    (void)arg;
    CHECK(tls_context_server(cert, key, &server_context) == OK);
    CHECK(tls_context_client(cert, true, &client_context) == OK);
    serve(server_context);
    secure_connect(&s, client_context);
    secure_send(&s, S("GET /hello HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    secure_until(&s, "\r\nconnection: close\r\n");
    secure_until(&s, "\r\n\r\nhello");
    while (!s.e && !s.peer.end)
        secure_more(&s);
    secure_close(&s);
    /* one that is idle when the server drains */
    secure_connect(&s, client_context);
    secure_send(&s, S("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    secure_until(&s, "\r\n\r\nhello");
    http_server_drain(server, on_drained, fiber_self());
    while (!s.e && !s.peer.end)
        secure_more(&s);
    CHECK(s.e == ERR_EOF); /* with a goodbye: nothing was cut off */
    secure_close(&s);
    while (!drained)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    http_server_free(server);
    tls_context_free(server_context);
    tls_context_free(client_context);
}

TEST(the_server_ends_a_connection_over_tls)
{
    NEEDS_CERTIFICATES;
    run_fiber(server_closes);
}

static void not_tls(void *arg)
{
    struct tls_context *server_context, *client_context;
    struct secure       s;
    struct peer         p;

    (void)arg;
    CHECK(tls_context_server(cert, key, &server_context) == OK);
    serve(server_context);
    peer_connect(&p, &address);
    peer_send(&p, S("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    peer_until_end(&p);
    CHECK(str_find_str(str_of(p.in, p.len), S("HTTP/1.1")) == STR_NONE); /* no answer in the open */
    peer_close(&p);
    /* a client that does not trust us goes */
    CHECK(tls_context_client(other_cert, true, &client_context) == OK);
    secure_connect(&s, client_context);
    CHECK(s.e == ERR_PROTOCOL);
    secure_close(&s);
    tls_context_free(client_context);
    CHECK(handled == 0);
    /* and so does one in the middle of the handshake */
    peer_connect(&p, &address);
    peer_send(&p, str_of("\x16\x03\x01\x02\x00\x01", 6));
    peer_close(&p);
    while (http_server_counters(server)->open)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    tls_context_free(server_context);
    end();
}

TEST(a_client_that_does_not_speak_tls_or_does_not_trust_us_gets_nothing)
{
    NEEDS_CERTIFICATES;
    run_fiber(not_tls);
}

static void gone_over_tls(void *arg)
{
    struct tls_context *server_context, *client_context;
    struct secure       s;

    (void)arg;
    CHECK(tls_context_server(cert, key, &server_context) == OK);
    CHECK(tls_context_client(cert, true, &client_context) == OK);
    serve(server_context);
    for (int i = 0; i < 2; i++) {
        last_err = OK;
        secure_connect(&s, client_context);
        secure_send(&s, S("GET /wait HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        while (handled != (unsigned)i + 1)
            CHECK(fiber_sleep_until(after_ms(1)) == OK);
        if (i == 0) { /* with a goodbye, and without */
            tls_shutdown(s.tls);
            secure_out(&s);
        } else {
            stream_close(&s.peer.stream);
        }
        while (last_err != ERR_CANCELLED)
            CHECK(fiber_sleep_until(after_ms(1)) == OK);
        secure_close(&s);
    }
    tls_context_free(server_context);
    tls_context_free(client_context);
    end();
}

TEST(a_client_that_goes_away_cancels_over_tls_too)
{
    NEEDS_CERTIFICATES;
    run_fiber(gone_over_tls);
}

static void new_certificate(void *arg)
{
    struct tls_context        *a, *b, *trusts_a, *trusts_b;
    struct secure              before, after;
    struct http_server_options renewed;

    (void)arg;
    CHECK(tls_context_server(cert, key, &a) == OK);
    CHECK(tls_context_server(other_cert, other_key, &b) == OK);
    CHECK(tls_context_client(cert, true, &trusts_a) == OK);
    CHECK(tls_context_client(other_cert, true, &trusts_b) == OK);
    serve(a);
    tls_context_free(a);
    secure_connect(&before, trusts_a);
    CHECK(before.e == OK);
    renewed = options_of(b);
    http_server_options_set(server, &renewed);
    tls_context_free(b);
    secure_connect(&after, trusts_b);
    CHECK(after.e == OK);
    secure_send(&before, S("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")); /* goes on with the old one */
    secure_until(&before, "\r\n\r\nhello");
    secure_send(&after, S("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    secure_until(&after, "\r\n\r\nhello");
    secure_close(&before);
    secure_close(&after);
    tls_context_free(trusts_a);
    tls_context_free(trusts_b);
    end();
}

TEST(a_new_certificate_is_for_later_connections)
{
    NEEDS_CERTIFICATES;
    run_fiber(new_certificate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_sides_shake_hands_and_talk),
        cmocka_unit_test(a_handshake_may_come_byte_by_byte),
        cmocka_unit_test(a_goodbye_is_the_end),
        cmocka_unit_test(bytes_that_are_not_tls_break_the_session),
        cmocka_unit_test(a_record_that_was_changed_on_its_way_breaks_the_session),
        cmocka_unit_test(a_certificate_for_another_name_is_refused),
        cmocka_unit_test(a_certificate_of_unknown_origin_is_refused_unless_nobody_asks),
        cmocka_unit_test(files_that_do_not_fit_are_refused),
        cmocka_unit_test(a_session_holds_its_context),
        loop_test(the_server_answers_over_tls),
        loop_test(the_server_ends_a_connection_over_tls),
        loop_test(a_client_that_does_not_speak_tls_or_does_not_trust_us_gets_nothing),
        loop_test(a_client_that_goes_away_cancels_over_tls_too),
        loop_test(a_new_certificate_is_for_later_connections),
    };

    signal(SIGPIPE, SIG_IGN);
    hang_guard();
    return cmocka_run_group_tests(tests, make_certificates, remove_certificates);
}
