/* rates_redis.h - a worker's connection to the Valkey or Redis server that holds the limits; for rates.c alone.
 *
 * One connection a worker, used by all its fibers at once: questions are sent as they come and answered in order. A server
 * that does not answer in time is away: from then on questions fail at once, until a new connection has been answered.
 */
#ifndef DASHBOX_ACCESS_RATES_REDIS_H
#define DASHBOX_ACCESS_RATES_REDIS_H

#include "base/arena.h"
#include "base/err.h"
#include "loop/stream.h"

/* redis://[[user]:password@]host[:port][/db], unix:/path[?db=N]; the texts are in the arena. */
struct redis_server {
    struct address address;
    bool           fixed; /* `address` is set: else `host` is looked up */
    str            host, user, password;
    uint16_t       port;
    int64_t        db;
    int64_t        timeout_us;
    const char    *away; /* what happens while it is away, for the log */
};
bool redis_server_parse(struct arena *a, str url, struct redis_server *ret);

struct redis;

/* On the loop's thread. `server` outlives it. */
struct redis *redis_open(const struct redis_server *server, struct loop *l);
/* A question under way gets no answer. Frees itself. */
void redis_close(struct redis *r);
/* Whether a question now would be sent. */
bool redis_is_ready(const struct redis *r);

#define REDIS_ARGS_MAX 128

/* Runs rates.lua with the arguments of EVAL from the number of keys on, and gives the `max` numbers that it returns.
 * ERR_UNREACHABLE whatever went wrong. Not cut short when the fiber is cancelled: an answer takes `timeout_us` at most. */
SUSPENDS enum err redis_run(struct redis *r, const str *args, size_t count, int64_t *ret, size_t max);

#endif
