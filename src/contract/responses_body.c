/* responses_body.c - a body of the OpenAI Responses API as a chat_input. Spec: chat.md §6.7.1. */
#include "contract/responses_body.h"

#include "base/utf8.h"
#include "contract/chat_body.h"

#include <stdlib.h>

/* ---- parameters ---- */

enum err responses_read_background(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    (void)into;
    return yyjson_is_true(v) ? param_refuse_type(rq, p, v, NULL) : OK;
}

/* text.format is chat's response_format with the members of json_schema one level higher. */
enum err responses_read_text(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    yyjson_val *format = json_get(v, "format"), *schema = json_get(format, "schema");
    struct buf  b;

    if (!format)
        return OK;
    if (!str_eq(json_str(json_get(format, "type")), S("json_schema")) || !schema)
        return chat_read_response_format(rq, p, format, into);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"type\":\"json_schema\",\"json_schema\":{\"name\":"));
    buf_add(&b, json_text(rq->arena, json_get(format, "name")));
    buf_add(&b, S(",\"schema\":"));
    buf_add(&b, json_text(rq->arena, schema));
    if (yyjson_is_bool(json_get(format, "strict")))
        buf_add(&b, yyjson_is_true(json_get(format, "strict")) ? S(",\"strict\":true") : S(",\"strict\":false"));
    buf_add(&b, S("}}"));
    return chat_read_response_format(rq, p, json_parse_copy(rq->arena, buf_str(&b)), into);
}

/* A flat function in chat's form. */
static void add_function(struct buf *b, yyjson_val *tool)
{
    static const char *const members[] = { "name", "description", "parameters", "strict" };
    bool                     first = true;

    buf_add(b, S("{\"type\":\"function\",\"function\":{"));
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        yyjson_val *v = json_get(tool, members[i]);

        if (!v)
            continue;
        buf_add(b, first ? S("\"") : S(",\""));
        buf_add(b, str_from_cstr(members[i]));
        buf_add(b, S("\":"));
        buf_add(b, json_text(b->arena, v));
        first = false;
    }
    buf_add(b, S("}}"));
}

static bool has_tool(yyjson_val *tools, str type)
{
    size_t      i, n;
    yyjson_val *tool;

    yyjson_arr_foreach(tools, i, n, tool)
    {
        if (str_eq(json_str(json_get(tool, "type")), type))
            return true;
    }
    return false;
}

enum err responses_read_tools(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    size_t             i, n;
    yyjson_val        *tool;
    struct buf         b;

    if (!yyjson_is_arr(v))
        return param_refuse_type(rq, p, v, in->model);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add_char(&b, '[');
    yyjson_arr_foreach(v, i, n, tool)
    {
        str type = json_str(json_get(tool, "type"));

        if (str_eq(type, S("function"))) {
            if (b.len > 1)
                buf_add_char(&b, ',');
            add_function(&b, tool);
        } else if (str_eq(type, S("web_search"))) {
            in->enable_search = (opt_bool){ .v = true, .set = true };
        } else if (str_eq(type, S("code_interpreter"))) {
            in->code_interpreter = (opt_bool){ .v = true, .set = true };
            in->code_whole = true;
        } else if (!type.len) {
            return param_refuse_type(rq, p, v, in->model);
        } else if (str_eq(
                       type,
                       S("web_extractor"))) { /* reads the pages that a search found: nothing of its own to turn on */
            if (!has_tool(v, S("web_search")))
                return param_refuse_type(rq, p, v, in->model);
        } else {
            return fail_tool_later(&rq->fault, type); /* REF: D011 */
        }
    }
    buf_add_char(&b, ']');
    return b.len > 2 ? chat_read_tools(rq, p, json_parse_copy(rq->arena, buf_str(&b)), into) : OK;
}

