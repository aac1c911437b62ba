/* app_body.c - reads the body of a call of an application. */
#include "contract/app_body.h"

#include "contract/apps_params.gen.h"
#include "contract/chat_body.h"
#include "contract/chat_content.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/knowledge_params.gen.h"

#define IMAGES_MAX 100

/* What asks for nothing is none. */
static bool is_nothing(yyjson_val *v)
{
    return yyjson_is_false(v) || (yyjson_is_ctn(v) && !yyjson_get_len(v)) || (yyjson_is_str(v) && !yyjson_get_len(v));
}

enum err apps_read_unserved(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    (void)into;
    return is_nothing(v) ? OK : fail_app_parameter_unserved(&rq->fault, p->name); /* REF: D004 */
}

/* ---- knowledge bases ---- */

/* A list of at most `most` texts that are not empty. */
static bool read_ids(struct request *rq, yyjson_val *list, size_t most, str **ret, size_t *ret_count)
{
    size_t      i, n;
    yyjson_val *one;

    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > most)
        return false;
    *ret = arena_array(rq->arena, str, yyjson_arr_size(list));
    *ret_count = 0;
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!json_str(one).len)
            return false;
        (*ret)[(*ret_count)++] = json_str(one);
    }
    return true;
}

static enum err refuse_rag(struct request *rq, const char *name)
{
    return fail_parameter_missing_named(&rq->fault, arena_printf(rq->arena, "parameters.rag_options.%s", name));
}

/* REF: E039 (platform.md §4.3). */
enum err apps_read_rag_options(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct apps_rag *rag = &((struct apps_input *)into)->rag;
    yyjson_val *files = json_get(v, "file_ids"), *tags = json_get(v, "tags"), *details = json_get(v, "metadata_filter"),
               *values = json_get(v, "structured_filter"), *session = json_get(v, "session_file_ids");

    if (is_nothing(v))
        return OK;
    if (!yyjson_is_obj(v))
        return fail_parameter_missing_named(&rq->fault, S("parameters.rag_options"));
    if (!read_ids(rq, json_get(v, "pipeline_ids"), APPS_BASES_MAX, &rag->bases, &rag->base_count) || !rag->base_count)
        return refuse_rag(rq, "pipeline_ids");
    if (files && (!yyjson_is_arr(files) || yyjson_arr_size(files) > KNOWLEDGE_FILES_MAX ||
                  !knowledge_filter_add_list(rq->arena, &rag->filter, KNOWLEDGE_BY_FILE, files)))
        return refuse_rag(rq, "file_ids");
    if (details && !knowledge_filter_add(rq->arena, &rag->filter, details))
        return refuse_rag(rq, "metadata_filter");
    if (tags && !knowledge_filter_add_list(rq->arena, &rag->filter, KNOWLEDGE_BY_TAG, tags))
        return refuse_rag(rq, "tags");
    if (values && !knowledge_filter_add(rq->arena, &rag->filter, values))
        return refuse_rag(rq, "structured_filter");
    if (session && !is_nothing(session)) /* REF: D004: they are made with the AccessKey-signed API alone */
        return fail_app_parameter_unserved(&rq->fault, S("rag_options.session_file_ids"));
    (void)p;
    return OK;
}

enum err apps_read_tag_codes(struct request *rq, const struct param *p, yyjson_val *v, void *into)
{
    struct apps_rag *rag = &((struct apps_input *)into)->rag;

    if (is_nothing(v) || knowledge_filter_add_list(rq->arena, &rag->filter, KNOWLEDGE_BY_TAG, v))
        return OK;
    return fail_parameter_missing_named(&rq->fault, arena_printf(rq->arena, "input.%.*s", STR_ARG(p->name)));
}

/* ---- messages ---- */

static enum err read_items(struct request *rq, yyjson_val *items, struct chat_message *m)
{
    size_t      i, n;
    yyjson_val *item;

    m->content_is_array = true;
    m->parts = arena_array(rq->arena, struct chat_part, yyjson_arr_size(items));
    yyjson_arr_foreach(items, i, n, item)
    {
        str               text = json_str(json_get(item, "text")), image = json_str(json_get(item, "image"));
        struct chat_part *p = &m->parts[m->part_count++];

        if (image.len)
            *p = (struct chat_part){ .kind = CHAT_PART_IMAGE, .text = image };
        else if (yyjson_is_str(json_get(item, "text")))
            *p = (struct chat_part){ .kind = CHAT_PART_TEXT, .text = text };
        else
            return fail_content_missing(&rq->fault);
    }
    m->content = chat_parts_text(rq->arena, m->parts, m->part_count);
    return OK;
}

