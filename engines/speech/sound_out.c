/* sound_out.c - FFmpeg's encoders and muxers. Spec: speech.md §1.7.1 (format, bit_rate), §1.7.3. */
#include "sound_out.h"

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <stdlib.h>
#include <string.h>

enum { IO_BUFFER = 4096, BLOCK = 960 /* samples of a frame where the codec takes any number */ };

struct sound_out {
    enum sound_format format;
    int               rate;
    bool              begun; /* its head is out */
    bool              failed;
    struct buf       *to; /* where the muxer writes, while it may */
    AVFormatContext  *muxer;
    AVCodecContext   *codec;
    AVStream         *stream;
    AVFrame          *frame;
    AVPacket         *packet;
    SwrContext       *swr; /* to the codec's rate and form of samples */
    int64_t           pts;
};

static int write_out(void *opaque, uint8_t *at, int count)
{
    struct sound_out *s = opaque;

    if (s->to)
        buf_add(s->to, str_of((const char *)at, (size_t)count));
    return count;
}

/* Opus has rates of its own. */
static int codec_rate(const AVCodec *codec, int rate)
{
    int best = 0;

    for (const int *r = codec->supported_samplerates; r && *r; r++) {
        if (*r == rate)
            return rate;
        if (!best || (*r > rate && (best < rate || *r < best)) || (best<rate && * r> best))
            best = *r;
    }
    return best ? best : rate;
}

static bool open_codec(struct sound_out *s, enum AVCodecID id, int bit_rate)
{
    const AVCodec  *codec = id == AV_CODEC_ID_OPUS ? avcodec_find_encoder_by_name("libopus") : avcodec_find_encoder(id);
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;

    s->codec = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!s->codec)
        return false;
    s->codec->sample_fmt = codec->sample_fmts[0];
    s->codec->sample_rate = codec_rate(codec, s->rate);
    s->codec->ch_layout = mono;
    s->codec->thread_count = 1;
    s->codec->time_base = (AVRational){ 1, s->codec->sample_rate };
    if (bit_rate)
        s->codec->bit_rate = bit_rate;
    else
        s->codec->bit_rate = id == AV_CODEC_ID_MP3 ? 64000 : 32000;
    if (s->muxer->oformat->flags & AVFMT_GLOBALHEADER)
        s->codec->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    if (avcodec_open2(s->codec, codec, NULL) < 0)
        return false;
    return swr_alloc_set_opts2(&s->swr, &mono, s->codec->sample_fmt, s->codec->sample_rate, &mono, AV_SAMPLE_FMT_S16,
                               s->rate, 0, NULL) >= 0 &&
           swr_init(s->swr) >= 0;
}

static bool open_muxer(struct sound_out *s, const char *name, enum AVCodecID id, int bit_rate)
{
    uint8_t      *buffer = av_malloc(IO_BUFFER);
    AVDictionary *options = NULL;

    if (!buffer || avformat_alloc_output_context2(&s->muxer, NULL, name, NULL) < 0)
        return false;
    s->muxer->pb = avio_alloc_context(buffer, IO_BUFFER, 1, s, NULL, write_out, NULL);
    s->muxer->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_FLUSH_PACKETS | AVFMT_FLAG_BITEXACT;
    if (!open_codec(s, id, bit_rate))
        return false;
    s->stream = avformat_new_stream(s->muxer, NULL);
    if (!s->stream || avcodec_parameters_from_context(s->stream->codecpar, s->codec) < 0)
        return false;
    s->stream->time_base = s->codec->time_base;
    av_dict_set(&options, "write_xing", "0", 0); /* of a stream nobody knows the length */
    av_dict_set(&options, "id3v2_version", "0", 0);
    av_dict_set(&options, "page_duration", "200000", 0);
    s->frame = av_frame_alloc();
    s->packet = av_packet_alloc();
    /* The head is written with the first samples. */
    s->begun = avformat_init_output(s->muxer, &options) < 0;
    av_dict_free(&options);
    return !s->begun;
}

struct sound_out *sound_out_open(enum sound_format format, int sample_rate, int bit_rate)
{
    static const struct {
        const char    *muxer;
        enum AVCodecID codec;
    } how[] = {
        [SOUND_MP3] = { "mp3", AV_CODEC_ID_MP3 },
        [SOUND_OPUS] = { "ogg", AV_CODEC_ID_OPUS },
        [SOUND_AAC] = { "adts", AV_CODEC_ID_AAC },
        [SOUND_FLAC] = { "flac", AV_CODEC_ID_FLAC },
    };
    struct sound_out *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->format = format;
    s->rate = sample_rate;
    if (format == SOUND_PCM || format == SOUND_WAV)
        return s;
    if ((size_t)format >= ARRAY_LEN(how) || !how[format].muxer ||
        !open_muxer(s, how[format].muxer, how[format].codec, bit_rate)) {
        sound_out_close(s);
        return NULL;
    }
    return s;
}

