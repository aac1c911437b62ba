/* calls.c - embeddings, rerank, tokens and models of libdashscope, on the native protocol.
 *
 * Memory: a question and its answer in an arena of the call, what is given out copied into a result of its own.
 * Limits: MODELS_MAX for what a server says that it lists.
 * Spec:   platform.md §3, §6.5; chat.md §10.7.
 */
#include "client/client.h"

#define MODELS_MAX 100000
#define PAGE_SIZE  100 /* of the model list; the most that may be asked for */

static void add_texts(struct buf *b, const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_char(b, i ? ',' : '[');
        json_add_str(b, str_from_cstr(texts[i]));
    }
    buf_add_char(b, ']');
}

static bool has_texts(const char *const *texts, size_t count)
{
    for (size_t i = 0; texts && i < count; i++) {
        if (!texts[i])
            return false;
    }
    return texts && count;
}

/* Sends a body and takes the answer's JSON. */
static enum dashscope_result post(struct client_call *call, const char *path, const struct buf *body, yyjson_val **ret)
{
    call->method = "POST";
    call->path = path;
    call->body = buf_str(body);
    return client_ask(call, ret);
}

static int64_t tokens_of(yyjson_val *root, const char *name)
{
    return client_count(json_get(root, "usage"), name);
}

/* ---- embeddings ---- */

static str number(struct arena *a, int64_t n)
{
    return arena_printf(a, "%lld", (long long)n);
}

static void add_embed(struct buf *b, struct arena *a, const struct dashscope_embed_input *q, yyjson_val *own)
{
    buf_init(b, a, SIZE_MAX / 2);
    buf_add(b, S("{\"model\":"));
    json_add_str(b, str_from_cstr(q->model));
    buf_add(b, S(",\"input\":{\"texts\":"));
    add_texts(b, q->texts, q->count);
    buf_add(b, S("},\"parameters\":{"));
    if (q->dimension)
        client_add(b, own, "dimension", number(a, q->dimension));
    client_add_parameters(b, a, own);
    buf_add(b, S("}}"));
}

static struct dashscope_vectors *read_vectors(yyjson_val *root, size_t count, const struct client_call *call)
{
    yyjson_val               *all = json_get(json_get(root, "output"), "embeddings"), *item, *value;
    size_t                    dimension = yyjson_arr_size(json_get(yyjson_arr_get_first(all), "embedding")), i, n, k, m;
    struct dashscope_vectors *v = client_result_new(sizeof(*v));
    struct arena             *a = client_result_arena(v);
    double                   *values = arena_array(a, double, mul_size_or_die(count, dimension));
    bool                      good = dimension && yyjson_arr_size(all) == count;

    yyjson_arr_foreach(all, i, n, item)
    {
        yyjson_val *embedding = json_get(item, "embedding");
        int64_t     at = client_count(item, "text_index");

        good = good && at >= 0 && (uint64_t)at < count && yyjson_arr_size(embedding) == dimension;
        if (!good)
            break;
        yyjson_arr_foreach(embedding, k, m, value)
        {
            good = json_to_num(value, &values[(size_t)at * dimension + k]) && good;
        }
    }
    if (!good) {
        dashscope_free(v);
        return NULL;
    }
    *v = (struct dashscope_vectors){ count, dimension, values, tokens_of(root, "total_tokens"),
                                     str_to_cstr(a, call->request_id) };
    return v;
}

enum dashscope_result dashscope_embed(struct dashscope *c, const struct dashscope_embed_input *q,
                                      struct dashscope_vectors **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c, .arena = &a };
    struct buf            b;
    yyjson_val           *root, *own;
    enum dashscope_result r;

    client_begin(c);
    if (!q->model || !*q->model)
        return client_fail_missing(c, "model");
    if (!has_texts(q->texts, q->count))
        return client_fail_missing(c, "text");
    arena_init(&a, 0);
    r = client_parameters(c, &a, q->parameters, &own);
    if (!r) {
        add_embed(&b, &a, q, own);
        r = post(&call, "/services/embeddings/text-embedding/text-embedding", &b, &root);
    }
    if (!r) {
        *ret = read_vectors(root, q->count, &call);
        if (!*ret)
            r = client_fail_unreadable(c, json_text(&a, root));
    }
    arena_free(&a);
    return r;
}

/* ---- rerank ---- */

static void add_rerank(struct buf *b, struct arena *a, const struct dashscope_rerank_input *q, yyjson_val *own)
{
    buf_init(b, a, SIZE_MAX / 2);
    buf_add(b, S("{\"model\":"));
    json_add_str(b, str_from_cstr(q->model));
    buf_add(b, S(",\"input\":{\"query\":"));
    json_add_str(b, str_from_cstr(q->query));
    buf_add(b, S(",\"documents\":"));
    add_texts(b, q->documents, q->count);
    buf_add(b, S("},\"parameters\":{"));
    client_add(b, own, "return_documents", S("false"));
    if (q->top)
        client_add(b, own, "top_n", number(a, (int64_t)q->top));
    client_add_parameters(b, a, own);
    buf_add(b, S("}}"));
}

static struct dashscope_ranking *read_ranking(yyjson_val *root, size_t count, const struct client_call *call)
{
    yyjson_val               *all = json_get(json_get(root, "output"), "results"), *item;
    struct dashscope_ranking *v = client_result_new(sizeof(*v));
    struct arena             *a = client_result_arena(v);
    struct dashscope_rank    *ranks = arena_array(a, struct dashscope_rank, yyjson_arr_size(all));
    bool                      good = yyjson_is_arr(all);
    size_t                    i, n = 0;

