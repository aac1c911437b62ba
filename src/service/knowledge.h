/* knowledge.h - knowledge bases: files of the account are put into them behind everybody's back, and questions find pieces of them.
 * Spec: platform.md §4.3, §4.8. Tables: store/knowledge.h.
 *
 *     a file's text (service/documents.h) ---> chunks, and their words ---> vectors, by the base's model ---> rows, a piece at a time
 *
 *     a question ---> its words: BM25, in SQLite -----------------\
 *                \--> its vector: the nearest of all, in memory ---> both lists become one, by places ---> a rerank model ---> the best
 *
 * The two lists are put together by reciprocal ranks: a chunk counts 1 / (5 + its place) in that by words, half of it in that by vectors. The score of what is found is the
 * rerank model's; without one, the share that the chunk has of what a first place in both would count.
 *
 * Nothing of this is charged: embeddings and rerank are asked for as the server's own.
 *
 * Thread: fibers of any worker. Reading for questions, and looking at vectors, is on a lane of its own with a connection of its own, so
 * that it stands before nobody's writing; a question sees what was committed before it.
 */
#ifndef DASHBOX_SERVICE_KNOWLEDGE_H
#define DASHBOX_SERVICE_KNOWLEDGE_H

#include "contract/knowledge.h"
#include "contract/request.h"
#include "loop/fiber.h"
#include "store/knowledge.h"

struct knowledge;

/* What all workers share. */
enum err knowledge_open(const struct store *s, size_t memory_max, struct knowledge **ret);
void     knowledge_close(struct knowledge *k); /* accepts NULL */

/* ---- questions ---- */

struct knowledge_query {
    const str                     *bases; /* ids, of the request's workspace */
    size_t                         base_count;
    str                            query;
    const struct knowledge_filter *filter; /* NULL: all documents */
    struct knowledge_input         in;     /* what is said of the way of it */
};

struct knowledge_found {
    int64_t chunk, position;
    str     title, text;
    str     base, file, name; /* base and file: ids; the name of the file */
    double  score;
};

/* The best first; in the request's memory. REF: E234: a base is not there, or is being built and has nothing yet; its embedder
 * or its rerank model fails; the store cannot be read. */
SUSPENDS enum err knowledge_search(struct request *rq, const struct knowledge_query *q, struct knowledge_found **ret,
                                   size_t *ret_count);

/* The way of those bases, with what the call says: the first base's own counts. REF: E234. */
SUSPENDS enum err knowledge_way(struct request *rq, const struct knowledge_query *q, struct knowledge_way *ret);

/* The question, as a model rewrites it, which is a chat of the request's own: admitted and charged. REF: E233. */
SUSPENDS enum err knowledge_rewrite(struct request *rq, str model, str query, str *ret);

/* ---- indexing: one worker's ---- */

struct knowledge_index_options {
    struct store *store;
    /* The newest configuration's services, until they are given back. */
    struct services *(*hold)(void *arg, const struct request_settings **ret_settings);
    void (*release)(void *arg, struct services *s);
    void *arg;
};

struct knowledge_index;

struct knowledge_index *knowledge_index_open(struct loop *l, const struct knowledge_index_options *o);
void                    knowledge_index_start(struct knowledge_index *x);
/* Something waits, or its text is there. From any thread, as long as its loop runs. Accepts NULL. */
void knowledge_index_wake(struct knowledge_index *x);
/* then(arg) when it is at an end. Once. Also for one that was never started. */
void knowledge_index_stop(struct knowledge_index *x, void (*then)(void *arg), void *arg);
void knowledge_index_free(struct knowledge_index *x); /* accepts NULL */

#endif
