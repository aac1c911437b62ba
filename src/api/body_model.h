/* body_model.h - the model that a body names: what is known before anything else of it is looked at. */
#ifndef DASHBOX_API_BODY_MODEL_H
#define DASHBOX_API_BODY_MODEL_H

#include "contract/json.h"
#include "contract/model.h"
#include "contract/request.h"

/* Each sets rq->model_name, and refuses in its protocol's words a model that is missing, unknown, retired, or not of that
 * path. */
SUSPENDS enum err body_model_native(struct request *rq, yyjson_val *root, enum model_path path,
                                    const struct model **ret);
enum err          body_model_socket(struct request *rq, str name, enum model_path path, const struct model **ret);
enum err body_model_openai(struct request *rq, yyjson_val *root, enum model_path path, const struct model **ret);
enum err body_model_anthropic(struct request *rq, yyjson_val *root, const struct model **ret);

#endif
