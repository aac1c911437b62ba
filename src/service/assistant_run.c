/* assistant_run.c - runs of assistants. A run is an application's agent whose conversation is a thread. Spec: platform.md §4.12. */
#include "base/clock.h"
#include "base/num.h"
#include "contract/assistants_params.gen.h"
#include "contract/chat_body.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "loop/loop.h"
#include "service/app_run.h"
#include "service/assistant_feed.h"
#include "service/assistant_json.h"

/* Of a run, while it is made: a step or a message. `body`: as it was stored last. */
struct part {
    str         id;
    yyjson_val *body;
};

struct going {
    struct request        *rq;
    str                    thread, id;
    struct assistant_feed *feed;
    struct app_run        *app;
    yyjson_val            *object; /* the run's, as it was stored last */
    struct chat_input      in;
    str                    assistant;
    struct part            message, step; /* that are open; without id: none */
    struct app_said        said;
    struct buf             inner;                       /* what has been said in the run: elements of a JSON array */
    str                    required;                    /* its required_action when it is to wait */
    int64_t                input_tokens, output_tokens; /* before it waited */

    struct fiber *fiber, *beat;
    bool          stop, beating; /* the beat is to end; has not yet */
};

static void tell(struct going *g, const char *of, const char *event, str object)
{
    if (g->feed)
        assistant_feed_add(g->feed, arena_printf(g->rq->arena, "%s.%s", of, event).ptr, object);
}

/* ---- the run's object ---- */

static str usage_json(struct going *g)
{
    int64_t input = g->input_tokens, output = g->output_tokens;

    for (size_t i = 0; i < g->app->answer.use_count; i++) {
        input += g->app->answer.uses[i].input_tokens;
        output += g->app->answer.uses[i].output_tokens;
    }
    return arena_printf(g->rq->arena,
                        "{\"input_tokens\":%lld,\"output_tokens\":%lld,\"total_tokens\":%lld,\"prompt_tokens\":%lld,"
                        "\"completion_tokens\":%lld}",
                        (long long)input, (long long)output, (long long)(input + output), (long long)input,
                        (long long)output);
}

/* The run in another status, unless it is in none of `from` any more: ERR_CANCELLED. `required` and `error` are JSON, or empty. */
SUSPENDS static enum err enter(struct going *g, str from, str status, str required, str error)
{
    struct arena                *a = g->rq->arena;
    const struct assistant_field values[] = {
        { "status", arena_printf(a, "\"%.*s\"", STR_ARG(status)).ptr },
        { "required_action", required.len ? str_to_cstr(a, required) : "null" },
        { "last_error", error.len ? str_to_cstr(a, error) : "null" },
        { "usage", g->app ? usage_json(g).ptr : "" }, /* "": as it was */
    };
    struct assistant_update u = { .id = g->id, .kind = RUN_KIND, .owner = g->thread, .from = from, .status = status };
    enum err                e;

    u.body = assistant_replace(a, g->object, values, ARRAY_LEN(values));
    u.state =
        arena_printf(a, "{\"messages\":[%.*s],\"step\":\"%.*s\"}", STR_ARG(buf_str(&g->inner)), STR_ARG(g->step.id));
    if (required.len)
        u.due_ms = clock_unix_ms() + ASSISTANTS_WAIT_MS;
    else if (str_eq(status, S("in_progress")))
        u.due_ms = clock_machine_ms() + ASSISTANTS_LEASE_MS;
    e = assistant_update(g->rq, &u);
    if (e)
        return e == ERR_NOT_FOUND ? ERR_CANCELLED : e;
    g->object = json_parse_copy(a, u.body);
    tell(g, "thread.run", str_to_cstr(a, status), u.body);
    return OK;
}

/* ---- its lease ---- */

