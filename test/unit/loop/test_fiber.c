/* test_fiber.c - fibers: starting, waiting, waking, deadlines, cancelling, stacks. */
#include "loop/fiber.c"

#include "run.h"

#include <fcntl.h>
#include <sys/wait.h>

static char   trace[256];
static size_t trace_len;

static void say(char c)
{
    CHECK(trace_len < sizeof(trace) - 1);
    trace[trace_len++] = c;
    trace[trace_len] = 0;
}

static int setup(void **state)
{
    trace[0] = 0;
    trace_len = 0;
    return loop_setup(state);
}

#define fiber_test(name) cmocka_unit_test_setup_teardown(name, setup, loop_teardown)

static void say_arg(void *arg)
{
    say(*(char *)arg);
}

TEST(fibers_run_in_the_order_in_which_they_were_started)
{
    char names[] = "abcdef";

    for (size_t i = 0; i < 6; i++)
        spawn(say_arg, &names[i]);
    assert_string_equal(trace, ""); /* soon, not at once */
    run();
    assert_string_equal(trace, "abcdef");
}

static void start_another(void *arg)
{
    static char b = 'b';

    (void)arg;
    say('a');
    spawn(say_arg, &b);
    say('A');
}

TEST(a_fiber_starts_another_that_runs_after_it_gave_way)
{
    run_fiber(start_another);
    assert_string_equal(trace, "aAb");
}

static void ask_who(void *arg)
{
    CHECK(fiber_self() != NULL);
    CHECK(fiber_loop() == loop);
    CHECK(loop_here() == loop);
    CHECK(loop_fiber_count(loop) == 1);
    fiber_note_set(fiber_self(), arg);
    CHECK(fiber_note(fiber_self()) == arg);
}

TEST(a_fiber_knows_itself_and_its_loop)
{
    assert_null(fiber_self());
    run_fiber(ask_who);
    assert_null(fiber_self());
    assert_int_equal(loop_fiber_count(loop), 0);
}

/* ---- waking ---- */

static struct fiber *sleeper;
static bool          condition;

static void wait_for_condition(void *arg)
{
    (void)arg;
    while (!condition) {
        say('w');
        CHECK(fiber_wait(DEADLINE_NONE) == OK);
    }
    say('!');
}

static void wake_it(void *arg)
{
    (void)arg;
    fiber_wake(sleeper); /* spurious */
    fiber_wake(sleeper); /* it is ready by now: it is not queued a second time */
    yield();
    say('c');
    condition = true;
    fiber_wake(sleeper);
    fiber_wake(fiber_self()); /* running: nothing */
    fiber_wake(NULL);
}

TEST(a_waiting_fiber_runs_when_it_is_woken)
{
    condition = false;
    sleeper = spawn(wait_for_condition, NULL);
    spawn(wake_it, NULL);
    run();
    assert_string_equal(trace, "wwc!");
}

static void on_posted(void *arg)
{
    CHECK(fiber_self() == NULL);
    say('p');
    condition = true;
    fiber_wake(arg);
}

static void post_to_itself(void *arg)
{
    (void)arg;
    loop_post(loop, on_posted, fiber_self());
    wait_for_condition(NULL);
}

TEST(a_callback_of_the_loop_wakes_a_fiber)
{
    condition = false;
    run_fiber(post_to_itself);
    assert_string_equal(trace, "wp!");
}

/* ---- deadlines ---- */

static void time_out(void *arg)
{
    (void)arg;
    CHECK(fiber_wait(after_ms(2)) == ERR_TIMEOUT);
    CHECK(fiber_wait(after_ms(-1)) == ERR_TIMEOUT);
    CHECK(fiber_wait(0) == ERR_TIMEOUT);
}

TEST(a_wait_ends_at_its_deadline_also_one_that_has_passed)
{
    run_fiber(time_out);
}

static void own_deadline(void *arg)
{
    int64_t at = after_ms(2);

    (void)arg;
    fiber_deadline_set(at);
    CHECK(fiber_wait(DEADLINE_NONE) == ERR_TIMEOUT);
    CHECK(loop_now_us(loop) >= at);
    CHECK(fiber_wait(after_ms(3600000)) == ERR_TIMEOUT); /* for all that it waits for from now on */
    CHECK(fiber_sleep_until(after_ms(3600000)) == ERR_TIMEOUT);
    fiber_deadline_set(DEADLINE_NONE);
    loop_post(loop, (void (*)(void *))fiber_wake, fiber_self());
    CHECK(fiber_wait(DEADLINE_NONE) == OK);
}

