/* sound_file.h - a whole file of sound, or a video's: one of its channels as 16 kHz PCM, and what a sample of a voice measures.
 *
 * Opened by FFmpeg over a descriptor that is read at places (pread); decoders run on one thread.
 */
#ifndef DASHBOX_SPEECH_SOUND_FILE_H
#define DASHBOX_SPEECH_SOUND_FILE_H

#include "base/buf.h"
#include "sound_in.h"

/* Writes the channel's samples to `out`. False: there is no sound in it that can be decoded, or no such channel. */
bool sound_file_decode(int fd, int64_t bytes, int channel, int out, int64_t *ret_ms);

/* As speech.h's struct voice_measure, in JSON: {"duration_ms":…,"speech_ms":…,"longest_ms":…,"sample_rate":…,"channels":…,
 * "level_db":…,"pitch_hz":…,"syllables_s":…,"brightness_hz":…; left open. False: it cannot be decoded. */
bool sound_file_measure(int fd, int64_t bytes, struct buf *b);

#endif
