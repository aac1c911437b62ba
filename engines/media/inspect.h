/* inspect.h - what a file really is, told by its content.
 *
 *      {"kind":"video","format":"mp4","bytes":48213,"width":640,"height":360,"frames":50,"fps":25,"duration_ms":2000,
 *       "video_codec":"h264","audio_codec":"aac","sample_rate":48000,"channels":2,"brightness":118.4,"alpha":false,
 *       "animated":false,"truncated":false,"error":""
 *
 * and the caller ends the object. kind: image, video, audio, unknown. What a file does not have is 0 or "".
 *
 *   width, height   pixels as displayed: turned by a display matrix or an Exif orientation
 *   frames          of the picture or the video; duration_ms, fps: also of pictures that move
 *   brightness      mean luma of a picture's first frame, or of a video's frame in the middle (the last that could be
 *                   reached in DECODE_PIXELS from a key frame), 0 to 255; null when none could be decoded
 *   alpha           it has a channel of transparency; with a palette, or in GIF and WebP: something is transparent
 *   truncated       the file ends before its content does
 *   error           why something could not be told, in the library's words, for the log; "" when all is well
 *
 * Only the formats in inspect.c's lists are opened, decoders run on one thread, and pictures of more than
 * PIXELS_MAX are not decoded: that is decided before their memory is asked for.
 */
#ifndef DASHBOX_MEDIA_INSPECT_H
#define DASHBOX_MEDIA_INSPECT_H

#include "contract/json.h"

/* Once, before the sandbox: what the libraries make at their first use. */
void inspect_begin(void);

void inspect(int fd, int64_t bytes, struct buf *out);

#endif
