/* tapes.h - a folder of recorded exchanges: one file each, written while dashbox records, read while it replays.
 *
 * A file has the name of its request (normal.h) and ".yaml"; the second answer to the same request in one run is its
 * take 2, in
 * NAME.2.yaml, and so on. The first take of a run replaces those of earlier runs. Replaying gives the takes in turn, then
 * from the beginning.
 *
 * All work with files, and the state of the takes, is on a lane of its own. The functions may be called from any loop.
 * Limits: TAPES_FILE_MAX bytes a file, and TAPES_WAITING_MAX of recordings that wait to be written: what is beyond is
 * not kept,
 * and the log says so.
 */
#ifndef DASHBOX_ENGINE_RECORD_TAPES_H
#define DASHBOX_ENGINE_RECORD_TAPES_H

#include "engine/record/tape.h"
#include "loop/fiber.h"

#define TAPES_FILE_MAX    ((size_t)64 << 20)
#define TAPES_WAITING_MAX ((size_t)256 << 20)

struct tapes_options {
    str  path;        /* the folder; recording makes it */
    bool replay;      /* else it is recorded into */
    bool timed;       /* replay: pieces come when they came */
    bool by_messages; /* replay: a recording of the same model and messages will do */
};

struct tapes;

/* ERR_INVALID, *ret_problem in `a`: the folder cannot be made, or one of its files is no recording. */
enum err tapes_open(const struct tapes_options *o, struct arena *a, struct tapes **ret, str *ret_problem);
/* Writes what is to be written first. */
/* The same ones for another holder, when the options are the same: takes are counted on over a reload. NULL: they are
 * not, or `t`
 * is. tapes_close() gives them back. */
struct tapes *tapes_again(struct tapes *t, const struct tapes_options *o);
void          tapes_close(struct tapes *t);

const struct tapes_options *tapes_options(const struct tapes *t);

/* Calls fn for each first take, in the order of the names; what it gets lives in `a`. For the time before the loops run.
 * The same
 * errors. */
enum err tapes_list(str path, struct arena *a, void (*fn)(void *arg, const struct tape *t), void *arg,
                    str *ret_problem);

/* Replaying begins with the first takes again. Does not wait. */
void tapes_rewind(struct tapes *t);

/* ---- recording ---- */

/* One exchange that is being recorded. Its memory is its own, so that it can change threads. */
struct recording {
    struct arena arena;
    struct tape  tape;    /* body and pieces are as they came: normalising and scrubbing is the lane's */
    str         *secrets; /* known ones */
    size_t       secret_count;
    size_t       size;
};

struct recording *recording_new(void);
void              recording_free(struct recording *r);
/* Takes it. Does not wait. */
void tapes_keep(struct tapes *t, struct recording *r);

/* ---- replaying ---- */

struct tape_search {
    str          method, path, body; /* of the request */
    struct arena arena;              /* of all below; the caller frees it */
    struct tape  tape;
    str          name;    /* of the file that was taken, or would have been looked for: "qwen-plus-….yaml" */
    str          problem; /* of a miss: what there is instead, for the log */
};

/* ERR_NOT_FOUND: a miss. */
SUSPENDS enum err tapes_find(struct tapes *t, struct tape_search *s);

#endif
