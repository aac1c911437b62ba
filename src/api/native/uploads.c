/* uploads.c - GET /api/v1/uploads gives a policy, POST /uploads takes a form with it. Spec: media.md §2.
 *
 * The second answers as an object store does: nothing when it is good, XML when it is not.
 */
#include "service/uploads.h"

#include "api/account_rate.h"
#include "api/native/native.h"
#include "api/reply.h"
#include "contract/errors.gen.h"
#include "net/http_server.h"
#include "net/multipart.h"

#define FIELDS_MAX ((size_t)32 * 1024) /* bytes of all fields beside the file */

/* ---- the policy ---- */

/* REF: E039, E031. */
static enum err read_query(struct request *rq)
{
    str action, model;

    if (!http_query_get(rq->x, S("action"), &action) || !str_eq(action, S("getPolicy")))
        return fail_parameter_missing_named(&rq->fault, S("action"));
    if (!http_query_get(rq->x, S("model"), &model) || !model.len)
        return fail_parameter_missing_named(&rq->fault, S("model"));
    rq->model_name = model;
    return request_model(rq, model) ? OK : fail_model_not_found_native(&rq->fault);
}

static void add_member(struct buf *b, str name, str value)
{
    buf_addf(b, ",\"%.*s\":", STR_ARG(name));
    json_add_str(b, value);
}

enum err handle_native_uploads(struct request *rq)
{
    const struct request_uploads *s = &rq->settings->uploads;
    struct upload_policy          p;
    struct buf                    b;
    enum err                      e = read_query(rq);

    if (!e)
        e = account_rate_admit(rq, arena_printf(rq->arena, "uploads %.*s", STR_ARG(rq->model_name)), s->rate, 1000);
    if (e)
        return e;
    upload_policy_make(rq, &p);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_addf(&b, "{\"request_id\":\"%s\",\"data\":{\"policy\":", rq->id);
    json_add_str(&b, p.policy);
    add_member(&b, S("signature"), p.signature);
    add_member(&b, S("upload_dir"), p.folder);
    add_member(&b, S("upload_host"), arena_printf(rq->arena, "%.*s/uploads", STR_ARG(request_base(rq))));
    json_add_count(&b, S(",\"expire_in_seconds\":"), s->policy_ms / 1000);
    json_add_count(&b, S(",\"max_file_size_mb\":"), (s->file_max + (1 << 20) - 1) >> 20);
    json_add_count(&b, S(",\"capacity_limit_mb\":"), s->capacity >> 20);
    add_member(&b, S("oss_access_key_id"), p.access_key);
    add_member(&b, S("x_oss_object_acl"), UPLOAD_ACL);
    add_member(&b, S("x_oss_forbid_overwrite"), UPLOAD_OVERWRITE);
    buf_add(&b, S("}}"));
    return reply_json_managed(rq, buf_str(&b));
}

/* ---- the form ---- */

struct reading {
    struct request    *rq;
    struct multipart   form;
    struct upload_form fields;
    struct upload      upload;
    str                status; /* success_action_status */
    str                name;   /* of the field that is read */
    struct buf         value;
    size_t             size; /* of all fields */
    bool               has_file, ended;
};

/* Where the value of a field goes; NULL: nobody asks for it. */
static str *place_of(struct reading *r, str name)
{
    const struct {
        str  name;
        str *to;
    } places[] = {
        { S("OSSAccessKeyId"), &r->fields.access_key },
        { S("Signature"), &r->fields.signature },
        { S("policy"), &r->fields.policy },
        { S("key"), &r->fields.key },
        { S("x-oss-object-acl"), &r->fields.acl },
        { S("x-oss-forbid-overwrite"), &r->fields.overwrite },
        { S("x-oss-content-type"), &r->fields.type },
        { S("success_action_status"), &r->status },
    };

    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (str_eq_nocase(name, places[i].name)) /* "signature", some write */
            return places[i].to;
    }
    return NULL;
}

static void end_field(struct reading *r)
{
    str *place = r->name.len ? place_of(r, r->name) : NULL;

    if (place)
        *place = arena_str(r->rq->arena, buf_str(&r->value));
    buf_reset(&r->value);
    r->name = (str){ 0 };
}

