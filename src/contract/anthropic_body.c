/* anthropic_body.c - reads the body of an Anthropic Messages call.
 *
 * Limits: CALLS_MAX calls of one message, whose answers are looked up one by one.
 */
#include "contract/anthropic_body.h"

#include "base/num.h"
#include "contract/chat_content.h"

#define CALLS_MAX 128

/* ---- blocks ---- */

static bool is_type(yyjson_val *block, const char *type)
{
    return str_eq(json_str(json_get(block, "type")), str_from_cstr(type));
}

/* cache_control {"type": "ephemeral"} (chat.md §10.6). */
static bool is_cache_mark(yyjson_val *block)
{
    return is_type(json_get(block, "cache_control"), "ephemeral");
}

/* What Anthropic's own servers have put into a conversation, and cannot be told to an engine. */
static bool is_ignored(yyjson_val *block)
{
    str type = json_str(json_get(block, "type"));

    return str_eq(type, S("redacted_thinking")) || str_eq(type, S("server_tool_use")) ||
           (str_ends(type, S("_tool_result")) && !str_eq(type, S("tool_result")));
}

static str data_uri(struct arena *a, str media_type, str data)
{
    str    head = S("data:"), middle = S(";base64,");
    size_t len = head.len + media_type.len + middle.len + data.len;
    char  *text = arena_bytes(a, len), *at = text;

    at = mempcpy(at, head.ptr, head.len);
    at = mempcpy(at, media_type.ptr, media_type.len);
    at = mempcpy(at, middle.ptr, middle.len);
    memcpy(at, data.ptr, data.len);
    return str_of(text, len);
}

/* {"type":"url","url"} or {"type":"base64","media_type","data"}: here a data URI has no ceiling but the body's. */
static enum err read_source(struct request *rq, yyjson_val *source, struct chat_part *part)
{
    str data = json_str(json_get(source, "data")), media_type = json_str(json_get(source, "media_type"));

    if (is_type(source, "base64") && data.len && media_type.len) {
        part->text = data_uri(rq->arena, media_type, data);
        return OK;
    }
    if (!is_type(source, "url"))
        return fail_media_url_invalid(&rq->fault); /* REF: E041 */
    part->text = json_str(json_get(source, "url"));
    return chat_check_media_url(rq, part->text);
}

/* A document that is plain text is a text; others need the document service. */
static enum err read_document(struct request *rq, yyjson_val *source, struct chat_part *part)
{
    yyjson_val *text = is_type(source, "text") ? json_get(source, "data") : json_get(source, "content");

    if (!yyjson_is_str(text))
        return fail_content_item_modality(&rq->fault);
    part->kind = CHAT_PART_TEXT;
    part->text = json_str(text);
    return OK;
}

/* A block of content that is a text or a medium. REF: E054. */
static enum err read_block(struct request *rq, yyjson_val *block, struct chat_part *part)
{
    yyjson_val *source = json_get(block, "source");

    part->cache = is_cache_mark(block);
    if (is_type(block, "text") && yyjson_is_str(json_get(block, "text"))) {
        part->kind = CHAT_PART_TEXT;
        part->text = json_str(json_get(block, "text"));
        return OK;
    }
    if (is_type(block, "image") || is_type(block, "video")) {
        part->kind = is_type(block, "image") ? CHAT_PART_IMAGE : CHAT_PART_VIDEO;
        return read_source(rq, source, part);
    }
    if (is_type(block, "document"))
        return read_document(rq, source, part);
    return fail_content_item_modality(&rq->fault);
}

/* ---- messages ---- */

/* Parts being gathered for one message. */
struct parts {
    struct chat_part *at;
    size_t            count;
};

/* How many parts the blocks may become: their own, and those inside results of tools. */
static size_t parts_most(yyjson_val *blocks)
{
    size_t      i, n, most = yyjson_arr_size(blocks);
    yyjson_val *block;

    yyjson_arr_foreach(blocks, i, n, block) most += yyjson_arr_size(json_get(block, "content"));
    return most;
}

static struct parts parts_new(struct request *rq, yyjson_val *blocks)
{
    return (struct parts){ .at = arena_array(rq->arena, struct chat_part, parts_most(blocks)) };
}

static enum err parts_add(struct request *rq, struct parts *p, yyjson_val *block, const struct chat_input *in)
{
    struct chat_part *part = &p->at[p->count];
    enum err          e = read_block(rq, block, part);

