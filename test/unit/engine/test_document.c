/* test_document.c - the engine that reads documents; test_media.c and test_people.c have more about pools. Its children are small scripts
 * that behave well or badly, and dashbox-document itself (DOCUMENT_ENGINE) with what documents.py writes, harm included.
 */
#include "engine/document/document.c"

#include "../loop/run.h"
#include "base/utf8.h"

#include <signal.h>
#include <sys/mman.h>

static const char script_head[] =
    "#!/usr/bin/env python3\n"
    "import json, os, socket, sys, time\n"
    "s = socket.socket(fileno=3)\n"
    "def say(**what): s.send(json.dumps(what).encode())\n"
    "def ready(): say(ready=True, sandbox=True)\n"
    "def take():\n"
    "    out, fds, flags, where = socket.recv_fds(s, 100, 1)\n"
    "    if not out: sys.exit(0)\n"
    "    m, files, flags, where = socket.recv_fds(s, 100, 1)\n"
    "    return m.decode(), fds[0], files[0]\n"
    "def answer(n, **more): say(**dict(dict(verdict='ok', format='text', pages=0, text_bytes=n, error='', cpu_us=5), **more))\n"
    "def write(out, *fds, text):\n"
    "    n = os.write(out, text.encode())\n"
    "    for fd in (out, *fds): os.close(fd)\n"
    "    return n\n";

static char folder[] = "/tmp/dashbox-document-XXXXXX";
static char program[128], sample[128];

static struct documents *open_script(const char *script, struct document_options o)
{
    struct documents *d = NULL;
    FILE             *f = fopen(program, "w");

    CHECK(f && fputs(script_head, f) >= 0 && fputs(script, f) >= 0 && fclose(f) == 0);
    CHECK(chmod(program, 0755) == 0);
    o.program = program;
    CHECK(document_open(loop, &o, &d) == OK);
    return d;
}

static enum err read_file(struct documents *d, const char *path, const char *name, struct arena *a,
                          struct document_facts *ret, str *ret_text)
{
    int         fd = open(path, O_RDONLY | O_CLOEXEC), text_fd = memfd_create("text", MFD_CLOEXEC);
    char       *text;
    struct stat st;
    enum err    e;

    CHECK(fd >= 0 && text_fd >= 0);
    e = document_read(d, fd, str_from_cstr(name), text_fd, a, ret);
    CHECK(lseek(fd, 0, SEEK_CUR) == 0);
    CHECK(fstat(text_fd, &st) == 0);
    text = arena_bytes(a, (size_t)st.st_size + 1);
    CHECK(pread(text_fd, text, (size_t)st.st_size, 0) == st.st_size);
    *ret_text = str_of(text, (size_t)st.st_size);
    close(fd);
    close(text_fd);
    return e;
}

/* ---- children that are scripts ---- */

static void well(void *arg)
{
    struct documents *d = open_script(
        "ready()\nwhile True:\n    m, out, fd = take()\n    answer(write(out, fd, text=m + ' ' + os.pread(fd, 3, 0).decode()))\n",
        (struct document_options){ .text_max = 1000, .page_max = 7 });
    static const struct {
        const char *name, *request;
    } names[] = { { "a.md", "read 6 1000 7 md abc" },
                  { "B.TXT", "read 6 1000 7 txt abc" },
                  { "archive.tar.gz", "read 6 1000 7 gz abc" },
                  { "md", "read 6 1000 7 - abc" },
                  { "", "read 6 1000 7 - abc" },
                  { "a.", "read 6 1000 7 - abc" },
                  { "a.m d", "read 6 1000 7 - abc" },
                  { "a.文", "read 6 1000 7 - abc" },
                  { "a.123456789", "read 6 1000 7 - abc" },
                  { "a.b/../c", "read 6 1000 7 - abc" } };
    struct document_facts f;
    struct arena          a;
    str                   text;
    int                   ends[2], pid = 0, fd, out;

    (void)arg;
    arena_init(&a, 0);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        CHECK(read_file(d, sample, names[i].name, &a, &f, &text) == OK && f.verdict == DOCUMENT_OK);
        CHECK_STR(text, names[i].request);
    }
    CHECK(document_pids(d, &pid, 1) == 1 && pid > 0);
    CHECK(pipe(ends) == 0);
    fd = open(sample, O_RDWR | O_CLOEXEC);
    out = memfd_create("text", MFD_CLOEXEC);
    CHECK(document_read(d, ends[0], S("a"), out, &a, &f) == ERR_INVALID);
    CHECK(document_read(d, fd, S("a"), ends[1], &a, &f) == ERR_INVALID);
    CHECK(document_read(d, fd, S("a"), fd, &a, &f) == ERR_INVALID); /* it is not empty */
    CHECK(document_read(d, fd, S("a"), out, &a, &f) == OK);
    close(ends[0]);
    close(ends[1]);
    close(fd);
    close(out);
    arena_free(&a);
    document_close(d);
}

