/* test_rates_redis.c - the limits in a real server, which each test starts: valkey-server or redis-server. */
#include "access/rates_redis.c"

#include "rates_model.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define T0 ((int64_t)1700000000000)

/* ---- URLs ---- */

static void assert_url(const char *url, const char *want)
{
    struct arena        a;
    struct redis_server s;
    char                text[512] = "none", address[ADDRESS_TEXT_MAX] = "";

    arena_init(&a, 0);
    if (redis_server_parse(&a, str_from_cstr(url), &s)) {
        if (s.fixed)
            address_format(&s.address, address);
        snprintf(text, sizeof(text), "%s%.*s%s%.0d user=%.*s password=%.*s db=%lld", address,
                 s.fixed ? 0 : (int)s.host.len, s.host.ptr, s.fixed ? "" : " ", s.fixed ? 0 : s.port, STR_ARG(s.user),
                 STR_ARG(s.password), (long long)s.db);
    }
    assert_string_equal(text, want);
    arena_free(&a);
}

TEST(urls_are_read)
{
    assert_url("redis://127.0.0.1:7000", "127.0.0.1:7000 user= password= db=0");
    assert_url("redis://127.0.0.1", "127.0.0.1:6379 user= password= db=0");
    assert_url("redis://[::1]/3", "[::1]:6379 user= password= db=3");
    assert_url("redis://cache.internal", "cache.internal 6379 user= password= db=0");
    assert_url("redis://cache.internal:7001/15", "cache.internal 7001 user= password= db=15");
    assert_url("redis://:pass@127.0.0.1:7000", "127.0.0.1:7000 user= password=pass db=0");
    assert_url("redis://me:p%40ss@w%2f@127.0.0.1:7000/1", "127.0.0.1:7000 user=me password=p@ss@w/ db=1");
    assert_url("unix:/run/redis.sock", "unix:/run/redis.sock user= password= db=0");
    assert_url("unix:///run/redis.sock?db=2", "unix:/run/redis.sock user= password= db=2");
}

TEST(what_is_no_url_is_refused)
{
    static const char *const urls[] = { "",
                                        "redis:",
                                        "redis://",
                                        "rediss://127.0.0.1",
                                        "http://127.0.0.1",
                                        "redis://host:0",
                                        "redis://host:x",
                                        "redis://host:65536",
                                        "redis://host/x",
                                        "redis://host/-1",
                                        "redis://pass@host",
                                        "unix:",
                                        "unix:/x?db=",
                                        "unix:/x?database=1" };

    for (size_t i = 0; i < ARRAY_LEN(urls); i++)
        assert_url(urls[i], "none");
}

/* ---- the server ---- */

enum { TIMEOUT_MS = HAS_TSAN_HERE ? 1000 : 250 };

static char  folder[64], socket_path[96], socket_url[128], tcp_url[128];
static pid_t server_pid;
static int   server_port;