    if (e)
        return e;
    if (part->kind != CHAT_PART_TEXT && in->model->content != MODEL_CONTENT_PARTS)
        return chat_refuse_array(rq, in); /* REF: E020, E090 */
    p->count++;
    return OK;
}

static void parts_end(struct request *rq, const struct parts *p, struct chat_message *m)
{
    m->content_is_array = true;
    m->parts = p->at;
    m->part_count = p->count;
    m->content = chat_parts_text(rq->arena, p->at, p->count);
}

/* What a tool gave: its texts are the message, its media go into `rest`. */
static enum err read_result(struct request *rq, yyjson_val *block, const struct chat_input *in, struct parts *rest,
                            struct chat_message *m)
{
    yyjson_val  *content = json_get(block, "content"), *inner;
    struct parts texts = { 0 };
    size_t       i, n;

    *m = (struct chat_message){ .role = CHAT_TOOL, .cache = is_cache_mark(block) };
    m->tool_call_id = json_str(json_get(block, "tool_use_id"));
    if (!m->tool_call_id.len)
        return fail_parameter_missing_named(&rq->fault, S("tool_result.tool_use_id"));
    if (content && !yyjson_is_str(content) && !yyjson_is_arr(content))
        return fail_parameter_missing_named(&rq->fault, S("tool_result.content"));
    m->content = json_str(content);
    texts.at = arena_array(rq->arena, struct chat_part, yyjson_arr_size(content));
    yyjson_arr_foreach(content, i, n, inner)
    {
        struct parts *p = is_type(inner, "image") || is_type(inner, "video") ? rest : &texts;
        enum err      e = is_type(inner, "tool_reference") ? OK : parts_add(rq, p, inner, in);

        if (e)
            return e;
    }
    if (yyjson_is_arr(content))
        m->content = chat_parts_text(rq->arena, texts.at, texts.count);
    if (yyjson_is_true(json_get(block, "is_error")) && !m->content.len)
        m->content = S("error"); /* what an engine is to know of it: else the text says it */
    return OK;
}

static enum err read_user(struct request *rq, yyjson_val *blocks, const struct chat_input *in,
                          struct chat_message **next)
{
    struct parts rest = parts_new(rq, blocks);
    size_t       i, n, results = 0;
    yyjson_val  *block;
    enum err     e = OK;

    yyjson_arr_foreach(blocks, i, n, block)
    {
        if (is_type(block, "tool_result")) {
            e = read_result(rq, block, in, &rest, (*next)++);
            results++;
        } else if (!is_ignored(block)) {
            e = parts_add(rq, &rest, block, in);
        }
        if (e)
            return e;
    }
    if (results && !rest.count)
        return OK;
    **next = (struct chat_message){ .role = CHAT_USER };
    parts_end(rq, &rest, (*next)++);
    return OK;
}

static enum err read_call(struct request *rq, yyjson_val *block, struct chat_message *m)
{
    yyjson_val           *input = json_get(block, "input");
    struct chat_tool_call call = {
        .id = json_str(json_get(block, "id")),
        .name = json_str(json_get(block, "name")),
    };

    if (!call.id.len)
        return fail_parameter_missing_named(&rq->fault, S("tool_use.id"));
    if (!call.name.len)
        return fail_parameter_missing_named(&rq->fault, S("tool_use.name"));
    if (!yyjson_is_obj(input) || m->tool_call_count == CALLS_MAX)
        return fail_parameter_missing_named(&rq->fault, S("tool_use.input"));
    call.arguments = json_text(rq->arena, input);
    m->tool_calls[m->tool_call_count++] = call;
    return OK;
}

static enum err read_assistant(struct request *rq, yyjson_val *blocks, const struct chat_input *in,
                               struct chat_message *m)
{
    struct parts texts = parts_new(rq, blocks);
    size_t       i, n;
    yyjson_val  *block;
    struct buf   reasoning;
    enum err     e = OK;

    buf_init(&reasoning, rq->arena, SIZE_MAX / 2); /* the body had its ceiling */
    m->tool_calls = arena_array(rq->arena, struct chat_tool_call, min_size(yyjson_arr_size(blocks), CALLS_MAX));
    yyjson_arr_foreach(blocks, i, n, block)
    {
        if (is_type(block, "thinking"))
            buf_add(&reasoning, json_str(json_get(block, "thinking")));
        else if (is_type(block, "tool_use"))
            e = read_call(rq, block, m);
        else if (!is_ignored(block))
            e = parts_add(rq, &texts, block, in);
        if (e)
            return e;
    }
    m->reasoning = buf_str(&reasoning);
    parts_end(rq, &texts, m);
    return OK;
}