/* Leaves the tools that the list names. False when one of it is not there. */
static bool allow_tools(struct request *rq, struct chat_input *in, yyjson_val *list)
{
    struct chat_tool *allowed = arena_array(rq->arena, struct chat_tool, in->tool_count);
    size_t            i, n, count = 0, found;
    yyjson_val       *tool;

    yyjson_arr_foreach(list, i, n, tool)
    {
        str name = json_str(json_get(tool, "name"));

        if (!str_eq(json_str(json_get(tool, "type")), S("function")))
            continue; /* a built-in one: those that were given are on */
        for (found = 0; found < in->tool_count && !str_eq(in->tools[found].name, name); found++)
            ;
        if (found == in->tool_count || count == in->tool_count)
            return false;
        allowed[count++] = in->tools[found];
    }
    in->tools = allowed;
    in->tool_count = count;
    return yyjson_is_arr(list);
}

/* REF: E030. */
enum err responses_read_tool_choice(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    str                word = json_str(v), type = json_str(json_get(v, "type"));

    if (str_eq(type, S("allowed_tools"))) {
        word = json_str(json_get(v, "mode"));
        if (!allow_tools(rq, in, json_get(v, "tools")))
            return param_refuse_type(rq, p, v, in->model);
    }
    if (str_eq(word, S("auto"))) {
        in->tool_choice = CHAT_TOOLS_AUTO;
    } else if (str_eq(word, S("none"))) {
        in->tool_choice = CHAT_TOOLS_NONE;
    } else if (str_eq(word, S("required")) && in->tool_count == 1) {
        in->tool_choice = CHAT_TOOLS_REQUIRED;
    } else if (str_eq(type, S("function"))) {
        in->tool_choice = CHAT_TOOLS_NAMED;
        in->tool_choice_name = json_str(json_get(v, "name"));
        for (size_t i = 0; i < in->tool_count; i++) {
            if (str_eq(in->tools[i].name, in->tool_choice_name))
                return OK;
        }
        return param_refuse_type(rq, p, v, in->model);
    } else {
        return param_refuse_type(rq, p, v, in->model);
    }
    return OK;
}

enum err responses_check_metadata(struct request *rq, yyjson_val *metadata)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(metadata);
    yyjson_val     *key;

    if (!metadata)
        return OK;
    if (!yyjson_is_obj(metadata) || yyjson_obj_size(metadata) > CHAT_METADATA_MAX)
        return fail_parameter_missing_named(&rq->fault, S("metadata"));
    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);

        if (!yyjson_is_str(v) || utf8_count(json_str(key)) > CHAT_METADATA_KEY_MAX ||
            utf8_count(json_str(v)) > CHAT_METADATA_VALUE_MAX)
            return fail_parameter_missing_named(&rq->fault, S("metadata"));
    }
    return OK;
}

/* A member that is a text; empty when it is absent. */
static enum err read_text(struct request *rq, yyjson_val *v, str name, str *ret)
{
    if (v && !yyjson_is_str(v))
        return fail_parameter_missing_named(&rq->fault, name);
    *ret = json_str(v);
    return OK;
}

static enum err read_input(struct request *rq, yyjson_val *v, yyjson_val **ret)
{
    struct buf b;

    if (yyjson_is_str(v)) {
        buf_init(&b, rq->arena, SIZE_MAX / 2);
        buf_add(&b, S("[{\"role\":\"user\",\"content\":"));
        json_add_str(&b, json_str(v));
        buf_add(&b, S("}]"));
        v = json_parse_copy(rq->arena, buf_str(&b));
    }
    if (!yyjson_is_arr(v))
        return fail_parameter_missing_named(&rq->fault, S("input"));
    *ret = v;
    return OK;
}

enum err responses_read(struct request *rq, yyjson_val *root, struct chat_input *in, struct responses_body *ret)
{
    yyjson_val *store = json_get(root, "store"), *conversation = json_get(root, "conversation");
    enum err    e = read_input(rq, json_get(root, "input"), &ret->items);

