/* media_run.c - a call of a media service, from its files to its results. Spec: media.md §3-§6.
 *
 * What is said of the results is a template of data/media: JSON in which @name stands for a value, and <…> for what is repeated for
 * each result:
 *
 *   @url @url2    of a result                       @count @failed         how many were made, how many were not
 *   @width @height @size @sr @sr_text               of the first result; @sr is its tier, 720 of "720P"
 *   @duration @fps @input_duration @all_duration    seconds
 *   @ratio        that of the size table's row      @images               how many pictures were judged
 *   @code @message                                  of the refusal, where a file's is an output
 *   @passed @reason                                 of a file that was judged for itself
 *   @face_bbox @ext_bbox @humanoid @bodystyle       of the one in the picture (service/media_people.h)
 *   @template_id  that of this task                 @box                  where this result's garment is worn
 *   @prompt       what was asked for                @input.x, @parameters.x   a member as it was sent, or its default
 *   ?…?           only when the prompt may be rewritten
 */
#include "service/media_run.h"

#include "access/admission.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "contract/media_service.h"
#include "engine/media/media.h"
#include "loop/lane.h"
#include "service/media.h"
#include "service/media_people.h"
#include "service/picture.h"
#include "service/services.h"
#include "service/whole.h"
#include "store/results.h"

#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILES_MAX    MEDIA_RENDER_FILES
#define RESULTS_MAX  32
#define SEED_MAX     INT64_C(2147483647)
#define SIDE_DEFAULT 1024 /* of a picture of no size that an engine is asked for: most models were made for it */

#define WAYS_MAX 2 /* files of one result */

struct result {
    bool               passed;         /* a file that was judged for itself */
    bool               absent;         /* there is nothing to make a file of, and that is no fault */
    str                urls[WAYS_MAX]; /* the first empty: it was refused */
    str                code, message;
    struct media_facts facts; /* of the first file */
};

struct run {
    struct request              *rq;
    const struct media_call     *call;
    str                          owner, base;
    int                          files[FILES_MAX];
    size_t                       file_count;
    int                          sound;                    /* comes last; -1: none */
    const struct media_facts    *facts[MEDIA_MEMBERS_MAX]; /* of each member's last file */
    const struct media_facts    *first_picture, *last_picture, *leader;
    const struct media_file     *last_video;
    const struct people_picture *people;   /* who was seen last; NULL: nobody was looked for */
    int64_t                      input_ms; /* of all videos that were handed in */
    int64_t                      sound_ms, template_ms;
    int64_t                      images;        /* that were downloaded */
    bool                         judged;        /* the fault is about what a file is or shows */
    const struct media_tier     *tier;          /* that decided the size */
    str                          code, message; /* of the fault that is an output */
    int64_t                      width, height, seed;
    struct result                results[RESULTS_MAX];
    size_t                       count;
    int64_t                      made;
};

/* ---- texts ---- */

static str prompt_of(const struct media_call *c)
{
    const struct media_value *v = media_call_value(c, MEDIA_ROLE_PROMPT);

    return v ? v->text : (str){ 0 };
}

enum err media_moderate(struct request *rq, const struct media_call *c)
{
    str    texts[MEDIA_MEMBERS_MAX];
    size_t n = 0;

    might_suspend();
    for (unsigned i = 0; i < c->service->member_count; i++)
        if (c->service->members[i].type == MEDIA_TEXT && c->values[i].set && c->values[i].text.len)
            texts[n++] = c->values[i].text;
    return n ? whole_moderate(rq, texts, n) : OK;
}

/* ---- files in ---- */

static const struct media_value *value_at(const struct media_call *c, str path)
{
    for (unsigned i = 0; i < c->service->member_count; i++)
        if (str_eq(c->service->members[i].path, path))
            return c->values[i].set ? &c->values[i] : NULL;
    return NULL;
}

static str ratio_of(const struct run *r)
{
    const struct media_value *ratio = media_call_value(r->call, MEDIA_ROLE_RATIO);

    return ratio ? ratio->text : (str){ 0 };
}

static enum err refuse_failed(struct run *r, enum err e);

/* What is written in it. REF: E078. */
SUSPENDS static enum err judge_text(struct run *r, const struct media_member *m, str url, struct media_file *f)
{
    const struct media_refusal *moderated = &r->call->service->moderated;
    enum err                    e = picture_moderate(r->rq, MODERATION_INPUT, f);
    str                         detail = r->rq->fault.detail;

    if (e != ERR_FAULT || !moderated->set)
        return e;
    r->rq->fault = (struct fault){ 0 };
    (void)media_refuse(r->rq, moderated, m, url, NULL);
    return fault_detail(&r->rq->fault, detail);
}

