/* inspect.c - on FFmpeg's libraries. Pictures are handed to their decoder whole, everything else is taken apart by its
 * demuxer; both read through a context of our own and can open nothing else. */
#include "inspect.h"

#include "frame.h"
#include "picture.h"

#include "base/num.h"

#include <errno.h>
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/display.h>
#include <libavutil/intreadwrite.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
#include <math.h>
#include <unistd.h>

#define PIXELS_MAX    100000000           /* 10,000 x 10,000 */
#define PICTURE_BYTES ((int64_t)64 << 20) /* of a picture's file */
#define DECODE_PIXELS 300000000           /* of a video, on the way to its middle */
#define LUMA_SIDE     256                 /* of the small grey picture whose mean is taken */
#define STREAMS_MAX   32
#define PROBE_SCORE   (AVPROBE_SCORE_RETRY + 1) /* random bytes look like MP3 to some degree */
#define HEAD_BYTES    ((int64_t)64 << 20)       /* read before the streams are known */
#define IO_BUFFER     32768

/* What is opened: FFmpeg's names, and ours of the wire. Those that name other files (hls, concat, dash, image2, …) and
 * those that take any bytes are not among them. */
static const struct {
    const char *demuxer, *format;
} formats[] = {
    { "mov,mp4,m4a,3gp,3g2,mj2", "mp4" },
    { "matroska,webm", "mkv" },
    { "avi", "avi" },
    { "flv", "flv" },
    { "mpegts", "ts" },
    { "mpeg", "mpeg" },
    { "mxf", "mxf" },
    { "asf", "asf" },
    { "mp3", "mp3" },
    { "wav", "wav" },
    { "ogg", "ogg" },
    { "flac", "flac" },
    { "aac", "aac" },
    { "amr", "amr" },
    { "aiff", "aiff" },
};

static const char codecs[] =
    "png,apng,mjpeg,gif,webp,bmp,tiff,h264,hevc,vp8,vp9,libdav1d,av1,mpeg4,mpeg2video,mpeg1video,h263,flv,theora,prores,"
    "msmpeg4,wmv1,wmv2,wmv3,vc1,rawvideo,aac,mp3,mp3float,mp2,mp2float,vorbis,opus,libopus,flac,alac,ac3,eac3,amrnb,amrwb,"
    "wmav1,wmav2,pcm_s16le,pcm_s16be,pcm_s24le,pcm_s24be,pcm_s32le,pcm_s32be,pcm_u8,pcm_f32le,pcm_f64le,pcm_alaw,pcm_mulaw,"
    "adpcm_ms,adpcm_ima_wav";

struct file {
    int     fd;
    int64_t size, at;
    int64_t
        left; /* bytes that may still be read before the streams are known: some heads can be made to go on for ever */
};

/* ---- what the libraries say ---- */

static char said[200]; /* the first error of this inspection */

static void on_log(void *of, int level, const char *fmt, va_list args)
{
    size_t len;

    (void)of;
    if (level > AV_LOG_ERROR || said[0])
        return;
    (void)vsnprintf(said, sizeof(said), fmt, args);
    len = strlen(said);
    while (len && (said[len - 1] == '\n' || said[len - 1] == ' '))
        said[--len] = 0;
}

static void complain(struct facts *f, const char *what, int code)
{
    char text[AV_ERROR_MAX_STRING_SIZE] = "";

    if (f->error[0])
        return;
    if (code)
        (void)av_strerror(code, text, sizeof(text));
    (void)snprintf(f->error, sizeof(f->error), "%s%s%s", what, said[0] || code ? ": " : "", said[0] ? said : text);
}

void inspect_begin(void)
{
    av_log_set_callback(on_log);
}

/* ---- the file ---- */

static int64_t file_read(struct file *f, void *into, int64_t len)
{
    int64_t done = 0;

    while (done < len) {
        ssize_t n = pread(f->fd, (char *)into + done, (size_t)(len - done), f->at + done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += n;
    }
    f->at += done;
    return done;
}

static int io_read(void *of, uint8_t *into, int len)
{
    struct file *f = of;
    int64_t      n = f->at < f->size && f->left > 0 ? file_read(f, into, min_i64(len, f->size - f->at)) : 0;

    f->left -= max_i64(n, 0);
    return n < 0 ? AVERROR(EIO) : n == 0 ? AVERROR_EOF : (int)n;
}

static int64_t io_seek(void *of, int64_t to, int whence)
{
    struct file *f = of;

    switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
        return f->size;
    case SEEK_SET:
        break;
    case SEEK_CUR:
        to += f->at;
        break;
    case SEEK_END:
        to += f->size;
        break;
    default:
        return AVERROR(EINVAL);
    }
    if (to < 0)
        return AVERROR(EINVAL);
    f->at = to;
    return to;
}

