/* embed.c - dashbox embed and dashbox rerank: what texts mean, and which of them answer a question.
 *
 * Embeddings are asked for in batches of as many as the model is known to take.
 */
#include "cli/cli.h"
#include "cli/client.h"

#include "base/num.h"
#include "contract/json.h"
#include "contract/model.h"

#include <math.h>

#define BATCH 10 /* of models that are not in the catalogue: what the cloud's general ones take */

static const char embed_usage[] =
    "usage: dashbox embed [TEXT…] [OPTIONS]          each line of standard input, when there is no TEXT\n"
    "       dashbox embed --compare TEXT TEXT [OPTIONS]\n"
    "\n"
    "Prints a line of JSON a text, with its vector; --compare the cosine of two.\n"
    "\n"
    "  --model MODEL               [text-embedding-v4]\n"
    "  --dimension N               [the model's own]\n"
    "  --parameters JSON           further parameters, as an object\n" CLI_CLIENT_USAGE;

static const char rerank_usage[] =
    "usage: dashbox rerank QUERY [DOCUMENT…] [OPTIONS]   each line of standard input, when there is no DOCUMENT\n"
    "\n"
    "Prints the documents with their relevance, the best first.\n"
    "\n"
    "  --model MODEL               [gte-rerank-v2]\n"
    "  --top N                     only so many\n"
    "  --json                      a line of JSON a document\n"
    "  --parameters JSON           further parameters, as an object\n" CLI_CLIENT_USAGE;

static int print_vectors(struct cli_client *c, struct dashscope_embed_input q, const char *const *texts, size_t count)
{
    const struct model *m = model_find(str_from_cstr(q.model));
    size_t              batch = m && m->rows_max > 0 ? (size_t)m->rows_max : BATCH, at = 0;
    struct buf          b;

    buf_init(&b, &c->arena, SIZE_MAX / 2);
    do { /* no text at all is the library's to refuse */
        struct dashscope_vectors *v;

        q.texts = texts + at;
        q.count = min_size(batch, count - at);
        if (dashscope_embed(c->handle, &q, &v))
            return cli_client_failed(c);
        for (size_t i = 0; i < v->count; i++) {
            buf_reset(&b);
            json_add_count(&b, S("{\"index\":"), (int64_t)(at + i));
            buf_add(&b, S(",\"text\":"));
            json_add_str(&b, str_from_cstr(texts[at + i]));
            buf_add(&b, S(",\"embedding\":"));
            json_add_nums(&b, v->values + i * v->dimension, v->dimension);
            buf_add_char(&b, '}');
            cli_print(&b);
        }
        dashscope_free(v);
        at += q.count;
        if (cli_client_interrupted()) /* between two calls */
            return CLI_INTERRUPTED;
    } while (at < count);
    return CLI_DONE;
}

static int print_cosine(struct cli_client *c, struct dashscope_embed_input q)
{
    struct dashscope_vectors *v;
    double                    product = 0, a2 = 0, b2 = 0;

    q.texts = c->words;
    q.count = 2;
    if (dashscope_embed(c->handle, &q, &v))
        return cli_client_failed(c);
    for (size_t i = 0; i < v->dimension; i++) {
        double a = v->values[i], b = v->values[v->dimension + i];

        product += a * b;
        a2 += a * a;
        b2 += b * b;
    }
    printf("%.4f\n", a2 > 0 && b2 > 0 ? product / sqrt(a2 * b2) : 0.0);
    dashscope_free(v);
    return CLI_DONE;
}

int cli_embed(int argc, char **argv)
{
    struct dashscope_embed_input q = { .model = "text-embedding-v4" };
    const char                  *dimension = NULL, **texts;
    bool                         compare = false;
    int64_t                      n = 0;
    const struct cli_option      options[] = { { "--model", &q.model, NULL },
                                               { "--dimension", &dimension, NULL },
                                               { "--parameters", &q.parameters, NULL },
                                               { "--compare", NULL, &compare } };
    struct cli_client            c;
    size_t                       count;
    int                          status;

    if (!cli_client_begin(&c, argc, argv, embed_usage, options, ARRAY_LEN(options), &status))
        return status;
    if (compare && c.word_count != 2) {
        fputs(embed_usage, stderr);
        return cli_client_end(&c, CLI_USAGE);
    }
    if (dimension && !cli_client_number(&c, "--dimension", dimension, &n))
        return cli_client_end(&c, CLI_USAGE);
    q.dimension = (int)min_i64(n, INT32_MAX);
    if (!compare && !cli_client_texts(&c, 0, &texts, &count))
        return cli_client_end(&c, CLI_FAILED);
    cli_client_catch_interrupt(&c);
    if (compare)
        return cli_client_end(&c, print_cosine(&c, q));
    return cli_client_end(&c, print_vectors(&c, q, texts, count));
}

static void print_ranking(struct cli_client *c, const struct dashscope_ranking *r, const char *const *documents,
                          bool json)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct dashscope_rank *rank = &r->ranks[i];
        struct buf                   b;

        if (!json) {
            printf("%.4f  %s\n", rank->score, documents[rank->index]);
            continue;
        }
        buf_init(&b, &c->arena, SIZE_MAX / 2);
        json_add_count(&b, S("{\"index\":"), (int64_t)rank->index);
        buf_add(&b, S(",\"relevance_score\":"));
        json_add_num(&b, rank->score);
        buf_add(&b, S(",\"document\":"));
        json_add_str(&b, str_from_cstr(documents[rank->index]));
        buf_add_char(&b, '}');
        cli_print(&b);
    }
}

int cli_rerank(int argc, char **argv)
{
    struct dashscope_rerank_input q = { .model = "gte-rerank-v2" };
    const char                   *top = NULL, **documents;
    bool                          json = false;
    int64_t                       n = 0;
    const struct cli_option       options[] = { { "--model", &q.model, NULL },
                                                { "--top", &top, NULL },
                                                { "--parameters", &q.parameters, NULL },
                                                { "--json", NULL, &json } };
    struct dashscope_ranking     *r;
    struct cli_client             c;
    int                           status;

    if (!cli_client_begin(&c, argc, argv, rerank_usage, options, ARRAY_LEN(options), &status))
        return status;
    if (!c.word_count) {
        fputs(rerank_usage, stderr);
        return cli_client_end(&c, CLI_USAGE);
    }
    if (top && !cli_client_number(&c, "--top", top, &n))
        return cli_client_end(&c, CLI_USAGE);
    if (!cli_client_texts(&c, 1, &documents, &q.count))
        return cli_client_end(&c, CLI_FAILED);
    cli_client_catch_interrupt(&c);
    q.query = c.words[0];
    q.documents = documents;
    q.top = (size_t)n;
    if (dashscope_rerank(c.handle, &q, &r))
        return cli_client_end(&c, cli_client_failed(&c));
    print_ranking(&c, r, documents, json);
    dashscope_free(r);
    return cli_client_end(&c, CLI_DONE);
}
