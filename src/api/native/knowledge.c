/* knowledge.c - /api/v1/indices/…: knowledge bases as llama_index and Spring AI use them with an API key. Spec: platform.md §4.8.
 *
 * A pipeline is a knowledge base: store/knowledge.h. An ingestion is the documents that a call has named, or all of the base.
 */
#include "access/knowledge_edit.h"
#include "api/native/native.h"
#include "api/native/separators.h"
#include "api/reply.h"
#include "base/rand.h"
#include "contract/errors.gen.h"
#include "contract/knowledge_params.gen.h"
#include "loop/lane.h"
#include "net/http_server.h"
#include "service/knowledge.h"
#include "service/knowledge_chunks.h"
#include "service/services.h"

#define FILES_MAX 10000 /* of one call */

/* {"code":"Success", … without the closing brace. */
static void begin(struct request *rq, struct buf *b)
{
    buf_init(b, rq->arena, SIZE_MAX / 2);
    buf_addf(b, "{\"code\":\"Success\",\"status\":\"SUCCESS\",\"message\":\"success\",\"request_id\":\"%s\"", rq->id);
}

static enum err refuse(struct request *rq, str name)
{
    return fail_parameter_missing_named(&rq->fault, name);
}

/* ---- in the store ---- */

struct work {
    struct edit                edit;
    struct request            *rq;
    struct knowledge_base      base;
    str                        id, job, name;
    const str                 *files;
    size_t                     file_count;
    struct knowledge_document *documents;
    size_t                     count;
    enum err (*run)(struct work *w);
};

static enum err in_transaction(sqlite3 *db, void *arg)
{
    struct work *w = arg;
    enum err     e = store_exec(db, "BEGIN IMMEDIATE");

    w->edit = (struct edit){ .db = db, .arena = w->rq->arena };
    if (e)
        return e;
    e = w->run(w);
    if (!e)
        return store_exec(db, "COMMIT");
    (void)store_exec(db, "ROLLBACK"); /* the first error is the one to tell */
    return e;
}

/* `name`: of what is wrong when something is not there, or not good. */
SUSPENDS static enum err run(struct work *w, enum err (*fn)(struct work *w), str name)
{
    enum err e;

    w->run = fn;
    e = store_run(w->rq->services->store, in_transaction, w);
    if (!e)
        return OK;
    if (e == ERR_NOT_FOUND || e == ERR_INVALID || e == ERR_EXISTS)
        (void)refuse(w->rq, name);
    else
        (void)fail_internal_server_error(&w->rq->fault);
    return fault_detail(&w->rq->fault, w->edit.problem);
}

/* ---- what a body says ---- */

static bool add_ids(struct request *rq, struct work *w, yyjson_val *list, str *all)
{
    size_t      i, n;
    yyjson_val *one;

    (void)rq;
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!json_str(one).len || w->file_count == FILES_MAX)
            return false;
        all[w->file_count++] = json_str(one);
    }
    return true;
}

/* data_sources: their components, one or a list, have doc_ids. REF: E039. */
static enum err read_sources(struct request *rq, yyjson_val *root, struct work *w)
{
    yyjson_val *sources = json_get(root, "data_sources"), *one, *part;
    size_t      i, n, k, m;
    str        *all = arena_array(rq->arena, str, FILES_MAX);

    w->files = all;
    if (sources && !yyjson_is_arr(sources))
        return refuse(rq, S("data_sources"));
    yyjson_arr_foreach(sources, i, n, one)
    {
        str         type = json_str(json_get(one, "source_type"));
        yyjson_val *component = json_get(one, "component");
        bool        good = str_eq(type, KNOWLEDGE_SOURCE); /* REF: E039, which names this case */

        if (yyjson_is_arr(component)) {
            yyjson_arr_foreach(component, k, m, part) good = good && add_ids(rq, w, json_get(part, "doc_ids"), all);
        } else {
            good = good && add_ids(rq, w, json_get(component, "doc_ids"), all);
        }
        if (!good)
            return refuse(rq, S("data_sources"));
    }
    return OK;
}

