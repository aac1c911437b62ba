/* training_line.c - one line of a training file. Spec: platform.md §6.2. */
#include "contract/training_line.h"

#include "contract/json.h"
#include "contract/tuning_params.gen.h"

#include <stdarg.h>
#include <stdio.h>

#define CALLS_MAX 128 /* of one conversation; what is behind them is taken on trust */

enum role { ROLE_SYSTEM, ROLE_USER, ROLE_ASSISTANT, ROLE_TOOL, ROLE_NONE };

struct reader {
    struct arena         *arena;
    struct training_line *line;
    size_t                text_cap, file_cap;
    str                   calls[CALLS_MAX]; /* ids that a result may answer */
    size_t                call_count;
};

/* Says what is wrong, once; false for the caller to return. */
static bool PRINTF_LIKE(2, 3) wrong(struct reader *r, const char *fmt, ...)
{
    char    text[512];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    r->line->reason = arena_str(r->arena, str_from_cstr(text));
    return false;
}

static void add(struct arena *a, str **list, size_t *count, size_t *cap, str s)
{
    if (*count == *cap) {
        *list = arena_realloc(a, *list, *cap * sizeof(str), (*cap * 2 + 8) * sizeof(str));
        *cap = *cap * 2 + 8;
    }
    (*list)[(*count)++] = s;
}

static void add_text(struct reader *r, str s)
{
    if (s.len)
        add(r->arena, &r->line->texts, &r->line->text_count, &r->text_cap, s);
}

/* What a peer wrote, short enough to be shown. */
static str shown(str s)
{
    return str_first(s, 40);
}

static enum role role_of(str name)
{
    str words = TUNING_ROLES;

    for (enum role role = ROLE_SYSTEM; role < ROLE_NONE; role++) {
        if (str_eq(str_cut(&words, ' '), name))
            return role;
    }
    return ROLE_NONE;
}

/* ---- content ---- */

static bool read_part(struct reader *r, const char *at, size_t i, yyjson_val *part, bool *some)
{
    yyjson_val *text = json_get(part, "text");
    str         media = TUNING_MEDIA;

    if (!yyjson_is_obj(part))
        return wrong(r, "%s.content[%zu] is no object", at, i);
    if (text) {
        if (!yyjson_is_str(text))
            return wrong(r, "%s.content[%zu].text is no text", at, i);
        *some = *some || json_str(text).len;
        add_text(r, json_str(text));
        return true;
    }
    while (media.len) {
        str         name = str_cut(&media, ' ');
        yyjson_val *file = yyjson_obj_getn(part, name.ptr, name.len);

        if (!file)
            continue;
        if (!json_str(file).len)
            return wrong(r, "%s.content[%zu].%.*s names no file", at, i, STR_ARG(name));
        *some = true;
        add(r->arena, &r->line->files, &r->line->file_count, &r->file_cap, json_str(file));
        return true;
    }
    return wrong(r, "%s.content[%zu] has neither a text nor a file", at, i);
}

/* Empty content is for answers that call tools alone. */
static bool read_content(struct reader *r, const char *at, yyjson_val *m, bool may_be_empty)
{
    yyjson_val *content = json_get(m, "content"), *part;
    bool        some = json_str(content).len > 0;
    size_t      i, n;

    if (content && !yyjson_is_str(content) && !yyjson_is_arr(content))
        return wrong(r, "%s.content is neither a text nor a list of parts", at);
    add_text(r, json_str(content));
    yyjson_arr_foreach(content, i, n, part)
    {
        if (!read_part(r, at, i, part, &some))
            return false;
    }
    return some || may_be_empty || wrong(r, content ? "%s.content is empty" : "%s has no content", at);
}

/* ---- tools ---- */

static bool read_call(struct reader *r, const char *at, size_t i, yyjson_val *call)
{
    yyjson_val *function = json_get(call, "function"), *arguments = json_get(function, "arguments");
    str name = json_str(json_get(function, "name")), id = json_str(json_get(call, "id")), text = json_str(arguments);

    if (!name.len)
        return wrong(r, "%s.tool_calls[%zu].function.name is missing", at, i);
    if (arguments && !yyjson_is_obj(arguments) && !yyjson_is_obj(json_parse_copy(r->arena, text)))
        return wrong(r, "%s.tool_calls[%zu].function.arguments is no JSON object", at, i);
    if (id.len && r->call_count < CALLS_MAX)
        r->calls[r->call_count++] = id;
    add_text(r, name);
    add_text(r, yyjson_is_obj(arguments) ? json_text(r->arena, arguments) : text);
    return true;
}

static bool read_calls(struct reader *r, const char *at, yyjson_val *calls)
{
    yyjson_val *call;
    size_t      i, n;

    if (calls && (!yyjson_is_arr(calls) || !yyjson_arr_size(calls)))
        return wrong(r, "%s.tool_calls is no list of calls", at);
    yyjson_arr_foreach(calls, i, n, call)
    {
        if (!read_call(r, at, i, call))
            return false;
    }
    return true;
}

/* A result answers a call that stands before it; one without an id answers the last. */
static bool read_result(struct reader *r, const char *at, yyjson_val *m)
{
    str id = json_str(json_get(m, "tool_call_id"));

    if (!id.len)
        return r->call_count || wrong(r, "%s is a tool's result, and no call stands before it", at);
    for (size_t i = 0; i < r->call_count; i++) {
        if (str_eq(r->calls[i], id))
            return true;
    }
    return r->call_count == CALLS_MAX ||
           wrong(r, "%s.tool_call_id \"%.*s\" is of no call before it", at, STR_ARG(shown(id)));
}