TEST(a_document_goes_to_a_child_and_its_text_comes_back)
{
    run_fiber(well);
}

/* The first child fails so, the next does well: the marker is there then. */
static void fails_once(const char *how, struct document_options o, enum err want)
{
    char                  script[1024], marker[160];
    struct documents     *d;
    struct document_facts f;
    struct arena          a;
    str                   text;

    snprintf(marker, sizeof(marker), "%s/marker", folder);
    (void)unlink(marker);
    snprintf(script, sizeof(script),
             "first = not os.path.exists('%s')\n"
             "open('%s', 'w').close()\n"
             "ready()\n"
             "while True:\n"
             "    m, out, fd = take()\n"
             "    if first:\n"
             "        %s\n"
             "    answer(write(out, fd, text='well'))\n",
             marker, marker, how);
    d = open_script(script, o);
    arena_init(&a, 0);
    CHECK(read_file(d, sample, "a.txt", &a, &f, &text) == want);
    CHECK(read_file(d, sample, "a.txt", &a, &f, &text) == OK);
    CHECK_STR(text, "well");
    arena_free(&a);
    document_close(d);
}

/* None that becomes ready. */
static void never_starts(void)
{
    struct documents     *d = open_script("sys.exit(0)", (struct document_options){ .backoff_ms = 100000 });
    struct document_facts f;
    struct arena          a;
    str                   text;

    arena_init(&a, 0);
    CHECK(read_file(d, sample, "a.txt", &a, &f, &text) == ERR_UNREACHABLE);
    CHECK(read_file(d, sample, "a.txt", &a, &f, &text) == ERR_UNREACHABLE); /* and not tried again yet */
    arena_free(&a);
    document_close(d);
}

static void badly(void *arg)
{
    static const struct document_options o = { 0 };

    (void)arg;
    never_starts();
    fails_once("os.kill(os.getpid(), 11)", o, ERR_IO);
    fails_once("sys.exit(0)", o, ERR_IO);
    fails_once("time.sleep(60)", (struct document_options){ .read_ms = 100 }, ERR_TIMEOUT);
    fails_once("s.send(b'{}'); continue", o, ERR_PROTOCOL);
    fails_once("s.send(b'x' * 9000); continue", o, ERR_PROTOCOL);
    fails_once("answer(4); continue", o, ERR_PROTOCOL); /* there is no text */
    fails_once("answer(0); continue", o, ERR_PROTOCOL);
    fails_once("answer(write(out, text='12345')); continue", (struct document_options){ .text_max = 4 }, ERR_PROTOCOL);
    fails_once("answer(0, verdict='good'); continue", o, ERR_PROTOCOL);
    fails_once("answer(4, verdict='blank'); continue", o, ERR_PROTOCOL);
    fails_once("answer(-1); continue", o, ERR_PROTOCOL);
    fails_once("answer(write(out, text='1'), pages=-1); continue", o, ERR_PROTOCOL);
    fails_once("answer(write(out, text='1'), error='x' * 600); continue", o, ERR_PROTOCOL);
    fails_once("answer(write(out, text='1'), format=1); continue", o, ERR_PROTOCOL);
}

TEST(a_failure_is_of_one_document)
{
    run_fiber(badly);
}

static void absent(void *arg)
{
    struct document_options o = { .program = "/nonexistent" };
    struct documents       *d = NULL;

    (void)arg;
    CHECK(document_open(loop, &o, &d) == ERR_NOT_FOUND && !d);
}

TEST(without_the_program_there_are_no_documents)
{
    run_fiber(absent);
}

/* ---- the engine itself ---- */

#define CHINESE \
    "从前有一座山，山里有一座庙，庙里有个老和尚在给小和尚讲故事。\n他说：今天的天气很好，我们一起去看看吧！\n"
