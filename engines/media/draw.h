/* draw.h - pictures in memory: 8 bits of red, green and blue a pixel, and what is drawn on them.
 *
 * Limits: canvas_new() refuses more than CANVAS_PIXELS.
 */
#ifndef DASHBOX_MEDIA_DRAW_H
#define DASHBOX_MEDIA_DRAW_H

#include "base/str.h"

#define CANVAS_PIXELS ((int64_t)64 << 20)

struct canvas {
    int      width, height;
    uint8_t *rgb;   /* rows without gaps, in memory of av_malloc() */
    uint8_t *alpha; /* a byte a pixel, likewise; NULL: all of it is opaque */
};

struct box {
    int x, y, width, height;
};

struct color {
    uint8_t r, g, b;
};

/* False: too large, or no memory. */
bool canvas_new(struct canvas *c, int64_t width, int64_t height);
void canvas_free(struct canvas *c);

static inline uint8_t *canvas_at(const struct canvas *c, int x, int y)
{
    return c->rgb + 3 * ((size_t)y * (size_t)c->width + (size_t)x);
}

/* The font's file is read into memory: before the sandbox. Without one texts are left out; returns whether there is one. */
bool draw_begin(void);

/* The same seed is the same pattern: two hues that flow into each other, and a few soft discs. */
void draw_pattern(struct canvas *c, uint64_t seed);
void draw_disc(struct canvas *c, double x, double y, double radius, struct color color, int opacity);
void draw_box(struct canvas *c, struct box b, struct color color, int opacity);

/* Lines broken at `width`, `size` pixels high, from (x, y) down; no further than `bottom`. Returns where the next line would begin. */
int draw_text(struct canvas *c, int x, int y, int width, int bottom, int size, struct color color, str text);
/* Of one line. */
int draw_text_width(int size, str text);

#endif
