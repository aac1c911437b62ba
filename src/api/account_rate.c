/* account_rate.c - rates of functions of the account. Spec: access.md §7; platform.md §1.2, §2.1. */
#include "api/account_rate.h"

#include "access/admission.h"
#include "base/clock.h"
#include "contract/errors.gen.h"

enum err account_rate_admit(struct request *rq, str function, int64_t calls, int64_t window_ms)
{
    struct rate_limits limits = { .requests = { { calls, window_ms } }, .request_windows = 1 };
    struct rate_claim  claim = { .subject = S(":account"), .model = function, .limits = &limits };
    struct rate_ticket ticket = { 0 };
    struct rate_state  state;
    enum err           e;

    might_suspend();
    if (!rq->settings->limits.catalog)
        return OK;
    e = rates_admit(rq->access->rates, &claim, 1, clock_unix_ms(), &ticket, &state);
    if (e == ERR_LIMIT)
        return rq->surface == SURFACE_OPENAI ? fail_request_rate_openai(&rq->fault)  /* REF: E204a */
                                             : fail_request_rate_native(&rq->fault); /* REF: E204b */
    if (e == ERR_UNREACHABLE)
        return fail_throttled(&rq->fault); /* REF: E202 */
    if (!e)
        rates_settle(rq->access->rates, &ticket, 0, clock_unix_ms());
    return e;
}
