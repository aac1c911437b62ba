/* batch_runner.h - runs batches: a fiber for each, with a few others that run its lines.
 *
 *      claimed ---> its file is looked through ---> its lines are run, their ends committed ---> its files are written
 *                      |                              |  many at once; what has its end is
 *                      '-> failed                     |  never run again (store/batches.h)
 *                                                     '-- cancelled, expired: what has not been run is told so
 *
 * Each worker has a runner. Lines are read ahead in pieces of a few megabytes, however large the file is. A runner that is killed leaves a
 * batch to the next that claims it, which reads which lines have their end, and goes on with the others.
 *
 * Thread: a runner is its loop's.
 */
#ifndef DASHBOX_SERVICE_BATCH_RUNNER_H
#define DASHBOX_SERVICE_BATCH_RUNNER_H

#include "access/account.h"
#include "access/admission.h"
#include "contract/json.h"
#include "service/services.h"

struct batch_runner;

struct batch_runner_options {
    struct store        *store;
    struct account_view *accounts;
    struct access       *access;
    size_t               running_max;  /* batches */
    size_t               requests_max; /* of a batch at once */
    int64_t              lease_ms;
    /* Answers a line as the endpoint `url` would, into *ret: the body of the answer. rq has the caller, but nothing of HTTP; what it costs
     * is left in `charge` (access/admission.h). */
    SUSPENDS enum err (*answer)(struct request *rq, str url, yyjson_val *body, struct charge *charge, struct buf *ret);
    /* The body of a refusal, rq->fault. */
    str (*refusal)(struct request *rq, const struct fault_view *v);
    /* The newest configuration's services, until they are given back. */
    struct services *(*hold)(void *arg, const struct request_settings **ret_settings);
    void (*release)(void *arg, struct services *s);
    void *arg;
};

struct batch_runner *batch_runner_open(struct loop *l, const struct batch_runner_options *o);
/* Claims from now on. */
void batch_runner_start(struct batch_runner *r);
/* There is a new one, or one is to be cancelled. */
void batch_runner_wake(struct batch_runner *r);
/* Lines that have come to their end, since the start. */
int64_t batch_runner_lines(const struct batch_runner *r);
/* Cancels what runs; then(arg) when nothing does any more. Once. Also for one that was never started. */
void batch_runner_stop(struct batch_runner *r, void (*then)(void *arg), void *arg);
void batch_runner_free(struct batch_runner *r);

#endif
