/* fetch.c - one download. Spec: media-tasks.md §3.1, §3.2. */
#include "fetch/fetch.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/num.h"
#include "fetch/guard.h"
#include "fetch/kept.h"
#include "fetch/spool.h"
#include "fetch/url.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "net/tls.h"
#include "store/results.h"
#include "store/uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ADDRESSES 8 /* of one name */

struct fetcher {
    struct fetch_options  o;
    struct arena          arena;
    struct guard          guard;
    struct store         *store; /* NULL: oss:// is not taken */
    const struct results *uploads;
    struct kept           kept;
    struct tls_context   *tls; /* NULL until the first https URL: reading the system's authorities takes its time */
};

str fetch_error_text(enum fetch_error e)
{
#define FETCH_TEXT(name, text) [name] = S(text),
    static const str texts[] = { FETCH_ERRORS(FETCH_TEXT) };
#undef FETCH_TEXT

    return texts[e];
}

enum err fetcher_open(const struct fetch_options *o, struct fetcher **ret, str *ret_problem)
{
    struct fetcher *f = xcalloc(1, sizeof(*f));

    f->o = *o;
    arena_init(&f->arena, 0);
    f->o.files = o->files;
    while (f->o.files.len > 1 && str_ends(f->o.files, S("/")))
        f->o.files.len--;
    f->o.files = arena_str(&f->arena, f->o.files);
    f->o.spool = arena_str(&f->arena, o->spool);
    if (!guard_init(&f->guard, o->allow, &f->arena, ret_problem)) {
        fetcher_close(f);
        return ERR_INVALID;
    }
    *ret = f;
    return OK;
}

void fetcher_uploads_set(struct fetcher *f, struct store *store, const struct results *uploads)
{
    f->store = store;
    f->uploads = uploads;
}

void fetcher_close(struct fetcher *f)
{
    if (!f)
        return;
    kept_clear(&f->kept);
    tls_context_free(f->tls);
    arena_free(&f->arena);
    free(f);
}

/* One download under way. */
struct download {
    struct fetcher             *f;
    struct arena               *arena;
    const struct fetch_request *rq;
    struct fetched             *ret;
    struct spool                spool;
    struct kept_file            before; /* of the hop's URL, from an earlier download; fd -1: there was none */
    struct kept_file            now;    /* what there is to keep of this one; no URL: nothing */
    int64_t                     deadline_us;
};

static enum fetch_error error_of(const struct download *d, enum err e)
{
    if (e && e != ERR_CANCELLED && loop_now_us(fiber_loop()) >= d->deadline_us)
        return FETCH_TIMEOUT;
    switch (e) {
    case OK:
        return FETCH_OK;
    case ERR_TIMEOUT:
        return FETCH_TIMEOUT;
    case ERR_CANCELLED:
        return FETCH_CANCELLED;
    case ERR_REFUSED:
        return FETCH_REFUSED;
    case ERR_UNREACHABLE:
        return FETCH_UNREACHABLE;
    case ERR_IO:
        return FETCH_SPOOL;
    default:
        return FETCH_BROKEN;
    }
}

/* ---- http and https ---- */

struct tls_job {
    struct tls_context *tls;
    enum err            e;
};

static void tls_job(void *arg)
{
    struct tls_job *j = arg;

    j->e = tls_context_client(NULL, true, &j->tls);
}

SUSPENDS static enum err want_tls(struct fetcher *f)
{
    struct tls_job j = { 0 };

    if (f->tls)
        return OK;
    lane_run(f->o.lane, tls_job, &j);
    if (j.e)
        return ERR_UNREACHABLE;
    if (f->tls)
        tls_context_free(j.tls); /* another fiber was faster */
    else
        f->tls = j.tls;
    return OK;
}