TEST(a_fiber_has_a_deadline_for_all_its_waits)
{
    run_fiber(own_deadline);
}

static void woken_early(void *arg)
{
    int64_t at = after_ms(3);

    (void)arg;
    loop_post(loop, (void (*)(void *))fiber_wake, fiber_self());
    CHECK(fiber_wait(at) == OK);
    say('e');
    fiber_wait_through(); /* the deadline of the wait before comes up meanwhile */
    CHECK(condition);
    say('t');
}

static void wake_after_its_deadline(void *arg)
{
    (void)arg;
    CHECK(fiber_sleep_until(after_ms(8)) == OK);
    say('s');
    condition = true;
    fiber_wake(sleeper);
}

TEST(the_deadline_of_an_earlier_wait_does_not_wake_a_later_one)
{
    condition = false;
    sleeper = spawn(woken_early, NULL);
    spawn(wake_after_its_deadline, NULL);
    run();
    assert_string_equal(trace, "est");
}

static void sleep_a_little(void *arg)
{
    int64_t at = after_ms(2);

    (void)arg;
    say('a');
    CHECK(fiber_sleep_until(loop_now_us(loop)) == OK); /* at once */
    say('b');
    CHECK(fiber_sleep_until(at) == OK);
    CHECK(loop_now_us(loop) >= at);
    say('d');
}

static void disturb(void *arg)
{
    (void)arg;
    fiber_wake(sleeper); /* a sleeper sleeps on */
    say('c');
}

TEST(a_sleep_lasts_whoever_wakes_the_fiber)
{
    sleeper = spawn(sleep_a_little, NULL);
    spawn(disturb, NULL);
    run();
    assert_string_equal(trace, "abcd");
}

static void wait_long_and_end(void *arg)
{
    (void)arg;
    loop_post(loop, (void (*)(void *))fiber_wake, fiber_self());
    CHECK(fiber_wait(after_ms(3600000)) == OK);
}

TEST(the_timer_of_an_ended_fiber_is_gone)
{
    run_fiber(wait_long_and_end);
    assert_int_equal(loop->timers.count, 0);
}

/* ---- cancelling ---- */

static void closed(void *arg)
{
    (void)arg;
    say('x');
}

static void unwind(void *arg)
{
    struct arena a;

    (void)arg;
    arena_init(&a, 0);
    arena_defer(&a, closed, NULL);
    CHECK(fiber_wait(DEADLINE_NONE) == ERR_CANCELLED);
    say('c');
    CHECK(fiber_wait(DEADLINE_NONE) == ERR_CANCELLED); /* again and again, at once */
    CHECK(fiber_sleep_until(after_ms(3600000)) == ERR_CANCELLED);
    say('d');
    arena_free(&a);
}

static void cancel_it(void *arg)
{
    (void)arg;
    fiber_cancel(sleeper);
    fiber_cancel(sleeper);
    say('a');
}

TEST(a_cancelled_fiber_unwinds_and_its_closers_run)
{
    sleeper = spawn(unwind, NULL);
    spawn(cancel_it, NULL);
    run();
    assert_string_equal(trace, "acdx");
}

TEST(a_fiber_cancelled_before_its_first_step_runs_and_learns_of_it)
{
    sleeper = spawn(unwind, NULL);
    fiber_cancel(sleeper);
    run();
    assert_string_equal(trace, "cdx");
}

static void cancelled_at_its_deadline(void *arg)
{
    (void)arg;
    fiber_deadline_set(0);
    fiber_cancel(fiber_self());
    CHECK(fiber_wait(0) == ERR_CANCELLED);
}

TEST(being_cancelled_is_told_before_the_deadline)
{
    run_fiber(cancelled_at_its_deadline);
}

static void wait_through(void *arg)
{
    (void)arg;
    fiber_deadline_set(after_ms(1));
    while (!condition) {
        fiber_wait_through();
        say('w');
    }
    CHECK(fiber_wait(DEADLINE_NONE) == ERR_CANCELLED);
}

