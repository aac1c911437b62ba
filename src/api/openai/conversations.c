/* conversations.c - /compatible-mode/v1/conversations: what responses are spoken in.
 *
 *   POST /conversations                  POST GET DELETE /conversations/{id}
 *   POST GET /conversations/{id}/items   GET DELETE /conversations/{id}/items/{item}
 *
 * Spec: chat.md §6.8.
 */
#include "api/openai/openai.h"
#include "api/openai/stored.h"
#include "api/reply.h"
#include "contract/responses_body.h"
#include "net/http_server.h"

static enum err reply_conversation(struct request *rq, const struct conversation *c)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, c->id);
    json_add_count(&b, S(",\"object\":\"conversation\",\"created_at\":"), c->created_ms);
    buf_add(&b, S(",\"metadata\":"));
    buf_add(&b, c->metadata);
    buf_add_char(&b, '}');
    return reply_json(rq, buf_str(&b));
}

static enum err reply_deleted(struct request *rq, str id, str object)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, id);
    buf_add(&b, S(",\"object\":\""));
    buf_add(&b, object);
    buf_add(&b, S("\",\"deleted\":true}"));
    return reply_json(rq, buf_str(&b));
}

static enum err reply_list(struct request *rq, const struct items_list *list)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"object\":\"list\","));
    stored_add_list(&b, list);
    buf_add_char(&b, '}');
    return reply_json(rq, buf_str(&b));
}

/* Messages alone; one without an id gets one. */
static enum err read_items(struct request *rq, yyjson_val *v, struct items_list *ret)
{
    size_t      i, n;
    yyjson_val *item;

    *ret = (struct items_list){ 0 };
    if (v && (!yyjson_is_arr(v) || yyjson_arr_size(v) > CHAT_ITEMS_MAX))
        return fail_parameter_missing_named(&rq->fault, S("items"));
    ret->items = arena_array(rq->arena, struct stored_item, yyjson_arr_size(v));
    yyjson_arr_foreach(v, i, n, item)
    {
        struct stored_item *out = &ret->items[ret->count++];
        str                 type = json_str(json_get(item, "type"));
        enum chat_role      role;

        if (!yyjson_is_obj(item) || (type.len && !str_eq(type, S("message"))) ||
            !chat_role_parse(json_str(json_get(item, "role")), &role) || !json_get(item, "content"))
            return fail_parameter_missing_named(&rq->fault, S("items"));
        out->text = responses_item_text(rq->arena, item, &out->id);
    }
    return OK;
}

static enum err read_metadata(struct request *rq, yyjson_val *root, str *ret)
{
    yyjson_val *metadata = json_get(root, "metadata");
    enum err    e = responses_check_metadata(rq, metadata);

    *ret = metadata ? json_text(rq->arena, metadata) : S("{}");
    return e;
}

enum err handle_openai_conversations(struct request *rq)
{
    struct conversation c = { 0 };
    struct items_list   list;
    yyjson_val         *root;
    enum err            e = request_json(rq, &root);

    if (!e)
        e = read_metadata(rq, root, &c.metadata);
    if (!e)
        e = read_items(rq, json_get(root, "items"), &list);
    if (!e)
        e = conversation_create(rq, &c, list.items, list.count);
    return e ? e : reply_conversation(rq, &c);
}

static enum err set_metadata(struct request *rq, str id)
{
    struct conversation c;
    yyjson_val         *root;
    str                 metadata;
    enum err            e = request_json(rq, &root);

    if (!e)
        e = read_metadata(rq, root, &metadata);
    if (!e)
        e = conversation_set_metadata(rq, id, metadata);
    if (!e)
        e = conversation_get(rq, id, &c);
    return e ? e : reply_conversation(rq, &c);
}

static enum err add_items(struct request *rq, str id)
{
    struct items_list list;
    yyjson_val       *root;
    enum err          e = request_json(rq, &root);

    if (!e)
        e = json_get(root, "items") ? read_items(rq, json_get(root, "items"), &list)
                                    : fail_parameter_missing_named(&rq->fault, S("items"));
    if (!e)
        e = conversation_add(rq, id, list.items, list.count);
    return e ? e : reply_list(rq, &list);
}

static enum err list_items(struct request *rq, str id)
{
    struct items_page page;
    struct items_list list;
    enum err          e = stored_read_page(rq, &page);

    if (!e)
        e = conversation_items(rq, id, &page, &list);
    return e ? e : reply_list(rq, &list);
}

static enum err get_item(struct request *rq, str id, str item)
{
    struct stored_item found;
    enum err           e = conversation_item(rq, id, item, &found);

    return e ? e : reply_json(rq, found.text);
}

static enum err delete_item(struct request *rq, str id, str item)
{
    enum err e = conversation_item_delete(rq, id, item);

    return e ? e : reply_deleted(rq, item, S("conversation.item.deleted"));
}

static enum err handle_one(struct request *rq, str method, str id)
{
    struct conversation c;
    enum err            e;

    if (str_eq(method, S("POST")))
        return set_metadata(rq, id);
    if (str_eq(method, S("DELETE"))) {
        e = conversation_delete(rq, id);
        return e ? e : reply_deleted(rq, id, S("conversation.deleted"));
    }
    e = conversation_get(rq, id, &c);
    return e ? e : reply_conversation(rq, &c);
}

enum err handle_openai_conversation(struct request *rq)
{
    str method = http_request(rq->x)->method;
    str rest = stored_path(rq, S("/conversations/"));
    str id = str_cut(&rest, '/'), items = str_cut(&rest, '/'), item = rest;

    if (!items.len)
        return handle_one(rq, method, id);
    if (!str_eq(items, S("items")) || str_find(item, '/') != STR_NONE)
        return fail_path_not_found(&rq->fault);
    if (item.len && str_eq(method, S("DELETE")))
        return delete_item(rq, id, item);
    if (item.len && !str_eq(method, S("POST")))
        return get_item(rq, id, item);
    if (!item.len && str_eq(method, S("POST")))
        return add_items(rq, id);
    if (!item.len && !str_eq(method, S("DELETE")))
        return list_items(rq, id);
    return fail_method_unsupported(&rq->fault, method); /* REF: E017 */
}