static void put32(char *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (char)(v >> 8 * i);
}

/* Of a length that nobody knows yet. */
static void wav_head(struct sound_out *s, struct buf *b)
{
    char head[44] = "RIFF....WAVEfmt ....";

    put32(head + 4, UINT32_MAX);
    put32(head + 16, 16);
    put32(head + 20, 1 | 1 << 16); /* PCM, one channel */
    put32(head + 24, (uint32_t)s->rate);
    put32(head + 28, 2 * (uint32_t)s->rate);
    put32(head + 32, 2 | 16 << 16);
    memcpy(head + 36, "data", 4);
    put32(head + 40, UINT32_MAX);
    buf_add(b, str_of(head, sizeof(head)));
}

/* The frame, or with NULL what the encoder still has. */
static void encode(struct sound_out *s, AVFrame *frame)
{
    if (avcodec_send_frame(s->codec, frame) < 0)
        return;
    while (avcodec_receive_packet(s->codec, s->packet) >= 0) {
        av_packet_rescale_ts(s->packet, s->codec->time_base, s->stream->time_base);
        s->packet->stream_index = 0;
        (void)av_write_frame(s->muxer, s->packet);
        av_packet_unref(s->packet);
    }
}

/* Frames that are whole; `last`: the rest as well. */
static void encode_ready(struct sound_out *s, bool last)
{
    int size = s->codec->frame_size ? s->codec->frame_size : BLOCK;

    for (;;) {
        int have = (int)swr_get_out_samples(s->swr, 0), n = have < size ? have : size;

        if (n <= 0 || (n < size && !last))
            return;
        s->frame->nb_samples = size;
        s->frame->format = s->codec->sample_fmt;
        s->frame->sample_rate = s->codec->sample_rate;
        s->frame->ch_layout = s->codec->ch_layout;
        if (av_frame_get_buffer(s->frame, 0) < 0)
            return;
        n = swr_convert(s->swr, s->frame->extended_data, size, NULL, 0);
        if (n > 0) {
            if (n < size) {
                if (s->codec->codec->capabilities & AV_CODEC_CAP_SMALL_LAST_FRAME)
                    s->frame->nb_samples = n;
                else
                    av_samples_set_silence(s->frame->extended_data, n, size - n, 1, s->codec->sample_fmt);
            }
            s->frame->pts = s->pts;
            s->pts += n;
            encode(s, s->frame);
        }
        av_frame_unref(s->frame);
        if (n < size)
            return;
    }
}

static void begin(struct sound_out *s)
{
    if (s->begun)
        return;
    s->begun = true;
    if (s->muxer)
        s->failed = avformat_write_header(s->muxer, NULL) < 0;
}

void sound_out_add(struct sound_out *s, const int16_t *at, size_t count, struct buf *b)
{
    const uint8_t *in = (const uint8_t *)at;

    if (!s->muxer) {
        if (s->format == SOUND_WAV && !s->begun)
            wav_head(s, b);
        s->begun = true;
        buf_add(b, str_of((const char *)at, count * sizeof(*at)));
        return;
    }
    s->to = b;
    begin(s);
    if (s->failed)
        return;
    (void)swr_convert(s->swr, NULL, 0, &in, (int)count); /* it keeps them */
    encode_ready(s, false);
    avio_flush(s->muxer->pb);
    s->to = NULL;
}

void sound_out_end(struct sound_out *s, struct buf *b)
{
    if (!s->muxer)
        return;
    s->to = b;
    begin(s);
    if (s->failed)
        return;
    encode_ready(s, true);
    encode(s, NULL);
    (void)av_write_trailer(s->muxer);
    avio_flush(s->muxer->pb);
    s->to = NULL;
}

void sound_out_close(struct sound_out *s)
{
    s->to = NULL;
    if (s->muxer) {
        if (s->muxer->pb)
            av_freep(&s->muxer->pb->buffer);
        avio_context_free(&s->muxer->pb);
        avformat_free_context(s->muxer);
    }
    avcodec_free_context(&s->codec);
    av_frame_free(&s->frame);
    av_packet_free(&s->packet);
    swr_free(&s->swr);
    free(s);
}
