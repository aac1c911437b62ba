/* reply.h - what all surfaces' answers have in common: header fields, and refusals in the surface's own form.
 *
 * Spec: chat.md §2.2, §8.1, §8.4; wire-forms.md §1-3, §7.
 */
#ifndef DASHBOX_API_REPLY_H
#define DASHBOX_API_REPLY_H

#include "contract/request.h"
#include "loop/fiber.h"

/* A whole answer of 200 with a JSON body. */
SUSPENDS enum err reply_json(struct request *rq, str body);

/* The same for what is managed beside the models: tasks (wire-forms.md §8). */
SUSPENDS enum err reply_json_managed(struct request *rq, str body);

/* A whole answer without a body. */
SUSPENDS enum err reply_empty(struct request *rq, int status);

/* The head of a stream of events; frames are then added to http_stream_buf(). */
void reply_stream_begin(struct request *rq, int status);

/* Answers with rq->fault, before anything has been sent. A native request for a stream (or a flat Anthropic one) gets it as the stream's
 * only event when `as_event` is set. */
SUSPENDS enum err reply_fault(struct request *rq, bool as_event);

/* The fault as the surface's body. */
str reply_fault_body(struct request *rq, const struct fault_view *v);

/* One native event: id, "result" or "error", the status in its comment; the caller adds the JSON and then two line ends. */
void reply_native_event(struct buf *b, int64_t id, str event, int status);

/* The whole event of a refusal. */
void reply_native_fault(struct request *rq, struct buf *b, int64_t id, const struct fault_view *v);

/* One event of the Anthropic-compatible protocol: its name; the caller adds the JSON and then two line ends. */
void reply_anthropic_event(struct request *rq, struct buf *b, str event);

/* The whole event of its refusal, rq->fault. */
void reply_anthropic_fault(struct request *rq, struct buf *b);

/* The last member of a body, and its end. */
void reply_add_request_id(struct buf *b, const struct request *rq);

#endif
