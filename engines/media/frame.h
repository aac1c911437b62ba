/* frame.h - the decoded picture of a file, for what works with pictures. */
#ifndef DASHBOX_MEDIA_FRAME_H
#define DASHBOX_MEDIA_FRAME_H

#include "base/buf.h"

#include <libavutil/avutil.h>
#include <libavutil/frame.h>

/* What is answered of a file: inspect.h says what its members mean. */
struct facts {
    const char *kind, *format, *video_codec, *audio_codec;
    int64_t     bytes, width, height, frames, duration_ms, sample_rate, channels;
    double      fps, brightness; /* below 0: not known */
    bool        alpha, animated, truncated;
    char        error[512]; /* what a library has said, and what it is about */
};

#define FACTS_NONE \
    ((struct facts){ .kind = "unknown", .format = "unknown", .video_codec = "", .audio_codec = "", .brightness = -1 })

/* The caller ends the object. */
void facts_write(const struct facts *f, struct buf *out);

/* The picture, or the video's frame that is shown at `at_ms`, and in *ret_turns how it is shown, as an Exif orientation (1 to 8). NULL
 * when there is none that can be decoded: f->error says why. f->brightness is the frame's. */
AVFrame *frame_read(int fd, int64_t bytes, int64_t at_ms, struct facts *f, int *ret_turns);

/* The picture as it is displayed: rows of RGB, a byte each, at most `side` pixels a side, in memory of av_malloc(). NULL: it
 * cannot be. */
uint8_t *frame_rgb(const AVFrame *frame, int turns, int64_t side, int *ret_width, int *ret_height);

/* False: no more are wanted. `at_us` counts from the begin of the file. */
typedef bool frame_fn(void *arg, AVFrame *frame, int64_t at_us);

/* All frames of the file's video or sound (`type`), in order, from the key frame at or before `from_ms`. False when there are none: f->error
 * says why. */
bool frames_read(int fd, int64_t bytes, enum AVMediaType type, int64_t from_ms, struct facts *f, frame_fn *each,
                 void *arg);

#endif
