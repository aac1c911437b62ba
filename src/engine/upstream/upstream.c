/* upstream.c - an engine that asks other servers: endpoints, their choice and health, and the way of one request.
 *
 *      request ---> choose an endpoint ---> open ---> head 200 ---> first event ---> events … ---> over
 *                       ^       | none        | could not be asked
 *                       |       v             v
 *                       |   fallback      mark, try the next
 *                       +---------------------+
 */
#include "engine/upstream/upstream.h"

#include "base/log.h"
#include "base/num.h"
#include "contract/chat_content.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "engine/record/exchange.h"
#include "engine/upstream/answer.h"
#include "engine/upstream/body.h"
#include "engine/upstream/notice.h"
#include "engine/upstream/refusal.h"
#include "engine/upstream/images.h"
#include "engine/upstream/vectors.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "net/sse_parser.h"
#include "net/tls.h"

#include <stdatomic.h>
#include <stdlib.h>

#define CLOUD_BASE     S("/compatible-mode/v1")
#define CLOUD_RERANK   S("/compatible-api/v1") /* the base of its rerank alone */
#define ERROR_BODY_MAX ((size_t)256 * 1024)
#define HEALTH_MS      5000
#define FIELDS_OWN     4 /* content-type, accept, x-request-id, authorization */

struct endpoint {
    struct upstream  *up;
    struct http_pool *pool, *health_pool;
    const char       *url; /* for the log */
    struct notice    *notice;
    str               base;          /* of the paths that are asked */
    str               authorization; /* "Bearer …" or empty */
    unsigned          weight, outstanding, failures;
    int64_t           down_until_us, backoff_us;
    bool              probing; /* marked down, and one request is finding out */
    struct fiber     *checker;
};

struct upstream {
    struct engine           engine;
    struct loop            *loop;
    struct arena            arena;
    struct upstream_options o;
    struct body_reader      reader;
    struct endpoint        *endpoints;
    size_t                  next; /* where the search begins, so that equals take turns */
    size_t                  refs; /* the owner, checkers, streams */
    bool                    closing;
    struct upstream_state   state;
};

struct upstream_stream {
    struct engine_stream base;
    struct upstream     *up;
    struct endpoint     *endpoint; /* NULL when it does not count any more */
    struct request      *rq;
    struct exchange      exchange;
    struct answer        answer; /* of chat; of all, input_max */
    struct sse_parser    sse;
    bool                 streamed; /* the answer is a stream of events */
    enum err             failed;   /* what next() answers from now on */
};

static void upstream_unref(struct upstream *up)
{
    if (--up->refs)
        return;
    for (size_t i = 0; i < up->o.endpoint_count; i++)
        notice_release(up->endpoints[i].notice);
    tls_context_free(up->o.tls);
    arena_free(&up->arena);
    free(up);
}

/* ---- health ---- */

static bool endpoint_is_down(const struct endpoint *ep)
{
    return ep->failures >= ep->up->o.failures_max;
}

static void endpoint_worked(struct endpoint *ep)
{
    if (notice_up(ep->notice))
        log_info("engine %.*s: %s is up again", STR_ARG(ep->up->engine.name), ep->url);
    ep->failures = 0;
    ep->backoff_us = 0;
    ep->probing = false;
}

static void endpoint_failed(struct endpoint *ep, const char *why)
{
    struct upstream *up = ep->up;

    if (up->o.tapes && tapes_options(up->o.tapes)->replay)
        return; /* there is nobody to be down */
    up->state.failures++;
    ep->probing = false;
    if (ep->failures < up->o.failures_max)
        ep->failures++;
    if (!endpoint_is_down(ep)) {
        log_debug("engine %.*s: %s failed (%s)", STR_ARG(up->engine.name), ep->url, why);
        return;
    }
    ep->backoff_us = min_i64(max_i64(2 * ep->backoff_us, up->o.backoff_ms * 1000), up->o.backoff_max_ms * 1000);
    ep->down_until_us = loop_now_us(up->loop) + ep->backoff_us;
    if (notice_down(ep->notice))
        log_warn("engine %.*s: %s is down (%s), asking it again from time to time", STR_ARG(up->engine.name), ep->url,
                 why);
}

