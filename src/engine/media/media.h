/* media.h - what is in images, videos and audio: asks dashbox-media (engines/media), a program that decodes in a sandbox.
 *
 * Its children are a pool (engine/pool), each of which looks into one file at a time; one that crashes, hangs or answers
 * nonsense costs that one call.
 *
 * Thread: one loop for life.
 * Limits: `queue_max` inspections wait for a child.
 */
#ifndef DASHBOX_ENGINE_MEDIA_MEDIA_H
#define DASHBOX_ENGINE_MEDIA_MEDIA_H

#include "engine/media/facts.h"
#include "loop/fiber.h"

struct media;

/* Zero stands for the value in brackets. */
struct media_options {
    const char *program;       /* path of dashbox-media [media_program()] */
    size_t      process_max;   /* children [2] */
    size_t      queue_max;     /* inspections that wait [256] */
    int64_t     inspect_ms;    /* for one file, from when a child has it [20 s] */
    int64_t     render_ms;     /* for making one [120 s] */
    int64_t     start_ms;      /* until a child is ready [10 s] */
    int64_t     backoff_ms;    /* after one that was not, doubled each time up to a minute [1 s] */
    int64_t     retire_cpu_ms; /* processor time after which a child is replaced; it ends itself at a minute [20 s] */
};

/* Beside our own program, in the build's folder, or where it is installed. ERR_NOT_FOUND: this dashbox was built without. */
enum err media_program(struct arena *a, const char **ret);

/* ERR_NOT_FOUND: there is no such program. Nothing is started yet. */
enum err media_open(struct loop *l, const struct media_options *o, struct media **ret);

/* Looks into the file, from its beginning, whatever its offset, which stays. `fd` stays the caller's.
 * ERR_INVALID      it is no regular file that can be read
 * ERR_IO           the engine has crashed over it, or cannot be started
 * ERR_TIMEOUT      it has not answered in time
 * ERR_PROTOCOL     it has answered nonsense
 * ERR_LIMIT        too many wait already
 * ERR_CANCELLED    the fiber was
 * The reason is in the log. A file that is no media at all is no error: its kind is MEDIA_UNKNOWN. */
SUSPENDS enum err media_inspect(struct media *m, int fd, struct arena *a, struct media_facts *ret);

/* The same for a file whose content has this SHA-256 (hexadecimal; empty: not known): it is looked into once. */
SUSPENDS enum err media_inspect_hashed(struct media *m, int fd, str hash, struct arena *a, struct media_facts *ret);

#define MEDIA_RENDER_FILES 8

/* Has a file made: `request` is a JSON object that engines/media/render.h explains, `in` are the files that it is made of, `out` is
 * one that is empty and can be written. *ret is what there is to say of it.
 * ERR_INVALID      some file is none of these, or it cannot be made of them: the log says why
 * and the others of media_inspect(). */
SUSPENDS enum err media_render(struct media *m, str request, const int *in, size_t in_count, int out, struct arena *a,
                               struct media_facts *ret);

/* Process ids of the children that are there, for tests and metrics; at most `max`. Returns how many. */
size_t media_pids(const struct media *m, int *ret, size_t max);

/* No inspection is under way. Ends the children. */
void media_close(struct media *m);

#endif
