/* vectors.c - embeddings and rerank of the OpenAI form. */
#include "engine/upstream/vectors.h"

#include "contract/json.h"

#include <math.h>
#include <openssl/evp.h>
#include <stdlib.h>

/* ---- bodies ---- */

static void add_key(struct buf *b, str key)
{
    buf_add(b, S(",\""));
    buf_add(b, key);
    buf_add(b, S("\":"));
}

static void add_str(struct buf *b, str key, str v)
{
    if (!v.len)
        return;
    add_key(b, key);
    json_add_str(b, v);
}

static void add_texts(struct buf *b, str key, const str *texts, size_t count)
{
    add_key(b, key);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(b, i ? ',' : '[');
        json_add_str(b, texts[i]);
    }
    buf_add_char(b, ']');
}

static void begin(struct buf *b, struct arena *a, str model)
{
    buf_init(b, a, SIZE_MAX / 2);
    buf_add(b, S("{\"model\":"));
    json_add_str(b, model);
}

str vectors_embed_body(struct arena *a, const struct embed_input *in, str model, bool cloud)
{
    struct buf b;

    begin(&b, a, model);
    add_texts(&b, S("input"), in->texts, in->text_count);
    if (in->dimension.set) {
        add_key(&b, S("dimensions"));
        buf_add_i64(&b, in->dimension.v);
    }
    add_str(&b, S("encoding_format"), S("float"));
    if (cloud && in->text_type == EMBED_QUERY)
        add_str(&b, S("text_type"), S("query"));
    if (cloud)
        add_str(&b, S("instruct"), in->instruct);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

str vectors_rerank_body(struct arena *a, const struct rerank_input *in, str model, bool cloud)
{
    struct buf b;

    begin(&b, a, model);
    add_str(&b, S("query"), in->query);
    add_texts(&b, S("documents"), in->documents, in->document_count);
    if (in->top_n.set) {
        add_key(&b, S("top_n"));
        buf_add_i64(&b, in->top_n.v);
    }
    if (cloud)
        add_str(&b, S("instruct"), in->instruct);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

/* ---- answers ---- */

static int64_t tokens_of(yyjson_val *root)
{
    yyjson_val *usage = json_get(root, "usage");
    int64_t     v;

    if (json_to_i64(json_get(usage, "prompt_tokens"), &v) || json_to_i64(json_get(usage, "total_tokens"), &v))
        return v > 0 ? v : -1; /* 0 is what servers say that do not count */
    return -1;
}

/* 32-bit numbers, little-endian. */
static const double *read_base64(struct arena *a, str text, size_t *ret_count)
{
    size_t         size = text.len / 4 * 3, padding = str_ends(text, S("==")) ? 2 : str_ends(text, S("="));
    unsigned char *bytes = (unsigned char *)arena_bytes(a, size + 1);
    double        *out;

    if (text.len == 0 || text.len % 4 || text.len > INT32_MAX ||
        EVP_DecodeBlock(bytes, (const unsigned char *)text.ptr, (int)text.len) < 0 || (size - padding) % 4)
        return NULL;
    *ret_count = (size - padding) / 4;
    out = arena_array(a, double, *ret_count);
    for (size_t i = 0; i < *ret_count; i++) {
        uint32_t bits = 0;
        float    f;

        for (unsigned k = 0; k < 4; k++)
            bits |= (uint32_t)bytes[4 * i + k] << 8 * k;
        memcpy(&f, &bits, 4);
        if (!isfinite(f))
            return NULL;
        out[i] = (double)f;
    }
    return out;
}

static const double *read_vector(struct arena *a, yyjson_val *v, size_t *ret_count)
{
    double     *out;
    size_t      i, n;
    yyjson_val *number;

    if (yyjson_is_str(v))
        return read_base64(a, json_str(v), ret_count);
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) == 0)
        return NULL;
    *ret_count = yyjson_arr_size(v);
    out = arena_array(a, double, *ret_count);
    yyjson_arr_foreach(v, i, n, number)
    {
        if (!json_to_num(number, &out[i]))
            return NULL;
    }
    return out;
}

const char *vectors_embed_read(struct arena *a, yyjson_val *root, const struct embed_input *in,
                               struct embed_answer *ret)
{
    yyjson_val *data = json_get(root, "data"), *item;
    size_t      i, n;

    if (!yyjson_is_arr(data) || yyjson_arr_size(data) != in->text_count)
        return "it has not one embedding a text";
    *ret = (struct embed_answer){ .count = in->text_count, .tokens = tokens_of(root) };
    ret->vectors = arena_array(a, struct embed_vector, ret->count);
    yyjson_arr_foreach(data, i, n, item)
    {
        int64_t       at = (int64_t)i;
        size_t        dimension = 0;
        const double *v = read_vector(a, json_get(item, "embedding"), &dimension);

        (void)json_to_i64(json_get(item, "index"), &at); /* without one, they are in order */
        if (!v || at < 0 || at >= (int64_t)ret->count || ret->vectors[at].dense)
            return "an embedding cannot be read";
        if (ret->dimension && ret->dimension != dimension)
            return "its embeddings differ in length";
        ret->dimension = dimension;
        ret->vectors[at].dense = v;
    }
    return NULL;
}

static int by_score(const void *a, const void *b)
{
    const struct rerank_result *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

static yyjson_val *list_of(yyjson_val *root)
{
    yyjson_val *list = yyjson_is_arr(root) ? root : json_get(root, "results");

    return list ? list : json_get(root, "data");
}

const char *vectors_rerank_read(struct arena *a, yyjson_val *root, const struct rerank_input *in,
                                struct rerank_answer *ret)
{
    yyjson_val *list = list_of(root), *item;
    bool       *seen = arena_array(a, bool, in->document_count), shares = true;
    size_t      i, n;

    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > in->document_count)
        return "it has no list of results";
    *ret = (struct rerank_answer){ .count = yyjson_arr_size(list), .tokens = tokens_of(root) };
    ret->results = arena_array(a, struct rerank_result, ret->count);
    yyjson_arr_foreach(list, i, n, item)
    {
        yyjson_val *score = json_get(item, "relevance_score");
        int64_t     index;

        if (!json_to_i64(json_get(item, "index"), &index) || index < 0 || index >= (int64_t)in->document_count ||
            seen[index] || !json_to_num(score ? score : json_get(item, "score"), &ret->results[i].score))
            return "a result cannot be read";
        seen[index] = true;
        ret->results[i].index = (size_t)index;
        shares = shares && ret->results[i].score >= 0 && ret->results[i].score <= 1;
    }
    for (i = 0; i < ret->count && !shares; i++)
        ret->results[i].score = 1 / (1 + exp(-ret->results[i].score));
    if (ret->count)
        qsort(ret->results, ret->count, sizeof(*ret->results), by_score);
    return NULL;
}