/* Not there at all, which needs no second opinion. */
static void endpoint_missed(struct endpoint *ep, const char *why)
{
    if (!ep->up->o.supervised)
        ep->failures = (unsigned)max_size(ep->failures, ep->up->o.failures_max - 1); /* this one makes it full */
    endpoint_failed(ep, why);
}

static SUSPENDS bool endpoint_check(struct endpoint *ep)
{
    struct upstream           *up = ep->up;
    struct arena               a;
    struct http_client        *c;
    struct http_client_request rq = { .method = S("GET"), .target = up->o.health_path, .total_ms = HEALTH_MS };
    enum err                   e;
    int                        status = 0;

    arena_init(&a, 0);
    e = http_client_open(ep->health_pool, &a, &rq, &c);
    if (!e) {
        status = http_client_head(c)->status;
        http_client_leave(c);
    }
    arena_free(&a);
    if (e == ERR_CANCELLED)
        return false;
    if (status >= 200 && status <= 299)
        endpoint_worked(ep);
    else if (e == ERR_TIMEOUT)
        endpoint_failed(ep, err_text(e)); /* it may be busy */
    else
        endpoint_missed(ep, e ? err_text(e) : "its health check says no");
    return true;
}

static void checker_main(void *arg)
{
    struct endpoint *ep = arg;
    struct upstream *up = ep->up;

    while (endpoint_check(ep)) {
        if (fiber_sleep_until(loop_now_us(up->loop) + up->o.health_interval_ms * 1000))
            break;
    }
    ep->checker = NULL;
    http_pool_close(ep->health_pool);
    upstream_unref(up);
}

/* ---- the choice ---- */

static bool endpoint_usable(const struct endpoint *ep, int64_t now_us)
{
    return !endpoint_is_down(ep) || (!ep->probing && now_us >= ep->down_until_us);
}

/* Fewest under way for its weight: a/wa < b/wb, without dividing. */
static bool less_loaded(const struct endpoint *a, const struct endpoint *b)
{
    return (uint64_t)a->outstanding * b->weight < (uint64_t)b->outstanding * a->weight;
}

/* `tried` has a bit for each endpoint that is not to be taken again. */
static struct endpoint *endpoint_choose(struct upstream *up, uint64_t tried)
{
    size_t           count = up->o.endpoint_count;
    int64_t          now_us = loop_now_us(up->loop);
    struct endpoint *best = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t           at = (up->next + i) % count;
        struct endpoint *ep = &up->endpoints[at];

        if ((tried >> at & 1) || !endpoint_usable(ep, now_us))
            continue;
        if (!best || less_loaded(ep, best))
            best = ep;
    }
    if (best)
        up->next = (size_t)(best - up->endpoints) + 1;
    return best;
}

static str model_to(const struct upstream *up, str from)
{
    for (size_t i = 0; i < up->o.model_count; i++) {
        str pattern = up->o.models[i].from;

        if (str_eq(pattern, from))
            return up->o.models[i].to;
        if (str_ends(pattern, S("*")) && str_starts(from, str_first(pattern, pattern.len - 1)))
            return up->o.models[i].to;
    }
    return up->o.model_default.len ? up->o.model_default : from;
}

/* ---- a stream and its end ---- */

static void count_active(struct upstream *up, int n)
{
    up->state.outstanding += (size_t)n;
    if (up->o.active)
        atomic_fetch_add_explicit(up->o.active, n, memory_order_relaxed);
}

static void stream_uncount(struct upstream_stream *st)
{
    if (!st->endpoint)
        return;
    st->endpoint->outstanding--;
    count_active(st->up, -1);
    st->endpoint->probing = false;
    st->endpoint = NULL;
}

/* The connection has done its work, well or not. */
static void stream_over(struct upstream_stream *st, enum err e)
{
    st->failed = e;
    if (!exchange_is_open(&st->exchange))
        return;
    if (e == ERR_EOF)
        exchange_leave(&st->exchange);
    else
        exchange_close(&st->exchange);
    stream_uncount(st);
}

