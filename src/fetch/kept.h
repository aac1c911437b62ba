/* kept.h - downloads that may be wanted again: a picture is in each turn of a conversation, and its server says 304 when it is still the
 * same. Each is asked for again all the same; only the bytes are not sent twice.
 *
 * Thread: the fetcher's loop.
 * Limits: KEPT_ENTRIES files, of KEPT_FILE_MAX bytes each: they take their place where spool files are. What was used longest ago goes first.
 */
#ifndef DASHBOX_FETCH_KEPT_H
#define DASHBOX_FETCH_KEPT_H

#include "fetch/fetch.h"

#define KEPT_ENTRIES  16
#define KEPT_FILE_MAX ((int64_t)8 << 20)
#define KEPT_WORD_MAX ((size_t)256) /* of a validator */

struct kept_file {
    str     url, etag, modified; /* the last two as the server said them, at least one not empty */
    str     type;
    bool    has_length; /* the answer had a Content-Length */
    int     fd;
    int64_t size;
    char    hash[FETCH_HASH_LEN + 1];
};

struct kept {
    struct kept_entry {
        bool             set;
        uint64_t         used;
        struct arena     arena;
        struct kept_file file; /* texts in the arena */
    } entries[KEPT_ENTRIES];
    uint64_t clock;
};

/* False when there is none. ret->fd is then a description of its own at the file's start, and the caller's to close; texts are copied to
 * `a`. */
bool kept_find(struct kept *k, str url, struct arena *a, struct kept_file *ret);
/* Takes a descriptor of its own for file->fd, which may be closed. Does nothing for what has no validator or is too large. */
void kept_add(struct kept *k, const struct kept_file *file);
void kept_clear(struct kept *k);

#endif
