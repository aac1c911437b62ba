/* batch_runner.c - running batches. Spec: platform.md §2.3, §2.6. */
#include "service/batch_runner.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "contract/batches_params.gen.h"
#include "contract/errors.gen.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "fetch/fetch.h"
#include "service/batch_check.h"
#include "service/batches.h"
#include "service/files.h"
#include "store/batches.h"

#include <stdlib.h>
#include <unistd.h>

#define POLL_US     INT64_C(1000000) /* how late is noticed what another process or worker did, and the end of a window */
#define AHEAD_LINES ((size_t)1024)   /* read before they are run, */
#define AHEAD_BYTES ((size_t)4 << 20) /* or so much of them */
#define CALLBACK_MS INT64_C(10000)    /* for one call */
#define TRIES_MAX   12                /* then a callback is given up: an hour or so */
#define WRITE_LINES ((size_t)512)     /* ends that are written to a file in one go */

/* A line on its way: read, run, ended. In memory of its own. */
struct line {
    struct line  *next;
    struct arena  arena;
    int64_t       number; /* from 1 */
    str           text;
    bool          good;
    str           result;
    struct charge charge; /* model NULL: it costs nothing */
};

struct queue {
    struct line *first, **last;
    size_t       count;
};

struct run;

/* A fiber that runs lines. */
struct hand {
    struct run   *run;
    struct fiber *fiber; /* NULL: it has ended */
};

struct run {
    struct run          *next;
    struct batch_runner *runner;
    struct fiber        *fiber;
    struct arena         arena;
    struct batch_row     row; /* in the arena */
    int                  fd;  /* of its file; -1: not open */
    int64_t              file_size;
    struct line_file     lines;
    struct lane         *files; /* the process's */
    unsigned char       *done;  /* a bit a line; of those whose end is committed or under way */
    struct queue         todo, ended;
    struct hand         *hands;
    size_t               hand_count;
    bool                 all_read, closing; /* no more lines are read; none is begun any more */
    bool                 cancelling, expired, over;
    bool                 news; /* somebody wants something of it */
    int64_t              beat_us;
};

struct batch_runner {
    struct loop                *loop;
    struct batch_runner_options o;
    char                        owner[16];
    struct fiber               *fiber; /* NULL: not started, or at its end */
    struct run                 *runs;
    size_t                      run_count;
    struct fiber               *teller; /* of ends; NULL: not at it */
    int64_t                     tell_us;
    int64_t                     lines;  /* ended */
    bool                        news, stopping;
    void (*then)(void *arg);
    void *then_arg;
};

static void push(struct queue *q, struct line *l)
{
    l->next = NULL;
    *q->last = l;
    q->last = &l->next;
    q->count++;
}

static struct line *pop(struct queue *q)
{
    struct line *l = q->first;

    if (!l)
        return NULL;
    q->first = l->next;
    if (!q->first)
        q->last = &q->first;
    q->count--;
    return l;
}

static void line_free(struct line *l)
{
    arena_free(&l->arena);
    free(l);
}

static bool is_done(const struct run *run, int64_t line)
{
    return run->done[line / 8] & BIT(line % 8);
}

static void set_done(void *arg, int64_t line)
{
    struct run *run = arg;

    if (line > 0 && line <= run->row.total)
        run->done[line / 8] |= (unsigned char)BIT(line % 8);
}

/* ---- a line ---- */

/* Who sent the batch may have lost his key since: what was begun with it goes on, as the account's. */
static const struct key no_key;

struct caller {
    const struct request_settings *settings;
    struct services               *services;
    struct request                *rq;
};

/* With the newest configuration and account. */
static void caller_open(struct run *run, struct arena *a, struct caller *c)
{
    struct batch_runner *r = run->runner;
    struct request      *rq = arena_new(a, struct request);

    c->services = r->o.hold(r->o.arg, &c->settings);
    c->rq = rq;
    rq->arena = a;
    rq->services = c->services;
    rq->settings = c->settings;
    rq->access = r->o.access;
    rq->account = account_hold(r->o.accounts);
    rq->space = account_workspace(rq->account, run->row.workspace);
    rq->key = account_key_by_id(rq->account, run->row.key);
    if (!rq->key)
        rq->key = &no_key;
    rq->surface = SURFACE_OPENAI;
    rq->workspace = run->row.workspace;
    rq->key_id = run->row.key;
    rq->action = "running a batch";
    rq->started_us = rq->phase_started_us = clock_mono_us();
    rq->arrived_ms = clock_unix_ms();
    rand_uuid(rq->id, '4');
}

