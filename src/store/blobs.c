/* blobs.c - files named by their hash. Spec: design.md §5. */
#include "store/blobs.h"

#include "base/arena.h"
#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMING  "coming"
#define SHELVES 256 /* folders, by two digits of the hash */

struct blobs {
    char folder[BLOB_PATH_MAX];
};

static enum err failed(const char *path)
{
    log_error("%s: %s", path, strerror(errno));
    return ERR_IO;
}

enum err blobs_open(str data_folder, struct blobs **ret)
{
    struct blobs *b = xcalloc(1, sizeof(*b));
    char          coming[BLOB_PATH_MAX];
    int           n = snprintf(b->folder, sizeof(b->folder), "%.*s/blobs", STR_ARG(data_folder));

    if (n < 0 || (size_t)n + 80 > sizeof(b->folder)) { /* room for the names in it */
        blobs_close(b);
        return ERR_LIMIT;
    }
    snprintf(coming, sizeof(coming), "%.*s/" COMING, n, b->folder);
    if ((mkdir(b->folder, 0700) && errno != EEXIST) || (mkdir(coming, 0700) && errno != EEXIST)) {
        enum err e = failed(coming);

        blobs_close(b);
        return e;
    }
    *ret = b;
    return OK;
}

void blobs_close(struct blobs *b)
{
    free(b);
}

/* Two digits of the hash are the folder, the others the file. */
static void path_of(const struct blobs *b, str hash, char path[BLOB_PATH_MAX])
{
    snprintf(path, BLOB_PATH_MAX, "%.800s/%.2s/%.*s", b->folder, hash.ptr, (int)hash.len - 2, hash.ptr + 2);
}

static void end_digests(struct blob_writer *w)
{
    EVP_MD_CTX_free(w->sha256);
    EVP_MD_CTX_free(w->md5);
    w->sha256 = w->md5 = NULL;
}

enum err blob_begin(const struct blobs *b, struct blob_writer *w)
{
    char name[] = "0123456789abcdef";

    *w = (struct blob_writer){ .fd = -1 };
    rand_hex(name, 16);
    snprintf(w->path, sizeof(w->path), "%.800s/" COMING "/%s", b->folder, name);
    w->fd = open(w->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (w->fd < 0)
        return failed(w->path);
    w->sha256 = EVP_MD_CTX_new();
    w->md5 = EVP_MD_CTX_new();
    if (!w->sha256 || !w->md5 || !EVP_DigestInit_ex(w->sha256, EVP_sha256(), NULL) ||
        !EVP_DigestInit_ex(w->md5, EVP_md5(), NULL)) {
        blob_drop(w);
        return ERR_LIMIT;
    }
    return OK;
}

enum err blob_write(struct blob_writer *w, str bytes)
{
    EVP_DigestUpdate(w->sha256, bytes.ptr, bytes.len);
    EVP_DigestUpdate(w->md5, bytes.ptr, bytes.len);
    w->size += (int64_t)bytes.len;
    while (bytes.len) {
        ssize_t n = write(w->fd, bytes.ptr, bytes.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(w->path);
        bytes = str_from(bytes, (size_t)n);
    }
    return OK;
}

enum err blob_end(struct blob_writer *w)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned      len = 0;
    bool          good;

    EVP_DigestFinal_ex(w->sha256, digest, &len);
    num_hex(w->hash, digest, len);
    w->hash[BLOB_HASH_LEN] = 0;
    EVP_DigestFinal_ex(w->md5, digest, &len);
    EVP_EncodeBlock((unsigned char *)w->md5_text, digest, (int)len);
    end_digests(w);
    good = fsync(w->fd) == 0;
    good = close(w->fd) == 0 && good;
    w->fd = -1;
    return good ? OK : failed(w->path);
}

static enum err sync_folder(char path[BLOB_PATH_MAX])
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failure;

    if (fd < 0)
        return failed(path);
    failure = fsync(fd);
    close(fd);
    return failure ? failed(path) : OK;
}

