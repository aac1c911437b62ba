/* people.h - who is in a picture, and whether a service takes them (media.md §6.4, §7.5).
 *
 * What was seen is `struct people_facts`, which the people engine fills (engine/people). The rules are lists of data/people.txt:
 * each compares a measure of what was seen with a number and refuses with a row of data/errors.
 */
#ifndef DASHBOX_CONTRACT_PEOPLE_H
#define DASHBOX_CONTRACT_PEOPLE_H

#include "contract/fault.h"

#define PEOPLE_IDENTITY   1024
#define PEOPLE_FACES_MAX  20
#define PEOPLE_BODIES_MAX 6

/* In pixels of the picture, from its left upper corner. It may stand out of the picture. */
struct people_box {
    double x, y, width, height;
};

/* Left and right are the person's. */
enum people_joint {
    JOINT_NOSE,
    JOINT_EYE_LEFT,
    JOINT_EYE_RIGHT,
    JOINT_EAR_LEFT,
    JOINT_EAR_RIGHT,
    JOINT_SHOULDER_LEFT,
    JOINT_SHOULDER_RIGHT,
    JOINT_ELBOW_LEFT,
    JOINT_ELBOW_RIGHT,
    JOINT_WRIST_LEFT,
    JOINT_WRIST_RIGHT,
    JOINT_HIP_LEFT,
    JOINT_HIP_RIGHT,
    JOINT_KNEE_LEFT,
    JOINT_KNEE_RIGHT,
    JOINT_ANKLE_LEFT,
    JOINT_ANKLE_RIGHT,
    JOINT_COUNT
};

struct people_face {
    struct people_box box;              /* of the whole head about */
    double            score;            /* 0 to 1: that it is one */
    double            yaw, pitch, roll; /* degrees, 0 looks into the camera: detect.mjs has the directions */
    double            inside;           /* share of its points that lie within the picture, 0 to 1 */
    double            sharpness;        /* 0 and more: variance of the Laplacian */
    const float      *identity;         /* PEOPLE_IDENTITY numbers, alike for pictures of one person */
};

struct people_body {
    struct people_box box;   /* around its joints */
    double            score; /* 0 to 1: that it is one */
    double            sharpness;
    struct {
        double x, y, score; /* score 0: not found */
    } joints[JOINT_COUNT];
};

struct people_facts {
    struct people_face faces[PEOPLE_FACES_MAX];
    struct people_body bodies[PEOPLE_BODIES_MAX];
    size_t             face_count, body_count;
    int64_t            cpu_us; /* that the engine has used for it */
};

/* How unlike two faces are: 0 the same; the length of the difference between their identities, each brought to length 1,
 * so that 2 is the most. */
double people_distance(const struct people_face *a, const struct people_face *b);

/* Whether they are one person's, by the wire's measure: VideoRetalk's query_face_threshold, 120 to 200, larger is looser. */
bool people_is_same(const struct people_face *a, const struct people_face *b, double threshold);

/* A picture whose people were looked for. */
struct people_picture {
    const struct people_facts *facts;
    double                     width, height; /* in which the facts' places are */
    double                     brightness;    /* mean luma, 0 to 255; below 0: unknown */
};

/* Named like the words of data/people.txt, which explains them. */
#define PEOPLE_MEASURES(X) \
    X(persons)             \
    X(faces)               \
    X(brightness)          \
    X(height)              \
    X(face_height)         \
    X(yaw)                 \
    X(pitch)               \
    X(roll)                \
    X(inside)              \
    X(face_sharpness)      \
    X(body_sharpness)      \
    X(shoulders)           \
    X(hips)                \
    X(ankles)              \
    X(cut_legs)            \
    X(back)                \
    X(thighs)              \
    X(lean)

enum people_measure {
#define X(name) PEOPLE_##name,
    PEOPLE_MEASURES(X)
#undef X
        PEOPLE_MEASURE_COUNT
};

struct people_rule {
    const struct error_row *row;
    enum people_measure     measure;
    bool                    above; /* refuses above the number, else below */
    double                  number;
    str                     only; /* asked only for this word; empty: always */
};

struct people_rules {
    str                       name;
    const struct people_rule *rules;
    size_t                    count;
};

/* By the name of the list. NULL: there is none. */
const struct people_rules *people_rules_find(str name);

/* False when it cannot be had: of a face where none is, of knees that are not seen. */
bool people_measure(const struct people_picture *p, enum people_measure m, double *ret);

/* ERR_FAULT with the row of the first rule that holds. `word` is what the request says that some rules are for; may be empty. */
enum err people_check(const struct people_rules *r, const struct people_picture *p, str word, struct fault *f);

/* How many faces are seen. */
size_t people_count_faces(const struct people_facts *f);

/* From shoulders down to hips of the one who takes most of the picture, arms left out. False when they are not seen. */
bool people_torso(const struct people_picture *p, struct people_box *ret);

/* Where the one who takes most of the picture wears something, in the picture: "upper" from shoulders to hips, "lower" from hips to
 * ankles, "dress" both; arms and the width of cloth are a share of the shoulders'. False when it is not seen. */
bool people_garment(const struct people_picture *p, str kind, struct people_box *ret);

/* The face of the one who takes most of the picture; NULL when none is seen. */
const struct people_face *people_main_face(const struct people_facts *f);

#endif
