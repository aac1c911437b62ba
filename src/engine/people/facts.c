/* facts.c - the people engine's answer: a message for each face and body, and one at the end. */
#include "engine/people/facts.h"

#include "base/log.h"
#include "contract/json.h"

#include <math.h>

#define PLACE_MAX 1e6 /* pixels */

static bool read_num(yyjson_val *v, double min, double max, double *ret)
{
    double n;

    if (!json_to_num(v, &n) || !(n >= min && n <= max))
        return false;
    *ret = n;
    return true;
}

static bool read_place(yyjson_val *v, double *ret)
{
    return read_num(v, -PLACE_MAX, PLACE_MAX, ret);
}

static bool read_box(yyjson_val *v, struct people_box *ret)
{
    return yyjson_arr_size(v) == 4 && read_place(yyjson_arr_get(v, 0), &ret->x) &&
           read_place(yyjson_arr_get(v, 1), &ret->y) && read_num(yyjson_arr_get(v, 2), 0, PLACE_MAX, &ret->width) &&
           read_num(yyjson_arr_get(v, 3), 0, PLACE_MAX, &ret->height);
}

static bool read_identity(struct arena *a, str bytes, const float **ret)
{
    float *numbers;

    if (bytes.len != PEOPLE_IDENTITY * sizeof(*numbers))
        return false;
    numbers = arena_array(a, float, PEOPLE_IDENTITY);
    memcpy(numbers, bytes.ptr, bytes.len); /* both sides are on one machine, and little-endian */
    for (size_t i = 0; i < PEOPLE_IDENTITY; i++) {
        if (!isfinite(numbers[i]))
            return false;
    }
    *ret = numbers;
    return true;
}

static bool read_face(struct arena *a, yyjson_val *v, str identity, struct people_face *ret)
{
    return read_box(json_get(v, "box"), &ret->box) && read_num(json_get(v, "score"), 0, 1, &ret->score) &&
           read_num(json_get(v, "yaw"), -180, 180, &ret->yaw) &&
           read_num(json_get(v, "pitch"), -180, 180, &ret->pitch) &&
           read_num(json_get(v, "roll"), -180, 180, &ret->roll) &&
           read_num(json_get(v, "inside"), 0, 1, &ret->inside) &&
           read_num(json_get(v, "sharpness"), 0, 1e9, &ret->sharpness) && read_identity(a, identity, &ret->identity);
}

static bool read_body(yyjson_val *v, struct people_body *ret)
{
    yyjson_val *joints = json_get(v, "joints");

    if (!read_box(json_get(v, "box"), &ret->box) || !read_num(json_get(v, "score"), 0, 1, &ret->score) ||
        !read_num(json_get(v, "sharpness"), 0, 1e9, &ret->sharpness) || yyjson_arr_size(joints) != JOINT_COUNT)
        return false;
    for (size_t i = 0; i < JOINT_COUNT; i++) {
        yyjson_val *joint = yyjson_arr_get(joints, i);

        if (!read_place(yyjson_arr_get(joint, 0), &ret->joints[i].x) ||
            !read_place(yyjson_arr_get(joint, 1), &ret->joints[i].y) ||
            !read_num(yyjson_arr_get(joint, 2), 0, 1, &ret->joints[i].score))
            return false;
    }
    return true;
}

static bool read_root(struct arena *a, yyjson_val *root, str identity, struct people_facts *facts, bool *ret_done)
{
    yyjson_val *v;

    if ((v = json_get(root, "face")))
        return facts->face_count < PEOPLE_FACES_MAX && read_face(a, v, identity, &facts->faces[facts->face_count++]);
    if ((v = json_get(root, "body")))
        return facts->body_count < PEOPLE_BODIES_MAX && read_body(v, &facts->bodies[facts->body_count++]);
    if ((v = json_get(root, "error")))
        log_warn("people engine: %.*s", STR_ARG(json_str(v)));
    *ret_done = yyjson_is_true(json_get(root, "done"));
    return *ret_done && json_to_i64(json_get(root, "cpu_us"), &facts->cpu_us) && facts->cpu_us >= 0;
}

enum err people_facts_read(struct arena *a, str message, struct people_facts *facts, bool *ret_done)
{
    size_t      end = str_find(message, '\0');
    yyjson_val *root = json_parse_copy(a, str_first(message, end));
    str         identity = end == STR_NONE ? (str){ 0 } : str_from(message, end + 1);

    *ret_done = false;
    return read_root(a, root, identity, facts, ret_done) ? OK : ERR_PROTOCOL;
}
