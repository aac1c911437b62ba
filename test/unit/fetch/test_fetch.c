/* test_fetch.c - data URIs, files, and the spool. What goes over the wire is in test/wire/tasks.case and test/sdk/tasks.test.mjs. */
#include "fetch/fetch.c"

#include "../loop/run.h"
#include "net/http_server.h"

#include <stdio.h>

static char            folder[64];
static struct lane    *lane;
static struct fetcher *fetcher;
static struct arena    arena;

static int setup(void **state)
{
    struct fetch_options o = { .redirects = 1, .connect_ms = 1000 };
    str                  problem;

    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/dashbox-fetch-XXXXXX");
    arena_init(&arena, 0);
    lane = lane_open("files");
    if (!mkdtemp(folder) || !lane)
        return -1;
    o.lane = lane;
    o.spool = arena_printf(&arena, "%s/spool", folder);
    o.files = arena_printf(&arena, "%s/in//", folder); /* as people write folders */
    if (fetcher_open(&o, &fetcher, &problem))
        return -1;
    return loop_setup(state);
}

static int teardown(void **state)
{
    char rm[128];

    arena_free(&arena);
    fetcher_close(fetcher);
    lane_close(lane);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm) || loop_teardown(state);
}

static enum fetch_error get(str url, int64_t size_max, struct fetched *ret)
{
    struct fetch_request rq = { .url = url, .size_max = size_max, .time_ms = 2000 };

    return fetch(fetcher, &arena, &rq, ret);
}

static void check_content(const struct fetched *f, const char *want)
{
    char    text[64];
    ssize_t n = read(f->fd, text, sizeof(text));

    CHECK(n == f->size);
    CHECK_STR(str_of(text, (size_t)n), want);
}

static void data_uris(void *unused)
{
    static const str bad[] = {
        S("data:,hello"),
        S("data:text/plain,hello"),
        S("data:text/plain;base64"),
        S("data:;base64,a"),
        S("data:;base64,aGVsb*8="),
        S("data:;base64,aGVs bG8="),
        S("data:;base64,aGVsbG8=="),
        S("data:;base64,aGV=bG8="),
        S("data:;base64,===="),
        S("data:;base64,aGVsbG8\n="),
    };
    static const str     types[] = { S("image/png") };
    struct fetch_request typed = {
        .url = S("data:text/plain;base64,aGVsbG8="), .size_max = 9, .types = types, .type_count = 1
    };
    struct fetched f;

    (void)unused;
    CHECK(get(S("data:Text/Plain;charset=x;base64,aGVsbG8="), 5, &f) == FETCH_OK);
    check_content(&f, "hello");
    CHECK_STR(f.type, "text/plain");
    CHECK_STR(str_from_cstr(f.hash), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    CHECK(get(S("DATA:;base64,aGVsbG8"), 5, &f) == FETCH_OK); /* without its padding */
    check_content(&f, "hello");
    CHECK(get(S("data:;base64,"), 5, &f) == FETCH_OK);
    check_content(&f, "");
    CHECK(get(S("data:;base64,aGVsbG8="), 4, &f) == FETCH_TOO_LARGE);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (get(bad[i], 100, &f) != FETCH_URL) {
            fprintf(stderr, "%s was read\n", bad[i].ptr);
            abort();
        }
    }
    CHECK(fetch(fetcher, &arena, &typed, &f) == FETCH_TYPE);
}

TEST(a_data_uri_is_decoded_strictly_and_under_its_ceiling)
{
    run_fiber(data_uris);
}

static str file_url(const char *name)
{
    return arena_printf(&arena, "file://%s/%s", folder, name);
}