#define TAIWAN \
    "從前有一座山，山裡有一座廟，廟裡有個老和尚在給小和尚講故事。\n他說：今天的天氣很好，我們一起去看看吧！\n"
#define JAPANESE "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\nコンピュータの世界へようこそ。\n"
#define KOREAN   "동해물과 백두산이 마르고 닳도록 하느님이 보우하사 우리나라 만세\n무궁화 삼천리 화려강산\n"
#define WESTERN  "Größe und Äußeres: “naïve café”, it’s déjà vu — garçon, señor, 5 €\n"
#define FOX      "The quick brown fox jumps over the lazy dog, and again."

struct expected {
    const char           *name;
    enum document_verdict verdict;
    enum document_format  format;
    int64_t               pages;
    const char           *text; /* NULL: whatever it is; with … at its end only how it begins */
};

#define TEXT_OK(name, text)                              \
    {                                                    \
        name, DOCUMENT_OK, DOCUMENT_FORMAT_TEXT, 0, text \
    }
#define NOT_READ(name, why)                                    \
    {                                                          \
        name, DOCUMENT_##why, DOCUMENT_FORMAT_UNKNOWN, 0, NULL \
    }
#define REFUSED(name, f, why)                              \
    {                                                      \
        name, DOCUMENT_##why, DOCUMENT_FORMAT_##f, 0, NULL \
    }

static const struct expected texts[] = {
    TEXT_OK("plain.txt", "Hello\nworld\nand\nall"),
    TEXT_OK("utf8.txt", CHINESE),
    TEXT_OK("utf8-mark.txt", CHINESE),
    TEXT_OK("utf8-broken.txt", CHINESE "\xef\xbf\xbd\xef\xbf\xbd\n" CHINESE),
    TEXT_OK("utf-16-le-mark.txt", CHINESE),
    TEXT_OK("utf-16-be-mark.txt", CHINESE),
    TEXT_OK("utf-32-le-mark.txt", CHINESE),
    TEXT_OK("utf-32-be-mark.txt", CHINESE),
    TEXT_OK("utf-16-le.txt", WESTERN),
    TEXT_OK("utf-16-be.txt", WESTERN),
    TEXT_OK("gb18030.txt", CHINESE),
    TEXT_OK("gb18030-four.txt", CHINESE "㐀 𠮷\n"),
    TEXT_OK("big5.txt", TAIWAN),
    TEXT_OK("shift-jis.txt", JAPANESE),
    TEXT_OK("euc-jp.txt", JAPANESE),
    TEXT_OK("euc-kr.txt", KOREAN),
    TEXT_OK("windows-1252.txt", WESTERN),
    TEXT_OK("quotes.txt", "Don’t: the cat’s “hat”, isn’t it? It’s O’Hara’s\n"),
    TEXT_OK("table.csv", "Name,Größe\nÄpfel,3\n"),
    TEXT_OK("data.json", "{\"name\":\"Zoë\"}\n"),
    REFUSED("empty.txt", TEXT, BLANK),
    REFUSED("blank.txt", TEXT, BLANK),
    NOT_READ("binary.txt", FORMAT),
    NOT_READ("picture.png", FORMAT),
    NOT_READ("old.doc", FORMAT),
    NOT_READ("rich.rtf", FORMAT),
    { "page.md", DOCUMENT_OK, DOCUMENT_FORMAT_MARKDOWN, 0,
      "Title & more\n\nA first paragraph with code, a link (http://a.example/b) and http://c.example, 3 < 4 © 中.\nSecond line.\n\n"
      "- one\n- two\n  1. deep\n  2. deeper\n\nName\tValue\na\t1\n\nint x = 1;\n\nreturn x;\n\nAn HTML block\n" },
};

