/* render.h - what the media engine makes of files: one operation a request, a JSON object.
 *
 *      {"op":"pixels","side":1280,"at_ms":0}     the picture in 0, or the video's frame at that time, as displayed and brought to
 *                                                that many pixels of its longer side when it has more: rows of RGB, a byte each
 *
 *      {"op":"video_still","width":512,"height":512,"fps":24,"duration_ms":5000,"box":[0,0,300,300]}
 *                                                a way over the picture in 0, or the part of it that "box" says
 *      {"op":"video_from","width":640,"height":480,"fps":24,"duration_ms":5000,"from_ms":0,"keep_sound":true}
 *                                                the clip in 0; its last frame stays when it is shorter
 *
 * Videos are MP4 with H.264; with a sound in 1, and with that of the clip if "keep_sound", also AAC. Pictures are cut in their middle to
 * the asked shape. Without a "duration_ms" they take as long as the sound in 1.
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