static void beat(void *arg)
{
    struct going *g = arg;
    int64_t       renew_us = loop_now_us(fiber_loop()) + ASSISTANTS_LEASE_MS * 1000 / 3;

    while (!g->stop) {
        struct assistant_beat b = { .id = g->id };
        int64_t               now_us = loop_now_us(fiber_loop());
        enum err              e = fiber_sleep_until(now_us + ASSISTANTS_LOOK_MS * 1000);

        if (g->stop)
            break;
        now_us = loop_now_us(fiber_loop());
        if (now_us >= renew_us) {
            b.due_ms = clock_machine_ms() + ASSISTANTS_LEASE_MS;
            renew_us = now_us + ASSISTANTS_LEASE_MS * 1000 / 3;
        }
        e = store_run_together(g->rq->services->store, assistant_beat_job, NULL, &b);
        if (e == ERR_NOT_FOUND) { /* it is being cancelled, or its thread has been deleted */
            fiber_cancel(g->fiber);
            break;
        }
    }
    g->beating = false;
    fiber_wake(g->fiber);
}

static void beat_start(struct going *g)
{
    g->fiber = fiber_self();
    g->beating = true;
    g->beat = fiber_start(fiber_loop(), beat, g);
}

SUSPENDS static void beat_stop(struct going *g)
{
    g->stop = true;
    if (g->beating)
        fiber_cancel(g->beat);
    while (g->beating)
        fiber_wait_through(); /* it uses our memory */
}

/* ---- its parts ---- */

SUSPENDS static enum err part_put(struct going *g, struct part *p, str kind, str owner, str id, str body)
{
    struct assistant_row row = { .id = id, .kind = kind, .owner = owner, .status = S("in_progress"), .body = body };
    enum err             e = assistant_put(g->rq, &row);

    if (!e)
        *p = (struct part){ id, json_parse_copy(g->rq->arena, body) };
    return e;
}

/* `value`: of one more member, JSON. */
SUSPENDS static enum err part_change(struct going *g, struct part *p, str kind, str owner, const char *status,
                                     const char *member, str value, str *ret)
{
    struct arena                *a = g->rq->arena;
    const struct assistant_field values[] = { { "status", arena_printf(a, "\"%s\"", status).ptr },
                                              { member, str_to_cstr(a, value) } };
    struct assistant_update      u = {
             .id = p->id, .kind = kind, .owner = owner, .status = str_from_cstr(status), .from = S("in_progress")
    };
    enum err e;

    *ret = u.body = assistant_replace(a, p->body, values, ARRAY_LEN(values));
    e = assistant_update(g->rq, &u);
    return e == ERR_NOT_FOUND ? ERR_CANCELLED : e;
}

static str step_details(struct going *g, const char *type, str details)
{
    return arena_printf(g->rq->arena, "{\"type\":\"%s\",\"%s\":%.*s}", type, type, STR_ARG(details));
}

static str step_json(struct going *g, str id, const char *type, str details)
{
    struct buf b;

    buf_init(&b, g->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, id);
    json_add_count(&b, S(",\"object\":\"thread.run.step\",\"created_at\":"), assistant_now_ms());
    buf_add(&b, S(",\"assistant_id\":"));
    json_add_str(&b, g->assistant);
    buf_add(&b, S(",\"thread_id\":"));
    json_add_str(&b, g->thread);
    buf_add(&b, S(",\"run_id\":"));
    json_add_str(&b, g->id);
    buf_addf(&b, ",\"type\":\"%s\",\"status\":\"in_progress\",\"step_details\":", type);
    buf_add(&b, step_details(g, type, details));
    buf_add(&b, S(",\"last_error\":null,\"expired_at\":null,\"cancelled_at\":null,\"failed_at\":null,"
                  "\"completed_at\":null,\"metadata\":{},\"usage\":null}"));
    return buf_str(&b);
}

SUSPENDS static enum err begin_step(struct going *g, const char *type, str details)
{
    str      id = assistant_id(g->rq->arena, "step"), body = step_json(g, id, type, details);
    enum err e = part_put(g, &g->step, STEP_KIND, g->id, id, body);

    if (e)
        return e;
    tell(g, "thread.run.step", "created", body);
    tell(g, "thread.run.step", "in_progress", body);
    return OK;
}

