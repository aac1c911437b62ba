/* tuning_trainer.c - the command that trains. Spec: doc/fine-tuning.md. */
#include "service/tuning_trainer.h"

#include "contract/errors.gen.h"
#include "loop/lane.h"
#include "loop/process.h"
#include "service/training_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SAID_MAX ((size_t)1 << 20) /* of its output that has not been written yet; what is more is passed over */
#define LOG_MAX  20000
#define COPY     ((size_t)256 * 1024)

struct trainer {
    struct tuning_trainer *t;
    struct fiber          *fiber;
    struct process        *process;
    char                  *said; /* lines that have not been looked at */
    size_t                 said_len, said_cap;
    int64_t                lines, missed;
    char                   last[512]; /* line, or what it said of its failure */
    bool                   explained;
};

/* ---- its folder ---- */

static str folder_of(struct arena *a, const struct services *s, str job)
{
    str all = arena_printf(a, "%.*s/tuning", STR_ARG(store_folder(s->store)));

    return job.len ? arena_printf(a, "%.*s/%.*s", STR_ARG(all), STR_ARG(job)) : all;
}

struct folder_job {
    const char *path, *parent;
    bool        good;
};

static void make_folder(void *arg)
{
    struct folder_job *f = arg;

    f->good = (mkdir(f->parent, 0700) == 0 || errno == EEXIST) && (mkdir(f->path, 0700) == 0 || errno == EEXIST);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    (void)st, (void)type, (void)walk;
    (void)remove(path);
    return 0;
}

static void remove_folder(void *arg)
{
    struct folder_job *f = arg;

    (void)nftw(f->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void tuning_folder_remove(struct services *s, str job)
{
    struct arena      a;
    struct folder_job f;

    might_suspend();
    arena_init(&a, 0);
    f.path = folder_of(&a, s, job).ptr;
    lane_run(s->files, remove_folder, &f);
    arena_free(&a);
}

/* ---- what it is given ---- */

struct copy_job {
    int         from; /* -1: `text` is what there is */
    str         text;
    const char *to;
    bool        good;
};

static bool write_all(int fd, str bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0)
            return false;
        bytes = str_from(bytes, (size_t)n);
    }
    return true;
}

