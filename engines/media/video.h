/* video.h - operations whose output is a video: render.h. */
#ifndef DASHBOX_MEDIA_VIDEO_H
#define DASHBOX_MEDIA_VIDEO_H

#include "contract/json.h"
#include "draw.h"
#include "render.h"

/* Each gives NULL, or why not. */
const char *video_render(yyjson_val *request, bool still, const struct render_file *in, size_t in_count, int out);

/* Changes the canvas, which is of the output's size and as it was left, to what is shown at `t`, from 0 to 1. */
typedef void video_draw_fn(void *arg, struct canvas *c, double t);

/* A video that is drawn, with the sound of that file (NULL: none), or, if the request says "sound", a quiet tone. */
const char *video_drawn(yyjson_val *request, video_draw_fn *draw, void *arg, const struct render_file *sound, int out);

#endif
