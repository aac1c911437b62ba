/* sound_in.c - one pipe: bytes → packets → frames → samples. Spec: speech.md §1.9.1 (format). */
#include "sound_in.h"

#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/opt.h>
#include <libswresample/swresample.h>
#include <ogg/ogg.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE = 16000,
    BROKEN_MAX = 8,          /* packets in a row that cannot be decoded */
    UNHEARD_MAX = 32 * 1024, /* bytes without a single frame: it is something else */
    WAV_HEAD_MAX = 64 * 1024,
    AMR_MAGIC = 6, /* "#!AMR\n" */
};

struct bytes {
    uint8_t *at;
    size_t   count, cap;
};

struct sound_in {
    enum sound_format     format;
    int                   rate;
    bool                  broken, any; /* any: a frame has been decoded */
    size_t                unheard;     /* bytes since */
    unsigned              broken_packets;
    struct bytes          rest; /* of PCM, WAV, AMR: not a whole sample or frame yet */
    bool                  head; /* WAV, AMR: it has been read */
    int                   channels;
    AVCodecContext       *codec;
    AVCodecParserContext *parser;
    AVPacket             *packet;
    AVFrame              *frame;
    SwrContext           *swr;
    int                   swr_rate, swr_channels, swr_format;
    ogg_sync_state        sync;
    ogg_stream_state      stream;
    bool                  stream_open;
    unsigned              ogg_packets;
};

void samples_add(struct samples *s, const int16_t *at, size_t count)
{
    if (s->count + count > s->cap) {
        s->cap = (s->count + count) * 2;
        s->at = realloc(s->at, s->cap * sizeof(*s->at));
        if (!s->at)
            abort();
    }
    if (count)
        memcpy(s->at + s->count, at, count * sizeof(*at));
    s->count += count;
}

static void bytes_add(struct bytes *b, const void *at, size_t count)
{
    if (b->count + count > b->cap) {
        b->cap = (b->count + count) * 2;
        b->at = realloc(b->at, b->cap);
        if (!b->at)
            abort();
    }
    if (count)
        memcpy(b->at + b->count, at, count);
    b->count += count;
}

static void bytes_take(struct bytes *b, size_t count)
{
    b->count -= count;
    memmove(b->at, b->at + count, b->count);
}

/* ---- samples ---- */

/* To 16 kHz, one channel. `in` NULL: what the resampler still has. */
static void resample(struct sound_in *s, const uint8_t **in, int count, int format, int rate, int channels,
                     struct samples *out)
{
    uint8_t *to;
    int      room, n;

    if (in && (!s->swr || s->swr_rate != rate || s->swr_channels != channels || s->swr_format != format)) {
        AVChannelLayout from, mono = AV_CHANNEL_LAYOUT_MONO;

        swr_free(&s->swr);
        av_channel_layout_default(&from, channels);
        if (swr_alloc_set_opts2(&s->swr, &mono, AV_SAMPLE_FMT_S16, RATE, &from, format, rate, 0, NULL) < 0 ||
            swr_init(s->swr) < 0) {
            swr_free(&s->swr);
            return;
        }
        s->swr_rate = rate;
        s->swr_channels = channels;
        s->swr_format = format;
    }
    if (!s->swr)
        return;
    room = swr_get_out_samples(s->swr, count);
    if (room <= 0)
        return;
    samples_add(out, NULL, 0);
    if (out->count + (size_t)room > out->cap) {
        out->cap = (out->count + (size_t)room) * 2;
        out->at = realloc(out->at, out->cap * sizeof(*out->at));
        if (!out->at)
            abort();
    }
    to = (uint8_t *)(out->at + out->count);
    n = swr_convert(s->swr, &to, room, in, count);
    if (n > 0)
        out->count += (size_t)n;
}