/* The addresses that may be connected to. */
SUSPENDS static enum fetch_error look_up(const struct download *d, const struct url *u, struct address *ret,
                                         size_t *ret_count)
{
    struct address all[ADDRESSES];
    str            host = str_from_cstr(u->host);
    int64_t        until_us = min_i64(d->deadline_us, loop_now_us(fiber_loop()) + d->f->o.connect_ms * 1000);
    size_t         count = 0, good = 0;
    enum err       e;

    if (host.ptr[0] == '[')
        host = str_of(host.ptr + 1, host.len - 2);
    e = address_resolve(host, u->port, until_us, all, ADDRESSES, &count);
    if (e == ERR_CANCELLED || e == ERR_TIMEOUT)
        return error_of(d, e);
    if (e)
        return FETCH_NAME;
    for (size_t i = 0; i < count; i++) {
        if (guard_allows(&d->f->guard, &all[i]))
            ret[good++] = all[i];
    }
    *ret_count = good;
    return good ? FETCH_OK : FETCH_FORBIDDEN;
}

/* A connection to that very address: what the name says a moment later does not count. Its pool is the caller's to close. */
SUSPENDS static enum err send_to(const struct download *d, const struct url *u, const struct address *at,
                                 struct http_client_request *rq, struct http_pool **ret_pool, struct http_client **ret)
{
    int64_t                  left_ms = (d->deadline_us - loop_now_us(fiber_loop())) / 1000;
    struct http_pool_options o = { .origin = { .port = u->port, .tls = u->tls, .fixed = true, .address = *at },
                                   .connection_max = 1,
                                   .connect_ms = min_i64(left_ms, d->f->o.connect_ms) };
    struct http_pool        *pool;
    enum err                 e = left_ms > 0 ? OK : ERR_TIMEOUT;

    if (!e && u->tls)
        e = want_tls(d->f);
    if (e)
        return e;
    rq->target = u->target;
    rq->first_ms = rq->total_ms = left_ms;
    memcpy(o.origin.host, u->host, sizeof(o.origin.host));
    if (u->tls)
        o.tls = d->f->tls; /* the pool holds it, too */
    pool = http_pool_open(fiber_loop(), &o);
    e = http_client_open(pool, d->arena, rq, ret);
    if (e)
        http_pool_close(pool);
    else
        *ret_pool = pool;
    return e;
}

SUSPENDS static enum err ask(const struct download *d, const struct url *u, const struct address *at,
                             struct http_pool **ret_pool, struct http_client **ret)
{
    struct http_field          fields[5] = { { S("accept"), S("*/*") },
                                             { S("accept-encoding"), S("identity") },
                                             { S("user-agent"), S("dashbox") } };
    size_t                     field_count = 3;
    struct http_client_request rq = { .method = S("GET"), .fields = fields };

    if (d->before.fd >= 0 && d->before.etag.len)
        fields[field_count++] = (struct http_field){ S("if-none-match"), d->before.etag };
    if (d->before.fd >= 0 && d->before.modified.len)
        fields[field_count++] = (struct http_field){ S("if-modified-since"), d->before.modified };
    rq.field_count = field_count;
    return send_to(d, u, at, &rq, ret_pool, ret);
}

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* "image/PNG; charset=x" → "image/png". */
static str plain_type(str field, struct arena *a)
{
    str   word = str_trim(str_first(field, str_find(field, ';')));
    char *text = arena_bytes(a, word.len + 1);

    for (size_t i = 0; i < word.len; i++)
        text[i] = (char)(word.ptr[i] >= 'A' && word.ptr[i] <= 'Z' ? word.ptr[i] - 'A' + 'a' : word.ptr[i]);
    return str_of(text, word.len);
}

static bool type_taken(const struct fetch_request *rq, str type)
{
    for (size_t i = 0; i < rq->type_count; i++) {
        if (str_eq(type, rq->types[i]))
            return true;
    }
    return rq->type_count == 0;
}

/* What can be refused without its body. */
static enum fetch_error check_head(const struct download *d, const struct http_head *h)
{
    d->ret->status = h->status;
    if (h->status == 401 || h->status == 403)
        return FETCH_DENIED;
    if (h->status != 200)
        return FETCH_STATUS;
    d->ret->type = plain_type(http_head_field(h, S("content-type")), d->arena);
    if (!type_taken(d->rq, d->ret->type))
        return FETCH_TYPE;
    if (h->content_length < 0 && d->rq->need_length)
        return FETCH_NO_LENGTH;
    return h->content_length > d->rq->size_max ? FETCH_TOO_LARGE : FETCH_OK;
}

