/* video.c - videos: H.264 by libx264 on one thread, FFmpeg's AAC, in MP4. The same request and files give the same bytes. */
#include "video.h"

#include "frame.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/audio_fifo.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <unistd.h>

#define SIDE_MAX     4096
#define DURATION_MAX ((int64_t)10 * 60 * 1000)
#define IO_BUFFER    32768
#define SAMPLE_RATE  44100
#define TONE_HZ      220.0
#define TONE_VOLUME  0.08
#define STILL_SIDE   1280 /* of an output that nobody has said the size of */
#define CLIP_SIDE    2048
#define MARGIN       0.08 /* of a still's side that the way over it leaves out at either end */

struct order {
    int64_t width, height, duration_ms, from_ms;
    double  fps;
    double  box[4];
    bool    keep_sound, tone;
};

/* The video that is written. */
struct video {
    int              fd;
    AVFormatContext *mux;
    AVCodecContext  *pictures, *sound; /* sound: NULL: none */
    AVPacket       **heard;            /* encoded sound that is not written yet */
    size_t           heard_count, heard_cap, heard_done;
    AVAudioFifo     *fifo;
    SwrContext      *swr;
    int64_t          samples, samples_max;
    int64_t          count, count_max; /* frames */
    bool             failed;
};

/* ---- the file ---- */

static int io_write(void *of, uint8_t *bytes, int len)
{
    struct video *v = of;
    int           done = 0;

    while (done < len) {
        ssize_t n = write(v->fd, bytes + done, (size_t)(len - done));

        if (n <= 0)
            return AVERROR(EIO);
        done += (int)n;
    }
    return len;
}

static int64_t io_seek(void *of, int64_t to, int whence)
{
    struct video *v = of;
    off_t         at = whence & AVSEEK_SIZE ? lseek(v->fd, 0, SEEK_END) : lseek(v->fd, to, whence & ~AVSEEK_FORCE);

    return at < 0 ? AVERROR(EIO) : at;
}

static AVCodecContext *encoder_open(struct video *v, AVCodecContext *c, const AVCodec *codec)
{
    AVStream *s = avformat_new_stream(v->mux, NULL);

    c->thread_count = 1;
    c->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
    if (!s || avcodec_open2(c, codec, NULL) < 0 || avcodec_parameters_from_context(s->codecpar, c) < 0)
        avcodec_free_context(&c);
    else
        s->time_base = c->time_base;
    return c;
}

static AVCodecContext *pictures_open(struct video *v, const struct order *o)
{
    const AVCodec  *codec = avcodec_find_encoder_by_name("libx264");
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;

    if (!c)
        return NULL;
    c->width = (int)o->width;
    c->height = (int)o->height;
    c->pix_fmt = AV_PIX_FMT_YUV420P;
    c->framerate = av_d2q(o->fps, 1001000);
    c->time_base = av_inv_q(c->framerate);
    c->gop_size = 48;
    (void)av_opt_set(c->priv_data, "preset", "veryfast", 0);
    (void)av_opt_set(c->priv_data, "crf", "26", 0);
    return encoder_open(v, c, codec);
}

static AVCodecContext *sound_open(struct video *v)
{
    const AVCodec  *codec = avcodec_find_encoder(AV_CODEC_ID_AAC);
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;

    if (!c)
        return NULL;
    c->sample_fmt = AV_SAMPLE_FMT_FLTP;
    c->sample_rate = SAMPLE_RATE;
    c->bit_rate = 96000;
    c->time_base = (AVRational){ 1, SAMPLE_RATE };
    av_channel_layout_default(&c->ch_layout, 1);
    return encoder_open(v, c, codec);
}

