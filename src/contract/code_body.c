/* code_body.c - reads the input of the code-generation path. */
#include "contract/code_body.h"

#include "contract/code_params.gen.h"
#include "contract/json.h"
#include "contract/text2sql.h"

#define INSTRUCTION_MAX ((size_t)8 << 20) /* what is attached came in a body with a ceiling */

/* What a chat engine is told. */
static str scene_instruction(enum code_scene scene)
{
    switch (scene) {
    case CODE_SCENE_UNSET:
    case CODE_CUSTOM:
        break;
    case CODE_NL2CODE:
        return S("Write the code that the user asks for.");
    case CODE_CODE2COMMENT:
        return S("Add comments to the code and answer with all of it.");
    case CODE_CODE2EXPLAIN:
        return S("Explain the code.");
    case CODE_COMMIT2MSG:
        return S("Write the commit message of these changes.");
    case CODE_UNITTEST:
        return S("Write unit tests for the code.");
    case CODE_CODEQA:
        return S("Answer the question about the code.");
    case CODE_NL2SQL: /* contract/text2sql.h */
        break;
    }
    return S("You help with programming.");
}

struct code_reader {
    struct request *rq;
    struct buf      told; /* the system message */
    str             question;
    yyjson_val     *meta; /* of the last attachment */
};

static enum err read_message(struct code_reader *r, yyjson_val *message, size_t at)
{
    struct arena *a = r->rq->arena;
    str           role = json_str(json_get(message, "role"));
    yyjson_val   *content = json_get(message, "content"), *meta = json_get(message, "meta");

    if (str_eq(role, S("attachment"))) {
        if (!yyjson_is_obj(meta))
            return fail_field_required(&r->rq->fault, arena_printf(a, "input.message.%zu.meta", at));
        r->meta = meta;
        buf_add_char(&r->told, '\n');
        buf_add(&r->told, json_text(a, meta));
        return OK;
    }
    if (!str_eq(role, S("user")))
        return fail_choice_expected(&r->rq->fault, S("'user' or 'attachment'"),
                                    arena_printf(a, "input.message.%zu.role", at));
    if (!content)
        return fail_content_missing(&r->rq->fault);
    if (!yyjson_is_str(content))
        return fail_string_expected(&r->rq->fault, arena_printf(a, "input.message.%zu.content", at));
    r->question = json_str(content);
    return OK;
}

enum err code_read_input(struct request *rq, yyjson_val *input, struct chat_input *in)
{
    yyjson_val        *messages = json_get(input, "message"), *message;
    struct code_reader r = { .rq = rq };
    struct code_input  code = { 0 };
    size_t             i, n;
    enum err           e = params_read(rq, &code_params_native_input, input, in->model, &code);

    if (e)
        return e;
    if (code.scene == CODE_SCENE_UNSET)
        return fail_field_required(&rq->fault, S("input.scene"));
    if (!messages)
        return fail_field_required(&rq->fault, S("input.message"));
    if (!yyjson_is_arr(messages))
        return fail_list_expected(&rq->fault, S("input.message"));
    buf_init(&r.told, rq->arena, INSTRUCTION_MAX);
    buf_add(&r.told, scene_instruction((enum code_scene)code.scene));
    yyjson_arr_foreach(messages, i, n, message)
    {
        e = read_message(&r, message, i);
        if (e)
            return e;
    }
    if (code.scene == CODE_NL2SQL) {
        e = text2sql_read(rq, r.meta, r.question, in);
        return !e && !r.question.len ? fail_content_missing(&rq->fault) : e;
    }
    if (!r.question.len && !r.meta)
        return fail_content_missing(&rq->fault);
    in->message_count = 2;
    in->messages = arena_array(rq->arena, struct chat_message, in->message_count);
    in->messages[0] = (struct chat_message){ .role = CHAT_SYSTEM, .content = buf_str(&r.told) };
    in->messages[1] = (struct chat_message){ .role = CHAT_USER,
                                             .content = r.question.len ? r.question : json_text(rq->arena, r.meta) };
    return OK;
}
