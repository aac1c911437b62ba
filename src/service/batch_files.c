/* batch_files.c - the output and the error file of a batch, and its end. Spec: platform.md §2.3, §2.6. */
#include "service/batch_run.h"

#include "base/clock.h"
#include "base/log.h"
#include "contract/batches_params.gen.h"
#include "contract/errors.gen.h"
#include "loop/lane.h"
#include "service/batch_check.h"
#include "service/files.h"

#include <unistd.h>

#define WRITE_LINES ((size_t)512) /* ends that are written in one go */

/* A file that is being made of ends of lines, on the lane of files. */
struct writing {
    struct services   *services;
    struct blob_writer content;
    bool               begun;
    struct buf         text;
    enum err           e;
    /* of lines that were not run */
    struct batch_run *run;
    struct request   *rq;
    struct fault      fault;
    struct arena      line;
    bool              ended;
};

static void write_job(void *arg)
{
    struct writing *w = arg;

    if (!w->begun)
        w->e = blob_begin(w->services->blobs, &w->content);
    w->begun = true;
    if (!w->e)
        w->e = blob_write(&w->content, buf_str(&w->text));
    buf_reset(&w->text);
}

static void keep_job(void *arg)
{
    struct writing *w = arg;

    w->e = blob_end(&w->content);
}

static void drop_job(void *arg)
{
    struct writing *w = arg;

    blob_drop(&w->content);
}

static void unrun_job(void *arg)
{
    struct writing   *w = arg;
    struct fault_view v;
    str               line;
    char              id[UUID_LEN + 1];
    enum err          e = OK;

    fault_render(&w->fault, &w->rq->settings->wording, w->rq->arena, &v);
    for (size_t i = 0; i < WRITE_LINES && !w->ended; i++) {
        struct batch_request r;

        arena_reset(&w->line);
        e = line_file_next(&w->run->lines, &w->line, &line);
        w->ended = e != OK;
        if (w->ended || batch_run_is_done(w->run, w->run->lines.number))
            continue;
        (void)batch_request_read(&w->line, line, &r);
        rand_uuid(id, '4');
        batch_line_begin(&w->text, id, r.custom_id);
        buf_add(&w->text, S(",\"response\":null"));
        batch_line_error(&w->text, &v);
        buf_add_char(&w->text, '\n');
    }
    if (w->text.len)
        write_job(w);
    if (!w->e && e == ERR_IO) /* no end of the file */
        w->e = e;
}

/* What the store has of the good, or of the others. */
SUSPENDS static enum err write_ends(struct batch_run *run, struct writing *w, bool good)
{
    struct arena       a;
    struct batch_texts t = {
        .arena = &a, .number = run->row.number, .good = good, .max = WRITE_LINES, .count = WRITE_LINES
    };
    enum err e = OK;

    while (!e && t.count == WRITE_LINES) {
        arena_init(&a, 0);
        e = store_run(run->runner->o.store, batch_texts_job, &t);
        for (size_t i = 0; i < t.count && !e; i++) {
            buf_add(&w->text, t.texts[i]);
            buf_add_char(&w->text, '\n');
        }
        arena_free(&a);
        if (!e && w->text.len) {
            lane_run(w->services->files, write_job, w);
            e = w->e;
        }
        if (!e)
            e = batch_run_beat_when_due(run);
    }
    return e;
}

SUSPENDS static enum err write_unrun(struct batch_run *run, struct writing *w)
{
    enum err e = OK;

    if (lseek(run->fd, 0, SEEK_SET) != 0)
        return ERR_IO;
    line_file_init(&run->lines, run->fd, BATCHES_LINE_MAX, &run->arena);
    while (!e && !w->ended) {
        lane_run(w->services->files, unrun_job, w);
        e = w->e;
        if (!e)
            e = batch_run_beat_when_due(run);
    }
    return e;
}

static void writing_init(struct writing *w, struct batch_run *run, struct batch_caller *c)
{
    *w = (struct writing){ .services = c->services, .content = { .fd = -1 }, .run = run, .rq = c->rq };
    buf_init(&w->text, &run->arena, SIZE_MAX / 2);
    arena_init(&w->line, 0);
    (void)(run->cancelling ? fail_batch_line_cancelled(&w->fault) /* REF: W286 */
                           : fail_batch_line_expired(&w->fault)); /* REF: W287 */
}

/* The file of the account that it becomes; NULL: there is nothing in it. */
SUSPENDS static struct file_keep *kept(struct batch_run *run, struct writing *w, const char *kind, enum err *e)
{
    struct file_keep *k = arena_new(&run->arena, struct file_keep);

    if (*e || !w->begun)
        return NULL;
    lane_run(w->services->files, keep_job, w);
    *e = w->e;
    *k = (struct file_keep){ .blobs = w->services->blobs,
                             .content = &w->content,
                             .row = { .id = file_new_id(&run->arena, FILE_OUTPUT),
                                      .workspace = run->row.workspace,
                                      .key = run->row.key,
                                      .purpose = file_purpose_word(FILE_OUTPUT),
                                      .name = arena_printf(&run->arena, "%.*s_%s.jsonl", STR_ARG(run->row.id), kind),
                                      .created_ms = clock_unix_ms() } };
    return k;
}

SUSPENDS static enum err end_with(struct batch_run *run, struct file_keep *output, struct file_keep *error, str status,
                                  str errors, int64_t unrun)
{
    struct batch_end n = { .number = run->row.number,
                           .claim = run->row.claim,
                           .now_ms = clock_unix_ms(),
                           .unrun = unrun,
                           .status = status,
                           .errors = errors,
                           .output = output,
                           .error = error };
    enum err         e = store_run(run->runner->o.store, batch_end_job, &n);

    if (!e)
        log_info("batch %.*s: %.*s, %lld requests, %lld good, %lld not", STR_ARG(run->row.id), STR_ARG(status),
                 (long long)run->row.total, (long long)run->row.completed, (long long)(run->row.failed + unrun));
    return e;
}

enum err batch_run_end(struct batch_run *run, str status, str errors)
{
    return end_with(run, NULL, NULL, status, errors, 0);
}

enum err batch_run_finalize(struct batch_run *run, struct batch_caller *c)
{
    struct writing        output, error;
    struct file_keep     *output_file, *error_file;
    struct batch_finalize f = { run->row.number, run->row.claim, clock_unix_ms() };
    int64_t               unrun = run->row.total - run->row.completed - run->row.failed;
    str                   status = run->cancelling ? BATCH_CANCELLED : unrun ? BATCH_EXPIRED : BATCH_COMPLETED;
    enum err              e = store_run(run->runner->o.store, batch_finalize_job, &f);

    writing_init(&output, run, c);
    writing_init(&error, run, c);
    if (!e && run->row.completed)
        e = write_ends(run, &output, true);
    if (!e && run->row.failed)
        e = write_ends(run, &error, false);
    if (!e && unrun)
        e = write_unrun(run, &error);
    output_file = kept(run, &output, "output", &e);
    error_file = kept(run, &error, "error", &e);
    if (!e)
        e = end_with(run, output_file, error_file, status, (str){ 0 }, unrun);
    lane_run(c->services->files, drop_job, &output); /* unless they have been kept */
    lane_run(c->services->files, drop_job, &error);
    arena_free(&output.line);
    arena_free(&error.line);
    return e;
}
