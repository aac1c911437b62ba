/* embed_task.c - asynchronous text embedding.
 *
 * The file is read, and the result written, piece by piece on the lane of files: neither is ever in memory as a whole. A line
 * that cannot be embedded has its refusal in its place of the result; when that is so of all lines, the task has failed.
 * Empty lines have no place in it, but count.
 */
#include "service/embed_task.h"

#include "base/num.h"
#include "base/utf8.h"
#include "contract/embed_body.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "fetch/fetch.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "service/embed.h"
#include "service/line_file.h"
#include "service/whole.h"
#include "store/results.h"
#include "tokens/count_memo.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
#include <zlib.h>

#define RESULT_NAME S("output.txt.gz")

enum {
    BATCH = 16,               /* lines that are embedded, and written, at once */
    LINE_MAX_BYTES = 1 << 18, /* a longer one has too many tokens whatever it says */
};

/* REF: E159, E162, E149. */
enum err embed_task_read(struct request *rq, yyjson_val *body, struct embed_input *in, str *ret_url)
{
    yyjson_val *input = json_get(body, "input"), *parameters = json_get(body, "parameters");
    str         url;

    if (!input)
        return fail_input_missing(&rq->fault);
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault);
    url = json_str(json_get(input, "url"));
    if (str_find_str(url, S("://")) == STR_NONE)
        return fail_url_required(&rq->fault);
    if (parameters && !yyjson_is_obj(parameters))
        return fail_parameter_missing_named(&rq->fault, S("parameters"));
    *ret_url = url;
    return params_read(rq, &embed_params_native_parameters, parameters, in->model, in);
}

/* ---- lines ---- */

struct line {
    str           text;
    int64_t       number;        /* from 0 */
    str           code, message; /* why it is refused; empty: it is not */
    const double *vector;
};

/* The file on one side, the result on the other; jobs of the lane use it while the fiber waits. */
struct files {
    struct line_file in;
    bool             ended;
    gzFile           out;
    /* of one batch */
    struct arena *arena;
    struct line   lines[BATCH];
    size_t        count, dimension;
    int64_t       lines_max;
    str           request_id;
    enum err      e; /* ERR_LIMIT: too many lines; ERR_INVALID: no text */
};

static void read_job(void *arg)
{
    struct files *f = arg;
    str           text;

    f->count = 0;
    while (f->count < BATCH && !f->e && !f->ended) {
        f->e = line_file_next(&f->in, f->arena, &text);
        f->ended = f->e == ERR_EOF;
        if (f->ended)
            f->e = OK;
        else if (!f->e && f->in.number > f->lines_max)
            f->e = ERR_LIMIT;
        else if (!f->e && text.len <= LINE_MAX_BYTES && !utf8_valid(text))
            f->e = ERR_INVALID;
        else if (!f->e && str_trim(text).len)
            f->lines[f->count++] = (struct line){ .text = text, .number = f->in.number - 1 };
    }
}

/* {"output":{"code":200,"embedding":[…],"message":"Success","text_index":0},"request_id":…} */
static void write_job(void *arg)
{
    struct files *f = arg;
    struct buf    b;

    buf_init(&b, f->arena, SIZE_MAX / 2);
    for (size_t i = 0; i < f->count; i++) {
        const struct line *l = &f->lines[i];

        if (l->code.len) {
            buf_add(&b, S("{\"output\":{\"code\":"));
            json_add_str(&b, l->code);
            buf_add(&b, S(",\"embedding\":[],\"message\":"));
            json_add_str(&b, l->message);
        } else {
            buf_add(&b, S("{\"output\":{\"code\":200,\"embedding\":"));
            json_add_nums(&b, l->vector, f->dimension);
            buf_add(&b, S(",\"message\":\"Success\""));
        }
        json_add_count(&b, S(",\"text_index\":"), l->number);
        buf_add(&b, S("},\"request_id\":"));
        json_add_str(&b, f->request_id);
        buf_add(&b, S("}\n"));
    }
    if (b.len && gzwrite(f->out, b.ptr, (unsigned)b.len) != (int)b.len)
        f->e = ERR_IO;
}

