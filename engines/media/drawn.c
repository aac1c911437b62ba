/* drawn.c - pictures that are drawn, and pictures made of others. */
#include "drawn.h"

#include "draw.h"
#include "encode.h"
#include "frame.h"
#include "video.h"

#include "base/num.h"
#include "contract/json.h"

#include <libswscale/swscale.h>
#include <math.h>
#include <stdlib.h>

#define SIDE_MAX        10000
#define TEXTS_MAX       8
#define CUTOUT_DISTANCE 90 /* of colours that count as one: with light and shadow on cloth */
#define PICTURES_MAX    2  /* that an operation reads */

struct job {
    yyjson_val               *json;
    str                       op, format, watermark;
    int64_t                   width, height; /* 0: not said */
    uint64_t                  seed;
    str                       texts[TEXTS_MAX];
    size_t                    text_count;
    const struct render_file *sound; /* of a video; NULL: none */
    int                       out;
    struct canvas             in[PICTURES_MAX];
};

static const struct color white = { 255, 255, 255 }, black = { 0, 0, 0 };

/* ---- reading ---- */

static double number_of(const struct job *j, const char *name, double otherwise)
{
    double v;

    return json_to_num(json_get(j->json, name), &v) ? v : otherwise;
}

static const char *read_job(struct job *j)
{
    yyjson_val *texts = json_get(j->json, "texts"), *one;
    size_t      i, n;

    j->op = json_str(json_get(j->json, "op"));
    j->format = json_str(json_get(j->json, "format"));
    j->watermark = json_str(json_get(j->json, "watermark"));
    j->width = (int64_t)number_of(j, "width", 0);
    j->height = (int64_t)number_of(j, "height", 0);
    j->seed = (uint64_t)(int64_t)number_of(j, "seed", 0);
    yyjson_arr_foreach(texts, i, n, one) if (j->text_count < TEXTS_MAX) j->texts[j->text_count++] = json_str(one);
    return j->width < 0 || j->height < 0 || j->width > SIDE_MAX || j->height > SIDE_MAX ? "a side is too long" : NULL;
}

static const char *decode(const struct render_file *in, struct canvas *ret)
{
    struct facts f;
    int          turns;
    AVFrame     *frame = frame_read(in->fd, in->bytes, 0, &f, &turns);

    ret->rgb = frame ? frame_rgb(frame, turns, SIDE_MAX, &ret->width, &ret->height) : NULL;
    av_frame_free(&frame);
    return ret->rgb ? NULL : "a picture that is read cannot be decoded";
}

/* ---- drawing ---- */

static void draw_watermark(struct canvas *c, str text)
{
    int size = max_int(10, min_int(c->width, c->height) / 32), width;

    if (!text.len)
        return;
    width = draw_text_width(size, text);
    draw_text(c, c->width - width - size + 1, c->height - 2 * size + 1, c->width, c->height, size, black, text);
    draw_text(c, c->width - width - size, c->height - 2 * size, c->width, c->height, size, white, text);
}

/* The texts on a dark panel, so that they can be read on any pattern. */
static void draw_card(struct canvas *c, const struct job *j)
{
    int side = min_int(c->width, c->height), margin = side / 12, large = max_int(8, side / 16),
        small = max_int(7, side / 32);
    int        left = margin + small, width = c->width - 2 * left, y = margin + small;
    struct box panel = { margin, margin, c->width - 2 * margin, c->height - 2 * margin };

    draw_box(c, panel, black, 70);
    for (size_t i = 0; i < j->text_count; i++) {
        int size = i == 0 ? large : small;

        y = draw_text(c, left, y, width, c->height - margin - small, size, white, j->texts[i]) + small;
    }
}

static bool scale_into(const struct canvas *from, struct box part, struct canvas *to)
{
    struct SwsContext *sws = sws_getContext(part.width, part.height, AV_PIX_FMT_RGB24, to->width, to->height,
                                            AV_PIX_FMT_RGB24, SWS_BICUBIC, NULL, NULL, NULL);
    const uint8_t     *rows[] = { canvas_at(from, part.x, part.y) };
    int                in[] = { 3 * from->width }, out[] = { 3 * to->width };
    bool               good = sws && sws_scale(sws, rows, in, 0, part.height, &to->rgb, out) == to->height;

    sws_freeContext(sws);
    return good;
}

