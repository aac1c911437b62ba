/* models.c - the admin API's models: the catalogue's and the configuration's, and what the account has to do with them. */
#include "api/admin/admin.gen.h"

#include "contract/model.h"

#include <stdlib.h>

/* Any model that is known, retired ones too: they are listed. NULL when there is none. */
static const struct model *find(const struct admin_call *c, str id)
{
    const struct model *m = request_model(c->rq, id);

    return m ? m : model_find(id);
}

enum err admin_model_check(struct admin_call *c, str id)
{
    if (str_eq(id, S("*")) || find(c, id))
        return OK;
    return edit_refuse(&c->edit, ERR_NOT_FOUND, "there is no model \"%.*s\"", STR_ARG(id));
}

static int by_id(const void *a, const void *b)
{
    return str_cmp((*(const struct model *const *)a)->id, (*(const struct model *const *)b)->id);
}

enum err admin_job_models(struct admin_call *c)
{
    const struct request_settings *s = c->rq->settings;
    size_t                         count = s->model_count + model_count;
    const struct model           **all = arena_array(c->rq->arena, const struct model *, count);
    struct account_model           state;
    struct admin_page              p;
    enum err                       e;

    for (size_t i = 0; i < count; i++)
        all[i] = i < s->model_count ? &s->models[i] : &models[i - s->model_count];
    qsort(all, count, sizeof(*all), by_id);
    admin_page_begin(&p, c);
    for (size_t i = 0; i < count; i++) {
        if (i && str_eq(all[i]->id, all[i - 1]->id)) /* the configuration's stands for the catalogue's */
            continue;
        if (!admin_page_has(&p, all[i]->id))
            continue;
        e = account_model_get(&c->edit, all[i]->id, &state);
        if (e)
            return e;
        object_model(&c->out, find(c, all[i]->id), &state);
    }
    admin_page_end(&p);
    return OK;
}

static enum err answer(struct admin_call *c, str id)
{
    struct account_model state;
    enum err             e = account_model_get(&c->edit, id, &state);

    if (!e)
        object_model(&c->out, find(c, id), &state);
    return e;
}

enum err admin_job_model_get(struct admin_call *c)
{
    str      id = admin_path(c, S("model"));
    enum err e = find(c, id) ? OK : edit_refuse(&c->edit, ERR_NOT_FOUND, "there is no model \"%.*s\"", STR_ARG(id));

    return e ? e : answer(c, id);
}

enum err admin_job_model_set(struct admin_call *c)
{
    str                  id = admin_path(c, S("model"));
    struct account_model state;
    enum err e = find(c, id) ? OK : edit_refuse(&c->edit, ERR_NOT_FOUND, "there is no model \"%.*s\"", STR_ARG(id));

    if (!e)
        e = account_model_get(&c->edit, id, &state);
    if (e)
        return e;
    state.activated = admin_bool(c, "activated", state.activated);
    state.invited = admin_bool(c, "invited", state.invited);
    state.payable = admin_bool(c, "payable", state.payable);
    state.free_only = admin_bool(c, "free_only", state.free_only);
    e = account_model_set(&c->edit, &state);
    return e ? e : answer(c, id);
}
