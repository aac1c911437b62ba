/* tapes.c - a folder of recorded exchanges. */
#include "engine/record/tapes.h"

#include "base/log.h"
#include "base/map.h"
#include "engine/record/normal.h"
#include "engine/record/scrub.h"
#include "loop/lane.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXTENSION   S(".yaml")
#define NEAREST_MAX 1000 /* files that are compared with a request that none fits */

struct tapes {
    struct tapes_options o;
    struct arena         arena;
    struct lane         *lane;
    struct map           taken; /* the lane's: name → size_t, see takes_of() */
    struct arena         names; /* its keys and values */
    atomic_size_t        waiting;
    atomic_uint          holders;
};

/* ---- files ---- */

static enum err file_read(struct arena *a, const char *path, str *ret)
{
    int         fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char       *text;
    size_t      len = 0;
    ssize_t     n = 1;

    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode) || (size_t)st.st_size > TAPES_FILE_MAX) {
        close(fd);
        return ERR_IO;
    }
    text = arena_bytes(a, (size_t)st.st_size + 1);
    while (len < (size_t)st.st_size && n > 0) {
        n = read(fd, text + len, (size_t)st.st_size - len);
        len += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    *ret = str_of(text, len);
    return n < 0 ? ERR_IO : OK;
}

/* Whole or not at all, whoever reads meanwhile. */
static enum err file_write(struct arena *a, str path, str text)
{
    const char *whole = str_to_cstr(a, path), *part = arena_printf(a, "%.*s.part", STR_ARG(path)).ptr;
    int         fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t     n = 1;

    if (fd < 0)
        return ERR_IO;
    while (text.len && n > 0) {
        n = write(fd, text.ptr, text.len);
        text = str_from(text, n > 0 ? (size_t)n : 0);
    }
    if (close(fd) || n <= 0 || rename(part, whole)) {
        (void)unlink(part);
        return ERR_IO;
    }
    return OK;
}

/* With the folders above it. */
static enum err folder_make(struct arena *a, str path)
{
    char *text = (char *)(uintptr_t)str_to_cstr(a, path);

    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && text[i] != '/')
            continue;
        text[i] = 0;
        if (mkdir(text, 0700) && errno != EEXIST)
            return ERR_IO;
        text[i] = i < path.len ? '/' : 0;
    }
    return access(text, W_OK | X_OK) ? ERR_IO : OK;
}

static int name_cmp(const void *a, const void *b)
{
    return str_cmp(*(const str *)a, *(const str *)b);
}

struct names {
    str   *names;
    size_t count;
};

/* "NAME.2" is a take of "NAME", which ends with a hash and so has no point in its last eight characters. */
static bool is_take(str name)
{
    size_t at = name.len;

    while (at > 0 && name.ptr[at - 1] >= '0' && name.ptr[at - 1] <= '9')
        at--;
    return at > 0 && at < name.len && name.ptr[at - 1] == '.' && name.len - at < 8;
}

/* The first takes, without the extension, sorted. */
static enum err names_read(struct arena *a, str path, struct names *ret)
{
    DIR           *d = opendir(str_to_cstr(a, path));
    struct dirent *entry;
    size_t         cap = 0;

    *ret = (struct names){ 0 };
    if (!d)
        return ERR_IO;
    while ((entry = readdir(d))) {
        str file = str_from_cstr(entry->d_name), name;

        if (!str_ends(file, EXTENSION) || file.ptr[0] == '.')
            continue;
        name = str_first(file, file.len - EXTENSION.len);
        if (is_take(name))
            continue;
        if (ret->count == cap) {
            size_t more = cap ? 2 * cap : 64;

            ret->names = arena_realloc(a, ret->names, cap * sizeof(str), more * sizeof(str));
            cap = more;
        }
        ret->names[ret->count++] = arena_str(a, name);
    }
    closedir(d);
    if (ret->count)
        qsort(ret->names, ret->count, sizeof(str), name_cmp);
    return OK;
}

static str tape_path(struct arena *a, str folder, str name, size_t take)
{
    if (take == 1)
        return arena_printf(a, "%.*s/%.*s.yaml", STR_ARG(folder), STR_ARG(name));
    return arena_printf(a, "%.*s/%.*s.%zu.yaml", STR_ARG(folder), STR_ARG(name), take);
}

static enum err tape_load(struct arena *a, str path, struct tape *ret, str *ret_problem)
{
    str      text, problem = { 0 };
    enum err e = file_read(a, path.ptr, &text);

