/* knowledge_search.c - from a question to the chunks that say most about it. */
#include "base/num.h"
#include "contract/embed.h"
#include "contract/errors.gen.h"
#include "contract/knowledge_params.gen.h"
#include "contract/model.h"
#include "contract/rerank.h"
#include "loop/lane.h"
#include "service/embed.h"
#include "service/knowledge.h"
#include "service/knowledge_chunks.h"
#include "service/knowledge_vectors.h"
#include "service/rerank.h"
#include "service/services.h"

#include <stdlib.h>

#define BASES_MAX      8
#define VECTORS_WEIGHT (KNOWLEDGE_FUSION_VECTORS_PERCENT / 100.0)

struct knowledge {
    struct lane    *lane;
    sqlite3        *db; /* the lane's, and so are the vectors */
    struct vectors *vectors;
};

enum err knowledge_open(const struct store *s, size_t memory_max, struct knowledge **ret)
{
    struct knowledge *k = xcalloc(1, sizeof(*k));
    enum err          e = store_reader_open(s, &k->db);

    k->vectors = vectors_open(memory_max);
    if (!e) {
        k->lane = lane_open_behind("knowledge");
        e = k->lane ? OK : ERR_LIMIT;
    }
    if (e)
        knowledge_close(k);
    else
        *ret = k;
    return e;
}

void knowledge_close(struct knowledge *k)
{
    if (!k)
        return;
    lane_close(k->lane);
    sqlite3_close(k->db);
    vectors_close(k->vectors);
    free(k);
}

/* ---- refusals ---- */

static enum err refuse(struct request *rq, str detail)
{
    (void)fail_rag_retrieval_failed(&rq->fault); /* REF: E234, E289 */
    return fault_detail(&rq->fault, detail);
}

/* What another model's refusal was, is for the log. */
static enum err refuse_part(struct request *rq, struct request *part, const char *what, enum err e)
{
    struct fault_view v;

    if (e == ERR_CANCELLED || e == ERR_TIMEOUT)
        return e;
    if (e != ERR_FAULT)
        return refuse(rq, arena_printf(rq->arena, "%s %.*s: %s", what, STR_ARG(part->model_name), err_text(e)));
    fault_render(&part->fault, &part->settings->wording, rq->arena, &v);
    return refuse(rq, arena_printf(rq->arena, "%s %.*s: %.*s %d %.*s: %.*s%s%.*s", what, STR_ARG(part->model_name),
                                   STR_ARG(v.id), v.status, STR_ARG(v.code), STR_ARG(v.message),
                                   part->fault.detail.len ? "; " : "", STR_ARG(part->fault.detail)));
}

static struct request *part_of(struct request *rq, str model)
{
    struct request *part = request_part(rq, rq->arena);

    part->journal = NULL;
    part->model_name = model;
    return part;
}

/* ---- which bases ---- */

struct opening {
    struct knowledge             *k;
    struct request               *rq;
    const struct knowledge_query *q;
    struct knowledge_base         bases[BASES_MAX];
    str                           missing;
    enum err                      e;
};

static void open_job(void *arg)
{
    struct opening *o = arg;

    o->e = knowledge_bases_get(o->k->db, o->rq->arena, o->rq->workspace, o->q->bases, o->q->base_count, o->bases,
                               &o->missing);
}

SUSPENDS static enum err open_bases(struct opening *o)
{
    struct request *rq = o->rq;

    if (!o->q->base_count || o->q->base_count > BASES_MAX)
        return refuse(rq, S("no knowledge base is asked, or too many"));
    if (!o->k)
        return refuse(rq, S("there are no knowledge bases here"));
    lane_run(o->k->lane, open_job, o);
    if (o->e == ERR_NOT_FOUND)
        return refuse(rq, arena_printf(rq->arena, "the workspace has no knowledge base \"%.*s\"",
                                       STR_ARG(str_first(o->missing, 64))));
    return o->e ? refuse(rq, S("the store cannot be read")) : OK;
}

static void decide(const struct opening *o, struct knowledge_way *ret)
{
    struct knowledge_input in = o->q->in;

    knowledge_read_own(o->rq->arena, o->bases[0].way, &in);
    knowledge_decide(&in, ret);
}

