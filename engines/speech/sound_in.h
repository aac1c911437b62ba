/* sound_in.h - a stream of coded sound, in pieces of any size, to 16 kHz PCM of one channel.
 *
 * Raw PCM and WAV are read here; MP3, AAC (ADTS) and FLAC are cut into frames by FFmpeg's parsers, AMR by its table of sizes, Ogg by
 * libogg; FFmpeg decodes and resamples. What cannot be of its format is noticed after a few frames, or a second's worth of bytes.
 */
#ifndef DASHBOX_SPEECH_SOUND_IN_H
#define DASHBOX_SPEECH_SOUND_IN_H

#include "engine/speech/speech.h"

struct samples {
    int16_t *at; /* from malloc() */
    size_t   count, cap;
};

void samples_add(struct samples *s, const int16_t *at, size_t count);

struct sound_in;

/* `rate` of PCM. NULL: such a stream cannot be read here. */
struct sound_in *sound_in_open(enum sound_format format, int rate);
/* Appends what can be decoded by now. False: it is not of that format, now and ever after. */
bool sound_in_feed(struct sound_in *s, const void *bytes, size_t count, struct samples *out);
/* No more comes. */
bool sound_in_end(struct sound_in *s, struct samples *out);
void sound_in_close(struct sound_in *s);

#endif
