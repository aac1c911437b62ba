/* tuning.h - fine-tuning as rows: jobs, their logs and checkpoints, and the models that came of them. Jobs for store_run().
 *
 *   PENDING -- claim, or QUEUING while there is no room --> RUNNING -- end --> SUCCEEDED | FAILED
 *      |                                                       | cancel
 *      | cancel                                                v
 *      '------------------------> CANCELED <-- end -------- CANCELING
 *
 * As with tasks (store/tasks.h): whoever claims a job has it under a lease that he renews, and what he writes counts only while the
 * claim is his. A run that was lost with its process is run again by the next to claim it. Nothing is forgotten by itself.
 *
 * Times of the wire are the service's clock, leases the machine's.
 */
#ifndef DASHBOX_STORE_TUNING_H
#define DASHBOX_STORE_TUNING_H

#include "base/arena.h"
#include "store/store.h"

/* The words of the wire. */
#define TUNING_PENDING   S("PENDING")
#define TUNING_QUEUING   S("QUEUING")
#define TUNING_RUNNING   S("RUNNING")
#define TUNING_SUCCEEDED S("SUCCEEDED")
#define TUNING_FAILED    S("FAILED")
#define TUNING_CANCELING S("CANCELING")
#define TUNING_CANCELED  S("CANCELED")

/* A row; texts are in the arena of whoever asked. */
struct tuning_job {
    str     id, workspace, key, name;
    str     model;  /* as asked for: of the catalogue, or one that came of an earlier job */
    str     base;   /* of the catalogue */
    str     type;   /* training_type, or empty */
    str     body;   /* {"training_file_ids":…,"validation_file_ids":…,"hyper_parameters":…} as they were sent */
    str     output; /* the name of the model that will come of it */
    str     served; /* what the engine calls that; empty: it is the base's alias */
    str     status, code, message;
    int64_t create_ms, start_ms, end_ms; /* 0: not yet */
    int64_t usage;                       /* tokens that it has trained on */
    int64_t claim;                       /* number of its claims that were not given back */
};

bool tuning_has_ended(str status);

/* ERR_EXISTS: there is, or will be, a model of the name of its output. ERR_LIMIT: `over_unfinished` says which of the two. */
struct tuning_create {
    struct tuning_job row;
    int64_t           unfinished_max;  /* not ended, of the workspace; 0: any number, as below */
    int64_t           kept_max;        /* not ended, or succeeded */
    bool              over_unfinished; /* out */
};
enum err tuning_create_job(sqlite3 *db, void *tuning_create);

/* ERR_NOT_FOUND. */
struct tuning_get {
    struct arena     *arena;
    str               id, workspace;
    struct tuning_job row; /* out */
};
enum err tuning_get_job(sqlite3 *db, void *tuning_get);

/* Newest first; an empty model is any. */
struct tuning_list {
    struct arena      *arena;
    str                workspace, model;
    int64_t            offset, limit;
    struct tuning_job *rows; /* out */
    size_t             count;
    int64_t            total;
};
enum err tuning_list_job(sqlite3 *db, void *tuning_list);

/* ERR_NOT_FOUND; ERR_INVALID: it has ended. */
struct tuning_cancel {
    str     id, workspace;
    int64_t now_ms;
    str     last; /* line of the log, of one that nobody runs */
};
enum err tuning_cancel_job(sqlite3 *db, void *tuning_cancel);

/* With its logs and checkpoints; the model that came of it stays. ERR_NOT_FOUND; ERR_INVALID: it has not ended. */
struct tuning_delete {
    str id, workspace;
};
enum err tuning_delete_job(sqlite3 *db, void *tuning_delete);

/* Lines of its log from `offset`. ERR_NOT_FOUND. */
struct tuning_line {
    int64_t at_ms;
    str     text;
};
struct tuning_logs {
    struct arena       *arena;
    str                 id, workspace;
    int64_t             offset, limit;
    struct tuning_line *lines; /* out */
    size_t              count;
    int64_t             total;
    bool                ended; /* out: there will be no more */
};
enum err tuning_logs_job(sqlite3 *db, void *tuning_logs);

/* ---- checkpoints, and models ---- */

struct tuning_checkpoint {
    str     name;  /* "checkpoint-20" */
    str     model; /* under which it has been published; empty: it has not */
    str     served;
    int64_t create_ms;
};

/* In the order in which they were made. ERR_NOT_FOUND: there is no such job. */
struct tuning_checkpoints {
    struct arena             *arena;
    str                       id, workspace;
    struct tuning_checkpoint *rows; /* out */
    size_t                    count;
};
enum err tuning_checkpoints_job(sqlite3 *db, void *tuning_checkpoints);

/* Publishes one as a model. ERR_NOT_FOUND; ERR_EXISTS: there is a model of that name already. */
struct tuning_export {
    str     id, workspace, checkpoint, model;
    int64_t now_ms;
};
enum err tuning_export_job(sqlite3 *db, void *tuning_export);

/* A model that came of a job. ERR_NOT_FOUND. */
struct tuning_model {
    str     name, workspace, base, served, job;
    int64_t create_ms;
};
struct tuning_model_get {
    struct arena       *arena;
    str                 name, workspace;
    struct tuning_model row; /* out */
};
enum err tuning_model_job(sqlite3 *db, void *tuning_model_get);

/* All of a workspace, the newest first. */
struct tuning_models {
    struct arena        *arena;
    str                  workspace;
    int64_t              offset, limit;
    struct tuning_model *rows; /* out */
    size_t               count;
    int64_t              total;
};
enum err tuning_models_job(sqlite3 *db, void *tuning_models);

/* ---- running ---- */

/* As many as there is room for: first those whose lease has lapsed, then the oldest. What is left over is QUEUING. */
struct tuning_claim {
    struct arena      *arena;
    str                owner;
    int64_t            now_ms, machine_ms, lease_ms;
    size_t             room;
    struct tuning_job *rows; /* out */
    size_t             count;
};
enum err tuning_claim_job(sqlite3 *db, void *tuning_claim);

/* Renews leases, and tells of what is to stop. */
struct tuning_held {
    str     id;
    int64_t claim;
    bool    lost, canceling; /* out */
};
struct tuning_beat {
    str                 owner;
    int64_t             lease_until_ms;
    struct tuning_held *held;
    size_t              count;
};
enum err tuning_beat_job(sqlite3 *db, void *tuning_beat);

/* What a run has to say: lines of the log, checkpoints. ERR_NOT_FOUND: it is somebody else's. */
struct tuning_note {
    str                             owner, id;
    int64_t                         claim;
    const struct tuning_line       *lines;
    size_t                          line_count;
    const struct tuning_checkpoint *checkpoints;
    size_t                          checkpoint_count;
};
enum err tuning_note_job(sqlite3 *db, void *tuning_note);

/* Its end, with its last lines; SUCCEEDED makes the model, if it is one. The row has id, claim, status, end_ms, usage, code, message, served.
 * ERR_NOT_FOUND: it is somebody else's. */
struct tuning_end {
    struct tuning_job  row;
    struct tuning_note note;
    bool               makes_model;
};
enum err tuning_end_job(sqlite3 *db, void *tuning_end);

/* Gives it back, to be run again. */
struct tuning_release {
    str     owner, id;
    int64_t claim;
};
enum err tuning_release_job(sqlite3 *db, void *tuning_release);

/* Forgets all jobs, models and deployments. */
enum err tuning_reset_job(sqlite3 *db, void *unused);

#endif
