/* vad.c - levels of frames, and what they say. */
#include "vad.h"

#include <math.h>

enum {
    START = 12,      /* loud frames of a window that are speech */
    SLOT_FRAMES = 10 /* of one slot of the background */
};
static const double SILENCE_DB = -62;                   /* of full scale: nothing quieter is loud */
static const double MARGIN_DB = 10, MARGIN_SPAN_DB = 9; /* at threshold 0, and by how much 1 moves it */
static const double CHANGE_DB = 1.8; /* the spread of loud frames' levels that syllables have and tones have not */

void vad_init(struct vad *v, double threshold, int silence_ms)
{
    *v = (struct vad){ .margin_db = MARGIN_DB + threshold * MARGIN_SPAN_DB,
                       .silence_frames = silence_ms / VAD_FRAME_MS,
                       .loud = -1 };
    for (size_t i = 0; i < VAD_FLOOR_SLOTS; i++)
        v->floor[i] = 0;
}

static double level_db(const int16_t *samples)
{
    double sum = 0, mean = 0;

    for (size_t i = 0; i < VAD_FRAME; i++)
        mean += samples[i];
    mean /= VAD_FRAME;
    for (size_t i = 0; i < VAD_FRAME; i++)
        sum += (samples[i] - mean) * (samples[i] - mean);
    return 10 * log10(sum / VAD_FRAME / (32768.0 * 32768.0) + 1e-10);
}

/* The quietest frame of the last slots; before there are any, silence. */
static double background(struct vad *v, double level)
{
    size_t slot = (size_t)(v->frame / SLOT_FRAMES) % VAD_FLOOR_SLOTS;
    double least = 0;
    bool   whole = v->frame / SLOT_FRAMES >= VAD_FLOOR_SLOTS;

    if (v->frame % SLOT_FRAMES == 0 || level < v->floor[slot])
        v->floor[slot] = level;
    for (size_t i = 0; i < VAD_FLOOR_SLOTS; i++)
        if (v->floor[i] < least)
            least = v->floor[i];
    /* Sound that begins with somebody's words has no background yet. */
    return whole ? least : fmin(least, SILENCE_DB);
}

/* The spread of the loud frames' levels, without the edges where sound is switched on or off. */
static double change_db(const struct vad *v)
{
    double sum = 0, squares = 0, spread;
    size_t n = 0;

    for (size_t k = 0; k < VAD_WINDOW; k++) {
        size_t at = (size_t)(v->frame + 1 + (int64_t)k) % VAD_WINDOW, before = (at + VAD_WINDOW - 1) % VAD_WINDOW,
               after = (at + 1) % VAD_WINDOW;

        if (!v->is_loud[at] || !v->is_loud[before] || !v->is_loud[after] || k == 0 || k == VAD_WINDOW - 1)
            continue;
        sum += v->level[at];
        squares += v->level[at] * v->level[at];
        n++;
    }
    if (n < 4)
        return 0;
    spread = squares / (double)n - sum / (double)n * (sum / (double)n);
    return sqrt(fmax(spread, 0));
}

static size_t loud_count(const struct vad *v)
{
    size_t n = 0;

    for (size_t i = 0; i < VAD_WINDOW; i++)
        n += v->is_loud[i];
    return n;
}

/* The oldest loud frame of the window. */
static int64_t first_loud(const struct vad *v)
{
    for (int64_t f = v->frame - VAD_WINDOW + 1; f <= v->frame; f++) {
        if (f >= 0 && v->is_loud[f % VAD_WINDOW])
            return f;
    }
    return v->frame;
}

enum vad_event vad_feed(struct vad *v, const int16_t *samples)
{
    size_t         at = (size_t)(v->frame % VAD_WINDOW);
    double         level = level_db(samples), floor = background(v, level);
    bool           loud = level > SILENCE_DB && level > floor + v->margin_db;
    enum vad_event ret = VAD_NOTHING;

    v->level[at] = level;
    v->is_loud[at] = loud;
    if (loud) {
        v->loud = v->frame;
        v->energy_db += (level - v->energy_db) / (double)(v->speech_frames + 1);
    }
    if (!v->speaking && loud && loud_count(v) >= START && change_db(v) >= CHANGE_DB) {
        v->speaking = true;
        v->begin = first_loud(v);
        v->speech_frames += (int64_t)loud_count(v);
        ret = VAD_BEGIN;
    } else if (v->speaking) {
        v->speech_frames += loud;
        if (v->frame - v->loud >= v->silence_frames) {
            v->speaking = false;
            ret = VAD_END;
        }
    }
    v->frame++;
    return ret;
}