/* Who is in it. */
SUSPENDS static enum err judge_people(struct run *r, const struct media_member *m, str url, const struct media_file *f)
{
    struct people_picture    *seen = arena_new(r->rq->arena, struct people_picture);
    const struct media_value *wanted = m->people_if.len ? value_at(r->call, m->people_if) : NULL;
    enum err                  e;

    if (!m->people.len || (m->people_if.len && !(wanted && wanted->yes)))
        return OK;
    e = media_people_check(r->rq, m, f, ratio_of(r), seen, &r->judged);
    if (r->judged)
        r->people = seen;
    if (e == ERR_INVALID && m->faults[MEDIA_FAULT_UNREADABLE].set) {
        r->judged = true;
        return media_refuse(r->rq, &m->faults[MEDIA_FAULT_UNREADABLE], m, url, NULL);
    }
    return !e || e == ERR_FAULT || e == ERR_CANCELLED ? e : refuse_failed(r, e);
}

/* Whether the face in this picture is one in that video, which came before. */
SUSPENDS static enum err judge_match(struct run *r, const struct media_member *m)
{
    const struct media_value *threshold = media_call_value(r->call, MEDIA_ROLE_THRESHOLD);
    enum err                  e;

    if (!m->match.len || !r->people || !r->last_video || !threshold)
        return OK;
    e = media_people_match(r->rq, m, r->people, r->last_video, threshold->number);
    return !e || e == ERR_FAULT || e == ERR_CANCELLED ? e : refuse_failed(r, e);
}

/* Sound that is not wanted is judged all the same. */
static bool is_drawn(const struct run *r, unsigned i, size_t k, const struct media_facts *f)
{
    const struct media_member *m = &r->call->service->members[i];
    const struct media_value  *sound = media_call_value(r->call, MEDIA_ROLE_SOUND);

    return !m->unread && !(m->first_only && k) && !(f->kind == MEDIA_AUDIO && sound && !sound->yes) &&
           r->file_count < FILES_MAX;
}

SUSPENDS static enum err take_file(struct run *r, unsigned i, size_t k)
{
    const struct media_member *m = &r->call->service->members[i];
    struct request            *rq = r->rq;
    str                        url = r->call->values[i].urls[k];
    const struct fetch_request want = {
        .url = url,
        .size_max = m->bytes.set && m->bytes.high < 0x1p62 ? (int64_t)m->bytes.high : rq->settings->tasks.file_max,
        .time_ms = rq->settings->tasks.fetch_ms,
    };
    struct media_file *f = arena_new(rq->arena, struct media_file);
    enum err           e;

    rq->action = "downloading what the call names";
    e = media_get(rq, &want, f);
    if (e)
        return e;
    r->images += m->kind == MEDIA_IMAGE && !f->fetch;
    r->judged = !f->fetch && (!f->inspected || f->inspected == ERR_INVALID);
    e = media_file_check(rq, m, url, f);
    if (!e)
        e = judge_text(r, m, url, f);
    if (!e)
        e = judge_people(r, m, url, f);
    if (!e)
        e = judge_match(r, m);
    if (e)
        return e;
    r->facts[i] = &f->facts;
    if (m->same_size && r->facts[m->same_size - 1] &&
        (f->facts.width != r->facts[m->same_size - 1]->width || f->facts.height != r->facts[m->same_size - 1]->height))
        return media_refuse(rq, &m->other_size, m, url, NULL);
    if (m->leads && !r->leader)
        r->leader = &f->facts;
    if (f->facts.kind == MEDIA_IMAGE && !r->first_picture)
        r->first_picture = &f->facts;
    if (f->facts.kind == MEDIA_IMAGE)
        r->last_picture = &f->facts;
    if (f->facts.kind == MEDIA_AUDIO)
        r->sound_ms = f->facts.duration_ms;
    if (f->facts.kind == MEDIA_VIDEO) {
        r->last_video = f;
        r->input_ms += f->facts.duration_ms;
    }
    if (is_drawn(r, i, k, &f->facts) && f->facts.kind == MEDIA_AUDIO)
        r->sound = f->file.fd;
    else if (is_drawn(r, i, k, &f->facts))
        r->files[r->file_count++] = f->file.fd;
    return OK;
}

/* A verdict of its own for the file: the fault, if it is about the file, is over with that. */
static enum err note_verdict(struct run *r, enum err e)
{
    if (e && !(e == ERR_FAULT && r->judged))
        return e;
    ASSERT(r->count < RESULTS_MAX);
    r->results[r->count++].passed = !e;
    r->rq->fault = (struct fault){ 0 };
    return OK;
}

SUSPENDS static enum err take_files(struct run *r)
{
    const struct media_service *s = r->call->service;
    enum err                    e = OK;

    for (unsigned i = 0; i < s->member_count && !e; i++)
        for (size_t k = 0; k < r->call->values[i].url_count && !e; k++) {
            e = take_file(r, i, k);
            if (s->reason.len)
                e = note_verdict(r, e);
        }
    if (!e && r->sound >= 0 && r->file_count < FILES_MAX)
        r->files[r->file_count++] = r->sound;
    return e;
}