static const struct expected pdfs[] = {
    { "two.pdf", DOCUMENT_OK, DOCUMENT_FORMAT_PDF, 2, "Chapter one\n" FOX "\n\nChapter two\n" FOX "\n" },
    { "named.txt", DOCUMENT_OK, DOCUMENT_FORMAT_PDF, 2, "Chapter one\n" FOX "\n\nChapter two\n" FOX "\n" },
    { "noise.pdf", DOCUMENT_OK, DOCUMENT_FORMAT_PDF, 2, "Chapter one\n" FOX "\n\nChapter two\n" FOX "\n" },
    { "chinese.pdf", DOCUMENT_OK, DOCUMENT_FORMAT_PDF, 1, "天气很好\n" },
    { "scan.pdf", DOCUMENT_SCANNED, DOCUMENT_FORMAT_PDF, 3, NULL },
    { "scan-stamped.pdf", DOCUMENT_SCANNED, DOCUMENT_FORMAT_PDF, 3, NULL },
    { "scan-read.pdf", DOCUMENT_OK, DOCUMENT_FORMAT_PDF, 3, NULL },
    { "illustrated.pdf", DOCUMENT_OK, DOCUMENT_FORMAT_PDF, 3, FOX "\n" },
    { "drawn.pdf", DOCUMENT_BLANK, DOCUMENT_FORMAT_PDF, 1, NULL },
    { "locked.pdf", DOCUMENT_BROKEN, DOCUMENT_FORMAT_PDF, 0, NULL },
    { "cut.pdf", DOCUMENT_BROKEN, DOCUMENT_FORMAT_PDF, 0, NULL },
    { "head.pdf", DOCUMENT_BROKEN, DOCUMENT_FORMAT_PDF, 0, NULL },
    { "not.pdf", DOCUMENT_BROKEN, DOCUMENT_FORMAT_PDF, 0, NULL },
};

static const struct expected packages[] = {
    { "letter.docx", DOCUMENT_OK, DOCUMENT_FORMAT_DOCX, 0,
      "Dear Sir & Madam,\n\n杭州\na\tb\nc\nName first\tValue\nx\t1\nnew\n\nA note.\n" },
    { "wrong-name.txt", DOCUMENT_OK, DOCUMENT_FORMAT_DOCX, 0, NULL },
    { "stored.docx", DOCUMENT_OK, DOCUMENT_FORMAT_DOCX, 0, "stored\n" },
    { "zip64.docx", DOCUMENT_OK, DOCUMENT_FORMAT_DOCX, 0, "wide\n" },
    REFUSED("empty.docx", DOCX, BLANK),
    { "compressed.docx", DOCUMENT_BROKEN, DOCUMENT_FORMAT_UNKNOWN, 0, NULL },
    { "cut.docx", DOCUMENT_BROKEN, DOCUMENT_FORMAT_UNKNOWN, 0, NULL },
    { "damaged.docx", DOCUMENT_BROKEN, DOCUMENT_FORMAT_UNKNOWN, 0, NULL },
    { "missing.docx", DOCUMENT_BROKEN, DOCUMENT_FORMAT_UNKNOWN, 0, NULL },
    REFUSED("unclosed.docx", DOCX, BROKEN),
    NOT_READ("program.jar", FORMAT),
    NOT_READ("drawing.vsdx", FORMAT),
};

static const struct expected others[] = {
    { "slides.pptx", DOCUMENT_OK, DOCUMENT_FORMAT_PPTX, 2, "First\n杭州\n\nSecond\nof two\n" },
    { "many-slides.pptx", DOCUMENT_PAGES, DOCUMENT_FORMAT_PPTX, 15001, NULL },
    { "sheets.xlsx", DOCUMENT_OK, DOCUMENT_FORMAT_XLSX, 2,
      "Sales & more\nName\t\tValue\n1.50\tTRUE\ta b\t#DIV/0!\ninline\t7\n\n"
      "日期\n2024-05-01\t2024-05-01 12:30:00\t1900-01-01\t45413\t18:00:00\t99999999\n" },
    { "sheets-1904.xlsx", DOCUMENT_OK, DOCUMENT_FORMAT_XLSX, 1, "x\n2024-05-01\n" },
    { "book.epub", DOCUMENT_OK, DOCUMENT_FORMAT_EPUB, 2,
      "Before it.\n\nOne & only\n\nA first paragraph\xc2\xa0—中文 Ωω&bogus; 1 < 2 & more\nnext\n- one\n- two\na\tb\nx\n  y\n" },
    REFUSED("up.epub", EPUB, BROKEN),
    REFUSED("lost.epub", EPUB, BROKEN),
    { "locked.epub", DOCUMENT_BROKEN, DOCUMENT_FORMAT_EPUB, 1, NULL },
    { "book.mobi", DOCUMENT_OK, DOCUMENT_FORMAT_MOBI, 0, "Größe\n\nEin Text, & mehr.\nx x x x…" },
    { "western.mobi", DOCUMENT_OK, DOCUMENT_FORMAT_MOBI, 0, "Größe\n\nEin Text, & mehr.\nx x x x…" },
    { "palm.mobi", DOCUMENT_OK, DOCUMENT_FORMAT_MOBI, 0, "Plain <text>" },
    REFUSED("locked.mobi", MOBI, BROKEN),
    REFUSED("cut.mobi", MOBI, BROKEN),
};

