/* rerank.c - rerank. Spec: platform.md §3.6, §3.7. */
#include "service/rerank.h"

#include "base/num.h"
#include "base/utf8.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "contract/rerank_params.gen.h"
#include "service/services.h"
#include "service/whole.h"

static enum err check(struct request *rq, const struct rerank_input *in)
{
    int64_t rows = in->model->rows_max;

    if (rows > 0 && in->document_count > (size_t)rows)
        return fail_rerank_document_count(&rq->fault, rows);
    for (size_t i = 0; i < in->document_count; i++) {
        if (in->documents[i].len > RERANK_DOCUMENT_CHARS_MAX &&
            utf8_count(in->documents[i]) > RERANK_DOCUMENT_CHARS_MAX)
            return fail_rerank_document_size(&rq->fault, (int64_t)i, RERANK_DOCUMENT_CHARS_MAX);
    }
    return OK;
}

/* Of a query or a document the first tokens are read, and no more are counted. */
SUSPENDS static int64_t count_text(struct request *rq, const struct rerank_input *in, str text)
{
    struct services *s = rq->services;
    int64_t          tokens = (int64_t)count_memo_get(s->memo, s->tokenizer, text), max = in->model->input_max;

    return max > 0 ? min_i64(tokens, max) : tokens;
}

/* REF: E008, of all of it. */
SUSPENDS static enum err count(struct request *rq, struct rerank_input *in)
{
    in->tokens = count_text(rq, in, in->query) * (int64_t)in->document_count;
    for (size_t i = 0; i < in->document_count; i++)
        in->tokens += count_text(rq, in, in->documents[i]);
    if (in->model->tokens_max > 0 && in->tokens > in->model->tokens_max)
        return fail_input_length_range(&rq->fault, in->model->tokens_max);
    rq->usage = (struct chat_usage){ .prompt_tokens = in->tokens };
    return OK;
}

/* What moderation sees: the query, and the documents. */
static str *texts_of(struct request *rq, const struct rerank_input *in)
{
    str *all = arena_array(rq->arena, str, in->document_count + 1);

    all[0] = in->query;
    for (size_t i = 0; i < in->document_count; i++)
        all[i + 1] = in->documents[i];
    return all;
}

SUSPENDS static enum err ask(struct request *rq, const struct rerank_input *in, struct rerank_answer *ret)
{
    struct engine *engine = whole_engine(rq);
    enum err       e = engine->ops->rerank(engine, rq, in, ret);

    if (e)
        return e;
    if (ret->tokens >= 0)
        rq->usage.prompt_tokens = ret->tokens;
    if (in->top_n.set)
        ret->count = min_size(ret->count, (size_t)in->top_n.v);
    return OK;
}

enum err rerank_texts(struct request *rq, struct rerank_input *in, struct rerank_answer *ret)
{
    enum err e;

    might_suspend();
    e = check(rq, in);
    if (!e)
        e = count(rq, in);
    return e ? e : ask(rq, in, ret);
}

enum err rerank_run(struct request *rq, struct rerank_input *in, struct rerank_answer *ret)
{
    enum err e;

    might_suspend();
    request_phase(rq, PHASE_CHECK);
    e = check(rq, in);
    if (!e)
        e = count(rq, in);
    if (!e)
        e = whole_begin(rq, texts_of(rq, in), in->document_count + 1);
    return e ? e : whole_end(rq, ask(rq, in, ret));
}
