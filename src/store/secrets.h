/* secrets.h - secrets of others that the database keeps, sealed: a copy of the database alone opens none.
 *
 * AES-256-GCM; the key is a file of its own in the data folder, secret-key, for its owner alone, made when it is first needed. What a
 * secret is for (`owner`) is sealed with it: it cannot be put to another's use.
 *
 * Thread: jobs of the store, and the command line: it reads a file.
 */
#ifndef DASHBOX_STORE_SECRETS_H
#define DASHBOX_STORE_SECRETS_H

#include "base/arena.h"
#include "store/store.h"

/* Empty is sealed as empty. ERR_IO: the key cannot be read or made; the reason is in the log. */
enum err secret_seal(sqlite3 *db, struct arena *a, str owner, str secret, str *ret);
/* ERR_INVALID: it was sealed with another key, for another owner, or has been changed. */
enum err secret_open(sqlite3 *db, struct arena *a, str owner, str sealed, str *ret);

#endif
