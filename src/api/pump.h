/* pump.h - takes the events of a chat answer from the service to a surface. */
#ifndef DASHBOX_API_PUMP_H
#define DASHBOX_API_PUMP_H

#include "api/gather.h"
#include "service/chat.h"

/* Until all events have been gathered: OK, or why they ended too early. */
SUSPENDS enum err pump_whole(struct gathered *all, struct chat_run *run);

/* Begins a stream with the first event, then calls send(arg, event) for each and flushes when the engine has no more at
 * hand. ERR_EOF after the last, ERR_FAULT when the engine broke off: the surface adds its last frame and ends the stream.
 * When the answer was refused before its first event nothing has begun (http_begun()). */
SUSPENDS enum err pump_stream(struct request *rq, struct chat_run                        *run,
                              void (*send)(void *arg, const struct chat_event *ev), void *arg);

#endif
