/* batches.c - what calls do with batches. Spec: platform.md §2.2-§2.5, §2.8. */
#include "service/batches.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "contract/batches_params.gen.h"
#include "contract/errors.gen.h"
#include "contract/model.h"
#include "service/batch_runner.h"
#include "service/files.h"

#define HOUR_MS INT64_C(3600000)

static bool is_one_of(str word, str words)
{
    while (words.len) {
        if (str_eq(str_cut(&words, ' '), word))
            return true;
    }
    return false;
}

/* "24h", "7d". */
static bool read_window(str text, int64_t *ret_ms)
{
    int64_t n;
    bool    days = str_ends(text, S("d"));

    if ((!days && !str_ends(text, S("h"))) || !str_to_i64(str_first(text, text.len - 1), &n) || n < 1 ||
        n > BATCHES_WINDOW_MAX_H)
        return false;
    n = days ? n * 24 : n;
    *ret_ms = n * HOUR_MS;
    return n >= BATCHES_WINDOW_MIN_H && n <= BATCHES_WINDOW_MAX_H;
}

/* Of a name that is there twice, as parsers do it, the last one counts. */
static enum err read_metadata(struct request *rq, yyjson_val *v, struct batch_row *b)
{
    size_t      i, n;
    yyjson_val *key, *value;
    str         description = { 0 };

    b->metadata = S("null");
    if (!v)
        return OK;
    if (!yyjson_is_obj(v) || yyjson_obj_size(v) > BATCHES_METADATA_MAX)
        return fail_batch_metadata(&rq->fault); /* REF: W283 */
    yyjson_obj_foreach(v, i, n, key, value)
    {
        if (!yyjson_is_str(value))
            return fail_batch_metadata(&rq->fault);
        if (str_eq(json_str(key), S("ds_name")))
            b->name = json_str(value);
        else if (str_eq(json_str(key), S("ds_description")))
            description = json_str(value);
        else if (str_eq(json_str(key), S("ds_batch_finish_callback")))
            b->callback = json_str(value);
    }
    if (b->callback.len && !str_starts(b->callback, S("http://")) && !str_starts(b->callback, S("https://")))
        return fail_batch_metadata(&rq->fault);
    if (utf8_count(b->name) > BATCHES_NAME_MAX || utf8_count(description) > BATCHES_DESCRIPTION_MAX)
        return fail_batch_metadata(&rq->fault);
    b->metadata = json_text(rq->arena, v);
    return OK;
}

/* REF: W280: a file of the account whose purpose is batch. */
SUSPENDS static enum err read_input(struct request *rq, yyjson_val *v, struct batch_row *b)
{
    struct file_row f;
    enum err        e = json_str(v).len ? file_get(rq, json_str(v), &f) : ERR_FAULT;

    if (e && e != ERR_FAULT)
        return e;
    if (e || file_purpose_of(f.purpose) != FILE_BATCH) {
        rq->fault = (struct fault){ 0 };
        return fail_batch_input_unknown(&rq->fault, json_str(v));
    }
    b->input_file = f.id;
    b->input_hash = f.hash;
    return OK;
}

enum err batch_create(struct request *rq, yyjson_val *body, struct batch_row *ret)
{
    struct batch_create c = { .row = { .workspace = rq->workspace,
                                       .key = rq->key_id,
                                       .endpoint = json_str(json_get(body, "endpoint")),
                                       .window = json_str(json_get(body, "completion_window")),
                                       .status = BATCH_VALIDATING,
                                       .created_ms = clock_unix_ms() } };
    char                uuid[UUID_LEN + 1];
    int64_t             window_ms;
    enum err            e;

    might_suspend();
    if (!is_one_of(c.row.endpoint, BATCHES_ENDPOINTS) && !str_eq(c.row.endpoint, BATCHES_TEST_ENDPOINT))
        return fail_batch_endpoint(&rq->fault); /* REF: W282 */
    if (!read_window(c.row.window, &window_ms))
        return fail_batch_window(&rq->fault); /* REF: W281 */
    e = read_metadata(rq, json_get(body, "metadata"), &c.row);
    if (!e)
        e = read_input(rq, json_get(body, "input_file_id"), &c.row);
    if (e)
        return e;
    rand_uuid(uuid, '4');
    c.row.id = arena_printf(rq->arena, "batch_%s", uuid);
    c.row.until_ms = c.row.created_ms + window_ms;
    e = store_run(rq->services->store, batch_create_job, &c);
    if (e)
        return e;
    batch_runner_wake(rq->services->batches);
    *ret = c.row;
    return OK;
}

