/* files.c - the files of the account. Spec: platform.md §1. */
#include "service/files.h"

#include "base/clock.h"
#include "base/num.h"
#include "contract/errors.gen.h"
#include "contract/files_params.gen.h"
#include "loop/lane.h"
#include "service/documents.h"

#define BUFFER       ((size_t)64 * 1024)
#define FORM_ROOM    (INT64_C(64) * 1024) /* bytes of a form beside its file, at most: what is announced is less that */
#define RESERVE_STEP (INT64_C(4) << 20)   /* a reservation is made larger when so much more has come */
#define COMING_MS    (INT64_C(3600) * 1000) /* that long one may take to come in */
#define ORPHAN_S     (INT64_C(24) * 3600)
#define ABSENT_STEP  ((size_t)500) /* rows that the store looks for in one go */

/* ---- purposes and names ---- */

static const struct {
    str word, prefix;
} purposes[] = {
    [FILE_DOCUMENT] = { FILES_PURPOSE_DOCUMENT, FILES_PREFIX_DOCUMENT },
    [FILE_BATCH] = { FILES_PURPOSE_BATCH, FILES_PREFIX_BATCH },
    [FILE_TUNING] = { FILES_PURPOSE_TUNING, FILES_PREFIX_TUNING },
    [FILE_OUTPUT] = { FILES_PURPOSE_OUTPUT, FILES_PREFIX_OUTPUT },
};

enum file_purpose file_purpose_of(str word)
{
    for (size_t i = 1; i < ARRAY_LEN(purposes); i++) {
        if (str_eq(word, purposes[i].word))
            return (enum file_purpose)i;
    }
    return FILE_PURPOSE_NONE;
}

str file_purpose_word(enum file_purpose p)
{
    return purposes[p].word;
}

str file_new_id(struct arena *a, enum file_purpose p)
{
    char digits[FILES_ID_DIGITS + 1];

    rand_hex(digits, FILES_ID_DIGITS);
    return arena_printf(a, "%.*s%.*s", STR_ARG(purposes[p].prefix), FILES_ID_DIGITS, digits);
}

bool file_ends_in(str name, str words)
{
    while (words.len) {
        str word = str_cut(&words, ' ');

        if (name.len > word.len && name.ptr[name.len - word.len - 1] == '.' &&
            str_eq_nocase(str_from(name, name.len - word.len), word))
            return true;
    }
    return false;
}

int64_t file_size_max(const struct request_files *s, enum file_purpose p, str name)
{
    switch (p) {
    case FILE_DOCUMENT:
        return file_ends_in(name, FILES_IMAGE_ENDS) ? s->image_max : s->document_max;
    case FILE_BATCH:
        return s->batch_max;
    case FILE_TUNING:
        return s->tuning_max;
    case FILE_PURPOSE_NONE:
    case FILE_OUTPUT:
        break;
    }
    return s->document_max > s->batch_max ? s->document_max : s->batch_max; /* until it is known */
}

/* What the file system of a client calls it, without the folders that some send. */
static str base_name(struct arena *a, str name)
{
    for (size_t i = name.len; i > 0; i--) {
        if (name.ptr[i - 1] == '/' || name.ptr[i - 1] == '\\') {
            name = str_from(name, i);
            break;
        }
    }
    return arena_str(a, str_first(name, FILES_NAME_MAX));
}

/* ---- coming ---- */

struct file_job {
    struct file_coming *f;
    str                 bytes;
    enum err            e;
};

static void begin_job(void *arg)
{
    struct file_job *j = arg;

    j->e = blob_begin(j->f->services->blobs, &j->f->content);
}

static void write_job(void *arg)
{
    struct file_job *j = arg;

    j->e = blob_write(&j->f->content, j->bytes);
}

static void end_job(void *arg)
{
    struct file_job *j = arg;

    j->e = blob_end(&j->f->content);
}

static void drop_job(void *arg)
{
    blob_drop(&((struct file_job *)arg)->f->content);
}

SUSPENDS static enum err run(struct request *rq, struct file_coming *f, void (*fn)(void *arg), str bytes)
{
    struct file_job j = { .f = f, .bytes = bytes };

    lane_run(f->services->files, fn, &j);
    return j.e ? fail_storage_upload_failed(&rq->fault) : OK; /* REF: E214 */
}