    if (!e)
        e = tape_read(a, text, ret, &problem);
    if (e)
        *ret_problem = arena_printf(a, "%.*s:%.*s", STR_ARG(path),
                                    STR_ARG(problem.len ? problem : arena_printf(a, " %s", err_text(e))));
    return e;
}

/* ---- opening ---- */

enum err tapes_list(str path, struct arena *a, void (*fn)(void *arg, const struct tape *t), void *arg, str *ret_problem)
{
    struct names names;
    struct tape  t;

    if (names_read(a, path, &names)) {
        *ret_problem = arena_printf(a, "the folder %.*s cannot be read", STR_ARG(path));
        return ERR_INVALID;
    }
    for (size_t i = 0; i < names.count; i++) {
        if (tape_load(a, tape_path(a, path, names.names[i], 1), &t, ret_problem))
            return ERR_INVALID;
        fn(arg, &t);
    }
    return OK;
}

static void pass(void *arg, const struct tape *t)
{
    (void)arg, (void)t;
}

enum err tapes_open(const struct tapes_options *o, struct arena *a, struct tapes **ret, str *ret_problem)
{
    struct tapes *t;
    struct arena  texts;
    enum err      e;

    arena_init(&texts, 0);
    if (o->replay) {
        e = tapes_list(o->path, &texts, pass, NULL, ret_problem);
    } else {
        e = folder_make(&texts, o->path) ? ERR_INVALID : OK;
        *ret_problem = S("its folder cannot be made, or not be written to");
    }
    if (e)
        *ret_problem = arena_printf(a, "%s: %.*s", o->replay ? "replay" : "record", STR_ARG(*ret_problem));
    arena_free(&texts);
    if (e)
        return e;
    t = xcalloc(1, sizeof(*t));
    t->o = *o;
    arena_init(&t->arena, 0);
    arena_init(&t->names, 0);
    t->o.path = arena_str(&t->arena, o->path);
    map_init(&t->taken);
    atomic_init(&t->waiting, 0);
    atomic_init(&t->holders, 1);
    t->lane = lane_open("dashbox-tapes");
    if (!t->lane) {
        *ret_problem = S("no thread could be started");
        tapes_close(t);
        return ERR_LIMIT;
    }
    *ret = t;
    return OK;
}

struct tapes *tapes_again(struct tapes *t, const struct tapes_options *o)
{
    if (!t || t->o.replay != o->replay || t->o.timed != o->timed || t->o.by_messages != o->by_messages ||
        !str_eq(t->o.path, o->path))
        return NULL;
    atomic_fetch_add(&t->holders, 1);
    return t;
}

void tapes_close(struct tapes *t)
{
    if (!t || atomic_fetch_sub(&t->holders, 1) != 1)
        return;
    lane_close(t->lane);
    map_free(&t->taken);
    arena_free(&t->names);
    arena_free(&t->arena);
    free(t);
}

const struct tapes_options *tapes_options(const struct tapes *t)
{
    return &t->o;
}

/* ---- takes, on the lane ---- */

/* How many of that name have been written, or given since the first. */
static size_t *takes_of(struct tapes *t, str name)
{
    size_t *count = map_get(&t->taken, name);

    if (!count) {
        count = arena_new(&t->names, size_t);
        map_put(&t->taken, arena_str(&t->names, name), count);
    }
    return count;
}

static void rewind_job(void *arg)
{
    struct tapes *t = arg;

    map_free(&t->taken);
    map_init(&t->taken);
    arena_reset(&t->names);
}

void tapes_rewind(struct tapes *t)
{
    if (t->o.replay) /* a recording goes on: its next run would overwrite this one's takes */
        lane_post(t->lane, rewind_job, t);
}

/* ---- recording ---- */

struct recording *recording_new(void)
{
    struct recording *r = xcalloc(1, sizeof(*r));

    arena_init(&r->arena, 0);
    return r;
}

void recording_free(struct recording *r)
{
    if (!r)
        return;
    arena_free(&r->arena);
    free(r);
}

static str scrubbed(struct recording *r, str text)
{
    struct scrub_known known = { r->secrets, r->secret_count };
    struct buf         b;

    buf_init(&b, &r->arena, SIZE_MAX / 2);
    scrub(&b, text, &known);
    return buf_str(&b);
}

static void all_scrub(struct recording *r)
{
    struct tape *t = &r->tape;

    t->body = scrubbed(r, t->body);
    t->model = scrubbed(r, t->model);
    for (size_t i = 0; i < t->asked_count; i++)
        t->asked[i].value = scrubbed(r, t->asked[i].value);
    for (size_t i = 0; i < t->field_count; i++)
        t->fields[i].value = scrubbed(r, t->fields[i].value);
    for (size_t i = 0; i < t->piece_count; i++)
        t->pieces[i].bytes = scrubbed(r, t->pieces[i].bytes);
}