/* One packet, or with NULL what the decoder still has. */
static void decode(struct sound_in *s, const uint8_t *at, size_t count, struct samples *out)
{
    int e;

    s->packet->data = (uint8_t *)at;
    s->packet->size = (int)count;
    e = avcodec_send_packet(s->codec, at ? s->packet : NULL);
    if (e < 0 && at)
        s->broken_packets++;
    while (e >= 0 && avcodec_receive_frame(s->codec, s->frame) >= 0) {
        s->any = true;
        s->unheard = 0;
        s->broken_packets = 0;
        if (s->frame->ch_layout.nb_channels > 0 && s->frame->sample_rate > 0)
            resample(s, (const uint8_t **)s->frame->extended_data, s->frame->nb_samples, s->frame->format,
                     s->frame->sample_rate, s->frame->ch_layout.nb_channels, out);
        av_frame_unref(s->frame);
    }
    if (s->broken_packets >= BROKEN_MAX)
        s->broken = true;
}

static bool open_codec(struct sound_in *s, enum AVCodecID id, const void *extra, size_t extra_len, int rate)
{
    const AVCodec *codec = avcodec_find_decoder(id);

    s->codec = codec ? avcodec_alloc_context3(codec) : NULL;
    if (!s->codec)
        return false;
    if (extra_len) {
        s->codec->extradata = av_mallocz(extra_len + AV_INPUT_BUFFER_PADDING_SIZE);
        memcpy(s->codec->extradata, extra, extra_len);
        s->codec->extradata_size = (int)extra_len;
    }
    s->codec->thread_count = 1;
    s->codec->sample_rate = rate;
    av_channel_layout_default(&s->codec->ch_layout, 1);
    return avcodec_open2(s->codec, codec, NULL) >= 0;
}

/* ---- PCM and WAV ---- */

static void feed_pcm(struct sound_in *s, const void *bytes, size_t count, struct samples *out)
{
    size_t         whole, step = 2 * (size_t)s->channels;
    const uint8_t *in;

    bytes_add(&s->rest, bytes, count);
    whole = s->rest.count / step;
    if (!whole)
        return;
    s->any = true;
    in = s->rest.at;
    if (s->rate == RATE && s->channels == 1)
        samples_add(out, (const int16_t *)(const void *)in, whole);
    else
        resample(s, &in, (int)whole, AV_SAMPLE_FMT_S16, s->rate, s->channels, out);
    bytes_take(&s->rest, whole * step);
}

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Up to its chunk "data", whose length is not looked at: of a stream it is unknown. */
static void read_wav_head(struct sound_in *s)
{
    const uint8_t *p = s->rest.at;
    size_t         n = s->rest.count, at = 12;
    bool           format = false;

    if (n < 12)
        return;
    if (memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WAVE", 4) != 0) {
        s->broken = true;
        return;
    }
    while (at + 8 <= n) {
        uint32_t len = le32(p + at + 4);

        if (memcmp(p + at, "data", 4) == 0) {
            s->head = format;
            s->broken = !format;
            bytes_take(&s->rest, at + 8);
            return;
        }
        if (at + 8 + (size_t)len > n)
            break;
        if (memcmp(p + at, "fmt ", 4) == 0 && len >= 16) {
            const uint8_t *f = p + at + 8;
            int            kind = f[0] | f[1] << 8, bits = f[14] | f[15] << 8;

            s->channels = f[2] | f[3] << 8;
            s->rate = (int)le32(f + 4);
            format = (kind == 1 || kind == 0xfffe) && bits == 16 && s->channels >= 1 && s->channels <= 8 &&
                     s->rate >= 1000 && s->rate <= 384000;
            s->broken = !format;
        }
        at += 8 + (size_t)len + (len & 1);
    }
    if (n > WAV_HEAD_MAX)
        s->broken = true;
}

static void feed_wav(struct sound_in *s, const void *bytes, size_t count, struct samples *out)
{
    if (!s->head) {
        bytes_add(&s->rest, bytes, count);
        read_wav_head(s);
        count = 0;
    }
    if (s->head && !s->broken)
        feed_pcm(s, bytes, count, out);
}

