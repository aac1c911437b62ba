/* assistants.c - objects of assistants: made, changed, listed. Spec: platform.md §4.12. */
#include "service/assistants.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "contract/assistants_params.gen.h"
#include "contract/chat_body.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "service/assistant_json.h"
#include "service/services.h"
#include "store/apps.h"

/* ---- JSON ---- */

void assistant_add_fields(struct buf *b, const struct assistant_field *fields, size_t count, yyjson_val *body,
                          yyjson_val *before)
{
    for (size_t i = 0; i < count; i++) {
        yyjson_val *v = json_get(body, fields[i].name);

        v = v ? v : json_get(before, fields[i].name);
        buf_addf(b, ",\"%s\":", fields[i].name);
        buf_add(b, v ? json_text(b->arena, v) : str_from_cstr(fields[i].absent));
    }
}

str assistant_replace(struct arena *a, yyjson_val *object, const struct assistant_field *values, size_t count)
{
    size_t      i, n;
    yyjson_val *name, *v;
    struct buf  b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    yyjson_obj_foreach(object, i, n, name, v)
    {
        str text = { 0 };

        for (size_t k = 0; k < count; k++) {
            if (str_eq(json_str(name), str_from_cstr(values[k].name)))
                text = str_from_cstr(values[k].absent);
        }
        if (i)
            buf_add_char(&b, ',');
        json_add_str(&b, json_str(name));
        buf_add_char(&b, ':');
        buf_add(&b, text.len ? text : json_text(a, v));
    }
    buf_add_char(&b, '}');
    return buf_str(&b);
}

str assistant_error(struct request *rq, const struct fault *f)
{
    struct fault_view v;
    struct buf        b;

    fault_render(f, &rq->settings->wording, rq->arena, &v);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"code\":"));
    json_add_str(&b, v.code);
    buf_add(&b, S(",\"message\":"));
    json_add_str(&b, v.message);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

str assistant_id(struct arena *a, const char *prefix)
{
    char uuid[UUID_LEN + 1];

    rand_uuid(uuid, '4');
    return arena_printf(a, "%s_%s", prefix, uuid);
}

int64_t assistant_now_ms(void)
{
    return clock_unix_ms();
}

/* ---- the store ---- */

static enum err refuse_store(struct request *rq, enum err e)
{
    if (!e || e == ERR_CANCELLED || e == ERR_NOT_FOUND || e == ERR_EXISTS)
        return e;
    (void)fail_internal_server_error(&rq->fault); /* REF: E213 */
    return fault_detail(&rq->fault, S("an object of assistants cannot be stored or read"));
}

enum err assistant_put(struct request *rq, const struct assistant_row *row)
{
    struct assistant_row r = *row;

    might_suspend();
    r.workspace = rq->workspace;
    return refuse_store(rq, store_run_together(rq->services->store, assistant_put_job, NULL, &r));
}

/* A run that nobody works on any more has failed: its server was killed. */
SUSPENDS static enum err sweep(struct request *rq)
{
    struct assistant_sweep s;
    struct fault           lost = { 0 };

    (void)fail_internal_server_error(&lost); /* REF: E213 */
    s.lost = assistant_error(rq, &lost);
    return store_run_together(rq->services->store, assistant_sweep_job, NULL, &s);
}

enum err assistant_get(struct request *rq, struct assistant_get *g)
{
    enum err e;

    might_suspend();
    g->arena = rq->arena;
    g->workspace = rq->workspace;
    e = store_run(rq->services->store, assistant_get_job, g);
    if (!e && g->due) {
        e = sweep(rq);
        if (!e)
            e = store_run(rq->services->store, assistant_get_job, g);
    }
    e = refuse_store(rq, e);
    return e == ERR_NOT_FOUND ? fail_resource_not_found(&rq->fault) : e; /* REF: E201 */
}

enum err assistant_update(struct request *rq, struct assistant_update *u)
{
    might_suspend();
    u->workspace = rq->workspace;
    return refuse_store(rq, store_run_together(rq->services->store, assistant_update_job, NULL, u));
}

/* ---- checks ---- */

static enum err refuse_field(struct request *rq, const char *name)
{
    return fail_parameter_missing_named(&rq->fault, str_from_cstr(name));
}

static enum err check_texts(struct request *rq, yyjson_val *body, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        yyjson_val *v = json_get(body, names[i]);

        if (v && !yyjson_is_str(v))
            return refuse_field(rq, names[i]);
    }
    return OK;
}

static enum err check_metadata(struct request *rq, yyjson_val *metadata)
{
    size_t      i, n;
    yyjson_val *key, *v;

