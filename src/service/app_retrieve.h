/* app_retrieve.h - what an application asks knowledge bases: the one place where applications meet them.
 *
 * Which ones a definition may name is checked when it is made (access/app_bases.h); they may be gone when it runs.
 */
#ifndef DASHBOX_SERVICE_APP_RETRIEVE_H
#define DASHBOX_SERVICE_APP_RETRIEVE_H

#include "contract/request.h"

struct app_found {
    str    text, title, document, document_name;
    double score;
};

struct app_retrieval {
    const str *bases; /* of the request's workspace */
    size_t     base_count;
    str        query;
    size_t     top; /* so many at most, the best first */
};

/* REF: E234: they cannot be asked; the fault's detail says why. What is found is in the request's memory. */
SUSPENDS enum err app_retrieve(struct request *rq, const struct app_retrieval *q, struct app_found **ret,
                               size_t *ret_count);

#endif