/* It is still what it was: checked as if it had come again. */
static enum fetch_error take_before(struct download *d)
{
    const struct kept_file *k = &d->before;

    d->ret->status = 200;
    d->ret->type = k->type;
    if (!type_taken(d->rq, k->type))
        return FETCH_TYPE;
    if (!k->has_length && d->rq->need_length)
        return FETCH_NO_LENGTH;
    if (k->size > d->rq->size_max)
        return FETCH_TOO_LARGE;
    memcpy(d->ret->hash, k->hash, sizeof(k->hash));
    d->spool.fd = k->fd;
    d->spool.size = k->size;
    d->before.fd = -1;
    return FETCH_OK;
}

/* What lets the next download of this URL ask whether it has changed. */
static void note_validators(struct download *d, str url, const struct http_head *h)
{
    if (str_find_str_nocase(http_head_field(h, S("cache-control")), S("no-store")) != STR_NONE)
        return;
    d->now = (struct kept_file){ .url = url,
                                 .etag = arena_str(d->arena, http_head_field(h, S("etag"))),
                                 .modified = arena_str(d->arena, http_head_field(h, S("last-modified"))),
                                 .type = d->ret->type,
                                 .has_length = h->content_length >= 0 };
}

SUSPENDS static enum fetch_error take_body(struct download *d, struct http_client *c)
{
    str      piece;
    enum err e = spool_open(&d->spool, d->f->o.lane, d->f->o.spool.ptr);

    while (!e) {
        e = http_client_next(c, &piece); /* stays where it is until the next call */
        if (e || !piece.len)
            break;
        if (d->spool.size + (int64_t)piece.len > d->rq->size_max)
            return FETCH_TOO_LARGE;
        e = spool_write(&d->spool, piece);
    }
    return error_of(d, e);
}

static void close_before(void *download)
{
    struct download *d = download;

    if (d->before.fd >= 0)
        close(d->before.fd);
    d->before.fd = -1;
}

/* A redirect gives the next URL in *url. */
SUSPENDS static enum fetch_error one_hop(struct download *d, str *url)
{
    struct address      at[ADDRESSES];
    struct http_pool   *pool = NULL;
    struct http_client *c = NULL;
    struct url          u;
    size_t              count = 0;
    enum fetch_error    fe;
    enum err            e = ERR_UNREACHABLE;
    str                 next;

    if (!url_parse(*url, d->arena, &u))
        return FETCH_URL;
    close_before(d);
    if (!kept_find(&d->f->kept, *url, d->arena, &d->before))
        d->before.fd = -1;
    fe = look_up(d, &u, at, &count);
    for (size_t i = 0; !fe && i < count && (e == ERR_UNREACHABLE || e == ERR_REFUSED); i++)
        e = ask(d, &u, &at[i], &pool, &c);
    if (fe || e)
        return fe ? fe : error_of(d, e);
    if (is_redirect(http_client_head(c)->status)) {
        next = http_head_field(http_client_head(c), S("location"));
        *url = next.len ? arena_str(d->arena, url_join(&u, next, d->arena)) : (str){ 0 };
    } else if (http_client_head(c)->status == 304 && d->before.fd >= 0) {
        *url = (str){ 0 };
        fe = take_before(d);
    } else {
        fe = check_head(d, http_client_head(c));
        if (!fe)
            note_validators(d, *url, http_client_head(c));
        *url = (str){ 0 };
        if (!fe)
            fe = take_body(d, c);
    }
    if (http_client_head(c)->status != 304)
        d->ret->status = http_client_head(c)->status;
    http_client_close(c);
    http_pool_close(pool);
    return fe;
}

SUSPENDS static enum fetch_error fetch_http(struct download *d)
{
    str              url = d->rq->url;
    enum fetch_error fe;

    for (int64_t hops = 0; hops <= d->f->o.redirects; hops++) {
        fe = one_hop(d, &url);
        if (fe)
            return hops && (fe == FETCH_URL || fe == FETCH_SCHEME) ? FETCH_REDIRECTS : fe;
        if (!is_redirect(d->ret->status))
            return FETCH_OK;
        if (!url.len)
            return FETCH_REDIRECTS;
    }
    return FETCH_REDIRECTS;
}

/* ---- data URIs ---- */