    if (!metadata)
        return OK;
    if (!yyjson_is_obj(metadata) || yyjson_obj_size(metadata) > ASSISTANTS_METADATA_MAX)
        return refuse_field(rq, "metadata");
    yyjson_obj_foreach(metadata, i, n, key, v)
    {
        if (utf8_count(json_str(key)) > ASSISTANTS_METADATA_KEY_MAX || !yyjson_is_str(v) ||
            utf8_count(json_str(v)) > ASSISTANTS_METADATA_VALUE_MAX)
            return refuse_field(rq, "metadata");
    }
    return OK;
}

/* A function, the model's search, or a plug-in of the workspace by its id. */
SUSPENDS static enum err check_tool(struct request *rq, yyjson_val *tool)
{
    str                type = json_str(json_get(tool, "type"));
    yyjson_val        *function = json_get(tool, "function");
    struct plugin_load l = { .arena = rq->arena, .plugin = type, .workspace = rq->workspace };
    enum err           e;

    if (!type.len)
        return refuse_field(rq, "tools.type");
    if (str_eq(type, S("function")))
        return yyjson_is_obj(function) ? chat_check_tool(rq, json_str(json_get(function, "name")),
                                                         S("tools.function.name"), json_get(function, "parameters"))
                                       : refuse_field(rq, "tools.function");
    if (words_have(ASSISTANTS_SEARCH_TOOLS, type))
        return OK;
    if (words_have(ASSISTANTS_UNSERVED_TOOLS, type))
        return fail_app_parameter_unserved(&rq->fault, type); /* REF: D004 */
    e = store_run(rq->services->store, plugin_load_job, &l);
    return e == ERR_NOT_FOUND ? refuse_field(rq, "tools.type") : e == ERR_INVALID ? OK : refuse_store(rq, e);
}

SUSPENDS static enum err check_tools(struct request *rq, yyjson_val *tools)
{
    size_t      i, n;
    yyjson_val *tool;
    enum err    e = OK;

    if (!tools)
        return OK;
    if (!yyjson_is_arr(tools) || yyjson_arr_size(tools) > ASSISTANTS_TOOLS_MAX)
        return refuse_field(rq, "tools");
    yyjson_arr_foreach(tools, i, n, tool)
    {
        if (!e)
            e = check_tool(rq, tool);
    }
    return e;
}

/* Numbers as chat has them: the table of chat sees these members alone. */
static enum err check_sampling(struct request *rq, yyjson_val *body, const struct model *m)
{
    static const struct assistant_field fields[] = {
        { "temperature", "null" }, { "top_p", "null" }, { "top_k", "null" }, { "max_tokens", "null" }
    };
    struct chat_input in = { .model = m };
    struct buf        b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    assistant_add_fields(&b, fields, ARRAY_LEN(fields), body, NULL);
    if (b.len)
        b.ptr[0] = '{'; /* in place of the comma */
    buf_add_char(&b, '}');
    return params_read(rq, &chat_params_native_parameters, json_parse_copy(rq->arena, buf_str(&b)), m, &in);
}

/* What both assistants and runs may say. */
SUSPENDS static enum err check_common(struct request *rq, yyjson_val *body)
{
    static const char *const texts[] = { "model", "name", "description", "instructions", "additional_instructions" };
    const struct model      *m = request_model(rq, json_str(json_get(body, "model")));
    yyjson_val              *files = json_get(body, "file_ids");
    enum err                 e = check_texts(rq, body, texts, ARRAY_LEN(texts));

    if (!e && json_get(body, "model") && !m)
        return fail_model_not_found_native(&rq->fault);
    if (!e && files && (!yyjson_is_arr(files) || yyjson_arr_size(files)))
        return fail_app_parameter_unserved(&rq->fault, S("file_ids")); /* REF: D004 */
    if (!e)
        e = check_metadata(rq, json_get(body, "metadata"));
    if (!e && m)
        e = check_sampling(rq, body, m);
    return e ? e : check_tools(rq, json_get(body, "tools"));
}

/* ---- assistants ---- */

static const struct assistant_field assistant_fields[] = {
    { "model", "\"\"" }, { "name", "\"\"" },   { "description", "\"\"" }, { "instructions", "\"\"" },
    { "tools", "[]" },   { "file_ids", "[]" }, { "metadata", "{}" },      { "temperature", "null" },
    { "top_p", "null" }, { "top_k", "null" },  { "max_tokens", "null" },
};

static void begin_object(struct buf *b, struct arena *a, str id, const char *object)
{
    buf_init(b, a, SIZE_MAX / 2);
    buf_add(b, S("{\"id\":"));
    json_add_str(b, id);
    buf_addf(b, ",\"object\":\"%s\"", object);
    json_add_count(b, S(",\"created_at\":"), assistant_now_ms());
}