/* A string, or blocks of text. */
static enum err read_system(struct request *rq, yyjson_val *system, const struct chat_input *in, struct chat_message *m)
{
    struct parts p = parts_new(rq, system);
    size_t       i, n;
    yyjson_val  *block;

    *m = (struct chat_message){ .role = CHAT_SYSTEM, .content = json_str(system) };
    if (yyjson_is_str(system))
        return OK;
    yyjson_arr_foreach(system, i, n, block)
    {
        enum err e = is_type(block, "text") ? parts_add(rq, &p, block, in) : fail_content_item_modality(&rq->fault);

        if (e)
            return e;
    }
    if (!yyjson_is_arr(system))
        return fail_string_expected(&rq->fault, S("system"));
    parts_end(rq, &p, m);
    return OK;
}

static enum err read_message(struct request *rq, yyjson_val *v, size_t at, const struct chat_input *in,
                             struct chat_message **next)
{
    yyjson_val          *content = json_get(v, "content");
    str                  role = json_str(json_get(v, "role"));
    struct chat_message *m = *next;

    if (!yyjson_is_obj(v) || !yyjson_is_str(json_get(v, "role")))
        return fail_message_not_object(&rq->fault); /* REF: E042 */
    *m = (struct chat_message){ 0 };
    if (!chat_role_parse(role, &m->role) || m->role > CHAT_ASSISTANT)
        return fail_message_role_or_empty(&rq->fault); /* REF: E176 */
    if (!content)
        return fail_content_missing(&rq->fault); /* REF: E021 */
    if (!yyjson_is_str(content) && !yyjson_is_arr(content))
        return fail_string_expected(&rq->fault, arena_printf(rq->arena, "messages.%zu.content", at));
    if (yyjson_is_arr(content) && m->role == CHAT_USER)
        return read_user(rq, content, in, next);
    ++*next;
    if (m->role == CHAT_SYSTEM)
        return read_system(rq, content, in, m);
    if (yyjson_is_arr(content))
        return read_assistant(rq, content, in, m);
    m->content = json_str(content);
    return OK;
}

/* How many messages they become, at most. */
static size_t messages_most(yyjson_val *messages)
{
    size_t      i, n, most = 0;
    yyjson_val *v;

    yyjson_arr_foreach(messages, i, n, v) most += 1 + yyjson_arr_size(json_get(v, "content"));
    return most;
}

enum err anthropic_read_messages(struct request *rq, yyjson_val *system, yyjson_val *messages, struct chat_input *in)
{
    size_t               i, n;
    yyjson_val          *v;
    struct chat_message *next, *last;
    enum err             e;

    if (!yyjson_is_arr(messages))
        return fail_parameter_missing_named(&rq->fault, S("messages"));
    next = in->messages = arena_array(rq->arena, struct chat_message, 1 + messages_most(messages));
    if (system && !(yyjson_is_str(system) && !yyjson_get_len(system))) {
        e = read_system(rq, system, in, next++);
        if (e)
            return e;
    }
    yyjson_arr_foreach(messages, i, n, v)
    {
        e = read_message(rq, v, i, in, &next);
        if (e)
            return e;
    }
    in->message_count = (size_t)(next - in->messages);
    if (!in->message_count)
        return OK;
    last = next - 1;
    last->partial = last->role == CHAT_ASSISTANT && !last->tool_call_count; /* the beginning of the answer */
    return OK;
}

/* ---- parameters (data/params/chat.txt) ---- */

enum err chat_read_max_tokens(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    int64_t            most = in->model->output_max, n;

    if (!json_to_i64(v, &n))
        return param_refuse_type(rq, p, v, in->model);
    if (n < 1)
        return param_refuse_range(rq, p, v, in->model); /* REF: E009 */
    in->max_tokens = (opt_int){ .v = most > 0 ? min_i64(n, most) : n, .set = true };
    return OK;
}

/* {"type":"enabled","budget_tokens"}, {"type":"adaptive"}, {"type":"disabled"}. Clients of Anthropic ask for it without
 * knowing the model: one that cannot think does not. */
enum err chat_read_thinking(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;

    if (is_type(v, "disabled")) {
        in->enable_thinking = (opt_bool){ .v = false, .set = true };
        return OK;
    }
    if (!is_type(v, "enabled") && !is_type(v, "adaptive"))
        return param_refuse_type(rq, p, v, in->model);
    if (in->model->thinking == MODEL_THINKING_NONE)
        return OK;
    in->enable_thinking = (opt_bool){ .v = true, .set = true };
    return params_read(rq, &chat_params_anthropic_thinking, v, in->model, in);
}

