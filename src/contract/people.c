/* people.c - the measures, and the rules over them. */
#include "contract/people.h"

#include "base/arena.h"
#include "contract/people_tables.h"

#include <math.h>

/* ---- who is seen ---- */

static bool face_is_seen(const struct people_face *f)
{
    return f->score >= people_seen.face;
}

static bool joint_is_seen(const struct people_body *b, enum people_joint j)
{
    return b->joints[j].score >= people_seen.joint;
}

static double area(struct people_box b)
{
    return b.width * b.height;
}

static bool has_inside(struct people_box b, double x, double y)
{
    return x >= b.x && x <= b.x + b.width && y >= b.y && y <= b.y + b.height;
}

/* Whether the face is the body's: its head is in it. */
static bool is_face_of(const struct people_face *f, const struct people_body *b)
{
    for (enum people_joint j = JOINT_NOSE; j <= JOINT_EAR_RIGHT; j++) {
        if (b->joints[j].score > 0 && has_inside(f->box, b->joints[j].x, b->joints[j].y))
            return true;
    }
    return false;
}

static const struct people_face *face_of(const struct people_facts *f, const struct people_body *b)
{
    for (size_t i = 0; i < f->face_count; i++) {
        if (face_is_seen(&f->faces[i]) && is_face_of(&f->faces[i], b))
            return &f->faces[i];
    }
    return NULL;
}

static const struct people_body *body_of(const struct people_facts *f, const struct people_face *face)
{
    const struct people_body *best = NULL;

    for (size_t i = 0; i < f->body_count; i++) {
        if (is_face_of(face, &f->bodies[i]) && (!best || f->bodies[i].score > best->score))
            best = &f->bodies[i];
    }
    return best;
}

/* A body that is somebody whose face is not seen: one that is only a bit of another body is nobody. */
static bool is_faceless(const struct people_facts *f, const struct people_body *b)
{
    return b->score >= people_seen.body && !face_of(f, b);
}

const struct people_face *people_main_face(const struct people_facts *f)
{
    const struct people_face *best = NULL;

    for (size_t i = 0; i < f->face_count; i++) {
        if (face_is_seen(&f->faces[i]) && (!best || area(f->faces[i].box) > area(best->box)))
            best = &f->faces[i];
    }
    return best;
}

/* The one with the largest face; of those without any, with the largest body. Either may be NULL. */
static void main_person(const struct people_facts *f, const struct people_face **ret_face,
                        const struct people_body **ret_body)
{
    *ret_face = people_main_face(f);
    *ret_body = *ret_face ? body_of(f, *ret_face) : NULL;
    for (size_t i = 0; !*ret_face && i < f->body_count; i++) {
        if (is_faceless(f, &f->bodies[i]) && (!*ret_body || area(f->bodies[i].box) > area((*ret_body)->box)))
            *ret_body = &f->bodies[i];
    }
}

static double count_persons(const struct people_facts *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->face_count; i++)
        n += face_is_seen(&f->faces[i]);
    for (size_t i = 0; i < f->body_count; i++)
        n += is_faceless(f, &f->bodies[i]);
    return (double)n;
}

size_t people_count_faces(const struct people_facts *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->face_count; i++)
        n += face_is_seen(&f->faces[i]);
    return n;
}

/* ---- measures ---- */

static double count_seen(const struct people_body *b, enum people_joint left)
{
    return b ? joint_is_seen(b, left) + joint_is_seen(b, left + 1) : 0;
}

/* From the upper end of face and body to the lower. */
static double person_height(const struct people_face *f, const struct people_body *b)
{
    double top = f ? f->box.y : b->box.y, end = f ? f->box.y + f->box.height : b->box.y;

    for (enum people_joint j = JOINT_NOSE; b && j < JOINT_COUNT; j++) {
        if (joint_is_seen(b, j)) {
            top = fmin(top, b->joints[j].y);
            end = fmax(end, b->joints[j].y);
        }
    }
    return end - top;
}

static double count_cut_legs(const struct people_body *b)
{
    return !b ? 0
              : (joint_is_seen(b, JOINT_KNEE_LEFT) && !joint_is_seen(b, JOINT_ANKLE_LEFT)) +
                    (joint_is_seen(b, JOINT_KNEE_RIGHT) && !joint_is_seen(b, JOINT_ANKLE_RIGHT));
}

