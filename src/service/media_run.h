/* media_run.h - runs a call of an image, video or people service (contract/media_service.h): downloads and judges its files, has the
 * media engine make the results, and writes the output.
 *
 *      media_call_read() → media_run(): each file: download → look → the member's rules → … → render × n → keep → output, usage
 *
 * The same for a synchronous call and for a task, whose kind it is ("media").
 */
#ifndef DASHBOX_SERVICE_MEDIA_RUN_H
#define DASHBOX_SERVICE_MEDIA_RUN_H

#include "contract/media_service.h"
#include "service/tasks.h"

struct media_outcome {
    struct buf output; /* members, with a comma before each: ,"results":[…] */
    str        usage;  /* an object, or empty */
    int64_t    total, succeeded, failed;
};

/* Texts of the call that rules and the guard model judge. REF: E100b, E101, E177, E179. */
SUSPENDS enum err media_moderate(struct request *rq, const struct media_call *c);

/* `owner` and `base`: of the results (store/results.h). */
SUSPENDS enum err media_run(struct request *rq, const struct media_call *c, str owner, str base,
                            struct media_outcome *ret);

/* The task kind. */
SUSPENDS enum err media_task_run(struct task *t);

#endif
