/* admin_key.c - keeps the key of the admin API. */
#include "server/admin_key.h"

#include "base/log.h"
#include "base/num.h"
#include "base/rand.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define ADMIN_KEY_MAX 128

str admin_key_path(str folder, struct arena *a)
{
    return arena_printf(a, "%.*s/admin-key", STR_ARG(folder));
}

enum err admin_key_read(str path, struct arena *a, str *ret)
{
    char    text[ADMIN_KEY_MAX];
    ssize_t n;
    int     fd = open(str_to_cstr(a, path), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    n = read(fd, text, sizeof(text));
    close(fd);
    *ret = n > 0 ? arena_str(a, str_trim(str_of(text, (size_t)n))) : (str){ 0 };
    return OK;
}

str admin_key(const struct config *c, struct store *s, struct arena *a)
{
    str           path = admin_key_path(store_folder(s), a), kept;
    char          text[ADMIN_KEY_MAX];
    unsigned char bits[16];
    ssize_t       n;
    int           fd;

    if (c->options.admin_key.len)
        return arena_str(a, c->options.admin_key);
    if (!admin_key_read(path, a, &kept)) {
        if (c->options.production)
            log_warn("the admin API is open to whoever has the key in %s", path.ptr);
        return kept;
    }
    if (c->options.production)
        return (str){ 0 };
    rand_secret(bits, sizeof(bits));
    memcpy(text, "admin-", 6);
    num_hex(text + 6, bits, sizeof(bits));
    n = 6 + 2 * sizeof(bits);
    fd = open(path.ptr, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, text, (size_t)n) != n) {
        log_warn("%s: %s; the admin API is closed", path.ptr, strerror(errno));
        n = 0;
    }
    if (fd >= 0)
        close(fd);
    return arena_str(a, str_of(text, (size_t)n));
}
