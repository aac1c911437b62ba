/* test_stream.c - connections over loopback and Unix sockets: all bytes, in order, at the reader's pace. */
#include "loop/stream.c"

#include "peer.h"

#include <fcntl.h>
#include <sys/stat.h>

/* ---- addresses ---- */

static void assert_address(const char *text, const char *again)
{
    struct address a;
    char           back[ADDRESS_TEXT_MAX];

    if (!address_parse(str_from_cstr(text), &a))
        fail_msg("\"%s\" is an address", text);
    address_format(&a, back);
    assert_string_equal(back, again);
}

TEST(addresses_are_read_and_written)
{
    assert_address("127.0.0.1:8420", "127.0.0.1:8420");
    assert_address("0.0.0.0:0", "0.0.0.0:0");
    assert_address("localhost:65535", "127.0.0.1:65535");
    assert_address("[::1]:8420", "[::1]:8420");
    assert_address("::1:8420", "[::1]:8420"); /* the last colon counts */
    assert_address("[2001:db8::ff]:1", "[2001:db8::ff]:1");
    assert_address("unix:/run/x.sock", "unix:/run/x.sock");
    assert_address("unix:x", "unix:x");
}

TEST(what_is_no_address_is_refused)
{
    static const char *const texts[] = {
        "",
        ":",
        "8420",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "1.2.3:4",
        "1.2.3.4.5:6",
        "example.com:80",
        "[::1]",
        "[::1:80",
        "[]:80",
        "unix:",
        "127.0.0.1:80 ",
        "127.0.0.1:99999999999999999999",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
    };
    struct address a = { .path = "untouched" };
    char           path[200];

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        if (address_parse(str_from_cstr(texts[i]), &a))
            fail_msg("\"%s\" is no address", texts[i]);
    }
    memset(path, 'p', sizeof(path));
    memcpy(path, "unix:", 5);
    assert_true(address_parse(str_of(path, 5 + sizeof(a.path) - 1), &a));
    assert_false(address_parse(str_of(path, 5 + sizeof(a.path)), &a));
}

/* ---- a server that sends everything back ---- */

struct echo {
    struct stream stream;
    struct echo  *next;
};

static struct listener *listener;
static size_t           echo_open, echo_accepted;
static bool             echo_end_on_eof = true;

static void echo_on_read(struct stream *s, str bytes, enum err e)
{
    if (!e)
        CHECK(stream_write(s, &bytes, 1) == OK || true);
    else if (echo_end_on_eof)
        stream_close(s);
}

static void echo_on_closed(struct stream *s)
{
    echo_open--;
    free(CONTAINER_OF(s, struct echo, stream));
}

static const struct stream_events echo_events = { .on_read = echo_on_read, .on_closed = echo_on_closed };

static void echo_on_accept(struct listener *ln, void *arg)
{
    struct echo *e = xcalloc(1, sizeof(*e));

    CHECK(arg == &echo_open);
    CHECK(stream_accept(&e->stream, &echo_events, ln) == OK);
    stream_read_start(&e->stream);
    echo_open++;
    echo_accepted++;
}

static struct address listen_echo(struct address at)
{
    struct address got;

    echo_open = echo_accepted = 0;
    CHECK(listener_open(loop, &at, 16, echo_on_accept, &echo_open, &listener) == OK);
    listener_address(listener, &got);
    return at.path[0] ? at : got;
}

static char *pattern_new(size_t len)
{
    char    *p = xmalloc(len);
    uint64_t dice = 7;

    for (size_t i = 0; i < len; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        p[i] = (char)(dice >> 56);
    }
    return p;
}

static void port_zero(void *arg)
{
    struct address at = listen_echo(loopback());
    struct peer    p;

    (void)arg;
    CHECK(ntohs(at.in.sin_port) != 0);
    peer_connect(&p, &at);
    peer_send(&p, S("hello"));
    peer_expect(&p, S("hello"));
    CHECK(echo_accepted == 1);
    peer_close(&p);
    listener_close(listener);
}

TEST(a_listener_on_port_0_says_which_it_got)
{
    run_fiber(port_zero);
    assert_int_equal(echo_open, 0);
}

static void two_on_one_port(void *arg)
{
    struct address   at = listen_echo(loopback());
    struct listener *other;

    (void)arg;
    CHECK(listener_open(loop, &at, 16, echo_on_accept, &echo_open, &other) == OK);
    listener_close(other);
    listener_close(listener);
}

TEST(workers_share_a_port)
{
    run_fiber(two_on_one_port);
}