/* The largest part in the middle that has the ratio of `to`, zoomed: 1 is all of it. */
static struct box cover(const struct canvas *from, const struct canvas *to, double zoom)
{
    double     ratio = (double)to->width / to->height, width = from->width, height = from->height;
    struct box b;

    if (width / height > ratio)
        width = height * ratio;
    else
        height = width / ratio;
    b.width = max_int(1, (int)(width / zoom));
    b.height = max_int(1, (int)(height / zoom));
    b.x = (from->width - b.width) / 2;
    b.y = (from->height - b.height) / 2;
    return b;
}

static const char *finish(const struct job *j, struct canvas *c)
{
    const char *problem;

    draw_watermark(c, j->watermark);
    problem = encode_picture(j->out, c, j->format);
    canvas_free(c);
    return problem;
}

static const char *new_result(const struct job *j, struct canvas *c, int64_t width, int64_t height)
{
    if (j->width && j->height) {
        width = j->width;
        height = j->height;
    }
    if (width > SIDE_MAX || height > SIDE_MAX || !canvas_new(c, width, height))
        return "the result would be too large";
    return NULL;
}

/* ---- pictures ---- */

static const char *op_card(struct job *j)
{
    struct canvas c;
    const char   *problem = new_result(j, &c, 1024, 1024);

    if (problem)
        return problem;
    draw_pattern(&c, j->seed);
    draw_card(&c, j);
    return finish(j, &c);
}

static const char *op_fit(struct job *j);

/* A picture with what was asked of it written below. */
static const char *op_caption(struct job *j)
{
    struct canvas c;
    const char   *problem;
    int           size, high;
    struct box    panel;

    if (!j->in[0].rgb)
        return op_card(j);
    problem = new_result(j, &c, j->in[0].width, j->in[0].height);
    if (problem)
        return problem;
    if (!scale_into(&j->in[0], cover(&j->in[0], &c, 1), &c)) {
        canvas_free(&c);
        return "the picture cannot be scaled";
    }
    size = max_int(8, min_int(c.width, c.height) / 28);
    high = min_int(c.height, size * 4);
    panel = (struct box){ 0, c.height - high, c.width, high };
    draw_box(&c, panel, black, 120);
    draw_text(&c, size, panel.y + size / 2, c.width - 2 * size, c.height, size, white,
              j->text_count ? j->texts[0] : (str){ 0 });
    return finish(j, &c);
}

/* The colours, each rounded to few steps a channel, are the parts: their numbers as greys, or themselves. */
static int part_of(const uint8_t *p)
{
    return (p[0] >> 6) * 16 + (p[1] >> 6) * 4 + (p[2] >> 6);
}

static const char *segment(struct job *j, bool colored)
{
    struct canvas *c = &j->in[0];

    for (int i = 0; i < c->width * c->height; i++) {
        uint8_t *p = c->rgb + 3 * (size_t)i;
        int      part = part_of(p);

        for (int k = 0; k < 3; k++)
            p[k] = (uint8_t)(colored ? (p[k] & 0xC0) + 32 : part * 4 + 1);
    }
    return encode_picture(j->out, c, j->format);
}

static const char *op_segment(struct job *j)
{
    return segment(j, false);
}

static const char *op_segment_colors(struct job *j)
{
    return segment(j, true);
}

/* What was done to the first picture itself, of the size that is asked for. */
static const char *finish_first(struct job *j)
{
    if (j->width && j->height)
        return op_fit(j);
    draw_watermark(&j->in[0], j->watermark);
    return encode_picture(j->out, &j->in[0], j->format);
}

