/* knowledge.c - questions to knowledge bases as they are read, and conditions on documents. */
#include "contract/knowledge.h"

#include "contract/knowledge_params.gen.h"
#include "contract/params.h"

/* ---- the way of a question ---- */

enum err knowledge_read(struct request *rq, yyjson_val *object, struct knowledge_input *ret)
{
    struct knowledge_filter f = { 0 };
    enum err                e;

    *ret = (struct knowledge_input){ 0 };
    e = params_read(rq, &knowledge_params_native_body, object, NULL, ret);
    if (!e && ret->filters && !knowledge_filter_add_all(rq->arena, &f, ret->filters))
        e = fail_parameter_missing_named(&rq->fault, S("search_filters"));
    return e;
}

static void take_int(yyjson_val *object, const char *name, opt_int *ret)
{
    yyjson_val *v = json_get(object, name);
    int64_t     n;

    if (!ret->set && json_to_i64(v, &n) && n >= 0)
        *ret = (opt_int){ .v = n, .set = true };
}

static void take_bool(yyjson_val *object, const char *name, opt_bool *ret)
{
    yyjson_val *v = json_get(object, name);

    if (!ret->set && yyjson_is_bool(v))
        *ret = (opt_bool){ .v = yyjson_get_bool(v), .set = true };
}

void knowledge_read_own(struct arena *a, str json, struct knowledge_input *in)
{
    yyjson_val *own = json_parse_copy(a, json);
    double      n;

    take_int(own, "dense_similarity_top_k", &in->dense_top);
    take_int(own, "sparse_similarity_top_k", &in->sparse_top);
    take_int(own, "rerank_top_n", &in->top);
    take_bool(own, "enable_rewrite", &in->rewrite);
    take_bool(own, "enable_reranking", &in->rerank);
    if (!in->score_min.set && json_to_num(json_get(own, "rerank_min_score"), &n))
        in->score_min = (opt_num){ .v = n, .set = true };
    if (!in->rewriters)
        in->rewriters = json_get(own, "rewrite");
    if (!in->rerankers)
        in->rerankers = json_get(own, "rerank");
}

/* [{"model_name": NAME}], or the object alone. */
static str model_of(yyjson_val *list)
{
    return json_str(json_get(yyjson_is_arr(list) ? yyjson_arr_get_first(list) : list, "model_name"));
}

void knowledge_decide(const struct knowledge_input *in, struct knowledge_way *ret)
{
    *ret = (struct knowledge_way){
        .dense_top = in->dense_top.set ? in->dense_top.v : KNOWLEDGE_DENSE_TOP,
        .sparse_top = in->sparse_top.set ? in->sparse_top.v : KNOWLEDGE_SPARSE_TOP,
        .top = in->top.set ? in->top.v : KNOWLEDGE_TOP,
        .rewrite = in->rewrite.v,
        .rerank = !in->rerank.set || in->rerank.v,
        .score_min = in->score_min.set ? in->score_min.v : KNOWLEDGE_SCORE_MIN_PERCENT / 100.0,
        .rewriter = model_of(in->rewriters),
        .reranker = model_of(in->rerankers),
    };
    if (!ret->rewriter.len)
        ret->rewriter = KNOWLEDGE_REWRITER;
    if (!ret->reranker.len)
        ret->reranker = KNOWLEDGE_RERANKER;
}

/* ---- which documents count ---- */

static bool is_value(yyjson_val *v)
{
    return yyjson_is_str(v) || yyjson_is_num(v) || yyjson_is_bool(v);
}

static bool is_condition(yyjson_val *v)
{
    size_t      i, n;
    yyjson_val *one;

    if (!yyjson_is_arr(v))
        return is_value(v);
    yyjson_arr_foreach(v, i, n, one)
    {
        if (!is_value(one))
            return false;
    }
    return yyjson_arr_size(v) <= KNOWLEDGE_FILTERS_MAX;
}

