/* account.c - the admin API's settings of the whole account. */
#include "api/admin/admin.gen.h"

static enum err read(struct admin_call *c, bool *ret_activated, bool *ret_free_only)
{
    str      activated, free_only;
    enum err e = setting_get(&c->edit, S("activated"), &activated);

    if (!e)
        e = setting_get(&c->edit, S("free_only"), &free_only);
    if (e)
        return e;
    *ret_activated = !str_eq(activated, S("0"));
    *ret_free_only = str_eq(free_only, S("1"));
    return OK;
}

enum err admin_job_account_get(struct admin_call *c)
{
    bool     activated, free_only;
    enum err e = read(c, &activated, &free_only);

    if (!e)
        object_account(&c->out, activated, free_only);
    return e;
}

enum err admin_job_account_set(struct admin_call *c)
{
    bool     activated, free_only;
    enum err e = read(c, &activated, &free_only);

    if (!e && admin_has(c, "activated"))
        e = setting_set(&c->edit, S("activated"), admin_bool(c, "activated", activated) ? S("1") : S("0"));
    if (!e && admin_has(c, "free_only"))
        e = setting_set(&c->edit, S("free_only"), admin_bool(c, "free_only", free_only) ? S("1") : S("0"));
    return e ? e : admin_job_account_get(c);
}