/* A format that names another file or an address gets neither. */
static int io_refuse(AVFormatContext *c, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
    (void)c, (void)pb, (void)url, (void)flags, (void)options;
    return AVERROR(EACCES);
}

/* ---- a frame ---- */

/* Quarter turns swap the sides. */
static void turn(struct facts *f, int64_t width, int64_t height, bool quarter)
{
    f->width = quarter ? height : width;
    f->height = quarter ? width : height;
}

/* As an Exif orientation; mirrors are left out. */
static int matrix_turns(const int32_t *matrix)
{
    static const int by_quarter[] = { 1, 6, 3, 8 }; /* clockwise */
    double           angle = av_display_rotation_get(matrix);

    return isnan(angle) ? 1 : by_quarter[(lround(-angle / 90) + 4) % 4];
}

static int frame_turns(const AVFrame *frame)
{
    const AVFrameSideData   *side = av_frame_get_side_data(frame, AV_FRAME_DATA_DISPLAYMATRIX);
    const AVDictionaryEntry *tag = av_dict_get(frame->metadata, "Orientation", NULL, 0);
    int64_t                  orientation;

    if (side && side->size >= 9 * sizeof(int32_t))
        return matrix_turns((const int32_t *)side->data);
    return tag && str_to_i64(str_trim(str_from_cstr(tag->value)), &orientation) && orientation >= 1 && orientation <= 8
               ? (int)orientation
               : 1;
}

static void look_at_luma(struct facts *f, const AVFrame *frame)
{
    int side = LUMA_SIDE;
    int width = frame->width < side ? frame->width : side, height = frame->height < side ? frame->height : side;
    struct SwsContext *sws;
    AVFrame           *grey = av_frame_alloc();
    uint64_t           sum = 0;

    if (!grey)
        return;
    grey->format = AV_PIX_FMT_GRAY8;
    grey->width = width;
    grey->height = height;
    sws = sws_getContext(frame->width, frame->height, frame->format, width, height, AV_PIX_FMT_GRAY8,
                         SWS_AREA | SWS_ACCURATE_RND, NULL, NULL, NULL);
    if (sws && frame->color_range == AVCOL_RANGE_JPEG) {
        const int *as = sws_getCoefficients(SWS_CS_DEFAULT);

        (void)sws_setColorspaceDetails(sws, as, 1, as, 1, 0, 1 << 16, 1 << 16);
    }
    if (sws && av_frame_get_buffer(grey, 0) == 0 &&
        sws_scale(sws, (const uint8_t *const *)frame->data, frame->linesize, 0, frame->height, grey->data,
                  grey->linesize) == height) {
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++)
                sum += grey->data[0][y * grey->linesize[0] + x];
        }
        f->brightness = round(10.0 * (double)sum / ((double)width * height)) / 10;
    }
    sws_freeContext(sws);
    av_frame_free(&grey);
}

/* Some pixel is not opaque. Only formats of 8 bits are looked at; the others have a channel or not. */
static bool frame_is_transparent(const AVFrame *frame, const AVPixFmtDescriptor *d)
{
    const AVComponentDescriptor *c = &d->comp[d->nb_components - 1];

    if (c->depth != 8)
        return true;
    for (int y = 0; y < frame->height; y++) {
        const uint8_t *row = frame->data[c->plane] + (ptrdiff_t)y * frame->linesize[c->plane] + c->offset;

        for (int x = 0; x < frame->width; x++) {
            if (row[(ptrdiff_t)x * c->step] != 255)
                return true;
        }
    }
    return false;
}

static bool palette_is_transparent(const AVFrame *frame)
{
    const uint32_t *palette = (const uint32_t *)frame->data[1];
    bool            used[256] = { false };

    for (int y = 0; y < frame->height; y++) {
        for (int x = 0; x < frame->width; x++)
            used[frame->data[0][(ptrdiff_t)y * frame->linesize[0] + x]] = true;
    }
    for (int i = 0; i < 256; i++) {
        if (used[i] && palette[i] >> 24 != 255)
            return true;
    }
    return false;
}

static void look_at_alpha(struct facts *f, const AVFrame *frame, bool always)
{
    const AVPixFmtDescriptor *d = av_pix_fmt_desc_get(frame->format);

    if (!d)
        return;
    if (d->flags & AV_PIX_FMT_FLAG_PAL)
        f->alpha = palette_is_transparent(frame);
    else if (d->flags & AV_PIX_FMT_FLAG_ALPHA)
        f->alpha = always || frame_is_transparent(frame, d);
}

