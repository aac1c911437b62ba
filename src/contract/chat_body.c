/* chat_body.c - reads what a chat body holds beyond plain parameters.
 *
 * Spec: chat.md §3.2, §3.3, §3.8, §3.9, §6.1, §9.4-9.8.
 */
#include "contract/chat_body.h"

#include "contract/chat_content.h"

#define TOOL_CALLS_MAX 128 /* of one message: their answers are looked up one by one */

/* ---- names ---- */

#define ROLE_NAME(name, text) [name] = { "" text, sizeof(text) - 1 },
static const str role_names[] = { CHAT_ROLES(ROLE_NAME) };
#undef ROLE_NAME

#define FINISH_NAME(name, text) [name] = { "" text, sizeof(text) - 1 },
static const str finish_names[] = { CHAT_FINISHES(FINISH_NAME) };
#undef FINISH_NAME

str chat_role_name(enum chat_role role)
{
    ASSERT((size_t)role < ARRAY_LEN(role_names));
    return role_names[role];
}

bool chat_role_parse(str name, enum chat_role *ret)
{
    if (str_eq(name, S("developer")))
        name = S("system");
    for (size_t i = 0; i < ARRAY_LEN(role_names); i++) {
        if (str_eq(role_names[i], name)) {
            *ret = (enum chat_role)i;
            return true;
        }
    }
    return false;
}

str chat_finish_name(enum chat_finish f)
{
    ASSERT((size_t)f < ARRAY_LEN(finish_names));
    return finish_names[f];
}

bool chat_finish_parse(str name, enum chat_finish *ret)
{
    for (size_t i = 1; i < ARRAY_LEN(finish_names); i++) {
        if (str_eq(finish_names[i], name)) {
            *ret = (enum chat_finish)i;
            return true;
        }
    }
    return false;
}

/* ---- messages ---- */

/* Whether the text is one JSON value. */
static bool is_json(struct request *rq, str text)
{
    return json_parse_copy(rq->arena, text) != NULL;
}

static enum err read_tool_calls(struct request *rq, yyjson_val *calls, struct chat_message *m)
{
    size_t      i, n;
    yyjson_val *call;

    if (!yyjson_is_arr(calls) || yyjson_arr_size(calls) > TOOL_CALLS_MAX)
        return fail_parameter_missing_named(&rq->fault, S("tool_calls"));
    m->tool_call_count = yyjson_arr_size(calls);
    m->tool_calls = arena_array(rq->arena, struct chat_tool_call, m->tool_call_count);
    yyjson_arr_foreach(calls, i, n, call)
    {
        yyjson_val            *function = json_get(call, "function");
        struct chat_tool_call *out = &m->tool_calls[i];

        out->id = json_str(json_get(call, "id"));
        out->name = json_str(json_get(function, "name"));
        out->arguments = json_str(json_get(function, "arguments"));
        if (!yyjson_is_obj(function) || !out->name.len)
            return fail_parameter_missing_named(&rq->fault, S("tool_calls.function.name"));
        if (!is_json(rq, out->arguments))
            return fail_tool_arguments_not_json(&rq->fault);
    }
    return OK;
}

static enum err read_message(struct request *rq, yyjson_val *v, enum chat_content_form form, str where, size_t at,
                             const struct chat_input *in, struct chat_message *m)
{
    yyjson_val *content, *calls;
    enum err    e;

    if (!yyjson_is_obj(v) || !yyjson_is_str(json_get(v, "role")))
        return fail_message_not_object(&rq->fault); /* REF: E042 */
    if (!chat_role_parse(json_str(json_get(v, "role")), &m->role)) {
        /* REF: E176: the older models know two roles and say so; the others name all six. */
        if (in->model->thinking == MODEL_THINKING_NONE && !in->model->can_tools && form != CHAT_CONTENT_OPENAI)
            return fail_message_role_or_empty(&rq->fault);
        return fail_message_role_invalid(&rq->fault);
    }
    m->name = json_str(json_get(v, "name"));
    m->tool_call_id = json_str(json_get(v, "tool_call_id"));
    m->reasoning = json_str(json_get(v, "reasoning_content"));
    m->cache = chat_is_cache_mark(v);
    m->partial = m->role == CHAT_ASSISTANT && yyjson_is_true(json_get(v, "partial"));
    calls = m->role == CHAT_ASSISTANT ? json_get(v, "tool_calls") : NULL;
    if (calls) {
        e = read_tool_calls(rq, calls, m);
        if (e)
            return e;
    }
    content = json_get(v, "content");
    if (!content)
        return m->tool_call_count ? OK : fail_content_missing(&rq->fault); /* REF: E021 */
    return chat_read_content(rq, content, form, where, at, in, m);
}