/* `details`: as step_details() makes them. */
SUSPENDS static enum err end_step(struct going *g, const char *status, str details)
{
    str      body;
    enum err e = part_change(g, &g->step, STEP_KIND, g->id, status, "step_details", details, &body);

    g->step = (struct part){ 0 };
    if (!e)
        tell(g, "thread.run.step", status, body);
    return e;
}

SUSPENDS static enum err begin_message(struct going *g)
{
    str      id = assistant_id(g->rq->arena, "message"), body;
    enum err e =
        begin_step(g, "message_creation", arena_printf(g->rq->arena, "{\"message_id\":\"%.*s\"}", STR_ARG(id)));

    if (e)
        return e;
    body = assistant_message(g->rq, id, g->thread, g->assistant, g->id, S("assistant"), NULL, S("in_progress"));
    e = part_put(g, &g->message, MESSAGE_KIND, g->thread, id, body);
    if (e)
        return e;
    tell(g, "thread.message", "created", body);
    tell(g, "thread.message", "in_progress", body);
    return OK;
}

/* The message and its step: completed, or as far as it has come. */
SUSPENDS static enum err end_message(struct going *g, const char *message_status, const char *step_status)
{
    str      body, details = json_text(g->rq->arena, json_get(g->step.body, "step_details"));
    enum err e = part_change(g, &g->message, MESSAGE_KIND, g->thread, message_status, "content",
                             assistant_content(g->rq->arena, buf_str(&g->said.text)), &body);

    g->message = (struct part){ 0 };
    if (!e)
        tell(g, "thread.message", message_status, body);
    return e ? e : end_step(g, step_status, details);
}

SUSPENDS static enum err hear(void *arg, bool reasoning, str text)
{
    struct going *g = arg;
    struct buf    b;
    enum err      e = OK;

    if (reasoning)
        return OK;
    if (!g->message.id.len) {
        text = arena_str(g->rq->arena, text); /* another piece may come while the message is begun */
        e = begin_message(g);
    }
    if (e || !g->feed)
        return e;
    buf_init(&b, g->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, g->message.id);
    buf_add(&b, S(",\"object\":\"thread.message.delta\",\"delta\":{\"role\":\"assistant\",\"file_ids\":[],\"content\":"
                  "[{\"index\":0,\"type\":\"text\",\"text\":{\"value\":"));
    json_add_str(&b, text);
    buf_add(&b, S(",\"annotations\":[]}}]}}"));
    tell(g, "thread.message", "delta", buf_str(&b));
    return OK;
}

/* ---- what the model sees ---- */

/* Text parts of a stored message. */
static str message_text(struct arena *a, yyjson_val *message)
{
    struct buf  b;
    size_t      i, n;
    yyjson_val *part;

    buf_init(&b, a, SIZE_MAX / 2);
    yyjson_arr_foreach(json_get(message, "content"), i, n, part)
    {
        buf_add(&b, json_str(json_get(json_get(part, "text"), "value")));
    }
    return buf_str(&b);
}

static void add_inner(struct chat_message *m, yyjson_val *v, struct arena *a)
{
    size_t      i, n;
    yyjson_val *call, *calls = json_get(v, "tool_calls");

    (void)chat_role_parse(json_str(json_get(v, "role")), &m->role);
    m->content = json_str(json_get(v, "content"));
    m->tool_call_id = json_str(json_get(v, "tool_call_id"));
    m->tool_calls = arena_array(a, struct chat_tool_call, yyjson_arr_size(calls));
    yyjson_arr_foreach(calls, i, n, call)
    {
        m->tool_calls[m->tool_call_count++] =
            (struct chat_tool_call){ .id = json_str(json_get(call, "id")),
                                     .name = json_str(json_get(json_get(call, "function"), "name")),
                                     .arguments = json_str(json_get(json_get(call, "function"), "arguments")) };
    }
}

