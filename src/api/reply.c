/* reply.c - header fields and refusals. */
#include "api/reply.h"

#include "access/admission.h"
#include "access/faults.h"
#include "base/clock.h"
#include "base/num.h"
#include "contract/catalog.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "net/http_server.h"

#define FIELDS_MAX 20

struct fields {
    struct http_field at[FIELDS_MAX];
    size_t            count;
    bool              managed;
};

static void add(struct fields *f, str name, str value)
{
    ASSERT(f->count < FIELDS_MAX);
    f->at[f->count++] = (struct http_field){ name, value };
}

static str number(struct arena *a, int64_t v)
{
    char *text = arena_bytes(a, NUM_TEXT_MAX);

    return str_of(text, num_format(text, v));
}

/* "6m0s", "1.2s", "20ms", as OpenAI writes them. */
static str duration(struct arena *a, int64_t ms)
{
    if (ms < 1000)
        return arena_printf(a, "%lldms", (long long)ms);
    if (ms < 60000)
        return arena_printf(a, "%lld.%llds", (long long)(ms / 1000), (long long)(ms % 1000 / 100));
    return arena_printf(a, "%lldm%llds", (long long)(ms / 60000), (long long)(ms % 60000 / 1000));
}

static void left_fields(struct request *rq, struct fields *f, const struct rate_left *left, const str names[3])
{
    if (left->limit < 0)
        return;
    add(f, names[0], number(rq->arena, left->limit));
    add(f, names[1], number(rq->arena, left->remaining));
    add(f, names[2], duration(rq->arena, left->reset_ms));
}

/* What clients of OpenAI read; the service itself sends none of it (access.md §7.3). */
static void rate_fields(struct request *rq, struct fields *f)
{
    static const str         requests[] = { S("x-ratelimit-limit-requests"), S("x-ratelimit-remaining-requests"),
                                            S("x-ratelimit-reset-requests") };
    static const str         tokens[] = { S("x-ratelimit-limit-tokens"), S("x-ratelimit-remaining-tokens"),
                                          S("x-ratelimit-reset-tokens") };
    const struct rate_state *st;

    if (!rq->settings->limits.headers || !rq->admission)
        return;
    st = &rq->admission->rates;
    if (st->refusal && st->retry_ms) /* whole seconds, rounded up */
        add(f, S("retry-after"), number(rq->arena, (st->retry_ms + 999) / 1000));
    if (rq->surface != SURFACE_OPENAI || (!rq->admission->ticket.count && !st->refusal)) /* nothing was asked */
        return;
    left_fields(rq, f, &st->requests, requests);
    left_fields(rq, f, &st->tokens, tokens);
}

/* The fields of chat.md §2.2 that clients read or logs show. */
static void common_fields(struct request *rq, struct fields *f, str content_type)
{
    int64_t cost_ms = (clock_mono_us() - rq->started_us) / 1000;
    str     origin = request_header(rq, S("origin"));

    add(f, S("content-type"), content_type);
    add(f, S("x-request-id"), str_of(rq->id, UUID_LEN));
    if (rq->surface == SURFACE_ANTHROPIC)
        add(f, S("request-id"), str_of(rq->id, UUID_LEN)); /* what Anthropic's clients read */
    if (rq->surface == SURFACE_NATIVE || rq->surface == SURFACE_OPENAI || rq->surface == SURFACE_ANTHROPIC) {
        add(f, S("req-cost-time"), number(rq->arena, cost_ms));
        add(f, S("req-arrive-time"), number(rq->arena, rq->arrived_ms));
        add(f, S("resp-start-time"), number(rq->arena, rq->arrived_ms + cost_ms));
    }
    if (rq->surface == SURFACE_NATIVE || rq->surface == SURFACE_OPENAI) {
        add(f, S("x-dashscope-finished"), rq->stream ? S("false") : S("true"));
        if (UNLIKELY(rq->partial))
            add(f, S("x-dashscope-partialresponse"), S("true"));
        add(f, S("x-dashscope-timeout"), number(rq->arena, (rq->call_ms ? rq->call_ms : rq->settings->call_ms) / 1000));
    }
    if (rq->surface == SURFACE_NATIVE && !f->managed)
        add(f, S("x-dashscope-call-gateway"), S("true"));
    rate_fields(rq, f);
    if (rq->allow.len)
        add(f, S("allow"), rq->allow);
    add(f, S("vary"), S("Origin,Access-Control-Request-Method,Access-Control-Request-Headers,Accept-Encoding"));
    add(f, S("server"), S("dashbox"));
    if (origin.len && rq->settings->cors) {
        add(f, S("access-control-allow-origin"), origin);
        add(f, S("access-control-expose-headers"),
            rq->surface == SURFACE_ANTHROPIC ? S("request-id,x-request-id") : S("x-request-id"));
    }
}

