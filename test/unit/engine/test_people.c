/* test_people.c - the people engine; test_media.c has more about pools. Its children are small scripts that behave well, badly, or not at all, and
 * dashbox-people itself (PEOPLE_ENGINE) with the photographs of npm's @vladmandic/face-api, decoded by ffmpeg.
 */
#include "engine/people/people.c"

#include "../loop/run.h"

#include <math.h>
#include <signal.h>

/* What every script begins with. A request is answered with one body, whose nose tells the process and the first pixel. */
static const char script_head[] =
    "#!/usr/bin/env python3\n"
    "import json, os, socket, sys, time\n"
    "s = socket.socket(fileno=3)\n"
    "message, fds, flags, where = socket.recv_fds(s, 100, 1)\n"
    "pixels = fds[0]\n"
    "def ready(**more): s.send(json.dumps(dict(dict(ready=True, human='0', lacks=''), **more)).encode())\n"
    "def body(x, y): return json.dumps(dict(body=dict(box=[0, 0, 1, 1], score=1, sharpness=0, joints=[[x, y, 1]] * 17))).encode()\n"
    "def done(cpu_us=1): s.send(json.dumps(dict(done=True, cpu_us=cpu_us)).encode())\n"
    "def answer(cpu_us=1): s.send(body(os.getpid(), os.pread(pixels, 1, 0)[0])); done(cpu_us)\n"
    "def take():\n"
    "    m = s.recv(100)\n"
    "    if not m: sys.exit(0)\n"
    "    return m\n";

static char folder[] = "/tmp/dashbox-people-XXXXXX";
static char program[128], sample[128];

static void write_file(const char *path, const char *head, const char *text)
{
    FILE *f = fopen(path, "w");

    CHECK(f);
    CHECK(fputs(head, f) >= 0 && fputs(text, f) >= 0 && fclose(f) == 0);
}

static struct people *open_script(const char *script, struct people_options o)
{
    struct people *p = NULL;

    write_file(program, script_head, script);
    CHECK(chmod(program, 0755) == 0);
    o.program = program;
    CHECK(people_open(loop, &o, &p) == OK);
    return p;
}

/* A picture of 2 × 2 pixels: `*ret_pid` is the child's. */
static enum err ask(struct people *p, double *ret_pid)
{
    struct people_facts f;
    struct arena        a;
    int                 fd = open(sample, O_RDONLY | O_CLOEXEC);
    enum err            e;

    CHECK(fd >= 0);
    arena_init(&a, 0);
    e = people_detect(p, fd, 2, 2, &a, &f);
    CHECK(e || (f.body_count == 1 && f.bodies[0].joints[0].y == 'p'));
    *ret_pid = e ? 0 : f.bodies[0].joints[0].x;
    close(fd);
    arena_free(&a);
    return e;
}

static void well(void *arg)
{
    struct people      *p = open_script("ready()\nwhile take(): answer()\n", (struct people_options){ 0 });
    struct people_facts f;
    struct arena        a;
    double              first, again;
    int                 pid, fd = open(sample, O_RDONLY);

    (void)arg;
    CHECK(people_pids(p, &pid, 1) == 0);
    CHECK(ask(p, &first) == OK && ask(p, &again) == OK && first == again);
    CHECK(people_pids(p, &pid, 1) == 1 && pid == first);
    arena_init(&a, 0);
    CHECK(people_detect(p, fd, 3, 2, &a, &f) == ERR_INVALID); /* the file is shorter */
    CHECK(people_detect(p, fd, 0, 2, &a, &f) == ERR_INVALID);
    CHECK(people_detect(p, fd, INT64_MAX, 2, &a, &f) == ERR_INVALID);
    CHECK(people_detect(p, -1, 2, 2, &a, &f) == ERR_INVALID);
    close(fd);
    arena_free(&a);
    people_close(p);
}

static void a_picture_is_looked_at(void **state)
{
    (void)state;
    run_fiber(well);
}

/* The first child fails so, the next does well: the marker is there then. */
static void fails_once(const char *how, struct people_options o, enum err want)
{
    char           script[1024], marker[160];
    struct people *p;
    double         pid;

    snprintf(marker, sizeof(marker), "%s/marker", folder);
    (void)unlink(marker);
    snprintf(script, sizeof(script),
             "first = not os.path.exists('%s')\n"
             "open('%s', 'w').close()\n"
             "ready()\n"
             "while take():\n"
             "    if first:\n"
             "        %s\n"
             "    answer()\n",
             marker, marker, how);
    p = open_script(script, o);
    CHECK(ask(p, &pid) == want);
    CHECK(ask(p, &pid) == OK);
    people_close(p);
}

