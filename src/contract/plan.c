/* plan.c - looks plans up. */
#include "contract/plan.h"

const struct plan *plan_find(str id)
{
    for (unsigned i = 0; i < plan_count; i++) {
        if (str_eq(plan_rows[i].id, id))
            return &plan_rows[i];
    }
    return NULL;
}

bool plan_has_model(const struct plan *p, str model)
{
    for (unsigned i = 0; i < p->model_count; i++) {
        if (str_eq(p->models[i], model))
            return true;
    }
    return false;
}

const struct plan *plan_of_host(str host)
{
    for (unsigned i = 0; i < plan_count; i++) {
        const struct plan *p = &plan_rows[i];

        /* the region stands behind a hyphen: coding-intl.… */
        if (str_starts_nocase(host, p->host) && host.len > p->host.len &&
            (host.ptr[p->host.len] == '.' || host.ptr[p->host.len] == '-'))
            return p;
    }
    return NULL;
}