static void stream_gone(void *arg)
{
    struct upstream_stream *st = arg;

    stream_uncount(st);
    upstream_unref(st->up);
}

static enum err timed_out(struct upstream_stream *st, const char *waited_for)
{
    struct fault *f = &st->rq->fault;

    if (st->streamed)
        (void)fail_response_stream_timeout(f);
    else
        (void)fail_request_timeout(f);
    return fault_detail(f, arena_printf(st->rq->arena, "the upstream stalled: no %s in time", waited_for));
}

/* The body of the answer failed under way. */
static enum err broke_off(struct upstream_stream *st, enum err e)
{
    if (e == ERR_CANCELLED)
        return e;
    if (e == ERR_TIMEOUT)
        return timed_out(st, st->streamed ? "event" : "whole answer");
    return refusal_of_protocol(&st->rq->fault, st->rq->arena, st->streamed ? "the stream broke off" : "it broke off",
                               str_from_cstr(err_text(e)));
}

/* ---- the events of a stream ---- */

/* Takes what the upstream has sent until there is an event or the stream is over; waits only when `may_wait`. */
static SUSPENDS void stream_fill(struct upstream_stream *st, bool may_wait)
{
    while (!answer_has_event(&st->answer) && !st->failed) {
        struct sse_event ev;
        str              piece;
        enum err         e = OK;

        if (st->answer.over) {
            stream_over(st, ERR_EOF);
            return;
        }
        if (sse_next(&st->sse, &ev)) {
            e = answer_event(&st->answer, &ev);
        } else if (st->sse.problem) {
            e = refusal_of_protocol(&st->rq->fault, st->rq->arena, "an event is too large", S(""));
        } else {
            if (!may_wait && !exchange_ready(&st->exchange))
                return;
            e = exchange_next(&st->exchange, &piece);
            if (e)
                e = broke_off(st, e);
            else if (piece.len)
                sse_feed(&st->sse, piece);
            else if (sse_end(&st->sse, &ev))
                e = answer_event(&st->answer, &ev);
            else
                e = answer_end(&st->answer);
        }
        if (e)
            stream_over(st, e);
    }
}

static enum err upstream_next(struct engine_stream *base, struct chat_event *ret)
{
    struct upstream_stream *st = CONTAINER_OF(base, struct upstream_stream, base);

    might_suspend();
    if (!answer_has_event(&st->answer))
        stream_fill(st, true);
    if (answer_take(&st->answer, ret))
        return OK;
    return st->failed;
}

/* Not every piece of a stream holds an event, so that only reading ahead can tell; the texts of the event that was taken
 * last stay valid (answer.h). */
static bool upstream_ready(const struct engine_stream *base)
{
    struct upstream_stream *st = CONTAINER_OF((struct engine_stream *)(uintptr_t)base, struct upstream_stream, base);

    if (!answer_has_event(&st->answer) && !st->failed)
        stream_fill(st, false);
    return answer_has_event(&st->answer) || st->failed;
}

/* ---- asking one endpoint ---- */

enum outcome {
    ANSWERED,
    REFUSED,   /* st->failed says how */
    ELSEWHERE, /* another endpoint may do it */
    FALLBACK,  /* another engine may do it, another endpoint of this one is not asked */
};

/* The request did not get an answer from this endpoint, and may have one from another. `problem` is what is said when
 * none does better; `mark` what is thought of the endpoint. */
static enum outcome elsewhere(struct upstream_stream *st, struct fault *problem, const char *why,
                              void (*mark)(struct endpoint *ep, const char *why))
{
    struct endpoint *ep = st->endpoint;

    if (!problem->detail.len)
        (void)fault_detail(problem, arena_printf(st->rq->arena, "%s: %s", ep->url, why));
    if (mark)
        mark(ep, why);
    stream_over(st, ERR_FAULT);
    stream_uncount(st);
    return ELSEWHERE;
}