/* The middle of those of a pair that are seen; false when neither is. */
static bool middle(const struct people_body *b, enum people_joint left, double *ret_x, double *ret_y)
{
    double n = 0, x = 0, y = 0;

    for (enum people_joint j = left; j <= left + 1; j++) {
        if (joint_is_seen(b, j)) {
            n++;
            x += b->joints[j].x;
            y += b->joints[j].y;
        }
    }
    if (n == 0)
        return false;
    *ret_x = x / n;
    *ret_y = y / n;
    return true;
}

static bool measure_torso(const struct people_body *b, double *ret_x, double *ret_y, double *ret_hips_y)
{
    double x, y, hips_x;

    if (!b || !middle(b, JOINT_SHOULDER_LEFT, &x, &y) || !middle(b, JOINT_HIP_LEFT, &hips_x, ret_hips_y))
        return false;
    *ret_x = hips_x - x;
    *ret_y = *ret_hips_y - y;
    return true;
}

static bool measure_thighs(const struct people_body *b, double *ret)
{
    double x, y, hips_y, knees_x, knees_y;

    if (!measure_torso(b, &x, &y, &hips_y) || y <= 0 || !middle(b, JOINT_KNEE_LEFT, &knees_x, &knees_y))
        return false;
    *ret = (knees_y - hips_y) / y;
    return true;
}

bool people_torso(const struct people_picture *p, struct people_box *ret)
{
    const struct people_face *f;
    const struct people_body *b;
    double                    left, right, top, end, x;

    main_person(p->facts, &f, &b);
    if (!b || count_seen(b, JOINT_SHOULDER_LEFT) < 2 || !middle(b, JOINT_SHOULDER_LEFT, &x, &top) ||
        !middle(b, JOINT_HIP_LEFT, &x, &end))
        return false;
    left = fmin(b->joints[JOINT_SHOULDER_LEFT].x, b->joints[JOINT_SHOULDER_RIGHT].x);
    right = fmax(b->joints[JOINT_SHOULDER_LEFT].x, b->joints[JOINT_SHOULDER_RIGHT].x);
    *ret = (struct people_box){ left, top, right - left, end - top };
    return ret->width > 0 && ret->height > 0;
}

/* Takes the pair of joints into the box, those that are seen; false when neither is. */
static bool include(const struct people_body *b, enum people_joint left, struct people_box *box)
{
    bool any = false;

    for (enum people_joint j = left; j <= left + 1; j++) {
        double right = box->x + box->width, end = box->y + box->height, x = b->joints[j].x, y = b->joints[j].y;

        if (!joint_is_seen(b, j))
            continue;
        any = true;
        box->x = fmin(box->x, x);
        box->y = fmin(box->y, y);
        box->width = fmax(right, x) - box->x;
        box->height = fmax(end, y) - box->y;
    }
    return any;
}

bool people_garment(const struct people_picture *p, str kind, struct people_box *ret)
{
    bool                      upper = !str_eq(kind, S("lower")), lower = !str_eq(kind, S("upper"));
    enum people_joint         first = upper ? JOINT_SHOULDER_LEFT : JOINT_HIP_LEFT;
    const struct people_face *f;
    const struct people_body *b;
    struct people_box         torso;
    double                    more, right, end;

    main_person(p->facts, &f, &b);
    if (!b || !people_torso(p, &torso) || count_seen(b, first) < 2)
        return false;
    *ret = (struct people_box){ b->joints[first].x, b->joints[first].y, 0, 0 };
    (void)include(b, first, ret);
    if (upper) {
        (void)include(b, JOINT_HIP_LEFT, ret); /* people_torso() has seen one */
        (void)include(b, JOINT_ELBOW_LEFT, ret);
    }
    if (lower && !include(b, JOINT_KNEE_LEFT, ret))
        return false;
    if (lower)
        (void)include(b, JOINT_ANKLE_LEFT, ret);
    more = torso.width / 5; /* cloth is wider than bones */
    right = fmin(ret->x + ret->width + more, p->width);
    end = fmin(ret->y + ret->height + more / 2, p->height);
    ret->x = fmax(0, ret->x - more);
    ret->y = fmax(0, ret->y - more / 2);
    ret->width = right - ret->x;
    ret->height = end - ret->y;
    return ret->width >= 1 && ret->height >= 1;
}