enum err app_read_message(struct request *rq, yyjson_val *v, struct chat_message *ret)
{
    yyjson_val *content = json_get(v, "content");

    *ret = (struct chat_message){ 0 };
    if (!yyjson_is_obj(v) || !yyjson_is_str(json_get(v, "role")))
        return fail_message_not_object(&rq->fault); /* REF: E042 */
    if (!chat_role_parse(json_str(json_get(v, "role")), &ret->role) || ret->role > CHAT_ASSISTANT)
        return fail_message_role_invalid(&rq->fault);
    if (yyjson_is_arr(content))
        return read_items(rq, content, ret);
    if (!yyjson_is_str(content))
        return fail_content_missing(&rq->fault); /* REF: E021 */
    ret->content = json_str(content);
    return OK;
}

static bool has_user(const struct apps_input *in)
{
    for (size_t i = 0; i < in->message_count; i++) {
        if (in->messages[i].role == CHAT_USER)
            return true;
    }
    return false;
}

static enum err read_messages(struct request *rq, yyjson_val *list, struct apps_input *in)
{
    size_t      i, n;
    yyjson_val *one;
    enum err    e;

    if (!yyjson_is_arr(list))
        return fail_parameter_missing_named(&rq->fault, S("input.messages"));
    in->messages = arena_array(rq->arena, struct chat_message, yyjson_arr_size(list));
    yyjson_arr_foreach(list, i, n, one)
    {
        e = app_read_message(rq, one, &in->messages[in->message_count++]);
        if (e)
            return e;
    }
    return has_user(in) ? OK : fail_user_message_missing(&rq->fault); /* REF: E050 */
}

/* The old form: turns of {"user", "bot"}, and the prompt behind them. */
static enum err read_history(struct request *rq, yyjson_val *list, struct apps_input *in)
{
    size_t      i, n;
    yyjson_val *turn;

    if (!yyjson_is_arr(list))
        return fail_parameter_missing_named(&rq->fault, S("input.history"));
    in->messages = arena_array(rq->arena, struct chat_message, 2 * yyjson_arr_size(list) + 1);
    yyjson_arr_foreach(list, i, n, turn)
    {
        str user = json_str(json_get(turn, "user")), bot = json_str(json_get(turn, "bot"));

        if (!user.len || !yyjson_is_obj(turn))
            return fail_parameter_missing_named(&rq->fault, S("input.history.user"));
        in->messages[in->message_count++] = (struct chat_message){ .role = CHAT_USER, .content = user };
        if (bot.len)
            in->messages[in->message_count++] = (struct chat_message){ .role = CHAT_ASSISTANT, .content = bot };
    }
    in->messages[in->message_count++] = (struct chat_message){ .role = CHAT_USER, .content = in->prompt };
    return OK;
}

static enum err read_images(struct request *rq, yyjson_val *list, struct apps_input *in)
{
    size_t      i, n;
    yyjson_val *one;
    enum err    e = OK;

    if (!yyjson_is_arr(list) || yyjson_arr_size(list) > IMAGES_MAX)
        return fail_parameter_missing_named(&rq->fault, S("input.image_list"));
    in->images = arena_array(rq->arena, str, yyjson_arr_size(list));
    yyjson_arr_foreach(list, i, n, one)
    {
        if (!e)
            e = chat_check_media_url(rq, json_str(one));
        in->images[in->image_count++] = json_str(one);
    }
    return e;
}

static enum err read_input(struct request *rq, yyjson_val *input, struct apps_input *in)
{
    yyjson_val *prompt = json_get(input, "prompt"), *messages = json_get(input, "messages"),
               *history = json_get(input, "history"), *images = json_get(input, "image_list");
    enum err e = OK;

    if (!input)
        return fail_input_missing(&rq->fault);
    if (!yyjson_is_obj(input))
        return fail_input_not_object(&rq->fault);
    if (prompt && !yyjson_is_str(prompt))
        return fail_parameter_missing_named(&rq->fault, S("input.prompt"));
    in->prompt = json_str(prompt);
    in->session = json_str(json_get(input, "session_id"));
    in->biz = json_get(input, "biz_params");
    if (in->biz && !yyjson_is_obj(in->biz))
        return fail_parameter_missing_named(&rq->fault, S("input.biz_params"));
    if (messages)
        e = read_messages(rq, messages, in); /* in place of prompt and session */
    else if (!in->prompt.len)
        return fail_prompt_or_messages(&rq->fault);
    else if (history && yyjson_get_len(history))
        e = read_history(rq, history, in);
    if (!e && images)
        e = read_images(rq, images, in);
    if (!e && in->image_count && in->messages)
        e = fail_app_parameter_unserved(&rq->fault, S("image_list with messages"));
    return e ? e : params_read(rq, &apps_params_native_input, input, NULL, in);
}

