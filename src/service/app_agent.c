/* app_agent.c - runs an agent: instructions, the conversation, and its plug-ins until the model answers. */
#include "base/clock.h"
#include "contract/knowledge_params.gen.h"
#include "service/app_retrieve.h"

/* ---- what the model is told ---- */

struct variables {
    struct app_run *run;
    yyjson_val     *given, *system;
};

static yyjson_val *find_variable(void *arg, str name)
{
    struct variables *v = arg;

    return str_eq(name, S("sys")) ? v->system : yyjson_obj_getn(v->given, name.ptr, name.len);
}

/* The instructions with the call's values in them; the time, unless it is not wanted. */
static enum err instruct(struct app_run *r, str *ret)
{
    struct variables  v = { r, json_get(r->in->biz, "user_prompt_params"), app_system_values(r) };
    struct app_values values = { find_variable, &v };
    str               missing = { 0 };
    enum err          e = app_text_fill(r->rq->arena, &r->app.instructions, &values, APPS_VALUES_MAX, ret, &missing);

    if (e == ERR_NOT_FOUND)
        return app_fail(r, "user_prompt_params has no \"%.*s\"", STR_ARG(missing));
    if (e)
        return app_fail(r, "the instructions are too long");
    if (!r->in->system_time.set || r->in->system_time.v)
        *ret = arena_printf(r->rq->arena, "%.*s%sThe current time is %.*s.", STR_ARG(*ret), ret->len ? "\n" : "",
                            STR_ARG(json_str(json_get(v.system, "time"))));
    return OK;
}

/* ---- what knowledge bases say ---- */

static str observation(struct app_run *r, const struct knowledge_found *found, size_t count)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add_char(&b, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add(&b, i ? S(",{\"content\":") : S("{\"content\":"));
        json_add_str(&b, found[i].text);
        buf_add(&b, S(",\"dataId\":"));
        json_add_str(&b, found[i].file);
        buf_add(&b, S(",\"dataName\":"));
        json_add_str(&b, found[i].name);
        buf_addf(&b, ",\"display\":true,\"id\":\"%lld\",\"images\":[],\"referenceIndex\":%zu,\"score\":",
                 (long long)found[i].chunk, i + 1);
        json_add_num(&b, found[i].score);
        buf_add(&b, S(",\"title\":"));
        json_add_str(&b, found[i].title);
        buf_add(&b, S(",\"webSearch\":false}"));
    }
    buf_add_char(&b, ']');
    return buf_str(&b);
}

static str query_json(struct app_run *r, str query)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"query\":"));
    json_add_str(&b, query);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

/* What was found stands behind the instructions, numbered. */
static void tell_model(struct app_run *r, const struct knowledge_found *found, size_t count, str *system,
                       struct chat_input *in)
{
    struct chat_excerpt *all = arena_array(r->rq->arena, struct chat_excerpt, count);
    struct buf           b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add(&b, *system);
    buf_add(&b, system->len ? S("\n\n") : S(""));
    buf_add(&b, KNOWLEDGE_ANSWER_INSTRUCTIONS);
    for (size_t i = 0; i < count; i++) {
        buf_addf(&b, "\n\n[%zu] %.*s\n", i + 1, STR_ARG(found[i].name));
        buf_add(&b, found[i].text);
        all[i] = (struct chat_excerpt){ found[i].name, found[i].text };
    }
    in->cites = (r->in->references ? r->in->references : r->app.references) == APP_REFERENCES_INDEXED;
    if (in->cites) {
        buf_add(&b, S("\n\n"));
        buf_add(&b, KNOWLEDGE_CITE_INSTRUCTIONS);
    }
    in->found = all;
    in->found_count = count;
    *system = buf_str(&b);
}