static bool measure_lean(const struct people_body *b, double *ret)
{
    double x, y, hips_y;

    if (!measure_torso(b, &x, &y, &hips_y))
        return false;
    *ret = fabs(atan2(x, y)) * 180 / M_PI;
    return true;
}

static double measure_back(const struct people_face *f, const struct people_body *b)
{
    if (count_seen(b, JOINT_SHOULDER_LEFT) < 2)
        return 0;
    return !f || b->joints[JOINT_SHOULDER_LEFT].x < b->joints[JOINT_SHOULDER_RIGHT].x;
}

static bool put(bool known, double value, double *ret)
{
    if (known)
        *ret = value;
    return known;
}

bool people_measure(const struct people_picture *p, enum people_measure m, double *ret)
{
    const struct people_face *f;
    const struct people_body *b;

    main_person(p->facts, &f, &b);
    switch (m) {
    case PEOPLE_persons:
        return put(true, count_persons(p->facts), ret);
    case PEOPLE_faces:
        return put(true, (double)people_count_faces(p->facts), ret);
    case PEOPLE_brightness:
        return put(p->brightness >= 0, p->brightness, ret);
    case PEOPLE_height:
        return (f || b) && put(true, person_height(f, b) / p->height, ret);
    case PEOPLE_face_height:
        return f && put(true, f->box.height / p->height, ret);
    case PEOPLE_yaw:
        return f && put(true, fabs(f->yaw), ret);
    case PEOPLE_pitch:
        return f && put(true, fabs(f->pitch), ret);
    case PEOPLE_roll:
        return f && put(true, fabs(f->roll), ret);
    case PEOPLE_inside:
        return f && put(true, f->inside, ret);
    case PEOPLE_face_sharpness:
        return f && put(true, f->sharpness, ret);
    case PEOPLE_body_sharpness:
        return b && put(true, b->sharpness, ret);
    case PEOPLE_shoulders:
        return put(true, count_seen(b, JOINT_SHOULDER_LEFT), ret);
    case PEOPLE_hips:
        return put(true, count_seen(b, JOINT_HIP_LEFT), ret);
    case PEOPLE_ankles:
        return put(true, count_seen(b, JOINT_ANKLE_LEFT), ret);
    case PEOPLE_cut_legs:
        return put(true, count_cut_legs(b), ret);
    case PEOPLE_back:
        return put(true, measure_back(f, b), ret);
    case PEOPLE_thighs:
        return measure_thighs(b, ret);
    case PEOPLE_lean:
        return measure_lean(b, ret);
    case PEOPLE_MEASURE_COUNT:
        break;
    }
    return false;
}

double people_distance(const struct people_face *a, const struct people_face *b)
{
    double dot = 0, aa = 0, bb = 0;

    for (size_t i = 0; i < PEOPLE_IDENTITY; i++) {
        dot += (double)a->identity[i] * b->identity[i];
        aa += (double)a->identity[i] * a->identity[i];
        bb += (double)b->identity[i] * b->identity[i];
    }
    if (aa == 0 || bb == 0)
        return 2;
    return sqrt(fmax(0, 2 - 2 * dot / sqrt(aa * bb)));
}

bool people_is_same(const struct people_face *a, const struct people_face *b, double threshold)
{
    return face_is_seen(a) && face_is_seen(b) && people_distance(a, b) * people_seen.distance <= threshold;
}

/* ---- rules ---- */

const struct people_rules *people_rules_find(str name)
{
    for (size_t i = 0; i < people_rules_count; i++) {
        if (str_eq(people_rules_rows[i].name, name))
            return &people_rules_rows[i];
    }
    return NULL;
}

enum err people_check(const struct people_rules *r, const struct people_picture *p, str word, struct fault *f)
{
    for (size_t i = 0; i < r->count; i++) {
        const struct people_rule *rule = &r->rules[i];
        double                    v;

        if (rule->only.len && !str_eq(rule->only, word))
            continue;
        if (people_measure(p, rule->measure, &v) && (rule->above ? v > rule->number : v < rule->number))
            return fault_raise(f, rule->row, NULL, 0);
    }
    return OK;
}
