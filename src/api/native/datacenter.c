/* datacenter.c - /api/v1/datacenter/…: files for knowledge bases, as llama_index and Spring AI bring them. Spec: platform.md §4.8.
 *
 *     upload_lease ---> PUT /datacenter/upload/LEASE ---> add_file ---> query, until it is read
 *                                                            download_lease ---> GET /datacenter/download/LEASE: its text, as JSON
 *
 * They are files of the account (service/files.h) to be read; categories are names, and change nothing. Who has a lease needs no key, as
 * with an object store: it is a secret of ten minutes.
 */
#include "api/native/native.h"
#include "api/reply.h"
#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "contract/base64.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "contract/knowledge_params.gen.h"
#include "engine/document/facts.h"
#include "loop/lane.h"
#include "net/http_server.h"
#include "service/files.h"
#include "service/task_output.h"
#include "store/documents.h"
#include "store/knowledge.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define LEASE_LEN 32
#define MD5_BYTES 16

static void begin(struct request *rq, struct buf *b)
{
    buf_init(b, rq->arena, SIZE_MAX / 2);
    buf_addf(b, "{\"code\":\"Success\",\"status\":\"SUCCESS\",\"message\":\"success\",\"request_id\":\"%s\",\"data\":{",
             rq->id);
}

static void add_member(struct buf *b, const char *name, str value)
{
    buf_addf(b, "%s\"%s\":", b->ptr[b->len - 1] == '{' ? "" : ",", name);
    json_add_str(b, value);
}

SUSPENDS static enum err reply(struct request *rq, struct buf *b)
{
    buf_add(b, S("}}"));
    return reply_json_managed(rq, buf_str(b));
}

static enum err refuse(struct request *rq, str name)
{
    return fail_parameter_missing_named(&rq->fault, name);
}

static enum err refuse_store(struct request *rq)
{
    (void)fail_internal_server_error(&rq->fault);
    return fault_detail(&rq->fault, S("the store cannot be read or written"));
}

/* ---- leases ---- */

SUSPENDS static enum err lease_make(struct request *rq, struct knowledge_lease *l)
{
    char         *id = arena_bytes(rq->arena, LEASE_LEN);
    unsigned char bytes[LEASE_LEN / 2];

    rand_secret(bytes, sizeof(bytes));
    num_hex(id, bytes, sizeof(bytes));
    l->id = str_of(id, LEASE_LEN);
    l->arena = rq->arena;
    l->workspace = rq->workspace;
    l->now_ms = clock_unix_ms();
    l->until_ms = l->now_ms + KNOWLEDGE_LEASE_LIFE_MS;
    return store_run(rq->services->store, knowledge_lease_put_job, l) ? refuse_store(rq) : OK;
}

/* ERR_NOT_FOUND: there is none. */
SUSPENDS static enum err lease_get(struct request *rq, str id, str workspace, struct knowledge_lease *ret)
{
    *ret = (struct knowledge_lease){ .arena = rq->arena, .id = id, .workspace = workspace, .now_ms = clock_unix_ms() };
    return store_run(rq->services->store, knowledge_lease_get_job, ret);
}

SUSPENDS static enum err upload_lease(struct request *rq, yyjson_val *root)
{
    struct knowledge_lease l = { .name = json_str(json_get(root, "file_name")),
                                 .md5 = json_str(json_get(root, "content_md5")) };
    struct buf             b;
    enum err               e;

    if (!l.name.len)
        return refuse(rq, S("file_name"));
    if (!json_to_i64(json_get(root, "size_bytes"), &l.size) || l.size < 0)
        return refuse(rq, S("size_bytes"));
    e = lease_make(rq, &l);
    if (e)
        return e;
    begin(rq, &b);
    add_member(&b, "lease_id", l.id);
    add_member(&b, "type", S("OSS.PreSignedUrl"));
    buf_add(&b, S(",\"param\":{"));
    add_member(&b, "url",
               arena_printf(rq->arena, "%.*s/datacenter/upload/%.*s", STR_ARG(request_base(rq)), STR_ARG(l.id)));
    add_member(&b, "method", S("PUT"));
    buf_add(&b, S(",\"headers\":{"));
    add_member(&b, "X-bailian-extra", l.id);
    add_member(&b, "Content-Type", S(""));
    buf_add(&b, S("}}"));
    return reply(rq, &b);
}

