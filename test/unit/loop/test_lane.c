/* test_lane.c - blocking work on a thread of its own, waited for by fibers. */
#include "loop/lane.c"

#include "run.h"

#include <semaphore.h>
#include <stdatomic.h>

static struct lane *lane;
static pthread_t    loop_thread;

static int setup(void **state)
{
    lane = lane_open("test lane");
    loop_thread = pthread_self();
    return lane ? loop_setup(state) : -1;
}

static int teardown(void **state)
{
    lane_close(lane);
    return loop_teardown(state);
}

struct sum {
    int  a, b, result;
    bool elsewhere;
};

static void add_up(void *arg)
{
    struct sum *s = arg;

    s->result = s->a + s->b;
    s->elsewhere = !pthread_equal(pthread_self(), loop_thread);
}

static void ask_for_a_sum(void *arg)
{
    struct sum s = { .a = 2, .b = 3 };

    (void)arg;
    lane_run(lane, add_up, &s);
    CHECK(s.result == 5);
    CHECK(s.elsewhere);
}

TEST(a_job_runs_on_another_thread_and_its_result_is_there_afterwards)
{
    run_fiber(ask_for_a_sum);
}

enum { FIBERS = 300, ROUNDS = 10 };

static int jobs_done; /* of the lane alone */

struct counted {
    int order;
};

static void count_job(void *arg)
{
    ((struct counted *)arg)->order = jobs_done++;
}

static void many_jobs(void *arg)
{
    int last = -1;

    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct counted c = { .order = -1 };

        lane_run(lane, count_job, &c);
        CHECK(c.order > last);
        last = c.order;
    }
}

TEST(many_fibers_use_one_lane_and_none_is_forgotten)
{
    jobs_done = 0;
    for (int i = 0; i < FIBERS; i++)
        spawn(many_jobs, NULL);
    run();
    assert_int_equal(jobs_done, FIBERS * ROUNDS);
}

static int first_orders[8];

static void one_job(void *arg)
{
    struct counted c;

    lane_run(lane, count_job, &c);
    *(int *)arg = c.order;
}

TEST(jobs_run_in_the_order_in_which_they_were_asked_for)
{
    jobs_done = 0;
    for (size_t i = 0; i < ARRAY_LEN(first_orders); i++)
        spawn(one_job, &first_orders[i]);
    run();
    for (size_t i = 0; i < ARRAY_LEN(first_orders); i++)
        assert_int_equal(first_orders[i], i);
}

static sem_t gate;

static void wait_at_the_gate(void *arg)
{
    (void)arg;
    while (sem_wait(&gate))
        ;
}

static void blocked(void *arg)
{
    (void)arg;
    lane_run(lane, wait_at_the_gate, NULL);
}

static void opens_the_gate(void *arg)
{
    (void)arg;
    for (int i = 0; i < 5; i++)
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    sem_post(&gate);
}

TEST(the_loop_goes_on_while_a_job_blocks)
{
    sem_init(&gate, 0, 0);
    spawn(blocked, NULL);
    spawn(opens_the_gate, NULL);
    run();
    sem_destroy(&gate);
}

static bool job_over;

static void wait_and_say(void *arg)
{
    wait_at_the_gate(arg);
    job_over = true;
}

static void cancelled_meanwhile(void *arg)
{
    (void)arg;
    fiber_deadline_set(0);
    lane_run(lane, wait_and_say, NULL);
    CHECK(job_over);
    CHECK(fiber_wait(DEADLINE_NONE) == ERR_CANCELLED);
}

static void cancels_then_opens(void *arg)
{
    fiber_cancel(arg);
    yield();
    fiber_wake(arg);
    yield();
    sem_post(&gate);
}

TEST(a_cancelled_fiber_waits_for_its_job_all_the_same)
{
    job_over = false;
    sem_init(&gate, 0, 0);
    spawn(cancels_then_opens, spawn(cancelled_meanwhile, NULL));
    run();
    sem_destroy(&gate);
}

static atomic_int posted_done;

static void count_posted(void *arg)
{
    int *order = arg;

    atomic_fetch_add(&posted_done, 1);
    free(order);
}

static void *post_many(void *arg)
{
    (void)arg;
    for (int i = 0; i < 1000; i++)
        lane_post(lane, count_posted, xmalloc(sizeof(int)));
    return NULL;
}

TEST(closing_runs_what_any_thread_has_posted)
{
    pthread_t threads[4];

    posted_done = 0;
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    lane_close(lane);
    lane = NULL;
    assert_int_equal(posted_done, 4000);
}

/* ---- several loops ---- */

struct worker {
    pthread_t    thread;
    struct loop *loop;
    int          fibers_left;
};

static void worker_fiber(void *arg)
{
    struct worker *w = arg;

    for (int i = 0; i < 50; i++) {
        struct sum s = { .a = i, .b = 1 };

        lane_run(lane, add_up, &s);
        CHECK(s.result == i + 1);
        CHECK(fiber_loop() == w->loop);
    }
    if (--w->fibers_left == 0)
        loop_stop(w->loop);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;

    w->loop = loop_new();
    w->fibers_left = 20;
    for (int i = 0; i < 20; i++)
        fiber_start(w->loop, worker_fiber, w);
    loop_run(w->loop);
    loop_free(w->loop);
    return NULL;
}

TEST(several_loops_share_a_lane)
{
    struct worker workers[4];

    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, worker_main, &workers[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(workers); i++)
        pthread_join(workers[i].thread, NULL);
}

TEST(an_unused_lane_closes)
{
    lane_close(NULL);
}

#define lane_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        lane_test(a_job_runs_on_another_thread_and_its_result_is_there_afterwards),
        lane_test(many_fibers_use_one_lane_and_none_is_forgotten),
        lane_test(jobs_run_in_the_order_in_which_they_were_asked_for),
        lane_test(the_loop_goes_on_while_a_job_blocks),
        lane_test(a_cancelled_fiber_waits_for_its_job_all_the_same),
        lane_test(closing_runs_what_any_thread_has_posted),
        lane_test(several_loops_share_a_lane),
        lane_test(an_unused_lane_closes),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