static AVCodecContext *decoder_open(enum AVCodecID id, const AVCodecParameters *as)
{
    const AVCodec  *codec = avcodec_find_decoder(id);
    AVCodecContext *c = codec ? avcodec_alloc_context3(codec) : NULL;

    if (!c)
        return NULL;
    c->thread_count = 1;
    c->max_pixels = PIXELS_MAX;
    c->codec_whitelist = av_strdup(codecs);
    if (c->codec_whitelist && (!as || avcodec_parameters_to_context(c, as) >= 0) && avcodec_open2(c, codec, NULL) >= 0)
        return c;
    avcodec_free_context(&c);
    return NULL;
}

/* ---- pictures ---- */

static const enum AVCodecID picture_codecs[] = {
    [PICTURE_NONE] = AV_CODEC_ID_NONE, [PICTURE_PNG] = AV_CODEC_ID_PNG,   [PICTURE_JPEG] = AV_CODEC_ID_MJPEG,
    [PICTURE_GIF] = AV_CODEC_ID_GIF,   [PICTURE_WEBP] = AV_CODEC_ID_WEBP, [PICTURE_BMP] = AV_CODEC_ID_BMP,
    [PICTURE_TIFF] = AV_CODEC_ID_TIFF,
};

/* NULL, and a complaint, when it cannot be decoded. */
static AVFrame *picture_decode(struct facts *f, enum picture_format format, AVPacket *packet)
{
    AVCodecContext *c = decoder_open(picture_codecs[format], NULL);
    AVFrame        *frame = av_frame_alloc();
    int             e = c && frame ? avcodec_send_packet(c, packet) : AVERROR(ENOMEM);

    if (!e)
        e = avcodec_receive_frame(c, frame);
    if (e == AVERROR(EAGAIN) && !avcodec_send_packet(c, NULL))
        e = avcodec_receive_frame(c, frame);
    if (e) {
        complain(f, "it cannot be decoded", e);
        av_frame_free(&frame);
    }
    avcodec_free_context(&c);
    return frame;
}

/* The whole file; NULL, and a complaint, when it is too large or cannot be read. */
static AVPacket *picture_load(struct facts *f, struct file *file)
{
    AVPacket *packet = av_packet_alloc();

    if (f->bytes > PICTURE_BYTES || !packet || av_new_packet(packet, (int)f->bytes)) {
        complain(f, "it is too large a file", 0);
        av_packet_free(&packet);
        return NULL;
    }
    file->at = 0;
    if (file_read(file, packet->data, f->bytes) != f->bytes) {
        complain(f, "it cannot be read", 0);
        av_packet_free(&packet);
    }
    return packet;
}

static void picture_inspect(struct facts *f, struct file *file, enum picture_format format)
{
    AVPacket      *packet;
    AVFrame       *frame;
    struct picture p;

    f->kind = "image";
    f->format = picture_format_name(format);
    f->frames = 1;
    packet = picture_load(f, file);
    if (!packet)
        return;
    p = picture_read(format, str_of((const char *)packet->data, (size_t)f->bytes));
    f->truncated = !p.complete;
    f->frames = p.frames;
    f->animated = p.frames > 1;
    f->duration_ms = p.duration_ms;
    if (f->animated && p.duration_ms)
        f->fps = (double)p.frames * 1000 / (double)p.duration_ms;
    f->width = p.width;
    f->height = p.height;
    frame = picture_decode(f, format, packet);
    if (frame) {
        turn(f, frame->width, frame->height, frame_turns(frame) >= 5);
        look_at_luma(f, frame);
        look_at_alpha(f, frame, format != PICTURE_GIF && format != PICTURE_WEBP);
    }
    av_frame_free(&frame);
    av_packet_free(&packet);
}

/* ---- everything else ---- */

static const char *format_of(const AVInputFormat *in)
{
    for (size_t i = 0; in && i < ARRAY_LEN(formats); i++) {
        if (strcmp(formats[i].demuxer, in->name) == 0)
            return formats[i].format;
    }
    return NULL;
}

