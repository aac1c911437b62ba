/* request.c - the small common parts of a request. */
#include "contract/request.h"

#include "base/clock.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/model.h"
#include "net/http_server.h"

#define PHASE_NAME(name, text) [name] = { "" text, sizeof(text) - 1 },
static const str names[] = { PHASES(PHASE_NAME) };
#undef PHASE_NAME

str phase_name(enum phase p)
{
    ASSERT((size_t)p < ARRAY_LEN(names));
    return names[p];
}

void request_phase(struct request *rq, enum phase next)
{
    int64_t now = clock_mono_us();

    rq->phase_us[rq->phase] += now - rq->phase_started_us;
    rq->phase_started_us = now;
    rq->phase = next;
}

str request_header(const struct request *rq, str name)
{
    return rq->x ? http_field(rq->x, name) : (str){ 0 }; /* that of a task has none */
}

const struct model *request_model(const struct request *rq, str id)
{
    const struct model *m;

    for (size_t i = 0; i < rq->settings->model_count; i++) {
        if (str_eq(rq->settings->models[i].id, id))
            return &rq->settings->models[i];
    }
    m = model_find(id);
    return m && model_is_served(m) ? m : NULL;
}

void request_keep_body(struct request *rq, str body)
{
    char *copy;

    if (!rq->journal)
        return;
    body = str_first(body, REQUEST_BODY_KEPT);
    copy = xmalloc(body.len);
    if (body.len)
        memcpy(copy, body.ptr, body.len);
    rq->body = str_of(copy, body.len);
}

void request_body_for_journal(struct request *rq)
{
    char  *text;
    size_t len;

    might_suspend();
    /* A client that asks before it sends is not told to. */
    if (rq->journal && !rq->body.ptr && !request_header(rq, S("expect")).len && !http_body(rq->x, &text, &len))
        request_keep_body(rq, str_of(text, len));
}

enum err request_json(struct request *rq, struct yyjson_val **ret)
{
    char       *text;
    size_t      len;
    yyjson_val *root;
    enum err    e;

    static_assert(HTTP_BODY_PADDING >= YYJSON_PADDING_SIZE, "the body is parsed in place");
    might_suspend();
    rq->action = "receiving the body";
    request_phase(rq, PHASE_BODY);
    e = http_body(rq->x, &text, &len);
    request_phase(rq, PHASE_READ);
    rq->action = "reading the body";
    if (e == ERR_LIMIT)
        return rq->settings->wording.wording == WORDING_WIRE
                   ? fail_request_body_too_large(&rq->fault, rq->body_max) /* REF: X103 */
                   : fail_body_too_large_gateway(&rq->fault);              /* REF: E280 */
    if (e == ERR_PROTOCOL || e == ERR_TIMEOUT)
        return fail_body_invalid(&rq->fault);
    if (e)
        return e;
    request_keep_body(rq, str_of(text, len)); /* it is parsed in place */
    root = json_parse(rq->arena, text, len);
    if (!yyjson_is_obj(root))
        return fail_body_invalid(&rq->fault); /* REF: E019 */
    *ret = root;
    return OK;
}

str request_base(struct request *rq)
{
    str host = request_header(rq, S("host"));

    if (rq->settings->tasks.base.len)
        return rq->settings->tasks.base;
    return arena_printf(rq->arena, "%s://%.*s", rq->settings->tasks.tls ? "https" : "http", STR_ARG(host));
}

struct request *request_part(const struct request *rq, struct arena *a)
{
    struct request *part = arena_new(a, struct request);

    *part = *rq;
    part->arena = a;
    part->fault = (struct fault){ 0 };
    part->admission = NULL;
    part->plan = NULL;
    part->fault_by = part->model_name = part->engine = part->fallback_from = part->body = (str){ 0 };
    part->usage = (struct chat_usage){ 0 };
    part->multimodal = part->cut_off = part->partial = false;
    part->stream = true;
    part->started_us = part->phase_started_us = clock_mono_us();
    part->arrived_ms = clock_unix_ms();
    memset(part->phase_us, 0, sizeof(part->phase_us));
    part->phase = PHASE_ADMIT;
    rand_uuid(part->id, '9');
    return part;
}
