/* knowledge_rewrite.c - has a model rewrite a question that no application asks. */
#include "access/admission.h"
#include "contract/errors.gen.h"
#include "contract/knowledge_params.gen.h"
#include "contract/model.h"
#include "service/chat.h"
#include "service/knowledge.h"

#define REWRITTEN_MAX ((size_t)64 * 1024) /* bytes */

SUSPENDS static enum err ask(struct request *part, struct chat_input *in, struct buf *b)
{
    struct chat_run  *run;
    struct chat_event ev;
    enum err          e = admit(part, in->model);

    if (!e)
        e = chat_check_messages(part, in);
    if (!e)
        e = chat_open(part, in, &run);
    while (!e && !(e = chat_next(run, &ev))) {
        if (ev.kind == CHAT_EV_TEXT)
            buf_add(b, ev.text);
    }
    return e == ERR_EOF ? OK : e;
}

/* What the model's own refusal was, is for the log. */
static enum err refuse(struct request *rq, struct request *part, struct fault_view *ret)
{
    fault_render(&part->fault, &part->settings->wording, rq->arena, ret);
    (void)fail_rag_rewrite_failed(&rq->fault); /* REF: E233 */
    return fault_detail(&rq->fault,
                        arena_printf(rq->arena, "%.*s: %.*s %d %.*s: %.*s", STR_ARG(part->model_name), STR_ARG(ret->id),
                                     ret->status, STR_ARG(ret->code), STR_ARG(ret->message)));
}

enum err knowledge_rewrite(struct request *rq, str model, str query, str *ret)
{
    struct request     *part = request_part(rq, rq->arena);
    struct chat_message all[] = { { .role = CHAT_SYSTEM, .content = KNOWLEDGE_REWRITE_INSTRUCTIONS },
                                  { .role = CHAT_USER, .content = query } };
    struct chat_input   in = {
          .messages = all, .message_count = 2, .stream = true, .result_format = CHAT_RESULT_MESSAGE
    };
    struct buf        b;
    struct fault_view v;
    enum err          e;

    might_suspend();
    part->journal = NULL;
    part->model_name = request_model(rq, model) ? model : KNOWLEDGE_REWRITER;
    in.model_name = part->model_name;
    in.model = request_model(part, part->model_name);
    in.incremental = (opt_bool){ .v = true, .set = true };
    buf_init(&b, rq->arena, REWRITTEN_MAX);
    e = in.model ? ask(part, &in, &b) : fail_model_not_found_native(&part->fault);
    if (e == ERR_FAULT) {
        e = refuse(rq, part, &v);
        part->hooks->ended(part, v.status, ERR_FAULT);
        return e;
    }
    part->hooks->ended(part, e ? 0 : 200, e);
    *ret = !e && !b.full && str_trim(buf_str(&b)).len ? str_trim(buf_str(&b)) : query;
    return e;
}