/* What FFmpeg reads with one demuxer and the wire tells apart. `head` is the first 64 bytes. */
static const char *format_narrow(const char *format, str head)
{
    static const struct {
        const char *brand, *format;
    } brands[] = { { "qt  ", "mov" },  { "avif", "avif" }, { "avis", "avif" }, { "heic", "heic" }, { "heix", "heic" },
                   { "mif1", "heic" }, { "msf1", "heic" }, { "3gp", "3gp" },   { "M4A ", "m4a" } };

    if (strcmp(format, "mp4") == 0 && str_eq(str_first(str_from(head, 4), 4), S("ftyp"))) {
        for (size_t i = 0; i < ARRAY_LEN(brands); i++) {
            if (str_starts(str_from(head, 8), str_from_cstr(brands[i].brand)))
                return brands[i].format;
        }
    } else if (strcmp(format, "mp4") == 0) {
        return "mov"; /* no brand: QuickTime's own files of old */
    }
    if (strcmp(format, "mkv") == 0 && str_find_str(head, S("webm")) != STR_NONE)
        return "webm";
    return format;
}

/* Whether the length that the file states goes beyond it. Files that were written as a stream state none. */
static bool riff_is_cut(const struct file *file, str head)
{
    const uint8_t *p = (const uint8_t *)head.ptr;
    uint64_t       len;

    if (!str_starts(head, S("RIFF")) || head.len < 8)
        return false;
    len = AV_RL32(p + 4);
    return len < INT32_MAX && len + 8 > (uint64_t)file->size;
}

/* The same of the boxes of MP4 and MOV: size, type, content. */
static bool boxes_are_cut(const struct file *of)
{
    struct file file = *of;
    int64_t     begin = 0;

    while (begin < file.size) {
        uint8_t  p[16] = { 0 };
        int64_t  got;
        uint64_t len;

        file.at = begin;
        got = file_read(&file, p, sizeof(p));
        len = AV_RB32(p);
        if (len == 1)
            len = AV_RB64(p + 8);
        else if (len == 0 && got >= 8)
            return false; /* up to the end */
        if (got < 8 || len > (uint64_t)(file.size - begin))
            return true;
        if (len < 8)
            return false; /* no box: the demuxer will say */
        begin += (int64_t)len;
    }
    return false;
}

/* A number of Matroska at `i`, which is moved behind it; -1: it is not there, or says that the size is not known. */
static int64_t ebml_number(str s, size_t *i)
{
    size_t  len = 1;
    int64_t n;
    bool    ones;

    if (*i >= s.len || !s.ptr[*i])
        return -1;
    n = (uint8_t)s.ptr[*i];
    while (!(n << (len - 1) & 0x80))
        len++;
    n &= 0x7f >> (len - 1);
    ones = n == 0x7f >> (len - 1);
    if (*i + len > s.len)
        return -1;
    for (size_t k = 1; k < len; k++) {
        ones = ones && (uint8_t)s.ptr[*i + k] == 0xff;
        n = n << 8 | (uint8_t)s.ptr[*i + k];
    }
    *i += len;
    return ones ? -1 : n;
}

/* The same of Matroska's one segment, behind its header. */
static bool segment_is_cut(const struct file *file, str head)
{
    size_t  i = 4;
    int64_t len = ebml_number(head, &i);

    if (len < 0 || len > (int64_t)(head.len - i))
        return false;
    i += (size_t)len;
    if (!str_starts(str_from(head, i), S("\x18\x53\x80\x67")))
        return false;
    i += 4;
    len = ebml_number(head, &i);
    return len > file->size - (int64_t)i;
}

static bool is_cut(const struct file *file, const char *format, str head)
{
    if (strcmp(format, "mkv") == 0 || strcmp(format, "webm") == 0)
        return segment_is_cut(file, head);
    if (strcmp(format, "wav") == 0 || strcmp(format, "avi") == 0)
        return riff_is_cut(file, head);
    return str_starts(str_from(head, 4), S("ftyp")) && boxes_are_cut(file);
}

static const int32_t *matrix_of(const AVStream *s)
{
#if LIBAVCODEC_VERSION_INT >= AV_VERSION_INT(60, 31, 100)
    const AVPacketSideData *side = av_packet_side_data_get(s->codecpar->coded_side_data,
                                                           s->codecpar->nb_coded_side_data, AV_PKT_DATA_DISPLAYMATRIX);

    return side && side->size >= 9 * sizeof(int32_t) ? (const int32_t *)side->data : NULL;
#else
    size_t         size;
    const uint8_t *data = av_stream_get_side_data(s, AV_PKT_DATA_DISPLAYMATRIX, &size);

    return data && size >= 9 * sizeof(int32_t) ? (const int32_t *)data : NULL;
#endif
}

static int64_t to_ms(int64_t t, AVRational base)
{
    return av_rescale_q(t, base, (AVRational){ 1, 1000 });
}

struct tracks {
    AVStream *video, *audio; /* NULL: none */
    int64_t   packets;       /* of the video that are shown */
    int64_t   first_ms, end_ms;
};