/* data:image/png;base64,iVBORw0… (RFC 2397); the service takes no others. */
SUSPENDS static enum fetch_error fetch_data(struct download *d)
{
    size_t comma = str_find(d->rq->url, ',');
    str    head = str_from(str_first(d->rq->url, comma), 5),
        data = str_from(d->rq->url, comma == STR_NONE ? comma : comma + 1);
    enum err e;

    if (comma == STR_NONE || !str_ends(head, S(";base64")))
        return FETCH_URL;
    d->ret->type = plain_type(str_first(head, head.len - 7), d->arena);
    if (!type_taken(d->rq, d->ret->type))
        return FETCH_TYPE;
    if ((int64_t)(data.len / 4 * 3) > d->rq->size_max + 2)
        return FETCH_TOO_LARGE;
    e = spool_open(&d->spool, d->f->o.lane, d->f->o.spool.ptr);
    if (!e)
        e = spool_base64(&d->spool, data);
    if (e == ERR_INVALID)
        return FETCH_URL;
    return !e && d->spool.size > d->rq->size_max ? FETCH_TOO_LARGE : error_of(d, e);
}

/* ---- files ---- */

struct file_job {
    const char      *folder, *path;
    int64_t          size_max, size;
    int              fd;
    enum fetch_error e;
};