static enum outcome refused(struct upstream_stream *st, enum err e)
{
    stream_over(st, e);
    stream_uncount(st);
    return REFUSED;
}

static enum outcome not_opened(struct upstream_stream *st, enum err e, struct fault *problem)
{
    struct fault *f = &st->rq->fault;

    switch (e) {
    case ERR_REFUSED:
    case ERR_UNREACHABLE:
        (void)fail_model_unavailable(problem);
        return elsewhere(st, problem, err_text(e), endpoint_missed);
    case ERR_LIMIT:
        (void)fail_model_serving_busy(problem);
        return elsewhere(st, problem, "no connection was free", NULL);
    case ERR_EOF:
        (void)fail_backend_no_response(problem);
        return elsewhere(st, problem, "closed without an answer", endpoint_failed);
    case ERR_TIMEOUT:
        if (st->streamed) /* a whole answer may just be long */
            endpoint_failed(st->endpoint, "no answer in time");
        (void)fail_request_timeout(f);
        (void)fault_detail(f, arena_printf(st->rq->arena, "%s: no answer in time", st->endpoint->url));
        return refused(st, ERR_FAULT);
    case ERR_CANCELLED:
    case ERR_FAULT: /* there is no recording of it */
        return refused(st, e);
    default:
        endpoint_failed(st->endpoint, err_text(e));
        return refused(st,
                       refusal_of_protocol(f, st->rq->arena, "its head cannot be read", str_from_cstr(err_text(e))));
    }
}

static SUSPENDS enum outcome not_ok(struct upstream_stream *st, int status, struct fault *problem)
{
    char        *body = NULL;
    size_t       len = 0;
    struct fault said;
    bool         elsewhere_too = status == 502 || status == 503 || status == 504;
    enum err     e = exchange_body(&st->exchange, ERROR_BODY_MAX, &body, &len);

    if (e == ERR_CANCELLED)
        return refused(st, e);
    if (e)
        len = 0; /* the status has said enough */
    (void)refusal_of_answer(&said, st->rq->arena, st->up->o.cloud, st->answer.input_max, status,
                            str_of(len ? body : "", len));
    if (elsewhere_too) {
        *problem = said;
        return elsewhere(st, problem, http_reason(status).ptr, endpoint_failed);
    }
    endpoint_worked(st->endpoint); /* it is there, and says what it thinks */
    if (status == 429) {
        *problem = said;
        (void)refused(st, ERR_FAULT);
        return FALLBACK;
    }
    st->rq->fault = said;
    return refused(st, ERR_FAULT);
}

/* An answer of embeddings, rerank or images. */
static enum err read_object(struct upstream_stream *st, const struct engine_question *q, char *body, size_t len)
{
    struct arena  *a = st->rq->arena;
    yyjson_val    *root = json_parse(a, body, len);
    struct refusal said;
    const char    *problem;

    static_assert(HTTP_CLIENT_PADDING >= YYJSON_PADDING_SIZE, "it is parsed in place");
    if (refusal_read(root, &said))
        return refusal_in_answer(&st->rq->fault, a, st->up->o.cloud, st->answer.input_max, &said);
    if (q->image)
        problem = images_read(a, root, q->picture);
    else
        problem = q->embed ? vectors_embed_read(a, root, q->embed, q->vectors)
                           : vectors_rerank_read(a, root, q->rerank, q->ranking);
    return problem ? refusal_of_protocol(&st->rq->fault, a, problem, S("")) : OK;
}

static SUSPENDS enum outcome read_whole(struct upstream_stream *st, const struct engine_question *q)
{
    char    *body;
    size_t   len;
    enum err e = exchange_body(&st->exchange, st->up->o.answer_max, &body, &len);

    if (e)
        e = broke_off(st, e);
    else
        e = q->chat ? answer_whole(&st->answer, body, len) : read_object(st, q, body, len);
    stream_over(st, e ? e : ERR_EOF);
    return e ? REFUSED : ANSWERED;
}

/* Until the first event: before it, a refusal can still be one with a status. */
static SUSPENDS enum outcome read_first(struct upstream_stream *st)
{
    sse_init(&st->sse, st->rq->arena, st->up->o.answer_max);
    stream_fill(st, true);
    return answer_has_event(&st->answer) ? ANSWERED : REFUSED;
}

