/* app_flow.c - runs a flow, node after node.
 *
 * What a node gives is a value that later texts name. A model's answer goes straight on to the end (or output) behind it when that is
 * to be said piece by piece and names it: so clients of a flow see text while it is made.
 */
#include "base/clock.h"
#include "contract/errors.gen.h"
#include "service/app_retrieve.h"
#include "service/app_run.h"

/* A node under way. */
struct doing {
    struct app_run        *run;
    const struct app_node *node, *parent;
    int64_t                sequence; /* of its events */
    struct app_thought    *thought;  /* NULL: none are wanted */
    struct buf             shown;    /* the thought's text */
    struct app_step        step;
};

/* ---- values ---- */

static yyjson_val *find_value(void *arg, str name)
{
    struct app_run *r = arg;

    if (str_eq(name, S("sys")))
        return app_system_values(r);
    for (struct app_value *v = r->values; v; v = v->before) {
        if (str_eq(v->node, name))
            return v->value;
    }
    return NULL;
}

static struct app_values values_of(struct app_run *r)
{
    return (struct app_values){ find_value, r };
}

/* What the node gives, as JSON. */
static enum err give(struct app_run *r, str node, str json)
{
    struct app_value *v = arena_new(r->rq->arena, struct app_value);

    r->values_size += json.len;
    if (r->values_size > APPS_VALUES_MAX)
        return app_fail(r, "the values of the run are too large");
    *v = (struct app_value){ .before = r->values, .node = node, .value = json_parse_copy(r->rq->arena, json) };
    ASSERT(v->value);
    r->values = v;
    return OK;
}

static str json_of(struct app_run *r, str text)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    json_add_str(&b, text);
    return buf_str(&b);
}

static str result_json(struct app_run *r, str text)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"result\":"));
    json_add_str(&b, text);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

/* REF: E232: a value that is not there. */
static enum err fill(struct doing *d, const struct app_text *t, str *ret)
{
    struct app_run   *r = d->run;
    struct app_values v = values_of(r);
    str               missing = { 0 };
    enum err          e = app_text_fill(r->rq->arena, t, &v, APPS_VALUES_MAX - r->values_size, ret, &missing);

    if (e == ERR_NOT_FOUND)
        return app_fail(r, "node %.*s: \"${%.*s}\" has no value", STR_ARG(d->node->id), STR_ARG(missing));
    return e ? app_fail(r, "node %.*s: its text is too long", STR_ARG(d->node->id)) : OK;
}

/* ---- events ---- */

SUSPENDS static enum err tell_node(struct doing *d, str text, bool ended)
{
    return app_tell(d->run, &(struct app_event){ .kind = APP_EV_NODE,
                                                 .text = text,
                                                 .node = d->node,
                                                 .parent = d->parent,
                                                 .sequence = ++d->sequence,
                                                 .ended = ended });
}

static void add_text(struct buf *b, const char *before, str text)
{
    buf_add(b, str_from_cstr(before));
    json_add_str(b, text);
}

/* The node as a thought (platform.md §4.1). `result` is JSON. */
static void show_thought(struct doing *d, str result, bool ended)
{
    struct buf *b = &d->shown;

    buf_reset(b);
    add_text(b, "{\"nodeName\":", d->node->name);
    if (result.len)
        add_text(b, ",\"nodeResult\":", result);
    add_text(b, ",\"nodeType\":", app_node_wire_name(d->node->type));
    buf_add(b, ended ? S(",\"nodeStatus\":\"success\"") : S(",\"nodeStatus\":\"executing\""));
    add_text(b, ",\"nodeId\":", d->node->id);
    if (ended)
        buf_addf(b, ",\"nodeExecTime\":\"%lldms\"", (long long)((clock_mono_us() - d->step.started_us) / 1000));
    buf_add_char(b, '}');
    d->thought->response = ended ? arena_str(d->run->rq->arena, buf_str(b)) : buf_str(b);
}

