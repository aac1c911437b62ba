/* account_files.c - the account's files in libdashscope.
 *
 * Memory: pieces of PIECE bytes, whatever the file's size.
 * Spec:   platform.md §1.
 */
#include "client/client.h"

#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)128 * 1024)

struct form {
    str     head, tail;
    int     fd;
    int64_t size, sent; /* of the file */
    char   *buffer;
    enum { AT_HEAD, AT_FILE, AT_TAIL } at;
    int                    read_errno;
    bool                   stopped; /* by the caller */
    dashscope_on_progress *on_progress;
    void                  *arg;
};

static enum err next_of_file(struct form *f, str *ret)
{
    ssize_t n;

    do {
        n = read(f->fd, f->buffer, PIECE);
    } while (n < 0 && errno == EINTR);
    if (n <= 0) {
        f->read_errno = n < 0 ? errno : ESTALE; /* it has become shorter */
        return ERR_IO;
    }
    if (n > f->size - f->sent)
        n = (ssize_t)(f->size - f->sent);
    f->sent += n;
    *ret = str_of(f->buffer, (size_t)n);
    f->stopped = f->on_progress && f->on_progress(f->sent, f->size, f->arg);
    return f->stopped ? ERR_CANCELLED : OK;
}

static enum err next_piece(void *arg, str *ret)
{
    struct form *f = arg;

    if (f->at == AT_HEAD) {
        *ret = f->head;
        f->at = f->size ? AT_FILE : AT_TAIL;
        return OK;
    }
    if (f->at == AT_FILE && f->sent == f->size)
        f->at = AT_TAIL;
    if (f->at == AT_FILE)
        return next_of_file(f, ret);
    *ret = f->tail;
    return OK;
}

static bool form_open(struct form *f, struct arena *a, const char *file, const char *purpose, str *ret_type)
{
    str boundary =
        arena_printf(a, "dashscope%016llx%016llx", (unsigned long long)rand_u64(), (unsigned long long)rand_u64());
    struct stat st;

    f->fd = open(file, O_RDONLY | O_CLOEXEC);
    if (f->fd < 0)
        return false;
    if (fstat(f->fd, &st) || !S_ISREG(st.st_mode)) {
        errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
        close(f->fd);
        return false;
    }
    f->size = st.st_size;
    f->buffer = arena_bytes(a, PIECE);
    f->head = arena_printf(a,
                           "--%.*s\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n%s\r\n"
                           "--%.*s\r\nContent-Disposition: form-data; name=\"file\"; filename=\"%s\"\r\n"
                           "Content-Type: application/octet-stream\r\n\r\n",
                           STR_ARG(boundary), purpose, STR_ARG(boundary), client_form_name(a, file));
    f->tail = arena_printf(a, "\r\n--%.*s--\r\n", STR_ARG(boundary));
    *ret_type = arena_printf(a, "multipart/form-data; boundary=%.*s", STR_ARG(boundary));
    return true;
}

enum dashscope_result dashscope_file_create(struct dashscope *c, const char *file, const char *purpose,
                                            dashscope_on_progress *on_progress, void *arg,
                                            struct dashscope_answer **ret)
{
    struct arena          a;
    struct form           form = { .on_progress = on_progress, .arg = arg };
    struct client_call    call = { .client = c,
                                   .protocol = DASHSCOPE_COMPATIBLE,
                                   .method = "POST",
                                   .path = "/files",
                                   .arena = &a,
                                   .body_next = next_piece,
                                   .body_arg = &form };
    enum dashscope_result r;
    str                   body;

    client_begin(c);
    if (!file || !purpose || !*purpose)
        return client_fail_missing(c, file ? "purpose" : "file");
    arena_init(&a, 0);
    if (!form_open(&form, &a, file, purpose, &call.content_type)) {
        arena_free(&a);
        return client_fail(c, DASHSCOPE_INPUT, "", "%s: %s", file, strerror(errno));
    }
    call.body_len = (int64_t)form.head.len + form.size + (int64_t)form.tail.len;
    r = client_open(&call);
    if (form.read_errno)
        r = client_fail(c, DASHSCOPE_INPUT, "", "%s: %s", file, strerror(form.read_errno));
    if (!r)
        r = client_body(&call, &body);
    if (!r)
        *ret = client_answer(&call, body);
    close(form.fd);
    arena_free(&a);
    return r;
}

/* ---- content ---- */

struct content {
    struct client_call *call;
    int                 fd, write_errno;
};

SUSPENDS static void content_on_fiber(void *arg)
{
    struct content *t = arg;
    str             piece;

    while (!t->write_errno && !(t->call->e = http_client_next(t->call->http, &piece)) && piece.len) {
        if (!client_write_all(t->fd, piece))
            t->write_errno = errno;
    }
    http_client_close(t->call->http);
    t->call->http = NULL;
}

enum dashscope_result dashscope_file_content(struct dashscope *c, const char *id, int fd)
{
    struct arena          a;
    struct client_call    call = { .client = c, .protocol = DASHSCOPE_COMPATIBLE, .method = "GET", .arena = &a };
    struct content        t = { .call = &call, .fd = fd };
    struct buf            path;
    enum dashscope_result r;

    client_begin(c);
    if (!id || !*id)
        return client_fail_missing(c, "id");
    arena_init(&a, 0);
    buf_init(&path, &a, SIZE_MAX / 2);
    buf_add(&path, S("/files/"));
    client_add_escaped(&path, str_from_cstr(id));
    buf_add(&path, S("/content"));
    call.path = str_to_cstr(&a, buf_str(&path));
    r = client_open(&call);
    if (!r)
        client_run(c, content_on_fiber, &t);
    if (!r && t.write_errno)
        r = client_fail(c, DASHSCOPE_INPUT, "", "the file cannot be written: %s", strerror(t.write_errno));
    else if (!r && (call.e == ERR_EOF || call.e == ERR_PROTOCOL))
        r = client_fail(c, DASHSCOPE_UNREADABLE, "", "the answer broke off");
    else if (!r && call.e)
        r = client_fail_net(c, call.protocol, call.e);
    arena_free(&a);
    return r;
}
