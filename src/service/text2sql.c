/* text2sql.c - asks an engine for a statement until it fits, twice at most.
 *
 * Memory: the request's. Limits: an answer ANSWER_MAX bytes; contract/text2sql.h, store/scratch.h.
 * Spec: platform.md §5.
 */
#include "service/text2sql.h"

#include "base/log.h"
#include "contract/errors.gen.h"
#include "contract/text2sql.h"
#include "loop/lane.h"
#include "service/services.h"
#include "store/scratch.h"

#define ANSWER_MAX   ((size_t)1 << 20)
#define PIECE_TOKENS 8 /* of a statement that is streamed */

struct answer {
    struct buf       reasoning, text; /* as the engine said it */
    str              statement;       /* what of it is still to be handed out */
    enum chat_finish finish;
    bool             reasoned; /* the reasoning has been handed out */
};

struct sql_engine {
    struct engine     base;
    struct engine_ops ops;
    struct engine    *inner;
};

struct sql_stream {
    struct engine_stream base;
    struct engine       *inner;
    struct request      *rq;
    struct scratch      *db;
    struct answer       *answers;
    unsigned             count, at;
    bool                 streamed;
    bool                 counted; /* the engine has counted: `usage` of all attempts */
    struct chat_usage    usage;
};

/* ---- on the lane ---- */

struct job {
    struct arena          *arena;
    const struct text2sql *question;
    struct scratch        *db;
    str                    statement, why;
    enum err               e;
};

static void build(void *arg)
{
    struct job *j = arg;

    j->e = scratch_open(j->arena, j->question, &j->db, &j->why);
}

static void prepare(void *arg)
{
    struct job *j = arg;

    j->e = scratch_prepare(j->arena, j->db, j->statement, &j->why);
}

/* ---- asking ---- */

static void add_usage(struct sql_stream *st, const struct chat_usage *u)
{
    st->counted = true;
    st->usage.prompt_tokens += u->prompt_tokens;
    st->usage.completion_tokens += u->completion_tokens;
    st->usage.reasoning_tokens += u->reasoning_tokens;
    st->usage.cached_tokens += u->cached_tokens;
    st->usage.cache_created_tokens += u->cache_created_tokens;
}

static void gather(struct sql_stream *st, const struct chat_event *ev, struct answer *answers, unsigned count)
{
    if (ev->kind == CHAT_EV_USAGE)
        add_usage(st, &ev->usage);
    if (ev->choice >= count)
        return;
    if (ev->kind == CHAT_EV_TEXT)
        buf_add(&answers[ev->choice].text, ev->text);
    else if (ev->kind == CHAT_EV_REASONING)
        buf_add(&answers[ev->choice].reasoning, ev->text);
    else if (ev->kind == CHAT_EV_FINISH)
        answers[ev->choice].finish = ev->finish;
}

/* Until the engine has said all that it says. */
SUSPENDS static enum err ask(struct sql_stream *st, const struct chat_input *in, struct answer *answers, unsigned count)
{
    struct engine_stream *inner;
    struct chat_event     ev;
    enum err              e;

    for (unsigned i = 0; i < count; i++) {
        answers[i] = (struct answer){ 0 };
        buf_init(&answers[i].reasoning, st->rq->arena, ANSWER_MAX);
        buf_init(&answers[i].text, st->rq->arena, ANSWER_MAX);
    }
    e = st->inner->ops->open(st->inner, st->rq, in, &inner);
    if (e)
        return e;
    st->base.cached_tokens += inner->cached_tokens;
    st->base.cache_created_tokens += inner->cache_created_tokens;
    while (!(e = inner->ops->next(inner, &ev)))
        gather(st, &ev, answers, count);
    return e == ERR_EOF ? OK : e;
}

/* What the answer is becomes its statement; false when it does not fit, with the reason. */
SUSPENDS static bool fits(struct sql_stream *st, struct answer *a, str *ret_why)
{
    struct job j = { .arena = st->rq->arena, .db = st->db };

    if (a->finish != CHAT_FINISH_STOP) { /* cut off, or broken off: chat_next() knows what to say of that */
        a->statement = buf_str(&a->text);
        return true;
    }
    if (!sql_statement(buf_str(&a->text), &j.statement, ret_why))
        return false;
    lane_run(st->rq->services->sql, prepare, &j);
    a->statement = j.statement;
    *ret_why = j.why;
    return !j.e;
}

