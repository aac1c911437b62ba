/* rerank.h - the middle form of rerank: which documents say most about a query.
 *
 * As in embed.h: a surface reads it, a service checks it, an engine answers it whole; all of it is the request's.
 */
#ifndef DASHBOX_CONTRACT_RERANK_H
#define DASHBOX_CONTRACT_RERANK_H

#include "contract/chat.h" /* opt_int, opt_bool */

struct rerank_input {
    const struct model *model;
    str                 model_name;

    str        query;
    const str *documents;
    size_t     document_count;

    opt_int  top_n;
    opt_bool return_documents;
    str      instruct;
    opt_num  fps; /* of multimodal models */

    int64_t tokens; /* the query's, once a document, and the documents'; set by service/rerank.c */
};

struct rerank_result {
    size_t index; /* of the document */
    double score; /* 0 … 1 */
};

struct rerank_answer {
    struct rerank_result *results; /* the best first, equals in the order of the documents */
    size_t                count;
    int64_t               tokens; /* -1: the engine did not say */
};

#endif