static const char *video_open(struct video *v, const struct order *o, bool with_sound)
{
    uint8_t *buffer = av_malloc(IO_BUFFER);

    v->mux = avformat_alloc_context();
    if (!buffer || !v->mux)
        return "no memory";
    v->mux->oformat = av_guess_format("mp4", NULL, NULL);
    v->mux->pb = avio_alloc_context(buffer, IO_BUFFER, 1, v, NULL, io_write, io_seek);
    v->mux->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_BITEXACT;
    v->pictures = pictures_open(v, o);
    if (!v->mux->oformat || !v->mux->pb || !v->pictures)
        return "no H.264 encoder can be had";
    if (with_sound && !(v->sound = sound_open(v)))
        return "no AAC encoder can be had";
    return avformat_write_header(v->mux, NULL) < 0 ? "the output cannot be written" : NULL;
}

static void video_free(struct video *v)
{
    for (size_t i = 0; i < v->heard_count; i++)
        av_packet_free(&v->heard[i]);
    av_free(v->heard);
    av_audio_fifo_free(v->fifo);
    swr_free(&v->swr);
    avcodec_free_context(&v->pictures);
    avcodec_free_context(&v->sound);
    if (v->mux && v->mux->pb) {
        av_freep(&v->mux->pb->buffer);
        avio_context_free(&v->mux->pb);
    }
    avformat_free_context(v->mux);
}

/* ---- sound: all of it is encoded first, and written between the pictures ---- */

static void sound_encode(struct video *v, const AVFrame *frame)
{
    int e = avcodec_send_frame(v->sound, frame);

    while (!e) {
        AVPacket *p = av_packet_alloc();

        if (v->heard_count == v->heard_cap) {
            v->heard_cap = v->heard_cap ? 2 * v->heard_cap : 256;
            v->heard = av_realloc_f(v->heard, v->heard_cap, sizeof(AVPacket *));
        }
        if (!p || !v->heard) {
            v->failed = true;
            return;
        }
        e = avcodec_receive_packet(v->sound, p);
        if (e)
            av_packet_free(&p);
        else
            v->heard[v->heard_count++] = p;
    }
}

/* What is in the fifo, in frames of the encoder's size; at the end the rest too. */
static void fifo_encode(struct video *v, bool end)
{
    int size = v->sound->frame_size;

    while (!v->failed && v->samples < v->samples_max && av_audio_fifo_size(v->fifo) >= (end ? 1 : size)) {
        AVFrame *frame = av_frame_alloc();

        if (!frame) {
            v->failed = true;
            return;
        }
        frame->nb_samples = av_audio_fifo_size(v->fifo) < size ? av_audio_fifo_size(v->fifo) : size;
        if (frame->nb_samples > v->samples_max - v->samples)
            frame->nb_samples = (int)(v->samples_max - v->samples); /* the last */
        frame->format = v->sound->sample_fmt;
        frame->sample_rate = v->sound->sample_rate;
        (void)av_channel_layout_copy(&frame->ch_layout, &v->sound->ch_layout);
        frame->pts = v->samples;
        if (av_frame_get_buffer(frame, 0) < 0 ||
            av_audio_fifo_read(v->fifo, (void **)frame->data, frame->nb_samples) != frame->nb_samples)
            v->failed = true;
        v->samples += frame->nb_samples;
        if (!v->failed)
            sound_encode(v, frame);
        av_frame_free(&frame);
    }
}

/* For what comes from now on: a stream may change in its middle, and some do not say which channels they have. */
static bool swr_follow(struct video *v, AVFrame *frame)
{
    if (frame->ch_layout.order == AV_CHANNEL_ORDER_UNSPEC)
        av_channel_layout_default(&frame->ch_layout, frame->ch_layout.nb_channels);
    if (!v->fifo)
        v->fifo = av_audio_fifo_alloc(v->sound->sample_fmt, 1, v->sound->frame_size);
    if (!v->swr && (swr_alloc_set_opts2(&v->swr, &v->sound->ch_layout, v->sound->sample_fmt, v->sound->sample_rate,
                                        &frame->ch_layout, frame->format, frame->sample_rate, 0, NULL) < 0 ||
                    swr_init(v->swr) < 0))
        return false;
    return v->fifo;
}

