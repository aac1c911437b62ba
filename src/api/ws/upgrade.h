/* upgrade.h - from a GET to a WebSocket, once the caller is known. */
#ifndef DASHBOX_API_WS_UPGRADE_H
#define DASHBOX_API_WS_UPGRADE_H

#include "contract/request.h"
#include "net/ws_session.h"

/* Refuses what asks for no WebSocket, or wrongly (RFC 6455 §4.2.1). */
SUSPENDS enum err upgrade_check(struct request *rq);
/* 101. Messages of the client may have so many bytes. */
SUSPENDS enum err upgrade(struct request *rq, struct ws_session *ws, size_t message_max);

#endif
