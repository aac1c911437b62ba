/* tuning.c - fine-tuning jobs: making them, and running them. Spec: platform.md §6.1–6.3. */
#include "service/tuning.h"

#include "access/account.h"
#include "access/admission.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/price.h"
#include "contract/tuning_params.gen.h"
#include "engine/media/media.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "service/task_output.h"
#include "service/training_check.h"
#include "service/training_file.h"
#include "service/tuning_trainer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define POLL_US INT64_C(500000) /* how late a job is found that another process left */

/* ---- making ---- */

bool tuning_can_train(const struct model *m)
{
    return model_is_served(m) && (model_on_path(m, MODEL_PATH_TEXT) || model_on_path(m, MODEL_PATH_MULTIMODAL)) &&
           m->out & BIT(MODEL_TEXT);
}

bool tuning_is_portrait(const struct model *m)
{
    return model_is_served(m) && model_on_path(m, MODEL_PATH_FINE_TUNES);
}

/* The catalogue's model behind a name, and what the engine calls it that came of an earlier job. */
SUSPENDS static enum err find_base(struct request *rq, str name, const struct model **ret, str *ret_served)
{
    struct tuning_model_get g = { .arena = rq->arena, .name = name, .workspace = rq->workspace };
    enum err                e;

    *ret = request_model(rq, name);
    if (*ret)
        return tuning_can_train(*ret) || tuning_is_portrait(*ret) ? OK
                                                                  : fail_url_model_mismatch(&rq->fault); /* REF: E052 */
    e = store_run(rq->services->store, tuning_model_job, &g);
    if (e && e != ERR_NOT_FOUND)
        return e;
    *ret = e ? NULL : request_model(rq, g.row.base);
    *ret_served = g.row.served;
    return *ret ? OK : fail_model_not_found_native(&rq->fault); /* REF: E031 */
}

/* Whose files are seen: all of the account's, or the workspace's own (service/files.h). */
static str seen_by(const struct request_settings *settings, str workspace)
{
    return settings->files.per_workspace ? workspace : (str){ 0 };
}

/* REF: E059: missing, empty, no list of texts, or of files that are not there. */
SUSPENDS static enum err check_files(struct request *rq, yyjson_val *ids, bool needed)
{
    yyjson_val *id;
    size_t      i, n;

    if (!ids && !needed)
        return OK;
    if (!yyjson_is_arr(ids) || (needed && !yyjson_arr_size(ids)) || yyjson_arr_size(ids) > TUNING_FILES_MAX)
        return fail_training_files_missing(&rq->fault);
    yyjson_arr_foreach(ids, i, n, id)
    {
        struct training_file f;
        enum err             e = json_str(id).len ? training_file_find(rq->services, rq->arena,
                                                                       seen_by(rq->settings, rq->workspace), json_str(id), &f)
                                                  : ERR_NOT_FOUND;

        if (e == ERR_NOT_FOUND)
            return fail_training_files_missing(&rq->fault);
        if (e)
            return e;
    }
    return OK;
}

/* Members as they were sent, to be echoed. */
static void add_member(struct buf *b, struct arena *a, yyjson_val *root, const char *name, str otherwise)
{
    yyjson_val *v = json_get(root, name);

    buf_addf(b, "%s\"%s\":", b->len > 1 ? "," : "", name);
    buf_add(b, v ? json_text(a, v) : otherwise);
}

static str body_of(struct arena *a, yyjson_val *root)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    add_member(&b, a, root, "training_file_ids", S("[]"));
    add_member(&b, a, root, "validation_file_ids", S("[]"));
    add_member(&b, a, root, "hyper_parameters", S("{}"));
    buf_add_char(&b, '}');
    return buf_str(&b);
}

/* "ft-202511301842-1a2b": platform.md §0.6. */
static str make_id(struct arena *a, int64_t now_ms)
{
    time_t    seconds = (time_t)((now_ms + TASK_ZONE_MS) / 1000);
    struct tm tm;
    char      digits[4];

    gmtime_r(&seconds, &tm);
    rand_hex(digits, sizeof(digits));
    return arena_printf(a, "ft-%04d%02d%02d%02d%02d-%.*s", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
                        tm.tm_min, (int)sizeof(digits), digits);
}

