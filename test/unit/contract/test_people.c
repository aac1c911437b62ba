/* test_people.c - whom services take: the measures by what is made up here, and all lists of data/people.txt by real pictures
 * (test/people_pictures.mjs), at which the people engine looks.
 */
#include "contract/people.c"

#include "contract/catalog.h"

#include "engine/people/people.h"

#include "../loop/run.h"

#include <fcntl.h>
#include <sys/stat.h>

static struct people_facts       facts;
static struct people_face *const face = &facts.faces[0];
static struct people_body *const body = &facts.bodies[0];

static void put_joint(enum people_joint j, double x, double y)
{
    body->joints[j].x = x;
    body->joints[j].y = y;
    body->joints[j].score = 0.9;
}

/* Somebody who stands and looks at us: 200 × 500 in a picture of 400 × 1000. */
static void somebody(void)
{
    memset(&facts, 0, sizeof(facts));
    facts.face_count = facts.body_count = 1;
    *face = (struct people_face){ .box = { 150, 100, 100, 100 }, .score = 0.9, .inside = 1, .sharpness = 0.05 };
    *body = (struct people_body){ .box = { 100, 100, 200, 500 }, .score = 0.9, .sharpness = 0.3 };
    put_joint(JOINT_NOSE, 200, 150);
    put_joint(JOINT_SHOULDER_LEFT, 260, 220);
    put_joint(JOINT_SHOULDER_RIGHT, 140, 220);
    put_joint(JOINT_HIP_LEFT, 240, 370);
    put_joint(JOINT_HIP_RIGHT, 160, 370);
    put_joint(JOINT_KNEE_LEFT, 240, 520);
    put_joint(JOINT_KNEE_RIGHT, 160, 520);
    put_joint(JOINT_ANKLE_LEFT, 240, 600);
    put_joint(JOINT_ANKLE_RIGHT, 160, 600);
}

/* −1: it cannot be had. */
static double measure(enum people_measure m)
{
    struct people_picture p = { .facts = &facts, .width = 400, .height = 1000, .brightness = -1 };
    double                v = -1;

    return people_measure(&p, m, &v) ? v : -1;
}

TEST(somebody_is_measured)
{
    struct people_box torso;

    somebody();
    assert_true(measure(PEOPLE_persons) == 1 && measure(PEOPLE_faces) == 1);
    assert_true(measure(PEOPLE_height) == 0.5 && measure(PEOPLE_face_height) == 0.1);
    assert_true(measure(PEOPLE_shoulders) == 2 && measure(PEOPLE_hips) == 2 && measure(PEOPLE_ankles) == 2);
    assert_true(measure(PEOPLE_thighs) == 1 && measure(PEOPLE_lean) == 0);
    assert_true(measure(PEOPLE_back) == 0 && measure(PEOPLE_cut_legs) == 0);
    assert_true(people_torso(&(struct people_picture){ .facts = &facts }, &torso));
    assert_true(torso.x == 140 && torso.y == 220 && torso.width == 120 && torso.height == 150);
    assert_true(measure(PEOPLE_brightness) == -1);
    face->yaw = -40;
    assert_true(measure(PEOPLE_yaw) == 40);
    body->joints[JOINT_ANKLE_LEFT].score = 0.1;
    assert_true(measure(PEOPLE_cut_legs) == 1 && measure(PEOPLE_ankles) == 1);
    for (enum people_joint j = JOINT_KNEE_LEFT; j <= JOINT_KNEE_RIGHT; j++)
        put_joint(j, 300, 400);
    assert_true(measure(PEOPLE_thighs) < 0.3);
    put_joint(JOINT_HIP_LEFT, 410, 370);
    put_joint(JOINT_HIP_RIGHT, 290, 370);
    assert_true(measure(PEOPLE_lean) > 44.9 && measure(PEOPLE_lean) < 45.1);
}

/* The edges of what is worn, with a fifth of the shoulders' width at the sides and a tenth above and below. */
static void check_worn(str kind, double left, double top, double right, double end)
{
    struct people_picture p = { .facts = &facts, .width = 400, .height = 1000 };
    struct people_box     box;

    assert_true(people_garment(&p, kind, &box));
    assert_true(box.x == left && box.y == top && box.x + box.width == right && box.y + box.height == end);
}

