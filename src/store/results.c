/* results.c - files of results. Spec: design.md §5; media.md §1.4 (signed links, 24 hours). */
#include "store/results.h"

#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_LEN    32
#define SIGNATURE_LEN 64 /* digits of SHA-256 */

struct results {
    struct arena arena;
    const char  *folder;
    str          secret_name; /* in the table of the account */
    char         secret[2 * SECRET_LEN];
};

static enum err secret_job(sqlite3 *db, void *arg)
{
    struct results *r = arg;
    unsigned char   bits[SECRET_LEN];
    sqlite3_stmt   *st;
    enum err        e = store_prepare(db, "INSERT OR IGNORE INTO account (name, value) VALUES (?2, ?1)", &st);

    if (e)
        return e;
    rand_secret(bits, sizeof(bits));
    num_hex(r->secret, bits, sizeof(bits));
    store_bind_str(st, 1, str_of(r->secret, sizeof(r->secret)));
    store_bind_str(st, 2, r->secret_name);
    e = store_err(db, sqlite3_step(st));
    sqlite3_finalize(st);
    if (!e)
        e = store_prepare(db, "SELECT value FROM account WHERE name = ?", &st);
    if (e)
        return e;
    store_bind_str(st, 1, r->secret_name);
    if (sqlite3_step(st) == SQLITE_ROW && store_column_str(st, 0).len == sizeof(r->secret))
        memcpy(r->secret, store_column_str(st, 0).ptr, sizeof(r->secret));
    else
        e = ERR_INVALID;
    sqlite3_finalize(st);
    return e;
}

enum err results_open(struct store *s, str name, struct results **ret)
{
    struct results *r = xcalloc(1, sizeof(*r));
    enum err        e;

    arena_init(&r->arena, 256);
    r->folder = arena_printf(&r->arena, "%.*s/%.*s", STR_ARG(store_folder(s)), STR_ARG(name)).ptr;
    r->secret_name = arena_printf(&r->arena, "%.*s_secret", (int)(name.len - 1), name.ptr); /* in the singular */
    e = store_run_here(s, secret_job, r);
    if (e)
        results_close(r);
    else
        *ret = r;
    return e;
}

void results_close(struct results *r)
{
    if (!r)
        return;
    arena_free(&r->arena);
    free(r);
}

/* ---- files ---- */

static bool path_of(const struct results *r, str task, str name, char path[RESULT_PATH_MAX])
{
    int n = name.len ? snprintf(path, RESULT_PATH_MAX, "%s/%.*s/%.*s", r->folder, STR_ARG(task), STR_ARG(name))
                     : snprintf(path, RESULT_PATH_MAX, "%s/%.*s", r->folder, STR_ARG(task));

    return n > 0 && n < RESULT_PATH_MAX;
}

static enum err failed(const char *path)
{
    log_error("%s: %s", path, strerror(errno));
    return ERR_IO;
}

enum err results_create(const struct results *r, str task, char path[RESULT_PATH_MAX], int *ret_fd)
{
    char folder[RESULT_PATH_MAX], name[] = "part-0123456789abcdef";

    rand_hex(name + 5, 16);
    if (!path_of(r, task, (str){ 0 }, folder) || !path_of(r, task, str_from_cstr(name), path))
        return ERR_LIMIT;
    if ((mkdir(r->folder, 0700) && errno != EEXIST) || (mkdir(folder, 0700) && errno != EEXIST))
        return failed(folder);
    *ret_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return *ret_fd < 0 ? failed(path) : OK;
}

static enum err sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failure;

    if (fd < 0)
        return failed(path);
    failure = fsync(fd);
    close(fd);
    return failure ? failed(path) : OK;
}

enum err results_keep(const struct results *r, str task, const char *path, int fd, str name)
{
    char     to[RESULT_PATH_MAX], folder[RESULT_PATH_MAX];
    bool     good = path_of(r, task, name, to) && path_of(r, task, (str){ 0 }, folder) && fsync(fd) == 0;
    enum err e;

    good = close(fd) == 0 && good;
    if (!good || rename(path, to))
        return failed(path);
    e = sync_folder(folder);
    return e ? e : sync_folder(r->folder);
}

void results_drop(const struct results *r, str task, const char *path, int fd)
{
    char folder[RESULT_PATH_MAX];

    close(fd);
    (void)unlink(path); /* else it goes with the task */
    if (path_of(r, task, (str){ 0 }, folder))
        (void)rmdir(folder); /* unless there are others */
}

enum err results_read(const struct results *r, str task, str name, int *ret_fd, int64_t *ret_size)
{
    char        path[RESULT_PATH_MAX];
    struct stat st;
    int         fd = path_of(r, task, name, path) ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;