SUSPENDS static enum err tell_thought(struct doing *d, str result, bool ended)
{
    if (!d->run->in->has_thoughts.v)
        return OK;
    if (!d->thought) {
        /* The list may have moved: a thought is held only as long as it is the last. */
        d->thought = app_thought_add(d->run);
        buf_init(&d->shown, d->run->rq->arena, SIZE_MAX / 2);
    }
    show_thought(d, result, ended);
    return app_tell(d->run, &(struct app_event){ .kind = APP_EV_THOUGHT });
}

/* A piece of the answer that an end or an output says. */
SUSPENDS static enum err say(struct doing *d, str text)
{
    enum err e;

    if (!text.len)
        return OK;
    e = app_say(d->run, &(struct app_event){ .kind = APP_EV_TEXT, .text = text, .node = d->node });
    return e ? e : tell_node(d, text, false);
}

/* ---- ends and outputs ---- */

static void begin(struct doing *d, struct app_run *r, const struct app_node *node, const struct app_node *parent)
{
    *d = (struct doing){ .run = r, .node = node, .parent = parent };
    d->step = (struct app_step){
        .node = node->id, .type = app_node_wire_name(node->type), .name = node->name, .started_us = clock_mono_us()
    };
}

/* The parts of its text from `from` up to `to`, each as a piece. */
SUSPENDS static enum err say_parts(struct doing *d, size_t from, size_t to)
{
    struct app_run   *r = d->run;
    struct app_values v = values_of(r);

    for (size_t i = from; i < to; i++) {
        const struct app_part *p = &d->node->text.parts[i];
        struct buf             b;
        enum err               e;

        buf_init(&b, r->rq->arena, APPS_VALUES_MAX);
        if (app_part_add(&b, &v, p))
            return app_fail(r, "node %.*s: \"${%.*s}\" has no value", STR_ARG(d->node->id), STR_ARG(p->literal));
        e = say(d, buf_str(&b));
        if (e)
            return e;
    }
    return OK;
}

/* The whole text is what it gives. `from`: so many of its parts have been said. */
SUSPENDS static enum err end_output(struct doing *d, size_t from)
{
    str      text = { 0 };
    enum err e = fill(d, &d->node->text, &text);

    if (!e)
        e = d->node->stream ? say_parts(d, from, d->node->text.count) : say(d, text);
    if (e)
        return e;
    d->step.output = result_json(d->run, text);
    e = give(d->run, d->node->id, d->step.output);
    if (!e)
        e = tell_node(d, S(""), true);
    return e ? e : tell_thought(d, d->step.output, true);
}

/* ---- start ---- */

static bool type_fits(const struct app_param *p, yyjson_val *v)
{
    switch (p->type) {
    case APP_PARAM_STRING:
        return yyjson_is_str(v);
    case APP_PARAM_NUMBER:
        return yyjson_is_num(v);
    case APP_PARAM_BOOLEAN:
        return yyjson_is_bool(v);
    case APP_PARAM_LIST:
        return yyjson_is_arr(v);
    case APP_PARAM_OBJECT:
        return yyjson_is_obj(v);
    }
    return false;
}

/* REF: E232: biz_params lacks a start variable, or has another kind of value. */
SUSPENDS static enum err do_start(struct doing *d)
{
    struct app_run *r = d->run;
    struct buf      b;
    enum err        e;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    for (size_t i = 0; i < d->node->param_count; i++) {
        const struct app_param *p = &d->node->params[i];
        yyjson_val             *v = yyjson_obj_getn(r->in->biz, p->name.ptr, p->name.len);

        if (!v || yyjson_is_null(v))
            v = p->fallback;
        if (!v && p->required)
            return app_fail(r, "biz_params has no \"%.*s\"", STR_ARG(p->name));
        if (v && !type_fits(p, v))
            return app_fail(r, "\"%.*s\" of biz_params is of another type", STR_ARG(p->name));
        if (i)
            buf_add_char(&b, ',');
        json_add_str(&b, p->name);
        buf_add_char(&b, ':');
        buf_add(&b, v ? json_text(r->rq->arena, v) : S("null"));
    }
    buf_add_char(&b, '}');
    d->step.output = buf_str(&b);
    e = give(r, d->node->id, d->step.output);
    if (!e)
        e = tell_node(d, d->step.output, true);
    return e ? e : tell_thought(d, (str){ 0 }, true);
}

