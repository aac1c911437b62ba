/* metrics.h - counters a worker, summed for GET /metrics; their names are data/counters.txt. */
#ifndef DASHBOX_SERVER_METRICS_H
#define DASHBOX_SERVER_METRICS_H

#include "base/buf.h"
#include "server/counters.gen.h"

#include <stdatomic.h>

struct counter_row {
    str name, label, type, help;
};

extern const struct counter_row counter_rows[COUNTER_COUNT];

/* Written by one worker, read by any. */
struct counters {
    _Atomic int64_t at[COUNTER_COUNT];
};

static inline void counter_add(struct counters *c, enum counter which, int64_t n)
{
    /* one writer: no locked instruction is needed */
    int64_t now = atomic_load_explicit(&c->at[which], memory_order_relaxed);

    atomic_store_explicit(&c->at[which], now + n, memory_order_relaxed);
}

static inline void counter_set(struct counters *c, enum counter which, int64_t n)
{
    atomic_store_explicit(&c->at[which], n, memory_order_relaxed);
}

/* The text of Prometheus' exposition format (0.0.4), the sum over `all`. */
void metrics_write(struct buf *b, struct counters *const *all, size_t count);

#endif