/* <base>-<suffix>-ft-…, or the name that was asked for. */
static str output_of(struct arena *a, const struct tuning_input *in, str base, str id)
{
    const char *dash = in->suffix.len ? "-" : "";

    if (in->model_name.len)
        return arena_printf(a, "%.*s%s%.*s", STR_ARG(in->model_name), dash, STR_ARG(in->suffix));
    return arena_printf(a, "%.*s%s%.*s-%.*s", STR_ARG(base), dash, STR_ARG(in->suffix), STR_ARG(id));
}

SUSPENDS static enum err read_job(struct request *rq, yyjson_val *body, struct tuning_input *in,
                                  const struct model **ret_base, str *ret_served)
{
    yyjson_val *hyper = json_get(body, "hyper_parameters");
    enum err    e = params_read(rq, &tuning_params_native_body, body, NULL, in);

    if (e)
        return e;
    if (!in->model.len)
        return fail_model_missing_native(&rq->fault); /* REF: E161 */
    rq->model_name = in->model;
    e = find_base(rq, in->model, ret_base, ret_served);
    if (!e)
        e = account_permits(rq, *ret_base);
    if (!e)
        e = check_files(rq, json_get(body, "training_file_ids"), true);
    if (!e)
        e = check_files(rq, json_get(body, "validation_file_ids"), false);
    if (e)
        return e;
    if (hyper && !yyjson_is_obj(hyper))
        return fail_parameter_missing_named(&rq->fault, S("hyper_parameters"));
    e = params_read(rq, &tuning_params_native_hyper_parameters, hyper, NULL, in);
    if (e)
        return e;
    if (in->model_name.len && !param_name_ok(&tuning_output, in->model_name))
        return fail_parameter_missing_named(&rq->fault, S("model_name"));
    if (in->suffix.len && !param_name_ok(&tuning_suffix, in->suffix))
        return fail_parameter_missing_named(&rq->fault, S("finetuned_output_suffix"));
    return OK;
}

enum err tuning_create(struct request *rq, yyjson_val *body, struct tuning_job *ret)
{
    const struct request_tuning *set = &rq->settings->tuning;
    struct tuning_create         c = { .unfinished_max = set->unfinished_max, .kept_max = set->kept_max };
    struct tuning_input          in = { 0 };
    const struct model          *base = NULL;
    struct tuning_job           *j = &c.row;
    enum err                     e;

    might_suspend();
    e = read_job(rq, body, &in, &base, &j->served);
    if (e)
        return e;
    j->create_ms = clock_unix_ms();
    j->id = make_id(rq->arena, j->create_ms);
    j->workspace = rq->workspace;
    j->key = rq->key_id;
    j->name = in.job_name.len ? in.job_name : j->id;
    j->model = in.model;
    j->base = base->id;
    j->type = json_str(json_get(body, "training_type"));
    j->body = body_of(rq->arena, body);
    j->output = output_of(rq->arena, &in, base->id, j->id);
    j->status = TUNING_PENDING;
    if (in.model_name.len && request_model(rq, j->output))
        return fail_tuning_model_exists(&rq->fault, j->output); /* REF: W621 */
    rq->action = "making a job of fine-tuning";
    e = store_run_together(rq->services->store, tuning_create_job, NULL, &c);
    if (e == ERR_EXISTS)
        return fail_tuning_model_exists(&rq->fault, j->output);
    if (e == ERR_LIMIT)
        return c.over_unfinished ? fail_tuning_jobs_running(&rq->fault)              /* REF: W622 */
                                 : fail_tuning_jobs_kept(&rq->fault, set->kept_max); /* REF: W623 */
    if (e)
        return e;
    *ret = *j;
    tuning_wake(rq->services->tuning);
    return OK;
}

enum err tuning_cancel(struct request *rq, str id)
{
    struct tuning_cancel c = { .id = id, .workspace = rq->workspace, .now_ms = clock_unix_ms() };
    enum err             e;