SUSPENDS static enum err reserve(struct request *rq, struct file_coming *f, int64_t size)
{
    const struct request_files *s = &rq->settings->files;
    struct file_reserve         r = { .id = str_from_cstr(f->reservation),
                                      .size = size,
                                      .native = f->native,
                                      .count_max = s->count,
                                      .capacity = s->capacity,
                                      .native_count_max = s->native_count,
                                      .native_capacity = s->native_capacity,
                                      .now_ms = clock_unix_ms() };
    enum err                    e;

    r.until_ms = r.now_ms + COMING_MS;
    e = store_run(rq->services->store, file_reserve_job, &r);
    f->reserved = size;
    if (e == ERR_LIMIT && r.full == FILE_FULL_COUNT)
        return r.full_native ? fail_file_number_native(&rq->fault, r.count, r.native_count_max) /* REF: W265 */
                             : fail_file_count_full(&rq->fault);                                /* REF: E247b */
    if (e == ERR_LIMIT)
        return r.full_native ? fail_file_space_native(&rq->fault, r.bytes, r.native_capacity) /* REF: W264 */
                             : fail_file_storage_full(&rq->fault);                            /* REF: E247a */
    return e ? fail_storage_upload_failed(&rq->fault) : OK;
}

enum err file_begin(struct request *rq, str name, int64_t size, enum file_purpose purpose, bool native,
                    struct file_coming *ret)
{
    enum err e;

    might_suspend();
    *ret = (struct file_coming){
        .services = rq->services, .native = native, .content = { .fd = -1 }, .name = base_name(rq->arena, name)
    };
    ret->size_max = file_size_max(&rq->settings->files, purpose, ret->name);
    if (!ret->name.len)
        return fail_parameter_missing_named(&rq->fault, S("file"));
    if (size - FORM_ROOM > ret->size_max)
        return fail_file_too_large_upload(&rq->fault); /* REF: E166 */
    rand_uuid(ret->reservation, '4');
    e = reserve(rq, ret, size > FORM_ROOM ? size - FORM_ROOM : 0);
    if (!e)
        e = run(rq, ret, begin_job, (str){ 0 });
    if (!e)
        ret->buffer = arena_bytes(rq->arena, BUFFER);
    return e;
}

SUSPENDS static enum err flush(struct request *rq, struct file_coming *f)
{
    str bytes = str_of(f->buffer, f->buffered);

    f->buffered = 0;
    return bytes.len ? run(rq, f, write_job, bytes) : OK;
}

enum err file_write(struct request *rq, struct file_coming *f, str bytes)
{
    enum err e = OK;

    might_suspend();
    f->size += (int64_t)bytes.len;
    if (f->size > f->size_max)
        return fail_file_too_large_upload(&rq->fault); /* REF: E166 */
    if (f->size - f->reserved >= RESERVE_STEP)
        e = reserve(rq, f, f->size);
    if (!e && bytes.len > BUFFER - f->buffered)
        e = flush(rq, f);
    if (!e && bytes.len > BUFFER)
        return run(rq, f, write_job, bytes);
    if (!e) {
        memcpy(f->buffer + f->buffered, bytes.ptr, bytes.len);
        f->buffered += bytes.len;
    }
    return e;
}

enum err file_end(struct request *rq, struct file_coming *f)
{
    enum err e = flush(rq, f);

    might_suspend();
    if (!e)
        e = reserve(rq, f, f->size);
    return e ? e : run(rq, f, end_job, (str){ 0 });
}

static enum err check(struct request *rq, const struct file_coming *f, enum file_purpose purpose)
{
    bool known = true;

    if (purpose == FILE_PURPOSE_NONE || purpose == FILE_OUTPUT)
        return fail_file_purpose(&rq->fault,
                                 arena_printf(rq->arena, "'%.*s', '%.*s' or '%.*s'", STR_ARG(FILES_PURPOSE_DOCUMENT),
                                              STR_ARG(FILES_PURPOSE_BATCH), STR_ARG(FILES_PURPOSE_TUNING)));
    if (purpose == FILE_DOCUMENT)
        known = file_ends_in(f->name, FILES_DOCUMENT_ENDS) || file_ends_in(f->name, FILES_IMAGE_ENDS);
    else if (purpose == FILE_BATCH)
        known = file_ends_in(f->name, FILES_BATCH_ENDS);
    if (!known)
        return fail_input_format_unsupported(&rq->fault); /* REF: E165 */
    if (f->size > file_size_max(&rq->settings->files, purpose, f->name))
        return fail_file_too_large_upload(&rq->fault); /* REF: E166 */
    return OK;
}

enum err file_keep(struct request *rq, struct file_coming *f, enum file_purpose purpose, str description,
                   struct file_row *ret)
{
    struct file_keep k = { .blobs = rq->services->blobs,
                           .content = &f->content,
                           .reservation = str_from_cstr(f->reservation),
                           .document = purpose == FILE_DOCUMENT,
                           .row = { .workspace = rq->workspace,
                                    .key = rq->key_id,
                                    .purpose = file_purpose_word(purpose),
                                    .name = f->name,
                                    .description = description,
                                    .created_ms = clock_unix_ms(),
                                    .native = f->native } };
    char            *id;
    enum err         e = check(rq, f, purpose);

