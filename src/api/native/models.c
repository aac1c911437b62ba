/* models.c - GET /api/v1/models, and /api/v1/models/{name} of older SDKs.
 *
 * Listed is what is served, the user's own first. Spec: platform.md §6.5.
 */
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/errors.gen.h"
#include "contract/lists_params.gen.h"
#include "contract/model.h"
#include "net/http_server.h"

static void add_model(struct buf *b, const struct model *m)
{
    buf_add(b, S("{\"model\":"));
    json_add_str(b, m->id);
    buf_add(b, S(",\"name\":"));
    json_add_str(b, m->id); /* nobody publishes another */
    buf_add(b, S(",\"description\":"));
    json_add_str(b, model_task_name(m->task));
    buf_add_char(b, '}');
}

static struct buf *begin(struct request *rq)
{
    struct buf *b = arena_new(rq->arena, struct buf);

    buf_init(b, rq->arena, SIZE_MAX / 2);
    buf_add(b, S("{\"code\":null,\"message\":null,\"success\":true,\"output\":"));
    return b;
}

static enum err end(struct request *rq, struct buf *b)
{
    reply_add_request_id(b, rq);
    return reply_json(rq, buf_str(b));
}

/* A whole number of the query from 1 to `max`; *ret stays when it is not there. */
static enum err read_number(struct request *rq, str name, int64_t max, int64_t *ret)
{
    str text;

    if (!http_query_get(rq->x, name, &text))
        return OK;
    return str_to_i64(text, ret) && *ret >= 1 && *ret <= max ? OK : fail_parameter_missing_named(&rq->fault, name);
}

/* The next one that is listed, at *at or behind it; NULL behind the last. An empty name is any. */
static const struct model *next_listed(const struct request *rq, str name, size_t *at)
{
    size_t own = rq->settings->model_count;

    for (; *at < own + model_count; ++*at) {
        const struct model *m = *at < own ? &rq->settings->models[*at] : &models[*at - own];

        if (model_is_served(m) && (!name.len || str_eq(m->id, name))) {
            ++*at;
            return m;
        }
    }
    return NULL;
}

enum err handle_native_models(struct request *rq)
{
    int64_t     page = 1, size = LISTS_PAGE, total = 0;
    str         wanted = { 0 };
    size_t      at = 0;
    enum err    e = read_number(rq, S("page_no"), INT32_MAX, &page);
    struct buf *b;

    if (!e)
        e = read_number(rq, S("page_size"), LISTS_PAGE_MAX, &size);
    if (e)
        return e; /* REF: E039 */
    (void)http_query_get(rq->x, S("model"), &wanted);
    b = begin(rq);
    while (next_listed(rq, wanted, &at))
        total++;
    json_add_count(b, S("{\"total\":"), total);
    json_add_count(b, S(",\"page_no\":"), page);
    json_add_count(b, S(",\"page_size\":"), size);
    buf_add(b, S(",\"models\":["));
    at = 0;
    for (int64_t i = 0; i < page * size; i++) {
        const struct model *m = next_listed(rq, wanted, &at);

        if (!m)
            break;
        if (i < (page - 1) * size)
            continue;
        if (i > (page - 1) * size)
            buf_add_char(b, ',');
        add_model(b, m);
    }
    buf_add(b, S("]}"));
    return end(rq, b);
}

enum err handle_native_model(struct request *rq)
{
    str path = http_path(rq->x);
    str id = http_unescape(rq->arena, str_from(path, str_find_str(path, S("/models/")) + sizeof("/models/") - 1));
    const struct model *m = request_model(rq, id);
    struct buf         *b;

    rq->model_name = id;
    if (!m)
        return fail_model_not_found_404(&rq->fault); /* REF: E198a */
    b = begin(rq);
    add_model(b, m);
    return end(rq, b);
}
