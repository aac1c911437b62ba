/* fuzz_vectors.c - embeddings and rerank: bodies as clients send them, answers as upstreams give them, and texts as they become
 * vectors. The first byte says which model, the rest is JSON, and at the same time a text. */
#include "contract/embed_body.h"
#include "contract/rerank_body.h"
#include "engine/lexical/lexical.h"
#include "engine/upstream/images.h"
#include "engine/upstream/vectors.h"
#include "tokens/tokenizer.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer *tokenizer;

static void check_unit(const struct embed_answer *a)
{
    for (size_t i = 0; i < a->count; i++) {
        double squares = 0;

        for (size_t n = 0; n < a->dimension; n++)
            squares += a->vectors[i].dense[n] * a->vectors[i].dense[n];
        ASSERT(fabs(squares - 1) < 1e-3);
        for (size_t n = 0; n < a->vectors[i].sparse_count; n++)
            ASSERT(a->vectors[i].sparse[n].value >= 0 && a->vectors[i].sparse[n].value <= 1);
    }
}

static void make(struct arena *a, str text)
{
    str                texts[] = { text, str_first(text, text.len / 2), S("one two three") };
    struct embed_input in = {
        .texts = texts, .text_count = 3, .dimension = { 128, true }, .output = EMBED_DENSE_AND_SPARSE
    };
    struct rerank_input  ranking = { .query = texts[1], .documents = texts, .document_count = 3 };
    struct embed_answer  vectors;
    struct rerank_answer ranks;

    lexical_embed(tokenizer, a, &in, &vectors);
    check_unit(&vectors);
    lexical_rerank(a, &ranking, &ranks);
    ASSERT(ranks.count == 3);
    for (size_t i = 0; i < 3; i++)
        ASSERT(ranks.results[i].score >= 0 && ranks.results[i].score <= 1);
}

static void read_bodies(struct arena *a, yyjson_val *root, const struct model *m)
{
    struct request       rq = { .arena = a };
    struct embed_input   in[2] = { { .model = m }, { .model = m } };
    struct rerank_input  ranking = { .model = m };
    struct embed_answer  vectors;
    struct rerank_answer ranks;
    struct image_answer  picture;

    if (!images_read(a, root, &picture))
        ASSERT(picture.bytes.len);
    if (!embed_read_texts(&rq, json_get(root, "input"), &in[0]) &&
        !params_read(&rq, &embed_params_openai_top, root, m, &in[0])) {
        (void)vectors_embed_body(a, &in[0], m->id, true);
        (void)vectors_embed_read(a, root, &in[0], &vectors);
    }
    if (!embed_read_contents(&rq, json_get(root, "contents"), &in[1]))
        (void)params_read(&rq, &embed_params_native_multimodal, root, m, &in[1]);
    if (!rerank_read(&rq, json_get(root, "query"), json_get(root, "documents"), &ranking) &&
        !params_read(&rq, &rerank_params_openai_top, root, m, &ranking)) {
        (void)vectors_rerank_body(a, &ranking, m->id, true);
        if (!vectors_rerank_read(a, root, &ranking, &ranks))
            ASSERT(ranks.count <= ranking.document_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    yyjson_val  *root;
    str          text;

    if (size == 0)
        return 0;
    if (!tokenizer && tokenizer_open(getenv("DASHBOX_TOKENIZER"), &tokenizer))
        abort();
    arena_init(&a, 0);
    text = str_of((const char *)data + 1, size - 1);
    make(&a, text);
    root = json_parse_copy(&a, text);
    if (root)
        read_bodies(&a, root, &models[data[0] * 7u % model_count]);
    arena_free(&a);
    return 0;
}
