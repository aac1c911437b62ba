/* test_media.c - the pool of media engines. Its children are small scripts that behave well, badly, or not at all, and, when
 * it has been built, dashbox-media itself (MEDIA_ENGINE).
 */
#include "engine/media/media.c"

#include "base/num.h"

#include "../loop/run.h"

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

/* What every script begins with. answer(m) is an answer for request m. */
static const char script_head[] =
    "#!/usr/bin/env python3\n"
    "import json, os, socket, sys, time\n"
    "s = socket.socket(fileno=3)\n"
    "def ready(): s.send(b'{\"ready\":true,\"sandbox\":true,\"libavformat\":\"0\"}')\n"
    "def answer(m, **more): return json.dumps(dict(dict(kind='audio', format='wav', bytes=int(m.split()[1]), width=0, height=0,\n"
    "    frames=0, fps=0, duration_ms=os.getpid(), video_codec='', audio_codec='pcm', sample_rate=1, channels=1, brightness=None,\n"
    "    alpha=False, animated=False, truncated=False, error='', cpu_us=1), **more)).encode()\n"
    "def take():\n"
    "    m, control, flags, where = s.recvmsg(100, 100)\n"
    "    if not m: sys.exit(0)\n"
    "    return m\n";

static char folder[] = "/tmp/dashbox-media-XXXXXX";
static char program[128], sample[128];

static void write_file(const char *path, const char *head, const char *text)
{
    FILE *f = fopen(path, "w");

    CHECK(f);
    CHECK(fputs(head, f) >= 0 && fputs(text, f) >= 0 && fclose(f) == 0);
}

static struct media *open_script(const char *script, struct media_options o)
{
    struct media *m = NULL;

    write_file(program, script_head, script);
    CHECK(chmod(program, 0755) == 0);
    o.program = program;
    CHECK(media_open(loop, &o, &m) == OK);
    return m;
}

static enum err ask(struct media *m, struct media_facts *ret)
{
    struct arena a;
    int          fd = open(sample, O_RDONLY | O_CLOEXEC);
    enum err     e;

    CHECK(fd >= 0);
    arena_init(&a, 0);
    e = media_inspect(m, fd, &a, ret);
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    close(fd);
    arena_free(&a);
    return e;
}

static void well(void *arg)
{
    struct media      *m = open_script("ready()\nwhile True: s.send(answer(take()))\n", (struct media_options){ 0 });
    struct media_facts f = { 0 }, again;
    struct arena       a;
    int                pid = 0, ends[2], writer;

    (void)arg;
    CHECK(media_pids(m, &pid, 1) == 0);
    CHECK(ask(m, &f) == OK);
    CHECK(f.kind == MEDIA_AUDIO && f.bytes == 6 && f.brightness < 0);
    CHECK(ask(m, &again) == OK);
    CHECK(again.duration_ms == f.duration_ms); /* by the same child */
    CHECK(media_pids(m, &pid, 1) == 1 && pid == f.duration_ms);
    arena_init(&a, 0);
    CHECK(pipe(ends) == 0);
    CHECK(media_inspect(m, ends[0], &a, &f) == ERR_INVALID);
    writer = open(sample, O_WRONLY);
    CHECK(media_inspect(m, writer, &a, &f) == ERR_INVALID);
    close(writer);
    writer = open(sample, O_RDWR); /* the child gets one that it can only read */
    CHECK(media_inspect(m, writer, &a, &f) == OK);
    close(writer);
    close(ends[0]);
    close(ends[1]);
    arena_free(&a);
    media_close(m);
}

static void a_file_is_looked_at(void **state)
{
    (void)state;
    run_fiber(well);
}

/* The first child fails so, the next does well: the marker is there then. */
static void fails_once(const char *how, struct media_options o, enum err want)
{
    char               script[1024], marker[160];
    struct media      *m;
    struct media_facts f;

    snprintf(marker, sizeof(marker), "%s/marker", folder);
    (void)unlink(marker);
    snprintf(script, sizeof(script),
             "first = not os.path.exists('%s')\n"
             "open('%s', 'w').close()\n"
             "ready()\n"
             "while True:\n"
             "    m = take()\n"
             "    if first:\n"
             "        %s\n"
             "    s.send(answer(m))\n",
             marker, marker, how);
    m = open_script(script, o);
    CHECK(ask(m, &f) == want);
    CHECK(ask(m, &f) == OK);
    media_close(m);
}