static void caller_close(struct run *run, struct caller *c)
{
    account_release(run->runner->o.accounts, c->rq->account);
    run->runner->o.release(run->runner->o.arg, c->services);
}

/* {"id","custom_id","response":{"status_code","request_id","body"},"error"} */
static void add_begin(struct buf *b, const char *id, str custom_id)
{
    buf_addf(b, "{\"id\":\"%s\",\"custom_id\":", id);
    json_add_str(b, custom_id);
}

static void add_error(struct buf *b, const struct fault_view *v)
{
    buf_add(b, S(",\"error\":{\"code\":"));
    json_add_str(b, v->compat_code.len ? v->compat_code : v->code);
    buf_add(b, S(",\"message\":"));
    json_add_str(b, v->message);
    buf_add(b, S("}}"));
}

static str refused_line(struct run *run, struct request *rq, str custom_id)
{
    struct fault_view v;
    struct buf        b;

    fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    add_begin(&b, rq->id, custom_id);
    json_add_count(&b, S(",\"response\":{\"status_code\":"), v.status);
    buf_addf(&b, ",\"request_id\":\"%s\",\"body\":", rq->id);
    buf_add(&b, run->runner->o.refusal(rq, &v));
    buf_add_char(&b, '}');
    add_error(&b, &v);
    return buf_str(&b);
}

static str good_line(struct request *rq, str custom_id, str body)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    (void)buf_room(&b, body.len + custom_id.len + 256);
    add_begin(&b, rq->id, custom_id);
    buf_addf(&b, ",\"response\":{\"status_code\":200,\"request_id\":\"%s\",\"body\":", rq->id);
    buf_add(&b, body);
    buf_add(&b, S("},\"error\":null}"));
    return buf_str(&b);
}

/* The answer of the test model, which no engine is asked for. */
static str test_answer(struct request *rq)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    json_add_count(&b, S("{\"created\":"), rq->arrived_ms / 1000);
    json_add_count(&b, S(",\"usage\":{\"completion_tokens\":"), BATCHES_TEST_COMPLETION_TOKENS);
    json_add_count(&b, S(",\"prompt_tokens\":"), BATCHES_TEST_PROMPT_TOKENS);
    json_add_count(&b, S(",\"total_tokens\":"), BATCHES_TEST_PROMPT_TOKENS + BATCHES_TEST_COMPLETION_TOKENS);
    buf_add(&b, S("},\"model\":"));
    json_add_str(&b, BATCHES_TEST_MODEL);
    buf_addf(
        &b,
        ",\"id\":\"chatcmpl-%s\",\"choices\":[{\"finish_reason\":\"stop\",\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":",
        rq->id);
    json_add_str(&b, BATCHES_TEST_ANSWER);
    buf_add(&b, S("}}],\"object\":\"chat.completion\"}"));
    return buf_str(&b);
}

/* OK: a good answer is in *body. */
SUSPENDS static enum err answer(struct run *run, struct caller *c, const struct batch_request *r, struct line *l,
                                struct buf *body)
{
    struct request *rq = c->rq;
    enum err        e;

    if (str_eq(r->model, BATCHES_TEST_MODEL)) {
        buf_add(body, test_answer(rq));
        return OK;
    }
    if (!rq->space)
        return fail_access_denied(&rq->fault); /* its workspace has been deleted */
    fiber_deadline_set(rq->settings->call_ms > 0 ? loop_now_us(fiber_loop()) + rq->settings->call_ms * 1000
                                                 : DEADLINE_NONE);
    e = run->runner->o.answer(rq, run->row.endpoint, r->body, &l->charge, body);
    fiber_deadline_set(DEADLINE_NONE);
    admit_end(rq);
    if (e == ERR_TIMEOUT)
        return fail_request_timeout(&rq->fault); /* REF: E230a */
    return e;
}