/* The kernel keeps the path inside of the folder, whatever it and its links say; a pipe does not make us wait. */
static void file_job(void *arg)
{
    struct file_job *j = arg;
    struct open_how  how = { .flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                             .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    struct stat      st;
    int              folder = open(j->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);

    j->fd = folder < 0 ? -1 : (int)syscall(SYS_openat2, folder, j->path, &how, sizeof(how));
    j->e = FETCH_UNREACHABLE;
    if (j->fd >= 0 && fstat(j->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        j->size = st.st_size;
        j->e = st.st_size > j->size_max ? FETCH_TOO_LARGE : FETCH_OK;
    } else if (j->fd < 0 && (errno == EXDEV || errno == ELOOP)) {
        j->e = FETCH_FORBIDDEN;
    }
    if (j->e && j->fd >= 0)
        close(j->fd);
    if (folder >= 0)
        close(folder);
}

/* file:///folder/inside/name: below the folder of the option, and nowhere else. */
SUSPENDS static enum fetch_error fetch_file(struct download *d)
{
    str             path = http_unescape(d->arena, str_from(d->rq->url, 7)), folder = d->f->o.files;
    struct file_job j = { .size_max = d->rq->size_max };

    if (!folder.len)
        return FETCH_SCHEME;
    if (memchr(path.ptr, 0, path.len))
        return FETCH_URL;
    if (!str_starts(path, folder) || path.len <= folder.len + 1 || path.ptr[folder.len] != '/')
        return FETCH_FORBIDDEN;
    j.folder = folder.ptr;
    j.path = str_to_cstr(d->arena, str_from(path, folder.len + 1));
    lane_run(d->f->o.lane, file_job, &j);
    if (j.e)
        return j.e;
    d->spool.fd = j.fd;
    d->spool.size = j.size;
    return FETCH_OK;
}

/* ---- temporary uploads ---- */

struct upload_job {
    const struct results *uploads;
    str                   id;
    int                   fd;
    int64_t               size;
    enum err              e;
};

static void upload_job(void *arg)
{
    struct upload_job *j = arg;

    j->e = results_read(j->uploads, j->id, UPLOAD_FILE, &j->fd, &j->size);
}

/* oss://KEY. To whom it does not belong it is not there. */
SUSPENDS static enum fetch_error fetch_upload(struct download *d)
{
    struct upload_find find = { .arena = d->arena,
                                .key = str_from(d->rq->url, 6),
                                .workspace = d->rq->workspace,
                                .model = d->rq->model,
                                .now_ms = clock_unix_ms() };
    struct upload_job  j = { .uploads = d->f->uploads };
    enum err           e;

    if (!d->f->store || !d->rq->workspace.len)
        return FETCH_SCHEME;
    e = store_run(d->f->store, upload_find_job, &find);
    if (!e) {
        d->ret->type = plain_type(find.type, d->arena);
        if (!type_taken(d->rq, d->ret->type))
            return FETCH_TYPE;
        j.id = find.id;
        lane_run(d->f->o.lane, upload_job, &j);
        e = j.e;
    }
    if (e)
        return e == ERR_NOT_FOUND ? FETCH_GONE : FETCH_SPOOL;
    d->spool.fd = j.fd;
    d->spool.size = j.size;
    return j.size > d->rq->size_max ? FETCH_TOO_LARGE : FETCH_OK;
}

/* ---- all of it ---- */

static void close_spool(void *spool)
{
    spool_close(spool);
}

enum fetch_error fetch(struct fetcher *f, struct arena *a, const struct fetch_request *rq, struct fetched *ret)
{
    struct download *d = arena_new(a, struct download);
    enum fetch_error fe;

    might_suspend();
    *ret = (struct fetched){ .fd = -1 };
    *d = (struct download){ .f = f, .arena = a, .rq = rq, .ret = ret, .spool.fd = -1, .before.fd = -1 };
    d->deadline_us = loop_now_us(fiber_loop()) + rq->time_ms * 1000;
    arena_defer(a, close_spool, &d->spool);
    arena_defer(a, close_before, d);
    if (str_starts_nocase(rq->url, S("http://")) || str_starts_nocase(rq->url, S("https://")))
        fe = fetch_http(d);
    else if (str_starts_nocase(rq->url, S("data:")))
        fe = fetch_data(d);
    else if (str_starts_nocase(rq->url, S("file://")))
        fe = fetch_file(d);
    else if (str_starts(rq->url, S("oss://")))
        fe = fetch_upload(d);
    else
        fe = str_find_str(rq->url, S("://")) == STR_NONE ? FETCH_URL : FETCH_SCHEME;
    if (!fe && d->spool.hash && spool_rewind(&d->spool, ret->hash))
        fe = FETCH_SPOOL;
    if (fe)
        return fe;
    ret->fd = d->spool.fd;
    ret->size = d->spool.size;
    if (d->now.url.len) {
        d->now.fd = ret->fd;
        d->now.size = ret->size;
        memcpy(d->now.hash, ret->hash, sizeof(ret->hash));
        kept_add(&f->kept, &d->now);
    }
    return FETCH_OK;
}

/* ---- calls ---- */

SUSPENDS static enum fetch_error take_answer(const struct download *d, struct http_client *c,
                                             const struct fetch_call *call, struct fetch_answer *ret)
{
    const struct http_head *h = http_client_head(c);
    char                   *text = NULL;
    size_t                  len = 0;
    enum err                e;

    ret->status = h->status;
    ret->type = plain_type(http_head_field(h, S("content-type")), d->arena);
    e = http_client_body(c, (size_t)call->answer_max, &text, &len);
    ret->body = str_of(text, len);
    return e == ERR_LIMIT ? FETCH_TOO_LARGE : error_of(d, e);
}

enum fetch_error fetch_call(struct fetcher *f, struct arena *a, const struct fetch_call *call, struct fetch_answer *ret)
{
    struct download            d = { .f = f, .arena = a };
    struct address             at[ADDRESSES];
    struct http_client_request rq = { .method = call->method,
                                      .fields = call->fields,
                                      .field_count = call->field_count,
                                      .body = call->body,
                                      .has_body = call->has_body };
    struct http_pool          *pool = NULL;
    struct http_client        *c = NULL;
    struct url                 u;
    size_t                     count = 0;
    enum fetch_error           fe;
    enum err                   e = ERR_UNREACHABLE;

    might_suspend();
    *ret = (struct fetch_answer){ 0 };
    d.deadline_us = loop_now_us(fiber_loop()) + call->time_ms * 1000;
    if (!url_parse(call->url, a, &u))
        return FETCH_URL;
    fe = look_up(&d, &u, at, &count);
    for (size_t i = 0; !fe && i < count && (e == ERR_UNREACHABLE || e == ERR_REFUSED); i++)
        e = send_to(&d, &u, &at[i], &rq, &pool, &c);
    if (fe || e)
        return fe ? fe : error_of(&d, e);
    fe = take_answer(&d, c, call, ret);
    http_client_close(c);
    http_pool_close(pool);
    return fe;
}