static const struct expected harm[] = {
    REFUSED("laughs.docx", UNKNOWN, BROKEN),
    REFUSED("quadratic.docx", UNKNOWN, BROKEN),
    REFUSED("outside.docx", UNKNOWN, BROKEN),
    REFUSED("parameter.docx", UNKNOWN, BROKEN),
    REFUSED("bomb.docx", DOCX, LARGE),
    { "large.docx", DOCUMENT_OK, DOCUMENT_FORMAT_DOCX, 0, NULL },
    REFUSED("deep.docx", DOCX, BROKEN),
    { "attributes.docx", DOCUMENT_OK, DOCUMENT_FORMAT_DOCX, 0, "x\n" },
    { "token.docx", DOCUMENT_BROKEN, DOCUMENT_FORMAT_DOCX, 0, NULL },
    { "crowd.docx", DOCUMENT_LARGE, DOCUMENT_FORMAT_UNKNOWN, 0, NULL },
    REFUSED("directory.docx", UNKNOWN, LARGE),
    REFUSED("small-number.docx", UNKNOWN, LARGE),
    { "escape.docx", DOCUMENT_BROKEN, DOCUMENT_FORMAT_UNKNOWN, 0, NULL },
    { "wide.xlsx", DOCUMENT_OK, DOCUMENT_FORMAT_XLSX, 1, NULL },
    { "shared.xlsx", DOCUMENT_LARGE, DOCUMENT_FORMAT_XLSX, 1, NULL },
    { "spine-bomb.epub", DOCUMENT_LARGE, DOCUMENT_FORMAT_EPUB, 5000, NULL },
    { "unclosed.epub", DOCUMENT_OK, DOCUMENT_FORMAT_EPUB, 1, "x\n" },
    REFUSED("huff.mobi", MOBI, BROKEN),
    REFUSED("reference.mobi", MOBI, BROKEN),
    { "ten-thousand.pdf", DOCUMENT_OK, DOCUMENT_FORMAT_PDF, 10000, NULL },
    REFUSED("loop.pdf", PDF, BROKEN),
    REFUSED("liar.pdf", PDF, BROKEN),
    { "form-loop.pdf", DOCUMENT_BLANK, DOCUMENT_FORMAT_PDF, 1, NULL },
};

static bool is_text(str text, const char *expected)
{
    str want = str_from_cstr(expected);

    return str_ends(want, S("…")) ? str_starts(text, str_first(want, want.len - 3)) : str_eq(text, want);
}

static void compare(const struct expected *w, enum err e, const struct document_facts *f, str text)
{
    if (e || f->verdict != w->verdict || f->format != w->format || f->pages != w->pages ||
        (w->text && !is_text(text, w->text))) {
        fprintf(stderr, "%s: %s, %s, %s, %lld pages (%.*s): \"%.*s\"\n", w->name, err_text(e),
                document_verdict_name(f->verdict), document_format_name(f->format), (long long)f->pages,
                STR_ARG(f->error), STR_ARG(str_first(text, 1000)));
        abort();
    }
    CHECK(utf8_valid(text));
    CHECK(f->scanned == (f->verdict == DOCUMENT_SCANNED));
    CHECK((f->verdict == DOCUMENT_OK || f->verdict == DOCUMENT_BLANK) == !f->error.len ||
          f->verdict == DOCUMENT_SCANNED || f->verdict == DOCUMENT_PAGES);
}

static struct documents *open_engine(struct document_options o)
{
    struct documents *d = NULL;

    o.program = getenv("DOCUMENT_ENGINE");
    CHECK(document_open(loop, &o, &d) == OK);
    return d;
}