/* ERR_CANCELLED: it has no end. */
SUSPENDS static enum err run_line(struct run *run, struct line *l)
{
    struct batch_request r;
    struct caller        c;
    struct buf           body;
    enum err             e;

    caller_open(run, &l->arena, &c);
    buf_init(&body, &l->arena, SIZE_MAX / 2);
    (void)batch_request_read(&l->arena, l->text, &r); /* it was good when it was looked at */
    e = answer(run, &c, &r, l, &body);
    if (e && e != ERR_FAULT && e != ERR_CANCELLED) {
        (void)fail_internal_error(&c.rq->fault);
        (void)fault_detail(&c.rq->fault, str_from_cstr(err_text(e)));
        e = ERR_FAULT;
    }
    l->good = !e;
    if (e)
        l->charge.model = NULL; /* what fails is free */
    if (!e)
        l->result = good_line(c.rq, r.custom_id, buf_str(&body));
    else if (e == ERR_FAULT)
        l->result = refused_line(run, c.rq, r.custom_id);
    l->charge.workspace = run->row.workspace;
    l->charge.key = run->row.key;
    caller_close(run, &c);
    return e == ERR_FAULT ? OK : e;
}

static void hand_main(void *arg)
{
    struct hand *h = arg;
    struct run  *run = h->run;
    enum err     e = OK;

    while (!run->closing && e != ERR_CANCELLED) {
        struct line *l = pop(&run->todo);

        if (!l) {
            e = run->all_read ? ERR_CANCELLED : fiber_wait(DEADLINE_NONE);
            continue;
        }
        e = run_line(run, l);
        if (e) {
            line_free(l);
        } else {
            push(&run->ended, l);
            e = fiber_wait(0) == ERR_CANCELLED ? ERR_CANCELLED : OK; /* others have their turn */
        }
        if (run->fiber)
            fiber_wake(run->fiber);
    }
    h->fiber = NULL;
    if (run->fiber)
        fiber_wake(run->fiber);
}

static size_t hands_busy(const struct run *run)
{
    size_t n = 0;

    for (size_t i = 0; i < run->hand_count; i++)
        n += run->hands[i].fiber != NULL;
    return n;
}

static void hands_wake(struct run *run)
{
    for (size_t i = 0; i < run->hand_count; i++) {
        if (run->hands[i].fiber)
            fiber_wake(run->hands[i].fiber);
    }
}

/* Until no line is under way. `cut`: those that are have no end. */
SUSPENDS static void hands_end(struct run *run, bool cut)
{
    run->closing = run->closing || cut;
    for (size_t i = 0; i < run->hand_count && cut; i++) {
        if (run->hands[i].fiber)
            fiber_cancel(run->hands[i].fiber);
    }
    hands_wake(run);
    while (hands_busy(run))
        fiber_wait_through();
}

/* ---- its file ---- */

SUSPENDS static enum err open_file(struct run *run, struct services *s)
{
    enum err e;

    if (run->fd >= 0)
        return OK;
    e = file_open(s, run->row.input_hash, &run->fd, &run->file_size);
    if (e)
        run->fd = -1;
    return e;
}

/* Some of the lines that have no end, into the queue. */
struct reading {
    struct run  *run;
    struct queue got;
    bool         ended;
};

static void read_job(void *arg)
{
    struct reading *rd = arg;
    struct run     *run = rd->run;
    size_t          bytes = 0;

    while (rd->got.count < AHEAD_LINES && bytes < AHEAD_BYTES && !rd->ended) {
        struct line *l = xcalloc(1, sizeof(*l));

        arena_init(&l->arena, 0);
        rd->ended = line_file_next(&run->lines, &l->arena, &l->text) != OK;
        l->number = run->lines.number;
        if (rd->ended || is_done(run, l->number)) {
            line_free(l);
            continue;
        }
        bytes += l->text.len;
        push(&rd->got, l);
    }
}

SUSPENDS static void read_ahead(struct run *run)
{
    struct reading rd = { .run = run };

    if (run->all_read || run->closing || run->todo.count > AHEAD_LINES / 2)
        return;
    rd.got.last = &rd.got.first;
    lane_run(run->files, read_job, &rd);
    run->all_read = rd.ended;
    for (struct line *l; (l = pop(&rd.got));)
        push(&run->todo, l);
    hands_wake(run);
}

/* ---- ends of lines ---- */