static void badly(void *arg)
{
    (void)arg;
    fails_once("os.kill(os.getpid(), 11)", (struct media_options){ 0 }, ERR_IO);
    fails_once("sys.exit(0)", (struct media_options){ 0 }, ERR_IO);
    fails_once("time.sleep(60)", (struct media_options){ .inspect_ms = 100 }, ERR_TIMEOUT);
    fails_once("s.send(b'{}'); continue", (struct media_options){ 0 }, ERR_PROTOCOL);
    fails_once("s.send(b'x' * 9000); continue", (struct media_options){ 0 }, ERR_PROTOCOL);
    fails_once("s.send(answer(m, bytes=5)); continue", (struct media_options){ 0 }, ERR_PROTOCOL);
}

static void a_failure_is_of_one_call(void **state)
{
    (void)state;
    run_fiber(badly);
}

static void between(void *arg)
{
    struct media *m =
        open_script("ready()\nwhile True: s.send(answer(take()))\n", (struct media_options){ .process_max = 1 });
    struct media_facts f, again;

    (void)arg;
    CHECK(ask(m, &f) == OK);
    CHECK(kill((int)f.duration_ms, SIGKILL) == 0);
    while (media_pids(m, &(int){ 0 }, 1))
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(ask(m, &again) == OK);
    CHECK(again.duration_ms != f.duration_ms);
    media_close(m);
}

static void one_that_died_between_two_calls_costs_none(void **state)
{
    (void)state;
    run_fiber(between);
}

static void retires(void *arg)
{
    struct media      *m = open_script("ready()\nwhile True: s.send(answer(take(), cpu_us=600))\n",
                                       (struct media_options){ .process_max = 1, .retire_cpu_ms = 1 });
    struct media_facts f[3];

    (void)arg;
    for (int i = 0; i < 3; i++)
        CHECK(ask(m, &f[i]) == OK);
    CHECK(f[0].duration_ms == f[1].duration_ms);
    CHECK(f[2].duration_ms != f[1].duration_ms);
    media_close(m);
}

static void one_that_has_worked_long_is_replaced(void **state)
{
    (void)state;
    run_fiber(retires);
}

static void never_ready(void *arg)
{
    struct media      *m = open_script("sys.exit(1)\n", (struct media_options){ .backoff_ms = 60000 });
    struct media_facts f;
    int64_t            begun_us;

    (void)arg;
    CHECK(ask(m, &f) == ERR_IO);
    CHECK(unlink(program) == 0); /* nothing is started meanwhile */
    begun_us = loop_now_us(loop);
    for (int i = 0; i < 1000; i++)
        CHECK(ask(m, &f) == ERR_IO);
    CHECK(loop_now_us(loop) - begun_us < 10 * 1000000);
    media_close(m);
    m = open_script("time.sleep(60)\n", (struct media_options){ .start_ms = 50, .backoff_ms = 1 });
    CHECK(ask(m, &f) == ERR_IO);
    media_close(m);
}

static void one_that_cannot_start_is_left_in_peace(void **state)
{
    struct media *m;

    (void)state;
    run_fiber(never_ready);
    assert_int_equal(media_open(loop, &(struct media_options){ .program = "/nowhere/dashbox-media" }, &m),
                     ERR_NOT_FOUND);
}

/* ---- many at once ---- */

static struct media *crowd_media;
static size_t        crowd_done, crowd_refused, crowd_cancelled, crowd_order[64];

static void in_crowd(void *arg)
{
    struct media_facts f;
    enum err           e = ask(crowd_media, &f);

    crowd_refused += e == ERR_LIMIT;
    crowd_cancelled += e == ERR_CANCELLED;
    CHECK(e == OK || e == ERR_LIMIT || e == ERR_CANCELLED);
    if (!e)
        crowd_order[crowd_done++] = (size_t)(uintptr_t)arg;
}

