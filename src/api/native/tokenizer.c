/* tokenizer.c - POST /api/v1/tokenizer: a text, or the texts of messages without their template, as tokens.
 *
 * Nothing is run and nothing is charged. Long texts are read on the memo's lane.
 * Spec: chat.md §10.7.
 */
#include "access/account.h"
#include "api/body_model.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/errors.gen.h"
#include "service/services.h"

struct job {
    struct request          *rq;
    const struct chat_input *in;
    yyjson_val              *prompt; /* NULL: messages */
    size_t                   count;  /* of tokens */
    uint32_t                *ids;
    struct buf               body;
};

static void add_body(struct job *j)
{
    const struct tokenizer *t = j->rq->services->tokenizer;
    struct buf             *b = &j->body;

    buf_add(b, S("{\"output\":{\"token_ids\":["));
    for (size_t i = 0; i < j->count; i++) {
        if (i)
            buf_add_char(b, ',');
        buf_add_i64(b, j->ids[i]);
    }
    buf_add(b, S("],\"tokens\":["));
    for (size_t i = 0; i < j->count; i++) {
        if (i)
            buf_add_char(b, ',');
        json_add_lossy(b, tokenizer_decode(t, j->ids[i]));
    }
    buf_add_char(b, ']');
    if (j->prompt) {
        buf_add(b, S(",\"prompt\":"));
        json_add_str(b, json_str(j->prompt));
    }
    json_add_count(b, S("},\"usage\":{\"input_tokens\":"), (int64_t)j->count);
    buf_add_char(b, '}');
    reply_add_request_id(b, j->rq);
}

/* The request's fiber waits meanwhile, so that its memory is the job's. */
static void tokenize(void *arg)
{
    struct job              *j = arg;
    const struct tokenizer  *t = j->rq->services->tokenizer;
    const struct chat_input *in = j->in;
    size_t                   at = 0;

    j->ids = arena_array(j->rq->arena, uint32_t, j->count);
    for (size_t i = 0; i < in->message_count; i++)
        at += tokenizer_encode(t, in->messages[i].content, j->ids + at, j->count - at);
    ASSERT(at == j->count);
    add_body(j);
}

/* It knows the models of the text endpoint. */
static enum err read_model(struct request *rq, yyjson_val *root, struct chat_input *in)
{
    enum err e = body_model_native(rq, root, MODEL_PATH_TEXT, &in->model);

    in->model_name = rq->model_name;
    if (e == ERR_FAULT && rq->fault.row == &error_rows[ERROR_URL_MODEL_MISMATCH])
        return fail_model_not_found_native(&rq->fault); /* REF: E031 */
    return e ? e : account_permits(rq, in->model);
}

/* REF: E008. */
SUSPENDS static enum err count(struct job *j)
{
    struct services *s = j->rq->services;
    int64_t          limit = j->in->model->input_max;

    for (size_t i = 0; i < j->in->message_count && (limit <= 0 || (int64_t)j->count <= limit); i++)
        j->count += count_memo_get(s->memo, s->tokenizer, j->in->messages[i].content);
    if (!j->count || (limit > 0 && (int64_t)j->count > limit))
        return fail_input_length_range(&j->rq->fault, limit);
    return OK;
}

enum err handle_native_tokenizer(struct request *rq)
{
    struct chat_input *in = arena_new(rq->arena, struct chat_input);
    struct job         j = { .rq = rq, .in = in };
    yyjson_val        *root, *input;
    enum err           e = request_json(rq, &root);

    if (!e)
        e = read_model(rq, root, in);
    if (!e)
        e = native_read_input(rq, root, in);
    if (!e)
        e = count(&j);
    if (e)
        return e;
    input = json_get(root, "input");
    j.prompt = yyjson_arr_size(json_get(input, "messages")) ? NULL : json_get(input, "prompt");
    buf_init(&j.body, rq->arena, SIZE_MAX / 2);
    count_memo_run(rq->services->memo, j.count, tokenize, &j);
    return reply_json(rq, buf_str(&j.body));
}
