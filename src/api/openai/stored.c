/* stored.c - paths, pages and lists of what is stored. */
#include "api/openai/stored.h"

#include "contract/responses_params.gen.h"
#include "net/http_server.h"

str stored_path(struct request *rq, str mark)
{
    str path = http_path(rq->x);

    return http_unescape(rq->arena, str_from(path, str_find_str(path, mark) + mark.len));
}

enum err stored_read_page(struct request *rq, struct items_page *ret)
{
    str rest = http_query(rq->x);

    *ret = (struct items_page){ .limit = CHAT_PAGE_DEFAULT, .descending = true };
    while (rest.len) {
        str pair = str_cut(&rest, '&'), name = str_cut(&pair, '='), value = http_unescape(rq->arena, pair);

        if (str_eq(name, S("after"))) {
            ret->after = value;
        } else if (str_eq(name, S("limit"))) {
            if (!str_to_i64(value, &ret->limit) || ret->limit < 1 || ret->limit > CHAT_PAGE_MAX)
                return fail_parameter_missing_named(&rq->fault, name);
        } else if (str_eq(name, S("order"))) {
            ret->descending = str_eq(value, S("desc"));
            if (!ret->descending && !str_eq(value, S("asc")))
                return fail_parameter_missing_named(&rq->fault, name);
        }
    }
    return OK;
}

static void add_id(struct buf *b, str key, const struct items_list *list, size_t at)
{
    buf_add(b, key);
    if (list->count)
        json_add_str(b, list->items[at].id);
    else
        buf_add(b, S("null"));
}

void stored_add_list(struct buf *b, const struct items_list *list)
{
    buf_add(b, S("\"data\":["));
    for (size_t i = 0; i < list->count; i++) {
        if (i)
            buf_add_char(b, ',');
        buf_add(b, list->items[i].text);
    }
    add_id(b, S("],\"first_id\":"), list, 0);
    add_id(b, S(",\"last_id\":"), list, list->count - 1);
    buf_add(b, list->more ? S(",\"has_more\":true") : S(",\"has_more\":false"));
}