struct booking {
    struct ledger  *ledger;
    struct line   **lines;
    struct charged *done;
    size_t          count, tried;
};

static enum err book_job(sqlite3 *db, void *arg)
{
    struct booking *bk = arg;
    enum err        e = OK;

    for (; bk->tried < bk->count && !e; bk->tried++) {
        if (bk->lines[bk->tried]->charge.model)
            e = ledger_book(bk->ledger, db, &bk->lines[bk->tried]->charge, &bk->done[bk->tried]);
    }
    return e;
}

struct ending {
    struct batch_lines lines;
    struct booking     booking;
    enum err           e;
};

/* On the store's lane: the transaction, and what follows from it for the quotas in memory. */
static enum err end_lines_job(sqlite3 *db, void *arg)
{
    struct ending  *n = arg;
    struct booking *bk = &n->booking;

    n->e = batch_lines_job(db, &n->lines);
    for (size_t i = 0; i < bk->tried; i++) {
        if (bk->lines[i]->charge.model)
            ledger_booked(bk->ledger, db, &bk->lines[i]->charge, &bk->done[i], !n->e);
    }
    return n->e;
}

/* All that have ended so far. ERR_NOT_FOUND: the batch is somebody else's. */
SUSPENDS static enum err commit(struct run *run)
{
    struct batch_runner *r = run->runner;
    size_t               count = run->ended.count;
    struct batch_line   *rows;
    struct ending        n = { .booking = { .ledger = r->o.access->ledger, .count = count } };
    struct arena         a;
    int64_t              good = 0;

    if (!count)
        return OK;
    arena_init(&a, 0);
    rows = arena_array(&a, struct batch_line, count);
    n.booking.lines = arena_array(&a, struct line *, count);
    n.booking.done = arena_array(&a, struct charged, count);
    for (size_t i = 0; i < count; i++) {
        struct line *l = pop(&run->ended);

        n.booking.lines[i] = l;
        rows[i] = (struct batch_line){ l->number, l->good, l->result };
        good += l->good;
    }
    n.lines = (struct batch_lines){ .number = run->row.number,
                                    .claim = run->row.claim,
                                    .lines = rows,
                                    .count = count,
                                    .also = book_job,
                                    .arg = &n.booking };
    (void)store_run(r->o.store, end_lines_job, &n);
    for (size_t i = 0; i < count; i++) {
        if (!n.e)
            set_done(run, rows[i].line);
        line_free(n.booking.lines[i]);
    }
    arena_free(&a);
    if (!n.e) {
        run->row.completed += good;
        run->row.failed += (int64_t)count - good;
        r->lines += (int64_t)count;
    }
    return n.e;
}

/* Renews the lease, and looks at what others want. ERR_NOT_FOUND: it is somebody else's. */
SUSPENDS static enum err beat(struct run *run)
{
    struct batch_beat b = { .number = run->row.number,
                            .claim = run->row.claim,
                            .lease_until_ms = clock_machine_ms() + run->runner->o.lease_ms };
    enum err          e;

    run->news = false;
    run->beat_us = loop_now_us(run->runner->loop) + min_i64(POLL_US, run->runner->o.lease_ms * 1000 / 3);
    e = store_run(run->runner->o.store, batch_beat_job, &b);
    if (!e) {
        run->cancelling = b.cancelling;
        run->expired = clock_unix_ms() >= run->row.until_ms;
    }
    return e;
}

SUSPENDS static enum err beat_when_due(struct run *run)
{
    return run->news || loop_now_us(run->runner->loop) >= run->beat_us ? beat(run) : OK;
}

