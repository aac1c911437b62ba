/* test_timer.c - the heap of timers, by a clock that the test turns. */
#include "loop/timer.c"

#include "run.h"

enum { MANY = 500 };

struct alarm {
    struct timer timer;
    int64_t      rang_us; /* 0: not yet */
    unsigned     times;
};

static struct alarm alarms[MANY];
static int64_t      now_us;
static uint64_t     dice;

static unsigned roll(unsigned sides)
{
    dice = dice * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(dice >> 33) % sides;
}

static void ring(void *arg)
{
    struct alarm *a = arg;

    a->rang_us = now_us;
    a->times++;
}

static int setup(void **state)
{
    dice = 1;
    now_us = 0;
    for (size_t i = 0; i < MANY; i++) {
        alarms[i] = (struct alarm){ 0 };
        timer_init(&alarms[i].timer, ring, &alarms[i]);
    }
    return loop_setup(state);
}

static int64_t turn_to(int64_t us)
{
    now_us = us;
    return timer_heap_run(&loop->timers, us);
}

static void assert_heap(void)
{
    struct timer_heap *h = &loop->timers;

    for (size_t i = 1; i <= h->count; i++) {
        assert_int_equal(h->at[i]->index, i);
        if (i > 1)
            assert_true(h->at[i / 2]->heap_us <= h->at[i]->heap_us);
    }
}

TEST(nothing_rings_before_its_time)
{
    timer_set(loop, &alarms[0].timer, 100);
    timer_set(loop, &alarms[1].timer, 200);
    assert_int_equal(turn_to(99), 100);
    assert_int_equal(alarms[0].times, 0);
    assert_int_equal(turn_to(100), 200);
    assert_int_equal(alarms[0].times, 1);
    assert_true(turn_to(1000) == INT64_MAX);
    assert_int_equal(alarms[1].times, 1);
    assert_true(turn_to(2000) == INT64_MAX); /* one shot */
    assert_int_equal(alarms[0].times, 1);
}

static int64_t last_due;
static size_t  rung;

static void ring_in_order(void *arg)
{
    struct alarm *a = arg;

    CHECK(a->rang_us >= last_due);
    last_due = a->rang_us;
    rung++;
}

TEST(timers_ring_in_the_order_of_their_times)
{
    last_due = -1;
    rung = 0;
    for (size_t i = 0; i < MANY; i++) {
        alarms[i].timer.fn = ring_in_order;
        alarms[i].rang_us = roll(100);
        timer_set(loop, &alarms[i].timer, alarms[i].rang_us);
    }
    assert_heap();
    turn_to(1000);
    assert_int_equal(rung, MANY);
}

TEST(moving_a_timer_later_leaves_it_where_it_is_until_it_comes_up)
{
    struct timer *t = &alarms[0].timer;

    timer_set(loop, t, 100);
    for (int64_t due = 200; due <= 1000; due += 100) {
        timer_set(loop, t, due);
        assert_int_equal(t->heap_us, 100);
    }
    assert_int_equal(turn_to(150), 1000); /* looked at, and put where it belongs */
    assert_int_equal(alarms[0].times, 0);
    assert_int_equal(t->heap_us, 1000);
    turn_to(1000);
    assert_int_equal(alarms[0].times, 1);
}

TEST(moving_a_timer_earlier_moves_it_at_once)
{
    timer_set(loop, &alarms[0].timer, 100);
    timer_set(loop, &alarms[1].timer, 200);
    timer_set(loop, &alarms[1].timer, 50);
    assert_int_equal(turn_to(50), 100);
    assert_int_equal(alarms[1].times, 1);
    assert_heap();
}

TEST(a_timer_moved_back_and_forth_rings_at_the_last_time_given)
{
    timer_set(loop, &alarms[0].timer, 100);
    timer_set(loop, &alarms[0].timer, 500);
    timer_set(loop, &alarms[0].timer, 300);
    turn_to(100);
    turn_to(299);
    assert_int_equal(alarms[0].times, 0);
    turn_to(300);
    assert_int_equal(alarms[0].times, 1);
}

TEST(a_stopped_timer_does_not_ring_and_can_be_set_again)
{
    timer_set(loop, &alarms[0].timer, 100);
    timer_stop(&alarms[0].timer);
    turn_to(1000);
    assert_int_equal(alarms[0].times, 0);
    assert_int_equal(loop->timers.count, 0);
    timer_set(loop, &alarms[0].timer, 1100);
    timer_stop(&alarms[0].timer);
    timer_set(loop, &alarms[0].timer, 1200);
    turn_to(1100);
    assert_int_equal(alarms[0].times, 0);
    turn_to(1200);
    assert_int_equal(alarms[0].times, 1);
    timer_set(loop, &alarms[0].timer, INT64_MAX); /* never */
    assert_int_equal(loop->timers.count, 0);
}

TEST(a_removed_timer_is_out_of_the_heap)
{
    for (size_t i = 0; i < MANY; i++)
        timer_set(loop, &alarms[i].timer, 1 + roll(1000));
    for (size_t i = 0; i < MANY; i += 2) {
        timer_remove(loop, &alarms[i].timer);
        assert_int_equal(alarms[i].timer.index, 0);
        assert_heap();
        timer_remove(loop, &alarms[i].timer); /* again: nothing */
    }
    assert_int_equal(loop->timers.count, MANY / 2);
    turn_to(2000);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(alarms[i].times, i & 1);
}

