/* admin_key.h - the key of the admin API: an option, or a file beside the database that only its owner reads. */
#ifndef DASHBOX_SERVER_ADMIN_KEY_H
#define DASHBOX_SERVER_ADMIN_KEY_H

#include "server/config.h"
#include "store/store.h"

/* Where the file is. */
str admin_key_path(str folder, struct arena *a);

/* What the file holds, in `a`. ERR_NOT_FOUND: there is none; ERR_IO: errno says why it cannot be read. */
enum err admin_key_read(str path, struct arena *a, str *ret);

/* The key, in `a`. Empty, and then the admin API refuses everybody: under --production when there is neither option nor
 * file,
 * or when the file cannot be written, which the log says. */
str admin_key(const struct config *c, struct store *s, struct arena *a);

#endif