static void cancel_then_wake(void *arg)
{
    (void)arg;
    fiber_cancel(sleeper); /* wakes it, and it waits on */
    CHECK(fiber_sleep_until(after_ms(3)) == OK);
    say('s');
    condition = true;
    fiber_wake(sleeper);
}

TEST(a_wait_through_goes_on_when_cancelled_and_beyond_the_deadline)
{
    condition = false;
    sleeper = spawn(wait_through, NULL);
    spawn(cancel_then_wake, NULL);
    run();
    assert_string_equal(trace, "wsw");
}

/* ---- mailbox ---- */

enum { MAIL_A = BIT(0), MAIL_B = BIT(1), MAIL_C = BIT(31) };

static void read_mail(void *arg)
{
    struct mailbox *mb = arg;
    unsigned        got = 99;

    mailbox_init(mb, fiber_self());
    mailbox_raise(mb, MAIL_A); /* raised before the wait: it is not lost */
    CHECK(mailbox_wait(mb, MAIL_A | MAIL_B, DEADLINE_NONE, &got) == OK && got == MAIL_A);
    CHECK(mailbox_wait(mb, MAIL_A, 0, &got) == ERR_TIMEOUT && got == MAIL_A); /* it was lowered */
    say('1');
    CHECK(mailbox_wait(mb, MAIL_B | MAIL_C, DEADLINE_NONE, &got) == OK);
    CHECK(got == (MAIL_B | MAIL_C));
    say('2');
    CHECK(mailbox_wait(mb, UINT32_MAX, DEADLINE_NONE, &got) == OK && got == MAIL_A); /* kept meanwhile */
    CHECK(mailbox_wait(mb, UINT32_MAX, DEADLINE_NONE, &got) == ERR_CANCELLED);
}

static void send_mail(void *arg)
{
    struct mailbox *mb = arg;

    while (trace_len == 0)
        (void)fiber_sleep_until(after_ms(1));
    mailbox_raise(mb, MAIL_A); /* not what it waits for */
    yield();
    CHECK(trace_len == 1);
    mailbox_raise(mb, MAIL_B);
    mailbox_raise(mb, MAIL_C);
    yield();
    fiber_cancel(mb->owner);
}

TEST(a_mailbox_keeps_what_was_raised_until_it_is_asked_for)
{
    struct mailbox mb;

    spawn(read_mail, &mb);
    spawn(send_mail, &mb);
    run();
    assert_string_equal(trace, "12");
}

/* ---- stacks ---- */

#if HAS_TSAN_HERE
enum { CROWD = 600 }; /* the sanitizer has room for 8,000 threads, counts fibers as such, and takes its time */
#else
enum { CROWD = 10000 };
#endif

static struct fiber *crowd[CROWD];
static size_t        crowd_woken, crowd_waiting;

static void one_of_many(void *arg)
{
    size_t       i = (size_t)(struct fiber **)arg - (size_t)crowd;
    volatile int mark = (int)i;

    crowd_waiting++;
    CHECK(fiber_wait(DEADLINE_NONE) == OK);
    CHECK(mark == (int)i);
    crowd_woken++;
    yield();
    CHECK(mark == (int)i);
}

static void wake_all(void *arg)
{
    (void)arg;
    CHECK(crowd_waiting == CROWD);
    CHECK(loop_fiber_count(loop) == CROWD + 1);
    for (size_t i = CROWD; i-- > 0;)
        fiber_wake(crowd[i]);
}

TEST(ten_thousand_fibers_wait_at_once)
{
    crowd_waiting = crowd_woken = 0;
    for (size_t i = 0; i < CROWD; i++)
        crowd[i] = spawn(one_of_many, &crowd[i]);
    spawn(wake_all, NULL);
    run();
    assert_int_equal(crowd_woken, CROWD);
    assert_int_equal(loop_fiber_count(loop), 0);
    assert_int_equal(loop->stack_count, POOL_MAX); /* and the rest of their stacks is given back */
}

static void start_many_in_turn(void *arg)
{
    struct fiber *first = spawn(wake_arg, fiber_self());

    (void)arg;
    fiber_wait_through();
    for (int i = 0; i < 1000; i++) {
        CHECK(spawn(wake_arg, fiber_self()) == first);
        fiber_wait_through();
    }
}