static bool on_sound(void *arg, AVFrame *frame, int64_t at_us)
{
    struct video *v = arg;
    AVFrame      *as = av_frame_alloc();
    int           e;

    (void)at_us;
    v->failed = v->failed || !as || !swr_follow(v, frame);
    if (!v->failed) {
        as->format = v->sound->sample_fmt;
        as->sample_rate = v->sound->sample_rate;
        (void)av_channel_layout_copy(&as->ch_layout, &v->sound->ch_layout);
        e = swr_convert_frame(v->swr, as, frame);
        if (e == AVERROR_INPUT_CHANGED)
            swr_free(&v->swr); /* and this bit is left out */
        else if (!e && as->nb_samples)
            (void)av_audio_fifo_write(v->fifo, (void **)as->data, as->nb_samples);
        fifo_encode(v, false);
    }
    av_frame_free(&as);
    return !v->failed && v->samples < v->samples_max;
}

static void sound_read(struct video *v, const struct render_file *in, int64_t from_ms)
{
    struct facts f;

    v->samples_max =
        av_rescale(v->count_max, (int64_t)SAMPLE_RATE * v->pictures->time_base.num, v->pictures->time_base.den);
    (void)frames_read(in->fd, in->bytes, AVMEDIA_TYPE_AUDIO, from_ms, &f, on_sound, v); /* none: the video is silent */
    if (v->fifo)
        fifo_encode(v, true);
    sound_encode(v, NULL);
}

/* A tone that swells and falls, as long as the pictures. */
static void tone_write(struct video *v)
{
    float block[1024], *planes[1] = { block };

    v->samples_max =
        av_rescale(v->count_max, (int64_t)SAMPLE_RATE * v->pictures->time_base.num, v->pictures->time_base.den);
    v->fifo = av_audio_fifo_alloc(v->sound->sample_fmt, 1, v->sound->frame_size);
    v->failed = v->failed || !v->fifo;
    for (int64_t at = 0; at < v->samples_max && !v->failed; at += (int64_t)ARRAY_LEN(block)) {
        for (size_t i = 0; i < ARRAY_LEN(block); i++) {
            double s = (double)(at + (int64_t)i) / SAMPLE_RATE;

            block[i] = (float)(TONE_VOLUME * sin(2 * M_PI * TONE_HZ * s) * (0.6 + 0.4 * sin(M_PI * s)));
        }
        (void)av_audio_fifo_write(v->fifo, (void **)planes, ARRAY_LEN(block));
        fifo_encode(v, false);
    }
    if (v->fifo)
        fifo_encode(v, true);
    sound_encode(v, NULL);
}

static void packet_write(struct video *v, AVPacket *p, AVCodecContext *of, int stream)
{
    av_packet_rescale_ts(p, of->time_base, v->mux->streams[stream]->time_base);
    p->stream_index = stream;
    if (av_write_frame(v->mux, p) < 0)
        v->failed = true;
}

/* What is heard until then. */
static void sound_write(struct video *v, double until_s)
{
    while (v->heard_done < v->heard_count && (double)v->heard[v->heard_done]->pts / SAMPLE_RATE <= until_s)
        packet_write(v, v->heard[v->heard_done++], v->sound, 1);
}

/* ---- pictures ---- */

static void pictures_encode(struct video *v, const AVFrame *frame)
{
    AVPacket *p = av_packet_alloc();
    int       e = p ? avcodec_send_frame(v->pictures, frame) : AVERROR(ENOMEM);

    v->failed = v->failed || e;
    while (!e && !(e = avcodec_receive_packet(v->pictures, p))) {
        p->duration = 1;
        sound_write(v, (double)p->dts * av_q2d(v->pictures->time_base));
        packet_write(v, p, v->pictures, 0);
        av_packet_unref(p);
    }
    av_packet_free(&p);
}

/* A frame of the output's size, which is the caller's. False: no more are wanted. */
static bool picture_add(struct video *v, AVFrame *frame)
{
    frame->pts = v->count++;
    frame->pict_type = AV_PICTURE_TYPE_NONE;
    pictures_encode(v, frame);
    return !v->failed && v->count < v->count_max;
}