    might_suspend();
    c.last = arena_printf(rq->arena, "%.*s %.*s", STR_ARG(TUNING_CANCELED), STR_ARG(TUNING_COMPLETE));
    e = store_run_together(rq->services->store, tuning_cancel_job, NULL, &c);
    if (e == ERR_NOT_FOUND)
        return fail_resource_not_found(&rq->fault); /* REF: E201 */
    if (e == ERR_INVALID)
        return fail_tuning_job_ended(&rq->fault); /* REF: W620 */
    if (!e)
        tuning_wake(rq->services->tuning);
    return e;
}

enum err tuning_delete(struct request *rq, str id)
{
    struct tuning_delete d = { .id = id, .workspace = rq->workspace };
    enum err             e;

    might_suspend();
    e = store_run_together(rq->services->store, tuning_delete_job, NULL, &d);
    if (e == ERR_NOT_FOUND)
        return fail_resource_not_found(&rq->fault); /* REF: E201 */
    if (e == ERR_INVALID)
        return fail_operation_unsupported(&rq->fault); /* REF: E178 */
    if (!e)
        tuning_folder_remove(rq->services, id);
    return e;
}

enum err tuning_forget(struct request *rq)
{
    enum err e;

    might_suspend();
    e = store_run(rq->services->store, tuning_reset_job, NULL);
    if (e)
        return e;
    tuning_wake(rq->services->tuning); /* what runs has lost its job */
    tuning_folder_remove(rq->services, (str){ 0 });
    return OK;
}

/* ---- running ---- */

struct run {
    struct run           *next;
    struct tuning_runner *runner;
    struct fiber         *fiber;
    struct arena          arena;
    struct tuning_job     job; /* in the arena */
    bool                  lost, canceling, over;

    const struct request_settings *settings;
    struct services               *services;
    struct fault                   fault;
    struct tuning_input            in;
    yyjson_val                    *body;
    bool                           portrait;
    struct training_totals         train, validation; /* of all files */
    int64_t                        samples, steps;

    /* What waits to be written to the log. */
    struct arena              note_arena;
    struct tuning_line       *lines;
    size_t                    line_count, line_cap;
    struct tuning_checkpoint *checkpoints;
    size_t                    checkpoint_count, checkpoint_cap;
};

struct tuning_runner {
    struct loop                 *loop;
    struct tuning_runner_options o;
    char                         owner[16];
    struct fiber                *fiber; /* NULL: not started, or at its end */
    struct run                  *runs;
    size_t                       run_count;
    int64_t                      beat_us;
    bool                         news, stopping;
    void (*then)(void *arg);
    void *then_arg;
};

static void wake_here(void *arg)
{
    struct tuning_runner *r = arg;

    r->news = true;
    r->beat_us = 0; /* one may be to be cancelled */
    if (r->fiber)
        fiber_wake(r->fiber);
}

void tuning_wake(struct tuning_runner *r)
{
    loop_post(r->loop, wake_here, r);
}

/* ---- the log of a run ---- */

static void *grow(struct arena *a, void *rows, size_t count, size_t *cap, size_t size)
{
    if (count < *cap)
        return rows;
    *cap = 2 * *cap + 8;
    return arena_realloc(a, rows, count * size, *cap * size);
}

static void say_text(struct run *run, str text)
{
    run->lines = grow(&run->note_arena, run->lines, run->line_count, &run->line_cap, sizeof(*run->lines));
    run->lines[run->line_count++] = (struct tuning_line){ clock_unix_ms(), arena_str(&run->note_arena, text) };
}

static void PRINTF_LIKE(2, 3) say(struct run *run, const char *fmt, ...)
{
    char    text[1024];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    say_text(run, str_from_cstr(text));
}

static void add_checkpoint(struct run *run, str name, str served)
{
    run->checkpoints = grow(&run->note_arena, run->checkpoints, run->checkpoint_count, &run->checkpoint_cap,
                            sizeof(*run->checkpoints));
    run->checkpoints[run->checkpoint_count++] =
        (struct tuning_checkpoint){ .name = arena_str(&run->note_arena, name),
                                    .served = arena_str(&run->note_arena, served),
                                    .create_ms = clock_unix_ms() };
}

static struct tuning_note note_of(struct run *run)
{
    struct tuning_runner *r = run->runner;

