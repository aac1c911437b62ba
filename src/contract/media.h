/* media.h - kinds of media, and what stands beside an image or a video of a chat message. The ranges are data/params/media.txt. */
#ifndef DASHBOX_CONTRACT_MEDIA_H
#define DASHBOX_CONTRACT_MEDIA_H

#include "contract/optional.h"

/* What a file is. */
enum media_kind { MEDIA_UNKNOWN, MEDIA_IMAGE, MEDIA_VIDEO, MEDIA_AUDIO };

enum media_detail { MEDIA_DETAIL_UNSET, MEDIA_DETAIL_AUTO, MEDIA_DETAIL_LOW, MEDIA_DETAIL_HIGH };

struct media_input {
    opt_int  min_pixels, max_pixels, total_pixels, max_frames;
    opt_num  fps; /* of a list of frames: at which they were taken */
    opt_bool enable_rotate;
    int      detail; /* enum media_detail */
};

#endif
