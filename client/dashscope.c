/* dashscope.c - the handle of libdashscope: its options, its calls, its errors.
 *
 * Thread: the caller's, one at a time; dashscope_cancel() is a flag and a wake-up.
 * Memory: options in the handle's arena, an error's texts in one of their own, an answer in that of its call. What is given out is
 *         a copy: a call's arena hangs on its connection, and so on the handle.
 * Limits: CLIENT_ANSWER_MAX for a body.
 * Spec:   chat.md §2.1, §8.1, §11.
 */
#include "client/client.h"

#include "base/num.h"
#include "client_errors.gen.h"
#include "loop/loop.h"
#include "net/sse_parser.h"
#include "net/tls.h"

#include <pthread.h>
#include <stdalign.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define IDLE_MS    300000
#define TIME_MAX   ((int64_t)INT32_MAX * 1000) /* 68 years: what is longer is cut to it */
#define SHOWN_MAX  200                         /* bytes of an answer that nobody can read, in a message */

/* ---- the handle ---- */

static str option_or_env(struct arena *a, const char *option, const char *variable)
{
    const char *text = option ? option : getenv(variable);

    return arena_str(a, str_trim(str_from_cstr(text)));
}

/* Where the protocols are: the compatible one beside the native one. */
static void paths_set(struct dashscope *c, str base)
{
    static const str native = { "/api/v1", 7 };

    base = arena_str(&c->arena, base);
    c->paths[DASHSCOPE_NATIVE] = c->paths[DASHSCOPE_COMPATIBLE] = base;
    if (str_ends(base, native))
        c->paths[DASHSCOPE_COMPATIBLE] =
            arena_printf(&c->arena, "%.*s/compatible-mode/v1", (int)(base.len - native.len), base.ptr);
}

const char *client_tls(struct dashscope *c)
{
    if (c->tls)
        return NULL;
    if (c->ca_file && access(c->ca_file, R_OK))
        return arena_printf(&c->arena, "%s cannot be read", c->ca_file).ptr;
    return tls_context_client(c->ca_file, true, &c->tls) ? "the certificate authorities cannot be read" : NULL;
}

static const char *pool_open(struct dashscope *c, const struct dashscope_options *o)
{
    struct http_pool_options pool = { .connect_ms = o->connect_ms > 0 ? min_i64(o->connect_ms, TIME_MAX) : CONNECT_MS };
    str                      url = option_or_env(&c->arena, o->base_url, "DASHSCOPE_HTTP_BASE_URL"), path;
    const char              *problem;

    if (!url.len)
        url = S(DASHSCOPE_BASE_URL);
    if (!http_origin_parse(url, &pool.origin, &path))
        return arena_printf(&c->arena, "\"%.*s\" is no address such as " DASHSCOPE_BASE_URL, STR_ARG(url)).ptr;
    paths_set(c, path);
    c->host = arena_str(&c->arena, str_from_cstr(pool.origin.host));
    if (pool.origin.port && pool.origin.port != (pool.origin.tls ? 443 : 80))
        c->host = arena_printf(&c->arena, "%s:%u", pool.origin.host, pool.origin.port);
    problem = pool.origin.tls ? client_tls(c) : NULL;
    if (problem)
        return problem;
    pool.tls = c->tls;
    c->pool = http_pool_open(c->loop, &pool);
    return NULL;
}

struct dashscope *dashscope_open(const struct dashscope_options *o)
{
    static const struct dashscope_options defaults;
    struct loop                          *l = loop_new();
    struct dashscope                     *c;

    if (!l)
        return NULL;
    if (!o)
        o = &defaults;
    c = xcalloc(1, sizeof(*c));
    c->loop = l;
    arena_init(&c->arena, 0);
    arena_init(&c->error_arena, 0);
    c->key = option_or_env(&c->arena, o->api_key, "DASHSCOPE_API_KEY");
    c->workspace = arena_str(&c->arena, str_from_cstr(o->workspace));
    c->user_agent =
        arena_str(&c->arena, o->user_agent ? str_from_cstr(o->user_agent) : S("libdashscope/" DASHBOX_VERSION));
    c->idle_ms = o->idle_ms > 0 ? min_i64(o->idle_ms, TIME_MAX) : IDLE_MS;
    c->time_ms = min_i64(max_i64(o->time_ms, 0), TIME_MAX);
    c->ca_file = o->ca_file ? str_to_cstr(&c->arena, str_from_cstr(o->ca_file)) : NULL;
    c->problem = pool_open(c, o);
    if (!c->problem && (str_has_break(c->key) || str_has_break(c->workspace) || str_has_break(c->user_agent)))
        c->problem = "an option has a line break in it";
    client_begin(c);
    return c;
}

