/* file_form.c - reads forms of files. Spec: platform.md §1.1, §1.6. */
#include "api/file_form.h"

#include "contract/errors.gen.h"
#include "contract/files_params.gen.h"
#include "net/http_server.h"
#include "net/multipart.h"

#define FIELDS_MAX ((size_t)256 * 1024) /* bytes of all that is no file */

enum part { PART_OTHER, PART_PURPOSE, PART_DESCRIPTION, PART_FILE };

struct reading {
    struct request   *rq;
    struct file_form *form;
    struct multipart  parts;
    bool              native, ended;
    enum part         part;  /* which is being read */
    bool              begun; /* and is a file that is taken */
    struct buf        value; /* of a field */
    size_t            spent; /* bytes of fields and names */
};

static struct form_file *last_file(struct reading *r)
{
    return &r->form->files[r->form->file_count - 1];
}

/* A refusal of one file alone, of which natively the answer says so. */
static enum err refused(struct reading *r, enum err e)
{
    struct request *rq = r->rq;

    if (!r->native || e != ERR_FAULT || rq->fault.row == &error_rows[ERROR_STORAGE_UPLOAD_FAILED])
        return e;
    last_file(r)->fault = rq->fault;
    rq->fault = (struct fault){ 0 };
    r->begun = false;
    return OK;
}

SUSPENDS static enum err end_part(struct reading *r)
{
    struct file_form *f = r->form;
    str               value = arena_str(r->rq->arena, buf_str(&r->value));
    enum part         part = r->part;

    buf_reset(&r->value);
    r->part = PART_OTHER;
    if (part == PART_PURPOSE)
        f->purpose = value;
    else if (part == PART_DESCRIPTION && f->description_count < FILES_FORM_FILES_MAX)
        f->files[f->description_count++].description = value;
    else if (part == PART_FILE && r->begun)
        return refused(r, file_end(r->rq, &last_file(r)->coming));
    return OK;
}

SUSPENDS static enum err begin_file(struct reading *r)
{
    struct request   *rq = r->rq;
    struct form_file *f;
    str               name = multipart_file(&r->parts, rq->arena);
    int64_t           length = http_request(rq->x)->content_length; /* of all of the form */
    enum err          e;

    if (r->form->file_count == (r->native ? FILES_FORM_FILES_MAX : 1))
        return fail_parameter_missing_named(&rq->fault, r->native ? S("files") : S("file"));
    f = &r->form->files[r->form->file_count++];
    r->begun = true;
    rq->action = "taking a file";
    e = file_begin(rq, name, r->native ? 0 : length, file_purpose_of(r->form->purpose), r->native, &f->coming);
    return refused(r, e);
}

SUSPENDS static enum err begin_part(struct reading *r, str name)
{
    enum err e = end_part(r);

    if (e)
        return e;
    r->spent += name.len;
    if (str_eq(name, r->native ? S("files") : S("file")))
        r->part = PART_FILE;
    else if (str_eq(name, S("purpose")))
        r->part = PART_PURPOSE;
    else if (r->native && str_eq(name, S("descriptions")))
        r->part = PART_DESCRIPTION;
    return r->part == PART_FILE ? begin_file(r) : OK;
}

SUSPENDS static enum err take(struct reading *r, str bytes)
{
    if (r->part == PART_FILE)
        return r->begun ? refused(r, file_write(r->rq, &last_file(r)->coming, bytes)) : OK;
    r->spent += bytes.len;
    if (r->spent > FIELDS_MAX)
        return fail_body_invalid(&r->rq->fault);
    if (r->part != PART_OTHER)
        buf_add(&r->value, bytes);
    return OK;
}

SUSPENDS static enum err take_piece(struct reading *r, str bytes)
{
    enum err e = OK;

    while (!e && !r->ended) {
        str                  what;
        enum multipart_event ev = multipart_next(&r->parts, &bytes, &what);

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
            e = end_part(r);
            r->ended = true;
            break;
        case MULTIPART_BAD:
            return fail_body_invalid(&r->rq->fault); /* REF: E019 */
        }
    }
    return e;
}

enum err file_form_read(struct request *rq, bool native, struct file_form *ret)
{
    struct reading r = { .rq = rq, .form = ret, .native = native };
    enum err       e = OK;
    str            piece;

    might_suspend();
    *ret = (struct file_form){ .files = arena_array(rq->arena, struct form_file, FILES_FORM_FILES_MAX) };
    request_phase(rq, PHASE_BODY);
    if (!multipart_init(&r.parts, request_header(rq, S("content-type")), rq->arena))
        return fail_body_invalid(&rq->fault);
    buf_init(&r.value, rq->arena, FIELDS_MAX + 1);
    while (!e && !r.ended) {
        e = http_body_next(rq->x, &piece);
        if (!e && !piece.len)
            return fail_body_invalid(&rq->fault); /* it ends in the middle */
        if (!e)
            e = take_piece(&r, piece);
    }
    request_phase(rq, PHASE_CHECK);
    if (!e && !ret->file_count)
        return fail_parameter_missing_named(&rq->fault, native ? S("files") : S("file"));
    return e;
}

void file_form_drop(struct file_form *f)
{
    for (size_t i = 0; i < f->file_count; i++)
        file_drop(&f->files[i].coming);
}
