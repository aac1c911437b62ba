/* fuzz_body.c - any JSON as the body of a chat call: it is read, or refused with a row of the catalogue whose sentence can
 * be written.
 *
 * The first byte chooses the surface and the form of contents, its upper half and the second the model; the rest is the body.
 */
#include "net/http_server.c" /* an exchange without a connection */

#include "contract/anthropic_body.h"
#include "contract/catalog.h"
#include "contract/chat_content.h"
#include "contract/code_body.h"
#include "contract/json.h"
#include "contract/ocr.h"
#include "contract/translation.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(struct arena *a, str text)
{
    uint64_t sum = 0;

    (void)a;
    for (size_t i = 0; i < text.len; i++) /* all of it can be read */
        sum += (unsigned char)text.ptr[i];
    *(volatile uint64_t *)&sum = sum;
}

/* All that was read lies where it can be read. */
static void check_input(struct arena *a, const struct chat_input *in)
{
    for (size_t i = 0; i < in->message_count; i++) {
        const struct chat_message *m = &in->messages[i];

        ASSERT(m->role < CHAT_ROLE_COUNT);
        check_text(a, m->content);
        check_text(a, m->reasoning);
        check_text(a, m->name);
        check_text(a, m->tool_call_id);
        for (size_t k = 0; k < m->part_count; k++) {
            check_text(a, m->parts[k].text);
            check_text(a, m->parts[k].file_parsing_strategy);
        }
        for (size_t k = 0; k < m->tool_call_count; k++) {
            ASSERT(m->tool_calls[k].name.len > 0);
            check_text(a, m->tool_calls[k].id);
            check_text(a, m->tool_calls[k].name);
            check_text(a, m->tool_calls[k].arguments);
        }
    }
    for (size_t i = 0; i < in->tool_count; i++) {
        ASSERT(in->tools[i].name.len > 0 && in->tools[i].name.len <= 64);
        check_text(a, in->tools[i].description);
        check_text(a, in->tools[i].text);
    }
    for (size_t i = 0; i < in->stop_count; i++) {
        ASSERT(in->stop[i].len > 0);
        check_text(a, in->stop[i]);
    }
    check_text(a, in->voice);
    check_text(a, in->tool_choice_name);
    check_text(a, in->reasoning_effort);
}

/* In every wording and edition there is a sentence, and it is a JSON string. */
static void check_fault(struct arena *a, const struct fault *f)
{
    ASSERT(fault_is_set(f));
    for (unsigned i = 0; i < 4; i++) {
        struct wording_options w = { .wording = i & 1 ? WORDING_WIRE : WORDING_REFERENCE,
                                     .edition = i & 2 ? EDITION_2024 : EDITION_CURRENT,
                                     .help_links = true,
                                     .help_base = S("https://help.example/error-code") };
        struct fault_view      v;
        struct buf             b;

        fault_render(f, &w, a, &v);
        ASSERT(v.status >= 400 && v.status <= 599);
        ASSERT(v.code.len > 0);
        buf_init(&b, a, (size_t)1 << 20);
        json_add_str(&b, v.message);
        ASSERT(!b.full);
        ASSERT(json_parse_copy(a, buf_str(&b)));
    }
}

static enum err read_native(struct request *rq, yyjson_val *root, enum chat_content_form form, struct chat_input *in)
{
    yyjson_val *input = json_get(root, "input"), *messages = json_get(input, "messages");
    enum err    e;

    in->multimodal = form == CHAT_CONTENT_MULTIMODAL;
    if (messages)
        e = chat_read_messages(rq, messages, form, S("input.messages"), in);
    else
        e = chat_read_prompt(rq, json_get(input, "prompt"), json_get(input, "history"), in);
    return e ? e : params_read(rq, &chat_params_native_parameters, json_get(root, "parameters"), in->model, in);
}

static enum err read_openai(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    enum err e = chat_read_messages(rq, json_get(root, "messages"), CHAT_CONTENT_OPENAI, S("messages"), in);

    return e ? e : params_read(rq, &chat_params_openai_top, root, in->model, in);
}

/* What the service reads further when the model is a special one. The result of a recognition is made from an answer: here
 * from the question. */
static enum err read_special(struct request *rq, struct chat_input *in)
{
    struct buf b;
    enum err   e = chat_check_content(rq, in);

    if (!e)
        e = translation_read(rq, in);
    if (!e && in->message_count)
        e = ocr_read(rq, in);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    if (in->message_count)
        ocr_add_result(&b, in, in->messages[in->message_count - 1].content);
    buf_add(&b, translation_instruction(rq->arena, &in->translate));
    buf_add(&b, ocr_instruction(rq->arena, &in->ocr));
    check_text(rq->arena, buf_str(&b));
    return OK;
}

static enum err read_anthropic(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    enum err e = anthropic_read_messages(rq, json_get(root, "system"), json_get(root, "messages"), in);

    return e ? e : params_read(rq, &chat_params_anthropic_top, root, in->model, in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_field             fields[] = { { S("x-dashscope-ossresourceresolve"), S("enable") } };
    static const struct request_settings settings = { .call_ms = 1000 };
    struct http_exchange                 x = { .head = { .fields = fields } };
    struct arena                         arena;
    struct request                       rq = { .arena = &arena, .x = &x, .settings = &settings };
    struct chat_input                    in = { 0 };
    yyjson_val                          *root;
    char                                *body;
    enum err                             e;

    if (size < 3)
        return 0;
    arena_init(&arena, 0);
    x.head.field_count = data[0] & 1;
    in.model = &models[((data[0] >> 4) * 256u + data[1]) * 7 % model_count];
    in.stream = data[0] & 2;
    body = malloc(size - 2 + HTTP_BODY_PADDING);
    memcpy(body, data + 2, size - 2);
    memset(body + size - 2, 0, HTTP_BODY_PADDING);
    root = json_parse(&arena, body, size - 2);
    if (root) {
        unsigned surface = data[0] >> 2 & 3;

        if (in.model->task == MODEL_TASK_CODE)
            e = code_read_input(&rq, json_get(root, "input"), &in);
        else if (surface < 2)
            e = read_native(&rq, root, surface ? CHAT_CONTENT_MULTIMODAL : CHAT_CONTENT_TEXT, &in);
        else
            e = surface == 2 ? read_openai(&rq, root, &in) : read_anthropic(&rq, root, &in);
        if (!e)
            e = read_special(&rq, &in);
        ASSERT(e == OK || e == ERR_FAULT);
        if (e)
            check_fault(&arena, &rq.fault);
        else
            check_input(&arena, &in);
    }
    free(body);
    arena_free(&arena);
    return 0;
}