/* Instructions, the last messages of the thread, and what has been said in the run. */
SUSPENDS static enum err read_messages(struct going *g)
{
    struct arena         *a = g->rq->arena;
    int64_t               last = ASSISTANTS_LAST_MESSAGES;
    struct assistant_list l = { .arena = a, .kind = MESSAGE_KIND, .owner = g->thread, .workspace = g->rq->workspace };
    yyjson_val           *state = json_parse_copy(a, arena_printf(a, "[%.*s]", STR_ARG(buf_str(&g->inner)))), *v;
    str                   told = json_str(json_get(g->object, "instructions"));
    struct chat_message  *all;
    yyjson_val          **said;
    size_t                i, n, count = 0, said_count = 0;
    enum err              e;

    (void)json_to_i64(json_get(json_get(g->object, "truncation_strategy"), "last_messages"), &last);
    last = min_i64(max_i64(last, 1), ASSISTANTS_MESSAGES_MAX);
    l.limit = ASSISTANTS_MESSAGES_MAX;
    l.descending = true;
    e = store_run(g->rq->services->store, assistant_list_job, &l);
    if (e)
        return e;
    said = arena_array(a, yyjson_val *, (size_t)last);
    for (i = 0; i < l.count && said_count < (size_t)last; i++) {
        yyjson_val *m = json_parse_copy(a, l.bodies[i]);

        /* what this run has said is in `inner`; what one that broke off has said counts for nothing */
        if (!str_eq(json_str(json_get(m, "run_id")), g->id) &&
            !str_eq(json_str(json_get(m, "status")), S("incomplete")))
            said[said_count++] = m;
    }
    all = arena_array(a, struct chat_message, said_count + yyjson_arr_size(state) + 1);
    if (told.len)
        all[count++] = (struct chat_message){ .role = CHAT_SYSTEM, .content = told };
    for (i = said_count; i > 0; i--) {
        (void)chat_role_parse(json_str(json_get(said[i - 1], "role")), &all[count].role);
        all[count++].content = message_text(a, said[i - 1]);
    }
    yyjson_arr_foreach(state, i, n, v)
    {
        add_inner(&all[count++], v, a);
    }
    g->in.messages = all;
    g->in.message_count = count;
    return OK;
}

/* Functions are the client's; any other type is a plug-in, whose token its caller may have brought. */
SUSPENDS static enum err read_tools(struct going *g, struct buf *tokens)
{
    struct app_run *r = g->app;
    yyjson_val     *tools = json_get(g->object, "tools"), *tool;
    size_t          i, n;
    enum err        e;

    r->app.plugins = arena_array(g->rq->arena, str, yyjson_arr_size(tools));
    yyjson_arr_foreach(tools, i, n, tool)
    {
        str type = json_str(json_get(tool, "type")), token = json_str(json_get(json_get(tool, "auth"), "user_token"));

        if (str_eq(type, S("function")))
            continue;
        if (words_have(ASSISTANTS_SEARCH_TOOLS, type)) {
            r->in->search = (opt_bool){ .v = true, .set = true };
            continue;
        }
        r->app.plugins[r->app.plugin_count++] = type;
        if (!token.len)
            continue;
        buf_add_char(tokens, tokens->len ? ',' : '{');
        json_add_str(tokens, type);
        buf_add(tokens, S(":{\"user_token\":"));
        json_add_str(tokens, token);
        buf_add_char(tokens, '}');
    }
    e = app_tools(r, &g->in);
    if (e)
        return e;
    assistant_functions(g->rq->arena, tools, &g->in);
    g->in.model = request_model(g->rq, r->app.model.name);
    if (!g->in.model)
        return fail_model_not_found_native(&g->rq->fault);
    return assistant_tool_choice(g->rq, json_get(g->object, "tool_choice"), &g->in);
}

static bool is_function(const struct going *g, str name)
{
    size_t      i, n;
    yyjson_val *tool;

    yyjson_arr_foreach(json_get(g->object, "tools"), i, n, tool)
    {
        if (str_eq(json_str(json_get(json_get(tool, "function"), "name")), name))
            return true;
    }
    return false;
}

/* ---- calls ---- */

