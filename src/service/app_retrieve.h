/* app_retrieve.h - what an application asks knowledge bases: the one place where applications meet them.
 *
 * Which ones a definition may name is checked when it is made (access/app_bases.h); they may be gone when it runs. What a call says in
 * rag_options stands above the definition.
 */
#ifndef DASHBOX_SERVICE_APP_RETRIEVE_H
#define DASHBOX_SERVICE_APP_RETRIEVE_H

#include "service/app_run.h"
#include "service/knowledge.h"

struct app_retrieval {
    const str *bases; /* of the request's workspace */
    size_t     base_count;
    str        query;
    opt_int    top;      /* so many at most, the best first; not set: as the first base says */
    str        rewriter; /* the model that rewrites the question; empty: as the base says */
};

/* What is found is also what the answer may refer to. *ret_query is what was asked in the end. REF: E234: they cannot be
 * asked; E233: the question cannot be rewritten; the fault's detail says why. */
SUSPENDS enum err app_retrieve(struct app_run *r, const struct app_retrieval *q, struct knowledge_found **ret,
                               size_t *ret_count, str *ret_query);

#endif
