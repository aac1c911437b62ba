/* test_clock.c - time as text, and time that stands still. */
#include "base/clock.c"

#include "check.h"

TEST(dates_are_written_as_http_wants_them)
{
    static const struct {
        int64_t     s;
        const char *text;
    } dates[] = {
        { 0, "Thu, 01 Jan 1970 00:00:00 GMT" },          { 784111777, "Sun, 06 Nov 1994 08:49:37 GMT" },
        { 951782400, "Tue, 29 Feb 2000 00:00:00 GMT" },  { 1709164799, "Wed, 28 Feb 2024 23:59:59 GMT" },
        { 1709164800, "Thu, 29 Feb 2024 00:00:00 GMT" }, { 4102444799, "Thu, 31 Dec 2099 23:59:59 GMT" },
    };

    for (size_t i = 0; i < ARRAY_LEN(dates); i++) {
        char text[CLOCK_HTTP_LEN + 1];

        clock_http(text, dates[i].s);
        assert_string_equal(text, dates[i].text);
        assert_int_equal(strlen(text), CLOCK_HTTP_LEN);
    }
}

TEST(dates_are_written_as_iso_wants_them)
{
    char text[CLOCK_ISO_LEN + 1];

    clock_iso(text, 0);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    clock_iso(text, 1795550457123);
    assert_string_equal(text, "2026-11-24T20:00:57.123Z");
    clock_iso(text, 1709164799999);
    assert_string_equal(text, "2024-02-28T23:59:59.999Z");
    assert_int_equal(strlen(text), CLOCK_ISO_LEN);
}

TEST(every_month_and_weekday_has_its_name)
{
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    static const char *const days[] = { "Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed" };

    for (int64_t day = 0; day < 366; day++) {
        char      text[CLOCK_HTTP_LEN + 1];
        struct tm tm = utc(day * 86400);

        clock_http(text, day * 86400 + 3600);
        assert_memory_equal(text, days[day % 7], 3);
        assert_memory_equal(text + 8, months[tm.tm_mon], 3);
    }
}

TEST(the_wall_clock_can_be_held_still)
{
    clock_fix(1795550457123);
    assert_true(clock_unix_ms() == 1795550457123);
    assert_true(clock_unix_ms() == 1795550457123);
    clock_fix(0);
    assert_true(clock_unix_ms() != 1795550457123);
    assert_true(clock_unix_ms() > 1577836800000); /* it is after 2020 */
}

TEST(the_wall_clock_can_be_moved)
{
    int64_t before = clock_unix_ms(), day = 86400000;

    clock_advance(30 * day);
    assert_in_range(clock_unix_ms(), before + 30 * day, before + 31 * day);
    assert_false(clock_state_now().stopped);
    clock_stop(true);
    before = clock_unix_ms();
    clock_advance(1);
    assert_true(clock_unix_ms() == before + 1);
    clock_set(1795550457123);
    assert_true(clock_unix_ms() == 1795550457123);
    assert_true(clock_state_now().stopped);
    clock_stop(false); /* it goes on from there */
    assert_in_range(clock_unix_ms(), 1795550457123, 1795550457123 + day);
    clock_set(4102444799000);
    assert_in_range(clock_unix_ms(), 4102444799000, 4102444799000 + day);
    clock_reset();
    assert_true(clock_state_now().offset_ms == 0);
}

TEST(the_monotonic_clock_does_not_go_back)
{
    int64_t before = clock_mono_us();

    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_mono_us();

        assert_true(now >= before);
        before = now;
    }
    assert_true(clock_mono_us() >= before / 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_written_as_http_wants_them), cmocka_unit_test(dates_are_written_as_iso_wants_them),
        cmocka_unit_test(every_month_and_weekday_has_its_name), cmocka_unit_test(the_wall_clock_can_be_held_still),
        cmocka_unit_test(the_wall_clock_can_be_moved),          cmocka_unit_test(the_monotonic_clock_does_not_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
