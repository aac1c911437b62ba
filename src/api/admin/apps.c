/* apps.c - the admin API's applications and their runs. */
#include "api/admin/admin.gen.h"
#include "api/admin/objects_apps.h"

#define RUNS_DEFAULT 20

enum err admin_job_apps(struct admin_call *c)
{
    struct app_row   *list;
    size_t            count;
    struct admin_page p;
    enum err          e = app_list(&c->edit, admin_text(c, "workspace"), (str){ 0 }, &list, &count);

    if (e)
        return e;
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].id))
            object_app(&c->out, &list[i]);
    }
    admin_page_end(&p);
    return OK;
}

static enum err answer(struct admin_call *c, str id)
{
    struct app_row *list;
    size_t          count;
    enum err        e = app_list(&c->edit, (str){ 0 }, id, &list, &count);

    if (!e)
        object_app(&c->out, &list[0]);
    return e;
}

enum err admin_job_app_get(struct admin_call *c)
{
    return answer(c, admin_path(c, S("app")));
}

enum err admin_job_app_create(struct admin_call *c)
{
    str      id, workspace = admin_has(c, "workspace") ? admin_text(c, "workspace") : WORKSPACE_DEFAULT;
    enum err e = app_create(&c->edit, workspace, admin_text(c, "definition"), &id);

    return e ? e : answer(c, id);
}

enum err admin_job_app_set(struct admin_call *c)
{
    str      id = admin_path(c, S("app"));
    enum err e = app_set(&c->edit, id, admin_text(c, "definition"));

    return e ? e : answer(c, id);
}

enum err admin_job_app_publish(struct admin_call *c)
{
    str      id = admin_path(c, S("app"));
    enum err e = app_publish(&c->edit, id);

    return e ? e : answer(c, id);
}

enum err admin_job_app_delete(struct admin_call *c)
{
    return app_delete(&c->edit, admin_path(c, S("app")));
}

enum err admin_job_app_runs(struct admin_call *c)
{
    struct app_run_row *list;
    size_t              count;
    enum err e = app_run_list(&c->edit, admin_path(c, S("app")), admin_int(c, "limit", RUNS_DEFAULT), &list, &count);

    if (e)
        return e;
    buf_add(&c->out, S("{\"data\":["));
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(&c->out, ',');
        object_app_run(&c->out, &list[i], false);
    }
    buf_add(&c->out, S("]}"));
    return OK;
}

enum err admin_job_app_run_get(struct admin_call *c)
{
    struct app_run_row run;
    enum err           e = app_run_get(&c->edit, admin_path(c, S("run")), &run);

    if (!e)
        object_app_run(&c->out, &run, true);
    return e;
}
