/* picture.c - the media engine decodes; the others look at pixels. */
#include "service/picture.h"

#include "access/admission.h"
#include "access/moderation.h"
#include "base/log.h"
#include "base/num.h"
#include "engine/media/media.h"
#include "engine/ocr/ocr.h"
#include "service/people.h"
#include "service/picture_memo.h"
#include "service/services.h"

#include <sys/mman.h>
#include <unistd.h>

#define SIDE_READ    2048 /* of what is read: a page in 150 pixels an inch and more */
#define SIDE_COLOURS 64
#define COLOUR_LEAST 10 /* percent: below it a colour is not worth a word */

/* The picture brought to a size, as rows of RGB in a file of its own. */
SUSPENDS static enum err pixels_open(struct request *rq, const struct media_file *f, int side, struct media_facts *ret,
                                     int *ret_fd)
{
    str      order = arena_printf(rq->arena, "{\"op\":\"pixels\",\"side\":%d,\"at_ms\":0}", side);
    int      fd = memfd_create("pixels", MFD_CLOEXEC);
    enum err e;

    if (fd < 0)
        return ERR_IO;
    e = media_render(rq->services->media, order, &f->file.fd, 1, fd, rq->arena, ret);
    if (!e && (ret->width <= 0 || ret->height <= 0))
        e = ERR_PROTOCOL;
    if (e) {
        close(fd);
        return e;
    }
    *ret_fd = fd;
    return OK;
}

/* What is not seen is not told: but for a fiber that is to end. */
static enum err unseen(const struct request *rq, const char *what, enum err e)
{
    if (e == ERR_CANCELLED)
        return e;
    log_warn("%s: %s of a picture could not be looked for: %s", rq->id, what, err_text(e));
    return ERR_NOT_FOUND;
}

static bool is_picture(const struct media_file *f)
{
    return !f->fetch && !f->inspected && f->facts.kind == MEDIA_IMAGE;
}

/* ---- text ---- */

enum err picture_read(struct request *rq, struct media_file *f, const struct picture_lines **ret_lines)
{
    struct picture_lines *lines;
    struct media_facts    shown;
    int                   fd;
    enum err              e;

    might_suspend();
    if (!is_picture(f) || !rq->services->media || !rq->services->ocr)
        return ERR_NOT_FOUND;
    *ret_lines = f->lines;
    if (f->lines)
        return OK;
    lines = arena_new(rq->arena, struct picture_lines);
    if (picture_memo_lines(rq->services->seen, str_from_cstr(f->file.hash), rq->arena, lines)) {
        f->lines = *ret_lines = lines;
        return OK;
    }
    rq->action = "reading the text in a picture";
    e = pixels_open(rq, f, SIDE_READ, &shown, &fd);
    if (e)
        return unseen(rq, "the text", e);
    e = ocr_look(rq->services->ocr, fd, shown.width, shown.height, rq->arena, lines);
    close(fd);
    if (e)
        return unseen(rq, "the text", e);
    for (size_t i = 0; i < lines->count; i++) { /* into the pixels of the file */
        struct picture_line *l = &lines->at[i];
        double               by = (double)f->facts.width / (double)shown.width;

        l->x = (int64_t)((double)l->x * by);
        l->y = (int64_t)((double)l->y * by);
        l->width = (int64_t)((double)l->width * by);
        l->height = (int64_t)((double)l->height * by);
    }
    picture_memo_lines_add(rq->services->seen, str_from_cstr(f->file.hash), lines);
    f->lines = *ret_lines = lines;
    return OK;
}

enum err picture_moderate(struct request *rq, unsigned side, struct media_file *f)
{
    struct moderation_set      *rules = admit_rules(rq);
    const struct picture_lines *lines;
    struct buf                  b;
    enum err                    e;

    might_suspend();
    if (!moderation_looks_at(rules, side))
        return OK;
    e = picture_read(rq, f, &lines);
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    for (size_t i = 0; i < lines->count; i++) {
        buf_add(&b, i ? S("\n") : S(""));
        buf_add(&b, lines->at[i].text);
    }
    return b.len ? admit_picture_text(rq, rules, side, buf_str(&b)) : OK;
}

/* ---- colours ---- */

#define COLOURS(X)                                                                                            \
    X(BLACK, "black")                                                                                         \
    X(WHITE, "white")                                                                                         \
    X(GREY, "grey")                                                                                           \
    X(RED, "red") X(ORANGE, "orange") X(BROWN, "brown") X(YELLOW, "yellow") X(GREEN, "green") X(CYAN, "cyan") \
        X(BLUE, "blue") X(PURPLE, "purple") X(PINK, "pink")
#define COLOUR_ENUM(name, word) name,
enum colour { COLOURS(COLOUR_ENUM) COLOUR_COUNT };
#undef COLOUR_ENUM