static bool add(struct arena *a, struct knowledge_filter *f, enum knowledge_by by, str name, yyjson_val *value)
{
    if (f->count == KNOWLEDGE_FILTERS_MAX || !is_condition(value))
        return false;
    if (!f->all)
        f->all = arena_array(a, struct knowledge_condition, KNOWLEDGE_FILTERS_MAX);
    f->all[f->count++] = (struct knowledge_condition){ by, name, value };
    return true;
}

bool knowledge_filter_add(struct arena *a, struct knowledge_filter *f, yyjson_val *object)
{
    size_t      i, n;
    yyjson_val *key, *value;

    if (!yyjson_is_obj(object))
        return false;
    yyjson_obj_foreach(object, i, n, key, value)
    {
        bool tags = str_eq(json_str(key), S("tags"));

        if (!add(a, f, tags ? KNOWLEDGE_BY_TAG : KNOWLEDGE_BY_DETAIL, json_str(key), value))
            return false;
    }
    return true;
}

bool knowledge_filter_add_list(struct arena *a, struct knowledge_filter *f, enum knowledge_by by, yyjson_val *list)
{
    size_t      i, n;
    yyjson_val *one;

    if (!yyjson_is_arr(list))
        return false;
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!yyjson_is_str(one))
            return false;
    }
    return !n || add(a, f, by, (str){ 0 }, list); /* an empty list asks for nothing */
}

bool knowledge_filter_add_all(struct arena *a, struct knowledge_filter *f, yyjson_val *list)
{
    size_t      i, n;
    yyjson_val *one;

    if (!yyjson_is_arr(list))
        return false;
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!knowledge_filter_add(a, f, one))
            return false;
    }
    return true;
}

/* A number is the same however it is written, also as a text. */
static bool is_same(yyjson_val *x, yyjson_val *y)
{
    double a, b;

    if (yyjson_is_str(x) && yyjson_is_str(y))
        return str_eq(json_str(x), json_str(y));
    if (yyjson_is_bool(x) || yyjson_is_bool(y))
        return yyjson_is_bool(x) && yyjson_is_bool(y) && yyjson_get_bool(x) == yyjson_get_bool(y);
    if (!json_to_num(x, &a) && !str_to_f64(json_str(x), &a))
        return false;
    return (json_to_num(y, &b) || str_to_f64(json_str(y), &b)) && a == b;
}

static bool is_among(yyjson_val *one, yyjson_val *wanted)
{
    size_t      i, n;
    yyjson_val *w;

    if (!yyjson_is_arr(wanted))
        return is_same(one, wanted);
    yyjson_arr_foreach(wanted, i, n, w)
    {
        if (is_same(one, w))
            return true;
    }
    return false;
}

/* What a document has may be several values. */
static bool any_among(yyjson_val *has, yyjson_val *wanted)
{
    size_t      i, n;
    yyjson_val *one;

    if (!yyjson_is_arr(has))
        return is_value(has) && is_among(has, wanted);
    yyjson_arr_foreach(has, i, n, one)
    {
        if (is_value(one) && is_among(one, wanted))
            return true;
    }
    return false;
}

static bool names_file(yyjson_val *wanted, str file)
{
    size_t      i, n;
    yyjson_val *w;

    yyjson_arr_foreach(wanted, i, n, w)
    {
        if (str_eq(json_str(w), file))
            return true;
    }
    return false;
}

bool knowledge_filter_holds(const struct knowledge_filter *f, struct arena *a, str file, str tags, str details)
{
    bool holds = true;

    for (size_t i = 0; i < f->count && holds; i++) {
        const struct knowledge_condition *c = &f->all[i];
        yyjson_val                       *object;

        switch (c->by) {
        case KNOWLEDGE_BY_FILE:
            holds = names_file(c->value, file);
            break;
        case KNOWLEDGE_BY_TAG:
            holds = any_among(json_parse_copy(a, tags), c->value);
            break;
        case KNOWLEDGE_BY_DETAIL:
            object = json_parse_copy(a, details);
            holds = any_among(yyjson_obj_getn(object, c->name.ptr, c->name.len), c->value);
            break;
        }
    }
    return holds;
}