static void add_call(struct buf *b, const struct app_call *c, str output)
{
    buf_add(b, S("{\"id\":"));
    json_add_str(b, c->id);
    buf_add(b, S(",\"type\":\"function\",\"function\":{\"name\":"));
    json_add_str(b, c->name);
    buf_add(b, S(",\"arguments\":"));
    json_add_str(b, buf_str(&c->arguments));
    if (output.len) {
        buf_add(b, S(",\"output\":"));
        json_add_str(b, output);
    }
    buf_add(b, S("}}"));
}

static void add_inner_call(struct going *g, const struct app_said *said)
{
    struct buf *b = &g->inner;

    buf_add(b, b->len ? S(",{\"role\":\"assistant\",\"content\":") : S("{\"role\":\"assistant\",\"content\":"));
    json_add_str(b, buf_str(&said->text));
    buf_add(b, S(",\"tool_calls\":["));
    for (size_t i = 0; i < said->call_count; i++) {
        if (i)
            buf_add_char(b, ',');
        add_call(b, &said->calls[i], (str){ 0 });
    }
    buf_add(b, S("]}"));
}

static void add_output(struct buf *b, str id, str output)
{
    buf_add(b, S(",{\"role\":\"tool\",\"tool_call_id\":"));
    json_add_str(b, id);
    buf_add(b, S(",\"content\":"));
    json_add_str(b, output);
    buf_add_char(b, '}');
}

/* Plug-ins are called. g->required: there are functions, which the client has to call. */
SUSPENDS static enum err call(struct going *g, const struct app_said *said)
{
    struct buf details, pending;
    str        all, body;
    enum err   e = OK;

    buf_init(&details, g->rq->arena, SIZE_MAX / 2);
    buf_init(&pending, g->rq->arena, SIZE_MAX / 2);
    e = begin_step(g, "tool_calls", S("[]"));
    add_inner_call(g, said);
    for (size_t i = 0; i < said->call_count && !e; i++) {
        const struct app_call *c = &said->calls[i];
        str                    plugin, name, output = { 0 };

        if (is_function(g, c->name)) {
            if (pending.len)
                buf_add_char(&pending, ',');
            add_call(&pending, c, (str){ 0 });
        } else {
            e = app_tool_owner(g->app, c->name, &plugin, &name);
            if (!e)
                e = app_plugin_call(g->app, plugin, c->name, buf_str(&c->arguments), &output);
            if (!e)
                add_output(&g->inner, c->id, output);
        }
        buf_add(&details, details.len ? S(",") : S("["));
        add_call(&details, c, output);
    }
    buf_add_char(&details, ']');
    if (e)
        return e;
    all = step_details(g, "tool_calls", buf_str(&details));
    tell(g, "thread.run.step", "delta",
         arena_printf(g->rq->arena,
                      "{\"id\":\"%.*s\",\"object\":\"thread.run.step.delta\",\"delta\":{\"step_details\":%.*s}}",
                      STR_ARG(g->step.id), STR_ARG(all)));
    if (!pending.len)
        return end_step(g, "completed", all);
    g->required =
        arena_printf(g->rq->arena, "{\"type\":\"submit_tool_outputs\",\"submit_tool_outputs\":{\"tool_calls\":[%.*s]}}",
                     STR_ARG(buf_str(&pending)));
    return part_change(g, &g->step, STEP_KIND, g->id, "in_progress", "step_details", all, &body);
}

/* ---- running ---- */

SUSPENDS static enum err prepare(struct going *g)
{
    struct arena      *a = g->rq->arena;
    struct apps_input *in = arena_new(a, struct apps_input);
    struct buf         tokens;
    enum err           e;

    g->app = app_run_bare(g->rq, in);
    buf_init(&tokens, a, SIZE_MAX / 2);
    g->app->app.model.name = json_str(json_get(g->object, "model"));
    in->temperature.set = json_to_num(json_get(g->object, "temperature"), &in->temperature.v);
    in->top_p.set = json_to_num(json_get(g->object, "top_p"), &in->top_p.v);
    in->top_k.set = json_to_i64(json_get(g->object, "top_k"), &in->top_k.v);
    g->app->app.model.max_tokens.set = json_to_i64(json_get(g->object, "max_tokens"), &g->app->app.model.max_tokens.v);
    e = read_tools(g, &tokens);
    if (e || !tokens.len)
        return e;
    buf_add_char(&tokens, '}');
    in->biz = json_parse_copy(a, arena_printf(a, "{\"user_defined_tokens\":%.*s}", STR_ARG(buf_str(&tokens))));
    return OK;
}

