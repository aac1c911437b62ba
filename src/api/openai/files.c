/* files.c - /compatible-mode/v1/files.
 *
 *   POST GET /files     GET DELETE /files/{id}     GET /files/{id}/content
 *
 * Spec: platform.md §1.1-§1.3.
 */
#include "service/files.h"

#include "api/account_rate.h"
#include "api/file_form.h"
#include "api/list_time.h"
#include "api/openai/openai.h"
#include "api/openai/stored.h"
#include "api/reply.h"
#include "api/send_file.h"
#include "contract/errors.gen.h"
#include "contract/files_params.gen.h"
#include "net/http_server.h"

static void add_file(struct buf *b, const struct file_row *f)
{
    buf_add(b, S("{\"id\":"));
    json_add_str(b, f->id);
    json_add_count(b, S(",\"object\":\"file\",\"bytes\":"), f->size);
    buf_add(b, S(",\"filename\":"));
    json_add_str(b, f->name);
    buf_add(b, S(",\"purpose\":"));
    json_add_str(b, f->purpose);
    json_add_count(b, S(",\"status\":\"processed\",\"created_at\":"), f->created_ms / 1000);
    buf_add(b, S(",\"status_details\":null}"));
}

SUSPENDS static enum err reply_file(struct request *rq, const struct file_row *f)
{
    struct buf b;

    buf_init(&b, rq->arena, SIZE_MAX / 2);
    add_file(&b, f);
    return reply_json(rq, buf_str(&b));
}

SUSPENDS static enum err admit(struct request *rq)
{
    return account_rate_admit(rq, S("files"), rq->settings->files.rate, 1000);
}

/* ---- an upload ---- */

SUSPENDS static enum err upload(struct request *rq)
{
    struct file_form form = { 0 };
    struct file_row  row;
    enum err         e = account_rate_admit(rq, S("files upload"), rq->settings->files.upload_rate, 1000);

    if (!e)
        e = file_form_read(rq, false, &form);
    if (!e)
        e = file_keep(rq, &form.files[0].coming, file_purpose_of(form.purpose), (str){ 0 }, &row);
    file_form_drop(&form);
    return e ? e : reply_file(rq, &row);
}

/* ---- a list ---- */

static enum err read_query(struct request *rq, struct file_list *l)
{
    str  rest = http_query(rq->x);
    bool good = true;

    while (rest.len) {
        str pair = str_cut(&rest, '&'), name = str_cut(&pair, '='), value = http_unescape(rq->arena, pair);

        if (!value.len)
            continue;
        if (str_eq(name, S("after")))
            l->after = value;
        else if (str_eq(name, S("purpose")))
            good = file_purpose_of(l->purpose = value) != FILE_PURPOSE_NONE;
        else if (str_eq(name, S("limit")))
            good = str_to_i64(value, &l->limit) && l->limit >= 1 && l->limit <= FILES_PAGE_MAX;
        else if (str_eq(name, S("create_after")))
            good = list_time_read(value, &l->from_ms);
        else if (str_eq(name, S("create_before")))
            good = list_time_read(value, &l->to_ms);
        if (!good)
            return fail_parameter_missing_named(&rq->fault, name); /* REF: E039 */
    }
    return OK;
}

SUSPENDS static enum err list(struct request *rq)
{
    struct file_list l = { .limit = FILES_PAGE };
    struct buf       b;
    enum err         e = admit(rq);

    if (!e)
        e = read_query(rq, &l);
    if (!e)
        e = file_list(rq, &l);
    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"object\":\"list\",\"data\":["));
    for (size_t i = 0; i < l.count; i++) {
        if (i)
            buf_add_char(&b, ',');
        add_file(&b, &l.rows[i]);
    }
    buf_add(&b, l.more ? S("],\"has_more\":true}") : S("],\"has_more\":false}"));
    return reply_json(rq, buf_str(&b));
}

enum err handle_openai_files(struct request *rq)
{
    return str_eq(http_request(rq->x)->method, S("POST")) ? upload(rq) : list(rq);
}

/* ---- one ---- */

SUSPENDS static enum err remove_file(struct request *rq, str id)
{
    struct buf b;
    enum err   e = file_delete(rq, id);

    if (e)
        return e;
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("{\"id\":"));
    json_add_str(&b, id);
    buf_add(&b, S(",\"object\":\"file\",\"deleted\":true}"));
    return reply_json(rq, buf_str(&b));
}

SUSPENDS static enum err content(struct request *rq, const struct file_row *f)
{
    int64_t  size;
    int      fd;
    enum err e;

    if (file_purpose_of(f->purpose) != FILE_OUTPUT)
        return fail_file_content_closed(&rq->fault, f->purpose); /* REF: W263 */
    e = file_open(rq->services, f->hash, &fd, &size);
    if (e == ERR_NOT_FOUND)
        return file_fail_not_found(rq); /* deleted meanwhile */
    return e ? e : send_file(rq, fd, size, S("application/octet-stream"));
}

enum err handle_openai_file(struct request *rq)
{
    str             method = http_request(rq->x)->method;
    str             rest = stored_path(rq, S("/files/"));
    str             id = str_cut(&rest, '/');
    struct file_row row;
    enum err        e;

    if (rest.len && !str_eq(rest, S("content")))
        return fail_path_not_found(&rq->fault);
    if (rest.len && str_eq(method, S("DELETE")))
        return fail_method_unsupported(&rq->fault, method); /* REF: E017 */
    e = admit(rq);
    if (!e && str_eq(method, S("DELETE")))
        return remove_file(rq, id);
    if (!e)
        e = file_get(rq, id, &row);
    if (e)
        return e;
    return rest.len ? content(rq, &row) : reply_file(rq, &row);
}
