/* uploads.c - the temporary store. Spec: media.md §2. */
#include "service/uploads.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "contract/errors.gen.h"
#include "contract/json.h"
#include "loop/lane.h"
#include "store/uploads.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <unistd.h>

#define ACCESS_KEY_BEGINS S("LTAI")
#define FOLDER_BEGINS     "dashscope-instant"
#define BUCKET            "dashscope-file-mgr"
#define KEY_MAX           1023 /* bytes of an object's name */
#define BUFFER            ((size_t)64 * 1024)

/* ---- policies ---- */

static str base64(struct arena *a, str s)
{
    char *text = arena_bytes(a, (s.len + 2) / 3 * 4 + 1);

    return str_of(text, (size_t)EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)s.ptr, (int)s.len));
}

/* False: it is none. */
static bool base64_read(struct arena *a, str text, str *ret)
{
    unsigned char *bytes;
    int            n;

    if (!text.len || text.len % 4 || text.len > 16384)
        return false;
    bytes = (unsigned char *)arena_bytes(a, text.len / 4 * 3 + 1);
    n = EVP_DecodeBlock(bytes, (const unsigned char *)text.ptr, (int)text.len);
    if (n < 0)
        return false;
    n -= str_ends(text, S("==")) ? 2 : str_ends(text, S("=")) ? 1 : 0;
    *ret = str_of((const char *)bytes, (size_t)n);
    return true;
}

void upload_policy_make(struct request *rq, struct upload_policy *ret)
{
    const struct request_uploads *s = &rq->settings->uploads;
    char                          until[CLOCK_ISO_LEN + 1], today[CLOCK_ISO_LEN + 1], account[32];
    int64_t                       now_ms = clock_unix_ms();

    rand_hex(account, sizeof(account));
    clock_iso(today, now_ms);
    clock_iso(until, now_ms + s->policy_ms / 1000 * 1000);
    ret->folder = arena_printf(rq->arena, FOLDER_BEGINS "/%.32s/%.10s/%s", account, today, rq->id);
    ret->access_key =
        arena_printf(rq->arena, "%.*s%.*s", STR_ARG(ACCESS_KEY_BEGINS),
                     STR_ARG(base64(rq->arena, arena_printf(rq->arena, "%.*s/%.*s", STR_ARG(rq->workspace),
                                                            STR_ARG(rq->model_name)))));
    ret->policy =
        base64(rq->arena, arena_printf(rq->arena,
                                       "{\"expiration\":\"%s\",\"conditions\":["
                                       "[\"content-length-range\",0,%lld],[\"starts-with\",\"$key\",\"%.*s\"],"
                                       "{\"bucket\":\"" BUCKET "\"},{\"x-oss-object-acl\":\"%.*s\"},"
                                       "{\"x-oss-forbid-overwrite\":\"%.*s\"}]}",
                                       until, (long long)s->file_max, STR_ARG(ret->folder), STR_ARG(UPLOAD_ACL),
                                       STR_ARG(UPLOAD_OVERWRITE)));
    ret->signature = results_sign_policy(rq->services->uploads, ret->access_key, ret->policy, rq->arena);
}

/* ---- the form ---- */

static enum err need_fields(struct request *rq, const struct upload_form *f)
{
    const struct {
        str name, value;
    } fields[] = {
        { S("OSSAccessKeyId"), f->access_key }, { S("policy"), f->policy },
        { S("Signature"), f->signature },       { S("key"), f->key },
        { S("x-oss-object-acl"), f->acl },      { S("x-oss-forbid-overwrite"), f->overwrite },
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (!fields[i].value.len)
            return fail_upload_field_missing(&rq->fault, fields[i].name); /* REF: W242 */
    }
    return OK;
}

/* Whose it is: "LTAI" and the base64 of "WORKSPACE/MODEL". */
static bool read_owner(struct request *rq, str access_key)
{
    str text;

    if (!str_starts(access_key, ACCESS_KEY_BEGINS) ||
        !base64_read(rq->arena, str_from(access_key, ACCESS_KEY_BEGINS.len), &text))
        return false;
    rq->workspace = str_cut(&text, '/');
    rq->model_name = text;
    return rq->workspace.len && text.len;
}

static enum err condition_failed(struct request *rq, const char *relation, const char *field, str value)
{
    return fail_upload_condition(
        &rq->fault, arena_printf(rq->arena, "[\"%s\", \"$%s\", \"%.*s\"]", relation, field, STR_ARG(value)));
}

/* Exactly the folder, and a name in it. */
static bool key_is_in(str key, str folder)
{
    str name = str_from(key, folder.len + 1);

    return str_starts(key, folder) && key.len > folder.len && key.ptr[folder.len] == '/' && name.len &&
           str_find(name, '/') == STR_NONE && key.len <= KEY_MAX && utf8_valid(key) && !str_has_break(key) &&
           !memchr(key.ptr, 0, key.len);
}

