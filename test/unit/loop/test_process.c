/* test_process.c - children that speak, fail, hang, and leave children of their own. */
#include "loop/process.c"

#include "run.h"

struct heard {
    char     text[65536];
    size_t   len;
    unsigned lines, ends;
};

static void on_line(void *arg, str line)
{
    struct heard *h = arg;

    h->lines++;
    if (line.len + 1 < sizeof(h->text) - h->len) {
        memcpy(h->text + h->len, line.ptr, line.len);
        h->len += line.len;
        h->text[h->len++] = '\n';
        h->text[h->len] = 0;
    }
}

static void on_child_ended(void *arg)
{
    ((struct heard *)arg)->ends++;
}

static struct heard heard;

static struct process *start(const char *script)
{
    const char *const      argv[] = { "/bin/sh", "-c", script, NULL };
    const char *const      env[] = { "DASHBOX_TEST=from us", "HOME=/elsewhere", NULL };
    struct process_options o = {
        .argv = argv, .env = env, .dir = "/", .on_line = on_line, .on_exit = on_child_ended, .arg = &heard
    };
    struct process *p = NULL;

    heard = (struct heard){ 0 };
    CHECK(process_start(loop, &o, &p) == OK);
    CHECK(process_pid(p) > 0);
    return p;
}

static int64_t in_ms(int64_t ms)
{
    return loop_now_us(loop) + ms * 1000;
}

static void speaks(void *arg)
{
    struct process *p = start("pwd; echo \"$DASHBOX_TEST $HOME\" >&2; printf 'no line end'; exit 3");
    char            text[PROCESS_END_TEXT_MAX];

    (void)arg;
    process_end_text(p, text);
    CHECK(text[0] == 0);
    CHECK(process_wait(p, in_ms(10000)) == OK);
    process_end_text(p, text);
    CHECK(strcmp(text, "status 3") == 0);
    CHECK(heard.ends == 1);
    CHECK(heard.lines == 3);
    CHECK(strstr(heard.text, "/\n"));
    CHECK(strstr(heard.text, "from us /elsewhere\n"));
    CHECK(strstr(heard.text, "no line end\n"));
    process_kill(p, SIGTERM); /* nothing */
    process_free(p);
}

static void lines_and_status_are_told(void **state)
{
    (void)state;
    spawn(speaks, NULL);
    run();
}

static void long_line(void *arg)
{
    struct process *p = start("head -c 10000 /dev/zero | tr '\\0' x; echo; echo end");

    (void)arg;
    CHECK(process_wait(p, in_ms(10000)) == OK);
    CHECK(heard.lines == 4); /* 4096 + 4096 + 1808, and the last */
    CHECK(heard.len == 10000 + 3 + 4);
    process_free(p);
}

static void a_long_line_comes_in_pieces(void **state)
{
    (void)state;
    spawn(long_line, NULL);
    run();
}

static void stubborn(void *arg)
{
    struct process *p = start("trap '' TERM; echo ready; while :; do sleep 0.02; done");
    char            text[PROCESS_END_TEXT_MAX];

    (void)arg;
    while (heard.lines == 0)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    process_stop(p, 50);
    CHECK(process_wait(p, in_ms(20)) == ERR_TIMEOUT);
    CHECK(process_wait(p, in_ms(10000)) == OK);
    process_end_text(p, text);
    CHECK(strcmp(text, "signal 9") == 0);
    process_free(p);
}

static void one_that_will_not_stop_is_killed(void **state)
{
    (void)state;
    spawn(stubborn, NULL);
    run();
}

static void obedient(void *arg)
{
    struct process *p = start("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.01; done");

    (void)arg;
    while (heard.lines == 0)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    process_stop(p, 10000);
    CHECK(process_wait(p, in_ms(5000)) == OK);
    CHECK(strstr(heard.text, "bye\n"));
    process_free(p);
}

static void one_that_stops_may_say_goodbye(void **state)
{
    (void)state;
    spawn(obedient, NULL);
    run();
}

