/* app.h - runs applications: an agent, which is a model with instructions and plug-ins, or a flow of nodes.
 *
 *      app_open()                                       app_run()
 *      which one, may it, is it published, how often,   its steps, each told to the sink; what it leaves is kept
 *      the session's turns                              (session, trace) before APP_EV_FINISH
 *
 * Each call of a model is a request of its own (request_part()), which is admitted, moderated and charged as any chat. What goes wrong
 * in a step is that step's documented error; what really happened is in the trace and the log.
 *
 * Memory: the request's. Limits: data/params/apps.txt, the options apps.*.
 * Spec:   platform.md §4.1-§4.6, §4.11.
 */
#ifndef DASHBOX_SERVICE_APP_H
#define DASHBOX_SERVICE_APP_H

#include "contract/app.h"
#include "contract/apps.h"
#include "contract/request.h"

struct app_run;

/* Looks the application up for the request's workspace. REF: E143, E194, E204, E050, E174. Nothing has been sent yet when it refuses. */
SUSPENDS enum err app_open(struct request *rq, struct apps_input *in, struct app_run **ret);

/* Whether there is such an application for the request, published. REF: E143, E194. */
SUSPENDS enum err app_check(struct request *rq, struct apps_input *in);

enum app_kind            app_run_kind(const struct app_run *run);
const struct app_answer *app_run_answer(const struct app_run *run);

/* Runs it to its end. Once. */
SUSPENDS enum err app_run(struct app_run *run, const struct app_sink *sink);

#endif
