/* files.c - files of libdashscope: a local one becomes an oss:// address, an answer's address a local one.
 *
 * Both lead to servers that an answer names, which may be others than the handle's: each has a pool of its own for as long as it
 * takes, and is sent no key.
 *
 * Memory: a file that is uploaded is held whole.
 * Limits: UPLOAD_MAX. No redirect is followed.
 * Spec:   media.md §2.
 */
#include "client/client.h"

#include "base/num.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define UPLOAD_MAX  ((size_t)1 << 30)
#define CONNECT_MS  5000
#define REFUSAL_MAX 65536 /* of a refusal's body */

void client_add_escaped(struct buf *b, str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char ch = (unsigned char)s.ptr[i];

        if ((ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') || strchr("-._~", ch))
            buf_add_char(b, (char)ch);
        else
            buf_addf(b, "%%%02X", ch);
    }
}

/* ---- a call to a server of an answer ---- */

struct exchange {
    struct dashscope *client;
    struct arena     *arena;
    const char       *method;
    str               url;
    str               content_type, body;
    int               fd; /* what is answered goes there; -1: it is dropped */
    struct http_pool *pool;
    str               target;
    int               status;
    str               refusal;
    enum err          e;
    int               write_errno;
};

bool client_write_all(int fd, str s)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        s = str_from(s, (size_t)n);
    }
    return true;
}

SUSPENDS static void exchange_on_fiber(void *arg)
{
    struct exchange        *x = arg;
    struct dashscope       *c = x->client;
    const struct http_field fields[] = { { S("user-agent"), c->user_agent },
                                         { S("accept"), S("*/*") },
                                         { S("content-type"), x->content_type } };
    struct http_client     *http;
    struct buf              refusal;
    str                     piece;

    x->e = http_client_open(x->pool, x->arena,
                            &(struct http_client_request){
                                .method = str_from_cstr(x->method),
                                .target = x->target,
                                .fields = fields,
                                .field_count = x->content_type.len ? ARRAY_LEN(fields) : ARRAY_LEN(fields) - 1,
                                .body = x->body,
                                .has_body = x->body.len != 0,
                                .first_ms = c->idle_ms,
                                .between_ms = c->idle_ms,
                                .total_ms = c->time_ms,
                            },
                            &http);
    if (x->e)
        return;
    x->status = http_client_head(http)->status;
    buf_init(&refusal, x->arena, REFUSAL_MAX);
    while (!(x->e = http_client_next(http, &piece)) && piece.len) {
        if (x->status / 100 != 2)
            buf_add(&refusal, piece);
        else if (x->fd >= 0 && !client_write_all(x->fd, piece)) {
            x->write_errno = errno;
            break;
        }
    }
    x->refusal = buf_str(&refusal);
    http_client_close(http);
}

static enum dashscope_result exchange(struct exchange *x)
{
    struct dashscope        *c = x->client;
    struct http_pool_options pool = { .connect_ms = CONNECT_MS };
    const char              *problem;
    size_t                   len = str_starts(x->url, S("https://")) ? 8 : 7; /* up to the path */
    str                      target, none;

    while (len < x->url.len && !strchr("/?#", x->url.ptr[len]))
        len++;
    target = str_from(x->url, len);
    target = str_first(target, str_find(target, '#'));
    if (!str_starts(x->url, S("http")) || !http_origin_parse(str_first(x->url, len), &pool.origin, &none))
        return client_fail(c, DASHSCOPE_INPUT, "", "\"%.*s\" is no address", STR_ARG(x->url));
    problem = pool.origin.tls ? client_tls(c) : NULL;
    if (problem)
        return client_fail(c, DASHSCOPE_INPUT, "", "%s", problem);
    pool.tls = pool.origin.tls ? c->tls : NULL;
    x->target =
        target.len && target.ptr[0] == '/' ? target : arena_printf(x->arena, "/%.*s", (int)target.len, target.ptr);
    x->pool = http_pool_open(c->loop, &pool);
    client_run(c, exchange_on_fiber, x);
    http_pool_close(x->pool);
    if (x->write_errno)
        return client_fail(c, DASHSCOPE_INPUT, "", "the file cannot be written: %s", strerror(x->write_errno));
    if (x->e == ERR_REFUSED || x->e == ERR_UNREACHABLE)
        return client_fail(c, DASHSCOPE_NO_CONNECTION, "", "no connection to %s", pool.origin.host);
    if (x->e == ERR_TIMEOUT)
        return client_fail(c, DASHSCOPE_TIMEOUT, "", "%s did not answer in time", pool.origin.host);
    if (x->e == ERR_CANCELLED)
        return client_fail_net(c, DASHSCOPE_NATIVE, x->e);
    if (x->e)
        return client_fail(c, DASHSCOPE_UNREADABLE, "", "the answer of %s broke off", pool.origin.host);
    if (x->status / 100 != 2)
        return client_fail_refused(c, x->status, x->refusal, (str){ 0 });
    return DASHSCOPE_OK;
}

enum dashscope_result dashscope_download(struct dashscope *c, const char *url, int fd)
{
    struct arena          a;
    struct exchange       x = { .client = c, .arena = &a, .method = "GET", .url = str_from_cstr(url), .fd = fd };
    enum dashscope_result r;

