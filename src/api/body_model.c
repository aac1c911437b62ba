/* body_model.c - the model that a body names. Spec: chat.md §8.5, §9.3. */
#include "api/body_model.h"

#include "access/faults.h"
#include "contract/errors.gen.h"
#include "service/deployments.h"

/* The model's name, without what asks for a failure, goes to rq->model_name. */
static enum err read_name(struct request *rq, yyjson_val *root, enum err (*missing)(struct fault *f))
{
    str      name = json_str(json_get(root, "model"));
    enum err e = name.len ? faults_suffix(rq, "the model", &name) : missing(&rq->fault);

    if (!e)
        rq->model_name = name;
    return e;
}

/* REF: E161, E031, E198a, E052, E022, E236. */
enum err body_model_native(struct request *rq, yyjson_val *root, enum model_path path, const struct model **ret)
{
    const struct model *m;
    enum err            e = read_name(rq, root, fail_model_missing_native);

    if (e)
        return e;
    m = request_model(rq, rq->model_name);
    if (!m && model_find(rq->model_name))
        return fail_model_not_found_404(&rq->fault); /* a retired one */
    if (!m) {
        e = deployment_model(rq, rq->model_name, &m);
        if (e)
            return e == ERR_NOT_FOUND ? fail_model_not_found_native(&rq->fault) : e;
    }
    if (!(m->calls & (BIT(MODEL_CALL_SYNC) | BIT(MODEL_CALL_SSE) | BIT(MODEL_CALL_ASYNC))))
        return fail_http_call_unsupported(&rq->fault); /* a model that only speaks WebSocket */
    if (!model_on_path(m, path))
        return fail_url_model_mismatch(&rq->fault);
    *ret = m;
    return OK;
}

/* REF: E085, E031, E198a, E052. */
enum err body_model_socket(struct request *rq, str name, enum model_path path, const struct model **ret)
{
    const struct model *m;
    enum err            e;

    if (!name.len)
        return fail_ws_field_missing(&rq->fault, S("payload.model"));
    e = faults_suffix(rq, "the model", &name);
    if (e)
        return e;
    rq->model_name = name;
    m = request_model(rq, name);
    if (!m && model_find(name))
        return fail_model_not_found_404(&rq->fault); /* a retired one */
    if (!m)
        return fail_model_not_found_native(&rq->fault);
    if (!model_on_path(m, path))
        return fail_url_model_mismatch(&rq->fault);
    *ret = m;
    return OK;
}

/* REF: E096, E198b, E198c, E199, E022, E052. */
enum err body_model_openai(struct request *rq, yyjson_val *root, enum model_path path, const struct model **ret)
{
    const struct model *m;
    enum err            e = read_name(rq, root, fail_model_missing_compat);

    if (e)
        return e;
    m = request_model(rq, rq->model_name);
    if (!m && model_find(rq->model_name))
        return fail_model_not_found_openai(&rq->fault, rq->model_name); /* a retired one: nobody has access */
    if (!m)
        return fail_model_not_found_or_no_access(&rq->fault, rq->model_name);
    if (!m->openai || !model_on_path(m, path))
        return fail_model_no_openai_mode(&rq->fault, rq->model_name);
    *ret = m;
    return OK;
}

/* What the OpenAI-compatible chat serves is served here; another model is told the path (wire-forms.md §3).
 * REF: E096, E198b, E198c, E052. */
enum err body_model_anthropic(struct request *rq, yyjson_val *root, const struct model **ret)
{
    enum err e = body_model_openai(rq, root, MODEL_PATH_OPENAI, ret);

    if (e == ERR_FAULT && rq->fault.row == &error_rows[ERROR_MODEL_NO_OPENAI_MODE])
        return fail_url_model_mismatch(&rq->fault);
    return e;
}