static size_t fields_make(struct endpoint *ep, struct request *rq, bool stream, struct http_field *ret)
{
    size_t n = 0;

    ret[n++] = (struct http_field){ S("content-type"), S("application/json") };
    ret[n++] = (struct http_field){ S("accept"), stream ? S("text/event-stream") : S("application/json") };
    ret[n++] = (struct http_field){ S("x-request-id"), str_from_cstr(rq->id) };
    if (ep->authorization.len)
        ret[n++] = (struct http_field){ S("authorization"), ep->authorization };
    for (size_t i = 0; i < ep->up->o.field_count; i++)
        ret[n++] = ep->up->o.fields[i];
    return n;
}

/* What stands behind an endpoint's base. */
static str path_of(const struct engine_question *q, bool cloud)
{
    if (q->chat)
        return q->chat->raw_prompt.len ? S("/completions") : S("/chat/completions");
    if (q->embed)
        return S("/embeddings");
    if (q->image)
        return S("/images/generations");
    return cloud ? S("/reranks") : S("/rerank");
}

static str target_of(const struct endpoint *ep, const struct engine_question *q, struct arena *a)
{
    bool cloud = ep->up->o.cloud;
    str  base = q->rerank && cloud && str_ends(ep->base, CLOUD_BASE) ? CLOUD_RERANK : ep->base;

    return arena_printf(a, "%.*s%.*s", STR_ARG(base), STR_ARG(path_of(q, cloud)));
}

static SUSPENDS enum outcome ask(struct upstream_stream *st, const struct engine_question *q, str body,
                                 struct fault *problem)
{
    struct endpoint           *ep = st->endpoint;
    struct upstream_options   *o = &st->up->o;
    struct http_field          fields[FIELDS_OWN + HTTP_FIELDS_MAX];
    struct http_client_request hr = {
        .method = S("POST"),
        .target = target_of(ep, q, st->rq->arena),
        .fields = fields,
        .field_count = fields_make(ep, st->rq, st->streamed, fields),
        .body = body,
        .first_ms = o->first_ms,
        .between_ms = o->between_ms,
        .total_ms = st->streamed ? 0 : o->total_ms,
    };
    struct exchange_asker asker = { .engine = ep->up->engine.name, .path = path_of(q, o->cloud), .cloud = o->cloud };
    str                   type;
    enum err              e = exchange_open(&st->exchange, o->tapes, ep->pool, st->rq, &asker, &hr);
    int                   status;

    if (e)
        return not_opened(st, e, problem);
    status = exchange_head(&st->exchange)->status;
    if (status != 200)
        return not_ok(st, status, problem);
    endpoint_worked(ep);
    /* A server may answer the other way round; when it does not say, as it was asked to. */
    type = http_head_field(exchange_head(&st->exchange), S("content-type"));
    if (str_starts_nocase(type, S("text/event-stream")))
        st->streamed = q->chat != NULL;
    else if (str_starts_nocase(type, S("application/json")))
        st->streamed = false;
    return st->streamed ? read_first(st) : read_whole(st, q);
}

/* ---- the engine ---- */

static const struct engine_ops upstream_ops;

static struct upstream_stream *stream_new(struct upstream *up, struct endpoint *ep, struct request *rq,
                                          const struct engine_question *q)
{
    struct upstream_stream *st = arena_new(rq->arena, struct upstream_stream);

    st->base.ops = &upstream_ops;
    st->up = up;
    st->rq = rq;
    st->streamed = q->chat && q->chat->stream;
    st->endpoint = ep;
    ep->outstanding++;
    ep->probing = endpoint_is_down(ep);
    count_active(up, 1);
    up->refs++;
    arena_defer(rq->arena, stream_gone, st);
    if (q->chat)
        answer_init(&st->answer, rq->arena, &rq->fault, q->chat, up->o.cloud);
    else if (!q->image)
        st->answer.input_max = q->embed ? q->embed->model->input_max : q->rerank->model->tokens_max;
    return st;
}

