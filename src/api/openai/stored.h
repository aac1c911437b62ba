/* stored.h - paths, pages and lists of what is stored: responses and conversations. Spec: chat.md §6.7.4, §6.8. */
#ifndef DASHBOX_API_OPENAI_STORED_H
#define DASHBOX_API_OPENAI_STORED_H

#include "contract/json.h"
#include "service/conversation.h"

/* What the path has behind `mark`, without its escapes. */
str stored_path(struct request *rq, str mark);

/* The query's after, limit and order. */
enum err stored_read_page(struct request *rq, struct items_page *ret);

/* The members "data", "first_id", "last_id" and "has_more". */
void stored_add_list(struct buf *b, const struct items_list *list);

#endif
