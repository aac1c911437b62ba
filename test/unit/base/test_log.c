/* test_log.c - lines for the operator, whole and in order. */
#include "base/log.c"

#include "check.h"

#include <fcntl.h>

static int pipe_out[2];

static int setup(void **state)
{
    (void)state;
    if (pipe(pipe_out) || fcntl(pipe_out[1], F_SETPIPE_SZ, 1 << 20) < 0)
        return -1;
    log_open(pipe_out[1], LOG_INFO, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    log_flush();
    log_open(2, LOG_INFO, false);
    close(pipe_out[0]);
    close(pipe_out[1]);
    return 0;
}

static char   got[1 << 20];
static size_t got_len;

/* What has been written so far. */
static str written(void)
{
    ssize_t n;

    fcntl(pipe_out[0], F_SETFL, O_NONBLOCK);
    got_len = 0;
    while ((n = read(pipe_out[0], got + got_len, sizeof(got) - got_len)) > 0)
        got_len += (size_t)n;
    return str_of(got, got_len);
}

TEST(messages_for_people_say_their_level_when_it_matters)
{
    log_info("listening on %s", "port 1");
    log_warn("slow");
    log_error("gone");
    assert_str(written(), "dashbox: listening on port 1\ndashbox: warn: slow\ndashbox: error: gone\n");
}

TEST(what_is_less_important_is_not_written)
{
    log_open(pipe_out[1], LOG_WARN, false);
    log_debug("a");
    log_info("b");
    log_warn("c");
    assert_false(log_wants(LOG_INFO));
    assert_true(log_wants(LOG_ERROR));
    assert_str(written(), "dashbox: warn: c\n");
}

TEST(messages_as_json_are_escaped)
{
    clock_fix(1795550457123);
    log_open(pipe_out[1], LOG_DEBUG, true);
    log_debug("a \"b\"\\ \n\x01");
    clock_fix(0);
    assert_str(
        written(),
        "{\"time\":\"2026-11-24T20:00:57.123Z\",\"level\":\"debug\",\"msg\":\"a \\\"b\\\"\\\\ \\u000a\\u0001\"}\n");
}

TEST(a_message_beyond_all_measure_is_cut_but_stays_one_line)
{
    char text[4 * MSG_MAX];
    str  line;

    memset(text, '"', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    log_open(pipe_out[1], LOG_INFO, true);
    log_info("%s", text);
    line = written();
    assert_true(line.len < 3 * MSG_MAX);
    assert_true(str_ends(line, S("\"}\n")));
    assert_int_equal(str_find(line, '\n'), line.len - 1);
    log_open(pipe_out[1], LOG_INFO, false);
    log_info("%s", text);
    assert_true(str_ends(written(), S("\"\n")));
}

TEST(lines_of_requests_are_gathered_until_they_are_flushed)
{
    log_line(S("{1}\n"));
    log_line(S("{2}\n"));
    assert_str(written(), "");
    log_flush();
    assert_str(written(), "{1}\n{2}\n");
    log_flush();
    assert_str(written(), "");
}

TEST(a_message_goes_out_behind_the_lines_before_it)
{
    log_line(S("{1}\n"));
    log_info("x");
    assert_str(written(), "{1}\ndashbox: x\n");
}

TEST(lines_come_out_in_order_however_many_and_long_they_are)
{
    enum { COUNT = 2000 };
    static char line[LOG_BATCH + 100];
    size_t      total = 0;
    str         all;

    for (int i = 0; i < COUNT; i++) {
        int n = snprintf(line, sizeof(line), "%05d %.*s\n", i, i % 50,
                         "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");

        log_line(str_of(line, (size_t)n));
        total += (size_t)n;
    }
    memset(line, 'L', sizeof(line) - 1);
    line[sizeof(line) - 1] = '\n';
    log_line(str_of(line, sizeof(line))); /* longer than the batch */
    log_flush();
    all = written();
    assert_int_equal(all.len, total + sizeof(line));
    for (int i = 0; i < COUNT; i++) {
        char want[16];

        snprintf(want, sizeof(want), "%05d ", i);
        assert_true(str_starts(str_cut(&all, '\n'), str_from_cstr(want)));
    }
    assert_int_equal(all.len, sizeof(line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_for_people_say_their_level_when_it_matters, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_less_important_is_not_written, setup, teardown),
        cmocka_unit_test_setup_teardown(messages_as_json_are_escaped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_beyond_all_measure_is_cut_but_stays_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_of_requests_are_gathered_until_they_are_flushed, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_goes_out_behind_the_lines_before_it, setup, teardown),
        cmocka_unit_test_setup_teardown(lines_come_out_in_order_however_many_and_long_they_are, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
