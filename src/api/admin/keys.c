/* keys.c - the admin API's keys. */
#include "api/admin/admin.gen.h"

#include <stdlib.h>

static int by_id(const void *a, const void *b)
{
    return str_cmp(((const struct key_row *)a)->id, ((const struct key_row *)b)->id);
}

enum err admin_job_keys(struct admin_call *c)
{
    struct key_row   *list;
    size_t            count;
    struct admin_page p;
    enum err          e = key_list(&c->edit, admin_text(c, "workspace"), &list, &count);

    if (e)
        return e;
    if (count)
        qsort(list, count, sizeof(*list), by_id); /* pages go by id */
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (admin_page_has(&p, list[i].id))
            object_key(&c->out, &list[i], (str){ 0 });
    }
    admin_page_end(&p);
    return OK;
}

enum err admin_job_key_create(struct admin_call *c)
{
    struct key_row k, want = {
        .name = admin_text(c, "name"),
        .workspace = admin_text(c, "workspace"),
        .kind = admin_text(c, "kind"),
        .member = admin_text(c, "member"),
        .networks = admin_text(c, "networks"),
        .expires_ms = admin_int(c, "expires", 0),
    };
    str      secret;
    enum err e = key_create(&c->edit, &want, c->rq->settings->key_max, &secret, &k);

    if (!e)
        object_key(&c->out, &k, secret);
    return e;
}

enum err admin_job_key_get(struct admin_call *c)
{
    struct key_row k;
    enum err       e = key_get(&c->edit, admin_path(c, S("key")), &k);

    if (!e)
        object_key(&c->out, &k, (str){ 0 });
    return e;
}

enum err admin_job_key_revoke(struct admin_call *c)
{
    str            id = admin_path(c, S("key"));
    struct key_row k;
    enum err       e = key_get(&c->edit, id, &k); /* by its id alone: a key has no place in a path */

    if (!e)
        e = key_revoke(&c->edit, id);
    return e;
}
