/* plugins.c - the admin API's plug-ins. */
#include "api/admin/admin.gen.h"
#include "api/admin/objects_apps.h"

enum err admin_job_plugins(struct admin_call *c)
{
    struct plugin_row *list;
    size_t             count;
    struct admin_page  p;
    enum err           e = plugin_list(&c->edit, admin_text(c, "workspace"), (str){ 0 }, &list, &count);

    if (e)
        return e;
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].id))
            object_plugin(&c->out, &list[i]);
    }
    admin_page_end(&p);
    return OK;
}

static enum err answer(struct admin_call *c, str id)
{
    struct plugin_row *list;
    size_t             count;
    enum err           e = plugin_list(&c->edit, (str){ 0 }, id, &list, &count);

    if (!e)
        object_plugin(&c->out, &list[0]);
    return e;
}

enum err admin_job_plugin_get(struct admin_call *c)
{
    return answer(c, admin_path(c, S("plugin")));
}

enum err admin_job_plugin_create(struct admin_call *c)
{
    str      id, workspace = admin_has(c, "workspace") ? admin_text(c, "workspace") : WORKSPACE_DEFAULT;
    enum err e = plugin_create(&c->edit, workspace, admin_text(c, "id"), admin_text(c, "description"),
                               admin_text(c, "secret"), &id);

    return e ? e : answer(c, id);
}

enum err admin_job_plugin_set(struct admin_call *c)
{
    str      id = admin_path(c, S("plugin"));
    enum err e = admin_has(c, "description") ? plugin_set(&c->edit, id, admin_text(c, "description")) : OK;

    if (!e && admin_names(c, "secret")) /* null takes it away */
        e = plugin_secret(&c->edit, id, admin_text(c, "secret"));
    return e ? e : answer(c, id);
}

enum err admin_job_plugin_delete(struct admin_call *c)
{
    return plugin_delete(&c->edit, admin_path(c, S("plugin")));
}
