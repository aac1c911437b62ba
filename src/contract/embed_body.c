/* embed_body.c - from the JSON of embeddings to an embed_input. Spec: platform.md §3.1, §3.4. */
#include "contract/embed_body.h"

/* REF: E043. */
static enum err refuse_texts(struct request *rq, const struct embed_input *in)
{
    return in->model->contents == MODEL_CONTENTS_PAYLOAD ? fail_embedding_contents_type_old(&rq->fault)
                                                         : fail_embedding_contents_type(&rq->fault);
}

enum err embed_read_texts(struct request *rq, yyjson_val *texts, struct embed_input *in)
{
    size_t      count = yyjson_is_arr(texts) ? yyjson_arr_size(texts) : 1, i, n;
    yyjson_val *v;
    str        *all = arena_array(rq->arena, str, count);

    if (yyjson_is_arr(texts)) {
        yyjson_arr_foreach(texts, i, n, v)
            all[i] = json_str(v);
    } else {
        all[0] = json_str(texts);
    }
    for (i = 0; i < count; i++) {
        if (!all[i].len) /* no string, or an empty one */
            return refuse_texts(rq, in);
    }
    if (count == 0)
        return refuse_texts(rq, in);
    in->texts = all;
    in->text_count = count;
    return OK;
}

/* What is no whole number is no dimension of any model. */
enum err embed_read_dimension(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct embed_input *in = into;

    (void)rq, (void)p; /* the list of good ones is the model's: service/embed.c refuses */
    in->dimension.set = true;
    if (!json_to_i64(v, &in->dimension.v))
        in->dimension.v = 0;
    return OK;
}