static str body_of(const struct upstream *up, struct arena *a, const struct engine_question *q)
{
    bool cloud = up->o.cloud;

    if (q->chat)
        return body_write(a, q->chat, model_to(up, q->chat->model_name), &up->reader);
    if (q->embed)
        return vectors_embed_body(a, q->embed, model_to(up, q->embed->model_name), cloud);
    if (q->image)
        return images_body(a, q->image, model_to(up, q->image->model_name), up->o.strict);
    return vectors_rerank_body(a, q->rerank, model_to(up, q->rerank->model_name), cloud);
}

SUSPENDS enum err upstream_ask(struct engine *e, struct request *rq, const struct engine_question *q,
                               bool *ret_elsewhere)
{
    struct upstream *up = CONTAINER_OF(e, struct upstream, engine);
    struct fault     problem;
    str              body, file_id;
    uint64_t         tried = 0;
    bool             here = true;

    might_suspend();
    *ret_elsewhere = false;
    if (q->embed && q->embed->output != EMBED_DENSE) {
        (void)fail_engine_rejected(&rq->fault);
        return fault_detail(&rq->fault, S("the upstream's protocol has no sparse vectors"));
    }
    if (q->chat && q->chat->audio_out && !up->o.cloud)
        return fail_speech_unavailable(&rq->fault);
    if (q->chat && !up->o.cloud && chat_file_id(q->chat, &file_id))
        return fail_document_file_invalid(&rq->fault, file_id);
    body = body_of(up, rq->arena, q);
    rq->action = "asking the upstream";
    rq->engine = up->engine.name;
    up->state.requests++;
    (void)fail_model_unavailable(&problem);
    (void)fault_detail(&problem, S("no endpoint is up"));
    for (unsigned i = 0; here && i <= up->o.retries; i++) {
        struct endpoint        *ep = endpoint_choose(up, tried);
        struct upstream_stream *st;

        if (!ep)
            break;
        up->state.retries += i > 0;
        tried |= (uint64_t)1 << (ep - up->endpoints);
        st = stream_new(up, ep, rq, q);
        switch (ask(st, q, body, &problem)) {
        case ANSWERED:
            if (q->chat)
                *q->stream = &st->base;
            return OK;
        case REFUSED:
            return st->failed;
        case ELSEWHERE:
            break;
        case FALLBACK:
            here = false;
            break;
        }
    }
    rq->fault = problem;
    *ret_elsewhere = true;
    return ERR_FAULT;
}

SUSPENDS enum err engine_fall_back(struct engine *from, struct engine *to, struct request *rq,
                                   const struct engine_question *q)
{
    might_suspend();
    log_debug("engine %.*s: %.*s, asking %.*s", STR_ARG(from->name), STR_ARG(rq->fault.detail), STR_ARG(to->name));
    if (!rq->fallback_from.len)
        rq->fallback_from = from->name; /* lives as long as the setup that the request holds */
    rq->engine = to->name;              /* the log says who really answered, and why not the other */
    rq->fault = (struct fault){ .detail = rq->fault.detail };
    if (q->image) /* where no picture can be had, the caller draws one: that is the fallback of all */
        return ERR_NOT_FOUND;
    if (q->chat)
        return to->ops->open(to, rq, q->chat, q->stream);
    return q->embed ? to->ops->embed(to, rq, q->embed, q->vectors) : to->ops->rerank(to, rq, q->rerank, q->ranking);
}

static SUSPENDS enum err ask_or_fall_back(struct engine *e, struct request *rq, const struct engine_question *q)
{
    struct upstream *up = CONTAINER_OF(e, struct upstream, engine);
    bool             elsewhere;
    enum err         err;

    might_suspend();
    err = upstream_ask(e, rq, q, &elsewhere);
    if (!elsewhere || !up->o.fallback || up->closing)
        return err;
    up->state.fallbacks++;
    return engine_fall_back(e, up->o.fallback, rq, q);
}