/* ---- models ---- */

struct listening {
    struct doing *model, *out;           /* out: the end behind it that says what it says, or NULL */
    struct buf    text, reasoning, json; /* json: of the last piece, used again for each */
};

static str answer_json(struct buf *b, str text, str reasoning)
{
    buf_reset(b);
    add_text(b, "{\"result\":", text);
    add_text(b, ",\"reasoningContent\":", reasoning);
    buf_add_char(b, '}');
    return buf_str(b);
}

SUSPENDS static enum err hear(void *arg, bool reasoning, str text)
{
    struct listening *l = arg;
    struct app_run   *r = l->model->run;
    enum err          e = OK;

    buf_add(reasoning ? &l->reasoning : &l->text, text);
    if (r->in->stream_mode == APP_STREAM_MESSAGES_PLUS)
        e = tell_node(l->model, answer_json(&l->json, reasoning ? S("") : text, reasoning ? text : S("")), false);
    if (!e && r->in->has_thoughts.v && r->rq->stream && r->in->stream_mode <= APP_STREAM_THOUGHTS)
        e = tell_thought(l->model, answer_json(&l->json, buf_str(&l->text), buf_str(&l->reasoning)), false);
    if (!e && l->out && !reasoning)
        e = say(l->out, text);
    return e;
}

/* Turns of the conversation only when the node asks for them. */
static struct chat_message *messages_of(struct app_run *r, const struct app_node *n, str system, str prompt,
                                        size_t *ret_count)
{
    size_t               turns = 0, count = 0, max = r->in->message_count + 2 * r->turn_count + 2;
    struct chat_message *all = arena_array(r->rq->arena, struct chat_message, max);
    int64_t              rounds = r->in->rounds.set ? r->in->rounds.v : n->model.rounds.v;

    if (n->model.rounds.set)
        turns = (size_t)rounds < r->turn_count ? (size_t)rounds : r->turn_count;
    if (system.len)
        all[count++] = (struct chat_message){ .role = CHAT_SYSTEM, .content = system };
    for (size_t i = r->turn_count - turns; i < r->turn_count; i++) {
        all[count++] = (struct chat_message){ .role = CHAT_USER, .content = r->turns[i].said };
        all[count++] = (struct chat_message){ .role = CHAT_ASSISTANT, .content = r->turns[i].answered };
    }
    for (size_t i = 0; n->model.rounds.set && i + 1 < r->in->message_count; i++)
        all[count++] = r->in->messages[i];
    all[count++] = (struct chat_message){ .role = CHAT_USER, .content = prompt };
    *ret_count = count;
    return all;
}

static str question_json(struct app_run *r, str model, str system, str prompt)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    add_text(&b, "{\"model\":", model);
    add_text(&b, ",\"system\":", system);
    add_text(&b, ",\"prompt\":", prompt);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

