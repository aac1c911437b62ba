/* knowledge_vectors.h - which chunks' vectors are nearest to a question's, by looking at all of them.
 *
 * The vectors of a document are read from the store when it is first looked at, and stay in memory, up to a ceiling: then those that have
 * been looked at least lately go. Documents never change (a new one has a new number), so nothing in memory is ever wrong.
 *
 * Thread: one lane's. Memory: 4 bytes a number; see the option knowledge.memory.
 */
#ifndef DASHBOX_SERVICE_KNOWLEDGE_VECTORS_H
#define DASHBOX_SERVICE_KNOWLEDGE_VECTORS_H

#include "store/knowledge.h"

struct vectors;

struct vectors *vectors_open(size_t bytes_max);
void            vectors_close(struct vectors *v);

/* The `most` nearest (by the product of the vectors: those of unit length are as near as their cosine) of all chunks of the documents, the
 * nearest first, equals in their order. Vectors of another dimension are of another model, and none of them. */
enum err vectors_nearest(struct vectors *v, sqlite3 *db, const int64_t *documents, size_t document_count,
                         const float *question, size_t dimension, size_t most, struct knowledge_hit *ret,
                         size_t *ret_count);

/* Bytes of vectors that are in memory. */
size_t vectors_bytes(const struct vectors *v);

/* x · y. */
float vectors_product(const float *x, const float *y, size_t n);

#endif
