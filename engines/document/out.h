/* out.h - the plain text that comes of a document: UTF-8 with \n between lines, written into a file with a ceiling.
 *
 * Whatever is added, what is written is valid: broken bytes become U+FFFD, CR and CRLF become \n, a form feed does too, and other
 * control characters and byte order marks are left out.
 */
#ifndef DASHBOX_DOCUMENT_OUT_H
#define DASHBOX_DOCUMENT_OUT_H

#include "base/str.h"

struct out {
    int     fd;
    int64_t max;     /* bytes */
    int64_t len;     /* bytes so far, with those that are not written yet */
    int64_t letters; /* characters that are not blank */
    bool    full;    /* `max` was in the way: what is added from now on is lost */
    bool    failed;  /* the file does not take it */
    int     breaks;  /* \n at the end, at most 2 */
    bool    cr;      /* the last byte was a CR */
    size_t  pending; /* bytes of the buffer */
    char    buffer[(size_t)64 * 1024];
};

void out_init(struct out *o, int fd, int64_t max);
void out_add(struct out *o, str text);
void out_add_char(struct out *o, uint32_t cp);

/* Ends the line when there is something in it. */
void out_line(struct out *o);
/* An empty line before what comes, when there is something before. */
void out_gap(struct out *o);

/* Writes what is left. */
void out_flush(struct out *o);

#endif
