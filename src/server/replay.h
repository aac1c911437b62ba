/* replay.h - what the option `replay` makes of a configuration: no engine needs its server, its child, or its key.
 *
 * An engine that is configured stays, with its models, endpoints and fallback. Without any, the engines are those that the
 * recordings name, and each model goes to the engine that was recorded for it; a model that nobody has recorded goes to the
 * first of them, so that its absence is an error and not an answer of the stand-in.
 */
#ifndef DASHBOX_SERVER_REPLAY_H
#define DASHBOX_SERVER_REPLAY_H

#include "server/config.h"

/* ERR_INVALID as config_finish(). */
enum err replay_engines(struct config *c, str *ret_problem);

#endif