/* "torso": left, upper, width and height, when it lies in the picture; else as it was: where a body mostly is. */
static void read_torso(const struct job *j, double torso[4])
{
    yyjson_val *said = json_get(j->json, "torso");
    double      v[4];

    for (size_t i = 0; i < 4; i++) {
        if (!json_to_num(yyjson_arr_get(said, i), &v[i]) || v[i] < 0)
            return;
    }
    if (v[2] >= 1 && v[3] >= 1 && v[0] + v[2] <= j->in[0].width && v[1] + v[3] <= j->in[0].height)
        memcpy(torso, v, sizeof(v));
}

/* The second picture, brought to the torso's size, laid on it. */
static const char *op_overlay(struct job *j)
{
    struct canvas *c = &j->in[0], part;
    double         torso[4] = { 0.25 * c->width, 0.25 * c->height, 0.5 * c->width, 0.45 * c->height }, scale;
    int            x, y;

    read_torso(j, torso);
    scale = fmin(torso[2] / j->in[1].width, torso[3] / j->in[1].height);

    if (!canvas_new(&part, max_int(1, (int)(j->in[1].width * scale)), max_int(1, (int)(j->in[1].height * scale))))
        return "no memory";
    if (!scale_into(&j->in[1], (struct box){ 0, 0, j->in[1].width, j->in[1].height }, &part)) {
        canvas_free(&part);
        return "the picture cannot be scaled";
    }
    x = (int)(torso[0] + torso[2] / 2) - part.width / 2;
    y = (int)torso[1];
    for (int row = 0; row < part.height; row++)
        memcpy(canvas_at(c, x, y + row), canvas_at(&part, 0, row), 3 * (size_t)part.width);
    canvas_free(&part);
    return finish_first(j);
}

/* "box" of the first picture: left, upper, width, height. */
static const char *cut_out(const struct job *j, struct canvas *ret)
{
    const struct canvas *in = &j->in[0];
    yyjson_val          *said = json_get(j->json, "box");
    int64_t              v[4];

    for (size_t i = 0; i < 4; i++)
        if (!json_to_i64(yyjson_arr_get(said, i), &v[i]) || v[i] < 0 || v[i] > SIDE_MAX)
            return "no box";
    if (v[2] < 1 || v[3] < 1 || v[0] + v[2] > in->width || v[1] + v[3] > in->height)
        return "the box lies outside of the picture";
    if (!canvas_new(ret, v[2], v[3]))
        return "no memory";
    for (int row = 0; row < ret->height; row++)
        memcpy(canvas_at(ret, 0, row), canvas_at(in, (int)v[0], (int)v[1] + row), 3 * (size_t)ret->width);
    return NULL;
}

static const char *op_crop(struct job *j)
{
    struct canvas c = { 0 };
    const char   *problem = cut_out(j, &c);

    return problem ? problem : finish(j, &c);
}

/* The mean colour of the middle: a ninth of the picture. */
static struct color color_of_middle(const struct canvas *c)
{
    int64_t sum[3] = { 0 }, n = 0;

    for (int y = c->height / 3; y <= c->height * 2 / 3 && y < c->height; y++)
        for (int x = c->width / 3; x <= c->width * 2 / 3 && x < c->width; x++, n++)
            for (int k = 0; k < 3; k++)
                sum[k] += canvas_at(c, x, y)[k];
    return (struct color){ (uint8_t)(sum[0] / n), (uint8_t)(sum[1] / n), (uint8_t)(sum[2] / n) };
}

/* … in which is seen through what has not the colour of its middle. */
static const char *op_cutout(struct job *j)
{
    struct canvas c = { 0 };
    const char   *problem = cut_out(j, &c);
    struct color  middle;

    if (problem)
        return problem;
    c.alpha = av_malloc((size_t)c.width * (size_t)c.height);
    if (!c.alpha) {
        canvas_free(&c);
        return "no memory";
    }
    middle = color_of_middle(&c);
    for (int i = 0; i < c.width * c.height; i++) {
        const uint8_t *p = c.rgb + 3 * (size_t)i;
        int            r = p[0] - middle.r, g = p[1] - middle.g, b = p[2] - middle.b;

        c.alpha[i] = r * r + g * g + b * b <= CUTOUT_DISTANCE * CUTOUT_DISTANCE ? 255 : 0;
    }
    return finish(j, &c);
}

