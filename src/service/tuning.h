/* tuning.h - fine-tuning jobs: made by a call, run later by a fiber of the process's one runner.
 *
 *   create --> PENDING in the store --> claimed --> every line of its files checked, tokens counted --> trainer, or none --> its end
 *
 * With the option tuning.trainer a command trains: it gets the job as JSON, and what it writes becomes the job's log, its checkpoints
 * and its end. Without one nothing is trained, and the model that comes of the job is an alias of its base model, as the log says.
 *
 * A run that was lost with its process is done again. A stop of the server stops trainers and gives the jobs back.
 *
 * Thread: the runner is its loop's, but for tuning_wake(). Spec: platform.md §6.1–6.3; doc/fine-tuning.md.
 */
#ifndef DASHBOX_SERVICE_TUNING_H
#define DASHBOX_SERVICE_TUNING_H

#include "contract/json.h"
#include "contract/model.h"
#include "contract/request.h"
#include "contract/tuning.h"
#include "service/services.h"
#include "store/tuning.h"

/* Whether jobs can be made of it, and it can be deployed: what answers chats. */
bool tuning_can_train(const struct model *m);

/* Whether a person's portrait can be trained on pictures with it: jobs are made of it, and what comes of them is no model to deploy
 * but the id of a resource, which is known at once. */
bool tuning_is_portrait(const struct model *m);

/* Makes a job of a body. REF: E161, E031, E052, E059, E039, W621–W623. */
SUSPENDS enum err tuning_create(struct request *rq, yyjson_val *body, struct tuning_job *ret);

/* REF: E201; W620: it has ended. One that runs is CANCELING for a moment. */
SUSPENDS enum err tuning_cancel(struct request *rq, str id);
/* REF: E201; E178: it has not ended. */
SUSPENDS enum err tuning_delete(struct request *rq, str id);
/* All jobs, models and deployments. */
SUSPENDS enum err tuning_forget(struct request *rq);

/* There may be something to do: a job was made, or is to be cancelled. From any worker, while requests run. */
void tuning_wake(struct tuning_runner *r);

/* ---- the runner ---- */

struct tuning_runner_options {
    struct store *store;
    size_t        running_max;
    int64_t       lease_ms, lost_max;
    /* The newest configuration's services, until they are given back. */
    struct services *(*hold)(void *arg, const struct request_settings **ret_settings);
    void (*release)(void *arg, struct services *s);
    void *arg;
};

struct tuning_runner *tuning_runner_open(struct loop *l, const struct tuning_runner_options *o);
void                  tuning_runner_start(struct tuning_runner *r);
/* Stops trainers and gives their jobs back; then(arg). Once. Also for one that was never started. */
void tuning_runner_stop(struct tuning_runner *r, void (*then)(void *arg), void *arg);
void tuning_runner_free(struct tuning_runner *r);

#endif
