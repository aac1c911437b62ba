/* batch_check.h - looks through the file of a batch before anything of it is run. Spec: platform.md §2.4.
 *
 * All of it is read once as a stream; in memory are a line and the custom_ids so far. One bad line fails the batch.
 *
 * Thread: batch_check_step() is work for a lane.
 */
#ifndef DASHBOX_SERVICE_BATCH_CHECK_H
#define DASHBOX_SERVICE_BATCH_CHECK_H

#include "base/map.h"
#include "contract/json.h"
#include "contract/request.h"
#include "service/line_file.h"

/* A line, as far as it is looked at. Texts are the document's. */
struct batch_request {
    str         custom_id, method, url, model;
    yyjson_val *body;
};

/* The members of a line; which is missing or no text, or no object, stays empty. False: it is no JSON object. */
bool batch_request_read(struct arena *a, str line, struct batch_request *ret);

struct batch_check {
    const struct request *rq; /* settings alone */
    str                   endpoint;
    int64_t               lines_max, file_size;
    struct line_file      lines;
    struct arena          life, line;
    struct map            ids;
    str                   model;  /* out, in `life` */
    int64_t               total;  /* out */
    struct buf            errors; /* out: elements of the list, parted by commas */
    size_t                error_count;
    bool                  ended;
    enum err              e; /* ERR_IO */
};

void batch_check_init(struct batch_check *c, const struct request *rq, str endpoint, int fd, int64_t file_size,
                      int64_t lines_max);
/* Some lines more, until `ended`. */
void batch_check_step(void *batch_check);
void batch_check_free(struct batch_check *c);

/* An error of a batch, as an element of the list: at that line, or at none when it is 0. */
void batch_error_add(const struct request *rq, struct buf *b, const struct fault *f, int64_t line);

#endif