SUSPENDS static enum err rounds(struct going *g)
{
    const struct app_listener to = { hear, g };
    enum err                  e = OK;

    for (int i = 0; i <= APPS_TOOL_ROUNDS_MAX && !e; i++) {
        if (g->inner.len && g->in.tool_choice != CHAT_TOOLS_NONE)
            g->in.tool_choice = CHAT_TOOLS_AUTO; /* what was to be called has been */
        e = read_messages(g);
        if (!e)
            e = app_model_step(g->app, &g->app->app.model, &g->in, &to, &g->said);
        if (!e && !g->said.call_count && !g->message.id.len)
            e = begin_message(g);
        if (!e && g->message.id.len)
            e = end_message(g, "completed", "completed");
        if (!e && !g->said.call_count)
            return OK;
        if (!e)
            e = call(g, &g->said);
        if (!e && g->required.len)
            return OK;
    }
    return e ? e : app_fail(g->app, "the model has called tools %d times without an answer", APPS_TOOL_ROUNDS_MAX + 1);
}

/* It was cancelled, or its time is over; else it was cut off by the end of the server, and has failed. */
SUSPENDS static enum err end_early(struct going *g, enum err why)
{
    struct assistant_get get = { .id = g->id, .kind = RUN_KIND, .owner = g->thread };
    struct fault         fault = g->rq->fault;
    str                  error = { 0 };
    const char          *status = "failed";
    bool late = g->app && loop_now_us(fiber_loop()) >= g->app->deadline_us; /* a model may call it its own refusal */
    enum err e = assistant_get(g->rq, &get);

    if (e)
        return e; /* its thread has been deleted */
    if (str_eq(get.status, S("cancelling"))) {
        status = "cancelled";
    } else if (!str_eq(get.status, S("in_progress"))) { /* ended by somebody else */
        tell(g, "thread.run", str_to_cstr(g->rq->arena, get.status), get.body);
        return OK;
    } else if (late) {
        status = "expired";
    } else {
        if (!fault_is_set(&fault)) {
            (void)fail_internal_server_error(&fault); /* REF: E213 */
            (void)fault_detail(&fault, str_from_cstr(err_text(why)));
        }
        error = assistant_error(g->rq, &fault);
    }
    if (g->message.id.len)
        e = end_message(g, "incomplete", status);
    else if (g->step.id.len)
        e = end_step(g, status, json_text(g->rq->arena, json_get(g->step.body, "step_details")));
    return e ? e : enter(g, S("in_progress cancelling"), str_from_cstr(status), (str){ 0 }, error);
}

SUSPENDS static void go(struct going *g)
{
    struct assistant_get get = { .id = g->id, .kind = RUN_KIND, .owner = g->thread };
    yyjson_val          *state, *v;
    size_t               i, n;
    enum err             e = assistant_get(g->rq, &get);

    if (e)
        return;
    g->object = json_parse_copy(g->rq->arena, get.body);
    g->assistant = json_str(json_get(g->object, "assistant_id"));
    (void)json_to_i64(json_get(json_get(g->object, "usage"), "input_tokens"), &g->input_tokens);
    (void)json_to_i64(json_get(json_get(g->object, "usage"), "output_tokens"), &g->output_tokens);
    state = json_parse_copy(g->rq->arena, get.state);
    buf_init(&g->inner, g->rq->arena, SIZE_MAX / 2);
    yyjson_arr_foreach(json_get(state, "messages"), i, n, v)
    {
        if (i)
            buf_add_char(&g->inner, ',');
        buf_add(&g->inner, json_text(g->rq->arena, v));
    }
    if (!state) /* it has not waited yet */
        tell(g, "thread.run", "created", get.body);
    tell(g, "thread.run", "queued", get.body);
    e = enter(g, S("queued"), S("in_progress"), (str){ 0 }, (str){ 0 });
    if (!e) {
        beat_start(g);
        e = prepare(g);
    }
    if (!e)
        e = rounds(g);
    fiber_deadline_set(DEADLINE_NONE);
    beat_stop(g);
    if (!e)
        e = enter(g, S("in_progress"), g->required.len ? S("requires_action") : S("completed"), g->required,
                  (str){ 0 });
    if (e)
        (void)end_early(g, e); /* what cannot be written is told by the lease */
}

