/* tasks.c - asynchronous tasks of libdashscope: made, asked after, waited for, listed, cancelled.
 *
 * Memory: as calls.c.
 * Spec:   media.md §1.
 */
#include "client/client.h"

#include "base/clock.h"
#include "base/num.h"

/* The pause between two questions is a quarter of the time waited so far, within these. */
#define PAUSE_MIN_MS 200
#define PAUSE_MAX_MS 5000

/* ---- one task ---- */

static const char *text_of(struct arena *a, yyjson_val *v)
{
    return str_to_cstr(a, json_str(v));
}

/* NULL when it is none. */
static struct dashscope_task *read_task(yyjson_val *root, const struct client_call *call)
{
    yyjson_val            *output = json_get(root, "output");
    str                    status = json_str(json_get(output, "task_status")), json;
    struct dashscope_task *t;
    struct arena          *a;

    if (!json_str(json_get(output, "task_id")).len || !status.len)
        return NULL;
    t = client_result_new(sizeof(*t));
    a = client_result_arena(t);
    json = json_text(a, root);
    *t = (struct dashscope_task){
        .id = text_of(a, json_get(output, "task_id")),
        .status = str_to_cstr(a, status),
        .ended = str_eq(status, S("SUCCEEDED")) || str_eq(status, S("FAILED")) || str_eq(status, S("CANCELED")) ||
                 str_eq(status, S("UNKNOWN")),
        .code = text_of(a, json_get(output, "code")),
        .message = text_of(a, json_get(output, "message")),
        .request_id = str_to_cstr(a, call->request_id),
        .json = str_to_cstr(a, json),
        .json_len = json.len,
    };
    return t;
}

static enum dashscope_result ask_task(struct client_call *call, struct dashscope_task **ret)
{
    yyjson_val           *root;
    enum dashscope_result r = client_ask(call, &root);

    if (r)
        return r;
    *ret = read_task(root, call);
    return *ret ? DASHSCOPE_OK : client_fail_unreadable(call->client, json_text(call->arena, root));
}

enum dashscope_result dashscope_task_create(struct dashscope *c, const struct dashscope_request *q,
                                            struct dashscope_task **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c,
                                   .protocol = q->protocol,
                                   .method = q->method ? q->method : "POST",
                                   .path = q->path,
                                   .body = str_from_cstr(q->body),
                                   .async = true,
                                   .oss = q->oss,
                                   .arena = &a };
    enum dashscope_result r;

    client_begin(c);
    if (!q->path)
        return client_fail_missing(c, "path");
    arena_init(&a, 0);
    r = ask_task(&call, ret);
    arena_free(&a);
    return r;
}

/* Ids are text of a server: nothing in one leads to another path. */
static const char *path_of(struct arena *a, const char *id, const char *behind)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("/tasks/"));
    client_add_escaped(&b, str_from_cstr(id));
    buf_add(&b, str_from_cstr(behind));
    return str_to_cstr(a, buf_str(&b));
}

static enum dashscope_result get_task(struct dashscope *c, const char *id, int64_t time_ms, struct dashscope_task **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c, .method = "GET", .time_ms = time_ms, .arena = &a };
    enum dashscope_result r;

    arena_init(&a, 0);
    call.path = path_of(&a, id, "");
    r = ask_task(&call, ret);
    arena_free(&a);
    return r;
}

enum dashscope_result dashscope_task_get(struct dashscope *c, const char *id, struct dashscope_task **ret)
{
    client_begin(c);
    if (!id || !*id)
        return client_fail_missing(c, "task id");
    return get_task(c, id, 0, ret);
}

enum dashscope_result dashscope_task_cancel(struct dashscope *c, const char *id)
{
    struct arena          a;
    struct client_call    call = { .client = c, .method = "POST", .arena = &a };
    yyjson_val           *root;
    enum dashscope_result r;

    client_begin(c);
    if (!id || !*id)
        return client_fail_missing(c, "task id");
    arena_init(&a, 0);
    call.path = path_of(&a, id, "/cancel");
    r = client_ask(&call, &root);
    arena_free(&a);
    return r;
}

/* ---- waiting ---- */

struct pause {
    int64_t  until_us;
    enum err e;
};

SUSPENDS static void pause_on_fiber(void *arg)
{
    struct pause *p = arg;

    p->e = fiber_sleep_until(p->until_us);
}

/* The server has nothing against the question, only not now. */
static bool is_busy(const struct dashscope_error *e)
{
    return e->result == DASHSCOPE_REFUSED && (e->status == 429 || e->status == 503 || e->status == 504);
}

