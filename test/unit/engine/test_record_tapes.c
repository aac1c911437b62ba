/* test_record_tapes.c - a folder of recordings: takes, runs, misses. */
#include "engine/record/tapes.c"

#include "../loop/run.h"

static struct arena arena;
static char         folder[64];

static int setup(void **state)
{
    snprintf(folder, sizeof(folder), "/tmp/dashbox-tapes-XXXXXX");
    arena_init(&arena, 0);
    return mkdtemp(folder) ? loop_setup(state) : -1;
}

static int teardown(void **state)
{
    DIR           *d = opendir(folder);
    struct dirent *entry;

    while ((entry = readdir(d)))
        (void)unlink(arena_printf(&arena, "%s/%s", folder, entry->d_name).ptr);
    closedir(d);
    (void)rmdir(folder);
    arena_free(&arena);
    return loop_teardown(state);
}

static struct tapes *open_as(struct tapes_options o)
{
    struct tapes *t = NULL;
    str           problem;

    o.path = str_from_cstr(folder);
    if (tapes_open(&o, &arena, &t, &problem))
        fail_msg("%.*s", STR_ARG(problem));
    return t;
}

#define ASKED(text, more) "{\"model\":\"m\",\"messages\":[{\"content\":\"" text "\"}]" more "}"

static void keep(struct tapes *t, const char *body, const char *answer)
{
    struct recording *r = recording_new();

    r->tape = (struct tape){ .engine = S("e"), .model = S("m"), .method = S("POST"), .path = S("/x"), .status = 200 };
    r->tape.body = arena_str(&r->arena, str_from_cstr(body));
    r->tape.pieces = arena_array(&r->arena, struct tape_piece, 1);
    r->tape.pieces->bytes = arena_str(&r->arena, str_from_cstr(answer));
    r->tape.piece_count = 1;
    r->secrets = arena_array(&r->arena, str, 1);
    r->secrets[0] = S("opensesame");
    r->secret_count = 1;
    r->size = strlen(body) + strlen(answer);
    tapes_keep(t, r);
}

/* What is found; "" for a miss, whose problem is in `missed` then. */
static str missed;

static SUSPENDS str find(struct tapes *t, const char *body)
{
    struct tape_search s = { .method = S("POST"), .path = S("/x"), .body = str_from_cstr(body) };
    str                got = { 0 };

    arena_init(&s.arena, 0);
    if (tapes_find(t, &s) == OK)
        got = arena_str(&arena, s.tape.pieces[0].bytes);
    missed = arena_str(&arena, s.problem);
    arena_free(&s.arena);
    return got;
}

static size_t count_files(void)
{
    DIR           *d = opendir(folder);
    struct dirent *entry;
    size_t         count = 0;

    while ((entry = readdir(d)))
        count += entry->d_name[0] != '.';
    closedir(d);
    return count;
}

static void find_takes(void *arg)
{
    struct tapes *t = open_as((struct tapes_options){ .replay = true });

    (void)arg;
    CHECK_STR(find(t, ASKED("hi", "")), "one");
    CHECK_STR(find(t, ASKED("other", "")), "else");
    CHECK_STR(find(t, ASKED("hi", "")), "two");
    CHECK_STR(find(t, ASKED("hi", "")), "three");
    CHECK_STR(find(t, ASKED("hi", "")), "one");
    CHECK_STR(find(t, ASKED("hi", "")), "two");
    tapes_rewind(t);
    CHECK_STR(find(t, ASKED("hi", "")), "one");
    tapes_close(t);
}

TEST(takes_are_given_in_turn_and_then_from_the_beginning)
{
    struct tapes *t = open_as((struct tapes_options){ 0 });

    keep(t, ASKED("hi", ""), "one");
    keep(t, ASKED("hi", ",\"user\":\"u\""), "two");
    keep(t, ASKED("other", ""), "else");
    keep(t, ASKED("hi", ""), "three");
    tapes_close(t);
    assert_int_equal(count_files(), 4);
    run_fiber(find_takes);
}

static void find_new(void *arg)
{
    struct tapes *t = open_as((struct tapes_options){ .replay = true });

    (void)arg;
    CHECK_STR(find(t, ASKED("hi", "")), "new");
    CHECK_STR(find(t, ASKED("hi", "")), "new");
    CHECK_STR(find(t, ASKED("other", "")), "else");
    tapes_close(t);
}

