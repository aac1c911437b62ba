/* picture.h - what is seen in a picture, a video or a sound by those who look without a model: the stand-in's answers, moderation. */
#ifndef DASHBOX_CONTRACT_PICTURE_H
#define DASHBOX_CONTRACT_PICTURE_H

#include "contract/media.h"

#define PICTURE_LINES_MAX   1000
#define PICTURE_COLOURS_MAX 3

/* A line of text; the place in pixels of the file, as displayed. */
struct picture_line {
    str     text;
    int64_t x, y, width, height;
};

struct picture_lines {
    struct picture_line *at;
    size_t               count, cap;
};

struct picture_colour {
    str     name;
    int64_t percent; /* of the picture */
};

struct picture {
    enum media_kind       kind;
    str                   format;                       /* "png" */
    int64_t               width, height, duration_ms;   /* 0: it has none */
    struct picture_colour colours[PICTURE_COLOURS_MAX]; /* the largest first */
    size_t                colour_count;
    int64_t               faces; /* -1: nobody has looked for them */
    bool                  read;  /* its text has been looked for: */
    struct picture_lines  lines; /* from the top */
};

#endif