SUSPENDS static enum err begin_part(struct reading *r, str name)
{
    int64_t size = http_request(r->rq->x)->content_length; /* of all of the form: a little more than the file has */

    end_field(r);
    if (r->has_file) {
        r->ended = true; /* what stands behind the file is ignored */
        return OK;
    }
    if (!str_eq(name, S("file"))) {
        r->name = arena_str(r->rq->arena, name);
        r->size += name.len;
        return OK;
    }
    r->has_file = true;
    r->rq->action = "taking an upload";
    return upload_begin(r->rq, &r->fields, size, &r->upload);
}

SUSPENDS static enum err take(struct reading *r, str bytes)
{
    if (r->has_file)
        return upload_write(r->rq, &r->upload, bytes);
    r->size += bytes.len;
    if (r->size > FIELDS_MAX)
        return fail_upload_malformed(&r->rq->fault);
    buf_add(&r->value, bytes);
    return OK;
}

SUSPENDS static enum err take_piece(struct reading *r, str bytes)
{
    enum err e = OK;

    while (!e && !r->ended) {
        str                  what;
        enum multipart_event ev = multipart_next(&r->form, &bytes, &what);

        switch (ev) {
        case MULTIPART_MORE:
            return OK;
        case MULTIPART_PART:
            e = begin_part(r, what);
            break;
        case MULTIPART_DATA:
            e = take(r, what);
            break;
        case MULTIPART_END:
            end_field(r);
            r->ended = true;
            break;
        case MULTIPART_BAD:
            return fail_upload_malformed(&r->rq->fault); /* REF: W241 */
        }
    }
    return e;
}

SUSPENDS static enum err read_form(struct reading *r)
{
    struct request *rq = r->rq;
    enum err        e = OK;
    str             piece;

    if (!multipart_init(&r->form, request_header(rq, S("content-type")), rq->arena))
        return fail_upload_malformed(&rq->fault);
    buf_init(&r->value, rq->arena, FIELDS_MAX + 1);
    while (!e && !r->ended) {
        e = http_body_next(rq->x, &piece);
        if (!e && !piece.len)
            return fail_upload_malformed(&rq->fault);
        if (!e)
            e = take_piece(r, piece);
    }
    if (!e && !r->has_file)
        return fail_upload_field_missing(&rq->fault, S("file"));
    return e ? e : upload_keep(rq, &r->upload);
}

static void add_xml(struct buf *b, str text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '&' || c == '<' || c == '>' || c == '"')
            buf_add(b, c == '&' ? S("&amp;") : c == '<' ? S("&lt;") : c == '>' ? S("&gt;") : S("&quot;"));
        else
            buf_add_char(b, (unsigned char)c < ' ' ? ' ' : c);
    }
}

SUSPENDS static enum err answer_fault(struct request *rq)
{
    struct http_field fields[] = { { S("content-type"), S("application/xml") },
                                   { S("x-request-id"), str_of(rq->id, UUID_LEN) } };
    struct fault_view v;
    struct buf        b;

    fault_render(&rq->fault, &rq->settings->wording, rq->arena, &v);
    buf_init(&b, rq->arena, SIZE_MAX / 2);
    buf_add(&b, S("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error>\n  <Code>"));
    add_xml(&b, v.code);
    buf_add(&b, S("</Code>\n  <Message>"));
    add_xml(&b, v.message);
    buf_addf(&b, "</Message>\n  <RequestId>%s</RequestId>\n  <HostId>", rq->id);
    add_xml(&b, request_header(rq, S("host")));
    buf_add(&b, S("</HostId>\n</Error>\n"));
    return http_answer(rq->x, v.status, fields, ARRAY_LEN(fields), buf_str(&b));
}

enum err handle_upload_form(struct request *rq)
{
    struct reading *r = arena_new(rq->arena, struct reading);
    enum err        e;

    r->rq = rq;
    r->upload.fd = -1;
    request_phase(rq, PHASE_BODY);
    e = read_form(r);
    request_phase(rq, PHASE_REPLY);
    upload_drop(&r->upload); /* unless it has been kept */
    if (e == ERR_FAULT)
        return answer_fault(rq);
    return e ? e : reply_empty(rq, str_eq(r->status, S("200")) ? 200 : str_eq(r->status, S("201")) ? 201 : 204);
}
