/* knowledge.c - from texts to chunks with vectors. */
#include "service/knowledge.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "contract/embed.h"
#include "contract/knowledge_params.gen.h"
#include "contract/model.h"
#include "engine/document/facts.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "service/embed.h"
#include "service/files.h"
#include "service/knowledge_chunks.h"
#include "service/services.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define POLL_US   INT64_C(5000000) /* how late is found what another process has left, and tried again what has failed */
#define PIECE     ((size_t)64)     /* chunks that become rows at once */
#define OWNER_MAX 32

struct knowledge_index {
    struct loop                   *loop;
    struct knowledge_index_options o;
    char                           owner[OWNER_MAX];
    struct fiber                  *fiber; /* NULL: not started, or at its end */
    unsigned                       news;  /* how often something was said to wait */
    bool                           stopping;
    void (*then)(void *arg);
    void *then_arg;
};

/* A document that is being indexed. */
struct work {
    struct request        *rq;
    struct knowledge_claim claim;
    struct chunk_rule      rule;
    int                    fd;
    char                  *text; /* malloc()ed */
    size_t                 len;
    struct chunk          *chunks;
    size_t                 count;
    struct arena           arena; /* of the chunks, which outlive pieces */
    enum err               e;
};

/* ---- its chunks ---- */

static enum err read_text(struct work *w, int64_t size)
{
    w->text = xmalloc((size_t)size + 1);
    while (w->len < (size_t)size) {
        ssize_t n = read(w->fd, w->text + w->len, (size_t)size - w->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        w->len += (size_t)n;
    }
    return OK;
}

static void cut_job(void *arg)
{
    struct work *w = arg;

    w->e = read_text(w, w->claim.text_bytes);
    if (!w->e && !utf8_valid(str_of(w->text, w->len)))
        w->e = ERR_INVALID;
    if (!w->e)
        w->e = chunks_cut(w->rq->services->tokenizer, &w->arena, str_of(w->text, w->len), &w->rule,
                          KNOWLEDGE_CHUNKS_MAX, &w->chunks, &w->count);
}

static void read_rule(struct work *w)
{
    const struct knowledge_base *b = &w->claim.base;
    yyjson_val                  *list = json_parse_copy(w->rq->arena, b->separators), *one;
    size_t                       i, n;
    str                         *separators;

    w->rule = (struct chunk_rule){ .size = (size_t)b->chunk_size, .overlap = (size_t)b->overlap };
    if (!yyjson_is_arr(list))
        return;
    separators = arena_array(w->rq->arena, str, yyjson_arr_size(list));
    yyjson_arr_foreach(list, i, n, one)
    {
        if (json_str(one).len)
            separators[w->rule.separator_count++] = json_str(one);
    }
    w->rule.separators = separators;
}

/* ---- their vectors ---- */

static str failed(struct request *rq, enum err e)
{
    struct fault_view v;

    if (e != ERR_FAULT)
        return str_from_cstr(err_text(e));
    fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
    return arena_printf(rq->arena, "%.*s %.*s: %.*s", STR_ARG(rq->model_name), STR_ARG(v.code), STR_ARG(v.message));
}

/* A title belongs to what its vector and its words say. */
static str said_of(struct arena *a, const struct chunk *c)
{
    return c->title.len && str_find_str(c->text, c->title) == STR_NONE
               ? arena_printf(a, "%.*s\n%.*s", STR_ARG(c->title), STR_ARG(c->text))
               : c->text;
}

SUSPENDS static enum err embed_some(struct request *rq, const struct knowledge_base *b, const str *texts, size_t count,
                                    struct knowledge_chunk *ret)
{
    struct embed_answer answer;
    struct embed_input  in = { .model = request_model(rq, b->model),
                               .model_name = b->model,
                               .texts = texts,
                               .text_count = count,
                               .text_type = EMBED_DOCUMENT,
                               .output = EMBED_DENSE,
                               .dimension = { .v = b->dimension, .set = b->dimension > 0 } };
    enum err            e = in.model ? embed_check(rq, &in) : ERR_NOT_FOUND;