static bool read_size(yyjson_val *component, const char *name, int64_t min, int64_t max, int64_t *ret)
{
    yyjson_val *v = json_get(component, name);

    return !v || (json_to_i64(v, ret) && *ret >= min && *ret <= max);
}

/* configured_transformations: what makes the chunks, the vectors, and how the base is asked. REF: E039. */
static enum err read_transformations(struct request *rq, yyjson_val *root, struct knowledge_base *b)
{
    yyjson_val *list = json_get(root, "configured_transformations"), *one;
    size_t      i, n;

    if (list && !yyjson_is_arr(list))
        return refuse(rq, S("configured_transformations"));
    yyjson_arr_foreach(list, i, n, one)
    {
        str                    type = json_str(json_get(one, "configurable_transformation_type"));
        yyjson_val            *component = json_get(one, "component");
        struct knowledge_input in;

        if (str_eq(type, S("DASHSCOPE_EMBEDDING"))) {
            b->model = json_str(json_get(component, "model_name"));
            if (b->model.len && !request_model(rq, b->model))
                return fail_model_not_found_native(&rq->fault);
        } else if (str_eq(type, S("DASHSCOPE_JSON_NODE_PARSER"))) {
            if (!read_size(component, "chunk_size", KNOWLEDGE_CHUNK_SIZE_MIN, KNOWLEDGE_CHUNK_SIZE_MAX, &b->chunk_size))
                return refuse(rq, S("chunk_size"));
            if (!read_size(component, "overlap_size", 0, KNOWLEDGE_CHUNK_SIZE_MAX, &b->overlap))
                return refuse(rq, S("overlap_size"));
            if (!separators_read(rq->arena, json_str(json_get(component, "separator")), &b->separators))
                return refuse(rq, S("separator"));
        } else if (str_eq(type, S("DASHSCOPE_RETRIEVER"))) {
            if (knowledge_read(rq, component, &in))
                return ERR_FAULT;
            b->way = component ? json_text(rq->arena, component) : (str){ 0 };
        } else {
            return refuse(rq, S("configured_transformations"));
        }
    }
    return OK;
}

/* ---- pipelines ---- */

static enum err upsert(struct work *w)
{
    enum err e = knowledge_make(&w->edit, &w->base, false, &w->id);

    return e || !w->file_count ? e
                               : knowledge_ingest(&w->edit, w->rq->workspace, w->id, w->files, w->file_count, w->job);
}

SUSPENDS static enum err put_pipeline(struct request *rq)
{
    struct work w = { .rq = rq, .base = { .workspace = rq->workspace, .overlap = -1, .called = true } };
    yyjson_val *root;
    struct buf  b;
    enum err    e = request_json(rq, &root);

    if (!e) {
        w.base.name = json_str(json_get(root, "name"));
        e = w.base.name.len ? read_transformations(rq, root, &w.base) : refuse(rq, S("name"));
    }
    if (!e)
        e = read_sources(rq, root, &w);
    if (!e)
        e = run(&w, upsert, w.file_count ? S("data_sources") : S("name"));
    if (e)
        return e;
    knowledge_index_wake(rq->services->indexing);
    begin(rq, &b);
    buf_add(&b, S(",\"id\":"));
    json_add_str(&b, w.id);
    buf_add(&b, S(",\"pipline_name\":")); /* spelt so */
    json_add_str(&b, w.base.name);
    buf_add_char(&b, '}');
    return reply_json_managed(rq, buf_str(&b));
}

static enum err find_named(struct work *w)
{
    enum err e = knowledge_named(&w->edit, w->rq->workspace, w->name, &w->id);

    return e == ERR_NOT_FOUND ? OK : e;
}