SUSPENDS static enum err consult(struct app_run *r, str *system, struct chat_input *in)
{
    const struct app_retrieval q = { .bases = r->app.bases,
                                     .base_count = r->app.base_count,
                                     .query = r->query,
                                     .top = r->app.top,
                                     .rewriter = r->app.rewriter };
    struct app_step            step = { .node = S("knowledge"), .type = app_node_wire_name(APP_RETRIEVAL) };
    struct knowledge_found    *found;
    struct app_thought        *t;
    size_t                     count;
    str                        query;
    enum err                   e;

    if (!r->app.base_count && !r->in->rag.base_count)
        return OK;
    step.started_us = clock_mono_us();
    e = app_retrieve(r, &q, &found, &count, &query);
    step.input = query_json(r, e ? r->query : query);
    if (!e)
        step.output = observation(r, found, count);
    else if (e == ERR_FAULT)
        app_step_fault(r, &step);
    else
        step.code = S("gone");
    app_trace(r, &step);
    if (e)
        return e;
    t = app_thought_add(r);
    t->action_type = S("agentRag");
    t->action_name = KNOWLEDGE_RETRIEVAL_NAME;
    t->action = S("rag");
    t->arguments = step.input;
    t->observation = step.output;
    if (count)
        tell_model(r, found, count, system, in);
    return app_tell(r, &(struct app_event){ .kind = APP_EV_THOUGHT });
}

/* ---- what it says ---- */

struct listening {
    struct app_run *run;
    bool            reasoned; /* the last thought is this answer's reasoning */
};

SUSPENDS static enum err hear(void *arg, bool reasoning, str text)
{
    struct listening   *l = arg;
    struct app_run     *r = l->run;
    struct app_thought *t;

    if (!reasoning)
        return app_say(r, &(struct app_event){ .kind = APP_EV_TEXT, .text = text });
    if (!l->reasoned) {
        t = app_thought_add(r);
        t->action_type = t->action = S("reasoning");
        t->action_name = APPS_THINKING_NAME;
        l->reasoned = true;
    }
    t = &r->answer.thoughts[r->answer.thought_count - 1];
    buf_add(&t->thought, text);
    t->piece = text;
    return app_tell(r, &(struct app_event){ .kind = APP_EV_THOUGHT });
}

/* The step's trace: the texts that went in, and what came out. */
static str trace_messages(struct app_run *r, const struct chat_input *in)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"model\":"));
    json_add_str(&b, in->model_name);
    buf_add(&b, S(",\"messages\":["));
    for (size_t i = 0; i < in->message_count; i++) {
        buf_add(&b, i ? S(",{\"role\":") : S("{\"role\":"));
        json_add_str(&b, chat_role_name(in->messages[i].role));
        buf_add(&b, S(",\"content\":"));
        json_add_str(&b, in->messages[i].content);
        buf_add_char(&b, '}');
    }
    buf_add(&b, S("]}"));
    return buf_str(&b);
}

static str trace_said(struct app_run *r, const struct app_said *said)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"result\":"));
    json_add_str(&b, buf_str(&said->text));
    if (said->reasoning.len) {
        buf_add(&b, S(",\"reasoningContent\":"));
        json_add_str(&b, buf_str(&said->reasoning));
    }
    for (size_t i = 0; i < said->call_count; i++) {
        buf_add(&b, i ? S(",{\"name\":") : S(",\"calls\":[{\"name\":"));
        json_add_str(&b, said->calls[i].name);
        buf_add(&b, S(",\"arguments\":"));
        json_add_str(&b, buf_str(&said->calls[i].arguments));
        buf_add_char(&b, '}');
    }
    buf_add(&b, said->call_count ? S("]}") : S("}"));
    return buf_str(&b);
}

SUSPENDS static enum err ask(struct app_run *r, struct chat_input *in, struct app_said *said)
{
    struct listening          l = { .run = r };
    const struct app_listener to = { hear, &l };
    struct app_step           step = { .node = S("model"), .type = S("LLM"), .started_us = clock_mono_us() };
    enum err                  e = app_model_step(r, &r->app.model, in, &to, said);

    step.input = trace_messages(r, in);
    step.output = trace_said(r, said);
    if (e == ERR_FAULT)
        app_step_fault(r, &step);
    app_trace(r, &step);
    return e;
}

