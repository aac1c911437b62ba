/* ocr.h - the text in pictures: asks dashbox-ocr (engines/ocr), Tesseract in a sandbox.
 *
 * The children are a pool (engine/pool). Each needs about 120 MB.
 *
 * Thread: one loop for life.
 * Limits: OCR_SIDE_MAX pixels a side; `queue_max` pictures wait for a child.
 */
#ifndef DASHBOX_ENGINE_OCR_OCR_H
#define DASHBOX_ENGINE_OCR_OCR_H

#include "contract/picture.h"
#include "loop/fiber.h"

struct arena;
struct ocr;

#define OCR_SIDE_MAX INT64_C(4096)

/* Zero stands for the value in brackets. */
struct ocr_options {
    const char *program;     /* path of dashbox-ocr [pool_program()] */
    size_t      process_max; /* children [1] */
    size_t      queue_max;   /* pictures that wait [64] */
    int64_t     read_ms;     /* for one picture, from when a child has it [60 s] */
    int64_t     start_ms;    /* until a child is ready [30 s] */
    int64_t     backoff_ms;  /* after one that was not, doubled each time up to a minute [1 s] */
    int64_t     idle_ms;     /* after which one that has nothing to do is ended [5 min] */
};

/* ERR_NOT_FOUND: there is no such program. Nothing is started yet. */
enum err ocr_open(struct loop *l, const struct ocr_options *o, struct ocr **ret);

/* Reads a picture: `pixels_fd` is a file that has rows of RGB, a byte each, from its beginning (the media engine's operation
 * `pixels`). The lines go to the arena.
 * ERR_INVALID      it is too large
 * ERR_IO           the engine has crashed over it, or cannot be started: it has no models of languages
 * ERR_TIMEOUT      it has not answered in time
 * ERR_PROTOCOL     it has answered nonsense
 * ERR_LIMIT        too many wait already
 * ERR_CANCELLED    the fiber was
 * The reason is in the log. */
SUSPENDS enum err ocr_look(struct ocr *o, int pixels_fd, int64_t width, int64_t height, struct arena *a,
                           struct picture_lines *ret);

/* Adds what one message of the engine says; it has looked at untrusted pixels, and is believed as little. ERR_PROTOCOL when it says
 * nothing that is known. True in *ret_done with the last one, and the processor time. */
enum err ocr_hear(struct arena *a, str message, struct picture_lines *lines, bool *ret_done, int64_t *ret_cpu_us);

/* No picture is under way. Ends the children. Accepts NULL. */
void ocr_close(struct ocr *o);

#endif
