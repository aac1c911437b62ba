/* ocr.c - reads ocr_options, says them in words, and finds the result in an answer. */
#include "contract/ocr.h"

#include "contract/ocr_params.gen.h"

#define INSTRUCTION_MAX ((size_t)8 << 20) /* the schema came in a body with a ceiling */

yyjson_val *ocr_schema(const struct chat_input *in)
{
    return in->ocr.task == OCR_KEY_INFORMATION_EXTRACTION ? json_get(in->ocr.task_config, "result_schema") : NULL;
}

/* Levels of objects, looked at no deeper than one beyond what is allowed. */
static int object_depth(yyjson_val *v, int most)
{
    int         deepest = 0;
    size_t      i, n;
    yyjson_val *key, *member;

    if (!yyjson_is_obj(v) || most < 0)
        return 0;
    yyjson_obj_foreach(v, i, n, key, member)
    {
        int depth = object_depth(member, most - 1);

        (void)key;
        deepest = depth > deepest ? depth : deepest;
    }
    return deepest + 1;
}

/* A user message without text is asked the default question. With a task the task is the question. */
static void ask_default(struct request *rq, struct chat_input *in)
{
    struct chat_message *last = &in->messages[in->message_count - 1];
    struct chat_part    *parts;

    if (last->role != CHAT_USER || last->content.len || in->ocr.task != OCR_NONE)
        return;
    parts = arena_array(rq->arena, struct chat_part, last->part_count + 1);
    if (last->part_count)
        memcpy(parts, last->parts, last->part_count * sizeof(*parts));
    parts[last->part_count++] = (struct chat_part){ .kind = CHAT_PART_TEXT, .text = OCR_PROMPT };
    last->parts = parts;
    last->content_is_array = true;
    last->content = OCR_PROMPT;
}

enum err ocr_read(struct request *rq, struct chat_input *in)
{
    yyjson_val *schema;
    enum err    e;

    if (in->model->task != MODEL_TASK_OCR_VISION)
        return OK;
    if (in->ocr_options && !yyjson_is_obj(in->ocr_options))
        return fail_field_required(&rq->fault, S("parameters.ocr_options.task"));
    e = params_read(rq, &ocr_params_native_options, in->ocr_options, in->model, &in->ocr);
    if (e)
        return e;
    if (in->ocr_options && in->ocr.task == OCR_NONE)
        return fail_field_required(&rq->fault, S("parameters.ocr_options.task"));
    if (in->ocr.task_config && !yyjson_is_obj(in->ocr.task_config))
        return fail_schema_depth(&rq->fault, OCR_SCHEMA_DEPTH);
    schema = ocr_schema(in);
    if (schema && (!yyjson_is_obj(schema) || object_depth(schema, OCR_SCHEMA_DEPTH) > OCR_SCHEMA_DEPTH))
        return fail_schema_depth(&rq->fault, OCR_SCHEMA_DEPTH);
    ask_default(rq, in);
    if (!in->max_tokens.set && in->model->output_max)
        in->max_tokens = (opt_int){ .v = in->model->output_max, .set = true };
    return OK;
}

/* ---- for engines without ocr_options ---- */

str ocr_instruction(struct arena *a, const struct ocr_input *o)
{
    struct buf  b;
    yyjson_val *schema = json_get(o->task_config, "result_schema");

    buf_init(&b, a, INSTRUCTION_MAX);
    switch ((enum ocr_task)o->task) {
    case OCR_NONE:
        break;
    case OCR_TEXT_RECOGNITION:
    case OCR_MULTI_LAN:
        buf_add(&b, OCR_PROMPT);
        break;
    case OCR_KEY_INFORMATION_EXTRACTION:
        buf_add(&b, S("Extract the key information of the image as one JSON object and answer with that alone."));
        if (schema) {
            buf_add(
                &b,
                S(" It has exactly the members of this template, in which each text says what to put in its place: "));
            buf_add(&b, json_text(a, schema));
        }
        break;
    case OCR_DOCUMENT_PARSING:
        buf_add(
            &b,
            S("Transcribe the document in the image as LaTeX: its text, tables and formulas, with nothing changed."));
        break;
    case OCR_TABLE_PARSING:
        buf_add(&b, S("Transcribe the tables in the image as HTML and answer with that alone."));
        break;
    case OCR_FORMULA_RECOGNITION:
        buf_add(&b, S("Transcribe the formulas in the image as LaTeX and answer with that alone."));
        break;
    case OCR_ADVANCED_RECOGNITION:
        buf_add(&b,
                S("Find each line of text in the image and answer with a JSON array alone. Each element is "
                  "{\"rotate_rect\": [cx, cy, width, height, angle], \"location\": [x1, y1, x2, y2, x3, y3, x4, y4], "
                  "\"text\": \"…\"}, in pixels."));
        break;
    }
    return buf_str(&b);
}

/* ---- the answer ---- */

/* The JSON of an answer, with or without a fence around it. */
static yyjson_val *answer_json(struct arena *a, str text)
{
    text = str_trim(text);
    if (str_starts(text, S("```"))) {
        (void)str_cut(&text, '\n');
        text = str_trim(text);
        if (str_ends(text, S("```")))
            text.len -= 3;
    }
    return json_parse_copy(a, str_trim(text));
}

void ocr_add_result(struct buf *b, const struct chat_input *in, str text)
{
    yyjson_val *found, *words;

    if (in->ocr.task != OCR_KEY_INFORMATION_EXTRACTION && in->ocr.task != OCR_ADVANCED_RECOGNITION)
        return;
    found = answer_json(b->arena, text);
    words = yyjson_is_obj(found) ? json_get(found, "words_info") : found;
    if (in->ocr.task == OCR_KEY_INFORMATION_EXTRACTION && yyjson_is_obj(found)) {
        buf_add(b, S("\"ocr_result\":{\"kv_result\":"));
        buf_add(b, json_text(b->arena, found));
        buf_add(b, S("},"));
    } else if (in->ocr.task == OCR_ADVANCED_RECOGNITION && yyjson_is_arr(words)) {
        buf_add(b, S("\"ocr_result\":{\"words_info\":"));
        buf_add(b, json_text(b->arena, words));
        buf_add(b, S("},"));
    }
}