    client_begin(c);
    if (!url || !*url)
        return client_fail_missing(c, "url");
    arena_init(&a, 0);
    r = exchange(&x);
    arena_free(&a);
    return r;
}

/* ---- uploads ---- */

static bool read_file(const char *file, struct buf *b)
{
    int         fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat st;
    ssize_t     n = -1;

    if (fd < 0)
        return false;
    if (!fstat(fd, &st) && !S_ISDIR(st.st_mode)) {
        do {
            char *room = buf_room(b, 1 << 20);

            n = room ? read(fd, room, 1 << 20) : -1;
            if (!room)
                errno = EFBIG;
            b->len += n > 0 ? (size_t)n : 0;
        } while (n > 0 || (n < 0 && errno == EINTR));
    } else {
        errno = EISDIR;
    }
    close(fd);
    return n == 0;
}

static void add_part(struct buf *b, str boundary, const char *name, str value)
{
    buf_addf(b, "--%.*s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", STR_ARG(boundary), name);
    buf_add(b, value);
    buf_add(b, S("\r\n"));
}

const char *client_form_name(struct arena *a, const char *file)
{
    const char *slash = strrchr(file, '/');
    struct buf  b;

    buf_init(&b, a, SIZE_MAX / 2);
    for (const char *p = slash ? slash + 1 : file; *p; p++)
        buf_add_char(&b, *p == '"' || *p == '\r' || *p == '\n' || *p == '\\' ? '_' : *p);
    return b.len ? str_to_cstr(a, buf_str(&b)) : "file";
}

/* The form that the policy asks for. The file comes last. */
static bool add_form(struct buf *b, struct arena *a, yyjson_val *data, const char *file, str boundary, str *ret_key)
{
    const char *name = client_form_name(a, file);
    struct buf  key;

    buf_init(&key, a, SIZE_MAX / 2);
    buf_add(&key, json_str(json_get(data, "upload_dir")));
    buf_addf(&key, "/%s", name);
    *ret_key = buf_str(&key);
    add_part(b, boundary, "OSSAccessKeyId", json_str(json_get(data, "oss_access_key_id")));
    add_part(b, boundary, "Signature", json_str(json_get(data, "signature")));
    add_part(b, boundary, "policy", json_str(json_get(data, "policy")));
    add_part(b, boundary, "key", *ret_key);
    add_part(b, boundary, "x-oss-object-acl", json_str(json_get(data, "x_oss_object_acl")));
    add_part(b, boundary, "x-oss-forbid-overwrite", json_str(json_get(data, "x_oss_forbid_overwrite")));
    add_part(b, boundary, "success_action_status", S("200"));
    buf_addf(b,
             "--%.*s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
             "Content-Type: application/octet-stream\r\n\r\n",
             STR_ARG(boundary), name);
    if (!read_file(file, b))
        return false;
    buf_addf(b, "\r\n--%.*s--\r\n", STR_ARG(boundary));
    return true;
}

static enum dashscope_result upload(struct dashscope *c, struct arena *a, yyjson_val *data, const char *file, str *ret)
{
    str boundary =
        arena_printf(a, "dashscope%016llx%016llx", (unsigned long long)rand_u64(), (unsigned long long)rand_u64());
    struct exchange x = { .client = c,
                          .arena = a,
                          .method = "POST",
                          .url = json_str(json_get(data, "upload_host")),
                          .content_type = arena_printf(a, "multipart/form-data; boundary=%.*s", STR_ARG(boundary)),
                          .fd = -1 };
    struct buf      b;

    buf_init(&b, a, UPLOAD_MAX);
    if (!add_form(&b, a, data, file, boundary, ret) || b.full)
        return client_fail(c, DASHSCOPE_INPUT, "", "%s: %s", file, b.full ? "too large" : strerror(errno));
    x.body = buf_str(&b);
    return exchange(&x);
}

enum dashscope_result dashscope_upload(struct dashscope *c, const char *model, const char *file, char **ret)
{
    struct arena          a;
    struct client_call    call = { .client = c, .method = "GET", .arena = &a };
    struct buf            path;
    yyjson_val           *root;
    enum dashscope_result r;
    str                   key;

    client_begin(c);
    if (!model || !*model || !file)
        return client_fail_missing(c, file ? "model" : "file");
    if (access(file, R_OK))
        return client_fail(c, DASHSCOPE_INPUT, "", "%s: %s", file, strerror(errno));
    arena_init(&a, 0);
    buf_init(&path, &a, SIZE_MAX / 2);
    buf_add(&path, S("/uploads?action=getPolicy&model="));
    client_add_escaped(&path, str_from_cstr(model));
    call.path = str_to_cstr(&a, buf_str(&path));
    r = client_ask(&call, &root);
    if (!r && !json_str(json_get(json_get(root, "data"), "upload_host")).len)
        r = client_fail_unreadable(c, json_text(&a, root));
    if (!r)
        r = upload(c, &a, json_get(root, "data"), file, &key);
    if (!r) {
        *ret = client_result_new(key.len + sizeof("oss://"));
        memcpy(*ret, "oss://", 6);
        memcpy(*ret + 6, key.ptr, key.len);
    }
    arena_free(&a);
    return r;
}