/* Movements of somebody, which an earlier task has kept. */
SUSPENDS static enum err take_template(struct run *r)
{
    const struct media_service *s = r->call->service;
    enum err                    e = OK;

    for (unsigned i = 0; i < s->member_count && !e; i++) {
        if (s->members[i].role != MEDIA_ROLE_TEMPLATE)
            continue;
        e = media_template_find(r->rq, r->call->values[i].text, &r->template_ms);
        if (e == ERR_NOT_FOUND)
            e = media_refuse(r->rq, &s->members[i].out_of_range, &s->members[i], (str){ 0 }, &r->call->values[i]);
        else if (e && e != ERR_CANCELLED)
            e = refuse_failed(r, e);
    }
    return e;
}

/* ---- the size ---- */

static int64_t rounded(double v, const struct media_service *s)
{
    int64_t n = (int64_t)(v / (double)s->multiple + (s->floor ? 1e-9 : 0.5)) * s->multiple;

    return n < s->multiple ? s->multiple : n;
}

/* About so many pixels in the ratio of the file. */
static void follow(struct run *r, const struct media_facts *f, int64_t pixels)
{
    double ratio = (double)f->width / (double)f->height, height = sqrt((double)pixels / ratio);

    r->width = rounded(height * ratio, r->call->service);
    r->height = rounded(height, r->call->service);
}

static void follow_side(struct run *r, const struct media_facts *f, int64_t side)
{
    double scale = (double)side / (double)min_i64(f->width, f->height);

    r->width = rounded((double)f->width * scale, r->call->service);
    r->height = rounded((double)f->height * scale, r->call->service);
}

/* Its own pixels, or as many as there may be. */
static void follow_at_most(struct run *r, const struct media_facts *f, int64_t pixels)
{
    follow(r, f, min_i64(f->width * f->height, pixels));
}

static const struct media_tier *tier_find(const struct media_service *s, str tier, str ratio)
{
    for (unsigned i = 0; i < s->tier_count; i++)
        if (str_eq_nocase(s->tiers[i].tier, tier) && (!ratio.len || str_eq(s->tiers[i].ratio, ratio)))
            return &s->tiers[i];
    return NULL;
}

static const struct media_tier *tier_find_ratio(const struct media_service *s, str ratio)
{
    for (unsigned i = 0; i < s->tier_count; i++)
        if (str_eq(s->tiers[i].ratio, ratio))
            return &s->tiers[i];
    return NULL;
}

/* The row whose shape is nearest to the box's. */
static const struct media_tier *tier_of_box(const struct run *r)
{
    const struct media_service *s = r->call->service;
    const struct media_value   *box = media_call_value(r->call, MEDIA_ROLE_BOX);
    const struct media_tier    *best = NULL;
    double                      shape, least = HUGE_VAL;

    if (!box || !s->tier_count)
        return NULL;
    shape = (yyjson_get_num(yyjson_arr_get(box->json, 2)) - yyjson_get_num(yyjson_arr_get(box->json, 0))) /
            (yyjson_get_num(yyjson_arr_get(box->json, 3)) - yyjson_get_num(yyjson_arr_get(box->json, 1)));
    for (unsigned i = 0; i < s->tier_count; i++) {
        double off = fabs(log(shape * (double)s->tiers[i].height / (double)s->tiers[i].width));

        if (off < least) {
            least = off;
            best = &s->tiers[i];
        }
    }
    return best;
}

/* The client's size; a tier with its ratio, or with that of the last picture; what the service says. Zero: the renderer decides. */
static void decide_size(struct run *r)
{
    const struct media_service *s = r->call->service;
    const struct media_value   *size = media_call_value(r->call, MEDIA_ROLE_SIZE),
                             *tier = media_call_value(r->call, MEDIA_ROLE_TIER);
    const struct media_value *ratio = media_call_value(r->call, MEDIA_ROLE_RATIO),
                             *side = media_call_value(r->call, MEDIA_ROLE_SIDE);
    const struct media_facts *leader = r->leader ? r->leader : r->last_picture;
    const struct media_tier  *t = NULL;
    int64_t                   sides;

    if (size && size->width) {
        r->width = s->floor ? size->width : rounded((double)size->width, s);
        r->height = s->floor ? size->height : rounded((double)size->height, s);
        return;
    }
    r->tier = tier_of_box(r);
    if (!r->tier && media_call_value(r->call, MEDIA_ROLE_ASKED_RATIO) &&
        media_call_value(r->call, MEDIA_ROLE_ASKED_RATIO)->yes)
        r->tier = ratio ? tier_find_ratio(s, ratio->text) : NULL;
    if (r->tier) {
        r->width = r->tier->width;
        r->height = r->tier->height;
        return;
    }
    if (tier || size)
        t = tier_find(s, tier ? tier->text : size->text, ratio ? ratio->text : (str){ 0 });
    if (leader && t && !s->exact && !ratio)
        follow(r, leader, t->width * t->height);
    else if (t) {
        r->width = t->width;
        r->height = t->height;
    } else if (leader && side && str_to_i64(side->text, &sides))
        follow_side(r, leader, sides);
    else if (r->first_picture && s->short_side)
        follow_side(r, r->first_picture, s->short_side);
    else if (leader && s->at_most)
        follow_at_most(r, leader, s->at_most);
    else if (leader && s->follow_pixels)
        follow(r, leader, s->follow_pixels);
    else {
        r->width = s->size_width;
        r->height = s->size_height;
    }
}

