/* app_plugin.c - calls of plug-ins. REF: E231: whatever goes wrong with one; the log and the trace say what. */
#include "contract/errors.gen.h"
#include "contract/plugin.h"
#include "fetch/fetch.h"
#include "base/utf8.h"
#include "service/app_run.h"

struct app_plugin {
    struct app_plugin *before;
    str                id, secret;
    struct plugin      def;
};

static enum err fail(struct app_run *r, str plugin, str why)
{
    (void)fail_plugin_invoke_failed(&r->rq->fault); /* REF: E231 */
    return fault_detail(&r->rq->fault, arena_printf(r->rq->arena, "plug-in %.*s: %.*s", STR_ARG(plugin), STR_ARG(why)));
}

SUSPENDS static enum err find(struct app_run *r, str id, struct app_plugin **ret)
{
    struct plugin_load l = { .arena = r->rq->arena, .plugin = id, .workspace = r->rq->workspace };
    struct app_plugin *p;
    str                problem = { 0 };
    enum err           e;

    for (p = r->plugins; p; p = p->before) {
        if (str_eq(p->id, id)) {
            *ret = p;
            return OK;
        }
    }
    e = store_run(r->rq->services->store, plugin_load_job, &l);
    if (e == ERR_NOT_FOUND)
        return fail(r, id, S("there is none of that id in the workspace"));
    if (e == ERR_INVALID)
        return fail(r, id, S("its secret cannot be opened: the file secret-key of the data folder is another one"));
    if (e)
        return fail(r, id, S("the store cannot be read"));
    p = arena_new(r->rq->arena, struct app_plugin);
    *p = (struct app_plugin){ .before = r->plugins, .id = id, .secret = l.secret };
    e = plugin_read(r->rq->arena, json_parse_copy(r->rq->arena, l.definition), &p->def, &problem);
    if (e)
        return fail(r, id, problem);
    r->plugins = p;
    *ret = p;
    return OK;
}

enum err app_tools(struct app_run *r, struct chat_input *in)
{
    might_suspend();
    for (size_t i = 0; i < r->app.plugin_count; i++) {
        struct app_plugin *p;
        enum err           e = find(r, r->app.plugins[i], &p);

        if (e)
            return e;
        in->tools = arena_realloc(r->rq->arena, in->tools, in->tool_count * sizeof(*in->tools),
                                  (in->tool_count + p->def.tool_count) * sizeof(*in->tools));
        for (size_t k = 0; k < p->def.tool_count; k++) {
            const struct plugin_tool *t = &p->def.tools[k];
            struct buf                b;
            yyjson_val               *raw;

            buf_init(&b, r->rq->arena, SIZE_MAX / 2);
            buf_add(&b, S("{\"type\":\"function\",\"function\":{\"name\":"));
            json_add_str(&b, t->id);
            buf_add(&b, S(",\"description\":"));
            json_add_str(&b, t->description);
            buf_add(&b, S(",\"parameters\":"));
            buf_add(&b, t->schema);
            buf_add(&b, S("}}"));
            raw = json_parse_copy(r->rq->arena, buf_str(&b));
            in->tools[in->tool_count++] =
                (struct chat_tool){ .name = t->id,
                                    .description = t->description,
                                    .parameters = json_get(json_get(raw, "function"), "parameters"),
                                    .raw = raw,
                                    .text = buf_str(&b) };
        }
    }
    return OK;
}

enum err app_tool_owner(struct app_run *r, str tool, str *ret_plugin, str *ret_name)
{
    for (struct app_plugin *p = r->plugins; p; p = p->before) {
        if (!plugin_tool_find(&p->def, tool))
            continue;
        *ret_plugin = p->id;
        *ret_name = p->def.name;
        return OK;
    }
    return fail(r, tool, S("the model has called a tool that there is not"));
}

/* What biz_params says for the tool, by the tool's or the plug-in's id (platform.md §4.2). */
static yyjson_val *given(struct app_run *r, const char *member, str tool, str plugin)
{
    yyjson_val *all = json_get(r->in->biz, member), *v = yyjson_obj_getn(all, tool.ptr, tool.len);

    return v ? v : yyjson_obj_getn(all, plugin.ptr, plugin.len);
}

/* What the caller says stands above what the model says. */
static yyjson_val *merge(struct app_run *r, yyjson_val *arguments, yyjson_val *above)
{
    struct buf  b;
    size_t      i, n;
    yyjson_val *name, *v;
    bool        first = true;

    if (!yyjson_obj_size(above))
        return arguments;
    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    for (int k = 0; k < 2; k++) {
        yyjson_val *from = k ? above : arguments;

        yyjson_obj_foreach(from, i, n, name, v)
        {
            str key = json_str(name);

            if (!k && yyjson_obj_getn(above, key.ptr, key.len))
                continue;
            if (!first)
                buf_add_char(&b, ',');
            first = false;
            json_add_str(&b, key);
            buf_add_char(&b, ':');
            buf_add(&b, json_text(r->rq->arena, v));
        }
    }
    buf_add_char(&b, '}');
    return json_parse_copy(r->rq->arena, buf_str(&b));
}

SUSPENDS static enum err send(struct app_run *r, str plugin, const struct plugin_request *q, str *ret)
{
    struct fetch_call   call = { .method = q->method,
                                 .url = q->url,
                                 .fields = q->fields,
                                 .field_count = q->field_count,
                                 .body = q->body,
                                 .has_body = q->has_body,
                                 .time_ms = r->rq->settings->apps.plugin_ms,
                                 .answer_max = APPS_PLUGIN_ANSWER_MAX };
    struct fetch_answer answer;
    enum fetch_error    fe;

    r->rq->action = "calling a plug-in";
    fe = fetch_call(r->rq->services->fetcher, r->rq->arena, &call, &answer);
    app_rearm(r);
    if (fe == FETCH_CANCELLED)
        return ERR_CANCELLED;
    if (fe)
        return fail(r, plugin, fetch_error_text(fe));
    if (answer.status < 200 || answer.status > 299)
        return fail(r, plugin, arena_printf(r->rq->arena, "it answered %d", answer.status));
    if (!utf8_valid(answer.body))
        return fail(r, plugin, S("its answer is no text"));
    *ret = answer.body;
    return OK;
}

enum err app_plugin_call(struct app_run *r, str plugin, str tool, str arguments, str *ret)
{
    struct app_plugin        *p;
    const struct plugin_tool *t;
    struct plugin_request    *q = arena_new(r->rq->arena, struct plugin_request);
    yyjson_val               *args = arguments.len ? json_parse_copy(r->rq->arena, arguments) : NULL;
    str                       problem = { 0 }, secret;
    enum err                  e = find(r, plugin, &p);

    might_suspend();
    if (e)
        return e;
    t = plugin_tool_find(&p->def, tool);
    if (!t)
        return fail(r, plugin, arena_printf(r->rq->arena, "it has no operation \"%.*s\"", STR_ARG(tool)));
    if (arguments.len && !yyjson_is_obj(args))
        return fail(r, plugin, S("the arguments are no JSON object"));
    args =
        merge(r, args ? args : json_parse_copy(r->rq->arena, S("{}")), given(r, "user_defined_params", tool, plugin));
    secret =
        p->def.user_token ? json_str(json_get(given(r, "user_defined_tokens", tool, plugin), "user_token")) : p->secret;
    if (plugin_request(r->rq->arena, &p->def, t, args, secret, q, &problem))
        return fail(r, plugin, problem);
    return send(r, plugin, q, ret);
}