static const char *op_fit(struct job *j)
{
    struct canvas c;
    const char   *problem = new_result(j, &c, j->in[0].width, j->in[0].height);

    if (problem)
        return problem;
    if (!scale_into(&j->in[0], cover(&j->in[0], &c, 1), &c))
        problem = "the picture cannot be scaled";
    if (problem)
        canvas_free(&c);
    return problem ? problem : finish(j, &c);
}

static const char *op_scale(struct job *j)
{
    double        factor = number_of(j, "upscale_factor", 1);
    struct canvas c;
    const char   *problem = factor > 0 && factor <= 100 ? new_result(j, &c, (int64_t)(j->in[0].width * factor),
                                                                     (int64_t)(j->in[0].height * factor))
                                                        : "upscale_factor is out of range";

    if (problem)
        return problem;
    if (!scale_into(&j->in[0], (struct box){ 0, 0, j->in[0].width, j->in[0].height }, &c))
        problem = "the picture cannot be scaled";
    if (problem)
        canvas_free(&c);
    return problem ? problem : finish(j, &c);
}

/* "16:9" */
static double ratio_of(str text)
{
    int64_t wide, high;
    str     first = str_cut(&text, ':');

    return str_to_i64(first, &wide) && str_to_i64(text, &high) && wide > 0 && high > 0 ? (double)wide / (double)high
                                                                                       : 0;
}

/* By how much each side grows. */
static struct box margins(const struct job *j)
{
    int        width = j->in[0].width, height = j->in[0].height;
    double     ratio = ratio_of(json_str(json_get(j->json, "output_ratio")));
    double     x_scale = number_of(j, "x_scale", 1), y_scale = number_of(j, "y_scale", 1);
    struct box b = { 0 }; /* left, top, right (as width), bottom (as height) */

    if (ratio > 0) {
        if ((double)width / height < ratio)
            b.x = b.width = (int)((height * ratio - width) / 2);
        else
            b.y = b.height = (int)((width / ratio - height) / 2);
    } else if (x_scale > 1 || y_scale > 1) {
        b.x = b.width = (int)(width * (x_scale - 1) / 2);
        b.y = b.height = (int)(height * (y_scale - 1) / 2);
    } else {
        b.x = (int)(number_of(j, "left", 0) + width * (number_of(j, "left_scale", 1) - 1));
        b.width = (int)(number_of(j, "right", 0) + width * (number_of(j, "right_scale", 1) - 1));
        b.y = (int)(number_of(j, "top", 0) + height * (number_of(j, "top_scale", 1) - 1));
        b.height = (int)(number_of(j, "bottom", 0) + height * (number_of(j, "bottom_scale", 1) - 1));
    }
    return b;
}

/* Mirrored at the edge, again and again. */
static int mirrored(int at, int side)
{
    int period = 2 * side;

    at = ((at % period) + period) % period;
    return at < side ? at : period - 1 - at;
}

static const char *op_expand(struct job *j)
{
    const struct canvas *in = &j->in[0];
    struct box           by = margins(j);
    struct canvas        c;

    if (by.x < 0 || by.y < 0 || by.width < 0 || by.height < 0)
        return "an offset is negative";
    j->width = j->height = 0;
    if (new_result(j, &c, (int64_t)in->width + by.x + by.width, (int64_t)in->height + by.y + by.height))
        return "the result would be too large";
    for (int y = 0; y < c.height; y++) {
        int from_y = mirrored(y - by.y, in->height);

        for (int x = 0; x < c.width; x++) {
            const uint8_t *from = canvas_at(in, mirrored(x - by.x, in->width), from_y);
            /* what is new fades with the distance, so that it is seen to be new */
            int away =
                max_int(max_int(by.x - x, x - by.x - in->width + 1), max_int(by.y - y, y - by.y - in->height + 1));
            int      light = away > 0 ? max_int(120, 255 - away / 4) : 255;
            uint8_t *to = canvas_at(&c, x, y);

            for (int i = 0; i < 3; i++)
                to[i] = (uint8_t)(from[i] * light / 255);
        }
    }
    return finish(j, &c);
}

