/* task_events.c - the ends of tasks are told. */
#include "service/task_events.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "contract/json.h"
#include "loop/fiber.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "service/task_output.h"

#define AGAIN_FIRST_MS INT64_C(1000)
#define AGAIN_MAX_MS   INT64_C(300000)

/* ---- the event ---- */

static void add_iso(struct buf *b, const char *name, int64_t unix_ms)
{
    char text[CLOCK_ISO_LEN + 1];

    clock_iso(text, unix_ms);
    buf_addf(b, ",\"%s\":\"%s\"", name, text);
}

static void add_data(struct buf *b, const struct task_row *t, const struct request_settings *s)
{
    buf_add(b, S(",\"data\":{\"task_id\":"));
    json_add_str(b, t->id);
    buf_add(b, S(",\"task_status\":"));
    json_add_str(b, t->status);
    buf_add(b, S(",\"request_id\":"));
    json_add_str(b, t->request_id);
    buf_addf(b, ",\"region\":\"%.*s\",\"api_key_id\":", STR_ARG(task_region(s)));
    json_add_str(b, t->key);
    buf_add(b, S(",\"start_time\":"));
    task_time_add(b, t->scheduled_ms ? t->scheduled_ms : t->submit_ms, false);
    buf_add(b, S(",\"end_time\":"));
    task_time_add(b, t->end_ms, false);
    buf_add(b, S(",\"user_api_unique_key\":"));
    task_unique_key_add(b, t);
    buf_add(b, S(",\"contain_result\":true,\"output_result\":{\"output\":"));
    task_output_add(b, t);
    buf_add(b, S("}}"));
}

str task_event_text(const struct task_row *t, const struct request_settings *s, int64_t now_ms, struct arena *a)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(
        &b,
        S("{\"specversion\":\"1.0\",\"source\":\"acs.dashscope\",\"type\":\"dashscope:System:AsyncTaskFinish\",\"id\":"));
    json_add_str(&b, t->id);
    add_iso(&b, "time", t->end_ms);
    add_iso(&b, "aliyunpublishtime", now_ms);
    buf_addf(
        &b,
        ",\"datacontenttype\":\"application/json;charset=utf-8\",\"aliyunaccountid\":\"1\",\"aliyunoriginalaccountid\":\"1\","
        "\"aliyuneventbusname\":\"default\",\"aliyunregionid\":\"%.*s\"",
        STR_ARG(task_region(s)));
    add_data(&b, t, s);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

/* ---- telling ---- */

struct teller {
    const struct services         *services;
    const struct request_settings *settings;
    struct http_pool              *pool; /* NULL until something is due */
    str                            target;
    struct arena                   life, arena; /* of all of it, of one round */
};

bool task_events_url_read(str url, struct arena *a, struct http_origin *ret, str *ret_target)
{
    size_t begin = str_find_str(url, S("://")), end;
    str    base;

    if (begin == STR_NONE)
        return false;
    for (end = begin + 3; end < url.len && url.ptr[end] != '/' && url.ptr[end] != '?'; end++)
        continue;
    *ret_target = str_first(str_from(url, end), str_find(str_from(url, end), '#'));
    if (!str_starts(*ret_target, S("/")))
        *ret_target = arena_printf(a, "/%.*s", STR_ARG(*ret_target));
    for (size_t i = 0; i < ret_target->len; i++) {
        if (ret_target->ptr[i] <= ' ' || ret_target->ptr[i] > '~')
            return false;
    }
    return http_origin_parse(str_first(url, end), ret, &base);
}

struct tls_job {
    struct tls_context *tls;
    enum err            e;
};

static void tls_job(void *arg)
{
    struct tls_job *j = arg;

    j->e = tls_context_client(NULL, true, &j->tls);
}

SUSPENDS static enum err open_pool(struct teller *t)
{
    struct http_pool_options o = { .connection_max = 1, .connect_ms = t->settings->tasks.events_ms };
    struct tls_job           tls = { 0 };

    if (!task_events_url_read(t->settings->tasks.events, &t->life, &o.origin, &t->target))
        return ERR_INVALID; /* config_finish() has read it */
    if (o.origin.tls)
        lane_run(t->services->files, tls_job, &tls);
    if (tls.e)
        return ERR_UNREACHABLE; /* why is in the log */
    o.tls = tls.tls;
    t->pool = http_pool_open(fiber_loop(), &o);
    tls_context_free(tls.tls);
    return OK;
}

/* OK: it has been heard. ERR_INVALID: the answer is a refusal. Else there was none. */
SUSPENDS static enum err post(struct teller *t, const struct task_row *row)
{
    static const struct http_field fields[] = { { S("content-type"), S("application/json;charset=utf-8") },
                                                { S("user-agent"), S("dashbox") } };
    const int64_t                  time_ms = t->settings->tasks.events_ms;
    struct http_client_request     rq = { .method = S("POST"),
                                          .fields = fields,
                                          .field_count = ARRAY_LEN(fields),
                                          .body = task_event_text(row, t->settings, clock_unix_ms(), &t->arena),
                                          .has_body = true,
                                          .first_ms = time_ms,
                                          .total_ms = time_ms };
    struct http_client            *c;
    enum err                       e = t->pool ? OK : open_pool(t);
    int                            status;

    rq.target = t->target;
    if (!e)
        e = http_client_open(t->pool, &t->arena, &rq, &c);
    if (e)
        return e;
    status = http_client_head(c)->status;
    http_client_close(c);
    return status >= 200 && status < 300 ? OK : ERR_INVALID;
}

static int64_t again_after(int64_t tries)
{
    return tries > 10 ? AGAIN_MAX_MS : min_i64(AGAIN_MAX_MS, AGAIN_FIRST_MS << (tries - 1));
}

/* False: nothing was due, or nobody answers. */
SUSPENDS static bool tell_some(struct teller *t)
{
    struct task_events *ev = arena_new(&t->arena, struct task_events);
    int64_t             now_ms = clock_machine_ms();
    enum err            e = OK;

    ev->arena = &t->arena;
    ev->machine_ms = now_ms;
    ev->until_ms = now_ms + 2 * t->settings->tasks.events_ms; /* what has not had its turn by then is anybody's again */
    if (store_run(t->services->store, task_events_job, ev))
        return false;
    for (size_t i = 0; i < ev->count && clock_machine_ms() < ev->until_ms - t->settings->tasks.events_ms; i++) {
        struct task_told told = { .id = ev->rows[i].id };

        if (!e || e == ERR_INVALID)
            e = post(t, &ev->rows[i]);
        if (e == ERR_CANCELLED)
            told.again_ms = 1; /* by the next server, at once */
        else if (e)
            told.again_ms = clock_machine_ms() + again_after(ev->tries[i]);
        if (e && e != ERR_CANCELLED && ev->tries[i] == 1)
            log_warn("task %.*s: its end cannot be told: %s; it is tried again", STR_ARG(told.id),
                     e == ERR_INVALID ? "the answer is a refusal" : err_text(e));
        (void)store_run(t->services->store, task_told_job, &told); /* else it is told again */
    }
    return ev->count > 0 && (!e || e == ERR_INVALID);
}

void task_events_tell(const struct services *s, const struct request_settings *settings)
{
    struct teller t = { .services = s, .settings = settings };
    bool          more;

    might_suspend();
    arena_init(&t.life, 256);
    do {
        arena_init(&t.arena, 0);
        more = tell_some(&t);
        arena_free(&t.arena);
    } while (more);
    if (t.pool)
        http_pool_close(t.pool);
    arena_free(&t.life);
}
