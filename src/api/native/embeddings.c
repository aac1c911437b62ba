/* embeddings.c - POST /api/v1/services/embeddings/text-embedding/text-embedding and
 * …/multimodal-embedding/multimodal-embedding.
 *
 * Spec: platform.md §3.1-§3.3, §3.5.
 */
#include "access/admission.h"
#include "api/body_model.h"
#include "api/embedding.h"
#include "api/native/native.h"
#include "api/native/task_reply.h"
#include "api/reply.h"
#include "contract/chat_content.h"
#include "contract/embed_body.h"
#include "contract/errors.gen.h"
#include "service/embed.h"
#include "service/embed_task.h"

static enum err read_parameters(struct request *rq, yyjson_val *root, const struct param_table *t,
                                struct embed_input *in)
{
    yyjson_val *parameters = json_get(root, "parameters");

    if (parameters && !yyjson_is_obj(parameters))
        return fail_parameter_missing_named(&rq->fault, S("parameters"));
    return params_read(rq, t, parameters, in->model, in);
}

/* REF: E159, E162. */
static enum err read_input(struct request *rq, yyjson_val *root, yyjson_val **ret)
{
    *ret = json_get(root, "input");
    if (!*ret)
        return fail_input_missing(&rq->fault);
    return yyjson_is_obj(*ret) ? OK : fail_input_not_object(&rq->fault);
}

/* The list is called texts; contents in the words of refusals, and by some clients. */
static enum err read_texts(struct request *rq, yyjson_val *root, struct embed_input *in)
{
    yyjson_val *input, *texts;
    enum err    e = read_input(rq, root, &input);

    if (e)
        return e;
    texts = json_get(input, "texts");
    e = embed_read_texts(rq, texts ? texts : json_get(input, "contents"), in);
    return e ? e : read_parameters(rq, root, &embed_params_native_parameters, in);
}

static enum err read_contents(struct request *rq, yyjson_val *root, struct embed_input *in)
{
    yyjson_val *input;
    enum err    e = read_input(rq, root, &input);

    if (!e)
        e = embed_read_contents(rq, json_get(input, "contents"), in);
    return e ? e : read_parameters(rq, root, &embed_params_native_multimodal, in);
}

/* ---- texts ---- */

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
    if (in->output != EMBED_SPARSE)
        embedding_room(&b, a);
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

/* Until the request is let in. */
static enum err begin(struct request *rq, enum model_path path, yyjson_val **ret_root, struct embed_input *in)
{
    enum err e = request_json(rq, ret_root);

    if (e)
        return e;
    e = body_model_native(rq, *ret_root, path, &in->model);
    in->model_name = rq->model_name;
    if (!e)
        e = admit(rq, in->model);
    if (!e && !(in->model->calls & BIT(MODEL_CALL_SYNC)) && !task_wanted(rq))
        e = fail_sync_not_supported(&rq->fault); /* REF: E189 */
    return e;
}

/* A model of files: all that can be checked without the file is checked now. */
SUSPENDS static enum err make_task(struct request *rq, yyjson_val *root, struct embed_input *in)
{
    char     id[UUID_LEN + 1];
    str      url;
    enum err e = embed_task_read(rq, root, in, &url);

    if (!e && str_starts(url, S("oss://")) && !chat_resolves_uploads(rq))
        e = fail_url_required(&rq->fault); /* REF: E149 */
    if (!e)
        e = embed_check(rq, in);
    if (!e)
        e = task_create(rq, S("text-embedding"), root, id);
    return e ? e : task_reply_created(rq, id);
}

enum err handle_native_text_embedding(struct request *rq)
{
    struct embed_input *in = arena_new(rq->arena, struct embed_input);
    struct embed_answer answer;
    yyjson_val         *root;
    enum err            e = begin(rq, MODEL_PATH_TEXT_EMBEDDING, &root, in);

    if (!e && !(in->model->calls & BIT(MODEL_CALL_SYNC)))
        return make_task(rq, root, in);
    if (!e)
        e = read_texts(rq, root, in);
    if (!e)
        e = embed_run(rq, in, &answer);
    return e ? e : reply(rq, in, &answer);
}

/* ---- multimodal ---- */

/* Older models count what they have seen, the others tokens by their kind. */
static void add_usage(struct buf *b, const struct model *m, int64_t tokens)
{
    json_add_count(b, S("\"usage\":{\"input_tokens\":"), tokens);
    if (m->usage == MODEL_USAGE_MEDIA) {
        buf_add(b, S(",\"image_tokens\":0,\"image_count\":0,\"duration\":0}"));
        return;
    }
    json_add_count(b, S(",\"input_tokens_details\":{\"image_tokens\":0,\"text_tokens\":"), tokens);
    json_add_count(b, S("},\"output_tokens\":1,\"total_tokens\":"), tokens + 1);
    buf_add_char(b, '}');
}

static enum err reply_multimodal(struct request *rq, const struct embed_input *in, const struct embed_answer *a,
                                 bool fused)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    embedding_room(&b, a);
    buf_add(&b, S("{\"output\":{\"embeddings\":["));
    for (size_t i = 0; i < a->count; i++) {
        json_add_count(&b, i ? S(",{\"index\":") : S("{\"index\":"), (int64_t)i);
        buf_add(&b, S(",\"embedding\":"));
        embedding_add(&b, a, i, EMBED_FLOAT);
        buf_add(&b, fused ? S(",\"type\":\"fused\"}") : S(",\"type\":\"text\"}"));
    }
    buf_add(&b, S("]},"));
    add_usage(&b, in->model, rq->usage.prompt_tokens);
    reply_add_request_id(&b, rq);
    return reply_json(rq, buf_str(&b));
}

enum err handle_native_multimodal_embedding(struct request *rq)
{
    struct embed_input *in = arena_new(rq->arena, struct embed_input);
    struct embed_answer answer;
    yyjson_val         *root;
    bool                fused;
    enum err            e = begin(rq, MODEL_PATH_MULTIMODAL_EMBEDDING, &root, in);

    rq->multimodal = true;
    if (!e)
        e = read_contents(rq, root, in);
    if (!e)
        e = embed_run_multimodal(rq, in, &answer, &fused);
    return e ? e : reply_multimodal(rq, in, &answer, fused);
}