static bool is_alive(int pid)
{
    char  path[64], line[256];
    FILE *f;
    bool  alive = false;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    f = fopen(path, "r");
    if (!f)
        return false;
    if (fgets(line, sizeof(line), f)) {
        const char *state = strrchr(line, ')');

        alive = state && state[1] && state[2] != 'Z';
    }
    fclose(f);
    return alive;
}

static size_t flooded; /* bytes of lines since the last turn of the loop */

static void on_flood(void *arg, str line)
{
    static int64_t turn_us;

    (void)arg;
    if (turn_us != loop_now_us(loop))
        flooded = 0;
    turn_us = loop_now_us(loop);
    flooded += line.len + 1;
    CHECK(flooded < 64 * DRAIN_MAX);
}

static void family(void *arg)
{
    struct process *p = start("sleep 1000 & echo $!; wait");
    int64_t         pid = 0;

    (void)arg;
    while (heard.lines == 0)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    CHECK(str_to_i64(str_first(str_from_cstr(heard.text), str_find(str_from_cstr(heard.text), '\n')), &pid));
    CHECK(is_alive((int)pid));
    process_free(p);
    for (int i = 0; i < 5000 && is_alive((int)pid); i++)
        CHECK(fiber_sleep_until(in_ms(1)) == OK);
    CHECK(!is_alive((int)pid));
    CHECK(heard.ends == 0); /* no callback behind process_free() */
}

static void its_children_go_with_it(void **state)
{
    (void)state;
    spawn(family, NULL);
    run();
}

/* Those that it leaves in groups of their own write on when it has ended. */
static void flood(void *arg)
{
    struct process *p = start("for i in 1 2 3 4; do setsid sh -c 'exec yes' & done; sleep 0.2");

    (void)arg;
    p->o.on_line = on_flood;
    CHECK(process_wait(p, in_ms(30000)) == OK);
    CHECK(flooded < 2 * DRAIN_MAX);
    process_free(p);
}

static void last_words_have_an_end(void **state)
{
    (void)state;
    spawn(flood, NULL);
    run();
}

/* Neither is started, so that nobody has to end. */
static void nobody(void *arg)
{
    static const char *const programs[] = { "/no/such/program", "no-such-program", "/etc", "/etc/passwd", "./sh" };
    const char *const        env[] = { "PATH=/no/such/folder:/bin", NULL };

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(programs); i++) {
        const char *const      argv[] = { programs[i], NULL };
        struct process_options o = {
            .argv = argv, .env = env, .dir = "/etc", .on_exit = on_child_ended, .arg = &heard
        };
        struct process *p;

        heard = (struct heard){ 0 };
        CHECK(process_start(loop, &o, &p) == ERR_NOT_FOUND);
        CHECK(heard.ends == 0);
    }
}

/* On the PATH that it is given, or below the folder it works in; what a shell does not find shows in its status. */
static void somebody(void *arg)
{
    const char *const env[] = { "PATH=/no/such/folder:/bin", NULL };
    const char *const there[] = { "true", NULL }, *const below[] = { "./sh", "-c", "no-such-program", NULL };
    const char *const *const argvs[] = { there, below };

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(argvs); i++) {
        struct process_options o = {
            .argv = argvs[i], .env = env, .dir = "/bin", .on_exit = on_child_ended, .arg = &heard
        };
        struct process *p;

        CHECK(process_start(loop, &o, &p) == OK);
        CHECK(!process_was_missing(p));
        CHECK(process_wait(p, in_ms(10000)) == OK);
        CHECK(process_was_missing(p) == (i == 1));
        process_free(p);
    }
}

static void a_program_is_looked_for_as_exec_does(void **state)
{
    (void)state;
    spawn(somebody, NULL);
    run();
}

static void a_program_that_is_not_there(void **state)
{
    (void)state;
    spawn(nobody, NULL);
    run();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_and_status_are_told, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(a_long_line_comes_in_pieces, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(one_that_will_not_stop_is_killed, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(one_that_stops_may_say_goodbye, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(its_children_go_with_it, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(last_words_have_an_end, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(a_program_that_is_not_there, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(a_program_is_looked_for_as_exec_does, loop_setup, loop_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