    fiber_deadline_set(rq->settings->call_ms > 0 ? loop_now_us(fiber_loop()) + rq->settings->call_ms * 1000
                                                 : DEADLINE_NONE);
    if (!e)
        e = embed_texts(rq, &in, &answer);
    fiber_deadline_set(DEADLINE_NONE);
    for (size_t i = 0; i < count && !e; i++) {
        float *numbers = arena_array(rq->arena, float, answer.dimension);

        for (size_t k = 0; k < answer.dimension; k++)
            numbers[k] = (float)answer.vectors[i].dense[k];
        ret[i].vector = numbers;
        ret[i].vector_bytes = answer.dimension * sizeof(float);
    }
    return e;
}

/* From chunk `from` on, at most PIECE of them. */
SUSPENDS static enum err index_piece(struct knowledge_index *x, struct work *w, size_t from, size_t *ret_count)
{
    struct request              *rq = w->rq;
    const struct knowledge_base *b = &w->claim.base;
    const struct model          *m = request_model(rq, b->model);
    size_t                       n = min_size(w->count - from, PIECE), at_once;
    struct knowledge_chunk      *rows = arena_array(rq->arena, struct knowledge_chunk, n);
    str                         *texts = arena_array(rq->arena, str, n);
    struct knowledge_put         put = { .owner = w->claim.owner,
                                         .document = w->claim.document.number,
                                         .base = b->number,
                                         .position = (int64_t)from,
                                         .chunks = rows,
                                         .count = n };
    enum err                     e = OK;

    at_once = m && m->rows_max > 0 ? (size_t)m->rows_max : n;
    for (size_t i = 0; i < n; i++) {
        const struct chunk *c = &w->chunks[from + i];

        texts[i] = said_of(rq->arena, c);
        rows[i] = (struct knowledge_chunk){ .title = c->title,
                                            .text = c->text,
                                            .words = chunk_words(rq->arena, texts[i], false) };
    }
    for (size_t i = 0; i < n && !e; i += at_once)
        e = embed_some(rq, b, texts + i, min_size(at_once, n - i), rows + i);
    *ret_count = n;
    return e ? e : store_run(x->o.store, knowledge_put_job, &put);
}

/* ---- a document ---- */

SUSPENDS static enum err index_document(struct knowledge_index *x, struct work *w)
{
    struct request *rq = w->rq;
    struct arena   *whole = rq->arena, piece;
    int64_t         size;
    size_t          n = 0;
    enum err        e = file_open(rq->services, w->claim.text, &w->fd, &size);

    if (e)
        return e;
    read_rule(w);
    lane_run(rq->services->files, cut_job, w);
    close(w->fd);
    if (w->e)
        return w->e;
    arena_init(&piece, 0);
    rq->arena = &piece;
    for (size_t from = 0; from < w->count && !e; from += n) {
        arena_reset(&piece);
        e = index_piece(x, w, from, &n);
        if (!e && fiber_wait(0) == ERR_CANCELLED)
            e = ERR_CANCELLED; /* others have their turn */
    }
    rq->arena = whole;
    if (e == ERR_FAULT) /* its words may be the piece's */
        rq->fault.detail = arena_str(whole, failed(rq, e));
    arena_free(&piece);
    return e;
}

static struct request *make_request(struct arena *a, struct services *s, const struct request_settings *settings)
{
    struct request *rq = arena_new(a, struct request);

