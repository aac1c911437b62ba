/* request_line.h - one line a request in the log, when it has ended. */
#ifndef DASHBOX_SERVER_REQUEST_LINE_H
#define DASHBOX_SERVER_REQUEST_LINE_H

#include "contract/request.h"
#include "server/logging.h"

/* `status` 0: the client has gone, or with rq->cut_off the server; `e` is how the handler ended. */
void request_line(struct request *rq, const struct logging *l, int status, enum err e);

#endif
