/* deployments.h - models that a workspace has deployed, as rows. Jobs for store_run().
 *
 *   PENDING ----> RUNNING or, with no capacity, STOPPED <----> UPDATING
 *                    '--- deleted ---> DELETING ---> gone
 *
 * Nothing runs behind a deployment: its state follows from its times and the service's clock, so it goes on whatever happens to the
 * process.
 */
#ifndef DASHBOX_STORE_DEPLOYMENTS_H
#define DASHBOX_STORE_DEPLOYMENTS_H

#include "base/arena.h"
#include "store/store.h"

/* A row; texts are in the arena of whoever asked. */
struct deployment {
    str     name; /* deployed_model: what calls name */
    str     workspace;
    str     model;       /* which has been deployed: of the catalogue, or one that came of a job */
    str     base;        /* of the catalogue */
    str     served;      /* what the engine calls it; empty: as the base */
    str     plan, title; /* as they were sent, or empty */
    str     spec;        /* further members of the answer, JSON with a comma before each */
    int64_t capacity;
    int64_t capacity_before; /* until it is ready; -1: it is new */
    int64_t rpm, tpm;        /* 0: none */
    int64_t create_ms, modified_ms;
    int64_t ready_ms; /* from then on with `capacity` */
    int64_t gone_ms;  /* 0: it stays */
};

/* The word of the wire. */
str deployment_status(const struct deployment *d, int64_t now_ms);
/* What calls can use now. */
int64_t deployment_ready_capacity(const struct deployment *d, int64_t now_ms);

/* ERR_EXISTS. */
struct deployment_create {
    struct deployment row;
};
enum err deployment_create_job(sqlite3 *db, void *deployment_create);

/* ERR_NOT_FOUND. */
struct deployment_get {
    struct arena     *arena;
    str               name, workspace;
    int64_t           now_ms;
    struct deployment row; /* out */
};
enum err deployment_get_job(sqlite3 *db, void *deployment_get);

/* The newest first. */
struct deployment_list {
    struct arena      *arena;
    str                workspace;
    int64_t            now_ms, offset, limit;
    struct deployment *rows; /* out */
    size_t             count;
    int64_t            total;
};
enum err deployment_list_job(sqlite3 *db, void *deployment_list);

/* ERR_NOT_FOUND; ERR_INVALID: it is being deleted. */
struct deployment_change {
    struct arena     *arena;
    str               name, workspace;
    int64_t           now_ms, ready_ms;
    int64_t           capacity, rpm, tpm; /* -1: stays */
    bool              deletes;            /* it is gone at ready_ms */
    struct deployment row;                /* out: as it is now */
};
enum err deployment_change_job(sqlite3 *db, void *deployment_change);

#endif