/* The word for a pixel, by its hue, how strong it is, and how light. */
static enum colour colour_of(const unsigned char *rgb)
{
    int r = rgb[0], g = rgb[1], b = rgb[2];
    int most = r > g ? (r > b ? r : b) : (g > b ? g : b), least = r < g ? (r < b ? r : b) : (g < b ? g : b);
    int strength = most - least, hue;

    if (most < 48)
        return BLACK;
    if (strength * 8 < most)
        return most > 216 ? WHITE : GREY;
    if (most == r)
        hue = 60 * (g - b) / strength;
    else if (most == g)
        hue = 120 + 60 * (b - r) / strength;
    else
        hue = 240 + 60 * (r - g) / strength;
    if (hue < 0)
        hue += 360;
    if (hue < 15 || hue >= 345)
        return strength * 2 < most && most > 160 ? PINK : RED;
    if (hue < 45)
        return most < 160 ? BROWN : ORANGE;
    return hue < 70 ? YELLOW : hue < 165 ? GREEN : hue < 195 ? CYAN : hue < 260 ? BLUE : hue < 300 ? PURPLE : PINK;
}

static void add_colours(const unsigned char *rgb, size_t pixels, struct picture *ret)
{
#define COLOUR_WORD(name, word) S(word),
    static const str words[] = { COLOURS(COLOUR_WORD) };
#undef COLOUR_WORD
    size_t counts[COLOUR_COUNT] = { 0 };

    for (size_t i = 0; i < pixels; i++)
        counts[colour_of(rgb + 3 * i)]++;
    while (ret->colour_count < PICTURE_COLOURS_MAX) {
        size_t  best = 0;
        int64_t percent;

        for (size_t i = 1; i < COLOUR_COUNT; i++)
            best = counts[i] > counts[best] ? i : best;
        percent = (int64_t)((counts[best] * 100 + pixels / 2) / pixels);
        if (percent < COLOUR_LEAST)
            return;
        ret->colours[ret->colour_count++] = (struct picture_colour){ words[best], percent };
        counts[best] = 0;
    }
}

SUSPENDS static enum err see_colours(struct request *rq, const struct media_file *f, struct picture *ret)
{
    struct media_facts shown;
    unsigned char      rgb[3 * SIDE_COLOURS * SIDE_COLOURS];
    size_t             bytes;
    int                fd;
    enum err           e = pixels_open(rq, f, SIDE_COLOURS, &shown, &fd);

    if (e)
        return unseen(rq, "the colours", e);
    bytes = (size_t)max_i64(0, min_i64(shown.width, SIDE_COLOURS) * min_i64(shown.height, SIDE_COLOURS)) * 3;
    if (pread(fd, rgb, bytes, 0) == (ssize_t)bytes)
        add_colours(rgb, bytes / 3, ret);
    close(fd);
    return OK;
}

/* ---- all of it ---- */

SUSPENDS static enum err see_faces(struct request *rq, const struct media_file *f, struct picture *ret)
{
    struct people_picture people;
    enum err              e;

    if (!rq->services->people)
        return OK;
    e = people_look(rq, f, 0, &people);
    if (!e)
        ret->faces = (int64_t)people_count_faces(people.facts);
    return e ? unseen(rq, "the faces", e) : OK;
}

SUSPENDS static enum err see_looks(struct request *rq, const struct media_file *f, struct picture *ret)
{
    str      hash = str_from_cstr(f->file.hash);
    enum err e;

    if (picture_memo_looks(rq->services->seen, hash, ret))
        return OK;
    rq->action = "looking at a picture";
    e = see_colours(rq, f, ret);
    if (!e)
        e = see_faces(rq, f, ret);
    if (!e)
        picture_memo_looks_add(rq->services->seen, hash, ret);
    return e;
}

enum err picture_see(struct request *rq, const struct chat_part *p, bool text_alone, struct picture *ret)
{
    struct media_file          *f = p->file;
    const struct picture_lines *lines;
    enum err                    e;

    might_suspend();
    *ret = (struct picture){ .faces = -1 };
    if (!f || f->fetch || f->inspected)
        return ERR_NOT_FOUND;
    ret->kind = f->facts.kind;
    ret->format = f->facts.format;
    ret->width = f->facts.width;
    ret->height = f->facts.height;
    ret->duration_ms = f->facts.duration_ms;
    if (!is_picture(f))
        return OK;
    e = text_alone ? OK : see_looks(rq, f, ret);
    if (e != ERR_CANCELLED)
        e = picture_read(rq, f, &lines);
    if (e == ERR_CANCELLED)
        return e;
    ret->read = !e;
    if (ret->read)
        ret->lines = *lines;
    return OK;
}