static void each(const struct expected *list, size_t count, int64_t *ret_peak_kib)
{
    struct documents *d = open_engine((struct document_options){ .retire_cpu_ms = 500000 });
    int               pid = 0;
    char              path[160], line[160];
    FILE             *status;
    bool              confined = false;

    for (size_t i = 0; i < count; i++) {
        struct document_facts f;
        struct arena          a;
        str                   text;
        enum err              e;

        arena_init(&a, 0);
        snprintf(path, sizeof(path), "%s/%s", folder, list[i].name);
        e = read_file(d, path, list[i].name, &a, &f, &text);
        compare(&list[i], e, &f, text);
        arena_free(&a);
    }
    CHECK(document_pids(d, &pid, 1) == 1); /* one and the same has read them all */
    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    status = fopen(path, "r");
    CHECK(status);
    while (fgets(line, sizeof(line), status)) {
        if (strncmp(line, "VmHWM:", 6) == 0)
            *ret_peak_kib = strtoll(line + 6, NULL, 10);
        confined = confined || strcmp(line, "Seccomp:\t2\n") == 0;
    }
    CHECK(confined);
    fclose(status);
    document_close(d);
}

static void read_all(void *arg)
{
    int64_t peak = 0;

    (void)arg;
    each(texts, ARRAY_LEN(texts), &peak);
    each(pdfs, ARRAY_LEN(pdfs), &peak);
    each(packages, ARRAY_LEN(packages), &peak);
    each(others, ARRAY_LEN(others), &peak);
}

TEST(the_engine_itself_reads_each_format)
{
    if (!getenv("DOCUMENT_ENGINE"))
        skip();
    run_fiber(read_all);
}

static void read_harm(void *arg)
{
    int64_t peak = 0;

    (void)arg;
    each(harm, ARRAY_LEN(harm), &peak);
    CHECK(peak > 0);
    CHECK(access("/tmp/escaped.txt", F_OK) != 0);
#ifndef __SANITIZE_ADDRESS__
    CHECK(peak < 150 * 1024);
#endif
}

TEST(documents_that_mean_harm_cost_little_and_end_nothing)
{
    if (!getenv("DOCUMENT_ENGINE"))
        skip();
    run_fiber(read_harm);
}

static void limited(void *arg)
{
    struct documents     *d = open_engine((struct document_options){ .text_max = 1000, .page_max = 1 });
    struct document_facts f;
    struct arena          a;
    str                   text;
    char                  path[160];

    (void)arg;
    arena_init(&a, 0);
    snprintf(path, sizeof(path), "%s/long.txt", folder);
    CHECK(read_file(d, path, "long.txt", &a, &f, &text) == OK && f.verdict == DOCUMENT_LARGE && f.text_bytes == 0);
    CHECK(text.len <= 1000);
    snprintf(path, sizeof(path), "%s/two.pdf", folder);
    CHECK(read_file(d, path, "two.pdf", &a, &f, &text) == OK && f.verdict == DOCUMENT_PAGES && f.pages == 2);
    document_close(d);
    d = open_engine((struct document_options){ .read_ms = 100 });
    snprintf(path, sizeof(path), "%s/ten-thousand.pdf", folder);
    CHECK(read_file(d, path, "a.pdf", &a, &f, &text) == ERR_TIMEOUT);
    snprintf(path, sizeof(path), "%s/utf8.txt", folder);
    CHECK(read_file(d, path, "a.txt", &a, &f, &text) == OK && f.verdict == DOCUMENT_OK);
    arena_free(&a);
    document_close(d);
}

TEST(limits_and_time_are_kept)
{
    if (!getenv("DOCUMENT_ENGINE"))
        skip();
    run_fiber(limited);
}

static int set_up(void **state)
{
    char  command[512];
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(program, sizeof(program), "%s/engine", folder);
    snprintf(sample, sizeof(sample), "%s/sample", folder);
    f = fopen(sample, "w");
    if (!f || fputs("abcdef", f) < 0 || fclose(f))
        return 1;
    snprintf(command, sizeof(command), "python3 %s/test/unit/engine/documents.py %s", getenv("DASHBOX_SOURCE"), folder);
    return getenv("DOCUMENT_ENGINE") ? system(command) : 0;
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
        cmocka_unit_test_setup_teardown(a_document_goes_to_a_child_and_its_text_comes_back, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(a_failure_is_of_one_document, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(without_the_program_there_are_no_documents, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(the_engine_itself_reads_each_format, loop_setup, loop_teardown),
        cmocka_unit_test_setup_teardown(documents_that_mean_harm_cost_little_and_end_nothing, loop_setup,
                                        loop_teardown),
        cmocka_unit_test_setup_teardown(limits_and_time_are_kept, loop_setup, loop_teardown),
    };

    return cmocka_run_group_tests(tests, set_up, clean_up);
}