static void tracks_find(AVFormatContext *c, struct tracks *t)
{
    for (unsigned i = 0; i < c->nb_streams; i++) {
        AVStream *s = c->streams[i];

        if (s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !(s->disposition & AV_DISPOSITION_ATTACHED_PIC) &&
            !t->video)
            t->video = s;
        else if (s->codecpar->codec_type == AVMEDIA_TYPE_AUDIO && !t->audio)
            t->audio = s;
        else
            s->discard = AVDISCARD_ALL;
    }
}

/* An index that says where all packets lie (MP4 and MOV) need not be followed through the file. */
static bool index_read(struct facts *f, const struct tracks *t)
{
    AVStream *all[] = { t->video, t->audio };
    bool      found = false;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        int count = all[i] ? avformat_index_get_entries_count(all[i]) : 0;

        if (all[i] && (!all[i]->nb_frames || count < all[i]->nb_frames))
            return false;
        for (int n = 0; n < count; n++) {
            const AVIndexEntry *e = avformat_index_get_entry(all[i], n);

            if (e->pos + e->size > f->bytes)
                f->truncated = true;
        }
        found = found || count;
    }
    return found;
}

/* All packets, undecoded: how many, until when, and whether the last is whole. */
static void packets_read(AVFormatContext *c, struct facts *f, struct tracks *t)
{
    AVPacket *p = av_packet_alloc();
    int       e = p ? 0 : AVERROR(ENOMEM);

    t->first_ms = INT64_MAX;
    while (e >= 0 && (e = av_read_frame(c, p)) >= 0) {
        AVStream *s = c->streams[p->stream_index];

        if (s == t->video && !(p->flags & AV_PKT_FLAG_DISCARD))
            t->packets++;
        if (p->flags & AV_PKT_FLAG_CORRUPT)
            f->truncated = true;
        if ((s == t->video || s == t->audio) && p->pts != AV_NOPTS_VALUE) {
            t->first_ms = min_i64(t->first_ms, to_ms(p->pts, s->time_base));
            t->end_ms = max_i64(t->end_ms, to_ms(p->pts + p->duration, s->time_base));
        }
        av_packet_unref(p);
    }
    if (e != AVERROR_EOF)
        f->truncated = true;
    av_packet_free(&p);
}

/* Decodes until `until_ms`; the last frame that came is in `last`. */
static int decode_until(AVFormatContext *c, AVCodecContext *d, const AVStream *video, int64_t until_ms, AVFrame *last)
{
    AVPacket *p = av_packet_alloc();
    AVFrame  *frame = av_frame_alloc();
    int64_t   pixels = 0;
    int       e = p && frame ? 0 : AVERROR(ENOMEM);
    bool      reached = false;

    while (!e && !reached && pixels < DECODE_PIXELS) {
        e = av_read_frame(c, p);
        if (!e && c->streams[p->stream_index] != video) {
            av_packet_unref(p);
            continue;
        }
        (void)avcodec_send_packet(d, e ? NULL : p); /* a broken one is passed over */
        av_packet_unref(p);
        while (!reached && avcodec_receive_frame(d, frame) >= 0) {
            int64_t t = frame->best_effort_timestamp;

            pixels += (int64_t)frame->width * frame->height;
            reached = t == AV_NOPTS_VALUE || to_ms(t, video->time_base) >= until_ms;
            av_frame_unref(last);
            av_frame_move_ref(last, frame);
        }
    }
    av_packet_free(&p);
    av_frame_free(&frame);
    return e == AVERROR_EOF ? 0 : e;
}

/* The frame that is shown at `at_ms` of the video; NULL, and a complaint, when none can be decoded. */
static AVFrame *video_decode(AVFormatContext *c, struct facts *f, AVStream *video, int64_t at_ms)
{
    AVCodecContext *d = decoder_open(video->codecpar->codec_id, video->codecpar);
    AVFrame        *last = av_frame_alloc();
    int64_t         at = (c->start_time == AV_NOPTS_VALUE ? 0 : c->start_time) + at_ms * 1000;
    int             e = d && last ? 0 : AVERROR(ENOMEM);

    if (!e && avformat_seek_file(c, -1, INT64_MIN, at, at, 0) >= 0)
        e = decode_until(c, d, video, at / 1000, last);
    if (!e && !last->width &&
        (av_seek_frame(c, -1, 0, AVSEEK_FLAG_BYTE) >= 0 ||
         av_seek_frame(c, video->index, 0, AVSEEK_FLAG_BACKWARD) >= 0)) {
        avcodec_flush_buffers(d); /* no key frame was found there: from the beginning */
        e = decode_until(c, d, video, at / 1000, last);
    }
    if (!last || !last->width) {
        complain(f, "no frame can be decoded", e);
        av_frame_free(&last);
    }
    avcodec_free_context(&d);
    return last;
}

