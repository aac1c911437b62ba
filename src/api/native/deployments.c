/* deployments.c - /api/v1/deployments, and /api/v1/custom_models/import, which has nothing to import from. Spec: platform.md §6.4. */
#include "service/deployments.h"

#include "api/native/native.h"
#include "api/native/pages.h"
#include "api/reply.h"
#include "base/clock.h"
#include "contract/errors.gen.h"
#include "contract/tuning_params.gen.h"
#include "net/http_server.h"
#include "service/services.h"
#include "service/task_output.h"
#include "service/tuning.h"

static struct buf *begin(struct request *rq)
{
    struct buf *b = arena_new(rq->arena, struct buf);

    buf_init(b, rq->arena, SIZE_MAX / 2);
    buf_addf(b, "{\"request_id\":\"%s\",\"output\":", rq->id);
    return b;
}

SUSPENDS static enum err end(struct request *rq, struct buf *b)
{
    buf_add_char(b, '}');
    return reply_json_managed(rq, buf_str(b));
}

/* ---- one ---- */

static void add_text(struct buf *b, const char *name, str value)
{
    buf_addf(b, ",\"%s\":", name);
    json_add_str(b, value);
}

/* "2025-11-30T18:42:45" */
static void add_time(struct buf *b, const char *name, int64_t unix_ms)
{
    char text[CLOCK_ISO_LEN + 1];

    clock_iso(text, unix_ms + TASK_ZONE_MS);
    buf_addf(b, ",\"%s\":\"%.19s\"", name, text);
}

static void add_deployment(struct buf *b, const struct deployment *d, int64_t now_ms)
{
    buf_add(b, S("{\"deployed_model\":"));
    json_add_str(b, d->name);
    add_time(b, "gmt_create", d->create_ms);
    add_time(b, "gmt_modified", d->modified_ms);
    add_text(b, "status", deployment_status(d, now_ms));
    add_text(b, "model_name", d->model);
    add_text(b, "base_model", d->base);
    json_add_count(b, S(",\"base_capacity\":"), TUNING_BASE_CAPACITY);
    json_add_count(b, S(",\"capacity\":"), d->capacity);
    json_add_count(b, S(",\"ready_capacity\":"), deployment_ready_capacity(d, now_ms));
    add_text(b, "workspace_id", d->workspace);
    buf_add(b, S(",\"charge_type\":\"post_paid\",\"creator\":\"1\",\"modifier\":\"1\"")); /* one account a server */
    if (d->plan.len)
        add_text(b, "plan", d->plan);
    if (d->title.len)
        add_text(b, "name", d->title);
    if (d->rpm)
        json_add_count(b, S(",\"rpm_limit\":"), d->rpm);
    if (d->tpm)
        json_add_count(b, S(",\"tpm_limit\":"), d->tpm);
    buf_add(b, d->spec);
    buf_add_char(b, '}');
}

SUSPENDS static enum err answer(struct request *rq, const struct deployment *d, enum err e)
{
    struct buf *b;

    if (e)
        return e;
    b = begin(rq);
    add_deployment(b, d, clock_unix_ms());
    return end(rq, b);
}

/* ---- what can be deployed ---- */

/* The workspace's own first, then the catalogue's. */
SUSPENDS static enum err list_models(struct request *rq)
{
    struct page          p = { 1, TUNING_DEPLOYMENTS_PAGE };
    struct tuning_models l = { .arena = rq->arena, .workspace = rq->workspace };
    enum err             e = page_read(rq, TUNING_DEPLOYMENTS_PAGE_MAX, &p);
    int64_t              at, first = (p.number - 1) * p.size;
    struct buf          *b;
    bool                 any = false;
    struct buf           rows;

    l.offset = first;
    l.limit = p.size;
    if (!e)
        e = store_run(rq->services->store, tuning_models_job, &l);
    if (e)
        return e;
    buf_init(&rows, rq->arena, SIZE_MAX / 2);
    at = l.total;
    for (size_t i = 0; i < l.count + model_count; i++) {
        str name = i < l.count ? l.rows[i].name : models[i - l.count].id;

        if (i >= l.count && (!tuning_can_train(&models[i - l.count]) || at++ < first || at > first + p.size))
            continue;
        buf_add(&rows, any ? S(",{\"model_name\":") : S("{\"model_name\":"));
        json_add_str(&rows, name);
        json_add_count(&rows, S(",\"base_capacity\":"), TUNING_BASE_CAPACITY);
        buf_add_char(&rows, '}');
        any = true;
    }
    b = begin(rq);
    page_add(b, &p, at);
    buf_add(b, S(",\"models\":["));
    buf_add(b, buf_str(&rows));
    buf_add(b, S("]}"));
    return end(rq, b);
}