/* ---- the render request ---- */

static void add_member(struct buf *b, const struct media_member *m, const struct media_value *v, struct arena *a)
{
    buf_addf(b, ",\"%.*s\":", STR_ARG(m->as));
    buf_add(b, v->json ? json_text(a, v->json) : m->default_text);
}

static void add_text(struct buf *b, str text)
{
    if (!text.len)
        return;
    if (b->ptr[b->len - 1] != '[')
        buf_add_char(b, ',');
    json_add_str(b, text);
}

static int64_t duration_ms(const struct run *r)
{
    const struct media_value *v = media_call_value(r->call, MEDIA_ROLE_DURATION),
                             *lengthen = media_call_value(r->call, MEDIA_ROLE_LENGTHEN);
    const struct media_service *s = r->call->service;
    int64_t                     asked = v ? (int64_t)(v->number * 1000) : s->seconds * 1000;

    switch (s->length) {
    case MEDIA_LENGTH_VIDEO:
        return r->input_ms;
    case MEDIA_LENGTH_SOUND:
        return r->sound_ms;
    case MEDIA_LENGTH_SHORTER:
        return lengthen && lengthen->yes ? r->sound_ms : min_i64(r->sound_ms, r->input_ms);
    case MEDIA_LENGTH_TEMPLATE:
        return r->template_ms;
    case MEDIA_LENGTH_NONE:
        break;
    }
    if (s->seconds_max && r->leader && r->leader->kind == MEDIA_VIDEO) /* 0 asks for all of it */
        return min_i64(min_i64(r->leader->duration_ms, s->seconds_max * 1000), asked ? asked : INT64_MAX);
    return asked;
}

/* The operations for this call. */
static str ways_of(const struct media_call *c)
{
    const struct media_service *s = c->service;

    for (unsigned i = 0; i < s->way_count && s->by_media; i++)
        if (str_eq(s->ways[i].value, c->set))
            return s->ways[i].render;
    for (unsigned i = 0; i < s->way_count && !s->by_media; i++)
        if (c->values[s->by].set &&
            str_eq(s->ways[i].value, s->members[s->by].type == MEDIA_FILE ? S("there") : c->values[s->by].text))
            return s->ways[i].render;
    return s->render;
}

/* Where the i-th garment that is asked for is worn: left, upper, width, height in whole pixels of the picture. */
static bool garment_of(const struct run *r, size_t i, int64_t ret[4])
{
    const struct media_value *kinds = media_call_value(r->call, MEDIA_ROLE_GARMENTS);
    struct people_box         box;

    if (!kinds || !r->people || !people_garment(r->people, json_str(yyjson_arr_get(kinds->json, i)), &box))
        return false;
    ret[0] = (int64_t)box.x;
    ret[1] = (int64_t)box.y;
    ret[2] = (int64_t)box.width;
    ret[3] = (int64_t)box.height;
    return true;
}

static str request_of(struct run *r, size_t i, str op)
{
    const struct media_service *s = r->call->service;
    const struct media_value   *mark = media_call_value(r->call, MEDIA_ROLE_WATERMARK),
                             *fps = media_call_value(r->call, MEDIA_ROLE_FPS);
    const struct media_value *sound = media_call_value(r->call, MEDIA_ROLE_SOUND);
    struct people_box         torso;
    int64_t                   box[4];
    struct buf                b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_addf(&b, "{\"op\":\"%.*s\",\"format\":\"%.*s\",\"seed\":%lld", STR_ARG(op), STR_ARG(s->file),
             (long long)(r->seed + (int64_t)i));
    if (r->width)
        buf_addf(&b, ",\"width\":%lld,\"height\":%lld", (long long)r->width, (long long)r->height);
    if (s->fps || fps)
        buf_addf(&b, ",\"fps\":%lld", fps ? (long long)fps->number : (long long)s->fps);
    else if (r->last_video) {
        buf_add(&b, S(",\"fps\":"));
        json_add_num(&b, r->last_video->facts.fps);
    }
    if (duration_ms(r))
        buf_addf(&b, ",\"duration_ms\":%lld", (long long)duration_ms(r));
    if (s->keep_sound)
        buf_add(&b, S(",\"keep_sound\":true"));
    if (sound ? sound->yes : s->sound)
        buf_add(&b, S(",\"sound\":true"));
    if (mark && mark->yes && s->watermark.len) {
        buf_add(&b, S(",\"watermark\":"));
        json_add_str(&b, s->watermark);
    }
    for (unsigned k = 0; k < s->member_count; k++)
        if (s->members[k].as.len && r->call->values[k].set)
            add_member(&b, &s->members[k], &r->call->values[k], r->rq->arena);
    if (r->people && people_torso(r->people, &torso))
        buf_addf(&b, ",\"torso\":[%lld,%lld,%lld,%lld]", llround(torso.x), llround(torso.y), llround(torso.width),
                 llround(torso.height));
    if (garment_of(r, i, box))
        buf_addf(&b, ",\"box\":[%lld,%lld,%lld,%lld]", (long long)box[0], (long long)box[1], (long long)box[2],
                 (long long)box[3]);
    buf_add(&b, S(",\"texts\":["));
    add_text(&b, prompt_of(r->call));
    add_text(&b, arena_printf(r->rq->arena, "%.*s, seed %lld", STR_ARG(r->rq->model_name),
                              (long long)(r->seed + (int64_t)i)));
    buf_add(&b, S("]}"));
    return buf_str(&b);
}