static void crowd(void *arg)
{
    struct fiber *fibers[40];
    int           pid;

    (void)arg;
    crowd_media = open_script("ready()\nwhile True:\n    m = take()\n    time.sleep(0.005)\n    s.send(answer(m))\n",
                              (struct media_options){ .process_max = 1, .queue_max = 30 });
    for (size_t i = 0; i < 40; i++)
        fibers[i] = spawn(in_crowd, (void *)(uintptr_t)i);
    yield();
    CHECK(crowd_refused == 40 - 1 - 30);
    fiber_cancel(fibers[5]);
    fiber_cancel(fibers[6]);
    yield();
    CHECK(crowd_cancelled == 2);
    while (crowd_done < 29)
        CHECK(fiber_sleep_until(after_ms(5)) == OK);
    CHECK(media_pids(crowd_media, &pid, 1) == 1);
    for (size_t i = 0; i + 1 < crowd_done; i++)
        CHECK(crowd_order[i] < crowd_order[i + 1]);
    yield();
    media_close(crowd_media);
}

static void those_who_wait_come_in_order(void **state)
{
    (void)state;
    run_fiber(crowd);
}

static void at_once(void *arg)
{
    int    pids[8];
    size_t most = 0;

    (void)arg;
    crowd_done = crowd_refused = 0;
    crowd_media = open_script("ready()\nwhile True:\n    m = take()\n    time.sleep(0.1)\n    s.send(answer(m))\n",
                              (struct media_options){ .process_max = 3 });
    for (size_t i = 0; i < 8; i++)
        spawn(in_crowd, (void *)(uintptr_t)i);
    while (crowd_done < 8) {
        CHECK(fiber_sleep_until(after_ms(5)) == OK);
        most = max_size(most, media_pids(crowd_media, pids, 8));
    }
    CHECK(most == 3);
    yield();
    media_close(crowd_media);
}

static void as_many_as_there_may_be_work_at_once(void **state)
{
    (void)state;
    run_fiber(at_once);
}

/* ---- dashbox-media itself ---- */

static const char *real; /* NULL: it has not been built */

/* A WAV of one second whose data is silence. */
static void write_wav(const char *path)
{
    static const unsigned char head[44] = { 'R', 'I', 'F',  'F',  0xa4, 0x3e, 0,    0,    'W',  'A', 'V',
                                            'E', 'f', 'm',  't',  ' ',  16,   0,    0,    0,    1,   0,
                                            1,   0,   0x40, 0x1f, 0,    0,    0x80, 0x3e, 0,    0,   2,
                                            0,   16,  0,    'd',  'a',  't',  'a',  0x80, 0x3e, 0,   0 };
    static const char          silence[16000];
    FILE                      *f = fopen(path, "w");

    CHECK(f);
    CHECK(fwrite(head, 1, sizeof(head), f) == sizeof(head) &&
          fwrite(silence, 1, sizeof(silence), f) == sizeof(silence));
    CHECK(fclose(f) == 0);
}

static str proc_text(int pid, const char *name, char *into, size_t cap)
{
    char    path[64];
    int     fd;
    ssize_t n;

    snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
    fd = open(path, O_RDONLY);
    CHECK(fd >= 0);
    n = read(fd, into, cap);
    close(fd);
    CHECK(n >= 0);
    return str_of(into, (size_t)n);
}

