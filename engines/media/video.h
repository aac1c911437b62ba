/* video.h - operations whose output is a video: render.h. */
#ifndef DASHBOX_MEDIA_VIDEO_H
#define DASHBOX_MEDIA_VIDEO_H

#include "contract/json.h"
#include "render.h"

/* NULL, or why not. */
const char *video_render(yyjson_val *request, bool still, const struct render_file *in, size_t in_count, int out);

#endif
