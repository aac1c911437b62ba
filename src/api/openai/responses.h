/* responses.h - an answer of the Responses API: what has come of it, as its object and as its events. */
#ifndef DASHBOX_API_OPENAI_RESPONSES_H
#define DASHBOX_API_OPENAI_RESPONSES_H

#include "contract/responses_body.h"

struct stored_item;

enum output_kind { OUTPUT_REASONING, OUTPUT_MESSAGE, OUTPUT_CALL, OUTPUT_SEARCH, OUTPUT_CODE };

struct output_item {
    enum output_kind kind;
    str              id;
    struct buf       text;   /* or the arguments, the code, what was searched for */
    str              output; /* of the code */
    str              call_id, name;
    unsigned         tool_index;
    str             *urls; /* of a search */
    size_t           url_count;
    bool             closed;
};

struct response {
    struct request              *rq;
    const struct chat_input     *in;
    const struct responses_body *body;
    str                          id;
    struct output_item          *items;
    size_t                       count, cap;
    enum chat_finish             finish;
    int64_t                      events; /* sent so far */
};

void response_init(struct response *r, struct request *rq, const struct chat_input *in,
                   const struct responses_body *body);

/* Takes the event in; of a stream, adds the frames that it comes to. */
void response_event(struct response *r, const struct chat_event *ev);

/* The last event of a stream, with the whole object; rq->fault says whether it failed. */
void response_end(struct response *r);

/* The object at its end, as it answers the call; `stored`: as it is found again (chat.md §6.7.4). */
void response_add(struct response *r, struct buf *b, bool stored);

void response_add_item(struct response *r, struct buf *b, const struct output_item *item, bool done);

#endif
