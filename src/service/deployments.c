/* deployments.c - deploying, and the model of a deployment. Spec: platform.md §6.4. */
#include "service/deployments.h"

#include "access/account.h"
#include "base/clock.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/params.h"
#include "contract/tuning_params.gen.h"
#include "service/tuning.h"

#include <openssl/sha.h>

static enum err refuse(struct request *rq, const char *name)
{
    return fail_parameter_missing_named(&rq->fault, str_from_cstr(name));
}

static enum err not_found(struct request *rq, str name, enum err e)
{
    return e == ERR_NOT_FOUND ? fail_deployment_not_found(&rq->fault, name) : e;
}

/* ---- what calls say ---- */

/* REF: W626. */
static enum err read_capacity(struct request *rq, yyjson_val *body, int64_t *ret)
{
    yyjson_val *v = json_get(body, "capacity");

    if (!v)
        return refuse(rq, "capacity");
    if (!json_to_i64(v, ret) || *ret < 0 || *ret >= TUNING_CAPACITY_END || *ret % TUNING_BASE_CAPACITY)
        return fail_deployment_capacity(&rq->fault, json_text(rq->arena, v), TUNING_BASE_CAPACITY, TUNING_CAPACITY_END);
    return OK;
}

/* A limit; *ret stays when it is not there. */
static enum err read_limit(struct request *rq, yyjson_val *body, const char *name, int64_t *ret)
{
    yyjson_val *v = json_get(body, name);

    return !v || (json_to_i64(v, ret) && *ret >= 0) ? OK : refuse(rq, name);
}

static enum err read_text(struct request *rq, yyjson_val *body, const char *name, str *ret)
{
    yyjson_val *v = json_get(body, name);

    *ret = json_str(v);
    return !v || yyjson_is_str(v) ? OK : refuse(rq, name);
}

/* Members that are kept as they came. */
static str spec_of(struct request *rq, yyjson_val *body)
{
    static const char *const members[][2] = { { "deploy_spec", "model_unit_spec" },
                                              { "enable_thinking", "enable_thinking" },
                                              { "max_context_length", "max_context_length" },
                                              { "ptu_capacity", "ptu_capacity" },
                                              { "model_version", "model_version" } };
    struct buf               b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        yyjson_val *v = json_get(body, members[i][0]);

        if (!v)
            continue;
        buf_addf(&b, ",\"%s\":", members[i][1]);
        buf_add(&b, json_text(rq->arena, v));
    }
    return buf_str(&b);
}

/* <model>-<8 hex>[-suffix]. The digits are the workspace's and the model's: deploying twice needs a suffix. */
static str name_of(struct request *rq, str model, str suffix)
{
    str           both = arena_printf(rq->arena, "%.*s/%.*s", STR_ARG(rq->workspace), STR_ARG(model));
    unsigned char hash[SHA256_DIGEST_LENGTH];
    char          digits[8];

    SHA256((const unsigned char *)both.ptr, both.len, hash);
    num_hex(digits, hash, sizeof(digits) / 2);
    return arena_printf(rq->arena, "%.*s-%.*s%s%.*s", STR_ARG(model), (int)sizeof(digits), digits,
                        suffix.len ? "-" : "", STR_ARG(suffix));
}

/* ---- deploying ---- */

/* What is deployed: a model that came of a job, or one of the catalogue. */
SUSPENDS static enum err find_model(struct request *rq, struct deployment *d)
{
    const struct model     *m = request_model(rq, d->model);
    struct tuning_model_get g = { .arena = rq->arena, .name = d->model, .workspace = rq->workspace };
    enum err                e = m ? OK : store_run(rq->services->store, tuning_model_job, &g);

    if (e)
        return not_found(rq, d->model, e);
    if (!m) {
        d->served = g.row.served;
        m = request_model(rq, g.row.base);
    }
    if (!m || !tuning_can_train(m))
        return not_found(rq, d->model, ERR_NOT_FOUND);
    d->base = m->id;
    return account_permits(rq, m);
}

SUSPENDS static enum err read_deployment(struct request *rq, yyjson_val *body, struct deployment *d, str *ret_suffix)
{
    enum err e = read_text(rq, body, "model_name", &d->model);

    if (!e && !d->model.len)
        e = refuse(rq, "model_name");
    if (!e)
        e = find_model(rq, d);
    if (!e)
        e = read_capacity(rq, body, &d->capacity);
    if (!e)
        e = read_text(rq, body, "plan", &d->plan);
    if (!e && d->plan.len && !words_have(TUNING_PLANS, d->plan))
        e = refuse(rq, "plan");
    if (!e && str_eq(d->plan, S("mu")) && !json_str(json_get(body, "deploy_spec")).len)
        e = refuse(rq, "deploy_spec");
    if (!e)
        e = read_text(rq, body, json_get(body, "name") ? "name" : "display_name", &d->title);
    if (!e)
        e = read_text(rq, body, "suffix", ret_suffix);
    if (!e && ret_suffix->len &&
        (ret_suffix->len > TUNING_SUFFIX_LENGTH || !param_name_ok(&tuning_suffix, *ret_suffix)))
        e = refuse(rq, "suffix");
    if (!e)
        e = read_limit(rq, body, "rpm_limit", &d->rpm);
    return e ? e : read_limit(rq, body, "tpm_limit", &d->tpm);
}