/* The policy is ours to the letter, so its form is what upload_policy_make() has written. */
static enum err check_policy(struct request *rq, const struct upload_form *f, struct upload *u)
{
    str         text, now, folder, until;
    char        iso[CLOCK_ISO_LEN + 1];
    yyjson_doc *doc;
    yyjson_val *conditions;

    if (!base64_read(rq->arena, f->policy, &text))
        return fail_upload_malformed(&rq->fault);
    doc = yyjson_read(text.ptr, text.len, 0);
    if (!doc)
        return fail_upload_malformed(&rq->fault);
    until = arena_str(rq->arena, json_str(json_get(yyjson_doc_get_root(doc), "expiration")));
    conditions = json_get(yyjson_doc_get_root(doc), "conditions");
    u->size_max = yyjson_get_sint(yyjson_arr_get(yyjson_arr_get(conditions, 0), 2));
    folder = arena_str(rq->arena, json_str(yyjson_arr_get(yyjson_arr_get(conditions, 1), 2)));
    yyjson_doc_free(doc);
    clock_iso(iso, clock_unix_ms());
    now = str_from_cstr(iso);
    if (str_cmp(now, until) >= 0)
        return fail_upload_policy_expired(&rq->fault); /* REF: E190 */
    if (!key_is_in(f->key, folder))
        return condition_failed(rq, "starts-with", "key", folder); /* REF: W243 */
    if (!str_eq(f->acl, UPLOAD_ACL))
        return condition_failed(rq, "eq", "x-oss-object-acl", UPLOAD_ACL);
    if (!str_eq(f->overwrite, UPLOAD_OVERWRITE))
        return condition_failed(rq, "eq", "x-oss-forbid-overwrite", UPLOAD_OVERWRITE);
    return OK;
}

static enum err check_form(struct request *rq, const struct upload_form *f, struct upload *u)
{
    enum err e = need_fields(rq, f);
    str      ours;

    if (e)
        return e;
    if (!read_owner(rq, f->access_key))
        return fail_upload_access_key(&rq->fault); /* REF: W244 */
    ours = results_sign_policy(rq->services->uploads, f->access_key, f->policy, rq->arena);
    if (f->signature.len != ours.len || CRYPTO_memcmp(f->signature.ptr, ours.ptr, ours.len) != 0)
        return fail_upload_signature(&rq->fault); /* REF: W246 */
    return check_policy(rq, f, u);
}

/* ---- a file ---- */

struct file_job {
    struct upload *u;
    str            bytes;
    enum err       e;
};

static void create_job(void *arg)
{
    struct file_job *j = arg;

    j->e = results_create(j->u->services->uploads, j->u->id, j->u->path, &j->u->fd);
}

static void write_job(void *arg)
{
    struct file_job *j = arg;

    while (j->bytes.len) {
        ssize_t n = write(j->u->fd, j->bytes.ptr, j->bytes.len);

        if (n <= 0) {
            j->e = ERR_IO;
            return;
        }
        j->bytes = str_from(j->bytes, (size_t)n);
    }
}

static void keep_job(void *arg)
{
    struct file_job *j = arg;

    j->e = results_keep(j->u->services->uploads, j->u->id, j->u->path, j->u->fd, UPLOAD_FILE);
    j->u->fd = -1;
}

static void drop_job(void *arg)
{
    struct file_job *j = arg;
    struct upload   *u = j->u;

    if (u->fd >= 0)
        results_drop(u->services->uploads, u->id, u->path, u->fd);
    else
        results_remove(u->services->uploads, u->id);
    u->fd = -1;
}

SUSPENDS static enum err run(struct request *rq, struct upload *u, void (*fn)(void *arg), str bytes)
{
    struct file_job j = { .u = u, .bytes = bytes };

    lane_run(u->services->files, fn, &j);
    return j.e ? fail_storage_upload_failed(&rq->fault) : OK; /* REF: E214 */
}

enum err upload_begin(struct request *rq, const struct upload_form *f, int64_t size, struct upload *ret)
{
    char               *id = arena_bytes(rq->arena, UUID_LEN + 1);
    struct upload_begin b;
    enum err            e;

    might_suspend();
    *ret = (struct upload){ .services = rq->services, .fd = -1 };
    e = check_form(rq, f, ret);
    if (e)
        return e;
    rand_uuid(id, '4');
    b = (struct upload_begin){ .id = str_of(id, UUID_LEN),
                               .key = f->key,
                               .workspace = rq->workspace,
                               .model = rq->model_name,
                               .type = f->type,
                               .size = size >= 0 && size < ret->size_max ? size : ret->size_max,
                               .capacity = rq->settings->uploads.capacity,
                               .now_ms = clock_unix_ms() };
    b.expires_ms = b.now_ms + rq->settings->uploads.coming_ms;
    e = store_run_together(rq->services->store, upload_begin_job, NULL, &b);
    if (e == ERR_EXISTS)
        return fail_upload_key_exists(&rq->fault); /* REF: W247 */
    if (e == ERR_LIMIT)
        return fail_upload_capacity(&rq->fault); /* REF: W250 */
    if (e)
        return fail_storage_upload_failed(&rq->fault);
    ret->id = b.id;
    ret->buffer = arena_bytes(rq->arena, BUFFER);
    return run(rq, ret, create_job, (str){ 0 });
}