TEST(another_run_replaces_all_takes_of_what_it_asks)
{
    struct tapes *t = open_as((struct tapes_options){ 0 });

    keep(t, ASKED("hi", ""), "one");
    keep(t, ASKED("hi", ""), "two");
    keep(t, ASKED("hi", ""), "three");
    keep(t, ASKED("other", ""), "else");
    tapes_close(t);
    t = open_as((struct tapes_options){ 0 });
    keep(t, ASKED("hi", ""), "new");
    tapes_close(t);
    assert_int_equal(count_files(), 2);
    run_fiber(find_new);
}

static void find_nothing(void *arg)
{
    struct tapes *t = open_as((struct tapes_options){ .replay = true });

    (void)arg;
    CHECK_STR(find(t, ASKED("hi", "")), "");
    CHECK_STR(missed, "the folder has no recordings");
    tapes_close(t);
}

static void find_near(void *arg)
{
    struct tapes *t = open_as((struct tapes_options){ .replay = true });

    (void)arg;
    CHECK_STR(find(t, ASKED("hi", ",\"seed\":2")), "");
    CHECK(str_ends(missed, S(", which differs in seed")));
    CHECK_STR(find(t, ASKED("quite another", ",\"seed\":1")), "");
    CHECK(str_ends(missed, S(", which differs in messages[0].content")));
    tapes_close(t);
    t = open_as((struct tapes_options){ .replay = true, .by_messages = true });
    CHECK_STR(find(t, ASKED("hi", ",\"seed\":2")), "one");
    CHECK_STR(find(t, ASKED("ho", ",\"seed\":1")), "");
    tapes_close(t);
}

TEST(a_miss_names_the_nearest_and_messages_alone_may_be_enough)
{
    struct tapes *t = open_as((struct tapes_options){ 0 });

    run_fiber(find_nothing);
    keep(t, ASKED("hi", ",\"seed\":1"), "one");
    tapes_close(t);
    loop_free(loop);
    loop = loop_new();
    run_fiber(find_near);
}

static void find_scrubbed(void *arg)
{
    struct tapes *t = open_as((struct tapes_options){ .replay = true });

    (void)arg;
    CHECK_STR(find(t, ASKED("say opensesame", "")), "REMOVED and sk-REMOVED");
    tapes_close(t);
}

TEST(secrets_are_in_no_file_and_what_had_them_is_found)
{
    struct tapes  *t = open_as((struct tapes_options){ 0 });
    DIR           *d;
    struct dirent *entry;
    size_t         seen = 0;

    keep(t, ASKED("say opensesame", ""), "opensesame and sk-0123456789abcdef");
    tapes_close(t);
    d = opendir(folder);
    while ((entry = readdir(d))) {
        str text;

        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(file_read(&arena, arena_printf(&arena, "%s/%s", folder, entry->d_name).ptr, &text), OK);
        assert_int_equal(str_find_str(text, S("opensesame")), STR_NONE);
        assert_int_equal(str_find_str(text, S("0123456789")), STR_NONE);
        seen++;
    }
    closedir(d);
    assert_int_equal(seen, 1);
    run_fiber(find_scrubbed);
}

TEST(a_folder_that_cannot_be_used_is_said_at_once)
{
    struct tapes *t;
    str           problem;

    assert_int_equal(tapes_open(&(struct tapes_options){ .path = S("/dev/null/x") }, &arena, &t, &problem),
                     ERR_INVALID);
    assert_true(str_starts(problem, S("record: ")));
    assert_int_equal(tapes_open(&(struct tapes_options){ .path = S("/nowhere"), .replay = true }, &arena, &t, &problem),
                     ERR_INVALID);
    CHECK_STR(problem, "replay: the folder /nowhere cannot be read");
    assert_int_equal(
        file_write(&arena, arena_printf(&arena, "%s/a-00000000-00000000.yaml", folder), S("version: 1\nx: y\n")), OK);
    assert_int_equal(
        tapes_open(&(struct tapes_options){ .path = str_from_cstr(folder), .replay = true }, &arena, &t, &problem),
        ERR_INVALID);
    assert_true(str_ends(problem, S("/a-00000000-00000000.yaml:2: unknown name x")));
}

#define tapes_test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        tapes_test(takes_are_given_in_turn_and_then_from_the_beginning),
        tapes_test(another_run_replaces_all_takes_of_what_it_asks),
        tapes_test(a_miss_names_the_nearest_and_messages_alone_may_be_enough),
        tapes_test(secrets_are_in_no_file_and_what_had_them_is_found),
        tapes_test(a_folder_that_cannot_be_used_is_said_at_once),
    };

    hang_guard();
    return cmocka_run_group_tests_name("record_tapes", tests, NULL, NULL);
}