    return (struct tuning_note){ .owner = str_of(r->owner, sizeof(r->owner)),
                                 .id = run->job.id,
                                 .claim = run->job.claim,
                                 .lines = run->lines,
                                 .line_count = run->line_count,
                                 .checkpoints = run->checkpoints,
                                 .checkpoint_count = run->checkpoint_count };
}

static void forget_note(struct run *run)
{
    arena_reset(&run->note_arena);
    run->lines = NULL;
    run->checkpoints = NULL;
    run->line_count = run->line_cap = run->checkpoint_count = run->checkpoint_cap = 0;
}

/* Writes what waits. ERR_CANCELLED: the job is somebody else's now, or is to stop. */
SUSPENDS static enum err flush(struct run *run)
{
    struct tuning_note n = note_of(run);
    enum err           e = OK;

    if (n.line_count || n.checkpoint_count) {
        e = store_run_together(run->runner->o.store, tuning_note_job, NULL, &n);
        forget_note(run);
    }
    if (e == ERR_NOT_FOUND)
        run->lost = true;
    return run->lost || run->canceling || run->runner->stopping ? ERR_CANCELLED : e;
}

/* ---- the files of a run ---- */

static enum training_kind kind_of(str type)
{
    return words_have(TUNING_TYPES_DPO, type)   ? TRAINING_DPO
           : words_have(TUNING_TYPES_CPT, type) ? TRAINING_CPT
                                                : TRAINING_SFT;
}

static str type_of(const struct run *run)
{
    str types = TUNING_TYPES_SFT;

    return run->job.type.len ? run->job.type : str_cut(&types, ' ');
}

struct step {
    struct training_check *check;
    enum err               e;
};

static void step_job(void *arg)
{
    struct step *s = arg;

    s->e = training_check_step(s->check);
}

static void tell_problems(struct run *run, str name, const struct training_check *c)
{
    const struct training_totals  *t = training_check_totals(c);
    const struct training_problem *p;
    size_t                         count;

    p = training_check_problems(c, &count);
    for (size_t i = 0; i < count; i++)
        say(run, "%.*s, line %lld: %.*s", STR_ARG(name), (long long)p[i].line, STR_ARG(p[i].reason));
    if (t->bad > (int64_t)count)
        say(run, "%.*s: and %lld more such lines", STR_ARG(name), (long long)t->bad - (long long)count);
    say(run, "%.*s: %lld samples, %lld good, %lld tokens%s", STR_ARG(name), (long long)t->lines,
        (long long)(t->lines - t->bad), (long long)t->tokens, t->cut ? "" : "; none is too long");
    if (t->cut)
        say(run, "%.*s: %lld samples are longer than max_length and are cut there", STR_ARG(name), (long long)t->cut);
}

static void add_totals(struct training_totals *to, const struct training_totals *t)
{
    to->lines += t->lines;
    to->bad += t->bad;
    to->tokens += t->tokens;
    to->cut += t->cut;
}

/* Every line of it, a piece at a time: in between the run can be cancelled. */
SUSPENDS static enum err read_file(struct run *run, str name, int fd, struct training_totals *totals)
{
    struct step s = { .check = training_check_open(fd, kind_of(run->job.type), run->services->tokenizer,
                                                   run->in.max_length.set ? run->in.max_length.v : TUNING_MAX_LENGTH) };
    const struct training_totals *t = training_check_totals(s.check);
    enum err                      e = OK;

    while (!e && !s.e) {
        lane_run(run->services->files, step_job, &s);
        e = flush(run);
    }
    if (e) {
        training_check_close(s.check);
        return e;
    }
    if (t->lines)
        tell_problems(run, name, s.check);
    add_totals(totals, t);
    if (s.e == ERR_INVALID)
        say(run, "%.*s: %.*s", STR_ARG(name), STR_ARG(training_check_broken(s.check)));
    if (s.e != ERR_EOF || !t->lines)
        e = fail_training_data_empty(&run->fault, name);
    else if (t->bad)
        e = fail_training_data_invalid(&run->fault, name, t->bad, t->lines, type_of(run));
    training_check_close(s.check);
    return e;
}

