/* tokens.c - POST /api/v1/tokens: a temporary key with the rights of the one that asks.
 *
 * Spec: access.md §1.4.
 */
#include "access/account.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/errors.gen.h"
#include "net/http_server.h"

/* The query's expire_in_seconds; false when it is no number in range. */
static bool read_life(struct request *rq, int64_t *ret)
{
    str     text;
    int64_t n = rq->settings->tokens.life_s;

    if (http_query_get(rq->x, S("expire_in_seconds"), &text) && !str_to_i64(text, &n))
        return false;
    *ret = n;
    return n >= 1 && n <= rq->settings->tokens.life_max_s;
}

enum err handle_native_tokens(struct request *rq)
{
    int64_t    life_s, expires_s;
    struct buf b;

    if (rq->key_is_temporary)                       /* "with a general key" */
        return fail_key_invalid_native(&rq->fault); /* REF: E186a */
    if (!read_life(rq, &life_s))
        return fail_token_life_range(&rq->fault, rq->settings->tokens.life_max_s); /* REF: W101 */
    expires_s = rq->arrived_ms / 1000 + life_s;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"token\":\""));
    buf_add(&b, account_token(rq->account, rq->key, expires_s, rq->arena));
    buf_addf(&b, "\",\"expires_at\":%lld}", (long long)expires_s);
    return reply_json(rq, buf_str(&b));
}
