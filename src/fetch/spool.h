/* spool.h - a file without a name that a download goes to. All of it runs on the lane. */
#ifndef DASHBOX_FETCH_SPOOL_H
#define DASHBOX_FETCH_SPOOL_H

#include "base/err.h"
#include "base/str.h"
#include "fetch/fetch.h"

#include <openssl/evp.h>

struct spool {
    struct lane *lane;
    const char  *folder;
    int          fd; /* -1: not open */
    int64_t      size;
    EVP_MD_CTX  *hash;
    char        *buffer; /* what has not been written yet: a download comes in small pieces */
    size_t       buffered;
};

/* ERR_IO: the reason is in the log. */
SUSPENDS enum err spool_open(struct spool *s, struct lane *lane, const char *folder);
SUSPENDS enum err spool_write(struct spool *s, str bytes);
/* Decodes base64 into it (RFC 4648 §4; without its padding, too). ERR_INVALID: it is none. */
SUSPENDS enum err spool_base64(struct spool *s, str text);
/* To its start, and the hash of all that was written. */
SUSPENDS enum err spool_rewind(struct spool *s, char hash[FETCH_HASH_LEN + 1]);
void              spool_close(struct spool *s); /* and its content is gone */

#endif