static void ring_and_set_again(void *arg)
{
    ring(arg);
    timer_set(loop, &((struct alarm *)arg)->timer, now_us + 100);
}

static void ring_and_remove_the_next(void *arg)
{
    struct alarm *a = arg;

    ring(a);
    timer_remove(loop, &a[1].timer);
}

static void ring_and_hurry_the_next(void *arg)
{
    struct alarm *a = arg;

    ring(a);
    timer_set(loop, &a[1].timer, now_us);
}

TEST(a_ringing_timer_may_change_itself_and_others)
{
    alarms[0].timer.fn = ring_and_set_again;
    alarms[1].timer.fn = ring_and_remove_the_next;
    alarms[3].timer.fn = ring_and_hurry_the_next;
    timer_set(loop, &alarms[0].timer, 10);
    timer_set(loop, &alarms[1].timer, 20);
    timer_set(loop, &alarms[2].timer, 30);
    timer_set(loop, &alarms[3].timer, 40);
    timer_set(loop, &alarms[4].timer, 5000);
    assert_int_equal(turn_to(50), 150);
    assert_int_equal(alarms[0].times, 1); /* its new time is later: it does not ring for ever */
    assert_int_equal(alarms[2].times, 0);
    assert_int_equal(alarms[4].times, 1);
    assert_int_equal(turn_to(200), 300);
    assert_int_equal(alarms[0].times, 2);
}

TEST(whatever_is_done_in_whatever_order_each_rings_when_it_should)
{
    int64_t due[MANY];

    for (size_t i = 0; i < MANY; i++)
        due[i] = INT64_MAX;
    for (int step = 0; step < 40000; step++) {
        size_t i = roll(MANY);

        switch (roll(8)) {
        case 0:
            timer_stop(&alarms[i].timer);
            due[i] = INT64_MAX;
            break;
        case 1:
            timer_remove(loop, &alarms[i].timer);
            due[i] = INT64_MAX;
            break;
        case 2: {
            int64_t to = now_us + roll(20);

            for (size_t k = 0; k < MANY; k++)
                alarms[k].times = 0;
            turn_to(to);
            for (size_t k = 0; k < MANY; k++) {
                assert_int_equal(alarms[k].times, due[k] <= to);
                if (due[k] <= to)
                    due[k] = INT64_MAX;
            }
            break;
        }
        default:
            due[i] = now_us + 1 + roll(2000);
            timer_set(loop, &alarms[i].timer, due[i]);
            break;
        }
    }
    assert_heap();
}

/* ---- on a running loop ---- */

static void ring_and_stop(void *arg)
{
    ring(arg);
    loop_stop(loop);
}

static void set_an_earlier_one(void *arg)
{
    (void)arg;
    timer_set(loop, &alarms[1].timer, after_ms(1));
}

TEST(a_sleeping_loop_wakes_for_a_timer_set_earlier_than_all_others)
{
    alarms[1].timer.fn = ring_and_stop;
    timer_set(loop, &alarms[0].timer, after_ms(3600000));
    loop_post(loop, set_an_earlier_one, NULL);
    loop_run(loop);
    assert_int_equal(alarms[1].times, 1);
    assert_int_equal(alarms[0].times, 0);
}

TEST(a_timer_whose_time_has_passed_rings_at_once)
{
    alarms[0].timer.fn = ring_and_stop;
    timer_set(loop, &alarms[0].timer, 0);
    loop_run(loop);
    assert_int_equal(alarms[0].times, 1);
}

static unsigned ticks;

static void tick(void *arg)
{
    if (++ticks == 20)
        loop_stop(loop);
    else
        timer_set(loop, &((struct alarm *)arg)->timer, after_ms(1));
}

TEST(a_timer_that_sets_itself_again_goes_on)
{
    ticks = 0;
    alarms[0].timer.fn = tick;
    timer_set(loop, &alarms[0].timer, after_ms(0));
    loop_run(loop);
    assert_int_equal(ticks, 20);
}

#define timer_test(name) cmocka_unit_test_setup_teardown(name, setup, loop_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        timer_test(nothing_rings_before_its_time),
        timer_test(timers_ring_in_the_order_of_their_times),
        timer_test(moving_a_timer_later_leaves_it_where_it_is_until_it_comes_up),
        timer_test(moving_a_timer_earlier_moves_it_at_once),
        timer_test(a_timer_moved_back_and_forth_rings_at_the_last_time_given),
        timer_test(a_stopped_timer_does_not_ring_and_can_be_set_again),
        timer_test(a_removed_timer_is_out_of_the_heap),
        timer_test(a_ringing_timer_may_change_itself_and_others),
        timer_test(whatever_is_done_in_whatever_order_each_rings_when_it_should),
        timer_test(a_sleeping_loop_wakes_for_a_timer_set_earlier_than_all_others),
        timer_test(a_timer_whose_time_has_passed_rings_at_once),
        timer_test(a_timer_that_sets_itself_again_goes_on),
    };

    hang_guard();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
