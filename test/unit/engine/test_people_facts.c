/* test_people_facts.c - the people engine's answer: what is taken, and what is not believed. */
#include "engine/people/facts.c"

#include "../base/check.h"

#define JOINTS_15                                                                                                              \
    "[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5],[1,2,0.5]," \
    "[1,2,0.5],[1,2,0.5],[1,2,0.5]"

static const char face[] = "{\"face\":{\"box\":[-3,2.5,100,120],\"score\":0.9,\"yaw\":-20.5,\"pitch\":3,\"roll\":1,"
                           "\"inside\":0.75,\"sharpness\":12.5}}";
static const char body[] =
    "{\"body\":{\"box\":[1,2,3,4],\"score\":0.4,\"sharpness\":5,\"joints\":[[7,8,0.25]," JOINTS_15 ",[0,0,0]]}}";

static struct arena arena;
static float        identity[PEOPLE_IDENTITY];

/* `text` with one part replaced, and behind a NUL `count` numbers. */
static enum err read_with(const char *text, const char *part, const char *by, size_t count, struct people_facts *f,
                          bool *done)
{
    size_t     at = str_find_str(str_from_cstr(text), str_from_cstr(part));
    struct buf b;

    assert_true(at != STR_NONE);
    buf_init(&b, &arena, 65536);
    buf_addf(&b, "%.*s%s%s", (int)at, text, by, text + at + strlen(part));
    if (count) {
        buf_add_char(&b, 0);
        buf_add_bytes(&b, identity, count * sizeof(*identity));
    }
    return people_facts_read(&arena, buf_str(&b), f, done);
}

TEST(faces_and_bodies_are_read_until_the_end)
{
    struct people_facts f = { 0 };
    bool                done = true;

    arena_init(&arena, 0);
    identity[7] = 0.5f;
    assert_int_equal(read_with(face, "", "", PEOPLE_IDENTITY, &f, &done), OK);
    assert_false(done);
    assert_int_equal(read_with(body, "", "", 0, &f, &done), OK);
    assert_false(done);
    assert_int_equal(people_facts_read(&arena, S("{\"done\":true,\"cpu_us\":42}"), &f, &done), OK);
    assert_true(done);
    assert_int_equal(f.face_count, 1);
    assert_int_equal(f.body_count, 1);
    assert_int_equal(f.cpu_us, 42);
    assert_true(f.faces[0].box.x == -3 && f.faces[0].box.height == 120 && f.faces[0].yaw == -20.5);
    assert_true(f.faces[0].inside == 0.75 && f.faces[0].identity[7] == 0.5f);
    assert_true(f.bodies[0].joints[JOINT_NOSE].y == 8 && f.bodies[0].joints[JOINT_ANKLE_RIGHT].score == 0);
    arena_free(&arena);
}

TEST(what_cannot_be_is_not_believed)
{
    static const char *const bad[][3] = {
        { face, "\"score\":0.9", "\"score\":1.1" },
        { face, "\"score\":0.9", "\"score\":\"1\"" },
        { face, "\"yaw\":-20.5", "\"yaw\":-200" },
        { face, "\"inside\":0.75,", "" },
        { face, "120]", "-1]" },
        { face, "120]", "120,1]" },
        { face, "-3", "1e300" },
        { body, "[7,8,0.25],", "" },
        { body, "[7,8,0.25]", "[7,8,2]" },
        { body, "[7,8,0.25]", "7" },
        { body, "\"box\"", "\"fox\"" },
    };
    struct people_facts f = { 0 };
    bool                done;

    arena_init(&arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        memset(&f, 0, sizeof(f));
        assert_int_equal(read_with(bad[i][0], bad[i][1], bad[i][2], PEOPLE_IDENTITY, &f, &done), ERR_PROTOCOL);
    }
    memset(&f, 0, sizeof(f));
    assert_int_equal(read_with(face, "", "", PEOPLE_IDENTITY - 1, &f, &done), ERR_PROTOCOL);
    identity[9] = NAN;
    assert_int_equal(read_with(face, "", "", PEOPLE_IDENTITY, &f, &done), ERR_PROTOCOL);
    identity[9] = 0;
    assert_int_equal(people_facts_read(&arena, S("{\"error\":\"no\"}"), &f, &done), ERR_PROTOCOL);
    assert_int_equal(people_facts_read(&arena, S("{\"done\":true,\"cpu_us\":-1}"), &f, &done), ERR_PROTOCOL);
    assert_int_equal(people_facts_read(&arena, S("{\"done\":tr"), &f, &done), ERR_PROTOCOL);
    assert_int_equal(people_facts_read(&arena, S(""), &f, &done), ERR_PROTOCOL);
    arena_free(&arena);
}

TEST(no_more_than_there_is_room_for)
{
    struct people_facts f = { 0 };
    bool                done;

    arena_init(&arena, 0);
    for (size_t i = 0; i < PEOPLE_FACES_MAX; i++)
        assert_int_equal(read_with(face, "", "", PEOPLE_IDENTITY, &f, &done), OK);
    assert_int_equal(read_with(face, "", "", PEOPLE_IDENTITY, &f, &done), ERR_PROTOCOL);
    for (size_t i = 0; i < PEOPLE_BODIES_MAX; i++)
        assert_int_equal(read_with(body, "", "", 0, &f, &done), OK);
    assert_int_equal(read_with(body, "", "", 0, &f, &done), ERR_PROTOCOL);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(faces_and_bodies_are_read_until_the_end),
        cmocka_unit_test(what_cannot_be_is_not_believed),
        cmocka_unit_test(no_more_than_there_is_room_for),
    };

    return cmocka_run_group_tests_name("people_facts", tests, NULL, NULL);
}
