/* render.h - what the media engine makes of files: one operation a request, a JSON object.
 *
 *      {"op":"pixels","side":1280,"at_ms":0}     the picture in 0, or the video's frame at that time, as displayed and brought to
 *                                                that many pixels of its longer side when it has more: rows of RGB, a byte each
 *
 * The answer is what inspect.h says of the file that was written; pixels are an "image" of the format "rgb".
 */
#ifndef DASHBOX_MEDIA_RENDER_H
#define DASHBOX_MEDIA_RENDER_H

#include "base/buf.h"

#define RENDER_FILES_MAX 8

struct render_file {
    int     fd;
    int64_t bytes;
};

/* Adds the facts without the end of their object, or {"failed":"why". */
void render(str request, const struct render_file *in, size_t in_count, int out, struct arena *a, struct buf *answer);

#endif
