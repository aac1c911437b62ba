/* encode.c - on FFmpeg's encoders of pictures, one thread each. */
#include "encode.h"

#include <libavcodec/avcodec.h>
#include <libswscale/swscale.h>
#include <unistd.h>

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

static AVFrame *frame_new(int width, int height, enum AVPixelFormat format)
{
    AVFrame *f = av_frame_alloc();

    if (!f)
        return NULL;
    f->width = width;
    f->height = height;
    f->format = format;
    if (av_frame_get_buffer(f, 0) < 0)
        av_frame_free(&f);
    return f;
}

static bool fill_frame(struct SwsContext *sws, const struct canvas *c, AVFrame *f)
{
    const uint8_t *rows[] = { c->rgb };
    int            strides[] = { 3 * c->width };

    if (av_frame_make_writable(f) < 0 || sws_scale(sws, rows, strides, 0, f->height, f->data, f->linesize) != f->height)
        return false;
    for (int y = 0; y < c->height && f->format == AV_PIX_FMT_RGBA; y++)
        for (int x = 0; x < c->width; x++)
            f->data[0][y * f->linesize[0] + 4 * x + 3] = c->alpha[(size_t)y * (size_t)c->width + (size_t)x];
    return true;
}

static const struct {
    const char        *name, *encoder;
    enum AVPixelFormat pixels;
} pictures[] = {
    { "png", "png", AV_PIX_FMT_RGB24 },
    { "jpeg", "mjpeg", AV_PIX_FMT_YUVJ420P },
    { "webp", "libwebp", AV_PIX_FMT_YUV420P },
};

const char *encode_picture(int fd, const struct canvas *c, str format)
{
    size_t             i = 0;
    const AVCodec     *codec;
    AVCodecContext    *e;
    AVFrame           *f;
    AVPacket          *p = av_packet_alloc();
    struct SwsContext *sws;
    enum AVPixelFormat pixels;
    const char        *problem = "the picture cannot be written";

    while (i < ARRAY_LEN(pictures) && !str_eq(format, str_from_cstr(pictures[i].name)))
        i++;
    if (i == ARRAY_LEN(pictures) || !p)
        return "no picture format of that name";
    codec = avcodec_find_encoder_by_name(pictures[i].encoder);
    e = codec ? avcodec_alloc_context3(codec) : NULL;
    pixels = c->alpha && pictures[i].pixels == AV_PIX_FMT_RGB24 ? AV_PIX_FMT_RGBA : pictures[i].pixels;
    f = frame_new(c->width, c->height, pixels);
    sws = sws_getContext(c->width, c->height, AV_PIX_FMT_RGB24, c->width, c->height, pixels, SWS_BILINEAR, NULL, NULL,
                         NULL);
    if (e && f && sws) {
        e->width = c->width;
        e->height = c->height;
        e->pix_fmt = pixels;
        e->time_base = (AVRational){ 1, 1 };
        e->thread_count = 1;
        e->compression_level = 2;
        e->flags |= AV_CODEC_FLAG_QSCALE;
        e->global_quality = 3 * FF_QP2LAMBDA;
        f->quality = e->global_quality;
        if (avcodec_open2(e, codec, NULL) >= 0 && fill_frame(sws, c, f) && avcodec_send_frame(e, f) >= 0 &&
            avcodec_send_frame(e, NULL) >= 0 && avcodec_receive_packet(e, p) >= 0 &&
            write_all(fd, p->data, (size_t)p->size))
            problem = NULL;
    }
    sws_freeContext(sws);
    av_frame_free(&f);
    avcodec_free_context(&e);
    av_packet_free(&p);
    return problem;
}