/* An unknown name has no id. */
SUSPENDS static enum err get_pipeline(struct request *rq)
{
    struct work w = { .rq = rq };
    struct buf  b;
    enum err e = http_query_get(rq->x, S("pipeline_name"), &w.name) && w.name.len ? OK : refuse(rq, S("pipeline_name"));

    if (!e)
        e = run(&w, find_named, S("pipeline_name"));
    if (e)
        return e;
    begin(rq, &b);
    if (w.id.len) {
        buf_add(&b, S(",\"id\":"));
        json_add_str(&b, w.id);
    }
    buf_add_char(&b, '}');
    return reply_json_managed(rq, buf_str(&b));
}

/* ---- documents ---- */

static enum err ingest(struct work *w)
{
    return knowledge_ingest(&w->edit, w->rq->workspace, w->id, w->files, w->file_count, w->job);
}

/* llama_index asks for an ingestion without a body. */
SUSPENDS static enum err start_ingestion(struct request *rq, str pipeline, bool may_be_all)
{
    struct work w = { .rq = rq, .id = pipeline };
    yyjson_val *root = NULL;
    char       *job = arena_bytes(rq->arena, 32);
    struct buf  b;
    enum err    e = may_be_all && http_request(rq->x)->content_length <= 0 && !http_request(rq->x)->chunked
                        ? OK
                        : request_json(rq, &root);

    if (!e)
        e = read_sources(rq, root, &w);
    if (!e && !may_be_all && !w.file_count)
        e = refuse(rq, S("data_sources"));
    rand_hex(job, 32);
    w.job = str_of(job, 32);
    if (!e)
        e = run(&w, ingest, w.file_count ? S("data_sources") : S("pipeline_id"));
    if (e)
        return e;
    knowledge_index_wake(rq->services->indexing);
    begin(rq, &b);
    buf_add(&b, S(",\"ingestionId\":"));
    json_add_str(&b, w.job);
    buf_add_char(&b, '}');
    return reply_json_managed(rq, buf_str(&b));
}

static enum err list_job(struct work *w)
{
    return knowledge_documents(&w->edit, w->rq->workspace, w->id, w->job, &w->documents, &w->count);
}

/* COMPLETED when none waits; FAILED when all have. */
SUSPENDS static enum err ingestion_status(struct request *rq, str pipeline, str job)
{
    struct work w = { .rq = rq, .id = pipeline, .job = job };
    size_t      waiting = 0, failed = 0;
    struct buf  b;
    enum err    e = run(&w, list_job, S("pipeline_id"));

    if (!e && !w.count)
        e = refuse(rq, S("ingestion_id"));
    if (e)
        return e;
    for (size_t i = 0; i < w.count; i++) {
        waiting += w.documents[i].state == KNOWLEDGE_WAITING;
        failed += w.documents[i].state == KNOWLEDGE_FAILED;
    }
    begin(rq, &b);
    buf_addf(&b, ",\"ingestion_status\":\"%s\",\"failed_docs\":[",
             waiting             ? "RUNNING"
             : failed == w.count ? "FAILED"
                                 : "COMPLETED");
    for (size_t i = 0, said = 0; i < w.count; i++) {
        if (w.documents[i].state != KNOWLEDGE_FAILED)
            continue;
        buf_add(&b, said++ ? S(",{\"doc_id\":") : S("{\"doc_id\":"));
        json_add_str(&b, w.documents[i].file);
        buf_add(&b, S(",\"doc_name\":"));
        json_add_str(&b, w.documents[i].name);
        buf_add(&b, S(",\"message\":"));
        json_add_str(&b, w.documents[i].problem);
        buf_add_char(&b, '}');
    }
    buf_add(&b, S("]}"));
    return reply_json_managed(rq, buf_str(&b));
}

static enum err remove_files(struct work *w)
{
    enum err e = OK;

    for (size_t i = 0; i < w->file_count && !e; i++)
        e = knowledge_remove(&w->edit, w->rq->workspace, w->id, w->files[i]);
    return e;
}