enum err chat_read_messages(struct request *rq, yyjson_val *messages, enum chat_content_form form, str where,
                            struct chat_input *in)
{
    size_t      i, n;
    yyjson_val *v;

    if (!yyjson_is_arr(messages))
        return fail_parameter_missing_named(&rq->fault, S("messages"));
    in->message_count = yyjson_arr_size(messages);
    in->messages = arena_array(rq->arena, struct chat_message, in->message_count);
    yyjson_arr_foreach(messages, i, n, v)
    {
        enum err e = read_message(rq, v, form, where, i, in, &in->messages[i]);

        if (e)
            return e;
    }
    return OK;
}

enum err chat_read_prompt(struct request *rq, yyjson_val *prompt, yyjson_val *history, struct chat_input *in)
{
    size_t               turns = yyjson_is_arr(history) ? yyjson_arr_size(history) : 0, i, n;
    yyjson_val          *turn;
    struct chat_message *m;

    if (prompt && !yyjson_is_str(prompt))
        return fail_string_expected(&rq->fault, S("input.prompt"));
    m = in->messages = arena_array(rq->arena, struct chat_message, 2 * turns + 1);
    yyjson_arr_foreach(history, i, n, turn)
    {
        yyjson_val *user = json_get(turn, "user"), *bot = json_get(turn, "bot");

        if (yyjson_is_str(user))
            *m++ = (struct chat_message){ .role = CHAT_USER, .content = json_str(user) };
        if (yyjson_is_str(bot))
            *m++ = (struct chat_message){ .role = CHAT_ASSISTANT, .content = json_str(bot) };
    }
    *m++ = (struct chat_message){ .role = CHAT_USER, .content = json_str(prompt) };
    in->message_count = (size_t)(m - in->messages);
    return OK;
}

/* ---- parameters that do not fit the columns of data/params/chat.txt ---- */

enum err chat_read_stream(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;

    if (!yyjson_is_bool(v))
        return param_refuse_type(rq, p, v, in->model);
    in->stream = yyjson_get_bool(v);
    return OK;
}

enum err chat_read_stream_options(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    yyjson_val        *usage = json_get(v, "include_usage");

    if (!yyjson_is_obj(v) || (usage && !yyjson_is_bool(usage)))
        return param_refuse_type(rq, p, v, in->model);
    if (!in->stream)
        return fail_stream_options_without_stream(&rq->fault);
    in->include_usage = yyjson_is_true(usage);
    return OK;
}

enum err chat_read_clear_thinking(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;

    if (!yyjson_is_bool(v))
        return param_refuse_type(rq, p, v, in->model);
    if (!in->preserve_thinking.set)
        in->preserve_thinking = (opt_bool){ .v = !yyjson_get_bool(v), .set = true };
    return OK;
}

enum err chat_read_template_kwargs(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    yyjson_val        *thinking = json_get(v, "enable_thinking");

    (void)rq, (void)p;
    if (yyjson_is_bool(thinking) && !in->enable_thinking.set)
        in->enable_thinking = (opt_bool){ .v = yyjson_get_bool(thinking), .set = true };
    return OK;
}

/* A token id of the vocabulary is a whole number that 32 bits hold. */
static bool token_id(yyjson_val *v, uint32_t *ret)
{
    int64_t id;

    if (!yyjson_is_int(v) || !json_to_i64(v, &id) || id < 0 || id > UINT32_MAX)
        return false;
    *ret = (uint32_t)id;
    return true;
}

/* One item of `stop`: an id, or a row of them. */
static bool read_stop_ids(struct arena *a, yyjson_val *v, struct chat_stop_ids *ret)
{
    bool        row = yyjson_is_arr(v);
    uint32_t   *ids = arena_array(a, uint32_t, row ? yyjson_arr_size(v) : 1);
    size_t      i, n;
    yyjson_val *id;

    *ret = (struct chat_stop_ids){ .ids = ids, .count = row ? yyjson_arr_size(v) : 1 };
    if (!row)
        return token_id(v, ids);
    yyjson_arr_foreach(v, i, n, id)
    {
        if (!token_id(id, &ids[i]))
            return false;
    }
    return true;
}