/* Reads and commits while the hands run the lines. ERR_NOT_FOUND, ERR_CANCELLED: it is given up here. */
SUSPENDS static enum err run_lines(struct run *run)
{
    struct batch_runner *r = run->runner;
    enum err             e = OK;

    run->hand_count = r->o.requests_max;
    run->hands = arena_array(&run->arena, struct hand, run->hand_count);
    for (size_t i = 0; i < run->hand_count; i++) {
        run->hands[i].run = run;
        run->hands[i].fiber = fiber_start(r->loop, hand_main, &run->hands[i]);
    }
    while (!e && !(run->all_read && !run->todo.count && !run->ended.count && !hands_busy(run))) {
        e = beat_when_due(run);
        if (e || run->cancelling || run->expired || r->stopping)
            break;
        read_ahead(run);
        e = commit(run);
        if (!e && !run->ended.count && (run->all_read || run->todo.count) && hands_busy(run))
            e = fiber_wait(run->beat_us) == ERR_CANCELLED ? ERR_CANCELLED : OK;
    }
    hands_end(run, e || run->cancelling || run->expired || r->stopping);
    for (struct line *l; (l = pop(&run->todo));)
        line_free(l);
    if (e != ERR_NOT_FOUND) {
        enum err last = commit(run); /* what was at its end just so */

        e = e ? e : last;
    }
    for (struct line *l; (l = pop(&run->ended));)
        line_free(l);
    return !e && r->stopping && !run->cancelling && !run->expired ? ERR_CANCELLED : e;
}

/* ---- looking it through ---- */

SUSPENDS static enum err end_batch(struct run *run, str status, str errors);

static str errors_object(struct arena *a, str elements)
{
    return arena_printf(a, "{\"object\":\"list\",\"data\":[%.*s]}", STR_ARG(elements));
}

/* How many others of the account, of that model, are before it. */
SUSPENDS static enum err ahead(struct run *run, str model, int64_t *ret)
{
    struct batch_ahead a = { .number = run->row.number, .model = model };
    enum err           e = store_run(run->runner->o.store, batch_ahead_job, &a);

    *ret = a.count;
    return e;
}

/* Of a file that is not there any more. */
static void note_missing(const struct request *rq, struct batch_check *c)
{
    struct fault f = { 0 };

    (void)fail_batch_file_empty(&f);
    batch_error_add(rq, &c->errors, &f, 0);
}

SUSPENDS static enum err look_through(struct run *run, struct caller *c, struct batch_check *check)
{
    int64_t  before;
    enum err e = ahead(run, (str){ 0 }, &before);
    int64_t  max = c->settings->batches.unfinished;

    if (e)
        return e;
    if (before >= max) {
        struct fault f = { 0 };

        (void)fail_batch_too_many_unfinished(&f, max); /* REF: W278 */
        batch_error_add(c->rq, &check->errors, &f, 0);
        return OK;
    }
    while (!check->ended && !e && !run->cancelling && !run->runner->stopping) {
        lane_run(c->services->files, batch_check_step, check);
        e = beat_when_due(run);
    }
    return e ? e : check->e;
}

/* Until only so many of the test model run. */
SUSPENDS static enum err wait_for_turn(struct run *run)
{
    int64_t  before = BATCHES_TEST_RUNNING_MAX;
    enum err e = OK;

    if (!str_eq(run->row.model, BATCHES_TEST_MODEL))
        return OK;
    while (!e && !run->cancelling && !run->expired) {
        e = ahead(run, run->row.model, &before);
        if (e || before < BATCHES_TEST_RUNNING_MAX)
            break;
        if (fiber_wait(loop_now_us(run->runner->loop) + POLL_US / 5) == ERR_CANCELLED)
            return ERR_CANCELLED;
        e = beat(run);
    }
    return e;
}

/* In the end it is in progress, or has failed, or is to be cancelled. */
SUSPENDS static enum err validate(struct run *run, struct caller *c)
{
    struct batch_check check;
    struct batch_begin begin = { .number = run->row.number, .claim = run->row.claim };
    enum err           opened = open_file(run, c->services);
    enum err           e = OK;

    batch_check_init(&check, c->rq, run->row.endpoint, run->fd, run->file_size, c->settings->batches.lines);
    if (opened)
        note_missing(c->rq, &check);
    else
        e = look_through(run, c, &check);
    if (!e && run->runner->stopping)
        e = ERR_CANCELLED;
    if (!e && check.errors.len && !run->cancelling) {
        e = end_batch(run, BATCH_FAILED, errors_object(&run->arena, buf_str(&check.errors)));
        run->row.status = BATCH_FAILED;
    } else if (!e && !run->cancelling) {
        run->row.model = begin.model = arena_str(&run->arena, check.model);
        run->row.total = begin.total = check.total;
        e = wait_for_turn(run);
        begin.now_ms = clock_unix_ms();
        if (!e)
            e = store_run(run->runner->o.store, batch_begin_job, &begin);
    }
    batch_check_free(&check);
    return e;
}