void run_go(struct request *rq, str thread, str id, struct assistant_feed *feed)
{
    struct going g = { .rq = rq, .thread = thread, .id = id, .feed = feed };

    might_suspend();
    go(&g);
    assistant_feed_add(feed, "done", S("[DONE]"));
    assistant_feed_end(feed);
}

/* ---- what clients do with one ---- */

/* The output for the call, by its id, or without ids in the order of the calls. */
static yyjson_val *output_for(yyjson_val *outputs, str id, size_t at)
{
    size_t      i, n;
    yyjson_val *one;

    yyjson_arr_foreach(outputs, i, n, one)
    {
        str given = json_str(json_get(one, "tool_call_id"));

        if (given.len ? str_eq(given, id) : i == at)
            return json_get(one, "output");
    }
    return NULL;
}

/* The step of the calls, with what came of them. */
SUSPENDS static enum err complete_step(struct request *rq, str run, str step, yyjson_val *calls, yyjson_val *outputs,
                                       struct assistant_feed *feed)
{
    struct assistant_get    get = { .id = step, .kind = STEP_KIND, .owner = run };
    struct assistant_update u = {
        .id = step, .kind = STEP_KIND, .owner = run, .from = S("in_progress"), .status = S("completed")
    };
    struct assistant_field values[2] = { { "status", "\"completed\"" } };
    yyjson_val            *old, *one;
    struct buf             b;
    size_t                 i, n;
    enum err               e = assistant_get(rq, &get);

    if (e)
        return e;
    old = json_get(json_get(json_parse_copy(rq->arena, get.body), "step_details"), "tool_calls");
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"type\":\"tool_calls\",\"tool_calls\":["));
    yyjson_arr_foreach(old, i, n, one)
    {
        yyjson_val     *function = json_get(one, "function"), *output = NULL, *call_one;
        struct app_call c = { .id = json_str(json_get(one, "id")), .name = json_str(json_get(function, "name")) };
        size_t          k, m;

        buf_init(&c.arguments, rq->arena, SIZE_MAX / 2);
        buf_add(&c.arguments, json_str(json_get(function, "arguments")));
        yyjson_arr_foreach(calls, k, m, call_one)
        {
            if (str_eq(json_str(json_get(call_one, "id")), c.id))
                output = output_for(outputs, c.id, k);
        }
        if (i)
            buf_add_char(&b, ',');
        add_call(&b, &c, output ? json_str(output) : json_str(json_get(function, "output")));
    }
    buf_add(&b, S("]}"));
    values[1] = (struct assistant_field){ "step_details", str_to_cstr(rq->arena, buf_str(&b)) };
    u.body = assistant_replace(rq->arena, json_parse_copy(rq->arena, get.body), values, 2);
    e = assistant_update(rq, &u);
    if (!e)
        assistant_feed_add(feed, "thread.run.step.completed", u.body);
    return e;
}

/* REF: W641. As it is by now. */
SUSPENDS static enum err refuse_outputs(struct request *rq, struct assistant_get *get)
{
    enum err e = assistant_get(rq, get);

    return e ? e : fail_run_not_waiting(&rq->fault, get->id, get->status);
}

