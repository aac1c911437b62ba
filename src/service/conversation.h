/* conversation.h - responses and conversations: what is kept of them in the store, and found again.
 *
 * All belong to the request's workspace; those of another are not there. A response lives seven days, and as long as one that
 * follows it; what has ended is taken away a little at a time, whenever one is stored. A function that does not find
 * a response refuses with STORED_NOT_FOUND, one that does not find anything else with RESOURCE_NOT_FOUND. Texts it gives are in the request's arena.
 * Spec: chat.md §6.7.4, §6.8.
 */
#ifndef DASHBOX_SERVICE_CONVERSATION_H
#define DASHBOX_SERVICE_CONVERSATION_H

#include "contract/request.h"
#include "store/store.h"

struct stored_item {
    str  id, text; /* text: JSON */
    bool output;   /* of a response: it was the answer's */
};

struct stored_response {
    str     id, previous, model, body; /* body: JSON, as GET answers it */
    int64_t created_ms, expires_ms;
};

struct conversation {
    str     id, metadata; /* metadata: JSON */
    int64_t created_ms;
};

/* A part of a list: behind `after` (empty: from its beginning), at most `limit`, the newest first when `descending`. */
struct items_page {
    str     after;
    int64_t limit;
    bool    descending;
};

struct items_list {
    struct stored_item *items;
    size_t              count;
    bool                more;
};

/* What went before: the items of the conversation, or of the response and all before it, in their order. One of the two ids is
 * empty. When it is more than a model could read the oldest are left out. */
SUSPENDS enum err conversation_history(struct request *rq, str previous, str conversation, struct items_list *ret);
/* The item that another names by its id alone. */
SUSPENDS enum err conversation_reference(struct request *rq, str id, str *ret_text);

/* Keeps the response with its items, which are put behind those of the conversation too when there is one. It is durable when this
 * comes back. */
SUSPENDS enum err response_put(struct request *rq, const struct stored_response *r, str conversation,
                               const struct stored_item *items, size_t count);
SUSPENDS enum err response_get(struct request *rq, str id, struct stored_response *ret);
SUSPENDS enum err response_delete(struct request *rq, str id);
/* Its input, not its answer. */
SUSPENDS enum err response_items(struct request *rq, str id, const struct items_page *page, struct items_list *ret);

/* Fills in the id and the time. */
SUSPENDS enum err conversation_create(struct request *rq, struct conversation *c, const struct stored_item *items,
                                      size_t count);
SUSPENDS enum err conversation_get(struct request *rq, str id, struct conversation *ret);
SUSPENDS enum err conversation_set_metadata(struct request *rq, str id, str metadata);
SUSPENDS enum err conversation_delete(struct request *rq, str id);
SUSPENDS enum err conversation_add(struct request *rq, str id, const struct stored_item *items, size_t count);
SUSPENDS enum err conversation_items(struct request *rq, str id, const struct items_page *page, struct items_list *ret);
SUSPENDS enum err conversation_item(struct request *rq, str id, str item, struct stored_item *ret);
SUSPENDS enum err conversation_item_delete(struct request *rq, str id, str item);

/* Forgets all of them: those of all workspaces. */
SUSPENDS enum err conversation_reset(struct store *s);

#endif