/* ---- the result's file ---- */

struct output {
    struct results *results;
    str             task;
    char            path[RESULT_PATH_MAX];
    int             fd; /* -1: closed */
    gzFile          gz;
    enum err        e;
};

static void output_open(void *arg)
{
    struct output *o = arg;

    o->e = results_create(o->results, o->task, o->path, &o->fd);
    /* digits: stronger takes long and gains little */
    o->gz = o->e ? NULL : gzdopen(fcntl(o->fd, F_DUPFD_CLOEXEC, 0), "wb1");
    if (!o->e && !o->gz)
        o->e = ERR_IO;
}

static void output_keep(void *arg)
{
    struct output *o = arg;
    int            r = gzclose(o->gz);

    o->gz = NULL;
    o->e = r == Z_OK ? results_keep(o->results, o->task, o->path, o->fd, RESULT_NAME) : ERR_IO;
    if (r == Z_OK)
        o->fd = -1;
}

/* Of a run that has not come so far. */
static void output_drop(void *arg)
{
    struct output *o = arg;

    if (o->gz)
        gzclose(o->gz);
    if (o->fd >= 0)
        results_drop(o->results, o->task, o->path, o->fd);
}

/* ---- the run ---- */

/* A line that is too long is refused alone (E008). */
SUSPENDS static void check_line(struct request *rq, const struct model *m, struct line *l)
{
    struct services  *s = rq->services;
    struct fault      f = { 0 };
    struct fault_view v;
    int64_t tokens = l->text.len > LINE_MAX_BYTES ? INT64_MAX : (int64_t)count_memo_get(s->memo, s->tokenizer, l->text);

    if (m->input_max <= 0 || tokens <= m->input_max)
        return;
    (void)fail_input_length_range(&f, m->input_max);
    fault_render(&f, &rq->settings->wording, rq->arena, &v);
    l->code = v.code;
    l->message = v.message;
}

SUSPENDS static enum err embed_batch(struct request *rq, struct embed_input *in, struct files *f, int64_t *tokens,
                                     bool *ret_some)
{
    str                 texts[BATCH];
    struct embed_answer answer;
    size_t              count = 0;
    enum err            e;

    for (size_t i = 0; i < f->count; i++) {
        check_line(rq, in->model, &f->lines[i]);
        if (!f->lines[i].code.len)
            texts[count++] = f->lines[i].text;
    }
    if (!count)
        return OK;
    in->texts = texts;
    in->text_count = count;
    fiber_deadline_set(rq->settings->call_ms > 0 ? loop_now_us(fiber_loop()) + rq->settings->call_ms * 1000
                                                 : DEADLINE_NONE);
    e = whole_moderate(rq, texts, count); /* REF: E100b, E101, E179 */
    if (!e)
        e = embed_texts(rq, in, &answer);
    fiber_deadline_set(DEADLINE_NONE);
    if (e == ERR_TIMEOUT)
        return fail_request_timeout(&rq->fault); /* REF: E230a */
    if (e)
        return e;
    *tokens += rq->usage.prompt_tokens;
    *ret_some = true;
    f->dimension = answer.dimension;
    count = 0;
    for (size_t i = 0; i < f->count; i++) {
        if (!f->lines[i].code.len)
            f->lines[i].vector = answer.vectors[count++].dense;
    }
    return OK;
}

static enum err refuse_lines(struct request *rq, struct files *f)
{
    if (f->e == ERR_LIMIT)
        return fail_input_download_failed_detail(
            &rq->fault, arena_printf(rq->arena, "it has more than %lld lines", (long long)f->lines_max));
    return f->e == ERR_INVALID ? fail_file_type_not_txt(&rq->fault) : f->e;
}

