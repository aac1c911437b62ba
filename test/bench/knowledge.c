/* knowledge.c - what a question to a knowledge base costs: the exact search by vectors, and BM25 of SQLite's FTS5.
 *
 *   knowledge [CHUNKS]
 *
 * Vectors are made up, and so are words, which are as frequent as those of a language (Zipf). Printed is the fastest of some rounds, with
 * all vectors in memory; and how long it takes to read them from the store, once.
 */
#include "access/knowledge_edit.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "service/knowledge_vectors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define ROUNDS     10
#define DOCUMENTS  100
#define WORDS      60 /* of a chunk */
#define VOCABULARY 50000

static char          folder[64];
static struct store *store;
static sqlite3      *reader;
static struct arena  arena;

static float random_number(uint64_t *seed)
{
    return (float)((double)(rand_next(seed) >> 40) / 16777216.0 - 0.5);
}

/* A word's number, the small ones often. */
static unsigned random_word(uint64_t *seed)
{
    double u = (double)(rand_next(seed) >> 11) / 9007199254740992.0;

    return (unsigned)(exp(u * log(VOCABULARY)) - 1);
}

static str random_words(struct arena *a, uint64_t *seed, size_t count)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++)
        buf_addf(&b, "%s%012u", i ? " " : "", random_word(seed));
    return buf_str(&b);
}

/* ---- a store ---- */

static enum err fill(sqlite3 *db, size_t chunks, size_t dimension)
{
    sqlite3_stmt *chunk, *words;
    uint64_t      seed = 1;
    float        *vector = xcalloc(dimension, sizeof(float));
    enum err      e = store_exec(
             db, "BEGIN; INSERT INTO knowledge_bases VALUES (1, 'b', 'default', 'b', 'm', 0, 500, 100, '', '', 0, 0)");

    if (e || store_prepare(db, "INSERT INTO knowledge_chunks VALUES (?, ?, ?, '', '', ?)", &chunk) ||
        store_prepare(db, "INSERT INTO knowledge_words (rowid, base, words) VALUES (?, 1, ?)", &words))
        return ERR_IO;
    for (size_t i = 0; i < DOCUMENTS && !e; i++) {
        char sql[200];

        snprintf(sql, sizeof(sql),
                 "INSERT INTO knowledge_documents VALUES (%zu, 1, 'f%zu', '', '[]', '{}', '', 1, '', 0, '', 0, 0)",
                 i + 1, i);
        e = store_exec(db, sql);
    }
    for (size_t i = 0; i < chunks && !e; i++) {
        struct arena a;

        arena_init(&a, 0);
        for (size_t k = 0; k < dimension; k++)
            vector[k] = random_number(&seed);
        sqlite3_bind_int64(chunk, 1, (int64_t)i + 1);
        sqlite3_bind_int64(chunk, 2, (int64_t)(i * DOCUMENTS / chunks) + 1);
        sqlite3_bind_int64(chunk, 3, (int64_t)i);
        sqlite3_bind_blob64(chunk, 4, vector, dimension * sizeof(float), SQLITE_STATIC);
        e = store_err(db, sqlite3_step(chunk));
        sqlite3_reset(chunk);
        sqlite3_bind_int64(words, 1, (int64_t)i + 1);
        store_bind_str(words, 2, random_words(&a, &seed, WORDS));
        if (!e)
            e = store_err(db, sqlite3_step(words));
        sqlite3_reset(words);
        arena_free(&a);
    }
    sqlite3_finalize(chunk);
    sqlite3_finalize(words);
    free(vector);
    return e ? e : store_exec(db, "COMMIT");
}

struct size {
    size_t chunks, dimension;
};

static enum err fill_job(sqlite3 *db, void *arg)
{
    const struct size *s = arg;

    return fill(db, s->chunks, s->dimension);
}

/* ---- what is measured ---- */

static void measure_vectors(const struct size *s, const int64_t *documents)
{
    struct vectors      *v = vectors_open((size_t)8 << 30);
    struct knowledge_hit hits[100];
    float               *question = xcalloc(s->dimension, sizeof(float));
    uint64_t             seed = 7;
    int64_t              best = INT64_MAX, first = 0;
    size_t               n;

    for (size_t k = 0; k < s->dimension; k++)
        question[k] = random_number(&seed);
    for (int i = 0; i <= ROUNDS; i++) {
        int64_t began = clock_mono_us();

        if (vectors_nearest(v, reader, documents, DOCUMENTS, question, s->dimension, 100, hits, &n))
            exit(1);
        if (i == 0)
            first = clock_mono_us() - began;
        else
            best = min_i64(best, clock_mono_us() - began);
    }
    printf("  %8zu %6zu %12.1f %12.1f %10zu\n", s->chunks, s->dimension, (double)first / 1000, (double)best / 1000,
           vectors_bytes(v) >> 20);
    vectors_close(v);
    free(question);
}

static void measure_words(const struct size *s, const int64_t *documents, size_t count)
{
    struct knowledge_hit hits[100];
    uint64_t             seed = 11;
    int64_t              base = 1, total = 0;
    size_t               n;

    for (int i = 0; i < ROUNDS; i++) {
        struct arena a;
        int64_t      began;
        str          words;

        arena_init(&a, 0);
        words = random_words(&a, &seed, count);
        began = clock_mono_us();
        if (knowledge_match(reader, &a, &base, 1, words, documents, DOCUMENTS, 100, hits, &n))
            exit(1);
        total += clock_mono_us() - began;
        arena_free(&a);
    }
    printf("  %8zu %6zu %12.1f\n", s->chunks, count, (double)total / ROUNDS / 1000);
}

static int measure(struct size s)
{
    int64_t documents[DOCUMENTS];
    char    rm[128];

    snprintf(folder, sizeof(folder), "/tmp/dashbox-knowledge-XXXXXX");
    snprintf(rm, sizeof(rm), "rm -r /tmp/dashbox-knowledge-XXXXXX");
    if (!mkdtemp(folder) || store_open(str_from_cstr(folder), &store) || store_run_here(store, fill_job, &s) ||
        store_reader_open(store, &reader))
        return 1;
    for (size_t i = 0; i < DOCUMENTS; i++)
        documents[i] = (int64_t)i + 1;
    printf("   chunks   dim.  read (once)      ms        MiB\n");
    measure_vectors(&s, documents);
    printf("   chunks  words  BM25 (mean) ms\n");
    measure_words(&s, documents, 3);
    measure_words(&s, documents, 10);
    sqlite3_close(reader);
    store_close(store);
    snprintf(rm, sizeof(rm), "rm -r %s", folder);
    return system(rm);
}

int main(int argc, char **argv)
{
    int64_t chunks = 100000;

    if (argc > 2 || (argc == 2 && (!str_to_i64(str_from_cstr(argv[1]), &chunks) || chunks < DOCUMENTS))) {
        fprintf(stderr, "usage: knowledge [CHUNKS]\n");
        return 2;
    }
    arena_init(&arena, 0);
    for (size_t dimension = 256; dimension <= 1024; dimension *= 4) {
        if (measure((struct size){ (size_t)chunks, dimension }))
            return 1;
    }
    arena_free(&arena);
    return 0;
}
