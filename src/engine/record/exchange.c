/* exchange.c - a request to an upstream and its answer, perhaps kept or replayed. */
#include "engine/record/exchange.h"

#include "base/log.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "engine/record/scrub.h"
#include "loop/loop.h"

static const str kept_of_request[] = { S("content-type"), S("accept") };
static const str kept_of_answer[] = { S("content-type"), S("retry-after") };

/* ---- recording ---- */

struct mark {
    int64_t at_ms;
    size_t  end; /* in the bytes */
};

struct taping {
    struct recording *r;
    int64_t           started_us;
    struct buf        bytes; /* of the answer's body */
    struct mark      *marks;
    size_t            mark_count, mark_cap;
    size_t            marked; /* bytes before the last mark */
};

static int64_t since_ms(int64_t started_us)
{
    return (loop_now_us(fiber_loop()) - started_us) / 1000;
}

static struct http_field *fields_keep(struct arena *a, const struct http_field *fields, size_t count, const str *kept,
                                      size_t kept_count, size_t *ret_count)
{
    struct http_field *out = arena_array(a, struct http_field, kept_count);

    *ret_count = 0;
    for (size_t i = 0; i < kept_count; i++) {
        for (size_t k = 0; k < count; k++) {
            if (!str_eq_nocase(fields[k].name, kept[i]))
                continue;
            out[(*ret_count)++] = (struct http_field){ kept[i], arena_str(a, fields[k].value) };
            break;
        }
    }
    return out;
}

/* The values of headers that are secrets: an answer may repeat them. */
static void secrets_note(struct recording *r, const struct http_client_request *hr)
{
    r->secrets = arena_array(&r->arena, str, hr->field_count);
    for (size_t i = 0; i < hr->field_count; i++) {
        str value = hr->fields[i].value;

        if (!scrub_is_secret_name(hr->fields[i].name))
            continue;
        if (str_starts_nocase(value, S("bearer ")))
            value = str_trim(str_from(value, 7));
        r->secrets[r->secret_count++] = arena_str(&r->arena, value);
    }
}

static void taping_drop(void *arg)
{
    struct taping *tp = arg;

    recording_free(tp->r);
    tp->r = NULL;
}

static struct taping *taping_new(struct request *rq, const struct exchange_asker *asker,
                                 const struct http_client_request *hr)
{
    struct taping    *tp = arena_new(rq->arena, struct taping);
    struct recording *r = recording_new();
    struct arena     *a = &r->arena;

    tp->r = r;
    tp->started_us = loop_now_us(fiber_loop());
    arena_defer(rq->arena, taping_drop, tp);
    buf_init(&tp->bytes, a, TAPES_FILE_MAX / 2);
    r->tape.engine = arena_str(a, asker->engine);
    r->tape.model = arena_str(a, rq->model_name);
    r->tape.cloud = asker->cloud;
    r->tape.method = arena_str(a, hr->method);
    r->tape.path = arena_str(a, asker->path);
    r->tape.body = arena_str(a, hr->body);
    r->tape.asked =
        fields_keep(a, hr->fields, hr->field_count, kept_of_request, ARRAY_LEN(kept_of_request), &r->tape.asked_count);
    secrets_note(r, hr);
    return tp;
}

static void taping_head(struct taping *tp, const struct http_head *h)
{
    struct tape *t = &tp->r->tape;

    t->status = h->status;
    t->head_ms = since_ms(tp->started_us);
    t->fields = fields_keep(&tp->r->arena, h->fields, h->field_count, kept_of_answer, ARRAY_LEN(kept_of_answer),
                            &t->field_count);
}

static void mark(struct taping *tp, size_t end)
{
    if (end == tp->marked)
        return;
    if (tp->mark_count == tp->mark_cap) {
        size_t cap = tp->mark_cap ? 2 * tp->mark_cap : 32;

        tp->marks =
            arena_realloc(&tp->r->arena, tp->marks, tp->mark_cap * sizeof(*tp->marks), cap * sizeof(*tp->marks));
        tp->mark_cap = cap;
    }
    tp->marks[tp->mark_count++] = (struct mark){ since_ms(tp->started_us), end };
    tp->marked = end;
}

/* A piece that is kept ends where a line ends, wherever the network cut: so no character and no secret is in two of
 * them. */
static void taping_piece(struct taping *tp, str piece)
{
    size_t start = tp->bytes.len;

    if (!tp->r)
        return;
    buf_add(&tp->bytes, piece);
    if (tp->bytes.full)
        return;
    for (size_t i = piece.len; i > 0; i--) {
        if (piece.ptr[i - 1] == '\n') {
            mark(tp, start + i);
            return;
        }
    }
}

static void taping_end(struct taping *tp, struct tapes *tapes, enum tape_end end)
{
    struct recording  *r = tp->r;
    struct tape_piece *pieces;

    if (!r)
        return;
    if (tp->bytes.full) {
        log_warn("record: an answer is too long, going on without it");
        taping_drop(tp);
        return;
    }
    mark(tp, tp->bytes.len);
    tp->r = NULL;
    pieces = arena_array(&r->arena, struct tape_piece, tp->mark_count);
    for (size_t i = 0, from = 0; i < tp->mark_count; from = tp->marks[i++].end)
        pieces[i] = (struct tape_piece){ tp->marks[i].at_ms, str_of(tp->bytes.ptr + from, tp->marks[i].end - from) };
    r->tape.pieces = pieces;
    r->tape.piece_count = tp->mark_count;
    r->tape.end = end;
    r->size = tp->bytes.len + r->tape.body.len;
    tapes_keep(tapes, r);
}

