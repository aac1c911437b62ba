/* app_retrieve.c - asks knowledge bases. This dashbox has none: what was defined with one, by another, fails. */
#include "service/app_retrieve.h"

#include "contract/errors.gen.h"

enum err app_retrieve(struct request *rq, const struct app_retrieval *q, struct app_found **ret, size_t *ret_count)
{
    might_suspend();
    *ret = NULL;
    *ret_count = 0;
    (void)fail_rag_retrieval_failed(&rq->fault); /* REF: E234 */
    return fault_detail(&rq->fault, arena_printf(rq->arena, "there is no knowledge base \"%.*s\"",
                                                 STR_ARG(q->base_count ? q->bases[0] : S(""))));
}