enum err deployment_create(struct request *rq, yyjson_val *body, struct deployment *ret)
{
    struct deployment_create c = { .row = { .workspace = rq->workspace, .capacity_before = -1 } };
    struct deployment       *d = &c.row;
    str                      suffix;
    enum err                 e;

    might_suspend();
    e = read_deployment(rq, body, d, &suffix);
    if (e)
        return e;
    d->name = name_of(rq, d->model, suffix);
    d->spec = spec_of(rq, body);
    d->create_ms = d->modified_ms = clock_unix_ms();
    d->ready_ms = d->create_ms + rq->settings->tuning.deploy_ms;
    e = store_run_together(rq->services->store, deployment_create_job, NULL, &c);
    if (e == ERR_EXISTS)
        return fail_deployment_exists(&rq->fault, d->name);
    *ret = *d;
    return e;
}

/* ---- changing ---- */

SUSPENDS static enum err change(struct request *rq, struct deployment_change *c, struct deployment *ret)
{
    enum err e;

    c->arena = rq->arena;
    c->workspace = rq->workspace;
    c->now_ms = clock_unix_ms();
    c->ready_ms = c->now_ms + rq->settings->tuning.deploy_ms;
    e = store_run_together(rq->services->store, deployment_change_job, NULL, c);
    *ret = c->row;
    return e == ERR_INVALID ? fail_operation_unsupported(&rq->fault) : not_found(rq, c->name, e);
}

enum err deployment_scale(struct request *rq, str name, yyjson_val *body, struct deployment *ret)
{
    struct deployment_change c = { .name = name, .rpm = -1, .tpm = -1 };
    enum err                 e = read_capacity(rq, body, &c.capacity);

    might_suspend();
    return e ? e : change(rq, &c, ret);
}

enum err deployment_update(struct request *rq, str name, yyjson_val *body, struct deployment *ret)
{
    struct deployment_change c = { .name = name, .capacity = -1, .rpm = -1, .tpm = -1 };
    enum err                 e = read_limit(rq, body, "rpm_limit", &c.rpm);

    might_suspend();
    if (!e)
        e = read_limit(rq, body, "tpm_limit", &c.tpm);
    if (!e && c.rpm < 0 && c.tpm < 0)
        e = refuse(rq, "rpm_limit");
    return e ? e : change(rq, &c, ret);
}

enum err deployment_delete(struct request *rq, str name, struct deployment *ret)
{
    struct deployment_change c = { .name = name, .capacity = -1, .rpm = -1, .tpm = -1, .deletes = true };

    might_suspend();
    return change(rq, &c, ret);
}

enum err deployment_find(struct request *rq, str name, struct deployment *ret)
{
    struct deployment_get g = {
        .arena = rq->arena, .name = name, .workspace = rq->workspace, .now_ms = clock_unix_ms()
    };
    enum err e;

    might_suspend();
    e = store_run(rq->services->store, deployment_get_job, &g);
    *ret = g.row;
    return not_found(rq, name, e);
}

/* ---- answering ---- */

enum err deployment_model(struct request *rq, str name, const struct model **ret)
{
    struct deployment_get g = {
        .arena = rq->arena, .name = name, .workspace = rq->workspace, .now_ms = clock_unix_ms()
    };
    const struct model *base;
    struct model       *m;
    enum err            e;

    might_suspend();
    e = store_run(rq->services->store, deployment_get_job, &g);
    if (e)
        return e;
    base = request_model(rq, g.row.base);
    if (!base)
        return ERR_NOT_FOUND;
    if (!deployment_ready_capacity(&g.row, g.now_ms))
        return fail_model_unavailable(&rq->fault);
    m = arena_new(rq->arena, struct model);
    *m = *base;
    m->id = g.row.name;
    m->served = g.row.served.len ? g.row.served : base->id;
    m->workspace = g.row.workspace;
    m->openai = false;
    m->rpm = m->rpm_intl = g.row.rpm; /* limits of its own, with limits.catalog */
    m->tpm = m->tpm_intl = g.row.tpm;
    m->rps = m->rps_intl = 0;
    m->window_requests = m->window_tokens = (struct model_window){ 0 };
    *ret = m;
    return OK;
}