SUSPENDS static enum err delete_documents(struct request *rq, str pipeline)
{
    struct work w = { .rq = rq, .id = pipeline };
    yyjson_val *root;
    struct buf  b;
    enum err    e = request_json(rq, &root);

    if (!e)
        e = read_sources(rq, root, &w);
    if (!e && !w.file_count)
        e = refuse(rq, S("data_sources"));
    if (!e)
        e = run(&w, remove_files, S("data_sources"));
    if (e)
        return e;
    begin(rq, &b);
    buf_add_char(&b, '}');
    return reply_json_managed(rq, buf_str(&b));
}

/* ---- questions ---- */

static void add_node(struct buf *b, const struct knowledge_found *f)
{
    buf_add(b, S("{\"score\":"));
    json_add_num(b, f->score);
    buf_addf(b, ",\"node\":{\"id_\":\"%.*s_%lld\",\"text\":", STR_ARG(f->base), (long long)f->chunk);
    json_add_str(b, f->text);
    buf_add(b, S(",\"metadata\":{\"parent\":\"\",\"image_url\":[],\"title\":"));
    json_add_str(b, f->title);
    buf_add(b, S(",\"doc_id\":"));
    json_add_str(b, f->file);
    buf_add(b, S(",\"doc_name\":"));
    json_add_str(b, f->name);
    buf_add(b, S(",\"hier_title\":"));
    json_add_str(b, f->title);
    buf_add(b, S("}}}"));
}

SUSPENDS static enum err retrieve(struct request *rq, str pipeline)
{
    struct knowledge_filter filter = { 0 };
    struct knowledge_query  q = { .bases = &pipeline, .base_count = 1, .filter = &filter };
    struct knowledge_way    way;
    struct knowledge_found *found;
    size_t                  count;
    yyjson_val             *root;
    struct buf              b;
    enum err                e = request_json(rq, &root);

    if (!e)
        e = knowledge_read(rq, root, &q.in);
    if (!e && !str_trim(q.in.query).len)
        e = refuse(rq, S("query"));
    if (e)
        return e;
    q.query = q.in.query;
    if (q.in.filters)
        (void)knowledge_filter_add_all(rq->arena, &filter, q.in.filters); /* knowledge_read() has seen that it can be */
    e = knowledge_way(rq, &q, &way);
    if (!e && way.rewrite)
        e = knowledge_rewrite(rq, way.rewriter, q.query, &q.query);
    if (!e)
        e = knowledge_search(rq, &q, &found, &count);
    if (e)
        return e;
    begin(rq, &b);
    json_add_count(&b, S(",\"total\":"), (int64_t)count);
    buf_add(&b, S(",\"nodes\":["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&b, ',');
        add_node(&b, &found[i]);
    }
    buf_add(&b, S("]}"));
    return reply_json_managed(rq, buf_str(&b));
}

/* ---- the splitter ---- */

struct splitting {
    struct request   *rq;
    str               text;
    struct chunk_rule rule;
    struct chunk     *chunks;
    size_t            count;
    enum err          e;
};

static void split_job(void *arg)
{
    struct splitting *s = arg;

    s->e = chunks_cut(s->rq->services->tokenizer, s->rq->arena, s->text, &s->rule, KNOWLEDGE_CHUNKS_MAX, &s->chunks,
                      &s->count);
}

/* What a download of a parsed file gives is JSON; its text is meant. */
static str text_of(struct request *rq, str text)
{
    yyjson_val *parsed = str_starts(text, S("{")) ? json_parse_copy(rq->arena, text) : NULL;
    yyjson_val *inner = json_get(parsed, "text");

    return yyjson_is_str(inner) ? json_str(inner) : text;
}

