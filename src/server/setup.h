/* setup.h - what a configuration becomes: `shared`, one for all workers, and a `setup` of it for each.
 *
 * A request keeps the setup that it began with; after a reload the old one goes when its last request has ended, and the
 * shared one with the last setup.
 */
#ifndef DASHBOX_SERVER_SETUP_H
#define DASHBOX_SERVER_SETUP_H

#include "engine/upstream/upstream.h"
#include "server/config.h"
#include "server/logging.h"
#include "server/metrics.h"
#include "service/services.h"

#include <stdatomic.h>

struct moderation_set;
struct tapes;
struct tls_context;
struct worker;

struct shared {
    struct config          *config;
    struct engine          *standin; /* has no state of a loop: one for all */
    struct arena            arena;   /* the stand-in's */
    struct tls_context     *tls;
    struct moderation_set  *rules; /* of the configuration; NULL: none */
    struct tapes           *tapes; /* of the upstreams' exchanges, recorded or replayed; NULL: neither */
    struct request_settings settings;
    struct logging          logging;
    atomic_uint             refs;
};

/* Reads scenario and certificate. `before` is the configuration that this one replaces, NULL at the start. ERR_INVALID:
 * *ret_problem is a line for the operator, in `a`. The configuration belongs to
 * it from here on, and is freed on failure. */
enum err       shared_open(struct config *c, const struct tokenizer *t, const struct shared *before, struct arena *a,
                           struct shared **ret, str *ret_problem);
struct shared *shared_ref(struct shared *s);
void           shared_unref(struct shared *s); /* NULL is nothing */

struct engine_series {
    struct series *engine, **upstreams; /* as in config_engine->endpoints */
};

struct setup {
    struct worker        *worker;
    struct shared        *shared;
    struct services       services;
    struct engine       **engines; /* as in config->engines */
    struct engine_series *series;  /* likewise */
    struct series        *standin_series;
    size_t                requests; /* that hold it */
    bool                  retired;
};

/* On the worker's loop, or before it runs. A failure is in the log. */
enum err setup_open(struct worker *w, struct shared *shared, struct setup **ret);
/* Once the process has a store: what its requests need of it. */
void setup_attach(struct setup *s);
/* Goes when no request holds it. */
void setup_retire(struct setup *s);
void setup_hold(struct setup *s);
void setup_release(struct setup *s);

/* The counters of the engine of that name. */
struct series *setup_series(const struct setup *s, str engine);

/* How an engine's upstreams are, as this worker sees them. */
void setup_engine_state(const struct setup *s, size_t engine, struct upstream_state *ret);
/* Writes which upstreams are up to the worker's series. */
void setup_publish(const struct setup *s);

#endif