static int socket_open(void)
{
    int                fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un to = { .sun_family = AF_UNIX };

    CHECK(fd >= 0);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
    if (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Sends one line past dashbox, and gives the answer, "+OK\r\n". */
static const char *server_do(const char *line)
{
    static char answer[4096];
    int         fd = socket_open();
    ssize_t     n;

    CHECK(fd >= 0);
    CHECK(send(fd, line, strlen(line), 0) == (ssize_t)strlen(line) && send(fd, "\r\n", 2, 0) == 2);
    n = recv(fd, answer, sizeof(answer) - 1, 0);
    CHECK(n > 0);
    answer[n] = 0;
    close(fd);
    return answer;
}

static int free_port(void)
{
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof(at);

    CHECK(bind(fd, (struct sockaddr *)&at, len) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
    close(fd);
    return ntohs(at.sin_port);
}

static void server_start(void)
{
    char port[16];

    snprintf(port, sizeof(port), "%d", server_port);
    unlink(socket_path);
    server_pid = fork();
    CHECK(server_pid >= 0);
    if (server_pid == 0) {
        static const char *const names[] = { "valkey-server", "redis-server" };

        prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that aborts leaves none behind */
        dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
        for (size_t i = 0; i < ARRAY_LEN(names); i++)
            execlp(names[i], names[i], "--port", port, "--bind", "127.0.0.1", "--unixsocket", socket_path, "--save", "",
                   "--appendonly", "no", "--dir", folder, (char *)NULL);
        fprintf(
            stderr,
            "no valkey-server and no redis-server here: ./dev test unit installs it, or apt-get install redis-server\n");
        _exit(127);
    }
    for (int i = 0;; i++) {
        int fd = socket_open(), status;

        if (fd >= 0) {
            close(fd);
            return;
        }
        CHECK(waitpid(server_pid, &status, WNOHANG) == 0);
        CHECK(i < 4000);
        usleep(5000);
    }
}

static void server_kill(void)
{
    kill(server_pid, SIGKILL);
    waitpid(server_pid, NULL, 0);
}

static int server_setup(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-rates-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    server_port = free_port();
    snprintf(socket_path, sizeof(socket_path), "%s/sock", folder);
    snprintf(socket_url, sizeof(socket_url), "unix:%s", socket_path);
    snprintf(tcp_url, sizeof(tcp_url), "redis://127.0.0.1:%d", server_port);
    server_start();
    return 0;
}

static int server_teardown(void **state)
{
    (void)state;
    server_kill();
    unlink(socket_path);
    return rmdir(folder);
}

static int setup(void **state)
{
    alarm(120);
    CHECK(server_do("FLUSHALL")[0] == '+');
    return loop_setup(state);
}

static struct rates *rates;

static struct rates_view *open_view(const char *url, enum rates_away away)
{
    struct rates_options o = { .url = str_from_cstr(url), .away = away, .timeout_ms = TIMEOUT_MS, .lease_ms = 400 };

    CHECK(rates_open(&o, &rates) == OK);
    return rates_view_open(rates, loop);
}

/* Lets the opener go before what it uses does. */
static SUSPENDS void close_view(struct rates_view *v)
{
    rates_view_close(v);
    CHECK(fiber_sleep_until(after_ms(1)) == OK);
    rates_close(rates);
}

static const struct rate_limits many = { .requests = { { 1000000, 1000 } }, .request_windows = 1 };
static struct rate_ticket       last_ticket;
static struct rate_state        last_state;

static enum err admit(struct rates_view *v, const struct rate_limits *l, int64_t ms)
{
    struct rate_claim claims[] = { { S("account"), S("qwen-plus"), l }, { S("ws"), S("qwen-plus"), l } };

    return rates_admit(v, claims, 2, T0 + ms, &last_ticket, &last_state);
}

static int64_t ms_since(int64_t begun_us)
{
    return (clock_mono_us() - begun_us) / 1000;
}

/* Until the server is asked again: a limit of nothing is refused only by it. */
static SUSPENDS void wait_back(struct rates_view *v)
{
    static const struct rate_limits none = { .requests = { { 0, 1000 } }, .request_windows = 1 };
    int64_t                         begun_us = clock_mono_us();

    while (admit(v, &none, 0) != ERR_LIMIT) {
        CHECK(ms_since(begun_us) < 10000);
        CHECK(fiber_sleep_until(after_ms(5)) == OK);
    }
}

#define FIBER_TEST(name)                 \
    static void name##_fiber(void *arg); \
    TEST(name)                           \
    {                                    \
        run_fiber(name##_fiber);         \
    }                                    \
    static void name##_fiber(void *arg __attribute__((unused)))

FIBER_TEST(clients_at_random_get_what_brute_force_says)
{
    struct rates_view *v = open_view(socket_url, RATES_CLOSED);

    for (uint64_t seed = 1; seed <= 12; seed++) {
        model_run(v, seed, HAS_TSAN_HERE ? 500 : 1500);
        rates_reset(v);
        CHECK_STR(str_from_cstr(server_do("DBSIZE")), ":0\r\n");
    }
    for (int i = RATE_ADMITTED; i <= RATE_CONCURRENCY; i++)
        CHECK(model_answers[i] > 50);
    close_view(v);
}

/* ---- many at once ---- */

enum { WORKERS = 2, FIBERS = 32, TRIES = 4, ROUNDS = 15, LIMIT = 100 };

struct worker {
    pthread_t          thread;
    struct loop       *loop;
    struct rates_view *view;
    int64_t            now;
    size_t             left, admitted, refused;
};

static void client(void *arg)
{
    static const struct rate_limits account = { .requests = { { LIMIT, 1000 } }, .request_windows = 1 };
    static const struct rate_limits mine = { .requests = { { LIMIT + 50, 2000 } },
                                             .request_windows = 1,
                                             .concurrency = 200 };
    struct rate_claim               claims[] = { { S("account"), S("m"), &account }, { S("ws"), S("m"), &mine } };
    struct worker                  *w = arg;

    for (int i = 0; i < TRIES; i++) {
        struct rate_ticket t;
        struct rate_state  st;
        enum err           e = rates_admit(w->view, claims, 2, w->now, &t, &st);

        CHECK(e == OK || e == ERR_LIMIT);
        if (e) {
            CHECK(st.refusal == RATE_REQUESTS && st.requests.remaining == 0);
            w->refused++;
        } else {
            w->admitted++;
            rates_settle(w->view, &t, 0, w->now);
        }
    }
    if (--w->left == 0) {
        rates_view_close(w->view);
        loop_stop(w->loop);
    }
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    w->loop = loop_new();
    w->view = rates_view_open(rates, w->loop);
    w->left = FIBERS;
    for (int i = 0; i < FIBERS; i++)
        fiber_start(w->loop, client, w);
    loop_run(w->loop);
    loop_free(w->loop);
    return NULL;
}

/* 64 clients on two connections want more than there is, at one moment; then a window later, and half a window later. */
TEST(clients_at_once_get_the_limit_and_no_more)
{
    struct rates_options o = { .url = str_from_cstr(tcp_url), .away = RATES_CLOSED, .timeout_ms = 10000 };

    assert_int_equal(rates_open(&o, &rates), OK);
    for (int round = 0; round < ROUNDS; round++) {
        /* in thirds: everything, then what the longer window still gives, then nothing */
        static const size_t want[] = { LIMIT, 50, 0 };
        struct worker       workers[WORKERS] = { 0 };
        size_t              admitted = 0;

        for (int i = 0; i < WORKERS; i++) {
            workers[i].now = T0 + round / 3 * 5000 + round % 3 * 999 + (round % 3 != 0);
            CHECK(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]) == 0);
        }
        for (int i = 0; i < WORKERS; i++) {
            pthread_join(workers[i].thread, NULL);
            admitted += workers[i].admitted;
            assert_int_equal(workers[i].admitted + workers[i].refused, FIBERS * TRIES);
        }
        assert_int_equal(admitted, want[round % 3]);
    }
    rates_close(rates);
}

/* ---- the server goes away ---- */

static SUSPENDS void check_away(struct rates_view *v, enum rates_away away)
{
    int64_t begun_us = clock_mono_us();

    for (int i = 0; i < 100; i++) { /* also over the attempts to come back */
        CHECK(admit(v, &many, 0) == (away == RATES_OPEN ? OK : ERR_UNREACHABLE));
        rates_settle(v, &last_ticket, 10, T0);
        CHECK(fiber_sleep_until(after_ms(2)) == OK);
    }
    CHECK(ms_since(begun_us) < 100 * (HAS_TSAN_HERE ? 40 : 10)); /* and not 100 time-outs */
}

static SUSPENDS void killed(enum rates_away away)
{
    struct rates_view *v = open_view(socket_url, away);
    struct rate_ticket under_way;

    CHECK(admit(v, &many, 0) == OK && last_state.requests.remaining == 999999);
    under_way = last_ticket;
    server_kill();
    check_away(v, away);
    rates_settle(v, &under_way, 10, T0);
    server_start();
    wait_back(v);
    CHECK(admit(v, &many, 0) == OK && last_state.requests.remaining == 999999); /* it has forgotten */
    close_view(v);
}

FIBER_TEST(a_killed_server_closed)
{
    killed(RATES_CLOSED);
}

FIBER_TEST(a_killed_server_open)
{
    killed(RATES_OPEN);
}

static SUSPENDS void stopped(enum rates_away away)
{
    struct rates_view *v = open_view(tcp_url, away);
    int64_t            begun_us;

    CHECK(admit(v, &many, 0) == OK);
    kill(server_pid, SIGSTOP);
    begun_us = clock_mono_us();
    CHECK(admit(v, &many, 0) == (away == RATES_OPEN ? OK : ERR_UNREACHABLE));
    CHECK(ms_since(begun_us) >= TIMEOUT_MS - 10 && ms_since(begun_us) < 2 * TIMEOUT_MS);
    check_away(v, away);
    kill(server_pid, SIGCONT);
    wait_back(v);
    close_view(v);
}

FIBER_TEST(a_stopped_server_closed)
{
    stopped(RATES_CLOSED);
}

FIBER_TEST(a_stopped_server_open)
{
    stopped(RATES_OPEN);
}

static SUSPENDS void hold_and_end(struct rates_view *v)
{
    static const struct rate_limits one = { .concurrency = 1 };
    struct rate_ticket              t;

    CHECK(admit(v, &one, 0) == OK);
    t = last_ticket;
    CHECK(admit(v, &one, 0) == ERR_LIMIT && last_state.refusal == RATE_CONCURRENCY);
    rates_settle(v, &t, 0, T0);
    CHECK(admit(v, &one, 0) == OK);
    rates_undo(v, &last_ticket, T0);
}

FIBER_TEST(a_call_of_a_dead_process_ends_with_its_lease)
{
    static const struct rate_limits one = { .concurrency = 1 };
    struct rates_view              *v = open_view(socket_url, RATES_CLOSED);
    int64_t                         begun_us;

    hold_and_end(v);
    begun_us = clock_mono_us();
    CHECK(admit(v, &one, 0) == OK); /* and never ends: its process dies */
    close_view(v);
    v = open_view(socket_url, RATES_CLOSED);
    while (admit(v, &one, 0) == ERR_LIMIT)
        CHECK(fiber_sleep_until(after_ms(10)) == OK);
    CHECK(ms_since(begun_us) >= 390 && ms_since(begun_us) < 5000);
    close_view(v);
}

FIBER_TEST(a_call_that_takes_longer_than_its_lease_keeps_its_place)
{
    static const struct rate_limits one = { .concurrency = 1 };
    struct rates_view              *v = open_view(socket_url, RATES_CLOSED);
    struct rate_ticket              t;

    wait_back(v);
    CHECK(admit(v, &one, 0) == OK);
    t = last_ticket;
    for (int i = 0; i < 120; i++) { /* three leases */
        CHECK(fiber_sleep_until(after_ms(10)) == OK);
        CHECK(admit(v, &one, 0) == ERR_LIMIT && last_state.refusal == RATE_CONCURRENCY);
    }
    rates_settle(v, &t, 0, T0);
    hold_and_end(v);
    close_view(v);
}

/* Nobody renews it, so it is free again when its lease is over. */
FIBER_TEST(a_call_that_ends_while_the_server_is_away_is_forgotten)
{
    static const struct rate_limits one = { .concurrency = 1 };
    struct rates_view              *v = open_view(tcp_url, RATES_CLOSED);
    struct rate_ticket              t;
    int64_t                         begun_us;

    wait_back(v);
    CHECK(admit(v, &one, 0) == OK);
    t = last_ticket;
    kill(server_pid, SIGSTOP);
    while (admit(v, &many, 0) == OK)
        ;
    rates_settle(v, &t, 0, T0); /* is not heard */
    kill(server_pid, SIGCONT);
    begun_us = clock_mono_us();
    wait_back(v);
    while (admit(v, &one, 0) == ERR_LIMIT)
        CHECK(fiber_sleep_until(after_ms(10)) == OK);
    CHECK(ms_since(begun_us) < 5000);
    close_view(v);
}

static void ends_cancelled(void *arg)
{
    fiber_cancel(fiber_self());
    hold_and_end(arg);
}

/* The client has gone: what its call held must be given back all the same. */
FIBER_TEST(a_cancelled_fiber_settles)
{
    struct rates_view *v = open_view(socket_url, RATES_CLOSED);

    wait_back(v);
    spawn(ends_cancelled, v);
    CHECK(fiber_sleep_until(after_ms(200)) == OK);
    hold_and_end(v);
    close_view(v);
}

FIBER_TEST(a_script_that_was_forgotten_is_sent_again)
{
    struct rates_view *v = open_view(socket_url, RATES_CLOSED);

    CHECK(admit(v, &many, 0) == OK);
    CHECK_STR(str_from_cstr(server_do("SCRIPT FLUSH")), "+OK\r\n");
    CHECK(admit(v, &many, 0) == OK && last_state.requests.remaining == 999998);
    CHECK_STR(str_from_cstr(server_do("SCRIPT FLUSH")), "+OK\r\n");
    CHECK(admit(v, &many, 0) == OK && last_state.requests.remaining == 999997);
    close_view(v);
}

FIBER_TEST(all_keys_expire)
{
    static const struct rate_limits all = { .requests = { { 9, 1000 } },
                                            .tokens = { { 99, 60000 } },
                                            .request_windows = 1,
                                            .token_windows = 1,
                                            .concurrency = 5 };
    struct rates_view              *v = open_view(socket_url, RATES_CLOSED);

    CHECK(admit(v, &all, 0) == OK);
    CHECK(rates_reserve(v, &last_ticket, 10, T0, &last_state) == OK);
    CHECK_STR(str_from_cstr(server_do("DBSIZE")), ":8\r\n");
    CHECK_STR(
        str_from_cstr(server_do("EVAL \"local n = 0; for _, k in ipairs(redis.call('KEYS', '*')) do "
                                "local t = redis.call('PTTL', k); if t > 0 and t <= 660000 then n = n + 1 end end; "
                                "return n\" 0")),
        ":8\r\n");
    close_view(v);
}

FIBER_TEST(passwords_and_databases)
{
    char               good[200], bad[200];
    struct rates_view *v;

    CHECK_STR(str_from_cstr(server_do("CONFIG SET requirepass s@cret")), "+OK\r\n");
    snprintf(good, sizeof(good), "redis://:s%%40cret@127.0.0.1:%d/7", server_port);
    snprintf(bad, sizeof(bad), "redis://default:wrong@localhost:%d", server_port);
    v = open_view(good, RATES_CLOSED);
    CHECK(admit(v, &many, 0) == OK);
    close_view(v);
    v = open_view(bad, RATES_CLOSED);
    CHECK(admit(v, &many, 0) == ERR_UNREACHABLE);
    close_view(v);
    v = open_view(good, RATES_CLOSED);
    CHECK(admit(v, &many, 0) == OK && last_state.requests.remaining == 999998); /* it was in database 7 */
    close_view(v);
    server_kill();
    server_start();
}

FIBER_TEST(nobody_there_at_the_start)
{
    struct rates_view *v = open_view("unix:/nonexistent/sock", RATES_CLOSED);
    int64_t            begun_us = clock_mono_us();

    CHECK(admit(v, &many, 0) == ERR_UNREACHABLE);
    rates_reset(v);
    CHECK(ms_since(begun_us) < TIMEOUT_MS);
    close_view(v);
    v = open_view("unix:/nonexistent/sock", RATES_OPEN);
    CHECK(admit(v, &many, 0) == OK && last_state.requests.limit == -1);
    CHECK(rates_reserve(v, &last_ticket, 10, T0, &last_state) == OK);
    rates_settle(v, &last_ticket, 20, T0);
    close_view(v);
}

/* ---- somebody else is there ---- */

struct stranger {
    struct stream stream;
    bool          open;
};

static struct stranger strangers[64];
static size_t          stranger_count;

static void on_stranger_read(struct stream *s, str bytes, enum err e)
{
    str nonsense = S("HTTP/1.1 400 Bad Request\r\n\r\n");

    (void)bytes;
    if (e)
        stream_close(s);
    else
        (void)stream_write(s, &nonsense, 1);
}

static const struct stream_events stranger_events = { .on_read = on_stranger_read };

static void on_stranger(struct listener *ln, void *arg)
{
    struct stream *s = &strangers[stranger_count++].stream;

    (void)arg;
    CHECK(stranger_count < ARRAY_LEN(strangers));
    CHECK(stream_accept(s, &stranger_events, ln) == OK);
    stream_read_start(s);
}

FIBER_TEST(a_server_of_another_kind_is_away)
{
    struct listener   *ln;
    struct address     at;
    struct rates_view *v;
    char               text[ADDRESS_TEXT_MAX], address[160];

    CHECK(address_parse(S("127.0.0.1:0"), &at) && listener_open(loop, &at, 8, on_stranger, NULL, &ln) == OK);
    listener_address(ln, &at);
    address_format(&at, text);
    snprintf(address, sizeof(address), "redis://%s", text);
    v = open_view(address, RATES_CLOSED);
    for (int i = 0; i < 20; i++) {
        CHECK(admit(v, &many, 0) == ERR_UNREACHABLE);
        CHECK(fiber_sleep_until(after_ms(5)) == OK);
    }
    CHECK(stranger_count >= 2); /* it was tried again */
    close_view(v);
    listener_close(ln);
}

#define server_test(name) cmocka_unit_test_setup_teardown(name, setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(what_is_no_url_is_refused),
        server_test(clients_at_random_get_what_brute_force_says),
        server_test(clients_at_once_get_the_limit_and_no_more),
        server_test(a_killed_server_closed),
        server_test(a_killed_server_open),
        server_test(a_stopped_server_closed),
        server_test(a_stopped_server_open),
        server_test(a_call_of_a_dead_process_ends_with_its_lease),
        server_test(a_call_that_takes_longer_than_its_lease_keeps_its_place),
        server_test(a_call_that_ends_while_the_server_is_away_is_forgotten),
        server_test(a_cancelled_fiber_settles),
        server_test(a_script_that_was_forgotten_is_sent_again),
        server_test(all_keys_expire),
        server_test(passwords_and_databases),
        server_test(nobody_there_at_the_start),
        server_test(a_server_of_another_kind_is_away),
    };

    signal(SIGPIPE, SIG_IGN); /* as serve does */
    return cmocka_run_group_tests(tests, server_setup, server_teardown);
}
