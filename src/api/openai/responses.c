/* responses.c - POST /compatible-mode/v1/responses, and what was stored of it: GET and DELETE …/responses/{id}, GET
 * …/{id}/input_items.
 *
 * Spec: chat.md §6.7, §8.
 */
#include "api/openai/responses.h"

#include "access/admission.h"
#include "api/body_model.h"
#include "api/openai/openai.h"
#include "api/openai/stored.h"
#include "api/pump.h"
#include "api/reply.h"
#include "base/clock.h"
#include "net/http_server.h"
#include "service/chat.h"
#include "service/conversation.h"

/* ---- what is asked ---- */

struct asked {
    struct chat_input     in;
    struct responses_body body;
    struct stored_item   *items; /* of `input`, as they are stored */
    size_t                count;
};

/* The items of `input`, each with an id; those that are named by their id alone are looked up. */
SUSPENDS static enum err take_items(struct request *rq, struct asked *a)
{
    size_t      i, n;
    yyjson_val *item;

    a->items = arena_array(rq->arena, struct stored_item, yyjson_arr_size(a->body.items));
    yyjson_arr_foreach(a->body.items, i, n, item)
    {
        struct stored_item *out = &a->items[a->count];
        enum err            e;

        if (!yyjson_is_obj(item))
            return fail_parameter_missing_named(&rq->fault, S("input"));
        if (!str_eq(json_str(json_get(item, "type")), S("item_reference"))) {
            out->text = responses_item_text(rq->arena, item, &out->id);
            a->count++;
            continue;
        }
        out->id = json_str(json_get(item, "id"));
        e = conversation_reference(rq, out->id, &out->text);
        if (e)
            return e;
        a->count++;
    }
    return OK;
}

/* What went before and what is new, as one array. */
SUSPENDS static enum err all_items(struct request *rq, struct asked *a, yyjson_val **ret)
{
    struct items_list before = { 0 };
    struct buf        b;
    enum err          e = OK;

    if (a->body.previous.len || a->body.conversation.len)
        e = conversation_history(rq, a->body.previous, a->body.conversation, &before);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2); /* both have their ceilings */
    buf_add_char(&b, '[');
    for (size_t i = 0; i < before.count + a->count; i++) {
        if (i)
            buf_add_char(&b, ',');
        buf_add(&b, i < before.count ? before.items[i].text : a->items[i - before.count].text);
    }
    buf_add_char(&b, ']');
    *ret = json_parse_copy(rq->arena, buf_str(&b));
    return OK;
}

SUSPENDS static enum err read_body(struct request *rq, yyjson_val *root, struct asked *a)
{
    yyjson_val *items = NULL;
    enum err    e;

    rq->stream = rq->native_faults = yyjson_is_true(json_get(root, "stream"));
    e = responses_read(rq, root, &a->in, &a->body);
    if (!e)
        e = take_items(rq, a);
    if (!e)
        e = all_items(rq, a, &items);
    if (!e)
        e = responses_read_items(rq, a->body.instructions, items, &a->in);
    if (!e)
        e = chat_check_messages(rq, &a->in);
    /* What stands in the session up to here is kept for the next call (chat.md §6.7.6). */
    if (!e && str_eq_nocase(request_header(rq, S("x-dashscope-session-cache")), S("enable")))
        a->in.messages[a->in.message_count - 1].cache = true;
    return e;
}

/* ---- the answer ---- */

/* Durable before the client has its id. */
SUSPENDS static enum err keep(struct response *r, struct asked *a)
{
    struct request        *rq = r->rq;
    size_t                 count = a->count + r->count;
    struct stored_item    *items;
    struct buf             body;
    struct stored_response s = { .id = r->id,
                                 .previous = a->body.previous,
                                 .model = a->in.model_name,
                                 .created_ms = rq->arrived_ms,
                                 .expires_ms = rq->arrived_ms + CHAT_RESPONSE_LIFE_MS };

    if (!a->body.store)
        return OK;
    items = arena_array(rq->arena, struct stored_item, count);
    for (size_t i = 0; i < count; i++) {
        struct buf b;

        if (i < a->count) {
            items[i] = a->items[i];
            continue;
        }
        buf_init(&b, rq->arena, SIZE_MAX / 2);
        response_add_item(r, &b, &r->items[i - a->count], true);
        items[i] = (struct stored_item){ .id = r->items[i - a->count].id, .text = buf_str(&b), .output = true };
    }
    buf_init(&body, rq->arena, SIZE_MAX / 2);
    response_add(r, &body, true);
    s.body = buf_str(&body);
    return response_put(rq, &s, a->body.conversation, items, count);
}

