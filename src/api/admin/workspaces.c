/* workspaces.c - the admin API's workspaces, and the models that they may call. */
#include "api/admin/admin.gen.h"

enum err admin_job_workspaces(struct admin_call *c)
{
    struct workspace *list;
    size_t            count;
    struct admin_page p;
    enum err          e = workspace_list(&c->edit, (str){ 0 }, &list, &count);

    if (e)
        return e;
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].id))
            object_workspace(&c->out, &list[i]);
    }
    admin_page_end(&p);
    return OK;
}

static enum err answer(struct admin_call *c, str id)
{
    struct workspace *w;
    size_t            count;
    enum err          e = workspace_list(&c->edit, id, &w, &count);

    if (!e)
        object_workspace(&c->out, w);
    return e;
}

enum err admin_job_workspace_get(struct admin_call *c)
{
    return answer(c, admin_path(c, S("workspace")));
}

/* What the body says of how it pays; the rest stays. */
static enum err set_billing(struct admin_call *c, str id)
{
    struct workspace *w;
    size_t            count;
    enum commodity    commodity;
    int64_t           until;
    enum err          e = workspace_list(&c->edit, id, &w, &count);

    if (e || (!admin_names(c, "commodity") && !admin_names(c, "paid_until")))
        return e;
    commodity = w->commodity;
    (void)commodity_of(admin_text(c, "commodity"), &commodity); /* absent: as it was */
    until = admin_names(c, "paid_until") ? admin_int(c, "paid_until", 0) : w->paid_until_ms;
    return workspace_billing(&c->edit, id, commodity, until);
}

enum err admin_job_workspace_create(struct admin_call *c)
{
    str      id;
    enum err e = workspace_create(&c->edit, admin_text(c, "id"), admin_text(c, "name"), &id);

    if (!e)
        e = set_billing(c, id);
    return e ? e : answer(c, id);
}

enum err admin_job_workspace_set(struct admin_call *c)
{
    str      id = admin_path(c, S("workspace"));
    enum err e = admin_has(c, "name") ? workspace_rename(&c->edit, id, admin_text(c, "name")) : OK;

    if (!e)
        e = set_billing(c, id);
    return e ? e : answer(c, id);
}

enum err admin_job_workspace_delete(struct admin_call *c)
{
    return workspace_delete(&c->edit, admin_path(c, S("workspace")));
}

enum err admin_job_workspace_model_set(struct admin_call *c)
{
    str                    id = admin_path(c, S("workspace"));
    struct workspace_model line = {
        .model = admin_path(c, S("model")),
        .allowed = admin_bool(c, "allowed", true),
        .rpm = admin_int(c, "rpm", 0),
        .tpm = admin_int(c, "tpm", 0),
        .concurrency = admin_int(c, "concurrency", 0),
    };
    enum err e = admin_model_check(c, line.model);

    if (!e)
        e = workspace_model_set(&c->edit, id, &line);
    return e ? e : answer(c, id);
}

enum err admin_job_workspace_model_unset(struct admin_call *c)
{
    str      id = admin_path(c, S("workspace"));
    enum err e = workspace_model_unset(&c->edit, id, admin_path(c, S("model")));

    return e ? e : answer(c, id);
}