/* ---- its files ---- */

/* A file that is being made of ends of lines, on the lane of files. */
struct writing {
    struct services   *services;
    struct blob_writer content;
    bool               begun;
    struct buf         text;
    enum err           e;
    /* of lines that were not run */
    struct run     *run;
    struct request *rq;
    struct fault    fault;
    struct arena    line;
    bool            ended;
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

    fault_render(&w->fault, &w->rq->settings->wording, w->rq->arena, &v);
    for (size_t i = 0; i < WRITE_LINES && !w->ended; i++) {
        struct batch_request r;

        arena_reset(&w->line);
        w->ended = line_file_next(&w->run->lines, &w->line, &line) != OK;
        if (w->ended || is_done(w->run, w->run->lines.number))
            continue;
        (void)batch_request_read(&w->line, line, &r);
        rand_uuid(id, '4');
        add_begin(&w->text, id, r.custom_id);
        buf_add(&w->text, S(",\"response\":null"));
        add_error(&w->text, &v);
        buf_add_char(&w->text, '\n');
    }
    if (w->text.len)
        write_job(w);
}

/* What the store has of the good, or of the others. */
SUSPENDS static enum err write_ends(struct run *run, struct writing *w, bool good)
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
            e = beat_when_due(run);
    }
    return e;
}

SUSPENDS static enum err write_unrun(struct run *run, struct writing *w)
{
    enum err e = OK;

    if (lseek(run->fd, 0, SEEK_SET) != 0)
        return ERR_IO;
    line_file_init(&run->lines, run->fd, BATCHES_LINE_MAX, &run->arena);
    while (!e && !w->ended) {
        lane_run(w->services->files, unrun_job, w);
        e = w->e;
        if (!e)
            e = beat_when_due(run);
    }
    return e;
}

static void writing_init(struct writing *w, struct run *run, struct caller *c)
{
    *w = (struct writing){ .services = c->services, .content = { .fd = -1 }, .run = run, .rq = c->rq };
    buf_init(&w->text, &run->arena, SIZE_MAX / 2);
    arena_init(&w->line, 0);
    (void)(run->cancelling ? fail_batch_line_cancelled(&w->fault) /* REF: W286 */
                           : fail_batch_line_expired(&w->fault)); /* REF: W287 */
}

/* The file of the account that it becomes; NULL: there is nothing in it. */
SUSPENDS static struct file_keep *kept(struct run *run, struct writing *w, const char *kind, enum err *e)
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

SUSPENDS static enum err end_batch_with(struct run *run, struct file_keep *output, struct file_keep *error, str status,
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

SUSPENDS static enum err end_batch(struct run *run, str status, str errors)
{
    return end_batch_with(run, NULL, NULL, status, errors, 0);
}

SUSPENDS static enum err finalize(struct run *run, struct caller *c)
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
        e = end_batch_with(run, output_file, error_file, status, (str){ 0 }, unrun);
    lane_run(c->services->files, drop_job, &output); /* unless they have been kept */
    lane_run(c->services->files, drop_job, &error);
    arena_free(&output.line);
    arena_free(&error.line);
    return e;
}

/* ---- a run ---- */

/* What has its end already has it for good. */
SUSPENDS static enum err go_on(struct run *run)
{
    struct batch_done done = { run->row.number, set_done, run };
    enum err          e;

    if (lseek(run->fd, 0, SEEK_SET) != 0)
        return ERR_IO;
    run->done = arena_array(&run->arena, unsigned char, (size_t)run->row.total / 8 + 1);
    line_file_init(&run->lines, run->fd, BATCHES_LINE_MAX, &run->arena);
    e = store_run(run->runner->o.store, batch_done_job, &done);
    if (!e)
        e = beat(run);
    return !e && !run->cancelling && !run->expired ? run_lines(run) : e;
}

/* With the configuration of that moment: a batch may run for days. */
SUSPENDS static enum err with_caller(struct run *run, enum err (*step)(struct run *run, struct caller *c))
{
    struct caller c;
    enum err      e;

    caller_open(run, &run->arena, &c);
    fiber_note_set(fiber_self(), c.rq);
    run->files = c.services->files;
    e = step(run, &c);
    fiber_note_set(fiber_self(), NULL);
    caller_close(run, &c);
    return e;
}