static void cannot_listen(void *arg)
{
    struct address   at;
    struct listener *ln = NULL;

    (void)arg;
    CHECK(address_parse(S("unix:/nonexistent/folder/x.sock"), &at));
    CHECK(listener_open(loop, &at, 16, echo_on_accept, NULL, &ln) != OK);
    CHECK(address_parse(S("203.0.113.7:0"), &at)); /* nobody here has that address */
    CHECK(listener_open(loop, &at, 16, echo_on_accept, NULL, &ln) != OK);
    CHECK(ln == NULL);
}

TEST(a_listener_that_cannot_be_opened_leaves_nothing)
{
    run_fiber(cannot_listen);
}

static void over_unix(void *arg)
{
    char           folder[] = "/tmp/dashbox-test-XXXXXX", text[160];
    struct address at;
    struct peer    p;

    (void)arg;
    CHECK(mkdtemp(folder));
    snprintf(text, sizeof(text), "unix:%s/x.sock", folder);
    CHECK(address_parse(str_from_cstr(text), &at));
    for (int round = 0; round < 2; round++) { /* the second time the path is there already */
        listen_echo(at);
        peer_connect(&p, &at);
        peer_send(&p, S("hello"));
        peer_expect(&p, S("hello"));
        CHECK(address_taken(&at));
        peer_close(&p);
        listener_close(listener);
        if (round == 0) {
            struct sockaddr_un left = { .sun_family = AF_UNIX }; /* what a killed process leaves */
            int                fd = socket(AF_UNIX, SOCK_STREAM, 0);

            CHECK(!address_taken(&at));
            memcpy(left.sun_path, at.path, sizeof(at.path));
            CHECK(bind(fd, (struct sockaddr *)&left, sizeof(left)) == 0);
            close(fd);
        }
        yield();
    }
    yield();
    close(open(at.path, O_CREAT | O_WRONLY, 0600)); /* something that is no socket stays */
    CHECK(listener_open(loop, &at, 16, echo_on_accept, &echo_open, &listener) == ERR_EXISTS);
    CHECK(unlink(at.path) == 0);
    rmdir(folder);
}

TEST(a_unix_socket_works_also_where_one_was_left_behind)
{
    run_fiber(over_unix);
}

/* ---- many bytes ---- */

#define BULK ((size_t)6 << 20)

static char *bulk;

static void send_bulk(void *arg)
{
    struct peer *p = arg;
    size_t       sent = 0, step = 1;

    while (sent < BULK) {
        size_t n = min_size(step, BULK - sent);
        str    parts[5] = { str_of(bulk + sent, n / 3), S(""), str_of(bulk + sent + n / 3, n - n / 3), { 0 }, S("") };

        CHECK(stream_write(&p->stream, parts, 5) == OK);
        CHECK(stream_flush(&p->stream, 64 * 1024, DEADLINE_NONE) == OK);
        CHECK(p->stream.queued <= 64 * 1024);
        sent += n;
        step = step * 3 % 299993 + 1;
    }
    CHECK(stream_flush(&p->stream, 0, DEADLINE_NONE) == OK);
    CHECK(p->stream.queued == 0);
}

static void echo_bulk(void *arg)
{
    struct address at = listen_echo(loopback());
    struct peer    p;

    (void)arg;
    bulk = pattern_new(BULK);
    peer_connect(&p, &at);
    spawn(send_bulk, &p);
    peer_expect(&p, str_of(bulk, BULK));
    CHECK(p.received == (int64_t)BULK);
    yield();
    peer_close(&p);
    listener_close(listener);
    free(bulk);
}

TEST(all_bytes_come_back_in_order_however_they_are_cut)
{
    run_fiber(echo_bulk);
}

/* ---- a reader that is slower than its writer ---- */

/* The server side of one connection, for a test to use as it likes. */
static struct peer  served;
static struct peer *served_to;

static void on_serve(struct listener *ln, void *arg)
{
    (void)arg;
    served = (struct peer){ 0 };
    CHECK(stream_accept(&served.stream, &peer_events, ln) == OK);
    fiber_wake(served_to->waiter);
}

/* A connection, both ends in hand; neither reads yet. */
static void connect_pair(struct peer *p)
{
    struct address at = loopback();

    CHECK(listener_open(loop, &at, 16, on_serve, NULL, &listener) == OK);
    listener_address(listener, &at);
    served.stream.loop = NULL;
    served_to = p;
    peer_connect_quiet(p, &at);
    while (!served.stream.loop)
        peer_wait(p);
    listener_close(listener);
}

/* The kernel takes megabytes on loopback: with a smaller buffer it takes less. (Not much smaller, and not on the reader's
 * side: TCP sends windows below a segment's size only after a while.) */
