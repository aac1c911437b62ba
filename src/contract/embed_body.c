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
        {
            all[i] = json_str(v);
        }
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

/* ---- multimodal contents ---- */

/* REF: E041. */
static enum err check_url(struct request *rq, yyjson_val *v)
{
    static const str begins[] = { S("http://"), S("https://"), S("oss://"), S("data:") };

    for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
        if (str_starts_nocase(json_str(v), begins[i]))
            return OK;
    }
    return fail_media_url_invalid(&rq->fault);
}

static enum err read_images(struct request *rq, yyjson_val *list, struct embed_input *in)
{
    size_t      i, n;
    yyjson_val *v;
    enum err    e = yyjson_arr_size(list) ? OK : fail_media_url_invalid(&rq->fault);

    if (e)
        return e;
    yyjson_arr_foreach(list, i, n, v)
    {
        e = check_url(rq, v);
        if (e)
            return e;
    }
    in->images += n;
    return OK;
}

/* One object; several keys in it belong together. Adds its text to `texts`. */
static enum err read_object(struct request *rq, yyjson_val *item, struct embed_input *in, str *texts)
{
    const struct {
        const char *key;
        size_t     *count;
    } media[] = { { "image", &in->images }, { "video", &in->videos }, { "audio", &in->audios } };
    yyjson_val *text = json_get(item, "text"), *list = json_get(item, "multi_images");
    size_t      before = in->images + in->videos + in->audios;

    if (text) {
        texts[in->text_count++] = json_str(text);
        if (!json_str(text).len)
            return refuse_texts(rq, in);
    }
    for (size_t i = 0; i < ARRAY_LEN(media); i++) {
        yyjson_val *v = json_get(item, media[i].key);
        enum err    e = v ? check_url(rq, v) : OK;

        if (e)
            return e;
        *media[i].count += v != NULL;
    }
    if (list)
        return read_images(rq, list, in);
    if (!text && in->images + in->videos + in->audios == before)
        return fail_field_required(&rq->fault, S("input.contents.text")); /* REF: E057 */
    return OK;
}

enum err embed_read_contents(struct request *rq, yyjson_val *contents, struct embed_input *in)
{
    str        *texts = arena_array(rq->arena, str, yyjson_arr_size(contents));
    size_t      i, n;
    yyjson_val *item;

    if (yyjson_arr_size(contents) == 0)
        return refuse_texts(rq, in);
    in->texts = texts;
    yyjson_arr_foreach(contents, i, n, item)
    {
        enum err e = OK;

        if (yyjson_is_obj(item))
            e = read_object(rq, item, in, texts);
        else if (json_str(item).len)
            texts[in->text_count++] = json_str(item);
        else
            e = refuse_texts(rq, in);
        if (e)
            return e;
    }
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
