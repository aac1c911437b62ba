/* app_retrieve.c - asks knowledge bases for an application. */
#include "service/app_retrieve.h"

#include "base/clock.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/knowledge_params.gen.h"

/* ---- rewriting ---- */

static struct chat_message *conversation(struct app_run *r, str query, size_t *ret_count)
{
    size_t               turns = min_size(r->turn_count, APPS_ROUNDS_DEFAULT), n = 0, said = r->in->message_count;
    struct chat_message *all = arena_array(r->rq->arena, struct chat_message, 2 + 2 * turns + said);

    all[n++] = (struct chat_message){ .role = CHAT_SYSTEM, .content = KNOWLEDGE_REWRITE_INSTRUCTIONS };
    for (size_t i = r->turn_count - turns; i < r->turn_count; i++) {
        all[n++] = (struct chat_message){ .role = CHAT_USER, .content = r->turns[i].said };
        all[n++] = (struct chat_message){ .role = CHAT_ASSISTANT, .content = r->turns[i].answered };
    }
    for (size_t i = 0; i + 1 < said; i++) {
        if (r->in->messages[i].role != CHAT_SYSTEM)
            all[n++] = (struct chat_message){ .role = r->in->messages[i].role, .content = r->in->messages[i].content };
    }
    all[n++] = (struct chat_message){ .role = CHAT_USER, .content = query };
    *ret_count = n;
    return all;
}

SUSPENDS static enum err ignore(void *arg, bool reasoning, str text)
{
    (void)arg, (void)reasoning, (void)text; /* what is said is wanted whole */
    return OK;
}

static str text_json(struct app_run *r, const char *name, str text)
{
    struct buf b;

    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    buf_addf(&b, "{\"%s\":", name);
    json_add_str(&b, text);
    buf_add_char(&b, '}');
    return buf_str(&b);
}

/* REF: E233: what the model's own refusal was, is for the log and the trace. */
SUSPENDS static enum err rewrite(struct app_run *r, str model, str *query)
{
    const struct app_model    m = { .name = model };
    const struct app_listener to = { ignore, NULL };
    struct app_step           step = {
                  .node = S("rewrite"), .type = app_node_wire_name(APP_MODEL), .name = model, .started_us = clock_mono_us()
    };
    struct chat_input in = { 0 };
    struct app_said   said;
    enum err          e;

    in.messages = conversation(r, *query, &in.message_count);
    step.input = text_json(r, "query", *query);
    e = app_model_ask(r, &m, &in, &to, &said);
    if (e == ERR_FAULT) {
        str why = r->rq->fault.detail;

        (void)fail_rag_rewrite_failed(&r->rq->fault);
        e = fault_detail(&r->rq->fault, why);
        app_step_fault(r, &step);
    } else if (e) {
        step.code = S("gone");
    } else {
        step.output = text_json(r, "result", buf_str(&said.text));
        if (str_trim(buf_str(&said.text)).len)
            *query = str_trim(buf_str(&said.text));
    }
    app_trace(r, &step);
    return e;
}

/* ---- retrieval ---- */

static void add_references(struct app_run *r, const struct knowledge_found *found, size_t count)
{
    struct app_answer *a = &r->answer;

    a->references = arena_realloc(r->rq->arena, a->references, a->reference_count * sizeof(*a->references),
                                  (a->reference_count + count) * sizeof(*a->references));
    for (size_t i = 0; i < count; i++)
        a->references[a->reference_count++] = (struct app_reference){
            .title = found[i].title, .document = found[i].file, .name = found[i].name, .text = found[i].text
        };
}

enum err app_retrieve(struct app_run *r, const struct app_retrieval *q, struct knowledge_found **ret, size_t *ret_count,
                      str *ret_query)
{
    const struct apps_rag *rag = &r->in->rag;
    struct knowledge_query ask = { .bases = rag->base_count ? rag->bases : q->bases,
                                   .base_count = rag->base_count ? rag->base_count : q->base_count,
                                   .query = q->query,
                                   .filter = &rag->filter,
                                   .in = { .top = q->top } };
    str                    rewriter = q->rewriter;
    struct knowledge_way   way;
    enum err               e;

    might_suspend();
    e = knowledge_way(r->rq, &ask, &way);
    if (!e && !rewriter.len && way.rewrite)
        rewriter = request_model(r->rq, way.rewriter) ? way.rewriter : KNOWLEDGE_REWRITER;
    if (!e && rewriter.len)
        e = rewrite(r, rewriter, &ask.query);
    if (!e)
        e = knowledge_search(r->rq, &ask, ret, ret_count);
    app_rearm(r);
    *ret_query = ask.query;
    if (!e)
        add_references(r, *ret, *ret_count);
    return e;
}
