/* test_ocr.c - the engine that reads; test_people.c and test_media.c have more about pools. Its children are small scripts that behave well or
 * badly, and dashbox-ocr itself (OCR_ENGINE) with pictures that ffmpeg writes on.
 */
#include "engine/ocr/ocr.c"

#include "../loop/run.h"

#include <fcntl.h>
#include <sys/stat.h>

static const char script_head[] =
    "#!/usr/bin/env python3\n"
    "import json, os, socket, sys\n"
    "s = socket.socket(fileno=3)\n"
    "def say(**what): s.send(json.dumps(what).encode())\n"
    "def take():\n"
    "    m, fds, flags, where = socket.recv_fds(s, 100, 1)\n"
    "    if not m: sys.exit(0)\n"
    "    say(text='%s %s' % (m.decode(), os.pread(fds[0], 3, 0).decode()), box=[1, 2, 3, 4], confidence=90)\n"
    "    os.close(fds[0])\n";

static char folder[] = "/tmp/dashbox-ocr-XXXXXX";
static char program[128], sample[128];

static struct ocr *open_script(const char *script, struct ocr_options o)
{
    struct ocr *t = NULL;
    FILE       *f = fopen(program, "w");

    CHECK(f && fputs(script_head, f) >= 0 && fputs(script, f) >= 0 && fclose(f) == 0);
    CHECK(chmod(program, 0755) == 0);
    o.program = program;
    CHECK(ocr_open(loop, &o, &t) == OK);
    return t;
}

static enum err look(struct ocr *t, const char *path, int64_t width, int64_t height, struct arena *a,
                     struct picture_lines *ret)
{
    int      fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err e;

    CHECK(fd >= 0);
    e = ocr_look(t, fd, width, height, a, ret);
    close(fd);
    return e;
}

static void well(void *arg)
{
    struct ocr *t =
        open_script("say(ready=True, sandbox=True, languages='eng')\nwhile True: take(); say(done=True, cpu_us=5)\n",
                    (struct ocr_options){ 0 });
    struct picture_lines lines;
    struct arena         a;

    (void)arg;
    arena_init(&a, 0);
    for (int i = 0; i < 2; i++) {
        CHECK(look(t, sample, 2, 1, &a, &lines) == OK && lines.count == 1);
        CHECK(str_eq(lines.at[0].text, S("read 2 1 abc")) && lines.at[0].x == 1 && lines.at[0].height == 4);
    }
    CHECK(look(t, sample, 0, 1, &a, &lines) == ERR_INVALID);
    CHECK(look(t, sample, 1, OCR_SIDE_MAX + 1, &a, &lines) == ERR_INVALID);
    arena_free(&a);
    ocr_close(t);
}

static void a_picture_is_read(void **state)
{
    (void)state;
    run_fiber(well);
}

static void badly(void *arg)
{
    static const struct {
        const char *script;
        enum err    want;
    } cases[] = {
        { "say(ready=True)\ntake()\n", ERR_IO },
        { "say(ready=True)\nwhile True: take(); say(box=[1, 2, 3, 4])\n", ERR_PROTOCOL },
        { "say(ready=True)\nwhile True: take(); say(text='x', box=[1, 2, -3, 4])\n", ERR_PROTOCOL },
        { "say(ready=True)\nwhile True: take(); say(text='x', box=[1, 2, 3])\n", ERR_PROTOCOL },
        { "say(ready=True)\nwhile True: take(); say(done=True, cpu_us=-1)\n", ERR_PROTOCOL },
        { "say(ready=True)\nwhile True: take(); [say(text='x', box=[1, 2, 3, 4]) for i in range(1000)]; say(done=True, cpu_us=0)\n",
          ERR_PROTOCOL },
        { "say(ready=True)\ntake()\nsys.stdin.read()\ns.recv(1)\n", ERR_TIMEOUT },
        { "say(ready=False)\n", ERR_IO },
    };

    (void)arg;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct ocr_options   o = { .read_ms = cases[i].want == ERR_TIMEOUT ? 100 : 0 };
        struct ocr          *t = open_script(cases[i].script, o);
        struct picture_lines lines;
        struct arena         a;

        arena_init(&a, 0);
        CHECK(look(t, sample, 2, 1, &a, &lines) == cases[i].want);
        arena_free(&a);
        ocr_close(t);
    }
}

static void an_engine_that_fails_costs_the_one_picture(void **state)
{
    (void)state;
    run_fiber(badly);
}

static bool has(const struct picture_lines *lines, str text)
{
    for (size_t i = 0; i < lines->count; i++) {
        if (str_find_str(lines->at[i].text, text) != STR_NONE)
            return true;
    }
    return false;
}

static void really(void *arg)
{
    struct ocr_options   o = { .program = getenv("OCR_ENGINE") };
    struct ocr          *t = NULL;
    struct picture_lines lines;
    struct arena         a;
    char                 command[512], path[160];

    (void)arg;
    snprintf(path, sizeof(path), "%s/picture.rgb", folder);
    snprintf(command, sizeof(command),
             "ffmpeg -v error -y -f lavfi -i color=white:s=640x300 -frames:v 1 -pix_fmt rgb24 -f rawvideo -vf "
             "\"drawtext=font=WenQuanYi Micro Hei:text='Spring sale':x=40:y=40:fontsize=36,"
             "drawtext=font=WenQuanYi Micro Hei:text='杭州风景':x=40:y=150:fontsize=36\" %s",
             path);
    CHECK(system(command) == 0);
    CHECK(ocr_open(loop, &o, &t) == OK);
    arena_init(&a, 0);
    CHECK(look(t, path, 640, 300, &a, &lines) == OK);
    CHECK(lines.count == 2 && has(&lines, S("Spring sale")) && has(&lines, S("风景")));
    CHECK(lines.at[0].x >= 38 && lines.at[0].x <= 48 && lines.at[0].y >= 35 && lines.at[0].y <= 55);
    CHECK(lines.at[0].height >= 20 && lines.at[0].height <= 45);
    CHECK(look(t, sample, 640, 300, &a, &lines) == ERR_IO); /* the file is shorter: no request, and its end */
    CHECK(look(t, path, 640, 300, &a, &lines) == OK && lines.count == 2);
    arena_free(&a);
    ocr_close(t);
}

static void the_engine_itself_reads_two_languages(void **state)
{
    (void)state;
    if (!getenv("OCR_ENGINE"))
        skip();
    run_fiber(really);
}

static int set_up(void **state)
{
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(program, sizeof(program), "%s/engine", folder);
    snprintf(sample, sizeof(sample), "%s/sample", folder);
    f = fopen(sample, "w");
    return !f || fputs("abcdef", f) < 0 || fclose(f);
}

static int clean_up(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_picture_is_read, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(an_engine_that_fails_costs_the_one_picture, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(the_engine_itself_reads_two_languages, loop_setup, loop_teardown)
    };

    return cmocka_run_group_tests(tests, set_up, clean_up);
}
