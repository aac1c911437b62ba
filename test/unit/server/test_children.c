/* test_children.c - which children run, and until when, while configurations come and go. A child here is a shell that
 * never becomes ready; what its engine would do is test_process.c's business.
 */
#include "server/children.c"

#include "../loop/run.h"
#include "engine/process/process.c"

#include <signal.h>

static struct children children;
static bool            all_closed;

static void on_all_closed(void *arg)
{
    CHECK(arg == &children);
    all_closed = true;
}

static str stubborn[] = { S("/bin/sh"), S("-c"), S("trap '' TERM; echo there; while :; do sleep 0.02; done"),
                          S("{port}") };
static str obedient[] = { S("/bin/sh"), S("-c"), S("echo there; while :; do sleep 0.02; done"), S("{port}") };

static struct config_engine engine_of(const char *name, str *words)
{
    return (struct config_engine){
        .name = str_from_cstr(name), .command = words[2], .words = words, .word_count = 4, .wait_ms = 60 * 1000
    };
}

static struct config config_of(struct config_engine *engines, size_t count, int64_t drain_ms)
{
    return (struct config){ .engines = engines, .engine_count = count, .options = { .time_drain_ms = drain_ms } };
}

static void take(struct config c)
{
    CHECK(children_start(&children, loop, &c) == OK);
    children_keep(&children, &c);
}

static struct child *child_named(const char *name)
{
    for (struct child_slot *slot = children.slots; slot; slot = slot->next) {
        if (str_eq(slot->name, str_from_cstr(name)))
            return slot->child;
    }
    return NULL;
}

static int pid_of(const char *name)
{
    struct child *c = child_named(name);

    while (!c->last_line_len) /* it has set its traps */
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    return process_pid(c->process);
}

static bool is_there(int pid)
{
    return kill(pid, 0) == 0;
}

static void wait_for_end(int pid)
{
    while (is_there(pid))
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
}

static void close_rest(void)
{
    all_closed = false;
    children_close(&children, on_all_closed, &children);
    while (!all_closed)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    children_free(&children);
}

static struct engine *ask(struct config_engine *ce)
{
    struct upstream_options uo = { 0 };
    struct engine          *e;

    CHECK(children_engine(&children, loop, ce, &uo, &e) == OK);
    return e;
}

/* ---- the tests ---- */

static void leaves(void *arg)
{
    struct config_engine old = engine_of("old", obedient), new = engine_of("new", obedient);
    int                  pid;

    (void)arg;
    children_init(&children);
    take(config_of(&old, 1, 60 * 1000));
    pid = pid_of("old");
    take(config_of(&new, 1, 60 * 1000));
    wait_for_end(pid);
    CHECK(!child_named("old"));
    CHECK(is_there(pid_of("new")));
    close_rest();
}

TEST(one_that_nobody_asks_ends_at_once)
{
    run_fiber(leaves);
}

static void asked(void *arg)
{
    struct config_engine old = engine_of("old", obedient);
    struct engine       *one, *two;
    int                  pid;

    (void)arg;
    children_init(&children);
    take(config_of(&old, 1, 60 * 1000));
    pid = pid_of("old");
    one = ask(&old);
    two = ask(&old);
    take(config_of(NULL, 0, 60 * 1000));
    children_engine_close(&children, one);
    CHECK(fiber_sleep_until(after_ms(50)) == OK);
    CHECK(is_there(pid));
    children_engine_close(&children, two);
    wait_for_end(pid);
    close_rest();
}

TEST(one_that_is_left_out_ends_with_the_last_engine_that_asks_it)
{
    run_fiber(asked);
}

static void impatient(void *arg)
{
    struct config_engine old = engine_of("old", obedient);
    struct engine       *e;
    int                  pid;

    (void)arg;
    children_init(&children);
    take(config_of(&old, 1, 60 * 1000));
    pid = pid_of("old");
    e = ask(&old);
    take(config_of(NULL, 0, 50));
    CHECK(is_there(pid));
    wait_for_end(pid);
    take(config_of(&old, 1, 50)); /* another one: the engine still asks the first */
    CHECK(child_named("old") != process_engine_child(e));
    CHECK(pid_of("old") != pid);
    children_engine_close(&children, e);
    CHECK(strcmp(children_state(&children, &old), "starting") == 0);
    close_rest();
}

TEST(or_when_the_time_to_drain_is_over)
{
    run_fiber(impatient);
}