TEST(what_is_worn_lies_between_joints)
{
    struct people_picture p = { .facts = &facts, .width = 400, .height = 1000 };
    struct people_box     box;
    double                knees, ankles;

    somebody();
    for (enum people_joint j = JOINT_ELBOW_LEFT; j <= JOINT_WRIST_RIGHT; j++)
        body->joints[j].score = 0;
    knees = body->joints[JOINT_KNEE_LEFT].y;
    ankles = body->joints[JOINT_ANKLE_LEFT].y;
    assert_true(knees > 370 && ankles > knees);
    check_worn(S("upper"), 116, 208, 284, 382);
    assert_true(people_garment(&p, S("lower"), &box) && box.y == 358 && box.y + box.height == ankles + 12);
    assert_true(people_garment(&p, S("dress"), &box) && box.y == 208 && box.y + box.height == ankles + 12);
    body->joints[JOINT_ANKLE_LEFT].score = body->joints[JOINT_ANKLE_RIGHT].score = 0;
    assert_true(people_garment(&p, S("lower"), &box) && box.y + box.height == knees + 12);
    p.height = 380; /* it ends with the picture */
    assert_true(people_garment(&p, S("upper"), &box) && box.y + box.height == 380);
    body->joints[JOINT_KNEE_LEFT].score = body->joints[JOINT_KNEE_RIGHT].score = 0;
    assert_false(people_garment(&p, S("lower"), &box));
    assert_true(people_garment(&p, S("upper"), &box));
    facts.body_count = 0;
    assert_false(people_garment(&p, S("upper"), &box));
}

TEST(who_turns_the_back_has_her_left_at_the_left)
{
    somebody();
    put_joint(JOINT_SHOULDER_LEFT, 140, 220);
    put_joint(JOINT_SHOULDER_RIGHT, 260, 220);
    assert_true(measure(PEOPLE_back) == 1);
    somebody();
    facts.face_count = 0;
    assert_true(measure(PEOPLE_back) == 1);
    body->joints[JOINT_SHOULDER_LEFT].score = 0;
    assert_true(measure(PEOPLE_back) == 0); /* what is it that is seen? */
}

TEST(nobody_is_counted_twice)
{
    somebody();
    facts.bodies[1] = *body; /* the models see some a second time, in bits */
    facts.body_count = 2;
    assert_true(measure(PEOPLE_persons) == 1);
    facts.bodies[1].joints[JOINT_NOSE].x = 390; /* whose head is elsewhere */
    assert_true(measure(PEOPLE_persons) == 2 && measure(PEOPLE_faces) == 1);
    facts.bodies[1].score = 0.1;
    assert_true(measure(PEOPLE_persons) == 1);
    face->score = 0.2;
    facts.body_count = 0;
    assert_true(measure(PEOPLE_persons) == 0);
    assert_true(measure(PEOPLE_yaw) == -1 && measure(PEOPLE_height) == -1 && measure(PEOPLE_thighs) == -1);
}

TEST(how_unlike_two_faces_are)
{
    float              a[PEOPLE_IDENTITY] = { 3 }, twice[PEOPLE_IDENTITY] = { 6 }, other[PEOPLE_IDENTITY] = { 0, 5 };
    float              none[PEOPLE_IDENTITY] = { 0 };
    struct people_face x = { .identity = a }, y = { .identity = twice }, z = { .identity = other },
                       n = { .identity = none };

    assert_true(people_distance(&x, &y) < 1e-9);
    assert_true(fabs(people_distance(&x, &z) - sqrt(2)) < 1e-9);
    assert_true(people_distance(&x, &n) == 2);
}

TEST(a_rule_may_be_for_a_word)
{
    const struct people_rules *r = people_rules_find(S("emo-detect"));
    struct people_picture      p = { .facts = &facts, .width = 400, .height = 1000, .brightness = 100 };
    struct fault               f = { 0 };

    somebody();
    body->joints[JOINT_SHOULDER_LEFT].score = 0;
    assert_int_equal(people_check(r, &p, S("1:1"), &f), OK);
    assert_int_equal(people_check(r, &p, S("3:4"), &f), ERR_FAULT);
    assert_str(f.row->id, "E128");
    assert_null(people_rules_find(S("nobody-asks")));
}

/* ---- real pictures ---- */

static char folder[] = "/tmp/dashbox-people-XXXXXX";

