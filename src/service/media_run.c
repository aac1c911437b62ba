/* media_run.c - a call of a media service, from its files to its results. Spec: media.md §3-§6.
 *
 * What is said of the results is a template of data/media: JSON in which @name stands for a value, and <…> for what is repeated for
 * each result:
 *
 *   @url @url2    of a result                       @count @failed         how many were made, how many were not
 *   @width @height @size @sr @sr_text               of the first result; @sr is its tier, 720 of "720P"
 *   @duration @fps @input_duration @all_duration    seconds
 *   @prompt       what was asked for                @input.x, @parameters.x   a member as it was sent, or its default
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
#include "service/services.h"
#include "service/whole.h"
#include "store/results.h"

#include <math.h>

#define FILES_MAX   MEDIA_RENDER_FILES
#define RESULTS_MAX 32
#define SEED_MAX    INT64_C(2147483647)

#define WAYS_MAX 2 /* files of one result */

struct result {
    str                urls[WAYS_MAX]; /* the first empty: it was refused */
    str                code, message;
    struct media_facts facts; /* of the first file */
};

struct run {
    struct request          *rq;
    const struct media_call *call;
    str                      owner, base;
    int                      files[FILES_MAX];
    size_t                   file_count;
    const struct media_facts *facts[MEDIA_MEMBERS_MAX]; /* of each member's last file */
    const struct media_facts *first_picture, *last_picture;
    int64_t                  input_ms; /* of all videos that were handed in */
    int64_t                  width, height, seed;
    struct result            results[RESULTS_MAX];
    size_t                   count;
    int64_t                  made;
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

SUSPENDS static enum err take_file(struct run *r, unsigned i, str url)
{
    const struct media_member *m = &r->call->service->members[i];
    struct request            *rq = r->rq;
    const struct fetch_request want = {
        .url = url,
        .size_max = m->bytes.set && m->bytes.high < 0x1p62 ? (int64_t)m->bytes.high : rq->settings->tasks.file_max,
        .time_ms = rq->settings->tasks.fetch_ms,
    };
    struct media_file *f = arena_new(rq->arena, struct media_file);
    enum err           e;

    rq->action = "downloading what the call names";
    e = media_get(rq, &want, f);
    if (!e)
        e = media_file_check(rq, m, url, f);
    if (e)
        return e;
    r->facts[i] = &f->facts;
    if (m->same_size && r->facts[m->same_size - 1] &&
        (f->facts.width != r->facts[m->same_size - 1]->width || f->facts.height != r->facts[m->same_size - 1]->height))
        return media_refuse(rq, &m->other_size, m, url, NULL);
    if (m->kind == MEDIA_IMAGE && !r->first_picture)
        r->first_picture = &f->facts;
    if (m->kind == MEDIA_IMAGE)
        r->last_picture = &f->facts;
    if (m->kind == MEDIA_VIDEO)
        r->input_ms += f->facts.duration_ms;
    if (!m->unread && r->file_count < FILES_MAX)
        r->files[r->file_count++] = f->file.fd;
    return OK;
}

SUSPENDS static enum err take_files(struct run *r)
{
    const struct media_service *s = r->call->service;
    enum err                    e = OK;

    for (unsigned i = 0; i < s->member_count && !e; i++)
        for (size_t k = 0; k < r->call->values[i].url_count && !e; k++)
            e = take_file(r, i, r->call->values[i].urls[k]);
    return e;
}

/* ---- the size ---- */

static int64_t rounded(double v, int64_t multiple)
{
    int64_t n = (int64_t)(v / (double)multiple + 0.5) * multiple;

    return n < multiple ? multiple : n;
}

/* About so many pixels in the ratio of the picture. */
static void follow(struct run *r, int64_t pixels)
{
    double ratio = (double)r->last_picture->width / (double)r->last_picture->height, height = sqrt((double)pixels / ratio);

    r->width = rounded(height * ratio, r->call->service->multiple);
    r->height = rounded(height, r->call->service->multiple);
}

static const struct media_tier *tier_find(const struct media_service *s, str tier, str ratio)
{
    for (unsigned i = 0; i < s->tier_count; i++)
        if (str_eq_nocase(s->tiers[i].tier, tier) && (!ratio.len || str_eq(s->tiers[i].ratio, ratio)))
            return &s->tiers[i];
    return NULL;
}

/* The client's size; a tier with its ratio, or with that of the last picture; what the service says. Zero: the renderer decides. */
static void decide_size(struct run *r)
{
    const struct media_service *s = r->call->service;
    const struct media_value   *size = media_call_value(r->call, MEDIA_ROLE_SIZE), *tier = media_call_value(r->call, MEDIA_ROLE_TIER);
    const struct media_value   *ratio = media_call_value(r->call, MEDIA_ROLE_RATIO);
    const struct media_tier    *t = NULL;

    if (size && size->width) {
        r->width = rounded((double)size->width, s->multiple);
        r->height = rounded((double)size->height, s->multiple);
        return;
    }
    if (tier || size)
        t = tier_find(s, tier ? tier->text : size->text, ratio ? ratio->text : (str){ 0 });
    if (r->last_picture && t && !s->exact)
        follow(r, t->width * t->height);
    else if (t) {
        r->width = t->width;
        r->height = t->height;
    } else if (r->first_picture && s->short_side) {
        double scale = (double)s->short_side / (double)min_i64(r->first_picture->width, r->first_picture->height);

        r->width = rounded((double)r->first_picture->width * scale, s->multiple);
        r->height = rounded((double)r->first_picture->height * scale, s->multiple);
    } else if (r->last_picture && s->follow_pixels)
        follow(r, s->follow_pixels);
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
    const struct media_value *v = media_call_value(r->call, MEDIA_ROLE_DURATION);

    return v ? (int64_t)(v->number * 1000) : r->call->service->seconds * 1000;
}

/* The operations for this call. */
static str ways_of(const struct media_call *c)
{
    const struct media_service *s = c->service;

    for (unsigned i = 0; i < s->way_count; i++)
        if (c->values[s->by].set && str_eq(s->ways[i].value, c->values[s->by].text))
            return s->ways[i].render;
    return s->render;
}

static str request_of(struct run *r, size_t i, str op)
{
    const struct media_service *s = r->call->service;
    const struct media_value   *mark = media_call_value(r->call, MEDIA_ROLE_WATERMARK), *fps = media_call_value(r->call, MEDIA_ROLE_FPS);
    const struct media_value   *sound = media_call_value(r->call, MEDIA_ROLE_SOUND);
    struct buf                  b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_addf(&b, "{\"op\":\"%.*s\",\"format\":\"%.*s\",\"seed\":%lld", STR_ARG(op), STR_ARG(s->file), (long long)(r->seed + (int64_t)i));
    if (r->width)
        buf_addf(&b, ",\"width\":%lld,\"height\":%lld", (long long)r->width, (long long)r->height);
    if (s->fps || fps)
        buf_addf(&b, ",\"fps\":%lld,\"duration_ms\":%lld", fps ? (long long)fps->number : (long long)s->fps, (long long)duration_ms(r));
    if (sound && sound->yes)
        buf_add(&b, S(",\"sound\":true"));
    if (mark && mark->yes && s->watermark.len) {
        buf_add(&b, S(",\"watermark\":"));
        json_add_str(&b, s->watermark);
    }
    for (unsigned k = 0; k < s->member_count; k++)
        if (s->members[k].as.len && r->call->values[k].set)
            add_member(&b, &s->members[k], &r->call->values[k], r->rq->arena);
    buf_add(&b, S(",\"texts\":["));
    add_text(&b, prompt_of(r->call));
    add_text(&b, arena_printf(r->rq->arena, "%.*s, seed %lld", STR_ARG(r->rq->model_name), (long long)(r->seed + (int64_t)i)));
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
    rq->action = "waiting for the media engine";
    e = rq->services->media ? media_render(rq->services->media, request_of(r, i, op), r->files, r->file_count, p->fd, rq->arena, &facts)
                            : ERR_NOT_FOUND;
    if (e) {
        lane_run(lane, place_drop, p);
        return e == ERR_CANCELLED ? e : refuse_failed(r, e);
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
    enum err e = OK;

    for (size_t way = 0; rest.len && way < WAYS_MAX && !e; way++)
        e = make_file(r, i, str_cut(&rest, ' '), way);
    r->made += !e;
    return e;
}

SUSPENDS static enum err make_all(struct run *r)
{
    const struct media_value *n = media_call_value(r->call, MEDIA_ROLE_COUNT), *seed = media_call_value(r->call, MEDIA_ROLE_SEED);
    enum err                  e = OK;

    r->count = n && n->number >= 1 ? (size_t)n->number : 1;
    ASSERT(r->count <= RESULTS_MAX);
    r->seed = seed ? (int64_t)seed->number : (int64_t)(rand_u64() % (uint64_t)SEED_MAX);
    for (size_t i = 0; i < r->count && !e; i++)
        e = make_one(r, i);
    return e;
}

/* ---- the output ---- */

static void add_seconds(struct buf *b, int64_t ms)
{
    json_add_num(b, (double)ms / 1000);
}

static int64_t tier_of(const struct run *r)
{
    const struct media_value *v = media_call_value(r->call, MEDIA_ROLE_TIER);
    int64_t                   n = 0, width = r->results[0].facts.width, height = r->results[0].facts.height;

    if (v && str_to_i64(str_first(v->text, v->text.len ? v->text.len - 1 : 0), &n))
        return n;
    for (unsigned i = 0; i < r->call->service->tier_count; i++) {
        const struct media_tier *t = &r->call->service->tiers[i];

        if (t->width == width && t->height == height && str_to_i64(str_first(t->tier, t->tier.len - 1), &n))
            return n;
    }
    return min_i64(width, height);
}

static void add_value(const struct run *r, struct buf *b, const struct result *one, str name)
{
    const struct media_facts   *f = one ? &one->facts : &r->results[0].facts;
    const struct media_service *s = r->call->service;

    if (str_eq(name, S("url")))
        json_add_str(b, (one ? one : &r->results[0])->urls[0]);
    else if (str_eq(name, S("url2")))
        json_add_str(b, (one ? one : &r->results[0])->urls[1]);
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
        add_seconds(b, f->duration_ms);
    else if (str_eq(name, S("input_duration")))
        add_seconds(b, r->input_ms);
    else if (str_eq(name, S("all_duration")))
        add_seconds(b, r->input_ms + f->duration_ms);
    else if (str_eq(name, S("fps")))
        json_add_num(b, f->fps);
    else if (str_eq(name, S("sr")))
        buf_add_i64(b, tier_of(r));
    else if (str_eq(name, S("sr_text")))
        buf_addf(b, "\"%lld\"", (long long)tier_of(r));
    else if (str_eq(name, S("prompt")))
        json_add_str(b, prompt_of(r->call));
    else {
        for (unsigned i = 0; i < s->member_count; i++) {
            const struct media_value *v = &r->call->values[i];

            if (!str_eq(s->members[i].path, name))
                continue;
            if (v->set)
                buf_add(b, v->json ? json_text(r->rq->arena, v->json) : s->members[i].default_text);
            else
                buf_add(b, S("null"));
            return;
        }
        ASSERT(!"a template of data/media names what there is not");
    }
}

static size_t name_len(str text)
{
    size_t n = 0;

    while (n < text.len && ((text.ptr[n] >= 'a' && text.ptr[n] <= 'z') || (text.ptr[n] >= 'A' && text.ptr[n] <= 'Z') || text.ptr[n] == '_' ||
                            text.ptr[n] == '.' || (text.ptr[n] >= '0' && text.ptr[n] <= '9')))
        n++;
    return n;
}

static void fill(const struct run *r, struct buf *b, const struct result *one, str text)
{
    while (text.len) {
        size_t n;

        if (text.ptr[0] == '<') {
            size_t end = str_find(text, '>');

            for (size_t i = 0; i < r->count; i++) {
                const struct result *each = &r->results[i];

                if (i)
                    buf_add_char(b, ',');
                if (each->urls[0].len) {
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

enum err media_run(struct request *rq, const struct media_call *c, str owner, str base, struct media_outcome *ret)
{
    struct run *r = arena_new(rq->arena, struct run);
    struct buf  usage;
    enum err    e;

    might_suspend();
    *r = (struct run){ .rq = rq, .call = c, .owner = owner, .base = base };
    *ret = (struct media_outcome){ 0 };
    buf_init(&ret->output, rq->arena, SIZE_MAX / 2);
    buf_init(&usage, rq->arena, SIZE_MAX / 2);
    e = take_files(r);
    if (e)
        return e;
    decide_size(r);
    e = make_all(r);
    if (e)
        return e;
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
    const struct media_service *s = media_service_find(rq->model_name, path_of(t->row->function));
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
