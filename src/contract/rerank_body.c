/* rerank_body.c - from the JSON of rerank to a rerank_input. Spec: platform.md §3.6, §3.7. */
#include "contract/rerank_body.h"

/* {"image": …} or {"video": …}, for the models that take them. */
static bool is_medium(const struct model *m, yyjson_val *v)
{
    return ((m->in & BIT(MODEL_IMAGE)) && yyjson_is_str(json_get(v, "image"))) ||
           ((m->in & BIT(MODEL_VIDEO)) && yyjson_is_str(json_get(v, "video")));
}

/* "…" or {"text": "…"}; false when it is neither. */
static bool read_text(yyjson_val *v, str *ret)
{
    yyjson_val *text = yyjson_is_obj(v) ? json_get(v, "text") : v;

    *ret = json_str(text);
    return yyjson_is_str(text);
}

/* REF: E223. */
static enum err refuse_medium(struct request *rq)
{
    return fail_embedding_media_preprocess(&rq->fault, S("the engine of this model takes texts only"));
}

enum err rerank_read(struct request *rq, yyjson_val *query, yyjson_val *documents, struct rerank_input *in)
{
    size_t      count = yyjson_arr_size(documents), i, n;
    str        *all = arena_array(rq->arena, str, count);
    yyjson_val *v;

    if (is_medium(in->model, query))
        return refuse_medium(rq);
    if (!read_text(query, &in->query) || !in->query.len)
        return fail_parameter_missing_named(&rq->fault, S("query")); /* REF: E039 */
    if (!yyjson_is_arr(documents))
        return fail_parameter_missing_named(&rq->fault, S("documents"));
    if (count == 0)
        return fail_rerank_text_empty(&rq->fault);
    yyjson_arr_foreach(documents, i, n, v)
    {
        if (is_medium(in->model, v))
            return refuse_medium(rq);
        if (!read_text(v, &all[i]))
            return fail_parameter_missing_named(&rq->fault, S("documents"));
        if (!all[i].len)
            return fail_rerank_text_empty(&rq->fault);
    }
    in->documents = all;
    in->document_count = count;
    return OK;
}
