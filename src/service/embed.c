/* embed.c - embeddings. Spec: platform.md §3.1, §3.2, §3.4. */
#include "service/embed.h"

#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "service/services.h"
#include "service/whole.h"

/* "1024 768 512" as a refusal lists them: "1024, 768, 512". */
static str choices(struct arena *a, str words)
{
    struct buf b;

    buf_init(&b, a, 256);
    while (words.len) {
        if (b.len)
            buf_add(&b, S(", "));
        buf_add(&b, str_cut(&words, ' '));
    }
    return buf_str(&b);
}

/* The models of one dimension pass over what is asked for. */
static enum err decide_dimension(struct request *rq, struct embed_input *in)
{
    const struct model *m = in->model;
    char                text[NUM_TEXT_MAX];

    if (!in->dimension.set || (m->dimension > 0 && str_find(m->dimensions, ' ') == STR_NONE)) {
        in->dimension = (opt_int){ .v = m->dimension, .set = true };
        return OK;
    }
    if (!words_have(m->dimensions, str_of(text, num_format(text, in->dimension.v))))
        return fail_embedding_dimension(&rq->fault, choices(rq->arena, m->dimensions));
    return OK;
}

enum err embed_check(struct request *rq, struct embed_input *in)
{
    const struct model *m = in->model;

    if (m->rows_max > 0 && in->text_count > (size_t)m->rows_max)
        return m->contents == MODEL_CONTENTS_PAYLOAD ? fail_embedding_batch_size_old(&rq->fault, m->rows_max)
                                                     : fail_embedding_batch_size(&rq->fault, m->rows_max); /* REF: E036 */
    if (!in->output || !m->can_sparse)
        in->output = EMBED_DENSE;
    if (!in->text_type)
        in->text_type = EMBED_DOCUMENT;
    return decide_dimension(rq, in);
}

/* REF: E008, of each text. */
SUSPENDS static enum err count(struct request *rq, struct embed_input *in)
{
    struct services *s = rq->services;

    in->tokens = 0;
    for (size_t i = 0; i < in->text_count; i++) {
        int64_t tokens = (int64_t)count_memo_get(s->memo, s->tokenizer, in->texts[i]);

        if (tokens < 1 || (in->model->input_max > 0 && tokens > in->model->input_max))
            return fail_input_length_range(&rq->fault, in->model->input_max);
        in->tokens += tokens;
    }
    rq->usage = (struct chat_usage){ .prompt_tokens = in->tokens };
    return OK;
}

SUSPENDS static enum err ask(struct request *rq, const struct embed_input *in, struct embed_answer *ret)
{
    struct engine *engine = whole_engine(rq);
    enum err       e;

    if (!engine->ops->embed)
        return fail_model_unavailable(&rq->fault);
    e = engine->ops->embed(engine, rq, in, ret);
    if (!e && ret->tokens >= 0)
        rq->usage.prompt_tokens = ret->tokens;
    return e;
}

enum err embed_texts(struct request *rq, struct embed_input *in, struct embed_answer *ret)
{
    enum err e;

    might_suspend();
    e = count(rq, in);
    return e ? e : ask(rq, in, ret);
}

enum err embed_run(struct request *rq, struct embed_input *in, struct embed_answer *ret)
{
    enum err e;

    might_suspend();
    request_phase(rq, PHASE_CHECK);
    e = embed_check(rq, in);
    if (!e)
        e = count(rq, in);
    if (!e)
        e = whole_begin(rq, in->texts, in->text_count);
    return e ? e : whole_end(rq, ask(rq, in, ret));
}