/* A picture of whom a portrait is trained on. Without a media engine it is taken on trust. */
SUSPENDS static enum err read_picture(struct run *run, const struct training_file *f, int fd,
                                      struct training_totals *totals)
{
    struct media_facts *facts = arena_new(&run->arena, struct media_facts);
    enum err            e = OK;

    if (run->services->media)
        e = media_inspect_hashed(run->services->media, fd, f->hash, &run->arena, facts);
    close(fd);
    if (e == ERR_CANCELLED)
        return e;
    totals->lines++;
    if (run->services->media && (e || facts->kind != MEDIA_IMAGE || facts->width <= 0 || facts->truncated)) {
        totals->bad++;
        return fail_training_picture_invalid(&run->fault, f->name);
    }
    if (run->services->media)
        say(run, "%.*s: a picture of %d by %d", STR_ARG(f->name), (int)facts->width, (int)facts->height);
    return flush(run);
}

SUSPENDS static enum err check_file(struct run *run, str id, struct training_totals *totals)
{
    struct training_file f;
    int                  fd;
    enum err e = training_file_find(run->services, &run->arena, seen_by(run->settings, run->job.workspace), id, &f);

    if (!e)
        e = training_file_open(run->services, &f, &fd);
    if (e == ERR_NOT_FOUND) {
        say(run, "the file %.*s has been deleted", STR_ARG(id));
        return fail_training_data_empty(&run->fault, id);
    }
    if (e)
        return e;
    say(run, "reading %.*s (%.*s, %lld bytes)", STR_ARG(f.name), STR_ARG(id), (long long)f.bytes);
    return run->portrait ? read_picture(run, &f, fd, totals) : read_file(run, f.name, fd, totals);
}

/* All of them are read before the first refusal counts: a job's log tells all that is wrong. */
SUSPENDS static enum err check_all(struct run *run, const char *member, struct training_totals *totals)
{
    yyjson_val  *ids = json_get(run->body, member), *id;
    size_t       i, n;
    enum err     first = OK;
    struct fault fault = { 0 };

    yyjson_arr_foreach(ids, i, n, id)
    {
        enum err e = check_file(run, json_str(id), totals);

        if (e && e != ERR_FAULT)
            return e;
        if (e && !first) {
            first = e;
            fault = run->fault;
        }
    }
    if (first)
        run->fault = fault;
    return first;
}

/* ---- how much it is ---- */

static int64_t or_default(opt_int v, int64_t otherwise)
{
    return v.set ? v.v : otherwise;
}

/* Of `all`, the share that `part` is of `whole`. */
static int64_t share(int64_t all, int64_t part, int64_t whole)
{
    return whole ? (int64_t)((double)all / (double)whole * (double)part) : 0;
}

static void say_cost(struct run *run)
{
    const struct model *m = model_find(run->job.base);
    enum price_region   region = run->settings->limits.region == MODEL_CN ? PRICE_CN : PRICE_INTL;
    const struct price *p = m ? m->prices[region] : NULL;
    char                cost[PRICE_TEXT_MAX], each[PRICE_TEXT_MAX];
    int64_t             amount;

    if (!p || p->unit != PRICE_TOKENS || !p->rows[0].amount[PRICE_IN]) {
        say(run, "what training costs is not published, and nor is a price of %.*s", STR_ARG(run->job.base));
        return;
    }
    amount = p->rows[0].amount[PRICE_IN];
    price_format(each, amount);
    price_format(cost, (int64_t)((double)run->job.usage / 1e6 * (double)amount));
    say(run,
        "about %s %.*s, at the price of %.*s's input tokens (%s a million): that of training is not published, and nothing is booked",
        cost, STR_ARG(price_currency(region)), STR_ARG(run->job.base), each);
}