static AVFrame *yuv_new(int64_t width, int64_t height)
{
    AVFrame *f = av_frame_alloc();

    if (!f)
        return NULL;
    f->format = AV_PIX_FMT_YUV420P;
    f->width = (int)width;
    f->height = (int)height;
    if (av_frame_get_buffer(f, 0) < 0)
        av_frame_free(&f);
    return f;
}

/* The middle of rows of RGB, cut to the shape of `into` and brought to its size. */
static bool rgb_fit(const uint8_t *rgb, int width, int height, AVFrame *into)
{
    double             shape = (double)into->width / into->height;
    int                cut_width = width, cut_height = height;
    const uint8_t     *planes[4] = { NULL };
    int                lines[4] = { 3 * width };
    struct SwsContext *sws;
    bool               ok;

    if ((double)width / height > shape)
        cut_width = (int)fmax(1, round(height * shape));
    else
        cut_height = (int)fmax(1, round(width / shape));
    planes[0] =
        rgb + (size_t)3 * ((size_t)((height - cut_height) / 2) * (size_t)width + (size_t)((width - cut_width) / 2));
    sws = sws_getContext(cut_width, cut_height, AV_PIX_FMT_RGB24, into->width, into->height, AV_PIX_FMT_YUV420P,
                         SWS_BICUBIC, NULL, NULL, NULL);
    ok = sws && sws_scale(sws, planes, lines, 0, cut_height, into->data, into->linesize) == into->height;
    sws_freeContext(sws);
    return ok;
}

static int even(double x)
{
    return 2 * (int)floor(x / 2);
}

/* The window of the output's size at x, y (even) of a larger frame. */
static AVFrame *window(const AVFrame *of, int x, int y, int64_t width, int64_t height)
{
    AVFrame *f = av_frame_clone(of);

    if (!f)
        return NULL;
    f->data[0] += (ptrdiff_t)y * f->linesize[0] + x;
    f->data[1] += (ptrdiff_t)(y / 2) * f->linesize[1] + x / 2;
    f->data[2] += (ptrdiff_t)(y / 2) * f->linesize[2] + x / 2;
    f->width = (int)width;
    f->height = (int)height;
    return f;
}

/* There and back over the whole: once in the video's time across, twice up and down. */
static const char *still_write(struct video *v, const AVFrame *whole, const struct order *o)
{
    double margin_x = (double)(whole->width - o->width), margin_y = (double)(whole->height - o->height);
    bool   more = true;

    while (more) {
        double   t = 2 * M_PI * (double)v->count / (double)v->count_max;
        AVFrame *frame = window(whole, even(margin_x * (1 - cos(t)) / 2), even(margin_y * (1 - cos(2 * t)) / 2),
                                o->width, o->height);

        more = frame && picture_add(v, frame);
        v->failed = v->failed || !frame;
        av_frame_free(&frame);
    }
    return NULL;
}

/* The rows of the box, which is brought into the picture, moved to the begin. */
static void box_cut(uint8_t *rgb, int *width, int *height, const double box[4], double scale)
{
    int x1 = (int)fmin(fmax(0, box[0] * scale), *width - 1), y1 = (int)fmin(fmax(0, box[1] * scale), *height - 1);
    int x2 = (int)fmin(fmax(x1 + 1, box[2] * scale), *width), y2 = (int)fmin(fmax(y1 + 1, box[3] * scale), *height);

    for (int y = y1; y < y2; y++)
        memmove(rgb + (size_t)3 * (size_t)(y - y1) * (size_t)(x2 - x1),
                rgb + (size_t)3 * ((size_t)y * (size_t)*width + (size_t)x1), (size_t)3 * (size_t)(x2 - x1));
    *width = x2 - x1;
    *height = y2 - y1;
}