/* `out` has begun when there is one: what stands before the model's answer in its text has been said. */
SUSPENDS static enum err do_model(struct doing *d, struct doing *out)
{
    struct app_run     *r = d->run;
    struct listening    l = { .model = d, .out = out };
    struct app_listener to = { hear, &l };
    struct chat_input   in = { 0 };
    struct app_said     said;
    str                 system = { 0 }, prompt = { 0 };
    enum err            e = fill(d, &d->node->system, &system);

    if (!e)
        e = fill(d, &d->node->prompt, &prompt);
    if (e)
        return e;
    buf_init(&l.text, r->rq->arena, SIZE_MAX / 2);
    buf_init(&l.reasoning, r->rq->arena, SIZE_MAX / 2);
    buf_init(&l.json, r->rq->arena, SIZE_MAX / 2);
    d->step.input = question_json(r, d->node->model.name, system, prompt);
    in.messages = messages_of(r, d->node, system, prompt, &in.message_count);
    e = app_model_step(r, &d->node->model, &in, &to, &said);
    if (e)
        return e;
    d->step.output = answer_json(&l.json, buf_str(&said.text), buf_str(&said.reasoning));
    e = give(r, d->node->id, d->step.output);
    if (!e)
        e = tell_node(d, S(""), true);
    return e ? e : tell_thought(d, d->step.output, true);
}

/* ---- the other nodes ---- */

SUSPENDS static enum err end_node(struct doing *d, str json)
{
    enum err e;

    d->step.output = json;
    e = give(d->run, d->node->id, json);
    if (!e)
        e = tell_node(d, json, true);
    return e ? e : tell_thought(d, json, true);
}

SUSPENDS static enum err do_template(struct doing *d)
{
    str      text = { 0 };
    enum err e = fill(d, &d->node->text, &text);

    return e ? e : end_node(d, result_json(d->run, text));
}

SUSPENDS static enum err do_condition(struct doing *d, size_t *ret_next)
{
    struct app_run   *r = d->run;
    struct app_values v = values_of(r);
    str               missing = { 0 };
    size_t            i = 0;
    bool              holds = false;

    *ret_next = d->node->next;
    for (i = 0; i < d->node->case_count && !holds; i++) {
        if (app_case_holds(r->rq->arena, &d->node->cases[i], &v, &holds, &missing))
            return app_fail(r, "node %.*s: \"${%.*s}\" has no value", STR_ARG(d->node->id), STR_ARG(missing));
        if (holds)
            *ret_next = d->node->cases[i].next;
    }
    return end_node(d, holds ? arena_printf(r->rq->arena, "{\"result\":%zu}", i) : S("{\"result\":0}"));
}

SUSPENDS static enum err run_list(struct app_run *r, const struct app_nodes *list, const struct app_node *parent);

/* What a loop goes over: a list, or a text that is one in JSON. */
static enum err list_of(struct doing *d, yyjson_val **ret)
{
    struct app_run   *r = d->run;
    struct app_values v = values_of(r);
    yyjson_val       *list = app_text_value(&d->node->over, &v);
    str               text = { 0 };
    enum err          e;

    if (!yyjson_is_arr(list)) {
        e = fill(d, &d->node->over, &text);
        if (e)
            return e;
        list = json_parse_copy(r->rq->arena, text);
    }
    if (!yyjson_is_arr(list))
        return app_fail(r, "node %.*s: what it goes over is no list", STR_ARG(d->node->id));
    if (yyjson_arr_size(list) > APPS_LOOP_MAX)
        return app_fail(r, "node %.*s: it would go round more than %d times", STR_ARG(d->node->id), APPS_LOOP_MAX);
    *ret = list;
    return OK;
}

/* One round; `results` gets what it gives. */
SUSPENDS static enum err do_round(struct doing *d, size_t at, yyjson_val *item, struct buf *results, bool *ret_over)
{
    struct app_run   *r = d->run;
    struct app_values v = values_of(r);
    struct app_value *before = r->values;
    str               loop = r->loop, text = { 0 }, missing = { 0 };
    int64_t           round = r->round;
    enum err          e;

    e = give(r, d->node->id,
             arena_printf(r->rq->arena, "{\"index\":%zu,\"item\":%.*s}", at,
                          STR_ARG(item ? json_text(r->rq->arena, item) : S("null"))));
    r->loop = d->node->id;
    r->round = (int64_t)at;
    if (!e)
        e = run_list(r, &d->node->body, d->node);
    r->loop = loop;
    r->round = round;
    if (!e && d->node->text.source.len)
        e = fill(d, &d->node->text, &text);
    if (!e && d->node->until.count && app_case_holds(r->rq->arena, &d->node->until, &v, ret_over, &missing))
        e = app_fail(r, "node %.*s: \"${%.*s}\" has no value", STR_ARG(d->node->id), STR_ARG(missing));
    if (at)
        buf_add_char(results, ',');
    json_add_str(results, text);
    r->values = before; /* each round's values are its own */
    return e;
}