void dashscope_close(struct dashscope *c)
{
    if (!c)
        return;
    http_pool_close(c->pool);
    loop_stop(c->loop);
    loop_run(c->loop); /* until the connections are closed */
    loop_free(c->loop);
    tls_context_free(c->tls);
    arena_free(&c->error_arena);
    arena_free(&c->arena);
    free(c);
}

void dashscope_cancel(struct dashscope *c)
{
    atomic_store(&c->cancelled, true);
    loop_wake(c->loop);
}

/* ---- running ---- */

struct run {
    struct loop *loop;
    void (*fn)(void *arg);
    void *arg;
    bool  done;
};

static void run_on_fiber(void *arg)
{
    struct run *r = arg;

    r->fn(r->arg);
    r->done = true;
    loop_wake(r->loop); /* client_run() is not to sleep */
}

/* A peer that has gone is an error of the call; the process must not get the signal for it, and not lose one that was
 * another's. */
static bool sigpipe_hold(sigset_t *ret_before)
{
    sigset_t pipe, pending;

    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe, ret_before);
    return sigismember(&pending, SIGPIPE) == 1;
}

static void sigpipe_release(const sigset_t *before, bool was_pending)
{
    sigset_t pipe, pending;

    sigpending(&pending);
    if (!was_pending && sigismember(&pending, SIGPIPE) == 1) {
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        (void)sigtimedwait(&pipe, NULL, &(struct timespec){ 0 }); /* it is there */
    }
    pthread_sigmask(SIG_SETMASK, before, NULL);
}

void client_run(struct dashscope *c, void (*fn)(void *arg), void *arg)
{
    struct run    r = { .loop = c->loop, .fn = fn, .arg = arg };
    sigset_t      before;
    bool          was_pending = sigpipe_hold(&before), told = false;
    struct fiber *f = fiber_start(c->loop, run_on_fiber, &r);

    while (!r.done) {
        if (!told && atomic_load(&c->cancelled)) {
            fiber_cancel(f);
            told = true;
        }
        loop_run_once(c->loop);
    }
    sigpipe_release(&before, was_pending);
}

/* ---- failing ---- */

void client_forget(struct dashscope *c)
{
    arena_reset(&c->error_arena);
    c->error = (struct dashscope_error){ .code = "", .message = "", .request_id = "" };
}

void client_begin(struct dashscope *c)
{
    atomic_store(&c->cancelled, false);
    client_forget(c);
}

const struct dashscope_error *dashscope_last_error(const struct dashscope *c)
{
    return &c->error;
}

enum dashscope_result client_fail(struct dashscope *c, enum dashscope_result result, const char *code, const char *fmt,
                                  ...)
{
    char    text[1024];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->error.result = result;
    c->error.code = str_to_cstr(&c->error_arena, str_from_cstr(code));
    c->error.message = str_to_cstr(&c->error_arena, str_from_cstr(text));
    return result;
}

enum dashscope_result client_fail_net(struct dashscope *c, enum dashscope_protocol protocol, enum err e)
{
    switch (e) {
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
    case ERR_EOF: /* before a first byte */
        if (protocol == DASHSCOPE_COMPATIBLE)
            return client_fail(c, DASHSCOPE_NO_CONNECTION, CLIENT_CONNECTION_CODE,
                               CLIENT_CONNECTION_TEXT); /* REF: E102 */
        return client_fail(c, DASHSCOPE_NO_CONNECTION, SDK_JAVA_CONNECT_FAILED_CODE, SDK_JAVA_CONNECT_FAILED_TEXT,
                           c->host.ptr); /* REF: E242 */
    case ERR_TIMEOUT:
        return client_fail(c, DASHSCOPE_TIMEOUT, "", "%s did not answer in time", c->host.ptr);
    case ERR_CANCELLED:
        return client_fail(c, DASHSCOPE_CANCELLED, "", "cancelled");
    case ERR_INVALID:
        return client_fail(c, DASHSCOPE_INPUT, "", "a line break in a path");
    case ERR_LIMIT:
        return client_fail(c, DASHSCOPE_UNREADABLE, "", "the answer is too large");
    default:
        return client_fail(c, DASHSCOPE_UNREADABLE, "", "what %s answers is no HTTP", c->host.ptr);
    }
}

enum dashscope_result client_fail_missing(struct dashscope *c, const char *what)
{
    if (strcmp(what, "text") == 0)
        return client_fail(c, DASHSCOPE_INPUT, SDK_JAVA_TTS_NO_TEXT_CODE, SDK_JAVA_TTS_NO_TEXT_TEXT); /* REF: E243 */
    return client_fail(c, DASHSCOPE_INPUT, "", "%s is missing", what);
}

enum dashscope_result client_fail_unreadable(struct dashscope *c, str body)
{
    return client_fail(c, DASHSCOPE_UNREADABLE, "", "the answer of %s cannot be read: %.*s", c->host.ptr,
                       STR_ARG(str_first(body, SHOWN_MAX)));
}

