/* task_events.h - tells a URL of the operator's of the ends of tasks, as the cloud's event bus does. Spec: media.md §1.8.
 *
 * An event is the column of a task that has ended, written in the same transaction as its end (store/tasks.h). It stays until the
 * URL has answered 2xx: so none is lost, whatever is killed when, and one may come twice; its id, the task's, is then the same. What
 * fails is tried again after 1 s, 2 s, 4 s, … 5 min, until the task is forgotten. Several servers on one folder share them.
 */
#ifndef DASHBOX_SERVICE_TASK_EVENTS_H
#define DASHBOX_SERVICE_TASK_EVENTS_H

#include "contract/request.h"
#include "net/http_client.h"
#include "service/services.h"
#include "store/tasks.h"

/* All that are due, one after the other; it ends when nothing is, when the URL does not answer, and when the fiber is cancelled. */
SUSPENDS void task_events_tell(const struct services *s, const struct request_settings *settings);

/* http://HOST[:PORT][/PATH][?QUERY], or https: false for what is none. The target is path and query, of the URL or in the arena. */
bool task_events_url_read(str url, struct arena *a, struct http_origin *ret, str *ret_target);

/* The event, JSON. */
str task_event_text(const struct task_row *t, const struct request_settings *s, int64_t now_ms, struct arena *a);

#endif