    yyjson_arr_foreach(all, i, n, item)
    {
        int64_t at = client_count(item, "index");

        good =
            good && at >= 0 && (uint64_t)at < count && json_to_num(json_get(item, "relevance_score"), &ranks[i].score);
        ranks[i].index = (size_t)at;
    }
    if (!good) {
        dashscope_free(v);
        return NULL;
    }
    *v = (struct dashscope_ranking){ n, ranks, tokens_of(root, "total_tokens"), str_to_cstr(a, call->request_id) };
    return v;
}

enum dashscope_result dashscope_rerank(struct dashscope *c, const struct dashscope_rerank_input *q,
                                       struct dashscope_ranking **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c, .arena = &a };
    struct buf            b;
    yyjson_val           *root, *own;
    enum dashscope_result r;

    client_begin(c);
    if (!q->model || !*q->model)
        return client_fail_missing(c, "model");
    if (!q->query)
        return client_fail_missing(c, "query");
    if (!has_texts(q->documents, q->count))
        return client_fail_missing(c, "text");
    arena_init(&a, 0);
    r = client_parameters(c, &a, q->parameters, &own);
    if (!r) {
        add_rerank(&b, &a, q, own);
        r = post(&call, "/services/rerank/text-rerank/text-rerank", &b, &root);
    }
    if (!r) {
        *ret = read_ranking(root, q->count, &call);
        if (!*ret)
            r = client_fail_unreadable(c, json_text(&a, root));
    }
    arena_free(&a);
    return r;
}

/* ---- tokens ---- */

static struct dashscope_tokens *read_tokens(yyjson_val *root, const struct client_call *call)
{
    yyjson_val              *output = json_get(root, "output"), *all = json_get(output, "token_ids"), *item;
    yyjson_val              *tokens = json_get(output, "tokens");
    struct dashscope_tokens *v = client_result_new(sizeof(*v));
    struct arena            *a = client_result_arena(v);
    size_t                   count = yyjson_arr_size(all), i, n;
    int64_t                 *ids = arena_array(a, int64_t, count);
    const char             **texts = arena_array(a, const char *, count);
    bool                     good = yyjson_is_arr(all) && yyjson_arr_size(tokens) == count;

    yyjson_arr_foreach(all, i, n, item)
    {
        good = json_to_i64(item, &ids[i]) && good;
    }
    yyjson_arr_foreach(tokens, i, n, item)
    {
        if (good)
            texts[i] = str_to_cstr(a, json_str(item));
    }
    if (!good) {
        dashscope_free(v);
        return NULL;
    }
    *v = (struct dashscope_tokens){ count, ids, texts, str_to_cstr(a, call->request_id) };
    return v;
}

enum dashscope_result dashscope_tokenize(struct dashscope *c, const char *model, const char *text,
                                         struct dashscope_tokens **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c, .arena = &a };
    struct buf            b;
    yyjson_val           *root;
    enum dashscope_result r;

    client_begin(c);
    if (!model || !*model)
        return client_fail_missing(c, "model");
    if (!text)
        return client_fail_missing(c, "text");
    arena_init(&a, 0);
    buf_init(&b, &a, SIZE_MAX / 2);
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, str_from_cstr(model));
    buf_add(&b, S(",\"input\":{\"prompt\":"));
    json_add_str(&b, str_from_cstr(text));
    buf_add(&b, S("},\"parameters\":{}}"));
    r = post(&call, "/tokenizer", &b, &root);
    if (!r) {
        *ret = read_tokens(root, &call);
        if (!*ret)
            r = client_fail_unreadable(c, json_text(&a, root));
    }
    arena_free(&a);
    return r;
}

/* ---- models ---- */

struct ids {
    struct arena *arena;
    const char  **at;
    size_t        count, cap;
};

/* A page's; false when it is none. *ret_total: of all pages. */
static bool add_page(struct ids *all, yyjson_val *root, int64_t *ret_total)
{
    yyjson_val *output = json_get(root, "output"), *models = json_get(output, "models"), *item;
    size_t      i, n;

    *ret_total = client_count(output, "total");
    if (!yyjson_is_arr(models) || *ret_total < 0 || *ret_total > MODELS_MAX)
        return false;
    yyjson_arr_foreach(models, i, n, item)
    {
        if (all->count == all->cap) {
            size_t cap = all->cap ? 2 * all->cap : PAGE_SIZE;

            all->at =
                arena_realloc(all->arena, (void *)(uintptr_t)all->at, all->cap * sizeof(char *), cap * sizeof(char *));
            all->cap = cap;
        }
        all->at[all->count++] = str_to_cstr(all->arena, json_str(json_get(item, "model")));
    }
    if (!n)
        *ret_total = (int64_t)all->count; /* fewer than it said: there are no more */
    return true;
}

enum dashscope_result dashscope_models(struct dashscope *c, struct dashscope_model_list **ret)
{
    struct dashscope_model_list *v = client_result_new(sizeof(*v));
    struct ids                   all = { .arena = client_result_arena(v) };
    int64_t                      total = 1;
    enum dashscope_result        r = DASHSCOPE_OK;

    client_begin(c);
    for (int64_t page = 1; !r && (int64_t)all.count < total; page++) {
        struct arena       a;
        struct client_call call = { .client = c, .method = "GET", .arena = &a };
        yyjson_val        *root;

        arena_init(&a, 0);
        call.path = arena_printf(&a, "/models?page_no=%lld&page_size=%d", (long long)page, PAGE_SIZE).ptr;
        r = client_ask(&call, &root);
        if (!r && !add_page(&all, root, &total))
            r = client_fail_unreadable(c, json_text(&a, root));
        arena_free(&a);
    }
    if (r) {
        dashscope_free(v);
        return r;
    }
    *v = (struct dashscope_model_list){ all.count, all.at };
    *ret = v;
    return DASHSCOPE_OK;
}