SUSPENDS static enum err split(struct request *rq)
{
    struct splitting s = { .rq = rq };
    int64_t          size = KNOWLEDGE_CHUNK_SIZE, overlap = KNOWLEDGE_OVERLAP;
    str              separators = { 0 };
    yyjson_val      *root;
    struct buf       b;
    enum err         e = request_json(rq, &root);

    if (e)
        return e;
    if (!yyjson_is_str(json_get(root, "text")))
        return refuse(rq, S("text"));
    if (!read_size(root, "chunk_size", KNOWLEDGE_CHUNK_SIZE_MIN, KNOWLEDGE_CHUNK_SIZE_MAX, &size))
        return refuse(rq, S("chunk_size"));
    if (!read_size(root, "overlap_size", 0, KNOWLEDGE_CHUNK_SIZE_MAX, &overlap) ||
        (overlap >= size && json_get(root, "overlap_size")))
        return refuse(rq, S("overlap_size"));
    if (!separators_read(rq->arena, json_str(json_get(root, "separator")), &separators))
        return refuse(rq, S("separator"));
    s.text = text_of(rq, json_str(json_get(root, "text")));
    s.rule = (struct chunk_rule){ .size = (size_t)size, .overlap = overlap < size ? (size_t)overlap : 0 };
    separators_list(rq->arena, separators, &s.rule.separators, &s.rule.separator_count);
    lane_run(rq->services->files, split_job, &s);
    if (s.e)
        return refuse(rq, S("text")); /* it has too many chunks */
    begin(rq, &b);
    buf_add(&b, S(",\"chunkService\":{\"chunkResult\":["));
    for (size_t i = 0; i < s.count; i++) {
        buf_addf(&b, "%s{\"chunk_id\":%zu,\"content\":", i ? "," : "", i);
        json_add_str(&b, s.chunks[i].text);
        buf_add(&b, S(",\"title\":"));
        json_add_str(&b, s.chunks[i].title);
        buf_add(&b, S(",\"hier_title\":"));
        json_add_str(&b, s.chunks[i].title);
        buf_addf(&b, ",\"nid\":\"%zu\",\"parent\":\"\"}", i);
    }
    buf_add(&b, S("]}}"));
    return reply_json_managed(rq, buf_str(&b));
}

/* ---- the handler ---- */

enum err handle_native_indices(struct request *rq)
{
    str  method = http_request(rq->x)->method, rest = http_path(rq->x), what, pipeline, call, job;
    bool post = str_eq(method, S("POST"));

    might_suspend();
    for (int i = 0; i < 4; i++) /* "", "api", "v1", "indices" */
        (void)str_cut(&rest, '/');
    if (str_eq(rest, S("pipeline")))
        return str_eq(method, S("PUT")) ? put_pipeline(rq) : fail_method_unsupported(&rq->fault, method);
    if (str_eq(rest, S("pipeline_simple")))
        return str_eq(method, S("GET")) ? get_pipeline(rq) : fail_method_unsupported(&rq->fault, method);
    if (str_eq(rest, S("component/configed_transformations/spliter")))
        return post ? split(rq) : fail_method_unsupported(&rq->fault, method);
    what = str_cut(&rest, '/');
    pipeline = str_cut(&rest, '/');
    call = str_cut(&rest, '/');
    job = str_cut(&rest, '/');
    if (!str_eq(what, S("pipeline")) || !pipeline.len)
        return fail_path_not_found(&rq->fault);
    if (str_eq(call, S("managed_ingest")) && str_eq(rest, S("status")))
        return str_eq(method, S("GET")) ? ingestion_status(rq, pipeline, job)
                                        : fail_method_unsupported(&rq->fault, method);
    if (job.len || rest.len)
        return fail_path_not_found(&rq->fault);
    if (str_eq(call, S("documents")) && (post || str_eq(method, S("PUT")))) /* llama_index puts them */
        return start_ingestion(rq, pipeline, false);
    if (str_eq(call, S("managed_ingest")))
        return post ? start_ingestion(rq, pipeline, true) : fail_method_unsupported(&rq->fault, method);
    if (str_eq(call, S("delete")))
        return post ? delete_documents(rq, pipeline) : fail_method_unsupported(&rq->fault, method);
    if (str_eq(call, S("retrieve")))
        return post ? retrieve(rq, pipeline) : fail_method_unsupported(&rq->fault, method);
    return fail_path_not_found(&rq->fault);
}