/* Of a list, a picture, and the words that it is asked with: the row that refuses it; "" none. */
static const char *const cases[][4] = {
    { "emo-detect", "portrait", "1:1", "" },
    { "emo-detect", "portrait", "3:4", "" },
    { "emo-detect", "another", "1:1", "" },
    { "emo-detect", "face", "1:1", "" },
    { "emo-detect", "body", "1:1", "" },
    { "emo-detect", "nobody", "1:1", "E106" },
    { "emo-detect", "several", "1:1", "E140" },
    { "emo-detect", "small", "1:1", "E107" },
    { "emo-detect", "turned", "1:1", "E108" },
    { "emo-detect", "hidden", "1:1", "E108" },
    { "emo-detect", "cut", "1:1", "E119" },
    { "emo-detect", "dark", "1:1", "E117" },
    { "emo-detect", "blurred", "1:1", "E117" },
    { "emo-detect", "face", "3:4", "E128" },
    { "s2v-detect", "portrait", "", "" },
    { "s2v-detect", "body", "", "" },
    { "s2v-detect", "nobody", "", "E106" },
    { "s2v-detect", "several", "", "E140" },
    { "s2v-detect", "turned", "", "E110" },
    { "emoji-detect", "portrait", "", "" },
    { "emoji-detect", "face", "", "" },
    { "emoji-detect", "turned", "", "E109" },
    { "emoji-detect", "cut", "", "E119" },
    { "liveportrait-detect", "portrait", "", "" },
    { "liveportrait-detect", "several", "", "" },
    { "liveportrait-detect", "nobody", "", "E145" },
    { "liveportrait-detect", "hidden", "", "E145" },
    { "liveportrait", "portrait", "", "" },
    { "liveportrait", "nobody", "", "E145" },
    { "liveportrait", "cut", "", "E221" },
    { "liveportrait", "blurred", "", "E221" },
    { "animate-anyone-detect", "body", "", "" },
    { "animate-anyone-detect", "half", "", "" },
    { "animate-anyone-detect", "nobody", "", "E124" },
    { "animate-anyone-detect", "several", "", "E124" },
    { "animate-anyone-detect", "small_body", "", "E107" },
    { "animate-anyone-detect", "face", "", "E107" },
    { "animate-anyone-detect", "back", "", "E118" },
    { "animate-anyone-detect", "hidden", "", "E118" },
    { "animate-anyone-detect", "sitting", "", "E129" },
    { "animate-anyone-detect", "legs_cut", "", "E129" },
    { "animate-anyone-detect", "leaning", "", "E129" },
    { "animate-anyone-detect", "dark_body", "", "E117" },
    { "animate-anyone", "body", "", "" },
    { "animate-anyone", "nobody", "", "E124" },
    { "animate-anyone", "several", "", "E126" },
    { "animate-anyone-template", "body", "", "" },
    { "animate-anyone-template", "nobody", "", "E121" },
    { "animate-anyone-template", "small_body", "", "E122" },
    { "animate-anyone-template", "blurred_body", "", "E123" },
    { "animate-anyone-template", "legs_cut", "", "E127" },
    { "animate-video", "half", "", "" },
    { "animate-video", "nobody", "", "E121" },
    { "animate-video", "small_body", "", "E122" },
    { "animate-video", "blurred_body", "", "E123" },
    { "videoretalk-reference", "portrait", "", "" },
    { "videoretalk-reference", "several", "", "E124" },
    { "videoretalk-video", "several", "", "" },
    { "videoretalk-video", "nobody", "", "E124" },
    { "virtualmodel", "body", "", "" },
    { "virtualmodel", "nobody", "", "E125" },
    { "virtualmodel", "blurred_body", "", "E125" },
    { "tryon", "body", "", "" },
    { "tryon", "nobody", "", "E141" },
    { "tryon", "several", "", "E141" },
};

struct seen {
    const char           *name;
    struct people_facts   facts;
    struct people_picture picture;
};

static struct seen seen[32];
static size_t      seen_count;