enum err knowledge_way(struct request *rq, const struct knowledge_query *q, struct knowledge_way *ret)
{
    struct opening o = { .k = rq->services->knowledge, .rq = rq, .q = q };
    enum err       e;

    might_suspend();
    e = open_bases(&o);
    if (!e)
        decide(&o, ret);
    return e;
}

/* ---- the question's vectors ---- */

/* Bases of one model are looked through at once. */
struct group {
    str     model;
    int64_t dimension;
    float  *question;
    size_t  numbers;
    int64_t bases[BASES_MAX];
    size_t  base_count;
};

static size_t group_bases(const struct opening *o, struct group *groups)
{
    size_t count = 0, g;

    for (size_t i = 0; i < o->q->base_count; i++) {
        const struct knowledge_base *b = &o->bases[i];

        for (g = 0; g < count; g++) {
            if (str_eq(groups[g].model, b->model) && groups[g].dimension == b->dimension)
                break;
        }
        if (g == count)
            groups[count++] = (struct group){ .model = b->model, .dimension = b->dimension };
        groups[g].bases[groups[g].base_count++] = b->number;
    }
    return count;
}

SUSPENDS static enum err embed_question(struct request *rq, struct group *g, str query)
{
    struct request     *part = part_of(rq, g->model);
    struct embed_answer answer;
    struct embed_input  in = { .model = request_model(part, g->model),
                               .model_name = g->model,
                               .texts = &query,
                               .text_count = 1,
                               .text_type = EMBED_QUERY,
                               .output = EMBED_DENSE,
                               .dimension = { .v = g->dimension, .set = g->dimension > 0 } };
    enum err            e;

    if (!in.model)
        return refuse(rq, arena_printf(rq->arena, "there is no model %.*s", STR_ARG(g->model)));
    e = embed_check(part, &in);
    if (!e)
        e = embed_texts(part, &in, &answer);
    if (e)
        return refuse_part(rq, part, "the embedder", e);
    g->numbers = answer.dimension;
    g->question = arena_array(rq->arena, float, answer.dimension);
    for (size_t i = 0; i < answer.dimension; i++)
        g->question[i] = (float)answer.vectors[0].dense[i];
    return OK;
}

/* ---- looking ---- */

struct candidate {
    int64_t chunk;
    double  score;
};

struct looking {
    struct opening       *o;
    struct knowledge_way *way;
    struct group         *groups;
    size_t                group_count, pool; /* so many are wanted */
    str                   words;

    struct knowledge_document **documents; /* that count, by their numbers */
    size_t                      document_count, ready, waiting;
    struct candidate           *all;
    size_t                      count;

    struct knowledge_found *found;
    size_t                  found_count;
    enum err                e;
};

static str base_id(const struct opening *o, int64_t number)
{
    for (size_t i = 0; i < o->q->base_count; i++) {
        if (o->bases[i].number == number)
            return o->bases[i].id;
    }
    return (str){ 0 };
}

static bool counts(const struct looking *l, const struct knowledge_document *d)
{
    const struct knowledge_filter *f = l->o->q->filter;

    return !f || knowledge_filter_holds(f, l->o->rq->arena, d->file, d->tags, d->details);
}

static enum err list_documents(struct looking *l)
{
    struct arena *a = l->o->rq->arena;

    for (size_t i = 0; i < l->o->q->base_count; i++) {
        struct knowledge_document *all;
        size_t                     count;
        enum err                   e = knowledge_ready(l->o->k->db, a, l->o->bases[i].number, &all, &count);

        if (e)
            return e;
        l->documents = arena_realloc(a, l->documents, l->document_count * sizeof(*l->documents),
                                     (l->document_count + count) * sizeof(*l->documents));
        l->ready += count;
        for (size_t k = 0; k < count; k++) {
            if (counts(l, &all[k]))
                l->documents[l->document_count++] = &all[k];
        }
    }
    return OK;
}

/* A base that has documents and can show none is being built. */
static enum err count_waiting(struct looking *l)
{
    sqlite3_stmt *st;
    enum err      e =
        store_prepare(l->o->k->db, "SELECT COUNT(*) FROM knowledge_documents WHERE base = ? AND state = 0", &st);

