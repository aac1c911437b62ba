/* deployments.h - models that a workspace has deployed, and what answers calls that name them.
 *
 * A deployment is answered by its base model: with that one's abilities and prices, by the engine that has it, or, when a trainer has said
 * what an engine calls the result, by that engine under that name. Calls name it on the native protocol alone.
 *
 * Spec: platform.md §6.4; doc/fine-tuning.md.
 */
#ifndef DASHBOX_SERVICE_DEPLOYMENTS_H
#define DASHBOX_SERVICE_DEPLOYMENTS_H

#include "contract/json.h"
#include "contract/model.h"
#include "contract/request.h"
#include "store/deployments.h"

/* REF: E039, W624, W625, W626. */
SUSPENDS enum err deployment_create(struct request *rq, yyjson_val *body, struct deployment *ret);

/* A new capacity: REF: E039, W624, W626, E178. */
SUSPENDS enum err deployment_scale(struct request *rq, str name, yyjson_val *body, struct deployment *ret);
/* New limits: REF: E039, W624, E178. */
SUSPENDS enum err deployment_update(struct request *rq, str name, yyjson_val *body, struct deployment *ret);
/* REF: W624, E178. */
SUSPENDS enum err deployment_delete(struct request *rq, str name, struct deployment *ret);
/* REF: W624. */
SUSPENDS enum err deployment_find(struct request *rq, str name, struct deployment *ret);

/* The model that a call names which the catalogue does not have, in the request's arena. ERR_NOT_FOUND: it is no deployment. REF: E236: it
 * does not run. */
SUSPENDS enum err deployment_model(struct request *rq, str name, const struct model **ret);

#endif