/* ---- replaying ---- */

struct playing {
    struct tape_search search;
    struct http_head   head;
    int64_t            started_us;
    size_t             next; /* piece */
    bool               timed;
};

static void playing_free(void *arg)
{
    arena_free(&((struct playing *)arg)->search.arena);
}

static SUSPENDS enum err play_until(struct playing *pl, int64_t at_ms)
{
    return pl->timed ? fiber_sleep_until(pl->started_us + at_ms * 1000) : OK;
}

static SUSPENDS enum err play_open(struct exchange *x, const struct exchange_asker *asker,
                                   const struct http_client_request *hr)
{
    struct request *rq = x->rq;
    struct playing *pl = arena_new(rq->arena, struct playing);
    struct tape    *t = &pl->search.tape;

    pl->search = (struct tape_search){ .method = hr->method, .path = asker->path, .body = hr->body };
    pl->timed = tapes_options(x->tapes)->timed;
    pl->started_us = loop_now_us(fiber_loop());
    arena_init(&pl->search.arena, 0);
    arena_defer(rq->arena, playing_free, pl);
    if (tapes_find(x->tapes, &pl->search)) {
        (void)fail_replay_missing(&rq->fault, rq->model_name, pl->search.name); /* REF: D010 */
        return fault_detail(&rq->fault, arena_str(rq->arena, pl->search.problem));
    }
    pl->head = (struct http_head){
        .status = t->status, .fields = t->fields, .field_count = t->field_count, .content_length = -1
    };
    x->playing = pl;
    return play_until(pl, t->head_ms);
}

static SUSPENDS enum err play_next(struct playing *pl, str *ret)
{
    static const enum err ends[] = {
        [TAPE_DONE] = OK, [TAPE_CUT] = ERR_EOF, [TAPE_STALLED] = ERR_TIMEOUT, [TAPE_BROKEN] = ERR_PROTOCOL
    };
    const struct tape *t = &pl->search.tape;
    enum err           e;

    *ret = (str){ 0 };
    if (pl->next == t->piece_count)
        return ends[t->end];
    e = play_until(pl, t->pieces[pl->next].at_ms);
    if (!e)
        *ret = t->pieces[pl->next++].bytes;
    return e;
}

static bool play_ready(const struct playing *pl)
{
    const struct tape *t = &pl->search.tape;

    return !pl->timed || pl->next == t->piece_count ||
           loop_now_us(fiber_loop()) >= pl->started_us + t->pieces[pl->next].at_ms * 1000;
}

/* ---- both, and neither ---- */

enum err exchange_open(struct exchange *x, struct tapes *t, struct http_pool *p, struct request *rq,
                       const struct exchange_asker *asker, const struct http_client_request *hr)
{
    enum err e;

    might_suspend();
    *x = (struct exchange){ .rq = rq, .tapes = t };
    if (t && tapes_options(t)->replay)
        return play_open(x, asker, hr);
    if (t)
        x->taping = taping_new(rq, asker, hr);
    e = http_client_open(p, rq->arena, hr, &x->client);
    if (e)
        return e; /* nobody has answered: nothing is kept */
    if (x->taping)
        taping_head(x->taping, http_client_head(x->client));
    return OK;
}

bool exchange_is_open(const struct exchange *x)
{
    return x->client || x->playing;
}

const struct http_head *exchange_head(const struct exchange *x)
{
    return x->playing ? &x->playing->head : http_client_head(x->client);
}

enum err exchange_next(struct exchange *x, str *ret)
{
    enum err e;

    might_suspend();
    if (x->playing)
        return play_next(x->playing, ret);
    e = http_client_next(x->client, ret);
    if (!x->taping)
        return e;
    if (!e && ret->len)
        taping_piece(x->taping, *ret);
    else if (e == ERR_CANCELLED)
        taping_drop(x->taping);
    else
        taping_end(x->taping, x->tapes,
                   e == ERR_EOF       ? TAPE_CUT
                   : e == ERR_TIMEOUT ? TAPE_STALLED
                   : e                ? TAPE_BROKEN
                                      : TAPE_DONE);
    return e;
}

bool exchange_ready(const struct exchange *x)
{
    return x->playing ? play_ready(x->playing) : http_client_ready(x->client);
}

enum err exchange_body(struct exchange *x, size_t max, char **ret, size_t *ret_len)
{
    struct buf b;
    char      *end;

    might_suspend();
    if (!x->playing && !x->taping)
        return http_client_body(x->client, max, ret, ret_len);
    buf_init(&b, x->rq->arena, max + HTTP_CLIENT_PADDING);
    for (;;) {
        str      piece;
        enum err e = exchange_next(x, &piece);

        if (e)
            return e;
        if (!piece.len)
            break;
        buf_add(&b, piece);
        if (b.full || b.len > max)
            return ERR_LIMIT;
    }
    end = buf_room(&b, HTTP_CLIENT_PADDING);
    ASSERT(end);
    memset(end, 0, HTTP_CLIENT_PADDING);
    *ret = b.ptr;
    *ret_len = b.len;
    return OK;
}

static void ended(struct exchange *x)
{
    if (x->taping)
        taping_end(x->taping, x->tapes, TAPE_DONE);
    x->client = NULL;
    x->taping = NULL;
    x->playing = NULL;
}

void exchange_close(struct exchange *x)
{
    if (x->client)
        http_client_close(x->client);
    ended(x);
}

void exchange_leave(struct exchange *x)
{
    if (x->client)
        http_client_leave(x->client);
    ended(x);
}
