/* test_loop.c - the loop itself: work posted from other threads, stopping, idling. */
#include "loop/loop.c"

#include "run.h"

#include <pthread.h>

enum { THREADS = 4, POSTS = 1000 };

static pthread_t loop_thread;
static int       last_of[THREADS], posted_in_all;

struct post {
    int thread, number;
};

static void on_post(void *arg)
{
    struct post *p = arg;

    CHECK(pthread_equal(pthread_self(), loop_thread));
    CHECK(loop_here() == loop);
    CHECK(p->number == last_of[p->thread] + 1); /* in each thread's own order */
    last_of[p->thread] = p->number;
    free(p);
    if (++posted_in_all == THREADS * POSTS)
        loop_stop(loop);
}

static void *post_from_thread(void *arg)
{
    for (int i = 1; i <= POSTS; i++) {
        struct post *p = xmalloc(sizeof(*p));

        *p = (struct post){ .thread = (int)(size_t)arg, .number = i };
        loop_post(loop, on_post, p);
    }
    return NULL;
}

TEST(work_posted_from_other_threads_runs_here_in_order)
{
    pthread_t threads[THREADS];

    loop_thread = pthread_self();
    posted_in_all = 0;
    memset(last_of, 0, sizeof(last_of));
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, post_from_thread, (void *)i), 0);
    loop_run(loop);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(posted_in_all, THREADS * POSTS);
}

static void post_and_stop(void *arg)
{
    int *left = arg;

    if (--*left)
        loop_post(loop, post_and_stop, left);
    else
        loop_stop(loop);
}

TEST(posted_work_may_post_again)
{
    int left = 100;

    loop_post(loop, post_and_stop, &left);
    loop_run(loop);
    assert_int_equal(left, 0);
}

static void *stop_from_thread(void *arg)
{
    loop_stop(arg);
    return NULL;
}

TEST(another_thread_stops_the_loop)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, stop_from_thread, loop), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
}

TEST(a_loop_stopped_before_it_ran_ends_at_once)
{
    loop_stop(loop);
    loop_run(loop);
    assert_null(loop_here());
}

static void note_run(void *arg)
{
    CHECK(fiber_self());
    *(bool *)arg = true;
}

TEST(a_fiber_of_a_loop_that_never_ran_runs_when_it_is_freed)
{
    struct loop *other = loop_new();
    bool         has_run = false;

    (void)fiber_start(other, note_run, &has_run);
    loop_free(other);
    assert_true(has_run);
}

static void *wake_from_thread(void *arg)
{
    loop_wake(arg);
    return NULL;
}

TEST(a_loop_can_run_turn_by_turn)
{
    struct loop *other = loop_new();
    bool         has_run = false;
    pthread_t    thread;

    (void)fiber_start(other, note_run, &has_run);
    loop_wake(other); /* before it waits */
    loop_run_once(other);
    assert_true(has_run);
    assert_null(loop_here());
    assert_int_equal(pthread_create(&thread, NULL, wake_from_thread, other), 0);
    loop_run_once(other); /* until then */
    pthread_join(thread, NULL);
    loop_stop(other);
    loop_run(other);
    loop_free(other);
}

TEST(a_loop_that_never_ran_is_freed)
{
    loop_free(NULL);
}

static unsigned idled;

static void on_idle(void *arg)
{
    CHECK(arg == &idled);
    idled++;
}

static void sleep_twice(void *arg)
{
    (void)arg;
    CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(idled >= 1);
    idled = 0;
    CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(idled >= 1);
}

TEST(the_idle_function_is_called_before_each_sleep)
{
    idled = 0;
    loop_on_idle(loop, on_idle, &idled);
    run_fiber(sleep_twice);
}

static struct fiber *woken_by_idle;

static void wake_from_idle(void *arg)
{
    (void)arg;
    fiber_wake(woken_by_idle);
}

static void wait_for_idle(void *arg)
{
    (void)arg;
    woken_by_idle = fiber_self();
    CHECK(fiber_wait(DEADLINE_NONE) == OK);
    woken_by_idle = NULL;
}

TEST(a_fiber_that_the_idle_function_wakes_runs_before_the_sleep)
{
    loop_on_idle(loop, wake_from_idle, NULL);
    run_fiber(wait_for_idle); /* nothing else would ever wake it */
}

TEST(errors_of_libuv_become_ours)
{
    assert_int_equal(loop_err(0), OK);
    assert_int_equal(loop_err(UV_EOF), ERR_EOF);
    assert_int_equal(loop_err(UV_ECONNRESET), ERR_EOF);
    assert_int_equal(loop_err(UV_EPIPE), ERR_EOF);
    assert_int_equal(loop_err(UV_ECONNREFUSED), ERR_REFUSED);
    assert_int_equal(loop_err(UV_ENOENT), ERR_REFUSED);
    assert_int_equal(loop_err(UV_ETIMEDOUT), ERR_TIMEOUT);
    assert_int_equal(loop_err(UV_ECANCELED), ERR_CANCELLED);
    assert_int_equal(loop_err(UV_EMFILE), ERR_LIMIT);
    assert_int_equal(loop_err(UV_EADDRINUSE), ERR_EXISTS);
    assert_int_equal(loop_err(UV_ENETUNREACH), ERR_UNREACHABLE);
    assert_int_equal(loop_err(UV_EAI_NONAME), ERR_UNREACHABLE);
    assert_int_equal(loop_err(UV_EINVAL), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(work_posted_from_other_threads_runs_here_in_order),
        loop_test(posted_work_may_post_again),
        loop_test(another_thread_stops_the_loop),
        loop_test(a_loop_stopped_before_it_ran_ends_at_once),
        loop_test(a_loop_can_run_turn_by_turn),
        loop_test(a_loop_that_never_ran_is_freed),
        loop_test(a_fiber_of_a_loop_that_never_ran_runs_when_it_is_freed),
        loop_test(the_idle_function_is_called_before_each_sleep),
        loop_test(a_fiber_that_the_idle_function_wakes_runs_before_the_sleep),
        loop_test(errors_of_libuv_become_ours),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