static bool read_tools(struct reader *r, yyjson_val *tools)
{
    yyjson_val *tool;
    size_t      i, n;

    if (tools && !yyjson_is_arr(tools))
        return wrong(r, "tools is no list");
    yyjson_arr_foreach(tools, i, n, tool)
    {
        if (!json_str(json_get(json_get(tool, "function"), "name")).len)
            return wrong(r, "tools[%zu].function.name is missing", i);
        add_text(r, json_text(r->arena, tool));
    }
    return true;
}

/* ---- messages ---- */

static bool read_answer(struct reader *r, const char *at, yyjson_val *m)
{
    yyjson_val *calls = json_get(m, "tool_calls"), *reasoning = json_get(m, "reasoning_content");
    yyjson_val *weight = json_get(m, "loss_weight");
    double      v = 0;

    if (reasoning && !yyjson_is_str(reasoning))
        return wrong(r, "%s.reasoning_content is no text", at);
    if (weight && (!json_to_num(weight, &v) || v < 0 || v > 1))
        return wrong(r, "%s.loss_weight is no number from 0 to 1", at);
    add_text(r, json_str(reasoning));
    return read_content(r, at, m, calls != NULL) && read_calls(r, at, calls);
}

static bool read_message(struct reader *r, size_t i, yyjson_val *m, enum role before, enum role *ret)
{
    char at[40];
    str  name = json_str(json_get(m, "role"));

    (void)snprintf(at, sizeof(at), "messages[%zu]", i);
    if (!yyjson_is_obj(m))
        return wrong(r, "%s is no object", at);
    *ret = role_of(name);
    if (!name.len)
        return wrong(r, "%s has no role", at);
    if (*ret == ROLE_NONE)
        return wrong(r, "%s.role \"%.*s\" is none of: %.*s", at, STR_ARG(shown(name)), STR_ARG(TUNING_ROLES));
    if (*ret == ROLE_SYSTEM && i > 0)
        return wrong(r, "%s is a system message, and not the first", at);
    if (*ret != ROLE_SYSTEM && *ret != ROLE_USER && (before == ROLE_SYSTEM || before == ROLE_NONE))
        return wrong(r, "%s is the first message to the model, and not the user's", at);
    if (*ret != ROLE_ASSISTANT && json_get(m, "tool_calls"))
        return wrong(r, "%s calls tools, and is no answer", at);
    r->line->message_count++;
    if (*ret == ROLE_ASSISTANT)
        return read_answer(r, at, m);
    return (*ret != ROLE_TOOL || read_result(r, at, m)) && read_content(r, at, m, false);
}

/* *ret_last is the role of the last one. */
static bool read_messages(struct reader *r, yyjson_val *root, enum role *ret_last)
{
    yyjson_val *messages = json_get(root, "messages"), *m;
    size_t      i, n;

    *ret_last = ROLE_NONE;
    if (!messages)
        return wrong(r, "messages is missing");
    if (!yyjson_is_arr(messages) || !yyjson_arr_size(messages))
        return wrong(r, "messages is no list of messages");
    yyjson_arr_foreach(messages, i, n, m)
    {
        if (!read_message(r, i, m, *ret_last, ret_last))
            return false;
    }
    return read_tools(r, json_get(root, "tools"));
}

static bool read_choice(struct reader *r, yyjson_val *root, const char *name)
{
    yyjson_val *m = json_get(root, name);

    if (!m)
        return wrong(r, "%s is missing", name);
    if (!yyjson_is_obj(m))
        return wrong(r, "%s is no message", name);
    if (role_of(json_str(json_get(m, "role"))) != ROLE_ASSISTANT)
        return wrong(r, "%s.role is not the assistant's", name);
    r->line->message_count++;
    return read_answer(r, name, m);
}

static bool read_sft(struct reader *r, yyjson_val *root)
{
    enum role last;

    return read_messages(r, root, &last) &&
           (last == ROLE_ASSISTANT || wrong(r, "the last message is not the assistant's"));
}

static bool read_dpo(struct reader *r, yyjson_val *root)
{
    enum role last;

    if (!read_messages(r, root, &last))
        return false;
    if (last == ROLE_ASSISTANT || last == ROLE_SYSTEM)
        return wrong(r, "the last message is not one to be answered");
    if (!read_choice(r, root, "chosen") || !read_choice(r, root, "rejected"))
        return false;
    return !yyjson_equals(json_get(root, "chosen"), json_get(root, "rejected")) ||
           wrong(r, "chosen and rejected are the same");
}

static bool read_cpt(struct reader *r, yyjson_val *root)
{
    yyjson_val *text = json_get(root, "text");

    if (!text)
        return wrong(r, "text is missing");
    if (!str_trim(json_str(text)).len)
        return wrong(r, yyjson_is_str(text) ? "text is empty" : "text is no text");
    add_text(r, json_str(text));
    return true;
}

void training_line_read(struct arena *a, enum training_kind kind, str line, struct training_line *ret)
{
    struct reader *r = arena_new(a, struct reader);
    yyjson_val    *root = json_parse_copy(a, line);

    *ret = (struct training_line){ 0 };
    r->arena = a;
    r->line = ret;
    if (!root)
        (void)wrong(r, "it is no JSON in UTF-8");
    else if (!yyjson_is_obj(root))
        (void)wrong(r, "it is no JSON object");
    else if (kind == TRAINING_SFT)
        (void)read_sft(r, root);
    else if (kind == TRAINING_DPO)
        (void)read_dpo(r, root);
    else
        (void)read_cpt(r, root);
}
