/* app_body.h - from the body of a call of an application to an apps_input. Spec: platform.md §4.1. */
#ifndef DASHBOX_CONTRACT_APP_BODY_H
#define DASHBOX_CONTRACT_APP_BODY_H

#include "contract/apps.h"
#include "contract/request.h"

/* REF: E159, E050, E042, E021, D004. */
enum err app_read_body(struct request *rq, struct yyjson_val *root, struct apps_input *in);

/* The body of an OpenAI response. `ret_background` may be NULL. REF: D004. */
enum err app_read_response(struct request *rq, struct yyjson_val *root, struct apps_input *in, bool *ret_background);

/* One message of a conversation: a text, or items of text and images. */
enum err app_read_message(struct request *rq, struct yyjson_val *v, struct chat_message *ret);

#endif
