/* upgrade.c - the handshake. Spec: speech.md §1.1, RFC 6455 §4.2. */
#include "api/ws/upgrade.h"

#include "contract/errors.gen.h"
#include "net/http_server.h"

/* REF: E052. */
enum err upgrade_check(struct request *rq)
{
    const struct http_head *head = http_request(rq->x);

    if (!ws_wanted(head))
        return fail_url_model_mismatch(&rq->fault);
    if (ws_handshake_problem(head)) {
        (void)fail_url_model_mismatch(&rq->fault);
        return fault_detail(&rq->fault, str_from_cstr(ws_handshake_problem(head)));
    }
    return OK;
}

enum err upgrade(struct request *rq, struct ws_session *ws, size_t message_max)
{
    struct http_field fields[] = { { S("x-request-id"), str_of(rq->id, UUID_LEN) } };

    return ws_session_begin(ws, rq->x, message_max, fields, ARRAY_LEN(fields));
}