    if (!e)
        e = read_text(rq, json_get(root, "instructions"), S("instructions"), &ret->instructions);
    if (!e)
        e = read_text(rq, json_get(root, "previous_response_id"), S("previous_response_id"), &ret->previous);
    if (yyjson_is_obj(conversation))
        conversation = json_get(conversation, "id");
    if (!e)
        e = read_text(rq, conversation, S("conversation"), &ret->conversation);
    if (!e && store && !yyjson_is_bool(store))
        e = fail_parameter_missing_named(&rq->fault, S("store"));
    ret->store = !yyjson_is_false(store);
    ret->metadata = json_get(root, "metadata");
    ret->tools = json_get(root, "tools");
    ret->tool_choice = json_get(root, "tool_choice");
    if (!e)
        e = responses_check_metadata(rq, ret->metadata);
    if (!e && ret->previous.len && ret->conversation.len)
        e = fail_previous_with_conversation(&rq->fault); /* REF: W302 */
    if (!e)
        e = params_read(rq, &chat_params_openai_responses, root, in->model, in);
    if (!e)
        e = params_read(rq, &chat_params_openai_responses_reasoning, json_get(root, "reasoning"), in->model, in);
    if (e || !in->reasoning_effort.len)
        return e;
    /* The effort wins over enable_thinking; a model that knows no degrees of it thinks or does not. */
    in->enable_thinking.set = false;
    if (!in->model->effort.len && in->model->thinking == MODEL_THINKING_HYBRID)
        in->enable_thinking = (opt_bool){ .v = !str_eq(in->reasoning_effort, S("none")), .set = true };
    return OK;
}

/* ---- items → messages ---- */

struct writer {
    struct buf b;
    bool       any;       /* a message has been written */
    bool       assistant; /* the last is the assistant's, still open: its calls may follow */
    size_t     calls;     /* it has */
    struct buf reasoning; /* of the assistant's turn that comes next */
};

static void message_end(struct writer *w)
{
    if (w->assistant)
        buf_add(&w->b, w->calls ? S("]}") : S("}"));
    w->assistant = false;
    w->calls = 0;
}

static void message_begin(struct writer *w, str role)
{
    message_end(w);
    buf_add(&w->b, w->any ? S(",{\"role\":") : S("{\"role\":"));
    json_add_str(&w->b, role);
    w->any = true;
    w->assistant = str_eq(role, S("assistant"));
    if (w->assistant && w->reasoning.len) {
        buf_add(&w->b, S(",\"reasoning_content\":"));
        json_add_str(&w->b, buf_str(&w->reasoning));
    }
    buf_reset(&w->reasoning);
}

/* What stands beside the value: fps, cache_control, the bounds of a picture. */
static void add_other_members(struct buf *b, yyjson_val *part, str value, str written)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(part);
    yyjson_val     *key;

    while ((key = yyjson_obj_iter_next(&it))) {
        str name = json_str(key);

        if (str_eq(name, S("type")) || str_eq(name, value) || str_eq(name, written))
            continue;
        buf_add_char(b, ',');
        json_add_str(b, name);
        buf_add_char(b, ':');
        buf_add(b, json_text(b->arena, yyjson_obj_iter_get_val(key)));
    }
}