static const char *op_tint(struct job *j)
{
    struct canvas c, two;
    const char   *problem = new_result(j, &c, j->in[0].width, j->in[0].height);

    if (problem)
        return problem;
    if (!scale_into(&j->in[0], cover(&j->in[0], &c, 1), &c) || !canvas_new(&two, 2, 1)) {
        canvas_free(&c);
        return "the picture cannot be scaled";
    }
    draw_pattern(&two, j->seed); /* its two hues */
    for (int y = 0; y < c.height; y++) {
        for (int x = 0; x < c.width; x++) {
            uint8_t *p = canvas_at(&c, x, y);
            int      luma = (p[0] * 77 + p[1] * 150 + p[2] * 29) >> 8;

            for (int i = 0; i < 3; i++) {
                int hue = (two.rgb[i] * (255 - luma) + two.rgb[3 + i] * luma) / 255;

                p[i] = (uint8_t)((luma * 2 + hue * luma / 255 + p[i]) / 4);
            }
        }
    }
    canvas_free(&two);
    return finish(j, &c);
}

/* Passes over the picture: each unknown point becomes the mean of its known neighbours, from all four sides inwards. */
static void fill_from_around(struct canvas *c, uint8_t *unknown)
{
    int stride = c->width, left = 1;

    for (int pass = 0; left && pass < c->width + c->height; pass++) {
        left = 0;
        for (int y = 0; y < c->height; y++) {
            for (int x = 0; x < c->width; x++) {
                static const int dx[] = { -1, 1, 0, 0 }, dy[] = { 0, 0, -1, 1 };
                int              sum[3] = { 0 }, n = 0;

                if (unknown[y * stride + x] != 1)
                    continue;
                for (int k = 0; k < 4; k++) {
                    int px = x + dx[k], py = y + dy[k];

                    if (px < 0 || py < 0 || px >= c->width || py >= c->height || unknown[py * stride + px])
                        continue;
                    for (int i = 0; i < 3; i++)
                        sum[i] += canvas_at(c, px, py)[i];
                    n++;
                }
                if (!n) {
                    left = 1;
                    continue;
                }
                for (int i = 0; i < 3; i++)
                    canvas_at(c, x, y)[i] = (uint8_t)(sum[i] / n);
                unknown[y * stride + x] = 2; /* known from the next pass on */
            }
        }
        for (int i = 0; i < c->width * c->height; i++)
            if (unknown[i] == 2)
                unknown[i] = 0;
    }
}

static const char *op_erase(struct job *j)
{
    struct canvas *c = &j->in[0], mask;
    uint8_t       *unknown;

    if (!canvas_new(&mask, c->width, c->height))
        return "no memory";
    unknown = calloc((size_t)c->width, (size_t)c->height);
    if (!unknown || !scale_into(&j->in[1], (struct box){ 0, 0, j->in[1].width, j->in[1].height }, &mask)) {
        free(unknown);
        canvas_free(&mask);
        return "the mask cannot be scaled";
    }
    for (int i = 0; i < c->width * c->height; i++)
        unknown[i] = mask.rgb[3 * i] > 127;
    fill_from_around(c, unknown);
    free(unknown);
    canvas_free(&mask);
    return finish_first(j);
}

/* ---- videos ---- */

/* A disc that crosses the card, and how far the video is, at its bottom. */
struct moving {
    const struct job *job;
    struct canvas     card;
};