enum dashscope_result dashscope_task_wait(struct dashscope *c, const char *id, dashscope_on_task *on_task, void *arg,
                                          struct dashscope_task **ret)
{
    int64_t begun_us = clock_mono_us(), end_us = c->time_ms ? begun_us + c->time_ms * 1000 : INT64_MAX;

    client_begin(c);
    if (!id || !*id)
        return client_fail_missing(c, "task id");
    for (;;) {
        int64_t                left_ms = c->time_ms ? max_i64((end_us - clock_mono_us()) / 1000, 1) : 0, pause_us;
        struct dashscope_task *t = NULL;
        struct pause           p;
        enum dashscope_result  r = get_task(c, id, left_ms, &t);

        if (r && !is_busy(&c->error))
            return r;
        if (t && on_task && on_task(t, arg)) {
            dashscope_free(t);
            return client_fail(c, DASHSCOPE_CANCELLED, "", "cancelled");
        }
        if (t && t->ended) {
            *ret = t;
            return DASHSCOPE_OK;
        }
        dashscope_free(t);
        pause_us = min_i64(max_i64((clock_mono_us() - begun_us) / 4, PAUSE_MIN_MS * 1000), PAUSE_MAX_MS * 1000);
        p.until_us = min_i64(clock_mono_us() + pause_us, end_us);
        client_run(c, pause_on_fiber, &p);
        if (p.e)
            return client_fail_net(c, DASHSCOPE_NATIVE, p.e);
        if (clock_mono_us() >= end_us)
            return client_fail(c, DASHSCOPE_TIMEOUT, "", "the task has not ended in time");
    }
}

/* ---- the list ---- */

static void add_query(struct buf *b, const char *name, str value)
{
    if (!value.len)
        return;
    buf_add(b, str_find(buf_str(b), '?') == STR_NONE ? S("?") : S("&"));
    buf_add(b, str_from_cstr(name));
    buf_add_char(b, '=');
    client_add_escaped(b, value);
}

static const char *list_path(struct arena *a, const struct dashscope_task_query *q)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("/tasks"));
    add_query(&b, "model_name", str_from_cstr(q->model));
    add_query(&b, "status", str_from_cstr(q->status));
    add_query(&b, "start_time", str_from_cstr(q->start_time));
    add_query(&b, "end_time", str_from_cstr(q->end_time));
    add_query(&b, "page_no", q->page ? arena_printf(a, "%d", q->page) : (str){ 0 });
    add_query(&b, "page_size", q->page_size ? arena_printf(a, "%d", q->page_size) : (str){ 0 });
    return str_to_cstr(a, buf_str(&b));
}

static int64_t time_of(yyjson_val *item, const char *name)
{
    return max_i64(client_count(item, name), 0);
}

static struct dashscope_task_list *read_list(yyjson_val *root)
{
    yyjson_val                  *data = json_get(root, "data"), *item;
    struct dashscope_task_list  *v;
    struct dashscope_task_entry *tasks;
    struct arena                *a;
    size_t                       i, n = 0;

    if (!yyjson_is_arr(data))
        return NULL;
    v = client_result_new(sizeof(*v));
    a = client_result_arena(v);
    tasks = arena_array(a, struct dashscope_task_entry, yyjson_arr_size(data));
    yyjson_arr_foreach(data, i, n, item)
    {
        tasks[i] = (struct dashscope_task_entry){
            .id = text_of(a, json_get(item, "task_id")),
            .model = text_of(a, json_get(item, "model_name")),
            .status = text_of(a, json_get(item, "status")),
            .created = time_of(item, "gmt_create"),
            .started = time_of(item, "start_time"),
            .ended = time_of(item, "end_time"),
        };
    }
    *v = (struct dashscope_task_list){ n, tasks, client_count(root, "total"), str_to_cstr(a, json_text(a, root)) };
    return v;
}

enum dashscope_result dashscope_task_list(struct dashscope *c, const struct dashscope_task_query *q,
                                          struct dashscope_task_list **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c, .method = "GET", .arena = &a };
    yyjson_val           *root;
    enum dashscope_result r;

    client_begin(c);
    arena_init(&a, 0);
    call.path = list_path(&a, q);
    r = client_ask(&call, &root);
    if (!r) {
        *ret = read_list(root);
        if (!*ret)
            r = client_fail_unreadable(c, json_text(&a, root));
    }
    arena_free(&a);
    return r;
}
