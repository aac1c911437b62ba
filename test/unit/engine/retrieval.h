/* retrieval.h - how well a search finds what a question asks for: the set of retrieval.txt, ranked by vectors and by BM25. */
#ifndef DASHBOX_TEST_RETRIEVAL_H
#define DASHBOX_TEST_RETRIEVAL_H

#include "base/num.h"
#include "engine/lexical/lexical.h"
#include "tokens/tokenizer.h"

#include <stdio.h>

#define RETRIEVAL_MAX 200

struct retrieval {
    str    names[RETRIEVAL_MAX], documents[RETRIEVAL_MAX];
    str    wanted[RETRIEVAL_MAX], questions[RETRIEVAL_MAX];
    size_t document_count, question_count;
};

/* Shares of the questions: the document is the first; among three; and the mean of 1 / its place. */
struct found {
    double first, three, reciprocal;
};

static bool retrieval_read(struct arena *a, const char *path, struct retrieval *ret)
{
    char  *text = arena_bytes(a, 1 << 16);
    FILE  *f = fopen(path, "r");
    size_t len = f ? fread(text, 1, 1 << 16, f) : 0;
    str    rest = str_of(text, len);

    if (f)
        fclose(f);
    *ret = (struct retrieval){ 0 };
    while (rest.len) {
        str line = str_cut(&rest, '\n'), kind = str_cut(&line, ' '), name = str_cut(&line, ' ');

        if (str_eq(kind, S("d"))) {
            ret->names[ret->document_count] = name;
            ret->documents[ret->document_count++] = line;
        } else if (str_eq(kind, S("q"))) {
            ret->wanted[ret->question_count] = name;
            ret->questions[ret->question_count++] = line;
        }
    }
    return ret->question_count > 0;
}

static void found_add(struct found *f, size_t place, size_t of)
{
    f->first += (double)(place == 1) / (double)of;
    f->three += (double)(place <= 3) / (double)of;
    f->reciprocal += 1.0 / (double)place / (double)of;
}

static struct found found_by_bm25(struct arena *a, const struct retrieval *r)
{
    struct found f = { 0 };

    for (size_t q = 0; q < r->question_count; q++) {
        struct rerank_input  in = { .query = r->questions[q],
                                    .documents = r->documents,
                                    .document_count = r->document_count };
        struct rerank_answer answer;
        size_t               place = 0;

        lexical_rerank(a, &in, &answer);
        while (!str_eq(r->names[answer.results[place].index], r->wanted[q]))
            place++;
        found_add(&f, answer.results[place].score > 0 ? place + 1 : r->document_count, r->question_count);
    }
    return f;
}

static double dot(const double *x, const double *y, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static struct found found_by_vectors(const struct tokenizer *t, struct arena *a, const struct retrieval *r,
                                     size_t dimension)
{
    struct embed_input  in = { .texts = r->documents,
                               .text_count = r->document_count,
                               .output = EMBED_DENSE,
                               .dimension = { (int64_t)dimension, true } };
    struct embed_answer documents, questions;
    struct found        f = { 0 };

    lexical_embed(t, a, &in, &documents);
    in.texts = r->questions;
    in.text_count = r->question_count;
    lexical_embed(t, a, &in, &questions);
    for (size_t q = 0; q < r->question_count; q++) {
        double own = 0, near[RETRIEVAL_MAX];
        size_t place = 1;

        for (size_t d = 0; d < r->document_count; d++) {
            near[d] = dot(questions.vectors[q].dense, documents.vectors[d].dense, dimension);
            if (str_eq(r->names[d], r->wanted[q]))
                own = near[d];
        }
        for (size_t d = 0; d < r->document_count; d++)
            place += near[d] > own;
        found_add(&f, place, r->question_count);
    }
    return f;
}

#endif
