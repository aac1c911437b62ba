/* exchange.h - a request to an upstream and its answer: from the upstream, from it and kept (tapes.h), or from a recording.
 *
 * It stands between an engine and the HTTP client, with the client's own functions (net/http_client.h), so that what reads
 * answers is the same code for all three.
 */
#ifndef DASHBOX_ENGINE_RECORD_EXCHANGE_H
#define DASHBOX_ENGINE_RECORD_EXCHANGE_H

#include "contract/request.h"
#include "engine/record/tapes.h"
#include "net/http_client.h"

/* What a recording says of who asked. */
struct exchange_asker {
    str  engine;
    str  path;  /* behind the upstream's base: recordings of one upstream fit another */
    bool cloud; /* the engine's option */
};

struct exchange {
    struct request     *rq;
    struct tapes       *tapes; /* NULL: neither kept nor replayed */
    struct http_client *client;
    struct taping      *taping;  /* being kept */
    struct playing     *playing; /* being replayed */
};

/* As http_client_open(). A request that has no recording is ERR_FAULT (D010). */
SUSPENDS enum err exchange_open(struct exchange *x, struct tapes *t, struct http_pool *p, struct request *rq,
                                const struct exchange_asker *asker, const struct http_client_request *hr);
bool              exchange_is_open(const struct exchange *x);

const struct http_head *exchange_head(const struct exchange *x);
SUSPENDS enum err       exchange_next(struct exchange *x, str *ret);
bool                    exchange_ready(const struct exchange *x);
SUSPENDS enum err       exchange_body(struct exchange *x, size_t max, char **ret, size_t *ret_len);

/* What has come by then is what is kept. An exchange whose request is given up in the middle is not kept. */
void exchange_close(struct exchange *x);
void exchange_leave(struct exchange *x);

#endif