SUSPENDS static enum err prepare(struct run *run, struct caller *c)
{
    enum err e = open_file(run, c->services);

    if (e == ERR_NOT_FOUND && run->row.total) {
        log_error("batch %.*s: its file is gone", STR_ARG(run->row.id));
        run->row.status = BATCH_FAILED;
        return end_batch(run, BATCH_FAILED, (str){ 0 });
    }
    return run->row.total || run->cancelling || (e && e != ERR_NOT_FOUND) ? e : validate(run, c);
}

SUSPENDS static enum err run_batch(struct run *run)
{
    enum err e = run->runner->stopping ? ERR_CANCELLED : beat(run);

    if (!e)
        e = with_caller(run, prepare);
    if (e || str_eq(run->row.status, BATCH_FAILED))
        return e;
    if (!run->row.total)
        return run->cancelling ? end_batch(run, BATCH_CANCELLED, (str){ 0 }) : ERR_CANCELLED;
    e = go_on(run);
    return e ? e : with_caller(run, finalize);
}

static void run_main(void *arg)
{
    struct run          *run = arg;
    struct batch_runner *r = run->runner;
    struct batch_beat    b = { .number = run->row.number, .claim = run->row.claim };
    enum err             e;

    run->fiber = fiber_self();
    e = run_batch(run);
    if (e == ERR_CANCELLED) /* the server stops: the next takes it at once */
        (void)store_run(r->o.store, batch_release_job, &b);
    if (e && e != ERR_NOT_FOUND && e != ERR_CANCELLED)
        log_error("batch %.*s: %s; it is tried again when its lease has lapsed", STR_ARG(run->row.id), err_text(e));
    if (run->fd >= 0)
        close(run->fd);
    run->fd = -1;
    run->fiber = NULL;
    run->over = true;
    if (r->fiber)
        fiber_wake(r->fiber);
}

/* ---- callbacks ---- */

/* The URL is a client's, so it is guarded as a download is. */
SUSPENDS static bool call_back(struct services *s, struct arena *a, const struct batch_row *row)
{
    static const struct http_field fields[] = { { S("content-type"), S("application/json;charset=utf-8") },
                                                { S("user-agent"), S("dashbox") } };
    struct fetch_call              call = { .method = S("POST"),
                                            .url = row->callback,
                                            .fields = fields,
                                            .field_count = ARRAY_LEN(fields),
                                            .has_body = true,
                                            .time_ms = CALLBACK_MS,
                                            .answer_max = 65536 };
    struct fetch_answer            answer;
    struct buf                     b;
    enum fetch_error               fe;

    buf_init(&b, a, SIZE_MAX / 2);
    batch_add_object(&b, row);
    call.body = buf_str(&b);
    fe = fetch_call(s->fetcher, a, &call, &answer);
    if (!fe && answer.status >= 200 && answer.status < 300)
        return true;
    if (fe)
        log_warn("batch %.*s: its callback: %.*s", STR_ARG(row->id), STR_ARG(fetch_error_text(fe)));
    else
        log_warn("batch %.*s: its callback answered %d", STR_ARG(row->id), answer.status);
    return false;
}

/* Those that are due; what fails is tried again after 1 s, 2 s, 4 s, …, also by another server. */
static void teller_main(void *arg)
{
    struct batch_runner           *r = arg;
    const struct request_settings *settings;
    struct services               *s = r->o.hold(r->o.arg, &settings);
    struct arena                   a;
    struct batch_events           *ev;
    int64_t                        now_ms = clock_machine_ms();

    arena_init(&a, 0);
    ev = arena_new(&a, struct batch_events);
    *ev = (struct batch_events){ .arena = &a,
                                 .machine_ms = now_ms,
                                 .until_ms = now_ms + 2 * BATCH_EVENTS_MAX * CALLBACK_MS };
    if (store_run(r->o.store, batch_events_job, ev))
        ev->count = 0;
    for (size_t i = 0; i < ev->count && !r->stopping; i++) {
        struct batch_told told = { .number = ev->rows[i].number };

        if (!call_back(s, &a, &ev->rows[i]) && ev->tries[i] < TRIES_MAX)
            told.again_ms = clock_machine_ms() + (INT64_C(1000) << (ev->tries[i] - 1));
        (void)store_run(r->o.store, batch_told_job, &told); /* else it is told again */
    }
    arena_free(&a);
    r->o.release(r->o.arg, s);
    r->teller = NULL;
    if (r->fiber)
        fiber_wake(r->fiber);
}

