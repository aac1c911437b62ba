/* objects.c - the things of the admin API as JSON. */
#include "api/admin/objects.h"

#include "base/clock.h"
#include "contract/json.h"
#include "contract/model.h"

static void name_add(struct buf *b, const char *name)
{
    str so_far = buf_str(b);

    if (so_far.len && so_far.ptr[so_far.len - 1] != '{')
        buf_add_char(b, ',');
    json_add_str(b, str_from_cstr(name));
    buf_add_char(b, ':');
}

void object_text(struct buf *b, const char *name, str value)
{
    name_add(b, name);
    if (value.len)
        json_add_str(b, value);
    else
        buf_add(b, S("null"));
}

void object_int(struct buf *b, const char *name, int64_t value)
{
    name_add(b, name);
    buf_add_i64(b, value);
}

void object_count(struct buf *b, const char *name, int64_t value)
{
    if (value)
        object_int(b, name, value);
    else
        object_text(b, name, (str){ 0 });
}

void object_bool(struct buf *b, const char *name, bool value)
{
    name_add(b, name);
    buf_add(b, value ? S("true") : S("false"));
}

void object_time(struct buf *b, const char *name, int64_t unix_ms)
{
    char when[CLOCK_ISO_LEN + 1];

    if (unix_ms)
        clock_iso(when, unix_ms);
    object_text(b, name, unix_ms ? str_of(when, CLOCK_ISO_LEN) : (str){ 0 });
}

void object_key(struct buf *b, const struct key_row *k, str secret)
{
    buf_add_char(b, '{');
    object_text(b, "id", k->id);
    object_text(b, "key", secret);
    object_text(b, "hint", k->hint);
    object_text(b, "name", k->name);
    object_text(b, "kind", k->kind);
    object_text(b, "workspace", k->workspace);
    object_text(b, "member", k->member);
    object_text(b, "networks", k->networks);
    object_time(b, "created", k->created_ms);
    object_time(b, "expires", k->expires_ms);
    object_time(b, "revoked", k->revoked_ms);
    buf_add_char(b, '}');
}

static void workspace_model_add(struct buf *b, const struct workspace_model *m)
{
    buf_add_char(b, '{');
    object_text(b, "model", m->model);
    object_bool(b, "allowed", m->allowed);
    object_count(b, "rpm", m->rpm);
    object_count(b, "tpm", m->tpm);
    object_count(b, "concurrency", m->concurrency);
    buf_add_char(b, '}');
}

void object_workspace(struct buf *b, const struct workspace *w)
{
    buf_add_char(b, '{');
    object_text(b, "id", w->id);
    object_text(b, "name", w->name);
    object_text(b, "commodity", commodity_name(w->commodity));
    object_time(b, "paid_until", w->paid_until_ms);
    object_time(b, "created", w->created_ms); /* the default one was there from the start: null */
    name_add(b, "models");
    buf_add_char(b, '[');
    for (size_t i = 0; i < w->model_count; i++) {
        if (i)
            buf_add_char(b, ',');
        workspace_model_add(b, &w->models[i]);
    }
    buf_add(b, S("]}"));
}

void object_member(struct buf *b, const struct member_row *m)
{
    buf_add_char(b, '{');
    object_text(b, "id", m->id);
    object_text(b, "name", m->name);
    object_time(b, "created", m->created_ms);
    name_add(b, "workspaces");
    buf_add_char(b, '[');
    for (size_t i = 0; i < m->workspace_count; i++) {
        if (i)
            buf_add_char(b, ',');
        json_add_str(b, m->workspaces[i]);
    }
    buf_add(b, S("]}"));
}

/* ---- models ---- */

str model_status_name(const struct model *m)
{
    static const str names[] = { [MODEL_ACTIVE] = S("active"),
                                 [MODEL_RETIRING] = S("retiring"),
                                 [MODEL_NAMED] = S("named"),
                                 [MODEL_RETIRED] = S("retired") };

    return names[m->status];
}

size_t model_abilities(const struct model *m, str ret[MODEL_ABILITIES_MAX])
{
    const struct {
        bool has;
        str  name;
    } all[MODEL_ABILITIES_MAX] = {
        { m->can_tools, S("tools") },
        { m->can_search, S("search") },
        { m->can_json, S("json") },
        { m->can_partial, S("partial") },
        { m->can_cache, S("cache") },
        { m->can_logprobs, S("logprobs") },
        { m->thinking != MODEL_THINKING_NONE, S("thinking") },
        { m->in >> MODEL_IMAGE & 1, S("image-input") },
        { m->in >> MODEL_VIDEO & 1, S("video-input") },
        { m->in >> MODEL_AUDIO & 1, S("audio-input") },
        { m->openai, S("openai") },
    };
    size_t count = 0;

    for (size_t i = 0; i < MODEL_ABILITIES_MAX; i++) {
        if (all[i].has)
            ret[count++] = all[i].name;
    }
    return count;
}

/* The catalogue's facts "price.cn …", "price.intl …" as members "cn", "intl". */
static void prices_add(struct buf *b, const struct model *m)
{
    str facts = m->facts;

    name_add(b, "prices");
    buf_add_char(b, '{');
    while (facts.len) {
        str value = str_cut(&facts, '\n'), key = str_cut(&value, ' ');

        if (!str_starts(key, S("price.")))
            continue;
        if (buf_str(b).ptr[buf_str(b).len - 1] != '{')
            buf_add_char(b, ',');
        json_add_str(b, str_from(key, sizeof("price.") - 1));
        buf_add_char(b, ':');
        json_add_str(b, str_trim(value));
    }
    buf_add_char(b, '}');
}

void object_model(struct buf *b, const struct model *m, const struct account_model *state)
{
    str    abilities[MODEL_ABILITIES_MAX];
    size_t count = model_abilities(m, abilities);

    buf_add_char(b, '{');
    object_text(b, "id", m->id);
    object_text(b, "task", model_task_name(m->task));
    object_text(b, "status", model_status_name(m));
    name_add(b, "abilities");
    buf_add_char(b, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_char(b, ',');
        json_add_str(b, abilities[i]);
    }
    buf_add_char(b, ']');
    name_add(b, "limits");
    buf_add_char(b, '{');
    object_count(b, "context", m->context);
    object_count(b, "input", m->input_max);
    object_count(b, "output", m->output_max);
    object_count(b, "rpm", m->rpm);
    object_count(b, "tpm", m->tpm);
    buf_add_char(b, '}');
    prices_add(b, m);
    object_text(b, "free", model_fact(m, S("free")));
    object_bool(b, "activated", state->activated);
    object_bool(b, "invited", state->invited);
    object_bool(b, "payable", state->payable);
    object_bool(b, "free_only", state->free_only);
    buf_add_char(b, '}');
}

void object_account(struct buf *b, bool activated, bool free_only)
{
    buf_add_char(b, '{');
    object_bool(b, "activated", activated);
    object_bool(b, "free_only", free_only);
    buf_add_char(b, '}');
}

void object_policy(struct buf *b, const struct policy *p)
{
    buf_add_char(b, '{');
    object_text(b, "id", p->id);
    object_text(b, "workspace", p->workspace);
    object_text(b, "kind", p->kind);
    object_text(b, "pattern", p->pattern);
    object_bool(b, "is_regex", p->is_regex);
    object_time(b, "created", p->created_ms);
    buf_add_char(b, '}');
}
