/* usage.h - what was used, by day, month, model, key, or workspace. The table is filled by access/ledger.c. */
#ifndef DASHBOX_ACCESS_USAGE_H
#define DASHBOX_ACCESS_USAGE_H

#include "base/arena.h"
#include "base/buf.h"
#include "store/store.h"

#define USAGE_BYS(X)                   \
    X(USAGE_BY_DAY, "day")             \
    X(USAGE_BY_MONTH, "month")         \
    X(USAGE_BY_MODEL, "model")         \
    X(USAGE_BY_KEY, "key")             \
    X(USAGE_BY_WORKSPACE, "workspace") \
    X(USAGE_BY_TOTAL, "total")

#define USAGE_BY_ENUM(name, text) name,
enum usage_by { USAGE_BYS(USAGE_BY_ENUM) };
#undef USAGE_BY_ENUM

bool usage_by_parse(str word, enum usage_by *ret);
str  usage_by_name(enum usage_by by);

struct usage_row {
    str     group; /* "2026-11-24", "2026-11", a name; "total" */
    int64_t requests, prompt_tokens, completion_tokens, reasoning_tokens, cached_tokens, free_tokens;
    int64_t cost;      /* what was billed, millionths */
    int64_t list_cost; /* what it would have cost without free quota, and with billing on */
};

struct usage_query {
    struct arena     *arena;
    enum usage_by     by;                    /* days and months are of UTC */
    int64_t           since_ms, until_ms;    /* to the minute; 0: without end. `until` is not part of it */
    str               workspace, key, model; /* only these; empty: all */
    struct usage_row *rows;                  /* out, in the order of `group` */
    size_t            row_count;
};

/* A job for store_run() or store_run_here(). */
enum err usage_query_job(sqlite3 *db, void *usage_query);

/* The row as JSON: {"group":…,"requests":…,…,"cost":"0.0048","list_cost":"0.0048"}. Money is text, that no reader rounds
 * it. */
void usage_add(struct buf *b, const struct usage_row *r);

#endif