enum err reply_json(struct request *rq, str body)
{
    struct fields f = { 0 };
    enum err      e = faults_whole(rq);

    if (e)
        return e;
    request_phase(rq, PHASE_REPLY);
    common_fields(rq, &f, S("application/json"));
    return http_answer(rq->x, 200, f.at, f.count, body);
}

enum err reply_json_managed(struct request *rq, str body)
{
    struct fields f = { .managed = true };
    enum err      e = faults_whole(rq);

    if (e)
        return e;
    request_phase(rq, PHASE_REPLY);
    common_fields(rq, &f, S("application/json;charset=UTF-8"));
    return http_answer(rq->x, 200, f.at, f.count, body);
}

enum err reply_empty(struct request *rq, int status)
{
    struct http_field id = { S("x-request-id"), str_of(rq->id, UUID_LEN) };

    return http_answer(rq->x, status, &id, 1, S(""));
}

void reply_stream_begin(struct request *rq, int status)
{
    struct fields f = { 0 };

    common_fields(rq, &f, S("text/event-stream;charset=UTF-8"));
    add(&f, S("cache-control"), S("no-cache"));
    http_stream_begin(rq->x, status, f.at, f.count);
}

/* ---- refusals ---- */

static void add_str_or_null(struct buf *b, str s)
{
    if (s.len)
        json_add_str(b, s);
    else
        buf_add(b, S("null"));
}

void reply_add_request_id(struct buf *b, const struct request *rq)
{
    buf_add(b, S(",\"request_id\":\""));
    buf_add(b, str_of(rq->id, UUID_LEN));
    buf_add(b, S("\"}"));
}

/* {"code","message","request_id"} (wire-forms.md §3); what was stored and is not there has the id first (chat.md §6.7.4). */
static void native_body(struct request *rq, const struct fault_view *v, struct buf *b)
{
    if (rq->fault.row == &error_rows[ERROR_STORED_NOT_FOUND] && !rq->stream) {
        buf_addf(b, "{\"request_id\":\"%s\",\"code\":", rq->id);
        json_add_str(b, v->code);
        buf_add(b, S(",\"message\":"));
        json_add_str(b, v->message);
        buf_add_char(b, '}');
        return;
    }
    buf_add(b, S("{\"code\":"));
    json_add_str(b, v->code);
    buf_add(b, S(",\"message\":"));
    json_add_str(b, v->message);
    reply_add_request_id(b, rq);
}

/* {"error":{"message","type","param","code"},"id","request_id"} (wire-forms.md R1, O2); without "id" when no model was
 * reached (R2, O3); a body that is no JSON, and a response that is not there (chat.md §6.7.4), get message and type alone (O7). Embeddings and rerank refuse parameters with
 * the native code, also as the type, and a bare id (O8). */
static void openai_body(struct request *rq, const struct fault_view *v, struct buf *b)
{
    bool own = rq->service_codes && str_eq(v->code, S("InvalidParameter"));

    buf_add(b, S("{\"error\":{\"message\":"));
    json_add_str(b, v->message);
    buf_add(b, S(",\"type\":"));
    add_str_or_null(b, v->compat_type.len && !own ? v->compat_type : v->code);
    if (rq->fault.row == &error_rows[ERROR_BODY_INVALID] || rq->fault.row == &error_rows[ERROR_STORED_NOT_FOUND]) {
        buf_add(b, S("}}"));
        return;
    }
    buf_add(b, S(",\"param\":"));
    add_str_or_null(b, rq->fault.row ? rq->fault.row->param : S(""));
    buf_add(b, S(",\"code\":"));
    add_str_or_null(b, own ? v->code : v->compat_code);
    buf_add(b, S("}"));
    if (v->engine || own) {
        buf_add(b, rq->service_codes ? S(",\"id\":\"") : S(",\"id\":\"chatcmpl-"));
        buf_add(b, str_of(rq->id, UUID_LEN));
        buf_add_char(b, '"');
    }
    reply_add_request_id(b, rq);
}

/* {"type":"error","error":{"type","message"},"code","message","request_id"}, which readers of both forms understand; or the
 * flat one that the service was seen to send, {"request_id","code","type","message"} (chat.md §7.5). */
