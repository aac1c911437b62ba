/* people.h - who is in a picture, or in a frame of a video, that a request has named and media_get() has fetched.
 *
 * Thread: the request's loop.
 */
#ifndef DASHBOX_SERVICE_PEOPLE_H
#define DASHBOX_SERVICE_PEOPLE_H

#include "contract/people.h"
#include "service/media.h"

/* What is seen at `at_ms` (of a picture: 0), in the places of the file's own pixels, for people_check(); it lives in the request's
 * arena.
 * ERR_FAULT       the request's fault says that this dashbox has no such engine (D020)
 * ERR_INVALID     it cannot be decoded
 * ERR_CANCELLED   the fiber was
 * others          the engines have failed, as of media_render() and people_detect(): the log says why */
SUSPENDS enum err people_look(struct request *rq, const struct media_file *file, int64_t at_ms,
                              struct people_picture *ret);

#endif