    might_suspend();
    if (e)
        return e;
    if (f->native) {
        id = arena_bytes(rq->arena, UUID_LEN + 1);
        rand_uuid(id, '4');
        k.row.id = str_of(id, UUID_LEN);
    } else {
        k.row.id = file_new_id(rq->arena, purpose);
    }
    if (store_run(rq->services->store, file_keep_job, &k))
        return fail_storage_upload_failed(&rq->fault);
    if (k.document)
        document_reader_wake(rq->services->reader);
    f->reservation[0] = 0;
    *ret = k.row;
    return OK;
}

void file_drop(struct file_coming *f)
{
    struct file_job j = { .f = f };
    str             reservation = str_from_cstr(f->reservation);

    might_suspend();
    if (!f->services)
        return;
    if (f->content.path[0])
        lane_run(f->services->files, drop_job, &j);
    if (reservation.len)
        (void)store_run(f->services->store, file_drop_job, &reservation); /* else it goes when its time is over */
    f->reservation[0] = 0;
}

/* ---- there ---- */

static str seen_by(const struct request *rq)
{
    return rq->settings->files.per_workspace ? rq->workspace : (str){ 0 };
}

enum err file_fail_not_found(struct request *rq)
{
    return rq->surface == SURFACE_OPENAI ? fail_file_not_found(&rq->fault)         /* REF: W261 */
                                         : fail_file_not_found_native(&rq->fault); /* REF: W262 */
}

enum err file_get(struct request *rq, str id, struct file_row *ret)
{
    struct file_get g = { .arena = rq->arena, .id = id, .workspace = seen_by(rq) };
    enum err        e = store_run(rq->services->store, file_get_job, &g);

    if (e == ERR_NOT_FOUND || (!e && g.row.deleted))
        return file_fail_not_found(rq);
    *ret = g.row;
    return e;
}

enum err file_delete(struct request *rq, str id)
{
    struct file_delete d = { .blobs = rq->services->blobs,
                             .id = id,
                             .workspace = seen_by(rq),
                             .until_ms = clock_unix_ms() + rq->settings->files.deleted_ms };
    enum err           e = store_run(rq->services->store, file_delete_job, &d);

    return e == ERR_NOT_FOUND ? file_fail_not_found(rq) : e;
}

enum err file_list(struct request *rq, struct file_list *l)
{
    enum err e;

    l->arena = rq->arena;
    l->workspace = seen_by(rq);
    e = store_run(rq->services->store, file_list_job, l);
    return e == ERR_NOT_FOUND ? file_fail_not_found(rq) : e;
}

struct open_job {
    struct services *services;
    str              hash;
    int              fd;
    int64_t          size;
    enum err         e;
};

static void open_job(void *arg)
{
    struct open_job *j = arg;

    j->e = blob_read(j->services->blobs, j->hash, &j->fd, &j->size);
}

enum err file_open(struct services *s, str hash, int *ret_fd, int64_t *ret_size)
{
    struct open_job j = { .services = s, .hash = hash };

    might_suspend();
    lane_run(s->files, open_job, &j);
    *ret_fd = j.fd;
    *ret_size = j.size;
    return j.e;
}

/* ---- the end ---- */

struct old_blobs {
    struct services *services;
    struct arena    *arena;
    str             *hashes;
    size_t           count, room;
};

static void add_old(void *arg, str hash)
{
    struct old_blobs *o = arg;

    if (o->count == o->room) {
        str *more = arena_array(o->arena, str, o->room * 2);

        memcpy(more, o->hashes, o->count * sizeof(*more));
        o->hashes = more;
        o->room *= 2;
    }
    o->hashes[o->count++] = arena_str(o->arena, hash);
}

static void old_job(void *arg)
{
    struct old_blobs *o = arg;

    blobs_sweep(o->services->blobs, clock_machine_ms() / 1000 - ORPHAN_S, add_old, o);
}

/* Blobs that no row has, since a process was killed between the two. */
SUSPENDS static void sweep_orphans(struct services *s)
{
    struct arena     a;
    struct old_blobs o = { .services = s, .arena = &a, .room = ABSENT_STEP };

    arena_init(&a, 0);
    o.hashes = arena_array(&a, str, o.room);
    lane_run(s->files, old_job, &o);
    for (size_t i = 0; i < o.count; i += ABSENT_STEP) {
        struct store_absent absent = { FILE_BLOB_OWNER_SQL, o.hashes + i, min_size(ABSENT_STEP, o.count - i) };

        if (store_run(s->store, store_absent_job, &absent))
            break; /* the next time */
        for (size_t k = 0; k < absent.count; k++) {
            struct file_orphan orphan = { s->blobs, absent.names[k] };

            (void)store_run(s->store, file_orphan_job, &orphan);
        }
    }
    arena_free(&a);
}

void files_sweep(struct services *s)
{
    struct file_sweep sw = { .now_ms = clock_unix_ms() };

    might_suspend();
    (void)store_run(s->store, file_sweep_job, &sw); /* else the next time */
    sweep_orphans(s);
}

enum err files_forget(struct services *s)
{
    might_suspend();
    return store_run(s->store, file_reset_job, s->blobs);
}
