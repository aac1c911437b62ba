/* members.c - the admin API's members. */
#include "api/admin/admin.gen.h"

enum err admin_job_members(struct admin_call *c)
{
    struct member_row *list;
    size_t             count;
    struct admin_page  p;
    enum err           e = member_list(&c->edit, (str){ 0 }, &list, &count);

    if (e)
        return e;
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].id))
            object_member(&c->out, &list[i]);
    }
    admin_page_end(&p);
    return OK;
}

static enum err answer(struct admin_call *c, str id)
{
    struct member_row *m;
    size_t             count;
    enum err           e = member_list(&c->edit, id, &m, &count);

    if (!e)
        object_member(&c->out, m);
    return e;
}

enum err admin_job_member_create(struct admin_call *c)
{
    str         id = admin_text(c, "id");
    size_t      at, max;
    yyjson_val *workspace, *workspaces = admin_texts(c, "workspaces");
    enum err    e = member_create(&c->edit, id, admin_text(c, "name"));

    yyjson_arr_foreach(workspaces, at, max, workspace)
    {
        if (!e)
            e = member_join(&c->edit, id, json_str(workspace));
    }
    return e ? e : answer(c, id);
}

enum err admin_job_member_get(struct admin_call *c)
{
    return answer(c, admin_path(c, S("member")));
}

enum err admin_job_member_delete(struct admin_call *c)
{
    return member_delete(&c->edit, admin_path(c, S("member")));
}

enum err admin_job_member_join(struct admin_call *c)
{
    str      id = admin_path(c, S("member"));
    enum err e = member_join(&c->edit, id, admin_path(c, S("workspace")));

    return e ? e : answer(c, id);
}

enum err admin_job_member_leave(struct admin_call *c)
{
    str      id = admin_path(c, S("member"));
    enum err e = member_leave(&c->edit, id, admin_path(c, S("workspace")));

    return e ? e : answer(c, id);
}