struct keep {
    struct tapes     *tapes;
    struct recording *recording;
};

static void keep_job(void *arg)
{
    struct keep      *job = arg;
    struct tapes     *t = job->tapes;
    struct recording *r = job->recording;
    struct arena     *a = &r->arena;
    struct normal     n;
    size_t           *takes, take;
    str               path;

    normal_of(a, r->tape.method, r->tape.path, r->tape.body, &n);
    r->tape.body = n.body;
    all_scrub(r);
    takes = takes_of(t, n.name);
    take = *takes + 1;
    path = tape_path(a, t->o.path, n.name, take);
    for (size_t i = 2; take == 1 && unlink(tape_path(a, t->o.path, n.name, i).ptr) == 0; i++)
        ; /* of an earlier run */
    if (file_write(a, path, tape_write(a, &r->tape)))
        log_warn("record: %.*s cannot be written, going on without it", STR_ARG(path));
    else
        *takes = take;
    atomic_fetch_sub(&t->waiting, r->size);
    recording_free(r);
    free(job);
}

void tapes_keep(struct tapes *t, struct recording *r)
{
    struct keep *job;

    if (r->size > TAPES_FILE_MAX / 2 || atomic_load(&t->waiting) > TAPES_WAITING_MAX) {
        log_warn("record: an answer of %zu bytes is too much, going on without it", r->size);
        recording_free(r);
        return;
    }
    atomic_fetch_add(&t->waiting, r->size);
    job = xcalloc(1, sizeof(*job));
    *job = (struct keep){ t, r };
    lane_post(t->lane, keep_job, job);
}

/* ---- replaying ---- */

struct find {
    struct tapes       *tapes;
    struct tape_search *search;
    enum err            result;
};

/* The next take of that name. */
static enum err take_next(struct tapes *t, struct tape_search *s, str name)
{
    struct arena *a = &s->arena;
    size_t       *takes, take;
    str           path = tape_path(a, t->o.path, name, 1);

    if (access(path.ptr, F_OK))
        return ERR_NOT_FOUND;
    takes = takes_of(t, name);
    take = *takes + 1;
    path = tape_path(a, t->o.path, name, take);
    if (access(path.ptr, F_OK)) {
        take = 1;
        path = tape_path(a, t->o.path, name, take);
    }
    s->name = str_from(path, t->o.path.len + 1);
    *takes = take;
    return tape_load(a, path, &s->tape, &s->problem);
}

static void nearest_find(struct tapes *t, struct tape_search *s, const struct names *names, str body)
{
    struct arena *a = &s->arena;
    str           best = { 0 }, best_body = { 0 }, problem;
    unsigned      most = 0;

    for (size_t i = 0; i < names->count && i < NEAREST_MAX; i++) {
        struct tape other;
        unsigned    likeness;

        if (tape_load(a, tape_path(a, t->o.path, names->names[i], 1), &other, &problem))
            continue;
        likeness = normal_likeness(other.body, body);
        if (likeness >= most) {
            most = likeness;
            best = names->names[i];
            best_body = other.body;
        }
    }
    if (!best.len)
        s->problem = S("the folder has no recordings");
    else
        s->problem = arena_printf(a, "no recording of %.*s; the nearest is %.*s.yaml, which differs in %.*s",
                                  STR_ARG(s->name), STR_ARG(best), STR_ARG(normal_difference(a, best_body, body)));
}

static void find_job(void *arg)
{
    struct find        *job = arg;
    struct tapes       *t = job->tapes;
    struct tape_search *s = job->search;
    struct normal       n;
    struct names        names;

    normal_of(&s->arena, s->method, s->path, s->body, &n);
    job->result = take_next(t, s, n.name);
    if (job->result != ERR_NOT_FOUND)
        return;
    s->name = arena_printf(&s->arena, "%.*s.yaml", STR_ARG(n.name));
    if (names_read(&s->arena, t->o.path, &names)) {
        s->problem = S("the folder cannot be read");
        return;
    }
    for (size_t i = 0; t->o.by_messages && i < names.count; i++) {
        if (!str_starts(names.names[i], n.family))
            continue;
        job->result = take_next(t, s, names.names[i]);
        return;
    }
    nearest_find(t, s, &names, n.body);
}

enum err tapes_find(struct tapes *t, struct tape_search *s)
{
    struct find job = { .tapes = t, .search = s };

    might_suspend();
    lane_run(t->lane, find_job, &job);
    return job.result ? ERR_NOT_FOUND : OK;
}