enum err app_read_body(struct request *rq, yyjson_val *root, struct apps_input *in)
{
    yyjson_val *parameters = json_get(root, "parameters");
    enum err    e = read_input(rq, json_get(root, "input"), in);

    if (e)
        return e;
    if (parameters && !yyjson_is_obj(parameters))
        return fail_parameter_missing_named(&rq->fault, S("parameters"));
    return params_read(rq, &apps_params_native_parameters, parameters, NULL, in);
}

/* ---- OpenAI's responses (platform.md §4.7) ---- */

static enum err read_parts(struct request *rq, yyjson_val *parts, struct chat_message *m)
{
    size_t      i, n;
    yyjson_val *part;

    m->content_is_array = true;
    m->parts = arena_array(rq->arena, struct chat_part, yyjson_arr_size(parts));
    yyjson_arr_foreach(parts, i, n, part)
    {
        str               type = json_str(json_get(part, "type"));
        struct chat_part *p = &m->parts[m->part_count++];

        if (str_eq(type, S("input_text")) || str_eq(type, S("output_text")))
            *p = (struct chat_part){ .kind = CHAT_PART_TEXT, .text = json_str(json_get(part, "text")) };
        else if (str_eq(type, S("input_image")))
            *p = (struct chat_part){ .kind = CHAT_PART_IMAGE, .text = json_str(json_get(part, "image_url")) };
        else
            return fail_app_parameter_unserved(&rq->fault, type.len ? type : S("an item without a type"));
        if (p->kind == CHAT_PART_IMAGE && chat_check_media_url(rq, p->text))
            return ERR_FAULT;
    }
    m->content = chat_parts_text(rq->arena, m->parts, m->part_count);
    return OK;
}

static enum err read_item(struct request *rq, yyjson_val *v, struct chat_message *ret)
{
    str         type = json_str(json_get(v, "type"));
    yyjson_val *content = json_get(v, "content");

    if (type.len && !str_eq(type, S("message")))
        return fail_app_parameter_unserved(&rq->fault, type);
    if (!yyjson_is_arr(content))
        return app_read_message(rq, v, ret);
    *ret = (struct chat_message){ 0 };
    if (!chat_role_parse(json_str(json_get(v, "role")), &ret->role) || ret->role > CHAT_ASSISTANT)
        return fail_message_role_invalid(&rq->fault);
    return read_parts(rq, content, ret);
}

/* What the service says it does not take, and what would change the answer. */
static enum err check_unserved(struct request *rq, yyjson_val *root)
{
    static const char *const names[] = { "previous_response_id", "conversation", "instructions", "tools" };

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        yyjson_val *v = json_get(root, names[i]);

        if (v && !is_nothing(v))
            return fail_app_parameter_unserved(&rq->fault, str_from_cstr(names[i]));
    }
    return OK;
}

enum err app_read_response(struct request *rq, yyjson_val *root, struct apps_input *in, bool *ret_background)
{
    yyjson_val *input = json_get(root, "input"), *one, *background = json_get(root, "background");
    size_t      i, n;
    enum err    e = check_unserved(rq, root);

    if (e)
        return e;
    if ((background && !yyjson_is_bool(background)) ||
        (yyjson_is_true(background) && yyjson_is_true(json_get(root, "stream"))))
        return fail_parameter_missing_named(&rq->fault, S("background"));
    in->biz = json_get(root, "biz_params");
    if (in->biz && !yyjson_is_obj(in->biz))
        return fail_parameter_missing_named(&rq->fault, S("biz_params"));
    if (ret_background)
        *ret_background = yyjson_is_true(background);
    if (yyjson_is_str(input) && yyjson_get_len(input)) {
        in->messages = arena_array(rq->arena, struct chat_message, 1);
        in->messages[in->message_count++] = (struct chat_message){ .role = CHAT_USER, .content = json_str(input) };
        return OK;
    }
    if (!yyjson_is_arr(input) || !yyjson_arr_size(input))
        return fail_parameter_missing_named(&rq->fault, S("input"));
    in->messages = arena_array(rq->arena, struct chat_message, yyjson_arr_size(input));
    yyjson_arr_foreach(input, i, n, one)
    {
        e = read_item(rq, one, &in->messages[in->message_count++]);
        if (e)
            return e;
    }
    return has_user(in) ? OK : fail_user_message_missing(&rq->fault); /* REF: E050 */
}