/* Whether the file is what was announced: an MD5 is said in hexadecimal digits, or in Base64. */
static bool md5_fits(struct request *rq, str said, str is)
{
    char       bytes[MD5_BYTES];
    struct buf b;

    if (!said.len || str_eq(said, is))
        return true;
    if (said.len != (size_t)2 * MD5_BYTES)
        return false;
    for (size_t i = 0; i < MD5_BYTES; i++) {
        char digits[3] = { said.ptr[2 * i], said.ptr[2 * i + 1], 0 }, *end;
        long v = strtol(digits, &end, 16);

        if (end != digits + 2)
            return false;
        bytes[i] = (char)v;
    }
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    base64_add(&b, str_of(bytes, sizeof(bytes)));
    return str_eq(buf_str(&b), is);
}

SUSPENDS static enum err take(struct request *rq, struct knowledge_lease *l, struct file_coming *f)
{
    struct file_row row;
    enum err        e = file_begin(rq, l->name, l->size, FILE_DOCUMENT, false, f);

    while (!e) {
        str piece;

        e = http_body_next(rq->x, &piece);
        if (e || !piece.len)
            break;
        e = file_write(rq, f, piece);
    }
    if (!e)
        e = file_end(rq, f);
    if (!e && !md5_fits(rq, l->md5, str_of(f->content.md5_text, BLOB_MD5_LEN)))
        e = refuse(rq, S("content_md5"));
    if (!e)
        e = file_keep(rq, f, FILE_DOCUMENT, (str){ 0 }, &row);
    if (e)
        return e;
    l->file = row.id;
    e = store_run(rq->services->store, knowledge_lease_fill_job, l);
    if (e == ERR_NOT_FOUND) /* it has been filled meanwhile, or forgotten */
        (void)file_delete(rq, row.id);
    return e ? refuse(rq, S("lease_id")) : OK;
}

enum err handle_datacenter_upload(struct request *rq)
{
    str                    path = http_path(rq->x);
    struct knowledge_lease l;
    struct file_coming     f = { 0 };
    enum err               e;

    might_suspend();
    for (int i = 0; i < 3; i++) /* "", "datacenter", "upload" */
        (void)str_cut(&path, '/');
    e = lease_get(rq, path, (str){ 0 }, &l);
    if (e || l.file.len)
        return refuse(rq, S("lease_id"));
    rq->workspace = l.workspace;
    rq->action = "taking a file for a knowledge base";
    e = take(rq, &l, &f);
    file_drop(&f);
    return e ? e : reply_empty(rq, 200);
}

/* ---- files ---- */

SUSPENDS static enum err add_file(struct request *rq, yyjson_val *root)
{
    str                    parser = json_str(json_get(root, "parser"));
    struct knowledge_lease l;
    struct buf             b;
    enum err               e = lease_get(rq, json_str(json_get(root, "lease_id")), rq->workspace, &l);

    if (e || !l.file.len)
        return refuse(rq, S("lease_id"));
    begin(rq, &b);
    add_member(&b, "file_id", l.file);
    add_member(&b, "parser", parser.len ? parser : KNOWLEDGE_PARSER);
    return reply(rq, &b);
}

SUSPENDS static enum err find(struct request *rq, str id, struct document_named *ret)
{
    struct document_find f = { .arena = rq->arena, .workspace = rq->workspace, .all = ret, .count = 1 };

    *ret = (struct document_named){ .id = id };
    if (store_run(rq->services->store, document_find_job, &f))
        return refuse_store(rq);
    return ret->known && !ret->file.deleted ? OK : refuse(rq, S("file_id"));
}

static bool has_text(const struct document_row *d)
{
    return d->read && str_eq(d->verdict, str_from_cstr(document_verdict_name(DOCUMENT_OK)));
}

static str ending_of(str name)
{
    for (size_t i = name.len; i > 0; i--) {
        if (name.ptr[i - 1] == '.')
            return str_from(name, i);
    }
    return (str){ 0 };
}

SUSPENDS static enum err query(struct request *rq, str category, str id)
{
    struct document_named n;
    struct file_row       row;
    struct buf            b;
    enum err              e = find(rq, id, &n);

    if (!e)
        e = file_get(rq, id, &row);
    if (e)
        return e;
    begin(rq, &b);
    add_member(&b, "category", category);
    add_member(&b, "file_id", id);
    add_member(&b, "file_name", row.name);
    add_member(&b, "file_type", ending_of(row.name));
    add_member(&b, "parser", KNOWLEDGE_PARSER);
    json_add_count(&b, S(",\"size_bytes\":"), row.size);
    add_member(&b, "status",
               !n.document.read        ? S("PARSING")
               : has_text(&n.document) ? S("PARSE_SUCCESS")
                                       : S("PARSE_FAILED"));
    buf_add(&b, S(",\"upload_time\":"));
    task_time_add(&b, row.created_ms, false);
    return reply(rq, &b);
}