/* Which samples are trained on, how often, and how many tokens that is. REF: platform.md §6.2 (split). */
static void plan(struct run *run)
{
    int64_t epochs = or_default(run->in.epochs, TUNING_EPOCHS),
            batch = or_default(run->in.batch_size, TUNING_BATCH_SIZE);
    int64_t lines = run->train.lines, held_out = 0;

    if (!run->validation.lines) {
        double split = run->in.split.set ? run->in.split.v : TUNING_SPLIT_PERMILLE / 1000.0;

        held_out = min_i64(lines - max_i64((int64_t)((double)lines * split), 1),
                           or_default(run->in.validation_max, TUNING_VALIDATION_SAMPLES));
    }
    run->samples = lines - held_out;
    run->job.usage = share(run->train.tokens, run->samples, lines) * epochs;
    run->steps = (run->samples + batch - 1) / batch * epochs;
    say(run, "%lld samples to train on, %lld to validate with; %lld epochs of %lld, %lld steps, %lld tokens",
        (long long)run->samples, (long long)(held_out + run->validation.lines), (long long)epochs, (long long)batch,
        (long long)run->steps, (long long)run->job.usage);
    say_cost(run);
}

/* ---- without a trainer ---- */

/* The steps behind which a checkpoint is kept: each epoch's, or each save_steps'. */
static void alias_checkpoints(struct run *run)
{
    int64_t epochs = or_default(run->in.epochs, TUNING_EPOCHS);
    int64_t every = run->in.save_strategy == TUNING_SAVE_STEPS && run->in.save_steps.set
                        ? run->in.save_steps.v
                        : max_i64(run->steps / epochs, 1);
    int64_t count = run->steps / every, kept = min_i64(or_default(run->in.save_total, TUNING_CHECKPOINTS_MAX), count);

    for (int64_t i = count - kept + 1; i <= count; i++)
        add_checkpoint(run, arena_printf(&run->note_arena, "checkpoint-%lld", (long long)(i * every)), run->job.served);
}

static void make_alias(struct run *run)
{
    say(run, "no trainer is configured (tuning.trainer): nothing has been trained");
    say(run, "%.*s is an alias of %.*s, and so are its checkpoints: they answer as it does", STR_ARG(run->job.output),
        STR_ARG(run->job.base));
    if (!run->portrait)
        alias_checkpoints(run);
}

/* ---- with one ---- */

static void on_trainer_line(void *arg, str line)
{
    say_text(arg, line);
}

static void on_trainer_checkpoint(void *arg, str name, str served)
{
    add_checkpoint(arg, name, served);
}

SUSPENDS static enum err flush_of(void *arg)
{
    return flush(arg);
}

SUSPENDS static enum err train(struct run *run)
{
    struct tuning_trainer t = { .words = run->settings->tuning.trainer,
                                .word_count = run->settings->tuning.trainer_count,
                                .grace_ms = run->settings->tuning.grace_ms,
                                .loop = run->runner->loop,
                                .services = run->services,
                                .arena = &run->arena,
                                .job = &run->job,
                                .body = run->body,
                                .samples = run->samples,
                                .steps = run->steps,
                                .fault = &run->fault,
                                .line = on_trainer_line,
                                .checkpoint = on_trainer_checkpoint,
                                .flush = flush_of,
                                .arg = run };

    return tuning_train(&t);
}

/* ---- from its claim to its end ---- */

SUSPENDS static enum err run_job(struct run *run)
{
    struct request      rq = { .arena = &run->arena, .settings = run->settings, .surface = SURFACE_NATIVE };
    const struct model *base;
    enum err            e;

    if (run->job.claim > run->runner->o.lost_max)
        return fail_tuning_lost(&run->fault, run->job.claim - 1);
    run->body = json_parse_copy(&run->arena, run->job.body);
    if (params_read(&rq, &tuning_params_native_hyper_parameters, json_get(run->body, "hyper_parameters"), NULL,
                    &run->in)) {
        run->fault = rq.fault; /* it was made by another version, with other ranges */
        return ERR_FAULT;
    }
    base = model_find(run->job.base);
    run->portrait = base && tuning_is_portrait(base);
    if (run->job.claim > 1)
        say(run, "run %lld: the one before was lost with its server", (long long)run->job.claim);
    say(run, "%.*s of %.*s begins", STR_ARG(run->portrait ? S("a portrait") : type_of(run)), STR_ARG(run->job.model));
    e = check_all(run, "training_file_ids", &run->train);
    if (!e || e == ERR_FAULT) {
        struct fault fault = run->fault;
        enum err     more = check_all(run, "validation_file_ids", &run->validation);

        if (e)
            run->fault = fault;
        e = more && more != ERR_FAULT ? more : e ? e : more;
    }
    if (e)
        return e;
    if (!run->portrait)
        plan(run);
    e = flush(run);
    if (e)
        return e;
    if (run->settings->tuning.trainer_count)
        return train(run);
    make_alias(run);
    return OK;
}