/* A part as chat completions have it. */
static void add_part(struct buf *b, yyjson_val *part)
{
    static const struct {
        const char *type, *member, *chat, *chat_member; /* chat_member NULL: the value itself */
    } forms[] = {
        { "input_text", "text", "text", NULL },
        { "output_text", "text", "text", NULL },
        { "refusal", "refusal", "text", NULL },
        { "input_image", "image_url", "image_url", "url" },
        { "input_video", "video_url", "video_url", "url" },
        { "input_file", "file_url", "file", NULL },
        { "input_audio", "audio_url", "input_audio", "data" },
        { "input_audio", "data", "input_audio", "data" },
    };
    str type = json_str(json_get(part, "type"));

    for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
        yyjson_val *v = json_get(part, forms[i].member);

        if (!str_eq(type, str_from_cstr(forms[i].type)) || !v)
            continue;
        buf_add(b, S("{\"type\":\""));
        buf_add(b, str_from_cstr(forms[i].chat));
        buf_add(b, S("\",\""));
        buf_add(b, str_from_cstr(forms[i].chat));
        buf_add(b, S("\":"));
        if (forms[i].chat_member) {
            buf_add(b, S("{\""));
            buf_add(b, str_from_cstr(forms[i].chat_member));
            buf_add(b, S("\":"));
        }
        buf_add(b, json_text(b->arena, v));
        if (forms[i].chat_member)
            buf_add_char(b, '}');
        add_other_members(b, part, str_from_cstr(forms[i].member), str_from_cstr(forms[i].chat));
        buf_add_char(b, '}');
        return;
    }
    buf_add(b, json_text(b->arena, part)); /* what it is, chat_body.c refuses */
}

static void add_content(struct buf *b, yyjson_val *content)
{
    size_t      i, n;
    yyjson_val *part;

    if (!content)
        return;
    buf_add(b, S(",\"content\":"));
    if (!yyjson_is_arr(content)) {
        buf_add(b, json_text(b->arena, content));
        return;
    }
    buf_add_char(b, '[');
    yyjson_arr_foreach(content, i, n, part)
    {
        if (i)
            buf_add_char(b, ',');
        add_part(b, part);
    }
    buf_add_char(b, ']');
}

static void add_call(struct writer *w, yyjson_val *item)
{
    struct buf *b = &w->b;

    if (!w->assistant)
        message_begin(w, S("assistant"));
    buf_add(b, w->calls++ ? S(",{\"id\":") : S(",\"tool_calls\":[{\"id\":"));
    json_add_str(b, json_str(json_get(item, "call_id")));
    buf_add(b, S(",\"type\":\"function\",\"function\":{\"name\":"));
    json_add_str(b, json_str(json_get(item, "name")));
    buf_add(b, S(",\"arguments\":"));
    json_add_str(b, json_str(json_get(item, "arguments")));
    buf_add(b, S("}}"));
}

static void add_output(struct writer *w, yyjson_val *item)
{
    message_begin(w, S("tool"));
    buf_add(&w->b, S(",\"tool_call_id\":"));
    json_add_str(&w->b, json_str(json_get(item, "call_id")));
    add_content(&w->b, json_get(item, "output"));
    buf_add_char(&w->b, '}');
}

static void add_reasoning(struct writer *w, yyjson_val *item)
{
    size_t      i, n;
    yyjson_val *part;

    yyjson_arr_foreach(json_get(item, "summary"), i, n, part)
    {
        buf_add(&w->reasoning, json_str(json_get(part, "text")));
    }
}

static enum err add_item(struct request *rq, struct writer *w, yyjson_val *item)
{
    str type = json_str(json_get(item, "type"));

    if (!yyjson_is_obj(item))
        return fail_parameter_missing_named(&rq->fault, S("input"));
    if (!type.len || str_eq(type, S("message"))) {
        message_begin(w, json_str(json_get(item, "role")));
        add_content(&w->b, json_get(item, "content"));
        if (!w->assistant)
            buf_add_char(&w->b, '}');
    } else if (str_eq(type, S("function_call"))) {
        add_call(w, item);
    } else if (str_eq(type, S("function_call_output"))) {
        add_output(w, item);
    } else if (str_eq(type, S("reasoning"))) {
        add_reasoning(w, item);
    } else if (!str_ends(type, S("_call"))) { /* what built-in tools did, their answer holds already */
        return fail_parameter_missing_named(&rq->fault, S("input"));
    }
    return OK;
}

enum err responses_read_items(struct request *rq, str instructions, yyjson_val *items, struct chat_input *in)
{
    struct writer w = { 0 };
    size_t        i, n;
    yyjson_val   *item, *messages;
    enum err      e = OK;

