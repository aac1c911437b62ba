/* people.h - who is in a picture: asks dashbox-people (engines/people), Node.js with models of faces and bodies in a sandbox.
 *
 * The children are a pool (engine/pool). Each needs about 160 MB, and 350 MB after its first pictures (530 MB after the largest).
 *
 * Thread: one loop for life.
 * Limits: PEOPLE_SIDE_MAX pixels a side; `queue_max` pictures wait for a child.
 */
#ifndef DASHBOX_ENGINE_PEOPLE_PEOPLE_H
#define DASHBOX_ENGINE_PEOPLE_PEOPLE_H

#include "engine/people/facts.h"
#include "loop/fiber.h"

struct people;

#define PEOPLE_SIDE_MAX ((int64_t)2048)

/* Zero stands for the value in brackets. */
struct people_options {
    const char *program;     /* path of dashbox-people [people_program()] */
    size_t      process_max; /* children [1] */
    size_t      queue_max;   /* pictures that wait [64] */
    int64_t     detect_ms;   /* for one picture, from when a child has it [30 s] */
    int64_t     start_ms;    /* until a child is ready [30 s] */
    int64_t     backoff_ms;  /* after one that was not, doubled each time up to a minute [1 s] */
    int64_t     idle_ms;     /* after which one that has nothing to do is ended [5 min] */
};

/* Beside our own program, in the build's folder, or where it is installed. ERR_NOT_FOUND: it is not there. */
enum err people_program(struct arena *a, const char **ret);

/* ERR_NOT_FOUND: there is no such program. Nothing is started yet. */
enum err people_open(struct loop *l, const struct people_options *o, struct people **ret);

/* Looks at a picture: `pixels_fd` is a file that has rows of RGB, a byte each, from its beginning (the media engine's operation
 * `pixels`). It is copied on the loop: 3 bytes a pixel, a millisecond for a million pixels. What is found goes to the
 * arena.
 * ERR_INVALID      it is no such file, or too large
 * ERR_IO           the engine has crashed over it, or cannot be started: its npm packages are not installed
 * ERR_TIMEOUT      it has not answered in time
 * ERR_PROTOCOL     it has answered nonsense
 * ERR_LIMIT        too many wait already
 * ERR_CANCELLED    the fiber was
 * The reason is in the log. */
SUSPENDS enum err people_detect(struct people *p, int pixels_fd, int64_t width, int64_t height, struct arena *a,
                                struct people_facts *ret);

/* Process ids of the children that are there, for tests and metrics; at most `max`. Returns how many. */
size_t people_pids(const struct people *p, int *ret, size_t max);

/* No picture is under way. Ends the children. */
void people_close(struct people *p);

#endif