static void fill_end(struct run *run, enum err e, struct tuning_job *row)
{
    struct fault_view v;

    *row = (struct tuning_job){ .id = run->job.id,
                                .claim = run->job.claim,
                                .end_ms = clock_unix_ms(),
                                .status = TUNING_SUCCEEDED,
                                .served = run->job.served,
                                .usage = run->job.usage };
    if (!e)
        return;
    row->usage = 0;
    row->status = TUNING_CANCELED;
    if (e == ERR_CANCELLED)
        return;
    if (e != ERR_FAULT) {
        (void)fail_internal_error(&run->fault);
        (void)fault_detail(&run->fault, str_from_cstr(err_text(e)));
    }
    fault_render(&run->fault, &run->settings->wording, &run->arena, &v);
    row->status = TUNING_FAILED;
    row->code = v.code;
    row->message = v.message;
}

SUSPENDS static void end_run(struct run *run, enum err e)
{
    struct tuning_end n = { 0 };

    fill_end(run, e, &n.row);
    if (n.row.message.len)
        say_text(run, n.row.message);
    say(run, "%.*s %.*s", STR_ARG(n.row.status), STR_ARG(TUNING_COMPLETE));
    n.note = note_of(run);
    n.makes_model = !run->portrait;
    e = store_run_together(run->runner->o.store, tuning_end_job, NULL, &n);
    if (e == ERR_NOT_FOUND)
        return; /* somebody else has it: that is its end */
    if (e)
        log_error("fine-tuning %.*s: its end cannot be written; it is run again when its lease has lapsed",
                  STR_ARG(run->job.id));
    else
        log_info("fine-tuning %.*s: %.*s%s%.*s, model %.*s", STR_ARG(run->job.id), STR_ARG(n.row.status),
                 n.row.code.len ? " " : "", STR_ARG(n.row.code), STR_ARG(run->job.output));
}

SUSPENDS static void give_back(struct run *run)
{
    struct tuning_release t = { str_of(run->runner->owner, sizeof(run->runner->owner)), run->job.id, run->job.claim };

    (void)flush(run);
    (void)store_run(run->runner->o.store, tuning_release_job, &t); /* else its lease lapses */
}

static void run_main(void *arg)
{
    struct run           *run = arg;
    struct tuning_runner *r = run->runner;
    enum err              e;

    run->services = r->o.hold(r->o.arg, &run->settings);
    e = str_eq(run->job.status, TUNING_CANCELING) ? ERR_CANCELLED : run_job(run);
    run->canceling = run->canceling || str_eq(run->job.status, TUNING_CANCELING);
    if (e == ERR_CANCELLED && !run->canceling && !run->lost)
        give_back(run);
    else if (!run->lost)
        end_run(run, e);
    arena_free(&run->arena);
    arena_free(&run->note_arena);
    r->o.release(r->o.arg, run->services);
    run->over = true;
    if (r->fiber)
        fiber_wake(r->fiber);
}

/* ---- the runner ---- */

static void start_run(struct tuning_runner *r, const struct tuning_job *job)
{
    struct run *run = xcalloc(1, sizeof(*run));
    str *const  texts[] = { &run->job.id,     &run->job.workspace, &run->job.key,   &run->job.name,
                            &run->job.model,  &run->job.base,      &run->job.type,  &run->job.body,
                            &run->job.output, &run->job.served,    &run->job.status };

    run->runner = r;
    run->job = *job;
    arena_init(&run->arena, 0);
    arena_init(&run->note_arena, 0);
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(&run->arena, *texts[i]);
    run->next = r->runs;
    r->runs = run;
    r->run_count++;
    run->fiber = fiber_start(r->loop, run_main, run);
}

