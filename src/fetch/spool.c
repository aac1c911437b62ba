/* spool.c - spool files: O_TMPFILE, or where the file system has none a file that loses its name at once. */
#include "fetch/spool.h"

#include "base/log.h"
#include "base/num.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER ((size_t)64 * 1024)

struct job {
    struct spool *spool;
    str           bytes;
    char         *hash;
    enum err      e;
};

SUSPENDS static enum err run(struct spool *s, void (*fn)(void *arg), struct job *j)
{
    j->spool = s;
    j->e = OK;
    lane_run(s->lane, fn, j);
    return j->e;
}

static enum err failed(const struct spool *s)
{
    log_error("%s: %s", s->folder, strerror(errno));
    return ERR_IO;
}

static int open_named(const char *folder)
{
    char path[1024];
    int  n = snprintf(path, sizeof(path), "%s/spool-XXXXXX", folder), fd;

    if (n < 0 || (size_t)n >= sizeof(path))
        return -1;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    return fd;
}

static void open_job(void *arg)
{
    struct job   *j = arg;
    struct spool *s = j->spool;

    if (mkdir(s->folder, 0700) && errno != EEXIST) {
        j->e = failed(s);
        return;
    }
    s->fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
        s->fd = open_named(s->folder);
    if (s->fd < 0)
        j->e = failed(s);
}

enum err spool_open(struct spool *s, struct lane *lane, const char *folder)
{
    struct job j = { 0 };

    *s =
        (struct spool){ .lane = lane, .folder = folder, .fd = -1, .hash = EVP_MD_CTX_new(), .buffer = xmalloc(BUFFER) };
    ASSERT(s->hash && EVP_DigestInit_ex(s->hash, EVP_sha256(), NULL));
    return run(s, open_job, &j);
}

static enum err put(struct spool *s, str bytes)
{
    EVP_DigestUpdate(s->hash, bytes.ptr, bytes.len);
    while (bytes.len) {
        ssize_t n = write(s->fd, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(s);
        bytes = str_from(bytes, (size_t)n);
    }
    return OK;
}

static void write_job(void *arg)
{
    struct job *j = arg;

    j->e = put(j->spool, j->bytes);
}

SUSPENDS static enum err flush(struct spool *s)
{
    struct job j = { .bytes = str_of(s->buffer, s->buffered) };

    s->buffered = 0;
    return j.bytes.len ? run(s, write_job, &j) : OK;
}

enum err spool_write(struct spool *s, str bytes)
{
    struct job j = { .bytes = bytes };
    enum err   e = OK;

    s->size += (int64_t)bytes.len;
    if (bytes.len > BUFFER - s->buffered)
        e = flush(s);
    if (e || bytes.len > BUFFER)
        return e ? e : run(s, write_job, &j);
    memcpy(s->buffer + s->buffered, bytes.ptr, bytes.len);
    s->buffered += bytes.len;
    return OK;
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static void base64_job(void *arg)
{
    struct job *j = arg;
    str         in = j->bytes;
    char        out[4096];
    size_t      n = 0;
    unsigned    bits = 0, have = 0;

    for (int pad = 0; pad < 2 && str_ends(in, S("=")); pad++)
        in.len--;
    if (in.len % 4 == 1 || (in.len != j->bytes.len && j->bytes.len % 4))
        j->e = ERR_INVALID;
    for (size_t i = 0; i < in.len && !j->e; i++) {
        int d = digit(in.ptr[i]);

        if (d < 0) {
            j->e = ERR_INVALID;
            break;
        }
        bits = (bits << 6 | (unsigned)d) & 0xffffff;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        out[n++] = (char)(bits >> have & 0xff);
        if (n == sizeof(out)) {
            j->e = put(j->spool, str_of(out, n));
            j->spool->size += (int64_t)n;
            n = 0;
        }
    }
    if (!j->e)
        j->e = put(j->spool, str_of(out, n));
    j->spool->size += (int64_t)n;
}

enum err spool_base64(struct spool *s, str text)
{
    struct job j = { .bytes = text };

    return run(s, base64_job, &j);
}

static void rewind_job(void *arg)
{
    struct job   *j = arg;
    unsigned char digest[FETCH_HASH_LEN / 2];

    EVP_DigestFinal_ex(j->spool->hash, digest, NULL);
    num_hex(j->hash, digest, sizeof(digest));
    j->hash[FETCH_HASH_LEN] = 0;
    if (lseek(j->spool->fd, 0, SEEK_SET))
        j->e = failed(j->spool);
}

enum err spool_rewind(struct spool *s, char hash[FETCH_HASH_LEN + 1])
{
    struct job j = { .hash = hash };
    enum err   e = flush(s);

    return e ? e : run(s, rewind_job, &j);
}

void spool_close(struct spool *s)
{
    EVP_MD_CTX_free(s->hash);
    s->hash = NULL;
    free(s->buffer);
    s->buffer = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}
