/* batches.c - /compatible-mode/v1/batches.
 *
 *   POST GET /batches     GET /batches/{id}     POST /batches/{id}/cancel
 *
 * Spec: platform.md §2.2-§2.5; wire-forms.md §2.5.
 */
#include "service/batches.h"

#include "api/account_rate.h"
#include "api/list_time.h"
#include "api/openai/openai.h"
#include "api/openai/stored.h"
#include "api/reply.h"
#include "contract/batches_params.gen.h"
#include "contract/errors.gen.h"
#include "net/http_server.h"

#define MINUTE_MS INT64_C(60000)

SUSPENDS static enum err reply_batch(struct request *rq, const struct batch_row *row)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    batch_add_object(&b, row);
    return reply_json(rq, buf_str(&b));
}

/* ---- all ---- */

SUSPENDS static enum err create(struct request *rq)
{
    struct batch_row row;
    yyjson_val      *root;
    enum err         e = account_rate_admit(rq, S("batches create"), BATCHES_CREATE_RATE, MINUTE_MS);

    if (!e)
        e = request_json(rq, &root);
    if (!e)
        e = batch_create(rq, root, &row);
    return e ? e : reply_batch(rq, &row);
}

static bool few_commas(str list)
{
    size_t n = 1;

    for (size_t i = 0; i < list.len; i++)
        n += list.ptr[i] == ',';
    return n <= BATCHES_INPUT_FILES_MAX;
}

static enum err read_query(struct request *rq, struct batch_list *l)
{
    str  rest = http_query(rq->x);
    bool good = true;

    while (rest.len) {
        str pair = str_cut(&rest, '&'), name = str_cut(&pair, '='), value = http_unescape(rq->arena, pair);

        if (!value.len)
            continue;
        if (str_eq(name, S("after")))
            l->after = value;
        else if (str_eq(name, S("limit")))
            good = str_to_i64(value, &l->limit) && l->limit >= 1 && l->limit <= BATCHES_PAGE_MAX;
        else if (str_eq(name, S("ds_name")))
            l->name = value;
        else if (str_eq(name, S("status")))
            l->statuses = value;
        else if (str_eq(name, S("input_file_ids")))
            good = few_commas(l->input_files = value);
        else if (str_eq(name, S("create_after")))
            good = list_time_read(value, &l->from_ms);
        else if (str_eq(name, S("create_before")))
            good = list_time_read(value, &l->to_ms);
        if (!good)
            return fail_parameter_missing_named(&rq->fault, name); /* REF: E039 */
    }
    return OK;
}

static void add_id(struct buf *b, str key, const struct batch_list *l, size_t at)
{
    buf_add(b, key);
    if (l->count)
        json_add_str(b, l->rows[at].id);
    else
        buf_add(b, S("null"));
}

SUSPENDS static enum err list(struct request *rq)
{
    struct batch_list l = { .limit = BATCHES_PAGE };
    struct buf        b;
    enum err          e = account_rate_admit(rq, S("batches list"), BATCHES_LIST_RATE, MINUTE_MS);

    if (!e)
        e = read_query(rq, &l);
    if (!e)
        e = batch_list(rq, &l);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"object\":\"list\",\"data\":"));
    for (size_t i = 0; i < l.count; i++) {
        buf_add_char(&b, i ? ',' : '[');
        batch_add_object(&b, &l.rows[i]);
    }
    buf_add(&b, l.count ? S("]") : S("null")); /* as recorded */
    add_id(&b, S(",\"first_id\":"), &l, 0);
    add_id(&b, S(",\"last_id\":"), &l, l.count - 1);
    buf_add(&b, l.more ? S(",\"has_more\":true}") : S(",\"has_more\":false}"));
    return reply_json(rq, buf_str(&b));
}

enum err handle_openai_batches(struct request *rq)
{
    return str_eq(http_request(rq->x)->method, S("POST")) ? create(rq) : list(rq);
}

/* ---- one ---- */

enum err handle_openai_batch(struct request *rq)
{
    bool             posts = str_eq(http_request(rq->x)->method, S("POST"));
    str              rest = stored_path(rq, S("/batches/"));
    str              id = str_cut(&rest, '/');
    struct batch_row row;
    enum err         e;

    if (rest.len && !str_eq(rest, S("cancel")))
        return fail_path_not_found(&rq->fault);
    if (posts != (rest.len > 0))
        return fail_method_unsupported(&rq->fault, http_request(rq->x)->method); /* REF: E017 */
    e = account_rate_admit(rq, posts ? S("batches cancel") : S("batches query"), BATCHES_QUERY_RATE, MINUTE_MS);
    if (!e)
        e = posts ? batch_cancel(rq, id, &row) : batch_get(rq, id, &row);
    return e ? e : reply_batch(rq, &row);
}

/* ---- their lines ---- */

enum err openai_batch_line(struct request *rq, str url, yyjson_val *body, struct charge *charge, struct buf *ret)
{
    return str_ends(url, S("/embeddings")) ? openai_embeddings_line(rq, body, charge, ret)
                                           : openai_chat_line(rq, body, charge, ret);
}