static SUSPENDS enum err upstream_chat(struct engine *e, struct request *rq, const struct chat_input *in,
                                       struct engine_stream **ret)
{
    return ask_or_fall_back(e, rq, &(struct engine_question){ .chat = in, .stream = ret });
}

static SUSPENDS enum err upstream_embed(struct engine *e, struct request *rq, const struct embed_input *in,
                                        struct embed_answer *ret)
{
    return ask_or_fall_back(e, rq, &(struct engine_question){ .embed = in, .vectors = ret });
}

static SUSPENDS enum err upstream_rerank(struct engine *e, struct request *rq, const struct rerank_input *in,
                                         struct rerank_answer *ret)
{
    return ask_or_fall_back(e, rq, &(struct engine_question){ .rerank = in, .ranking = ret });
}

static SUSPENDS enum err upstream_image(struct engine *e, struct request *rq, const struct image_input *in,
                                        struct image_answer *ret)
{
    if (!CONTAINER_OF(e, struct upstream, engine)->o.images)
        return ERR_NOT_FOUND;
    return ask_or_fall_back(e, rq, &(struct engine_question){ .image = in, .picture = ret });
}

static const struct engine_ops upstream_ops = {
    .kind = "upstream",
    .open = upstream_chat,
    .next = upstream_next,
    .ready = upstream_ready,
    .embed = upstream_embed,
    .rerank = upstream_rerank,
    .image = upstream_image,
};

/* ---- set-up ---- */

static int64_t or_i64(int64_t v, int64_t otherwise)
{
    return v ? v : otherwise;
}

static void options_fill(struct upstream_options *o)
{
    o->connect_ms = or_i64(o->connect_ms, 5 * 1000);
    o->first_ms = or_i64(o->first_ms, 300 * 1000);
    o->between_ms = or_i64(o->between_ms, 120 * 1000);
    o->total_ms = or_i64(o->total_ms, 300 * 1000);
    o->answer_max = o->answer_max ? o->answer_max : (size_t)32 << 20;
    o->connection_max = o->connection_max ? o->connection_max : 1024;
    o->retries = o->retries == UPSTREAM_RETRIES_NONE ? 0 : o->retries ? o->retries : 2;
    o->failures_max = o->failures_max ? o->failures_max : 3;
    o->backoff_ms = or_i64(o->backoff_ms, 1000);
    o->backoff_max_ms = or_i64(o->backoff_max_ms, 30 * 1000);
    o->health_interval_ms = or_i64(o->health_interval_ms, 10 * 1000);
}

static void options_copy(struct upstream *up)
{
    struct upstream_options *o = &up->o;
    struct upstream_model   *models = arena_array(&up->arena, struct upstream_model, o->model_count);
    struct http_field       *fields = arena_array(&up->arena, struct http_field, o->field_count);

    for (size_t i = 0; i < o->model_count; i++) {
        models[i].from = arena_str(&up->arena, o->models[i].from);
        models[i].to = arena_str(&up->arena, o->models[i].to);
    }
    for (size_t i = 0; i < o->field_count; i++) {
        fields[i].name = arena_str(&up->arena, o->fields[i].name);
        fields[i].value = arena_str(&up->arena, o->fields[i].value);
    }
    o->models = models;
    o->fields = fields;
    o->name = arena_str(&up->arena, o->name);
    o->model_default = arena_str(&up->arena, o->model_default);
    o->health_path = arena_str(&up->arena, o->health_path);
}

static enum err endpoint_init(struct upstream *up, struct endpoint *ep, const struct upstream_endpoint *from)
{
    struct http_pool_options po = { .connection_max = up->o.connection_max, .connect_ms = up->o.connect_ms };
    str                      base;
    enum err                 e = OK;

