/* rerank.c - POST /compatible-api/v1/reranks.
 *
 * Spec: platform.md §3.7.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/openai/openai.h"
#include "api/reply.h"
#include "contract/rerank_body.h"
#include "service/rerank.h"

/* The native body, {"input": {…}}, lacks a query here, and is refused for that (E039). */
static enum err read_body(struct request *rq, yyjson_val *root, struct rerank_input *in)
{
    enum err e = rerank_read(rq, json_get(root, "query"), json_get(root, "documents"), in);

    return e ? e : params_read(rq, &rerank_params_openai_top, root, in->model, in);
}

static enum err reply(struct request *rq, const struct rerank_input *in, const struct rerank_answer *a)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"object\":\"list\",\"results\":["));
    for (size_t i = 0; i < a->count; i++) {
        json_add_count(&b, i ? S(",{\"index\":") : S("{\"index\":"), (int64_t)a->results[i].index);
        buf_add(&b, S(",\"relevance_score\":"));
        json_add_num(&b, a->results[i].score);
        buf_add_char(&b, '}');
    }
    buf_add(&b, S("],\"model\":"));
    json_add_str(&b, in->model_name);
    buf_add(&b, S(",\"id\":\""));
    buf_add(&b, str_of(rq->id, UUID_LEN));
    json_add_count(&b, S("\",\"usage\":{\"total_tokens\":"), rq->usage.prompt_tokens);
    buf_add(&b, S("}}"));
    return reply_json(rq, buf_str(&b));
}

enum err handle_openai_reranks(struct request *rq)
{
    struct rerank_input *in = arena_new(rq->arena, struct rerank_input);
    struct rerank_answer answer;
    yyjson_val          *root;
    enum err             e = request_json(rq, &root);

    if (e)
        return e;
    e = body_model_openai(rq, root, MODEL_PATH_OPENAI_RERANKS, &in->model);
    in->model_name = rq->model_name;
    rq->service_codes = !e;
    if (!e)
        e = admit(rq, in->model);
    if (!e)
        e = read_body(rq, root, in);
    if (!e)
        e = rerank_run(rq, in, &answer);
    return e ? e : reply(rq, in, &answer);
}