enum dashscope_result client_fail_refused(struct dashscope *c, int status, str body, str request_id)
{
    struct arena     *a = &c->error_arena;
    struct sse_parser sse;
    struct sse_event  ev;
    yyjson_val       *root, *error;
    str               data = str_trim(body);

    sse_init(&sse, a, CLIENT_ANSWER_MAX);
    sse_feed(&sse, body);
    if (data.len && data.ptr[0] != '{' && (sse_next(&sse, &ev) || sse_end(&sse, &ev)) && ev.data.len)
        data = ev.data; /* a native refusal in an event stream */
    root = json_parse_copy(a, data);
    error = json_get(root, "error") ? json_get(root, "error") : root;
    c->error = (struct dashscope_error){ .result = DASHSCOPE_REFUSED, .status = status };
    if (json_str(json_get(error, "message")).ptr) {
        c->error.code = str_to_cstr(a, json_str(json_get(error, "code")));
        c->error.message = str_to_cstr(a, json_str(json_get(error, "message")));
    } else { /* not this service's: what it says is shown all the same */
        c->error.code = str_to_cstr(a, arena_printf(a, "HTTP %d", status));
        c->error.message = str_to_cstr(a, data.len ? str_first(data, SHOWN_MAX) : S("an empty answer"));
    }
    if (json_str(json_get(root, "request_id")).len)
        request_id = json_str(json_get(root, "request_id"));
    c->error.request_id = str_to_cstr(a, request_id);
    return DASHSCOPE_REFUSED;
}

/* ---- calling ---- */

static bool is_ok(const struct client_call *call)
{
    return call->status / 100 == 2;
}

SUSPENDS static void open_on_fiber(void *arg)
{
    struct client_call     *call = arg;
    struct dashscope       *c = call->client;
    struct http_field       fields[8];
    size_t                  count = 0;
    const struct http_head *head;

    fields[count++] =
        (struct http_field){ S("authorization"), arena_printf(call->arena, "Bearer %.*s", STR_ARG(c->key)) };
    fields[count++] = (struct http_field){ S("user-agent"), c->user_agent };
    fields[count++] = (struct http_field){ S("accept"), call->stream ? S("text/event-stream") : S("application/json") };
    if (call->body.len || call->body_next)
        fields[count++] = (struct http_field){ S("content-type"),
                                               call->content_type.len ? call->content_type : S("application/json") };
    if (c->workspace.len)
        fields[count++] = (struct http_field){ S("x-dashscope-workspace"), c->workspace };
    if (call->stream && call->protocol == DASHSCOPE_NATIVE)
        fields[count++] = (struct http_field){ S("x-dashscope-sse"), S("enable") };
    if (call->async)
        fields[count++] = (struct http_field){ S("x-dashscope-async"), S("enable") };
    if (call->oss)
        fields[count++] = (struct http_field){ S("x-dashscope-ossresourceresolve"), S("enable") };
    call->e = http_client_open(
        c->pool, call->arena,
        &(struct http_client_request){
            .method = str_from_cstr(call->method),
            .target = arena_printf(call->arena, "%.*s%s", STR_ARG(c->paths[call->protocol]), call->path),
            .fields = fields,
            .field_count = count,
            .body = call->body,
            .has_body = strcmp(call->method, "GET") != 0,
            .body_next = call->body_next,
            .body_arg = call->body_arg,
            .body_len = call->body_len,
            .first_ms = c->idle_ms,
            .between_ms = c->idle_ms,
            .total_ms = call->time_ms ? call->time_ms : c->time_ms,
        },
        &call->http);
    if (call->e) {
        call->http = NULL;
        return;
    }
    head = http_client_head(call->http);
    call->status = head->status;
    call->request_id = arena_str(call->arena, http_head_field(head, S("x-request-id")));
    call->is_events = str_starts_nocase(http_head_field(head, S("content-type")), S("text/event-stream"));
}

struct body {
    struct client_call *call;
    char               *text;
    size_t              len;
};

SUSPENDS static void body_on_fiber(void *arg)
{
    struct body *b = arg;

    b->call->e = http_client_body(b->call->http, CLIENT_ANSWER_MAX, &b->text, &b->len);
    http_client_close(b->call->http);
}

enum dashscope_result client_body(struct client_call *call, str *ret)
{
    struct body b = { .call = call };

    client_run(call->client, body_on_fiber, &b);
    call->http = NULL;
    if (call->e == ERR_EOF || call->e == ERR_PROTOCOL)
        return client_fail(call->client, DASHSCOPE_UNREADABLE, "", "the answer of %s broke off",
                           call->client->host.ptr);
    if (call->e)
        return client_fail_net(call->client, call->protocol, call->e);
    *ret = str_of(b.text, b.len);
    return DASHSCOPE_OK;
}