/* REF: E035: a string, or an array of strings, of integers, or of arrays of integers, all of one kind. */
enum err chat_read_stop(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    yyjson_val        *first = yyjson_arr_get_first(v), *item;
    size_t             i, n;

    in->stop_raw = v;
    if (yyjson_is_str(v)) {
        in->stop = arena_new(rq->arena, str);
        in->stop[0] = json_str(v);
        in->stop_count = in->stop[0].len > 0;
        return OK;
    }
    if (!yyjson_is_arr(v))
        return param_refuse_type(rq, p, v, in->model);
    if (yyjson_is_str(first))
        in->stop = arena_array(rq->arena, str, yyjson_arr_size(v));
    else
        in->stop_ids = arena_array(rq->arena, struct chat_stop_ids, yyjson_arr_size(v));
    yyjson_arr_foreach(v, i, n, item)
    {
        if (yyjson_get_type(item) != yyjson_get_type(first))
            return param_refuse_type(rq, p, v, in->model);
        if (!yyjson_is_str(first)) {
            if (!read_stop_ids(rq->arena, item, &in->stop_ids[in->stop_ids_count++]))
                return param_refuse_type(rq, p, v, in->model);
        } else if (yyjson_get_len(item)) {
            in->stop[in->stop_count++] = json_str(item);
        }
    }
    return OK;
}

enum err chat_read_logit_bias(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    size_t             i, n;
    yyjson_val        *key, *bias;

    if (!in->model->can_logit_bias)
        return OK;
    if (!yyjson_is_obj(v))
        return param_refuse_type(rq, p, v, in->model);
    yyjson_obj_foreach(v, i, n, key, bias)
    {
        int64_t id;

        if (!str_to_i64(json_str(key), &id) || id < 0 || id > UINT32_MAX || !yyjson_is_num(bias))
            return param_refuse_type(rq, p, v, in->model);
        if (yyjson_get_num(bias) < -CHAT_LOGIT_BIAS_MAX || yyjson_get_num(bias) > CHAT_LOGIT_BIAS_MAX)
            return param_refuse_range(rq, p, v, in->model);
    }
    in->logit_bias = v;
    return OK;
}

/* chat.md §3.10. Members that nobody knows are ignored, as the service does with all unknown names. */
enum err chat_read_search_options(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input  *in = into;
    struct chat_search *s = &in->search;
    const struct {
        const char *name;
        bool       *into;
    } flags[] = { { "forced_search", &s->forced },
                  { "enable_source", &s->source },
                  { "enable_citation", &s->citation },
                  { "enable_search_extension", &s->extension },
                  { "prepend_search_result", &s->prepend } };

    if (!yyjson_is_obj(v))
        return param_refuse_type(rq, p, v, in->model);
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        yyjson_val *flag = json_get(v, flags[i].name);

        if (flag && !yyjson_is_bool(flag))
            return fail_parameter_missing_named(&rq->fault, str_from_cstr(flags[i].name));
        *flags[i].into = yyjson_is_true(flag);
    }
    in->search_options = v;
    s->strategy = json_str(json_get(v, "search_strategy"));
    s->citation_ref = str_eq(json_str(json_get(v, "citation_format")), S("[ref_<number>]"));
    return OK;
}

enum err chat_read_response_format(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    str                type = json_str(json_get(v, "type"));

    (void)p;
    in->format_raw = v;
    if (str_eq(type, S("text"))) {
        in->format = CHAT_FORMAT_TEXT;
    } else if (str_eq(type, S("json_object"))) {
        in->format = CHAT_FORMAT_JSON_OBJECT;
    } else if (str_eq(type, S("json_schema")) && yyjson_is_obj(json_get(v, "json_schema"))) {
        in->format = CHAT_FORMAT_JSON_SCHEMA;
        in->format_schema = json_get(json_get(v, "json_schema"), "schema");
    } else {
        /* REF: E027 quotes what was sent: the type, or the whole value when it has none. */
        str sent = type.ptr ? type : yyjson_is_str(v) ? json_str(v) : json_text(rq->arena, v);

        return fail_response_format_invalid(&rq->fault, sent);
    }
    return OK;
}

/* Whether a tool's parameters can be a JSON schema, as far as the top level shows. */
static bool schema_ok(yyjson_val *schema)
{
    static const str types[] = { S("object"),  S("array"),   S("string"), S("number"),
                                 S("integer"), S("boolean"), S("null") };
    yyjson_val      *type = json_get(schema, "type"), *properties = json_get(schema, "properties");

    if (!yyjson_is_obj(schema) || yyjson_obj_size(schema) == 0 || (properties && !yyjson_is_obj(properties)))
        return false;
    if (!type || yyjson_is_arr(type))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (str_eq(types[i], json_str(type)))
            return true;
    }
    return false;
}

enum err chat_check_tool(struct request *rq, str name, str where, yyjson_val *schema)
{
    if (!param_name_ok(&chat_tool_name, name))
        return fail_parameter_missing_named(&rq->fault, where);
    if (param_name_reserved(&chat_tool_name, name))
        return fail_tool_name_reserved(&rq->fault); /* REF: E026 */
    return schema && !schema_ok(schema) ? fail_tool_schema_invalid(&rq->fault, name) : OK;
}