static void draw_moving(void *arg, struct canvas *c, double t)
{
    const struct moving *m = arg;
    int                  side = min_int(c->width, c->height), bar = max_int(2, side / 90);
    struct box           b = { 0, c->height - bar, (int)(c->width * t), bar };

    memcpy(c->rgb, m->card.rgb, 3 * (size_t)c->width * (size_t)c->height);
    draw_disc(c, c->width * (0.1 + 0.8 * t), c->height * (0.75 + 0.12 * sin(2 * M_PI * t)), side * 0.06, white, 110);
    draw_box(c, b, white, 200);
    draw_watermark(c, m->job->watermark);
}

static const char *op_video_card(struct job *j)
{
    struct moving m = { .job = j };
    const char   *problem = new_result(j, &m.card, 1280, 720);

    if (problem)
        return problem;
    draw_pattern(&m.card, j->seed);
    draw_card(&m.card, j);
    problem = video_drawn(j->json, draw_moving, &m, j->sound, j->out);
    canvas_free(&m.card);
    return problem;
}

struct ends {
    const struct job *job;
    struct canvas     from, to;
};

static void draw_between(void *arg, struct canvas *c, double t)
{
    const struct ends *e = arg;
    size_t             n = 3 * (size_t)c->width * (size_t)c->height;
    int                much = (int)(255 * (t * t * (3 - 2 * t)));

    for (size_t i = 0; i < n; i++)
        c->rgb[i] = (uint8_t)((e->from.rgb[i] * (255 - much) + e->to.rgb[i] * much) / 255);
    draw_watermark(c, e->job->watermark);
}

static const char *op_video_between(struct job *j)
{
    struct ends e = { .job = j };
    const char *problem = new_result(j, &e.from, j->in[0].width, j->in[0].height);

    if (!problem && !canvas_new(&e.to, e.from.width, e.from.height))
        problem = "no memory";
    if (!problem && (!scale_into(&j->in[0], cover(&j->in[0], &e.from, 1), &e.from) ||
                     !scale_into(&j->in[1], cover(&j->in[1], &e.to, 1), &e.to)))
        problem = "the pictures cannot be scaled";
    if (!problem)
        problem = video_drawn(j->json, draw_between, &e, j->sound, j->out);
    canvas_free(&e.from);
    canvas_free(&e.to);
    return problem;
}

/* ---- which of them ---- */

static const struct {
    const char *name;
    size_t      pictures; /* at least */
    size_t      more;     /* that it also takes */
    const char *(*run)(struct job *j);
} operations[] = {
    { "card", 0, 0, op_card },
    { "caption", 0, 1, op_caption },
    { "fit", 1, 0, op_fit },
    { "overlay", 2, 0, op_overlay },
    { "crop", 1, 0, op_crop },
    { "cutout", 1, 0, op_cutout },
    { "segment", 1, 0, op_segment },
    { "segment_colors", 1, 0, op_segment_colors },
    { "scale", 1, 0, op_scale },
    { "expand", 1, 0, op_expand },
    { "tint", 1, 0, op_tint },
    { "erase", 2, 0, op_erase },
    { "video_card", 0, 0, op_video_card },
    { "video_between", 2, 0, op_video_between },
};

bool drawn_knows(str op)
{
    for (size_t i = 0; i < ARRAY_LEN(operations); i++)
        if (str_eq(op, str_from_cstr(operations[i].name)))
            return true;
    return false;
}

const char *drawn_render(yyjson_val *request, const struct render_file *in, size_t in_count, int out)
{
    struct job  j = { .json = request, .out = out };
    const char *problem = read_job(&j);
    size_t      i = 0, pictures;

    while (!str_eq(j.op, str_from_cstr(operations[i].name)))
        i++; /* drawn_knows() it */
    if (in_count < operations[i].pictures)
        problem = "a picture is missing";
    pictures = operations[i].pictures + (in_count > operations[i].pictures ? operations[i].more : 0);
    if (in_count > pictures)
        j.sound = &in[pictures];
    for (size_t k = 0; k < pictures && !problem; k++)
        problem = decode(&in[k], &j.in[k]);
    if (!problem)
        problem = operations[i].run(&j);
    for (size_t k = 0; k < PICTURES_MAX; k++)
        canvas_free(&j.in[k]);
    return problem;
}