static void badly(void *arg)
{
    (void)arg;
    fails_once("os.kill(os.getpid(), 11)", (struct people_options){ 0 }, ERR_IO);
    fails_once("s.send(body(1, 1)); sys.exit(0)", (struct people_options){ 0 }, ERR_IO);
    fails_once("time.sleep(60)", (struct people_options){ .detect_ms = 100 }, ERR_TIMEOUT);
    fails_once("s.send(b'{}'); continue", (struct people_options){ 0 }, ERR_PROTOCOL);
    fails_once("s.send(b'{\"error\":\"no\"}'); continue", (struct people_options){ 0 }, ERR_PROTOCOL);
    fails_once("s.send(b'x' * 9000); continue", (struct people_options){ 0 }, ERR_PROTOCOL);
    fails_once("os.ftruncate(pixels, 0)", (struct people_options){ 0 }, ERR_IO); /* which it cannot: an exception */
}

static void a_failure_is_of_one_call(void **state)
{
    (void)state;
    run_fiber(badly);
}

static void replaced(void *arg)
{
    struct people *p = open_script("ready()\nwhile take(): answer(200 * 1000 * 1000)\n", (struct people_options){ 0 });
    double         pids[3];
    int            pid;

    (void)arg;
    for (int i = 0; i < 3; i++)
        CHECK(ask(p, &pids[i]) == OK);
    CHECK(pids[0] == pids[1] && pids[1] != pids[2]); /* it had worked for 400 s */
    CHECK(kill((int)pids[2], SIGKILL) == 0);
    while (people_pids(p, &pid, 1))
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(ask(p, &pids[0]) == OK);
    people_close(p);
    p = open_script("ready()\nwhile take(): answer()\n", (struct people_options){ .idle_ms = 30 });
    CHECK(ask(p, &pids[0]) == OK);
    CHECK(people_pids(p, &pid, 1) == 1);
    while (people_pids(p, &pid, 1))
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(ask(p, &pids[1]) == OK && pids[0] != pids[1]);
    people_close(p);
}

static void one_that_has_worked_long_or_not_at_all_is_ended(void **state)
{
    (void)state;
    run_fiber(replaced);
}

static void never_ready(void *arg)
{
    struct people *p = open_script("ready(ready=False, error='Cannot find package')\n",
                                   (struct people_options){ .backoff_ms = 60000 });
    double         pid;

    (void)arg;
    CHECK(ask(p, &pid) == ERR_IO);
    CHECK(unlink(program) == 0); /* nothing is started meanwhile */
    CHECK(ask(p, &pid) == ERR_IO);
    people_close(p);
    p = open_script("time.sleep(60)\n", (struct people_options){ .start_ms = 50, .backoff_ms = 1 });
    CHECK(ask(p, &pid) == ERR_IO);
    people_close(p);
}

static void one_that_cannot_start_is_left_in_peace(void **state)
{
    struct people *p;

    (void)state;
    run_fiber(never_ready);
    assert_int_equal(people_open(loop, &(struct people_options){ .program = "/nowhere/dashbox-people" }, &p),
                     ERR_NOT_FOUND);
}

/* ---- dashbox-people itself ---- */

static const char *real;
static char        photographs[256]; /* "": the npm packages are not installed */

/* A script in place of the engine's own: cpu_us tells by bits what it could do. */
static const char prying[] =
    "import { readSync, writeSync, writeFileSync, readFileSync, mkdirSync, unlinkSync } from 'node:fs';\n"
    "import { spawnSync } from 'node:child_process';\n"
    "import { createServer, connect } from 'node:net';\n"
    "const can = async act => { try { return await act(); } catch { return false; } };\n"
    "const heard = (what, event) => new Promise(done => { what.on(event, () => done(true)); what.on('error', () => done(false)); });\n"
    "const tries = [\n"
    "  () => { writeFileSync(new URL('pried', import.meta.url), ''); return true; },\n"
    "  () => { mkdirSync(new URL('pried', import.meta.url)); return true; },\n"
    "  () => { unlinkSync(new URL('main.mjs', import.meta.url)); return true; },\n"
    "  () => readFileSync('/etc/passwd').length > 0,\n"
    "  () => readFileSync(`/proc/${process.ppid}/status`).length > 0,\n"
    "  () => spawnSync('/bin/true').status === 0,\n"
    "  () => process.kill(process.ppid, 0),\n"
    "  () => heard(createServer().listen(0, '127.0.0.1'), 'listening'),\n"
    "  () => heard(connect(9, '127.0.0.1'), 'connect'),\n"
    "  () => writeSync(4, 'x') > 0,\n"
    "  () => Object.keys(process.env).some(name => name !== 'LACKS'),\n"
    "];\n"
    "let could = 0;\n"
    "for (let i = 0; i < tries.length; i++) if (await can(tries[i])) could |= 1 << i;\n"
    "writeSync(3, JSON.stringify({ ready: process.env.LACKS === '', error: process.env.LACKS }));\n"
    "const at = Buffer.alloc(100);\n"
    "while (readSync(3, at)) writeSync(3, JSON.stringify({ done: true, cpu_us: could }));\n";