    rq->arena = a;
    rq->services = s;
    rq->settings = settings;
    rq->surface = SURFACE_NATIVE;
    rq->action = "indexing a document";
    rand_uuid(rq->id, '4');
    return rq;
}

/* Whether its end is written; ERR_NOT_FOUND: it has gone, or is another's. */
SUSPENDS static enum err end_document(struct knowledge_index *x, struct work *w, enum err e)
{
    const struct knowledge_document *d = &w->claim.document;
    struct knowledge_end n = { .owner = w->claim.owner, .document = d->number, .chunks = (int64_t)w->count };

    if (e == ERR_CANCELLED)
        n.again = true;
    else if (e == ERR_LIMIT)
        n.problem = arena_printf(w->rq->arena, "it has more than %d chunks", KNOWLEDGE_CHUNKS_MAX);
    else if (e && d->tries < KNOWLEDGE_TRIES_MAX)
        n.again = n.counts = true;
    else if (e)
        n.problem = e == ERR_FAULT ? w->rq->fault.detail
                    : e == ERR_NOT_FOUND
                        ? arena_printf(w->rq->arena, "there is no model %.*s", STR_ARG(w->claim.base.model))
                        : str_from_cstr(err_text(e));
    if (e && e != ERR_CANCELLED)
        log_warn("knowledge base %.*s: document %.*s: %.*s%s", STR_ARG(w->claim.base.id), STR_ARG(d->file),
                 STR_ARG(e == ERR_FAULT ? w->rq->fault.detail : str_from_cstr(err_text(e))),
                 n.again ? ", tried again" : "");
    return store_run(x->o.store, knowledge_end_job, &n);
}

/* Whether another may be tried at once. */
SUSPENDS static bool index_one(struct knowledge_index *x, struct services *s, const struct request_settings *settings)
{
    struct arena a;
    struct work  w = { .claim = { .arena = &a, .owner = str_from_cstr(x->owner) }, .fd = -1 };
    const char  *ok = document_verdict_name(DOCUMENT_OK);
    enum err     e;

    arena_init(&a, 0);
    arena_init(&w.arena, 0);
    e = store_run(x->o.store, knowledge_claim_job, &w.claim);
    if (!e) {
        w.rq = make_request(&a, s, settings);
        w.rq->model_name = w.claim.base.model;
        if (w.claim.document.tries > KNOWLEDGE_TRIES_MAX) { /* lost with the server so often that this may be why */
            e = ERR_IO;
        } else if (!str_eq(w.claim.verdict, str_from_cstr(ok))) {
            w.claim.document.tries = KNOWLEDGE_TRIES_MAX; /* it has no text, however often one asks */
            w.rq->fault.detail = arena_printf(&a, "it cannot be read: %.*s", STR_ARG(w.claim.verdict));
            e = ERR_FAULT;
        } else {
            e = index_document(x, &w);
        }
        if (!e)
            log_info("knowledge base %.*s: document %.*s, %zu chunks", STR_ARG(w.claim.base.id),
                     STR_ARG(w.claim.document.file), w.count);
        (void)end_document(x, &w, e); /* else it has gone, or the next start finds it */
    }
    free(w.text);
    arena_free(&w.arena);
    arena_free(&a);
    return !e;
}

/* ---- the indexer ---- */

static void indexer_main(void *arg)
{
    struct knowledge_index *x = arg;

    while (!x->stopping) {
        const struct request_settings *settings;
        unsigned                       news = x->news;
        struct services               *s = x->o.hold(x->o.arg, &settings);
        bool                           more = index_one(x, s, settings);

        x->o.release(x->o.arg, s);
        if (!more && !x->stopping && news == x->news)
            (void)fiber_wait(loop_now_us(x->loop) + POLL_US);
    }
    x->fiber = NULL;
    x->then(x->then_arg);
}

struct knowledge_index *knowledge_index_open(struct loop *l, const struct knowledge_index_options *o)
{
    struct knowledge_index *x = xcalloc(1, sizeof(*x));
    char                    hex[9] = { 0 };

    x->loop = l;
    x->o = *o;
    rand_hex(hex, 8);
    snprintf(x->owner, sizeof(x->owner), "%015lld-%s", (long long)clock_machine_ms(), hex); /* in the order of starts */
    return x;
}

void knowledge_index_start(struct knowledge_index *x)
{
    x->fiber = fiber_start(x->loop, indexer_main, x);
}

static void wake_here(void *arg)
{
    struct knowledge_index *x = arg;

    x->news++;
    if (x->fiber)
        fiber_wake(x->fiber);
}

void knowledge_index_wake(struct knowledge_index *x)
{
    if (x)
        loop_post(x->loop, wake_here, x);
}

void knowledge_index_stop(struct knowledge_index *x, void (*then)(void *arg), void *arg)
{
    x->stopping = true;
    x->then = then;
    x->then_arg = arg;
    if (x->fiber)
        fiber_cancel(x->fiber);
    else
        then(arg);
}

void knowledge_index_free(struct knowledge_index *x)
{
    free(x);
}