SUSPENDS static enum err answer_whole(struct response *r, struct asked *a, struct chat_run *run)
{
    struct chat_event ev;
    struct buf        b;
    enum err          e;

    while (!(e = chat_next(run, &ev)))
        response_event(r, &ev);
    if (e != ERR_EOF)
        return e;
    e = keep(r, a);
    if (e)
        return e;
    buf_init(&b, r->rq->arena, SIZE_MAX / 2);
    response_add(r, &b, false);
    return reply_json(r->rq, buf_str(&b));
}

static void send_event(void *arg, const struct chat_event *ev)
{
    response_event(arg, ev);
}

SUSPENDS static enum err answer_stream(struct response *r, struct asked *a, struct chat_run *run)
{
    struct request *rq = r->rq;
    enum err        e = pump_stream(rq, run, send_event, r);

    if (!http_begun(rq->x) || (e != ERR_FAULT && e != ERR_EOF))
        return e;
    e = keep(r, a);
    if (e == ERR_CANCELLED)
        return e;
    if (e && !fault_is_set(&rq->fault)) {
        (void)fail_internal_error(&rq->fault);
        (void)fault_detail(&rq->fault, S("the response could not be stored"));
    }
    response_end(r);
    return http_stream_end(rq->x);
}

SUSPENDS static enum err run(struct request *rq, yyjson_val *root, struct asked *a)
{
    struct chat_run *run;
    struct response  r;
    enum err         e = read_body(rq, root, a);

    if (!e)
        e = chat_open(rq, &a->in, &run);
    if (e)
        return e;
    response_init(&r, rq, &a->in, &a->body);
    return a->in.stream ? answer_stream(&r, a, run) : answer_whole(&r, a, run);
}

enum err handle_openai_responses(struct request *rq)
{
    struct asked *a = arena_new(rq->arena, struct asked);
    yyjson_val   *root;
    enum err      e = request_json(rq, &root);

    if (e)
        return e;
    e = body_model_openai(rq, root, MODEL_PATH_OPENAI, &a->in.model);
    a->in.model_name = rq->model_name;
    a->in.window_percent = CHAT_WINDOW_PERCENT;
    if (!e)
        e = admit(rq, a->in.model);
    if (e)
        return e;
    e = run(rq, root, a);
    /* From the input on a refusal of a streaming call is an event (chat.md §8.4). */
    if (e == ERR_FAULT && rq->stream && !http_begun(rq->x))
        return reply_fault(rq, true);
    return e;
}

/* ---- what was stored ---- */

static enum err reply_deleted(struct request *rq, str id)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, id);
    buf_add(&b, S(",\"object\":\"response\",\"deleted\":true}"));
    return reply_json(rq, buf_str(&b));
}

SUSPENDS static enum err list_input(struct request *rq, str id)
{
    struct items_page      page;
    struct items_list      list;
    struct stored_response r;
    struct buf             b;
    enum err               e;

    rq->native_faults = true; /* chat.md §6.7.4 */
    e = stored_read_page(rq, &page);
    if (!e)
        e = response_get(rq, id, &r);
    if (!e)
        e = response_items(rq, id, &page, &list);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    json_add_count(&b, S("{\"object\":\"list\",\"created_at\":"), r.created_ms);
    buf_add_char(&b, ',');
    stored_add_list(&b, &list);
    buf_add(&b, S(",\"id\":"));
    json_add_str(&b, id);
    buf_add(&b, S(",\"model\":"));
    json_add_str(&b, r.model);
    if (r.previous.len) {
        buf_add(&b, S(",\"previous_response_id\":"));
        json_add_str(&b, r.previous);
    }
    buf_add_char(&b, '}');
    return reply_json(rq, buf_str(&b));
}

enum err handle_openai_response(struct request *rq)
{
    str                    rest = stored_path(rq, S("/responses/"));
    str                    id = str_cut(&rest, '/');
    bool                   get = str_eq(http_request(rq->x)->method, S("GET"));
    struct stored_response r;
    enum err               e;

    if (get && str_eq(rest, S("input_items")))
        return list_input(rq, id);
    if (rest.len)
        return fail_path_not_found(&rq->fault);
    if (!get) {
        e = response_delete(rq, id);
        return e ? e : reply_deleted(rq, id);
    }
    e = response_get(rq, id, &r);
    return e ? e : reply_json(rq, r.body);
}
