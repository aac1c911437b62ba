/* embed.c - the embeddings of the stand-in: what they find, beside BM25, and what they cost.
 *
 *   embed TOKENIZER RETRIEVAL_TXT
 *
 * Printed are the shares of questions whose document is the first, among three, and the mean of 1 / its place; and of ten
 * texts of some 200 tokens the fastest round.
 */
#include "base/buf.h"
#include "base/clock.h"

#include "../unit/engine/retrieval.h"

#define ROUNDS 50

static void print_found(const char *what, const struct found *f)
{
    printf("  %-24s %8.3f %8.3f %8.3f\n", what, f->first, f->three, f->reciprocal);
}

static void print_cost(const struct tokenizer *t, const str *texts, size_t dimension, int output, const char *what)
{
    struct embed_input in = {
        .texts = texts, .text_count = 10, .output = output, .dimension = { (int64_t)dimension, true }
    };
    int64_t best = INT64_MAX;

    for (int i = 0; i < ROUNDS; i++) {
        struct arena        a;
        struct embed_answer answer;
        int64_t             began = clock_mono_us();

        arena_init(&a, ARENA_REQUEST);
        lexical_embed(t, &a, &in, &answer);
        arena_free(&a);
        best = min_i64(best, clock_mono_us() - began);
    }
    printf("  %-24s %8.1f\n", what, (double)best / 10);
}

int main(int argc, char **argv)
{
    static const size_t dimensions[] = { 64, 128, 256, 512, 768, 1024, 2048 };
    struct tokenizer   *t;
    struct arena        a;
    struct retrieval    r;
    struct found        f;
    str                 texts[10];

    arena_init(&a, 0);
    if (argc != 3 || tokenizer_open(argv[1], &t) || !retrieval_read(&a, argv[2], &r)) {
        fprintf(stderr, "usage: embed TOKENIZER RETRIEVAL_TXT\n");
        return 2;
    }
    printf("%zu questions, %zu documents         first    three     1/at\n", r.question_count, r.document_count);
    f = found_by_bm25(&a, &r);
    print_found("BM25", &f);
    for (size_t i = 0; i < ARRAY_LEN(dimensions); i++) {
        f = found_by_vectors(t, &a, &r, dimensions[i]);
        print_found(str_to_cstr(&a, arena_printf(&a, "vectors of %zu", dimensions[i])), &f);
    }
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct buf b;

        buf_init(&b, &a, 4096);
        for (size_t k = 3 * i; tokenizer_count(t, buf_str(&b)) < 180; k++) {
            buf_add(&b, r.documents[k % r.document_count]);
            buf_add_char(&b, ' ');
        }
        texts[i] = buf_str(&b);
    }
    printf("texts of %zu tokens       µs a text\n", tokenizer_count(t, texts[0]));
    print_cost(t, texts, 64, EMBED_DENSE, "64 numbers");
    print_cost(t, texts, 1024, EMBED_DENSE, "1,024 numbers");
    print_cost(t, texts, 2048, EMBED_DENSE, "2,048 numbers");
    print_cost(t, texts, 0, EMBED_SPARSE, "sparse");
    tokenizer_close(t);
    arena_free(&a);
    return 0;
}
