/* picture.h - what the structure of a picture's file says without decoding it: whether all of it is there, and whether it
 * moves. For formats in which FFmpeg's decoders look at the first frame alone, or do not say that the end is missing.
 *
 * Sources: RFC 2083 and the APNG specification; GIF89a; ITU-T T.81 (JPEG); the WebP container specification.
 */
#ifndef DASHBOX_MEDIA_PICTURE_H
#define DASHBOX_MEDIA_PICTURE_H

#include "base/str.h"

enum picture_format { PICTURE_NONE, PICTURE_PNG, PICTURE_JPEG, PICTURE_GIF, PICTURE_WEBP, PICTURE_BMP, PICTURE_TIFF };

struct picture {
    bool    complete;
    int64_t frames;        /* 1 unless it moves */
    int64_t duration_ms;   /* 0 unless it moves */
    int64_t width, height; /* of the canvas of a WebP that moves; of PNG, GIF and BMP what their heads say; else 0 */
};

/* By the first bytes, of which 32 are enough. */
enum picture_format picture_format(str head);
const char         *picture_format_name(enum picture_format f);

struct picture picture_read(enum picture_format f, str file);

#endif
