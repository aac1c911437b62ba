/* metrics.h - counters a worker, summed for GET /metrics; their names are data/counters.txt.
 *
 * Those of a fixed name stand in an array. Those by engine, upstream and model are series: made when they are first needed,
 * by the worker that owns the list, and kept as long as it. Other threads only read.
 */
#ifndef DASHBOX_SERVER_METRICS_H
#define DASHBOX_SERVER_METRICS_H

#include "base/buf.h"
#include "base/map.h"
#include "server/counters.gen.h"

#include <stdatomic.h>

struct counter_row {
    str name, label, type, help;
};

extern const struct counter_row counter_rows[COUNTER_COUNT];

enum series_by { BY_ENGINE, BY_UPSTREAM, BY_MODEL, BY_COUNT };

struct series_row {
    str            name, type, help;
    enum series_by by;
};

extern const struct series_row series_rows[SERIES_COUNT];

/* The most models that have a series of their own; the rest are "other". Engines and upstreams are the configuration's. */
#define SERIES_MODELS_MAX 256

struct series {
    struct series  *next; /* older than this one */
    enum series_by  by;
    str             label;
    atomic_bool     live; /* is shown */
    _Atomic int64_t at[SERIES_COUNT];
};

/* Written by one worker, read by any. */
struct counters {
    _Atomic int64_t          at[COUNTER_COUNT];
    _Atomic(struct series *) series; /* the newest */
    /* the writer's: */
    struct arena arena;
    struct map   by_label;
    size_t       model_count;
};

void counters_init(struct counters *c);
void counters_free(struct counters *c);

static inline void counter_bump(_Atomic int64_t *at, int64_t n)
{
    /* one writer: no locked instruction is needed */
    int64_t now = atomic_load_explicit(at, memory_order_relaxed);

    atomic_store_explicit(at, now + n, memory_order_relaxed);
}

static inline void counter_add(struct counters *c, enum counter which, int64_t n)
{
    counter_bump(&c->at[which], n);
}

static inline void counter_set(struct counters *c, enum counter which, int64_t n)
{
    atomic_store_explicit(&c->at[which], n, memory_order_relaxed);
}

/* The series of that name, made where it is missing; never NULL. An upstream's name is its engine's and its URL. */
struct series *series_of_engine(struct counters *c, str name);
struct series *series_of_upstream(struct counters *c, str engine, str url);
struct series *series_of_model(struct counters *c, str id);
/* None of that kind is shown until it is asked for again: the configuration has changed. */
void series_hide(struct counters *c, enum series_by by);

static inline void series_add(struct series *s, enum series_counter which, int64_t n)
{
    counter_bump(&s->at[which], n);
}

static inline void series_set(struct series *s, enum series_counter which, int64_t n)
{
    atomic_store_explicit(&s->at[which], n, memory_order_relaxed);
}

/* The text of Prometheus' exposition format (0.0.4), the sum over `all`. `a` is for what is needed meanwhile. */
void metrics_write(struct buf *b, struct counters *const *all, size_t count, struct arena *a);

#endif
