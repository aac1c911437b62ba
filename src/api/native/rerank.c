/* rerank.c - POST /api/v1/services/rerank/text-rerank/text-rerank.
 *
 * Spec: platform.md §3.6.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/rerank_body.h"
#include "service/rerank.h"

static enum err read_body(struct request *rq, yyjson_val *root, struct rerank_input *in)
{
    yyjson_val *input = json_get(root, "input"), *parameters = json_get(root, "parameters");
    enum err    e;

    if (!input)
        return fail_input_missing(&rq->fault); /* REF: E159 */
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault); /* REF: E162 */
    e = rerank_read(rq, json_get(input, "query"), json_get(input, "documents"), in);
    if (e)
        return e;
    if (parameters && !yyjson_is_obj(parameters))
        return fail_parameter_missing_named(&rq->fault, S("parameters"));
    return params_read(rq, &rerank_params_native_parameters, parameters, in->model, in);
}

static enum err reply(struct request *rq, const struct rerank_input *in, const struct rerank_answer *a)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"output\":{\"results\":["));
    for (size_t i = 0; i < a->count; i++) {
        buf_add(&b, i ? S(",{") : S("{"));
        if (in->return_documents.v) {
            buf_add(&b, S("\"document\":{\"text\":"));
            json_add_str(&b, in->documents[a->results[i].index]);
            buf_add(&b, S("},"));
        }
        json_add_count(&b, S("\"index\":"), (int64_t)a->results[i].index);
        buf_add(&b, S(",\"relevance_score\":"));
        json_add_num(&b, a->results[i].score);
        buf_add_char(&b, '}');
    }
    json_add_count(&b, S("]},\"usage\":{\"total_tokens\":"), rq->usage.prompt_tokens);
    buf_add_char(&b, '}');
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

enum err handle_native_rerank(struct request *rq)
{
    struct rerank_input *in = arena_new(rq->arena, struct rerank_input);
    struct rerank_answer answer;
    yyjson_val          *root;
    enum err             e = request_json(rq, &root);

    if (e)
        return e;
    e = body_model_native(rq, root, MODEL_PATH_RERANK, &in->model);
    in->model_name = rq->model_name;
    if (!e)
        e = admit(rq, in->model);
    if (!e)
        e = read_body(rq, root, in);
    if (!e)
        e = rerank_run(rq, in, &answer);
    return e ? e : reply(rq, in, &answer);
}