static void buffer_small(struct peer *p)
{
    uv_os_fd_t fd;
    int        size = 128 * 1024;

    CHECK(uv_fileno((uv_handle_t *)p->stream.handle, &fd) == 0);
    CHECK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
}

enum { PIECE = 10000, PIECES = 1200 };

static size_t pieces_sent, queued_most;
static bool   sender_waited;

static void send_pieces(void *arg)
{
    char *piece = pattern_new(PIECE);

    (void)arg;
    for (pieces_sent = 0; pieces_sent < PIECES; pieces_sent++) {
        str s = str_of(piece, PIECE);

        CHECK(stream_write(&served.stream, &s, 1) == OK);
        queued_most = max_size(queued_most, served.stream.queued);
        sender_waited |= served.stream.queued > PIECE;
        CHECK(stream_flush(&served.stream, PIECE, DEADLINE_NONE) == OK);
    }
    CHECK(stream_flush(&served.stream, 0, DEADLINE_NONE) == OK);
    free(piece);
}

static void slow_reader(void *arg)
{
    struct peer p;

    (void)arg;
    queued_most = 0;
    sender_waited = false;
    connect_pair(&p);
    buffer_small(&served);
    spawn(send_pieces, NULL);
    /* Nothing is taken: the sender must come to a stop, far from its end. */
    while (!served.stream.writer)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    for (int i = 0; i < 5; i++)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(served.stream.writer);
    CHECK(pieces_sent < PIECES / 2);
    /* A little is taken, again and again. */
    while (p.received < PIECES * PIECE) {
        stream_read_start(&p.stream);
        peer_wait(&p);
        stream_read_stop(&p.stream);
        peer_take(&p, p.len);
        yield();
    }
    CHECK(p.received == PIECES * PIECE);
    CHECK(sender_waited);
    CHECK(queued_most <= 2 * PIECE); /* never more than was left and one piece */
    peer_close(&p);
    peer_close(&served);
}

TEST(a_writer_waits_for_a_slow_reader_and_keeps_little)
{
    run_fiber(slow_reader);
}

/* Fills what the kernel takes, and more. */
static void fill_up(void)
{
    char *piece = xcalloc(1, 1 << 20);
    str   s = str_of(piece, 1 << 20);

    buffer_small(&served);
    while (served.stream.queued == 0)
        CHECK(stream_write(&served.stream, &s, 1) == OK);
    free(piece); /* what the kernel did not take has been copied */
}

static void flush_in_vain(void *arg)
{
    struct peer p;
    size_t      unsent;

    (void)arg;
    connect_pair(&p);
    fill_up();
    CHECK(stream_flush(&served.stream, 0, after_ms(2)) == ERR_TIMEOUT);
    CHECK(stream_flush(&served.stream, 0, 0) == ERR_TIMEOUT);
    CHECK(served.stream.writer == NULL);
    CHECK(stream_flush(&served.stream, served.stream.queued, 0) == OK); /* that much may wait */
    /* What the reader takes is seen before all of it has been taken, */
    unsent = stream_unsent(&served.stream);
    CHECK(unsent > 0 && unsent <= served.stream.queued);
    stream_read_start(&p.stream);
    while (stream_unsent(&served.stream) == unsent)
        peer_wait(&p);
    /* and when it has, that is the end. */
    CHECK(stream_flush(&served.stream, 0, DEADLINE_NONE) == OK);
    peer_close(&p);
    peer_close(&served);
}

TEST(a_flush_gives_up_at_its_deadline)
{
    run_fiber(flush_in_vain);
}

static void reset_peer(void *arg)
{
    peer_reset(arg);
}

static void reader_goes(void *arg)
{
    struct peer p;

    (void)arg;
    connect_pair(&p);
    fill_up();
    spawn(reset_peer, &p);
    CHECK(stream_flush(&served.stream, 0, DEADLINE_NONE) == ERR_EOF);
    CHECK(stream_write(&served.stream, &S("x"), 1) == ERR_EOF); /* it stays broken */
    CHECK(stream_flush(&served.stream, 0, DEADLINE_NONE) == ERR_EOF);
    peer_close(&served);
}

TEST(a_writer_learns_that_its_reader_has_gone)
{
    run_fiber(reader_goes);
}

static void close_served(void *arg)
{
    (void)arg;
    stream_close(&served.stream);
    stream_close(&served.stream); /* again: nothing */
}