SUSPENDS static enum err flush(struct request *rq, struct upload *u)
{
    str bytes = str_of(u->buffer, u->buffered);

    u->buffered = 0;
    return bytes.len ? run(rq, u, write_job, bytes) : OK;
}

enum err upload_write(struct request *rq, struct upload *u, str bytes)
{
    enum err e = OK;

    might_suspend();
    u->size += (int64_t)bytes.len;
    if (u->size > u->size_max)
        return fail_upload_too_large(&rq->fault); /* REF: W245 */
    if (bytes.len > BUFFER - u->buffered)
        e = flush(rq, u);
    if (!e && bytes.len > BUFFER)
        return run(rq, u, write_job, bytes);
    if (!e) {
        memcpy(u->buffer + u->buffered, bytes.ptr, bytes.len);
        u->buffered += bytes.len;
    }
    return e;
}

enum err upload_keep(struct request *rq, struct upload *u)
{
    struct upload_end end = { u->id, u->size, clock_unix_ms() + rq->settings->uploads.keep_ms };
    enum err          e = flush(rq, u);

    if (!e)
        e = run(rq, u, keep_job, (str){ 0 });
    if (!e && store_run_together(rq->services->store, upload_end_job, NULL, &end))
        e = fail_storage_upload_failed(&rq->fault);
    if (!e)
        u->id = (str){ 0 };
    return e;
}

void upload_drop(struct upload *u)
{
    struct file_job j = { .u = u };

    if (!u->id.len)
        return;
    /* First its key and its place: where the file has gone, another may come. A file that nobody knows is swept (service/tasks.c). */
    (void)store_run(u->services->store, upload_drop_job, &u->id); /* else it goes when its time is over */
    lane_run(u->services->files, drop_job, &j);
    u->id = (str){ 0 };
}

enum err upload_check(struct request *rq, str url)
{
    struct upload_find f = { .arena = rq->arena,
                             .key = str_from(url, S("oss://").len),
                             .workspace = rq->workspace,
                             .model = rq->model_name,
                             .now_ms = clock_unix_ms() };

    return store_run(rq->services->store, upload_find_job, &f);
}

struct inline_job {
    struct request *rq;
    str             id, type, uri;
    enum err        e;
};

static void inline_job(void *arg)
{
    struct inline_job *j = arg;
    struct buf         b;
    char              *bytes;
    int64_t            size, have = 0;
    int                fd;

    j->e = results_read(j->rq->services->uploads, j->id, UPLOAD_FILE, &fd, &size);
    if (j->e)
        return;
    if (size > j->rq->settings->uploads.inline_max) {
        close(fd);
        j->e = ERR_LIMIT;
        return;
    }
    bytes = arena_bytes(j->rq->arena, (size_t)size + 1); /* the request waits meanwhile */
    while (have < size) {
        ssize_t n = read(fd, bytes + have, (size_t)(size - have));

        if (n <= 0)
            break;
        have += n;
    }
    close(fd);
    if (have < size) {
        j->e = ERR_IO;
        return;
    }
    buf_init(&b, j->rq->arena, SIZE_MAX / 2);
    buf_addf(&b, "data:%.*s;base64,", STR_ARG(j->type.len ? j->type : S("application/octet-stream")));
    buf_add(&b, base64(j->rq->arena, str_of(bytes, (size_t)size)));
    j->uri = buf_str(&b);
}

enum err upload_inline(struct request *rq, str url, str *ret)
{
    struct upload_find f = { .arena = rq->arena,
                             .key = str_from(url, S("oss://").len),
                             .workspace = rq->workspace,
                             .model = rq->model_name,
                             .now_ms = clock_unix_ms() };
    struct inline_job  j = { .rq = rq };
    enum err           e = store_run(rq->services->store, upload_find_job, &f);

    if (e)
        return e;
    j.id = f.id;
    j.type = f.type;
    lane_run(rq->services->files, inline_job, &j);
    *ret = j.uri;
    return j.e;
}

/* ---- the end ---- */

struct removal {
    struct results *uploads;
    str             id;
};

static void removal_job(void *arg)
{
    struct removal *m = arg;

    results_remove(m->uploads, m->id);
}

void uploads_sweep(struct services *s)
{
    struct arena        a;
    struct upload_sweep sw = { .arena = &a, .now_ms = clock_unix_ms() };

    might_suspend();
    arena_init(&a, 0);
    if (store_run(s->store, upload_sweep_job, &sw) == OK) {
        for (size_t i = 0; i < sw.gone_count; i++) {
            struct removal m = { s->uploads, sw.gone[i] };

            lane_run(s->files, removal_job, &m);
        }
    }
    arena_free(&a);
}

enum err uploads_forget(struct services *s)
{
    struct removal m = { s->uploads, (str){ 0 } };
    enum err       e;

    might_suspend();
    e = store_run(s->store, upload_reset_job, NULL);
    if (!e)
        lane_run(s->files, removal_job, &m);
    return e;
}
