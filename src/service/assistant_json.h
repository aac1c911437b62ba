/* assistant_json.h - what service/assistants.c and service/assistant_run.c share: objects in the store, and their JSON. */
#ifndef DASHBOX_SERVICE_ASSISTANT_JSON_H
#define DASHBOX_SERVICE_ASSISTANT_JSON_H

#include "contract/chat.h"
#include "service/assistants.h"
#include "store/assistants.h"

/* A member of an object, and what it is when nobody has said. */
struct assistant_field {
    const char *name, *absent; /* absent: JSON */
};

/* ,"name":value for each: the body's, else that of what was before, else the absent one. */
void assistant_add_fields(struct buf *b, const struct assistant_field *fields, size_t count, yyjson_val *body,
                          yyjson_val *before);

/* The object with these members in place of its own; values are JSON. */
str assistant_replace(struct arena *a, yyjson_val *object, const struct assistant_field *values, size_t count);

/* A message as an object. `said`: its "content", a string, and its "metadata"; NULL: none of it has come yet. `status`: of a run's. */
str assistant_message(struct request *rq, str id, str thread, str assistant, str run, str role, yyjson_val *said,
                      str status);
/* The content of a message. */
str assistant_content(struct arena *a, str text);

/* The functions among the tools of an assistant or run, behind what tools `in` has already. */
void assistant_functions(struct arena *a, yyjson_val *tools, struct chat_input *in);
/* Which of the tools of `in`, which has its model too, is to be called. REF: E030. */
enum err assistant_tool_choice(struct request *rq, yyjson_val *choice, struct chat_input *in);

/* A refusal as the last_error of a run. */
str assistant_error(struct request *rq, const struct fault *f);

/* "asst_" and a UUID. */
str     assistant_id(struct arena *a, const char *prefix);
int64_t assistant_now_ms(void);

/* Jobs, with what is wrong said. */
SUSPENDS enum err assistant_put(struct request *rq, const struct assistant_row *row); /* ERR_EXISTS is not said */
/* Ends the runs first that are due. E201. */
SUSPENDS enum err assistant_get(struct request *rq, struct assistant_get *g);
SUSPENDS enum err assistant_update(struct request *rq, struct assistant_update *u); /* ERR_NOT_FOUND is not said */

#endif