/* ---- results ---- */

struct place {
    const struct results *results;
    str                   owner, name;
    char                  path[RESULT_PATH_MAX];
    int                   fd;
    enum err              e;
};

static void place_create(void *arg)
{
    struct place *p = arg;

    p->e = results_create(p->results, p->owner, p->path, &p->fd);
}

static void place_keep(void *arg)
{
    struct place *p = arg;

    p->e = results_keep(p->results, p->owner, p->path, p->fd, p->name);
}

static void place_drop(void *arg)
{
    struct place *p = arg;

    results_drop(p->results, p->owner, p->path, p->fd);
}

/* REF: E215, or the service's own row. */
static enum err refuse_unstored(struct run *r, enum err e)
{
    const struct media_refusal *row = &r->call->service->unstored;

    if (row->set)
        (void)media_refuse(r->rq, row, NULL, (str){ 0 }, NULL);
    else
        (void)fail_result_upload_failed(&r->rq->fault);
    return fault_detail(&r->rq->fault, str_from_cstr(err_text(e)));
}

/* The engine is not there, has crashed, hangs, or has too much to do. REF: E216, or the service's own row. */
static enum err refuse_failed(struct run *r, enum err e)
{
    const struct media_refusal *row = &r->call->service->failed;

    if (row->set)
        (void)media_refuse(r->rq, row, NULL, (str){ 0 }, NULL);
    else
        (void)fail_inference_internal(&r->rq->fault);
    return fault_detail(&r->rq->fault, str_from_cstr(err_text(e)));
}

/* ---- an engine that makes pictures ---- */

struct writing {
    int  fd;
    str  bytes;
    bool ok;
};

static void write_bytes(void *arg)
{
    struct writing *w = arg;
    size_t          at = 0;

    while (at < w->bytes.len) {
        ssize_t n = pwrite(w->fd, w->bytes.ptr + at, w->bytes.len - at, (off_t)at);

        if (n <= 0)
            return;
        at += (size_t)n;
    }
    w->ok = true;
}

/* A picture from words alone is asked of the engine that the model is routed to, when that makes any; *ret_fd is then a file with what
 * it has made, in whatever size. ERR_NOT_FOUND: the media engine draws. */
SUSPENDS static enum err ask_engine(struct run *r, size_t i, int *ret_fd)
{
    struct request           *rq = r->rq;
    struct engine            *engine = rq->services->engine_for(rq->services->engine_arg, rq->model_name);
    const struct media_value *negative = media_call_value(r->call, MEDIA_ROLE_NEGATIVE);
    struct image_input        in = {
               .model_name = rq->model_name,
               .prompt = prompt_of(r->call),
               .negative_prompt = negative ? negative->text : (str){ 0 },
               .width = r->width ? r->width : SIDE_DEFAULT,
               .height = r->height ? r->height : SIDE_DEFAULT,
               .seed = r->seed + (int64_t)i,
    };
    struct image_answer made;
    struct writing      w;
    enum err            e;

    if (!engine->ops->image)
        return ERR_NOT_FOUND;
    e = engine->ops->image(engine, rq, &in, &made);
    if (e)
        return e;
    w = (struct writing){ .fd = memfd_create("picture", MFD_CLOEXEC), .bytes = made.bytes };
    if (w.fd < 0)
        return ERR_IO;
    lane_run(rq->services->files, write_bytes, &w);
    if (!w.ok) {
        close(w.fd);
        return ERR_IO;
    }
    *ret_fd = w.fd;
    return OK;
}

/* The file of a result, by the media engine: it draws, or brings into shape and format what another engine has made. */
SUSPENDS static enum err draw(struct run *r, size_t i, str op, int out, struct media_facts *ret)
{
    struct request *rq = r->rq;
    int             made;
    enum err        e = ERR_NOT_FOUND;

    if (!rq->services->media)
        return ERR_NOT_FOUND;
    if (str_eq(op, S("card")) && !r->file_count && prompt_of(r->call).len)
        e = ask_engine(r, i, &made);
    rq->action = "waiting for the media engine";
    if (e == ERR_NOT_FOUND)
        return media_render(rq->services->media, request_of(r, i, op), r->files, r->file_count, out, rq->arena, ret);
    if (e)
        return e;
    e = media_render(rq->services->media, request_of(r, i, S("fit")), &made, 1, out, rq->arena, ret);
    close(made);
    return e;
}

