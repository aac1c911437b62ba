/* knowledge_vectors.c - an exact search, kept in memory. */
#include "service/knowledge_vectors.h"

#include <stdlib.h>

/* The vectors of a document, one behind the other. */
struct block {
    int64_t  document;
    uint64_t used; /* when it was looked at last */
    size_t   count, cap, dimension;
    int64_t *chunks;
    float   *numbers;
};

struct vectors {
    struct block *blocks; /* by their documents */
    size_t        count, cap, bytes, bytes_max;
    uint64_t      now;
};

struct vectors *vectors_open(size_t bytes_max)
{
    struct vectors *v = xcalloc(1, sizeof(*v));

    v->bytes_max = bytes_max;
    return v;
}

static void block_free(struct block *b)
{
    free(b->chunks);
    free(b->numbers);
}

void vectors_close(struct vectors *v)
{
    if (!v)
        return;
    for (size_t i = 0; i < v->count; i++)
        block_free(&v->blocks[i]);
    free(v->blocks);
    free(v);
}

size_t vectors_bytes(const struct vectors *v)
{
    return v->bytes;
}

/* ---- memory ---- */

static size_t block_bytes(const struct block *b)
{
    return sizeof(*b) + b->cap * (b->dimension * sizeof(float) + sizeof(int64_t));
}

/* The place of the document, or where it would be. */
static size_t place_of(const struct vectors *v, int64_t document)
{
    size_t low = 0, high = v->count;

    while (low < high) {
        size_t at = low + (high - low) / 2;

        if (v->blocks[at].document < document)
            low = at + 1;
        else
            high = at;
    }
    return low;
}

static void remove_at(struct vectors *v, size_t at)
{
    v->bytes -= block_bytes(&v->blocks[at]);
    block_free(&v->blocks[at]);
    v->count--;
    memmove(&v->blocks[at], &v->blocks[at + 1], (v->count - at) * sizeof(*v->blocks));
}

/* Least lately first, until there is room. What this search has looked at goes too when nothing else is left. */
static void make_room(struct vectors *v)
{
    while (v->bytes > v->bytes_max && v->count > 1) {
        size_t oldest = 0;

        for (size_t i = 1; i < v->count; i++) {
            if (v->blocks[i].used < v->blocks[oldest].used)
                oldest = i;
        }
        remove_at(v, oldest);
    }
}

static void take_vector(void *arg, int64_t chunk, const void *floats, size_t count)
{
    struct block *b = arg;

    if (!b->count)
        b->dimension = count;
    if (!count || count != b->dimension)
        return;
    if (b->count == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        b->chunks = xrealloc(b->chunks, b->cap * sizeof(*b->chunks));
        b->numbers = xrealloc(b->numbers, b->cap * b->dimension * sizeof(*b->numbers));
    }
    b->chunks[b->count] = chunk;
    memcpy(b->numbers + b->count * b->dimension, floats, count * sizeof(float));
    b->count++;
}

/* The block, read where it is not there. */
static enum err block_get(struct vectors *v, sqlite3 *db, int64_t document, const struct block **ret)
{
    size_t       at = place_of(v, document);
    struct block b = { .document = document };
    enum err     e;

    v->now++;
    if (at < v->count && v->blocks[at].document == document) {
        v->blocks[at].used = v->now;
        *ret = &v->blocks[at];
        return OK;
    }
    e = knowledge_vectors(db, document, take_vector, &b);
    if (e) {
        block_free(&b);
        return e;
    }
    if (b.count && b.cap > b.count) { /* it grows no more */
        b.cap = b.count;
        b.chunks = xrealloc(b.chunks, b.cap * sizeof(*b.chunks));
        b.numbers = xrealloc(b.numbers, b.cap * b.dimension * sizeof(*b.numbers));
    }
    b.used = v->now;
    if (v->count == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 64;
        v->blocks = xrealloc(v->blocks, v->cap * sizeof(*v->blocks));
    }
    memmove(&v->blocks[at + 1], &v->blocks[at], (v->count - at) * sizeof(*v->blocks));
    v->blocks[at] = b;
    v->count++;
    v->bytes += block_bytes(&b);
    make_room(v);
    *ret = &v->blocks[place_of(v, document)];
    return OK;
}

/* ---- the search ---- */

/* Compilers put it into the registers that there are: two of four numbers on any x86-64 and aarch64. A product is bound by memory, not by
 * these (test/bench/knowledge.c). */
typedef float eight __attribute__((vector_size(32), aligned(4), may_alias));

float vectors_product(const float *x, const float *y, size_t n)
{
    eight  a = { 0 }, b = { 0 };
    float  sum = 0;
    size_t i = 0;

    for (; i + 16 <= n; i += 16) {
        a += *(const eight *)(x + i) * *(const eight *)(y + i);
        b += *(const eight *)(x + i + 8) * *(const eight *)(y + i + 8);
    }
    a += b;
    for (size_t k = 0; k < 8; k++)
        sum += a[k];
    for (; i < n; i++)
        sum += x[i] * y[i];
    return sum;
}

static bool is_worse(const struct knowledge_hit *x, const struct knowledge_hit *y)
{
    return x->score < y->score || (x->score == y->score && x->chunk > y->chunk);
}

/* A heap whose first is the worst of the best. */
static void sift_down(struct knowledge_hit *heap, size_t count, size_t at)
{
    for (;;) {
        size_t               child = 2 * at + 1;
        struct knowledge_hit h;

        if (child >= count)
            return;
        if (child + 1 < count && is_worse(&heap[child + 1], &heap[child]))
            child++;
        if (!is_worse(&heap[child], &heap[at]))
            return;
        h = heap[at];
        heap[at] = heap[child];
        heap[child] = h;
        at = child;
    }
}

static void offer(struct knowledge_hit *heap, size_t *count, size_t most, struct knowledge_hit h)
{
    if (*count == most) {
        if (!is_worse(&heap[0], &h))
            return;
        heap[0] = h;
        sift_down(heap, most, 0);
        return;
    }
    heap[(*count)++] = h;
    for (size_t i = *count - 1; i > 0 && is_worse(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2) {
        struct knowledge_hit up = heap[i];

        heap[i] = heap[(i - 1) / 2];
        heap[(i - 1) / 2] = up;
    }
}

static int by_score(const void *x, const void *y)
{
    const struct knowledge_hit *a = x, *b = y;

    return is_worse(a, b) ? 1 : is_worse(b, a) ? -1 : 0;
}

enum err vectors_nearest(struct vectors *v, sqlite3 *db, const int64_t *documents, size_t document_count,
                         const float *question, size_t dimension, size_t most, struct knowledge_hit *ret,
                         size_t *ret_count)
{
    size_t count = 0;

    for (size_t i = 0; i < document_count && most; i++) {
        const struct block *b;
        enum err            e = block_get(v, db, documents[i], &b);

        if (e)
            return e;
        if (b->dimension != dimension)
            continue;
        for (size_t k = 0; k < b->count; k++)
            offer(ret, &count, most,
                  (struct knowledge_hit){ b->chunks[k],
                                          (double)vectors_product(question, b->numbers + k * dimension, dimension) });
    }
    qsort(ret, count, sizeof(*ret), by_score);
    *ret_count = count;
    return OK;
}
