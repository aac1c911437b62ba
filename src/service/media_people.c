/* media_people.c - looks, and says what was seen. Spec: media.md §4.10-§4.16, §6.4. */
#include "service/media_people.h"

#include "service/tasks.h"

#include <math.h>

#define UUID_GROUPS 5

SUSPENDS enum err media_people_check(struct request *rq, const struct media_member *m, const struct media_file *f,
                                     str word, struct people_picture *ret, bool *ret_judged)
{
    const struct people_rules *rules = people_rules_find(m->people);
    enum err                   e;

    might_suspend();
    ASSERT(rules); /* the generator has looked */
    *ret_judged = false;
    rq->action = "looking for people";
    e = people_look(rq, f, 0, ret);
    if (e)
        return e;
    *ret_judged = true;
    return people_check(rules, ret, word, &rq->fault);
}

SUSPENDS enum err media_people_match(struct request *rq, const struct media_member *m,
                                     const struct people_picture *wanted, const struct media_file *video,
                                     double threshold)
{
    static const double       at[] = { 0, 0.25, 0.5, 0.75 };
    const struct people_face *face = people_main_face(wanted->facts);

    might_suspend();
    for (size_t i = 0; face && i < ARRAY_LEN(at); i++) {
        struct people_picture frame;
        enum err              e = people_look(rq, video, (int64_t)(at[i] * (double)video->facts.duration_ms), &frame);

        if (e == ERR_INVALID)
            continue; /* no frame there */
        if (e)
            return e;
        for (size_t k = 0; k < frame.facts->face_count; k++) {
            if (people_is_same(face, &frame.facts->faces[k], threshold))
                return OK;
        }
    }
    return media_refuse(rq, &m->mismatch, m, (str){ 0 }, NULL);
}

/* ---- what is said of them ---- */

static void add_box(struct buf *b, double x1, double y1, double x2, double y2)
{
    buf_addf(b, "[%lld,%lld,%lld,%lld]", llround(x1), llround(y1), llround(x2), llround(y2));
}

static void add_face_box(struct buf *b, const struct people_picture *p, struct people_box f)
{
    add_box(b, fmax(0, f.x), fmax(0, f.y), fmin(p->width, f.x + f.width), fmin(p->height, f.y + f.height));
}

/* Of that shape around the face, a bit higher than its middle, and moved or made smaller so that it is within the picture. */
static void add_area(struct buf *b, const struct people_picture *p, struct people_box f, double times, str ratio)
{
    int64_t across = 1, up = 1;
    str     rest = ratio;
    double  width, height, x, y, shrink;

    (void)(str_to_i64(str_cut(&rest, ':'), &across) && str_to_i64(rest, &up));
    width = fmax(f.width, f.height) * times;
    height = width * (double)up / (double)across;
    shrink = fmin(1, fmin(p->width / width, p->height / height));
    width *= shrink;
    height *= shrink;
    x = f.x + f.width / 2 - width / 2;
    y = f.y + f.height * 0.35 - width / 2;
    x = fmin(fmax(0, x), p->width - width);
    y = fmin(fmax(0, y), p->height - height);
    add_box(b, x, y, x + width, y + height);
}

static bool is_above(const struct people_picture *p, enum people_measure m, double number)
{
    double v;

    return people_measure(p, m, &v) && v > number;
}

bool media_people_value(struct buf *b, const struct people_picture *p, double area, str ratio, str name)
{
    const struct people_face *face = p ? people_main_face(p->facts) : NULL;

    if (str_eq(name, S("face_bbox")) || str_eq(name, S("ext_bbox"))) {
        if (!face)
            buf_add(b, S("null"));
        else if (str_eq(name, S("face_bbox")))
            add_face_box(b, p, face->box);
        else
            add_area(b, p, face->box, area, ratio);
    } else if (str_eq(name, S("humanoid"))) {
        buf_add(b, p && is_above(p, PEOPLE_persons, 0) ? S("true") : S("false"));
    } else if (str_eq(name, S("bodystyle"))) {
        buf_add(b, p && is_above(p, PEOPLE_ankles, 1) ? S("\"full\"") : S("\"half\""));
    } else {
        return false;
    }
    return true;
}

/* ---- templates ---- */

/* "01234567-89ab-…": AACT.01234567.89ab-cdef-….… */
str media_template_id(struct arena *a, str task_id)
{
    str group[UUID_GROUPS], rest = task_id;

    for (size_t i = 0; i < UUID_GROUPS; i++)
        group[i] = str_cut(&rest, '-');
    return arena_printf(a, "AACT.%.*s.%.*s%.*s-%.*s.%.*s", STR_ARG(group[0]), STR_ARG(group[1]), STR_ARG(group[2]),
                        STR_ARG(group[3]), STR_ARG(group[4]));
}

static str task_of_template(struct arena *a, str id)
{
    str rest = id, head = str_cut(&rest, '.'), first = str_cut(&rest, '.'), middle = str_cut(&rest, '-');
    str fourth = str_cut(&rest, '.');

    if (!str_eq(head, S("AACT")) || middle.len != 8)
        return (str){ 0 };
    return arena_printf(a, "%.*s-%.*s-%.*s-%.*s-%.*s", STR_ARG(first), 4, middle.ptr, 4, middle.ptr + 4,
                        STR_ARG(fourth), STR_ARG(rest));
}

SUSPENDS enum err media_template_find(struct request *rq, str template_id, int64_t *ret_duration_ms)
{
    struct task_get get = { .arena = rq->arena, .terms = task_terms_now(rq->settings, rq->arena) };
    yyjson_val     *usage;
    double          seconds;
    enum err        e;

    might_suspend();
    get.id = task_of_template(rq->arena, template_id);
    if (!get.id.len)
        return ERR_NOT_FOUND;
    e = store_run(rq->services->store, task_get_job, &get);
    if (e)
        return e;
    usage = json_parse_copy(rq->arena, get.row.usage);
    if (!str_eq(get.row.workspace, rq->workspace) || !str_eq(get.row.status, TASK_SUCCEEDED) ||
        str_find_str(get.row.output, S("\"template_id\"")) == STR_NONE ||
        !json_to_num(json_get(usage, "video_duration"), &seconds))
        return ERR_NOT_FOUND;
    *ret_duration_ms = (int64_t)(seconds * 1000);
    return OK;
}
