/* draw.c - on FreeType, for the letters. */
#include "draw.h"

#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"

#include <fcntl.h>
#include <ft2build.h>
#include <libavutil/mem.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include FT_FREETYPE_H

/* The first that is there. One with Chinese letters, else one without. */
static const char *const fonts[] = {
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
};

static FT_Library library;
static FT_Face    face; /* NULL: there is no font */

bool canvas_new(struct canvas *c, int64_t width, int64_t height)
{
    *c = (struct canvas){ 0 };
    if (width < 1 || height < 1 || width > CANVAS_PIXELS || height > CANVAS_PIXELS / width)
        return false;
    c->width = (int)width;
    c->height = (int)height;
    c->rgb = av_calloc((size_t)(width * height), 3);
    return c->rgb != NULL;
}

void canvas_free(struct canvas *c)
{
    av_freep(&c->rgb);
    av_freep(&c->alpha);
}

static bool open_font(const char *path)
{
    int         fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    void       *bytes;

    if (fd < 0)
        return false;
    bytes = fstat(fd, &st) ? MAP_FAILED : mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    return bytes != MAP_FAILED && FT_New_Memory_Face(library, bytes, (FT_Long)st.st_size, 0, &face) == 0;
}

bool draw_begin(void)
{
    if (FT_Init_FreeType(&library))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(fonts); i++)
        if (open_font(fonts[i]))
            return true;
    face = NULL;
    return false;
}

/* ---- shapes ---- */

static void blend(uint8_t *p, struct color c, int opacity)
{
    p[0] = (uint8_t)(p[0] + (c.r - p[0]) * opacity / 255);
    p[1] = (uint8_t)(p[1] + (c.g - p[1]) * opacity / 255);
    p[2] = (uint8_t)(p[2] + (c.b - p[2]) * opacity / 255);
}

/* hue 0 to 1, of a muted saturation. */
static struct color color_of(double hue, double light)
{
    double rgb[3];

    for (int i = 0; i < 3; i++) {
        double h = fmod(hue + i / 3.0, 1.0), wave = 0.5 + 0.5 * cos(2 * M_PI * h);

        rgb[i] = light * (0.45 + 0.55 * wave) * 255;
    }
    return (struct color){ (uint8_t)rgb[0], (uint8_t)rgb[1], (uint8_t)rgb[2] };
}

static double chance(uint64_t *seed)
{
    return (double)(rand_next(seed) >> 11) * 0x1p-53;
}

void draw_disc(struct canvas *c, double x, double y, double radius, struct color color, int opacity)
{
    int top = max_int(0, (int)(y - radius)), bottom = min_int(c->height - 1, (int)(y + radius));

    for (int row = top; row <= bottom; row++) {
        double half = sqrt(fmax(0, radius * radius - (row - y) * (row - y)));
        int    left = max_int(0, (int)(x - half)), right = min_int(c->width - 1, (int)(x + half));

        for (int col = left; col <= right; col++)
            blend(canvas_at(c, col, row), color, opacity);
    }
}

void draw_box(struct canvas *c, struct box b, struct color color, int opacity)
{
    int left = max_int(0, b.x), right = min_int(c->width, b.x + b.width);
    int top = max_int(0, b.y), bottom = min_int(c->height, b.y + b.height);

    for (int y = top; y < bottom; y++)
        for (int x = left; x < right; x++)
            blend(canvas_at(c, x, y), color, opacity);
}

void draw_pattern(struct canvas *c, uint64_t seed)
{
    double       hue = chance(&seed), other = hue + 0.12 + 0.25 * chance(&seed), angle = chance(&seed) * 2 * M_PI;
    struct color from = color_of(hue, 0.85), to = color_of(other, 0.55);
    double       dx = cos(angle), dy = sin(angle), reach = fabs(dx) * c->width + fabs(dy) * c->height;

    for (int y = 0; y < c->height; y++) {
        for (int x = 0; x < c->width; x++) {
            double   t = ((x - c->width / 2.0) * dx + (y - c->height / 2.0) * dy) / reach + 0.5;
            uint8_t *p = canvas_at(c, x, y);

            p[0] = (uint8_t)(from.r + (to.r - from.r) * t);
            p[1] = (uint8_t)(from.g + (to.g - from.g) * t);
            p[2] = (uint8_t)(from.b + (to.b - from.b) * t);
        }
    }
    for (int i = 0; i < 7; i++) {
        double x = chance(&seed) * c->width, y = chance(&seed) * c->height;
        double radius = (0.06 + 0.22 * chance(&seed)) * min_int(c->width, c->height);

        draw_disc(c, x, y, radius, color_of(other + chance(&seed) * 0.2, 0.9), 46);
    }
}

/* ---- letters ---- */

static void draw_glyph(struct canvas *c, int x, int y, struct color color)
{
    const FT_Bitmap *b = &face->glyph->bitmap;

    for (unsigned row = 0; row < b->rows; row++) {
        for (unsigned col = 0; col < b->width; col++) {
            int px = x + face->glyph->bitmap_left + (int)col, py = y - face->glyph->bitmap_top + (int)row;

            if (px >= 0 && py >= 0 && px < c->width && py < c->height)
                blend(canvas_at(c, px, py), color, b->buffer[(int)row * b->pitch + (int)col]);
        }
    }
}

static int advance_of(uint32_t cp, bool render)
{
    if (FT_Load_Char(face, cp, render ? FT_LOAD_RENDER : FT_LOAD_DEFAULT))
        return 0;
    return (int)(face->glyph->advance.x >> 6);
}

/* How much of the text stands in one line of that width: to its last blank, or wherever it is full in writing without blanks. */
static size_t line_len(str text, int width)
{
    const char *p = text.ptr, *end = str_end(text), *blank = NULL;
    int         x = 0;

    while (p < end) {
        uint32_t cp;
        size_t   n = utf8_decode(p, end, &cp);

        if (n == 0) {
            n = 1;
            cp = 0xFFFD;
        }
        if (cp == '\n')
            return (size_t)(p - text.ptr) + 1;
        x += advance_of(cp, false);
        if (x > width && p > text.ptr)
            return (size_t)((blank ? blank : p) - text.ptr);
        p += n;
        if (cp == ' ' || cp >= 0x2E80)
            blank = p;
    }
    return text.len;
}

int draw_text_width(int size, str text)
{
    const char *p = text.ptr, *end = str_end(text);
    int         x = 0;

    if (!face || FT_Set_Pixel_Sizes(face, 0, (FT_UInt)size))
        return 0;
    while (p < end) {
        uint32_t cp;
        size_t   n = utf8_decode(p, end, &cp);

        x += advance_of(n ? cp : 0xFFFD, false);
        p += n ? n : 1;
    }
    return x;
}

int draw_text(struct canvas *c, int x, int y, int width, int bottom, int size, struct color color, str text)
{
    if (!face || FT_Set_Pixel_Sizes(face, 0, (FT_UInt)size))
        return y;
    while (text.len && y + size <= bottom) {
        str line = str_first(text, line_len(text, width));
        int at = x;

        text = str_from(text, line.len);
        for (const char *p = line.ptr, *end = str_end(line); p < end;) {
            uint32_t cp;
            size_t   n = utf8_decode(p, end, &cp);
            int      advance = cp == '\n' ? 0 : advance_of(n ? cp : 0xFFFD, true);

            if (advance)
                draw_glyph(c, at, y + size, color);
            at += advance;
            p += n ? n : 1;
        }
        y += size * 5 / 4;
    }
    return y;
}
