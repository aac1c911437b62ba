/* tasks.h - asynchronous tasks: made by a call, run later by a fiber, asked after until they are forgotten.
 *
 * A surface checks a call as far as it can be checked without running it, and makes a task of its body: task_create(). Each
 * worker has a runner: a fiber that claims tasks from the store (store/tasks.h) as there is room, starts a fiber for each,
 * and keeps their leases alive. The kind's function runs on that fiber like any service, with a request made up for it.
 *
 *      creating call --> PENDING in the store --> claimed by some runner --> kind's run() --> its end and its charge, in one
 *                                                                                             transaction
 *
 * What run() does may happen more than once, when a process dies in it; its end happens once. A runner that loses a lease
 * cancels the fiber. A stop of the server cancels them all and gives the tasks back, for the next start.
 *
 * Thread: a runner is its loop's.
 */
#ifndef DASHBOX_SERVICE_TASKS_H
#define DASHBOX_SERVICE_TASKS_H

#include "access/account.h"
#include "access/admission.h"
#include "contract/json.h"
#include "service/services.h"
#include "store/tasks.h"

/* A run, as the kind sees it. */
struct task {
    const struct task_row *row;
    yyjson_val            *body; /* of the creating call */
    /* With arena, services, settings, account, workspace, model_name, id and fault; nothing of HTTP. A refusal is recorded
     * in its fault, what was used in its usage. */
    struct request *rq;
    struct buf      output;                   /* out: members of the output, ,"url":… with a comma before each */
    str             usage;                    /* out: a JSON object, or empty */
    int64_t         total, succeeded, failed; /* out: of task_metrics; total 0: the kind has none */
};

struct task_kind {
    str name; /* in the store: never changed */
    /* OK: SUCCEEDED. ERR_FAULT: FAILED, with the fault's code and sentence. ERR_CANCELLED: as long as nobody else has it, it
     * is run again. */
    SUSPENDS enum err (*run)(struct task *t);
};

/* All kinds there are: a new one is a line there (service/task_kinds.c). */
extern const struct task_kind task_kinds[];
extern const size_t           task_kind_count;

/* Whether the call asks for a task. */
bool task_wanted(const struct request *rq);

/* Makes one of the admitted call; committed when it returns. E202: too many of the model wait or run. */
SUSPENDS enum err task_create(struct request *rq, str kind, yyjson_val *body, char ret_id[UUID_LEN + 1]);

/* X106: it is not PENDING, or there is none. */
SUSPENDS enum err task_cancel(struct request *rq, str id);

/* What jobs of store/tasks.h need to know. */
struct task_terms task_terms_now(const struct request_settings *s, struct arena *a);

/* The signed URL of a file that the task has made (store/results.h). */
str task_result_url(const struct task *t, str name);

/* Until all tasks are forgotten, with their results. */
SUSPENDS enum err tasks_forget(struct request *rq);

/* ---- a worker's runner ---- */

struct task_runner_options {
    struct store        *store;
    struct account_view *accounts;
    struct access       *access;
    size_t               running_max;
    int64_t              lease_ms;
    int64_t lost_max; /* so often a run may be lost with its process, before the task is taken for the reason */
    const struct task_kind *kinds; /* task_kinds */
    size_t                  kind_count;
    bool                    sweeps; /* it also forgets what is old, and counts what there is: one worker does */
    /* The newest configuration's services, until they are given back. */
    struct services *(*hold)(void *arg, const struct request_settings **ret_settings);
    void (*release)(void *arg, struct services *s);
    void *arg;
};

struct task_counts {
    int64_t created, succeeded, failed, canceled; /* by this worker */
    int64_t pending, running;                     /* in the store; of the runner that sweeps */
};

struct task_runner *task_runner_open(struct loop *l, const struct task_runner_options *o);
/* Claims from now on. */
void                      task_runner_start(struct task_runner *r);
const struct task_counts *task_runner_counts(const struct task_runner *r);
/* Cancels what runs; then(arg) when nothing does any more. Once. Also for one that was never started. */
void task_runner_stop(struct task_runner *r, void (*then)(void *arg), void *arg);
void task_runner_free(struct task_runner *r);

#endif
