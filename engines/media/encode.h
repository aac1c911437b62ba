/* encode.h - a canvas becomes a file. */
#ifndef DASHBOX_MEDIA_ENCODE_H
#define DASHBOX_MEDIA_ENCODE_H

#include "draw.h"

/* format: png, jpeg, webp. Writes to the descriptor from its beginning; NULL, or why it could not. */
const char *encode_picture(int fd, const struct canvas *c, str format);

#endif