static void look_at_middle(AVFormatContext *c, struct facts *f, const struct tracks *t)
{
    AVFrame *frame = video_decode(c, f, t->video, f->duration_ms / 2);

    if (frame) {
        look_at_luma(f, frame);
        look_at_alpha(f, frame, true);
    }
    av_frame_free(&frame);
}

static void video_facts(AVFormatContext *c, struct facts *f, const struct tracks *t)
{
    const AVCodecParameters *par = t->video->codecpar;
    AVRational               rate = t->video->avg_frame_rate.num ? t->video->avg_frame_rate : t->video->r_frame_rate;
    const int32_t           *matrix = matrix_of(t->video);

    f->video_codec = avcodec_get_name(par->codec_id);
    turn(f, par->width, par->height, matrix && matrix_turns(matrix) >= 5);
    f->frames = t->packets ? t->packets : t->video->nb_frames;
    if (rate.num > 0 && rate.den > 0)
        f->fps = av_q2d(rate);
    else if (f->duration_ms > 0)
        f->fps = (double)f->frames * 1000 / (double)f->duration_ms;
    if ((int64_t)par->width * par->height > PIXELS_MAX)
        complain(f, "it has too many pixels", 0);
    else
        look_at_middle(c, f, t);
}

static void duration_facts(const AVFormatContext *c, struct facts *f, const struct tracks *t)
{
    int64_t declared = c->duration > 0 ? (c->duration + 500) / 1000 : 0;
    int64_t seen = t->end_ms > 0 && t->first_ms != INT64_MAX ? t->end_ms - t->first_ms : 0;
    bool    guessed = c->duration_estimation_method == AVFMT_DURATION_FROM_BITRATE;

    f->duration_ms = declared && !(guessed && seen) ? declared : seen;
    if (!guessed && seen && declared - seen > 150 + declared / 100)
        f->truncated = true;
    if (f->truncated && seen)
        f->duration_ms = seen; /* what is there */
}

static void streams_inspect(AVFormatContext *c, struct facts *f, void *arg)
{
    struct tracks t = { 0 };
    bool          picture = strcmp(f->format, "avif") == 0 || strcmp(f->format, "heic") == 0;

    (void)arg;
    tracks_find(c, &t);
    if (!t.video && !t.audio) {
        complain(f, "it has neither pictures nor sound", 0);
        return;
    }
    f->kind = picture ? "image" : t.video ? "video" : "audio";
    if (strcmp(f->format, "wav") != 0 && !index_read(f, &t))
        packets_read(c, f, &t); /* the head of a WAV says it all */
    duration_facts(c, f, &t);
    if (t.audio) {
        f->audio_codec = avcodec_get_name(t.audio->codecpar->codec_id);
        f->sample_rate = t.audio->codecpar->sample_rate;
        f->channels = t.audio->codecpar->ch_layout.nb_channels;
    }
    if (t.video)
        video_facts(c, f, &t);
    if (picture) {
        f->animated = f->frames > 1;
        if (!f->animated)
            f->duration_ms = 0, f->fps = 0;
    }
}

/* `c` is freed when it cannot be opened. */
static bool demuxer_open(AVFormatContext **c, AVIOContext *io, const AVInputFormat *in, struct facts *f)
{
    AVDictionary *each[STREAMS_MAX] = { NULL };
    int           e;

    (*c)->pb = io;
    (*c)->io_open = io_refuse;
    (*c)->flags |= AVFMT_FLAG_CUSTOM_IO;
    (*c)->max_streams = STREAMS_MAX;
    (*c)->codec_whitelist = av_strdup(codecs);
    e = avformat_open_input(c, "", in, NULL);
    if (e) {
        f->truncated = f->truncated || e == AVERROR_EOF;
        complain(f, "it cannot be opened", e);
        return false;
    }
    for (unsigned i = 0; i < (*c)->nb_streams && i < STREAMS_MAX; i++) {
        (void)av_dict_set(&each[i], "threads", "1", 0);
        (void)av_dict_set_int(&each[i], "max_pixels", PIXELS_MAX, 0);
    }
    if ((*c)->nb_streams <= STREAMS_MAX && (e = avformat_find_stream_info(*c, (*c)->nb_streams ? each : NULL)) < 0)
        complain(f, "its content cannot be read", e);
    for (size_t i = 0; i < ARRAY_LEN(each); i++)
        av_dict_free(&each[i]);
    return true;
}

