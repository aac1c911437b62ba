/* tape.h - one exchange with an upstream as the text of a file (doc/record.md): YAML, bodies as literal blocks, so that
 * people can
 * read it, change it, and see what a commit changes in it.
 *
 * Memory: the arena. Reading is libyaml's, with its depth of the stack: on a lane, or before the loops run.
 */
#ifndef DASHBOX_ENGINE_RECORD_TAPE_H
#define DASHBOX_ENGINE_RECORD_TAPE_H

#include "net/http1.h"

#define TAPE_VERSION 1

/* A part of an answer's body, and when it was there: milliseconds from the sending of the request. */
struct tape_piece {
    int64_t at_ms;
    str     bytes;
};

/* How an answer ended. */
enum tape_end { TAPE_DONE, TAPE_CUT, TAPE_STALLED, TAPE_BROKEN };

struct tape {
    str  engine; /* that asked */
    str  model;  /* as the client called it */
    bool cloud;  /* the engine's option */

    str                method, path; /* behind the upstream's base */
    struct http_field *asked;        /* headers */
    size_t             asked_count;
    str                body; /* normalised */

    int                status;
    int64_t            head_ms;
    struct http_field *fields;
    size_t             field_count;
    struct tape_piece *pieces;
    size_t             piece_count;
    enum tape_end      end;
};

str tape_write(struct arena *a, const struct tape *t);

/* ERR_INVALID: *ret_problem is "LINE: what is wrong". */
enum err tape_read(struct arena *a, str yaml, struct tape *ret, str *ret_problem);

#endif
