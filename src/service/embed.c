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

/* The models of one dimension pass over what is asked for. dimension.set goes on saying whether it was. */
static enum err decide_dimension(struct request *rq, struct embed_input *in)
{
    const struct model *m = in->model;
    char                text[NUM_TEXT_MAX];

    if (!in->dimension.set || (m->dimension > 0 && str_find(m->dimensions, ' ') == STR_NONE)) {
        in->dimension = (opt_int){ .v = m->dimension };
        return OK;
    }
    if (!words_have(m->dimensions, str_of(text, num_format(text, in->dimension.v))))
        return fail_embedding_dimension(&rq->fault, choices(rq->arena, m->dimensions));
    return OK;
}

/* REF: E036. */
static enum err check_count(struct request *rq, const struct model *m, size_t count, int64_t max)
{
    if (max <= 0 || count <= (size_t)max)
        return OK;
    return m->contents == MODEL_CONTENTS_PAYLOAD ? fail_embedding_batch_size_old(&rq->fault, max)
                                                 : fail_embedding_batch_size(&rq->fault, max);
}

enum err embed_check(struct request *rq, struct embed_input *in)
{
    const struct model *m = in->model;
    enum err            e = check_count(rq, m, in->text_count, m->rows_max);

    if (e)
        return e;
    if (!in->output || !m->can_sparse)
        in->output = EMBED_DENSE;
    if (!in->text_type)
        in->text_type = EMBED_DOCUMENT;
    return decide_dimension(rq, in);
}

/* REF: E008. */
static enum err refuse_length(struct request *rq, const struct model *m, int64_t max)
{
    return m->contents == MODEL_CONTENTS_PAYLOAD ? fail_embedding_length_old(&rq->fault, max)
                                                 : fail_input_length_range(&rq->fault, max);
}

/* Of each text, and of all together. */
SUSPENDS static enum err count(struct request *rq, struct embed_input *in)
{
    struct services    *s = rq->services;
    const struct model *m = in->model;

    in->tokens = 0;
    for (size_t i = 0; i < in->text_count; i++) {
        int64_t tokens = (int64_t)count_memo_get(s->memo, s->tokenizer, in->texts[i]);

        if (tokens < 1 || (m->input_max > 0 && tokens > m->input_max))
            return refuse_length(rq, m, m->input_max);
        in->tokens += tokens;
    }
    if (m->tokens_max > 0 && in->tokens > m->tokens_max)
        return refuse_length(rq, m, m->tokens_max);
    rq->usage = (struct chat_usage){ .prompt_tokens = in->tokens };
    return OK;
}

SUSPENDS static enum err ask(struct request *rq, const struct embed_input *in, struct embed_answer *ret)
{
    struct engine *engine = whole_engine(rq);
    enum err       e = engine->ops->embed(engine, rq, in, ret);

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

/* ---- multimodal ---- */

static enum err check_media(struct request *rq, const struct embed_input *in)
{
    const struct model *m = in->model;
    int64_t             texts_max = m->vectors == MODEL_VECTORS_FUSED ? 1 : 0; /* each kind at most once */
    enum err            e = check_count(rq, m, in->text_count + in->images + in->videos + in->audios, m->rows_max);

    if (!e)
        e = check_count(rq, m, in->text_count, texts_max);
    if (!e)
        e = check_count(rq, m, in->images, m->images_max);
    if (!e)
        e = check_count(rq, m, in->videos, m->videos_max);
    if (!e && in->images + in->videos + in->audios)
        e = fail_embedding_media_preprocess(&rq->fault, S("the engine of this model takes texts only")); /* REF: E223 */
    return e;
}

static str joined(struct arena *a, const struct embed_input *in)
{
    struct buf b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (size_t i = 0; i < in->text_count; i++) {
        if (i)
            buf_add_char(&b, '\n');
        buf_add(&b, in->texts[i]);
    }
    return buf_str(&b);
}

enum err embed_run_multimodal(struct request *rq, struct embed_input *in, struct embed_answer *ret, bool *ret_fused)
{
    enum model_vectors vectors = in->model->vectors;
    enum err           e = check_media(rq, in);

    might_suspend();
    if (e)
        return e;
    *ret_fused = vectors == MODEL_VECTORS_FUSED || (vectors == MODEL_VECTORS_EITHER && in->fusion.v);
    if (*ret_fused) {
        str *one = arena_new(rq->arena, str);

        *one = joined(rq->arena, in);
        in->texts = one;
        in->text_count = 1;
    }
    return embed_run(rq, in, ret);
}
