/* bm25.c - Okapi BM25 over the documents of one request. Each document is read twice: for how many have a term, and then for
 * its own score. Spec: platform.md §3.6 (scores 0 … 1, the best first). */
#include "base/num.h"
#include "engine/lexical/lexical.h"
#include "engine/lexical/words.h"

#include <stdlib.h>

#define K1 1.2
#define B  0.75

struct query {
    uint64_t *terms;     /* open addressing; 0 is free */
    uint32_t *counts;    /* in the document that is being read */
    uint32_t *documents; /* that have it */
    double   *weights;
    size_t    slots;  /* a power of two */
    size_t    length; /* terms of the document that is being read */
};

/* The natural logarithm by its series: no two libraries need give the same last bit. v >= 1. */
static double ln(double v)
{
    double whole = 0, x, square, power, sum = 0;

    while (v > 1.5) {
        v *= 0.5;
        whole += 0.693147180559945309;
    }
    x = (v - 1) / (v + 1);
    square = x * x;
    power = x;
    for (int i = 1; i < 32; i += 2) {
        sum += power / i;
        power *= square;
    }
    return whole + 2 * sum;
}

/* The term's slot, or the free one where it would be. */
static size_t slot_of(const struct query *q, uint64_t term)
{
    size_t slot = term & (q->slots - 1);

    while (q->terms[slot] && q->terms[slot] != term)
        slot = (slot + 1) & (q->slots - 1);
    return slot;
}

static void count_term(void *arg, uint64_t term)
{
    size_t *n = arg;

    (void)term;
    ++*n;
}

static void add_query_term(void *arg, uint64_t term)
{
    struct query *q = arg;

    term |= !term;
    q->terms[slot_of(q, term)] = term;
}

static void add_document_term(void *arg, uint64_t term)
{
    struct query *q = arg;
    size_t        slot;

    term |= !term;
    slot = slot_of(q, term);
    q->length++;
    q->counts[slot] += q->terms[slot] == term;
}

static void query_read(struct query *q, struct arena *a, str text)
{
    struct words words;
    size_t       count = 0;

    words_read(a, text, &words);
    words_terms(&words, count_term, &count);
    for (q->slots = 8; q->slots < 2 * count + 1;)
        q->slots *= 2;
    q->terms = arena_array(a, uint64_t, q->slots);
    q->counts = arena_array(a, uint32_t, q->slots);
    q->documents = arena_array(a, uint32_t, q->slots);
    q->weights = arena_array(a, double, q->slots);
    words_terms(&words, add_query_term, q);
}

static void document_read(struct query *q, const struct words *words)
{
    q->length = 0;
    memset(q->counts, 0, q->slots * sizeof(*q->counts));
    words_terms(words, add_document_term, q);
}

static double score(const struct query *q, double mean)
{
    double sum = 0, norm = K1 * (1 - B + B * (double)q->length / mean);

    for (size_t i = 0; i < q->slots; i++) {
        if (q->counts[i])
            sum += q->weights[i] * q->counts[i] * (K1 + 1) / (q->counts[i] + norm);
    }
    return sum;
}

static int by_score(const void *a, const void *b)
{
    const struct rerank_result *x = a, *y = b;

    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void lexical_rerank(struct arena *a, const struct rerank_input *in, struct rerank_answer *ret)
{
    size_t        n = in->document_count, total = 0;
    struct words *documents = arena_array(a, struct words, n);
    struct query  q = { 0 };
    double        best = 0, mean;

    query_read(&q, a, in->query);
    for (size_t i = 0; i < n; i++) {
        words_read(a, in->documents[i], &documents[i]);
        document_read(&q, &documents[i]);
        total += q.length;
        for (size_t k = 0; k < q.slots; k++)
            q.documents[k] += q.counts[k] > 0;
    }
    mean = (double)max_size(total, 1) / (double)max_size(n, 1);
    for (size_t k = 0; k < q.slots; k++) {
        if (!q.terms[k])
            continue;
        q.weights[k] = ln(1 + ((double)n - q.documents[k] + 0.5) / (q.documents[k] + 0.5));
        best += q.weights[k] * (K1 + 1);
    }
    ret->results = arena_array(a, struct rerank_result, n);
    for (size_t i = 0; i < n; i++) {
        document_read(&q, &documents[i]);
        ret->results[i] = (struct rerank_result){ .index = i, .score = best > 0 ? score(&q, mean) / best : 0 };
    }
    qsort(ret->results, n, sizeof(*ret->results), by_score);
    ret->count = n;
    ret->tokens = -1;
}
