/* sound_file.c - FFmpeg's demuxers, and arithmetic on what comes out. */
#include "sound_file.h"

#include "base/num.h"
#include "contract/json.h"
#include "vad.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswresample/swresample.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RATE = 16000,
    IO_BUFFER = 32 * 1024,
    MEASURE_MAX_S = 120, /* of a sample: more is not looked at */
    PITCH_FRAME = 640,   /* samples: 40 ms */
    PITCH_LOW = 60,      /* Hz */
    PITCH_HIGH = 420,
    PITCH_MAX = MEASURE_MAX_S * 100,
    VOICED_SHARE = 4, /* one in so many frames of speech has a pitch, at least */
};

struct file {
    int     fd;
    int64_t at, size;
};

static int read_file(void *opaque, uint8_t *to, int count)
{
    struct file *f = opaque;
    ssize_t      n = pread(f->fd, to, (size_t)count, f->at);

    if (n <= 0)
        return AVERROR_EOF;
    f->at += n;
    return (int)n;
}

static int64_t seek_file(void *opaque, int64_t at, int whence)
{
    struct file *f = opaque;

    switch (whence) {
    case AVSEEK_SIZE:
        return f->size;
    case SEEK_CUR:
        at += f->at;
        break;
    case SEEK_END:
        at += f->size;
        break;
    default:
        break;
    }
    if (at < 0)
        return AVERROR(EINVAL);
    return f->at = at;
}

/* Playlists name other files: those are not opened. */
static int refuse_other(AVFormatContext *c, AVIOContext **pb, const char *url, int flags, AVDictionary **options)
{
    (void)c, (void)pb, (void)url, (void)flags, (void)options;
    return AVERROR(EACCES);
}

struct reader {
    struct file      file;
    AVIOContext     *io;
    AVFormatContext *format;
    AVCodecContext  *codec;
    AVPacket        *packet;
    AVFrame         *frame;
    SwrContext      *swr;
    int              stream, channels, rate;
};

static void reader_close(struct reader *r)
{
    avcodec_free_context(&r->codec);
    avformat_close_input(&r->format);
    if (r->io)
        av_freep(&r->io->buffer);
    avio_context_free(&r->io);
    av_packet_free(&r->packet);
    av_frame_free(&r->frame);
    swr_free(&r->swr);
}

static bool reader_open(struct reader *r, int fd, int64_t bytes)
{
    uint8_t       *buffer = av_malloc(IO_BUFFER);
    const AVCodec *codec = NULL;

    *r = (struct reader){ .file = { fd, 0, bytes } };
    r->packet = av_packet_alloc();
    r->frame = av_frame_alloc();
    r->io = buffer ? avio_alloc_context(buffer, IO_BUFFER, 0, &r->file, read_file, NULL, seek_file) : NULL;
    r->format = avformat_alloc_context();
    if (!r->packet || !r->frame || !r->io || !r->format)
        return false;
    r->format->pb = r->io;
    r->format->io_open = refuse_other;
    r->format->flags |= AVFMT_FLAG_CUSTOM_IO;
    if (avformat_open_input(&r->format, "", NULL, NULL) < 0 || avformat_find_stream_info(r->format, NULL) < 0)
        return false;
    r->stream = av_find_best_stream(r->format, AVMEDIA_TYPE_AUDIO, -1, -1, &codec, 0);
    if (r->stream < 0 || !codec)
        return false;
    r->codec = avcodec_alloc_context3(codec);
    if (!r->codec || avcodec_parameters_to_context(r->codec, r->format->streams[r->stream]->codecpar) < 0)
        return false;
    r->codec->thread_count = 1;
    r->channels = r->codec->ch_layout.nb_channels;
    r->rate = r->codec->sample_rate;
    return r->channels > 0 && avcodec_open2(r->codec, codec, NULL) >= 0;
}

