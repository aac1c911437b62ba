/* facts.h - what the people engine sees in a picture (engines/people/detect.mjs), read and checked. What the models make of
 * the pixels is not ours: a number that cannot be is refused. */
#ifndef DASHBOX_ENGINE_PEOPLE_FACTS_H
#define DASHBOX_ENGINE_PEOPLE_FACTS_H

#include "base/arena.h"
#include "base/err.h"

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

/* Adds what one message of the engine says; the identity goes to the arena. ERR_PROTOCOL when it says nothing that is known. True in
 * *ret_done with the last one. */
enum err people_facts_read(struct arena *a, str message, struct people_facts *facts, bool *ret_done);

#endif