SUSPENDS static enum err download_lease(struct request *rq, str id)
{
    struct document_named  n;
    struct knowledge_lease l = { .file = id };
    struct buf             b;
    enum err               e = find(rq, id, &n);

    if (!e && !has_text(&n.document))
        e = refuse(rq, S("file_id"));
    if (!e) {
        l.name = n.file.name;
        l.size = n.file.size;
        e = lease_make(rq, &l);
    }
    if (e)
        return e;
    begin(rq, &b);
    add_member(&b, "file_id", id);
    add_member(&b, "file_name", n.file.name);
    add_member(&b, "lease_id", l.id);
    add_member(&b, "type", S("HTTP"));
    buf_add(&b, S(",\"param\":{"));
    add_member(&b, "url",
               arena_printf(rq->arena, "%.*s/datacenter/download/%.*s", STR_ARG(request_base(rq)), STR_ARG(l.id)));
    add_member(&b, "method", S("GET"));
    buf_add(&b, S(",\"headers\":{}}"));
    return reply(rq, &b);
}

/* ---- the text of one ---- */

struct reading {
    int     fd;
    char   *text; /* malloc()ed */
    size_t  len;
    int64_t size;
};

static void read_job(void *arg)
{
    struct reading *r = arg;

    r->text = xmalloc((size_t)r->size + 1);
    while (r->len < (size_t)r->size) {
        ssize_t n = read(r->fd, r->text + r->len, (size_t)r->size - r->len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        r->len += (size_t)n;
    }
    close(r->fd);
}

static void free_text(void *arg)
{
    free(((struct reading *)arg)->text);
}

enum err handle_datacenter_download(struct request *rq)
{
    str                    path = http_path(rq->x);
    struct reading        *r = arena_new(rq->arena, struct reading);
    struct knowledge_lease l;
    struct document_named  n;
    struct buf             b;
    enum err               e;

    might_suspend();
    for (int i = 0; i < 3; i++) /* "", "datacenter", "download" */
        (void)str_cut(&path, '/');
    e = lease_get(rq, path, (str){ 0 }, &l);
    if (e || !l.file.len)
        return refuse(rq, S("lease_id"));
    rq->workspace = l.workspace;
    e = find(rq, l.file, &n);
    if (!e && (!has_text(&n.document) || file_open(rq->services, n.document.text, &r->fd, &r->size)))
        e = refuse(rq, S("file_id"));
    if (e)
        return e;
    lane_run(rq->services->files, read_job, r);
    arena_defer(rq->arena, free_text, r);
    if (r->len < (size_t)r->size)
        return refuse_store(rq);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add_char(&b, '{');
    add_member(&b, "doc_id", l.file);
    add_member(&b, "doc_name", n.file.name);
    add_member(&b, "text", str_of(r->text, r->len));
    buf_add_char(&b, '}');
    return reply_json(rq, buf_str(&b));
}

/* ---- the handler ---- */

enum err handle_native_datacenter(struct request *rq)
{
    str         rest = http_path(rq->x), category, what, id;
    yyjson_val *root;
    enum err    e;

    might_suspend();
    for (int i = 0; i < 5; i++) /* "", "api", "v1", "datacenter", "category" */
        (void)str_cut(&rest, '/');
    category = str_cut(&rest, '/');
    what = str_cut(&rest, '/');
    id = str_cut(&rest, '/');
    e = category.len ? request_json(rq, &root) : fail_path_not_found(&rq->fault);
    if (e)
        return e;
    if (str_eq(what, S("upload_lease")) && !id.len)
        return upload_lease(rq, root);
    if (str_eq(what, S("add_file")) && !id.len)
        return add_file(rq, root);
    if (str_eq(what, S("file")) && str_eq(rest, S("query")))
        return query(rq, category, id);
    if (str_eq(what, S("file")) && str_eq(rest, S("download_lease")))
        return download_lease(rq, id);
    return fail_path_not_found(&rq->fault);
}