enum err assistant_create(struct request *rq, yyjson_val *body, str *ret)
{
    struct assistant_row row = { .kind = ASSISTANT_KIND, .id = assistant_id(rq->arena, "asst") };
    struct buf           b;
    enum err             e;

    might_suspend();
    if (!json_str(json_get(body, "model")).len)
        return fail_model_missing_native(&rq->fault);
    e = check_common(rq, body);
    if (e)
        return e;
    begin_object(&b, rq->arena, row.id, "assistant");
    assistant_add_fields(&b, assistant_fields, ARRAY_LEN(assistant_fields), body, NULL);
    buf_add_char(&b, '}');
    *ret = row.body = buf_str(&b);
    return assistant_put(rq, &row);
}

/* ---- threads and messages ---- */

static const struct assistant_field thread_fields[] = { { "metadata", "{}" } };

static enum err check_message(struct request *rq, yyjson_val *body)
{
    if (!str_eq(json_str(json_get(body, "role")), S("user")))
        return refuse_field(rq, "role");
    if (!json_str(json_get(body, "content")).len)
        return refuse_field(rq, "content");
    if (json_get(body, "file_ids") && yyjson_get_len(json_get(body, "file_ids")))
        return fail_app_parameter_unserved(&rq->fault, S("file_ids"));
    return check_metadata(rq, json_get(body, "metadata"));
}

/* REF: W640. */
SUSPENDS static enum err put_idle(struct request *rq, const struct assistant_row *row)
{
    enum err e = assistant_put(rq, row);

    return e == ERR_EXISTS ? fail_run_open(&rq->fault, row->owner) : e;
}

SUSPENDS static enum err put_message(struct request *rq, str thread, yyjson_val *body, str *ret)
{
    struct assistant_row row = {
        .kind = MESSAGE_KIND, .owner = thread, .id = assistant_id(rq->arena, "message"), .idle = true
    };

    *ret = row.body = assistant_message(rq, row.id, thread, (str){ 0 }, (str){ 0 }, S("user"), body, (str){ 0 });
    return put_idle(rq, &row);
}

str assistant_content(struct arena *a, str text)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add_char(&b, '[');
    if (text.len) {
        buf_add(&b, S("{\"type\":\"text\",\"text\":{\"value\":"));
        json_add_str(&b, text);
        buf_add(&b, S(",\"annotations\":[]}}"));
    }
    buf_add_char(&b, ']');
    return buf_str(&b);
}

str assistant_message(struct request *rq, str id, str thread, str assistant, str run, str role, yyjson_val *said,
                      str status)
{
    yyjson_val *metadata = json_get(said, "metadata");
    struct buf  b;

    begin_object(&b, rq->arena, id, "thread.message");
    buf_add(&b, S(",\"thread_id\":"));
    json_add_str(&b, thread);
    buf_add(&b, S(",\"incomplete_details\":{},\"completed_at\":null,\"incomplete_at\":null,\"assistant_id\":"));
    json_add_str(&b, assistant);
    buf_add(&b, S(",\"run_id\":"));
    json_add_str(&b, run);
    buf_add(&b, S(",\"file_ids\":[],\"role\":"));
    json_add_str(&b, role);
    buf_add(&b, S(",\"content\":"));
    buf_add(&b, assistant_content(rq->arena, json_str(json_get(said, "content"))));
    buf_add(&b, S(",\"metadata\":"));
    buf_add(&b, metadata ? json_text(rq->arena, metadata) : S("{}"));
    buf_addf(&b, ",\"name\":\"\",\"plugin_call\":{},\"tool_calls\":[],\"status\":\"%.*s\"}", STR_ARG(status));
    return buf_str(&b);
}

enum err thread_create(struct request *rq, yyjson_val *body, str *ret_id, str *ret)
{
    struct assistant_row row = { .kind = THREAD_KIND, .id = assistant_id(rq->arena, "thread") };
    yyjson_val          *messages = json_get(body, "messages"), *one;
    size_t               i, n;
    struct buf           b;
    enum err             e = check_metadata(rq, json_get(body, "metadata"));