enum err chat_read_output_config(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;

    if (!yyjson_is_obj(v))
        return param_refuse_type(rq, p, v, in->model);
    return params_read(rq, &chat_params_anthropic_output_config, v, in->model, in);
}

/* {"type":"json_schema","schema"}. */
enum err chat_read_output_format(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;

    (void)p;
    if (!is_type(v, "json_schema") || !yyjson_is_obj(json_get(v, "schema")))
        return fail_response_format_invalid(&rq->fault, json_text(rq->arena, v)); /* REF: E027 */
    in->format = CHAT_FORMAT_JSON_SCHEMA;
    in->format_schema = json_get(v, "schema");
    return OK;
}

enum err chat_read_stop_sequences(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    size_t             i, n;
    yyjson_val        *item;

    if (!yyjson_is_arr(v))
        return param_refuse_type(rq, p, v, in->model);
    in->stop = arena_array(rq->arena, str, yyjson_arr_size(v));
    yyjson_arr_foreach(v, i, n, item)
    {
        if (!yyjson_is_str(item))
            return param_refuse_type(rq, p, v, in->model); /* REF: E035 */
        if (yyjson_get_len(item))
            in->stop[in->stop_count++] = json_str(item);
    }
    return OK;
}

/* As engines and the prompt's template have it. */
static str tool_text(struct arena *a, const struct chat_tool *t)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, S("{\"type\":\"function\",\"function\":{\"name\":"));
    json_add_str(&b, t->name);
    if (t->description.len) {
        buf_add(&b, S(",\"description\":"));
        json_add_str(&b, t->description);
    }
    buf_add(&b, S(",\"parameters\":"));
    buf_add(&b, json_text(a, t->parameters));
    buf_add(&b, S("}}"));
    return buf_str(&b);
}

/* Tools that Anthropic's servers run have a type of their own, and are ignored. */
enum err chat_read_tools_anthropic(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    size_t             i, n;
    yyjson_val        *item;

    if (!yyjson_is_arr(v))
        return param_refuse_type(rq, p, v, in->model);
    in->tools = arena_array(rq->arena, struct chat_tool, yyjson_arr_size(v));
    yyjson_arr_foreach(v, i, n, item)
    {
        struct chat_tool *t = &in->tools[in->tool_count];
        enum err          e;

        if (!yyjson_is_obj(item))
            return param_refuse_type(rq, p, v, in->model);
        if (json_get(item, "type") && !is_type(item, "custom"))
            continue;
        t->name = json_str(json_get(item, "name"));
        t->description = json_str(json_get(item, "description"));
        t->parameters = json_get(item, "input_schema");
        t->cache = is_cache_mark(item);
        e = chat_check_tool(rq, t->name, S("tools.name"), t->parameters);
        if (e)
            return e;
        if (!t->parameters)
            return fail_parameter_missing_named(&rq->fault, S("tools.input_schema"));
        t->text = tool_text(rq->arena, t);
        in->tool_count++;
    }
    return OK;
}

static enum err read_tool_choice_name(struct request *rq, const struct param *p, yyjson_val *v, struct chat_input *in)
{
    in->tool_choice = CHAT_TOOLS_NAMED;
    in->tool_choice_name = json_str(json_get(v, "name"));
    for (size_t i = 0; i < in->tool_count; i++) {
        if (str_eq(in->tools[i].name, in->tool_choice_name))
            return OK;
    }
    return param_refuse_type(rq, p, v, in->model); /* REF: E030 */
}

enum err chat_read_tool_choice_anthropic(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    yyjson_val        *one = json_get(v, "disable_parallel_tool_use");

    if (one && !yyjson_is_bool(one))
        return fail_parameter_missing_named(&rq->fault, S("tool_choice.disable_parallel_tool_use"));
    if (one)
        in->parallel_tool_calls = (opt_bool){ .v = !yyjson_get_bool(one), .set = true };
    if (is_type(v, "auto"))
        in->tool_choice = CHAT_TOOLS_AUTO;
    else if (is_type(v, "none"))
        in->tool_choice = CHAT_TOOLS_NONE;
    else if (is_type(v, "any"))
        in->tool_choice = CHAT_TOOLS_REQUIRED;
    else if (is_type(v, "tool"))
        return read_tool_choice_name(rq, p, v, in);
    else
        return param_refuse_type(rq, p, v, in->model); /* REF: E030 */
    return OK;
}