    if (fd < 0)
        return ERR_NOT_FOUND;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
        close(fd);
        return ERR_NOT_FOUND;
    }
    *ret_fd = fd;
    *ret_size = st.st_size;
    return OK;
}

static void remove_folder(const struct results *r, str task)
{
    char           folder[RESULT_PATH_MAX], path[RESULT_PATH_MAX];
    struct dirent *d;
    DIR           *dir = path_of(r, task, (str){ 0 }, folder) ? opendir(folder) : NULL;

    if (!dir)
        return; /* it has made none */
    while ((d = readdir(dir))) {
        if (d->d_name[0] != '.' && path_of(r, task, str_from_cstr(d->d_name), path) && unlink(path))
            (void)failed(path);
    }
    closedir(dir);
    if (rmdir(folder))
        (void)failed(folder);
}

void results_remove(const struct results *r, str task)
{
    struct dirent *d;
    DIR           *dir;

    if (task.len) {
        remove_folder(r, task);
        return;
    }
    dir = opendir(r->folder);
    while (dir && (d = readdir(dir))) {
        if (d->d_name[0] != '.')
            remove_folder(r, str_from_cstr(d->d_name));
    }
    if (dir)
        closedir(dir);
}

size_t results_old(const struct results *r, int64_t before_s, struct arena *a, str *ret, size_t max)
{
    struct dirent *d;
    DIR           *dir = opendir(r->folder);
    size_t         n = 0;

    while (dir && n < max && (d = readdir(dir))) {
        struct stat st;

        if (d->d_name[0] != '.' && fstatat(dirfd(dir), d->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISDIR(st.st_mode) && st.st_mtime < before_s)
            ret[n++] = arena_str(a, str_from_cstr(d->d_name));
    }
    if (dir)
        closedir(dir);
    return n;
}

/* ---- URLs ---- */

static void sign(const struct results *r, str path, str expires, char ret[SIGNATURE_LEN])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    char          text[RESULT_PATH_MAX];
    unsigned      len = 0;
    int           n = snprintf(text, sizeof(text), "%.*s\n%.*s", STR_ARG(path), STR_ARG(expires));

    ASSERT(n > 0 && n < RESULT_PATH_MAX);
    HMAC(EVP_sha256(), r->secret, sizeof(r->secret), (const unsigned char *)text, (size_t)n, digest, &len);
    ASSERT(len == SIGNATURE_LEN / 2);
    num_hex(ret, digest, len);
}

str results_sign_policy(const struct results *r, str access_key, str policy, struct arena *a)
{
    unsigned char secret[EVP_MAX_MD_SIZE], digest[EVP_MAX_MD_SIZE];
    unsigned      secret_len = 0, len = 0;
    char         *text;

    HMAC(EVP_sha256(), r->secret, sizeof(r->secret), (const unsigned char *)access_key.ptr, access_key.len, secret,
         &secret_len);
    HMAC(EVP_sha1(), secret, (int)secret_len, (const unsigned char *)policy.ptr, policy.len, digest, &len);
    text = arena_bytes(a, (len + 2) / 3 * 4 + 1);
    return str_of(text, (size_t)EVP_EncodeBlock((unsigned char *)text, digest, (int)len));
}

str results_url(const struct results *r, str base, str task, str name, int64_t expires_s, struct arena *a)
{
    char signature[SIGNATURE_LEN], number[NUM_TEXT_MAX];
    str  path = arena_printf(a, "%.*s/%.*s", STR_ARG(task), STR_ARG(name));
    str  expires = str_of(number, num_format(number, expires_s));

    sign(r, path, expires, signature);
    return arena_printf(a, "%.*s/files/%.*s?Expires=%.*s&Signature=%.*s", STR_ARG(base), STR_ARG(path),
                        STR_ARG(expires), SIGNATURE_LEN, signature);
}

bool results_url_read(const struct results *r, str path, str query, int64_t now_s, str *ret_task, str *ret_name)
{
    str     expires = { 0 }, signature = { 0 }, whole = path;
    char    ours[SIGNATURE_LEN];
    int64_t until_s;

    while (query.len) {
        str value = str_cut(&query, '&'), name = str_cut(&value, '=');

        if (str_eq(name, S("Expires")))
            expires = value;
        else if (str_eq(name, S("Signature")))
            signature = value;
    }
    if (path.len > 256 || expires.len > NUM_TEXT_MAX || signature.len != SIGNATURE_LEN ||
        !str_to_i64(expires, &until_s))
        return false;
    sign(r, whole, expires, ours);
    if (CRYPTO_memcmp(ours, signature.ptr, SIGNATURE_LEN) != 0 || now_s >= until_s)
        return false;
    *ret_task = str_cut(&path, '/');
    *ret_name = path;
    return true;
}