enum err chat_read_tools(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    size_t             i, n;
    yyjson_val        *item;

    if (!yyjson_is_arr(v))
        return param_refuse_type(rq, p, v, in->model);
    in->tool_count = yyjson_arr_size(v);
    in->tools = arena_array(rq->arena, struct chat_tool, in->tool_count);
    yyjson_arr_foreach(v, i, n, item)
    {
        yyjson_val       *function = json_get(item, "function"), *parameters = json_get(function, "parameters");
        struct chat_tool *t = &in->tools[i];
        enum err          e;

        t->raw = item;
        t->cache = chat_is_cache_mark(item);
        t->name = json_str(json_get(function, "name"));
        t->description = json_str(json_get(function, "description"));
        if (!yyjson_is_obj(function))
            return param_refuse_type(rq, p, v, in->model);
        e = chat_check_tool(rq, t->name, S("tools.function.name"), parameters);
        if (e)
            return e;
        t->parameters = parameters;
        t->text = json_text(rq->arena, item);
    }
    return OK;
}

enum err chat_read_tool_choice(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    str                word = json_str(v);

    if (str_eq(word, S("auto"))) {
        in->tool_choice = CHAT_TOOLS_AUTO;
    } else if (str_eq(word, S("none"))) {
        in->tool_choice = CHAT_TOOLS_NONE;
    } else if (str_eq(word, S("required")) && in->model->can_required) {
        in->tool_choice = CHAT_TOOLS_REQUIRED;
    } else if (str_eq(json_str(json_get(v, "type")), S("function"))) {
        in->tool_choice = CHAT_TOOLS_NAMED;
        in->tool_choice_name = json_str(json_get(json_get(v, "function"), "name"));
        for (size_t i = 0; i < in->tool_count; i++) {
            if (str_eq(in->tools[i].name, in->tool_choice_name))
                return OK;
        }
        return param_refuse_type(rq, p, v, in->model);
    } else {
        return param_refuse_type(rq, p, v, in->model); /* REF: E030 */
    }
    return OK;
}

enum err chat_read_modalities(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    size_t             i, n;
    yyjson_val        *item;

    if (!yyjson_is_arr(v))
        return param_refuse_type(rq, p, v, in->model);
    yyjson_arr_foreach(v, i, n, item)
    {
        if (str_eq(json_str(item), S("audio")))
            in->audio_out = true;
        else if (!str_eq(json_str(item), S("text")))
            return param_refuse_type(rq, p, v, in->model);
    }
    return OK;
}

#define VOICES_MAX 128

/* The voices of "Cherry, Li Cassian, Mia". */
static size_t split_voices(str text, str voices[VOICES_MAX])
{
    size_t n = 0;

    while (text.len && n < VOICES_MAX)
        voices[n++] = str_trim(str_cut(&text, ','));
    return n;
}

enum err chat_read_audio(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    str                voices[VOICES_MAX];
    size_t             count;

    if (!yyjson_is_obj(v))
        return param_refuse_type(rq, p, v, in->model);
    if (rq->surface == SURFACE_OPENAI) {
        enum err e = params_read(rq, &chat_params_openai_audio, v, in->model, in);

        if (e)
            return e;
    }
    in->voice = json_str(json_get(v, "voice"));
    count = split_voices(in->model->audio_voices, voices);
    if (count == 0 || !json_get(v, "voice"))
        return OK;
    for (size_t i = 0; i < count; i++) {
        if (str_eq(voices[i], in->voice))
            return OK;
    }
    if (in->model->voice_refusal == MODEL_VOICE_OTHER)
        return fail_voice_unsupported(&rq->fault, in->voice);                            /* REF: E098 */
    return fail_omni_voice_invalid(&rq->fault, param_choices(rq->arena, voices, count)); /* REF: E046 */
}

/* chat.md §5.8: a list of {"type", "mode", "template_id"}. */
enum err chat_read_skill(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct chat_input *in = into;
    size_t             i, n;
    yyjson_val        *skill;

    if (!yyjson_is_arr(v))
        return param_refuse_type(rq, p, v, in->model);
    yyjson_arr_foreach(v, i, n, skill)
    {
        if (!yyjson_is_str(json_get(skill, "type")))
            return fail_field_required(&rq->fault, arena_printf(rq->arena, "parameters.skill.%zu.type", i));
    }
    in->skill = yyjson_arr_size(v) ? v : NULL;
    return OK;
}
