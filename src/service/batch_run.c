/* batch_run.c - the way of a batch: looked through, run, brought to its end. Spec: platform.md §2.3, §2.4. */
#include "service/batch_run.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "contract/batches_params.gen.h"
#include "contract/errors.gen.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "service/batch_check.h"
#include "service/files.h"

#include <stdlib.h>
#include <unistd.h>

#define AHEAD_LINES ((size_t)1024)    /* read before they are run, */
#define AHEAD_BYTES ((size_t)4 << 20) /* or so much of them */

static void push(struct batch_queue *q, struct batch_text *l)
{
    l->next = NULL;
    *q->last = l;
    q->last = &l->next;
    q->count++;
}

static struct batch_text *pop(struct batch_queue *q)
{
    struct batch_text *l = q->first;

    if (!l)
        return NULL;
    q->first = l->next;
    if (!q->first)
        q->last = &q->first;
    q->count--;
    return l;
}

static void text_free(struct batch_text *l)
{
    arena_free(&l->arena);
    free(l);
}

bool batch_run_is_done(const struct batch_run *run, int64_t line)
{
    return run->done[line / 8] & BIT(line % 8);
}

static void set_done(void *arg, int64_t line)
{
    struct batch_run *run = arg;

    if (line > 0 && line <= run->row.total)
        run->done[line / 8] |= (unsigned char)BIT(line % 8);
}

/* ---- the hands ---- */

static void hand_main(void *arg)
{
    struct batch_hand *h = arg;
    struct batch_run  *run = h->run;
    enum err           e = OK;

    while (!run->closing && e != ERR_CANCELLED) {
        struct batch_text *l = pop(&run->todo);

        if (!l) {
            e = run->all_read ? ERR_CANCELLED : fiber_wait(DEADLINE_NONE);
            continue;
        }
        e = batch_line_run(run, l);
        if (e) {
            text_free(l);
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

static size_t hands_busy(const struct batch_run *run)
{
    size_t n = 0;

    for (size_t i = 0; i < run->hand_count; i++)
        n += run->hands[i].fiber != NULL;
    return n;
}

static void hands_wake(struct batch_run *run)
{
    for (size_t i = 0; i < run->hand_count; i++) {
        if (run->hands[i].fiber)
            fiber_wake(run->hands[i].fiber);
    }
}

/* Until no line is under way. `cut`: those that are have no end. */
SUSPENDS static void hands_end(struct batch_run *run, bool cut)
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

SUSPENDS static enum err open_file(struct batch_run *run, struct services *s)
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
    struct batch_run  *run;
    struct batch_queue got;
    bool               ended;
    enum err           e; /* ERR_EOF; ERR_IO, which is no end */
};

static void read_job(void *arg)
{
    struct reading   *rd = arg;
    struct batch_run *run = rd->run;
    size_t            bytes = 0;

    while (rd->got.count < AHEAD_LINES && bytes < AHEAD_BYTES && !rd->ended) {
        struct batch_text *l = xcalloc(1, sizeof(*l));

        arena_init(&l->arena, 0);
        rd->e = line_file_next(&run->lines, &l->arena, &l->text);
        rd->ended = rd->e != OK;
        l->number = run->lines.number;
        if (rd->ended || batch_run_is_done(run, l->number)) {
            text_free(l);
            continue;
        }
        bytes += l->text.len;
        push(&rd->got, l);
    }
}

SUSPENDS static enum err read_ahead(struct batch_run *run)
{
    struct reading rd = { .run = run };

    if (run->all_read || run->closing || run->todo.count > AHEAD_LINES / 2)
        return OK;
    rd.got.last = &rd.got.first;
    lane_run(run->files, read_job, &rd);
    run->all_read = rd.ended;
    for (struct batch_text *l; (l = pop(&rd.got));)
        push(&run->todo, l);
    hands_wake(run);
    return rd.e == ERR_EOF ? OK : rd.e;
}

/* ---- ends of lines ---- */

struct booking {
    struct ledger      *ledger;
    struct batch_text **lines;
    struct charged     *done;
    size_t              count, tried;
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
SUSPENDS static enum err commit(struct batch_run *run)
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
    n.booking.lines = arena_array(&a, struct batch_text *, count);
    n.booking.done = arena_array(&a, struct charged, count);
    for (size_t i = 0; i < count; i++) {
        struct batch_text *l = pop(&run->ended);

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
        text_free(n.booking.lines[i]);
    }
    arena_free(&a);
    if (!n.e) {
        run->row.completed += good;
        run->row.failed += (int64_t)count - good;
        r->lines += (int64_t)count;
    }
    return n.e;
}

enum err batch_run_beat(struct batch_run *run)
{
    struct batch_beat b = { .number = run->row.number,
                            .claim = run->row.claim,
                            .lease_until_ms = clock_machine_ms() + run->runner->o.lease_ms };
    enum err          e;

    run->news = false;
    run->beat_us = loop_now_us(run->runner->loop) + min_i64(BATCH_POLL_US, run->runner->o.lease_ms * 1000 / 3);
    e = store_run(run->runner->o.store, batch_beat_job, &b);
    if (!e) {
        run->cancelling = b.cancelling;
        run->expired = clock_unix_ms() >= run->row.until_ms;
    }
    return e;
}

enum err batch_run_beat_when_due(struct batch_run *run)
{
    return run->news || loop_now_us(run->runner->loop) >= run->beat_us ? batch_run_beat(run) : OK;
}

/* Reads and commits while the hands run the lines. ERR_NOT_FOUND, ERR_CANCELLED: it is given up here. */
SUSPENDS static enum err run_lines(struct batch_run *run)
{
    struct batch_runner *r = run->runner;
    enum err             e = OK;

    run->hand_count = r->o.requests_max;
    run->hands = arena_array(&run->arena, struct batch_hand, run->hand_count);
    for (size_t i = 0; i < run->hand_count; i++) {
        run->hands[i].run = run;
        run->hands[i].fiber = fiber_start(r->loop, hand_main, &run->hands[i]);
    }
    while (!e && !(run->all_read && !run->todo.count && !run->ended.count && !hands_busy(run))) {
        e = batch_run_beat_when_due(run);
        if (e || run->cancelling || run->expired || r->stopping)
            break;
        e = read_ahead(run);
        if (!e)
            e = commit(run);
        if (!e && !run->ended.count && (run->all_read || run->todo.count) && hands_busy(run))
            e = fiber_wait(run->beat_us) == ERR_CANCELLED ? ERR_CANCELLED : OK;
    }
    hands_end(run, e || run->cancelling || run->expired || r->stopping);
    for (struct batch_text *l; (l = pop(&run->todo));)
        text_free(l);
    if (e != ERR_NOT_FOUND) {
        enum err last = commit(run); /* what was at its end just so */

        e = e ? e : last;
    }
    for (struct batch_text *l; (l = pop(&run->ended));)
        text_free(l);
    return !e && r->stopping && !run->cancelling && !run->expired ? ERR_CANCELLED : e;
}

/* ---- looking it through ---- */

static str errors_object(struct arena *a, str elements)
{
    return arena_printf(a, "{\"object\":\"list\",\"data\":[%.*s]}", STR_ARG(elements));
}

/* How many others of the account, of that model, are before it. */
SUSPENDS static enum err ahead(struct batch_run *run, str model, int64_t *ret)
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

SUSPENDS static enum err look_through(struct batch_run *run, struct batch_caller *c, struct batch_check *check)
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
        e = batch_run_beat_when_due(run);
    }
    return e ? e : check->e;
}

