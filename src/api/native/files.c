/* files.c - /api/v1/files: the account's files as the native API tells them. Spec: platform.md §1.6. */
#include "service/files.h"

#include "api/account_rate.h"
#include "api/file_form.h"
#include "api/list_time.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "base/clock.h"
#include "contract/errors.gen.h"
#include "contract/files_params.gen.h"
#include "contract/lists_params.gen.h"
#include "net/http_server.h"
#include "service/task_output.h"
#include "store/results.h"

static void add_member(struct buf *b, str name, str value)
{
    buf_addf(b, ",\"%.*s\":", STR_ARG(name));
    json_add_str(b, value);
}

static void begin(struct request *rq, struct buf *b)
{
    buf_init(b, rq->arena, SIZE_MAX / 2);
    buf_addf(b, "{\"request_id\":\"%s\"", rq->id);
}

SUSPENDS static enum err admit(struct request *rq)
{
    return account_rate_admit(rq, S("files"), rq->settings->files.rate, 1000);
}

/* ---- an upload ---- */

static void add_refused(struct request *rq, struct buf *b, const struct form_file *f)
{
    struct fault_view v;

    fault_render(&f->fault, &rq->settings->wording, rq->arena, &v);
    buf_add(b, S("{\"name\":"));
    json_add_str(b, f->coming.name);
    add_member(b, S("code"), v.code);
    add_member(b, S("message"), v.message);
    buf_add_char(b, '}');
}

/* Without a purpose, as the Python SDK sends it, files are for training. */
SUSPENDS static enum err keep(struct request *rq, const struct file_form *form, struct form_file *f, struct buf *b)
{
    enum file_purpose purpose = form->purpose.len ? file_purpose_of(form->purpose) : FILE_TUNING;
    struct file_row   row;
    enum err          e = file_keep(rq, &f->coming, purpose, f->description, &row);

    if (e == ERR_FAULT && (rq->fault.row == &error_rows[ERROR_FILE_TOO_LARGE_UPLOAD] ||
                           rq->fault.row == &error_rows[ERROR_INPUT_FORMAT_UNSUPPORTED])) {
        f->fault = rq->fault;
        rq->fault = (struct fault){ 0 };
        return OK;
    }
    if (e)
        return e;
    if (b->ptr[b->len - 1] == '}')
        buf_add_char(b, ',');
    buf_add(b, S("{\"file_id\":"));
    json_add_str(b, row.id);
    add_member(b, S("name"), row.name);
    buf_add_char(b, '}');
    return OK;
}

SUSPENDS static enum err reply_upload(struct request *rq, struct file_form *form)
{
    struct buf b;
    enum err   e = OK;
    bool       first = true;

    begin(rq, &b);
    buf_add(&b, S(",\"data\":{\"uploaded_files\":["));
    for (size_t i = 0; i < form->file_count && !e; i++) {
        if (!fault_is_set(&form->files[i].fault))
            e = keep(rq, form, &form->files[i], &b);
    }
    if (e)
        return e;
    buf_add(&b, S("],\"failed_uploads\":["));
    for (size_t i = 0; i < form->file_count; i++) {
        if (!fault_is_set(&form->files[i].fault))
            continue;
        if (!first)
            buf_add_char(&b, ',');
        first = false;
        add_refused(rq, &b, &form->files[i]);
    }
    buf_add(&b, S("]}}"));
    return reply_json_managed(rq, buf_str(&b));
}

SUSPENDS static enum err upload(struct request *rq)
{
    struct file_form form = { 0 };
    enum err         e = account_rate_admit(rq, S("files upload"), rq->settings->files.upload_rate, 1000);

    if (!e)
        e = file_form_read(rq, true, &form);
    if (!e)
        e = reply_upload(rq, &form);
    file_form_drop(&form);
    return e;
}

/* ---- a list, and one ---- */

static void add_file(struct request *rq, struct buf *b, const struct file_row *f)
{
    char    made[LIST_TIME_LEN + 1];
    int64_t until_s = clock_unix_ms() / 1000 + FILES_URL_LIFE_S;

    list_time_write(made, f->created_ms);
    json_add_count(b, S("{\"id\":"), f->number);
    add_member(b, S("file_id"), f->id);
    add_member(b, S("name"), f->name);
    add_member(b, S("description"), f->description);
    json_add_count(b, S(",\"size\":"), f->size);
    add_member(b, S("md5"), f->md5);
    add_member(b, S("gmt_create"), str_from_cstr(made));
    add_member(b, S("url"),
               results_url(rq->services->results, request_base(rq), RESULTS_ACCOUNT, f->id, until_s, rq->arena));
    add_member(b, S("region"), task_region(rq->settings));
    buf_add(b, S(",\"user_id\":\"1\"")); /* one account a server */
    add_member(b, S("api_key_id"), f->key);
    add_member(b, S("purpose"), f->purpose);
    buf_add_char(b, '}');
}

static enum err read_number(struct request *rq, str name, int64_t max, int64_t *n)
{
    str text;

    if (!http_query_get(rq->x, name, &text) || !text.len)
        return OK;
    return str_to_i64(text, n) && *n >= 1 && *n <= max ? OK : fail_parameter_missing_named(&rq->fault, name);
}

SUSPENDS static enum err list(struct request *rq)
{
    struct file_list l = { .limit = LISTS_PAGE };
    int64_t          page = 1;
    struct buf       b;
    enum err         e = admit(rq);

    if (!e)
        e = read_number(rq, S("page_no"), INT32_MAX, &page);
    if (!e)
        e = read_number(rq, S("page_size"), LISTS_PAGE_MAX, &l.limit);
    l.offset = (page - 1) * l.limit;
    if (!e)
        e = file_list(rq, &l);
    if (e)
        return e;
    begin(rq, &b);
    json_add_count(&b, S(",\"data\":{\"total\":"), l.total);
    json_add_count(&b, S(",\"page_size\":"), l.limit);
    json_add_count(&b, S(",\"page_no\":"), page);
    buf_add(&b, S(",\"files\":["));
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(&b, ',');
        add_file(rq, &b, &l.rows[i]);
    }
    buf_add(&b, S("]}}"));
    return reply_json_managed(rq, buf_str(&b));
}

enum err handle_native_files(struct request *rq)
{
    return str_eq(http_request(rq->x)->method, S("POST")) ? upload(rq) : list(rq);
}

enum err handle_native_file(struct request *rq)
{
    str             path = http_path(rq->x);
    str             id = http_unescape(rq->arena, str_from(path, str_find_str(path, S("/files/")) + 7));
    struct file_row row;
    struct buf      b;
    enum err        e = admit(rq);

    begin(rq, &b);
    if (!e && str_eq(http_request(rq->x)->method, S("DELETE"))) {
        e = file_delete(rq, id);
    } else if (!e) {
        e = file_get(rq, id, &row);
        if (!e) {
            buf_add(&b, S(",\"data\":"));
            add_file(rq, &b, &row);
        }
    }
    buf_add_char(&b, '}');
    return e ? e : reply_json_managed(rq, buf_str(&b));
}