/* What is written in what was made. REF: E100c. */
SUSPENDS static enum err judge_result(struct run *r, int fd, const struct media_facts *facts)
{
    struct media_file made = { .file = { .fd = fd }, .facts = *facts };

    return picture_moderate(r->rq, MODERATION_OUTPUT, &made);
}

SUSPENDS static enum err make_file(struct run *r, size_t i, str op, size_t way)
{
    struct request    *rq = r->rq;
    struct lane       *lane = rq->services->files;
    struct result     *one = &r->results[i];
    struct place      *p = arena_new(rq->arena, struct place);
    struct media_facts facts;
    enum err           e;

    *p = (struct place){ .results = rq->services->results, .owner = r->owner, .fd = -1 };
    p->name = arena_printf(rq->arena, "%zu%s.%.*s", i, way ? "b" : "", STR_ARG(r->call->service->file));
    lane_run(lane, place_create, p);
    if (p->e)
        return refuse_unstored(r, p->e);
    e = draw(r, i, op, p->fd, &facts);
    if (!e)
        e = judge_result(r, p->fd, &facts);
    if (e) {
        lane_run(lane, place_drop, p);
        return e == ERR_CANCELLED || e == ERR_FAULT ? e : refuse_failed(r, e);
    }
    lane_run(lane, place_keep, p);
    if (p->e)
        return refuse_unstored(r, p->e);
    one->urls[way] = results_url(rq->services->results, r->base, r->owner, p->name,
                                 (clock_unix_ms() + rq->settings->tasks.keep_ms) / 1000, rq->arena);
    if (!way)
        one->facts = facts;
    return OK;
}

SUSPENDS static enum err make_one(struct run *r, size_t i)
{
    str      rest = ways_of(r->call);
    int64_t  box[4];
    enum err e = OK;

    r->results[i].absent = media_call_value(r->call, MEDIA_ROLE_GARMENTS) && !garment_of(r, i, box);
    if (r->results[i].absent)
        rest.len = 0;

    for (size_t way = 0; rest.len && way < WAYS_MAX && !e; way++)
        e = make_file(r, i, str_cut(&rest, ' '), way);
    r->made += !e;
    return e;
}

/* One of several that has failed is an entry with its reason. The others go on; *ret_last is for when there are none. */
static enum err note_failed(struct run *r, size_t i, struct fault *ret_last)
{
    struct fault_view view;

    fault_render(&r->rq->fault, &r->rq->settings->wording, r->rq->arena, &view);
    r->results[i] = (struct result){ .code = view.code, .message = view.message };
    *ret_last = r->rq->fault;
    r->rq->fault = (struct fault){ 0 };
    return OK;
}

SUSPENDS static enum err make_all(struct run *r)
{
    const struct media_value *n = media_call_value(r->call, MEDIA_ROLE_COUNT),
                             *seed = media_call_value(r->call, MEDIA_ROLE_SEED);
    struct fault last = { 0 };
    enum err     e = OK;

    if (!ways_of(r->call).len) { /* all is known by now */
        r->count = r->count ? r->count : 1;
        r->made = (int64_t)r->count;
        return OK;
    }
    n = n ? n : media_call_value(r->call, MEDIA_ROLE_GARMENTS);
    r->count = n && n->number >= 1 ? (size_t)n->number : 1;
    ASSERT(r->count <= RESULTS_MAX);
    r->seed = seed ? (int64_t)seed->number : (int64_t)(rand_u64() % (uint64_t)SEED_MAX);
    for (size_t i = 0; i < r->count && !e; i++) {
        e = make_one(r, i);
        if (e == ERR_FAULT && r->call->service->partial)
            e = note_failed(r, i, &last);
    }
    if (e || r->made)
        return e;
    r->rq->fault = last;
    return ERR_FAULT;
}

/* ---- the output ---- */

/* Of the pictures: the last frame of a sound track may end a little later. */
static int64_t length_ms(const struct media_facts *f)
{
    return f->kind == MEDIA_VIDEO && f->fps > 0 ? (int64_t)round((double)f->frames * 1000 / f->fps) : f->duration_ms;
}

static void add_seconds(struct buf *b, int64_t ms)
{
    json_add_num(b, (double)ms / 1000);
}

/* The first that has not failed. */
static const struct result *first_made(const struct run *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->results[i].urls[0].len)
            return &r->results[i];
    return &r->results[0];
}

static int64_t tier_of(const struct run *r)
{
    const struct media_value *v = media_call_value(r->call, MEDIA_ROLE_TIER),
                             *size = media_call_value(r->call, MEDIA_ROLE_SIZE);
    int64_t n = 0, width = first_made(r)->facts.width, height = first_made(r)->facts.height;

    if (v && !size && str_to_i64(str_first(v->text, v->text.len ? v->text.len - 1 : 0), &n))
        return n;
    for (unsigned i = 0; i < r->call->service->tier_count; i++) {
        const struct media_tier *t = &r->call->service->tiers[i];

        if (t->width == width && t->height == height && str_to_i64(str_first(t->tier, t->tier.len - 1), &n))
            return n;
    }
    return min_i64(width, height);
}