/* All batches. The request works with the batch's arena meanwhile; that of a refusal stays. */
SUSPENDS static enum err embed_lines(struct task *t, struct embed_input *in, struct files *f, struct arena *batch)
{
    struct request *rq = t->rq;
    struct arena   *whole = rq->arena;
    int64_t         tokens = 0;
    bool            some = false, any = false;
    enum err        e = OK;

    rq->arena = f->arena = batch;
    while (!e && !f->ended) {
        arena_reset(batch);
        lane_run(rq->services->files, read_job, f);
        any |= f->count > 0;
        e = f->e ? refuse_lines(rq, f) : embed_batch(rq, in, f, &tokens, &some);
        if (!e)
            lane_run(rq->services->files, write_job, f);
        if (!e)
            e = f->e;
        if (!e)
            e = fiber_wait(0) == ERR_CANCELLED ? ERR_CANCELLED : OK; /* others have their turn */
    }
    rq->arena = whole;
    rq->usage = (struct chat_usage){ .prompt_tokens = tokens };
    if (!e && any && !some)
        e = fail_input_length_range(&rq->fault, in->model->input_max); /* REF: E008 */
    return e;
}

static void free_arena(void *arena)
{
    arena_free(arena);
}

/* The path of the URL ends in .txt. */
static bool is_txt(str url)
{
    url = str_first(url, str_find(url, '#'));
    url = str_first(url, str_find(url, '?'));
    return url.len > 4 && str_eq_nocase(str_from(url, url.len - 4), S(".txt"));
}

enum err embed_task_run(struct task *t)
{
    struct request      *rq = t->rq;
    struct embed_input  *in = arena_new(rq->arena, struct embed_input);
    struct files        *f = arena_new(rq->arena, struct files);
    struct output       *o = arena_new(rq->arena, struct output);
    struct arena        *batch = arena_new(rq->arena, struct arena);
    struct fetch_request want = { .workspace =
                                      rq->workspace, /* whether the call may name uploads was seen when it came */
                                  .model = rq->model_name,
                                  .size_max = rq->settings->tasks.file_max,
                                  .time_ms = rq->settings->tasks.fetch_ms };
    struct fetched       got;
    enum fetch_error     fe;
    enum err             e;

    might_suspend();
    in->model = request_model(rq, rq->model_name);
    in->model_name = rq->model_name;
    if (!in->model)
        return fail_model_not_found_404(&rq->fault); /* gone since it was asked for */
    e = embed_task_read(rq, t->body, in, &want.url);
    if (!e)
        e = embed_check(rq, in);
    if (e)
        return e;
    if (!is_txt(want.url))
        return fail_file_type_not_txt(&rq->fault); /* REF: W240 */
    rq->action = "downloading the file of texts";
    fe = fetch(rq->services->fetcher, rq->arena, &want, &got);
    if (fe == FETCH_CANCELLED)
        return ERR_CANCELLED;
    if (fe) /* REF: E163 */
        return fail_input_download_failed_detail(&rq->fault, fetch_error_text(fe));

    rq->action = "embedding a file of texts";
    arena_init(batch, 0);
    arena_defer(rq->arena, free_arena, batch);
    *o = (struct output){ .results = rq->services->results, .task = t->row->id, .fd = -1 };
    arena_defer(rq->arena, output_drop, o);
    lane_run(rq->services->files, output_open, o);
    if (o->e)
        return o->e;
    *f = (struct files){ .out = o->gz, .lines_max = rq->settings->tasks.lines_max, .request_id = t->row->request_id };
    line_file_init(&f->in, got.fd, LINE_MAX_BYTES, rq->arena);
    in->output = EMBED_DENSE;
    e = embed_lines(t, in, f, batch);
    if (e)
        return e;
    lane_run(rq->services->files, output_keep, o);
    if (o->e)
        return o->e;
    buf_add(&t->output, S(",\"url\":"));
    json_add_str(&t->output, task_result_url(t, RESULT_NAME));
    t->usage = arena_printf(rq->arena, "{\"total_tokens\":%lld}", (long long)rq->usage.prompt_tokens);
    return OK;
}