/* A resampler that lets one channel through; −1: the mean of all. */
static bool resampler(struct reader *r, int channel)
{
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO, from;
    double          matrix[64] = { 0 };
    bool            ok;

    if (r->channels > (int)ARRAY_LEN(matrix) || channel >= r->channels)
        return false;
    av_channel_layout_default(&from, r->channels);
    for (int i = 0; i < r->channels; i++)
        matrix[i] = channel < 0 ? 1.0 / r->channels : i == channel;
    ok = swr_alloc_set_opts2(&r->swr, &mono, AV_SAMPLE_FMT_S16, RATE, &from, r->codec->sample_fmt, r->rate, 0, NULL) >=
             0 &&
         swr_set_matrix(r->swr, matrix, r->channels) >= 0 && swr_init(r->swr) >= 0;
    av_channel_layout_uninit(&from);
    return ok;
}

/* What the frame has, or with NULL what the resampler has left, in pieces to `take`; false: that has had enough. */
static bool take_frame(struct reader *r, const AVFrame *frame, bool (*take)(void *arg, const int16_t *at, size_t count),
                       void *arg)
{
    int      room = swr_get_out_samples(r->swr, frame ? frame->nb_samples : 0), n;
    int16_t *to;
    uint8_t *planes[1];
    bool     more = true;

    if (room <= 0)
        return true;
    to = malloc((size_t)room * sizeof(*to));
    if (!to)
        abort();
    planes[0] = (uint8_t *)to;
    n = swr_convert(r->swr, planes, room, frame ? (const uint8_t **)frame->extended_data : NULL,
                    frame ? frame->nb_samples : 0);
    if (n > 0)
        more = take(arg, to, (size_t)n);
    free(to);
    return more;
}

/* A stream whose frames change on the way is another file's: its rest is left out. */
static bool is_same(const struct reader *r, const AVFrame *f)
{
    return f->sample_rate == r->rate && f->ch_layout.nb_channels == r->channels && f->format == r->codec->sample_fmt;
}

static bool read_all(struct reader *r, bool (*take)(void *arg, const int16_t *at, size_t count), void *arg)
{
    bool more = true, last = false, any = false;

    while (more && !last) {
        last = av_read_frame(r->format, r->packet) < 0;
        if (!last && r->packet->stream_index != r->stream) {
            av_packet_unref(r->packet);
            continue;
        }
        (void)avcodec_send_packet(r->codec, last ? NULL : r->packet);
        av_packet_unref(r->packet);
        while (more && avcodec_receive_frame(r->codec, r->frame) >= 0) {
            any = true;
            more = is_same(r, r->frame) && take_frame(r, r->frame, take, arg);
            av_frame_unref(r->frame);
        }
    }
    if (more)
        (void)take_frame(r, NULL, take, arg);
    return any;
}

/* ---- a channel into a file ---- */

struct sink {
    int     fd;
    int64_t samples;
    bool    failed;
};

static bool write_samples(void *arg, const int16_t *at, size_t count)
{
    struct sink *s = arg;
    const char  *p = (const char *)at;
    size_t       left = count * sizeof(*at);

    while (left) {
        ssize_t n = write(s->fd, p, left);

        if (n <= 0) {
            s->failed = true;
            return false;
        }
        p += n;
        left -= (size_t)n;
    }
    s->samples += (int64_t)count;
    return true;
}

bool sound_file_decode(int fd, int64_t bytes, int channel, int out, int64_t *ret_ms)
{
    struct reader r;
    struct sink   sink = { .fd = out };
    bool          ok =
        reader_open(&r, fd, bytes) && resampler(&r, channel) && read_all(&r, write_samples, &sink) && !sink.failed;

    reader_close(&r);
    *ret_ms = sink.samples * 1000 / RATE;
    return ok && sink.samples > 0;
}

/* ---- a sample of a voice ---- */

static bool keep_samples(void *arg, const int16_t *at, size_t count)
{
    struct samples *s = arg;

    samples_add(s, at, count);
    return s->count < (size_t)RATE * MEASURE_MAX_S;
}

/* The period at which a frame resembles itself most; 0: it is not voiced. */
static double pitch_of(const int16_t *at)
{
    double best = 0, power = 0;
    int    lag_best = 0;

    for (int i = 0; i < PITCH_FRAME; i++)
        power += (double)at[i] * at[i];
    if (power <= 0)
        return 0;
    for (int lag = RATE / PITCH_HIGH; lag <= RATE / PITCH_LOW; lag++) {
        double sum = 0, one = 0, other = 0, like;

        for (int i = 0; i + lag < PITCH_FRAME; i++) {
            sum += (double)at[i] * at[i + lag];
            one += (double)at[i] * at[i];
            other += (double)at[i + lag] * at[i + lag];
        }
        like = one > 0 && other > 0 ? sum / sqrt(one * other) : 0;
        if (like > best * 1.02) { /* of two that are alike the shorter period: the other is its double */
            best = like;
            lag_best = lag;
        }
    }
    return best > 0.6 ? (double)RATE / lag_best : 0;
}

