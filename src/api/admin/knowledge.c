/* knowledge.c - the admin API's knowledge bases. */
#include "api/admin/admin.gen.h"
#include "api/admin/objects_knowledge.h"
#include "service/knowledge.h"
#include "service/services.h"

enum err admin_job_knowledge_list(struct admin_call *c)
{
    struct knowledge_base *list;
    size_t                 count;
    struct admin_page      p;
    enum err               e = knowledge_list(&c->edit, admin_text(c, "workspace"), (str){ 0 }, &list, &count);

    if (e)
        return e;
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].id))
            object_knowledge(&c->out, &list[i]);
    }
    admin_page_end(&p);
    return OK;
}

static enum err answer(struct admin_call *c, str id)
{
    struct knowledge_base *list;
    size_t                 count;
    enum err               e = knowledge_list(&c->edit, (str){ 0 }, id, &list, &count);

    if (!e)
        object_knowledge(&c->out, &list[0]);
    return e;
}

enum err admin_job_knowledge_get(struct admin_call *c)
{
    return answer(c, admin_path(c, S("base")));
}

enum err admin_job_knowledge_create(struct admin_call *c)
{
    yyjson_val           *separators = admin_texts(c, "separators");
    struct knowledge_base b = { .workspace = admin_has(c, "workspace") ? admin_text(c, "workspace") : WORKSPACE_DEFAULT,
                                .name = admin_text(c, "name"),
                                .model = admin_text(c, "model"),
                                .dimension = admin_int(c, "dimension", 0),
                                .chunk_size = admin_int(c, "chunk_size", 0),
                                .overlap = admin_int(c, "overlap", -1),
                                .way = admin_text(c, "way") };
    str                   id;
    enum err              e = b.model.len ? admin_model_check(c, b.model) : OK;

    if (!e && b.way.len && !yyjson_is_obj(json_parse_copy(c->edit.arena, b.way)))
        e = admin_refuse(c, ERR_INVALID, "way must be a JSON object");
    if (separators)
        b.separators = json_text(c->edit.arena, separators);
    if (!e)
        e = knowledge_make(&c->edit, &b, true, &id);
    return e ? e : answer(c, id);
}

enum err admin_job_knowledge_delete(struct admin_call *c)
{
    return knowledge_delete(&c->edit, (str){ 0 }, admin_path(c, S("base")));
}

enum err admin_job_knowledge_documents(struct admin_call *c)
{
    struct knowledge_document *list;
    size_t                     count;
    struct admin_page          p;
    enum err e = knowledge_documents(&c->edit, (str){ 0 }, admin_path(c, S("base")), (str){ 0 }, &list, &count);

    if (e)
        return e;
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].file))
            object_knowledge_document(&c->out, &list[i]);
    }
    admin_page_end(&p);
    return OK;
}

enum err admin_job_knowledge_document_put(struct admin_call *c)
{
    yyjson_val               *tags = admin_texts(c, "tags");
    struct knowledge_document d = { .file = admin_path(c, S("file")), .details = admin_text(c, "metadata") };
    enum err                  e;

    if (tags)
        d.tags = json_text(c->edit.arena, tags);
    e = knowledge_add(&c->edit, (str){ 0 }, admin_path(c, S("base")), &d);
    if (e)
        return e;
    buf_add(&c->out, S("{\"file\":"));
    json_add_str(&c->out, d.file);
    buf_add(&c->out, S(",\"state\":\"waiting\"}"));
    /* They look behind this job, on the lane that it is on. */
    knowledge_index_wake(c->rq->services->indexing);
    return OK;
}

enum err admin_job_knowledge_document_delete(struct admin_call *c)
{
    return knowledge_remove(&c->edit, (str){ 0 }, admin_path(c, S("base")), admin_path(c, S("file")));
}

/* ---- searching ---- */

struct where {
    struct edit edit;
    str         base, workspace;
};

static enum err find_workspace(sqlite3 *db, void *arg)
{
    struct where          *w = arg;
    struct knowledge_base *list;
    size_t                 count;
    enum err               e;

    w->edit.db = db;
    e = knowledge_list(&w->edit, (str){ 0 }, w->base, &list, &count);
    if (!e)
        w->workspace = list[0].workspace;
    return e;
}

static void add_found(struct buf *b, const struct knowledge_found *f)
{
    buf_add_char(b, '{');
    buf_add(b, S("\"score\":"));
    json_add_num(b, f->score);
    object_text(b, "file", f->file);
    object_text(b, "name", f->name);
    object_int(b, "position", f->position);
    object_text(b, "title", f->title);
    object_text(b, "text", f->text);
    buf_add_char(b, '}');
}

enum err admin_handle_knowledge_search(struct admin_call *c)
{
    struct request         *rq = c->rq;
    struct where            w = { .edit = { .arena = rq->arena }, .base = admin_path(c, S("base")) };
    struct knowledge_filter filter = { 0 };
    struct knowledge_query  q = { .bases = &w.base,
                                  .base_count = 1,
                                  .query = admin_text(c, "query"),
                                  .filter = &filter,
                                  .in = { .top = { admin_int(c, "top", 0), admin_has(c, "top") },
                                          .rerank = { admin_bool(c, "rerank", true), admin_has(c, "rerank") } } };
    struct knowledge_found *found;
    size_t                  count;
    str                     workspace = rq->workspace, metadata = admin_text(c, "metadata");
    yyjson_val             *tags = admin_texts(c, "tags");
    enum err                e = store_run(rq->services->store, find_workspace, &w);

    if (e)
        return admin_refuse(c, e, "%.*s", STR_ARG(w.edit.problem.len ? w.edit.problem : str_from_cstr(err_text(e))));
    if (tags && !knowledge_filter_add_list(rq->arena, &filter, KNOWLEDGE_BY_TAG, tags))
        return admin_refuse(c, ERR_INVALID, "these are too many tags");
    if (metadata.len && !knowledge_filter_add(rq->arena, &filter, json_parse_copy(rq->arena, metadata)))
        return admin_refuse(c, ERR_INVALID, "metadata must be a JSON object of texts, numbers, or lists of them");
    rq->workspace = w.workspace;
    e = knowledge_search(rq, &q, &found, &count);
    rq->workspace = workspace;
    if (e == ERR_FAULT)
        return admin_refuse(c, ERR_INVALID, "%.*s", STR_ARG(rq->fault.detail));
    if (e)
        return e;
    buf_add(&c->out, S("{\"data\":["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&c->out, ',');
        add_found(&c->out, &found[i]);
    }
    buf_add(&c->out, S("]}"));
    return OK;
}
