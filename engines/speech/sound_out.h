/* sound_out.h - PCM of one channel to a coded stream, piece by piece: what is let out is the stream's next bytes.
 *
 * PCM goes through, WAV has a head of unknown length; MP3, AAC (ADTS), FLAC and Opus (Ogg) are FFmpeg's. Several pieces are one
 * stream: heads come with the first, the encoder's rest with the end.
 */
#ifndef DASHBOX_SPEECH_SOUND_OUT_H
#define DASHBOX_SPEECH_SOUND_OUT_H

#include "base/buf.h"
#include "engine/speech/speech.h"

struct sound_out;

/* `bit_rate` 0: the format's usual. NULL: there is no such encoder. */
struct sound_out *sound_out_open(enum sound_format format, int sample_rate, int bit_rate);
/* Samples at sample_rate. What the encoder lets out is appended to `b`. */
void sound_out_add(struct sound_out *s, const int16_t *at, size_t count, struct buf *b);
void sound_out_end(struct sound_out *s, struct buf *b);
void sound_out_close(struct sound_out *s);

#endif
