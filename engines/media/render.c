/* render.c - operations on files. */
#include "render.h"

#include "drawn.h"
#include "frame.h"
#include "inspect.h"
#include "video.h"

#include "contract/json.h"

#include <libavutil/mem.h>
#include <libswscale/swscale.h>
#include <unistd.h>

#define SIDE_MAX 4096

static bool write_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);

        if (n <= 0)
            return false;
        bytes += n;
        len -= (size_t)n;
    }
    return true;
}

/* ---- RGB ---- */

static uint8_t *rgb_of(const AVFrame *frame, int width, int height)
{
    struct SwsContext *sws = sws_getContext(frame->width, frame->height, frame->format, width, height, AV_PIX_FMT_RGB24,
                                            SWS_AREA | SWS_ACCURATE_RND, NULL, NULL, NULL);
    uint8_t           *rgb = av_malloc((size_t)3 * (size_t)width * (size_t)height);
    uint8_t           *planes[4] = { rgb };
    int                lines[4] = { 3 * width };

    if (sws && frame->color_range == AVCOL_RANGE_JPEG) {
        const int *as = sws_getCoefficients(SWS_CS_DEFAULT);

        (void)sws_setColorspaceDetails(sws, as, 1, as, 1, 0, 1 << 16, 1 << 16);
    }
    if (!sws || !rgb ||
        sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, planes, lines) != height)
        av_freep(&rgb);
    sws_freeContext(sws);
    return rgb;
}

/* Where the pixel that is displayed at x, y comes from, by the Exif orientation. */
static size_t source_of(int turns, int width, int height, int x, int y)
{
    int from_x = x, from_y = y;

    if (turns >= 5) {
        from_x = y;
        from_y = x;
    }
    if (turns == 2 || turns == 3 || turns == 7 || turns == 8)
        from_x = width - 1 - from_x;
    if (turns == 3 || turns == 4 || turns == 6 || turns == 7)
        from_y = height - 1 - from_y;
    return (size_t)3 * ((size_t)from_y * (size_t)width + (size_t)from_x);
}

static uint8_t *displayed(uint8_t *rgb, int width, int height, int turns)
{
    int      shown_width = turns >= 5 ? height : width, shown_height = turns >= 5 ? width : height;
    uint8_t *shown = av_malloc((size_t)3 * (size_t)width * (size_t)height), *at = shown;

    for (int y = 0; shown && y < shown_height; y++) {
        for (int x = 0; x < shown_width; x++, at += 3)
            memcpy(at, rgb + source_of(turns, width, height, x, y), 3);
    }
    av_free(rgb);
    return shown;
}

uint8_t *frame_rgb(const AVFrame *frame, int turns, int64_t side, int *ret_width, int *ret_height)
{
    int      width = frame->width, height = frame->height, longer = width > height ? width : height;
    uint8_t *rgb;

    if (longer > side) {
        width = (int)((int64_t)width * side / longer);
        height = (int)((int64_t)height * side / longer);
    }
    width = width ? width : 1;
    height = height ? height : 1;
    rgb = rgb_of(frame, width, height);
    if (rgb && turns != 1)
        rgb = displayed(rgb, width, height, turns);
    *ret_width = turns >= 5 ? height : width;
    *ret_height = turns >= 5 ? width : height;
    return rgb;
}

static const char *pixels(yyjson_val *request, const struct render_file *in, int out, struct facts *f)
{
    int64_t     side = 0, at_ms = 0;
    int         turns, width, height;
    AVFrame    *frame;
    uint8_t    *rgb;
    const char *failed = NULL;
    double      brightness;

    (void)json_to_i64(json_get(request, "side"), &side);
    (void)json_to_i64(json_get(request, "at_ms"), &at_ms);
    if (side < 1 || side > SIDE_MAX || at_ms < 0)
        return "side or at_ms is out of range";
    frame = frame_read(in->fd, in->bytes, at_ms, f, &turns);
    if (!frame)
        return f->error;
    brightness = f->brightness;
    rgb = frame_rgb(frame, turns, side, &width, &height);
    if (!rgb)
        failed = "it cannot be converted";
    else if (!write_all(out, rgb, (size_t)3 * (size_t)width * (size_t)height))
        failed = "the output cannot be written";
    av_free(rgb);
    av_frame_free(&frame);
    *f = FACTS_NONE;
    f->kind = "image";
    f->format = "rgb";
    f->bytes = (int64_t)3 * width * height;
    f->width = width;
    f->height = height;
    f->frames = 1;
    f->brightness = brightness;
    return failed;
}

/* ---- a request ---- */

void render(str request, const struct render_file *in, size_t in_count, int out, struct arena *a, struct buf *answer)
{
    yyjson_val  *root = json_parse_copy(a, request);
    str          op = json_str(json_get(root, "op"));
    struct facts f = FACTS_NONE;
    const char  *failed = "there is no such operation on so many files";

    if (str_eq(op, S("pixels")) && in_count == 1) {
        failed = pixels(root, &in[0], out, &f);
        if (!failed)
            facts_write(&f, answer);
    } else if ((str_eq(op, S("video_still")) || str_eq(op, S("video_from"))) && (in_count == 1 || in_count == 2)) {
        failed = video_render(root, str_eq(op, S("video_still")), in, in_count, out);
        if (!failed)
            inspect(out, lseek(out, 0, SEEK_END), answer);
    } else if (drawn_knows(op)) {
        failed = drawn_render(root, in, in_count, out);
        if (!failed)
            inspect(out, lseek(out, 0, SEEK_END), answer);
    }
    if (!failed)
        return;
    buf_add(answer, S("{\"failed\":"));
    json_add_lossy(answer, str_from_cstr(failed));
}