static str said_of(const struct media_member *m, str word)
{
    for (unsigned i = 0; i < m->choice_count; i++)
        if (str_eq(m->choices[i], word))
            return m->said[i];
    return word;
}

/* Its corners: [left, upper, right, lower]. */
static void add_garment(const struct run *r, struct buf *b, const struct result *one)
{
    int64_t box[4];

    if (one && garment_of(r, (size_t)(one - r->results), box))
        buf_addf(b, "[%lld,%lld,%lld,%lld]", (long long)box[0], (long long)box[1], (long long)(box[0] + box[2]),
                 (long long)(box[1] + box[3]));
    else
        buf_add(b, S("[]"));
}

static void add_value(const struct run *r, struct buf *b, const struct result *one, str name)
{
    const struct media_facts   *f = one ? &one->facts : &first_made(r)->facts;
    const struct media_service *s = r->call->service;

    if (str_eq(name, S("url")))
        json_add_str(b, (one ? one : first_made(r))->urls[0]);
    else if (str_eq(name, S("url2")))
        json_add_str(b, (one ? one : first_made(r))->urls[1]);
    else if (str_eq(name, S("box")))
        add_garment(r, b, one);
    else if (str_eq(name, S("count")))
        buf_add_i64(b, r->made);
    else if (str_eq(name, S("failed")))
        buf_add_i64(b, (int64_t)r->count - r->made);
    else if (str_eq(name, S("width")))
        buf_add_i64(b, f->width);
    else if (str_eq(name, S("height")))
        buf_add_i64(b, f->height);
    else if (str_eq(name, S("size")))
        buf_addf(b, "\"%lld*%lld\"", (long long)f->width, (long long)f->height);
    else if (str_eq(name, S("duration")))
        add_seconds(b, length_ms(f));
    else if (str_eq(name, S("input_duration")))
        add_seconds(b, r->input_ms);
    else if (str_eq(name, S("all_duration")))
        add_seconds(b, r->input_ms + length_ms(f));
    else if (str_eq(name, S("fps")))
        json_add_num(b, f->fps);
    else if (str_eq(name, S("sr")))
        buf_add_i64(b, tier_of(r));
    else if (str_eq(name, S("sr_text")))
        buf_addf(b, "\"%lld\"", (long long)tier_of(r));
    else if (str_eq(name, S("prompt")))
        json_add_str(b, prompt_of(r->call));
    else if (str_eq(name, S("images")))
        buf_add_i64(b, r->images);
    else if (str_eq(name, S("ratio")))
        json_add_str(b, r->tier ? r->tier->ratio : (str){ 0 });
    else if (str_eq(name, S("code")))
        json_add_str(b, r->code);
    else if (str_eq(name, S("message")))
        json_add_str(b, r->message);
    else if (str_eq(name, S("passed")))
        buf_add(b, one && one->passed ? S("true") : S("false"));
    else if (str_eq(name, S("reason")))
        json_add_str(b, one && one->passed ? (str){ 0 } : s->reason);
    else if (str_eq(name, S("template_id")))
        json_add_str(b, media_template_id(r->rq->arena, r->owner));
    else if (media_people_value(b, r->people, s->area, ratio_of(r), name))
        return;
    else {
        for (unsigned i = 0; i < s->member_count; i++) {
            const struct media_value *v = &r->call->values[i];

            if (!str_eq(s->members[i].path, name))
                continue;
            if (v->set && s->members[i].said)
                json_add_str(b, said_of(&s->members[i], v->text));
            else if (v->set)
                buf_add(b, v->json ? json_text(r->rq->arena, v->json) : s->members[i].default_text);
            else
                buf_add(b, S("null"));
            return;
        }
        ASSERT(false); /* a template of data/media names what there is not */
    }
}

static size_t name_len(str text)
{
    size_t n = 0;

    while (n < text.len && ((text.ptr[n] >= 'a' && text.ptr[n] <= 'z') || (text.ptr[n] >= 'A' && text.ptr[n] <= 'Z') ||
                            text.ptr[n] == '_' || text.ptr[n] == '.' || (text.ptr[n] >= '0' && text.ptr[n] <= '9')))
        n++;
    return n;
}

static void fill(const struct run *r, struct buf *b, const struct result *one, str text)
{
    const struct media_value *extend = media_call_value(r->call, MEDIA_ROLE_EXTEND);

    while (text.len) {
        size_t n;

        if (text.ptr[0] == '?') {
            str rest = str_from(text, 1), part = str_cut(&rest, '?');

            if (extend && extend->yes && prompt_of(r->call).len)
                fill(r, b, one, part);
            text = rest;
            continue;
        }

        if (text.ptr[0] == '<') {
            size_t end = str_find(text, '>');

            for (size_t i = 0; i < r->count; i++) {
                const struct result *each = &r->results[i];

                if (i)
                    buf_add_char(b, ',');
                if (each->urls[0].len || each->absent || !ways_of(r->call).len) {
                    fill(r, b, each, str_of(text.ptr + 1, end - 1));
                    continue;
                }
                buf_add(b, S("{\"code\":"));
                json_add_str(b, each->code);
                buf_add(b, S(",\"message\":"));
                json_add_str(b, each->message);
                buf_add_char(b, '}');
            }
            text = str_from(text, end + 1);
            continue;
        }
        if (text.ptr[0] != '@') {
            buf_add_char(b, text.ptr[0]);
            text = str_from(text, 1);
            continue;
        }
        n = name_len(str_from(text, 1));
        add_value(r, b, one, str_of(text.ptr + 1, n));
        text = str_from(text, n + 1);
    }
}

