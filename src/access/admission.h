/* admission.h - the way of a request between a known model and its engine, and what it costs.
 *
 *      the surface knows the model            the prompt is counted            the answer is whole
 *      admit() ----------------------------> admit_prompt() ----------------> admit_charge()
 *        may it? in good standing?             does it fit the token            the ledger; strict: until it is
 *        free quota? room in the limits?       windows? is the text allowed?    durable
 *                                                                             the request ends, however
 *                                                                             admit_end(): what it held is given back
 *
 * The order is that of access.md §11, steps 6 to 12. Every refusal is a row of the error reference, with its real cause.
 */
#ifndef DASHBOX_ACCESS_ADMISSION_H
#define DASHBOX_ACCESS_ADMISSION_H

#include "access/ledger.h"
#include "access/moderation.h"
#include "access/rates.h"
#include "contract/request.h"

#include <stdatomic.h>

/* What a worker needs for it; all of it is the process's, but for the view and the log. */
struct access {
    struct rates_view *rates;
    struct quota      *quota;
    struct ledger     *ledger;
    struct ledger_log *log;
    _Atomic int64_t   *batch_calls; /* Batch Chat calls under way in the whole process */
};

/* Made by admit(), in the request's memory. */
struct admission {
    const struct model *model;
    struct rate_ticket  ticket;
    struct rate_state   rates;              /* for the headers of the answer */
    struct rate_ticket  plan;               /* of the windows of a subscription plan */
    bool                batch;              /* of Batch Chat */
    bool                on_route, in_batch; /* counted there */
    bool                charged;
    bool                made_task; /* it counts, though no engine has been asked yet */
    struct charge      *deferred;  /* out: what it costs, for whoever books it; NULL: it is booked here */
};

/* Steps 6 to 8, and 10 but for the prompt. Also strikes with a fault that was asked for (access/faults.h). */
SUSPENDS enum err admit(struct request *rq, const struct model *m);

/* The same for a line of a batch: steps 6 to 8 alone, since batches do not count for the limits of calls. What it costs is left in
 * `deferred`, whose model is NULL as long as it costs nothing. */
SUSPENDS enum err admit_line(struct request *rq, const struct model *m, struct charge *deferred);

/* The prompt's tokens, rq->usage.prompt_tokens: the rest of step 10. */
SUSPENDS enum err admit_prompt(struct request *rq);

/* Step 12 for one text of the input; step 14 for what an answer's stream found. */
enum err admit_text(struct request *rq, struct moderation_set *rules, str text);
/* Step 14 for a whole answer that no stream was looked at of. */
enum err admit_answer(struct request *rq, struct moderation_set *rules, str text);
/* The same for the text in a picture, of either side. */
enum err admit_picture_text(struct request *rq, struct moderation_set *rules, unsigned side, str text);
enum err admit_refuse_text(struct request *rq, const struct moderation_verdict *v);
/* The rules that hold for the request's workspace; NULL: none. */
struct moderation_set *admit_rules(const struct request *rq);

/* The answer is whole, or as much of it as will ever be: rq->usage is booked, once. */
SUSPENDS enum err admit_charge(struct request *rq);

/* At the end of every request. Nothing to do for one that was never admitted. */
SUSPENDS void admit_end(struct request *rq);

#endif
