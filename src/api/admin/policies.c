/* policies.c - the admin API's rules of moderation, as they are stored; access/moderation compiles them. */
#include "api/admin/admin.gen.h"

enum err admin_job_policies(struct admin_call *c)
{
    struct policy    *list;
    size_t            count;
    struct admin_page p;
    enum err          e = policy_list(&c->edit, admin_text(c, "workspace"), &list, &count);

    if (e)
        return e;
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].id))
            object_policy(&c->out, &list[i]);
    }
    admin_page_end(&p);
    return OK;
}

enum err admin_job_policy_create(struct admin_call *c)
{
    struct policy p = {
        .workspace = admin_text(c, "workspace"),
        .kind = admin_text(c, "kind"),
        .pattern = admin_text(c, "pattern"),
        .is_regex = admin_bool(c, "is_regex", false),
    };
    enum err e = policy_create(&c->edit, &p);

    if (!e)
        object_policy(&c->out, &p);
    return e;
}

enum err admin_job_policy_delete(struct admin_call *c)
{
    return policy_delete(&c->edit, admin_path(c, S("policy")));
}
