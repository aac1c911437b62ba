/* ws.h - handlers of data/routes: GET requests that become WebSockets. */
#ifndef DASHBOX_API_WS_WS_H
#define DASHBOX_API_WS_WS_H

#include "contract/request.h"
#include "loop/fiber.h"

SUSPENDS enum err handle_ws_inference(struct request *rq);
SUSPENDS enum err handle_ws_realtime(struct request *rq);

#endif
