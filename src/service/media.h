/* media.h - pictures, videos and sounds that a request names: downloaded, and looked into by the media engine.
 *
 * media_get() refuses nothing: what was found is compared with rules afterwards, which have rows of their own.
 *
 * Thread: the request's loop.
 */
#ifndef DASHBOX_SERVICE_MEDIA_H
#define DASHBOX_SERVICE_MEDIA_H

#include "contract/media_service.h"
#include "engine/media/facts.h"
#include "fetch/fetch.h"

struct picture_lines;

struct media_file {
    enum fetch_error            fetch; /* what stands below counts only with FETCH_OK */
    struct fetched              file;
    enum err                    inspected; /* as of media_inspect(); ERR_NOT_FOUND: this dashbox has no media engine */
    struct media_facts          facts;     /* with OK */
    const struct picture_lines *lines;     /* the text in a picture; NULL: nobody has read it */
};

/* `f` says where it is and how much is taken; its workspace and model are the request's. ERR_CANCELLED, else OK with what was found
 * in *ret. */
SUSPENDS enum err media_get(struct request *rq, const struct fetch_request *f, struct media_file *ret);

/* Refuses a file that could not be had, or does not keep to the rules of its member, each with the member's row; what has no row of
 * its own with that of failed downloads. */
enum err media_file_check(struct request *rq, const struct media_member *m, str url, const struct media_file *f);

#endif