/* ---- all of them ---- */

SUSPENDS static enum err list(struct request *rq)
{
    struct page            p = { 1, TUNING_DEPLOYMENTS_PAGE };
    struct deployment_list l = { .arena = rq->arena, .workspace = rq->workspace, .now_ms = clock_unix_ms() };
    enum err               e = page_read(rq, TUNING_DEPLOYMENTS_PAGE_MAX, &p);
    struct buf            *b;

    l.offset = (p.number - 1) * p.size;
    l.limit = p.size;
    if (!e)
        e = store_run(rq->services->store, deployment_list_job, &l);
    if (e)
        return e;
    b = begin(rq);
    page_add(b, &p, l.total);
    buf_add(b, S(",\"deployments\":["));
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(b, ',');
        add_deployment(b, &l.rows[i], l.now_ms);
    }
    buf_add(b, S("]}"));
    return end(rq, b);
}

enum err handle_native_deployments(struct request *rq)
{
    yyjson_val       *body;
    struct deployment d;
    enum err          e;

    if (!str_eq(http_request(rq->x)->method, S("POST")))
        return list(rq);
    e = request_json(rq, &body);
    return answer(rq, &d, e ? e : deployment_create(rq, body, &d));
}

/* ---- which of them ---- */

SUSPENDS static enum err put(struct request *rq, str name, str verb)
{
    yyjson_val       *body;
    struct deployment d;
    enum err          e = request_json(rq, &body);

    if (e)
        return e;
    if (str_eq(verb, S("scale")))
        return answer(rq, &d, deployment_scale(rq, name, body, &d));
    if (str_eq(verb, S("update")))
        return answer(rq, &d, deployment_update(rq, name, body, &d));
    return fail_path_not_found(&rq->fault); /* REF: X078 */
}

enum err handle_native_deployment(struct request *rq)
{
    str               path = http_path(rq->x), verb = str_from(path, str_find_str(path, S("/deployments/")) + 13);
    str               method = http_request(rq->x)->method, name = http_unescape(rq->arena, str_cut(&verb, '/'));
    struct deployment d;

    if (str_eq(method, S("GET")) && !verb.len)
        return str_eq(name, S("models")) ? list_models(rq) : answer(rq, &d, deployment_find(rq, name, &d));
    if (str_eq(method, S("DELETE")) && !verb.len)
        return answer(rq, &d, deployment_delete(rq, name, &d));
    if (str_eq(method, S("PUT")))
        return put(rq, name, verb);
    return fail_method_unsupported(&rq->fault, method); /* REF: E017 */
}

/* ---- imports ---- */

/* D034: there is no object storage here. So there are never any jobs of it. */
enum err handle_native_model_imports(struct request *rq)
{
    struct page p = { 1, TUNING_DEPLOYMENTS_PAGE };
    struct buf *b;
    enum err    e;

    if (str_eq(http_request(rq->x)->method, S("POST")))
        return fail_import_unsupported(&rq->fault);
    e = page_read(rq, TUNING_DEPLOYMENTS_PAGE_MAX, &p);
    if (e)
        return e;
    b = begin(rq);
    page_add(b, &p, 0);
    buf_add(b, S(",\"jobs\":[]}"));
    return end(rq, b);
}

enum err handle_native_model_import(struct request *rq)
{
    return fail_resource_not_found(&rq->fault); /* REF: E201 */
}
