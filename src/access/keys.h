/* keys.h - API keys: who may call.
 *
 * A key is "sk-" and 32 hexadecimal digits (access.md §1.1). Only its SHA-256 is kept, with a hint of its ends; the key
 * itself is shown once, when it is made.
 *
 * All workers share one table: it is never changed, only replaced whole. A worker holds a view of it and looks at one
 * atomic number to learn that there is a newer one.
 */
#ifndef DASHBOX_ACCESS_KEYS_H
#define DASHBOX_ACCESS_KEYS_H

#include "base/arena.h"
#include "store/store.h"

struct key {
    str     id; /* "key-3f9a01c2": for lists and logs */
    str     hint; /* "sk-12…9c" */
    str     name;
    str     workspace;
    int64_t created_ms;
    int64_t revoked_ms; /* 0: it is good */
};

struct keys;
struct key_view;

/* `extra` are keys that hold while the process runs (--api-key); they are copied, and not stored. */
enum err keys_open(struct store *s, const str *extra, size_t extra_count, struct keys **ret);
void     keys_close(struct keys *k);

/* Puts others in their place: the configuration has been read again. */
SUSPENDS enum err keys_extra_set(struct keys *k, const str *extra, size_t extra_count);

/* One a worker. */
struct key_view *key_view_open(struct keys *k);
void             key_view_close(struct key_view *v);

/* The good key of that text, NULL when there is none. Valid until the next look-up on this view. */
const struct key *keys_find(struct key_view *v, str secret);

/* Reads the store again when another process has changed it: at the latest half a second after `dashbox keys …`, and
 * at once before an unknown key is refused. ERR_NOT_FOUND: nothing has changed. */
SUSPENDS enum err keys_refresh(struct keys *k);

/* ---- for the command line and at the start ---- */

#define KEY_LEN      35
#define KEY_NAME_MAX 200 /* characters */
/* Whether a key may have that name: a line of text. */
bool key_name_ok(str name);
/* What of a key may be shown: its beginning and its end. */
str key_hint(struct arena *a, str secret);
/* Makes and stores a key; its text is in ret_secret. */
enum err keys_create(struct store *s, str name, str workspace, char ret_secret[KEY_LEN + 1], struct arena *a,
                     struct key *ret);
/* Stores this one. ERR_EXISTS when it is there. */
enum err keys_add(struct store *s, str secret, str name, str workspace, struct arena *a, struct key *ret);
/* Whether it is there and has not been revoked. */
bool keys_is_good(struct store *s, str secret);
enum err keys_list(struct store *s, struct arena *a, struct key **ret, size_t *ret_count);
/* By id, or by the key itself. ERR_NOT_FOUND. */
enum err keys_revoke(struct store *s, str id_or_secret);

#endif