static void locked_in(void *arg)
{
    struct media      *m;
    struct media_facts f = { 0 };
    struct arena       a;
    char               path[160], text[8192];
    int                pid = 0, fd;

    (void)arg;
    CHECK(setenv("DASHBOX_SECRET", "of the server", 1) == 0);
    CHECK(media_open(loop, &(struct media_options){ .program = real }, &m) == OK);
    snprintf(path, sizeof(path), "%s/silence.wav", folder);
    write_wav(path);
    fd = open(path, O_RDONLY);
    arena_init(&a, 0);
    CHECK(media_inspect(m, fd, &a, &f) == OK);
    close(fd);
    CHECK(f.kind == MEDIA_AUDIO && f.duration_ms == 1000 && f.sample_rate == 8000 && f.channels == 1);
    CHECK_STR(f.format, "wav");
    CHECK_STR(f.audio_codec, "pcm_s16le");
    CHECK_STR(f.error, "");
    CHECK(f.cpu_us > 0);
    CHECK(media_pids(m, &pid, 1) == 1);
    CHECK(str_find_str(proc_text(pid, "status", text, sizeof(text)), S("\nNoNewPrivs:\t1\n")) != STR_NONE);
    CHECK(str_find_str(proc_text(pid, "status", text, sizeof(text)), S("\nSeccomp:\t2\n")) != STR_NONE);
    CHECK(str_find_str(proc_text(pid, "limits", text, sizeof(text)), S("Max open files            14 ")) != STR_NONE);
    CHECK(str_find_str(proc_text(pid, "limits", text, sizeof(text)), S("Max file size             536870912 ")) !=
          STR_NONE);
    if (geteuid() == 0) /* nobody else may look there, not even its own user */
        CHECK(str_find_str(proc_text(pid, "environ", text, sizeof(text)), S("SECRET")) == STR_NONE);
    arena_free(&a);
    media_close(m);
    CHECK(unsetenv("DASHBOX_SECRET") == 0);
}

/* A PPM is none of the formats that are read; a BMP of 3 × 2 pixels, bottom row first, blue before red. */
static const unsigned char bmp[54 + 24] = { 'B', 'M', 78, 0, 0, 0, 0, 0, 0,  0,  54, 0,  0,  0,        40, 0,  0,
                                            0,   3,   0,  0, 0, 2, 0, 0, 0,  1,  0,  24, 0,  [54] = 1, 2,  3,  4,
                                            5,   6,   7,  8, 9, 0, 0, 0, 11, 12, 13, 14, 15, 16,       17, 18, 19 };

static void rendered(void *arg)
{
    static const unsigned char want[18] = { 13, 12, 11, 16, 15, 14, 19, 18, 17, 3, 2, 1, 6, 5, 4, 9, 8, 7 };
    struct media              *m;
    struct media_facts         f;
    struct arena               a;
    unsigned char              got[32];
    char                       path[160];
    int                        in[2], out, clip, pid[2] = { 0 };

    (void)arg;
    CHECK(media_open(loop, &(struct media_options){ .program = real, .process_max = 1 }, &m) == OK);
    arena_init(&a, 0);
    snprintf(path, sizeof(path), "%s/picture.bmp", folder);
    in[0] = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    CHECK(write(in[0], bmp, sizeof(bmp)) == sizeof(bmp));
    out = memfd_create("out", MFD_CLOEXEC);
    CHECK(media_render(m, S("{\"op\":\"pixels\",\"side\":64}"), in, 1, out, &a, &f) == OK);
    CHECK(f.kind == MEDIA_IMAGE && f.width == 3 && f.height == 2 && f.bytes == 18 && f.brightness > 0);
    CHECK_STR(f.format, "rgb");
    CHECK(pread(out, got, sizeof(got), 0) == 18 && memcmp(got, want, 18) == 0);
    CHECK(media_pids(m, &pid[0], 1) == 1);
    snprintf(path, sizeof(path), "%s/silence.wav", folder);
    write_wav(path);
    in[1] = open(path, O_RDONLY);
    CHECK(ftruncate(out, 0) == 0 && lseek(out, 0, SEEK_SET) == 0);
    CHECK(media_render(m, S("{\"op\":\"video_still\",\"width\":64,\"height\":48,\"fps\":10}"), in, 2, out, &a, &f) ==
          OK);
    CHECK(f.kind == MEDIA_VIDEO && f.width == 64 && f.height == 48 && f.duration_ms == 1000 && f.frames == 10 &&
          f.fps == 10);
    CHECK_STR(f.video_codec, "h264");
    CHECK_STR(f.audio_codec, "aac");
    clip = dup(out);
    close(out);
    out = memfd_create("out", MFD_CLOEXEC);
    CHECK(media_render(m, S("{\"op\":\"video_from\",\"width\":32,\"height\":32,\"fps\":20,\"duration_ms\":1500}"),
                       &clip, 1, out, &a, &f) == OK);
    CHECK(f.width == 32 && f.duration_ms == 1500 && f.frames == 30 && f.fps == 20 && !f.audio_codec.len);
    CHECK(media_render(m, S("{\"op\":\"video_from\",\"width\":32,\"height\":32,\"fps\":20,\"duration_ms\":1500}"),
                       &in[1], 1, out, &a, &f) == ERR_INVALID);
    close(clip);
    close(in[1]);
    CHECK(media_render(m, S("{\"op\":\"dance\"}"), in, 1, out, &a, &f) == ERR_INVALID);
    CHECK(media_render(m, S("{\"op\":\"pixels\",\"side\":0}"), in, 1, out, &a, &f) == ERR_INVALID);
    CHECK(media_render(m, S("nonsense"), in, 0, out, &a, &f) == ERR_INVALID);
    CHECK(media_inspect(m, in[0], &a, &f) == OK && f.width == 3);
    CHECK(media_pids(m, &pid[1], 1) == 1 && pid[0] == pid[1]); /* which all this is no harm to */
    close(in[0]);
    close(out);
    arena_free(&a);
    media_close(m);
}