    might_suspend();
    if (!e && messages && !yyjson_is_arr(messages))
        e = refuse_field(rq, "messages");
    yyjson_arr_foreach(messages, i, n, one)
    {
        if (!e)
            e = check_message(rq, one);
    }
    if (e)
        return e;
    begin_object(&b, rq->arena, row.id, "thread");
    assistant_add_fields(&b, thread_fields, ARRAY_LEN(thread_fields), body, NULL);
    buf_add_char(&b, '}');
    *ret_id = row.id;
    *ret = row.body = buf_str(&b);
    e = assistant_put(rq, &row);
    yyjson_arr_foreach(messages, i, n, one)
    {
        str made;

        if (!e)
            e = put_message(rq, row.id, one, &made);
    }
    return e;
}

SUSPENDS static enum err thread_check(struct request *rq, str thread)
{
    struct assistant_get g = { .id = thread, .kind = THREAD_KIND };

    return assistant_get(rq, &g);
}

enum err message_create(struct request *rq, str thread, yyjson_val *body, str *ret)
{
    enum err e = thread_check(rq, thread);

    might_suspend();
    if (!e)
        e = check_message(rq, body);
    return e ? e : put_message(rq, thread, body, ret);
}

/* ---- runs ---- */

void assistant_functions(struct arena *a, yyjson_val *tools, struct chat_input *in)
{
    size_t      i, n, room = in->tool_count + yyjson_arr_size(tools);
    yyjson_val *tool;

    in->tools = arena_realloc(a, in->tools, in->tool_count * sizeof(*in->tools), room * sizeof(*in->tools));
    yyjson_arr_foreach(tools, i, n, tool)
    {
        yyjson_val *function = json_get(tool, "function");

        if (str_eq(json_str(json_get(tool, "type")), S("function")))
            in->tools[in->tool_count++] =
                (struct chat_tool){ .name = json_str(json_get(function, "name")),
                                    .description = json_str(json_get(function, "description")),
                                    .parameters = json_get(function, "parameters"),
                                    .raw = tool,
                                    .text = json_text(a, tool) };
    }
}

enum err assistant_tool_choice(struct request *rq, yyjson_val *choice, struct chat_input *in)
{
    str text;

    if (!choice)
        return OK;
    text = arena_printf(rq->arena, "{\"tool_choice\":%.*s}", STR_ARG(json_text(rq->arena, choice)));
    return params_read(rq, &chat_params_native_parameters, json_parse_copy(rq->arena, text), in->model, in);
}

static enum err check_choice(struct request *rq, yyjson_val *body, yyjson_val *assistant)
{
    yyjson_val       *model = json_get(body, "model"), *tools = json_get(body, "tools");
    struct chat_input in = { .model = request_model(rq, json_str(model ? model : json_get(assistant, "model"))) };

    if (!in.model)
        return fail_model_not_found_native(&rq->fault);
    assistant_functions(rq->arena, tools ? tools : json_get(assistant, "tools"), &in);
    return assistant_tool_choice(rq, json_get(body, "tool_choice"), &in);
}

enum err run_create(struct request *rq, str thread, yyjson_val *body, str *ret_id, str *ret)
{
    static const struct assistant_field before[] = { { "required_action", "null" }, { "last_error", "null" },
                                                     { "expires_at", "null" },      { "started_at", "null" },
                                                     { "cancelled_at", "null" },    { "failed_at", "null" },
                                                     { "completed_at", "null" } };
    static const struct assistant_field own[] = { { "model", "\"\"" },       { "tools", "[]" },   { "file_ids", "[]" },
                                                  { "temperature", "null" }, { "top_p", "null" }, { "top_k", "null" },
                                                  { "max_tokens", "null" } };
    static const struct assistant_field more[] = { { "metadata", "{}" },
                                                   { "usage", "null" },
                                                   { "stop", "null" },
                                                   { "tool_choice", "null" },
                                                   { "truncation_strategy", "null" } };
    struct assistant_row                row = { .kind = RUN_KIND,
                                                .owner = thread,
                                                .id = assistant_id(rq->arena, "run"),
                                                .status = S("queued"),
                                                .idle = true,
                                                .due_ms = clock_machine_ms() + ASSISTANTS_LEASE_MS };
    struct assistant_get                g = { .id = json_str(json_get(body, "assistant_id")), .kind = ASSISTANT_KIND };
    str                                 told, added = json_str(json_get(body, "additional_instructions"));
    yyjson_val                         *assistant;
    struct buf                          b;
    enum err                            e = thread_check(rq, thread);