/* Until its streams are known. */
static const char *kind_of(const char *format)
{
    static const char *const kinds[][2] = { { "avif", "image" }, { "heic", "image" }, { "mp3", "audio" },
                                            { "wav", "audio" },  { "ogg", "audio" },  { "flac", "audio" },
                                            { "aac", "audio" },  { "amr", "audio" },  { "aiff", "audio" },
                                            { "m4a", "audio" } };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strcmp(kinds[i][0], format) == 0)
            return kinds[i][1];
    }
    return "video";
}

/* What is done with what was opened. */
typedef void container_fn(AVFormatContext *c, struct facts *f, void *arg);

static void container_open(struct facts *f, struct file *file, str head, container_fn *then, void *arg)
{
    uint8_t             *buffer = av_malloc(IO_BUFFER);
    AVIOContext         *io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 0, file, io_read, NULL, io_seek) : NULL;
    AVFormatContext     *c = avformat_alloc_context();
    const AVInputFormat *in = NULL;
    const char          *format;
    int                  score = io && c ? av_probe_input_buffer2(io, &in, "", NULL, 0, 0) : AVERROR(ENOMEM);

    format = format_of(in);
    if (score < PROBE_SCORE || !format) {
        complain(f, "it is of no known format", 0);
    } else {
        f->format = format_narrow(format, head);
        f->kind = kind_of(f->format);
        f->truncated = is_cut(file, f->format, head);
        said[0] = 0; /* of the probe */
        if (demuxer_open(&c, io, in, f)) {
            file->left = INT64_MAX;
            then(c, f, arg);
        }
    }
    avformat_close_input(&c);
    if (io)
        av_freep(&io->buffer);
    avio_context_free(&io);
}

/* ---- the answer ---- */

static void add_text(struct buf *out, str before, const char *text)
{
    buf_add(out, before);
    json_add_lossy(out, str_from_cstr(text));
}

static void add_bool(struct buf *out, str before, bool v)
{
    buf_add(out, before);
    buf_add(out, v ? S("true") : S("false"));
}

void facts_write(const struct facts *f, struct buf *out)
{
    add_text(out, S("{\"kind\":"), f->kind);
    add_text(out, S(",\"format\":"), f->format);
    json_add_count(out, S(",\"bytes\":"), f->bytes);
    json_add_count(out, S(",\"width\":"), f->width);
    json_add_count(out, S(",\"height\":"), f->height);
    json_add_count(out, S(",\"frames\":"), f->frames);
    buf_add(out, S(",\"fps\":"));
    json_add_num(out, round(f->fps * 1000) / 1000);
    json_add_count(out, S(",\"duration_ms\":"), f->duration_ms);
    add_text(out, S(",\"video_codec\":"), f->video_codec);
    add_text(out, S(",\"audio_codec\":"), f->audio_codec);
    json_add_count(out, S(",\"sample_rate\":"), f->sample_rate);
    json_add_count(out, S(",\"channels\":"), f->channels);
    buf_add(out, S(",\"brightness\":"));
    if (f->brightness < 0)
        buf_add(out, S("null"));
    else
        json_add_num(out, f->brightness);
    add_bool(out, S(",\"alpha\":"), f->alpha);
    add_bool(out, S(",\"animated\":"), f->animated);
    add_bool(out, S(",\"truncated\":"), f->truncated);
    add_text(out, S(",\"error\":"), f->error);
}

/* What a file begins with, and whether that is a picture's. False, and a complaint, when there is nothing. */
static bool head_read(struct facts *f, struct file *file, char *head, size_t cap, str *ret_head,
                      enum picture_format *ret)
{
    int64_t n = file_read(file, head, min_i64(file->size, (int64_t)cap));

    said[0] = 0;
    file->at = 0;
    if (n <= 0) {
        complain(f, n < 0 ? "it cannot be read" : "it is empty", 0);
        return false;
    }
    *ret_head = str_of(head, (size_t)n);
    *ret = picture_format(*ret_head);
    return true;
}

void inspect(int fd, int64_t bytes, struct buf *out)
{
    struct facts        f = FACTS_NONE;
    struct file         file = { .fd = fd, .size = bytes, .left = HEAD_BYTES };
    enum picture_format picture;
    char                bytes_64[64];
    str                 head;

    f.bytes = bytes;
    if (head_read(&f, &file, bytes_64, sizeof(bytes_64), &head, &picture)) {
        if (picture)
            picture_inspect(&f, &file, picture);
        else
            container_open(&f, &file, head, streams_inspect, NULL);
    }
    facts_write(&f, out);
}

