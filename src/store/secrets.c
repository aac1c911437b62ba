/* secrets.c - seals and opens. A sealed secret: version, nonce, cipher text, tag. */
#include "store/secrets.h"

#include "base/log.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <unistd.h>

#define KEY_LEN   32
#define NONCE_LEN 12
#define TAG_LEN   16
#define VERSION   1
#define EXTRA     (1 + NONCE_LEN + TAG_LEN)

/* ---- the key ---- */

static str key_path(sqlite3 *db, struct arena *a, const char *suffix)
{
    str    file = str_from_cstr(sqlite3_db_filename(db, "main"));
    size_t end = file.len;

    while (end > 0 && file.ptr[end - 1] != '/')
        end--;
    return arena_printf(a, "%.*ssecret-key%s", (int)end, file.ptr, suffix);
}

static enum err read_key(const char *path, unsigned char key[KEY_LEN])
{
    int     fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    n = read(fd, key, KEY_LEN);
    close(fd);
    return n == KEY_LEN ? OK : ERR_IO;
}

/* Whole or not at all, and by one process alone: written beside it, then linked. */
static enum err make_key(sqlite3 *db, struct arena *a, const char *path)
{
    str           part = key_path(db, a, arena_printf(a, ".%ld", (long)getpid()).ptr);
    unsigned char key[KEY_LEN];
    int           fd = open(part.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool          good;

    rand_secret(key, sizeof(key));
    good = fd >= 0 && write(fd, key, sizeof(key)) == KEY_LEN && fsync(fd) == 0;
    OPENSSL_cleanse(key, sizeof(key));
    if (fd >= 0)
        close(fd);
    good = good && (link(part.ptr, path) == 0 || errno == EEXIST);
    unlink(part.ptr);
    return good ? OK : ERR_IO;
}

static enum err load_key(sqlite3 *db, struct arena *a, unsigned char key[KEY_LEN])
{
    str      path = key_path(db, a, "");
    enum err e = read_key(path.ptr, key);

    if (e == ERR_NOT_FOUND) {
        e = make_key(db, a, path.ptr);
        if (!e)
            e = read_key(path.ptr, key);
    }
    if (e)
        log_error("%s: the key of secrets cannot be read or made", path.ptr);
    return e ? ERR_IO : OK;
}

/* ---- sealing ---- */

static bool seal(const unsigned char *key, str owner, str secret, unsigned char *out)
{
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    unsigned char  *text = out + 1 + NONCE_LEN;
    int             n = 0, end = 0;
    bool            good;

    out[0] = VERSION;
    rand_secret(out + 1, NONCE_LEN);
    good = c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, out + 1) == 1 &&
           EVP_EncryptUpdate(c, NULL, &n, (const unsigned char *)owner.ptr, (int)owner.len) == 1 &&
           EVP_EncryptUpdate(c, text, &n, (const unsigned char *)secret.ptr, (int)secret.len) == 1 &&
           EVP_EncryptFinal_ex(c, text + n, &end) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN, text + secret.len) == 1;
    EVP_CIPHER_CTX_free(c);
    return good;
}

enum err secret_seal(sqlite3 *db, struct arena *a, str owner, str secret, str *ret)
{
    unsigned char key[KEY_LEN], *out;
    bool          good;
    enum err      e;

    *ret = (str){ 0 };
    if (!secret.len)
        return OK;
    e = load_key(db, a, key);
    if (e)
        return e;
    out = (unsigned char *)arena_bytes(a, secret.len + EXTRA);
    good = seal(key, owner, secret, out);
    ASSERT(good);
    OPENSSL_cleanse(key, sizeof(key));
    *ret = str_of((const char *)out, secret.len + EXTRA);
    return OK;
}

enum err secret_open(sqlite3 *db, struct arena *a, str owner, str sealed, str *ret)
{
    const unsigned char *in = (const unsigned char *)sealed.ptr;
    size_t               len = sealed.len - EXTRA;
    unsigned char        key[KEY_LEN], *out, tag[TAG_LEN];
    EVP_CIPHER_CTX      *c;
    int                  n = 0, end = 0;
    bool                 good;
    enum err             e;

    *ret = (str){ 0 };
    if (!sealed.len)
        return OK;
    if (sealed.len < EXTRA || in[0] != VERSION)
        return ERR_INVALID;
    e = load_key(db, a, key);
    if (e)
        return e;
    out = (unsigned char *)arena_bytes(a, len + 1);
    memcpy(tag, in + 1 + NONCE_LEN + len, TAG_LEN);
    c = EVP_CIPHER_CTX_new();
    good = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, in + 1) == 1 &&
           EVP_DecryptUpdate(c, NULL, &n, (const unsigned char *)owner.ptr, (int)owner.len) == 1 &&
           EVP_DecryptUpdate(c, out, &n, in + 1 + NONCE_LEN, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
           EVP_DecryptFinal_ex(c, out + n, &end) == 1;
    EVP_CIPHER_CTX_free(c);
    OPENSSL_cleanse(key, sizeof(key));
    *ret = good ? str_of((const char *)out, len) : (str){ 0 };
    return good ? OK : ERR_INVALID;
}
