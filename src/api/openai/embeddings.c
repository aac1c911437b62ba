/* embeddings.c - POST /compatible-mode/v1/embeddings.
 *
 * Spec: platform.md §3.4; wire-forms.md O8.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/embedding.h"
#include "api/openai/openai.h"
#include "api/reply.h"
#include "contract/embed_body.h"
#include "service/embed.h"

static enum err read_body(struct request *rq, yyjson_val *root, struct embed_input *in)
{
    yyjson_val *texts = json_get(root, "input");
    enum err    e = embed_read_texts(rq, texts ? texts : json_get(root, "contents"), in);

    return e ? e : params_read(rq, &embed_params_openai_top, root, in->model, in);
}

static void add_answer(struct request *rq, const struct embed_input *in, const struct embed_answer *a, struct buf *b)
{
    if (in->encoding != EMBED_BASE64)
        embedding_room(b, a);
    buf_add(b, S("{\"data\":["));
    for (size_t i = 0; i < a->count; i++) {
        buf_add(b, i ? S(",{\"embedding\":") : S("{\"embedding\":"));
        embedding_add(b, a, i, in->encoding);
        json_add_count(b, S(",\"index\":"), (int64_t)i);
        buf_add(b, S(",\"object\":\"embedding\"}"));
    }
    buf_add(b, S("],\"model\":"));
    json_add_str(b, in->model_name);
    json_add_count(b, S(",\"object\":\"list\",\"usage\":{\"prompt_tokens\":"), rq->usage.prompt_tokens);
    json_add_count(b, S(",\"total_tokens\":"), rq->usage.prompt_tokens);
    buf_add(b, S("},\"id\":\""));
    buf_add(b, str_of(rq->id, UUID_LEN));
    buf_add(b, S("\"}"));
}

enum err openai_embeddings_line(struct request *rq, yyjson_val *body, struct charge *charge, struct buf *ret)
{
    struct embed_input *in = arena_new(rq->arena, struct embed_input);
    struct embed_answer answer;
    enum err            e = body_model_openai(rq, body, MODEL_PATH_OPENAI_EMBEDDINGS, &in->model);

    might_suspend();
    in->model_name = rq->model_name;
    rq->service_codes = !e;
    if (!e)
        e = admit_line(rq, in->model, charge);
    if (!e)
        e = read_body(rq, body, in);
    if (!e)
        e = embed_run(rq, in, &answer);
    if (!e)
        add_answer(rq, in, &answer, ret);
    return e;
}

enum err handle_openai_embeddings(struct request *rq)
{
    struct embed_input *in = arena_new(rq->arena, struct embed_input);
    struct embed_answer answer;
    yyjson_val         *root;
    struct buf          b;
    enum err            e = request_json(rq, &root);

    if (e)
        return e;
    e = body_model_openai(rq, root, MODEL_PATH_OPENAI_EMBEDDINGS, &in->model);
    in->model_name = rq->model_name;
    rq->service_codes = !e;
    if (!e)
        e = admit(rq, in->model);
    if (!e)
        e = read_body(rq, root, in);
    if (!e)
        e = embed_run(rq, in, &answer);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    add_answer(rq, in, &answer, &b);
    return reply_json(rq, buf_str(&b));
}
