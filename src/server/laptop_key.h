/* laptop_key.h - the key of a server on its owner's machine: made once, kept beside the database, shown at every start. */
#ifndef DASHBOX_SERVER_LAPTOP_KEY_H
#define DASHBOX_SERVER_LAPTOP_KEY_H

#include "base/arena.h"
#include "store/store.h"

/* The key, in `a`; a revoked one is replaced. Empty when none can be made: the log says why. */
str laptop_key(struct store *s, struct arena *a);
/* For production: what earlier starts on this folder made is revoked. A start on a laptop then makes another. */
enum err laptop_key_end(struct store *s, struct arena *a);

#endif