/* Until only so many of the test model run. */
SUSPENDS static enum err wait_for_turn(struct batch_run *run)
{
    int64_t  before = BATCHES_TEST_RUNNING_MAX;
    enum err e = OK;

    if (!str_eq(run->row.model, BATCHES_TEST_MODEL))
        return OK;
    while (!e && !run->cancelling && !run->expired) {
        e = ahead(run, run->row.model, &before);
        if (e || before < BATCHES_TEST_RUNNING_MAX)
            break;
        if (fiber_wait(loop_now_us(run->runner->loop) + BATCH_POLL_US / 5) == ERR_CANCELLED)
            return ERR_CANCELLED;
        e = batch_run_beat(run);
    }
    return e;
}

/* In the end it is in progress, or has failed, or is to be cancelled. */
SUSPENDS static enum err validate(struct batch_run *run, struct batch_caller *c)
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
        e = batch_run_end(run, BATCH_FAILED, errors_object(&run->arena, buf_str(&check.errors)));
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

/* ---- a run ---- */

/* What has its end already has it for good. */
SUSPENDS static enum err go_on(struct batch_run *run)
{
    struct batch_done done = { run->row.number, set_done, run };
    enum err          e;

    if (lseek(run->fd, 0, SEEK_SET) != 0)
        return ERR_IO;
    run->done = arena_array(&run->arena, unsigned char, (size_t)run->row.total / 8 + 1);
    line_file_init(&run->lines, run->fd, BATCHES_LINE_MAX, &run->arena);
    e = store_run(run->runner->o.store, batch_done_job, &done);
    if (!e)
        e = batch_run_beat(run);
    return !e && !run->cancelling && !run->expired ? run_lines(run) : e;
}

/* With the configuration of that moment: a batch may run for days. */
SUSPENDS static enum err with_caller(struct batch_run *run,
                                     enum err (*step)(struct batch_run *run, struct batch_caller *c))
{
    struct batch_caller c;
    enum err            e;

    batch_caller_open(run, &run->arena, &c);
    fiber_note_set(fiber_self(), c.rq);
    run->files = c.services->files;
    e = step(run, &c);
    fiber_note_set(fiber_self(), NULL);
    batch_caller_close(run, &c);
    return e;
}

SUSPENDS static enum err prepare(struct batch_run *run, struct batch_caller *c)
{
    enum err e = open_file(run, c->services);

    if (e == ERR_NOT_FOUND && run->row.total) {
        log_error("batch %.*s: its file is gone", STR_ARG(run->row.id));
        run->row.status = BATCH_FAILED;
        return batch_run_end(run, BATCH_FAILED, (str){ 0 });
    }
    return run->row.total || run->cancelling || (e && e != ERR_NOT_FOUND) ? e : validate(run, c);
}

SUSPENDS static enum err run_batch(struct batch_run *run)
{
    enum err e = run->runner->stopping ? ERR_CANCELLED : batch_run_beat(run);

    if (!e)
        e = with_caller(run, prepare);
    if (e || str_eq(run->row.status, BATCH_FAILED))
        return e;
    if (!run->row.total)
        return run->cancelling ? batch_run_end(run, BATCH_CANCELLED, (str){ 0 }) : ERR_CANCELLED;
    e = go_on(run);
    return e ? e : with_caller(run, batch_run_finalize);
}

void batch_run_main(void *arg)
{
    struct batch_run    *run = arg;
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