    ep->up = up;
    ep->url = str_to_cstr(&up->arena, from->url);
    ep->notice = notice_hold(up->o.name, from->url);
    ep->weight = from->weight ? from->weight : 1;
    if (!http_origin_parse(from->url, &po.origin, &base)) {
        log_error("engine %.*s: \"%s\" is no URL that can be asked", STR_ARG(up->o.name), ep->url);
        return ERR_INVALID;
    }
    ep->base = arena_str(&up->arena, base);
    if (from->api_key.len)
        ep->authorization = arena_printf(&up->arena, "Bearer %.*s", STR_ARG(from->api_key));
    if (po.origin.tls && !up->o.tls)
        e = tls_context_client(NULL, true, &up->o.tls);
    if (e)
        return e;
    po.tls = up->o.tls;
    ep->pool = http_pool_open(up->loop, &po);
    if (up->o.health_path.len) {
        po.connection_max = 1;
        ep->health_pool = http_pool_open(up->loop, &po);
    }
    return OK;
}

static enum err options_check(const struct upstream_options *o)
{
    bool bad = o->endpoint_count == 0 || o->endpoint_count > UPSTREAM_ENDPOINTS_MAX ||
               o->field_count > HTTP_FIELDS_MAX || str_has_break(o->health_path);

    for (size_t i = 0; i < o->field_count; i++)
        bad = bad || str_has_break(o->fields[i].name) || str_has_break(o->fields[i].value);
    for (size_t i = 0; i < o->endpoint_count; i++)
        bad = bad || str_has_break(o->endpoints[i].api_key) || str_has_break(o->endpoints[i].url);
    if (!bad)
        return OK;
    log_error("engine %.*s: it needs 1 to %d endpoints, and fields without line breaks", STR_ARG(o->name),
              UPSTREAM_ENDPOINTS_MAX);
    return ERR_INVALID;
}

enum err upstream_open(struct loop *l, const struct upstream_options *o, struct engine **ret)
{
    struct upstream *up;
    enum err         e = options_check(o);

    if (e)
        return e;
    up = xcalloc(1, sizeof(*up));
    up->loop = l;
    up->refs = 1;
    up->o = *o;
    up->o.tls = o->tls ? tls_context_ref(o->tls) : NULL;
    arena_init(&up->arena, 0);
    options_fill(&up->o);
    options_copy(up);
    up->engine.ops = &upstream_ops;
    up->engine.name = up->o.name;
    up->engine.cloud = o->cloud;
    up->reader = (struct body_reader){ .cloud = o->cloud, .strict = o->strict };
    up->endpoints = arena_array(&up->arena, struct endpoint, o->endpoint_count);
    for (size_t i = 0; i < o->endpoint_count && !e; i++)
        e = endpoint_init(up, &up->endpoints[i], &o->endpoints[i]);
    up->o.endpoints = NULL; /* theirs */
    if (e) {
        upstream_close(&up->engine);
        return e;
    }
    for (size_t i = 0; i < o->endpoint_count && up->o.health_path.len; i++) {
        up->refs++;
        up->endpoints[i].checker = fiber_start(l, checker_main, &up->endpoints[i]);
    }
    *ret = &up->engine;
    return OK;
}

void upstream_close(struct engine *e)
{
    struct upstream *up;

    if (!e)
        return;
    up = CONTAINER_OF(e, struct upstream, engine);
    ASSERT(!up->closing);
    up->closing = true;
    for (size_t i = 0; i < up->o.endpoint_count; i++) {
        struct endpoint *ep = &up->endpoints[i];

        http_pool_close(ep->pool);
        if (ep->checker)
            fiber_cancel(ep->checker);
        else
            http_pool_close(ep->health_pool);
    }
    upstream_unref(up);
}

void upstream_state(const struct engine *e, struct upstream_state *ret)
{
    const struct upstream *up = CONTAINER_OF(e, const struct upstream, engine);

    *ret = up->state;
    ret->endpoints = up->o.endpoint_count;
    ret->up = 0;
    for (size_t i = 0; i < up->o.endpoint_count; i++)
        ret->up += !endpoint_is_down(&up->endpoints[i]);
}

bool upstream_is_up(const struct engine *e, size_t endpoint)
{
    const struct upstream *up = CONTAINER_OF(e, const struct upstream, engine);

    ASSERT(endpoint < up->o.endpoint_count);
    return !endpoint_is_down(&up->endpoints[endpoint]);
}
