/* list_time.c - times of lists. */
#include "api/list_time.h"

#include "service/task_output.h"

#include <stdio.h>
#include <time.h>

/* The digits of the text, where it has the form of `like`, in which a 0 is any digit. */
static bool digits_of(str text, str like, char ret[15])
{
    size_t n = 0;

    if (text.len != like.len)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        bool is_digit = text.ptr[i] >= '0' && text.ptr[i] <= '9';

        if (like.ptr[i] == '0' ? !is_digit : text.ptr[i] != like.ptr[i])
            return false;
        if (is_digit)
            ret[n++] = text.ptr[i];
    }
    while (n < 14)
        ret[n++] = '0';
    ret[14] = 0;
    return true;
}

static int number(const char *digits, int count)
{
    int n = 0;

    while (count--)
        n = n * 10 + (*digits++ - '0');
    return n;
}

bool list_time_read(str text, int64_t *ret_ms)
{
    /* A blank in a query may be written as "+". */
    static const str forms[] = { S("00000000000000"), S("0000-00-00 00:00:00"), S("0000-00-00+00:00:00"), S("00000000"),
                                 S("0000-00-00") };
    char             d[15];
    struct tm        tm = { 0 }, back;
    bool             known = false;
    time_t           seconds;

    for (size_t i = 0; i < ARRAY_LEN(forms) && !known; i++)
        known = digits_of(text, forms[i], d);
    if (!known)
        return false;
    tm.tm_year = number(d, 4) - 1900;
    tm.tm_mon = number(d + 4, 2) - 1;
    tm.tm_mday = number(d + 6, 2);
    tm.tm_hour = number(d + 8, 2);
    tm.tm_min = number(d + 10, 2);
    tm.tm_sec = number(d + 12, 2);
    back = tm;
    seconds = timegm(&back); /* puts right what is no date */
    if (back.tm_mon != tm.tm_mon || back.tm_mday != tm.tm_mday || back.tm_hour != tm.tm_hour ||
        back.tm_min != tm.tm_min || back.tm_sec != tm.tm_sec)
        return false;
    *ret_ms = (int64_t)seconds * 1000 - TASK_ZONE_MS;
    return true;
}

void list_time_write(char text[LIST_TIME_LEN + 1], int64_t ms)
{
    time_t    seconds = (time_t)((ms + TASK_ZONE_MS) / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(text, LIST_TIME_LEN + 1, "%Y-%m-%d %H:%M:%S", &tm);
}
