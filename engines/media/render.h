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
 *      {"op":"card","format":"png","width":1024,"height":768,"seed":7,"texts":["a red kite","wanx-v1"],"watermark":"AI"}
 *                                                texts over a pattern that the seed decides; the first is large
 *      {"op":"fit",…}                            the picture in 0 covers the size, cut at its sides
 *      {"op":"caption",…}                        … with the first text below it; without a picture it is a card
 *      {"op":"overlay","torso":[40,90,80,120]}   … with that of 1 laid on the box (left, upper, width, height), else its middle
 *      {"op":"crop","box":[40,90,80,120]}        the box (left, upper, width, height) of the picture in 0
 *      {"op":"cutout","box":…}                   … in which is seen through what has not about the colour of its middle; PNG
 *      {"op":"segment"}, {"op":"segment_colors"} … parted by colour: the parts' numbers as greys, or their colours
 *      {"op":"scale","upscale_factor":2}         … is made larger; "width" and "height" instead say a size
 *      {"op":"expand","left":100,…}              … gets more on its sides: left, right, top, bottom in pixels, left_scale … as
 *                                                factors of the side, x_scale and y_scale, or output_ratio "16:9"; it is mirrored there
 *      {"op":"tint","seed":3}                    … in the two colours that the seed decides
 *      {"op":"erase"}                            … where the mask in 1 is light, it is filled from around
 *      {"op":"video_card",…}                     a card over which something moves
 *      {"op":"video_between",…}                  from the picture in 0 into that in 1
 *
 * Of these "format" is png, jpeg or webp; all take "seed" and "watermark", and the same request makes the same picture.
 *
 * Videos are MP4 with H.264; with a sound in 1 (of video_card in 0, of video_between in 2), with a quiet tone if "sound", and with that of the clip if "keep_sound", also AAC. Pictures are cut in their middle to
 * the asked shape; without "width" and "height" a still or a clip keeps its own, up to 1280 a side (2048 of a clip). Without a "duration_ms" they take as long as the sound in 1.
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
