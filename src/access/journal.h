/* journal.h - what was received lately, for assertions in people's tests: GET /admin/v1/journal.
 *
 * The last requests are kept in memory, with their bodies (up to REQUEST_BODY_KEPT bytes) and header fields, but without
 * keys,
 * cookies and answers. Off under --production: prompts are nobody else's.
 * Thread: from any.
 */
#ifndef DASHBOX_ACCESS_JOURNAL_H
#define DASHBOX_ACCESS_JOURNAL_H

#include "base/arena.h"

struct journal_entry {
    int64_t number; /* 1, 2, 3 … since the start or the last reset; given by journal_add() */
    int64_t time_ms;
    str     request_id, method, path, query;
    str     headers; /* lines "name: value" */
    str     body;    /* as it came; in memory of its own */
    int     status;  /* 0: the client had gone, or was cut off */
    str     error;   /* id of the row that refused it */
    str     model, key, workspace, fault;
    bool    stream;
    int64_t prompt_tokens, completion_tokens;
};

struct journal_filter {
    str     model, path, key, error; /* patterns with *; empty: all */
    int64_t status;                  /* below 0: all */
    int64_t after;                   /* the number behind which to begin */
    size_t  limit;
};

struct journal;

struct journal *journal_open(size_t entries);
void            journal_close(struct journal *j);
/* All texts are copied but the body, which is from xmalloc() and becomes the journal's. */
void journal_add(struct journal *j, const struct journal_entry *e);
/* Copies in the arena, oldest first: the newest `limit` of them, or with `after` the first behind that. */
void journal_list(struct journal *j, const struct journal_filter *f, struct arena *a, struct journal_entry **ret,
                  size_t *ret_count);
void journal_clear(struct journal *j);

#endif