static const char *still_render(struct video *v, const struct order *o, const struct render_file *in)
{
    struct facts f;
    int          turns, width, height;
    AVFrame     *frame = frame_read(in->fd, in->bytes, 0, &f, &turns), *whole;
    uint8_t     *rgb = frame ? frame_rgb(frame, turns, SIDE_MAX, &width, &height) : NULL;
    double       shown = frame ? turns >= 5 ? frame->height : frame->width : 0;
    const char  *failed = NULL;

    whole = yuv_new(even((double)o->width * (1 + MARGIN)), even((double)o->height * (1 + MARGIN)));
    if (rgb && whole) {
        if (o->box[2] > 0)
            box_cut(rgb, &width, &height, o->box, width / shown);
        failed = rgb_fit(rgb, width, height, whole) ? still_write(v, whole, o) : "the picture cannot be converted";
    } else {
        failed = "the picture cannot be decoded";
    }
    av_free(rgb);
    av_frame_free(&frame);
    av_frame_free(&whole);
    return failed;
}

/* ---- a clip ---- */

struct clip {
    struct video *v;
    int64_t       from_us;
    AVFrame      *shown; /* the last that has come, of the output's size */
    bool          some, failed;
    int           turns;
};

/* The frame that was shown until now is repeated up to the time of the new one. */
static bool on_frame(void *arg, AVFrame *frame, int64_t at_us)
{
    struct clip  *c = arg;
    struct video *v = c->v;
    uint8_t      *rgb;
    int           width, height;

    while (c->some && (double)v->count * av_q2d(v->pictures->time_base) * 1e6 < (double)(at_us - c->from_us)) {
        if (av_frame_make_writable(c->shown) < 0 || !picture_add(v, c->shown))
            return false;
    }
    rgb = frame_rgb(frame, c->turns, SIDE_MAX, &width, &height);
    if (!rgb || av_frame_make_writable(c->shown) < 0 || !rgb_fit(rgb, width, height, c->shown))
        c->failed = true;
    av_free(rgb);
    c->some = true;
    return !c->failed;
}

static const char *clip_render(struct video *v, const struct order *o, const struct render_file *in)
{
    struct clip  c = { .v = v, .from_us = o->from_ms * 1000, .shown = yuv_new(o->width, o->height), .turns = 1 };
    struct facts f;
    AVFrame     *first = frame_read(in->fd, in->bytes, o->from_ms, &f, &c.turns);

    av_frame_free(&first);
    if (!c.shown || !frames_read(in->fd, in->bytes, AVMEDIA_TYPE_VIDEO, o->from_ms, &f, on_frame, &c) || !c.some ||
        c.failed) {
        av_frame_free(&c.shown);
        return "the clip cannot be decoded";
    }
    while (!v->failed && v->count < v->count_max) {
        if (av_frame_make_writable(c.shown) < 0 || !picture_add(v, c.shown))
            break;
    }
    av_frame_free(&c.shown);
    return NULL;
}

/* ---- an order ---- */

/* The size of what comes in, or of the box in it, and smaller when that is large. */
static void size_like(struct order *o, bool still, const struct render_file *in)
{
    struct facts f;
    int          turns = 1;
    AVFrame     *frame = frame_read(in->fd, in->bytes, o->from_ms, &f, &turns);
    double       width = 0, height = 0, by;

    if (frame) {
        width = turns >= 5 ? frame->height : frame->width;
        height = turns >= 5 ? frame->width : frame->height;
    }
    if (o->box[2] > 0) {
        width = fmin(width, o->box[2]) - o->box[0];
        height = fmin(height, o->box[3]) - o->box[1];
    }
    by = fmin(1, (still ? STILL_SIDE : CLIP_SIDE) / fmax(1, fmax(width, height)));
    o->width = llround(width * by);
    o->height = llround(height * by);
    av_frame_free(&frame);
}

static bool order_read(yyjson_val *request, bool still, const struct render_file *first, struct order *o)
{
    yyjson_val *box = json_get(request, "box");

    if (!json_to_num(json_get(request, "fps"), &o->fps))
        return false;
    (void)json_to_i64(json_get(request, "width"), &o->width);
    (void)json_to_i64(json_get(request, "height"), &o->height);
    (void)json_to_i64(json_get(request, "duration_ms"), &o->duration_ms);
    (void)json_to_i64(json_get(request, "from_ms"), &o->from_ms);
    o->keep_sound = yyjson_is_true(json_get(request, "keep_sound"));
    o->tone = yyjson_is_true(json_get(request, "sound"));
    for (size_t i = 0; box && i < 4; i++) {
        if (!json_to_num(yyjson_arr_get(box, i), &o->box[i]))
            return false;
    }
    if (first && (!o->width || !o->height))
        size_like(o, still, first);
    o->width &= ~(int64_t)1;
    o->height &= ~(int64_t)1;
    return o->width >= 16 && o->height >= 16 && o->width <= SIDE_MAX && o->height <= SIDE_MAX && o->fps >= 1 &&
           o->fps <= 120 && o->duration_ms >= 0 && o->duration_ms <= DURATION_MAX && o->from_ms >= 0;
}

