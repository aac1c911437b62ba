/* assistants.h - assistants, threads, messages and runs, as objects of the wire; and running a run.
 *
 * An object is made or changed from a body, stored, and given back as JSON without its request_id. All belong to a workspace.
 *
 *      queued --> in_progress ---> completed | failed | expired
 *        ^  |       |  '---> cancelling ---> cancelled
 *        |  '-----> | -----------------------^ (at once, from queued and requires_action)
 *        '-- requires_action ---> expired
 *
 * A thread has at most one run that has not ended. It goes on behind its call, whether or not its client stays, on a fiber that renews
 * its lease (store/assistants.h); one that has been cancelled notices within ASSISTANTS_LOOK_MS.
 * A run asks the model with the last messages of its thread, calls plug-ins by itself, and waits for its client where the model calls
 * a function. Spec: platform.md §4.12.
 */
#ifndef DASHBOX_SERVICE_ASSISTANTS_H
#define DASHBOX_SERVICE_ASSISTANTS_H

#include "contract/json.h"
#include "contract/request.h"

struct assistant_feed;

#define ASSISTANT_KIND S("assistant")
#define THREAD_KIND    S("thread")
#define MESSAGE_KIND   S("message")
#define RUN_KIND       S("run")
#define STEP_KIND      S("step")

/* Each makes one and stores it; `body` may be NULL where nothing is needed. *ret is the object. */
SUSPENDS enum err assistant_create(struct request *rq, yyjson_val *body, str *ret);
SUSPENDS enum err thread_create(struct request *rq, yyjson_val *body, str *ret_id, str *ret);
SUSPENDS enum err message_create(struct request *rq, str thread, yyjson_val *body, str *ret);
/* It is queued, and not run. REF: W640, as of a message. */
SUSPENDS enum err run_create(struct request *rq, str thread, yyjson_val *body, str *ret_id, str *ret);

/* The object; E201. */
SUSPENDS enum err assistant_object_get(struct request *rq, str kind, str owner, str id, str *ret);
/* What the body names is changed: all that create takes of an assistant, metadata of the others. */
SUSPENDS enum err assistant_object_change(struct request *rq, str kind, str owner, str id, yyjson_val *body, str *ret);
SUSPENDS enum err assistant_object_delete(struct request *rq, str kind, str id);

/* A page, as the members of a list: "data", "first_id", "last_id", "has_more". */
struct assistant_page {
    str     after, before;
    bool    descending;
    int64_t limit;
};
SUSPENDS enum err assistant_objects_list(struct request *rq, str kind, str owner, const struct assistant_page *page,
                                         struct buf *b);

/* ---- runs ---- */

/* Runs a queued one until it ends or waits, and then ends the feed, which may be NULL. Its refusals are its own: they are in its object. */
SUSPENDS void run_go(struct request *rq, str thread, str id, struct assistant_feed *feed);

/* The outputs of all calls that it waits for; it is queued again. REF: W641. */
SUSPENDS enum err run_submit(struct request *rq, str thread, str id, yyjson_val *outputs, struct assistant_feed *feed,
                             str *ret);
/* One that is in progress is "cancelling" first; one that has ended stays as it is. */
SUSPENDS enum err run_cancel(struct request *rq, str thread, str id, str *ret);

#endif