static struct batch_get getting(struct request *rq, str id)
{
    return (struct batch_get){ .arena = rq->arena,
                               .id = id,
                               .workspace = rq->settings->files.per_workspace ? rq->workspace : (str){ 0 },
                               .since_ms = clock_unix_ms() - rq->settings->batches.keep_ms };
}

enum err batch_get(struct request *rq, str id, struct batch_row *ret)
{
    struct batch_get g = getting(rq, id);
    enum err         e = store_run(rq->services->store, batch_get_job, &g);

    *ret = g.row;
    return e == ERR_NOT_FOUND ? fail_batch_not_found(&rq->fault, id) : e; /* REF: W284 */
}

enum err batch_cancel(struct request *rq, str id, struct batch_row *ret)
{
    struct batch_cancel c = { .get = getting(rq, id) };
    enum err            e = store_run(rq->services->store, batch_cancel_job, &c);

    if (e == ERR_NOT_FOUND)
        return fail_batch_not_found(&rq->fault, id); /* REF: W284 */
    if (e == ERR_INVALID)
        return fail_batch_at_end(&rq->fault, c.get.row.status); /* REF: W285 */
    batch_runner_wake(rq->services->batches);
    *ret = c.get.row;
    return e;
}

enum err batch_list(struct request *rq, struct batch_list *l)
{
    struct batch_get g = getting(rq, l->after);
    enum err         e;

    l->arena = rq->arena;
    l->workspace = g.workspace;
    if (l->from_ms < g.since_ms)
        l->from_ms = g.since_ms;
    e = store_run(rq->services->store, batch_list_job, l);
    return e == ERR_NOT_FOUND ? fail_batch_not_found(&rq->fault, l->after) : e; /* REF: W284 */
}

static void add_text(struct buf *b, str key, str text)
{
    buf_add(b, key);
    if (text.len)
        json_add_str(b, text);
    else
        buf_add(b, S("null"));
}

static void add_time(struct buf *b, str key, int64_t ms)
{
    if (ms) {
        json_add_count(b, key, ms / 1000);
    } else {
        buf_add(b, key);
        buf_add(b, S("null"));
    }
}

void batch_add_object(struct buf *b, const struct batch_row *row)
{
    add_text(b, S("{\"id\":"), row->id);
    add_text(b, S(",\"object\":\"batch\",\"endpoint\":"), row->endpoint);
    buf_add(b, S(",\"errors\":"));
    buf_add(b, row->errors.len ? row->errors : S("null"));
    add_text(b, S(",\"input_file_id\":"), row->input_file);
    add_text(b, S(",\"completion_window\":"), row->window);
    add_text(b, S(",\"status\":"), row->status);
    add_text(b, S(",\"output_file_id\":"), row->output_file);
    add_text(b, S(",\"error_file_id\":"), row->error_file);
    add_time(b, S(",\"created_at\":"), row->created_ms);
    add_time(b, S(",\"in_progress_at\":"), row->in_progress_ms);
    buf_add(b, S(",\"expires_at\":null"));
    add_time(b, S(",\"finalizing_at\":"), row->finalizing_ms);
    add_time(b, S(",\"completed_at\":"), row->completed_ms);
    add_time(b, S(",\"failed_at\":"), row->failed_ms);
    add_time(b, S(",\"expired_at\":"), row->expired_ms);
    add_time(b, S(",\"cancelling_at\":"), row->cancelled_ms);
    add_time(b, S(",\"cancelled_at\":"), row->cancelled_ms);
    json_add_count(b, S(",\"request_counts\":{\"total\":"), row->total);
    json_add_count(b, S(",\"completed\":"), row->completed);
    json_add_count(b, S(",\"failed\":"), row->failed);
    buf_add(b, S("},\"metadata\":"));
    buf_add(b, row->metadata);
    buf_add_char(b, '}');
}

enum err batch_check_chat(struct request *rq, const struct model *m)
{
    bool own = !model_find(m->id);

    return own || is_one_of(m->id, BATCHES_CHAT_MODELS)
               ? OK
               : fail_batch_model_unsupported(&rq->fault, m->id); /* REF: E197 */
}

enum err batches_forget(struct services *s)
{
    might_suspend();
    return store_run(s->store, batch_reset_job, NULL);
}