SUSPENDS static void claim(struct tuning_runner *r)
{
    struct arena        a;
    struct tuning_claim c = { .arena = &a,
                              .owner = str_of(r->owner, sizeof(r->owner)),
                              .now_ms = clock_unix_ms(),
                              .machine_ms = clock_machine_ms(),
                              .lease_ms = r->o.lease_ms,
                              .room = r->o.running_max - r->run_count };

    r->news = false;
    arena_init(&a, 0);
    if (store_run(r->o.store, tuning_claim_job, &c) == OK) { /* a failure is in the log, and tried again */
        for (size_t i = 0; i < c.count; i++)
            start_run(r, &c.rows[i]);
    }
    arena_free(&a);
}

static struct run *find_run(struct tuning_runner *r, const struct tuning_held *h)
{
    for (struct run *run = r->runs; run; run = run->next) {
        if (!run->over && str_eq(run->job.id, h->id) && run->job.claim == h->claim)
            return run;
    }
    return NULL;
}

/* Renews the leases. Who has lost his, or whose job is to be cancelled, stops. */
SUSPENDS static void beat(struct tuning_runner *r)
{
    struct arena       a;
    struct tuning_beat b = { .owner = str_of(r->owner, sizeof(r->owner)),
                             .lease_until_ms = clock_machine_ms() + r->o.lease_ms };

    r->beat_us = loop_now_us(r->loop) + min_i64(r->o.lease_ms * 1000 / 3, POLL_US);
    if (!r->run_count)
        return;
    arena_init(&a, 0);
    b.held = arena_array(&a, struct tuning_held, r->run_count);
    for (struct run *run = r->runs; run; run = run->next) {
        if (!run->over)
            b.held[b.count++] = (struct tuning_held){ .id = arena_str(&a, run->job.id), .claim = run->job.claim };
    }
    if (store_run(r->o.store, tuning_beat_job, &b) == OK) {
        for (size_t i = 0; i < b.count; i++) {
            struct run *run = b.held[i].lost || b.held[i].canceling ? find_run(r, &b.held[i]) : NULL;

            if (!run)
                continue;
            run->lost = b.held[i].lost;
            run->canceling = b.held[i].canceling;
            fiber_cancel(run->fiber);
        }
    }
    arena_free(&a);
}

static void bury(struct tuning_runner *r)
{
    struct run **at = &r->runs;

    while (*at) {
        struct run *run = *at;

        if (!run->over) {
            at = &run->next;
            continue;
        }
        *at = run->next;
        r->run_count--;
        r->news = true; /* there is room */
        free(run);
    }
}

static void runner_over(struct tuning_runner *r)
{
    if (r->then)
        r->then(r->then_arg);
}

static void runner_main(void *arg)
{
    struct tuning_runner *r = arg;
    bool                  cancelled = false;

    while (!r->stopping || r->run_count) {
        if (!r->stopping)
            claim(r);
        if (loop_now_us(r->loop) >= r->beat_us)
            beat(r);
        for (struct run *run = r->runs; run && r->stopping && !cancelled; run = run->next) {
            if (!run->over)
                fiber_cancel(run->fiber);
        }
        cancelled = r->stopping;
        bury(r);
        if (r->stopping ? r->run_count > 0 : !r->news)
            (void)fiber_wait(min_i64(loop_now_us(r->loop) + POLL_US, r->beat_us));
        bury(r);
    }
    r->fiber = NULL;
    runner_over(r);
}

struct tuning_runner *tuning_runner_open(struct loop *l, const struct tuning_runner_options *o)
{
    struct tuning_runner *r = xcalloc(1, sizeof(*r));

    r->loop = l;
    r->o = *o;
    rand_hex(r->owner, sizeof(r->owner));
    return r;
}

void tuning_runner_start(struct tuning_runner *r)
{
    r->fiber = fiber_start(r->loop, runner_main, r);
}

void tuning_runner_stop(struct tuning_runner *r, void (*then)(void *arg), void *arg)
{
    r->stopping = true;
    r->then = then;
    r->then_arg = arg;
    if (r->fiber)
        fiber_wake(r->fiber);
    else
        runner_over(r);
}

void tuning_runner_free(struct tuning_runner *r)
{
    free(r);
}
