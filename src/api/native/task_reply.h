/* task_reply.h - what every surface of a service answers that has made a task. */
#ifndef DASHBOX_API_NATIVE_TASK_REPLY_H
#define DASHBOX_API_NATIVE_TASK_REPLY_H

#include "contract/request.h"
#include "loop/fiber.h"

/* {"output":{"task_status":"PENDING","task_id":…},"request_id":…} */
SUSPENDS enum err task_reply_created(struct request *rq, const char *id);

#endif