/* Once more, for one choice: the same conversation, its answer, and what was wrong with that. */
SUSPENDS static enum err ask_again(struct sql_stream *st, const struct chat_input *in, struct answer *a, str why)
{
    struct chat_input    again = *in;
    struct chat_message *m = arena_array(st->rq->arena, struct chat_message, in->message_count + 2);

    log_debug("text2sql: %s: the statement does not fit (%.*s), asking again", st->rq->id, STR_ARG(why));
    memcpy(m, in->messages, in->message_count * sizeof(*m));
    m[in->message_count] = (struct chat_message){ .role = CHAT_ASSISTANT, .content = buf_str(&a->text) };
    m[in->message_count + 1] = (struct chat_message){ .role = CHAT_USER, .content = sql_complaint(st->rq->arena, why) };
    again.messages = m;
    again.message_count += 2;
    again.n = (opt_int){ .v = 1, .set = true };
    again.prompt_ends = NULL; /* they are the first prompt's */
    return ask(st, &again, a, 1);
}

SUSPENDS static enum err answer(struct sql_stream *st, const struct chat_input *in)
{
    enum err e = ask(st, in, st->answers, st->count);
    str      why;

    for (unsigned i = 0; i < st->count && !e; i++) {
        if (fits(st, &st->answers[i], &why))
            continue;
        e = ask_again(st, in, &st->answers[i], why);
        if (e || fits(st, &st->answers[i], &why))
            continue;
        (void)fail_algorithm_internal(&st->rq->fault); /* REF: E225a */
        return fault_detail(
            &st->rq->fault,
            arena_printf(st->rq->arena, "the engine's statement does not fit the schema: %.*s", STR_ARG(why)));
    }
    return e;
}

static const struct engine_ops stream_ops;

SUSPENDS static enum err sql_open(struct engine *base, struct request *rq, const struct chat_input *in,
                                  struct engine_stream **ret)
{
    struct sql_stream *st = arena_new(rq->arena, struct sql_stream);
    struct job         j = { .arena = rq->arena, .question = in->sql };
    enum err           e;

    might_suspend();
    lane_run(rq->services->sql, build, &j);
    if (j.e == ERR_INVALID) {
        (void)fail_text2sql_schema_missing(&rq->fault); /* REF: E171: tables that no database could have */
        return fault_detail(&rq->fault, j.why);
    }
    if (j.e)
        return j.e;
    st->base.ops = &stream_ops;
    st->inner = CONTAINER_OF(base, struct sql_engine, base)->inner;
    st->rq = rq;
    st->db = j.db;
    st->count = in->n.set ? (unsigned)in->n.v : 1;
    st->answers = arena_array(rq->arena, struct answer, st->count);
    st->streamed = in->stream;
    e = answer(st, in);
    if (!e)
        *ret = &st->base;
    return e;
}

/* ---- handing out ---- */

/* Streamed in pieces of a few tokens, as an engine would give it. */
static str piece_cut(const struct sql_stream *st, str *rest, int64_t *ret_tokens)
{
    const struct tokenizer *t = st->rq->services->tokenizer;
    str                     piece = *rest;

    *ret_tokens = 0;
    while (*ret_tokens < PIECE_TOKENS && rest->len)
        *ret_tokens += (int64_t)tokenizer_count(t, tokenizer_next(t, rest));
    piece.len -= rest->len;
    return piece;
}

SUSPENDS static enum err sql_next(struct engine_stream *base, struct chat_event *ret)
{
    struct sql_stream *st = CONTAINER_OF(base, struct sql_stream, base);
    struct answer     *a = &st->answers[st->at];

    if (st->counted) {
        st->counted = false;
        *ret = (struct chat_event){ .kind = CHAT_EV_USAGE, .usage = st->usage };
        return OK;
    }
    if (st->at == st->count)
        return ERR_EOF;
    *ret = (struct chat_event){ .kind = CHAT_EV_TEXT, .choice = st->at, .tokens = -1 };
    if (a->reasoning.len && !a->reasoned) {
        a->reasoned = true;
        ret->kind = CHAT_EV_REASONING;
        ret->text = buf_str(&a->reasoning);
        return OK;
    }
    if (a->statement.len && st->streamed) {
        ret->text = piece_cut(st, &a->statement, &ret->tokens);
        return OK;
    }
    if (a->statement.len) {
        ret->text = a->statement;
        a->statement = S("");
        return OK;
    }
    st->at++;
    if (a->finish == CHAT_FINISH_NONE) /* the engine broke off without an end */
        return ERR_EOF;
    ret->kind = CHAT_EV_FINISH;
    ret->finish = a->finish;
    return OK;
}

static bool sql_ready(const struct engine_stream *base)
{
    (void)base;
    return true;
}

static const struct engine_ops stream_ops = { .kind = "text2sql", .next = sql_next, .ready = sql_ready };

struct engine *text2sql_engine(struct request *rq, struct engine *inner)
{
    struct sql_engine *e = arena_new(rq->arena, struct sql_engine);

    e->inner = inner;
    e->ops = *inner->ops;
    e->ops.open = sql_open;
    e->base = (struct engine){ .ops = &e->ops, .name = inner->name };
    return &e->base;
}