SUSPENDS static enum err do_loop(struct doing *d)
{
    struct app_run *r = d->run;
    yyjson_val     *list = NULL;
    struct buf      results;
    bool            over = false;
    size_t          count, i;
    enum err        e = d->node->times.set ? OK : list_of(d, &list);

    buf_init(&results, r->rq->arena, APPS_VALUES_MAX);
    buf_add(&results, S("{\"result\":["));
    count = d->node->times.set ? (size_t)d->node->times.v : yyjson_arr_size(list);
    for (i = 0; i < count && !over && !e; i++)
        e = do_round(d, i, list ? yyjson_arr_get(list, i) : NULL, &results, &over);
    if (e)
        return e;
    buf_addf(&results, "],\"count\":%zu}", i);
    if (results.full)
        return app_fail(r, "node %.*s: what it gives is too large", STR_ARG(d->node->id));
    return end_node(d, buf_str(&results));
}

SUSPENDS static enum err do_plugin(struct doing *d)
{
    struct app_run   *r = d->run;
    struct app_values values = values_of(r);
    struct buf        args, out;
    str               answer = { 0 };
    enum err          e;

    buf_init(&args, r->rq->arena, APPS_VALUES_MAX);
    for (size_t i = 0; i < d->node->argument_count; i++) {
        const struct app_argument *a = &d->node->arguments[i];
        yyjson_val                *v = app_text_value(&a->value, &values);
        str                        text = { 0 };

        buf_add_char(&args, i ? ',' : '{');
        json_add_str(&args, a->name);
        buf_add_char(&args, ':');
        if (v) { /* a number stays one */
            buf_add(&args, json_text(r->rq->arena, v));
            continue;
        }
        e = fill(d, &a->value, &text);
        if (e)
            return e;
        json_add_str(&args, text);
    }
    buf_add(&args, d->node->argument_count ? S("}") : S("{}"));
    if (args.full)
        return app_fail(r, "node %.*s: its arguments are too large", STR_ARG(d->node->id));
    d->step.input = buf_str(&args);
    e = app_plugin_call(r, d->node->plugin, d->node->tool, buf_str(&args), &answer);
    if (e)
        return e;
    buf_init(&out, r->rq->arena, SIZE_MAX / 2);
    buf_add(&out, S("{\"result\":"));
    if (json_parse_copy(r->rq->arena, answer))
        buf_add(&out, answer);
    else
        json_add_str(&out, answer);
    buf_add_char(&out, '}');
    return end_node(d, buf_str(&out));
}

/* The texts that were found, one behind the other, and each with where it is from. */
SUSPENDS static enum err do_retrieval(struct doing *d)
{
    struct app_run      *r = d->run;
    struct app_retrieval q = {
        .bases = d->node->bases, .base_count = d->node->base_count, .top = d->node->top, .rewriter = d->node->rewriter
    };
    struct knowledge_found *found;
    struct buf              texts, b;
    size_t                  count;
    str                     asked;
    enum err                e = fill(d, &d->node->text, &q.query);

    if (e)
        return e;
    d->step.input = result_json(r, q.query);
    e = app_retrieve(r, &q, &found, &count, &asked);
    if (e)
        return e;
    buf_init(&texts, r->rq->arena, APPS_VALUES_MAX);
    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        buf_add(&texts, found[i].text);
        buf_add(&texts, i + 1 < count ? S("\n\n") : S(""));
        add_text(&b, i ? ",{\"text\":" : "{\"text\":", found[i].text);
        add_text(&b, ",\"title\":", found[i].title);
        add_text(&b, ",\"doc_id\":", found[i].file);
        add_text(&b, ",\"doc_name\":", found[i].name);
        buf_add(&b, S(",\"score\":"));
        json_add_num(&b, found[i].score);
        buf_add_char(&b, '}');
    }
    return end_node(d, arena_printf(r->rq->arena, "{\"result\":%.*s,\"chunks\":[%.*s]}",
                                    STR_ARG(json_of(r, buf_str(&texts))), STR_ARG(buf_str(&b))));
}