/* ---- AMR, narrow band ---- */

static void feed_amr(struct sound_in *s, const void *bytes, size_t count, struct samples *out)
{
    /* Bytes of a frame with its head, by the type in it (RFC 4867 §5.3); 0: there is none. */
    static const uint8_t sizes[16] = { 13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1 };

    bytes_add(&s->rest, bytes, count);
    if (!s->head) {
        if (s->rest.count < AMR_MAGIC)
            return;
        if (memcmp(s->rest.at, "#!AMR\n", AMR_MAGIC) == 0)
            bytes_take(&s->rest, AMR_MAGIC);
        s->head = true; /* without it, frames alone */
    }
    while (s->rest.count && !s->broken) {
        size_t size = sizes[s->rest.at[0] >> 3 & 15];

        if (!size || s->rest.at[0] & 0x83) {
            s->broken = true;
            return;
        }
        if (s->rest.count < size)
            return;
        bytes_add(&s->rest, "\0\0\0\0\0\0\0\0", 8); /* what FFmpeg wants behind a packet, at least of this decoder */
        s->rest.count -= 8;
        decode(s, s->rest.at, size, out);
        bytes_take(&s->rest, size);
    }
}

/* ---- Ogg ---- */

/* The first packet says what it is. */
static void begin_ogg(struct sound_in *s, const ogg_packet *p)
{
    enum AVCodecID id = s->format == SOUND_OPUS ? AV_CODEC_ID_OPUS : AV_CODEC_ID_SPEEX;
    const char    *magic = s->format == SOUND_OPUS ? "OpusHead" : "Speex   ";

    if (p->bytes < 19 || memcmp(p->packet, magic, 8) != 0 ||
        !open_codec(s, id, p->packet, (size_t)p->bytes, s->format == SOUND_OPUS ? 48000 : 0))
        s->broken = true;
}

static void take_page(struct sound_in *s, ogg_page *page, struct samples *out)
{
    ogg_packet p;

    if (ogg_page_bos(page) && !s->stream_open) {
        ogg_stream_init(&s->stream, ogg_page_serialno(page));
        s->stream_open = true;
    }
    if (!s->stream_open || ogg_stream_pagein(&s->stream, page))
        return;
    while (!s->broken && ogg_stream_packetout(&s->stream, &p) == 1) {
        unsigned n = s->ogg_packets++;

        if (n == 0)
            begin_ogg(s, &p);
        else if (n > 1) { /* the second has names and titles */
            s->rest.count = 0;
            bytes_add(&s->rest, p.packet, (size_t)p.bytes);
            bytes_add(&s->rest, (uint8_t[AV_INPUT_BUFFER_PADDING_SIZE]){ 0 }, AV_INPUT_BUFFER_PADDING_SIZE);
            decode(s, s->rest.at, (size_t)p.bytes, out);
        }
    }
}

static void feed_ogg(struct sound_in *s, const void *bytes, size_t count, struct samples *out)
{
    char    *to = ogg_sync_buffer(&s->sync, (long)count);
    ogg_page page;
    int      n;

    if (!to)
        abort();
    memcpy(to, bytes, count);
    ogg_sync_wrote(&s->sync, (long)count);
    while (!s->broken && (n = ogg_sync_pageout(&s->sync, &page)) != 0) {
        if (n > 0)
            take_page(s, &page, out);
    }
}

/* ---- what has a parser ---- */

