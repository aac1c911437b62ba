/* embed_task.h - asynchronous text embedding: a file of lines becomes a file of vectors. Spec: platform.md §3.3. */
#ifndef DASHBOX_SERVICE_EMBED_TASK_H
#define DASHBOX_SERVICE_EMBED_TASK_H

#include "service/tasks.h"

/* The parameters, checked when the task is made as well as when it runs. */
struct embed_input;
enum err embed_task_read(struct request *rq, yyjson_val *body, struct embed_input *in, str *ret_url);

SUSPENDS enum err embed_task_run(struct task *t);

#endif