static bool on_length(void *arg, AVFrame *frame, int64_t at_us)
{
    int64_t *end_us = arg;

    *end_us = at_us + av_rescale(frame->nb_samples, 1000000, frame->sample_rate ? frame->sample_rate : 1);
    return true;
}

/* A length that is not said is the sound's. */
static void length_decide(struct order *o, const struct render_file *sound)
{
    struct facts f;
    int64_t      end_us = 0;

    if (o->duration_ms || !sound)
        return;
    (void)frames_read(sound->fd, sound->bytes, AVMEDIA_TYPE_AUDIO, 0, &f, on_length, &end_us);
    o->duration_ms = end_us / 1000;
}

static const char *video_close(struct video *v, const char *failed)
{
    if (!failed) {
        pictures_encode(v, NULL);
        sound_write(v, HUGE_VAL);
        if (v->failed || av_write_trailer(v->mux) < 0)
            failed = "the video cannot be written";
    }
    video_free(v);
    return failed;
}

const char *video_render(yyjson_val *request, bool still, const struct render_file *in, size_t in_count, int out)
{
    struct order o = { 0 };
    struct video v = { .fd = out };
    const char  *failed;

    if (!order_read(request, still, &in[0], &o))
        return "the size, fps or duration is out of range";
    length_decide(&o, in_count == 2 ? &in[1] : NULL);
    v.count_max = (int64_t)fmax(1, round((double)o.duration_ms * o.fps / 1000));
    failed = video_open(&v, &o, in_count == 2 || o.keep_sound || o.tone);
    if (!failed && v.sound && (in_count == 2 || o.keep_sound))
        sound_read(&v, &in[in_count - 1], in_count == 2 ? 0 : o.from_ms);
    else if (!failed && v.sound)
        tone_write(&v);
    if (!failed)
        failed = still ? still_render(&v, &o, &in[0]) : clip_render(&v, &o, &in[0]);
    return video_close(&v, failed);
}

static const char *canvas_write(struct video *v, const struct order *o, video_draw_fn *draw, void *arg)
{
    struct canvas c;
    AVFrame      *frame = yuv_new(o->width, o->height);
    bool          more = canvas_new(&c, o->width, o->height) && frame;
    const char   *failed = more ? NULL : "no memory";

    while (more) {
        draw(arg, &c, v->count_max > 1 ? (double)v->count / (double)(v->count_max - 1) : 0);
        if (av_frame_make_writable(frame) < 0 || !rgb_fit(c.rgb, c.width, c.height, frame))
            failed = "a frame cannot be converted";
        more = !failed && picture_add(v, frame);
    }
    canvas_free(&c);
    av_frame_free(&frame);
    return failed;
}

const char *video_drawn(yyjson_val *request, video_draw_fn *draw, void *arg, const struct render_file *sound, int out)
{
    struct order o = { 0 };
    struct video v = { .fd = out };
    const char  *failed;

    if (!order_read(request, true, NULL, &o))
        return "the size, fps or duration is out of range";
    length_decide(&o, sound);
    v.count_max = (int64_t)fmax(1, round((double)o.duration_ms * o.fps / 1000));
    failed = video_open(&v, &o, sound || o.tone);
    if (!failed && sound)
        sound_read(&v, sound, 0);
    else if (!failed && o.tone)
        tone_write(&v);
    if (!failed)
        failed = canvas_write(&v, &o, draw, arg);
    return video_close(&v, failed);
}