static void files(void *unused)
{
    struct fetched f;
    char           command[512];

    (void)unused;
    snprintf(command, sizeof(command),
             "cd %s && mkdir in in/sub && printf inside >in/a.txt && printf x >in/sub/b && printf secret >out.txt && "
             "ln -s ../out.txt in/link && ln -s a.txt in/good && ln -s /etc in/etc && mkfifo in/pipe",
             folder);
    CHECK(system(command) == 0);
    CHECK(get(file_url("in/a.txt"), 100, &f) == FETCH_OK);
    check_content(&f, "inside");
    CHECK(get(file_url("in/%61.txt"), 100, &f) == FETCH_OK);
    CHECK(get(file_url("in/good"), 100, &f) == FETCH_OK);
    CHECK(get(file_url("in/sub/../a.txt"), 100, &f) == FETCH_OK); /* does not leave */
    CHECK(get(file_url("in/a.txt"), 5, &f) == FETCH_TOO_LARGE);
    CHECK(get(file_url("out.txt"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("in/../out.txt"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("in/%2e%2e/out.txt"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("in/link"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("in/etc/passwd"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("in//etc/passwd"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("inside"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("in"), 100, &f) == FETCH_FORBIDDEN);
    CHECK(get(file_url("in/sub"), 100, &f) == FETCH_UNREACHABLE);
    CHECK(get(file_url("in/none"), 100, &f) == FETCH_UNREACHABLE);
    CHECK(get(file_url("in/pipe"), 100, &f) == FETCH_UNREACHABLE);
    CHECK(get(file_url("in/a.txt%00"), 100, &f) == FETCH_URL);
    CHECK(get(S("file:///etc/passwd"), 10000, &f) == FETCH_FORBIDDEN);
    CHECK(get(S("file://localhost/etc/passwd"), 10000, &f) == FETCH_FORBIDDEN);
}

TEST(a_file_is_of_the_folder_or_is_not_opened)
{
    run_fiber(files);
}

static void elsewhere(void *unused)
{
    static const struct {
        str              url;
        enum fetch_error e;
    } cases[] = {
        { S(""), FETCH_URL },
        { S("x.png"), FETCH_URL },
        { S("oss://bucket/x"), FETCH_SCHEME },
        { S("ftp://x/"), FETCH_SCHEME },
        { S("http://"), FETCH_URL },
        { S("http://127.0.0.1/"), FETCH_FORBIDDEN },
        { S("http://localhost/"), FETCH_FORBIDDEN },
        { S("http://[::1]:1/"), FETCH_FORBIDDEN },
    };
    struct fetched f;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum fetch_error e = get(cases[i].url, 100, &f);

        if (e != cases[i].e) {
            fprintf(stderr, "%s: %s\n", cases[i].url.ptr, fetch_error_text(e).ptr);
            abort();
        }
        CHECK(f.fd == -1);
    }
}

TEST(other_urls_lead_nowhere)
{
    run_fiber(elsewhere);
}

/* ---- over the wire ---- */

static struct http_server *server;

static struct http_body_plan no_body(void *arg, struct http_exchange *x)
{
    (void)arg, (void)x;
    return (struct http_body_plan){ 0 };
}

/* The path is "/STATUS/TYPE": an answer of five bytes; "/chunked" one without a length. */
static void answer(void *arg, struct http_exchange *x)
{
    str               path = str_from(http_path(x), 1), status = str_cut(&path, '/');
    struct http_field fields[] = { { S("content-type"), http_unescape(http_arena(x), path) },
                                   { S("location"), S("/200/text/plain") } };
    int64_t           n = 200;

    (void)arg;
    CHECK_STR(http_field(x, S("accept-encoding")), "identity");
    if (str_to_i64(status, &n)) {
        (void)http_answer(x, (int)n, fields, ARRAY_LEN(fields), S("hello"));
        return;
    }
    http_stream_begin(x, 200, fields, 1);
    for (int i = 0; i < 100; i++) {
        buf_add(http_stream_buf(x), S("hello"));
        if (http_stream_flush(x))
            return; /* the reader has had enough */
    }
    (void)http_stream_end(x);
}

static void over_the_wire(void *unused)
{
    static const str png[] = { S("image/png"), S("image/jpeg") };
    const struct {
        const char      *path;
        int64_t          size_max;
        bool             need_length, typed;
        enum fetch_error e;
        int              status;
    } cases[] = {
        { "200/text/plain", 5, true, false, FETCH_OK, 200 },
        { "200/text/plain", 4, true, false, FETCH_TOO_LARGE, 200 },
        { "200/image/png", 5, true, true, FETCH_OK, 200 },
        { "200/Image/PNG;%20q=1", 5, true, true, FETCH_OK, 200 },
        { "200/image/pngx", 5, true, true, FETCH_TYPE, 200 },
        { "200/text/plain", 5, true, true, FETCH_TYPE, 200 },
        { "200/", 5, true, true, FETCH_TYPE, 200 },
        { "chunked", 500, false, false, FETCH_OK, 200 },
        { "chunked", 499, false, false, FETCH_TOO_LARGE, 200 },
        { "chunked", 500, true, false, FETCH_NO_LENGTH, 200 },
        { "302/x", 5, true, false, FETCH_OK, 200 },
        { "307/x", 5, true, true, FETCH_TYPE, 200 },
        { "401/x", 5, true, false, FETCH_DENIED, 401 },
        { "403/x", 5, true, false, FETCH_DENIED, 403 },
        { "404/x", 5, true, false, FETCH_STATUS, 404 },
        { "206/x", 5, true, false, FETCH_STATUS, 206 },
        { "500/x", 5, true, false, FETCH_STATUS, 500 },
    };
    struct address at;
    char           where[ADDRESS_TEXT_MAX];
    str            problem;

    (void)unused;
    CHECK(guard_init(&fetcher->guard, S("127.0.0.1"), &arena, &problem));
    http_server_address(server, &at);
    address_format(&at, where);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fetch_request rq = { .url = arena_printf(&arena, "http://%s/%s", where, cases[i].path),
                                    .size_max = cases[i].size_max,
                                    .time_ms = 5000,
                                    .need_length = cases[i].need_length,
                                    .types = png,
                                    .type_count = cases[i].typed ? ARRAY_LEN(png) : 0 };
        struct fetched       f;
        enum fetch_error     e = fetch(fetcher, &arena, &rq, &f);

        if (e != cases[i].e || f.status != cases[i].status) {
            fprintf(stderr, "%zu %s: %s, status %d\n", i, cases[i].path, fetch_error_text(e).ptr, f.status);
            abort();
        }
    }
    arena_reset(&arena); /* closes what is open */
    http_server_drain(server, NULL, NULL);
}

TEST(what_the_head_says_is_checked_before_the_body_is_taken)
{
    struct http_server_options o = { .head_time_ms = 5000,
                                     .body_time_ms = 5000,
                                     .idle_time_ms = 5000,
                                     .connection_max = 99,
                                     .plan = no_body,
                                     .handle = answer };
    struct address             at;

    assert_true(address_parse(S("127.0.0.1:0"), &at));
    assert_int_equal(http_server_open(loop, &at, &o, &server), OK);
    run_fiber(over_the_wire);
    http_server_free(server);
}

static void leave_no_name(void *unused)
{
    struct fetched f;
    char           ls[256];

    (void)unused;
    CHECK(get(S("data:;base64,aGVsbG8="), 5, &f) == FETCH_OK);
    snprintf(ls, sizeof(ls), "test -d %s/spool && test -z \"$(ls -A %s/spool)\"", folder, folder);
    CHECK(system(ls) == 0);
}

TEST(a_spool_file_has_no_name)
{
    run_fiber(leave_no_name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_data_uri_is_decoded_strictly_and_under_its_ceiling, setup, teardown),
        cmocka_unit_test_setup_teardown(a_file_is_of_the_folder_or_is_not_opened, setup, teardown),
        cmocka_unit_test_setup_teardown(other_urls_lead_nowhere, setup, teardown),
        cmocka_unit_test_setup_teardown(what_the_head_says_is_checked_before_the_body_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(a_spool_file_has_no_name, setup, teardown),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