static void closed_under_the_writer(void *arg)
{
    struct peer p;

    (void)arg;
    connect_pair(&p);
    fill_up();
    stream_read_start(&served.stream);
    spawn(close_served, NULL);
    CHECK(stream_flush(&served.stream, 0, DEADLINE_NONE) == ERR_EOF);
    CHECK(stream_write(&served.stream, &S("x"), 1) == ERR_EOF);
    stream_read_start(&served.stream); /* nothing */
    stream_shutdown(&served.stream);   /* nothing */
    peer_close(&served);
    CHECK(served.received == 0);
    peer_close(&p);
}

TEST(closing_ends_a_flush_under_way)
{
    run_fiber(closed_under_the_writer);
}

static void writer_cancelled(void *arg)
{
    (void)arg;
    CHECK(stream_flush(&served.stream, 0, DEADLINE_NONE) == ERR_CANCELLED);
    CHECK(served.stream.writer == NULL);
}

static void cancelled_flush(void *arg)
{
    struct peer   p;
    struct fiber *f;

    (void)arg;
    connect_pair(&p);
    fill_up();
    f = spawn(writer_cancelled, NULL);
    yield();
    fiber_cancel(f);
    yield();
    peer_close(&served);
    peer_close(&p);
}

TEST(a_flush_can_be_cancelled)
{
    run_fiber(cancelled_flush);
}

/* ---- reading ---- */

static void pausing(void *arg)
{
    struct peer p;

    (void)arg;
    connect_pair(&p);
    peer_send(&served, S("one"));
    stream_read_start(&p.stream);
    peer_expect(&p, S("one"));
    stream_read_stop(&p.stream);
    stream_read_stop(&p.stream);
    peer_send(&served, S("two"));
    for (int i = 0; i < 3; i++)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(p.len == 0); /* it waits in the kernel */
    stream_read_start(&p.stream);
    stream_read_start(&p.stream);
    peer_expect(&p, S("two"));
    peer_close(&p);
    peer_close(&served);
}

TEST(reading_can_be_paused)
{
    run_fiber(pausing);
}

static void half_closed(void *arg)
{
    struct peer p;

    (void)arg;
    connect_pair(&p);
    stream_read_start(&p.stream);
    stream_read_start(&served.stream);
    peer_send(&p, S("that was all"));
    stream_shutdown(&p.stream);
    peer_until(&served, "all");
    peer_until_end(&served);
    CHECK(served.end == ERR_EOF);
    CHECK(!served.stream.reading);
    peer_send(&served, S("thank you")); /* the other direction is open */
    peer_expect(&p, S("thank you"));
    stream_shutdown(&served.stream);
    peer_until_end(&p);
    CHECK(p.end == ERR_EOF);
    peer_close(&p);
    peer_close(&served);
}

TEST(the_end_of_one_direction_is_told_once_and_the_other_stays_open)
{
    run_fiber(half_closed);
}

static void shutdown_after_much(void *arg)
{
    struct peer p;

    (void)arg;
    connect_pair(&p);
    fill_up();
    stream_shutdown(&served.stream); /* once what waits has been taken */
    stream_read_start(&p.stream);
    peer_until_end(&p);
    CHECK(p.received % (1 << 20) == 0 && p.received > 0);
    peer_close(&p);
    peer_close(&served);
}

TEST(saying_goodbye_waits_until_all_has_been_taken)
{
    run_fiber(shutdown_after_much);
}

/* ---- connecting ---- */

/* A port at which nobody listens: bound, and not listening, for as long as the test runs. */
static struct address closed_port(int *ret_fd)
{
    struct address a = loopback();
    socklen_t      len = sizeof(a.in);

    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(*ret_fd >= 0);
    CHECK(bind(*ret_fd, &a.sa, sizeof(a.in)) == 0);
    CHECK(getsockname(*ret_fd, &a.sa, &len) == 0);
    return a;
}

static void refused(void *arg)
{
    int            fd;
    struct address at = closed_port(&fd);
    struct peer    p = { 0 };

    (void)arg;
    CHECK(stream_connect(&p.stream, &peer_events, &at, DEADLINE_NONE) == ERR_REFUSED);
    CHECK(!p.closed); /* it is gone already, and says no more */
    CHECK(address_parse(S("unix:/nonexistent/x.sock"), &at));
    CHECK(stream_connect(&p.stream, &peer_events, &at, DEADLINE_NONE) == ERR_REFUSED);
    close(fd);
}

TEST(a_connection_that_nobody_takes_is_refused)
{
    run_fiber(refused);
}

static void connect_late(void *arg)
{
    struct address at = listen_echo(loopback());
    struct peer    p = { 0 };

    (void)arg;
    for (int i = 0; i < 20; i++)
        CHECK(stream_connect(&p.stream, &peer_events, &at, 0) == ERR_TIMEOUT);
    listener_close(listener);
    /* Those that the kernel had connected all the same end by themselves. */
    while (echo_open)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
}