static void comes_back(void *arg)
{
    struct config_engine old = engine_of("old", obedient);
    struct engine       *e;
    int                  pid;

    (void)arg;
    children_init(&children);
    take(config_of(&old, 1, 50));
    pid = pid_of("old");
    e = ask(&old);
    take(config_of(NULL, 0, 50));
    take(config_of(&old, 1, 50));
    children_engine_close(&children, e);
    CHECK(fiber_sleep_until(after_ms(100)) == OK);
    CHECK(is_there(pid) && pid_of("old") == pid);
    close_rest();
}

TEST(unless_it_is_named_again_before)
{
    run_fiber(comes_back);
}

static void refused(void *arg)
{
    struct config_engine old = engine_of("old", obedient), both[] = { engine_of("new", obedient), old };
    struct config        now = config_of(&old, 1, 60 * 1000), next = config_of(both, 2, 60 * 1000);
    int                  pid;

    (void)arg;
    children_init(&children);
    take(now);
    pid = pid_of("old");
    both[1] = engine_of("bad", obedient);
    both[1].word_count = 3; /* it does not say where it listens */
    CHECK(children_start(&children, loop, &next) == ERR_INVALID);
    CHECK(child_named("new"));
    children_keep(&children, &now);
    CHECK(!child_named("new"));
    CHECK(fiber_sleep_until(after_ms(20)) == OK);
    CHECK(children.closing == 0);
    CHECK(pid_of("old") == pid && is_there(pid));
    close_rest();
}

TEST(a_configuration_that_is_not_taken_leaves_the_old_ones_and_no_new_one)
{
    run_fiber(refused);
}

static void waited_for(void *arg)
{
    struct config_engine old = engine_of("old", stubborn);
    int                  pid;

    (void)arg;
    children_init(&children);
    take(config_of(&old, 1, 60 * 1000));
    pid = pid_of("old");
    take(config_of(NULL, 0, 60 * 1000));
    all_closed = false;
    children_close(&children, on_all_closed, &children);
    CHECK(fiber_sleep_until(after_ms(50)) == OK);
    CHECK(!all_closed && is_there(pid));
    kill(pid, SIGKILL);
    while (!all_closed)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(!is_there(pid));
    children_free(&children);
}

TEST(the_end_waits_for_those_that_a_reload_has_closed)
{
    run_fiber(waited_for);
}

static void adjusted(void *arg)
{
    struct config_engine old = engine_of("old", obedient), now = old;
    struct child        *c;
    int                  pid;

    (void)arg;
    old.lazy = true;
    children_init(&children);
    take(config_of(&old, 1, 60 * 1000));
    c = child_named("old");
    CHECK(fiber_sleep_until(after_ms(20)) == OK);
    CHECK(child_state(c) == CHILD_STOPPED);
    now.wait_ms = 1000;
    now.ready_ms = 50 * 1000;
    now.health_ms = 70;
    now.health_path = S("/v1/models");
    take(config_of(&now, 1, 60 * 1000)); /* which is not lazy any more */
    CHECK(child_named("old") == c);
    pid = pid_of("old");
    CHECK(c->wait_ms == 1000);
    CHECK(c->o.ready_ms == 50 * 1000);
    CHECK(c->o.health_ms == 70);
    CHECK_STR(c->o.health_path, "/v1/models");
    now.health_ms = now.ready_ms = now.wait_ms = 0;
    now.health_path = S("");
    take(config_of(&now, 1, 60 * 1000));
    CHECK(pid_of("old") == pid);
    CHECK(c->wait_ms == 30 * 1000 && c->o.ready_ms == 120 * 1000 && c->o.health_ms == 10 * 1000);
    CHECK_STR(c->o.health_path, "/health");
    close_rest();
}

TEST(one_that_stays_takes_over_its_times)
{
    run_fiber(adjusted);
}

TEST(those_of_a_loop_that_never_runs_are_closed_without_being_started)
{
    struct config_engine old = engine_of("old", obedient);
    struct config        c = config_of(&old, 1, 60 * 1000);

    children_init(&children);
    assert_int_equal(children_start(&children, loop, &c), OK);
    children_close(&children, NULL, NULL);
    loop_stop(loop);
    loop_run(loop);
    assert_int_equal(children.closing, 0);
    children_free(&children);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(one_that_nobody_asks_ends_at_once),
        loop_test(one_that_is_left_out_ends_with_the_last_engine_that_asks_it),
        loop_test(or_when_the_time_to_drain_is_over),
        loop_test(unless_it_is_named_again_before),
        loop_test(a_configuration_that_is_not_taken_leaves_the_old_ones_and_no_new_one),
        loop_test(the_end_waits_for_those_that_a_reload_has_closed),
        loop_test(one_that_stays_takes_over_its_times),
        loop_test(those_of_a_loop_that_never_runs_are_closed_without_being_started),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
