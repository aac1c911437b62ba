/* laptop_key.c - keeps the laptop key. */
#include "server/laptop_key.h"

#include "access/keys.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* The key in the file; empty when there is none. */
static str read_kept(struct arena *a, str path)
{
    char secret[KEY_LEN];
    int  fd = open(path.ptr, O_RDONLY | O_CLOEXEC);
    bool whole;

    if (fd < 0)
        return (str){ 0 };
    whole = read(fd, secret, KEY_LEN) == KEY_LEN;
    close(fd);
    return whole ? arena_str(a, str_of(secret, KEY_LEN)) : (str){ 0 };
}

static str path_of(struct store *s, struct arena *a)
{
    return arena_printf(a, "%.*s/key", STR_ARG(store_folder(s)));
}

str laptop_key(struct store *s, struct arena *a)
{
    str  path = path_of(s, a), kept = read_kept(a, path);
    char secret[KEY_LEN + 1];
    int  fd;

    if (kept.len) {
        enum err e = keys_add(s, kept, S("laptop"), a);

        if (e == OK || (e == ERR_EXISTS && keys_is_good(s, kept)))
            return kept; /* one that has been revoked is replaced */
    }
    if (keys_create(s, S("laptop"), secret, a))
        return (str){ 0 };
    fd = open(path.ptr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, secret, KEY_LEN) != KEY_LEN)
        log_warn("%s: %s; the key holds all the same", path.ptr, strerror(errno));
    if (fd >= 0)
        close(fd);
    return arena_str(a, str_of(secret, KEY_LEN));
}

enum err laptop_key_end(struct store *s, struct arena *a)
{
    str      kept = read_kept(a, path_of(s, a));
    enum err e = kept.len ? keys_revoke(s, kept, a) : ERR_NOT_FOUND;

    if (!e)
        log_info("the laptop key of earlier starts is revoked, as this one is for production");
    return e == ERR_NOT_FOUND ? OK : e;
}