    might_suspend();
    if (!e && !g.id.len)
        return refuse_field(rq, "assistant_id");
    if (!e)
        e = assistant_get(rq, &g);
    if (!e)
        e = check_common(rq, body);
    if (e)
        return e;
    assistant = json_parse_copy(rq->arena, g.body);
    e = check_choice(rq, body, assistant);
    if (e)
        return e;
    told = json_str(json_get(body, "instructions"));
    told = told.len ? told : json_str(json_get(assistant, "instructions"));
    if (added.len)
        told = arena_printf(rq->arena, "%.*s%s%.*s", STR_ARG(told), told.len ? "\n" : "", STR_ARG(added));
    begin_object(&b, rq->arena, row.id, "thread.run");
    buf_add(&b, S(",\"thread_id\":"));
    json_add_str(&b, thread);
    buf_add(&b, S(",\"assistant_id\":"));
    json_add_str(&b, g.id);
    buf_add(&b, S(",\"status\":\"queued\""));
    assistant_add_fields(&b, before, ARRAY_LEN(before), NULL, NULL);
    buf_add(&b, S(",\"instructions\":"));
    json_add_str(&b, told);
    assistant_add_fields(&b, own, ARRAY_LEN(own), body, assistant);
    assistant_add_fields(&b, more, ARRAY_LEN(more), body, NULL);
    buf_add_char(&b, '}');
    *ret_id = row.id;
    *ret = row.body = buf_str(&b);
    return put_idle(rq, &row);
}

/* ---- all kinds ---- */

enum err assistant_object_get(struct request *rq, str kind, str owner, str id, str *ret)
{
    struct assistant_get g = { .id = id, .kind = kind, .owner = owner };
    enum err             e = assistant_get(rq, &g);

    might_suspend();
    *ret = g.body;
    return e;
}

enum err assistant_object_change(struct request *rq, str kind, str owner, str id, yyjson_val *body, str *ret)
{
    struct assistant_get    g = { .id = id, .kind = kind, .owner = owner };
    bool                    whole = str_eq(kind, ASSISTANT_KIND);
    struct assistant_field  values[ARRAY_LEN(assistant_fields)];
    size_t                  count = 0;
    struct assistant_update u = { .id = id, .kind = kind, .owner = owner, .due_ms = ASSISTANT_DUE_KEEP };
    enum err                e = assistant_get(rq, &g);

    might_suspend();
    if (!e)
        e = whole ? check_common(rq, body) : check_metadata(rq, json_get(body, "metadata"));
    if (e)
        return e;
    for (size_t i = 0; i < ARRAY_LEN(assistant_fields); i++) {
        const char *name = assistant_fields[i].name;
        yyjson_val *v = json_get(body, name);

        if (v && (whole || str_eq(str_from_cstr(name), S("metadata"))))
            values[count++] = (struct assistant_field){ name, str_to_cstr(rq->arena, json_text(rq->arena, v)) };
    }
    *ret = assistant_replace(rq->arena, json_parse_copy(rq->arena, g.body), values, count);
    u.from = g.status; /* of a run that goes on meanwhile the change is lost, not its status */
    u.status = g.status;
    u.body = *ret;
    u.state = g.state;
    e = assistant_update(rq, &u);
    return e == ERR_NOT_FOUND ? fail_resource_not_found(&rq->fault) : e;
}

enum err assistant_object_delete(struct request *rq, str kind, str id)
{
    struct assistant_delete d = { .id = id, .kind = kind, .workspace = rq->workspace };
    enum err                e = refuse_store(rq, store_run(rq->services->store, assistant_delete_job, &d));

    might_suspend();
    return e == ERR_NOT_FOUND ? fail_resource_not_found(&rq->fault) : e;
}

static void add_id(struct buf *b, const char *before, const struct assistant_list *l, size_t at)
{
    buf_add(b, str_from_cstr(before));
    if (l->count)
        json_add_str(b, l->ids[at]);
    else
        buf_add(b, S("null"));
}

enum err assistant_objects_list(struct request *rq, str kind, str owner, const struct assistant_page *page,
                                struct buf *b)
{
    struct assistant_list l = { .arena = rq->arena,
                                .kind = kind,
                                .owner = owner,
                                .workspace = rq->workspace,
                                .after = page->after,
                                .before = page->before,
                                .descending = page->descending,
                                .limit = page->limit };
    enum err              e = OK;

    might_suspend();
    if (str_eq(kind, MESSAGE_KIND) || str_eq(kind, RUN_KIND))
        e = thread_check(rq, owner);
    if (!e)
        e = refuse_store(rq, store_run(rq->services->store, assistant_list_job, &l));
    if (e)
        return e;
    buf_add(b, S("\"data\":["));
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(b, ',');
        buf_add(b, l.bodies[i]);
    }
    add_id(b, "],\"first_id\":", &l, 0);
    add_id(b, ",\"last_id\":", &l, l.count - 1);
    buf_add(b, l.more ? S(",\"has_more\":true") : S(",\"has_more\":false"));
    return OK;
}
