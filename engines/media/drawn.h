/* drawn.h - operations that draw (render.h). */
#ifndef DASHBOX_MEDIA_DRAWN_H
#define DASHBOX_MEDIA_DRAWN_H

#include "contract/json.h"
#include "render.h"

bool drawn_knows(str op);

/* NULL, or why not. */
const char *drawn_render(yyjson_val *request, const struct render_file *in, size_t in_count, int out);

#endif
