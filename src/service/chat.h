/* chat.h - text chat: what is asked is checked against the model, run by an engine, and counted.
 *
 * A surface reads messages, has them checked, reads parameters, calls chat_open(), and then chat_next() until ERR_EOF.
 */
#ifndef DASHBOX_SERVICE_CHAT_H
#define DASHBOX_SERVICE_CHAT_H

#include "contract/chat.h"
#include "contract/request.h"
#include "loop/fiber.h"

struct chat_run;

/* The order of messages, before the parameters are read. */
enum err chat_check_messages(struct request *rq, const struct chat_input *in);

/* Checks everything else that is known before an engine is asked: stream and thinking rules, what the model can do, the
 * length of the prompt. Then waits until the answer begins, or is refused. */
SUSPENDS enum err chat_open(struct request *rq, struct chat_input *in, struct chat_run **ret);

/* What the prompt comes to, in in->prompt_tokens, for a conversation that is not run. */
SUSPENDS enum err chat_count(struct request *rq, struct chat_input *in);

/* Until the next event: text, reasoning, tool calls, and a finish for each choice. ERR_EOF after the last. Keeps
 * rq->usage up to date, so that it holds for all events given so far. */
SUSPENDS enum err chat_next(struct chat_run *run, struct chat_event *ret);

/* True when chat_next() would not wait for the engine. It may still suspend to count a long text. */
bool chat_ready(const struct chat_run *run);

/* How many choices the answer has. */
unsigned chat_choices(const struct chat_input *in);

#endif
