/* keys.h - API keys: how they look, and how they are made, listed and ended.
 *
 * A key is "sk-" (or its plan's prefix) and 32 hexadecimal digits (access.md §1.1). Only its SHA-256 is kept, with a
 * hint of
 * its ends; the key itself is shown once, when it is made. Who is found by a key: access/account.h.
 */
#ifndef DASHBOX_ACCESS_KEYS_H
#define DASHBOX_ACCESS_KEYS_H

#include "access/edit.h"

#define KEY_LEN     35 /* of a general key */
#define KEY_LEN_MAX 64

#define KEY_NETWORKS_MAX 20 /* access.md §1.3 */

/* A key as it is stored. */
struct key_row {
    str     id;   /* "key-3f9a01c2" */
    str     hint; /* "sk-12…9c" */
    str     name;
    str     workspace;
    str     kind;     /* "general", or a plan's id */
    str     member;   /* empty: the account itself */
    str     networks; /* "10.0.0.0/8 ::1"; empty: all */
    int64_t created_ms;
    int64_t expires_ms; /* 0: never */
    int64_t revoked_ms; /* 0: it is good */
};

/* SHA-256 of the text. */
void key_hash(str secret, unsigned char ret[KEY_HASH_LEN]);
/* Its ends: enough to tell one's keys apart. */
str key_hint(struct arena *a, str secret);

/* What a key may be called: one line of UTF-8 of at most so many characters. */
#define KEY_NAME_MAX 200
bool key_name_ok(str name);

/* Makes a key as `want` says (name, workspace, kind, member, networks, expires_ms; empty is the default) and stores it; its
 * text is in ret_secret. `ceiling` of good keys: 0 is none. Fails with a sentence: workspace or member unknown, the
 * member not in the workspace, a network malformed, too many keys. */
enum err key_create(struct edit *e, const struct key_row *want, int64_t ceiling, str *ret_secret, struct key_row *ret);
/* By id, or by the key itself. ERR_NOT_FOUND. */
enum err key_revoke(struct edit *e, str id_or_secret);
/* In the order in which they were made. `workspace` empty: of all. */
enum err key_list(struct edit *e, str workspace, struct key_row **ret, size_t *ret_count);
enum err key_get(struct edit *e, str id, struct key_row *ret);

/* ---- at the start, before there are loops ---- */

/* A general key of the default workspace. */
enum err keys_create(struct store *s, str name, char ret_secret[KEY_LEN + 1], struct arena *a);
/* Stores this one. ERR_EXISTS when it is there. */
enum err keys_add(struct store *s, str secret, str name, struct arena *a);
/* By the key itself. ERR_NOT_FOUND. */
enum err keys_revoke(struct store *s, str secret, struct arena *a);
/* Whether it is there and has not been revoked. */
bool keys_is_good(struct store *s, str secret);

#endif