    for (size_t i = 0; i < l->o->q->base_count && !e; i++) {
        sqlite3_bind_int64(st, 1, l->o->bases[i].number);
        if (sqlite3_step(st) == SQLITE_ROW)
            l->waiting += (size_t)sqlite3_column_int64(st, 0);
        sqlite3_reset(st);
    }
    sqlite3_finalize(st);
    return e;
}

/* A list of hits becomes part of the one list. */
static void add_places(struct looking *l, const struct knowledge_hit *hits, size_t count, double weight)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < l->count && l->all[at].chunk != hits[i].chunk)
            at++;
        if (at == l->count)
            l->all[l->count++] = (struct candidate){ .chunk = hits[i].chunk };
        l->all[at].score += weight / (KNOWLEDGE_FUSION_FROM + 1 + (double)i);
    }
}

static bool is_of(const struct group *g, int64_t base)
{
    for (size_t i = 0; i < g->base_count; i++) {
        if (g->bases[i] == base)
            return true;
    }
    return false;
}

static enum err look_by_vectors(struct looking *l, const struct group *g, struct knowledge_hit *hits)
{
    struct arena *a = l->o->rq->arena;
    int64_t      *documents = arena_array(a, int64_t, l->document_count);
    size_t        n = 0, count = 0;
    enum err      e;

    for (size_t i = 0; i < l->document_count; i++) {
        if (is_of(g, l->documents[i]->base))
            documents[n++] = l->documents[i]->number;
    }
    e = vectors_nearest(l->o->k->vectors, l->o->k->db, documents, n, g->question, g->numbers, (size_t)l->way->dense_top,
                        hits, &count);
    add_places(l, hits, count, VECTORS_WEIGHT);
    return e;
}

static enum err look_by_words(struct looking *l, struct knowledge_hit *hits)
{
    struct arena *a = l->o->rq->arena;
    int64_t      *documents = arena_array(a, int64_t, l->document_count), bases[BASES_MAX];
    size_t        count = 0;
    enum err      e;

    for (size_t i = 0; i < l->document_count; i++)
        documents[i] = l->documents[i]->number;
    for (size_t i = 0; i < l->o->q->base_count; i++)
        bases[i] = l->o->bases[i].number;
    e = knowledge_match(l->o->k->db, a, bases, l->o->q->base_count, l->words, documents, l->document_count,
                        (size_t)l->way->sparse_top, hits, &count);
    add_places(l, hits, count, 1);
    return e;
}

static int by_score(const void *x, const void *y)
{
    const struct candidate *a = x, *b = y;

    if (a->score != b->score)
        return a->score < b->score ? 1 : -1;
    return (a->chunk > b->chunk) - (a->chunk < b->chunk);
}

static const struct knowledge_document *document_of(const struct looking *l, int64_t number)
{
    for (size_t i = 0; i < l->document_count; i++) {
        if (l->documents[i]->number == number)
            return l->documents[i];
    }
    return NULL;
}

static enum err read_found(struct looking *l)
{
    struct arena *a = l->o->rq->arena;
    size_t        n = min_size(l->count, l->pool);
    double        best_possible = (1 + VECTORS_WEIGHT) / (KNOWLEDGE_FUSION_FROM + 1);

    l->found = arena_array(a, struct knowledge_found, n);
    for (size_t i = 0; i < n; i++) {
        struct knowledge_text            text;
        const struct knowledge_document *d;
        enum err                         e = knowledge_text_get(l->o->k->db, a, l->all[i].chunk, &text);

        if (e)
            return e;
        d = document_of(l, text.document);
        if (!d)
            return ERR_NOT_FOUND;
        l->found[l->found_count++] = (struct knowledge_found){ .chunk = l->all[i].chunk,
                                                               .position = text.position,
                                                               .title = text.title,
                                                               .text = text.text,
                                                               .base = base_id(l->o, d->base),
                                                               .file = d->file,
                                                               .name = d->name,
                                                               .score = l->all[i].score / best_possible };
    }
    return OK;
}

static enum err look(struct looking *l)
{
    size_t                hits_max = (size_t)max_i64(l->way->dense_top, l->way->sparse_top) + 1;
    struct knowledge_hit *hits = arena_array(l->o->rq->arena, struct knowledge_hit, hits_max);
    enum err              e = list_documents(l);