static void a_file_is_made(void **state)
{
    (void)state;
    if (!real)
        skip();
    run_fiber(rendered);
}

static void the_engine_is_locked_in(void **state)
{
    (void)state;
    if (!real)
        skip();
    run_fiber(locked_in);
}

static void killer(void *arg)
{
    struct media *m = arg;
    int           pid = 0;

    while (!media_pids(m, &pid, 1))
        CHECK(fiber_sleep_until(after_ms(1)) == OK);
    CHECK(kill(pid, SIGKILL) == 0);
}

static void killed(void *arg)
{
    struct media      *m;
    struct media_facts f;
    struct arena       a;
    char               path[160];
    int                fd;

    (void)arg;
    CHECK(media_open(loop, &(struct media_options){ .program = real, .process_max = 1, .backoff_ms = 1 }, &m) == OK);
    snprintf(path, sizeof(path), "%s/silence.wav", folder);
    write_wav(path);
    arena_init(&a, 0);
    fd = open(path, O_RDONLY);
    for (int i = 0; i < 20; i++) {
        spawn(killer, m);
        CHECK(media_inspect(m, fd, &a, &f) == ERR_IO || f.duration_ms == 1000); /* killed before or after its answer */
        CHECK(fiber_sleep_until(after_ms(3)) == OK);
        while (media_inspect(m, fd, &a, &f) == ERR_IO)
            CHECK(fiber_sleep_until(after_ms(3)) == OK);
        CHECK(f.duration_ms == 1000);
    }
    close(fd);
    arena_free(&a);
    media_close(m);
}

static void kill_9_is_the_matter_of_one_call(void **state)
{
    (void)state;
    if (!real)
        skip();
    run_fiber(killed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        loop_test(a_file_is_looked_at),
        loop_test(a_failure_is_of_one_call),
        loop_test(one_that_died_between_two_calls_costs_none),
        loop_test(one_that_has_worked_long_is_replaced),
        loop_test(one_that_cannot_start_is_left_in_peace),
        loop_test(those_who_wait_come_in_order),
        loop_test(as_many_as_there_may_be_work_at_once),
        loop_test(the_engine_is_locked_in),
        loop_test(a_file_is_made),
        loop_test(kill_9_is_the_matter_of_one_call),
    };
    char command[64];
    int  failed;

    hang_guard();
    real = getenv("MEDIA_ENGINE");
    if (!mkdtemp(folder))
        return 1;
    /* The scripts' environment is bare: /usr/bin/env looks for python3 in its default places. */
    snprintf(program, sizeof(program), "%s/engine", folder);
    snprintf(sample, sizeof(sample), "%s/sample", folder);
    write_file(sample, "sample", "");
    failed = cmocka_run_group_tests_name("media", tests, NULL, NULL);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    if (system(command))
        return 1;
    return failed;
}
