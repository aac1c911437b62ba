/* laptop_key.c - keeps the laptop key. */
#include "server/laptop_key.h"

#include "access/keys.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

str laptop_key(struct store *s, struct arena *a)
{
    str        path = arena_printf(a, "%.*s/key", STR_ARG(store_folder(s)));
    char       secret[KEY_LEN + 1];
    int        fd = open(path.ptr, O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t n = read(fd, secret, KEY_LEN);

        close(fd);
        if (n == KEY_LEN) {
            str      kept = arena_str(a, str_of(secret, KEY_LEN));
            enum err e = keys_add(s, kept, S("laptop"), a);

            if (e == OK || (e == ERR_EXISTS && keys_is_good(s, kept)))
                return kept; /* one that has been revoked is replaced */
        }
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