/* The picture as pixels, of which `*ret` has the mean luma too. */
static int open_pixels(const char *name, struct people_picture *ret)
{
    char   command[512], path[128], line[64];
    double width, height, luma = 0, n = 0;
    FILE  *f;
    int    c, k = 0;

    snprintf(path, sizeof(path), "%s/pixels", folder);
    snprintf(command, sizeof(command),
             "ffprobe -v error -show_entries stream=width,height -of csv=p=0 %s/%s.jpg &&"
             " ffmpeg -v error -y -i %s/%s.jpg -f rawvideo -pix_fmt rgb24 %s",
             folder, name, folder, name, path);
    f = popen(command, "r");
    CHECK(f && fgets(line, sizeof(line), f) && sscanf(line, "%lf,%lf", &width, &height) == 2 && pclose(f) == 0);
    f = fopen(path, "r");
    CHECK(f);
    while ((c = fgetc(f)) != EOF) {
        luma += c * (k == 0 ? 0.299 : k == 1 ? 0.587 : 0.114);
        n += k == 0;
        k = (k + 1) % 3;
    }
    fclose(f);
    *ret = (struct people_picture){ .width = width, .height = height, .brightness = luma / n };
    return open(path, O_RDONLY);
}

static const struct people_picture *look(struct people *p, const char *name, struct arena *a)
{
    struct seen *s = seen;
    int          fd;

    for (; s < seen + seen_count; s++) {
        if (strcmp(s->name, name) == 0)
            return &s->picture;
    }
    CHECK(++seen_count <= ARRAY_LEN(seen));
    fd = open_pixels(name, &s->picture);
    CHECK(fd >= 0);
    CHECK(people_detect(p, fd, (int64_t)s->picture.width, (int64_t)s->picture.height, a, &s->facts) == OK);
    close(fd);
    s->name = name;
    s->picture.facts = &s->facts;
    return &s->picture;
}

static const struct people_face *face_in(struct people *p, const char *name, struct arena *a)
{
    const struct people_face *f = people_main_face(look(p, name, a)->facts);

    CHECK(f);
    return f;
}

static void judges(void *arg)
{
    struct people *p;
    struct arena   a;
    size_t         wrong = 0;

    (void)arg;
    CHECK(people_open(loop, &(struct people_options){ .program = getenv("PEOPLE_ENGINE") }, &p) == OK);
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *const           *c = cases[i];
        const struct people_rules   *r = people_rules_find(str_from_cstr(c[0]));
        const struct people_picture *picture = look(p, c[1], &a);
        struct fault                 f = { 0 };
        enum err                     e;
        const char                  *got;

        CHECK(r);
        e = people_check(r, picture, str_from_cstr(c[2]), &f);
        got = e ? f.row->id.ptr : "";
        if (strcmp(got, c[3]) == 0)
            continue;
        fprintf(stderr, "%s %s %s: got \"%s\", wanted \"%s\"\n", c[0], c[1], c[2], got, c[3]);
        for (enum people_measure m = 0; m < PEOPLE_MEASURE_COUNT; m++) {
#define X(name) #name,
            static const char *const names[] = { PEOPLE_MEASURES(X) };
#undef X
            double v;

            if (people_measure(picture, m, &v))
                fprintf(stderr, "    %s %g\n", names[m], v);
        }
        wrong++;
    }
    CHECK(!wrong);
    /* As a query_face_threshold, which is 200 times as much: the default is 170, the loosest 200. */
    CHECK(people_distance(face_in(p, "portrait", &a), face_in(p, "small", &a)) < 170 / 200.0);
    CHECK(people_distance(face_in(p, "face", &a), face_in(p, "body", &a)) < 170 / 200.0);
    CHECK(people_distance(face_in(p, "portrait", &a), face_in(p, "another", &a)) > 200 / 200.0);
    arena_free(&a);
    people_close(p);
}

static void pictures_are_judged(void **state)
{
    char command[256];

    (void)state;
    if (system("test -d $DASHBOX_SOURCE/engines/people/node_modules"))
        skip();
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof(command), "node $DASHBOX_SOURCE/test/people_pictures.mjs %s", folder);
    assert_int_equal(system(command), 0);
    run_fiber(judges);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_worn_lies_between_joints),
        cmocka_unit_test(somebody_is_measured),
        cmocka_unit_test(who_turns_the_back_has_her_left_at_the_left),
        cmocka_unit_test(nobody_is_counted_twice),
        cmocka_unit_test(how_unlike_two_faces_are),
        cmocka_unit_test(a_rule_may_be_for_a_word),
        loop_test(pictures_are_judged),
    };

    alarm(240);
    return cmocka_run_group_tests_name("people", tests, NULL, NULL);
}