static void copy_file(void *arg)
{
    struct copy_job *c = arg;
    int              to = open(c->to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    char            *bytes = xmalloc(COPY);
    ssize_t          n = 0;

    c->good = to >= 0 && write_all(to, c->text);
    while (c->good && c->from >= 0 && (n = read(c->from, bytes, COPY)) > 0)
        c->good = write_all(to, str_of(bytes, (size_t)n));
    c->good = c->good && n >= 0;
    free(bytes);
    if (to >= 0)
        close(to);
    if (c->from >= 0)
        close(c->from);
}

/* Copies: a trainer may do with them what it likes, and their owner too. */
SUSPENDS static enum err add_files(struct trainer *tr, struct buf *b, const char *member, const char *prefix,
                                   str folder)
{
    struct tuning_trainer *t = tr->t;
    yyjson_val            *ids = json_get(t->body, member), *id;
    size_t                 i, n;

    buf_add_char(b, '[');
    yyjson_arr_foreach(ids, i, n, id)
    {
        struct training_file f;
        struct copy_job      c;
        enum err             e = training_file_find(t->services, t->arena, t->job->workspace, json_str(id), &f);

        c = (struct copy_job){ .to = arena_printf(t->arena, "%.*s/%s-%zu.%s", STR_ARG(folder), prefix, i + 1,
                                                  !e && str_ends(f.name, S(".zip")) ? "zip" : "jsonl")
                                         .ptr };
        if (!e)
            e = training_file_open(t->services, &f, &c.from);
        if (e)
            return e == ERR_NOT_FOUND ? fail_training_data_empty(t->fault, json_str(id)) : e;
        lane_run(t->services->files, copy_file, &c);
        if (!c.good)
            return ERR_IO;
        buf_add(b, i ? S(",{\"id\":") : S("{\"id\":"));
        json_add_str(b, f.id);
        buf_add(b, S(",\"name\":"));
        json_add_str(b, f.name);
        buf_add(b, S(",\"path\":"));
        json_add_str(b, str_from_cstr(c.to));
        json_add_count(b, S(",\"bytes\":"), f.bytes);
        buf_add_char(b, '}');
    }
    buf_add_char(b, ']');
    return OK;
}

static void add_text(struct buf *b, const char *name, str value)
{
    buf_addf(b, ",\"%s\":", name);
    json_add_str(b, value);
}

/* *ret_input: the job, for its standard input. */
SUSPENDS static enum err prepare(struct trainer *tr, str folder, int *ret_input)
{
    struct tuning_trainer *t = tr->t;
    struct folder_job      f = { folder.ptr, folder_of(t->arena, t->services, (str){ 0 }).ptr, false };
    struct copy_job        c = { .from = -1, .to = arena_printf(t->arena, "%.*s/job.json", STR_ARG(folder)).ptr };
    struct buf             b;
    enum err               e;

    lane_run(t->services->files, make_folder, &f);
    if (!f.good)
        return ERR_IO;
    buf_init(&b, t->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"job_id\":"));
    json_add_str(&b, t->job->id);
    add_text(&b, "model", t->job->model);
    add_text(&b, "base_model", t->job->base);
    add_text(&b, "training_type", t->job->type);
    add_text(&b, "finetuned_output", t->job->output);
    add_text(&b, "workspace", t->job->workspace);
    add_text(&b, "folder", folder);
    json_add_count(&b, S(",\"run\":"), t->job->claim);
    json_add_count(&b, S(",\"samples\":"), t->samples);
    json_add_count(&b, S(",\"steps\":"), t->steps);
    json_add_count(&b, S(",\"tokens\":"), t->job->usage);
    buf_add(&b, S(",\"hyper_parameters\":"));
    buf_add(&b, json_text(t->arena, json_get(t->body, "hyper_parameters")));
    buf_add(&b, S(",\"training_files\":"));
    e = add_files(tr, &b, "training_file_ids", "training", folder);
    buf_add(&b, S(",\"validation_files\":"));
    if (!e)
        e = add_files(tr, &b, "validation_file_ids", "validation", folder);
    if (e)
        return e;
    buf_add(&b, S("}\n"));
    c.text = buf_str(&b);
    lane_run(t->services->files, copy_file, &c);
    *ret_input = c.good ? open(c.to, O_RDONLY | O_CLOEXEC) : -1;
    return *ret_input < 0 ? ERR_IO : OK;
}

/* ---- what it says ---- */

static void on_line(void *arg, str line)
{
    struct trainer *tr = arg;

    if (tr->said_len + line.len + 1 > SAID_MAX) {
        tr->missed++;
    } else {
        if (tr->said_len + line.len + 1 > tr->said_cap) {
            tr->said_cap = 2 * (tr->said_len + line.len + 1);
            tr->said = xrealloc(tr->said, tr->said_cap);
        }
        memcpy(tr->said + tr->said_len, line.ptr, line.len);
        tr->said[tr->said_len + line.len] = '\n';
        tr->said_len += line.len + 1;
    }
    fiber_wake(tr->fiber);
}

static void on_exit_wake(void *arg)
{
    fiber_wake(((struct trainer *)arg)->fiber);
}

static void say(struct trainer *tr, str text)
{
    if (tr->lines++ < LOG_MAX)
        tr->t->line(tr->t->arg, text);
    else if (tr->lines == LOG_MAX + 1)
        tr->t->line(tr->t->arg, S("what else the trainer writes is not kept"));
}

static void keep_last(struct trainer *tr, str text)
{
    (void)snprintf(tr->last, sizeof(tr->last), "%.*s", STR_ARG(text));
}

