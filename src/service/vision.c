/* vision.c - looks at what chat is given to see and hear. */
#include "service/vision.h"

#include "base/log.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "service/media.h"
#include "service/services.h"

#include <math.h>

#define FPS_DEFAULT 2.0
#define FRAMES_MIN  4 /* of a model that does not say */
#define FRAMES_MAX  512
#define PIXELS_MAX  (16384.0) /* patches of a picture with vl_high_resolution_images */
#define MARKERS     2         /* around what is seen; models of the older patch count them as text */
#define PATCH_OLD   28

static const struct media_member *member_of(const struct media_service *s, str path)
{
    for (unsigned i = 0; i < s->member_count; i++)
        if (str_eq(s->members[i].path, path))
            return &s->members[i];
    return NULL;
}

/* ---- what it counts ---- */

struct size {
    double width, height;
};

/* The size to which a picture is brought between the limits, in whole patches (chat.md §10.2). */
static struct size fit(double width, double height, double f, double least, double most)
{
    double w = fmax(1, round(width / f)) * f, h = fmax(1, round(height / f)) * f;

    if (w * h > most) {
        double b = sqrt(width * height / most);

        w = fmax(1, floor(width / b / f)) * f;
        h = fmax(1, floor(height / b / f)) * f;
    } else if (w * h < least) {
        double b = sqrt(least / (width * height));

        w = ceil(width * b / f) * f;
        h = ceil(height * b / f) * f;
    }
    return (struct size){ w, h };
}

static double patches(struct size s, double f)
{
    return s.width * s.height / (f * f);
}

static double chosen(opt_int o, double otherwise)
{
    return o.set ? (double)o.v : otherwise;
}

static int64_t image_tokens(const struct chat_input *in, const struct media_service *s, struct chat_part *p,
                            const struct media_facts *is)
{
    double      f = s->patch, most = chosen(p->options.max_pixels, s->pixels_max);
    double      least = chosen(p->options.min_pixels, s->pixels_min);
    struct size seen;

    if (in->vl_high_resolution_images.v)
        most = PIXELS_MAX * f * f;
    seen = fit((double)is->width, (double)is->height, f, least, fmax(most, least));
    p->height = (int64_t)seen.height;
    p->width = (int64_t)seen.width;
    return (int64_t)patches(seen, f) + (f > PATCH_OLD ? MARKERS : 0);
}

/* As many frames as fps takes of its length, between what the model takes at least and at most. */
static double frames_of(const struct chat_input *in, const struct chat_part *p, const struct media_facts *is)
{
    double fps = p->options.fps.set ? p->options.fps.v : FPS_DEFAULT;
    double least = in->model->frames_max ? (double)in->model->frames_min : FRAMES_MIN;
    double most = in->model->frames_max ? (double)in->model->frames_max : FRAMES_MAX;

    most = fmin(most, chosen(p->options.max_frames, most));
    return fmax(least, fmin(most, round((double)is->duration_ms / 1000 * fps / 2) * 2));
}

/* `list`: the frames of one; 0: it is a film (chat.md §10.3). */
static int64_t video_tokens(const struct chat_input *in, const struct media_service *s, const struct chat_part *p,
                            const struct media_facts *is, int64_t list)
{
    double f = s->patch, frames = list ? (double)list : frames_of(in, p, is);
    double least = chosen(p->options.min_pixels, s->pixels_min);
    double most = fmin(chosen(p->options.max_pixels, s->video_pixels),
                       chosen(p->options.total_pixels, s->video_total) / frames * 2);

    most = fmax(most, 1.05 * least);
    return (int64_t)(ceil(frames / 2) * patches(fit((double)is->width, (double)is->height, f, least, most), f)) +
           (f > PATCH_OLD ? MARKERS : 0);
}

static int64_t audio_tokens(const struct media_service *s, const struct media_facts *is)
{
    return (int64_t)ceil(fmax(1, (double)is->duration_ms / 1000) * s->audio_tokens);
}

/* ---- looking ---- */