    buf_init(&w.b, rq->arena, SIZE_MAX / 2); /* the items had their ceiling */
    buf_init(&w.reasoning, rq->arena, SIZE_MAX / 2);
    buf_add_char(&w.b, '[');
    if (instructions.len) {
        message_begin(&w, S("system"));
        buf_add(&w.b, S(",\"content\":"));
        json_add_str(&w.b, instructions);
        buf_add_char(&w.b, '}');
    }
    yyjson_arr_foreach(items, i, n, item)
    {
        e = add_item(rq, &w, item);
        if (e)
            return e;
    }
    message_end(&w);
    buf_add_char(&w.b, ']');
    messages = json_parse_copy(rq->arena, buf_str(&w.b));
    if (yyjson_arr_size(messages) == 0)
        return fail_messages_empty(&rq->fault); /* REF: E037 */
    return chat_read_messages(rq, messages, CHAT_CONTENT_OPENAI, S("input"), in);
}

/* ---- items as they are stored ---- */

str responses_item_id(struct arena *a)
{
    char *text = arena_bytes(a, 4 + UUID_LEN + 1);

    memcpy(text, "msg_", 4);
    rand_uuid(text + 4, '4');
    return str_of(text, 4 + UUID_LEN);
}

struct member {
    str name, text;
};

static int member_cmp(const void *a, const void *b)
{
    return str_cmp(((const struct member *)a)->name, ((const struct member *)b)->name);
}

/* A message's text as the one part that it is. */
static str content_text(struct arena *a, yyjson_val *content, bool assistant)
{
    struct buf b;

    if (!yyjson_is_str(content))
        return json_text(a, content);
    buf_init(&b, a, SIZE_MAX / 2);
    buf_add(&b, assistant ? S("[{\"annotations\":[],\"text\":") : S("[{\"text\":"));
    json_add_str(&b, json_str(content));
    buf_add(&b, assistant ? S(",\"type\":\"output_text\"}]") : S(",\"type\":\"input_text\"}]"));
    return buf_str(&b);
}

str responses_item_text(struct arena *a, yyjson_val *item, str *ret_id)
{
    struct member  *m = arena_array(a, struct member, yyjson_obj_size(item) + 3);
    size_t          count = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(item);
    yyjson_val     *key;
    str             type = json_str(json_get(item, "type"));
    bool            assistant = str_eq(json_str(json_get(item, "role")), S("assistant"));
    bool            message = !type.len || str_eq(type, S("message"));
    struct buf      b;

    *ret_id = json_str(json_get(item, "id"));
    while ((key = yyjson_obj_iter_next(&it))) {
        yyjson_val *v = yyjson_obj_iter_get_val(key);
        str         name = json_str(key);

        if (str_eq(name, S("id")) || str_eq(name, S("type")) || (message && str_eq(name, S("status"))))
            continue;
        m[count++] = (struct member){ name, message && str_eq(name, S("content")) ? content_text(a, v, assistant)
                                                                                  : json_text(a, v) };
    }
    if (!ret_id->len)
        *ret_id = responses_item_id(a);
    buf_init(&b, a, SIZE_MAX / 2);
    json_add_str(&b, *ret_id);
    m[count++] = (struct member){ S("id"), arena_str(a, buf_str(&b)) };
    if (message) {
        m[count++] = (struct member){ S("status"), S("\"completed\"") };
        m[count++] = (struct member){ S("type"), S("\"message\"") };
    } else {
        m[count++] = (struct member){ S("type"), json_text(a, json_get(item, "type")) };
    }
    qsort(m, count, sizeof(*m), member_cmp);
    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(&b, i ? ',' : '{');
        json_add_str(&b, m[i].name);
        buf_add_char(&b, ':');
        buf_add(&b, m[i].text);
    }
    buf_add_char(&b, '}');
    return buf_str(&b);
}