enum err blob_place(const struct blobs *b, struct blob_writer *w)
{
    char     to[BLOB_PATH_MAX], folder[BLOB_PATH_MAX];
    bool     is_new;
    enum err e;

    path_of(b, str_of(w->hash, BLOB_HASH_LEN), to);
    snprintf(folder, sizeof(folder), "%.800s/%.2s", b->folder, w->hash);
    is_new = mkdir(folder, 0700) == 0;
    if ((!is_new && errno != EEXIST) || rename(w->path, to))
        return failed(to);
    w->path[0] = 0;
    e = sync_folder(folder);
    if (!e && is_new) {
        snprintf(folder, sizeof(folder), "%.800s", b->folder);
        e = sync_folder(folder);
    }
    return e;
}

void blob_drop(struct blob_writer *w)
{
    end_digests(w);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = -1;
    if (w->path[0])
        (void)unlink(w->path); /* else it is swept */
    w->path[0] = 0;
}

enum err blob_scratch(const struct blobs *b, int *ret_fd)
{
    char name[] = "0123456789abcdef", path[BLOB_PATH_MAX];
    int  fd;

    rand_hex(name, 16);
    snprintf(path, sizeof(path), "%.800s/" COMING "/%s", b->folder, name);
    fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return failed(path);
    (void)unlink(path); /* else it is swept */
    *ret_fd = fd;
    return OK;
}

enum err blob_read(const struct blobs *b, str hash, int *ret_fd, int64_t *ret_size)
{
    char        path[BLOB_PATH_MAX];
    struct stat st;
    int         fd;

    if (hash.len != BLOB_HASH_LEN)
        return ERR_NOT_FOUND;
    path_of(b, hash, path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : failed(path);
    if (fstat(fd, &st)) {
        close(fd);
        return failed(path);
    }
    *ret_fd = fd;
    *ret_size = st.st_size;
    return OK;
}

void blob_remove(const struct blobs *b, str hash)
{
    char path[BLOB_PATH_MAX];

    path_of(b, hash, path);
    if (unlink(path) && errno != ENOENT)
        (void)failed(path);
}

/* fn(arg, folder's descriptor, name) for the files of a folder that nobody has written to since then. */
static void each_old(const char *folder, int64_t before_s, void (*fn)(void *arg, int folder, const char *name),
                     void *arg)
{
    DIR           *dir = opendir(folder);
    struct dirent *d;

    while (dir && (d = readdir(dir))) {
        struct stat st;

        if (d->d_name[0] != '.' && fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && st.st_mtime < before_s)
            fn(arg, dirfd(dir), d->d_name);
    }
    if (dir)
        closedir(dir);
}

static void remove_old(void *unused, int folder, const char *name)
{
    (void)unused;
    (void)unlinkat(folder, name, 0); /* else the next time */
}

struct sweep {
    void (*old)(void *arg, str hash);
    void    *arg;
    unsigned shelf;
};

static void tell_old(void *arg, int folder, const char *name)
{
    struct sweep *s = arg;
    char          hash[BLOB_HASH_LEN + 1];

    (void)folder;
    if (strlen(name) != BLOB_HASH_LEN - 2)
        return;
    snprintf(hash, sizeof(hash), "%02x%.62s", s->shelf, name);
    s->old(s->arg, str_of(hash, BLOB_HASH_LEN));
}

void blobs_sweep(const struct blobs *b, int64_t before_s, void (*old)(void *arg, str hash), void *arg)
{
    struct sweep s = { old, arg, 0 };
    char         folder[BLOB_PATH_MAX];

    snprintf(folder, sizeof(folder), "%.800s/" COMING, b->folder);
    each_old(folder, before_s, remove_old, NULL);
    for (; s.shelf < SHELVES; s.shelf++) {
        snprintf(folder, sizeof(folder), "%.800s/%02x", b->folder, s.shelf);
        each_old(folder, before_s, tell_old, &s);
    }
}