/* What a laptop without a network cannot have. */
static bool on_trust(const struct request *rq, const struct media_file *f)
{
    if (!f->fetch && f->inspected == ERR_NOT_FOUND)
        return true; /* this dashbox has no media engine */
    return rq->settings->media_chat != REQUEST_MEDIA_ALL &&
           (f->fetch == FETCH_NAME || f->fetch == FETCH_UNREACHABLE || f->fetch == FETCH_FORBIDDEN);
}

/* *ret_file is NULL for what is taken on trust. */
SUSPENDS static enum err look(struct request *rq, const struct media_member *m, str url, struct media_file **ret_file)
{
    struct media_file   *f = arena_new(rq->arena, struct media_file);
    bool                 http = str_starts_nocase(url, S("http"));
    struct fetch_request want = {
        .url = url,
        .size_max = m->bytes.set ? (int64_t)m->bytes.high : INT64_MAX,
        .time_ms = rq->settings->tasks.fetch_ms,
        .need_length = http && m->length_needed,
        .types = http ? m->content_types : NULL,
        .type_count = http ? m->content_type_count : 0,
    };
    enum err e;

    *ret_file = NULL;
    rq->action = "downloading what the messages show";
    e = media_get(rq, &want, f);
    if (e || on_trust(rq, f))
        return e;
    e = media_file_check(rq, m, url, f);
    if (!e)
        *ret_file = f;
    return e;
}

/* The frames of a list: their first is as large as all. */
SUSPENDS static enum err look_at_frames(struct request *rq, struct chat_input *in, const struct media_service *s,
                                        const struct chat_part *p)
{
    const struct media_member *m = member_of(s, S("message.image"));
    const struct media_facts  *first = NULL;
    struct media_file         *is;
    enum err                   e = OK;
    size_t                     i, n;
    yyjson_val                *url;

    if (!m)
        return OK;
    yyjson_arr_foreach(p->urls, i, n, url)
    {
        if (e)
            break;
        e = look(rq, m, json_str(url), &is);
        first = first || !is ? first : &is->facts;
        if (!is)
            break; /* what cannot be had from here is not asked for again and again */
    }
    if (!e && first)
        in->video_tokens += video_tokens(in, s, p, first, (int64_t)yyjson_arr_size(p->urls));
    return e;
}

SUSPENDS static enum err look_at_part(struct request *rq, struct chat_input *in, const struct media_service *s,
                                      struct chat_part *p)
{
    const struct media_member *m = NULL;
    const struct media_facts  *is;
    enum err                   e;

    switch (p->kind) {
    case CHAT_PART_IMAGE:
        m = member_of(s, S("message.image"));
        break;
    case CHAT_PART_VIDEO:
        if (p->urls)
            return look_at_frames(rq, in, s, p);
        m = member_of(s, S("message.video"));
        break;
    case CHAT_PART_AUDIO:
        m = member_of(s, S("message.audio"));
        break;
    case CHAT_PART_TEXT:
    case CHAT_PART_FILE:
        break;
    }
    if (!m)
        return OK;
    e = look(rq, m, p->text, &p->file);
    if (e || !p->file)
        return e;
    is = &p->file->facts;
    if (p->kind == CHAT_PART_IMAGE)
        in->image_tokens += image_tokens(in, s, p, is);
    else if (p->kind == CHAT_PART_VIDEO)
        in->video_tokens += video_tokens(in, s, p, is, 0);
    else
        in->audio_tokens += audio_tokens(s, is);
    return OK;
}

enum err vision_look(struct request *rq, struct chat_input *in)
{
    const struct media_service *s =
        rq->settings->media_chat == REQUEST_MEDIA_OFF ? NULL : media_look_find(in->model->id);
    enum err e = OK;

    might_suspend();
    in->image_tokens = in->video_tokens = in->audio_tokens = 0;
    for (size_t i = 0; s && i < in->message_count; i++)
        for (size_t k = 0; k < in->messages[i].part_count && !e; k++)
            e = look_at_part(rq, in, s, &in->messages[i].parts[k]);
    return e;
}