static void feed_parsed(struct sound_in *s, const uint8_t *bytes, size_t count, struct samples *out)
{
    bytes_add(&s->rest, bytes, count);
    bytes_add(&s->rest, (uint8_t[AV_INPUT_BUFFER_PADDING_SIZE]){ 0 }, AV_INPUT_BUFFER_PADDING_SIZE);
    s->rest.count -= AV_INPUT_BUFFER_PADDING_SIZE;
    bytes = s->rest.at;
    count = s->rest.count;
    while (count && !s->broken) {
        uint8_t *packet;
        int      size, used = av_parser_parse2(s->parser, s->codec, &packet, &size, bytes, (int)count, AV_NOPTS_VALUE,
                                               AV_NOPTS_VALUE, 0);

        if (used < 0)
            s->broken = true;
        if (used <= 0 && !size)
            break;
        bytes += used;
        count -= (size_t)used;
        if (size)
            decode(s, packet, (size_t)size, out);
    }
    bytes_take(&s->rest, s->rest.count - count);
}

/* ---- all of them ---- */

struct sound_in *sound_in_open(enum sound_format format, int rate)
{
    static const enum AVCodecID codecs[] = { [SOUND_MP3] = AV_CODEC_ID_MP3,
                                             [SOUND_AAC] = AV_CODEC_ID_AAC,
                                             [SOUND_FLAC] = AV_CODEC_ID_FLAC,
                                             [SOUND_AMR] = AV_CODEC_ID_AMR_NB };
    struct sound_in            *s = calloc(1, sizeof(*s));

    if (!s)
        abort();
    s->format = format;
    s->rate = rate;
    s->channels = 1;
    s->packet = av_packet_alloc();
    s->frame = av_frame_alloc();
    ogg_sync_init(&s->sync);
    if (format == SOUND_MP3 || format == SOUND_AAC || format == SOUND_FLAC || format == SOUND_AMR) {
        s->broken = !open_codec(s, codecs[format], NULL, 0, format == SOUND_AMR ? 8000 : 0);
        s->parser = format == SOUND_AMR ? NULL : av_parser_init(codecs[format]);
    }
    if (s->broken || (format == SOUND_PCM && rate < 1000)) {
        sound_in_close(s);
        return NULL;
    }
    return s;
}

bool sound_in_feed(struct sound_in *s, const void *bytes, size_t count, struct samples *out)
{
    if (s->broken)
        return false;
    s->unheard += count;
    switch (s->format) {
    case SOUND_PCM:
        feed_pcm(s, bytes, count, out);
        break;
    case SOUND_WAV:
        feed_wav(s, bytes, count, out);
        break;
    case SOUND_AMR:
        feed_amr(s, bytes, count, out);
        break;
    case SOUND_OPUS:
    case SOUND_SPEEX:
        feed_ogg(s, bytes, count, out);
        break;
    case SOUND_MP3:
    case SOUND_AAC:
    case SOUND_FLAC:
        feed_parsed(s, bytes, count, out);
        break;
    }
    if (!s->any && s->unheard > UNHEARD_MAX)
        s->broken = true;
    return !s->broken;
}

bool sound_in_end(struct sound_in *s, struct samples *out)
{
    if (s->broken)
        return false;
    for (int size = s->parser ? 1 : 0; size;) { /* the parser of FLAC holds several frames back */
        uint8_t *packet;

        (void)av_parser_parse2(s->parser, s->codec, &packet, &size, NULL, 0, AV_NOPTS_VALUE, AV_NOPTS_VALUE, 0);
        if (size)
            decode(s, packet, (size_t)size, out);
    }
    if (s->codec)
        decode(s, NULL, 0, out);
    resample(s, NULL, 0, 0, 0, 0, out);
    return s->any || !s->unheard; /* bytes that were nothing */
}

void sound_in_close(struct sound_in *s)
{
    if (s->stream_open)
        ogg_stream_clear(&s->stream);
    ogg_sync_clear(&s->sync);
    if (s->parser)
        av_parser_close(s->parser);
    avcodec_free_context(&s->codec);
    av_packet_free(&s->packet);
    av_frame_free(&s->frame);
    swr_free(&s->swr);
    free(s->rest.at);
    free(s);
}
