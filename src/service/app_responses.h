/* app_responses.h - answers of applications that can be read again, and those that are made in the background.
 *
 *      queued ---> running ---> completed | failed
 *         '-----------'-------> cancelled
 *
 * A run in the background notices at its next event that it has been cancelled. One whose server was killed is told to have failed when
 * it has run longer than an application may. Kept for APPS_RESPONSE_LIFE_MS. Spec: platform.md §4.7.
 */
#ifndef DASHBOX_SERVICE_APP_RESPONSES_H
#define DASHBOX_SERVICE_APP_RESPONSES_H

#include "contract/request.h"

struct app_response {
    str     id, app, status, body; /* body: the object as it is answered */
    int64_t created_ms;
};

/* A new one. */
SUSPENDS enum err app_response_put(struct request *rq, const struct app_response *r);

/* Of the request's workspace and the application; STORED_NOT_FOUND. Fills in the rest. */
SUSPENDS enum err app_response_get(struct request *rq, struct app_response *r);

/* As get(); then it is cancelled, or says that it had ended: its object with that status. */
SUSPENDS enum err app_response_cancel(struct request *rq, struct app_response *r);

/* Only one that has ended. */
SUSPENDS enum err app_response_delete(struct request *rq, struct app_response *r);

/* ---- for a run in the background ---- */

/* ERR_CANCELLED: it has been, or is gone. */
SUSPENDS enum err app_response_begin(struct request *rq, str id, str body);
SUSPENDS enum err app_response_end(struct request *rq, str id, str status, str body);
/* Whether it goes on; the store is asked when *next_us has come, which then is later. */
SUSPENDS enum err app_response_watch(struct request *rq, str id, int64_t *next_us);

#endif
