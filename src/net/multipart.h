/* multipart.h - multipart/form-data (RFC 7578) as it comes: bytes in, events out.
 *
 * Feeds of any size give the same events. Only what a form post needs is read: the name of each part, that of its file, and its bytes.
 *
 * Memory: the head of one part, at most MULTIPART_HEAD_MAX bytes, in the arena.
 */
#ifndef DASHBOX_NET_MULTIPART_H
#define DASHBOX_NET_MULTIPART_H

#include "base/buf.h"

#define MULTIPART_HEAD_MAX     4096
#define MULTIPART_BOUNDARY_MAX 70 /* RFC 2046 §5.1.1 */

enum multipart_event {
    MULTIPART_MORE, /* all bytes are used; the body goes on */
    MULTIPART_PART, /* a part begins: *ret is its name, valid until the next part */
    MULTIPART_DATA, /* *ret is a piece of it, valid as long as the bytes that were fed */
    MULTIPART_END,  /* the closing boundary; whatever follows is ignored */
    MULTIPART_BAD,  /* this is no form; for good */
};

struct multipart {
    char       delimiter[4 + MULTIPART_BOUNDARY_MAX]; /* CR LF - - boundary */
    size_t     delimiter_len;
    size_t     matched; /* bytes of it that the last bytes may be */
    struct buf head;
    int        state;
    bool       in_part; /* the data is a part's, not the preamble's */
};

/* False: the Content-Type is none of a form, or has no good boundary. */
bool multipart_init(struct multipart *m, str content_type, struct arena *a);

/* Takes bytes from the front of *bytes. */
enum multipart_event multipart_next(struct multipart *m, str *bytes, str *ret);

/* Of the part that has begun: what its file is called, as it came: it may hold anything, slashes too. No pointer: it says none. */
str multipart_file(const struct multipart *m, struct arena *a);

#endif
