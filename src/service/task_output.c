/* task_output.c - a task as JSON. */
#include "service/task_output.h"

#include "contract/json.h"
#include "contract/model.h"

#include <time.h>

void task_time_add(struct buf *b, int64_t unix_ms, bool ms)
{
    time_t    seconds = (time_t)((unix_ms + TASK_ZONE_MS) / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    buf_addf(b, "\"%04d-%02d-%02d %02d:%02d:%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
             tm.tm_sec);
    if (ms)
        buf_addf(b, ".%03d", (int)(unix_ms % 1000));
    buf_add_char(b, '"');
}

static void add_time(struct buf *b, const char *name, int64_t unix_ms)
{
    if (!unix_ms)
        return;
    buf_addf(b, ",\"%s\":", name);
    task_time_add(b, unix_ms, true);
}

static void add_metrics(struct buf *b, const struct task_row *t)
{
    if (t->total)
        buf_addf(b, ",\"task_metrics\":{\"TOTAL\":%lld,\"SUCCEEDED\":%lld,\"FAILED\":%lld}", (long long)t->total,
                 (long long)t->succeeded, (long long)t->failed);
}

void task_output_add(struct buf *b, const struct task_row *t)
{
    buf_add(b, S("{\"task_id\":"));
    json_add_str(b, t->id);
    buf_add(b, S(",\"task_status\":"));
    json_add_str(b, t->status);
    add_time(b, "submit_time", t->submit_ms);
    add_time(b, "scheduled_time", t->scheduled_ms);
    add_time(b, "end_time", t->end_ms);
    buf_add(b, t->output);
    if (t->code.len) {
        buf_add(b, S(",\"code\":"));
        json_add_str(b, t->code);
        buf_add(b, S(",\"message\":"));
        json_add_str(b, t->message);
    }
    add_metrics(b, t);
    buf_add_char(b, '}');
}

void task_unique_key_add(struct buf *b, const struct task_row *t)
{
    buf_add(b, S("\"apikey:v1:"));
    json_add_escaped(b, t->function);
    buf_add_char(b, ':');
    json_add_escaped(b, t->model);
    buf_add_char(b, '"');
}

str task_region(const struct request_settings *s)
{
    return s->limits.region == MODEL_CN ? S("cn-beijing") : S("ap-southeast-1");
}