/* ---- the runner ---- */

static void start_run(struct batch_runner *r, const struct batch_row *row)
{
    struct run       *run = xcalloc(1, sizeof(*run));
    struct batch_row *c = &run->row;
    str *const        texts[] = { &c->id,         &c->workspace, &c->key,         &c->endpoint,  &c->input_file,
                                  &c->input_hash, &c->window,    &c->metadata,    &c->name,      &c->status,
                                  &c->model,      &c->errors,    &c->output_file, &c->error_file };

    run->runner = r;
    run->fd = -1;
    run->todo.last = &run->todo.first;
    run->ended.last = &run->ended.first;
    arena_init(&run->arena, 0);
    *c = *row;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = arena_str(&run->arena, *texts[i]);
    run->next = r->runs;
    r->runs = run;
    r->run_count++;
    run->fiber = fiber_start(r->loop, run_main, run);
}

SUSPENDS static void claim(struct batch_runner *r)
{
    struct batch_claim c = { .owner = str_of(r->owner, sizeof(r->owner)),
                             .machine_ms = clock_machine_ms(),
                             .lease_ms = r->o.lease_ms,
                             .room = r->o.running_max - r->run_count };
    struct arena       a;

    if (!c.room)
        return;
    arena_init(&a, 0);
    c.arena = &a;
    if (store_run(r->o.store, batch_claim_job, &c) == OK) { /* a failure is in the log, and tried again */
        for (size_t i = 0; i < c.count; i++)
            start_run(r, &c.rows[i]);
    }
    arena_free(&a);
}

static void bury(struct batch_runner *r)
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
        arena_free(&run->arena);
        free(run);
    }
}

static void runner_main(void *arg)
{
    struct batch_runner *r = arg;
    bool                 cancelled = false;

    while (!r->stopping || r->run_count || r->teller) {
        r->news = false;
        if (!r->stopping && !r->teller && loop_now_us(r->loop) >= r->tell_us) {
            r->tell_us = loop_now_us(r->loop) + POLL_US;
            r->teller = fiber_start(r->loop, teller_main, r);
        }
        if (r->stopping && !cancelled && r->teller)
            fiber_cancel(r->teller);
        for (struct run *run = r->runs; run && r->stopping && !cancelled; run = run->next) {
            if (run->fiber)
                fiber_cancel(run->fiber);
        }
        cancelled = r->stopping;
        if (!r->stopping)
            claim(r);
        bury(r);
        if (!r->news && (!r->stopping || r->run_count || r->teller))
            (void)fiber_wait(loop_now_us(r->loop) + POLL_US);
        bury(r);
    }
    r->fiber = NULL;
    if (r->then)
        r->then(r->then_arg);
}

struct batch_runner *batch_runner_open(struct loop *l, const struct batch_runner_options *o)
{
    struct batch_runner *r = xcalloc(1, sizeof(*r));

    r->loop = l;
    r->o = *o;
    rand_hex(r->owner, sizeof(r->owner));
    return r;
}

void batch_runner_start(struct batch_runner *r)
{
    r->fiber = fiber_start(r->loop, runner_main, r);
}

void batch_runner_wake(struct batch_runner *r)
{
    r->news = true;
    for (struct run *run = r->runs; run; run = run->next) {
        run->news = true;
        if (run->fiber)
            fiber_wake(run->fiber);
    }
    if (r->fiber)
        fiber_wake(r->fiber);
}

int64_t batch_runner_lines(const struct batch_runner *r)
{
    return r->lines;
}

void batch_runner_stop(struct batch_runner *r, void (*then)(void *arg), void *arg)
{
    r->stopping = true;
    r->then = then;
    r->then_arg = arg;
    if (r->fiber)
        fiber_wake(r->fiber);
    else
        then(arg);
}

void batch_runner_free(struct batch_runner *r)
{
    free(r);
}