enum err run_submit(struct request *rq, str thread, str id, yyjson_val *outputs, struct assistant_feed *feed, str *ret)
{
    struct assistant_get         get = { .id = id, .kind = RUN_KIND, .owner = thread };
    struct assistant_update      u = { .id = id,
                                       .kind = RUN_KIND,
                                       .owner = thread,
                                       .from = S("requires_action"),
                                       .status = S("queued"),
                                       .due_ms = clock_machine_ms() + ASSISTANTS_LEASE_MS };
    const struct assistant_field values[] = { { "status", "\"queued\"" }, { "required_action", "null" } };
    yyjson_val                  *object, *state, *calls, *one;
    struct buf                   inner;
    size_t                       i, n;
    enum err                     e = assistant_get(rq, &get);

    might_suspend();
    if (e)
        return e;
    object = json_parse_copy(rq->arena, get.body);
    state = json_parse_copy(rq->arena, get.state);
    calls = json_get(json_get(json_get(object, "required_action"), "submit_tool_outputs"), "tool_calls");
    if (!str_eq(get.status, S("requires_action")))
        return fail_run_not_waiting(&rq->fault, id, get.status); /* REF: W641 */
    if (!yyjson_is_arr(outputs))
        return fail_parameter_missing_named(&rq->fault, S("tool_outputs"));
    buf_init(&inner, rq->arena, SIZE_MAX / 2);
    yyjson_arr_foreach(json_get(state, "messages"), i, n, one)
    {
        if (i)
            buf_add_char(&inner, ',');
        buf_add(&inner, json_text(rq->arena, one));
    }
    yyjson_arr_foreach(calls, i, n, one)
    {
        str         call_id = json_str(json_get(one, "id"));
        yyjson_val *output = output_for(outputs, call_id, i);

        if (!yyjson_is_str(output))
            return fail_parameter_missing_named(&rq->fault, S("tool_outputs"));
        add_output(&inner, call_id, json_str(output));
    }
    e = complete_step(rq, id, json_str(json_get(state, "step")), calls, outputs, feed);
    if (e)
        return e == ERR_NOT_FOUND ? refuse_outputs(rq, &get) : e; /* another call was faster */
    *ret = u.body = assistant_replace(rq->arena, object, values, ARRAY_LEN(values));
    u.state = arena_printf(rq->arena, "{\"messages\":[%.*s]}", STR_ARG(buf_str(&inner)));
    e = assistant_update(rq, &u);
    return e == ERR_NOT_FOUND ? refuse_outputs(rq, &get) : e;
}

/* The run, in a status that it goes to from one of `from`. ERR_NOT_FOUND: it is in another. */
SUSPENDS static enum err leave(struct request *rq, const struct assistant_get *get, str from, const char *status,
                               int64_t due_ms, str *ret)
{
    struct assistant_update      u = { .id = get->id,
                                       .kind = RUN_KIND,
                                       .owner = get->owner,
                                       .from = from,
                                       .status = str_from_cstr(status),
                                       .state = get->state,
                                       .due_ms = due_ms };
    const struct assistant_field values[] = { { "status", arena_printf(rq->arena, "\"%s\"", status).ptr },
                                              { "required_action", "null" } };

    *ret = u.body = assistant_replace(rq->arena, json_parse_copy(rq->arena, get->body), values, ARRAY_LEN(values));
    return assistant_update(rq, &u);
}

enum err run_cancel(struct request *rq, str thread, str id, str *ret)
{
    struct assistant_get get = { .id = id, .kind = RUN_KIND, .owner = thread };
    enum err             e = assistant_get(rq, &get);

    might_suspend();
    if (e)
        return e;
    e = leave(rq, &get, S("queued requires_action"), "cancelled", 0, ret);
    if (e == ERR_NOT_FOUND) /* whoever runs it ends it */
        e = leave(rq, &get, S("in_progress"), "cancelling", ASSISTANT_DUE_KEEP, ret);
    if (e != ERR_NOT_FOUND)
        return e;
    e = assistant_get(rq, &get); /* it has ended, or is about to: it stays as it is */
    *ret = get.body;
    return e;
}