/* The fault is the output, and is over with that (media.md §0.5). */
static enum err say_refused(struct run *r, struct media_outcome *ret)
{
    struct fault_view view;
    struct buf        usage;

    buf_init(&usage, r->rq->arena, SIZE_MAX / 2);
    fault_render(&r->rq->fault, &r->rq->settings->wording, r->rq->arena, &view);
    r->rq->fault = (struct fault){ 0 };
    r->code = view.code;
    r->message = view.message;
    r->count = 1;
    buf_add_char(&ret->output, ',');
    fill(r, &ret->output, NULL, r->call->service->refused);
    fill(r, &usage, NULL, r->call->service->usage);
    ret->usage = buf_str(&usage);
    ret->total = ret->succeeded = 1;
    return OK;
}

/* What the charge counts: pictures, or seconds of video, with those of the clips that went in where usage counts them too. */
static void count_use(struct run *r)
{
    struct chat_usage *u = &r->rq->usage;
    bool               video = first_made(r)->facts.kind == MEDIA_VIDEO;
    bool               all = str_find_str(r->call->service->usage, S("@all_duration")) != STR_NONE;

    if (!r->made)
        return;
    if (video)
        u->play_ms = r->made * length_ms(&first_made(r)->facts) + (all ? r->input_ms : 0);
    else
        u->images = media_call_value(r->call, MEDIA_ROLE_GARMENTS) ? 1 : r->made; /* cut out of one picture */
    if (r->call->service->tier_count)
        u->size = arena_printf(r->rq->arena, "%lld%s", (long long)tier_of(r), video ? "P" : "");
}

enum err media_run(struct request *rq, const struct media_call *c, str owner, str base, struct media_outcome *ret)
{
    struct run *r = arena_new(rq->arena, struct run);
    struct buf  usage;
    enum err    e;

    might_suspend();
    *r = (struct run){ .rq = rq, .call = c, .owner = owner, .base = base, .sound = -1 };
    *ret = (struct media_outcome){ 0 };
    buf_init(&ret->output, rq->arena, SIZE_MAX / 2);
    buf_init(&usage, rq->arena, SIZE_MAX / 2);
    e = take_files(r);
    if (!e)
        e = take_template(r);
    if (e == ERR_FAULT && r->judged && c->service->refused.len)
        return say_refused(r, ret);
    if (e)
        return e;
    decide_size(r);
    e = make_all(r);
    if (e)
        return e;
    count_use(r);
    buf_add_char(&ret->output, ',');
    fill(r, &ret->output, NULL, c->service->output);
    fill(r, &usage, NULL, c->service->usage);
    ret->usage = buf_str(&usage);
    ret->total = (int64_t)r->count;
    ret->succeeded = r->made;
    ret->failed = ret->total - ret->succeeded;
    return OK;
}

/* The path that the call came on: "aigc:text2image:image-synthesis" of the row. */
static enum model_path path_of(str function)
{
    for (int p = 0; p < MODEL_PATH_COUNT; p++) {
        str    url = model_path_urls[p];
        size_t i = 0;

        if (!str_starts(url, S("/api/v1/services/")))
            continue;
        url = str_from(url, S("/api/v1/services/").len);
        if (url.len != function.len)
            continue;
        while (i < url.len && (url.ptr[i] == function.ptr[i] || (url.ptr[i] == '/' && function.ptr[i] == ':')))
            i++;
        if (i == url.len)
            return (enum model_path)p;
    }
    return MODEL_PATH_COUNT;
}

enum err media_task_run(struct task *t)
{
    struct request             *rq = t->rq;
    struct media_call          *c = arena_new(rq->arena, struct media_call);
    const struct media_service *s = media_service_find(rq->model_name, path_of(t->row->function), t->body);
    struct media_outcome        done;
    enum err                    e;

    might_suspend();
    if (!s) {
        (void)fail_internal_error(&rq->fault);
        return fault_detail(&rq->fault, S("the store has a task of a service that this dashbox does not have"));
    }
    e = media_call_read(rq, s, t->body, c);
    t->total = 1;
    if (!e)
        e = media_run(rq, c, t->row->id, t->row->base, &done);
    if (e)
        return e;
    buf_add(&t->output, buf_str(&done.output));
    t->usage = done.usage;
    t->total = done.total;
    t->succeeded = done.succeeded;
    t->failed = done.failed;
    return OK;
}