/* Where the spectrum's weight lies, from how much the signal changes: sqrt of the mean square of frequency. */
static double centre_hz(const int16_t *at, size_t count)
{
    double power = 0, slope = 0;

    for (size_t i = 1; i < count; i++) {
        double d = at[i] - at[i - 1];

        power += (double)at[i] * at[i];
        slope += d * d;
    }
    return power > 0 ? asin(fmin(1, sqrt(slope / power) / 2)) * RATE / M_PI : 0;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct measure {
    int64_t speech_frames, longest, stretch, gap;
    double  power, bright;
    double *pitches;
    size_t  pitch_count;
    int64_t peaks; /* of the level's slow course: syllables */
    double  slow, before;
    bool    rising;
};

static void measure_frame(struct measure *m, const int16_t *at, size_t left, bool loud)
{
    double power = 0;

    for (size_t i = 0; i < VAD_FRAME; i++)
        power += (double)at[i] * at[i];
    m->slow += (sqrt(power / VAD_FRAME) - m->slow) / 4;
    if (m->rising && m->slow < m->before * 0.98) {
        m->peaks += loud;
        m->rising = false;
    } else if (m->slow > m->before * 1.05) {
        m->rising = true;
    }
    m->before = m->slow;
    if (!loud) {
        if (++m->gap > 30)
            m->stretch = 0;
        return;
    }
    m->stretch += m->stretch ? m->gap + 1 : 1;
    m->gap = 0;
    m->longest = max_i64(m->longest, m->stretch);
    m->speech_frames++;
    m->power += power / VAD_FRAME;
    m->bright += centre_hz(at, VAD_FRAME);
    if (left >= PITCH_FRAME && m->pitch_count < PITCH_MAX) {
        double hz = pitch_of(at);

        if (hz > 0)
            m->pitches[m->pitch_count++] = hz;
    }
}

bool sound_file_measure(int fd, int64_t bytes, struct buf *b)
{
    struct reader  r;
    struct samples s = { 0 };
    struct measure m = { .pitches = malloc(PITCH_MAX * sizeof(double)) };
    struct vad     v;
    double         level = -99, hz = 0;
    bool           ok =
        m.pitches && reader_open(&r, fd, bytes) && resampler(&r, -1) && read_all(&r, keep_samples, &s) && s.count > 0;

    vad_init(&v, 0, 300);
    for (size_t at = 0; ok && at + VAD_FRAME <= s.count; at += VAD_FRAME) {
        (void)vad_feed(&v, s.at + at);
        measure_frame(&m, s.at + at, s.count - at, v.speaking && v.loud == v.frame - 1);
    }
    if (m.speech_frames)
        level = 10 * log10(m.power / (double)m.speech_frames / (32768.0 * 32768.0) + 1e-10);
    qsort(m.pitches, m.pitch_count, sizeof(double), by_size);
    if (m.pitch_count * VOICED_SHARE > (size_t)m.speech_frames) /* else it is chance */
        hz = m.pitches[m.pitch_count / 2];
    buf_addf(
        b,
        "{\"duration_ms\":%lld,\"speech_ms\":%lld,\"longest_ms\":%lld,\"sample_rate\":%d,\"channels\":%d,\"level_db\":%.1f,"
        "\"pitch_hz\":%.1f,\"syllables_s\":%.2f,\"brightness_hz\":%.0f",
        (long long)(s.count * 1000 / RATE), (long long)m.speech_frames * VAD_FRAME_MS,
        (long long)m.longest * VAD_FRAME_MS, ok ? r.rate : 0, ok ? r.channels : 0, level, hz,
        m.speech_frames ? (double)m.peaks * 100 / (double)m.speech_frames : 0,
        m.speech_frames ? m.bright / (double)m.speech_frames : 0);
    reader_close(&r);
    free(m.pitches);
    free(s.at);
    return ok;
}