TEST(the_stack_of_an_ended_fiber_is_used_again)
{
    run_fiber(start_many_in_turn);
    assert_int_equal(loop->stack_count, 2);
}

/* Those that a call preserves belong to the fiber. */
static void count_in_registers(void *arg)
{
    int64_t a = (int64_t)(size_t)arg, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5, g = a + 6;
    double  x = (double)a + 0.5, y = (double)a * 3;

    for (int i = 0; i < 100; i++) {
        yield();
        a += 1, b += 2, c += 3, d += 4, e += 5, f += 6, g += 7;
        x += 0.25, y -= 0.5;
    }
    CHECK(b - a == 101 && c - a == 202 && d - a == 303 && e - a == 404 && f - a == 505 && g - a == 606);
    CHECK(a == (int64_t)(size_t)arg + 100);
    CHECK(x == (double)(size_t)arg + 0.5 + 25 && y == (double)(size_t)arg * 3 - 50);
}

TEST(registers_are_a_fibers_own)
{
    for (size_t i = 0; i < 8; i++)
        spawn(count_in_registers, (void *)(i * 1000));
    run();
}

static int __attribute__((noinline)) dig(int depth)
{
    volatile char room[1024];

    memset((char *)room, depth, sizeof(room));
    if (depth == 0)
        return room[5];
    return dig(depth - 1) + room[7] - depth % 128;
}

static void use_most_of_the_stack(void *arg)
{
    (void)arg;
    CHECK(dig(24) == 0);
    yield();
    CHECK(dig(24) == 0);
}

TEST(half_of_a_stack_can_be_used)
{
    run_fiber(use_most_of_the_stack);
}

static volatile int bottomless = 1000000;

static void fall_through(void *arg)
{
    (void)arg;
    CHECK(dig(bottomless) != 12345);
}

TEST(a_stack_that_overflows_ends_the_process)
{
    pid_t child = fork();
    int   status;

    assert_true(child >= 0);
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);

        dup2(null, 2);
        signal(SIGSEGV, SIG_DFL); /* cmocka's handler has no stack to run on */
        signal(SIGBUS, SIG_DFL);
        spawn(fall_through, NULL);
        loop_run(loop);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void suspend_nowhere(void)
{
    unsigned       got;
    struct mailbox mb;

    mailbox_init(&mb, NULL);
    (void)mailbox_wait(&mb, 1, 0, &got);
}

TEST(suspending_outside_a_fiber_is_our_mistake)
{
    pid_t child = fork();
    int   status;

    assert_true(child >= 0);
    if (child == 0) {
        dup2(open("/dev/null", O_WRONLY), 2);
        suspend_nowhere();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fiber_test(fibers_run_in_the_order_in_which_they_were_started),
        fiber_test(a_fiber_starts_another_that_runs_after_it_gave_way),
        fiber_test(a_fiber_knows_itself_and_its_loop),
        fiber_test(a_waiting_fiber_runs_when_it_is_woken),
        fiber_test(a_callback_of_the_loop_wakes_a_fiber),
        fiber_test(a_wait_ends_at_its_deadline_also_one_that_has_passed),
        fiber_test(a_fiber_has_a_deadline_for_all_its_waits),
        fiber_test(the_deadline_of_an_earlier_wait_does_not_wake_a_later_one),
        fiber_test(a_sleep_lasts_whoever_wakes_the_fiber),
        fiber_test(the_timer_of_an_ended_fiber_is_gone),
        fiber_test(a_cancelled_fiber_unwinds_and_its_closers_run),
        fiber_test(a_fiber_cancelled_before_its_first_step_runs_and_learns_of_it),
        fiber_test(being_cancelled_is_told_before_the_deadline),
        fiber_test(a_wait_through_goes_on_when_cancelled_and_beyond_the_deadline),
        fiber_test(a_mailbox_keeps_what_was_raised_until_it_is_asked_for),
        fiber_test(ten_thousand_fibers_wait_at_once),
        fiber_test(the_stack_of_an_ended_fiber_is_used_again),
        fiber_test(registers_are_a_fibers_own),
        fiber_test(half_of_a_stack_can_be_used),
        fiber_test(a_stack_that_overflows_ends_the_process),
        fiber_test(suspending_outside_a_fiber_is_our_mistake),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
