/* test_server.c - starts of the whole process that fail. What a server does that has started is test/sdk's. */
#include <errno.h>
#include <pthread.h>

static int thread_make(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg);
#define pthread_create thread_make
#include "server/worker.c"
#undef pthread_create

#include "../base/check.h"
#include "server/config.h"

static size_t threads_left; /* that the system still gives */

static int thread_make(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *arg), void *arg)
{
    if (threads_left == 0)
        return EAGAIN;
    threads_left--;
    return pthread_create(ret, attr, fn, arg);
}

static void start_with_threads(size_t count)
{
    struct config *c = config_new();
    struct server  p;
    struct address at;
    str            key = { 0 }, problem = { 0 };
    char           dir[] = "/tmp/dashbox-server-XXXXXX", file[64], *yaml = file, command[64];
    FILE          *f;

    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof(file), "%s/c.yaml", dir);
    f = fopen(yaml, "w");
    assert_non_null(f);
    fputs("engines:\n- { name: child, command: \"sleep 100 {port}\" }\n"
          "- { name: up, upstream: 'http://127.0.0.1:9/v1', health_path: /health }\n",
          f);
    fclose(f);
    assert_int_equal(config_read(c, file, &problem), OK);
    c->options.data = arena_printf(&c->arena, "%s/data", dir);
    c->options.tokenizer = str_from_cstr(getenv("DASHBOX_TOKENIZER"));
    c->options.workers = 3;
    c->options.time_drain_ms = 1000;
    assert_int_equal(config_finish(c, &problem), OK);
    assert_true(address_parse(S("127.0.0.1:0"), &at));
    assert_int_equal(server_open(&p, c, &at, &key), OK);
    threads_left = count;
    assert_int_equal(server_start(&p), ERR_LIMIT);
    assert_int_equal(p.running, 0);
    server_close(&p);
    snprintf(command, sizeof(command), "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

TEST(without_the_first_thread_nothing_runs)
{
    start_with_threads(0);
}

TEST(without_the_second_the_first_ends)
{
    start_with_threads(1);
}

TEST(without_the_third_the_others_end)
{
    start_with_threads(2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_the_first_thread_nothing_runs),
        cmocka_unit_test(without_the_second_the_first_ends),
        cmocka_unit_test(without_the_third_the_others_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