/* ---- plug-ins ---- */

/* What one call gives, as a thought and for the model. */
SUSPENDS static enum err call_tool(struct app_run *r, const struct app_call *c, str *ret)
{
    struct app_step step = { .node = c->name, .type = app_node_wire_name(APP_PLUGIN), .started_us = clock_mono_us() };
    struct app_thought *t;
    struct buf          output;
    str                 plugin, name = c->name;
    enum err            e = app_tool_owner(r, c->name, &plugin, &name);

    if (!e)
        e = app_plugin_call(r, plugin, c->name, buf_str(&c->arguments), ret);
    step.name = name;
    step.input = json_parse_copy(r->rq->arena, buf_str(&c->arguments)) ? buf_str(&c->arguments) : (str){ 0 };
    if (!e) {
        buf_init(&output, r->rq->arena, SIZE_MAX / 2);
        json_add_str(&output, *ret);
        step.output = buf_str(&output);
    } else if (e == ERR_FAULT) {
        app_step_fault(r, &step);
    } else {
        step.code = S("gone");
    }
    app_trace(r, &step);
    if (e)
        return e;
    t = app_thought_add(r);
    t->action_type = S("api");
    t->action_name = name;
    t->action = c->name;
    t->arguments = buf_str(&c->arguments);
    t->observation = *ret;
    return app_tell(r, &(struct app_event){ .kind = APP_EV_THOUGHT });
}

/* Adds what the model said, and what its calls gave. */
SUSPENDS static enum err call_tools(struct app_run *r, struct chat_input *in, const struct app_said *said)
{
    struct chat_message *all = arena_array(r->rq->arena, struct chat_message, in->message_count + 1 + said->call_count);
    struct chat_message *own = &all[in->message_count];
    enum err             e = OK;

    memcpy(all, in->messages, in->message_count * sizeof(*all));
    *own = (struct chat_message){ .role = CHAT_ASSISTANT,
                                  .content = buf_str(&said->text),
                                  .reasoning = buf_str(&said->reasoning),
                                  .tool_call_count = said->call_count };
    own->tool_calls = arena_array(r->rq->arena, struct chat_tool_call, said->call_count);
    for (size_t i = 0; i < said->call_count && !e; i++) {
        const struct app_call *c = &said->calls[i];

        own->tool_calls[i] =
            (struct chat_tool_call){ .id = c->id, .name = c->name, .arguments = buf_str(&c->arguments) };
        own[1 + i] = (struct chat_message){ .role = CHAT_TOOL, .tool_call_id = c->id };
        e = call_tool(r, c, &own[1 + i].content);
    }
    in->messages = all;
    in->message_count += 1 + said->call_count;
    return e;
}

enum err app_run_agent(struct app_run *r)
{
    struct chat_input in = { 0 };
    struct app_said   said;
    str               system;
    size_t            head;
    enum err          e = instruct(r, &system);

    might_suspend();
    if (!e)
        e = consult(r, &system, &in);
    if (!e)
        e = app_tools(r, &in);
    if (e)
        return e;
    head = system.len > 0;
    in.messages = app_messages(r, &r->app.model, head, &in.message_count);
    if (head)
        in.messages[0] = (struct chat_message){ .role = CHAT_SYSTEM, .content = system };
    for (int i = 0; i <= APPS_TOOL_ROUNDS_MAX; i++) {
        e = ask(r, &in, &said);
        if (e || !said.call_count)
            return e;
        e = call_tools(r, &in, &said);
        if (e)
            return e;
    }
    return app_fail(r, "the model has called plug-ins %d times without an answer", APPS_TOOL_ROUNDS_MAX + 1);
}
