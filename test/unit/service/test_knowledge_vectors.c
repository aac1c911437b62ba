/* test_knowledge_vectors.c - the nearest of all, whatever fits into memory. */
#include "service/knowledge_vectors.c"

#include "../base/check.h"
#include "base/rand.h"

#include <math.h>

/* The store: documents of 1 to 20 chunks, made of their numbers. */
#define DOCUMENTS 60
#define DIMENSION 37

static size_t reads;

static size_t chunks_of(int64_t document)
{
    return 1 + (size_t)document % 20;
}

static void make_vector(int64_t chunk, float *ret)
{
    uint64_t seed = (uint64_t)chunk * 7919;

    for (size_t i = 0; i < DIMENSION; i++)
        ret[i] = (float)((double)(rand_next(&seed) >> 40) / 16777216.0 - 0.5);
}

enum err knowledge_vectors(sqlite3 *db, int64_t                                                            document,
                           void (*take)(void *arg, int64_t chunk, const void *floats, size_t count), void *arg)
{
    float vector[DIMENSION];

    (void)db;
    reads++;
    for (size_t i = 0; i < chunks_of(document); i++) {
        make_vector(document * 100 + (int64_t)i, vector);
        take(arg, document * 100 + (int64_t)i, vector, DIMENSION);
    }
    return OK;
}

static void documents_all(int64_t *ret)
{
    for (int64_t d = 0; d < DOCUMENTS; d++)
        ret[d] = d + 1;
}

/* The plain way. */
static size_t nearest_plainly(const float *question, size_t most, struct knowledge_hit *ret)
{
    static struct knowledge_hit all[DOCUMENTS * 20];
    size_t                      n = 0;

    for (int64_t d = 1; d <= DOCUMENTS; d++) {
        for (size_t i = 0; i < chunks_of(d); i++) {
            float vector[DIMENSION];

            make_vector(d * 100 + (int64_t)i, vector);
            all[n++] =
                (struct knowledge_hit){ d * 100 + (int64_t)i, (double)vectors_product(question, vector, DIMENSION) };
        }
    }
    qsort(all, n, sizeof(*all), by_score);
    memcpy(ret, all, most * sizeof(*all));
    return most;
}

static void check_nearest(size_t bytes_max)
{
    struct vectors      *v = vectors_open(bytes_max);
    int64_t              documents[DOCUMENTS];
    struct knowledge_hit found[25], wanted[25];
    float                question[DIMENSION];
    size_t               n;

    documents_all(documents);
    for (int64_t q = 1; q < 20; q++) {
        make_vector(1000000 + q, question);
        assert_int_equal(vectors_nearest(v, NULL, documents, DOCUMENTS, question, DIMENSION, 25, found, &n), OK);
        assert_int_equal(n, nearest_plainly(question, 25, wanted));
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(found[i].chunk, wanted[i].chunk);
            assert_true(found[i].score == wanted[i].score);
        }
    }
    vectors_close(v);
}

TEST(the_nearest_are_those_of_a_plain_search)
{
    reads = 0;
    check_nearest(1 << 24);
    assert_int_equal(reads, DOCUMENTS); /* each is read once */
}

TEST(a_ceiling_changes_what_is_read_again_and_nothing_else)
{
    struct vectors      *v = vectors_open(8000);
    int64_t              documents[DOCUMENTS];
    struct knowledge_hit found[5];
    float                question[DIMENSION] = { 1 };
    size_t               n;

    check_nearest(8000);
    documents_all(documents);
    for (size_t i = 0; i < DOCUMENTS; i++) {
        assert_int_equal(vectors_nearest(v, NULL, documents + i, 1, question, DIMENSION, 5, found, &n), OK);
        assert_true(vectors_bytes(v) <= 8000);
    }
    reads = 0;
    assert_int_equal(vectors_nearest(v, NULL, documents + DOCUMENTS - 1, 1, question, DIMENSION, 5, found, &n), OK);
    assert_int_equal(reads, 0);
    assert_int_equal(vectors_nearest(v, NULL, documents, 1, question, DIMENSION, 5, found, &n), OK);
    assert_int_equal(reads, 1);
    vectors_close(v);
}

TEST(products_are_right_whatever_the_length)
{
    float x[70], y[70];

    for (size_t n = 0; n <= 70; n++) {
        double sum = 0;

        for (size_t i = 0; i < n; i++) {
            x[i] = (float)i / 8;
            y[i] = (float)(n - i) / 4;
            sum += (double)x[i] * (double)y[i];
        }
        assert_true(fabs((double)vectors_product(x, y, n) - sum) <= sum * 1e-6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_are_those_of_a_plain_search),
        cmocka_unit_test(a_ceiling_changes_what_is_read_again_and_nothing_else),
        cmocka_unit_test(products_are_right_whatever_the_length),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