/* ---- node after node ---- */

SUSPENDS static enum err do_node(struct doing *d, size_t *ret_next)
{
    switch (d->node->type) {
    case APP_START:
        return do_start(d);
    case APP_MODEL:
        return do_model(d, NULL);
    case APP_CONDITION:
        return do_condition(d, ret_next);
    case APP_LOOP:
        return do_loop(d);
    case APP_PLUGIN:
        return do_plugin(d);
    case APP_TEMPLATE:
        return do_template(d);
    case APP_OUTPUT:
    case APP_END:
        return end_output(d, 0);
    case APP_RETRIEVAL:
        return do_retrieval(d);
    case APP_NODE_TYPES:
        break;
    }
    return app_fail(d->run, "node %.*s cannot be run", STR_ARG(d->node->id));
}

static void end_trace(struct doing *d, enum err e)
{
    if (e == ERR_FAULT)
        app_step_fault(d->run, &d->step);
    else if (e)
        d->step.code = S("gone");
    app_trace(d->run, &d->step);
}

/* The place of the model's answer in the text of the end behind it; STR_NONE: it is not said straight on. */
static size_t place_of(const struct app_nodes *list, const struct app_node *model)
{
    const struct app_node *out = model->next < list->count ? &list->at[model->next] : NULL;

    if (!out || !out->stream || (out->type != APP_END && out->type != APP_OUTPUT))
        return STR_NONE;
    for (size_t i = 0; i < out->text.count; i++) {
        const struct app_part *p = &out->text.parts[i];

        if (str_eq(p->node, model->id))
            return !p->path.len || str_eq(p->path, S("result")) ? i : STR_NONE;
    }
    return STR_NONE;
}

/* A model and the end behind it, which says what it says as it says it. */
SUSPENDS static enum err do_model_and_end(struct app_run *r, const struct app_node *model,
                                          const struct app_node *out_node, const struct app_node *parent, size_t place)
{
    struct doing d, out;
    enum err     e;

    begin(&d, r, model, parent);
    begin(&out, r, out_node, parent);
    e = say_parts(&out, 0, place);
    if (!e)
        e = do_model(&d, &out);
    end_trace(&d, e);
    if (e)
        return e;
    e = end_output(&out, place + 1);
    end_trace(&out, e);
    return e;
}

SUSPENDS static enum err run_list(struct app_run *r, const struct app_nodes *list, const struct app_node *parent)
{
    size_t at = 0;

    while (at < list->count) {
        const struct app_node *n = &list->at[at];
        size_t                 place = n->type == APP_MODEL ? place_of(list, n) : STR_NONE;
        struct doing           d;
        enum err               e;

        if (place != STR_NONE) {
            n = &list->at[n->next];
            e = do_model_and_end(r, &list->at[at], n, parent, place);
            at = n->next;
        } else {
            begin(&d, r, n, parent);
            at = n->next;
            e = do_node(&d, &at);
            end_trace(&d, e);
        }
        if (e)
            return e;
        if (n->type == APP_END)
            break;
    }
    return OK;
}

enum err app_run_flow(struct app_run *r)
{
    might_suspend();
    return run_list(r, &r->app.nodes, NULL);
}