static void anthropic_body(struct request *rq, const struct fault_view *v, struct buf *b)
{
    /* By which Anthropic's SDK knows it, in whatever form. */
    str details = rq->fault.row == &error_rows[ERROR_THREADS_UNSUPPORTED]
                      ? S("\"details\":{\"error_code\":\"thread_unsupported_request\",\"unsupported\":[\"thread\"]}")
                      : S("");

    if (rq->settings->anthropic_flat) {
        buf_add(b, S("{\"request_id\":\""));
        buf_add(b, str_of(rq->id, UUID_LEN));
        buf_add(b, S("\",\"code\":"));
        json_add_str(b, v->code);
        buf_add(b, S(",\"type\":"));
        json_add_str(b, v->code);
        buf_add(b, S(",\"message\":"));
        json_add_str(b, v->message);
        if (details.len) {
            buf_add(b, S(",\"error\":{"));
            buf_add(b, details);
            buf_add_char(b, '}');
        }
        buf_add_char(b, '}');
        return;
    }
    buf_add(b, S("{\"type\":\"error\",\"error\":{\"type\":"));
    json_add_str(b, error_anthropic_type(v->status, v->code));
    buf_add(b, S(",\"message\":"));
    json_add_str(b, v->message);
    if (details.len) {
        buf_add_char(b, ',');
        buf_add(b, details);
    }
    buf_add(b, S("},\"code\":"));
    json_add_str(b, v->code);
    buf_add(b, S(",\"message\":"));
    json_add_str(b, v->message);
    reply_add_request_id(b, rq);
}

/* {"error":{"code","message"}}: the admin API's own form. */
static void admin_body(const struct fault_view *v, struct buf *b)
{
    buf_add(b, S("{\"error\":{\"code\":"));
    json_add_str(b, v->code);
    buf_add(b, S(",\"message\":"));
    json_add_str(b, v->message);
    buf_add(b, S("}}"));
}

str reply_fault_body(struct request *rq, const struct fault_view *v)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    if (rq->surface == SURFACE_OPENAI && !rq->native_faults)
        openai_body(rq, v, &b);
    else if (rq->surface == SURFACE_ANTHROPIC)
        anthropic_body(rq, v, &b);
    else if (rq->surface == SURFACE_ADMIN)
        admin_body(v, &b);
    else
        native_body(rq, v, &b);
    return buf_str(&b);
}

void reply_native_event(struct buf *b, int64_t id, str event, int status)
{
    buf_add(b, S("id:"));
    buf_add_i64(b, id);
    buf_add(b, S("\nevent:"));
    buf_add(b, event);
    buf_add(b, S("\n:HTTP_STATUS/"));
    buf_add_i64(b, status);
    buf_add(b, S("\ndata:"));
}

void reply_native_fault(struct request *rq, struct buf *b, int64_t id, const struct fault_view *v)
{
    reply_native_event(b, id, S("error"), v->status);
    buf_add(b, reply_fault_body(rq, v));
    buf_add(b, S("\n\n"));
}

void reply_anthropic_event(struct request *rq, struct buf *b, str event)
{
    str space = rq->settings->anthropic_space ? S(" ") : S("");

    buf_add(b, S("event:"));
    buf_add(b, space);
    buf_add(b, event);
    buf_add(b, S("\ndata:"));
    buf_add(b, space);
}

void reply_anthropic_fault(struct request *rq, struct buf *b)
{
    struct fault_view v;

    fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
    reply_anthropic_event(rq, b, S("error"));
    buf_add(b, reply_fault_body(rq, &v));
    buf_add(b, S("\n\n"));
}

enum err reply_fault(struct request *rq, bool as_event)
{
    struct fault_view v;
    struct fields     f = { 0 };
    struct buf        b;

    fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
    if (!as_event) {
        common_fields(rq, &f, S("application/json"));
        return http_answer(rq->x, v.status, f.at, f.count, reply_fault_body(rq, &v));
    }
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    if (rq->surface == SURFACE_ANTHROPIC)
        reply_anthropic_fault(rq, &b);
    else
        reply_native_fault(rq, &b, 1, &v);
    common_fields(rq, &f, S("text/event-stream;charset=UTF-8"));
    return http_answer(rq->x, rq->surface == SURFACE_NATIVE && rq->settings->sse_error_status_200 ? 200 : v.status,
                       f.at, f.count, buf_str(&b));
}
