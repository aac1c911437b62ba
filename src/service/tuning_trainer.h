/* tuning_trainer.h - the command that trains (the option tuning.trainer): given the job, heard, stopped.
 *
 * It finds the job as JSON on its standard input, also as DATA/tuning/JOB/job.json, and the files beside it, which are its own. Each line
 * of its output is a line of the job's log. One that is a JSON object can say more:
 *
 *   {"progress":0.25,"message":"…"}     how far it is, and whatever a person wants to know
 *   {"checkpoint":"checkpoint-20"}      one more can be published; with "model" what an engine calls it
 *   {"model":"…"}                       what an engine calls the result: calls go there instead of to the base model's
 *   {"tokens":12345}                    that it has trained on, in place of our own count
 *   {"error":"…"}                       why it is about to fail
 *
 * Status 0 is success. A job that is cancelled, and a server that stops, send SIGTERM, and SIGKILL after the grace.
 *
 * Thread: a fiber of the runner's loop. Limits: LOG_MAX lines of a log; 4 KiB a line (loop/process.h).
 */
#ifndef DASHBOX_SERVICE_TUNING_TRAINER_H
#define DASHBOX_SERVICE_TUNING_TRAINER_H

#include "contract/fault.h"
#include "contract/json.h"
#include "service/services.h"
#include "store/tuning.h"

struct tuning_trainer {
    const str         *words; /* of the command */
    size_t             word_count;
    int64_t            grace_ms;
    struct loop       *loop;
    struct services   *services;
    struct arena      *arena;
    struct tuning_job *job;  /* `served` and `usage` are out as well */
    yyjson_val        *body; /* of the job */
    int64_t            samples, steps;
    struct fault      *fault;
    void (*line)(void *arg, str text);
    void (*checkpoint)(void *arg, str name, str served);
    SUSPENDS enum err (*flush)(void *arg); /* writes both; an error stops the trainer */
    void *arg;
};

/* Until it has ended. D032; or what flush() or the wait gave. */
SUSPENDS enum err tuning_train(struct tuning_trainer *t);

/* Removes what a job has left in its folder; of all jobs when `job` is empty. */
SUSPENDS void tuning_folder_remove(struct services *s, str job);

#endif
