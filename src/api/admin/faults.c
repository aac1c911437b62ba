/* faults.c - the admin API's failures on purpose. */
#include "access/faults.h"

#include "api/admin/admin.gen.h"

static void add_rule(struct buf *b, const struct fault_rule *r)
{
    buf_add_char(b, '{');
    object_text(b, "id", r->id);
    object_text(b, "fault", r->fault);
    object_text(b, "model", r->model);
    object_text(b, "key", r->key);
    object_text(b, "path", r->path);
    if (r->times < 0)
        buf_add(b, S(",\"times\":null"));
    else
        object_int(b, "times", r->times);
    object_int(b, "every", r->every);
    object_int(b, "share", (int64_t)(r->share * 100 + 0.5));
    object_int(b, "seed", (int64_t)r->seed);
    object_int(b, "fitted", r->fitted);
    object_int(b, "acted", r->acted);
    buf_add_char(b, '}');
}

enum err admin_handle_faults(struct admin_call *c)
{
    struct faults     *f = c->rq->faults;
    struct fault_rule *all;
    size_t             count;

    faults_list(f, c->rq->arena, &all, &count);
    buf_add(&c->out, S("{\"data\":["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&c->out, ',');
        add_rule(&c->out, &all[i]);
    }
    buf_add(&c->out, S("]}"));
    return OK;
}

enum err admin_handle_fault_add(struct admin_call *c)
{
    struct faults    *f = c->rq->faults;
    struct fault_rule r = {
        .fault = admin_text(c, "fault"),
        .model = admin_text(c, "model"),
        .key = admin_text(c, "key"),
        .path = admin_text(c, "path"),
        .times = admin_int(c, "times", -1),
        .every = admin_int(c, "every", 1),
        .share = (double)admin_int(c, "share", 100) / 100,
        .seed = (uint64_t)admin_int(c, "seed", 0),
    };
    char     id[FAULT_ID_LEN + 1];
    str      problem = { 0 };
    enum err e;

    e = faults_add(f, &r, c->rq->arena, id, &problem);
    if (e)
        return admin_refuse(c, e, "%.*s", STR_ARG(problem));
    r.id = str_of(id, FAULT_ID_LEN);
    add_rule(&c->out, &r);
    return OK;
}

enum err admin_handle_fault_remove(struct admin_call *c)
{
    struct faults *f = c->rq->faults;
    str            id = admin_path(c, S("rule"));

    if (faults_remove(f, id))
        return admin_refuse(c, ERR_NOT_FOUND, "there is no rule \"%.*s\"", STR_ARG(id));
    return OK;
}

enum err admin_handle_faults_clear(struct admin_call *c)
{
    struct faults *f = c->rq->faults;

    faults_clear(f);
    return OK;
}