    if (!e && !l->ready)
        e = count_waiting(l);
    if (e || !l->document_count)
        return e;
    l->all = arena_array(l->o->rq->arena, struct candidate, hits_max * (l->group_count + 1));
    if (l->way->sparse_top)
        e = look_by_words(l, hits);
    for (size_t g = 0; g < l->group_count && !e && l->way->dense_top; g++)
        e = look_by_vectors(l, &l->groups[g], hits);
    if (e)
        return e;
    if (l->count)
        qsort(l->all, l->count, sizeof(*l->all), by_score);
    return read_found(l);
}

/* All of it in one transaction: no document goes while it is read. */
static void look_job(void *arg)
{
    struct looking *l = arg;

    l->e = store_exec(l->o->k->db, "BEGIN");
    if (l->e)
        return;
    l->e = look(l);
    (void)store_exec(l->o->k->db, "COMMIT"); /* it has changed nothing */
}

/* ---- rerank ---- */

static str with_title(struct arena *a, const struct knowledge_found *f)
{
    return f->title.len && str_find_str(f->text, f->title) == STR_NONE
               ? arena_printf(a, "%.*s\n%.*s", STR_ARG(f->title), STR_ARG(f->text))
               : f->text;
}

SUSPENDS static enum err rerank_found(struct looking *l, str query)
{
    struct request         *rq = l->o->rq;
    bool                    known = request_model(rq, l->way->reranker);
    struct request         *part = part_of(rq, known ? l->way->reranker : KNOWLEDGE_RERANKER);
    str                    *texts = arena_array(rq->arena, str, l->found_count);
    struct rerank_input     in = { .model = request_model(part, part->model_name),
                                   .model_name = part->model_name,
                                   .query = query,
                                   .documents = texts,
                                   .document_count = l->found_count };
    struct rerank_answer    answer;
    struct knowledge_found *ranked = arena_array(rq->arena, struct knowledge_found, l->found_count);
    size_t                  n = 0;
    enum err                e;

    if (!in.model)
        return refuse(rq, arena_printf(rq->arena, "there is no model %.*s", STR_ARG(part->model_name)));
    for (size_t i = 0; i < l->found_count; i++)
        texts[i] = with_title(rq->arena, &l->found[i]);
    e = rerank_texts(part, &in, &answer);
    if (e)
        return refuse_part(rq, part, "the rerank model", e);
    for (size_t i = 0; i < answer.count; i++) {
        if (answer.results[i].index >= l->found_count || answer.results[i].score < l->way->score_min)
            continue;
        ranked[n] = l->found[answer.results[i].index];
        ranked[n++].score = answer.results[i].score;
    }
    l->found = ranked;
    l->found_count = n;
    return OK;
}

/* ---- all of it ---- */

enum err knowledge_search(struct request *rq, const struct knowledge_query *q, struct knowledge_found **ret,
                          size_t *ret_count)
{
    struct opening      *o = arena_new(rq->arena, struct opening);
    struct looking      *l = arena_new(rq->arena, struct looking);
    struct group        *groups = arena_array(rq->arena, struct group, BASES_MAX);
    struct knowledge_way way;
    enum err             e;

    might_suspend();
    *o = (struct opening){ .k = rq->services->knowledge, .rq = rq, .q = q };
    e = open_bases(o);
    if (e)
        return e;
    decide(o, &way);
    *l = (struct looking){ .o = o, .way = &way, .groups = groups, .group_count = group_bases(o, groups) };
    l->pool = way.rerank ? max_size(KNOWLEDGE_RERANK_POOL_MAX, (size_t)way.top) : (size_t)way.top;
    for (size_t g = 0; g < l->group_count && !e && way.dense_top; g++)
        e = embed_question(rq, &groups[g], q->query);
    if (e)
        return e;
    l->words = chunk_words(rq->arena, q->query, true);
    lane_run(o->k->lane, look_job, l);
    if (l->e)
        return refuse(rq, S("the store cannot be read"));
    if (!l->ready && l->waiting)
        return refuse(rq, S("the knowledge base is being built"));
    if (way.rerank && l->found_count)
        e = rerank_found(l, q->query);
    if (e)
        return e;
    *ret = l->found;
    *ret_count = min_size(l->found_count, (size_t)way.top);
    return OK;
}
