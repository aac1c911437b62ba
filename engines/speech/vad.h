/* vad.h - where in a stream of sound somebody speaks.
 *
 * Frames of 10 ms are loud when they stand out from the quietest of the last second or so: a hum or a hiss, however strong, is its own
 * background. Speech is loud frames that also change in strength as syllables do: a tone that is switched on does not.
 *
 *            loud for START frames of the last WINDOW, and they change
 *      SILENT ----------------------------------------------------> SPEAKING -- not loud for silence_ms --> SILENT
 *
 * Sound is 16 kHz PCM. No memory, no libraries.
 */
#ifndef DASHBOX_SPEECH_VAD_H
#define DASHBOX_SPEECH_VAD_H

#include "base/defs.h"

#define VAD_RATE        16000
#define VAD_FRAME       160 /* samples */
#define VAD_FRAME_MS    10
#define VAD_WINDOW      30 /* frames that are looked at for a beginning */
#define VAD_FLOOR_SLOTS 16 /* of 100 ms: whose quietest frames are the background */

struct vad {
    double  margin_db; /* that a loud frame stands out by */
    int64_t silence_frames;
    bool    speaking;
    int64_t frame;         /* of the next one */
    int64_t begin, loud;   /* frames: where the speech began; the last loud one */
    int64_t speech_frames; /* all in all */
    double  floor[VAD_FLOOR_SLOTS];
    double  level[VAD_WINDOW]; /* of the last frames, dB */
    bool    is_loud[VAD_WINDOW];
    double  energy_db; /* of all speech: a running mean of the loud frames */
};

enum vad_event { VAD_NOTHING, VAD_BEGIN, VAD_END };

/* `threshold` −1 … 1, 0 ordinary. */
void vad_init(struct vad *v, double threshold, int silence_ms);
/* The next frame. VAD_BEGIN: v->begin says where, up to VAD_WINDOW frames back. VAD_END: v->loud says where it stopped. */
enum vad_event vad_feed(struct vad *v, const int16_t *samples);
/* How long ago the last loud frame was, in ms; meaningful while speaking. */
static inline int64_t vad_quiet_ms(const struct vad *v)
{
    return (v->frame - 1 - v->loud) * VAD_FRAME_MS;
}

#endif
