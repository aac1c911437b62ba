/* embeddings.c - POST /api/v1/services/embeddings/text-embedding/text-embedding.
 *
 * Spec: platform.md §3.1, §3.2.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/embedding.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/embed_body.h"
#include "service/embed.h"

/* The list is called texts; contents in the words of refusals, and by some clients. */
static enum err read_body(struct request *rq, yyjson_val *root, struct embed_input *in)
{
    yyjson_val *input = json_get(root, "input"), *parameters = json_get(root, "parameters");
    yyjson_val *texts = json_get(input, "texts");
    enum err    e;

    if (!input)
        return fail_input_missing(&rq->fault); /* REF: E159 */
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault); /* REF: E162 */
    if (!texts)
        texts = json_get(input, "contents");
    e = embed_read_texts(rq, texts, in);
    if (e)
        return e;
    if (parameters && !yyjson_is_obj(parameters))
        return fail_parameter_missing_named(&rq->fault, S("parameters"));
    return params_read(rq, &embed_params_native_parameters, parameters, in->model, in);
}

static void add_sparse(struct buf *b, const struct embed_vector *v)
{
    buf_add(b, S("\"sparse_embedding\":["));
    for (size_t i = 0; i < v->sparse_count; i++) {
        json_add_count(b, i ? S(",{\"index\":") : S("{\"index\":"), v->sparse[i].index);
        buf_add(b, S(",\"value\":"));
        json_add_num(b, v->sparse[i].value);
        buf_add(b, S(",\"token\":"));
        json_add_str(b, v->sparse[i].token);
        buf_add_char(b, '}');
    }
    buf_add(b, S("],"));
}

static enum err reply(struct request *rq, const struct embed_input *in, const struct embed_answer *a)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"output\":{\"embeddings\":["));
    for (size_t i = 0; i < a->count; i++) {
        buf_add(&b, i ? S(",{") : S("{"));
        if (in->output != EMBED_DENSE)
            add_sparse(&b, &a->vectors[i]);
        if (in->output != EMBED_SPARSE) {
            buf_add(&b, S("\"embedding\":"));
            embedding_add(&b, a, i, EMBED_FLOAT);
            buf_add_char(&b, ',');
        }
        json_add_count(&b, S("\"text_index\":"), (int64_t)i);
        buf_add_char(&b, '}');
    }
    json_add_count(&b, S("]},\"usage\":{\"total_tokens\":"), rq->usage.prompt_tokens);
    buf_add_char(&b, '}');
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

enum err handle_native_text_embedding(struct request *rq)
{
    struct embed_input *in = arena_new(rq->arena, struct embed_input);
    struct embed_answer answer;
    yyjson_val         *root;
    enum err            e = request_json(rq, &root);

    if (e)
        return e;
    e = body_model_native(rq, root, MODEL_PATH_TEXT_EMBEDDING, &in->model);
    in->model_name = rq->model_name;
    if (!e)
        e = admit(rq, in->model);
    if (!e && !(in->model->calls & BIT(MODEL_CALL_SYNC)))
        e = fail_sync_not_supported(&rq->fault); /* REF: E189 */
    if (!e)
        e = read_body(rq, root, in);
    if (!e)
        e = embed_run(rq, in, &answer);
    return e ? e : reply(rq, in, &answer);
}