TEST(a_connection_is_given_up_at_its_deadline)
{
    run_fiber(connect_late);
}

static void full_backlog(void *arg)
{
    struct address at;
    int            ln = 0, fd[8];
    struct peer    p = { 0 };
    enum err       e;

    (void)arg;
    at = closed_port(&ln);
    CHECK(listen(ln, 0) == 0);
    for (size_t i = 0; i < ARRAY_LEN(fd); i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        (void)connect(fd[i], &at.sa, sizeof(at.in)); /* nobody accepts: the queue is full after one or two */
    }
    e = stream_connect(&p.stream, &peer_events, &at, after_ms(20));
    CHECK(e == ERR_TIMEOUT || e == OK); /* OK: not on this kernel */
    if (!e)
        peer_close(&p);
    for (size_t i = 0; i < ARRAY_LEN(fd); i++)
        close(fd[i]);
    close(ln);
}

TEST(a_server_that_does_not_answer_is_waited_for_no_longer_than_said)
{
    run_fiber(full_backlog);
}

static void connecting_cancelled(void *arg)
{
    struct peer p = { 0 };

    CHECK(stream_connect(&p.stream, &peer_events, arg, DEADLINE_NONE) == ERR_CANCELLED);
}

static void cancel_connecting(void *arg)
{
    struct address at = listen_echo(loopback());
    struct fiber  *f = spawn(connecting_cancelled, &at);

    (void)arg;
    fiber_cancel(f);
    yield();
    while (tasks_left > 1)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    listener_close(listener);
    while (echo_open)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
}

TEST(connecting_can_be_cancelled)
{
    run_fiber(cancel_connecting);
}

static void resolve(void *arg)
{
    struct address found[8];
    size_t         count = 99;
    char           text[ADDRESS_TEXT_MAX], name[300];

    (void)arg;
    CHECK(address_resolve(S("127.0.0.1"), 80, DEADLINE_NONE, found, ARRAY_LEN(found), &count) == OK);
    CHECK(count == 1);
    address_format(&found[0], text);
    CHECK_STR(str_from_cstr(text), "127.0.0.1:80");
    CHECK(address_resolve(S("localhost"), 443, DEADLINE_NONE, found, ARRAY_LEN(found), &count) == OK);
    CHECK(count >= 1 && count <= ARRAY_LEN(found));
    CHECK(address_resolve(S("localhost"), 443, DEADLINE_NONE, found, 1, &count) == OK && count == 1);
    count = 99;
    memset(name, 'n', sizeof(name));
    CHECK(address_resolve(str_of(name, sizeof(name)), 80, DEADLINE_NONE, found, 8, &count) == ERR_INVALID);
    CHECK(address_resolve(S("localhost"), 80, 0, found, 8, &count) == ERR_TIMEOUT); /* the answer comes to nobody */
    CHECK(count == 99);
}

TEST(names_are_looked_up_off_the_loop)
{
    run_fiber(resolve);
}

TEST(a_stopped_loop_ends_when_its_streams_are_closed)
{
    listen_echo(loopback());
    listener_close(listener);
    loop_stop(loop);
    loop_run(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(addresses_are_read_and_written),
        loop_test(what_is_no_address_is_refused),
        loop_test(a_listener_on_port_0_says_which_it_got),
        loop_test(workers_share_a_port),
        loop_test(a_listener_that_cannot_be_opened_leaves_nothing),
        loop_test(a_unix_socket_works_also_where_one_was_left_behind),
        loop_test(all_bytes_come_back_in_order_however_they_are_cut),
        loop_test(a_writer_waits_for_a_slow_reader_and_keeps_little),
        loop_test(a_flush_gives_up_at_its_deadline),
        loop_test(a_writer_learns_that_its_reader_has_gone),
        loop_test(closing_ends_a_flush_under_way),
        loop_test(a_flush_can_be_cancelled),
        loop_test(reading_can_be_paused),
        loop_test(the_end_of_one_direction_is_told_once_and_the_other_stays_open),
        loop_test(saying_goodbye_waits_until_all_has_been_taken),
        loop_test(a_connection_that_nobody_takes_is_refused),
        loop_test(a_connection_is_given_up_at_its_deadline),
        loop_test(a_server_that_does_not_answer_is_waited_for_no_longer_than_said),
        loop_test(connecting_can_be_cancelled),
        loop_test(names_are_looked_up_off_the_loop),
        loop_test(a_stopped_loop_ends_when_its_streams_are_closed),
    };

    signal(SIGPIPE, SIG_IGN);
    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
