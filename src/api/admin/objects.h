/* objects.h - the things of the admin API as JSON; `dashbox … --json` prints the same. */
#ifndef DASHBOX_API_ADMIN_OBJECTS_H
#define DASHBOX_API_ADMIN_OBJECTS_H

#include "access/keys.h"
#include "base/buf.h"

/* `secret` empty: it is not shown. */
void object_key(struct buf *b, const struct key_row *k, str secret);
void object_workspace(struct buf *b, const struct workspace *w);
void object_member(struct buf *b, const struct member_row *m);
/* A model of the catalogue, and what the account has to do with it. */
void object_model(struct buf *b, const struct model *m, const struct account_model *state);
void object_account(struct buf *b, bool activated, bool free_only);
void object_policy(struct buf *b, const struct policy *p);

/* What a model's calls may ask for, in words; returns how many. */
#define MODEL_ABILITIES_MAX 11
size_t model_abilities(const struct model *m, str ret[MODEL_ABILITIES_MAX]);
str    model_status_name(const struct model *m);

/* ,"name":value with the comma when it is not the first member of its object. */
void object_text(struct buf *b, const char *name, str value); /* empty: null */
void object_int(struct buf *b, const char *name, int64_t value);
void object_count(struct buf *b, const char *name, int64_t value); /* 0: null */
void object_bool(struct buf *b, const char *name, bool value);
void object_time(struct buf *b, const char *name, int64_t unix_ms); /* ISO 8601; 0: null */

#endif