/* A line that says more: what of it a person reads. */
static str take_object(struct trainer *tr, struct arena *a, yyjson_val *v, str line)
{
    struct tuning_trainer *t = tr->t;
    str                    message = json_str(json_get(v, "message")), error = json_str(json_get(v, "error"));
    str                    checkpoint = json_str(json_get(v, "checkpoint")), model = json_str(json_get(v, "model"));
    double                 progress;
    int64_t                tokens;

    if (checkpoint.len)
        t->checkpoint(t->arg, checkpoint, model);
    else if (model.len)
        t->job->served = arena_str(t->arena, model);
    if (json_to_i64(json_get(v, "tokens"), &tokens) && tokens >= 0)
        t->job->usage = tokens;
    if (error.len) {
        keep_last(tr, error);
        tr->explained = true;
    }
    line = message.len ? message : error.len ? error : line;
    if (!json_to_num(json_get(v, "progress"), &progress) || progress < 0 || progress > 1)
        return line;
    return message.len ? arena_printf(a, "%.0f %%: %.*s", progress * 100, STR_ARG(message))
                       : arena_printf(a, "%.0f %%", progress * 100);
}

/* All lines there are. */
static void hear(struct trainer *tr)
{
    struct arena a;
    char        *said = tr->said;
    str          rest = str_of(said, tr->said_len);

    tr->said = NULL;
    tr->said_len = tr->said_cap = 0;
    arena_init(&a, 0);
    while (rest.len) {
        str         line = str_cut(&rest, '\n');
        yyjson_val *v = str_starts(line, S("{")) ? json_parse_copy(&a, line) : NULL;

        if (!tr->explained)
            keep_last(tr, line);
        say(tr, yyjson_is_obj(v) ? take_object(tr, &a, v, line) : line);
    }
    if (tr->missed)
        say(tr, arena_printf(&a, "%lld lines came too fast and are left out", (long long)tr->missed));
    tr->missed = 0;
    arena_free(&a);
    free(said);
}

/* ---- its life ---- */

SUSPENDS static enum err follow(struct trainer *tr)
{
    enum err e = OK;

    while (!e && !process_ended(tr->process)) {
        if (tr->said_len)
            hear(tr);
        e = tr->t->flush(tr->t->arg);
        if (!e && !tr->said_len && !process_ended(tr->process))
            e = fiber_wait(DEADLINE_NONE);
    }
    if (!e)
        return OK;
    process_stop(tr->process, tr->t->grace_ms);
    while (!process_ended(tr->process))
        fiber_wait_through(); /* its last words still come */
    return e;
}

enum err tuning_train(struct tuning_trainer *t)
{
    struct trainer         tr = { .t = t, .fiber = fiber_self() };
    str                    folder = folder_of(t->arena, t->services, t->job->id);
    const char           **argv = arena_array(t->arena, const char *, t->word_count + 1);
    struct process_options o = {
        .argv = argv, .dir = folder.ptr, .on_line = on_line, .on_exit = on_exit_wake, .arg = &tr
    };
    char     how[PROCESS_END_TEXT_MAX];
    enum err e;

    might_suspend();
    for (size_t i = 0; i < t->word_count; i++)
        argv[i] = str_to_cstr(t->arena, t->words[i]);
    e = prepare(&tr, folder, &o.input);
    if (e)
        return e;
    e = process_start(t->loop, &o, &tr.process);
    close(o.input);
    if (e == ERR_NOT_FOUND)
        return fail_trainer_failed(t->fault, S("status 127"), S("the program is not there"));
    if (e)
        return e;
    e = follow(&tr);
    if (tr.said_len)
        hear(&tr);
    process_end_text(tr.process, how);
    process_free(tr.process);
    free(tr.said);
    if (!e && !str_eq(str_from_cstr(how), S("status 0")))
        e = fail_trainer_failed(t->fault, arena_str(t->arena, str_from_cstr(how)),
                                arena_str(t->arena, tr.last[0] ? str_from_cstr(tr.last) : S("it has said nothing")));
    return e;
}
