/* clock.c - time. */
#include "base/clock.h"

#include "base/defs.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

/* Only one of the two is in use: a stopped clock has no offset. */
static _Atomic int64_t stopped_at_ms; /* 0: it runs */
static _Atomic int64_t offset_ms;

int64_t clock_mono_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_machine_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int64_t clock_unix_ms(void)
{
    int64_t stopped = atomic_load_explicit(&stopped_at_ms, memory_order_relaxed);

    if (UNLIKELY(stopped))
        return stopped;
    return clock_machine_ms() + atomic_load_explicit(&offset_ms, memory_order_relaxed);
}

void clock_set(int64_t unix_ms)
{
    if (stopped_at_ms)
        stopped_at_ms = unix_ms;
    else
        offset_ms = unix_ms - clock_machine_ms();
}

void clock_advance(int64_t ms)
{
    if (stopped_at_ms)
        stopped_at_ms += ms;
    else
        offset_ms += ms;
}

void clock_stop(bool stopped)
{
    if (stopped == (stopped_at_ms != 0))
        return;
    if (stopped) {
        stopped_at_ms = clock_unix_ms();
    } else {
        offset_ms = stopped_at_ms - clock_machine_ms();
        stopped_at_ms = 0;
    }
}

void clock_reset(void)
{
    stopped_at_ms = 0;
    offset_ms = 0;
}

struct clock_state clock_state_now(void)
{
    int64_t now = clock_unix_ms();

    return (struct clock_state){ .now_ms = now, .offset_ms = now - clock_machine_ms(), .stopped = stopped_at_ms != 0 };
}

void clock_fix(int64_t unix_ms)
{
    clock_reset();
    stopped_at_ms = unix_ms;
}

static struct tm utc(int64_t unix_s)
{
    time_t    t = (time_t)unix_s;
    struct tm tm;

    gmtime_r(&t, &tm);
    return tm;
}

void clock_http(char text[CLOCK_HTTP_LEN + 1], int64_t unix_s)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct tm         tm = utc(unix_s);

    snprintf(text, CLOCK_HTTP_LEN + 1, "%.3s, %02u %.3s %04u %02u:%02u:%02u GMT", days + 3 * (tm.tm_wday % 7),
             (unsigned)tm.tm_mday % 100, months + 3 * (tm.tm_mon % 12), (unsigned)(tm.tm_year + 1900) % 10000,
             (unsigned)tm.tm_hour % 100, (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
}

void clock_iso(char text[CLOCK_ISO_LEN + 1], int64_t unix_ms)
{
    /* Lines of one second share their first 20 characters. */
    static _Thread_local int64_t second = -1;
    static _Thread_local char    shared[20 + 1];
    unsigned                     ms = (unsigned)(unix_ms % 1000);

    if (unix_ms / 1000 != second) {
        struct tm tm = utc(unix_ms / 1000);

        second = unix_ms / 1000;
        snprintf(shared, sizeof(shared), "%04u-%02u-%02uT%02u:%02u:%02u.", (unsigned)(tm.tm_year + 1900) % 10000,
                 (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
                 (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100);
    }
    memcpy(text, shared, 20);
    text[20] = (char)('0' + ms / 100);
    text[21] = (char)('0' + ms / 10 % 10);
    text[22] = (char)('0' + ms % 10);
    text[23] = 'Z';
    text[24] = 0;
}