enum dashscope_result client_open(struct client_call *call)
{
    struct dashscope     *c = call->client;
    enum dashscope_result r;
    str                   body;

    client_forget(c);
    if (c->problem)
        return client_fail(c, DASHSCOPE_INPUT, "", "%s", c->problem);
    if (!c->key.len && call->protocol == DASHSCOPE_COMPATIBLE)
        return client_fail(c, DASHSCOPE_NO_KEY, SDK_JAVA_NO_KEY_2024_CODE, SDK_JAVA_NO_KEY_2024_TEXT); /* REF: E291 */
    if (!c->key.len)
        return client_fail(c, DASHSCOPE_NO_KEY, SDK_JAVA_NO_KEY_CODE, SDK_JAVA_NO_KEY_TEXT); /* REF: E241 */
    client_run(c, open_on_fiber, call);
    if (call->e)
        return client_fail_net(c, call->protocol, call->e);
    if (is_ok(call))
        return DASHSCOPE_OK;
    r = client_body(call, &body);
    return r ? r : client_fail_refused(c, call->status, body, call->request_id);
}

enum dashscope_result client_ask(struct client_call *call, yyjson_val **ret)
{
    enum dashscope_result r = client_open(call);
    str                   body;
    yyjson_val           *root;

    if (!r)
        r = client_body(call, &body);
    if (r)
        return r;
    root = json_parse_copy(call->arena, body);
    if (!yyjson_is_obj(root))
        return client_fail_unreadable(call->client, body);
    if (json_str(json_get(root, "request_id")).len)
        call->request_id = json_str(json_get(root, "request_id"));
    *ret = root;
    return DASHSCOPE_OK;
}

struct dashscope_answer *client_answer(const struct client_call *call, str body)
{
    struct dashscope_answer *answer = client_result_new(sizeof(*answer));

    *answer = (struct dashscope_answer){
        .status = call->status,
        .body = str_to_cstr(client_result_arena(answer), body),
        .len = body.len,
        .request_id = str_to_cstr(client_result_arena(answer), call->request_id),
    };
    return answer;
}

enum dashscope_result dashscope_call(struct dashscope *c, const struct dashscope_request *q,
                                     struct dashscope_answer **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c,
                                   .protocol = q->protocol,
                                   .method = q->method,
                                   .path = q->path,
                                   .body = str_from_cstr(q->body),
                                   .async = q->async,
                                   .oss = q->oss,
                                   .arena = &a };
    enum dashscope_result r;
    str                   body;

    client_begin(c);
    if (!q->method || !q->path)
        return client_fail_missing(c, q->method ? "path" : "method");
    arena_init(&a, 0);
    r = client_open(&call);
    if (!r)
        r = client_body(&call, &body);
    if (!r)
        *ret = client_answer(&call, body);
    arena_free(&a);
    return r;
}

/* ---- results ---- */

struct result {
    struct arena arena;
    alignas(max_align_t) char body[];
};

void *client_result_new(size_t size)
{
    struct result *r = xcalloc(1, sizeof(*r) + size);

    arena_init(&r->arena, 0);
    return r->body;
}

static struct result *result_of(void *result)
{
    return (struct result *)((char *)result - offsetof(struct result, body));
}

struct arena *client_result_arena(void *result)
{
    return &result_of(result)->arena;
}

void dashscope_free(void *result)
{
    if (!result)
        return;
    arena_free(client_result_arena(result));
    free(result_of(result));
}

/* ---- writing and reading ---- */

enum dashscope_result client_parameters(struct dashscope *c, struct arena *a, const char *text, yyjson_val **ret)
{
    *ret = text ? json_parse_copy(a, str_from_cstr(text)) : NULL;
    if (text && !yyjson_is_obj(*ret))
        return client_fail(c, DASHSCOPE_INPUT, "", "the parameters are no JSON object");
    return DASHSCOPE_OK;
}

static void add_member(struct buf *b, str name, str json)
{
    if (b->ptr[b->len - 1] != '{')
        buf_add_char(b, ',');
    json_add_str(b, name);
    buf_add_char(b, ':');
    buf_add(b, json);
}

void client_add(struct buf *b, yyjson_val *parameters, const char *name, str json)
{
    if (!yyjson_obj_get(parameters, name))
        add_member(b, str_from_cstr(name), json);
}

void client_add_parameters(struct buf *b, struct arena *a, yyjson_val *parameters)
{
    yyjson_val *key, *value;
    size_t      i, n;

    yyjson_obj_foreach(parameters, i, n, key, value)
    {
        add_member(b, json_str(key), json_text(a, value));
    }
}

int64_t client_count(yyjson_val *object, const char *name)
{
    int64_t n;

    return json_to_i64(json_get(object, name), &n) ? n : -1;
}