struct frame_wanted {
    int64_t  at_ms;
    AVFrame *frame;
    int      turns;
};

static void stream_decode(AVFormatContext *c, struct facts *f, void *arg)
{
    struct frame_wanted *w = arg;
    struct tracks        t = { 0 };
    const int32_t       *matrix;

    tracks_find(c, &t);
    if (!t.video) {
        complain(f, "it has no pictures", 0);
        return;
    }
    matrix = matrix_of(t.video);
    w->turns = matrix ? matrix_turns(matrix) : 1;
    if ((int64_t)t.video->codecpar->width * t.video->codecpar->height > PIXELS_MAX)
        complain(f, "it has too many pixels", 0);
    else
        w->frame = video_decode(c, f, t.video, w->at_ms);
}

AVFrame *frame_read(int fd, int64_t bytes, int64_t at_ms, struct facts *f, int *ret_turns)
{
    struct frame_wanted w = { .at_ms = at_ms, .turns = 1 };
    struct file         file = { .fd = fd, .size = bytes, .left = HEAD_BYTES };
    enum picture_format picture;
    char                bytes_64[64];
    str                 head;

    *f = FACTS_NONE;
    f->bytes = bytes;
    if (head_read(f, &file, bytes_64, sizeof(bytes_64), &head, &picture)) {
        AVPacket *packet = picture ? picture_load(f, &file) : NULL;

        if (packet) {
            w.frame = picture_decode(f, picture, packet);
            w.turns = w.frame ? frame_turns(w.frame) : 1;
        } else if (!picture) {
            container_open(f, &file, head, stream_decode, &w);
        }
        av_packet_free(&packet);
    }
    if (w.frame)
        look_at_luma(f, w.frame);
    *ret_turns = w.turns;
    return w.frame;
}

/* ---- all frames ---- */

struct frames_wanted {
    enum AVMediaType type;
    int64_t          from_ms;
    frame_fn        *each;
    void            *arg;
    bool             found;
};

static void stream_frames(AVFormatContext *c, struct facts *f, void *arg)
{
    struct frames_wanted *w = arg;
    struct tracks         t = { 0 };
    AVStream             *s;
    AVCodecContext       *d;
    AVPacket             *p = av_packet_alloc();
    AVFrame              *frame = av_frame_alloc();
    int64_t               start_us = c->start_time == AV_NOPTS_VALUE ? 0 : c->start_time, at_us;
    int                   e = 0;
    bool                  more = true;

    tracks_find(c, &t);
    s = w->type == AVMEDIA_TYPE_VIDEO ? t.video : t.audio;
    d = s && (int64_t)s->codecpar->width * s->codecpar->height <= PIXELS_MAX
            ? decoder_open(s->codecpar->codec_id, s->codecpar)
            : NULL;
    if (w->from_ms > 0)
        (void)avformat_seek_file(c, -1, INT64_MIN, start_us + w->from_ms * 1000, start_us + w->from_ms * 1000, 0);
    while (d && p && frame && more && !e) {
        e = av_read_frame(c, p);
        if (!e && c->streams[p->stream_index] != s) {
            av_packet_unref(p);
            continue;
        }
        (void)avcodec_send_packet(d, e ? NULL : p); /* a broken one is passed over */
        av_packet_unref(p);
        while (more && avcodec_receive_frame(d, frame) >= 0) {
            at_us = frame->best_effort_timestamp == AV_NOPTS_VALUE
                        ? 0
                        : av_rescale_q(frame->best_effort_timestamp, s->time_base, AV_TIME_BASE_Q) - start_us;
            w->found = true;
            more = w->each(w->arg, frame, at_us);
            av_frame_unref(frame);
        }
    }
    if (!w->found)
        complain(f, "nothing of it can be decoded", e == AVERROR_EOF ? 0 : e);
    av_packet_free(&p);
    av_frame_free(&frame);
    avcodec_free_context(&d);
}

bool frames_read(int fd, int64_t bytes, enum AVMediaType type, int64_t from_ms, struct facts *f, frame_fn *each,
                 void *arg)
{
    struct frames_wanted w = { .type = type, .from_ms = from_ms, .each = each, .arg = arg };
    struct file          file = { .fd = fd, .size = bytes, .left = HEAD_BYTES };
    enum picture_format  picture;
    char                 bytes_64[64];
    str                  head;

    *f = FACTS_NONE;
    f->bytes = bytes;
    if (head_read(f, &file, bytes_64, sizeof(bytes_64), &head, &picture) && !picture)
        container_open(f, &file, head, stream_frames, &w);
    return w.found;
}