static void pries(void *arg)
{
    struct people      *p;
    struct people_facts f;
    struct arena        a;
    char                command[512], path[160];
    int                 fd = open(sample, O_RDONLY);

    (void)arg;
    snprintf(command, sizeof(command), "mkdir %s/people && cp %s %s/dashbox-people", folder, real, folder);
    CHECK(system(command) == 0);
    snprintf(path, sizeof(path), "%s/people/main.mjs", folder);
    write_file(path, prying, "");
    snprintf(path, sizeof(path), "%s/dashbox-people", folder);
    CHECK(people_open(loop, &(struct people_options){ .program = path }, &p) == OK);
    arena_init(&a, 0);
    CHECK(people_detect(p, fd, 2, 2, &a, &f) == OK);
    if (f.cpu_us)
        fprintf(stderr, "in the sandbox these could be done: %#llx\n", (unsigned long long)f.cpu_us);
    CHECK(f.cpu_us == 0);
    arena_free(&a);
    close(fd);
    people_close(p);
}

static void the_engine_is_locked_in(void **state)
{
    (void)state;
    run_fiber(pries);
}

/* What is seen in a photograph, of which FFmpeg's filters make the picture. */
static void look(struct people *p, int number, const char *filters, struct arena *a, struct people_facts *ret)
{
    char        command[1024], path[160];
    struct stat st;
    int         fd;

    snprintf(path, sizeof(path), "%s/pixels", folder);
    snprintf(command, sizeof(command),
             "ffmpeg -v error -y -i %s/sample%d.jpg -vf %s,scale=960:720 -f rawvideo -pix_fmt rgb24 %s", photographs,
             number, filters, path);
    CHECK(system(command) == 0);
    fd = open(path, O_RDONLY);
    CHECK(fd >= 0 && fstat(fd, &st) == 0 && st.st_size == 3 * 960 * 720);
    CHECK(people_detect(p, fd, 960, 720, a, ret) == OK);
    close(fd);
}

static void sees(void *arg)
{
    struct people      *p;
    struct people_facts women, again, mirrored, nobody;
    struct arena        a;

    (void)arg;
    CHECK(people_open(loop, &(struct people_options){ .program = real }, &p) == OK);
    arena_init(&a, 0);
    look(p, 6, "null", &a, &women);
    CHECK(women.face_count == 4 && women.body_count == 4 && women.cpu_us > 0);
    look(p, 6, "null", &a, &again);
    look(p, 6, "hflip", &a, &mirrored);
    CHECK(again.face_count == 4 && mirrored.face_count == 4);
    for (size_t i = 0; i < 4; i++) {
        const struct people_face *f = &women.faces[i];
        size_t                    alike = 0;

        CHECK(f->score > 0.8 && f->inside == 1 && fabs(f->yaw) < 25);
        CHECK(people_distance(&again.faces[i], f) == 0 && again.faces[i].box.x == f->box.x);
        for (size_t j = 0; j < 4; j++) {
            CHECK(i == j || people_distance(&women.faces[j], f) > 0.8); /* another woman */
            alike += people_distance(&mirrored.faces[j], f) < 0.6;
        }
        CHECK(alike == 1); /* she, seen in a mirror */
    }
    look(p, 6, "lutrgb=r=0:g=0:b=0", &a, &nobody);
    CHECK(nobody.face_count == 0 && nobody.body_count == 0);
    arena_free(&a);
    people_close(p);
}

static void it_sees_who_is_there(void **state)
{
    (void)state;
    if (!photographs[0])
        skip();
    run_fiber(sees);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(a_picture_is_looked_at),
        loop_test(a_failure_is_of_one_call),
        loop_test(one_that_has_worked_long_or_not_at_all_is_ended),
        loop_test(one_that_cannot_start_is_left_in_peace),
        loop_test(the_engine_is_locked_in),
        loop_test(it_sees_who_is_there),
    };
    char command[64];
    int  failed;

    alarm(120); /* Node.js and its models take their time on a machine that does much else */
    real = getenv("PEOPLE_ENGINE");
    if (!real || !mkdtemp(folder))
        return 1;
    snprintf(photographs, sizeof(photographs), "%s/engines/people/node_modules/@vladmandic/face-api/demo",
             getenv("DASHBOX_SOURCE"));
    if (access(photographs, R_OK))
        photographs[0] = 0;
    /* The scripts' environment is bare: /usr/bin/env looks for python3 in its default places. */
    snprintf(program, sizeof(program), "%s/engine", folder);
    snprintf(sample, sizeof(sample), "%s/sample", folder);
    write_file(sample, "pixels of 12", "");
    failed = cmocka_run_group_tests_name("people", tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    if (system(command))
        return 1;
    return failed;
}
